// SPDX-License-Identifier: MIT
/*
 * A mapping of a slice.
 *
 * It does not have the buffer protocol.  Code that reads a memoryview does not know the
 * guard, and SIGBUS would end the process when the slice is revoked.
 */
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

#include "native.h"

struct mapping {
	PyObject_HEAD
	char *address;		/* NULL: unmapped */
	size_t length;
	int prot;
	bool closed;
	/* Accesses that are running in other threads; the last one unmaps. */
	unsigned int users;
};

PyObject *mapping_new(const struct state *state, void *address, size_t length, int prot)
{
	PyTypeObject *type = state->mapping;
	allocfunc alloc = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
	struct mapping *mapping = (struct mapping *)alloc(type, 0);

	if (!mapping) {
		munmap(address, length);
		return NULL;
	}
	mapping->address = address;
	mapping->length = length;
	mapping->prot = prot;
	return (PyObject *)mapping;
}

static void unmap_if_unused(struct mapping *mapping)
{
	char *address = mapping->address;

	if (!mapping->closed || mapping->users || !address)
		return;
	mapping->address = NULL;
	/* Unmapping waits for other threads that map, and for their faults. */
	Py_BEGIN_ALLOW_THREADS
	munmap(address, mapping->length);
	Py_END_ALLOW_THREADS
}

static bool check_open(const struct mapping *mapping)
{
	if (mapping->closed)
		PyErr_SetString(PyExc_ValueError, "the mapping is closed");
	return !mapping->closed;
}

/* A number of bytes or an offset; false: an exception is raised. */
static bool get_offset(PyObject *number, size_t *offset)
{
	PyObject *index = PyNumber_Index(number);

	if (!index)
		return false;
	*offset = PyLong_AsSize_t(index);
	if (*offset == (size_t)-1 && PyErr_Occurred()) {
		if (PyErr_ExceptionMatches(PyExc_OverflowError))
			PyErr_Format(PyExc_IndexError, "%S is outside the mapping", index);
		Py_DECREF(index);
		return false;
	}
	Py_DECREF(index);
	return true;
}

/* The address of the access.  Keeps the mapping until end().  NULL: an exception is raised. */
static char *begin(struct mapping *mapping, size_t offset, size_t length, size_t width, int prot)
{
	if (!check_open(mapping))
		return NULL;
	if (offset > mapping->length || length > mapping->length - offset) {
		PyErr_Format(PyExc_IndexError, "%zu bytes at offset %zu are outside the mapping, which has %zu",
			     length, offset, mapping->length);
		return NULL;
	}
	if (offset % width) {
		PyErr_Format(PyExc_ValueError, "offset %zu is not a multiple of %zu, the size of the register",
			     offset, width);
		return NULL;
	}
	if (!(mapping->prot & prot)) {
		raise_error(state_of((PyObject *)mapping), prot == PROT_WRITE ? "write" : "read", EACCES, "");
		return NULL;
	}
	mapping->users++;
	return mapping->address + offset;
}

static void end(struct mapping *mapping)
{
	mapping->users--;
	unmap_if_unused(mapping);
}

static int try_read(const char *address, unsigned int width, uint64_t *value)
{
	uint8_t byte;
	uint16_t word;
	uint32_t dword;
	int ret;

	switch (width) {
	case 1:
		ret = vdb_try_read8(address, &byte);
		*value = ret ? 0 : byte;
		return ret;
	case 2:
		ret = vdb_try_read16(address, &word);
		*value = ret ? 0 : word;
		return ret;
	case 4:
		ret = vdb_try_read32(address, &dword);
		*value = ret ? 0 : dword;
		return ret;
	default:
		return vdb_try_read64(address, value);
	}
}

static int try_write(char *address, unsigned int width, uint64_t value)
{
	switch (width) {
	case 1:	return vdb_try_write8(address, value);
	case 2:	return vdb_try_write16(address, value);
	case 4:	return vdb_try_write32(address, value);
	default: return vdb_try_write64(address, value);
	}
}

static PyObject *read_register(PyObject *self, PyObject *arg, unsigned int width)
{
	struct mapping *mapping = (struct mapping *)self;
	struct guard guard;
	uint64_t value = 0;
	size_t offset;
	char *address;
	int ret, error;

	if (!get_offset(arg, &offset))
		return NULL;
	address = begin(mapping, offset, width, width, PROT_READ);
	if (!address)
		return NULL;
	guard_begin(&guard);
	WITHOUT_LOCK(error, ret = try_read(address, width, &value));
	guard_end(&guard);
	end(mapping);
	if (ret)
		return raise_error(state_of(self), "read", error, "");
	return PyLong_FromUnsignedLongLong(value);
}

