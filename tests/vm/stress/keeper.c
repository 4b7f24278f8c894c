// SPDX-License-Identifier: MIT
/* An owner: its devices, and its threads. */
#define _GNU_SOURCE
#include "keeper.h"

#include <errno.h>
#include <linux/pci_regs.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "checker.h"
#include "mailbox.h"
#include "suite.h"

void keeper_open(struct keeper *keeper)
{
	struct kept *kept;

	for (kept = keeper->kept; kept < keeper->kept + keeper->nr; kept++) {
		if (kept == keeper->kept)
			device_open(&kept->dev, kept->board->name);
		else
			device_open_sibling(&kept->dev, &keeper->kept[0].dev, kept->board->name);
		kept->bar_size = device_bar_size(&kept->dev, kept->board->bar);
		kept->bar = device_map(&kept->dev, kept->board->bar, 0, kept->bar_size);
		kept->pm = config_find_cap(&kept->dev, PCI_CAP_ID_PM);
		kept->express = config_find_cap(&kept->dev, PCI_CAP_ID_EXP);
	}
}

void keeper_mark(const struct keeper *keeper, bool dead)
{
	struct slot *slot;

	for (slot = board->slots; slot < board->slots + NR_SLOTS; slot++)
		if (board->devices[slot->device].owner == keeper->owner)
			generation_reach(dead ? &slot->dead : &slot->ending, slot->exported);
}

void keeper_close(struct keeper *keeper)
{
	int i;

	for (i = keeper->nr - 1; i >= 0; i--) {
		munmap(keeper->kept[i].bar, keeper->kept[i].bar_size);
		device_close(&keeper->kept[i].dev);
	}
}

/* Whether to repeat the call after a signal. */
static bool wait_for_access(struct kept *kept, uint32_t mark, int number)
{
	if (number != SIGBUS || suspension_none(kept->index, mark))
		board_fail(FAILED_REFUSED, "the owner gets %s at its mapping of %s, which is not suspended",
			   strsignal(number), kept->board->name);
	usleep(300);
	return !board->stop;
}

bool keeper_peek(struct kept *kept, uint64_t at, uint32_t *value)
{
	uint32_t mark;
	int number;

	do {
		mark = suspension_mark(kept->index);
		number = checker_peek(kept->bar + at, value);
	} while (number && wait_for_access(kept, mark, number));
	return !number;
}

bool keeper_poke(struct kept *kept, uint64_t at, uint32_t value)
{
	uint32_t mark;
	int number;

	do {
		mark = suspension_mark(kept->index);
		number = checker_poke(kept->bar + at, value);
	} while (number && wait_for_access(kept, mark, number));
	return !number;
}

long keeper_feature(const struct kept *kept, uint32_t flags, void *data, uint32_t size)
{
	struct {
		struct vfio_device_feature feature;
		char data[128];
	} request = {
		.feature.argsz = sizeof(request.feature) + size,
		.feature.flags = flags,
	};
	long ret;

	memcpy(request.data, data, size);
	ret = ioctl(kept->dev.fd, VFIO_DEVICE_FEATURE, &request);
	memcpy(data, request.data, size);
	return ret;
}

void keeper_check(const struct kept *kept, const char *what, bool fine, int error)
{
	if (!fine)
		board_fail(FAILED_ERRNO, "%s of %s: %s", what, kept->board->name,
			   strerrorname_np(error));
}

struct thread {
	pthread_t thread;
	struct kept *kept;
	unsigned int worker;
	int role;
	struct random random;
};

static void *thread_run(void *argument)
{
	struct thread *t = argument;
	int sender = mailbox_sender();

	operation_worker(t->worker);
	while (!board->stop) {
		switch (t->role) {
		case 0:
			exporter_step(t->kept, &t->random, sender);
			break;
		case 1:
			disturber_step(t->kept, &t->random);
			break;
		case 2:
			inspector_step(t->kept, &t->random);
			break;
		}
	}
	operation_cancel();
	close(sender);
	return NULL;
}

static void init(struct keeper *keeper, unsigned int owner)
{
	pthread_rwlockattr_t attr;
	unsigned int i;

	keeper->owner = owner;
	for (i = 0; i < NR_STRESS_DEVICES; i++) {
		if (board->devices[i].owner != owner)
			continue;
		keeper->kept[keeper->nr].keeper = keeper;
		keeper->kept[keeper->nr].index = i;
		keeper->kept[keeper->nr++].board = &board->devices[i];
	}
	for (i = 0; i < NR_SLOTS; i++) {
		pthread_mutex_init(&keeper->lent[i].lock, NULL);
		keeper->lent[i].fd = -1;
		keeper->lent[i].events = -1;
		keeper->lent[i].generation = board->slots[i].exported;
		/* The phase can have ended in the middle of it. */
		if (board->slots[i].stamping <= board->slots[i].exported)
			keeper->lent[i].stamped = board->slots[i].exported;
	}
	pthread_rwlockattr_init(&attr);
	/* The one that closes gets its turn. */
	pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
	pthread_rwlock_init(&keeper->open, &attr);
}

void keeper_run(unsigned int owner, uint64_t seed)
{
	static struct keeper keeper;
	static struct thread threads[MOST_KEPT * THREADS_OF_DEVICE];
	struct random random = { seed };
	struct thread *t = threads, *end;
	int i, role;

	/* Clients use all processor time. */
	setpriority(PRIO_PROCESS, 0, -2);
	checker_catch_signals();
	init(&keeper, owner);
	/* Opening a device resets it, and closing it does. */
	pthread_rwlock_rdlock(&board->bus);
	keeper_open(&keeper);
	pthread_rwlock_unlock(&board->bus);
	for (i = 0; i < keeper.nr; i++) {
		for (role = 0; role < THREADS_OF_DEVICE; role++, t++) {
			t->kept = &keeper.kept[i];
			t->role = role;
			t->worker = WORKER_DEVICE + t->kept->index * THREADS_OF_DEVICE + role;
			t->random.state = random_next(&random);
		}
	}
	end = t;
	for (t = threads; t < end; t++)
		if (pthread_create(&t->thread, NULL, thread_run, t))
			board_fail(FAILED_OTHER, "no thread for %s", t->kept->board->name);
	for (t = threads; t < end; t++)
		pthread_join(t->thread, NULL);
	/* Some clients are still in an operation. */
	keeper_mark(&keeper, false);
	pthread_rwlock_rdlock(&board->bus);
	keeper_close(&keeper);
	pthread_rwlock_unlock(&board->bus);
	_exit(0);
}
