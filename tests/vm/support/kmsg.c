// SPDX-License-Identifier: MIT
/* What the kernel logs from now on. */
#define _GNU_SOURCE
#include "kmsg.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "suite.h"

int kmsg_open(void)
{
	int kmsg = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	ck_assert_works(kmsg);
	ck_assert_works(lseek(kmsg, 0, SEEK_END));
	return kmsg;
}

bool kmsg_wait_for(int kmsg, const char *text, unsigned int seconds)
{
	struct pollfd p = { .fd = kmsg, .events = POLLIN };
	char record[1024];
	ssize_t n;

	do {
		if (poll(&p, 1, 1000 * (int)seconds) != 1)
			return false;
		n = read(kmsg, record, sizeof(record) - 1);
		/* EPIPE: the log has overwritten some. */
		ck_assert(n > 0 || errno == EPIPE || errno == EAGAIN);
		record[n > 0 ? n : 0] = '\0';
	} while (!strstr(record, text));
	return true;
}
