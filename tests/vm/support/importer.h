/* SPDX-License-Identifier: MIT */
/*
 * An importer of slices: the lab's device EDU2 under the tests' own kernel
 * driver, see modules/importer/importer.h.
 */
#ifndef TESTS_IMPORTER_H
#define TESTS_IMPORTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "device.h"
#include "importer/importer.h"

/* Why no importer can attach here; NULL if one can. */
const char *importers_missing(void);
/* Give EDU2 to the importer, and back; in the parent of the tests. */
void importer_bind(void);
void importer_unbind(void);

/* A file of the importer; the test fails if there is none. */
int importer_open(void);
/* 0, or -1 with errno, for each. */
int importer_try_attach(int importer, int slice, const struct device *exporter,
			uint32_t flags);
/*
 * The same. When the importer is notified to unmap, it records the value of the
 * exporter's register at byte @offset of @bar.
 */
int importer_attach_watching(int importer, int slice,
			     const struct device *exporter, uint32_t flags,
			     uint32_t bar, uint32_t offset);
int importer_map(int importer, uint32_t direction);
int importer_unmap(int importer);
int importer_detach(int importer);
/* Starts a transfer of what the device got last; it takes 100 ms. */
int importer_start(int importer, uint64_t offset, uint32_t length,
		   bool writes);
/*
 * Starts a process that holds the lock of the reservation of the importer's DMABUF,
 * and returns when it does.  Killing the process ends that; the importer may map
 * before it gives the lock up.
 */
pid_t importer_hold(int importer, bool then_map);

/* A revocable importer that is attached; the test fails if it cannot be. */
int importer_attach(int slice, const struct device *exporter);
struct importer_status importer_status(int importer);
/* Returns after this number of notifications. The test fails if they do not come soon. */
void importer_wait_notified(int importer, unsigned int times);
/* The device reads or writes bytes; the test fails if it cannot. */
void importer_read(int importer, uint64_t offset, void *data, size_t size);
void importer_write(int importer, uint64_t offset, const void *data, size_t size);

#endif
