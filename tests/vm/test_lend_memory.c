// SPDX-License-Identifier: MIT
/*
 * The broker lends memory with a slice: the device reaches it while the lease goes on,
 * also over a restart of the broker, and not afterwards.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker.h"
#include "dmar.h"
#include "edu.h"
#include "edu_dma.h"
#include "manager.h"
#include "page.h"
#include "suite.h"
#include "sysfs.h"

#define KIB	1024UL
#define MIB	(1UL << 20)
#define RW	(PROT_READ | PROT_WRITE)

static const char config[] =
	"limits: {memory: 4M, memory_per_user: 3M, memory_per_connection: 2M}\n"
	"kept: {1001: {connections: 1, leases: 1, memory: 1M}}\n"
	"devices:\n"
	"  edu:\n"
	"    function: @EDU@\n"
	"    reset: never\n"
	"    slices:\n"
	"      queue: {length: @PAGE@, memory: 64K, allow: everybody}\n"
	"      plain: {length: @PAGE@, offset: @4PAGE@, allow: everybody}\n"
	"      many: {length: @PAGE@, offset: @16PAGE@, count: 8, memory: 1M, allow: everybody}\n";

static pid_t broker;

static void setup(void)
{
	unlink(BROKER_LOG);
	manager_init();
	broker_configure(config);
	broker = broker_start();
}

static void teardown(void)
{
	broker_stop(broker, SIGTERM);
}

static void restart(int number)
{
	broker_stop(broker, number);
	broker = broker_start();
}

/* A lease of edu/queue, mapped. */
struct queue {
	struct vdb_lease lease;
	char *edu, *memory;
	uint64_t iova;
};

static struct queue acquire(struct vdb_client *client)
{
	struct queue queue = { .lease = broker_acquire(client, "edu/queue", 0) };
	size_t zeros = 0;

	ck_assert_ptr_nonnull(queue.lease.memory);
	ck_assert_int_eq(vdb_slice_kind(queue.lease.memory), VDB_KIND_MEMORY);
	ck_assert_uint_eq(vdb_slice_length(queue.lease.memory), 64 * KIB);
	queue.iova = vdb_slice_iova(queue.lease.memory);
	ck_assert_uint_ne(queue.iova, 0);
	queue.edu = vdb_slice_map(queue.lease.slice, 0, 0, RW);
	queue.memory = vdb_slice_map(queue.lease.memory, 0, 0, RW);
	ck_assert_ptr_nonnull(queue.edu);
	ck_assert_ptr_nonnull(queue.memory);
	/* Not an assertion for each byte: each writes a file. */
	while (zeros < 64 * KIB && !queue.memory[zeros])
		zeros++;
	ck_assert_uint_eq(zeros, 64 * KIB);
	return queue;
}

/* The device copies a page of it to another one. */
static void check_dma(const struct queue *queue, char with)
{
	memset(queue->memory, with, PAGE);
	memset(queue->memory + PAGE, 0, PAGE);
	edu_from_memory(queue->edu, queue->iova, PAGE);
	edu_to_memory(queue->edu, queue->iova + PAGE, PAGE);
	ck_assert_mem_eq(queue->memory + PAGE, queue->memory, PAGE);
}

static void access_memory(uint64_t iova, void *data)
{
	edu_to_memory(((const struct queue *)data)->edu, iova, PAGE);
}

/* The device of @with writes to @iova: the IOMMU stops it. */
static void check_is_stopped(struct queue *with, uint64_t iova)
{
	dmar_check_fault(lab_bdf("EDU"), iova, access_memory, with);
}

static bool find_lease(const struct vdb_lease_info *info, void *data)
{
	const struct queue *queue = data;

	if (info->id != queue->lease.id)
		return true;
	ck_assert_uint_eq(info->memory, 64 * KIB);
	ck_assert_uint_eq(info->iova, queue->iova);
	return false;
}

START_TEST(device_reaches_it_during_the_lease)
{
	struct vdb_client *client = broker_connect();
	struct queue first = acquire(client), second;

	check_dma(&first, 'a');
	ck_assert_int_eq(vdb_client_leases(client, find_lease, &first), 1);
	ck_assert_works(vdb_client_release(client, first.lease.id));
	manager_wait_count("memory-", 0);
	/* It is ordinary memory now, empty, and not the next client's. */
	for (size_t i = 0; i < 64 * KIB; i++)
		ck_assert_int_eq(first.memory[i], 0);
	memset(first.memory, 'f', 2 * PAGE);
	second = acquire(client);
	ck_assert_uint_ne(second.iova, first.iova);
	check_dma(&second, 'b');
	check_is_stopped(&second, first.iova);
	for (size_t i = 0; i < 2 * PAGE; i++)
		ck_assert_int_eq(first.memory[i], 'f');
	manager_wait_count("memory-", 1);
	/* A slice without memory has none. */
	ck_assert_ptr_null(broker_acquire(client, "edu/plain", 0).memory);
}
END_TEST

