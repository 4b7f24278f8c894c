// SPDX-License-Identifier: MIT
/* Wrong lists, structs of programs of another version, and a broker that dies. */
#include <errno.h>
#include <string.h>

#include "broken_broker.h"

static void list_script(int fd)
{
	uint64_t serial = ask(fd, VDP_LIST_SLICES).header.serial;

	say_slice(fd, serial, 0, "old/0");
	say_slice(fd, serial, 1, "old/1");
	/* A late one of another list. */
	say_slice(fd, serial - 1, 2, "other/2");
	say_slice(fd, serial, 0, "new/0");
	say_slice(fd, serial, 1, "new/1");
	say_slice(fd, serial, 2, "new/2");
	say_plain(fd, serial, VDP_LIST_SLICES | VDP_ANSWER);
}

static bool check_new(const struct vdb_slice_info *info, void *data)
{
	char name[16];

	snprintf(name, sizeof(name), "new/%d", (*(int *)data)++);
	ck_assert_str_eq(info->name, name);
	return true;
}

/* The broker was restarted in the middle: nothing is listed twice. */
START_TEST(list_that_begins_again)
{
	int slices = 0;

	connect_to(list_script);
	ck_assert_works(vdb_client_slices(client, check_new, &slices));
	ck_assert_int_eq(slices, 3);
	done();
}
END_TEST

static bool stop_at_second(const struct vdb_slice_info *info, void *data)
{
	return check_new(info, data) && *(int *)data < 2;
}

START_TEST(list_can_be_stopped)
{
	int slices = 0;

	connect_to(list_script);
	ck_assert_int_eq(vdb_client_slices(client, stop_at_second, &slices), 1);
	ck_assert_int_eq(slices, 2);
	done();
}
END_TEST

/* ---- structs of programs that were compiled with another version ---- */

#define LATER	24	/* bytes that a later version has at the end */

static void sizes_script(int fd)
{
	struct vdp_status_answer status = {
		.header = { .type = VDP_STATUS | VDP_ANSWER }, .leases_per_client = 5, .problem = "too bad",
	};

	for (int i = 0; i < 2; i++) {
		say_grant(fd, ask(fd, VDP_ACQUIRE).header.serial, 5 + i);
		say_state(fd, 0, 5 + i, VDP_STATE_SUSPENDED);
		status.header.serial = ask(fd, VDP_STATUS).header.serial;
		say(fd, &status, sizeof(status), 0);
	}
}

/* 0 from the end of this version's struct to @size, and unchanged after that. */
static void check_rest(const void *filled, size_t known, size_t size, size_t room)
{
	const unsigned char *bytes = filled;

	for (size_t i = known; i < size; i++)
		ck_assert_uint_eq(bytes[i], 0);
	for (size_t i = size; i < room; i++)
		ck_assert_uint_eq(bytes[i], 0xaa);
}

START_TEST(structs_can_be_longer)
{
	struct { struct vdb_lease it; char later[LATER + 8]; } lease;
	struct { struct vdb_event it; char later[LATER + 8]; } event;
	struct { struct vdb_status it; char later[LATER + 8]; } status;

	connect_to(sizes_script);
	for (size_t more = 0; more <= LATER; more += LATER) {
		memset(&lease, 0xaa, sizeof(lease));
		memset(&event, 0xaa, sizeof(event));
		memset(&status, 0xaa, sizeof(status));
		ck_assert_works(vdb_client_acquire_sized(client, "a/b", 0, 0, 0, 0, &lease.it, sizeof(lease.it) + more));
		ck_assert_works(vdb_client_status_sized(client, &status.it, sizeof(status.it) + more));
		ck_assert_int_eq(vdb_client_next_sized(client, &event.it, sizeof(event.it) + more), 1);
		ck_assert_ptr_nonnull(lease.it.slice);
		ck_assert_uint_eq(event.it.lease, lease.it.id);
		ck_assert_uint_eq(status.it.leases_per_client, 5);
		ck_assert_str_eq(status.it.problem, "too bad");
		check_rest(&lease, sizeof(lease.it), sizeof(lease.it) + more, sizeof(lease));
		check_rest(&event, sizeof(event.it), sizeof(event.it) + more, sizeof(event));
		check_rest(&status, sizeof(status.it), sizeof(status.it) + more, sizeof(status));
		vdb_slice_free(lease.it.slice);
	}
	done();
}
END_TEST

/* No program has such structs, and a slice would be lost. So nothing is requested. */
START_TEST(structs_are_not_smaller_than_the_first)
{
	struct vdb_status status;
	struct vdb_event event;
	struct vdb_lease lease;

	connect_to(answer_renew);
	ck_assert_fails(vdb_client_acquire_sized(client, "a/b", 0, 0, 0, 0, &lease,
						 offsetof(struct vdb_lease, memory) - 1), EINVAL);
	ck_assert_str_ne(vdb_client_error(client), "");
	ck_assert_fails(vdb_client_next_sized(client, &event, sizeof(uint64_t)), EINVAL);
	ck_assert_fails(vdb_client_status_sized(client, &status, sizeof(uint64_t)), EINVAL);
	connection_works();
	done();
}
END_TEST

static void wrong_list_script(int fd)
{
	uint64_t serial = ask(fd, VDP_LIST_SLICES).header.serial;
	struct vdp_slice_item m = { .header = { .type = VDP_LIST_SLICES | VDP_ITEM, .serial = serial } };

	switch (variant) {
	case 0:
		say_slice(fd, serial, 1, "a/b");
		break;
	case 1:
		say_plain(fd, serial, VDP_LIST_LEASES | VDP_ANSWER);
		break;
	case 2:
		memset(m.name, 'x', sizeof(m.name));
		say(fd, &m, sizeof(m), 0);
		say_plain(fd, serial, VDP_LIST_SLICES | VDP_ANSWER);
		break;
	}
}

START_TEST(wrong_lists_end_it)
{
	int slices = 0;

	variant = _i;
	connect_to(wrong_list_script);
	ck_assert_fails(vdb_client_slices(client, ignore_slice, &slices), EPROTO);
	ck_assert_int_eq(slices, 0);
	check_ended();
	done();
}
END_TEST

/* ---- the end ---- */

static void die_script(int fd)
{
	say_grant(fd, ask(fd, VDP_ACQUIRE).header.serial, 5);
	ask(fd, VDP_RENEW);
	_exit(0);
}

START_TEST(broker_that_dies)
{
	struct vdb_event event;
	struct vdb_lease lease;

	connect_to(die_script);
	close(listening);
	ck_assert_works(acquire(0, &lease));
	ck_assert_fails(vdb_client_renew(client, lease.id, 0), ENOTCONN);
	ck_assert_fails(vdb_client_next(client, &event), ENOTCONN);
	ck_assert_fails(acquire(0, &lease), ENOTCONN);
	vdb_slice_free(lease.slice);
	done();
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("broken broker");
	TCase *tc = add_broken_group(s, "lists");

	tcase_add_test(tc, list_that_begins_again);
	tcase_add_test(tc, list_can_be_stopped);
	tcase_add_test(tc, structs_can_be_longer);
	tcase_add_test(tc, structs_are_not_smaller_than_the_first);
	tcase_add_loop_test(tc, wrong_lists_end_it, 0, 3);
	tcase_add_test(tc, broker_that_dies);
	return s;
}
