// SPDX-License-Identifier: MIT
/* The list of a device's buffers: all of them, in order, and each as it is. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <vfio-dmabuf.h>

#include "buffers.h"
#include "client.h"
#include "device.h"
#include "memory.h"
#include "page.h"
#include "slice.h"
#include "suite.h"

#define MEM	2	/* ivshmem's BAR that is plain memory */
#define RW	(PROT_READ | PROT_WRITE)
#define MOST	64

typedef struct vfio_region_dma_range range_t;

static struct device mem;
static struct vfio_dmabuf_buffer all[MOST];

static void setup(void)
{
	device_open(&mem, "IVSHMEM");
}

static struct vfio_dmabuf_buffer info_of(int fd)
{
	struct vfio_dmabuf_buffer buffer;

	ck_assert_works(buffer_info(&mem, fd, 0, &buffer));
	return buffer;
}

/* ---- which buffers ---- */

/* A page of 1, of 7, of just as many, of more. */
static const uint32_t pages[] = { 1, 7, 20, 1000 };

START_TEST(all_are_listed_in_order)
{
	uint64_t ids[20];
	size_t i;

	ck_assert_uint_eq(buffers_list_all(&mem, pages[_i], all, MOST), 0);
	for (i = 0; i < 20; i++)
		ids[i] = buffer_id(&mem, slice_new(&mem, MEM, i * PAGE, (i + 1) * PAGE));
	ck_assert_uint_eq(buffers_list_all(&mem, pages[_i], all, MOST), 20);
	for (i = 0; i < 20; i++) {
		ck_assert_uint_eq(all[i].id, ids[i]);
		ck_assert_uint_eq(all[i].offset, i * PAGE);
		ck_assert_uint_eq(all[i].size, (i + 1) * PAGE);
	}
	/* From anywhere, also from ids that nothing has. */
	ck_assert_int_eq(buffers_list(&mem, ids[12], all, MOST), 7);
	ck_assert_uint_eq(all[0].id, ids[13]);
	ck_assert_int_eq(buffers_list(&mem, ids[12] - 1, all, 1), 1);
	ck_assert_uint_eq(all[0].id, ids[12]);
	ck_assert_int_eq(buffers_list(&mem, ids[19], all, MOST), 0);
	ck_assert_int_eq(buffers_list(&mem, UINT64_MAX, all, MOST), 0);
}
END_TEST

START_TEST(released_ones_are_not_listed)
{
	int fds[3];
	size_t i;
	void *map;

	for (i = 0; i < 3; i++)
		fds[i] = slice_new(&mem, MEM, i * PAGE, PAGE);
	close(fds[1]);
	ck_assert_uint_eq(buffers_list_all(&mem, MOST, all, MOST), 2);
	ck_assert_uint_eq(all[1].offset, 2 * PAGE);
	/* A mapping keeps one without any fd. */
	map = slice_map(fds[0], 0, PAGE);
	close(fds[0]);
	close(fds[2]);
	ck_assert_uint_eq(buffers_list_all(&mem, MOST, all, MOST), 1);
	ck_assert_uint_eq(all[0].offset, 0);
	munmap(map, PAGE);
	ck_assert_uint_eq(buffers_list_all(&mem, MOST, all, MOST), 0);
}
END_TEST

START_TEST(ids_grow_over_all_devices_and_are_not_used_again)
{
	struct device edu;
	uint64_t id, last = 0;
	int i, fd;

	device_open(&edu, "EDU");
	for (i = 0; i < 20; i++) {
		fd = slice_new(i % 2 ? &edu : &mem, i % 2 ? 0 : MEM, 0, PAGE);
		id = buffer_id(i % 2 ? &edu : &mem, fd);
		ck_assert_uint_gt(id, last);
		last = id;
		if (i % 3)
			close(fd);
	}
	/* Closing a device does not give ids back, either. */
	device_close(&mem);
	device_open(&mem, "IVSHMEM");
	ck_assert_uint_gt(buffer_id(&mem, slice_new(&mem, MEM, 0, PAGE)), last);
	/* Each device lists its own only, revoked ones as long as there is an fd. */
	ck_assert_uint_eq(buffers_list_all(&edu, MOST, all, MOST), 3);
	for (i = 0; i < 3; i++)
		ck_assert_uint_eq(all[i].region_index, 0);
	ck_assert_uint_eq(buffers_list_all(&mem, MOST, all, MOST), 5);
	for (i = 0; i < 5; i++) {
		ck_assert_uint_eq(all[i].region_index, MEM);
		ck_assert_uint_eq(all[i].state, i < 4 ? VFIO_DMABUF_STATE_REVOKED :
						VFIO_DMABUF_STATE_LIVE);
	}
}
END_TEST

