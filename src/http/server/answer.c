/* Answers a handler gives itself: whole, or piece by piece. */
#include "base/json.h"
#include "http/date.h"
#include "http/server/internal.h"
#include "http/token.h"

#include <inttypes.h>
#include <string.h>
#include <zlib.h>

#define GZIP_MIN 1024 /* shorter bodies are not worth it (reference 01 §2.4) */
#define SLICE ((size_t) 64 * 1024)

void append_date(GString *text) {
        g_autofree char *now = http_date(time_seconds(clock_now()));

        g_string_append_printf(text, "Date: %s\r\n", now);
}

/* ---- headers ---- */

/* Control characters would end the line and begin what somebody else wrote. */
static char *clean(const char *value) {
        char *copy = g_strdup(value);
        for (char *byte = copy; *byte; byte++)
                if (!token_is_text((unsigned char) *byte))
                        *byte = ' ';
        return copy;
}

void http_header_add(HttpRequest *request, const char *name, const char *value) {
        g_ptr_array_add(request->fields, g_strdup(name));
        g_ptr_array_add(request->fields, clean(value));
}

void http_header_set(HttpRequest *request, const char *name, const char *value) {
        for (guint i = 0; i < request->fields->len;)
                if (g_ascii_strcasecmp(request->fields->pdata[i], name) == 0)
                        g_ptr_array_remove_range(request->fields, i, 2);
                else
                        i += 2;
        http_header_add(request, name, value);
}

static const char *answer_field(const HttpRequest *request, const char *name) {
        for (guint i = 0; i < request->fields->len; i += 2)
                if (g_ascii_strcasecmp(request->fields->pdata[i], name) == 0)
                        return request->fields->pdata[i + 1];
        return NULL;
}

/* Who frames the body says how; a handler cannot. */
static bool is_framing(const char *name) {
        return g_ascii_strcasecmp(name, "content-length") == 0 ||
               g_ascii_strcasecmp(name, "transfer-encoding") == 0;
}

static void append_line(GString *text, const char *name, const char *value) {
        g_string_append(text, name);
        g_string_append(text, ": ");
        g_string_append(text, value);
        g_string_append(text, "\r\n");
}

void answer_head_fields(HttpRequest *request, GString *text, const char *content_type) {
        if (!answer_field(request, "date"))
                append_date(text);
        if (content_type) {
                g_autofree char *type = clean(content_type);
                append_line(text, "Content-Type", type);
        }
        for (guint i = 0; i < request->fields->len; i += 2) {
                const char *name = request->fields->pdata[i];
                bool replaced = content_type && g_ascii_strcasecmp(name, "content-type") == 0;
                if (!is_framing(name) && !replaced)
                        append_line(text, name, request->fields->pdata[i + 1]);
        }
}

static bool is_head(const HttpRequest *request) {
        return strcmp(request->head.method, "HEAD") == 0;
}

static bool is_bodiless(int status) {
        return status == 204 || status == 304 || status < 200;
}

/* Whether what is left of the request's body will be read past, so that a further request can follow.
 * A client that waits for 100 Continue may send its body or not. */
static bool body_ends_soon(const Exchange *exchange) {
        return exchange->body_state == BODY_WHOLE ||
               (exchange->body_state == BODY_OPEN && !exchange->continue_due &&
                exchange->body_left >= 0 && exchange->body_left <= BODY_DISCARDED);
}

static bool decide_close(HttpRequest *request) {
        Connection *connection = request->connection;
        const char *wish = answer_field(request, "connection");
        bool close = !request->head.keep_alive || request->framing == FRAME_CLOSE ||
                     atomic_get(&connection->server->state) != STATE_RUNNING ||
                     (wish && token_list_has(wish, "close"));
        mutex_lock(&connection->mutex);
        Exchange *exchange = &connection->exchange;
        exchange->must_close |= close || !body_ends_soon(exchange);
        close = exchange->must_close;
        mutex_unlock(&connection->mutex);
        return close;
}

