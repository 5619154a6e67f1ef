#include "http/server.h"
#include "base/crypto.h"
#include "base/json.h"
#include "base/log.h"
#include "base/thread.h"
#include "worker/volumes/p2p.h"
#include "worker/volumes/promises.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MEGABYTE (1024.0 * 1024.0)
/* While volumes go from worker to worker, so that nobody takes the connection for dead. */
#define ALIVE_INTERVAL (30 * DURATION_SECOND)

struct VolumesServer {
        Volumes *volumes;
        Promises *promises;
        HttpServer *http;
        char *interface_pattern;
        int family;
};

typedef struct {
        VolumesServer *server;
        Volumes *volumes;
        HttpRequest *request;
        const char *handle; /* the path's second segment */
} Call;

/* ---- answers ---- */

static void answer_error(const Call *call, int status, const char *text) {
        g_autoptr(Value) body = volume_error_to_value(text);
        http_answer_json(call->request, status, body);
}

static void answer_empty(const Call *call, int status) {
        http_answer(call->request, status, NULL, NULL, 0);
}

static void answer_value(const Call *call, int status, Value *value) {
        http_answer_json(call->request, status, value);
        value_free(value);
}

/* 404 for what is not there, else 500, always with the call's own text; the reason is logged. */
static void answer_failure(const Call *call, const GError *error, const char *text) {
        bool missing = error_is(error, ERROR_NOT_FOUND);
        if (!missing)
                log_error("volumes", "request-failed", error, "path", http_path(call->request));
        answer_error(call, missing ? 404 : 500, text);
}

/* The body as JSON, new; NULL, and has answered 400 with text. */
static Value *read_body(const Call *call, const char *text) {
        g_autoptr(GError) error = NULL;
        size_t length;
        g_autofree char *body = http_body(call->request, 0, &length, &error);
        Value *value = body ? json_parse(body, length, NULL, &error) : NULL;
        if (!value)
                answer_error(call, 400, text);
        return value;
}

/* ---- making ---- */

static const char create_failed[] = "failed to create volume";

/* false, and has answered, when the request is none. */
static bool read_request(const Call *call, VolumeRequest *ret) {
        g_autoptr(Value) body = read_body(call, create_failed);
        if (!body)
                return false;
        if (!volume_request_from_value(body, ret, NULL)) {
                answer_error(call, 400, create_failed);
                return false;
        }
        if (ret->strategy.kind == VOLUME_STRATEGY_NONE ||
            ret->strategy.kind == VOLUME_STRATEGY_UNKNOWN) {
                answer_error(call, 422, create_failed);
                return false;
        }
        return true;
}

static void answer_create_failed(const Call *call, const GError *error) {
        bool refused = error_is(error, ERROR_INVALID);
        if (!refused)
                log_error("volumes", "create-failed", error);
        answer_error(call, refused ? 422 : 500, create_failed);
}

