// SPDX-License-Identifier: MIT
/* A client: what it does with its mappings and its processes. */
#define _GNU_SOURCE
#include "borrower.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "board.h"
#include "checker.h"
#include "mailbox.h"
#include "random.h"

#define MOST_HELD	8
#define MOST_CHILDREN	2

/* One slice that it has, mapped or not. */
struct held {
	bool used;
	struct loan loan;
	int fd;			/* -1: closed */
	char *map;		/* NULL: not mapped */
	size_t length, offset;	/* of the mapping, in the slice */
	int prot;
	bool split;		/* into several VMAs, which the kernel does not join */
};

struct borrower {
	struct random random;
	struct held held[MOST_HELD];
	int mailbox;
	int children;
};

/* Calls that must not fail, or only for one reason that exists. */
static bool check_errno(const struct held *h, const char *what, bool fine)
{
	int error = errno;

	if (!fine)
		board_fail(FAILED_ERRNO, "a client's %s of slot %u, generation %u: %s",
			   what, h->loan.slot, h->loan.generation, strerrorname_np(error));
	return fine;
}

static struct held *choose(struct borrower *b, bool mapped)
{
	unsigned int first = random_below(&b->random, MOST_HELD), i;
	struct held *h;

	for (i = 0; i < MOST_HELD; i++) {
		h = &b->held[(first + i) % MOST_HELD];
		if (h->used && (mapped ? !!h->map : !h->map && h->fd >= 0))
			return h;
	}
	return NULL;
}

static void unmap(struct held *h)
{
	operation_begin(OP_MUNMAP);
	check_errno(h, "munmap()", !munmap(h->map, h->length));
	operation_end();
	h->map = NULL;
}

static void close_fd(struct held *h)
{
	operation_begin(OP_CLOSE);
	close(h->fd);
	operation_end();
	h->fd = -1;
}

static void drop(struct held *h)
{
	if (h->map)
		unmap(h);
	if (h->fd >= 0)
		close_fd(h);
	h->used = false;
}

static void receive(struct borrower *b, int ms)
{
	struct held *h = &b->held[random_below(&b->random, MOST_HELD)];
	struct held *other;
	struct loan loan;
	int fd;

	operation_begin(OP_RECEIVE);
	if (!mailbox_receive(b->mailbox, &loan, &fd, ms)) {
		operation_cancel();
		return;
	}
	operation_end();
	for (other = b->held; other < b->held + MOST_HELD; other++)
		if (!other->used)
			h = other;
	if (h->used)
		drop(h);
	*h = (struct held){ .used = true, .loan = loan, .fd = fd };
}

