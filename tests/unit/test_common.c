// SPDX-License-Identifier: MIT
/* The code that library, command and broker share. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vfio-dmabuf.h>

#include "common/bdf.h"
#include "common/fdinfo.h"
#include "common/fds.h"
#include "common/function.h"
#include "common/message.h"
#include "common/names.h"
#include "common/printable.h"
#include "common/replace.h"
#include "common/unix_address.h"
#include "common/uuid.h"
#include "common/vfio_nodes.h"
#include "suite.h"

START_TEST(names_of_functions)
{
	static const struct {
		const char *text, *bdf;
	} cases[] = {
		{ "0000:01:00.0", "0000:01:00.0" },
		{ "1:2.3", "0000:01:02.3" },
		{ "ABCD:FF:1F.7", "abcd:ff:1f.7" },
		{ "10000:e1:00.0", "10000:e1:00.0" },
		{ "1234567:01:00.0", "1234567:01:00.0" },
		{ "12345678:01:00.0", NULL },
		{ "ffff:ff:1f.7", "ffff:ff:1f.7" },
		{ "0000:01:1A.0", "0000:01:1a.0" },
		{ "0000:0::00.0", NULL },
		{ "0000:0g:00.0", NULL },
		{ "0000:01:00:0", NULL },
		{ "0000:01:20.0", NULL },
		{ "0000:01:00.8", NULL },
		{ "0000:01:00", NULL },
		{ "0000:01:00.0 ", NULL },
		{ " 0000:01:00.0", NULL },
		{ "0000:+1:00.0", NULL },
		{ "0x1:00.0", NULL },
		{ "../../etc", NULL },
		{ "", NULL },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char bdf[BDF_SIZE] = "as it was";

		ck_assert_msg(bdf_parse(cases[i].text, bdf) == !!cases[i].bdf, "\"%s\"", cases[i].text);
		ck_assert_str_eq(bdf, cases[i].bdf ?: "as it was");
	}
}
END_TEST

START_TEST(uuids)
{
	static const char good[] = "3b241101-E2bb-4255-8caf-4136c566a962";
	static const char *const bad[] = {
		"", "3b241101", "3b241101-e2bb-4255-8caf-4136c566a96", "3b241101-e2bb-4255-8caf-4136c566a9622",
		"3b241101-e2bb-4255-8caf 4136c566a962", "3b241101-e2bb-4255-8cafa4136c566a962",
		"3b24110-1e2bb-4255-8caf-4136c566a962", "3b24110g-e2bb-4255-8caf-4136c566a962",
		"+b241101-e2bb-4255-8caf-4136c566a962",
	};
	static const uint8_t bytes[16] = {
		0x3b, 0x24, 0x11, 0x01, 0xe2, 0xbb, 0x42, 0x55, 0x8c, 0xaf, 0x41, 0x36, 0xc5, 0x66, 0xa9, 0x62,
	};
	uint8_t got[16];

	ck_assert(uuid_bytes(good, got));
	ck_assert_mem_eq(got, bytes, sizeof(bytes));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(!uuid_bytes(bad[i], got), "\"%s\"", bad[i]);
}
END_TEST

START_TEST(text_is_printable)
{
	char to[8], text[] = "tab\t\x7f~ ";

	copy_printable(to, sizeof(to), "a\n\033[2\377z", 20);
	ck_assert_str_eq(to, "a??[2?z");
	copy_printable(to, 4, "abcdef", 6);
	ck_assert_str_eq(to, "abc");
	copy_printable(to, sizeof(to), "abcdef", 2);
	ck_assert_str_eq(to, "ab");
	make_printable(text);
	ck_assert_str_eq(text, "tab??~ ");
}
END_TEST

/* States of a later version do not have a name here. */
START_TEST(names_of_states)
{
	ck_assert_str_eq(state_name(VDB_STATE_REVOKED), "revoked");
	ck_assert_str_eq(state_name(VDB_STATE_REVOKED + 1), "unknown");
	ck_assert_str_eq(device_phase_name(VDP_DEVICE_ABSENT), "absent");
	ck_assert_str_eq(device_phase_name(VDP_DEVICE_CLOSING), "closing");
	ck_assert_str_eq(device_phase_name(VDP_DEVICE_CLOSING + 1), "unknown");
	ck_assert_str_eq(lease_phase_name(0), "unknown");
	ck_assert_str_eq(lease_phase_name(VDP_LEASE_WAITING), "waiting");
	ck_assert_str_eq(lease_phase_name(UINT32_MAX), "unknown");
	ck_assert_ptr_null(end_name(VDP_END_NONE));
	ck_assert_ptr_null(end_text(VDP_END_NONE));
	ck_assert_ptr_null(end_name(VDP_END_TIMEOUT + 1));
	ck_assert_ptr_null(end_text(UINT32_MAX));
	for (unsigned int end = VDP_END_RELEASED; end <= VDP_END_TIMEOUT; end++)
		ck_assert(end_name(end) && end_text(end));
	ck_assert_str_eq(end_name(VDP_END_UNSENT), "unsent");
	ck_assert_str_eq(end_text(VDP_END_EXPIRED), "its time is over");
}
END_TEST

