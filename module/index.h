/* SPDX-License-Identifier: GPL-2.0-only */
/* Finding buffers by their id. */
#ifndef _DVP_INDEX_H
#define _DVP_INDEX_H

#include <linux/rbtree.h>
#include <linux/types.h>

/* A node of the tree, a member of what is found. */
struct dvp_entry {
	struct rb_node node;
	u64 id;
};

void dvp_index_add(struct rb_root *index, struct dvp_entry *entry);
void dvp_index_remove(struct rb_root *index, struct dvp_entry *entry);
struct dvp_entry *dvp_index_from(const struct rb_root *index, u64 id);

#endif
