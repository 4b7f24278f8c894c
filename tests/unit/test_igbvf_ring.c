// SPDX-License-Identifier: MIT
/*
 * The rings of drivers/igbvf, with a device that is this test: it reads what the driver
 * has written, and writes back what it likes.
 */
#include <stdlib.h>
#include <string.h>

#include "ring.h"
#include "suite.h"

#define SIZE	IGBVF_RING_MIN
#define BUFFERS	0x123456000ULL

#define TX_COMMAND	0x2b300000u	/* one frame in one buffer, advanced, with CRC, to be reported */
#define DONE		1u
#define WHOLE		3u		/* done, and the end of a frame */

static struct igbvf_descriptor memory[IGBVF_RING_MAX];
static struct igbvf_ring ring;
/* The device's: the next descriptor that it looks at, and the tail register. */
static uint32_t device_at, tail;

static void start(void)
{
	memset(memory, 0xff, sizeof(memory));
	igbvf_ring_init(&ring, memory, SIZE, BUFFERS);
	device_at = tail = 0;
}

/* ---- the layout ---- */

START_TEST(layout_has_the_longest_rings)
{
	struct igbvf_layout layout;

	ck_assert(igbvf_layout(2 << 20, &layout));
	ck_assert_uint_eq(layout.size, IGBVF_RING_MAX);
	ck_assert(igbvf_layout(layout.end, &layout));
	ck_assert_uint_eq(layout.size, IGBVF_RING_MAX);
	ck_assert(igbvf_layout(layout.end - 1, &layout));
	ck_assert_uint_eq(layout.size, IGBVF_RING_MAX / 2);
}
END_TEST

START_TEST(layout_needs_the_shortest_rings)
{
	struct igbvf_layout layout;
	const uint64_t least = 2 * 0x1000 + 2 * IGBVF_RING_MIN * IGBVF_BUFFER_SIZE;

	ck_assert(igbvf_layout(least, &layout));
	ck_assert_uint_eq(layout.size, IGBVF_RING_MIN);
	ck_assert(!igbvf_layout(least - 1, &layout));
	ck_assert(!igbvf_layout(0, &layout));
}
END_TEST

START_TEST(parts_of_the_layout_do_not_overlap)
{
	struct igbvf_layout layout;

	for (uint64_t length = 0; length < 2 << 20; length += 0x1000) {
		size_t ring_bytes, buffer_bytes;

		if (!igbvf_layout(length, &layout))
			continue;
		ring_bytes = layout.size * sizeof(struct igbvf_descriptor);
		buffer_bytes = layout.size * IGBVF_BUFFER_SIZE;
		ck_assert_uint_eq(layout.transmit_ring, 0);
		ck_assert_uint_ge(layout.receive_ring, layout.transmit_ring + ring_bytes);
		ck_assert_uint_ge(layout.transmit_buffers, layout.receive_ring + ring_bytes);
		ck_assert_uint_ge(layout.receive_buffers, layout.transmit_buffers + buffer_bytes);
		ck_assert_uint_ge(layout.end, layout.receive_buffers + buffer_bytes);
		ck_assert_uint_le(layout.end, length);
		/* The device wants rings at multiples of 128 bytes. */
		ck_assert_uint_eq(layout.receive_ring % 128, 0);
	}
}
END_TEST

/* ---- transmit ---- */

/* The device sends one frame: its length, 0 if there is none. */
static uint32_t device_sends(void)
{
	struct igbvf_descriptor *descriptor = &memory[device_at];
	uint32_t length = descriptor->command & 0xffff;

	if (device_at == tail)
		return 0;
	ck_assert_uint_eq(descriptor->command & ~0xffffu, TX_COMMAND);
	ck_assert_uint_eq(descriptor->address, BUFFERS + device_at * IGBVF_BUFFER_SIZE);
	ck_assert_uint_eq(descriptor->status, length << 14);
	descriptor->status |= DONE;
	device_at = (device_at + 1) % SIZE;
	return length;
}

