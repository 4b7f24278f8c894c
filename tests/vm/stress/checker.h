/* SPDX-License-Identifier: MIT */
/*
 * Accesses through a slice, each of them checked.
 *
 * What makes an access stale: it began after a revocation of its generation had
 * returned.  Two things show it.  Before each access its process looks whether the
 * owner has said so on the board.  And in memory every page carries a stamp, of slot
 * and generation; when a revocation has returned, and not before, the owner puts the
 * next generation's stamp there.  So one who reads a newer stamp than that of his
 * generation was late, and an older stamp than the newest was written too late.
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

/* What a read has brought, by a reader of this generation; @who for the failure. */
bool check_value(uint32_t slot, uint32_t generation, uint32_t value, const char *who);

/*
 * One access by a client, to any word of a page of the slice that holds the stamp or
 * register: whether it worked.
 */
bool checked_read(const struct loan *loan, const void *address);
bool checked_write(const struct loan *loan, void *address);

/* Whether the generation had been revoked; to be asked before what must fail then. */
bool generation_dead(const struct loan *loan);
/* Whether ENODEV is right for it now. */
bool generation_ending(const struct loan *loan);

#endif
