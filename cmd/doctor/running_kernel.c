/* SPDX-License-Identifier: MIT */
/* The kernel: its version, and whether it already has what the driver adds. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "running_kernel.h"
#include "whole_file.h"

#define NUMBER(major, minor)	((major) * 1000 + (minor))
#define OLDEST	NUMBER(6, 12)
#define NEWEST	NUMBER(7, 3)
#define TRY	"boot 7.3, 7.2 or 6.12 if the driver does not build or fails; slices have no huge pages here"

void judge_kernel(const char *release, struct findings *findings)
{
	unsigned int major = 0, minor = 0, version;

	sscanf(release, "%u.%u", &major, &minor);
	version = NUMBER(major, minor);
	if (version < OLDEST) {
		found(findings, "kernel", MISSING, "Linux %s is older than 6.12, which the driver needs", release);
		advise(findings, "boot Linux 7.3, 7.2 or 6.12");
	} else if (version > NEWEST) {
		found(findings, "kernel", WARNING, "Linux %s is newer than 7.3, the newest that the driver is tested on", release);
		advise(findings, TRY);
	} else if (version != OLDEST && version != NEWEST && version != NUMBER(7, 2)) {
		found(findings, "kernel", WARNING, "Linux %s: the driver is tested on 6.12, 7.2 and 7.3 only", release);
		advise(findings, TRY);
	} else {
		found(findings, "kernel", GOOD, "Linux %s", release);
	}
}

/* The text after the first "dmabuf" or "dma_buf", or NULL. */
static const char *after_dmabuf(const char *name)
{
	const char *joined = strstr(name, "dmabuf"), *divided = strstr(name, "dma_buf");

	if (!joined && !divided)
		return NULL;
	if (!joined || (divided && divided < joined))
		return divided + strlen("dma_buf");
	return joined + strlen("dmabuf");
}

/* The names for which module/probe searches the headers.  A build fails if it finds one. */
static bool is_of_series(const char *name)
{
	const char *mmap = strstr(name, "mmap"), *rest = after_dmabuf(name);

	if (strncmp(name, "vfio_pci_", 9) || !rest)
		return false;
	if (!strcmp(name, "vfio_pci_dma_buf_find_pfn"))
		return true;
	return strstr(rest, "mmap") || (mmap && after_dmabuf(mmap));
}

static bool is_name(char c)
{
	return isalnum((unsigned char)c) || c == '_';
}

const char *find_series(const char *text, size_t size)
{
	static char name[128];
	size_t length = 0;

	for (size_t i = 0; i <= size; i++) {
		if (i < size && is_name(text[i])) {
			if (length < sizeof(name) - 1)
				name[length] = text[i];
			length++;
			continue;
		}
		if (length && length < sizeof(name)) {
			name[length] = '\0';
			if (is_of_series(name))
				return name;
		}
		length = 0;
	}
	return NULL;
}

void judge_series(const char *name, struct findings *findings)
{
	if (!name)
		return;
	found(findings, "series", MISSING,
	      "the vfio-pci of this kernel backs BAR mappings with DMABUFs itself (it has %s); the driver does not build for it",
	      name);
	advise(findings, "use the kernel's own feature to revoke a DMABUF, or boot 7.3, 7.2 or 6.12");
}

/*
 * vfio-pci-core's type information is small, and contains the names of its functions.
 * The list of all symbols is long, so it is read only if necessary.  If the module is
 * not loaded, neither contains the names.
 */
static const char *read_series(void)
{
	static const char *const sources[] = {
		"/sys/kernel/btf/vfio_pci_core", "/sys/kernel/btf/vmlinux", "/proc/kallsyms",
	};

	for (size_t i = 0; i < sizeof(sources) / sizeof(sources[0]); i++) {
		size_t size;
		char *text = whole_file(sources[i], &size);
		const char *name;

		if (!text)
			continue;
		name = find_series(text, size);
		free(text);
		return name;
	}
	return NULL;
}

void check_kernel(struct findings *findings)
{
	struct utsname name;

	uname(&name);
	judge_kernel(name.release, findings);
	judge_series(read_series(), findings);
}
