// SPDX-License-Identifier: MIT
/*
 * Memory for DMA: which of it devices reach, through a container and through an iommufd.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/vfio.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <vfio-dmabuf.h>

#include "client.h"
#include "device.h"
#include "dmar.h"
#include "edu.h"
#include "edu_dma.h"
#include "kmsg.h"
#include "owner.h"
#include "page.h"
#include "suite.h"
#include "sysfs.h"

#define RW	(PROT_READ | PROT_WRITE)

/* The interrupt controller's addresses, which no IOMMU of a PC translates. */
#ifdef __aarch64__
#define MSI_FIRST	0x8000000UL	/* where Linux maps the doorbells of interrupts */
#define MSI_LAST	0x80fffffUL
#else
#define MSI_FIRST	0xfee00000UL
#define MSI_LAST	0xfeefffffUL
#endif

enum way { GROUP, CDEV, WAYS };

/* Replaces the C library's function, which our library calls. */
static bool no_iommufd;
static bool no_map_file;

int access(const char *path, int mode)
{
	if (no_iommufd && !strcmp(path, "/dev/iommu")) {
		errno = ENOENT;
		return -1;
	}
	return syscall(SYS_faccessat, AT_FDCWD, path, mode);
}

/* IOMMU_IOAS_MAP_FILE, which kernels before Linux 6.13 do not have. */
int ioctl(int fd, unsigned long request, ...)
{
	va_list args;
	void *arg;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	if (no_map_file && request == _IO(';', 0x8f)) {
		errno = ENOTTY;
		return -1;
	}
	return syscall(SYS_ioctl, fd, request, arg);
}

static struct vdb_dma *dma;
static void *edu;

static void open_dma(void)
{
	char error[VDB_ERROR_SIZE];

	dma = vdb_dma_from_device(owner, error);
	ck_assert_msg(dma, "%s", error);
}

static void open_device(const char *name, enum way way)
{
	no_iommufd = way == GROUP;
	owner_open(name);
	open_dma();
	ck_assert_uint_eq(!vdb_dma_ioas(dma), way == GROUP);
}

static void open_edu(enum way way)
{
	open_device("EDU", way);
	edu = edu_start(owner);
}

static struct vdb_slice *alloc(uint64_t length, unsigned int flags)
{
	struct vdb_slice *slice = vdb_memory_alloc(dma, length, flags);

	ck_assert_msg(slice, "%s", vdb_dma_error(dma));
	return slice;
}

static uint64_t map(void *address, uint64_t length, unsigned int flags)
{
	uint64_t iova;

	ck_assert_msg(!vdb_dma_map(dma, address, length, flags, &iova), "%s", vdb_dma_error(dma));
	return iova;
}

