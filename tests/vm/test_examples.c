// SPDX-License-Identifier: MIT
/* The examples in the documents work as described. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vfio-dmabuf-nvme.h>

#include "broker.h"
#include "edu.h"
#include "manager.h"
#include "nvme/io.h"
#include "page.h"
#include "suite.h"
#include "sysfs.h"

#define SOCKET	"/run/minimal"

struct program {
	pid_t pid;
	int input;
	FILE *output;
};

/* Runs one of /lab/programs, as this user. */
static struct program run(uid_t uid, const char *name, const char *arg1, const char *arg2)
{
	struct program program;
	char path[64];
	int in[2], out[2];

	snprintf(path, sizeof(path), "/lab/programs/%s", name);
	ck_assert_works(pipe2(in, O_CLOEXEC));
	ck_assert_works(pipe2(out, O_CLOEXEC));
	program.pid = fork();
	ck_assert_works(program.pid);
	if (!program.pid) {
		dup2(in[0], STDIN_FILENO);
		dup2(out[1], STDOUT_FILENO);
		dup2(out[1], STDERR_FILENO);
		/* This lets another user connect. */
		umask(0);
		if (!setgid(uid) && !setuid(uid))
			execl(path, name, arg1, arg2, NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	program.input = in[1];
	program.output = fdopen(out[0], "r");
	ck_assert_ptr_nonnull(program.output);
	return program;
}

static void says(struct program *program, const char *expected)
{
	char line[300] = "nothing";

	if (fgets(line, sizeof(line), program->output))
		line[strcspn(line, "\n")] = '\0';
	ck_assert_str_eq(line, expected);
}

/* Its exit status.  It must not have printed anything more. */
static int end(struct program *program)
{
	char line[300];
	int status;

	ck_assert_msg(!fgets(line, sizeof(line), program->output), "it also says: %s", line);
	fclose(program->output);
	close(program->input);
	ck_assert_int_eq(waitpid(program->pid, &status, 0), program->pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void remove_socket(void)
{
	unlink(SOCKET);
}

START_TEST(owner_and_client)
{
	struct program owner = run(0, "minimal-owner", lab_bdf("EDU"), SOCKET), client;
	char line[100];

	says(&owner, "waiting for a client at " SOCKET);
	client = run(65534, "minimal-client", SOCKET, NULL);
	snprintf(line, sizeof(line), "%s BAR 0: the register is 0x%08x", lab_bdf("EDU"), EDU_ID_VALUE);
	says(&client, line);
	says(&owner, "the client has the slice; press Enter to revoke it");
	ck_assert_int_eq(write(owner.input, "\n", 1), 1);
	says(&client, "the slice is revoked");
	ck_assert_int_eq(end(&client), 0);
	ck_assert_int_eq(end(&owner), 0);
}
END_TEST

/* A slice is lost with its owner. */
START_TEST(owner_that_dies)
{
	struct program owner = run(0, "minimal-owner", lab_bdf("EDU"), SOCKET), client;
	char line[300];

	says(&owner, "waiting for a client at " SOCKET);
	client = run(65534, "minimal-client", SOCKET, NULL);
	ck_assert_ptr_nonnull(fgets(line, sizeof(line), client.output));
	ck_assert_works(kill(owner.pid, SIGKILL));
	says(&client, "the slice is revoked");
	ck_assert_int_eq(end(&client), 0);
	ck_assert_int_eq(waitpid(owner.pid, NULL, 0), owner.pid);
}
END_TEST

START_TEST(they_say_what_fails)
{
	struct program owner = run(0, "minimal-owner", "nonsense", SOCKET);
	struct program client = run(65534, "minimal-client", SOCKET, NULL);

	says(&owner, "minimal-owner: nonsense: \"nonsense\" is not the name of a PCI function");
	ck_assert_int_eq(end(&owner), 1);
	says(&client, "minimal-client: " SOCKET ": No such file or directory");
	ck_assert_int_eq(end(&client), 1);
}
END_TEST

/*
 * The program and the configuration are those of README.md, with a device of the lab
 * that cannot be reset.
 */
static pid_t lender;

static void start_broker(const char *config)
{
	unlink(BROKER_LOG);
	manager_init();
	broker_configure(config);
	lender = broker_start();
	ck_assert(!mkdir("/run/vfio-dmabuf", 0755) || errno == EEXIST);
	unlink(VDB_BROKER_SOCKET);
	ck_assert_works(symlink(MANAGER_SOCKET, VDB_BROKER_SOCKET));
}

static void lend_doorbells(void)
{
	start_broker("devices:\n"
		     "  nic:\n"
		     "    function: @EDU@\n"
		     "    reset: never\n"
		     "    slices:\n"
		     "      doorbell: {length: @PAGE@, count: 4, allow: {users: [1000]}}\n");
}

static void lend_queues(void)
{
	start_broker("devices:\n"
		     "  nvme:\n"
		     "    function: @NVME@\n"
		     "    driver: nvme\n"
		     "    slices:\n"
		     "      queue: {offset: 4K, length: 4K, sharing: shared, memory: 1M, allow: {users: [0, 1000]}}\n"
		     "      doorbells: {offset: 4K, length: 4K, sharing: shared, allow: {users: [1000]}}\n");
}

static void stop_broker(void)
{
	unlink(VDB_BROKER_SOCKET);
	broker_stop(lender, SIGTERM);
}

static bool see_lease(const struct vdb_lease_info *info, void *data)
{
	*(uint64_t *)data = info->id;
	return true;
}

START_TEST(lease_until_revoked)
{
	struct vdb_client *admin = broker_connect();
	char line[100], expected[100];
	struct program program;
	uint64_t id = 0;

	broker_wait_open(admin);
	program = run(1000, "lease", NULL, NULL);
	snprintf(expected, sizeof(expected), "lease: doorbell 0 reads 0x%x\n", EDU_ID_VALUE);
	ck_assert_ptr_nonnull(fgets(line, sizeof(line), program.output));
	ck_assert_str_eq(line, expected);
	ck_assert_works(vdb_client_leases(admin, see_lease, &id));
	ck_assert_works(vdb_client_revoke(admin, id));
	while (fgets(line, sizeof(line), program.output) && !strcmp(line, expected))
		;
	ck_assert_str_eq(line, "lease: the slice is revoked\n");
	ck_assert_int_eq(end(&program), 0);
	vdb_client_close(admin);
}
END_TEST

START_TEST(lease_of_another_user)
{
	struct vdb_client *admin = broker_connect();
	struct program program;

	broker_wait_open(admin);
	program = run(65534, "lease", NULL, NULL);
	says(&program, "lease: nic/doorbell: No such file or directory");
	ck_assert_int_eq(end(&program), 1);
	vdb_client_close(admin);
}
END_TEST

/* Lets it work until it has done some commands. */
static void let_work(struct program *program)
{
	unsigned int user, queue, done = 0;
	char line[300];

	while (done < 100) {
		ck_assert_int_eq(write(program->input, "\n", 1), 1);
		ck_assert_ptr_nonnull(fgets(line, sizeof(line), program->output));
		ck_assert_msg(sscanf(line, "user %u, queue %u: %u commands without an error", &user, &queue,
				     &done) == 3, "it says: %s", line);
		ck_assert_uint_eq(user, 1000);
		ck_assert_uint_ge(queue, 1);
	}
}

START_TEST(nvme_until_the_end_of_its_input)
{
	struct vdb_client *client = broker_connect();
	char line[300], expected[100], error[VDB_ERROR_SIZE], *data;
	struct program program;
	struct vdb_nvme *queue;
	struct vdb_lease lease;
	unsigned int round;
	size_t size;

	broker_wait_open(client);
	program = run(1000, "nvme", "nvme/queue", "16");
	let_work(&program);
	close(program.input);
	program.input = -1;
	ck_assert_ptr_nonnull(fgets(line, sizeof(line), program.output));
	ck_assert_msg(sscanf(line, "the last round of block 16 was %u\n", &round) == 1, "it says: %s", line);
	ck_assert_int_eq(end(&program), 0);

	/* The drive has what it says. */
	lease = broker_acquire(client, "nvme/queue", 0);
	queue = vdb_nvme_open(lease.slice, lease.memory, NULL, error);
	ck_assert_msg(queue, "%s", error);
	data = vdb_nvme_data(queue, &size);
	ck_assert_works(vdb_nvme_read(queue, 1, 16, 1, data, 0));
	ck_assert_uint_eq(io_wait(queue), 0);
	snprintf(expected, sizeof(expected), "block 16, round %u, by user 1000\n", round);
	ck_assert_str_eq(data, expected);
}
END_TEST

START_TEST(nvme_whose_lease_is_revoked)
{
	struct vdb_client *admin = broker_connect();
	struct program program;
	char line[300];
	uint64_t id = 0;

	broker_wait_open(admin);
	program = run(1000, "nvme", "nvme/queue", "32");
	let_work(&program);
	ck_assert_works(vdb_client_leases(admin, see_lease, &id));
	ck_assert_works(vdb_client_revoke(admin, id));
	/* Which command fails, or is lost, is not known. */
	ck_assert_ptr_nonnull(fgets(line, sizeof(line), program.output));
	ck_assert_msg(!strncmp(line, "nvme: block ", 12) || !strncmp(line, "nvme: the queue has ended", 25),
		      "it says: %s", line);
	ck_assert_msg(!strstr(line, "is not what was written"), "it says: %s", line);
	ck_assert_int_eq(end(&program), 1);
}
END_TEST

START_TEST(nvme_without_memory)
{
	struct vdb_client *client = broker_connect();
	struct program program;

	broker_wait_open(client);
	program = run(1000, "nvme", "nvme/doorbells", "0");
	says(&program, "nvme: nvme/doorbells: the broker's configuration gives it no memory");
	ck_assert_int_eq(end(&program), 1);
}
END_TEST

Suite *suite(void)
{
	Suite *s = suite_create("examples");
	TCase *tc = add_group(s, "minimal");

	tcase_add_checked_fixture(tc, remove_socket, remove_socket);
	tcase_add_test(tc, owner_and_client);
	tcase_add_test(tc, owner_that_dies);
	tcase_add_test(tc, they_say_what_fails);

	tc = add_group(s, "lease");
	tcase_add_checked_fixture(tc, lend_doorbells, stop_broker);
	tcase_add_test(tc, lease_until_revoked);
	tcase_add_test(tc, lease_of_another_user);

	tc = add_group(s, "nvme");
	if (page_too_large()) {
		add_test_or_skip(tc, nvme_until_the_end_of_its_input, page_too_large());
		return s;
	}
	tcase_add_checked_fixture(tc, lend_queues, stop_broker);
	tcase_add_test(tc, nvme_until_the_end_of_its_input);
	tcase_add_test(tc, nvme_whose_lease_is_revoked);
	tcase_add_test(tc, nvme_without_memory);
	return s;
}
