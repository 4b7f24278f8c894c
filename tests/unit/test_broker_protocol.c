// SPDX-License-Identifier: MIT
/*
 * The broker's protocol: which bytes are a request, and that the library's client
 * understands the broker's messages.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <vfio-dmabuf.h>

#include "core/effect.h"
#include "protocol/decode.h"
#include "protocol/encode.h"
#include "protocol/shell.h"
#include "suite.h"

#define MS	60000
#define PAGE	0x1000

/* A file of the test is a DMABUF. */
int fstatfs(int fd, struct statfs *fs)
{
	(void)fd;
	memset(fs, 0, sizeof(*fs));
	fs->f_type = 0x444d4142;
	return 0;
}

/* ---- requests ---- */

static const struct {
	uint32_t type;
	size_t size;
	enum request_kind kind;
	enum event_type event;
} requests[] = {
	{ VDP_HELLO, 88, REQUEST_FOR_CORE, EVENT_HELLO },
	{ VDP_ACQUIRE, 96, REQUEST_FOR_CORE, EVENT_ACQUIRE },
	{ VDP_RELEASE, 24, REQUEST_FOR_CORE, EVENT_RELEASE },
	{ VDP_RENEW, 32, REQUEST_FOR_CORE, EVENT_RENEW },
	{ VDP_REVOKE, 24, REQUEST_FOR_CORE, EVENT_REVOKE },
	{ VDP_STATUS, 16, REQUEST_LIST, 0 },
	{ VDP_LIST_SLICES, 16, REQUEST_LIST, 0 },
	{ VDP_LIST_LEASES, 16, REQUEST_LIST, 0 },
	{ VDP_LIST_DEVICES, 16, REQUEST_LIST, 0 },
	{ VDP_LIST_ACCOUNTS, 16, REQUEST_LIST, 0 },
	{ VDP_RELOAD, 16, REQUEST_RELOAD, 0 },
	{ VDP_WATCH, 16, REQUEST_FOR_CORE, EVENT_WATCH },
};

union any {
	struct vdp_header header;
	struct vdp_hello hello;
	struct vdp_acquire acquire;
	struct vdp_renew renew;
	char bytes[600];
};

static union any message_of(uint32_t type)
{
	union any m = { .header = { .type = type, .serial = 9 } };

	if (type == VDP_HELLO)
		m.hello.min_version = m.hello.max_version = VDP_VERSION;
	return m;
}

/* The code of the error, whose text has @words; 0 if there is none. */
static uint32_t code_of(const struct request *request, const char *words)
{
	const struct vdp_error *error = &request->error.body.error;

	if (request->kind != REQUEST_WRONG)
		return 0;
	ck_assert_uint_eq(request->error.size, sizeof(*error));
	ck_assert_uint_eq(request->error.nr_fds, 0);
	ck_assert_uint_eq(error->header.type, VDP_ERROR);
	ck_assert_uint_eq(error->header.serial, request->serial);
	ck_assert_ptr_nonnull(memchr(error->text, '\0', sizeof(error->text)));
	ck_assert_msg(strstr(error->text, words), "\"%s\" is not in \"%s\"", words, error->text);
	ck_assert(request->closes == (error->code <= VDP_ERROR_VERSION));
	return error->code;
}

static uint32_t check(const union any *m, size_t size, const char *words)
{
	struct request request;

	decode(&request, 1, true, m, size);
	return code_of(&request, words);
}

START_TEST(sizes)
{
	union any m = message_of(requests[_i].type);

	for (size_t size = 0; size <= sizeof(m); size++) {
		char words[32];

		snprintf(words, sizeof(words), " %zu", size);
		ck_assert_uint_eq(check(&m, size, words), size < requests[_i].size || size > VDP_MAX_MESSAGE ?
				  VDP_ERROR_MALFORMED : 0);
	}
	/* Fields of a later client that mean something. */
	for (size_t i = requests[_i].size; i < VDP_MAX_MESSAGE; i++) {
		m.bytes[i] = 5;
		ck_assert_uint_eq(check(&m, VDP_MAX_MESSAGE, "is 0x05"), VDP_ERROR_MALFORMED);
		ck_assert_uint_eq(check(&m, i, ""), 0);
		m.bytes[i] = 0;
	}
}
END_TEST

START_TEST(types)
{
	for (uint32_t type = 0; type < 0x11000; type++) {
		union any m = message_of(type);

		ck_assert_uint_eq(check(&m, 100, "version 2 has 1 to 12"),
				  type >= VDP_HELLO && type <= VDP_WATCH ? 0 : VDP_ERROR_UNKNOWN);
	}
}
END_TEST

START_TEST(headers)
{
	union any m = message_of(requests[_i].type);
	struct request request;

	decode(&request, 4, true, &m, requests[_i].size);
	ck_assert_int_eq(request.kind, requests[_i].kind);
	ck_assert_uint_eq(request.client, 4);
	ck_assert_uint_eq(request.serial, 9);
	ck_assert_uint_eq(request.type, requests[_i].type);
	if (request.kind == REQUEST_FOR_CORE) {
		ck_assert_int_eq(request.event.type, requests[_i].event);
		ck_assert_uint_eq(request.event.client, 4);
		ck_assert_uint_eq(request.event.serial, 9);
	}
	decode(&request, 4, false, &m, requests[_i].size);
	ck_assert_uint_eq(code_of(&request, "must be a hello, not a"),
			  requests[_i].type == VDP_HELLO ? 0 : VDP_ERROR_NO_HELLO);
	decode_with_fds(&request, 4, &m, requests[_i].size);
	ck_assert_uint_eq(code_of(&request, "file descriptors"), VDP_ERROR_MALFORMED);
	ck_assert_uint_eq(request.serial, 9);
	m.header.item = 1;
	ck_assert_uint_eq(check(&m, requests[_i].size, "not 0x1; this broker speaks version 2"), VDP_ERROR_MALFORMED);
	m.header.item = 0;
	m.header.serial = 0;
	ck_assert_uint_eq(check(&m, requests[_i].size, "serial is 0"), VDP_ERROR_MALFORMED);
	m.header.serial = UINT64_MAX;
	ck_assert_uint_eq(check(&m, requests[_i].size, ""), 0);
}
END_TEST

