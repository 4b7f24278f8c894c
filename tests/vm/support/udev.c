// SPDX-License-Identifier: MIT
/* Passes the kernel's events on to listeners of udev. */
#define _GNU_SOURCE
#include "udev.h"

#include <linux/netlink.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "suite.h"

#define KERNEL	1	/* groups of NETLINK_KOBJECT_UEVENT */
#define UDEV	2

static void forward(int events)
{
	static const struct sockaddr_nl to = { .nl_family = AF_NETLINK, .nl_groups = UDEV };
	char text[8192];
	ssize_t size;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while ((size = recv(events, text, sizeof(text), 0)) > 0)
		sendto(events, text, size, 0, (const void *)&to, sizeof(to));
	_exit(1);
}

void udev_start(void)
{
	const struct sockaddr_nl kernel = { .nl_family = AF_NETLINK, .nl_groups = KERNEL };
	int events = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT);
	pid_t pid;

	ck_assert_works(events);
	ck_assert_works(bind(events, (const void *)&kernel, sizeof(kernel)));
	pid = fork();
	ck_assert_works(pid);
	if (!pid)
		forward(events);
	close(events);
}
