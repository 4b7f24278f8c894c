/* SPDX-License-Identifier: MIT */
#include <libfyaml.h>
#include <string.h>

#include "syntax.h"

struct fy_diag *syntax_diag(void)
{
	struct fy_diag_cfg cfg;
	struct fy_diag *diag;

	fy_diag_cfg_default(&cfg);
	cfg.fp = NULL;
	diag = fy_diag_create(&cfg);
	if (diag)
		fy_diag_set_collect_errors(diag, true);
	return diag;
}

/* What the library reports, and what helps. */
static const struct {
	const char *said, *helps;
} hints[] = {
	{ "tab character", "indent with spaces" },
	{ "indentation", "indent all settings of a section with the same number of spaces" },
	{ "invalid alias", "quote a value that begins with \"*\"" },
	{ "anchor", "quote a value that begins with \"&\"" },
	{ "cannot start with", "quote the value" },
	{ "closing quote", "add the quote" },
	{ "nested block mapping", "quote a value that has \": \" in it, or begin a new line" },
	{ "multiline plain key", "indent the next line like this one, or write no value here" },
	{ "could not find expected ':'", "write name: value" },
};

static const char *hint(const char *said)
{
	for (size_t i = 0; i < sizeof(hints) / sizeof(hints[0]); i++)
		if (strstr(said, hints[i].said))
			return hints[i].helps;
	return "write YAML: name: value, [a, list], {a: map}";
}

void syntax_report(struct mistakes *mistakes, const char *file, struct fy_diag *diag,
		   const struct node *open)
{
	struct fy_diag_error *error;
	void *previous = NULL;
	bool said = false;

	while ((error = fy_diag_errors_iterate(diag, &previous))) {
		struct place place = { file, error->line > 0 ? error->line : 1,
				       error->column > 0 ? error->column : 1 };

		if (error->type != FYET_ERROR || !error->msg)
			continue;
		said = true;
		if (open)
			mistake(mistakes, &place, "%s; is the \"%c\" of line %u closed?", error->msg,
				open->type == NODE_MAP ? '{' : '[', open->place.line);
		else
			mistake(mistakes, &place, "%s; %s", error->msg, hint(error->msg));
	}
	if (!said)
		mistake(mistakes, &(struct place){ .file = file },
			"the YAML parser failed; is there enough memory?");
}
