// SPDX-License-Identifier: MIT
/*
 * Clients that stop running in the middle of a call or a fault, by their own choice or
 * an administrator's: the owner and other clients are not delayed.
 */
#define _GNU_SOURCE
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cgroup.h"
#include "client.h"
#include "crowd.h"
#include "device.h"
#include "importer.h"
#include "kernel.h"
#include "memory.h"
#include "page.h"
#include "preempt.h"
#include "prompt.h"
#include "slice.h"
#include "suite.h"
#include "sysfs.h"

#define MEM	2	/* ivshmem's BAR that is plain memory */
#define RW	(PROT_READ | PROT_WRITE)
#define CLIENTS	8
#define BUSY	30
#define MANY	100	/* more than the kernel charges at once */
#define TRIALS	6

static struct device dev;
static int slices[CLIENTS];

static void setup(void)
{
	device_open(&dev, "IVSHMEM");
	/* One page less than one fault can insert. */
	for (int i = 0; i < CLIENTS; i++)
		slices[i] = slice_new(&dev, MEM, PAGE, PMD - PAGE);
}

/* A whole slice, below one page table. */
static char *map_whole(int fd, size_t size)
{
	char *room = mmap(NULL, 2 * PMD, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *map;

	if (room == MAP_FAILED)
		_exit(1);
	room = (char *)(((uintptr_t)room + PMD - 1) & -PMD);
	map = mmap(room, size, RW, MAP_SHARED | MAP_FIXED, fd, 0);
	if (map == MAP_FAILED)
		_exit(1);
	return map;
}

/* Clients: a fault in each round, for all of the slice. */
static void touch_and_drop(int fd)
{
	static char *map;
	uint32_t value;

	if (!map)
		map = map_whole(fd, PMD - PAGE);
	if (try_read32(map, &value) == SIGSEGV || madvise(map, PMD - PAGE, MADV_DONTNEED))
		_exit(1);
}

/*
 * Faults of the kernel, one after the other in one call. Each takes a page for a page
 * table. If a process exceeds its group's limit by many pages, the kernel makes it wait
 * in the middle of such a fault.
 */
static void have_many_faults_in_a_call(int fd)
{
	static struct iovec pages[MANY];
	static int ends[2];
	static char *room;
	char bytes[MANY];

	if (!room) {
		room = mmap(NULL, (MANY + 1) * PMD, PROT_NONE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (room == MAP_FAILED || pipe(ends))
			_exit(1);
		room = (char *)(((uintptr_t)room + PMD - 1) & -PMD);
	}
	for (int i = 0; i < MANY; i++) {
		pages[i] = (struct iovec){ room + i * PMD, 1 };
		if (mmap(pages[i].iov_base, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED)
			_exit(1);
	}
	if (writev(ends[1], pages, MANY) != MANY || read(ends[0], bytes, MANY) != MANY)
		_exit(1);
	/* With the page tables. */
	if (mmap(room, MANY * PMD, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED,
		 -1, 0) == MAP_FAILED)
		_exit(1);
}

static void just_poll(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN | POLLOUT };

	if (poll(&p, 1, 0) < 0)
		_exit(1);
}

/* Keeps a processor busy, but ends before the test program's time limit. */
static void spin(int fd)
{
	static bool begun;

	(void)fd;
	if (!begun) {
		/* Check's handler, which is inherited, would kill the whole test. */
		signal(SIGALRM, SIG_DFL);
		alarm(200);
	}
	begun = true;
	for (volatile int i = 0; i < 100000; i++)
		;
}

/* What keeps clients from running. */
static struct cgroup group;

static void put_into_group(const struct crowd *clients)
{
	group = cgroup_new("held");
	for (unsigned int i = 0; i < crowd_members(clients); i++)
		cgroup_enter(&group, crowd_pid(clients, i));
}

static void be_idle(const struct crowd *clients)
{
	const struct sched_param none = { 0 };

	for (unsigned int i = 0; i < crowd_members(clients); i++)
		ck_assert_works(sched_setscheduler(crowd_pid(clients, i), SCHED_IDLE, &none));
}

static void have_little_weight(const struct crowd *clients)
{
	put_into_group(clients);
	cgroup_set(&group, "cpu.weight", "1");
}

static void have_little_time(const struct crowd *clients)
{
	put_into_group(clients);
	cgroup_set(&group, "cpu.max", "1000 1000000");
}

/*
 * A process of a group without time ends only when the group has paid for all that it has
 * run.  That takes 17 s on an emulated machine, and minutes if the machine pauses while a
 * client runs.  So the test gives it all time before it ends it.
 */
static void have_all_time(void)
{
	if (*group.path)
		cgroup_set(&group, "cpu.max", "max");
}

static void have_little_memory(const struct crowd *clients)
{
	put_into_group(clients);
	cgroup_set(&group, "memory.high", "1M");
}

static const struct hold {
	const char *text;
	crowd_fn *work;
	void (*starve)(const struct crowd *clients);
	unsigned int busy;
	bool imported;		/* the clients' slices have importers, with nothing mapped */
} holds[] = {
	{ "idle, in faults", touch_and_drop, be_idle, BUSY, false },
	{ "idle, in poll()", just_poll, be_idle, BUSY, false },
	{ "of little weight, in faults", touch_and_drop, have_little_weight, BUSY, false },
	{ "of little time, in faults", touch_and_drop, have_little_time, 0, false },
	{ "of little memory, in faults", have_many_faults_in_a_call, have_little_memory, 0, false },
	{ "idle, in poll() of what is imported", just_poll, be_idle, BUSY, true },
};
#define WITHOUT_GROUPS 2
#define WITH_IMPORTERS ((int)(sizeof(holds) / sizeof(*holds)))
#define ALL (WITH_IMPORTERS - 1)

/* Seconds for which a process has run or, if the kernel tells that, waited for a processor. */
static double active(pid_t pid)
{
	unsigned long long delay = 0;
	char path[40], text[100];
	struct timespec run;
	clockid_t clock;

	ck_assert_int_eq(clock_getcpuclockid(pid, &clock), 0);
	ck_assert_works(clock_gettime(clock, &run));
	snprintf(path, sizeof(path), "/proc/%d/schedstat", pid);
	if (file_read(path, text, sizeof(text)) > 0)
		sscanf(text, "%*u %llu", &delay);
	return run.tv_sec + run.tv_nsec / 1e9 + delay / 1e9;
}

/* QEMU stops all processors of an arm64 machine for each flush of a TLB. */
#ifdef __aarch64__
#define FLUSHES_ARE_SLOW	true
#else
#define FLUSHES_ARE_SLOW	false
#endif

/*
 * A clock in seconds.  If flushes are slow, it runs only while the owner sleeps, and so does
 * another process, unless that is 0.  What a client holds that does not run makes them sleep,
 * and how long they run, or wait for a processor, tells nothing of clients then.
 */
static double clock_of(pid_t other)
{
	if (!FLUSHES_ARE_SLOW)
		return now();
	return now() - active(getpid()) - (other ? active(other) : 0);
}

/*
 * The test measures the time for which clients delay the owner and others, not their share
 * of the processors among many busy processes.  A process inherits this.
 *
 * With PREEMPT_RT a client can be preempted with a page table's lock held.  It then
 * inherits the priority of a process that waits for the lock, if that is a real-time one.
 */
static void prefer(pid_t pid, bool preferred)
{
	const struct sched_param priority = { .sched_priority = preferred };

	if (kernel_is_realtime())
		ck_assert_works(sched_setscheduler(pid, preferred ? SCHED_FIFO : SCHED_OTHER, &priority));
	else
		ck_assert_works(setpriority(PRIO_PROCESS, pid, preferred ? -20 : 0));
}

static double time_revoke(int fd)
{
	char *map = slice_map(fd, 0, PAGE);
	double begin;

	read32(map);
	begin = clock_of(0);
	ck_assert_works(slice_revoke(&dev, fd));
	begin = clock_of(0) - begin;
	munmap(map, PAGE);
	close(fd);
	return begin;
}

static double time_suspension(void)
{
	double begin = clock_of(0);

	device_set_memory(&dev, false);
	device_set_memory(&dev, true);
	return clock_of(0) - begin;
}

/* Another client of the same slice, which can run. */
static double time_touch(struct client *c, long map)
{
	double begin = clock_of(c->pid);

	client_read32(c, map);
	return clock_of(c->pid) - begin;
}

/* A client with a mapping.  It is stopped. */
static struct crowd *client_that_dies(int fd)
{
	struct crowd *c = crowd_start(1, touch_and_drop, &fd);

	crowd_wait(c);
	crowd_stop(c);
	if (FLUSHES_ARE_SLOW)
		prefer(crowd_pid(c, 0), true);
	return c;
}

static double time_death(struct crowd *c)
{
	pid_t pid = crowd_pid(c, 0);
	double begin = clock_of(pid);

	ck_assert_works(kill(pid, SIGKILL));
	ck_assert_works(waitid(P_PID, pid, NULL, WEXITED | WNOWAIT));
	begin = clock_of(pid) - begin;
	crowd_end(c);
	return begin;
}

static void add(double *sum, double *worst, double time)
{
	*sum += time;
	*worst = time > *worst ? time : *worst;
}

/*
 * In each trial clients run alone until busy processes take the processors from them,
 * at any place in the kernel.
 */
static void hold(const struct hold *how)
{
	struct crowd *clients, *busy, *dying[TRIALS];
	double total = 0, others = 0, revoke = 0, suspend = 0, touch = 0, death = 0;
	struct client *other = client_start(CLIENT_NOBODY);
	int trial, i;

	/* These begin, and stop, while nobody else is at work. */
	for (i = 0; i < TRIALS; i++)
		dying[i] = client_that_dies(slices[1]);
	busy = crowd_start(how->busy, spin, NULL);
	crowd_stop(busy);
	clients = crowd_start(CLIENTS, how->work, slices);
	for (i = 0; how->imported && i < CLIENTS; i++)
		importer_attach(slices[i], &dev);
	crowd_wait(clients);
	how->starve(clients);
	if (FLUSHES_ARE_SLOW)
		prefer(other->pid, true);
	for (trial = 0; trial < TRIALS && total + others < bound(); trial++) {
		long map = client_mmap(other, slices[0], 0, PAGE, RW);

		if (how->busy)
			crowd_wait(clients);
		crowd_continue(busy);
		prefer(0, true);
		/* Slices 0 and 1 have other uses. */
		add(&total, &revoke, time_revoke(how->imported ? slices[CLIENTS - 1 - trial] :
						 slice_new(&dev, MEM, 2 * PMD, PAGE)));
		add(&total, &suspend, time_suspension());
		prefer(0, FLUSHES_ARE_SLOW);
		add(&others, &touch, time_touch(other, map));
		add(&others, &death, time_death(dying[trial]));
		prefer(0, false);
		crowd_stop(busy);
		client_munmap(other, map, PAGE);
	}
	printf("# %s: %d trials took the owner %.3f s, at most %.3f s to revoke, %.3f s to suspend, %.3f s for another client, %.3f s for one to die\n",
	       how->text, trial, total, revoke, suspend, touch, death);
	crowd_end(busy);
	have_all_time();
	crowd_end(clients);
	for (; trial < TRIALS; trial++)
		crowd_end(dying[trial]);
	client_end(other);
	if (*group.path)
		cgroup_end(&group);
	ck_assert_msg(total < bound(), "%d trials took the owner %.2f s", trial, total);
	/* These have only a share of the processors, because of the busy loops. */
	ck_assert_msg(touch < bound() && death < bound(), "%.2f s for another client, %.2f s for one to die",
		      touch, death);
}

START_TEST(starved_clients_hold_nobody_up)
{
	hold(&holds[_i]);
}
END_TEST

/* Another function of the same slot is reset with it. */
#define HOT_SIZE	(1UL << 20)

static struct device hot0, hot1;

static void setup_hot(void)
{
	device_open(&hot0, "HOT0");
	device_open_sibling(&hot1, &hot0, "HOT1");
}

static void touch_and_drop_hot(int fd)
{
	static char *map;
	uint32_t value;

	if (!map)
		map = map_whole(fd, HOT_SIZE);
	if (try_read32(map, &value) == SIGSEGV || madvise(map, HOT_SIZE, MADV_DONTNEED))
		_exit(1);
}

START_TEST(faults_do_not_make_a_hot_reset_fail)
{
	static const unsigned int members[] = { 1, 4, 16 };
	struct {
		uint32_t argsz, flags, count;
		int32_t group;
	} request = { sizeof(request), 0, 1, hot0.group };
	int fds[16], i, failed = 0;
	struct crowd *clients;

	for (i = 0; i < 16; i++)
		fds[i] = slice_new(i % 2 ? &hot1 : &hot0, MEM, 0, HOT_SIZE);
	clients = crowd_start(members[_i], touch_and_drop_hot, fds);
	crowd_wait(clients);
	for (i = 0; i < 40; i++) {
		if (ioctl(hot0.fd, VFIO_DEVICE_PCI_HOT_RESET, &request)) {
			ck_assert_int_eq(errno, EBUSY);
			failed++;
		}
	}
	printf("# %u clients: %d of 40 hot resets failed\n", members[_i], failed);
	crowd_wait(clients);
	crowd_end(clients);
	ck_assert_int_eq(failed, 0);
}
END_TEST

/*
 * A client that is preempted or throttled can be inside an RCU read-side section of the
 * kernel for as long as it does not run.
 */
#define SUPPRESS "/sys/module/rcupdate/parameters/rcu_cpu_stall_suppress"

static void setup_group(void)
{
	preempt_anywhere();
	file_write(SUPPRESS, "1");
}

static void teardown_group(void)
{
	file_write(SUPPRESS, "0");
}

Suite *suite(void)
{
	const char *missing = cgroups_missing();
	Suite *s = suite_create("held");
	TCase *tc = add_group(s, "starved");

	tcase_add_unchecked_fixture(tc, setup_group, teardown_group);
	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_loop_test(tc, starved_clients_hold_nobody_up, 0, missing ? WITHOUT_GROUPS : ALL);
	if (missing)
		add_test_or_skip(tc, starved_clients_hold_nobody_up, missing);

	tc = add_group(s, "imported");
	if (importers_missing()) {
		add_test_or_skip(tc, starved_clients_hold_nobody_up, importers_missing());
	} else {
		tcase_add_unchecked_fixture(tc, setup_group, teardown_group);
		tcase_add_unchecked_fixture(tc, importer_bind, importer_unbind);
		tcase_add_checked_fixture(tc, setup, NULL);
		tcase_add_loop_test(tc, starved_clients_hold_nobody_up, ALL, WITH_IMPORTERS);
	}

	tc = add_group(s, "hot_reset");
	tcase_add_unchecked_fixture(tc, NULL, preempt_restore);
	tcase_add_checked_fixture(tc, setup_hot, NULL);
	tcase_add_loop_test(tc, faults_do_not_make_a_hot_reset_fail, 0, 3);
	return s;
}
