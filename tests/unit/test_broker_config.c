// SPDX-License-Identifier: MIT
/* The broker's configuration: valid settings, and messages for mistakes. */
#include <dirent.h>
#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "config/mistakes.h"
#include "config/settings.h"
#include "suite.h"

/* ---- allocations that fail ---- */

static long allocations_left = -1;	/* -1: any number */

void *__real_calloc(size_t nr, size_t size);
void *__real_malloc(size_t size);
void *__wrap_calloc(size_t nr, size_t size);
void *__wrap_malloc(size_t size);

static bool may_allocate(void)
{
	if (allocations_left > 0)
		allocations_left--;
	return allocations_left != 0;
}

void *__wrap_calloc(size_t nr, size_t size)
{
	return may_allocate() ? __real_calloc(nr, size) : NULL;
}

void *__wrap_malloc(size_t size)
{
	return may_allocate() ? __real_malloc(size) : NULL;
}

/* ---- names ---- */

static int find(const char *const *names, const char *name, uint32_t *id)
{
	if (!strcmp(name, "unreachable"))
		return EIO;
	for (size_t i = 0; names[i]; i++) {
		if (strcmp(names[i], name))
			continue;
		*id = i ? 1000 + i : 0;
		return 0;
	}
	return ENOENT;
}

static int find_user(const char *name, uid_t *uid)
{
	return find((const char *const []){ "root", "alice", "bob", NULL }, name, uid);
}

static int find_group(const char *name, gid_t *gid)
{
	return find((const char *const []){ "root", "accel", "adm", NULL }, name, gid);
}

static const struct names names = { find_user, find_group };

/* ---- reading ---- */

static char lines[32768];
static size_t nr_lines;

static void add_line(void *context, const char *line)
{
	size_t used = strlen(lines);

	/* No ck_assert(): it allocates. */
	if (context != lines)
		abort();
	snprintf(lines + used, sizeof(lines) - used, "%s\n", line);
	nr_lines++;
}

static void forget_lines(void)
{
	lines[0] = '\0';
	nr_lines = 0;
}

/* Without a NUL after it, so that reading there is detected. */
static struct source source_of(const char *name, const char *text)
{
	size_t size = text ? strlen(text) : 0;
	char *bytes = __real_malloc(size ? size : 1);

	if (!bytes)
		abort();
	if (size)
		memcpy(bytes, text, size);
	return (struct source){ name, bytes, size };
}

/* Up to three files: a.yaml, b.yaml, c.yaml. */
static struct settings *parse(const char *a, const char *b, const char *c)
{
	const struct source sources[] = {
		source_of("a.yaml", a), source_of("b.yaml", b), source_of("c.yaml", c),
	};
	struct settings *settings;

	forget_lines();
	settings = settings_parse(sources, !b ? 1 : !c ? 2 : 3, &names, add_line, lines);
	for (size_t i = 0; i < 3; i++)
		free((void *)sources[i].bytes);
	return settings;
}

static struct settings *parse_good(const char *a, const char *b, const char *c)
{
	struct settings *settings = parse(a, b, c);

	ck_assert_msg(settings, "refused:\n%s", lines);
	ck_assert_uint_eq(nr_lines, 0);
	return settings;
}

static const struct slice *slice_of(const struct settings *settings, const char *name)
{
	const struct catalogue_device *device;
	const struct slice *slice = catalogue_find_slice(&settings->catalogue, name, &device);

	ck_assert_msg(slice, "no slice %s", name);
	return slice;
}

/* ---- valid settings ---- */

