/* SPDX-License-Identifier: MIT */
/* vfio-dmabuf: share slices of PCI devices; vfio-dmabuf(1). */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"

static const struct {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help;
} commands[] = {
	{ "list", cmd_list, "PCI functions, their drivers and BARs" },
	{ "bind", cmd_bind, "give functions to dmabuf-vfio-pci" },
	{ "unbind", cmd_unbind, "give functions back to the driver they had" },
	{ "show", cmd_show, "who holds which part of a function's BARs" },
	{ "slices", cmd_slices, "what the broker lends" },
	{ "leases", cmd_leases, "what the broker has lent" },
	{ "revoke", cmd_revoke, "take leases away" },
	{ "status", cmd_status, "how the broker is" },
	{ "reload", cmd_reload, "have the broker read its configuration again" },
	{ "read", cmd_read, "read registers through a slice" },
	{ "write", cmd_write, "write a register through a slice" },
	{ "run", cmd_run, "run a program with slices" },
	{ "doctor", cmd_doctor, "what is missing on this machine" },
};

struct common common;

static error_t parse_common(int key, char *arg, struct argp_state *state)
{
	(void)state;
	switch (key) {
	case 'j':
		common.json = true;
		return 0;
	case 'S':
		common.socket = arg;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option common_table[] = {
	{ "json", 'j', NULL, 0, "print JSON", 0 },
	{ "socket", 'S', "PATH", 0, "the broker's socket", 0 },
	{ 0 }
};

static const struct argp common_argp = { .options = common_table, .parser = parse_common };
const struct argp_child common_options[] = { { .argp = &common_argp }, { 0 } };

const char *argp_program_version = "vfio-dmabuf " VERSION;

error_t parse_nothing(int key, char *arg, struct argp_state *state)
{
	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = NULL;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "\"%s\" is one argument too many", arg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int fail(const char *format, ...)
{
	va_list args;

	fflush(stdout);
	fputs("vfio-dmabuf: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	return STATUS_FAILED;
}

static void help(FILE *stream)
{
	fputs("Usage: vfio-dmabuf COMMAND [OPTION...]\n"
	      "Share parts of PCI devices' BARs between processes.\n\n", stream);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		fprintf(stream, "  %-8s %s\n", commands[i].name, commands[i].help);
	fputs("\nCOMMAND --help says more; so does vfio-dmabuf(1).\n", stream);
}

/* What could not be printed has not been done. */
static int finish(int status)
{
	if (fflush(stdout) || ferror(stdout))
		return fail("stdout: %s", strerror(errno));
	return status;
}

int main(int argc, char **argv)
{
	argp_err_exit_status = STATUS_USAGE;
	if (argc < 2) {
		help(stderr);
		return STATUS_USAGE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "help")) {
		help(stdout);
		return 0;
	}
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
		puts(argp_program_version);
		return 0;
	}
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		static char name[64];

		if (strcmp(argv[1], commands[i].name))
			continue;
		/* What argp calls the program in its messages. */
		snprintf(name, sizeof(name), "vfio-dmabuf %s", argv[1]);
		argv[1] = name;
		return finish(commands[i].run(argc - 1, argv + 1));
	}
	fprintf(stderr, "vfio-dmabuf: there is no command \"%s\"; vfio-dmabuf --help lists them\n", argv[1]);
	return STATUS_USAGE;
}
