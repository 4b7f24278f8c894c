// SPDX-License-Identifier: MIT
/*
 * Places where a client can keep a slice besides an fd: a message in flight, another
 * process, a ring, a path without a file.  None of them limits the owner, and the
 * module uses no freed memory.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/membarrier.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client.h"
#include "common/fds.h"
#include "device.h"
#include "listing.h"
#include "memory.h"
#include "page.h"
#include "slice.h"
#include "suite.h"
#include "sysfs.h"

#define RW	(PROT_READ | PROT_WRITE)
#define FILES	400	/* more than a slab of struct file has */

static struct device nvme;

static void setup(void)
{
	device_open(&nvme, "NVME");
}

/* It may have been unbound. */
static void teardown(void)
{
	if (!driver_bound(lab_bdf("NVME")))
		driver_rebind(lab_bdf("NVME"));
}

static int kept = -1;	/* anything that keeps the slice */
static int other = -1;

static void keep_dup(int slice)
{
	kept = dup(slice);
}

static int get_dup(void)
{
	return dup(kept);
}

static void keep_in_flight(int slice)
{
	int pair[2];

	ck_assert_works(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	ck_assert_works(fds_send(pair[0], "", 1, &slice, 1, 0));
	kept = pair[0];
	other = pair[1];
}

static int get_from_flight(void)
{
	char control[CMSG_SPACE(sizeof(int))], byte;
	struct iovec iov = { .iov_base = &byte, .iov_len = 1 };
	struct msghdr message = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	int fd;

	ck_assert_int_eq(recvmsg(other, &message, MSG_PEEK), 1);
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
	return fd;
}

/* In a queue that holds its own socket: only the kernel's collector empties it. */
static void keep_in_cycle(int slice)
{
	int pair[2];

	ck_assert_works(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
	ck_assert_works(fds_send(pair[0], "", 1, (int[]){ slice, pair[1] }, 2, 0));
	close(pair[0]);
	close(pair[1]);
}

static void keep_in_ring(int slice)
{
	struct io_uring_params params = { 0 };

	kept = syscall(SYS_io_uring_setup, 4, &params);
	ck_assert_works(kept);
	ck_assert_works(syscall(SYS_io_uring_register, kept, IORING_REGISTER_FILES, &slice, 1));
}

static void keep_in_process(int slice)
{
	struct client *c = client_start(CLIENT_NOBODY);

	client_give(c, slice);
	kept = dup(c->socket);
}

static void keep_by_pidfd(int slice)
{
	pid_t pid = fork();
	int pidfd;

	ck_assert_works(pid);
	if (!pid) {
		close(nvme.fd);
		pause();
		_exit(0);
	}
	pidfd = syscall(SYS_pidfd_open, pid, 0);
	ck_assert_works(pidfd);
	kept = syscall(SYS_pidfd_getfd, pidfd, slice, 0);
	ck_assert_works(kept);
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	close(pidfd);
}

static void keep_path(int slice)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", slice);
	kept = open(path, O_PATH | O_CLOEXEC);
	ck_assert_works(kept);
}

static void keep_map_files(int slice)
{
	char *map = slice_map(slice, 0, PAGE);
	char path[64];

	read32(map);
	snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", (long)map,
		 (long)map + PAGE);
	kept = open(path, O_PATH | O_CLOEXEC);
	ck_assert_works(kept);
	ck_assert_works(munmap(map, PAGE));
}

static void keep_mapping(int slice)
{
	read32(slice_map(slice, 0, PAGE));
}

static const struct place {
	const char *name;
	void (*keep)(int slice);
	int (*get)(void);	/* an fd of it again, if there is a way */
} places[] = {
	{ "another fd", keep_dup, get_dup },
	{ "a message in flight", keep_in_flight, get_from_flight },
	{ "a queue that holds its own socket", keep_in_cycle, NULL },
	{ "a ring's files", keep_in_ring, NULL },
	{ "another process", keep_in_process, NULL },
	{ "pidfd_getfd()", keep_by_pidfd, get_dup },
	{ "a mapping", keep_mapping, NULL },
	{ "O_PATH", keep_path, NULL },
	{ "O_PATH of map_files", keep_map_files, NULL },
};
#define NR_PLACES	(sizeof(places) / sizeof(*places))

/* Other files get the memory of a struct file that was closed. */
static void reuse_files(void)
{
	int fds[FILES];

	ck_assert_works(syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0));
	for (int i = 0; i < FILES; i++) {
		fds[i] = memfd_create("reuse", MFD_CLOEXEC);
		ck_assert_works(fds[i]);
	}
	for (int i = 0; i < FILES; i++)
		close(fds[i]);
}

