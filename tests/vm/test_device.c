// SPDX-License-Identifier: MIT
/* The features of stock vfio-pci on a device still work. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/pci_regs.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "device.h"
#include "edu.h"
#include "memory.h"
#include "page.h"
#include "suite.h"

#define RW	(PROT_READ | PROT_WRITE)

static struct device dev;
static char *edu;	/* registers */

static void open_edu(void)
{
	device_open(&dev, "EDU");
	edu = device_map(&dev, 0, 0, PAGE);
	config_write(&dev, PCI_COMMAND, 2,
		     config_read(&dev, PCI_COMMAND, 2) | PCI_COMMAND_MASTER);
}

static void open_e1000e(void)
{
	device_open(&dev, "E1000E");
}

static void open_nvme(void)
{
	device_open(&dev, "NVME");
}

START_TEST(device_info)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };

	ck_assert_works(ioctl(dev.fd, VFIO_DEVICE_GET_INFO, &info));
	ck_assert_uint_eq(info.flags & VFIO_DEVICE_FLAGS_PCI, VFIO_DEVICE_FLAGS_PCI);
	ck_assert_uint_eq(info.flags & VFIO_DEVICE_FLAGS_RESET,
			  VFIO_DEVICE_FLAGS_RESET);
	ck_assert_uint_eq(info.num_regions, VFIO_PCI_NUM_REGIONS);
	ck_assert_uint_eq(info.num_irqs, VFIO_PCI_NUM_IRQS);
}
END_TEST

START_TEST(region_info)
{
	const uint32_t all = VFIO_REGION_INFO_FLAG_READ |
			     VFIO_REGION_INFO_FLAG_WRITE |
			     VFIO_REGION_INFO_FLAG_MMAP;
	struct vfio_region_info region = device_region(&dev, 0);

	ck_assert_uint_eq(region.flags & all, all);
	ck_assert_uint_eq(region.size, 0x20000);
	region = device_region(&dev, 2);
	ck_assert_uint_eq(region.flags & all, all & ~VFIO_REGION_INFO_FLAG_MMAP);
	ck_assert_uint_eq(device_bar_size(&dev, 4), 0);
	ck_assert_uint_ge(device_bar_size(&dev, VFIO_PCI_CONFIG_REGION_INDEX), 256);
}
END_TEST

START_TEST(config_space)
{
	ck_assert_uint_eq(config_read(&dev, PCI_VENDOR_ID, 4), 0x10d38086);
	config_write(&dev, PCI_CACHE_LINE_SIZE, 1, 0x10);
	ck_assert_uint_eq(config_read(&dev, PCI_CACHE_LINE_SIZE, 1), 0x10);
	/* BARs are sized in the emulated config space. */
	config_write(&dev, PCI_BASE_ADDRESS_0, 4, ~0u);
	ck_assert_uint_eq(config_read(&dev, PCI_BASE_ADDRESS_0, 4), 0xfffe0000);
}
END_TEST

#define E1000E_STATUS	0x8

START_TEST(bars_by_read_and_write)
{
	uint32_t in_memory, by_port, offset = E1000E_STATUS;

	ck_assert_works(device_peek(&dev, 0, E1000E_STATUS, &in_memory, 4));
	/* The I/O BAR is an index and a window to the same registers. */
	ck_assert_works(device_poke(&dev, 2, 0, &offset, 4));
	ck_assert_works(device_peek(&dev, 2, 4, &by_port, 4));
	ck_assert_uint_eq(by_port, in_memory);
	ck_assert_uint_ne(in_memory, ~0u);
}
END_TEST

START_TEST(reset_of_the_device)
{
	const unsigned int config = 0x14;	/* NVMe's CC, which a reset clears */
	char *map = device_map(&dev, 0, 0, PAGE);

	write32(map + config, 0x460000);
	ck_assert_uint_eq(read32(map + config), 0x460000);
	ck_assert_works(device_reset(&dev));
	ck_assert_uint_eq(read32(map + config), 0);
}
END_TEST

START_TEST(reset_where_there_is_none)
{
	ck_assert_fails(device_reset(&dev), EINVAL);
	ck_assert_uint_eq(read32(edu + EDU_ID), EDU_ID_VALUE);
}
END_TEST

START_TEST(hot_reset_info)
{
	struct vfio_pci_hot_reset_info *info = calloc(1, 1024);
	uint32_t i, found = 0;

	device_open(&dev, "HOT0");
	info->argsz = sizeof(*info);
	ck_assert_fails(ioctl(dev.fd, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, info),
			ENOSPC);
	ck_assert_uint_eq(info->count, 2);
	info->argsz = 1024;
	ck_assert_works(ioctl(dev.fd, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO, info));
	for (i = 0; i < info->count; i++)
		found |= 1u << (info->devices[i].devfn & 7);
	ck_assert_uint_eq(found, 3);
	free(info);
}
END_TEST

