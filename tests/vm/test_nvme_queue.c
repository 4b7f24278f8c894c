// SPDX-License-Identifier: MIT
/*
 * Queue pairs of an NVMe controller, lent to unprivileged processes: they read and write its
 * blocks, die in the middle of it, and lose their queues.  The owner is killed as well.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <vfio-dmabuf-nvme.h>

#include "dmar.h"
#include "internal.h"
#include "kmsg.h"
#include "nvme/io.h"
#include "nvme/load.h"
#include "owner.h"
#include "page.h"
#include "suite.h"
#include "sysfs.h"

#define RW	(PROT_READ | PROT_WRITE)
#define MEMORY	(72 * PAGE)
#define ENTRIES	32u
#define BLOCK	512u

/*
 * Replaces the C library's function, through which the driver writes registers:
 * kills the process before or after one of these calls.
 */
static int writes_left = -1;
static bool kill_after;

ssize_t pwrite(int fd, const void *buffer, size_t size, off_t offset)
{
	bool last = writes_left >= 0 && !writes_left--;
	ssize_t ret;

	if (last && !kill_after)
		kill(getpid(), SIGKILL);
	ret = syscall(SYS_pwrite64, fd, buffer, size, offset);
	if (last)
		kill(getpid(), SIGKILL);
	return ret;
}

static struct vdb_dma *dma;
static struct nvme *nvme;
static char error[VDB_ERROR_SIZE];
static int kmsg;

static void open_controller(const char *name)
{
	owner_open(name);
	dma = vdb_dma_from_device(owner, error);
	ck_assert_msg(dma, "%s", error);
	nvme = nvme_start(owner, dma, error);
	ck_assert_msg(nvme, "%s", error);
}

static void close_controller(void)
{
	nvme_free(nvme);
	vdb_dma_close(dma);
	vdb_device_close(owner);
}

static void setup(void)
{
	kmsg = kmsg_open();
	open_controller("NVME");
}

/* The controller has reached for nothing that was not mapped. */
static void teardown(void)
{
	ck_assert_msg(!kmsg_wait_for(kmsg, DMAR_FAULT, 0), "the IOMMU has stopped an access");
	close_controller();
}

#define ck_assert_nvme(call) do {					\
	int ck_nvme = (call);						\
	ck_assert_msg(!ck_nvme, "%s: %s (%s)", #call, nvme_error(nvme),	\
		      strerrorname_np(errno));				\
} while (0)

/* What a client has. */
struct lease {
	unsigned int qid;
	struct vdb_slice *doorbells;
	struct vdb_slice *memory;
};

static struct vdb_slice *new_memory(void)
{
	struct vdb_slice *memory = vdb_memory_alloc(dma, MEMORY, 0);

	ck_assert_msg(memory, "%s", vdb_dma_error(dma));
	return memory;
}

static struct lease lend_with(unsigned int qid, const struct nvme_queue_options *options)
{
	struct lease lease = { qid, owner_export(0, PAGE, PAGE, 0), new_memory() };

	ck_assert_nvme(nvme_queue_create(nvme, qid, lease.memory, options));
	ck_assert(nvme_queue_exists(nvme, qid));
	return lease;
}

static struct lease lend(unsigned int qid)
{
	return lend_with(qid, &(struct nvme_queue_options){ .entries = ENTRIES, .eventfd = -1 });
}

static void free_lease(struct lease *lease)
{
	ck_assert_msg(!vdb_dma_revoke(dma, lease->memory), "%s", vdb_dma_error(dma));
	vdb_slice_free(lease->doorbells);
	vdb_slice_free(lease->memory);
}

/* The order matters: the controller uses the memory until the queue pair is deleted. */
static void end_lease(struct lease *lease)
{
	ck_assert_works(vdb_slice_revoke(owner, lease->doorbells));
	ck_assert_nvme(nvme_queue_delete(nvme, lease->qid, lease->memory));
	ck_assert(!nvme_queue_exists(nvme, lease->qid));
	free_lease(lease);
}

static struct vdb_nvme *open_queue(const struct lease *lease, const struct vdb_slice *submission)
{
	struct vdb_nvme *queue = vdb_nvme_open(lease->doorbells, lease->memory, submission, error);

	ck_assert_msg(queue, "%s", error);
	return queue;
}

/* ---- one client ---- */

