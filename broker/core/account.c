/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "account.h"

/* The limits while there is no catalogue.  Administrators need connections to correct that. */
#define CLIENTS_WITHOUT_CATALOGUE	64
#define PER_USER_WITHOUT_CATALOGUE	4
/* Of these, kept for root, so that it can reload the configuration. */
#define KEPT_WITHOUT_CATALOGUE		4

uint64_t account_pooled(const struct account *account, enum resource resource)
{
	return account->used[resource] > account->kept[resource] ?
	       account->used[resource] - account->kept[resource] : 0;
}

static void set_kept(struct account *account, const struct catalogue *catalogue)
{
	for (int r = 0; r < NR_RESOURCES; r++)
		account->kept[r] = 0;
	if (!catalogue && !account->user)
		account->kept[CLIENTS] = KEPT_WITHOUT_CATALOGUE;
	for (size_t i = 0; catalogue && i < catalogue->nr_kept; i++)
		if (catalogue->kept[i].user == account->user)
			for (int r = 0; r < NR_RESOURCES; r++)
				account->kept[r] = catalogue->kept[i].places[r];
}

static void set_limits(struct accounts *accounts, const struct catalogue *catalogue)
{
	for (int r = 0; r < NR_RESOURCES; r++) {
		accounts->pool[r] = catalogue->total[r];
		accounts->per_user[r] = catalogue->per_user[r];
		for (size_t i = 0; i < catalogue->nr_kept; i++)
			accounts->pool[r] -= catalogue->kept[i].places[r];
	}
}

void accounts_set(struct accounts *accounts, const struct catalogue *catalogue)
{
	accounts->pool[CLIENTS] = CLIENTS_WITHOUT_CATALOGUE - KEPT_WITHOUT_CATALOGUE;
	accounts->per_user[CLIENTS] = PER_USER_WITHOUT_CATALOGUE;
	if (catalogue)
		set_limits(accounts, catalogue);
	for (int r = 0; r < NR_RESOURCES; r++)
		accounts->pool_used[r] = 0;
	for (size_t i = 0; i < accounts->table.nr; i++) {
		struct account *account = accounts->table.items[i];

		set_kept(account, catalogue);
		for (int r = 0; r < NR_RESOURCES; r++)
			accounts->pool_used[r] += account_pooled(account, r);
	}
}

struct account *account_of(struct accounts *accounts, const struct catalogue *catalogue,
			   uint64_t user)
{
	struct account *account = table_find(&accounts->table, user);

	if (account || !table_reserve(&accounts->table, 1))
		return account;
	account = calloc(1, sizeof(*account));
	if (!account)
		return NULL;
	account->user = user;
	set_kept(account, catalogue);
	table_add(&accounts->table, account);
	return account;
}

bool account_may(const struct accounts *accounts, const struct account *account,
		 enum resource resource)
{
	if (account->used[resource] < account->kept[resource])
		return true;
	return account->used[resource] < accounts->per_user[resource] &&
	       accounts->pool_used[resource] < accounts->pool[resource];
}

void account_take(struct accounts *accounts, struct account *account, enum resource resource)
{
	account->used[resource]++;
	if (account->used[resource] > account->kept[resource])
		accounts->pool_used[resource]++;
}

void account_give_back(struct accounts *accounts, struct account *account,
		       enum resource resource)
{
	if (account->used[resource] > account->kept[resource])
		accounts->pool_used[resource]--;
	account->used[resource]--;
	account_done(accounts, account);
}

bool account_may_more(const struct accounts *accounts, const struct account *account,
		      enum resource resource, uint64_t places)
{
	uint64_t used = account->used[resource] + places;
	uint64_t pooled = used > account->kept[resource] ? used - account->kept[resource] : 0;

	/* Both the limits and what is asked for are far below the range of the type. */
	if (!pooled)
		return true;
	return used <= accounts->per_user[resource] &&
	       accounts->pool_used[resource] - account_pooled(account, resource) + pooled <=
	       accounts->pool[resource];
}

static void set_used(struct accounts *accounts, struct account *account, enum resource resource,
		     uint64_t used)
{
	accounts->pool_used[resource] -= account_pooled(account, resource);
	account->used[resource] = used;
	accounts->pool_used[resource] += account_pooled(account, resource);
}

void account_take_more(struct accounts *accounts, struct account *account,
		       enum resource resource, uint64_t places)
{
	set_used(accounts, account, resource, account->used[resource] + places);
}

void account_give_more_back(struct accounts *accounts, struct account *account,
			    enum resource resource, uint64_t places)
{
	set_used(accounts, account, resource, account->used[resource] - places);
}

void account_done(struct accounts *accounts, struct account *account)
{
	for (int r = 0; r < NR_RESOURCES; r++)
		if (account->used[r])
			return;
	table_remove(&accounts->table, account);
	free(account);
}

void accounts_free(struct accounts *accounts)
{
	for (size_t i = 0; i < accounts->table.nr; i++)
		free(accounts->table.items[i]);
	table_free(&accounts->table);
}
