/* SPDX-License-Identifier: MIT */
/*
 * Accesses through a slice, each of them checked.
 *
 * An access is stale if it begins after a revocation of its generation has returned.
 * Two checks detect that.  Before each access the process reads from the board whether
 * the revocation has returned.  And every page of memory has a stamp, of slot and
 * generation.  After a revocation has returned, and not before, the owner writes the
 * next generation's stamp.  So a read of a newer stamp than that of its generation is
 * stale, and so was the write of an older stamp than the newest.
 */
#ifndef STRESS_CHECKER_H
#define STRESS_CHECKER_H

#include <stdbool.h>
#include <stdint.h>

#include "board.h"

/* Signals of accesses come back as their results, in each thread. */
void checker_catch_signals(void);

/* 0, or the signal that it got. */
int checker_peek(const void *address, uint32_t *value);
int checker_poke(void *address, uint32_t value);

uint32_t stamp_of(uint32_t slot, uint32_t generation);

/* Checks the result of a read by a reader of this generation; @who is for the message. */
bool check_value(uint32_t slot, uint32_t generation, uint32_t value, const char *who);

/*
 * One access by a client, to any word of a page of the slice that holds the stamp or
 * register: whether it worked.
 */
bool checked_read(const struct loan *loan, const void *address);
bool checked_write(const struct loan *loan, void *address);

/* Whether the generation was revoked. Call it before the call that must then fail. */
bool generation_dead(const struct loan *loan);
/* Whether ENODEV is correct for it now. */
bool generation_ending(const struct loan *loan);

#endif
