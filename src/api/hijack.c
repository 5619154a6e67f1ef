/*
 * A terminal in a container, over a WebSocket (reference 01 §17.4). The handler's thread reads what the client sends; a
 * thread beside it runs the session and writes what the process says.
 */
#include "api/handlers.h"

#include "base/duration.h"
#include "base/log.h"
#include "wire/hijack.h"

#include <string.h>

#define SESSIONS_MAX 128 /* half of the server's handlers: each takes one */
#define SPEC_PATIENCE DURATION_MINUTE
#define TOUCH_INTERVAL DURATION_MINUTE /* of the container's last_hijack */
#define DRAIN_PATIENCE (5 * DURATION_SECOND)
#define LAST_PATIENCE (2 * DURATION_SECOND)
#define CLOSE_UNSUPPORTED 1003

typedef struct {
        ApiCall *call;
        const Container *container;
        WebSocket *socket;
        PoolSession *session;
        Cancel *stop; /* fired by the reader: nobody is there any more */
        Cancel *over; /* fired by the session's thread, or on shutdown: nothing is left to read for */
} Hijack;

/* ---- what the client is told ---- */

static bool say(WebSocket *socket, const HijackOutput *output, GError **error) {
        g_autoptr(GString) text = g_string_new(NULL);

        hijack_output_append(text, output);
        return websocket_write(socket, WEBSOCKET_TEXT, text->str, text->len, error);
}

static void say_failure(WebSocket *socket, const char *message) {
        say(socket, &(HijackOutput){ .kind = HIJACK_FAILED, .error = (char *) message }, NULL);
}

static bool say_bytes(Hijack *hijack, HijackOutputKind kind, const void *bytes, size_t length,
                      GError **error) {
        g_autoptr(GBytes) data = g_bytes_new_static(bytes, length);

        return say(hijack->socket, &(HijackOutput){ .kind = kind, .data = data }, error);
}

static bool take_output(const void *bytes, size_t length, int64_t offset, void *data,
                        GError **error) {
        return say_bytes(data, HIJACK_STDOUT, bytes, length, error);
}

static bool take_error(const void *bytes, size_t length, int64_t offset, void *data,
                       GError **error) {
        return say_bytes(data, HIJACK_STDERR, bytes, length, error);
}

/* ---- the session, on its own thread ---- */

static void run_session(void *data) {
        Hijack *hijack = data;
        g_autoptr(GError) error = NULL;
        int status;

        if (pool_session_run(hijack->session, &status, &error))
                say(hijack->socket, &(HijackOutput){ .kind = HIJACK_EXITED, .status = status },
                    NULL);
        else if (cancel_reason(hijack->stop) == CANCEL_NONE)
                say_failure(hijack->socket, error->message);
        cancel_fire(hijack->over, CANCEL_ABORT);
}

/* ---- what the client says ---- */

static bool obey(Hijack *hijack, const char *text, size_t length) {
        g_auto(HijackInput) input = { 0 };
        gsize size = 0;

        if (!hijack_input_parse(text, length, &input, NULL))
                return false; /* upstream stops listening; who sends such things is no fly */
        if (input.kind == HIJACK_INPUT_ENDED)
                pool_session_input_end(hijack->session);
        else if (input.kind == HIJACK_RESIZED)
                pool_session_resize(hijack->session, input.window);
        else if (input.data) {
                const void *bytes = g_bytes_get_data(input.data, &size);
                return pool_session_input(hijack->session, bytes, size, hijack->over, NULL);
        }
        return true;
}

/* false: the client closed, or broke the protocol. */
static bool read_message(Hijack *hijack, Cancel *cancel, GError **error) {
        WebSocketKind kind;
        g_autofree char *text = NULL;
        size_t length;

        if (!websocket_read(hijack->socket, &kind, &text, &length, cancel, error))
                return false;
        if (kind != WEBSOCKET_CLOSE && obey(hijack, text, length))
                return true;
        g_set_error(error, ERROR, ERROR_UNAVAILABLE, "client is gone");
        return false;
}

