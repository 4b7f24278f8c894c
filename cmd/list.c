/* SPDX-License-Identifier: MIT */
/* vfio-dmabuf list: PCI functions, their drivers and BARs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "output.h"
#include "parse.h"
#include "sysfs.h"
#include "table.h"

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
			argp_error(state, "only one function is allowed");
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
	json_object_set_new(value, "driver", json_text(function->driver));
	json_object_set_new(value, "iommu_group", json_group(function->group));
	return value;
}

static const char *const columns[] = {
	"FUNCTION", ">GROUP", "DRIVER", ">BAR", ">SIZE", "KIND", "NAME", NULL
};

/* Adds a row for each BAR; only the first has the columns of the function. */
static void add_rows(struct table *table, const struct function *function)
{
	bool any = false;

	for (int i = 0; i <= VDB_BARS; i++) {
		bool has = i < VDB_BARS && function->bars[i].size;

		if (!has && (any || i < VDB_BARS))
			continue;
		table_add(table, "%s", any ? "" : function->bdf);
		table_add(table, "%s", any ? "" : function->group[0] ? function->group : "-");
		table_add(table, "%s", any ? "" : function->driver[0] ? function->driver : "-");
		if (has)
			table_add(table, "%d", i);
		else
			table_add(table, "-");
		table_add(table, "%s", has ? human_size(function->bars[i].size) : "-");
		table_add(table, "%s", has ? bar_kind(&function->bars[i]) : "-");
		table_add(table, "%s", any ? "" : function->name);
		any = true;
	}
}

int cmd_list(int argc, char **argv)
{
	static const struct argp argp = {
		.options = options, .parser = parse, .args_doc = "[BDF]", .children = common_options,
		.doc = "Lists PCI functions with IOMMU group, driver, name and BARs.",
	};
	struct function *all;
	struct table table;
	size_t nr, found = 0;
	char bdf[16] = "";
	json_t *list;

	parse_command(&argp, argc, argv, 0, NULL);
	if (args.bdf && !vdb_parse_bdf(args.bdf, bdf)) {
		fail("\"%s\" is not a PCI function; write it as in 0000:01:00.0", args.bdf);
		return STATUS_USAGE;
	}
	list = json_array();
	table_begin(&table, columns);
	nr = function_all(&all);
	for (size_t i = 0; i < nr; i++) {
		if (!is_wanted(&all[i], bdf[0] ? bdf : NULL))
			continue;
		found++;
		if (common.json)
			json_array_append_new(list, json_of(&all[i]));
		else
			add_rows(&table, &all[i]);
	}
	free(all);
	table_end(&table, stdout);
	if (common.json)
		print_json(list);
	else
		json_decref(list);
	if (bdf[0] && !found)
		return fail("%s: there is no such function; vfio-dmabuf list shows all functions", bdf);
	return 0;
}
