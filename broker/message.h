/* SPDX-License-Identifier: MIT */
/* Whether a request is well-formed. */
#ifndef BROKER_MESSAGE_H
#define BROKER_MESSAGE_H

#include <stddef.h>
#include <vfio-dmabuf-protocol.h>

/* Any request. */
union request {
	struct vdp_header header;
	struct vdp_hello hello;
	struct vdp_acquire acquire;
	struct vdp_lease_request lease;
	struct vdp_renew renew;
	struct vdp_plain plain;
	char bytes[VDP_MAX_MESSAGE];
};

/*
 * 0 if the bytes are a request of this protocol, else enum vdp_error_code, and
 * why.  Looks at nothing that is behind @size.
 */
int message_check(const union request *request, size_t size, const char **why);

#endif
