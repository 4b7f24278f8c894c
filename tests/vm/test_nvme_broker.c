// SPDX-License-Identifier: MIT
/* The broker lends queue pairs of an NVMe controller. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vfio-dmabuf-nvme.h>

#include "broker.h"
#include "client.h"
#include "command.h"
#include "dmar.h"
#include "kmsg.h"
#include "manager.h"
#include "nvme/io.h"
#include "nvme/load.h"
#include "page.h"
#include "suite.h"
#include "sysfs.h"

static const char config[] =
	"devices:\n"
	"  nvme:\n"
	"    function: @NVME@\n"
	"    driver: nvme\n"
	"    slices:\n"
	"      queue: {offset: 4K, length: 4K, sharing: shared, memory: 1M, depth: 31, allow: everybody}\n"
	"      wakes: {offset: 4K, length: 4K, sharing: shared, memory: 1M, depth: 31, interrupt: true, allow: everybody}\n";

static pid_t broker;
static int kmsg;

static void setup(void)
{
	kmsg = kmsg_open();
	unlink(BROKER_LOG);
	manager_init();
	broker_configure(config);
	broker = broker_start();
}

/* The controller has reached for nothing that was not mapped. */
static void teardown(void)
{
	broker_stop(broker, SIGTERM);
	ck_assert_msg(!kmsg_wait_for(kmsg, DMAR_FAULT, 0), "the IOMMU has stopped an access");
}

static struct vdb_nvme *open_queue(const struct vdb_lease *lease)
{
	char error[VDB_ERROR_SIZE];
	struct vdb_nvme *queue;

	ck_assert_ptr_nonnull(lease->memory);
	queue = vdb_nvme_open(lease->slice, lease->memory, NULL, error);
	ck_assert_msg(queue, "%s", error);
	return queue;
}

static void check_ended(struct vdb_nvme *queue)
{
	struct vdb_nvme_completion completion;

	ck_assert_fails(vdb_nvme_flush(queue, 1, 0), ENODEV);
	ck_assert_fails(vdb_nvme_poll(queue, &completion, 1), ENODEV);
	vdb_nvme_close(queue);
}

START_TEST(each_lease_has_its_own_queue)
{
	struct vdb_client *client = broker_connect();
	struct vdb_lease first = broker_acquire(client, "nvme/queue", 0);
	struct vdb_lease second = broker_acquire(client, "nvme/queue", 0);
	struct vdb_nvme *queues[] = { open_queue(&first), open_queue(&second) };

	ck_assert_uint_ne(vdb_nvme_id(queues[0]), vdb_nvme_id(queues[1]));
	ck_assert_uint_eq(vdb_nvme_depth(queues[0]), 31);
	io_check(queues[0]);
	io_check(queues[1]);
	ck_assert_works(vdb_client_release(client, first.id));
	check_ended(queues[0]);
	io_check(queues[1]);
	first = broker_acquire(client, "nvme/queue", 0);
	ck_assert_int_eq(first.interrupt, -1);
	queues[0] = open_queue(&first);
	ck_assert(!vdb_nvme_has_interrupt(queues[0]));
	io_check(queues[0]);
	io_check(queues[1]);
}
END_TEST

/* The interrupts that the kernel has registered for the controller. */
static unsigned int nr_interrupts(void)
{
	FILE *file = fopen("/proc/interrupts", "re");
	unsigned int nr = 0;
	char line[300];

	ck_assert_ptr_nonnull(file);
	while (fgets(line, sizeof(line), file))
		nr += strstr(line, "vfio-msix[") && strstr(line, lab_bdf("NVME"));
	fclose(file);
	return nr;
}

/* Commands whose completion is waited for, not polled for. */
static void check_interrupt(struct vdb_nvme *queue, int eventfd)
{
	struct pollfd p = { .fd = eventfd, .events = POLLIN };
	struct vdb_nvme_completion completion;
	eventfd_t count;

	ck_assert(vdb_nvme_has_interrupt(queue));
	for (unsigned int i = 0; i < 40; i++) {
		ck_assert_fails(eventfd_read(eventfd, &count), EAGAIN);
		ck_assert_works(vdb_nvme_flush(queue, 1, i));
		ck_assert_works(vdb_nvme_ring(queue));
		ck_assert_int_eq(poll(&p, 1, -1), 1);
		ck_assert_works(eventfd_read(eventfd, &count));
		ck_assert_int_eq(vdb_nvme_poll(queue, &completion, 1), 1);
		ck_assert_uint_eq(completion.status, 0);
	}
}

