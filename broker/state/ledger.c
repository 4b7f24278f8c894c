/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "checksum.h"
#include "ledger.h"

/* The header of the file.  Numbers are in the machine's byte order: the file does not leave it. */
struct header {
	char magic[8];
	uint64_t commit;
	uint64_t reserved[6];
};

#define MAGIC		"vfdstat2"
#define HEADER		sizeof(struct header)
#define UNIT		8u		/* alignment of everything */
#define HALF_MIN	(64u << 10)
#define HALF_MAX	((UNIT << 24) / 2 - HEADER)	/* the commit word has 24 bits for an end */

struct record {
	uint32_t size;		/* of its body */
	uint32_t sum;		/* of the body */
	uint8_t body[];
};

/*
 * The commit word: begin and end in units, and a sum of both.  A process stores one
 * word completely or not at all.
 */
static uint64_t commit_word(uint64_t begin, uint64_t end)
{
	uint64_t word = begin / UNIT << 24 | end / UNIT;

	return checksum_of_word(word) << 48 | word;
}

static struct header *header(const struct ledger *ledger)
{
	return (struct header *)ledger->map;
}

static struct record *record_at(const struct ledger *ledger, size_t offset)
{
	return (struct record *)(ledger->map + offset);
}

static uint32_t sum_of(const struct record *record)
{
	return checksum(record->body, record->size);
}

static size_t aligned(size_t size)
{
	return (size + UNIT - 1) / UNIT * UNIT;
}

static size_t size_of(const struct record *record)
{
	return aligned(sizeof(*record) + record->size);
}

static size_t file_size(size_t half)
{
	return HEADER + 2 * half;
}

static bool is_in_second(const struct ledger *ledger)
{
	return ledger->begin != HEADER;
}

static size_t limit(const struct ledger *ledger)
{
	return HEADER + (is_in_second(ledger) ? 2 : 1) * ledger->half;
}

static void commit(struct ledger *ledger, size_t begin, size_t end)
{
	ledger->begin = begin;
	ledger->end = end;
	__atomic_store_n(&header(ledger)->commit, commit_word(begin, end), __ATOMIC_RELEASE);
}

void ledger_free(struct ledger *ledger)
{
	if (!ledger)
		return;
	if (ledger->map)
		munmap(ledger->map, file_size(ledger->half));
	if (ledger->fd >= 0)
		close(ledger->fd);
	index_free(&ledger->index);
	free(ledger);
}

static int map(struct ledger *ledger)
{
	ledger->map = mmap(NULL, file_size(ledger->half), PROT_READ | PROT_WRITE, MAP_SHARED, ledger->fd, 0);
	if (ledger->map == MAP_FAILED) {
		ledger->map = NULL;
		return -1;
	}
	return 0;
}

static int create(struct ledger *ledger)
{
	ledger->half = HALF_MIN;
	ledger->fd = memfd_create("vfio-dmabufd", MFD_CLOEXEC);
	if (ledger->fd < 0 || fallocate(ledger->fd, 0, 0, file_size(ledger->half)) || map(ledger))
		return -1;
	if (!index_reserve(&ledger->index, 1))
		return -1;
	memcpy(header(ledger)->magic, MAGIC, sizeof(header(ledger)->magic));
	commit(ledger, HEADER, HEADER);
	return 0;
}

/* Frees it and keeps errno. */
static struct ledger *failed(struct ledger *ledger)
{
	int error = errno;

	ledger_free(ledger);
	errno = error;
	return NULL;
}

struct ledger *ledger_new(void)
{
	struct ledger *ledger = calloc(1, sizeof(*ledger));

	if (!ledger)
		return NULL;
	ledger->fd = -1;
	return create(ledger) ? failed(ledger) : ledger;
}

static int damaged(void)
{
	errno = EBADMSG;
	return -1;
}

