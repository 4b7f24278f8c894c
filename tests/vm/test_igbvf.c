// SPDX-License-Identifier: MIT
/*
 * Virtual functions of a network controller, each lent to an unprivileged client, which
 * drives it with drivers/igbvf; and what a client that does not keep to the rules reaches.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <vfio-dmabuf.h>

#include "client.h"
#include "igbvf.h"
#include "kmsg.h"
#include "lend.h"
#include "peer.h"
#include "registers.h"
#include "suite.h"
#include "sysfs.h"

#define PAGE		0x1000UL
#define RW		(PROT_READ | PROT_WRITE)
#define PARAMETER	"/sys/module/dmabuf_vfio_pci/parameters/enable_sriov"
#define TOKEN		"8b3a1e60-5a0c-4c6c-9d5e-0a6d1f2c7e11"

#define REQUESTS	1	/* streams of frames: from the peer, */
#define REPLIES		2	/* and to it */

/* Rings of 16 descriptors; the second VF has longer ones, and more IOVAs. */
static const uint64_t lengths[] = { 80 << 10, 320 << 10 };
#define VFS		2
/* Frames on the way to a VF: fewer than it has descriptors. */
#define WINDOW		8
/* That the peer waits for a frame, on a slow machine. */
#define PATIENCE_MS	30000

/* ---- the client's process ---- */

static struct igbvf vf;
static struct vdb_slice *got_registers, *got_memory;
static uint8_t mac_of_client[6], mac_of_peer[6];
static pthread_t echo_thread;
static atomic_bool echo_ends;
/* Frames that were answered, and that were not what they had to be. */
static atomic_uint answered, wrong;

static long step_receive_slices(const struct client_step *step)
{
	got_registers = vdb_slice_receive(step->arg[0]);
	got_memory = vdb_slice_receive(step->arg[0]);
	if (!got_registers || !got_memory || vdb_guard_enable())
		return -1;
	return 0;
}

static void mac_from(uint8_t mac[6], long number)
{
	for (int i = 0; i < 6; i++)
		mac[i] = number >> 8 * (5 - i);
}

static long mac_to(const uint8_t mac[6])
{
	long number = 0;

	for (int i = 0; i < 6; i++)
		number = number << 8 | mac[i];
	return number;
}

static long step_start(const struct client_step *step)
{
	mac_from(mac_of_client, step->arg[0]);
	mac_from(mac_of_peer, step->arg[1]);
	return igbvf_start(&vf, got_registers, got_memory);
}

/* Answers the next frame, if there is one: 1; 0: there was none; -1 with errno. */
static int answer(uint32_t number)
{
	uint8_t frame[PEER_FRAME_MAX];
	ssize_t length = igbvf_receive(&vf, frame, sizeof(frame));

	if (length <= 0)
		return length;
	if (!frame_is(frame, length, mac_of_client, mac_of_peer, REQUESTS, number))
		wrong++;
	length = frame_make(frame, mac_of_peer, mac_of_client, REPLIES, number);
	return igbvf_send(&vf, frame, length) ? -1 : 1;
}

static void *echo(void *unused)
{
	const struct timespec pause = { .tv_nsec = 1000 * 1000 };
	int result = 0;

	while (!echo_ends && result >= 0) {
		result = answer(answered);
		if (result > 0)
			answered++;
		else if (!result)
			nanosleep(&pause, NULL);
	}
	return unused;
}

static long step_echo(const struct client_step *step)
{
	(void)step;
	echo_ends = false;
	return pthread_create(&echo_thread, NULL, echo, NULL);
}

static long step_echo_end(const struct client_step *step)
{
	(void)step;
	echo_ends = true;
	return pthread_join(echo_thread, NULL);
}

static long step_wrong(const struct client_step *step)
{
	(void)step;
	return wrong + vf.bad;
}

/* ---- the owner, and the wire ---- */

struct flow {
	struct client *client;
	struct igbvf_lent lent;
	char *memory;		/* the client's, as the test sees it */
	uint8_t mac[6];
	unsigned int vf;
	uint32_t sent, received;	/* requests and replies */
};

