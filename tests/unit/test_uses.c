/* SPDX-License-Identifier: MIT */
/*
 * What belongs to a function and whether it is in use, in made-up trees of /sys and
 * /proc.  Device nodes cannot be made everywhere, so /dev/null and /dev/zero, which are
 * everywhere, belong to made-up functions.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "in_use.h"
#include "nodes.h"
#include "suite.h"

#define NVME	"0000:01:00.0"
#define OTHER	"0000:02:00.0"
#define NVME_AT	"devices/pci0000:00/0000:00:03.0/0000:01:00.0"
#define OTHER_AT "devices/pci0000:00/0000:02:00.0"

static char root[64];
static char why[512];
static struct nodes nodes;

/* The path in the tree; its directories are there afterwards. */
static const char *at(const char *path)
{
	static char full[PATH_MAX];

	snprintf(full, sizeof(full), "%s/%s", root, path);
	for (char *c = full + strlen(root) + 1; (c = strchr(c, '/')); c++) {
		*c = '\0';
		mkdir(full, 0755);
		*c = '/';
	}
	return full;
}

static void put(const char *path, const char *text)
{
	FILE *file = fopen(at(path), "w");

	ck_assert_ptr_nonnull(file);
	ck_assert_int_ge(fputs(text, file), 0);
	ck_assert_int_eq(fclose(file), 0);
}

static void put_link(const char *path, const char *target)
{
	const char *link = at(path);

	unlink(link);
	ck_assert_works(symlink(target, link));
}

/* A node as the kernel shows it: "char", "1:3", where it is below /sys, its name below /dev. */
static void put_node(const char *type, const char *numbers, const char *where, const char *name)
{
	char path[256], target[256];

	snprintf(path, sizeof(path), "sys/%s/uevent", where);
	snprintf(target, sizeof(target), "MAJOR=1\nDEVNAME=%s\nDEVMODE=0666\n", name);
	put(path, target);
	snprintf(path, sizeof(path), "sys/dev/%s/%s", type, numbers);
	snprintf(target, sizeof(target), "../../%s", where);
	put_link(path, target);
}

static void make_tree(void)
{
	strcpy(root, "/tmp/uses.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(root));
	put_node("block", "259:0", NVME_AT "/nvme/nvme0/nvme0n1", "nvme0n1");
	put_node("block", "259:1", NVME_AT "/nvme/nvme0/nvme0n1/nvme0n1p1", "nvme0n1p1");
	put_node("char", "241:0", NVME_AT "/nvme/nvme0", "nvme0");
	put_node("char", "240:0", NVME_AT "/nvme/nvme0/ng0n1", "ng0n1");
	put_node("char", "1:3", OTHER_AT "/drm/card0", "dri/card0");
	put_node("char", "1:5", "devices/virtual/mem/zero", "zero");
	put("proc/self/mountinfo", "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n");
	put("proc/1/task/1/fd/x", "");
}

static void remove_tree(void)
{
	char command[128];

	nodes_free(&nodes);
	snprintf(command, sizeof(command), "rm -r %s", root);
	ck_assert_int_eq(system(command), 0);
}

static const struct node *find(const char *name)
{
	for (size_t i = 0; i < nodes.nr; i++)
		if (!strcmp(nodes.list[i].name, name))
			return &nodes.list[i];
	ck_abort_msg("there is no node %s", name);
}

static void find_nodes(const char *bdf)
{
	nodes_free(&nodes);
	ck_assert_works(nodes_find(root, bdf, &nodes));
}

static void check_why(const char *text)
{
	ck_assert_msg(strstr(why, text), "\"%s\" is not in: %s", text, why);
}

/* ---- nodes ---- */

START_TEST(nodes_below_a_function)
{
	find_nodes(NVME);
	ck_assert_uint_eq(nodes.nr, 4);
	ck_assert(find("nvme0n1")->block && find("nvme0n1p1")->block);
	ck_assert(!find("nvme0")->block && !find("ng0n1")->block);
	ck_assert_uint_eq(find("nvme0n1p1")->number, makedev(259, 1));
	find_nodes(OTHER);
	ck_assert_uint_eq(nodes.nr, 1);
	ck_assert_str_eq(nodes.list[0].name, "dri/card0");
	/* Not what begins or ends like it. */
	find_nodes("0000:01:00");
	ck_assert_uint_eq(nodes.nr, 0);
	find_nodes("000:01:00.0");
	ck_assert_uint_eq(nodes.nr, 0);
}
END_TEST

START_TEST(nodes_of_a_subsystem)
{
	put_node("block", "259:7", "devices/virtual/nvme-subsystem/nvme-subsys1/nvme1n1", "nvme1n1");
	put_node("char", "240:7", "devices/virtual/nvme-subsystem/nvme-subsys1/ng1n1", "ng1n1");
	mkdir(at("sys/devices/virtual/nvme-subsystem/nvme-subsys2/"), 0755);
	find_nodes(NVME);
	ck_assert_uint_eq(nodes.nr, 4);
	put_link("sys/devices/virtual/nvme-subsystem/nvme-subsys1/nvme0", "../../../pci0000:00/0000:00:03.0/0000:01:00.0/nvme/nvme0");
	find_nodes(NVME);
	ck_assert_uint_eq(nodes.nr, 6);
	find("nvme1n1");
	find("ng1n1");
}
END_TEST

START_TEST(nodes_that_cannot_be_read)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -r %s/sys/dev/char", root);
	ck_assert_int_eq(system(command), 0);
	ck_assert_int_eq(nodes_find(root, NVME, &nodes), -1);
}
END_TEST