static char *pages(size_t length)
{
	char *area = mmap(NULL, length, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	ck_assert_ptr_ne(area, MAP_FAILED);
	return area;
}

static void check_filled(const char *at, char with, size_t length)
{
	for (size_t i = 0; i < length; i++)
		if (at[i] != with)
			ck_abort_msg("byte %zu is %#x, not %#x", i, at[i], with);
}

/* Fills the device's buffer with @with, from memory that the device may read. */
static void fill_device(char with)
{
	struct vdb_slice *slice = alloc(PAGE, VDB_FLAG_DMA_READ_ONLY);

	memset(owner_map(slice, RW), with, PAGE);
	edu_from_memory(edu, vdb_slice_iova(slice), PAGE);
	ck_assert_works(vdb_dma_revoke(dma, slice));
	vdb_slice_free(slice);
}

/*
 * An access of a device to @iova is a fault that the IOMMU reports.  The kernel logs only
 * some faults in 5 s, so this repeats the access until a fault is logged.
 */
static void check_faults(const char *name, uint64_t iova, void (*access_it)(uint64_t iova))
{
	int kmsg = kmsg_open();
	char text[128];

	dmar_text_at(lab_bdf(name), iova, text, sizeof(text));
	for (int tries = 0; tries < 5; tries++) {
		access_it(iova);
		if (kmsg_wait_for(kmsg, text, 6)) {
			close(kmsg);
			return;
		}
	}
	ck_abort_msg("the kernel has not logged \"%s\"", text);
}

static void write_a_page(uint64_t iova)
{
	edu_to_memory(edu, iova, PAGE);
}

static void check_write_is_stopped(uint64_t iova)
{
	check_faults("EDU", iova, write_a_page);
}

START_TEST(device_reads_and_writes)
{
	char *area = pages(2 * PAGE);
	uint64_t iova;

	open_edu(_i);
	memset(area, 'a', PAGE);
	iova = map(area, 2 * PAGE, 0);
	edu_from_memory(edu, iova, PAGE);
	edu_to_memory(edu, iova + PAGE, PAGE);
	check_filled(area, 'a', 2 * PAGE);
	ck_assert_works(vdb_dma_unmap(dma, iova, 2 * PAGE));
}
END_TEST

START_TEST(nothing_after_unmap)
{
	char *area = pages(PAGE);
	uint64_t iova;

	open_edu(_i);
	fill_device('d');
	iova = map(area, PAGE, 0);
	edu_to_memory(edu, iova, PAGE);
	check_filled(area, 'd', PAGE);
	ck_assert_works(vdb_dma_unmap(dma, iova, PAGE));
	memset(area, 'm', PAGE);
	check_write_is_stopped(iova);
	check_filled(area, 'm', PAGE);
}
END_TEST

START_TEST(read_only_for_the_device)
{
	char *area = pages(PAGE);
	uint64_t iova;

	open_edu(_i);
	fill_device('d');
	memset(area, 'r', PAGE);
	iova = map(area, PAGE, VDB_FLAG_DMA_READ_ONLY);
	/* First: QEMU reports no fault where its IOTLB has an entry from a read. */
	check_write_is_stopped(iova);
	check_filled(area, 'r', PAGE);
	edu_from_memory(edu, iova, PAGE);
	edu_to_memory(edu, iova, PAGE);
	memset(area, 'm', PAGE);
	edu_to_memory(edu, iova, PAGE);
	check_filled(area, 'm', PAGE);
	edu_to_memory(edu, map(area, PAGE, 0), PAGE);
	check_filled(area, 'r', PAGE);
}
END_TEST

/* The pages before and after these addresses are used. */
START_TEST(interrupt_addresses_are_never_given)
{
	char *area = pages(PAGE);
	unsigned int below = 0, above = 0;

	open_device("EDU", _i);
	ck_assert_works(vdb_dma_reserve(dma, 0, MSI_FIRST - 4 * PAGE));
	ck_assert_works(vdb_dma_set_width(dma, 32));
	for (int i = 0; i < 16; i++) {
		uint64_t iova = map(area, PAGE, 0);

		ck_assert(iova < MSI_FIRST || iova > MSI_LAST);
		below += iova < MSI_FIRST;
		above += iova > MSI_LAST;
	}
	ck_assert_uint_eq(below, 4);
	ck_assert_uint_eq(above, 12);
	if (_i == GROUP) {
		struct vfio_iommu_type1_dma_map request = {
			.argsz = sizeof(request),
			.flags = VFIO_DMA_MAP_FLAG_READ,
			.vaddr = (uintptr_t)area,
			.iova = MSI_FIRST,
			.size = PAGE,
		};

		ck_assert_fails(ioctl(vdb_device_iommu_fd(owner), VFIO_IOMMU_MAP_DMA, &request), EINVAL);
	}
}
END_TEST

START_TEST(no_iova_left)
{
	char *area = pages(PAGE);
	uint64_t iova;

	open_device("EDU", _i);
	ck_assert_works(vdb_dma_set_width(dma, 16));
	/* The first page is not used. */
	for (uint64_t size = PAGE; size < 0x10000; size += PAGE)
		ck_assert_uint_lt(map(area, PAGE, 0), 0x10000);
	ck_assert_fails(vdb_dma_map(dma, area, PAGE, 0, &iova), ENOSPC);
	ck_assert_ptr_nonnull(strstr(vdb_dma_error(dma), "no IOVA left"));
	ck_assert_ptr_null(vdb_memory_alloc(dma, PAGE, 0));
	ck_assert_int_eq(errno, ENOSPC);
	ck_assert_works(vdb_dma_unmap(dma, 0x8000, PAGE));
	ck_assert_uint_eq(map(area, PAGE, 0), 0x8000);
}
END_TEST

/* The object of another process does not know our mappings, but the kernel does. */
START_TEST(two_objects_of_one_space)
{
	struct vdb_dma *first;
	char *area = pages(PAGE);
	uint64_t iova;

	open_device("EDU", _i);
	iova = map(area, PAGE, 0);
	first = dma;
	open_dma();
	ck_assert_uint_ne(map(area, PAGE, 0), iova);
	ck_assert_works(vdb_dma_unmap(first, iova, PAGE));
}
END_TEST

/* The DMA engine of this device uses the lower 28 bits of an address. */
START_TEST(device_of_28_bits)
{
	const uint64_t end = 1UL << 28;
	struct vdb_slice *slice;
	char *memory;

	open_device("EDU28", _i);
	edu = edu_start(owner);
	ck_assert_works(vdb_dma_reserve(dma, PAGE, end - 3 * PAGE));
	ck_assert_works(vdb_dma_set_width(dma, 28));
	fill_device('w');
	slice = alloc(2 * PAGE, 0);
	ck_assert_uint_eq(vdb_slice_iova(slice), end - 2 * PAGE);
	memory = owner_map(slice, RW);
	edu_to_memory(edu, end - PAGE, PAGE);
	check_filled(memory, 0, PAGE);
	check_filled(memory + PAGE, 'w', PAGE);
	ck_assert_ptr_null(vdb_memory_alloc(dma, PAGE, 0));
	ck_assert_int_eq(errno, ENOSPC);
	/* Above the limit, memory is mapped, but the device does not reach it. */
	ck_assert_works(vdb_dma_set_width(dma, 64));
	slice = alloc(PAGE, 0);
	ck_assert_uint_ge(vdb_slice_iova(slice), end);
	memory = owner_map(slice, RW);
	edu_to_memory(edu, vdb_slice_iova(slice), PAGE);
	check_filled(memory, 0, PAGE);
}
END_TEST

/* ---- limits ---- */

static void limit_memory(rlim_t bytes)
{
	struct rlimit limit;

	ck_assert_works(getrlimit(RLIMIT_MEMLOCK, &limit));
	limit.rlim_cur = bytes;
	ck_assert_works(setrlimit(RLIMIT_MEMLOCK, &limit));
}

/* With the limit that the error names, the same call works. */
START_TEST(memlock_limit_of_an_ordinary_user)
{
	unsigned long long need = 0;
	const char *text;
	char limit[60];

	open_device("EDU", _i);
	client_become(CLIENT_NOBODY);
	limit_memory(16 * PAGE);
	ck_assert_ptr_nonnull(vdb_memory_alloc(dma, 8 * PAGE, 0));
	ck_assert_ptr_null(vdb_memory_alloc(dma, 16 * PAGE, 0));
	ck_assert_int_eq(errno, EDQUOT);
	text = vdb_dma_error(dma);
	snprintf(limit, sizeof(limit), "RLIMIT_MEMLOCK is %lu bytes", 16 * PAGE);
	ck_assert_msg(strstr(text, limit), "%s", text);
	ck_assert_msg(strstr(text, "at least "), "%s", text);
	sscanf(strstr(text, "at least "), "at least %llu", &need);
	ck_assert_uint_eq(need, 24 * PAGE);
	limit_memory(need - PAGE);
	ck_assert_ptr_null(vdb_memory_alloc(dma, 16 * PAGE, 0));
	ck_assert_int_eq(errno, EDQUOT);
	limit_memory(need);
	alloc(16 * PAGE, 0);
}
END_TEST

START_TEST(devices_of_others)
{
	char error[VDB_ERROR_SIZE];
	struct vdb_device *device;
	int zero;

	open_device("EDU", _i);
	device = vdb_device_from_fd(vdb_device_fd(owner));
	ck_assert_ptr_nonnull(device);
	ck_assert_ptr_null(vdb_dma_from_device(device, error));
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_ptr_nonnull(strstr(error, "vdb_dma_from_fd()"));
	dma = vdb_dma_from_fd(vdb_device_iommu_fd(owner), vdb_dma_ioas(dma), error);
	ck_assert_msg(dma, "%s", error);
	map(pages(PAGE), PAGE, 0);
	zero = open("/dev/zero", O_RDWR | O_CLOEXEC);
	ck_assert_ptr_null(vdb_dma_from_fd(zero, vdb_dma_ioas(dma), error));
	ck_assert_ptr_null(vdb_dma_from_fd(open("/dev/vfio/vfio", O_RDWR | O_CLOEXEC), 0, error));
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_msg(strstr(error, "has no IOMMU"), "%s", error);
}
END_TEST

/* ---- slices of memory ---- */

/* Runs in the client: receives a slice, and writes to it. */
static struct vdb_slice *received;
static char *received_map;

static long receive_and_write(const struct client_step *step)
{
	received = vdb_slice_receive(step->arg[0]);
	if (!received || vdb_slice_kind(received) != VDB_KIND_MEMORY)
		return -1;
	received_map = vdb_slice_map(received, 0, 0, RW);
	if (!received_map)
		return -1;
	memset(received_map, 'c', vdb_slice_length(received));
	return vdb_slice_iova(received);
}

static long read_and_write(const struct client_step *step)
{
	char before = received_map[step->arg[0]];

	memset(received_map, 'C', vdb_slice_length(received));
	return before;
}

static long punch_hole(const struct client_step *step)
{
	(void)step;
	return fallocate(vdb_slice_fd(received), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE);
}

static long change_size(const struct client_step *step)
{
	return ftruncate(vdb_slice_fd(received), step->arg[0]);
}

static struct client *client_with(const struct vdb_slice *slice)
{
	struct client *c = client_start(CLIENT_NOBODY);
	struct client_step step = { .fd = -1 };
	int ends[2];

	ck_assert_works(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends));
	step.arg[0] = client_give(c, ends[1]);
	ck_assert_works(vdb_slice_send(ends[0], NULL, slice));
	ck_assert_int_eq(client_call(c, receive_and_write, &step), vdb_slice_iova(slice));
	close(ends[0]);
	close(ends[1]);
	return c;
}

