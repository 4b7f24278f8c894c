/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "flow.h"

#define USEC		1000000ULL
/* An account without connections is kept for this long, so that its buckets are not refilled. */
#define KEEP_ACCOUNT	(60 * USEC)
#define MAX_UNUSED	1024
/*
 * Less than the charge of any message.  While a message is being freed, the kernel
 * still counts one byte of it.
 */
#define NOTHING		256

const struct flow_limits flow_defaults = {
	.user_fds = 32,
	.requests = { .burst = 100, .interval = USEC / 50 },
	.lines = { .burst = 10, .interval = 6 * USEC },
	.hello = 10 * USEC,
};

void flows_init(struct flows *flows, const struct flow_limits *limits)
{
	*flows = (struct flows){ .limits = *limits };
	TAILQ_INIT(&flows->ready);
	TAILQ_INIT(&flows->strange);
	TAILQ_INIT(&flows->idle);
	TAILQ_INIT(&flows->unused);
	LIST_INIT(&flows->throttled);
}

void flows_free(struct flows *flows)
{
	for (size_t i = 0; i < flows->accounts.nr; i++)
		free(flows->accounts.items[i]);
	table_free(&flows->accounts);
}

/* ---- accounts ---- */

static void set_used(struct flows *flows, struct flow_account *account)
{
	TAILQ_REMOVE(&flows->unused, account, entry);
	flows->nr_unused--;
}

static void set_unused(struct flows *flows, struct flow_account *account, uint64_t now)
{
	account->unused = now;
	TAILQ_INSERT_TAIL(&flows->unused, account, entry);
	flows->nr_unused++;
}

/* Finds or creates the account of a user. */
static struct flow_account *account_of_user(struct flows *flows, uint64_t user, uint64_t now)
{
	struct flow_account *account = table_find(&flows->accounts, user);

	if (account || !table_reserve(&flows->accounts, 1))
		return account;
	account = calloc(1, sizeof(*account));
	if (!account)
		return NULL;
	account->user = user;
	TAILQ_INIT(&account->flows);
	TAILQ_INIT(&account->want_fds);
	TAILQ_INIT(&account->want_token);
	table_add(&flows->accounts, account);
	set_unused(flows, account, now);
	return account;
}

bool flows_forget(struct flows *flows, uint64_t now, uint64_t *user, uint32_t *suppressed)
{
	struct flow_account *account = TAILQ_FIRST(&flows->unused);

	if (!account || (now < account->unused + KEEP_ACCOUNT && flows->nr_unused <= MAX_UNUSED))
		return false;
	*user = account->user;
	*suppressed = account->suppressed;
	set_used(flows, account);
	table_remove(&flows->accounts, account);
	free(account);
	return true;
}

bool flows_may_log(struct flows *flows, uint64_t user, uint64_t now, uint32_t *suppressed)
{
	struct flow_account *account = account_of_user(flows, user, now);

	*suppressed = 0;
	if (!account)
		return false;
	if (!bucket_take(&account->lines, &flows->limits.lines, now)) {
		account->suppressed++;
		return false;
	}
	*suppressed = account->suppressed;
	account->suppressed = 0;
	return true;
}

/* ---- lines ---- */

static void make_ready(struct flows *flows, struct flow *flow)
{
	if (flow->ready)
		return;
	flow->ready = true;
	TAILQ_INSERT_TAIL(&flows->ready, flow, of_ready);
}

struct flow *flows_next_ready(struct flows *flows)
{
	struct flow *flow = TAILQ_FIRST(&flows->ready);

	if (!flow)
		return NULL;
	TAILQ_REMOVE(&flows->ready, flow, of_ready);
	flow->ready = false;
	flow->measured = false;
	return flow;
}

static bool is_next(const struct flow_list *line, const struct flow *flow)
{
	const struct flow *first = TAILQ_FIRST(line);

	return !first || first == flow;
}

static void wake_first(struct flows *flows, const struct flow_list *line)
{
	if (!TAILQ_EMPTY(line))
		make_ready(flows, TAILQ_FIRST(line));
}

static void leave_fds_line(struct flows *flows, struct flow *flow)
{
	if (!flow->wants_fds)
		return;
	flow->wants_fds = false;
	TAILQ_REMOVE(&flow->account->want_fds, flow, of_line);
	wake_first(flows, &flow->account->want_fds);
}

