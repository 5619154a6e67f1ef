#include "harness.h"

#include "base/files.h"
#include "http/websocket_frame.h"

#include <string.h>
#include <sys/socket.h>

#define KEY "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define UPGRADE "Host: x\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
#define VERSION "Sec-WebSocket-Version: 13\r\n"
#define GET "GET /websocket HTTP/1.1\r\n"

static int open_socket(Harness *harness) {
        int fd = raw_connect(harness);
        raw_send(fd, GET UPGRADE KEY VERSION "Origin: http://good.example\r\n\r\n");
        g_autofree char *head = raw_read_until(fd, "\r\n\r\n");
        g_assert_true(g_str_has_prefix(head, "HTTP/1.1 101 "));
        g_assert_nonnull(strstr(head, "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
        return fd;
}

static void refuses_what_is_no_handshake(void) {
        static const struct {
                int status;
                const char *request;
        } cases[] = {
                { 400, GET "Host: x\r\nConnection: close\r\n\r\n" },
                { 400, GET UPGRADE VERSION "\r\n" },
                { 400, GET UPGRADE VERSION "Sec-WebSocket-Key: short\r\n\r\n" },
                { 400,
                  "POST /websocket HTTP/1.1\r\nContent-Length: 0\r\n" UPGRADE KEY VERSION "\r\n" },
                { 426, GET UPGRADE KEY "Sec-WebSocket-Version: 12\r\n\r\n" },
                { 403, GET UPGRADE KEY VERSION "Origin: http://evil.example\r\n\r\n" },
        };
        g_autoptr(Harness) harness = harness_new(NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autofree char *expected = g_strdup_printf("HTTP/1.1 %d ", cases[i].status);
                autofd fd = raw_connect(harness);
                raw_send(fd, cases[i].request);
                shutdown(fd, SHUT_WR);
                g_autofree char *answer = raw_read_all(fd);
                g_assert_true(g_str_has_prefix(answer, expected));
        }
}

static void send_frame(int fd, int first, const void *payload, size_t length) {
        static const uint8_t mask[4] = { 1, 2, 3, 4 };
        g_autoptr(GByteArray) frame = g_byte_array_new();
        websocket_frame_append(frame, first & 0x0f, mask, payload, length);
        frame->data[0] = (uint8_t) first;
        raw_send_bytes(fd, frame->data, frame->len);
}

/* Reads a server's frame; the payload is new. */
static uint8_t *read_frame(int fd, WebSocketFrame *frame) {
        g_autoptr(GByteArray) bytes = g_byte_array_new();
        uint8_t byte;
        int code;
        while (!websocket_frame_parse(bytes->data, bytes->len, false, SIZE_MAX / 2, frame, &code)) {
                g_assert_cmpint(recv(fd, &byte, 1, 0), ==, 1);
                g_byte_array_append(bytes, &byte, 1);
        }
        g_assert_cmpint(code, ==, 0);
        uint8_t *payload = g_malloc0(frame->length + 1);
        if (frame->length > 0)
                g_assert_cmpint(recv(fd, payload, frame->length, MSG_WAITALL), ==, frame->length);
        return payload;
}

static void check_frame(int fd, int opcode, const char *expected) {
        WebSocketFrame frame;
        g_autofree uint8_t *payload = read_frame(fd, &frame);
        g_assert_cmpint(frame.opcode, ==, opcode);
        g_assert_cmpstr((char *) payload, ==, expected);
}

static void echoes_messages(void) {
        static const size_t lengths[] = { 0, 1, 125, 126, 65535, 65536, 1024 * 1024 };
        g_autoptr(Harness) harness = harness_new(NULL);
        autofd fd = open_socket(harness);
        for (size_t i = 0; i < G_N_ELEMENTS(lengths); i++) {
                WebSocketFrame frame;
                g_autofree char *text = g_strnfill(lengths[i], 'x');
                send_frame(fd, 0x82, text, lengths[i]);
                g_autofree uint8_t *payload = read_frame(fd, &frame);
                g_assert_cmpint(frame.opcode, ==, FRAME_BINARY);
                g_assert_cmpmem(payload, frame.length, text, lengths[i]);
        }
}

static void joins_fragments_and_answers_pings_between(void) {
        g_autoptr(Harness) harness = harness_new(NULL);
        autofd fd = open_socket(harness);
        send_frame(fd, 0x01, "on", 2);
        send_frame(fd, 0x89, "ping", 4);
        send_frame(fd, 0x00, "", 0);
        send_frame(fd, 0x8a, "pong", 4);
        send_frame(fd, 0x80, "e", 1);
        check_frame(fd, FRAME_PONG, "ping");
        check_frame(fd, FRAME_TEXT, "one");
        send_frame(fd, 0x88, "\x03\xe8", 2);
        check_frame(fd, FRAME_SHUT, "\x03\xe8");
        g_autofree char *end = raw_read_all(fd);
        g_assert_cmpstr(end, ==, "");
}

static void fails_on_what_breaks_the_protocol(void) {
        static const struct {
                int code;
                const char *bytes;
                size_t length;
        } cases[] = {
                { 1002, "\x81\x01x", 3 },                           /* not masked */
                { 1002, "\xc1\x80\1\2\3\4", 6 },                    /* reserved bit */
                { 1002, "\x83\x80\1\2\3\4", 6 },                    /* unknown opcode */
                { 1002, "\x80\x80\1\2\3\4", 6 },                    /* goes on with nothing */
                { 1002, "\x01\x80\1\2\3\4\x81\x80\1\2\3\4", 12 },   /* begins inside another */
                { 1002, "\x09\x80\1\2\3\4", 6 },                    /* fragmented ping */
                { 1002, "\x89\xfe\0\x7e\1\2\3\4", 8 },              /* long ping */
                { 1002, "\x81\xfe\0\x01\1\2\3\4", 8 },              /* not the shortest length */
                { 1002, "\x81\xff\x80\0\0\0\0\0\0\1\1\2\3\4", 14 }, /* 63 bits at most */
                { 1009, "\x82\xff\0\0\0\0\0\x10\0\1\1\2\3\4", 14 }, /* over 1 MiB */
                { 1007, "\x81\x81\0\0\0\0\xff", 7 },                /* not UTF-8 */
        };
        g_autoptr(Harness) harness = harness_new(NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                WebSocketFrame frame;
                autofd fd = open_socket(harness);
                raw_send_bytes(fd, cases[i].bytes, cases[i].length);
                g_autofree uint8_t *payload = read_frame(fd, &frame);
                g_assert_cmpint(frame.opcode, ==, FRAME_SHUT);
                g_assert_cmpint(payload[0] << 8 | payload[1], ==, cases[i].code);
        }
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/websocket/handshake", refuses_what_is_no_handshake);
        g_test_add_func("/websocket/echo", echoes_messages);
        g_test_add_func("/websocket/fragments", joins_fragments_and_answers_pings_between);
        g_test_add_func("/websocket/malformed", fails_on_what_breaks_the_protocol);
        return g_test_run();
}