/* ---- the fields of each ---- */

START_TEST(entry_says_what_the_buffer_is)
{
	/* The first two continue each other, so do the third and the fourth. */
	const range_t ranges[] = {
		{ 4 * PAGE, PAGE }, { 5 * PAGE, 2 * PAGE }, { PAGE, PAGE },
		{ 2 * PAGE, PAGE }, { 1 * PAGE, PAGE },
	};
	struct vfio_dmabuf_buffer by_info;
	struct stat status;
	int fd = slice_export(&mem, MEM, O_RDONLY, ranges, 5);

	ck_assert_works(fd);
	ck_assert_works(fstat(fd, &status));
	ck_assert_works(slice_set_memattr(&mem, slice_new(&mem, MEM, 0, PAGE),
					  VFIO_DMABUF_MEMATTR_WC));
	ck_assert_uint_eq(buffers_list_all(&mem, MOST, all, MOST), 2);
	ck_assert_uint_eq(all[0].inode, status.st_ino);
	ck_assert_uint_eq(all[0].size, 6 * PAGE);
	ck_assert_uint_eq(all[0].offset, 4 * PAGE);
	ck_assert_uint_eq(all[0].region_index, MEM);
	ck_assert_uint_eq(all[0].nr_ranges, 3);
	ck_assert_uint_eq(all[0].flags, VFIO_DMABUF_BUFFER_READ_ONLY);
	ck_assert_uint_eq(all[0].memattr, VFIO_DMABUF_MEMATTR_NC);
	ck_assert_uint_eq(all[0].state, VFIO_DMABUF_STATE_LIVE);
	ck_assert_uint_eq(all[0].mappings, 0);
	ck_assert_uint_eq(all[0].importers, 0);
	ck_assert_uint_eq(all[0].dma_maps, 0);
	ck_assert_uint_eq(all[1].flags, 0);
	ck_assert_uint_eq(all[1].memattr, VFIO_DMABUF_MEMATTR_WC);
	ck_assert_uint_eq(all[1].nr_ranges, 1);

	by_info = info_of(fd);
	ck_assert_mem_eq(&by_info, &all[0], sizeof(by_info));
}
END_TEST

START_TEST(mappings_are_counted)
{
	struct client *c = client_start(CLIENT_NOBODY);
	int fd = slice_new(&mem, MEM, 0, 4 * PAGE);
	struct client *child;
	char *map;

	map = slice_map(fd, 0, 4 * PAGE);
	ck_assert_uint_eq(info_of(fd).mappings, 1);
	munmap(map + PAGE, PAGE);
	ck_assert_uint_eq(info_of(fd).mappings, 2);
	client_mmap(c, fd, 0, PAGE, RW);
	ck_assert_uint_eq(info_of(fd).mappings, 3);
	child = client_fork(c);
	ck_assert_uint_eq(info_of(fd).mappings, 4);
	client_end(child);
	client_end(c);
	ck_assert_uint_eq(info_of(fd).mappings, 2);
	munmap(map, 4 * PAGE);
	ck_assert_uint_eq(info_of(fd).mappings, 0);
}
END_TEST

/* The inode number of /proc/self/maps. */
static uint64_t inode_of_mapping(const void *address)
{
	uint64_t inode = 0, found;
	unsigned long start;
	char line[512];
	FILE *maps = fopen("/proc/self/maps", "re");

	ck_assert_ptr_nonnull(maps);
	while (fgets(line, sizeof(line), maps))
		if (sscanf(line, "%lx-%*x %*s %*x %*s %" SCNu64, &start, &found) == 2 &&
		    start == (uintptr_t)address)
			inode = found;
	fclose(maps);
	ck_assert_uint_ne(inode, 0);
	return inode;
}

