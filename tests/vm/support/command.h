/* SPDX-License-Identifier: MIT */
/* The command, run as people and scripts run it. */
#ifndef TESTS_COMMAND_H
#define TESTS_COMMAND_H

#include <jansson.h>
#include <sys/types.h>

/* What the last one has said. */
extern char command_out[262144];

/* Runs a shell's command, its stderr with its stdout; the exit status. */
__attribute__((format(printf, 1, 2)))
int shell(const char *format, ...);
/* The same for one that begins with "vfio-dmabuf". */
__attribute__((format(printf, 1, 2)))
int vfio_dmabuf(const char *format, ...);
/*
 * What it prints on stdout; the test fails if it fails, or that is not what
 * docs/command.schema.json says of the command, which is the first word.
 */
__attribute__((format(printf, 1, 2)))
json_t *vfio_dmabuf_json(const char *format, ...);
/* JSON of a command; the test fails if it is not as the schema says. */
json_t *command_json(const char *command, const char *text);

/* An interactive bash on a terminal. */
pid_t terminal_open(int *terminal);
void terminal_type(int terminal, const char *keys);
/* Waits for this output, after what was expected before. */
void terminal_expect(int terminal, const char *text);

void check_says(const char *text);
void check_says_not(const char *text);

#define ck_assert_runs(...)	do {					\
	int ck_status = vfio_dmabuf(__VA_ARGS__);			\
	ck_assert_msg(!ck_status, "status %d: %s", ck_status, command_out); \
} while (0)

#endif
