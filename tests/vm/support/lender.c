// SPDX-License-Identifier: MIT
/* A broker with slices of all kinds, and low limits. */
#include <signal.h>
#include <unistd.h>

#include "broker.h"
#include "lender.h"
#include "manager.h"

const char lender_config[] =
	"limits: {connections: 13, connections_per_user: 5, leases: 12,\n"
	"  leases_per_user: 6, leases_per_connection: 4}\n"
	"kept: {root: {connections: 4, leases: 4}, 1001: {connections: 1}}\n"
	"admins: {users: [1001]}\n"
	"devices:\n"
	"  edu:\n"
	"    function: @EDU@\n"
	"    reset: never\n"
	"    slices:\n"
	"      page: {length: 4K, allow: {users: [root, 1000]}, on_release:\n"
	"        [{offset: 4, value: 0x11111111}, {offset: 4, value: 0x12345678}]}\n"
	"      shared: {length: 4K, offset: 4K, sharing: shared, allow: everybody}\n"
	"      inside: {length: 16K, allow: everybody}\n"
	"      array: {length: 4K, offset: 32K, count: 8, allow: everybody}\n"
	"      look: {length: 4K, offset: 64K, read_only: true, sharing: shared,\n"
	"        allow: {groups: [2000]}}\n"
	"      short: {length: 4K, offset: 128K, max_time: 1s, allow: everybody}\n"
	"      unit: {length: 4K, offset: 192K, allow: {cgroups: [/test/allowed]}}\n"
	"  nvme:\n"
	"    function: @NVME@\n"
	"    reset: always\n"
	"    slices:\n"
	"      registers: {length: 4K, sharing: shared, allow: everybody}\n"
	"  mem:\n"
	"    function: @IVSHMEM@\n"
	"    reset: never\n"
	"    slices:\n"
	"      wc: {bar: 2, length: 2M, caching: write-combining, allow: everybody}\n";

pid_t lender;

void lender_start(void)
{
	unlink(BROKER_LOG);
	manager_init();
	broker_configure(lender_config);
	lender = broker_start();
}

void lender_stop(void)
{
	broker_stop(lender, SIGTERM);
}
