/* SPDX-License-Identifier: MIT */
/*
 * vfio-dmabuf bind, unbind: give functions to the driver and back.
 *
 * Through driver_override, which says what one function is to have and leaves
 * all others alone.  What it had before is written down in /run, as it is worth
 * nothing after a reboot.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "command.h"
#include "in_use.h"
#include "modprobe.h"
#include "nodes.h"
#include "output.h"
#include "sysfs.h"

#define MEMORY	"/run/vfio-dmabuf/bind"
#define MAX	64

static struct {
	const char *driver;
	bool group;
	bool force;
	char bdf[MAX][16];
	int nr;
} args = { .driver = DRIVER };

static const struct argp_option bind_options[] = {
	{ "driver", 'd', "NAME", 0, "another VFIO driver than " DRIVER, 0 },
	{ "group", 'g', NULL, 0, "the other functions of its IOMMU group as well", 0 },
	{ 0 }
};

static const struct argp_option unbind_options[] = {
	{ "force", 'f', NULL, 0, "also if a process has it open through VFIO: it is asked to let go, and waited for", 0 },
	{ 0 }
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	switch (key) {
	case ARGP_KEY_INIT:
		state->child_inputs[0] = NULL;
		return 0;
	case 'd':
		/*
		 * Forced upon a function that is not its own, a driver can crash the
		 * kernel.  pci-stub, a driver of the kernel's, touches none.
		 */
		if (!strstr(arg, "vfio") && strcmp(arg, "pci-stub"))
			argp_error(state, "\"%s\" is no VFIO driver: it would take functions for its own that are not", arg);
		args.driver = arg;
		return 0;
	case 'g':
		args.group = true;
		return 0;
	case 'f':
		args.force = true;
		return 0;
	case ARGP_KEY_ARG:
		if (args.nr == MAX)
			argp_error(state, "%d functions at most", MAX);
		if (!function_find("", arg, args.bdf[args.nr++]))
			argp_error(state, "\"%s\" is not a PCI function (0000:01:00.0), nor a network interface (eth1) or a device node (/dev/nvme0) of one",
				   arg);
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "which function? vfio-dmabuf list shows them");
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static void memory_path(const char *bdf, char *path, size_t size)
{
	snprintf(path, size, MEMORY "/%s", bdf);
}

/* What it had; "" for none. */
static bool recall(const char *bdf, char driver[64], char override[64])
{
	char path[64];
	FILE *file;
	bool ok;

	memory_path(bdf, path, sizeof(path));
	file = fopen(path, "re");
	if (!file)
		return false;
	ok = fscanf(file, "%63s %63s", driver, override) == 2;
	fclose(file);
	if (!ok)
		return false;
	if (!strcmp(driver, "-"))
		driver[0] = '\0';
	if (!strcmp(override, "-"))
		override[0] = '\0';
	return true;
}

static void forget(const char *bdf)
{
	char path[64];

	memory_path(bdf, path, sizeof(path));
	unlink(path);
}

/*
 * Writes down what a function has, unless that is our own doing: 1 if it has,
 * 0 if it did not need to, -1 with errno.
 */
static int remember(const struct function *function)
{
	char path[64], driver[64], override[64] = "";
	FILE *file;
	int ret;

	if (recall(function->bdf, driver, override))
		return 0;
	mkdir("/run/vfio-dmabuf", 0755);
	mkdir(MEMORY, 0755);
	function_get(function->bdf, "driver_override", override, sizeof(override));
	if (!strcmp(override, "(null)"))
		override[0] = '\0';
	memory_path(function->bdf, path, sizeof(path));
	file = fopen(path, "we");
	if (!file)
		return -1;
	fprintf(file, "%s\n%s\n", function->driver[0] ? function->driver : "-", override[0] ? override : "-");
	ret = fclose(file);
	if (ret) {
		int error = errno;

		forget(function->bdf);
		errno = error;
	}
	return ret ? -1 : 1;
}

static bool driver_loaded(const char *driver)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/bus/pci/drivers/%s", driver);
	return !access(path, F_OK);
}

/* Takes it from its driver, and has the kernel choose anew by @override. */
static int rebind(const char *bdf, const char *override)
{
	char driver[64], path[256];

	/* A lone newline clears it. */
	if (function_put(bdf, "driver_override", override[0] ? override : "\n"))
		return -1;
	if (function_link(bdf, "driver", driver, sizeof(driver))) {
		snprintf(path, sizeof(path), "/sys/bus/pci/drivers/%s/unbind", driver);
		if (file_put(path, bdf))
			return -1;
	}
	return file_put("/sys/bus/pci/drivers_probe", bdf);
}

static bool has_driver(const char *bdf, const char *driver)
{
	char name[64] = "";

	function_link(bdf, "driver", name, sizeof(name));
	return !strcmp(name, driver);
}

/* Others of the group that keep VFIO from using it, or none: "". */
static void blockers(const struct function *function, char *list, size_t size)
{
	struct function *all;
	size_t nr = function_all(&all);

	list[0] = '\0';
	for (size_t i = 0; i < nr; i++) {
		const struct function *other = &all[i];

		if (strcmp(other->group, function->group) || !strcmp(other->bdf, function->bdf) ||
		    function_is_bridge(other) || !other->driver[0] || strstr(other->driver, "vfio"))
			continue;
		snprintf(list + strlen(list), size - strlen(list), " %s (%s)", other->bdf, other->driver);
	}
	free(all);
}

