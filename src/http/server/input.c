/* From bytes to requests. */
#include "http/server/internal.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define READS_AT_ONCE 4 /* then the others have a turn */

/* ---- refusing ---- */

void connection_refuse(Connection *connection, int status) {
        g_autoptr(GString) text = g_string_new(NULL);
        g_autofree char *body = g_strdup_printf("%d %s\n", status, http_status_text(status));
        g_string_printf(text, "HTTP/1.1 %d %s\r\n", status, http_status_text(status));
        append_date(text);
        g_string_append_printf(text,
                               "Content-Type: text/plain; charset=utf-8\r\n"
                               "Content-Length: %zu\r\nConnection: close\r\n\r\n%s",
                               strlen(body), body);
        head_scanner_clear(&connection->head);
        request_free(g_steal_pointer(&connection->gathered));
        atomic_add(&connection->server->refused, 1);
        connection_phase(connection, PHASE_WAIT, DURATION_NEVER);
        mutex_lock(&connection->mutex);
        Exchange *exchange = &connection->exchange;
        exchange->handler_done = exchange->answer_done = exchange->must_close = true;
        connection_append(connection, text->str, text->len, false);
        mutex_unlock(&connection->mutex);
        connection_output(connection);
}

/* ---- bodies ---- */

static void dispatch(Connection *connection) {
        HttpRequest *request = g_steal_pointer(&connection->gathered);
        atomic_add(&connection->server->requests, 1);
        if (server_dispatch(connection->server, request))
                return;
        request_free(request);
        connection_close(connection);
}

void connection_body_end(Connection *connection, BodyState state) {
        if (state != BODY_WHOLE && connection->gathered) {
                connection_refuse(connection, 400);
                return;
        }
        connection_phase(connection, PHASE_WAIT, DURATION_NEVER);
        mutex_lock(&connection->mutex);
        connection->exchange.body_state = state;
        if (state != BODY_WHOLE)
                connection->exchange.must_close = true;
        condition_broadcast(&connection->changed);
        mutex_unlock(&connection->mutex);
        if (connection->gathered)
                dispatch(connection);
        else
                connection_settle(connection);
}

static void take_payload(Connection *connection, const char *bytes, size_t length) {
        mutex_lock(&connection->mutex);
        Exchange *exchange = &connection->exchange;
        if (!exchange->body_discarded)
                buffers_append(&exchange->body, bytes, length, false);
        if (exchange->body_left > 0)
                exchange->body_left -= (int64_t) length;
        exchange->body_paused = exchange->body.length >= INPUT_MAX;
        exchange->continue_due = false;
        bool paused = exchange->body_paused;
        bool enough = exchange->body.length >= BODY_GATHERED;
        condition_broadcast(&connection->changed);
        mutex_unlock(&connection->mutex);
        if (paused)
                connection->phase_deadline = DURATION_NEVER;
        if (enough && connection->gathered)
                dispatch(connection);
}

/* Returns how many bytes belong to the body. */
static size_t feed_chunked(Connection *connection, const char *bytes, size_t length) {
        size_t used, payload_length, total = 0;
        const char *payload;
        while (total < length && connection->phase == PHASE_BODY) {
                ChunkedState state = chunked_feed(&connection->decoder, bytes + total,
                                                  length - total, &used, &payload, &payload_length);
                total += used;
                if (payload_length > 0)
                        take_payload(connection, payload, payload_length);
                if (connection->phase != PHASE_BODY)
                        break;
                if (state == CHUNKED_DONE)
                        connection_body_end(connection, BODY_WHOLE);
                else if (state == CHUNKED_BAD)
                        connection_body_end(connection, BODY_MALFORMED);
        }
        return total;
}

