/* containers */
#include "fly/api.h"
#include "fly/commands.h"
#include "fly/shape.h"
#include "fly/table.h"

typedef struct {
        Globals globals;
        bool json;
        char *team;
} ContainersOptions;

static const Option containers_options[] = {
        OPT_JSON(ContainersOptions),
        OPT_TEAM(ContainersOptions, "Name of the team to which the containers belong, if different "
                                    "from the target default"),
        OPT_END,
};

static void add_row(Table *table, const Value *container) {
        int64_t build = value_get_int(container, "build_id", 0);
        g_autofree char *number = build ? g_strdup_printf("%" G_GINT64_FORMAT, build) : NULL;
        g_autofree char *name = g_strconcat(value_get_string(container, "step_name", ""),
                                            value_get_string(container, "resource_name", ""), NULL);
        g_autofree char *pipeline = pipeline_ref_of(container, "pipeline_name",
                                                    "pipeline_instance_vars");

        table_cell(table, value_get_string(container, "id", ""), COLOR_NONE);
        table_cell(table, value_get_string(container, "worker_name", ""), COLOR_NONE);
        table_cell_or(table, pipeline, "none");
        table_cell_or(table, value_get_string(container, "job_name", ""), "none");
        table_cell_or(table, value_get_string(container, "build_name", ""), "none");
        table_cell_or(table, number, "none");
        table_cell_or(table, value_get_string(container, "type", ""), "none");
        table_cell_or(table, name, "none");
        table_cell_or(table, value_get_string(container, "attempt", ""), "n/a");
}

static bool containers_run(Fly *fly, const void *data, const GPtrArray *arguments, GError **error) {
        static const char *const headers[] = { "handle",  "worker",   "pipeline", "job",
                                               "build #", "build id", "type",     "name",
                                               "attempt", NULL };
        const ContainersOptions *options = data;

        if (!fly_open(fly, options->team, error))
                return false;
        g_autofree char *path = path_team(fly, "/containers");
        g_autoptr(Value) list = api_get(fly, path, error);
        if (!list)
                return false;
        if (options->json) {
                print_json_list(list, container_shape);
                return true;
        }
        g_autoptr(Table) table = table_new(headers);
        for (size_t i = 0; i < value_length(list); i++)
                add_row(table, value_at(list, i));
        table_sort(table);
        table_print(table, fly);
        return true;
}

const Command command_containers = {
        .name = "containers",
        .aliases = { "cs" },
        .summary = "Print the active containers",
        .options = containers_options,
        .size = sizeof(ContainersOptions),
        .run = containers_run,
};
