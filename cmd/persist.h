/* SPDX-License-Identifier: MIT */
/*
 * Bindings that survive a reboot: one file for each function in /etc/vfio-dmabuf/bind.d,
 * named as its BDF.  vfio-dmabuf(1) describes them.
 */
#ifndef CMD_PERSIST_H
#define CMD_PERSIST_H

#include <stdbool.h>
#include <stddef.h>

#define PERSIST_DIR	SYSCONFDIR "/vfio-dmabuf/bind.d"
#define PERSIST_PATH	(sizeof(PERSIST_DIR) + 32)

struct persistent {
	char bdf[16];
	char driver[64];
	/* The device that must be at the address; both 0: any. */
	unsigned int vendor, device;
	char former[64];	/* the driver that unbind returns it to, "" for none */
};

/* Parses the text of a file; @line is the first line with a mistake. */
bool persist_parse(const char *text, struct persistent *binding, int *line);
void persist_format(const struct persistent *binding, char *text, size_t size);

/* 0, or -1 with errno: ENOENT if there is none, EINVAL if @line has a mistake. */
int persist_read(const char *bdf, struct persistent *binding, int *line);
/* After a crash, the file is complete or does not exist. */
int persist_write(const struct persistent *binding);
int persist_remove(const char *bdf);
/* The functions that have a file, sorted; the caller frees *list.  Files with other names are ignored. */
size_t persist_all(char (**list)[16]);

/* What bind --restore and bind --list do; exit statuses. */
int persist_restore(const char (*bdfs)[16], int nr);
int persist_list(void);

#endif
