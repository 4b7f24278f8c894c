/* SPDX-License-Identifier: MIT */
/* Functions that are bound to the driver, and whether this user may open them. */
#ifndef CMD_DOCTOR_FUNCTIONS_H
#define CMD_DOCTOR_FUNCTIONS_H

#include "findings.h"

/*
 * A virtual function @bdf of @physical, which has @driver ("": none).  If that is a VFIO
 * driver, a process needs the token of the physical function to open the virtual one.
 */
void judge_token(const char *bdf, const char *physical, const char *driver, struct findings *findings);
void check_functions(struct findings *findings);

#endif
