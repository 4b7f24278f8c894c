// SPDX-License-Identifier: GPL-2.0-only
/* edu's DMA engine. */
#include <linux/dma-mapping.h>
#include <linux/iopoll.h>
#include <linux/pci.h>
#include "../../support/edu.h"
#include "engine.h"
#include "importer.h"

int engine_init(struct engine *engine, struct pci_dev *pdev)
{
	int ret;

	mutex_init(&engine->lock);

	/* As wide as the lab's machine makes it; its default is narrower. */
	ret = dma_set_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64));
	if (ret)
		return ret;

	engine->registers = pci_iomap(pdev, 0, 0);
	if (!engine->registers)
		return -ENOMEM;

	engine->page = dma_alloc_coherent(&pdev->dev, IMPORTER_MOST,
					  &engine->page_dma, GFP_KERNEL);
	if (!engine->page) {
		pci_iounmap(pdev, engine->registers);
		return -ENOMEM;
	}
	return 0;
}

void engine_exit(struct engine *engine, struct pci_dev *pdev)
{
	dma_free_coherent(&pdev->dev, IMPORTER_MOST, engine->page,
			  engine->page_dma);
	pci_iounmap(pdev, engine->registers);
	mutex_destroy(&engine->lock);
}

/* Wait until it has finished. */
int engine_wait(struct engine *engine)
{
	u32 command;

	return readl_poll_timeout(engine->registers + EDU_DMA_COMMAND, command,
				  !(command & EDU_DMA_START), 1000,
				  20 * USEC_PER_SEC);
}

/*
 * Start a transfer between @addr of the bus and byte @at of the engine's
 * memory.  It must lie within that memory: QEMU ends itself otherwise.
 */
int engine_start(struct engine *engine, dma_addr_t addr, u32 at, u32 length,
		 bool writes)
{
	u32 own = EDU_BUFFER + at;
	int ret;

	lockdep_assert_held(&engine->lock);

	if (at > IMPORTER_MOST || length > IMPORTER_MOST - at)
		return -EINVAL;
	ret = engine_wait(engine);
	if (ret)
		return ret;

	writeq(writes ? own : addr, engine->registers + EDU_DMA_SOURCE);
	writeq(writes ? addr : own, engine->registers + EDU_DMA_DESTINATION);
	writel(length, engine->registers + EDU_DMA_COUNT);
	writel(EDU_DMA_START | (writes ? EDU_DMA_FROM_DEVICE : 0),
	       engine->registers + EDU_DMA_COMMAND);
	return 0;
}

int engine_run(struct engine *engine, dma_addr_t addr, u32 at, u32 length,
	       bool writes)
{
	return engine_start(engine, addr, at, length, writes) ?:
	       engine_wait(engine);
}
