/* order-pipelines, order-instanced-pipelines */
#include "fly/api.h"
#include "fly/commands.h"

#include "base/json.h"

#include <string.h>

/* Statuses as this route has them (reference 02 §2.4). */
static bool put_order(Fly *fly, const char *path, const Value *order, GError **error) {
        g_autofree char *json = json_write(order, JSON_COMPACT, NULL);
        g_autofree char *body = g_strconcat(json, "\n", NULL);
        g_auto(HttpReply) reply = { 0 };
        const ApiCall call = { .method = "PUT",
                               .path = path,
                               .content_type = "application/json",
                               .body = body,
                               .length = strlen(body),
                               .raw = true };

        if (!api_call(fly, &call, &reply, error))
                return false;
        if (reply.status == 403)
                return fly_fail(error, "you do not have a role on team '%s'", fly->team);
        if (reply.status == 400)
                return fly_fail(error, "%s", reply.body ? reply.body : "");
        return reply.status == 200 || api_unexpected(&reply, error);
}

static bool order(Fly *fly, const char *path, const Value *list, const char *what, GError **error) {
        g_autoptr(GError) cause = NULL;

        if (put_order(fly, path, list, &cause))
                return true;
        return fly_fail_plain(error, "failed to order %s: %s", what, cause->message);
}

/* ---- order-pipelines ---- */

typedef struct {
        Globals globals;
        bool alphabetical;
        GPtrArray *pipelines;
        char *team;
} OrderOptions;

static const Option order_pipelines_options[] = {
        OPT(OrderOptions, alphabetical, OPTION_FLAG, 'a', "alphabetical",
            "Order all pipelines alphabetically"),
        OPT(OrderOptions, pipelines, OPTION_LIST, 'p', "pipeline",
            "Name of pipeline (can be specified multiple times to provide relative ordering)"),
        OPT_TEAM(OrderOptions, "Name of the team to which the pipelines belong, if different from "
                               "the target default"),
        OPT_END,
};

static int compare_texts(const void *a, const void *b) {
        return strcmp(*(const char *const *) a, *(const char *const *) b);
}

static void add_name(Value *list, const char *name) {
        for (size_t i = 0; i < value_length(list); i++)
                if (g_str_equal(value_text(value_at(list, i)), name))
                        return;
        value_list_add(list, value_string(name));
}

/* All names in order, each once however many instances bear it. */
static bool add_alphabetically(Fly *fly, Value *list, GError **error) {
        g_autofree char *path = path_team(fly, "/pipelines");
        g_autoptr(Value) pipelines = api_get(fly, path, error);
        g_autoptr(GPtrArray) names = g_ptr_array_new();

        if (!pipelines)
                return false;
        for (size_t i = 0; i < value_length(pipelines); i++)
                g_ptr_array_add(names,
                                (char *) value_get_string(value_at(pipelines, i), "name", ""));
        g_ptr_array_sort(names, compare_texts);
        for (size_t i = 0; i < names->len; i++)
                add_name(list, names->pdata[i]);
        return true;
}

static bool check_names(const OrderOptions *options, GError **error) {
        if (!options->alphabetical && options->pipelines->len == 0)
                return fly_fail_plain(error, "error: either --pipeline or --alphabetical are "
                                             "required");
        for (size_t i = 0; i < options->pipelines->len; i++)
                if (strchr(options->pipelines->pdata[i], '/'))
                        return fly_fail(error, "pipeline name \"%s\" cannot contain '/'",
                                        (const char *) options->pipelines->pdata[i]);
        return true;
}

static bool order_pipelines_run(Fly *fly, const void *data, const GPtrArray *arguments,
                                GError **error) {
        const OrderOptions *options = data;
        g_autoptr(Value) names = value_list();

        if (!check_names(options, error) || !fly_open(fly, options->team, error) ||
            (options->alphabetical && !add_alphabetically(fly, names, error)))
                return false;
        for (size_t i = 0; !options->alphabetical && i < options->pipelines->len; i++)
                value_list_add(names, value_string(options->pipelines->pdata[i]));
        g_autofree char *path = path_team(fly, "/pipelines/ordering");
        if (!order(fly, path, names, "pipelines", error))
                return false;
        puts("ordered pipelines ");
        for (size_t i = 0; i < value_length(names); i++)
                printf("  - %s \n", value_text(value_at(names, i)));
        return true;
}

const Command command_order_pipelines = {
        .name = "order-pipelines",
        .aliases = { "op" },
        .summary = "Orders pipelines",
        .options = order_pipelines_options,
        .size = sizeof(OrderOptions),
        .run = order_pipelines_run,
};

/* ---- order-instanced-pipelines ---- */

typedef struct {
        Globals globals;
        char *group;
        GPtrArray *instances;
        char *team;
} OrderInstancesOptions;

static const Option order_instanced_pipelines_options[] = {
        OPT(OrderInstancesOptions, group, OPTION_STRING, 'g', "group", "Name of the instance group",
            .required = true),
        OPT(OrderInstancesOptions, instances, OPTION_LIST, 'p', "pipeline",
            "Instance vars identifying pipeline (can be specified multiple times to provide "
            "relative ordering)",
            .required = true),
        OPT_TEAM(OrderInstancesOptions, "Name of the team to which the pipelines belong, if "
                                        "different from the target default"),
        OPT_END,
};

static bool add_instances(Value *list, const GPtrArray *texts, GError **error) {
        for (size_t i = 0; i < texts->len; i++) {
                g_autoptr(GError) cause = NULL;
                Value *vars = instance_vars_parse(texts->pdata[i], &cause);
                if (!vars)
                        return fly_fail(error,
                                        "invalid argument for flag `-p, --pipeline' (expected "
                                        "[]flaghelpers.InstanceVarsFlag): %s",
                                        cause->message);
                value_list_add(list, vars);
        }
        return true;
}

static bool order_instanced_pipelines_run(Fly *fly, const void *data, const GPtrArray *arguments,
                                          GError **error) {
        const OrderInstancesOptions *options = data;
        const PipelineRef group = { options->group, NULL };
        g_autoptr(Value) instances = value_list();

        if (!add_instances(instances, options->instances, error) ||
            !fly_open(fly, options->team, error))
                return false;
        g_autofree char *path = path_pipeline(fly, &group, "/ordering", NULL);
        if (!order(fly, path, instances, "instanced pipelines", error))
                return false;
        puts("ordered instanced pipelines ");
        for (size_t i = 0; i < value_length(instances); i++) {
                g_autofree char *text = instance_vars_format(value_at(instances, i));
                printf("  - %s \n", text);
        }
        return true;
}

const Command command_order_instanced_pipelines = {
        .name = "order-instanced-pipelines",
        .aliases = { "oip" },
        .summary = "Orders instanced pipelines within an instance group",
        .options = order_instanced_pipelines_options,
        .size = sizeof(OrderInstancesOptions),
        .run = order_instanced_pipelines_run,
};
