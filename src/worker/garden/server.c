#include "worker/garden/server.h"

#include "base/json.h"
#include "base/log.h"
#include "worker/garden/streams.h"

#include <stdlib.h>
#include <string.h>

/* Three connections a process, and as many processes as there may be containers, and then some. */
#define HANDLERS_MAX 2048
#define BODY_MAX ((size_t) 16 * 1024 * 1024)
#define SEGMENTS_MAX 8

struct GardenServer {
        Containers *containers;
        Streams *streams;
        Cancel *stopping;
        HttpServer *http;
};

typedef struct {
        GardenServer *server;
        HttpRequest *request;
        const char *handle, *process, *third; /* what the path's ":" stand for, in order */
} Call;

/* ---- answers ---- */

static void answer_empty(Call *call) {
        g_autoptr(Value) nothing = value_map();
        http_answer_json(call->request, 200, nothing);
}

static void answer_value(Call *call, Value *value) {
        http_answer_json(call->request, 200, value);
        value_free(value);
}

static void answer_error(Call *call, GardenErrorKind kind, const char *message) {
        GardenError error = { .kind = kind, .message = (char *) message };
        if (kind == GARDEN_CONTAINER_NOT_FOUND)
                error.handle = (char *) call->handle;
        if (kind == GARDEN_PROCESS_NOT_FOUND)
                error.process_id = (char *) call->process;
        g_autoptr(Value) value = garden_error_value(&error);
        http_answer_json(call->request, garden_error_status(kind), value);
}

static void answer_not_implemented(Call *call) {
        answer_error(call, GARDEN_OTHER, "not implemented");
}

/* Returns the container, or NULL and has answered. */
static Container *find_container(Call *call) {
        g_autoptr(GError) error = NULL;
        Container *container = containers_get(call->server->containers, call->handle, &error);
        if (!container)
                answer_error(call, GARDEN_CONTAINER_NOT_FOUND, error->message);
        return container;
}

/* Returns the body, or NULL and has answered. */
static Value *read_body(Call *call) {
        g_autoptr(GError) error = NULL;
        size_t length;
        g_autofree char *text = http_body(call->request, BODY_MAX, &length, &error);
        Value *value = text ? json_parse(text, length, NULL, &error) : NULL;
        if (!value)
                answer_error(call, GARDEN_OTHER, error->message);
        return value;
}

/* ---- containers ---- */

static void list_containers(Call *call) {
        g_autoptr(Value) filter = value_map();
        for (size_t i = 0; i < http_query_count(call->request); i++) {
                const char *name = http_query_name_at(call->request, i);
                const char *value = http_query_value_at(call->request, i);
                if (!*name || !*value) {
                        answer_error(call, GARDEN_OTHER, "key or value must not be empty");
                        return;
                }
                if (!value_has(filter, name))
                        value_map_set_string(filter, name, value);
        }
        g_autoptr(GPtrArray) handles = containers_list(call->server->containers, filter);
        answer_value(call, garden_handles_value(handles));
}

static void create_container(Call *call) {
        g_autoptr(Value) body = read_body(call);
        g_auto(GardenContainerSpec) spec = { 0 };
        g_autoptr(GError) error = NULL;
        g_autofree char *handle = NULL;
        if (!body)
                return;
        if (!garden_container_spec_parse(body, &spec, &error) ||
            !containers_create(call->server->containers, &spec, http_request_cancel(call->request),
                               &handle, &error)) {
                if (error_is(error, ERROR_LIMIT)) /* no failure: it will be asked for again */
                        log_info("garden", "create-refused", "handle", spec.handle, "reason",
                                 error->message);
                else
                        log_error("garden", "create-failed", error, "handle", spec.handle);
                answer_error(call, GARDEN_OTHER, error->message);
                return;
        }
        answer_value(call, garden_handle_value(handle));
}

static void destroy_container(Call *call) {
        g_autoptr(GError) error = NULL;
        if (containers_destroy(call->server->containers, call->handle, &error)) {
                answer_empty(call);
                return;
        }
        bool unknown = error_is(error, ERROR_NOT_FOUND);
        if (!unknown)
                log_error("garden", "destroy-failed", error, "handle", call->handle);
        answer_error(call, unknown ? GARDEN_CONTAINER_NOT_FOUND : GARDEN_OTHER, error->message);
}

static void stop_container(Call *call) {
        g_autoptr(Container) container = find_container(call);
        g_autoptr(Value) body = container ? read_body(call) : NULL;
        g_autoptr(GError) error = NULL;
        if (!body)
                return;
        if (container_stop(container, value_get_bool(body, "kill", false),
                           http_request_cancel(call->request), &error))
                answer_empty(call);
        else
                answer_error(call, GARDEN_OTHER, error->message);
}