/* The device reads what an unprivileged process wrote, until the slice is revoked. */
START_TEST(client_has_memory)
{
	struct vdb_slice *slice, *other;
	struct client *c;

	open_edu(_i);
	slice = alloc(2 * PAGE, 0);
	other = alloc(PAGE, 0);
	c = client_with(slice);
	edu_from_memory(edu, vdb_slice_iova(slice) + PAGE, PAGE);
	edu_to_memory(edu, vdb_slice_iova(other), PAGE);
	check_filled(owner_map(other, PROT_READ), 'c', PAGE);
	fill_device('d');
	edu_to_memory(edu, vdb_slice_iova(slice), PAGE);
	ck_assert_works(vdb_dma_revoke(dma, slice));
	ck_assert_int_eq(client_call(c, read_and_write, &(struct client_step){ .fd = -1 }), 'd');
	check_write_is_stopped(vdb_slice_iova(slice));
	ck_assert_int_eq(client_call(c, read_and_write, &(struct client_step){ .fd = -1 }), 'C');
	ck_assert_fails(vdb_dma_revoke(dma, slice), EBADFD);
	client_end(c);
}
END_TEST

/* The device keeps its pages; the client receives new ones. */
START_TEST(client_punches_a_hole)
{
	struct vdb_slice *slice, *other;
	struct client *c;

	open_edu(_i);
	slice = alloc(PAGE, 0);
	other = alloc(PAGE, 0);
	c = client_with(slice);
	ck_assert_fails(client_call(c, change_size, &(struct client_step){ .fd = -1 }), EPERM);
	ck_assert_fails(client_call(c, change_size, &(struct client_step){ { 2 * PAGE }, -1 }), EPERM);
	ck_assert_works(client_call(c, punch_hole, &(struct client_step){ .fd = -1 }));
	edu_from_memory(edu, vdb_slice_iova(slice), PAGE);
	edu_to_memory(edu, vdb_slice_iova(other), PAGE);
	check_filled(owner_map(other, PROT_READ), 'c', PAGE);
	check_filled(owner_map(slice, PROT_READ), 0, PAGE);
	fill_device('d');
	edu_to_memory(edu, vdb_slice_iova(slice), PAGE);
	check_filled(owner_map(slice, PROT_READ), 0, PAGE);
	client_end(c);
}
END_TEST

