// SPDX-License-Identifier: MIT
/*
 * The cost of a lease: acquire, map, read and release through the library and the
 * broker with an fd store, compared with two processes without a broker.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vfio-dmabuf.h>

#include "broker.h"
#include "device.h"
#include "floor.h"
#include "manager.h"
#include "messages.h"
#include "sample.h"
#include "slice.h"
#include "suite.h"
#include "syscalls.h"
#include "sysfs.h"

#define BAR	2
#define PAGE	4096UL
#define MANY	4000
#define CYCLES	100	/* of which system calls are counted */
#define HANG	60	/* seconds of the guest's */
#define HUNG_BATCHES	6

/* The page that is leased is after the many. */
#define OFFSET	(4090 * PAGE)

static const char config[] =
	"limits: {leases: 10000, leases_per_user: 10000, leases_per_connection: 10000,\n"
	"  request_rate: 1000000, request_burst: 1000000}\n"
	"devices:\n"
	"  mem:\n"
	"    function: @IVSHMEM@\n"
	"    reset: never\n"
	"    slices:\n"
	"      page: {bar: 2, offset: 16360K, length: 4K, allow: everybody}\n"
	"      array: {bar: 2, length: 4K, count: 4000, allow: everybody}\n"
	"  nvme:\n"
	"    function: @NVME@\n"
	"    reset: always\n"
	"    slices:\n"
	"      registers: {length: 4K, allow: everybody}\n";

static pid_t broker;

/* ---- with the broker ---- */

struct side {
	void (*cycle)(const struct side *side);
	struct vdb_client *client;
	int owner;		/* or a connection to this */
};

static void lease_cycle(const struct side *side)
{
	struct vdb_client *client = side->client;
	struct vdb_lease lease;
	char *map;

	if (vdb_client_acquire(client, "mem/page", 0, 0, 0, 0, &lease))
		ck_abort_msg("acquire: %s: %s", strerrorname_np(errno), vdb_client_error(client));
	map = vdb_slice_map(lease.slice, 0, 0, PROT_READ | PROT_WRITE);
	if (!map)
		ck_abort_msg("map: %s", strerrorname_np(errno));
	vdb_read32(map);
	if (vdb_client_release(client, lease.id))
		ck_abort_msg("release: %s: %s", strerrorname_np(errno), vdb_client_error(client));
	vdb_slice_unmap(lease.slice, map, 0, PAGE);
	vdb_slice_free(lease.slice);
}

/*
 * ---- without a broker: an owner, and a client that requests a slice and reports when
 * it has finished ----
 */

/* What it is asked for. */
#define BARE_SLICE	'a'
#define BARE_END	'r'
#define LIBRARY_SLICE	'A'
#define LIBRARY_END	'R'
#define DONE		'd'

static void say(int socket, char what, int fd)
{
	message_send(socket, &(struct message){ { what }, 1, { fd, -1 } });
}

static int send_bare(const struct device *dev, int socket)
{
	const struct vfio_region_dma_range range = { OFFSET, PAGE };
	int fd = slice_export(dev, BAR, O_RDWR | O_CLOEXEC, &range, 1);

	if (fd < 0)
		ck_abort_msg("export: %s", strerror(errno));
	say(socket, DONE, fd);
	return fd;
}

static void end_bare(const struct device *dev, int fd)
{
	if (slice_revoke(dev, fd))
		ck_abort_msg("revoke: %s", strerror(errno));
	close(fd);
}

/* As the broker's clients have it: with an event fd. */
static struct vdb_slice *send_by_library(const struct vdb_device *device, int socket)
{
	const struct vdb_range range = { OFFSET, PAGE };
	struct vdb_slice *slice = vdb_slice_export(device, BAR, &range, 1, 0);

	if (!slice || vdb_slice_watch(device, slice) || vdb_slice_send(socket, device, slice))
		ck_abort_msg("export: %s", strerror(errno));
	return slice;
}

static void end_by_library(const struct vdb_device *device, struct vdb_slice *slice)
{
	if (vdb_slice_revoke(device, slice))
		ck_abort_msg("revoke: %s", strerror(errno));
	vdb_slice_free(slice);
}

