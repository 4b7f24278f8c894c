// SPDX-License-Identifier: MIT
/* The broker's configuration, of one file or two. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <vfio-dmabuf.h>

#include "config/settings.h"
#include "targets.h"

#define BETWEEN	"\n%%\n"	/* two files; not YAML */

/*
 * libfyaml 0.8 leaks some kilobytes at some mistakes of syntax.  What of it we forget
 * is found by the other tests.
 */
const char *__lsan_default_suppressions(void);

const char *__lsan_default_suppressions(void)
{
	return "leak:libfyaml\n";
}

static void must(bool holds)
{
	if (!holds)
		abort();
}

static int find_id(const char *name, uint32_t *id)
{
	*id = (unsigned char)name[0];
	return name[0] == 'x' ? 2 /* ENOENT */ : 0;
}

static void count_line(void *context, const char *line)
{
	size_t *lines = context;

	/* One line, and one that begins with the file. */
	must(!strchr(line, '\n') && (!strncmp(line, "a.yaml", 6) || !strncmp(line, "b.yaml", 6) ||
				     !strncmp(line, "there are more mistakes", 23)));
	++*lines;
}

static void check_slice(const struct slice *slice)
{
	must(strchr(slice->name, '/') != NULL && slice->bar < VDB_BARS);
	must(slice->count && slice->length && slice->length % 4096 == 0 && slice->offset % 4096 == 0);
	must(slice->length <= UINT64_MAX / slice->count);
	must(slice->offset + slice->length * slice->count <= 6ULL << 40);
	must(slice->actions.nr <= MAX_REGISTERS);
	for (uint32_t i = 0; i < slice->actions.nr; i++) {
		const struct register_write *write = &slice->actions.writes[i];

		must(write->width >= 8 && write->width <= 64 && !(write->width & (write->width - 1)));
		must(write->offset < slice->length && slice->length - write->offset >= write->width / 8);
	}
}

static void check_settings(const struct settings *settings)
{
	const struct catalogue *c = &settings->catalogue;

	for (int r = 0; r < NR_RESOURCES; r++) {
		uint64_t sum = 0;

		for (size_t i = 0; i < c->nr_kept; i++)
			sum += c->kept[i].places[r];
		must(sum <= c->total[r]);
	}
	for (size_t i = 0; i < c->nr_devices; i++) {
		char bdf[VDB_BDF_SIZE];

		must(vdb_parse_bdf(c->devices[i].bdf, bdf) && !strcmp(bdf, c->devices[i].bdf));
		must(c->devices[i].patience && strlen(c->devices[i].vf_token) % 36 == 0);
		must(catalogue_find_device(c, bdf) == &c->devices[i]);
		for (size_t j = 0; j < c->devices[i].nr_slices; j++) {
			const struct catalogue_device *device;

			check_slice(&c->devices[i].slices[j]);
			must(catalogue_find_slice(c, c->devices[i].slices[j].name, &device) ==
			     &c->devices[i].slices[j]);
		}
	}
}

int fuzz_config(const uint8_t *data, size_t size)
{
	/* As large as the file, so that reading after its end is detected. */
	char *bytes = malloc(size ? size : 1);
	const char *between;
	struct source sources[2] = { { "a.yaml", bytes, size }, { .name = "b.yaml" } };
	struct settings *settings;
	size_t lines = 0;

	if (size)
		memcpy(bytes, data, size);
	between = memmem(bytes, size, BETWEEN, strlen(BETWEEN));
	if (between) {
		sources[0].size = between - bytes;
		sources[1].bytes = between + strlen(BETWEEN);
		sources[1].size = size - sources[0].size - strlen(BETWEEN);
	}
	settings = settings_parse(sources, between ? 2 : 1, &(struct names){ find_id, find_id },
				  count_line, &lines);
	/* Refused files have messages, and others have none. */
	must(!settings == !!lines);
	if (settings)
		check_settings(settings);
	settings_free(settings);
	free(bytes);
	return 0;
}
