#include "api/handlers.h"

#include "api/present.h"

#include <string.h>

static bool read_id(ApiCall *call, const char *name, int64_t *ret) {
        const char *text = http_query(call->request, name);
        char *end;

        *ret = 0;
        if (!text)
                return true;
        gint64 id = g_ascii_strtoll(text, &end, 10);
        if (*text && !*end) {
                *ret = id;
                return true;
        }
        g_autofree char *message = g_strdup_printf(
                "non-numeric '%s' param (%s): strconv.Atoi: parsing \"%s\": invalid syntax\n", name,
                text, text);
        call_text(call, 400, message);
        return false;
}

static bool read_type(ApiCall *call, const char **ret) {
        static const char *const types[] = { "check", "get", "put", "task", "run" };

        *ret = http_query(call->request, "type");
        if (!*ret)
                return true;
        for (size_t i = 0; i < G_N_ELEMENTS(types); i++)
                if (g_str_equal(types[i], *ret))
                        return true;
        g_autofree char *message = g_strdup_printf("unrecognized containerType: %s\n", *ret);
        call_text(call, 400, message);
        return false;
}

static void answer_containers(ApiCall *call, const ContainerQuery *query) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GPtrArray) containers = container_list(call->store, query, &error);

        if (!containers) {
                call_failed(call, error);
                return;
        }
        Value *list = value_list();
        for (size_t i = 0; i < containers->len; i++)
                value_list_add(list, present_container(g_ptr_array_index(containers, i),
                                                       query->resource_config_id != 0));
        call_answer(call, 200, list);
}

/* The check session of one resource. */
static void answer_checks(ApiCall *call, const Value *instance_vars) {
        const char *pipeline_name = http_query(call->request, "pipeline_name");
        const char *name = http_query(call->request, "resource_name");
        g_autoptr(Pipeline) pipeline = pipeline_name
                                               ? pipeline_find(call->store, call->team->id,
                                                               pipeline_name, instance_vars, NULL)
                                               : NULL;
        g_autoptr(Resource) resource = pipeline && name
                                               ? resource_find(call->store, RESOURCE_KIND_RESOURCE,
                                                               pipeline->id, name, NULL)
                                               : NULL;

        if (resource && resource->config_id)
                answer_containers(call,
                                  &(ContainerQuery){ .resource_config_id = resource->config_id });
        else
                call_answer(call, 200, value_list());
}

void list_containers(ApiCall *call) {
        HttpRequest *request = call->request;
        const char *vars = http_query(request, "vars");
        g_autoptr(Value) instance_vars = vars ? json_parse(vars, strlen(vars), NULL, NULL) : NULL;
        ContainerQuery query = { .step_name = http_query(request, "step_name"),
                                 .attempt = http_query(request, "attempt"),
                                 .pipeline_name = http_query(request, "pipeline_name"),
                                 .job_name = http_query(request, "job_name"),
                                 .build_name = http_query(request, "build_name"),
                                 .instance_vars = instance_vars,
                                 .checks = http_query_count(request) == 0 };

        if (!call_team(call) || !read_type(call, &query.type) ||
            !read_id(call, "pipeline_id", &query.pipeline_id) ||
            !read_id(call, "job_id", &query.job_id) || !read_id(call, "build_id", &query.build_id))
                return;
        query.team_id = call->team->id;
        if (g_strcmp0(query.type, "check") == 0)
                answer_checks(call, instance_vars);
        else
                answer_containers(call, &query);
}

void get_container(ApiCall *call) {
        g_autoptr(GError) error = NULL;

        if (!call_team(call))
                return;
        g_autoptr(Container) container = container_get(call->store, call_param(call, "id"), &error);
        bool ours = false;
        if (!container || !container_in_team(call->store, container, call->team->id, &ours, &error))
                call_failed(call, error);
        else if (ours)
                call_answer(call, 200, present_container(container, false));
        else
                call_empty(call, 404);
}

void list_volumes(ApiCall *call) {
        g_autoptr(GError) error = NULL;

        if (!call_team(call))
                return;
        g_autoptr(GPtrArray) volumes = volume_list(call->store, call->team->id, &error);
        if (!volumes) {
                call_failed(call, error);
                return;
        }
        Value *list = value_list();
        for (size_t i = 0; i < volumes->len; i++)
                value_list_add(list, present_volume(call->store, g_ptr_array_index(volumes, i)));
        call_answer(call, 200, list);
}
