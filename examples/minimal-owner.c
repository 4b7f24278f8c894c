/* SPDX-License-Identifier: MIT */
/*
 * The smallest owner: opens a PCI function, shares the first page of its BAR 0 with
 * one client, and revokes it when Enter is pressed.
 *
 *	minimal-owner BDF SOCKET
 *
 * Build it with: cc minimal-owner.c $(pkgconf --cflags --libs vfio-dmabuf)
 */
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <vfio-dmabuf.h>

/* A connection to the next process that connects to the socket. */
static int wait_for_client(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int listener = socket(AF_UNIX, SOCK_SEQPACKET, 0);

	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
	if (bind(listener, (struct sockaddr *)&address, sizeof(address)) || listen(listener, 1))
		err(1, "%s", path);
	printf("waiting for a client at %s\n", path);
	fflush(stdout);
	return accept(listener, NULL, NULL);
}

int main(int argc, char **argv)
{
	struct vdb_range page = { .offset = 0, .length = sysconf(_SC_PAGESIZE) };
	char error[VDB_ERROR_SIZE];
	struct vdb_device *device;
	struct vdb_slice *slice;

	if (argc != 3)
		errx(2, "usage: minimal-owner BDF SOCKET");
	device = vdb_device_open(argv[1], NULL, error);
	if (!device)
		errx(1, "%s: %s", argv[1], error);
	slice = vdb_slice_export(device, 0, &page, 1, VDB_FLAG_READ_ONLY);
	/* Watched, so that the client is notified of the revocation. */
	if (!slice || vdb_slice_watch(device, slice))
		err(1, "exporting a page of BAR 0");
	if (vdb_slice_send(wait_for_client(argv[2]), device, slice))
		err(1, "sending the slice");
	printf("the client has the slice; press Enter to revoke it\n");
	fflush(stdout);
	getchar();
	while (vdb_slice_revoke(device, slice))
		if (errno != EINTR)
			err(1, "revoking the slice");
	vdb_slice_free(slice);
	vdb_device_close(device);
	return 0;
}
