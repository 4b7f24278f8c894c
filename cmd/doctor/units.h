/* SPDX-License-Identifier: MIT */
/* The broker's units of systemd. */
#ifndef CMD_DOCTOR_UNITS_H
#define CMD_DOCTOR_UNITS_H

#include "findings.h"

/* @text: their properties, as "systemctl show" prints them: an empty line divides units. */
void judge_units(const char *text, struct findings *findings);
/* Without systemd, nothing is found. */
void check_units(struct findings *findings);

#endif