START_TEST(everything_is_understood)
{
	struct settings *s = parse_good(
		"# a comment\n"
		"admins: {users: [alice, 1234], groups: [adm]}\n"
		"limits:\n"
		"  connections: 256\n  connections_per_user: 3\n  leases: 0x1000\n"
		"  leases_per_user: 5\n  leases_per_connection: 4\n"
		"  memory: 1G\n  memory_per_user: 512M\n  memory_per_connection: 16M\n"
		"  hello_time: 500ms\n  idle_time: 1h\n  request_rate: 7\n  request_burst: 8\n"
		"  fds_per_user: 9\n"
		"kept:\n  alice: {connections: 2, leases: 3, memory: 4M}\n"
		"log: {lines_per_minute: 11}\n"
		"metrics: {file: /run/m.prom, interval: 1m, socket: /run/m}\n"
		"devices:\n"
		"  nic:\n"
		"    function: 0001:AB:1f.7\n"
		"    reset: always\n"
		"    patience: 5s\n"
		"    vf_token: 3B241101-e2bb-4255-8caf-4136c566a962\n"
		"    slices:\n"
		"      doorbell:\n"
		"        bar: 2\n        offset: 0x10000\n        length: 4K\n        count: 64\n"
		"        sharing: shared\n        read_only: true\n        caching: write-combining\n"
		"        memory: 2M\n        max_time: 30m\n"
		"        allow:\n"
		"          users: [bob]\n          groups: [7, \"accel\"]\n"
		"          units: [a.service]\n          cgroups: [/x/y]\n"
		"        on_release:\n"
		"          - {offset: 0x14, value: 1}\n"
		"          - {offset: 8, width: 64, value: 0xffffffffffffffff}\n"
		"      other: {length: 1M, allow: everybody}\n", NULL, NULL);
	const struct catalogue *c = &s->catalogue;
	const struct slice *slice = slice_of(s, "nic/doorbell");

	ck_assert_uint_eq(c->admins.nr_users, 2);
	ck_assert_uint_eq(c->admins.users[0], 1001);
	ck_assert_uint_eq(c->admins.users[1], 1234);
	ck_assert_uint_eq(c->admins.groups[0], 1002);
	ck_assert_uint_eq(c->total[CLIENTS], 256);
	ck_assert_uint_eq(c->per_user[CLIENTS], 3);
	ck_assert_uint_eq(c->total[LEASES], 4096);
	ck_assert_uint_eq(c->per_user[LEASES], 5);
	ck_assert_uint_eq(c->leases_per_client, 4);
	ck_assert_uint_eq(c->total[MEMORY_BYTES], 1UL << 30);
	ck_assert_uint_eq(c->per_user[MEMORY_BYTES], 512UL << 20);
	ck_assert_uint_eq(c->memory_per_client, 16UL << 20);
	ck_assert_uint_eq(s->connections.hello_time, 500000);
	ck_assert_uint_eq(s->connections.idle_time, 3600000000);
	ck_assert_uint_eq(s->connections.request_rate, 7);
	ck_assert_uint_eq(s->connections.request_burst, 8);
	ck_assert_uint_eq(s->connections.fds_per_user, 9);
	ck_assert_uint_eq(s->log.lines_per_minute, 11);
	ck_assert_str_eq(s->metrics.file, "/run/m.prom");
	ck_assert_str_eq(s->metrics.socket, "/run/m");
	ck_assert_uint_eq(s->metrics.interval, 60000000);
	ck_assert_uint_eq(c->nr_kept, 2);
	ck_assert_uint_eq(c->kept[0].user, 1001);
	ck_assert_uint_eq(c->kept[0].places[CLIENTS], 2);
	ck_assert_uint_eq(c->kept[0].places[LEASES], 3);
	ck_assert_uint_eq(c->kept[0].places[MEMORY_BYTES], 4UL << 20);
	ck_assert_uint_eq(c->nr_devices, 1);
	ck_assert_str_eq(c->devices[0].name, "nic");
	ck_assert_str_eq(c->devices[0].bdf, "0001:ab:1f.7");
	ck_assert_uint_eq(c->devices[0].patience, 5000000);
	ck_assert_str_eq(s->catalogue.devices[0].vf_token, "3b241101-e2bb-4255-8caf-4136c566a962");
	ck_assert_uint_eq(slice->bar, 2);
	ck_assert_uint_eq(slice->offset, 0x10000);
	ck_assert_uint_eq(slice->length, 4096);
	ck_assert_uint_eq(slice->count, 64);
	ck_assert_uint_eq(slice->flags, SLICE_READ_ONLY | SLICE_WC);
	ck_assert_uint_eq(slice->memory, 2UL << 20);
	ck_assert_uint_eq(slice->max_seconds, 1800);
	ck_assert_uint_eq(slice->rule.users[0], 1002);
	ck_assert_uint_eq(slice->rule.groups[0], 7);
	ck_assert_uint_eq(slice->rule.groups[1], 1001);
	ck_assert_str_eq(slice->rule.units[0], "a.service");
	ck_assert_str_eq(slice->rule.cgroups[0], "/x/y");
	ck_assert(!slice->rule.everybody);
	ck_assert_uint_eq(slice->actions.reset, RESET_EACH_TIME);
	ck_assert_uint_eq(slice->actions.nr, 2);
	ck_assert_uint_eq(slice->actions.writes[0].offset, 0x14);
	ck_assert_uint_eq(slice->actions.writes[0].width, 32);
	ck_assert_uint_eq(slice->actions.writes[1].width, 64);
	ck_assert_uint_eq(slice->actions.writes[1].value, UINT64_MAX);
	ck_assert(slice_of(s, "nic/other")->rule.everybody);
	settings_free(s);
}
END_TEST

START_TEST(defaults)
{
	static const char *const nothing[] = {
		"", "# a comment\n", "---\n...\n", "devices:\nlimits:\nkept:\nadmins:\n", "{}\n",
	};
	struct settings *s = parse_good(nothing[_i], NULL, NULL);

	ck_assert_uint_eq(s->catalogue.nr_devices, 0);
	ck_assert_uint_eq(s->catalogue.total[CLIENTS], 64);
	ck_assert_uint_eq(s->catalogue.per_user[LEASES], 64);
	ck_assert_uint_eq(s->connections.hello_time, 10000000);
	ck_assert_uint_eq(s->connections.idle_time, 0);
	ck_assert_str_eq(s->metrics.file, "");
	/* Root can always get in. */
	ck_assert_uint_eq(s->catalogue.nr_kept, 1);
	ck_assert_uint_eq(s->catalogue.kept[0].user, 0);
	ck_assert_uint_eq(s->catalogue.kept[0].places[CLIENTS], 4);
	ck_assert_uint_eq(s->catalogue.kept[0].places[MEMORY_BYTES], 0);
	ck_assert_uint_eq(s->catalogue.total[MEMORY_BYTES], 256UL << 20);
	settings_free(s);
}
END_TEST

START_TEST(fewer_places_for_root)
{
	struct settings *s = parse_good("kept: {root: {leases: 1}}\nlimits: {connections: 1}\n", NULL, NULL);

	ck_assert_uint_eq(s->catalogue.nr_kept, 1);
	ck_assert_uint_eq(s->catalogue.kept[0].places[CLIENTS], 0);
	ck_assert_uint_eq(s->catalogue.kept[0].places[LEASES], 1);
	settings_free(s);
}
END_TEST

START_TEST(defaults_of_a_device)
{
	struct settings *s = parse_good("devices: {d: {function: '01:00.0', slices: {s: {length: 4K}}}}", NULL, NULL);
	const struct slice *slice = slice_of(s, "d/s");

	ck_assert_str_eq(s->catalogue.devices[0].bdf, "0000:01:00.0");
	ck_assert_uint_eq(s->catalogue.devices[0].patience, 30000000);
	ck_assert_str_eq(s->catalogue.devices[0].vf_token, "");
	ck_assert_uint_eq(slice->flags, SLICE_EXCLUSIVE);
	ck_assert_uint_eq(slice->count, 1);
	ck_assert_uint_eq(slice->max_seconds, 0);
	ck_assert_uint_eq(slice->actions.reset, RESET_WHEN_IDLE);
	/* No user has it. */
	ck_assert(!policy_allows(&slice->rule, &(struct identity){ .uid = 0 }));
	settings_free(s);
}
END_TEST