START_TEST(starts_and_stops)
{
	struct lease lease;
	struct vdb_nvme *queue;

	ck_assert_uint_ge(nvme_max_queues(nvme), 4);
	ck_assert_uint_ge(nvme_max_entries(nvme), ENTRIES);
	lease = lend(1);
	queue = open_queue(&lease, NULL);
	ck_assert_uint_eq(vdb_nvme_id(queue), 1);
	ck_assert_uint_eq(vdb_nvme_depth(queue), ENTRIES - 1);
	ck_assert_uint_eq(vdb_nvme_namespace(queue, 0)->block_size, BLOCK);
	ck_assert_uint_eq(vdb_nvme_namespace(queue, 0)->blocks, (64 << 20) / BLOCK);
	ck_assert_ptr_null(vdb_nvme_namespace(queue, 1));
	io_check(queue);
	ck_assert_nvme(nvme_stop(nvme));
	ck_assert_works(nvme_queue_end(vdb_slice_fd(lease.memory)));
	ck_assert_fails(vdb_nvme_poll(queue, &(struct vdb_nvme_completion){ 0 }, 1), ENODEV);
	vdb_nvme_close(queue);
	free_lease(&lease);
	nvme_free(nvme);

	/* While it runs, as an owner leaves it that was killed. */
	nvme = nvme_start(owner, dma, error);
	ck_assert_msg(nvme, "%s", error);
	nvme_free(nvme);
	nvme = nvme_start(owner, dma, error);
	ck_assert_msg(nvme, "%s", error);
	lease = lend(1);
	end_lease(&lease);
}
END_TEST

START_TEST(what_the_owner_refuses)
{
	struct nvme_queue_options options = { .entries = ENTRIES, .eventfd = -1 };
	struct lease lease = lend(1);

	ck_assert_fails(nvme_queue_create(nvme, 1, lease.memory, &options), EEXIST);
	ck_assert_fails(nvme_queue_create(nvme, 0, lease.memory, &options), EINVAL);
	ck_assert_fails(nvme_queue_create(nvme, nvme_max_queues(nvme) + 1, lease.memory, &options), EINVAL);
	options.entries = MEMORY / 64;
	ck_assert_fails(nvme_queue_create(nvme, 2, lease.memory, &options), EINVAL);
	options.entries = 1;
	ck_assert_fails(nvme_queue_create(nvme, 2, lease.memory, &options), EINVAL);
	options.entries = nvme_max_entries(nvme) + 1;
	ck_assert_fails(nvme_queue_create(nvme, 2, lease.memory, &options), EINVAL);
	options.entries = ENTRIES;
	options.in_cmb = true;
	ck_assert_fails(nvme_queue_create(nvme, 2, lease.memory, &options), EINVAL);
	ck_assert_str_ne(nvme_error(nvme), "");
	ck_assert(!nvme_queue_exists(nvme, 2));
	/* One that does not exist is deleted. */
	ck_assert_nvme(nvme_queue_delete(nvme, 2, NULL));
	end_lease(&lease);
}
END_TEST

START_TEST(queues_are_found_by_their_tags)
{
	struct nvme_queue_options options = { .entries = ENTRIES, .eventfd = -1, .tag = 77 };
	struct lease first = lend(1), second = lend_with(2, &options);

	ck_assert_uint_eq(nvme_queue_find(nvme, 77), 2);
	ck_assert_uint_eq(nvme_queue_tag(nvme, 2), 77);
	ck_assert_uint_eq(nvme_queue_tag(nvme, 1), 0);
	ck_assert_uint_eq(nvme_queue_find(nvme, 0), 3);
	end_lease(&second);
	ck_assert_uint_eq(nvme_queue_find(nvme, 77), 0);
	ck_assert_uint_eq(nvme_queue_find(nvme, 0), 2);
	end_lease(&first);
	ck_assert_uint_eq(nvme_queue_find(nvme, 0), 1);
}
END_TEST

START_TEST(interrupts)
{
	struct nvme_queue_options options = { .entries = ENTRIES, .eventfd = eventfd(0, EFD_NONBLOCK) };
	struct pollfd p = { .fd = options.eventfd, .events = POLLIN };
	struct lease lease = lend_with(2, &options);
	struct vdb_nvme *queue = open_queue(&lease, NULL);
	struct vdb_nvme_completion completion;
	eventfd_t count;

	ck_assert(vdb_nvme_has_interrupt(queue));
	for (unsigned int i = 0; i < 2 * ENTRIES; i++) {
		ck_assert_works(vdb_nvme_flush(queue, 1, i));
		ck_assert_works(vdb_nvme_ring(queue));
		ck_assert_int_eq(poll(&p, 1, -1), 1);
		ck_assert_works(eventfd_read(options.eventfd, &count));
		ck_assert_int_eq(vdb_nvme_poll(queue, &completion, 1), 1);
		ck_assert_uint_eq(completion.status, 0);
	}
	vdb_nvme_close(queue);
	end_lease(&lease);
	close(options.eventfd);
}
END_TEST

