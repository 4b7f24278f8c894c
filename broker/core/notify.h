/* SPDX-License-Identifier: MIT */
/*
 * What clients are sent about their leases.  Messages are not queued.  The core queues
 * the fact that a client must be sent something, and computes the message from the
 * lease when it can be sent.  The connection has one message at a time.  A client that
 * watches is sent news (news.h) when there is nothing to send about its own leases.
 */
#ifndef CORE_NOTIFY_H
#define CORE_NOTIFY_H

#include "machine.h"

/* The lease has changed, for its client and for the client that asked for its end. */
void notify(struct core *core, struct lease *lease);
/* Hands over the messages that can be sent now. */
void notify_continue(struct core *core);
/* The last message is in the socket.  Returns its lease, or NULL. */
struct lease *notify_sent(struct core *core, struct client *client);
/* Whether every client concerned knows that the lease has ended. */
bool notify_is_done(const struct lease *lease);
/* The client is sent nothing more. */
void notify_stop(struct core *core, struct client *client);
void notice_remove(struct client *client, struct notice *notice);
/* There may be something to send to the client. */
void notify_wake(struct core *core, struct client *client);

#endif
