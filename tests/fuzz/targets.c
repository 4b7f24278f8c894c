// SPDX-License-Identifier: MIT
/* What is fuzzed, with what must hold for any input. */
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
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
	/* What is to be read as text ends. */
	if (!why && request->header.type == VDP_HELLO)
		must(memchr(request->hello.name, '\0', VDP_NAME));
	if (!why && request->header.type == VDP_ACQUIRE)
		must(memchr(request->acquire.name, '\0', VDP_NAME));
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

#define STATE_HEADER	16	/* of the file, and of each of the two copies in it */

static uint64_t hash(uint64_t sum, const void *data, size_t size)
{
	const uint8_t *bytes = data;

	for (size_t i = 0; i < size; i++)
		sum = (sum ^ bytes[i]) * 0x100000001b3;
	return sum;
}

/* As state.c does it, so that what is changed does not stop at the checksum. */
static void sum_anew(uint8_t *copy)
{
	const struct state_data *d = (void *)(copy + STATE_HEADER);
	uint64_t sum = hash(0xcbf29ce484222325, copy, sizeof(sum));

	if (d->nr_clients > STATE_MAX_CLIENTS || d->nr_leases > STATE_MAX_LEASES)
		return;
	sum = hash(sum, d, offsetof(struct state_data, clients));
	sum = hash(sum, d->clients, d->nr_clients * sizeof(d->clients[0]));
	sum = hash(sum, d->leases, d->nr_leases * sizeof(d->leases[0]));
	memcpy(copy + sizeof(sum), &sum, sizeof(sum));
}

static void check_state(const struct state_data *d)
{
	must(d->nr_clients <= STATE_MAX_CLIENTS && d->nr_leases <= STATE_MAX_LEASES);
	for (uint32_t i = 0; i < d->nr_clients; i++)
		must(memchr(d->clients[i].name, '\0', sizeof(d->clients[i].name)));
	for (uint32_t i = 0; i < d->nr_leases; i++) {
		const struct state_lease *lease = &d->leases[i];

		must(memchr(lease->bdf, '\0', sizeof(lease->bdf)));
		must(memchr(lease->slice, '\0', sizeof(lease->slice)));
		must(lease->hooks.nr_quiesce <= CONFIG_MAX_QUIESCE);
		/* Nothing is written outside the lease. */
		for (uint32_t j = 0; j < lease->hooks.nr_quiesce; j++) {
			const struct quiesce *q = &lease->hooks.quiesce[j];

			must(q->offset < lease->length && lease->length - q->offset >= q->width / 8);
		}
	}
}

/* The bytes are laid over a good state, at a place that the first two say. */
int fuzz_state(const uint8_t *data, size_t size)
{
	const size_t of_copy = STATE_HEADER + sizeof(struct state_data);
	struct state *state, *next;
	uint8_t *file;
	size_t at;

	if (size < 2)
		return 0;
	state = state_new();
	must(state != NULL);
	state->data.nr_clients = 1;
	state->data.nr_leases = 2;
	for (int i = 0; i < 2; i++) {
		state->data.leases[i].length = 0x1000;
		state->data.leases[i].hooks.nr_quiesce = 1;
		state->data.leases[i].hooks.quiesce[0].width = 32;
	}
	/* The newest is in front then. */
	for (int i = 0; i < 2; i++)
		state_save(state);
	at = (data[0] | data[1] << 8) * 8;
	must(pwrite(state->fd, data + 2, size - 2, at) == (ssize_t)size - 2);
	file = mmap(NULL, STATE_HEADER + 2 * of_copy, PROT_READ | PROT_WRITE, MAP_SHARED, state->fd, 0);
	must(file != MAP_FAILED);
	sum_anew(file + STATE_HEADER);
	sum_anew(file + STATE_HEADER + of_copy);
	munmap(file, STATE_HEADER + 2 * of_copy);
	/* One that has grown is another version's. */
	next = state_load(dup(state->fd));
	if (next) {
		check_state(&next->data);
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
