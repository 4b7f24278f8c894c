/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/bdf.h"
#include "reader.h"
#include "unknown.h"

#define USEC	1000000ULL

/* ---- what would be right ---- */

static void list_words(const char *const *words, char *text, size_t size)
{
	size_t used = 0;

	for (size_t i = 0; words[i] && used < size; i++)
		used += snprintf(text + used, size - used, "%s%s",
				 !i ? "write " : words[i + 1] ? ", " : " or ", words[i]);
}

/* Begins with "write ". */
static void describe(const struct setting *setting, char *text, size_t size)
{
	char low[VALUE_TEXT], high[VALUE_TEXT];

	switch (setting->kind) {
	case KIND_COUNT:
	case KIND_NUMBER:
		snprintf(text, size, "write a number from %" PRIu64 " to %" PRIu64, setting->low,
			 setting->high);
		break;
	case KIND_SIZE:
		snprintf(text, size, "write a size from %s to %s, such as 64K",
			 value_size_text(setting->low, low), value_size_text(setting->high, high));
		break;
	case KIND_DURATION:
	case KIND_SECONDS:
		snprintf(text, size, "write a time from %s to %s%s",
			 setting->low ? value_duration_text(setting->low, low) : "1s",
			 value_duration_text(setting->high, high), setting->low ? "" : ", or never");
		break;
	case KIND_WORD:
	case KIND_FLAG:
		list_words(setting->words, text, size);
		break;
	case KIND_PATH:
		snprintf(text, size, "write a path from / of at most %" PRIu64 " bytes",
			 setting->high - 1);
		break;
	case KIND_FUNCTION:
		snprintf(text, size, "write a PCI function such as 0000:01:00.0");
		break;
	case KIND_UUID:
		snprintf(text, size, "write a UUID");
		break;
	case KIND_LIST:
		snprintf(text, size, "write a list: [{...}, {...}]");
		break;
	case KIND_RULE:
		snprintf(text, size, "write everybody, or users, groups, units or cgroups below it");
		break;
	case KIND_SECTION:
	case KIND_NAMED:
		snprintf(text, size, "write name: value below it");
		break;
	default:
		snprintf(text, size, "write a list: [first, second]");
	}
}

static void refuse(struct reader *reader, const struct node *node, const struct setting *setting,
		   const struct wrong *wrong)
{
	char right[128];

	describe(setting, right, sizeof(right));
	mistake(reader->mistakes, &node->place, "%s: \"%.60s\" %s; %s", setting->name, node->text,
		wrong->what, wrong->right[0] ? wrong->right : right);
}

/* The node has the wrong type, such as a map where a text is expected. */
static void refuse_type(struct reader *reader, const struct node *node,
			const struct setting *setting)
{
	static const char *const types[] = {
		[NODE_TEXT] = "is a single value", [NODE_MAP] = "is a map", [NODE_LIST] = "is a list",
	};
	char right[128];

	describe(setting, right, sizeof(right));
	mistake(reader->mistakes, &node->place, "%s %s; %s", setting->name,
		tree_is_empty(node) ? "has no value" : types[node->type], right);
}

/* ---- single values ---- */

static bool say(struct wrong *wrong, const char *what)
{
	snprintf(wrong->what, sizeof(wrong->what), "%s", what);
	wrong->right[0] = '\0';
	return false;
}

static bool read_number(const char *text, const struct setting *setting, uint64_t *value,
			struct wrong *wrong)
{
	bool is_time = setting->kind == KIND_DURATION || setting->kind == KIND_SECONDS;

	*value = 0;
	if (is_time && !setting->low && !strcmp(text, "never"))
		return true;
	if (is_time ? !value_duration(text, value, wrong) :
	    setting->kind == KIND_SIZE ? !value_size(text, value, wrong) :
					 !value_number(text, value, wrong))
		return false;
	if (setting->kind == KIND_SECONDS && *value % USEC)
		return say(wrong, "is not a whole number of seconds");
	if (*value < setting->low || (is_time && !*value))
		return say(wrong, "is too small");
	return *value <= setting->high || say(wrong, "is too large");
}

static bool read_word(const char *text, const struct setting *setting, uint32_t *index,
		      struct wrong *wrong)
{
	for (*index = 0; setting->words[*index]; ++*index)
		if (!strcmp(text, setting->words[*index]))
			return true;
	return say(wrong, "is not one of its values");
}

static bool read_path(const char *text, const struct setting *setting, char *path,
		      struct wrong *wrong)
{
	if (text[0] != '/')
		return say(wrong, "does not begin with /");
	if (strlen(text) >= setting->high)
		return say(wrong, "is too long");
	strcpy(path, text);
	return true;
}

static bool read_text(const char *text, const struct setting *setting, char *object,
		      struct wrong *wrong)
{
	void *field = object + setting->offset;
	uint64_t number = 0;
	uint32_t index = 0;

