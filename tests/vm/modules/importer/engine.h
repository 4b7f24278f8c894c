/* SPDX-License-Identifier: GPL-2.0-only */
/* The engine: what moves bytes between edu's own memory and anything on the bus. */
#ifndef TEST_IMPORTER_ENGINE_H
#define TEST_IMPORTER_ENGINE_H

#include <linux/mutex.h>
#include <linux/types.h>

struct pci_dev;

struct engine {
	struct mutex lock;	/* one transfer at a time; innermost */
	void __iomem *registers;
	void *page;		/* IMPORTER_MOST bytes that it can reach, ... */
	dma_addr_t page_dma;	/* ... here */
};

int engine_init(struct engine *engine, struct pci_dev *pdev);
void engine_exit(struct engine *engine, struct pci_dev *pdev);

int engine_wait(struct engine *engine);
int engine_start(struct engine *engine, dma_addr_t addr, u32 at, u32 length,
		 bool writes);
int engine_run(struct engine *engine, dma_addr_t addr, u32 at, u32 length,
	       bool writes);

#endif
