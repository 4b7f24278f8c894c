/* SPDX-License-Identifier: MIT */
/* The first program of README.md, which lab/documents compares with this file. */
#include <err.h>
#include <sys/mman.h>
#include <unistd.h>
#include <vfio-dmabuf.h>

int main(void)
{
	struct vdb_client *broker = vdb_client_connect(NULL, 10000, NULL);
	uint32_t *doorbell, value;
	struct vdb_lease lease;

	if (!broker || vdb_client_acquire(broker, "nic/doorbell", VDB_ANY_INDEX, 0, 0, 0, &lease))
		err(1, "nic/doorbell");
	doorbell = vdb_slice_map(lease.slice, 0, 0, PROT_READ | PROT_WRITE);
	if (!doorbell || vdb_guard_enable())
		err(1, "mapping the slice");
	for (; !vdb_try_read32(doorbell, &value); sleep(1))
		warnx("doorbell %u reads 0x%x", lease.index, value);
	warnx("the slice is revoked");
}
