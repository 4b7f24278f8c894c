// SPDX-License-Identifier: MIT
/*
 * Virtual functions of a network controller, each lent to an unprivileged client, which
 * drives it with drivers/igbvf; and what a client that does not keep to the rules reaches.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vfio-dmabuf.h>

#include "drivers/igbvf/registers.h"
#include "igbvf/flows.h"
#include "kmsg.h"
#include "page.h"
#include "suite.h"
#include "sysfs.h"

#define RW		(PROT_READ | PROT_WRITE)

/* ---- frames ---- */

START_TEST(frames_arrive_byte_for_byte)
{
	for (unsigned int i = 0; i < VFS; i++)
		ck_assert_works(flow_call(&flows[i], step_echo));
	flows_traffic(flows, VFS, 150);
	for (unsigned int i = 0; i < VFS; i++) {
		ck_assert_uint_ge(flows[i].received, 150);
		flow_check(&flows[i]);
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
		int result = client_answer(number);

		if (result < 0)
			syscall(SYS_exit, 1);
		number += result;
	}
	syscall(SYS_exit, client_wrong ? 3 : 0);
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
		flow_send(&flows[0]);
	ck_assert_int_eq(flow_call(&flows[0], step_answer_without_calls), 0);
	flows_collect();
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
	return (long)mmap(NULL, step->arg[0], RW, MAP_SHARED, vdb_slice_fd(client_registers), step->arg[1]);
}

static void find_group(unsigned int number, char *group, size_t size)
{
	char name[64];

	find_vf(number, name, sizeof(name));
	ck_assert(function_link(name, "iommu_group", group, size));
}

START_TEST(client_has_two_pages_of_registers)
{
	const struct vdb_slice *slice = flows[0].lent.registers;
	char group[64];

	ck_assert_uint_eq(vdb_slice_offset(slice), 2 * PAGE);
	ck_assert_uint_eq(vdb_slice_length(slice), 2 * PAGE);
	ck_assert_int_eq(flow_call(&flows[0], step_count_fds), 0);
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
	vdb_try_write32(client_vf.registers + at, value);
}

