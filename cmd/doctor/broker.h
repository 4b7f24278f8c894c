/* SPDX-License-Identifier: MIT */
/* The broker: whether it answers, and whether it grants leases of the slices that it has. */
#ifndef CMD_DOCTOR_BROKER_H
#define CMD_DOCTOR_BROKER_H

#include "findings.h"

/* @path: the broker's socket. */
void check_broker(const char *path, struct findings *findings);

#endif
