// SPDX-License-Identifier: MIT
/* A signal ends the owner's wait for importers, and leaves the slice revoked. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>
#include <vfio-dmabuf.h>

#include "device.h"
#include "importer.h"
#include "memory.h"
#include "page.h"
#include "prompt.h"
#include "suite.h"

#define MEM	2	/* ivshmem's BAR that is plain memory */

static struct device mem;
static struct vdb_device *device;
static struct vdb_slice *slice;
static uint64_t id;
static int importer;

static void setup_slice(void)
{
	const struct vdb_range range = { 0, PAGE };

	device_open(&mem, "IVSHMEM");
	device = vdb_device_from_fd(mem.fd);
	ck_assert_ptr_nonnull(device);
	slice = vdb_slice_export(device, MEM, &range, 1, 0);
	ck_assert_ptr_nonnull(slice);
	id = vdb_slice_id(device, slice);
	ck_assert_works(vdb_slice_watch(device, slice));
	ck_assert_int_eq(vdb_slice_state(slice, NULL), VDB_STATE_LIVE);
}

static void setup(void)
{
	setup_slice();
	importer = importer_open();
	ck_assert_works(importer_try_attach(importer, vdb_slice_fd(slice), &mem, IMPORTER_LAZY));
	ck_assert_works(importer_map(importer, IMPORTER_BOTH));
}

static void nothing(int number)
{
	(void)number;
}

/*
 * Signals are sent until the call has returned, so that one of them arrives during the
 * wait, regardless of when that begins.
 */
static void signals(bool on)
{
	const struct sigaction action = { .sa_handler = nothing };
	struct itimerval timer = { 0 };

	if (on)
		timer.it_interval.tv_usec = timer.it_value.tv_usec = 20 * 1000;
	ck_assert_works(sigaction(SIGALRM, &action, NULL));
	ck_assert_works(setitimer(ITIMER_REAL, &timer, NULL));
}

static int revoke_slice(bool by_id)
{
	return by_id ? vdb_device_revoke_id(device, id) : vdb_slice_revoke(device, slice);
}

static struct vdb_buffer listed(void)
{
	struct vdb_buffer buffer;

	ck_assert_works(vdb_device_buffer(device, id, &buffer));
	return buffer;
}

START_TEST(revocation_stands)
{
	char *map = vdb_slice_map(slice, 0, 0, PROT_READ);
	uint32_t value;

	ck_assert_uint_eq(read32(map), read32(map));
	ck_assert_uint_eq(listed().importers, 1);
	ck_assert_uint_eq(listed().dma_maps, 1);
	signals(true);
	ck_assert_fails(revoke_slice(_i), EINTR);
	/* No process reaches the device any more. */
	ck_assert_int_eq(try_read32(map, &value), SIGBUS);
	ck_assert_ptr_null(vdb_slice_map(slice, 0, 0, PROT_READ));
	ck_assert_int_eq(errno, ENODEV);
	/*
	 * The other device has it mapped, so the revocation is not reported yet, and
	 * the call still has to wait.
	 */
	ck_assert_uint_eq(listed().dma_maps, 1);
	ck_assert_int_eq(vdb_slice_state(slice, NULL), VDB_STATE_LIVE);
	ck_assert_fails(revoke_slice(_i), EINTR);
	ck_assert_fails(revoke_slice(!_i), EINTR);

	ck_assert_works(importer_unmap(importer));
	/* That completes it. The next call confirms it, once. */
	ck_assert_int_eq(vdb_slice_state(slice, NULL), VDB_STATE_REVOKED);
	ck_assert_works(revoke_slice(_i));
	ck_assert_fails(revoke_slice(_i), EBADFD);
	ck_assert_uint_eq(listed().dma_maps, 0);
	ck_assert_int_eq(listed().state, VDB_STATE_REVOKED);
	ck_assert_fails(importer_map(importer, IMPORTER_BOTH), ENODEV);
	signals(false);
}
END_TEST

/*
 * Every process with the fd can hold the reservation's lock for some time, by poll().
 * Importers are notified when it is free, and then the revocation is complete without
 * another call.  The loop variable is whether it is revoked by id.
 */
START_TEST(held_reservation_delays_importers_only)
{
	char *map = vdb_slice_map(slice, 0, 0, PROT_READ);
	struct pollfd events = { .fd = vdb_slice_event_fd(slice), .events = POLLIN };
	pid_t holder;

	importer = importer_attach(vdb_slice_fd(slice), &mem);
	ck_assert_works(importer_map(importer, IMPORTER_BOTH));
	holder = importer_hold(importer_attach(vdb_slice_fd(slice), &mem), false);
	read32(map);
	signals(true);
	ck_assert_fails(revoke_slice(_i), EINTR);
	ck_assert_int_eq(try_read32(map, &(uint32_t){ 0 }), SIGBUS);
	ck_assert_fails(revoke_slice(_i), EINTR);
	signals(false);
	/* The other device reaches it. */
	ck_assert_int_eq(vdb_slice_state(slice, NULL), VDB_STATE_LIVE);

	ck_assert_works(kill(holder, SIGKILL));
	ck_assert_int_eq(poll(&events, 1, 1000 * (int)bound()), 1);
	ck_assert_int_eq(vdb_slice_state(slice, NULL), VDB_STATE_REVOKED);
	ck_assert_uint_ge(importer_status(importer).notified, 1);
	ck_assert_uint_eq(importer_status(importer).mapped, 0);
	ck_assert_works(revoke_slice(_i));
	ck_assert_fails(revoke_slice(_i), EBADFD);
	ck_assert_fails(importer_map(importer, IMPORTER_BOTH), ENODEV);
}
END_TEST

