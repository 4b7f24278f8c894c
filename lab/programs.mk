# SPDX-License-Identifier: MIT
# Builds the guest's and the unit tests' programs; run by make in the root, in
# the project's top directory.
#
# tests/vm/test_*.c	one program each, with tests/vm/support, in build/user/tests;
#			test_stress with tests/vm/stress as well, test_igbvf*
#			with tests/vm/igbvf and drivers/igbvf
# bench/vm/*.c		likewise, with bench/support as well, in build/user/bench
# examples/*.c		one program each, in build/user/programs
# drivers/nvme/*.c	an owner of an NVMe controller and its client: test_nvme_queue as well, with
#			tests/vm/nvme
# common/*.c		what library, command and broker share; these programs as well
# bindings/rust		the crate's examples likewise, named rust-*
# tests/vm/rust		one program in Rust, build/user/rust-tests, which test_rust runs
# lab/guest/runner.c	what runs them
#
# tests/vm/test_library.c, test_passing.c	once more, with sanitizers in them and in
#			the library, in build/unit/vm: what the debug kernel's guest gets
# tests/vm/client32	one program of 32 bits, with the library's sources in it, in
#			build/user/programs, which test_client32 runs
# Library, command, broker and fio's engine are built by meson in build/meson, and once more
# with sanitizers, and with the unit tests of tests/unit, in build/unit.

# What lab/arch says, for programs of the guest.
arch := $(shell . lab/arch && echo "$$ARCH $$LIBDIR $$CROSS_COMPILE")
ARCH := $(word 1,$(arch))
CROSS_COMPILE := $(word 3,$(arch))
CC := $(CROSS_COMPILE)gcc
pkgconf := PKG_CONFIG_LIBDIR=/usr/$(word 2,$(arch))/pkgconfig:/usr/share/pkgconfig pkgconf

CFLAGS := -std=gnu17 -O2 -g -Wall -Wextra -Werror -MMD -MP
GUEST_CPPFLAGS := -I. -Iinclude -Iinclude/uapi -Itests/vm/support -Itests/vm/modules -Imodule
TEST_LIBS := $(shell $(pkgconf) --libs --static check) $(shell $(pkgconf) --libs jansson)

