/* SPDX-License-Identifier: MIT */
/*
 * The main job of libvfio-dmabuf, step by step, on an NVMe controller: an owner
 * that holds the VFIO device fd, and a client that holds one page of the
 * controller's BAR and nothing else.
 *
 *	owner BDF
 *
 * Run as root; the client becomes user 1000 before it does anything.
 */
#define _GNU_SOURCE
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/vfio.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vfio-dmabuf.h>

#define CLIENT_UID	1000
#define PAGE		0x1000UL
#define RESETS		5

/* Registers of every NVMe controller, in BAR 0 (NVM Express Base Specification). */
#define NVME_CAP	0x00	/* 64 bits: the controller's capabilities */
#define NVME_VS		0x08	/* version of the specification */
#define NVME_CC		0x14	/* configuration; a reset clears it */
#define NVME_CC_SIZES	0x00460000	/* queue entries of 64 and 16 bytes; not enabled */

/* Where the doorbells of the I/O queues start. */
#define NVME_DOORBELLS	0x1000

static void step(const char *title)
{
	static int number;

	printf("\n%d. %s\n", ++number, title);
}

static void show_maps(const void *address, const char *note)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[512];

	if (!maps)
		err(1, "/proc/self/maps");
	while (fgets(line, sizeof(line), maps)) {
		if (strtoull(line, NULL, 16) != (uintptr_t)address)
			continue;
		line[strcspn(line, "\n")] = '\0';
		printf("     %s   <- %s\n", line, note);
	}
	fclose(maps);
}

/* ------------------------------------------------------------------------
 * The client.  It receives orders through a socket, one byte each, and answers each
 * with a number after it has finished and printed its lines.
 */

enum order {
	ORDER_MAP = 'm',	/* a slice follows */
	ORDER_TALK = 't',	/* read and write registers */
	ORDER_WATCH = 'w',	/* read a register until the next order comes */
	ORDER_STOP = 's',	/* that order */
	ORDER_LOOK = 'l',	/* read once more, and see the effect of a reset */
	ORDER_TRY = 'r',	/* read the revoked slice */
	ORDER_QUIT = 'q',
};

static sigjmp_buf no_access;

static void on_sigbus(int signal)
{
	siglongjmp(no_access, signal);
}

/* The next order; false if the owner has ended. */
static bool receive_order(int socket, char *order)
{
	return recv(socket, order, 1, 0) == 1;
}

static void client_introduce(const char *group)
{
	printf("     client: I am process %d of user %d.\n", getpid(), getuid());
	if (open(group, O_RDWR) == -1)
		printf("     client: open(\"%s\") says: %s\n", group, strerror(errno));
	else
		errx(1, "%s is open to user %d", group, getuid());
}

static void *client_map(const struct vdb_slice *slice)
{
	void *map = vdb_slice_map(slice, 0, 0, PROT_READ | PROT_WRITE);

	if (!map)
		err(1, "client: mapping the slice");
	printf("     client: vdb_slice_map() of the slice that I was sent:\n");
	show_maps(map, "BAR 0 from byte 0, one page");
	return map;
}

static void client_talk(void *map)
{
	uint32_t version = vdb_read32(map + NVME_VS);

	printf("     client: the controller says it is NVMe %u.%u, capabilities %08x%08x\n",
	       version >> 16, version >> 8 & 0xff,
	       vdb_read32(map + NVME_CAP + 4), vdb_read32(map + NVME_CAP));
	vdb_write32(map + NVME_CC, NVME_CC_SIZES);
	printf("     client: I wrote 0x%08x to register CC and read back 0x%08x\n",
	       NVME_CC_SIZES, vdb_read32(map + NVME_CC));
}

static uint64_t client_watch(void *map, int socket)
{
	uint64_t reads = 0;
	char order;

	do {
		for (int i = 0; i < 1000; i++, reads++)
			vdb_read32(map + NVME_VS);
	} while (recv(socket, &order, 1, MSG_PEEK | MSG_DONTWAIT) == -1);
	return reads;
}

