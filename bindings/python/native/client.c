// SPDX-License-Identifier: MIT
/* A client of the broker. */
#include <errno.h>
#include <stdio.h>

#include "client.h"

static void close_client(void *client)
{
	vdb_client_close(client);
}

PyObject *connect_client(PyObject *module, PyObject *args)
{
	const struct state *state = state_of_module(module);
	char why[VDB_ERROR_SIZE] = "";
	struct vdb_client *client;
	const char *path;
	PyObject *handle;
	int timeout, error;

	if (!PyArg_ParseTuple(args, "zi:connect", &path, &timeout))
		return NULL;
	WITHOUT_LOCK(error, client = vdb_client_connect(path, timeout, why));
	if (!client)
		return raise_error(state, "connect", error, why);
	handle = handle_new(state->client, client, -1, close_client);
	if (!handle)
		close_client(client);
	return handle;
}

void client_leave(PyObject *self, struct vdb_client *client, struct words *words)
{
	snprintf(words->text, sizeof(words->text), "%s", vdb_client_error(client));
	handle_leave((struct handle *)self);
}

PyObject *client_raise(PyObject *self, const char *what, int error, const struct words *words)
{
	return raise_error(state_of(self), what, error, words->text);
}

static PyObject *client_fileno(PyObject *self, PyObject *unused)
{
	struct vdb_client *client = handle_enter((struct handle *)self);
	int fd;

	(void)unused;
	if (!client)
		return NULL;
	fd = vdb_client_fd(client);
	handle_leave((struct handle *)self);
	return PyLong_FromLong(fd);
}

static PyObject *client_set_timeout(PyObject *self, PyObject *args)
{
	struct vdb_client *client;
	int timeout;

	if (!PyArg_ParseTuple(args, "i:set_timeout", &timeout))
		return NULL;
	client = handle_enter((struct handle *)self);
	if (!client)
		return NULL;
	vdb_client_set_timeout(client, timeout);
	handle_leave((struct handle *)self);
	Py_RETURN_NONE;
}

static PyObject *client_acquire_start(PyObject *self, PyObject *args)
{
	unsigned int index, flags, seconds, wait;
	struct vdb_client *client;
	struct words words;
	uint64_t request;
	const char *name;
	int ret, error;

	if (!PyArg_ParseTuple(args, "sO&O&O&O&:acquire_start", &name, number_u32, &index, number_u32, &flags,
			      number_u32, &seconds, number_u32, &wait))
		return NULL;
	client = handle_enter((struct handle *)self);
	if (!client)
		return NULL;
	WITHOUT_LOCK(error, ret = vdb_client_acquire_start(client, name, index, flags, seconds, wait, &request));
	client_leave(self, client, &words);
	if (ret)
		return client_raise(self, "acquire", error, &words);
	return PyLong_FromUnsignedLongLong(request);
}

/* A call with the number of a request or lease: 0, or an exception is raised. */
static PyObject *call_with_number(PyObject *self, PyObject *arg, const char *what,
				  int (*call)(struct vdb_client *client, uint64_t number))
{
	uint64_t number = PyLong_AsUnsignedLongLong(arg);
	struct vdb_client *client;
	struct words words;
	int ret, error;

	if (PyErr_Occurred())
		return NULL;
	client = handle_enter((struct handle *)self);
	if (!client)
		return NULL;
	WITHOUT_LOCK(error, ret = call(client, number));
	client_leave(self, client, &words);
	if (ret)
		return client_raise(self, what, error, &words);
	Py_RETURN_NONE;
}

static PyObject *client_acquire_cancel(PyObject *self, PyObject *arg)
{
	return call_with_number(self, arg, "cancel", vdb_client_acquire_cancel);
}

static PyObject *client_release(PyObject *self, PyObject *arg)
{
	return call_with_number(self, arg, "release", vdb_client_release);
}

static PyObject *client_revoke(PyObject *self, PyObject *arg)
{
	return call_with_number(self, arg, "revoke_lease", vdb_client_revoke);
}

static PyObject *client_renew(PyObject *self, PyObject *args)
{
	struct vdb_client *client;
	unsigned int seconds;
	struct words words;
	uint64_t lease;
	int64_t granted;
	int error;

	if (!PyArg_ParseTuple(args, "O&O&:renew", number_u64, &lease, number_u32, &seconds))
		return NULL;
	client = handle_enter((struct handle *)self);
	if (!client)
		return NULL;
	WITHOUT_LOCK(error, granted = vdb_client_renew(client, lease, seconds));
	client_leave(self, client, &words);
	if (granted < 0)
		return client_raise(self, "renew", error, &words);
	return PyLong_FromLongLong(granted);
}

static PyObject *call_alone(PyObject *self, PyObject *unused, const char *what,
			    int (*call)(struct vdb_client *client))
{
	struct vdb_client *client = handle_enter((struct handle *)self);
	struct words words;
	int ret, error;

	(void)unused;
	if (!client)
		return NULL;
	WITHOUT_LOCK(error, ret = call(client));
	client_leave(self, client, &words);
	if (ret)
		return client_raise(self, what, error, &words);
	Py_RETURN_NONE;
}