static size_t feed_body(Connection *connection, const char *bytes, size_t length) {
        connection_phase(connection, PHASE_BODY, connection->server->spec.progress_timeout);
        mutex_lock(&connection->mutex);
        int64_t left = connection->exchange.body_left;
        mutex_unlock(&connection->mutex);
        if (left < 0)
                return feed_chunked(connection, bytes, length);
        size_t used = MIN(length, (size_t) left);
        take_payload(connection, bytes, used);
        if ((int64_t) used == left && connection->phase == PHASE_BODY)
                connection_body_end(connection, BODY_WHOLE);
        return used;
}

/* ---- heads ---- */

static bool gathers_first(const RequestHead *head) {
        return !head->expects_continue && head->content_length <= (int64_t) BODY_GATHERED;
}

static void begin_request(Connection *connection) {
        RequestHead head;
        int status = head_parse(&connection->head, &head);
        if (status) {
                connection_refuse(connection, status);
                return;
        }
        bool has_body = head.chunked || head.content_length > 0;
        bool gathers = gathers_first(&head);
        mutex_lock(&connection->mutex);
        Exchange *exchange = &connection->exchange;
        exchange->body_state = has_body ? BODY_OPEN : BODY_WHOLE;
        exchange->body_left = head.chunked ? -1 : MAX(head.content_length, 0);
        exchange->continue_due = head.expects_continue;
        mutex_unlock(&connection->mutex);
        connection->decoder = (ChunkedDecoder){ 0 };
        connection->gathered = request_new(connection, &head);
        if (has_body)
                connection_phase(connection, PHASE_BODY, connection->server->spec.progress_timeout);
        else
                connection_phase(connection, PHASE_WAIT, DURATION_NEVER);
        if (!has_body || !gathers)
                dispatch(connection);
}

static size_t feed_head(Connection *connection, const char *bytes, size_t length) {
        size_t used;
        int status;
        if (!connection->head.text && connection->served)
                connection_phase(connection, PHASE_HEAD, connection->server->spec.header_timeout);
        HeadState state = head_scan(&connection->head, bytes, length, &used, &status);
        if (state == HEAD_BAD)
                connection_refuse(connection, status);
        else if (state == HEAD_WHOLE)
                begin_request(connection);
        return used;
}

/* ---- all ---- */

void connection_feed(Connection *connection, const char *bytes, size_t length) {
        while (length > 0) {
                size_t used = connection->phase == PHASE_HEAD ? feed_head(connection, bytes, length)
                              : connection->phase == PHASE_BODY
                                      ? feed_body(connection, bytes, length)
                                      : 0;
                bytes += used;
                length -= used;
                if (used > 0)
                        continue;
                if (connection->phase == PHASE_WAIT) {
                        if (!connection->rest)
                                connection->rest = g_byte_array_new();
                        g_byte_array_append(connection->rest, (const guint8 *) bytes,
                                            (guint) length);
                }
                return;
        }
}

static void input_ended(Connection *connection) {
        if (connection->phase != PHASE_BODY || connection->gathered) {
                connection_close(connection);
                return;
        }
        connection_gone(connection, CANCEL_ABORT);
        connection_body_end(connection, BODY_CUT);
}

static bool wants_input(Connection *connection) {
        if (connection->phase == PHASE_WAIT)
                connection->muted = true;
        if (connection->phase != PHASE_BODY)
                return connection->phase == PHASE_HEAD || connection->phase == PHASE_LINGER;
        mutex_lock(&connection->mutex);
        bool paused = connection->exchange.body_paused;
        mutex_unlock(&connection->mutex);
        return !paused;
}

void connection_input(Connection *connection) {
        for (int i = 0; i < READS_AT_ONCE && wants_input(connection); i++) {
                char *buffer = connection->server->buffer;
                ssize_t count = recv(connection->fd, buffer, READ_SIZE, MSG_DONTWAIT);
                if (count < 0 && errno == EINTR)
                        continue;
                if (count < 0 && errno != EAGAIN)
                        connection_close(connection);
                else if (count == 0)
                        input_ended(connection);
                else if (count > 0)
                        connection_feed(connection, buffer, (size_t) count);
                if (count < (ssize_t) READ_SIZE)
                        break;
        }
}
