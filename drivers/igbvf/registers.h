/* SPDX-License-Identifier: MIT */
/*
 * Registers of Intel's 82576, as far as they are used here.  The names are those of the
 * 82576 datasheet.
 */
#ifndef IGBVF_REGISTERS_H
#define IGBVF_REGISTERS_H

/* ---- BAR 0 of a VF: 16 KiB ---- */

/*
 * Page 0: CTRL (0x0, resets the VF), VMBMEM and V2PMAILBOX (0x800, 0xc40: the mailbox).
 * Page 1: interrupts (0x1520 to 0x1740).
 * Page 2: the receive queues, page 3: the transmit queues.  Only these two are lent.
 */
#define VF_PAGE			0x1000
#define VF_QUEUES		0x2000	/* the first byte that a client has */
#define VF_QUEUES_LENGTH	0x2000

/* Not lent: the mailbox, which mailbox.c uses. */
#define VF_MAILBOX_BUFFER	0x800
#define VF_MAILBOX		0xc40
#define MAILBOX_REQ		(1u << 0)	/* there is a message for the PF */
#define MAILBOX_ACK		(1u << 1)	/* the PF's message is read */
#define MAILBOX_VFU		(1u << 2)	/* the VF uses the buffer */
#define MAILBOX_PFSTS		(1u << 4)	/* there is a message of the PF */
#define MAILBOX_PFACK		(1u << 5)	/* the PF has read the VF's message */
/* Messages of the VF, and what the PF's driver adds in its answer. */
#define MAILBOX_RESET		0x01u		/* the VF was reset */
#define MAILBOX_SET_MAC		0x02u
#define MAILBOX_TYPE		0xffffu
#define MAILBOX_SUCCESS		(1u << 31)

/* In the lent part. */
#define VF_RDBAL		0x800
#define VF_RDBAH		0x804
#define VF_RDLEN		0x808	/* bytes, in units of 128 */
#define VF_SRRCTL		0x80c
#define VF_RDH			0x810
#define VF_RDT			0x818
#define VF_RXDCTL		0x828
#define VF_TDBAL		0x1800
#define VF_TDBAH		0x1804
#define VF_TDLEN		0x1808
#define VF_TDH			0x1810
#define VF_TDT			0x1818
#define VF_TXDCTL		0x1828
#define VF_TDWBAL		0x1838
#define VF_TDWBAH		0x183c

#define SRRCTL_2K		2u		/* a buffer's size in KiB */
#define SRRCTL_ONE_BUFFER	(1u << 25)	/* advanced descriptors */
#define SRRCTL_DROP		(1u << 31)	/* packets without a descriptor */
#define QUEUE_ENABLE		(1u << 25)	/* in RXDCTL and TXDCTL */

/* ---- BAR 0 of the PF ---- */

#define PF_CTRL			0x0000
#define PF_STATUS		0x0008
#define PF_MDIC			0x0020
#define PF_RCTL			0x0100
#define PF_TCTL			0x0400
#define PF_VFLRE		0x0c88	/* VFs that were reset; write 1 to clear */
#define PF_VFRE			0x0c8c	/* VFs that receive */
#define PF_VFTE			0x0c90	/* VFs that transmit */
#define PF_QDE			0x2408	/* queues that drop frames if they are full */
#define PF_DTXSWC		0x3500
#define PF_RAL(n)		(0x5400 + 8 * (n))
#define PF_RAH(n)		(0x5404 + 8 * (n))
#define PF_MRQC			0x5818
#define PF_VT_CTL		0x581c
#define PF_VMOLR(vf)		(0x5ad0 + 4 * (vf))

#define CTRL_SLU		(1u << 6)	/* set link up */
#define STATUS_LU		(1u << 1)	/* link up */
#define MDIC_PHY		(1u << 21)	/* its address */
#define MDIC_WRITE		(1u << 26)
#define MDIC_READY		(1u << 28)
#define PHY_CONTROL_AUTONEG	0x1200u		/* register 0: enable and restart it */
#define RCTL_EN			(1u << 1)
#define RCTL_SECRC		(1u << 26)	/* strip the CRC */
#define TCTL_EN			(1u << 1)
#define TCTL_PSP		(1u << 3)	/* pad short frames */
#define DTXSWC_MAC_SPOOF	(1u << 0)	/* for VF 0, and so on */
#define DTXSWC_VLAN_SPOOF	(1u << 8)
#define RAH_POOL		(1u << 18)	/* for VF 0, and so on */
#define RAH_VALID		(1u << 31)
#define MRQC_VMDQ		3u		/* a pool for each VF, by MAC address */
#define VT_CTL_NO_DEFAULT	(1u << 29)	/* drop frames for nobody */
#define VT_CTL_REPLICATE	(1u << 30)	/* broadcasts to all */
#define VMOLR_LENGTH		1522u
#define VMOLR_UNTAGGED		(1u << 24)
#define VMOLR_BROADCAST		(1u << 27)
#define VMOLR_STRIP_CRC		(1u << 31)

#endif
