/* SPDX-License-Identifier: MIT */
/* vfio-dmabufd: lends slices of devices to clients; vfio-dmabufd(8). */
#include <argp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "broker.h"
#include "log.h"

const char *argp_program_version = "vfio-dmabufd 0.1.0";

static const struct argp_option options[] = {
	{ "config", 'c', "FILE", 0, "configuration (/etc/vfio-dmabuf/vfio-dmabufd.conf)", 0 },
	{ "config-directory", 'd', "DIR", 0, "more of it, *.conf (/etc/vfio-dmabuf/conf.d)", 0 },
	{ "socket", 's', "PATH", 0, "where to listen if no socket is passed (" VDB_BROKER_SOCKET ")", 0 },
	{ "check", 'n', NULL, 0, "only read the configuration, and say what is wrong", 0 },
	{ "verbose", 'v', NULL, 0, "log more", 0 },
	{ 0 }
};

static bool only_check;

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct broker *broker = state->input;

	switch (key) {
	case 'c':
		broker->config_file = arg;
		return 0;
	case 'd':
		broker->config_dir = arg;
		return 0;
	case 's':
		broker->socket_path = arg;
		return 0;
	case 'n':
		only_check = true;
		return 0;
	case 'v':
		log_set_level(LOG_DEBUG);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

static void print_error(const char *line)
{
	fprintf(stderr, "vfio-dmabufd: %s\n", line);
}

static int check(const struct broker *broker)
{
	struct config *config = config_read(broker->config_file, broker->config_dir, print_error);

	if (!config)
		return EXIT_FAILURE;
	config_free(config);
	return EXIT_SUCCESS;
}

static int on_reload(sd_event_source *source, const struct signalfd_siginfo *info, void *data)
{
	(void)source, (void)info;
	broker_reload(data);
	return 0;
}

static int add_signals(struct broker *broker)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	/* Without a handler of ours they end the loop. */
	if (sd_event_add_signal(broker->event, NULL, SIGTERM, NULL, NULL) < 0 ||
	    sd_event_add_signal(broker->event, NULL, SIGINT, NULL, NULL) < 0 ||
	    sd_event_add_signal(broker->event, NULL, SIGHUP, on_reload, broker) < 0)
		return -1;
	return 0;
}

int main(int argc, char **argv)
{
	static const struct argp argp = {
		.options = options,
		.parser = parse,
		.doc = "Lends slices of PCI devices' BARs to clients.",
	};
	/* Static, so that a leak checker finds what is still in use at the end. */
	static struct broker broker = {
		.config_file = "/etc/vfio-dmabuf/vfio-dmabufd.conf",
		.config_dir = "/etc/vfio-dmabuf/conf.d",
		.socket_path = VDB_BROKER_SOCKET,
		.listening = -1,
	};
	int ret = EXIT_FAILURE;

	argp_parse(&argp, argc, argv, 0, NULL, &broker);
	if (only_check)
		return check(&broker);
	/* Clients of any user connect; who may do what is told apart later. */
	umask(0);
	if (sd_event_default(&broker.event) < 0 || add_signals(&broker) ||
	    sd_event_set_watchdog(broker.event, 1) < 0)
		log_line(LOG_ERR, "no event loop");
	else if (!broker_start(&broker))
		ret = sd_event_loop(broker.event) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
	broker_end(&broker);
	return ret;
}
