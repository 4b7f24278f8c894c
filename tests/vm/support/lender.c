// SPDX-License-Identifier: MIT
/* A broker with slices of all kinds, and low limits. */
#include <signal.h>
#include <unistd.h>

#include "broker.h"
#include "lender.h"
#include "manager.h"

const char lender_config[] =
	"user = \"client\"\n"
	"max_clients = 8\n"
	"max_clients_per_user = 5\n"
	"max_leases = 8\n"
	"max_leases_per_client = 4\n"
	"max_leases_per_user = 6\n"
	"admin_users = { \"1001\" }\n"
	"device \"edu\" {\n"
	"	bdf = \"@EDU@\"\n"
	"	reset = never\n"
	"	slice \"page\" { length = 0x1000  users = { \"root\", \"1000\" }\n"
	"		quiesce = { \"0x4:32=0x11111111\", \"0x4:32=0x12345678\" } }\n"
	"	slice \"shared\" { length = 0x1000 offset = 0x1000 sharing = shared users = { \"*\" } }\n"
	"	slice \"inside\" { length = 0x4000  users = { \"*\" } }\n"
	"	slice \"array\" { length = 0x1000 offset = 0x8000 count = 8 users = { \"*\" } }\n"
	"	slice \"look\" { length = 0x1000 offset = 0x10000 read_only = true\n"
	"		sharing = shared groups = { \"2000\" } }\n"
	"	slice \"short\" { length = 0x1000 offset = 0x20000 max_seconds = 1 users = { \"*\" } }\n"
	"	slice \"unit\" { length = 0x1000 offset = 0x30000 cgroups = { \"/test/allowed\" } }\n"
	"}\n"
	"device \"nvme\" {\n"
	"	bdf = \"@NVME@\"\n"
	"	reset = always\n"
	"	slice \"registers\" { length = 0x1000 sharing = shared users = { \"*\" } }\n"
	"}\n"
	"device \"mem\" {\n"
	"	reset = never\n"
	"	bdf = \"@IVSHMEM@\"\n"
	"	slice \"wc\" { bar = 2 length = 0x200000 memory = \"write-combining\" users = { \"*\" } }\n"
	"}\n";

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
