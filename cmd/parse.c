/* SPDX-License-Identifier: MIT */
/* Parses text of users and of the kernel. */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vfio-dmabuf.h>

#include "parse.h"

/* The text after the number, or NULL if there is no number. */
static const char *leading_number(const char *text, uint64_t *number)
{
	bool hex = text[0] == '0' && (text[1] == 'x' || text[1] == 'X');
	char *end;

	if (hex ? !isxdigit((unsigned char)text[2]) : !isdigit((unsigned char)text[0]))
		return NULL;
	if (!hex && text[0] == '0' && isdigit((unsigned char)text[1]))
		return NULL;
	errno = 0;
	*number = strtoull(text, &end, hex ? 16 : 10);
	return errno ? NULL : end;
}

bool parse_number(const char *text, uint64_t *number)
{
	const char *rest = leading_number(text, number);

	return rest && !*rest;
}

struct unit {
	char letter;
	uint64_t factor;
};

static bool parse_with_unit(const char *text, const struct unit *units, uint64_t *number)
{
	const char *unit = leading_number(text, number);

	if (!unit || !*unit)
		return unit;
	/* A hexadecimal number has no unit. */
	if (unit[1] || strspn(text, "0123456789") != (size_t)(unit - text))
		return false;
	while (units->letter && units->letter != *unit)
		units++;
	return units->letter && !__builtin_mul_overflow(*number, units->factor, number);
}

bool parse_size(const char *text, uint64_t *bytes)
{
	static const struct unit sizes[] = {
		{ 'K', 1ULL << 10 }, { 'M', 1ULL << 20 }, { 'G', 1ULL << 30 }, { 'T', 1ULL << 40 }, { 0 }
	};

	return parse_with_unit(text, sizes, bytes);
}

bool parse_seconds(const char *text, uint64_t *seconds)
{
	static const struct unit times[] = {
		{ 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 }, { 0 }
	};

	return parse_with_unit(text, times, seconds);
}

static bool parse_direct(const char *text, const char *slash, struct target *target)
{
	char bdf[32];
	uint64_t bar;

	if ((size_t)(slash - text) >= sizeof(bdf))
		return false;
	memcpy(bdf, text, slash - text);
	bdf[slash - text] = '\0';
	if (!vdb_parse_bdf(bdf, target->bdf) || !parse_number(slash + 1, &bar) || bar >= VDB_BARS)
		return false;
	target->bar = bar;
	target->direct = true;
	return true;
}

bool parse_target(const char *text, struct target *target)
{
	const char *slash = strchr(text, '/'), *bracket = strchr(text, '[');
	size_t length = bracket ? (size_t)(bracket - text) : strlen(text);
	uint64_t index;
	char number[16];

	*target = (struct target){ .index = VDB_ANY_INDEX };
	if (!slash)
		return false;
	if (memchr(text, ':', slash - text))
		return parse_direct(text, slash, target);
	if (slash == text || length >= sizeof(target->slice) || length <= (size_t)(slash - text) + 1)
		return false;
	memcpy(target->slice, text, length);
	if (!bracket)
		return true;
	if (sscanf(bracket, "[%15[0-9]]", number) != 1 ||
	    strlen(bracket) != strlen(number) + 2 || bracket[strlen(bracket) - 1] != ']' ||
	    !parse_number(number, &index) || index >= UINT32_MAX)
		return false;
	target->index = index;
	return true;
}

static bool parse_ranges(const char *text, struct buffer *buffer)
{
	while (*text) {
		uint64_t offset, length;
		size_t more;
		int end = -1;

		if (sscanf(text, "%" SCNx64 "+%" SCNx64 "%n", &offset, &length, &end) == 2 && end > 0) {
			if (buffer->nr_known == MAX_RANGES)
				return false;
			buffer->ranges[buffer->nr_known].offset = offset;
			buffer->ranges[buffer->nr_known++].length = length;
			buffer->nr_ranges++;
		} else if (sscanf(text, "+%zu%n", &more, &end) == 1 && end > 0) {
			buffer->nr_ranges += more;
		} else {
			return false;
		}
		text += end;
		if (*text == ',')
			text++;
	}
	return buffer->nr_known;
}

bool parse_buffer(const char *line, struct buffer *buffer)
{
	char kind[8], mode[4], ranges[512];

	*buffer = (struct buffer){ 0 };
	if (sscanf(line, "%u %7s %15s %3s %d %" SCNx64 " %*s %511s %7s %d %" SCNu64, &buffer->bar, kind,
		   buffer->state, mode, &buffer->mappings, &buffer->size, ranges,
		   buffer->memattr, &buffer->importers, &buffer->inode) != 10)
		return false;
	buffer->slice = !strcmp(kind, "slice");
	buffer->read_only = !strcmp(mode, "ro");
	return parse_ranges(ranges, buffer);
}

bool parse_mapping(const char *line, struct mapping *mapping)
{
	unsigned long long start, end, offset;
	char mode[5], name[64], bdf[16];
	const char *file = strstr(line, " /dmabuf:");

	*mapping = (struct mapping){ 0 };
	if (!file || sscanf(line, "%llx-%llx %4s %llx %*s %" SCNu64, &start, &end, mode, &offset,
			    &mapping->inode) != 5)
		return false;
	mapping->offset = offset;
	mapping->length = end - start;
	mapping->writable = mode[1] == 'w';
	/* "vfio0:0000:01:00.0/2" */
	if (sscanf(file, " /dmabuf:%31[a-z0-9]:%15[0-9a-f:.]/%u", name, bdf, &mapping->bar) != 3 ||
	    mapping->bar >= VDB_BARS || !vdb_parse_bdf(bdf, mapping->bdf))
		mapping->bdf[0] = '\0';
	return true;
}
