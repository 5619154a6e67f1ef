#include "harness.h"

#include "base/files.h"
#include "http/websocket_client.h"
#include "http/websocket_frame.h"

#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static WebSocketClient *open_client(const Harness *harness, const char *path, int *ret_status,
                                    GError **error) {
        g_autoptr(HttpClient) http = http_client_new(&(HttpClientSpec){ .no_proxy = true });
        g_autofree char *url = g_strdup_printf("http://127.0.0.1:%d%s",
                                               http_server_port(harness->server), path);
        return websocket_connect(http, &(HttpCall){ .url = url }, ret_status, error);
}

/* Waits for a message; NULL with the error at the end. Returns new. */
static char *next(WebSocketClient *client, size_t *ret_length, GError **error) {
        for (;;) {
                char *text;
                if (!websocket_client_receive(client, &text, ret_length, error))
                        return NULL;
                if (text)
                        return text;
                struct pollfd polls = {
                        .fd = websocket_client_fd(client),
                        .events = (short) (POLLIN |
                                           (websocket_client_queued(client) > 0 ? POLLOUT : 0))
                };
                g_assert_cmpint(poll(&polls, 1, 10000), ==, 1);
                websocket_client_flush(client, NULL);
        }
}

static void messages_of_every_length_come_back(void) {
        static const size_t lengths[] = { 0, 1, 125, 126, 65535, 65536, 1024 * 1024 };
        g_autoptr(Harness) harness = harness_new(NULL);
        g_autoptr(GError) error = NULL;
        int status;
        g_autoptr(WebSocketClient) client = open_client(harness, "/websocket", &status, &error);
        g_assert_no_error(error);
        g_assert_cmpint(status, ==, 101);
        for (size_t i = 0; i < G_N_ELEMENTS(lengths); i++) {
                g_autofree char *sent = g_strnfill(lengths[i], 'x');
                size_t length;
                g_assert_true(websocket_client_send(client, sent, lengths[i], &error));
                g_assert_true(websocket_client_ping(client, &error));
                g_autofree char *got = next(client, &length, &error);
                g_assert_no_error(error);
                g_assert_cmpmem(got, length, sent, lengths[i]);
        }
}

static void a_refused_handshake_tells_its_status(void) {
        g_autoptr(Harness) harness = harness_new(NULL);
        g_autoptr(GError) error = NULL;
        int status;
        g_assert_null(open_client(harness, "/hello", &status, &error));
        g_assert_error(error, ERROR, ERROR_PROTOCOL);
        g_assert_cmpstr(error->message, ==, "websocket: bad handshake");
        g_assert_cmpint(status, ==, 200);
}

static void where_nobody_listens_is_unavailable(void) {
        g_autoptr(HttpClient) http = http_client_new(&(HttpClientSpec){ .no_proxy = true });
        g_autoptr(GError) error = NULL;
        int status;
        HttpCall call = { .url = "http://127.0.0.1:1/x" };
        g_assert_null(websocket_connect(http, &call, &status, &error));
        g_assert_error(error, ERROR, ERROR_UNAVAILABLE);
        g_assert_cmpint(status, ==, 0);
}

/* ---- servers that say what they like ---- */

typedef struct {
        int listener;
        const char *frames;
        size_t length;
} Stub;

/* Shakes hands, says its frames and closes, all before the client may look. */
static void serve_stub(void *data) {
        const Stub *stub = data;
        autofd fd = accept4(stub->listener, NULL, NULL, SOCK_CLOEXEC);
        g_autofree char *head = raw_read_until(fd, "\r\n\r\n");
        const char *key = strstr(head, "Sec-WebSocket-Key: ") + strlen("Sec-WebSocket-Key: ");
        g_autofree char *value = g_strndup(key, strcspn(key, "\r"));
        g_autofree char *accept = websocket_accept_key(value);
        g_autoptr(GString) text = g_string_new("HTTP/1.1 101 Switching Protocols\r\nUpgrade: "
                                               "websocket\r\nConnection: Upgrade\r\n");
        g_string_append_printf(text, "Sec-WebSocket-Accept: %s\r\n\r\n", accept);
        g_string_append_len(text, stub->frames, (gssize) stub->length);
        raw_send_bytes(fd, text->str, text->len);
        shutdown(fd, SHUT_WR);
        g_autofree char *rest = raw_read_all(fd);
}

