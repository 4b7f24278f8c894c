// SPDX-License-Identifier: MIT
/* The physical function of an Intel 82576; chapter 7.10 of its datasheet (virtualization). */
#include "pf.h"

#include <stddef.h>
#include <vfio-dmabuf-mmio.h>

#include "registers.h"

static uint32_t get(const volatile void *registers, unsigned int at)
{
	return vdb_read32((const volatile char *)registers + at);
}

static void set(volatile void *registers, unsigned int at, uint32_t value)
{
	vdb_write32((volatile char *)registers + at, value);
}

/* Each VF has a place of its own in the table of addresses; place 0 is the PF's. */
static unsigned int place(unsigned int vf)
{
	return 1 + vf;
}

void igbvf_pf_start(volatile void *registers)
{
	set(registers, PF_VFRE, 0);
	set(registers, PF_VFTE, 0);
	for (unsigned int i = 0; i < 1 + IGBVF_VFS; i++) {
		set(registers, PF_RAH(i), 0);
		set(registers, PF_RAL(i), 0);
	}
	set(registers, PF_MRQC, MRQC_VMDQ);
	set(registers, PF_VT_CTL, VT_CTL_NO_DEFAULT | VT_CTL_REPLICATE);
	/* A VF whose ring is full must not stop the others' frames. */
	set(registers, PF_QDE, 0xffff);
	set(registers, PF_TCTL, get(registers, PF_TCTL) | TCTL_EN | TCTL_PSP);
	set(registers, PF_RCTL, RCTL_EN | RCTL_SECRC);
	set(registers, PF_CTRL, get(registers, PF_CTRL) | CTRL_SLU);
	set(registers, PF_MDIC, MDIC_WRITE | MDIC_PHY | PHY_CONTROL_AUTONEG);
}

bool igbvf_pf_link(const volatile void *registers)
{
	return get(registers, PF_STATUS) & STATUS_LU;
}

void igbvf_pf_admit(volatile void *registers, unsigned int vf, const uint8_t mac[6])
{
	uint32_t low = mac[0] | mac[1] << 8 | mac[2] << 16 | (uint32_t)mac[3] << 24;
	uint32_t high = mac[4] | mac[5] << 8;

	set(registers, PF_VFLRE, 1u << vf);
	set(registers, PF_RAL(place(vf)), low);
	set(registers, PF_RAH(place(vf)), high | RAH_POOL << vf | RAH_VALID);
	set(registers, PF_VMOLR(vf), VMOLR_LENGTH | VMOLR_UNTAGGED | VMOLR_BROADCAST | VMOLR_STRIP_CRC);
	set(registers, PF_DTXSWC, get(registers, PF_DTXSWC) | (DTXSWC_MAC_SPOOF | DTXSWC_VLAN_SPOOF) << vf);
	set(registers, PF_VFRE, get(registers, PF_VFRE) | 1u << vf);
	set(registers, PF_VFTE, get(registers, PF_VFTE) | 1u << vf);
}

void igbvf_pf_dismiss(volatile void *registers, unsigned int vf)
{
	set(registers, PF_VFTE, get(registers, PF_VFTE) & ~(1u << vf));
	set(registers, PF_VFRE, get(registers, PF_VFRE) & ~(1u << vf));
	set(registers, PF_VMOLR(vf), 0);
	set(registers, PF_RAH(place(vf)), 0);
	/* The device has done what was written before, when it answers. */
	get(registers, PF_STATUS);
}
