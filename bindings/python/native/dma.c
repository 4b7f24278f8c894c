// SPDX-License-Identifier: MIT
/*
 * An IO address space, and mappings of this process' memory in it.
 *
 * A mapping of a process' memory keeps two things until the device cannot reach it any
 * more: the buffer, because the interpreter would use its memory for something else, and
 * the address space, also if the program has closed that.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "native.h"

struct dma_mapping {
	PyObject_HEAD
	struct handle *dma;	/* a reference; and a use, as long as it is mapped */
	Py_buffer buffer;
	uint64_t iova;
	pid_t pid;		/* a child does not unmap what its parent has mapped */
	bool mapped;
};

/* vdb_dma_error(), which the next call overwrites. */
struct words {
	char text[VDB_ERROR_SIZE];
};

static void close_dma(void *dma)
{
	vdb_dma_close(dma);
}

static void leave(struct handle *handle, const struct vdb_dma *dma, struct words *words)
{
	snprintf(words->text, sizeof(words->text), "%s", vdb_dma_error(dma));
	handle_leave(handle);
}

static PyObject *fail(PyObject *self, const char *what, int error, const struct words *words)
{
	return raise_error(state_of(self), what, error, words->text);
}

/* The object has a copy of the fd; the caller's is not needed after this. */
static struct vdb_dma *dma_of_copy(int fd, uint32_t ioas, int *copy, struct words *why)
{
	struct vdb_dma *dma;

	*copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (*copy < 0)
		return NULL;
	dma = vdb_dma_from_fd(*copy, ioas, why->text);
	if (!dma) {
		int error = errno;

		close(*copy);
		errno = error;
	}
	return dma;
}

static PyObject *dma_new(const struct state *state, struct vdb_dma *dma, int fd, int error, const struct words *why)
{
	PyObject *handle;

	if (!dma)
		return raise_error(state, "dma", error, why->text);
	handle = handle_new(state->dma, dma, fd, close_dma);
	if (!handle) {
		vdb_dma_close(dma);
		close(fd);
	}
	return handle;
}

/* What the library says of a device without an IOMMU, it says only of a device. */
static struct vdb_dma *dma_of_device(const struct vdb_device *device, int *copy, struct words *why)
{
	struct vdb_dma *first = vdb_dma_from_device(device, why->text);
	uint32_t ioas;

	if (!first)
		return NULL;
	ioas = vdb_dma_ioas(first);
	vdb_dma_close(first);
	return dma_of_copy(vdb_device_iommu_fd(device), ioas, copy, why);
}

PyObject *dma_from_device(PyObject *module, PyObject *object)
{
	const struct state *state = state_of_module(module);
	struct words why = { "" };
	struct vdb_device *device;
	struct vdb_dma *dma;
	int copy, error;

	if (!PyObject_TypeCheck(object, state->device)) {
		PyErr_SetString(PyExc_TypeError, "expected a device");
		return NULL;
	}
	device = handle_share((struct handle *)object);
	if (!device)
		return NULL;
	WITHOUT_LOCK(error, dma = dma_of_device(device, &copy, &why));
	handle_unshare((struct handle *)object);
	return dma_new(state, dma, copy, error, &why);
}

PyObject *dma_from_fd(PyObject *module, PyObject *args)
{
	struct words why = { "" };
	struct vdb_dma *dma;
	int fd, copy, error;
	PyObject *object;
	uint32_t ioas;

	if (!PyArg_ParseTuple(args, "OO&:dma_from_fd", &object, number_u32, &ioas))
		return NULL;
	fd = PyObject_AsFileDescriptor(object);
	if (fd < 0)
		return NULL;
	WITHOUT_LOCK(error, dma = dma_of_copy(fd, ioas, &copy, &why));
	return dma_new(state_of_module(module), dma, copy, error, &why);
}

static PyObject *dma_ioas(PyObject *self, PyObject *unused)
{
	struct vdb_dma *dma = handle_share((struct handle *)self);
	uint32_t ioas;

	(void)unused;
	if (!dma)
		return NULL;
	ioas = vdb_dma_ioas(dma);
	handle_unshare((struct handle *)self);
	return PyLong_FromUnsignedLong(ioas);
}

static PyObject *dma_set_width(PyObject *self, PyObject *args)
{
	struct vdb_dma *dma;
	struct words words;
	unsigned int bits;
	int ret, error;

	if (!PyArg_ParseTuple(args, "O&:set_width", number_u32, &bits))
		return NULL;
	dma = handle_enter((struct handle *)self);
	if (!dma)
		return NULL;
	WITHOUT_LOCK(error, ret = vdb_dma_set_width(dma, bits));
	leave((struct handle *)self, dma, &words);
	if (ret)
		return fail(self, "set_width", error, &words);
	Py_RETURN_NONE;
}