/* An address where a mapping of that offset can have huge pages. */
static void *aligned_place(size_t length, size_t offset)
{
	char *room, *place;

	if (length < PMD)
		return NULL;
	room = mmap(NULL, length + PMD, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (room == MAP_FAILED)
		return NULL;
	munmap(room, length + PMD);
	place = (char *)(((uintptr_t)room + PMD - 1) & ~(PMD - 1)) + offset % PMD;
	return place + length <= room + length + PMD ? place : NULL;
}

static void map(struct borrower *b)
{
	struct held *h = choose(b, false);
	size_t pages, first;
	bool dead;
	void *map;

	if (!h)
		return;
	pages = h->loan.size / PAGE;
	first = random_chance(&b->random, 50) ? random_below(&b->random, pages) : 0;
	/* A BAR that is not memory has a readable register in its first page. */
	if (!board->slots[h->loan.slot].memory)
		first = 0;
	pages -= first;
	if (random_chance(&b->random, 30))
		pages = 1 + random_below(&b->random, pages);
	h->offset = first * PAGE;
	h->length = pages * PAGE;
	h->prot = h->loan.read_only || random_chance(&b->random, 10) ?
		PROT_READ : PROT_READ | PROT_WRITE;

	dead = generation_dead(&h->loan);
	operation_begin(OP_MAP);
	map = mmap(aligned_place(h->length, h->offset), h->length, h->prot, MAP_SHARED,
		   h->fd, h->offset);
	if (map == MAP_FAILED) {
		check_errno(h, "mmap()", errno == ENODEV && generation_ending(&h->loan));
		operation_end();
		drop(h);
		return;
	}
	operation_end();
	if (dead)
		board_fail(FAILED_STALE, "a client (pid %d) maps slot %u, generation %u, after its revocation had returned",
			   getpid(), h->loan.slot, h->loan.generation);
	h->map = map;
	h->split = false;
}

static void touch_once(struct random *random, const struct held *h)
{
	const struct slot *slot = &board->slots[h->loan.slot];
	size_t page = random_below(random, h->length / PAGE);
	char *address = h->map + page * PAGE + slot->at;

	if (!slot->memory)
		address = h->map + slot->at;
	if (slot->memory && h->prot & PROT_WRITE && random_chance(random, 50))
		checked_write(&h->loan, address);
	else if (h->prot & PROT_READ)
		checked_read(&h->loan, address);
}

static void touch(struct random *random, const struct held *h, unsigned int times)
{
	while (times-- && !board->stop) {
		/* After a revocation, some more tries are enough. */
		if (generation_dead(&h->loan) && times > 3)
			times = 3;
		touch_once(random, h);
	}
}

static void touch_some(struct borrower *b)
{
	struct held *h = choose(b, true);

	if (!h)
		return;
	operation_begin(OP_READ);
	touch(&b->random, h, 1 + random_below(&b->random, 100));
	/* Counted one by one, by the checker. */
	operation_cancel();
	if (generation_dead(&h->loan) && random_chance(&b->random, 50))
		drop(h);
}

struct toucher {
	pthread_t thread;
	struct random random;
	const struct held *held;
};

static void *touch_in_thread(void *argument)
{
	struct toucher *t = argument;

	touch(&t->random, t->held, 60);
	return NULL;
}

static void touch_in_threads(struct borrower *b)
{
	struct held *h = choose(b, true);
	struct toucher touchers[3];
	int i, nr;

	if (!h)
		return;
	operation_begin(OP_THREADS);
	for (nr = 0; nr < 3; nr++) {
		touchers[nr].random.state = random_next(&b->random);
		touchers[nr].held = h;
		if (pthread_create(&touchers[nr].thread, NULL, touch_in_thread, &touchers[nr]))
			break;
	}
	for (i = 0; i < nr; i++)
		pthread_join(touchers[i].thread, NULL);
	operation_end();
}

static void remap(struct borrower *b)
{
	struct held *h = choose(b, true);
	size_t length;
	void *map;

	if (!h || h->split)
		return;
	operation_begin(OP_MREMAP);
	switch (random_below(&b->random, 3)) {
	case 0:	/* shorter */
		length = (1 + random_below(&b->random, h->length / PAGE)) * PAGE;
		if (check_errno(h, "mremap()", mremap(h->map, h->length, length, 0) == h->map))
			h->length = length;
		break;
	case 1:	/* elsewhere */
		map = mmap(NULL, h->length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (map == MAP_FAILED)
			break;
		map = mremap(h->map, h->length, h->length, MREMAP_MAYMOVE | MREMAP_FIXED, map);
		if (check_errno(h, "mremap()", map != MAP_FAILED))
			h->map = map;
		break;
	case 2:	/* never longer */
		if (mremap(h->map, h->length, h->length + PAGE, MREMAP_MAYMOVE) != MAP_FAILED)
			board_fail(FAILED_OTHER, "a client's mapping has grown");
		else
			check_errno(h, "mremap()", errno == EFAULT);
		break;
	}
	operation_end();
}

static void protect(struct borrower *b)
{
	static const int prots[] = { PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE };
	struct held *h = choose(b, true);
	int prot, fine;

	if (!h)
		return;
	prot = prots[random_below(&b->random, 3)];
	operation_begin(OP_MPROTECT);
	/* One half first. */
	if (random_chance(&b->random, 30) && h->length > PAGE) {
		h->split = true;
		mprotect(h->map, h->length / PAGE / 2 * PAGE, PROT_NONE);
	}
	fine = !mprotect(h->map, h->length, prot);
	if (!fine && h->loan.read_only && prot & PROT_WRITE) {
		check_errno(h, "mprotect()", errno == EACCES);
		prot = PROT_READ;
		fine = !mprotect(h->map, h->length, prot);
	} else if (fine && h->loan.read_only && prot & PROT_WRITE) {
		board_fail(FAILED_OTHER, "a client made a mapping of a read-only slice writable");
	}
	if (check_errno(h, "mprotect()", fine))
		h->prot = prot;
	operation_end();
}

static void advise(struct borrower *b)
{
	struct held *h = choose(b, true);

	if (!h)
		return;
	operation_begin(OP_MADVISE);
	check_errno(h, "madvise()", !madvise(h->map, h->length, MADV_DONTNEED));
	operation_end();
}

/* A part at an end, or all. */
static void unmap_some(struct borrower *b)
{
	struct held *h = choose(b, true);
	size_t gone;

	if (!h)
		return;
	if (!board->slots[h->loan.slot].memory || h->length == PAGE ||
	    random_chance(&b->random, 50)) {
		unmap(h);
		return;
	}
	operation_begin(OP_MUNMAP);
	gone = h->length / PAGE / 2 * PAGE;
	if (random_chance(&b->random, 50)) {
		check_errno(h, "munmap()", !munmap(h->map, gone));
		h->map += gone;
	} else {
		check_errno(h, "munmap()", !munmap(h->map + h->length - gone, gone));
	}
	h->length -= gone;
	operation_end();
}

static void close_some(struct borrower *b)
{
	struct held *h = choose(b, random_chance(&b->random, 50));

	if (!h || h->fd < 0)
		return;
	close_fd(h);
	if (!h->map)
		h->used = false;
}

/* It has all mappings of its parent, and can outlive it. */
static void child(struct borrower *b)
{
	static char *const argv[] = { "true", NULL };
	unsigned int rounds = random_below(&b->random, 40);
	struct held *h;

	while (rounds-- && !board->stop) {
		h = choose(b, true);
		if (h)
			touch(&b->random, h, 10);
		/* They fork as well, sometimes. */
		if (random_chance(&b->random, 1) && !fork())
			rounds /= 2;
	}
	switch (random_below(&b->random, 3)) {
	case 0:
		operation_count(OP_EXEC, 1);
		execv("/usr/bin/true", argv);
		break;
	case 1:
		operation_count(OP_KILL, 1);
		kill(getpid(), SIGKILL);
		break;
	}
	operation_count(OP_EXIT, 1);
	_exit(0);
}

static void reap(struct borrower *b)
{
	int status;

	while (waitpid(-1, &status, WNOHANG) > 0) {
		b->children--;
		if (status && !(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL))
			board_fail(FAILED_OTHER, "a client's child ended with status %#x", status);
	}
}

static void spawn(struct borrower *b)
{
	pid_t pid;

	reap(b);
	if (b->children >= MOST_CHILDREN)
		return;
	operation_begin(OP_FORK);
	b->random.state += 1;
	pid = fork();
	if (!pid) {
		operation_worker_none();
		close(b->mailbox);
		b->random.state = random_next(&b->random);
		child(b);
	}
	operation_end();
	if (pid > 0)
		b->children++;
}

void borrower_run(unsigned int worker, uint64_t seed)
{
	struct borrower b = { .random.state = seed };
	unsigned int lot;

	checker_catch_signals();
	operation_worker(worker);
	b.mailbox = mailbox_open(worker);
	while (!board->stop) {
		lot = random_below(&b.random, 1000);
		if (lot < 250)
			receive(&b, choose(&b, true) ? 0 : 20);
		else if (lot < 400)
			map(&b);
		else if (lot < 850)
			touch_some(&b);
		else if (lot < 860)
			touch_in_threads(&b);
		else if (lot < 880)
			remap(&b);
		else if (lot < 900)
			protect(&b);
		else if (lot < 920)
			advise(&b);
		else if (lot < 950)
			unmap_some(&b);
		else if (lot < 970)
			close_some(&b);
		else if (lot < 982)
			spawn(&b);
		else if (lot == 999 && random_chance(&b.random, 20))
			break;
	}
	operation_count(OP_EXIT, 1);
	_exit(0);
}