static struct igbvf_owner *port;
static struct flow flows[VFS];
/* Made before the devices are open, so that they do not inherit anything of them. */
static struct client *spare[4];
static unsigned int spares;

static void lend(struct flow *flow, unsigned int number)
{
	char error[VDB_ERROR_SIZE];

	flow->vf = number;
	memcpy(flow->mac, (uint8_t[]){ 2, 0x82, 0x57, 6, 0, number }, 6);
	ck_assert_msg(!igbvf_lend(port, number, flow->mac, lengths[number], &flow->lent, error), "%s", error);
	flow->memory = vdb_slice_map(flow->lent.memory, 0, 0, RW);
	ck_assert_ptr_nonnull(flow->memory);
	flow->sent = flow->received = 0;
}

static void give_to_client(struct flow *flow, struct client *client)
{
	struct client_step step = { .fd = -1 };
	int ends[2];

	flow->client = client;
	ck_assert_works(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends));
	step.arg[0] = client_give(client, ends[1]);
	ck_assert_works(vdb_slice_send(ends[0], igbvf_owner_vf(port, flow->vf), flow->lent.registers));
	ck_assert_works(vdb_slice_send(ends[0], NULL, flow->lent.memory));
	ck_assert_works(client_call(client, step_receive_slices, &step));
	close(ends[0]);
	close(ends[1]);
}

static void start_driver(struct flow *flow)
{
	struct client_step step = { { mac_to(flow->mac), mac_to(peer_mac()) }, -1 };

	ck_assert_works(client_call(flow->client, step_start, &step));
}

static long call(const struct flow *flow, client_fn *fn)
{
	return client_call(flow->client, fn, &(struct client_step){ .fd = -1 });
}

static void wait_for_link(void)
{
	const struct timespec pause = { .tv_nsec = 20 * 1000 * 1000 };

	while (!igbvf_owner_link(port))
		nanosleep(&pause, NULL);
}

/* Two VFs, two clients of different users, and each has its driver running. */
static void setup(void)
{
	static const enum client_user users[] = { CLIENT_NOBODY, CLIENT_STRANGER };
	char error[VDB_ERROR_SIZE];

	for (unsigned int i = 0; i < VFS; i++)
		flows[i].client = client_start(users[i]);
	for (spares = 0; spares < 4; spares++)
		spare[spares] = client_start(CLIENT_NOBODY);
	driver_rebind(lab_bdf("IGB"));
	sysfs_write(lab_bdf("IGB"), "sriov_numvfs", "0");
	ck_assert_works(file_write(PARAMETER, "1"));
	port = igbvf_owner_open(lab_bdf("IGB"), TOKEN, VFS, error);
	ck_assert_msg(port, "%s", error);
	wait_for_link();
	for (unsigned int i = 0; i < VFS; i++) {
		lend(&flows[i], i);
		give_to_client(&flows[i], flows[i].client);
		start_driver(&flows[i]);
	}
}

/* In the parent of a group's tests: the link takes seconds to come up. */
static void setup_group(void)
{
	peer_start();
}

/* Also if a test has failed. */
static void teardown_group(void)
{
	sysfs_write(lab_bdf("IGB"), "sriov_numvfs", "0");
	file_write(PARAMETER, "0");
	driver_rebind(lab_bdf("IGB"));
	peer_stop();
}

static void send_request(struct flow *flow)
{
	uint8_t frame[PEER_FRAME_MAX];
	size_t length = frame_make(frame, flow->mac, peer_mac(), REQUESTS, flow->sent++);

	peer_send(frame, length);
}

/* The next reply must be the next one of the VF that it is from. */
static void receive_reply(void)
{
	uint8_t frame[PEER_FRAME_MAX];
	size_t length = peer_receive(frame, PATIENCE_MS);
	struct flow *flow;

	if (!length)
		ck_abort_msg("no reply; received %u of %u, %u of %u", flows[0].received, flows[0].sent,
			     flows[1].received, flows[1].sent);
	flow = memcmp(frame + 6, flows[0].mac, 6) ? &flows[1] : &flows[0];
	if (!frame_is(frame, length, peer_mac(), flow->mac, REPLIES, flow->received))
		ck_abort_msg("a frame of VF %u is not its reply %u", flow->vf, flow->received);
	flow->received++;
}

