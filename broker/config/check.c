/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <linux/vfio_dmabuf.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "check.h"
#include "reader.h"

#define KEPT_FOR_ROOT	4	/* so that root can always list and revoke leases */

/* The place of the setting if it is given, else of the map. */
static const struct place *place_of(const struct node *node, const char *name)
{
	const struct node *child = tree_find(node, name);

	return child ? &child->place : node->key ? &node->key_place : &node->place;
}

void check_write(struct reader *reader, const struct node *node, void *object)
{
	struct register_write *write = object;

	/* It was read as the index of a word. */
	write->width = 8u << write->width;
	if (write->offset % (write->width / 8))
		mistake(reader->mistakes, place_of(node, "offset"),
			"offset 0x%" PRIx64 " is not aligned to the register's width; write a multiple of %u",
			write->offset, write->width / 8);
	if (write->width < 64 && write->value >> write->width)
		mistake(reader->mistakes, place_of(node, "value"),
			"value 0x%" PRIx64 " has more than %u bits; write a smaller one, or a larger width",
			write->value, write->width);
}

static void check_pages(struct reader *reader, const struct node *node, const char *name,
			uint64_t value, const char *note)
{
	uint64_t page = sysconf(_SC_PAGESIZE);
	char text[VALUE_TEXT], whole[VALUE_TEXT];

	if (value % page)
		mistake(reader->mistakes, place_of(node, name),
			"%s: 0x%" PRIx64 " is not a multiple of the page size, %s; write %s%s", name, value,
			value_size_text(page, text), value_size_text(value + page - value % page, whole), note);
}

/*
 * This does not propose a number.  A slice from the start of the page would have other
 * registers as well, which the administrator may have left out on purpose.
 */
static void check_offset(struct reader *reader, const struct node *node, uint64_t offset)
{
	uint64_t page = sysconf(_SC_PAGESIZE);
	char text[VALUE_TEXT];

	if (offset % page)
		mistake(reader->mistakes, place_of(node, "offset"),
			"offset: 0x%" PRIx64 " is not a multiple of the page size; write a multiple of %s (a slice has all registers of its pages)",
			offset, value_size_text(page, text));
}

static void take_writes(struct reader *reader, const struct node *node,
			const struct written_slice *written, struct slice *slice)
{
	const struct register_write *writes = written->on_release.items;
	const struct node *list = tree_find(node, "on_release");
	const struct node *child = list ? list->first : NULL;

	if (written->on_release.nr > MAX_REGISTERS) {
		mistake(reader->mistakes, place_of(node, "on_release"),
			"on_release has %zu registers; write at most %d", written->on_release.nr,
			MAX_REGISTERS);
		return;
	}
	for (size_t i = 0; i < written->on_release.nr; i++, child = child->next) {
		if (writes[i].offset >= slice->length)
			mistake(reader->mistakes, place_of(child, "offset"),
				"offset 0x%" PRIx64 " is not in the slice; write one below its length, 0x%" PRIx64,
				writes[i].offset, slice->length);
		slice->actions.writes[slice->actions.nr++] = writes[i];
	}
}

void check_slice(struct reader *reader, const struct node *node, void *object)
{
	static const char of_bar[] = " (a BAR smaller than that is one page)";
	struct written_slice *written = object;
	struct slice *slice = &written->slice;

	check_offset(reader, node, slice->offset);
	check_pages(reader, node, "length", slice->length, of_bar);
	check_pages(reader, node, "memory", slice->memory, "");
	if (slice->length > (VFIO_DMABUF_MAX_END - slice->offset) / slice->count)
		mistake(reader->mistakes, place_of(node, "length"),
			"offset + length * count is more than any BAR has; write smaller ones");
	take_writes(reader, node, written, slice);
}

void check_device(struct reader *reader, const struct node *node, void *object)
{
	struct written_device *device = object;
	struct written_slice *slices = device->slices.items;

	for (size_t i = 0; i < device->slices.nr; i++) {
		if (slices[i].slice.flags & SLICE_INTERRUPT &&
		    (device->driver != DRIVER_NVME || !slices[i].slice.memory))
			mistake(reader->mistakes, place_of(node, "driver"),
				"slice \"%s\" has an interrupt, but no queue pair that sends it; write driver: nvme, and memory there",
				slices[i].name);
		if (device->driver == DRIVER_NVME && slices[i].slice.memory &&
		    slices[i].slice.flags & SLICE_EXCLUSIVE)
			mistake(reader->mistakes, place_of(node, "driver"),
				"with driver nvme all leases have the doorbells in slice \"%s\"; write sharing: shared there",
				slices[i].name);
		snprintf(slices[i].slice.name, sizeof(slices[i].slice.name), "%s/%s", device->name,
			 slices[i].name);
		slices[i].slice.actions.reset = device->reset;
	}
}

void check_kept(struct reader *reader, const struct node *node, void *object)
{
	struct kept *kept = object;
	uid_t uid;

	if (read_user(reader, &node->key_place, node->key, &uid))
		kept->user = uid;
}

/* ---- the whole ---- */

