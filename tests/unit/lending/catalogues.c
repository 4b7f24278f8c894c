// SPDX-License-Identifier: MIT
/* A few configurations, small enough that clients meet. */
#include <stdio.h>
#include <string.h>

#include "world.h"

static uid_t everybody[] = { 0, 1001, 1002, 1003, 1004 };
static uid_t some[] = { 0, 1001, 1003 };

static struct slice slices[CATALOGUES][DEVICES][4];
static struct catalogue_device devices[CATALOGUES][DEVICES];
/* Root and one user have places of their own. */
static struct kept kept[] = { { 0, { 2, 2 } }, { 1, { 2, 3, SOME_MEMORY } } };

static const char *const names[] = { "one", "array", "shared", "part" };

static struct slice make(int variant, int device, int i)
{
	static const struct slice kinds[] = {
		{ .count = 1, .offset = 0, .length = 4, .flags = SLICE_EXCLUSIVE },
		{ .count = 3, .offset = 4, .length = 2, .flags = SLICE_EXCLUSIVE },
		{ .count = 1, .offset = 2, .length = 6, .flags = 0 },
		{ .count = 2, .offset = 7, .length = 2, .flags = SLICE_READ_ONLY },
	};
	struct slice slice = kinds[i];

	snprintf(slice.name, sizeof(slice.name), "%d/%s", device, names[i]);
	slice.rule.users = variant == 1 && i == 1 ? some : everybody;
	slice.rule.nr_users = variant == 1 && i == 1 ? 3 : 5;
	slice.max_seconds = i == 0 ? 20 : variant == 2 ? 5 : 0;
	if (variant == 3 && i == 0)
		slice.offset = 1;
	/* Some have memory, and one of them in one configuration only. */
	if (i == 1 || (i == 3 && variant == 2))
		slice.memory = SOME_MEMORY;
	/* Each has on-release actions. Otherwise what a lease leaves is never cleaned up. */
	slice.actions.nr = device != 1;
	slice.actions.reset = device == 1 ? RESET_EACH_TIME : RESET_WHEN_IDLE;
	return slice;
}

void catalogues_make(struct world *world)
{
	for (int v = 0; v < CATALOGUES; v++) {
		/* The first lacks the last device. */
		int nr = v == 1 ? DEVICES - 1 : DEVICES;

		for (int d = 0; d < nr; d++) {
			for (int i = 0; i < 4; i++)
				slices[v][d][i] = make(v, d, i);
			devices[v][d] = (struct catalogue_device){
				.patience = PATIENCE,
				.slices = slices[v][d],
				.nr_slices = 4,
			};
			strcpy(devices[v][d].bdf, world->devices[d].bdf);
		}
		world->catalogues[v] = (struct catalogue){
			.total = { 9, 10, 5 * SOME_MEMORY },
			.per_user = { 4, 6, 3 * SOME_MEMORY },
			.memory_per_client = 2 * SOME_MEMORY,
			.leases_per_client = 4,
			.kept = kept,
			.nr_kept = 2,
			.devices = devices[v],
			.nr_devices = nr,
		};
	}
}

const char *any_slice(struct world *world)
{
	/* Rarely one that does not exist. */
	if (chance(world, 100))
		return "nothing/here";
	return slices[0][random_below(world, DEVICES)][random_below(world, 4)].name;
}
