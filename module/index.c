// SPDX-License-Identifier: GPL-2.0-only
/*
 * Finding buffers by their id: a tree that allocates nothing, so that adding a
 * buffer cannot fail.  The caller holds the lock of the tree.
 */
#include <linux/rbtree.h>
#include "index.h"

static inline struct dvp_entry *entry_of(const struct rb_node *node)
{
	return rb_entry(node, struct dvp_entry, node);
}

static bool less(struct rb_node *node, const struct rb_node *other)
{
	return entry_of(node)->id < entry_of(other)->id;
}

/**
 * dvp_index_add() - add an entry
 * @index: the tree
 * @entry: with its id set, and in no tree
 */
void dvp_index_add(struct rb_root *index, struct dvp_entry *entry)
{
	rb_add(&entry->node, index, less);
}

/**
 * dvp_index_remove() - undo dvp_index_add()
 * @index: the tree
 * @entry: in that tree
 */
void dvp_index_remove(struct rb_root *index, struct dvp_entry *entry)
{
	rb_erase(&entry->node, index);
}

/**
 * dvp_index_from() - find the next one
 * @index: the tree
 * @id: the least that its id may be
 *
 * Return: the entry with the least id that is not less than @id, or NULL.
 */
struct dvp_entry *dvp_index_from(const struct rb_root *index, u64 id)
{
	struct rb_node *node = index->rb_node;
	struct dvp_entry *found = NULL;

	while (node) {
		struct dvp_entry *entry = entry_of(node);

		if (entry->id < id) {
			node = node->rb_right;
		} else {
			found = entry;
			node = node->rb_left;
		}
	}
	return found;
}
