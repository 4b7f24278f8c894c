// SPDX-License-Identifier: MIT
/*
 * Slices of memory: their seals prevent changes, and a receiver refuses memory that its
 * sender could still truncate or change.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/fds.h"
#include "internal.h"
#include "memfd.h"
#include "suite.h"

#define PAGE	0x1000UL
#define IOVA	0x70000000UL
#define RW	(PROT_READ | PROT_WRITE)

static int ends[2];

static void setup(void)
{
	ck_assert_works(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends));
}

static int sealed(uint64_t length, unsigned int flags)
{
	int fd = vdb_memfd_create(length, flags);

	ck_assert_works(fd);
	ck_assert_works(vdb_memfd_seal(fd, flags));
	return fd;
}

static struct vdb_slice *memory(uint64_t length, unsigned int flags)
{
	struct vdb_slice *slice = vdb_memory_from_fd(sealed(length, flags), IOVA, flags);

	ck_assert_msg(slice, "%s", strerrorname_np(errno));
	return slice;
}

START_TEST(nobody_changes_its_size)
{
	struct vdb_slice *slice = memory(2 * PAGE, 0);
	int fd = vdb_slice_fd(slice);

	ck_assert_fails(ftruncate(fd, PAGE), EPERM);
	ck_assert_fails(ftruncate(fd, 3 * PAGE), EPERM);
	ck_assert_fails(fallocate(fd, 0, 0, 3 * PAGE), EPERM);
	ck_assert_fails(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), EPERM);
	vdb_slice_free(slice);
}
END_TEST

START_TEST(parts_are_mapped)
{
	struct vdb_slice *slice = memory(4 * PAGE, 0);
	char *all = vdb_slice_map(slice, 0, 0, RW), *part = vdb_slice_map(slice, 2 * PAGE, PAGE, RW);

	ck_assert_ptr_nonnull(all);
	ck_assert_ptr_nonnull(part);
	all[2 * PAGE + 7] = 'x';
	ck_assert_int_eq(part[7], 'x');
	ck_assert_ptr_null(vdb_slice_map(slice, 4 * PAGE, 0, RW));
	ck_assert_ptr_null(vdb_slice_map(slice, 2 * PAGE, 3 * PAGE, RW));
	ck_assert_works(vdb_slice_unmap(slice, part, 2 * PAGE, PAGE));
	ck_assert_works(vdb_slice_unmap(slice, all, 0, 0));
	vdb_slice_free(slice);
}
END_TEST

/* It cannot be written directly, by a mapping that is changed later, or through /proc. */
START_TEST(read_only_memory)
{
	struct vdb_slice *slice = memory(PAGE, VDB_FLAG_READ_ONLY);
	char *map = vdb_slice_map(slice, 0, 0, PROT_READ), path[64];
	int again;

	ck_assert_ptr_nonnull(map);
	errno = 0;
	ck_assert_ptr_null(vdb_slice_map(slice, 0, 0, RW));
	ck_assert_int_eq(errno, EACCES);
	ck_assert_fails(mprotect(map, PAGE, RW), EACCES);
	ck_assert_fails(pwrite(vdb_slice_fd(slice), "x", 1, 0), EPERM);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", vdb_slice_fd(slice));
	again = open(path, O_RDWR | O_CLOEXEC);
	if (again >= 0)
		ck_assert_ptr_eq(mmap(NULL, PAGE, RW, MAP_SHARED, again, 0), MAP_FAILED);
	vdb_slice_free(slice);
}
END_TEST