/* Where nothing is mapped, neither suspension nor revocation waits for the lock. */
START_TEST(held_reservation_delays_nothing_where_nothing_is_mapped)
{
	pid_t holder;

	importer = importer_attach(vdb_slice_fd(slice), &mem);
	holder = importer_hold(importer_attach(vdb_slice_fd(slice), &mem), false);
	device_set_memory(&mem, false);
	device_set_memory(&mem, true);
	ck_assert_works(revoke_slice(_i));
	ck_assert_int_eq(vdb_slice_state(slice, NULL), VDB_STATE_REVOKED);
	ck_assert_works(kill(holder, SIGKILL));
	importer_wait_notified(importer, 1);
	ck_assert_fails(importer_map(importer, IMPORTER_BOTH), ENODEV);
}
END_TEST

/* The end of a suspension does not wait: importers are notified later that they may map. */
START_TEST(held_reservation_does_not_delay_the_end_of_a_suspension)
{
	unsigned int notified;
	pid_t holder;

	importer = importer_attach(vdb_slice_fd(slice), &mem);
	ck_assert_works(importer_map(importer, IMPORTER_BOTH));
	device_set_memory(&mem, false);
	notified = importer_status(importer).notified;
	holder = importer_hold(importer_attach(vdb_slice_fd(slice), &mem), false);
	device_set_memory(&mem, true);
	ck_assert_works(kill(holder, SIGKILL));
	importer_wait_notified(importer, notified + 1);
	ck_assert_works(importer_map(importer, IMPORTER_BOTH));
}
END_TEST

/* An importer that has mapped since keeps its mapping.  The others are notified. */
START_TEST(late_notice_takes_no_mapping_away)
{
	int quick = importer_attach(vdb_slice_fd(slice), &mem);
	struct importer_status status;
	pid_t holder;

	importer = importer_attach(vdb_slice_fd(slice), &mem);
	device_set_memory(&mem, false);
	ck_assert_fails(importer_map(importer, IMPORTER_BOTH), ENODEV);
	ck_assert_fails(importer_map(quick, IMPORTER_BOTH), ENODEV);
	holder = importer_hold(quick, true);
	device_set_memory(&mem, true);
	ck_assert_works(kill(holder, SIGKILL));
	importer_wait_notified(importer, 1);
	status = importer_status(quick);
	ck_assert_uint_eq(status.mapped, 1);
	ck_assert_uint_eq(status.notified, 0);
}
END_TEST

/* Without importers there is nothing to wait for, and so nothing to end. */
START_TEST(signals_do_not_end_what_does_not_wait)
{
	const struct vdb_range range = { PAGE, PAGE };

	signals(true);
	for (int i = 0; i < 200; i++) {
		struct vdb_slice *other = vdb_slice_export(device, MEM, &range, 1, 0);

		ck_assert_ptr_nonnull(other);
		raise(SIGALRM);
		if (vdb_slice_revoke(device, other))
			ck_abort_msg("revocation %d: %s", i, strerror(errno));
		vdb_slice_free(other);
	}
	signals(false);
	ck_assert_works(importer_unmap(importer));
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("interrupt");
	TCase *tc = add_group(s, "importers");
	const char *missing = importers_missing();

	tcase_add_unchecked_fixture(tc, importer_bind, importer_unbind);
	if (missing) {
		add_test_or_skip(tc, revocation_stands, missing);
		add_test_or_skip(tc, held_reservation_delays_importers_only, missing);
		add_test_or_skip(tc, held_reservation_delays_nothing_where_nothing_is_mapped,
				 missing);
		add_test_or_skip(tc, held_reservation_does_not_delay_the_end_of_a_suspension,
				 missing);
		add_test_or_skip(tc, late_notice_takes_no_mapping_away, missing);
		add_test_or_skip(tc, signals_do_not_end_what_does_not_wait, missing);
		return s;
	}
	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_loop_test(tc, revocation_stands, 0, 2);
	tcase_add_test(tc, signals_do_not_end_what_does_not_wait);

	tc = add_group(s, "reservation");
	tcase_add_unchecked_fixture(tc, importer_bind, importer_unbind);
	tcase_add_checked_fixture(tc, setup_slice, NULL);
	tcase_add_loop_test(tc, held_reservation_delays_importers_only, 0, 2);
	tcase_add_loop_test(tc, held_reservation_delays_nothing_where_nothing_is_mapped, 0, 2);
	tcase_add_test(tc, held_reservation_does_not_delay_the_end_of_a_suspension);
	tcase_add_test(tc, late_notice_takes_no_mapping_away);
	return s;
}