START_TEST(memory_that_only_the_device_writes)
{
	struct vdb_slice *slice;

	open_edu(_i);
	fill_device('d');
	slice = alloc(PAGE, VDB_FLAG_READ_ONLY);
	errno = 0;
	ck_assert_ptr_null(vdb_slice_map(slice, 0, 0, RW));
	ck_assert_int_eq(errno, EACCES);
	edu_to_memory(edu, vdb_slice_iova(slice), PAGE);
	check_filled(owner_map(slice, PROT_READ), 'd', PAGE);
}
END_TEST

static void no_huge_pages(void)
{
	file_write(page_reserve(), "0");
}

START_TEST(huge_pages)
{
	struct vdb_slice *slice, *none;
	char *memory;

	ck_assert_works(file_write(page_reserve(), "1"));
	open_edu(_i);
	fill_device('h');
	slice = alloc(PMD, VDB_FLAG_HUGE);
	ck_assert_uint_eq(vdb_slice_flags(slice), VDB_FLAG_HUGE);
	ck_assert_uint_eq(vdb_slice_iova(slice) % PMD, 0);
	memory = owner_map(slice, RW);
	edu_to_memory(edu, vdb_slice_iova(slice) + PMD - PAGE, PAGE);
	check_filled(memory + PMD - PAGE, 'h', PAGE);
	errno = 0;
	ck_assert_ptr_null(vdb_slice_map(slice, PAGE, PAGE, RW));
	ck_assert_int_eq(errno, EINVAL);
	/* There is no second huge page. */
	none = alloc(PMD, VDB_FLAG_HUGE);
	ck_assert_uint_eq(vdb_slice_flags(none), 0);
	edu_to_memory(edu, vdb_slice_iova(none), PAGE);
	check_filled(owner_map(none, RW), 'h', PAGE);
	ck_assert_works(vdb_slice_unmap(slice, memory, 0, 0));
	ck_assert_works(vdb_dma_revoke(dma, slice));
	vdb_slice_free(slice);
}
END_TEST