/* What a client has written is what the kernel's driver reads, and the other way round. */
static void check_from_outside(const char *bdf, uint64_t block, char *content, bool write_it)
{
	char path[128];
	void *page = aligned_alloc(PAGE, PAGE);
	glob_t found;
	int fd = -1;

	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/nvme/nvme*/nvme*n1", bdf);
	while (fd < 0) {
		nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
		if (!glob(path, 0, NULL, &found)) {
			char node[64];

			snprintf(node, sizeof(node), "/dev/%s", strrchr(found.gl_pathv[0], '/') + 1);
			fd = open(node, O_RDWR | O_DIRECT | O_CLOEXEC);
			globfree(&found);
		}
	}
	ck_assert_int_eq(pread(fd, page, PAGE, block * BLOCK), PAGE);
	ck_assert_int_eq(memcmp(page, content, PAGE), 0);
	if (write_it) {
		memset(content, 'k', PAGE);
		memset(page, 'k', PAGE);
		ck_assert_int_eq(pwrite(fd, page, PAGE, block * BLOCK), PAGE);
	}
	close(fd);
	free(page);
}

static const char *nvme_module_missing(void)
{
	return system("grep -q /nvme.ko /lib/modules/$(uname -r)/modules.dep") ? "this kernel has no driver for NVMe" : NULL;
}

static void rebind_all(void)
{
	driver_rebind(lab_bdf("NVME"));
}

START_TEST(same_blocks_as_the_kernels_driver)
{
	const uint64_t block = 4096;
	struct lease lease = lend(1);
	struct vdb_nvme *queue = open_queue(&lease, NULL);
	char content[PAGE];
	size_t size;
	char *data = vdb_nvme_data(queue, &size);

	for (unsigned int i = 0; i < PAGE; i++)
		content[i] = i * 7 + i / 256;
	memcpy(data, content, PAGE);
	ck_assert_works(vdb_nvme_write(queue, 1, block, PAGE / BLOCK, data, 0));
	ck_assert_uint_eq(io_wait(queue), 0);
	ck_assert_works(vdb_nvme_flush(queue, 1, 0));
	ck_assert_uint_eq(io_wait(queue), 0);
	vdb_nvme_close(queue);
	end_lease(&lease);
	ck_assert_nvme(nvme_stop(nvme));
	close_controller();
	ck_assert_int_eq(system("modprobe nvme"), 0);
	driver_bind(lab_bdf("NVME"), "nvme");
	check_from_outside(lab_bdf("NVME"), block, content, true);
	driver_rebind(lab_bdf("NVME"));

	open_controller("NVME");
	lease = lend(1);
	queue = open_queue(&lease, NULL);
	data = vdb_nvme_data(queue, &size);
	ck_assert_works(vdb_nvme_read(queue, 1, block, PAGE / BLOCK, data + PAGE, 0));
	ck_assert_uint_eq(io_wait(queue), 0);
	ck_assert_int_eq(memcmp(data + PAGE, content, PAGE), 0);
	vdb_nvme_close(queue);
	end_lease(&lease);
}
END_TEST

/* ---- clients under load ---- */

#define VICTIM_BLOCKS	0
#define WITNESS_BLOCKS	65536
#define KILLS		60

START_TEST(clients_killed_in_mid_io)
{
	struct load *witness = load_start(WITNESS_BLOCKS);
	struct lease of_witness = lend(1);
	unsigned int in_mid_io = 0;
	uint64_t before;

	load_lend(witness, of_witness.doorbells, of_witness.memory);
	load_wait_done(witness, 1);
	before = witness->report->done;
	for (unsigned int i = 0; i < KILLS; i++) {
		struct load *victim = load_start(VICTIM_BLOCKS);
		struct lease lease = lend(2);

		load_lend(victim, lease.doorbells, lease.memory);
		load_wait_done(victim, 1 + rand() % 20);
		in_mid_io += load_kill(victim) > 0;
		end_lease(&lease);
		ck_assert_msg(!witness->report->wrong, "%s", (const char *)witness->report->what);
	}
	ck_assert_uint_ge(in_mid_io, 50);
	load_wait_done(witness, before + KILLS);
	ck_assert_uint_eq(witness->report->lost, 0);
	load_finish(witness);
	end_lease(&of_witness);
}
END_TEST