static void client_look(void *map)
{
	uint32_t configuration = vdb_read32(map + NVME_CC);

	printf("     client: same mapping, same address: version %08x as before, CC 0x%08x\n",
	       vdb_read32(map + NVME_VS), configuration);
	if (configuration)
		errx(1, "client: the reset did not clear CC");
}

static void client_try(void *map, struct vdb_slice *slice)
{
	struct sigaction action = { .sa_handler = on_sigbus };
	uint32_t value;

	sigaction(SIGBUS, &action, NULL);
	if (!sigsetjmp(no_access, 1)) {
		vdb_read32(map + NVME_VS);
		errx(1, "client: the slice still reads after it was revoked");
	}
	printf("     client: my next read got SIGBUS\n");

	if (vdb_guard_enable() || !vdb_try_read32(map + NVME_VS, &value))
		errx(1, "client: the slice still reads after it was revoked");
	printf("     client: vdb_try_read32() says: %s\n", strerror(errno));
	if (vdb_slice_map(slice, 0, 0, PROT_READ))
		errx(1, "client: the slice can be mapped after it was revoked");
	printf("     client: vdb_slice_map() says: %s\n", strerror(errno));
	if (vdb_slice_state(slice, NULL) != VDB_STATE_REVOKED)
		errx(1, "client: the revocation was not reported");
	printf("     client: vdb_slice_state() says: revoked\n");
}

static int client(int socket, const char *group)
{
	struct vdb_slice *slice = NULL;
	void *map = NULL;
	char order;

	client_introduce(group);
	while (receive_order(socket, &order) && order != ORDER_QUIT) {
		uint64_t answer = 0;

		switch (order) {
		case ORDER_MAP:
			slice = vdb_slice_receive(socket);
			if (!slice)
				err(1, "client: receiving the slice");
			map = client_map(slice);
			break;
		case ORDER_TALK: client_talk(map); break;
		case ORDER_WATCH:
			/* Answered immediately, too: the owner continues while this reads. */
			send(socket, &answer, sizeof(answer), 0);
			answer = client_watch(map, socket);
			break;
		case ORDER_LOOK: client_look(map); break;
		case ORDER_TRY: client_try(map, slice); break;
		}
		fflush(stdout);
		send(socket, &answer, sizeof(answer), 0);
	}
	return 0;
}

/* ------------------------------------------------------------------------
 * The owner.
 */

static void start_client(int *socket, const char *group)
{
	int sockets[2];
	char fd[16];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets))
		err(1, "socketpair");
	fflush(stdout);
	switch (fork()) {
	case -1:
		err(1, "fork");
	case 0:
		/* After this the client has no fd and no privilege of the owner. */
		if (setgroups(0, NULL) || setgid(CLIENT_UID) || setuid(CLIENT_UID))
			err(1, "becoming user %d", CLIENT_UID);
		fcntl(sockets[1], F_SETFD, 0);
		snprintf(fd, sizeof(fd), "%d", sockets[1]);
		execl("/proc/self/exe", "owner", "client", fd, group, NULL);
		err(1, "exec of the client");
	}
	close(sockets[1]);
	*socket = sockets[0];
}

static uint64_t answer(int socket)
{
	uint64_t number;

	if (recv(socket, &number, sizeof(number), 0) != sizeof(number))
		errx(1, "the client is gone");
	return number;
}

static uint64_t tell(int socket, char order)
{
	fflush(stdout);
	if (send(socket, &order, 1, 0) != 1)
		err(1, "sending to the client");
	return answer(socket);
}

static void group_path(const char *bdf, char *path, size_t size)
{
	char link[64], target[256];
	ssize_t length;

	snprintf(link, sizeof(link), "/sys/bus/pci/devices/%s/iommu_group", bdf);
	length = readlink(link, target, sizeof(target) - 1);
	if (length == -1)
		err(1, "%s has no IOMMU group", bdf);
	target[length] = '\0';
	snprintf(path, size, "/dev/vfio%s", strrchr(target, '/'));
}