/* A slice of the first page that is in this place only; its inode. */
static ino_t keep_slice(const struct place *place)
{
	int slice = slice_new(&nvme, 0, 0, PAGE);
	struct stat st;

	ck_assert_works(fstat(slice, &st));
	place->keep(slice);
	close(slice);
	return st.st_ino;
}

/* Slices of earlier tests may still be there, revoked. */
static size_t find_kept(const char *state, struct listed *buffer)
{
	struct listed all[8];
	size_t nr = listing_read(nvme.bdf, all, 8), found = 0;

	for (size_t i = 0; i < nr && i < 8; i++)
		if (!strcmp(all[i].ranges, page_ranges("0+1")) && !strcmp(all[i].state, state)) {
			*buffer = all[i];
			found++;
		}
	return found;
}

/* Not of a file that has got its struct file's memory. */
START_TEST(listing_shows_the_slice)
{
	const struct place *place = &places[_i];
	ino_t inode = keep_slice(place);
	struct listed buffer;
	int fds[FILES];

	ck_assert_works(syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0));
	for (int i = 0; i < FILES; i++)
		fds[i] = memfd_create("reuse", MFD_CLOEXEC);
	/* The collector may have been there. */
	if (find_kept("live", &buffer) || place->keep != keep_in_cycle) {
		ck_assert_uint_eq(find_kept("live", &buffer), 1);
		ck_assert_uint_eq(buffer.inode, inode);
	}
	for (int i = 0; i < FILES; i++)
		close(fds[i]);
}
END_TEST

START_TEST(owner_goes_on)
{
	const struct place *place = &places[_i];
	int slice, fd;

	keep_slice(place);
	reuse_files();
	ck_assert_works(device_reset(&nvme));
	ck_assert_works(sysfs_write(nvme.bdf, "reset", "1"));
	device_set_memory(&nvme, false);
	device_set_memory(&nvme, true);
	if (place->get) {
		fd = place->get();
		read32(slice_map(fd, 0, PAGE));
		ck_assert_works(slice_revoke(&nvme, fd));
		close(fd);
	}
	slice = slice_new(&nvme, 0, 0, PAGE);
	read32(slice_map(slice, 0, PAGE));
	ck_assert_works(slice_revoke(&nvme, slice));
}
END_TEST

START_TEST(closing_revokes_and_unbinding_works)
{
	const struct place *place = &places[_i];
	const char *bdf = nvme.bdf;
	struct listed buffer;
	int fd;

	keep_slice(place);
	reuse_files();
	device_close(&nvme);
	ck_assert_uint_eq(find_kept("live", &buffer), 0);
	ck_assert_msg(find_kept("revoked", &buffer) || place->keep == keep_in_cycle,
		      "%s does not keep it", place->name);
	ck_assert_works(driver_unbind(bdf));
	reuse_files();
	if (place->get) {
		fd = place->get();
		ck_assert_fails(mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0), ENODEV);
		close(fd);
	}
	driver_rebind(bdf);
	ck_assert_uint_eq(find_kept("live", &buffer) + find_kept("revoked", &buffer), 0);
}
END_TEST

/* The loop variable is one of the last places: a path, which is not an open file. */
START_TEST(path_gives_no_access)
{
	struct listed buffer;
	char path[64];

	keep_slice(&places[_i]);
	ck_assert_fails(mmap(NULL, PAGE, RW, MAP_SHARED, kept, 0), EBADF);
	ck_assert_fails(slice_revoke(&nvme, kept), EBADF);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", kept);
	ck_assert_fails(open(path, O_RDWR), ENXIO);
	ck_assert_uint_eq(find_kept("live", &buffer), 1);
	close(kept);
	ck_assert_uint_eq(find_kept("live", &buffer), 0);
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("keep");
	TCase *tc = add_group(s, "nvme");

	tcase_add_checked_fixture(tc, setup, teardown);
	/* The loop variable is the place. */
	tcase_add_loop_test(tc, listing_shows_the_slice, 0, NR_PLACES);
	tcase_add_loop_test(tc, owner_goes_on, 0, NR_PLACES);
	tcase_add_loop_test(tc, closing_revokes_and_unbinding_works, 0, NR_PLACES);
	tcase_add_loop_test(tc, path_gives_no_access, NR_PLACES - 2, NR_PLACES);
	return s;
}
