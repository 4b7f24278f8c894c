// SPDX-License-Identifier: MIT
/*
 * Clients that try to delay the owner, to keep access, or to damage the kernel.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/dma-buf.h>
#include <linux/futex.h>
#include <linux/pci_regs.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "client.h"
#include "device.h"
#include "fence/fence.h"
#include "importer.h"
#include "kernel.h"
#include "listing.h"
#include "memory.h"
#include "page.h"
#include "prompt.h"
#include "slice.h"
#include "suite.h"
#include "sysfs.h"

#define MEM	2	/* ivshmem's BAR that is plain memory */
#define RW	(PROT_READ | PROT_WRITE)
#define MANY	20000

static struct device dev;

static void setup_mem(void)
{
	device_open(&dev, "IVSHMEM");
}

static void setup_nvme(void)
{
	device_open(&dev, "NVME");
}

static int try_read(const void *address)
{
	uint32_t value;

	return try_read32(address, &value);
}

static long step_import_fence(const struct client_step *step)
{
	struct dma_buf_import_sync_file import = {
		.flags = DMA_BUF_SYNC_RW,
		.fd = step->fd,
	};

	return ioctl(step->arg[0], DMA_BUF_IOCTL_IMPORT_SYNC_FILE, &import);
}

/* Lets a client add a fence to a slice that is never signalled. */
static struct client *hang_fence(int slice)
{
	struct client *c = client_start(CLIENT_NOBODY);
	int device = open(FENCE_PATH, O_RDWR | O_CLOEXEC), fence;
	struct client_step step = { { client_give(c, slice) }, -1 };

	ck_assert_works(device);
	fence = ioctl(device, FENCE_NEW);
	ck_assert_works(fence);
	step.fd = fence;
	ck_assert_works(client_call(c, step_import_fence, &step));
	return c;
}

START_TEST(fence_does_not_delay_revocation)
{
	int fd = slice_new(&dev, 0, 0, PAGE);
	char *map = slice_map(fd, 0, PAGE);
	struct client *c = hang_fence(fd);

	read32(map);
	ck_assert_prompt(slice_revoke(&dev, fd));
	ck_assert_int_eq(try_read(map), SIGBUS);
	client_end(c);
}
END_TEST

START_TEST(fence_does_not_delay_suspension)
{
	int fd = slice_new(&dev, 0, 0, PAGE);
	char *map = slice_map(fd, 0, PAGE);
	struct client *c = hang_fence(fd);
	double begin;

	read32(map);
	ck_assert_prompt(device_reset(&dev));
	ck_assert_prompt(sysfs_write(dev.bdf, "reset", "1"));
	begin = now();
	device_set_memory(&dev, false);
	ck_assert(now() - begin < bound());
	ck_assert_int_eq(try_read(map), SIGBUS);
	device_set_memory(&dev, true);
	read32(map);
	begin = now();
	device_close(&dev);
	ck_assert(now() - begin < bound());
	ck_assert_int_eq(try_read(map), SIGBUS);
	client_end(c);
}
END_TEST

/* An importer does not wait for fences either, unless it asks for that. */
START_TEST(fence_does_not_keep_importers)
{
	int fd = slice_new(&dev, 0, 0, PAGE);
	int importer = importer_attach(fd, &dev);
	struct client *c = hang_fence(fd);

	ck_assert_works(importer_map(importer, IMPORTER_READS));
	ck_assert_prompt(device_reset(&dev));
	ck_assert_uint_eq(importer_status(importer).mapped, 0);
	ck_assert_works(importer_map(importer, IMPORTER_READS));
	ck_assert_prompt(slice_revoke(&dev, fd));
	ck_assert_uint_eq(importer_status(importer).mapped, 0);
	client_end(c);
}
END_TEST

static long step_set_name(const struct client_step *step)
{
	static const char *const names[] = {
		"", " ", "live\n0 slice live rw 9 0x9000 x 0x0+0x9000 nc 0\n",
		"\r\v\f\t", "\033[2J\033]0;x\a", "\\040", "%s%n%x", "-",
		"\377\376\375\374\373\372\371\370\367\366\365\364\363\362\361"
		"\360\357\356\355\354\353\352\351\350\347\346\345\344\343\342",
	};

	if (step->arg[1] >= (long)(sizeof(names) / sizeof(*names)))
		return 1;
	return ioctl(step->arg[0], DMA_BUF_SET_NAME, names[step->arg[1]]);
}

START_TEST(names_stay_in_their_column)
{
	struct client *c = client_start(CLIENT_NOBODY);
	int fd = slice_new(&dev, MEM, 2 * PAGE, PAGE);
	struct client_step step = { { client_give(c, fd) }, -1 };
	struct listed buffer;
	const char *at;
	long ret;

	for (; (ret = client_call(c, step_set_name, &step)) <= 0; step.arg[1]++) {
		/* One of them is too long for the kernel. */
		ck_assert(!ret || errno == EINVAL || errno == ENAMETOOLONG);
		ck_assert_uint_eq(listing_read(dev.bdf, &buffer, 1), 1);
		ck_assert_str_eq(buffer.kind, "slice");
		ck_assert_str_eq(buffer.ranges, page_ranges("2+1"));
		for (at = buffer.name; *at; at++)
			ck_assert_msg(*at > ' ' && *at <= '~', "name %ld has byte %#x",
				      step.arg[1], *at);
	}
	ck_assert_int_ge(step.arg[1], 8);
	client_end(c);
}
END_TEST

