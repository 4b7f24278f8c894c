/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <stdlib.h>
#include <sys/timerfd.h>

#include "protocol/encode.h"
#include "shell/effects.h"
#include "shell/journal.h"
#include "shell/shell.h"
#include "state/store.h"

static void save(struct shell *shell, const struct effect *effect)
{
	/* Memory was reserved.  A broker that cannot save must not continue. */
	if (state_save(shell->state, effect)) {
		journal_line(LOG_CRIT, "the state cannot be saved: %m");
		abort();
	}
}

static void reply(struct shell *shell, const struct effect *effect)
{
	struct packet packet;

	encode_reply(&packet, effect, &shell->request->event,
		     core_is_admin(shell->core, effect->client));
	/* If this fails, the connection ends. */
	connections_reply(shell->connections, effect->client, packet.body.bytes, packet.size);
}

static void send_message(struct shell *shell, const struct effect *effect)
{
	struct packet packet;
	int fds[LEASE_FDS];

	encode_send(&packet, effect);
	if (packet.nr_fds && !devices_take_fds(shell->devices, effect->lease, fds)) {
		connections_drop(shell->connections, effect->client, "the fds of its slice are missing");
		return;
	}
	connections_send(shell->connections, effect->client, packet.body.bytes, packet.size, fds,
			 packet.nr_fds);
}

static const char *why_dropped(enum answer answer)
{
	switch (answer) {
	case ANSWER_EVICTED:
		return "it was idle, and another user needs the place";
	case ANSWER_NO_MEMORY:
		return "there is no memory";
	default:
		return "there are too many connections";
	}
}

static void set_timer(const struct shell *shell, uint64_t time)
{
	const struct itimerspec at = {
		.it_value = { time / 1000000, time % 1000000 * 1000 + 1 },
	};

	timerfd_settime(shell->timer, TFD_TIMER_ABSTIME, &at, NULL);
}

void effects_carry_out(void *data, const struct effect *effect)
{
	struct shell *shell = data;

	counters_add(&shell->counters, effect);
	switch (effect->type) {
	case EFFECT_FORGET_CLIENT:
		save(shell, effect);
		store_remove_client(effect->client);
		break;
	case EFFECT_FORGET_DEVICE:
		save(shell, effect);
		absences_end(&shell->absences, effect->device);
		break;
	case EFFECT_SAVE_START:
	case EFFECT_SAVE_CLIENT:
	case EFFECT_SAVE_LEASE:
	case EFFECT_SAVE_DEVICE:
	case EFFECT_FORGET_LEASE:
		save(shell, effect);
		break;
	case EFFECT_KEEP:
		/* The store has it already; see requests.c. */
		connections_set_greeted(shell->connections, effect->client);
		break;
	case EFFECT_REPLY:
		reply(shell, effect);
		break;
	case EFFECT_SEND:
		send_message(shell, effect);
		break;
	case EFFECT_DROP:
		connections_drop(shell->connections, effect->client, why_dropped(effect->answer));
		break;
	case EFFECT_TIMER:
		set_timer(shell, effect->time);
		break;
	case EFFECT_LOG:
		journal_effect(shell, effect);
		break;
	default:
		devices_do(shell->devices, effect);
	}
}
