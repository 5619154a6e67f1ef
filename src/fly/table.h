/* Tables and colours as fly prints them (reference 02 §6.1). */
#pragma once

#include "fly/fly.h"

typedef enum {
        COLOR_NONE,
        COLOR_BOLD,
        COLOR_PENDING,
        COLOR_STARTED,
        COLOR_SUCCEEDED,
        COLOR_FAILED,
        COLOR_ERRORED,
        COLOR_ABORTED,
        COLOR_ON,
        COLOR_OFF,
        COLOR_BLINKING,
} Color;

/* Of a build's status. */
Color color_of_status(const char *status);
/* Prints text in colour when stdout is a terminal. */
void color_print(const Fly *fly, FILE *file, Color color, const char *text);

typedef struct Table Table;
Table *table_new(const char *const *headers); /* NULL-terminated, borrowed */
void table_free(Table *table);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Table, table_free)
/* Cells go left to right, then to the next row. text is copied. */
void table_cell(Table *table, const char *text, Color color);
/* "none" or another word in COLOR_OFF when text is empty. */
void table_cell_or(Table *table, const char *text, const char *otherwise);
void table_print(const Table *table, const Fly *fly);
void table_sort(Table *table); /* rows by the first column's bytes */
size_t table_rows(const Table *table);

/* Seconds since 1970 as Go prints a local time: "2020-01-02 15:04:05 +0000 UTC". Returns new. */
char *time_text(int64_t seconds);