START_TEST(it_outlives_the_broker)
{
	const int numbers[] = { SIGTERM, SIGKILL };
	struct vdb_client *client = broker_connect();
	struct queue first = acquire(client), second;

	for (int i = 0; i < 2; i++) {
		restart(numbers[_i]);
		check_dma(&first, 'a' + i);
	}
	ck_assert_int_eq(vdb_client_leases(client, find_lease, &first), 1);
	manager_wait_count("memory-", 1);
	manager_wait_count("dma-", 1);
	/* The addresses of the lease are not given to another one. */
	ck_assert_works(vdb_client_release(client, broker_acquire(client, "edu/many", 7).id));
	check_dma(&first, 'c');
	/* This broker takes away what the first one has mapped. */
	ck_assert_works(vdb_client_release(client, first.lease.id));
	second = acquire(client);
	check_is_stopped(&second, first.iova);
	manager_wait_count("memory-", 1);
}
END_TEST

/* The broker died between mapping memory and noting that. */
START_TEST(what_the_state_does_not_have_is_unmapped)
{
	struct vdb_client *client = broker_connect();
	struct queue queue = acquire(client);
	char name[MANAGER_NAME], error[VDB_ERROR_SIZE];
	struct vdb_slice *slice;
	struct vdb_dma *dma;
	uint64_t iova;
	char *map;

	broker_stop(broker, SIGKILL);
	manager_name("dma-", name);
	dma = vdb_dma_from_fd(manager_fd(name), strtoul(strrchr(name, '-') + 1, NULL, 10), error);
	ck_assert_msg(dma, "%s", error);
	ck_assert_works(vdb_dma_reserve(dma, queue.iova, 64 * KIB));
	slice = vdb_memory_alloc(dma, PAGE, 0);
	ck_assert_msg(slice, "%s", vdb_dma_error(dma));
	iova = vdb_slice_iova(slice);
	map = vdb_slice_map(slice, 0, 0, RW);
	memset(map, 'u', PAGE);
	broker = broker_start();
	broker_wait_open(client);
	check_is_stopped(&queue, iova);
	ck_assert_int_eq(map[0], 'u');
	check_dma(&queue, 'g');
}
END_TEST

/* The manager has lost the IO address space: nobody could unmap the memory. */
START_TEST(device_is_closed_without_its_address_space)
{
	struct vdb_client *client = broker_connect();
	struct queue queue = acquire(client);

	broker_stop(broker, SIGKILL);
	manager_forget("dma-");
	broker = broker_start();
	broker_expect(client, queue.lease.id, VDB_STATE_REVOKED, VDB_END_DEVICE);
	/* It is opened again, after a pause. */
	broker_wait_open(client);
	queue = acquire(client);
	check_dma(&queue, 'n');
	manager_wait_count("memory-", 1);
	manager_wait_count("dma-", 1);
}
END_TEST