/* Its clients lose their queues and nothing else, and go on with new ones. */
START_TEST(controller_reset_under_load)
{
	struct load *loads[] = { load_start(VICTIM_BLOCKS), load_start(WITNESS_BLOCKS) };
	uint64_t lost = 0;

	for (unsigned int round = 0; round < 6; round++) {
		struct lease leases[2];

		for (unsigned int i = 0; i < 2; i++) {
			leases[i] = lend(1 + i);
			load_lend(loads[i], leases[i].doorbells, leases[i].memory);
		}
		for (unsigned int i = 0; i < 2; i++)
			load_wait_done(loads[i], loads[i]->report->done + 1 + rand() % 40);
		ck_assert_nvme(nvme_reset(nvme));
		for (unsigned int i = 0; i < 2; i++) {
			ck_assert(!nvme_queue_exists(nvme, 1 + i));
			/* In half of the cases the end is all that they see. */
			if (round % 2)
				ck_assert_works(vdb_slice_revoke(owner, leases[i].doorbells));
			ck_assert_works(nvme_queue_end(vdb_slice_fd(leases[i].memory)));
			load_wait_ended(loads[i], round + 1);
			ck_assert_works(round % 2 ? 0 : vdb_slice_revoke(owner, leases[i].doorbells));
			free_lease(&leases[i]);
		}
	}
	for (unsigned int i = 0; i < 2; i++) {
		lost += loads[i]->report->lost;
		load_finish(loads[i]);
	}
	ck_assert_uint_gt(lost, 0);
}
END_TEST

START_TEST(device_removed_under_load)
{
	struct load *load = load_start(VICTIM_BLOCKS);
	const char *bdf = lab_bdf("NVME");

	/* Otherwise that would bind it when it has come back. */
	if (!nvme_module_missing())
		ck_assert_int_eq(system("modprobe -r nvme"), 0);
	for (unsigned int round = 1; round <= 2; round++) {
		struct lease lease = lend(1);
		pid_t pid;

		load_lend(load, lease.doorbells, lease.memory);
		load_wait_done(load, load->report->done + 20);
		pid = fork();
		ck_assert_works(pid);
		if (!pid) {
			/* The kernel waits there for us, who have it open. */
			close_range(3, ~0U, 0);
			_exit(sysfs_write(bdf, "remove", "1") ? 1 : 0);
		}
		ck_assert_works(vdb_slice_revoke(owner, lease.doorbells));
		nvme_stop(nvme);
		ck_assert_works(nvme_queue_end(vdb_slice_fd(lease.memory)));
		free_lease(&lease);
		close_controller();
		load_wait_ended(load, round);
		ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
		driver_rebind(bdf);
		open_controller("NVME");
	}
	load_finish(load);
}
END_TEST

/* ---- an owner that is killed ---- */

/*
 * As another process does it, from the fds that were kept.  Its address space is a new object,
 * in which the clients' memory is reserved.
 */
static struct nvme *adopt(struct vdb_slice *memories[], unsigned int nr)
{
	int fd = dup(nvme_fd(nvme));
	struct nvme *adopted;

	dma = vdb_dma_from_fd(vdb_device_iommu_fd(owner), vdb_dma_ioas(dma), error);
	ck_assert_msg(dma, "%s", error);
	for (unsigned int i = 0; i < nr; i++)
		ck_assert_works(vdb_dma_reserve(dma, vdb_slice_iova(memories[i]), MEMORY));
	adopted = nvme_adopt(owner, dma, fd, error);
	if (!adopted)
		ck_assert_works(close(fd));
	return adopted;
}

static void go_on(struct vdb_slice *memories[], unsigned int nr)
{
	struct nvme *adopted = adopt(memories, nr);
	struct vdb_nvme *queue;
	struct lease lease;

	ck_assert_msg(adopted, "%s", error);
	nvme_free(nvme);
	nvme = adopted;
	ck_assert_nvme(nvme_queue_delete(nvme, 5, NULL));
	lease = lend(5);
	queue = open_queue(&lease, NULL);
	io_check(queue);
	vdb_nvme_close(queue);
	end_lease(&lease);
}

