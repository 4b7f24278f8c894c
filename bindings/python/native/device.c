// SPDX-License-Identifier: MIT
/* A device, for its owner. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "native.h"

static void close_device(void *device)
{
	vdb_device_close(device);
}

static PyObject *fail(PyObject *self, const char *what, int error)
{
	return raise_error(state_of(self), what, error, "");
}

PyObject *open_device(PyObject *module, PyObject *args)
{
	const struct state *state = state_of_module(module);
	char why[VDB_ERROR_SIZE] = "";
	const char *bdf, *token;
	struct vdb_device *device;
	PyObject *handle;
	int error;

	if (!PyArg_ParseTuple(args, "sz:open_device", &bdf, &token))
		return NULL;
	WITHOUT_LOCK(error, device = vdb_device_open(bdf, token, why));
	if (!device)
		return raise_error(state, "open", error, why);
	handle = handle_new(state->device, device, -1, close_device);
	if (!handle)
		close_device(device);
	return handle;
}

/* The caller keeps its fd: the device has a copy, and closes that. */
PyObject *device_from_fd(PyObject *module, PyObject *arg)
{
	const struct state *state = state_of_module(module);
	struct vdb_device *device = NULL;
	int fd = PyObject_AsFileDescriptor(arg), copy, error;
	PyObject *handle;

	if (fd < 0)
		return NULL;
	WITHOUT_LOCK(error,
		copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		if (copy >= 0)
			device = vdb_device_from_fd(copy));
	handle = device ? handle_new(state->device, device, copy, close_device) : raise_error(state, "from_fd", error, "");
	if (!handle) {
		close_device(device);
		if (copy >= 0)
			close(copy);
	}
	return handle;
}

/* Calls that cannot wait, and return a number. */
#define DEFINE_GETTER(name, function)					\
static PyObject *device_##name(PyObject *self, PyObject *unused)	\
{									\
	struct vdb_device *device = handle_share((struct handle *)self); \
	long value;							\
									\
	(void)unused;							\
	if (!device)							\
		return NULL;						\
	value = function(device);					\
	handle_unshare((struct handle *)self);				\
	return PyLong_FromLong(value);					\
}

DEFINE_GETTER(fileno, vdb_device_fd)
DEFINE_GETTER(iommu_fileno, vdb_device_iommu_fd)

static PyObject *device_capabilities(PyObject *self, PyObject *unused)
{
	struct vdb_device *device = handle_share((struct handle *)self);
	unsigned int capabilities;
	int error;

	(void)unused;
	if (!device)
		return NULL;
	WITHOUT_LOCK(error, capabilities = vdb_device_capabilities(device));
	(void)error;
	handle_unshare((struct handle *)self);
	return PyLong_FromUnsignedLong(capabilities);
}

static PyObject *device_bar(PyObject *self, PyObject *args)
{
	struct vdb_device *device;
	unsigned int index;
	struct vdb_bar bar;
	int ret, error;

	if (!PyArg_ParseTuple(args, "O&:bar", number_u32, &index))
		return NULL;
	device = handle_share((struct handle *)self);
	if (!device)
		return NULL;
	WITHOUT_LOCK(error, ret = vdb_device_bar(device, index, &bar));
	handle_unshare((struct handle *)self);
	if (ret)
		return fail(self, "bar", error);
	return Py_BuildValue("KNNNN", (unsigned long long)bar.size,
			     PyBool_FromLong(bar.memory), PyBool_FromLong(bar.mappable),
			     PyBool_FromLong(bar.prefetchable), PyBool_FromLong(bar.is_64bit));
}

static PyObject *device_reset(PyObject *self, PyObject *unused)
{
	struct vdb_device *device = handle_share((struct handle *)self);
	int ret, error;

	(void)unused;
	if (!device)
		return NULL;
	WITHOUT_LOCK(error, ret = vdb_device_reset(device));
	handle_unshare((struct handle *)self);
	if (ret)
		return fail(self, "reset", error);
	Py_RETURN_NONE;
}

