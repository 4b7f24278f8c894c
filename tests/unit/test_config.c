// SPDX-License-Identifier: MIT
/* The broker's configuration: what is understood, and what is said of the rest. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <vfio-dmabuf.h>

#include "config.h"
#include "policy.h"
#include "suite.h"

static char file[64], directory[64], errors[4096];

static void setup(void)
{
	snprintf(file, sizeof(file), "/tmp/config.%d", getpid());
	snprintf(directory, sizeof(directory), "/tmp/config.%d.d", getpid());
	mkdir(directory, 0755);
	errors[0] = '\0';
}

static void write_file(const char *path, const char *text)
{
	FILE *stream = fopen(path, "w");

	ck_assert_ptr_nonnull(stream);
	fputs(text, stream);
	ck_assert_int_eq(fclose(stream), 0);
}

static void add_error(const char *line)
{
	snprintf(errors + strlen(errors), sizeof(errors) - strlen(errors), "%s\n", line);
}

static struct config *read_text(const char *text)
{
	write_file(file, text);
	return config_read(file, directory, add_error);
}

START_TEST(everything_is_understood)
{
	struct config *config = read_text(
		"# a comment\n"
		"user = \"root\"\n"
		"max_clients = 10\nmax_clients_per_user = 3\nmax_leases_per_client = 4\nmax_leases_per_user = 5\n"
		"admin_users = { \"root\", \"1234\" }\nadmin_groups = { \"root\" }\n"
		"device \"nic\" {\n"
		"	bdf = \"0000:AB:1f.7\"\n	reset = always\n"
		"	slice \"doorbell\" {\n"
		"		bar = 2 offset = 0x10000 length = 0x1000 count = 64 max_seconds = 30\n"
		"		memory = \"write-combining\" sharing = shared read_only = true\n"
		"		users = { \"*\" } groups = { \"7\" } units = { \"a.service\" } cgroups = { \"/x/y\" }\n"
		"		quiesce = { \"0x14:32=0\", \"8:64=0xffffffffffffffff\" }\n"
		"	}\n"
		"	slice \"other\" { length = 0x1000 }\n"
		"}\n");
	const struct slice_config *slice;
	struct device_config *device;

	ck_assert_msg(config, "%s", errors);
	ck_assert_str_eq(config->user, "root");
	ck_assert_uint_eq(config->max_clients, 10);
	ck_assert_uint_eq(config->max_leases_per_user, 5);
	ck_assert_uint_eq(config->admins.nr_users, 2);
	ck_assert_uint_eq(config->admins.users[1], 1234);
	slice = config_find_slice(config, "nic/doorbell", &device);
	ck_assert_ptr_nonnull(slice);
	ck_assert_str_eq(device->bdf, "0000:ab:1f.7");
	ck_assert_int_eq(device->reset, RESET_ALWAYS);
	ck_assert_uint_eq(slice->bar, 2);
	ck_assert_uint_eq(slice->offset, 0x10000);
	ck_assert_uint_eq(slice->count, 64);
	ck_assert_uint_eq(slice->flags, VDB_READ_ONLY | VDB_WC);
	ck_assert_uint_eq(slice->hooks.nr_quiesce, 2);
	ck_assert_uint_eq(slice->hooks.reset, RESET_ALWAYS);
	ck_assert(!slice->exclusive && slice->rule.everybody);
	ck_assert_uint_eq(slice->hooks.quiesce[1].value, UINT64_MAX);
	slice = config_find_slice(config, "nic/other", NULL);
	ck_assert(slice->exclusive && !slice->flags && slice->count == 1 && !slice->rule.everybody);
	ck_assert_ptr_null(config_find_slice(config, "nic/none", NULL));
	config_free(config);
}
END_TEST

START_TEST(directory_adds_files)
{
	struct config *config;
	char path[128];

	snprintf(path, sizeof(path), "%s/b.conf", directory);
	write_file(path, "device \"b\" { bdf = \"0000:00:02.0\" }\n");
	snprintf(path, sizeof(path), "%s/a.conf", directory);
	write_file(path, "device \"a\" { bdf = \"0000:00:01.0\" }\n");
	snprintf(path, sizeof(path), "%s/ignored", directory);
	write_file(path, "nonsense\n");
	config = read_text("max_clients = 2\n");
	ck_assert_msg(config, "%s", errors);
	ck_assert_uint_eq(config->nr_devices, 2);
	ck_assert_str_eq(config->devices[0].name, "a");
	config_free(config);

	snprintf(path, sizeof(path), "%s/a.conf", directory);
	write_file(path, "device \"a\" { bdf = \"0000:00:02.0\" }\n");
	ck_assert_ptr_null(read_text(""));
	ck_assert_ptr_nonnull(strstr(errors, "have the same bdf"));
}
END_TEST

#define DEVICE(slice) "device \"d\" {\n bdf = \"0000:00:01.0\"\n slice \"s\" {\n" slice "\n}\n}\n"

#define EIGHT(x)	x "," x "," x "," x "," x "," x "," x "," x
#define SEVENTEEN(x)	EIGHT(x) "," EIGHT(x) "," x

START_TEST(mistakes_are_named)
{
	static const struct {
		const char *text, *error;
	} cases[] = {
		{ "nonsense = 1\n", ":1: no such option 'nonsense'" },
		{ "max_clients = 0\n", ":1: max_clients is 0; it must be from 1 to 256" },
		{ "max_clients = 9999999999999999999999\n", ":1:" },
		{ "user = \"nobody-of-that-name\"\n", "there is none of that name" },
		{ "admin_users = { \"no such\" }\n", "there is no user \"no such\"" },
		{ "admin_groups = { \"no such\" }\n", "there is no group" },
		{ "device \"a b\" { bdf = \"0000:00:01.0\" }\n", "is no name" },
		{ "device \"d\" {\n}\n", "bdf is \"\"; it must be like \"0000:01:00.0\"" },
		{ "device \"d\" { bdf = \"00:01.0\" }\n", "it must be like" },
		{ "device \"d\" { bdf = \"0000:00:01.8\" }\n", "it must be like" },
		{ "device \"d\" { bdf = \"0000:00:21.0\" }\n", "it must be like" },
		{ "device \"d\" { bdf = \"0000:00:01.0\" reset = sometimes }\n", "it must be one of never, idle, always" },
		{ DEVICE(""), "slice d/s has no length" },
		{ DEVICE("length = 0x1001"), ":4: length is 0x1001; it must be a multiple of the page size, 0x1000" },
		{ DEVICE("length = -4096"), "it must be a multiple" },
		{ DEVICE("length = 0x1000 bar = 6"), "bar is 6; it must be from 0 to 5" },
		{ DEVICE("length = 0x1000 count = 0"), "count is 0" },
		{ DEVICE("length = 0x7ffffffffffff000 count = 2"), "beyond any BAR" },
		{ DEVICE("length = 0x1000 memory = cached"), "one of uncached, write-combining" },
		{ DEVICE("length = 0x1000 sharing = both"), "one of exclusive, shared" },
		{ DEVICE("length = 0x1000 units = { \"a\" }"), "is no unit" },
		{ DEVICE("length = 0x1000 cgroups = { \"a/b\" }"), "is no cgroup" },
		{ DEVICE("length = 0x1000 quiesce = { \"x\" }"), "is no register write" },
		{ DEVICE("length = 0x1000 quiesce = { \"0:7=0\" }"), "the width is 8, 16, 32 or 64" },
		{ DEVICE("length = 0x1000 quiesce = { \"2:32=0\" }"), "aligned to the width" },
		{ DEVICE("length = 0x1000 quiesce = { \"0x1000:32=0\" }"), "lie in the slice" },
		{ DEVICE("length = 0x1000 quiesce = { \"0:8=256\" }"), "has more than 8 bits" },
		{ DEVICE("length = 0x1000 quiesce = { " SEVENTEEN("\"0:8=0\"") " }"), "has more than 16 registers" },
		{ DEVICE("length = 0x1000"  "\n}\n slice \"s\" { length = 0x1000"), "found duplicate title 's'" },
		{ "device \"d\" {\n", "the file ends within a section" },
	};

	ck_assert_ptr_null(read_text(cases[_i].text));
	ck_assert_msg(strstr(errors, cases[_i].error), "\"%s\" is not in: %s", cases[_i].error, errors);
	ck_assert_msg(strstr(errors, file), "no file in: %s", errors);
}
END_TEST

START_TEST(rules_fit_whom_they_name)
{
	struct config *config = read_text(
		DEVICE("length = 0x1000 users = { \"1000\" } groups = { \"2000\" }\n"
		       "units = { \"a.service\" } cgroups = { \"/user.slice/x\" }"));
	const struct {
		struct identity who;
		bool fits;
	} cases[] = {
		{ { .uid = 1000 }, true },
		{ { .uid = 1001, .gid = 2000 }, true },
		{ { .uid = 1001, .groups = (gid_t []){ 5, 2000 }, .nr_groups = 2 }, true },
		{ { .uid = 1001, .groups = (gid_t []){ 5, 2000 }, .nr_groups = 1 }, false },
		{ { .uid = 0 }, false },
		{ { .uid = 1, .cgroup = "/system.slice/a.service" }, true },
		{ { .uid = 1, .cgroup = "/system.slice/system-b.slice/a.service" }, true },
		{ { .uid = 1, .cgroup = "/system.slice/a.service/sub" }, true },
		/* Whoever has a service of his own can name what is below as he likes. */
		{ { .uid = 1, .cgroup = "/system.slice/b.service/a.service" }, false },
		{ { .uid = 1, .cgroup = "/user.slice/user-1.slice/user@1.service/a.service" }, false },
		{ { .uid = 1, .cgroup = "/system.slice/xa.service" }, false },
		{ { .uid = 1, .cgroup = "/user.slice/x" }, true },
		{ { .uid = 1, .cgroup = "/user.slice/x/y" }, true },
		{ { .uid = 1, .cgroup = "/user.slice/xy" }, false },
		{ { .uid = 1, .cgroup = "" }, false },
	};

	ck_assert_msg(config, "%s", errors);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		ck_assert_msg(policy_allows(&config->devices[0].slices[0].rule, &cases[i].who) == cases[i].fits,
			      "case %zu", i);
	config_free(config);
}
END_TEST

START_TEST(example_is_right)
{
	struct config *config = config_read(EXAMPLE, NULL, add_error);

	/* But for its user, who is made when it is installed. */
	ck_assert(config || strstr(errors, "user is \"vfio-dmabuf\""));
	config_free(config);
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("config");
	TCase *tc = add_group(s, "configuration");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, everything_is_understood);
	tcase_add_test(tc, directory_adds_files);
	tcase_add_loop_test(tc, mistakes_are_named, 0, 30);
	tcase_add_test(tc, rules_fit_whom_they_name);
	tcase_add_test(tc, example_is_right);
	return s;
}