START_TEST(versions)
{
	static const struct {
		uint32_t min, max, code;
		const char *words;
	} cases[] = {
		{ 2, 2, 0, "" }, { 1, 9, 0, "" }, { 0, 2, 0, "" },
		{ 1, 1, VDP_ERROR_VERSION, "speaks version 2 of the protocol, not 1 to 1" },
		{ 3, 9, VDP_ERROR_VERSION, "speaks version 2 of the protocol, not 3 to 9" },
		{ 3, 1, VDP_ERROR_MALFORMED, "the lowest version, 3, is above the highest, 1" },
	};
	union any m = message_of(VDP_HELLO);

	m.hello.min_version = cases[_i].min;
	m.hello.max_version = cases[_i].max;
	ck_assert_uint_eq(check(&m, sizeof(m.hello), cases[_i].words), cases[_i].code);
}
END_TEST

START_TEST(names)
{
	union any m = message_of(VDP_ACQUIRE);
	struct request request;

	memset(m.acquire.name, 'x', 63);
	ck_assert_uint_eq(check(&m, sizeof(m.acquire), ""), 0);
	m.acquire.name[63] = 'x';
	ck_assert_uint_eq(check(&m, sizeof(m.acquire), "no NUL in its 64 bytes"), VDP_ERROR_MALFORMED);
	m.acquire.name[63] = '\0';
	m.acquire.name[10] = '\0';
	ck_assert_uint_eq(check(&m, sizeof(m.acquire), "byte 11 of the name is 0x78; after its end at 10"),
			  VDP_ERROR_MALFORMED);
	m = message_of(VDP_HELLO);
	strcpy(m.hello.name, "a\n\033[1m\x80 ~\x7f");
	decode(&request, 1, false, &m, sizeof(m.hello));
	ck_assert_int_eq(request.kind, REQUEST_FOR_CORE);
	ck_assert_str_eq(request.event.name, "a??[1m? ~?");
}
END_TEST

START_TEST(fields)
{
	union any m = message_of(VDP_ACQUIRE);
	struct request request;

	strcpy(m.acquire.name, "a/b");
	m.acquire.index = 1;
	m.acquire.flags = 2;
	m.acquire.seconds = 3;
	m.acquire.wait_ms = UINT32_MAX;
	decode(&request, 1, true, &m, sizeof(m.acquire));
	ck_assert_str_eq(request.event.name, "a/b");
	ck_assert_uint_eq(request.event.index, 1);
	ck_assert_uint_eq(request.event.flags, 2);
	ck_assert_uint_eq(request.event.seconds, 3);
	ck_assert_uint_eq(request.event.wait, UINT32_MAX * 1000ULL);
	m = message_of(VDP_RENEW);
	m.renew.lease = 1ULL << 40;
	m.renew.seconds = 6;
	decode(&request, 1, true, &m, sizeof(m.renew));
	ck_assert_uint_eq(request.event.lease, 1ULL << 40);
	ck_assert_uint_eq(request.event.seconds, 6);
	m.renew.reserved = 1;
	ck_assert_uint_eq(check(&m, sizeof(m.renew), "must be 0, not 1"), VDP_ERROR_MALFORMED);
}
END_TEST

/* ---- notices ---- */

START_TEST(end_is_for_one_or_both)
{
	const struct lease_record lease = {
		.id = 5, .client = 1, .serial = 10, .asker = _i, .asker_serial = 20, .end = END_REVOKED,
	};
	struct effect effect = { .type = EFFECT_SEND, .message = MESSAGE_END, .saved_lease = &lease };
	struct packet packet;

	for (uint64_t client = 1; client <= 2; client++) {
		effect.client = client;
		encode_send(&packet, &effect);
		ck_assert_uint_eq(packet.size, sizeof(packet.body.end));
		ck_assert_uint_eq(packet.body.end.lease, 5);
		ck_assert_uint_eq(packet.body.end.end, VDP_END_REVOKED);
		ck_assert_uint_eq(packet.body.header.serial, client == 1 ? 10 : 0);
		ck_assert_uint_eq(packet.body.end.answers, client == (uint64_t)_i ? 20 : 0);
	}
}
END_TEST

/* ---- with the library's client ---- */

static uid_t admins[] = { 1001 };

