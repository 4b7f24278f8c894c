// SPDX-License-Identifier: MIT
/*
 * A broker of an older version: its format lacks fields of leases, actions and
 * register writes, and knows no devices.  older <fd of a state> create|change
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "state/state.h"

static int save(struct state *state, const struct lease_record *lease)
{
	struct effect effect = { EFFECT_SAVE_LEASE, .saved_lease = lease };

	return state_reserve(state, 1) || state_save(state, &effect);
}

/* Two leases of its own. */
static int create(struct state *state)
{
	struct effect start = { EFFECT_SAVE_START, .start = 1 };
	struct lease_record lease = {
		.phase = LEASE_GRANTED, .length = 0x1000, .count = 1, .bdf = "0000:01:00.0",
		.slice = "nic/doorbell", .actions = { .nr = 1, .writes = { { .width = 32 } } },
	};

	if (state_save(state, &start))
		return 1;
	for (lease.id = 1; lease.id <= 2; lease.id++)
		if (save(state, &lease))
			return 1;
	return 0;
}

/* The first is forgotten; the others begin to end, and are saved again and again. */
static int change(struct state *state, struct saved *saved)
{
	if (!saved->nr_leases || saved->nr_devices)
		return 1;
	for (int i = 0; i < 300; i++)
		for (size_t j = 1; j < saved->nr_leases; j++) {
			struct lease_record *lease = &saved->leases[j];

			/* It does not know them. */
			if (lease->max_seconds || lease->actions.reset ||
			    lease->actions.writes[0].value)
				return 1;
			lease->phase = LEASE_ENDING;
			lease->end = END_REVOKED;
			lease->expires = i;
			if (save(state, lease))
				return 1;
		}
	return state_save(state, &(struct effect){ EFFECT_FORGET_LEASE,
						   .lease = saved->leases[0].id });
}

int main(int argc, char **argv)
{
	struct saved saved;
	struct state *state;
	int failed;

	if (argc != 3)
		return 2;
	state = state_load(atoi(argv[1]), &saved);
	if (!state) {
		perror("older: state_load");
		return 1;
	}
	failed = strcmp(argv[2], "create") ? change(state, &saved) : create(state);
	saved_free(&saved);
	state_free(state);
	return failed;
}
