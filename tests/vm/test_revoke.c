// SPDX-License-Identifier: MIT
/* Revocation: for good, for all processes that have the slice, and for no others. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/udmabuf.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client.h"
#include "device.h"
#include "edu.h"
#include "memory.h"
#include "page.h"
#include "slice.h"
#include "suite.h"
#include "trace.h"

#define MEM	2	/* ivshmem's BAR that is plain memory */
#define RW	(PROT_READ | PROT_WRITE)

static struct device edu, mem;

static void open_edu(void)
{
	device_open(&edu, "EDU");
}

static void open_mem(void)
{
	device_open(&mem, "IVSHMEM");
}

static int try_read(const void *address)
{
	uint32_t value;

	return try_read32(address, &value);
}

static int client_try_read(struct client *c, long address)
{
	uint32_t value;

	return client_try_read32(c, address, &value);
}

static long step_mmap_own(const struct client_step *step)
{
	return (long)mmap(NULL, PAGE, RW, MAP_SHARED, step->arg[0], 0);
}

START_TEST(every_process_loses_access)
{
	struct client *first = client_start(CLIENT_NOBODY);
	struct client *second = client_start(CLIENT_NOBODY);
	int fd = slice_new(&edu, 0, 0, PAGE);
	struct client *forked;
	long map1, map2, untouched;
	void *own;
	int passed;

	map1 = client_mmap(first, fd, 0, PAGE, RW);
	map2 = client_mmap(second, fd, 0, PAGE, RW);
	untouched = client_mmap(second, fd, 0, PAGE, RW);
	own = slice_map(fd, 0, PAGE);
	client_read32(first, map1);
	client_read32(second, map2);
	read32(own);
	forked = client_fork(first);
	client_read32(forked, map1);
	passed = client_give(second, fd);

	ck_assert_works(slice_revoke(&edu, fd));

	ck_assert_int_eq(client_try_read(first, map1), SIGBUS);
	ck_assert_int_eq(client_try_write32(first, map1 + EDU_LIVENESS, 1), SIGBUS);
	ck_assert_int_eq(client_try_read(forked, map1), SIGBUS);
	ck_assert_int_eq(client_try_read(second, map2), SIGBUS);
	ck_assert_int_eq(client_try_read(second, untouched), SIGBUS);
	ck_assert_int_eq(try_read(own), SIGBUS);

	ck_assert_fails(client_call(second, step_mmap_own,
				    &(struct client_step){ { passed }, -1 }),
			ENODEV);
	ck_assert_fails(client_mmap(first, fd, 0, PAGE, PROT_READ), ENODEV);
	ck_assert_fails(mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0), ENODEV);
	client_end(forked);
	client_end(first);
	client_end(second);
}
END_TEST

START_TEST(child_forked_afterwards_has_no_access)
{
	struct client *c = client_start(CLIENT_NOBODY);
	int fd = slice_new(&edu, 0, 0, PAGE);
	long map = client_mmap(c, fd, 0, PAGE, RW);
	struct client *child;

	client_read32(c, map);
	ck_assert_works(slice_revoke(&edu, fd));
	child = client_fork(c);
	ck_assert_int_eq(client_try_read(child, map), SIGBUS);
	client_end(child);
	client_end(c);
}
END_TEST

/* A client that does not run cannot answer, and need not. */
START_TEST(does_not_wait_for_a_stopped_client)
{
	struct client *c = client_start(CLIENT_NOBODY);
	int fd = slice_new(&edu, 0, 0, PAGE), status;
	long map = client_mmap(c, fd, 0, PAGE, RW);

	client_read32(c, map);
	ck_assert_works(kill(c->pid, SIGSTOP));
	ck_assert_int_eq(waitpid(c->pid, &status, WUNTRACED), c->pid);
	ck_assert_works(slice_revoke(&edu, fd));
	ck_assert_works(kill(c->pid, SIGCONT));
	ck_assert_int_eq(client_try_read(c, map), SIGBUS);
	client_end(c);
}
END_TEST

START_TEST(second_time_is_an_error)
{
	int fd = slice_new(&edu, 0, 0, PAGE);

	ck_assert_works(slice_revoke(&edu, fd));
	ck_assert_fails(slice_revoke(&edu, fd), EBADFD);
	ck_assert_fails(slice_revoke(&edu, dup(fd)), EBADFD);
}
END_TEST

START_TEST(not_a_file_descriptor)
{
	int fd = dup(edu.fd);

	close(fd);
	ck_assert_fails(slice_revoke(&edu, fd), EBADF);
}
END_TEST

static int new_udmabuf(void)
{
	int memfd = memfd_create("page", MFD_ALLOW_SEALING);
	struct udmabuf_create create = { .memfd = memfd, .size = PAGE };
	int device = open("/dev/udmabuf", O_RDWR);

	ck_assert_works(memfd);
	ck_assert_works(device);
	ck_assert_works(ftruncate(memfd, PAGE));
	ck_assert_works(fcntl(memfd, F_ADD_SEALS, F_SEAL_SHRINK));
	return ioctl(device, UDMABUF_CREATE, &create);
}