static struct slice slices[] = {
	{ .name = "edu/page", .bar = 2, .count = 1, .offset = 0x3000, .length = PAGE, .flags = SLICE_EXCLUSIVE,
	  .max_seconds = 100, .rule = { .everybody = true } },
	{ .name = "edu/array", .count = 4, .offset = 0x8000, .length = PAGE, .flags = SLICE_EXCLUSIVE,
	  .rule = { .everybody = true } },
	{ .name = "edu/wc", .bar = 1, .count = 1, .length = PAGE, .flags = SLICE_WC | SLICE_INTERRUPT,
	  .memory = 2 * PAGE, .rule = { .everybody = true } },
	{ .name = "edu/private", .bar = 3, .count = 1, .length = PAGE },
};
static struct slice absent_slices[] = {
	{ .name = "absent/page", .count = 1, .length = PAGE, .rule = { .everybody = true } },
};
static struct catalogue_device devices[] = {
	{ .name = "edu", .bdf = SHELL_BDF, .patience = 1000000, .slices = slices, .nr_slices = 4 },
	{ .name = "absent", .bdf = SHELL_ABSENT, .patience = 1000000, .slices = absent_slices, .nr_slices = 1 },
};
static struct kept kept[] = { { .user = 1001, .places = { [CLIENTS] = 2, [LEASES] = 12 } } };
static const struct catalogue catalogue = {
	.total = { [CLIENTS] = 20, [LEASES] = 30, [MEMORY_BYTES] = 5 * PAGE },
	.per_user = { [CLIENTS] = 10, [LEASES] = 9, [MEMORY_BYTES] = 4 * PAGE },
	.memory_per_client = 3 * PAGE,
	.leases_per_client = 4,
	.admins = { .users = admins, .nr_users = 1 },
	.kept = kept, .nr_kept = 1,
	.devices = devices, .nr_devices = 2,
};

static char path[64];

static void setup(void)
{
	snprintf(path, sizeof(path), "/tmp/test_protocol.%d", getpid());
	shell_start(path, &catalogue, NULL);
}

static void setup_broken(void)
{
	snprintf(path, sizeof(path), "/tmp/test_protocol.%d", getpid());
	shell_start(path, NULL, "conf:3:1: what");
}

static void teardown(void)
{
	shell_stop();
	unlink(path);
}

static struct vdb_client *connect_as(uid_t uid)
{
	struct vdb_client *client;

	shell_uid = uid;
	client = vdb_client_connect(path, MS, NULL);
	ck_assert_msg(client, "connect: %s", strerrorname_np(errno));
	return client;
}

static struct vdb_lease acquire(struct vdb_client *client, const char *name, uint32_t index)
{
	struct vdb_lease lease;

	ck_assert_msg(!vdb_client_acquire(client, name, index, 0, 0, 0, &lease), "%s: %s: %s", name,
		      strerrorname_np(errno), vdb_client_error(client));
	return lease;
}

static void refused(struct vdb_client *client, const char *name, uint32_t index, uint32_t seconds,
		    int error, const char *words)
{
	struct vdb_lease lease;

	ck_assert_fails(vdb_client_acquire(client, name, index, 0, seconds, 0, &lease), error);
	ck_assert_msg(strstr(vdb_client_error(client), words), "\"%s\" is not in \"%s\"", words,
		      vdb_client_error(client));
}

static struct vdb_event next_event(struct vdb_client *client)
{
	struct pollfd p = { .fd = vdb_client_fd(client), .events = POLLIN };
	struct vdb_event event;
	int ret;

	while (!(ret = vdb_client_next(client, &event)))
		ck_assert_int_eq(poll(&p, 1, MS), 1);
	ck_assert_int_eq(ret, 1);
	return event;
}

static void expect_state(struct vdb_client *client, uint64_t lease, enum vdb_state state, enum vdb_end end)
{
	struct vdb_event event = next_event(client);

	ck_assert_int_eq(event.type, VDB_EVENT_STATE);
	ck_assert_uint_eq(event.lease, lease);
	ck_assert_int_eq(event.state, state);
	ck_assert_int_eq(event.end, end);
}

static bool see_memory(const struct vdb_lease_info *info, void *data)
{
	const struct vdb_lease *lease = data;
	bool is_it = info->id == lease->id;

	ck_assert_uint_eq(info->memory, is_it ? 2 * PAGE : 0);
	ck_assert_uint_eq(info->iova, is_it ? 0x10000 : 0);
	ck_assert_int_eq(info->interrupt, is_it);
	return true;
}

START_TEST(slice_is_granted_and_released)
{
	struct vdb_client *client = connect_as(1000), *admin = connect_as(0);
	struct vdb_status status;
	struct vdb_lease page = acquire(client, "edu/page", 0);
	struct vdb_lease third = acquire(client, "edu/array", 2);
	struct vdb_lease first = acquire(client, "edu/array", VDB_ANY_INDEX);
	struct vdb_lease wc;

	ck_assert_works(vdb_client_acquire(client, "edu/wc", 0, 0, 50, 0, &wc));
	ck_assert_uint_gt(page.id, 1ULL << 32);
	ck_assert_uint_eq(page.index, 0);
	ck_assert_uint_eq(page.seconds, 100);
	ck_assert_str_eq(vdb_slice_bdf(page.slice), SHELL_BDF);
	ck_assert_uint_eq(vdb_slice_bar(page.slice), 2);
	ck_assert_uint_eq(vdb_slice_offset(page.slice), 0x3000);
	ck_assert_uint_eq(vdb_slice_length(page.slice), PAGE);
	ck_assert_uint_eq(third.index, 2);
	ck_assert_uint_eq(vdb_slice_offset(third.slice), 0xa000);
	ck_assert_uint_eq(third.seconds, 0);
	ck_assert_uint_eq(first.index, 0);
	ck_assert_uint_eq(vdb_slice_flags(wc.slice), VDB_FLAG_WC);
	ck_assert_uint_eq(wc.seconds, 50);
	ck_assert_ptr_null(page.memory);
	ck_assert_uint_eq(vdb_slice_length(wc.memory), 2 * PAGE);
	ck_assert_uint_eq(vdb_slice_iova(wc.memory), 0x10000);
	ck_assert_int_eq(page.interrupt, -1);
	ck_assert_int_ge(wc.interrupt, 0);
	/* The limit of memory, and no limit of leases. */
	ck_assert_works(vdb_client_release(client, third.id));
	ck_assert_fails(vdb_client_acquire(client, "edu/wc", 0, 0, 50, 0, &(struct vdb_lease){ 0 }), EDQUOT);
	ck_assert_ptr_nonnull(strstr(vdb_client_error(client), "no memory is left for \"edu/wc\""));
	ck_assert_works(vdb_client_status(client, &status));
	ck_assert_uint_eq(status.memory.per_user, 4 * PAGE);
	ck_assert_uint_eq(status.memory.per_client, 3 * PAGE);
	ck_assert_uint_eq(status.memory.used, 0);
	ck_assert_works(vdb_client_status(admin, &status));
	ck_assert_uint_eq(status.memory.used, 2 * PAGE);
	ck_assert_uint_eq(status.memory.limit, 5 * PAGE);
	ck_assert_works(vdb_client_leases(admin, see_memory, &wc));
	ck_assert_works(vdb_client_release(client, wc.id));
	ck_assert_works(vdb_client_status(admin, &status));
	ck_assert_uint_eq(status.memory.used, 0);
	ck_assert_works(vdb_client_release(client, page.id));
	ck_assert_fails(vdb_client_release(client, page.id), ENOENT);
	ck_assert_ptr_nonnull(strstr(vdb_client_error(client), "there is no lease "));
	ck_assert_int_eq(vdb_client_next(client, &(struct vdb_event){ 0 }), 0);
	vdb_slice_free(page.slice);
	vdb_slice_free(first.slice);
	vdb_slice_free(third.slice);
	vdb_slice_free(wc.slice);
	vdb_slice_free(wc.memory);
	close(wc.interrupt);
	vdb_client_close(client);
	vdb_client_close(admin);
}
END_TEST

