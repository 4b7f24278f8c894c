/* SPDX-License-Identifier: MIT */
/* The fuzzed functions. Each takes any bytes, and must return. */
#ifndef TESTS_FUZZ_TARGETS_H
#define TESTS_FUZZ_TARGETS_H

#include <stddef.h>
#include <stdint.h>

int fuzz_request(const uint8_t *data, size_t size);	/* requests to the broker */
int fuzz_client(const uint8_t *data, size_t size);	/* what a broker sends to the library */
int fuzz_config(const uint8_t *data, size_t size);	/* its configuration */
int fuzz_state(const uint8_t *data, size_t size);	/* what a former process has left */
int fuzz_pass(const uint8_t *data, size_t size);	/* slices from an untrusted process */
int fuzz_parse(const uint8_t *data, size_t size);	/* lines of people and of the kernel */

#endif