static void create_volume(const Call *call) {
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

static void create_volume_async(const Call *call) {
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
                answer_error(call, 500, error->message);
}

static void check_volume_async(const Call *call) {
        g_auto(VolumeResponse) response = { 0 };
        g_autoptr(GError) failure = NULL;
        bool done = false;
        if (!promises_look(call->server->promises, call->handle, &done, &response, &failure, NULL))
                answer_empty(call, 404);
        else if (!done)
                answer_empty(call, 204);
        else if (failure)
                answer_error(call, error_is(failure, ERROR_INVALID) ? 422 : 500, create_failed);
        else
                answer_value(call, 200, volume_response_to_value(&response));
}

static void drop_volume_async(const Call *call) {
        answer_empty(call, promises_drop(call->server->promises, call->handle, NULL) ? 204 : 404);
}

/* ---- looking ---- */

static Value *read_filter(const Call *call) {
        g_autoptr(Value) filter = value_map();
        for (size_t i = 0; i < http_query_count(call->request); i++) {
                const char *name = http_query_name_at(call->request, i);
                const char *value = http_query_value_at(call->request, i);
                const char *first = value_get_string(filter, name, NULL);
                if (first) {
                        g_autofree char *text = g_strdup_printf(
                                "a property may only have a single value: %s has many (%s, %s)",
                                name, first, value);
                        answer_error(call, 422, text);
                        return NULL;
                }
                value_map_set_string(filter, name, value);
        }
        return g_steal_pointer(&filter);
}

static void list_volumes(const Call *call) {
        g_autoptr(Value) filter = read_filter(call);
        if (!filter)
                return;
        g_autoptr(GPtrArray) volumes = volumes_list(call->volumes, filter);
        Value *list = value_list();
        for (guint i = 0; i < volumes->len; i++)
                value_list_add(list, volume_response_to_value(volumes->pdata[i]));
        answer_value(call, 200, list);
}

static void get_volume(const Call *call) {
        g_auto(VolumeResponse) response = { 0 };
        g_autoptr(GError) error = NULL;
        if (volumes_get(call->volumes, call->handle, &response, &error))
                answer_value(call, 200, volume_response_to_value(&response));
        else
                answer_failure(call, error, "failed to get volume");
}

static void get_privileged(const Call *call) {
        g_auto(VolumeResponse) response = { 0 };
        g_autoptr(GError) error = NULL;
        if (volumes_get(call->volumes, call->handle, &response, &error))
                answer_value(call, 200, value_bool(response.privileged));
        else
                answer_failure(call, error, "failed to get privileged status of volume");
}

/* ---- changing ---- */

static void set_privileged(const Call *call) {
        static const char text[] = "failed to change privileged status of volume";
        g_autoptr(GError) error = NULL;
        g_autoptr(Value) body = read_body(call, text);
        bool privileged;
        if (!body)
                return;
        if (!volume_privileged_from_value(body, &privileged, NULL))
                answer_error(call, 400, text);
        else if (volumes_set_privileged(call->volumes, call->handle, privileged, &error))
                answer_empty(call, 204);
        else
                answer_failure(call, error, text);
}

static void set_property(const Call *call) {
        static const char text[] = "failed to set property on volume";
        g_autoptr(GError) error = NULL;
        g_autoptr(Value) body = read_body(call, text);
        if (!body)
                return;
        const char *value = volume_property_from_value(body, NULL);
        if (!value)
                answer_error(call, 400, text);
        else if (volumes_set_property(call->volumes, call->handle, http_segment(call->request, 3),
                                      value, &error))
                answer_empty(call, 204);
        else
                answer_failure(call, error, text);
}

static void destroy_volume(const Call *call) {
        g_autoptr(GError) error = NULL;
        if (volumes_destroy(call->volumes, call->handle, &error))
                answer_empty(call, 204);
        else
                answer_failure(call, error, "failed to destroy volume");
}

static void destroy_volumes(const Call *call) {
        static const char text[] = "failed to destroy volume";
        g_autoptr(Value) handles = read_body(call, text);
        bool failed = false;
        if (!handles)
                return;
        for (size_t i = 0; i < value_length(handles); i++) {
                const char *handle = value_text(value_at(handles, i));
                if (!value_is(handles, VALUE_LIST) ||
                    !value_is(value_at(handles, i), VALUE_STRING)) {
                        answer_error(call, 400, text);
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
                answer_error(call, 500, text);
        else
                answer_empty(call, 204);
}

static void cleanup_orphans(const Call *call) {
        g_autoptr(GError) error = NULL;
        if (volumes_clean(call->volumes, &error))
                answer_empty(call, 204);
        else
                answer_error(call, 500, error->message);
}

/* ---- streams ---- */

static bool volume_exists(const Call *call, const char *text) {
        g_auto(VolumeResponse) response = { 0 };
        if (volumes_get(call->volumes, call->handle, &response, NULL))
                return true;
        answer_error(call, 404, text);
        return false;
}

/* false, and has answered 400. S2 is upstream's own format; a web node that asks for it must be
 * told another. */
static bool read_encoding(const Call *call, const char *name, VolumeEncoding *ret,
                          const char *text) {
        if (!volume_encoding_parse(name, ret, NULL)) {
                answer_error(call, 400, text);
                return false;
        }
        if (*ret == VOLUME_ENCODING_S2) {
                answer_error(call, 400,
                             "this worker does not speak s2: set "
                             "--streaming-artifacts-compression to zstd, gzip or raw");
                return false;
        }
        return true;
}

/* Megabytes to bytes; "" and 0 are no limit. */
static bool read_limit(const Call *call, uint64_t *ret) {
        const char *text = http_query(call->request, "limit");
        char *end;
        *ret = 0;
        if (!text || !*text)
                return true;
        double limit = g_ascii_strtod(text, &end);
        if (*end || !isfinite(limit) || limit < 0 || limit > (double) (1LL << 40)) {
                g_autofree char *message = g_strdup_printf("invalid limit %s", text);
                answer_error(call, 400, message);
                return false;
        }
        *ret = (uint64_t) (limit * MEGABYTE);
        if (limit > 0 && *ret == 0)
                *ret = 1;
        return true;
}

/* Every ".." goes, as upstream does it; the confined child would not follow one anyway. */
static char *clean_path(const char *path) {
        g_auto(GStrv) parts = g_strsplit(path ? path : "", "..", -1);
        return g_strjoinv("", parts);
}

static ssize_t read_request_body(void *ret, size_t length, void *data, GError **error) {
        const Call *call = data;
        return http_body_read(call->request, ret, length, error);
}

static void stream_in(const Call *call) {
        static const char text[] = "failed to stream in to volume";
        g_autoptr(GError) error = NULL;
        g_autofree char *path = clean_path(http_query(call->request, "path"));
        VolumesStream stream = { .handle = call->handle,
                                 .path = path,
                                 .cancel = http_request_cancel(call->request),
                                 .source = read_request_body,
                                 .data = (void *) call };

        if (!read_limit(call, &stream.limit) || !volume_exists(call, text) ||
            !read_encoding(call, http_header(call->request, "Content-Encoding"), &stream.encoding,
                           text))
                return;
        if (volumes_stream_in(call->volumes, &stream, &error)) {
                answer_empty(call, 204);
                return;
        }
        log_error("volumes", "stream-in-failed", error, "volume", call->handle);
        if (error_is(error, ERROR_LIMIT))
                answer_error(call, 403, error->message);
        else
                answer_error(call, error_is(error, ERROR_INVALID) ? 400 : 500, text);
}

/* The head goes out with the first bytes: until then the answer may still be an error. */
static bool write_response_body(const void *bytes, size_t length, void *data, GError **error) {
        const Call *call = data;
        if (http_answered(call->request) == 0)
                http_answer_begin(call->request, 200, "application/octet-stream");
        return http_answer_write(call->request, bytes, length, error);
}

static void stream_out(const Call *call) {
        static const char text[] = "failed to stream out from volume";
        g_autoptr(GError) error = NULL;
        const char *path = http_query(call->request, "path");
        VolumesStream stream = { .handle = call->handle,
                                 .path = path ? path : "",
                                 .cancel = http_request_cancel(call->request),
                                 .sink = write_response_body,
                                 .data = (void *) call };

        if (!volume_exists(call, text) ||
            !read_encoding(call, http_header(call->request, "Accept-Encoding"), &stream.encoding,
                           text))
                return;
        if (volumes_stream_out(call->volumes, &stream, &error)) {
                http_answer_end(call->request);
                return;
        }
        if (http_answered(call->request) != 0) {
                /* Upstream appends an error to the stream; a cut connection cannot be taken for a
                 * whole one by anybody. */
                log_error("volumes", "stream-out-failed", error, "volume", call->handle);
                http_answer_abort(call->request);
        } else if (error_is(error, ERROR_NOT_FOUND)) {
                answer_error(call, 404, error->message);
        } else {
                answer_failure(call, error, text);
        }
}

/* ---- from worker to worker ---- */

static void get_p2p_url(const Call *call) {
        g_autoptr(GError) error = NULL;
        g_autofree char *url = p2p_url(call->server->interface_pattern, call->server->family,
                                       http_server_port(call->server->http), &error);
        if (url)
                http_answer_text(call->request, 200, url);
        else
                answer_error(call, 500, error->message);
}

typedef struct {
        Volumes *volumes;
        P2pSpec spec;
        Mutex lock;
        Condition changed;
        bool done;
        GError *failure;
} Sending;

static void send_volume(void *data) {
        Sending *sending = data;
        g_autoptr(GError) failure = NULL;
        (void) p2p_send(sending->volumes, &sending->spec, &failure);
        MUTEX_SCOPE(&sending->lock);
        sending->done = true;
        sending->failure = g_steal_pointer(&failure);
        condition_signal(&sending->changed);
}

/* Returns true when it is over, false when it is time for a sign of life. */
static bool await_sent(Sending *sending) {
        Duration deadline = clock_monotonic() + ALIVE_INTERVAL;
        MUTEX_SCOPE(&sending->lock);
        while (!sending->done)
                if (!condition_wait_until(&sending->changed, &sending->lock, deadline))
                        return sending->done;
        return true;
}

static void stream_p2p_out(const Call *call) {
        static const char missing[] = "failed to stream p2p out from volume";
        const char *encoding = http_query(call->request, "encoding");
        Sending sending = { .volumes = call->volumes,
                            .spec = { .handle = call->handle,
                                      .path = http_query(call->request, "path"),
                                      .url = http_query(call->request, "streamInURL"),
                                      .cancel = http_request_cancel(call->request) } };

        if (!sending.spec.path || !*sending.spec.path || !sending.spec.url || !*sending.spec.url ||
            !encoding || !*encoding) {
                answer_error(call, 400, missing);
                return;
        }
        if (!read_encoding(call, encoding, &sending.spec.encoding, missing))
                return;
        http_answer_begin(call->request, 200, "plain/text");
        mutex_init(&sending.lock);
        condition_init(&sending.changed);
        Thread *thread = thread_start("volume-p2p", send_volume, &sending);
        while (!await_sent(&sending))
                (void) http_answer_write(call->request, "\n", 1, NULL);
        thread_join(thread);

        g_autofree char *text = sending.failure ? g_strdup_printf("%s: %s", missing,
                                                                  sending.failure->message)
                                                : g_strdup("ok");
        (void) http_answer_write(call->request, text, strlen(text), NULL);
        http_answer_end(call->request);
        g_clear_error(&sending.failure);
        condition_destroy(&sending.changed);
        mutex_destroy(&sending.lock);
}

/* ---- routes ---- */

/* ":" is a handle or name. The first that fits: "destroy" stands before the handles. */
static const struct {
        const char *method, *path;
        void (*serve)(const Call *call);
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
        { "PUT", "volumes/:/stream-in", stream_in },
        { "PUT", "volumes/:/stream-out", stream_out },
        { "PUT", "volumes/:/stream-p2p-out", stream_p2p_out },
        { "GET", "p2p-url", get_p2p_url },
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
        Call call = { server, server->volumes, request, http_segment(request, 1) };
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
