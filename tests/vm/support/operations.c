// SPDX-License-Identifier: MIT
/* Everything that can be asked of the driver. */
#define _GNU_SOURCE
#include "operations.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/pci_regs.h>
#include <linux/vfio.h>
#include <linux/vfio_dmabuf.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "device.h"
#include "importer.h"
#include "listing.h"
#include "memory.h"
#include "page.h"
#include "slice.h"
#include "suite.h"
#include "sysfs.h"

#define GIB	(1UL << 30)
#define MEM	2	/* ivshmem's BAR that is plain memory */
#define RW	(PROT_READ | PROT_WRITE)
#define MANY	600	/* ranges: their array takes more than a page */
/* After a second an importer is named in the log. */
#define LONGER_THAN_PATIENCE	1500
#define SRIOV	"/sys/module/dmabuf_vfio_pci/parameters/enable_sriov"

typedef struct vfio_region_dma_range range_t;

static const struct device no_device = { .fd = -1, .group = -1, .container = -1 };
static struct device dev = no_device, sibling = no_device;
static int slice = -1, importer = -1, result = -1, event_result = -1;
static char *map = MAP_FAILED, *room = MAP_FAILED;
static size_t map_length, room_length;
static timer_t timer;
static bool timer_runs;
static unsigned int power_control;	/* its place in config space */
static const char *unbound;	/* a device that must be bound again */

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static void unmap(void)
{
	if (map != MAP_FAILED)
		munmap(map, map_length);
	map = MAP_FAILED;
}

static void close_result(void)
{
	close_fd(&result);
	close_fd(&event_result);
}

void operation_cleanup(void)
{
	if (timer_runs)
		timer_delete(timer);
	timer_runs = false;
	unmap();
	if (room != MAP_FAILED)
		munmap(room, room_length);
	room = MAP_FAILED;
	close_result();
	close_fd(&importer);
	close_fd(&slice);
	device_close(&sibling);
	device_close(&dev);
	sibling.bdf = dev.bdf = NULL;
	if (unbound)
		driver_rebind(unbound);
	unbound = NULL;
}

