/* SPDX-License-Identifier: MIT */
/*
 * The main job, step by step, on an NVMe controller: an owner that holds the
 * VFIO device fd, and a client that holds one page of the controller's BAR and
 * nothing else.
 *
 *	demo [BDF]
 *
 * Without BDF, the first NVMe controller that is bound to dmabuf-vfio-pci.
 * Run as root; the client becomes user 1000 before it does anything.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <limits.h>
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
#include <linux/vfio.h>
#include <linux/vfio_dmabuf.h>

#define DRIVER		"dmabuf-vfio-pci"
#define CLIENT_UID	1000
#define PAGE		0x1000UL
#define RESETS		5

/* Registers of every NVMe controller, in BAR 0 (NVM Express Base Specification). */
#define NVME_CAP	0x00	/* 64 bits: what the controller can do */
#define NVME_VS		0x08	/* version of the specification */
#define NVME_CC		0x14	/* configuration; a reset clears it */
#define NVME_CC_SIZES	0x00460000	/* queue entries of 64 and 16 bytes; not enabled */

/* Where the doorbells of the I/O queues start. */
#define NVME_DOORBELLS	0x1000

static uint32_t read32(const volatile void *map, unsigned int reg)
{
	return *(const volatile uint32_t *)((const volatile char *)map + reg);
}

static void write32(volatile void *map, unsigned int reg, uint32_t value)
{
	*(volatile uint32_t *)((volatile char *)map + reg) = value;
}

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
 * The client.  It takes orders through a socket, one byte each, and answers
 * each with a number when it has done and said what there is to say.
 */

enum order {
	ORDER_MAP = 'm',	/* comes with the slice's fd */
	ORDER_TALK = 't',	/* read and write registers */
	ORDER_WATCH = 'w',	/* read a register until the next order comes */
	ORDER_STOP = 's',	/* that order */
	ORDER_LOOK = 'l',	/* read once more, and see a reset's trace */
	ORDER_TRY = 'r',	/* read what has been revoked */
	ORDER_QUIT = 'q',
};

static sigjmp_buf no_access;

static void on_sigbus(int signal)
{
	siglongjmp(no_access, signal);
}

static int receive_fd(int socket, char *order)
{
	char control[CMSG_SPACE(sizeof(int))];
	struct iovec data = { order, 1 };
	struct msghdr message = {
		.msg_iov = &data, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *header;
	int fd = -1;

	if (recvmsg(socket, &message, MSG_CMSG_CLOEXEC) != 1)
		return -2;
	header = CMSG_FIRSTHDR(&message);
	if (header && header->cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(header), sizeof(fd));
	return fd;
}

static void client_introduce(const char *group)
{
	printf("     client: I am process %d of user %d.\n", getpid(), getuid());
	if (open(group, O_RDWR) == -1)
		printf("     client: open(\"%s\") says: %s\n", group, strerror(errno));
	else
		errx(1, "%s is open to user %d", group, getuid());
}

static void *client_map(int slice)
{
	void *map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, slice, 0);

	if (map == MAP_FAILED)
		err(1, "client: mmap of the slice");
	printf("     client: mmap() of the fd that I was sent:\n");
	show_maps(map, "BAR 0 from byte 0, one page");
	return map;
}

static void client_talk(void *map)
{
	uint32_t version = read32(map, NVME_VS);

	printf("     client: the controller says it is NVMe %u.%u, capabilities %08x%08x\n",
	       version >> 16, version >> 8 & 0xff,
	       read32(map, NVME_CAP + 4), read32(map, NVME_CAP));
	write32(map, NVME_CC, NVME_CC_SIZES);
	printf("     client: I wrote 0x%08x to register CC and read back 0x%08x\n",
	       NVME_CC_SIZES, read32(map, NVME_CC));
}

static uint64_t client_watch(void *map, int socket)
{
	uint64_t reads = 0;
	char order;

	do {
		for (int i = 0; i < 1000; i++, reads++)
			read32(map, NVME_VS);
	} while (recv(socket, &order, 1, MSG_PEEK | MSG_DONTWAIT) == -1);
	return reads;
}

static void client_look(void *map)
{
	uint32_t configuration = read32(map, NVME_CC);

	printf("     client: same mapping, same address: version %08x as before, CC 0x%08x\n",
	       read32(map, NVME_VS), configuration);
	if (configuration)
		errx(1, "client: the reset did not clear CC");
}