static PyObject *client_reload(PyObject *self, PyObject *unused)
{
	return call_alone(self, unused, "reload", vdb_client_reload);
}

static PyObject *client_next(PyObject *self, PyObject *unused)
{
	struct vdb_client *client = handle_enter((struct handle *)self);
	PyObject *slice, *memory;
	struct vdb_event event;
	struct words words;
	int ret, error;

	(void)unused;
	if (!client)
		return NULL;
	WITHOUT_LOCK(error, ret = vdb_client_next(client, &event));
	client_leave(self, client, &words);
	if (ret < 0)
		return client_raise(self, "events", error, &words);
	if (!ret)
		Py_RETURN_NONE;
	slice = event.slice ? slice_new(state_of(self), event.slice) : Py_NewRef(Py_None);
	memory = event.memory ? slice_new(state_of(self), event.memory) : Py_NewRef(Py_None);
	return Py_BuildValue("iiKKiiNIINNi", (int)event.type, event.error,
			     (unsigned long long)event.request, (unsigned long long)event.lease,
			     (int)event.state, (int)event.end, text_of(words.text),
			     event.index, event.seconds, slice, memory, event.interrupt);
}

static PyObject *client_watch(PyObject *self, PyObject *unused)
{
	return call_alone(self, unused, "watch", vdb_client_watch);
}

static PyObject *client_news(PyObject *self, PyObject *unused)
{
	struct vdb_client *client = handle_enter((struct handle *)self);
	struct vdb_news news;
	struct words words;
	int ret, error;

	(void)unused;
	if (!client)
		return NULL;
	WITHOUT_LOCK(error, ret = vdb_client_news(client, &news));
	client_leave(self, client, &words);
	if (ret < 0)
		return client_raise(self, "news", error, &words);
	if (!ret)
		Py_RETURN_NONE;
	return Py_BuildValue("iiKKKKKIIIIIIINNNNN", (int)news.type, (int)news.end, (unsigned long long)news.time,
			     (unsigned long long)news.missed, (unsigned long long)news.lease,
			     (unsigned long long)news.offset, (unsigned long long)news.length,
			     news.bar, news.flags, news.index, news.seconds, news.pid, news.uid, news.gid,
			     text_of(news.name), text_of(news.bdf), text_of(news.client), text_of(news.reason),
			     PyBool_FromLong(news.interrupt));
}

static PyObject *total_tuple(const struct vdb_total *total)
{
	return Py_BuildValue("IIIII", total->used, total->limit, total->pool_used, total->pool,
			     total->per_user);
}

static PyObject *client_status(PyObject *self, PyObject *unused)
{
	struct vdb_client *client = handle_enter((struct handle *)self);
	struct vdb_status status;
	struct words words;
	int ret, error;

	(void)unused;
	if (!client)
		return NULL;
	WITHOUT_LOCK(error, ret = vdb_client_status(client, &status));
	client_leave(self, client, &words);
	if (ret)
		return client_raise(self, "status", error, &words);
	return Py_BuildValue("NNINNIIN", PyBool_FromLong(status.grants), PyBool_FromLong(status.admin),
			     status.leases_per_client, total_tuple(&status.clients),
			     total_tuple(&status.leases), status.devices, status.devices_open,
			     text_of(status.problem));
}

static PyMethodDef methods[] = {
	{ "close", handle_method_close, METH_NOARGS, NULL },
	{ "closed", handle_method_closed, METH_NOARGS, NULL },
	{ "fileno", client_fileno, METH_NOARGS, NULL },
	{ "set_timeout", client_set_timeout, METH_VARARGS, NULL },
	{ "acquire_start", client_acquire_start, METH_VARARGS, NULL },
	{ "acquire_cancel", client_acquire_cancel, METH_O, NULL },
	{ "release", client_release, METH_O, NULL },
	{ "revoke", client_revoke, METH_O, NULL },
	{ "renew", client_renew, METH_VARARGS, NULL },
	{ "reload", client_reload, METH_NOARGS, NULL },
	{ "next", client_next, METH_NOARGS, NULL },
	{ "watch", client_watch, METH_NOARGS, NULL },
	{ "news", client_news, METH_NOARGS, NULL },
	{ "status", client_status, METH_NOARGS, NULL },
	{ "slices", client_slices, METH_NOARGS, NULL },
	{ "leases", client_leases, METH_NOARGS, NULL },
	{ "devices", client_devices, METH_NOARGS, NULL },
	{ "accounts", client_accounts, METH_NOARGS, NULL },
	{ 0 }
};

static PyType_Slot slots[] = {
	{ Py_tp_methods, methods },
	{ Py_tp_dealloc, handle_dealloc },
	{ 0 }
};

PyType_Spec client_spec = {
	.name = "vfio_dmabuf._native.Client",
	.basicsize = sizeof(struct handle),
	.flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION | Py_TPFLAGS_IMMUTABLETYPE,
	.slots = slots,
};
