/* SPDX-License-Identifier: MIT */
/* Effects of the core become messages. */
#ifndef PROTOCOL_ENCODE_H
#define PROTOCOL_ENCODE_H

#include "core/effect.h"
#include "core/event.h"
#include "protocol/packet.h"

/*
 * EFFECT_REPLY.  @request: the event that has this effect.  @admin: from
 * core_is_admin(), for the answer to a hello.
 */
void encode_reply(struct packet *packet, const struct effect *effect,
		  const struct event *request, bool admin);
/* EFFECT_SEND. */
void encode_send(struct packet *packet, const struct effect *effect);
/* The answer to a reload that succeeded. */
void encode_reloaded(struct packet *packet, uint64_t serial);
/* An error that does not come from the core.  The text is cut if it is too long. */
void encode_error(struct packet *packet, uint64_t serial, enum vdp_error_code code,
		  const char *format, ...) __attribute__((format(printf, 4, 5)));

#endif
