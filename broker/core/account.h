/* SPDX-License-Identifier: MIT */
/*
 * What each user uses of the resources.  The places that are kept for a user are
 * always available to it.  What it uses beyond them comes out of a pool that all
 * users share.
 */
#ifndef CORE_ACCOUNT_H
#define CORE_ACCOUNT_H

#include "catalogue.h"
#include "table.h"

struct account {
	uint64_t user;
	uint64_t used[NR_RESOURCES];
	uint64_t kept[NR_RESOURCES];
};

struct accounts {
	struct table table;
	uint64_t pool[NR_RESOURCES];		/* places in it */
	uint64_t pool_used[NR_RESOURCES];
	uint64_t per_user[NR_RESOURCES];
};

/* Sets the limits of a catalogue.  They can be lower than what is used. */
void accounts_set(struct accounts *accounts, const struct catalogue *catalogue);
/* Finds or creates the user's account.  NULL: no memory. */
struct account *account_of(struct accounts *accounts, const struct catalogue *catalogue,
			   uint64_t user);
bool account_may(const struct accounts *accounts, const struct account *account,
		 enum resource resource);
void account_take(struct accounts *accounts, struct account *account, enum resource resource);
void account_give_back(struct accounts *accounts, struct account *account,
		       enum resource resource);
/* The same for several places at once, of an account that also has another resource. */
bool account_may_more(const struct accounts *accounts, const struct account *account,
		      enum resource resource, uint64_t places);
void account_take_more(struct accounts *accounts, struct account *account,
		       enum resource resource, uint64_t places);
void account_give_more_back(struct accounts *accounts, struct account *account,
			    enum resource resource, uint64_t places);
/* Forgets an account that uses nothing. */
void account_done(struct accounts *accounts, struct account *account);
/* The number of the pool's places that the account uses. */
uint64_t account_pooled(const struct account *account, enum resource resource);
void accounts_free(struct accounts *accounts);

#endif
