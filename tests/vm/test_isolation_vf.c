// SPDX-License-Identifier: MIT
/*
 * What a client reaches with a virtual function (docs/isolation.md).  It has all of the
 * function's registers, and memory that is mapped for the function.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <vfio-dmabuf.h>

#include "client.h"
#include "device.h"
#include "dmar.h"
#include "owner.h"
#include "page.h"
#include "space.h"
#include "suite.h"
#include "sysfs.h"

#define RW		(PROT_READ | PROT_WRITE)
#define PARAMETER	"/sys/module/dmabuf_vfio_pci/parameters/enable_sriov"
#define TOKEN		"8b3a1e60-5a0c-4c6c-9d5e-0a6d1f2c7e11"

/* Of igb: the physical function lets functions send. */
#define TCTL		0x400
#define TCTL_ENABLE	2
#define VF_TX_ENABLE	0xc90
#define QUEUES		0x5818	/* MRQC */
#define QUEUES_OF_VFS	3
/* Of a virtual function: its queue to send. */
#define VF_BAR_SIZE	0x4000UL
#define TDBAL		0x3800
#define TDBAH		0x3804
#define TDLEN		0x3808
#define TDH		0x3810
#define TDT		0x3818
#define TXDCTL		0x3828
#define TXDCTL_ENABLE	(1u << 25)

/* A descriptor: where the data is, its type, and its status. */
struct descriptor {
	uint64_t address;
	uint32_t type;
	uint32_t status;	/* bit 0: done */
};

/* Advanced, of data, whole packet, to be reported, without the checksum. */
#define DATA(length)	(0x00300000u | 1u << 29 | 1u << 24 | 1u << 25 | 1u << 27 | (length))
#define PACKET		64u

static char vf_bdf[2][32];
static struct vdb_device *pf, *vf[2];
static struct vdb_dma *space[2];
static struct client *c;
static char *registers;	/* in the client */

static void setup(void)
{
	const char *bdf = lab_bdf("IGB");
	char error[VDB_ERROR_SIZE], *at;

	c = client_start(CLIENT_NOBODY);
	driver_rebind(bdf);
	sysfs_write(bdf, "sriov_numvfs", "0");
	ck_assert_works(file_write(PARAMETER, "1"));
	pf = vdb_device_open(bdf, TOKEN, error);
	ck_assert_msg(pf, "%s", error);
	ck_assert_works(sysfs_write(bdf, "sriov_numvfs", "2"));
	owner = pf;
	at = owner_map(owner_export(0, 0, 0x20000, 0), RW);
	ck_assert_works(vdb_device_set_bus_master(pf, true));
	vdb_write32(at + TCTL, TCTL_ENABLE);
	vdb_write32(at + QUEUES, QUEUES_OF_VFS);
	for (int i = 0; i < 2; i++) {
		ck_assert(function_link(bdf, i ? "virtfn1" : "virtfn0", vf_bdf[i], sizeof(vf_bdf[i])));
		vf[i] = vdb_device_open(vf_bdf[i], TOKEN, error);
		ck_assert_msg(vf[i], "%s: %s", vf_bdf[i], error);
		space[i] = space_of(vf[i]);
		ck_assert_works(vdb_device_set_bus_master(vf[i], true));
	}
	/* The reset of a function, when it is opened, has disabled it. */
	vdb_write32(at + VF_TX_ENABLE, 0xff);
	/* So no address is valid for both. */
	ck_assert_works(vdb_dma_reserve(space[1], 0, 1000 * PAGE));
	owner = vf[0];
	registers = (char *)client_mmap(c, vdb_slice_fd(owner_export(0, 0, VF_BAR_SIZE, 0)), 0, VF_BAR_SIZE, RW);
	ck_assert_ptr_ne(registers, MAP_FAILED);
}

static void teardown(void)
{
	client_end(c);
	vdb_device_close(vf[0]);
	vdb_device_close(vf[1]);
	vdb_device_close(pf);
	sysfs_write(lab_bdf("IGB"), "sriov_numvfs", "0");
	file_write(PARAMETER, "0");
}