/* Makes and deletes a queue pair, @times.  In memory of its own, which has been mapped before. */
static void churn(struct vdb_slice *memories[], unsigned int times)
{
	const struct nvme_queue_options options = { .entries = ENTRIES, .eventfd = -1 };

	for (unsigned int i = 0; i < times; i++)
		if (nvme_queue_create(nvme, 5, memories[i], &options) || nvme_queue_delete(nvme, 5, NULL))
			_exit(2);
	_exit(0);
}

static pid_t start_owner(struct vdb_slice *memories[], unsigned int times, int writes)
{
	pid_t pid = fork();

	ck_assert_works(pid);
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		writes_left = writes;
		churn(memories, times);
	}
	return pid;
}

static int end_of(pid_t pid)
{
	int status;

	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return status;
}

static void free_memories(struct vdb_slice *memories[], unsigned int nr)
{
	for (unsigned int i = 0; i < nr; i++) {
		ck_assert_msg(!vdb_dma_revoke(dma, memories[i]), "%s", vdb_dma_error(dma));
		vdb_slice_free(memories[i]);
	}
}

/* Before and after each write to a register. */
START_TEST(owner_killed_at_each_point)
{
	unsigned int points = 0;
	int status = SIGKILL;

	kill_after = _i;
	for (int writes = 0; status; writes++, points++) {
		struct vdb_slice *memory = new_memory();

		status = end_of(start_owner(&memory, 1, writes));
		ck_assert_msg(!status || status == SIGKILL, "status 0x%x", status);
		go_on(&memory, 1);
		free_memories(&memory, 1);
	}
	/* Four commands, two doorbells each, and it was not killed. */
	ck_assert_uint_eq(points, 4 * 2 + 1);
}
END_TEST

#define TIMES	12u

START_TEST(owner_killed_at_random)
{
	unsigned int killed = 0;

	for (unsigned int i = 0; i < 20; i++) {
		struct vdb_slice *memories[TIMES];
		pid_t pid;

		for (unsigned int j = 0; j < TIMES; j++)
			memories[j] = new_memory();
		pid = start_owner(memories, TIMES, -1);
		nanosleep(&(struct timespec){ .tv_nsec = 1000 * (rand() % 20000) }, NULL);
		kill(pid, SIGKILL);
		killed += end_of(pid) == SIGKILL;
		go_on(memories, TIMES);
		free_memories(memories, TIMES);
	}
	ck_assert_uint_gt(killed, 0);
}
END_TEST

START_TEST(controller_that_must_be_reset)
{
	struct lease lease = lend(1);

	ck_assert(nvme_is_running(nvme));
	ck_assert_works(vdb_device_reset(owner));
	ck_assert(!nvme_is_running(nvme));
	ck_assert_fails(nvme_queue_delete(nvme, 1, NULL), EIO);
	ck_assert_ptr_null(adopt(&lease.memory, 1));
	ck_assert_int_eq(errno, ESTALE);
	nvme_free(nvme);
	nvme = nvme_start(owner, dma, error);
	ck_assert_msg(nvme, "%s", error);
	ck_assert(!nvme_queue_exists(nvme, 1));
	ck_assert_works(vdb_slice_revoke(owner, lease.doorbells));
	free_lease(&lease);
	go_on(NULL, 0);
}
END_TEST

/* ---- a client that sends its own commands ---- */

/*
 * It rings the admin queue's doorbell, which is in its page.  The controller carries out what is
 * there, and must reject all of it.
 */
START_TEST(client_rings_the_admin_doorbell)
{
	const char *admin = mmap(NULL, 4 * PAGE, PROT_READ, MAP_SHARED, nvme_fd(nvme), 0);
	const struct nvme_state *state = (const struct nvme_state *)admin;
	const struct nvme_entry *entries = (const struct nvme_entry *)(admin + 2 * PAGE);
	struct lease lease = lend(1), other;
	char *doorbells = owner_map(lease.doorbells, RW);
	struct vdb_nvme *queue;

	/* So often that each place of the queue has been used. */
	for (unsigned int round = 0; round < 20; round++) {
		unsigned int forged = round < 17 ? 0 : 8;

		vdb_write32(doorbells + NVME_SQ_TAIL(0, 4) - PAGE,
			    (state->submitted + forged) % NVME_ADMIN_ENTRIES);
		for (unsigned int i = 0; i < forged; i++) {
			uint32_t number = state->entries_seen + i;
			const volatile struct nvme_entry *entry = &entries[number % NVME_ADMIN_ENTRIES];

			while ((entry->status & 1) == number / NVME_ADMIN_ENTRIES % 2)
				sched_yield();
			ck_assert_uint_eq(entry->status >> 1 & 0x7ff, NVME_INVALID_QUEUE);
		}
		other = lend(2);
		end_lease(&other);
	}
	queue = open_queue(&lease, NULL);
	io_check(queue);
	vdb_nvme_close(queue);
	end_lease(&lease);
}
END_TEST