START_TEST(refusals)
{
	struct vdb_client *client = connect_as(1000), *other = connect_as(1002);
	struct vdb_lease page = acquire(client, "edu/page", 0);
	struct vdb_lease leases[3];

	refused(client, "edu/nothing", 0, 0, ENOENT, "there is no slice \"edu/nothing\"");
	refused(client, "edu/private", 0, 0, ENOENT, "\"vfio-dmabuf slices\" lists those");
	refused(other, "edu/page", 0, 0, EBUSY, "\"edu/page\" is granted to others");
	refused(other, "edu/page", 1, 0, EINVAL, "index 1, flags 0x0 or 0 s do not fit \"edu/page\"");
	refused(other, "edu/page", 0, 101, EINVAL, "101 s");
	refused(other, "absent/page", 0, 0, ENODEV, "the device of \"absent/page\" is not open");
	for (int i = 0; i < 3; i++)
		leases[i] = acquire(client, "edu/array", VDB_ANY_INDEX);
	refused(client, "edu/array", VDB_ANY_INDEX, 0, EDQUOT, "release one");
	ck_assert_fails(vdb_client_renew(client, page.id, 101), EINVAL);
	ck_assert_ptr_nonnull(strstr(vdb_client_error(client), "cannot last for 101 s"));
	ck_assert_fails(vdb_client_renew(other, page.id, 1), ENOENT);
	ck_assert_fails(vdb_client_release(other, page.id), ENOENT);
	ck_assert_fails(vdb_client_revoke(other, page.id), EPERM);
	ck_assert_int_eq(vdb_client_renew(client, page.id, 60), 60);
	ck_assert_int_eq(vdb_client_renew(client, page.id, 0), 100);
	vdb_slice_free(page.slice);
	for (int i = 0; i < 3; i++)
		vdb_slice_free(leases[i].slice);
	vdb_client_close(client);
	vdb_client_close(other);
}
END_TEST

START_TEST(without_a_configuration)
{
	struct vdb_client *client = connect_as(0);
	struct vdb_status status;

	refused(client, "edu/page", 0, 0, EIO, "configuration has errors");
	ck_assert_works(vdb_client_status(client, &status));
	ck_assert(!status.grants && status.admin);
	ck_assert_str_eq(status.problem, "conf:3:1: what");
	vdb_client_close(client);
}
END_TEST

START_TEST(waiting)
{
	struct vdb_client *client = connect_as(1000), *other = connect_as(1000);
	struct vdb_lease page = acquire(client, "edu/page", 0), lease;
	uint64_t granted, cancelled, refused;
	struct vdb_event event;

	ck_assert_works(vdb_client_acquire_start(other, "edu/page", 0, 0, 0, MS, &cancelled));
	ck_assert_works(vdb_client_acquire_start(other, "edu/page", 0, 0, 0, MS, &granted));
	ck_assert_fails(vdb_client_acquire(client, "edu/page", 0, 0, 0, 20, &lease), ETIMEDOUT);
	ck_assert_ptr_nonnull(strstr(vdb_client_error(client), "until the time to wait was over"));
	ck_assert_int_eq(vdb_client_next(other, &event), 0);
	ck_assert_works(vdb_client_acquire_cancel(other, cancelled));
	/* So that the broker has read that. */
	ck_assert_works(vdb_client_acquire_start(other, "edu/none", 0, 0, 0, 0, &refused));
	event = next_event(other);
	ck_assert_int_eq(event.type, VDB_EVENT_REFUSED);
	ck_assert_uint_eq(event.request, refused);
	ck_assert_int_eq(event.error, ENOENT);
	ck_assert_works(vdb_client_release(client, page.id));
	event = next_event(other);
	ck_assert_int_eq(event.type, VDB_EVENT_GRANTED);
	ck_assert_uint_eq(event.request, granted);
	vdb_slice_free(page.slice);
	vdb_slice_free(event.slice);
	vdb_client_close(client);
	vdb_client_close(other);
}
END_TEST

