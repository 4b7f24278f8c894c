/* SPDX-License-Identifier: MIT */
/* vfio-dmabuf watch: what happens to leases and devices, as it happens. */
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include <systemd/sd-event.h>

#include "command.h"
#include "common/names.h"
#include "output.h"
#include "target.h"

#define NSEC	1000000000LL

static const char *const names[] = {
	[VDB_NEWS_GRANTED] = "granted", [VDB_NEWS_RENEWED] = "renewed", [VDB_NEWS_ENDED] = "ended",
	[VDB_NEWS_DEVICE_OPEN] = "device-open", [VDB_NEWS_DEVICE_LOST] = "device-lost",
	[VDB_NEWS_DEVICE_SUSPENDED] = "device-suspended", [VDB_NEWS_DEVICE_RESUMED] = "device-resumed",
	[VDB_NEWS_RESTARTED] = "restarted", [VDB_NEWS_MISSED] = "missed",
};

static int64_t now(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return time.tv_sec * NSEC + time.tv_nsec;
}

/* Time of the wall clock in nanoseconds, even if the clock has been set since. */
static int64_t wall_time(const struct vdb_news *news)
{
	int64_t ago = news->time ? now(CLOCK_BOOTTIME) - (int64_t)news->time * 1000 : 0;

	return now(CLOCK_REALTIME) - (ago > 0 ? ago : 0);
}

static bool is_of_lease(const struct vdb_news *news)
{
	return news->type <= VDB_NEWS_ENDED;
}

static bool is_of_device(const struct vdb_news *news)
{
	return news->type >= VDB_NEWS_DEVICE_OPEN && news->type <= VDB_NEWS_DEVICE_RESUMED;
}

/* ---- JSON ---- */

static void add_lease(json_t *line, const struct vdb_news *news)
{
	json_object_update_new(line, json_pack(
		"{s:I,s:s,s:I,s:s,s:i,s:I,s:I,s:b,s:b,s:b}",
		"lease", (json_int_t)news->lease, "slice", news->name, "index", (json_int_t)news->index,
		"bdf", news->bdf, "bar", (int)news->bar,
		"offset", (json_int_t)news->offset, "length", (json_int_t)news->length,
		"read_only", news->flags & VDB_FLAG_READ_ONLY, "write_combining", news->flags & VDB_FLAG_WC,
		"interrupt", news->interrupt));
	json_add_client(line, news->client, news->pid, news->uid, news->gid);
	if (news->type == VDB_NEWS_ENDED)
		json_object_set_new(line, "end", json_string(end_name(news->end) ?: "unknown"));
	else
		json_object_set_new(line, "seconds", json_number(news->seconds, 0));
}

static void add_device(json_t *line, const struct vdb_news *news)
{
	json_object_set_new(line, "device", json_text(news->name));
	json_object_set_new(line, "bdf", json_string(news->bdf));
	if (news->type == VDB_NEWS_DEVICE_LOST)
		json_object_set_new(line, "reason", json_text(news->reason));
}

static json_t *begin_line(int64_t time, const char *event)
{
	return json_pack("{s:f,s:s}", "time", (double)(time / 1000) / 1000000, "event", event);
}

static void print_news_json(const struct vdb_news *news)
{
	json_t *line = begin_line(wall_time(news), names[news->type]);

	if (is_of_lease(news))
		add_lease(line, news);
	else if (is_of_device(news))
		add_device(line, news);
	else if (news->type == VDB_NEWS_MISSED)
		json_object_set_new(line, "missed", json_integer(news->missed));
	print_json_line(line);
}

/* ---- for people ---- */

static void print_time(int64_t time)
{
	time_t seconds = time / NSEC;
	char text[32];
	struct tm tm;

	strftime(text, sizeof(text), "%F %T", localtime_r(&seconds, &tm));
	printf("%-19s  ", text);
}

static void print_client(const struct vdb_news *news)
{
	if (news->pid)
		printf(", %s, pid %u, uid %u", news->client, news->pid, news->uid);
}

static void print_lease(const struct vdb_news *news)
{
	printf("%-9s  lease %" PRIu64 "  %s[%u]", names[news->type], news->lease, news->name, news->index);
	if (news->type == VDB_NEWS_ENDED)
		printf("  %s", end_text(news->end) ?: "the broker's log says why");
	else if (news->seconds)
		printf("  for %u s", news->seconds);
	else
		printf("  without limit");
	if (news->type == VDB_NEWS_GRANTED && news->interrupt)
		printf(", an interrupt");
	print_client(news);
}

