// SPDX-License-Identifier: MIT
/* The library against the real module: slices that are passed to another process. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vfio-dmabuf.h>

#include "client.h"
#include "common/fds.h"
#include "device.h"
#include "edu.h"
#include "owner.h"
#include "page.h"
#include "slice.h"
#include "suite.h"
#include "sysfs.h"

#define RW	(PROT_READ | PROT_WRITE)

/* In an unprivileged client: the socket, and what to expect of the slice. */
static long receive_and_use(const struct client_step *step)
{
	struct vdb_slice *slice = vdb_slice_receive(step->arg[0]);
	char *address;
	uint32_t value;

	if (!slice)
		return -1;
	if (vdb_slice_bar(slice) != 0 || vdb_slice_offset(slice) != PAGE * step->arg[1] ||
	    vdb_slice_length(slice) != PAGE || vdb_slice_flags(slice) != step->arg[2] ||
	    strcmp(vdb_slice_bdf(slice), lab_bdf("EDU")))
		return -2;
	address = vdb_slice_map(slice, 0, 0, PROT_READ);
	if (!address || vdb_guard_enable() || vdb_try_read32(address, &value))
		return -3;
	if (vdb_slice_event_fd(slice) >= 0) {
		struct pollfd p = { .fd = vdb_slice_event_fd(slice), .events = POLLIN };

		if (vdb_slice_state(slice, NULL) != VDB_STATE_LIVE)
			return -4;
		/* The owner revokes it when it hears of us. */
		if (send(step->arg[0], "", 1, 0) != 1 || poll(&p, 1, -1) != 1)
			return -5;
		if (vdb_slice_state(slice, NULL) != VDB_STATE_REVOKED ||
		    !vdb_try_read32(address, &value))
			return -6;
	}
	vdb_slice_free(slice);
	return value;
}

static int socket_to(struct client *c, int type, int *theirs)
{
	int ends[2];

	ck_assert_works(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends));
	*theirs = client_give(c, ends[1]);
	close(ends[1]);
	return ends[0];
}

START_TEST(slice_goes_through_a_socket)
{
	static const int types[] = { SOCK_SEQPACKET, SOCK_STREAM };
	struct client *c = client_start(CLIENT_NOBODY);
	struct client_step step = { .fd = -1 };
	int theirs, ours = socket_to(c, types[_i], &theirs);
	struct vdb_slice *slice = owner_export(0, 0, PAGE, VDB_FLAG_READ_ONLY);

	/* Two at once: messages must stay apart in a stream. */
	ck_assert_works(vdb_slice_send(ours, owner, slice));
	ck_assert_works(vdb_slice_send(ours, owner, slice));
	vdb_slice_free(slice);
	step.arg[0] = theirs;
	step.arg[2] = VDB_FLAG_READ_ONLY;
	ck_assert_int_eq(client_call(c, receive_and_use, &step), EDU_ID_VALUE);
	ck_assert_int_eq(client_call(c, receive_and_use, &step), EDU_ID_VALUE);
	client_end(c);
}
END_TEST

static void *revoke_on_message(void *data)
{
	struct vdb_slice *slice = ((void **)data)[1];
	char byte;

	if (recv(*(int *)((void **)data)[0], &byte, 1, 0) == 1)
		vdb_slice_revoke(owner, slice);
	return NULL;
}

START_TEST(client_is_notified_of_revocation)
{
	struct client *c = client_start(CLIENT_NOBODY);
	struct client_step step = { .fd = -1 };
	int theirs, ours = socket_to(c, SOCK_SEQPACKET, &theirs);
	struct vdb_slice *slice = owner_export(0, 0, PAGE, 0);
	void *data[] = { &ours, slice };
	pthread_t thread;

	ck_assert_works(vdb_slice_watch(owner, slice));
	ck_assert_works(vdb_slice_send(ours, owner, slice));
	ck_assert_int_eq(pthread_create(&thread, NULL, revoke_on_message, data), 0);
	step.arg[0] = theirs;
	ck_assert_int_eq(client_call(c, receive_and_use, &step), EDU_ID_VALUE);
	pthread_join(thread, NULL);
	ck_assert_int_eq(vdb_slice_state(slice, NULL), VDB_STATE_REVOKED);
	client_end(c);
}
END_TEST

/* A slice of this process, sent and received within it. */
static struct vdb_slice *sent(const struct vdb_device *device, const struct vdb_slice *slice)
{
	struct vdb_slice *received;
	int ends[2];

	ck_assert_works(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends));
	ck_assert_works(vdb_slice_send(ends[0], device, slice));
	received = vdb_slice_receive(ends[1]);
	ck_assert_msg(received, "receive: %s", strerrorname_np(errno));
	close(ends[0]);
	close(ends[1]);
	return received;
}

