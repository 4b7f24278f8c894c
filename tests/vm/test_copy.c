// SPDX-License-Identifier: MIT
/* The library's copies, and misuse of its accesses, with devices and both memory types. */
#define _GNU_SOURCE
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <vfio-dmabuf.h>

#include "edu.h"
#include "owner.h"
#include "pagetable.h"
#include "suite.h"

#define MEM	2	/* ivshmem's BAR that is plain memory */
#define LENGTH	512
#define RW	(PROT_READ | PROT_WRITE)

static const unsigned int widths[] = { 1, 2, 4, 8, 64 };
#define NR_WIDTHS	(sizeof(widths) / sizeof(widths[0]))

static size_t page;

static void setup_memory(void)
{
	page = sysconf(_SC_PAGESIZE);
	owner_open_ivshmem();
	ck_assert_works(vdb_guard_enable());
}

static void setup_edu(void)
{
	page = sysconf(_SC_PAGESIZE);
	owner_open_edu();
	ck_assert_works(vdb_guard_enable());
}

static char *map_page(unsigned int bar, unsigned int flags)
{
	return owner_map(owner_export(bar, 0, page, flags), RW);
}

/* From each memory type to the other. */
START_TEST(bytes_come_through)
{
	static const unsigned int flags[] = { 0, VDB_FLAG_WC };
	char data[LENGTH], back[LENGTH], *maps[2];
	size_t copied;

	for (int i = 0; i < 2; i++)
		maps[i] = map_page(MEM, flags[i]);
	for (unsigned int i = 0; i < 2 * NR_WIDTHS; i++) {
		char *to = maps[i % 2], *from = maps[!(i % 2)];
		unsigned int width = widths[i / 2];

		for (int byte = 0; byte < LENGTH; byte++)
			data[byte] = i + 7 * byte;
		ck_assert_works(vdb_copy_to(to, data, LENGTH, width));
		vdb_wc_flush();
		ck_assert_works(vdb_try_copy_from(back, from, LENGTH, width > 8 ? 8 : width, &copied));
		ck_assert_uint_eq(copied, LENGTH);
		ck_assert_mem_eq(back, data, LENGTH);

		for (int byte = 0; byte < LENGTH; byte++)
			data[byte] = i + 11 * byte;
		ck_assert_works(vdb_try_copy_to(to, data, LENGTH, width, &copied));
		ck_assert_uint_eq(copied, LENGTH);
		vdb_wc_flush();
		ck_assert_works(vdb_copy_from(back, from, LENGTH, width > 8 ? 8 : width));
		ck_assert_mem_eq(back, data, LENGTH);
	}
	ck_assert_int_eq(page_entry(maps[0]).type, TYPE_UC_MINUS);
	ck_assert_int_eq(page_entry(maps[1]).type, TYPE_WC);
}
END_TEST

/*
 * These registers take accesses of 4 bytes only.  The bus reports others as failed; a PC
 * drops that report, Arm's CPUs raise an abort.
 */
START_TEST(registers_get_their_width)
{
	char *registers = map_page(0, 0);
	uint32_t value[2] = { 0 };

	ck_assert_works(vdb_try_copy_from(value, registers + EDU_ID, 4, 4, NULL));
	ck_assert_uint_eq(value[0], EDU_ID_VALUE);
	for (unsigned int width = 1; width <= 8; width *= 2) {
		size_t copied = 77;
		int ret;

		if (width == 4)
			continue;
		ret = vdb_try_copy_from(value, registers + EDU_ID, 8, width, &copied);
		if (ret) {
			ck_assert_int_eq(errno, EIO);
			ck_assert_uint_eq(copied, 0);
		} else {
			ck_assert_uint_ne(value[0], EDU_ID_VALUE);
		}
	}

	value[0] = 0x12345678;
	ck_assert_works(vdb_try_copy_to(registers + EDU_LIVENESS, value, 4, 4, NULL));
	value[0] = 0;
	for (unsigned int width = 1; width <= 2; width *= 2)
		if (vdb_try_copy_to(registers + EDU_LIVENESS, value, 4, width, NULL))
			ck_assert_int_eq(errno, EIO);
	ck_assert_works(vdb_copy_from(value, registers + EDU_LIVENESS, 4, 4));
	ck_assert_uint_eq(value[0], ~0x12345678U);
}
END_TEST