/* Maps a page of a slice many times, and accesses each mapping. */
static long step_map_many(const struct client_step *step)
{
	uint32_t value;
	char *map;
	long i;

	for (i = 0; i < step->arg[0]; i++) {
		map = mmap(NULL, PAGE, RW, MAP_SHARED, step->fd, 0);
		if (map == MAP_FAILED || try_read32(map, &value))
			break;
	}
	close(step->fd);
	return i;
}

static double time_revoke(int fd)
{
	double begin = now();

	ck_assert_works(slice_revoke(&dev, fd));
	return now() - begin;
}

/*
 * The time to revoke a slice of another page: the minimum of several, because the host
 * is shared.
 */
static double time_revoke_of_another(void)
{
	double least = 1e9, time;
	char *map;
	int fd, i;

	for (i = 0; i < 30; i++) {
		fd = slice_new(&dev, MEM, 8 * PAGE, PAGE);
		map = slice_map(fd, 0, PAGE);
		read32(map);
		time = time_revoke(fd);
		least = time < least ? time : least;
		munmap(map, PAGE);
		close(fd);
	}
	return least;
}

START_TEST(many_mappings_delay_nobody)
{
	struct client *c = client_start(CLIENT_NOBODY);
	int fd = slice_new(&dev, MEM, 0, PAGE);
	double begin, victim, alone, beside;

	alone = time_revoke_of_another();
	ck_assert_int_eq(client_call(c, step_map_many, &(struct client_step){
			 { MANY }, fd }), MANY);
	beside = time_revoke_of_another();
	ck_assert_msg(beside < 4 * alone, "revoking another took %.0f us alone and %.0f us beside them",
		      alone * 1e6, beside * 1e6);

	begin = now();
	device_set_memory(&dev, false);
	device_set_memory(&dev, true);
	ck_assert_msg(now() - begin < bound(), "suspension took %.2f s", now() - begin);
	ck_assert_int_eq(client_call(c, step_map_many, &(struct client_step){
			 { MANY }, fd }), MANY);
	victim = time_revoke(fd);
	ck_assert_msg(victim < bound(), "revoking it took %.2f s", victim);
	printf("# revoking: alone %.0f us, beside %d mappings %.0f us; them %.0f us\n",
	       alone * 1e6, MANY, beside * 1e6, victim * 1e6);
	client_end(c);
}
END_TEST

/* Takes faults continuously: each access is the first through its mapping. */
static void hammer_faults(int fd)
{
	uint32_t value;
	char *map;

	for (;;) {
		map = mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0);
		if (map == MAP_FAILED)
			continue;
		try_read32(map, &value);
		munmap(map, PAGE);
	}
}

START_TEST(hammering_faults_delays_nobody)
{
	int fd = slice_new(&dev, 0, 0, PAGE), same, i;
	char *map;
	pid_t pids[4];

	for (i = 0; i < 4; i++) {
		pids[i] = fork();
		ck_assert_works(pids[i]);
		if (!pids[i]) {
			/* It must not keep the device open. */
			close(dev.fd);
			hammer_faults(fd);
		}
	}
	for (i = 0; i < 10; i++) {
		same = slice_new(&dev, 0, 0, PAGE);
		map = slice_map(same, 0, PAGE);
		read32(map);
		ck_assert_prompt(device_reset(&dev));
		read32(map);
		ck_assert_prompt(slice_revoke(&dev, same));
		ck_assert_int_eq(try_read(map), SIGBUS);
		munmap(map, PAGE);
		close(same);
	}
	ck_assert_prompt(sysfs_write(dev.bdf, "reset", "1"));
	ck_assert_prompt(slice_revoke(&dev, fd));
	for (i = 0; i < 4; i++)
		kill(pids[i], SIGKILL);
}
END_TEST

static int map_dma(const struct device *own, const void *address, size_t size)
{
	struct vfio_iommu_type1_dma_map map = {
		.argsz = sizeof(map),
		.flags = VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
		.vaddr = (uintptr_t)address,
		.iova = 0x10000000,
		.size = size,
	};

	return ioctl(own->container, VFIO_IOMMU_MAP_DMA, &map);
}

static int unmap_dma(const struct device *own, size_t size)
{
	struct vfio_iommu_type1_dma_unmap unmap = {
		.argsz = sizeof(unmap),
		.iova = 0x10000000,
		.size = size,
	};

	return ioctl(own->container, VFIO_IOMMU_UNMAP_DMA, &unmap);
}

