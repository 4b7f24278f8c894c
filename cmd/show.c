/* SPDX-License-Identifier: MIT */
/*
 * vfio-dmabuf show: what holds parts of a function's BARs.
 *
 * Each of three sources knows a part: the kernel's list of buffers (for root, and for
 * the user whose process has the device), the memory maps of processes, and the broker's
 * leases.  The list shows which mappings belong to which buffer.  Without it, mappings
 * have only their names, which their holders can change.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "buffers.h"
#include "command.h"
#include "memory_type.h"
#include "output.h"
#include "process.h"
#include "sysfs.h"
#include "target.h"

/* A holder, and the part of a BAR that it has. */
struct holder {
	unsigned int bar;
	uint64_t offset, length;
	enum memory_type type;	/* of a slice's mappings, or of this one */
	char text[256];
	json_t *json;		/* what it is */
};

static const char *bdf_argument;
static struct holder *holders;
static size_t nr_holders;
static struct buffers buffers;
static struct function function;
static struct mtrrs mtrrs;
static uint64_t bar_address[VDB_BARS];	/* 0: not known */
static bool listed;		/* whether the buffers are known */
static bool ranges_left_out;	/* a buffer has more than are listed */
static char bdf[16];

static error_t parse(int key, char *arg, struct argp_state *state)
{
	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = NULL;
		return 0;
	case ARGP_KEY_ARG:
		if (bdf_argument)
			argp_error(state, "only one function is allowed");
		bdf_argument = arg;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "give a function; vfio-dmabuf list shows them");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* @json: the same as the text. */
__attribute__((format(printf, 5, 6)))
static void add(unsigned int bar, uint64_t offset, uint64_t length, json_t *json, const char *format, ...)
{
	struct holder *holder;
	va_list args;

	holders = reallocarray(holders, nr_holders + 1, sizeof(*holder));
	if (!holders)
		abort();
	holder = &holders[nr_holders++];
	*holder = (struct holder){ .bar = bar, .offset = offset, .length = length, .json = json_incref(json) };
	va_start(args, format);
	vsnprintf(holder->text, sizeof(holder->text), format, args);
	va_end(args);
}

/* Sets the type of the holder that was added last.  Its page table entries have the buffer's attribute. */
static void add_type(const struct buffer *buffer)
{
	struct holder *last = &holders[nr_holders - 1];

	if (buffer->bar < VDB_BARS && bar_address[buffer->bar])
		last->type = memory_type_of(&mtrrs, !strcmp(buffer->memattr, "wc"),
					    bar_address[buffer->bar] + last->offset, last->length);
}

/* Slices only: BAR mappings are found with their processes. */
static void add_buffers(void)
{
	for (size_t i = 0; i < buffers.nr; i++) {
		const struct buffer *buffer = &buffers.list[i];
		char more[48] = "";
		json_t *json;

		if (!buffer->slice)
			continue;
		json = json_pack("{s:s,s:s,s:b,s:b,s:i,s:I}", "kind", "slice", "state", buffer->state,
				 "read_only", buffer->read_only, "write_combining", !strcmp(buffer->memattr, "wc"),
				 "mappings", buffer->mappings,
				 "more_ranges", (json_int_t)(buffer->nr_ranges - buffer->nr_known));
		if (buffer->nr_known < buffer->nr_ranges) {
			ranges_left_out = true;
			snprintf(more, sizeof(more), ", and %zu more ranges", buffer->nr_ranges - buffer->nr_known);
		}
		for (size_t j = 0; j < buffer->nr_known; j++) {
			add(buffer->bar, buffer->ranges[j].offset, buffer->ranges[j].length, json,
			    "slice, %s, %s, mapped %d times%s", buffer->state,
			    buffer->read_only ? "read-only" : "writable", buffer->mappings, more);
			add_type(buffer);
		}
		json_decref(json);
	}
}

