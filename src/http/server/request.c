/* The request as its handler sees it, and its body. */
#include "http/server/internal.h"

#include "http/url.h"

#include <string.h>

HttpRequest *request_new(Connection *connection, RequestHead *head) {
        HttpRequest *request = g_new0(HttpRequest, 1);
        request->connection = connection_ref(connection);
        request->head = *head;
        request->fields = g_ptr_array_new_with_free_func(g_free);
        return request;
}

void request_free(HttpRequest *request) {
        if (!request)
                return;
        request_head_clear(&request->head);
        if (request->query)
                g_ptr_array_unref(request->query);
        g_ptr_array_unref(request->fields);
        connection_free(request->connection);
        g_free(request);
}

void request_run(void *data) {
        HttpRequest *request = data;
        g_autoptr(Connection) connection = connection_ref(request->connection);
        HttpServer *server = connection->server;
        server->spec.handler(request, server->spec.data);
        if (request->answered == 0)
                http_answer(request, 500, NULL, NULL, 0);
        else if (request->begun && !request->ended)
                http_answer_abort(request);
        request_free(request);
        mutex_lock(&connection->mutex);
        connection->exchange.handler_done = true;
        mutex_unlock(&connection->mutex);
        connection_schedule(connection);
        mutex_lock(&server->mutex);
        if (--server->running == 0)
                condition_broadcast(&server->idle);
        mutex_unlock(&server->mutex);
}

/* ---- the head ---- */

const char *http_method(const HttpRequest *request) {
        return request->head.method;
}

const char *http_path(const HttpRequest *request) {
        return request->head.path;
}

size_t http_segments(const HttpRequest *request) {
        return request->head.segments_length;
}

const char *http_segment(const HttpRequest *request, size_t index) {
        return index < request->head.segments_length ? request->head.segments[index] : NULL;
}

const char *http_query_raw(const HttpRequest *request) {
        return request->head.query;
}

const char *http_header(const HttpRequest *request, const char *name) {
        return head_field(&request->head, name);
}

const char *http_peer(const HttpRequest *request) {
        return request->connection->peer;
}

/* As Go's url.ParseQuery: pairs with a semicolon or a bad escape are left out. */
static GPtrArray *parse_query(const char *query) {
        GPtrArray *pairs = g_ptr_array_new_with_free_func(g_free);
        g_auto(GStrv) pieces = g_strsplit(query, "&", -1);
        for (char **piece = pieces; *piece; piece++) {
                if (**piece == '\0' || strchr(*piece, ';'))
                        continue;
                size_t length = strcspn(*piece, "=");
                const char *raw = *piece + length + ((*piece)[length] == '=');
                g_autofree char *name = url_decode(*piece, length, true, NULL);
                g_autofree char *value = url_decode(raw, strlen(raw), true, NULL);
                if (!name || !value)
                        continue;
                g_ptr_array_add(pairs, g_steal_pointer(&name));
                g_ptr_array_add(pairs, g_steal_pointer(&value));
        }
        return pairs;
}

/* The request is its handler's alone, so the cache behind the const needs no lock. */
static const GPtrArray *query_pairs(const HttpRequest *request) {
        HttpRequest *mine = (HttpRequest *) request;
        if (!mine->query)
                mine->query = parse_query(mine->head.query);
        return mine->query;
}

size_t http_query_count(const HttpRequest *request) {
        return query_pairs(request)->len / 2;
}

const char *http_query_name_at(const HttpRequest *request, size_t index) {
        g_assert(index < http_query_count(request));
        return query_pairs(request)->pdata[2 * index];
}

const char *http_query_value_at(const HttpRequest *request, size_t index) {
        g_assert(index < http_query_count(request));
        return query_pairs(request)->pdata[2 * index + 1];
}

const char *http_query(const HttpRequest *request, const char *name) {
        for (size_t i = 0; i < http_query_count(request); i++)
                if (strcmp(http_query_name_at(request, i), name) == 0)
                        return http_query_value_at(request, i);
        return NULL;
}

static char *cookie_in(const char *header, const char *name) {
        g_auto(GStrv) pairs = g_strsplit(header, ";", -1);
        for (char **pair = pairs; *pair; pair++) {
                char *text = g_strstrip(*pair);
                size_t length = strcspn(text, "=");
                if (length != strlen(name) || strncmp(text, name, length) != 0 ||
                    text[length] != '=')
                        continue;
                const char *value = text + length + 1;
                size_t size = strlen(value);
                if (size >= 2 && value[0] == '"' && value[size - 1] == '"')
                        return g_strndup(value + 1, size - 2);
                return g_strdup(value);
        }
        return NULL;
}

