/* SPDX-License-Identifier: MIT */
/*
 * vfio-dmabuf show: who holds which part of a function's BARs.
 *
 * Three sources that each know a part: the module's list of buffers (root
 * only), the memory maps of processes, and the broker's leases.
 */
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "output.h"
#include "parse.h"
#include "sysfs.h"

#define MAX_HOLDERS	256

/* Somebody, and the part of a BAR that he has. */
struct holder {
	unsigned int bar;
	uint64_t offset, length;
	char text[160];
};

static const char *bdf_argument;
static struct holder holders[MAX_HOLDERS];
static size_t nr_holders, nr_left_out;
static char bdf[16];

static error_t parse(int key, char *arg, struct argp_state *state)
{
	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = NULL;
		return 0;
	case ARGP_KEY_ARG:
		if (bdf_argument)
			argp_error(state, "one function at a time");
		bdf_argument = arg;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "which function? vfio-dmabuf list shows them");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static struct holder *add(unsigned int bar, uint64_t offset, uint64_t length)
{
	struct holder *holder = &holders[nr_holders];

	if (nr_holders == MAX_HOLDERS) {
		nr_left_out++;
		return NULL;
	}
	nr_holders++;
	*holder = (struct holder){ .bar = bar, .offset = offset, .length = length };
	return holder;
}

/* Slices only: BAR mappings are found with their processes. */
static bool add_buffers(void)
{
	char path[128], line[1024];
	struct buffer buffer;
	FILE *file;

	snprintf(path, sizeof(path), "/sys/kernel/debug/" DRIVER "/%s/buffers", bdf);
	file = fopen(path, "re");
	if (!file)
		return false;
	while (fgets(line, sizeof(line), file)) {
		if (line[0] == '#' || !parse_buffer(line, &buffer) || !buffer.slice)
			continue;
		for (size_t i = 0; i < buffer.nr_ranges && i < 8; i++) {
			struct holder *holder = add(buffer.bar, buffer.ranges[i].offset, buffer.ranges[i].length);

			if (holder)
				snprintf(holder->text, sizeof(holder->text), "slice, %s, %s, mapped %d times%s",
					 buffer.state, buffer.read_only ? "read-only" : "writable",
					 buffer.mappings, strcmp(buffer.memattr, "wc") ? "" : ", write-combining");
		}
	}
	fclose(file);
	return true;
}

static void add_maps_of(const char *pid)
{
	char path[64], line[1024], name[32];
	struct bar_mapping mapping;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%.20s/comm", pid);
	if (file_get(path, name, sizeof(name)))
		return;
	snprintf(path, sizeof(path), "/proc/%.20s/maps", pid);
	file = fopen(path, "re");
	while (file && fgets(line, sizeof(line), file)) {
		struct holder *holder;

		if (!parse_bar_mapping(line, &mapping) || strcmp(mapping.bdf, bdf))
			continue;
		holder = add(mapping.bar, mapping.offset, mapping.length);
		if (holder)
			snprintf(holder->text, sizeof(holder->text), "mapped by %s, pid %.20s, %s", name, pid,
				 mapping.writable ? "writable" : "read-only");
	}
	if (file)
		fclose(file);
}

static void add_maps(void)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		if (!entry->d_name[strspn(entry->d_name, "0123456789")])
			add_maps_of(entry->d_name);
	if (dir)
		closedir(dir);
}

static void add_lease(const struct vdb_lease_info *info, void *data)
{
	struct holder *holder;

	(void)data;
	if (strcmp(info->bdf, bdf))
		return;
	holder = add(info->bar, info->offset, info->length);
	if (holder)
		snprintf(holder->text, sizeof(holder->text), "lease %" PRIu64 " of %s[%u]: %.40s, pid %u, uid %u",
			 info->id, info->name, info->index, info->client, info->pid, info->uid);
}

static void add_leases(void)
{
	struct vdb_client *client = vdb_client_connect(common.socket);

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

/* Whatever is held shows, if it is only one page of many GiB. */
static void draw(const struct holder *holder, uint64_t size, unsigned int cells)
{
	for (unsigned int i = 0; i < cells; i++) {
		uint64_t begin = (__uint128_t)size * i / cells, end = (__uint128_t)size * (i + 1) / cells;
		bool held = holder->offset < end && begin < holder->offset + holder->length;

		/* A BAR of fewer bytes than cells. */
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
		printf("] 0x%" PRIx64 "+0x%" PRIx64 "\n      %s\n", holders[i].offset, holders[i].length, holders[i].text);
	}
	if (!any)
		printf("  held by nobody\n");
}

static json_t *json_of(const struct function *function)
{
	json_t *bars = json_array();

	for (unsigned int i = 0; i < VDB_BARS; i++) {
		json_t *list;

		if (!function->bars[i].size)
			continue;
		list = json_array();
		for (size_t j = 0; j < nr_holders; j++) {
			json_t *part;

			if (holders[j].bar != i)
				continue;
			part = json_range(holders[j].offset, holders[j].length);
			json_object_set_new(part, "holder", json_string(holders[j].text));
			json_array_append_new(list, part);
		}
		json_array_append_new(bars, json_pack("{s:i,s:I,s:o}", "index", i, "size",
						      (json_int_t)function->bars[i].size, "holders", list));
	}
	return json_pack("{s:s,s:s,s:s,s:o}", "bdf", function->bdf, "name", function->name,
			 "driver", function->driver, "bars", bars);
}

int cmd_show(int argc, char **argv)
{
	static const struct argp argp = {
		.parser = parse, .args_doc = "BDF", .children = common_options,
		.doc = "Shows each BAR of a function, and who holds which part of it."
		       "\vRoot sees everybody; others see their own processes and leases.",
	};
	struct function function;
	bool complete;

	argp_parse(&argp, argc, argv, 0, NULL, NULL);
	if (!vdb_parse_bdf(bdf_argument, bdf)) {
		fail("\"%s\" is no PCI function; write it as in 0000:01:00.0", bdf_argument);
		return STATUS_USAGE;
	}
	if (!function_read(bdf, &function))
		return fail("%s: there is no such function; vfio-dmabuf list shows which there are", bdf);
	complete = add_buffers();
	add_maps();
	add_leases();
	qsort(holders, nr_holders, sizeof(holders[0]), compare);

	if (common.json) {
		print_json(json_of(&function));
		return 0;
	}
	printf("%s  %s\n", function.bdf, function.name);
	printf("driver %s, IOMMU group %s\n\n", function.driver[0] ? function.driver : "none",
	       function.group[0] ? function.group : "none");
	for (unsigned int i = 0; i < VDB_BARS; i++)
		if (function.bars[i].size)
			print_bar(i, &function.bars[i]);
	if (nr_left_out)
		printf("and %zu more\n", nr_left_out);
	if (!complete)
		printf("(slices that nobody here has mapped are seen by root only, with debugfs)\n");
	return 0;
}
