// SPDX-License-Identifier: MIT
/*
 * Debian's fio, unchanged and run by an unprivileged user, on lent NVMe queue pairs.  What
 * it has written is compared byte by byte through the kernel's own NVMe driver, and it reads
 * what that has written.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "client.h"
#include "fio/disk.h"
#include "fio/fio.h"
#include "owner.h"
#include "queues/lent.h"
#include "page.h"
#include "suite.h"
#include "sysfs.h"

#define MIB	(1UL << 20)
#define RESULT	"/tmp/fio.json"
#define OUTPUT	"/tmp/fio.out"

/* Of the drive: what the tests below write to, and what must stay as it was. */
#define WRITTEN		(2 * MIB)
#define LOOKED_AT	(4 * MIB)

static struct lent queues[2];
static char output[2048];	/* a message of the tests cannot have much more */

static void read_output(void)
{
	long length = file_read(OUTPUT, output, sizeof(output) / 2);

	ck_assert_works(length);
	/* fio writes a part of its messages there. */
	file_read(RESULT, output + length, sizeof(output) - length);
}

static bool outlives_us;

/* An unprivileged fio with the first @nr queues. */
static pid_t fio_start(unsigned int nr, const char *format, ...)
{
	pid_t pid, parent = getpid();
	char options[512], command[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(options, sizeof(options), format, args);
	va_end(args);
	snprintf(command, sizeof(command),
		 "exec fio --ioengine=external:%s --name=job --output=" RESULT " --output-format=json %s",
		 fio_engine(), options);
	unlink(RESULT);
	unlink(OUTPUT);
	pid = fork();
	ck_assert_works(pid);
	if (!pid) {
		int fd;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
		client_become(CLIENT_NOBODY);
		/* The change of user has cleared it. */
		prctl(PR_SET_PDEATHSIG, outlives_us ? 0 : SIGKILL);
		fd = open(OUTPUT, O_RDWR | O_CREAT | O_TRUNC, 0666);
		dup2(fd, 1);
		dup2(fd, 2);
		lent_pass(queues, nr);
		if (chdir("/home/client"))
			_exit(1);
		execl("/bin/sh", "sh", "-c", command, NULL);
		_exit(127);
	}
	return pid;
}

static int fio_wait(pid_t pid)
{
	int status;

	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	read_output();
	ck_assert_msg(WIFEXITED(status), "fio: signal %d: %s", WTERMSIG(status), output);
	return WEXITSTATUS(status);
}

#define check_fio(nr, ...)	do {						\
	int ck_status = fio_wait(fio_start(nr, __VA_ARGS__));			\
	ck_assert_msg(!ck_status, "fio: status %d: %s", ck_status, output);	\
} while (0)

#define check_refused(text, nr, ...)	do {					\
	ck_assert_int_ne(fio_wait(fio_start(nr, __VA_ARGS__)), 0);		\
	ck_assert_msg(strstr(output, text), "\"%s\" is not in: %s", text, output);	\
} while (0)

static void lend(void)
{
	lent_open("NVME");
	lent_create(&queues[0], 1, 64, 2 * MIB);
	lent_create(&queues[1], 2, 64, 2 * MIB);
}

static void end(void)
{
	lent_end(&queues[0]);
	lent_end(&queues[1]);
	lent_close();
}

static const char *const loads[] = {
	"--rw=write --bs=4k --iodepth=1 --size=512k",
	"--rw=randrw --bs=4k --iodepth=32 --size=2m",
	"--rw=randwrite --bsrange=512-128k --iodepth=8 --size=8m",
};

START_TEST(fio_finds_what_it_has_written)
{
	check_fio(1, "%s --verify=crc32c", loads[_i]);
	ck_assert_int_gt(fio_total(RESULT, "write"), 0);
	ck_assert_int_gt(fio_total(RESULT, "read"), 0);
}
END_TEST

