// SPDX-License-Identifier: MIT
/* An owner that uses the library. */
#define _GNU_SOURCE
#include "owner.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>

#include "page.h"
#include "suite.h"
#include "sysfs.h"

struct vdb_device *owner;

struct vdb_slice *owner_export(unsigned int bar, uint64_t offset, uint64_t length,
			       unsigned int flags)
{
	const struct vdb_range range = { offset, length };
	struct vdb_slice *slice = vdb_slice_export(owner, bar, &range, 1, flags);

	ck_assert_msg(slice, "export: %s", strerrorname_np(errno));
	return slice;
}

void *owner_map(const struct vdb_slice *slice, int prot)
{
	void *address = vdb_slice_map(slice, 0, 0, prot);

	ck_assert_msg(address, "map: %s", strerrorname_np(errno));
	return address;
}

void owner_open(const char *name)
{
	char error[VDB_ERROR_SIZE];

	owner = vdb_device_open(lab_bdf(name), NULL, error);
	ck_assert_msg(owner, "%s: %s", name, error);
}

void owner_open_edu(void)
{
	owner_open("EDU");
}

void owner_open_nvme(void)
{
	owner_open("NVME");
}

void owner_open_ivshmem(void)
{
	owner_open("IVSHMEM");
}

bool event_readable(const struct vdb_slice *slice, int *revents)
{
	struct pollfd p = { .fd = vdb_slice_event_fd(slice), .events = POLLIN };
	int ret = poll(&p, 1, 0);

	ck_assert_works(ret);
	*revents = p.revents;
	return ret;
}

struct vdb_slice *owner_export_watched(void)
{
	struct vdb_slice *slice = owner_export(0, 0, PAGE, 0);
	int revents;

	ck_assert_works(vdb_slice_watch(owner, slice));
	ck_assert(event_readable(slice, &revents));
	ck_assert_int_eq(vdb_slice_state(slice, NULL), VDB_STATE_LIVE);
	ck_assert(!event_readable(slice, &revents));
	return slice;
}
