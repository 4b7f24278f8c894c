// SPDX-License-Identifier: MIT
/* Programs of calls to the driver, as short byte strings. */
#define _GNU_SOURCE
#include "calls.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <linux/vfio.h>
#include <linux/vfio_dmabuf.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/vfio_nodes.h"
#include "device.h"
#include "importer.h"
#include "memory.h"
#include "page.h"
#include "suite.h"
#include "sysfs.h"

#define REGION(index)	((uint64_t)(index) << 40)
#define MOST_ARGS	16

/* What the program has made so far. */
#define MOST		8

struct slice {
	int fd;
	uint64_t id;
	bool read_only, revoked;
	/* Of vfio-pci-core, with several ranges. */
	bool core_ranges;
	unsigned int device;
};

struct mapping {
	char *at;
	size_t length;
	int slice;		/* index, or -1: of the device */
	unsigned int device;
};

/* NVME has a real reset, HOT0 a neighbour; both take long to open and close. */
static const char *const names[] = { "IVSHMEM", "IVSHMEM2", "NVME", "HOT0" };
#define DEVICES	(sizeof(names) / sizeof(*names))

/* The slow ones are rare. */
static unsigned int device_index(uint8_t byte)
{
	return (byte & 1) + (byte >= 0xe0 ? 2 : 0);
}

static struct device devices[DEVICES];
static struct slice slices[MOST];
static struct mapping mappings[MOST];
static int events[MOST], importers[MOST];
static bool core_export[DEVICES];
static const char *wrong;

/* One call's bytes after the first. */
static const uint8_t *args;

/* Parts of a mapping that are left keep the device open, and its group busy. */
static bool is_busy(const char *bdf)
{
	struct vfio_nodes nodes;
	int fd;

	vfio_nodes_find(bdf, &nodes);
	fd = open(nodes.group, O_RDWR | O_CLOEXEC);
	if (fd >= 0)
		close(fd);
	return fd < 0 && errno == EBUSY;
}

static struct device *open_device(unsigned int index)
{
	struct device *dev = &devices[index];

	if (dev->fd >= 0)
		return dev;
	/* The program ends here. */
	if (is_busy(lab_bdf(names[index])))
		_exit(0);
	device_open(dev, names[index]);
	return dev;
}

static struct device *device(uint8_t byte)
{
	return open_device(device_index(byte));
}

/* A BAR that can be mapped, most of the time. */
static unsigned int bar_of(uint8_t dev, uint8_t byte)
{
	if (byte & 0x80)
		return byte & 0xf;
	return device_index(dev) == 2 ? 0 : 2;
}

/* Small numbers of pages, and now and then others. */
static uint64_t length_of(uint8_t byte)
{
	const uint64_t odd[] = {
		0, 1, PAGE - 1, PAGE + 1, PMD, PMD - PAGE, 16 << 20, 1 << 30,
		REGION(1), REGION(6), -1, -PAGE, 1ULL << 63, INT64_MAX, UINT32_MAX, 2 * PMD + PAGE,
	};

	if (byte >= 0xf0)
		return odd[byte & 0xf];
	return byte * PAGE;
}

static struct slice *slice_at(uint8_t byte)
{
	return &slices[byte % MOST];
}

static struct mapping *mapping_at(uint8_t byte)
{
	return &mappings[byte % MOST];
}

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void keep_slice(uint8_t slot, int fd, uint8_t dev, bool read_only, unsigned int ranges)
{
	struct slice *s = slice_at(slot);

	if (fd < 0)
		return;
	/* Mappings of the one before are still of that one. */
	for (size_t i = 0; i < MOST; i++)
		if (mappings[i].slice == slot % MOST)
			mappings[i].slice = -2;
	close_fd(&s->fd);
	*s = (struct slice){
		.fd = fd,
		.read_only = read_only,
		.core_ranges = core_export[device_index(dev)] && ranges > 1,
		.device = device_index(dev),
	};
}

