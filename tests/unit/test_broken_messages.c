// SPDX-License-Identifier: MIT
/* Messages of the broker that are wrong, or that a later broker sends. */
#include <errno.h>
#include <string.h>

#include "broken_broker.h"

static void wrong_script(int fd)
{
	uint64_t serial = ask(fd, VDP_ACQUIRE).header.serial;
	struct vdp_grant grant = {
		.header = { .type = VDP_GRANT, .serial = serial }, .lease = 1, .length = PAGE,
	};
	struct vdp_error error = { .header = { .type = VDP_ERROR, .serial = serial }, .code = 5 };
	struct vdp_state state = { .header = { .type = VDP_STATE, .serial = serial }, .lease = 1 };
	char longer[VDP_MAX_MESSAGE + 1] = { 0 };

	switch (variant) {
	case 0: /* shorter than any */
		say(fd, &grant, sizeof(grant.header) - 1, 2);
		break;
	case 1: /* half of it */
		say(fd, &grant, offsetof(struct vdp_grant, memory) - 1, 2);
		break;
	case 2: /* without fds */
		say(fd, &grant, sizeof(grant), 0);
		break;
	case 3: /* with one */
		say(fd, &grant, sizeof(grant), 1);
		break;
	case 4: /* with too many */
		say(fd, &grant, sizeof(grant), 4);
		break;
	case 5: /* nothing but fds */
		say(fd, &grant, 0, 2);
		break;
	case 6: /* it is not as long as it claims */
		grant.length = 2 * PAGE;
		say(fd, &grant, sizeof(grant), 2);
		break;
	case 7: /* nor is it read-only */
		grant.flags = VDP_READ_ONLY;
		say(fd, &grant, sizeof(grant), 2);
		break;
	case 8: /* flags of a later version */
		grant.flags = 1u << 31;
		say(fd, &grant, sizeof(grant), 2);
		break;
	case 9: /* text without an end */
		memset(grant.bdf, '0', sizeof(grant.bdf));
		say(fd, &grant, sizeof(grant), 2);
		break;
	case 10:
		memset(error.text, 'x', sizeof(error.text));
		say(fd, &error, sizeof(error), 0);
		break;
	case 11: /* a header that is in use */
		error.header.item = 1;
		say(fd, &error, sizeof(error), 0);
		break;
	case 12: /* fds with something else */
		say(fd, &error, sizeof(error), 2);
		break;
	case 13: /* a state that does not exist */
		state.state = 2;
		say(fd, &state, sizeof(state), 0);
		break;
	case 14: /* a message that does not exist */
		say_plain(fd, serial, 0x303);
		break;
	case 15: /* a lease without a number */
		grant.lease = 0;
		say(fd, &grant, sizeof(grant), 2);
		break;
	case 16: /* a field that is not known */
		memcpy(longer, &grant, sizeof(grant));
		longer[VDP_MAX_MESSAGE - 1] = 1;
		say(fd, longer, VDP_MAX_MESSAGE, 2);
		break;
	case 17: /* longer than any */
		memcpy(longer, &grant, sizeof(grant));
		say(fd, longer, sizeof(longer), 2);
		break;
	case 18: /* an error of the connection */
		say_error(fd, 0, VDP_ERROR_MALFORMED);
		break;
	case 19: /* memory without a fd */
		grant.memory = PAGE;
		grant.iova = PAGE;
		say(fd, &grant, sizeof(grant), 2);
		break;
	case 20: /* a fd without memory */
		say_with_memory(fd, &grant, PAGE, true);
		break;
	case 21: /* memory of another size */
		grant.memory = 2 * PAGE;
		grant.iova = PAGE;
		say_with_memory(fd, &grant, PAGE, true);
		break;
	case 22: /* memory that can shrink */
		grant.memory = PAGE;
		grant.iova = PAGE;
		say_with_memory(fd, &grant, PAGE, false);
		break;
	case 23: /* an address inside a page */
		grant.memory = PAGE;
		grant.iova = PAGE + 8;
		say_with_memory(fd, &grant, PAGE, true);
		break;
	case 24: /* an interrupt without an fd */
		grant.memory = PAGE;
		grant.iova = PAGE;
		grant.flags = VDP_INTERRUPT;
		say_memory(fd, &grant, PAGE, true, 3);
		break;
	case 25: /* an interrupt without memory */
		grant.flags = VDP_INTERRUPT;
		say(fd, &grant, sizeof(grant), 3);
		break;
	}
}