START_TEST(names)
{
	char bdf[16];

	ck_assert(function_find(root, "1:0.0", bdf));
	ck_assert_str_eq(bdf, NVME);
	/* Those of the virtio bus are below a function. */
	put("sys/devices/pci0000:00/0000:00:04.0/virtio1/net/eth1/flags", "");
	put_link("sys/class/net/eth1", "../../devices/pci0000:00/0000:00:04.0/virtio1/net/eth1");
	ck_assert(function_find(root, "eth1", bdf));
	ck_assert_str_eq(bdf, "0000:00:04.0");
	/* The nearest one: not the port. */
	put("sys/" NVME_AT "/net/eth2/flags", "");
	put_link("sys/class/net/eth2", "../../" NVME_AT "/net/eth2");
	ck_assert(function_find(root, "eth2", bdf));
	ck_assert_str_eq(bdf, NVME);
	ck_assert(function_find(root, "/dev/null", bdf));
	ck_assert_str_eq(bdf, OTHER);

	put("sys/devices/virtual/net/lo/flags", "");
	put_link("sys/class/net/lo", "../../devices/virtual/net/lo");
	ck_assert(!function_find(root, "lo", bdf));
	ck_assert(!function_find(root, "eth3", bdf));
	ck_assert(!function_find(root, "", bdf));
	ck_assert(!function_find(root, "..", bdf));
	ck_assert(!function_find(root, "../net/eth1", bdf));
	ck_assert(!function_find(root, "/dev/zero", bdf));
	ck_assert(!function_find(root, "/etc/passwd", bdf));
	ck_assert(!function_find(root, "/nonexistent", bdf));
}
END_TEST

/* A disk with one path to it belongs to that, one with several to none. */
START_TEST(names_of_a_subsystem)
{
	char bdf[16];

	put_node("char", "1:5", "devices/virtual/nvme-subsystem/nvme-subsys1/ng1n1", "ng1n1");
	ck_assert(!function_find(root, "/dev/zero", bdf));
	put_link("sys/devices/virtual/nvme-subsystem/nvme-subsys1/nvme0", "../../../pci0000:00/0000:00:03.0/0000:01:00.0/nvme/nvme0");
	ck_assert(function_find(root, "/dev/zero", bdf));
	ck_assert_str_eq(bdf, NVME);
	put_link("sys/devices/virtual/nvme-subsystem/nvme-subsys1/nvme1", "../../../pci0000:00/0000:02:00.0/drm");
	ck_assert(!function_find(root, "/dev/zero", bdf));
}
END_TEST

static bool remember_last(const char *bdf, void *data)
{
	strcpy(data, bdf);
	return !strcmp(bdf, "0000:05:10.1");
}

START_TEST(virtual_functions)
{
	char last[16] = "";

	put("sys/devices/pci0000:00/0000:05:10.1/class", "");
	put("sys/devices/pci0000:00/0000:05:00.0/class", "");
	put_link("sys/bus/pci/devices/0000:05:00.0", "../../../devices/pci0000:00/0000:05:00.0");
	ck_assert(!function_any_virtual(root, "0000:05:00.0", remember_last, last));
	ck_assert_str_eq(last, "");
	put_link("sys/devices/pci0000:00/0000:05:00.0/virtfn0", "../0000:05:10.1");
	ck_assert(function_any_virtual(root, "0000:05:00.0", remember_last, last));
	ck_assert_str_eq(last, "0000:05:10.1");
}
END_TEST

/* ---- processes ---- */

static bool is_open(const char *bdf)
{
	find_nodes(bdf);
	why[0] = '\0';
	return opened_in_use(root, &nodes, why, sizeof(why));
}

