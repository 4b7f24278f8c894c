/* SPDX-License-Identifier: MIT */
#include "device_set.h"
#include "grant.h"
#include "settle.h"
#include "notify.h"

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return !a || (b && b < a) ? b : a;
}

/* A timer that is too early does no harm, so it is set only for an earlier time. */
static void set_timer(struct core *core)
{
	const struct lease *first = deadline_first(&core->deadlines);
	uint64_t time = first ? first->deadline : 0;

	for (size_t i = 0; i < core->nr_devices; i++)
		time = earlier(time, core->devices[i]->deadline);
	if (!time || (core->armed && core->armed <= time))
		return;
	core->armed = time;
	EMIT(core, EFFECT_TIMER, .time = time);
}

void settle(struct core *core)
{
	for (size_t i = core->nr_devices; i--; )
		if (core->devices[i]->failed)
			device_lose(core, core->devices[i], core->devices[i]->failed);
	for (size_t i = core->nr_devices; i--; )
		if (core->devices[i]->changed)
			grant_waiting(core, core->devices[i]);
	notify_continue(core);
	set_timer(core);
}
