// SPDX-License-Identifier: MIT
/* The sizes of this machine's pages. */
#include "page.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define HUGE_SIZE	"/sys/kernel/mm/transparent_hugepage/hpage_pmd_size"
#define ENTRY		8	/* bytes, of a page table, which is one page */

unsigned long page_size(void)
{
	static unsigned long size;

	if (!size)
		size = sysconf(_SC_PAGESIZE);
	return size;
}

/* As the kernel says.  One without transparent huge pages, such as an RT kernel, does not. */
unsigned long pmd_size(void)
{
	static unsigned long size;
	FILE *file;

	if (size)
		return size;
	file = fopen(HUGE_SIZE, "r");
	if (!file || fscanf(file, "%lu", &size) != 1)
		size = PAGE * (PAGE / ENTRY);
	if (file)
		fclose(file);
	return size;
}

unsigned long pud_size(void)
{
	return PMD * (PAGE / ENTRY);
}

const char *page_reserve(void)
{
	static char path[80];

	snprintf(path, sizeof(path), "/sys/kernel/mm/hugepages/hugepages-%lukB/nr_hugepages", PMD >> 10);
	return path;
}

const char *page_too_large(void)
{
	static char why[80];

	if (PAGE <= 4096)
		return NULL;
	snprintf(why, sizeof(why), "the registers of client and owner are in one page of %lu bytes", PAGE);
	return why;
}

unsigned long page_number(const char *name)
{
	char *unit;
	unsigned long nr = strtoul(name, &unit, 10);

	if (unit == name)
		nr = 1;
	if (!strcmp(unit, "PAGE"))
		return nr * PAGE;
	return strcmp(unit, "PMD") ? 0 : nr * PMD;
}

const char *page_ranges(const char *pages)
{
	static char text[512];
	size_t length = 0;

	while (*pages) {
		char *end;

		if (isdigit((unsigned char)*pages)) {
			length += snprintf(text + length, sizeof(text) - length, "0x%lx",
					   strtoul(pages, &end, 10) * PAGE);
			pages = end;
		} else {
			text[length++] = *pages++;
		}
	}
	text[length] = '\0';
	return text;
}
