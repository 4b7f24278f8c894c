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
/* "64-bit, prefetchable"; the buffer is static as well. */
const char *bar_kind(const struct vdb_bar *bar);
/* Of a mapping or slice. */
json_t *json_range(uint64_t offset, uint64_t length);
/* A text, or null if it is "". */
json_t *json_text(const char *text);
/* A number, or null if it is @none. */
json_t *json_number(uint64_t number, uint64_t none);
/* An IOMMU group, or null if it is "". */
json_t *json_group(const char *group);
/*
 * The client that has a lease: adds client, pid, uid and gid, which are null if that
 * client has disconnected.
 */
void json_add_client(json_t *object, const char *client, uint32_t pid, uint32_t uid, uint32_t gid);
/* Prints a value on stdout, and frees it. */
void print_json(json_t *value);
/* The same on one line, which is written immediately. */
void print_json_line(json_t *value);
/* Columns of the terminal; 80 if there is none. */
unsigned int terminal_width(void);

#endif
