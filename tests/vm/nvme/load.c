// SPDX-License-Identifier: MIT
/* A client that writes and verifies its blocks. */
#define _GNU_SOURCE
#include "load.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <vfio-dmabuf-nvme.h>

#include "client.h"
#include "suite.h"

/*
 * The unit of I/O.  Of its 32 blocks it uses those of one to four pages, so that all forms
 * of PRPs occur.  One command at a time is outstanding for a cell.
 */
#define BLOCK		512u
#define CELL_BLOCKS	32u
#define CELLS		(LOAD_BLOCKS / CELL_BLOCKS)
#define DEPTH		8u

enum doing { IDLE, READING, WRITING };

struct cell {
	uint32_t generation;	/* of its content; 0: not known */
	bool uncertain;		/* each block is of this generation or of the next */
	bool was_uncertain;	/* when the write began that is outstanding */
	enum doing doing;
};

/* Of the client's process. */
static volatile struct load_report *report;
static uint64_t first_block;
static struct cell cells[CELLS];

__attribute__((format(printf, 1, 2), noreturn))
static void wrong(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf((char *)report->what, sizeof(report->what), format, args);
	va_end(args);
	report->wrong = true;
	_exit(1);
}

static uint32_t blocks_of(unsigned int cell)
{
	return (1 + cell % 4) * 4096 / BLOCK;
}

static uint64_t word(unsigned int cell, uint32_t generation, unsigned int block)
{
	return (uint64_t)generation << 32 | cell << 16 | block;
}

static void fill(uint64_t *data, unsigned int cell, uint32_t generation)
{
	for (unsigned int block = 0; block < blocks_of(cell); block++)
		for (unsigned int i = 0; i < BLOCK / 8; i++)
			*data++ = word(cell, generation, block) + ((uint64_t)i << 24);
}

static void verify(const uint64_t *data, unsigned int cell)
{
	const struct cell *c = &cells[cell];

	for (unsigned int block = 0; block < blocks_of(cell); block++) {
		uint64_t expected = word(cell, c->generation, block);

		if (c->uncertain && data[0] == word(cell, c->generation + 1, block))
			expected = data[0];
		for (unsigned int i = 0; i < BLOCK / 8; i++, data++)
			if (*data != expected + ((uint64_t)i << 24))
				wrong("cell %u, block %u, word %u is 0x%llx, not 0x%llx", cell, block, i,
				      (unsigned long long)*data,
				      (unsigned long long)expected + ((uint64_t)i << 24));
	}
}

static void submit(struct vdb_nvme *queue, uint32_t nsid, unsigned int cell, char *data)
{
	uint64_t block = first_block + cell * CELL_BLOCKS;
	struct cell *c = &cells[cell];
	int ret;

	data += cell * CELL_BLOCKS * BLOCK;
	c->doing = !c->generation || rand() % 2 ? WRITING : READING;
	if (c->doing == WRITING) {
		/* Of a cell that is uncertain, the next generation may be on the disk already. */
		c->was_uncertain = c->uncertain;
		c->generation += c->uncertain;
		c->uncertain = false;
		fill((uint64_t *)data, cell, c->generation + 1);
		ret = vdb_nvme_write(queue, nsid, block, blocks_of(cell), data, cell);
	} else {
		memset(data, 0xee, blocks_of(cell) * BLOCK);
		ret = vdb_nvme_read(queue, nsid, block, blocks_of(cell), data, cell);
	}
	if (ret && errno != ENODEV)
		wrong("submitting: %s", strerror(errno));
	if (!ret)
		return;
	if (c->doing == WRITING && c->was_uncertain) {
		c->generation--;
		c->uncertain = true;
	}
	c->doing = IDLE;
}

/* "Command Aborted due to SQ Deletion" */
#define DELETED	0x008

/* What is in the memory after the lease has ended is not the disk's: the broker frees it. */
static void verify_if_lent(struct vdb_nvme *queue, const char *data, unsigned int cell)
{
	static uint64_t copy[CELL_BLOCKS * BLOCK / 8];

	memcpy(copy, data + cell * CELL_BLOCKS * BLOCK, blocks_of(cell) * BLOCK);
	if (!vdb_nvme_has_ended(queue))
		verify(copy, cell);
}

static void completed(struct vdb_nvme *queue, const struct vdb_nvme_completion *completion, const char *data)
{
	unsigned int cell = completion->tag;
	struct cell *c = &cells[cell];

	if (cell >= CELLS || c->doing == IDLE)
		wrong("completion of cell %u", cell);
	if (completion->status == VDB_NVME_LOST || (completion->status & 0x7ff) == DELETED) {
		if (c->doing == WRITING && c->was_uncertain)
			c->generation = 0;
		else if (c->doing == WRITING && c->generation)
			c->uncertain = true;
		report->lost++;
	} else if (completion->status) {
		wrong("cell %u: status 0x%x: %s", cell, completion->status,
		      vdb_nvme_status_text(completion->status));
	} else {
		if (c->doing == WRITING)
			c->generation++;
		else
			verify_if_lent(queue, data, cell);
		report->done++;
	}
	c->doing = IDLE;
}