char *http_cookie(const HttpRequest *request, const char *name) {
        const RequestHead *head = &request->head;
        for (size_t i = 0; i < head->fields_length; i++) {
                if (g_ascii_strcasecmp(head->fields[i].name, "cookie") != 0)
                        continue;
                char *value = cookie_in(head->fields[i].value, name);
                if (value)
                        return value;
        }
        return NULL;
}

/* ---- going away ---- */

Cancel *exchange_cancel(Connection *connection) {
        mutex_lock(&connection->mutex);
        bool made = !connection->exchange.cancel;
        if (made)
                connection->exchange.cancel = cancel_new(connection->server->cancel);
        Cancel *cancel = connection->exchange.cancel;
        bool gone = made && (connection->gone || connection->closed);
        mutex_unlock(&connection->mutex);
        if (gone)
                cancel_fire(cancel, CANCEL_ABORT);
        return cancel;
}

Cancel *http_request_cancel(HttpRequest *request) {
        return exchange_cancel(request->connection);
}

/* ---- the body ---- */

static const struct {
        ErrorCode code;
        const char *text;
} body_errors[] = {
        [BODY_CUT] = { ERROR_PROTOCOL, "request body was cut off" },
        [BODY_MALFORMED] = { ERROR_PROTOCOL, "malformed chunked request body" },
        [BODY_LATE] = { ERROR_TIMEOUT, "timeout exceeded while reading the request body" },
        [BODY_STOPPED] = { ERROR_CANCELLED, "server is stopping" },
};

static void ask_for_body(Connection *connection) {
        static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
        mutex_lock(&connection->mutex);
        bool due = connection->exchange.continue_due;
        if (due)
                connection_append(connection, text, sizeof text - 1, false);
        connection->exchange.continue_due = false;
        mutex_unlock(&connection->mutex);
        if (due)
                connection_schedule(connection);
}

ssize_t http_body_read(HttpRequest *request, void *ret, size_t length, GError **error) {
        Connection *connection = request->connection;
        Exchange *exchange = &connection->exchange;
        if (length == 0)
                return 0;
        if (request->answered == 0)
                ask_for_body(connection);
        mutex_lock(&connection->mutex);
        while (exchange->body.length == 0 && exchange->body_state == BODY_OPEN)
                condition_wait(&connection->changed, &connection->mutex);
        size_t count = buffers_take(&exchange->body, ret, length);
        BodyState state = exchange->body_state;
        bool resume = exchange->body_paused && exchange->body.length < INPUT_LOW;
        mutex_unlock(&connection->mutex);
        if (resume)
                connection_schedule(connection);
        if (count > 0)
                return (ssize_t) count;
        if (state == BODY_WHOLE)
                return 0;
        g_set_error_literal(error, ERROR, body_errors[state].code, body_errors[state].text);
        return -1;
}

static bool body_within(size_t length, size_t limit, GError **error) {
        if (length <= limit)
                return true;
        g_set_error(error, ERROR, ERROR_LIMIT, "request body is longer than %zu bytes", limit);
        return false;
}

char *http_body(HttpRequest *request, size_t limit, size_t *ret_length, GError **error) {
        int64_t announced = MAX(request->head.content_length, 0);
        if (limit == 0)
                limit = request->connection->server->spec.body_max;
        if (!body_within((size_t) announced, limit, error))
                return NULL;
        /* Room for what was announced is made only up to a piece: announcing costs nothing. */
        g_autoptr(GByteArray) body = g_byte_array_sized_new((guint) MIN(announced, 65536) + 1);
        char piece[16 * 1024];
        ssize_t count;
        while ((count = http_body_read(request, piece, sizeof piece, error)) > 0) {
                g_byte_array_append(body, (const guint8 *) piece, (guint) count);
                if (!body_within(body->len, limit, error))
                        return NULL;
        }
        if (count < 0)
                return NULL;
        if (ret_length)
                *ret_length = body->len;
        g_byte_array_append(body, (const guint8 *) "", 1);
        return (char *) g_byte_array_free(g_steal_pointer(&body), false);
}
