/* workers (reference 02 §8.8) */
#include "fly/api.h"
#include "fly/commands.h"
#include "fly/shape.h"
#include "fly/table.h"

#include "base/clock.h"

#include <string.h>

typedef struct {
        Globals globals;
        bool details, json;
} WorkersOptions;

static const Option workers_options[] = {
        OPT(WorkersOptions, details, OPTION_FLAG, 'd', "details",
            "Print additional information for each worker"),
        OPT_JSON(WorkersOptions),
        OPT_END,
};

#define PLAIN_HEADERS "name", "containers", "platform", "tags", "team", "state", "version", "age"
static const char *const headers[] = { PLAIN_HEADERS, NULL };
static const char *const detail_headers[] = {
        PLAIN_HEADERS, "garden address", "baggageclaim url", "active tasks", "resource types", NULL,
};

enum { RUNNING, OUTDATED, STALLED, GROUPS };

/* "3.0": majors are equal, the worker's minor is not older. */
static bool is_compatible(const char *worker, const char *required) {
        if (!*required)
                return true;
        if (!*worker)
                return false;
        const char *worker_dot = strchr(worker, '.'), *required_dot = strchr(required, '.');
        return g_ascii_strtoll(worker, NULL, 10) == g_ascii_strtoll(required, NULL, 10) &&
               (worker_dot ? g_ascii_strtoll(worker_dot + 1, NULL, 10) : 0) >=
                       (required_dot ? g_ascii_strtoll(required_dot + 1, NULL, 10) : 0);
}

static char *age_of(int64_t start) {
        int64_t age = time_seconds(clock_now()) - start;

        if (start <= 0 || age < 0)
                return g_strdup("n/a");
        int days = (int) (age / 86400), hours = (int) (age / 3600 % 24),
            minutes = (int) (age / 60 % 60), seconds = (int) (age % 60);
        if (days)
                return g_strdup_printf("%dd", days);
        if (hours)
                return g_strdup_printf("%dh%dm", hours, minutes);
        if (minutes)
                return g_strdup_printf("%dm%ds", minutes, seconds);
        return g_strdup_printf("%ds", seconds);
}

/* Texts of a list (of objects: of their `key`), joined by ", ". Returns new. */
static char *joined(const Value *list, const char *key) {
        g_autoptr(GString) text = g_string_new(NULL);

        for (size_t i = 0; i < value_length(list); i++) {
                const char *item = key ? value_get_string(value_at(list, i), key, "")
                                       : value_text(value_at(list, i));
                g_string_append_printf(text, "%s%s", i ? ", " : "", item ? item : "");
        }
        return g_string_free(g_steal_pointer(&text), FALSE);
}

static void number_cell(Table *table, const Value *worker, const char *key) {
        g_autofree char *text = g_strdup_printf("%" G_GINT64_FORMAT, value_get_int(worker, key, 0));

        table_cell(table, text, COLOR_NONE);
}

static void text_cell(Table *table, const Value *worker, const char *key) {
        table_cell(table, value_get_string(worker, key, ""), COLOR_NONE);
}

static void add_row(Table *table, const Value *worker, bool details, bool outdated) {
        const char *version = value_get_string(worker, "version", "");
        g_autofree char *tags = joined(value_get(worker, "tags"), NULL);
        g_autofree char *age = age_of(value_get_int(worker, "start_time", 0));

        text_cell(table, worker, "name");
        number_cell(table, worker, "active_containers");
        text_cell(table, worker, "platform");
        table_cell_or(table, tags, "none");
        table_cell_or(table, value_get_string(worker, "team", ""), "none");
        text_cell(table, worker, "state");
        if (*version && outdated)
                table_cell(table, version, COLOR_FAILED);
        else
                table_cell_or(table, version, "none");
        table_cell(table, age, COLOR_NONE);
        if (!details)
                return;
        g_autofree char *types = joined(value_get(worker, "resource_types"), "type");
        table_cell_or(table, value_get_string(worker, "addr", ""), "none");
        table_cell_or(table, value_get_string(worker, "baggageclaim_url", ""), "none");
        number_cell(table, worker, "active_tasks");
        table_cell_or(table, types, "none");
}