/* The longest path has 107 characters, and a NUL. */
START_TEST(addresses_of_sockets)
{
	char path[sizeof(((struct sockaddr_un *)NULL)->sun_path) + 1];
	struct sockaddr_un address;

	memset(path, 'a', sizeof(path));
	path[sizeof(path) - 1] = '\0';
	errno = 0;
	ck_assert_int_eq(unix_address(path, &address), -1);
	ck_assert_int_eq(errno, ENAMETOOLONG);
	path[sizeof(path) - 2] = '\0';
	ck_assert_int_eq(unix_address(path, &address), 0);
	ck_assert_str_eq(address.sun_path, path);
	ck_assert_int_eq(address.sun_family, AF_UNIX);
}
END_TEST

START_TEST(closing_keeps_errno)
{
	int fds[3] = { open("/", O_RDONLY), -1, open("/", O_RDONLY) }, first = fds[0], last = fds[2];

	ck_assert_works(first);
	ck_assert_works(last);
	errno = ENODEV;
	fds_close(fds, 3);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(fds[i], -1);
	ck_assert_int_eq(fcntl(first, F_GETFD), -1);
	ck_assert_int_eq(fcntl(last, F_GETFD), -1);
	errno = ENODEV;
	fd_close(-1);
	/* An fd that cannot be closed. */
	fd_close(first);
	ck_assert_int_eq(errno, ENODEV);
}
END_TEST

