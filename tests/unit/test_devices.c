/* SPDX-License-Identifier: MIT */
/*
 * The devices layer, with simulated devices: ownership of fds, the order of results,
 * and lack of memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "devices.h"
#include "direct.h"
#include "operate.h"
#include "suite.h"
#include "unsent.h"
#include "worker.h"

#define A	"0000:01:00.0"
#define B	"0000:02:00.0"

/* The devices: each job of one waits until the test lets it go. */
static struct played {
	const char *bdf;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool hangs, fails;
	bool hung;		/* a job waits */
	int opens, closes;
	int request, events;	/* the test's ends */
	uint64_t last_buffer;
	int made[128][LEASE_FDS];	/* fds of buffers */
	bool direct;		/* its driver does not wait, and refuses this often */
	int refusals, done_now;
} played[] = {
	{ A, PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, .request = -1, .events = -1 },
	{ B, PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, .request = -1, .events = -1 },
};

static struct played *find_played(const char *bdf)
{
	return strcmp(bdf, A) ? &played[1] : &played[0];
}

static void hang(struct played *p, bool hangs)
{
	pthread_mutex_lock(&p->lock);
	p->hangs = hangs;
	pthread_cond_broadcast(&p->changed);
	pthread_mutex_unlock(&p->lock);
}

/* A job that was given to the worker has come to where it hangs. */
static void wait_until_hung(struct played *p)
{
	pthread_mutex_lock(&p->lock);
	while (!p->hung)
		pthread_cond_wait(&p->changed, &p->lock);
	pthread_mutex_unlock(&p->lock);
}

/* What VFIO and the driver give: fds that the test can tell from others. */
static void open_played(struct held *held, struct job *job, struct played *p)
{
	int ends[2];

	ck_assert_ptr_null(held->device);
	p->opens++;
	job->request = p->request = eventfd(0, EFD_NONBLOCK);
	ck_assert_works(pipe2(ends, O_NONBLOCK));
	job->events = ends[0];
	p->events = ends[1];
	held->device = (void *)p;
	job->facts.direct = p->direct;
	job->fd = p - played;
	job->event.fresh = held->stored < 0;
	job->buffers = malloc(sizeof(*job->buffers));
	if (job->buffers)
		job->buffers[0] = (struct listed){ 77, false };
	job->event.buffers = job->buffers;
	job->event.nr_buffers = job->buffers ? 1 : 0;
}

/* What the loop does itself; the fd of a device is its number. */
static bool is_done_now(int device)
{
	struct played *p = &played[device];

	ck_assert(p->direct);
	if (p->refusals) {
		p->refusals--;
		return false;
	}
	p->done_now++;
	return true;
}

bool direct_export(int device, const struct lease_record *record, int fds[2], uint64_t *buffer)
{
	struct played *p = &played[device];

	ck_assert_uint_eq(record->length, 4096);
	ck_assert_uint_eq(record->memory, 0);
	if (!is_done_now(device))
		return false;
	*buffer = ++p->last_buffer;
	for (int i = 0; i < 2; i++)
		p->made[p->last_buffer % 128][i] = fds[i] = eventfd(0, 0);
	return true;
}

bool direct_revoke(int device, uint64_t buffer)
{
	(void)buffer;
	return is_done_now(device);
}

void operate(struct held *held, struct job *job)
{
	struct played *p = find_played(held->bdf);

	pthread_mutex_lock(&p->lock);
	while (p->hangs) {
		p->hung = true;
		pthread_cond_broadcast(&p->changed);
		pthread_cond_wait(&p->changed, &p->lock);
	}
	p->hung = false;
	job->event.ok = !p->fails && (held->device || job->type == EFFECT_OPEN);
	if (job->type == EFFECT_CLOSE) {
		job->event.ok = true;
		p->closes++;
		operate_leave(held);
	} else if (job->type == EFFECT_OPEN && job->event.ok) {
		open_played(held, job, p);
	} else if (job->type == EFFECT_EXPORT && job->event.ok) {
		job->event.buffer = ++p->last_buffer;
		for (int i = 0; i < (job->slice.memory ? LEASE_FDS : 2); i++)
			p->made[p->last_buffer % 128][i] = job->unsent->fds[i] = eventfd(0, 0);
		job->event.iova = job->slice.memory;
	}
	if (!job->event.ok)
		strcpy(job->why, "the test wants it");
	pthread_mutex_unlock(&p->lock);
}

