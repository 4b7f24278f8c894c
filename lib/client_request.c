/* SPDX-License-Identifier: MIT */
/*
 * One request and its answer, and the messages that come in between.  An answer
 * to another request is late, or comes twice after a restart of the broker.  It
 * is dropped.
 */
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "client_internal.h"

#define AT_ONCE	64	/* messages that client_next() reads in one call */

static int too_late(struct vdb_client *client)
{
	return client_fail(client, ETIMEDOUT, "the broker did not answer in time");
}

/* Takes the next message.  1; 0: there is none before the deadline. */
static int take_next(struct vdb_client *client, struct message *m, uint64_t *answers, uint64_t deadline)
{
	int ret = client_receive(client, m, deadline);

	if (ret > 0 && client_take(client, m, answers))
		return -1;
	return ret;
}

int client_send(struct vdb_client *client, struct vdp_header *header, uint32_t type,
		size_t size, uint64_t deadline)
{
	struct message m;
	uint64_t ignored;
	int ret;

	client->error[0] = '\0';
	/* This request may be for a slice that an outstanding release makes free. */
	client_pay(client);
	while (!(ret = client_send_now(client, header, type, size))) {
		/* The broker reads no request while it cannot send to this client. So read, too. */
		if (!client_wait(client, POLLIN | POLLOUT, deadline) || client_is_late(deadline))
			return too_late(client);
		if (take_next(client, &m, &ignored, 0) < 0)
			return -1;
	}
	return ret < 0 ? -1 : 0;
}

int client_answer(struct vdb_client *client, uint64_t serial, struct message *m, uint64_t deadline)
{
	uint64_t answers;
	int ret;

	for (;;) {
		ret = take_next(client, m, &answers, deadline);
		if (ret < 0)
			return -1;
		if (ret && answers == serial)
			break;
		if (!ret || client_is_late(deadline))
			return too_late(client);
	}
	if (m->body.header.type == VDP_ERROR)
		return client_fail(client, client_errno_of(&m->body.error), m->body.error.text);
	return 0;
}

int client_request(struct vdb_client *client, struct vdp_header *header, uint32_t type,
		   size_t size, uint32_t answer, struct message *m)
{
	uint64_t deadline = client_deadline(client->timeout_ms);

	if (client_send(client, header, type, size, deadline) ||
	    client_answer(client, header->serial, m, deadline))
		return -1;
	if (m->body.header.type != answer)
		return client_break_off(client, EPROTO, "the broker's answer does not fit the request");
	return 0;
}

int client_next(struct vdb_client *client, int (*pending)(struct vdb_client *client, void *found), void *found)
{
	struct message m;
	uint64_t answers;

	client_pay(client);
	/* A broker that sends continuously does not keep the caller here. */
	for (int i = 0; i < AT_ONCE; i++) {
		int ret;

		if (pending(client, found))
			return 1;
		ret = client_receive(client, &m, 0);
		if (ret <= 0)
			return ret;
		if (client_take(client, &m, &answers))
			return -1;
	}
	return pending(client, found);
}
