// SPDX-License-Identifier: MIT
/*
 * What a client reaches by DMA of a device that takes any address (docs/isolation.md).
 * The client is an unprivileged process with a page of registers and with memory.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vfio-dmabuf.h>

#include "client.h"
#include "device.h"
#include "dmar.h"
#include "edu.h"
#include "edu_dma.h"
#include "memory.h"
#include "owner.h"
#include "page.h"
#include "space.h"
#include "suite.h"
#include "sysfs.h"

#define RW	(PROT_READ | PROT_WRITE)
#define BAR2	2	/* ivshmem's, which is plain memory */

static struct vdb_dma *dma;

/* A client, and what it was lent. */
struct party {
	struct client *client;
	struct vdb_slice *memory;
	char *owner_map;	/* the owner's mapping of the memory */
	long map;		/* the client's */
	long registers;
};

static void setup(void)
{
	owner_open_edu();
	dma = space_of(owner);
	ck_assert_works(vdb_device_set_bus_master(owner, true));
}

static struct party party_start(char fill)
{
	struct party p = {
		.client = client_start(CLIENT_NOBODY),
		.memory = space_alloc(dma, PAGE, 0),
	};
	int registers = vdb_slice_fd(owner_export(0, 0, PAGE, 0));

	p.owner_map = owner_map(p.memory, RW);
	memset(p.owner_map, fill, PAGE);
	p.map = client_mmap(p.client, vdb_slice_fd(p.memory), 0, PAGE, RW);
	p.registers = client_mmap(p.client, registers, 0, PAGE, RW);
	ck_assert_int_ne(p.map, (long)MAP_FAILED);
	ck_assert_int_ne(p.registers, (long)MAP_FAILED);
	return p;
}

/* ---- in the client ---- */

static long step_to_memory(const struct client_step *step)
{
	edu_to_memory((void *)step->arg[0], step->arg[1], step->arg[2]);
	return 0;
}

static long step_from_memory(const struct client_step *step)
{
	edu_from_memory((void *)step->arg[0], step->arg[1], step->arg[2]);
	return 0;
}

/* The byte that all bytes of the page are, or -1. */
static long step_look(const struct client_step *step)
{
	const unsigned char *bytes = (const unsigned char *)step->arg[0];

	for (unsigned long i = 0; i < PAGE; i++)
		if (bytes[i] != bytes[0])
			return -1;
	return bytes[0];
}

static long step_start(const struct client_step *step)
{
	edu_start_to_memory((void *)step->arg[0], step->arg[1], step->arg[2]);
	return 0;
}

static void device_writes(const struct party *p, uint64_t iova)
{
	struct client_step step = { { p->registers, (long)iova, PAGE }, -1 };

	ck_assert_works(client_call(p->client, step_to_memory, &step));
}

static void device_reads(const struct party *p, uint64_t iova)
{
	struct client_step step = { { p->registers, (long)iova, PAGE }, -1 };

	ck_assert_works(client_call(p->client, step_from_memory, &step));
}

static void write_access(uint64_t iova, void *data)
{
	device_writes(data, iova);
}

static void read_access(uint64_t iova, void *data)
{
	device_reads(data, iova);
}

/* The client reads a page through the device, into its own memory. */
static long steal(const struct party *p, uint64_t iova)
{
	device_reads(p, iova);
	device_writes(p, vdb_slice_iova(p->memory));
	return client_call(p->client, step_look, &(struct client_step){ { p->map }, -1 });
}

/*
 * The client cannot make the device read or write @length bytes at @secret, which has
 * 's' everywhere, at @iova.
 */
static void check_out_of_reach(struct party *p, uint64_t iova, const char *secret)
{
	dmar_check_fault(lab_bdf("EDU"), iova, read_access, p);
	ck_assert_int_ne(steal(p, iova), 's');
	/* The device's buffer has what it writes. */
	memset(p->owner_map, 'c', PAGE);
	device_reads(p, vdb_slice_iova(p->memory));
	dmar_check_fault(lab_bdf("EDU"), iova, write_access, p);
	check_filled(secret, 's', PAGE);
}