/* Values that are on the edge of what a setting can be. */
START_TEST(edges)
{
	static const struct {
		const char *text;
		uint64_t offset, length, count;
	} cases[] = {
		{ "length: 4096", 0, 4096, 1 },
		{ "length: 0x1000, offset: 0", 0, 4096, 1 },
		{ "length: 0xA000", 0, 0xa000, 1 },
		{ "length: 6T", 0, 6ULL << 40, 1 },
		{ "length: 2T, offset: 4T", 4ULL << 40, 2ULL << 40, 1 },
		{ "length: 2G, count: 3072", 0, 2ULL << 30, 3072 },
		{ "length: 1M, count: 4096", 0, 1 << 20, 4096 },
	};
	char text[256];
	struct settings *s;

	snprintf(text, sizeof(text), "devices: {d: {function: fffffff:ff:1f.7, slices: {s: {%s}}}}",
		 cases[_i].text);
	s = parse_good(text, NULL, NULL);
	ck_assert_str_eq(s->catalogue.devices[0].bdf, "fffffff:ff:1f.7");
	ck_assert_uint_eq(slice_of(s, "d/s")->offset, cases[_i].offset);
	ck_assert_uint_eq(slice_of(s, "d/s")->length, cases[_i].length);
	ck_assert_uint_eq(slice_of(s, "d/s")->count, cases[_i].count);
	settings_free(s);
}
END_TEST

/* Which of them a client gets is decided when it asks. */
START_TEST(slices_can_overlap)
{
	settings_free(parse_good("devices: {d: {function: '01:00.0', slices: {\n"
				 " a: {length: 8K}, b: {offset: 4K, length: 8K}, c: {length: 8K, sharing: shared}}}}",
				 NULL, NULL));
}
END_TEST

/* ---- several files ---- */

#define DEVICE(slices)	"devices: {nic: {function: 0000:01:00.0, slices: {" slices "}}}\n"

START_TEST(files_complete_each_other)
{
	struct settings *s = parse_good(
		"limits: {leases: 100}\nadmins: {users: [alice]}\nlog:\n"
		DEVICE("a: {length: 4K}"),
		"limits: {connections: 10}\nadmins: {groups: [adm]}\nlog: {lines_per_minute: 3}\n"
		"kept: {bob: {leases: 1}}\ndevices: {other: {function: '02:00.0'}}\n",
		/* The same function, written differently. */
		"devices:\n  nic:\n    function: 01:00.0\n    patience: 1m\n    slices: {b: {length: 8K}}\n"
		"limits:\n");

	ck_assert_uint_eq(s->catalogue.total[LEASES], 100);
	ck_assert_uint_eq(s->catalogue.total[CLIENTS], 10);
	ck_assert_uint_eq(s->catalogue.admins.nr_users, 1);
	ck_assert_uint_eq(s->catalogue.admins.nr_groups, 1);
	ck_assert_uint_eq(s->log.lines_per_minute, 3);
	ck_assert_uint_eq(s->catalogue.nr_devices, 2);
	ck_assert_uint_eq(s->catalogue.devices[0].patience, 60000000);
	ck_assert_uint_eq(slice_of(s, "nic/a")->length, 4096);
	ck_assert_uint_eq(slice_of(s, "nic/b")->length, 8192);
	settings_free(s);
}
END_TEST

START_TEST(mistakes_between_files)
{
	static const struct {
		const char *first, *second, *line;
	} cases[] = {
		{ "limits:\n  leases: 100\n", "limits:\n  leases: 100\n",
		  "b.yaml:2:3: \"leases\" is given twice; the first time is at a.yaml:2:3, remove one" },
		{ DEVICE("a: {length: 4K}"), DEVICE("a: {length: 4K}"),
		  "b.yaml:1:50: \"a\" is given twice; the first time is at a.yaml:1:50" },
		{ "devices: {nic: {function: '01:00.0', reset: never}}", "devices: {nic: {function: '01:00.0', reset: never}}",
		  "b.yaml:1:38: \"reset\" is given twice" },
		{ DEVICE(""), "devices: {nic: {function: '01:00.1'}}",
		  "b.yaml:1:27: function is \"01:00.1\" here; write \"0000:01:00.0\", as at a.yaml:1:27" },
		{ DEVICE(""), "devices: {nic: {slices: {b: {length: 4K}}}}",
		  "b.yaml:1:11: \"nic\" has no function here; repeat it from a.yaml:1:27" },
		{ "devices: {nic: {slices: {b: {length: 4K}}}}", DEVICE(""),
		  "a.yaml:1:11: \"nic\" has no function here; repeat it from b.yaml:1:27" },
		{ DEVICE(""), "devices: {two: {function: '01:00.0'}}",
		  "b.yaml:1:27: device \"two\" has the function of device \"nic\" at a.yaml:1:27" },
		{ "admins: everybody", "admins: {users: [alice]}", "b.yaml:1:1: \"admins\" is given twice" },
		{ "admins: everybody", "admins: everybody", "b.yaml:1:1: \"admins\" is given twice" },
		{ "admins: {users: [alice]}", "admins: {users: [bob]}", "b.yaml:1:10: \"users\" is given twice" },
		{ "kept: {bob: {leases: 1}}", "kept: {bob: {leases: 1}}", "b.yaml:1:8: \"bob\" is given twice" },
		{ "limits: {leases: 100}", "limits: 3", "b.yaml:1:1: \"limits\" is given twice" },
		{ "devices: [a]", "devices: [a]", "b.yaml:1:1: \"devices\" is given twice" },
		{ "devices: {a: 3}", "devices: {a: {}}", "b.yaml:1:11: \"a\" is given twice" },
		{ "kept: {alice: {leases: 1000}}", "limits: {leases: 1003}",
		  "b.yaml:1:18: leases: 1003 is less than all kept places, 1004 (4 are root's unless kept says otherwise); write a larger number, or keep fewer places" },
	};

	ck_assert_ptr_null(parse(cases[_i].first, cases[_i].second, NULL));
	ck_assert_msg(strstr(lines, cases[_i].line), "\"%s\" is not in:\n%s", cases[_i].line, lines);
}
END_TEST

START_TEST(one_mistake_in_two_files)
{
	ck_assert_ptr_null(parse("devices: {d: {function: x}}", "devices: {d: {function: x}}", NULL));
	ck_assert_str_eq(lines, "a.yaml:1:25: function: \"x\" is not a PCI function;"
			 " write a PCI function such as 0000:01:00.0\n");
}
END_TEST

/* What a file has that cannot be parsed is not known: the sum may be right. */
START_TEST(no_mistakes_that_follow)
{
	ck_assert_ptr_null(parse("limits: {connections: 3}", "kept: {root: {connections: 0}", NULL));
	ck_assert_uint_eq(nr_lines, 1);
	ck_assert(!strncmp(lines, "b.yaml:", 7));
}
END_TEST

