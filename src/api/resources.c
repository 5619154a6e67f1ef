#include "api/handlers.h"

#include "api/present.h"
#include "base/crypto.h"
#include "plan/planner.h"

#include <string.h>

/* ---- lists ---- */

static void answer_resources(ApiCall *call, GPtrArray *resources, const GError *error) {
        if (!resources) {
                call_failed(call, error);
                return;
        }
        Value *list = value_list();
        for (size_t i = 0; i < resources->len; i++)
                value_list_add(list,
                               present_resource(call->store, g_ptr_array_index(resources, i)));
        call_answer(call, 200, list);
}

void list_all_resources(ApiCall *call) {
        const Visibility visibility = access_visibility(call->access, ROLE_VIEWER);
        g_autoptr(GError) error = NULL;
        g_autoptr(GPtrArray) resources = resource_list_visible(call->store, &visibility, &error);

        answer_resources(call, resources, error);
}

void list_resources(ApiCall *call) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GPtrArray) resources = resource_list(call->store, RESOURCE_KIND_RESOURCE,
                                                       call->pipeline->id, &error);

        answer_resources(call, resources, error);
}

void get_resource(ApiCall *call) {
        g_autoptr(Resource) resource = call_resource(call, RESOURCE_KIND_RESOURCE, "resource_name");

        if (resource)
                call_answer(call, 200, present_resource(call->store, resource));
}

/* As they stand in the config, in the order of their names. */
void list_resource_types(ApiCall *call) {
        static const char *const keys[] = { "name",       "type",        "source", "defaults",
                                            "privileged", "check_every", "tags",   "params" };
        g_autoptr(GError) error = NULL;
        g_autoptr(GPtrArray)
                types = resource_list(call->store, RESOURCE_KIND_TYPE, call->pipeline->id, &error);

        if (!types) {
                call_failed(call, error);
                return;
        }
        Value *list = value_list();
        for (size_t i = 0; i < types->len; i++) {
                const Resource *type = g_ptr_array_index(types, i);
                Value *map = value_map();
                for (size_t k = 0; k < G_N_ELEMENTS(keys); k++)
                        if (value_has(type->config, keys[k]))
                                value_map_set(map, keys[k],
                                              value_ref(value_get(type->config, keys[k])));
                value_list_add(list, map);
        }
        call_answer(call, 200, list);
}

/* ---- checks that somebody asks for (reference 05 §2.3) ---- */

typedef struct {
        const Resource *resource; /* of any kind */
        const Value *from;        /* NULL: none */
        bool shallow;
} CheckOrder;

static PlannerCheck planner_check_of(const PipelineConfig *config, const CheckOrder *order) {
        PlannerCheck check = { .from_version = order->from,
                               .skip_interval = true,
                               .skip_interval_recursively = !order->shallow };

        if (order->resource->kind == RESOURCE_KIND_RESOURCE)
                check.resource = pipeline_config_resource(config, order->resource->name);
        if (order->resource->kind == RESOURCE_KIND_TYPE)
                check.resource_type = pipeline_config_resource_type(config, order->resource->name);
        if (order->resource->kind == RESOURCE_KIND_PROTOTYPE)
                check.prototype = pipeline_config_prototype(config, order->resource->name);
        return check;
}

static Plan *plan_check(ApiCall *call, const CheckOrder *order, GError **error) {
        g_autoptr(Value)
                value = pipeline_config(call->store, order->resource->pipeline_id, NULL, error);
        g_autoptr(PipelineConfig)
                config = value ? pipeline_config_from_value(value, PIPELINE_CONFIG_LENIENT, error)
                               : NULL;
        uint64_t counter = call_plan_counter(call, 1);
        if (!config)
                return NULL;
        const PlannerCheck check = planner_check_of(config, order);

        if (!check.resource && !check.resource_type && !check.prototype) {
                g_set_error(error, ERROR, ERROR_NOT_FOUND,
                            "resource '%s' is not in its pipeline's config", order->resource->name);
                return NULL;
        }
        return planner_check(
                &(PlannerSpec){ .config = config,
                                .base_type_defaults = call->api->spec.base_type_defaults,
                                .checking_interval = call->api->spec.checking_interval,
                                .manually_triggered = true,
                                .counter = &counter },
                &check);
}

static void create_check(ApiCall *call, const CheckOrder *order) {
        const Resource *resource = order->resource;
        bool is_resource = resource->kind == RESOURCE_KIND_RESOURCE;
        g_autoptr(GError) error = NULL;
        g_autoptr(Plan) plan = plan_check(call, order, &error);
        if (!plan) {
                call_failed(call, error);
                return;
        }
        g_autoptr(Value) private = plan_to_value(plan), public = plan_to_public(plan);
        const BuildStarted spec = { .team_id = resource->team_id,
                                    .pipeline_id = resource->pipeline_id,
                                    .resource_id = is_resource ? resource->id : 0,
                                    .resource_type_id = is_resource ? 0 : resource->id,
                                    .plan = private,
                                    .public_plan = public };
        g_autoptr(Build) build = build_create_started(call->store, &spec, false, &error);
        if (!build) {
                call_failed(call, error);
                return;
        }
        /* Upstream sets no content type here, and clients have seen the sniffed one. */
        g_autoptr(Value) answer = present_build(build, false);
        g_autofree char *text = json_write(answer, JSON_COMPACT, NULL);
        g_autofree char *line = g_strconcat(text, "\n", NULL);
        call_text(call, 201, line);
}

static void check(ApiCall *call, ResourceKind kind, const char *param) {
        g_autoptr(Resource) resource = call_resource(call, kind, param);
        if (!resource)
                return;
        g_autoptr(Value) body = call_json(call);
        if (!body)
                return;
        const Value *from = value_get(body, "from");
        create_check(call, &(CheckOrder){ .resource = resource,
                                          .from = value_length(from) > 0 ? from : NULL,
                                          .shallow = value_get_bool(body, "shallow", false) });
}

void check_resource(ApiCall *call) {
        check(call, RESOURCE_KIND_RESOURCE, "resource_name");
}

void check_resource_type(ApiCall *call) {
        check(call, RESOURCE_KIND_TYPE, "resource_type_name");
}

void check_prototype(ApiCall *call) {
        check(call, RESOURCE_KIND_PROTOTYPE, "prototype_name");
}

void check_webhook(ApiCall *call) {
        const char *token = http_query(call->request, "webhook_token");

        if (!token || !*token) {
                call_empty(call, 400);
                return;
        }
        g_autoptr(Resource) resource = call_resource(call, RESOURCE_KIND_RESOURCE, "resource_name");
        if (!resource)
                return;
        const char *expected = value_get_string(resource->config, "webhook_token", "");
        if (!*expected || strlen(expected) != strlen(token) ||
            !crypto_equal(expected, token, strlen(token)))
                call_empty(call, 401);
        else
                create_check(call, &(CheckOrder){ .resource = resource, .shallow = true });
}
