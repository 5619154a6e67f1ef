/* pipelines, paused-pipelines */
#include "fly/api.h"
#include "fly/commands.h"
#include "fly/shape.h"
#include "fly/table.h"

typedef struct {
        Globals globals;
        bool all, include_archived, json;
        char *team;
} PipelinesOptions;

static const Option pipelines_options[] = {
        OPT(PipelinesOptions, all, OPTION_FLAG, 'a', "all", "Show pipelines across all teams"),
        OPT(PipelinesOptions, include_archived, OPTION_FLAG, 0, "include-archived",
            "Show archived pipelines"),
        OPT_JSON(PipelinesOptions),
        OPT_TEAM(PipelinesOptions, "Name of the team to which the pipelines belong, if different "
                                   "from the target default"),
        OPT_END,
};

static void bool_cell(Table *table, const Value *object, const char *key) {
        bool yes = value_get_bool(object, key, false);

        table_cell(table, yes ? "yes" : "no", yes ? COLOR_ON : COLOR_NONE);
}

static Table *fill(const Value *list, const PipelinesOptions *options) {
        static const char *headers[8];
        size_t count = 0;

        headers[count++] = "id";
        headers[count++] = "name";
        if (options->all)
                headers[count++] = "team";
        headers[count++] = "paused";
        headers[count++] = "public";
        if (options->include_archived)
                headers[count++] = "archived";
        headers[count++] = "last updated";
        Table *table = table_new(headers);
        for (size_t i = 0; i < value_length(list); i++) {
                const Value *item = value_at(list, i);
                g_autofree char *id = g_strdup_printf("%" G_GINT64_FORMAT,
                                                      value_get_int(item, "id", 0));
                g_autofree char *name = pipeline_ref_of(item, "name", "instance_vars");
                g_autofree char *updated = time_text(value_get_int(item, "last_updated", 0));
                table_cell(table, id, COLOR_NONE);
                table_cell(table, name, COLOR_NONE);
                if (options->all)
                        table_cell(table, value_get_string(item, "team_name", ""), COLOR_NONE);
                bool_cell(table, item, "paused");
                bool_cell(table, item, "public");
                if (options->include_archived)
                        bool_cell(table, item, "archived");
                table_cell(table, updated, COLOR_NONE);
        }
        return table;
}

static bool pipelines_run(Fly *fly, const void *data, const GPtrArray *arguments, GError **error) {
        const PipelinesOptions *options = data;
        g_autoptr(Value) shown = value_list();

        if (options->all && options->team)
                return fly_fail(error, "Cannot specify both --all and --team");
        if (!fly_open(fly, options->team, error))
                return false;
        g_autofree char *path = options->all ? g_strdup("/api/v1/pipelines")
                                             : path_team(fly, "/pipelines");
        g_autoptr(Value) list = api_get(fly, path, error);
        if (!list)
                return false;
        for (size_t i = 0; i < value_length(list); i++)
                if (options->include_archived ||
                    !value_get_bool(value_at(list, i), "archived", false))
                        value_list_add(shown, value_ref(value_at(list, i)));
        if (options->json) {
                print_json_list(shown, pipeline_shape);
                return true;
        }
        g_autoptr(Table) table = fill(shown, options);
        table_print(table, fly);
        return true;
}

const Command command_pipelines = {
        .name = "pipelines",
        .aliases = { "ps" },
        .summary = "List the configured pipelines",
        .options = pipelines_options,
        .size = sizeof(PipelinesOptions),
        .run = pipelines_run,
};

/* ---- paused-pipelines ---- */

typedef struct {
        Globals globals;
        bool all, json;
} PausedOptions;

static const Option paused_pipelines_options[] = {
        OPT(PausedOptions, all, OPTION_FLAG, 'a', "all", "Show pipelines across all teams"),
        OPT_JSON(PausedOptions),
        OPT_END,
};

static void paused_row(Table *table, const Value *item, bool with_team) {
        g_autofree char *id = g_strdup_printf("%" G_GINT64_FORMAT, value_get_int(item, "id", 0));
        g_autofree char *name = pipeline_ref_of(item, "name", "instance_vars");
        int64_t at = value_get_int(item, "paused_at", 0);
        g_autofree char *time = at ? time_text(at) : g_strdup("n/a");
        const char *by = value_get_string(item, "paused_by", "");

        table_cell(table, id, COLOR_NONE);
        table_cell(table, name, COLOR_NONE);
        if (with_team)
                table_cell(table, value_get_string(item, "team_name", ""), COLOR_NONE);
        table_cell(table, "yes", COLOR_NONE);
        table_cell(table, *by ? by : "n/a", COLOR_NONE);
        table_cell(table, time, COLOR_NONE);
}

static bool paused_pipelines_run(Fly *fly, const void *data, const GPtrArray *arguments,
                                 GError **error) {
        static const char *const headers[] = { "id",        "name",      "paused",
                                               "paused_by", "paused_at", NULL };
        static const char *const all_headers[] = { "id",        "name",      "team", "paused",
                                                   "paused_by", "paused_at", NULL };
        const PausedOptions *options = data;
        g_autoptr(Value) shown = value_list();

        if (!fly_open(fly, NULL, error))
                return false;
        g_autofree char *path = options->all ? g_strdup("/api/v1/pipelines")
                                             : path_team(fly, "/pipelines");
        g_autoptr(Value) list = api_get(fly, path, error);
        if (!list)
                return false;
        for (size_t i = 0; i < value_length(list); i++)
                if (value_get_bool(value_at(list, i), "paused", false))
                        value_list_add(shown, value_ref(value_at(list, i)));
        if (options->json) {
                print_json_list(shown, pipeline_shape);
                return true;
        }
        g_autoptr(Table) table = table_new(options->all ? all_headers : headers);
        for (size_t i = 0; i < value_length(shown); i++)
                paused_row(table, value_at(shown, i), options->all);
        table_print(table, fly);
        return true;
}

const Command command_paused_pipelines = {
        .name = "paused-pipelines",
        .aliases = { "pps" },
        .summary = "List the configured paused pipelines",
        .options = paused_pipelines_options,
        .size = sizeof(PausedOptions),
        .run = paused_pipelines_run,
};