support := $(patsubst tests/vm/support/%.c,build/user/support/%.o,$(wildcard tests/vm/support/*.c)) \
	$(patsubst %.c,build/user/%.o,$(wildcard common/*.c))
# What test_stress consists of.
stress := $(patsubst tests/vm/stress/%.c,build/user/stress/%.o,$(wildcard tests/vm/stress/*.c))
# What test_workers drives: a layer of the broker.
devices := $(patsubst broker/%.c,build/user/broker/%.o,$(wildcard broker/devices/*.c) \
	broker/core/catalogue.c broker/core/table.c)
# What test_igbvf and others drive, and share.
igbvf := $(patsubst %.c,build/user/%.o,$(wildcard drivers/igbvf/*.c)) \
	$(patsubst tests/vm/%.c,build/user/%.o,$(wildcard tests/vm/igbvf/*.c))
igbvf_tests := $(patsubst tests/vm/%.c,build/user/tests/%,$(wildcard tests/vm/test_igbvf*.c))
DEVICES_CPPFLAGS := -Ibroker/core -Ibroker/devices
# Owner and client of an NVMe controller.
nvme := $(patsubst %.c,build/user/%.o,$(wildcard drivers/nvme/*.c))
nvme_load := $(patsubst tests/vm/%.c,build/user/%.o,$(wildcard tests/vm/nvme/*.c))
# An owner that lends queue pairs, for test_fio and benchmarks.
queues := $(patsubst tests/vm/%.c,build/user/%.o,$(wildcard tests/vm/queues/*.c)) $(nvme)
# The drive, and what fio says, for tests of fio.
fio := $(patsubst tests/vm/%.c,build/user/%.o,$(wildcard tests/vm/fio/*.c))
bench_support := $(patsubst bench/support/%.c,build/user/bench-support/%.o,$(wildcard bench/support/*.c))
tests := $(patsubst tests/vm/%.c,build/user/tests/%,$(wildcard tests/vm/test_*.c))
benches := $(patsubst bench/vm/%.c,build/user/bench/%,$(wildcard bench/vm/*.c))
examples := $(patsubst examples/%.c,build/user/programs/%,$(wildcard examples/*.c))
rust_examples := $(patsubst bindings/rust/examples/%.rs,build/user/programs/rust-%,$(wildcard bindings/rust/examples/*.rs))
# A second ABI of the guest's CPU, if that is x86-64.
client32 := $(if $(filter x86_64-%,$(shell $(CC) -dumpmachine)),build/user/programs/client32)

library := build/meson/lib/libvfio-dmabuf.so

all: user unit
user: build/user/runner $(tests) $(examples) $(client32)
# Debian's cargo compiles for its own architecture alone.
ifeq ($(CROSS_COMPILE),)
user: build/user/tsc $(rust_examples) build/user/rust-tests
endif
bench: build/user/runner $(benches)

# Ninja knows better than make what is out of date.
meson = @[ -e $(1)/build.ninja ] || meson setup --prefix=/usr $(2) $(1) >$(1).log 2>&1 || { cat $(1).log >&2; exit 1; }; \
	ninja -C $(1) $(if $(V),-v,--quiet)
# The engine of fio, if the root has fio's headers.
FIO := $(patsubst %/config-host.h,%,$(wildcard /usr/src/fio/config-host.h))
$(library): FORCE
	@mkdir -p build
	$(call meson,build/meson,$(if $(FIO),-Dfio=$(FIO)) $(if $(CROSS_COMPILE),--cross-file lab/$(ARCH).cross))
# That it builds for arm64 is the test.
unit: build/unit/vm/test_library build/unit/vm/test_passing build/arm64/libvfio-dmabuf.so
build/arm64/libvfio-dmabuf.so: $(wildcard lib/*.[ch] common/*.[ch] lib/*.map include/*.h include/uapi/linux/*.h)
	@mkdir -p $(@D)
	aarch64-linux-gnu-gcc $(filter-out -MMD -MP,$(CFLAGS)) -Wmissing-prototypes -D_GNU_SOURCE -fPIC -shared \
		-I. -Iinclude -Iinclude/uapi -Wl,--version-script=lib/libvfio-dmabuf.map -Wl,--no-undefined \
		-o $@ $(filter %.c,$^)
build/unit/lib/libvfio-dmabuf.a: FORCE
	@mkdir -p build
	$(call meson,build/unit,-Dtests=true -Db_sanitize=address$(comma)undefined -Db_lundef=false)
comma := ,

build/unit/vm/%: tests/vm/%.c $(wildcard tests/vm/support/*.[ch]) build/unit/lib/libvfio-dmabuf.a
	@mkdir -p $(@D)
	$(CC) $(GUEST_CPPFLAGS) $(filter-out -MMD -MP,$(CFLAGS)) -fsanitize=address,undefined -fno-sanitize-recover=all \
		-o $@ $(filter %.c %.a,$^) $(TEST_LIBS)

build/user/support/%.o: tests/vm/support/%.c
	@mkdir -p $(@D)
	$(CC) $(GUEST_CPPFLAGS) $(CFLAGS) -c -o $@ $<

build/user/common/%.o: common/%.c
	@mkdir -p $(@D)
	$(CC) $(GUEST_CPPFLAGS) $(CFLAGS) -D_GNU_SOURCE -c -o $@ $<

# It has the schema within it.
build/user/support/command.o: docs/command.schema.json

build/user/stress/%.o: tests/vm/stress/%.c
	@mkdir -p $(@D)
	$(CC) $(GUEST_CPPFLAGS) $(CFLAGS) -c -o $@ $<

build/user/broker/%.o: broker/%.c
	@mkdir -p $(@D)
	$(CC) $(GUEST_CPPFLAGS) $(DEVICES_CPPFLAGS) $(CFLAGS) -D_GNU_SOURCE -c -o $@ $<

build/user/drivers/%.o: drivers/%.c
	@mkdir -p $(@D)
	$(CC) $(GUEST_CPPFLAGS) $(CFLAGS) -D_GNU_SOURCE= -c -o $@ $<

build/user/nvme/%.o: tests/vm/nvme/%.c
	@mkdir -p $(@D)
	$(CC) $(GUEST_CPPFLAGS) -Itests/vm $(CFLAGS) -c -o $@ $<

build/user/queues/%.o: tests/vm/queues/%.c
	@mkdir -p $(@D)
	$(CC) $(GUEST_CPPFLAGS) -Idrivers/nvme $(CFLAGS) -c -o $@ $<

build/user/fio/%.o: tests/vm/fio/%.c
	@mkdir -p $(@D)
	$(CC) $(GUEST_CPPFLAGS) $(CFLAGS) -c -o $@ $<

build/user/tests/test_fio: $(queues) $(fio)
build/user/tests/test_fio: parts := $(queues) $(fio)
build/user/tests/test_fio: GUEST_CPPFLAGS += -Idrivers/nvme
build/user/tests/test_fio_broker: $(fio)
build/user/tests/test_fio_broker: parts := $(fio)
build/user/tests/test_fio_broker: GUEST_CPPFLAGS += -Idrivers/nvme
nvme_tests := $(addprefix build/user/tests/,test_nvme_queue test_nvme_broker test_examples)
$(nvme_tests): $(nvme) $(nvme_load)
$(nvme_tests): parts := $(nvme) $(nvme_load)
build/user/tests/test_nvme_queue: GUEST_CPPFLAGS += -Idrivers/nvme

build/user/tests/test_client32: GUEST_CPPFLAGS += -Itests/vm

build/user/igbvf/%.o: tests/vm/igbvf/%.c
	@mkdir -p $(@D)
	$(CC) $(GUEST_CPPFLAGS) $(CFLAGS) -c -o $@ $<

$(igbvf_tests): $(igbvf)
$(igbvf_tests): parts := $(igbvf)
build/user/tests/test_stress: $(stress)
build/user/tests/test_stress: parts := $(stress)
build/user/tests/test_workers: $(devices) $(nvme)
build/user/tests/test_workers: parts := $(devices) $(nvme) -lsystemd
build/user/tests/test_workers: GUEST_CPPFLAGS += $(DEVICES_CPPFLAGS)
build/user/tests/%: tests/vm/%.c $(support) $(library)
	@mkdir -p $(@D)
	$(CC) $(GUEST_CPPFLAGS) $(if $(parts),-Itests/vm) $(CFLAGS) -o $@ $< $(parts) $(support) $(library) $(TEST_LIBS)

build/user/bench-support/%.o: bench/support/%.c
	@mkdir -p $(@D)
	$(CC) $(GUEST_CPPFLAGS) -Ibench/support $(CFLAGS) -c -o $@ $<

build/user/bench/queue: $(queues)
build/user/bench/queue: parts := $(queues)
build/user/bench/queue: GUEST_CPPFLAGS += -Idrivers/nvme
build/user/bench/%: bench/vm/%.c $(bench_support) $(support) $(library)
	@mkdir -p $(@D)
	$(CC) $(GUEST_CPPFLAGS) -Ibench/support $(if $(parts),-Itests/vm) $(CFLAGS) -o $@ $< $(parts) \
		$(bench_support) $(support) $(library) $(TEST_LIBS)

build/user/programs/nvme: parts := build/meson/drivers/nvme/libvfio-dmabuf-nvme.a
build/user/programs/%: examples/%.c $(library)
	@mkdir -p $(@D)
	$(CC) -Iinclude -Iinclude/uapi $(CFLAGS) -o $@ $< $(parts) $(library)

build/user/programs/client32: $(wildcard tests/vm/client32/*.[ch] lib/*.[ch] common/*.[ch] include/*.h include/uapi/linux/*.h)
	@mkdir -p $(@D)
	$(CC) -m32 -static $(filter-out -MMD -MP,$(CFLAGS)) -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 \
		-I. -Iinclude -Iinclude/uapi -o $@ $(filter %.c,$^)

# Cargo knows better, too, and what it leaves alone keeps its time.
crate := build/rust/release/libvfio_dmabuf.rlib
$(crate): $(library) FORCE
	@lab/rust build

build/user/programs/rust-%: $(crate)
	@mkdir -p $(@D)
	@cmp -s build/rust/release/examples/$* $@ || install build/rust/release/examples/$* $@

build/user/rust-tests: $(wildcard tests/vm/rust/*.rs) $(crate)
	@mkdir -p $(@D)
	rustc --edition=2021 -O -C debug-assertions -C strip=debuginfo -D warnings -o $@ --extern vfio_dmabuf=$(crate) \
		--extern libc=$$(ls -t build/rust/release/deps/liblibc-*.rlib | head -n 1) \
		-L dependency=build/rust/release/deps -L native=build/meson/lib tests/vm/rust/main.rs

build/user/tsc: lab/tsc.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -o $@ $<

build/user/runner: lab/guest/runner.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -static -o $@ $<

# A program that lost its source must not be run again.
stale := $(filter-out $(tests) $(benches) $(examples) $(rust_examples) $(client32), \
	$(filter-out %.d,$(wildcard build/user/tests/* build/user/bench/* build/user/programs/*)))
$(shell rm -f $(stale) $(stale:=.d))

-include $(wildcard build/user/*.d build/user/*/*.d build/user/broker/*/*.d build/user/drivers/*/*.d)
.PHONY: all user unit bench FORCE
.SECONDARY: $(support) $(bench_support) $(stress) $(devices) $(nvme) $(nvme_load) $(igbvf) $(queues) $(fio)
