/* SPDX-License-Identifier: MIT */
/*
 * What clients and vfio-dmabufd say to each other; docs/protocol.md explains it
 * for those who write a client.
 *
 * The socket is AF_UNIX, SOCK_SEQPACKET; one packet is one message.  All fields
 * are little endian and naturally aligned, and every message has exactly the
 * size of its struct.  Text is UTF-8, ends with a NUL, and is filled up with
 * NULs.  Reserved fields are 0, and whoever receives checks that.
 *
 * The client's first message is VDP_HELLO.  Every request gets, in order, one
 * answer of its own type with VDP_ANSWER added, or VDP_ERROR; the requests that
 * list have any number of VDP_ITEM answers before it.  Answers carry the
 * request's serial.  VDP_EVENT comes at any time after the hello, with serial 0,
 * which VDP_ERROR has as well where it answers no request: if there are too many
 * connections, or the message had no serial.
 */
#ifndef VFIO_DMABUF_PROTOCOL_H
#define VFIO_DMABUF_PROTOCOL_H

#include <assert.h>
#include <stdint.h>

#define VDP_VERSION		1
#define VDP_MAX_MESSAGE		512	/* bytes, of any message */
#define VDP_MAX_FDS		2	/* that come with a message */
#define VDP_NAME		64	/* bytes of a name, with its NUL */

enum vdp_type {
	VDP_HELLO	= 1,
	VDP_ACQUIRE	= 2,
	VDP_RELEASE	= 3,
	VDP_RENEW	= 4,
	VDP_LIST_SLICES	= 5,	/* those this client may have; an administrator: all */
	VDP_LIST_LEASES	= 6,	/* this client's; an administrator: all */
	VDP_LIST_DEVICES = 7,	/* administrators only */
	VDP_REVOKE	= 8,	/* administrators only: anybody's lease */

	VDP_ANSWER	= 0x100,
	VDP_ITEM	= 0x200,
	VDP_EVENT	= 0x300,
	VDP_ERROR	= 0x3ff,
};

struct vdp_header {
	uint16_t type;
	uint16_t reserved;
	uint32_t serial;	/* the client's choice, not 0 nor that of the request before */
};

/* VDP_HELLO: what the client speaks; and its name, for people who read logs. */
struct vdp_hello {
	struct vdp_header header;
	uint32_t min_version;
	uint32_t max_version;
	char name[VDP_NAME];
};

/* The version that both use from now on. */
struct vdp_hello_answer {
	struct vdp_header header;
	uint32_t version;
	uint32_t admin;		/* 1: this client may do what administrators may */
};

#define VDP_READ_ONLY	(1u << 0)	/* of flags, everywhere */
#define VDP_WC		(1u << 1)	/* never in a request */
#define VDP_EXCLUSIVE	(1u << 2)	/* never in a request: lent to one at a time */
#define VDP_ANY_INDEX	0xffffffffu

struct vdp_acquire {
	struct vdp_header header;
	char name[VDP_NAME];	/* "<device>/<slice>" */
	uint32_t index;		/* or VDP_ANY_INDEX */
	uint32_t flags;		/* VDP_READ_ONLY or 0 */
	uint32_t seconds;	/* 0: as long as allowed */
	uint32_t reserved;
};

/* Two fds come with it: the DMABUF, and its event fd. */
struct vdp_acquire_answer {
	struct vdp_header header;
	uint64_t lease;
	uint64_t offset;	/* of byte 0 in the BAR */
	uint64_t length;
	uint32_t bar;
	uint32_t flags;
	uint32_t index;
	uint32_t seconds;	/* until the lease ends; 0: does not by itself */
	char bdf[16];
};

/* VDP_RELEASE, VDP_REVOKE: answered when the slice is revoked. */
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
	uint32_t seconds;
	uint32_t reserved;
};

/* VDP_LIST_*; and every answer that says no more than "done". */
struct vdp_plain {
	struct vdp_header header;
};

struct vdp_slice_item {
	struct vdp_header header;
	char name[VDP_NAME];
	char bdf[16];
	uint64_t offset;	/* of the first of an array */
	uint64_t length;	/* of each */
	uint32_t bar;
	uint32_t flags;
	uint32_t count;		/* 1: no array */
	uint32_t free;		/* of those, how many nobody has */
	uint32_t max_seconds;	/* 0: without limit */
	uint32_t reserved;
};

