/* SPDX-License-Identifier: MIT */
#include "shell/counters.h"

static void add_logged(struct counters *counters, const struct effect *effect)
{
	switch (effect->log) {
	case LOG_GRANTED:
		counters->granted++;
		break;
	case LOG_ENDED:
		counters->ended[effect->saved_lease->end]++;
		break;
	case LOG_DEVICE_LOST:
		counters->lost++;
		break;
	default:
		break;
	}
}

void counters_add(struct counters *counters, const struct effect *effect)
{
	switch (effect->type) {
	case EFFECT_REPLY:
		if (effect->answer == ANSWER_DONE || effect->answer == ANSWER_WAITING)
			break;
		/* fallthrough */
	case EFFECT_DROP:
		counters->refused[effect->answer]++;
		break;
	case EFFECT_LOG:
		add_logged(counters, effect);
		break;
	default:
		break;
	}
}
