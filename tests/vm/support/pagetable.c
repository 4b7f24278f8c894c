// SPDX-License-Identifier: MIT
/* What really stands in the page tables (x86). */
#define _GNU_SOURCE
#include "pagetable.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "kernel.h"
#include "ptdump/ptdump.h"
#include "suite.h"

#define PRESENT		(1ULL << 0)
#define WRITABLE	(1ULL << 1)
#define PWT		(1ULL << 3)
#define PCD		(1ULL << 4)
#define PAT_SMALL	(1ULL << 7)	/* in a huge entry: that it is huge */
#define PAT_HUGE	(1ULL << 12)
#define FRAME		0x000ffffffffff000ULL

void pagetable_init(void)
{
	module_load("dmabuf-test-ptdump");
}

/* The types that Linux puts into the PAT register's first half. */
static enum memory_type type_of(uint64_t entry, unsigned int shift)
{
	static const enum memory_type types[] = {
		TYPE_WB, TYPE_WC, TYPE_UC_MINUS, TYPE_UC,
	};

	if (!(entry & PRESENT))
		return TYPE_NONE;
	if (entry & (shift == 12 ? PAT_SMALL : PAT_HUGE))
		return TYPE_OTHER;
	return types[(entry & PWT ? 1 : 0) + (entry & PCD ? 2 : 0)];
}

static struct page_entry decode(uint64_t entry, unsigned int shift)
{
	uint64_t size = 1ULL << shift;

	return (struct page_entry){
		.type = type_of(entry, shift),
		.size = size,
		.frame = entry & FRAME & -size,
		.writable = entry & WRITABLE,
	};
}

struct page_entry page_entry(const void *address)
{
	struct ptdump_entry request = { .address = (uintptr_t)address };
	int fd = open(PTDUMP_PATH, O_RDWR | O_CLOEXEC);

	ck_assert_works(fd);
	ck_assert_works(ioctl(fd, PTDUMP_LOOK_UP, &request));
	close(fd);
	return decode(request.entry, request.shift);
}

/* One number is all that a step returns: the entry, or its shift. */
static long step_look_up(const struct client_step *step)
{
	struct ptdump_entry request = { .address = step->arg[0] };
	int ret = ioctl(step->fd, PTDUMP_LOOK_UP, &request);

	close(step->fd);
	if (ret)
		return -1;
	return step->arg[1] ? (long)request.shift : (long)request.entry;
}

struct page_entry client_page_entry(struct client *c, long address)
{
	struct client_step step = { { address, 0 }, -1 };
	uint64_t entry;

	step.fd = open(PTDUMP_PATH, O_RDWR | O_CLOEXEC);
	ck_assert_works(step.fd);
	entry = client_call(c, step_look_up, &step);
	step.arg[1] = 1;
	address = client_call(c, step_look_up, &step);
	close(step.fd);
	ck_assert_int_gt(address, 0);
	return decode(entry, address);
}