/* A call with a range of IOVAs. */
static PyObject *call_with_range(PyObject *self, PyObject *args, const char *what,
				 int (*call)(struct vdb_dma *dma, uint64_t iova, uint64_t length))
{
	uint64_t iova, length;
	struct vdb_dma *dma;
	struct words words;
	int ret, error;

	if (!PyArg_ParseTuple(args, "O&O&", number_u64, &iova, number_u64, &length))
		return NULL;
	dma = handle_enter((struct handle *)self);
	if (!dma)
		return NULL;
	WITHOUT_LOCK(error, ret = call(dma, iova, length));
	leave((struct handle *)self, dma, &words);
	if (ret)
		return fail(self, what, error, &words);
	Py_RETURN_NONE;
}

static PyObject *dma_reserve(PyObject *self, PyObject *args)
{
	return call_with_range(self, args, "reserve", vdb_dma_reserve);
}

static PyObject *dma_unmap_unknown(PyObject *self, PyObject *unused)
{
	struct vdb_dma *dma = handle_enter((struct handle *)self);
	struct words words;
	int ret, error;

	(void)unused;
	if (!dma)
		return NULL;
	WITHOUT_LOCK(error, ret = vdb_dma_unmap_unknown(dma));
	leave((struct handle *)self, dma, &words);
	if (ret)
		return fail(self, "unmap", error, &words);
	Py_RETURN_NONE;
}

static PyObject *dma_unmap(PyObject *self, PyObject *args)
{
	return call_with_range(self, args, "unmap", vdb_dma_unmap);
}

/* ---- slices of memory ---- */

static PyObject *dma_alloc(PyObject *self, PyObject *args)
{
	struct vdb_slice *slice;
	struct vdb_dma *dma;
	struct words words;
	unsigned int flags;
	uint64_t length;
	int error;

	if (!PyArg_ParseTuple(args, "O&O&:alloc", number_u64, &length, number_u32, &flags))
		return NULL;
	dma = handle_enter((struct handle *)self);
	if (!dma)
		return NULL;
	WITHOUT_LOCK(error, slice = vdb_memory_alloc(dma, length, flags));
	leave((struct handle *)self, dma, &words);
	if (!slice)
		return fail(self, "alloc", error, &words);
	return slice_new(state_of(self), slice);
}

/*
 * Does not wait for a thread that sends the slice to a receiver that does not read: it
 * changes nothing that this thread still uses.
 */
static PyObject *dma_revoke(PyObject *self, PyObject *object)
{
	struct vdb_slice *slice;
	struct vdb_dma *dma;
	struct words words;
	int ret, error;

	if (!PyObject_TypeCheck(object, state_of(self)->slice)) {
		PyErr_SetString(PyExc_TypeError, "expected a slice");
		return NULL;
	}
	slice = handle_share((struct handle *)object);
	if (!slice)
		return NULL;
	dma = handle_enter((struct handle *)self);
	if (dma) {
		WITHOUT_LOCK(error, ret = vdb_dma_revoke(dma, slice));
		leave((struct handle *)self, dma, &words);
	}
	handle_unshare((struct handle *)object);
	if (!dma)
		return NULL;
	if (ret && error != EBADFD)
		return fail(self, "revoke_memory", error, &words);
	return PyBool_FromLong(!ret);
}

/* ---- memory of this process ---- */

static PyObject *new_mapping(const struct state *state, struct handle *dma)
{
	PyTypeObject *type = state->dma_mapping;
	allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
	struct dma_mapping *mapping = (struct dma_mapping *)alloc(type, 0);

	if (!mapping)
		return NULL;
	mapping->dma = (struct handle *)Py_NewRef((PyObject *)dma);
	mapping->pid = getpid();
	return (PyObject *)mapping;
}

/* An object whose buffer is in whole pages, such as an mmap. */
static PyObject *dma_map(PyObject *self, PyObject *args)
{
	struct handle *handle = (struct handle *)self;
	struct dma_mapping *mapping;
	struct vdb_dma *dma;
	struct words words;
	PyObject *object;
	unsigned int flags;
	int ret, error;

	if (!PyArg_ParseTuple(args, "OO&:map", &object, number_u32, &flags))
		return NULL;
	mapping = (struct dma_mapping *)new_mapping(state_of(self), handle);
	if (!mapping)
		return NULL;
	if (PyObject_GetBuffer(object, &mapping->buffer,
			       flags & VDB_FLAG_DMA_READ_ONLY ? PyBUF_SIMPLE : PyBUF_WRITABLE)) {
		mapping->buffer.obj = NULL;
		goto failed;
	}
	dma = handle_enter(handle);
	if (!dma)
		goto failed;
	WITHOUT_LOCK(error, ret = vdb_dma_map(dma, mapping->buffer.buf, mapping->buffer.len, flags, &mapping->iova));
	if (!ret) {
		mapping->mapped = true;
		handle->users++;
	}
	leave(handle, dma, &words);
	if (!ret)
		return (PyObject *)mapping;
	fail(self, "map_memory", error, &words);
failed:
	Py_DECREF((PyObject *)mapping);
	return NULL;
}