/* ---- mistakes ---- */

#define SLICE(more)	"devices:\n  d:\n    function: 01:00.0\n    slices:\n      s:\n        length: 4K\n" more "\n"
#define WRITE(write)	SLICE("        on_release: [" write "]")
#define FOUR(x)		x "," x "," x "," x ","
#define ZERO		"{offset: 0, value: 0}"

static const struct {
	const char *text, *line;
} mistakes[] = {
	/* YAML. */
	{ "limits:\n\tleases: 1\n", "a.yaml:2:1: tab character may not be used as indentation; indent with spaces" },
	{ "limits: {leases: 100\nlog:\n", "; is the \"{\" of line 1 closed?" },
	{ "admins: {users: [alice\n}\n", "; is the \"[\" of line 1 closed?" },
	{ "a: *x\n", "a.yaml:1:5: aliases (*name) are not supported; write the value again, or quote it" },
	{ "limits: &x {leases: 100}\n", "anchors (&name) are not supported" },
	{ "limits:\n  leases: !!int 100\n", "a.yaml:2:17: tags (!name) are not supported" },
	{ "limits: {leases: 100}\n---\nlog:\n", "a.yaml:2:1: a second document begins; put everything into one" },
	{ "%YAML 1.1\n---\nlog:\n", "directives (%YAML, %TAG) are not supported; remove them" },
	{ "admins: {users: [*]}\n", "a.yaml:1:19: invalid alias detected; is the \"[\" of line 1 closed?" },
	{ "admins:\n  users:\n    - *\n", "invalid alias detected; quote a value that begins with \"*\"" },
	{ "- a\n", "a.yaml:1:1: this is not a map of settings; write name: value" },
	{ "limits\n", "a.yaml:1:1: this is not a map of settings" },
	{ "? [a]\n: b\n", "a.yaml:1:3: a map or list is where a name is expected" },
	{ "limits: [[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]\n", "a.yaml:1:24: more than 16 maps and lists are nested" },
	{ "metrics: {file: \"/a\\nb\"}\n", "a.yaml:1:17: a text with a control character" },
	{ "\"a\\nb\": 1\n", "\"a?b\" is not a setting of the configuration" },
	{ "metrics:\n  file: |\n    /a\n    /b\n", "a text with a control character; write it on one line" },
	{ "# caf\xe9\nlimits: {leases: 100}\n", "a.yaml:1:6: byte 0xe9 is not UTF-8; save the file as UTF-8" },
	{ "# \xc3\xa9\xc0\x80\n", "a.yaml:1:4: byte 0xc0 is not UTF-8" },
	{ "# \xed\xa0\x80\n", "a.yaml:1:3: byte 0xed is not UTF-8" },
	{ "# \xe2\x82", "a.yaml:1:3: byte 0xe2 is not UTF-8" },
	{ "\xff\xfe", "a.yaml:1:1: byte 0xff is not UTF-8" },
	{ "limits:\n  leases: 100\x01\n", "a.yaml:2:14: control character 0x01; remove it" },
	/* Twice in one file. */
	{ "limits:\n  leases: 100\n  leases: 100\n", "a.yaml:3:3: \"leases\" is given twice; the first time is at a.yaml:2:3, remove one" },
	{ "log:\nlog:\n", "a.yaml:2:1: \"log\" is given twice; the first time is at a.yaml:1:1" },
	{ "admins: {users: [1], users: [2, 3]}\n", "a.yaml:1:22: \"users\" is given twice" },
	{ SLICE("        allow: {groups: [1]}\n        allow: {groups: [2, 3]}"), "a.yaml:8:9: \"allow\" is given twice" },
	/* Unknown. */
	{ "limit: {}\n", "a.yaml:1:1: \"limit\" is not a setting of the configuration; did you mean \"limits\"?" },
	{ SLICE("        lenght: 4K"), "a.yaml:7:9: \"lenght\" is not a setting of a slice; did you mean \"length\"?" },
	{ SLICE("        users: [alice]"), "\"users\" is not a setting of a slice; it is one of allow and admins" },
	{ SLICE("        reset: idle"), "\"reset\" is not a setting of a slice; it is one of a device" },
	{ "xyzzy: 1\n", "\"xyzzy\" is not a setting of the configuration; vfio-dmabufd.conf(5) lists them" },
	{ "<<: {}\n", "\"<<\" is not a setting of the configuration" },
	/* Types. */
	{ "limits: 3\n", "a.yaml:1:9: limits is a single value; write name: value below it" },
	{ "limits: [a]\n", "a.yaml:1:9: limits is a list" },
	{ "limits:\n  leases: {}\n", "leases is a map; write a number from 1 to 1048576" },
	{ "limits:\n  leases:\n", "a.yaml:2:3: leases has no value; write a number from 1 to 1048576" },
	{ "devices: {a: 3}\n", "a.yaml:1:14: settings of a device are expected here; write name: value" },
	{ "devices: [a]\n", "devices is a list" },
	{ "admins: alice\n", "admins is a single value; write everybody, or users, groups, units or cgroups below it" },
	{ "admins: {users: alice}\n", "users is a single value; write a list: [first, second]" },
	{ "admins:\n  users:\n    -\n", "a.yaml:3:5: users has something other than a name in it" },
	{ "admins: {users: [[alice]]}\n", "users has something other than a name in it" },
	{ SLICE("        on_release: {offset: 0, value: 0}"), "on_release is a map; write a list" },
	/* Numbers. */
	{ "limits: {leases: 010}\n", "a.yaml:1:18: leases: \"010\" begins with 0, which may mean octal; write 10, or 0x8 if it is octal" },
	{ "limits: {leases: 019}\n", "begins with 0, which may mean octal; write 19" },
	{ "limits: {leases: -1}\n", "leases: \"-1\" is negative; write a number from 1 to 1048576" },
	{ "limits: {leases: 0}\n", "leases: \"0\" is too small; write a number from 1 to 1048576" },
	{ "limits: {leases: 1048577}\n", "leases: \"1048577\" is too large; write a number from 1 to 1048576" },
	{ "limits: {leases: 18446744073709551616}\n", "\"18446744073709551616\" is too large" },
	{ "limits: {leases: 0x10000000000000001}\n", "is too large" },
	{ "limits: {leases: 4294967297}\n", "is too large" },
	{ "limits: {leases: 1.5}\n", "leases: \"1.5\" is not a number" },
	{ "limits: {leases: +5}\n", "is not a number" },
	{ "limits: {leases: 0x}\n", "is not a number" },
	{ "limits: {leases: 5 6}\n", "is not a number" },
	{ "limits: {leases: many}\n", "leases: \"many\" is not a number" },
	{ "limits: {leases: 64K}\n", "leases: \"64K\" is not a number" },
	/* Sizes. */
	{ SLICE("        offset: 64KiB"), "offset: \"64KiB\" has the unknown unit \"KiB\"; write bytes, or K, M, G or T (of 1024 each), as in 64K" },
	{ SLICE("        offset: 0x40K"), "\"0x40K\" is a hexadecimal number with something after it; write a decimal number before the unit" },
	{ SLICE("        offset: 64k"), "has the unknown unit \"k\"" },
	{ SLICE("        offset: 0100K"), "begins with 0, which may mean octal; write a size" },
	{ SLICE("        offset: 16777216T"), "is too large" },
	{ SLICE("        offset: -4K"), "is negative" },
	/* Times. */
	{ "limits: {hello_time: 30}\n", "hello_time: \"30\" has no unit; write 30s for seconds; ms, m, h and d are known too" },
	{ "limits: {hello_time: 30 s}\n", "has the unknown unit \" s\"" },
	{ "limits: {hello_time: 1h30m}\n", "has the unknown unit \"h30m\"" },
	{ "limits: {hello_time: 99ms}\n", "is too small; write a time from 100ms to 1h" },
	{ "limits: {hello_time: never}\n", "is not a number; write a time from 100ms to 1h" },
	{ "limits: {hello_time: 300000000000000000d}\n", "is too large" },
	{ "limits: {idle_time: 0s}\n", "is too small; write a time from 1s to 3650d, or never" },
	{ SLICE("        max_time: 1500ms"), "max_time: \"1500ms\" is not a whole number of seconds" },
	{ SLICE("        max_time: 4000d"), "max_time: \"4000d\" is too large" },
	/* Names. */
	{ "admins: {users: [carol]}\n", "a.yaml:1:18: there is no user \"carol\"; write an existing name, or a number" },
	{ "admins: {groups: [carol]}\n", "there is no group \"carol\"" },
	{ "admins: {users: [unreachable]}\n", "user \"unreachable\" cannot be looked up: Input/output error; write its number, or try again" },
	{ "admins: {groups: [unreachable]}\n", "group \"unreachable\" cannot be looked up" },
	{ "admins: {users: [\"*\"]}\n", "\"*\" is not a user; write everybody instead of the map" },
	{ "admins: {users: [\"\"]}\n", "there is no user \"\"" },
	{ "admins: {users: [4294967295]}\n", "\"4294967295\" is too large; write a name, or a number below 4294967295" },
	{ "admins: {groups: [0123]}\n", "begins with 0" },
	{ "kept: {carol: {leases: 1}}\n", "a.yaml:1:8: there is no user \"carol\"" },
	{ "kept: {alice: {leases: 1}, 1001: {leases: 2}}\n", "a.yaml:1:28: \"1001\" is a user that has kept places under another name" },
	{ "limits: {connections: 3}\n", "a.yaml:1:23: connections: 3 is less than all kept places, 4" },
	{ SLICE("        allow: {units: [a]}"), "\"a\" is not a unit; write it with its type, as in name.service" },
	{ SLICE("        allow: {units: [a/b.service]}"), "is not a unit" },
	{ SLICE("        allow: {units: [.service]}"), "is not a unit" },
	{ SLICE("        allow: {cgroups: [a/b]}"), "\"a/b\" is not a cgroup; write its path from /" },
	{ SLICE("        allow: {cgroups: [/a/]}"), "is not a cgroup" },
	{ SLICE("        allow: {cgroups: [/]}"), "is not a cgroup" },
	{ SLICE("        allow: {cgroups: [/a//b]}"), "is not a cgroup" },
	/* Devices. */
	{ "devices: {d: {}}\n", "a.yaml:1:11: \"d\" has no function; add function: a PCI function such as 0000:01:00.0" },
	{ "devices: {a b: {function: '01:00.0'}}\n", "a.yaml:1:11: \"a b\" is not a name; write 1 to 30 letters, digits, \".\", \"_\" and \"-\"" },
	{ "devices: {a123456789012345678901234567890: {function: '01:00.0'}}\n", "is not a name" },
	{ "devices: {a/b: {function: '01:00.0'}}\n", "is not a name" },
	{ "devices: {d: {function: '01:00.8'}}\n", "a.yaml:1:25: function: \"01:00.8\" is not a PCI function; write a PCI function such as 0000:01:00.0" },
	{ "devices: {d: {function: '01:20.0'}}\n", "is not a PCI function" },
	{ "devices: {d: {function: '10000000:01:00.0'}}\n", "is not a PCI function" },
	{ "devices: {d: {function: '01:00.0', reset: sometimes}}\n", "reset: \"sometimes\" is not one of its values; write never, idle or always" },
	{ "devices: {d: {function: '01:00.0', vf_token: 3b241101e2bb42558caf4136c566a962}}\n", "is not a UUID; write one such as" },
	{ "devices: {d: {function: '01:00.0', vf_token: 3b241101-e2bb-4255-8caf-4136c566a96g}}\n", "is not a UUID" },
	{ "devices: {d: {function: '01:00.0', vf_token: 3b241101-e2bb-4255-8caf-4136c566a9621}}\n", "is not a UUID" },
	{ "devices: {d: {function: '01:00.0', patience: 2h}}\n", "patience: \"2h\" is too large; write a time from 100ms to 1h" },
	/* Slices. */
	{ "devices: {d: {function: '01:00.0', slices: {s: {}}}}\n", "\"s\" has no length; add length: a size from 1 to 6T" },
	{ "devices: {d: {function: '01:00.0', slices: {s: {length: 0}}}}\n", "length: \"0\" is too small" },
	{ "devices: {d: {function: '01:00.0', slices: {s: {length: 256}}}}\n", "a.yaml:1:57: length: 0x100 is not a multiple of the page size, 4K; write 4K (a BAR smaller than that is one page)" },
	{ SLICE("        offset: 0x1001"), "a.yaml:7:17: offset: 0x1001 is not a multiple of the page size; write a multiple of 4K (a slice has all registers of its pages)" },
	{ SLICE("        offset: 6T"), "offset + length * count is more than any BAR has" },
	{ SLICE("        offset: 7T"), "offset: \"7T\" is too large; write a size from 0 to 6T" },
	{ "devices: {d: {function: '01:00.0', slices: {s: {length: 4T, count: 4096}}}}\n", "offset + length * count is more than any BAR has" },
	{ "devices: {d: {function: '01:00.0', slices: {s: {length: 0xfffffffffffff000, count: 2}}}}\n", "is too large" },
	{ SLICE("        bar: 6"), "bar: \"6\" is too large; write a number from 0 to 5" },
	{ SLICE("        count: 0"), "count: \"0\" is too small; write a number from 1 to 4096" },
	{ SLICE("        caching: cached"), "write uncached or write-combining" },
	{ SLICE("        memory: uncached"), "memory: \"uncached\" is not a number; write a size from 0 to 1T" },
	{ SLICE("        memory: 6000"), "memory: 0x1770 is not a multiple of the page size, 4K; write 8K\n" },
	{ SLICE("        memory: 2T"), "memory: \"2T\" is too large" },
	{ SLICE("        depth: 0"), "depth: \"0\" is too small; write a number from 1 to 4096" },
	{ "devices: {d: {function: '01:00.0', driver: nvm}}\n", "write generic or nvme" },
	{ "devices: {d: {function: '01:00.0', driver: nvme, slices: {q: {length: 4K, memory: 4M}}}}\n", "with driver nvme all leases have the doorbells in slice \"q\"; write sharing: shared there" },
	{ "devices: {d: {function: '01:00.0', slices: {q: {length: 4K, memory: 4M, interrupt: true}}}}\n", "slice \"q\" has an interrupt, but no queue pair that sends it; write driver: nvme, and memory there" },
	{ "devices: {d: {function: '01:00.0', driver: nvme, slices: {q: {length: 4K, interrupt: true}}}}\n", "slice \"q\" has an interrupt" },
	{ SLICE("        memory: 65M"), "d/s has memory: 65M, and the limits memory and memory_per_connection allow 64M; write larger limits, or less memory" },
	{ "limits: {memory: 1M}\nkept: {alice: {memory: 2M}}\n", "memory: 1048576 is less than all kept places, 2097152" },
	{ SLICE("        sharing: both"), "write shared or exclusive" },
	{ SLICE("        read_only: yes"), "read_only: \"yes\" is not one of its values; write false or true" },
	{ WRITE("{value: 0}"), "\"on_release\" has no offset; add offset: a size" },
	{ WRITE("{offset: 0}"), "\"on_release\" has no value; add value: a number" },
	{ WRITE("{offset: 0, width: 7, value: 0}"), "width: \"7\" is not one of its values; write 8, 16, 32 or 64" },
	{ WRITE("{offset: 2, value: 0}"), "a.yaml:7:31: offset 0x2 is not aligned to the register's width; write a multiple of 4" },
	{ WRITE("{offset: 4K, value: 0}"), "offset 0x1000 is not in the slice; write one below its length, 0x1000" },
	{ WRITE("{offset: 0, width: 8, value: 256}"), "value 0x100 has more than 8 bits; write a smaller one, or a larger width" },
	{ WRITE("{offset: 0, value: 0x100000000}"), "value 0x100000000 has more than 32 bits" },
	{ WRITE(FOUR(ZERO) FOUR(ZERO) FOUR(ZERO) FOUR(ZERO) ZERO), "a.yaml:7:21: on_release has 17 registers; write at most 16" },
	/* Paths. */
	{ "metrics: {file: m.prom}\n", "file: \"m.prom\" does not begin with /; write a path from / of at most 255 bytes" },
	{ "metrics: {socket: /123456789/123456789/123456789/123456789/123456789/123456789/123456789/123456789/123456789/123456789/1234567}\n",
	  "is too long; write a path from / of at most 107 bytes" },
};