static void leave_token_line(struct flows *flows, struct flow *flow)
{
	struct flow_account *account = flow->account;

	if (!flow->wants_token)
		return;
	flow->wants_token = false;
	TAILQ_REMOVE(&account->want_token, flow, of_line);
	if (TAILQ_EMPTY(&account->want_token))
		LIST_REMOVE(account, throttled);
	wake_first(flows, &account->want_token);
}

/* Connections with unread fds are measured, and then waited for. */
static void wait_for_fds(struct flows *flows, struct flow *flow)
{
	struct flow_account *account = flow->account;
	struct flow *other;

	if (flow->wants_fds)
		return;
	flow->wants_fds = true;
	TAILQ_INSERT_TAIL(&account->want_fds, flow, of_line);
	TAILQ_FOREACH(other, &account->flows, of_account)
		if (other->fds)
			make_ready(flows, other);
}

static void wait_for_token(struct flows *flows, struct flow *flow)
{
	struct flow_account *account = flow->account;

	if (flow->wants_token)
		return;
	if (TAILQ_EMPTY(&account->want_token))
		LIST_INSERT_HEAD(&flows->throttled, account, throttled);
	flow->wants_token = true;
	TAILQ_INSERT_TAIL(&account->want_token, flow, of_line);
}

static bool take_token(struct flows *flows, struct flow *flow, uint64_t now)
{
	struct flow_account *account = flow->account;

	if (!flow->paid && is_next(&account->want_token, flow))
		flow->paid = bucket_take(&account->requests, &flows->limits.requests, now);
	if (flow->paid)
		leave_token_line(flows, flow);
	else
		wait_for_token(flows, flow);
	return flow->paid;
}

/* ---- times ---- */

static void leave_time(struct flows *flows, struct flow *flow)
{
	if (flow->timed)
		TAILQ_REMOVE(flow->greeted ? &flows->idle : &flows->strange, flow, of_time);
	flow->timed = false;
}

void flow_stays(struct flows *flows, struct flow *flow, uint64_t now)
{
	leave_time(flows, flow);
	flow->active = now;
	flow->timed = true;
	TAILQ_INSERT_TAIL(flow->greeted ? &flows->idle : &flows->strange, flow, of_time);
}

void flow_greeted(struct flows *flows, struct flow *flow, uint64_t now)
{
	if (flow->greeted || flow->dropped)
		return;
	leave_time(flows, flow);
	flow->greeted = true;
	flow_stays(flows, flow, now);
}

/* Of the first flow of a list. */
static uint64_t deadline(const struct flow_list *list, uint64_t limit)
{
	const struct flow *flow = TAILQ_FIRST(list);

	return flow && limit ? flow->active + limit : UINT64_MAX;
}

