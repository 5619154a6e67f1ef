#include "api/handlers.h"

#include "api/present.h"

#include <string.h>

static Resource *find_resource(ApiCall *call) {
        return call_resource(call, RESOURCE_KIND_RESOURCE, "resource_name");
}

/* filter=key:value, repeatable; NULL: none. Returns new. */
static Value *read_filter(ApiCall *call) {
        Value *filter = NULL;

        for (size_t i = 0; i < http_query_count(call->request); i++) {
                const char *text = http_query_value_at(call->request, i),
                           *colon = strchr(text, ':');
                if (!g_str_equal(http_query_name_at(call->request, i), "filter") || !colon)
                        continue;
                if (!filter)
                        filter = value_map();
                value_map_set_sized(filter, text, (size_t) (colon - text), value_string(colon + 1));
        }
        return filter;
}

void list_versions(ApiCall *call) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Resource) resource = find_resource(call);
        g_autoptr(Value) filter = read_filter(call);
        PageLinks links = { 0 };

        if (!resource)
                return;
        const VersionQuery query = { .page = call_page(call), .filter = filter };
        g_autoptr(GPtrArray)
                versions = version_list(call->store, resource->id, &query, &links, &error);
        if (!versions) {
                call_failed(call, error);
                return;
        }
        call_links(call, &links, &query.page);
        bool metadata = resource->public || call_sees_team(call, resource->team_name);
        Value *list = value_list();
        for (size_t i = 0; i < versions->len; i++)
                value_list_add(list, present_version(g_ptr_array_index(versions, i), metadata));
        call_answer(call, 200, list);
}

void get_version(ApiCall *call) {
        g_autoptr(GError) error = NULL;
        int64_t id;

        if (!call_id(call, "resource_config_version_id", &id))
                return;
        g_autoptr(Version) version = version_get(call->store, id, &error);
        if (version)
                call_answer(call, 200, present_version(version, true));
        else
                call_failed(call, error);
}

/* What is not there or is so already is a 500 for upstream's clients (reference 01 §13.2). */
static void answer_change(ApiCall *call, bool done) {
        call_empty(call, done ? 200 : 500);
}

static void set_enabled(ApiCall *call, bool enabled) {
        g_autoptr(Resource) resource = find_resource(call);
        int64_t id;

        if (resource && call_id(call, "resource_config_version_id", &id))
                answer_change(call,
                              version_set_enabled(call->store, resource->id, id, enabled, NULL));
}

void enable_version(ApiCall *call) {
        set_enabled(call, true);
}

void disable_version(ApiCall *call) {
        set_enabled(call, false);
}

void pin_version(ApiCall *call) {
        g_autoptr(Resource) resource = find_resource(call);
        int64_t id;

        if (resource && call_id(call, "resource_config_version_id", &id))
                answer_change(call, resource_pin(call->store, resource->id, id, NULL));
}

void unpin_resource(ApiCall *call) {
        g_autoptr(Resource) resource = find_resource(call);

        if (resource)
                answer_change(call, resource_unpin(call->store, resource->id, NULL));
}

void set_pin_comment(ApiCall *call) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Resource) resource = find_resource(call);
        g_autoptr(Value) body = resource ? call_json(call) : NULL;

        if (body)
                call_done(call,
                          resource_set_pin_comment(call->store, resource->id,
                                                   value_get_string(body, "pin_comment", ""),
                                                   &error),
                          error);
}

/* ---- who used it ---- */

typedef GArray *(*FindBuilds)(Store *store, int64_t resource_id, int64_t version_id,
                              GError **error);

static void answer_builds(ApiCall *call, FindBuilds find) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Resource) resource = find_resource(call);
        int64_t id = g_ascii_strtoll(call_param(call, "resource_config_version_id"), NULL, 10);

        if (!resource)
                return;
        g_autoptr(GArray) ids = find(call->store, resource->id, id, &error);
        g_autoptr(GPtrArray) builds = ids ? build_list_by_id(call->store, ids, &error) : NULL;
        if (builds)
                call_answer(call, 200, present_builds(builds));
        else
                call_failed(call, error);
}

void version_inputs(ApiCall *call) {
        answer_builds(call, version_input_to);
}

void version_outputs(ApiCall *call) {
        answer_builds(call, version_output_of);
}

/* ---- clearing ---- */

static void answer_removed(ApiCall *call, const char *key, int64_t removed) {
        Value *answer = value_map();

        value_map_set_int(answer, key, removed);
        call_answer(call, 200, answer);
}

static void clear(ApiCall *call, ResourceKind kind, const char *param) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Resource) resource = call_resource(call, kind, param);
        int64_t removed;

        if (!resource)
                return;
        if (version_clear(call->store, resource->scope_id, &removed, &error))
                answer_removed(call, "versions_removed", removed);
        else
                call_text(call, 500, error->message);
}

void clear_versions(ApiCall *call) {
        clear(call, RESOURCE_KIND_RESOURCE, "resource_name");
}

void clear_type_versions(ApiCall *call) {
        clear(call, RESOURCE_KIND_TYPE, "resource_type_name");
}

void clear_resource_cache(ApiCall *call) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Resource) resource = find_resource(call);
        g_autofree char *text = http_body(call->request, 0, NULL, NULL);
        g_autoptr(Value) body = text && *text ? json_parse(text, strlen(text), NULL, NULL) : NULL;
        const Value *version = value_get(body, "version");
        int64_t removed;

        if (!resource)
                return;
        if (resource_cache_clear(call->store, resource->config_id,
                                 value_length(version) > 0 ? version : NULL, &removed, &error))
                answer_removed(call, "caches_removed", removed);
        else
                call_failed(call, error);
}