START_TEST(bar_mappings_differ_from_slices)
{
	void *bar = device_map(&mem, MEM, 2 * PAGE, 8 * PAGE);
	void *slice = slice_map(slice_new(&mem, MEM, 3 * PAGE, PAGE), 0, PAGE);

	ck_assert_uint_eq(buffers_list_all(&mem, MOST, all, MOST), 2);
	ck_assert_uint_eq(all[0].flags, VFIO_DMABUF_BUFFER_BAR_MAPPING);
	/* Its offsets are those of the BAR, up to the end of the mapping. */
	ck_assert_uint_eq(all[0].offset, 0);
	ck_assert_uint_eq(all[0].size, 10 * PAGE);
	ck_assert_uint_eq(all[0].region_index, MEM);
	ck_assert_uint_eq(all[0].nr_ranges, 1);
	ck_assert_uint_eq(all[0].mappings, 1);
	ck_assert_uint_eq(all[0].inode, inode_of_mapping(bar));
	ck_assert_uint_eq(all[1].flags, 0);
	ck_assert_uint_eq(all[1].inode, inode_of_mapping(slice));
	ck_assert_uint_ne(all[0].inode, all[1].inode);
	munmap(bar, 8 * PAGE);
	ck_assert_uint_eq(buffers_list_all(&mem, MOST, all, MOST), 1);
}
END_TEST

START_TEST(state_follows_the_device)
{
	int live = slice_new(&mem, MEM, 0, PAGE), revoked = slice_new(&mem, MEM, 0, PAGE);

	ck_assert_works(slice_revoke(&mem, revoked));
	ck_assert_uint_eq(buffers_list_all(&mem, MOST, all, MOST), 2);
	ck_assert_uint_eq(all[0].state, VFIO_DMABUF_STATE_LIVE);
	ck_assert_uint_eq(all[1].state, VFIO_DMABUF_STATE_REVOKED);
	device_set_memory(&mem, false);
	ck_assert_uint_eq(buffers_list_all(&mem, MOST, all, MOST), 2);
	ck_assert_uint_eq(all[0].state, VFIO_DMABUF_STATE_SUSPENDED);
	ck_assert_uint_eq(all[1].state, VFIO_DMABUF_STATE_REVOKED);
	ck_assert_uint_eq(info_of(live).state, VFIO_DMABUF_STATE_SUSPENDED);
	device_set_memory(&mem, true);
	ck_assert_uint_eq(info_of(live).state, VFIO_DMABUF_STATE_LIVE);
	ck_assert_uint_eq(info_of(revoked).state, VFIO_DMABUF_STATE_REVOKED);
}
END_TEST

/* ---- while others export and release ---- */

#define LASTING		30
#define TRANSIENT	50

static atomic_bool stop;

/* Two shapes. No element may mix fields of both. */
static void *export_and_release(void *unused)
{
	const range_t odd[] = { { 64 * PAGE, PAGE }, { 80 * PAGE, 2 * PAGE } };
	int fds[TRANSIENT];

	(void)unused;
	while (!stop) {
		for (int i = 0; i < TRANSIENT; i++)
			fds[i] = i % 2 ? slice_export(&mem, MEM, O_RDONLY, odd, 2) :
				slice_export(&mem, MEM, O_RDWR, &(range_t){ 8 * PAGE, 4 * PAGE }, 1);
		for (int i = 0; i < TRANSIENT; i++)
			close(fds[i]);
	}
	return NULL;
}

/* Cheap enough for many entries: a ck_assert() writes a file. */
static bool of_one_shape(const struct vfio_dmabuf_buffer *b)
{
	bool odd = b->flags & VFIO_DMABUF_BUFFER_READ_ONLY;

	return b->region_index == MEM && b->inode && b->state == VFIO_DMABUF_STATE_LIVE &&
	       !b->mappings && b->offset == (odd ? 64 : 8) * PAGE &&
	       b->size == (odd ? 3 : 4) * PAGE && b->nr_ranges == (odd ? 2 : 1);
}