/* 0, also if it was unmapped before; otherwise errno. */
static int unmap(struct dma_mapping *mapping, struct words *words)
{
	struct handle *handle = mapping->dma;
	int ret = 0, error = 0;
	void *dma;

	handle_lock(handle);
	dma = handle->object;
	if (mapping->mapped) {
		WITHOUT_LOCK(error, ret = vdb_dma_unmap(dma, mapping->iova, mapping->buffer.len));
		snprintf(words->text, sizeof(words->text), "%s", vdb_dma_error(dma));
		/* The program has unmapped it by its IOVA, or another process has. */
		if (ret && (error == ENOENT || error == EINVAL))
			ret = 0;
		if (!ret) {
			mapping->mapped = false;
			handle_unshare(handle);
		}
	}
	handle_leave(handle);
	return ret ? error : 0;
}

static PyObject *mapping_unmap(PyObject *self, PyObject *unused)
{
	struct dma_mapping *mapping = (struct dma_mapping *)self;
	struct words words = { "" };
	int error = unmap(mapping, &words);

	(void)unused;
	if (error)
		return fail(self, "unmap", error, &words);
	PyBuffer_Release(&mapping->buffer);
	Py_RETURN_NONE;
}

static PyObject *mapping_mapped(PyObject *self, PyObject *unused)
{
	(void)unused;
	return PyBool_FromLong(((struct dma_mapping *)self)->mapped);
}

static PyObject *mapping_iova(PyObject *self, PyObject *unused)
{
	(void)unused;
	return PyLong_FromUnsignedLongLong(((struct dma_mapping *)self)->iova);
}

static void mapping_dealloc(PyObject *self)
{
	struct dma_mapping *mapping = (struct dma_mapping *)self;
	PyTypeObject *type = Py_TYPE(self);
	freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
	bool kept = mapping->mapped && mapping->pid != getpid();
	struct words words;

	/* What the device may still reach is never used for anything else. */
	if (mapping->mapped && !kept)
		kept = unmap(mapping, &words);
	if (!kept && mapping->buffer.obj)
		PyBuffer_Release(&mapping->buffer);
	if (!kept)
		Py_DECREF((PyObject *)mapping->dma);
	release(self);
	Py_DECREF(type);
}

static PyMethodDef dma_methods[] = {
	{ "close", handle_method_close, METH_NOARGS, NULL },
	{ "closed", handle_method_closed, METH_NOARGS, NULL },
	{ "ioas", dma_ioas, METH_NOARGS, NULL },
	{ "set_width", dma_set_width, METH_VARARGS, NULL },
	{ "reserve", dma_reserve, METH_VARARGS, NULL },
	{ "unmap_unknown", dma_unmap_unknown, METH_NOARGS, NULL },
	{ "map", dma_map, METH_VARARGS, NULL },
	{ "unmap", dma_unmap, METH_VARARGS, NULL },
	{ "alloc", dma_alloc, METH_VARARGS, NULL },
	{ "revoke", dma_revoke, METH_O, NULL },
	{ 0 }
};

static PyType_Slot dma_slots[] = {
	{ Py_tp_methods, dma_methods },
	{ Py_tp_dealloc, handle_dealloc },
	{ 0 }
};

PyType_Spec dma_spec = {
	.name = "vfio_dmabuf._native.Dma",
	.basicsize = sizeof(struct handle),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
	.slots = dma_slots,
};

static PyMethodDef mapping_methods[] = {
	{ "iova", mapping_iova, METH_NOARGS, NULL },
	{ "mapped", mapping_mapped, METH_NOARGS, NULL },
	{ "unmap", mapping_unmap, METH_NOARGS, NULL },
	{ 0 }
};

static PyType_Slot mapping_slots[] = {
	{ Py_tp_methods, mapping_methods },
	{ Py_tp_dealloc, mapping_dealloc },
	{ 0 }
};

PyType_Spec dma_mapping_spec = {
	.name = "vfio_dmabuf._native.DmaMapping",
	.basicsize = sizeof(struct dma_mapping),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
	.slots = mapping_slots,
};