static int feature(struct device *dev, uint32_t flags, void *data, size_t size, size_t argsz)
{
	static _Alignas(8) char room[8192];
	struct vfio_device_feature *request = (void *)room;
	int ret;

	memset(room, 0, sizeof(room));
	request->argsz = argsz;
	request->flags = flags;
	memcpy(request->data, data, size);
	ret = ioctl(dev->fd, VFIO_DEVICE_FEATURE, request);
	memcpy(data, request->data, size);
	return ret;
}

#define FEATURE_SIZE(size)	(sizeof(struct vfio_device_feature) + (size))
#define GET	VFIO_DEVICE_FEATURE_GET
#define SET	VFIO_DEVICE_FEATURE_SET

/* slot, device, BAR, flags, ranges, and for each of up to 4: offset, length */
static void call_export(void)
{
	static const uint32_t open_flags[] = {
		O_RDWR, O_RDONLY, O_RDWR | O_CLOEXEC, O_WRONLY, O_RDWR | O_NONBLOCK, O_ACCMODE, ~0U, O_RDONLY,
	};
	struct {
		struct vfio_device_feature_dma_buf head;
		struct vfio_region_dma_range ranges[4];
	} request = {
		.head = {
			.region_index = bar_of(args[1], args[2]),
			.open_flags = open_flags[args[3] & 7],
			.flags = args[3] >> 7,
			.nr_ranges = args[4] % 6,
		},
	};

	for (size_t i = 0; i < 4; i++) {
		request.ranges[i].offset = length_of(args[5 + 2 * i]);
		request.ranges[i].length = length_of(args[6 + 2 * i]);
	}
	keep_slice(args[0], feature(device(args[1]), GET | VFIO_DEVICE_FEATURE_DMA_BUF, &request,
				    sizeof(request), FEATURE_SIZE(sizeof(request))),
		   args[1], !(request.head.open_flags & O_ACCMODE), request.head.nr_ranges);
}

/* slot, device, seed, gap: one of hundreds of ranges */
static void call_export_many(void)
{
	static struct {
		struct vfio_device_feature_dma_buf head;
		struct vfio_region_dma_range ranges[400];
	} request;
	unsigned int nr = args[2] + 100;

	request.head = (struct vfio_device_feature_dma_buf){
		.region_index = bar_of(args[1], 0),
		.open_flags = O_RDWR,
		.nr_ranges = nr,
	};
	for (unsigned int i = 0; i < nr; i++) {
		request.ranges[i].offset = (args[3] & 1 ? nr - i : i) * PAGE * (1 + (args[3] >> 1 & 3));
		request.ranges[i].length = PAGE;
	}
	keep_slice(args[0], feature(device(args[1]), GET | VFIO_DEVICE_FEATURE_DMA_BUF, &request,
				    sizeof(request), FEATURE_SIZE(sizeof(request))), args[1], false, nr);
}

static int prot_of(uint8_t byte)
{
	return byte & 7;
}

static int map_flags_of(uint8_t byte)
{
	static const int extra[] = {
		0, MAP_POPULATE, MAP_LOCKED, MAP_NORESERVE, MAP_FIXED, MAP_HUGETLB, MAP_STACK, MAP_NONBLOCK,
	};

	return (byte & 0x40 ? MAP_PRIVATE : byte & 0x80 ? MAP_SHARED_VALIDATE : MAP_SHARED) | extra[byte >> 3 & 7];
}

/* Former mappings no longer exist, so forget what was known of these addresses. */
static void forget_mappings(const char *at, size_t length)
{
	for (size_t i = 0; i < MOST; i++)
		if (mappings[i].at && at < mappings[i].at + mappings[i].length + PAGE &&
		    mappings[i].at < at + length + PAGE)
			mappings[i].slice = -2;
}