/* A buffer's ranges are mapped consecutively, the first at its offset in the BAR. */
static void add_parts(const struct buffer *buffer, const struct mapping *mapping, json_t *json, const char *text)
{
	uint64_t begin = mapping->offset - buffer->ranges[0].offset, end = begin + mapping->length, at = 0;

	for (size_t i = 0; i < buffer->nr_known; i++) {
		uint64_t next = at + buffer->ranges[i].length;
		uint64_t from = begin > at ? begin : at, to = end < next ? end : next;

		if (from < to) {
			add(buffer->bar, buffer->ranges[i].offset + from - at, to - from, json, "%s", text);
			add_type(buffer);
		}
		at = next;
	}
}

static bool add_mapping(const char *line, void *data)
{
	const struct buffer *buffer;
	struct mapping mapping;
	const char *pid = data;
	char name[32], text[96];
	json_t *json;

	if (!parse_mapping(line, &mapping))
		return false;
	buffer = buffers_find(&buffers, mapping.inode);
	if (listed ? !buffer : strcmp(mapping.bdf, bdf))
		return false;
	process_name(pid, name);
	snprintf(text, sizeof(text), "mapped by %s, pid %.20s, %s", name, pid,
		 mapping.writable ? "writable" : "read-only");
	json = json_pack("{s:s,s:s,s:I,s:b}", "kind", "mapping", "process", name, "pid",
			 (json_int_t)strtoll(pid, NULL, 10), "read_only", !mapping.writable);
	if (buffer)
		add_parts(buffer, &mapping, json, text);
	else
		add(mapping.bar, mapping.offset, mapping.length, json, "%s", text);
	json_decref(json);
	return false;
}

static bool add_maps_of(const char *pid, void *unused)
{
	(void)unused;
	return process_any_mapping(pid, add_mapping, (void *)pid);
}

static bool add_lease(const struct vdb_lease_info *info, void *data)
{
	char memory[80] = "";
	json_t *json;

	(void)data;
	if (info->phase != VDB_LEASE_GRANTED && info->phase != VDB_LEASE_ENDING)
		return true;
	if (strcmp(info->bdf, bdf))
		return true;
	json = json_pack("{s:s,s:I,s:s,s:I,s:b,s:I,s:o,s:b}", "kind", "lease", "lease", (json_int_t)info->id,
			 "slice", info->name, "index", (json_int_t)info->index,
			 "read_only", info->flags & VDB_FLAG_READ_ONLY, "memory", (json_int_t)info->memory,
			 "iova", info->iova ? json_integer((json_int_t)info->iova) : json_null(),
			 "interrupt", info->interrupt);
	json_add_client(json, info->client, info->pid, info->uid, info->gid);
	if (info->memory)
		snprintf(memory, sizeof(memory), ", memory of %s at IOVA 0x%" PRIx64,
			 human_size(info->memory), info->iova);
	add(info->bar, info->offset, info->length, json, "lease %" PRIu64 " of %s[%u]: %.40s, pid %u, uid %u%s%s",
	    info->id, info->name, info->index, info->client, info->pid, info->uid, memory,
	    info->interrupt ? ", an interrupt" : "");
	json_decref(json);
	return true;
}

static void add_leases(void)
{
	struct vdb_client *client = vdb_client_connect(common.socket, BROKER_MS, NULL);

	if (client)
		vdb_client_leases(client, add_lease, NULL);
	vdb_client_close(client);
}

static int compare(const void *a, const void *b)
{
	const struct holder *x = a, *y = b;

	if (x->bar != y->bar)
		return x->bar < y->bar ? -1 : 1;
	if (x->offset != y->offset)
		return x->offset < y->offset ? -1 : 1;
	return strcmp(x->text, y->text);
}

/* Each held part is visible, even one page of many GiB. */
static void draw(const struct holder *holder, uint64_t size, unsigned int cells)
{
	for (unsigned int i = 0; i < cells; i++) {
		uint64_t begin = (__uint128_t)size * i / cells, end = (__uint128_t)size * (i + 1) / cells;
		bool held = holder->offset < end && begin < holder->offset + holder->length;

		/* A BAR with fewer bytes than cells. */
		putchar(held && begin < end ? '#' : '.');
	}
}

