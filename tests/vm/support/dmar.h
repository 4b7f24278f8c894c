/* SPDX-License-Identifier: MIT */
/* Faults of devices' DMA, as the kernel logs them. */
#ifndef TESTS_DMAR_H
#define TESTS_DMAR_H

#include <stddef.h>
#include <stdint.h>

/*
 * What the kernel logs of a fault: of any device; of one; of one at an IOVA.  Without what
 * not all kernels log: the domain, and of an SMMU before 7.0 the device.
 */
#ifdef __aarch64__
#define DMAR_FAULT	": event 0x"
#else
#define DMAR_FAULT	"fault addr 0x"
#endif
void dmar_text(const char *bdf, char *text, size_t size);
void dmar_text_at(const char *bdf, uint64_t iova, char *text, size_t size);

/* What makes a device access an IOVA. */
typedef void dmar_access(uint64_t iova, void *data);

/*
 * The test fails if the accesses of @bdf to @iova are not logged as faults.  Calls
 * @access, several times if necessary: the kernel logs only some faults in 5 s.
 */
void dmar_check_fault(const char *bdf, uint64_t iova, dmar_access *access, void *data);

#endif
