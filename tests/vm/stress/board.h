/* SPDX-License-Identifier: MIT */
/*
 * The shared data of all processes of the stress: the devices, the slots that slices
 * are made of, the workers' present operations, the counts, and the first failure.
 *
 * A slot is a part of a BAR. It is exported repeatedly.  Each export is a generation of
 * it, and has a number.  At most one generation can be accessed at a time: the next is
 * exported only after the one before is revoked.
 */
#ifndef STRESS_BOARD_H
#define STRESS_BOARD_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "operations.h"
#include "page.h"

#define NR_CLIENTS		5
#define NR_IMPORTERS		2
#define NR_OWNERS		4
#define NR_STRESS_DEVICES	5
#define NR_SLOTS		17

/* Workers: clients, importers, three threads for each device, and the sleeper. */
#define WORKER_CLIENT		0
#define WORKER_IMPORTER		(WORKER_CLIENT + NR_CLIENTS)
#define WORKER_DEVICE		(WORKER_IMPORTER + NR_IMPORTERS)
#define THREADS_OF_DEVICE	3
#define WORKER_SLEEPER		(WORKER_DEVICE + THREADS_OF_DEVICE * NR_STRESS_DEVICES)
#define NR_WORKERS		(WORKER_SLEEPER + 1)

/* The disturbances of a device. */
#define DOES_MEMORY	(1 << 0)
#define DOES_D3		(1 << 1)
#define DOES_LOW_POWER	(1 << 2)
#define DOES_RESET	(1 << 3)
#define DOES_FLR	(1 << 4)
#define DOES_SYSFS	(1 << 5)
#define DOES_HOT	(1 << 6)
#define DOES_REOPEN	(1 << 7)
#define DOES_UNBIND	(1 << 8)
#define DOES_REMOVE	(1 << 9)

struct stress_device {
	const char *name;
	unsigned int owner;	/* devices of one group have one */
	unsigned int does;
	unsigned int bar;
	/* Suspensions that have begun, and that have ended. */
	_Atomic uint32_t begun, ended;
};

struct slot {
	unsigned int device;
	uint64_t offset;	/* in the BAR */
	uint32_t pages;
	bool importers;		/* get slices, too */
	/* Memory shows the slot's stamp; a register at @at always reads as @expected. */
	bool memory;
	uint32_t at, expected;

	/* Generations; each of these only grows. */
	_Atomic uint32_t exported;	/* the newest */
	_Atomic uint32_t ending;	/* a revocation of it may have begun */
	_Atomic uint32_t contested;	/* another thread than its exporter can revoke it, too */
	_Atomic uint32_t dead;		/* a revocation of it has returned */
	_Atomic uint32_t stamping;	/* some pages may have its stamp, others not yet */
	_Atomic uint64_t accessed;	/* when the newest was last reached by a client */
};

/* A slice of a slot, as it is passed to a client along with its fd. */
struct loan {
	uint32_t slot;
	uint32_t generation;
	uint64_t size;
	bool read_only;
};

struct worker {
	_Atomic pid_t pid, tid;
	_Atomic int op;
	_Atomic uint64_t since;	/* ns; 0 if its operation cannot hang */
};

enum failure {
	FAILED_STALE,		/* an access after revoke had returned */
	FAILED_THROUGH,		/* an access that a suspended device answered */
	FAILED_REFUSED,		/* no access, without a reason */
	FAILED_ERRNO,
	FAILED_HANG,
	FAILED_OTHER,
	NR_FAILURES
};

struct board {
	uint64_t seed;
	bool ids;	/* the driver lists buffers and finds them by id */
	bool importers;
	bool still;		/* the machine's memory map must not change */
	_Atomic bool stop;
	/* Held for writing by a rescan, and for reading by what resets or suspends. */
	pthread_rwlock_t bus;
	_Atomic uint32_t rescans;	/* begun and ended: odd while there is one */
	_Atomic uint64_t rescanned;	/* when the last one ended */
	_Atomic uint64_t counts[NR_OPERATIONS];
	_Atomic uint64_t in_use;	/* revocations that met an access within 5 ms */
	_Atomic uint64_t revocations;
	_Atomic uint32_t failures[NR_FAILURES];
	_Atomic bool failed;
	char failure[1024];
	struct slot slots[NR_SLOTS];
	struct stress_device devices[NR_STRESS_DEVICES];
	struct worker workers[NR_WORKERS];
};

extern struct board *board;

void board_create(uint64_t seed);
/* For a new driver: all generations have ended. */
void board_forget_slices(void);

uint64_t board_now(void);	/* ns */

/* Ends the run. The text of the first failure is kept. */
void board_fail(enum failure kind, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
const char *failure_name(enum failure kind);

/* Moves a generation number forward, never back. */
void generation_reach(_Atomic uint32_t *generation, uint32_t to);

/*
 * When the kernel rescans the bus it configures bridges again.  For a moment all
 * devices below them read as 0 or all ones, and lose writes, with any driver.  If a bus
 * reset happens at that time, these devices even lose their BARs, until VFIO restores
 * them ("reset recovery").  So there is @bus.
 */
void rescan_begin(void);
void rescan_end(void);
/* Whether there is a rescan, or has just been one. */
bool rescan_lately(void);

/* A device is suspended, or may be, between these. */
void suspension_begin(unsigned int device);
void suspension_end(unsigned int device);
/* For suspension_none(), before the access that it judges. */
uint32_t suspension_mark(unsigned int device);
/* Whether no suspension has touched the device since the mark was made. */
bool suspension_none(unsigned int device, uint32_t mark);

#endif
