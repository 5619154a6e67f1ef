/* volumes: what lies on the workers, and what for (reference 02 §8.7) */
#include "fly/api.h"
#include "fly/commands.h"
#include "fly/shape.h"
#include "fly/table.h"

#include "base/yaml.h"

#include <string.h>

typedef struct {
        Globals globals;
        bool details, json;
} VolumesOptions;

static const Option volumes_options[] = {
        OPT(VolumesOptions, details, OPTION_FLAG, 'd', "details",
            "Print additional information for each volume"),
        OPT_JSON(VolumesOptions),
        OPT_END,
};

/* A map as lines of YAML, joined by commas and without its spaces: "version:o2". Returns new. */
static char *squeezed(const Value *map) {
        g_autofree char *yaml = value_length(map) > 0 ? yaml_write(map, NULL) : NULL;
        GString *text = g_string_new(NULL);

        for (const char *at = yaml ? yaml : ""; *at; at++)
                if (*at == '\n' && at[1])
                        g_string_append_c(text, ',');
                else if (*at != '\n' && *at != ' ')
                        g_string_append_c(text, *at);
        return g_string_free(text, FALSE);
}

static char *base_type_text(const Value *base) {
        g_autoptr(Value) shown = value_map();

        value_map_set_string(shown, "name", value_get_string(base, "name", ""));
        value_map_set_string(shown, "version", value_get_string(base, "version", ""));
        return squeezed(shown);
}

/* Custom types are of a type themselves. */
static char *resource_text(const Value *type) {
        const Value *base = value_get(type, "base_resource_type");

        if (!value_is_null(base))
                return base_type_text(base);
        g_autofree char *inner = value_is_null(value_get(type, "resource_type"))
                                         ? g_strdup("")
                                         : resource_text(value_get(type, "resource_type"));
        g_autofree char *version = squeezed(value_get(type, "version"));
        return g_strdup_printf("type:resource(%s),version:%s", inner, version);
}

static char *container_text(const Value *volume, bool details) {
        const char *handle = value_get_string(volume, "container_handle", "");
        const char *parent = value_get_string(volume, "parent_handle", "");

        if (!details)
                return g_strdup(handle);
        return g_strdup_printf("container:%s,path:%s%s%s", handle,
                               value_get_string(volume, "path", ""), *parent ? ",parent:" : "",
                               parent);
}

/* Without the pipeline's instance vars, as the stock client has it. */
static char *task_cache_text(const Value *volume) {
        return g_strdup_printf("%s/%s/%s", value_get_string(volume, "pipeline_name", ""),
                               value_get_string(volume, "job_name", ""),
                               value_get_string(volume, "step_name", ""));
}

static char *identifier_of(const Value *volume, bool details) {
        const char *type = value_get_string(volume, "type", "");
        const Value *resource = value_get(volume, "resource_type");
        const Value *base = value_get(volume, "base_resource_type");

        if (g_str_equal(type, "container"))
                return container_text(volume, details);
        if (g_str_equal(type, "task-cache"))
                return task_cache_text(volume);
        if (g_str_equal(type, "resource"))
                return details ? resource_text(resource) : squeezed(value_get(resource, "version"));
        if (g_str_equal(type, "resource-type"))
                return details ? base_type_text(base)
                               : g_strdup(value_get_string(base, "name", ""));
        return g_strdup("n/a");
}

static int compare_volumes(const void *a, const void *b) {
        const Value *left = *(const Value *const *) a, *right = *(const Value *const *) b;
        int by_worker = strcmp(value_get_string(left, "worker_name", ""),
                               value_get_string(right, "worker_name", ""));

        return by_worker ? by_worker
                         : strcmp(value_get_string(left, "id", ""),
                                  value_get_string(right, "id", ""));
}

static void print_table(const Fly *fly, const Value *list, bool details) {
        static const char *const headers[] = { "handle", "worker", "type", "identifier", NULL };
        g_autoptr(GPtrArray) sorted = g_ptr_array_new();
        g_autoptr(Table) table = table_new(headers);

        for (size_t i = 0; i < value_length(list); i++)
                g_ptr_array_add(sorted, (void *) value_at(list, i));
        g_ptr_array_sort(sorted, compare_volumes);
        for (size_t i = 0; i < sorted->len; i++) {
                const Value *volume = sorted->pdata[i];
                g_autofree char *identifier = identifier_of(volume, details);
                table_cell(table, value_get_string(volume, "id", ""), COLOR_NONE);
                table_cell(table, value_get_string(volume, "worker_name", ""), COLOR_NONE);
                table_cell(table, value_get_string(volume, "type", ""), COLOR_NONE);
                table_cell(table, identifier, COLOR_NONE);
        }
        table_print(table, fly);
}

static bool volumes_run(Fly *fly, const void *data, const GPtrArray *arguments, GError **error) {
        const VolumesOptions *options = data;

        if (!fly_open(fly, NULL, error))
                return false;
        g_autofree char *path = path_team(fly, "/volumes");
        g_autoptr(Value) list = api_get(fly, path, error);
        if (!list)
                return false;
        if (options->json)
                print_json_list(list, volume_shape);
        else
                print_table(fly, list, options->details);
        return true;
}

const Command command_volumes = {
        .name = "volumes",
        .aliases = { "vs" },
        .summary = "List the active volumes",
        .options = volumes_options,
        .size = sizeof(VolumesOptions),
        .run = volumes_run,
};
