// SPDX-License-Identifier: MIT
/* The command, as people and scripts use it. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker.h"
#include "device.h"
#include "edu.h"
#include "kernel.h"
#include "manager.h"
#include "suite.h"
#include "sysfs.h"

#define DISK	"/dev/nvme0n1"

static char out[65536];

/* Runs it, stderr included; its exit status. */
__attribute__((format(printf, 1, 2)))
static int vfio_dmabuf(const char *format, ...)
{
	char command[512];
	size_t length;
	va_list args;
	FILE *pipe;
	int status, at = sprintf(command, "/usr/bin/vfio-dmabuf ");

	va_start(args, format);
	vsnprintf(command + at, sizeof(command) - at - 6, format, args);
	va_end(args);
	strcat(command, " 2>&1");
	pipe = popen(command, "r");
	ck_assert_ptr_nonnull(pipe);
	length = fread(out, 1, sizeof(out) - 1, pipe);
	out[length] = '\0';
	status = pclose(pipe);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void check_says(const char *text)
{
	ck_assert_msg(strstr(out, text), "\"%s\" is not in: %s", text, out);
}

static void check_says_not(const char *text)
{
	ck_assert_msg(!strstr(out, text), "\"%s\" is in: %s", text, out);
}

#define ck_assert_runs(...)	do {					\
	int ck_status = vfio_dmabuf(__VA_ARGS__);			\
	ck_assert_msg(!ck_status, "status %d: %s", ck_status, out);	\
} while (0)

/* ---- list ---- */

START_TEST(list_shows_functions)
{
	ck_assert_runs("list");
	check_says(lab_bdf("EDU"));
	check_says("Inter-VM shared memory");
	check_says("BAR 0  1 MiB     32-bit memory");
	check_says_not(lab_bdf("PORT_NVME"));
	ck_assert_runs("list --all");
	check_says(lab_bdf("PORT_NVME"));
	ck_assert_runs("list %s", lab_bdf("NVME"));
	check_says("dmabuf-vfio-pci");
	check_says_not(lab_bdf("EDU"));
	ck_assert_runs("list --json %s", lab_bdf("IVSHMEM"));
	check_says("\"prefetchable\": true");
	check_says("\"driver\": \"dmabuf-vfio-pci\"");
}
END_TEST

START_TEST(wrong_use_is_told)
{
	ck_assert_int_eq(vfio_dmabuf("list 0000:7f:00.0"), 1);
	check_says("there is no such function");
	ck_assert_int_eq(vfio_dmabuf("list nonsense"), 2);
	check_says("is no PCI function; write it as in 0000:01:00.0");
	ck_assert_int_eq(vfio_dmabuf("frobnicate"), 2);
	check_says("there is no command");
	ck_assert_int_eq(vfio_dmabuf("read edu/page"), 2);
	check_says("offset are needed");
	ck_assert_int_eq(vfio_dmabuf("read -w 7 edu/page 0"), 2);
	ck_assert_int_eq(vfio_dmabuf("write edu/page 0"), 2);
	ck_assert_int_eq(vfio_dmabuf("revoke x"), 2);
	ck_assert_int_eq(vfio_dmabuf("run -- true"), 2);
	ck_assert_int_eq(vfio_dmabuf("bind"), 2);
	ck_assert_int_eq(vfio_dmabuf("--help"), 0);
	check_says("doctor");
}
END_TEST

/* ---- bind ---- */

static bool has_driver(const char *name, const char *driver)
{
	char now[64] = "";

	sysfs_link(lab_bdf(name), "driver", now, sizeof(now));
	return !strcmp(now, driver);
}

/* As after a boot of a machine that has the function's own driver. */
static void give_to(const char *name, const char *module)
{
	char command[64];

	snprintf(command, sizeof(command), "modprobe %s", module);
	ck_assert_int_eq(system(command), 0);
	ck_assert_works(driver_unbind(lab_bdf(name)));
	ck_assert_works(sysfs_write(lab_bdf(name), "driver_override", "\n"));
	ck_assert_works(file_write("/sys/bus/pci/drivers_probe", lab_bdf(name)));
	ck_assert(has_driver(name, module));
}