START_TEST(wrong_messages_end_it)
{
	struct vdb_lease lease = { .id = 99 };
	int fds;

	variant = _i;
	connect_to(wrong_script);
	fds = count_fds();
	ck_assert_fails(acquire(0, &lease), EPROTO);
	ck_assert_str_ne(vdb_client_error(client), "");
	ck_assert_uint_eq(lease.id, 99);
	check_ended();
	ck_assert_int_eq(count_fds(), fds);
	done();
}
END_TEST

static void longer_script(int fd)
{
	struct {
		struct vdp_grant grant;
		uint64_t later;
	} m = {
		.grant = {
			.header = { .type = VDP_GRANT, .serial = ask(fd, VDP_ACQUIRE).header.serial },
			.lease = 3, .length = PAGE,
		},
	};

	say(fd, &m, sizeof(m), 2);
	answer_renew(fd);
}

static void memory_script(int fd)
{
	struct vdp_grant grant = {
		.header = { .type = VDP_GRANT, .serial = ask(fd, VDP_ACQUIRE).header.serial },
		.lease = 3, .length = PAGE, .memory = 2 * PAGE, .iova = 16 * PAGE,
		.flags = VDP_INTERRUPT,
	};

	say_with_memory(fd, &grant, 2 * PAGE, true);
	answer_renew(fd);
}

/*
 * A program that was compiled before struct vdb_lease had memory, or the interrupt, gets none, and
 * leaks none.
 */
START_TEST(slice_with_memory_and_interrupt)
{
	const size_t sizes[] = {
		sizeof(struct vdb_lease), offsetof(struct vdb_lease, interrupt), offsetof(struct vdb_lease, memory),
	};
	struct vdb_lease lease = { .memory = (void *)&lease, .interrupt = -2 };
	size_t size = sizes[_i];
	int fds;

	connect_to(memory_script);
	fds = count_fds();
	ck_assert_works(vdb_client_acquire_sized(client, "nic/bell", 0, 0, 0, 0, &lease, size));
	ck_assert_uint_eq(lease.id, 3);
	connection_works();
	if (_i) {
		ck_assert_int_eq(lease.interrupt, -2);
	} else {
		ck_assert_int_ge(lease.interrupt, 0);
		close(lease.interrupt);
	}
	if (_i == 2) {
		ck_assert_ptr_eq(lease.memory, &lease);
	} else {
		ck_assert_int_eq(vdb_slice_kind(lease.memory), VDB_KIND_MEMORY);
		ck_assert_uint_eq(vdb_slice_length(lease.memory), 2 * PAGE);
		ck_assert_uint_eq(vdb_slice_iova(lease.memory), 16 * PAGE);
		vdb_slice_free(lease.memory);
	}
	vdb_slice_free(lease.slice);
	ck_assert_int_eq(count_fds(), fds);
	done();
}
END_TEST

/* Fields of a later broker that have no meaning here. */
START_TEST(longer_messages_are_accepted)
{
	struct vdb_lease lease;

	connect_to(longer_script);
	ck_assert_works(acquire(0, &lease));
	ck_assert_uint_eq(lease.id, 3);
	connection_works();
	vdb_slice_free(lease.slice);
	done();
}
END_TEST

static void other_answer_script(int fd)
{
	say_plain(fd, ask(fd, VDP_RENEW).header.serial, VDP_LIST_SLICES | VDP_ANSWER);
}

