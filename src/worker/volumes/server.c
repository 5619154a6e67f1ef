#include "base/crypto.h"
#include "base/json.h"
#include "base/log.h"
#include "worker/volumes/serve.h"

#include <string.h>

/* ---- answers ---- */

void volumes_answer_error(const VolumesCall *call, int status, const char *text) {
        g_autoptr(Value) body = volume_error_to_value(text);
        http_answer_json(call->request, status, body);
}

void volumes_answer_empty(const VolumesCall *call, int status) {
        http_answer(call->request, status, NULL, NULL, 0);
}

static void answer_value(const VolumesCall *call, int status, Value *value) {
        http_answer_json(call->request, status, value);
        value_free(value);
}

void volumes_answer_failure(const VolumesCall *call, const GError *error, const char *text) {
        bool missing = error_is(error, ERROR_NOT_FOUND);
        if (!missing)
                log_error("volumes", "request-failed", error, "path", http_path(call->request));
        volumes_answer_error(call, missing ? 404 : 500, text);
}

/* The body as JSON, new; NULL, and has answered 400 with text. */
static Value *read_body(const VolumesCall *call, const char *text) {
        g_autoptr(GError) error = NULL;
        size_t length;
        g_autofree char *body = http_body(call->request, 0, &length, &error);
        Value *value = body ? json_parse(body, length, NULL, &error) : NULL;
        if (!value)
                volumes_answer_error(call, 400, text);
        return value;
}

/* ---- making ---- */

static const char create_failed[] = "failed to create volume";

/* false, and has answered, when the request is none. */
static bool read_request(const VolumesCall *call, VolumeRequest *ret) {
        g_autoptr(Value) body = read_body(call, create_failed);
        if (!body)
                return false;
        if (!volume_request_from_value(body, ret, NULL)) {
                volumes_answer_error(call, 400, create_failed);
                return false;
        }
        if (ret->strategy.kind == VOLUME_STRATEGY_NONE ||
            ret->strategy.kind == VOLUME_STRATEGY_UNKNOWN) {
                volumes_answer_error(call, 422, create_failed);
                return false;
        }
        return true;
}

static void answer_create_failed(const VolumesCall *call, const GError *error) {
        bool refused = error_is(error, ERROR_INVALID);
        if (!refused)
                log_error("volumes", "create-failed", error);
        volumes_answer_error(call, refused ? 422 : 500, create_failed);
}

static void create_volume(const VolumesCall *call) {
        g_auto(VolumeRequest) request = { 0 };
        g_auto(VolumeResponse) response = { 0 };
        g_autoptr(GError) error = NULL;
        if (!read_request(call, &request))
                return;
        if (volumes_create(call->volumes, &request, http_request_cancel(call->request), &response,
                           &error))
                answer_value(call, 201, volume_response_to_value(&response));
        else
                answer_create_failed(call, error);
}

static void create_volume_async(const VolumesCall *call) {
        g_auto(VolumeRequest) request = { 0 };
        g_autoptr(GError) error = NULL;
        if (!read_request(call, &request))
                return;
        if (!request.handle || !*request.handle) {
                g_free(request.handle);
                request.handle = crypto_uuid();
        }
        g_autofree char *handle = g_strdup(request.handle);
        if (promises_add(call->server->promises, &request, &error))
                answer_value(call, 201, volume_future_to_value(handle));
        else
                volumes_answer_error(call, 500, error->message);
}

static void check_volume_async(const VolumesCall *call) {
        g_auto(VolumeResponse) response = { 0 };
        g_autoptr(GError) failure = NULL;
        bool done = false;
        if (!promises_look(call->server->promises, call->handle, &done, &response, &failure, NULL))
                volumes_answer_empty(call, 404);
        else if (!done)
                volumes_answer_empty(call, 204);
        else if (failure)
                volumes_answer_error(call, error_is(failure, ERROR_INVALID) ? 422 : 500,
                                     create_failed);
        else
                answer_value(call, 200, volume_response_to_value(&response));
}

