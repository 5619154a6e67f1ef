/* What input resolution goes by, and who shares a history (reference 01 §11.4, §13.1). */
#include "api/handlers.h"

void get_versions_db(ApiCall *call) {
        g_autoptr(GError) error = NULL;

        if (!call_pipeline(call))
                return;
        Value *dump = versions_db_dump(call->store, call->pipeline->id, &error);
        if (dump)
                call_answer(call, 200, dump);
        else
                call_failed(call, error);
}

/* Adds null when there are none, as upstream writes it. */
static bool add_sharers(ApiCall *call, Value *answer, const char *key, ResourceKind kind,
                        int64_t scope_id, GError **error) {
        g_autoptr(GPtrArray) sharers = resource_list_of_scope(call->store, kind, scope_id, error);

        if (!sharers)
                return false;
        Value *list = sharers->len > 0 ? value_list() : value_null();
        for (size_t i = 0; i < sharers->len; i++) {
                const Resource *resource = sharers->pdata[i];
                Value *map = value_map();
                value_map_set_string(map, "name", resource->name);
                value_map_set_string(map, "pipeline_name", resource->pipeline_name);
                value_map_set_string(map, "team_name", resource->team_name);
                value_list_add(list, map);
        }
        value_map_set(answer, key, list);
        return true;
}

static void list_shared(ApiCall *call, ResourceKind kind, const char *param) {
        g_autoptr(Resource) resource = call_resource(call, kind, param);
        g_autoptr(Value) answer = value_map();
        g_autoptr(GError) error = NULL;

        if (!resource)
                return;
        if (resource->scope_id == 0) {
                g_autofree char *text = g_strdup_printf("resource/resource-type %s has no scope",
                                                        resource->name);
                call_text(call, 500, text);
        } else if (add_sharers(call, answer, "resources", RESOURCE_KIND_RESOURCE,
                               resource->scope_id, &error) &&
                   add_sharers(call, answer, "resource_types", RESOURCE_KIND_TYPE,
                               resource->scope_id, &error))
                call_answer(call, 200, g_steal_pointer(&answer));
        else
                call_failed(call, error);
}

void list_shared_resource(ApiCall *call) {
        list_shared(call, RESOURCE_KIND_RESOURCE, "resource_name");
}

void list_shared_type(ApiCall *call) {
        list_shared(call, RESOURCE_KIND_TYPE, "resource_type_name");
}