/* Of two terms of the broker; the second one takes away what the first one has made. */
START_TEST(interrupts_outlive_the_broker)
{
	const int numbers[] = { SIGTERM, SIGKILL };
	struct vdb_client *client = broker_connect();
	struct vdb_lease first = broker_acquire(client, "nvme/wakes", 0);
	struct vdb_lease second = broker_acquire(client, "nvme/wakes", 0);
	struct vdb_nvme *queues[] = { open_queue(&first), open_queue(&second) };
	eventfd_t count;

	for (unsigned int i = 0; i < 2; i++) {
		check_interrupt(queues[0], first.interrupt);
		check_interrupt(queues[1], second.interrupt);
		ck_assert_uint_eq(nr_interrupts(), 2);
		if (!i) {
			broker_stop(broker, numbers[_i]);
			check_interrupt(queues[0], first.interrupt);
			broker = broker_start();
		}
	}
	ck_assert_works(vdb_client_release(client, first.id));
	check_ended(queues[0]);
	ck_assert_uint_eq(nr_interrupts(), 1);
	check_interrupt(queues[1], second.interrupt);
	/* The next lease has the number of the first queue, and an eventfd of its own. */
	second = broker_acquire(client, "nvme/wakes", 0);
	queues[0] = open_queue(&second);
	check_interrupt(queues[0], second.interrupt);
	ck_assert_fails(eventfd_read(first.interrupt, &count), EAGAIN);
	vdb_client_close(client);
	while (nr_interrupts())
		sched_yield();
}
END_TEST

/* Nobody waits for a client that does not read its eventfd, not even if that is full. */
START_TEST(eventfd_that_is_full)
{
	struct vdb_client *client = broker_connect();
	struct vdb_lease full = broker_acquire(client, "nvme/wakes", 0);
	struct vdb_lease other = broker_acquire(client, "nvme/wakes", 0);
	struct vdb_nvme *queues[] = { open_queue(&full), open_queue(&other) };
	struct pollfd p = { .fd = full.interrupt };

	ck_assert_works(eventfd_write(full.interrupt, UINT64_MAX - 1));
	for (unsigned int i = 0; i < 3; i++) {
		io_check(queues[0]);
		check_interrupt(queues[1], other.interrupt);
	}
	/* It is beyond what a process can write: an interrupt has come. */
	ck_assert_int_eq(poll(&p, 1, -1), 1);
	ck_assert_int_eq(p.revents, POLLERR);
	ck_assert_works(vdb_client_release(client, full.id));
	check_ended(queues[0]);
	full = broker_acquire(client, "nvme/wakes", 0);
	queues[0] = open_queue(&full);
	check_interrupt(queues[0], full.interrupt);
	check_interrupt(queues[1], other.interrupt);
}
END_TEST

/* Of each object in the list that has a name, whether it says that there is an interrupt. */
static void check_list(json_t *list, const char *key, size_t nr)
{
	json_t *item;
	size_t i;

	ck_assert_uint_eq(json_array_size(list), nr);
	json_array_foreach(list, i, item) {
		const char *name = json_string_value(json_object_get(item, key));
		json_t *interrupt = json_object_get(item, "interrupt");

		ck_assert(json_is_boolean(interrupt));
		ck_assert_int_eq(json_is_true(interrupt), !strcmp(name, "nvme/wakes"));
	}
}

/* What the lines of a command say of the slices. */
static void check_lines(const char *command, const char *with, const char *without)
{
	ck_assert_runs("%s -S " MANAGER_SOCKET, command);
	for (char *next = command_out, *line; (line = strsep(&next, "\n"));) {
		if (strstr(line, "nvme/wakes"))
			ck_assert_msg(strstr(line, with), "%s", line);
		if (strstr(line, "nvme/queue"))
			ck_assert_msg(strstr(line, without) && !strstr(line, with), "%s", line);
	}
}

