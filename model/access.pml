/* SPDX-License-Identifier: MIT */
/*
 * The protocol of module/access.c as a model for Spin: who can reach the
 * device, and when.  README.md in this directory says what it shows and what it
 * leaves out.
 *
 * An inline has the name of the C function that it models; the comment names
 * the file.  Functions of the kernel are marked as such.  Macros choose which
 * processes run and which error is seeded (SEED_...); the file "runs" lists the
 * combinations.
 */

#define PROCESSES	2	/* that may map the buffer */

mtype:entry = { NONE, TABLE, LEAF };
mtype:access = { LIVE, HELD, SUSPENDED, REVOKED, BUSY };

/* The kernel. */
mtype:entry pmd[PROCESSES] = NONE;	/* LEAF: a huge entry, which reaches the device */
bool pte[PROCESSES];		/* an entry in the page table: likewise */
bool pmd_lock[PROCESSES];	/* page table locks, spinlocks */
bool pte_lock[PROCESSES];
bool wipe;			/* VM_WIPEONFORK of process 1, a child of 0 */
bool vma[PROCESSES];		/* the VMA is in the address space's tree */
byte i_mmap_readers;		/* i_mmap_rwsem */
bool i_mmap_writer;
bool resv;			/* the DMABUF's reservation lock, a mutex */
bool listed;			/* the importer is in the DMABUF's list */
byte file_refs;			/* who needs the DMABUF's file: importer, evictions */
bool device_lock;

/* vfio-pci-core. */
byte memory_readers;		/* memory_lock */
bool memory_writer;
bool memory = true;		/* memory enable in the emulated config space */

/*
 * The module.  Its spinlocks buffers_lock, state_lock and events_lock are not
 * modelled: what is done under one of them is a single step here.
 */
bool gate;			/* raw spinlock */
bool revoked, zapped, returned;	/* of the buffer */
bool opened = true;
bool resetting, sleeping;
byte holds;
bool hold_over;			/* the time is later than hold_end */
bool off_reset, off_memory, off_sleep;	/* the bits of dma_off */
byte announced;
byte attached;			/* importers of the buffer */
byte dma_maps;			/* their mappings, also those that are being made */
bool mapped;			/* the importer's device reaches this one */
bool wants;			/* it has tried to map */
bool waiting;			/* its attachment's priv: WAITING */
byte huge_readers;		/* the buffer's huge_lock */
bool huge_writer;
bool asked;			/* the importer must unmap, and can try again */
bool notice;			/* the work "notice" of the buffer is queued */

#define dma_off		(off_reset || off_memory || off_sleep)
#define held		(resetting || sleeping || (holds > 0 && !hold_over))

/*
 * What is checked.
 */
bool revoke_over;		/* it was reported, by a call or an event */
bool gone_memory, gone_reset, gone_sleep;	/* the device has lost its memory */
byte to_finish;			/* calls that have not returned */

#define cpu_reaches(p)	(pmd[p] == LEAF || (pmd[p] == TABLE && pte[p]))
#define reached		(cpu_reaches(0) || cpu_reaches(1) || mapped)
#define gone		(gone_memory || gone_reset || gone_sleep)

/* Set where a property is violated; Spin names the one that it finds. */
bool reached_after_revoke, reached_while_suspended, importer_forgotten;
bool huge_entry_in_the_way, hot_reset_busy, file_gone, importer_keeps, end_not_told;

/* Checks every state. It can only move if a property is violated. */
active proctype judge()
{
end:
	do
	:: d_step { revoke_over && reached ->
		reached_after_revoke = true; assert(!reached_after_revoke) }
	:: d_step { gone && reached ->
		reached_while_suspended = true; assert(!reached_while_suspended) }
#ifdef IMPORTER
	/*
	 * When nothing moves any more, an importer that is allowed to map has mapped,
	 * unless a client prevents that.
	 */
	:: atomic { timeout && to_finish == 0 && attached && !revoked && !dma_off &&
		    wants && !mapped && !resv ->
		importer_forgotten = true; assert(!importer_forgotten) }
	/*
	 * Nor does an importer keep its mapping after a revocation that a signal has
	 * interrupted.
	 */
	:: atomic { timeout && to_finish == 0 && revoked && mapped ->
		importer_keeps = true; assert(!importer_keeps) }
#endif
	:: atomic { timeout && to_finish == 0 && revoked && !revoke_over ->
		end_not_told = true; assert(!end_not_told) }
	od
}

