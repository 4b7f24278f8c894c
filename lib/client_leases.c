/* SPDX-License-Identifier: MIT */
/*
 * The records of a client's leases, and of its requests for them.
 *
 * The broker's messages can come late, twice, or for a lease that this client
 * no longer wants or does not know, for example after a restart of the broker.
 * The client releases a lease that it does not want, and drops a message that
 * says nothing new.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "client_internal.h"
#include "common/fds.h"

static_assert(VDB_FLAG_READ_ONLY == VDP_READ_ONLY && VDB_FLAG_WC == VDP_WC, "same bits");
static_assert((int)VDB_STATE_SUSPENDED == (int)VDP_STATE_SUSPENDED &&
	      (int)VDB_STATE_LIVE == (int)VDP_STATE_LIVE, "same states");
static_assert((int)VDB_END_RELEASED == (int)VDP_END_RELEASED && (int)VDB_END_TIMEOUT == (int)VDP_END_TIMEOUT,
	      "same ends");

struct known_lease *client_find_request(const struct vdb_client *client, uint64_t request)
{
	struct known_lease *lease = client->newest;

	while (lease && lease->request != request)
		lease = lease->former;
	return lease;
}

struct known_lease *client_find_lease(const struct vdb_client *client, uint64_t id)
{
	struct known_lease *lease = client->newest;

	while (lease && (lease->id != id || !id))
		lease = lease->former;
	return lease;
}

struct known_lease *client_add_request(struct vdb_client *client)
{
	struct known_lease *lease = calloc(1, sizeof(*lease));

	if (!lease)
		return NULL;
	lease->lease.interrupt = -1;
	/* The oldest first: they are reported in this order. */
	lease->former = client->newest;
	*(lease->former ? &lease->former->next : &client->leases) = lease;
	client->newest = lease;
	return lease;
}

/* Closes a granted slice that the caller has not received. */
static void drop_slice(struct known_lease *lease)
{
	if (lease->decided) {
		vdb_slice_free(lease->lease.slice);
		vdb_slice_free(lease->lease.memory);
		fds_close(&lease->lease.interrupt, 1);
	}
	lease->lease.slice = lease->lease.memory = NULL;
	lease->lease.interrupt = -1;
}

void client_forget_lease(struct vdb_client *client, struct known_lease *lease)
{
	*(lease->former ? &lease->former->next : &client->leases) = lease->next;
	*(lease->next ? &lease->next->former : &client->newest) = lease->former;
	client->unwanted -= lease->status == LEASE_UNWANTED;
	drop_slice(lease);
	free(lease);
}

static void watch_for_room(struct vdb_client *client, bool owes)
{
	struct epoll_event event = { .events = owes ? EPOLLIN | EPOLLOUT : EPOLLIN };

	if (client->owes != owes)
		epoll_ctl(client->epoll, EPOLL_CTL_MOD, client->socket, &event);
	client->owes = owes;
}

void client_pay(struct vdb_client *client)
{
	bool owes = false;

	if (!client->unwanted && !client->owes)
		return;
	for (struct known_lease *lease = client->leases; lease && !owes && !client->broken; lease = lease->next) {
		struct vdp_lease_request release = { .lease = lease->id };

		if (lease->status != LEASE_UNWANTED || !lease->id || lease->release)
			continue;
		if (client_send_now(client, &release.header, VDP_RELEASE, sizeof(release)) > 0)
			lease->release = release.header.serial;
		else
			owes = true;
	}
	watch_for_room(client, owes);
}

void client_unwant(struct vdb_client *client, struct known_lease *lease)
{
	drop_slice(lease);
	client->unwanted += lease->status != LEASE_UNWANTED;
	lease->status = LEASE_UNWANTED;
	lease->decided = lease->changed = false;
	client_pay(client);
}

/* There is something to report about a lease. */
static void ring(struct vdb_client *client, const struct known_lease *lease)
{
	if (!lease->awaited)
		eventfd_write(client->pending, 1);
}

void client_be_quiet(struct vdb_client *client)
{
	const struct known_lease *lease = client->leases;

	while (lease && !lease->decided && !lease->changed)
		lease = lease->next;
	if (!lease && !client_has_news(client))
		eventfd_read(client->pending, &(eventfd_t){ 0 });
}

void client_await_no_more(struct vdb_client *client, struct known_lease *lease)
{
	lease->awaited = false;
	if (lease->decided || lease->changed)
		ring(client, lease);
}

static void refuse(struct vdb_client *client, struct known_lease *lease, int error, const char *text)
{
	if (lease->status == LEASE_UNWANTED) {
		client_forget_lease(client, lease);
		return;
	}
	lease->decided = true;
	lease->error = error;
	snprintf(lease->text, sizeof(lease->text), "%s", text);
	ring(client, lease);
}

/*
 * A request whose lease the caller does not get: the caller sees it as refused, and the
 * broker gets a release.
 */
