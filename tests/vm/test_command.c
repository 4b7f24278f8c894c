/* SPDX-License-Identifier: MIT */
/* The command as a whole, and those of its parts that are small. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "broker.h"
#include "command.h"
#include "device.h"
#include "kernel.h"
#include "manager.h"
#include "page.h"
#include "suite.h"
#include "sysfs.h"

/* What runs as an ordinary user. */
#define AS_CLIENT	"/usr/bin/setpriv --reuid 1000 --regid 1000 --clear-groups vfio-dmabuf "

/* ---- list ---- */

START_TEST(list_shows_functions)
{
	const char *bdf, *name, *driver;
	int class, vendor, device, index, group;
	json_t *list, *bars;
	json_int_t size;

	ck_assert_runs("list");
	check_says(lab_bdf("EDU"));
	check_says("Inter-VM shared memory");
	check_says("FUNCTION      GROUP  DRIVER");
	check_says("  0    1 MiB  32-bit memory");
	check_says_not(lab_bdf("PORT_NVME"));
	ck_assert_runs("list --all");
	check_says(lab_bdf("PORT_NVME"));
	ck_assert_runs("list %s", lab_bdf("NVME"));
	check_says("dmabuf-vfio-pci");
	check_says_not(lab_bdf("EDU"));

	list = vfio_dmabuf_json("list --json %s", lab_bdf("EDU"));
	ck_assert_uint_eq(json_array_size(list), 1);
	ck_assert_int_eq(json_unpack(json_array_get(list, 0), "{s:s,s:i,s:i,s:i,s:s,s:s,s:i,s:o!}", "bdf", &bdf,
				     "class", &class, "vendor", &vendor, "device", &device, "name", &name,
				     "driver", &driver, "iommu_group", &group, "bars", &bars), 0);
	ck_assert_str_eq(bdf, lab_bdf("EDU"));
	ck_assert_int_eq(vendor, 0x1234);
	ck_assert_str_eq(driver, DRIVER);
	ck_assert_int_eq(json_unpack(json_array_get(bars, 0), "{s:i,s:I,s:b,s:b,s:b!}", "index", &index,
				     "size", &size, "memory", &(int){ 0 }, "prefetchable", &(int){ 0 },
				     "64bit", &(int){ 0 }), 0);
	ck_assert_int_eq(index, 0);
	ck_assert_int_eq(size, 1 << 20);
	list = vfio_dmabuf_json("list --json %s", lab_bdf("PORT_NVME"));
	ck_assert_uint_eq(json_array_size(list), 1);
}
END_TEST

START_TEST(wrong_use_is_reported)
{
	ck_assert_int_eq(vfio_dmabuf("list 0000:7f:00.0"), 1);
	check_says("there is no such function");
	ck_assert_int_eq(vfio_dmabuf("list nonsense"), 2);
	check_says("is not a PCI function; write it as in 0000:01:00.0");
	ck_assert_int_eq(vfio_dmabuf("frobnicate"), 2);
	check_says("there is no command");
	ck_assert_int_eq(vfio_dmabuf("read edu/page"), 2);
	check_says("an offset");
	ck_assert_int_eq(vfio_dmabuf("read -w 7 edu/page 0"), 2);
	ck_assert_int_eq(vfio_dmabuf("read -w 32x edu/page 0"), 2);
	ck_assert_int_eq(vfio_dmabuf("write edu/page 0"), 2);
	ck_assert_int_eq(vfio_dmabuf("revoke x"), 2);
	ck_assert_int_eq(vfio_dmabuf("run -- true"), 2);
	ck_assert_int_eq(vfio_dmabuf("bind"), 2);
	ck_assert_int_eq(vfio_dmabuf("run -w1x -s edu/page -- true"), 2);
	check_says("\"1x\" is not a time");
	ck_assert_int_eq(vfio_dmabuf("read edu/page 0x1K"), 2);
	check_says("\"0x1K\" is not an offset; write it as in 4096, 0x1000 or 4K");
	ck_assert_int_eq(vfio_dmabuf("read edu/page 010"), 2);
	ck_assert_int_eq(vfio_dmabuf("write edu/page 0 010"), 2);
	check_says("\"010\" is not a number");
	ck_assert_int_eq(vfio_dmabuf("--all list"), 2);
	check_says("\"--all\" cannot stand before the command");
	ck_assert_int_eq(vfio_dmabuf("list --frobnicate"), 2);
	ck_assert_int_eq(vfio_dmabuf("help frobnicate"), 2);
	check_says("there is no command \"frobnicate\"");
}
END_TEST