START_TEST(bind_and_back)
{
	give_to("NVME", "nvme");
	ck_assert_runs("bind --json %s", lab_bdf("NVME"));
	check_says("\"driver\": \"dmabuf-vfio-pci\"");
	ck_assert(has_driver("NVME", DRIVER));
	ck_assert_runs("bind %s", lab_bdf("NVME"));
	ck_assert_runs("unbind %s", lab_bdf("NVME"));
	ck_assert(has_driver("NVME", "nvme"));
	ck_assert_int_eq(vfio_dmabuf("unbind %s", lab_bdf("NVME")), 1);
	check_says("was not bound by vfio-dmabuf bind");
	driver_rebind(lab_bdf("NVME"));
}
END_TEST

START_TEST(bind_of_a_function_without_driver)
{
	ck_assert_works(driver_unbind(lab_bdf("EDU")));
	ck_assert_works(sysfs_write(lab_bdf("EDU"), "driver_override", "\n"));
	ck_assert_runs("bind %s", lab_bdf("EDU"));
	ck_assert(has_driver("EDU", DRIVER));
	ck_assert_runs("unbind %s", lab_bdf("EDU"));
	ck_assert(has_driver("EDU", ""));
	driver_rebind(lab_bdf("EDU"));
}
END_TEST

START_TEST(drivers_that_are_not_there_or_not_for_this)
{
	char path[128], override[64];

	give_to("NVME", "nvme");
	ck_assert_int_eq(vfio_dmabuf("bind --driver e1000e %s", lab_bdf("NVME")), 2);
	check_says("is no VFIO driver");
	ck_assert_int_eq(vfio_dmabuf("bind --driver none-vfio-pci %s", lab_bdf("NVME")), 1);
	check_says("module none-vfio-pci cannot be loaded");
	ck_assert(has_driver("NVME", "nvme"));
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/driver_override", lab_bdf("NVME"));
	ck_assert_works(file_read(path, override, sizeof(override)));
	ck_assert_str_eq(override, "(null)\n");
	driver_rebind(lab_bdf("NVME"));
}
END_TEST

START_TEST(disk_that_is_mounted)
{
	int i;

	ck_assert_int_eq(system("modprobe -q crc32c_generic; modprobe ext4"), 0);
	give_to("NVME", "nvme");
	/* The driver looks for the disk after it is bound. */
	for (i = 0; i < 100 && access(DISK, F_OK); i++)
		usleep(50000);
	ck_assert_int_eq(system("mke2fs -q " DISK), 0);
	mkdir("/tmp/disk", 0755);
	ck_assert_works(mount(DISK, "/tmp/disk", "ext4", 0, NULL));
	ck_assert_int_eq(vfio_dmabuf("bind %s", lab_bdf("NVME")), 1);
	check_says("its disk nvme0n1 is mounted at /tmp/disk; unmount it first");
	ck_assert(has_driver("NVME", "nvme"));
	ck_assert_works(umount("/tmp/disk"));

	ck_assert_int_eq(system("mkswap " DISK " >/dev/null && swapon " DISK), 0);
	ck_assert_int_eq(vfio_dmabuf("bind %s", lab_bdf("NVME")), 1);
	check_says("its disk nvme0n1 is swap");
	ck_assert_int_eq(system("swapoff " DISK), 0);

	ck_assert_runs("bind %s", lab_bdf("NVME"));
	ck_assert_runs("unbind %s", lab_bdf("NVME"));
	driver_rebind(lab_bdf("NVME"));
}
END_TEST