static int refuse_and_release(struct vdb_client *client, struct known_lease *lease, int error,
			      const char *text)
{
	struct known_lease *unwanted = client_add_request(client);

	if (!unwanted)
		return client_break_off(client, ENOMEM, "there is no memory to release a lease");
	unwanted->id = lease->id;
	lease->id = 0;
	refuse(client, lease, error, text);
	client_unwant(client, unwanted);
	return 0;
}

/* A lease that this client does not know. */
static int release_unknown(struct vdb_client *client, uint64_t id)
{
	struct known_lease *lease = client_add_request(client);

	if (!lease)
		return client_break_off(client, ENOMEM, "there is no memory to release a lease");
	lease->id = id;
	client_unwant(client, lease);
	return 0;
}

/*
 * The lease that a message is about, by the serial of its request, or by its id.
 * NULL: not known.
 */
static struct known_lease *lease_of(struct vdb_client *client, const struct vdp_header *header,
				    uint64_t id)
{
	struct known_lease *lease = header->serial ? client_find_request(client, header->serial) : NULL;
	bool is_new = lease && !lease->id && !lease->decided;

	if (lease && lease->id == id)
		return lease;
	if (!is_new)
		return client_find_lease(client, id);
	/* An unwanted lease can be without a request here. */
	if (client->unwanted && client_find_lease(client, id))
		return client_find_lease(client, id);
	lease->id = id;
	return lease;
}

static int take_waiting(struct vdb_client *client, const struct vdp_acquire_answer *waiting)
{
	struct known_lease *lease = lease_of(client, &waiting->header, waiting->lease);

	if (!lease)
		return release_unknown(client, waiting->lease);
	client_pay(client);
	return 0;
}

static struct vdb_slice *slice_of(struct message *m)
{
	const struct vdp_grant *grant = &m->body.grant;
	struct vdb_slice *slice;

	if (!client_is_text(grant->bdf, sizeof(grant->bdf)) ||
	    grant->flags & ~(VDP_READ_ONLY | VDP_WC | VDP_EXCLUSIVE | VDP_INTERRUPT) ||
	    (grant->flags & VDP_INTERRUPT && !grant->memory)) {
		errno = EPROTO;
		return NULL;
	}
	slice = vdb_slice_from_fd(m->fds[0], m->fds[1], grant->bdf, grant->bar, grant->offset,
				  grant->flags & (VDP_READ_ONLY | VDP_WC));
	if (!slice)
		return NULL;
	if (slice->length != grant->length) {
		slice->fd = slice->event_fd = -1;
		vdb_slice_free(slice);
		errno = EPROTO;
		return NULL;
	}
	m->fds[0] = m->fds[1] = -1;
	return slice;
}

/* The fds are no longer the slice's, but the message's. */
static void give_fds_back(struct vdb_slice *slice, struct message *m)
{
	m->fds[0] = slice->fd;
	m->fds[1] = slice->event_fd;
	slice->fd = slice->event_fd = -1;
	vdb_slice_free(slice);
}

/* The memory of a grant that has some. */
static struct vdb_slice *memory_of(struct message *m)
{
	const struct vdp_grant *grant = &m->body.grant;
	struct vdb_slice *memory = vdb_memory_from_fd(m->fds[2], grant->iova, 0);

	if (!memory)
		return NULL;
	if (memory->length == grant->memory) {
		m->fds[2] = -1;
		return memory;
	}
	memory->fd = -1;
	vdb_slice_free(memory);
	errno = EPROTO;
	return NULL;
}

static int grant(struct vdb_client *client, struct known_lease *lease, struct message *m)
{
	struct vdb_slice *slice, *memory = NULL;

	if (m->lost)
		return refuse_and_release(client, lease, EMFILE,
			"this process has no room for the open files of the slice; raise its limit (ulimit -n)");
	slice = slice_of(m);
	if (slice && m->body.grant.memory) {
		memory = memory_of(m);
		if (!memory) {
			give_fds_back(slice, m);
			slice = NULL;
		}
	}
	if (!slice && errno == ENOMEM)
		return refuse_and_release(client, lease, ENOMEM, "there is no memory for the slice");
	if (!slice)
		return client_break_off(client, EPROTO, "the broker's slice is not what the broker says");
	lease->status = LEASE_HELD;
	lease->decided = true;
	lease->lease = (struct vdb_lease){
		.id = lease->id,
		.index = m->body.grant.index,
		.seconds = m->body.grant.seconds,
		.slice = slice,
		.memory = memory,
		.interrupt = m->fds[3],
	};
	m->fds[3] = -1;
	ring(client, lease);
	return 0;
}

static int take_grant(struct vdb_client *client, struct message *m)
{
	struct known_lease *lease = lease_of(client, &m->body.header, m->body.grant.lease);

	if (!lease)
		return release_unknown(client, m->body.grant.lease);
	if (lease->status == LEASE_ASKED)
		return grant(client, lease, m);
	/* The message came twice, or the lease is no longer wanted. */
	client_pay(client);
	return 0;
}