static void decide_framing(HttpRequest *request, int status, int64_t length) {
        const char *given = answer_field(request, "content-length");
        if (length < 0 && given && !token_parse_length(given, &length))
                length = -1;
        request->length_left = length;
        request->framing = is_head(request) || is_bodiless(status) ? FRAME_NONE
                           : length >= 0                           ? FRAME_LENGTH
                           : request->head.minor == 1              ? FRAME_CHUNKED
                                                                   : FRAME_CLOSE;
}

GString *answer_head(HttpRequest *request, int status, const char *content_type, int64_t length) {
        GString *text = g_string_sized_new(512);
        g_assert(request->answered == 0); /* one answer for each request */
        request->answered = status;
        decide_framing(request, status, length);
        bool close = decide_close(request);
        g_string_printf(text, "HTTP/1.1 %d %s\r\n", status, http_status_text(status));
        answer_head_fields(request, text, content_type);
        if (request->framing == FRAME_CHUNKED)
                g_string_append(text, "Transfer-Encoding: chunked\r\n");
        else if (request->length_left >= 0 && !is_bodiless(status))
                g_string_append_printf(text, "Content-Length: %" PRId64 "\r\n",
                                       request->length_left);
        const char *wish = answer_field(request, "connection");
        if (close && !(wish && token_list_has(wish, "close")))
                g_string_append(text, "Connection: close\r\n");
        else if (!close && request->head.minor == 0)
                g_string_append(text, "Connection: keep-alive\r\n");
        g_string_append(text, "\r\n");
        return text;
}

int http_answered(const HttpRequest *request) {
        return request->answered;
}

/* ---- compression ---- */

static bool is_text_type(const char *type) {
        static const char *const kinds[] = { "text/", "json", "javascript", "xml", "yaml" };
        for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++)
                if (strstr(type, kinds[i]))
                        return true;
        return false;
}

