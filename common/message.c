/* SPDX-License-Identifier: MIT */
#include <endian.h>

#include "common/message.h"

static_assert(__BYTE_ORDER == __LITTLE_ENDIAN, "messages are used as they come");

bool message_size(uint32_t type, struct message_size *size)
{
#define SIZE(bytes, what) do { *size = (struct message_size){ bytes, sizeof(struct what) }; return true; } while (0)
	switch (type) {
	case VDP_HELLO:			SIZE(88, vdp_hello);
	case VDP_ACQUIRE:		SIZE(96, vdp_acquire);
	case VDP_RELEASE:
	case VDP_REVOKE:		SIZE(24, vdp_lease_request);
	case VDP_RENEW:			SIZE(32, vdp_renew);
	case VDP_HELLO | VDP_ANSWER:	SIZE(24, vdp_hello_answer);
	case VDP_ACQUIRE | VDP_ANSWER:	SIZE(24, vdp_acquire_answer);
	case VDP_RENEW | VDP_ANSWER:	SIZE(24, vdp_renew_answer);
	case VDP_STATUS | VDP_ANSWER:	SIZE(272, vdp_status_answer);
	case VDP_STATUS:
	case VDP_LIST_SLICES:
	case VDP_LIST_LEASES:
	case VDP_LIST_DEVICES:
	case VDP_LIST_ACCOUNTS:
	case VDP_RELOAD:
	case VDP_WATCH:
	case VDP_LIST_SLICES | VDP_ANSWER:
	case VDP_LIST_LEASES | VDP_ANSWER:
	case VDP_LIST_DEVICES | VDP_ANSWER:
	case VDP_LIST_ACCOUNTS | VDP_ANSWER:
	case VDP_RELOAD | VDP_ANSWER:
	case VDP_WATCH | VDP_ANSWER:	SIZE(16, vdp_plain);
	case VDP_LIST_SLICES | VDP_ITEM:	SIZE(144, vdp_slice_item);
	case VDP_LIST_LEASES | VDP_ITEM:	SIZE(224, vdp_lease_item);
	case VDP_LIST_DEVICES | VDP_ITEM:	SIZE(304, vdp_device_item);
	case VDP_LIST_ACCOUNTS | VDP_ITEM:	SIZE(56, vdp_account_item);
	case VDP_GRANT:			SIZE(72, vdp_grant);
	case VDP_STATE:			SIZE(32, vdp_state);
	case VDP_END:			SIZE(40, vdp_end);
	case VDP_NEWS:			SIZE(432, vdp_news);
	case VDP_ERROR:			SIZE(216, vdp_error);
	default:			return false;
	}
#undef SIZE
}

size_t message_unknown(const void *message, size_t known, size_t size)
{
	const unsigned char *bytes = message;
	size_t i = known;

	while (i < size && !bytes[i])
		i++;
	return i < size ? i : size;
}
