// SPDX-License-Identifier: MIT
/*
 * A C program that loads Go as a library after it has enabled the guard, so that Go's
 * runtime receives SIGBUS first.  It maps a slice, its fd 3, says so, and accesses the
 * slice when its stdin ends; see main.go.
 */
#include <dlfcn.h>
#include <err.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/mman.h>
#include <vfio-dmabuf.h>

static bool guarded_read_fails(const void *memory)
{
	uint32_t value;

	errno = 0;
	return vdb_try_read32(memory, &value) == -1 && errno == EFAULT;
}

int main(void)
{
	void *memory = mmap(NULL, 4096, PROT_READ, MAP_SHARED, 3, 0);
	int (*access_revoked)(void *memory);
	void *library;

	if (memory == MAP_FAILED || vdb_guard_enable())
		err(1, "mapping the slice");
	library = dlopen("/lab/go/library.so", RTLD_NOW);
	access_revoked = library ? dlsym(library, "access_revoked") : NULL;
	if (!access_revoked)
		errx(1, "%s", dlerror());
	puts("ready");
	fflush(stdout);
	getchar();

	if (!guarded_read_fails(memory))
		errx(1, "the guarded read in C, before Go's");
	if (access_revoked(memory))
		errx(1, "the reads in Go");
	if (!guarded_read_fails(memory))
		errx(1, "the guarded read in C, after Go's");
	return 0;
}
