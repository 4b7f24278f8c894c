/* SPDX-License-Identifier: MIT */
/*
 * A client of the broker, in a process and of a user of its own, that acquires a
 * slice, maps it, reads and writes it, and releases it, over and over.
 */
#ifndef TESTS_HONEST_H
#define TESTS_HONEST_H

#include <sys/types.h>

struct honest;

/* Connects and begins. @slice belongs to an edu device, and no other client leases it. */
struct honest *honest_start(uid_t uid, const char *slice);
/* Returns after this number of further rounds. The test fails if one fails. */
void honest_wait(struct honest *honest, unsigned int rounds);
/*
 * Seconds that a round of the next @rounds takes.  It is the lower quartile,
 * because other processes only make it longer.
 */
double honest_measure(struct honest *honest, unsigned int rounds);
/* Pauses it, and lets it continue. */
void honest_stop(struct honest *honest);
void honest_continue(struct honest *honest);
/* Ends it after a round; the test fails if any round has failed. */
void honest_end(struct honest *honest);

#endif