START_TEST(mistakes_are_named)
{
	ck_assert_msg(!parse(mistakes[_i].text, NULL, NULL), "accepted: %s", mistakes[_i].text);
	ck_assert_msg(strstr(lines, mistakes[_i].line), "\"%s\" is not in:\n%s", mistakes[_i].line, lines);
	ck_assert_msg(!strncmp(lines, "a.yaml:", 7), "no place: %s", lines);
	ck_assert_msg(nr_lines == 1 || strstr(mistakes[_i].text, "*x") || strstr(lines, "control"), "%zu lines:\n%s", nr_lines, lines);
}
END_TEST

/* libfyaml treats a NUL as the end. The text after it must not be ignored. */
START_TEST(nothing_is_ignored_after_a_nul)
{
	static const char text[] = "log:\n\0devices: {}\n";
	const struct source source = { "a.yaml", text, sizeof(text) - 1 };

	forget_lines();
	ck_assert_ptr_null(settings_parse(&source, 1, &names, add_line, lines));
	ck_assert_str_eq(lines, "a.yaml:2:1: control character 0x00; remove it\n");
}
END_TEST

START_TEST(all_mistakes_are_named)
{
	static const char *const expected =
		"c.yaml:2:1: wrongly indented mapping end in flow mode; is the \"{\" of line 1 closed?\n"
		"a.yaml:1:1: \"admin\" is not a setting of the configuration; did you mean \"admins\"?\n"
		"a.yaml:2:18: leases: \"-1\" is negative; write a number from 1 to 1048576\n"
		"a.yaml:2:35: connections: \"x\" is not a number; write a number from 1 to 65536\n"
		"a.yaml:3:11: \"d\" has no function; add function: a PCI function such as 0000:01:00.0\n"
		"a.yaml:3:31: \"t\" has no length; add length: a size from 1 to 6T, such as 64K\n"
		"b.yaml:1:19: there is no user \"carol\"; write an existing name, or a number\n"
		"b.yaml:1:26: there is no user \"dave\"; write an existing name, or a number\n";
	char *line = strdup(expected), *rest = line, *one;

	ck_assert_ptr_null(parse("admin: {}\n"
				 "limits: {leases: -1, connections: x}\n"
				 "devices: {d: {slices: {s: [], t: {}}}}\n",
				 "admins: {users: [ carol, dave ]}\n", "log: {a b\n}"));
	while ((one = strsep(&rest, "\n")) && *one)
		ck_assert_msg(strstr(lines, one), "\"%s\" is not in:\n%s", one, lines);
	ck_assert_ptr_nonnull(strstr(lines, "a.yaml:3:27: settings of a slice are expected here"));
	free(line);
}
END_TEST

