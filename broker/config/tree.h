/* SPDX-License-Identifier: MIT */
/* A YAML file as a tree.  Each node has its place. */
#ifndef CONFIG_TREE_H
#define CONFIG_TREE_H

#include "arena.h"
#include "mistakes.h"

#define MAX_DEPTH	16
#define MAX_CHILDREN	4096

enum node_type { NODE_TEXT, NODE_MAP, NODE_LIST };

struct node {
	enum node_type type;
	struct place place;
	const char *text;	/* of NODE_TEXT; no control characters */
	bool quoted;
	const char *key;	/* in a map */
	struct place key_place;
	struct node *first, *last, *next;	/* children; siblings */
	size_t nr;		/* children */
};

/*
 * One document whose root is a map.  An empty file is an empty map.  Anchors, aliases,
 * tags and directives are mistakes.  So is a key that a map has twice; the second is
 * not in the tree.
 * @file is not copied.  NULL: the tree is not complete, which was reported; or there is
 * no memory.
 */
struct node *tree_parse(struct arena *arena, struct mistakes *mistakes, const char *file,
			const char *bytes, size_t size);
struct node *tree_find(const struct node *map, const char *key);
void tree_add(struct node *parent, struct node *child);
/* Whether a key has no value. */
bool tree_is_empty(const struct node *node);

#endif
