/* SPDX-License-Identifier: MIT */
/* Tables for people: a header, and columns as wide as their widest cells. */
#ifndef CMD_TABLE_H
#define CMD_TABLE_H

#include <stddef.h>
#include <stdio.h>

#define TABLE_COLUMNS	16

struct table {
	const char *columns[TABLE_COLUMNS];
	size_t nr_columns;
	char *(*rows)[TABLE_COLUMNS];
	size_t nr_rows, room;
	size_t cells;		/* of the last row */
};

/* Headers, up to NULL, at most TABLE_COLUMNS.  The cells of a column whose header begins with '>' are right-aligned. */
void table_begin(struct table *table, const char *const *columns);
/* Adds the next cell, from left to right.  After the last cell of a row, the next row begins. */
void table_add(struct table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Prints the table if it has a row, and frees it. */
void table_end(struct table *table, FILE *stream);

#endif
