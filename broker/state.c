/* SPDX-License-Identifier: MIT */
/* What outlives the broker's process; state.h says how it is kept whole. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "state.h"

#define MAGIC	0x766d6264u
#define VERSION	2

struct copy {
	uint64_t generation;	/* the greater one counts */
	uint64_t checksum;	/* of generation and data */
	struct state_data data;
};

struct state_file {
	uint32_t magic;
	uint32_t version;
	uint64_t size;		/* of this struct */
	struct copy copies[2];
};

/* FNV-1a: against a write that was cut off, not against malice. */
static uint64_t hash(uint64_t sum, const void *data, size_t size)
{
	const unsigned char *bytes = data;

	for (size_t i = 0; i < size; i++)
		sum = (sum ^ bytes[i]) * 0x100000001b3;
	return sum;
}

/* Only what is in use is summed and copied: most of the arrays never is. */
static uint64_t checksum(const struct copy *copy)
{
	const struct state_data *d = &copy->data;
	uint64_t sum = hash(0xcbf29ce484222325, &copy->generation, sizeof(copy->generation));

	sum = hash(sum, d, offsetof(struct state_data, clients));
	sum = hash(sum, d->clients, d->nr_clients * sizeof(d->clients[0]));
	return hash(sum, d->leases, d->nr_leases * sizeof(d->leases[0]));
}

static void copy_data(struct state_data *to, const struct state_data *from)
{
	memcpy(to, from, offsetof(struct state_data, clients));
	memcpy(to->clients, from->clients, from->nr_clients * sizeof(from->clients[0]));
	memcpy(to->leases, from->leases, from->nr_leases * sizeof(from->leases[0]));
}

/* A register that is written at the end of a lease lies in its pages. */
static bool is_sane(const struct state_lease *lease)
{
	if (lease->hooks.nr_quiesce > CONFIG_MAX_QUIESCE)
		return false;
	for (uint32_t i = 0; i < lease->hooks.nr_quiesce; i++) {
		const struct quiesce *q = &lease->hooks.quiesce[i];

		if ((q->width != 8 && q->width != 16 && q->width != 32 && q->width != 64) ||
		    q->offset >= lease->length || lease->length - q->offset < q->width / 8)
			return false;
	}
	return memchr(lease->bdf, '\0', sizeof(lease->bdf)) &&
	       memchr(lease->slice, '\0', sizeof(lease->slice));
}

static bool is_whole(const struct copy *copy)
{
	if (copy->data.nr_clients > STATE_MAX_CLIENTS || copy->data.nr_leases > STATE_MAX_LEASES ||
	    !copy->generation || copy->checksum != checksum(copy))
		return false;
	for (uint32_t i = 0; i < copy->data.nr_clients; i++)
		if (!memchr(copy->data.clients[i].name, '\0', sizeof(copy->data.clients[i].name)))
			return false;
	for (uint32_t i = 0; i < copy->data.nr_leases; i++)
		if (!is_sane(&copy->data.leases[i]))
			return false;
	return true;
}

/* The one that counts, NULL if both are damaged. */
static struct copy *newest(struct state_file *file)
{
	struct copy *a = &file->copies[0], *b = &file->copies[1];

	if (!is_whole(a))
		return is_whole(b) ? b : NULL;
	if (!is_whole(b))
		return a;
	return a->generation > b->generation ? a : b;
}

static struct state *state_of(int fd)
{
	struct state *state = calloc(1, sizeof(*state));

	if (!state)
		return NULL;
	state->fd = fd;
	state->file = mmap(NULL, sizeof(*state->file), PROT_READ | PROT_WRITE,
			   MAP_SHARED, fd, 0);
	if (state->file == MAP_FAILED) {
		free(state);
		return NULL;
	}
	return state;
}

struct state *state_new(void)
{
	int fd = memfd_create("vfio-dmabufd", MFD_CLOEXEC);
	struct state *state;

	if (fd < 0)
		return NULL;
	if (ftruncate(fd, sizeof(struct state_file)) || !(state = state_of(fd))) {
		close(fd);
		return NULL;
	}
	state->file->magic = MAGIC;
	state->file->version = VERSION;
	state->file->size = sizeof(*state->file);
	state->data.next_id = 1;
	state_save(state);
	return state;
}

struct state *state_load(int fd)
{
	struct state *state;
	struct copy *copy;
	struct stat st;

	if (fstat(fd, &st) || st.st_size != sizeof(struct state_file))
		return NULL;
	state = state_of(fd);
	if (!state)
		return NULL;
	copy = NULL;
	if (state->file->magic == MAGIC && state->file->version == VERSION &&
	    state->file->size == sizeof(*state->file))
		copy = newest(state->file);
	if (!copy) {
		munmap(state->file, sizeof(*state->file));
		free(state);
		return NULL;
	}
	copy_data(&state->data, &copy->data);
	return state;
}

void state_save(struct state *state)
{
	struct copy *current = newest(state->file);
	struct copy *next = current == &state->file->copies[0] ?
			    &state->file->copies[1] : &state->file->copies[0];
	uint64_t generation = current ? current->generation + 1 : 1;

	next->checksum = 0;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	copy_data(&next->data, &state->data);
	next->generation = generation;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	next->checksum = checksum(next);
}

void state_free(struct state *state)
{
	if (!state)
		return;
	munmap(state->file, sizeof(*state->file));
	close(state->fd);
	free(state);
}
