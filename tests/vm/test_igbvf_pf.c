// SPDX-License-Identifier: MIT
/* Virtual functions that are lent to clients, while the kernel's driver igb has the PF. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "igbvf/flows.h"
#include "suite.h"
#include "sysfs.h"

static void setup_kernel_pf(void)
{
	const char *bdf = lab_bdf("IGB");
	char names[VFS][64], command[256];
	const char *vfs[VFS];
	char error[VDB_ERROR_SIZE];

	flows_start_clients();
	ck_assert_int_eq(system("modprobe igb"), 0);
	driver_bind(bdf, "igb");
	snprintf(command, sizeof(command), "cd /sys/bus/pci/devices/%s/net && ip link set * up && "
		 "until grep -q 1 */carrier; do usleep 20000; done", bdf);
	ck_assert_int_eq(system(command), 0);
	/* Otherwise the kernel's driver for VFs takes them, if it is there. */
	ck_assert_works(sysfs_write(bdf, "sriov_drivers_autoprobe", "0"));
	ck_assert_works(sysfs_write(bdf, "sriov_numvfs", "2"));
	for (unsigned int i = 0; i < VFS; i++) {
		find_vf(i, names[i], sizeof(names[i]));
		driver_bind(names[i], DRIVER);
		vfs[i] = names[i];
	}
	port = igbvf_owner_open_vfs(vfs, VFS, error);
	ck_assert_msg(port, "%s", error);
	for (unsigned int i = 0; i < VFS; i++) {
		flow_lend(&flows[i], i);
		flow_give(&flows[i], flows[i].client);
		flow_start(&flows[i]);
	}
}

/* As with this owner's PF: the frames are the same, and so is the way back. */
START_TEST(kernel_drives_the_pf)
{
	for (unsigned int i = 0; i < VFS; i++)
		ck_assert_works(flow_call(&flows[i], step_echo));
	flows_traffic(flows, VFS, 40);
	flow_fill(&flows[1]);
	ck_assert_works(igbvf_revoke(port, 0));
	flows_traffic(&flows[1], 1, 40);
	flow_lend(&flows[0], 0);
	flow_give(&flows[0], spare[0]);
	flow_start(&flows[0]);
	ck_assert_works(flow_call(&flows[0], step_echo));
	flows_traffic(flows, VFS, 40);
	for (unsigned int i = 0; i < VFS; i++)
		flow_check(&flows[i]);
}
END_TEST

START_TEST(kernel_does_not_answer)
{
	char command[128], error[VDB_ERROR_SIZE] = "";
	struct igbvf_lent lent;

	ck_assert_works(igbvf_revoke(port, 0));
	snprintf(command, sizeof(command), "ip link set $(ls /sys/bus/pci/devices/%s/net) down", lab_bdf("IGB"));
	ck_assert_int_eq(system(command), 0);
	ck_assert_fails(igbvf_lend(port, 0, flows[0].mac, flow_lengths[0], &lent, error), ETIMEDOUT);
	ck_assert_ptr_nonnull(strstr(error, "mailbox"));
}
END_TEST

static const char *missing(void)
{
	if (!peer_missing() && system("modprobe igb 2>/dev/null"))
		return "this kernel has no igb";
	return peer_missing();
}

Suite *suite(void)
{
	Suite *s = suite_create("igbvf_pf");
	TCase *tc = add_group(s, "kernel");

	if (!missing()) {
		tcase_add_unchecked_fixture(tc, flows_begin, flows_end);
		tcase_add_checked_fixture(tc, setup_kernel_pf, NULL);
	}
	add_test_or_skip(tc, kernel_drives_the_pf, missing());
	add_test_or_skip(tc, kernel_does_not_answer, missing());
	return s;
}
