/* SPDX-License-Identifier: MIT */
/*
 * vfio_dmabuf._native: the library's objects and calls for Python.
 *
 * It does what Python cannot do itself: it manages the life of objects, and has accesses
 * that raise exceptions.  The interface for programs is in vfio_dmabuf/, in Python.
 *
 * Rules of this directory:
 * - Every call to the library is made without the interpreter's lock, because it
 *   may wait: for a device that is being reset, for the broker.
 * - The library allows one thread at a time to change an object.  So every object has
 *   a lock, see handle.c.  No Python code runs while one is held: results are copied
 *   first, and converted afterwards.
 */
#ifndef NATIVE_H
#define NATIVE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdbool.h>
#include <stdint.h>
#include <vfio-dmabuf.h>

/* Per interpreter. */
struct state {
	PyObject *make_error;	/* vfio_dmabuf._errors.make */
	PyTypeObject *device;
	PyTypeObject *slice;
	PyTypeObject *mapping;
	PyTypeObject *client;
	PyTypeObject *dma;
	PyTypeObject *dma_mapping;
};

struct state *state_of_module(PyObject *module);
struct state *state_of(PyObject *object);

/*
 * Raises the exception for errno; @what is the name of the failed call, @text the text
 * of the library or "".  Always returns NULL.
 */
PyObject *raise_error(const struct state *state, const char *what, int error, const char *text);

/*
 * For O& of PyArg_ParseTuple(): numbers, or OverflowError.  K and I would take only a
 * number's low bits, but 2**64 + 5 is not the id of buffer 5.
 */
int number_u64(PyObject *number, void *value);
int number_u32(PyObject *number, void *value);

/* A text that may come from another process. */
PyObject *text_of(const char *text);

/* ---- handle.c: objects of the library that are closed once ---- */

/* The function that closes an object of this type. */
typedef void (*close_fn)(void *object);

struct handle {
	PyObject_HEAD
	void *object;		/* NULL: closed */
	int fd;			/* to be closed after it; -1: none */
	close_fn close;
	bool closed;		/* for new calls */
	unsigned int users;	/* calls that run; the last one closes */
	PyThread_type_lock lock;
};

/* If it fails, the caller still owns the object. */
PyObject *handle_new(PyTypeObject *type, void *object, int fd, close_fn close_object);
/* The object, for calls that do not change it, until handle_unshare(); NULL: closed, and an exception is raised. */
void *handle_share(struct handle *handle);
void handle_unshare(struct handle *handle);
/* The same for one thread at a time, until handle_leave(). */
void *handle_enter(struct handle *handle);
/* The same of an object that has a user, whether or not it is closed for others. */
void handle_lock(struct handle *handle);
void handle_leave(struct handle *handle);
/* Closes it after the calls that are running. */
void handle_close(struct handle *handle);
/* Methods of all these types, and their tp_dealloc. */
PyObject *handle_method_close(PyObject *self, PyObject *unused);
PyObject *handle_method_closed(PyObject *self, PyObject *unused);
void handle_dealloc(PyObject *self);

#define WITHOUT_LOCK(error, call) do {		\
	Py_BEGIN_ALLOW_THREADS			\
	errno = 0;				\
	call;					\
	error = errno;				\
	Py_END_ALLOW_THREADS			\
} while (0)

/* ---- guard.c ---- */

#include <signal.h>

struct guard {
	sigset_t mask;
};

/* Between these, vdb_try_*() of this thread fails instead of ending the process. */
void guard_begin(struct guard *guard);
void guard_end(const struct guard *guard);

/* ---- one file for each type ---- */

extern PyType_Spec device_spec, slice_spec, mapping_spec, client_spec, dma_spec, dma_mapping_spec;

PyObject *slice_new(const struct state *state, struct vdb_slice *slice);
PyObject *mapping_new(const struct state *state, void *address, size_t length, int prot);

PyObject *open_device(PyObject *module, PyObject *args);
PyObject *device_from_fd(PyObject *module, PyObject *arg);
PyObject *event_read(PyObject *module, PyObject *arg);
PyObject *slice_from_fd(PyObject *module, PyObject *args);
PyObject *slice_receive(PyObject *module, PyObject *arg);
PyObject *slice_from_memfd(PyObject *module, PyObject *args);
PyObject *dma_from_device(PyObject *module, PyObject *object);
PyObject *dma_from_fd(PyObject *module, PyObject *args);
PyObject *map_fd(PyObject *module, PyObject *args);
PyObject *connect_client(PyObject *module, PyObject *args);

/* Lists of the broker; methods of the client. */
PyObject *client_slices(PyObject *self, PyObject *unused);
PyObject *client_leases(PyObject *self, PyObject *unused);
PyObject *client_devices(PyObject *self, PyObject *unused);
PyObject *client_accounts(PyObject *self, PyObject *unused);

#endif
