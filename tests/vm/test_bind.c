// SPDX-License-Identifier: MIT
/*
 * bind binds functions to the driver, unbind returns them, and bind does not take a
 * function that is in use.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <fnmatch.h>
#include <glob.h>
#include <limits.h>
#include <linux/dm-ioctl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "command.h"
#include "device.h"
#include "kernel.h"
#include "page.h"
#include "slice.h"
#include "suite.h"
#include "sysfs.h"

#define DISK	"/dev/nvme0n1"
#define MEMORY	"/run/vfio-dmabuf/bind"

static bool has_driver(const char *name, const char *driver)
{
	char now[64] = "";

	function_link(lab_bdf(name), "driver", now, sizeof(now));
	return !strcmp(now, driver);
}

/* As after a boot of a machine that has the function's own driver. */
static void give_to_driver(const char *name, const char *module, const char *driver)
{
	/* NULL: it is built in. */
	if (module)
		module_load(module);
	driver_unbind(lab_bdf(name));
	ck_assert_works(sysfs_write(lab_bdf(name), "driver_override", "\n"));
	ck_assert_works(file_write("/sys/bus/pci/drivers_probe", lab_bdf(name)));
	ck_assert(has_driver(name, driver));
}

static void give_to(const char *name, const char *module)
{
	give_to_driver(name, module, module);
}

/* A process of its own, which begins with @begin and ends with us or by end_child(). */
static pid_t start_child(void (*begin)(void))
{
	int ready = eventfd(0, 0);
	pid_t pid = fork();
	eventfd_t value;

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		begin();
		eventfd_write(ready, 1);
		pause();
	}
	ck_assert_works(pid);
	ck_assert_works(eventfd_read(ready, &value));
	close(ready);
	return pid;
}

static void end_child(pid_t pid)
{
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}

/* ---- there and back ---- */

START_TEST(bind_and_back)
{
	json_t *list;
	const char *bdf, *driver;

	give_to("NVME", "nvme");
	list = vfio_dmabuf_json("bind --json %s", lab_bdf("NVME"));
	ck_assert_int_eq(json_array_size(list), 1);
	ck_assert_int_eq(json_unpack(json_array_get(list, 0), "{s:s,s:s!}", "bdf", &bdf, "driver", &driver), 0);
	ck_assert_str_eq(bdf, lab_bdf("NVME"));
	ck_assert_str_eq(driver, DRIVER);
	ck_assert(has_driver("NVME", DRIVER));
	ck_assert_runs("bind %s", lab_bdf("NVME"));
	list = vfio_dmabuf_json("unbind --json %s", lab_bdf("NVME"));
	ck_assert_int_eq(json_unpack(json_array_get(list, 0), "{s:s,s:s!}", "bdf", &bdf, "driver", &driver), 0);
	ck_assert_str_eq(driver, "nvme");
	ck_assert(has_driver("NVME", "nvme"));
	ck_assert_int_eq(vfio_dmabuf("unbind %s", lab_bdf("NVME")), 1);
	check_says("was not bound by vfio-dmabuf bind");
	driver_rebind(lab_bdf("NVME"));
}
END_TEST

/* As on a machine that has just booted.  Some kernels give it an IOMMU group only later. */
START_TEST(bind_of_a_new_function)
{
	ck_assert_works(sysfs_write(lab_bdf("EDU"), "remove", "1"));
	ck_assert_works(file_write("/sys/bus/pci/rescan", "1"));
	ck_assert(has_driver("EDU", ""));
	ck_assert_runs("bind %s", lab_bdf("EDU"));
	ck_assert(has_driver("EDU", DRIVER));
	ck_assert_runs("unbind %s", lab_bdf("EDU"));
	driver_rebind(lab_bdf("EDU"));
}
END_TEST

START_TEST(bind_of_a_function_without_driver)
{
	json_t *list, *driver;

	ck_assert_works(driver_unbind(lab_bdf("EDU")));
	ck_assert_works(sysfs_write(lab_bdf("EDU"), "driver_override", "\n"));
	ck_assert_runs("bind %s", lab_bdf("EDU"));
	ck_assert(has_driver("EDU", DRIVER));
	list = vfio_dmabuf_json("unbind --json %s", lab_bdf("EDU"));
	driver = json_object_get(json_array_get(list, 0), "driver");
	ck_assert(json_is_null(driver));
	ck_assert(has_driver("EDU", ""));
	driver_rebind(lab_bdf("EDU"));
}
END_TEST

