// SPDX-License-Identifier: MIT
/* The operations of the mix: their names, counts and times. */
#define _GNU_SOURCE
#include "operations.h"

#include <unistd.h>

#include "board.h"

static const char *const names[] = {
#define _(id, name) [OP_##id] = name,
	OPERATIONS(_)
#undef _
};

static __thread struct worker *self;

const char *operation_name(enum operation op)
{
	return names[op];
}

void operation_count(enum operation op, unsigned int nr)
{
	board->counts[op] += nr;
}

void operation_worker(unsigned int worker)
{
	self = &board->workers[worker];
	self->since = 0;
	self->pid = getpid();
	self->tid = gettid();
}

void operation_worker_none(void)
{
	self = NULL;
}

void operation_begin(enum operation op)
{
	if (!self)
		return;
	self->op = op;
	self->since = board_now();
}

void operation_end(void)
{
	if (!self || !self->since)
		return;
	operation_count(self->op, 1);
	self->since = 0;
}

void operation_cancel(void)
{
	if (self)
		self->since = 0;
}