/* False: an exception is raised. */
static bool get_value(PyObject *number, unsigned int width, uint64_t *value)
{
	PyObject *index = PyNumber_Index(number);

	if (!index)
		return false;
	*value = PyLong_AsUnsignedLongLong(index);
	if ((*value == (uint64_t)-1 && PyErr_Occurred()) || (width < 8 && *value >> (8 * width))) {
		if (!PyErr_Occurred() || PyErr_ExceptionMatches(PyExc_OverflowError))
			PyErr_Format(PyExc_OverflowError, "%S does not fit in a register of %u bits",
				     index, 8 * width);
		Py_DECREF(index);
		return false;
	}
	Py_DECREF(index);
	return true;
}

static PyObject *write_register(PyObject *self, PyObject *const *args, Py_ssize_t nr, unsigned int width)
{
	struct mapping *mapping = (struct mapping *)self;
	struct guard guard;
	uint64_t value;
	size_t offset;
	char *address;
	int ret, error;

	if (nr != 2) {
		PyErr_Format(PyExc_TypeError, "expected offset and value, got %zd arguments", nr);
		return NULL;
	}
	if (!get_offset(args[0], &offset) || !get_value(args[1], width, &value))
		return NULL;
	address = begin(mapping, offset, width, width, PROT_WRITE);
	if (!address)
		return NULL;
	guard_begin(&guard);
	WITHOUT_LOCK(error, ret = try_write(address, width, value));
	guard_end(&guard);
	end(mapping);
	if (ret)
		return raise_error(state_of(self), "write", error, "");
	Py_RETURN_NONE;
}

#define DEFINE_ACCESS(bits)						\
static PyObject *mapping_read##bits(PyObject *self, PyObject *arg)	\
{									\
	return read_register(self, arg, bits / 8);			\
}									\
									\
static PyObject *mapping_write##bits(PyObject *self, PyObject *const *args, Py_ssize_t nr) \
{									\
	return write_register(self, args, nr, bits / 8);		\
}

DEFINE_ACCESS(8)
DEFINE_ACCESS(16)
DEFINE_ACCESS(32)
DEFINE_ACCESS(64)

static int copy_by(unsigned int width, char *address, char *memory, size_t length, bool write)
{
	/* An address that is not aligned is no mistake if there is nothing to copy. */
	if (!length)
		return 0;
	return write ? vdb_try_copy_to(address, memory, length, width, NULL) :
	       vdb_try_copy_from(memory, address, length, width, NULL);
}

/* Eight bytes at a time where the address is aligned, otherwise one. */
static int copy_memory(char *address, char *memory, size_t length, bool write)
{
	size_t head = -(uintptr_t)address % 8, body;

	if (head > length)
		head = length;
	body = (length - head) & ~(size_t)7;
	return copy_by(1, address, memory, head, write) ||
	       copy_by(8, address + head, memory + head, body, write) ||
	       copy_by(1, address + head + body, memory + head + body, length - head - body, write) ? -1 : 0;
}

/*
 * Copies in one direction or the other; -1: an exception is raised.  A width of 0 is that of
 * memory, of which any will do.
 */
static int copy(PyObject *self, size_t offset, char *memory, size_t length, bool write, unsigned int width)
{
	struct mapping *mapping = (struct mapping *)self;
	struct guard guard;
	int ret, error;
	char *address;

	if (width && length % width) {
		PyErr_Format(PyExc_ValueError, "length %zu is not a multiple of %u, the width", length, width);
		return -1;
	}
	address = begin(mapping, offset, length, width ?: 1, write ? PROT_WRITE : PROT_READ);
	if (!address)
		return -1;
	guard_begin(&guard);
	WITHOUT_LOCK(error, ret = width ? copy_by(width, address, memory, length, write) :
				  copy_memory(address, memory, length, write));
	guard_end(&guard);
	end(mapping);
	if (ret)
		raise_error(state_of(self), write ? "write" : "read", error, "");
	return ret;
}

/* The third argument, which may be missing: 0.  False: an exception is raised. */
static bool get_width(PyObject *const *args, Py_ssize_t nr, bool write, unsigned int *width)
{
	size_t number;

	*width = 0;
	if (nr < 3)
		return true;
	if (!get_offset(args[2], &number))
		return false;
	if (number != 1 && number != 2 && number != 4 && number != 8 && !(write && number == VDB_BLOCK)) {
		PyErr_Format(PyExc_ValueError, "width is %zu; it must be 1, 2, 4%s", number,
			     write ? ", 8 or 64" : " or 8");
		return false;
	}
	*width = number;
	return true;
}

