// SPDX-License-Identifier: MIT
/*
 * fio as people run it: the broker lends queue pairs to those whom its configuration allows,
 * and vfio-dmabuf run passes one to Debian's fio.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vfio-dmabuf.h>

#include "broker.h"
#include "client.h"
#include "command.h"
#include "dmar.h"
#include "fio/disk.h"
#include "fio/fio.h"
#include "kmsg.h"
#include "layout.h"
#include "manager.h"
#include "page.h"
#include "suite.h"
#include "sysfs.h"

#define MIB		(1UL << 20)
#define MEMORY_FD	5	/* that vfio-dmabuf run gives to the memory of one slice */

static const char config[] =
	"devices:\n"
	"  nvme:\n"
	"    function: @NVME@\n"
	"    driver: nvme\n"
	"    slices:\n"
	"      queue: {offset: 4K, length: 4K, sharing: shared, memory: 1M, depth: 32,\n"
	"        allow: {users: [client, 4711]}}\n"
	"      other: {offset: 4K, length: 4K, sharing: shared, memory: 1M, allow: {users: [root]}}\n";

/* An unprivileged user with a directory for the output of the user's programs. */
struct user {
	enum client_user who;
	const char *directory;
};

static const struct user first = { CLIENT_NOBODY, "/tmp/first" }, second = { CLIENT_STRANGER, "/tmp/second" };

static pid_t broker;
static int kmsg;
static char output[4096];

static void make_directory(const struct user *user)
{
	if (mkdir(user->directory, 0777))
		ck_assert_int_eq(errno, EEXIST);
	ck_assert_works(chmod(user->directory, 0777));
}

static void setup(void)
{
	kmsg = kmsg_open();
	/* A test that has failed can have left the drive to the kernel's driver. */
	driver_bind(lab_bdf("NVME"), DRIVER);
	unlink(BROKER_LOG);
	make_directory(&first);
	make_directory(&second);
	/* The command finds the broker without an option. */
	if (mkdir("/run/vfio-dmabuf", 0755))
		ck_assert_int_eq(errno, EEXIST);
	unlink(VDB_BROKER_SOCKET);
	ck_assert_works(symlink(MANAGER_SOCKET, VDB_BROKER_SOCKET));
	manager_init();
	broker_configure(config);
	broker = broker_start();
}

static void stop_broker(void)
{
	broker_stop(broker, SIGTERM);
	manager_forget("");
	unlink(VDB_BROKER_SOCKET);
}

/* The controller has reached for nothing that was not mapped. */
static void teardown(void)
{
	stop_broker();
	ck_assert_msg(!kmsg_wait_for(kmsg, DMAR_FAULT, 0), "the IOMMU has stopped an access");
}

static void path_of(const struct user *user, const char *file, char path[64])
{
	snprintf(path, 64, "%s/%s", user->directory, file);
}

/* ---- the user's programs ---- */

/* vfio-dmabuf run with a slice, and fio with these options: the user's only process at first. */
static pid_t start(const struct user *user, const char *slice, const char *format, ...)
{
	char options[512], command[1024];
	pid_t pid, parent = getpid();
	va_list args;

	va_start(args, format);
	vsnprintf(options, sizeof(options), format, args);
	va_end(args);
	snprintf(command, sizeof(command), "exec vfio-dmabuf run -s %s -- fio --ioengine=external:%s %s", slice,
		 fio_engine(), options);
	pid = fork();
	ck_assert_works(pid);
	if (!pid) {
		int fd;

		client_become(user->who);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent || chdir(user->directory))
			_exit(1);
		unlink("result");
		unlink("output");
		fd = open("output", O_RDWR | O_CREAT | O_TRUNC, 0666);
		dup2(fd, 1);
		dup2(fd, 2);
		close_range(3, ~0U, 0);
		execl("/bin/sh", "sh", "-c", command, NULL);
		_exit(127);
	}
	return pid;
}

/* The exit status of vfio-dmabuf run, and what it and fio have said. */
static int finish(const struct user *user, pid_t pid)
{
	char path[64];
	int status;

	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	path_of(user, "output", path);
	ck_assert_works(file_read(path, output, sizeof(output)));
	ck_assert_msg(WIFEXITED(status), "signal %d: %s", WTERMSIG(status), output);
	return WEXITSTATUS(status);
}

#define check_fio(user, ...)	do {						\
	int ck_status = finish(user, start(user, "nvme/queue", __VA_ARGS__));	\
	ck_assert_msg(!ck_status, "status %d: %s", ck_status, output);		\
} while (0)

#define check_said(text)	\
	ck_assert_msg(strstr(output, text), "\"%s\" is not in: %s", text, output)