static int compare_workers(const void *a, const void *b) {
        return strcmp(value_get_string(*(const Value *const *) a, "name", ""),
                      value_get_string(*(const Value *const *) b, "name", ""));
}

static void print_groups(const Fly *fly, Table *const tables[GROUPS]) {
        g_autofree char *line = g_strdup_printf("fly -t %s prune-worker -w (name)",
                                                fly->target_name);

        table_print(tables[RUNNING], fly);
        if (table_rows(tables[OUTDATED])) {
                printf("\n\nthe following workers need to be updated to version ");
                color_print(fly, stdout, COLOR_BOLD, fly->worker_version);
                puts(":\n");
                table_print(tables[OUTDATED], fly);
        }
        if (table_rows(tables[STALLED])) {
                puts("\n\nthe following workers have not checked in recently:\n");
                table_print(tables[STALLED], fly);
                fputs("\nthese stalled workers can be cleaned up by running:\n\n    ", stdout);
                color_print(fly, stdout, COLOR_BOLD, line);
                puts("\n");
        }
}

/* Ours: upstream's web node says nothing of disks. */
static void print_low(const GPtrArray *workers) {
        g_autoptr(GString) names = g_string_new(NULL);

        for (size_t i = 0; i < workers->len; i++)
                if (value_get_bool(workers->pdata[i], "disk_low", false))
                        g_string_append_printf(names, "%s%s", names->len ? ", " : "",
                                               value_get_string(workers->pdata[i], "name", ""));
        if (names->len)
                printf("\n\nthe following workers have no room on their disks and get no new "
                       "containers: %s\n",
                       names->str);
}

static size_t group_of(const Fly *fly, const Value *worker) {
        if (g_str_equal(value_get_string(worker, "state", ""), "stalled"))
                return STALLED;
        return is_compatible(value_get_string(worker, "version", ""), fly->worker_version)
                       ? RUNNING
                       : OUTDATED;
}

static void print_workers(const Fly *fly, const Value *list, bool details) {
        g_autoptr(GPtrArray) sorted = g_ptr_array_new();
        Table *tables[GROUPS];

        for (size_t i = 0; i < value_length(list); i++)
                g_ptr_array_add(sorted, (void *) value_at(list, i));
        g_ptr_array_sort(sorted, compare_workers);
        for (size_t i = 0; i < GROUPS; i++)
                tables[i] = table_new(details ? detail_headers : headers);
        /* Not for a person: one table, group after group. */
        for (size_t group = 0; group < GROUPS; group++)
                for (size_t i = 0; i < sorted->len; i++)
                        if (group_of(fly, sorted->pdata[i]) == group)
                                add_row(tables[fly->terminal ? group : 0], sorted->pdata[i],
                                        details, group == OUTDATED);
        if (fly->terminal) {
                print_groups(fly, tables);
                print_low(sorted);
        } else
                table_print(tables[0], fly);
        for (size_t i = 0; i < GROUPS; i++)
                table_free(tables[i]);
}

static bool workers_run(Fly *fly, const void *data, const GPtrArray *arguments, GError **error) {
        const WorkersOptions *options = data;

        if (!fly_open(fly, NULL, error))
                return false;
        g_autoptr(Value) list = api_get(fly, "/api/v1/workers", error);
        if (!list)
                return false;
        if (options->json)
                print_json_list(list, worker_shape);
        else
                print_workers(fly, list, options->details);
        return true;
}

const Command command_workers = {
        .name = "workers",
        .aliases = { "ws" },
        .summary = "List the registered workers",
        .options = workers_options,
        .size = sizeof(WorkersOptions),
        .run = workers_run,
};
