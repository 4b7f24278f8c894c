// SPDX-License-Identifier: MIT
/* Metrics: the text, and the socket from which it is read. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "connections/watch.h"
#include "core/core.h"
#include "devices/devices.h"
#include "shell/metrics_text.h"
#include "shell/scrapes.h"
#include "suite.h"

/* ---- a core ---- */

static struct slice slices[] = {
	{ .name = "nic/bell", .count = 1, .length = 4096, .flags = SLICE_EXCLUSIVE,
	  .rule = { .everybody = true } },
	{ .name = "nic/stats", .count = 2, .offset = 8192, .length = 4096,
	  .flags = SLICE_EXCLUSIVE, .rule = { .everybody = true } },
};
static struct catalogue_device nic = {
	.name = "nic", .bdf = "0000:01:00.0", .patience = 1000000, .slices = slices, .nr_slices = 2,
};
static struct kept kept[] = { { 1, { 1, 5 } } };
static struct catalogue catalogue = {
	.total = { 8, 16 }, .per_user = { 2, 3 }, .leases_per_client = 3,
	.kept = kept, .nr_kept = 1, .devices = &nic, .nr_devices = 1,
};
static const struct identity who = { .uid = 1000 };

static struct core *core;
static struct counters counters;
static uint64_t last_lease, serial;

static void note(void *shell, const struct effect *effect)
{
	(void)shell;
	counters_add(&counters, effect);
	if (effect->saved_lease)
		last_lease = effect->saved_lease->id;
}

static void happens(struct event event)
{
	core_handle(core, 1000000, &event);
}

static void start(const struct catalogue *with)
{
	counters = (struct counters){ 0 };
	core = core_new(with, note, NULL);
	ck_assert_ptr_nonnull(core);
	ck_assert_int_eq(core_restore(core, 1000000, &(struct restored){ 0 }), 0);
}

static void connect_client(uint64_t id)
{
	happens((struct event){ .type = EVENT_CONNECT, .client = id, .user = id, .who = &who });
	happens((struct event){ .type = EVENT_HELLO, .client = id, .serial = ++serial, .name = "test" });
}

static void acquire(uint64_t client, const char *name, uint32_t index, uint64_t wait)
{
	happens((struct event){ .type = EVENT_ACQUIRE, .client = client, .serial = ++serial,
				.name = name, .index = index, .wait = wait });
}

static uint64_t grant(uint64_t client, const char *name, uint32_t index)
{
	acquire(client, name, index, 0);
	happens((struct event){ .type = EVENT_EXPORTED, .ok = true, .lease = last_lease, .buffer = last_lease });
	happens((struct event){ .type = EVENT_SENT, .client = client, .ok = true });
	return last_lease;
}

/* One lease of each phase but the last, and the counters after that. */
static void start_busy(void)
{
	uint64_t lease;

	start(&catalogue);
	happens((struct event){ .type = EVENT_OPENED, .ok = true, .fresh = true });
	happens((struct event){ .type = EVENT_PREPARED, .ok = true });
	connect_client(1);
	connect_client(2);
	grant(1, "nic/bell", 0);
	acquire(2, "nic/bell", 0, 0);
	acquire(2, "nic/bell", 0, 5000000);
	acquire(2, "nic/none", 0, 0);
	lease = grant(1, "nic/stats", 0);
	happens((struct event){ .type = EVENT_RELEASE, .client = 1, .serial = ++serial, .lease = lease });
	happens((struct event){ .type = EVENT_REVOKED, .ok = true, .lease = lease, .buffer = lease });
	happens((struct event){ .type = EVENT_ACTED, .ok = true, .lease = lease });
	happens((struct event){ .type = EVENT_SENT, .client = 1, .ok = true });
	lease = grant(1, "nic/stats", 0);
	happens((struct event){ .type = EVENT_RELEASE, .client = 1, .serial = ++serial, .lease = lease });
	acquire(1, "nic/stats", 1, 0);
}

/* The devices layer's. */
static struct device_status worker = { .bdf = "0000:01:00.0" };

bool devices_status(const struct devices *devices, size_t i, struct device_status *status)
{
	(void)devices;
	*status = worker;
	return i < 1;
}

/* ---- the text ---- */

static char *text;

static void make(bool rejected)
{
	const struct metrics_view view = {
		.core = core, .counters = &counters, .now = 7500000, .rejected = rejected,
	};
	size_t size;

	text = metrics_text(&view, &size);
	ck_assert_ptr_nonnull(text);
	ck_assert_uint_eq(strlen(text), size);
}

