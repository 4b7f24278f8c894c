/* SPDX-License-Identifier: MIT */
/* A tree becomes the structs that the schema describes. */
#ifndef CONFIG_READER_H
#define CONFIG_READER_H

#include "arena.h"
#include "mistakes.h"
#include "schema.h"
#include "tree.h"

struct reader {
	struct arena *arena;		/* memory of the settings */
	struct arena *scratch;		/* memory that is needed only while reading */
	struct mistakes *mistakes;
	const struct names *names;
};

/* Fills @object, which must be zeroed.  Goes on after mistakes. */
void read_section(struct reader *reader, const struct node *node, const struct section *section,
		  void *object);
/* A list of a rule, such as KIND_USERS. */
void read_rule_list(struct reader *reader, const struct node *node, const struct setting *setting,
		    struct rule *rule);
/* A user by name or number.  False: a mistake was reported. */
bool read_user(struct reader *reader, const struct place *place, const char *name, uid_t *uid);

#endif
