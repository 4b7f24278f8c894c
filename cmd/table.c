/* SPDX-License-Identifier: MIT */
/* Tables for people: a header, and columns that are as wide as what is in them. */
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "table.h"

void table_begin(struct table *table, const char *const *columns)
{
	*table = (struct table){ 0 };
	while (columns[table->nr_columns]) {
		table->columns[table->nr_columns] = columns[table->nr_columns];
		table->nr_columns++;
	}
}

static void add_row(struct table *table)
{
	if (table->nr_rows == table->room) {
		table->room = table->room ? 2 * table->room : 16;
		table->rows = reallocarray(table->rows, table->room, sizeof(table->rows[0]));
		if (!table->rows)
			abort();
	}
	table->nr_rows++;
	table->cells = 0;
}

void table_add(struct table *table, const char *format, ...)
{
	va_list args;
	int length;

	if (!table->nr_rows || table->cells == table->nr_columns)
		add_row(table);
	va_start(args, format);
	length = vasprintf(&table->rows[table->nr_rows - 1][table->cells++], format, args);
	va_end(args);
	if (length < 0)
		abort();
}

static bool is_right(const struct table *table, size_t column)
{
	return table->columns[column][0] == '>';
}

static const char *header(const struct table *table, size_t column)
{
	return table->columns[column] + is_right(table, column);
}

static size_t width_of(const struct table *table, size_t column)
{
	size_t width = strlen(header(table, column));

	for (size_t i = 0; i < table->nr_rows; i++) {
		size_t length = strlen(table->rows[i][column]);

		if (length > width)
			width = length;
	}
	return width;
}

/* The last column is not filled up. */
static void print_cell(const struct table *table, size_t column, const char *text, size_t width, FILE *stream)
{
	bool last = column + 1 == table->nr_columns;

	if (is_right(table, column))
		fprintf(stream, "%*s", (int)width, text);
	else
		fprintf(stream, "%-*s", last ? 0 : (int)width, text);
	fputs(last ? "\n" : "  ", stream);
}

void table_end(struct table *table, FILE *stream)
{
	size_t widths[TABLE_COLUMNS];

	while (table->nr_rows && table->cells < table->nr_columns)
		table_add(table, "%s", "");
	for (size_t column = 0; table->nr_rows && column < table->nr_columns; column++)
		widths[column] = width_of(table, column);
	for (size_t column = 0; table->nr_rows && column < table->nr_columns; column++)
		print_cell(table, column, header(table, column), widths[column], stream);
	for (size_t i = 0; i < table->nr_rows; i++)
		for (size_t column = 0; column < table->nr_columns; column++) {
			print_cell(table, column, table->rows[i][column], widths[column], stream);
			free(table->rows[i][column]);
		}
	free(table->rows);
	*table = (struct table){ 0 };
}
