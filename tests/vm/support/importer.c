// SPDX-License-Identifier: MIT
/* An importer of slices. */
#define _GNU_SOURCE
#include "importer.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "kernel.h"
#include "prompt.h"
#include "suite.h"
#include "sysfs.h"

const char *importers_missing(void)
{
	return kernel_is(7, 0) ? NULL : "importers need Linux 7.0";
}

void importer_bind(void)
{
	module_load(IMPORTER_DRIVER);
	driver_bind(lab_bdf("EDU2"), IMPORTER_DRIVER);
}

void importer_unbind(void)
{
	driver_rebind(lab_bdf("EDU2"));
}

int importer_open(void)
{
	int fd = open(IMPORTER_PATH, O_RDWR | O_CLOEXEC);

	ck_assert_msg(fd >= 0, IMPORTER_PATH ": %s", strerror(errno));
	return fd;
}

int importer_try_attach(int importer, int slice, const struct device *exporter,
			uint32_t flags)
{
	return importer_attach_watching(importer, slice, exporter, flags, 0, 0);
}

int importer_attach_watching(int importer, int slice,
			     const struct device *exporter, uint32_t flags,
			     uint32_t bar, uint32_t offset)
{
	struct importer_attach request = {
		.dmabuf_fd = slice,
		.flags = flags,
		.bar = bar,
		.offset = offset,
	};
	unsigned int bus, device, function;

	ck_assert_int_eq(sscanf(exporter->bdf, "0000:%x:%x.%x", &bus, &device,
				&function), 3);
	request.exporter = bus << 8 | device << 3 | function;
	return ioctl(importer, IMPORTER_ATTACH, &request);
}

int importer_map(int importer, uint32_t direction)
{
	struct importer_map request = { direction };

	return ioctl(importer, IMPORTER_MAP, &request);
}

int importer_unmap(int importer)
{
	return ioctl(importer, IMPORTER_UNMAP);
}

int importer_detach(int importer)
{
	return ioctl(importer, IMPORTER_DETACH);
}

int importer_start(int importer, uint64_t offset, uint32_t length, bool writes)
{
	struct importer_start request = {
		.offset = offset,
		.length = length,
		.writes = writes,
	};

	return ioctl(importer, IMPORTER_START, &request);
}

pid_t importer_hold(int importer, bool then_map)
{
	struct importer_hold request = {
		.event_fd = eventfd(0, EFD_CLOEXEC),
		.then_map = then_map,
	};
	eventfd_t one;
	pid_t pid;

	ck_assert_works(request.event_fd);
	pid = fork();
	ck_assert_works(pid);
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		ioctl(importer, IMPORTER_HOLD, &request);
		_exit(1);
	}
	ck_assert_works(eventfd_read(request.event_fd, &one));
	close(request.event_fd);
	return pid;
}

int importer_attach(int slice, const struct device *exporter)
{
	int importer = importer_open();

	ck_assert_works(importer_try_attach(importer, slice, exporter, 0));
	return importer;
}

struct importer_status importer_status(int importer)
{
	struct importer_status status;

	ck_assert_works(ioctl(importer, IMPORTER_STATUS, &status));
	return status;
}

void importer_wait_notified(int importer, unsigned int times)
{
	double begin = now();

	while (importer_status(importer).notified < times) {
		ck_assert_msg(now() - begin < bound(), "the importer is not notified");
		sched_yield();
	}
}

/* A call moves no more than fits in the importer's buffer. */
static size_t part_of(size_t size)
{
	return size < IMPORTER_MOST ? size : IMPORTER_MOST;
}

void importer_read(int importer, uint64_t offset, void *data, size_t size)
{
	for (size_t done = 0, part; done < size; done += part) {
		ssize_t n;

		part = part_of(size - done);
		n = pread(importer, (char *)data + done, part, (off_t)(offset + done));
		ck_assert_msg(n == (ssize_t)part, "the importer's read: %s", strerror(errno));
	}
}

void importer_write(int importer, uint64_t offset, const void *data, size_t size)
{
	for (size_t done = 0, part; done < size; done += part) {
		ssize_t n;

		part = part_of(size - done);
		n = pwrite(importer, (const char *)data + done, part, (off_t)(offset + done));
		ck_assert_msg(n == (ssize_t)part, "the importer's write: %s", strerror(errno));
	}
}