static int take_state(struct vdb_client *client, const struct vdp_state *state)
{
	struct known_lease *lease;

	if (state->state > VDP_STATE_SUSPENDED)
		return client_break_off(client, EPROTO, "the broker's message has a state that this library does not know");
	lease = lease_of(client, &state->header, state->lease);
	if (!lease)
		return release_unknown(client, state->lease);
	if (lease->status == LEASE_ASKED)
		return refuse_and_release(client, lease, EAGAIN,
					  "the broker was restarted while it granted the slice; acquire it again");
	client_pay(client);
	/*
	 * After the end of the lease, or if nothing has changed: the message is late or
	 * came twice.
	 */
	if (lease->status == LEASE_HELD && lease->state != VDB_STATE_REVOKED &&
	    lease->state != (enum vdb_state)state->state) {
		lease->state = (enum vdb_state)state->state;
		lease->changed = true;
		ring(client, lease);
	}
	return 0;
}

static const struct {
	int error;
	const char *text;
} refusals[] = {
	[VDB_END_NONE] = { EIO, "the broker does not say why" },
	[VDB_END_RELEASED] = { ECANCELED, "the request was released" },
	[VDB_END_EXPIRED] = { ETIMEDOUT, "the lease expired before it was granted" },
	[VDB_END_REVOKED] = { ECANCELED, "an administrator or a new configuration revoked the request" },
	[VDB_END_DEVICE] = { ENODEV, "the broker has lost the device; it opens it again when it can, try later" },
	[VDB_END_CLIENT] = { EAGAIN, "the broker was restarted while it granted the slice; acquire it again" },
	[VDB_END_UNSENT] = { ETOOMANYREFS, "the broker cannot send file descriptors now; try later" },
	[VDB_END_EXPORT] = { EIO, "the slice cannot be exported, or its memory cannot be mapped; the broker's log says why" },
	[VDB_END_BUSY] = { EBUSY, "the slice is granted to others; try later, or wait for it" },
	[VDB_END_TIMEOUT] = { ETIMEDOUT, "others had the slice until the time to wait was over" },
};

static int take_end(struct vdb_client *client, const struct vdp_end *end)
{
	struct known_lease *lease = lease_of(client, &end->header, end->lease);
	uint32_t why = end->end <= VDP_END_TIMEOUT ? end->end : VDP_END_NONE;

	if (!lease)
		return 0;
	if (lease->status == LEASE_UNWANTED) {
		client_forget_lease(client, lease);
	} else if (lease->status == LEASE_ASKED) {
		refuse(client, lease, refusals[why].error, refusals[why].text);
	} else if (lease->state != VDB_STATE_REVOKED) {
		lease->state = VDB_STATE_REVOKED;
		lease->end = (enum vdb_end)end->end;
		lease->changed = true;
		ring(client, lease);
	}
	return 0;
}

int client_errno_of(const struct vdp_error *error)
{
	switch (error->code) {
	case VDP_ERROR_MALFORMED:
	case VDP_ERROR_NO_HELLO:	return EPROTO;
	case VDP_ERROR_VERSION:		return EPROTONOSUPPORT;
	case VDP_ERROR_UNKNOWN:		return ENOTSUP;
	case VDP_ERROR_NO_SLICE:
	case VDP_ERROR_NO_LEASE:	return ENOENT;
	case VDP_ERROR_BUSY:		return EBUSY;
	case VDP_ERROR_INVALID:		return EINVAL;
	case VDP_ERROR_LIMIT:		return EDQUOT;
	case VDP_ERROR_FORBIDDEN:	return EPERM;
	case VDP_ERROR_DEVICE:		return ENODEV;
	default:			return EIO;
	}
}

static int take_error(struct vdb_client *client, const struct vdp_error *error, uint64_t *answers)
{
	struct known_lease *lease = client->leases;

	if (!client_is_text(error->text, sizeof(error->text)))
		return client_break_off(client, EPROTO, "the broker's error has a text without an end");
	/* An error of the connection, which the broker closes. */
	if (error->code <= VDP_ERROR_VERSION || !error->header.serial)
		return client_break_off(client, client_errno_of(error), error->text);
	while (lease && lease->release != error->header.serial)
		lease = lease->next;
	if (lease) {
		/* It has ended already, or is ending. */
		client_forget_lease(client, lease);
		return 0;
	}
	lease = client_find_request(client, error->header.serial);
	if (lease && lease->status != LEASE_HELD && !lease->decided)
		refuse(client, lease, client_errno_of(error), error->text);
	else
		*answers = error->header.serial;
	return 0;
}

int client_take(struct vdb_client *client, struct message *m, uint64_t *answers)
{
	int ret;

	*answers = 0;
	switch (m->body.header.type) {
	case VDP_ACQUIRE | VDP_ANSWER:
		return take_waiting(client, &m->body.waiting);
	case VDP_GRANT:
		ret = take_grant(client, m);
		client_close_fds(m);
		return ret;
	case VDP_STATE:
		return take_state(client, &m->body.state);
	case VDP_END:
		*answers = m->body.end.answers;
		return take_end(client, &m->body.end);
	case VDP_NEWS:
		return client_take_news(client, &m->body.news);
	case VDP_ERROR:
		return take_error(client, &m->body.error, answers);
	default:
		*answers = m->body.header.serial;
		return 0;
	}
}
