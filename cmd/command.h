/* SPDX-License-Identifier: MIT */
/* What the subcommands share. */
#ifndef CMD_COMMAND_H
#define CMD_COMMAND_H

#include <argp.h>
#include <stdbool.h>

/* Exit statuses: 1: failed, 2: used in a wrong way. */
#define STATUS_FAILED	1
#define STATUS_USAGE	2

/* Options that every subcommand has. */
struct common {
	bool json;
	const char *socket;	/* of the broker; NULL: the default path */
};

extern struct common common;
/* For .children of a subcommand's struct argp. */
extern const struct argp_child common_options[];

/*
 * argp_parse() for a subcommand.  It exits if the subcommand is used in a wrong way, or
 * if help is requested.
 */
void parse_command(const struct argp *argp, int argc, char **argv, unsigned int flags, void *input);
/*
 * Parses the options before the command.  Returns the command's index in argv, or prints
 * an error and returns -1.  @help is set to true if help is requested.
 */
int parse_leading_options(int argc, char **argv, bool *help);
/* A parser for subcommands that take no arguments. */
error_t parse_nothing(int key, char *arg, struct argp_state *state);

/* "vfio-dmabuf: ..." on stderr; returns STATUS_FAILED. */
__attribute__((format(printf, 1, 2)))
int fail(const char *format, ...);

/* Each receives argv from its own name on. */
int cmd_list(int argc, char **argv);
int cmd_bind(int argc, char **argv);
int cmd_unbind(int argc, char **argv);
int cmd_show(int argc, char **argv);
int cmd_devices(int argc, char **argv);
int cmd_slices(int argc, char **argv);
int cmd_leases(int argc, char **argv);
int cmd_renew(int argc, char **argv);
int cmd_revoke(int argc, char **argv);
int cmd_watch(int argc, char **argv);
int cmd_status(int argc, char **argv);
int cmd_reload(int argc, char **argv);
int cmd_read(int argc, char **argv);
int cmd_write(int argc, char **argv);
int cmd_run(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_help(int argc, char **argv);

#endif