START_TEST(fio_writes_what_the_kernel_reads)
{
	char *disk = malloc(LOOKED_AT), *wanted = malloc(LOOKED_AT);
	int fd = disk_open(O_RDWR);

	disk_fill((uint64_t *)wanted, LOOKED_AT);
	ck_assert_int_eq(pwrite(fd, wanted, LOOKED_AT, 0), LOOKED_AT);
	disk_close(fd);

	lend();
	check_fio(1, "--rw=randwrite --bs=4k --iodepth=32 --size=%lu --offset=1m --end_fsync=1 "
		  "--verify=pattern --verify_pattern=%%o --do_verify=0", WRITTEN);
	ck_assert_int_eq(fio_total(RESULT, "write"), WRITTEN / 4096);
	end();

	fd = disk_open(O_RDONLY);
	ck_assert_int_eq(pread(fd, disk, LOOKED_AT, 0), LOOKED_AT);
	disk_fill_offsets((uint64_t *)(wanted + MIB), MIB, WRITTEN);
	disk_check_same(disk, wanted, LOOKED_AT);
	disk_close(fd);
	free(disk);
	free(wanted);
}
END_TEST

START_TEST(fio_reads_what_the_kernel_has_written)
{
	char *disk = malloc(WRITTEN);
	int fd = disk_open(O_RDWR);

	disk_fill_offsets((uint64_t *)disk, 0, WRITTEN);
	ck_assert_int_eq(pwrite(fd, disk, WRITTEN, 0), WRITTEN);
	disk_close(fd);

	lend();
	check_fio(1, "--rw=randread --bs=4k --iodepth=32 --size=%lu --verify=pattern --verify_pattern=%%o", WRITTEN);
	ck_assert_int_eq(fio_total(RESULT, "read"), WRITTEN / 4096);
	end();

	/* fio would see a byte that differs. */
	disk[WRITTEN / 2 + 77] ^= 1;
	fd = disk_open(O_RDWR);
	ck_assert_int_eq(pwrite(fd, disk, WRITTEN, 0), WRITTEN);
	disk_close(fd);
	lend();
	ck_assert_int_ne(fio_wait(fio_start(1, "--rw=randread --bs=4k --iodepth=32 --size=%lu "
					    "--verify=pattern --verify_pattern=%%o", WRITTEN)), 0);
	end();
	free(disk);
}
END_TEST

START_TEST(all_of_a_namespace_by_default)
{
	check_fio(1, "--rw=read --bs=128k --iodepth=16");
	ck_assert_int_eq(fio_total(RESULT, "read"), 64 * MIB / (128 << 10));
}
END_TEST

START_TEST(jobs_have_queues_of_their_own)
{
	check_fio(2, "--rw=randrw --bs=4k --iodepth=32 --size=1m --offset_increment=8m --numjobs=2 --verify=crc32c");
	ck_assert_int_ge(fio_total(RESULT, "write"), 2);
}
END_TEST

START_TEST(jobs_choose_their_queue)
{
	check_fio(2, "--rw=read --bs=4k --size=64k '--slice=nvme/queue[1]' --nsid=1 --thread");
	/* The first queue is free, but it is not the one that the job wants. */
	check_refused("all 1 queues are taken by other jobs; each job needs a lease of its own", 2,
		      "--rw=read --bs=4k --size=64k '--slice=nvme/queue[1]'");
	check_fio(2, "--rw=read --bs=4k --size=64k --slice=nvme/queue");
}
END_TEST

static const struct {
	const char *options, *text;
} wrong[] = {
	{ "--rw=read --bs=4k --slice=nvme/other", "there is no slice \"nvme/other\" with memory; run fio with it" },
	{ "--rw=read --bs=4k --nsid=7", "no usable namespace 7" },
	{ "--rw=read --bs=4k --iodepth=65", "iodepth=65, but the queue has room for 64 commands; lower it" },
	{ "--rw=read --bs=100", "bs=100 is not in blocks of 512 bytes" },
	{ "--rw=read --bs=64m --iodepth=1", "transfers at most" },
	{ "--rw=read --bs=128k --iodepth=64", "needs 8388608 bytes for its buffers, and the lease has 2097152" },
	{ "--rw=randtrim --bs=4k", "trim is not possible" },
};

START_TEST(errors_say_what_would_be_right)
{
	check_refused(wrong[_i].text, 1, "%s", wrong[_i].options);
}
END_TEST