START_TEST(full_ring_has_one_free_descriptor)
{
	start();
	for (uint32_t i = SIZE - 1; i > 0; i--) {
		ck_assert_uint_eq(igbvf_transmit_reclaim(&ring), i);
		tail = igbvf_transmit_push(&ring, 60 + i);
	}
	ck_assert_uint_eq(igbvf_transmit_reclaim(&ring), 0);
	/* As the device sees it: the ring is not empty. */
	ck_assert_uint_ne(tail, device_at);
	ck_assert_uint_ne(device_sends(), 0);
	ck_assert_uint_eq(igbvf_transmit_reclaim(&ring), 1);
}
END_TEST

/* More often than the numbers of a ring wrap around, and over the end of 32 bits. */
START_TEST(frames_are_sent_in_order)
{
	uint32_t pushed = 0, sent = 0;

	start();
	ring.head = ring.tail = UINT32_MAX - 3 * SIZE + 1;
	srand(_i);
	while (sent < 1000) {
		if (rand() % 2) {
			if (igbvf_transmit_reclaim(&ring))
				tail = igbvf_transmit_push(&ring, 60 + pushed++ % 1455);
			ck_assert_uint_le(pushed - sent, SIZE - 1);
		} else if (pushed != sent) {
			ck_assert_uint_eq(device_sends(), 60 + sent % 1455);
			sent++;
		} else {
			ck_assert_uint_eq(device_sends(), 0);
		}
	}
}
END_TEST

/* The device reports a later frame, but not the one before. */
START_TEST(frames_are_reclaimed_in_order)
{
	start();
	for (int i = 0; i < 3; i++)
		tail = igbvf_transmit_push(&ring, 60);
	memory[1].status |= DONE;
	ck_assert_uint_eq(igbvf_transmit_reclaim(&ring), SIZE - 1 - 3);
	memory[0].status |= DONE;
	ck_assert_uint_eq(igbvf_transmit_reclaim(&ring), SIZE - 1 - 1);
}
END_TEST

/* Nothing was sent, but the device says so of all descriptors. */
START_TEST(device_that_has_sent_too_much)
{
	start();
	for (uint32_t i = 0; i < SIZE; i++)
		memory[i].status = ~0u;
	ck_assert_uint_eq(igbvf_transmit_reclaim(&ring), SIZE - 1);
	tail = igbvf_transmit_push(&ring, 60);
	ck_assert_uint_eq(igbvf_transmit_reclaim(&ring), SIZE - 2);
}
END_TEST

/* ---- receive ---- */

/* Writes back what a device writes, if it has a descriptor. */
static bool device_receives(uint32_t status, uint32_t length)
{
	struct igbvf_descriptor *descriptor = &memory[device_at];

	if (device_at == tail)
		return false;
	ck_assert_uint_eq(descriptor->address, BUFFERS + device_at * IGBVF_BUFFER_SIZE);
	/* It finds no header address, whose bit 0 would be taken as done. */
	ck_assert_uint_eq(descriptor->command, 0);
	ck_assert_uint_eq(descriptor->status, 0);
	descriptor->address = 0;
	descriptor->command = status;
	descriptor->status = length;
	device_at = (device_at + 1) % SIZE;
	return true;
}

static void start_receive(void)
{
	start();
	tail = igbvf_receive_fill(&ring);
}

START_TEST(device_has_all_descriptors_but_one)
{
	uint32_t length, buffer;

	start_receive();
	ck_assert_uint_eq(igbvf_receive_peek(&ring, &length, &buffer), IGBVF_NOTHING);
	for (uint32_t i = 0; i < SIZE - 1; i++)
		ck_assert(device_receives(WHOLE, 60));
	ck_assert(!device_receives(WHOLE, 60));
	ck_assert_uint_eq(igbvf_receive_peek(&ring, &length, &buffer), IGBVF_FRAME);
	tail = igbvf_receive_pop(&ring);
	ck_assert(device_receives(WHOLE, 60));
	ck_assert(!device_receives(WHOLE, 60));
}
END_TEST

