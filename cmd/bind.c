/* SPDX-License-Identifier: MIT */
/* vfio-dmabuf bind, unbind: bind functions to the driver, and return them to their own. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "binding.h"
#include "command.h"
#include "in_use.h"
#include "modprobe.h"
#include "nodes.h"
#include "output.h"
#include "persist.h"
#include "sysfs.h"

#define MAX	64

enum { OPTION_RESTORE = 0x100 };

static struct {
	const char *driver;
	bool group;
	bool force;
	bool persist, list, restore;
	char bdf[MAX][16];
	int nr;
} args = { .driver = DRIVER };

static const struct argp_option bind_options[] = {
	{ "driver", 'd', "NAME", 0, "bind to this VFIO driver, not to " DRIVER, 0 },
	{ "group", 'g', NULL, 0, "the other functions of its IOMMU group as well", 0 },
	{ "persist", 'p', NULL, 0, "bind them at each boot as well", 0 },
	{ "list", 'l', NULL, 0, "list the functions that are bound at each boot", 0 },
	{ "restore", OPTION_RESTORE, NULL, 0, "bind what --persist has stored; a unit does this at boot", 0 },
	{ 0 }
};

static const struct argp_option unbind_options[] = {
	{ "force", 'f', NULL, 0, "also if a process has them open through VFIO: the kernel asks the process to close them, and the command waits for that", 0 },
	{ "persist", 'p', NULL, 0, "do not bind them at the next boot either", 0 },
	{ 0 }
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = NULL;
		return 0;
	case 'd':
		if (!binding_allows(arg))
			argp_error(state, "\"%s\" is not a VFIO driver: it could access a function as if it were its own device", arg);
		args.driver = arg;
		return 0;
	case 'g':
		args.group = true;
		return 0;
	case 'f':
		args.force = true;
		return 0;
	case 'p':
		args.persist = true;
		return 0;
	case 'l':
		args.list = true;
		return 0;
	case OPTION_RESTORE:
		args.restore = true;
		return 0;
	case ARGP_KEY_ARG:
		if (args.nr == MAX)
			argp_error(state, "at most %d functions are allowed", MAX);
		if (!function_find("", arg, args.bdf[args.nr++]))
			argp_error(state, "\"%s\" is not a PCI function (0000:01:00.0), nor a network interface (eth1) or a device node (/dev/nvme0) of one",
				   arg);
		return 0;
	case ARGP_KEY_NO_ARGS:
		if (!args.list && !args.restore)
			argp_error(state, "give a function; vfio-dmabuf list shows them");
		return 0;
	case ARGP_KEY_END:
		if (args.list && (args.nr || args.restore || args.persist))
			argp_error(state, "--list takes no function and no other option");
		if (args.restore && args.persist)
			argp_error(state, "--restore and --persist exclude each other");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

/* Other functions of the group that prevent VFIO from using it; "" if there are none. */
static void blockers(const struct function *function, char *list, size_t size)
{
	struct function *all;
	size_t nr = function_all(&all);

	list[0] = '\0';
	for (size_t i = 0; i < nr && function->group[0]; i++) {
		const struct function *other = &all[i];

		if (strcmp(other->group, function->group) || !strcmp(other->bdf, function->bdf) ||
		    function_is_bridge(other) || !other->driver[0] || strstr(other->driver, "vfio"))
			continue;
		snprintf(list + strlen(list), size - strlen(list), " %s (%s)", other->bdf, other->driver);
	}
	free(all);
}

/* Adds the other functions of their groups to the functions to bind. */
static void add_groups(void)
{
	struct function *all, function;
	size_t nr = function_all(&all);
	int named = args.nr;

	for (int i = 0; i < named; i++) {
		if (!function_read(args.bdf[i], &function) || !function.group[0])
			continue;
		for (size_t j = 0; j < nr && args.nr < MAX; j++) {
			bool known = function_is_bridge(&all[j]) || strcmp(all[j].group, function.group);

			for (int k = 0; k < args.nr; k++)
				known |= !strcmp(args.bdf[k], all[j].bdf);
			if (!known)
				strcpy(args.bdf[args.nr++], all[j].bdf);
		}
	}
	free(all);
}

