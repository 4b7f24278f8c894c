/* SPDX-License-Identifier: MIT */
#include <stddef.h>
#include <string.h>

#include "common/message.h"
#include "common/printable.h"
#include "protocol/decode.h"
#include "protocol/encode.h"

static_assert(VDP_ANY_INDEX == ANY_INDEX && VDP_READ_ONLY == SLICE_READ_ONLY, "same values");

#define NR_TYPES	(VDP_WATCH + 1)

static const char *const names[NR_TYPES] = {
	[VDP_HELLO] = "a hello",
	[VDP_ACQUIRE] = "an acquire",
	[VDP_RELEASE] = "a release",
	[VDP_RENEW] = "a renew",
	[VDP_REVOKE] = "a revoke",
	[VDP_STATUS] = "a status request",
	[VDP_LIST_SLICES] = "a list of slices",
	[VDP_LIST_LEASES] = "a list of leases",
	[VDP_LIST_DEVICES] = "a list of devices",
	[VDP_LIST_ACCOUNTS] = "a list of accounts",
	[VDP_RELOAD] = "a reload",
	[VDP_WATCH] = "a watch",
};

#define WRONG(request, code, ...) do {					\
	(request)->kind = REQUEST_WRONG;				\
	(request)->closes = (code) <= VDP_ERROR_VERSION;		\
	encode_error(&(request)->error, (request)->serial, code, __VA_ARGS__); \
} while (0)

static bool check_size(struct request *request, const union message_to_broker *m, size_t size)
{
	const char *name = names[request->type];
	struct message_size sizes;
	size_t unknown;

	message_size(request->type, &sizes);
	if (size < sizes.least) {
		WRONG(request, VDP_ERROR_MALFORMED, "%s has at least %zu bytes, not %zu",
		      name, sizes.least, size);
		return false;
	}
	unknown = message_unknown(m, sizes.known, size);
	if (unknown == size)
		return true;
	WRONG(request, VDP_ERROR_MALFORMED,
	      "byte %zu of %s is 0x%02x; this broker knows %zu bytes of it, and those after them must be 0",
	      unknown, name, m->bytes[unknown], sizes.known);
	return false;
}

static bool check_header(struct request *request, const union message_to_broker *m, size_t size)
{
	if (size < sizeof(m->header)) {
		WRONG(request, VDP_ERROR_MALFORMED, "the message has %zu bytes; a header has %zu",
		      size, sizeof(m->header));
		return false;
	}
	request->serial = m->header.serial;
	if (size > VDP_MAX_MESSAGE) {
		WRONG(request, VDP_ERROR_MALFORMED, "the message has %zu bytes; at most %d are allowed",
		      size, VDP_MAX_MESSAGE);
		return false;
	}
	if (m->header.item) {
		WRONG(request, VDP_ERROR_MALFORMED,
		      "bytes 4 to 7 of a request must be 0, not 0x%x; this broker speaks version %d of the protocol",
		      m->header.item, VDP_VERSION);
		return false;
	}
	if (!m->header.serial) {
		WRONG(request, VDP_ERROR_MALFORMED, "the serial is 0; those of requests count up from 1");
		return false;
	}
	if (m->header.type >= NR_TYPES || !names[m->header.type]) {
		WRONG(request, VDP_ERROR_UNKNOWN, "there is no request of type %u; version %d has 1 to %d",
		      m->header.type, VDP_VERSION, NR_TYPES - 1);
		return false;
	}
	request->type = m->header.type;
	return true;
}

static bool is_zero(const char *bytes, size_t size)
{
	static const char zero[VDP_NAME];

	return !memcmp(bytes, zero, size);
}

