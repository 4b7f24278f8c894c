# SPDX-License-Identifier: MIT
# Builds the guest's and the unit tests' programs; run by make in the root, in
# the project's top directory.
#
# tests/vm/test_*.c	one program each, with tests/vm/support, in build/user/tests
# bench/vm/*.c		likewise, with bench/support as well, in build/user/bench
# examples/*.c		one program each, in build/user/programs
# lab/guest/runner.c	what runs them
# tests/unit/test_*.c	one program each, with sanitizers, in build/unit

CFLAGS := -std=gnu17 -O2 -g -Wall -Wextra -Werror -MMD -MP
GUEST_CPPFLAGS := -Iinclude/uapi -Itests/vm/support -Itests/vm/modules -Imodule
UNIT_CPPFLAGS := -Itests/unit/shim -Iinclude/uapi -Iinclude -Imodule
UNIT_CFLAGS := -fsanitize=address,undefined -fno-sanitize-recover=all
CHECK_LIBS := $(shell pkgconf --libs --static check)

support := $(patsubst tests/vm/support/%.c,build/user/support/%.o,$(wildcard tests/vm/support/*.c))
bench_support := $(patsubst bench/support/%.c,build/user/bench-support/%.o,$(wildcard bench/support/*.c))
tests := $(patsubst tests/vm/%.c,build/user/tests/%,$(wildcard tests/vm/test_*.c))
benches := $(patsubst bench/vm/%.c,build/user/bench/%,$(wildcard bench/vm/*.c))
examples := $(patsubst examples/%.c,build/user/programs/%,$(wildcard examples/*.c))
units := $(patsubst tests/unit/%.c,build/unit/%,$(wildcard tests/unit/test_*.c))

all: user unit
user: build/user/runner $(tests) $(examples)
bench: build/user/runner $(benches)
unit: $(units)

build/user/support/%.o: tests/vm/support/%.c
	@mkdir -p $(@D)
	$(CC) $(GUEST_CPPFLAGS) $(CFLAGS) -c -o $@ $<

build/user/tests/%: tests/vm/%.c $(support)
	@mkdir -p $(@D)
	$(CC) $(GUEST_CPPFLAGS) $(CFLAGS) -o $@ $< $(support) $(CHECK_LIBS)

build/user/bench-support/%.o: bench/support/%.c
	@mkdir -p $(@D)
	$(CC) $(GUEST_CPPFLAGS) -Ibench/support $(CFLAGS) -c -o $@ $<

build/user/bench/%: bench/vm/%.c $(bench_support) $(support)
	@mkdir -p $(@D)
	$(CC) $(GUEST_CPPFLAGS) -Ibench/support $(CFLAGS) -o $@ $< $(bench_support) $(support) $(CHECK_LIBS)

build/user/programs/%: examples/%.c
	@mkdir -p $(@D)
	$(CC) -Iinclude/uapi $(CFLAGS) -o $@ $<

build/user/runner: lab/guest/runner.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) -static -o $@ $<

build/unit/%: tests/unit/%.c
	@mkdir -p $(@D)
	$(CC) $(UNIT_CPPFLAGS) $(CFLAGS) $(UNIT_CFLAGS) -o $@ $< $(CHECK_LIBS)

# A program that lost its source must not be run again.
stale := $(filter-out $(tests) $(benches) $(examples) $(units), \
	$(filter-out %.d,$(wildcard build/user/tests/* build/user/bench/* build/user/programs/* build/unit/test_*)))
$(shell rm -f $(stale) $(stale:=.d))

-include $(wildcard build/user/*.d build/user/*/*.d build/unit/*.d)
.PHONY: all user unit bench
.SECONDARY: $(support) $(bench_support)
