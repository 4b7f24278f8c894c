/* SPDX-License-Identifier: MIT */
/* Records by chance, and what a state should have. */
#ifndef TESTS_STATE_MODEL_H
#define TESTS_STATE_MODEL_H

#include "core/effect.h"
#include "state/state.h"

/* The same numbers for the same seed. */
void chance_seed(uint64_t seed);
uint64_t chance_number(void);
uint32_t chance_below(uint32_t limit);
/* A new seed for each run, which is printed; STATE_SEED in the environment repeats one. */
void chance_start(void);

struct lease_record random_lease(uint64_t id);
struct client_record random_client(uint64_t id);
struct device_record random_device(uint32_t number);
/* What the core may change while the lease lives. */
void change_lease(struct lease_record *lease);

void save_start(struct state *state, uint64_t start);
void save_client(struct state *state, const struct client_record *client);
void save_lease(struct state *state, const struct lease_record *lease);
void save_device(struct state *state, const struct device_record *device);
void forget_client(struct state *state, uint64_t id);
void forget_lease(struct state *state, uint64_t id);
void forget_device(struct state *state, const char *bdf);

/* Another mapping of the same file, as the next process has it; NULL with errno. */
struct state *load_again(const struct state *state, struct saved *saved);

/* What was saved and is not forgotten. */
#define MODEL_MAX	4096
struct model {
	uint64_t start;
	struct client_record clients[MODEL_MAX];
	struct lease_record leases[MODEL_MAX];
	struct device_record devices[16];
	size_t nr_clients, nr_leases, nr_devices;
};
void model_copy(struct model *to, const struct model *from);
bool model_equals(const struct model *model, const struct saved *saved);
/* Fails unless a next process would find exactly this. */
void check_state(const struct state *state, const struct model *model);
/* Saves, changes or removes something, in the state and in the model; at most @max leases. */
void random_step(struct state *state, struct model *model, size_t max);

#endif
