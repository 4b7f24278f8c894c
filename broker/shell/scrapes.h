/* SPDX-License-Identifier: MIT */
/*
 * A stream socket that answers each connection once, with a text in HTTP/1.0.  Every
 * request has the same answer.
 */
#ifndef SHELL_SCRAPES_H
#define SHELL_SCRAPES_H

#include <stddef.h>
#include <stdint.h>

/* Makes the text; the caller frees it.  NULL: no memory. */
typedef char *scrapes_text(void *data, size_t *size);

struct scrapes;

/* The caller keeps @epoll, whose data.ptr points to a struct watch.  NULL: no memory. */
struct scrapes *scrapes_new(int epoll, scrapes_text *text, void *data);
/* Listens at @path instead of the former path; "": nowhere.  -1 with errno: nowhere. */
int scrapes_listen(struct scrapes *scrapes, const char *path);
/* Call it before each wait.  Returns when to call it again; both times in microseconds. */
uint64_t scrapes_work(struct scrapes *scrapes, uint64_t now);
void scrapes_free(struct scrapes *scrapes);

#endif
