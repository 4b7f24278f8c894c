/* SPDX-License-Identifier: MIT */
/* vfio-dmabuf revoke, renew: leases, by their numbers. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "output.h"
#include "target.h"

#define MAX	64

static struct {
	uint64_t ids[MAX];
	int nr;
	uint64_t seconds;
} args;

static const struct argp_option renew_options[] = {
	{ "time", 't', "TIME", 0, "the time from now (30s, 5m, 2h); without it, as long as their slices allow", 0 },
	{ 0 }
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = NULL;
		return 0;
	case 't':
		if (!parse_seconds(arg, &args.seconds) || !args.seconds || args.seconds > UINT32_MAX)
			argp_error(state, "\"%s\" is not a time; write seconds, or 30s, 5m, 2h, 1d", arg);
		return 0;
	case ARGP_KEY_ARG:
		if (args.nr == MAX)
			argp_error(state, "at most %d leases are allowed", MAX);
		if (!parse_number(arg, &args.ids[args.nr++]))
			argp_error(state, "\"%s\" is not the number of a lease, decimal or 0x...; vfio-dmabuf leases shows them", arg);
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "give a lease; vfio-dmabuf leases shows them");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* Calls @change once for each lease.  It returns an object for JSON. */
static int change_all(json_t *(*change)(struct vdb_client *client, uint64_t lease))
{
	struct vdb_client *client = connect_broker();
	json_t *list, *one;
	int ret = 0;

	if (!client)
		return STATUS_FAILED;
	list = json_array();
	for (int i = 0; i < args.nr; i++) {
		one = change(client, args.ids[i]);
		if (one)
			json_array_append_new(list, one);
		else
			ret = fail("lease %" PRIu64 ": %s", args.ids[i], vdb_client_error(client)[0] ?
				   vdb_client_error(client) : strerror(errno));
	}
	vdb_client_close(client);
	/* Prints the leases that were changed, also if others could not be. */
	if (common.json)
		print_json(list);
	else
		json_decref(list);
	return ret;
}

static json_t *revoke_one(struct vdb_client *client, uint64_t lease)
{
	if (vdb_client_revoke(client, lease))
		return NULL;
	return json_pack("{s:I}", "lease", (json_int_t)lease);
}

static json_t *renew_one(struct vdb_client *client, uint64_t lease)
{
	int64_t seconds = vdb_client_renew(client, lease, args.seconds);

	if (seconds < 0)
		return NULL;
	if (!common.json && seconds)
		printf("lease %" PRIu64 ": %" PRId64 " s left\n", lease, seconds);
	else if (!common.json)
		printf("lease %" PRIu64 ": no limit\n", lease);
	return json_pack("{s:I,s:o}", "lease", (json_int_t)lease, "seconds", json_number(seconds, 0));
}

int cmd_revoke(int argc, char **argv)
{
	static const struct argp argp = {
		.parser = parse, .args_doc = "LEASE...", .children = common_options,
		.doc = "Revokes leases, for administrators of the broker. When the command returns, no process"
		       " can access the slices through these leases.",
	};

	parse_command(&argp, argc, argv, 0, NULL);
	return change_all(revoke_one);
}

int cmd_renew(int argc, char **argv)
{
	static const struct argp argp = {
		.options = renew_options, .parser = parse, .args_doc = "LEASE...", .children = common_options,
		.doc = "Renews leases, for administrators of the broker."
		       "\vThe new time starts now. It can be shorter than the time that is left, and at most"
		       " what the configuration allows for the slice. Programs renew their own leases"
		       " (vdb_client_renew(), vfio-dmabuf run).",
	};

	parse_command(&argp, argc, argv, 0, NULL);
	return change_all(renew_one);
}