static PyObject *mapping_read(PyObject *self, PyObject *const *args, Py_ssize_t nr)
{
	struct mapping *mapping = (struct mapping *)self;
	size_t offset, length;
	unsigned int width;
	PyObject *bytes;

	if (nr != 2 && nr != 3) {
		PyErr_Format(PyExc_TypeError, "expected offset, length and perhaps width, got %zd arguments", nr);
		return NULL;
	}
	if (!get_offset(args[0], &offset) || !get_offset(args[1], &length) ||
	    !get_width(args, nr, false, &width) || !check_open(mapping))
		return NULL;
	/* Checked here as well, before memory is allocated for it. */
	if (offset > mapping->length || length > mapping->length - offset) {
		PyErr_Format(PyExc_IndexError, "%zu bytes at offset %zu are outside the mapping, which has %zu",
			     length, offset, mapping->length);
		return NULL;
	}
	bytes = PyBytes_FromStringAndSize(NULL, length);
	if (bytes && copy(self, offset, PyBytes_AsString(bytes), length, false, width))
		Py_CLEAR(bytes);
	return bytes;
}

static PyObject *copy_buffer(PyObject *self, PyObject *const *args, Py_ssize_t nr, bool write)
{
	unsigned int width;
	Py_buffer buffer;
	size_t offset;
	int ret;

	if (nr != 2 && nr != 3) {
		PyErr_Format(PyExc_TypeError, "expected offset, buffer and perhaps width, got %zd arguments", nr);
		return NULL;
	}
	if (!get_offset(args[0], &offset) || !get_width(args, nr, write, &width) ||
	    PyObject_GetBuffer(args[1], &buffer, write ? PyBUF_SIMPLE : PyBUF_WRITABLE))
		return NULL;
	ret = copy(self, offset, buffer.buf, buffer.len, write, width);
	PyBuffer_Release(&buffer);
	if (ret)
		return NULL;
	Py_RETURN_NONE;
}

static PyObject *mapping_readinto(PyObject *self, PyObject *const *args, Py_ssize_t nr)
{
	return copy_buffer(self, args, nr, false);
}

static PyObject *mapping_write(PyObject *self, PyObject *const *args, Py_ssize_t nr)
{
	return copy_buffer(self, args, nr, true);
}

static PyObject *mapping_flush(PyObject *self, PyObject *unused)
{
	(void)unused;
	if (!check_open((struct mapping *)self))
		return NULL;
	vdb_wc_flush();
	Py_RETURN_NONE;
}

static PyObject *mapping_close(PyObject *self, PyObject *unused)
{
	struct mapping *mapping = (struct mapping *)self;

	(void)unused;
	mapping->closed = true;
	unmap_if_unused(mapping);
	Py_RETURN_NONE;
}

static PyObject *mapping_enter(PyObject *self, PyObject *unused)
{
	(void)unused;
	if (!check_open((struct mapping *)self))
		return NULL;
	return Py_NewRef(self);
}

static PyObject *mapping_exit(PyObject *self, PyObject *const *args, Py_ssize_t nr)
{
	(void)args;
	(void)nr;
	return mapping_close(self, NULL);
}

static void mapping_dealloc(PyObject *self)
{
	PyTypeObject *type = Py_TYPE(self);
	freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);

	/* An access holds a reference, so no access is running. */
	((struct mapping *)self)->closed = true;
	unmap_if_unused((struct mapping *)self);
	release(self);
	Py_DECREF(type);
}

static Py_ssize_t mapping_length(PyObject *self)
{
	return ((struct mapping *)self)->length;
}

static PyObject *mapping_repr(PyObject *self)
{
	const struct mapping *mapping = (struct mapping *)self;

	return PyUnicode_FromFormat("<vfio_dmabuf.Mapping of %zu bytes%s%s>", mapping->length,
				    mapping->prot & PROT_WRITE ? "" : ", read-only",
				    mapping->closed ? ", closed" : "");
}

static PyObject *get_closed(PyObject *self, void *unused)
{
	(void)unused;
	return PyBool_FromLong(((struct mapping *)self)->closed);
}

static PyObject *get_writable(PyObject *self, void *unused)
{
	(void)unused;
	return PyBool_FromLong(((struct mapping *)self)->prot & PROT_WRITE);
}

