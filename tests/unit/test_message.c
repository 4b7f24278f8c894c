// SPDX-License-Identifier: MIT
/* What the broker takes for a request. */
#include <string.h>

#include "escape.h"
#include "message.h"
#include "suite.h"

static const struct {
	uint16_t type;
	size_t size;
} requests[] = {
	{ VDP_HELLO, 80 }, { VDP_ACQUIRE, 88 }, { VDP_RELEASE, 16 }, { VDP_RENEW, 24 },
	{ VDP_LIST_SLICES, 8 }, { VDP_LIST_LEASES, 8 }, { VDP_LIST_DEVICES, 8 }, { VDP_REVOKE, 16 },
};

static int check_request(const union request *request, size_t size)
{
	const char *why = NULL;
	int code = message_check(request, size, &why);

	ck_assert((code != 0) == (why != NULL));
	return code;
}

START_TEST(only_the_right_size)
{
	union request request = { .header = { .type = requests[_i].type, .serial = 1 } };

	for (size_t size = 0; size <= sizeof(request); size++)
		ck_assert_int_eq(check_request(&request, size),
				 size == requests[_i].size ? 0 : VDP_ERROR_MALFORMED);
}
END_TEST

START_TEST(reserved_fields_are_zero)
{
	union request request = { .header = { .type = VDP_ACQUIRE, .serial = 1 } };

	request.header.reserved = 1;
	ck_assert_int_eq(check_request(&request, 88), VDP_ERROR_MALFORMED);
	request.header.reserved = 0;
	request.acquire.reserved = 1;
	ck_assert_int_eq(check_request(&request, 88), VDP_ERROR_MALFORMED);
	request = (union request){ .renew = { .header = { .type = VDP_RENEW, .serial = 1 }, .reserved = 1 } };
	ck_assert_int_eq(check_request(&request, 24), VDP_ERROR_MALFORMED);
	request = (union request){ .header = { .type = VDP_RELEASE, .serial = 0 } };
	ck_assert_int_eq(check_request(&request, 16), VDP_ERROR_MALFORMED);
}
END_TEST

START_TEST(names_end)
{
	union request request = { .header = { .type = VDP_ACQUIRE, .serial = 1 } };

	memset(request.acquire.name, 'x', 63);
	ck_assert_int_eq(check_request(&request, 88), 0);
	request.acquire.name[63] = 'x';
	ck_assert_int_eq(check_request(&request, 88), VDP_ERROR_MALFORMED);
	request.acquire.name[63] = '\0';
	request.acquire.name[10] = '\0';
	ck_assert_int_eq(check_request(&request, 88), VDP_ERROR_MALFORMED);
}
END_TEST

START_TEST(unknown_types)
{
	union request request = { .header = { .serial = 1 } };

	for (int type = 0; type < 0x10000; type++) {
		request.header.type = type;
		if (type < VDP_HELLO || type > VDP_REVOKE)
			ck_assert_int_eq(check_request(&request, 8), VDP_ERROR_UNKNOWN);
	}
}
END_TEST

START_TEST(text_of_clients)
{
	char text[8];

	escape(text, sizeof(text), "a\n\033[1m\x80zzzz", 12);
	ck_assert_str_eq(text, "a??[1m?");
	escape(text, sizeof(text), "no NUL", 2);
	ck_assert_str_eq(text, "no");
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("message");
	TCase *tc = add_group(s, "requests");

	tcase_add_loop_test(tc, only_the_right_size, 0, sizeof(requests) / sizeof(requests[0]));
	tcase_add_test(tc, reserved_fields_are_zero);
	tcase_add_test(tc, names_end);
	tcase_add_test(tc, unknown_types);
	tcase_add_test(tc, text_of_clients);
	return s;
}
