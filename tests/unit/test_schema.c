// SPDX-License-Identifier: MIT
/* The schema of the command's JSON, and the checker with which guest tests find deviations from it. */
#include <stdio.h>
#include <string.h>

#include "schema.h"
#include "suite.h"

static json_t *schema;

static void load(void)
{
	schema = json_load_file(PROJECT "/docs/command.schema.json", JSON_REJECT_DUPLICATES, NULL);
	ck_assert_ptr_nonnull(schema);
}

static void forget(void)
{
	json_decref(schema);
}

static bool is_valid(json_t *by, const char *name, const char *text, char *why, size_t size)
{
	json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);
	bool valid;

	ck_assert_msg(value, "no JSON: %s", text);
	valid = schema_check(by, name, value, why, size);
	json_decref(value);
	return valid;
}

/* ---- the checker ---- */

static const struct {
	const char *schema, *good, *bad, *why;
} keywords[] = {
	{ "{\"type\":\"integer\"}", "1", "1.5", "(all): it is not of type integer" },
	{ "{\"type\":\"number\"}", "1.5", "\"1\"", "not of type number" },
	{ "{\"type\":[\"string\",\"null\"]}", "null", "true", "of none of 2 types" },
	{ "{\"type\":\"boolean\"}", "false", "0", "not of type boolean" },
	{ "{\"required\":[\"a\"]}", "{\"a\":1}", "{\"b\":1}", "\"a\" is missing" },
	{ "{\"properties\":{\"a\":{\"type\":\"null\"}}}", "{\"a\":null,\"b\":1}", "{\"a\":1}", ".a: it is not" },
	{ "{\"properties\":{},\"additionalProperties\":false}", "{}", "{\"b\":1}", "\"b\" is not in the schema" },
	{ "{\"items\":{\"type\":\"integer\"}}", "[1,2]", "[1,\"2\"]", "[1]: it is not" },
	{ "{\"enum\":[\"a\",\"b\"]}", "\"b\"", "\"c\"", "\"c\" is not one of its words" },
	{ "{\"$ref\":\"#/$defs/other\"}", "7", "\"c\"", "not of type integer" },
	{ "{\"pattern\":\"^a+$\"}", "\"aa\"", "\"ab\"", "\"ab\" does not fit" },
	{ "{\"minimum\":3}", "3", "2", "too small" },
	{ "{\"maximum\":3}", "3", "4", "too large" },
	{ "{\"minLength\":1}", "\"a\"", "\"\"", "too short" },
	{ "{\"anyOf\":[{\"type\":\"null\"},{\"$ref\":\"#/$defs/other\"}]}", "1", "\"a\"", "none of" },
	{ "{\"oneOf\":[{\"type\":\"number\"},{\"minimum\":3}]}", "2", "4", "exactly one" },
	{ "{\"$ref\":\"#/$defs/nothing\"}", NULL, "1", "the schema has no #/$defs/nothing" },
	{ "{\"maxLength\":1}", NULL, "1", "the keyword \"maxLength\" of the schema is not known" },
};

START_TEST(keywords_are_checked)
{
	char text[512], why[512] = "";
	json_t *by;

	snprintf(text, sizeof(text), "{\"$defs\":{\"it\":%s,\"other\":{\"type\":\"integer\"}}}", keywords[_i].schema);
	by = json_loads(text, 0, NULL);
	ck_assert_ptr_nonnull(by);
	if (keywords[_i].good)
		ck_assert_msg(is_valid(by, "it", keywords[_i].good, why, sizeof(why)), "%s", why);
	ck_assert(!is_valid(by, "it", keywords[_i].bad, why, sizeof(why)));
	ck_assert_msg(strstr(why, keywords[_i].why), "%s", why);
	ck_assert(!is_valid(by, "nobody", "1", why, sizeof(why)));
	json_decref(by);
}
END_TEST

/* ---- the schema ---- */

#define WHEN	"\"time\":1.5,"
#define WHO	"\"client\":\"me\",\"pid\":7,\"uid\":0,\"gid\":0"
#define PLACE	"\"slice\":\"a/b\",\"index\":0,\"bdf\":\"0000:01:00.0\",\"bar\":0,\"offset\":0,\"length\":4096," \
		"\"read_only\":false,\"write_combining\":false,\"interrupt\":true,"

static const struct {
	const char *name, *good, *bad;
} values[] = {
	{ "revoke", "[{\"lease\":5}]", "[5]" },
	{ "renew", "[{\"lease\":5,\"seconds\":null}]", "[{\"lease\":5,\"seconds\":0}]" },
	{ "read", "[{\"offset\":0,\"value\":\"0x0000beef\"}]", "[{\"offset\":0,\"value\":\"48879\"}]" },
	{ "watch", "{" WHEN "\"event\":\"granted\",\"lease\":5," PLACE "\"seconds\":10," WHO "}",
	  "{" WHEN "\"event\":\"ended\",\"lease\":5," PLACE "\"seconds\":10," WHO "}" },
	{ "watch", "{" WHEN "\"event\":\"missed\",\"missed\":3}", "{" WHEN "\"event\":\"missed\"}" },
	{ "watch", "{" WHEN "\"event\":\"device-lost\",\"device\":null,\"bdf\":\"0000:01:00.0\",\"reason\":\"x\"}",
	  "{" WHEN "\"event\":\"device-lost\",\"device\":\"nic\",\"bdf\":\"01:00.0\",\"reason\":\"x\"}" },
	{ "holder", "{\"kind\":\"mapping\",\"offset\":0,\"length\":1,\"process\":\"x\",\"pid\":1,\"memory_type\":null,\"read_only\":true}",
	  "{\"holder\":\"mapped by x, pid 1, read-only\",\"offset\":0,\"length\":1}" },
	{ "reload", "{\"reloaded\":true}", "{\"reloaded\":\"yes\"}" },
};

START_TEST(values_are_checked)
{
	char why[512] = "";

	ck_assert_msg(is_valid(schema, values[_i].name, values[_i].good, why, sizeof(why)), "%s", why);
	ck_assert_msg(!is_valid(schema, values[_i].name, values[_i].bad, why, sizeof(why)), "%s", values[_i].bad);
}
END_TEST

/* The manual describes the JSON of exactly those commands that have a definition. */
START_TEST(commands_are_defined)
{
	static const char *const commands[] = {
		"list", "bind", "unbind", "show", "devices", "slices", "leases", "renew", "revoke", "watch",
		"status", "reload", "read", "doctor"
	};
	json_t *definitions = json_object_get(schema, "$defs");

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		ck_assert_msg(json_object_get(definitions, commands[i]), "%s", commands[i]);
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("schema");
	TCase *tc = add_group(s, "schema");

	tcase_add_checked_fixture(tc, load, forget);
	tcase_add_loop_test(tc, keywords_are_checked, 0, sizeof(keywords) / sizeof(keywords[0]));
	tcase_add_loop_test(tc, values_are_checked, 0, sizeof(values) / sizeof(values[0]));
	tcase_add_test(tc, commands_are_defined);
	return s;
}