/* The store has another file than the lease's memory: of another size, or not sealed. */
START_TEST(memory_in_the_store_is_another)
{
	struct vdb_client *client = broker_connect();
	struct queue queue = acquire(client);
	int other = memfd_create("other", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	char name[MANAGER_NAME], byte = 'o';

	ck_assert_works(ftruncate(other, _i ? PAGE : 64 * KIB));
	if (_i)
		ck_assert_works(fcntl(other, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL));
	ck_assert_int_eq(pwrite(other, &byte, 1, 0), 1);
	broker_stop(broker, SIGKILL);
	manager_name("memory-", name);
	ck_assert_works(dup2(other, manager_fd(name)));
	broker = broker_start();
	check_dma(&queue, 'h');
	ck_assert_works(vdb_client_release(client, queue.lease.id));
	manager_wait_count("memory-", 0);
	/* It was not taken for the lease's memory, which is freed at its end. */
	ck_assert_int_eq(pread(other, &byte, 1, 0), 1);
	ck_assert_int_eq(byte, 'o');
	queue = acquire(client);
	check_dma(&queue, 'i');
}
END_TEST

START_TEST(client_that_is_killed)
{
	struct vdb_client *client = broker_connect();
	struct queue queue;
	int report[2], status;
	uint64_t iova;
	pid_t pid;

	ck_assert_works(pipe(report));
	pid = fork();
	if (!pid) {
		queue = acquire(broker_connect());
		if (write(report[1], &queue.iova, sizeof(iova)) != sizeof(iova))
			_exit(1);
		/* The device works for it when it dies. */
		for (;;)
			edu_to_memory(queue.edu, queue.iova, PAGE);
	}
	ck_assert_int_eq(read(report[0], &iova, sizeof(iova)), sizeof(iova));
	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	queue = acquire(client);
	manager_wait_count("memory-", 1);
	ck_assert_uint_ne(queue.iova, iova);
	/* It can still be at work for the other one. */
	edu_wait(queue.edu);
	check_dma(&queue, 'k');
	check_is_stopped(&queue, iova);
}
END_TEST

static void acquire_my_own(void)
{
	if (!broker_acquire(broker_connect(), "edu/many", VDB_ANY_INDEX).memory)
		_exit(1);
}

START_TEST(limits)
{
	struct vdb_client *client = broker_connect(), *other = broker_connect(), *third = broker_connect();
	struct vdb_status status;
	struct vdb_lease lease;

	broker_acquire(client, "edu/many", 0);
	lease = broker_acquire(client, "edu/many", 1);
	/* Two of 1 MiB are all that a connection can have, and three all of a user. */
	ck_assert_int_eq(broker_acquire_error(client, "edu/many", 2, 0, 0), EDQUOT);
	ck_assert_ptr_nonnull(strstr(vdb_client_error(client), "no memory is left for \"edu/many\""));
	ck_assert_ptr_nonnull(broker_acquire(other, "edu/many", 3).memory);
	ck_assert_int_eq(broker_acquire_error(other, "edu/many", 4, 0, 0), EDQUOT);
	/* Without memory there is no such limit. */
	broker_acquire(other, "edu/plain", 0);
	/* One is kept for another user. */
	ck_assert_int_eq(broker_acquire_error(third, "edu/many", 4, 0, 0), EDQUOT);
	broker_as_user(1001, 1001, acquire_my_own);
	ck_assert_works(vdb_client_status(client, &status));
	ck_assert_uint_eq(status.memory.limit, 4 * MIB);
	ck_assert_uint_eq(status.memory.per_user, 3 * MIB);
	ck_assert_uint_eq(status.memory.per_client, 2 * MIB);
	ck_assert_uint_eq(status.memory.pool, 3 * MIB);
	ck_assert_uint_eq(status.memory.pool_used, 3 * MIB);
	ck_assert_works(vdb_client_release(client, lease.id));
	ck_assert_ptr_nonnull(broker_acquire(third, "edu/many", 4).memory);
}
END_TEST

/* As for the service's user, who has no capability. */
START_TEST(limit_of_locked_memory)
{
	const struct rlimit limit = { 128 * KIB, 128 * KIB };
	struct vdb_client *client;

	broker_stop(broker, SIGTERM);
	ck_assert_works(setrlimit(RLIMIT_MEMLOCK, &limit));
	ck_assert_works(prctl(PR_CAPBSET_DROP, CAP_IPC_LOCK));
	broker = broker_start();
	client = broker_connect();
	acquire(client);
	ck_assert_int_eq(broker_acquire_error(client, "edu/many", 0, 0, 0), EIO);
	broker_wait_log("RLIMIT_MEMLOCK is 131072 bytes");
	/* Nothing is left of it. */
	manager_wait_count("memory-", 1);
	ck_assert_int_eq(broker_acquire_error(client, "edu/many", 0, 0, 0), EIO);
	broker_acquire(client, "edu/plain", 0);
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("lend_memory");
	TCase *tc = add_group(s, "memory");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 90);
	tcase_add_test(tc, device_reaches_it_during_the_lease);
	tcase_add_loop_test(tc, it_outlives_the_broker, 0, 2);
	tcase_add_test(tc, what_the_state_does_not_have_is_unmapped);
	tcase_add_test(tc, device_is_closed_without_its_address_space);
	tcase_add_loop_test(tc, memory_in_the_store_is_another, 0, 2);
	tcase_add_test(tc, client_that_is_killed);
	tcase_add_test(tc, limits);
	tcase_add_test(tc, limit_of_locked_memory);
	return s;
}