static void keep_mapping(uint8_t slot, void *at, size_t length, int slice, unsigned int dev)
{
	struct mapping *m = mapping_at(slot);

	if (at == MAP_FAILED)
		return;
	forget_mappings(at, length);
	*m = (struct mapping){ .at = at, .length = length, .slice = slice, .device = dev };
}

/* Addresses at which a huge page can be. */
static void *address_for(uint8_t flags, size_t length)
{
	static char *room;

	if (!(map_flags_of(flags) & MAP_FIXED) || length > 32 << 20)
		return NULL;
	if (!room) {
		room = mmap(NULL, 64 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		room = (char *)(((uintptr_t)room + PMD - 1) & -PMD);
	}
	return room;
}

static int fixed_only_with_address(int flags, const void *address)
{
	return address ? flags : flags & ~MAP_FIXED;
}

/* slot, device, BAR, offset, length, protection and flags */
static void call_map_device(void)
{
	struct device *dev = device(args[1]);
	size_t length = length_of(args[4]);
	void *address = address_for(args[5], length);

	keep_mapping(args[0], mmap(address, length, prot_of(args[5]),
				   fixed_only_with_address(map_flags_of(args[5]), address), dev->fd,
				   (off_t)(REGION(bar_of(args[1], args[2])) + length_of(args[3]))),
		     length, -1, device_index(args[1]));
}

/* slot, slice, offset, length, protection and flags */
static void call_map_slice(void)
{
	struct slice *s = slice_at(args[1]);
	size_t length = length_of(args[3]);
	void *address = address_for(args[4], length), *at;

	if (s->fd < 0)
		return;
	at = mmap(address, length, prot_of(args[4]), fixed_only_with_address(map_flags_of(args[4]), address),
		  s->fd, (off_t)length_of(args[2]));
	if (at != MAP_FAILED && s->revoked)
		wrong = "a revoked slice can be mapped";
	if (at != MAP_FAILED && s->read_only && prot_of(args[4]) & PROT_WRITE)
		wrong = "a read-only slice can be mapped writable";
	keep_mapping(args[0], at, length, args[1] % MOST, s->device);
}

static void check_access(const struct mapping *m, int signal, bool write)
{
	const struct slice *s = m->slice >= 0 ? &slices[m->slice] : NULL;

	if (signal || !s)
		return;
	if (s->revoked)
		wrong = "a mapping of a revoked slice reaches the device";
	if (write && s->read_only)
		wrong = "a read-only slice is written";
}

/* mapping, page, whether to write */
static void call_touch(void)
{
	struct mapping *m = mapping_at(args[0]);
	size_t page = args[1] * PAGE;
	uint32_t value;

	if (!m->at || page + PAGE > m->length)
		return;
	if (args[2] & 1)
		check_access(m, try_write32(m->at + page + 0x20, 0), true);
	else
		check_access(m, try_read32(m->at + page + 0x20, &value), false);
}

/* mapping, offset, length */
static void call_unmap(void)
{
	struct mapping *m = mapping_at(args[0]);
	size_t offset = args[1] * PAGE, length = (args[2] + 1) * PAGE;

	if (m->at && offset < m->length)
		munmap(m->at + offset, length < m->length - offset ? length : m->length - offset);
}

/* mapping, new length, flags */
static void call_remap(void)
{
	struct mapping *m = mapping_at(args[0]);
	size_t length = (args[1] + 1) * PAGE;
	int flags = args[2] & (MREMAP_MAYMOVE | MREMAP_DONTUNMAP);
	void *at;

	if (!m->at)
		return;
	if (args[2] & 0x80)
		at = mremap(m->at, 0, length, MREMAP_MAYMOVE);
	else
		at = mremap(m->at, flags & MREMAP_DONTUNMAP ? length : m->length, length, flags);
	if (at != MAP_FAILED) {
		int slice = m->slice;

		forget_mappings(at, length);
		*m = (struct mapping){ at, length, slice, m->device };
	}
}

/* mapping, page, pages, protection */
static void call_protect(void)
{
	struct mapping *m = mapping_at(args[0]);
	size_t offset = args[1] * PAGE, length = (args[2] + 1) * PAGE;

	if (m->at && offset + length <= m->length)
		mprotect(m->at + offset, length, prot_of(args[3]));
}

/* mapping, page, pages, which */
static void call_advise(void)
{
	static const int advice[] = {
		MADV_DONTNEED, MADV_WILLNEED, MADV_DONTFORK, MADV_DOFORK, MADV_HUGEPAGE, MADV_NOHUGEPAGE,
		MADV_FREE, MADV_REMOVE, MADV_WIPEONFORK, MADV_KEEPONFORK, MADV_COLD, MADV_PAGEOUT,
		MADV_POPULATE_READ, MADV_POPULATE_WRITE, MADV_COLLAPSE, MADV_DODUMP,
	};
	struct mapping *m = mapping_at(args[0]);
	size_t offset = args[1] * PAGE, length = (args[2] + 1) * PAGE;

	if (!m->at || offset + length > m->length)
		return;
	if (args[3] & 0x80)
		mlock(m->at + offset, length);
	else if (args[3] & 0x40)
		munlock(m->at + offset, length);
	else if (args[3] & 0x20)
		msync(m->at + offset, length, MS_SYNC);
	else
		madvise(m->at + offset, length, advice[args[3] & 15]);
}

/* mapping, page: whether others can get at it, which ends in no access at all */
static void call_walk(void)
{
	struct mapping *m = mapping_at(args[0]);
	size_t offset = args[1] * PAGE;
	char bytes[64];
	unsigned char core[1];
	struct iovec local = { bytes, sizeof(bytes) }, remote = { m->at + offset, sizeof(bytes) };

	if (!m->at || offset + PAGE > m->length)
		return;
	process_vm_readv(getpid(), &local, 1, &remote, 1, 0);
	mincore(m->at + offset, PAGE, core);
	syscall(SYS_remap_file_pages, m->at, PAGE, 0, args[2], 0);
}

static void end_child(void)
{
	_exit(0);
}

/* mapping, what the child does */
static void call_fork(void)
{
	struct mapping *m = mapping_at(args[0]);
	pid_t pid = fork();
	uint32_t value;

	if (pid > 0) {
		waitpid(pid, NULL, 0);
		return;
	}
	if (pid < 0)
		return;
	if (m->at && m->length >= PAGE) {
		if (args[1] & 1)
			try_read32(m->at, &value);
		if (args[1] & 2)
			munmap(m->at, PAGE);
		if (args[1] & 4)
			mremap(m->at, PAGE, 2 * PAGE, MREMAP_MAYMOVE);
	}
	end_child();
}

static void check_revoked(const struct slice *s)
{
	uint32_t value;

	for (size_t i = 0; i < MOST; i++)
		if (mappings[i].at && mappings[i].slice == s - slices && mappings[i].length >= PAGE)
			check_access(&mappings[i], try_read32(mappings[i].at, &value), false);
}

static int fd_of(uint8_t how, const struct slice *s)
{
	static const int odd[] = { -1, -2, 0, 100000 };

	return how & 0x80 ? odd[how & 3] : s->fd;
}

/* device, slice, how it is named */
static void call_revoke(void)
{
	struct slice *s = slice_at(args[1]);
	struct vfio_dmabuf_feature_revoke request = {
		.dmabuf_fd = args[2] & 1 ? -1 : fd_of(args[2], s),
		.flags = args[2] & 0x10 ? VFIO_DMABUF_NONBLOCK : 0,
		.id = args[2] & 1 ? s->id : args[2] >> 2 & 1,
	};
	bool named = args[2] & 1 ? s->id : s->fd >= 0 && request.dmabuf_fd == s->fd;
	int ret = feature(device(args[0]), SET | VFIO_DMABUF_FEATURE_REVOKE, &request, sizeof(request),
			  FEATURE_SIZE(sizeof(request)));

	if (named && (!ret || errno == EBADFD || errno == EINTR)) {
		s->revoked = true;
		check_revoked(s);
	}
}

/* device, slice, how, attribute */
static void call_memattr(void)
{
	struct vfio_dmabuf_feature_memattr request = {
		.dmabuf_fd = fd_of(args[2], slice_at(args[1])),
		.memattr = args[3] % 3,
	};

	feature(device(args[0]), SET | VFIO_DMABUF_FEATURE_MEMATTR, &request, sizeof(request),
		FEATURE_SIZE(sizeof(request)));
}

/* slot, device, slice, how, flags */
static void call_events(void)
{
	struct slice *s = slice_at(args[2]);
	struct vfio_dmabuf_feature_events request = {
		.dmabuf_fd = args[3] & 1 ? -1 : fd_of(args[3], s),
		.id = args[3] & 1 ? s->id : args[3] >> 2 & 1,
		.open_flags = args[4] & 0x80 ? args[4] : args[4] & 1 ? O_NONBLOCK | O_CLOEXEC : O_NONBLOCK,
	};
	int fd;

	/* Of the device. */
	if (args[3] & 8) {
		request.dmabuf_fd = -1;
		request.id = 0;
	}
	fd = feature(device(args[1]), GET | VFIO_DMABUF_FEATURE_EVENTS, &request, sizeof(request),
		     FEATURE_SIZE(sizeof(request)));
	if (fd < 0)
		return;
	close_fd(&events[args[0] % MOST]);
	events[args[0] % MOST] = fd;
}

static void on_alarm(int number)
{
	(void)number;
}

/* event file, size */
static void call_read_event(void)
{
	/* Again and again: the first may come before the read. */
	const struct itimerval often = { { 0, 2000 }, { 0, 2000 } }, never = { 0 };
	struct sigaction action = { .sa_handler = on_alarm };
	int fd = events[args[0] % MOST];
	char bytes[64], *volatile nowhere = (char *)8;
	unsigned int left;

	if (fd < 0)
		return;
	if (args[1] & 0x80)
		fcntl(fd, F_SETFL, args[1] & 0x40 ? O_NONBLOCK : 0);
	/* Instead of the alarm that ends a program that hangs. */
	left = alarm(0);
	sigaction(SIGALRM, &action, NULL);
	setitimer(ITIMER_REAL, &often, NULL);
	if (args[1] & 0x20)
		read(fd, nowhere, sizeof(bytes));
	else
		read(fd, bytes, args[1] & 1 ? args[1] & 0x1f : sizeof(bytes));
	setitimer(ITIMER_REAL, &never, NULL);
	action.sa_handler = SIG_DFL;
	sigaction(SIGALRM, &action, NULL);
	alarm(left);
}

/* event file */
static void call_poll_event(void)
{
	struct pollfd poll_fd = { .fd = events[args[0] % MOST], .events = args[1] };

	poll(&poll_fd, 1, 0);
	if (args[1] & 0x80 && poll_fd.fd >= 0)
		close(dup(poll_fd.fd));
}

/* device, register, size, value */
static void call_config(void)
{
	static const uint8_t odd[] = { 4, 5, 3, 0x44, 0x10, 0x3c };
	struct device *dev = device(args[0]);
	unsigned int at = args[1] & 0x80 ? odd[args[1] % sizeof(odd)] : args[1] & 0x40 ? 4 : args[1];
	unsigned int pm = args[1] & 0x20 ? config_find_cap(dev, 1) + 4 : 0;
	uint8_t bytes[8] = { args[3], args[3] >> 4, args[3], args[3] };
	char *volatile nowhere = (char *)8;

	if (pm > 4)
		at = pm;
	if (args[2] & 0x80)
		pread(dev->fd, bytes, args[2] & 7, (off_t)(REGION(VFIO_PCI_CONFIG_REGION_INDEX) + at));
	else if (args[2] & 0x40)
		pwrite(dev->fd, nowhere, args[2] & 7, (off_t)(REGION(VFIO_PCI_CONFIG_REGION_INDEX) + at));
	else
		pwrite(dev->fd, bytes, args[2] & 7, (off_t)(REGION(VFIO_PCI_CONFIG_REGION_INDEX) + at));
}

/* device, on or off */
static void call_memory(void)
{
	device_set_memory(device(args[0]), args[1] & 1);
}

/* device, which */
static void call_reset(void)
{
	struct device *dev = device(args[0]);
	struct {
		struct vfio_pci_hot_reset head;
		int group;
	} request = {
		.head = { .argsz = sizeof(request), .count = args[1] & 0x80 ? args[1] & 3 : 1 },
		.group = dev->group,
	};

	switch (args[1] & 3) {
	case 0:
		ioctl(dev->fd, VFIO_DEVICE_RESET);
		return;
	case 1:
		ioctl(dev->fd, VFIO_DEVICE_PCI_HOT_RESET, &request);
		return;
	case 2:
		sysfs_write(dev->bdf, "reset", "1");
		return;
	}
	ioctl(dev->fd, VFIO_DEVICE_GET_INFO, 8);
}

/* device, in or out */
static void call_power(void)
{
	static const uint32_t features[] = {
		VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY, VFIO_DEVICE_FEATURE_LOW_POWER_EXIT,
	};

	device_feature(device(args[0]), SET | features[args[1] & 1]);
}

/* device, after, room, what is wrong with it */
static void call_list(void)
{
	struct vfio_dmabuf_buffer buffers[16] = { 0 };
	struct vfio_dmabuf_feature_list request = {
		.after = args[1] & 0x80 ? slices[args[1] % MOST].id : args[1],
		.buffers = args[3] & 1 ? 8 : (uintptr_t)buffers,
		.nr = args[2] % 17,
		.size = sizeof(*buffers) + (args[3] & 2 ? 8 : 0),
	};

	feature(device(args[0]), GET | VFIO_DMABUF_FEATURE_LIST, &request, sizeof(request),
		FEATURE_SIZE(sizeof(request)));
}

/* device, slice, how, first range, ranges, what is wrong with it */
static void call_info(void)
{
	struct slice *s = slice_at(args[1]);
	struct vfio_region_dma_range ranges[32];
	struct vfio_dmabuf_feature_info request = {
		.dmabuf_fd = args[2] & 1 ? -1 : fd_of(args[2], s),
		.id = args[2] & 1 ? s->id : args[2] >> 2 & 1,
		.nr_ranges = args[4] & 0x80 ? ~0U : args[4] % 33,
		.first_range = args[3] & 0x80 ? -(uint64_t)args[3] : args[3],
		.ranges = args[5] & 1 || args[4] & 0x80 ? 8 : (uintptr_t)ranges,
	};

	if (!feature(device(args[0]), GET | VFIO_DMABUF_FEATURE_INFO, &request, sizeof(request),
		     FEATURE_SIZE(sizeof(request))) && !(args[2] & 1) && request.dmabuf_fd == s->fd)
		s->id = request.buffer.id;
}

/* device, feature, flags, size, four bytes of data */
static void call_raw(void)
{
	static const uint32_t ours[] = {
		VFIO_DMABUF_FEATURE_REVOKE, VFIO_DMABUF_FEATURE_MEMATTR, VFIO_DMABUF_FEATURE_CORE_EXPORT,
		VFIO_DMABUF_FEATURE_EVENTS, VFIO_DMABUF_FEATURE_LIST, VFIO_DMABUF_FEATURE_INFO,
		VFIO_DEVICE_FEATURE_DMA_BUF, VFIO_DMABUF_FEATURE_EXPORT,
	};
	uint32_t index = args[1] & 0x80 ? args[1] & 0x1f : ours[args[1] & 7];
	uint8_t data[256];
	int fd;

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = args[4 + i % 4];
	fd = feature(device(args[0]), index | (uint32_t)(args[2] & 7) << 16 | (args[2] & 0x80 ? 1U << 24 : 0),
		     data, sizeof(data), args[3] & 0x80 ? args[3] & 0x7f : FEATURE_SIZE(args[3]));
	/* Any file, if it is an fd. */
	if (fd > 2)
		close(fd);
}

/* which, and what of it */
static void call_close(void)
{
	struct slice *s = slice_at(args[1]);

	switch (args[0] & 3) {
	case 0:
		close_fd(&s->fd);
		break;
	case 1:
		close_fd(&events[args[1] % MOST]);
		break;
	case 2:
		close_fd(&importers[args[1] % MOST]);
		break;
	case 3:
		/* Mappings only keep it open. */
		device_close(&devices[device_index(args[1])]);
		if (args[1] & 0x80)
			device(args[1]);
		break;
	}
}

/* device, BAR, offset, size, whether to write */
static void call_region(void)
{
	struct device *dev = device(args[0]);
	off_t at = (off_t)(REGION(bar_of(args[0], args[1])) + args[2] * 8);
	char bytes[16] = { 0 };

	if (args[4] & 1)
		pwrite(dev->fd, bytes, args[3] & 15, at);
	else
		pread(dev->fd, bytes, args[3] & 15, at);
}

static const char *const settings[] = { "vfio_dmabuf/write_combine", "vfio_dmabuf/core_export" };

void calls_restore_settings(void)
{
	for (size_t i = 0; i < DEVICES; i++)
		for (size_t j = 0; j < sizeof(settings) / sizeof(*settings); j++)
			sysfs_write(lab_bdf(names[i]), settings[j], "0");
}

/* device, setting, value */
static void call_setting(void)
{
	static const char *const values[] = { "1", "0", "x", "" };
	struct device *dev = device(args[0]);
	const char *name = settings[args[1] & 1];
	char path[256], text[512];

	sysfs_write(dev->bdf, name, values[args[2] & 3]);
	if (!(args[2] & 0x80))
		sysfs_write(dev->bdf, name, "0");
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/%s", dev->bdf, name);
	if (file_read(path, text, sizeof(text)) > 0 && args[1] & 1)
		core_export[device_index(args[0])] = *text == '1';
}

/* slice, which, value */
static void call_dmabuf(void)
{
	struct dma_buf_sync sync = { .flags = args[2] & 7 };
	struct dma_buf_export_sync_file file = { .flags = args[2] & 3, .fd = -1 };
	int fd = slice_at(args[0])->fd;
	char name[4] = { args[2], args[2], 0 };
	struct pollfd poll_fd = { .fd = fd, .events = args[2] };

	if (fd < 0)
		return;
	switch (args[1] % 6) {
	case 0:
		ioctl(fd, DMA_BUF_SET_NAME, name);
		return;
	case 1:
		ioctl(fd, DMA_BUF_IOCTL_SYNC, &sync);
		return;
	case 2:
		if (!ioctl(fd, DMA_BUF_IOCTL_EXPORT_SYNC_FILE, &file))
			close(file.fd);
		return;
	case 3:
		lseek(fd, 0, args[2] % 3);
		return;
	case 4:
		poll(&poll_fd, 1, 0);
		return;
	case 5:
		fcntl(fd, F_SETFL, args[2]);
		return;
	}
}

/* device */
static void call_debugfs(void)
{
	char path[128], text[8192];

	snprintf(path, sizeof(path), "/sys/kernel/debug/dmabuf-vfio-pci/%s/buffers", device(args[0])->bdf);
	file_read(path, text, sizeof(text));
}

/* importer, slice, flags: attaches if it is not */
static void call_import(void)
{
	int *importer = &importers[args[0] % MOST];
	struct slice *s = slice_at(args[1]);

	/*
	 * Linux 7.3 maps all ranges of a vfio-pci-core export at one IOVA, and the SMMU's
	 * driver warns about that: docs/kernel-bugs.md.
	 */
	if (s->fd < 0 || s->core_ranges)
		return;
	if (*importer < 0)
		*importer = open(IMPORTER_PATH, O_RDWR | O_CLOEXEC);
	if (*importer >= 0)
		importer_try_attach(*importer, s->fd, open_device(s->device), args[2] & 0x80 ? args[2] & 7 : 0);
}

/* importer, what */
static void call_importer(void)
{
	int importer = importers[args[0] % MOST];
	char bytes[64] = { 0 };

	if (importer < 0)
		return;
	switch (args[1] & 3) {
	case 0:
		importer_map(importer, args[1] >> 2 & 3);
		return;
	case 1:
		importer_unmap(importer);
		return;
	case 2:
		importer_detach(importer);
		return;
	case 3:
		pread(importer, bytes, sizeof(bytes), args[1] & 0xf0);
		return;
	}
}

static const struct {
	void (*run)(void);
	uint8_t args;
} kinds[] = {
	{ call_export, 13 },
	{ call_map_device, 6 },
	{ call_map_slice, 5 },
	{ call_touch, 3 },
	{ call_revoke, 3 },
	{ call_events, 5 },
	{ call_read_event, 2 },
	{ call_poll_event, 2 },
	{ call_memory, 2 },
	{ call_config, 4 },
	{ call_reset, 2 },
	{ call_power, 2 },
	{ call_info, 6 },
	{ call_list, 4 },
	{ call_memattr, 4 },
	{ call_unmap, 3 },
	{ call_remap, 3 },
	{ call_protect, 4 },
	{ call_advise, 4 },
	{ call_walk, 3 },
	{ call_fork, 2 },
	{ call_export_many, 4 },
	{ call_import, 3 },
	{ call_importer, 2 },
	{ call_raw, 8 },
	{ call_close, 2 },
	{ call_region, 5 },
	{ call_setting, 3 },
	{ call_dmabuf, 3 },
	{ call_debugfs, 1 },
};

unsigned int calls_kinds(void)
{
	return sizeof(kinds) / sizeof(*kinds);
}

unsigned int calls_size(uint8_t kind)
{
	return 1 + kinds[kind % calls_kinds()].args;
}

static void begin(void)
{
	static const struct device none = { .fd = -1, .group = -1, .container = -1 };

	for (size_t i = 0; i < DEVICES; i++)
		devices[i] = none;
	for (size_t i = 0; i < MOST; i++) {
		slices[i] = (struct slice){ .fd = -1 };
		mappings[i] = (struct mapping){ .slice = -1 };
		events[i] = importers[i] = -1;
	}
	memset(core_export, 0, sizeof(core_export));
	wrong = NULL;
}

static void end(void)
{
	/* One more look at all that is revoked. */
	for (size_t i = 0; i < MOST; i++)
		if (slices[i].revoked)
			check_revoked(&slices[i]);
	for (size_t i = 0; i < MOST; i++) {
		close_fd(&importers[i]);
		close_fd(&events[i]);
		close_fd(&slices[i].fd);
	}
	for (size_t i = 0; i < DEVICES; i++)
		device_close(&devices[i]);
	for (size_t i = 0; i < MOST; i++)
		if (mappings[i].at)
			munmap(mappings[i].at, mappings[i].length);
}

const char *calls_run(const uint8_t *program, size_t size)
{
	uint8_t room[MOST_ARGS];

	begin();
	for (size_t at = 0; at < size && !wrong; at += calls_size(program[at])) {
		size_t left = size - at - 1;

		/* The last one may lack some. */
		memset(room, 0, sizeof(room));
		memcpy(room, program + at + 1, left < sizeof(room) ? left : sizeof(room));
		args = room;
		kinds[program[at] % calls_kinds()].run();
	}
	end();
	return wrong;
}