START_TEST(description_arrives)
{
	static const unsigned int flags[] = { 0, VDB_FLAG_READ_ONLY, VDB_FLAG_WC, VDB_FLAG_READ_ONLY | VDB_FLAG_WC };
	struct vdb_slice *slice = owner_export(2, 5 * PAGE, 3 * PAGE, flags[_i]);
	struct vdb_slice *received = sent(owner, slice);

	vdb_write32(owner_map(owner_export(2, 5 * PAGE, PAGE, 0), RW), 0x5a5a0005);
	ck_assert_uint_eq(vdb_slice_bar(received), 2);
	ck_assert_uint_eq(vdb_slice_offset(received), 5 * PAGE);
	ck_assert_uint_eq(vdb_slice_length(received), 3 * PAGE);
	ck_assert_uint_eq(vdb_slice_flags(received), flags[_i]);
	ck_assert_str_eq(vdb_slice_bdf(received), lab_bdf("IVSHMEM"));
	ck_assert_int_eq(vdb_slice_event_fd(received), -1);
	ck_assert_uint_eq(vdb_read32(owner_map(received, PROT_READ)), 0x5a5a0005);
}
END_TEST

/* The message as it stands on the wire; see lib/pass.c. */
struct wire {
	uint16_t magic, version;
	uint32_t bar, flags;
	uint16_t watched, state;
	uint64_t offset, length, changes;
	char bdf[16];
};

static struct wire wire_of(const struct vdb_slice *slice)
{
	struct wire wire;
	int ends[2];

	ck_assert_works(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends));
	ck_assert_works(vdb_slice_send(ends[0], owner, slice));
	ck_assert_int_eq(recv(ends[1], &wire, sizeof(wire), MSG_TRUNC), sizeof(wire));
	close(ends[0]);
	close(ends[1]);
	return wire;
}

/* Whether the message is taken for a slice, if a real DMABUF comes with it. */
static bool believed(struct wire wire, int fd)
{
	struct vdb_slice *slice;
	int ends[2], next;

	ck_assert_works(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends));
	ck_assert_works(fds_send(ends[0], &wire, sizeof(wire), &fd, 1, 0));
	next = dup(0);
	close(next);
	errno = 0;
	slice = vdb_slice_receive(ends[1]);
	if (!slice)
		ck_assert_int_eq(errno, EPROTO);
	vdb_slice_free(slice);
	ck_assert_int_eq(dup(0), next);
	close(next);
	close(ends[0]);
	close(ends[1]);
	return slice;
}

/* Each differs in one thing from the truth, which is believed. */
START_TEST(lies_are_not_believed)
{
	struct vdb_slice *slice = owner_export(2, 5 * PAGE, 3 * PAGE, _i ? VDB_FLAG_READ_ONLY : 0);
	const struct wire truth = wire_of(slice);
	int fd = vdb_slice_fd(slice);
	struct wire lie;

#define LIE(member, value) do {						\
	lie = truth;							\
	lie.member = (value);						\
	ck_assert_msg(!believed(lie, fd), "%s = %s", #member, #value);	\
} while (0)
	ck_assert(believed(truth, fd));
	LIE(length, 2 * PAGE);
	LIE(length, 4 * PAGE);
	LIE(length, 0);
	LIE(flags, truth.flags ^ VDB_FLAG_READ_ONLY);
	LIE(flags, truth.flags | 4);
	LIE(bar, VDB_BARS);
	LIE(offset, 5 * PAGE + 1);
	LIE(offset, -2 * PAGE);
	LIE(watched, 1);
	LIE(state, VDB_STATE_REVOKED + 1);
	LIE(bdf[0], 'x');
	memset(lie.bdf, '0', sizeof(lie.bdf));
	ck_assert(!believed(lie, fd));
}
END_TEST

/* A refused fd still belongs to the caller. */
START_TEST(fd_that_came_another_way)
{
	const struct {
		unsigned int bar;
		uint64_t offset;
		unsigned int flags;
		const char *bdf;
	} cases[] = {
		{ VDB_BARS, 0, 0, NULL }, { 0, 1, 0, NULL }, { 0, -PAGE, 0, NULL },
		{ 0, 0, VDB_FLAG_READ_ONLY, NULL }, { 0, 0, 4, NULL }, { 0, 0, 0, "nonsense" },
	};
	struct vdb_slice *slice = owner_export(2, 0, 3 * PAGE, 0);
	int fd = dup(vdb_slice_fd(slice)), file = memfd_create("no DMABUF", MFD_CLOEXEC);

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		errno = 0;
		ck_assert_ptr_null(vdb_slice_from_fd(fd, -1, cases[i].bdf, cases[i].bar,
						     cases[i].offset, cases[i].flags));
		ck_assert_int_eq(errno, EINVAL);
	}
	ck_assert_ptr_null(vdb_slice_from_fd(file, -1, NULL, 0, 0, 0));
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_ptr_null(vdb_slice_from_fd(-1, -1, NULL, 0, 0, 0));
	ck_assert_int_eq(errno, EBADF);

	slice = vdb_slice_from_fd(fd, -1, NULL, 2, PAGE, 0);
	ck_assert_ptr_nonnull(slice);
	ck_assert_uint_eq(vdb_slice_length(slice), 3 * PAGE);
	ck_assert_str_eq(vdb_slice_bdf(slice), "");
	owner_map(slice, RW);
	vdb_slice_free(slice);
	ck_assert_int_eq(fcntl(fd, F_GETFD), -1);
}
END_TEST