/* ---- the memory of the host ---- */

/* The physical address of memory of this process, for which it needs to be root. */
static uint64_t physical(const void *address)
{
	int pagemap = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
	uint64_t entry;

	ck_assert_works(pagemap);
	ck_assert_int_eq(pread(pagemap, &entry, sizeof(entry), (uintptr_t)address / PAGE * sizeof(entry)),
			 sizeof(entry));
	close(pagemap);
	ck_assert_uint_ne(entry & ~(~0ULL << 55), 0);
	return (entry & ~(~0ULL << 55)) * PAGE;
}

static char *secret_page(void)
{
	char *area = mmap(NULL, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0);

	ck_assert_ptr_ne(area, MAP_FAILED);
	memset(area, 's', PAGE);
	return area;
}

START_TEST(memory_of_the_host)
{
	struct party c = party_start('c');
	char *area = secret_page();

	check_out_of_reach(&c, physical(area), area);
	client_end(c.client);
}
END_TEST

/* Not by its real address either. */
START_TEST(memory_of_a_client_by_its_physical_address)
{
	struct party c = party_start('c'), victim = party_start('s');

	check_out_of_reach(&c, physical(victim.owner_map), victim.owner_map);
	client_end(c.client);
	client_end(victim.client);
}
END_TEST

/* ---- memory of the same device ---- */

START_TEST(memory_of_another_client)
{
	struct party c = party_start('c'), victim = party_start('s');

	ck_assert_int_eq(steal(&c, vdb_slice_iova(victim.memory)), 's');
	memset(c.owner_map, 'c', PAGE);
	device_reads(&c, vdb_slice_iova(c.memory));
	device_writes(&c, vdb_slice_iova(victim.memory));
	check_filled(victim.owner_map, 'c', PAGE);
	client_end(c.client);
	client_end(victim.client);
}
END_TEST

START_TEST(memory_of_the_owner)
{
	struct party c = party_start('c');
	char *area = secret_page();
	uint64_t iova;

	ck_assert_works(vdb_dma_map(dma, area, PAGE, 0, &iova));
	ck_assert_int_eq(steal(&c, iova), 's');
	memset(c.owner_map, 'c', PAGE);
	device_reads(&c, vdb_slice_iova(c.memory));
	device_writes(&c, iova);
	check_filled(area, 'c', PAGE);
	client_end(c.client);
}
END_TEST

/* What the owner maps read-only for the device is read, but not written. */
START_TEST(read_only_memory_of_the_owner)
{
	struct party c = party_start('c');
	struct vdb_slice *slice = space_alloc(dma, PAGE, VDB_FLAG_DMA_READ_ONLY);
	char *area = owner_map(slice, RW);

	memset(area, 's', PAGE);
	/* First: QEMU reports no fault where its IOTLB has an entry from a read. */
	device_reads(&c, vdb_slice_iova(c.memory));
	dmar_check_fault(lab_bdf("EDU"), vdb_slice_iova(slice), write_access, &c);
	check_filled(area, 's', PAGE);
	ck_assert_int_eq(steal(&c, vdb_slice_iova(slice)), 's');
	client_end(c.client);
}
END_TEST

/* ---- memory of other devices ---- */

START_TEST(memory_of_another_device)
{
	struct party c = party_start('c');
	struct vdb_device *first = owner;
	struct vdb_dma *second;
	struct vdb_slice *same, *other;
	char *area;

	owner_open("EDU2");
	second = space_of(owner);
	/* At an address that means something in both, and at one that does not. */
	same = space_alloc(second, PAGE, 0);
	ck_assert_uint_eq(vdb_slice_iova(same), vdb_slice_iova(c.memory));
	ck_assert_works(vdb_dma_reserve(second, 2 * PAGE, 1000 * PAGE));
	other = space_alloc(second, PAGE, 0);
	owner = first;
	memset(owner_map(same, RW), 's', PAGE);
	area = owner_map(other, RW);
	memset(area, 's', PAGE);
	ck_assert_int_eq(steal(&c, vdb_slice_iova(same)), 'c');
	check_out_of_reach(&c, vdb_slice_iova(other), area);
	client_end(c.client);
}
END_TEST