static bool is_child(const char *pid, pid_t parent, const char *name)
{
	char path[300], text[256], format[64];
	int found = 0;

	snprintf(path, sizeof(path), "/proc/%.16s/stat", pid);
	snprintf(format, sizeof(format), "%%*d (%s) %%*c %%d", name);
	return file_read(path, text, sizeof(text)) > 0 && sscanf(text, format, &found) == 1 && found == parent;
}

/* The child of that name, which the process may not have yet. */
static pid_t child_of(pid_t parent, const char *name)
{
	pid_t pid = 0;

	while (!pid) {
		struct dirent *entry;
		DIR *proc = opendir("/proc");

		ck_assert_ptr_nonnull(proc);
		while (!pid && (entry = readdir(proc)))
			if (is_child(entry->d_name, parent, name))
				pid = atoi(entry->d_name);
		closedir(proc);
		if (!pid) {
			siginfo_t ended = { 0 };

			ck_assert_works(waitid(P_PID, parent, &ended, WEXITED | WNOHANG | WNOWAIT));
			ck_assert_msg(!ended.si_pid, "%d has ended, and has no child \"%s\"", parent, name);
			usleep(10000);
		}
	}
	return pid;
}

/* What fio has leased; it is the same after the lease has ended. */
static const char *map_memory(pid_t fio)
{
	char path[64];
	void *memory;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/fd/%d", fio, MEMORY_FD);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	ck_assert_works(fd);
	memory = mmap(NULL, MIB, PROT_READ, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(memory, MAP_FAILED);
	close(fd);
	return memory;
}

/* The broker writes it, and then takes the pages away. */
static bool has_ended(const char *memory)
{
	const volatile struct nvme_layout *layout = (const void *)memory;

	return layout->ended || layout->magic != NVME_LAYOUT_MAGIC;
}

/* Waits until the completion queue has changed as often as that, between two looks at it. */
static void wait_for_io(const char *memory, unsigned int times)
{
	const struct nvme_layout *layout = (const void *)memory;
	size_t size = layout->entries * sizeof(struct nvme_entry);
	char *former = malloc(size);

	memcpy(former, memory + layout->cq, size);
	while (times) {
		ck_assert_msg(!has_ended(memory), "the queue pair has ended");
		usleep(1000);
		if (!memcmp(former, memory + layout->cq, size))
			continue;
		memcpy(former, memory + layout->cq, size);
		times--;
	}
	free(former);
}

static void wait_for_end(const char *memory)
{
	while (!has_ended(memory))
		usleep(10000);
}

/* ---- the tests ---- */

START_TEST(fio_finds_what_it_has_written)
{
	char result[64];

	check_fio(&first, "--name=test --rw=randwrite --bs=4k --iodepth=32 --size=2m --verify=crc32c "
		  "--output=result --output-format=json");
	path_of(&first, "result", result);
	ck_assert_int_eq(fio_total(result, "write"), 2 * MIB / 4096);
	ck_assert_int_eq(fio_total(result, "read"), 2 * MIB / 4096);
}
END_TEST

/* Both byte by byte, and by the checksums that fio has written. */
START_TEST(fio_writes_what_the_kernel_reads)
{
	char *disk = malloc(2 * MIB), *wanted = malloc(2 * MIB);
	int fd, status;

	check_fio(&first, "--name=test --rw=randwrite --bs=4k --iodepth=32 --size=2m --verify=pattern "
		  "--verify_pattern=%%o --end_fsync=1");
	check_fio(&second, "--name=test --rw=randwrite --bs=4k --iodepth=32 --offset=4m --size=2m --verify=crc32c "
		  "--end_fsync=1");
	stop_broker();

	fd = disk_open(O_RDONLY);
	ck_assert_int_eq(pread(fd, disk, 2 * MIB, 0), 2 * MIB);
	disk_fill_offsets((uint64_t *)wanted, 0, 2 * MIB);
	disk_check_same(disk, wanted, 2 * MIB);
	status = shell("cd /tmp && fio --ioengine=psync --filename=" DISK " --name=test --rw=read --bs=4k --offset=4m "
		       "--size=2m --verify=crc32c");
	ck_assert_msg(!status, "status %d: %s", status, command_out);
	disk_close(fd);
	broker = broker_start();
	free(disk);
	free(wanted);
}
END_TEST

START_TEST(only_those_who_are_allowed)
{
	pid_t pid = start(&first, "nvme/other", "--name=test --rw=read --bs=4k --size=64k");

	ck_assert_int_ne(finish(&first, pid), 0);
	check_said("nvme/other: there is no slice \"nvme/other\" that you are allowed to lease");
}
END_TEST

enum killed { FIO, FIO_WITH_THREADS, RUN, NR_KILLED };

/* The number of the queue pair, which must be free afterwards. */
static unsigned int kill_one(enum killed what)
{
	pid_t run = start(&first, "nvme/queue", "--name=killed --rw=randwrite --bs=16k --iodepth=32 --size=8m "
			  "--time_based --runtime=1h%s", what == FIO_WITH_THREADS ? " --thread" : "");
	pid_t fio = child_of(run, "fio");
	const char *memory = map_memory(fio);
	unsigned int qid = ((const struct nvme_layout *)(const void *)memory)->qid;
	int status;

	wait_for_io(memory, 1 + rand() % 20);
	ck_assert_works(kill(what == RUN ? run : fio, SIGKILL));
	ck_assert_int_eq(waitpid(run, &status, 0), run);
	if (what == RUN)
		ck_assert(WIFSIGNALED(status));
	else
		ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 128 + SIGKILL);
	wait_for_end(memory);
	munmap((void *)memory, MIB);
	return qid;
}

