/* clear-task-cache, clear-resource-cache */
#include "fly/api.h"
#include "fly/commands.h"
#include "fly/prompt.h"
#include "fly/version_flag.h"
#include "http/url.h"

#include "base/json.h"

static void show_removed(const Value *answer) {
        printf("%" G_GINT64_FORMAT " caches removed\n", value_get_int(answer, "caches_removed", 0));
}

/* ---- clear-task-cache ---- */

typedef struct {
        Globals globals;
        char *job, *step, *cache_path;
        bool non_interactive;
        char *team;
} TaskCacheOptions;

static const Option clear_task_cache_options[] = {
        OPT(TaskCacheOptions, job, OPTION_STRING, 'j', "job", "Job to clear cache from",
            .required = true),
        OPT(TaskCacheOptions, step, OPTION_STRING, 's', "step", "Step name to clear cache from",
            .required = true),
        OPT(TaskCacheOptions, cache_path, OPTION_STRING, 'c', "cache-path",
            "Cache directory to clear out"),
        OPT(TaskCacheOptions, non_interactive, OPTION_FLAG, 'n', "non-interactive",
            "Destroy the task cache(s) without confirmation"),
        OPT_TEAM(TaskCacheOptions, "Name of the team to which the pipeline belongs, if different "
                                   "from the target default"),
        OPT_END,
};

static char *task_cache_path(Fly *fly, const ItemRef *job, const TaskCacheOptions *options) {
        g_autofree char *step = url_encode_path(options->step);
        g_autofree char *tail = g_strdup_printf("/tasks/%s/cache", step);
        g_autofree char *value = options->cache_path ? url_encode_query(options->cache_path) : NULL;
        g_autofree char *query = value && *value ? g_strconcat("cache_path=", value, NULL) : NULL;

        return path_item(fly, "jobs", job, tail, query);
}

static bool clear_task_cache_run(Fly *fly, const void *data, const GPtrArray *arguments,
                                 GError **error) {
        const TaskCacheOptions *options = data;
        g_auto(ItemRef) job = { 0 };

        if (!item_ref_parse(options->job, ITEM_JOB, "-j, --job", &job, error) ||
            !fly_open(fly, options->team, error))
                return false;
        g_autofree char *name = item_ref_format(&job);
        printf("!!! this will remove the task cache(s) for `%s`, task step `%s`", name,
               options->step);
        if (options->cache_path && *options->cache_path)
                printf(", at `%s`", options->cache_path);
        puts("\n");
        if (!options->non_interactive && !prompt_confirm("are you sure?")) {
                puts("bailing out");
                return true;
        }
        g_autofree char *path = task_cache_path(fly, &job, options);
        g_autoptr(GError) cause = NULL;
        g_autoptr(Value) answer = api_send(fly, "DELETE", path, NULL, &cause);
        if (!answer) {
                puts(cause->message); /* as the stock client does, before it is told as an error */
                g_propagate_error(error, g_steal_pointer(&cause));
                return false;
        }
        show_removed(answer);
        return true;
}

const Command command_clear_task_cache = {
        .name = "clear-task-cache",
        .aliases = { "ctc" },
        .summary = "Clears cache from a task container",
        .options = clear_task_cache_options,
        .size = sizeof(TaskCacheOptions),
        .run = clear_task_cache_run,
};

/* ---- clear-resource-cache ---- */

typedef struct {
        Globals globals;
        char *resource;
        GPtrArray *version;
        char *team;
} ResourceCacheOptions;

static const Option clear_resource_cache_options[] = {
        OPT(ResourceCacheOptions, resource, OPTION_STRING, 'r', "resource",
            "Name of a resource to clear cache", .required = true,
            .value_name = "PIPELINE/RESOURCE"),
        OPT(ResourceCacheOptions, version, OPTION_LIST, 'v', "version",
            "Version of the resource to check from, e.g. digest:sha256@..., in case a version is "
            "not specified the command will delete all the resource caches for that resource",
            .value_name = "VERSION"),
        OPT_TEAM(ResourceCacheOptions, "Name of the team to which the pipeline/resource belong, "
                                       "if different from the target default"),
        OPT_END,
};

static bool clear_resource_cache_run(Fly *fly, const void *data, const GPtrArray *arguments,
                                     GError **error) {
        const ResourceCacheOptions *options = data;
        g_auto(ItemRef) ref = { 0 };
        g_autoptr(Value) body = value_map();
        Value *version = options->version->len ? version_of_pairs(options->version) : value_null();

        value_map_set(body, "version", version);
        if (!item_ref_parse(options->resource, ITEM_RESOURCE, "-r, --resource", &ref, error) ||
            !fly_open(fly, options->team, error))
                return false;
        g_autofree char *name = item_ref_format(&ref);
        g_autofree char *json = version_json(version);
        printf("!!! this will remove the resource cache(s) for `%s`", name);
        if (options->version->len)
                printf(" with version: `%s`", json);
        puts("\n");
        if (!prompt_confirm("are you sure?")) {
                puts("bailing out");
                return true;
        }
        g_autofree char *path = path_item(fly, "resources", &ref, "/cache", NULL);
        g_autoptr(Value) answer = api_send(fly, "DELETE", path, body, error);
        if (!answer)
                return false;
        show_removed(answer);
        return true;
}

const Command command_clear_resource_cache = {
        .name = "clear-resource-cache",
        .aliases = { "crc" },
        .summary = "Clear cache of a resource",
        .options = clear_resource_cache_options,
        .size = sizeof(ResourceCacheOptions),
        .run = clear_resource_cache_run,
};