START_TEST(states_and_ends)
{
	struct vdb_client *client = connect_as(1000), *admin = connect_as(1001);
	struct vdb_lease page = acquire(client, "edu/page", 0);
	struct vdb_lease array = acquire(client, "edu/array", 0);
	struct vdb_lease wc;

	ck_assert_works(vdb_client_acquire(client, "edu/wc", 0, 0, 1, 0, &wc));
	expect_state(client, wc.id, VDB_STATE_REVOKED, VDB_END_EXPIRED);
	ck_assert_works(vdb_client_revoke(admin, page.id));
	ck_assert_fails(vdb_client_revoke(admin, page.id), ENOENT);
	expect_state(client, page.id, VDB_STATE_REVOKED, VDB_END_REVOKED);
	ck_assert_int_eq(vdb_client_next(admin, &(struct vdb_event){ 0 }), 0);
	shell_event(&(struct event){ .type = EVENT_SUSPENDED, .suspended = true });
	expect_state(client, array.id, VDB_STATE_SUSPENDED, VDB_END_NONE);
	shell_event(&(struct event){ .type = EVENT_SUSPENDED });
	expect_state(client, array.id, VDB_STATE_LIVE, VDB_END_NONE);
	shell_event(&(struct event){ .type = EVENT_UNPLUG });
	expect_state(client, array.id, VDB_STATE_REVOKED, VDB_END_DEVICE);
	vdb_slice_free(page.slice);
	vdb_slice_free(array.slice);
	vdb_slice_free(wc.slice);
	vdb_slice_free(wc.memory);
	close(wc.interrupt);
	vdb_client_close(client);
	vdb_client_close(admin);
}
END_TEST

START_TEST(fds_that_cannot_be_sent)
{
	struct vdb_client *client = connect_as(1000);
	struct vdb_lease lease;

	shell_fails_to_send = true;
	refused(client, "edu/page", 0, 0, ETOOMANYREFS, "cannot send file descriptors");
	lease = acquire(client, "edu/page", 0);
	vdb_slice_free(lease.slice);
	vdb_client_close(client);
}
END_TEST

/* ---- at random ---- */

#define MAX_HELD	16

/* What a client believes. */
struct belief {
	struct vdb_client *client;
	struct vdb_lease held[MAX_HELD];
	int nr_held;
	uint64_t requests[MAX_HELD];
	int nr_requests;
	int timeouts, granted, ended;
};

static void take(struct belief *b, const struct vdb_lease *lease)
{
	ck_assert_int_lt(b->nr_held, MAX_HELD);
	ck_assert_ptr_nonnull(lease->slice);
	b->held[b->nr_held++] = *lease;
	b->granted++;
}

static void lose(struct belief *b, uint64_t id)
{
	for (int i = 0; i < b->nr_held; i++) {
		if (b->held[i].id != id)
			continue;
		vdb_slice_free(b->held[i].slice);
		b->held[i] = b->held[--b->nr_held];
		b->ended++;
		return;
	}
	ck_abort_msg("lease %lu ends, which nobody has", id);
}

static void forget_request(struct belief *b, uint64_t request)
{
	for (int i = 0; i < b->nr_requests; i++) {
		if (b->requests[i] != request)
			continue;
		b->requests[i] = b->requests[--b->nr_requests];
		return;
	}
	ck_abort_msg("request %lu has an outcome, which nobody waits for", request);
}

static void read_events(struct belief *b)
{
	struct vdb_event event;
	int ret;

	while ((ret = vdb_client_next(b->client, &event)) > 0) {
		if (event.type != VDB_EVENT_STATE)
			forget_request(b, event.request);
		if (event.type == VDB_EVENT_GRANTED)
			take(b, &(struct vdb_lease){ .id = event.lease, .slice = event.slice });
		else if (event.type == VDB_EVENT_STATE && event.state == VDB_STATE_REVOKED)
			lose(b, event.lease);
	}
	ck_assert_int_eq(ret, 0);
}

static void act(struct belief *b)
{
	const char *name = rand() % 2 ? "edu/page" : "edu/array";
	struct vdb_lease lease;
	int i, ret;

	/* Often there is no time for an answer, and sometimes for some. */
	vdb_client_set_timeout(b->client, rand() % 3 ? MS : rand() % 2);
	errno = 0;
	switch (rand() % 6) {
	case 0:
		ret = vdb_client_acquire(b->client, name, VDB_ANY_INDEX, 0, 0, rand() % 3, &lease);
		if (!ret)
			take(b, &lease);
		else
			ck_assert(errno == EBUSY || errno == EDQUOT || errno == ETIMEDOUT);
		break;
	case 1:
		if (b->nr_requests == MAX_HELD / 2)
			break;
		ck_assert_works(vdb_client_acquire_start(b->client, name, VDB_ANY_INDEX, 0, 0, rand() % 20,
							 &b->requests[b->nr_requests]));
		b->nr_requests++;
		break;
	case 2:
		if (!b->nr_requests)
			break;
		i = rand() % b->nr_requests;
		ck_assert_works(vdb_client_acquire_cancel(b->client, b->requests[i]));
		forget_request(b, b->requests[i]);
		break;
	case 3:
	case 4:
		if (!b->nr_held)
			break;
		i = rand() % b->nr_held;
		ret = vdb_client_release(b->client, b->held[i].id);
		if (!ret)
			lose(b, b->held[i].id);
		else
			ck_assert(errno == ETIMEDOUT || errno == ENOENT);
		break;
	case 5:
		read_events(b);
		break;
	}
	b->timeouts += errno == ETIMEDOUT;
}

