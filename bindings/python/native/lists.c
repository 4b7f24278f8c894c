// SPDX-License-Identifier: MIT
/*
 * Lists of the broker, as lists of tuples.
 *
 * The library calls back without the interpreter's lock.  So the callbacks copy the
 * items and their texts, and the tuples are made afterwards.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "client.h"

struct item {
	union {
		struct vdb_slice_info slice;
		struct vdb_lease_info lease;
		struct vdb_device_info device;
		struct vdb_account_info account;
	};
	char *texts[3];
};

struct list {
	struct item *items;
	size_t nr, room;
	bool no_memory;
};

/* A new item, with copies of up to three texts; NULL: no memory. */
static struct item *add(struct list *list, const char *first, const char *second, const char *third)
{
	const char *texts[] = { first, second, third };
	struct item *item;

	if (list->nr == list->room) {
		size_t room = list->room ? 2 * list->room : 16;
		struct item *items = realloc(list->items, room * sizeof(*items));

		if (!items)
			goto no_memory;
		list->items = items;
		list->room = room;
	}
	item = &list->items[list->nr++];
	memset(item, 0, sizeof(*item));
	for (int i = 0; i < 3; i++) {
		if (!texts[i])
			continue;
		item->texts[i] = strdup(texts[i]);
		if (!item->texts[i])
			goto no_memory;
	}
	return item;

no_memory:
	list->no_memory = true;
	return NULL;
}

static bool add_slice(const struct vdb_slice_info *info, void *list)
{
	struct item *item = add(list, info->name, info->bdf, NULL);

	if (item)
		item->slice = *info;
	return item;
}

static bool add_lease(const struct vdb_lease_info *info, void *list)
{
	struct item *item = add(list, info->name, info->bdf, info->client);

	if (item)
		item->lease = *info;
	return item;
}

static bool add_device(const struct vdb_device_info *info, void *list)
{
	struct item *item = add(list, info->name, info->bdf, info->reason);

	if (item)
		item->device = *info;
	return item;
}

static bool add_account(const struct vdb_account_info *info, void *list)
{
	struct item *item = add(list, NULL, NULL, NULL);

	if (item)
		item->account = *info;
	return item;
}

static PyObject *slice_tuple(const struct item *item)
{
	const struct vdb_slice_info *info = &item->slice;

	return Py_BuildValue("NNIINKKIIIIiKN", text_of(item->texts[0]), text_of(item->texts[1]),
			     info->bar, info->flags, PyBool_FromLong(info->exclusive),
			     (unsigned long long)info->offset, (unsigned long long)info->length,
			     info->count, info->free, info->waiting, info->max_seconds, (int)info->device,
			     (unsigned long long)info->memory, PyBool_FromLong(info->interrupt));
}

static PyObject *lease_tuple(const struct item *item)
{
	const struct vdb_lease_info *info = &item->lease;

	return Py_BuildValue("KNNNIIKKIIIIIiiiKKN", (unsigned long long)info->id, text_of(item->texts[0]),
			     text_of(item->texts[1]), text_of(item->texts[2]), info->bar, info->flags,
			     (unsigned long long)info->offset, (unsigned long long)info->length,
			     info->index, info->seconds, info->pid, info->uid, info->gid,
			     (int)info->state, (int)info->phase, (int)info->end,
			     (unsigned long long)info->memory, (unsigned long long)info->iova,
			     PyBool_FromLong(info->interrupt));
}

static PyObject *device_tuple(const struct item *item)
{
	const struct vdb_device_info *info = &item->device;

	return Py_BuildValue("NNiNIIN", text_of(item->texts[0]), text_of(item->texts[1]),
			     (int)info->phase, PyBool_FromLong(info->suspended), info->leases,
			     info->waiting, text_of(item->texts[2]));
}

static PyObject *account_tuple(const struct item *item)
{
	const struct vdb_account_info *info = &item->account;

	return Py_BuildValue("K(III)(III)", (unsigned long long)info->user,
			     info->clients.used, info->clients.kept, info->clients.limit,
			     info->leases.used, info->leases.kept, info->leases.limit);
}

/* Makes a list of what was copied, and frees that.  NULL: an exception is raised. */
static PyObject *convert(struct list *list, PyObject *(*convert_item)(const struct item *item), bool wanted)
{
	PyObject *result = wanted ? PyList_New(list->nr) : NULL;

	for (size_t i = 0; i < list->nr; i++) {
		PyObject *value = result ? convert_item(&list->items[i]) : NULL;

		if (result && (!value || PyList_SetItem(result, i, value)))
			Py_CLEAR(result);
		for (int text = 0; text < 3; text++)
			free(list->items[i].texts[text]);
	}
	free(list->items);
	return result;
}

#define DEFINE_LIST(name, add_item, convert_item)			\
PyObject *client_##name(PyObject *self, PyObject *unused)		\
{									\
	struct vdb_client *client = handle_enter((struct handle *)self); \
	struct list list = { 0 };					\
	struct words words;						\
	int ret, error;							\
									\
	(void)unused;							\
	if (!client)							\
		return NULL;						\
	WITHOUT_LOCK(error, ret = vdb_client_##name(client, add_item, &list)); \
	client_leave(self, client, &words);				\
	if (list.no_memory)						\
		PyErr_NoMemory();					\
	else if (ret)							\
		client_raise(self, #name, error, &words);		\
	return convert(&list, convert_item, !ret && !list.no_memory);	\
}

DEFINE_LIST(slices, add_slice, slice_tuple)
DEFINE_LIST(leases, add_lease, lease_tuple)
DEFINE_LIST(devices, add_device, device_tuple)
DEFINE_LIST(accounts, add_account, account_tuple)
