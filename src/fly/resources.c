/* resources, resource-versions */
#include "fly/api.h"
#include "fly/commands.h"
#include "fly/shape.h"
#include "fly/table.h"
#include "fly/version_flag.h"

/* ---- resources ---- */

typedef struct {
        Globals globals;
        char *pipeline;
        bool json;
        char *team;
} ResourcesOptions;

static const Option resources_options[] = {
        OPT(ResourcesOptions, pipeline, OPTION_STRING, 'p', "pipeline",
            "Get resources in this pipeline", .required = true),
        OPT_JSON(ResourcesOptions),
        OPT_TEAM(ResourcesOptions, "Name of the team to which the pipeline belongs, if different "
                                   "from the target default"),
        OPT_END,
};

static void resource_row(Table *table, const Value *resource) {
        g_autofree char *pinned = version_format(value_get(resource, "pinned_version"));
        const char *status = value_get_string(value_get(resource, "build"), "status", "");

        table_cell(table, value_get_string(resource, "name", ""), COLOR_NONE);
        table_cell(table, value_get_string(resource, "type", ""), COLOR_NONE);
        if (*pinned)
                table_cell(table, pinned, COLOR_ON);
        else
                table_cell_or(table, "", "n/a");
        if (*status)
                table_cell(table, status, color_of_status(status));
        else
                table_cell_or(table, "", "n/a");
}

static bool resources_run(Fly *fly, const void *data, const GPtrArray *arguments, GError **error) {
        static const char *const headers[] = { "name", "type", "pinned", "check status", NULL };
        const ResourcesOptions *options = data;
        g_auto(PipelineRef) ref = { 0 };
        g_autoptr(Table) table = table_new(headers);

        if (!pipeline_ref_parse(options->pipeline, "-p, --pipeline", &ref, error) ||
            !fly_open(fly, options->team, error))
                return false;
        g_autofree char *path = path_pipeline(fly, &ref, "/resources", NULL);
        g_autoptr(Value) list = api_get(fly, path, error);
        if (!list)
                return false;
        if (options->json) {
                print_json_list(list, resource_shape);
                return true;
        }
        for (size_t i = 0; i < value_length(list); i++)
                resource_row(table, value_at(list, i));
        table_print(table, fly);
        return true;
}

const Command command_resources = {
        .name = "resources",
        .aliases = { "rs" },
        .summary = "List the resources in the pipeline",
        .options = resources_options,
        .size = sizeof(ResourcesOptions),
        .run = resources_run,
};

/* ---- resource-versions ---- */

typedef struct {
        Globals globals;
        int64_t count;
        char *resource;
        bool json;
        char *team;
} VersionsOptions;

static const Option resource_versions_options[] = {
        OPT(VersionsOptions, count, OPTION_INT, 'c', "count",
            "Number of versions you want to limit the return to", .standard = "50"),
        OPT(VersionsOptions, resource, OPTION_STRING, 'r', "resource",
            "Name of a resource to get versions for", .required = true,
            .value_name = "PIPELINE/RESOURCE"),
        OPT_JSON(VersionsOptions),
        OPT_TEAM(VersionsOptions, "Name of the team to which the pipeline belongs, if different "
                                  "from the target default"),
        OPT_END,
};

static bool resource_versions_run(Fly *fly, const void *data, const GPtrArray *arguments,
                                  GError **error) {
        static const char *const headers[] = { "id", "version", "enabled", NULL };
        const VersionsOptions *options = data;
        g_auto(ItemRef) ref = { 0 };
        g_autoptr(Table) table = table_new(headers);
        g_autofree char *limit = g_strdup_printf("limit=%" G_GINT64_FORMAT, options->count);

        if (!item_ref_parse(options->resource, ITEM_RESOURCE, "-r, --resource", &ref, error) ||
            !fly_open(fly, options->team, error))
                return false;
        g_autofree char *path = path_item(fly, "resources", &ref, "/versions",
                                          options->count > 0 ? limit : NULL);
        g_autoptr(Value) list = api_get(fly, path, error);
        if (!list)
                return false;
        if (options->json) {
                print_json_list(list, version_shape);
                return true;
        }
        for (size_t i = 0; i < value_length(list); i++) {
                const Value *item = value_at(list, i);
                g_autofree char *id = g_strdup_printf("%" G_GINT64_FORMAT,
                                                      value_get_int(item, "id", 0));
                g_autofree char *version = version_format(value_get(item, "version"));
                bool enabled = value_get_bool(item, "enabled", false);
                table_cell(table, id, COLOR_NONE);
                table_cell(table, version, COLOR_NONE);
                table_cell(table, enabled ? "yes" : "no", enabled ? COLOR_ON : COLOR_NONE);
        }
        table_print(table, fly);
        return true;
}

const Command command_resource_versions = {
        .name = "resource-versions",
        .aliases = { "rvs" },
        .summary = "List the versions of a resource",
        .options = resource_versions_options,
        .size = sizeof(VersionsOptions),
        .run = resource_versions_run,
};