/* The floor's broker is a child: both have the device. */
__attribute__((noreturn))
static void own(int socket, int floor)
{
	struct vdb_slice *slice = NULL;
	struct vdb_device *device;
	struct device dev;
	struct message m;
	int fd = -1;

	device_open(&dev, "IVSHMEM2");
	device = vdb_device_from_fd(dev.fd);
	ck_assert_ptr_nonnull(device);
	if (!fork()) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(socket);
		floor_serve(floor, &dev, BAR, OFFSET);
	}
	close(floor);
	/* It is open. */
	say(socket, DONE, -1);
	while (message_receive(socket, &m)) {
		switch (*m.bytes) {
		case BARE_SLICE:
			fd = send_bare(&dev, socket);
			continue;
		case BARE_END:
			end_bare(&dev, fd);
			break;
		case LIBRARY_SLICE:
			slice = send_by_library(device, socket);
			continue;
		case LIBRARY_END:
			end_by_library(device, slice);
			break;
		}
		say(socket, DONE, -1);
	}
	_exit(0);
}

/* The ends of its sockets, and of the floor's. */
static void start_owner(int sockets[2])
{
	struct message ready;
	int ends[2][2];
	pid_t pid;

	for (int i = 0; i < 2; i++)
		ck_assert_works(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends[i]));
	pid = fork();
	ck_assert_works(pid);
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(ends[0][0]);
		close(ends[1][0]);
		own(ends[0][1], ends[1][1]);
	}
	for (int i = 0; i < 2; i++) {
		close(ends[i][1]);
		sockets[i] = ends[i][0];
	}
	ck_assert(message_receive(sockets[0], &ready));
}

static void ask(const struct side *side, char what)
{
	say(side->owner, what, -1);
}

static void wait_done(const struct side *side)
{
	struct message m;

	if (!message_receive(side->owner, &m))
		ck_abort_msg("the owner does not answer");
}

static void bare_cycle(const struct side *side)
{
	struct message m;
	char *map;

	ask(side, BARE_SLICE);
	if (!message_receive(side->owner, &m) || m.fds[0] < 0)
		ck_abort_msg("the owner sends nothing");
	map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, m.fds[0], 0);
	if (map == MAP_FAILED)
		ck_abort_msg("mmap: %s", strerror(errno));
	vdb_read32(map);
	ask(side, BARE_END);
	wait_done(side);
	munmap(map, PAGE);
	close(m.fds[0]);
}

static void library_cycle(const struct side *side)
{
	struct vdb_slice *slice;
	char *map;

	ask(side, LIBRARY_SLICE);
	slice = vdb_slice_receive(side->owner);
	map = slice ? vdb_slice_map(slice, 0, 0, PROT_READ | PROT_WRITE) : NULL;
	if (!map)
		ck_abort_msg("map: %s", strerror(errno));
	vdb_read32(map);
	ask(side, LIBRARY_END);
	wait_done(side);
	vdb_slice_unmap(slice, map, 0, PAGE);
	vdb_slice_free(slice);
}

static void smallest_cycle(const struct side *side)
{
	floor_cycle(side->owner);
}

/* ---- a device that does not come back from a reset, because its bus is not there ---- */

static uint8_t set_bus(uint8_t number)
{
	char path[128];
	uint8_t former;
	int fd;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/config", lab_bdf("PORT_NVME"));
	fd = open(path, O_RDWR | O_CLOEXEC);
	ck_assert_works(fd);
	ck_assert_int_eq(pread(fd, &former, 1, PCI_SECONDARY_BUS), 1);
	ck_assert_int_eq(pwrite(fd, &number, 1, PCI_SECONDARY_BUS), 1);
	close(fd);
	return former;
}

/* Whether a thread of the broker is in a wait that nothing can interrupt. */
static bool hangs(void)
{
	char path[384], text[512];
	struct dirent *entry;
	bool found = false;
	DIR *tasks;

	snprintf(path, sizeof(path), "/proc/%d/task", broker);
	tasks = opendir(path);
	ck_assert_ptr_nonnull(tasks);
	while ((entry = readdir(tasks))) {
		snprintf(path, sizeof(path), "/proc/%d/task/%s/stat", broker, entry->d_name);
		found |= *entry->d_name != '.' && file_read(path, text, sizeof(text)) > 0 &&
			 strstr(text, ") D ");
	}
	closedir(tasks);
	return found;
}

