/* SPDX-License-Identifier: MIT */
/*
 * Whether a function's network interfaces are in use.
 *
 * /sys shows the interfaces of one network namespace.  An interface can have moved to
 * another one, for a container for example, so this asks the kernel in each namespace.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <limits.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/printable.h"
#include "in_use.h"
#include "process.h"

#define MAX_OWN	64

struct search {
	const char *bdf;
	char *why;
	size_t size;
	bool used;
	int own;		/* our namespace */
	ino_t *seen;		/* namespaces that have been asked */
	size_t nr_seen;
	const char *namespace;	/* that is being asked, NULL: our own */
	/* The function's interfaces in it, and whether to look for interfaces on top of them. */
	bool uppers;
	struct {
		unsigned int index;
		char name[IF_NAMESIZE];
	} links[MAX_OWN];
	size_t nr_links;
};

struct link {
	unsigned int index, flags, master, lower;
	bool foreign;		/* the lower one is in another namespace, which has its own numbers */
	const char *name, *bus, *device;
};

/* Whether an interface's device, "0000:01:00.0" of "pci" for instance, is the function or below it. */
static bool is_below(const struct link *link, const char *bdf)
{
	char path[256], real[PATH_MAX + 1], part[32];

	if (!link->device[0])
		return false;
	snprintf(path, sizeof(path), "/sys/bus/%.64s/devices/%.128s", link->bus, link->device);
	snprintf(part, sizeof(part), "/%s/", bdf);
	return realpath(path, real) && strstr(strcat(real, "/"), part);
}

static int parse_attribute(const struct nlattr *attribute, void *data)
{
	struct link *link = data;

	switch (mnl_attr_get_type(attribute)) {
	case IFLA_IFNAME:
		link->name = mnl_attr_get_str(attribute);
		break;
	case IFLA_PARENT_DEV_BUS_NAME:
		link->bus = mnl_attr_get_str(attribute);
		break;
	case IFLA_PARENT_DEV_NAME:
		link->device = mnl_attr_get_str(attribute);
		break;
	case IFLA_MASTER:
		link->master = mnl_attr_get_u32(attribute);
		break;
	case IFLA_LINK:
		link->lower = mnl_attr_get_u32(attribute);
		break;
	case IFLA_LINK_NETNSID:
		link->foreign = true;
		break;
	}
	return MNL_CB_OK;
}

__attribute__((format(printf, 2, 3)))
static int refuse(struct search *search, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(search->why, search->size, format, args);
	va_end(args);
	make_printable(search->why);
	search->used = true;
	return MNL_CB_STOP;
}

static int try_link(const struct nlmsghdr *message, void *data)
{
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(message);
	struct link link = { .index = info->ifi_index, .flags = info->ifi_flags, .name = "?", .bus = "", .device = "" };
	char where[PATH_MAX + 8] = "", master[IF_NAMESIZE];
	struct search *search = data;

	mnl_attr_parse(message, sizeof(*info), parse_attribute, &link);
	if (search->namespace)
		snprintf(where, sizeof(where), " (in %s)", search->namespace);
	if (search->uppers) {
		for (size_t i = 0; i < search->nr_links; i++)
			if (link.lower == search->links[i].index && link.index != link.lower && !link.foreign)
				return refuse(search, "network interface %s%s is on top of its interface %s; delete it first",
					      link.name, where, search->links[i].name);
		return MNL_CB_OK;
	}
	if (!is_below(&link, search->bdf))
		return MNL_CB_OK;
	if (link.master)
		return refuse(search, "its network interface %s%s is part of %s; remove it from there first", link.name, where,
			      if_indextoname(link.master, master) ?: "another");
	if (link.flags & IFF_UP)
		return refuse(search, "its network interface %s%s is up; take it down first", link.name, where);
	if (search->nr_links == MAX_OWN)
		return refuse(search, "it has more than %d network interfaces", MAX_OWN);
	search->links[search->nr_links].index = link.index;
	snprintf(search->links[search->nr_links++].name, IF_NAMESIZE, "%s", link.name);
	return MNL_CB_OK;
}

/* Asks for all interfaces of the namespace that we are in; -1 with errno. */
static int ask_socket(struct search *search, struct mnl_socket *socket)
{
	/* MNL_SOCKET_DUMP_SIZE, which libmnl 1.0.4 (Debian 12) does not have. */
	static _Alignas(struct nlmsghdr) char buffer[32768];
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
	int ret = MNL_CB_OK;

	request->nlmsg_type = RTM_GETLINK;
	request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	mnl_nlmsg_put_extra_header(request, sizeof(struct ifinfomsg));
	if (mnl_socket_sendto(socket, request, request->nlmsg_len) < 0)
		return -1;
	while (ret > MNL_CB_STOP) {
		ssize_t length = mnl_socket_recvfrom(socket, buffer, sizeof(buffer));

		if (length < 0)
			return -1;
		ret = mnl_cb_run(buffer, length, 0, mnl_socket_get_portid(socket), try_link, search);
	}
	return ret;
}

static void ask(struct search *search)
{
	bool again;

	/* The kernel reports if interfaces were added or removed meanwhile. */
	do {
		struct mnl_socket *socket = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
		int ret = -1;

		search->nr_links = 0;
		search->uppers = false;
		if (socket && !mnl_socket_bind(socket, 0, MNL_SOCKET_AUTOPID))
			ret = ask_socket(search, socket);
		search->uppers = true;
		if (!ret && !search->used && search->nr_links)
			ret = ask_socket(search, socket);
		again = ret < 0 && errno == EINTR;
		if (ret < 0 && !again)
			refuse(search, "network interfaces%s%s cannot be listed: %s", search->namespace ? " in " : "",
			       search->namespace ?: "", strerror(errno));
		if (socket)
			mnl_socket_close(socket);
	} while (again);
}

static bool ask_in(struct search *search, const char *path)
{
	struct stat file;
	int fd;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &file)) {
		/* The namespace of a process can have ended with it, and a name can remain without one. */
		if (errno != ENOENT && errno != ESRCH)
			refuse(search, "%s cannot be opened: %s", path, strerror(errno));
		goto out;
	}
	for (size_t i = 0; i < search->nr_seen; i++)
		if (search->seen[i] == file.st_ino)
			goto out;
	search->seen = reallocarray(search->seen, search->nr_seen + 1, sizeof(ino_t));
	if (!search->seen)
		abort();
	search->seen[search->nr_seen++] = file.st_ino;
	if (!setns(fd, CLONE_NEWNET)) {
		search->namespace = search->nr_seen > 1 ? path : NULL;
		ask(search);
		if (setns(search->own, CLONE_NEWNET))
			abort();
	} else if (errno != EINVAL) {	/* EINVAL: another file in the directory of namespaces */
		refuse(search, "%s cannot be entered: %s", path, strerror(errno));
	}
out:
	if (fd >= 0)
		close(fd);
	return search->used;
}

static bool ask_in_process(const char *pid, void *data)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%.20s/ns/net", pid);
	return ask_in(data, path);
}

/* Namespaces with a name, which can exist without a process. */
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

	/* A kernel without network namespaces: all interfaces are here. */
	if (search.own < 0 && errno == ENOENT) {
		ask(&search);
		return search.used;
	}
	if (search.own < 0) {
		snprintf(why, size, "/proc/self/ns/net cannot be opened: %s", strerror(errno));
		return true;
	}
	if (!ask_in(&search, "/proc/self/ns/net") && !ask_in_named(&search))
		process_any(ask_in_process, &search);
	free(search.seen);
	close(search.own);
	return search.used;
}