/* Its device would still reach the slice after the revocation. */
START_TEST(container_of_a_client_does_not_take_a_slice)
{
	int fd = slice_new(&dev, MEM, 0, 2 * PMD);
	char *small = slice_map(fd, PAGE, 8 * PAGE);
	char *room = mmap(NULL, 3 * PMD, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *huge = (char *)(((uintptr_t)room + PMD - 1) & -PMD);
	struct device own;

	device_open(&own, "IVSHMEM2");
	ck_assert_ptr_eq(mmap(huge, PMD, RW, MAP_SHARED | MAP_FIXED, fd, 0), huge);
	ck_assert_fails(map_dma(&own, small, 8 * PAGE), EFAULT);
	ck_assert_fails(map_dma(&own, huge, PMD), EFAULT);
	read32(small);
	read32(huge);
	ck_assert_fails(map_dma(&own, small, 8 * PAGE), EFAULT);
	ck_assert_fails(map_dma(&own, huge, PMD), EFAULT);
	ck_assert_fails(map_dma(&own, huge + PMD - PAGE, PAGE), EFAULT);
	/* Not together with the client's own memory either. */
	huge[PMD] = 1;
	ck_assert_fails(map_dma(&own, huge + PMD - PAGE, 2 * PAGE), EFAULT);
	ck_assert_works(map_dma(&own, huge + PMD, PAGE));
	read32(small);
}
END_TEST

START_TEST(container_takes_bar_mappings)
{
	struct device own;
	char *map;

	device_open(&own, "IVSHMEM2");
	map = device_map(&own, MEM, 0, 8 * PAGE);
	ck_assert_works(map_dma(&own, map, 8 * PAGE));
}
END_TEST

static struct device written;
static atomic_bool enough;

/* vfio-pci-core takes memory_lock for each write, although nothing changes. */
static void *write_command(void *unused)
{
	uint32_t command = config_read(&written, PCI_COMMAND, 2);

	while (!enough)
		config_write(&written, PCI_COMMAND, 2, command);
	return unused;
}

/*
 * The container takes one fault of its own, and then reads the page table. The page
 * must be there, also if the device's lock is contended.
 */
START_TEST(container_takes_bar_mappings_beside_config_writes)
{
	pthread_t writer;

	device_open(&written, "IVSHMEM2");
	ck_assert_int_eq(pthread_create(&writer, NULL, write_command, NULL), 0);
	for (int i = 0; i < 200; i++) {
		char *map = device_map(&written, MEM, 0, PAGE);

		ck_assert_works(map_dma(&written, map, PAGE));
		ck_assert_works(unmap_dma(&written, PAGE));
		munmap(map, PAGE);
	}
	enough = true;
	ck_assert_int_eq(pthread_join(writer, NULL), 0);
}
END_TEST

/* Calls that would pin its pages: there are no pages to pin. */
START_TEST(nothing_gets_hold_of_a_page)
{
	char *map = slice_map(slice_new(&dev, MEM, 0, PAGE), 0, PAGE), byte;
	struct iovec local = { &byte, 1 }, remote = { map, 1 };
	int mem = open("/proc/self/mem", O_RDWR), ends[2];

	write32(map, 0);
	ck_assert_fails(pread(mem, &byte, 1, (off_t)(uintptr_t)map), EIO);
	ck_assert_fails(process_vm_readv(getpid(), &local, 1, &remote, 1, 0),
			EFAULT);
	ck_assert_works(pipe(ends));
	ck_assert_fails(vmsplice(ends[1], &remote, 1, 0), EFAULT);
	ck_assert_fails(syscall(SYS_futex, map, FUTEX_WAIT, 0,
				&(struct timespec){ 0 }, NULL, 0), EFAULT);
	ck_assert_uint_eq(read32(map), 0);
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("hostile");
	TCase *tc = add_group(s, "nvme");
	const char *missing = module_exists("dmabuf-test-fence") ? NULL : "this kernel has no fences for user space";

	if (!missing)
		module_load("dmabuf-test-fence");
	tcase_add_unchecked_fixture(tc, importer_bind, importer_unbind);
	tcase_add_checked_fixture(tc, setup_nvme, NULL);
	add_test_or_skip(tc, fence_does_not_delay_revocation, missing);
	add_test_or_skip(tc, fence_does_not_delay_suspension, missing);
	add_test_or_skip(tc, fence_does_not_keep_importers, missing ?: importers_missing());
	tcase_add_test(tc, hammering_faults_delays_nobody);

	tc = add_group(s, "memory");
	tcase_add_checked_fixture(tc, setup_mem, NULL);
	tcase_add_test(tc, names_stay_in_their_column);
	tcase_add_test(tc, many_mappings_delay_nobody);
	tcase_add_test(tc, container_of_a_client_does_not_take_a_slice);
	tcase_add_test(tc, container_takes_bar_mappings);
	tcase_add_test(tc, container_takes_bar_mappings_beside_config_writes);
	tcase_add_test(tc, nothing_gets_hold_of_a_page);
	return s;
}
