/* SPDX-License-Identifier: MIT */
/* The trees of several files become one. */
#ifndef CONFIG_MERGE_H
#define CONFIG_MERGE_H

#include "mistakes.h"
#include "schema.h"
#include "tree.h"

/* Moves the nodes of a map to another one.  What both have is a mistake, unless it is shared. */
void merge(struct mistakes *mistakes, struct node *into, struct node *from,
	   const struct section *section);

#endif
