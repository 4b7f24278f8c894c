// SPDX-License-Identifier: MIT
/* What really stands in the page tables. */
#define _GNU_SOURCE
#include "pagetable.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "kernel.h"
#include "pagetable_entry.h"
#include "ptdump/ptdump.h"
#include "suite.h"

void pagetable_init(void)
{
	module_load("dmabuf-test-ptdump");
}

struct page_entry page_entry(const void *address)
{
	struct ptdump_entry request = { .address = (uintptr_t)address };
	int fd = open(PTDUMP_PATH, O_RDWR | O_CLOEXEC);

	ck_assert_works(fd);
	ck_assert_works(ioctl(fd, PTDUMP_LOOK_UP, &request));
	close(fd);
	return pagetable_decode(request.entry, request.shift);
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
	return pagetable_decode(entry, address);
}