START_TEST(mistakes_have_a_limit)
{
	char text[8192] = "limits:\n";

	for (int i = 0; i < 200; i++)
		sprintf(text + strlen(text), "  unknown%d: 1\n", i);
	ck_assert_ptr_null(parse(text, NULL, NULL));
	ck_assert_uint_eq(nr_lines, MAX_MISTAKES + 1);
	ck_assert_ptr_nonnull(strstr(lines, "there are more mistakes; correct these first\n"));
}
END_TEST

START_TEST(too_many_children)
{
	size_t size = 1 << 16;
	char *text = malloc(size), *end = text;

	end += sprintf(end, "admins: {users: [");
	for (int i = 0; i < 4097; i++)
		end += sprintf(end, "%d, ", i);
	sprintf(end, "]}\n");
	ck_assert_ptr_null(parse(text, NULL, NULL));
	ck_assert_ptr_nonnull(strstr(lines, "more than 4096 settings or values here; use fewer"));
	ck_assert_uint_eq(nr_lines, 1);
	free(text);
}
END_TEST

START_TEST(no_memory)
{
	bool good = false;

	for (long n = 0; !good; n++) {
		struct settings *s;

		ck_assert_int_lt(n, 1000);
		allocations_left = n + 1;
		s = parse("admins: {users: [alice], units: [a.service], cgroups: [/x], groups: [1]}\n"
			  "kept: {bob: {leases: 1}}\n"
			  DEVICE("a: {length: 4K, allow: {cgroups: [/x]}, on_release: [{offset: 0, value: 1}]}"),
			  DEVICE("b: {length: 4K}"), NULL);
		good = allocations_left > 0;
		allocations_left = -1;
		ck_assert_msg(!s == !good, "allocation %ld: %s", n, lines);
		ck_assert_uint_eq(nr_lines, good ? 0 : 1);
		ck_assert(good || strstr(lines, "a.yaml: there is not enough memory"));
		settings_free(s);
	}
}
END_TEST

