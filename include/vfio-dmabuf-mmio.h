/* SPDX-License-Identifier: MIT */
/*
 * Accesses to device registers; included by <vfio-dmabuf.h>, which says in what
 * order they reach the device.
 *
 * On x86 loads and stores to uncached memory are not reordered with each other
 * or with older stores, so a compiler barrier is enough.  The Arm architecture
 * needs a barrier between normal and device memory (outer shareable, as the
 * device is).
 */
#ifndef VFIO_DMABUF_MMIO_H
#define VFIO_DMABUF_MMIO_H

#include <stdint.h>

#if defined(__x86_64__) || defined(__i386__)
#define VDB_BEFORE_WRITE()	__asm__ volatile("" ::: "memory")
#define VDB_AFTER_READ()	__asm__ volatile("" ::: "memory")
#define VDB_DRAIN()		__asm__ volatile("sfence" ::: "memory")
#elif defined(__aarch64__)
#define VDB_BEFORE_WRITE()	__asm__ volatile("dmb oshst" ::: "memory")
#define VDB_AFTER_READ()	__asm__ volatile("dmb oshld" ::: "memory")
#define VDB_DRAIN()		__asm__ volatile("dsb st" ::: "memory")
#else
#define VDB_BEFORE_WRITE()	__atomic_thread_fence(__ATOMIC_SEQ_CST)
#define VDB_AFTER_READ()	__atomic_thread_fence(__ATOMIC_SEQ_CST)
#define VDB_DRAIN()		__atomic_thread_fence(__ATOMIC_SEQ_CST)
#endif

#define VDB_DEFINE_ACCESS(bits)						\
static inline uint##bits##_t vdb_read##bits(const volatile void *address) \
{									\
	uint##bits##_t value = *(const volatile uint##bits##_t *)address; \
									\
	VDB_AFTER_READ();						\
	return value;							\
}									\
									\
static inline void vdb_write##bits(volatile void *address,		\
				   uint##bits##_t value)		\
{									\
	VDB_BEFORE_WRITE();						\
	*(volatile uint##bits##_t *)address = value;			\
}

VDB_DEFINE_ACCESS(8)
VDB_DEFINE_ACCESS(16)
VDB_DEFINE_ACCESS(32)
VDB_DEFINE_ACCESS(64)
#undef VDB_DEFINE_ACCESS

/**
 * vdb_wc_flush() - send the stores that a write-combining mapping has gathered
 *
 * Stores to a slice with VDB_FLAG_WC reach the device in any order and at any time.
 * Stores before this call are sent before all later ones.
 */
static inline void vdb_wc_flush(void)
{
	VDB_DRAIN();
}

#endif