START_TEST(not_a_buffer_of_this_device)
{
	int of_other = slice_new(&mem, MEM, 0, PAGE);
	void *map = slice_map(of_other, 0, PAGE);

	open_edu();
	read32(map);
	ck_assert_fails(slice_revoke(&edu, of_other), ENODEV);
	ck_assert_int_eq(try_read(map), 0);

	ck_assert_fails(slice_revoke(&edu, edu.fd), EINVAL);
	ck_assert_fails(slice_revoke(&edu, memfd_create("memfd", 0)), EINVAL);
}
END_TEST

START_TEST(not_a_buffer_of_this_driver)
{
	int udmabuf = new_udmabuf();

	ck_assert_works(udmabuf);
	ck_assert_fails(slice_revoke(&edu, udmabuf), EINVAL);
}
END_TEST

START_TEST(argument_is_checked)
{
	struct vfio_device_feature feature = {
		.argsz = sizeof(feature),
		.flags = VFIO_DEVICE_FEATURE_SET | VFIO_DMABUF_FEATURE_REVOKE,
	};
	char *pages = mmap(NULL, 2 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct vfio_device_feature *at_end =
		(void *)(pages + PAGE - sizeof(feature));

	ck_assert_fails(ioctl(edu.fd, VFIO_DEVICE_FEATURE, &feature), EINVAL);
	ck_assert_works(mprotect(pages + PAGE, PAGE, PROT_NONE));
	feature.argsz += sizeof(struct vfio_dmabuf_feature_revoke);
	*at_end = feature;
	ck_assert_fails(ioctl(edu.fd, VFIO_DEVICE_FEATURE, at_end), EFAULT);
}
END_TEST

START_TEST(same_offset_of_another_bar_takes_no_fault)
{
	struct device e1000e;
	void *victim, *other, *bar;
	int fd;

	device_open(&e1000e, "E1000E");
	fd = slice_new(&e1000e, 0, 0, PAGE);
	victim = slice_map(fd, 0, PAGE);
	other = slice_map(slice_new(&e1000e, 1, 0, PAGE), 0, PAGE);
	bar = device_map(&e1000e, 1, 0, PAGE);
	read32(victim);
	read32(other);
	read32(bar);

	trace_start();
	ck_assert_works(slice_revoke(&e1000e, fd));
	read32(other);
	read32(bar);
	ck_assert_uint_eq(trace_faults(e1000e.bdf, 1), 0);
	ck_assert_int_eq(try_read(victim), SIGBUS);
	ck_assert_uint_eq(trace_faults(e1000e.bdf, 0), 1);
}
END_TEST

START_TEST(others_take_no_fault)
{
	struct client *c = client_start(CLIENT_NOBODY);
	int fd = slice_new(&mem, MEM, 4 * PAGE, PAGE);
	int same_pages = slice_new(&mem, MEM, 4 * PAGE, PAGE);
	int around = slice_new(&mem, MEM, 0, 16 * PAGE);
	int neighbour = slice_new(&mem, MEM, 5 * PAGE, PAGE);
	void *victim = slice_map(fd, 0, PAGE);
	void *bar = device_map(&mem, MEM, 0, 16 * PAGE);
	long maps[3];
	size_t i;

	maps[0] = client_mmap(c, same_pages, 0, PAGE, RW);
	maps[1] = client_mmap(c, around, 0, 16 * PAGE, RW) + 4 * PAGE;
	maps[2] = client_mmap(c, neighbour, 0, PAGE, RW);
	for (i = 0; i < 3; i++)
		client_read32(c, maps[i]);
	read32(victim);
	read32(bar + 4 * PAGE);

	trace_start();
	ck_assert_works(slice_revoke(&mem, fd));
	for (i = 0; i < 3; i++)
		client_read32(c, maps[i]);
	read32(bar + 4 * PAGE);
	ck_assert_uint_eq(trace_faults(mem.bdf, MEM), 0);
	ck_assert_int_eq(try_read(victim), SIGBUS);
	ck_assert_uint_eq(trace_faults(mem.bdf, MEM), 1);
	client_end(c);
}
END_TEST

/* Its offsets run on from the first range over registers that are not its own. */
START_TEST(pages_that_a_buffer_of_many_ranges_passes_over_take_no_fault)
{
	const struct vfio_region_dma_range ranges[] = {
		{ 0, PAGE }, { 64 * PAGE, PAGE }, { 32 * PAGE, 2 * PAGE },
	};
	int fd = slice_export(&mem, MEM, O_RDWR, ranges, 3);
	char *victim = slice_map(fd, 0, 4 * PAGE);
	char *neighbours = slice_map(slice_new(&mem, MEM, PAGE, 8 * PAGE), 0,
				     8 * PAGE);
	int page;

	for (page = 0; page < 4; page++)
		read32(victim + page * PAGE);
	for (page = 0; page < 8; page++)
		read32(neighbours + page * PAGE);

	trace_start();
	ck_assert_works(slice_revoke(&mem, fd));
	for (page = 0; page < 8; page++)
		read32(neighbours + page * PAGE);
	ck_assert_uint_eq(trace_faults(mem.bdf, MEM), 0);
	for (page = 0; page < 4; page++)
		ck_assert_int_eq(try_read(victim + page * PAGE), SIGBUS);
}
END_TEST

/* mremap() and mprotect() leave VMAs that the zap must still find. */
START_TEST(moved_and_split_mappings_lose_access)
{
	int fd = slice_new(&mem, MEM, 0, 8 * PAGE);
	char *map = slice_map(fd, 0, 8 * PAGE);
	char *part = slice_map(fd, 4 * PAGE, 4 * PAGE);
	char *moved;
	int page;

	ck_assert_works(mprotect(map + 2 * PAGE, PAGE, PROT_READ));
	ck_assert_works(munmap(map + 5 * PAGE, PAGE));
	moved = mremap(part, 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
		       mmap(NULL, 4 * PAGE, PROT_NONE,
			    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
	ck_assert_ptr_ne(moved, MAP_FAILED);
	for (page = 0; page < 4; page++)
		read32(moved + page * PAGE);
	for (page = 0; page < 8; page++)
		if (page != 5)
			read32(map + page * PAGE);

	ck_assert_works(slice_revoke(&mem, fd));
	for (page = 0; page < 4; page++)
		ck_assert_int_eq(try_read(moved + page * PAGE), SIGBUS);
	for (page = 0; page < 8; page++)
		if (page != 5)
			ck_assert_int_eq(try_read(map + page * PAGE), SIGBUS);
}
END_TEST

START_TEST(huge_mapping_loses_access)
{
	const size_t huge = PMD;
	char order[16];
	int fd = slice_new(&mem, MEM, 0, 2 * huge);
	char *room = mmap(NULL, 3 * huge, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *at = (char *)(((uintptr_t)room + huge - 1) & -huge);

	ck_assert_ptr_eq(mmap(at, 2 * huge, RW, MAP_SHARED | MAP_FIXED, fd, 0), at);
	snprintf(order, sizeof(order), " order=%d ", slice_can_be_huge() ? __builtin_ctzl(PMD_PAGES) : 0);
	trace_start();
	read32(at);
	read32(at + huge);
	ck_assert_uint_eq(trace_count("buffer_fault", order), 2);
	ck_assert_works(slice_revoke(&mem, fd));
	ck_assert_int_eq(try_read(at), SIGBUS);
	ck_assert_int_eq(try_read(at + huge - 4), SIGBUS);
	ck_assert_int_eq(try_read(at + huge), SIGBUS);
}
END_TEST

START_TEST(revoked_stays_revoked_over_a_suspension)
{
	int fd = slice_new(&edu, 0, 0, PAGE);
	int other = slice_new(&edu, 0, 0, PAGE);
	void *map = slice_map(fd, 0, PAGE), *live = slice_map(other, 0, PAGE);

	read32(map);
	ck_assert_works(slice_revoke(&edu, fd));
	device_set_memory(&edu, false);
	ck_assert_int_eq(try_read(map), SIGBUS);
	device_set_memory(&edu, true);
	ck_assert_int_eq(try_read(map), SIGBUS);
	ck_assert_int_eq(try_read(live), 0);
	ck_assert_fails(slice_revoke(&edu, fd), EBADFD);
}
END_TEST

START_TEST(works_while_suspended)
{
	int fd = slice_new(&edu, 0, 0, PAGE);
	void *map = slice_map(fd, 0, PAGE);

	read32(map);
	device_set_memory(&edu, false);
	ck_assert_works(slice_revoke(&edu, fd));
	device_set_memory(&edu, true);
	ck_assert_int_eq(try_read(map), SIGBUS);
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("revoke");
	TCase *tc = add_group(s, "edu");

	tcase_add_checked_fixture(tc, open_edu, NULL);
	tcase_add_test(tc, every_process_loses_access);
	tcase_add_test(tc, child_forked_afterwards_has_no_access);
	tcase_add_test(tc, does_not_wait_for_a_stopped_client);
	tcase_add_test(tc, second_time_is_an_error);
	tcase_add_test(tc, not_a_file_descriptor);
	tcase_add_test(tc, argument_is_checked);
	add_test_or_skip(tc, not_a_buffer_of_this_driver,
			 access("/dev/udmabuf", R_OK | W_OK) ?
			 "this kernel has no udmabuf" : NULL);
	tcase_add_test(tc, revoked_stays_revoked_over_a_suspension);
	tcase_add_test(tc, works_while_suspended);

	tc = add_group(s, "memory");
	tcase_add_checked_fixture(tc, open_mem, NULL);
	tcase_add_test(tc, not_a_buffer_of_this_device);
	tcase_add_test(tc, others_take_no_fault);
	tcase_add_test(tc, pages_that_a_buffer_of_many_ranges_passes_over_take_no_fault);
	tcase_add_test(tc, moved_and_split_mappings_lose_access);
	tcase_add_test(tc, huge_mapping_loses_access);

	tc = add_group(s, "e1000e");
	tcase_add_test(tc, same_offset_of_another_bar_takes_no_fault);
	return s;
}