START_TEST(interrupt_is_listed)
{
	FILE *watch = popen("vfio-dmabuf watch --json -S " MANAGER_SOCKET, "r");
	struct vdb_client *client = broker_connect();
	char line[2048], show[64];
	json_t *status, *bars, *value;

	ck_assert_ptr_nonnull(watch);
	broker_wait_open(client);
	do
		ck_assert_ptr_nonnull(fgets(line, sizeof(line), watch));
	while (!strstr(line, "watching"));
	broker_acquire(client, "nvme/queue", 0);
	broker_acquire(client, "nvme/wakes", 0);
	for (unsigned int i = 0; i < 2;) {
		ck_assert_ptr_nonnull(fgets(line, sizeof(line), watch));
		value = command_json("watch", line);
		if (strcmp(json_string_value(json_object_get(value, "event")), "granted"))
			continue;
		ck_assert_int_eq(json_is_true(json_object_get(value, "interrupt")), i++ == 1);
	}
	/* It ends when nobody reads any more. */
	ck_assert_int_eq(pclose(watch), 0);

	check_list(vfio_dmabuf_json("slices --json -S " MANAGER_SOCKET), "name", 2);
	check_list(vfio_dmabuf_json("leases --json -S " MANAGER_SOCKET), "slice", 2);
	check_lines("slices", "  1 MiB  yes  ", "  1 MiB  -  ");
	check_lines("leases", "  1 MiB  yes  ", "  1 MiB  -  ");

	snprintf(show, sizeof(show), "show %s", lab_bdf("NVME"));
	check_lines(show, ", an interrupt", "IOVA 0x");
	snprintf(show, sizeof(show), "show --json -S " MANAGER_SOCKET " %s", lab_bdf("NVME"));
	bars = json_object_get(vfio_dmabuf_json(show), "bars");
	value = json_array();
	for (size_t i = 0; i < json_array_size(json_object_get(json_array_get(bars, 0), "holders")); i++) {
		json_t *holder = json_array_get(json_object_get(json_array_get(bars, 0), "holders"), i);

		if (json_object_get(holder, "lease"))
			json_array_append(value, holder);
	}
	check_list(value, "slice", 2);

	status = vfio_dmabuf_json("status --json -S " MANAGER_SOCKET);
	ck_assert_int_eq(json_integer_value(json_object_get(json_object_get(status, "leases"), "interrupts")), 1);
	ck_assert_runs("status -S " MANAGER_SOCKET);
	ck_assert_ptr_nonnull(strstr(command_out, "leases: 2 granted, 0 waiting, 0 ending; interrupts: 1\n"));
}
END_TEST

/* Its fds are two of the slice, the memory's and the interrupt's. */
START_TEST(interrupt_is_passed_to_a_program)
{
	json_t *list;

	ck_assert_runs("run -S " MANAGER_SOCKET " -s nvme/wakes -- sh -c 'echo \"$VFIO_DMABUF_SLICES\"'");
	list = command_json("VFIO_DMABUF_SLICES", command_out);
	ck_assert_int_eq(json_integer_value(json_object_get(json_array_get(list, 0), "interrupt")), 6);
	ck_assert_runs("run -S " MANAGER_SOCKET " -s nvme/wakes -- sh -c 'echo $VFIO_DMABUF_FDS; readlink /proc/self/fd/6'");
	ck_assert_str_eq(command_out, "4\nanon_inode:[eventfd]\n");
}
END_TEST

/* Two terms of the broker, and a lease of each. */
START_TEST(queues_outlive_the_broker)
{
	const int numbers[] = { SIGTERM, SIGKILL };
	struct vdb_client *client = broker_connect();
	struct vdb_lease old = broker_acquire(client, "nvme/queue", 0), new;
	struct load *load = load_start(65536);
	struct vdb_nvme *queue;

	load_lend(load, old.slice, old.memory);
	for (unsigned int i = 0; i < 3; i++) {
		load_wait_done(load, load->report->done + 10);
		broker_stop(broker, numbers[_i]);
		load_wait_done(load, load->report->done + 10);
		broker = broker_start();
		new = broker_acquire(client, "nvme/queue", 0);
		queue = open_queue(&new);
		io_check(queue);
		ck_assert_works(vdb_client_release(client, new.id));
		check_ended(queue);
	}
	ck_assert_uint_eq(load->report->lost, 0);
	ck_assert_works(vdb_client_release(client, old.id));
	load_wait_ended(load, 1);
	load_finish(load);
}
END_TEST