START_TEST(help_is_everywhere)
{
	static const char *const commands[] = {
		"list", "bind", "unbind", "show", "devices", "slices", "leases", "renew", "revoke", "watch",
		"status", "reload", "read", "write", "run", "doctor", "help"
	};
	static const char *const ways[] = { "--help", "-h", "help" };

	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		ck_assert_runs("%s", ways[i]);
		for (size_t j = 0; j < sizeof(commands) / sizeof(commands[0]); j++)
			check_says(commands[j]);
	}
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		char usage[64];

		snprintf(usage, sizeof(usage), "Usage: vfio-dmabuf %s", commands[i]);
		ck_assert_runs("help %s", commands[i]);
		check_says(usage);
		check_says("-S, --socket=PATH");
		ck_assert_runs("%s -h", commands[i]);
		check_says(usage);
	}
	ck_assert_runs("-h run");
	check_says("Usage: vfio-dmabuf run");
	ck_assert_runs("--version");
	check_says("vfio-dmabuf 0.");
	ck_assert_runs("list --version");
	check_says("vfio-dmabuf 0.");
	ck_assert_int_eq(vfio_dmabuf(" "), 2);
}
END_TEST

/* Before the command, after it, and between its arguments. */
START_TEST(options_can_stand_anywhere)
{
	const char *edu = lab_bdf("EDU");

	for (int i = 0; i < 5; i++) {
		const char *const lines[] = {
			"--json list %s", "-j list %s", "list --json %s", "list %s --json", "-jS /nowhere list %s"
		};

		ck_assert_runs(lines[i], edu);
		ck_assert_uint_eq(json_array_size(command_json("list", command_out)), 1);
	}
	ck_assert_int_eq(vfio_dmabuf("--socket /nowhere slices"), 1);
	check_says("/nowhere: No such file");
	ck_assert_int_eq(vfio_dmabuf("--socket=/nowhere slices"), 1);
	check_says("/nowhere: No such file");
	ck_assert_int_eq(vfio_dmabuf("read /0 -S /nowhere"), 2);
	ck_assert_int_eq(vfio_dmabuf("read edu/page -S /nowhere 0 -n 2"), 1);
	check_says("/nowhere: No such file");
	ck_assert_int_eq(vfio_dmabuf("--socket"), 2);
	check_says("\"--socket\" needs a path after it");
}
END_TEST

/* A script must not take half of it for all. */
START_TEST(output_that_cannot_be_written_is_reported)
{
	ck_assert_int_eq(vfio_dmabuf("list --json >/dev/full"), 1);
	check_says("stdout: No space left on device");
	ck_assert_int_eq(vfio_dmabuf("list >/dev/full"), 1);
	check_says("stdout: No space left on device");
}
END_TEST

/* ---- completion ---- */

/* What a shell makes of a line with a tab at its end. */
static void check_completes(int terminal, const char *typed, const char *line)
{
	char text[128];

	terminal_type(terminal, typed);
	/* The line is commented out, and so shows as a whole. */
	terminal_type(terminal, "\t\033#");
	snprintf(text, sizeof(text), "#%s", line);
	terminal_expect(terminal, text);
}

