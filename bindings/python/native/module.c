// SPDX-License-Identifier: MIT
/* The module: its types, functions, constants and errors. */
#include <string.h>

#include "native.h"

struct state *state_of_module(PyObject *module)
{
	return PyModule_GetState(module);
}

struct state *state_of(PyObject *object)
{
	return PyType_GetModuleState(Py_TYPE(object));
}

int number_u64(PyObject *number, void *value)
{
	PyObject *index = PyNumber_Index(number);

	if (!index)
		return 0;
	*(uint64_t *)value = PyLong_AsUnsignedLongLong(index);
	Py_DECREF(index);
	return !PyErr_Occurred();
}

int number_u32(PyObject *number, void *value)
{
	uint64_t wide;

	if (!number_u64(number, &wide))
		return 0;
	if (wide > UINT32_MAX) {
		PyErr_Format(PyExc_OverflowError, "%S is greater than %lu", number, (unsigned long)UINT32_MAX);
		return 0;
	}
	*(uint32_t *)value = wide;
	return 1;
}

PyObject *text_of(const char *text)
{
	return PyUnicode_DecodeUTF8(text, strlen(text), "backslashreplace");
}

PyObject *raise_error(const struct state *state, const char *what, int error, const char *text)
{
	PyObject *words = text_of(text);
	PyObject *exception = words ? PyObject_CallFunction(state->make_error, "isO", error, what, words) : NULL;

	Py_XDECREF(words);
	if (exception) {
		PyErr_SetObject((PyObject *)Py_TYPE(exception), exception);
		Py_DECREF(exception);
	}
	return NULL;
}

static PyObject *parse_bdf(PyObject *module, PyObject *args)
{
	char bdf[VDB_BDF_SIZE];
	const char *text;

	(void)module;
	if (!PyArg_ParseTuple(args, "s:parse_bdf", &text))
		return NULL;
	if (!vdb_parse_bdf(text, bdf))
		return PyErr_Format(PyExc_ValueError, "\"%s\" is not the name of a PCI function, such as 0000:01:00.0",
				    text);
	return PyUnicode_FromString(bdf);
}

#define CONSTANT(name)	{ #name, VDB_##name }

/* <vfio-dmabuf.h> describes these. */
static const struct {
	const char *name;
	long long value;
} constants[] = {
	CONSTANT(BARS),
	CONSTANT(ANY_INDEX),
	CONSTANT(CAP_EXPORT), CONSTANT(CAP_WC), CONSTANT(CAP_EVENTS), CONSTANT(CAP_LIST),
	CONSTANT(FLAG_READ_ONLY), CONSTANT(FLAG_WC), CONSTANT(FLAG_BAR_MAPPING),
	CONSTANT(FLAG_HUGE), CONSTANT(FLAG_DMA_READ_ONLY),
	CONSTANT(KIND_REGISTERS), CONSTANT(KIND_MEMORY),
	CONSTANT(STATE_LIVE), CONSTANT(STATE_SUSPENDED), CONSTANT(STATE_REVOKED),
	CONSTANT(END_NONE), CONSTANT(END_RELEASED), CONSTANT(END_EXPIRED), CONSTANT(END_REVOKED),
	CONSTANT(END_DEVICE), CONSTANT(END_CLIENT), CONSTANT(END_UNSENT), CONSTANT(END_EXPORT),
	CONSTANT(END_BUSY), CONSTANT(END_TIMEOUT),
	CONSTANT(EVENT_STATE), CONSTANT(EVENT_GRANTED), CONSTANT(EVENT_REFUSED),
	CONSTANT(DEVICE_ABSENT), CONSTANT(DEVICE_OPENING), CONSTANT(DEVICE_SETTLING),
	CONSTANT(DEVICE_OPEN), CONSTANT(DEVICE_CLOSING),
	CONSTANT(LEASE_WAITING), CONSTANT(LEASE_EXPORTING), CONSTANT(LEASE_GRANTED),
	CONSTANT(LEASE_ENDING), CONSTANT(LEASE_ENDED),
	CONSTANT(NEWS_GRANTED), CONSTANT(NEWS_RENEWED), CONSTANT(NEWS_ENDED),
	CONSTANT(NEWS_DEVICE_OPEN), CONSTANT(NEWS_DEVICE_LOST), CONSTANT(NEWS_DEVICE_SUSPENDED),
	CONSTANT(NEWS_DEVICE_RESUMED), CONSTANT(NEWS_RESTARTED), CONSTANT(NEWS_MISSED),
};

