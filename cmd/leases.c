/* SPDX-License-Identifier: MIT */
/* vfio-dmabuf slices, leases: what the broker leases to clients, and has granted. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "common/names.h"
#include "output.h"
#include "table.h"
#include "target.h"

/* Where each item is added. */
struct listing {
	json_t *list;		/* or */
	struct table table;
};

/* The phase of a lease; if it is granted, the state of its slice. */
static const char *what_of(const struct vdb_lease_info *info)
{
	return info->phase == VDB_LEASE_GRANTED ? state_name(info->state) : lease_phase_name(info->phase);
}

/* "10 s", or "-" if there is no limit. */
static void add_seconds(struct table *table, uint32_t seconds)
{
	if (seconds)
		table_add(table, "%u s", seconds);
	else
		table_add(table, "-");
}

/* "2 MiB", or "-" if there is none. */
static void add_memory(struct table *table, uint64_t bytes)
{
	table_add(table, "%s", bytes ? human_size(bytes) : "-");
}

static void add_interrupt(struct table *table, bool interrupt)
{
	table_add(table, "%s", interrupt ? "yes" : "-");
}

/* ---- slices ---- */

static const char *const slice_columns[] = {
	"SLICE", "FUNCTION", ">BAR", ">OFFSET", ">LENGTH", ">MEMORY", "INTERRUPT", ">FREE", ">WAITING", ">LIMIT", "DEVICE", "KIND", NULL
};

static json_t *json_of_slice(const struct vdb_slice_info *info)
{
	return json_pack("{s:s,s:s,s:i,s:I,s:I,s:b,s:b,s:I,s:b,s:b,s:I,s:I,s:I,s:o,s:s}",
			 "name", info->name, "bdf", info->bdf, "bar", info->bar,
			 "offset", (json_int_t)info->offset, "length", (json_int_t)info->length,
			 "read_only", info->flags & VDB_FLAG_READ_ONLY, "write_combining", info->flags & VDB_FLAG_WC,
			 "memory", (json_int_t)info->memory, "interrupt", info->interrupt,
			 "exclusive", info->exclusive, "count", (json_int_t)info->count,
			 "free", (json_int_t)info->free, "waiting", (json_int_t)info->waiting,
			 "max_seconds", json_number(info->max_seconds, 0), "device", device_phase_name(info->device));
}

static bool on_slice(const struct vdb_slice_info *info, void *data)
{
	struct listing *listing = data;
	struct table *table = &listing->table;

	if (listing->list) {
		json_array_append_new(listing->list, json_of_slice(info));
		return true;
	}
	table_add(table, "%s", info->name);
	table_add(table, "%s", info->bdf);
	table_add(table, "%u", info->bar);
	table_add(table, "0x%" PRIx64, info->offset);
	table_add(table, "%s", human_size(info->length));
	add_memory(table, info->memory);
	add_interrupt(table, info->interrupt);
	table_add(table, "%u of %u", info->free, info->count);
	table_add(table, "%u", info->waiting);
	add_seconds(table, info->max_seconds);
	table_add(table, "%s", device_phase_name(info->device));
	table_add(table, "%s%s%s", info->exclusive ? "exclusive" : "shared",
		  info->flags & VDB_FLAG_READ_ONLY ? ", read-only" : "",
		  info->flags & VDB_FLAG_WC ? ", write-combining" : "");
	return true;
}

/* ---- leases ---- */

static const char *const lease_columns[] = {
	"LEASE", "SLICE", "FUNCTION", ">BAR", ">OFFSET", ">LENGTH", ">MEMORY", "INTERRUPT", "STATE", ">LEFT", "CLIENT", ">PID", ">UID", NULL
};

