/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <unistd.h>

#include "common/fds.h"
#include "common/replace.h"

static int write_all(int fd, const char *text, size_t size)
{
	while (size) {
		ssize_t written = write(fd, text, size);

		if (written < 0)
			return -1;
		text += written;
		size -= written;
	}
	return 0;
}

int file_replace(const char *path, const char *text, size_t size, bool sync)
{
	char new[PATH_MAX];
	int fd, error;
	bool ok;

	snprintf(new, sizeof(new), "%.*s.new", PATH_MAX - 5, path);
	/* If another process has made a pipe there, an open would wait; a link would be followed. */
	unlink(new);
	fd = open(new, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return -1;
	ok = !write_all(fd, text, size) && !(sync && fsync(fd));
	fd_close(fd);
	if (ok && !rename(new, path))
		return 0;
	error = errno;
	unlink(new);
	errno = error;
	return -1;
}
