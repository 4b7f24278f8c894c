// SPDX-License-Identifier: MIT
/* Faults of devices' DMA, as the kernel logs them. */
#define _GNU_SOURCE
#include "dmar.h"

#include <stdio.h>
#include <unistd.h>

#include "kmsg.h"
#include "suite.h"

void dmar_text(const char *bdf, char *text, size_t size)
{
#ifdef __aarch64__
	snprintf(text, size, "client: %s ", bdf);
#else
	snprintf(text, size, "%s] " DMAR_FAULT, bdf + 5);
#endif
}

void dmar_text_at(const char *bdf, uint64_t iova, char *text, size_t size)
{
#ifdef __aarch64__
	/*
	 * The third word of the event, without the place in the page: it logs ten events in
	 * 5 s, and a device that reads a page makes more.
	 */
	(void)bdf;
	snprintf(text, size, "0x%013llx", (unsigned long long)iova >> 12);
#else
	snprintf(text, size, "%s] " DMAR_FAULT "%llx", bdf + 5, (unsigned long long)iova);
#endif
}

void dmar_check_fault(const char *bdf, uint64_t iova, dmar_access *access, void *data)
{
	int kmsg = kmsg_open();
	char text[128];

	dmar_text_at(bdf, iova, text, sizeof(text));
	for (int tries = 0; tries < 5; tries++) {
		access(iova, data);
		if (kmsg_wait_for(kmsg, text, 6)) {
			close(kmsg);
			return;
		}
	}
	ck_abort_msg("the kernel has not logged \"%s\"", text);
}
