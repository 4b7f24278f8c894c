// SPDX-License-Identifier: MIT
/*
 * Before a hot reset, faults of all devices of the set are held off.  A process
 * that may ask for one at its own device, and be refused, must not keep faults of
 * the others off for ever: not by calls that take long to read their argument,
 * from memory that the process itself provides, and not by taking turns.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "device.h"
#include "memory.h"
#include "page.h"
#include "slice.h"
#include "suite.h"

#define MEM	2	/* ivshmem's BAR that is plain memory */
#define RW	(PROT_READ | PROT_WRITE)
#define CALLERS	4
#define FAULTS	3

static struct device own, others;

/* One call after the other, each of which takes most of a second. */
struct caller {
	pthread_t thread, helper;
	int uffd;
	char *pages;	/* the second one is missing */
};

static const char *unavailable(void)
{
	int uffd = syscall(SYS_userfaultfd, O_CLOEXEC);

	if (uffd < 0)
		return "this kernel has no userfaultfd";
	close(uffd);
	return NULL;
}

/* Waits on purpose: the test is about an operation that takes long. */
static void *provide_late(void *data)
{
	struct caller *caller = data;
	struct uffdio_zeropage zero = {
		.range = { (uintptr_t)caller->pages + PAGE, PAGE },
	};
	struct uffd_msg message;

	while (read(caller->uffd, &message, sizeof(message)) == sizeof(message)) {
		usleep(800000);
		ioctl(caller->uffd, UFFDIO_ZEROPAGE, &zero);
	}
	return NULL;
}

static void *ask_again_and_again(void *data)
{
	struct caller *caller = data;
	struct vfio_pci_hot_reset *request =
		(void *)(caller->pages + PAGE - sizeof(*request));

	request->argsz = sizeof(*request) + sizeof(int32_t);
	request->count = 1;
	for (;;) {
		/* The file descriptor after it is not that of a group. */
		ck_assert_int_eq(ioctl(own.fd, VFIO_DEVICE_PCI_HOT_RESET, request), -1);
		madvise(caller->pages + PAGE, PAGE, MADV_DONTNEED);
	}
	return NULL;
}

static void start_caller(struct caller *caller)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };

	caller->pages = mmap(NULL, 2 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	caller->uffd = syscall(SYS_userfaultfd, O_CLOEXEC);
	ck_assert_works(caller->uffd);
	ck_assert_works(ioctl(caller->uffd, UFFDIO_API, &api));
	reg.range.start = (uintptr_t)caller->pages + PAGE;
	reg.range.len = PAGE;
	ck_assert_works(ioctl(caller->uffd, UFFDIO_REGISTER, &reg));
	ck_assert_int_eq(pthread_create(&caller->helper, NULL, provide_late, caller), 0);
	ck_assert_int_eq(pthread_create(&caller->thread, NULL, ask_again_and_again, caller), 0);
}

/* A process that accesses pages of a slice for the first time, so that it takes faults. */
static pid_t start_victim(int slice)
{
	pid_t pid = fork();
	char *map;

	ck_assert_works(pid);
	if (pid)
		return pid;
	for (int i = 0; i < FAULTS; i++) {
		map = mmap(NULL, PAGE, RW, MAP_SHARED, slice, 0);
		read32(map);
		munmap(map, PAGE);
	}
	_exit(0);
}

static bool ends_in_time(pid_t pid)
{
	const char *timeout = getenv("CK_DEFAULT_TIMEOUT");
	struct pollfd p = {
		.fd = syscall(SYS_pidfd_open, pid, 0), .events = POLLIN,
	};

	ck_assert_works(p.fd);
	return poll(&p, 1, (timeout ? atoi(timeout) : 60) * 1000 / 3) == 1;
}

START_TEST(refused_calls_do_not_keep_faults_off)
{
	struct caller callers[CALLERS];
	int slice;
	pid_t pid;

	device_open(&own, "HOT0");
	device_open_sibling(&others, &own, "HOT1");
	slice = slice_new(&others, MEM, 0, PAGE);
	for (int i = 0; i < CALLERS; i++) {
		start_caller(&callers[i]);
		/* They are to take turns. */
		usleep(200000);
	}
	pid = start_victim(slice);
	ck_assert_msg(ends_in_time(pid), "an access waits as long as others ask for hot resets");
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("rest");
	TCase *tc = add_group(s, "hot_reset");

	add_test_or_skip(tc, refused_calls_do_not_keep_faults_off, unavailable());
	return s;
}