static void print_device(const struct vdb_news *news)
{
	printf("%-9s  device %s  %s", names[news->type] + strlen("device-"),
	       *news->name ? news->name : "(not configured)", news->bdf);
	if (*news->reason)
		printf("  %s", news->reason);
}

static void print_news(const struct vdb_news *news)
{
	print_time(wall_time(news));
	if (is_of_lease(news))
		print_lease(news);
	else if (is_of_device(news))
		print_device(news);
	else if (news->type == VDB_NEWS_MISSED)
		printf("%-9s  %" PRIu64 " events that came too fast", names[news->type], news->missed);
	else
		printf("%-9s  the broker; events before this can be missing", names[news->type]);
	putchar('\n');
	fflush(stdout);
}

/* From here on, all events are printed. */
static void print_start(void)
{
	static const char *const columns = "TIME                 EVENT      WHAT";

	if (common.json) {
		print_json_line(begin_line(now(CLOCK_REALTIME), "watching"));
		return;
	}
	puts(columns);
	fflush(stdout);
}

/* ---- the loop ---- */

/* Later brokers can have other types. */
static bool is_known(const struct vdb_news *news)
{
	return news->type >= VDB_NEWS_GRANTED && news->type <= VDB_NEWS_MISSED;
}

static int print_all(struct vdb_client *client)
{
	struct vdb_news news;
	int ret;

	while ((ret = vdb_client_news(client, &news)) > 0) {
		if (!is_known(&news))
			continue;
		if (common.json)
			print_news_json(&news);
		else
			print_news(&news);
		if (ferror(stdout))
			return -1;
	}
	if (ret < 0)
		fail("%s; run the command again", vdb_client_error(client));
	return ret;
}

static int on_broker(sd_event_source *source, int fd, uint32_t events, void *client)
{
	(void)fd, (void)events;
	if (print_all(client))
		sd_event_exit(sd_event_source_get_event(source), STATUS_FAILED);
	return 0;
}

static bool reader_is_gone(void)
{
	struct pollfd out = { .fd = STDOUT_FILENO };

	return poll(&out, 1, 0) == 1 && out.revents & (POLLERR | POLLHUP);
}

/* The reader of our output has closed it. */
static int on_stdout(sd_event_source *source, int fd, uint32_t events, void *unused)
{
	(void)fd, (void)events, (void)unused;
	return sd_event_exit(sd_event_source_get_event(source), 0);
}

static int loop(struct vdb_client *client)
{
	sd_event *event = NULL;
	int ret;

	if (ferror(stdout))
		return STATUS_FAILED;
	ret = sd_event_new(&event);
	if (ret >= 0)
		ret = sd_event_add_io(event, NULL, vdb_client_fd(client), EPOLLIN, on_broker, client);
	/* epoll does not accept a regular file, which has no reader to lose. */
	if (ret >= 0)
		sd_event_add_io(event, NULL, STDOUT_FILENO, 0, on_stdout, NULL);
	if (ret >= 0)
		ret = sd_event_loop(event);
	if (ret < 0)
		ret = fail("waiting for the broker failed: %s", strerror(-ret));
	sd_event_unref(event);
	return ret;
}

int cmd_watch(int argc, char **argv)
{
	static const struct argp argp = {
		.parser = parse_nothing, .children = common_options,
		.doc = "Prints events of leases and devices as they happen, until it is interrupted."
		       "\vAdministrators of the broker see all events. Others see those of the leases of their"
		       " user (see vfio-dmabufd.conf(5)). With --json, each line is an object.",
	};
	struct vdb_client *client;
	int ret;

	parse_command(&argp, argc, argv, 0, NULL);
	client = connect_broker();
	if (!client)
		return STATUS_FAILED;
	if (vdb_client_watch(client)) {
		ret = errno == ENOTSUP ? fail("the broker is older than this command, and cannot be watched; update it") :
		      fail("the broker cannot be watched: %s", vdb_client_error(client));
	} else {
		/* A reader that goes away while a line is written ends the command as one that goes away before. */
		signal(SIGPIPE, SIG_IGN);
		print_start();
		ret = loop(client);
		if (reader_is_gone()) {
			clearerr(stdout);
			ret = 0;
		}
	}
	vdb_client_close(client);
	return ret;
}
