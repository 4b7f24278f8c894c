/* SPDX-License-Identifier: MIT */
/* vfio-dmabuf doctor: what is missing on this machine, and what to do about it. */
#include <dirent.h>
#include <stdarg.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "command.h"
#include "modprobe.h"
#include "output.h"
#include "sysfs.h"
#include "target.h"

enum verdict {
	GOOD,
	WARNING,
	BAD,
};

static const char *const verdicts[] = { "ok", "warning", "missing" };
static json_t *list;
static bool any_bad;

__attribute__((format(printf, 3, 4)))
static void say(const char *what, enum verdict verdict, const char *format, ...)
{
	char text[512];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	any_bad |= verdict == BAD;
	if (list)
		json_array_append_new(list, json_pack("{s:s,s:s,s:s}", "check", what, "verdict",
						      verdicts[verdict], "text", text));
	else
		printf("%-8s %-8s %s\n", verdicts[verdict], what, text);
}

static bool has_entries(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	bool any = false;

	while (dir && !any && (entry = readdir(dir)))
		any = entry->d_name[0] != '.';
	if (dir)
		closedir(dir);
	return any;
}

static void check_kernel(void)
{
	unsigned int major = 0, minor = 0;
	struct utsname name;

	uname(&name);
	sscanf(name.release, "%u.%u", &major, &minor);
	if (major * 1000 + minor < 6012)
		say("kernel", BAD, "%s: boot Linux 6.12 or later, which the driver needs", name.release);
	else if (major * 1000 + minor != 6012 && major * 1000 + minor != 7002 && major * 1000 + minor != 7003)
		say("kernel", WARNING, "%s: the driver is tested on 6.12, 7.2 and 7.3 only; boot one of these if it fails", name.release);
	else
		say("kernel", GOOD, "%s", name.release);
}

static void check_iommu(void)
{
	char line[4096] = "", unsafe[8] = "";

	file_get("/proc/cmdline", line, sizeof(line));
	if (has_entries("/sys/kernel/iommu_groups"))
		say("iommu", GOOD, "functions have IOMMU groups");
	else if (has_entries("/sys/class/iommu"))
		say("iommu", BAD, "there is one, but no groups; boot without iommu=off");
	else
		say("iommu", BAD, "none; enable VT-d or AMD-Vi in the firmware%s",
		    strstr(line, "intel_iommu=on") ? "" : ", and boot with intel_iommu=on on Intel's");
	if (!file_get("/sys/module/vfio/parameters/enable_unsafe_noiommu_mode", unsafe, sizeof(unsafe)) &&
	    unsafe[0] == 'Y')
		say("noiommu", WARNING, "VFIO's unsafe mode is on, devices can write to all memory; load vfio without enable_unsafe_noiommu_mode");
}

static void check_module(const char *what, const char *name, const char *loaded, const char *remedy)
{
	if (!access(loaded, F_OK))
		say(what, GOOD, "%s is loaded", name);
	else if (module_known(name))
		say(what, GOOD, "%s is there, and loaded when it is needed", name);
	else
		say(what, BAD, "%s is not there for this kernel; %s", name, remedy);
}

static void check_modules(void)
{
	check_module("vfio", "vfio-pci-core", "/sys/module/vfio_pci_core", "boot a kernel with CONFIG_VFIO_PCI");
	check_module("driver", DRIVER, "/sys/bus/pci/drivers/" DRIVER,
		     "install dmabuf-vfio-pci-dkms, and the kernel's headers");
	if (access("/dev/iommu", F_OK) && access("/dev/vfio/vfio", F_OK) && !module_known("vfio_iommu_type1"))
		say("vfio", BAD, "neither /dev/iommu nor /dev/vfio/vfio is there; boot a kernel with CONFIG_IOMMUFD or CONFIG_VFIO_IOMMU_TYPE1");
}

static bool may_open(const char *path)
{
	return !faccessat(AT_FDCWD, path, R_OK | W_OK, AT_EACCESS);
}

/* The first of two files that this user may not open, or NULL. */
static const char *closed(const char *first, const char *second)
{
	return !may_open(first) ? first : !may_open(second) ? second : NULL;
}

/* Whether this user may open a function, through its character device or its group. */
static bool check_access(const struct function *function)
{
	char group[64], directory[64], device[300] = "";
	const char *missing;
	struct dirent *entry;
	DIR *dir;

	snprintf(directory, sizeof(directory), "/sys/bus/pci/devices/%s/vfio-dev", function->bdf);
	dir = opendir(directory);
	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.')
			snprintf(device, sizeof(device), "/dev/vfio/devices/%s", entry->d_name);
	if (dir)
		closedir(dir);
	snprintf(group, sizeof(group), "/dev/vfio/%s", function->group);
	/* As the library chooses. */
	if (!access(device, F_OK) && !access("/dev/iommu", F_OK))
		missing = closed(device, "/dev/iommu");
	else
		missing = closed(group, "/dev/vfio/vfio");
	if (missing && access(missing, F_OK))
		say("access", WARNING, "%s: %s is not there; modprobe vfio_iommu_type1, and see whether udev runs",
		    function->bdf, missing);
	else if (missing)
		say("access", WARNING, "%s: you may not open %s; have root chown it to you (a rule for udev lasts), or let the broker lend slices",
		    function->bdf, missing);
	return !missing;
}