struct granted {
	const struct belief *beliefs;
	int matched, others;
};

static bool match(const struct vdb_lease_info *info, void *data)
{
	struct granted *granted = data;
	bool found = false;

	for (int c = 0; c < 2; c++)
		for (int i = 0; i < granted->beliefs[c].nr_held; i++)
			found |= granted->beliefs[c].held[i].id == info->id && info->phase == VDB_LEASE_GRANTED;
	granted->matched += found;
	granted->others += !found;
	return true;
}

/*
 * Two clients that often cancel, and the broker: in the end they agree on who has which
 * lease.
 */
START_TEST(nobody_has_what_nobody_knows)
{
	struct belief beliefs[2] = { { .client = connect_as(1000) }, { .client = connect_as(1000) } };
	struct vdb_client *admin = connect_as(1001);
	struct granted granted;
	int tries = 0;

	srand(_i + 1);
	for (int i = 0; i < 1000; i++)
		act(&beliefs[rand() % 2]);
	for (int c = 0; c < 2; c++) {
		while (beliefs[c].nr_requests) {
			ck_assert_works(vdb_client_acquire_cancel(beliefs[c].client, beliefs[c].requests[0]));
			forget_request(&beliefs[c], beliefs[c].requests[0]);
		}
	}
	do {
		for (int c = 0; c < 2; c++)
			read_events(&beliefs[c]);
		granted = (struct granted){ .beliefs = beliefs };
		ck_assert_works(vdb_client_leases(admin, match, &granted));
		ck_assert_int_lt(tries++, 10000);
	} while (granted.others || granted.matched != beliefs[0].nr_held + beliefs[1].nr_held);
	for (int c = 0; c < 2; c++) {
		ck_assert_int_gt(beliefs[c].timeouts, 3);
		ck_assert_int_gt(beliefs[c].granted, 3);
		while (beliefs[c].nr_held)
			lose(&beliefs[c], beliefs[c].held[0].id);
		vdb_client_close(beliefs[c].client);
	}
	vdb_client_close(admin);
}
END_TEST

/* ---- lists ---- */

struct seen {
	int nr;
	const char *names[8];
	uint64_t lease;
};

static bool see_slice(const struct vdb_slice_info *info, void *data)
{
	struct seen *seen = data;

	ck_assert_str_eq(info->name, seen->names[seen->nr++]);
	ck_assert_int_eq(info->interrupt, !strcmp(info->name, "edu/wc"));
	if (!strcmp(info->name, "edu/array")) {
		ck_assert_str_eq(info->bdf, SHELL_BDF);
		ck_assert_uint_eq(info->offset, 0x8000);
		ck_assert_uint_eq(info->length, PAGE);
		ck_assert_uint_eq(info->count, 4);
		ck_assert_uint_eq(info->free, 2);
		ck_assert(info->exclusive && !info->flags && !info->max_seconds && !info->waiting);
		ck_assert_int_eq(info->device, VDB_DEVICE_OPEN);
	} else if (!strcmp(info->name, "edu/page")) {
		ck_assert_uint_eq(info->bar, 2);
		ck_assert_uint_eq(info->free, 0);
		ck_assert_uint_eq(info->waiting, 1);
		ck_assert_uint_eq(info->max_seconds, 100);
	} else if (!strcmp(info->name, "edu/wc")) {
		ck_assert_uint_eq(info->flags, VDB_FLAG_WC);
		ck_assert(!info->exclusive && info->free == 1);
		ck_assert_uint_eq(info->memory, 2 * PAGE);
	} else if (!strcmp(info->name, "absent/page")) {
		ck_assert_int_eq(info->device, VDB_DEVICE_ABSENT);
		ck_assert_uint_eq(info->free, 0);
	}
	return true;
}

static bool see_lease(const struct vdb_lease_info *info, void *data)
{
	struct seen *seen = data;

	ck_assert_str_eq(info->name, seen->names[seen->nr++]);
	ck_assert_str_eq(info->bdf, SHELL_BDF);
	ck_assert_str_eq(info->client, program_invocation_short_name);
	ck_assert_uint_eq(info->pid, 77);
	ck_assert_uint_eq(info->uid, 1000);
	ck_assert_uint_eq(info->gid, 88);
	ck_assert_int_eq(info->state, VDB_STATE_LIVE);
	ck_assert_int_eq(info->end, VDB_END_NONE);
	ck_assert(!info->interrupt);
	if (seen->nr == 1) {
		ck_assert_uint_eq(info->id, seen->lease);
		ck_assert_int_eq(info->phase, VDB_LEASE_GRANTED);
		ck_assert_uint_eq(info->bar, 2);
		ck_assert_uint_eq(info->offset, 0x3000);
		ck_assert_uint_eq(info->length, PAGE);
		ck_assert(info->seconds > 0 && info->seconds <= 100);
	} else if (!strcmp(info->name, "edu/array")) {
		ck_assert(info->index == 1 || info->index == 3);
		ck_assert_uint_eq(info->offset, 0x8000 + info->index * PAGE);
		ck_assert_uint_eq(info->seconds, 0);
	} else {
		ck_assert_int_eq(info->phase, VDB_LEASE_WAITING);
		ck_assert_uint_gt(info->seconds, 0);
	}
	return true;
}

