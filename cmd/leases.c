/* SPDX-License-Identifier: MIT */
/* vfio-dmabuf slices, leases, revoke: what the broker lends, and has lent. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "common/names.h"
#include "output.h"
#include "target.h"

/* What it is doing; of one that is granted, what the slice is. */
static const char *what_of(const struct vdb_lease_info *info)
{
	return info->phase == VDB_LEASE_GRANTED ? state_name(info->state) : lease_phase_name(info->phase);
}

/* "3", or "any" of a request that waits. */
static const char *index_text(const struct vdb_lease_info *info, char text[16])
{
	snprintf(text, 16, "%u", info->index);
	return info->index == VDB_ANY_INDEX ? "any" : text;
}

/* Each item goes to the list if there is one, else to stdout. */
static bool on_slice(const struct vdb_slice_info *info, void *data)
{
	json_t *list = data;

	if (list) {
		json_array_append_new(list, json_pack(
			"{s:s,s:s,s:i,s:I,s:I,s:b,s:b,s:b,s:I,s:I,s:I,s:I,s:s}",
			"name", info->name, "bdf", info->bdf, "bar", info->bar,
			"offset", (json_int_t)info->offset, "length", (json_int_t)info->length,
			"read_only", info->flags & VDB_FLAG_READ_ONLY, "write_combining", info->flags & VDB_FLAG_WC,
			"exclusive", info->exclusive, "count", (json_int_t)info->count,
			"free", (json_int_t)info->free, "waiting", (json_int_t)info->waiting,
			"max_seconds", (json_int_t)info->max_seconds, "device", device_phase_name(info->device)));
		return true;
	}
	printf("%-24s  %s BAR %u 0x%" PRIx64 "+0x%" PRIx64 "  %u of %u free%s%s%s", info->name, info->bdf,
	       info->bar, info->offset, info->length, info->free, info->count,
	       info->exclusive ? "" : ", shared", info->flags & VDB_FLAG_READ_ONLY ? ", read-only" : "",
	       info->flags & VDB_FLAG_WC ? ", write-combining" : "");
	if (info->waiting)
		printf(", %u waiting", info->waiting);
	if (info->max_seconds)
		printf(", %u s at most", info->max_seconds);
	if (info->device != VDB_DEVICE_OPEN)
		printf(", its device is %s", device_phase_name(info->device));
	putchar('\n');
	return true;
}

static bool on_lease(const struct vdb_lease_info *info, void *data)
{
	json_t *list = data;
	char text[16];

	if (list) {
		json_array_append_new(list, json_pack(
			"{s:I,s:s,s:I,s:s,s:i,s:I,s:I,s:b,s:b,s:s,s:s,s:I,s:I,s:I,s:I}",
			"lease", (json_int_t)info->id, "slice", info->name, "index", (json_int_t)info->index,
			"bdf", info->bdf, "bar", info->bar,
			"offset", (json_int_t)info->offset, "length", (json_int_t)info->length,
			"read_only", info->flags & VDB_FLAG_READ_ONLY, "write_combining", info->flags & VDB_FLAG_WC,
			"state", what_of(info), "client", info->client,
			"pid", (json_int_t)info->pid, "uid", (json_int_t)info->uid, "gid", (json_int_t)info->gid,
			"seconds", (json_int_t)info->seconds));
		return true;
	}
	printf("%-6" PRIu64 "  %s[%s]  %s BAR %u 0x%" PRIx64 "+0x%" PRIx64 "  %s%s  %s, pid %u, uid %u",
	       info->id, info->name, index_text(info, text), info->bdf, info->bar, info->offset, info->length,
	       what_of(info), info->flags & VDB_FLAG_READ_ONLY ? ", read-only" : "",
	       info->client, info->pid, info->uid);
	if (info->seconds)
		printf(", %u s left", info->seconds);
	putchar('\n');
	return true;
}

/* The broker's list, printed; @ask is the library's function for it. */
static int print_list(int (*ask)(struct vdb_client *client, json_t *list))
{
	struct vdb_client *client = connect_broker();
	json_t *list;
	int ret;

	if (!client)
		return STATUS_FAILED;
	list = common.json ? json_array() : NULL;
	ret = ask(client, list);
	if (ret)
		fail("the broker's list: %s", vdb_client_error(client)[0] ?
		     vdb_client_error(client) : strerror(errno));
	vdb_client_close(client);
	if (list && !ret)
		print_json(list);
	else
		json_decref(list);
	return ret ? STATUS_FAILED : 0;
}

static int ask_slices(struct vdb_client *client, json_t *list)
{
	return vdb_client_slices(client, on_slice, list);
}

static int ask_leases(struct vdb_client *client, json_t *list)
{
	return vdb_client_leases(client, on_lease, list);
}

int cmd_slices(int argc, char **argv)
{
	static const struct argp argp = {
		.parser = parse_nothing, .children = common_options,
		.doc = "Lists the slices that the broker would lend to you.",
	};

	argp_parse(&argp, argc, argv, 0, NULL, NULL);
	return print_list(ask_slices);
}

int cmd_leases(int argc, char **argv)
{
	static const struct argp argp = {
		.parser = parse_nothing, .children = common_options,
		.doc = "Lists the leases of all clients, for administrators of the broker."
		       "\vOthers would see those of their own connection, and this command has none.",
	};

	argp_parse(&argp, argc, argv, 0, NULL, NULL);
	return print_list(ask_leases);
}

static uint64_t ids[64];
static int nr_ids;

static error_t parse_revoke(int key, char *arg, struct argp_state *state)
{
	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = NULL;
		return 0;
	case ARGP_KEY_ARG:
		if (nr_ids == 64)
			argp_error(state, "64 leases at most");
		if (!parse_number(arg, &ids[nr_ids++]))
			argp_error(state, "\"%s\" is no lease; vfio-dmabuf leases shows their numbers", arg);
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "which lease? vfio-dmabuf leases shows them");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

int cmd_revoke(int argc, char **argv)
{
	static const struct argp argp = {
		.parser = parse_revoke, .args_doc = "LEASE...", .children = common_options,
		.doc = "Takes leases away: when it returns, their clients reach nothing any more.",
	};
	struct vdb_client *client;
	int ret = 0;

	argp_parse(&argp, argc, argv, 0, NULL, NULL);
	client = connect_broker();
	if (!client)
		return STATUS_FAILED;
	for (int i = 0; i < nr_ids; i++)
		if (vdb_client_revoke(client, ids[i]))
			ret = fail("lease %" PRIu64 ": %s", ids[i], vdb_client_error(client));
	vdb_client_close(client);
	if (!ret && common.json) {
		json_t *list = json_array();

		for (int i = 0; i < nr_ids; i++)
			json_array_append_new(list, json_integer(ids[i]));
		print_json(list);
	}
	return ret;
}
