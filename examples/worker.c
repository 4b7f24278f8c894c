/* SPDX-License-Identifier: MIT */
/*
 * A client of the broker: leases the registers of an NVMe controller, and reads one
 * of them until the lease ends.
 *
 *	worker SLICE
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <vfio-dmabuf.h>

#define NVME_VS		0x08	/* version of the specification */

static const char *const states[] = { "live", "suspended", "revoked" };

/* False when the lease has ended. */
static bool listen(struct vdb_client *client)
{
	struct vdb_event event;

	while (vdb_client_next(client, &event) == 1) {
		printf("     worker: the broker says: lease %" PRIu64 " is %s\n", event.lease, states[event.state]);
		fflush(stdout);
		if (event.state == VDB_STATE_REVOKED)
			return false;
	}
	return true;
}

int main(int argc, char **argv)
{
	char error[VDB_ERROR_SIZE];
	struct vdb_client *client;
	struct vdb_lease lease;
	uint64_t reads = 0;
	uint32_t version;
	char *registers;

	if (argc != 2)
		errx(2, "usage: worker SLICE");
	client = vdb_client_connect(NULL, 10000, error);
	if (!client)
		errx(1, "the broker: %s", error);
	if (vdb_client_acquire(client, argv[1], 0, 0, 0, 0, &lease))
		errx(1, "%s: %s", argv[1], vdb_client_error(client));
	registers = vdb_slice_map(lease.slice, 0, 0, PROT_READ);
	if (!registers || vdb_guard_enable())
		err(1, "%s", argv[1]);

	if (vdb_try_read32(registers + NVME_VS, &version))
		errx(1, "the register cannot be read");
	printf("     worker: I am process %d of user %d; %s is mine, and the controller is NVMe %u.%u\n",
	       getpid(), getuid(), argv[1], version >> 16, version >> 8 & 0xff);
	fflush(stdout);

	while (listen(client))
		for (int i = 0; i < 1000; i++, reads++)
			if (vdb_try_read32(registers + NVME_VS, &version))
				break;
	if (!vdb_try_read32(registers + NVME_VS, &version))
		errx(1, "the slice still reads after it was revoked");
	printf("     worker: I read %s, and now the register says: %s\n",
	       reads ? "it all the time" : "nothing", strerror(errno));
	vdb_slice_free(lease.slice);
	vdb_client_close(client);
	return 0;
}
