/* get-components, pause-component, unpause-component: the parts of the server that run by themselves */
#include "fly/api.h"
#include "fly/commands.h"
#include "fly/shape.h"
#include "fly/table.h"
#include "http/url.h"

#include "base/duration.h"

#include <string.h>

static bool refused(GError **error) {
        return fly_fail(error, "must be an owner of the 'main' team to interact with components");
}

/* ---- get-components ---- */

typedef struct {
        Globals globals;
        bool json;
} GetOptions;

static const Option get_components_options[] = { OPT_JSON(GetOptions), OPT_END };

static int compare_components(const void *a, const void *b) {
        return g_ascii_strcasecmp(value_get_string(*(const Value *const *) a, "name", ""),
                                  value_get_string(*(const Value *const *) b, "name", ""));
}

/* Local time. Returns new. */
static char *time_of(const Value *component) {
        g_autoptr(GDateTime) utc = g_date_time_new_from_iso8601(
                value_get_string(component, "last_ran", ""), NULL);
        g_autoptr(GDateTime) local = utc ? g_date_time_to_local(utc) : NULL;
        g_autofree char *rest = local ? g_date_time_format(local, "%m-%d %H:%M:%S")
                                      : g_strdup("01-01 00:00:00");

        return g_strdup_printf("%04d-%s", local ? g_date_time_get_year(local) : 1, rest);
}

static void print_components(const Fly *fly, const Value *list) {
        static const char *const headers[] = { "name", "interval", "last ran", "paused", NULL };
        g_autoptr(Table) table = table_new(headers);

        for (size_t i = 0; i < value_length(list); i++) {
                const Value *component = value_at(list, i);
                bool paused = value_get_bool(component, "paused", false);
                g_autofree char *interval = duration_format(
                        value_get_int(component, "interval", 0));
                g_autofree char *ran = time_of(component);
                table_cell(table, value_get_string(component, "name", ""), COLOR_NONE);
                table_cell(table, interval, COLOR_NONE);
                table_cell(table, ran, COLOR_NONE);
                table_cell(table, paused ? "true" : "false", COLOR_NONE);
        }
        table_print(table, fly);
}

/* By name, in either case of letters. Returns new. */
static Value *sorted_by_name(const Value *list) {
        g_autoptr(GPtrArray) items = g_ptr_array_new();
        Value *sorted = value_list();

        for (size_t i = 0; i < value_length(list); i++)
                g_ptr_array_add(items, (void *) value_at(list, i));
        g_ptr_array_sort(items, compare_components);
        for (size_t i = 0; i < items->len; i++)
                value_list_add(sorted, value_ref(items->pdata[i]));
        return sorted;
}

static bool get_components_run(Fly *fly, const void *data, const GPtrArray *arguments,
                               GError **error) {
        const GetOptions *options = data;
        g_auto(HttpReply) reply = { 0 };

        if (!fly_open(fly, NULL, error) ||
            !api_call(fly, &(ApiCall){ .path = "/api/v1/components", .raw = true }, &reply, error))
                return false;
        if (reply.status == 403)
                return refused(error);
        if (reply.status != 200)
                return api_unexpected(&reply, error);
        g_autoptr(Value) answer = api_decode(&reply, error);
        if (!answer)
                return false;
        g_autoptr(Value) list = sorted_by_name(answer);
        if (options->json)
                print_json_list(list, component_shape);
        else
                print_components(fly, list);
        return true;
}

const Command command_get_components = {
        .name = "get-components",
        .aliases = { "gc" },
        .summary = "Get details about all web components",
        .options = get_components_options,
        .size = sizeof(GetOptions),
        .run = get_components_run,
};

/* ---- pause-component, unpause-component ---- */

typedef struct {
        Globals globals;
        bool all;
        GPtrArray *names;
        bool runtime, gc;
} PauseOptions;

#define GC_HELP                                                                                    \
        "all components related to garbage collection of data in the database, and artifacts "     \
        "(container, volumes) on Workers."

static const Option pause_component_options[] = {
        OPT(PauseOptions, all, OPTION_FLAG, 'a', "all", "Pauses all components"),
        OPT(PauseOptions, names, OPTION_LIST, 'n', "name",
            "Name of the component(s) to unpause. Can specify multiple times to pause multiple "
            "components"),
        OPT(PauseOptions, runtime, OPTION_FLAG, 0, "runtime-components",
            "Pauses all components related to starting and running pipelines. Pause these before "
            "upgrading Concoure."),
        OPT(PauseOptions, gc, OPTION_FLAG, 0, "gc-components", "Pauses " GC_HELP),
        OPT_END,
};

