/* SPDX-License-Identifier: MIT */
/* vfio-dmabuf: share slices of PCI devices; vfio-dmabuf(1). */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"

struct command {
	const char *name;
	int (*run)(int argc, char **argv);
	const char *help;
};

static const struct command commands[] = {
	{ "list", cmd_list, "PCI functions, their drivers and BARs" },
	{ "bind", cmd_bind, "bind functions to dmabuf-vfio-pci" },
	{ "unbind", cmd_unbind, "return functions to their former driver" },
	{ "show", cmd_show, "which processes hold which parts of a function's BARs" },
	{ "devices", cmd_devices, "devices whose slices can be leased" },
	{ "slices", cmd_slices, "slices that the broker leases" },
	{ "leases", cmd_leases, "leases that the broker has granted" },
	{ "renew", cmd_renew, "renew leases: give them more time" },
	{ "revoke", cmd_revoke, "revoke leases" },
	{ "watch", cmd_watch, "print events of leases and devices" },
	{ "status", cmd_status, "the state of the broker" },
	{ "reload", cmd_reload, "reload the broker's configuration" },
	{ "read", cmd_read, "read registers through a slice" },
	{ "write", cmd_write, "write a register through a slice" },
	{ "run", cmd_run, "run a program with slices" },
	{ "doctor", cmd_doctor, "what is missing on this machine" },
	{ "help", cmd_help, "what a command does, and its options" },
};

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
	fputs("Usage: vfio-dmabuf COMMAND [OPTION...] [ARGUMENT...]\n"
	      "Share parts of PCI devices' BARs between processes.\n\n", stream);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		fprintf(stream, "  %-8s %s\n", commands[i].name, commands[i].help);
	fputs("\nOptions of every command, before or after its name:\n"
	      "  -j, --json         print JSON\n"
	      "  -S, --socket=PATH  the broker's socket\n"
	      "  -h, --help         what the command does, and its options\n"
	      "  -V, --version      print the version\n"
	      "\nFor details, see vfio-dmabuf(1).\n", stream);
}

/* If the output could not be written, the command has failed. */
static int finish(int status)
{
	if (fflush(stdout) || ferror(stdout))
		return fail("stdout: %s", strerror(errno));
	return status;
}

/* NULL after printing an error. */
static const struct command *find(const char *name)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(name, commands[i].name))
			return &commands[i];
	fprintf(stderr, "vfio-dmabuf: there is no command \"%s\"; vfio-dmabuf --help lists them\n", name);
	return NULL;
}

static int run(int argc, char **argv)
{
	const struct command *command = find(argv[0]);
	static char name[64];

	if (!command)
		return STATUS_USAGE;
	/* The name of the program in argp's messages. */
	snprintf(name, sizeof(name), "vfio-dmabuf %s", argv[0]);
	argv[0] = name;
	return command->run(argc, argv);
}

static int help_for(char *name)
{
	char *argv[] = { name, "--help", NULL };

	return run(2, argv);
}

int cmd_help(int argc, char **argv)
{
	static const struct argp argp = {
		.children = common_options, .args_doc = "[COMMAND]",
		.doc = "Describes a command and its options. Without COMMAND, lists all commands.",
	};

	if (argc == 2 && argv[1][0] != '-')
		return help_for(argv[1]);
	if (argc > 1)
		parse_command(&argp, argc, argv, 0, NULL);
	help(stdout);
	return 0;
}

int main(int argc, char **argv)
{
	bool wants_help = false;
	int first = parse_leading_options(argc, argv, &wants_help);

	if (first < 0)
		return STATUS_USAGE;
	if (first == argc) {
		help(wants_help ? stdout : stderr);
		return wants_help ? finish(0) : STATUS_USAGE;
	}
	if (wants_help)
		return finish(help_for(argv[first]));
	return finish(run(argc - first, argv + first));
}