/* Waits until the job has read something, which can be seen from its memory only. */
static void wait_for_reads(const struct lent *lent)
{
	uint64_t length = vdb_slice_length(lent->memory);
	const volatile uint64_t *memory = owner_map(lent->memory, PROT_READ);

	/* The last page of its buffers: 32 of 64 KiB. */
	while (!memory[(length - 4096) / sizeof(memory[0])])
		usleep(10000);
}

static void write_something(void)
{
	check_fio(1, "--rw=write --bs=128k --iodepth=8 --size=8m");
}

static pid_t start_reader(void)
{
	pid_t pid = fio_start(2, "--rw=randread --bs=64k --iodepth=32 --size=8m --time_based --runtime=1h "
			      "'--slice=nvme/queue[1]'");

	wait_for_reads(&queues[1]);
	return pid;
}

/* The engine says what has happened, and fio that it is no error of the drive. */
static void check_lost(pid_t pid)
{
	char error[32];

	ck_assert_int_ne(fio_wait(pid), 0);
	ck_assert_msg(strstr(output, "the queue has ended"), "%s", output);
	snprintf(error, sizeof(error), "\"error\" : %d,", ENODEV);
	ck_assert_msg(strstr(output, error) && !strstr(output, "Input/output error"), "%s", output);
}

START_TEST(end_of_a_lease)
{
	pid_t pid;

	write_something();
	pid = start_reader();
	lent_end(&queues[1]);
	check_lost(pid);
	lent_create(&queues[1], 2, 64, 2 * MIB);
	check_fio(2, "--rw=read --bs=4k --size=64k '--slice=nvme/queue[1]'");
}
END_TEST

/*
 * A reset has lost commands, and nobody writes into the memory that the queue has ended: the
 * engine sees from the doorbells that nothing will be completed.
 */
START_TEST(revocation_by_an_owner_that_does_no_more)
{
	pid_t pid;

	lend();
	write_something();
	pid = start_reader();
	ck_assert_works(vdb_device_reset(owner));
	ck_assert_works(vdb_slice_revoke(owner, queues[1].doorbells));
	check_lost(pid);
}
END_TEST

START_TEST(end_of_the_owner)
{
	pid_t *pid = mmap(NULL, sizeof(*pid), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t dying;
	int status;

	prctl(PR_SET_CHILD_SUBREAPER, 1);
	outlives_us = true;
	dying = fork();
	ck_assert_works(dying);
	if (!dying) {
		lend();
		write_something();
		*pid = start_reader();
		raise(SIGKILL);
	}
	ck_assert_int_eq(waitpid(dying, &status, 0), dying);
	ck_assert(WIFSIGNALED(status));
	check_lost(*pid);
}
END_TEST

#define LENGTH(array)	(int)(sizeof(array) / sizeof((array)[0]))

Suite *suite(void)
{
	const char *reason = fio_missing() ?: page_too_large();
	Suite *s = suite_create("fio");
	TCase *lent = add_group(s, "lent"), *own = add_group(s, "own");

	if (reason) {
		add_test_or_skip(lent, fio_finds_what_it_has_written, reason);
		return s;
	}
	tcase_set_timeout(lent, 300);
	tcase_set_timeout(own, 300);
	tcase_add_checked_fixture(lent, lend, end);
	tcase_add_loop_test(lent, fio_finds_what_it_has_written, 0, LENGTH(loads));
	tcase_add_test(lent, all_of_a_namespace_by_default);
	tcase_add_test(lent, jobs_have_queues_of_their_own);
	tcase_add_test(lent, jobs_choose_their_queue);
	tcase_add_loop_test(lent, errors_say_what_would_be_right, 0, LENGTH(wrong));
	tcase_add_test(lent, end_of_a_lease);
	tcase_add_test(own, fio_writes_what_the_kernel_reads);
	tcase_add_test(own, fio_reads_what_the_kernel_has_written);
	tcase_add_test(own, revocation_by_an_owner_that_does_no_more);
	tcase_add_test(own, end_of_the_owner);
	return s;
}