static const Option unpause_component_options[] = {
        OPT(PauseOptions, all, OPTION_FLAG, 'a', "all", "Unpauses all components"),
        OPT(PauseOptions, names, OPTION_LIST, 'n', "name",
            "Name of the component(s) to unpause. Can specify multiple times to unpause multiple "
            "components"),
        OPT(PauseOptions, runtime, OPTION_FLAG, 0, "runtime-components",
            "Unpauses all components related to starting and running pipelines"),
        OPT(PauseOptions, gc, OPTION_FLAG, 0, "gc-components", "Unpauses " GC_HELP),
        OPT_END,
};

static const char *const runtime_components[] = { "tracker", "scanner", "scheduler", NULL };
static const char *const gc_components[] = {
        "reaper",
        "collector_artifacts",
        "collector_builds",
        "collector_check_sessions",
        "collector_checks",
        "collector_containers",
        "collector_resource_cache_uses",
        "collector_resource_caches",
        "collector_task_caches",
        "collector_resource_configs",
        "collector_volumes",
        "collector_workers",
        "collector_pipelines",
        "pipeline_pauser",
        NULL,
};

static bool put_one(Fly *fly, const char *name, const char *action, GError **error) {
        g_autofree char *segment = url_encode_path(name);
        g_autofree char *path = g_strdup_printf("/api/v1/components/%s/%s", segment, action);
        g_auto(HttpReply) reply = { 0 };

        if (!api_call(fly, &(ApiCall){ .method = "PUT", .path = path, .raw = true }, &reply, error))
                return false;
        if (reply.status == 404)
                return fly_fail(error, "component '%s' not found", name);
        if (reply.status == 403)
                return refused(error);
        if (reply.status != 200)
                return api_unexpected(&reply, error);
        printf("%sd '%s'\n", action, name);
        return true;
}

/* The stock client takes any answer for a success here; a refusal is one that a person wants to know of. */
static bool put_all(Fly *fly, const char *action, GError **error) {
        g_autofree char *path = g_strconcat("/api/v1/components/", action, NULL);
        g_auto(HttpReply) reply = { 0 };

        if (!api_call(fly, &(ApiCall){ .method = "PUT", .path = path, .raw = true }, &reply, error))
                return false;
        if (reply.status == 403)
                return refused(error);
        if (reply.status < 200 || reply.status > 299)
                return api_status_error(&reply, error);
        printf("all components %sd\n", action);
        return true;
}

static void add_names(GPtrArray *names, const char *const *more) {
        for (; *more; more++)
                g_ptr_array_add(names, (char *) *more);
}

static bool put_components(Fly *fly, const PauseOptions *options, const char *action,
                           GError **error) {
        g_autoptr(GPtrArray) names = g_ptr_array_new();

        for (size_t i = 0; i < options->names->len; i++)
                g_ptr_array_add(names, options->names->pdata[i]);
        if (options->runtime)
                add_names(names, runtime_components);
        if (options->gc)
                add_names(names, gc_components);
        if (!options->all && names->len == 0)
                return fly_fail(error, "--name or --all must be provided");
        if (!fly_open(fly, NULL, error))
                return false;
        if (options->all)
                return put_all(fly, action, error);
        for (size_t i = 0; i < names->len; i++)
                if (!put_one(fly, names->pdata[i], action, error))
                        return false;
        return true;
}

static bool pause_component_run(Fly *fly, const void *options, const GPtrArray *arguments,
                                GError **error) {
        return put_components(fly, options, "pause", error);
}

static bool unpause_component_run(Fly *fly, const void *options, const GPtrArray *arguments,
                                  GError **error) {
        return put_components(fly, options, "unpause", error);
}

const Command command_pause_component = {
        .name = "pause-component",
        .aliases = { "pc" },
        .summary = "Pause one or more web components",
        .options = pause_component_options,
        .size = sizeof(PauseOptions),
        .run = pause_component_run,
};

const Command command_unpause_component = {
        .name = "unpause-component",
        .aliases = { "uc" },
        .summary = "Unpause one or more web components",
        .options = unpause_component_options,
        .size = sizeof(PauseOptions),
        .run = unpause_component_run,
};