static int add_constants(PyObject *module)
{
	for (size_t i = 0; i < sizeof(constants) / sizeof(constants[0]); i++) {
		PyObject *value = PyLong_FromLongLong(constants[i].value);
		int ret = value ? PyModule_AddObjectRef(module, constants[i].name, value) : -1;

		Py_XDECREF(value);
		if (ret)
			return -1;
	}
	return PyModule_AddStringConstant(module, "BROKER_SOCKET", VDB_BROKER_SOCKET);
}

static int add_type(PyObject *module, PyType_Spec *spec, PyTypeObject **type)
{
	*type = (PyTypeObject *)PyType_FromModuleAndSpec(module, spec, NULL);
	return *type ? PyModule_AddType(module, *type) : -1;
}

static int exec(PyObject *module)
{
	struct state *state = state_of_module(module);
	PyObject *errors = PyImport_ImportModule("vfio_dmabuf._errors");

	if (!errors)
		return -1;
	state->make_error = PyObject_GetAttrString(errors, "make");
	Py_DECREF(errors);
	if (!state->make_error)
		return -1;
	return add_type(module, &device_spec, &state->device) ||
	       add_type(module, &slice_spec, &state->slice) ||
	       add_type(module, &mapping_spec, &state->mapping) ||
	       add_type(module, &client_spec, &state->client) ||
	       add_type(module, &dma_spec, &state->dma) ||
	       add_type(module, &dma_mapping_spec, &state->dma_mapping) ||
	       add_constants(module) ? -1 : 0;
}

static int traverse(PyObject *module, visitproc visit, void *arg)
{
	struct state *state = state_of_module(module);

	Py_VISIT(state->make_error);
	Py_VISIT(state->device);
	Py_VISIT(state->slice);
	Py_VISIT(state->mapping);
	Py_VISIT(state->client);
	Py_VISIT(state->dma);
	Py_VISIT(state->dma_mapping);
	return 0;
}

static int clear(PyObject *module)
{
	struct state *state = state_of_module(module);

	Py_CLEAR(state->make_error);
	Py_CLEAR(state->device);
	Py_CLEAR(state->slice);
	Py_CLEAR(state->mapping);
	Py_CLEAR(state->client);
	Py_CLEAR(state->dma);
	Py_CLEAR(state->dma_mapping);
	return 0;
}

static void release(void *module)
{
	clear(module);
}

static PyMethodDef functions[] = {
	{ "parse_bdf", parse_bdf, METH_VARARGS, NULL },
	{ "open_device", open_device, METH_VARARGS, NULL },
	{ "device_from_fd", device_from_fd, METH_O, NULL },
	{ "event_read", event_read, METH_O, NULL },
	{ "slice_from_fd", slice_from_fd, METH_VARARGS, NULL },
	{ "slice_from_memfd", slice_from_memfd, METH_VARARGS, NULL },
	{ "slice_receive", slice_receive, METH_O, NULL },
	{ "dma_from_device", dma_from_device, METH_O, NULL },
	{ "dma_from_fd", dma_from_fd, METH_VARARGS, NULL },
	{ "connect", connect_client, METH_VARARGS, NULL },
	/* For tests without a device: a mapping of any file. */
	{ "_map_fd", map_fd, METH_VARARGS, NULL },
	{ 0 }
};

static PyModuleDef_Slot slots[] = {
	{ Py_mod_exec, exec },
	{ 0 }
};

static struct PyModuleDef definition = {
	PyModuleDef_HEAD_INIT,
	.m_name = "vfio_dmabuf._native",
	.m_doc = "libvfio-dmabuf for vfio_dmabuf; not to be used directly.",
	.m_size = sizeof(struct state),
	.m_methods = functions,
	.m_slots = slots,
	.m_traverse = traverse,
	.m_clear = clear,
	.m_free = release,
};

PyMODINIT_FUNC PyInit__native(void);
PyMODINIT_FUNC PyInit__native(void)
{
	return PyModuleDef_Init(&definition);
}