static void drop_volume_async(const VolumesCall *call) {
        volumes_answer_empty(call,
                             promises_drop(call->server->promises, call->handle, NULL) ? 204 : 404);
}

/* ---- looking ---- */

static Value *read_filter(const VolumesCall *call) {
        g_autoptr(Value) filter = value_map();
        for (size_t i = 0; i < http_query_count(call->request); i++) {
                const char *name = http_query_name_at(call->request, i);
                const char *value = http_query_value_at(call->request, i);
                const char *first = value_get_string(filter, name, NULL);
                if (first) {
                        g_autofree char *text = g_strdup_printf(
                                "a property may only have a single value: %s has many (%s, %s)",
                                name, first, value);
                        volumes_answer_error(call, 422, text);
                        return NULL;
                }
                value_map_set_string(filter, name, value);
        }
        return g_steal_pointer(&filter);
}

static void list_volumes(const VolumesCall *call) {
        g_autoptr(Value) filter = read_filter(call);
        if (!filter)
                return;
        g_autoptr(GPtrArray) volumes = volumes_list(call->volumes, filter);
        Value *list = value_list();
        for (guint i = 0; i < volumes->len; i++)
                value_list_add(list, volume_response_to_value(volumes->pdata[i]));
        answer_value(call, 200, list);
}

static void get_volume(const VolumesCall *call) {
        g_auto(VolumeResponse) response = { 0 };
        g_autoptr(GError) error = NULL;
        if (volumes_get(call->volumes, call->handle, &response, &error))
                answer_value(call, 200, volume_response_to_value(&response));
        else
                volumes_answer_failure(call, error, "failed to get volume");
}

static void get_privileged(const VolumesCall *call) {
        g_auto(VolumeResponse) response = { 0 };
        g_autoptr(GError) error = NULL;
        if (volumes_get(call->volumes, call->handle, &response, &error))
                answer_value(call, 200, value_bool(response.privileged));
        else
                volumes_answer_failure(call, error, "failed to get privileged status of volume");
}

/* ---- changing ---- */

static void set_privileged(const VolumesCall *call) {
        static const char text[] = "failed to change privileged status of volume";
        g_autoptr(GError) error = NULL;
        g_autoptr(Value) body = read_body(call, text);
        bool privileged;
        if (!body)
                return;
        if (!volume_privileged_from_value(body, &privileged, NULL))
                volumes_answer_error(call, 400, text);
        else if (volumes_set_privileged(call->volumes, call->handle, privileged, &error))
                volumes_answer_empty(call, 204);
        else
                volumes_answer_failure(call, error, text);
}

static void set_property(const VolumesCall *call) {
        static const char text[] = "failed to set property on volume";
        g_autoptr(GError) error = NULL;
        g_autoptr(Value) body = read_body(call, text);
        if (!body)
                return;
        const char *value = volume_property_from_value(body, NULL);
        if (!value)
                volumes_answer_error(call, 400, text);
        else if (volumes_set_property(call->volumes, call->handle, http_segment(call->request, 3),
                                      value, &error))
                volumes_answer_empty(call, 204);
        else
                volumes_answer_failure(call, error, text);
}

static void destroy_volume(const VolumesCall *call) {
        g_autoptr(GError) error = NULL;
        if (volumes_destroy(call->volumes, call->handle, &error))
                volumes_answer_empty(call, 204);
        else
                volumes_answer_failure(call, error, "failed to destroy volume");
}

static void destroy_volumes(const VolumesCall *call) {
        static const char text[] = "failed to destroy volume";
        g_autoptr(Value) handles = read_body(call, text);
        bool failed = false;
        if (!handles)
                return;
        for (size_t i = 0; i < value_length(handles); i++) {
                const char *handle = value_text(value_at(handles, i));
                if (!value_is(handles, VALUE_LIST) ||
                    !value_is(value_at(handles, i), VALUE_STRING)) {
                        volumes_answer_error(call, 400, text);
                        return;
                }
                g_autoptr(GError) error = NULL;
                if (volumes_destroy(call->volumes, handle, &error) ||
                    error_is(error, ERROR_NOT_FOUND))
                        continue;
                log_error("volumes", "destroy-failed", error, "volume", handle);
                failed = true;
        }
        if (failed)
                volumes_answer_error(call, 500, text);
        else
                volumes_answer_empty(call, 204);
}

