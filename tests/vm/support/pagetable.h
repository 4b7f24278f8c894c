/* SPDX-License-Identifier: MIT */
/* What really stands in the page tables. */
#ifndef TESTS_PAGETABLE_H
#define TESTS_PAGETABLE_H

#include <stdbool.h>
#include <stdint.h>

#include "client.h"

enum memory_type {
	TYPE_NONE,	/* no entry is present */
	TYPE_WB,
	TYPE_WC,
	TYPE_UC_MINUS,	/* of VFIO_DMABUF_MEMATTR_NC; on arm64 Device-nGnRnE */
	TYPE_UC,	/* on arm64 Device-nGnRE */
	TYPE_OTHER,	/* none that the kernel would choose here */
};

struct page_entry {
	enum memory_type type;
	uint64_t size;		/* of the page */
	uint64_t frame;		/* its physical address */
	bool writable;
};

/* Why a BAR is never mapped with pages of 1 GiB on this machine; NULL if it can be. */
const char *no_gigabyte_pages(void);
/* Loads the kernel module that reads page tables; called by suite(). */
void pagetable_init(void);
/* The entry of an address of this process, without an access to the address. */
struct page_entry page_entry(const void *address);
/* That of an address of a client. */
struct page_entry client_page_entry(struct client *c, long address);

#endif