static bool see_device(const struct vdb_device_info *info, void *data)
{
	struct seen *seen = data;

	ck_assert_str_eq(info->name, seen->names[seen->nr++]);
	ck_assert(!info->suspended);
	if (!strcmp(info->name, "edu")) {
		ck_assert_str_eq(info->bdf, SHELL_BDF);
		ck_assert_int_eq(info->phase, VDB_DEVICE_OPEN);
		ck_assert_uint_eq(info->leases, 3);
		ck_assert_uint_eq(info->waiting, 1);
		ck_assert_str_eq(info->reason, "");
	} else {
		ck_assert_int_eq(info->phase, VDB_DEVICE_ABSENT);
		ck_assert_str_eq(info->reason, "it cannot be opened");
	}
	return true;
}

static bool see_account(const struct vdb_account_info *info, void *data)
{
	struct seen *seen = data;

	seen->nr++;
	if (info->user == 1000) {
		ck_assert_uint_eq(info->clients.used, 2);
		ck_assert_uint_eq(info->clients.limit, 10);
		ck_assert_uint_eq(info->leases.used, 4);
		ck_assert_uint_eq(info->leases.limit, 9);
		ck_assert_uint_eq(info->leases.kept, 0);
	} else {
		ck_assert_uint_eq(info->user, 1001);
		ck_assert_uint_eq(info->clients.used, 1);
		ck_assert_uint_eq(info->clients.kept, 2);
		ck_assert_uint_eq(info->leases.kept, 12);
		ck_assert_uint_eq(info->leases.limit, 12);
		ck_assert_uint_eq(info->leases.used, 0);
	}
	return true;
}

static bool ignore_slice(const struct vdb_slice_info *info, void *unused)
{
	(void)info, (void)unused;
	return true;
}

static struct vdb_news next_news(struct vdb_client *client)
{
	struct pollfd p = { .fd = vdb_client_fd(client), .events = POLLIN };
	struct vdb_news news;
	int ret;

	while (!(ret = vdb_client_news(client, &news)))
		ck_assert_int_eq(poll(&p, 1, MS), 1);
	ck_assert_int_eq(ret, 1);
	return news;
}

static bool has_news(struct vdb_client *client)
{
	struct vdb_news news;

	return vdb_client_news(client, &news);
}

START_TEST(news_for_watchers)
{
	struct vdb_client *client = connect_as(1000), *own = connect_as(1000), *other = connect_as(1002);
	struct vdb_client *admin = connect_as(1001);
	struct vdb_lease page;
	struct vdb_news news;

	ck_assert_fails(vdb_client_news(admin, &news), EINVAL);
	ck_assert_works(vdb_client_watch(own));
	ck_assert_works(vdb_client_watch(other));
	ck_assert_works(vdb_client_watch(admin));
	page = acquire(client, "edu/page", 0);
	for (int i = 0; i < 2; i++) {
		news = next_news(i ? own : admin);
		ck_assert_int_eq(news.type, VDB_NEWS_GRANTED);
		ck_assert_uint_eq(news.lease, page.id);
		ck_assert_str_eq(news.name, "edu/page");
		ck_assert_str_eq(news.bdf, SHELL_BDF);
		ck_assert_uint_eq(news.bar, 2);
		ck_assert_uint_eq(news.offset, 0x3000);
		ck_assert_uint_eq(news.length, PAGE);
		ck_assert_uint_eq(news.seconds, 100);
		ck_assert_uint_eq(news.uid, 1000);
		ck_assert_uint_eq(news.pid, 77);
		ck_assert_str_ne(news.client, "");
		ck_assert_uint_ne(news.time, 0);
	}
	/* An administrator renews it; another user cannot. */
	ck_assert_int_eq(vdb_client_renew(admin, page.id, 50), 50);
	ck_assert_fails(vdb_client_renew(admin, page.id, 101), EINVAL);
	ck_assert_fails(vdb_client_renew(other, page.id, 50), ENOENT);
	ck_assert_ptr_nonnull(strstr(vdb_client_error(other), "of this connection (administrators can renew others)"));
	ck_assert_fails(vdb_client_renew(admin, 12345, 50), ENOENT);
	ck_assert_ptr_nonnull(strstr(vdb_client_error(admin), "there is no lease 12345, or it is not granted"));
	news = next_news(own);
	ck_assert_int_eq(news.type, VDB_NEWS_RENEWED);
	ck_assert_uint_eq(news.seconds, 50);
	ck_assert_works(vdb_client_release(client, page.id));
	news = next_news(own);
	ck_assert_int_eq(news.type, VDB_NEWS_ENDED);
	ck_assert_int_eq(news.end, VDB_END_RELEASED);
	/* It came while the administrator did something else. */
	ck_assert_int_eq(next_news(admin).type, VDB_NEWS_RENEWED);
	ck_assert_int_eq(next_news(admin).type, VDB_NEWS_ENDED);
	shell_event(&(struct event){ .type = EVENT_UNPLUG });
	news = next_news(admin);
	ck_assert_int_eq(news.type, VDB_NEWS_DEVICE_LOST);
	ck_assert_str_eq(news.name, "edu");
	ck_assert_str_eq(news.reason, "it is being unbound or unplugged");
	/* Devices are for administrators; and there is nothing of others. */
	ck_assert_works(vdb_client_slices(own, ignore_slice, NULL));
	ck_assert(!has_news(own));
	ck_assert_works(vdb_client_slices(other, ignore_slice, NULL));
	ck_assert(!has_news(other));
	vdb_slice_free(page.slice);
	vdb_client_close(client);
	vdb_client_close(own);
	vdb_client_close(other);
	vdb_client_close(admin);
}
END_TEST