static void collect_replies(void)
{
	while (flows[0].received != flows[0].sent || flows[1].received != flows[1].sent)
		receive_reply();
}

static void fill_window(struct flow *flow)
{
	while (flow->sent - flow->received < WINDOW)
		send_request(flow);
}

/* @count requests to each of some VFs, answered and compared byte for byte. */
static void traffic(struct flow *some, unsigned int nr, unsigned int count)
{
	uint32_t until[VFS];
	unsigned int missing;

	for (unsigned int i = 0; i < nr; i++)
		until[i] = some[i].received + count;
	do {
		missing = 0;
		for (unsigned int i = 0; i < nr; i++) {
			if (some[i].received < until[i]) {
				fill_window(&some[i]);
				missing++;
			}
		}
		if (missing)
			receive_reply();
	} while (missing);
	collect_replies();
}

static void check_client(struct flow *flow)
{
	ck_assert_works(call(flow, step_echo_end));
	ck_assert_int_eq(call(flow, step_wrong), 0);
}

/* ---- frames ---- */

START_TEST(frames_arrive_byte_for_byte)
{
	for (unsigned int i = 0; i < VFS; i++)
		ck_assert_works(call(&flows[i], step_echo));
	traffic(flows, VFS, 150);
	for (unsigned int i = 0; i < VFS; i++) {
		ck_assert_uint_ge(flows[i].received, 150);
		check_client(&flows[i]);
	}
}
END_TEST

#define QUIET_FRAMES	12

/* In a child of the client, which ends with the first system call but exit(). */
static void answer_without_calls(void)
{
	uint32_t number = 0;

	if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT))
		_exit(2);
	while (number < QUIET_FRAMES) {
		int result = answer(number);

		if (result < 0)
			syscall(SYS_exit, 1);
		number += result;
	}
	syscall(SYS_exit, wrong ? 3 : 0);
}

static long step_answer_without_calls(const struct client_step *step)
{
	pid_t pid = fork();
	int status;

	(void)step;
	if (!pid)
		answer_without_calls();
	return waitpid(pid, &status, 0) == pid ? status : -1;
}

START_TEST(no_system_call_on_the_path)
{
	for (unsigned int i = 0; i < QUIET_FRAMES; i++)
		send_request(&flows[0]);
	ck_assert_int_eq(call(&flows[0], step_answer_without_calls), 0);
	collect_replies();
}
END_TEST

/* ---- what a client has ---- */

/* The number of fds that are neither its slices' nor the test's. */
static long step_count_fds(const struct client_step *step)
{
	char path[64], target[256];
	long found = 0;

	(void)step;
	for (int fd = 3; fd < 256; fd++) {
		ssize_t length;

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		length = readlink(path, target, sizeof(target) - 1);
		if (length < 0)
			continue;
		target[length] = '\0';
		if (strstr(target, "vfio") && !strstr(target, "dmabuf"))
			found++;
	}
	return found;
}

/* Its VF's own IOMMU group. */
static long step_open_group(const struct client_step *step)
{
	char path[64];

	snprintf(path, sizeof(path), "/dev/vfio/%ld", step->arg[0]);
	return open(path, O_RDWR | O_CLOEXEC);
}

static long step_map_more(const struct client_step *step)
{
	return (long)mmap(NULL, step->arg[0], RW, MAP_SHARED, vdb_slice_fd(got_registers), step->arg[1]);
}

static void find_group(unsigned int number, char *group, size_t size)
{
	char link[32], name[64];

	snprintf(link, sizeof(link), "virtfn%u", number);
	ck_assert(function_link(lab_bdf("IGB"), link, name, sizeof(name)));
	ck_assert(function_link(name, "iommu_group", group, size));
}