static void end(void)
{
	free(text);
	core_free(core);
}

static void has(const char *line)
{
	char whole[256];

	snprintf(whole, sizeof(whole), "\n%s\n", line);
	ck_assert_msg(strstr(text, whole), "\"%s\" is not in:\n%s", line, text);
}

/* What a strict parser insists on. */
static void check_format(void)
{
	char family[64] = "", type[16] = "", *copy = strdup(text), *rest = copy, *line;
	bool ended = false;

	ck_assert_uint_eq(text[strlen(text) - 1], '\n');
	while ((line = strsep(&rest, "\n")) && *line) {
		char name[96], begin[128], sample[256], *at;

		ck_assert_msg(!ended, "after the end: %s", line);
		if (!strcmp(line, "# EOF")) {
			ended = true;
		} else if (sscanf(line, "# TYPE %63s %15s", family, type) == 2) {
			ck_assert(!strcmp(type, "gauge") || !strcmp(type, "counter"));
			/* All of a family is in one place. */
			snprintf(begin, sizeof(begin), "# TYPE %s ", family);
			ck_assert_ptr_eq(strstr(text, begin) - text + copy, line);
			ck_assert_ptr_null(strstr(strstr(text, begin) + 1, begin));
		} else if (sscanf(line, "# HELP %95s", name) == 1 || sscanf(line, "# UNIT %95s", name) == 1) {
			ck_assert_str_eq(name, family);
		} else {
			snprintf(begin, sizeof(begin), "%s%s", family, strcmp(type, "counter") ? "" : "_total");
			ck_assert_uint_eq(strcspn(line, "{ "), strlen(begin));
			ck_assert_int_eq(strncmp(line, begin, strlen(begin)), 0);
			/* No sample comes twice. */
			at = strrchr(line, ' ');
			*at = '\0';
			snprintf(sample, sizeof(sample), "\n%s ", line);
			ck_assert_ptr_null(strstr(strstr(text, sample) + 1, sample));
			strtod(at + 1, &at);
			ck_assert_str_eq(at, "");
		}
	}
	ck_assert(ended);
	free(copy);
}

START_TEST(text_of_nothing)
{
	start(NULL);
	make(true);
	ck_assert_int_eq(strncmp(text, "# TYPE vfio_dmabuf_grants gauge\n", 32), 0);
	has("vfio_dmabuf_grants 0");
	has("vfio_dmabuf_configuration_rejected 1");
	has("vfio_dmabuf_leases_granted_total 0");
	check_format();
	end();
}
END_TEST

START_TEST(text_of_what_is_lent)
{
	start_busy();
	make(false);
	check_format();
	has("vfio_dmabuf_grants 1");
	has("vfio_dmabuf_configuration_rejected 0");
	has("vfio_dmabuf_device_state{device=\"nic\",function=\"0000:01:00.0\",state=\"open\"} 1");
	has("vfio_dmabuf_device_state{device=\"nic\",function=\"0000:01:00.0\",state=\"absent\"} 0");
	has("vfio_dmabuf_device_suspended{device=\"nic\",function=\"0000:01:00.0\"} 0");
	has("vfio_dmabuf_leases{device=\"nic\",function=\"0000:01:00.0\",phase=\"waiting\"} 1");
	has("vfio_dmabuf_leases{device=\"nic\",function=\"0000:01:00.0\",phase=\"exporting\"} 1");
	has("vfio_dmabuf_leases{device=\"nic\",function=\"0000:01:00.0\",phase=\"granted\"} 1");
	has("vfio_dmabuf_leases{device=\"nic\",function=\"0000:01:00.0\",phase=\"ending\"} 1");
	has("vfio_dmabuf_leases{device=\"nic\",function=\"0000:01:00.0\",phase=\"ended\"} 0");
	has("vfio_dmabuf_used{resource=\"connections\"} 2");
	has("vfio_dmabuf_used{resource=\"leases\"} 4");
	has("vfio_dmabuf_limit{resource=\"leases\"} 16");
	has("vfio_dmabuf_pool_used{resource=\"leases\"} 1");
	has("vfio_dmabuf_pool_limit{resource=\"connections\"} 7");
	has("vfio_dmabuf_user_used{user=\"1\",resource=\"leases\"} 3");
	has("vfio_dmabuf_user_limit{user=\"1\",resource=\"leases\"} 5");
	has("vfio_dmabuf_user_limit{user=\"2\",resource=\"leases\"} 3");
	end();
}
END_TEST