/* It makes the controller write to the admin submission queue. */
START_TEST(client_writes_to_the_admin_queue)
{
	const char *commands = mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, nvme_fd(nvme), 0);
	const uint64_t iova = ((const struct nvme_state *)commands)->commands_iova;
	struct lease lease = lend(1);
	char *memory = owner_map(lease.memory, RW), *doorbells = owner_map(lease.doorbells, RW);
	const struct nvme_layout *layout = (const struct nvme_layout *)memory;
	struct nvme_command command = { .opcode = NVME_READ, .nsid = 1, .dword12 = PAGE / BLOCK - 1 };
	volatile const struct nvme_entry *entry = (const struct nvme_entry *)(memory + layout->cq);
	char before[2 * PAGE], text[64];

	memcpy(before, commands, sizeof(before));
	for (unsigned int i = 0; i < 2; i++) {
		command.prp1 = iova + i * PAGE;
		memcpy(memory + layout->sq + i * 64, &command, 64);
		vdb_write32(doorbells + layout->sq_doorbell - PAGE, i + 1);
		while (!(entry[i].status & 1))
			sched_yield();
		ck_assert_int_eq(memcmp(before, commands, sizeof(before)), 0);
	}
	dmar_text_at(lab_bdf("NVME"), iova, text, sizeof(text));
	ck_assert(kmsg_wait_for(kmsg, text, 6));
	end_lease(&lease);
	go_on(NULL, 0);
}
END_TEST

/* ---- the controller's memory buffer ---- */

START_TEST(submission_queue_in_the_controllers_memory)
{
	struct nvme_queue_options options = { .entries = 64, .eventfd = -1, .in_cmb = true, .cmb_offset = PAGE };
	struct vdb_slice *submission;
	struct vdb_nvme *queue;
	struct nvme_cmb cmb;
	struct lease lease;

	ck_assert(!nvme_cmb(nvme, &cmb));
	close_controller();
	open_controller("NVME2");
	ck_assert(nvme_cmb(nvme, &cmb));
	ck_assert_uint_eq(cmb.size, 1 << 20);
	lease = lend_with(1, &options);
	submission = owner_export(cmb.bar, cmb.offset + options.cmb_offset, PAGE, 0);
	queue = open_queue(&lease, submission);
	for (unsigned int i = 0; i < 100; i++)
		io_check(queue);
	ck_assert_works(vdb_slice_revoke(owner, submission));
	ck_assert_works(vdb_guard_enable());
	ck_assert_fails(vdb_nvme_flush(queue, 1, 0), ENODEV);
	vdb_nvme_close(queue);
	vdb_slice_free(submission);
	end_lease(&lease);
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("nvme_queue");
	TCase *tc = add_group(s, "queue");

	if (page_too_large()) {
		add_test_or_skip(tc, starts_and_stops, page_too_large());
		return s;
	}

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, starts_and_stops);
	tcase_add_test(tc, what_the_owner_refuses);
	tcase_add_test(tc, queues_are_found_by_their_tags);
	tcase_add_test(tc, interrupts);
	tcase_add_test(tc, submission_queue_in_the_controllers_memory);

	tc = add_group(s, "outside");
	tcase_add_unchecked_fixture(tc, NULL, rebind_all);
	tcase_add_checked_fixture(tc, setup, teardown);
	add_test_or_skip(tc, same_blocks_as_the_kernels_driver, nvme_module_missing());

	tc = add_group(s, "load");
	tcase_add_unchecked_fixture(tc, NULL, rebind_all);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, clients_killed_in_mid_io);
	tcase_add_test(tc, controller_reset_under_load);
	tcase_add_test(tc, device_removed_under_load);

	tc = add_group(s, "owner");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, owner_killed_at_each_point, 0, 2);
	tcase_add_test(tc, owner_killed_at_random);
	tcase_add_test(tc, controller_that_must_be_reset);

	tc = add_group(s, "hostile");
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, client_rings_the_admin_doorbell);

	/* The kernel logs faults, the last after the test has ended. */
	tc = add_group(s, "faults");
	tcase_add_checked_fixture(tc, setup, close_controller);
	tcase_add_test(tc, client_writes_to_the_admin_queue);
	return s;
}
