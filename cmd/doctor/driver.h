/* SPDX-License-Identifier: MIT */
/* The driver and the VFIO modules it needs: installed, ours, and the build that is loaded next. */
#ifndef CMD_DOCTOR_DRIVER_H
#define CMD_DOCTOR_DRIVER_H

#include "findings.h"
#include "module_file.h"

/* The description in our module. */
#define DRIVER_DESCRIPTION	"VFIO PCI with BAR mappings backed by DMABUFs"

void judge_driver(const struct modules *modules, struct findings *findings);
void check_vfio(struct findings *findings);

#endif