/* The fd is readable as long as there are some, whichever function takes something. */
START_TEST(news_and_the_fd)
{
	struct vdb_client *client = connect_as(0);
	struct pollfd p = { .fd = vdb_client_fd(client), .events = POLLIN };
	struct vdb_event event;
	struct vdb_lease page;

	ck_assert_works(vdb_client_watch(client));
	page = acquire(client, "edu/page", 0);
	ck_assert_works(vdb_client_release(client, page.id));
	/* All is here, in the library. */
	ck_assert_works(vdb_client_slices(client, ignore_slice, NULL));
	for (int i = 0; i < 2; i++) {
		ck_assert_int_eq(vdb_client_next(client, &event), 0);
		ck_assert_int_eq(poll(&p, 1, MS), 1);
		ck_assert_int_eq(next_news(client).type, i ? VDB_NEWS_ENDED : VDB_NEWS_GRANTED);
	}
	ck_assert(!has_news(client));
	ck_assert_int_eq(poll(&p, 1, 0), 0);
	vdb_slice_free(page.slice);
	vdb_client_close(client);
}
END_TEST

START_TEST(lists_and_status)
{
	struct vdb_client *client = connect_as(1000), *waiter = connect_as(1000), *admin = connect_as(1001);
	struct vdb_lease page = acquire(client, "edu/page", 0);
	struct vdb_lease one = acquire(client, "edu/array", 1), three = acquire(client, "edu/array", 3);
	struct vdb_status status;
	struct seen seen;
	uint64_t request;

	ck_assert_works(vdb_client_acquire_start(waiter, "edu/page", 0, 0, 0, MS, &request));
	/* It is answered after that, so the broker has read it. */
	ck_assert_works(vdb_client_leases(waiter, see_lease, &(struct seen){ .nr = 1, .names = { "", "edu/page" } }));

	seen = (struct seen){ .names = { "edu/page", "edu/array", "edu/wc", "absent/page" } };
	ck_assert_works(vdb_client_slices(client, see_slice, &seen));
	ck_assert_int_eq(seen.nr, 4);
	seen = (struct seen){ .names = { "edu/page", "edu/array", "edu/wc", "edu/private", "absent/page" } };
	ck_assert_works(vdb_client_slices(admin, see_slice, &seen));
	ck_assert_int_eq(seen.nr, 5);

	seen = (struct seen){ .names = { "edu/page", "edu/array", "edu/array" }, .lease = page.id };
	ck_assert_works(vdb_client_leases(client, see_lease, &seen));
	ck_assert_int_eq(seen.nr, 3);
	seen = (struct seen){ .names = { "edu/page", "edu/array", "edu/array", "edu/page" }, .lease = page.id };
	ck_assert_works(vdb_client_leases(admin, see_lease, &seen));
	ck_assert_int_eq(seen.nr, 4);

	ck_assert_fails(vdb_client_devices(client, see_device, &seen), EPERM);
	seen = (struct seen){ .names = { "edu", "absent" } };
	ck_assert_works(vdb_client_devices(admin, see_device, &seen));
	ck_assert_int_eq(seen.nr, 2);

	seen = (struct seen){ 0 };
	ck_assert_works(vdb_client_accounts(client, see_account, &seen));
	ck_assert_int_eq(seen.nr, 1);
	ck_assert_works(vdb_client_accounts(admin, see_account, &seen));
	ck_assert_int_eq(seen.nr, 3);

	ck_assert_works(vdb_client_status(admin, &status));
	ck_assert(status.grants && status.admin);
	ck_assert_uint_eq(status.leases_per_client, 4);
	ck_assert_uint_eq(status.clients.used, 3);
	ck_assert_uint_eq(status.clients.limit, 20);
	ck_assert_uint_eq(status.clients.pool, 18);
	ck_assert_uint_eq(status.clients.pool_used, 2);
	ck_assert_uint_eq(status.leases.used, 4);
	ck_assert_uint_eq(status.leases.limit, 30);
	ck_assert_uint_eq(status.leases.per_user, 9);
	ck_assert_uint_eq(status.devices, 2);
	ck_assert_uint_eq(status.devices_open, 1);
	ck_assert_str_eq(status.problem, "");
	/* Nothing of others. */
	ck_assert_works(vdb_client_status(client, &status));
	ck_assert(status.grants && !status.admin);
	ck_assert_uint_eq(status.leases.per_user, 9);
	ck_assert(!status.clients.used && !status.clients.limit && !status.devices);
	vdb_slice_free(page.slice);
	vdb_slice_free(one.slice);
	vdb_slice_free(three.slice);
	vdb_client_close(client);
	vdb_client_close(waiter);
	vdb_client_close(admin);
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("broker protocol");
	TCase *tc = add_group(s, "requests");

	tcase_add_loop_test(tc, sizes, 0, sizeof(requests) / sizeof(requests[0]));
	tcase_add_test(tc, types);
	tcase_add_loop_test(tc, headers, 0, sizeof(requests) / sizeof(requests[0]));
	tcase_add_loop_test(tc, versions, 0, 6);
	tcase_add_test(tc, names);
	tcase_add_test(tc, fields);
	tcase_add_loop_test(tc, end_is_for_one_or_both, 0, 4);

	tc = add_group(s, "round trip");
	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, slice_is_granted_and_released);
	tcase_add_test(tc, refusals);
	tcase_add_test(tc, waiting);
	tcase_add_test(tc, states_and_ends);
	tcase_add_test(tc, fds_that_cannot_be_sent);
	tcase_add_test(tc, news_for_watchers);
	tcase_add_test(tc, news_and_the_fd);
	tcase_add_test(tc, lists_and_status);
	tcase_add_loop_test(tc, nobody_has_what_nobody_knows, 0, 4);

	tc = add_group(s, "without a configuration");
	tcase_add_checked_fixture(tc, setup_broken, teardown);
	tcase_add_test(tc, without_a_configuration);
	return s;
}
