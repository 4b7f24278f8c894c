/* SPDX-License-Identifier: MIT */
/*
 * Accesses to device registers; included by <vfio-dmabuf.h>, which says in what
 * order they reach the device.
 *
 * On x86 loads and stores to uncached memory are not reordered with each other
 * or with older stores, so a compiler barrier is enough.  The Arm architecture
 * needs a barrier between normal and device memory (outer shareable, as the
 * device is).
 *
 * On x86-64 and arm64 each access is written as an instruction.  The compiler cannot
 * split it, or merge it with the next one.  On arm64 it cannot choose a form that
 * changes the address register as well, which KVM cannot emulate.
 */
#ifndef VFIO_DMABUF_MMIO_H
#define VFIO_DMABUF_MMIO_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

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

/*
 * The instructions, which the library's guarded accesses use as well.  Operand 0 of a
 * load is the value, and operand 1 the memory; of a store the other way round.  The
 * program counter is that of a signal handler's ucontext_t.
 *
 * A block is 64 bytes.  Its operand 0 is the address in a register, and the others are
 * its parts.  Each of its instructions is an argument of @mark.  The stores have nothing
 * between them, so that a write-combining buffer gets all of them before it is sent.
 */
#if defined(__x86_64__) && defined(__LP64__)
#define VDB_LOAD8	"movb %1, %0"
#define VDB_LOAD16	"movw %1, %0"
#define VDB_LOAD32	"movl %1, %0"
#define VDB_LOAD64	"movq %1, %0"
#define VDB_STORE8	"movb %1, %0"
#define VDB_STORE16	"movw %1, %0"
#define VDB_STORE32	"movl %1, %0"
#define VDB_STORE64	"movq %1, %0"
#define VDB_VALUE	"q"
#define VDB_MEMORY	"m"
#define VDB_PROGRAM_COUNTER(context)	((context)->uc_mcontext.gregs[REG_RIP])
#ifdef __SSE2__
/* Non-temporal: in memory that is not the device's, they do not fill the cache. */
typedef long long vdb_part __attribute__((vector_size(16)));
#define VDB_STORE_BLOCK(mark)			\
	mark("movntdq %1, (%0)")		\
	mark("movntdq %2, 16(%0)")		\
	mark("movntdq %3, 32(%0)")		\
	mark("movntdq %4, 48(%0)")
#define VDB_PARTS(p)	"x" ((p)[0]), "x" ((p)[1]), "x" ((p)[2]), "x" ((p)[3])
#endif
#elif defined(__aarch64__) && defined(__LP64__)
#define VDB_LOAD8	"ldrb %w0, %1"
#define VDB_LOAD16	"ldrh %w0, %1"
#define VDB_LOAD32	"ldr %w0, %1"
#define VDB_LOAD64	"ldr %x0, %1"
#define VDB_STORE8	"strb %w1, %0"
#define VDB_STORE16	"strh %w1, %0"
#define VDB_STORE32	"str %w1, %0"
#define VDB_STORE64	"str %x1, %0"
#define VDB_VALUE	"r"
#define VDB_MEMORY	"Q"	/* an address in a register */
#define VDB_PROGRAM_COUNTER(context)	((context)->uc_mcontext.pc)
typedef uint64_t vdb_part;
#define VDB_STORE_BLOCK(mark)			\
	mark("stp %x1, %x2, [%0]")		\
	mark("stp %x3, %x4, [%0, #16]")		\
	mark("stp %x5, %x6, [%0, #32]")		\
	mark("stp %x7, %x8, [%0, #48]")
#define VDB_PARTS(p)	"r" ((p)[0]), "r" ((p)[1]), "r" ((p)[2]), "r" ((p)[3]), \
			"r" ((p)[4]), "r" ((p)[5]), "r" ((p)[6]), "r" ((p)[7])
#endif

