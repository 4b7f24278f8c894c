// SPDX-License-Identifier: MIT
/* The kernel: it opens and closes devices, exports, lists and revokes. */
#include <string.h>

#include "world.h"

struct sim_device *device_by_bdf(struct world *world, const char *bdf)
{
	for (int i = 0; i < DEVICES; i++)
		if (!strcmp(world->devices[i].bdf, bdf))
			return &world->devices[i];
	return NULL;
}

struct buffer *buffer_by_id(struct world *world, uint64_t id)
{
	for (int i = 0; id && i < BUFFERS_MAX; i++)
		if (world->buffers[i].id == id)
			return &world->buffers[i];
	return NULL;
}

static bool is_listed(const struct buffer *buffer)
{
	return buffer->in_broker || buffer->with_client;
}

bool buffer_is_live(const struct world *world, const struct buffer *buffer)
{
	const struct sim_device *device = &world->devices[buffer->device];

	return is_listed(buffer) && !buffer->revoked && device->open &&
	       buffer->incarnation == device->incarnation;
}

static bool overlap(const struct buffer *a, const struct buffer *b)
{
	return a->device == b->device && a->place.bar == b->place.bar &&
	       a->place.offset < b->place.offset + b->place.length &&
	       b->place.offset < a->place.offset + a->place.length;
}

struct memory *mapped_memory(struct world *world, uint64_t lease)
{
	for (int i = 0; lease && i < MEMORIES_MAX; i++)
		if (world->memories[i].lease == lease && world->memories[i].mapped)
			return &world->memories[i];
	return NULL;
}

static void unmap(struct memory *memory)
{
	*memory = (struct memory){ 0 };
}

static void map(struct world *world, struct sim_device *device, const struct job *job,
		struct event *event)
{
	for (int i = 0; i < MEMORIES_MAX; i++) {
		struct memory *memory = &world->memories[i];

		if (memory->lease)
			continue;
		*memory = (struct memory){
			.lease = job->record.id,
			.iova = ++world->last_iova,
			.device = device - world->devices,
			.place = { job->record.offset, job->record.length, job->record.bar },
			.exclusive = job->record.flags & SLICE_EXCLUSIVE,
			.mapped = true,
			.known = true,
		};
		event->iova = memory->iova;
		world->mapped++;
		return;
	}
	violation(world, "memory without end", 0, 0);
}

void kernel_know_memory(struct world *world)
{
	for (int i = 0; i < MEMORIES_MAX; i++) {
		struct memory *memory = &world->memories[i];

		memory->known = false;
		for (int j = 0; j < world->nr_leases; j++) {
			const struct lease_record *record = &world->leases[j];

			memory->known |= record->id == memory->lease && record->iova == memory->iova &&
					 record->phase != LEASE_ENDED;
		}
	}
}

/* The device was opened by a former process. */
static void unmap_unknown(struct world *world, const struct sim_device *device)
{
	for (int i = 0; i < MEMORIES_MAX; i++)
		if (world->memories[i].lease && !world->memories[i].known &&
		    &world->devices[world->memories[i].device] == device)
			unmap(&world->memories[i]);
}

void kernel_close(struct world *world, struct sim_device *device)
{
	for (int i = 0; i < MEMORIES_MAX; i++)
		if (world->memories[i].lease && &world->devices[world->memories[i].device] == device)
			unmap(&world->memories[i]);
	device->open = device->stored = device->prepared = false;
	for (int i = 0; i < BUFFERS_MAX; i++)
		if (world->buffers[i].id && &world->devices[world->buffers[i].device] == device)
			world->buffers[i].revoked = true;
}

static struct buffer *free_buffer(struct world *world)
{
	for (int pass = 0; pass < 2; pass++) {
		for (int i = 0; i < BUFFERS_MAX; i++) {
			struct buffer *buffer = &world->buffers[i];

			if (!buffer->id)
				return buffer;
			if (pass && !is_listed(buffer) && !buffer->dirty)
				buffer->id = 0;
		}
	}
	for (int i = 0; i < BUFFERS_MAX; i++)
		if (!world->buffers[i].id)
			return &world->buffers[i];
	violation(world, "buffers without end", 0, 0);
}

