// SPDX-License-Identifier: MIT
/* Programs of 32 bits on a 64-bit kernel: tests/vm/client32. */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/dma-buf.h>
#include <linux/types.h>
#include <linux/vfio_dmabuf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker.h"
#include "client.h"
#include "client32/orders.h"
#include "edu.h"
#include "kernel.h"
#include "lender.h"
#include "manager.h"
#include "owner.h"
#include "suite.h"
#include "sysfs.h"

#define PROGRAM	"/lab/programs/client32"
#define PAGE	0x1000UL
#define RW	(PROT_READ | PROT_WRITE)
#define GIB	(1ULL << 30)

/* The socket of the program, and what it answered last. */
static int program;
static struct answer answer;

static void start(enum client_user user)
{
	int pair[2];
	pid_t pid;

	ck_assert_works(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair));
	pid = fork();
	ck_assert_works(pid);
	if (!pid) {
		client_become(user);
		dup2(pair[1], STDIN_FILENO);
		execl(PROGRAM, PROGRAM, NULL);
		_exit(127);
	}
	close(pair[1]);
	program = pair[0];
}

static void give(struct order order)
{
	ck_assert_int_eq(send(program, &order, sizeof(order), 0), sizeof(order));
}

static int64_t result(void)
{
	ck_assert_int_eq(recv(program, &answer, sizeof(answer), 0), sizeof(answer));
	ck_assert_uint_eq(answer.pointer, 4);
	errno = answer.error;
	return answer.result;
}

/* ask(type), or ask(type, .arg = { 1, 2 }) */
#define ask(what, ...)	(give((struct order){ .type = (what), ##__VA_ARGS__ }), result())

static int64_t ask_text(enum order_type type, const char *text)
{
	struct order order = { .type = type };

	snprintf(order.text, sizeof(order.text), "%s", text);
	give(order);
	return result();
}

/* The slice in the program as well, and where it is mapped there. */
static uint64_t pass(const struct vdb_slice *slice)
{
	give((struct order){ .type = ORDER_RECEIVE });
	ck_assert_works(vdb_slice_send(program, owner, slice));
	ck_assert_uint_eq(result(), vdb_slice_length(slice));
	ck_assert_works(ask(ORDER_MAP, .arg = { 0, 0, RW }));
	return answer.value;
}

/* ---- a client ---- */

START_TEST(registers_are_read_and_written)
{
	struct vdb_slice *slice;
	uint64_t address;

	owner_open("IVSHMEM");
	slice = owner_export(2, 5 * PAGE, 2 * PAGE, 0);
	start(CLIENT_NOBODY);
	address = pass(slice);
	ck_assert_int_eq(ask(ORDER_WRITE, .arg = { address + PAGE + 8, 0x12345678 }), 0);
	ck_assert_uint_eq(vdb_read32((char *)owner_map(slice, PROT_READ) + PAGE + 8), 0x12345678);
	ck_assert_int_eq(ask(ORDER_READ, .arg = { address + PAGE + 8 }), 0);
	ck_assert_uint_eq(answer.value, 0x12345678);
	/* The library has no guarded accesses there, and says so. */
	ck_assert_fails(ask(ORDER_TRY_READ, .arg = { address }), ENOTSUP);
}
END_TEST

START_TEST(suspension_and_revocation_arrive)
{
	struct vdb_slice *slice;
	uint64_t address, changes;

	owner_open("NVME");
	slice = owner_export_watched();
	start(CLIENT_NOBODY);
	address = pass(slice);
	ck_assert_int_eq(ask(ORDER_CHANGE), VDB_STATE_LIVE);
	changes = answer.value;

	ck_assert_works(vdb_device_reset(owner));
	ck_assert_int_eq(ask(ORDER_CHANGE), VDB_STATE_LIVE);
	ck_assert_uint_gt(answer.value, changes);
	ck_assert_int_eq(ask(ORDER_READ, .arg = { address }), 0);

	ck_assert_works(vdb_slice_revoke(owner, slice));
	ck_assert_int_eq(ask(ORDER_CHANGE), VDB_STATE_REVOKED);
	ck_assert_int_eq(ask(ORDER_READ, .arg = { address }), SIGBUS);
	ck_assert_int_eq(ask(ORDER_WRITE, .arg = { address, 0 }), SIGBUS);
	ck_assert_fails(ask(ORDER_MAP, .arg = { 0, 0, RW }), ENODEV);
}
END_TEST