START_TEST(client_has_two_pages_of_registers)
{
	const struct vdb_slice *slice = flows[0].lent.registers;
	char group[64];

	ck_assert_uint_eq(vdb_slice_offset(slice), 2 * PAGE);
	ck_assert_uint_eq(vdb_slice_length(slice), 2 * PAGE);
	ck_assert_int_eq(call(&flows[0], step_count_fds), 0);
	find_group(0, group, sizeof(group));
	ck_assert_fails(client_call(flows[0].client, step_open_group, &(struct client_step){ { atol(group) }, -1 }),
			EACCES);
	ck_assert_fails(client_call(flows[0].client, step_map_more, &(struct client_step){ { 3 * PAGE, 0 }, -1 }),
			EINVAL);
	ck_assert_fails(client_call(flows[0].client, step_map_more, &(struct client_step){ { PAGE, 2 * PAGE }, -1 }),
			EINVAL);
}
END_TEST

START_TEST(each_vf_has_its_own_io_address_space)
{
	char groups[VFS][64];

	for (unsigned int i = 0; i < VFS; i++)
		find_group(i, groups[i], sizeof(groups[i]));
	ck_assert_str_ne(groups[0], groups[1]);
	ck_assert_int_ne(vdb_device_iommu_fd(igbvf_owner_vf(port, 0)), vdb_device_iommu_fd(igbvf_owner_vf(port, 1)));
}
END_TEST

/* ---- a client that names another's memory ---- */

enum attack { SEND_FROM, RECEIVE_TO, TRANSMIT_RING, RECEIVE_RING, HEAD_TO, ATTACKS };

static void poke(unsigned int at, uint32_t value)
{
	vdb_try_write32(vf.registers + at, value);
}

/* Makes the client's own VF access @arg[1], in one of these ways. */
static long step_attack(const struct client_step *step)
{
	uint64_t iova = step->arg[1];
	uint8_t frame[PEER_FRAME_MAX];
	size_t length = frame_make(frame, mac_of_peer, mac_of_client, REPLIES, 0);

	switch (step->arg[0]) {
	case SEND_FROM:
		igbvf_transmit_reclaim(&vf.transmit);
		vf.transmit.buffers = iova - (uint64_t)igbvf_ring_index(&vf.transmit, vf.transmit.tail) *
			IGBVF_BUFFER_SIZE;
		poke(VF_TDT, igbvf_transmit_push(&vf.transmit, 1024));
		return 0;
	case RECEIVE_TO:
		for (uint32_t i = 0; i < vf.receive.size; i++)
			vf.receive.descriptors[i].address = iova;
		return 0;
	case TRANSMIT_RING:
		poke(VF_TDBAL, (uint32_t)iova);
		poke(VF_TDBAH, iova >> 32);
		poke(VF_TDT, igbvf_transmit_push(&vf.transmit, 64));
		return 0;
	case RECEIVE_RING:
		poke(VF_RDBAL, (uint32_t)iova);
		poke(VF_RDBAH, iova >> 32);
		return 0;
	case HEAD_TO:
		poke(VF_TDWBAL, (uint32_t)iova | 1);
		poke(VF_TDWBAH, iova >> 32);
		return igbvf_send(&vf, frame, length);
	}
	return -1;
}

/*
 * The second VF's memory at an IOVA which the first has not: nothing is read, nothing is
 * written, the fault is logged, and the second VF loses no frame.  The kernel logs only
 * some faults in 5 s, so this repeats the access until one is logged.
 */