START_TEST(one_is_killed_and_another_goes_on)
{
	pid_t run = start(&second, "nvme/queue", "--name=other --rw=randwrite --bs=4k --iodepth=32 --offset=16m --size=512k "
			  "--loops=1000000 --verify=crc32c --output=result --output-format=json");
	pid_t fio = child_of(run, "fio");
	const char *memory = map_memory(fio);
	unsigned int qid = 0;
	char result[64];

	wait_for_io(memory, 10);
	for (unsigned int i = 0; i < 2 * NR_KILLED; i++) {
		unsigned int next = kill_one(i % NR_KILLED);

		ck_assert_msg(!qid || next == qid, "queue pair %u after %u: that was not deleted", next, qid);
		qid = next;
		wait_for_io(memory, 10);
	}
	ck_assert_works(kill(fio, SIGTERM));
	/* That is its status after a signal. */
	ck_assert_int_eq(finish(&second, run), 128);
	ck_assert_msg(!strstr(output, "vfio-dmabuf:") && !strstr(output, "verify:"), "%s", output);
	path_of(&second, "result", result);
	/* All that it reads is to verify what it has written, in more than one loop. */
	ck_assert_int_gt(fio_total(result, "write"), MIB / 2 / 4096);
	ck_assert_int_gt(fio_total(result, "read"), MIB / 2 / 4096);
}
END_TEST

static json_int_t only_lease(void)
{
	json_t *list = vfio_dmabuf_json("leases --json");

	ck_assert_uint_eq(json_array_size(list), 1);
	return json_integer_value(json_object_get(json_array_get(list, 0), "lease"));
}

START_TEST(revoked_lease)
{
	pid_t run = start(&first, "nvme/queue", "--name=test --rw=randread --bs=4k --iodepth=32 --size=8m "
			  "--time_based --runtime=1h");
	const char *memory = map_memory(child_of(run, "fio"));

	wait_for_io(memory, 10);
	ck_assert_runs("revoke %lld", only_lease());
	ck_assert_int_ne(finish(&first, run), 0);
	check_said("nvme/queue: the lease has ended: revoked by an administrator");
	check_said("vfio-dmabuf: the queue has ended: its lease has ended");
	check_said("No such device");
	check_fio(&first, "--name=test --rw=read --bs=4k --iodepth=32 --size=64k");
}
END_TEST

/*
 * The checksum takes longer than the I/O, so the lease ends, and its memory is taken away, while
 * fio computes that of data that was read in time.
 */
START_TEST(lease_that_ends_while_fio_verifies)
{
	static const char job[] = "--name=test --bs=128k --iodepth=4 --size=4m --verify=sha3-512";

	check_fio(&first, "%s --rw=write --do_verify=0", job);
	for (unsigned int i = 0; i < 5; i++) {
		pid_t run = start(&first, "nvme/queue", "%s --rw=randread --time_based --runtime=1h", job);
		const char *memory = map_memory(child_of(run, "fio"));

		wait_for_io(memory, 2 + i);
		ck_assert_runs("revoke %lld", only_lease());
		ck_assert_int_ne(finish(&first, run), 0);
		check_said("vfio-dmabuf: the queue has ended: its lease has ended");
		check_said("No such device");
		ck_assert_msg(!strstr(output, "verify"), "%s", output);
		munmap((void *)memory, MIB);
	}
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("fio_broker");
	TCase *tc = add_group(s, "broker");
	const char *reason = fio_missing() ?: page_too_large();

	if (reason) {
		add_test_or_skip(tc, fio_finds_what_it_has_written, reason);
		return s;
	}
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 300);
	tcase_add_test(tc, fio_finds_what_it_has_written);
	tcase_add_test(tc, fio_writes_what_the_kernel_reads);
	tcase_add_test(tc, only_those_who_are_allowed);
	tcase_add_test(tc, one_is_killed_and_another_goes_on);
	tcase_add_test(tc, revoked_lease);
	tcase_add_test(tc, lease_that_ends_while_fio_verifies);
	return s;
}
