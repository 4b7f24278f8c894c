/* SPDX-License-Identifier: MIT */
/* The command, run as people and scripts run it. */
#define _GNU_SOURCE
#include "command.h"

#include <pty.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "schema.h"
#include "suite.h"

/* The schema is a part of the program. */
__asm__(".section .rodata\n"
	"schema_begin: .incbin \"docs/command.schema.json\"\n"
	"schema_end:\n"
	".previous\n");
/* Hidden: with addresses from the GOT, arm64's linker takes the one for the other. */
extern const char schema_begin[] __attribute__((visibility("hidden")));
extern const char schema_end[] __attribute__((visibility("hidden")));

char command_out[262144];

static int run(const char *command)
{
	FILE *pipe = popen(command, "r");
	size_t length;
	int status;

	ck_assert_ptr_nonnull(pipe);
	length = fread(command_out, 1, sizeof(command_out) - 1, pipe);
	command_out[length] = '\0';
	status = pclose(pipe);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int vrun(const char *before, const char *format, va_list args, const char *after)
{
	char command[1024], text[800];

	ck_assert_int_lt(vsnprintf(text, sizeof(text), format, args), sizeof(text));
	snprintf(command, sizeof(command), "{ %s%s; } %s", before, text, after);
	return run(command);
}

int shell(const char *format, ...)
{
	va_list args;
	int status;

	va_start(args, format);
	status = vrun("", format, args, "2>&1");
	va_end(args);
	return status;
}

int vfio_dmabuf(const char *format, ...)
{
	va_list args;
	int status;

	va_start(args, format);
	status = vrun("vfio-dmabuf ", format, args, "2>&1");
	va_end(args);
	return status;
}

json_t *vfio_dmabuf_json(const char *format, ...)
{
	char command[32];
	va_list args;
	int status;

	va_start(args, format);
	status = vrun("vfio-dmabuf ", format, args, "");
	va_end(args);
	ck_assert_msg(!status, "status %d: %s", status, command_out);
	snprintf(command, sizeof(command), "%.*s", (int)strcspn(format, " "), format);
	return command_json(command, command_out);
}

json_t *command_json(const char *command, const char *text)
{
	static json_t *schema;
	json_error_t error;
	char why[512];
	json_t *value;

	if (!schema)
		schema = json_loadb(schema_begin, schema_end - schema_begin, 0, &error);
	ck_assert_msg(schema, "the schema: line %d: %s", error.line, error.text);
	value = json_loads(text, 0, &error);
	ck_assert_msg(value, "line %d: %s: %s", error.line, error.text, text);
	ck_assert_msg(schema_check(schema, command, value, why, sizeof(why)), "%s: %s", why, text);
	return value;
}

/* The terminal's output, and where the part begins that was not expected yet. */
static struct {
	char text[65536];
	size_t length, at;
} said;

pid_t terminal_open(int *terminal)
{
	pid_t pid = forkpty(terminal, NULL, NULL, NULL);

	ck_assert_works(pid);
	if (!pid) {
		execlp("bash", "bash", "--norc", "--noprofile", "-i", NULL);
		_exit(127);
	}
	said.length = said.at = 0;
	return pid;
}

void terminal_type(int terminal, const char *keys)
{
	ck_assert_int_eq(write(terminal, keys, strlen(keys)), strlen(keys));
}

void terminal_expect(int terminal, const char *text)
{
	char *found;

	while (!(found = strstr(said.text + said.at, text))) {
		ssize_t n = read(terminal, said.text + said.length, sizeof(said.text) - 1 - said.length);

		ck_assert_msg(n > 0, "\"%s\" is not in: %s", text, said.text);
		said.length += n;
		said.text[said.length] = '\0';
	}
	said.at = found + strlen(text) - said.text;
}

void check_says(const char *text)
{
	ck_assert_msg(strstr(command_out, text), "\"%s\" is not in: %s", text, command_out);
}

void check_says_not(const char *text)
{
	ck_assert_msg(!strstr(command_out, text), "\"%s\" is in: %s", text, command_out);
}
