/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "common/bdf.h"
#include "merge.h"

static void twice(struct mistakes *mistakes, const struct node *node, const struct node *first)
{
	char where[PLACE_TEXT];

	mistake(mistakes, &node->key_place,
		"\"%.60s\" is given twice; the first time is at %s, remove one", node->key,
		place_text(&first->key_place, where));
}

/* Whether a named thing can be in several files. */
static bool is_shared(const struct section *section)
{
	for (size_t i = 0; i < section->nr; i++)
		if (section->settings[i].shared)
			return true;
	return false;
}

/* Each file that adds to a named thing repeats its identity. */
static void check_identity(struct mistakes *mistakes, const struct node *one,
			   const struct node *other, const struct section *section)
{
	char where[PLACE_TEXT];

	for (size_t i = 0; i < section->nr; i++) {
		const struct setting *setting = &section->settings[i];
		const struct node *value = tree_find(other, setting->name);

		if (!setting->shared || !setting->required || tree_find(one, setting->name) || !value)
			continue;
		mistake(mistakes, &one->key_place, "\"%.60s\" has no %s here; repeat it from %s",
			one->key, setting->name, place_text(&value->place, where));
	}
}

static void merge_named(struct mistakes *mistakes, struct node *into, struct node *from,
			const struct section *section)
{
	for (struct node *child = from->first, *next; child; child = next) {
		struct node *first = tree_find(into, child->key);

		next = child->next;
		if (!first) {
			tree_add(into, child);
		} else if (!is_shared(section) || first->type != NODE_MAP || child->type != NODE_MAP) {
			twice(mistakes, child, first);
		} else {
			check_identity(mistakes, child, first, section);
			check_identity(mistakes, first, child, section);
			merge(mistakes, first, child, section);
		}
	}
}

static bool is_same(const struct node *a, const struct node *b)
{
	char first[BDF_SIZE], second[BDF_SIZE];

	if (!strcmp(a->text, b->text))
		return true;
	return bdf_parse(a->text, first) && bdf_parse(b->text, second) &&
	       !strcmp(first, second);
}

static void merge_value(struct mistakes *mistakes, struct node *first, struct node *second,
			const struct setting *setting)
{
	char where[PLACE_TEXT];

	if (!setting->shared || first->type != second->type)
		twice(mistakes, second, first);
	else if (first->type == NODE_MAP && setting->kind == KIND_NAMED)
		merge_named(mistakes, first, second, setting->section);
	else if (first->type == NODE_MAP && setting->section)
		merge(mistakes, first, second, setting->section);
	else if (first->type != NODE_TEXT || setting->section)
		twice(mistakes, second, first);
	else if (!is_same(first, second))
		mistake(mistakes, &second->place, "%s is \"%.40s\" here; write \"%.40s\", as at %s",
			setting->name, second->text, first->text, place_text(&first->place, where));
}

/* Replaces an empty section. */
static void replace(struct node *first, const struct node *second)
{
	struct node *next = first->next;

	*first = *second;
	first->next = next;
}

void merge(struct mistakes *mistakes, struct node *into, struct node *from,
	   const struct section *section)
{
	for (struct node *child = from->first, *next; child; child = next) {
		const struct setting *setting = schema_find(section, child->key);
		struct node *first = tree_find(into, child->key);
		bool whole = setting && setting->shared && setting->section;

		next = child->next;
		if (!first || !setting)
			tree_add(into, child);
		else if (whole && tree_is_empty(first))
			replace(first, child);
		else if (!whole || !tree_is_empty(child))
			merge_value(mistakes, first, child, setting);
	}
}