/* After the reset has begun the kernel waits 100 ms, and then for the device. */
static uint8_t begin_to_hang(struct vdb_client *client)
{
	broker_acquire(client, "nvme/registers", 0);
	/* Its lease ends, and that resets the device. */
	vdb_client_close(client);
	while (!hangs())
		usleep(1000);
	return set_bus(0xff);
}

static void let_time_pass(const void *side)
{
	(void)side;
	sleep(HANG / HUNG_BATCHES);
	ck_assert(hangs());
}

/* ---- all of it ---- */

static void run(const void *what, uint64_t *counts)
{
	const struct side *side = what;
	uint64_t begin = instructions();

	side->cycle(side);
	counts[0] = instructions() - begin;
}

static void setup(void)
{
	const struct rlimit limit = { 3 * MANY, 3 * MANY };

	ck_assert_works(setrlimit(RLIMIT_NOFILE, &limit));
	unlink(BROKER_LOG);
	driver_rebind(lab_bdf("IVSHMEM"));
	driver_rebind(lab_bdf("NVME"));
	manager_init();
	broker_configure(config);
	broker = broker_start();
	manager_wait_count("device-", 2);
}

static void teardown(void)
{
	broker_stop(broker, SIGTERM);
}

static struct side borrow(void)
{
	struct side side = { .cycle = lease_cycle, .client = broker_connect() };

	broker_wait_open(side.client);
	return side;
}

START_TEST(cycle)
{
	const struct side ours = borrow();
	struct side bare = { .cycle = bare_cycle }, library = { .cycle = library_cycle };
	struct side floor = { .cycle = smallest_cycle };
	struct measurement m = {
		.names = { "lease" }, .run = run, .batches = 4, .runs = 200,
	};
	double each;
	int sockets[2];

	start_owner(sockets);
	bare.owner = library.owner = sockets[0];
	floor.owner = sockets[1];
	measure(&m, &ours, &bare);
	m.names[0] = "lease-library";
	measure(&m, &ours, &library);
	m.names[0] = "lease-floor";
	measure(&m, &floor, &bare);
	syscalls_start("vfio-dmabufd");
	for (int i = 0; i < CYCLES; i++)
		lease_cycle(&ours);
	each = (double)syscalls_stop(CYCLES) / CYCLES;
	record("lease-calls", "ours", CYCLES, each, each);
}
END_TEST

static void fill(struct vdb_client *client)
{
	struct vdb_lease lease;

	printf("# acquiring %d leases\n", MANY);
	for (int i = 0; i < MANY; i++)
		/* Its fds stay open, as a client's do. */
		if (vdb_client_acquire(client, "mem/array", i, 0, 0, 0, &lease))
			ck_abort_msg("lease %d: %s", i, vdb_client_error(client));
}

START_TEST(many)
{
	struct measurement m = {
		.names = { "lease-many" }, .run = run, .batches = 4, .runs = 100,
	};
	const struct side side = borrow(), holder = borrow();

	measure_one(&m, "base", &side);
	m.names[0] = "lease-many-own";
	measure_one(&m, "base", &side);
	fill(holder.client);
	measure_one(&m, "ours", &holder);
	m.names[0] = "lease-many";
	measure_one(&m, "ours", &side);
}
END_TEST

START_TEST(hung_reset)
{
	struct measurement m = {
		.names = { "lease-hung" }, .run = run, .batches = HUNG_BATCHES, .runs = 100,
	};
	const struct side side = borrow(), other = borrow();
	uint8_t bus;

	measure_one(&m, "base", &side);
	bus = begin_to_hang(other.client);
	m.prepare = let_time_pass;
	measure_one(&m, "ours", &side);
	set_bus(bus);
	/* It comes back. */
	broker_wait_open(side.client);
	broker_acquire(side.client, "nvme/registers", 0);
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("lease");
	TCase *tc = add_group(s, "leases");

	/* In the test's own process: a child of one with the fd store would keep devices open. */
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, cycle);
	tcase_add_test(tc, many);
	tcase_add_test(tc, hung_reset);
	return s;
}
