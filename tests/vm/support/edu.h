/* SPDX-License-Identifier: MIT */
/* The registers of QEMU's "edu" device, all in BAR 0. */
#ifndef TESTS_EDU_H
#define TESTS_EDU_H

#define EDU_ID			0x00	/* reads EDU_ID_VALUE */
#define EDU_LIVENESS		0x04	/* reads as the complement of what was written */
#define EDU_IRQ_STATUS		0x24
#define EDU_IRQ_RAISE		0x60	/* sets bits of the status */
#define EDU_IRQ_ACK		0x64	/* clears them */
#define EDU_DMA_SOURCE		0x80
#define EDU_DMA_DESTINATION	0x88
#define EDU_DMA_COUNT		0x90
#define EDU_DMA_COMMAND		0x98

#define EDU_ID_VALUE		0x010000edu

#define EDU_DMA_START		0x1
#define EDU_DMA_FROM_DEVICE	0x2
#define EDU_DMA_IRQ		0x4
#define EDU_DMA_IRQ_STATUS	0x100

/* The device's own memory, which only its DMA engine reaches. */
#define EDU_BUFFER		0x40000
#define EDU_BUFFER_SIZE		4096

#endif
