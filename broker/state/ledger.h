/* SPDX-License-Identifier: MIT */
/*
 * Records in a file that the process maps.  What is written outlives the process, and
 * needs no system call.
 *
 * A record is a CBOR map.  Its first pair is its type, its second one its key.  A
 * later record with the same two replaces an earlier one.  If it has no other pairs,
 * it removes the earlier one.
 *
 * The file has two halves: one has the log, the other is free.  When the half is full,
 * the live records are copied into the other one.  Each change takes effect with a
 * single store, so a process that dies at any point leaves the state before or after
 * the change.
 */
#ifndef STATE_LEDGER_H
#define STATE_LEDGER_H

#include "cbor.h"
#include "index.h"

struct ledger {
	int fd;			/* a memfd; the ledger owns it */
	uint8_t *map;
	size_t half;		/* bytes of each half */
	size_t begin, end;	/* of the log, in the file */
	size_t live;		/* bytes of records that are not replaced */
	struct index index;
};

/* A new one, empty; NULL with errno. */
struct ledger *ledger_new(void);
/* Loads a file, and takes ownership of it if it succeeds.  NULL with errno; EBADMSG: damaged. */
struct ledger *ledger_load(int fd);
void ledger_free(struct ledger *ledger);

/* More than all fields take together that are left out while they are 0. */
#define LEDGER_GROWTH	256

/*
 * Makes room for @records more, of @bytes together.  Then these can be appended, and
 * each record of the log can be replaced by one of up to twice its size and LEDGER_GROWTH
 * bytes more, any number of times, and removed.  -1 with errno: no memory; nothing has changed.  This is the only
 * function that makes system calls.
 */
int ledger_reserve(struct ledger *ledger, size_t bytes, size_t records);

struct key ledger_key(const void *bytes, size_t size);
struct slot *ledger_find(const struct ledger *ledger, const struct key *key);
/* The record's map. */
struct reader ledger_body(const struct ledger *ledger, const struct slot *slot);

/* Where to write the map of the next record. */
struct writer ledger_writer(const struct ledger *ledger);
/*
 * Appends what was written there, up to @end.  The same bytes as in @key begin @key_at
 * bytes after the start of the map.  @slot: what ledger_find() returns for @key; a slot
 * stays unknown.  @removes: the map has no other pairs.  -1 with errno; ENOSPC: it was
 * not reserved.
 */
int ledger_append(struct ledger *ledger, const uint8_t *end, size_t key_at, const struct key *key,
		  struct slot *slot, bool removes);
/* Copies the live records to the other half.  -1 with errno; ENOSPC: it was not reserved. */
int ledger_compact(struct ledger *ledger);

#endif
