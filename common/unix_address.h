/* SPDX-License-Identifier: MIT */
/* Addresses of UNIX sockets that are files. */
#ifndef COMMON_UNIX_ADDRESS_H
#define COMMON_UNIX_ADDRESS_H

#include <sys/socket.h>
#include <sys/un.h>

/* -1 with ENAMETOOLONG: the path does not fit in an address. */
int unix_address(const char *path, struct sockaddr_un *address);

#endif
