#include "http/websocket_client.h"

#include "base/crypto.h"
#include "http/client_internal.h"
#include "http/websocket_frame.h"

#include <poll.h>
#include <string.h>

#define HANDSHAKE_TIMEOUT (30 * DURATION_SECOND)
#define HEAD_MAX ((size_t) 64 * 1024)
#define MESSAGE_MAX ((size_t) 4 * 1024 * 1024)

struct WebSocketClient {
        CURLM *multi;
        CURL *easy; /* connected, and left in multi: so its connection stays */
        curl_socket_t fd;
        char text[CURL_ERROR_SIZE];
        GByteArray *input, *output, *message;
        bool in_message, is_text;
        GError *end; /* why no more can be read; what came before it counts */
};

void websocket_client_free(WebSocketClient *socket) {
        if (!socket)
                return;
        curl_multi_remove_handle(socket->multi, socket->easy);
        curl_easy_cleanup(socket->easy);
        curl_multi_cleanup(socket->multi);
        g_byte_array_unref(socket->input);
        g_byte_array_unref(socket->output);
        g_byte_array_unref(socket->message);
        g_clear_error(&socket->end);
        g_free(socket);
}

/* ---- bytes ---- */

static bool lost(WebSocketClient *socket, CURLcode code, GError **error) {
        g_set_error(error, ERROR, ERROR_UNAVAILABLE, "%s",
                    socket->text[0] ? socket->text : curl_easy_strerror(code));
        return false;
}

/* Reads what is there into input. */
static void fill(WebSocketClient *socket) {
        uint8_t piece[16 * 1024];
        size_t count = 1;
        while (count > 0 && !socket->end && socket->input->len <= MESSAGE_MAX) {
                CURLcode code = curl_easy_recv(socket->easy, piece, sizeof piece, &count);
                if (code == CURLE_AGAIN)
                        return;
                if (code != CURLE_OK)
                        lost(socket, code, &socket->end);
                else if (count == 0)
                        g_set_error(&socket->end, ERROR, ERROR_UNAVAILABLE, "EOF");
                else
                        g_byte_array_append(socket->input, piece, (guint) count);
        }
}

/* Whether more may come; else says why not. */
static bool check_open(const WebSocketClient *socket, GError **error) {
        if (socket->end)
                g_propagate_error(error, g_error_copy(socket->end));
        return !socket->end;
}

bool websocket_client_flush(WebSocketClient *socket, GError **error) {
        while (socket->output->len > 0) {
                size_t count = 0;
                CURLcode code = curl_easy_send(socket->easy, socket->output->data,
                                               socket->output->len, &count);
                if (code == CURLE_AGAIN)
                        return true;
                if (code != CURLE_OK)
                        return lost(socket, code, error);
                g_byte_array_remove_range(socket->output, 0, (guint) count);
        }
        return true;
}

int websocket_client_fd(const WebSocketClient *socket) {
        return socket->fd;
}

size_t websocket_client_queued(const WebSocketClient *socket) {
        return socket->output->len;
}

/* ---- connecting ---- */

static bool dial(WebSocketClient *socket, GError **error) {
        for (;;) {
                int running = 0, left;
                CURLMcode code = curl_multi_perform(socket->multi, &running);
                if (code != CURLM_OK) {
                        g_set_error(error, ERROR, ERROR_INTERNAL, "%s", curl_multi_strerror(code));
                        return false;
                }
                CURLMsg *message = running == 0 ? curl_multi_info_read(socket->multi, &left) : NULL;
                if (message && message->data.result != CURLE_OK)
                        return lost(socket, message->data.result, error);
                if (message)
                        break;
                curl_multi_poll(socket->multi, NULL, 0, 1000, NULL); /* curl minds its timeouts */
        }
        curl_easy_getinfo(socket->easy, CURLINFO_ACTIVESOCKET, &socket->fd);
        socket->text[0] = '\0';
        return socket->fd != CURL_SOCKET_BAD || lost(socket, CURLE_COULDNT_CONNECT, error);
}

