/* SPDX-License-Identifier: GPL-2.0-only */
/* The memory attribute of a buffer: how the CPU's mappings of it are cached. */
#ifndef _DVP_MEMATTR_H
#define _DVP_MEMATTR_H

#include <linux/mm.h>

struct dvp_buffer;

int dvp_memattr_set(struct dvp_buffer *buffer, u32 memattr);
bool dvp_memattr_supported(u32 memattr);
pgprot_t dvp_memattr_prot(const struct vm_area_struct *vma, u32 memattr);

#endif
