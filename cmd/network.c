/* SPDX-License-Identifier: MIT */
/*
 * Whether somebody would miss a function's network interfaces.
 *
 * /sys shows those of one network namespace.  They may have gone into another,
 * as those of containers do, so the kernel is asked in each.
 */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "in_use.h"
#include "output.h"
#include "process.h"

struct search {
	const char *bdf;
	char *why;
	size_t size;
	int own;		/* our namespace */
	ino_t *seen;		/* those that have been asked */
	size_t nr_seen;
};

/* Whether the device that an interface is of, "0000:01:00.0" of "pci" for instance, is the function or below it. */
static bool is_below(const char *bus, const char *name, const char *bdf)
{
	char path[256], real[PATH_MAX + 1], part[32];

	snprintf(path, sizeof(path), "/sys/bus/%.64s/devices/%.128s", bus, name);
	snprintf(part, sizeof(part), "/%s/", bdf);
	return realpath(path, real) && strstr(strcat(real, "/"), part);
}

static bool is_used(const struct search *search, const struct nlmsghdr *message, const char *namespace)
{
	const struct ifinfomsg *info = NLMSG_DATA(message);
	const char *name = "?", *bus = "", *device = "";
	char where[PATH_MAX + 8] = "", master[IF_NAMESIZE];
	unsigned int master_index = 0;
	int left = IFLA_PAYLOAD(message);

	for (const struct rtattr *a = IFLA_RTA(info); RTA_OK(a, left); a = RTA_NEXT(a, left)) {
		switch (a->rta_type) {
		case IFLA_IFNAME:
			name = RTA_DATA(a);
			break;
		case IFLA_PARENT_DEV_BUS_NAME:
			bus = RTA_DATA(a);
			break;
		case IFLA_PARENT_DEV_NAME:
			device = RTA_DATA(a);
			break;
		case IFLA_MASTER:
			memcpy(&master_index, RTA_DATA(a), sizeof(master_index));
			break;
		}
	}
	if (!device[0] || !is_below(bus, device, search->bdf))
		return false;
	if (namespace)
		snprintf(where, sizeof(where), " (in %s)", namespace);
	if (master_index)
		snprintf(search->why, search->size, "its network interface %s%s is part of %s; take it out first", name,
			 where, if_indextoname(master_index, master) ?: "another");
	else if (info->ifi_flags & IFF_UP)
		snprintf(search->why, search->size, "its network interface %s%s is up; take it down first", name, where);
	else
		return false;
	make_printable(search->why);
	return true;
}

/* Asks for all interfaces of the namespace that we are in. */
static bool ask(const struct search *search, const char *namespace)
{
	const struct {
		struct nlmsghdr header;
		struct ifinfomsg info;
	} request = {
		.header = {
			.nlmsg_len = sizeof(request), .nlmsg_type = RTM_GETLINK,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
		},
	};
	/* As large as the kernel makes its answers. */
	static _Alignas(struct nlmsghdr) char answer[32768];
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	bool used = false, done = fd < 0 || send(fd, &request, sizeof(request), 0) < 0;

	while (!done && !used) {
		ssize_t length = recv(fd, answer, sizeof(answer), 0);

		done = length <= 0;
		for (const struct nlmsghdr *m = (void *)answer; !used && NLMSG_OK(m, length); m = NLMSG_NEXT(m, length)) {
			done |= m->nlmsg_type != RTM_NEWLINK;
			used = !done && is_used(search, m, namespace);
		}
	}
	if (fd >= 0)
		close(fd);
	return used;
}

static bool ask_in(struct search *search, const char *path)
{
	struct stat file;
	bool used = false;
	int fd;

	if (stat(path, &file))
		return false;
	for (size_t i = 0; i < search->nr_seen; i++)
		if (search->seen[i] == file.st_ino)
			return false;
	search->seen = reallocarray(search->seen, search->nr_seen + 1, sizeof(ino_t));
	if (!search->seen)
		abort();
	search->seen[search->nr_seen++] = file.st_ino;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && !setns(fd, CLONE_NEWNET)) {
		used = ask(search, search->nr_seen > 1 ? path : NULL);
		if (setns(search->own, CLONE_NEWNET))
			abort();
	}
	if (fd >= 0)
		close(fd);
	return used;
}

static bool ask_in_process(const char *pid, void *data)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%.20s/ns/net", pid);
	return ask_in(data, path);
}

/* Those that have a name, but need not have a process. */
static bool ask_in_named(struct search *search)
{
	DIR *dir = opendir("/run/netns");
	struct dirent *entry;
	bool used = false;

	while (dir && !used && (entry = readdir(dir))) {
		char path[320];

		snprintf(path, sizeof(path), "/run/netns/%s", entry->d_name);
		used = entry->d_name[0] != '.' && ask_in(search, path);
	}
	if (dir)
		closedir(dir);
	return used;
}

bool network_in_use(const char *bdf, char *why, size_t size)
{
	struct search search = {
		.bdf = bdf, .why = why, .size = size,
		.own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC),
	};
	bool used;

	if (search.own < 0)
		return false;
	used = ask_in(&search, "/proc/self/ns/net") || ask_in_named(&search) || process_any(ask_in_process, &search);
	free(search.seen);
	close(search.own);
	return used;
}