/* The request's head; key: of the handshake. */
static void queue_request(WebSocketClient *socket, const HttpClient *client, const HttpCall *call,
                          const char *key) {
        const char *authority = strstr(call->url, "://") + 3;
        size_t length = strcspn(authority, "/?#");
        const char *path = authority + length;
        const char *agent = client->spec.user_agent ? client->spec.user_agent : "weir";
        g_autoptr(GString) text = g_string_new(NULL);

        g_string_printf(text, "GET %s%s HTTP/1.1\r\nHost: %.*s\r\nUser-Agent: %s\r\n",
                        *path == '/' ? "" : "/", path, (int) length, authority, agent);
        for (size_t i = 0; call->headers && call->headers[i]; i++)
                g_string_append_printf(text, "%s\r\n", call->headers[i]);
        g_string_append_printf(
                text,
                "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: "
                "13\r\nSec-WebSocket-Key: %s\r\n\r\n",
                key);
        g_byte_array_append(socket->output, (const guint8 *) text->str, (guint) text->len);
}

static bool wait_for(WebSocketClient *socket, Duration deadline, GError **error) {
        struct pollfd polls = { .fd = socket->fd,
                                .events = (short) (POLLIN |
                                                   (socket->output->len > 0 ? POLLOUT : 0)) };
        Duration left = deadline - clock_monotonic();

        if (left <= 0) {
                g_set_error(error, ERROR, ERROR_TIMEOUT, "websocket: handshake timed out");
                return false;
        }
        poll(&polls, 1, (int) (left / DURATION_MILLISECOND) + 1);
        return true;
}

/* Returns new: the answer's head without its last empty line, taken off the input. */
static char *read_head(WebSocketClient *socket, GError **error) {
        Duration deadline = clock_monotonic() + HANDSHAKE_TIMEOUT;
        for (;;) {
                GByteArray *input = socket->input;
                const char *end = input->len ? memmem(input->data, input->len, "\r\n\r\n", 4)
                                             : NULL;
                if (end) {
                        size_t length = (size_t) (end + 4 - (const char *) input->data);
                        char *text = g_strndup((const char *) input->data, length - 2);
                        g_byte_array_remove_range(input, 0, (guint) length);
                        return text;
                }
                if (input->len > HEAD_MAX) {
                        g_set_error(error, ERROR, ERROR_LIMIT,
                                    "header of the answer is longer than %zu bytes", HEAD_MAX);
                        return NULL;
                }
                if (!check_open(socket, error) || !websocket_client_flush(socket, error) ||
                    !wait_for(socket, deadline, error))
                        return NULL;
                fill(socket);
        }
}

static bool shake_hands(WebSocketClient *socket, const HttpClient *client, const HttpCall *call,
                        int *ret_status, GError **error) {
        uint8_t random[16];
        crypto_random(random, sizeof random);
        g_autofree char *key = crypto_base64(random, sizeof random);
        g_autofree char *expected = websocket_accept_key(key);
        g_auto(HttpReply) reply = { .headers = g_ptr_array_new_with_free_func(g_free) };

        queue_request(socket, client, call, key);
        g_autofree char *head = read_head(socket, error);
        if (!head || !client_parse_head(head, &reply, error))
                return false;
        *ret_status = reply.status;
        if (reply.status == 101 &&
            g_strcmp0(http_reply_header(&reply, "Sec-WebSocket-Accept"), expected) == 0)
                return true;
        g_set_error(error, ERROR, ERROR_PROTOCOL, "websocket: bad handshake");
        return false;
}