static bool export(struct world *world, struct sim_device *device, const struct job *job,
		   struct event *event)
{
	struct buffer *buffer = free_buffer(world);

	*buffer = (struct buffer){
		.id = ++world->last_buffer,
		.lease = job->record.id,
		.device = device - world->devices,
		.incarnation = device->incarnation,
		.place = { job->record.offset, job->record.length, job->record.bar },
		.exclusive = job->record.flags & SLICE_EXCLUSIVE,
		.in_broker = true,
	};
	event->buffer = buffer->id;
	return true;
}

static void check_nobody_there(struct world *world, const struct buffer *of, const char *what)
{
	for (int i = 0; i < BUFFERS_MAX; i++) {
		const struct buffer *other = &world->buffers[i];

		if (other->id && other->lease != of->lease && other->sent &&
		    (other->exclusive || of->exclusive) && overlap(other, of) &&
		    buffer_is_live(world, other))
			violation(world, what, of->lease, other->lease);
	}
}

static struct buffer as_buffer(struct world *world, const struct lease_record *record)
{
	return (struct buffer){
		.lease = record->id,
		.device = device_by_bdf(world, record->bdf) - world->devices,
		.place = { record->offset, record->length, record->bar },
		.exclusive = record->flags & SLICE_EXCLUSIVE,
	};
}

void kernel_check_grant(struct world *world, const struct lease_record *record)
{
	struct buffer of = as_buffer(world, record);

	check_nobody_there(world, &of, "a slice is granted that another client reaches");
	if (record->memory && !mapped_memory(world, record->id))
		violation(world, "a slice is granted whose memory the device does not reach", record->id, 0);
	for (int i = 0; i < MEMORIES_MAX; i++) {
		const struct memory *other = &world->memories[i];
		const struct buffer place = { .device = other->device, .place = other->place };

		if (other->lease && other->lease != record->id &&
		    (other->exclusive || of.exclusive) && overlap(&place, &of))
			violation(world, "a slice is granted before the memory of another lease is unmapped",
				  record->id, other->lease);
	}
	for (int i = 0; i < BUFFERS_MAX; i++) {
		const struct buffer *other = &world->buffers[i];

		if (other->id && other->dirty && other->lease != record->id &&
		    (other->exclusive || of.exclusive) && overlap(other, &of))
			violation(world, "a slice is granted before its on-release actions",
				  record->id, other->lease);
	}
}

static void act(struct world *world, const struct job *job)
{
	struct buffer of = as_buffer(world, &job->record);

	check_nobody_there(world, &of, "on-release actions disturb another lease");
	for (int i = 0; i < BUFFERS_MAX; i++) {
		struct buffer *buffer = &world->buffers[i];

		if (!buffer->id || buffer->lease != job->record.id)
			continue;
		if (buffer_is_live(world, buffer))
			violation(world, "on-release actions before the revoke", buffer->lease, 0);
		buffer->dirty = false;
	}
}

static void unmap_memory(struct world *world, const struct job *job)
{
	struct memory *memory = mapped_memory(world, job->record.id);

	for (int i = 0; i < BUFFERS_MAX; i++) {
		const struct buffer *buffer = &world->buffers[i];

		if (!buffer->id || buffer->lease != job->record.id)
			continue;
		if (buffer_is_live(world, buffer))
			violation(world, "memory is unmapped before the revoke", buffer->lease, 0);
		if (buffer->dirty)
			violation(world, "memory is unmapped before the on-release actions",
				  buffer->lease, 0);
	}
	world->unmapped += memory != NULL;
	if (memory)
		unmap(memory);
}

static void prepare(struct world *world, struct sim_device *device)
{
	device->prepared = true;
	for (int i = 0; i < BUFFERS_MAX; i++) {
		struct buffer *buffer = &world->buffers[i];

		if (!buffer->id || &world->devices[buffer->device] != device)
			continue;
		if (buffer->sent && buffer_is_live(world, buffer))
			violation(world, "a device is prepared while it is leased", buffer->lease, 0);
		buffer->dirty = false;
	}
}

static size_t list(struct world *world, struct sim_device *device)
{
	size_t nr = 0;

	for (int i = 0; i < BUFFERS_MAX; i++) {
		const struct buffer *buffer = &world->buffers[i];

		if (!buffer->id || &world->devices[buffer->device] != device || !is_listed(buffer))
			continue;
		device->listed[nr++] = (struct listed){
			buffer->id, !buffer_is_live(world, buffer)
		};
	}
	return nr;
}

