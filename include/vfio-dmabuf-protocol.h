/* SPDX-License-Identifier: MIT */
/*
 * The messages between clients and vfio-dmabufd; docs/protocol.md explains them
 * for authors of clients.
 *
 * The socket is AF_UNIX, SOCK_SEQPACKET; one packet is one message.  All fields
 * are little endian and naturally aligned.  Text is UTF-8, ends with a NUL, and
 * is filled up with NULs.  Reserved fields are 0.
 *
 * A later broker or client may add fields at the end of a message.  A receiver
 * accepts a message that is longer than it knows if the rest is 0.  It accepts a
 * shorter one, down to a least size for each type (common/message.c), and reads 0
 * for the fields that are missing.
 */
#ifndef VFIO_DMABUF_PROTOCOL_H
#define VFIO_DMABUF_PROTOCOL_H

#include <assert.h>
#include <stdint.h>

#define VDP_VERSION		2
#define VDP_MAX_MESSAGE		512	/* bytes, of any message */
#define VDP_MAX_FDS		4	/* that a message carries */
#define VDP_NAME		64	/* bytes of a name, with its NUL */
#define VDP_BDF			16	/* bytes of "0000:01:00.0", with its NUL */
#define VDP_TEXT		192	/* bytes of an explanation, with its NUL */

enum vdp_type {
	VDP_HELLO	= 1,	/* the first message of a client */
	VDP_ACQUIRE	= 2,
	VDP_RELEASE	= 3,	/* a lease of this client, or a request that waits */
	VDP_RENEW	= 4,
	VDP_REVOKE	= 5,	/* any lease; administrators only */
	VDP_STATUS	= 6,
	VDP_LIST_SLICES	= 7,	/* that this client is allowed to lease; an administrator: all */
	VDP_LIST_LEASES	= 8,	/* of this client; an administrator: all */
	VDP_LIST_DEVICES = 9,	/* administrators only */
	VDP_LIST_ACCOUNTS = 10,	/* this client's user; an administrator: all */
	VDP_RELOAD	= 11,	/* read the configuration again; administrators only */
	VDP_WATCH	= 12,	/* be sent news from now on */

	VDP_ANSWER	= 0x100,	/* added to the type of the request */
	VDP_ITEM	= 0x200,	/* added to the type of a list */

	VDP_GRANT	= 0x300,	/* the slice is granted; with two to four fds */
	VDP_STATE	= 0x301,	/* the device is suspended, or live again */
	VDP_END		= 0x302,	/* the lease has ended, or the request is refused */
	VDP_NEWS	= 0x303,	/* to a client that watches */

	VDP_ERROR	= 0x3ff,
};

struct vdp_header {
	uint32_t type;
	uint32_t item;		/* the number of an item in its list, from 0; else 0 */
	/*
	 * A request: greater than that of the request before; not 0.
	 * An answer, an item, an error: that of the request; 0 if it had none.
	 * A grant, a state, an end: that of the acquire; 0 if another client's.
	 * News: that of the watch.
	 */
	uint64_t serial;
};

/* VDP_HELLO: the versions that the client speaks; its name, for logs. */
struct vdp_hello {
	struct vdp_header header;
	uint32_t min_version;
	uint32_t max_version;
	char name[VDP_NAME];
};

struct vdp_hello_answer {
	struct vdp_header header;
	uint32_t version;	/* that both use from now on */
	uint32_t admin;		/* 1: this client is an administrator */
};

#define VDP_READ_ONLY	(1u << 0)	/* of flags, everywhere */
#define VDP_WC		(1u << 1)	/* never in a request */
#define VDP_EXCLUSIVE	(1u << 2)	/* never in a request: granted to one at a time */
#define VDP_INTERRUPT	(1u << 3)	/* never in a request: each lease has an eventfd */
#define VDP_ANY_INDEX	0xffffffffu

/*
 * Answered by a grant, an end or an error.  If the request waits for other
 * leases, VDP_ACQUIRE + VDP_ANSWER comes before the grant or the end.
 */