START_TEST(completion)
{
	char line[64];
	int terminal;
	pid_t pid = terminal_open(&terminal);

	terminal_type(terminal, "bind 'set enable-bracketed-paste off'\n"
		      ". /usr/share/bash-completion/completions/vfio-dmabuf && echo rea\"\"dy\n");
	terminal_expect(terminal, "ready");
	check_completes(terminal, "vfio-dmabuf do", "vfio-dmabuf doctor ");
	check_completes(terminal, "vfio-dmabuf dev", "vfio-dmabuf devices ");
	check_completes(terminal, "vfio-dmabuf wa", "vfio-dmabuf watch ");
	check_completes(terminal, "vfio-dmabuf help ren", "vfio-dmabuf help renew ");
	check_completes(terminal, "vfio-dmabuf --js", "vfio-dmabuf --json ");
	check_completes(terminal, "vfio-dmabuf --json stat", "vfio-dmabuf --json status ");
	check_completes(terminal, "vfio-dmabuf -S /x renew --ti", "vfio-dmabuf -S /x renew --time ");
	check_completes(terminal, "vfio-dmabuf run --sl", "vfio-dmabuf run --slice ");
	/* Colons divide words for readline. */
	check_completes(terminal, "vfio-dmabuf show 0000:00:03", "vfio-dmabuf show 0000:00:03.0 ");
	check_completes(terminal, "vfio-dmabuf show 0000:00:0", "vfio-dmabuf show 0000:00:0\r");
	snprintf(line, sizeof(line), "vfio-dmabuf show %s ", lab_bdf("NVME"));
	check_completes(terminal, "vfio-dmabuf show 0000:02:", line);
	check_completes(terminal, "vfio-dmabuf bind --group 0000:00:03", "vfio-dmabuf bind --group 0000:00:03.0 ");
	check_completes(terminal, "vfio-dmabuf bind --pe", "vfio-dmabuf bind --persist ");
	check_completes(terminal, "vfio-dmabuf bind /dev/nul", "vfio-dmabuf bind /dev/null ");
	check_completes(terminal, "vfio-dmabuf bind l", "vfio-dmabuf bind lo ");
	kill(pid, SIGKILL);
}
END_TEST

/* ---- registers ---- */

START_TEST(registers_of_a_bar)
{
	const char *edu = lab_bdf("EDU"), *value;
	json_int_t offset;
	json_t *list;

	ck_assert_runs("read --reset %s/0 0", edu);
	check_says("0x010000ed");
	ck_assert_runs("write --reset %s/0 4 0x12345678", edu);
	ck_assert_runs("read --reset %s/0 4", edu);
	check_says("0xedcba987");
	list = vfio_dmabuf_json("read --json --reset -n 2 %s/0 0", edu);
	ck_assert_uint_eq(json_array_size(list), 2);
	ck_assert_int_eq(json_unpack(json_array_get(list, 0), "{s:I,s:s!}", "offset", &offset, "value", &value), 0);
	ck_assert_int_eq(offset, 0);
	ck_assert_str_eq(value, "0x010000ed");
	ck_assert_runs("write --reset -w 64 %s/2 8 0x1122334455667788", lab_bdf("IVSHMEM"));
	ck_assert_runs("read --reset -w 8 %s/2 15", lab_bdf("IVSHMEM"));
	check_says("0x11");
	ck_assert_runs("read --reset -w 16 %s/2 0xa", lab_bdf("IVSHMEM"));
	check_says("0x5566");
	ck_assert_runs("write --reset %s/2 64K 0x1020304", lab_bdf("IVSHMEM"));
	ck_assert_runs("read --reset %s/2 0x10000", lab_bdf("IVSHMEM"));
	check_says("0x01020304");

	ck_assert_int_eq(vfio_dmabuf("read --reset %s/0 2", edu), 1);
	check_says("not aligned to 32 bits");
	ck_assert_int_eq(vfio_dmabuf("read --reset %s/0 0x100000", edu), 1);
	check_says("0x100000 bytes; 0x4 bytes at offset 0x100000 are not inside");
	ck_assert_int_eq(vfio_dmabuf("write --reset -w 8 %s/0 0 256", edu), 1);
	check_says("more than 8 bits");
	ck_assert_int_eq(vfio_dmabuf("read --reset %s/3 0", edu), 1);
	check_says("it has no BAR 3");
}
END_TEST

