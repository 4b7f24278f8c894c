// SPDX-License-Identifier: MIT
/*
 * Documents of the broker.  The manual pages describe all settings and journal entries,
 * and every example is a valid configuration.
 */
#include <ctype.h>
#include <errno.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/schema.h"
#include "shell/journal.h"
#include "suite.h"

#define MANUAL		PROJECT "/man/vfio-dmabufd.conf.5.scd"
#define INSTALLED	PROJECT "/broker/config/installed/"
#define BROKER_MANUAL	PROJECT "/man/vfio-dmabufd.8.scd"
#define JOURNAL		PROJECT "/broker/shell/journal.c"

static char *read_file(const char *path)
{
	FILE *stream = fopen(path, "r");
	char *text = calloc(1, 1 << 20);
	size_t size;

	ck_assert_msg(stream, "%s: %s", path, strerror(errno));
	size = fread(text, 1, (1 << 20) - 1, stream);
	fclose(stream);
	ck_assert_uint_gt(size, 0);
	return text;
}

/* ---- the manual page ---- */

/* The text below a heading, up to the next one; to be freed. */
static char *below(const char *page, const char *title)
{
	char heading[128] = "\n# ";
	const char *begin, *end;
	size_t used = strlen(heading);

	for (size_t i = 0; title[i]; i++)
		heading[used++] = toupper((unsigned char)title[i]);
	strcpy(heading + used, "\n");
	begin = strstr(page, heading);
	ck_assert_msg(begin, "the manual page has no section%s", heading);
	begin += strlen(heading);
	end = strstr(begin, "\n# ");
	return end ? strndup(begin, end - begin) : strdup(begin);
}

/* A setting in the page: "*name* (value)" in a line, and a paragraph below. */
struct entry {
	char name[64], value[64];
	char text[2048];	/* on one line, without emphasis */
};

static void add_text(struct entry *entry, const char *line)
{
	size_t used = strlen(entry->text);

	if (used)
		entry->text[used++] = ' ';
	for (; *line; line++)
		if (*line != '*' && *line != '\t' && *line != '\\')
			entry->text[used++] = *line;
	entry->text[used] = '\0';
}

static bool is_entry(const char *line, struct entry *entry)
{
	int end = -1, whole = -1;

	*entry = (struct entry){ .name = "" };
	if (sscanf(line, "*%63[a-z_]*%n", entry->name, &end) != 1 || end < 0)
		return false;
	if (!line[end])
		return true;
	return sscanf(line + end, " (%63[^)])%n", entry->value, &whole) == 1 && whole > 0 &&
	       !line[end + whole];
}

/* All of a section; to be freed. */
static struct entry *entries_of(const char *page, const char *title, size_t *nr)
{
	char *text = below(page, title), *rest = text, *line;
	struct entry *entries = calloc(64, sizeof(*entries)), entry;

	*nr = 0;
	while ((line = strsep(&rest, "\n"))) {
		if (is_entry(line, &entry)) {
			ck_assert_uint_lt(*nr, 64);
			entries[(*nr)++] = entry;
		} else if (line[0] == '\t' && *nr) {
			add_text(&entries[*nr - 1], line + 1);
		}
	}
	free(text);
	return entries;
}

/* If the page says "From ... to ...". */
static void check_range(const struct setting *setting, const struct entry *entry)
{
	bool is_time = setting->kind == KIND_DURATION || setting->kind == KIND_SECONDS;
	char range[128], low[VALUE_TEXT], high[VALUE_TEXT];

	if (!strstr(entry->text, "From "))
		return;
	if (is_time)
		snprintf(range, sizeof(range), "From %s to %s.",
			 value_duration_text(setting->low, low),
			 value_duration_text(setting->high, high));
	else
		snprintf(range, sizeof(range), "From %llu to %llu.",
			 (unsigned long long)setting->low, (unsigned long long)setting->high);
	ck_assert_msg(strstr(entry->text, range), "%s: it is \"%s\"", setting->name, range);
}

static void check_entry(const struct section *section, const struct entry *entry)
{
	const struct setting *setting = schema_find(section, entry->name);

	ck_assert_msg(setting, "%s: the manual page has \"%s\", which is not a setting",
		      section->title, entry->name);
	ck_assert_msg(!strcmp(entry->value, setting->value ? setting->value : ""),
		      "%s: %s: the manual page says \"%s\", it is \"%s\"", section->title,
		      entry->name, entry->value, setting->value ? setting->value : "");
	ck_assert_msg(!strncmp(entry->text, setting->doc, strlen(setting->doc)),
		      "%s: %s: \"%s\" does not begin with \"%s\"", section->title, entry->name,
		      entry->text, setting->doc);
	ck_assert_msg(setting->required == !!strstr(entry->text, "Must be given."),
		      "%s: %s: whether it must be given", section->title, entry->name);
	check_range(setting, entry);
	for (size_t i = 0; setting->words && setting->words[i]; i++)
		ck_assert_msg(strstr(entry->text, setting->words[i]) ||
			      !strcmp(entry->value, setting->words[i]),
			      "%s: %s: \"%s\" is not said", section->title, entry->name,
			      setting->words[i]);
}