START_TEST(process_that_has_a_node)
{
	ck_assert(!is_open(OTHER));
	put("proc/123/comm", "drinker\n");
	put_link("proc/123/task/123/fd/4", "/dev/zero");
	ck_assert(!is_open(OTHER));
	put_link("proc/123/task/123/fd/5", "/dev/null");
	ck_assert(is_open(OTHER));
	ck_assert_str_eq(why, "process 123 (drinker) has /dev/dri/card0 open; end that first");
	/* A disk can have the numbers of a character device. */
	put_node("block", "1:3", NVME_AT "/nvme/nvme0/nvme0n2", "nvme0n2");
	ck_assert(!is_open(NVME));
}
END_TEST

START_TEST(thread_that_has_a_node)
{
	/* Numbers that no process has, as the kernel is asked about them. */
	put("proc/4194310/comm", "threads\n");
	put("proc/4194310/task/4194310/fd/0", "");
	put_link("proc/4194310/task/4194311/fd/5", "/dev/null");
	ck_assert(is_open(OTHER));
	check_why("process 4194310 (threads) has /dev/dri/card0 open");
}
END_TEST

START_TEST(process_that_maps_a_node)
{
	put("proc/9/comm", "first\n");
	put("proc/9/task/9/fd/0", "");
	put("proc/9/maps", "00400000-00401000 r--s 00001000 00:06 7                     /dev/zero\n");
	put_link("proc/9/map_files/400000-401000", "/dev/zero");
	put("proc/123/comm", "mapper\n");
	put("proc/123/task/123/fd/0", "");
	put("proc/123/maps",
	    "00400000-00401000 r--s 00001000 00:06 7                     /dev/zero\n"
	    "7f0000000000-7f0000001000 rw-p 00000000 00:00 0 \n"
	    "7f0000001000-7f0000002000 rw-s 00000000 00:06 8                     /gone (deleted)\n");
	ck_assert(!is_open(OTHER));
	put_link("proc/123/map_files/7f0000001000-7f0000002000", "/dev/null");
	ck_assert(is_open(OTHER));
	check_why("process 123 (mapper) has /dev/dri/card0 mapped");
}
END_TEST

START_TEST(process_that_cannot_be_looked_into)
{
	/* It ends while it is looked at. */
	put("proc/55/comm", "gone\n");
	put("proc/56/task/56/comm", "gone\n");
	ck_assert(!is_open(OTHER));
	put("proc/123/comm", "hidden\n");
	put("proc/123/task/123/fd", "");
	ck_assert(is_open(OTHER));
	check_why("process 123 (hidden) cannot be examined; what it has open counts as in use");
	put("proc/99/task", "");
	unlink(at("proc/123/task/123/fd"));
	ck_assert(is_open(OTHER));
	check_why("process 99 (?) cannot be examined");
}
END_TEST

/* Nothing is looked for, so nothing can be unreadable. */
START_TEST(function_without_nodes)
{
	put("proc/123/task/123/fd", "");
	ck_assert(!is_open("0000:03:00.0"));
}
END_TEST

/* ---- disks ---- */

static bool disk_is_used(void)
{
	find_nodes(NVME);
	why[0] = '\0';
	return disk_in_use(root, &nodes, why, sizeof(why));
}

START_TEST(mounts)
{
	ck_assert(!disk_is_used());
	put("proc/self/mountinfo", "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n36 22 259:1 / /my\\040disk rw,noatime - ext4 /dev/root rw\n");
	ck_assert(disk_is_used());
	ck_assert_str_eq(why, "/dev/nvme0n1p1 is mounted at /my disk; unmount it first");
	/* Some file systems have numbers of their own. */
	put("proc/self/mountinfo", "36 35 0:31 /@ /srv rw - btrfs /dev/nvme0n1p1 rw,subvol=/@\n");
	ck_assert(disk_is_used());
	check_why("/dev/nvme0n1p1 is mounted at /srv");
	put("proc/self/mountinfo", "36 35 0:31 /@ /srv rw - btrfs /dev/nvme0n1p10 rw,subvol=/@\n");
	ck_assert(!disk_is_used());
	unlink(at("proc/self/mountinfo"));
	ck_assert(disk_is_used());
	check_why("cannot be read");
}
END_TEST

START_TEST(swap)
{
	put("proc/swaps", "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
	    "/dev/sda2                               partition\t65532\t\t0\t\t-2\n");
	ck_assert(!disk_is_used());
	put("proc/swaps", "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
	    "/dev/nvme0n1p1                          partition\t65532\t\t0\t\t-2\n");
	ck_assert(disk_is_used());
	ck_assert_str_eq(why, "/dev/nvme0n1p1 is swap; swapoff it first");
}
END_TEST

