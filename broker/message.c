/* SPDX-License-Identifier: MIT */
/* Whether a request is well-formed: the first that looks at what a client sends. */
#include <string.h>

#include "message.h"

static const char *check_name(const char name[VDP_NAME])
{
	size_t length = strnlen(name, VDP_NAME);

	if (length == VDP_NAME)
		return "a name does not end with a NUL";
	for (size_t i = length; i < VDP_NAME; i++)
		if (name[i])
			return "behind the end of a name there is something else than NULs";
	return NULL;
}

static const char *check_body(const union request *request)
{
	switch (request->header.type) {
	case VDP_HELLO:
		return check_name(request->hello.name);
	case VDP_ACQUIRE:
		if (request->acquire.reserved)
			return "the reserved field of the request is not 0";
		return check_name(request->acquire.name);
	case VDP_RENEW:
		if (request->renew.reserved)
			return "the reserved field of the request is not 0";
		return NULL;
	default:
		return NULL;
	}
}

/* Bytes of a request of this type, 0 if there is none. */
static size_t size_of(uint16_t type)
{
	switch (type) {
	case VDP_HELLO:
		return sizeof(struct vdp_hello);
	case VDP_ACQUIRE:
		return sizeof(struct vdp_acquire);
	case VDP_RELEASE:
	case VDP_REVOKE:
		return sizeof(struct vdp_lease_request);
	case VDP_RENEW:
		return sizeof(struct vdp_renew);
	case VDP_LIST_SLICES:
	case VDP_LIST_LEASES:
	case VDP_LIST_DEVICES:
		return sizeof(struct vdp_plain);
	default:
		return 0;
	}
}

int message_check(const union request *request, size_t size, const char **why)
{
	if (size < sizeof(request->header)) {
		*why = "the message is shorter than its header";
		return VDP_ERROR_MALFORMED;
	}
	if (request->header.reserved) {
		*why = "the reserved field of the header is not 0";
		return VDP_ERROR_MALFORMED;
	}
	if (!request->header.serial) {
		*why = "the serial is 0, which is for events";
		return VDP_ERROR_MALFORMED;
	}
	if (!size_of(request->header.type)) {
		*why = "there is no such request in this version of the protocol";
		return VDP_ERROR_UNKNOWN;
	}
	if (size != size_of(request->header.type)) {
		*why = "the message has not the size of such a request";
		return VDP_ERROR_MALFORMED;
	}
	*why = check_body(request);
	return *why ? VDP_ERROR_MALFORMED : 0;
}
