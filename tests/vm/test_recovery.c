// SPDX-License-Identifier: MIT
/*
 * An owner that is killed, and the next one, with the same device fd from a service
 * manager: it finds all slices, and revokes those that it does not know. Clients
 * continue to use the others.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client.h"
#include "common/fds.h"
#include "memory.h"
#include "owner.h"
#include "page.h"
#include "suite.h"
#include "sysfs.h"

#define MEM	2	/* ivshmem's BAR that is plain memory */
#define RW	(PROT_READ | PROT_WRITE)

enum { KNOWN, MAPPED, UNMAPPED, SLICES };

/*
 * In the first owner: opens the device and stores its fd, then exports the slices.
 * Returns the id of the one that it would save, for example in a file.
 */
static long step_own(const struct client_step *step)
{
	struct vdb_slice *slices[SLICES];
	long id;

	owner = vdb_device_open(lab_bdf("IVSHMEM"), NULL, NULL);
	if (!owner || fds_send(step->fd, "", 1, (int[]){ vdb_device_fd(owner) }, 1, 0))
		return -1;
	for (int i = 0; i < SLICES; i++) {
		struct vdb_range range = { (i + 1) * PAGE, PAGE };

		slices[i] = vdb_slice_export(owner, MEM, &range, 1,
					     i == UNMAPPED ? VDB_FLAG_READ_ONLY : 0);
		if (!slices[i] || vdb_slice_send(step->fd, NULL, slices[i]))
			return -1;
	}
	id = vdb_slice_id(owner, slices[KNOWN]);
	for (int i = 0; i < SLICES; i++)
		vdb_slice_free(slices[i]);
	return id ? id : -1;
}

struct found {
	uint64_t known;
	unsigned int seen;	/* bit by bit, which slices */
	unsigned int others;
	long revoked;
};

static bool sort_out(const struct vdb_buffer *buffer, void *data)
{
	struct found *found = data;
	unsigned int i = buffer->offset / PAGE - 1;

	if (i >= SLICES || buffer->bar != MEM || buffer->length != PAGE ||
	    buffer->state != VDB_STATE_LIVE || buffer->mappings != (i != UNMAPPED) ||
	    buffer->flags != (i == UNMAPPED ? VDB_FLAG_READ_ONLY : 0))
		found->others++;
	else
		found->seen |= 1u << i;
	if (buffer->id != found->known && !vdb_device_revoke_id(owner, buffer->id))
		found->revoked++;
	return true;
}

/* In the second owner: has the device fd and a number.  How many it revoked. */
static long step_take_over(const struct client_step *step)
{
	struct found found = { .known = step->arg[0] };

	owner = vdb_device_from_fd(step->fd);
	if (!owner || !(vdb_device_capabilities(owner) & VDB_CAP_LIST) ||
	    vdb_device_list(owner, sort_out, &found) ||
	    found.seen != (1u << SLICES) - 1 || found.others)
		return -1;
	return found.revoked;
}

/* It owns the device as the first one did: it exports, and revokes slices that it knows. */
static long step_go_on(const struct client_step *step)
{
	struct vdb_range range = { 8 * PAGE, PAGE };
	struct vdb_slice *slice = vdb_slice_export(owner, MEM, &range, 1, 0);

	if (!slice || vdb_slice_id(owner, slice) <= (uint64_t)step->arg[0])
		return -1;
	return vdb_device_revoke_id(owner, step->arg[0]);
}

static long step_mmap_own(const struct client_step *step)
{
	return (long)mmap(NULL, PAGE, PROT_READ, MAP_SHARED, step->arg[0], 0);
}

/* The first owner's life; what a service manager and a client have after it. */
static long live_and_die(struct client *client, int *device_fd, long maps[SLICES], int *client_fd)
{
	struct client *first = client_start(CLIENT_ROOT);
	int pair[2];
	char byte;
	bool lost;
	long id;

	ck_assert_works(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair));
	id = client_call(first, step_own, &(struct client_step){ .fd = pair[1] });
	ck_assert_msg(id > 0, "the first owner: %s", strerror(errno));
	close(pair[1]);
	ck_assert_int_eq(fds_receive(pair[0], &byte, 1, device_fd, 1, 0, &lost), 1);
	ck_assert_int_ge(*device_fd, 0);
	for (int i = 0; i < SLICES; i++) {
		struct vdb_slice *slice = vdb_slice_receive(pair[0]);

		ck_assert_ptr_nonnull(slice);
		if (i == UNMAPPED) {
			*client_fd = client_give(client, vdb_slice_fd(slice));
		} else {
			maps[i] = client_mmap(client, vdb_slice_fd(slice), 0, PAGE, RW);
			client_write32(client, maps[i], 0x100 + i);
		}
		vdb_slice_free(slice);
	}
	close(pair[0]);
	ck_assert_works(kill(first->pid, SIGKILL));
	client_end(first);
	return id;
}

START_TEST(next_owner_revokes_what_it_does_not_know)
{
	struct client *client = client_start(CLIENT_NOBODY), *second;
	struct client_step step = { .fd = -1 };
	int device_fd, client_fd;
	long maps[SLICES];
	uint32_t value;

	step.arg[0] = live_and_die(client, &device_fd, maps, &client_fd);
	/* Nothing has happened to the client. */
	for (int i = 0; i < UNMAPPED; i++)
		ck_assert_uint_eq(client_read32(client, maps[i]), 0x100 + i);

	second = client_start(CLIENT_ROOT);
	step.fd = device_fd;
	ck_assert_int_eq(client_call(second, step_take_over, &step), SLICES - 1);
	close(device_fd);
	step.fd = -1;
	ck_assert_uint_eq(client_read32(client, maps[KNOWN]), 0x100 + KNOWN);
	ck_assert_int_eq(client_try_read32(client, maps[MAPPED], &value), SIGBUS);
	ck_assert_fails(client_call(client, step_mmap_own, &(struct client_step){
			{ client_fd }, -1 }), ENODEV);

	ck_assert_works(client_call(second, step_go_on, &step));
	ck_assert_int_eq(client_try_read32(client, maps[KNOWN], &value), SIGBUS);
	client_end(second);
	client_end(client);
}
END_TEST

/* The device was open without an owner for a while; now it ends with the last fd. */
START_TEST(without_a_next_owner_everything_is_revoked)
{
	struct client *client = client_start(CLIENT_NOBODY);
	int device_fd, client_fd;
	long maps[SLICES];
	uint32_t value;

	live_and_die(client, &device_fd, maps, &client_fd);
	client_read32(client, maps[KNOWN]);
	close(device_fd);
	for (int i = 0; i < UNMAPPED; i++)
		ck_assert_int_eq(client_try_read32(client, maps[i], &value), SIGBUS);
	client_end(client);
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("recovery");
	TCase *tc = add_group(s, "killed owner");

	tcase_add_test(tc, next_owner_revokes_what_it_does_not_know);
	tcase_add_test(tc, without_a_next_owner_everything_is_revoked);
	return s;
}