struct vdp_acquire {
	struct vdp_header header;
	char name[VDP_NAME];	/* "<device>/<slice>" */
	uint32_t index;		/* or VDP_ANY_INDEX */
	uint32_t flags;		/* VDP_READ_ONLY or 0 */
	uint32_t seconds;	/* 0: as long as allowed */
	uint32_t wait_ms;	/* 0: do not wait for other leases to end */
};

/* The request waits; its place is this lease's. */
struct vdp_acquire_answer {
	struct vdp_header header;
	uint64_t lease;
};

/* VDP_RELEASE, VDP_REVOKE: answered by VDP_END when the slice is revoked. */
struct vdp_lease_request {
	struct vdp_header header;
	uint64_t lease;
};

struct vdp_renew {
	struct vdp_header header;
	uint64_t lease;
	uint32_t seconds;	/* from now on; 0: as long as allowed */
	uint32_t reserved;
};

struct vdp_renew_answer {
	struct vdp_header header;
	uint32_t seconds;	/* until the lease ends; 0: does not by itself */
	uint32_t reserved;
};

/*
 * The requests VDP_STATUS, VDP_LIST_*, VDP_RELOAD and VDP_WATCH.  Also the answer that ends
 * a list, and the answers to VDP_RELOAD and VDP_WATCH.
 */
struct vdp_plain {
	struct vdp_header header;
};

/*
 * The fds are the DMABUF, its event fd, the memfd if there is memory, and the eventfd of the
 * interrupt if flags have VDP_INTERRUPT.  A lease with an interrupt always has memory.
 */
struct vdp_grant {
	struct vdp_header header;
	uint64_t lease;
	uint64_t offset;	/* of byte 0 in the BAR */
	uint64_t length;
	uint32_t bar;
	uint32_t flags;
	uint32_t index;
	uint32_t seconds;	/* until the lease ends; 0: does not by itself */
	char bdf[VDP_BDF];
	uint64_t memory;	/* bytes that the device reaches by DMA; 0: none */
	uint64_t iova;		/* where the device has them */
};

enum vdp_state_code {
	VDP_STATE_LIVE = 0,
	VDP_STATE_SUSPENDED = 1,
};

struct vdp_state {
	struct vdp_header header;
	uint64_t lease;
	uint32_t state;		/* enum vdp_state_code */
	uint32_t reserved;
};

/* Why a lease ended, or was not granted.  Later brokers can have other reasons. */
enum vdp_end_code {
	VDP_END_NONE = 0,
	VDP_END_RELEASED = 1,
	VDP_END_EXPIRED = 2,
	VDP_END_REVOKED = 3,	/* by an administrator, or by a new configuration */
	VDP_END_DEVICE = 4,	/* the device is lost */
	VDP_END_CLIENT = 5,	/* its client has disconnected, or no process has the slice */
	VDP_END_UNSENT = 6,	/* the broker could not send the fds */
	VDP_END_EXPORT = 7,	/* the kernel did not export the slice, or not map its memory */
	VDP_END_BUSY = 8,	/* not granted: other leases have it */
	VDP_END_TIMEOUT = 9,	/* not granted within the time to wait */
};

struct vdp_end {
	struct vdp_header header;
	uint64_t lease;
	uint64_t answers;	/* serial of the release or revoke that this answers, or 0 */
	uint32_t end;		/* enum vdp_end_code */
	uint32_t reserved;
};

enum vdp_device_phase {
	VDP_DEVICE_ABSENT = 0,	/* not open; the broker tries again */
	VDP_DEVICE_OPENING = 1,
	VDP_DEVICE_SETTLING = 2,	/* being prepared */
	VDP_DEVICE_OPEN = 3,
	VDP_DEVICE_CLOSING = 4,	/* lost; its leases end when it is closed */
};

struct vdp_slice_item {
	struct vdp_header header;
	char name[VDP_NAME];
	char bdf[VDP_BDF];
	uint64_t offset;	/* of the first of an array */
	uint64_t length;	/* of each */
	uint32_t bar;
	uint32_t flags;
	uint32_t count;		/* 1: not an array */
	uint32_t free;		/* the number of these that could be granted now */
	uint32_t waiting;	/* requests that wait for it */
	uint32_t max_seconds;	/* 0: no limit */
	uint32_t device;	/* enum vdp_device_phase */
	uint32_t reserved;
	uint64_t memory;	/* bytes for DMA that each lease gets */
};