struct vdp_lease_item {
	struct vdp_header header;
	uint64_t lease;
	char name[VDP_NAME];	/* of the slice */
	char bdf[16];
	char client[VDP_NAME];	/* as in its hello, in printable ASCII */
	uint64_t offset;
	uint64_t length;
	uint32_t bar;
	uint32_t flags;
	uint32_t index;
	uint32_t seconds;	/* left; 0: without limit */
	uint32_t pid;		/* of the client, when it connected */
	uint32_t uid;
	uint32_t gid;
	uint32_t state;		/* enum vdp_state */
};

struct vdp_device_item {
	struct vdp_header header;
	char name[VDP_NAME];	/* in the configuration */
	char bdf[16];
	uint32_t state;		/* enum vdp_state; VDP_STATE_REVOKED: lost */
	uint32_t leases;
};

enum vdp_state {
	VDP_STATE_LIVE = 0,
	VDP_STATE_SUSPENDED = 1,
	VDP_STATE_REVOKED = 2,
};

enum vdp_end {
	VDP_END_NONE = 0,
	VDP_END_RELEASED = 1,
	VDP_END_EXPIRED = 2,
	VDP_END_REVOKED = 3,	/* by an administrator, or a new configuration */
	VDP_END_DEVICE = 4,	/* the broker has lost the device */
	VDP_END_CLIENT = 5,	/* the client is gone (in logs only) */
	VDP_END_BROKER = 6,	/* the broker was killed while it lent the slice */
};

/*
 * A lease of this client is suspended, live again, or has ended.  Of several
 * changes that a client is slow to read only the last may be told.
 */
struct vdp_event {
	struct vdp_header header;
	uint64_t lease;
	uint32_t state;
	uint32_t end;		/* VDP_END_NONE unless state is VDP_STATE_REVOKED */
};

/*
 * After VDP_ERROR_MALFORMED, VDP_ERROR_NO_HELLO and VDP_ERROR_VERSION, and after
 * VDP_ERROR_LIMIT with serial 0, the broker closes the connection.
 */
enum vdp_error_code {
	VDP_ERROR_MALFORMED = 1,	/* size, reserved field or text is wrong */
	VDP_ERROR_NO_HELLO = 2,		/* something else came before it */
	VDP_ERROR_VERSION = 3,		/* none in common */
	VDP_ERROR_UNKNOWN = 4,		/* no such request */
	VDP_ERROR_NO_SLICE = 5,		/* none such, or not for this user */
	VDP_ERROR_BUSY = 6,		/* lent already */
	VDP_ERROR_INVALID = 7,		/* a value makes no sense for that slice */
	VDP_ERROR_LIMIT = 8,		/* as many leases or clients as there may be */
	VDP_ERROR_NO_LEASE = 9,		/* none such, or somebody else's */
	VDP_ERROR_FORBIDDEN = 10,	/* for administrators */
	VDP_ERROR_DEVICE = 11,		/* the device is lost */
	VDP_ERROR_INTERNAL = 12,	/* the broker's fault; its log says more */
};

struct vdp_error {
	struct vdp_header header;
	uint32_t code;
	uint32_t reserved;
	char text[192];		/* what is wrong and what would be right */
};

static_assert(sizeof(struct vdp_header) == 8, "wire format");
static_assert(sizeof(struct vdp_hello) == 80, "wire format");
static_assert(sizeof(struct vdp_hello_answer) == 16, "wire format");
static_assert(sizeof(struct vdp_acquire) == 88, "wire format");
static_assert(sizeof(struct vdp_acquire_answer) == 64, "wire format");
static_assert(sizeof(struct vdp_lease_request) == 16, "wire format");
static_assert(sizeof(struct vdp_renew) == 24, "wire format");
static_assert(sizeof(struct vdp_renew_answer) == 16, "wire format");
static_assert(sizeof(struct vdp_plain) == 8, "wire format");
static_assert(sizeof(struct vdp_slice_item) == 128, "wire format");
static_assert(sizeof(struct vdp_lease_item) == 208, "wire format");
static_assert(sizeof(struct vdp_device_item) == 96, "wire format");
static_assert(sizeof(struct vdp_event) == 24, "wire format");
static_assert(sizeof(struct vdp_error) == 208, "wire format");

#endif
