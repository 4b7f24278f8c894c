/* SPDX-License-Identifier: MIT */
/*
 * The smallest client: gets a slice from minimal-owner, reads the register at its
 * beginning, and notices when the slice is revoked.  It needs no right to the device.
 *
 *	minimal-client SOCKET
 */
#include <err.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <vfio-dmabuf.h>

static int connect_to(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int owner = socket(AF_UNIX, SOCK_SEQPACKET, 0);

	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
	if (connect(owner, (struct sockaddr *)&address, sizeof(address)))
		err(1, "%s", path);
	return owner;
}

int main(int argc, char **argv)
{
	struct vdb_slice *slice;
	struct pollfd event;
	uint32_t value;
	char *registers;

	if (argc != 2)
		errx(2, "usage: minimal-client SOCKET");
	slice = vdb_slice_receive(connect_to(argv[1]));
	if (!slice)
		err(1, "receiving a slice");
	registers = vdb_slice_map(slice, 0, 0, PROT_READ);
	/* With the guard, vdb_try_*() return an error where other accesses get SIGBUS. */
	if (!registers || vdb_guard_enable())
		err(1, "mapping the slice");
	if (vdb_try_read32(registers, &value))
		err(1, "reading the register");
	printf("%s BAR %u: the register is 0x%08" PRIx32 "\n", vdb_slice_bdf(slice),
	       vdb_slice_bar(slice), value);
	fflush(stdout);

	event = (struct pollfd){ .fd = vdb_slice_event_fd(slice), .events = POLLIN };
	while (vdb_slice_state(slice, NULL) != VDB_STATE_REVOKED)
		poll(&event, 1, -1);
	if (!vdb_try_read32(registers, &value))
		errx(1, "the revoked slice can still be read");
	printf("the slice is revoked\n");
	vdb_slice_unmap(slice, registers, 0, 0);
	vdb_slice_free(slice);
	return 0;
}