enum vdp_lease_phase {
	VDP_LEASE_WAITING = 1,
	VDP_LEASE_EXPORTING = 2,
	VDP_LEASE_GRANTED = 3,
	VDP_LEASE_ENDING = 4,	/* being revoked, then the on-release actions */
	VDP_LEASE_ENDED = 5,	/* its client has not read that yet */
};

struct vdp_lease_item {
	struct vdp_header header;
	uint64_t lease;
	char name[VDP_NAME];	/* of the slice */
	char bdf[VDP_BDF];
	char client[VDP_NAME];	/* as in its hello, in printable ASCII */
	uint64_t offset;
	uint64_t length;
	uint32_t bar;
	uint32_t flags;
	uint32_t index;		/* of a request that waits: as in the request */
	uint32_t seconds;	/* left, also to wait; 0: no limit */
	uint32_t pid;		/* of the client, when it connected */
	uint32_t uid;
	uint32_t gid;
	uint32_t state;		/* enum vdp_state_code */
	uint32_t phase;		/* enum vdp_lease_phase */
	uint32_t end;		/* enum vdp_end_code */
	uint64_t memory;	/* bytes for DMA */
	uint64_t iova;		/* 0: not mapped, yet or any more */
};

struct vdp_device_item {
	struct vdp_header header;
	char name[VDP_NAME];	/* in the configuration; "" if it has been removed there */
	char bdf[VDP_BDF];
	uint32_t phase;		/* enum vdp_device_phase */
	uint32_t state;		/* enum vdp_state_code */
	uint32_t leases;	/* that have a slice of it */
	uint32_t waiting;	/* requests that wait for one */
	char reason[VDP_TEXT];	/* why it is not open; "" if it is, or not known */
};

/* What a user uses of something that can run out. */
struct vdp_share {
	uint32_t used;
	uint32_t kept;		/* places that only this user can take */
	uint32_t limit;
	uint32_t reserved;
};

/* The same of memory for DMA, in bytes. */
struct vdp_memory_share {
	uint64_t used;
	uint64_t kept;
	uint64_t limit;
};

struct vdp_account_item {
	struct vdp_header header;
	uint64_t user;		/* user id; or 2^32 + the first id of a range of subordinate ids */
	struct vdp_share clients;
	struct vdp_share leases;
	struct vdp_memory_share memory;
};

/* What all users use of it; 0 except per_user if the client is not an administrator. */
struct vdp_total {
	uint32_t used;
	uint32_t limit;
	uint32_t pool_used;	/* places that are not kept for a user */
	uint32_t pool;
	uint32_t per_user;	/* limit of a user without kept places */
	uint32_t reserved;
};

/* The same of memory for DMA, in bytes. */
struct vdp_memory_total {
	uint64_t used;
	uint64_t limit;
	uint64_t pool_used;
	uint64_t pool;
	uint64_t per_user;
	uint64_t per_client;	/* limit of a connection; filled in for all clients, as per_user */
};

#define VDP_STATUS_GRANTS	(1u << 0)	/* the broker has a configuration */
#define VDP_STATUS_ADMIN	(1u << 1)	/* the figures of all users are filled in */

struct vdp_status_answer {
	struct vdp_header header;
	uint32_t flags;		/* VDP_STATUS_* */
	uint32_t leases_per_client;	/* limit */
	struct vdp_total clients;
	struct vdp_total leases;
	uint32_t devices;
	uint32_t devices_open;
	char problem[VDP_TEXT];	/* of the configuration; "" if none */
	struct vdp_memory_total memory;
};

/* Later brokers may have others. */
enum vdp_news_type {
	VDP_NEWS_GRANTED = 1,		/* a lease; this and the next two have all fields of one */
	VDP_NEWS_RENEWED = 2,
	VDP_NEWS_ENDED = 3,
	VDP_NEWS_DEVICE_OPEN = 4,	/* a device: name, bdf */
	VDP_NEWS_DEVICE_LOST = 5,	/* the same, reason */
	VDP_NEWS_DEVICE_SUSPENDED = 6,
	VDP_NEWS_DEVICE_RESUMED = 7,
	VDP_NEWS_RESTARTED = 8,		/* the broker; what happened meanwhile is not sent */
	VDP_NEWS_MISSED = 9,		/* missed */
};