static void cleanup_orphans(const VolumesCall *call) {
        g_autoptr(GError) error = NULL;
        if (volumes_clean(call->volumes, &error))
                volumes_answer_empty(call, 204);
        else
                volumes_answer_error(call, 500, error->message);
}

/* ---- routes ---- */

/* ":" is a handle or name. The first that fits: "destroy" stands before the handles. */
static const struct {
        const char *method, *path;
        void (*serve)(const VolumesCall *call);
} routes[] = {
        { "GET", "volumes", list_volumes },
        { "POST", "volumes", create_volume },
        { "POST", "volumes-async", create_volume_async },
        { "GET", "volumes-async/:", check_volume_async },
        { "DELETE", "volumes-async/:", drop_volume_async },
        { "DELETE", "volumes/destroy", destroy_volumes },
        { "POST", "volumes/cleanup-orphans", cleanup_orphans },
        { "GET", "volumes/:", get_volume },
        { "DELETE", "volumes/:", destroy_volume },
        { "PUT", "volumes/:/properties/:", set_property },
        { "GET", "volumes/:/privileged", get_privileged },
        { "PUT", "volumes/:/privileged", set_privileged },
        { "PUT", "volumes/:/stream-in", volumes_serve_stream_in },
        { "PUT", "volumes/:/stream-out", volumes_serve_stream_out },
        { "PUT", "volumes/:/stream-p2p-out", volumes_serve_p2p_out },
        { "GET", "p2p-url", volumes_serve_p2p_url },
};

static bool route_fits(const HttpRequest *request, const char *path) {
        g_auto(GStrv) parts = g_strsplit(path, "/", -1);
        if (g_strv_length(parts) != http_segments(request))
                return false;
        for (size_t i = 0; parts[i]; i++)
                if (strcmp(parts[i], ":") != 0 && strcmp(parts[i], http_segment(request, i)) != 0)
                        return false;
        return true;
}

static void serve(HttpRequest *request, void *data) {
        VolumesServer *server = data;
        VolumesCall call = { server, server->volumes, request, http_segment(request, 1) };
        bool known = false;

        for (size_t i = 0; i < G_N_ELEMENTS(routes); i++) {
                if (!route_fits(request, routes[i].path))
                        continue;
                known = true;
                if (strcmp(routes[i].method, http_method(request)) == 0) {
                        routes[i].serve(&call);
                        return;
                }
        }
        http_answer_text(request, known ? 405 : 404,
                         known ? "Method Not Allowed\n" : "404 page not found\n");
}

VolumesServer *volumes_server_start(const VolumesServerSpec *spec, GError **error) {
        VolumesServer *server = g_new0(VolumesServer, 1);
        HttpServerSpec http = { .address = spec->address,
                                .port = spec->port,
                                .handler = serve,
                                .data = server,
                                .name = "baggageclaim" };

        server->volumes = spec->volumes;
        server->promises = promises_new(spec->volumes);
        server->interface_pattern = g_strdup(
                spec->p2p_interface_pattern ? spec->p2p_interface_pattern : "eth0");
        server->family = spec->p2p_family ? spec->p2p_family : 4;
        server->http = http_server_start(&http, error);
        if (server->http)
                return server;
        volumes_server_stop(server, 0);
        return NULL;
}

uint16_t volumes_server_port(const VolumesServer *server) {
        return http_server_port(server->http);
}

void volumes_server_stop(VolumesServer *server, Duration grace) {
        if (!server)
                return;
        if (server->http)
                http_server_stop(server->http, grace);
        promises_free(server->promises);
        g_free(server->interface_pattern);
        g_free(server);
}
