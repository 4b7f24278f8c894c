// SPDX-License-Identifier: MIT
/* A slice. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "native.h"

static void free_slice(void *slice)
{
	vdb_slice_free(slice);
}

PyObject *slice_new(const struct state *state, struct vdb_slice *slice)
{
	PyObject *handle = handle_new(state->slice, slice, -1, free_slice);

	if (!handle)
		free_slice(slice);
	return handle;
}

/* The caller keeps its fds: the slice has copies. */
PyObject *slice_from_fd(PyObject *module, PyObject *args)
{
	const struct state *state = state_of_module(module);
	int fd, event_fd, copies[2] = { -1, -1 }, error;
	struct vdb_slice *slice = NULL;
	unsigned int bar, flags;
	uint64_t offset;
	const char *bdf;

	if (!PyArg_ParseTuple(args, "iizO&O&O&:slice_from_fd", &fd, &event_fd, &bdf, number_u32, &bar,
			      number_u64, &offset, number_u32, &flags))
		return NULL;
	WITHOUT_LOCK(error,
		copies[0] = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		if (copies[0] >= 0 && event_fd >= 0)
			copies[1] = fcntl(event_fd, F_DUPFD_CLOEXEC, 0);
		if (copies[0] >= 0 && (event_fd < 0 || copies[1] >= 0))
			slice = vdb_slice_from_fd(copies[0], copies[1], bdf, bar, offset, flags));
	if (slice)
		return slice_new(state, slice);
	for (int i = 0; i < 2; i++)
		if (copies[i] >= 0)
			close(copies[i]);
	return raise_error(state, "from_fd", error, "");
}

/* Likewise. */
PyObject *slice_from_memfd(PyObject *module, PyObject *args)
{
	const struct state *state = state_of_module(module);
	struct vdb_slice *slice = NULL;
	int fd, copy, error;
	unsigned int flags;
	uint64_t iova;

	if (!PyArg_ParseTuple(args, "iO&O&:slice_from_memfd", &fd, number_u64, &iova, number_u32, &flags))
		return NULL;
	WITHOUT_LOCK(error,
		copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		if (copy >= 0)
			slice = vdb_memory_from_fd(copy, iova, flags));
	if (slice)
		return slice_new(state, slice);
	if (copy >= 0)
		close(copy);
	return raise_error(state, "from_memfd", error, "");
}

PyObject *slice_receive(PyObject *module, PyObject *arg)
{
	const struct state *state = state_of_module(module);
	int fd = PyObject_AsFileDescriptor(arg), error;
	struct vdb_slice *slice;

	if (fd < 0)
		return NULL;
	WITHOUT_LOCK(error, slice = vdb_slice_receive(fd));
	if (!slice)
		return raise_error(state, "receive", error, "");
	return slice_new(state, slice);
}

/* With a device, or None. */
static PyObject *slice_send(PyObject *self, PyObject *args)
{
	struct vdb_device *device = NULL;
	struct handle *owner = NULL;
	PyObject *socket, *other;
	struct vdb_slice *slice;
	int fd, ret, error;

	if (!PyArg_ParseTuple(args, "OO:send", &socket, &other))
		return NULL;
	fd = PyObject_AsFileDescriptor(socket);
	if (fd < 0)
		return NULL;
	if (other != Py_None) {
		if (!PyObject_TypeCheck(other, state_of(self)->device)) {
			PyErr_SetString(PyExc_TypeError, "expected a device");
			return NULL;
		}
		owner = (struct handle *)other;
		device = handle_share(owner);
		if (!device)
			return NULL;
	}
	slice = handle_enter((struct handle *)self);
	if (slice) {
		WITHOUT_LOCK(error, ret = vdb_slice_send(fd, device, slice));
		handle_leave((struct handle *)self);
	}
	if (owner)
		handle_unshare(owner);
	if (!slice)
		return NULL;
	if (ret)
		return raise_error(state_of(self), "send", error, "");
	Py_RETURN_NONE;
}