static void client_try(void *map, int slice)
{
	struct sigaction action = { .sa_handler = on_sigbus };

	sigaction(SIGBUS, &action, NULL);
	if (!sigsetjmp(no_access, 1)) {
		read32(map, NVME_VS);
		errx(1, "client: the slice still reads after it was revoked");
	}
	printf("     client: my next read got SIGBUS\n");

	if (mmap(NULL, PAGE, PROT_READ, MAP_SHARED, slice, 0) != MAP_FAILED)
		errx(1, "client: the slice can be mapped after it was revoked");
	printf("     client: and mmap() of the slice now says: %s\n", strerror(errno));
}

static int client(int socket, const char *group)
{
	void *map = NULL;
	int slice = -1;

	client_introduce(group);
	for (;;) {
		uint64_t answer = 0;
		char order;
		int fd = receive_fd(socket, &order);

		if (fd == -2 || order == ORDER_QUIT)
			return 0;
		if (fd >= 0)
			slice = fd;
		switch (order) {
		case ORDER_MAP: map = client_map(slice); break;
		case ORDER_TALK: client_talk(map); break;
		case ORDER_WATCH:
			/* Answered at once, too: the owner goes on while this reads. */
			send(socket, &answer, sizeof(answer), 0);
			answer = client_watch(map, socket);
			break;
		case ORDER_LOOK: client_look(map); break;
		case ORDER_TRY: client_try(map, slice); break;
		}
		fflush(stdout);
		send(socket, &answer, sizeof(answer), 0);
	}
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
		/* Nothing of the owner's is left after this: not an fd, not a right. */
		if (setgroups(0, NULL) || setgid(CLIENT_UID) || setuid(CLIENT_UID))
			err(1, "becoming user %d", CLIENT_UID);
		fcntl(sockets[1], F_SETFD, 0);
		snprintf(fd, sizeof(fd), "%d", sockets[1]);
		execl("/proc/self/exe", "demo", "client", fd, group, NULL);
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

static uint64_t tell(int socket, char order, int fd)
{
	char control[CMSG_SPACE(sizeof(int))] = "";
	struct iovec data = { &order, 1 };
	struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1 };

	if (fd >= 0) {
		struct cmsghdr *header;

		message.msg_control = control;
		message.msg_controllen = sizeof(control);
		header = CMSG_FIRSTHDR(&message);
		header->cmsg_level = SOL_SOCKET;
		header->cmsg_type = SCM_RIGHTS;
		header->cmsg_len = CMSG_LEN(sizeof(fd));
		memcpy(CMSG_DATA(header), &fd, sizeof(fd));
	}
	fflush(stdout);
	if (sendmsg(socket, &message, 0) != 1)
		err(1, "sending to the client");
	return answer(socket);
}

static bool is_nvme(const char *bdf)
{
	char path[256], class[16] = "";
	FILE *file;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/class", bdf);
	file = fopen(path, "r");
	if (!file)
		return false;
	if (!fgets(class, sizeof(class), file))
		class[0] = '\0';
	fclose(file);
	return !strncmp(class, "0x010802", 8);
}

static const char *find_nvme(void)
{
	static char bdf[NAME_MAX + 1];
	struct dirent *entry;
	DIR *devices = opendir("/sys/bus/pci/drivers/" DRIVER);

	if (!devices)
		errx(1, "driver " DRIVER " is not loaded; try: modprobe " DRIVER);
	while ((entry = readdir(devices))) {
		if (!is_nvme(entry->d_name))
			continue;
		/* The first in order, for the same choice every time. */
		if (!bdf[0] || strcmp(entry->d_name, bdf) < 0)
			snprintf(bdf, sizeof(bdf), "%s", entry->d_name);
	}
	closedir(devices);
	if (!bdf[0])
		errx(1, "no NVMe controller is bound to " DRIVER);
	return bdf;
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

static int open_device(const char *bdf, const char *group_file)
{
	int container = open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC);
	int group = open(group_file, O_RDWR | O_CLOEXEC);
	int device;

	if (container == -1 || group == -1)
		err(1, "opening %s", group == -1 ? group_file : "/dev/vfio/vfio");
	if (ioctl(group, VFIO_GROUP_SET_CONTAINER, &container) ||
	    ioctl(container, VFIO_SET_IOMMU, VFIO_TYPE1v2_IOMMU))
		err(1, "setting up the VFIO container");
	device = ioctl(group, VFIO_GROUP_GET_DEVICE_FD, bdf);
	if (device == -1)
		err(1, "opening %s", bdf);
	return device;
}

static void *map_bar(int device, uint64_t bar_offset)
{
	struct vfio_region_info region = {
		.argsz = sizeof(region), .index = VFIO_PCI_BAR0_REGION_INDEX,
	};
	void *map;

	if (ioctl(device, VFIO_DEVICE_GET_REGION_INFO, &region))
		err(1, "VFIO_DEVICE_GET_REGION_INFO");
	map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, device,
		   region.offset + bar_offset);
	if (map == MAP_FAILED)
		err(1, "mmap of BAR 0 at 0x%" PRIx64, bar_offset);
	return map;
}

