/* SPDX-License-Identifier: MIT */
/*
 * JSON against a JSON schema: the keywords that docs/command.schema.json uses.  A
 * schema with another keyword is wrong, so that none is ignored.
 */
#ifndef TESTS_SCHEMA_H
#define TESTS_SCHEMA_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* Against $defs/<name> of @schema.  False, and why, with the place in the value. */
bool schema_check(json_t *schema, const char *name, json_t *value, char *why, size_t size);

#endif
