// SPDX-License-Identifier: MIT
/*
 * The broker has a physical function and its virtual functions, and lends them: the PF's
 * registers to a program of root's, which makes the VFs work, and each VF's queues with
 * memory to an unprivileged client.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "broker.h"
#include "drivers/igbvf/pf.h"
#include "igbvf/flows.h"
#include "kmsg.h"
#include "manager.h"
#include "page.h"
#include "suite.h"
#include "sysfs.h"

#define RW	(PROT_READ | PROT_WRITE)

/* Memory for the PF only makes the broker switch on its bus mastering. */
static const char config[] =
	"devices:\n"
	"  pf: {function: @IGB@, vf_token: " FLOWS_TOKEN ", reset: never,\n"
	"    slices: {registers: {length: 128K, memory: 4K, allow: {users: [root]}}}}\n"
	"  vf0: {function: %s, vf_token: " FLOWS_TOKEN ",\n"
	"    slices: {queues: {offset: 8K, length: 8K, memory: 80K, allow: {users: [client]}}}}\n"
	"  vf1: {function: %s, vf_token: " FLOWS_TOKEN ",\n"
	"    slices: {queues: {offset: 8K, length: 8K, memory: 320K, allow: {users: [client]}}}}\n";

static pid_t broker;
static struct vdb_client *owner;
static void *pf;

/* In a client: its own connection, and its lease of a VF.  Returns the IOVA, or -errno. */
static long step_lease(const struct client_step *step)
{
	struct vdb_client *client = vdb_client_connect(MANAGER_SOCKET, BROKER_MS, NULL);
	struct vdb_lease lease;
	char name[32];

	snprintf(name, sizeof(name), "vf%ld/queues", step->arg[0]);
	if (!client || vdb_guard_enable() ||
	    vdb_client_acquire(client, name, 0, 0, 0, BROKER_MS, &lease))
		return -errno;
	client_registers = lease.slice;
	client_memory = lease.memory;
	return lease.memory ? (long)vdb_slice_iova(lease.memory) : -ENODATA;
}

static long step_lease_pf(const struct client_step *step)
{
	struct vdb_client *client = vdb_client_connect(MANAGER_SOCKET, BROKER_MS, NULL);
	struct vdb_lease lease;

	(void)step;
	return client ? vdb_client_acquire(client, "pf/registers", 0, 0, 0, 0, &lease) : -2;
}

static void lease_vf(struct flow *flow, unsigned int number, struct client *client)
{
	long iova = client_call(client, step_lease, &(struct client_step){ { number }, -1 });

	ck_assert_msg(iova > 0, "vf%u/queues: %s", number, strerror(-iova));
	flow->client = client;
	flow->vf = number;
	flow->sent = flow->received = 0;
	memcpy(flow->mac, (uint8_t[]){ 2, 0x82, 0x57, 6, 0, number }, 6);
}

/* The VF was reset before the lease, and the PF does not let it work any more. */
static void start_vf(struct flow *flow)
{
	igbvf_pf_admit(pf, flow->vf, flow->mac);
	flow_start(flow);
}

static void setup(void)
{
	const struct timespec pause = { .tv_nsec = 20 * 1000 * 1000 };
	char names[VFS][64], text[2048];
	struct vdb_lease lease;

	flows_start_clients();
	driver_rebind(lab_bdf("IGB"));
	ck_assert_works(file_write(FLOWS_PARAMETER, "1"));
	ck_assert_works(sysfs_write(lab_bdf("IGB"), "sriov_numvfs", "2"));
	for (unsigned int i = 0; i < VFS; i++)
		find_vf(i, names[i], sizeof(names[i]));
	snprintf(text, sizeof(text), config, names[0], names[1]);
	unlink(BROKER_LOG);
	manager_init();
	broker_configure(text);
	broker = broker_start();
	owner = broker_connect();
	broker_wait_open(owner);
	lease = broker_acquire(owner, "pf/registers", 0);
	pf = vdb_slice_map(lease.slice, 0, 0, RW);
	ck_assert_ptr_nonnull(pf);
	igbvf_pf_start(pf);
	while (!igbvf_pf_link(pf))
		nanosleep(&pause, NULL);
	for (unsigned int i = 0; i < VFS; i++) {
		/* The second is a spare one: both are the user that the broker allows. */
		lease_vf(&flows[i], i, i ? spare[0] : flows[0].client);
		start_vf(&flows[i]);
	}
}

static void teardown(void)
{
	vdb_client_close(owner);
	broker_stop(broker, SIGTERM);
}

START_TEST(broker_lends_virtual_functions)
{
	for (unsigned int i = 0; i < VFS; i++)
		ck_assert_works(flow_call(&flows[i], step_echo));
	flows_traffic(flows, VFS, 60);
	for (unsigned int i = 0; i < VFS; i++)
		flow_check(&flows[i]);
	/* The PF's registers are not for the clients. */
	ck_assert_fails(flow_call(&flows[0], step_lease_pf), ENOENT);
}
END_TEST

/* Its VF is reset and its memory unmapped, and the next client has it. */
START_TEST(client_of_the_broker_is_killed)
{
	uint8_t frame[PEER_FRAME_MAX];
	int kmsg = kmsg_open();
	char fault[128];
	size_t length;

	vf_fault(0, fault, sizeof(fault));
	for (unsigned int i = 0; i < VFS; i++)
		ck_assert_works(flow_call(&flows[i], step_echo));
	flows_traffic(flows, VFS, 10);
	flow_fill(&flows[1]);
	ck_assert_works(kill(flows[0].client->pid, SIGKILL));
	ck_assert_int_eq(waitpid(flows[0].client->pid, NULL, 0), flows[0].client->pid);
	flows_traffic(&flows[1], 1, 10);
	/* It gets the VF when the lease before has ended. */
	lease_vf(&flows[0], 0, spare[1]);
	for (int i = 0; i < 3; i++) {
		length = frame_make(frame, flows[0].mac, peer_mac(), REQUESTS, i);
		peer_send(frame, length);
	}
	flows_traffic(&flows[1], 1, 40);
	/* The VF was reset: its queues do not use memory that it has no more. */
	ck_assert(!kmsg_wait_for(kmsg, fault, 1));
	close(kmsg);
	start_vf(&flows[0]);
	ck_assert_works(flow_call(&flows[0], step_echo));
	flows_traffic(flows, VFS, 40);
	for (unsigned int i = 0; i < VFS; i++)
		flow_check(&flows[i]);
}
END_TEST

/* Leases, and what the VFs send and receive, go on without the broker. */
START_TEST(broker_is_restarted)
{
	for (unsigned int i = 0; i < VFS; i++)
		ck_assert_works(flow_call(&flows[i], step_echo));
	flow_fill(&flows[0]);
	flow_fill(&flows[1]);
	broker_stop(broker, SIGKILL);
	flows_traffic(flows, VFS, 20);
	broker = broker_start();
	flows_traffic(flows, VFS, 20);
	for (unsigned int i = 0; i < VFS; i++)
		flow_check(&flows[i]);
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("igbvf_broker");
	TCase *tc = add_group(s, "broker");
	const char *reason = peer_missing() ?: page_too_large();

	if (!reason) {
		tcase_add_unchecked_fixture(tc, flows_begin, flows_end);
		tcase_add_checked_fixture(tc, setup, teardown);
	}
	add_test_or_skip(tc, broker_lends_virtual_functions, reason);
	add_test_or_skip(tc, client_of_the_broker_is_killed, reason);
	add_test_or_skip(tc, broker_is_restarted, reason);
	return s;
}
