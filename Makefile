# SPDX-License-Identifier: MIT
# The project's commands; `make` alone lists them.  They run in the lab, which
# is set up at first use: the host needs make, bash and apt, no compiler.

ARCH ?=
KERNEL ?=
TEST ?=
# The names of a command's kernels in lab/kernels.
kernels_of = $(shell ARCH=$(ARCH); . lab/kernel && kernel_lines $(1) | cut -d ' ' -f 1)
CHECK_KERNELS = $(or $(KERNEL),$(call kernels_of,check))
MORE_KERNELS = $(or $(KERNEL),$(call kernels_of,check-kernels))
FOREIGN := $(filter-out amd64,$(ARCH))
ENTER := lab/enter --

export ARCH TEST COVERAGE LAB_MIRROR LAB_BOOT

help:
	@echo 'make demo         watch the main job on a stock 7.3 kernel'
	@echo 'make check        unit tests, and guest tests on stock 7.3, 7.2 and 6.12;'
	@echo '                  KERNEL=7.2: only there; TEST=revoke: only that'
	@echo '                  ARCH=arm64: guest tests on arm64, KERNEL=7.3, 6.12 or 7.3-16k;'
	@echo '                  also for demo, lab-shell, check-drivers, check-debug, module, stress, bench, packages'
	@echo 'make check-packages  the Debian packages on a clean Debian 13, and an installation from'
	@echo '                  the tarball; DEBIAN=12: the packages on Debian 12; ARCH=arm64: on arm64'
	@echo 'make check-drivers  drivers/: NVMe queues, fio on them, and VFs, of unprivileged clients'
	@echo 'make check-kernels  the guest tests on other kernels of Debian (lab/kernels), and a table;'
	@echo '                  KERNEL=7.3-rt: only there; ARCH=arm64: those of arm64'
	@echo 'make check-debug  the guest tests on a kernel with KASAN, lockdep and more'
	@echo 'make check-kcsan  tests of races on a kernel that reports data races (KCSAN)'
	@echo 'make check-debug-rt  tests of locks on a kernel with PREEMPT_RT, lockdep and KASAN'
	@echo 'make model        Spin looks at every state of a model of the protocol'
	@echo 'make stress       everything at once, at random, for a minute; SECONDS=600: longer;'
	@echo '                  KERNEL=7.3, 7.2, 6.12, debug; SEED=n: the same choices'
	@echo 'make fuzz         everything that reads input of others, a minute each; SECONDS=600: longer'
	@echo 'make kfuzz        the driver, with calls at random, on the debug kernel; SECONDS=2000'
	@echo 'make peers        DPDK, the kernel'"'"'s VFIO selftests and QEMU on stock vfio-pci and on ours,'
	@echo '                  side by side; KERNEL=debug: with iommufd; TEST=dpdk: only that'
	@echo 'make rust         the Rust crate of bindings/rust: build/rust/release, and its tests'
	@echo 'make go           the library in Go programs, with Debian'"'"'s Go'
	@echo 'make bench        against stock vfio-pci: a table and build/bench.json'
	@echo 'make lab-shell    a shell in the guest, devices bound; KERNEL=7.2, debug ...'
	@echo 'make module       build/<kernel>/src/module/dmabuf-vfio-pci.ko for all kernels'
	@echo 'make packages     Debian packages in build/packages'
	@echo 'make dist         the tarball of a release in build/dist'
	@echo 'make lab          only set the lab up; LAB_MIRROR=http://<mirror>/debian, once, on Ubuntu'
	@echo 'make clean        remove build/; make distclean: the cache as well'

# What is for amd64 alone.
check-kcsan check-debug-rt kcsan-kernel debug-rt-kernel model fuzz kfuzz peers rust go: amd64
amd64:
	@[ -z "$(FOREIGN)" ] || { echo "lab: this is not for ARCH=$(ARCH), only for amd64" >&2; exit 1; }

lab:
	@lab/root $(KERNEL)

module: lab
	@for kernel in $(CHECK_KERNELS); do $(ENTER) lab/build-module $$kernel || exit 1; done

packages: lab
	@$(ENTER) lab/build-packages && echo "the packages are in build$(addprefix /,$(FOREIGN))/packages"

