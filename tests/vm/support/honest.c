// SPDX-License-Identifier: MIT
/* A client of the broker that uses a slice over and over. */
#define _GNU_SOURCE
#include "honest.h"

#include <grp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vfio-dmabuf.h>

#include "broker.h"
#include "manager.h"
#include "page.h"
#include "prompt.h"
#include "suite.h"

#define RW		(PROT_READ | PROT_WRITE)
#define LATEST		256

struct honest {
	pid_t pid;
	_Atomic unsigned int rounds;
	_Atomic bool ending;
	double took[LATEST];	/* seconds, of the latest rounds */
	char why[256];		/* it has failed; "" if it has not */
};

__attribute__((noreturn, format(printf, 2, 3)))
static void give_up(struct honest *honest, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(honest->why, sizeof(honest->why), format, args);
	va_end(args);
	_exit(1);
}

static void use(struct honest *honest, struct vdb_client *client, const char *slice)
{
	uint32_t number = honest->rounds, value;
	struct vdb_lease lease;
	char *map;

	if (vdb_client_acquire(client, slice, 0, 0, 0, 0, &lease))
		give_up(honest, "acquire: %s: %s", strerrorname_np(errno), vdb_client_error(client));
	map = vdb_slice_map(lease.slice, 0, 0, RW);
	if (!map)
		give_up(honest, "map: %s", strerrorname_np(errno));
	/* The register reads as the complement of what is written. */
	if (vdb_try_write32(map + 4, number) || vdb_try_read32(map + 4, &value))
		give_up(honest, "access: %s", strerrorname_np(errno));
	if (value != ~number)
		give_up(honest, "%#x was written, %#x read", number, value);
	if (vdb_client_release(client, lease.id))
		give_up(honest, "release: %s: %s", strerrorname_np(errno), vdb_client_error(client));
	vdb_slice_unmap(lease.slice, map, 0, 0);
	vdb_slice_free(lease.slice);
}

static void live(struct honest *honest, uid_t uid, const char *slice)
{
	struct vdb_client *client;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* The manager's among them. */
	close_range(3, ~0u, 0);
	vdb_guard_enable();
	if (setgroups(0, NULL) || setgid(uid) || setuid(uid))
		give_up(honest, "user %u: %s", uid, strerrorname_np(errno));
	client = vdb_client_connect(MANAGER_SOCKET, BROKER_MS, NULL);
	if (!client)
		give_up(honest, "connect: %s", strerrorname_np(errno));
	while (!honest->ending) {
		double begin = now();

		use(honest, client, slice);
		honest->took[honest->rounds % LATEST] = now() - begin;
		honest->rounds++;
	}
	vdb_client_close(client);
	_exit(0);
}

struct honest *honest_start(uid_t uid, const char *slice)
{
	struct honest *honest = mmap(NULL, sizeof(*honest), RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t pid;

	ck_assert_ptr_ne(honest, MAP_FAILED);
	pid = fork();
	ck_assert_works(pid);
	if (!pid)
		live(honest, uid, slice);
	honest->pid = pid;
	honest_wait(honest, 2);
	return honest;
}

static void check(struct honest *honest)
{
	siginfo_t info = { 0 };

	ck_assert_works(waitid(P_PID, honest->pid, &info, WEXITED | WNOHANG | WNOWAIT));
	ck_assert_msg(!info.si_pid, "the honest client has ended in round %u: %s",
		      honest->rounds, honest->why);
}

void honest_wait(struct honest *honest, unsigned int rounds)
{
	unsigned int until = honest->rounds + rounds;

	while ((int)(honest->rounds - until) < 0) {
		check(honest);
		usleep(1000);
	}
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double honest_measure(struct honest *honest, unsigned int rounds)
{
	double took[LATEST];
	unsigned int last;

	ck_assert_uint_lt(rounds, LATEST);
	/* The present round does not count. */
	honest_wait(honest, rounds + 1);
	last = honest->rounds;
	for (unsigned int i = 0; i < rounds; i++)
		took[i] = honest->took[(last - 1 - i) % LATEST];
	qsort(took, rounds, sizeof(*took), compare);
	return took[rounds / 4];
}

void honest_stop(struct honest *honest)
{
	ck_assert_works(kill(honest->pid, SIGSTOP));
	ck_assert_works(waitid(P_PID, honest->pid, &(siginfo_t){ 0 }, WSTOPPED | WNOWAIT));
}

void honest_continue(struct honest *honest)
{
	ck_assert_works(kill(honest->pid, SIGCONT));
}

void honest_end(struct honest *honest)
{
	int status;

	honest->ending = true;
	ck_assert_int_eq(waitpid(honest->pid, &status, 0), honest->pid);
	ck_assert_msg(!status, "the honest client has ended with %#x in round %u: %s", status,
		      honest->rounds, honest->why);
	munmap(honest, sizeof(*honest));
}
