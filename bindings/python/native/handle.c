// SPDX-License-Identifier: MIT
/*
 * Objects of the library: closed once, and after their last use.
 *
 * Any number of threads can use an object at the same time for calls that do not
 * change it.  So a revocation waits neither for another one nor for a receiver that
 * does not read.  Calls that change it, and calls that read what these change, run
 * one after the other.
 *
 * The interpreter's lock protects the count.
 */
#include <unistd.h>

#include "native.h"

PyObject *handle_new(PyTypeObject *type, void *object, int fd, close_fn close_object)
{
	allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
	struct handle *handle = (struct handle *)alloc(type, 0);

	if (!handle)
		return NULL;
	handle->fd = -1;
	handle->lock = PyThread_allocate_lock();
	if (!handle->lock) {
		Py_DECREF(handle);
		return PyErr_NoMemory();
	}
	handle->object = object;
	handle->fd = fd;
	handle->close = close_object;
	return (PyObject *)handle;
}

static void close_if_unused(struct handle *handle)
{
	void *object = handle->object;
	int fd = handle->fd;

	if (!handle->closed || handle->users)
		return;
	handle->object = NULL;
	handle->fd = -1;

	/* Closing the last fd of a device waits until its slices are revoked. */
	Py_BEGIN_ALLOW_THREADS
	if (object)
		handle->close(object);
	if (fd >= 0)
		close(fd);
	Py_END_ALLOW_THREADS
}

static void *check_open(struct handle *handle)
{
	PyObject *name;

	if (!handle->closed)
		return handle->object;
	name = PyType_GetName(Py_TYPE((PyObject *)handle));
	if (name)
		PyErr_Format(PyExc_ValueError, "this %U is closed", name);
	Py_XDECREF(name);
	return NULL;
}

void *handle_share(struct handle *handle)
{
	void *object = check_open(handle);

	if (object)
		handle->users++;
	return object;
}

void handle_unshare(struct handle *handle)
{
	handle->users--;
	close_if_unused(handle);
}

void handle_lock(struct handle *handle)
{
	handle->users++;
	if (!PyThread_acquire_lock(handle->lock, NOWAIT_LOCK)) {
		Py_BEGIN_ALLOW_THREADS
		PyThread_acquire_lock(handle->lock, WAIT_LOCK);
		Py_END_ALLOW_THREADS
	}
}

void *handle_enter(struct handle *handle)
{
	if (!check_open(handle))
		return NULL;
	handle_lock(handle);
	if (check_open(handle))
		return handle->object;
	handle_leave(handle);
	return NULL;
}

void handle_leave(struct handle *handle)
{
	PyThread_release_lock(handle->lock);
	handle_unshare(handle);
}

void handle_close(struct handle *handle)
{
	handle->closed = true;
	close_if_unused(handle);
}

PyObject *handle_method_close(PyObject *self, PyObject *unused)
{
	(void)unused;
	handle_close((struct handle *)self);
	Py_RETURN_NONE;
}

PyObject *handle_method_closed(PyObject *self, PyObject *unused)
{
	(void)unused;
	return PyBool_FromLong(((struct handle *)self)->closed);
}

void handle_dealloc(PyObject *self)
{
	struct handle *handle = (struct handle *)self;
	PyTypeObject *type = Py_TYPE(self);
	freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);

	/* A call has a reference, so there are no users. */
	handle_close(handle);
	if (handle->lock)
		PyThread_free_lock(handle->lock);
	release(self);
	Py_DECREF(type);
}