#define must(condition, wrong)	if :: condition :: else -> wrong = true; assert(!wrong) fi

/*
 * A client can stop running for ever where it holds no spinlock, and where it
 * does not change the address space's tree (see README.md).
 */
#ifdef STOP
#define may_stop	if :: true -> goto stopped :: true fi
#else
#define may_stop	skip
#endif

inline lock(l)			{ atomic { !l -> l = true } }
inline unlock(l)		{ l = false }
inline down_read_memory()	{ atomic { !memory_writer -> memory_readers++ } }
inline down_write_memory()	{ atomic { !memory_writer && !memory_readers -> memory_writer = true } }
inline i_mmap_lock_write()	{ atomic { !i_mmap_writer && !i_mmap_readers -> i_mmap_writer = true } }

/* Under gate: no other process is between dvp_access_begin() and dvp_access_end(). */
#define gated(change)	atomic { !gate -> change }

/*
 * Zap.
 */

/* zap_pmd_range() in the kernel takes no lock to see that there is no table. */
inline zap_vma(p)
{
	if
	:: !vma[p] || pmd[p] == NONE
	:: vma[p] && pmd[p] == LEAF ->	/* zap_huge_pmd() */
		lock(pmd_lock[p]);
		atomic { if :: pmd[p] == LEAF -> pmd[p] = NONE :: else fi; unlock(pmd_lock[p]) }
	:: vma[p] && pmd[p] == TABLE ->	/* zap_pte_range() */
		lock(pte_lock[p]);
		atomic { pte[p] = false; unlock(pte_lock[p]) }
	fi
}

/*
 * dvp_zap_buffer() and dvp_zap_device() in mapping.c, vfio_pci_zap_bars() in
 * vfio-pci-core.  The tree has a child's VMA after its parent's.
 */
inline zap()
{
	atomic { !i_mmap_writer -> i_mmap_readers++ };
	zap_vma(0);
	zap_vma(1);
	i_mmap_readers--
}

/*
 * Faults.
 */

/*
 * dvp_access_begin() in access.c: gate, the flags, memory_lock by trylock, the
 * memory.  The flags change under gate only, so testing them is one step.
 */
inline dvp_access_begin()
{
#if !defined(SEED_FAULT_WITHOUT_GATE)
	lock(gate);
#endif
	atomic {
		if
		:: revoked || !opened -> answer = REVOKED
		:: !(revoked || !opened) && held -> answer = HELD
		:: else ->
#ifdef SEED_FAULT_WAITS_FOR_MEMORY_LOCK
			!memory_writer;
#endif
			if
			:: memory_writer -> answer = BUSY
			:: else ->
				if
				:: memory -> answer = LIVE; memory_readers++
				:: else -> answer = SUSPENDED
				fi
			fi
		fi;
#if !defined(SEED_FAULT_WITHOUT_GATE)
		if
		:: answer != LIVE -> unlock(gate)
		:: else
		fi
#endif
	}
}

/* dvp_access_end() in access.c */
inline dvp_access_end()
{
#ifdef SEED_MEMORY_LOCK_LAST
	unlock(gate);
	memory_readers--
#else
	memory_readers--;
#if !defined(SEED_FAULT_WITHOUT_GATE)
	unlock(gate)
#endif
#endif
}

/* insert_ptes() in insert.c, which uses the kernel's apply_to_page_range() */
inline insert_ptes(p)
{
#ifdef HUGE
	atomic { !huge_writer -> huge_readers++ };
	may_stop;
#endif
	if
	:: pmd[p] == LEAF		/* another thread has set it */
	:: else ->
		atomic { !pmd_lock[p] ->	/* __pte_alloc(), with nothing held */
			if
			:: pmd[p] == NONE -> pmd[p] = TABLE
			:: else
			fi
		};
		may_stop;
		must(pmd[p] != LEAF, huge_entry_in_the_way);
		lock(pte_lock[p]);		/* no preemption from here on */
		dvp_access_begin();
		if
		:: answer == LIVE ->
			pte[p] = true;
#ifdef SEED_FAULT_SLEEPS_UNDER_GATE
			may_stop;
#endif
			dvp_access_end()
		:: else
		fi;
		unlock(pte_lock[p])
	fi;
#ifdef HUGE
	huge_readers--
#endif
}

