/* SPDX-License-Identifier: MIT */
/* Errors of libfyaml become mistakes. */
#ifndef CONFIG_SYNTAX_H
#define CONFIG_SYNTAX_H

#include "tree.h"

struct fy_diag;

/* Collects errors of the library; the caller destroys it.  NULL: no memory. */
struct fy_diag *syntax_diag(void);
/* @open: the map or list whose brace or bracket was open at the error; NULL: none. */
void syntax_report(struct mistakes *mistakes, const char *file, struct fy_diag *diag,
		   const struct node *open);

#endif