START_TEST(manual_page_has_all_settings)
{
	char *page = read_file(MANUAL);
	const struct section *section;
	size_t nr;

	for (size_t i = 0; (section = schema_section(i)); i++) {
		struct entry *entries = entries_of(page, section->title, &nr);

		for (size_t j = 0; j < nr; j++)
			check_entry(section, &entries[j]);
		for (size_t j = 0; j < section->nr; j++) {
			size_t times = 0;

			for (size_t k = 0; k < nr; k++)
				times += !strcmp(entries[k].name, section->settings[j].name);
			ck_assert_msg(times == 1, "%s: the manual page has %s %zu times",
				      section->title, section->settings[j].name, times);
		}
		free(entries);
	}
	free(page);
}
END_TEST

/* Every section that settings lead to is among those. */
START_TEST(schema_names_all_sections)
{
	const struct section *section;

	for (size_t i = 0; (section = schema_section(i)); i++) {
		for (size_t j = 0; j < section->nr; j++) {
			const struct section *next = section->settings[j].section;
			bool known = !next;

			for (size_t k = 0; schema_section(k); k++)
				known |= schema_section(k) == next;
			ck_assert_msg(known, "%s", section->settings[j].name);
		}
	}
	ck_assert_ptr_eq(schema_section(0), &schema);
}
END_TEST

/* ---- the journal ---- */

#define ID_SIZE		32
#define HEX		"0123456789abcdef"

/* How many ids of messages a text has. */
static unsigned int count_ids(const char *text)
{
	unsigned int nr = 0;
	size_t length;

	for (; *text; text += length ? length : 1) {
		length = strspn(text, HEX);
		nr += length == ID_SIZE;
	}
	return nr;
}

START_TEST(manual_page_has_all_messages)
{
	static const struct {
		const char *id, *meaning;
	} messages[] = {
		{ JOURNAL_GRANTED, "lease granted" },
		{ JOURNAL_ENDED, "lease ended" },
		{ JOURNAL_DENIED, "request denied" },
		{ JOURNAL_OPEN, "device open" },
		{ JOURNAL_LOST, "device lost" },
		{ JOURNAL_ABSENT, "device is not open" },
	};
	char *page = read_file(BROKER_MANUAL), *journal = below(page, "journal");
	char *examples = strstr(journal, "```"), line[128];

	ck_assert_ptr_nonnull(examples);
	for (size_t i = 0; i < sizeof(messages) / sizeof(*messages); i++) {
		snprintf(line, sizeof(line), "\n|  %s\n:  %s\n", messages[i].id,
			 messages[i].meaning);
		ck_assert_msg(strstr(journal, line), "\"%s\" is not %s there", messages[i].meaning,
			      messages[i].id);
	}
	/* The query for a day names grants and ends. The query for the time before names grants. */
	ck_assert_uint_eq(count_ids(examples), 3);
	ck_assert_uint_eq(count_ids(journal), 3 + sizeof(messages) / sizeof(*messages));
	ck_assert_ptr_nonnull(strstr(examples, "MESSAGE_ID=" JOURNAL_GRANTED));
	ck_assert_ptr_nonnull(strstr(examples, "MESSAGE_ID=" JOURNAL_ENDED));
	free(journal);
	free(page);
}
END_TEST

/* Those that every program's entries have need no description; ids have a table of their own. */
static bool is_usual(const char *field)
{
	return !strcmp(field, "MESSAGE=") || !strcmp(field, "PRIORITY=") ||
	       !strcmp(field, "SYSLOG_IDENTIFIER=") || !strcmp(field, "MESSAGE_ID=");
}

/* A field is in the code as "NAME=..., and in the page as NAME= in the first table. */
START_TEST(manual_page_has_all_fields)
{
	char *page = read_file(BROKER_MANUAL), *journal = below(page, "journal");
	char *code = read_file(JOURNAL), *end_of_table = strstr(journal, "\n\n"), name[64];
	unsigned int nr = 0;

	end_of_table = end_of_table ? strstr(end_of_table + 2, "\n\n") : NULL;
	ck_assert_ptr_nonnull(end_of_table);
	*end_of_table = '\0';
	for (char *at = code; (at = strchr(at, '"')); at++) {
		int end = -1;

		if (sscanf(at + 1, "%62[A-Z_]%n", name, &end) != 1 || at[1 + end] != '=')
			continue;
		strcat(name, "=");
		nr++;
		ck_assert_msg(is_usual(name) || strstr(journal, name), "%s is not there", name);
	}
	ck_assert_uint_ge(nr, 15);
	free(code);
	free(journal);
	free(page);
}
END_TEST

/* ---- examples ---- */

static char lines[8192];

static void add_line(void *context, const char *line)
{
	size_t used = strlen(lines);

	(void)context;
	snprintf(lines + used, sizeof(lines) - used, "%s\n", line);
}

