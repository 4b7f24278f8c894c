// SPDX-License-Identifier: MIT
/* The fuzzed functions, and what must hold for any input. */
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/vfs.h>
#include <unistd.h>
#include <vfio-dmabuf.h>

#include "client_internal.h"
#include "common/fds.h"
#include "parse.h"
#include "protocol/decode.h"
#include "targets.h"

static void must(bool holds)
{
	if (!holds)
		abort();
}

/* Texts end with a NUL, and are printable. */
static void check_text(const char *text, size_t size)
{
	size_t length = strnlen(text, size);

	must(length < size);
	for (size_t i = 0; i < length; i++)
		must(text[i] >= ' ' && text[i] <= '~');
}

static void check_request(const struct request *request)
{
	switch (request->kind) {
	case REQUEST_FOR_CORE:
		must(request->serial && request->event.serial == request->serial);
		must(request->event.type >= EVENT_HELLO && request->event.type <= EVENT_REVOKE);
		if (request->event.type == EVENT_HELLO || request->event.type == EVENT_ACQUIRE)
			check_text(request->event.name, VDP_NAME);
		break;
	case REQUEST_LIST:
	case REQUEST_RELOAD:
		must(request->serial && request->type >= VDP_STATUS);
		break;
	case REQUEST_WRONG:
		must(request->error.size == sizeof(struct vdp_error) && !request->error.nr_fds);
		must(request->error.body.error.header.serial == request->serial);
		must(request->error.body.error.text[0]);
		check_text(request->error.body.error.text, VDP_TEXT);
		break;
	}
}

/* The first byte decides whether there was a hello before. */
int fuzz_request(const uint8_t *data, size_t size)
{
	struct request request, longer;
	uint8_t *message;

	if (!size)
		return 0;
	/* As large as the message, so that reading after its end is detected. */
	message = malloc(size);
	memcpy(message, data + 1, size - 1);
	decode(&request, 1, data[0] & 1, message, size - 1);
	check_request(&request);
	/* With fields of a later version that are 0 it means the same. */
	if (request.kind != REQUEST_WRONG && size - 1 < VDP_MAX_MESSAGE) {
		message = realloc(message, size);
		message[size - 1] = 0;
		decode(&longer, 1, data[0] & 1, message, size);
		must(longer.kind == request.kind && longer.type == request.type);
		must(longer.event.lease == request.event.lease && longer.event.wait == request.event.wait);
		must(!strcmp(longer.name, request.name));
	}
	decode_with_fds(&request, 1, message, size - 1);
	must(request.kind == REQUEST_WRONG);
	check_request(&request);
	free(message);
	return 0;
}

static bool any_file_is_a_dmabuf;

int fstatfs(int fd, struct statfs *fs)
{
	memset(fs, 0, sizeof(*fs));
	if (any_file_is_a_dmabuf)
		fs->f_type = 0x444d4142;
	return fcntl(fd, F_GETFD) < 0 ? -1 : 0;
}

/* Shows whether an fd was leaked. */
static int next_fd(void)
{
	int fd = dup(0);

	close(fd);
	return fd;
}

/* The first byte is the number of fds that come with the rest. */
int fuzz_pass(const uint8_t *data, size_t size)
{
	int ends[2], fds[8] = { 0 }, nr, next;
	union {
		struct cmsghdr align;
		char space[CMSG_SPACE(sizeof(fds))];
	} control = { 0 };
	struct iovec iov = { (void *)(data + 1), size - 1 };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (!size)
		return 0;
	nr = data[0] % 9;
	must(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends));
	if (nr) {
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(nr * sizeof(int));
		*CMSG_FIRSTHDR(&message) = (struct cmsghdr){
			.cmsg_len = CMSG_LEN(nr * sizeof(int)),
			.cmsg_level = SOL_SOCKET,
			.cmsg_type = SCM_RIGHTS,
		};
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&message)), fds, nr * sizeof(int));
	}
	next = next_fd();
	/* None of the fds is a DMABUF. */
	if (sendmsg(ends[0], &message, MSG_DONTWAIT) >= 0)
		must(!vdb_slice_receive(ends[1]));
	must(next_fd() == next);
	close(ends[0]);
	close(ends[1]);
	return 0;
}

#define FILE_SIZE	0x1000

/* Of those with low numbers, as new ones have. */
static int count_fds(void)
{
	int nr = 0;

	for (int fd = 0; fd < 100; fd++)
		nr += fcntl(fd, F_GETFD) >= 0;
	return nr;
}

static void send_to_client(int socket, const uint8_t *data, size_t size, int file, unsigned int nr)
{
	int fds[] = { file, file, file, file };

	/* As many as there is room for. */
	if (!nr || fds_send(socket, data, size, fds, nr, 0))
		send(socket, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Messages of a broker to a client that has requested two slices. */
int fuzz_client(const uint8_t *data, size_t size)
{
	int file = memfd_create("fuzz", MFD_CLOEXEC), ends[2], before;
	struct vdb_client *client = calloc(1, sizeof(*client));
	struct vdb_event event;
	uint64_t request;

	must(file >= 0 && !ftruncate(file, FILE_SIZE));
	must(!socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends));
	any_file_is_a_dmabuf = true;
	client->socket = ends[0];
	client->pending = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	client->epoll = epoll_create1(EPOLL_CLOEXEC);
	for (int i = 0; i < 2; i++)
		must(!vdb_client_acquire_start(client, "a/b", 0, 0, 0, 1000, &request));
	before = count_fds();
	/* Before each message are its size, its number of fds, and how it is read. */
	for (int i = 0; i < 32 && size >= 3; i++) {
		size_t length = data[0] | (data[1] & 3) << 8;
		unsigned int fds = (data[2] & 7) % 5;
		bool fetch = !(data[2] & 0x80);

		data += 3;
		size -= 3;
		if (length > size)
			length = size;
		send_to_client(ends[1], data, length, file, fds);
		data += length;
		size -= length;
		/* A request reads messages, too, and reports nothing. */
		if (!fetch)
			vdb_client_renew(client, 5, 0);
		while (fetch && vdb_client_next(client, &event) == 1) {
			must(event.type != VDB_EVENT_GRANTED || (event.slice && event.lease));
			must(event.type != VDB_EVENT_REFUSED || (event.error && event.request && !event.slice));
			vdb_slice_free(event.slice);
		}
	}
	vdb_client_acquire_cancel(client, request);
	vdb_client_close(client);
	any_file_is_a_dmabuf = false;
	/* The client's own three. */
	must(count_fds() == before - 3);
	close(file);
	close(ends[1]);
	return 0;
}

int fuzz_parse(const uint8_t *data, size_t size)
{
	char *text = malloc(size + 1);
	struct mapping mapping;
	struct buffer buffer;
	struct target target;
	uint64_t number;
	char bdf[16];

	memcpy(text, data, size);
	text[size] = '\0';
	if (vdb_parse_bdf(text, bdf))
		must(strlen(bdf) >= 12);
	parse_number(text, &number);
	if (parse_target(text, &target))
		must(target.direct ? target.bar < VDB_BARS : strchr(target.slice, '/') != NULL);
	if (parse_buffer(text, &buffer))
		must(buffer.nr_known && buffer.nr_known <= MAX_RANGES);
	if (parse_mapping(text, &mapping) && mapping.bdf[0])
		must(mapping.bar < VDB_BARS);
	free(text);
	return 0;
}
