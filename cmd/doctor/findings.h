/* SPDX-License-Identifier: MIT */
/* What the doctor finds, and prints. */
#ifndef CMD_DOCTOR_FINDINGS_H
#define CMD_DOCTOR_FINDINGS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum verdict {
	GOOD,
	WARNING,
	MISSING,	/* the exit status is then 1 */
};

struct finding {
	const char *check;	/* its id, which is the same in every version */
	enum verdict verdict;
	char function[16];	/* the subject; "": none */
	char text[512];		/* what was found */
	char advice[512];	/* what to do; "": nothing */
};

struct findings {
	struct finding *list;
	size_t nr;
};

__attribute__((format(printf, 4, 5)))
void found(struct findings *findings, const char *check, enum verdict verdict, const char *format, ...);
/* Adds what to do to the last finding. */
__attribute__((format(printf, 2, 3)))
void advise(struct findings *findings, const char *format, ...);
/* Sets the function of the last finding. */
void concerns(struct findings *findings, const char *bdf);

bool findings_any(const struct findings *findings, enum verdict verdict);
void findings_print(const struct findings *findings);
json_t *findings_json(const struct findings *findings);
void findings_free(struct findings *findings);

#endif