START_TEST(memory_of_another_vf_is_not_reached)
{
	const uint64_t beyond = 280 << 10;
	uint64_t iova = vdb_slice_iova(flows[1].lent.memory) + beyond;
	struct client_step step = { { _i, iova }, -1 };
	char name[64], expected[128];
	struct igbvf_layout layout;
	char *secret = flows[1].memory + beyond;
	bool logged = false;
	int kmsg = kmsg_open();

	/* After what its driver uses, and not at an address of the first VF. */
	ck_assert(igbvf_layout(lengths[1], &layout));
	ck_assert_uint_ge(beyond, layout.end);
	ck_assert_uint_le(beyond + PAGE, lengths[1]);
	ck_assert(iova < vdb_slice_iova(flows[0].lent.memory) ||
		  iova >= vdb_slice_iova(flows[0].lent.memory) + lengths[0]);
	memset(secret, 's', PAGE);
	ck_assert(function_link(lab_bdf("IGB"), "virtfn0", name, sizeof(name)));
	snprintf(expected, sizeof(expected), "%s] fault addr 0x%llx", name + 5, (unsigned long long)iova);
	ck_assert_works(call(&flows[1], step_echo));

	for (int tries = 0; tries < 5 && !logged; tries++) {
		uint8_t frame[PEER_FRAME_MAX];
		size_t length;

		fill_window(&flows[1]);
		client_call(flows[0].client, step_attack, &step);
		length = frame_make(frame, flows[0].mac, peer_mac(), REQUESTS, tries);
		if (_i == RECEIVE_TO || _i == RECEIVE_RING)
			peer_send(frame, length);
		/* A frame of the first VF would be a wrong reply here, except its own. */
		if (_i == HEAD_TO) {
			flows[0].sent = 1;
			flows[0].received = 0;
		}
		collect_replies();
		logged = kmsg_wait_for(kmsg, expected, 6);
	}
	ck_assert_msg(logged, "the kernel has not logged \"%s\"", expected);
	traffic(&flows[1], 1, 40);
	check_client(&flows[1]);
	for (size_t i = 0; i < PAGE; i++)
		ck_assert_msg(secret[i] == 's', "byte %zu is %#x", i, secret[i]);
	close(kmsg);
}
END_TEST

static long step_send(const struct client_step *step)
{
	uint8_t frame[PEER_FRAME_MAX];
	size_t length = frame_make(frame, mac_of_peer, mac_of_client, REPLIES, 0);

	(void)step;
	return igbvf_send(&vf, frame, length);
}

/* Writes anything to all registers that it has. */
static long step_write_anything(const struct client_step *step)
{
	uint32_t state = step->arg[0];

	for (int i = 0; i < 2000; i++) {
		state = state * 1664525 + 1013904223;
		poke((state >> 8) % (VF_QUEUES_LENGTH / 4) * 4, state * 2654435761u);
		/* Most of them at the queues. */
		poke((state & 0x1000 ? 0x1800 : 0x800) + (state >> 16) % 0x40 / 4 * 4, state ^ 0x02000000);
	}
	return 0;
}

START_TEST(client_that_writes_anything_to_its_registers)
{
	uint8_t frame[PEER_FRAME_MAX];

	ck_assert_works(call(&flows[1], step_echo));
	for (int i = 0; i < 5; i++) {
		fill_window(&flows[1]);
		client_call(flows[0].client, step_write_anything, &(struct client_step){ { 1 + i }, -1 });
		collect_replies();
	}
	ck_assert_works(igbvf_take_back(port, 0));
	traffic(&flows[1], 1, 40);
	check_client(&flows[1]);
	/* The next client finds a VF that works. */
	lend(&flows[0], 0);
	give_to_client(&flows[0], spare[0]);
	start_driver(&flows[0]);
	/* QEMU keeps a frame that has begun over a reset of the VF: this one continues it. */
	ck_assert_works(call(&flows[0], step_send));
	while (peer_receive(frame, 500))
		;
	ck_assert_works(call(&flows[0], step_echo));
	traffic(flows, 1, 40);
	check_client(&flows[0]);
}
END_TEST

/* ---- taking back ---- */