START_TEST(network_that_is_up)
{
	give_to("E1000E", "e1000e");
	ck_assert_int_eq(system("ip addr add 192.0.2.1/24 dev eth0 && ip link set eth0 up"), 0);
	ck_assert_int_eq(vfio_dmabuf("bind %s", lab_bdf("E1000E")), 1);
	check_says("its network interface eth0 is up");
	ck_assert(has_driver("E1000E", "e1000e"));
	ck_assert_int_eq(system("ip link set eth0 down"), 0);
	ck_assert_runs("bind %s", lab_bdf("E1000E"));
	ck_assert_runs("unbind %s", lab_bdf("E1000E"));
	driver_rebind(lab_bdf("E1000E"));
}
END_TEST

START_TEST(what_is_never_bound)
{
	struct device edu;
	char text[32];
	int status;
	pid_t pid;

	ck_assert_int_eq(vfio_dmabuf("bind %s", lab_bdf("PORT_NVME")), 1);
	check_says("it is a bridge");
	device_open(&edu, "EDU");
	ck_assert_int_eq(vfio_dmabuf("bind --driver vfio-pci %s", lab_bdf("EDU")), 1);
	snprintf(text, sizeof(text), "process %d", getpid());
	check_says(text);
	device_close(&edu);
	pid = fork();
	if (!pid) {
		if (setuid(1000))
			_exit(99);
		_exit(vfio_dmabuf("bind %s", lab_bdf("EDU")) == 1 && strstr(out, "only root binds") ? 0 : 1);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}
END_TEST

/* One of two functions of a group may not be left with a driver of its own. */
START_TEST(groups_go_together)
{
	char group[32], other[32];

	sysfs_link(lab_bdf("HOT0"), "iommu_group", group, sizeof(group));
	sysfs_link(lab_bdf("HOT1"), "iommu_group", other, sizeof(other));
	ck_assert_str_eq(group, other);
	ck_assert_works(driver_unbind(lab_bdf("HOT0")));
	ck_assert_works(driver_unbind(lab_bdf("HOT1")));
	ck_assert_runs("bind --group %s", lab_bdf("HOT0"));
	ck_assert(has_driver("HOT1", DRIVER));
	ck_assert_runs("unbind %s %s", lab_bdf("HOT0"), lab_bdf("HOT1"));
	driver_rebind(lab_bdf("HOT0"));
	driver_rebind(lab_bdf("HOT1"));
}
END_TEST

/* ---- registers ---- */

START_TEST(registers_of_a_bar)
{
	const char *edu = lab_bdf("EDU");

	ck_assert_runs("read %s/0 0", edu);
	check_says("0x010000ed");
	ck_assert_runs("write %s/0 4 0x12345678", edu);
	ck_assert_runs("read %s/0 4", edu);
	check_says("0xedcba987");
	ck_assert_runs("read --json -n 2 %s/0 0", edu);
	check_says("\"offset\": 4");
	check_says("\"value\": \"0x010000ed\"");
	ck_assert_runs("write -w 64 %s/2 8 0x1122334455667788", lab_bdf("IVSHMEM"));
	ck_assert_runs("read -w 8 %s/2 15", lab_bdf("IVSHMEM"));
	check_says("0x11");
	ck_assert_runs("read -w 16 %s/2 0xa", lab_bdf("IVSHMEM"));
	check_says("0x5566");

	ck_assert_int_eq(vfio_dmabuf("read %s/0 2", edu), 1);
	check_says("not aligned to 32 bits");
	ck_assert_int_eq(vfio_dmabuf("read %s/0 0x100000", edu), 1);
	check_says("ends at 0x100000");
	ck_assert_int_eq(vfio_dmabuf("write -w 8 %s/0 0 256", edu), 1);
	check_says("more than 8 bits");
	ck_assert_int_eq(vfio_dmabuf("read %s/3 0", edu), 1);
	check_says("it has no BAR 3");
}
END_TEST

/* ---- with the broker ---- */

static const char config[] =
	"user = \"client\"\n"
	"device \"edu\" {\n"
	"	bdf = \"@EDU@\"\n"
	"	reset = never\n"
	"	slice \"page\" { length = 0x1000 users = { \"*\" } }\n"
	"	slice \"array\" { length = 0x1000 offset = 0x8000 count = 8 users = { \"*\" } }\n"
	"}\n";
static pid_t broker;

#define S	"-S " MANAGER_SOCKET

static void start_broker(void)
{
	unlink(BROKER_LOG);
	manager_init();
	broker_configure(config);
	broker = broker_start();
}

static void stop_broker(void)
{
	broker_stop(broker, SIGKILL);
}

START_TEST(slices_and_leases)
{
	struct vdb_client *client = broker_connect();
	struct vdb_lease lease = broker_acquire(client, "edu/array", 3);

	ck_assert_runs("slices " S);
	check_says("edu/page");
	check_says("7 of 8 free");
	ck_assert_runs("leases " S);
	check_says("edu/array[3]");
	check_says("uid 0");
	ck_assert_runs("leases --json " S);
	check_says("\"slice\": \"edu/array\"");
	check_says("\"state\": \"live\"");
	ck_assert_runs("revoke " S " %llu", (unsigned long long)lease.id);
	broker_expect(client, lease.id, VDB_REVOKED, VDB_END_REVOKED);
	ck_assert_int_eq(vfio_dmabuf("revoke " S " %llu", (unsigned long long)lease.id), 1);
	check_says("there is no lease");
	ck_assert_int_eq(vfio_dmabuf("slices -S /nowhere"), 1);
	check_says("no broker at /nowhere");
}
END_TEST

START_TEST(registers_of_a_slice)
{
	struct vdb_client *client = broker_connect();

	ck_assert_runs("write " S " edu/page 4 1");
	ck_assert_runs("read " S " edu/page 4");
	check_says("0xfffffffe");
	broker_acquire(client, "edu/page", 0);
	ck_assert_int_eq(vfio_dmabuf("read " S " edu/page 4"), 1);
	check_says("edu/page is lent already");
}
END_TEST

START_TEST(run_passes_slices)
{
	/* A shell has no mmap(); what it sees are the fds and the environment. */
	ck_assert_runs("run " S " -s edu/page -s 'edu/array[5],ro' -- sh -c "
		       "'readlink /proc/self/fd/3; readlink /proc/self/fd/5; ls /proc/self/fd | wc -l; "
		       "echo $VFIO_DMABUF_FDS $VFIO_DMABUF_SLICES'");
	check_says("/dmabuf:");
	check_says("4 [{");
	check_says("\"name\":\"edu/array\",\"index\":5,\"fd\":5,\"event_fd\":6");
	check_says("\"read_only\":true");
	/* The lease lasts as long as the program. */
	ck_assert_runs("run " S " -s edu/page -- /usr/bin/vfio-dmabuf leases " S);
	check_says("edu/page[0]");
	ck_assert_runs("leases " S);
	check_says_not("edu/page");

	ck_assert_int_eq(vfio_dmabuf("run " S " -s edu/page -- sh -c 'exit 7'"), 7);
	ck_assert_int_eq(vfio_dmabuf("run " S " -s edu/page -- sh -c 'kill -TERM $$'"), 128 + SIGTERM);
	ck_assert_int_eq(vfio_dmabuf("run " S " -s edu/page -- /nowhere/at/all"), 127);
	ck_assert_int_eq(vfio_dmabuf("run " S " -s edu/nothing -- true"), 1);
	check_says("there is no such slice for you");
}
END_TEST

START_TEST(show_draws_who_has_what)
{
	struct vdb_client *client = broker_connect();
	struct vdb_lease lease = broker_acquire(client, "edu/array", 0);
	char text[64];

	ck_assert_ptr_nonnull(vdb_slice_map(lease.slice, 0, 0, PROT_READ));
	ck_assert_runs("show " S " %s", lab_bdf("EDU"));
	check_says("BAR 0  1 MiB, 32-bit memory");
	check_says("[.#......................................] 0x8000+0x1000");
	check_says("slice, live, writable, mapped 1 times");
	snprintf(text, sizeof(text), "mapped by %s, pid %d, read-only", program_invocation_short_name, getpid());
	check_says(text);
	snprintf(text, sizeof(text), "lease %llu of edu/array[0]", (unsigned long long)lease.id);
	check_says(text);
	ck_assert_runs("show --json %s", lab_bdf("IVSHMEM"));
	check_says("\"holders\": []");
}
END_TEST

/* ---- doctor ---- */

START_TEST(doctor_finds_what_is_there)
{
	ck_assert_runs("doctor " S);
	check_says("functions have IOMMU groups");
	check_says(DRIVER " is loaded");
	check_says("it answers at " MANAGER_SOCKET);
	check_says_not("missing");
	ck_assert_runs("doctor --json " S);
	check_says("\"check\": \"iommu\"");
}
END_TEST

START_TEST(doctor_finds_what_is_missing)
{
	broker_stop(broker, SIGKILL);
	ck_assert_int_eq(system("mount -t tmpfs none /sys/bus/pci/drivers && mount -t tmpfs none /lib/modules"), 0);
	ck_assert_int_eq(vfio_dmabuf("doctor -S /nowhere"), 1);
	umount("/lib/modules");
	umount("/sys/bus/pci/drivers");
	check_says("missing  driver   " DRIVER " is not there for this kernel; install dmabuf-vfio-pci-dkms");
	check_says("no socket at /nowhere");
	broker = broker_start();
}
END_TEST

/* Names of commands and live names, as a shell would offer them. */
START_TEST(completion)
{
	static const char script[] =
		"bash -c '. /usr/share/bash-completion/completions/vfio-dmabuf; "
		"COMP_WORDS=(vfio-dmabuf \"$@\"); COMP_CWORD=$#; _vfio_dmabuf; echo \"${COMPREPLY[@]}\"' - ";
	char command[512], answer[4096];
	FILE *pipe;
	static const char *const cases[][2] = {
		{ "do", "doctor\n" }, { "run --sl", "--slice\n" }, { "show 0000:00:03", "0000:00:03.0\n" },
	};

	for (int i = 0; i < 3; i++) {
		snprintf(command, sizeof(command), "%s %s", script, cases[i][0]);
		pipe = popen(command, "r");
		ck_assert_ptr_nonnull(fgets(answer, sizeof(answer), pipe));
		pclose(pipe);
		ck_assert_str_eq(answer, cases[i][1]);
	}
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("command");
	const char *debug = kernel_started_with("lab.kernel=debug") ? "the debug kernel has no such drivers" : NULL;
	TCase *tc = add_group(s, "list");

	tcase_add_test(tc, list_shows_functions);
	tcase_add_test(tc, wrong_use_is_told);
	tcase_add_test(tc, completion);

	tc = add_group(s, "bind");
	add_test_or_skip(tc, bind_and_back, debug);
	tcase_add_test(tc, bind_of_a_function_without_driver);
	add_test_or_skip(tc, drivers_that_are_not_there_or_not_for_this, debug);
	add_test_or_skip(tc, disk_that_is_mounted, debug);
	add_test_or_skip(tc, network_that_is_up, debug);
	tcase_add_test(tc, what_is_never_bound);
	tcase_add_test(tc, groups_go_together);

	tc = add_group(s, "registers");
	tcase_add_test(tc, registers_of_a_bar);

	tc = add_group(s, "broker");
	tcase_add_checked_fixture(tc, start_broker, stop_broker);
	tcase_add_test(tc, slices_and_leases);
	tcase_add_test(tc, registers_of_a_slice);
	tcase_add_test(tc, run_passes_slices);
	tcase_add_test(tc, show_draws_who_has_what);
	tcase_add_test(tc, doctor_finds_what_is_there);
	add_test_or_skip(tc, doctor_finds_what_is_missing, debug);
	return s;
}