START_TEST(answer_of_another_type)
{
	connect_to(other_answer_script);
	ck_assert_fails(vdb_client_renew(client, 1, 0), EPROTO);
	check_ended();
	done();
}
END_TEST

static const struct {
	uint32_t code;
	int error;
} errors[] = {
	{ VDP_ERROR_UNKNOWN, ENOTSUP }, { VDP_ERROR_NO_SLICE, ENOENT }, { VDP_ERROR_BUSY, EBUSY },
	{ VDP_ERROR_INVALID, EINVAL }, { VDP_ERROR_LIMIT, EDQUOT }, { VDP_ERROR_FORBIDDEN, EPERM },
	{ VDP_ERROR_DEVICE, ENODEV }, { VDP_ERROR_MEMORY, EIO }, { VDP_ERROR_CONFIGURATION, EIO },
	{ 999, EIO },
};

static void error_script(int fd)
{
	say_error(fd, ask(fd, VDP_ACQUIRE).header.serial, errors[variant].code);
	say_error(fd, ask(fd, VDP_REVOKE).header.serial, errors[variant].code);
	answer_renew(fd);
}

START_TEST(errors_have_names_and_words)
{
	struct vdb_lease lease;

	variant = _i;
	connect_to(error_script);
	ck_assert_fails(acquire(0, &lease), errors[_i].error);
	ck_assert_str_eq(vdb_client_error(client), "because");
	ck_assert_fails(vdb_client_revoke(client, 5), errors[_i].error);
	ck_assert_str_eq(vdb_client_error(client), "because");
	connection_works();
	done();
}
END_TEST

static const struct {
	uint32_t end;
	int error;
} ends[] = {
	{ VDP_END_DEVICE, ENODEV }, { VDP_END_REVOKED, ECANCELED }, { VDP_END_UNSENT, ETOOMANYREFS },
	{ VDP_END_EXPORT, EIO }, { VDP_END_BUSY, EBUSY }, { VDP_END_TIMEOUT, ETIMEDOUT },
	{ VDP_END_CLIENT, EAGAIN }, { 999, EIO },
};

static void end_script(int fd)
{
	uint64_t serial = ask(fd, VDP_ACQUIRE).header.serial;

	if (variant % 2)
		say_waiting(fd, serial, 8);
	say_end(fd, serial, 8, 0, ends[variant / 2].end);
	answer_renew(fd);
}

START_TEST(ends_of_requests_have_names)
{
	struct vdb_lease lease;

	variant = _i;
	connect_to(end_script);
	ck_assert_fails(acquire(1000, &lease), ends[_i / 2].error);
	ck_assert_str_ne(vdb_client_error(client), "");
	nothing_to_report();
	connection_works();
	done();
}
END_TEST

START_TEST(long_names_are_refused_here)
{
	struct vdb_lease lease;
	char name[VDP_NAME + 1];

	memset(name, 'x', sizeof(name));
	name[VDP_NAME] = '\0';
	connect_to(NULL);
	ck_assert_fails(vdb_client_acquire(client, name, 0, 0, 0, 0, &lease), ENOENT);
	ck_assert_str_ne(vdb_client_error(client), "");
	done();
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("broken broker");
	TCase *tc = add_broken_group(s, "wrong messages");

	tcase_add_loop_test(tc, wrong_messages_end_it, 0, 26);
	tcase_add_loop_test(tc, slice_with_memory_and_interrupt, 0, 3);
	tcase_add_test(tc, longer_messages_are_accepted);
	tcase_add_test(tc, answer_of_another_type);
	tcase_add_loop_test(tc, errors_have_names_and_words, 0, sizeof(errors) / sizeof(errors[0]));
	tcase_add_loop_test(tc, ends_of_requests_have_names, 0, 2 * sizeof(ends) / sizeof(ends[0]));
	tcase_add_test(tc, long_names_are_refused_here);
	return s;
}
