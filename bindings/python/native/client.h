/* SPDX-License-Identifier: MIT */
/* Shared by the client's files. */
#ifndef NATIVE_CLIENT_H
#define NATIVE_CLIENT_H

#include "native.h"

/* vdb_client_error(), which the next call overwrites. */
struct words {
	char text[VDB_ERROR_SIZE];
};

/* handle_leave(), with what the client said about its last call. */
void client_leave(PyObject *self, struct vdb_client *client, struct words *words);
PyObject *client_raise(PyObject *self, const char *what, int error, const struct words *words);

#endif
