/* SPDX-License-Identifier: MIT */
/* The operations of the mix: their names, numbers, counts and times. */
#ifndef STRESS_OPERATIONS_H
#define STRESS_OPERATIONS_H

#define OPERATIONS(_)			\
	/* the owner's slices */	\
	_(EXPORT, "export")		\
	_(PASS, "pass")			\
	_(MEMATTR, "memattr")		\
	_(REVOKE_FD, "revoke by fd")	\
	_(REVOKE_ID, "revoke by id")	\
	_(REVOKE_AGAIN, "revoke again")	\
	_(DROP_FD, "owner closes fd")	\
	_(STAMP, "stamp")		\
	_(EVENTS, "events")		\
	_(LIST, "list")			\
	_(INFO, "info")			\
	_(BAR_MAP, "BAR mapping")	\
	/* the device */		\
	_(MEMORY, "memory off and on")	\
	_(D3, "D3 and D0")		\
	_(LOW_POWER, "low power entry and exit") \
	_(RESET, "VFIO_DEVICE_RESET")	\
	_(FLR, "FLR by config")		\
	_(SYSFS_RESET, "sysfs reset")	\
	_(HOT_RESET, "hot reset")	\
	_(HOT_RESET_BUSY, "hot reset refused (EBUSY, EAGAIN)") \
	_(REOPEN, "close and reopen")	\
	_(UNBIND, "unbind and rebind")	\
	_(REMOVE, "remove and rescan")	\
	_(SLEEP_FREEZER, "system sleep, freezer") \
	_(SLEEP_DEVICES, "system sleep, devices") \
	_(RELOAD, "module reload")	\
	/* clients */			\
	_(RECEIVE, "receive")		\
	_(MAP, "map")			\
	_(READ, "reads")		\
	_(WRITE, "writes")		\
	_(REFUSED, "accesses refused (SIGBUS)") \
	_(FORK, "fork")			\
	_(EXEC, "exec")			\
	_(THREADS, "threads")		\
	_(MREMAP, "mremap")		\
	_(MPROTECT, "mprotect")		\
	_(MADVISE, "madvise DONTNEED")	\
	_(MUNMAP, "munmap")		\
	_(CLOSE, "client closes fd")	\
	_(EXIT, "exit")			\
	_(KILL, "SIGKILL")		\
	/* importers */			\
	_(ATTACH, "attach")		\
	_(DMA_MAP, "map for DMA")	\
	_(DMA_WRITE, "DMA write")	\
	_(DMA_READ, "DMA read")		\
	_(DMA_START, "DMA started")	\
	_(DMA_REFUSED, "DMA refused")	\
	_(DMA_UNMAP, "unmap for DMA")	\
	_(DETACH, "detach")

enum operation {
#define _(id, name) OP_##id,
	OPERATIONS(_)
#undef _
	NR_OPERATIONS
};

const char *operation_name(enum operation op);

/* Counts one, or many, that are not timed. */
void operation_count(enum operation op, unsigned int nr);

/* The calling thread is this worker of the board: its operations are timed. */
void operation_worker(unsigned int worker);
/* It is not a worker, but a child of one. */
void operation_worker_none(void);

/* Between the two the watchdog measures the time. */
void operation_begin(enum operation op);
void operation_end(void);
/* The same, but it is not counted. */
void operation_cancel(void);

#endif
