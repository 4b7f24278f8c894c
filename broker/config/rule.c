/* SPDX-License-Identifier: MIT */
/* The users, groups, units and cgroups of a rule. */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "reader.h"

static bool is_number(const char *name)
{
	return name[0] && !name[strspn(name, "0123456789")];
}

static bool read_id(struct reader *reader, const struct place *place, const char *name,
		    uint32_t *id)
{
	struct wrong wrong = { .what = "is too large" };
	uint64_t number = 0;

	/* The greatest is -1, which means "none" to the kernel. */
	if (value_number(name, &number, &wrong) && number < UINT32_MAX) {
		*id = number;
		return true;
	}
	mistake(reader->mistakes, place, "\"%.60s\" %s; %s", name, wrong.what,
		wrong.right[0] ? wrong.right : "write a name, or a number below 4294967295");
	return false;
}

static bool found(struct reader *reader, const struct place *place, const char *what,
		  const char *name, int error)
{
	if (error == ENOENT)
		mistake(reader->mistakes, place,
			"there is no %s \"%.60s\"; write an existing name, or a number", what, name);
	else if (error)
		mistake(reader->mistakes, place,
			"%s \"%.60s\" cannot be looked up: %s; write its number, or try again", what,
			name, strerror(error));
	return !error;
}

bool read_user(struct reader *reader, const struct place *place, const char *name, uid_t *uid)
{
	if (!strcmp(name, "*")) {
		mistake(reader->mistakes, place, "\"*\" is not a user; write everybody instead of the map");
		return false;
	}
	if (is_number(name))
		return read_id(reader, place, name, uid);
	return found(reader, place, "user", name, reader->names->user(name, uid));
}

static bool read_group(struct reader *reader, const struct place *place, const char *name,
		       gid_t *gid)
{
	if (is_number(name))
		return read_id(reader, place, name, gid);
	return found(reader, place, "group", name, reader->names->group(name, gid));
}

static bool read_unit(struct reader *reader, const struct place *place, const char *name)
{
	const char *dot = strrchr(name, '.');

	if (dot && dot > name && dot[1] && !strchr(name, '/'))
		return true;
	mistake(reader->mistakes, place,
		"\"%.60s\" is not a unit; write it with its type, as in name.service", name);
	return false;
}

static bool read_cgroup(struct reader *reader, const struct place *place, const char *path)
{
	if (path[0] == '/' && path[strlen(path) - 1] != '/' && !strstr(path, "//"))
		return true;
	mistake(reader->mistakes, place,
		"\"%.60s\" is not a cgroup; write its path from /, without a / at the end", path);
	return false;
}

static void *new_list(struct reader *reader, const struct setting *setting, size_t nr,
		      struct rule *rule)
{
	switch (setting->kind) {
	case KIND_USERS:
		return rule->users = arena_new(reader->arena, nr, sizeof(*rule->users));
	case KIND_GROUPS:
		return rule->groups = arena_new(reader->arena, nr, sizeof(*rule->groups));
	case KIND_UNITS:
		return rule->units = arena_new(reader->arena, nr, sizeof(*rule->units));
	default:
		return rule->cgroups = arena_new(reader->arena, nr, sizeof(*rule->cgroups));
	}
}

static void add_text(struct reader *reader, const char *text, char **list, size_t *nr)
{
	list[*nr] = arena_text(reader->arena, text, strlen(text));
	if (list[*nr])
		++*nr;
}

static void add(struct reader *reader, const struct node *node, enum kind kind, struct rule *rule)
{
	const struct place *place = &node->place;
	const char *text = node->text;

	if (kind == KIND_USERS)
		rule->nr_users += read_user(reader, place, text, &rule->users[rule->nr_users]);
	else if (kind == KIND_GROUPS)
		rule->nr_groups += read_group(reader, place, text, &rule->groups[rule->nr_groups]);
	else if (kind == KIND_UNITS && read_unit(reader, place, text))
		add_text(reader, text, rule->units, &rule->nr_units);
	else if (kind == KIND_CGROUPS && read_cgroup(reader, place, text))
		add_text(reader, text, rule->cgroups, &rule->nr_cgroups);
}

void read_rule_list(struct reader *reader, const struct node *node, const struct setting *setting,
		    struct rule *rule)
{
	if (!new_list(reader, setting, node->nr, rule))
		return;
	for (const struct node *child = node->first; child; child = child->next) {
		if (child->type != NODE_TEXT || tree_is_empty(child))
			mistake(reader->mistakes, &child->place,
				"%s has something other than a name in it; write [first, second]",
				setting->name);
		else
			add(reader, child, setting->kind, rule);
	}
}