START_TEST(memory_goes_through_a_socket)
{
	const unsigned int flags = _i ? VDB_FLAG_DMA_READ_ONLY : VDB_FLAG_READ_ONLY;
	struct vdb_slice *slice = memory(2 * PAGE, flags), *received;

	ck_assert_works(vdb_slice_send(ends[1], NULL, slice));
	received = vdb_slice_receive(ends[0]);
	ck_assert_msg(received, "%s", strerrorname_np(errno));
	ck_assert_int_eq(vdb_slice_kind(received), VDB_KIND_MEMORY);
	ck_assert_uint_eq(vdb_slice_iova(received), IOVA);
	ck_assert_uint_eq(vdb_slice_length(received), 2 * PAGE);
	ck_assert_uint_eq(vdb_slice_flags(received), flags);
	ck_assert_str_eq(vdb_slice_bdf(received), "");
	ck_assert_uint_eq(vdb_slice_offset(received), 0);
	ck_assert_int_eq(vdb_slice_event_fd(received), -1);
	errno = 0;
	ck_assert_int_eq(vdb_slice_state(received, NULL), -1);
	ck_assert_int_eq(errno, ENODATA);
	vdb_slice_free(received);
	vdb_slice_free(slice);
}
END_TEST

/* ---- malicious senders ---- */

/* The message as it is sent; see lib/pass.c. */
struct wire {
	uint16_t magic;
	uint16_t version;
	uint32_t bar;
	uint32_t flags;
	uint16_t watched;
	uint16_t state;
	uint64_t offset;
	uint64_t length;
	uint64_t changes;
	char bdf[16];
};

static const struct wire good = { .magic = 0x5356, .version = 3, .length = PAGE, .offset = IOVA };

static int next_fd(void)
{
	int fd = dup(ends[0]);

	close(fd);
	return fd;
}

/* Closes the fds. */
static void send_message(const struct wire *message, int fd, int second)
{
	int fds[] = { fd, second };

	ck_assert_works(fds_send(ends[1], message, sizeof(*message), fds, second < 0 ? 1 : 2, 0));
	close(fd);
	if (second >= 0)
		close(second);
}

static void check_refused(const struct wire *message, int fd, int second)
{
	int before;

	send_message(message, fd, second);
	before = next_fd();
	errno = 0;
	ck_assert_ptr_null(vdb_slice_receive(ends[0]));
	ck_assert_int_eq(errno, EPROTO);
	ck_assert_int_eq(next_fd(), before);
}

START_TEST(good_message)
{
	struct vdb_slice *slice;

	send_message(&good, sealed(PAGE, 0), -1);
	slice = vdb_slice_receive(ends[0]);
	ck_assert_ptr_nonnull(slice);
	vdb_slice_free(slice);
}
END_TEST

/* An owner that believed it would not unmap the memory. */
START_TEST(claim_to_be_revoked)
{
	struct wire lie = good;
	struct vdb_slice *slice;

	lie.state = VDB_STATE_REVOKED;
	send_message(&lie, sealed(PAGE, 0), -1);
	slice = vdb_slice_receive(ends[0]);
	ck_assert_ptr_nonnull(slice);
	ck_assert_int_eq(slice->state, VDB_STATE_LIVE);
	vdb_slice_free(slice);
}
END_TEST

