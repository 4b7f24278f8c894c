/* SPDX-License-Identifier: MIT */
/* The table of all settings.  Only this table names them. */
#ifndef CONFIG_SCHEMA_H
#define CONFIG_SCHEMA_H

#include "settings.h"
#include "value.h"

struct node;
struct reader;

enum kind {
	KIND_COUNT,	/* uint32_t, from low to high */
	KIND_NUMBER,	/* uint64_t, the same */
	KIND_SIZE,	/* uint64_t, the same; with K, M, G, T */
	KIND_DURATION,	/* uint64_t, microseconds, from low to high; 0 is "never" if low is 0 */
	KIND_SECONDS,	/* uint32_t, whole seconds; low and high are microseconds */
	KIND_WORD,	/* uint32_t, the index of one of the words */
	KIND_FLAG,	/* the bit "low" of a uint32_t; the second of two words sets it */
	KIND_PATH,	/* char[high] */
	KIND_FUNCTION,	/* char[16] */
	KIND_UUID,	/* char[37] */
	KIND_USERS,	/* lists of texts in struct rule; the offset is that of the rule */
	KIND_GROUPS,
	KIND_UNITS,
	KIND_CGROUPS,
	KIND_RULE,	/* struct rule: "everybody", or the section */
	KIND_SECTION,	/* part of the same struct: the offset is added */
	KIND_NAMED,	/* struct array, of the section: one for each name */
	KIND_LIST,	/* struct array */
};

/* What KIND_NAMED and KIND_LIST fill. */
struct array {
	void *items;
	size_t nr;
};

struct setting {
	const char *name;
	enum kind kind;
	size_t offset;		/* in the struct of the section */
	const char *value;	/* the default, as in a file; NULL: none */
	const char *doc;	/* the text in the manual page */
	uint64_t low, high;
	const char *const *words;
	const struct section *section;
	bool required;
	bool shared;		/* several files can add to it; a value must be the same */
};

struct section {
	const char *title;	/* in messages, and the heading in the manual page */
	const struct setting *settings;
	size_t nr;
	size_t size;		/* of the struct; 0: part of another section's struct */
	bool named;		/* the struct begins with char name[NAME_LENGTH + 1] */
	/* Called if all settings were read without a mistake. */
	void (*check)(struct reader *reader, const struct node *node, void *object);
};

/* Structs that sections are read into, if they are not in struct settings. */
struct written_device {
	char name[NAME_LENGTH + 1];
	char bdf[16];
	char vf_token[UUID_SIZE];
	uint64_t patience;
	uint32_t reset;
	uint32_t driver;
	struct array slices;
};

struct written_slice {
	char name[NAME_LENGTH + 1];
	struct slice slice;
	struct array on_release;
};

struct written {
	struct settings settings;
	struct array devices;
	struct array kept;
};

extern const struct section schema;

/* Each section once; NULL: no more. */
const struct section *schema_section(size_t i);
const struct setting *schema_find(const struct section *section, const char *name);

#endif
