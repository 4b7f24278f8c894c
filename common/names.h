/* SPDX-License-Identifier: MIT */
/*
 * Names of states, phases and ends in output, logs and metrics.  The library, the
 * protocol and the broker's core use the same numbers for them.
 */
#ifndef COMMON_NAMES_H
#define COMMON_NAMES_H

/* State of a slice, enum vdb_state: "live", "suspended", "revoked". */
const char *state_name(unsigned int state);
/* enum vdp_device_phase: "open". */
const char *device_phase_name(unsigned int phase);
/* enum vdp_lease_phase: "granted". */
const char *lease_phase_name(unsigned int phase);
/* enum vdp_end_code: "expired"; NULL: not an end. */
const char *end_name(unsigned int end);
/* The same as text: "its time is over"; NULL: not known here. */
const char *end_text(unsigned int end);

#endif