void operate_leave(struct held *held)
{
	held->device = NULL;
	held->stored = -1;
}

/* Memory and threads, until the test has them end. */
static long allocations = -1;	/* that still succeed; -1: all */
static bool threads = true;

void *__real_calloc(size_t nr, size_t size);
void *__wrap_calloc(size_t nr, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size);
int __real_pthread_create(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
int __wrap_pthread_create(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

static bool may_allocate(void)
{
	if (!allocations) {
		errno = ENOMEM;
		return false;
	}
	allocations -= allocations > 0;
	return true;
}

void *__wrap_calloc(size_t nr, size_t size)
{
	return may_allocate() ? __real_calloc(nr, size) : NULL;
}

void *__wrap_realloc(void *old, size_t size)
{
	return may_allocate() ? __real_realloc(old, size) : NULL;
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*f)(void *), void *data)
{
	return threads ? __real_pthread_create(thread, attr, f, data) : EAGAIN;
}

/* A broker of two devices. */
static struct slice slices[] = { { .name = "a/all", .count = 1, .length = 4096 } };
static struct catalogue_device configured[] = {
	{ .name = "a", .bdf = A, .slices = slices, .nr_slices = 1 },
	{ .name = "b", .bdf = B },
};
static const struct catalogue catalogue = { .devices = configured, .nr_devices = 2 };
static struct devices *devices;
static struct lease_record lease = { .length = 4096, .slice = "a/all" };

static void setup(void)
{
	devices = devices_new(NULL);
	ck_assert_ptr_nonnull(devices);
	ck_assert_works(devices_set_catalogue(devices, &catalogue));
}

static void teardown(void)
{
	hang(&played[0], false);
	hang(&played[1], false);
	devices_free(devices);
	for (int i = 0; i < 2; i++)
		close(played[i].events);
}

static void do_job(enum effect_type type, uint32_t device, uint64_t id)
{
	const struct effect effect = {
		.type = type,
		.device = device,
		.bdf = device ? B : A,
		.lease = id,
		.buffer = id,
		.saved_lease = &lease,
	};

	devices_do(devices, &effect);
}

/* Waits, as the loop does; the next event. */
static struct event next(void)
{
	struct pollfd fds[] = {
		{ .fd = devices_fd(devices), .events = POLLIN },
		{ .fd = devices_watch_fd(devices), .events = POLLIN },
	};
	struct event event;

	while (!devices_next(devices, &event)) {
		eventfd_t count;

		ck_assert_int_gt(poll(fds, 2, 20000), 0);
		/* With EPOLLET this is not needed. */
		eventfd_read(fds[0].fd, &count);
		if (fds[1].revents)
			devices_look(devices);
	}
	return event;
}

static struct event expect(enum event_type type, uint32_t device, bool ok)
{
	struct event event = next();

	ck_assert_int_eq(event.type, type);
	ck_assert_uint_eq(event.device, device);
	ck_assert_int_eq(event.ok, ok);
	return event;
}

static void nothing_more(void)
{
	struct event event;

	ck_assert(!devices_next(devices, &event));
}

static void open_it(uint32_t device)
{
	struct event event;

	do_job(EFFECT_OPEN, device, 0);
	event = expect(EVENT_OPENED, device, true);
	ck_assert(event.fresh);
	ck_assert_uint_eq(event.nr_buffers, 1);
	ck_assert_uint_eq(event.buffers[0].id, 77);
}

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

START_TEST(queue_is_in_order)
{
	struct queue queue;
	struct job jobs[3] = { 0 };

	queue_init(&queue);
	ck_assert(!queue_put(&queue, &jobs[0]));
	queue_open(&queue);
	for (int i = 0; i < 3; i++)
		ck_assert(queue_put(&queue, &jobs[i]));
	ck_assert_uint_eq(queue_length(&queue), 3);
	ck_assert_ptr_eq(queue_take(&queue, true), &jobs[0]);
	ck_assert_ptr_eq(queue_take(&queue, false), &jobs[1]);
	ck_assert(queue_put(&queue, &jobs[0]));
	ck_assert_ptr_eq(queue_take(&queue, true), &jobs[2]);
	ck_assert_ptr_eq(queue_take(&queue, true), &jobs[0]);
	/* The queue was empty, so it is closed. */
	ck_assert_ptr_null(queue_take(&queue, false));
	ck_assert(!queue_put(&queue, &jobs[0]));
	queue_open(&queue);
	ck_assert(queue_put(&queue, &jobs[1]));
	ck_assert(queue_put(&queue, &jobs[2]));
	ck_assert_ptr_eq(queue_stop(&queue), &jobs[1]);
	ck_assert_ptr_eq(jobs[1].next, &jobs[2]);
	ck_assert_ptr_null(queue_take(&queue, true));
	ck_assert(!queue_put(&queue, &jobs[0]));
	queue_destroy(&queue);
}
END_TEST

START_TEST(results_are_in_order)
{
	open_it(0);
	hang(&played[0], true);
	do_job(EFFECT_PREPARE, 0, 0);
	for (uint64_t id = 1; id <= 100; id++)
		do_job(EFFECT_EXPORT, 0, id);
	do_job(EFFECT_REVOKE, 0, 5);
	do_job(EFFECT_ACT, 0, 5);
	do_job(EFFECT_CLOSE, 0, 0);
	/* For the next incarnation, before anything of the last one has come back. */
	do_job(EFFECT_OPEN, 0, 0);
	hang(&played[0], false);
	expect(EVENT_PREPARED, 0, true);
	for (uint64_t id = 1; id <= 100; id++) {
		struct event event = expect(EVENT_EXPORTED, 0, true);

		ck_assert_uint_eq(event.lease, id);
		ck_assert_uint_eq(event.buffer, id);
	}
	ck_assert_uint_eq(expect(EVENT_REVOKED, 0, true).buffer, 5);
	ck_assert_uint_eq(expect(EVENT_ACTED, 0, true).lease, 5);
	expect(EVENT_CLOSED, 0, true);
	expect(EVENT_OPENED, 0, true);
	do_job(EFFECT_CLOSE, 0, 0);
	expect(EVENT_CLOSED, 0, true);
	nothing_more();
	ck_assert_int_eq(played[0].opens, 2);
	ck_assert_int_eq(played[0].closes, 2);
}
END_TEST

/* Its thread ends when it cannot be opened; that must not lose a job. */
START_TEST(device_that_cannot_be_opened_is_tried_again)
{
	played[0].fails = true;
	for (int i = 0; i < 1000; i++) {
		do_job(EFFECT_OPEN, 0, 0);
		if (i % 3 == 1)
			do_job(EFFECT_CLOSE, 0, 0);
		expect(EVENT_OPENED, 0, false);
		ck_assert_str_eq(devices_why(devices, 0), "the test wants it");
		if (i % 3 == 2)
			do_job(EFFECT_CLOSE, 0, 0);
		if (i % 3)
			expect(EVENT_CLOSED, 0, true);
	}
	nothing_more();
	/* Jobs of a device that is not open fail. */
	do_job(EFFECT_REVOKE, 0, 1);
	expect(EVENT_REVOKED, 0, false);
	played[0].fails = false;
	open_it(0);
	ck_assert_str_eq(devices_why(devices, 0), "");
}
END_TEST

START_TEST(device_that_hangs_holds_nobody_up)
{
	struct device_status status;

	hang(&played[0], true);
	do_job(EFFECT_OPEN, 0, 0);
	wait_until_hung(&played[0]);
	for (int i = 0; i < 3; i++) {
		open_it(1);
		do_job(EFFECT_EXPORT, 1, 9 + i);
		expect(EVENT_EXPORTED, 1, true);
		do_job(EFFECT_CLOSE, 1, 0);
		expect(EVENT_CLOSED, 1, true);
	}
	/* It is given up, and opened again, which waits for the first time. */
	do_job(EFFECT_CLOSE, 0, 0);
	do_job(EFFECT_OPEN, 0, 0);
	ck_assert(devices_status(devices, 0, &status));
	ck_assert_str_eq(status.bdf, A);
	ck_assert_str_eq(status.doing, "open");
	ck_assert_uint_gt(status.since, 0);
	ck_assert_uint_eq(status.waiting, 2);
	nothing_more();
	hang(&played[0], false);
	expect(EVENT_OPENED, 0, true);
	expect(EVENT_CLOSED, 0, true);
	expect(EVENT_OPENED, 0, true);
	ck_assert(devices_status(devices, 1, &status));
	ck_assert_ptr_null(status.doing);
	ck_assert(!devices_status(devices, 2, &status));
	ck_assert_int_eq(played[0].opens, 2);
}
END_TEST

static void export_lease(uint64_t id)
{
	do_job(EFFECT_EXPORT, 0, id);
	expect(EVENT_EXPORTED, 0, true);
}

static bool are_open(int nr)
{
	ck_assert_int_eq(is_open(played[0].made[nr][0]), is_open(played[0].made[nr][1]));
	return is_open(played[0].made[nr][0]);
}

START_TEST(fds_have_one_owner)
{
	int fds[LEASE_FDS];

	open_it(0);
	export_lease(1);
	export_lease(2);
	export_lease(3);
	ck_assert(devices_take_fds(devices, 1, fds));
	ck_assert_int_eq(fds[0], played[0].made[1][0]);
	ck_assert_int_eq(fds[1], played[0].made[1][1]);
	ck_assert(!devices_take_fds(devices, 1, fds));
	do_job(EFFECT_REVOKE, 0, 1);
	expect(EVENT_REVOKED, 0, true);
	/* The caller's. */
	ck_assert(are_open(1));

	ck_assert(are_open(2));
	do_job(EFFECT_REVOKE, 0, 2);
	ck_assert(!are_open(2));
	ck_assert(!devices_take_fds(devices, 2, fds));
	expect(EVENT_REVOKED, 0, true);
	ck_assert(are_open(3));
	do_job(EFFECT_CLOSE, 0, 0);
	ck_assert(!are_open(3));
	ck_assert(!devices_take_fds(devices, 3, fds));
	expect(EVENT_CLOSED, 0, true);
	ck_assert(are_open(1));
}
END_TEST

static void becomes(uint32_t state)
{
	const struct { uint32_t state, reserved; uint64_t changes; } event = { state, 0, 1 };

	ck_assert_int_eq(write(played[0].events, &event, sizeof(event)), sizeof(event));
}

/* Exports of a device that is closing are dropped. */
START_TEST(what_comes_too_late_is_closed)
{
	int fds[LEASE_FDS];

	open_it(0);
	hang(&played[0], true);
	do_job(EFFECT_EXPORT, 0, 1);
	do_job(EFFECT_CLOSE, 0, 0);
	ck_assert(!is_open(played[0].request));
	hang(&played[0], false);
	expect(EVENT_EXPORTED, 0, true);
	ck_assert(!devices_take_fds(devices, 1, fds));
	ck_assert(!are_open(1));
	expect(EVENT_CLOSED, 0, true);

	hang(&played[0], true);
	do_job(EFFECT_OPEN, 0, 0);
	do_job(EFFECT_CLOSE, 0, 0);
	close(played[0].events);
	hang(&played[0], false);
	expect(EVENT_OPENED, 0, true);
	ck_assert(!is_open(played[0].request));
	expect(EVENT_CLOSED, 0, true);

	/* While it is open, nothing is dropped. */
	open_it(0);
	export_lease(2);
	ck_assert(devices_take_fds(devices, 2, fds));
	becomes(1);
	expect(EVENT_SUSPENDED, 0, false);
}
END_TEST
START_TEST(kernel_is_listened_to)
{
	struct event event;

	open_it(0);
	devices_look(devices);
	nothing_more();
	becomes(1);
	event = expect(EVENT_SUSPENDED, 0, false);
	ck_assert(event.suspended);
	becomes(1);
	devices_look(devices);
	becomes(0);
	devices_look(devices);
	/* The last of two is what counts. */
	event = expect(EVENT_SUSPENDED, 0, false);
	ck_assert(!event.suspended);
	nothing_more();
	eventfd_write(played[0].request, 1);
	expect(EVENT_UNPLUG, 0, false);
	ck_assert_str_eq(devices_why(devices, 0), "it is being unbound or unplugged");
	do_job(EFFECT_CLOSE, 0, 0);
	expect(EVENT_CLOSED, 0, true);
	nothing_more();
}
END_TEST

/* The result of a job that resets the device, before the loop has looked at the watch. */
START_TEST(resume_comes_before_the_result)
{
	struct pollfd results = { .events = POLLIN };
	struct event event;

	open_it(0);
	devices_look(devices);
	results.fd = devices_fd(devices);
	eventfd_read(results.fd, &(eventfd_t){ 0 });
	do_job(EFFECT_ACT, 0, 1);
	ck_assert_int_eq(poll(&results, 1, 20000), 1);
	becomes(1);
	devices_look(devices);
	becomes(0);
	ck_assert(devices_next(devices, &event));
	ck_assert_int_eq(event.type, EVENT_SUSPENDED);
	ck_assert(!event.suspended);
	ck_assert(devices_next(devices, &event));
	ck_assert_int_eq(event.type, EVENT_ACTED);
	ck_assert(devices_next(devices, &event));
	ck_assert_int_eq(event.type, EVENT_SUSPENDED);
	ck_assert(!event.suspended);
	nothing_more();
}
END_TEST

START_TEST(device_is_adopted)
{
	int fd = eventfd(0, 0);
	struct event event;

	ck_assert_works(devices_adopt(devices, A, fd));
	do_job(EFFECT_OPEN, 0, 0);
	event = expect(EVENT_OPENED, 0, true);
	ck_assert(!event.fresh);
	/* The configuration may no longer have the device: it is closed without being opened. */
	ck_assert_works(devices_adopt(devices, "0000:03:00.0", fd));
	devices_do(devices, &(struct effect){ .type = EFFECT_CLOSE, .device = 7, .bdf = "0000:03:00.0" });
	expect(EVENT_CLOSED, 7, true);
	close(fd);
}
END_TEST

START_TEST(no_thread_is_a_failure)
{
	threads = false;
	do_job(EFFECT_OPEN, 0, 0);
	expect(EVENT_OPENED, 0, false);
	ck_assert_str_eq(devices_why(devices, 0), "no thread: Resource temporarily unavailable");
	ck_assert_int_eq(devices_adopt(devices, A, 5), -1);
	threads = true;
	open_it(0);
}
END_TEST

static void wait_until_done(void)
{
	struct device_status status;

	do
		ck_assert(devices_status(devices, 0, &status));
	while (status.doing || status.waiting);
}

/*
 * Memory ends in the middle: every job still has a result, or the device is lost.
 * Then it can be closed, and opened again when there is memory.
 */
START_TEST(no_memory_is_a_failure)
{
	int results = 0, losses = 0, fds[LEASE_FDS];
	struct event event;

	open_it(0);
	allocations = _i;
	do_job(EFFECT_PREPARE, 0, 0);
	for (uint64_t id = 1; id <= 20; id++)
		do_job(EFFECT_EXPORT, 0, id);
	do_job(EFFECT_REVOKE, 0, 1);
	do_job(EFFECT_ACT, 0, 1);
	wait_until_done();
	while (devices_next(devices, &event)) {
		if (event.type == EVENT_UNPLUG)
			losses++;
		else
			results++;
		if (!event.ok)
			ck_assert_str_eq(devices_why(devices, 0), "no memory");
	}
	ck_assert_int_le(losses, 1);
	if (!losses)
		ck_assert_int_eq(results, 23);
	do_job(EFFECT_CLOSE, 0, 0);
	expect(EVENT_CLOSED, 0, true);
	for (uint64_t id = 1; id <= 20; id++)
		ck_assert(!devices_take_fds(devices, id, fds));
	do_job(EFFECT_OPEN, 0, 0);
	expect(EVENT_OPENED, 0, true);
	/* A device that is not known yet. */
	devices_do(devices, &(struct effect){ .type = EFFECT_OPEN, .device = 5, .bdf = "0000:05:00.0" });
	event = next();
	ck_assert_int_eq(event.type, EVENT_OPENED);
	ck_assert_uint_eq(event.device, 5);
	allocations = -1;
}
END_TEST

/* Everything at the same time, for the thread sanitizer. */
START_TEST(many_jobs_of_both)
{
	unsigned int pending = 0, closed = 0;

	for (int i = 0; i < 200; i++) {
		uint32_t device = i % 2;

		do_job(EFFECT_OPEN, device, 0);
		for (int j = 0; j < 10; j++)
			do_job(EFFECT_EXPORT, device, i * 100 + j);
		for (int j = 0; j < 10; j += 3)
			do_job(EFFECT_REVOKE, device, i * 100 + j);
		do_job(EFFECT_CLOSE, device, 0);
		pending += 16;
		if (i % 7)
			continue;
		for (; pending > 20; pending--)
			closed += next().type == EVENT_CLOSED;
	}
	for (; pending; pending--)
		closed += next().type == EVENT_CLOSED;
	ck_assert_uint_eq(closed, 200);
	nothing_more();
}
END_TEST

/* Without its worker, which the test holds up. */
START_TEST(idle_device_is_worked_on_at_once)
{
	struct event event;
	int fds[LEASE_FDS];

	played[0].direct = true;
	open_it(0);
	hang(&played[0], true);
	do_job(EFFECT_EXPORT, 0, 1);
	ck_assert(devices_next(devices, &event));
	ck_assert_int_eq(event.type, EVENT_EXPORTED);
	ck_assert(event.ok);
	ck_assert_uint_eq(event.device, 0);
	ck_assert_uint_eq(event.lease, 1);
	ck_assert_uint_eq(event.buffer, 1);
	nothing_more();
	ck_assert(devices_take_fds(devices, 1, fds));
	ck_assert_int_eq(fds[0], played[0].made[1][0]);
	do_job(EFFECT_EXPORT, 0, 2);
	do_job(EFFECT_REVOKE, 0, 2);
	ck_assert(!are_open(2));
	expect(EVENT_EXPORTED, 0, true);
	event = expect(EVENT_REVOKED, 0, true);
	ck_assert_uint_eq(event.lease, 2);
	ck_assert_uint_eq(event.buffer, 2);
	nothing_more();
	ck_assert_int_eq(played[0].done_now, 3);
}
END_TEST

START_TEST(memory_needs_an_iommu)
{
	const struct slice slice = { .name = "a/queue", .count = 1, .length = 4096, .memory = 8192 };
	struct facts facts = {
		.page = 4096, .bars = { { 4096, true } }, .no_memory = "it has no IOMMU",
	};
	char why[WHY_SIZE];

	ck_assert(!facts_fit(&facts, A, &slice, why, sizeof(why)));
	ck_assert_str_eq(why, "a/queue: " A " cannot have memory: it has no IOMMU");
	facts.memory = true;
	ck_assert(facts_fit(&facts, A, &slice, why, sizeof(why)));
}
END_TEST

/* To allocate memory takes time, so that the worker does it. */
START_TEST(memory_is_a_job)
{
	struct event event;
	int fds[LEASE_FDS];

	played[0].direct = true;
	open_it(0);
	lease.memory = 8192;
	do_job(EFFECT_EXPORT, 0, 1);
	event = expect(EVENT_EXPORTED, 0, true);
	ck_assert_uint_eq(event.iova, 8192);
	ck_assert_int_eq(played[0].done_now, 0);
	ck_assert(devices_take_fds(devices, 1, fds));
	for (int i = 0; i < LEASE_FDS; i++)
		ck_assert_int_eq(fds[i], played[0].made[1][i]);
	/* The loop can revoke: that is the registers only. */
	do_job(EFFECT_REVOKE, 0, 1);
	expect(EVENT_REVOKED, 0, true);
	ck_assert_int_eq(played[0].done_now, 1);
	do_job(EFFECT_ACT, 0, 1);
	expect(EVENT_ACTED, 0, true);
	do_job(EFFECT_UNMAP, 0, 1);
	event = expect(EVENT_UNMAPPED, 0, true);
	ck_assert_uint_eq(event.lease, 1);
	lease.memory = 0;
	do_job(EFFECT_EXPORT, 0, 2);
	expect(EVENT_EXPORTED, 0, true);
	ck_assert(devices_take_fds(devices, 2, fds));
	ck_assert_int_eq(fds[2], -1);
}
END_TEST

START_TEST(what_would_wait_is_a_job)
{
	played[0].direct = true;
	open_it(0);
	played[0].refusals = 2;
	do_job(EFFECT_EXPORT, 0, 1);
	ck_assert_uint_eq(expect(EVENT_EXPORTED, 0, true).buffer, 1);
	do_job(EFFECT_REVOKE, 0, 1);
	expect(EVENT_REVOKED, 0, true);
	ck_assert_int_eq(played[0].done_now, 0);
	/* Only the worker does these. */
	do_job(EFFECT_ACT, 0, 1);
	expect(EVENT_ACTED, 0, true);
	do_job(EFFECT_PREPARE, 0, 0);
	expect(EVENT_PREPARED, 0, true);
	ck_assert_int_eq(played[0].done_now, 0);
}
END_TEST

/* Until its results have been taken. */
START_TEST(busy_device_is_left_to_its_worker)
{
	played[0].direct = true;
	open_it(0);
	hang(&played[0], true);
	do_job(EFFECT_ACT, 0, 1);
	do_job(EFFECT_EXPORT, 0, 2);
	do_job(EFFECT_REVOKE, 0, 3);
	nothing_more();
	hang(&played[0], false);
	wait_until_done();
	do_job(EFFECT_EXPORT, 0, 4);
	ck_assert_int_eq(played[0].done_now, 0);
	expect(EVENT_ACTED, 0, true);
	ck_assert_uint_eq(expect(EVENT_EXPORTED, 0, true).lease, 2);
	expect(EVENT_REVOKED, 0, true);
	ck_assert_uint_eq(expect(EVENT_EXPORTED, 0, true).lease, 4);
	do_job(EFFECT_EXPORT, 0, 5);
	ck_assert_int_eq(played[0].done_now, 1);
	ck_assert_uint_eq(expect(EVENT_EXPORTED, 0, true).lease, 5);
}
END_TEST

/* A client with many leases disconnects: the loop does some, and goes on. */
START_TEST(loop_does_not_do_much_at_once)
{
	played[0].direct = true;
	open_it(0);
	for (uint64_t id = 1; id <= 100; id++)
		do_job(EFFECT_REVOKE, 0, id);
	ck_assert_int_le(played[0].done_now, 8);
	for (uint64_t id = 1; id <= 100; id++)
		ck_assert_uint_eq(expect(EVENT_REVOKED, 0, true).lease, id);
	nothing_more();
}
END_TEST

START_TEST(closed_device_is_not_worked_on)
{
	int fds[LEASE_FDS];

	played[0].direct = true;
	open_it(0);
	do_job(EFFECT_EXPORT, 0, 1);
	do_job(EFFECT_CLOSE, 0, 0);
	ck_assert(!are_open(1));
	do_job(EFFECT_REVOKE, 0, 1);
	expect(EVENT_EXPORTED, 0, true);
	ck_assert(!devices_take_fds(devices, 1, fds));
	expect(EVENT_CLOSED, 0, true);
	expect(EVENT_REVOKED, 0, false);
	ck_assert_int_eq(played[0].done_now, 1);
	/* Nor is one whose driver cannot. */
	played[0].direct = false;
	open_it(0);
	export_lease(2);
}
END_TEST

static const struct facts facts = {
	.page = 4096,
	.bars = { { 0x2000, true }, { 256, true }, { 0x1000, false } },
};

static const struct fit {
	struct slice slice;
	const char *why;
} fits[] = {
	{ { .name = "s", .count = 2, .length = 0x1000 }, NULL },
	{ { .name = "s", .count = 2, .offset = 0x1000, .length = 0x1000 },
	  "s: it ends at 0x3000, BAR 0 of " A " at 0x2000" },
	{ { .name = "s", .count = 1, .length = 0x1000, .bar = 1 }, NULL },
	{ { .name = "s", .count = 1, .length = 0x1000, .bar = 1,
	    .actions = { .nr = 1, .writes = { { 252, 0, 32 } } } }, NULL },
	{ { .name = "s", .count = 1, .length = 0x1000, .bar = 1,
	    .actions = { .nr = 1, .writes = { { 252, 0, 64 } } } },
	  "s: a register of on_release is after the end of BAR 1 of " A },
	{ { .name = "s", .count = 1, .length = 0x1000, .bar = 2 },
	  "s: BAR 2 of " A " cannot be mapped; name another one" },
	{ { .name = "s", .count = 1, .length = 0x1000, .bar = 7 },
	  "s: BAR 7 of " A " cannot be mapped; name another one" },
	{ { .name = "s", .count = 3, .length = 1ULL << 63 },
	  "s: it ends at 0x8000000000000000, BAR 0 of " A " at 0x2000" },
	{ { .name = "s", .count = 1, .length = 0x1000, .actions = { .reset = RESET_WHEN_IDLE } },
	  "s: " A " cannot be reset alone; set \"reset: never\", and use on_release instead" },
};

START_TEST(configuration_fits)
{
	const struct fit *fit = &fits[_i];
	char why[WHY_SIZE] = "";

	ck_assert_int_eq(facts_fit(&facts, A, &fit->slice, why, sizeof(why)), !fit->why);
	ck_assert_str_eq(why, fit->why ? fit->why : "");
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("devices");
	TCase *tc = add_group(s, "parts");

	tcase_add_test(tc, queue_is_in_order);
	tcase_add_loop_test(tc, configuration_fits, 0, sizeof(fits) / sizeof(*fits));

	tc = add_group(s, "devices");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, results_are_in_order);
	tcase_add_test(tc, device_that_cannot_be_opened_is_tried_again);
	tcase_add_test(tc, device_that_hangs_holds_nobody_up);
	tcase_add_test(tc, fds_have_one_owner);
	tcase_add_test(tc, what_comes_too_late_is_closed);
	tcase_add_test(tc, kernel_is_listened_to);
	tcase_add_test(tc, resume_comes_before_the_result);
	tcase_add_test(tc, device_is_adopted);
	tcase_add_test(tc, no_thread_is_a_failure);
	tcase_add_loop_test(tc, no_memory_is_a_failure, 0, 60);
	tcase_add_test(tc, idle_device_is_worked_on_at_once);
	tcase_add_test(tc, memory_needs_an_iommu);
	tcase_add_test(tc, memory_is_a_job);
	tcase_add_test(tc, what_would_wait_is_a_job);
	tcase_add_test(tc, busy_device_is_left_to_its_worker);
	tcase_add_test(tc, loop_does_not_do_much_at_once);
	tcase_add_test(tc, closed_device_is_not_worked_on);
	tcase_add_test(tc, many_jobs_of_both);
	return s;
}