/*
 * To a client that watches: an administrator is sent all, others what happens to
 * leases of their user.  Fields that a type does not have are 0.
 */
struct vdp_news {
	struct vdp_header header;
	uint64_t time;		/* microseconds of CLOCK_BOOTTIME */
	uint64_t lease;
	uint64_t offset;
	uint64_t length;
	uint64_t missed;	/* that this client read too slowly to be sent */
	uint32_t type;		/* enum vdp_news_type */
	uint32_t end;		/* enum vdp_end_code */
	uint32_t bar;
	uint32_t flags;
	uint32_t index;
	uint32_t seconds;	/* until the lease ends; 0: does not by itself */
	uint32_t pid;		/* of the client; 0 if it has disconnected */
	uint32_t uid;
	uint32_t gid;
	uint32_t reserved;
	char name[VDP_NAME];	/* of the slice, or of the device */
	char bdf[VDP_BDF];
	char client[VDP_NAME];	/* as in its hello, in printable ASCII; "" if it has disconnected */
	char reason[VDP_TEXT];	/* why the device is lost */
};

/* After the first three the broker closes the connection. */
enum vdp_error_code {
	VDP_ERROR_MALFORMED = 1,	/* size, reserved field or text is wrong */
	VDP_ERROR_NO_HELLO = 2,		/* another message came before it */
	VDP_ERROR_VERSION = 3,		/* no version in common */
	VDP_ERROR_UNKNOWN = 4,		/* no such request in this version */
	VDP_ERROR_NO_SLICE = 5,		/* no such slice, or not for this client */
	VDP_ERROR_BUSY = 6,		/* granted to others */
	VDP_ERROR_INVALID = 7,		/* a value does not fit the slice */
	VDP_ERROR_LIMIT = 8,		/* no more leases or memory for this client or user, or at all */
	VDP_ERROR_NO_LEASE = 9,		/* no such lease of this client, or it is ending */
	VDP_ERROR_FORBIDDEN = 10,	/* for administrators only */
	VDP_ERROR_DEVICE = 11,		/* the device is not open */
	VDP_ERROR_MEMORY = 12,		/* the broker has no memory left */
	VDP_ERROR_CONFIGURATION = 13,	/* it has errors; nothing new is granted */
};

struct vdp_error {
	struct vdp_header header;
	uint32_t code;		/* enum vdp_error_code */
	uint32_t reserved;
	char text[VDP_TEXT];	/* what is wrong and what would be right */
};

static_assert(sizeof(struct vdp_header) == 16, "wire format");
static_assert(sizeof(struct vdp_hello) == 88, "wire format");
static_assert(sizeof(struct vdp_hello_answer) == 24, "wire format");
static_assert(sizeof(struct vdp_acquire) == 96, "wire format");
static_assert(sizeof(struct vdp_acquire_answer) == 24, "wire format");
static_assert(sizeof(struct vdp_lease_request) == 24, "wire format");
static_assert(sizeof(struct vdp_renew) == 32, "wire format");
static_assert(sizeof(struct vdp_renew_answer) == 24, "wire format");
static_assert(sizeof(struct vdp_plain) == 16, "wire format");
static_assert(sizeof(struct vdp_grant) == 88, "wire format");
static_assert(sizeof(struct vdp_state) == 32, "wire format");
static_assert(sizeof(struct vdp_end) == 40, "wire format");
static_assert(sizeof(struct vdp_slice_item) == 152, "wire format");
static_assert(sizeof(struct vdp_lease_item) == 240, "wire format");
static_assert(sizeof(struct vdp_device_item) == 304, "wire format");
static_assert(sizeof(struct vdp_account_item) == 80, "wire format");
static_assert(sizeof(struct vdp_status_answer) == 320, "wire format");
static_assert(sizeof(struct vdp_news) == 432, "wire format");
static_assert(sizeof(struct vdp_error) == 216, "wire format");

#endif