/* insert_pmd() in insert.c; insert_pud() is the same a level higher */
inline insert_pmd(p)
{
	lock(pmd_lock[p]);
	if
#ifdef SEED_HUGE_WITHOUT_LOCK
	:: pmd[p] == NONE ->
#else
	:: atomic { pmd[p] == NONE && !huge_writer && !huge_readers -> huge_writer = true };
#endif
		dvp_access_begin();
		if
		:: answer == LIVE -> pmd[p] = LEAF; dvp_access_end()
		:: else
		fi;
		huge_writer = false
	:: pmd[p] != NONE || huge_writer || huge_readers	/* small pages are inserted */
	fi;
	unlock(pmd_lock[p])
}

/* dvp_vma_fault() and dvp_vma_huge_fault() in mapping.c: first the one, then the other. */
inline fault(p)
{
	answer = LIVE;
	if
#ifdef HUGE
	:: insert_pmd(p)
#endif
#ifdef SMALL
	:: insert_ptes(p)
#endif
#if !defined(SMALL) && !defined(HUGE)
	:: false		/* there are no clients */
#endif
	fi;
	/* BUSY: repeated a jiffy later.  SUSPENDED, REVOKED: SIGBUS, which it survives. */
	if
	:: answer == HELD ->
end_wait:	!held			/* dvp_access_wait() in access.c */
	:: else
	fi
}

/*
 * dup_mmap() in the kernel.  dvp_vma_open() in mapping.c marks the child's VMA,
 * VM_WIPEONFORK.  copy_huge_pmd() looks at the parent's entry with no lock, and
 * does not look again.  (What it does with page tables is under both locks.)
 */
inline fork()
{
#ifndef SEED_FORK_COPIES
	wipe = true;
#endif
	atomic { i_mmap_lock_write(); vma[1] = true; i_mmap_writer = false };
	if
	:: wipe
	:: !wipe && pmd[0] == LEAF ->
		lock(pmd_lock[1]);
		pmd[1] = LEAF;
		unlock(pmd_lock[1])
	:: !wipe && pmd[0] == TABLE ->
		atomic { !pte_lock[0] && !pte_lock[1] && !pmd_lock[1] ->
			pmd[1] = TABLE; pte[1] = pte[0] }
	:: !wipe && pmd[0] == NONE
	fi
}

#ifdef FAULTS
#define may_fault	(faults > 0)
#define count_fault	faults--
#else
#define may_fault	true
#define count_fault	skip
#endif

/* A thread of a process that has a slice, and accesses it continuously. */
proctype client(byte p)
{
	mtype:access answer;
#ifdef FAULTS
	byte faults = FAULTS;
#endif

	atomic { if
	:: vma[p]
#ifdef FORK
	:: p == 1 -> vma[p]
#endif
	:: else -> i_mmap_lock_write(); vma[p] = true; i_mmap_writer = false	/* mmap() */
	fi };
end:
	do
	:: may_fault -> count_fault; fault(p); may_stop
#ifdef FORK
	:: p == 0 && !vma[1] -> fork()
#endif
#ifdef CLIENT_LOCKS_RESV
	/* dma_buf_poll() in the kernel; one that waits for another client is not modelled */
	:: atomic { !resv -> resv = true };
		may_stop;
		unlock(resv)
#endif
	od;
stopped:
end_stopped:
	false
}

/*
 * Importers.
 */

/*
 * dvp_events_revoked() in events.c: by the thread that finishes last.  It reports
 * that nothing reaches the device through the buffer.
 */
inline dvp_events_revoked()
{
	atomic {
		if
		:: zapped && dma_maps == 0 -> revoke_over = true
		:: else
		fi
	}
}

/* end_mapping() in importers.c */
inline end_mapping()
{
	dma_maps--;
#ifndef SEED_NOBODY_TELLS_THE_END
	dvp_events_revoked()
#endif
}

#ifdef SEED_MAP_TESTS_NOT_ALL
#define kept_out	(revoked || off_reset)
#else
#define kept_out	(revoked || dma_off)
#endif