static PyObject *device_set_bus_master(PyObject *self, PyObject *args)
{
	struct vdb_device *device;
	int on, ret, error;

	if (!PyArg_ParseTuple(args, "p:set_bus_master", &on))
		return NULL;
	device = handle_share((struct handle *)self);
	if (!device)
		return NULL;
	WITHOUT_LOCK(error, ret = vdb_device_set_bus_master(device, on));
	handle_unshare((struct handle *)self);
	if (ret)
		return fail(self, "set_bus_master", error);
	Py_RETURN_NONE;
}

static bool get_range(PyObject *pair, struct vdb_range *range)
{
	PyObject *both = PySequence_Tuple(pair);
	bool ok = both && PyArg_ParseTuple(both, "O&O&;a range is a pair, offset and length", number_u64,
					   &range->offset, number_u64, &range->length);

	Py_XDECREF(both);
	return ok;
}

/* An array from a tuple of pairs, for PyMem_Free(); NULL: an exception is raised. */
static struct vdb_range *get_ranges(PyObject *list, size_t *nr)
{
	Py_ssize_t count = PyTuple_Size(list);
	struct vdb_range *ranges;

	if (count < 0)
		return NULL;
	ranges = PyMem_Calloc(count + 1, sizeof(*ranges));
	if (!ranges) {
		PyErr_NoMemory();
		return NULL;
	}
	for (Py_ssize_t i = 0; i < count; i++) {
		if (!get_range(PyTuple_GetItem(list, i), &ranges[i])) {
			PyMem_Free(ranges);
			return NULL;
		}
	}
	*nr = count;
	return ranges;
}

static PyObject *device_export(PyObject *self, PyObject *args)
{
	struct vdb_slice *slice = NULL;
	struct vdb_device *device;
	struct vdb_range *ranges;
	unsigned int bar, flags;
	PyObject *list;
	int error = 0;
	size_t nr;

	if (!PyArg_ParseTuple(args, "O&O!O&:export", number_u32, &bar, &PyTuple_Type, &list, number_u32, &flags))
		return NULL;
	ranges = get_ranges(list, &nr);
	if (!ranges)
		return NULL;
	device = handle_share((struct handle *)self);
	if (device) {
		WITHOUT_LOCK(error, slice = vdb_slice_export(device, bar, ranges, nr, flags));
		handle_unshare((struct handle *)self);
	}
	PyMem_Free(ranges);
	if (!device)
		return NULL;
	if (!slice)
		return fail(self, "export", error);
	return slice_new(state_of(self), slice);
}

/* The device of @self and the slice @object; false: an exception is raised. */
static bool share_both(PyObject *self, PyObject *object, struct vdb_device **device,
		       struct vdb_slice **slice)
{
	if (!PyObject_TypeCheck(object, state_of(self)->slice)) {
		PyErr_SetString(PyExc_TypeError, "expected a slice");
		return false;
	}
	*device = handle_share((struct handle *)self);
	if (!*device)
		return false;
	*slice = handle_share((struct handle *)object);
	if (!*slice)
		handle_unshare((struct handle *)self);
	return *slice;
}

static void unshare_both(PyObject *self, PyObject *object)
{
	handle_unshare((struct handle *)object);
	handle_unshare((struct handle *)self);
}

/*
 * Evaluates a call to revoke: 1 and the result of the method, or 0 if the call must be
 * repeated, because a signal handler has run.
 */
static int revoke_result(PyObject *self, int ret, int error, bool *interrupted, PyObject **result)
{
	if (!ret || (error == EBADFD && *interrupted)) {
		*result = Py_NewRef(Py_True);
	} else if (error == EBADFD) {
		*result = Py_NewRef(Py_False);
	} else if (error != EINTR) {
		*result = fail(self, "revoke", error);
	} else if (PyErr_CheckSignals()) {
		*result = NULL;
	} else {
		*interrupted = true;
		return 0;
	}
	return 1;
}

static PyObject *device_revoke(PyObject *self, PyObject *object)
{
	struct vdb_device *device;
	struct vdb_slice *slice;
	bool interrupted = false;
	PyObject *result;
	int ret, error;

	do {
		if (!share_both(self, object, &device, &slice))
			return NULL;
		WITHOUT_LOCK(error, ret = vdb_slice_revoke(device, slice));
		unshare_both(self, object);
	} while (!revoke_result(self, ret, error, &interrupted, &result));
	return result;
}