/* VFIO_DEVICE_SET_IRQS for the first vector; with the eventfd only if the flags say so. */
static int set_irq(uint32_t index, uint32_t flags, int32_t eventfd)
{
	struct {
		struct vfio_irq_set set;
		int32_t fd;
	} irq = {
		.set = {
			.argsz = sizeof(irq),
			.flags = flags,
			.index = index,
			.count = 1,
		},
		.fd = eventfd,
	};

	return ioctl(dev.fd, VFIO_DEVICE_SET_IRQS, &irq);
}

static int enable_irq(uint32_t index)
{
	int fd = eventfd(0, EFD_CLOEXEC);

	ck_assert_works(set_irq(index, VFIO_IRQ_SET_DATA_EVENTFD |
				VFIO_IRQ_SET_ACTION_TRIGGER, fd));
	return fd;
}

/* Waits; a lost interrupt ends in the test's timeout. */
static void expect_irq(int fd)
{
	eventfd_t count;

	ck_assert_works(eventfd_read(fd, &count));
	ck_assert_uint_eq(count, 1);
}

START_TEST(interrupt_by_pin)
{
	int fd = enable_irq(VFIO_PCI_INTX_IRQ_INDEX), round;

	for (round = 0; round < 3; round++) {
		write32(edu + EDU_IRQ_RAISE, 1);
		expect_irq(fd);
		ck_assert_uint_eq(read32(edu + EDU_IRQ_STATUS), 1);
		write32(edu + EDU_IRQ_ACK, 1);
		ck_assert_works(set_irq(VFIO_PCI_INTX_IRQ_INDEX,
					VFIO_IRQ_SET_DATA_NONE |
					VFIO_IRQ_SET_ACTION_UNMASK, -1));
	}
}
END_TEST

START_TEST(interrupt_by_message)
{
	int fd = enable_irq(VFIO_PCI_MSI_IRQ_INDEX), round;

	for (round = 0; round < 3; round++) {
		write32(edu + EDU_IRQ_RAISE, 1);
		expect_irq(fd);
		write32(edu + EDU_IRQ_ACK, 1);
	}
}
END_TEST

/* The kernel signals the eventfd itself, through the same path. */
START_TEST(interrupt_by_table_message)
{
	struct vfio_irq_info info = {
		.argsz = sizeof(info),
		.index = VFIO_PCI_MSIX_IRQ_INDEX,
	};
	int fd;

	ck_assert_works(ioctl(dev.fd, VFIO_DEVICE_GET_IRQ_INFO, &info));
	ck_assert_uint_eq(info.count, 5);
	fd = enable_irq(VFIO_PCI_MSIX_IRQ_INDEX);
	ck_assert_works(set_irq(VFIO_PCI_MSIX_IRQ_INDEX, VFIO_IRQ_SET_DATA_NONE |
				VFIO_IRQ_SET_ACTION_TRIGGER, -1));
	expect_irq(fd);
}
END_TEST

START_TEST(error_and_request_eventfds)
{
	int error = enable_irq(VFIO_PCI_ERR_IRQ_INDEX);
	int request = enable_irq(VFIO_PCI_REQ_IRQ_INDEX);

	ck_assert_works(set_irq(VFIO_PCI_ERR_IRQ_INDEX, VFIO_IRQ_SET_DATA_NONE |
				VFIO_IRQ_SET_ACTION_TRIGGER, -1));
	expect_irq(error);
	ck_assert_works(set_irq(VFIO_PCI_REQ_IRQ_INDEX, VFIO_IRQ_SET_DATA_NONE |
				VFIO_IRQ_SET_ACTION_TRIGGER, -1));
	expect_irq(request);
}
END_TEST

START_TEST(write_on_an_eventfd)
{
	struct vfio_device_ioeventfd request = {
		.argsz = sizeof(request),
		.flags = VFIO_DEVICE_IOEVENTFD_32,
		.offset = device_region(&dev, 0).offset + EDU_LIVENESS,
		.data = 0x1dea,
		.fd = eventfd(0, EFD_CLOEXEC),
	};

	write32(edu + EDU_LIVENESS, 0);
	ck_assert_works(ioctl(dev.fd, VFIO_DEVICE_IOEVENTFD, &request));
	ck_assert_works(eventfd_write(request.fd, 1));
	/* It may be done by a worker; a lost one ends in the test's timeout. */
	while (read32(edu + EDU_LIVENESS) != ~0x1deau)
		;
}
END_TEST