START_TEST(drivers_that_are_not_there_or_not_for_this)
{
	char path[128], override[64];

	give_to("NVME", "nvme");
	ck_assert_int_eq(vfio_dmabuf("bind --driver e1000e %s", lab_bdf("NVME")), 2);
	check_says("is not a VFIO driver");
	ck_assert_int_eq(vfio_dmabuf("bind --driver none-vfio-pci %s", lab_bdf("NVME")), 1);
	check_says("module none-vfio-pci cannot be loaded");
	ck_assert(has_driver("NVME", "nvme"));
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver_override", lab_bdf("NVME"));
	ck_assert_works(file_read(path, override, sizeof(override)));
	ck_assert_str_eq(override, "(null)\n");
	driver_rebind(lab_bdf("NVME"));
}
END_TEST

/*
 * A second bind, also one that fails, does not change the driver that unbind returns
 * the function to.
 */
START_TEST(failed_bind_keeps_the_first_driver)
{
	give_to("NVME", "nvme");
	ck_assert_runs("bind --driver vfio-pci %s", lab_bdf("NVME"));
	/* A kernel that asks no driver. */
	ck_assert_int_eq(system("touch /tmp/probe"), 0);
	ck_assert_works(mount("/tmp/probe", "/sys/bus/pci/drivers_probe", NULL, MS_BIND, NULL));
	ck_assert_int_eq(vfio_dmabuf("bind %s", lab_bdf("NVME")), 1);
	ck_assert_works(umount("/sys/bus/pci/drivers_probe"));
	check_says("does not bind it");
	check_says_not("No such file");
	ck_assert_runs("unbind %s", lab_bdf("NVME"));
	ck_assert(has_driver("NVME", "nvme"));
	driver_rebind(lab_bdf("NVME"));
}
END_TEST

/* Rather no bind than one that cannot be undone. */
START_TEST(bind_without_room_to_remember)
{
	char path[128];

	give_to("NVME", "nvme");
	ck_assert_int_eq(system("mkdir -p " MEMORY), 0);
	ck_assert_works(mount("none", MEMORY, "tmpfs", 0, "size=4k,nr_inodes=8"));
	ck_assert_int_eq(system("head -c 4096 /dev/zero >" MEMORY "/full"), 0);
	ck_assert_int_eq(vfio_dmabuf("bind %s", lab_bdf("NVME")), 1);
	check_says("cannot be written: No space left on device");
	ck_assert(has_driver("NVME", "nvme"));
	ck_assert_works(unlink(MEMORY "/full"));
	ck_assert_runs("bind %s", lab_bdf("NVME"));
	ck_assert_runs("unbind %s", lab_bdf("NVME"));
	ck_assert(has_driver("NVME", "nvme"));

	/* Also if something else has emptied it. */
	snprintf(path, sizeof(path), MEMORY "/%s", lab_bdf("NVME"));
	close(open(path, O_CREAT | O_WRONLY, 0644));
	ck_assert_int_eq(vfio_dmabuf("unbind %s", lab_bdf("NVME")), 1);
	check_says("was not bound by vfio-dmabuf bind");
	ck_assert_runs("bind %s", lab_bdf("NVME"));
	ck_assert_runs("unbind %s", lab_bdf("NVME"));
	ck_assert(has_driver("NVME", "nvme"));
	ck_assert_works(umount(MEMORY));
	driver_rebind(lab_bdf("NVME"));
}
END_TEST

/* If another function of the group has a driver of its own, bind fails and names it. */
START_TEST(groups_go_together)
{
	char group[32], other[32], text[64];

	function_link(lab_bdf("HOT0"), "iommu_group", group, sizeof(group));
	function_link(lab_bdf("HOT1"), "iommu_group", other, sizeof(other));
	ck_assert_str_eq(group, other);
	ck_assert_int_eq(system("modprobe pci-stub"), 0);
	driver_bind(lab_bdf("HOT1"), "pci-stub");
	ck_assert_works(driver_unbind(lab_bdf("HOT0")));
	ck_assert_int_eq(vfio_dmabuf("bind %s", lab_bdf("HOT0")), 1);
	snprintf(text, sizeof(text), "have drivers of their own: %s (pci-stub)", lab_bdf("HOT1"));
	check_says(text);
	ck_assert(has_driver("HOT0", ""));
	ck_assert_runs("bind --group %s", lab_bdf("HOT0"));
	ck_assert(has_driver("HOT1", DRIVER));
	ck_assert_runs("unbind %s %s", lab_bdf("HOT0"), lab_bdf("HOT1"));
	ck_assert(has_driver("HOT1", "pci-stub"));
	driver_rebind(lab_bdf("HOT0"));
	driver_rebind(lab_bdf("HOT1"));
}
END_TEST

