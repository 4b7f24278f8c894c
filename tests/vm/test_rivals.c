// SPDX-License-Identifier: MIT
/* Two clients want the same exclusive slice, and the broker is killed meanwhile. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "broker.h"
#include "crash.h"
#include "manager.h"
#include "page.h"
#include "suite.h"

#define RW	(PROT_READ | PROT_WRITE)

static const char config[] =
	"limits: {request_rate: 10000, request_burst: 10000}\n"
	"devices: {edu: {function: @EDU@, reset: never,\n"
	"  slices: {page: {length: @PAGE@, allow: everybody}}}}\n";

static pid_t broker;

static bool ignore(const struct vdb_lease_info *info, void *data)
{
	(void)info, (void)data;
	return true;
}

/*
 * One of two clients that want the same exclusive slice.  The client that has it writes
 * its number to a register.  As long as it can read the register, the number must be
 * there.  It requests a list so that a killed broker is restarted, and serves the other
 * client meanwhile.
 */
static int compete(uint32_t number, const volatile bool *stop, uint32_t rounds)
{
	struct vdb_client *client = NULL;

	vdb_guard_enable();
	while (rounds && !*stop) {
		struct vdb_lease lease;
		uint32_t value;
		char *map;

		if (!client && !(client = vdb_client_connect(MANAGER_SOCKET, BROKER_MS, NULL)))
			continue;
		if (vdb_client_acquire(client, "edu/page", 0, 0, 0, 0, &lease)) {
			if (errno != EBUSY && errno != EAGAIN)
				return 2;
			usleep(1000);
			continue;
		}
		map = vdb_slice_map(lease.slice, 0, 0, RW);
		if (map && !vdb_try_write32(map + 4, number)) {
			if (vdb_client_leases(client, ignore, NULL))
				return 5;
			/* For a while, in which the other one asks again.  The edu inverts it. */
			for (int i = 0; i < 20; i++) {
				if (!vdb_try_read32(map + 4, &value) && value != ~number)
					return 8;
				usleep(2000);
			}
		}
		if (vdb_client_release(client, lease.id) && errno != ENOENT)
			return 6;
		if (map)
			vdb_slice_unmap(lease.slice, map, 0, 0);
		vdb_slice_free(lease.slice);
		rounds--;
	}
	vdb_client_close(client);
	return 0;
}

static void prepare(void)
{
	unlink(BROKER_LOG);
	manager_init();
	broker_configure(config);
}

static bool killed_at(const char *call, int nth)
{
	volatile bool *stop = mmap(NULL, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t clients[2];
	bool died;

	prepare();
	broker = crash_start(call, nth, &died);
	ck_assert_ptr_ne((void *)stop, MAP_FAILED);
	for (int i = 0; i < 2; i++) {
		clients[i] = fork();
		if (clients[i])
			continue;
		/* The manager's among them, which would keep the device open. */
		close_range(3, ~0u, 0);
		_exit(compete(0x11111111 << i, stop, i ? UINT32_MAX : 2));
	}
	died |= crash_revive(&broker, clients, 2, stop);
	munmap((void *)stop, PAGE);
	crash_check_peace(broker, "edu/page");
	return died;
}

static const char *const calls[] = { "sendmsg", "close" };

/*
 * The broker is killed before it sends a message to a client or the service manager,
 * and after that, before it closes something. Never do both clients have the slice.
 */
START_TEST(killed_around_the_answer)
{
	const char *call = calls[_i];
	int first, deaths = 0;

	prepare();
	first = crash_find_answer(call, "edu/page");
	for (int nth = first - 1; nth < first + 5; nth += crash_stride())
		deaths += killed_at(call, nth);
	ck_assert_int_gt(deaths, 0);
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("rivals");
	TCase *tc = add_group(s, "rivals");

	tcase_set_timeout(tc, 100);
	tcase_add_loop_test(tc, killed_around_the_answer, 0, 2);
	return s;
}