/* A client can send any bytes as a name.  Logs and people get printable ASCII. */
static bool take_name(struct request *request, const char name[VDP_NAME])
{
	size_t length = strnlen(name, VDP_NAME);

	if (length == VDP_NAME) {
		WRONG(request, VDP_ERROR_MALFORMED, "the name has no NUL in its %d bytes", VDP_NAME);
		return false;
	}
	if (!is_zero(name + length, VDP_NAME - length)) {
		size_t i = length;

		while (!name[i])
			i++;
		WRONG(request, VDP_ERROR_MALFORMED,
		      "byte %zu of the name is 0x%02x; after its end at %zu all must be 0",
		      i, (unsigned char)name[i], length);
		return false;
	}
	copy_printable(request->name, sizeof(request->name), name, length);
	request->event.name = request->name;
	return true;
}

static bool take_hello(struct request *request, const struct vdp_hello *hello)
{
	if (hello->min_version > hello->max_version) {
		WRONG(request, VDP_ERROR_MALFORMED,
		      "the lowest version, %u, is above the highest, %u", hello->min_version,
		      hello->max_version);
		return false;
	}
	if (hello->min_version > VDP_VERSION || hello->max_version < VDP_VERSION) {
		WRONG(request, VDP_ERROR_VERSION,
		      "this broker speaks version %d of the protocol, not %u to %u; update the older of broker and client",
		      VDP_VERSION, hello->min_version, hello->max_version);
		return false;
	}
	request->event.type = EVENT_HELLO;
	return take_name(request, hello->name);
}

static bool take_acquire(struct request *request, const struct vdp_acquire *acquire)
{
	request->event.type = EVENT_ACQUIRE;
	request->event.index = acquire->index;
	request->event.flags = acquire->flags;
	request->event.seconds = acquire->seconds;
	request->event.wait = acquire->wait_ms * 1000ULL;
	return take_name(request, acquire->name);
}

static bool take_renew(struct request *request, const struct vdp_renew *renew)
{
	if (renew->reserved) {
		WRONG(request, VDP_ERROR_MALFORMED, "the reserved field of a renew must be 0, not %u",
		      renew->reserved);
		return false;
	}
	request->event.type = EVENT_RENEW;
	request->event.lease = renew->lease;
	request->event.seconds = renew->seconds;
	return true;
}

/* False: it is wrong. */
static bool take_body(struct request *request, const union message_to_broker *m)
{
	switch (request->type) {
	case VDP_HELLO:
		return take_hello(request, &m->hello);
	case VDP_ACQUIRE:
		return take_acquire(request, &m->acquire);
	case VDP_RENEW:
		return take_renew(request, &m->renew);
	case VDP_RELEASE:
	case VDP_REVOKE:
		request->event.type = request->type == VDP_RELEASE ? EVENT_RELEASE : EVENT_REVOKE;
		request->event.lease = m->lease.lease;
		return true;
	case VDP_WATCH:
		request->event.type = EVENT_WATCH;
		return true;
	case VDP_RELOAD:
		request->kind = REQUEST_RELOAD;
		return true;
	default:
		request->kind = REQUEST_LIST;
		return true;
	}
}

static void begin(struct request *request, union message_to_broker *m, uint64_t client,
		  const void *bytes, size_t size)
{
	memset(m, 0, sizeof(*m));
	memcpy(m, bytes, size < sizeof(*m) ? size : sizeof(*m));
	memset(request, 0, offsetof(struct request, error));
	request->kind = REQUEST_FOR_CORE;
	request->client = client;
}

void decode(struct request *request, uint64_t client, bool greeted, const void *bytes,
	    size_t size)
{
	union message_to_broker m;

	begin(request, &m, client, bytes, size);
	if (!check_header(request, &m, size))
		return;
	if (!greeted && request->type != VDP_HELLO) {
		WRONG(request, VDP_ERROR_NO_HELLO, "the first message must be a hello, not %s",
		      names[request->type]);
		return;
	}
	request->event.client = client;
	request->event.serial = request->serial;
	if (check_size(request, &m, size))
		take_body(request, &m);
}

void decode_with_fds(struct request *request, uint64_t client, const void *bytes, size_t size)
{
	union message_to_broker m;

	begin(request, &m, client, bytes, size);
	if (size >= sizeof(m.header))
		request->serial = m.header.serial;
	WRONG(request, VDP_ERROR_MALFORMED, "the message has file descriptors; requests have none");
}