/* ---- at each boot ---- */

#define PERSIST	"/etc/vfio-dmabuf/bind.d"

/* Bindings after a boot: only the files in /etc are left. */
static void boot_with(const char *name, const char *module)
{
	if (module)
		give_to(name, module);
	else
		driver_unbind(lab_bdf(name));
	ck_assert_works(sysfs_write(lab_bdf(name), "driver_override", "\n"));
	ck_assert_int_eq(system("rm -rf " MEMORY), 0);
}

static void forget_all(void)
{
	ck_assert_int_eq(system("rm -rf " PERSIST " " MEMORY), 0);
	driver_rebind(lab_bdf("NVME"));
	driver_rebind(lab_bdf("EDU"));
}

START_TEST(binding_that_survives)
{
	const char *bdf, *driver, *state, *former;
	json_t *list;

	ck_assert_runs("bind --list");
	ck_assert_str_eq(command_out, "");
	give_to("NVME", "nvme");
	ck_assert_runs("bind --persist %s", lab_bdf("NVME"));
	ck_assert(has_driver("NVME", DRIVER));
	list = vfio_dmabuf_json("bind --list --json");
	ck_assert_int_eq(json_array_size(list), 1);
	ck_assert_int_eq(json_unpack(json_array_get(list, 0), "{s:s,s:s,s:s,s:s!}", "bdf", &bdf, "driver", &driver,
				     "state", &state, "former_driver", &former), 0);
	ck_assert_str_eq(bdf, lab_bdf("NVME"));
	ck_assert_str_eq(driver, DRIVER);
	ck_assert_str_eq(state, "bound");
	ck_assert_str_eq(former, "nvme");

	/* The initramfs has loaded the disk's driver. */
	boot_with("NVME", "nvme");
	ck_assert_runs("bind --list");
	check_says("not bound");
	ck_assert_runs("bind --restore");
	ck_assert(has_driver("NVME", DRIVER));
	/* Or none. */
	boot_with("NVME", NULL);
	ck_assert_runs("bind --restore");
	ck_assert(has_driver("NVME", DRIVER));
	ck_assert_runs("bind --restore %s", lab_bdf("NVME"));

	/* The driver that it had before the boot. */
	ck_assert_runs("unbind %s", lab_bdf("NVME"));
	check_says("it is bound again at the next boot; to prevent that, use unbind --persist");
	ck_assert(has_driver("NVME", "nvme"));
	ck_assert_runs("bind --restore");
	ck_assert(has_driver("NVME", DRIVER));
	ck_assert_runs("unbind --persist %s", lab_bdf("NVME"));
	check_says_not("next boot");
	ck_assert(has_driver("NVME", "nvme"));
	ck_assert_runs("bind --list");
	ck_assert_str_eq(command_out, "");
	ck_assert_runs("bind --restore");
	ck_assert(has_driver("NVME", "nvme"));
}
END_TEST

START_TEST(restore_takes_nothing_that_is_in_use)
{
	int fd;

	give_to("NVME", "nvme");
	ck_assert_runs("bind --persist %s %s", lab_bdf("NVME"), lab_bdf("EDU"));
	boot_with("NVME", "nvme");
	boot_with("EDU", NULL);
	for (int i = 0; i < 100 && access("/dev/nvme0", F_OK); i++)
		usleep(50000);
	fd = open("/dev/nvme0", O_RDWR | O_CLOEXEC);
	ck_assert_works(fd);
	ck_assert_int_eq(vfio_dmabuf("bind --restore"), 1);
	check_says("/dev/nvme0 open; end that first; it stays with nvme");
	ck_assert(has_driver("NVME", "nvme"));
	/* The others are bound. */
	ck_assert(has_driver("EDU", DRIVER));
	close(fd);
	/* Not bound at the next boot: no function is needed for that. */
	ck_assert_runs("unbind --persist %s", lab_bdf("NVME"));
	ck_assert(has_driver("NVME", "nvme"));
	ck_assert_int_eq(access(PERSIST "/", F_OK), 0);
	ck_assert_int_eq(vfio_dmabuf("unbind --persist %s", lab_bdf("NVME")), 1);
	check_says("was not bound by vfio-dmabuf bind");
}
END_TEST