START_TEST(lasting_ones_are_listed_once_whatever_others_do)
{
	static struct vfio_dmabuf_buffer found[LASTING + 100 * TRANSIENT];
	uint64_t lasting[LASTING], seen = 0;
	pthread_t thread;
	size_t nr, i, k;
	int round;

	for (i = 0; i < LASTING; i++)
		lasting[i] = buffer_id(&mem, slice_new(&mem, MEM, 0, PAGE));
	ck_assert_int_eq(pthread_create(&thread, NULL, export_and_release, NULL), 0);
	/* Until enough of the others have been met. */
	for (round = 0; round < 50 || seen < 1000; round++) {
		nr = buffers_list_all(&mem, 1 + round % 9, found, sizeof(found) / sizeof(*found));
		ck_assert_uint_le(nr, sizeof(found) / sizeof(*found));
		for (i = 0, k = 0; i < nr; i++) {
			if (k < LASTING && found[i].id == lasting[k])
				k++;
			else if (of_one_shape(&found[i]))
				seen++;
			else
				ck_abort_msg("round %d: buffer %" PRIu64 " is neither one thing nor the other",
					     round, (uint64_t)found[i].id);
		}
		ck_assert_uint_eq(k, LASTING);
	}
	stop = true;
	pthread_join(thread, NULL);
	ck_assert_uint_eq(buffers_list_all(&mem, MOST, all, MOST), LASTING);
}
END_TEST

/* ---- very many ---- */

#define MANY	20000

/*
 * In place of the C library's, which is what the library calls: counts the
 * system calls that list.
 */
static unsigned int lists;

int ioctl(int fd, unsigned long request, ...)
{
	const struct vfio_device_feature *feature;
	va_list args;
	void *arg;

	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	feature = arg;
	lists += request == VFIO_DEVICE_FEATURE &&
		 feature->flags == (VFIO_DEVICE_FEATURE_GET | VFIO_DMABUF_FEATURE_LIST);
	return (int)syscall(SYS_ioctl, fd, request, arg);
}

struct tally {
	size_t nr, stop_at;
	uint64_t last;
	bool in_order;
};

static bool tally(const struct vdb_buffer *buffer, void *data)
{
	struct tally *t = data;

	t->in_order = t->in_order && buffer->id > t->last && buffer->length == PAGE &&
		      buffer->bar == MEM && !buffer->flags;
	t->last = buffer->id;
	return ++t->nr != t->stop_at;
}

START_TEST(twenty_thousand_are_listed)
{
	const struct rlimit limit = { MANY + 100, MANY + 100 };
	struct vdb_device *device;
	struct tally t = { .in_order = true }, some = { .in_order = true, .stop_at = 1500 };
	int fd = -1;

	ck_assert_works(setrlimit(RLIMIT_NOFILE, &limit));
	for (int i = 0; i < MANY; i++) {
		fd = slice_export(&mem, MEM, O_RDWR | O_CLOEXEC,
				  &(range_t){ (uint64_t)(i % 4096) * PAGE, PAGE }, 1);
		if (fd < 0)
			ck_abort_msg("export %d: %s", i, strerror(errno));
	}
	device = vdb_device_from_fd(mem.fd);
	ck_assert_ptr_nonnull(device);
	lists = 0;
	ck_assert_int_eq(vdb_device_list(device, tally, &t), 0);
	ck_assert_uint_eq(t.nr, MANY);
	ck_assert(t.in_order);
	ck_assert_uint_eq(t.last, buffer_id(&mem, fd));
	/* Listing needs the memory that the header says: 1024 elements at a time. */
	ck_assert_msg(lists <= MANY / 1024 + 2, "%u system calls for %d buffers", lists, MANY);

	lists = 0;
	ck_assert_int_eq(vdb_device_list(device, tally, &some), 1);
	ck_assert_uint_eq(some.nr, 1500);
	ck_assert_uint_eq(lists, 2);
	vdb_device_close(device);
}
END_TEST

/* ---- errors ---- */

struct list_request {
	struct vfio_device_feature feature;
	struct vfio_dmabuf_feature_list list;
};

#define GET_LIST	(VFIO_DEVICE_FEATURE_GET | VFIO_DMABUF_FEATURE_LIST)
#define SET_LIST	(VFIO_DEVICE_FEATURE_SET | VFIO_DMABUF_FEATURE_LIST)

