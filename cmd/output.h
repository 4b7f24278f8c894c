/* SPDX-License-Identifier: MIT */
/* Printing: sizes for people, JSON for programs. */
#ifndef CMD_OUTPUT_H
#define CMD_OUTPUT_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include <vfio-dmabuf.h>

/* "16 KiB"; the buffer is static, for one use at a time. */
const char *human_size(uint64_t bytes);
/* "64-bit, prefetchable"; the same. */
const char *bar_kind(const struct vdb_bar *bar);
/* Of a mapping or slice. */
json_t *json_range(uint64_t offset, uint64_t length);
/* Prints a value on stdout, and forgets it. */
void print_json(json_t *value);
/* Columns of the terminal; 80 if there is none. */
unsigned int terminal_width(void);

#endif
