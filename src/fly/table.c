#include "fly/table.h"

#include <string.h>

typedef struct {
        char *text;
        Color color;
} Cell;

struct Table {
        const char *const *headers;
        size_t columns;
        GPtrArray *rows; /* of arrays of `columns` Cells */
        size_t filled;   /* cells of the last row; columns: full */
};

static const struct {
        const char *open, *close;
} escapes[] = {
        [COLOR_NONE] = { "", "" },
        [COLOR_BOLD] = { "\033[1m", "\033[22m" },
        [COLOR_PENDING] = { "\033[37m", "\033[0m" },
        [COLOR_STARTED] = { "\033[33m", "\033[0m" },
        [COLOR_SUCCEEDED] = { "\033[32m", "\033[0m" },
        [COLOR_FAILED] = { "\033[31m", "\033[0m" },
        [COLOR_ERRORED] = { "\033[31;1m", "\033[0;22m" },
        [COLOR_ABORTED] = { "\033[35m", "\033[0m" },
        [COLOR_ON] = { "\033[36m", "\033[0m" },
        [COLOR_OFF] = { "\033[2m", "\033[22m" },
        [COLOR_BLINKING] = { "\033[5;37;41;1m", "\033[25;0;0;22m" },
};

static const struct {
        const char *status;
        Color color;
} statuses[] = {
        { "pending", COLOR_PENDING },     { "started", COLOR_STARTED },
        { "succeeded", COLOR_SUCCEEDED }, { "failed", COLOR_FAILED },
        { "errored", COLOR_ERRORED },     { "aborted", COLOR_ABORTED },
        { "paused", COLOR_ON },
};

Color color_of_status(const char *status) {
        for (size_t i = 0; i < G_N_ELEMENTS(statuses); i++)
                if (g_str_equal(statuses[i].status, status))
                        return statuses[i].color;
        return COLOR_BLINKING;
}

void color_print(const Fly *fly, FILE *file, Color color, const char *text) {
        if (fly->terminal)
                fprintf(file, "%s%s%s", escapes[color].open, text, escapes[color].close);
        else
                fputs(text, file);
}

Table *table_new(const char *const *headers) {
        Table *table = g_new0(Table, 1);

        table->headers = headers;
        while (headers[table->columns])
                table->columns++;
        table->filled = table->columns;
        table->rows = g_ptr_array_new();
        return table;
}

void table_free(Table *table) {
        if (!table)
                return;
        for (size_t i = 0; i < table->rows->len; i++) {
                Cell *row = table->rows->pdata[i];
                for (size_t column = 0; column < table->columns; column++)
                        g_free(row[column].text);
                g_free(row);
        }
        g_ptr_array_unref(table->rows);
        g_free(table);
}

void table_cell(Table *table, const char *text, Color color) {
        if (table->filled == table->columns) {
                g_ptr_array_add(table->rows, g_new0(Cell, table->columns));
                table->filled = 0;
        }
        Cell *row = table->rows->pdata[table->rows->len - 1];
        row[table->filled++] = (Cell){ g_strdup(text), color };
}

void table_cell_or(Table *table, const char *text, const char *otherwise) {
        bool empty = !text || !*text;

        table_cell(table, empty ? otherwise : text, empty ? COLOR_OFF : COLOR_NONE);
}

static int compare_rows(const void *a, const void *b) {
        const Cell *const *left = a, *const *right = b;

        return strcmp((*left)[0].text, (*right)[0].text);
}

void table_sort(Table *table) {
        g_ptr_array_sort(table->rows, compare_rows);
}

size_t table_rows(const Table *table) {
        return table->rows->len;
}

static void print_cell(const Fly *fly, size_t column, const char *text, Color color, size_t width) {
        if (column > 0)
                fputs("  ", stdout);
        color_print(fly, stdout, color, text);
        printf("%*s", (int) (width - strlen(text)), "");
}

void table_print(const Table *table, const Fly *fly) {
        g_autofree size_t *widths = g_new0(size_t, table->columns + 1);

        for (size_t column = 0; column < table->columns; column++) {
                if (fly->headers)
                        widths[column] = strlen(table->headers[column]);
                for (size_t i = 0; i < table->rows->len; i++) {
                        const Cell *row = table->rows->pdata[i];
                        size_t length = row[column].text ? strlen(row[column].text) : 0;
                        widths[column] = MAX(widths[column], length);
                }
        }
        for (size_t column = 0; fly->headers && column < table->columns; column++)
                print_cell(fly, column, table->headers[column], COLOR_BOLD, widths[column]);
        if (fly->headers)
                putchar('\n');
        for (size_t i = 0; i < table->rows->len; i++) {
                const Cell *row = table->rows->pdata[i];
                for (size_t column = 0; column < table->columns; column++)
                        print_cell(fly, column, row[column].text, row[column].color,
                                   widths[column]);
                putchar('\n');
        }
}

char *time_text(int64_t seconds) {
        g_autoptr(GDateTime) time = g_date_time_new_from_unix_local(seconds);

        return time ? g_date_time_format(time, "%Y-%m-%d %H:%M:%S %z %Z") : g_strdup("n/a");
}
