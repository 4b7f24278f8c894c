/* SPDX-License-Identifier: MIT */
#include <stdlib.h>
#include <string.h>

#include "common/datagrams.h"
#include "manager.h"

static struct datagrams *manager(void)
{
	static struct datagrams service = { .fd = -1 };

	service.path = getenv("NOTIFY_SOCKET");
	return &service;
}

int manager_fd(void)
{
	return datagrams_fd(manager());
}

int manager_send(const char *text, int fd)
{
	return datagrams_send(manager(), text, strlen(text), fd);
}