/* On every CPU and with every memory type; also after the slice has been revoked. */
START_TEST(misuse_is_not_revocation)
{
	struct vdb_slice *slice = owner_export(MEM, 0, page, _i ? VDB_FLAG_WC : 0);
	char *address = owner_map(slice, RW), buffer[64];
	uint32_t value;

	for (int revoked = 0; revoked < 2; revoked++) {
		ck_assert_fails(vdb_try_read16(address + 1, &(uint16_t){ 0 }), EINVAL);
		ck_assert_fails(vdb_try_read32(address + 2, &value), EINVAL);
		ck_assert_fails(vdb_try_read64(address + 4, &(uint64_t){ 0 }), EINVAL);
		ck_assert_fails(vdb_try_write16(address + 1, 1), EINVAL);
		ck_assert_fails(vdb_try_write32(address + 2, 1), EINVAL);
		ck_assert_fails(vdb_try_write64(address + 4, 1), EINVAL);
		ck_assert_fails(vdb_try_copy_from(buffer, address + 2, 64, 4, NULL), EINVAL);
		ck_assert_fails(vdb_try_copy_to(address + 8, buffer, 64, 64, NULL), EINVAL);
		if (revoked)
			break;
		ck_assert_works(vdb_slice_revoke(owner, slice));
	}
	ck_assert_fails(vdb_try_read32(address, &value), EFAULT);
}
END_TEST

/* ---- revocation during a copy ---- */

struct copier {
	char *address;
	unsigned int width;
	char *buffer;
	size_t copied;
	int error;
};

static void *copy_until_revoked(void *data)
{
	struct copier *copier = data;

	do {
		errno = 0;
	} while (!vdb_try_copy_to(copier->address, copier->buffer, page, copier->width, &copier->copied) &&
		 (copier->width > 8 ||
		  !vdb_try_copy_from(copier->buffer, copier->address, page, copier->width, &copier->copied)));
	copier->error = errno;
	return NULL;
}

START_TEST(revoked_in_the_middle)
{
	unsigned int width = widths[_i % NR_WIDTHS];
	struct vdb_slice *slice = owner_export(MEM, 0, page, _i < (int)NR_WIDTHS ? 0 : VDB_FLAG_WC);
	struct copier copier = { owner_map(slice, RW), width, calloc(1, page), 0, 0 };
	pthread_t thread;

	/* The first bytes show that the copy has begun. */
	memset(copier.buffer, 0x5a, page);
	vdb_write64(copier.address, 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, copy_until_revoked, &copier), 0);
	while (vdb_read8(copier.address) != 0x5a)
		;
	ck_assert_works(vdb_slice_revoke(owner, slice));
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_int_eq(copier.error, EFAULT);
	ck_assert_uint_lt(copier.copied, page);
	ck_assert_uint_eq(copier.copied % width, 0);
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("copy");
	TCase *tc = add_group(s, "memory");

	pagetable_init();
	tcase_add_checked_fixture(tc, setup_memory, NULL);
	tcase_add_test(tc, bytes_come_through);
	tcase_add_loop_test(tc, misuse_is_not_revocation, 0, 2);
	tcase_add_loop_test(tc, revoked_in_the_middle, 0, 2 * NR_WIDTHS);

	tc = add_group(s, "registers");
	tcase_add_checked_fixture(tc, setup_edu, NULL);
	tcase_add_test(tc, registers_get_their_width);
	return s;
}