static void edu_dma(int irq, uint32_t from, uint32_t to, uint32_t command)
{
	write32(edu + EDU_DMA_SOURCE, from);
	write32(edu + EDU_DMA_DESTINATION, to);
	write32(edu + EDU_DMA_COUNT, EDU_BUFFER_SIZE);
	write32(edu + EDU_DMA_COMMAND, command | EDU_DMA_START | EDU_DMA_IRQ);
	expect_irq(irq);
	ck_assert_uint_eq(read32(edu + EDU_IRQ_STATUS), EDU_DMA_IRQ_STATUS);
	write32(edu + EDU_IRQ_ACK, EDU_DMA_IRQ_STATUS);
}

START_TEST(dma_to_mapped_memory)
{
	int irq = enable_irq(VFIO_PCI_MSI_IRQ_INDEX);
	char *memory = mmap(NULL, 2 * PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)memory,
		.iova = 0x100000,
		.size = 2 * PAGE,
	};
	size_t i;

	for (i = 0; i < EDU_BUFFER_SIZE; i++)
		memory[i] = (char)(i * 7);
	ck_assert_works(ioctl(dev.container, VFIO_IOMMU_MAP_DMA, &map));
	edu_dma(irq, map.iova, EDU_BUFFER, 0);
	edu_dma(irq, EDU_BUFFER, map.iova + PAGE, EDU_DMA_FROM_DEVICE);
	ck_assert_int_eq(memcmp(memory, memory + PAGE, EDU_BUFFER_SIZE), 0);
}
END_TEST

/*
 * Type 1 containers map BAR mappings for DMA: one device writes into another, through a
 * mapping that has not been accessed.
 */
START_TEST(dma_to_the_mapping_of_another_device)
{
	const uint64_t at = 3 * PAGE;
	int irq = enable_irq(VFIO_PCI_MSI_IRQ_INDEX);
	struct device mem;
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.iova = 0x100000,
		.size = 2 * PAGE,
	};
	uint32_t value = 0x5eed, copied = 0;

	device_open(&mem, "IVSHMEM");
	map.vaddr = (uintptr_t)device_map(&mem, 2, at, 2 * PAGE);
	ck_assert_works(device_poke(&mem, 2, at + 8, &value, 4));
	ck_assert_works(device_poke(&mem, 2, at + PAGE + 8, &copied, 4));
	ck_assert_works(ioctl(dev.container, VFIO_IOMMU_MAP_DMA, &map));
	edu_dma(irq, map.iova, EDU_BUFFER, 0);
	edu_dma(irq, EDU_BUFFER, map.iova + PAGE, EDU_DMA_FROM_DEVICE);
	ck_assert_works(device_peek(&mem, 2, at + PAGE + 8, &copied, 4));
	ck_assert_uint_eq(copied, value);
}
END_TEST

START_TEST(several_fds_of_a_device)
{
	struct device second = dev;
	char *map;

	second.fd = device_get_fd(&dev, "");
	ck_assert_works(second.fd);
	map = device_map(&second, 0, 0, PAGE);
	write32(map + EDU_LIVENESS, 3);
	ck_assert_uint_eq(read32(edu + EDU_LIVENESS), ~3u);
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("device");
	TCase *tc = add_group(s, "edu");

	tcase_add_checked_fixture(tc, open_edu, NULL);
	tcase_add_test(tc, reset_where_there_is_none);
	tcase_add_test(tc, interrupt_by_pin);
	tcase_add_test(tc, interrupt_by_message);
	tcase_add_test(tc, write_on_an_eventfd);
	tcase_add_test(tc, dma_to_mapped_memory);
	tcase_add_test(tc, dma_to_the_mapping_of_another_device);
	tcase_add_test(tc, several_fds_of_a_device);

	tc = add_group(s, "e1000e");
	tcase_add_checked_fixture(tc, open_e1000e, NULL);
	tcase_add_test(tc, region_info);
	tcase_add_test(tc, config_space);
	tcase_add_test(tc, bars_by_read_and_write);
	tcase_add_test(tc, interrupt_by_table_message);
	tcase_add_test(tc, error_and_request_eventfds);

	tc = add_group(s, "nvme");
	tcase_add_checked_fixture(tc, open_nvme, NULL);
	tcase_add_test(tc, device_info);
	tcase_add_test(tc, reset_of_the_device);

	tc = add_group(s, "hot_reset");
	tcase_add_test(tc, hot_reset_info);
	return s;
}