	switch (setting->kind) {
	case KIND_COUNT:
	case KIND_SECONDS:
		if (!read_number(text, setting, &number, wrong))
			return false;
		*(uint32_t *)field = setting->kind == KIND_SECONDS ? number / USEC : number;
		return true;
	case KIND_NUMBER:
	case KIND_SIZE:
	case KIND_DURATION:
		return read_number(text, setting, field, wrong);
	case KIND_WORD:
		return read_word(text, setting, field, wrong);
	case KIND_FLAG:
		if (!read_word(text, setting, &index, wrong))
			return false;
		*(uint32_t *)field |= index ? setting->low : 0;
		return true;
	case KIND_PATH:
		return read_path(text, setting, field, wrong);
	case KIND_UUID:
		return value_uuid(text, field, wrong);
	case KIND_FUNCTION:
		return bdf_parse(text, field) || say(wrong, "is not a PCI function");
	default:
		return false;
	}
}

/* ---- maps and lists ---- */

static void read_name(struct reader *reader, const struct node *node, char *name)
{
	struct wrong wrong;

	if (value_name(node->key, &wrong))
		strcpy(name, node->key);
	else
		mistake(reader->mistakes, &node->key_place, "\"%.60s\" %s; %s", node->key, wrong.what,
			wrong.right);
}

static void read_array(struct reader *reader, const struct node *node,
		       const struct section *section, struct array *array)
{
	char *item = arena_new(reader->scratch, node->nr, section->size);

	*array = (struct array){ item, item ? node->nr : 0 };
	for (const struct node *child = node->first; item && child; child = child->next) {
		if (section->named)
			read_name(reader, child, item);
		read_section(reader, child, section, item);
		item += section->size;
	}
}

static void read_rule(struct reader *reader, const struct node *node,
		      const struct setting *setting, struct rule *rule)
{
	if (node->type == NODE_MAP || tree_is_empty(node))
		read_section(reader, node, setting->section, rule);
	else if (node->type == NODE_TEXT && !strcmp(node->text, "everybody"))
		rule->everybody = true;
	else
		refuse_type(reader, node, setting);
}

static void read_single(struct reader *reader, const struct node *node,
			const struct setting *setting, void *object)
{
	struct wrong wrong = { .what = "" };

	if (node->type != NODE_TEXT || tree_is_empty(node))
		refuse_type(reader, node, setting);
	else if (!read_text(node->text, setting, object, &wrong))
		refuse(reader, node, setting, &wrong);
}

static void read_value(struct reader *reader, const struct node *node,
		       const struct setting *setting, void *object)
{
	bool is_map = node->type == NODE_MAP || tree_is_empty(node);
	void *field = (char *)object + setting->offset;

	switch (setting->kind) {
	case KIND_USERS:
	case KIND_GROUPS:
	case KIND_UNITS:
	case KIND_CGROUPS:
		if (node->type == NODE_LIST)
			read_rule_list(reader, node, setting, object);
		else
			refuse_type(reader, node, setting);
		break;
	case KIND_RULE:
		read_rule(reader, node, setting, field);
		break;
	case KIND_SECTION:
		if (is_map)
			read_section(reader, node, setting->section, field);
		else
			refuse_type(reader, node, setting);
		break;
	case KIND_NAMED:
	case KIND_LIST:
		if (setting->kind == KIND_NAMED ? is_map : node->type == NODE_LIST)
			read_array(reader, node, setting->section, field);
		else
			refuse_type(reader, node, setting);
		break;
	default:
		read_single(reader, node, setting, object);
	}
}

static void read_absent(struct reader *reader, const struct node *node,
			const struct section *section, const struct setting *setting, void *object)
{
	const struct node nothing = {
		.type = setting->kind == KIND_SECTION ? NODE_MAP : NODE_TEXT,
		.text = setting->value ? setting->value : "", .place = node->place,
	};
	char right[128];

	if (setting->value || setting->kind == KIND_SECTION) {
		read_value(reader, &nothing, setting, object);
	} else if (setting->required) {
		describe(setting, right, sizeof(right));
		mistake(reader->mistakes, node->key ? &node->key_place : &node->place,
			"\"%.60s\" has no %s; add %s: %s", node->key ? node->key : section->title,
			setting->name, setting->name, right + strlen("write "));
	}
}

void read_section(struct reader *reader, const struct node *node, const struct section *section,
		  void *object)
{
	size_t before = reader->mistakes->nr;

	if (node->type != NODE_MAP && !tree_is_empty(node)) {
		mistake(reader->mistakes, &node->place, "settings of %s are expected here; write name: value",
			section->title);
		return;
	}
	for (const struct node *child = node->first; child; child = child->next) {
		const struct setting *setting = schema_find(section, child->key);

		if (setting)
			read_value(reader, child, setting, object);
		else
			unknown_setting(reader->mistakes, &child->key_place, child->key, section);
	}
	for (size_t i = 0; i < section->nr; i++)
		if (!tree_find(node, section->settings[i].name))
			read_absent(reader, node, section, &section->settings[i], object);
	if (section->check && reader->mistakes->nr == before)
		section->check(reader, node, object);
}
