/* SPDX-License-Identifier: MIT */
/* Tables for people: a header, and columns as wide as their widest cells. */
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "table.h"

void table_begin(struct table *table, const char *const *columns)
{
	*table = (struct table){ 0 };
	while (columns[table->nr_columns]) {
		if (table->nr_columns == TABLE_COLUMNS)
			abort();
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

/* The last cell that is not empty is not padded. */
static void print_row(const struct table *table, const char *const *cells, const size_t *widths, FILE *stream)
{
	size_t nr = table->nr_columns;

	while (nr && !*cells[nr - 1])
		nr--;
	for (size_t column = 0; column < nr; column++) {
		const char *text = cells[column] + (cells == table->columns && is_right(table, column));
		int width = widths[column];

		if (is_right(table, column))
			fprintf(stream, "%*s", width, text);
		else
			fprintf(stream, "%-*s", column + 1 == nr ? 0 : width, text);
		fputs(column + 1 == nr ? "" : "  ", stream);
	}
	fputc('\n', stream);
}

void table_end(struct table *table, FILE *stream)
{
	size_t widths[TABLE_COLUMNS];

	while (table->nr_rows && table->cells < table->nr_columns)
		table_add(table, "%s", "");
	for (size_t column = 0; table->nr_rows && column < table->nr_columns; column++)
		widths[column] = width_of(table, column);
	if (table->nr_rows)
		print_row(table, table->columns, widths, stream);
	for (size_t i = 0; i < table->nr_rows; i++) {
		print_row(table, (const char *const *)table->rows[i], widths, stream);
		for (size_t column = 0; column < table->nr_columns; column++)
			free(table->rows[i][column]);
	}
	free(table->rows);
	*table = (struct table){ 0 };
}