static void touch(Hijack *hijack) {
        g_autoptr(GError) error = NULL;

        if (!container_touch_hijack(hijack->call->store, hijack->container->id, clock_now(),
                                    &error))
                log_error("hijack", "touch-failed", error, "handle", hijack->container->handle);
}

typedef enum { GOES_ON, CLIENT_GONE, SESSION_OVER, IDLE, SHUTDOWN } Ending;

/* Listens until something ends it, or there is something to do. */
static Ending listen_until(Hijack *hijack, Duration until, Duration *heard) {
        Duration left = MAX(until - clock_monotonic(), 1);
        g_autoptr(Cancel) turn = cancel_new_deadline(hijack->over, left);

        while (read_message(hijack, turn, NULL))
                *heard = clock_monotonic();
        switch (cancel_reason(turn)) {
        case CANCEL_NONE:
                return CLIENT_GONE;
        case CANCEL_DEADLINE:
                return GOES_ON;
        case CANCEL_SHUTDOWN:
                return SHUTDOWN;
        default:
                return SESSION_OVER;
        }
}

static Ending listen_to(Hijack *hijack) {
        Duration timeout = hijack->call->api->spec.intercept_idle_timeout;
        Duration heard = clock_monotonic(), touched = heard;

        for (;;) {
                Duration next = touched + TOUCH_INTERVAL;
                Duration until = timeout > 0 ? MIN(next, heard + timeout) : next;
                Ending ending = listen_until(hijack, until, &heard);
                Duration now = clock_monotonic();
                if (ending != GOES_ON)
                        return ending;
                if (timeout > 0 && now >= heard + timeout)
                        return IDLE;
                if (now < next)
                        continue;
                touch(hijack);
                touched = now;
        }
}

static void stop_waiting(void *data) {
        Hijack *hijack = data;

        cancel_fire(hijack->stop, CANCEL_ABORT);
}

/* A client that does not read may hold up the session's thread in a write: not for longer than this. */
static void say_last(Hijack *hijack, const char *message) {
        g_autoptr(Cancel) limit = cancel_new_deadline(NULL, LAST_PATIENCE);
        uint64_t watch = cancel_watch(limit, stop_waiting, hijack);

        say_failure(hijack->socket, message);
        cancel_unwatch(limit, watch);
        websocket_drain(hijack->socket, LAST_PATIENCE);
}

static void end_session(Hijack *hijack, Ending ending) {
        g_autofree char *timeout = duration_format(hijack->call->api->spec.intercept_idle_timeout);
        g_autofree char *idle = g_strdup_printf("idle timeout (%s) reached", timeout);

        if (ending == SESSION_OVER)
                return;
        if (ending == IDLE)
                say_last(hijack, idle);
        else if (ending == SHUTDOWN)
                say_last(hijack, "the server is shutting down");
        cancel_fire(hijack->stop, ending == SHUTDOWN ? CANCEL_SHUTDOWN : CANCEL_ABORT);
}

/* ---- the whole life ---- */

static bool read_spec(ApiCall *call, WebSocket *socket, GardenProcessSpec *ret) {
        g_autoptr(Cancel) limit = cancel_new_deadline(call_cancel(call), SPEC_PATIENCE);
        WebSocketKind kind;
        g_autofree char *text = NULL;
        size_t length;

        if (!websocket_read(socket, &kind, &text, &length, limit, NULL) || kind == WEBSOCKET_CLOSE)
                return false;
        g_autoptr(Value) value = json_parse(text, length, NULL, NULL);
        if (value && garden_process_spec_parse(value, ret, NULL))
                return true;
        websocket_close(socket, CLOSE_UNSUPPORTED, "malformed process spec");
        websocket_drain(socket, DRAIN_PATIENCE);
        return false;
}

static void say_not_started(WebSocket *socket, const char *message) {
        if (hijack_error_is_no_executable(message))
                say(socket, &(HijackOutput){ .kind = HIJACK_NO_EXECUTABLE }, NULL);
        say_failure(socket, message);
}

