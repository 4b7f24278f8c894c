// SPDX-License-Identifier: MIT
/* Errors that the PCI hierarchy reports about the device (AER). */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "device.h"
#include "kernel.h"
#include "memory.h"
#include "page.h"
#include "slice.h"
#include "suite.h"
#include "sysfs.h"

#define STATUS	0x8	/* of igb; neither 0 nor all ones */

/* What the kernel's aer_inject module takes at /dev/aer_inject. */
struct aer_error {
	uint8_t bus;
	uint8_t dev;
	uint8_t fn;
	uint32_t uncorrectable;
	uint32_t correctable;
	uint32_t header_log[4];
	uint32_t domain;
};

static struct device dev;
static int err_event;

static void setup(void)
{
	struct {
		struct vfio_irq_set set;
		int32_t fd;
	} request = {
		.set = {
			.argsz = sizeof(request),
			.flags = VFIO_IRQ_SET_DATA_EVENTFD |
				 VFIO_IRQ_SET_ACTION_TRIGGER,
			.index = VFIO_PCI_ERR_IRQ_INDEX,
			.count = 1,
		},
	};

	ck_assert_int_eq(system("modprobe aer_inject"), 0);
	device_open(&dev, "IGB");
	err_event = eventfd(0, EFD_CLOEXEC);
	request.fd = err_event;
	ck_assert_works(ioctl(dev.fd, VFIO_DEVICE_SET_IRQS, &request));
}

static void inject(uint32_t uncorrectable)
{
	struct aer_error error = { .uncorrectable = uncorrectable };
	unsigned int domain, bus, slot, fn;
	int fd = open("/dev/aer_inject", O_WRONLY | O_CLOEXEC);

	ck_assert_works(fd);
	ck_assert_int_eq(sscanf(dev.bdf, "%x:%x:%x.%x", &domain, &bus, &slot, &fn), 4);
	error.domain = domain;
	error.bus = bus;
	error.dev = slot;
	error.fn = fn;
	ck_assert_int_eq(write(fd, &error, sizeof(error)), sizeof(error));
	close(fd);
}

/* Not a fatal one: the kernel would reset the link, which QEMU's does not survive. */
START_TEST(error_is_reported_to_the_owner)
{
	int slice = slice_new(&dev, 0, 0, PAGE);
	char *map = slice_map(slice, 0, PAGE);
	uint32_t before = read32(map + STATUS);
	eventfd_t count;

	ck_assert_uint_ne(before, ~0u);
	inject(PCI_ERR_UNC_COMP_TIME);
	ck_assert_works(eventfd_read(err_event, &count));
	ck_assert_uint_eq(count, 1);
	ck_assert_uint_eq(read32(map + STATUS), before);
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("aer");
	TCase *tc = add_group(s, "errors");
	const char *broken = NULL;

	/* It takes a sleeping lock inside PCI's raw one at later accesses: docs/kernel-bugs.md. */
	if (kernel_started_with("lab.kernel=debug"))
		broken = "aer_inject itself breaks the rules that lockdep watches over";
	else if (kernel_is_realtime())
		broken = "aer_inject sleeps with a raw lock held";

	tcase_add_checked_fixture(tc, setup, NULL);
	add_test_or_skip(tc, error_is_reported_to_the_owner, broken);
	return s;
}
