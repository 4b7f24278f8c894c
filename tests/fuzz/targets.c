// SPDX-License-Identifier: MIT
/* What is fuzzed, with what must hold for any input. */
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include <vfio-dmabuf.h>

#include "config.h"
#include "message.h"
#include "parse.h"
#include "state.h"
#include "targets.h"

static void must(bool holds)
{
	if (!holds)
		abort();
}

int fuzz_message(const uint8_t *data, size_t size)
{
	/* As large as the message, so that a look behind its end is seen. */
	union request *request = malloc(size ? size : 1);
	const char *why = NULL;

	if (size > sizeof(*request)) {
		free(request);
		return 0;
	}
	memcpy(request, data, size);
	must(!message_check(request, size, &why) == !why);
	free(request);
	return 0;
}

static int file_of(const uint8_t *data, size_t size, char path[32])
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	must(fd >= 0 && write(fd, data, size) == (ssize_t)size && !lseek(fd, 0, SEEK_SET));
	snprintf(path, 32, "/proc/self/fd/%d", fd);
	return fd;
}

static size_t lines;

static void count_line(const char *line)
{
	must(line[0] != '\0');
	lines++;
}

int fuzz_config(const uint8_t *data, size_t size)
{
	char path[32];
	int fd = file_of(data, size, path);
	struct config *config;

	lines = 0;
	/* include() would have it read other files. */
	if (!memmem(data, size, "include", 7)) {
		config = config_read(path, NULL, count_line);
		/* What is refused is explained. */
		must(config || lines);
		config_free(config);
	}
	close(fd);
	return 0;
}

/* The bytes are laid over a good state, at a place that the first two say. */
int fuzz_state(const uint8_t *data, size_t size)
{
	struct state *state, *next;
	size_t at;

	if (size < 2)
		return 0;
	state = state_new();
	must(state != NULL);
	state->data.nr_leases = 2;
	state_save(state);
	at = (data[0] | data[1] << 8) * 8;
	must(pwrite(state->fd, data + 2, size - 2, at) == (ssize_t)size - 2);
	/* One that has grown is another version's. */
	next = state_load(dup(state->fd));
	if (next) {
		must(next->data.nr_leases <= CONFIG_MAX_LEASES);
		must(next->data.nr_clients <= CONFIG_MAX_CLIENTS);
		state_free(next);
	}
	state_free(state);
	return 0;
}

/* Tells whether an fd was leaked. */
static int next_fd(void)
{
	int fd = dup(0);

	close(fd);
	return fd;
}

/* The first byte says how many fds come with the rest. */
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
	mounts_block_device(text, "sda1", "8:1");
	free(text);
	return 0;
}