static PyObject *device_revoke_id(PyObject *self, PyObject *args)
{
	struct vdb_device *device;
	bool interrupted = false;
	uint64_t id;
	PyObject *result;
	int ret, error;

	if (!PyArg_ParseTuple(args, "O&:revoke_id", number_u64, &id))
		return NULL;
	do {
		device = handle_share((struct handle *)self);
		if (!device)
			return NULL;
		WITHOUT_LOCK(error, ret = vdb_device_revoke_id(device, id));
		handle_unshare((struct handle *)self);
	} while (!revoke_result(self, ret, error, &interrupted, &result));
	return result;
}

/* Runs alone, because it changes the slice.  (It does not change the DMABUF, and a revocation uses only that.) */
static PyObject *device_watch_slice(PyObject *self, PyObject *object)
{
	struct vdb_device *device;
	struct vdb_slice *slice;
	int ret = -1, error = 0;

	if (!PyObject_TypeCheck(object, state_of(self)->slice)) {
		PyErr_SetString(PyExc_TypeError, "expected a slice");
		return NULL;
	}
	device = handle_share((struct handle *)self);
	if (!device)
		return NULL;
	slice = handle_enter((struct handle *)object);
	if (slice) {
		WITHOUT_LOCK(error, ret = vdb_slice_watch(device, slice));
		handle_leave((struct handle *)object);
	}
	handle_unshare((struct handle *)self);
	if (!slice)
		return NULL;
	if (ret)
		return fail(self, "watch", error);
	Py_RETURN_NONE;
}

static PyObject *device_slice_id(PyObject *self, PyObject *object)
{
	struct vdb_device *device;
	struct vdb_slice *slice;
	uint64_t id;
	int error;

	if (!share_both(self, object, &device, &slice))
		return NULL;
	WITHOUT_LOCK(error, id = vdb_slice_id(device, slice));
	unshare_both(self, object);
	if (!id)
		return fail(self, "slice_id", error);
	return PyLong_FromUnsignedLongLong(id);
}

/* ---- buffers ---- */

static PyObject *buffer_tuple(const struct vdb_buffer *buffer)
{
	return Py_BuildValue("KKKKIIiIIII", (unsigned long long)buffer->id,
			     (unsigned long long)buffer->inode, (unsigned long long)buffer->offset,
			     (unsigned long long)buffer->length, buffer->bar, buffer->flags,
			     (int)buffer->state, buffer->nr_ranges, buffer->mappings,
			     buffer->importers, buffer->dma_maps);
}

struct buffers {
	struct vdb_buffer *all;
	size_t nr, room;
	bool no_memory;
};

static bool add_buffer(const struct vdb_buffer *buffer, void *data)
{
	struct buffers *buffers = data;

	if (buffers->nr == buffers->room) {
		size_t room = buffers->room ? 2 * buffers->room : 64;
		struct vdb_buffer *all = realloc(buffers->all, room * sizeof(*all));

		buffers->no_memory = !all;
		if (!all)
			return false;
		buffers->all = all;
		buffers->room = room;
	}
	buffers->all[buffers->nr++] = *buffer;
	return true;
}

static PyObject *device_buffers(PyObject *self, PyObject *unused)
{
	struct vdb_device *device = handle_share((struct handle *)self);
	struct buffers buffers = { 0 };
	PyObject *list = NULL;
	int ret, error;

	(void)unused;
	if (!device)
		return NULL;
	WITHOUT_LOCK(error, ret = vdb_device_list(device, add_buffer, &buffers));
	handle_unshare((struct handle *)self);
	if (buffers.no_memory)
		PyErr_NoMemory();
	else if (ret)
		fail(self, "buffers", error);
	else
		list = PyList_New(buffers.nr);
	for (size_t i = 0; list && i < buffers.nr; i++) {
		PyObject *item = buffer_tuple(&buffers.all[i]);

		if (!item || PyList_SetItem(list, i, item))
			Py_CLEAR(list);
	}
	free(buffers.all);
	return list;
}