/* Makes the client's own VF access @arg[1], in one of these ways. */
static long step_attack(const struct client_step *step)
{
	uint64_t iova = step->arg[1];
	uint8_t frame[PEER_FRAME_MAX];
	size_t length = frame_make(frame, mac_of_peer, mac_of_client, REPLIES, 0);

	switch (step->arg[0]) {
	case SEND_FROM:
		igbvf_transmit_reclaim(&client_vf.transmit);
		client_vf.transmit.buffers = iova - (uint64_t)igbvf_ring_index(&client_vf.transmit, client_vf.transmit.tail) *
			IGBVF_BUFFER_SIZE;
		poke(VF_TDT, igbvf_transmit_push(&client_vf.transmit, 1024));
		return 0;
	case RECEIVE_TO:
		for (uint32_t i = 0; i < client_vf.receive.size; i++)
			client_vf.receive.descriptors[i].address = iova;
		return 0;
	case TRANSMIT_RING:
		poke(VF_TDBAL, (uint32_t)iova);
		poke(VF_TDBAH, iova >> 32);
		poke(VF_TDT, igbvf_transmit_push(&client_vf.transmit, 64));
		return 0;
	case RECEIVE_RING:
		poke(VF_RDBAL, (uint32_t)iova);
		poke(VF_RDBAH, iova >> 32);
		return 0;
	case HEAD_TO:
		poke(VF_TDWBAL, (uint32_t)iova | 1);
		poke(VF_TDWBAH, iova >> 32);
		return igbvf_send(&client_vf, frame, length);
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
	char expected[128], copy[PAGE];
	struct igbvf_layout layout;
	char *secret = flows[1].memory + beyond;
	bool logged = false;
	int kmsg = kmsg_open();

	/* After what its driver uses, and not at an address of the first VF. */
	ck_assert(igbvf_layout(flow_lengths[1], &layout));
	ck_assert_uint_ge(beyond, layout.end);
	ck_assert_uint_le(beyond + PAGE, flow_lengths[1]);
	ck_assert(iova < vdb_slice_iova(flows[0].lent.memory) ||
		  iova >= vdb_slice_iova(flows[0].lent.memory) + flow_lengths[0]);
	/* If it is read and sent, the peer takes it for a wrong reply. */
	memset(secret, 's', PAGE);
	frame_make((uint8_t *)secret, peer_mac(), flows[0].mac, REPLIES, 4711);
	memcpy(copy, secret, PAGE);
	vf_fault_at(0, iova, expected, sizeof(expected));
	ck_assert_works(flow_call(&flows[1], step_echo));

	for (int tries = 0; tries < 5 && !logged; tries++) {
		uint8_t frame[PEER_FRAME_MAX];
		size_t length;

		flow_fill(&flows[1]);
		client_call(flows[0].client, step_attack, &step);
		length = frame_make(frame, flows[0].mac, peer_mac(), REQUESTS, tries);
		if (_i == RECEIVE_TO || _i == RECEIVE_RING)
			peer_send(frame, length);
		/* A frame of the first VF would be a wrong reply here, except its own. */
		if (_i == HEAD_TO) {
			flows[0].sent = 1;
			flows[0].received = 0;
		}
		flows_collect();
		logged = kmsg_wait_for(kmsg, expected, 6);
	}
	flows_traffic(&flows[1], 1, 40);
	flow_check(&flows[1]);
	ck_assert_int_eq(memcmp(secret, copy, PAGE), 0);
	ck_assert_msg(logged, "the kernel has not logged \"%s\"", expected);
	close(kmsg);
}
END_TEST

static long step_send(const struct client_step *step)
{
	uint8_t frame[PEER_FRAME_MAX];
	size_t length = frame_make(frame, mac_of_peer, mac_of_client, REPLIES, 0);

	(void)step;
	return igbvf_send(&client_vf, frame, length);
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

	ck_assert_works(flow_call(&flows[1], step_echo));
	for (int i = 0; i < 5; i++) {
		flow_fill(&flows[1]);
		client_call(flows[0].client, step_write_anything, &(struct client_step){ { 1 + i }, -1 });
		flows_collect();
	}
	ck_assert_works(igbvf_revoke(port, 0));
	flows_traffic(&flows[1], 1, 40);
	flow_check(&flows[1]);
	/* The next client finds a VF that works. */
	flow_lend(&flows[0], 0);
	flow_give(&flows[0], spare[0]);
	flow_start(&flows[0]);
	/* QEMU keeps a frame that has begun over a reset of the VF: this one continues it. */
	ck_assert_works(flow_call(&flows[0], step_send));
	while (peer_receive(frame, 500))
		;
	ck_assert_works(flow_call(&flows[0], step_echo));
	flows_traffic(flows, 1, 40);
	flow_check(&flows[0]);
}
END_TEST

/* ---- taking back ---- */

/* The client's memory is then ordinary memory, which the device does not change. */
START_TEST(nothing_after_it_is_taken_back)
{
	uint8_t frame[PEER_FRAME_MAX];
	char *copy = malloc(flow_lengths[0]);
	int kmsg = kmsg_open();
	char fault[128];
	size_t length;

	vf_fault(0, fault, sizeof(fault));
	for (unsigned int i = 0; i < VFS; i++)
		ck_assert_works(flow_call(&flows[i], step_echo));
	flows_traffic(flows, VFS, 20);
	ck_assert_works(flow_call(&flows[0], step_echo_end));
	flow_fill(&flows[1]);
	ck_assert_works(igbvf_revoke(port, 0));
	ck_assert_fails(flow_call(&flows[0], step_send), ENODEV);
	memcpy(copy, flows[0].memory, flow_lengths[0]);
	for (int i = 0; i < 3; i++) {
		length = frame_make(frame, flows[0].mac, peer_mac(), REQUESTS, i);
		peer_send(frame, length);
	}
	/* The frames to the second VF are after those to the first. */
	flows_traffic(&flows[1], 1, 40);
	ck_assert_int_eq(memcmp(copy, flows[0].memory, flow_lengths[0]), 0);
	/* Its queues were stopped, and not only its memory was unmapped. */
	ck_assert(!kmsg_wait_for(kmsg, fault, 1));
	ck_assert_fails(igbvf_revoke(port, 0), EINVAL);

	flow_lend(&flows[0], 0);
	for (size_t i = 0; i < flow_lengths[0]; i++)
		ck_assert_msg(!flows[0].memory[i], "the next client's memory is not empty");
	flow_give(&flows[0], spare[0]);
	flow_start(&flows[0]);
	ck_assert_works(flow_call(&flows[0], step_echo));
	flows_traffic(flows, VFS, 20);
	for (unsigned int i = 0; i < VFS; i++)
		flow_check(&flows[i]);
	free(copy);
	close(kmsg);
}
END_TEST

/*
 * Its VF continues to receive into the memory until the owner revokes it.  The replies
 * that the client has sent are complete, and the other client loses nothing.
 */
START_TEST(client_that_is_killed)
{
	ck_assert_works(flow_call(&flows[1], step_echo));
	for (unsigned int i = 0; i < SPARES; i++) {
		struct flow *victim = &flows[0];
		uint8_t frame[PEER_FRAME_MAX];
		size_t length;

		ck_assert_works(flow_call(victim, step_echo));
		flow_fill(&flows[1]);
		flow_fill(victim);
		/* At another point of the traffic each time. */
		for (unsigned int n = 0; n < 3 * i; n++)
			flows_receive();
		ck_assert_works(kill(victim->client->pid, SIGKILL));
		ck_assert_int_eq(waitpid(victim->client->pid, NULL, 0), victim->client->pid);
		ck_assert_works(igbvf_revoke(port, 0));
		/* What it has sent is on the way, and nothing comes after it. */
		while (flows[1].received != flows[1].sent || victim->received != victim->sent) {
			length = peer_receive(frame, flows[1].received == flows[1].sent ? 500 : PATIENCE_MS);
			if (!length && flows[1].received == flows[1].sent)
				break;
			struct flow *from = memcmp(frame + 6, victim->mac, 6) ? &flows[1] : victim;

			ck_assert(length && frame_is(frame, length, peer_mac(), from->mac, REPLIES, from->received));
			from->received++;
		}
		flow_lend(victim, 0);
		flow_give(victim, spare[i]);
		flow_start(victim);
	}
	ck_assert_works(flow_call(&flows[0], step_echo));
	flows_traffic(flows, VFS, 20);
	for (unsigned int i = 0; i < VFS; i++)
		flow_check(&flows[i]);
}
END_TEST

static TCase *add_group_of_two(Suite *s, const char *name)
{
	TCase *tc = add_group(s, name);

	if (peer_missing())
		return tc;
	tcase_add_unchecked_fixture(tc, flows_begin, flows_end);
	tcase_add_checked_fixture(tc, flows_setup, NULL);
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

	if (page_too_large()) {
		add_test_or_skip(tc, frames_arrive_byte_for_byte, page_too_large());
		return s;
	}

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
