/* SPDX-License-Identifier: MIT */
/* What the doctor finds, and prints. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "findings.h"

static const char *const verdicts[] = { "ok", "warning", "missing" };

void found(struct findings *findings, const char *check, enum verdict verdict, const char *format, ...)
{
	struct finding *finding;
	va_list args;

	findings->list = reallocarray(findings->list, findings->nr + 1, sizeof(*finding));
	if (!findings->list)
		abort();
	finding = &findings->list[findings->nr++];
	*finding = (struct finding){ .check = check, .verdict = verdict };
	va_start(args, format);
	vsnprintf(finding->text, sizeof(finding->text), format, args);
	va_end(args);
}

void advise(struct findings *findings, const char *format, ...)
{
	struct finding *last = &findings->list[findings->nr - 1];
	va_list args;

	va_start(args, format);
	vsnprintf(last->advice, sizeof(last->advice), format, args);
	va_end(args);
}

void concerns(struct findings *findings, const char *bdf)
{
	struct finding *last = &findings->list[findings->nr - 1];

	snprintf(last->function, sizeof(last->function), "%s", bdf);
}

bool findings_any(const struct findings *findings, enum verdict verdict)
{
	for (size_t i = 0; i < findings->nr; i++)
		if (findings->list[i].verdict == verdict)
			return true;
	return false;
}

void findings_print(const struct findings *findings)
{
	for (size_t i = 0; i < findings->nr; i++) {
		const struct finding *one = &findings->list[i];

		printf("%-8s %-8s %s%s%s\n", verdicts[one->verdict], one->check, one->function,
		       *one->function ? ": " : "", one->text);
		if (*one->advice)
			printf("%18s%s\n", "", one->advice);
	}
}

static json_t *text_or_null(const char *text)
{
	return *text ? json_string(text) : json_null();
}

json_t *findings_json(const struct findings *findings)
{
	json_t *list = json_array();

	for (size_t i = 0; i < findings->nr; i++) {
		const struct finding *one = &findings->list[i];

		json_array_append_new(list, json_pack("{s:s,s:s,s:o,s:s,s:o}", "check", one->check,
						      "verdict", verdicts[one->verdict],
						      "function", text_or_null(one->function),
						      "text", one->text,
						      "advice", text_or_null(one->advice)));
	}
	return list;
}

void findings_free(struct findings *findings)
{
	free(findings->list);
	*findings = (struct findings){ 0 };
}
