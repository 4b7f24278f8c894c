/* SPDX-License-Identifier: MIT */
/* The broker's systemd units. */
#ifndef CMD_DOCTOR_UNITS_H
#define CMD_DOCTOR_UNITS_H

#include "findings.h"

/* @text: their properties, as "systemctl show" prints them, with an empty line between units. */
void judge_units(const char *text, struct findings *findings);
/* Finds nothing without systemd. */
void check_units(struct findings *findings);

#endif