/* A BAR that is smaller than its page. */
START_TEST(registers_beyond_a_small_bar)
{
	const char *ivshmem = lab_bdf("IVSHMEM");

	ck_assert_runs("read --reset %s/0 0xfc", ivshmem);
	ck_assert_int_eq(vfio_dmabuf("read --reset %s/0 0x100", ivshmem), 1);
	check_says("/0 has 0x100 bytes; 0x4 bytes at offset 0x100 are not inside");
	ck_assert_int_eq(vfio_dmabuf("read --reset -n 2 %s/0 0xfc", ivshmem), 1);
	check_says("0x8 bytes at offset 0xfc are not inside");
	ck_assert_int_eq(vfio_dmabuf("read --reset %s/0 0xfffffffffffffffc", ivshmem), 1);
	check_says("are not inside");
	ck_assert_int_eq(vfio_dmabuf("write --reset %s/0 0x100 1", ivshmem), 1);
	check_says("are not inside");
}
END_TEST

/* NVMe's controller configuration, which a reset clears. */
#define CC		0x14
#define CC_SET		0x00460000

/* The function is not open, so its config space is as it was set until the next open. */
START_TEST(functions_are_not_reset_unasked)
{
	const char *nvme = lab_bdf("NVME");
	char path[128];
	volatile uint32_t *registers;
	int fd;

	ck_assert_works(sysfs_write(nvme, "power/control", "on"));
	ck_assert_int_eq(shell("setpci -s %s COMMAND=2:2", nvme), 0);
	snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/resource0", nvme);
	fd = open(path, O_RDWR | O_CLOEXEC);
	ck_assert_works(fd);
	registers = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne((void *)registers, MAP_FAILED);
	/* The firmware has enabled it, perhaps. */
	registers[CC / 4] = 0;
	registers[CC / 4] = CC_SET;
	ck_assert_uint_eq(registers[CC / 4], CC_SET);

	ck_assert_int_eq(vfio_dmabuf("read %s/0 0x14", nvme), 1);
	check_says("opening the function resets it, and closing it resets it again; use --reset");
	ck_assert_int_eq(vfio_dmabuf("write %s/0 0x14 0", nvme), 1);
	check_says("use --reset");
	ck_assert_int_eq(shell("setpci -s %s COMMAND=2:2", nvme), 0);
	ck_assert_uint_eq(registers[CC / 4], CC_SET);

	ck_assert_runs("read --reset %s/0 0x14", nvme);
	check_says("0x00000000");
	ck_assert_works(sysfs_write(nvme, "power/control", "auto"));
	close(fd);
}
END_TEST

/* Each error message says what to do. */
START_TEST(registers_that_are_out_of_reach)
{
	struct device edu;
	char text[64];

	ck_assert_int_eq(vfio_dmabuf("read --reset 0000:7f:00.0/0 0"), 1);
	check_says("there is no such function; vfio-dmabuf list shows all functions");
	ck_assert_works(driver_unbind(lab_bdf("EDU")));
	ck_assert_int_eq(vfio_dmabuf("read --reset %s/0 0", lab_bdf("EDU")), 1);
	check_says("it has no VFIO driver; bind it first: vfio-dmabuf bind");
	driver_rebind(lab_bdf("EDU"));
	device_open(&edu, "EDU");
	ck_assert_int_eq(vfio_dmabuf("read %s/0 0", lab_bdf("EDU")), 1);
	snprintf(text, sizeof(text), "process %d (%.15s) has it, or its group, open", getpid(), program_invocation_short_name);
	check_says(text);
	device_close(&edu);
	ck_assert_int_eq(shell(AS_CLIENT "read --reset %s/0 0", lab_bdf("EDU")), 1);
	check_says("Permission denied; vfio-dmabuf doctor says what you may open");
}
END_TEST