START_TEST(frames_are_received_in_order)
{
	uint32_t arrived = 0, received = 0;
	uint32_t length, buffer;

	start_receive();
	ring.head += UINT32_MAX - 3 * SIZE + 1;
	ring.tail += UINT32_MAX - 3 * SIZE + 1;
	srand(_i);
	while (received < 1000) {
		if (rand() % 2) {
			arrived += device_receives(WHOLE, 60 + arrived % 1455);
			ck_assert_uint_le(arrived - received, SIZE - 1);
		} else if (igbvf_receive_peek(&ring, &length, &buffer) == IGBVF_FRAME) {
			ck_assert_uint_eq(length, 60 + received % 1455);
			ck_assert_uint_eq(buffer, received % SIZE);
			tail = igbvf_receive_pop(&ring);
			received++;
		} else {
			ck_assert_uint_eq(arrived, received);
		}
	}
}
END_TEST

static const struct {
	uint32_t status, length;
	enum igbvf_received expected;
} written[] = {
	{ 0, 60, IGBVF_NOTHING },
	{ 2, 60, IGBVF_NOTHING },		/* the end of a frame, but not done */
	{ WHOLE, 60, IGBVF_FRAME },
	{ WHOLE, IGBVF_FRAME_MIN, IGBVF_FRAME },
	{ WHOLE, IGBVF_FRAME_MAX, IGBVF_FRAME },
	{ WHOLE | 0x000ffffc, 60, IGBVF_FRAME },	/* checksums, VLAN: not used */
	{ WHOLE, 60 | 5 << 16, IGBVF_FRAME },	/* a VLAN tag beside the length */
	{ DONE, 60, IGBVF_BAD },		/* not the end */
	{ WHOLE, 0, IGBVF_BAD },
	{ WHOLE, IGBVF_FRAME_MIN - 1, IGBVF_BAD },
	{ WHOLE, IGBVF_FRAME_MAX + 1, IGBVF_BAD },
	{ WHOLE, IGBVF_BUFFER_SIZE, IGBVF_BAD },
	{ WHOLE, 0xffff, IGBVF_BAD },
	{ WHOLE | 1u << 31, 60, IGBVF_BAD },	/* an error of reception */
	{ ~0u, ~0u, IGBVF_BAD },
};

START_TEST(what_the_device_writes_is_checked)
{
	uint32_t length, buffer;

	start_receive();
	ck_assert(device_receives(written[_i].status, written[_i].length));
	ck_assert_uint_eq(igbvf_receive_peek(&ring, &length, &buffer), written[_i].expected);
	if (written[_i].expected == IGBVF_NOTHING)
		return;
	/* A bad frame takes a descriptor, which the device has again afterwards. */
	tail = igbvf_receive_pop(&ring);
	for (uint32_t i = 0; i < SIZE - 1; i++)
		ck_assert(device_receives(WHOLE, 100 + i));
	for (uint32_t i = 0; i < SIZE - 1; i++) {
		ck_assert_uint_eq(igbvf_receive_peek(&ring, &length, &buffer), IGBVF_FRAME);
		ck_assert_uint_eq(length, 100 + i);
		ck_assert_uint_lt(buffer, SIZE);
		igbvf_receive_pop(&ring);
	}
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("igbvf_ring");
	TCase *tc = add_group(s, "layout");

	tcase_add_test(tc, layout_has_the_longest_rings);
	tcase_add_test(tc, layout_needs_the_shortest_rings);
	tcase_add_test(tc, parts_of_the_layout_do_not_overlap);

	tc = add_group(s, "transmit");
	tcase_add_test(tc, full_ring_has_one_free_descriptor);
	tcase_add_loop_test(tc, frames_are_sent_in_order, 0, 5);
	tcase_add_test(tc, frames_are_reclaimed_in_order);
	tcase_add_test(tc, device_that_has_sent_too_much);

	tc = add_group(s, "receive");
	tcase_add_test(tc, device_has_all_descriptors_but_one);
	tcase_add_loop_test(tc, frames_are_received_in_order, 0, 5);
	tcase_add_loop_test(tc, what_the_device_writes_is_checked, 0, sizeof(written) / sizeof(written[0]));
	return s;
}