/* Finds the pairs of type and key, which come first in the map. */
static int find_key(const struct record *record, size_t *key, size_t *key_size, bool *removes)
{
	struct reader from = { record->body, record->size };
	struct item map, item;
	const uint8_t *start;

	if (!read_typed(&from, ITEM_MAP, &map) || map.value < 2)
		return damaged();
	start = from.at;
	if (!read_typed(&from, ITEM_TEXT, &item) || !item_is_text(&item, "t") ||
	    !read_typed(&from, ITEM_TEXT, &item) ||
	    !read_typed(&from, ITEM_TEXT, &item) || !read_over(&from))
		return damaged();
	*key = start - (const uint8_t *)record;
	*key_size = from.at - start;
	*removes = map.value == 2;
	/* The rest must be pairs. */
	for (uint64_t i = 2; i < map.value; i++)
		if (!read_typed(&from, ITEM_TEXT, &item) || !read_over(&from))
			return damaged();
	return from.left || *key_size > UINT16_MAX ? damaged() : 0;
}

/* @slot: the key's; NULL: it has none. */
static void take(struct ledger *ledger, size_t offset, const struct key *key, size_t key_at,
		 struct slot *slot, bool removes)
{
	if (slot)
		ledger->live -= slot->size;
	if (removes) {
		if (slot)
			index_remove(&ledger->index, slot);
		return;
	}
	if (!slot)
		slot = index_add(&ledger->index, key->hash);
	slot->record = offset;
	slot->size = size_of(record_at(ledger, offset));
	slot->key = key_at;
	slot->key_size = key->size;
	ledger->live += slot->size;
}

static int load_record(struct ledger *ledger, size_t *offset)
{
	const struct record *record = record_at(ledger, *offset);
	size_t left = ledger->end - *offset, key_at, key_size;
	struct key key;
	bool removes;

	/* @left is a multiple of the head's size, so the head can be read. */
	if (size_of(record) > left || record->sum != sum_of(record))
		return damaged();
	if (find_key(record, &key_at, &key_size, &removes))
		return -1;
	if (!index_reserve(&ledger->index, ledger->index.nr + 1))
		return -1;
	key = ledger_key((const uint8_t *)record + key_at, key_size);
	take(ledger, *offset, &key, key_at, ledger_find(ledger, &key), removes);
	*offset += size_of(record);
	return 0;
}

static int load(struct ledger *ledger)
{
	struct stat st;
	uint64_t word;

	if (fstat(ledger->fd, &st))
		return -1;
	if (st.st_size < (off_t)file_size(HALF_MIN) || st.st_size > (off_t)file_size(HALF_MAX) ||
	    (st.st_size - HEADER) % (2 * UNIT))
		return damaged();
	ledger->half = (st.st_size - HEADER) / 2;
	if (map(ledger))
		return -1;
	word = __atomic_load_n(&header(ledger)->commit, __ATOMIC_ACQUIRE);
	ledger->begin = (word >> 24 & 0xffffff) * UNIT;
	ledger->end = (word & 0xffffff) * UNIT;
	if (memcmp(header(ledger)->magic, MAGIC, sizeof(header(ledger)->magic)) ||
	    word != commit_word(ledger->begin, ledger->end))
		return damaged();
	if ((ledger->begin != HEADER && ledger->begin != HEADER + ledger->half) ||
	    ledger->end < ledger->begin || ledger->end > limit(ledger))
		return damaged();
	for (size_t offset = ledger->begin; offset < ledger->end; )
		if (load_record(ledger, &offset))
			return -1;
	return 0;
}

struct ledger *ledger_load(int fd)
{
	struct ledger *ledger = calloc(1, sizeof(*ledger));

	if (!ledger)
		return NULL;
	ledger->fd = fd;
	if (!load(ledger) && index_reserve(&ledger->index, 1))
		return ledger;
	ledger->fd = -1;
	return failed(ledger);
}

