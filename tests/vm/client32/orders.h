/* SPDX-License-Identifier: MIT */
/*
 * What test_client32, a 64-bit program, has a 32-bit program do, one order after the
 * other, over a SOCK_SEQPACKET socket that is the program's standard input.
 */
#ifndef TESTS_CLIENT32_ORDERS_H
#define TESTS_CLIENT32_ORDERS_H

#include <stdint.h>

enum order_type {
	/* Client: one slice, which all orders but those of an owner are about. */
	ORDER_RECEIVE,		/* vdb_slice_send() follows; result: bytes */
	ORDER_CONNECT,		/* text: the broker's socket */
	ORDER_ACQUIRE,		/* text: its name at the broker; value: the lease */
	ORDER_NEXT,		/* wait for the broker's next event; result: state; value: the lease */
	ORDER_MAP,		/* arg: offset, length, protection; value: the address */
	ORDER_READ,		/* arg: address; result: 0 or the signal; value */
	ORDER_WRITE,		/* arg: address, value; result likewise */
	ORDER_TRY_READ,		/* arg: address; vdb_try_read32() */
	ORDER_CHANGE,		/* wait for the event fd; result: state; value: changes */

	/* ioctls that a client can call. */
	ORDER_SYNC,		/* arg: flags of DMA_BUF_IOCTL_SYNC */
	ORDER_SET_NAME,		/* text */
	ORDER_EXPORT_FENCES,	/* arg: flags of DMA_BUF_IOCTL_EXPORT_SYNC_FILE; result: 0 */
	ORDER_FEATURE,		/* VFIO_DEVICE_FEATURE of the slice's fd, or, arg 1, of the event fd */

	/* Owner: one device, the slices of which it passes on by vdb_slice_send(). */
	ORDER_OPEN,		/* text: BDF */
	ORDER_EXPORT,		/* arg: BAR, offset, length, number of ranges of these */
	ORDER_SEND,		/* the slice precedes the answer */
	ORDER_LIST,		/* result: buffers; value: the id of the last one */
	ORDER_RANGE,		/* arg: id, index; result: ranges from there; value: the offset of the first */
	ORDER_RESET,
	ORDER_REVOKE,
	ORDER_REVOKE_ID,	/* arg: id */
	ORDER_MEMATTR,		/* arg: VFIO_DMABUF_MEMATTR_* */
};

#define ORDER_ARGS	4
#define ORDER_TEXT	64

struct order {
	uint32_t type;
	uint32_t reserved;
	uint64_t arg[ORDER_ARGS];
	char text[ORDER_TEXT];
};

struct answer {
	int64_t result;		/* -1: failed */
	int32_t error;		/* errno then */
	uint32_t pointer;	/* bytes of one */
	uint64_t value;
};

#endif