/* ---- with the broker ---- */

static const char config[] =
	"devices: {edu: {function: @EDU@, reset: never, slices: {\n"
	"  page: {length: @PAGE@, allow: everybody},\n"
	"  array: {length: @PAGE@, offset: @8PAGE@, count: 8, allow: everybody}}}}\n";
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
	const char *name, *state, *who;
	json_int_t id, nr_free, pid;
	json_t *list, *one;

	ck_assert_runs("slices " S);
	check_says("edu/page");
	check_says("7 of 8");
	check_says("SLICE      FUNCTION");
	list = vfio_dmabuf_json("slices --json " S);
	ck_assert_uint_eq(json_array_size(list), 2);
	one = json_array_get(list, 1);
	ck_assert_int_eq(json_unpack(one, "{s:s,s:I}", "name", &name, "free", &nr_free), 0);
	ck_assert_str_eq(name, "edu/array");
	ck_assert_int_eq(nr_free, 7);
	ck_assert_uint_eq(json_object_size(one), 15);

	ck_assert_runs("leases " S);
	check_says("edu/array[3]");
	check_says("LEASE       SLICE");
	list = vfio_dmabuf_json("leases --json " S);
	ck_assert_uint_eq(json_array_size(list), 1);
	one = json_array_get(list, 0);
	ck_assert_int_eq(json_unpack(one, "{s:I,s:s,s:s,s:s,s:I}", "lease", &id, "slice", &name,
				     "state", &state, "client", &who, "pid", &pid), 0);
	ck_assert_int_eq(id, lease.id);
	ck_assert_str_eq(name, "edu/array");
	ck_assert_str_eq(state, "live");
	ck_assert_int_eq(pid, getpid());
	ck_assert_uint_eq(json_object_size(one), 19);
	ck_assert(json_is_null(json_object_get(one, "end")));
	ck_assert(json_is_null(json_object_get(one, "seconds")));

	list = vfio_dmabuf_json("revoke --json " S " %" PRIu64, lease.id);
	ck_assert_uint_eq(json_array_size(list), 1);
	ck_assert_int_eq(json_integer_value(json_object_get(json_array_get(list, 0), "lease")), lease.id);
	broker_expect(client, lease.id, VDB_STATE_REVOKED, VDB_END_REVOKED);
	ck_assert_int_eq(vfio_dmabuf("revoke " S " %" PRIu64, lease.id), 1);
	check_says("there is no lease");
}
END_TEST

/* What is bound, and what the broker has of it. */
START_TEST(devices_that_can_be_leased)
{
	json_t *list, *one;
	size_t i, bound = 0;

	broker_wait_open(broker_connect());
	ck_assert_runs("devices " S);
	check_says("DEVICE  FUNCTION      DRIVER           STATE");
	check_says("edu     ");
	check_says("  not in the broker  ");
	list = vfio_dmabuf_json("devices --json " S);
	ck_assert(json_is_true(json_object_get(list, "broker")));
	json_array_foreach(json_object_get(list, "devices"), i, one) {
		bool is_edu = !strcmp(json_string_value(json_object_get(one, "bdf")), lab_bdf("EDU"));

		ck_assert_str_eq(json_string_value(json_object_get(one, "driver")), DRIVER);
		ck_assert(json_is_true(json_object_get(one, "present")));
		ck_assert_str_eq(json_string_value(json_object_get(one, "state")) ?: "none", is_edu ? "open" : "none");
		ck_assert_str_eq(json_string_value(json_object_get(one, "name")) ?: "none", is_edu ? "edu" : "none");
		bound++;
	}
	ck_assert_uint_ge(bound, 2);
	/* Others see what is bound, and so does everybody without a broker. */
	ck_assert_int_eq(shell(AS_CLIENT "devices " S), 0);
	check_says("the broker's devices are not listed: only administrators");
	check_says(lab_bdf("EDU"));
	ck_assert_int_eq(shell("vfio-dmabuf devices --json -S /nowhere 2>/dev/null"), 0);
	ck_assert(json_is_false(json_object_get(command_json("devices", command_out), "broker")));
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
	check_says("\"edu/page\" is granted to others");
}
END_TEST