/* A stream sends only a part if the socket is full.  This must not look like the whole message. */
START_TEST(part_of_a_message_is_an_error)
{
	static char big[1 << 20];
	int ends[2];

	ck_assert_works(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
	errno = 0;
	ck_assert_int_eq(fds_send(ends[0], big, sizeof(big), NULL, 0, MSG_DONTWAIT), -1);
	ck_assert_int_eq(errno, EMSGSIZE);
	ck_assert_int_eq(fds_send(ends[0], big, sizeof(big), NULL, 0, MSG_DONTWAIT), -1);
	ck_assert_int_eq(errno, EAGAIN);
	close(ends[1]);
	ck_assert_int_eq(fds_send(ends[0], big, 1, NULL, 0, 0), -1);
	ck_assert_int_eq(errno, EPIPE);
}
END_TEST

START_TEST(what_is_no_function)
{
	char name[64], path[64], number[16], bdf[BDF_SIZE] = "as it was";
	struct vfio_nodes nodes;
	int fd = open("/", O_RDONLY | O_CLOEXEC);

	function_path("0000:01:00.0", "driver", path, sizeof(path));
	ck_assert_str_eq(path, "/sys/bus/pci/devices/0000:01:00.0/driver");
	ck_assert(!function_link("ffff:ff:1f.7", "driver", name, sizeof(name)));
	vfio_nodes_find("ffff:ff:1f.7", &nodes);
	ck_assert_str_eq(nodes.device, "");
	ck_assert_str_eq(nodes.group, "");
	ck_assert(!vfio_nodes_has_device(&nodes));
	ck_assert_works(fd);
	snprintf(number, sizeof(number), "%d", fd);
	ck_assert(!fdinfo_function("self", number, bdf));
	ck_assert(!fdinfo_function("self", "no number", bdf));
	ck_assert_str_eq(bdf, "as it was");
	close(fd);
}
END_TEST

static void check_file(const char *path, const char *text)
{
	char got[64] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	ck_assert_works(fd);
	ck_assert_works(read(fd, got, sizeof(got) - 1));
	ck_assert_str_eq(got, text);
	close(fd);
}

START_TEST(files_are_replaced)
{
	char dir[] = "/tmp/test_common.XXXXXX", path[64], new[64], other[64];
	int held;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/file", dir);
	snprintf(new, sizeof(new), "%s/file.new", dir);
	snprintf(other, sizeof(other), "%s/other", dir);
	ck_assert_works(file_replace(path, "first", 5, false));
	held = open(path, O_RDONLY | O_CLOEXEC);
	/* A link at the place of the new text is not followed. */
	ck_assert_works(symlink(other, new));
	ck_assert_works(file_replace(path, "second", 6, true));
	ck_assert_int_eq(access(other, F_OK), -1);
	ck_assert_int_eq(access(new, F_OK), -1);
	check_file(path, "second");
	/* A process that reads the former text reads all of it. */
	ck_assert_int_eq(lseek(held, 0, SEEK_END), 5);
	close(held);
	ck_assert_works(unlink(path));
	/* A directory cannot be replaced, and no file is left over. */
	ck_assert_works(mkdir(path, 0755));
	errno = 0;
	ck_assert_int_eq(file_replace(path, "third", 5, false), -1);
	ck_assert_int_eq(errno, EISDIR);
	ck_assert_int_eq(access(new, F_OK), -1);
	rmdir(path);
	ck_assert_works(rmdir(dir));
}
END_TEST

START_TEST(sizes_of_messages)
{
	struct message_size size;

	ck_assert(message_size(VDP_HELLO, &size));
	ck_assert_uint_eq(size.least, 88);
	ck_assert_uint_ge(size.known, size.least);
	ck_assert(message_size(VDP_LIST_LEASES | VDP_ITEM, &size));
	ck_assert_uint_eq(size.least, 224);
	ck_assert(message_size(VDP_LIST_LEASES | VDP_ANSWER, &size));
	ck_assert_uint_eq(size.least, 16);
	/* Neither a request nor an answer. */
	ck_assert(!message_size(0, &size));
	ck_assert(!message_size(VDP_WATCH + 1, &size));
	ck_assert(!message_size(VDP_RELEASE | VDP_ANSWER, &size));
	ck_assert(!message_size(VDP_STATUS | VDP_ITEM, &size));
	ck_assert(!message_size(VDP_GRANT | VDP_HELLO << 16, &size));
	for (uint32_t type = 0; type <= VDP_ERROR; type++) {
		if (!message_size(type, &size))
			continue;
		ck_assert_uint_ge(size.least, sizeof(struct vdp_header));
		ck_assert_uint_le(size.known, VDP_MAX_MESSAGE);
	}
}
END_TEST

START_TEST(fields_that_are_not_known)
{
	char bytes[40] = { [15] = 1, [30] = -1 };

	ck_assert_uint_eq(message_unknown(bytes, 16, 30), 30);
	ck_assert_uint_eq(message_unknown(bytes, 16, 31), 30);
	ck_assert_uint_eq(message_unknown(bytes, 15, 40), 15);
	ck_assert_uint_eq(message_unknown(bytes, 30, 40), 30);
	ck_assert_uint_eq(message_unknown(bytes, 31, 40), 40);
	/* A message that is shorter than the known struct. */
	ck_assert_uint_eq(message_unknown(bytes, 40, 20), 20);
}
END_TEST

/* Library, command and broker include it, so it cannot include their headers. */
START_TEST(includes_only_itself)
{
	ck_assert_int_eq(system("! grep -h '^#include \"' " PROJECT "/common/*.[ch] | grep -v '\"common/'"), 0);
	ck_assert_int_eq(system("grep -q '^#include \"common/' " PROJECT "/common/*.[ch]"), 0);
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("common");
	TCase *tc = add_group(s, "functions");

	tcase_add_test(tc, names_of_functions);
	tcase_add_test(tc, what_is_no_function);

	tc = add_group(s, "layers");
	tcase_add_test(tc, includes_only_itself);

	tc = add_group(s, "text");
	tcase_add_test(tc, uuids);
	tcase_add_test(tc, text_is_printable);
	tcase_add_test(tc, names_of_states);

	tc = add_group(s, "files");
	tcase_add_test(tc, files_are_replaced);

	tc = add_group(s, "messages");
	tcase_add_test(tc, sizes_of_messages);
	tcase_add_test(tc, fields_that_are_not_known);

	tc = add_group(s, "sockets");
	tcase_add_test(tc, addresses_of_sockets);
	tcase_add_test(tc, closing_keeps_errno);
	tcase_add_test(tc, part_of_a_message_is_an_error);
	return s;
}