/* Regardless of who reads first, the other one is notified as well. */
START_TEST(receiver_has_an_event_fd_of_its_own)
{
	struct vdb_slice *slice = owner_export_watched(), *received = sent(owner, slice);
	struct device raw = { .fd = vdb_device_fd(owner) };
	struct vdb_slice *first = _i ? received : slice, *second = _i ? slice : received;
	uint64_t changes[2];
	int revents;

	ck_assert_int_eq(vdb_slice_state(received, NULL), VDB_STATE_LIVE);
	ck_assert(!event_readable(received, &revents));
	device_set_memory(&raw, false);
	ck_assert_int_eq(vdb_slice_state(first, &changes[0]), VDB_STATE_SUSPENDED);
	ck_assert(event_readable(second, &revents));
	ck_assert_int_eq(vdb_slice_state(second, &changes[1]), VDB_STATE_SUSPENDED);
	ck_assert_uint_eq(changes[0], changes[1]);
	device_set_memory(&raw, true);
	ck_assert_works(vdb_slice_revoke(owner, slice));
	ck_assert_int_eq(vdb_slice_state(first, NULL), VDB_STATE_REVOKED);
	ck_assert_int_eq(vdb_slice_state(second, NULL), VDB_STATE_REVOKED);
	/* It is sent with the right description. */
	ck_assert_int_eq(vdb_slice_state(sent(owner, slice), NULL), VDB_STATE_REVOKED);
}
END_TEST

/* Nothing is sent, and the sender's event fd stays its own. */
START_TEST(device_of_another_slice)
{
	struct vdb_slice *slice = owner_export_watched();
	struct vdb_device *edu = owner;
	int ends[2];

	owner_open_ivshmem();
	ck_assert_works(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends));
	ck_assert_fails(vdb_slice_send(ends[0], owner, slice), ENODEV);
	ck_assert_fails(recv(ends[1], &(char){ 0 }, 1, MSG_DONTWAIT), EAGAIN);
	ck_assert_works(vdb_slice_revoke(edu, slice));
	ck_assert_int_eq(vdb_slice_state(slice, NULL), VDB_STATE_REVOKED);
}
END_TEST

/* Without the device: what the sender has read of the shared fd, the receiver cannot read any more. */
START_TEST(received_slice_knows_its_state)
{
	struct vdb_slice *slice = owner_export_watched(), *received;
	struct device raw = { .fd = vdb_device_fd(owner) };
	uint64_t known, changes;
	int revents;

	device_set_memory(&raw, false);
	ck_assert_int_eq(vdb_slice_state(slice, &known), VDB_STATE_SUSPENDED);
	received = sent(NULL, slice);
	ck_assert(!event_readable(received, &revents));
	ck_assert_int_eq(vdb_slice_state(received, &changes), VDB_STATE_SUSPENDED);
	ck_assert_uint_eq(changes, known);

	device_set_memory(&raw, true);
	ck_assert(event_readable(received, &revents));
	ck_assert_int_eq(vdb_slice_state(received, &changes), VDB_STATE_LIVE);
	ck_assert_uint_eq(changes, known + 1);

	/* Changes that it has not read are still reported. */
	device_set_memory(&raw, false);
	received = sent(NULL, slice);
	ck_assert(event_readable(received, &revents));
	ck_assert_int_eq(vdb_slice_state(received, NULL), VDB_STATE_SUSPENDED);

	ck_assert_works(vdb_slice_revoke(owner, slice));
	ck_assert_int_eq(vdb_slice_state(slice, NULL), VDB_STATE_REVOKED);
	ck_assert_int_eq(vdb_slice_state(sent(NULL, slice), NULL), VDB_STATE_REVOKED);
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("passing");
	TCase *tc = add_group(s, "passing");

	tcase_add_checked_fixture(tc, owner_open_edu, NULL);
	tcase_add_loop_test(tc, slice_goes_through_a_socket, 0, 2);
	tcase_add_test(tc, client_is_notified_of_revocation);
	tcase_add_loop_test(tc, receiver_has_an_event_fd_of_its_own, 0, 2);
	tcase_add_test(tc, device_of_another_slice);
	tcase_add_test(tc, received_slice_knows_its_state);

	tc = add_group(s, "descriptions");
	tcase_add_checked_fixture(tc, owner_open_ivshmem, NULL);
	tcase_add_loop_test(tc, description_arrives, 0, 4);
	tcase_add_loop_test(tc, lies_are_not_believed, 0, 2);
	tcase_add_test(tc, fd_that_came_another_way);
	return s;
}
