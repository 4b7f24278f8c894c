/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "unknown.h"

#define LONGEST	40	/* of a name that is compared */

static size_t least(size_t a, size_t b, size_t c)
{
	size_t d = a < b ? a : b;

	return d < c ? d : c;
}

/* How many characters must be inserted, removed or replaced to turn @a into @b. */
static size_t distance(const char *a, const char *b)
{
	size_t row[LONGEST + 1], length = strlen(b);

	if (strlen(a) > LONGEST || length > LONGEST)
		return LONGEST;
	for (size_t j = 0; j <= length; j++)
		row[j] = j;
	for (size_t i = 1; a[i - 1]; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= length; j++) {
			size_t replaced = diagonal + (a[i - 1] != b[j - 1]);

			diagonal = row[j];
			row[j] = least(replaced, row[j] + 1, row[j - 1] + 1);
		}
	}
	return row[length];
}

static const struct setting *nearest(const struct section *section, const char *name,
				     size_t *best)
{
	const struct setting *found = NULL;

	for (size_t i = 0; i < section->nr; i++) {
		size_t d = distance(name, section->settings[i].name);

		if (d < *best) {
			*best = d;
			found = &section->settings[i];
		}
	}
	return found;
}

/* A section that has a setting of that name, or NULL. */
static const struct section *section_with(const char *name)
{
	const struct section *section;

	for (size_t i = 0; (section = schema_section(i)); i++)
		if (schema_find(section, name))
			return section;
	return NULL;
}

void unknown_setting(struct mistakes *mistakes, const struct place *place, const char *name,
		     const struct section *section)
{
	size_t best = strlen(name) / 2 + 1;
	const struct setting *near = nearest(section, name, &best);
	const struct section *other = section_with(name);

	if (other)
		mistake(mistakes, place, "\"%.60s\" is not a setting of %s; it is one of %s", name,
			section->title, other->title);
	else if (near)
		mistake(mistakes, place, "\"%.60s\" is not a setting of %s; did you mean \"%s\"?", name,
			section->title, near->name);
	else
		mistake(mistakes, place, "\"%.60s\" is not a setting of %s; vfio-dmabufd.conf(5) lists them",
			name, section->title);
}