/* Whether the kernel uses an IOMMU. */
static bool there_are_groups(void)
{
	struct function *all;
	size_t nr = function_all(&all), i = 0;

	while (i < nr && !all[i].group[0])
		i++;
	free(all);
	return i < nr;
}

/*
 * Checks everything that can be checked before anything is changed.  Before Linux 6.15 a
 * function of a machine with a device tree, or with Arm's IORT, gets its group only when a
 * driver is about to bind it for the first time.
 */
static int check_bind(const char *bdf)
{
	struct function function;
	char why[512];

	if (!function_read(bdf, &function))
		return fail("%s: there is no such function; vfio-dmabuf list shows all functions", bdf);
	if (function_is_bridge(&function))
		return fail("%s: it is a bridge, which the kernel needs; bind a function below it", bdf);
	if (!function.group[0] && !there_are_groups())
		return fail("%s: it has no IOMMU group; boot with an IOMMU on, see vfio-dmabuf doctor", bdf);
	if (!strcmp(function.driver, args.driver))
		return 0;
	if (in_use(bdf, why, sizeof(why)))
		return fail("%s: %s", bdf, why);
	if (!args.group) {
		blockers(&function, why, sizeof(why));
		if (why[0])
			return fail("%s: other functions of its IOMMU group have drivers of their own:%s; unbind them or use --group",
				    bdf, why);
	}
	return 0;
}

/* After the bind: whether its group, if it has one only now, is free. */
static bool group_is_free(const struct function *before, char *why, size_t size)
{
	struct function now;
	char list[512];

	if (before->group[0] || args.group || !function_read(before->bdf, &now))
		return true;
	blockers(&now, list, sizeof(list));
	if (list[0])
		snprintf(why, size, "others of its IOMMU group have drivers of their own:%s; ", list);
	return !list[0];
}

static int bind_one(const char *bdf)
{
	char override[64], why[600] = "";
	struct function function;
	int remembered;

	function_read(bdf, &function);
	if (!strcmp(function.driver, args.driver))
		return 0;
	binding_override(bdf, override, sizeof(override));
	remembered = binding_remember(bdf, function.driver, override);
	if (remembered < 0)
		return fail("%s: " BINDING_MEMORY "/%s cannot be written: %s", bdf, bdf, strerror(errno));
	if (binding_change(bdf, args.driver))
		snprintf(why, sizeof(why), "%s; ", strerror(errno));
	else if (binding_has(bdf, args.driver) && group_is_free(&function, why, sizeof(why)))
		return 0;
	binding_change(bdf, override);
	if (remembered)
		binding_forget(bdf);
	return fail("%s: %s does not bind it (%ssee the kernel's log); %s", bdf, args.driver, why,
		    binding_has(bdf, function.driver) ? "its former driver has it again" :
		    "its former driver does not bind it either");
}

static int persist_one(const char *bdf)
{
	struct persistent binding = { 0 };
	struct function function;
	char override[64];

	function_read(bdf, &function);
	strcpy(binding.bdf, function.bdf);
	snprintf(binding.driver, sizeof(binding.driver), "%s", args.driver);
	binding.vendor = function.vendor;
	binding.device = function.device;
	binding_recall(bdf, binding.former, override);
	if (persist_write(&binding))
		return fail("%s: it is bound until the next boot, but " PERSIST_DIR "/%s cannot be written: %s", bdf, bdf,
			    strerror(errno));
	return 0;
}

static int report(void)
{
	json_t *list;

	if (!common.json)
		return 0;
	list = json_array();
	for (int i = 0; i < args.nr; i++) {
		char driver[64] = "";

		function_link(args.bdf[i], "driver", driver, sizeof(driver));
		json_array_append_new(list, json_pack("{s:s,s:o}", "bdf", args.bdf[i], "driver",
						      driver[0] ? json_string(driver) : json_null()));
	}
	print_json(list);
	return 0;
}

