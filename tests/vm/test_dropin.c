// SPDX-License-Identifier: MIT
/*
 * The driver under the stock one's name, for programs that look for that name:
 * devices come to it as they came to the stock one.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/vfio_dmabuf.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "client.h"
#include "device.h"
#include "edu.h"
#include "kernel.h"
#include "memory.h"
#include "page.h"
#include "slice.h"
#include "suite.h"
#include "sysfs.h"

#define RW	(PROT_READ | PROT_WRITE)
#define STOCK	"vfio-pci"
#define MODULE	"/sys/module/vfio_pci"
#define IVSHMEM	"1af4:1110"
#define EDU	"1234:11e8"

static void unload(void)
{
	if (!access(MODULE, F_OK))
		run_program("/usr/bin/rmmod", "vfio_pci", NULL);
	ck_assert_msg(access(MODULE, F_OK), "vfio_pci cannot be unloaded");
}

static void load(const char *parameter)
{
	ck_assert_int_eq(run_program("/usr/bin/insmod", "/lab/vfio-pci.ko",
				     parameter, NULL), 0);
}

/* Unbinds a device, so that any driver can bind it. */
static const char *set_free(const char *name)
{
	const char *bdf = lab_bdf(name);

	driver_unbind(bdf);
	ck_assert_works(sysfs_write(bdf, "driver_override", "\n"));
	return bdf;
}

static void setup(void)
{
	/* What a test before this one may have left. */
	unload();
}

static void restore(void)
{
	unload();
	driver_rebind(lab_bdf("IVSHMEM2"));
	driver_rebind(lab_bdf("EDU2"));
	driver_rebind(lab_bdf("E1000E"));
	driver_rebind(lab_bdf("NVME2"));
}

static bool bound(const char *bdf)
{
	char name[32];

	return function_link(bdf, "driver", name, sizeof(name)) &&
	       !strcmp(name, STOCK);
}

/* It has what makes it worth taking the stock one's place. */
static void check_features(const char *bdf, unsigned int bar)
{
	struct client *c = client_start(CLIENT_NOBODY);
	struct device dev;
	uint32_t value;
	long map;
	int fd;

	device_open_bdf(&dev, bdf, "");
	ck_assert_works(device_feature(&dev, VFIO_DEVICE_FEATURE_PROBE |
				       VFIO_DEVICE_FEATURE_SET |
				       VFIO_DMABUF_FEATURE_REVOKE));
	fd = slice_new(&dev, bar, 0, PAGE);
	map = client_mmap(c, fd, 0, PAGE, RW);
	ck_assert_uint_eq(client_read32(c, map), read32(device_map(&dev, bar, 0,
								   PAGE)));
	ck_assert_works(slice_revoke(&dev, fd));
	ck_assert_int_eq(client_try_read32(c, map, &value), SIGBUS);
	client_end(c);
}

START_TEST(device_is_bound_by_its_id)
{
	const char *bdf = set_free("IVSHMEM2");

	load("ids=" IVSHMEM);
	ck_assert(bound(bdf));
	/* Others of the kind are the driver's that was chosen for them. */
	ck_assert(driver_bound(lab_bdf("IVSHMEM")));
	check_features(bdf, 2);
}
END_TEST

START_TEST(list_of_ids)
{
	const char *mem = set_free("IVSHMEM2"), *edu = set_free("EDU2");

	load("ids=nonsense,8086:ffff,," IVSHMEM ":1af4:1100:0:0," EDU);
	ck_assert(bound(mem));
	ck_assert(bound(edu));
}
END_TEST

START_TEST(other_subsystem_is_not_meant)
{
	const char *bdf = set_free("IVSHMEM2");

	load("ids=" IVSHMEM ":1af4:1101");
	ck_assert(!bound(bdf));
}
END_TEST

START_TEST(nothing_is_bound_without_an_id)
{
	const char *bdf = set_free("IVSHMEM2");

	load("ids=");
	ck_assert_works(file_write("/sys/bus/pci/drivers_probe", bdf));
	ck_assert(!bound(bdf));
}
END_TEST

