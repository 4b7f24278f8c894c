// SPDX-License-Identifier: MIT
/* A state of any bytes: damaged, or all of it makes sense and can be saved again. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "state/ledger.h"
#include "state/state.h"
#include "targets.h"

static void must(bool holds)
{
	if (!holds)
		abort();
}

static void check_lease(const struct lease_record *lease)
{
	must(lease->phase >= LEASE_WAITING && lease->phase <= LEASE_ENDED);
	must(lease->end <= END_TIMEOUT && lease->bar < 6);
	must(memchr(lease->bdf, '\0', sizeof(lease->bdf)) && lease->bdf[0]);
	must(memchr(lease->slice, '\0', sizeof(lease->slice)) && lease->slice[0]);
	must(lease->index < lease->count && lease->actions.nr <= MAX_REGISTERS);
	/* Nothing is written outside the lease. */
	for (uint32_t i = 0; i < lease->actions.nr; i++) {
		const struct register_write *write = &lease->actions.writes[i];

		must(write->width);
		must(write->offset < lease->length &&
		     lease->length - write->offset >= write->width / 8);
	}
}

static void save(struct state *state, const struct effect *effect)
{
	must(!state_reserve(state, 1) && !state_save(state, effect));
}

static void save_all(struct state *state, const struct saved *saved)
{
	if (saved->start)
		save(state, &(struct effect){ .type = EFFECT_SAVE_START, .start = saved->start });
	for (size_t i = 0; i < saved->nr_clients; i++)
		save(state, &(struct effect){ .type = EFFECT_SAVE_CLIENT,
					      .saved_client = &saved->clients[i] });
	for (size_t i = 0; i < saved->nr_leases; i++)
		save(state, &(struct effect){ .type = EFFECT_SAVE_LEASE,
					      .saved_lease = &saved->leases[i] });
	for (size_t i = 0; i < saved->nr_devices; i++)
		save(state, &(struct effect){ .type = EFFECT_SAVE_DEVICE,
					      .saved_device = &saved->devices[i] });
}

static void check_equal(const void *array, size_t nr, const void *again, size_t nr_again,
			size_t size)
{
	must(nr == nr_again && (!nr || !memcmp(array, again, nr * size)));
}

static void load(int fd)
{
	struct saved saved, again;
	int copy = dup(fd);
	struct state *state = state_load(copy, &saved), *next;

	if (!state) {
		close(copy);
		return;
	}
	for (size_t i = 0; i < saved.nr_leases; i++)
		check_lease(&saved.leases[i]);
	for (size_t i = 0; i < saved.nr_clients; i++)
		must(memchr(saved.clients[i].name, '\0', sizeof(saved.clients[i].name)));
	for (size_t i = 0; i < saved.nr_devices; i++)
		must(memchr(saved.devices[i].bdf, '\0', sizeof(saved.devices[i].bdf)));
	save_all(state, &saved);
	next = state_load(dup(state_fd(state)), &again);
	must(next && saved.start == again.start);
	check_equal(saved.clients, saved.nr_clients, again.clients, again.nr_clients,
		    sizeof(*saved.clients));
	check_equal(saved.leases, saved.nr_leases, again.leases, again.nr_leases,
		    sizeof(*saved.leases));
	check_equal(saved.devices, saved.nr_devices, again.devices, again.nr_devices,
		    sizeof(*saved.devices));
	saved_free(&saved);
	saved_free(&again);
	state_free(state);
	state_free(next);
}

/* Records of any bytes, with correct sums: two bytes with a size, and then this number of bytes. */
static void load_records(const uint8_t *data, size_t size)
{
	struct ledger *ledger = ledger_new();

	must(ledger && !ledger_reserve(ledger, 2 * size, size));
	while (size >= 2) {
		size_t length = data[0] | data[1] << 8;
		struct writer to = ledger_writer(ledger);
		struct key key;

		data += 2;
		size -= 2;
		if (length > size)
			length = size;
		write_encoded(&to, data, length);
		/* Its own idea of the key is not what is tested. */
		key = ledger_key(data, length < 9 ? length : 9);
		must(!to.full && !ledger_append(ledger, to.at, 0, &key, ledger_find(ledger, &key), false));
		data += length;
		size -= length;
	}
	load(ledger->fd);
	ledger_free(ledger);
}

/* Bytes over a valid state, at the place in the first two. */
static void load_overlaid(const uint8_t *data, size_t size)
{
	struct lease_record lease = {
		.id = 1, .phase = LEASE_GRANTED, .length = 0x1000, .count = 1, .bdf = "b",
		.slice = "s", .actions = { .nr = 1, .writes = { { .width = 32 } } },
	};
	struct state *state = state_new();

	must(state);
	for (; lease.id < 5; lease.id++)
		save(state, &(struct effect){ .type = EFFECT_SAVE_LEASE, .saved_lease = &lease });
	if (size >= 2) {
		size_t at = data[0] | data[1] << 8;

		must(pwrite(state_fd(state), data + 2, size - 2, at) == (ssize_t)size - 2);
	}
	load(state_fd(state));
	state_free(state);
}

/* The first byte chooses one of the two. */
int fuzz_state(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	if (data[0] & 1)
		load_overlaid(data + 1, size - 1);
	else
		load_records(data + 1, size - 1);
	return 0;
}