PyObject *map_fd(PyObject *module, PyObject *args)
{
	const struct state *state = state_of_module(module);
	int fd, writable, prot, error;
	Py_ssize_t length;
	void *address;

	if (!PyArg_ParseTuple(args, "inp:_map_fd", &fd, &length, &writable))
		return NULL;
	prot = PROT_READ | (writable ? PROT_WRITE : 0);
	WITHOUT_LOCK(error, address = mmap(NULL, length, prot, MAP_SHARED, fd, 0));
	if (address == MAP_FAILED)
		return raise_error(state, "map", error, "");
	return mapping_new(state, address, length, prot);
}

#define READ_DOC(bits)							\
	"read" #bits "($self, offset, /)\n--\n\n"			\
	"Read a register of " #bits " bits, in one access.\n\n"		\
	"The offset is in bytes, and a multiple of the register's size.\n" \
	"Raises UnreachableError if the slice is revoked or suspended.  While the\n" \
	"device is being reset, the call waits; other threads run meanwhile."
#define WRITE_DOC(bits)							\
	"write" #bits "($self, offset, value, /)\n--\n\n"		\
	"Write a register of " #bits " bits, in one access.\n\n"	\
	"Raises UnreachableError if the slice is revoked or suspended.  If it is\n" \
	"revoked just then, the write may or may not have reached the device."

static PyMethodDef methods[] = {
	{ "read8", mapping_read8, METH_O, READ_DOC(8) },
	{ "read16", mapping_read16, METH_O, READ_DOC(16) },
	{ "read32", mapping_read32, METH_O, READ_DOC(32) },
	{ "read64", mapping_read64, METH_O, READ_DOC(64) },
	{ "write8", (PyCFunction)(void *)mapping_write8, METH_FASTCALL, WRITE_DOC(8) },
	{ "write16", (PyCFunction)(void *)mapping_write16, METH_FASTCALL, WRITE_DOC(16) },
	{ "write32", (PyCFunction)(void *)mapping_write32, METH_FASTCALL, WRITE_DOC(32) },
	{ "write64", (PyCFunction)(void *)mapping_write64, METH_FASTCALL, WRITE_DOC(64) },
	{ "read", (PyCFunction)(void *)mapping_read, METH_FASTCALL,
	  "read($self, offset, length, width=0, /)\n--\n\n"
	  "Copy memory of the device to bytes.\n\n"
	  "width is that of each access in bytes, 1, 2, 4 or 8.  Offset and length are\n"
	  "multiples of it.  0: the accesses can have any width, so not for registers.\n"
	  "Raises UnreachableError if the slice is revoked or suspended." },
	{ "readinto", (PyCFunction)(void *)mapping_readinto, METH_FASTCALL,
	  "readinto($self, offset, buffer, width=0, /)\n--\n\n"
	  "Fill a writable buffer from memory of the device.\n\n"
	  "As read().  If it raises, a part of the buffer may be filled." },
	{ "write", (PyCFunction)(void *)mapping_write, METH_FASTCALL,
	  "write($self, offset, data, width=0, /)\n--\n\n"
	  "Copy a bytes-like object to memory of the device.\n\n"
	  "As read().  If it raises, a part may be written.  A width of 64 is for slices\n"
	  "that are write-combining: blocks that the CPU sends as one, if it can." },
	{ "flush", mapping_flush, METH_NOARGS,
	  "flush($self, /)\n--\n\n"
	  "Send what a write-combining mapping has gathered on its way to the device." },
	{ "close", mapping_close, METH_NOARGS,
	  "close($self, /)\n--\n\n"
	  "End the use of the mapping.\n\n"
	  "Later accesses raise ValueError.  Accesses that run in other threads end first;\n"
	  "the memory is unmapped after the last one.  May be called again." },
	{ "__enter__", mapping_enter, METH_NOARGS, NULL },
	{ "__exit__", (PyCFunction)(void *)mapping_exit, METH_FASTCALL, NULL },
	{ 0 }
};

static PyGetSetDef properties[] = {
	{ "closed", get_closed, NULL, "Whether close() was called.", NULL },
	{ "writable", get_writable, NULL, "Whether the write methods are allowed.", NULL },
	{ 0 }
};

static PyType_Slot slots[] = {
	{ Py_tp_doc, "A mapping of a slice; from Slice.map().\n\n"
		     "Every access is guarded: it raises an exception where a memoryview would end\n"
		     "the process with SIGBUS.  Values are in the CPU's byte order." },
	{ Py_tp_methods, methods },
	{ Py_tp_getset, properties },
	{ Py_tp_dealloc, mapping_dealloc },
	{ Py_tp_repr, mapping_repr },
	{ Py_mp_length, mapping_length },
	{ 0 }
};

PyType_Spec mapping_spec = {
	.name = "vfio_dmabuf.Mapping",
	.basicsize = sizeof(struct mapping),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
	.slots = slots,
};