/* Returns new, or NULL when the client did not ask or it is not worth it. */
static void *compress_body(HttpRequest *request, int status, const char *content_type,
                           const void *body, size_t *length) {
        const char *type = content_type ? content_type : answer_field(request, "content-type");
        if (*length < GZIP_MIN || *length > UINT32_MAX || !type || !is_text_type(type) ||
            is_bodiless(status) || is_head(request) || answer_field(request, "content-encoding") ||
            answer_field(request, "content-range"))
                return NULL;
        if (!answer_field(request, "vary"))
                http_header_set(request, "Vary", "Accept-Encoding");
        const char *accepted = http_header(request, "accept-encoding");
        z_stream stream = { 0 };
        if (!accepted || !token_accepts_coding(accepted, "gzip") ||
            deflateInit2(&stream, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
                return NULL;
        size_t room = deflateBound(&stream, *length);
        g_autofree unsigned char *packed = g_malloc(room);
        stream.next_in = (unsigned char *) body;
        stream.avail_in = (unsigned) *length;
        stream.next_out = packed;
        stream.avail_out = (unsigned) room;
        int result = deflate(&stream, Z_FINISH);
        size_t written = room - stream.avail_out;
        deflateEnd(&stream);
        if (result != Z_STREAM_END)
                return NULL;
        http_header_set(request, "Content-Encoding", "gzip");
        *length = written;
        return g_steal_pointer(&packed);
}

/* ---- whole answers ---- */

static bool is_ending(HttpServer *server) {
        return atomic_get(&server->state) >= STATE_ENDING;
}

bool connection_wait_room(Connection *connection, Cancel *cancel, GError **error) {
        mutex_lock(&connection->mutex);
        while (!connection->closed && !cancel_fired(cancel) && !is_ending(connection->server) &&
               connection->queued >= connection_ceiling(connection))
                condition_wait(&connection->changed, &connection->mutex);
        bool closed = connection->closed;
        bool full = connection->queued >= connection_ceiling(connection);
        mutex_unlock(&connection->mutex);
        if (closed)
                g_set_error_literal(error, ERROR, ERROR_UNAVAILABLE, "client is gone");
        else if (full && !cancel_fired(cancel))
                g_set_error_literal(error, ERROR, ERROR_CANCELLED, "server is stopping");
        else
                return cancel_check(cancel, error);
        return false;
}

/* Queues bytes in slices and waits at the ceiling. */
static bool write_body(HttpRequest *request, const char *bytes, size_t length, GError **error) {
        Connection *connection = request->connection;
        while (length > 0) {
                size_t slice = MIN(length, SLICE);
                if (!connection_wait_room(connection, NULL, error)) {
                        request->failed = true;
                        return false;
                }
                mutex_lock(&connection->mutex);
                connection_append(connection, bytes, slice, request->framing == FRAME_CHUNKED);
                mutex_unlock(&connection->mutex);
                connection_schedule(connection);
                bytes += slice;
                length -= slice;
        }
        return true;
}

static void queue_head(HttpRequest *request, const GString *head, bool whole) {
        Connection *connection = request->connection;
        mutex_lock(&connection->mutex);
        connection_append(connection, head->str, head->len, false);
        connection->exchange.answer_done |= whole;
        mutex_unlock(&connection->mutex);
        connection_schedule(connection);
}

static void finish(HttpRequest *request, const char *tail) {
        Connection *connection = request->connection;
        mutex_lock(&connection->mutex);
        connection_append(connection, tail, strlen(tail), false);
        connection->exchange.answer_done = true;
        mutex_unlock(&connection->mutex);
        connection_schedule(connection);
}

void http_answer(HttpRequest *request, int status, const char *content_type, const void *body,
                 size_t length) {
        size_t size = length;
        g_autofree void *packed = compress_body(request, status, content_type, body, &size);
        const char *bytes = packed ? packed : body;
        bool keeps_given = is_head(request) && length == 0;
        g_autoptr(GString) head = answer_head(request, status, content_type,
                                              keeps_given ? -1 : (int64_t) size);
        if (keeps_given && request->length_left < 0 && !is_bodiless(status)) {
                g_string_truncate(head, head->len - 2);
                g_string_append(head, "Content-Length: 0\r\n\r\n");
        }
        if (request->framing == FRAME_NONE || size <= SLICE) {
                if (request->framing != FRAME_NONE)
                        g_string_append_len(head, bytes, (gssize) size);
                queue_head(request, head, true);
                return;
        }
        queue_head(request, head, false);
        request->begun = true;
        if (!write_body(request, bytes, size, NULL)) {
                http_answer_abort(request);
                return;
        }
        request->ended = true;
        finish(request, "");
}

void http_answer_text(HttpRequest *request, int status, const char *text) {
        http_answer(request, status, "text/plain; charset=utf-8", text, strlen(text));
}

void http_answer_json(HttpRequest *request, int status, const Value *value) {
        g_autoptr(GString) text = g_string_new(NULL);
        json_append(text, value, JSON_COMPACT);
        g_string_append_c(text, '\n');
        http_answer(request, status, "application/json", text->str, text->len);
}

/* ---- piece by piece ---- */

void http_answer_begin(HttpRequest *request, int status, const char *content_type) {
        g_autoptr(GString) head = answer_head(request, status, content_type, -1);
        request->begun = true;
        queue_head(request, head, false);
}

bool http_answer_write(HttpRequest *request, const void *data, size_t length, GError **error) {
        g_assert(request->begun && !request->ended);
        if (request->framing == FRAME_NONE)
                return true;
        if (request->framing == FRAME_LENGTH) {
                if ((int64_t) length > request->length_left) {
                        g_set_error_literal(error, ERROR, ERROR_INVALID,
                                            "body is longer than its Content-Length");
                        return false;
                }
                request->length_left -= (int64_t) length;
        }
        return write_body(request, data, length, error);
}

void http_answer_end(HttpRequest *request) {
        g_assert(request->begun && !request->ended);
        if (request->failed || (request->framing == FRAME_LENGTH && request->length_left > 0)) {
                http_answer_abort(request);
                return;
        }
        request->ended = true;
        finish(request, request->framing == FRAME_CHUNKED ? "0\r\n\r\n" : "");
}

void http_answer_abort(HttpRequest *request) {
        Connection *connection = request->connection;
        g_assert(!request->ended);
        request->begun = request->ended = true;
        if (request->answered == 0)
                request->answered = 500;
        mutex_lock(&connection->mutex);
        connection->exchange.abort = true;
        connection->exchange.answer_done = true;
        mutex_unlock(&connection->mutex);
        connection_schedule(connection);
}
