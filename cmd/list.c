/* SPDX-License-Identifier: MIT */
/* vfio-dmabuf list: PCI functions, their drivers and BARs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "output.h"
#include "parse.h"
#include "sysfs.h"

static struct {
	bool all;
	bool bound;
	const char *bdf;
} args;

static const struct argp_option options[] = {
	{ "all", 'a', NULL, 0, "bridges as well", 0 },
	{ "bound", 'b', NULL, 0, "only those that are bound to " DRIVER, 0 },
	{ 0 }
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = NULL;
		return 0;
	case 'a':
		args.all = true;
		return 0;
	case 'b':
		args.bound = true;
		return 0;
	case ARGP_KEY_ARG:
		if (args.bdf)
			argp_error(state, "one function at most");
		args.bdf = arg;
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static bool is_wanted(const struct function *function, const char *bdf)
{
	if (bdf)
		return !strcmp(function->bdf, bdf);
	if (args.bound)
		return !strcmp(function->driver, DRIVER);
	return args.all || !function_is_bridge(function);
}

static json_t *json_of(const struct function *function)
{
	json_t *bars = json_array(), *value;

	for (int i = 0; i < VDB_BARS; i++) {
		const struct vdb_bar *bar = &function->bars[i];

		if (!bar->size)
			continue;
		json_array_append_new(bars, json_pack("{s:i,s:I,s:b,s:b,s:b}", "index", i,
						      "size", (json_int_t)bar->size,
						      "memory", bar->memory,
						      "prefetchable", bar->prefetchable,
						      "64bit", bar->is_64bit));
	}
	value = json_pack("{s:s,s:i,s:i,s:i,s:s,s:o}", "bdf", function->bdf,
			  "class", function->class, "vendor", function->vendor,
			  "device", function->device, "name", function->name, "bars", bars);
	json_object_set_new(value, "driver", function->driver[0] ? json_string(function->driver) : json_null());
	json_object_set_new(value, "iommu_group", function->group[0] ? json_string(function->group) : json_null());
	return value;
}

static void print(const struct function *function)
{
	printf("%-12s  group %-3s  %-16s  %s\n", function->bdf,
	       function->group[0] ? function->group : "-",
	       function->driver[0] ? function->driver : "-", function->name);
	for (int i = 0; i < VDB_BARS; i++)
		if (function->bars[i].size)
			printf("    BAR %d  %-8s  %s\n", i, human_size(function->bars[i].size),
			       bar_kind(&function->bars[i]));
}

int cmd_list(int argc, char **argv)
{
	static const struct argp argp = {
		.options = options, .parser = parse, .args_doc = "[BDF]", .children = common_options,
		.doc = "Lists PCI functions with IOMMU group, driver, name and BARs.",
	};
	struct function *all;
	size_t nr, found = 0;
	char bdf[16] = "";
	json_t *list;

	argp_parse(&argp, argc, argv, 0, NULL, NULL);
	if (args.bdf && !vdb_parse_bdf(args.bdf, bdf)) {
		fail("\"%s\" is no PCI function; write it as in 0000:01:00.0", args.bdf);
		return STATUS_USAGE;
	}
	list = json_array();
	nr = function_all(&all);
	for (size_t i = 0; i < nr; i++) {
		if (!is_wanted(&all[i], bdf[0] ? bdf : NULL))
			continue;
		found++;
		if (common.json)
			json_array_append_new(list, json_of(&all[i]));
		else
			print(&all[i]);
	}
	free(all);
	if (common.json)
		print_json(list);
	else
		json_decref(list);
	if (bdf[0] && !found)
		return fail("%s: there is no such function; vfio-dmabuf list shows which there are", bdf);
	return 0;
}
