/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "merge.h"
#include "parse.h"
#include "reader.h"

/* Settings with their memory. */
struct owned {
	struct settings settings;	/* first: it is freed as this */
	struct arena arena;
};

/* All files in one tree, without those that cannot be parsed. */
static struct node *parse_all(struct arena *scratch, struct mistakes *mistakes,
			      const struct source *sources, size_t nr)
{
	struct node *all = tree_parse(scratch, mistakes, nr ? sources[0].name : "", "", 0);

	for (size_t i = 0; all && i < nr; i++) {
		struct node *tree = tree_parse(scratch, mistakes, sources[i].name,
					       sources[i].bytes, sources[i].size);

		if (tree)
			merge(mistakes, all, tree, &schema);
	}
	return all;
}

static bool read_all(struct reader *reader, const struct source *sources, size_t nr,
		     struct settings *settings)
{
	struct node *tree = parse_all(reader->scratch, reader->mistakes, sources, nr);
	struct written *written = arena_new(reader->scratch, 1, sizeof(*written));

	if (tree && written) {
		read_section(reader, tree, &schema, written);
		*settings = written->settings;
	}
	if (reader->arena->failed || reader->scratch->failed)
		mistake(reader->mistakes,
			&(struct place){ .file = nr ? sources[0].name : "configuration" },
			"there is not enough memory to read it; free some and reload");
	return !reader->mistakes->nr;
}

struct settings *settings_parse_more(const struct source *sources, size_t nr,
				     const struct names *names, struct mistakes *mistakes)
{
	struct owned *owned = calloc(1, sizeof(*owned));
	struct arena scratch = { 0 };
	bool good;

	if (!owned) {
		mistake(mistakes, &(struct place){ .file = nr ? sources[0].name : "configuration" },
			"there is not enough memory to read it; free some and reload");
		return NULL;
	}
	good = read_all(&(struct reader){ &owned->arena, &scratch, mistakes, names }, sources, nr,
			&owned->settings);
	arena_free(&scratch);
	if (good)
		return &owned->settings;
	settings_free(&owned->settings);
	return NULL;
}

struct settings *settings_parse(const struct source *sources, size_t nr, const struct names *names,
				settings_report *report, void *context)
{
	struct mistakes mistakes = { report, context, 0 };

	return settings_parse_more(sources, nr, names, &mistakes);
}

void settings_free(struct settings *settings)
{
	struct owned *owned = (struct owned *)settings;

	if (!owned)
		return;
	arena_free(&owned->arena);
	free(owned);
}
