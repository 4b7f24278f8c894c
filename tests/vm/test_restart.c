// SPDX-License-Identifier: MIT
/*
 * The broker ends, by a signal or by kill -9 at any step, and is restarted. Leases
 * continue or their clients are notified, and two clients never have the same slice.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker.h"
#include "crash.h"
#include "device.h"
#include "edu.h"
#include "edu_dma.h"
#include "kernel.h"
#include "manager.h"
#include "page.h"
#include "suite.h"
#include "sysfs.h"
#include "trace.h"

#define MEMORY	0x10000UL	/* of edu/array */
#define RW	(PROT_READ | PROT_WRITE)

static const char config[] =
	"devices:\n"
	"  edu:\n"
	"    function: @EDU@\n"
	"    reset: never\n"
	"    slices:\n"
	"      page: {length: @PAGE@, allow: everybody}\n"
	"      array: {length: @PAGE@, offset: @8PAGE@, count: 8, memory: 64K, allow: everybody}\n"
	"      short: {length: @PAGE@, offset: @32PAGE@, max_time: 2s, allow: everybody}\n";

static pid_t broker;

static void setup(void)
{
	unlink(BROKER_LOG);
	manager_init();
	broker_configure(config);
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

START_TEST(lease_goes_on)
{
	const int numbers[] = { SIGTERM, SIGKILL };
	struct vdb_client *client, *other;
	struct vdb_lease lease;
	char *map;

	broker = broker_start();
	client = broker_connect();
	lease = broker_acquire(client, "edu/page", 0);
	map = vdb_slice_map(lease.slice, 0, 0, RW);
	ck_assert_works(vdb_guard_enable());
	ck_assert_uint_eq(vdb_read32(map), EDU_ID_VALUE);

	trace_start();
	for (int i = 0; i < 3; i++) {
		restart(numbers[_i]);
		ck_assert_uint_eq(vdb_read32(map), EDU_ID_VALUE);
		other = broker_connect();
		ck_assert_int_eq(broker_acquire_error(other, "edu/page", 0, 0, 0), EBUSY);
		vdb_client_close(other);
	}
	ck_assert_uint_eq(trace_faults(lab_bdf("EDU"), 0), 0);
	ck_assert_int_eq(vdb_slice_state(lease.slice, NULL), VDB_STATE_LIVE);

	/* The connection is the same, and can do everything. */
	ck_assert_works(vdb_client_release(client, lease.id));
	ck_assert_fails(vdb_try_read32(map, &(uint32_t){ 0 }), EFAULT);
	broker_acquire(client, "edu/page", 0);
	/* The number of stored fds does not depend on the number of restarts or leases. */
	manager_wait_count("client-", 1);
	manager_wait_count("device-", 1);
	manager_wait_count("state", 1);
	/* The IO address space of the device. */
	manager_wait_count("dma-", 1);
	manager_wait_count("", 4);
}
END_TEST

START_TEST(time_goes_on_while_there_is_no_broker)
{
	struct vdb_client *client;
	struct vdb_lease lease;

	broker = broker_start();
	client = broker_connect();
	lease = broker_acquire(client, "edu/short", 0);
	restart(SIGKILL);
	broker_expect(client, lease.id, VDB_STATE_REVOKED, VDB_END_EXPIRED);
	broker_acquire(client, "edu/short", 0);
}
END_TEST

static pid_t hold(const char *name, uint32_t index)
{
	int report[2];
	char byte;
	pid_t pid;

	ck_assert_works(pipe(report));
	pid = fork();
	if (!pid) {
		broker_acquire(broker_connect(), name, index);
		if (write(report[1], "", 1) != 1)
			_exit(1);
		pause();
	}
	ck_assert_int_eq(read(report[0], &byte, 1), 1);
	close(report[0]);
	close(report[1]);
	return pid;
}

static void kill_child(pid_t pid)
{
	int status;

	kill(pid, SIGKILL);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
}

START_TEST(client_that_died_meanwhile)
{
	struct vdb_client *client;
	pid_t pid;

	broker = broker_start();
	pid = hold("edu/page", 0);
	broker_stop(broker, SIGKILL);
	kill_child(pid);
	broker = broker_start();
	manager_wait_count("client-", 0);
	client = broker_connect();
	broker_acquire(client, "edu/page", 0);
	manager_wait_count("client-", 1);
}
END_TEST

START_TEST(configuration_changed_meanwhile)
{
	struct vdb_client *client;
	struct vdb_lease gone, stays;

	broker = broker_start();
	client = broker_connect();
	gone = broker_acquire(client, "edu/page", 0);
	stays = broker_acquire(client, "edu/array", 0);
	broker_stop(broker, SIGTERM);
	broker_configure("devices: {edu: {function: @EDU@, reset: never, slices: {\n"
			 "  array: {length: @PAGE@, offset: @8PAGE@, count: 2, memory: 64K, allow: everybody}}}}\n");
	broker = broker_start();
	broker_expect(client, gone.id, VDB_STATE_REVOKED, VDB_END_REVOKED);
	ck_assert_works(vdb_client_release(client, stays.id));
}
END_TEST

/* A client that has sent its hello, and has no lease yet. */
START_TEST(connection_goes_on)
{
	const int numbers[] = { SIGTERM, SIGKILL };
	const struct vdp_plain list = { .header = { .type = VDP_LIST_SLICES, .serial = 2 } };
	union {
		struct vdp_header header;
		char bytes[VDP_MAX_MESSAGE];
	} answer;
	ssize_t size;
	int fd;

	broker = broker_start();
	fd = raw_connect_greeted();
	restart(numbers[_i]);
	size = raw_ask(fd, &list, sizeof(list), &answer);
	/* The hello is answered twice if the first broker was killed before it had forgotten it. */
	if (size > 0 && answer.header.serial == 1)
		size = recv(fd, &answer, sizeof(answer), 0);
	ck_assert_int_eq(size, sizeof(struct vdp_slice_item));
	ck_assert_uint_eq(answer.header.serial, 2);
	close(fd);
}
END_TEST

static uint64_t ask_for(struct vdb_client *client, const char *name)
{
	uint64_t request;

	ck_assert_works(vdb_client_acquire_start(client, name, 0, 0, 0, BROKER_MS, &request));
	return request;
}

static struct vdb_lease wait_for(struct vdb_client *client, uint64_t request)
{
	struct pollfd p = { .fd = vdb_client_fd(client), .events = POLLIN };
	struct vdb_event event;
	int ret;

	while (!(ret = vdb_client_next(client, &event)))
		ck_assert_int_eq(poll(&p, 1, -1), 1);
	ck_assert_int_eq(ret, 1);
	ck_assert_int_eq(event.type, VDB_EVENT_GRANTED);
	ck_assert_uint_eq(event.request, request);
	return (struct vdb_lease){
		.id = event.lease, .index = event.index, .seconds = event.seconds, .slice = event.slice,
	};
}

/* The next broker answers what clients send while there is no broker. */
START_TEST(requests_meanwhile_are_answered)
{
	const struct vdp_hello hello = {
		.header = { .type = VDP_HELLO, .serial = 1 },
		.min_version = VDP_VERSION, .max_version = VDP_VERSION,
	};
	char answer[VDP_MAX_MESSAGE];
	struct vdb_client *client;
	struct vdb_lease lease;
	uint64_t request;
	int fd;

	broker = broker_start();
	client = broker_connect();
	broker_stop(broker, SIGKILL);
	fd = raw_connect();
	ck_assert_int_eq(send(fd, &hello, sizeof(hello), 0), sizeof(hello));
	request = ask_for(client, "edu/page");
	broker = broker_start();
	lease = wait_for(client, request);
	ck_assert_int_eq(vdb_slice_state(lease.slice, NULL), VDB_STATE_LIVE);
	ck_assert_int_eq(recv(fd, answer, sizeof(answer), 0), sizeof(struct vdp_hello_answer));
	close(fd);
}
END_TEST

START_TEST(places_in_the_queue_are_kept)
{
	struct vdb_client *clients[3];
	struct vdb_status status;
	struct vdb_event event;
	struct vdb_lease lease;
	uint64_t requests[3];

	broker = broker_start();
	for (int i = 0; i < 3; i++)
		clients[i] = broker_connect();
	lease = broker_acquire(clients[0], "edu/page", 0);
	for (int i = 1; i < 3; i++) {
		requests[i] = ask_for(clients[i], "edu/page");
		/* Requests are taken in order, so that it has its place when this is answered. */
		ck_assert_works(vdb_client_status(clients[i], &status));
	}
	restart(SIGKILL);
	ck_assert_works(vdb_client_release(clients[0], lease.id));
	lease = wait_for(clients[1], requests[1]);
	ck_assert_works(vdb_client_status(clients[2], &status));
	ck_assert_int_eq(vdb_client_next(clients[2], &event), 0);
	restart(SIGTERM);
	ck_assert_works(vdb_client_release(clients[1], lease.id));
	wait_for(clients[2], requests[2]);
}
END_TEST

/* The broker ends leases of dead clients before it adopts the others. */
START_TEST(reset_spares_those_who_live_on)
{
	struct vdb_client *client;
	struct vdb_lease lease;
	uint64_t before, after;
	char *map;
	pid_t pid;

	broker_configure("devices: {nvme: {function: @NVME@, reset: idle, slices: {\n"
			 "  registers: {length: @PAGE@, sharing: shared, allow: everybody}}}}\n");
	broker = broker_start();
	client = broker_connect();
	lease = broker_acquire(client, "nvme/registers", 0);
	map = vdb_slice_map(lease.slice, 0, 0, RW);
	ck_assert_ptr_nonnull(map);
	pid = hold("nvme/registers", 0);
	vdb_write32(map + 0x14, 0x00460000);
	ck_assert_int_eq(vdb_slice_state(lease.slice, &before), VDB_STATE_LIVE);

	broker_stop(broker, SIGKILL);
	kill_child(pid);
	broker = broker_start();
	manager_wait_count("client-", 1);
	broker_wait_log("nvme/registers[0] has ended: its client has disconnected");
	ck_assert_uint_eq(vdb_read32(map + 0x14), 0x00460000);
	ck_assert_int_eq(vdb_slice_state(lease.slice, &after), VDB_STATE_LIVE);
	ck_assert_uint_eq(after, before);
}
END_TEST

/* A client knows that its slice is suspended. There is no broker when the slice is live again. */
START_TEST(resumption_meanwhile_is_reported)
{
	struct vdb_client *client;
	struct vdb_lease lease;
	struct device raw = { .bdf = lab_bdf("EDU") };

	broker = broker_start();
	client = broker_connect();
	lease = broker_acquire(client, "edu/page", 0);
	raw.fd = manager_fd(broker_name_of_device("EDU"));
	ck_assert_works(raw.fd);
	device_set_memory(&raw, false);
	broker_expect(client, lease.id, VDB_STATE_SUSPENDED, VDB_END_NONE);
	broker_stop(broker, SIGKILL);
	device_set_memory(&raw, true);
	broker = broker_start();
	broker_expect(client, lease.id, VDB_STATE_LIVE, VDB_END_NONE);
}
END_TEST

/* A client that has not read its answers is still notified of the end of its lease. */
START_TEST(end_is_reported_by_the_next_one)
{
	const int numbers[] = { SIGTERM, SIGKILL };
	const struct vdp_acquire acquire = {
		.header = { .type = VDP_ACQUIRE, .serial = 2 }, .name = "edu/short", .seconds = 1,
	};
	struct vdp_plain list = { .header = { .type = VDP_LIST_SLICES, .serial = 3 } };
	union {
		struct vdp_header header;
		struct vdp_grant grant;
		struct vdp_end end;
		char bytes[VDP_MAX_MESSAGE];
	} answer;
	uint64_t lease;
	int fd;

	broker = broker_start();
	fd = raw_connect_greeted();
	ck_assert_int_eq(raw_ask(fd, &acquire, sizeof(acquire), &answer), sizeof(answer.grant));
	lease = answer.grant.lease;
	while (send(fd, &list, sizeof(list), MSG_DONTWAIT) == sizeof(list))
		list.header.serial++;
	broker_wait_log("its time is over");
	restart(numbers[_i]);
	do
		ck_assert_int_gt(recv(fd, &answer, sizeof(answer), 0), 0);
	while (answer.header.type != VDP_END);
	ck_assert_uint_eq(answer.end.lease, lease);
	ck_assert_uint_eq(answer.end.end, VDP_END_EXPIRED);
	close(fd);
}
END_TEST

/* ---- the state or the store is damaged ---- */

/* Without a usable state, only the kernel knows which buffers were granted. */
START_TEST(damaged_state_ends_everything)
{
	struct vdb_client *client;
	struct vdb_lease lease;
	char *map;

	broker = broker_start();
	client = broker_connect();
	lease = broker_acquire(client, "edu/page", 0);
	map = vdb_slice_map(lease.slice, 0, 0, RW);
	ck_assert_works(vdb_guard_enable());
	broker_stop(broker, SIGKILL);
	if (_i == 0)
		ck_assert_int_eq(pwrite(manager_fd("state"), "x", 1, 0), 1);
	else if (_i == 1)
		ck_assert_works(ftruncate(manager_fd("state"), 100));
	else
		manager_forget("state");
	broker = broker_start();
	ck_assert(_i == 2 || broker_logged("the former process cannot be used"));
	ck_assert_fails(vdb_client_release(client, lease.id), ENOTCONN);
	broker_acquire(broker_connect(), "edu/page", 0);
	ck_assert_fails(vdb_try_read32(map, &(uint32_t){ 0 }), EFAULT);
	manager_wait_count("state", 1);
}
END_TEST

/* The manager's store may be full. */
START_TEST(client_that_was_not_kept)
{
	struct vdb_client *client, *other;
	struct vdb_lease lease;
	char *map;

	broker = broker_start();
	manager_refuse("client-");
	client = broker_connect();
	lease = broker_acquire(client, "edu/page", 0);
	map = vdb_slice_map(lease.slice, 0, 0, RW);
	ck_assert_works(vdb_guard_enable());
	restart(SIGKILL);
	manager_refuse(NULL);
	other = broker_connect();
	broker_acquire(other, "edu/page", 0);
	ck_assert_fails(vdb_try_read32(map, &(uint32_t){ 0 }), EFAULT);
	ck_assert_fails(vdb_client_release(client, lease.id), ENOTCONN);
}
END_TEST

static struct vdb_device *stored_device(void)
{
	struct vdb_device *device = vdb_device_from_fd(manager_fd(broker_name_of_device("EDU")));

	ck_assert_ptr_nonnull(device);
	return device;
}

/*
 * A buffer that is not in the state is revoked, and the device's leases end: its client
 * can have left any state in the device.
 */
START_TEST(buffer_that_the_state_has_not)
{
	const struct vdb_range range = { 0, PAGE };
	struct vdb_device *device;
	struct vdb_client *client;
	struct vdb_slice *slice;
	struct vdb_lease lease;
	char *map;

	broker = broker_start();
	client = broker_connect();
	broker_wait_log("is open");
	if (_i)
		lease = broker_acquire(client, "edu/array", 0);
	broker_stop(broker, SIGKILL);
	device = stored_device();
	slice = vdb_slice_export(device, 0, &range, 1, 0);
	ck_assert_ptr_nonnull(slice);
	map = vdb_slice_map(slice, 0, 0, RW);
	ck_assert_works(vdb_guard_enable());
	ck_assert_works(vdb_try_read32(map, &(uint32_t){ 0 }));
	vdb_device_close(device);

	broker_forget_log();
	broker = broker_start();
	if (_i) {
		broker_expect(client, lease.id, VDB_STATE_REVOKED, VDB_END_DEVICE);
		broker_wait_log("is open");
	}
	broker_acquire(client, "edu/page", 0);
	ck_assert_fails(vdb_try_read32(map, &(uint32_t){ 0 }), EFAULT);
}
END_TEST

START_TEST(buffer_that_was_revoked_meanwhile)
{
	struct vdb_device *device;
	struct vdb_client *client;
	struct vdb_lease lease;

	broker = broker_start();
	client = broker_connect();
	lease = broker_acquire(client, "edu/page", 0);
	broker_stop(broker, SIGKILL);
	device = stored_device();
	ck_assert_works(vdb_slice_revoke(device, lease.slice));
	vdb_device_close(device);
	broker = broker_start();
	broker_expect(client, lease.id, VDB_STATE_REVOKED, VDB_END_DEVICE);
	broker_acquire(client, "edu/page", 0);
}
END_TEST

START_TEST(device_that_was_not_kept)
{
	struct vdb_client *client;
	struct vdb_lease lease;
	char *map;

	broker = broker_start();
	client = broker_connect();
	lease = broker_acquire(client, "edu/page", 0);
	map = vdb_slice_map(lease.slice, 0, 0, RW);
	ck_assert_works(vdb_guard_enable());
	broker_stop(broker, SIGKILL);
	manager_forget("device-");
	ck_assert_fails(vdb_try_read32(map, &(uint32_t){ 0 }), EFAULT);
	broker = broker_start();
	broker_expect(client, lease.id, VDB_STATE_REVOKED, VDB_END_DEVICE);
	broker_acquire(client, "edu/page", 0);
}
END_TEST

/* If a device is absent when the broker is restarted, only its leases end. */
START_TEST(device_that_is_missing)
{
	static const char both[] =
		"devices:\n"
		"  nvme: {function: @NVME@, slices: {a: {length: @PAGE@, allow: everybody}}}\n"
		"  edu: {function: @EDU@, reset: never,\n"
		"    slices: {page: {length: @PAGE@, allow: everybody}}}\n";
	struct vdb_client *client;
	struct vdb_lease lease, gone;
	char *map, open[64];

	broker_configure(both);
	broker = broker_start();
	client = broker_connect();
	lease = broker_acquire(client, "edu/page", 0);
	gone = broker_acquire(client, "nvme/a", 0);
	map = vdb_slice_map(lease.slice, 0, 0, RW);
	broker_stop(broker, SIGTERM);
	manager_forget(broker_name_of_device("NVME"));
	ck_assert_works(driver_unbind(lab_bdf("NVME")));

	broker_forget_log();
	broker = broker_start();
	broker_expect(client, gone.id, VDB_STATE_REVOKED, VDB_END_DEVICE);
	broker_wait_log("not bound to a VFIO driver; run vfio-dmabuf bind");
	ck_assert_int_eq(broker_acquire_error(client, "nvme/a", 0, 0, 0), ENODEV);
	ck_assert_uint_eq(vdb_read32(map), EDU_ID_VALUE);
	ck_assert_int_eq(vdb_slice_state(lease.slice, NULL), VDB_STATE_LIVE);

	/* The same process opens it when it is there. */
	snprintf(open, sizeof(open), "%s is open", lab_bdf("NVME"));
	driver_rebind(lab_bdf("NVME"));
	broker_wait_log(open);
	broker_acquire(client, "nvme/a", 0);
	ck_assert_works(vdb_client_release(client, lease.id));
}
END_TEST

START_TEST(without_a_store_it_all_ends)
{
	struct vdb_client *client;
	struct vdb_lease lease;
	char *map;

	manager_keep(false);
	broker = broker_start();
	client = broker_connect();
	lease = broker_acquire(client, "edu/page", 0);
	map = vdb_slice_map(lease.slice, 0, 0, RW);
	ck_assert_works(vdb_guard_enable());
	restart(_i ? SIGKILL : SIGTERM);
	ck_assert_fails(vdb_try_read32(map, &(uint32_t){ 0 }), EFAULT);
	ck_assert_fails(vdb_client_release(client, lease.id), ENOTCONN);
	broker_acquire(broker_connect(), "edu/page", 0);
}
END_TEST

/* ---- killed at every step ---- */

struct seen {
	uint64_t lease;
	bool other;
};

/* Administrators see those of others, too. */
static bool see_lease(const struct vdb_lease_info *info, void *data)
{
	struct seen *seen = data;

	seen->other |= (pid_t)info->pid == getpid() && info->phase == VDB_LEASE_GRANTED &&
		       info->id != seen->lease;
	return true;
}

static bool has_memory(struct vdb_slice *memory)
{
	char *map = memory ? vdb_slice_map(memory, 0, 0, RW) : NULL;

	if (!map || vdb_slice_length(memory) != MEMORY || !vdb_slice_iova(memory))
		return false;
	for (size_t i = 0; i < MEMORY; i++)
		if (map[i])
			return false;
	memset(map, 'x', MEMORY);
	vdb_slice_unmap(memory, map, 0, MEMORY);
	return true;
}

/*
 * A client in a process of its own: it acquires, uses and releases two slices.  It may
 * have to repeat a request, but after it has connected it stays connected, and never
 * has a lease that it does not know.
 */
static int live(void)
{
	static const char *const names[] = { "edu/page", "edu/array" };
	struct vdb_client *client = NULL;
	int errors = 0;

	vdb_guard_enable();
	for (int round = 0; round < 2; ) {
		struct vdb_lease lease;
		struct seen seen = { 0 };
		uint32_t value;
		char *map;

		if (errors > 20)
			return 1;
		if (!client && !(client = vdb_client_connect(MANAGER_SOCKET, BROKER_MS, NULL))) {
			errors++;
			continue;
		}
		if (vdb_client_acquire(client, names[round], VDB_ANY_INDEX, 0, 0, BROKER_MS, &lease)) {
			/* It is to ask again. */
			if (errno != EAGAIN)
				return 2;
			errors++;
			continue;
		}
		/* No death of the broker ends a lease. */
		map = vdb_slice_map(lease.slice, 0, 0, RW);
		if (!map || vdb_try_read32(map, &value) || (!round && value != EDU_ID_VALUE))
			return 3;
		/* New memory, all zeros, which stays when the lease ends. */
		if (round && !has_memory(lease.memory))
			return 7;
		seen.lease = lease.id;
		if (vdb_client_leases(client, see_lease, &seen) || seen.other)
			return 4;
		if (vdb_client_release(client, lease.id))
			return 5;
		if (!vdb_try_read32(map, &value))
			return 6;
		vdb_slice_unmap(lease.slice, map, 0, PAGE);
		vdb_slice_free(lease.slice);
		vdb_slice_free(lease.memory);
		round++;
	}
	return 0;
}

/* The device still reaches the memory at the same address. */
static void check_dma(struct vdb_client *client, char *memory, uint64_t iova)
{
	struct vdb_lease lease = broker_acquire(client, "edu/page", 0);
	char *edu = vdb_slice_map(lease.slice, 0, 0, RW);

	ck_assert_ptr_nonnull(edu);
	memset(memory, 'd', PAGE);
	memset(memory + PAGE, 0, PAGE);
	edu_from_memory(edu, iova, PAGE);
	edu_to_memory(edu, iova + PAGE, PAGE);
	ck_assert_mem_eq(memory, memory + PAGE, PAGE);
	ck_assert_works(vdb_client_release(client, lease.id));
	vdb_slice_unmap(lease.slice, edu, 0, PAGE);
	vdb_slice_free(lease.slice);
}

/*
 * One client has died while there was no broker, one has a lease, and one is active.
 * The next broker is killed at its @nth call.  False if it made fewer calls.
 */
static bool killed_at(const char *call, int nth)
{
	static unsigned int rounds;
	struct vdb_client *client;
	struct vdb_event event;
	struct vdb_lease lease;
	bool died, stop = false;
	pid_t dead, living;
	char *map, *memory;

	setup();
	broker = broker_start();
	client = broker_connect();
	lease = broker_acquire(client, "edu/array", 7);
	map = vdb_slice_map(lease.slice, 0, 0, RW);
	memory = vdb_slice_map(lease.memory, 0, 0, RW);
	ck_assert_ptr_nonnull(memory);
	dead = hold("edu/array", 3);
	broker_stop(broker, SIGKILL);
	kill_child(dead);

	broker = crash_start(call, nth, &died);
	living = fork();
	if (!living)
		_exit(live());
	died |= crash_revive(&broker, &living, 1, &stop);
	/* That one may have its death still before it. */
	restart(SIGKILL);

	ck_assert_msg(vdb_client_next(client, &event) == 0 &&
		      vdb_slice_state(lease.slice, NULL) == VDB_STATE_LIVE,
		      "%s %d: the lease of the living has ended", call, nth);
	vdb_read32(map);
	/* The device takes 100 ms for each page. */
	if (!(rounds++ % 8))
		check_dma(client, memory, vdb_slice_iova(lease.memory));
	ck_assert_int_eq(broker_acquire_error(client, "edu/array", 7, 0, 0), EBUSY);
	ck_assert_works(vdb_client_release(client, lease.id));
	broker_acquire(client, "edu/array", 3);
	broker_acquire(client, "edu/page", 0);
	vdb_client_close(client);
	vdb_slice_unmap(lease.slice, map, 0, PAGE);
	vdb_slice_free(lease.slice);
	vdb_slice_unmap(lease.memory, memory, 0, MEMORY);
	vdb_slice_free(lease.memory);
	manager_wait_count("client-", 0);
	manager_wait_count("memory-", 0);
	broker_stop(broker, SIGTERM);
	return died;
}

/* The system call of epoll_wait(). */
#ifdef SYS_epoll_wait
#define EPOLL_CALL	"epoll_wait"
#define IS_X86		true
#else
#define EPOLL_CALL	"epoll_pwait"
#define IS_X86		false
#endif

/*
 * What a life of the broker calls, and how often it must have been killed there, as a sign
 * that it was in the middle of things.  The loop seldom needs futex().
 */
static const struct call {
	const char *name;
	int least;
} calls[] = {
	{ "sendmsg", 3 }, { "recvmsg", 3 }, { "recvfrom", 3 }, { "ioctl", 3 }, { "close", 3 },
	{ "write", 3 }, { EPOLL_CALL, 3 }, { "futex", 2 },
	/* More that have an effect outside of the process, or on the state. */
	{ "accept4", 1 }, { "shutdown", 1 }, { "memfd_create", 1 }, { "fallocate", 1 },
	{ "ftruncate", 1 }, { "pwrite64", 1 },
};
#define NR_CALLS	(sizeof(calls) / sizeof(calls[0]))

/*
 * All others, on x86-64.  They change nothing that outlives the process, so to be killed
 * there is to be killed at the next one above.  That is tried with
 * LAB_BOOT="--append restart=full --seconds 3000".
 */
static const char *const quiet_calls[] = {
	"access", "arch_prctl", "bind", "brk", "clock_gettime", "clone3", "connect",
	"epoll_create1", "epoll_ctl", "epoll_pwait2", "eventfd2", "execve", "exit", "fcntl", "fstat", "fstatfs", "getegid",
	"geteuid", "getgid", "getpid", "getrandom", "getsockname", "getsockopt", "getuid",
	"madvise", "mmap", "mprotect", "munmap", "newfstatat", "openat", "poll", "prctl",
	"pread64", "prlimit64", "read", "rseq", "rt_sigaction", "rt_sigprocmask",
	"rt_sigreturn", "set_robust_list", "set_tid_address", "setitimer", "setsockopt",
	"signalfd4", "socket", "statx", "timerfd_create", "timerfd_settime",
};
#define NR_QUIET	(sizeof(quiet_calls) / sizeof(quiet_calls[0]))

static bool full(void)
{
	return kernel_started_with("restart=full");
}

static void kill_at_every(const char *call, int least)
{
	int nth = 1;

	while (killed_at(call, nth))
		nth += crash_stride();
	ck_assert_int_gt(nth, least);
}

START_TEST(killed_at_every_call)
{
	kill_at_every(calls[_i].name, calls[_i].least);
}
END_TEST

START_TEST(killed_at_every_quiet_call)
{
	/* Some are made only at times. */
	kill_at_every(quiet_calls[_i], 0);
}
END_TEST

static bool is_named(const char *call)
{
	for (size_t i = 0; i < NR_CALLS; i++)
		if (!strcmp(call, calls[i].name))
			return true;
	for (size_t i = 0; i < NR_QUIET; i++)
		if (!strcmp(call, quiet_calls[i]))
			return true;
	return false;
}

#define NEVER	65535	/* the most that strace counts */

/* The lists above miss none. */
START_TEST(every_call_is_named)
{
	char line[4096], call[32];
	unsigned int nr = 0;
	FILE *file;

	/* With no death of its own, it makes all of them. */
	ck_assert(!killed_at("all", NEVER));
	file = fopen(BROKER_TRACE, "r");
	ck_assert_ptr_nonnull(file);
	while (fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%*d %31[a-z0-9_](", call) != 1)
			continue;
		ck_assert_msg(is_named(call), "the broker calls %s(), which no list here has", call);
		nr++;
	}
	fclose(file);
	ck_assert_uint_gt(nr, 300);
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("restart");
	TCase *tc = add_group(s, "restart");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, lease_goes_on, 0, 2);
	tcase_add_test(tc, time_goes_on_while_there_is_no_broker);
	tcase_add_test(tc, client_that_died_meanwhile);
	tcase_add_test(tc, configuration_changed_meanwhile);
	tcase_add_loop_test(tc, connection_goes_on, 0, 2);
	tcase_add_test(tc, requests_meanwhile_are_answered);
	tcase_add_test(tc, places_in_the_queue_are_kept);
	tcase_add_test(tc, reset_spares_those_who_live_on);
	tcase_add_test(tc, resumption_meanwhile_is_reported);
	tcase_add_loop_test(tc, end_is_reported_by_the_next_one, 0, 2);

	tc = add_group(s, "damage");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, damaged_state_ends_everything, 0, 3);
	tcase_add_test(tc, client_that_was_not_kept);
	tcase_add_loop_test(tc, buffer_that_the_state_has_not, 0, 2);
	tcase_add_test(tc, buffer_that_was_revoked_meanwhile);
	tcase_add_test(tc, device_that_was_not_kept);
	tcase_add_test(tc, device_that_is_missing);
	tcase_add_loop_test(tc, without_a_store_it_all_ends, 0, 2);

	tc = add_group(s, "crash");
	tcase_set_timeout(tc, 100);
	tcase_add_loop_test(tc, killed_at_every_call, 0, NR_CALLS);
	/* Sanitizers make calls of their own, and so do other machines' C libraries. */
	add_test_or_skip(tc, every_call_is_named, !IS_X86 || crash_stride() > 1 ?
			 "the lists are those of x86-64's 7.3" : NULL);
	if (full())
		tcase_add_loop_test(tc, killed_at_every_quiet_call, 0, NR_QUIET);
	return s;
}
