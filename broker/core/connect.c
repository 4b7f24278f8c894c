/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "connect.h"
#include "end.h"
#include "notify.h"

struct client *connect_add(struct core *core, uint64_t id, uint64_t user,
			   const struct identity *who)
{
	struct account *account = account_of(&core->accounts, core->catalogue, user);
	struct client *client = account ? calloc(1, sizeof(*client)) : NULL;

	if (!client || !table_reserve(&core->clients, 1)) {
		if (account)
			account_done(&core->accounts, account);
		free(client);
		return NULL;
	}
	client->r.id = id;
	client->who = who;
	client->account = account;
	client->active = core->now;
	client->last = &client->notices;
	account_take(&core->accounts, account, CLIENTS);
	table_add(&core->clients, client);
	return client;
}

static bool is_idle(const struct client *client)
{
	return !client->leases && !client->nr_asked && !client->dropped &&
	       account_pooled(client->account, CLIENTS);
}

/*
 * The client that has been idle longest, of the user that uses most of the pool.
 * NULL: no user uses more than the newcomer would.
 */
static struct client *find_victim(const struct core *core, const struct account *newcomer)
{
	uint64_t most = account_pooled(newcomer, CLIENTS) + 1;
	struct client *victim = NULL;

	for (size_t i = 0; i < core->clients.nr; i++) {
		struct client *client = core->clients.items[i];
		uint64_t pooled = account_pooled(client->account, CLIENTS);

		if (!is_idle(client) || pooled <= most ||
		    (victim && (pooled < account_pooled(victim->account, CLIENTS) ||
				(pooled == account_pooled(victim->account, CLIENTS) &&
				 client->active >= victim->active))))
			continue;
		victim = client;
	}
	return victim;
}

/*
 * A connection that is evicted stays on its account until the kernel has nothing left
 * of it.  It is not chosen again meanwhile, so each one makes room for one newcomer
 * only.
 */
void connect_request(struct core *core, const struct event *event)
{
	struct account *account = account_of(&core->accounts, core->catalogue, event->user);
	struct client *victim = NULL;
	enum answer refused = ANSWER_DONE;

	if (!account) {
		refused = ANSWER_NO_MEMORY;
	} else if (!account_may(&core->accounts, account, CLIENTS)) {
		if (account->used[CLIENTS] < core->accounts.per_user[CLIENTS])
			victim = find_victim(core, account);
		if (!victim)
			refused = ANSWER_LIMIT;
	}
	if (account)
		account_done(&core->accounts, account);
	if (!refused && !connect_add(core, event->client, event->user, event->who))
		refused = ANSWER_NO_MEMORY;
	if (refused)
		EMIT(core, EFFECT_DROP, .client = event->client, .answer = refused);
	else if (victim) {
		connect_dropped(core, victim);
		EMIT(core, EFFECT_DROP, .client = victim->r.id, .answer = ANSWER_EVICTED);
	}
}

void connect_dropped(struct core *core, struct client *client)
{
	if (client->dropped)
		return;
	client->dropped = true;
	notify_stop(core, client);
	end_all_of(core, client);
}

void connect_gone(struct core *core, struct client *client)
{
	connect_dropped(core, client);
	if (client->greeted)
		EMIT(core, EFFECT_FORGET_CLIENT, .client = client->r.id);
	table_remove(&core->clients, client);
	account_give_back(&core->accounts, client->account, CLIENTS);
	free(client);
}