START_TEST(device_is_bound_by_driver_override)
{
	const char *bdf = set_free("EDU2");

	load("ids=");
	driver_bind(bdf, STOCK);
	check_features(bdf, 0);
}
END_TEST

START_TEST(device_is_bound_by_new_id)
{
	const char *bdf = set_free("EDU2");

	load("ids=");
	ck_assert_works(file_write("/sys/bus/pci/drivers/vfio-pci/new_id",
				   "1234 11e8"));
	ck_assert(bound(bdf));
}
END_TEST

static void wait_for_suspension(const char *bdf)
{
	char path[128], status[16] = "";

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/power/runtime_status", bdf);
	while (strcmp(status, "suspended\n")) {
		sched_yield();
		ck_assert_works(file_read(path, status, sizeof(status)));
	}
}

/* Two devices. The second one shows when the first would be in D3. */
START_TEST(disable_idle_d3_keeps_a_device_awake)
{
	const char *awake = set_free("NVME2"), *asleep = set_free("IVSHMEM2");
	char path[128], status[16];

	load("disable_idle_d3=1");
	driver_bind(awake, STOCK);
	ck_assert_works(file_write(MODULE "/parameters/disable_idle_d3", "0"));
	driver_bind(asleep, STOCK);
	wait_for_suspension(asleep);
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/power/runtime_status", awake);
	ck_assert_works(file_read(path, status, sizeof(status)));
	ck_assert_str_eq(status, "active\n");
}
END_TEST

static int enable_pin(const struct device *dev)
{
	struct {
		struct vfio_irq_set set;
		int32_t fd;
	} irq = {
		.set = {
			.argsz = sizeof(irq),
			.flags = VFIO_IRQ_SET_DATA_EVENTFD | VFIO_IRQ_SET_ACTION_TRIGGER,
			.index = VFIO_PCI_INTX_IRQ_INDEX,
			.count = 1,
		},
		.fd = eventfd(0, EFD_CLOEXEC),
	};

	return ioctl(dev->fd, VFIO_DEVICE_SET_IRQS, &irq);
}

/* Masked at the interrupt controller instead, the line can have no other user. */
START_TEST(nointxmask_takes_the_line_for_one_device)
{
	const char *first = set_free("EDU2"), *second = set_free("E1000E");
	struct device one, two;

	load(_i ? "nointxmask=1" : "nointxmask=0");
	driver_bind(first, STOCK);
	driver_bind(second, STOCK);
	device_open_bdf(&one, first, "");
	device_open_bdf(&two, second, "");
	ck_assert_works(enable_pin(&one));
	if (_i)
		ck_assert_fails(enable_pin(&two), EBUSY);
	else
		ck_assert_works(enable_pin(&two));
	device_close(&one);
	device_close(&two);
}
END_TEST

/* As README.md says; the kernel's own module stays where it is. */
START_TEST(installed_module_comes_before_the_stock_one)
{
	const char *bdf = set_free("EDU2");

	ck_assert_int_eq(system("cp /lab/vfio-pci.ko /lib/modules/$(uname -r)/updates/ && /usr/bin/depmod"), 0);
	ck_assert_int_eq(run_program("/usr/bin/modprobe", STOCK, "ids=" EDU, NULL), 0);
	ck_assert_int_eq(system("rm /lib/modules/$(uname -r)/updates/vfio-pci.ko && /usr/bin/depmod"), 0);
	ck_assert(bound(bdf));
	check_features(bdf, 0);
}
END_TEST

/* Names of a module's parameters, each between spaces. */
static void parameters(const char *module, char *names, size_t size)
{
	char command[128], line[512];
	size_t n = 1;
	FILE *pipe;

	snprintf(command, sizeof(command), "/usr/bin/modinfo -F parm %s", module);
	pipe = popen(command, "re");
	ck_assert_ptr_nonnull(pipe);
	strcpy(names, " ");
	while (fgets(line, sizeof(line), pipe)) {
		line[strcspn(line, ":")] = '\0';
		n += snprintf(names + n, size - n, "%s ", line);
		ck_assert_uint_lt(n, size);
	}
	ck_assert_int_eq(pclose(pipe), 0);
}