START_TEST(kernel_without_map_file)
{
	struct vdb_slice *slice;

	no_map_file = true;
	open_edu(CDEV);
	fill_device('f');
	slice = alloc(PAGE, 0);
	edu_to_memory(edu, vdb_slice_iova(slice), PAGE);
	check_filled(owner_map(slice, PROT_READ), 'f', PAGE);
	ck_assert_works(vdb_dma_revoke(dma, slice));
	check_write_is_stopped(vdb_slice_iova(slice));
}
END_TEST

/* ---- the admin queues of an NVMe controller, in slices of memory ---- */

#define NVME_CC		0x14
#define NVME_CSTS	0x1c
#define NVME_AQA	0x24
#define NVME_ASQ	0x28
#define NVME_ACQ	0x30
#define NVME_SQ_TAIL	0x1000	/* of the admin queue */
#define NVME_CQ_HEAD	0x1004
#define NVME_END	0x1008
#define QUEUE_LENGTH	16	/* more than there are commands */
#define IDENTIFY	0x06

struct completion {
	uint32_t result, reserved;
	uint16_t head, queue, id, status;	/* bit 0 of status is the phase */
};

static void *nvme;
static uint32_t *commands;
static const volatile struct completion *completions;
static unsigned int tail;

/* Polls the controller, which does not report in another way that it is done. */
static void wait_a_little(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
}

/* The controller only reads commands, and only it writes completions. */
static void start_nvme(void)
{
	struct vdb_slice *sq = alloc(PAGE, VDB_FLAG_DMA_READ_ONLY), *cq = alloc(PAGE, VDB_FLAG_READ_ONLY);

	nvme = owner_map(owner_export(0, 0, (NVME_END + PAGE - 1) & -PAGE, 0), RW);
	ck_assert_works(vdb_device_set_bus_master(owner, true));
	commands = owner_map(sq, RW);
	completions = owner_map(cq, PROT_READ);
	vdb_write32(nvme + NVME_AQA, (QUEUE_LENGTH - 1) << 16 | (QUEUE_LENGTH - 1));
	vdb_write64(nvme + NVME_ASQ, vdb_slice_iova(sq));
	vdb_write64(nvme + NVME_ACQ, vdb_slice_iova(cq));
	vdb_write32(nvme + NVME_CC, 1 | 6 << 16 | 4 << 20);
	while (!(vdb_read32(nvme + NVME_CSTS) & 1))
		wait_a_little();
}

/* Makes the controller write its description to a page at @iova; returns the status. */
static unsigned int identify(uint64_t iova)
{
	uint32_t *command = commands + tail * 16;
	const volatile struct completion *completion = &completions[tail];

	memset(command, 0, 64);
	command[0] = IDENTIFY | tail << 16;
	command[6] = (uint32_t)iova;
	command[7] = (uint32_t)(iova >> 32);
	command[10] = 1;
	tail++;
	vdb_write32(nvme + NVME_SQ_TAIL, tail);
	while (!(completion->status & 1))
		wait_a_little();
	vdb_write32(nvme + NVME_CQ_HEAD, tail);
	return completion->status >> 1;
}

static void identify_again(uint64_t iova)
{
	identify(iova);
}

START_TEST(nvme_queues)
{
	struct vdb_slice *data;
	char *memory;

	open_device("NVME", _i);
	start_nvme();
	data = alloc(PAGE, 0);
	memory = owner_map(data, RW);
	ck_assert_uint_eq(identify(vdb_slice_iova(data)), 0);
	/* The serial number. */
	ck_assert_int_eq(memcmp(memory + 4, "lab0", 4), 0);

	ck_assert_works(vdb_dma_revoke(dma, data));
	memset(memory, 'm', PAGE);
	/* QEMU's controller does not notice the fault, even if its status reports one. */
	check_faults("NVME", vdb_slice_iova(data), identify_again);
	check_filled(memory, 'm', PAGE);
}
END_TEST