/* A reload has both for a while. */
START_TEST(settings_do_not_depend_on_each_other)
{
	char text[] = DEVICE("a: {length: 4K, allow: {units: [a.service]}}");
	struct settings *first = parse_good(text, NULL, NULL), *second;

	second = parse_good(text, NULL, NULL);
	memset(text, 'x', sizeof(text) - 1);
	settings_free(first);
	ck_assert_str_eq(slice_of(second, "nic/a")->rule.units[0], "a.service");
	settings_free(second);
	settings_free(NULL);
}
END_TEST

/* ---- files ---- */

static char file[64], directory[64];

static void make_files(void)
{
	snprintf(file, sizeof(file), "/tmp/broker-config.%d.yaml", getpid());
	snprintf(directory, sizeof(directory), "/tmp/broker-config.%d.d", getpid());
	ck_assert_works(mkdir(directory, 0755));
}

static void remove_files(void)
{
	char path[512];
	struct dirent *entry;
	DIR *dir;

	chmod(directory, 0755);
	dir = opendir(directory);
	while (dir && (entry = readdir(dir))) {
		snprintf(path, sizeof(path), "%s/%s", directory, entry->d_name);
		unlink(path);
		rmdir(path);
	}
	if (dir)
		closedir(dir);
	rmdir(directory);
	unlink(directory);
	unlink(file);
}

static void write_file(const char *path, const char *text)
{
	FILE *stream = fopen(path, "w");

	ck_assert_ptr_nonnull(stream);
	fputs(text, stream);
	ck_assert_int_eq(fclose(stream), 0);
}

static const char *in_directory(const char *name)
{
	static char path[512];

	snprintf(path, sizeof(path), "%s/%s", directory, name);
	return path;
}

static struct settings *read_files(void)
{
	forget_lines();
	return settings_read(file, directory, &names, add_line, lines);
}

static int next_fd(void)
{
	int fd = dup(0);

	ck_assert_works(fd);
	close(fd);
	return fd;
}

START_TEST(files_are_read_by_name)
{
	struct settings *s;
	int fd = next_fd();

	write_file(file, "limits: {leases: 100}\n");
	/* Neither this order nor its reverse. */
	write_file(in_directory("a.yaml"), "devices: {a: {function: '00:01.0'}}\n");
	write_file(in_directory("B.yaml"), "devices: {B: {function: '00:03.0'}}\n");
	write_file(in_directory("b.yaml"), "devices: {b: {function: '00:02.0'}}\n");
	write_file(in_directory("ignored"), "nonsense\n");
	write_file(in_directory("a.yaml~"), "nonsense\n");
	write_file(in_directory(".a.yaml"), "nonsense\n");
	s = read_files();
	ck_assert_msg(s, "%s", lines);
	ck_assert_uint_eq(s->catalogue.nr_devices, 3);
	ck_assert_str_eq(s->catalogue.devices[0].name, "B");
	ck_assert_str_eq(s->catalogue.devices[1].name, "a");
	ck_assert_str_eq(s->catalogue.devices[2].name, "b");
	settings_free(s);
	ck_assert_int_eq(next_fd(), fd);
	/* A directory that does not exist has no files. */
	s = settings_read(file, "/tmp/no/such.d", &names, add_line, lines);
	ck_assert_msg(s, "%s", lines);
	settings_free(s);
}
END_TEST

START_TEST(names_that_would_not_be_read)
{
	write_file(file, "");
	write_file(in_directory("nic.conf"), "");
	write_file(in_directory("nic.yml"), "");
	ck_assert_ptr_null(read_files());
	ck_assert_uint_eq(nr_lines, 2);
	ck_assert_ptr_nonnull(strstr(lines, "/nic.conf: it does not end in .yaml; rename it so that it is read, or remove it\n"));
	ck_assert_ptr_nonnull(strstr(lines, "/nic.yml: it does not end in .yaml"));
}
END_TEST