/* Users and groups of examples exist. */
static int any_id(const char *name, uint32_t *id)
{
	*id = 1000;
	for (; *name; name++)
		*id += (unsigned char)*name;
	return 0;
}

static const struct names names = { any_id, any_id };

static void check_configuration(const char *file, const char *text)
{
	const struct source source = { file, text, strlen(text) };
	struct settings *settings;

	lines[0] = '\0';
	settings = settings_parse(&source, 1, &names, add_line, NULL);
	ck_assert_msg(settings, "in %s:\n%s\nof\n%s", file, lines, text);
	/* Not only comments. */
	ck_assert_msg(settings->catalogue.nr_devices || settings->catalogue.nr_kept > 1 ||
		      *settings->metrics.file,
		      "%s has an example with nothing in it", file);
	settings_free(settings);
}

static bool ends_with(const char *text, const char *end)
{
	return strlen(text) >= strlen(end) && !strcmp(text + strlen(text) - strlen(end), end);
}

/* Whether a block that is not marked is a configuration, in the present or the former syntax. */
static bool looks_like_one(const char *block)
{
	return !strncmp(block, "devices:", 8) || strstr(block, "\ndevices:") ||
	       strstr(block, "device \"") || strstr(block, "bdf =");
}

/* Blocks between lines of ```; those are examples that begin with ```yaml, or all. */
static unsigned int check_examples(const char *path, bool all)
{
	char *text = read_file(path), *at = text;
	unsigned int examples = 0;

	while ((at = strstr(at, "\n```"))) {
		char *tag = at + 4, *block = strchr(tag, '\n'), *end;
		bool marked;

		ck_assert_msg(block, "%s ends in a block", path);
		end = strstr(block, "\n```");
		ck_assert_msg(end, "%s ends in a block", path);
		marked = block - tag == 4 && !strncmp(tag, "yaml", 4);
		end[1] = '\0';
		if (all || marked) {
			check_configuration(path, block + 1);
			examples++;
		} else {
			ck_assert_msg(!looks_like_one(block + 1), "%s: mark this with ```yaml:\n%s",
				      path, block + 1);
		}
		end[1] = '`';
		at = end + 4;
	}
	free(text);
	return examples;
}

START_TEST(examples_are_configurations)
{
	unsigned int examples, in_readme = 0, in_manual = 0;
	glob_t found = { 0 };

	ck_assert_int_eq(glob(PROJECT "/README.md", 0, NULL, &found), 0);
	ck_assert_int_eq(glob(PROJECT "/docs/*.md", GLOB_APPEND, NULL, &found), 0);
	ck_assert_int_eq(glob(PROJECT "/man/*.scd", GLOB_APPEND, NULL, &found), 0);
	for (size_t i = 0; i < found.gl_pathc; i++) {
		bool is_manual = !strcmp(found.gl_pathv[i], MANUAL);

		examples = check_examples(found.gl_pathv[i], is_manual);
		if (is_manual)
			in_manual = examples;
		if (ends_with(found.gl_pathv[i], "/README.md"))
			in_readme = examples;
	}
	ck_assert_uint_ge(in_readme, 1);
	ck_assert_uint_ge(in_manual, 3);
	globfree(&found);
}
END_TEST

/* As they are found after an installation: in conf.d as well. */
START_TEST(installed_files_are_a_configuration)
{
	struct settings *settings = settings_read(INSTALLED "vfio-dmabufd.yaml", INSTALLED, &names,
						  add_line, NULL);

	ck_assert_msg(settings, "%s", lines);
	ck_assert_uint_eq(settings->catalogue.nr_devices, 0);
	settings_free(settings);
}
END_TEST

/* With what is commented out: lines of "# " and a word, with its indentation. */
static void check_example(const char *path, const char *first)
{
	char *text = read_file(path), *rest = text, *line, *example = calloc(1, strlen(text) + 1);
	bool begun = false;

	while ((line = strsep(&rest, "\n"))) {
		begun |= !strncmp(line, first, strlen(first));
		if (!begun)
			continue;
		strcat(example, !strncmp(line, "# ", 2) ? line + 2 : line[0] == '#' ? line + 1 : line);
		strcat(example, "\n");
	}
	check_configuration(path, example);
	free(example);
	free(text);
}

START_TEST(installed_examples_are_configurations)
{
	check_example(INSTALLED "vfio-dmabufd.yaml", "# admins:");
	check_example(INSTALLED "example.yaml", "# devices:");
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("broker_documents");
	TCase *tc = add_group(s, "documents");

	tcase_add_test(tc, schema_names_all_sections);
	tcase_add_test(tc, manual_page_has_all_settings);
	tcase_add_test(tc, manual_page_has_all_messages);
	tcase_add_test(tc, manual_page_has_all_fields);
	tcase_add_test(tc, examples_are_configurations);
	tcase_add_test(tc, installed_files_are_a_configuration);
	tcase_add_test(tc, installed_examples_are_configurations);
	return s;
}
