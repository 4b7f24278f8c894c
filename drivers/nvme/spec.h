/* SPDX-License-Identifier: MIT */
/*
 * What the owner and the client need of the NVM Express Base Specification 2.0 (sections
 * below are of it) and NVM Command Set Specification 1.0.
 */
#ifndef NVME_SPEC_H
#define NVME_SPEC_H

#include <assert.h>
#include <stdint.h>

/* All values of the controller are little endian. */
static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "this driver does not swap bytes");

/* With which this driver runs the controller (CC.MPS 0), whatever the CPU's page is. */
#define NVME_PAGE_SHIFT		12
#define NVME_PAGE		(1u << NVME_PAGE_SHIFT)

/* 3.1.3: controller properties, in BAR 0. */
#define NVME_CAP		0x00
#define NVME_CC			0x14
#define NVME_CSTS		0x1c
#define NVME_AQA		0x24
#define NVME_ASQ		0x28
#define NVME_ACQ		0x30
#define NVME_CMBLOC		0x38
#define NVME_CMBSZ		0x3c
#define NVME_CMBMSC		0x50

#define NVME_CAP_MQES(cap)	((cap) & 0xffff)		/* entries of a queue - 1 */
#define NVME_CAP_TO(cap)	((cap) >> 24 & 0xff)		/* in 500 ms */
#define NVME_CAP_DSTRD(cap)	((cap) >> 32 & 0xf)
#define NVME_CAP_NVM(cap)	((cap) >> 37 & 1)		/* has the NVM command set */
#define NVME_CAP_MPSMIN(cap)	((cap) >> 48 & 0xf)
#define NVME_CAP_CMBS(cap)	((cap) >> 57 & 1)

#define NVME_CC_EN		(1u << 0)
#define NVME_CC_SHN_NORMAL	(1u << 14)
#define NVME_CC_ENTRIES		(6u << 16 | 4u << 20)		/* of 64 and of 16 bytes */

#define NVME_CSTS_RDY		(1u << 0)
#define NVME_CSTS_CFS		(1u << 1)			/* fatal status */
#define NVME_CSTS_SHST(csts)	((csts) >> 2 & 3)
#define NVME_SHST_DONE		2

#define NVME_CMBMSC_CRE		(1u << 0)			/* CMBLOC and CMBSZ can be read */
#define NVME_CMBMSC_CMSE	(1u << 1)			/* it answers at the base address */
#define NVME_CMBLOC_BIR(loc)	((loc) & 7)
#define NVME_CMBLOC_OFST(loc)	((loc) >> 12)			/* in units of CMBSZ */
#define NVME_CMBSZ_SQS		(1u << 0)			/* can have submission queues */
#define NVME_CMBSZ_SZU(size)	((size) >> 8 & 0xf)		/* 4 KiB << 4 * SZU */
#define NVME_CMBSZ_SZ(size)	((size) >> 12)

/* NVMe over PCIe Transport 3.1.2: the doorbells of queue pair @qid. */
#define NVME_SQ_TAIL(qid, stride)	(0x1000 + 2 * (uint64_t)(qid) * (stride))
#define NVME_CQ_HEAD(qid, stride)	(NVME_SQ_TAIL(qid, stride) + (stride))

/* 5: admin commands, and the NVM command set. */
enum nvme_opcode {
	NVME_DELETE_SQ		= 0x00,
	NVME_CREATE_SQ		= 0x01,
	NVME_DELETE_CQ		= 0x04,
	NVME_CREATE_CQ		= 0x05,
	NVME_IDENTIFY		= 0x06,
	NVME_SET_FEATURES	= 0x09,

	NVME_FLUSH		= 0x00,
	NVME_WRITE		= 0x01,
	NVME_READ		= 0x02,
};

#define NVME_IDENTIFY_NAMESPACE		0x00
#define NVME_IDENTIFY_CONTROLLER	0x01
#define NVME_IDENTIFY_ACTIVE		0x02	/* the numbers of the active namespaces */
#define NVME_FEATURE_QUEUES		0x07
#define NVME_QUEUE_CONTIGUOUS		(1u << 0)	/* of Create I/O Queue, dword 11 */
#define NVME_QUEUE_INTERRUPT		(1u << 1)
#define NVME_INVALID_QUEUE		0x101	/* status: Invalid Queue Identifier */

/* 3.3.3.1 */
struct nvme_command {
	uint8_t opcode;
	uint8_t flags;
	uint16_t id;
	uint32_t nsid;
	uint32_t dword2;
	uint32_t dword3;
	uint64_t metadata;
	uint64_t prp1;
	uint64_t prp2;
	uint32_t dword10;
	uint32_t dword11;
	uint32_t dword12;
	uint32_t dword13;
	uint32_t dword14;
	uint32_t dword15;
};
static_assert(sizeof(struct nvme_command) == 64, "submission queue entry");

/* 3.3.3.2 */
struct nvme_entry {
	uint32_t result;
	uint32_t reserved;
	uint16_t sq_head;
	uint16_t sq_id;
	uint16_t id;
	uint16_t status;	/* bit 0 is the phase, which changes when the queue wraps */
};
static_assert(sizeof(struct nvme_entry) == 16, "completion queue entry");

#endif
