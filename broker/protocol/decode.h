/* SPDX-License-Identifier: MIT */
/* Bytes of a client become a request.  Everything in them is checked. */
#ifndef PROTOCOL_DECODE_H
#define PROTOCOL_DECODE_H

#include <stdbool.h>

#include "core/event.h"
#include "protocol/packet.h"

enum request_kind {
	REQUEST_FOR_CORE,	/* event, for core_handle() */
	REQUEST_LIST,		/* for list_begin() */
	REQUEST_RELOAD,		/* answer with encode_reloaded(), or an error */
	REQUEST_WRONG,		/* send the error; then end the connection if @closes */
};

struct request {
	enum request_kind kind;
	enum vdp_type type;
	uint64_t client;
	uint64_t serial;	/* 0: the message had none */
	struct event event;	/* its name points into this struct, so do not copy the struct */
	bool closes;
	char name[VDP_NAME];	/* in printable ASCII */
	struct packet error;	/* last: only set if it is wrong */
};

/*
 * @greeted: whether a hello of this client was answered, as struct client has it.
 * @size: of the whole packet.  If it is more than VDP_MAX_MESSAGE, @bytes has only
 * VDP_MAX_MESSAGE bytes.
 */
void decode(struct request *request, uint64_t client, bool greeted, const void *bytes,
	    size_t size);
/* The same for a packet that had fds, which the caller has not received: an error. */
void decode_with_fds(struct request *request, uint64_t client, const void *bytes, size_t size);

#endif