START_TEST(what_has_happened_is_counted)
{
	start_busy();
	happens((struct event){ .type = EVENT_UNPLUG });
	make(false);
	has("vfio_dmabuf_leases_granted_total 3");
	has("vfio_dmabuf_leases_ended_total{reason=\"released\"} 1");
	has("vfio_dmabuf_refused_total{reason=\"busy\"} 1");
	has("vfio_dmabuf_refused_total{reason=\"no_slice\"} 1");
	has("vfio_dmabuf_devices_lost_total 1");
	has("vfio_dmabuf_device_state{device=\"nic\",function=\"0000:01:00.0\",state=\"closing\"} 1");
	end();
}
END_TEST

START_TEST(operations_that_take_long_show)
{
	start_busy();
	worker.doing = "reset";
	worker.since = 1250000;
	worker.waiting = 3;
	make(false);
	check_format();
	has("vfio_dmabuf_device_operation_seconds{device=\"nic\",function=\"0000:01:00.0\"} 6.250000");
	has("vfio_dmabuf_device_operations_waiting{device=\"nic\",function=\"0000:01:00.0\"} 3");
	free(text);
	/* One that began after the time was taken. */
	worker.since = 8000000;
	make(false);
	has("vfio_dmabuf_device_operation_seconds{device=\"nic\",function=\"0000:01:00.0\"} 0.000000");
	worker = (struct device_status){ .bdf = "0000:01:00.0" };
	end();
}
END_TEST

START_TEST(labels_are_escaped)
{
	strcpy(nic.name, "a\"b\\c\nd");
	start_busy();
	make(false);
	check_format();
	has("vfio_dmabuf_device_suspended{device=\"a\\\"b\\\\c\\nd\",function=\"0000:01:00.0\"} 0");
	strcpy(nic.name, "nic");
	end();
}
END_TEST

/* ---- the socket ---- */

static struct scrapes *scrapes;
static int epoll;
static char path[64], big[4 << 20];
static size_t big_size;
static uint64_t now;

static char *give_text(void *data, size_t *size)
{
	(void)data;
	*size = big_size;
	return big_size ? memcpy(malloc(big_size), big, big_size) : NULL;
}

/* As long as anything happens. */
static void work(void)
{
	struct epoll_event event;

	scrapes_work(scrapes, now);
	while (epoll_wait(epoll, &event, 1, 0) > 0) {
		struct watch *watch = event.data.ptr;

		watch->on_event(watch, event.events);
		scrapes_work(scrapes, now);
	}
}

static void listen_somewhere(void)
{
	snprintf(path, sizeof(path), "/tmp/scrapes.%d", getpid());
	epoll = epoll_create1(EPOLL_CLOEXEC);
	scrapes = scrapes_new(epoll, give_text, NULL);
	ck_assert_ptr_nonnull(scrapes);
	ck_assert_int_eq(scrapes_listen(scrapes, path), 0);
	now = 1000000;
	big_size = 3;
	memcpy(big, "a 1", 3);
}

static void stop_listening(void)
{
	scrapes_free(scrapes);
	close(epoll);
	ck_assert_int_eq(access(path, F_OK), -1);
}

static int reach(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	strcpy(address.sun_path, path);
	ck_assert_int_eq(connect(fd, (void *)&address, sizeof(address)), 0);
	return fd;
}

static void say(int fd, const char *request)
{
	ck_assert_int_eq(send(fd, request, strlen(request), MSG_NOSIGNAL), strlen(request));
	work();
}

static char answer[sizeof(big) + 4096];

/* The number of bytes up to the end; -1: there is no end yet. */
static ssize_t take_all(int fd)
{
	size_t size = 0;

	for (;;) {
		ssize_t got = recv(fd, answer + size, sizeof(answer) - 1 - size, 0);

		answer[size + (got > 0 ? got : 0)] = '\0';
		if (got <= 0)
			return got ? -1 : (ssize_t)size;
		size += got;
		work();
	}
}

#define HEADER	"HTTP/1.0 200 OK\r\n"							\
		"Content-Type: application/openmetrics-text; version=1.0.0; charset=utf-8\r\n"

START_TEST(one_answer_for_each_connection)
{
	int fd = reach();

	say(fd, "GET /metrics HTTP/1.1\r\nHost: ");
	ck_assert_int_eq(take_all(fd), -1);
	ck_assert_str_eq(answer, "");
	say(fd, "localhost\r\n\r\n");
	ck_assert_int_gt(take_all(fd), 0);
	ck_assert_str_eq(answer, HEADER "Content-Length: 3\r\n\r\na 1");
	close(fd);
}
END_TEST