/* Offsets above 4 GiB, in a slice that is larger than the program's address space. */
START_TEST(parts_of_a_large_slice)
{
	const struct vdb_range ranges[] = { { 0, 2 * GIB }, { 0, 2 * GIB }, { 0, 2 * GIB } };
	struct vdb_slice *slice;

	owner_open("IVSHMEM_BIG");
	slice = vdb_slice_export(owner, 2, ranges, 3, 0);
	ck_assert_ptr_nonnull(slice);
	vdb_write32((char *)owner_map(owner_export(2, GIB + PAGE, PAGE, 0), RW) + 4, 0x5a5a0001);
	start(CLIENT_NOBODY);
	give((struct order){ .type = ORDER_RECEIVE });
	ck_assert_works(vdb_slice_send(program, owner, slice));
	ck_assert_int_eq(result(), 6 * GIB);

	ck_assert_works(ask(ORDER_MAP, .arg = { 5 * GIB + PAGE, PAGE, PROT_READ }));
	ck_assert_int_eq(ask(ORDER_READ, .arg = { answer.value + 4 }), 0);
	ck_assert_uint_eq(answer.value, 0x5a5a0001);
	/* Up to the end: 5 GiB, which a size_t of 32 bits cuts to 1 GiB. */
	ck_assert_fails(ask(ORDER_MAP, .arg = { GIB, 0, PROT_READ }), ENOMEM);
	/* As long as a huge page, at an address where one fits. */
	ck_assert_works(ask(ORDER_MAP, .arg = { 4 * GIB, 4UL << 20, PROT_READ }));
	ck_assert_uint_eq(answer.value % (2UL << 20), 0);
	ck_assert_int_eq(ask(ORDER_READ, .arg = { answer.value }), 0);
}
END_TEST

/* What a 64-bit program gets from the same calls. */
START_TEST(ioctls_of_a_client)
{
	struct vfio_device_feature probe = { .argsz = sizeof(probe), .flags = VFIO_DEVICE_FEATURE_PROBE };
	struct dma_buf_sync sync = { .flags = DMA_BUF_SYNC_START | DMA_BUF_SYNC_RW };
	struct dma_buf_export_sync_file fences = { .flags = DMA_BUF_SYNC_READ };
	struct vdb_slice *slice;
	char name[64] = "", path[64];
	FILE *info;
	int fd;

	owner_open("NVME");
	slice = owner_export_watched();
	fd = vdb_slice_fd(slice);
	start(CLIENT_NOBODY);
	pass(slice);

	ck_assert_works(ioctl(fd, DMA_BUF_IOCTL_SYNC, &sync));
	ck_assert_works(ask(ORDER_SYNC, .arg = { sync.flags }));
	sync.flags = ~0ULL;
	ck_assert_fails(ioctl(fd, DMA_BUF_IOCTL_SYNC, &sync), EINVAL);
	ck_assert_fails(ask(ORDER_SYNC, .arg = { sync.flags }), EINVAL);
	/* The module is built for kernels with CONFIG_SYNC_FILE. */
	if (module_exists("dmabuf-test-fence")) {
		ck_assert_works(ioctl(fd, DMA_BUF_IOCTL_EXPORT_SYNC_FILE, &fences));
		ck_assert_works(ask(ORDER_EXPORT_FENCES, .arg = { fences.flags }));
	} else {
		ck_assert_fails(ioctl(fd, DMA_BUF_IOCTL_EXPORT_SYNC_FILE, &fences), ENOTTY);
		ck_assert_fails(ask(ORDER_EXPORT_FENCES, .arg = { fences.flags }), ENOTTY);
	}

	ck_assert_works(ask_text(ORDER_SET_NAME, "thirty-two"));
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	info = fopen(path, "r");
	ck_assert_ptr_nonnull(info);
	while (!*name && fgets(path, sizeof(path), info))
		sscanf(path, "name: %63s", name);
	fclose(info);
	ck_assert_str_eq(name, "thirty-two");

	/* They are not the device. */
	ck_assert_fails(ioctl(fd, VFIO_DEVICE_FEATURE, &probe), ENOTTY);
	ck_assert_fails(ask(ORDER_FEATURE, .arg = { 0 }), ENOTTY);
	ck_assert_fails(ioctl(vdb_slice_event_fd(slice), VFIO_DEVICE_FEATURE, &probe), ENOTTY);
	ck_assert_fails(ask(ORDER_FEATURE, .arg = { 1 }), ENOTTY);
}
END_TEST

START_TEST(slice_is_leased_from_the_broker)
{
	struct vdb_client *administrator = broker_connect();
	uint64_t lease, address;

	broker_wait_open(administrator);
	start(CLIENT_NOBODY);
	ck_assert_works(ask_text(ORDER_CONNECT, MANAGER_SOCKET));
	ck_assert_int_eq(ask_text(ORDER_ACQUIRE, "edu/page"), PAGE);
	lease = answer.value;
	ck_assert_works(ask(ORDER_MAP, .arg = { 0, 0, RW }));
	address = answer.value;
	ck_assert_int_eq(ask(ORDER_READ, .arg = { address }), 0);
	ck_assert_uint_eq(answer.value, EDU_ID_VALUE);
	ck_assert_int_eq(ask(ORDER_CHANGE), VDB_STATE_LIVE);

	ck_assert_works(vdb_client_revoke(administrator, lease));
	ck_assert_int_eq(ask(ORDER_NEXT), VDB_STATE_REVOKED);
	ck_assert_uint_eq(answer.value, lease);
	ck_assert_int_eq(ask(ORDER_CHANGE), VDB_STATE_REVOKED);
	ck_assert_int_eq(ask(ORDER_READ, .arg = { address }), SIGBUS);
	vdb_client_close(administrator);
}
END_TEST

