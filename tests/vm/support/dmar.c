// SPDX-License-Identifier: MIT
/* Faults of devices' DMA, as the kernel logs them. */
#define _GNU_SOURCE
#include "dmar.h"

#include <stdio.h>
#include <unistd.h>

#include "kmsg.h"
#include "suite.h"

void dmar_check_fault(const char *bdf, uint64_t iova, dmar_access *access, void *data)
{
	int kmsg = kmsg_open();
	char text[128];

#ifdef __aarch64__
	/* The third word of the SMMU's event.  Kernels before 7.0 do not write the device's name. */
	(void)bdf;
	snprintf(text, sizeof(text), "0x%016llx", (unsigned long long)iova);
#else
	/* Without the domain, which not all kernels write. */
	snprintf(text, sizeof(text), "%s] fault addr 0x%llx", bdf + 5, (unsigned long long)iova);
#endif
	for (int tries = 0; tries < 5; tries++) {
		access(iova, data);
		if (kmsg_wait_for(kmsg, text, 6)) {
			close(kmsg);
			return;
		}
	}
	ck_abort_msg("the kernel has not logged \"%s\"", text);
}
