/* SPDX-License-Identifier: GPL-2.0-only */
/* What differs between kernels for the modules of the tests. */
#ifndef TESTS_MODULES_COMPAT_H
#define TESTS_MODULES_COMPAT_H

#include <linux/module.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 13, 0)
#define IMPORT_NS(ns)	MODULE_IMPORT_NS(ns)
#else
#define IMPORT_NS(ns)	MODULE_IMPORT_NS(#ns)
#endif

/* A member of struct dma_buf_attach_ops. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(7, 0, 0)
#define invalidate_mappings move_notify
#endif

#endif