static size_t count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	size_t n = 0;

	ck_assert_ptr_nonnull(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static size_t count_mappings(void)
{
	FILE *file = fopen("/proc/self/maps", "re");
	char line[512];
	size_t n = 0;

	ck_assert_ptr_nonnull(file);
	while (fgets(line, sizeof(line), file))
		n += !!strstr(line, "/dmabuf:") || strstr(line, "vfio");
	fclose(file);
	return n;
}

struct operation_state operation_state(void)
{
	return (struct operation_state){
		.buffers = dev.bdf && dev.fd >= 0 ? listing_read(dev.bdf, NULL, 0) : 0,
		.fds = count_fds(),
		.mappings = count_mappings(),
	};
}

/* --- the device --- */

static void prepare_group(void)
{
	const char *bdf = lab_bdf("IVSHMEM");

	driver_rebind(bdf);
	device_open_group(&dev, bdf);
}

static long run_open(void)
{
	return result = device_get_fd(&dev, "");
}

static void prepare_device(void)
{
	device_open(&dev, "IVSHMEM");
}

static void prepare_edu(void)
{
	device_open(&dev, "EDU");
}

static void prepare_nvme(void)
{
	device_open(&dev, "NVME");
}

static void prepare_unbound(void)
{
	unbound = lab_bdf("IVSHMEM2");
	driver_rebind(unbound);
	ck_assert_works(driver_unbind(unbound));
}

static long run_bind(void)
{
	return file_write("/sys/bus/pci/drivers/" DRIVER "/bind", unbound);
}

static void undo_bind(void)
{
	ck_assert_works(driver_unbind(unbound));
}

static void prepare_sriov(void)
{
	driver_rebind(lab_bdf("IGB"));
	/* Binding is an operation of its own. */
	ck_assert_works(sysfs_write(lab_bdf("IGB"), "sriov_drivers_autoprobe", "0"));
	ck_assert_works(file_write(SRIOV, "1"));
}

static long run_sriov(void)
{
	return sysfs_write(lab_bdf("IGB"), "sriov_numvfs", "1");
}

static void undo_sriov(void)
{
	ck_assert_works(sysfs_write(lab_bdf("IGB"), "sriov_numvfs", "0"));
	ck_assert_works(sysfs_write(lab_bdf("IGB"), "sriov_drivers_autoprobe", "1"));
	ck_assert_works(file_write(SRIOV, "0"));
}

static long run_setting(void)
{
	return sysfs_write(dev.bdf, "vfio_dmabuf/write_combine", "1") ||
	       sysfs_write(dev.bdf, "vfio_dmabuf/core_export", "1") ? -1 : 0;
}

static void undo_setting(void)
{
	ck_assert_works(sysfs_write(dev.bdf, "vfio_dmabuf/write_combine", "0"));
	ck_assert_works(sysfs_write(dev.bdf, "vfio_dmabuf/core_export", "0"));
}

static void prepare_setting(void)
{
	prepare_device();
	undo_setting();
}

/* --- exports --- */

static long run_export(void)
{
	range_t range = { PAGE, PAGE };

	return result = slice_export(&dev, MEM, O_RDWR, &range, 1);
}

static void many_ranges(range_t *ranges)
{
	for (int i = 0; i < MANY; i++)
		ranges[i] = (range_t){ 2 * (MANY - i) * PAGE, PAGE };
}

static long run_export_many(void)
{
	range_t ranges[MANY];

	many_ranges(ranges);
	return result = slice_export(&dev, MEM, O_RDWR, ranges, MANY);
}

static void prepare_slice(void)
{
	prepare_device();
	slice = slice_new(&dev, MEM, PAGE, 4 * PAGE);
}

static long feature(uint32_t flags, void *data, size_t size)
{
	struct vfio_device_feature *request = calloc(1, sizeof(*request) + size);
	long ret;
	int error;

	ck_assert_ptr_nonnull(request);
	request->argsz = sizeof(*request) + size;
	request->flags = flags;
	memcpy(request->data, data, size);
	ret = ioctl(dev.fd, VFIO_DEVICE_FEATURE, request);
	error = errno;
	memcpy(data, request->data, size);
	free(request);
	errno = error;
	return ret;
}

static long export_at_once(uint32_t flags)
{
	struct vfio_dmabuf_feature_export request = {
		.region_index = MEM, .open_flags = O_RDWR | O_CLOEXEC,
		.flags = flags, .range = { PAGE, PAGE },
	};

	if (feature(VFIO_DEVICE_FEATURE_GET | VFIO_DMABUF_FEATURE_EXPORT, &request, sizeof(request)))
		return -1;
	result = request.dmabuf_fd;
	event_result = request.events_fd;
	return 0;
}

static long run_export_at_once(void)
{
	return export_at_once(0);
}

static long run_export_with_events(void)
{
	return export_at_once(VFIO_DMABUF_EXPORT_EVENTS);
}

/* The id of the only buffer. */
static uint64_t only_id(void)
{
	struct vfio_dmabuf_buffer buffer;
	struct vfio_dmabuf_feature_list list = {
		.buffers = (uintptr_t)&buffer,
		.nr = 1,
		.size = sizeof(buffer),
	};

	ck_assert_works(feature(VFIO_DEVICE_FEATURE_GET | VFIO_DMABUF_FEATURE_LIST, &list, sizeof(list)));
	ck_assert_uint_eq(list.nr, 1);
	return buffer.id;
}

static uint64_t slice_id;

static void prepare_slice_id(void)
{
	prepare_slice();
	slice_id = only_id();
}

static long run_list(void)
{
	struct vfio_dmabuf_buffer buffers[4];
	struct vfio_dmabuf_feature_list list = {
		.buffers = (uintptr_t)buffers,
		.nr = 4,
		.size = sizeof(*buffers),
	};

	return feature(VFIO_DEVICE_FEATURE_GET | VFIO_DMABUF_FEATURE_LIST, &list, sizeof(list));
}

static long info(int fd, uint64_t id)
{
	range_t ranges[4];
	struct vfio_dmabuf_feature_info request = {
		.dmabuf_fd = fd,
		.id = id,
		.nr_ranges = 4,
		.ranges = (uintptr_t)ranges,
	};

	return feature(VFIO_DEVICE_FEATURE_GET | VFIO_DMABUF_FEATURE_INFO, &request, sizeof(request));
}

static long run_info_fd(void)
{
	return info(slice, 0);
}

static long run_info_id(void)
{
	return info(-1, slice_id);
}

static long run_memattr(void)
{
	return slice_set_memattr(&dev, slice, VFIO_DMABUF_MEMATTR_WC);
}

static long run_debugfs(void)
{
	char path[128];

	snprintf(path, sizeof(path), "/sys/kernel/debug/dmabuf-vfio-pci/%s/buffers", dev.bdf);
	return result = open(path, O_RDONLY | O_CLOEXEC);
}

/* --- mappings --- */

static long do_map(int fd, off_t offset, size_t length, void *at)
{
	map_length = length;
	map = mmap(at, length, RW, MAP_SHARED | (at ? MAP_FIXED : 0), fd, offset);
	return map == MAP_FAILED ? -1 : 0;
}

static long run_map_bar(void)
{
	/* The offset is looked up before, because that is not a part of the operation. */
	return do_map(dev.fd, (off_t)VFIO_PCI_BAR2_REGION_INDEX << 40, 4 * PAGE, NULL);
}

static long run_map_slice(void)
{
	return do_map(slice, 0, 4 * PAGE, NULL);
}

/* A read, repeated as long as the driver asks for that. */
static long touch(void)
{
	uint32_t value;

	if (!try_read32(map, &value))
		return 0;
	errno = EFAULT;
	return -1;
}

/* Takes the pages away; the next access faults again. */
static void zap(void)
{
	device_set_memory(&dev, false);
	device_set_memory(&dev, true);
}

static void prepare_bar_mapping(void)
{
	prepare_device();
	ck_assert_works(run_map_bar());
}

static void prepare_slice_mapping(void)
{
	prepare_slice();
	ck_assert_works(run_map_slice());
}

/* Addresses that a page of @size fits into. */
static char *aligned_room(size_t size)
{
	room_length = 2 * size;
	room = mmap(NULL, room_length, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	ck_assert_ptr_ne(room, MAP_FAILED);
	return (char *)(((uintptr_t)room + size - 1) & -size);
}

static void prepare_huge_mapping(void)
{
	prepare_device();
	ck_assert_works(do_map(dev.fd, (off_t)VFIO_PCI_BAR2_REGION_INDEX << 40, PMD,
			       aligned_room(PMD)));
}

static void prepare_giant_mapping(void)
{
	device_open(&dev, "IVSHMEM_BIG");
	ck_assert_works(do_map(dev.fd, (off_t)VFIO_PCI_BAR2_REGION_INDEX << 40, GIB,
			       aligned_room(GIB)));
}

/* --- revocation and events --- */

static long run_revoke(void)
{
	return slice_revoke(&dev, slice);
}

/* As an event loop does it, which has a thread for what must wait. */
static long run_revoke_now(void)
{
	int ret = slice_revoke_now(&dev, slice);

	return ret && errno == EAGAIN ? run_revoke() : ret;
}

static long revoke_by_id(void)
{
	struct vfio_dmabuf_feature_revoke request = { .dmabuf_fd = -1, .id = slice_id };

	return feature(VFIO_DEVICE_FEATURE_SET | VFIO_DMABUF_FEATURE_REVOKE, &request, sizeof(request));
}

static long events(int fd, uint64_t id)
{
	struct vfio_dmabuf_feature_events request = {
		.dmabuf_fd = fd,
		.id = id,
		.open_flags = O_CLOEXEC,
	};

	return result = feature(VFIO_DEVICE_FEATURE_GET | VFIO_DMABUF_FEATURE_EVENTS, &request, sizeof(request));
}

static long run_events_fd(void)
{
	return events(slice, 0);
}

static long run_events_id(void)
{
	return events(-1, slice_id);
}

static long run_events_device(void)
{
	return events(-1, 0);
}

static void prepare_events(void)
{
	prepare_slice();
	ck_assert_works(run_events_fd());
}

static long run_read_event(void)
{
	struct vfio_dmabuf_event event;

	return read(result, &event, sizeof(event));
}

static void undo_read_event(void)
{
	zap();
}

static void on_alarm(int number)
{
	(void)number;
}

/* A read that waits: until a signal comes. */
static long run_wait_for_event(void)
{
	struct vfio_dmabuf_event event;
	ssize_t n = read(result, &event, sizeof(event));

	if (n < 0 && errno == EINTR)
		return 0;
	return n < 0 ? -1 : 0;
}

/* Signals that end waits, one after the other. */
static void interrupt_every(unsigned int milliseconds)
{
	const struct timespec t = { milliseconds / 1000, milliseconds % 1000 * 1000000L };
	const struct sigaction action = { .sa_handler = on_alarm };
	struct sigevent to = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1 };

	sigaction(SIGUSR1, &action, NULL);
	ck_assert_works(timer_create(CLOCK_MONOTONIC, &to, &timer));
	timer_runs = true;
	ck_assert_works(timer_settime(timer, 0, &(struct itimerspec){ t, t }, NULL));
}

static void prepare_wait_for_event(void)
{
	prepare_events();
	ck_assert_works(run_read_event());
	interrupt_every(50);
}

/* --- suspension --- */

static long run_memory_off(void)
{
	uint16_t command = 0;

	return pwrite(dev.fd, &command, sizeof(command),
		      ((off_t)VFIO_PCI_CONFIG_REGION_INDEX << 40) + 4) < 0 ? -1 : 0;
}

static void undo_memory_off(void)
{
	device_set_memory(&dev, true);
}

static long run_d3(void)
{
	uint16_t control = 3;

	return pwrite(dev.fd, &control, sizeof(control),
		      ((off_t)VFIO_PCI_CONFIG_REGION_INDEX << 40) + power_control) < 0 ? -1 : 0;
}

static void undo_d3(void)
{
	device_set_power(&dev, 0);
}

static void prepare_d3(void)
{
	prepare_nvme();
	power_control = config_find_cap(&dev, PCI_CAP_ID_PM) + PCI_PM_CTRL;
}

static long run_poke_bar(void)
{
	uint32_t value = 0;

	return pwrite(dev.fd, &value, sizeof(value), (off_t)VFIO_PCI_BAR2_REGION_INDEX << 40) < 0 ? -1 : 0;
}

static long run_peek_bar(void)
{
	uint32_t value;

	return pread(dev.fd, &value, sizeof(value), (off_t)VFIO_PCI_BAR2_REGION_INDEX << 40) < 0 ? -1 : 0;
}

static void prepare_reset(void)
{
	prepare_nvme();
	slice = slice_new(&dev, 0, 0, PAGE);
	ck_assert_works(do_map(slice, 0, PAGE, NULL));
	ck_assert_works(touch());
}

static long run_reset(void)
{
	return device_reset(&dev);
}

static long run_sysfs_reset(void)
{
	return sysfs_write(dev.bdf, "reset", "1");
}

static long run_get_info(void)
{
	struct vfio_device_info info = { .argsz = sizeof(info) };

	return ioctl(dev.fd, VFIO_DEVICE_GET_INFO, &info);
}

static void prepare_hot_reset(void)
{
	device_open(&dev, "HOT0");
	device_open_sibling(&sibling, &dev, "HOT1");
}

static long run_hot_reset(void)
{
	struct {
		struct vfio_pci_hot_reset head;
		int group;
	} request = {
		.head = { .argsz = sizeof(request), .count = 1 },
		.group = dev.group,
	};

	return ioctl(dev.fd, VFIO_DEVICE_PCI_HOT_RESET, &request);
}

static long run_low_power(void)
{
	return device_feature(&dev, VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY);
}

static void undo_low_power(void)
{
	ck_assert_works(device_feature(&dev, VFIO_DEVICE_FEATURE_SET | VFIO_DEVICE_FEATURE_LOW_POWER_EXIT));
}

/* --- importers --- */

static void prepare_importer(void)
{
	const range_t ranges[] = { { 64 * PAGE, PAGE }, { 2 * PAGE, 2 * PAGE }, { 9 * PAGE, PAGE } };

	prepare_device();
	slice = slice_export(&dev, MEM, O_RDWR, ranges, 3);
	ck_assert_works(slice);
	importer = importer_open();
}

static long run_attach(void)
{
	return importer_try_attach(importer, slice, &dev, 0);
}

static void undo_attach(void)
{
	ck_assert_works(importer_detach(importer));
}

static void prepare_attached(void)
{
	prepare_importer();
	ck_assert_works(run_attach());
}

static long run_dma_map(void)
{
	return importer_map(importer, IMPORTER_BOTH);
}

static void undo_dma_map(void)
{
	ck_assert_works(importer_unmap(importer));
}

static void prepare_dma_mapped(void)
{
	prepare_attached();
	ck_assert_works(run_dma_map());
}

/* An importer that unmaps some time after it is notified. */
static void prepare_late_importer(void)
{
	prepare_importer();
	ck_assert_works(importer_try_attach(importer, slice, &dev, IMPORTER_LATE));
	ck_assert_works(run_dma_map());
	ck_assert_works(importer_start(importer, 0, 8, false));
}

/* One that does not let go at all, until a signal has come that ends the call. */
static void prepare_lazy_importer(void)
{
	prepare_importer();
	ck_assert_works(importer_try_attach(importer, slice, &dev, IMPORTER_LAZY));
	ck_assert_works(run_dma_map());
	interrupt_every(LONGER_THAN_PATIENCE);
}

static long run_revoke_until_a_signal(void)
{
	long ret = run_revoke();

	return ret < 0 && errno == EINTR ? 0 : ret;
}

/* The last of them. */
#define IMPORTS	6

const struct operation operations[] = {
	{ "open", prepare_group, run_open, close_result, 0 },
	{ "export", prepare_device, run_export, close_result, 0 },
	{ "export of many ranges", prepare_device, run_export_many, close_result, 0 },
	{ "export at once", prepare_device, run_export_at_once, close_result, 0 },
	{ "export with events", prepare_device, run_export_with_events, close_result, 0 },
	{ "memattr", prepare_slice, run_memattr, NULL, 0 },
	{ "list", prepare_slice, run_list, NULL, 0 },
	{ "info by fd", prepare_slice, run_info_fd, NULL, 0 },
	{ "info by id", prepare_slice_id, run_info_id, NULL, 0 },
	{ "list in debugfs", prepare_slice, run_debugfs, close_result, 0 },
	{ "map a BAR", prepare_device, run_map_bar, unmap, 0 },
	{ "map a slice", prepare_slice, run_map_slice, unmap, 0 },
	{ "fault in a BAR mapping", prepare_bar_mapping, touch, zap, 0 },
	{ "fault in a slice", prepare_slice_mapping, touch, zap, 0 },
	{ "fault of 2 MiB", prepare_huge_mapping, touch, zap, 0 },
	{ "fault of 1 GiB", prepare_giant_mapping, touch, zap, 0 },
	{ "events by fd", prepare_slice, run_events_fd, close_result, 0 },
	{ "events by id", prepare_slice_id, run_events_id, close_result, 0 },
	{ "events of the device", prepare_device, run_events_device, close_result, 0 },
	{ "read of an event", prepare_events, run_read_event, undo_read_event, 0 },
	{ "wait for an event", prepare_wait_for_event, run_wait_for_event, NULL, 0 },
	{ "revoke", prepare_slice_mapping, run_revoke, NULL, EBADFD },
	{ "revoke without waiting", prepare_slice_mapping, run_revoke_now, NULL, EBADFD },
	{ "revoke by id", prepare_slice_id, revoke_by_id, NULL, EBADFD },
	{ "memory off", prepare_slice_mapping, run_memory_off, undo_memory_off, 0 },
	{ "D3", prepare_d3, run_d3, undo_d3, 0 },
	{ "write to a BAR", prepare_device, run_poke_bar, NULL, 0 },
	{ "read of a BAR", prepare_device, run_peek_bar, NULL, 0 },
	{ "device info", prepare_device, run_get_info, NULL, 0 },
	{ "reset", prepare_reset, run_reset, NULL, 0 },
	{ "reset through sysfs", prepare_reset, run_sysfs_reset, NULL, 0 },
	{ "hot reset", prepare_hot_reset, run_hot_reset, NULL, 0 },
	{ "low power", prepare_edu, run_low_power, undo_low_power, 0 },
	{ "setting", prepare_setting, run_setting, undo_setting, 0 },
	{ "bind", prepare_unbound, run_bind, undo_bind, 0 },
	{ "virtual function", prepare_sriov, run_sriov, undo_sriov, 0 },
	{ "attach", prepare_importer, run_attach, undo_attach, 0 },
	{ "map for DMA", prepare_attached, run_dma_map, undo_dma_map, 0 },
	{ "revoke of what is mapped for DMA", prepare_dma_mapped, run_revoke, NULL, EBADFD },
	{ "revoke of what is let go late", prepare_late_importer, run_revoke, NULL, EBADFD },
	{ "revoke of what is not let go", prepare_lazy_importer, run_revoke_until_a_signal, undo_dma_map, 0 },
	{ "memory off with an importer", prepare_dma_mapped, run_memory_off, undo_memory_off, 0 },
};

const size_t nr_operations = sizeof(operations) / sizeof(*operations);
const size_t first_import = sizeof(operations) / sizeof(*operations) - IMPORTS;