START_TEST(holders)
{
	mkdir(at("sys/" NVME_AT "/nvme/nvme0/nvme0n1/nvme0n1p1/holders/"), 0755);
	ck_assert(!disk_is_used());
	put("sys/" NVME_AT "/nvme/nvme0/nvme0n1/nvme0n1p1/holders/dm-3", "");
	ck_assert(disk_is_used());
	ck_assert_str_eq(why, "/dev/nvme0n1p1 is part of dm-3; stop that first");
	unlink(at("sys/" NVME_AT "/nvme/nvme0/nvme0n1/nvme0n1p1/holders/dm-3"));
	put("sys/" NVME_AT "/nvme/nvme0/nvme0n1/holders", "");
	ck_assert(disk_is_used());
	check_why("what /dev/nvme0n1 is part of cannot be read");
}
END_TEST

/* ---- the kernel itself ---- */

START_TEST(consoles)
{
	find_nodes(OTHER);
	ck_assert(!console_in_use(root, &nodes, why, sizeof(why)));
	put("proc/consoles", "tty0                 -WU (EC  p  )    4:2\nttyS1                -W- (E   p a)    1:5\nnetcon0              -W- (E     a)\n");
	ck_assert(!console_in_use(root, &nodes, why, sizeof(why)));
	put("proc/consoles", "tty0                 -WU (EC  p  )    4:2\nttyS1                -W- (E   p a)    1:3\n");
	ck_assert(console_in_use(root, &nodes, why, sizeof(why)));
	check_why("/dev/dri/card0 is a console of the kernel");
}
END_TEST

static bool screen(const char *iomem)
{
	put("proc/iomem", iomem);
	why[0] = '\0';
	return framebuffer_in_use(root, OTHER, why, sizeof(why));
}

START_TEST(framebuffers)
{
	put("sys/" OTHER_AT "/resource",
	    "0x00000000fc000000 0x00000000fcffffff 0x0000000000042208\n"
	    "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
	    "0x00000000fd000000 0x00000000fd000fff 0x0000000000040200\n"
	    "0x000000000000c000 0x000000000000c0ff 0x0000000000040101\n"
	    "0x0000000000000000 0x0000000000000000 0x0000000000000000\n"
	    "0x0000000000000000 0x0000000000000000 0x0000000000000000\n");
	put_link("sys/bus/pci/devices/" OTHER, "../../../" OTHER_AT);
	ck_assert(!screen("00001000-0009fbff : System RAM\nfc000000-fcffffff : 0000:02:00.0\n  fc000000-fcffffff : nvidia\n"
			  "0000c000-0000c0ff : BOOTFB\n"));
	ck_assert(screen("fc000000-fcffffff : 0000:02:00.0\n  fc000000-fc2fffff : BOOTFB\n"));
	check_why("in its BAR 0 (BOOTFB in /proc/iomem)");
	ck_assert(screen("fd000000-fd000fff : 0000:02:00.0\n    fd000000-fd0000ff : simple-framebuffer.0\n"));
	check_why("in its BAR 2 (simple-framebuffer.0");
	ck_assert(screen("  fc800000-fcafffff : efifb\n"));
	ck_assert(!screen("  fe000000-fe2fffff : efifb\n"));
	/* As ordinary users see it. */
	ck_assert(screen("00000000-00000000 : 0000:02:00.0\n  00000000-00000000 : BOOTFB\n"));
	check_why("does not say where");
	unlink(at("proc/iomem"));
	ck_assert(framebuffer_in_use(root, OTHER, why, sizeof(why)));
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("uses");
	TCase *tc = add_group(s, "nodes");

	tcase_add_checked_fixture(tc, make_tree, remove_tree);
	tcase_add_test(tc, nodes_below_a_function);
	tcase_add_test(tc, nodes_of_a_subsystem);
	tcase_add_test(tc, nodes_that_cannot_be_read);
	tcase_add_test(tc, names);
	tcase_add_test(tc, names_of_a_subsystem);
	tcase_add_test(tc, virtual_functions);
	tc = add_group(s, "processes");
	tcase_add_checked_fixture(tc, make_tree, remove_tree);
	tcase_add_test(tc, process_that_has_a_node);
	tcase_add_test(tc, thread_that_has_a_node);
	tcase_add_test(tc, process_that_maps_a_node);
	tcase_add_test(tc, process_that_cannot_be_looked_into);
	tcase_add_test(tc, function_without_nodes);
	tc = add_group(s, "disks");
	tcase_add_checked_fixture(tc, make_tree, remove_tree);
	tcase_add_test(tc, mounts);
	tcase_add_test(tc, swap);
	tcase_add_test(tc, holders);
	tc = add_group(s, "kernel");
	tcase_add_checked_fixture(tc, make_tree, remove_tree);
	tcase_add_test(tc, consoles);
	tcase_add_test(tc, framebuffers);
	return s;
}