static int grow(struct ledger *ledger, size_t half)
{
	void *moved;

	if (half > HALF_MAX) {
		errno = ENOSPC;
		return -1;
	}
	/* The second half will begin elsewhere. */
	if (is_in_second(ledger) && ledger_compact(ledger))
		return -1;
	/* Allocated, so that no store into it can fail. */
	if (fallocate(ledger->fd, 0, 0, file_size(half)))
		return -1;
	moved = mremap(ledger->map, file_size(ledger->half), file_size(half), MREMAP_MAYMOVE);
	if (moved == MAP_FAILED) {
		if (ftruncate(ledger->fd, file_size(ledger->half)))
			errno = ENOMEM;
		return -1;
	}
	ledger->map = moved;
	ledger->half = half;
	return 0;
}

/* If it fails, the size does not change. */
static void shrink(struct ledger *ledger, size_t half)
{
	/* The log must be in the first half, and at its beginning. */
	if (!is_in_second(ledger) && ledger_compact(ledger))
		return;
	if (ledger_compact(ledger) || ftruncate(ledger->fd, file_size(half)))
		return;
	mremap(ledger->map, file_size(ledger->half), file_size(half), 0);
	ledger->half = half;
}

int ledger_reserve(struct ledger *ledger, size_t bytes, size_t records)
{
	size_t need, half;

	if (!index_reserve(&ledger->index, ledger->index.nr + records))
		return -1;
	/*
	 * The live records fit into a half if each doubles and grows by GROWTH.  So a
	 * compaction copies no more than was written since the one before.
	 */
	need = 2 * (ledger->live + bytes + records * (sizeof(struct record) + UNIT)) +
	       (ledger->index.nr + records) * LEDGER_GROWTH;
	if (need <= ledger->half && (ledger->half == HALF_MIN || ledger->half / 4 < need))
		return 0;
	half = aligned(need + need / 2);
	if (half < HALF_MIN)
		half = HALF_MIN;
	if (half > ledger->half)
		return grow(ledger, half);
	shrink(ledger, half);
	return 0;
}

struct key ledger_key(const void *bytes, size_t size)
{
	return (struct key){ bytes, size, checksum(bytes, size) };
}

struct slot *ledger_find(const struct ledger *ledger, const struct key *key)
{
	return index_find(&ledger->index, ledger->map, key);
}

struct reader ledger_body(const struct ledger *ledger, const struct slot *slot)
{
	const struct record *record = record_at(ledger, slot->record);

	return (struct reader){ record->body, record->size };
}

struct writer ledger_writer(const struct ledger *ledger)
{
	size_t left = limit(ledger) - ledger->end;

	if (left < sizeof(struct record))
		return (struct writer){ .full = true };
	return (struct writer){
		.at = record_at(ledger, ledger->end)->body,
		.left = left - sizeof(struct record),
	};
}

int ledger_append(struct ledger *ledger, const uint8_t *end, size_t key_at, const struct key *key,
		  struct slot *slot, bool removes)
{
	struct record *record = record_at(ledger, ledger->end);
	size_t offset = ledger->end;

	/* A search needs a free slot to end. */
	if (!removes && !slot && ledger->index.nr + 1 >= ledger->index.room) {
		errno = ENOSPC;
		return -1;
	}
	record->size = end - record->body;
	record->sum = sum_of(record);
	commit(ledger, ledger->begin, ledger->end + size_of(record));
	take(ledger, offset, key, sizeof(*record) + key_at, slot, removes);
	return 0;
}

int ledger_compact(struct ledger *ledger)
{
	size_t begin = is_in_second(ledger) ? HEADER : HEADER + ledger->half;
	size_t to = begin;

	if (ledger->live > ledger->half) {
		errno = ENOSPC;
		return -1;
	}
	for (struct slot *slot = NULL; (slot = index_next(&ledger->index, slot)); ) {
		memcpy(ledger->map + to, ledger->map + slot->record, slot->size);
		slot->record = to;
		to += slot->size;
	}
	commit(ledger, begin, to);
	return 0;
}
