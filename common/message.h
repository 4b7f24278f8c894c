/* SPDX-License-Identifier: MIT */
/* Messages between clients and the broker: their types and sizes. */
#ifndef COMMON_MESSAGE_H
#define COMMON_MESSAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <vfio-dmabuf-protocol.h>

/* Any message of the broker. */
union message_to_client {
	struct vdp_header header;
	struct vdp_hello_answer hello;
	struct vdp_acquire_answer waiting;
	struct vdp_renew_answer renew;
	struct vdp_plain plain;
	struct vdp_grant grant;
	struct vdp_state state;
	struct vdp_end end;
	struct vdp_slice_item slice;
	struct vdp_lease_item lease;
	struct vdp_device_item device;
	struct vdp_account_item account;
	struct vdp_status_answer status;
	struct vdp_news news;
	struct vdp_error error;
	char bytes[VDP_MAX_MESSAGE];
};

/* Any message of a client. */
union message_to_broker {
	struct vdp_header header;
	struct vdp_hello hello;
	struct vdp_acquire acquire;
	struct vdp_lease_request lease;
	struct vdp_renew renew;
	unsigned char bytes[VDP_MAX_MESSAGE];
};

struct message_size {
	size_t least;	/* bytes that every version of it has */
	size_t known;	/* size of the struct here; later versions can be longer */
};

/* Returns false if no message has this type. */
bool message_size(uint32_t type, struct message_size *size);
/*
 * Looks for a field that this version does not know: a byte after @known that is not 0.
 * Returns the offset of the first such byte, or @size if there is none.
 */
size_t message_unknown(const void *message, size_t known, size_t size);

#endif