int cmd_bind(int argc, char **argv)
{
	static const struct argp argp = {
		.options = bind_options, .parser = parse, .args_doc = "FUNCTION...\n--list\n--restore [FUNCTION...]",
		.children = common_options,
		.doc = "Binds functions to " DRIVER ". To undo this, use vfio-dmabuf unbind."
		       "\vFUNCTION is an address (0000:01:00.0), a network interface (eth1), or a device node"
		       " (/dev/nvme0). If one is in use, the command names the user, and changes nothing.",
	};

	parse_command(&argp, argc, argv, 0, NULL);
	if (args.list)
		return persist_list();
	if (geteuid())
		return fail("only root can bind and unbind drivers; use sudo");
	if (args.restore)
		return persist_restore(args.bdf, args.nr);
	if (args.group)
		add_groups();
	for (int i = 0; i < args.nr; i++)
		if (check_bind(args.bdf[i]))
			return STATUS_FAILED;
	if (binding_load(args.driver))
		return fail("module %s cannot be loaded; see vfio-dmabuf doctor", args.driver);
	for (int i = 0; i < args.nr; i++)
		if (bind_one(args.bdf[i]))
			return STATUS_FAILED;
	for (int i = 0; args.persist && i < args.nr; i++)
		if (persist_one(args.bdf[i]))
			return STATUS_FAILED;
	return report();
}

/* This also works if its file has a mistake. */
static bool is_persistent(const char *bdf)
{
	struct persistent binding;
	int line;

	return !persist_read(bdf, &binding, &line) || errno != ENOENT;
}

/* Removes the file last: a function that is still bound is then bound at the next boot, too. */
static int unpersist(const char *bdf)
{
	bool exists = is_persistent(bdf);

	if (args.persist && exists && persist_remove(bdf))
		return fail("%s: " PERSIST_DIR "/%s cannot be removed: %s", bdf, bdf, strerror(errno));
	if (!args.persist && exists)
		fprintf(stderr, "vfio-dmabuf: %s: it is bound again at the next boot; to prevent that, use unbind --persist\n", bdf);
	return 0;
}

static int unbind_one(const char *bdf)
{
	char driver[64], override[64], why[512];
	bool persistent = args.persist && is_persistent(bdf);
	struct function function;

	if (!function_read(bdf, &function))
		return persistent ? unpersist(bdf) :
		       fail("%s: there is no such function; vfio-dmabuf list shows all functions", bdf);
	if (!binding_recall(bdf, driver, override))
		return persistent ? unpersist(bdf) :
		       fail("%s: it was not bound by vfio-dmabuf bind, so its former driver is not known", bdf);
	if (!args.force && in_use(bdf, why, sizeof(why)))
		return fail("%s: %s, or use --force", bdf, why);
	if (binding_change(bdf, override))
		return fail("%s: it cannot be returned to its driver: %s", bdf, strerror(errno));
	if (driver[0] && !binding_has(bdf, driver)) {
		module_load(driver);
		file_put("/sys/bus/pci/drivers_probe", bdf);
	}
	if (driver[0] && !binding_has(bdf, driver))
		return fail("%s: its former driver %s does not bind it; see the kernel's log", bdf, driver);
	binding_forget(bdf);
	return unpersist(bdf);
}

int cmd_unbind(int argc, char **argv)
{
	static const struct argp argp = {
		.options = unbind_options, .parser = parse, .args_doc = "FUNCTION...", .children = common_options,
		.doc = "Returns functions to the driver that they had before bind.",
	};

	parse_command(&argp, argc, argv, 0, NULL);
	if (geteuid())
		return fail("only root can bind and unbind drivers; use sudo");
	for (int i = 0; i < args.nr; i++)
		if (unbind_one(args.bdf[i]))
			return STATUS_FAILED;
	return report();
}
