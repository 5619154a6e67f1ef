#include "fly/stream.h"

#include "fly/render.h"
#include "http/sse.h"

#include <string.h>

#define MESSAGE_MAX ((size_t) 64 * 1024 * 1024)
#define RETRY_PAUSE DURATION_SECOND

typedef struct {
        Render render;
        SseReader *reader;
        bool ignore_unknown;
        bool ended; /* nothing more is wanted */
        int status; /* of the answer */
        char *last_id;
} Stream;

static bool on_message(const SseMessage *message, void *data, GError **error) {
        Stream *stream = data;
        g_autoptr(GError) cause = NULL;

        if (stream->ended)
                return true;
        if (message->id)
                target_set(&stream->last_id, message->id);
        if (g_strcmp0(message->event, "end") == 0)
                return stream->ended = true;
        if (g_strcmp0(message->event, "event") != 0) {
                g_autofree char *text = g_strdup_printf("unknown event type: %s",
                                                        message->event ? message->event : "");
                render_parse_failure(&stream->render, text);
                return stream->ended = true;
        }
        g_autoptr(Event) event = event_parse(message->data, message->length, NULL, &cause);
        if (!event || !render_event(&stream->render, event, &cause)) {
                if (!event || !stream->ignore_unknown)
                        render_parse_failure(&stream->render, cause->message);
        }
        stream->ended = stream->render.finished;
        return true;
}

static bool on_head(const HttpReply *reply, void *data, GError **error) {
        Stream *stream = data;

        stream->status = reply->status;
        return true;
}

static bool on_bytes(const void *bytes, size_t length, void *data, GError **error) {
        Stream *stream = data;

        if (stream->status != 200)
                return true;
        if (!sse_reader_feed(stream->reader, bytes, length, error))
                return false;
        fflush(stdout);
        if (!stream->ended)
                return true;
        g_set_error_literal(error, ERROR, ERROR_CANCELLED, "the stream has ended");
        return false;
}

static bool is_worth_retrying(int status) {
        return status == 0 || status == 500 || status == 502 || status == 503 || status == 504;
}

/* One connection. *ret_again: the server or the way to it is in trouble. */
static bool follow(Fly *fly, Stream *stream, const char *path, bool *ret_again, GError **error) {
        g_autofree char *resume = stream->last_id
                                          ? g_strconcat("Last-Event-ID: ", stream->last_id, NULL)
                                          : NULL;
        g_autoptr(GError) cause = NULL;
        const ApiCall call = { .path = path,
                               .header = resume,
                               .raw = true,
                               .head = on_head,
                               .sink = on_bytes,
                               .data = stream };

        stream->status = 0;
        g_clear_pointer(&stream->reader, sse_reader_free);
        stream->reader = sse_reader_new(MESSAGE_MAX, on_message, stream);
        bool whole = api_call(fly, &call, NULL, &cause);
        *ret_again = !stream->ended && (!whole || is_worth_retrying(stream->status));
        if (stream->ended || *ret_again || stream->status == 200)
                return true;
        if (stream->status == 401)
                g_set_error_literal(error, FLY_ERROR, FLY_UNAUTHORIZED, "not authorized");
        else if (stream->status == 403)
                return fly_fail(error, "forbidden");
        else {
                g_autofree char *line = http_status_line(stream->status);
                return fly_fail(error, "bad response from event source: %s", line);
        }
        return false;
}

bool stream_build(Fly *fly, const StreamSpec *spec, GError **error) {
        Stream stream = { .render = { .fly = fly, .out = stdout, .timestamps = spec->timestamps },
                          .ignore_unknown = spec->ignore_unknown };
        g_autofree char *path = spec->build_text
                                        ? g_strdup_printf("/api/v1/builds/%s/events",
                                                          spec->build_text)
                                        : g_strdup_printf("/api/v1/builds/%" G_GINT64_FORMAT
                                                          "/events",
                                                          spec->build);
        bool again = false, good;

        while ((good = follow(fly, &stream, path, &again, error)) && again)
                cancel_sleep(NULL, RETRY_PAUSE, NULL);
        sse_reader_free(stream.reader);
        g_free(stream.last_id);
        fflush(stdout);
        fly->status = stream.render.exit_status;
        return good;
}