static json_t *json_of_lease(const struct vdb_lease_info *info)
{
	json_t *value = json_pack(
		"{s:I,s:s,s:o,s:s,s:i,s:I,s:I,s:b,s:b,s:I,s:o,s:b,s:s,s:o,s:o}",
		"lease", (json_int_t)info->id, "slice", info->name, "index", json_number(info->index, VDB_ANY_INDEX),
		"bdf", info->bdf, "bar", info->bar,
		"offset", (json_int_t)info->offset, "length", (json_int_t)info->length,
		"read_only", info->flags & VDB_FLAG_READ_ONLY, "write_combining", info->flags & VDB_FLAG_WC,
		"memory", (json_int_t)info->memory,
		"iova", info->iova ? json_integer((json_int_t)info->iova) : json_null(),
		"interrupt", info->interrupt,
		"state", what_of(info),
		"end", info->end == VDB_END_NONE ? json_null() : json_string(end_name(info->end) ?: "unknown"),
		"seconds", json_number(info->seconds, 0));

	json_add_client(value, info->client, info->pid, info->uid, info->gid);
	return value;
}

static bool on_lease(const struct vdb_lease_info *info, void *data)
{
	struct listing *listing = data;
	struct table *table = &listing->table;

	if (listing->list) {
		json_array_append_new(listing->list, json_of_lease(info));
		return true;
	}
	table_add(table, "%" PRIu64, info->id);
	if (info->index == VDB_ANY_INDEX)
		table_add(table, "%s[any]", info->name);
	else
		table_add(table, "%s[%u]", info->name, info->index);
	table_add(table, "%s", info->bdf);
	table_add(table, "%u", info->bar);
	table_add(table, "0x%" PRIx64, info->offset);
	table_add(table, "%s", human_size(info->length));
	add_memory(table, info->memory);
	add_interrupt(table, info->interrupt);
	table_add(table, "%s%s", what_of(info), info->flags & VDB_FLAG_READ_ONLY ? ", read-only" : "");
	add_seconds(table, info->seconds);
	/* A client that has disconnected has no process. */
	table_add(table, "%s", info->pid ? info->client : "-");
	for (int i = 0; i < 2; i++) {
		if (info->pid)
			table_add(table, "%u", i ? info->uid : info->pid);
		else
			table_add(table, "-");
	}
	return true;
}

/* ---- both ---- */

/* Prints a list of the broker; @ask is the library's function for it. */
static int print_list(int (*ask)(struct vdb_client *client, struct listing *listing), const char *const *columns)
{
	struct vdb_client *client = connect_broker();
	struct listing listing = { 0 };
	int ret;

	if (!client)
		return STATUS_FAILED;
	if (common.json)
		listing.list = json_array();
	table_begin(&listing.table, columns);
	ret = ask(client, &listing);
	if (ret)
		fail("the broker cannot be asked for its list: %s", vdb_client_error(client)[0] ?
		     vdb_client_error(client) : strerror(errno));
	vdb_client_close(client);
	table_end(&listing.table, stdout);
	if (listing.list && !ret)
		print_json(listing.list);
	else
		json_decref(listing.list);
	return ret ? STATUS_FAILED : 0;
}

static int ask_slices(struct vdb_client *client, struct listing *listing)
{
	return vdb_client_slices(client, on_slice, listing);
}

static int ask_leases(struct vdb_client *client, struct listing *listing)
{
	return vdb_client_leases(client, on_lease, listing);
}

int cmd_slices(int argc, char **argv)
{
	static const struct argp argp = {
		.parser = parse_nothing, .children = common_options,
		.doc = "Lists the slices that you can lease from the broker.",
	};

	parse_command(&argp, argc, argv, 0, NULL);
	return print_list(ask_slices, slice_columns);
}

int cmd_leases(int argc, char **argv)
{
	static const struct argp argp = {
		.parser = parse_nothing, .children = common_options,
		.doc = "Lists the leases of all clients. Only administrators of the broker can do this."
		       "\vA client that is not an administrator sees the leases of its own connection only. This command has none.",
	};

	parse_command(&argp, argc, argv, 0, NULL);
	return print_list(ask_leases, lease_columns);
}
