/* Answers that outlive their handler: any thread pushes, the loop sends. */
#include "http/server/internal.h"

#include <string.h>

#define SLICE ((size_t) 64 * 1024)

struct HttpStream {
        int references;         /* atomic */
        Connection *connection; /* a reference */
        Framing framing;
        bool ended;     /* under the connection's mutex: the exchange is no longer this stream's */
        Cancel *cancel; /* the exchange's */
};

HttpStream *http_stream_begin(HttpRequest *request, int status, const char *content_type) {
        Connection *connection = request->connection;
        g_autoptr(GString) head = answer_head(request, status, content_type, -1);
        HttpStream *stream = g_new0(HttpStream, 1);
        stream->references = 1;
        stream->connection = connection_ref(connection);
        stream->framing = request->framing;
        stream->cancel = cancel_ref(exchange_cancel(connection));
        request->taken = true;
        mutex_lock(&connection->mutex);
        connection_append(connection, head->str, head->len, false);
        bool gone = connection->gone;
        if (!connection->closed) {
                connection->exchange.is_stream = true;
                atomic_add(&connection->server->streams, 1);
        }
        connection->exchange.abort |= gone; /* half closed is closed, for a stream */
        mutex_unlock(&connection->mutex);
        connection_schedule(connection);
        return stream;
}

HttpStream *http_stream_ref(HttpStream *stream) {
        atomic_add(&stream->references, 1);
        return stream;
}

/* Under the mutex. */
static void leave(HttpStream *stream) {
        Connection *connection = stream->connection;
        stream->ended = true;
        if (connection->exchange.is_stream)
                atomic_sub(&connection->server->streams, 1);
        connection->exchange.is_stream = false;
        connection->exchange.answer_done = true;
}

static void drop(HttpStream *stream) {
        Connection *connection = stream->connection;
        mutex_lock(&connection->mutex);
        bool ended = stream->ended;
        if (!ended) {
                connection->exchange.abort = true;
                leave(stream);
        }
        mutex_unlock(&connection->mutex);
        if (!ended)
                connection_schedule(connection);
}

void http_stream_free(HttpStream *stream) {
        if (!stream || atomic_sub(&stream->references, 1) > 0)
                return;
        drop(stream);
        cancel_free(stream->cancel);
        connection_free(stream->connection);
        g_free(stream);
}

/* Under the mutex: whether bytes can still reach the client. */
static bool is_open(const HttpStream *stream) {
        return !stream->ended && !stream->connection->closed;
}

/* Queues bytes; beyond the ceiling the client is dropped, unless the caller has waited for room. */
static bool push(HttpStream *stream, const void *data, size_t length, bool waited) {
        Connection *connection = stream->connection;
        mutex_lock(&connection->mutex);
        bool open = is_open(stream);
        bool full = open && !waited && connection->queued > 0 &&
                    connection->queued + length > connection_ceiling(connection);
        if (open && !full && stream->framing != FRAME_NONE)
                connection_append(connection, data, length, stream->framing == FRAME_CHUNKED);
        mutex_unlock(&connection->mutex);
        if (full)
                drop(stream);
        else if (open)
                connection_schedule(connection);
        return open && !full;
}

bool http_stream_push(HttpStream *stream, const void *data, size_t length) {
        return length == 0 || push(stream, data, length, false);
}

static void wake_writers(void *data) {
        Connection *connection = data;
        mutex_lock(&connection->mutex);
        condition_broadcast(&connection->changed);
        mutex_unlock(&connection->mutex);
}

bool http_stream_write(HttpStream *stream, const void *data, size_t length, Cancel *cancel,
                       GError **error) {
        Connection *connection = stream->connection;
        const char *bytes = data;
        bool ok = true;
        uint64_t watch = cancel ? cancel_watch(cancel, wake_writers, connection) : 0;
        while (ok && length > 0) {
                size_t slice = MIN(length, SLICE);
                ok = connection_wait_room(connection, cancel, error);
                if (ok && !push(stream, bytes, slice, true)) {
                        g_set_error_literal(error, ERROR, ERROR_UNAVAILABLE, "client is gone");
                        ok = false;
                }
                bytes += slice;
                length -= slice;
        }
        if (cancel)
                cancel_unwatch(cancel, watch);
        return ok;
}

size_t http_stream_queued(HttpStream *stream) {
        MUTEX_SCOPE(&stream->connection->mutex);
        return is_open(stream) ? stream->connection->queued : 0;
}

void http_stream_end(HttpStream *stream) {
        Connection *connection = stream->connection;
        mutex_lock(&connection->mutex);
        bool open = !stream->ended;
        if (open) {
                if (stream->framing == FRAME_CHUNKED)
                        connection_append(connection, "0\r\n\r\n", 5, false);
                leave(stream);
        }
        mutex_unlock(&connection->mutex);
        if (open)
                connection_schedule(connection);
}

Cancel *http_stream_cancel(HttpStream *stream) {
        return stream->cancel;
}
