/* WebSocket (RFC 6455), server side, on a hijacked connection. */
#include "base/thread.h"
#include "http/server.h"
#include "http/token.h"
#include "http/websocket_frame.h"

#include <string.h>
#include <sys/socket.h>

#define MESSAGE_MAX ((size_t) 1024 * 1024)

struct WebSocket {
        HttpSocket *socket;
        /* The reader's alone. */
        GByteArray *input, *message;
        int message_opcode; /* 0: none under way */
        /* Under the mutex, which is held while a frame is written: frames must not mix. */
        Mutex writing;
        bool close_sent;
        Cancel *cancel; /* of writing; borrowed */
};

/* ---- the handshake ---- */

static bool key_valid(const char *key) {
        gsize length = 0;
        g_autofree guchar *raw = key && strlen(key) == 24 ? g_base64_decode(key, &length) : NULL;
        return raw && length == 16;
}

/* Returns the status that refuses the request, or 0. */
static int refuse_status(HttpRequest *request, const char *allowed_origin) {
        const char *version = http_header(request, "sec-websocket-version");
        const char *origin = http_header(request, "origin");
        if (strcmp(http_method(request), "GET") != 0 ||
            !token_list_has(http_header(request, "connection"), "upgrade") ||
            !token_list_has(http_header(request, "upgrade"), "websocket") ||
            !key_valid(http_header(request, "sec-websocket-key")))
                return 400;
        if (!version || strcmp(version, "13") != 0)
                return 426;
        if (allowed_origin && origin && g_ascii_strcasecmp(origin, allowed_origin) != 0)
                return 403;
        return 0;
}

WebSocket *websocket_accept(HttpRequest *request, const char *allowed_origin, GError **error) {
        int status = refuse_status(request, allowed_origin);
        if (status) {
                if (status == 426)
                        http_header_set(request, "Sec-WebSocket-Version", "13");
                http_answer_text(request, status,
                                 status == 403 ? "origin not allowed\n"
                                               : "not a WebSocket handshake\n");
                g_set_error(error, ERROR, status == 403 ? ERROR_DENIED : ERROR_INVALID,
                            "WebSocket handshake refused with %d", status);
                return NULL;
        }
        g_autofree char *accept = websocket_accept_key(http_header(request, "sec-websocket-key"));
        http_header_set(request, "Upgrade", "websocket");
        http_header_set(request, "Connection", "Upgrade");
        http_header_set(request, "Sec-WebSocket-Accept", accept);
        WebSocket *socket = g_new0(WebSocket, 1);
        socket->socket = http_hijack(request, 101, NULL);
        socket->input = g_byte_array_new();
        socket->message = g_byte_array_new();
        mutex_init(&socket->writing);
        return socket;
}

void websocket_free(WebSocket *socket) {
        if (!socket)
                return;
        http_socket_free(socket->socket);
        g_byte_array_unref(socket->input);
        g_byte_array_unref(socket->message);
        mutex_destroy(&socket->writing);
        g_free(socket);
}

/* ---- writing ---- */

static bool write_frame(WebSocket *socket, int opcode, const void *data, size_t length,
                        GError **error) {
        g_autoptr(GByteArray) frame = g_byte_array_sized_new((guint) length + 10);
        websocket_frame_append(frame, opcode, NULL, data, length);
        MUTEX_SCOPE(&socket->writing);
        if (socket->close_sent) {
                g_set_error_literal(error, ERROR, ERROR_UNAVAILABLE, "WebSocket is closed");
                return false;
        }
        socket->close_sent = opcode == FRAME_SHUT;
        return http_socket_write(socket->socket, frame->data, frame->len, socket->cancel, error);
}

bool websocket_write(WebSocket *socket, WebSocketKind kind, const void *data, size_t length,
                     GError **error) {
        g_assert(kind == WEBSOCKET_TEXT || kind == WEBSOCKET_BINARY);
        return write_frame(socket, (int) kind, data, length, error);
}

void websocket_wait_for_client(WebSocket *socket, Cancel *cancel) {
        socket->cancel = cancel;
        http_socket_set_patience(socket->socket, DURATION_NEVER);
}

int websocket_fd(WebSocket *socket) {
        return http_socket_fd(socket->socket);
}

/* Closing with something unread resets the connection, and a reset takes from the client what it has not read yet. */
void websocket_drain(WebSocket *socket, Duration patience) {
        g_autoptr(Cancel) limit = cancel_new_deadline(NULL, patience);
        char piece[16 * 1024];
        {
                MUTEX_SCOPE(&socket->writing);
                socket->close_sent = true;
        }
        shutdown(http_socket_fd(socket->socket), SHUT_WR);
        while (http_socket_read(socket->socket, piece, sizeof piece, limit, NULL) > 0)
                ;
}