static void get_limit(Call *call, const char *key, uint64_t number) {
        Value *value = value_map();
        if (key)
                value_map_set_int_opt(value, key, (int64_t) number);
        answer_value(call, value);
}

static void get_no_limit(Call *call) {
        g_autoptr(Container) container = find_container(call);
        if (container)
                get_limit(call, NULL, 0);
}

static void get_cpu_limit(Call *call) {
        g_autoptr(Container) container = find_container(call);
        if (container)
                get_limit(call, "weight", container_cpu_shares(container));
}

static void get_memory_limit(Call *call) {
        g_autoptr(Container) container = find_container(call);
        if (container)
                get_limit(call, "limit_in_bytes", container_memory_bytes(container));
}

/* ---- properties ---- */

static void get_properties(Call *call) {
        g_autoptr(Container) container = find_container(call);
        if (!container)
                return;
        g_autoptr(Value) properties = container_properties(container);
        answer_value(call, value_sorted(properties));
}

static void get_property(Call *call) {
        g_autoptr(Container) container = find_container(call);
        if (!container)
                return;
        g_autoptr(Value) properties = container_properties(container);
        const char *text = value_get_string(properties, call->process, NULL);
        if (!text) {
                g_autofree char *message = g_strconcat("not found: ", call->process, NULL);
                answer_error(call, GARDEN_OTHER, message);
                return;
        }
        Value *value = value_map();
        value_map_set_string(value, "value", text);
        answer_value(call, value);
}

static void set_property(Call *call) {
        g_autoptr(Container) container = find_container(call);
        g_autoptr(Value) body = container ? read_body(call) : NULL;
        g_autoptr(GError) error = NULL;
        if (!body)
                return;
        const char *value = value_get_string(body, "value", "");
        if (container_set_property(container, call->process, value, &error))
                answer_empty(call);
        else
                answer_error(call, GARDEN_OTHER, error->message);
}

/* A JSON number of nanoseconds; kept as a property. Nothing is reaped by it: Concourse never asks
 * for that. */
static void set_grace_time(Call *call) {
        g_autoptr(Container) container = find_container(call);
        g_autoptr(Value) body = container ? read_body(call) : NULL;
        g_autoptr(GError) error = NULL;
        int64_t nanoseconds;
        if (!body)
                return;
        if (!value_as_int(body, &nanoseconds))
                answer_error(call, GARDEN_OTHER, "json: cannot unmarshal grace time");
        else if (container_set_property(container, "garden.grace-time", LOG_INT(nanoseconds),
                                        &error))
                answer_empty(call);
        else
                answer_error(call, GARDEN_OTHER, error->message);
}

/* ---- processes ---- */

static void run_process(Call *call) {
        g_autoptr(Container) container = find_container(call);
        g_autoptr(Value) body = container ? read_body(call) : NULL;
        g_auto(GardenProcessSpec) spec = { 0 };
        g_autoptr(GError) error = NULL;
        g_autoptr(Process) process = NULL;
        if (!body)
                return;
        if (garden_process_spec_parse(body, &spec, &error)) {
                if (!spec.path)
                        spec.path = g_strdup("");
                process = container_run(container, &spec, http_request_cancel(call->request),
                                        &error);
        }
        if (process)
                streams_serve(call->server->streams, call->request, 201, process);
        else
                answer_error(call, GARDEN_OTHER, error->message);
}

static void attach_process(Call *call) {
        g_autoptr(Container) container = find_container(call);
        g_autoptr(GError) error = NULL;
        if (!container)
                return;
        g_autoptr(Process) process = container_process(container, call->process, &error);
        if (process)
                streams_serve(call->server->streams, call->request, 200, process);
        else
                answer_error(call, GARDEN_PROCESS_NOT_FOUND, error->message);
}

static void serve_output(Call *call, unsigned stream) {
        const char *text = http_query(call->request, "from");
        int64_t from = text && *text ? strtoll(text, NULL, 10) : -1;
        streams_serve_output(call->server->streams, call->request, call->third, stream, from);
}

static void serve_stdout(Call *call) {
        serve_output(call, SHIM_STDOUT);
}

static void serve_stderr(Call *call) {
        serve_output(call, SHIM_STDERR);
}

/* ---- routes ---- */

typedef struct {
        const char *method, *path;
        void (*handle)(Call *call);
} Route;