/* One container with the groups of two devices. */
START_TEST(devices_that_share_an_io_address_space)
{
	struct party c, victim;
	struct device first, second;
	char error[VDB_ERROR_SIZE];

	vdb_device_close(owner);
	device_open(&first, "EDU");
	device_open_beside(&second, &first, "EDU2");
	dma = vdb_dma_from_fd(first.container, 0, error);
	ck_assert_msg(dma, "%s", error);
	owner = vdb_device_from_fd(second.fd);
	victim = party_start('s');
	owner = vdb_device_from_fd(first.fd);
	ck_assert_works(vdb_device_set_bus_master(owner, true));
	c = party_start('c');
	ck_assert_int_eq(steal(&c, vdb_slice_iova(victim.memory)), 's');
	client_end(c.client);
	client_end(victim.client);
}
END_TEST

static uint64_t bus_address(const char *bdf, int bar)
{
	unsigned long long start;
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/resource", bdf);
	file = fopen(path, "re");
	ck_assert_ptr_nonnull(file);
	while (bar--)
		ck_assert_int_ne(fscanf(file, "%*[^\n]\n"), EOF);
	ck_assert_int_eq(fscanf(file, "%llx", &start), 1);
	fclose(file);
	return start;
}

/* A peer's BAR is another address like any other. */
START_TEST(bar_of_another_device)
{
	struct party c = party_start('c');
	struct device peer;
	char *area;

	device_open(&peer, "IVSHMEM");
	area = device_map(&peer, BAR2, 0, PAGE);
	memset(area, 's', PAGE);
	check_out_of_reach(&c, bus_address(lab_bdf("IVSHMEM"), BAR2), area);
	client_end(c.client);
}
END_TEST

/* ---- in time ---- */

/* The device waits 100 ms before it copies, so this revokes before that. */
START_TEST(transfer_that_runs_during_the_revocation)
{
	struct party c = party_start('c'), other = party_start('o');
	char *registers = edu_start(owner);

	edu_from_memory(registers, vdb_slice_iova(other.memory), PAGE);
	ck_assert_works(client_call(c.client, step_start, &(struct client_step){
			{ c.registers, (long)vdb_slice_iova(c.memory), EDU_BUFFER_SIZE }, -1 }));
	ck_assert_works(vdb_dma_revoke(dma, c.memory));
	memset(c.owner_map, 'n', PAGE);
	edu_wait(registers);
	check_filled(c.owner_map, 'n', PAGE);
	client_end(c.client);
	client_end(other.client);
}
END_TEST

/* A device that is not reset between two clients hands over what it has. */
START_TEST(what_the_last_client_left_in_the_device)
{
	struct party first = party_start('s'), next;

	device_reads(&first, vdb_slice_iova(first.memory));
	ck_assert_works(vdb_dma_revoke(dma, first.memory));
	client_end(first.client);
	next = party_start('c');
	device_writes(&next, vdb_slice_iova(next.memory));
	check_filled(next.owner_map, 's', PAGE);
	client_end(next.client);
}
END_TEST

/* ---- memory that a client has in its hands ---- */

static long step_punch(const struct client_step *step)
{
	int ret = fallocate(step->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, step->arg[0]);

	close(step->fd);
	return ret;
}

static void give_back_huge_pages(void)
{
	file_write(page_reserve(), "0");
}