/* dvp_importer_map() in importers.c, with begin_mapping(); the reservation is held */
inline dvp_importer_map()
{
	if
	:: kept_out -> waiting = true
	:: else ->
#ifndef SEED_MAP_COUNTED_LAST
		dma_maps++;
#endif
		if
#ifndef SEED_MAP_TESTED_BEFORE_COUNTED
		:: kept_out -> end_mapping(); waiting = true
#endif
		:: else -> waiting = false; mapped = true
#ifdef SEED_MAP_COUNTED_LAST
			; dma_maps++
#endif
		fi
	fi;
#ifdef SEED_REFUSED_WAITS_FOR_NOTHING
	waiting = false
#endif
}

/* dvp_importer_unmap() in importers.c; the reservation is held */
inline dvp_importer_unmap()
{
	if
	:: mapped -> mapped = false; end_mapping()
	:: else
	fi
}

/*
 * A driver that imports the buffer.  It unmaps when it is notified, and then
 * tries to map again, once.  If that fails it waits for the next notification.
 */
proctype importer()
{
	bool try;

	/* dvp_importer_attach() in importers.c; the second test is the one that counts. */
	atomic {
		file_refs++;
		if
		:: revoked -> goto refused
		:: else -> attached++
		fi
	};
end_attach:
	lock(resv);		/* dma_buf_dynamic_attach() in the kernel */
	listed = true;
#ifndef IMPORTER_IDLE
	try = true; wants = true;
#endif
	unlock(resv);
end:
	do
	:: try ->
end_try:	lock(resv);
		dvp_importer_map();
		atomic { try = false; unlock(resv) }
	:: asked ->
end_asked:	lock(resv);
		asked = false;
		dvp_importer_unmap();
		atomic { try = wants; unlock(resv) }
#ifdef DETACH
	:: true ->
		lock(resv);
		dvp_importer_unmap();
		listed = false;
		unlock(resv);
		attached--;	/* dvp_importer_detach() in importers.c */
		break
#endif
	od;
refused:
	file_refs--
}

/* dvp_invalidate_mappings() in compat.h, under the reservation */
inline dvp_invalidate_mappings()
{
	must(file_refs > 0, file_gone);
	if
	:: listed -> asked = true
	:: else
	fi
}

/*
 * evict() in importers.c, with a reference to the DMABUF. A signal can end either
 * wait if the patience is DVP_UNTIL_A_SIGNAL.
 */
inline evict(until_a_signal)
{
	told = false;
	if
	:: dma_maps == 0
	:: dma_maps > 0 ->
		if
		:: atomic { !resv -> resv = true };
			waiting = true;
			dvp_invalidate_mappings();	/* invalidate() */
			unlock(resv);
			if
			:: dma_maps == 0 -> told = true	/* wait_for_unmapping() */
			:: until_a_signal && dma_maps > 0 -> signal = true
			fi
		:: until_a_signal -> signal = true	/* while waiting for the reservation */
		fi
	fi
}

/* notify_soon() in importers.c, with a reference to the DMABUF held */
inline notify_soon()
{
	atomic { if
	:: !notice -> notice = true; file_refs++
	:: else
	fi }
}

/* dvp_importers_evict() in importers.c */
inline dvp_importers_evict(until_a_signal)
{
	signal = false;
	if
	:: atomic { attached > 0 -> file_refs++ };
		evict(until_a_signal);
#ifndef SEED_INTERRUPTED_ASKS_NOBODY
		if
		:: !told -> notify_soon()
		:: else
		fi;
#endif
		file_refs--
	:: attached == 0
	fi
}

/* dvp_importers_evict_all() in importers.c, with one buffer */
inline dvp_importers_evict_all(until_a_signal)
{
	signal = false;
	if
	:: atomic { attached > 0 -> file_refs++ };
		evict(until_a_signal);
		file_refs--
	:: attached == 0
	fi
}

/* dvp_importers_resume() in importers.c */
inline dvp_importers_resume()
{
	if
	:: atomic { attached > 0 -> file_refs++ };
		notify_soon();
		file_refs--
	:: attached == 0
	fi
}

/*
 * dvp_importers_notice() in importers.c; the file's reference came with it.  It can
 * wait for a client that has the reservation.
 */
proctype dvp_importers_notice()
{
end:
	do
	:: atomic { notice -> notice = false };
end_resv:	lock(resv);
		if
		:: revoked -> dvp_invalidate_mappings()
		:: else ->
			if
			:: !dma_off && waiting ->	/* notify_waiting() */
				waiting = false;
				dvp_invalidate_mappings()
			:: else
			fi
		fi;
		unlock(resv);
		file_refs--
	od
}

