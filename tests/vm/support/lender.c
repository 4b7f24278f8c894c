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
	"      page: {length: @PAGE@, allow: {users: [root, 1000]}, on_release:\n"
	"        [{offset: 4, value: 0x11111111}, {offset: 4, value: 0x12345678}]}\n"
	"      shared: {length: @PAGE@, offset: @PAGE@, sharing: shared, allow: everybody}\n"
	"      inside: {length: @4PAGE@, allow: everybody}\n"
	"      array: {length: @PAGE@, offset: @8PAGE@, count: 8, allow: everybody}\n"
	"      look: {length: @PAGE@, offset: @16PAGE@, read_only: true, sharing: shared,\n"
	"        allow: {groups: [2000]}}\n"
	"      short: {length: @PAGE@, offset: @32PAGE@, max_time: 1s, allow: everybody}\n"
	"      unit: {length: @PAGE@, offset: @48PAGE@, allow: {cgroups: [/test/allowed]}}\n"
	"  nvme:\n"
	"    function: @NVME@\n"
	"    reset: always\n"
	"    slices:\n"
	"      registers: {length: @PAGE@, sharing: shared, allow: everybody}\n"
	"  mem:\n"
	"    function: @IVSHMEM@\n"
	"    reset: never\n"
	"    slices:\n"
	"      wc: {bar: 2, length: @PMD@, caching: write-combining, allow: everybody}\n";

static const char queues_config[] =
	"devices:\n"
	"  nvme:\n"
	"    function: @NVME@\n"
	"    driver: nvme\n"
	"    slices:\n"
	"      queue: {offset: 4K, length: 4K, sharing: shared, memory: 1M, depth: 31, allow: everybody}\n"
	"      wakes: {offset: 4K, length: 4K, sharing: shared, memory: 1M, depth: 31, interrupt: true,\n"
	"        allow: everybody}\n";

pid_t lender;

static void start(const char *config)
{
	unlink(BROKER_LOG);
	manager_init();
	broker_configure(config);
	lender = broker_start();
}

void lender_start(void)
{
	start(lender_config);
}

void lender_start_queues(void)
{
	start(queues_config);
}

void lender_stop(void)
{
	broker_stop(lender, SIGTERM);
}
