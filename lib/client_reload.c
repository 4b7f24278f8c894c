/* SPDX-License-Identifier: MIT */
/* A client has the broker read its configuration again. */
#include "client_internal.h"

int vdb_client_reload(struct vdb_client *client)
{
	struct vdp_plain request;
	struct message m;

	return client_request(client, &request.header, VDP_RELOAD, sizeof(request),
			      VDP_RELOAD | VDP_ANSWER, &m);
}
