/* A build's events as they happen (reference 01 §9). */
#include "api/handlers.h"

#include "base/log.h"
#include "http/sse.h"

/* Read and sent at once. */
#define BATCH ((size_t) 64 * 1024)

/* One watcher; its thread owns it. */
typedef struct {
        Api *api;
        BuildLogReader *reader;
        HttpStream *stream;
        int64_t next; /* id of the next frame */
} Watcher;

static void watcher_free(Watcher *watcher) {
        Api *api = watcher->api;

        build_log_reader_free(watcher->reader);
        http_stream_free(watcher->stream);
        g_free(watcher);

        MUTEX_SCOPE(&api->counts.mutex); /* api may be gone after this */
        api->counts.watchers--;
        condition_broadcast(&api->counts.watcher_ended);
}

static void append_frame(GString *text, int64_t id, const char *event, const void *data,
                         size_t length) {
        char number[24];

        g_snprintf(number, sizeof number, "%" G_GINT64_FORMAT, id);
        sse_append(text, number, event, data, length);
}

/* *ret_none: there was nothing to read. */
static bool send_batch(Watcher *watcher, bool *ret_none, GError **error) {
        int64_t first;
        g_autoptr(GPtrArray) events = build_log_read(watcher->reader, BATCH, &first, error);
        g_autoptr(GString) text = g_string_new(NULL);

        if (!events)
                return false;
        *ret_none = events->len == 0;
        for (size_t i = 0; i < events->len; i++) {
                size_t length;
                const void *data = g_bytes_get_data(g_ptr_array_index(events, i), &length);
                append_frame(text, watcher->next++, "event", data, length);
        }
        return text->len == 0 || http_stream_write(watcher->stream, text->str, text->len,
                                                   http_stream_cancel(watcher->stream), error);
}

static bool follow(Watcher *watcher, GError **error) {
        Cancel *cancel = http_stream_cancel(watcher->stream);

        for (;;) {
                BuildLogWait what;
                bool none;
                if (!send_batch(watcher, &none, error))
                        return false;
                if (!none)
                        continue;
                if (!build_log_wait(watcher->reader, cancel, &what, error))
                        return false;
                if (what == BUILD_LOG_ENDED)
                        return true;
        }
}

static void run_watcher(void *data) {
        Watcher *watcher = data;
        g_autoptr(GError) error = NULL;

        if (follow(watcher, &error)) {
                g_autoptr(GString) text = g_string_new(NULL);
                append_frame(text, watcher->next, "end", NULL, 0);
                http_stream_push(watcher->stream, text->str, text->len);
                /* The client closes (reference 01 §9). */
                cancel_sleep(http_stream_cancel(watcher->stream), DURATION_NEVER, NULL);
        } else if (!error_is(error, ERROR_CANCELLED) && !error_is(error, ERROR_UNAVAILABLE))
                log_error("api.events", "watch-failed", error);
        http_stream_end(watcher->stream);
        watcher_free(watcher);
}

/* The event after the last that the client has seen. False: it names none. */
static bool read_from(const char *last, int64_t *ret) {
        guint64 number;

        *ret = 0;
        if (!last || !*last)
                return true;
        if (!g_ascii_string_to_unsigned(last, 10, 0, INT64_MAX - 1, &number, NULL))
                return false;
        *ret = (int64_t) number + 1;
        return true;
}

void build_events(ApiCall *call) {
        g_autoptr(GError) error = NULL;
        int64_t from;

        if (!read_from(http_header(call->request, "Last-Event-ID"), &from)) {
                call_empty(call, 400);
                return;
        }
        BuildLogReader *reader = build_log_reader_new(call->store, call->build->id, from, &error);
        if (!reader) {
                call_failed(call, error);
                return;
        }
        http_header_set(call->request, "Cache-Control", "no-cache, no-store, must-revalidate");
        http_header_set(call->request, "X-Accel-Buffering", "no");
        http_header_set(call->request, "X-ATC-Stream-Version", "2.0");
        Watcher *watcher = g_new0(Watcher, 1);
        watcher->api = call->api;
        watcher->reader = reader;
        watcher->next = from;
        watcher->stream = http_stream_begin(call->request, 200, "text/event-stream; charset=utf-8");
        mutex_lock(&call->api->counts.mutex);
        call->api->counts.watchers++;
        mutex_unlock(&call->api->counts.mutex);
        thread_detached("watch", run_watcher, watcher);
}