/* The device has the only huge page, so the owner's access finds none. */
START_TEST(hole_in_huge_memory)
{
	struct client *c = client_start(CLIENT_NOBODY);
	struct vdb_slice *slice;
	uint32_t value;
	char *map;

	ck_assert_works(file_write(page_reserve(), "1"));
	slice = space_alloc(dma, PMD, VDB_FLAG_HUGE);
	ck_assert_uint_eq(vdb_slice_flags(slice), VDB_FLAG_HUGE);
	map = owner_map(slice, RW);
	ck_assert_int_eq(try_read32(map, &value), 0);
	ck_assert_works(client_call(c, step_punch, &(struct client_step){ { PMD }, vdb_slice_fd(slice) }));
	ck_assert_int_eq(try_read32(map, &value), SIGBUS);
	ck_assert_works(vdb_guard_enable());
	ck_assert_int_ne(vdb_try_read32(map, &value), 0);
	client_end(c);
}
END_TEST

/* In blocks of 512 bytes. */
static blkcnt_t allocated(int fd)
{
	struct stat st;

	ck_assert_works(fstat(fd, &st));
	return st.st_blocks;
}

START_TEST(memory_that_a_client_keeps)
{
	struct party c = party_start('k');
	struct vdb_slice *sealed = space_alloc(dma, PAGE, VDB_FLAG_READ_ONLY);
	int fd = dup(vdb_slice_fd(c.memory));
	struct client_step look = { { c.map }, -1 };

	ck_assert_works(vdb_dma_revoke(dma, c.memory));
	ck_assert_works(munmap(c.owner_map, PAGE));
	vdb_slice_free(c.memory);
	ck_assert_int_eq(client_call(c.client, step_look, &look), 'k');
	ck_assert_int_eq(allocated(fd), PAGE / 512);
	ck_assert_works(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE));
	ck_assert_int_eq(allocated(fd), 0);
	ck_assert_int_eq(client_call(c.client, step_look, &look), 0);
	ck_assert_fails(fallocate(vdb_slice_fd(sealed), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE),
			EPERM);
	client_end(c.client);
}
END_TEST

/* ---- what else ---- */

/* Memory alone starts no transfer, and no fd of a client is the device's. */
static long step_use_as_device(const struct client_step *step)
{
	static const unsigned long calls[] = {
		VFIO_DEVICE_GET_INFO, VFIO_DEVICE_GET_REGION_INFO, VFIO_DEVICE_GET_IRQ_INFO,
		VFIO_DEVICE_SET_IRQS, VFIO_DEVICE_RESET, VFIO_DEVICE_GET_PCI_HOT_RESET_INFO,
		VFIO_DEVICE_PCI_HOT_RESET, VFIO_DEVICE_FEATURE, VFIO_IOMMU_MAP_DMA,
		VFIO_IOMMU_UNMAP_DMA, VFIO_IOMMU_GET_INFO,
	};
	long worked = 0;

	for (size_t i = 0; i < sizeof(calls) / sizeof(*calls); i++) {
		char argument[256] = { 0 };

		*(uint32_t *)argument = sizeof(argument);
		worked += !ioctl(step->fd, calls[i], argument) || errno != ENOTTY;
	}
	close(step->fd);
	return worked;
}

/* Opens a file of the device in sysfs. */
static long step_open_file(const struct client_step *step)
{
	static const char *const files[] = {
		"config", "reset", "remove", "enable", "resource0", "driver_override", "sriov_numvfs",
	};
	char path[128];

	if (step->arg[0] == sizeof(files) / sizeof(*files))
		return 1;
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", lab_bdf(step->arg[1] ? "IGB" : "EDU"),
		 files[step->arg[0]]);
	return open(path, O_WRONLY | O_CLOEXEC) < 0 ? 0 : -1;
}