static void run(struct vdb_nvme *queue)
{
	struct vdb_nvme_completion completions[DEPTH];
	size_t size;
	char *data = vdb_nvme_data(queue, &size);
	uint32_t nsid = vdb_nvme_namespace(queue, 0)->id;
	int nr;

	if (size < CELLS * CELL_BLOCKS * BLOCK)
		wrong("%zu bytes of data", size);
	do {
		while (!report->stop && vdb_nvme_outstanding(queue) < DEPTH) {
			unsigned int cell = rand() % CELLS;

			if (cells[cell].doing != IDLE)
				break;
			submit(queue, nsid, cell, data);
			if (cells[cell].doing == IDLE)
				break;
		}
		vdb_nvme_ring(queue);
		report->outstanding = vdb_nvme_outstanding(queue);
		nr = vdb_nvme_poll(queue, completions, DEPTH);
		for (int i = 0; i < nr; i++)
			completed(queue, &completions[i], data);
		if (!nr)
			sched_yield();
	} while (nr >= 0 && !(report->stop && !vdb_nvme_outstanding(queue)));
	if (nr < 0 && errno != ENODEV)
		wrong("polling: %s", strerror(errno));
	if (nr < 0)
		report->ended++;
}

__attribute__((noreturn))
static void client(int socket)
{
	char error[VDB_ERROR_SIZE];

	if (vdb_guard_enable())
		wrong("the guard: %s", strerror(errno));
	while (!report->stop) {
		struct vdb_slice *doorbells = vdb_slice_receive(socket);
		struct vdb_slice *memory = doorbells ? vdb_slice_receive(socket) : NULL;
		struct vdb_nvme *queue;

		if (!memory && errno == ENOTCONN)
			break;
		if (!memory)
			wrong("receiving: %s", strerror(errno));
		queue = vdb_nvme_open(doorbells, memory, NULL, error);
		if (!queue)
			wrong("%s", error);
		vdb_slice_free(doorbells);
		vdb_slice_free(memory);
		run(queue);
		vdb_nvme_close(queue);
	}
	_exit(0);
}

struct load *load_start(uint64_t first)
{
	struct load *load = calloc(1, sizeof(*load));
	pid_t parent = getpid();
	int ends[2];

	ck_assert_works(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends));
	load->report = mmap(NULL, sizeof(*load->report), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne((void *)load->report, MAP_FAILED);
	load->pid = fork();
	ck_assert_works(load->pid);
	if (!load->pid) {
		/* All that it has of the device are slices that it is sent. */
		dup2(ends[1], 3);
		close_range(4, ~0U, 0);
		client_become(CLIENT_NOBODY);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
		report = load->report;
		first_block = first;
		srand(first + (unsigned int)getpid());
		client(3);
	}
	close(ends[1]);
	load->socket = ends[0];
	return load;
}

void load_lend(struct load *load, const struct vdb_slice *doorbells, const struct vdb_slice *memory)
{
	ck_assert_works(vdb_slice_send(load->socket, NULL, doorbells));
	ck_assert_works(vdb_slice_send(load->socket, NULL, memory));
}

static void check(const struct load *load)
{
	ck_assert_msg(!load->report->wrong, "client: %s", (const char *)load->report->what);
}

/* The client is in another process; it has no way to wake this one that would not slow it down. */
static void wait_a_little(const struct load *load)
{
	check(load);
	nanosleep(&(struct timespec){ .tv_nsec = 200000 }, NULL);
}

void load_wait_done(struct load *load, uint64_t done)
{
	while (load->report->done < done)
		wait_a_little(load);
	check(load);
}

void load_wait_ended(struct load *load, uint32_t ended)
{
	while (load->report->ended < ended)
		wait_a_little(load);
	check(load);
}

static void end(struct load *load)
{
	close(load->socket);
	munmap((void *)load->report, sizeof(*load->report));
	free(load);
}

void load_finish(struct load *load)
{
	int status;

	load->report->stop = true;
	ck_assert_works(shutdown(load->socket, SHUT_WR));
	ck_assert_int_eq(waitpid(load->pid, &status, 0), load->pid);
	check(load);
	ck_assert_int_eq(status, 0);
	end(load);
}

unsigned int load_kill(struct load *load)
{
	unsigned int outstanding;

	ck_assert_works(kill(load->pid, SIGKILL));
	ck_assert_int_eq(waitpid(load->pid, NULL, 0), load->pid);
	check(load);
	outstanding = load->report->outstanding;
	end(load);
	return outstanding;
}