/* A broker that sends this answer to every request; 0: it closes the connection. */
static void refuse_all(const char *path, uint32_t code)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int listening = socket(AF_UNIX, SOCK_SEQPACKET, 0);

	strcpy(address.sun_path, path);
	unlink(path);
	ck_assert_works(bind(listening, (void *)&address, sizeof(address)));
	ck_assert_works(listen(listening, 4));
	if (fork())
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (;;) {
		int fd = accept(listening, NULL, NULL);
		struct vdp_hello hello;
		struct vdp_error answer = {
			.header = { .type = VDP_ERROR }, .code = code, .text = "no",
		};

		if (recv(fd, &hello, sizeof(hello), 0) == sizeof(hello) && code) {
			answer.header.serial = hello.header.serial;
			send(fd, &answer, sizeof(answer), MSG_NOSIGNAL);
		}
		close(fd);
	}
}

START_TEST(brokers_that_do_not_answer)
{
	ck_assert_int_eq(vfio_dmabuf("slices -S /nowhere"), 1);
	check_says("/nowhere: No such file or directory; is vfio-dmabufd.socket active?");
	ck_assert_works(chmod(MANAGER_SOCKET, 0600));
	ck_assert_int_eq(shell(AS_CLIENT "slices " S), 1);
	check_says("Permission denied; its mode decides who can connect (SocketMode= of vfio-dmabufd.socket)");
	ck_assert_works(chmod(MANAGER_SOCKET, 0666));
	refuse_all("/tmp/full.socket", 0);
	ck_assert_int_eq(vfio_dmabuf("slices -S /tmp/full.socket"), 1);
	check_says("; you, or all users together, have reached the limit of connections");
	refuse_all("/tmp/other.socket", VDP_ERROR_VERSION);
	ck_assert_int_eq(vfio_dmabuf("slices -S /tmp/other.socket"), 1);
	check_says("; vfio-dmabuf and vfio-dmabufd have different versions; update both");
	ck_assert_int_eq(vfio_dmabuf("doctor -S /tmp/other.socket"), 1);
	check_says("vfio-dmabuf and vfio-dmabufd have different versions; update both");
}
END_TEST

/* ---- doctor ---- */

/* The verdict on the check whose text has this. */
static const char *verdict(json_t *list, const char *check, const char *text)
{
	json_t *one;
	size_t i;

	json_array_foreach(list, i, one) {
		const char *what, *said, *how;
		json_t *function, *advice;

		ck_assert_int_eq(json_unpack(one, "{s:s,s:s,s:s,s:o,s:o!}", "check", &what, "verdict", &how,
					     "text", &said, "function", &function, "advice", &advice), 0);
		if (!strcmp(what, check) && strstr(said, text))
			return how;
	}
	return "none";
}

START_TEST(doctor_finds_what_is_there)
{
	json_t *list;

	/* It waits for the device to be open. */
	broker_acquire(broker_connect(), "edu/page", 0);
	ck_assert_runs("doctor " S);
	check_says("functions have IOMMU groups");
	check_says(DRIVER " is loaded");
	check_says("it answers at " MANAGER_SOCKET);
	check_says_not("missing");
	list = vfio_dmabuf_json("doctor --json " S);
	ck_assert_str_eq(verdict(list, "iommu", ""), "ok");
	ck_assert_str_eq(verdict(list, "access", "you are allowed to open all functions that are bound"), "ok");
}
END_TEST