static PyObject *slice_map(PyObject *self, PyObject *args)
{
	struct vdb_slice *slice;
	uint64_t offset, whole;
	int writable, error;
	size_t length;
	Py_ssize_t wanted;
	void *address;

	if (!PyArg_ParseTuple(args, "O&np:map", number_u64, &offset, &wanted, &writable))
		return NULL;
	slice = handle_share((struct handle *)self);
	if (!slice)
		return NULL;
	whole = vdb_slice_length(slice);
	length = wanted ? (size_t)wanted : offset < whole ? whole - offset : 0;
	WITHOUT_LOCK(error, address = vdb_slice_map(slice, offset, wanted,
						    PROT_READ | (writable ? PROT_WRITE : 0)));
	handle_unshare((struct handle *)self);
	if (!address)
		return raise_error(state_of(self), "map", error, "");
	return mapping_new(state_of(self), address, length, PROT_READ | (writable ? PROT_WRITE : 0));
}

static PyObject *slice_state(PyObject *self, PyObject *unused)
{
	struct vdb_slice *slice = handle_enter((struct handle *)self);
	uint64_t changes = 0;
	int state, error;

	(void)unused;
	if (!slice)
		return NULL;
	WITHOUT_LOCK(error, state = vdb_slice_state(slice, &changes));
	handle_leave((struct handle *)self);
	if (state < 0)
		return raise_error(state_of(self), "state", error, "");
	return Py_BuildValue("iK", state, (unsigned long long)changes);
}

/* The members that do not change: kind, bdf, bar, offset, length, iova, flags. */
static PyObject *slice_about(PyObject *self, PyObject *unused)
{
	struct vdb_slice *slice = handle_share((struct handle *)self);
	PyObject *about;

	(void)unused;
	if (!slice)
		return NULL;
	about = Py_BuildValue("isIKKKI", (int)vdb_slice_kind(slice), vdb_slice_bdf(slice), vdb_slice_bar(slice),
			      (unsigned long long)vdb_slice_offset(slice), (unsigned long long)vdb_slice_length(slice),
			      (unsigned long long)vdb_slice_iova(slice), vdb_slice_flags(slice));
	handle_unshare((struct handle *)self);
	return about;
}

#define DEFINE_FD(name, function, begin, end)				\
static PyObject *slice_##name(PyObject *self, PyObject *unused)		\
{									\
	struct vdb_slice *slice = begin((struct handle *)self);		\
	int fd;								\
									\
	(void)unused;							\
	if (!slice)							\
		return NULL;						\
	fd = function(slice);						\
	end((struct handle *)self);					\
	return PyLong_FromLong(fd);					\
}

DEFINE_FD(fileno, vdb_slice_fd, handle_share, handle_unshare)
/* vdb_slice_watch() replaces it. */
DEFINE_FD(event_fileno, vdb_slice_event_fd, handle_enter, handle_leave)

static PyMethodDef methods[] = {
	{ "send", slice_send, METH_VARARGS, NULL },
	{ "map", slice_map, METH_VARARGS, NULL },
	{ "state", slice_state, METH_NOARGS, NULL },
	{ "about", slice_about, METH_NOARGS, NULL },
	{ "fileno", slice_fileno, METH_NOARGS, NULL },
	{ "event_fileno", slice_event_fileno, METH_NOARGS, NULL },
	{ "close", handle_method_close, METH_NOARGS, NULL },
	{ "closed", handle_method_closed, METH_NOARGS, NULL },
	{ 0 }
};

static PyType_Slot slots[] = {
	{ Py_tp_methods, methods },
	{ Py_tp_dealloc, handle_dealloc },
	{ 0 }
};

PyType_Spec slice_spec = {
	.name = "vfio_dmabuf._native.Slice",
	.basicsize = sizeof(struct handle),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
	.slots = slots,
};
