/* What fly execute sends and fetches (reference 01 §19). */
#include "api/handlers.h"

#include "api/present.h"

#include <string.h>

static ssize_t read_body(void *ret, size_t length, void *data, GError **error) {
        return http_body_read(data, ret, length, error);
}

static GPtrArray *query_list(ApiCall *call, const char *name) {
        GPtrArray *list = g_ptr_array_new();

        for (size_t i = 0; i < http_query_count(call->request); i++)
                if (g_str_equal(http_query_name_at(call->request, i), name) &&
                    *http_query_value_at(call->request, i))
                        g_ptr_array_add(list, (char *) http_query_value_at(call->request, i));
        g_ptr_array_add(list, NULL);
        return list;
}

void create_artifact(ApiCall *call) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GPtrArray) tags = query_list(call, "tags");

        if (!call_team(call))
                return;
        const PlacementNeed need = { .platform = http_query(call->request, "platform"),
                                     .tags = tags->len > 1 ? (char *const *) tags->pdata : NULL,
                                     .team_id = call->team->id };
        int64_t id;
        bool filled = pool_artifact_upload(call->api->spec.pool, &need, read_body, call->request,
                                           call_cancel(call), &id, &error);
        g_autoptr(WorkerArtifact) row = filled ? worker_artifact_get(call->store, id, &error)
                                               : NULL;
        if (row)
                call_answer(call, 201, present_artifact(row));
        else
                call_text(call, 500, error->message);
}

static bool write_answer(const void *bytes, size_t length, void *data, GError **error) {
        ApiCall *call = data;

        if (!http_answered(call->request))
                http_answer_begin(call->request, 200, "application/octet-stream");
        return http_answer_write(call->request, bytes, length, error);
}

void get_artifact(ApiCall *call) {
        g_autoptr(GError) error = NULL;
        g_autofree char *worker = NULL, *handle = NULL;
        char *end;
        gint64 id = g_ascii_strtoll(call_param(call, "artifact_id"), &end, 10);

        if (*end) {
                call_empty(call, 500);
                return;
        }
        if (!call_team(call))
                return;
        if (!worker_artifact_volume(call->store, id, call->team->id, &worker, &handle, &error)) {
                call_failed(call, error);
                return;
        }
        g_autoptr(Artifact)
                artifact = artifact_new(&(ArtifactSpec){ .worker = worker, .volume = handle });
        if (pool_artifact_download(call->api->spec.pool, artifact, write_answer, call,
                                   call_cancel(call), &error))
                http_answer_end(call->request);
        else if (http_answered(call->request))
                http_answer_abort(call->request);
        else
                call_failed(call, error);
}
