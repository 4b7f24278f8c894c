/* SPDX-License-Identifier: MIT */
/* A message as bytes. */
#ifndef PROTOCOL_PACKET_H
#define PROTOCOL_PACKET_H

#include <stddef.h>
#include <vfio-dmabuf-protocol.h>

struct packet {
	size_t size;
	unsigned int nr_fds;	/* that it carries: 0, or a grant's DMABUF and event fd */
	union {
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
};

#endif
