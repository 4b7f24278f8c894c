/* SPDX-License-Identifier: MIT */
/*
 * Two virtual functions of the lab's IGB, each lent to an unprivileged client of its own,
 * and traffic: the peer sends requests to a VF, whose client answers each with a reply.
 * The contents of all frames are known, and compared.
 */
#ifndef TESTS_IGBVF_FLOWS_H
#define TESTS_IGBVF_FLOWS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <vfio-dmabuf.h>

#include "client.h"
#include "drivers/igbvf/igbvf.h"
#include "drivers/igbvf/lend.h"
#include "peer.h"

#define VFS		2
#define SPARES		4
#define FLOWS_TOKEN	"8b3a1e60-5a0c-4c6c-9d5e-0a6d1f2c7e11"

/* Of the module: whether VFs can be enabled. */
#define FLOWS_PARAMETER	"/sys/module/dmabuf_vfio_pci/parameters/enable_sriov"

#define REQUESTS	1	/* streams of frames: from the peer, */
#define REPLIES		2	/* and to it */

/* Requests on the way to a VF: fewer than it has descriptors. */
#define WINDOW		8
/* That the peer waits for a frame, on a slow machine. */
#define PATIENCE_MS	30000

/* ---- in a client's process ---- */

extern struct igbvf client_vf;
extern struct vdb_slice *client_registers, *client_memory;
extern uint8_t mac_of_client[6], mac_of_peer[6];
/* Frames that were not what they had to be. */
extern atomic_uint client_wrong;

/* Answers request @number, if it is there: 1; 0: there is none; -1 with errno. */
int client_answer(uint32_t number);
/* Steps: begin to answer requests, in a thread, and end that. */
long step_echo(const struct client_step *step);
long step_echo_end(const struct client_step *step);

/* ---- in the test's ---- */

struct flow {
	struct client *client;
	struct igbvf_lent lent;
	char *memory;		/* the client's, as the test sees it */
	uint8_t mac[6];
	unsigned int vf;
	uint32_t sent, received;	/* requests and replies */
};

extern struct flow flows[VFS];
extern struct igbvf_owner *port;
extern const uint64_t flow_lengths[VFS];
/* Made before the devices are open, so that they do not inherit anything of them. */
extern struct client *spare[SPARES];

/* Fixtures of a group: the peer's link takes seconds to come up. */
void flows_begin(void);
void flows_end(void);
/* Of each test: both VFs are lent, and the clients, of different users, have started. */
void flows_setup(void);
/* Parts of it, for other owners. */
void flows_start_clients(void);
void find_vf(unsigned int number, char *name, size_t size);

/*
 * An access of a VF to an IOVA that is not mapped is a fault, which the kernel logs, and
 * most of them not if there are several in 5 s: the text that identifies those of a VF,
 * and those at one IOVA.
 */
void vf_fault(unsigned int number, char *text, size_t size);
void vf_fault_at(unsigned int number, uint64_t iova, char *text, size_t size);

void flow_lend(struct flow *flow, unsigned int number);
void flow_give(struct flow *flow, struct client *client);
void flow_start(struct flow *flow);
long flow_call(const struct flow *flow, client_fn *fn);

void flow_send(struct flow *flow);
/* Sends until as many requests are on the way as may be. */
void flow_fill(struct flow *flow);
/* The next reply must be the next one of the VF that it is from. */
void flows_receive(void);
void flows_collect(void);
/* @count requests to each of some VFs, with all replies. */
void flows_traffic(struct flow *some, unsigned int nr, unsigned int count);
/* Ends the client's answers.  It must have received what was sent. */
void flow_check(struct flow *flow);

#endif
