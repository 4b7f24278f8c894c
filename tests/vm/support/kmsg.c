// SPDX-License-Identifier: MIT
/* What the kernel logs from now on. */
#define _GNU_SOURCE
#include "kmsg.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "suite.h"

#define PATIENCE_MS	30000

int kmsg_open(void)
{
	int kmsg = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	ck_assert_works(kmsg);
	ck_assert_works(lseek(kmsg, 0, SEEK_END));
	return kmsg;
}

void kmsg_wait_for(int kmsg, const char *text)
{
	struct pollfd p = { .fd = kmsg, .events = POLLIN };
	char record[1024];
	ssize_t n;

	do {
		if (poll(&p, 1, PATIENCE_MS) != 1)
			ck_abort_msg("the kernel has not logged \"%s\"", text);
		n = read(kmsg, record, sizeof(record) - 1);
		/* EPIPE: the log has overwritten some. */
		ck_assert(n > 0 || errno == EPIPE || errno == EAGAIN);
		record[n > 0 ? n : 0] = '\0';
	} while (!strstr(record, text));
}
