/* SPDX-License-Identifier: MIT */
#include <endian.h>
#include <string.h>

#include "protocol/decode.h"
#include "protocol/encode.h"

static_assert(__BYTE_ORDER == __LITTLE_ENDIAN, "messages are used as they are received");
static_assert(VDP_ANY_INDEX == ANY_INDEX && VDP_READ_ONLY == SLICE_READ_ONLY, "same values");

#define NR_TYPES	(VDP_RELOAD + 1)

static const struct {
	const char *name;
	size_t least;		/* in version 2, also if the struct has grown since */
	size_t known;
} types[NR_TYPES] = {
	[VDP_HELLO] = { "a hello", 88, sizeof(struct vdp_hello) },
	[VDP_ACQUIRE] = { "an acquire", 96, sizeof(struct vdp_acquire) },
	[VDP_RELEASE] = { "a release", 24, sizeof(struct vdp_lease_request) },
	[VDP_RENEW] = { "a renew", 32, sizeof(struct vdp_renew) },
	[VDP_REVOKE] = { "a revoke", 24, sizeof(struct vdp_lease_request) },
	[VDP_STATUS] = { "a status request", 16, sizeof(struct vdp_plain) },
	[VDP_LIST_SLICES] = { "a list of slices", 16, sizeof(struct vdp_plain) },
	[VDP_LIST_LEASES] = { "a list of leases", 16, sizeof(struct vdp_plain) },
	[VDP_LIST_DEVICES] = { "a list of devices", 16, sizeof(struct vdp_plain) },
	[VDP_LIST_ACCOUNTS] = { "a list of accounts", 16, sizeof(struct vdp_plain) },
	[VDP_RELOAD] = { "a reload", 16, sizeof(struct vdp_plain) },
};

/* Any request, with 0 for what the client did not send. */
union received {
	struct vdp_header header;
	struct vdp_hello hello;
	struct vdp_acquire acquire;
	struct vdp_lease_request lease;
	struct vdp_renew renew;
	unsigned char bytes[VDP_MAX_MESSAGE];
};

#define WRONG(request, code, ...) do {					\
	(request)->kind = REQUEST_WRONG;				\
	(request)->closes = (code) <= VDP_ERROR_VERSION;		\
	encode_error(&(request)->error, (request)->serial, code, __VA_ARGS__); \
} while (0)

static bool check_size(struct request *request, const union received *m, size_t size)
{
	const char *name = types[request->type].name;

	if (size < types[request->type].least) {
		WRONG(request, VDP_ERROR_MALFORMED, "%s has %zu bytes at least, not %zu",
		      name, types[request->type].least, size);
		return false;
	}
	for (size_t i = types[request->type].known; i < size; i++) {
		if (!m->bytes[i])
			continue;
		WRONG(request, VDP_ERROR_MALFORMED,
		      "byte %zu of %s is 0x%02x; this broker knows %zu bytes of it, and those after them must be 0",
		      i, name, m->bytes[i], types[request->type].known);
		return false;
	}
	return true;
}

static bool check_header(struct request *request, const union received *m, size_t size)
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
	if (m->header.type >= NR_TYPES || !types[m->header.type].name) {
		WRONG(request, VDP_ERROR_UNKNOWN, "there is no request of type %u; version %d has 1 to %d",
		      m->header.type, VDP_VERSION, NR_TYPES - 1);
		return false;
	}
	request->type = m->header.type;
	return true;
}

/* A client can send any bytes as a name.  Logs and people get printable ASCII. */
static bool take_name(struct request *request, const char name[VDP_NAME])
{
	size_t length = strnlen(name, VDP_NAME);

	if (length == VDP_NAME) {
		WRONG(request, VDP_ERROR_MALFORMED, "the name has no NUL in its %d bytes", VDP_NAME);
		return false;
	}
	for (size_t i = length; i < VDP_NAME; i++) {
		if (!name[i])
			continue;
		WRONG(request, VDP_ERROR_MALFORMED,
		      "byte %zu of the name is 0x%02x; after its end at %zu all must be 0",
		      i, (unsigned char)name[i], length);
		return false;
	}
	for (size_t i = 0; i < length; i++)
		request->name[i] = name[i] < ' ' || name[i] > '~' ? '?' : name[i];
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

/* False: it is malformed. */
static bool take_body(struct request *request, const union received *m)
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
	case VDP_RELOAD:
		request->kind = REQUEST_RELOAD;
		return true;
	default:
		request->kind = REQUEST_LIST;
		return true;
	}
}

static void begin(struct request *request, union received *m, uint64_t client,
		  const void *bytes, size_t size)
{
	memset(m, 0, sizeof(*m));
	memcpy(m, bytes, size < sizeof(*m) ? size : sizeof(*m));
	*request = (struct request){ .kind = REQUEST_FOR_CORE, .client = client };
}

void decode(struct request *request, uint64_t client, bool greeted, const void *bytes,
	    size_t size)
{
	union received m;

	begin(request, &m, client, bytes, size);
	if (!check_header(request, &m, size))
		return;
	if (!greeted && request->type != VDP_HELLO) {
		WRONG(request, VDP_ERROR_NO_HELLO, "the first message must be a hello, not %s",
		      types[request->type].name);
		return;
	}
	request->event.client = client;
	request->event.serial = request->serial;
	if (check_size(request, &m, size))
		take_body(request, &m);
}

void decode_with_fds(struct request *request, uint64_t client, const void *bytes, size_t size)
{
	union received m;

	begin(request, &m, client, bytes, size);
	if (size >= sizeof(m.header))
		request->serial = m.header.serial;
	WRONG(request, VDP_ERROR_MALFORMED, "the message has file descriptors; requests have none");
}