START_TEST(files_that_cannot_be_read)
{
	static char large[(1 << 20) + 2];

	/* All of them are named, and the mistakes of those that can be read. */
	write_file(in_directory("good.yaml"), "nonsense: 1\n");
	memset(large, '#', sizeof(large) - 1);
	write_file(in_directory("large.yaml"), large);
	ck_assert_works(mkdir(in_directory("directory.yaml"), 0755));
	ck_assert_works(mkfifo(in_directory("fifo.yaml"), 0644));
	ck_assert_works(symlink("/no/such/file", in_directory("link.yaml")));
	ck_assert_ptr_null(read_files());
	ck_assert_msg(strstr(lines, ".yaml: cannot open: No such file or directory; create it, or name another file\n"), "%s", lines);
	ck_assert_msg(strstr(lines, "/large.yaml: it has more than 1M; divide it"), "%s", lines);
	ck_assert_msg(strstr(lines, "/directory.yaml: it is not a file; write a regular file"), "%s", lines);
	ck_assert_msg(strstr(lines, "/fifo.yaml: it is not a file"), "%s", lines);
	ck_assert_msg(strstr(lines, "/link.yaml: cannot open: No such file"), "%s", lines);
	ck_assert_msg(strstr(lines, "/good.yaml:1:1: \"nonsense\""), "%s", lines);
	ck_assert_uint_eq(nr_lines, 6);
}
END_TEST

/* Root is like others then: bound by the modes of files. */
static void give_up_overriding(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	ck_assert_works(syscall(SYS_capget, &header, data));
	data[0].effective &= ~(1u << CAP_DAC_OVERRIDE | 1u << CAP_DAC_READ_SEARCH);
	ck_assert_works(syscall(SYS_capset, &header, data));
}

/* As another user reads it. A file that it cannot see must not count as missing. */
START_TEST(directory_that_cannot_be_read)
{
	static const mode_t modes[] = { 0, 0100, 0400 };

	write_file(file, "");
	write_file(in_directory("a.yaml"), "devices: {a: {function: '00:01.0'}}\n");
	chmod(directory, modes[_i]);
	give_up_overriding();
	ck_assert_ptr_null(read_files());
	ck_assert_msg(strstr(lines, modes[_i] == 0400 ?
			     "a.yaml: cannot open: Permission denied; let the broker's user read it\n" :
			     ".d: cannot open: Permission denied; let the broker's user read and search it\n"),
		      "%s", lines);
	ck_assert_uint_eq(nr_lines, 1);
}
END_TEST

START_TEST(directory_that_is_none)
{
	write_file(file, "");
	ck_assert_works(rmdir(directory));
	ck_assert_works(symlink("/no/such/directory", directory));
	ck_assert_ptr_null(read_files());
	ck_assert_msg(strstr(lines, ".d: cannot open: No such file or directory"), "%s", lines);
	unlink(directory);
	write_file(directory, "");
	ck_assert_ptr_null(read_files());
	ck_assert_msg(strstr(lines, ".d: cannot open: Not a directory"), "%s", lines);
}
END_TEST

START_TEST(no_memory_for_files)
{
	bool good = false;

	write_file(file, "limits: {leases: 100}\n");
	write_file(in_directory("a.yaml"), "devices: {a: {function: '00:01.0'}}\n");
	for (long n = 0; !good; n++) {
		struct settings *s;

		ck_assert_int_lt(n, 1000);
		allocations_left = n + 1;
		s = read_files();
		good = allocations_left > 0;
		allocations_left = -1;
		ck_assert_msg(!s == !good, "allocation %ld: %s", n, lines);
		ck_assert(good || nr_lines);
		settings_free(s);
	}
}
END_TEST

START_TEST(names_of_the_system)
{
	uid_t uid = 1;
	gid_t gid = 1;

	ck_assert_int_eq(system_names.user("root", &uid), 0);
	ck_assert_uint_eq(uid, 0);
	ck_assert_int_eq(system_names.group("root", &gid), 0);
	ck_assert_uint_eq(gid, 0);
	ck_assert_int_eq(system_names.user("no such user", &uid), ENOENT);
	ck_assert_int_eq(system_names.group("no such group", &gid), ENOENT);
}
END_TEST

#define NR(array)	(int)(sizeof(array) / sizeof((array)[0]))

Suite *suite(void)
{
	Suite *s = suite_create("broker_config");
	TCase *tc = add_group(s, "settings");

	tcase_add_test(tc, everything_is_understood);
	tcase_add_loop_test(tc, defaults, 0, 5);
	tcase_add_test(tc, fewer_places_for_root);
	tcase_add_test(tc, defaults_of_a_device);
	tcase_add_loop_test(tc, edges, 0, 7);
	tcase_add_test(tc, slices_can_overlap);
	tcase_add_test(tc, files_complete_each_other);
	tcase_add_test(tc, settings_do_not_depend_on_each_other);
	tc = add_group(s, "mistakes");
	tcase_add_loop_test(tc, mistakes_are_named, 0, NR(mistakes));
	tcase_add_loop_test(tc, mistakes_between_files, 0, 15);
	tcase_add_test(tc, one_mistake_in_two_files);
	tcase_add_test(tc, no_mistakes_that_follow);
	tcase_add_test(tc, nothing_is_ignored_after_a_nul);
	tcase_add_test(tc, all_mistakes_are_named);
	tcase_add_test(tc, mistakes_have_a_limit);
	tcase_add_test(tc, too_many_children);
	tcase_add_test(tc, no_memory);
	tc = add_group(s, "files");
	tcase_add_checked_fixture(tc, make_files, remove_files);
	tcase_add_test(tc, files_are_read_by_name);
	tcase_add_test(tc, names_that_would_not_be_read);
	tcase_add_test(tc, files_that_cannot_be_read);
	tcase_add_loop_test(tc, directory_that_cannot_be_read, 0, 3);
	tcase_add_test(tc, directory_that_is_none);
	tcase_add_test(tc, no_memory_for_files);
	tcase_add_test(tc, names_of_the_system);
	return s;
}
