// SPDX-License-Identifier: MIT
/* The broker, killed at one of its calls, and brought back as a service manager would. */
#define _GNU_SOURCE
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "broker.h"
#include "crash.h"
#include "kernel.h"
#include "manager.h"
#include "suite.h"

int crash_stride(void)
{
	if (kernel_started_with("lab.kernel=7.3"))
		return 1;
	return kernel_started_with("lab.kernel=debug") ? 10 : 5;
}

pid_t crash_start(const char *call, int nth, bool *died)
{
	char options[128];
	pid_t broker;

	snprintf(options, sizeof(options), "-e trace=%s -e inject=%s:signal=KILL:when=%d", call, call, nth);
	broker = broker_start_traced(options);
	*died = !broker;
	if (broker)
		return broker;
	broker_check_sanitizers();
	return broker_start();
}

int crash_find_answer(const char *call, const char *slice)
{
	char options[64], begin[64], line[1024];
	struct vdb_client *client;
	bool found = false;
	pid_t broker;
	FILE *file;
	int nth = 1;

	snprintf(options, sizeof(options), "-e trace=sendmsg,%s", call);
	unlink(BROKER_LOG);
	broker = broker_start_traced(options);
	/* The number of messages while a request waits for the device depends on the time. */
	broker_wait_log("is open");
	client = broker_connect();
	broker_acquire(client, slice, 0);
	vdb_client_close(client);
	/* The leak checker does not work in a process that is traced. */
	broker_stop(broker, SIGKILL);

	snprintf(begin, sizeof(begin), "%s(", call);
	file = fopen(BROKER_TRACE, "r");
	ck_assert_ptr_nonnull(file);
	while (!found && fgets(line, sizeof(line), file)) {
		/* Workers are not counted: strace counts the calls of each thread. */
		if (strtol(line, NULL, 10) != broker)
			continue;
		/* No other has two fds. */
		found = strstr(line, "sendmsg(") && strstr(line, "cmsg_len=24");
		nth += !found && strstr(line, begin);
	}
	fclose(file);
	ck_assert(found);
	return nth;
}

bool crash_revive(pid_t *broker, const pid_t *clients, unsigned int nr, volatile bool *stop)
{
	unsigned int ended = 0;
	bool died = false;
	int status;

	while (ended < nr) {
		pid_t pid = waitpid(-1, &status, 0);

		ck_assert_works(pid);
		if (pid == *broker) {
			ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL,
				      "the broker ended with %x", status);
			broker_check_sanitizers();
			died = true;
			*broker = broker_start();
		}
		for (unsigned int i = 0; i < nr; i++) {
			if (pid != clients[i])
				continue;
			ck_assert_msg(WIFEXITED(status) && !WEXITSTATUS(status),
				      "client %u ended with %x, the broker had %s", i, status,
				      died ? "died" : "not died");
			*stop = true;
			ended++;
		}
	}
	return died;
}

void crash_check_peace(pid_t broker, const char *slice)
{
	struct vdb_client *survivor;

	manager_refuse(NULL);
	broker_stop(broker, SIGKILL);
	broker = broker_start();
	/* That its clients have died may be the first that it hears. */
	manager_wait_count("client-", 0);
	survivor = broker_connect();
	broker_acquire(survivor, slice, 0);
	vdb_client_close(survivor);
	broker_stop(broker, SIGTERM);
}