/* With any of these, the sender could remove the memory, and an access would cause SIGBUS. */
START_TEST(seals_that_are_missing)
{
	static const int all[] = { F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_SEAL };
	int fd = memfd_create("sender's", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	ck_assert_works(ftruncate(fd, PAGE));
	for (int i = 0; i < 3; i++)
		if (i != _i)
			ck_assert_works(fcntl(fd, F_ADD_SEALS, all[i]));
	check_refused(&good, fd, -1);
}
END_TEST

static int file_of(const char *path)
{
	int fd = open(path, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd < 0)
		return -1;
	ck_assert_works(ftruncate(fd, PAGE));
	return fd;
}

START_TEST(files_that_are_no_memfd)
{
	int pair[2], fd;

	ck_assert_works(pipe(pair));
	close(pair[0]);
	check_refused(&good, pair[1], -1);
	check_refused(&good, open("/dev/zero", O_RDWR | O_CLOEXEC), -1);
	check_refused(&good, open("/", O_RDONLY | O_CLOEXEC), -1);
	fd = file_of("/dev/shm");
	if (fd >= 0)
		check_refused(&good, fd, -1);
	fd = file_of(".");
	if (fd >= 0)
		check_refused(&good, fd, -1);
}
END_TEST

START_TEST(messages_that_do_not_fit_the_memory)
{
	struct wire bad = good;

	bad.length = 2 * PAGE;
	check_refused(&bad, sealed(PAGE, 0), -1);
	bad = good;
	bad.offset = UINT64_MAX - PAGE + 2;
	check_refused(&bad, sealed(PAGE, 0), -1);
	bad.offset = 0 - PAGE;
	bad.length = 2 * PAGE;
	check_refused(&bad, sealed(2 * PAGE, 0), -1);
	bad = good;
	bad.offset = 8;
	check_refused(&bad, sealed(PAGE, 0), -1);
	bad = good;
	bad.length = 0;
	check_refused(&bad, sealed(0, 0), -1);
	bad.length = PAGE / 2;
	check_refused(&bad, sealed(PAGE / 2, 0), -1);
}
END_TEST

START_TEST(flags_that_do_not_fit_the_memory)
{
	static const unsigned int unknown[] = { VDB_FLAG_WC, VDB_FLAG_BAR_MAPPING, 1u << 5, 1u << 31 };
	struct wire bad = good;

	bad.flags = VDB_FLAG_READ_ONLY;
	check_refused(&bad, sealed(PAGE, 0), -1);
	bad.flags = 0;
	check_refused(&bad, sealed(PAGE, VDB_FLAG_READ_ONLY), -1);
	for (int i = 0; i < 4; i++) {
		bad.flags = unknown[i];
		check_refused(&bad, sealed(PAGE, 0), -1);
	}
}
END_TEST

/* Opened again with fewer rights: the receiver could not use it as described. */
START_TEST(fds_that_do_not_fit_the_memory)
{
	static const int modes[] = { O_RDONLY, O_WRONLY };

	for (int i = 0; i < 2; i++) {
		int fd = sealed(PAGE, 0), again;
		char path[64];

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		again = open(path, modes[i] | O_CLOEXEC);
		ck_assert_works(again);
		close(fd);
		check_refused(&good, again, -1);
	}
}
END_TEST

START_TEST(what_memory_does_not_have)
{
	struct wire bad = good;

	bad.bar = 1;
	check_refused(&bad, sealed(PAGE, 0), -1);
	bad = good;
	bad.changes = 1;
	check_refused(&bad, sealed(PAGE, 0), -1);
	bad = good;
	bad.state = 3;
	check_refused(&bad, sealed(PAGE, 0), -1);
	bad = good;
	strcpy(bad.bdf, "0000:01:00.0");
	check_refused(&bad, sealed(PAGE, 0), -1);
	bad = good;
	bad.watched = 1;
	check_refused(&bad, sealed(PAGE, 0), sealed(PAGE, 0));
	/* Versions that are not the one of slices of memory. */
	bad = good;
	bad.version = 2;
	check_refused(&bad, sealed(PAGE, 0), -1);
	bad.version = 4;
	check_refused(&bad, sealed(PAGE, 0), -1);
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("memory");
	TCase *tc = add_group(s, "slices");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, nobody_changes_its_size);
	tcase_add_test(tc, parts_are_mapped);
	tcase_add_test(tc, read_only_memory);
	tcase_add_loop_test(tc, memory_goes_through_a_socket, 0, 2);

	tc = add_group(s, "bad messages");
	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, good_message);
	tcase_add_test(tc, claim_to_be_revoked);
	tcase_add_loop_test(tc, seals_that_are_missing, 0, 3);
	tcase_add_test(tc, files_that_are_no_memfd);
	tcase_add_test(tc, messages_that_do_not_fit_the_memory);
	tcase_add_test(tc, flags_that_do_not_fit_the_memory);
	tcase_add_test(tc, fds_that_do_not_fit_the_memory);
	tcase_add_test(tc, what_memory_does_not_have);
	return s;
}