static PyObject *device_buffer(PyObject *self, PyObject *args)
{
	struct vdb_device *device;
	struct vdb_buffer buffer;
	uint64_t id;
	int ret, error;

	if (!PyArg_ParseTuple(args, "O&:buffer", number_u64, &id))
		return NULL;
	device = handle_share((struct handle *)self);
	if (!device)
		return NULL;
	WITHOUT_LOCK(error, ret = vdb_device_buffer(device, id, &buffer));
	handle_unshare((struct handle *)self);
	if (ret)
		return fail(self, "buffer", error);
	return buffer_tuple(&buffer);
}

static PyObject *device_ranges(PyObject *self, PyObject *args)
{
	struct vdb_range ranges[64];
	struct vdb_device *device;
	uint64_t id;
	PyObject *list = NULL;
	Py_ssize_t first;
	ssize_t got;
	int error;

	if (!PyArg_ParseTuple(args, "O&n:ranges", number_u64, &id, &first))
		return NULL;
	device = handle_share((struct handle *)self);
	if (!device)
		return NULL;
	WITHOUT_LOCK(error, got = vdb_device_buffer_ranges(device, id, first, ranges,
							   sizeof(ranges) / sizeof(ranges[0])));
	handle_unshare((struct handle *)self);
	if (got < 0)
		return fail(self, "buffer", error);
	list = PyList_New(got);
	for (ssize_t i = 0; list && i < got; i++) {
		PyObject *item = Py_BuildValue("KK", (unsigned long long)ranges[i].offset,
					       (unsigned long long)ranges[i].length);

		if (!item || PyList_SetItem(list, i, item))
			Py_CLEAR(list);
	}
	return list;
}

/* ---- events ---- */

static PyObject *device_watch(PyObject *self, PyObject *args)
{
	struct vdb_device *device;
	uint64_t id;
	int fd, error;

	if (!PyArg_ParseTuple(args, "O&:watch", number_u64, &id))
		return NULL;
	device = handle_share((struct handle *)self);
	if (!device)
		return NULL;
	WITHOUT_LOCK(error, fd = id ? vdb_device_watch_id(device, id) : vdb_device_watch(device));
	handle_unshare((struct handle *)self);
	if (fd < 0)
		return fail(self, "watch", error);
	return PyLong_FromLong(fd);
}

PyObject *event_read(PyObject *module, PyObject *arg)
{
	int fd = PyObject_AsFileDescriptor(arg), state, error;
	uint64_t changes = 0;

	if (fd < 0)
		return NULL;
	WITHOUT_LOCK(error, state = vdb_event_read(fd, &changes));
	if (state < 0 && error == EAGAIN)
		Py_RETURN_NONE;
	if (state < 0)
		return raise_error(state_of_module(module), "event", error, "");
	return Py_BuildValue("iK", state, (unsigned long long)changes);
}

static PyMethodDef methods[] = {
	{ "close", handle_method_close, METH_NOARGS, NULL },
	{ "closed", handle_method_closed, METH_NOARGS, NULL },
	{ "fileno", device_fileno, METH_NOARGS, NULL },
	{ "iommu_fileno", device_iommu_fileno, METH_NOARGS, NULL },
	{ "capabilities", device_capabilities, METH_NOARGS, NULL },
	{ "bar", device_bar, METH_VARARGS, NULL },
	{ "reset", device_reset, METH_NOARGS, NULL },
	{ "set_bus_master", device_set_bus_master, METH_VARARGS, NULL },
	{ "export", device_export, METH_VARARGS, NULL },
	{ "revoke", device_revoke, METH_O, NULL },
	{ "revoke_id", device_revoke_id, METH_VARARGS, NULL },
	{ "watch_slice", device_watch_slice, METH_O, NULL },
	{ "slice_id", device_slice_id, METH_O, NULL },
	{ "buffers", device_buffers, METH_NOARGS, NULL },
	{ "buffer", device_buffer, METH_VARARGS, NULL },
	{ "ranges", device_ranges, METH_VARARGS, NULL },
	{ "watch", device_watch, METH_VARARGS, NULL },
	{ 0 }
};

static PyType_Slot slots[] = {
	{ Py_tp_methods, methods },
	{ Py_tp_dealloc, handle_dealloc },
	{ 0 }
};

PyType_Spec device_spec = {
	.name = "vfio_dmabuf._native.Device",
	.basicsize = sizeof(struct handle),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
	.slots = slots,
};
