/* SPDX-License-Identifier: MIT */
/* Options that every command has, before the command's name or after it. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>

#include "command.h"

enum { OPTION_USAGE = 0x200 };

struct common common;

static const char version[] = "vfio-dmabuf 0.1.0";

/* ---- after the name ---- */

static error_t parse_common(int key, char *arg, struct argp_state *state)
{
	switch (key) {
	case 'j':
		common.json = true;
		return 0;
	case 'S':
		common.socket = arg;
		return 0;
	case 'h':
		argp_state_help(state, stdout, ARGP_HELP_STD_HELP);
		return 0;
	case OPTION_USAGE:
		argp_state_help(state, stdout, ARGP_HELP_USAGE | ARGP_HELP_EXIT_OK);
		return 0;
	case 'V':
		puts(version);
		exit(0);
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static const struct argp_option common_table[] = {
	{ "json", 'j', NULL, 0, "print JSON", -2 },
	{ "socket", 'S', "PATH", 0, "the broker's socket", -2 },
	{ "help", 'h', NULL, 0, "print this", -1 },
	{ "usage", OPTION_USAGE, NULL, OPTION_HIDDEN, NULL, -1 },
	{ "version", 'V', NULL, 0, "print the version", -1 },
	{ 0 }
};

static const struct argp common_argp = { .options = common_table, .parser = parse_common };
const struct argp_child common_options[] = { { .argp = &common_argp }, { 0 } };

void parse_command(const struct argp *argp, int argc, char **argv, unsigned int flags, void *input)
{
	argp_err_exit_status = STATUS_USAGE;
	argp_parse(argp, argc, argv, flags | ARGP_NO_HELP, NULL, input);
}

error_t parse_nothing(int key, char *arg, struct argp_state *state)
{
	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = NULL;
		return 0;
	case ARGP_KEY_ARG:
		argp_error(state, "unexpected argument \"%s\"", arg);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* ---- before it ---- */

static int wrong_option(const char *option, const char *why)
{
	fprintf(stderr, "vfio-dmabuf: \"%s\" %s\n", option, why);
	return -1;
}

int parse_leading_options(int argc, char **argv, bool *help)
{
	static const struct option options[] = {
		{ "json", no_argument, NULL, 'j' },
		{ "socket", required_argument, NULL, 'S' },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ 0 }
	};
	int key, at = 1;

	opterr = 0;
	/* Up to the first argument that is not an option. */
	while ((key = getopt_long(argc, argv, "+:jS:hV", options, NULL)) != -1) {
		switch (key) {
		case 'j':
			common.json = true;
			break;
		case 'S':
			common.socket = optarg;
			break;
		case 'h':
			*help = true;
			break;
		case 'V':
			puts(version);
			exit(0);
		case ':':
			return wrong_option(argv[at], "needs a path after it");
		default:
			return wrong_option(argv[at], "cannot stand before the command; only --json, --socket PATH, --help and --version can");
		}
		at = optind;
	}
	return optind;
}