static void take_kept(struct reader *reader, const struct node *node,
		      const struct written *written, struct catalogue *catalogue)
{
	const struct kept *kept = written->kept.items;
	const struct node *map = tree_find(node, "kept");
	const struct node *child = map ? map->first : NULL;
	size_t nr = written->kept.nr;
	bool root = false;

	catalogue->kept = arena_new(reader->arena, nr + 1, sizeof(*kept));
	if (!catalogue->kept)
		return;
	for (size_t i = 0; i < nr; i++, child = child->next) {
		for (size_t j = 0; j < i; j++)
			if (kept[j].user == kept[i].user)
				mistake(reader->mistakes, &child->key_place,
					"\"%.60s\" is a user that has kept places under another name; remove one",
					child->key);
		root |= !kept[i].user;
		catalogue->kept[catalogue->nr_kept++] = kept[i];
	}
	if (!root)
		catalogue->kept[catalogue->nr_kept++] =
			(struct kept){ 0, { [CLIENTS] = KEPT_FOR_ROOT, [LEASES] = KEPT_FOR_ROOT } };
}

static void check_total(struct reader *reader, const struct node *node,
			const struct catalogue *catalogue, enum resource resource, const char *name)
{
	const struct node *limits = tree_find(node, "limits");
	uint64_t sum = 0;

	for (size_t i = 0; i < catalogue->nr_kept; i++)
		sum += catalogue->kept[i].places[resource];
	if (sum > catalogue->total[resource])
		mistake(reader->mistakes, place_of(limits ? limits : node, name),
			"%s: %" PRIu64 " is less than all kept places, %" PRIu64
			" (%d are root's unless kept says otherwise);"
			" write a larger number, or keep fewer places",
			name, catalogue->total[resource], sum, KEPT_FOR_ROOT);
}

static void check_functions_differ(struct reader *reader, const struct node *devices,
				   const struct written *written)
{
	const struct written_device *device = written->devices.items;
	const struct node *child = devices ? devices->first : NULL;
	char where[PLACE_TEXT];

	for (size_t i = 0; i < written->devices.nr; i++, child = child->next) {
		const struct node *other = devices->first;

		for (size_t j = 0; j < i; j++, other = other->next)
			if (!strcmp(device[i].bdf, device[j].bdf))
				mistake(reader->mistakes, place_of(child, "function"),
					"device \"%s\" has the function of device \"%s\" at %s; name each function once",
					device[i].name, device[j].name,
					place_text(place_of(other, "function"), where));
	}
}

static void take_device(struct reader *reader, const struct written_device *written,
			struct catalogue_device *device)
{
	const struct written_slice *slices = written->slices.items;

	strcpy(device->name, written->name);
	strcpy(device->bdf, written->bdf);
	strcpy(device->vf_token, written->vf_token);
	device->patience = written->patience;
	device->driver = written->driver;
	device->slices = arena_new(reader->arena, written->slices.nr, sizeof(*device->slices));
	if (!device->slices)
		return;
	device->nr_slices = written->slices.nr;
	for (size_t i = 0; i < device->nr_slices; i++)
		device->slices[i] = slices[i].slice;
}

static void take_devices(struct reader *reader, const struct written *written,
			 struct catalogue *catalogue)
{
	const struct written_device *devices = written->devices.items;
	size_t nr = written->devices.nr;

	catalogue->devices = arena_new(reader->arena, nr, sizeof(*catalogue->devices));
	if (!catalogue->devices)
		return;
	catalogue->nr_devices = nr;
	for (size_t i = 0; i < nr; i++)
		take_device(reader, &devices[i], &catalogue->devices[i]);
}

/* Otherwise no client can ever have it. */
static void check_memory(struct reader *reader, const struct node *node,
			 const struct catalogue *catalogue)
{
	const struct node *limits = tree_find(node, "limits");
	uint64_t most = catalogue->memory_per_client < catalogue->total[MEMORY_BYTES] ?
			catalogue->memory_per_client : catalogue->total[MEMORY_BYTES];
	char text[VALUE_TEXT], limit[VALUE_TEXT];

	for (size_t i = 0; i < catalogue->nr_devices; i++)
		for (size_t j = 0; j < catalogue->devices[i].nr_slices; j++) {
			const struct slice *slice = &catalogue->devices[i].slices[j];

			if (slice->memory > most)
				mistake(reader->mistakes, limits ? &limits->place : &node->place,
					"%s has memory: %s, and the limits memory and memory_per_connection allow %s;"
					" write larger limits, or less memory", slice->name,
					value_size_text(slice->memory, text),
					value_size_text(most, limit));
		}
}

void check_all(struct reader *reader, const struct node *node, void *object)
{
	struct written *written = object;
	struct catalogue *catalogue = &written->settings.catalogue;

	/* After a mistake, the sum over all files is not known. */
	if (reader->mistakes->nr || reader->scratch->failed)
		return;
	take_kept(reader, node, written, catalogue);
	check_total(reader, node, catalogue, CLIENTS, "connections");
	check_total(reader, node, catalogue, LEASES, "leases");
	check_total(reader, node, catalogue, MEMORY_BYTES, "memory");
	check_functions_differ(reader, tree_find(node, "devices"), written);
	take_devices(reader, written, catalogue);
	check_memory(reader, node, catalogue);
}