/*
 * Revocation, in access.c.
 */

/* revoke_zapped() */
inline revoke_zapped(until_a_signal)
{
	zapped = true;
#ifdef SEED_TOLD_BEFORE_EVICTION
	revoke_over = true;
#endif
	dvp_importers_evict(until_a_signal);
	if
	:: signal			/* -ERESTARTSYS, nothing reported */
	:: else ->
		dvp_events_revoked();
		returned = true;
		revoke_over = true	/* 0 or -EBADFD, reported to the caller */
	fi
}

proctype dvp_access_revoke()
{
	bool signal, told;

#ifdef SEED_SECOND_REVOKE_RETURNS
	if
	:: revoked -> revoke_over = true; goto done
	:: else
	fi;
#else
	if
	:: returned -> goto done	/* -EBADFD */
	:: else
	fi;
#endif
#ifdef SEED_ZAP_BEFORE_FLAG
	zap();
#endif
	gated(revoked = true);		/* set_revoked() */
#ifndef SEED_ZAP_BEFORE_FLAG
	zap();				/* dvp_zap_buffer() */
#endif
	revoke_zapped(true);
done:
	to_finish--
}

/*
 * dvp_access_revoke_now(), and dvp_access_revoke() where that says -EAGAIN, as for
 * what is too much to do.  dvp_zap_buffer_now() takes i_mmap_rwsem by trylock.
 */
proctype dvp_access_revoke_now()
{
	bool signal, told, again;
#ifdef SEED_NOW_LOOKS_FIRST
	byte before = attached;
#else
#define before	attached
#endif

	if
	:: returned -> goto done	/* -EBADFD */
	:: else
	fi;
	if
	:: atomic { !i_mmap_writer -> i_mmap_readers++ };
		gated(revoked = true);
		zap_vma(0);
		zap_vma(1);
		i_mmap_readers--;
		zapped = true;
		if
		:: before > 0 -> again = true	/* dvp_importers_any() */
		:: before == 0 -> dvp_events_revoked(); returned = true; revoke_over = true
		fi
	:: true -> again = true
	fi;
	if
	:: again -> gated(revoked = true); zap(); revoke_zapped(true)
	:: else
	fi;
done:
	to_finish--
}

proctype dvp_access_close()
{
	bool signal, told;

	gated(opened = false);
	zap();				/* dvp_zap_device() */
	gated(revoked = true);
	revoke_zapped(false);
	to_finish--
}

/*
 * Suspension, in access.c.
 */

/* dma_off() with reason and patience */
inline set_dma_off(reason, until_a_signal)
{
#if defined(SEED_EVICT_BEFORE_DMA_OFF)
	dvp_importers_evict_all(until_a_signal);
	reason = true
#elif defined(SEED_SECOND_DOES_NOT_WAIT)
	atomic { last = dma_off; reason = true };
	if
	:: !last -> dvp_importers_evict_all(until_a_signal)
	:: else -> signal = false
	fi
#else
	reason = true;
	dvp_importers_evict_all(until_a_signal)
#endif
}

/* dma_on() */
inline dma_on(reason)
{
	atomic { last = dma_off; reason = false; last = last && !dma_off };
	if
	:: last -> dvp_importers_resume()
	:: else
	fi
}

/* hold_off() */
inline hold_off(flag)
{
#ifdef SEED_ZAP_BEFORE_FLAG
	zap();
	gated(flag = true)
#else
	gated(flag = true);
	zap()
#endif
}

/* let_on() */
inline let_on(flag, reason)
{
	gated(flag = false);
	dma_on(reason)
}

inline dvp_access_reset_prepare()
{
	set_dma_off(off_reset, false);
	hold_off(resetting)
}

inline dvp_access_reset_done()
{
	let_on(resetting, off_reset)
}

/* pci_reset_function() and its like in the kernel, under device_lock */
inline reset_function()
{
	lock(device_lock);
	dvp_access_reset_prepare();
	gone_reset = true;
	gone_reset = false;
	dvp_access_reset_done();
	unlock(device_lock)
}

/* a reset through sysfs: vfio-pci-core is not notified */
proctype reset()
{
	bool signal, told, last, counted;

	reset_function();
	to_finish--
}

