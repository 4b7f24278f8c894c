/* SPDX-License-Identifier: MIT */
/* JSON against a JSON schema. */
#define _GNU_SOURCE
#include "schema.h"

#include <regex.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

struct check {
	json_t *root;		/* the whole schema */
	char place[256];	/* in the value */
	char *why;
	size_t size;
};

__attribute__((format(printf, 2, 3)))
static bool wrong(struct check *check, const char *format, ...)
{
	char text[256];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	snprintf(check->why, check->size, "%s: %s", *check->place ? check->place : "(all)", text);
	return false;
}

static bool is_valid(struct check *check, json_t *schema, json_t *value);

static bool has_type(const char *type, json_t *value)
{
	if (!strcmp(type, "number"))
		return json_is_number(value);
	return (!strcmp(type, "object") && json_is_object(value)) || (!strcmp(type, "array") && json_is_array(value)) ||
	       (!strcmp(type, "string") && json_is_string(value)) || (!strcmp(type, "integer") && json_is_integer(value)) ||
	       (!strcmp(type, "boolean") && json_is_boolean(value)) || (!strcmp(type, "null") && json_is_null(value));
}

static bool check_type(struct check *check, json_t *types, json_t *value)
{
	json_t *type;
	size_t i;

	if (json_is_string(types))
		return has_type(json_string_value(types), value) ||
		       wrong(check, "it is not of type %s", json_string_value(types));
	json_array_foreach(types, i, type)
		if (has_type(json_string_value(type), value))
			return true;
	return wrong(check, "it is of none of %zu types", i);
}

static bool check_required(struct check *check, json_t *names, json_t *value)
{
	json_t *name;
	size_t i;

	json_array_foreach(names, i, name)
		if (json_is_object(value) && !json_object_get(value, json_string_value(name)))
			return wrong(check, "\"%s\" is missing", json_string_value(name));
	return true;
}

/* One part of the value, by a schema of its own. */
static bool check_part(struct check *check, json_t *schema, json_t *value, const char *format, ...)
{
	size_t length = strlen(check->place);
	va_list args;
	bool valid;

	va_start(args, format);
	vsnprintf(check->place + length, sizeof(check->place) - length, format, args);
	va_end(args);
	valid = is_valid(check, schema, value);
	check->place[length] = '\0';
	return valid;
}

static bool check_properties(struct check *check, json_t *schema, json_t *value)
{
	json_t *properties = json_object_get(schema, "properties"), *part;
	bool others = !json_is_false(json_object_get(schema, "additionalProperties"));
	const char *key;

	json_object_foreach(value, key, part) {
		json_t *property = json_object_get(properties, key);

		if (!property && !others)
			return wrong(check, "\"%s\" is not in the schema", key);
		if (property && !check_part(check, property, part, ".%s", key))
			return false;
	}
	return true;
}

static bool check_items(struct check *check, json_t *schema, json_t *value)
{
	json_t *item;
	size_t i;

	json_array_foreach(value, i, item)
		if (!check_part(check, schema, item, "[%zu]", i))
			return false;
	return true;
}

static bool check_enum(struct check *check, json_t *words, json_t *value)
{
	json_t *word;
	size_t i;

	json_array_foreach(words, i, word)
		if (json_equal(word, value))
			return true;
	return wrong(check, "\"%s\" is not one of its words", json_string_value(value) ?: "(not a text)");
}

/* How many of these it is valid by. */
static size_t count_valid(struct check *check, json_t *schemas, json_t *value)
{
	size_t valid = 0, i;
	json_t *schema;

	json_array_foreach(schemas, i, schema)
		valid += is_valid(check, schema, value);
	return valid;
}

static bool check_pattern(struct check *check, const char *pattern, json_t *value)
{
	regex_t regex;
	bool valid;

	if (!json_is_string(value))
		return true;
	if (regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB))
		return wrong(check, "the schema's pattern %s is wrong", pattern);
	valid = !regexec(&regex, json_string_value(value), 0, NULL, 0);
	regfree(&regex);
	return valid || wrong(check, "\"%s\" does not fit %s", json_string_value(value), pattern);
}

static bool check_ref(struct check *check, const char *path, json_t *value)
{
	json_t *schema = NULL;

	if (!strncmp(path, "#/$defs/", 8))
		schema = json_object_get(json_object_get(check->root, "$defs"), path + 8);
	return schema ? is_valid(check, schema, value) : wrong(check, "the schema has no %s", path);
}

static bool check_keyword(struct check *check, json_t *schema, const char *key, json_t *of, json_t *value)
{
	if (!strcmp(key, "type"))
		return check_type(check, of, value);
	if (!strcmp(key, "required"))
		return check_required(check, of, value);
	if (!strcmp(key, "properties"))
		return check_properties(check, schema, value);
	if (!strcmp(key, "items"))
		return check_items(check, of, value);
	if (!strcmp(key, "enum"))
		return check_enum(check, of, value);
	if (!strcmp(key, "$ref"))
		return check_ref(check, json_string_value(of), value);
	if (!strcmp(key, "pattern"))
		return check_pattern(check, json_string_value(of), value);
	if (!strcmp(key, "minimum"))
		return !json_is_number(value) || json_number_value(value) >= json_number_value(of) ||
		       wrong(check, "it is too small");
	if (!strcmp(key, "maximum"))
		return !json_is_number(value) || json_number_value(value) <= json_number_value(of) ||
		       wrong(check, "it is too large");
	if (!strcmp(key, "minLength"))
		return !json_is_string(value) ||
		       json_string_length(value) >= (size_t)json_integer_value(of) || wrong(check, "it is too short");
	if (!strcmp(key, "anyOf"))
		return count_valid(check, of, value) || wrong(check, "it is valid by none of \"anyOf\"");
	if (!strcmp(key, "oneOf"))
		return count_valid(check, of, value) == 1 || wrong(check, "it is not valid by exactly one of \"oneOf\"");
	/* With "properties". */
	if (!strcmp(key, "additionalProperties"))
		return json_object_get(schema, "properties") || wrong(check, "additionalProperties without properties");
	return !strcmp(key, "description") || wrong(check, "the keyword \"%s\" of the schema is not known", key);
}

static bool is_valid(struct check *check, json_t *schema, json_t *value)
{
	const char *key;
	json_t *of;

	json_object_foreach(schema, key, of)
		if (!check_keyword(check, schema, key, of, value))
			return false;
	return true;
}

bool schema_check(json_t *schema, const char *name, json_t *value, char *why, size_t size)
{
	struct check check = { .root = schema, .why = why, .size = size };
	json_t *definition = json_object_get(json_object_get(schema, "$defs"), name);

	if (!definition) {
		snprintf(why, size, "the schema has no definition of \"%s\"", name);
		return false;
	}
	return is_valid(&check, definition, value);
}