/* One page of BAR 0 as a slice's fd. */
static int export_page(int device, uint64_t bar_offset)
{
	struct {
		struct vfio_device_feature feature;
		struct vfio_device_feature_dma_buf dma_buf;
		struct vfio_region_dma_range range;
	} request = {
		.feature = {
			.argsz = sizeof(request),
			.flags = VFIO_DEVICE_FEATURE_DMA_BUF |
				 VFIO_DEVICE_FEATURE_GET,
		},
		.dma_buf = {
			.region_index = VFIO_PCI_BAR0_REGION_INDEX,
			.open_flags = O_RDWR | O_CLOEXEC,
			.nr_ranges = 1,
		},
		.range = { .offset = bar_offset, .length = PAGE },
	};
	int fd = ioctl(device, VFIO_DEVICE_FEATURE, &request);

	if (fd == -1)
		err(1, "VFIO_DEVICE_FEATURE_DMA_BUF");
	return fd;
}

static void revoke_slice(int device, int slice)
{
	struct {
		struct vfio_device_feature feature;
		struct vfio_dmabuf_feature_revoke revoke;
	} request = {
		.feature = {
			.argsz = sizeof(request),
			.flags = VFIO_DMABUF_FEATURE_REVOKE |
				 VFIO_DEVICE_FEATURE_SET,
		},
		.revoke = { .dmabuf_fd = slice },
	};

	if (ioctl(device, VFIO_DEVICE_FEATURE, &request))
		err(1, "VFIO_DMABUF_FEATURE_REVOKE");
}

static void owner(const char *bdf)
{
	void *registers, *doorbells;
	int device, slice, socket, status;
	uint64_t reads;
	char group[64];

	group_path(bdf, group, sizeof(group));

	step("The owner opens the device and maps two parts of BAR 0");
	printf("     owner: %s, driver " DRIVER ", opened through %s\n", bdf, group);
	device = open_device(bdf, group);
	registers = map_bar(device, 0);
	doorbells = map_bar(device, NVME_DOORBELLS);
	show_maps(registers, "the controller's registers");
	show_maps(doorbells, "the doorbells");
	printf("   Look at: each line's offset is the offset in the BAR, and the file is a DMABUF\n"
	       "   that is named for the VFIO device, the PCI function and the BAR.\n");

	step("The owner exports the first page as a slice and sends its fd to a client");
	slice = export_page(device, 0);
	start_client(&socket, group);
	tell(socket, ORDER_MAP, slice);
	printf("   Look at: the client has no way to the device but that fd.\n");

	step("The client talks to the device's registers");
	tell(socket, ORDER_TALK, -1);
	printf("     owner: in my own mapping CC reads 0x%08x\n",
	       read32(registers, NVME_CC));
	if (read32(registers, NVME_CC) != NVME_CC_SIZES)
		errx(1, "owner and client do not see the same register");
	printf("   Look at: both processes see the same register.\n");

	step("The device is reset while the client reads");
	tell(socket, ORDER_WATCH, -1);
	for (int i = 0; i < RESETS; i++)
		if (ioctl(device, VFIO_DEVICE_RESET))
			err(1, "VFIO_DEVICE_RESET");
	send(socket, &(char){ ORDER_STOP }, 1, 0);
	reads = answer(socket);
	answer(socket);
	printf("     owner: %d resets done; the client read %" PRIu64 " times meanwhile, without an error\n",
	       RESETS, reads);
	tell(socket, ORDER_LOOK, -1);
	printf("   Look at: CC is 0, so the reset was real. Reads waited for it and went on;\n"
	       "   nobody mapped anything again.\n");

	step("The owner revokes the slice");
	revoke_slice(device, slice);
	printf("     owner: VFIO_DMABUF_FEATURE_REVOKE has returned\n");
	tell(socket, ORDER_TRY, -1);
	printf("     owner: my own mapping goes on: version %08x\n",
	       read32(registers, NVME_VS));
	printf("   Look at: the client still holds fd and mapping, and reaches nothing with them.\n");

	send(socket, &(char){ ORDER_QUIT }, 1, 0);
	if (wait(&status) == -1 || status)
		errx(1, "the client failed");
	printf("\nAll of it happened as described.\n");
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[1], "client"))
		return client(atoi(argv[2]), argv[3]);
	if (argc > 2)
		errx(2, "usage: demo [BDF]");
	owner(argc == 2 ? argv[1] : find_nvme());
	return 0;
}