START_TEST(all_of_the_stock_parameters_are_there)
{
	char stock[512], ours[512], word[64], *name, *rest = stock;
	int nr = 0;

	parameters("vfio-pci", stock, sizeof(stock));
	parameters("/lab/vfio-pci.ko", ours, sizeof(ours));
	while ((name = strsep(&rest, " "))) {
		if (!*name)
			continue;
		snprintf(word, sizeof(word), " %s ", name);
		ck_assert_msg(strstr(ours, word), "there is no parameter %s", name);
		nr++;
	}
	ck_assert_int_ge(nr, 5);
}
END_TEST

/* A program that looks for the name asks for little more than that. */
START_TEST(driver_and_module_have_the_name)
{
	char module[32], path[128];
	const char *bdf = set_free("EDU2");

	load("ids=" EDU);
	ck_assert(bound(bdf));
	ck_assert_works(access(MODULE, F_OK));
	ck_assert(function_link(bdf, "driver/module", module, sizeof(module)));
	ck_assert_str_eq(module, "vfio_pci");
	snprintf(path, sizeof(path), "/sys/kernel/debug/vfio-pci/%s/buffers", bdf);
	ck_assert_works(access(path, R_OK));
	snprintf(path, sizeof(path),
		 "/sys/bus/pci/devices/%s/vfio_dmabuf/write_combine", bdf);
	ck_assert_works(access(path, W_OK));
}
END_TEST

START_TEST(unloading_gives_the_devices_back)
{
	const char *bdf = set_free("EDU2");
	char name[32];

	load("ids=" EDU);
	ck_assert(bound(bdf));
	unload();
	ck_assert(!function_link(bdf, "driver", name, sizeof(name)));
	driver_rebind(bdf);
}
END_TEST

/* The PF's VFs come to the driver of its name. */
START_TEST(virtual_functions_come_with_their_pf)
{
	const char *bdf = lab_bdf("IGB");
	char vf[32];

	load("enable_sriov=1");
	driver_bind(bdf, STOCK);
	ck_assert_works(sysfs_write(bdf, "sriov_numvfs", "1"));
	ck_assert(function_link(bdf, "virtfn0", vf, sizeof(vf)));
	ck_assert(bound(vf));
	ck_assert_works(sysfs_write(bdf, "sriov_numvfs", "0"));
	driver_rebind(bdf);
}
END_TEST

static const char *cannot_be_replaced(void)
{
	if (!access("/sys/bus/pci/drivers/vfio-pci", F_OK) &&
	    access(MODULE "/initstate", F_OK))
		return "the stock driver is built into this kernel";
	return NULL;
}

Suite *suite(void)
{
	const char *reason = cannot_be_replaced();
	Suite *s = suite_create("dropin");
	TCase *tc = add_group(s, "dropin");

	if (!reason) {
		tcase_add_unchecked_fixture(tc, NULL, restore);
		tcase_add_checked_fixture(tc, setup, NULL);
	}
	add_test_or_skip(tc, device_is_bound_by_its_id, reason);
	add_test_or_skip(tc, list_of_ids, reason);
	add_test_or_skip(tc, other_subsystem_is_not_meant, reason);
	add_test_or_skip(tc, nothing_is_bound_without_an_id, reason);
	add_test_or_skip(tc, device_is_bound_by_driver_override, reason);
	add_test_or_skip(tc, device_is_bound_by_new_id, reason);
	add_test_or_skip(tc, disable_idle_d3_keeps_a_device_awake, reason);
	if (!reason)
		tcase_add_loop_test(tc, nointxmask_takes_the_line_for_one_device, 0, 2);
	add_test_or_skip(tc, installed_module_comes_before_the_stock_one, reason);
	add_test_or_skip(tc, all_of_the_stock_parameters_are_there, reason);
	add_test_or_skip(tc, driver_and_module_have_the_name, reason);
	add_test_or_skip(tc, virtual_functions_come_with_their_pf, reason);
	add_test_or_skip(tc, unloading_gives_the_devices_back, reason);
	return s;
}
