#include "api/handlers.h"

#include "api/present.h"

#include <string.h>

static void answer_pipelines(ApiCall *call, int64_t team_id) {
        const Visibility visibility = access_visibility(call->access, ROLE_VIEWER);
        g_autoptr(GError) error = NULL;
        g_autoptr(GPtrArray) pipelines = pipeline_list(call->store, team_id, &visibility, &error);

        if (!pipelines) {
                call_failed(call, error);
                return;
        }
        Value *list = value_list();
        for (size_t i = 0; i < pipelines->len; i++)
                value_list_add(list, present_pipeline(g_ptr_array_index(pipelines, i)));
        call_answer(call, 200, list);
}

void list_all_pipelines(ApiCall *call) {
        answer_pipelines(call, 0);
}

void list_pipelines(ApiCall *call) {
        if (call_team(call))
                answer_pipelines(call, call->team->id);
}

void get_pipeline(ApiCall *call) {
        call_answer(call, 200, present_pipeline(call->pipeline));
}

void delete_pipeline(ApiCall *call) {
        g_autoptr(GError) error = NULL;

        if (!call_pipeline(call))
                return;
        if (pipeline_delete(call->store, call->pipeline->id, &error))
                call_empty(call, 204);
        else
                call_failed(call, error);
}

void pause_pipeline(ApiCall *call) {
        g_autoptr(GError) error = NULL;

        if (call_pipeline(call))
                call_done(call,
                          pipeline_pause(call->store, call->pipeline->id,
                                         access_display_name(call->access), &error),
                          error);
}

void unpause_pipeline(ApiCall *call) {
        g_autoptr(GError) error = NULL;

        if (call_pipeline(call))
                call_done(call, pipeline_unpause(call->store, call->pipeline->id, &error), error);
}

void archive_pipeline(ApiCall *call) {
        g_autoptr(GError) error = NULL;

        if (call_pipeline(call))
                call_done(call, pipeline_archive(call->store, call->pipeline->id, &error), error);
}

void expose_pipeline(ApiCall *call) {
        g_autoptr(GError) error = NULL;

        if (call_pipeline(call))
                call_done(call, pipeline_set_public(call->store, call->pipeline->id, true, &error),
                          error);
}

void hide_pipeline(ApiCall *call) {
        g_autoptr(GError) error = NULL;

        if (call_pipeline(call))
                call_done(call, pipeline_set_public(call->store, call->pipeline->id, false, &error),
                          error);
}

void rename_pipeline(ApiCall *call) {
        g_autoptr(GError) error = NULL;
        g_autofree char *text = http_body(call->request, 0, NULL, NULL);
        g_autoptr(Value) body = text ? json_parse(text, strlen(text), NULL, NULL) : NULL;
        const char *name = value_get_string(body, "name", "");

        if (!call_team(call))
                return;
        if (!body) {
                call_empty(call, 500); /* upstream's answer to bad JSON here */
                return;
        }
        if (!*name) {
                g_autoptr(GPtrArray) errors = g_ptr_array_new();
                g_ptr_array_add(errors, "pipeline: identifier cannot be an empty string");
                call_errors(call, 400, errors);
        } else if (pipeline_rename(call->store, call->team->id, call_param(call, "pipeline_name"),
                                   name, &error))
                call_answer(call, 200, call_identifier_answer("pipeline", name));
        else
                call_failed(call, error);
}

static void answer_order(ApiCall *call, bool ordered, const GError *error) {
        if (!ordered && error_is(error, ERROR_NOT_FOUND)) {
                g_autofree char *text = g_strconcat(error->message, "\n", NULL);
                call_text(call, 400, text);
        } else
                call_done(call, ordered, error);
}

void order_pipelines(ApiCall *call) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GPtrArray) names = g_ptr_array_new();
        g_autoptr(Value) body = call_json(call);

        if (!body || !call_team(call))
                return;
        for (size_t i = 0; i < value_length(body); i++) {
                const char *name = value_text(value_at(body, i));
                if (!name) {
                        call_empty(call, 400);
                        return;
                }
                g_ptr_array_add(names, (char *) name);
        }
        answer_order(call, pipeline_order(call->store, call->team->id, names, &error), error);
}

void order_pipelines_within_group(ApiCall *call) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Value) body = call_json(call);

        if (!body || !call_team(call))
                return;
        answer_order(call,
                     pipeline_order_within_group(call->store, call->team->id,
                                                 call_param(call, "pipeline_name"), body, &error),
                     error);
}