/* In the client: a packet whose descriptor is at the IOVA. */
static long step_send(const struct client_step *step)
{
	char *at = (char *)step->arg[0];

	vdb_write32(at + TXDCTL, 0);
	vdb_write32(at + TDBAL, (uint32_t)step->arg[1]);
	vdb_write32(at + TDBAH, (uint32_t)(step->arg[1] >> 32));
	vdb_write32(at + TDLEN, PAGE);
	vdb_write32(at + TDH, 0);
	vdb_write32(at + TDT, 0);
	vdb_write32(at + TXDCTL, TXDCTL_ENABLE);
	vdb_write32(at + TDT, 1);
	return vdb_read32(at + TDH);
}

static void send_packet(uint64_t descriptors, void *unused)
{
	(void)unused;
	ck_assert_works(client_call(c, step_send, &(struct client_step){
			{ (long)registers, (long)descriptors }, -1 }));
}

/* A page with a descriptor of a packet at @packet. */
static struct vdb_slice *descriptor_page(struct vdb_dma *dma, uint64_t packet, volatile struct descriptor **at)
{
	struct vdb_slice *slice = space_alloc(dma, PAGE, 0);
	struct descriptor *map = owner_map(slice, RW);

	map->address = packet;
	map->type = DATA(PACKET);
	map->status = PACKET << 14;
	*at = map;
	return slice;
}

static bool is_done(const volatile struct descriptor *descriptor)
{
	return descriptor->status & 1;
}

START_TEST(memory_of_the_client)
{
	struct vdb_slice *packet = space_alloc(space[0], PAGE, 0);
	volatile struct descriptor *descriptor;
	struct vdb_slice *page = descriptor_page(space[0], vdb_slice_iova(packet), &descriptor);

	send_packet(vdb_slice_iova(page), NULL);
	for (int tries = 0; !is_done(descriptor) && tries < 60000; tries++)
		usleep(1000);
	ck_assert(is_done(descriptor));
}
END_TEST

/* The other function's memory has a descriptor that would be carried out. */
START_TEST(memory_of_another_function)
{
	struct vdb_slice *packet = space_alloc(space[1], PAGE, 0);
	volatile struct descriptor *descriptor;
	struct vdb_slice *page = descriptor_page(space[1], vdb_slice_iova(packet), &descriptor);

	dmar_check_fault(vf_bdf[0], vdb_slice_iova(page), send_packet, NULL);
	ck_assert(!is_done(descriptor));
}
END_TEST

static void send_from(uint64_t packet, void *descriptors)
{
	(void)packet;
	send_packet((uintptr_t)descriptors, NULL);
}

/* Nor does its data reach a packet. */
START_TEST(data_of_another_function)
{
	struct vdb_slice *packet = space_alloc(space[1], PAGE, 0);
	volatile struct descriptor *descriptor;
	struct vdb_slice *page = descriptor_page(space[0], vdb_slice_iova(packet), &descriptor);

	dmar_check_fault(vf_bdf[0], vdb_slice_iova(packet), send_from, (void *)vdb_slice_iova(page));
}
END_TEST

START_TEST(memory_of_the_physical_function)
{
	struct vdb_dma *dma = space_of(pf);
	volatile struct descriptor *descriptor;
	struct vdb_slice *page;

	ck_assert_works(vdb_dma_reserve(dma, 0, 2000 * PAGE));
	page = descriptor_page(dma, 2000 * PAGE, &descriptor);
	dmar_check_fault(vf_bdf[0], vdb_slice_iova(page), send_packet, NULL);
	ck_assert(!is_done(descriptor));
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("isolation_vf");
	TCase *tc = add_group(s, "functions");

	if (page_too_large()) {
		add_test_or_skip(tc, memory_of_the_client, page_too_large());
		return s;
	}

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, memory_of_the_client);
	tcase_add_test(tc, memory_of_another_function);
	tcase_add_test(tc, data_of_another_function);
	tcase_add_test(tc, memory_of_the_physical_function);
	return s;
}
