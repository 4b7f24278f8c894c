/* SPDX-License-Identifier: MIT */
/* The IOMMU, without which no function can be bound. */
#ifndef CMD_DOCTOR_IOMMU_H
#define CMD_DOCTOR_IOMMU_H

#include "findings.h"

struct iommu_facts {
	bool groups;		/* functions have groups, other than those of the no-IOMMU mode */
	bool registered;	/* the kernel uses an IOMMU */
	bool described;		/* the firmware describes one */
	bool virtual_machine;
	enum cpu {
		CPU_OTHER,
		CPU_INTEL,
		CPU_AMD,
	} cpu;
	const char *command_line;	/* the kernel's */
	/* VFIO's mode without IOMMU. */
	enum noiommu {
		NOIOMMU_UNKNOWN,	/* vfio is not loaded */
		NOIOMMU_ABSENT,		/* the kernel is built without it */
		NOIOMMU_OFF,
		NOIOMMU_ON,
	} noiommu;
};

void judge_iommu(const struct iommu_facts *facts, struct findings *findings);
void check_iommu(struct findings *findings);

#endif