/* A page of BAR 0 through the device fd, as every VFIO driver maps it. */
static void *map_page(struct vdb_device *device, uint64_t offset)
{
	struct vfio_region_info bar = {
		.argsz = sizeof(bar),
		.index = VFIO_PCI_BAR0_REGION_INDEX,
	};
	int fd = vdb_device_fd(device);
	void *map;

	if (ioctl(fd, VFIO_DEVICE_GET_REGION_INFO, &bar))
		err(1, "asking for BAR 0");
	map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, bar.offset + offset);
	if (map == MAP_FAILED)
		err(1, "BAR 0 at 0x%" PRIx64, offset);
	return map;
}

static struct vdb_slice *export_page(struct vdb_device *device, uint64_t offset)
{
	const struct vdb_range page = { offset, PAGE };
	struct vdb_slice *slice = vdb_slice_export(device, 0, &page, 1, 0);

	if (!slice || vdb_slice_watch(device, slice))
		err(1, "exporting BAR 0 at 0x%" PRIx64, offset);
	return slice;
}

static void owner(const char *bdf)
{
	void *registers, *doorbells;
	struct vdb_device *device;
	struct vdb_slice *slice;
	int socket, status;
	uint64_t reads;
	char group[64];

	group_path(bdf, group, sizeof(group));

	step("The owner opens the device and maps two parts of BAR 0");
	device = vdb_device_open(bdf, NULL, NULL);
	if (!device)
		err(1, "%s", bdf);
	printf("     owner: vdb_device_open(\"%s\")\n", bdf);
	registers = map_page(device, 0);
	doorbells = map_page(device, NVME_DOORBELLS);
	show_maps(registers, "the controller's registers");
	show_maps(doorbells, "the doorbells");
	printf("   Look at: each line's offset is the offset in the BAR, and the file is a DMABUF\n"
	       "   that is named for the VFIO device, the PCI function and the BAR.\n");

	step("The owner exports the first page as a slice and sends it to a client");
	slice = export_page(device, 0);
	start_client(&socket, group);
	send(socket, &(char){ ORDER_MAP }, 1, 0);
	if (vdb_slice_send(socket, device, slice))
		err(1, "sending the slice");
	fflush(stdout);
	answer(socket);
	printf("   Look at: the client has no way to the device but that slice.\n");

	step("The client talks to the device's registers");
	tell(socket, ORDER_TALK);
	printf("     owner: in my own mapping CC reads 0x%08x\n",
	       vdb_read32(registers + NVME_CC));
	if (vdb_read32(registers + NVME_CC) != NVME_CC_SIZES)
		errx(1, "owner and client do not see the same register");
	printf("   Look at: both processes see the same register.\n");

	step("The device is reset while the client reads");
	tell(socket, ORDER_WATCH);
	for (int i = 0; i < RESETS; i++)
		if (vdb_device_reset(device))
			err(1, "vdb_device_reset");
	send(socket, &(char){ ORDER_STOP }, 1, 0);
	reads = answer(socket);
	answer(socket);
	printf("     owner: %d resets done; the client read %" PRIu64 " times meanwhile, without an error\n",
	       RESETS, reads);
	tell(socket, ORDER_LOOK);
	printf("   Look at: CC is 0, so the reset was real. Reads waited for it and went on;\n"
	       "   no process mapped anything again.\n");

	step("The owner revokes the slice");
	if (vdb_slice_revoke(device, slice))
		err(1, "vdb_slice_revoke");
	printf("     owner: vdb_slice_revoke() has returned\n");
	tell(socket, ORDER_TRY);
	printf("     owner: my own mapping goes on: version %08x\n",
	       vdb_read32(registers + NVME_VS));
	printf("   Look at: the client still holds slice and mapping, and reaches nothing with them.\n");

	send(socket, &(char){ ORDER_QUIT }, 1, 0);
	if (wait(&status) == -1 || status)
		errx(1, "the client failed");
	vdb_slice_free(slice);
	vdb_device_close(device);
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "client"))
		return client(atoi(argv[2]), argv[3]);
	if (argc != 2)
		errx(2, "usage: owner BDF");
	owner(argv[1]);
	return 0;
}
