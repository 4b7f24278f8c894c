/* SPDX-License-Identifier: MIT */
/* Counts since the start of the process, for metrics. */
#ifndef SHELL_COUNTERS_H
#define SHELL_COUNTERS_H

#include "core/effect.h"

#define NR_ENDS		(END_TIMEOUT + 1)
#define NR_ANSWERS	(ANSWER_EVICTED + 1)

struct counters {
	uint64_t granted;
	uint64_t ended[NR_ENDS];
	uint64_t refused[NR_ANSWERS];	/* requests refused, and connections dropped */
	uint64_t lost;			/* devices */
};

/* Counts an effect. */
void counters_add(struct counters *counters, const struct effect *effect);

#endif