/* Adds the rest of the groups to the functions to bind. */
static void add_groups(void)
{
	struct function *all, function;
	size_t nr = function_all(&all);
	int named = args.nr;

	for (int i = 0; i < named; i++) {
		if (!function_read(args.bdf[i], &function))
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

/* Everything that can be known before anything is changed. */
static int check_bind(const char *bdf)
{
	struct function function;
	char why[512];

	if (!function_read(bdf, &function))
		return fail("%s: there is no such function; vfio-dmabuf list shows which there are", bdf);
	if (function_is_bridge(&function))
		return fail("%s: it is a bridge, which belongs to the kernel; bind what is behind it", bdf);
	if (!function.group[0])
		return fail("%s: it has no IOMMU group; boot with an IOMMU on, see vfio-dmabuf doctor", bdf);
	if (!strcmp(function.driver, args.driver))
		return 0;
	if (in_use(bdf, why, sizeof(why)))
		return fail("%s: %s", bdf, why);
	if (!args.group) {
		blockers(&function, why, sizeof(why));
		if (why[0])
			return fail("%s: its IOMMU group has others with drivers of their own:%s; unbind them or use --group",
				    bdf, why);
	}
	return 0;
}

static int bind_one(const char *bdf)
{
	char override[64] = "", why[64] = "";
	struct function function;
	int remembered;

	function_read(bdf, &function);
	if (!strcmp(function.driver, args.driver))
		return 0;
	function_get(bdf, "driver_override", override, sizeof(override));
	remembered = remember(&function);
	if (remembered < 0)
		return fail("%s: " MEMORY "/%s cannot be written: %s", bdf, bdf, strerror(errno));
	if (rebind(bdf, args.driver))
		snprintf(why, sizeof(why), "%s; ", strerror(errno));
	else if (has_driver(bdf, args.driver))
		return 0;
	rebind(bdf, strcmp(override, "(null)") ? override : "");
	if (remembered)
		forget(bdf);
	return fail("%s: %s does not take it (%sthe kernel's log may say why); %s", bdf, args.driver, why,
		    has_driver(bdf, function.driver) ? "it has the driver again that it had" :
		    "nor does its former driver");
}

static int report(int ret)
{
	json_t *list;

	if (!common.json || ret)
		return ret;
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
		.options = bind_options, .parser = parse, .args_doc = "FUNCTION...", .children = common_options,
		.doc = "Binds functions to " DRIVER ", which unbind undoes."
		       "\vFUNCTION is an address (0000:01:00.0), a network interface (eth1), or a device node"
		       " (/dev/nvme0). If one is in use, the command says by whom, and changes nothing.",
	};

	argp_parse(&argp, argc, argv, 0, NULL, NULL);
	if (geteuid())
		return fail("only root binds drivers; use sudo");
	if (args.group)
		add_groups();
	for (int i = 0; i < args.nr; i++)
		if (check_bind(args.bdf[i]))
			return STATUS_FAILED;
	if (!driver_loaded(args.driver) && module_load(args.driver))
		return fail("module %s cannot be loaded; see vfio-dmabuf doctor", args.driver);
	/* Needed to open it without an iommufd; builtin in some kernels. */
	module_load("vfio_iommu_type1");
	for (int i = 0; i < args.nr; i++)
		if (bind_one(args.bdf[i]))
			return STATUS_FAILED;
	return report(0);
}

static int unbind_one(const char *bdf)
{
	char driver[64], override[64], why[512];
	struct function function;

	if (!function_read(bdf, &function))
		return fail("%s: there is no such function; vfio-dmabuf list shows which there are", bdf);
	if (!recall(bdf, driver, override))
		return fail("%s: it was not bound by vfio-dmabuf bind, so there is nothing to go back to", bdf);
	if (!args.force && in_use(bdf, why, sizeof(why)))
		return fail("%s: %s, or use --force", bdf, why);
	if (rebind(bdf, override))
		return fail("%s: giving it back failed: %s", bdf, strerror(errno));
	if (driver[0] && !has_driver(bdf, driver)) {
		module_load(driver);
		file_put("/sys/bus/pci/drivers_probe", bdf);
	}
	if (driver[0] && !has_driver(bdf, driver))
		return fail("%s: %s, which it had, does not take it back; the kernel's log may say why", bdf, driver);
	forget(bdf);
	return 0;
}

int cmd_unbind(int argc, char **argv)
{
	static const struct argp argp = {
		.options = unbind_options, .parser = parse, .args_doc = "FUNCTION...", .children = common_options,
		.doc = "Returns functions to the driver that they had before bind.",
	};

	argp_parse(&argp, argc, argv, 0, NULL, NULL);
	if (geteuid())
		return fail("only root binds drivers; use sudo");
	for (int i = 0; i < args.nr; i++)
		if (unbind_one(args.bdf[i]))
			return STATUS_FAILED;
	return report(0);
}