/* ---- an owner ---- */

START_TEST(owner_exports_lists_and_revokes)
{
	struct vdb_slice *slice;
	const uint32_t *map;
	uint64_t id;

	start(CLIENT_ROOT);
	ck_assert_works(ask_text(ORDER_OPEN, lab_bdf("IVSHMEM")));
	ck_assert_int_eq(ask(ORDER_EXPORT, .arg = { 2, 3 * PAGE, 2 * PAGE, 3 }), 6 * PAGE);
	ck_assert_works(ask(ORDER_MEMATTR, .arg = { VFIO_DMABUF_MEMATTR_WC }));
	ck_assert_works(ask(ORDER_MEMATTR, .arg = { VFIO_DMABUF_MEMATTR_NC }));
	ck_assert_int_eq(ask(ORDER_LIST), 1);
	id = answer.value;
	ck_assert_int_eq(ask(ORDER_RANGE, .arg = { id, 2 }), 1);
	ck_assert_uint_eq(answer.value, 3 * PAGE);
	ck_assert_works(ask(ORDER_MAP, .arg = { 4 * PAGE, PAGE, RW }));
	ck_assert_int_eq(ask(ORDER_WRITE, .arg = { answer.value, 0x32323232 }), 0);

	give((struct order){ .type = ORDER_SEND });
	slice = vdb_slice_receive(program);
	ck_assert_ptr_nonnull(slice);
	ck_assert_works(result());
	map = vdb_slice_map(slice, 0, 0, PROT_READ);
	ck_assert_ptr_nonnull(map);
	ck_assert_uint_eq(vdb_read32(map), 0x32323232);

	ck_assert_works(ask(ORDER_REVOKE));
	ck_assert_int_eq(vdb_slice_state(slice, NULL), VDB_STATE_REVOKED);
	ck_assert_works(vdb_guard_enable());
	ck_assert_fails(vdb_try_read32(map, &(uint32_t){ 0 }), EFAULT);
	ck_assert_fails(ask(ORDER_REVOKE), EBADFD);
	ck_assert_fails(ask(ORDER_REVOKE_ID, .arg = { id }), EBADFD);
	ck_assert_fails(ask(ORDER_REVOKE_ID, .arg = { id + (1ULL << 32) }), ENOENT);
	/* This device cannot be reset alone. */
	ck_assert_fails(ask(ORDER_RESET), EINVAL);
}
END_TEST

START_TEST(owner_resets)
{
	start(CLIENT_ROOT);
	ck_assert_works(ask_text(ORDER_OPEN, lab_bdf("NVME")));
	ck_assert_int_eq(ask(ORDER_EXPORT, .arg = { 0, 0, PAGE, 1 }), PAGE);
	ck_assert_works(ask(ORDER_MAP, .arg = { 0, 0, RW }));
	ck_assert_int_eq(ask(ORDER_READ, .arg = { answer.value }), 0);
	ck_assert_int_eq(ask(ORDER_CHANGE), VDB_STATE_LIVE);
	ck_assert_works(ask(ORDER_RESET));
	ck_assert_int_eq(ask(ORDER_CHANGE), VDB_STATE_LIVE);
}
END_TEST

#ifdef __x86_64__
/* Why it cannot run; NULL if it can, or is not there although it is built for this CPU. */
static const char *missing(void)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		close(STDIN_FILENO);
		execl(PROGRAM, PROGRAM, NULL);
		_exit(errno == ENOEXEC ? 127 : 126);
	}
	if (waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 127)
		return "this kernel runs no 32-bit programs";
	return NULL;
}
#else
static const char *missing(void)
{
	return "the program is built for x86-64 alone";
}
#endif

Suite *suite(void)
{
	Suite *s = suite_create("client32");
	TCase *client = add_group(s, "client"), *owners = add_group(s, "owner");
	TCase *leases = add_group(s, "broker");
	const char *reason = missing();

	add_test_or_skip(client, registers_are_read_and_written, reason);
	add_test_or_skip(client, suspension_and_revocation_arrive, reason);
	add_test_or_skip(client, parts_of_a_large_slice, reason);
	add_test_or_skip(client, ioctls_of_a_client, reason);
	add_test_or_skip(owners, owner_exports_lists_and_revokes, reason);
	add_test_or_skip(owners, owner_resets, reason);
	if (!reason)
		tcase_add_checked_fixture(leases, lender_start, lender_stop);
	add_test_or_skip(leases, slice_is_leased_from_the_broker, reason);
	return s;
}
