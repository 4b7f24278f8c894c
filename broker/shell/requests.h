/* SPDX-License-Identifier: MIT */
/* Answers packets of clients. */
#ifndef SHELL_REQUESTS_H
#define SHELL_REQUESTS_H

#include "connections/connections.h"

/* For struct connections_calls; @shell: a struct shell. */
enum packet_outcome requests_on_packet(void *shell, uint64_t client, const void *data, size_t size,
			       bool fds);

#endif