static WebSocketClient *open_stub(const char *frames, size_t length) {
        struct sockaddr_in address = { .sin_family = AF_INET,
                                       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t size = sizeof address;
        autofd listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        g_assert_cmpint(bind(listener, (struct sockaddr *) &address, sizeof address), ==, 0);
        g_assert_cmpint(listen(listener, 1), ==, 0);
        getsockname(listener, (struct sockaddr *) &address, &size);

        Stub stub = { listener, frames, length };
        g_autoptr(HttpClient) http = http_client_new(&(HttpClientSpec){ .no_proxy = true });
        g_autofree char *url = g_strdup_printf("http://127.0.0.1:%d/", ntohs(address.sin_port));
        g_autoptr(GError) error = NULL;
        int status;
        Thread *thread = thread_start("stub", serve_stub, &stub);
        WebSocketClient *client = websocket_connect(http, &(HttpCall){ .url = url }, &status,
                                                    &error);
        g_assert_no_error(error);
        shutdown(websocket_client_fd(client), SHUT_WR); /* the stub reads to the end */
        thread_join(thread);
        return client;
}

static void what_was_said_before_the_end_is_all_there(void) {
        static const char frames[] = "\x01\x02on\x89\x01x\x80\x01"
                                     "e\x82\x01"
                                     "b\x81\x03two";
        g_autoptr(WebSocketClient) client = open_stub(frames, sizeof frames - 1);
        g_autoptr(GError) error = NULL;
        size_t length;
        g_autofree char *first = next(client, &length, &error),
                        *second = next(client, &length, &error);
        g_assert_no_error(error);
        g_assert_cmpstr(first, ==, "one");
        g_assert_cmpstr(second, ==, "two");
        g_assert_null(next(client, &length, &error));
        g_assert_error(error, ERROR, ERROR_UNAVAILABLE);
}

static void what_breaks_the_protocol_is_an_error(void) {
        static const struct {
                int code;
                const char *bytes;
                size_t length;
        } cases[] = {
                { ERROR_UNAVAILABLE, "\x88\x02\x03\xe8", 4 }, /* closed */
                { ERROR_PROTOCOL, "\x81\x81\1\2\3\4x", 7 },   /* masked */
                { ERROR_PROTOCOL, "\x80\x01x", 3 },           /* goes on with nothing */
                { ERROR_PROTOCOL, "\x01\x01x\x81\x01x", 6 },  /* begins inside another */
                { ERROR_PROTOCOL, "\x81\x7f\0\0\0\0\x7f\xff\xff\xff", 10 }, /* too long */
                { ERROR_PROTOCOL, "\x83\x01x", 3 },                         /* unknown opcode */
        };
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(WebSocketClient) client = open_stub(cases[i].bytes, cases[i].length);
                g_autoptr(GError) error = NULL;
                size_t length;
                g_assert_null(next(client, &length, &error));
                g_assert_error(error, ERROR, cases[i].code);
        }
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/websocket-client/messages", messages_of_every_length_come_back);
        g_test_add_func("/websocket-client/refused", a_refused_handshake_tells_its_status);
        g_test_add_func("/websocket-client/nobody", where_nobody_listens_is_unavailable);
        g_test_add_func("/websocket-client/end", what_was_said_before_the_end_is_all_there);
        g_test_add_func("/websocket-client/malformed", what_breaks_the_protocol_is_an_error);
        return g_test_run();
}