dist: lab
	@$(ENTER) lab/dist && ls build/dist/*.tar.gz

check: lab
	@$(ENTER) lab/check $(CHECK_KERNELS)

check-kernels: lab
	@lab/root $(MORE_KERNELS)
	@$(ENTER) lab/check --guests $(MORE_KERNELS)

DEBIAN ?= 13
check-packages: lab
	@lab/debian $(DEBIAN)
	@$(if $(filter-out 13,$(DEBIAN)),lab/enter --debian $(DEBIAN) -- lab/build-packages debian$(DEBIAN))
	@$(if $(filter 13,$(DEBIAN)$(FOREIGN)),$(ENTER) lab/dist && lab/tarball)
	@TEST= $(ENTER) lab/check debian$(DEBIAN)

check-drivers: lab
	@TEST= $(ENTER) lab/check drivers

debug-kernel kcsan-kernel debug-rt-kernel: lab
	@. lab/env && $(ENTER) lab/debug-kernel "$$CACHE" $(@:-kernel=)

check-debug: debug-kernel
	@$(ENTER) lab/check debug

# Those in which much happens at the same time.
KCSAN_TESTS := test_race,test_revoke,test_evict,test_suspend,test_events,test_interrupt,test_list,test_ids,test_sleep,test_stress
check-kcsan: kcsan-kernel
	@$(ENTER) env LAB_BOOT="--tests $(KCSAN_TESTS) $$LAB_BOOT" lab/check kcsan

# Those in which a fault, a revocation, a suspension or an importer takes a lock.
DEBUG_RT_TESTS := $(KCSAN_TESTS),test_mmap,test_slice,test_fault,test_lifetime,test_importer,test_memattr,test_walkers,test_nonblock,test_hostile,test_recovery,test_sriov
check-debug-rt: debug-rt-kernel
	@$(ENTER) env LAB_BOOT="--tests $(DEBUG_RT_TESTS) $$LAB_BOOT" lab/check --guests debug-rt

model: lab
	@$(ENTER) lab/model

SECONDS ?= 60
SEED ?=
stress: lab $(if $(filter debug,$(KERNEL)),debug-kernel)
	@TEST=stress LAB_BOOT="$(LAB_BOOT) --stress $(SECONDS)$(if $(SEED),:$(SEED))" \
		$(ENTER) lab/check $(KERNEL_ONE); status=$$?; \
		grep '^#' build$(addprefix /,$(FOREIGN))/$(KERNEL_ONE)/tap/test_stress.tap; exit $$status

# New inputs that reach new code are kept in build/fuzz/corpus.
fuzz: lab
	@$(ENTER) lab/fuzz $(SECONDS)

# The driver, by programs of calls, on the debug kernel.  What they leave that is worth
# keeping is in build/kfuzz.corpus; it replaces tests/kfuzz/corpus.
kfuzz: debug-kernel
	@$(ENTER) sh -euc 'make -s -f lab/programs.mk -j$$(nproc) user unit; COVERAGE=1 lab/build-module debug; lab/image debug; \
		lab/boot --as debug-kfuzz --tests test_kfuzz --seconds $$(($(SECONDS) + 600)) --append kfuzz.seconds=$(SECONDS) debug; \
		lab/tap-summary build/debug-kfuzz/tap; grep "^#" build/debug-kfuzz/tap/test_kfuzz.tap'

# Programs of others, on the kernel's vfio-pci and on ours.
peers: lab $(patsubst %,%-kernel,$(filter debug,$(KERNEL)))
	@$(ENTER) lab/peers $(KERNEL_ONE)

# The crate and its own tests, which need no guest; those that do are test_rust.
rust: lab
	@$(ENTER) sh -euc 'make -s -f lab/programs.mk build/rust/release/libvfio_dmabuf.rlib; \
		rm -rf build/lab-tap; mkdir build/lab-tap; status=0; lab/rust >build/lab-tap/rust.tap || status=$$?; \
		echo "exit $$status" >build/lab-tap/rust.status; lab/tap-summary build/lab-tap'

# The library with Go's runtime, which is not in the root.
go: lab $(patsubst %,%-kernel,$(filter debug,$(KERNEL)))
	@$(ENTER) lab/go $(KERNEL_ONE)

# The image with all that is in it, for the targets below.
KERNEL_ONE = $(or $(KERNEL),7.3)
IMAGE_PROGRAMS = user $(if $(FOREIGN),,$(if $(filter debug,$(KERNEL)),unit))
image: lab $(patsubst %,%-kernel,$(filter debug kcsan debug-rt,$(KERNEL)))
	@$(ENTER) sh -euc 'make -s -f lab/programs.mk -j$$(nproc) $(IMAGE_PROGRAMS); lab/build-module $(KERNEL_ONE); lab/image $(KERNEL_ONE)'

lab-shell: image
	@$(ENTER) lab/boot --shell $(LAB_BOOT) $(KERNEL_ONE)

demo: image
	@$(ENTER) lab/boot --run demo $(LAB_BOOT) $(KERNEL_ONE)

bench: IMAGE_PROGRAMS = bench
bench: image
	@rm -f $(addprefix build$(addprefix /,$(FOREIGN))/,bench.samples bench.json)
	@$(ENTER) lab/boot --bench $(LAB_BOOT) $(KERNEL_ONE)
	@$(ENTER) bench/report $(KERNEL_ONE)
	@$(ENTER) bench/plot

clean:
	rm -rf build

distclean: clean
	@. lab/env && rm -rf "$$CACHE"

.PHONY: help amd64 lab module model packages dist check check-kernels check-packages check-drivers debug-kernel check-debug kcsan-kernel check-kcsan debug-rt-kernel check-debug-rt stress fuzz peers rust go image lab-shell demo bench clean distclean
SHELL := /bin/bash