static void serve(Hijack *hijack, PoolContainer *place, const GardenProcessSpec *spec) {
        const SessionNeed need = { .spec = spec,
                                   .output = take_output,
                                   .error = take_error,
                                   .data = hijack,
                                   .client = websocket_fd(hijack->socket) };
        g_autoptr(GError) error = NULL;

        touch(hijack);
        hijack->session = pool_session_start(place, &need, hijack->stop, &error);
        if (!hijack->session) {
                log_info("hijack", "not-started", "handle", hijack->container->handle, "error",
                         error->message);
                say_not_started(hijack->socket, error->message);
                websocket_drain(hijack->socket, DRAIN_PATIENCE);
                return;
        }
        const char *who = access_display_name(hijack->call->access);
        log_info("hijack", "hijacked", "handle", hijack->container->handle, "user", who ? who : "");
        Thread *thread = thread_start("hijack", run_session, hijack);
        Ending ending = listen_to(hijack);
        end_session(hijack, ending);
        thread_join(thread);
        touch(hijack);
        pool_session_free(hijack->session);
        if (ending == SESSION_OVER)
                websocket_drain(hijack->socket, DRAIN_PATIENCE);
}

static void hijack_in(ApiCall *call, const Container *container, PoolContainer *place) {
        g_autoptr(GError) error = NULL;
        g_autoptr(WebSocket) socket = websocket_accept(call->request, NULL, &error);
        g_auto(GardenProcessSpec) spec = { 0 };

        if (!socket || !read_spec(call, socket, &spec))
                return;
        g_autoptr(Cancel) stop = cancel_new(NULL), over = cancel_new(call_cancel(call));
        Hijack hijack = { call, container, socket, NULL, stop, over };
        websocket_wait_for_client(socket, stop);
        serve(&hijack, place, &spec);
}

/* A page of another site must not open a terminal with the cookie of who looks at it (correction 25). */
static bool is_own_origin(const ApiCall *call) {
        const char *origin = http_header(call->request, "origin");
        const char *scheme_end = origin ? strstr(origin, "://") : NULL;
        const char *host = http_header(call->request, "host");
        const char *external = strstr(call->api->spec.external_url, "://");

        if (!origin)
                return true;
        if (!scheme_end)
                return false;
        size_t length = external ? strcspn(external + 3, "/") : 0;
        return (host && g_ascii_strcasecmp(scheme_end + 3, host) == 0) ||
               (strlen(scheme_end + 3) == length && length > 0 &&
                g_ascii_strncasecmp(scheme_end + 3, external + 3, length) == 0);
}

/* Returns new: where the session is to be; NULL: it has answered. */
static PoolContainer *find_place(ApiCall *call, Container **ret_container) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Container) container = container_get(call->store, call_param(call, "id"), &error);
        g_autoptr(PoolContainer) place = NULL;
        bool ours = false;

        if (!container ||
            !container_in_team(call->store, container, call->team->id, &ours, &error)) {
                call_failed(call, error);
                return NULL;
        }
        if (!ours) {
                call_empty(call, 404);
                return NULL;
        }
        if (g_strcmp0(container->type, "check") == 0 && !access_is_admin(call->access)) {
                call_empty(call, 403); /* other teams' checks may run in it */
                return NULL;
        }
        place = pool_container_find(call->api->spec.pool, container->handle, call_cancel(call),
                                    &error);
        if (!place) {
                call_failed(call, error);
                return NULL;
        }
        *ret_container = g_steal_pointer(&container);
        return g_steal_pointer(&place);
}

static bool take_seat(Api *api) {
        MUTEX_SCOPE(&api->counts.mutex);
        if (api->counts.hijacks >= SESSIONS_MAX)
                return false;
        api->counts.hijacks++;
        return true;
}

static void give_seat(Api *api) {
        MUTEX_SCOPE(&api->counts.mutex);
        api->counts.hijacks--;
}

void hijack_container(ApiCall *call) {
        g_autoptr(Container) container = NULL;

        if (!call_team(call))
                return;
        if (!is_own_origin(call)) {
                call_text(call, 403, "Forbidden\n");
                return;
        }
        g_autoptr(PoolContainer) place = find_place(call, &container);
        if (!place)
                return;
        if (!take_seat(call->api)) {
                call_text(call, 503, "too many sessions\n");
                return;
        }
        hijack_in(call, container, place);
        give_seat(call->api);
}
