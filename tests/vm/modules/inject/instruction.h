/* SPDX-License-Identifier: GPL-2.0-only */
/* Call instructions of each architecture. */
#ifndef _DMABUF_TEST_INSTRUCTION_H
#define _DMABUF_TEST_INSTRUCTION_H

#include <linux/ptrace.h>
#include <linux/types.h>

#if defined(CONFIG_ARM64)
#define CALL_SIZE	4

typedef u32 instruction_t;

/* bl */
static inline bool is_call(instruction_t instruction)
{
	return instruction >> 26 == 0x25;
}

/* b: the callee returns to our caller's caller */
static inline bool is_tail_call(instruction_t instruction)
{
	return instruction >> 26 == 0x05;
}

static inline void return_to_caller(struct pt_regs *regs)
{
	instruction_pointer_set(regs, regs->regs[30]);
}
#elif defined(CONFIG_X86_64)
#define CALL_SIZE	5

/* The opcode. */
typedef u8 instruction_t;

/* call */
static inline bool is_call(instruction_t instruction)
{
	return instruction == 0xe8;
}

/* jmp: the callee returns to our caller's caller */
static inline bool is_tail_call(instruction_t instruction)
{
	return instruction == 0xe9;
}

static inline void return_to_caller(struct pt_regs *regs)
{
	instruction_pointer_set(regs, *(unsigned long *)regs->sp);
	regs->sp += sizeof(unsigned long);
}
#endif

#endif