static void check_bound(void)
{
	struct function *all;
	size_t nr, bound = 0, open = 0;

	if (access("/sys/bus/pci/drivers/" DRIVER, F_OK))
		return;
	nr = function_all(&all);
	for (size_t i = 0; i < nr; i++)
		bound += !strcmp(all[i].driver, DRIVER);
	if (bound)
		say("bound", GOOD, "%zu functions are bound to " DRIVER, bound);
	else
		say("bound", WARNING, "no function is bound; vfio-dmabuf bind BDF");
	for (size_t i = 0; i < nr; i++)
		open += !strcmp(all[i].driver, DRIVER) && check_access(&all[i]);
	if (bound && open == bound)
		say("access", GOOD, "you may open all functions that are bound");
	free(all);
}

/* Each BAR mapping is of the device's memory and not locked; DMA buffers are. */
static void check_limits(void)
{
	struct rlimit limit;

	getrlimit(RLIMIT_MEMLOCK, &limit);
	if (limit.rlim_cur == RLIM_INFINITY)
		say("memlock", GOOD, "memory for DMA is not limited");
	else
		say("memlock", limit.rlim_cur < (64UL << 20) ? WARNING : GOOD,
		    "memory for DMA is limited to %s; if a driver wants more: ulimit -l, or LimitMEMLOCK= of its service",
		    human_size(limit.rlim_cur));
}

/* What an administrator is told of devices. */
static bool on_device(const struct vdb_device_info *info, void *data)
{
	bool *all = data;

	if (!*info->name || info->phase == VDB_DEVICE_OPEN)
		return true;
	*all = false;
	/* One that is being opened for the first time is open soon, or absent, with a reason. */
	say("device", *info->reason || info->phase == VDB_DEVICE_ABSENT || info->phase == VDB_DEVICE_CLOSING ? BAD : WARNING,
	    "%s: %s is %s%s%s, and its slices are not lent; see journalctl -u vfio-dmabufd", info->name,
	    info->bdf, device_phase_name(info->phase), *info->reason ? ": " : "", info->reason);
	return true;
}

/* What everybody is told of the devices whose slices he may have; those of one come together. */
static bool on_slice(const struct vdb_slice_info *info, void *data)
{
	static char last[16];
	bool *all = data;

	if (info->device == VDB_DEVICE_OPEN || !strcmp(info->bdf, last))
		return true;
	snprintf(last, sizeof(last), "%s", info->bdf);
	*all = false;
	say("device", WARNING, "%s is %s, and its slices are not lent; ask an administrator of the broker",
	    info->bdf, device_phase_name(info->device));
	return true;
}

static void check_lending(struct vdb_client *client)
{
	struct vdb_status status;
	bool all = true;

	if (vdb_client_status(client, &status) ||
	    (status.admin ? vdb_client_devices(client, on_device, &all) :
			    vdb_client_slices(client, on_slice, &all)))
		say("broker", BAD, "it does not say how it is: %s; see journalctl -u vfio-dmabufd",
		    vdb_client_error(client)[0] ? vdb_client_error(client) : strerror(errno));
	else if (*status.problem || !status.lends)
		say("broker", BAD, "its configuration is rejected%s%s; run vfio-dmabufd --check, mend it, and run vfio-dmabuf reload",
		    *status.problem ? ": " : "", status.problem);
	else if (all)
		say("device", GOOD, status.admin ? "all devices of the broker's configuration are open" :
			"all devices of which you may have slices are open");
}

static void check_broker(void)
{
	const char *path = common.socket ?: VDB_BROKER_SOCKET;
	char error[VDB_ERROR_SIZE];
	struct vdb_client *client;

	if (access(path, F_OK)) {
		say("broker", WARNING, "no socket at %s; systemctl enable --now vfio-dmabufd.socket if you want one", path);
		return;
	}
	client = vdb_client_connect(path, BROKER_MS, error);
	if (client) {
		say("broker", GOOD, "it answers at %s", path);
		check_lending(client);
	} else {
		say("broker", BAD, "%s: %s; %s", path, error, broker_advice(errno));
	}
	vdb_client_close(client);
}

int cmd_doctor(int argc, char **argv)
{
	static const struct argp argp = {
		.parser = parse_nothing, .children = common_options,
		.doc = "Looks for what is missing on this machine; the exit status is 1 if anything is.",
	};

	parse_command(&argp, argc, argv, 0, NULL);
	list = common.json ? json_array() : NULL;
	check_kernel();
	check_iommu();
	check_modules();
	check_bound();
	check_limits();
	check_broker();
	if (list)
		print_json(list);
	return any_bad ? STATUS_FAILED : 0;
}
