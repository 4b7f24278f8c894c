/* SPDX-License-Identifier: MIT */
/* Tables for people: a header, and columns that are as wide as what is in them. */
#ifndef CMD_TABLE_H
#define CMD_TABLE_H

#include <stddef.h>
#include <stdio.h>

#define TABLE_COLUMNS	12

struct table {
	const char *columns[TABLE_COLUMNS];
	size_t nr_columns;
	char *(*rows)[TABLE_COLUMNS];
	size_t nr_rows, room;
	size_t cells;		/* of the last row */
};

/* Headers, up to NULL.  One that begins with '>' has its cells at the right. */
void table_begin(struct table *table, const char *const *columns);
/* The next cell, from left to right; after the last one of a row, that of the next row. */
void table_add(struct table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Prints it, if it has a row, and forgets it. */
void table_end(struct table *table, FILE *stream);

#endif
