// SPDX-License-Identifier: MIT
/* Virtual functions that are lent to clients, and traffic between these and a peer. */
#define _GNU_SOURCE
#include "flows.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "dmar.h"
#include "suite.h"
#include "sysfs.h"

#define RW		(PROT_READ | PROT_WRITE)

/* Rings of 16 descriptors; the second VF has longer ones, and more IOVAs. */
const uint64_t flow_lengths[VFS] = { 80 << 10, 320 << 10 };

/* ---- the client's process ---- */

struct igbvf client_vf;
struct vdb_slice *client_registers, *client_memory;
uint8_t mac_of_client[6], mac_of_peer[6];
static pthread_t echo_thread;
static atomic_bool echo_ends;
/* Frames that were answered, and that were not what they had to be. */
static atomic_uint answered;
atomic_uint client_wrong;

static long step_receive_slices(const struct client_step *step)
{
	client_registers = vdb_slice_receive(step->arg[0]);
	client_memory = vdb_slice_receive(step->arg[0]);
	if (!client_registers || !client_memory || vdb_guard_enable())
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
	return igbvf_start(&client_vf, client_registers, client_memory);
}

/* Answers the next frame, if there is one: 1; 0: there was none; -1 with errno. */
int client_answer(uint32_t number)
{
	uint8_t frame[PEER_FRAME_MAX];
	ssize_t length = igbvf_receive(&client_vf, frame, sizeof(frame));

	if (length <= 0)
		return length;
	if (!frame_is(frame, length, mac_of_client, mac_of_peer, REQUESTS, number))
		client_wrong++;
	length = frame_make(frame, mac_of_peer, mac_of_client, REPLIES, number);
	return igbvf_send(&client_vf, frame, length) ? -1 : 1;
}

static void *echo(void *unused)
{
	const struct timespec pause = { .tv_nsec = 1000 * 1000 };
	int result = 0;

	while (!echo_ends && result >= 0) {
		result = client_answer(answered);
		if (result > 0)
			answered++;
		else if (!result)
			nanosleep(&pause, NULL);
	}
	return unused;
}

long step_echo(const struct client_step *step)
{
	(void)step;
	echo_ends = false;
	return pthread_create(&echo_thread, NULL, echo, NULL);
}

long step_echo_end(const struct client_step *step)
{
	(void)step;
	echo_ends = true;
	return pthread_join(echo_thread, NULL);
}

static long step_wrong(const struct client_step *step)
{
	(void)step;
	return client_wrong + client_vf.bad;
}

/* ---- the owner, and the wire ---- */

struct igbvf_owner *port;
struct flow flows[VFS];
/* Made before the devices are open, so that they do not inherit anything of them. */
struct client *spare[SPARES];

void find_vf(unsigned int number, char *name, size_t size)
{
	char link[32];

	snprintf(link, sizeof(link), "virtfn%u", number);
	ck_assert(function_link(lab_bdf("IGB"), link, name, size));
}

void vf_fault(unsigned int number, char *text, size_t size)
{
	char name[64];

	find_vf(number, name, sizeof(name));
	dmar_text(name, text, size);
}

void vf_fault_at(unsigned int number, uint64_t iova, char *text, size_t size)
{
	char name[64];

	find_vf(number, name, sizeof(name));
	dmar_text_at(name, iova, text, size);
}

void flow_lend(struct flow *flow, unsigned int number)
{
	char error[VDB_ERROR_SIZE];

	flow->vf = number;
	memcpy(flow->mac, (uint8_t[]){ 2, 0x82, 0x57, 6, 0, number }, 6);
	ck_assert_msg(!igbvf_lend(port, number, flow->mac, flow_lengths[number], &flow->lent, error), "%s", error);
	flow->memory = vdb_slice_map(flow->lent.memory, 0, 0, RW);
	ck_assert_ptr_nonnull(flow->memory);
	flow->sent = flow->received = 0;
}

void flow_give(struct flow *flow, struct client *client)
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

void flow_start(struct flow *flow)
{
	struct client_step step = { { mac_to(flow->mac), mac_to(peer_mac()) }, -1 };

	ck_assert_works(client_call(flow->client, step_start, &step));
}

long flow_call(const struct flow *flow, client_fn *fn)
{
	return client_call(flow->client, fn, &(struct client_step){ .fd = -1 });
}

static void wait_for_link(void)
{
	const struct timespec pause = { .tv_nsec = 20 * 1000 * 1000 };

	while (!igbvf_owner_link(port))
		nanosleep(&pause, NULL);
}

void flows_start_clients(void)
{
	static const enum client_user users[] = { CLIENT_NOBODY, CLIENT_STRANGER };

	for (unsigned int i = 0; i < VFS; i++)
		flows[i].client = client_start(users[i]);
	for (unsigned int i = 0; i < SPARES; i++)
		spare[i] = client_start(CLIENT_NOBODY);
}

/* Two VFs, two clients of different users, and each has its driver running. */
void flows_setup(void)
{
	char error[VDB_ERROR_SIZE];

	flows_start_clients();
	driver_rebind(lab_bdf("IGB"));
	sysfs_write(lab_bdf("IGB"), "sriov_numvfs", "0");
	ck_assert_works(file_write(FLOWS_PARAMETER, "1"));
	port = igbvf_owner_open(lab_bdf("IGB"), FLOWS_TOKEN, VFS, error);
	ck_assert_msg(port, "%s", error);
	wait_for_link();
	for (unsigned int i = 0; i < VFS; i++) {
		flow_lend(&flows[i], i);
		flow_give(&flows[i], flows[i].client);
		flow_start(&flows[i]);
	}
}

/* In the parent of a group's tests: the link takes seconds to come up. */
void flows_begin(void)
{
	peer_start();
}

/* Also if a test has failed. */
void flows_end(void)
{
	sysfs_write(lab_bdf("IGB"), "sriov_numvfs", "0");
	sysfs_write(lab_bdf("IGB"), "sriov_drivers_autoprobe", "1");
	file_write(FLOWS_PARAMETER, "0");
	driver_rebind(lab_bdf("IGB"));
	peer_stop();
}

void flow_send(struct flow *flow)
{
	uint8_t frame[PEER_FRAME_MAX];
	size_t length = frame_make(frame, flow->mac, peer_mac(), REQUESTS, flow->sent++);

	peer_send(frame, length);
}

/* The next reply must be the next one of the VF that it is from. */
void flows_receive(void)
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

void flows_collect(void)
{
	while (flows[0].received != flows[0].sent || flows[1].received != flows[1].sent)
		flows_receive();
}

void flow_fill(struct flow *flow)
{
	while (flow->sent - flow->received < WINDOW)
		flow_send(flow);
}

/* @count requests to each of some VFs, answered and compared byte for byte. */
void flows_traffic(struct flow *some, unsigned int nr, unsigned int count)
{
	uint32_t until[VFS];
	unsigned int missing;

	for (unsigned int i = 0; i < nr; i++)
		until[i] = some[i].received + count;
	do {
		missing = 0;
		for (unsigned int i = 0; i < nr; i++) {
			if (some[i].received < until[i]) {
				flow_fill(&some[i]);
				missing++;
			}
		}
		if (missing)
			flows_receive();
	} while (missing);
	flows_collect();
}

void flow_check(struct flow *flow)
{
	ck_assert_works(flow_call(flow, step_echo_end));
	ck_assert_int_eq(flow_call(flow, step_wrong), 0);
}