/* Only for the functions below: without a barrier. */
#ifdef VDB_LOAD8
#define VDB_DEFINE_RAW(bits)						\
static inline uint##bits##_t vdb_raw_read##bits(const volatile void *address) \
{									\
	uint##bits##_t value;						\
									\
	__asm__ volatile(VDB_LOAD##bits : "=" VDB_VALUE (value)		\
			 : VDB_MEMORY (*(const volatile uint##bits##_t *)address)); \
	return value;							\
}									\
									\
static inline void vdb_raw_write##bits(volatile void *address,		\
				       uint##bits##_t value)		\
{									\
	__asm__ volatile(VDB_STORE##bits				\
			 : "=" VDB_MEMORY (*(volatile uint##bits##_t *)address) \
			 : VDB_VALUE (value));				\
}
#else
#define VDB_DEFINE_RAW(bits)						\
static inline uint##bits##_t vdb_raw_read##bits(const volatile void *address) \
{									\
	return *(const volatile uint##bits##_t *)address;		\
}									\
									\
static inline void vdb_raw_write##bits(volatile void *address,		\
				       uint##bits##_t value)		\
{									\
	*(volatile uint##bits##_t *)address = value;			\
}
#endif

#define VDB_DEFINE_ACCESS(bits)						\
VDB_DEFINE_RAW(bits)							\
									\
static inline uint##bits##_t vdb_read##bits(const volatile void *address) \
{									\
	uint##bits##_t value = vdb_raw_read##bits(address);		\
									\
	VDB_AFTER_READ();						\
	return value;							\
}									\
									\
static inline void vdb_write##bits(volatile void *address,		\
				   uint##bits##_t value)		\
{									\
	VDB_BEFORE_WRITE();						\
	vdb_raw_write##bits(address, value);				\
}									\
									\
static inline void vdb_raw_copy_from##bits(char *to, const volatile char *from, size_t length) \
{									\
	for (size_t done = 0; done < length; done += sizeof(uint##bits##_t)) { \
		uint##bits##_t value = vdb_raw_read##bits(from + done);	\
									\
		memcpy(to + done, &value, sizeof(value));		\
	}								\
}									\
									\
static inline void vdb_raw_copy_to##bits(volatile char *to, const char *from, size_t length) \
{									\
	for (size_t done = 0; done < length; done += sizeof(uint##bits##_t)) { \
		uint##bits##_t value;					\
									\
		memcpy(&value, from + done, sizeof(value));		\
		vdb_raw_write##bits(to + done, value);			\
	}								\
}

VDB_DEFINE_ACCESS(8)
VDB_DEFINE_ACCESS(16)
VDB_DEFINE_ACCESS(32)
VDB_DEFINE_ACCESS(64)
#undef VDB_DEFINE_ACCESS
#undef VDB_DEFINE_RAW

#define VDB_BLOCK	64	/* bytes that a write-combining buffer holds */

static inline void vdb_raw_write_block(volatile char *to, const char *from)
{
#ifdef VDB_STORE_BLOCK
#define VDB_PLAIN(instruction)	instruction "\n\t"
	vdb_part parts[VDB_BLOCK / sizeof(vdb_part)];

	memcpy(parts, from, VDB_BLOCK);
	__asm__ volatile(VDB_STORE_BLOCK(VDB_PLAIN) : : "r" (to), VDB_PARTS(parts) : "memory");
#undef VDB_PLAIN
#else
	vdb_raw_copy_to64(to, from, VDB_BLOCK);
#endif
}

/**
 * vdb_copy_from() - copy from the device, in accesses of a given width
 * @to: ordinary memory, not necessarily aligned
 * @from: in a mapping, aligned to @width
 * @length: bytes, a multiple of @width; 0 does nothing
 * @width: of each access, in bytes: 1, 2, 4 or 8
 *
 * Use it instead of memcpy(), whose accesses can be of any width and at any address.
 * libvfio-dmabuf(3) describes what happens then.  Loads from an uncached mapping reach
 * the device in the order of their addresses, each once.  Loads from ordinary memory
 * after the call see what the device had written before it answered.
 *
 * Return: 0; -1 with EINVAL if an argument is not as described, and nothing is copied.
 */
static inline int vdb_copy_from(void *to, const volatile void *from, size_t length,
				unsigned int width)
{
	const volatile char *device = (const volatile char *)from;
	char *memory = (char *)to;

	if (!width || width > 8 || width & (width - 1) ||
	    ((uintptr_t)from | length) & (width - 1)) {
		errno = EINVAL;
		return -1;
	}
	switch (width) {
	case 1: vdb_raw_copy_from8(memory, device, length); break;
	case 2: vdb_raw_copy_from16(memory, device, length); break;
	case 4: vdb_raw_copy_from32(memory, device, length); break;
	default: vdb_raw_copy_from64(memory, device, length); break;
	}
	VDB_AFTER_READ();
	return 0;
}

/**
 * vdb_copy_to() - copy to the device, in accesses of a given width
 * @to: in a mapping, aligned to @width
 * @from: ordinary memory, not necessarily aligned
 * @length: bytes, a multiple of @width; 0 does nothing
 * @width: of each access, in bytes: 1, 2, 4, 8 or, for a slice with VDB_FLAG_WC, 64
 *
 * Use it instead of memcpy() and memset(), as vdb_copy_from().  Stores to an uncached
 * mapping reach the device in the order of their addresses, each once.  Stores to
 * ordinary memory made before the call are visible to the device's DMA before the
 * first of them, if the mapping is uncached.
 *
 * 64 bytes are a block of adjacent stores, which a CPU's write-combining buffer normally
 * sends as one transaction.  The CPU can send them in parts, for example if an interrupt
 * comes.  A device must accept that.  Call vdb_wc_flush() before the first block if the
 * device then reads memory by DMA, and after the last block.
 *
 * Return: 0; -1 with EINVAL if an argument is not as described, and nothing is copied.
 */
static inline int vdb_copy_to(volatile void *to, const void *from, size_t length,
			      unsigned int width)
{
	volatile char *device = (volatile char *)to;
	const char *memory = (const char *)from;

	if (!width || (width > 8 && width != VDB_BLOCK) || width & (width - 1) ||
	    ((uintptr_t)to | length) & (width - 1)) {
		errno = EINVAL;
		return -1;
	}
	VDB_BEFORE_WRITE();
	switch (width) {
	case 1: vdb_raw_copy_to8(device, memory, length); break;
	case 2: vdb_raw_copy_to16(device, memory, length); break;
	case 4: vdb_raw_copy_to32(device, memory, length); break;
	case 8: vdb_raw_copy_to64(device, memory, length); break;
	default:
		for (size_t done = 0; done < length; done += VDB_BLOCK)
			vdb_raw_write_block(device + done, memory + done);
	}
	return 0;
}

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
