/* SPDX-License-Identifier: MIT */
#include <stddef.h>
#include <vfio-dmabuf-protocol.h>
#include <vfio-dmabuf.h>

#include "common/names.h"

#define PICK(names, i)	((i) < sizeof(names) / sizeof((names)[0]) ? (names)[i] : NULL)

const char *state_name(unsigned int state)
{
	static const char *const names[] = {
		[VDB_STATE_LIVE] = "live", [VDB_STATE_SUSPENDED] = "suspended",
		[VDB_STATE_REVOKED] = "revoked",
	};

	return PICK(names, state) ?: "unknown";
}

const char *device_phase_name(unsigned int phase)
{
	static const char *const names[] = {
		[VDP_DEVICE_ABSENT] = "absent", [VDP_DEVICE_OPENING] = "opening",
		[VDP_DEVICE_SETTLING] = "settling", [VDP_DEVICE_OPEN] = "open",
		[VDP_DEVICE_CLOSING] = "closing",
	};

	return PICK(names, phase) ?: "unknown";
}

const char *lease_phase_name(unsigned int phase)
{
	static const char *const names[] = {
		[VDP_LEASE_WAITING] = "waiting", [VDP_LEASE_EXPORTING] = "exporting",
		[VDP_LEASE_GRANTED] = "granted", [VDP_LEASE_ENDING] = "ending",
		[VDP_LEASE_ENDED] = "ended",
	};

	return PICK(names, phase) ?: "unknown";
}

static const struct {
	const char *name, *text;
} ends[] = {
	[VDP_END_RELEASED] = { "released", "released by its client" },
	[VDP_END_EXPIRED] = { "expired", "its time is over" },
	[VDP_END_REVOKED] = { "revoked", "revoked by an administrator or a new configuration" },
	[VDP_END_DEVICE] = { "device", "the device is lost" },
	[VDP_END_CLIENT] = { "client", "its client has disconnected" },
	[VDP_END_UNSENT] = { "unsent", "it could not be sent" },
	[VDP_END_EXPORT] = { "export", "it could not be exported" },
	[VDP_END_BUSY] = { "busy", "it is granted to others" },
	[VDP_END_TIMEOUT] = { "timeout", "it was not free in time" },
};

#define NR_ENDS	(sizeof(ends) / sizeof(ends[0]))

const char *end_name(unsigned int end)
{
	return end < NR_ENDS ? ends[end].name : NULL;
}

const char *end_text(unsigned int end)
{
	return end < NR_ENDS ? ends[end].text : NULL;
}
