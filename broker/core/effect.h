/* SPDX-License-Identifier: MIT */
/* What the core wants done, in the order in which it emits effects. */
#ifndef CORE_EFFECT_H
#define CORE_EFFECT_H

#include "record.h"

enum effect_type {
	/* The state. */
	EFFECT_SAVE_START,	/* start */
	EFFECT_SAVE_CLIENT,	/* saved_client */
	EFFECT_SAVE_LEASE,	/* saved_lease */
	EFFECT_SAVE_DEVICE,	/* saved_device */
	EFFECT_FORGET_CLIENT,	/* client */
	EFFECT_FORGET_LEASE,	/* lease */
	EFFECT_FORGET_DEVICE,	/* bdf */
	/* Connections. */
	EFFECT_KEEP,		/* client: its connection must outlive this process */
	EFFECT_REPLY,		/* client, serial, answer, lease, seconds; there is room for it */
	EFFECT_SEND,		/* client, message, saved_lease, suspended, news; EVENT_SENT follows */
	EFFECT_DROP,		/* client, answer; EVENT_GONE follows when nothing is left of it */
	/* Jobs of a device's worker, one after another.  An event follows each. */
	EFFECT_OPEN,		/* device, bdf; also puts the fd into the fd store */
	EFFECT_PREPARE,		/* device: runs the on-release actions of all slices */
	EFFECT_EXPORT,		/* device, saved_lease; also allocates and maps its memory */
	EFFECT_REVOKE,		/* device, lease or 0, buffer */
	EFFECT_ACT,		/* device, saved_lease, reset */
	EFFECT_UNMAP,		/* device, saved_lease: its memory is unmapped and freed */
	EFFECT_CLOSE,		/* device, bdf; takes the fd out of the fd store first */
	/* The rest. */
	EFFECT_TIMER,		/* time: EVENT_TIME then, or earlier */
	EFFECT_LOG,		/* log, and its subject */
};

enum answer {
	ANSWER_DONE,
	ANSWER_WAITING,		/* lease: its outcome is sent later */
	ANSWER_NO_SLICE,
	ANSWER_BUSY,
	ANSWER_INVALID,
	ANSWER_LIMIT,
	ANSWER_MEMORY_LIMIT,
	ANSWER_NO_LEASE,
	ANSWER_FORBIDDEN,
	ANSWER_DEVICE,
	ANSWER_NO_MEMORY,
	ANSWER_NO_CATALOGUE,	/* the configuration has mistakes: nothing new is granted */
	ANSWER_EVICTED,		/* of EFFECT_DROP: another user needs the place */
};

enum message {
	MESSAGE_GRANT,		/* with the fds */
	MESSAGE_STATE,		/* a client that does not know the lease releases it */
	MESSAGE_END,		/* can answer an acquire, a release or a revoke of @client */
	MESSAGE_NEWS,		/* to a client that watches: news; serial of its request */
};

enum log {
	LOG_GRANTED,
	LOG_ENDED,
	LOG_DENIED,
	LOG_DEVICE_OPEN,
	LOG_DEVICE_LOST,	/* why */
	LOG_DEVICE_ABSENT,
};

struct effect {
	enum effect_type type;
	uint64_t client, serial, lease, buffer, time, start;
	uint32_t device;
	uint32_t seconds;
	enum answer answer;
	enum message message;
	enum log log;
	bool reset, suspended;
	const char *bdf;
	const char *why;
	const struct lease_record *saved_lease;
	const struct client_record *saved_client;
	const struct device_record *saved_device;
	const struct news *news;
};

#endif