/* The client's memory is then ordinary memory, which the device does not change. */
START_TEST(nothing_after_it_is_taken_back)
{
	uint8_t frame[PEER_FRAME_MAX];
	char *copy = malloc(lengths[0]);
	size_t length;

	for (unsigned int i = 0; i < VFS; i++)
		ck_assert_works(call(&flows[i], step_echo));
	traffic(flows, VFS, 20);
	ck_assert_works(call(&flows[0], step_echo_end));
	fill_window(&flows[1]);
	ck_assert_works(igbvf_take_back(port, 0));
	ck_assert_fails(call(&flows[0], step_send), ENODEV);
	memcpy(copy, flows[0].memory, lengths[0]);
	for (int i = 0; i < 3; i++) {
		length = frame_make(frame, flows[0].mac, peer_mac(), REQUESTS, i);
		peer_send(frame, length);
	}
	/* The frames to the second VF are after those to the first. */
	traffic(&flows[1], 1, 40);
	ck_assert_int_eq(memcmp(copy, flows[0].memory, lengths[0]), 0);
	ck_assert_fails(igbvf_take_back(port, 0), EINVAL);

	lend(&flows[0], 0);
	for (size_t i = 0; i < lengths[0]; i++)
		ck_assert_msg(!flows[0].memory[i], "the next client's memory is not empty");
	give_to_client(&flows[0], spare[0]);
	start_driver(&flows[0]);
	ck_assert_works(call(&flows[0], step_echo));
	traffic(flows, VFS, 20);
	for (unsigned int i = 0; i < VFS; i++)
		check_client(&flows[i]);
	free(copy);
}
END_TEST

/*
 * Its VF continues to receive into the memory, until it is taken back.  The replies that
 * it has sent are complete, and the other client loses nothing.
 */
START_TEST(client_that_is_killed)
{
	ck_assert_works(call(&flows[1], step_echo));
	for (unsigned int i = 0; i < spares; i++) {
		struct flow *victim = &flows[0];
		uint8_t frame[PEER_FRAME_MAX];
		size_t length;

		ck_assert_works(call(victim, step_echo));
		fill_window(&flows[1]);
		fill_window(victim);
		/* At another point of the traffic each time. */
		for (unsigned int n = 0; n < 3 * i; n++)
			receive_reply();
		ck_assert_works(kill(victim->client->pid, SIGKILL));
		ck_assert_int_eq(waitpid(victim->client->pid, NULL, 0), victim->client->pid);
		ck_assert_works(igbvf_take_back(port, 0));
		/* What it has sent is on the way, and nothing comes after it. */
		while (flows[1].received != flows[1].sent || victim->received != victim->sent) {
			length = peer_receive(frame, flows[1].received == flows[1].sent ? 500 : PATIENCE_MS);
			if (!length && flows[1].received == flows[1].sent)
				break;
			struct flow *from = memcmp(frame + 6, victim->mac, 6) ? &flows[1] : victim;

			ck_assert(length && frame_is(frame, length, peer_mac(), from->mac, REPLIES, from->received));
			from->received++;
		}
		lend(victim, 0);
		give_to_client(victim, spare[i]);
		start_driver(victim);
	}
	ck_assert_works(call(&flows[0], step_echo));
	traffic(flows, VFS, 20);
	for (unsigned int i = 0; i < VFS; i++)
		check_client(&flows[i]);
}
END_TEST

static TCase *add_group_of_two(Suite *s, const char *name)
{
	TCase *tc = add_group(s, name);

	if (peer_missing())
		return tc;
	tcase_add_unchecked_fixture(tc, setup_group, teardown_group);
	tcase_add_checked_fixture(tc, setup, NULL);
	return tc;
}

static void add(TCase *tc, const TTest *test)
{
	add_test_or_skip(tc, test, peer_missing());
}

Suite *suite(void)
{
	Suite *s = suite_create("igbvf");
	TCase *tc = add_group_of_two(s, "frames");

	add(tc, frames_arrive_byte_for_byte);
	add(tc, no_system_call_on_the_path);

	tc = add_group_of_two(s, "isolation");
	add(tc, client_has_two_pages_of_registers);
	add(tc, each_vf_has_its_own_io_address_space);
	if (peer_missing())
		add(tc, memory_of_another_vf_is_not_reached);
	else
		tcase_add_loop_test(tc, memory_of_another_vf_is_not_reached, 0, ATTACKS);
	add(tc, client_that_writes_anything_to_its_registers);

	tc = add_group_of_two(s, "taking_back");
	add(tc, nothing_after_it_is_taken_back);
	add(tc, client_that_is_killed);
	return s;
}
