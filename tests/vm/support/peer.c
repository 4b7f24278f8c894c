// SPDX-License-Identifier: MIT
/* A host on the lab's Ethernet. */
#define _GNU_SOURCE
#include "peer.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <limits.h>
#include <net/if.h>
#include <netpacket/packet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "suite.h"
#include "sysfs.h"

#define TYPE	0x88b5	/* for experiments: no kernel answers it */

static int packets = -1;
static char interface[IFNAMSIZ];
static uint8_t own_mac[6];

const char *peer_missing(void)
{
	if (system("modprobe e1000e 2>/dev/null"))
		return "this kernel has no e1000e";
	return NULL;
}

const uint8_t *peer_mac(void)
{
	return own_mac;
}

/* The name of its interface: its driver has made it when the device is bound. */
static void find_interface(void)
{
	const struct dirent *entry;
	char path[PATH_MAX];
	DIR *directory;

	function_path(lab_bdf("E1000E"), "net", path, sizeof(path));
	directory = opendir(path);
	ck_assert_msg(directory, "%s: %s", path, strerror(errno));
	do {
		entry = readdir(directory);
		ck_assert_msg(entry, "%s is empty", path);
	} while (*entry->d_name == '.');
	snprintf(interface, sizeof(interface), "%.*s", (int)sizeof(interface) - 1, entry->d_name);
	closedir(directory);
}

static void set_up(int fd, struct ifreq *request)
{
	ck_assert_works(ioctl(fd, SIOCGIFFLAGS, request));
	request->ifr_flags |= IFF_UP;
	ck_assert_works(ioctl(fd, SIOCSIFFLAGS, request));
}

/* No event reports this but netlink's, which is more to do than this. */
static void wait_for_link(int fd, struct ifreq *request)
{
	const struct timespec pause = { .tv_nsec = 20 * 1000 * 1000 };

	do {
		nanosleep(&pause, NULL);
		ck_assert_works(ioctl(fd, SIOCGIFFLAGS, request));
	} while (!(request->ifr_flags & IFF_RUNNING));
}

void peer_start(void)
{
	struct sockaddr_ll address = { .sll_family = AF_PACKET, .sll_protocol = htons(TYPE) };
	struct ifreq request = { 0 };
	int room = 8 << 20;

	ck_assert_ptr_null(peer_missing());
	/* With IPv6 it would have an address, and talk. */
	file_write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
	driver_bind(lab_bdf("E1000E"), "e1000e");
	find_interface();
	packets = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	ck_assert_works(packets);
	strcpy(request.ifr_name, interface);
	ck_assert_works(ioctl(packets, SIOCGIFHWADDR, &request));
	memcpy(own_mac, request.ifr_hwaddr.sa_data, sizeof(own_mac));
	set_up(packets, &request);
	wait_for_link(packets, &request);
	ck_assert_works(setsockopt(packets, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)));
	ck_assert_works(setsockopt(packets, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof(room)));
	address.sll_ifindex = if_nametoindex(interface);
	ck_assert_works(bind(packets, (struct sockaddr *)&address, sizeof(address)));
}

void peer_stop(void)
{
	if (packets >= 0)
		close(packets);
	packets = -1;
	driver_rebind(lab_bdf("E1000E"));
}

void peer_send(const void *frame, size_t length)
{
	ck_assert_int_eq(send(packets, frame, length, 0), length);
}

size_t peer_receive(void *frame, unsigned int ms)
{
	struct pollfd p = { .fd = packets, .events = POLLIN };
	ssize_t length;

	if (poll(&p, 1, (int)ms) != 1)
		return 0;
	length = recv(packets, frame, PEER_FRAME_MAX, MSG_TRUNC);
	ck_assert_works(length);
	ck_assert_int_le(length, PEER_FRAME_MAX);
	return length;
}

static uint32_t next_random(uint32_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 17;
	*state ^= *state << 5;
	return *state;
}

size_t frame_make(uint8_t frame[PEER_FRAME_MAX], const uint8_t to[6], const uint8_t from[6],
		  uint32_t stream, uint32_t number)
{
	uint32_t state = (stream * 2654435761u) ^ (number + 1) * 40503u;
	size_t length;

	if (!state)
		state = 1;
	length = PEER_FRAME_MIN + next_random(&state) % (PEER_FRAME_MAX - PEER_FRAME_MIN + 1);
	memcpy(frame, to, 6);
	memcpy(frame + 6, from, 6);
	frame[12] = TYPE >> 8;
	frame[13] = TYPE & 0xff;
	for (size_t i = 14; i < length; i++)
		frame[i] = next_random(&state) >> 24;
	return length;
}

bool frame_is(const uint8_t *frame, size_t length, const uint8_t to[6], const uint8_t from[6],
	      uint32_t stream, uint32_t number)
{
	uint8_t expected[PEER_FRAME_MAX];

	return length == frame_make(expected, to, from, stream, number) &&
	       !memcmp(frame, expected, length);
}