struct flow *flows_late(const struct flows *flows, uint64_t now)
{
	if (deadline(&flows->strange, flows->limits.hello) <= now)
		return TAILQ_FIRST(&flows->strange);
	if (deadline(&flows->idle, flows->limits.idle) <= now)
		return TAILQ_FIRST(&flows->idle);
	return NULL;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

uint64_t flows_tick(struct flows *flows, uint64_t now)
{
	const struct flow_account *first = TAILQ_FIRST(&flows->unused), *account;
	uint64_t next = first ? first->unused + KEEP_ACCOUNT : UINT64_MAX;

	next = earlier(next, deadline(&flows->strange, flows->limits.hello));
	next = earlier(next, deadline(&flows->idle, flows->limits.idle));
	LIST_FOREACH(account, &flows->throttled, throttled) {
		uint64_t wait = bucket_wait(&account->requests, &flows->limits.requests, now);

		if (!wait)
			wake_first(flows, &account->want_token);
		next = earlier(next, now + wait);
	}
	return next;
}

/* ---- connections ---- */

int flow_open(struct flows *flows, struct flow *flow, uint64_t user, uint64_t now)
{
	struct flow_account *account = account_of_user(flows, user, now);

	if (!account)
		return -1;
	if (TAILQ_EMPTY(&account->flows))
		set_used(flows, account);
	*flow = (struct flow){ .account = account };
	TAILQ_INSERT_TAIL(&account->flows, flow, of_account);
	flow_stays(flows, flow, now);
	return 0;
}

void flow_inherit(struct flow *flow)
{
	/* The maximum that is possible. It is measured before it matters. */
	flow->unread = FLOW_ROOM;
	flow->fds = 4;
	flow->account->fds += 4;
}

static void set_fds(struct flows *flows, struct flow *flow, uint32_t fds)
{
	if (fds == flow->fds)
		return;
	flow->account->fds += fds - flow->fds;
	flow->fds = fds;
	wake_first(flows, &flow->account->want_fds);
}

void flow_close(struct flows *flows, struct flow *flow, uint64_t now)
{
	struct flow_account *account = flow->account;

	flow_drop(flows, flow);
	set_fds(flows, flow, 0);
	TAILQ_REMOVE(&account->flows, flow, of_account);
	if (flow->ready)
		TAILQ_REMOVE(&flows->ready, flow, of_ready);
	flow->ready = false;
	if (TAILQ_EMPTY(&account->flows))
		set_unused(flows, account, now);
}

void flow_asked(struct flows *flows, struct flow *flow)
{
	flow->asked = true;
	make_ready(flows, flow);
}

void flow_has_read(struct flows *flows, struct flow *flow)
{
	make_ready(flows, flow);
}

void flow_put_in_hand(struct flows *flows, struct flow *flow, uint32_t fds)
{
	flow->in_hand = true;
	flow->hand = fds;
	make_ready(flows, flow);
}

void flow_drop(struct flows *flows, struct flow *flow)
{
	leave_fds_line(flows, flow);
	leave_token_line(flows, flow);
	leave_time(flows, flow);
	flow->in_hand = false;
	flow->dropped = true;
	make_ready(flows, flow);
}

bool flow_has_room(const struct flow *flow)
{
	return !flow->dropped && flow->unread + FLOW_MESSAGE <= FLOW_ROOM;
}

/*
 * A flow that cannot use its turn loses it.  Otherwise others of its user would wait for
 * it, and the loop would not sleep.
 */
static enum flow_step wait_for_reader(struct flows *flows, struct flow *flow)
{
	if (!flow->measured)
		return FLOW_MEASURE;
	leave_token_line(flows, flow);
	return FLOW_AWAIT_READER;
}

static enum flow_step next_message(struct flows *flows, struct flow *flow)
{
	struct flow_account *account = flow->account;

	if (!flow_has_room(flow) || (flow->hand && flow->fds))
		return wait_for_reader(flows, flow);
	if (!flow->hand)
		return FLOW_SEND;
	if (is_next(&account->want_fds, flow) &&
	    account->fds + flow->hand <= flows->limits.user_fds) {
		leave_fds_line(flows, flow);
		return FLOW_SEND;
	}
	/* It is in one line at a time. */
	leave_token_line(flows, flow);
	wait_for_fds(flows, flow);
	return FLOW_AWAIT_TURN;
}

enum flow_step flow_next(struct flows *flows, struct flow *flow, uint64_t now)
{
	if (flow->dropped)
		return flow->measured && !flow->unread ? FLOW_CLOSE : wait_for_reader(flows, flow);
	if (flow->in_hand)
		return next_message(flows, flow);
	if (flow->fds && !TAILQ_EMPTY(&flow->account->want_fds))
		return wait_for_reader(flows, flow);
	if (!flow->asked)
		return FLOW_AWAIT_REQUEST;
	if (flow->fds || !flow_has_room(flow))
		return wait_for_reader(flows, flow);
	return take_token(flows, flow, now) ? FLOW_RECEIVE : FLOW_AWAIT_TURN;
}

void flow_measured(struct flows *flows, struct flow *flow, uint32_t bytes)
{
	flow->unread = bytes < NOTHING ? 0 : bytes;
	flow->measured = true;
	if (!flow->unread)
		set_fds(flows, flow, 0);
}

void flow_answered(struct flow *flow)
{
	flow->unread += FLOW_MESSAGE;
	flow->measured = false;
}

void flow_sent(struct flow *flow, bool sent)
{
	flow->in_hand = false;
	if (!sent)
		return;
	flow_answered(flow);
	flow->fds += flow->hand;
	flow->account->fds += flow->hand;
}

void flow_received(struct flows *flows, struct flow *flow, bool handled, uint64_t now)
{
	flow->asked = false;
	if (!handled || flow->dropped)
		return;
	flow->paid = false;
	/* Other requests do not renew the time for the hello. */
	if (flow->greeted)
		flow_stays(flows, flow, now);
}