WebSocketClient *websocket_connect(HttpClient *client, const HttpCall *call, int *ret_status,
                                   GError **error) {
        g_autoptr(WebSocketClient) socket = g_new0(WebSocketClient, 1);

        *ret_status = 0;
        socket->multi = curl_multi_init();
        socket->easy = curl_easy_init();
        socket->input = g_byte_array_new();
        socket->output = g_byte_array_new();
        socket->message = g_byte_array_new();
        g_assert(socket->multi && socket->easy);
        client_set_up(socket->easy, &client->spec);
        curl_easy_setopt(socket->easy, CURLOPT_URL, call->url);
        curl_easy_setopt(socket->easy, CURLOPT_ERRORBUFFER, socket->text);
        curl_easy_setopt(socket->easy, CURLOPT_CONNECT_ONLY, 1L);
        curl_easy_setopt(socket->easy, CURLOPT_HTTPPROXYTUNNEL, 1L); /* not for a cache to read */
        curl_multi_add_handle(socket->multi, socket->easy);
        if (!dial(socket, error) || !shake_hands(socket, client, call, ret_status, error))
                return NULL;
        return g_steal_pointer(&socket);
}

/* ---- frames ---- */

static bool send_frame(WebSocketClient *socket, int opcode, const void *data, size_t length,
                       GError **error) {
        uint8_t mask[4];

        crypto_random(mask, sizeof mask);
        websocket_frame_append(socket->output, opcode, mask, data, length);
        return websocket_client_flush(socket, error);
}

bool websocket_client_send(WebSocketClient *socket, const char *text, size_t length,
                           GError **error) {
        return send_frame(socket, FRAME_TEXT, text, length, error);
}

bool websocket_client_ping(WebSocketClient *socket, GError **error) {
        return send_frame(socket, FRAME_PING, "", 0, error);
}

static bool broken(const char *text, GError **error) {
        g_set_error(error, ERROR, ERROR_PROTOCOL, "websocket: %s", text);
        return false;
}

/* A data frame joins its message; *ret_whole when that is complete and text. */
static bool take_data(WebSocketClient *socket, const WebSocketFrame *frame, bool *ret_whole,
                      GError **error) {
        if (socket->in_message != (frame->opcode == FRAME_CONTINUATION))
                return broken("fragments out of order", error);
        if (!socket->in_message)
                socket->is_text = frame->opcode == FRAME_TEXT;
        g_byte_array_append(socket->message, socket->input->data + frame->header,
                            (guint) frame->length);
        socket->in_message = !frame->final;
        *ret_whole = frame->final && socket->is_text;
        if (frame->final && !socket->is_text)
                g_byte_array_set_size(socket->message, 0);
        return true;
}

/* *ret_more: there was a whole frame, and there may be another. */
static bool take_frame(WebSocketClient *socket, bool *ret_more, bool *ret_whole, GError **error) {
        GByteArray *input = socket->input;
        WebSocketFrame frame;
        int code;
        bool ok = true;

        *ret_more = *ret_whole = false;
        if (!websocket_frame_parse(input->data, input->len, false,
                                   MESSAGE_MAX - socket->message->len, &frame, &code))
                return true;
        if (code)
                return broken(code == 1009 ? "message too long" : "malformed frame", error);
        if (input->len < frame.header + frame.length)
                return true;
        *ret_more = true;
        if (frame.opcode == FRAME_SHUT) {
                g_set_error(error, ERROR, ERROR_UNAVAILABLE, "websocket: close");
                return false;
        }
        if (frame.opcode == FRAME_PING)
                send_frame(socket, FRAME_PONG, input->data + frame.header, frame.length, NULL);
        else if (frame.opcode < FRAME_SHUT)
                ok = take_data(socket, &frame, ret_whole, error);
        g_byte_array_remove_range(input, 0, (guint) (frame.header + frame.length));
        return ok;
}

bool websocket_client_receive(WebSocketClient *socket, char **ret_text, size_t *ret_length,
                              GError **error) {
        bool more = true, whole = false;

        fill(socket);
        *ret_text = NULL;
        while (more && !whole)
                if (!take_frame(socket, &more, &whole, error))
                        return false;
        if (whole) {
                *ret_length = socket->message->len;
                g_byte_array_append(socket->message, (const guint8 *) "", 1);
                *ret_text = g_memdup2(socket->message->data, socket->message->len);
                g_byte_array_set_size(socket->message, 0);
                return true;
        }
        return check_open(socket, error);
}