START_TEST(readers_need_not_ask)
{
	int fd = reach();

	ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
	work();
	ck_assert_int_gt(take_all(fd), 0);
	ck_assert_ptr_nonnull(strstr(answer, "\r\n\r\na 1"));
	close(fd);
}
END_TEST

START_TEST(long_texts_come_as_a_whole)
{
	ssize_t size;
	int fd = reach();

	for (size_t i = 0; i < sizeof(big); i++)
		big[i] = 'a' + i % 23;
	big_size = sizeof(big);
	say(fd, "GET / HTTP/1.0\r\n\r\n");
	size = take_all(fd);
	ck_assert_int_gt(size, sizeof(big));
	ck_assert_mem_eq(answer + size - sizeof(big), big, sizeof(big));
	close(fd);
}
END_TEST

/* Neither clients that send nothing, nor those that do not read, nor those that send too much. */
START_TEST(nobody_stays_for_long)
{
	char request[4097] = { 0 };
	int silent[9], deaf, fd;
	uint64_t until;

	big_size = sizeof(big);
	deaf = reach();
	say(deaf, "GET / HTTP/1.0\r\n\r\n");
	for (int i = 0; i < 8; i++) {
		silent[i] = reach();
		work();
	}
	/* One more than there is room for. */
	ck_assert_int_eq(recv(silent[7], request, 1, 0), 0);
	ck_assert_int_eq(recv(silent[6], request, 1, 0), -1);
	until = scrapes_work(scrapes, now);
	ck_assert_uint_eq(until, now + 10000000);
	now = until;
	work();
	ck_assert_int_eq(recv(silent[0], request, 1, 0), 0);
	ck_assert_int_gt(take_all(deaf), 0);
	ck_assert_uint_eq(scrapes_work(scrapes, now), UINT64_MAX);

	fd = reach();
	memset(request, 'x', sizeof(request) - 1);
	say(fd, request);
	ck_assert_int_eq(take_all(fd), 0);
	for (int i = 0; i < 8; i++)
		close(silent[i]);
	close(deaf);
	close(fd);
}
END_TEST

START_TEST(no_memory_is_no_answer)
{
	int fd = reach();

	big_size = 0;
	say(fd, "GET / HTTP/1.0\r\n\r\n");
	ck_assert_int_eq(take_all(fd), 0);
	close(fd);
}
END_TEST

START_TEST(where_it_listens)
{
	char other[80];
	struct stat file;

	ck_assert_int_eq(stat(path, &file), 0);
	ck_assert_uint_eq(file.st_mode & 0777, 0660);
	ck_assert_int_eq(scrapes_listen(scrapes, path), 0);
	close(reach());
	snprintf(other, sizeof(other), "%s.other", path);
	ck_assert_int_eq(scrapes_listen(scrapes, other), 0);
	ck_assert_int_eq(access(path, F_OK), -1);
	ck_assert_int_eq(access(other, F_OK), 0);
	ck_assert_int_eq(scrapes_listen(scrapes, "/nowhere/at/all"), -1);
	ck_assert_int_eq(errno, ENOENT);
	ck_assert_int_eq(access(other, F_OK), -1);
	ck_assert_int_eq(scrapes_listen(scrapes, path), 0);
	close(reach());
	ck_assert_int_eq(scrapes_listen(scrapes, ""), 0);
	ck_assert_int_eq(access(path, F_OK), -1);
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("metrics");
	TCase *tc = add_group(s, "text");

	tcase_add_test(tc, text_of_nothing);
	tcase_add_test(tc, text_of_what_is_lent);
	tcase_add_test(tc, what_has_happened_is_counted);
	tcase_add_test(tc, operations_that_take_long_show);
	tcase_add_test(tc, labels_are_escaped);

	tc = add_group(s, "socket");
	tcase_add_checked_fixture(tc, listen_somewhere, stop_listening);
	tcase_add_test(tc, one_answer_for_each_connection);
	tcase_add_test(tc, readers_need_not_ask);
	tcase_add_test(tc, long_texts_come_as_a_whole);
	tcase_add_test(tc, nobody_stays_for_long);
	tcase_add_test(tc, no_memory_is_no_answer);
	tcase_add_test(tc, where_it_listens);
	return s;
}