START_TEST(restore_of_another_device_or_none)
{
	char path[128];

	boot_with("EDU", NULL);
	ck_assert_int_eq(system("mkdir -p " PERSIST), 0);
	snprintf(path, sizeof(path), "echo id: 8086:10fb >" PERSIST "/%s", lab_bdf("EDU"));
	ck_assert_int_eq(system(path), 0);
	ck_assert_int_eq(system("touch " PERSIST "/0000:7f:00.0 " PERSIST "/0000:7f:00.1.new"), 0);
	ck_assert_int_eq(vfio_dmabuf("bind --restore"), 1);
	check_says("it is 1234:11e8, but 8086:10fb was bound there");
	check_says("0000:7f:00.0: there is no such function yet");
	check_says_not("0000:7f:00.1");
	ck_assert(has_driver("EDU", ""));
	ck_assert_runs("bind --list");
	check_says("another device");
	check_says("absent");
	/* A file made by hand is enough. */
	snprintf(path, sizeof(path), "echo '# mine' >" PERSIST "/%s", lab_bdf("EDU"));
	ck_assert_int_eq(system(path), 0);
	ck_assert_runs("bind --restore");
	ck_assert(has_driver("EDU", DRIVER));
	snprintf(path, sizeof(path), "echo driver: nvme >" PERSIST "/%s", lab_bdf("EDU"));
	ck_assert_int_eq(system(path), 0);
	ck_assert_int_eq(vfio_dmabuf("bind --restore %s", lab_bdf("EDU")), 1);
	check_says("\"nvme\" is not a VFIO driver");
	snprintf(path, sizeof(path), "echo drvier: nvme >" PERSIST "/%s", lab_bdf("EDU"));
	ck_assert_int_eq(system(path), 0);
	ck_assert_int_eq(vfio_dmabuf("bind --restore %s", lab_bdf("EDU")), 1);
	check_says(":1: not understood");
	ck_assert_runs("unbind --persist 0000:7f:00.0");
	ck_assert_int_eq(access(PERSIST "/0000:7f:00.0", F_OK), -1);
}
END_TEST

/* ---- disks ---- */

static void take_disk(void)
{
	give_to("NVME", "nvme");
	/* The driver looks for the disk after it is bound. */
	for (int i = 0; i < 100 && access(DISK, F_OK); i++)
		usleep(50000);
}

static void give_disk_back(void)
{
	driver_rebind(lab_bdf("NVME"));
}

static void check_refused(const char *name, const char *why)
{
	ck_assert_int_eq(vfio_dmabuf("bind %s", lab_bdf(name)), 1);
	check_says(why);
	ck_assert(!has_driver(name, DRIVER));
}

static void make_file_system(void)
{
	/* Unless they are built in. */
	shell("modprobe -q crc32c_generic; modprobe -q ext4");
	ck_assert_int_eq(system("mke2fs -q " DISK), 0);
	mkdir("/tmp/disk", 0755);
}

static void mount_disk(void)
{
	ck_assert_works(mount(DISK, "/tmp/disk", "ext4", 0, NULL));
}

START_TEST(disk_that_is_mounted)
{
	make_file_system();
	mount_disk();
	check_refused("NVME", "/dev/nvme0n1 is mounted at /tmp/disk; unmount it first");
	ck_assert_works(umount("/tmp/disk"));

	ck_assert_int_eq(system("mkswap " DISK " >/dev/null && swapon " DISK), 0);
	check_refused("NVME", "/dev/nvme0n1 is swap");
	ck_assert_int_eq(system("swapoff " DISK), 0);

	ck_assert_runs("bind %s", lab_bdf("NVME"));
	ck_assert_runs("unbind %s", lab_bdf("NVME"));
}
END_TEST