/* CSTS: whether the controller works. */
static bool is_ready(struct vdb_client *client)
{
	struct vdb_lease lease = broker_acquire(client, "nvme/registers", 0);
	char *registers = vdb_slice_map(lease.slice, 0, 0, PROT_READ);

	ck_assert_ptr_nonnull(registers);
	return vdb_read32(registers + 0x1c) & 1;
}

/* What the driver has made must not go on without it: its queue pairs in the leases' memory. */
START_TEST(configuration_names_another_driver)
{
	static const char generic[] =
		"devices:\n"
		"  nvme:\n"
		"    function: @NVME@\n"
		"    slices:\n"
		"      registers: {length: 4K, allow: everybody}\n"
		"      queue: {offset: 4K, length: 4K, sharing: shared, memory: 1M, allow: everybody}\n";
	struct vdb_client *client = broker_connect();
	struct vdb_lease lease = broker_acquire(client, "nvme/queue", 0);
	struct vdb_nvme *queue = open_queue(&lease);

	io_check(queue);
	if (_i) {
		broker_stop(broker, SIGKILL);
		broker_configure(generic);
		broker = broker_start();
		broker_wait_open(client);
	} else {
		broker_configure(generic);
		broker_reload(broker, true);
		broker_expect(client, lease.id, VDB_STATE_REVOKED, VDB_END_DEVICE);
		check_ended(queue);
		broker_wait_open(client);
	}
	ck_assert(!is_ready(client));
}
END_TEST

/* Runs in a process that is killed while commands are outstanding. */
static void use_until_killed(int report)
{
	struct vdb_client *client;
	struct vdb_nvme *queue;
	struct vdb_lease lease;
	size_t size;
	char *data;

	client_become(CLIENT_NOBODY);
	client = broker_connect();
	lease = broker_acquire(client, "nvme/queue", 0);
	queue = open_queue(&lease);
	data = vdb_nvme_data(queue, &size);
	for (unsigned int done = 0;; done++) {
		struct vdb_nvme_completion completions[8];

		while (!vdb_nvme_read(queue, 1, 0, 64, data, 0))
			;
		vdb_nvme_ring(queue);
		if (vdb_nvme_poll(queue, completions, 8) > 0 && write(report, "", 1) != 1)
			_exit(1);
	}
}

START_TEST(clients_that_die)
{
	struct vdb_client *client = broker_connect();
	struct vdb_lease lease = broker_acquire(client, "nvme/queue", 0);
	struct load *load = load_start(65536);

	load_lend(load, lease.slice, lease.memory);
	load_wait_done(load, 1);
	for (unsigned int i = 0; i < 15; i++) {
		unsigned int wait = 1 + rand() % 20;
		int report[2];
		pid_t pid;

		ck_assert_works(pipe(report));
		pid = fork();
		ck_assert_works(pid);
		if (!pid) {
			close(report[0]);
			use_until_killed(report[1]);
		}
		close(report[1]);
		while (wait--)
			ck_assert_int_eq(read(report[0], &(char){ 0 }, 1), 1);
		ck_assert_works(kill(pid, SIGKILL));
		ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
		close(report[0]);
	}
	load_wait_done(load, load->report->done + 10);
	ck_assert_uint_eq(load->report->lost, 0);
	load_finish(load);
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("nvme_broker");
	TCase *tc = add_group(s, "broker");

	if (page_too_large()) {
		add_test_or_skip(tc, each_lease_has_its_own_queue, page_too_large());
		return s;
	}

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, each_lease_has_its_own_queue);
	tcase_add_loop_test(tc, queues_outlive_the_broker, 0, 2);
	tcase_add_loop_test(tc, interrupts_outlive_the_broker, 0, 2);
	tcase_add_test(tc, eventfd_that_is_full);
	tcase_add_test(tc, interrupt_is_listed);
	tcase_add_test(tc, interrupt_is_passed_to_a_program);
	tcase_add_loop_test(tc, configuration_names_another_driver, 0, 2);
	tcase_add_test(tc, clients_that_die);
	return s;
}