/* ---- an owner that is killed ---- */

static void wait_to_be_killed(int socket, struct vdb_slice *slice)
{
	edu_to_memory(edu, vdb_slice_iova(slice), PAGE);
	if (!vdb_slice_send(socket, NULL, slice))
		pause();
	_exit(1);
}

/* The memory of an owner that was killed when the device had written to it. */
static struct vdb_slice *kill_owner(int socket, pid_t pid, char written)
{
	struct vdb_slice *slice = vdb_slice_receive(socket);

	ck_assert_ptr_nonnull(slice);
	check_filled(owner_map(slice, RW), written, PAGE);
	ck_assert_works(kill(pid, SIGKILL));
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	return slice;
}

/* All its fds are closed with it. */
START_TEST(killed_owner)
{
	struct vdb_slice *slice;
	int ends[2];
	char *memory;
	pid_t pid;

	ck_assert_works(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends));
	pid = fork();
	ck_assert_works(pid);
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		open_edu(_i);
		fill_device('k');
		wait_to_be_killed(ends[1], alloc(PAGE, 0));
	}
	slice = kill_owner(ends[0], pid, 'k');
	memory = owner_map(slice, RW);
	memset(memory, 'm', PAGE);
	open_edu(_i);
	check_write_is_stopped(vdb_slice_iova(slice));
	check_filled(memory, 'm', PAGE);
}
END_TEST

/* Another process has the device, the container or iommufd, and the memfd. */
START_TEST(killed_owner_whose_fds_are_kept)
{
	struct vdb_slice *slice;
	int ends[2];
	char *memory;
	pid_t pid;

	ck_assert_works(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends));
	open_edu(_i);
	pid = fork();
	ck_assert_works(pid);
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		fill_device('k');
		wait_to_be_killed(ends[1], alloc(PAGE, 0));
	}
	slice = kill_owner(ends[0], pid, 'k');
	memory = owner_map(slice, RW);
	memset(memory, 'm', PAGE);
	edu_to_memory(edu, vdb_slice_iova(slice), PAGE);
	check_filled(memory, 'k', PAGE);

	ck_assert_works(vdb_dma_reserve(dma, vdb_slice_iova(slice), vdb_slice_length(slice)));
	ck_assert_uint_ne(vdb_slice_iova(alloc(PAGE, 0)), vdb_slice_iova(slice));
	ck_assert_works(vdb_dma_revoke(dma, slice));
	memset(memory, 'm', PAGE);
	check_write_is_stopped(vdb_slice_iova(slice));
	check_filled(memory, 'm', PAGE);
}
END_TEST

/* Through the group, and through the cdev if the kernel has one. */
static void add_both(TCase *tc, const TTest *test)
{
	tcase_add_loop_test(tc, test, 0, device_cdev_missing() ? CDEV : WAYS);
}

Suite *suite(void)
{
	Suite *s = suite_create("reach");
	TCase *tc = add_group(s, "mappings");

	add_both(tc, device_reads_and_writes);
	add_both(tc, nothing_after_unmap);
	add_both(tc, read_only_for_the_device);
	add_both(tc, interrupt_addresses_are_never_given);
	add_both(tc, no_iova_left);
	add_both(tc, two_objects_of_one_space);
	add_both(tc, device_of_28_bits);
	add_both(tc, memlock_limit_of_an_ordinary_user);
	add_both(tc, devices_of_others);

	tc = add_group(s, "memory");
	tcase_add_unchecked_fixture(tc, NULL, no_huge_pages);
	add_both(tc, client_has_memory);
	add_both(tc, client_punches_a_hole);
	add_both(tc, memory_that_only_the_device_writes);
	if (access(page_reserve(), F_OK))
		add_test_or_skip(tc, huge_pages, "this kernel has no huge pages for memory");
	else
		add_both(tc, huge_pages);
	add_test_or_skip(tc, kernel_without_map_file, device_cdev_missing());

	tc = add_group(s, "nvme");
	add_both(tc, nvme_queues);

	tc = add_group(s, "owner");
	add_both(tc, killed_owner);
	add_both(tc, killed_owner_whose_fds_are_kept);
	return s;
}