static bool open_device(struct world *world, struct sim_device *device, struct event *event,
			bool fails)
{
	event->type = EVENT_OPENED;
	if (!device->stored) {
		if (fails || !device->present)
			return false;
		device->open = device->stored = true;
		device->prepared = device->suspended = false;
		device->incarnation++;
		event->fresh = true;
	}
	if (!event->fresh)
		unmap_unknown(world, device);
	event->suspended = device->suspended;
	event->buffers = device->listed;
	event->nr_buffers = list(world, device);
	return true;
}

static bool do_job(struct world *world, struct sim_device *device, const struct job *job,
		   struct event *event)
{
	bool fails = !world->calm && (device->failing ? chance(world, 3) : chance(world, 400));
	struct buffer *buffer;

	if (job->effect.type == EFFECT_CLOSE) {
		event->type = EVENT_CLOSED;
		kernel_close(world, device);
		return true;
	}
	if (job->effect.type == EFFECT_OPEN)
		return open_device(world, device, event, fails);
	if (!device->open)
		fails = true;
	if (fails)
		device->troubles++;
	switch (job->effect.type) {
	case EFFECT_PREPARE:
		event->type = EVENT_PREPARED;
		if (!fails)
			prepare(world, device);
		break;
	case EFFECT_EXPORT:
		event->type = EVENT_EXPORTED;
		if (!fails && !device->prepared)
			violation(world, "a device is leased before it was prepared", job->record.id, 0);
		/* It can fail before and after the memory is mapped. */
		if (job->record.memory && (!fails || (device->open && chance(world, 2))))
			map(world, device, job, event);
		if (!fails)
			export(world, device, job, event);
		break;
	case EFFECT_REVOKE:
		event->type = EVENT_REVOKED;
		event->buffer = job->effect.buffer;
		buffer = buffer_by_id(world, job->effect.buffer);
		if (!fails && buffer)
			buffer->revoked = true;
		break;
	case EFFECT_UNMAP:
		event->type = EVENT_UNMAPPED;
		if (!fails)
			unmap_memory(world, job);
		break;
	default:
		event->type = EVENT_ACTED;
		if (!fails)
			act(world, job);
		break;
	}
	return !fails;
}

bool kernel_work(struct world *world, struct sim_device *device)
{
	struct event *event = &device->results[device->nr_results];
	struct job job;

	if (!device->nr_jobs || device->hung || device->nr_results)
		return false;
	job = device->jobs[0];
	memmove(device->jobs, device->jobs + 1, --device->nr_jobs * sizeof(job));
	*event = (struct event){ .device = job.effect.device, .lease = job.effect.lease };
	event->ok = do_job(world, device, &job, event);
	device->result_since = job.since;
	device->nr_results++;
	return true;
}

/* Clients drop buffers that no longer reach the device. */
void kernel_forget_revoked(struct world *world)
{
	for (int i = 0; i < BUFFERS_MAX; i++) {
		struct buffer *buffer = &world->buffers[i];

		if (buffer->id && !buffer_is_live(world, buffer))
			buffer->with_client = false;
	}
}

/* Another process with the device fd revokes a buffer. */
static void revoke_one(struct world *world)
{
	struct buffer *buffer = &world->buffers[random_below(world, BUFFERS_MAX)];

	if (!buffer->id || buffer->revoked)
		return;
	buffer->revoked = true;
	world->devices[buffer->device].troubles++;
}

void kernel_crash(struct world *world)
{
	revoke_one(world);
	for (int i = 0; i < DEVICES; i++) {
		struct sim_device *device = &world->devices[i];

		device->hung = false;
		device->nr_results = 0;
		if (chance(world, 2))
			kernel_work(world, device);
		device->nr_jobs = device->nr_results = 0;
		if (!device->stored && device->open)
			kernel_close(world, device);
		if (chance(world, 50)) {
			device->troubles++;
			kernel_close(world, device);
		}
	}
	for (int i = 0; i < BUFFERS_MAX; i++)
		world->buffers[i].in_broker = false;
}