static const Route routes[] = {
        { "GET", "ping", answer_empty },
        { "GET", "capacity", answer_not_implemented },
        { "GET", "containers", list_containers },
        { "POST", "containers", create_container },
        { "GET", "containers/bulk_info", answer_not_implemented },
        { "GET", "containers/bulk_metrics", answer_not_implemented },
        { "DELETE", "containers/:", destroy_container },
        { "PUT", "containers/:/stop", stop_container },
        { "GET", "containers/:/info", answer_not_implemented },
        { "GET", "containers/:/metrics", answer_not_implemented },
        { "PUT", "containers/:/files", answer_not_implemented },
        { "GET", "containers/:/files", answer_not_implemented },
        { "GET", "containers/:/limits/bandwidth", get_no_limit },
        { "GET", "containers/:/limits/cpu", get_cpu_limit },
        { "GET", "containers/:/limits/disk", get_no_limit },
        { "GET", "containers/:/limits/memory", get_memory_limit },
        { "POST", "containers/:/net/in", answer_not_implemented },
        { "POST", "containers/:/net/out", answer_not_implemented },
        { "POST", "containers/:/net/out/bulk", answer_not_implemented },
        { "PUT", "containers/:/grace_time", set_grace_time },
        { "GET", "containers/:/properties", get_properties },
        { "GET", "containers/:/properties/:", get_property },
        { "PUT", "containers/:/properties/:", set_property },
        { "DELETE", "containers/:/properties/:", answer_not_implemented },
        { "POST", "containers/:/processes", run_process },
        { "GET", "containers/:/processes/:", attach_process },
        { "GET", "containers/:/processes/:/attaches/:/stdout", serve_stdout },
        { "GET", "containers/:/processes/:/attaches/:/stderr", serve_stderr },
};

/* Whether the path is the route's; fills what its ":" stand for. */
static bool route_matches(const Route *route, Call *call) {
        const char *found[3] = { 0 };
        const char *cursor = route->path;
        size_t count = 0, segments = http_segments(call->request), index = 0;
        for (; *cursor; index++) {
                size_t length = strcspn(cursor, "/");
                const char *segment = index < segments ? http_segment(call->request, index) : NULL;
                if (!segment)
                        return false;
                if (*cursor == ':')
                        found[count++] = segment;
                else if (strlen(segment) != length || memcmp(segment, cursor, length) != 0)
                        return false;
                cursor += length + (cursor[length] == '/');
        }
        if (index != segments)
                return false;
        call->handle = found[0];
        call->process = found[1];
        call->third = found[2];
        return true;
}

static void serve(HttpRequest *request, void *data) {
        if (http_header(request, GARDEN_EXTENSIONS_HEADER))
                http_header_set(request, GARDEN_EXTENSIONS_HEADER, GARDEN_EXTENSIONS);
        Call call = { .server = data, .request = request };
        g_autoptr(GString) allowed = g_string_new(NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(routes); i++) {
                if (!route_matches(&routes[i], &call))
                        continue;
                if (g_str_equal(routes[i].method, http_method(request))) {
                        routes[i].handle(&call);
                        return;
                }
                g_string_append_printf(allowed, "%s%s", allowed->len > 0 ? ", " : "",
                                       routes[i].method);
        }
        if (allowed->len > 0) {
                http_header_set(request, "Allow", allowed->str);
                http_answer_text(request, 405, "Method Not Allowed\n");
        } else
                http_answer_text(request, 404, "404 page not found\n");
}

/* ---- the server ---- */

GardenServer *garden_server_start(const GardenServerSpec *spec, GError **error) {
        GardenServer *server = g_new0(GardenServer, 1);
        server->containers = spec->containers;
        server->stopping = cancel_new(NULL);
        server->streams = streams_new(server->stopping);
        HttpServerSpec http = { .address = spec->unix_path ? NULL : spec->address,
                                .port = spec->port,
                                .unix_path = spec->unix_path,
                                .unix_mode = 0600,
                                .handler = serve,
                                .data = server,
                                .body_max = BODY_MAX,
                                .threads_max = HANDLERS_MAX,
                                .name = "garden" };
        server->http = http_server_start(&http, error);
        if (server->http)
                return server;
        garden_server_stop(server, 0);
        return NULL;
}

uint16_t garden_server_port(const GardenServer *server) {
        return http_server_port(server->http);
}

void garden_server_stop(GardenServer *server, Duration grace) {
        if (!server)
                return;
        cancel_fire(server->stopping, CANCEL_SHUTDOWN);
        if (server->http)
                http_server_stop(server->http, grace);
        streams_free(server->streams);
        cancel_free(server->stopping);
        g_free(server);
}
