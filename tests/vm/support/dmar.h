/* SPDX-License-Identifier: MIT */
/* Faults of devices' DMA, as the kernel logs them. */
#ifndef TESTS_DMAR_H
#define TESTS_DMAR_H

#include <stdint.h>

/* What makes a device access an IOVA. */
typedef void dmar_access(uint64_t iova, void *data);

/*
 * The test fails if the accesses of @bdf to @iova are not logged as faults.  Calls
 * @access, several times if necessary: the kernel logs only some faults in 5 s.
 */
void dmar_check_fault(const char *bdf, uint64_t iova, dmar_access *access, void *data);

#endif
