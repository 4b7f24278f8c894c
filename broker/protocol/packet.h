/* SPDX-License-Identifier: MIT */
/* A message to a client, with its size. */
#ifndef PROTOCOL_PACKET_H
#define PROTOCOL_PACKET_H

#include "common/message.h"

struct packet {
	size_t size;
	unsigned int nr_fds;	/* that it carries: 0, or a grant's DMABUF, event fd and perhaps memfd */
	union message_to_client body;
};

#endif