void websocket_close(WebSocket *socket, int code, const char *reason) {
        uint8_t payload[125] = { (uint8_t) (code >> 8), (uint8_t) code };
        size_t length = reason ? MIN(strlen(reason), sizeof payload - 2) : 0;
        if (length > 0)
                memcpy(payload + 2, reason, length);
        write_frame(socket, FRAME_SHUT, payload, length + 2, NULL);
}

/* ---- reading ---- */

static bool fail(WebSocket *socket, int code, const char *text, GError **error) {
        websocket_close(socket, code, text);
        g_set_error(error, ERROR, code == 1009 ? ERROR_LIMIT : ERROR_PROTOCOL, "WebSocket: %s",
                    text);
        return false;
}

static bool fill(WebSocket *socket, Cancel *cancel, GError **error) {
        uint8_t piece[16 * 1024];
        ssize_t count = http_socket_read(socket->socket, piece, sizeof piece, cancel, error);
        if (count == 0)
                g_set_error_literal(error, ERROR, ERROR_UNAVAILABLE,
                                    "WebSocket: connection closed without a close frame");
        if (count > 0)
                g_byte_array_append(socket->input, piece, (guint) count);
        return count > 0;
}

/* Waits for one whole frame; its payload, unmasked, is then at input->data + header. */
static bool read_frame(WebSocket *socket, WebSocketFrame *ret, Cancel *cancel, GError **error) {
        for (;;) {
                int code;
                GByteArray *input = socket->input;
                size_t room = MESSAGE_MAX - socket->message->len;
                bool known = websocket_frame_parse(input->data, input->len, true, room, ret, &code);
                if (known && code)
                        return fail(socket, code,
                                    code == 1009 ? "message too long" : "malformed frame", error);
                if (known && input->len >= ret->header + ret->length) {
                        websocket_mask(input->data + ret->header, ret->length, ret->mask);
                        return true;
                }
                if (!fill(socket, cancel, error))
                        return false;
        }
}

/* A data frame joins its message; *ret_whole when that is complete. */
static bool take_data(WebSocket *socket, const WebSocketFrame *frame, bool *ret_whole,
                      GError **error) {
        bool first = socket->message_opcode == 0;
        if (first == (frame->opcode == FRAME_CONTINUATION))
                return fail(socket, 1002, "fragments out of order", error);
        if (first)
                socket->message_opcode = frame->opcode;
        g_byte_array_append(socket->message, socket->input->data + frame->header,
                            (guint) frame->length);
        *ret_whole = frame->final;
        if (frame->final && socket->message_opcode == FRAME_TEXT &&
            !g_utf8_validate_len((const char *) socket->message->data, socket->message->len, NULL))
                return fail(socket, 1007, "text is not UTF-8", error);
        return true;
}

static void give(WebSocketKind kind, const uint8_t *data, size_t length, WebSocketKind *ret_kind,
                 char **ret_data, size_t *ret_length) {
        *ret_kind = kind;
        *ret_data = g_malloc(length + 1);
        if (length > 0)
                memcpy(*ret_data, data, length);
        (*ret_data)[length] = '\0';
        *ret_length = length;
}

static void take_close(WebSocket *socket, const WebSocketFrame *frame) {
        const uint8_t *payload = socket->input->data + frame->header;
        int code = frame->length >= 2 ? payload[0] << 8 | payload[1] : 1000;
        bool valid = frame->length != 1 && code >= 1000 && code < 5000 &&
                     (code < 1004 || code > 1006);
        websocket_close(socket, valid ? code : 1002, NULL);
}

bool websocket_read(WebSocket *socket, WebSocketKind *ret_kind, char **ret_data, size_t *ret_length,
                    Cancel *cancel, GError **error) {
        for (;;) {
                WebSocketFrame frame;
                bool whole = false, ok = true;
                if (!read_frame(socket, &frame, cancel, error))
                        return false;
                const uint8_t *payload = socket->input->data + frame.header;
                if (frame.opcode == FRAME_SHUT) {
                        take_close(socket, &frame);
                        give(WEBSOCKET_CLOSE, payload, frame.length, ret_kind, ret_data,
                             ret_length);
                } else if (frame.opcode == FRAME_PING)
                        ok = write_frame(socket, FRAME_PONG, payload, frame.length, error);
                else if (frame.opcode < FRAME_SHUT)
                        ok = take_data(socket, &frame, &whole, error);
                g_byte_array_remove_range(socket->input, 0, (guint) (frame.header + frame.length));
                if (!ok || frame.opcode == FRAME_SHUT)
                        return ok;
                if (!whole)
                        continue;
                give((WebSocketKind) socket->message_opcode, socket->message->data,
                     socket->message->len, ret_kind, ret_data, ret_length);
                g_byte_array_set_size(socket->message, 0);
                socket->message_opcode = 0;
                return true;
        }
}
