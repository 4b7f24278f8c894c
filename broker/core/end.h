/* SPDX-License-Identifier: MIT */
/*
 * The end of a lease: the revoke, then the on-release actions, then its memory is
 * unmapped and freed, then its bytes are free.  If one of these fails, the device is
 * lost: it is closed, then the memory is unmapped.
 */
#ifndef CORE_END_H
#define CORE_END_H

#include "machine.h"

/* Begins the end, if it has not begun. */
void end_begin(struct core *core, struct lease *lease, enum end why);
/* Continues an end that began before the buffer's id was known, or in a former process. */
void end_go_on(struct core *core, struct lease *lease);
/*
 * The lease is over: no process can access the device through it, the actions are done
 * or the device is closed, and the device cannot access its memory.
 */
void end_complete(struct core *core, struct lease *lease);
/* Results of the worker. */
void end_revoked(struct core *core, struct lease *lease, bool ok);
void end_acted(struct core *core, struct lease *lease, bool ok);
void end_unmapped(struct core *core, struct lease *lease, bool ok);
/* Forgets a lease that has ended, if every client concerned knows. */
void end_forget(struct core *core, struct lease *lease);
/* Ends all leases of a client that is no longer served. */
void end_all_of(struct core *core, struct client *client);

#endif