static void print_bar(unsigned int index, const struct vdb_bar *bar)
{
	unsigned int cells = terminal_width() > 60 ? 40 : 16;
	bool any = false;

	printf("BAR %u  %s, %s\n", index, human_size(bar->size), bar_kind(bar));
	for (size_t i = 0; i < nr_holders; i++) {
		if (holders[i].bar != index)
			continue;
		any = true;
		printf("  [");
		draw(&holders[i], bar->size, cells);
		printf("] 0x%" PRIx64 "+0x%" PRIx64 "\n      %s%s%s\n", holders[i].offset, holders[i].length,
		       holders[i].text, holders[i].type ? ", " : "", memory_type_name(holders[i].type) ?: "");
	}
	if (!any)
		printf("  not held by a process\n");
}

static json_t *json_of(void)
{
	json_t *bars = json_array();

	for (unsigned int i = 0; i < VDB_BARS; i++) {
		json_t *list;

		if (!function.bars[i].size)
			continue;
		list = json_array();
		for (size_t j = 0; j < nr_holders; j++) {
			json_t *part;

			if (holders[j].bar != i)
				continue;
			part = json_range(holders[j].offset, holders[j].length);
			json_object_update(part, holders[j].json);
			/* Only mappings have a type; a lease is a right to map. */
			if (strcmp(json_string_value(json_object_get(part, "kind")), "lease"))
				json_object_set_new(part, "memory_type", holders[j].type ?
						    json_string(memory_type_name(holders[j].type)) : json_null());
			json_array_append_new(list, part);
		}
		json_array_append_new(bars, json_pack("{s:i,s:I,s:o}", "index", i, "size",
						      (json_int_t)function.bars[i].size, "holders", list));
	}
	return json_pack("{s:s,s:s,s:o,s:o,s:o,s:b}", "bdf", function.bdf, "name", function.name,
			 "driver", json_text(function.driver), "iommu_group", json_group(function.group), "bars", bars,
			 "complete", listed && !ranges_left_out);
}

int cmd_show(int argc, char **argv)
{
	static const struct argp argp = {
		.parser = parse, .args_doc = "BDF", .children = common_options,
		.doc = "Shows each BAR of a function, and which processes hold which parts of it."
		       "\vRoot sees all processes. Other users see all processes if one of theirs has the"
		       " device open. Otherwise they see the mappings of their own processes.",
	};

	parse_command(&argp, argc, argv, 0, NULL);
	if (!vdb_parse_bdf(bdf_argument, bdf)) {
		fail("\"%s\" is not a PCI function; write it as in 0000:01:00.0", bdf_argument);
		return STATUS_USAGE;
	}
	if (!function_read(bdf, &function))
		return fail("%s: there is no such function; vfio-dmabuf list shows all functions", bdf);
	listed = buffers_read(bdf, &buffers);
	function_bar_addresses(bdf, bar_address);
	mtrrs_read(&mtrrs);
	add_buffers();
	process_any(add_maps_of, NULL);
	add_leases();
	if (nr_holders)
		qsort(holders, nr_holders, sizeof(holders[0]), compare);

	if (common.json) {
		print_json(json_of());
		return 0;
	}
	printf("%s  %s\n", function.bdf, function.name);
	printf("driver %s, IOMMU group %s\n\n", function.driver[0] ? function.driver : "none",
	       function.group[0] ? function.group : "none");
	for (unsigned int i = 0; i < VDB_BARS; i++)
		if (function.bars[i].size)
			print_bar(i, &function.bars[i]);
	if (ranges_left_out)
		printf("(some slices have more ranges than are listed)\n");
	if (!listed)
		printf("(slices that are not mapped are missing: %s)\n", geteuid() ?
		       "run it as root to see all" :
		       "no process that has the device open can be asked, and debugfs cannot be read");
	return 0;
}