static void fill(struct list_request *request, uint32_t nr, uint32_t size)
{
	*request = (struct list_request){
		.feature.argsz = sizeof(*request),
		.feature.flags = GET_LIST,
		.list = { .buffers = (uintptr_t)all, .nr = nr, .size = size },
	};
}

static int try_list(uint32_t nr, uint32_t size)
{
	struct list_request request;

	fill(&request, nr, size);
	return ioctl(mem.fd, VFIO_DEVICE_FEATURE, &request);
}

START_TEST(bad_requests_are_refused)
{
	static const uint32_t sizes[] = { 0, 1, 8, sizeof(all[0]) - 8, sizeof(all[0]) + 8, UINT32_MAX };
	struct list_request request;
	int fd = slice_new(&mem, MEM, 0, PAGE);

	ck_assert_works(try_list(MOST, sizeof(all[0])));
	ck_assert_fails(try_list(0, sizeof(all[0])), EINVAL);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
		ck_assert_fails(try_list(MOST, sizes[i]), EINVAL);
	fill(&request, MOST, sizeof(all[0]));
	request.feature.argsz -= 8;
	ck_assert_fails(ioctl(mem.fd, VFIO_DEVICE_FEATURE, &request), EINVAL);
	fill(&request, MOST, sizeof(all[0]));
	request.feature.flags = SET_LIST;
	ck_assert_fails(ioctl(mem.fd, VFIO_DEVICE_FEATURE, &request), EINVAL);
	ck_assert_works(device_feature(&mem, VFIO_DEVICE_FEATURE_PROBE | GET_LIST));
	ck_assert_fails(device_feature(&mem, VFIO_DEVICE_FEATURE_PROBE | SET_LIST), EINVAL);
	/* A client has this fd, and it lists nothing. */
	fill(&request, MOST, sizeof(all[0]));
	ck_assert_fails(ioctl(fd, VFIO_DEVICE_FEATURE, &request), ENOTTY);
}
END_TEST

START_TEST(bad_addresses_are_refused)
{
	char *room = mmap(NULL, 2 * PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct vfio_dmabuf_buffer *at_end = (void *)(room + PAGE - sizeof(*at_end));
	struct list_request request;
	char *cut_off = room + PAGE - sizeof(request) + 8;

	slice_new(&mem, MEM, 0, PAGE);
	slice_new(&mem, MEM, 0, PAGE);
	fill(&request, MOST, sizeof(all[0]));
	memcpy(cut_off, &request, sizeof(request) - 8);
	ck_assert_works(mprotect(room + PAGE, PAGE, PROT_NONE));
	/* The request itself is not all there. */
	ck_assert_fails(ioctl(mem.fd, VFIO_DEVICE_FEATURE, cut_off), EFAULT);
	ck_assert_fails(buffers_list(&mem, 0, NULL, MOST), EFAULT);
	ck_assert_fails(buffers_list(&mem, 0, (void *)(room + PAGE), MOST), EFAULT);
	/* There is room for one of the two. */
	ck_assert_fails(buffers_list(&mem, 0, at_end, 2), EFAULT);
	ck_assert_int_eq(buffers_list(&mem, 0, at_end, 1), 1);
	ck_assert_uint_eq(at_end->size, PAGE);
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("list");
	TCase *tc = add_group(s, "which buffers");

	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_loop_test(tc, all_are_listed_in_order, 0, 4);
	tcase_add_test(tc, released_ones_are_not_listed);
	tcase_add_test(tc, ids_grow_over_all_devices_and_are_not_used_again);
	tcase_add_test(tc, lasting_ones_are_listed_once_whatever_others_do);
	tcase_add_test(tc, twenty_thousand_are_listed);

	tc = add_group(s, "what is said of each");
	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, entry_says_what_the_buffer_is);
	tcase_add_test(tc, mappings_are_counted);
	tcase_add_test(tc, bar_mappings_differ_from_slices);
	tcase_add_test(tc, state_follows_the_device);

	tc = add_group(s, "errors");
	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, bad_requests_are_refused);
	tcase_add_test(tc, bad_addresses_are_refused);
	return s;
}