START_TEST(doctor_finds_what_is_missing)
{
	broker_stop(broker, SIGKILL);
	ck_assert_int_eq(system("mount -t tmpfs none /sys/bus/pci/drivers"), 0);
	ck_assert_int_eq(vfio_dmabuf("doctor -S /nowhere"), 1);
	check_says("missing  driver   a module is loaded that is called dmabuf_vfio_pci, but has no driver " DRIVER);
	ck_assert_int_eq(system("mount -t tmpfs none /sys/module && mount -t tmpfs none /lib/modules"), 0);
	ck_assert_int_eq(vfio_dmabuf("doctor -S /nowhere"), 1);
	umount("/lib/modules");
	umount("/sys/module");
	umount("/sys/bus/pci/drivers");
	check_says("missing  vfio     vfio-pci-core is not installed for this kernel");
	check_says("missing  driver   " DRIVER " is not installed for this kernel\n");
	check_says("                  install dmabuf-vfio-pci-dkms and the kernel's headers");
	check_says("no socket at /nowhere");
	broker = broker_start();
}
END_TEST

/* Nodes that the user is not allowed to open, and what changes that. */
START_TEST(doctor_looks_at_permissions)
{
	const char *bdf = lab_bdf("IVSHMEM"), *shared = device_cdev_missing() ? "/dev/vfio/vfio" : "/dev/iommu";
	char name[32], path[64], text[128];
	struct stat file;

	if (device_cdev_missing()) {
		function_link(bdf, "iommu_group", name, sizeof(name));
		snprintf(path, sizeof(path), "/dev/vfio/%s", name);
	} else {
		device_vfio_name(bdf, name, sizeof(name));
		snprintf(path, sizeof(path), "/dev/vfio/devices/%s", name);
	}
	ck_assert_works(stat(shared, &file));
	ck_assert_int_eq(shell(AS_CLIENT "doctor " S), 0);
	snprintf(text, sizeof(text), "%s: you are not allowed to open %s", bdf, path);
	check_says(text);
	check_says("chown");
	ck_assert_works(chown(path, 1000, 1000));
	ck_assert_int_eq(shell(AS_CLIENT "doctor " S), 0);
	check_says_not(text);
	ck_assert_works(chmod(shared, 0600));
	ck_assert_int_eq(shell(AS_CLIENT "doctor " S), 0);
	ck_assert_works(chmod(shared, file.st_mode));
	ck_assert_works(chown(path, 0, 0));
	snprintf(text, sizeof(text), "%s: you are not allowed to open %s", bdf, shared);
	check_says(text);
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("command");
	const char *debug = kernel_started_with("lab.kernel=debug") ? "the debug kernel has no such drivers" : NULL;
	TCase *tc = add_group(s, "list");

	tcase_add_test(tc, list_shows_functions);
	tcase_add_test(tc, wrong_use_is_reported);
	tcase_add_test(tc, help_is_everywhere);
	tcase_add_test(tc, options_can_stand_anywhere);
	tcase_add_test(tc, output_that_cannot_be_written_is_reported);
	tcase_add_test(tc, completion);

	tc = add_group(s, "registers");
	tcase_add_test(tc, registers_of_a_bar);
	tcase_add_test(tc, registers_beyond_a_small_bar);
	tcase_add_test(tc, functions_are_not_reset_unasked);
	tcase_add_test(tc, registers_that_are_out_of_reach);

	tc = add_group(s, "broker");
	tcase_add_checked_fixture(tc, start_broker, stop_broker);
	tcase_add_test(tc, slices_and_leases);
	tcase_add_test(tc, devices_that_can_be_leased);
	tcase_add_test(tc, registers_of_a_slice);
	tcase_add_test(tc, brokers_that_do_not_answer);
	tcase_add_test(tc, doctor_finds_what_is_there);
	add_test_or_skip(tc, doctor_finds_what_is_missing, debug);
	tcase_add_test(tc, doctor_looks_at_permissions);
	return s;
}