/* suspend and resume of the system, with sleep.c */
proctype system_sleep()
{
	bool signal, told, last, counted;

	set_dma_off(off_sleep, true);	/* dvp_access_sleep(); a second, not a signal */
	if
	:: signal -> dma_on(off_sleep)	/* -EBUSY */
	:: else ->
		hold_off(sleeping);
		gone_sleep = true;
		gone_sleep = false;
		let_on(sleeping, off_sleep)	/* dvp_access_wake() */
	fi;
	to_finish--
}

/* dvp_access_changed() */
inline dvp_access_changed(was_announced)
{
	last = false;
	counted = was_announced;
	if
	:: was_announced
	:: !was_announced ->
		if
		:: atomic { !memory_writer && !memory -> skip };
#ifndef SEED_CHANGE_NOT_ANNOUNCED
			atomic { announced++; counted = true };
#endif
			set_dma_off(off_memory, false)
		:: !memory_writer && memory
		fi
	fi;
	/* under memory_lock, for reading, and state_lock */
	atomic {
		!memory_writer ->
		announced = announced - counted;
		if
		:: !memory -> off_memory = true
		:: memory && announced == 0 ->
			last = off_memory && !off_reset && !off_sleep;
			off_memory = false
		:: else
		fi
	};
	if
	:: last -> dvp_importers_resume()
	:: else
	fi
}

/* dvp_access_announce(): signal is true if it has failed */
inline dvp_access_announce()
{
	announced++;
	set_dma_off(off_memory, true);
	if
	:: signal -> dvp_access_changed(true); signal = true
	:: else
	fi
}

/*
 * dvp_config_write() in config.c, with what vfio_basic_config_write() in
 * vfio-pci-core makes of it: memory off, and then on.
 */
proctype config_writes()
{
	bool signal, told, last, counted;

	dvp_access_announce();
	if
	:: signal -> goto done
	:: else
	fi;
	down_write_memory();
	zap();
	memory = false;
	gone_memory = true;
	memory_writer = false;
	dvp_access_changed(true);

	down_write_memory();
	gone_memory = false;
	memory = true;
	memory_writer = false;
	dvp_access_changed(false);
done:
	to_finish--
}

/* dvp_hot_reset() in hot_reset.c, vfio_pci_dev_set_hot_reset() in vfio-pci-core */
proctype dvp_hot_reset()
{
	bool signal, told, last, counted;

	dvp_access_announce();
	if
	:: signal -> goto done
	:: else
	fi;
#ifndef SEED_HOT_RESET_WITHOUT_HOLD
	gated(holds++);			/* dvp_access_hold() */
#ifdef HOLD_ENDS
	if
	:: hold_over = true
	:: true
	fi;
#endif
#endif
	atomic {
		must(!memory_readers || hold_over, hot_reset_busy);
		!memory_writer;
		if				/* down_write_trylock() */
		:: memory_readers == 0 -> memory_writer = true
		:: else -> goto busy		/* EBUSY */
		fi
	};
	zap();
	reset_function();
	memory_writer = false;
busy:
#ifndef SEED_HOT_RESET_WITHOUT_HOLD
	gated(holds--);			/* dvp_access_unhold() */
#endif
	dvp_access_changed(true);
done:
	to_finish--
}

init
{
	atomic {
#ifdef REVOKES
		to_finish = to_finish + REVOKES;
		run dvp_access_revoke();
#if REVOKES > 1
		run dvp_access_revoke();
#endif
#endif
#ifdef REVOKE_NOW
		to_finish++; run dvp_access_revoke_now();
#endif
#ifdef CLOSE
		to_finish++; run dvp_access_close();
#endif
#ifdef CONFIG_WRITES
		to_finish = to_finish + CONFIG_WRITES;
		run config_writes();
#if CONFIG_WRITES > 1
		run config_writes();
#endif
#endif
#ifdef RESET
		to_finish++; run reset();
#endif
#ifdef SLEEP
		to_finish++; run system_sleep();
#endif
#ifdef HOT_RESET
		to_finish++; run dvp_hot_reset();
#endif
#ifdef IMPORTER
		run importer();
		run dvp_importers_notice();
#endif
#ifdef CLIENT0
		run client(0);
#if CLIENT0 > 1
		run client(0);
#endif
#endif
#ifdef CLIENT1
		run client(1);
#endif
	}
}