static void mount_for_itself(void)
{
	ck_assert_works(unshare(CLONE_NEWNS));
	ck_assert_works(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	mount_disk();
}

START_TEST(disk_that_is_mounted_elsewhere)
{
	pid_t pid;

	make_file_system();
	pid = start_child(mount_for_itself);
	check_refused("NVME", "/dev/nvme0n1 is in use");
	end_child(pid);
	ck_assert_runs("bind %s", lab_bdf("NVME"));
	ck_assert_runs("unbind %s", lab_bdf("NVME"));
}
END_TEST

START_TEST(disk_that_a_process_has_open)
{
	int fd = open(DISK, O_RDWR | O_CLOEXEC);
	char text[64];

	ck_assert_works(fd);
	snprintf(text, sizeof(text), "process %d (%.15s) has /dev/nvme0n1 open", getpid(),
		 program_invocation_short_name);
	check_refused("NVME", text);
	close(fd);
	ck_assert_runs("bind %s", lab_bdf("NVME"));
	ck_assert_runs("unbind %s", lab_bdf("NVME"));
}
END_TEST

/* ---- other functions with nodes ---- */

/* The path of a function's node whose name matches @pattern, if there is one. */
static bool find_node(const char *bdf, const char *pattern, char path[128])
{
	bool found = false;
	glob_t nodes;

	ck_assert_int_eq(glob("/sys/dev/*/*", 0, NULL, &nodes), 0);
	for (size_t i = 0; i < nodes.gl_pathc && !found; i++) {
		char real[PATH_MAX], uevent[512], *name;

		if (!realpath(nodes.gl_pathv[i], real) || !strstr(real, bdf))
			continue;
		strcat(real, "/uevent");
		if (file_read(real, uevent, sizeof(uevent)) < 0)
			continue;
		name = strstr(uevent, "DEVNAME=");
		if (!name)
			continue;
		snprintf(path, 128, "/dev/%.100s", name + 8);
		path[strcspn(path, "\n")] = '\0';
		found = !fnmatch(pattern, path + 5, 0);
	}
	globfree(&nodes);
	return found;
}

/* Waits until the driver has made it. */
static const char *node_of(const char *name, const char *pattern)
{
	static char path[128];

	for (int i = 0; i < 200; i++) {
		if (find_node(lab_bdf(name), pattern, path) && !access(path, F_OK))
			return path;
		usleep(50000);
	}
	ck_abort_msg("%s has no node /dev/%s", name, pattern);
}

static const struct {
	const char *name, *module, *driver, *pattern;
} owners[] = {
	{ "NVME", "nvme", "nvme", "nvme0" },
	{ "NVME", "nvme", "nvme", "ng0n1" },
	{ "XHCI", "xhci-pci", "xhci_hcd", "bus/usb/*" },
	{ "TABLET", "virtio_input", "virtio-pci", "input/event*" },
	{ "DISPLAY", "bochs", "bochs-drm", "dri/card*" },
	{ "SERIAL", NULL, "serial", "ttyS*" },
};

START_TEST(node_that_a_process_has_open)
{
	const char *name = owners[_i].name, *node;
	char text[192];
	int fd;

	/* It makes the nodes of input devices. */
	shell("modprobe -q evdev");
	give_to_driver(name, owners[_i].module, owners[_i].driver);
	node = node_of(name, owners[_i].pattern);
	fd = open(node, O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	ck_assert_msg(fd >= 0, "%s: %s", node, strerror(errno));
	snprintf(text, sizeof(text), "process %d (%.15s) has %s open; end that first", getpid(),
		 program_invocation_short_name, node);
	check_refused(name, text);
	ck_assert_int_eq(vfio_dmabuf("bind %s", node), 1);
	check_says(text);
	close(fd);
	/* A node is a name of its function. */
	ck_assert_runs("bind %s", node);
	ck_assert(has_driver(name, DRIVER));
	ck_assert_runs("unbind %s", lab_bdf(name));
	ck_assert(has_driver(name, owners[_i].driver));
	driver_rebind(lab_bdf(name));
}
END_TEST

/* A thread can have files of its own. */
static int open_alone(void *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	eventfd_write(*(int *)((char *)path + 64), fd >= 0 ? 1 : 2);
	pause();
	return 0;
}

START_TEST(node_that_a_thread_has_open)
{
	static char stack[65536], path[128] = "/dev/nvme0";
	eventfd_t value;
	char text[64];
	int ready = eventfd(0, EFD_CLOEXEC);
	int tid;

	take_disk();
	memcpy(path + 64, &ready, sizeof(ready));
	tid = clone(open_alone, stack + sizeof(stack), CLONE_VM | CLONE_SIGHAND | CLONE_THREAD, path);
	ck_assert_works(tid);
	ck_assert_works(eventfd_read(ready, &value));
	ck_assert_uint_eq(value, 1);
	snprintf(text, sizeof(text), "process %d (%.15s) has /dev/nvme0 open", getpid(), program_invocation_short_name);
	check_refused("NVME", text);
}
END_TEST

static int dm(int control, unsigned long request, const char *table)
{
	struct {
		struct dm_ioctl head;
		struct dm_target_spec spec;
		char params[64];
	} dm = {
		.head = {
			.version = { DM_VERSION_MAJOR }, .data_size = sizeof(dm),
			.data_start = sizeof(dm.head), .name = "lab", .target_count = !!table,
		},
		.spec = { .length = 8, .target_type = "linear" },
	};

	if (table)
		strcpy(dm.params, table);
	return ioctl(control, request, &dm);
}

START_TEST(disk_that_is_part_of_another)
{
	int control;

	ck_assert_int_eq(system("modprobe dm-mod"), 0);
	control = open("/dev/mapper/control", O_RDWR | O_CLOEXEC);
	ck_assert_works(control);
	ck_assert_works(dm(control, DM_DEV_CREATE, NULL));
	ck_assert_works(dm(control, DM_TABLE_LOAD, DISK " 0"));
	check_refused("NVME", "/dev/nvme0n1 is part of dm-0; stop that first");
	ck_assert_works(dm(control, DM_DEV_REMOVE, NULL));
	close(control);
	ck_assert_runs("bind %s", lab_bdf("NVME"));
	ck_assert_runs("unbind %s", lab_bdf("NVME"));
}
END_TEST

static void load_nvme(const char *options)
{
	driver_unbind(lab_bdf("NVME"));
	ck_assert_int_eq(shell("rmmod nvme && rmmod nvme_core && modprobe nvme_core %s", options), 0);
	take_disk();
}

static const char *paths_missing(void)
{
	if (!kernel_is(6, 16))
		return "the kernel makes such disks only of several controllers";
	if (!access("/sys/module/nvme_core", F_OK) && access("/sys/module/nvme_core/initstate", F_OK))
		return "this kernel's driver nvme is built in, and cannot be loaded again";
	return NULL;
}

/* The disk then belongs to a subsystem, and no more to the function alone. */
START_TEST(disk_with_several_paths)
{
	char real[256] = "";

	load_nvme("multipath_always_on=Y");
	ck_assert_works(readlink("/sys/class/block/nvme0n1", real, sizeof(real) - 1));
	ck_assert_msg(strstr(real, "/nvme-subsystem/"), "%s", real);
	make_file_system();
	mount_disk();
	check_refused("NVME", "/dev/nvme0n1 is mounted at /tmp/disk; unmount it first");
	ck_assert_works(umount("/tmp/disk"));
	ck_assert_runs("bind %s", lab_bdf("NVME"));
	ck_assert_runs("unbind %s", lab_bdf("NVME"));
	load_nvme("");
}
END_TEST

/* ---- networks ---- */

static void take_network(void)
{
	/* With IPv6 it would have an address as soon as it is up. */
	ck_assert_int_eq(system("echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6"), 0);
	give_to("E1000E", "e1000e");
}

static void give_network_back(void)
{
	driver_rebind(lab_bdf("E1000E"));
}

START_TEST(network_that_is_up)
{
	ck_assert_int_eq(system("ip addr add 192.0.2.1/24 dev eth0 && ip link set eth0 up"), 0);
	check_refused("E1000E", "its network interface eth0 is up");
	ck_assert_int_eq(system("ip addr flush dev eth0"), 0);
	check_refused("E1000E", "its network interface eth0 is up");
	ck_assert_int_eq(system("ip link set eth0 down"), 0);
	ck_assert_runs("bind %s", lab_bdf("E1000E"));
	ck_assert_runs("unbind %s", lab_bdf("E1000E"));
}
END_TEST

START_TEST(network_in_a_bridge)
{
	ck_assert_int_eq(system("modprobe bridge && ip link add br0 type bridge && ip link set eth0 master br0"), 0);
	check_refused("E1000E", "its network interface eth0 is part of br0");
	ck_assert_int_eq(system("ip link del br0"), 0);
	ck_assert_runs("bind %s", lab_bdf("E1000E"));
	ck_assert_runs("unbind %s", lab_bdf("E1000E"));
}
END_TEST

static void leave_network(void)
{
	ck_assert_works(unshare(CLONE_NEWNET));
}

START_TEST(network_below_another)
{
	ck_assert_int_eq(system("modprobe 8021q && ip link add link eth0 name vlan5 type vlan id 5"), 0);
	check_refused("E1000E", "network interface vlan5 is on top of its interface eth0; delete it first");
	ck_assert_int_eq(system("ip link del vlan5"), 0);
	ck_assert_runs("bind eth0");
	ck_assert(has_driver("E1000E", DRIVER));
	ck_assert_runs("unbind %s", lab_bdf("E1000E"));
	ck_assert_int_eq(vfio_dmabuf("bind lo"), 2);
	check_says("\"lo\" is not a PCI function");
}
END_TEST

START_TEST(network_in_another_namespace)
{
	pid_t pid = start_child(leave_network);
	char command[128], text[128];

	snprintf(command, sizeof(command), "ip link set eth0 netns %d && nsenter -t %d -n ip link set eth0 up", pid, pid);
	ck_assert_int_eq(system(command), 0);
	snprintf(text, sizeof(text), "its network interface eth0 (in /proc/%d/ns/net) is up", pid);
	check_refused("E1000E", text);
	end_child(pid);
	for (int i = 0; i < 100 && access("/sys/class/net/eth0", F_OK); i++)
		usleep(50000);
	ck_assert_runs("bind %s", lab_bdf("E1000E"));
	ck_assert_runs("unbind %s", lab_bdf("E1000E"));
}
END_TEST

/* ---- VFIO ---- */

static void bind_edu(void)
{
	driver_unbind(lab_bdf("EDU"));
	ck_assert_works(sysfs_write(lab_bdf("EDU"), "driver_override", "\n"));
	ck_assert_runs("bind %s", lab_bdf("EDU"));
}

static void rebind_edu(void)
{
	shell("vfio-dmabuf unbind %s", lab_bdf("EDU"));
	driver_rebind(lab_bdf("EDU"));
}

static void check_edu_is_not_given_back(const char *by)
{
	ck_assert_int_eq(shell("timeout 20 vfio-dmabuf unbind %s", lab_bdf("EDU")), 1);
	check_says(by);
	check_says(", or use --force");
	ck_assert(has_driver("EDU", DRIVER));
	ck_assert_int_eq(shell("timeout 20 vfio-dmabuf bind --driver vfio-pci %s", lab_bdf("EDU")), 1);
	check_says(by);
	ck_assert(has_driver("EDU", DRIVER));
}

static const char *this_process(void)
{
	static char text[32];

	snprintf(text, sizeof(text), "process %d (", getpid());
	return text;
}

START_TEST(function_whose_group_is_open)
{
	struct device edu;

	device_open(&edu, "EDU");
	check_edu_is_not_given_back(this_process());
	device_close(&edu);
	ck_assert_runs("unbind %s", lab_bdf("EDU"));
}
END_TEST

START_TEST(function_of_which_only_the_device_is_open)
{
	struct device edu;

	device_open(&edu, "EDU");
	close(edu.group);
	close(edu.container);
	/* Only kernels since 6.17 report the device of an fd. */
	check_edu_is_not_given_back(kernel_is(6, 17) ? this_process() : "another process has it, or its group, open");
	close(edu.fd);
	ck_assert_runs("unbind %s", lab_bdf("EDU"));
}
END_TEST

START_TEST(function_of_which_only_a_mapping_is_left)
{
	struct device edu;

	device_open(&edu, "EDU");
	device_map(&edu, 0, 0, PAGE);
	device_close(&edu);
	check_edu_is_not_given_back(this_process());
}
END_TEST

/* A slice does not keep a function in use. */
START_TEST(function_of_which_only_a_slice_is_left)
{
	struct device edu;
	int fd;

	device_open(&edu, "EDU");
	fd = slice_new(&edu, 0, 0, PAGE);
	slice_map(fd, 0, PAGE);
	device_close(&edu);
	ck_assert_runs("unbind %s", lab_bdf("EDU"));
}
END_TEST

/* Lets go of the device when the kernel asks for it. */
static void let_go_when_asked(void)
{
	struct {
		struct vfio_irq_set set;
		int fd;
	} irq = {
		.set = {
			.argsz = sizeof(irq), .index = VFIO_PCI_REQ_IRQ_INDEX, .count = 1,
			.flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
		},
	};
	struct device edu;

	device_open(&edu, "EDU");
	irq.fd = eventfd(0, EFD_CLOEXEC);
	ck_assert_works(ioctl(edu.fd, VFIO_DEVICE_SET_IRQS, &irq));
	if (!fork()) {
		eventfd_t value;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		eventfd_read(irq.fd, &value);
		_exit(0);
	}
	device_close(&edu);
}

START_TEST(force_asks_to_let_go)
{
	pid_t pid = start_child(let_go_when_asked);

	check_edu_is_not_given_back("process ");
	ck_assert_runs("unbind --force %s", lab_bdf("EDU"));
	ck_assert(has_driver("EDU", ""));
	end_child(pid);
}
END_TEST

START_TEST(what_is_never_bound)
{
	ck_assert_int_eq(vfio_dmabuf("bind %s", lab_bdf("PORT_NVME")), 1);
	check_says("it is a bridge");
	ck_assert_int_eq(shell("/usr/bin/setpriv --reuid 1000 --clear-groups vfio-dmabuf bind %s", lab_bdf("EDU")), 1);
	check_says("only root can bind");
}
END_TEST

static const char *owner_missing(int i)
{
	char path[64];

	if (owners[i].module)
		return driver_missing(owners[i].module);
	snprintf(path, sizeof(path), "/sys/bus/pci/drivers/%s", owners[i].driver);
	return access(path, F_OK) ? "this kernel has no driver for it" : NULL;
}

Suite *suite(void)
{
	Suite *s = suite_create("bind");
	const char *nvme = driver_missing("nvme"), *e1000e = driver_missing("e1000e");
	TCase *tc = add_group(s, "there and back");

	add_test_or_skip(tc, bind_and_back, nvme);
	tcase_add_test(tc, bind_of_a_function_without_driver);
	tcase_add_test(tc, bind_of_a_new_function);
	add_test_or_skip(tc, drivers_that_are_not_there_or_not_for_this, nvme ?: e1000e);
	add_test_or_skip(tc, failed_bind_keeps_the_first_driver, nvme);
	add_test_or_skip(tc, bind_without_room_to_remember, nvme);
	add_test_or_skip(tc, groups_go_together, driver_missing("pci-stub"));
	tcase_add_test(tc, what_is_never_bound);

	tc = add_group(s, "at each boot");
	if (!nvme)
		tcase_add_checked_fixture(tc, NULL, forget_all);
	add_test_or_skip(tc, binding_that_survives, nvme);
	add_test_or_skip(tc, restore_takes_nothing_that_is_in_use, nvme);
	add_test_or_skip(tc, restore_of_another_device_or_none, nvme);

	tc = add_group(s, "nodes");
	for (int i = 0; i < (int)(sizeof(owners) / sizeof(owners[0])); i++) {
		const char *missing = owner_missing(i);

		if (missing)
			add_test_or_skip(tc, node_that_a_process_has_open, missing);
		else
			tcase_add_loop_test(tc, node_that_a_process_has_open, i, i + 1);
	}
	add_test_or_skip(tc, node_that_a_thread_has_open, nvme);

	tc = add_group(s, "disks");
	if (!nvme)
		tcase_add_checked_fixture(tc, take_disk, give_disk_back);
	add_test_or_skip(tc, disk_that_is_mounted, nvme);
	add_test_or_skip(tc, disk_that_is_mounted_elsewhere, nvme);
	add_test_or_skip(tc, disk_that_a_process_has_open, nvme);
	add_test_or_skip(tc, disk_that_is_part_of_another, nvme);
	add_test_or_skip(tc, disk_with_several_paths, nvme ?: paths_missing());

	tc = add_group(s, "networks");
	if (!e1000e)
		tcase_add_checked_fixture(tc, take_network, give_network_back);
	add_test_or_skip(tc, network_that_is_up, e1000e);
	add_test_or_skip(tc, network_in_a_bridge, e1000e);
	add_test_or_skip(tc, network_below_another, e1000e);
	add_test_or_skip(tc, network_in_another_namespace, e1000e);

	tc = add_group(s, "VFIO");
	tcase_add_checked_fixture(tc, bind_edu, rebind_edu);
	tcase_add_test(tc, function_whose_group_is_open);
	tcase_add_test(tc, function_of_which_only_the_device_is_open);
	tcase_add_test(tc, function_of_which_only_a_mapping_is_left);
	tcase_add_test(tc, function_of_which_only_a_slice_is_left);
	tcase_add_test(tc, force_asks_to_let_go);
	return s;
}