START_TEST(config_space_reset_and_interrupts)
{
	struct party c = party_start('c');
	struct client_step step = { .fd = -1 };
	int registers = vdb_slice_fd(owner_export(0, 0, PAGE, 0));
	long ret;

	step.fd = vdb_slice_fd(c.memory);
	ck_assert_int_eq(client_call(c.client, step_use_as_device, &step), 0);
	step.fd = registers;
	ck_assert_int_eq(client_call(c.client, step_use_as_device, &step), 0);
	step.fd = -1;
	for (int igb = 0; igb < 2; igb++) {
		step.arg[1] = igb;
		for (step.arg[0] = 0; (ret = client_call(c.client, step_open_file, &step)) != 1; step.arg[0]++) {
			ck_assert_int_eq(ret, 0);
			ck_assert(errno == EACCES || errno == ENOENT);
		}
	}
	client_end(c.client);
}
END_TEST

/* All registers of a page are lent with it, and no register of the next page. */
START_TEST(registers_that_share_a_page)
{
	struct party c = party_start('c');
	char *registers = edu_start(owner);
	int fd = vdb_slice_fd(owner_export(0, 0, PAGE, 0));

	client_write32(c.client, c.registers + EDU_IRQ_RAISE, 0x40);
	ck_assert_uint_eq(vdb_read32(registers + EDU_IRQ_STATUS), 0x40);
	client_write32(c.client, c.registers + EDU_IRQ_ACK, 0x40);
	ck_assert_uint_eq(vdb_read32(registers + EDU_IRQ_STATUS), 0);
	ck_assert_int_eq(client_mmap(c.client, fd, PAGE, PAGE, RW), (long)MAP_FAILED);
	ck_assert_int_eq(client_mmap(c.client, fd, 0, 2 * PAGE, RW), (long)MAP_FAILED);
	client_end(c.client);
}
END_TEST

#define E1000E_ICR	0xc0	/* interrupt causes: a read clears them */
#define E1000E_ICS	0xc8	/* sets them */

/* A read-only slice does not mean that a client changes nothing. */
START_TEST(registers_that_a_read_changes)
{
	struct client *c = client_start(CLIENT_NOBODY);
	char *registers;
	long address;

	owner_open("E1000E");
	registers = owner_map(owner_export(0, 0, PAGE, 0), RW);
	address = client_mmap(c, vdb_slice_fd(owner_export(0, 0, PAGE, VDB_FLAG_READ_ONLY)), 0, PAGE, PROT_READ);
	vdb_write32(registers + E1000E_ICS, 4);
	ck_assert_uint_eq(vdb_read32(registers + E1000E_ICR) & 4, 4);
	vdb_write32(registers + E1000E_ICS, 4);
	ck_assert_uint_eq(client_read32(c, address + E1000E_ICR) & 4, 4);
	ck_assert_uint_eq(vdb_read32(registers + E1000E_ICR) & 4, 0);
	client_end(c);
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("isolation");
	TCase *tc = add_group(s, "host");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, memory_of_the_host);
	tcase_add_test(tc, memory_of_a_client_by_its_physical_address);

	tc = add_group(s, "same_device");
	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, memory_of_another_client);
	tcase_add_test(tc, memory_of_the_owner);
	tcase_add_test(tc, read_only_memory_of_the_owner);

	tc = add_group(s, "other_devices");
	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, memory_of_another_device);
	tcase_add_test(tc, devices_that_share_an_io_address_space);
	tcase_add_test(tc, bar_of_another_device);

	tc = add_group(s, "time");
	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, transfer_that_runs_during_the_revocation);
	tcase_add_test(tc, what_the_last_client_left_in_the_device);

	tc = add_group(s, "memfd");
	tcase_add_unchecked_fixture(tc, NULL, give_back_huge_pages);
	tcase_add_checked_fixture(tc, setup, NULL);
	add_test_or_skip(tc, hole_in_huge_memory,
			 access(page_reserve(), F_OK) ? "this kernel has no huge pages for memory" : NULL);
	tcase_add_test(tc, memory_that_a_client_keeps);

	tc = add_group(s, "registers");
	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, config_space_reset_and_interrupts);
	tcase_add_test(tc, registers_that_share_a_page);
	tcase_add_test(tc, registers_that_a_read_changes);
	return s;
}
