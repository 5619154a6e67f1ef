#include "harness.h"

#include "base/files.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HOST "Host: x\r\n"
#define CLOSE "Connection: close\r\n"

static void check_begins(const char *text, const char *prefix) {
        if (!text || !g_str_has_prefix(text, prefix))
                g_test_message("expected '%s', got '%s'", prefix, text ? text : "(null)");
        g_assert_true(text && g_str_has_prefix(text, prefix));
}

static void check_contains(const char *text, const char *piece) {
        if (!strstr(text, piece))
                g_test_message("expected '%s' in '%s'", piece, text);
        g_assert_nonnull(strstr(text, piece));
}

static void answers_and_keeps_the_connection(void) {
        g_autoptr(Harness) harness = harness_new(NULL);
        autofd fd = raw_connect(harness);
        for (int i = 0; i < 3; i++) {
                raw_send(fd, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
                g_autofree char *answer = raw_read_until(fd, "hello");
                check_begins(answer, "HTTP/1.1 200 OK\r\nDate: ");
                check_contains(answer, "Content-Length: 5\r\n");
        }
        HttpServerStats stats;
        http_server_stats(harness->server, &stats);
        g_assert_cmpuint(stats.accepted, ==, 1);
        g_assert_cmpuint(stats.requests, ==, 3);
}

static void answers_pipelined_requests_in_order(void) {
        g_autoptr(Harness) harness = harness_new(NULL);
        g_autofree char *answer = raw_exchange(
                harness,
                "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nonePOST /echo "
                "HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n3\r\ntwo\r\n0\r\n\r\n"
                "GET /hello HTTP/1.1\r\n" HOST CLOSE "\r\nGET /hello HTTP/1.1\r\n" HOST "\r\n");
        const char *one = strstr(answer, "\r\n\r\none");
        g_assert_nonnull(one);
        const char *two = strstr(one, "\r\n\r\ntwo");
        g_assert_nonnull(two);
        const char *three = strstr(two, "\r\n\r\nhello");
        g_assert_nonnull(three);
        check_contains(two, "Connection: close");
        g_assert_cmpstr(three, ==, "\r\n\r\nhello"); /* nothing after the close */
        g_assert_cmpuint(harness->handled, ==, 3);
}

static void answers_head_without_a_body(void) {
        g_autoptr(Harness) harness = harness_new(NULL);
        g_autofree char *answer = raw_exchange(harness,
                                               "HEAD /hello HTTP/1.1\r\n" HOST CLOSE "\r\n");
        check_contains(answer, "Content-Length: 5\r\n");
        g_assert_true(g_str_has_suffix(answer, "\r\n\r\n"));
        g_autofree char *pieces = raw_exchange(harness,
                                               "HEAD /pieces?n=3 HTTP/1.1\r\n" HOST CLOSE "\r\n");
        g_assert_true(g_str_has_suffix(pieces, "\r\n\r\n"));
}

static void asks_for_the_body_when_the_client_waits(void) {
        g_autoptr(Harness) harness = harness_new(NULL);
        autofd fd = raw_connect(harness);
        raw_send(fd, "POST /echo HTTP/1.1\r\n" HOST
                     "Content-Length: 4\r\nExpect: 100-continue\r\n\r\n");
        g_autofree char *interim = raw_read_until(fd, "\r\n\r\n");
        g_assert_cmpstr(interim, ==, "HTTP/1.1 100 Continue\r\n\r\n");
        raw_send(fd, "body");
        g_autofree char *answer = raw_read_until(fd, "body");
        check_begins(answer, "HTTP/1.1 200 OK\r\n");
}

static void refuses_before_the_body_is_sent(void) {
        g_autoptr(Harness) harness = harness_new(&(HttpServerSpec){ .body_max = 10 });
        g_autofree char *answer = raw_exchange(
                harness, "POST /echo HTTP/1.1\r\n" HOST
                         "Content-Length: 11\r\nExpect: 100-continue\r\n\r\n");
        check_begins(answer, "HTTP/1.1 413 ");
        check_contains(answer, "Connection: close\r\n");
        g_autofree char *chunked = raw_exchange(
                harness, "POST /echo HTTP/1.1\r\n" HOST CLOSE
                         "Transfer-Encoding: chunked\r\n\r\nb\r\n01234567890\r\n0\r\n\r\n");
        check_begins(chunked, "HTTP/1.1 413 ");
}

static void closes_after_http_1_0(void) {
        g_autoptr(Harness) harness = harness_new(NULL);
        g_autofree char *answer = raw_exchange(harness, "GET /hello HTTP/1.0\r\n\r\n");
        check_begins(answer, "HTTP/1.1 200 OK\r\n");
        g_assert_true(g_str_has_suffix(answer, "hello"));
        g_autofree char *pieces = raw_exchange(harness, "GET /pieces?n=2 HTTP/1.0\r\n\r\n");
        g_assert_true(g_str_has_suffix(pieces, "\r\n\r\npiece\npiece\n"));
}

static void reads_past_a_body_nobody_wanted(void) {
        g_autoptr(Harness) harness = harness_new(NULL);
        g_autofree char *answer = raw_exchange(
                harness,
                "POST /ignore HTTP/1.1\r\n" HOST
                "Content-Length: 19\r\n\r\nGET /x HTTP/1.1\r\n\r\nGET /hello HTTP/1.1\r\n" HOST
                        CLOSE "\r\n");
        check_contains(answer, "ignored");
        g_assert_true(g_str_has_suffix(answer, "hello"));
        g_assert_cmpuint(harness->handled, ==, 2);
}

static void sends_pieces_as_chunks(void) {
        g_autoptr(Harness) harness = harness_new(NULL);
        g_autofree char *answer = raw_exchange(harness,
                                               "GET /pieces?n=1 HTTP/1.1\r\n" HOST CLOSE "\r\n");
        check_contains(answer, "Transfer-Encoding: chunked\r\n");
        g_assert_true(g_str_has_suffix(answer, "\r\n\r\n6\r\npiece\n\r\n0\r\n\r\n"));
}

static void cuts_what_cannot_be_finished(void) {
        g_autoptr(Harness) harness = harness_new(NULL);
        g_autofree char *answer = raw_exchange(harness, "GET /abort HTTP/1.1\r\n" HOST "\r\n");
        g_assert_false(g_str_has_suffix(answer, "0\r\n\r\n"));
        g_autofree char *silent = raw_exchange(harness,
                                               "GET /silent HTTP/1.1\r\n" HOST CLOSE "\r\n");
        check_begins(silent, "HTTP/1.1 500 ");
}

static void takes_paths_and_queries_apart(void) {
        g_autoptr(Harness) harness = harness_new(NULL);
        g_autofree char *answer = raw_exchange(
                harness, "GET /api/a%2Fb/c+d?x=1&y=a+b%20c&x=2&bad=%zz&z HTTP/1.1\r\n" HOST CLOSE
                         "Cookie: b=1; a=\"bearer x\"\r\n\r\n");
        check_contains(answer,
                       "{\"path\":\"/api/a%2Fb/c+d\",\"raw\":\"x=1\\u0026y=a+b%20c\\u0026x=2"
                       "\\u0026bad=%zz\\u0026z\",\"segments\":[\"api\",\"a/b\",\"c d\"],\"query\":"
                       "[\"x\",\"1\",\"y\",\"a b c\",\"x\",\"2\",\"z\",\"\"],\"cookie\":\"bearer "
                       "x\"}\n");
        check_contains(answer, "X-Test: one  two: three\r\n"); /* no header of a stranger's */
}

static void takes_over_with_what_was_read_too_far(void) {
        g_autoptr(Harness) harness = harness_new(NULL);
        static const char *const requests[] = {
                "GET /hijack HTTP/1.1\r\n" HOST "\r\nearly",
                "POST /hijack HTTP/1.1\r\n" HOST "Content-Length: 4\r\n\r\nbodyearly",
        };
        for (size_t i = 0; i < G_N_ELEMENTS(requests); i++) {
                autofd fd = raw_connect(harness);
                raw_send(fd, requests[i]);
                g_autofree char *head = raw_read_until(fd, "\r\n\r\n");
                check_begins(head, "HTTP/1.1 101 Switching Protocols\r\n");
                check_contains(head, "Upgrade: tcp\r\n");
                g_autofree char *early = raw_read_until(fd, "early");
                g_assert_cmpstr(early, ==, "early");
                raw_send(fd, "late");
                shutdown(fd, SHUT_WR); /* only half closed: the answer still comes */
                g_autofree char *late = raw_read_all(fd);
                g_assert_cmpstr(late, ==, "late");
        }
        harness_wait_idle(harness);
}

static void tells_handlers_that_the_client_is_gone(void) {
        g_autoptr(Harness) harness = harness_new(NULL);
        int fd = raw_connect(harness);
        raw_send(fd, "GET /wait HTTP/1.1\r\n" HOST "\r\n");
        harness_wait(harness, &harness->handled, 1);
        close(fd);
        harness_wait(harness, &harness->cancelled, 1);
        autofd half = raw_connect(harness);
        raw_send(half, "GET /wait HTTP/1.1\r\n" HOST "\r\n");
        harness_wait(harness, &harness->handled, 2);
        shutdown(half, SHUT_WR);
        harness_wait(harness, &harness->cancelled, 2);
}

static void stops_while_handlers_wait(void) {
        Harness *harness = harness_new(NULL);
        autofd waiting = raw_connect(harness);
        autofd idle = raw_connect(harness);
        autofd hijacked = raw_connect(harness);
        raw_send(waiting, "GET /wait HTTP/1.1\r\n" HOST "\r\n");
        raw_send(hijacked, "GET /hijack HTTP/1.1\r\n" HOST "\r\n");
        harness_wait(harness, &harness->handled, 2);
        http_server_stop(harness->server, 50 * DURATION_MILLISECOND);
        harness->server = NULL;
        g_autofree char *answer = raw_read_all(waiting);
        check_contains(answer, "Connection: close\r\n");
        g_assert_true(g_str_has_suffix(answer, "cancelled"));
        g_autofree char *nothing = raw_read_all(idle);
        g_assert_cmpstr(nothing, ==, "");
        harness_free(harness);
}

static void names_the_address_that_is_taken(void) {
        g_autoptr(Harness) harness = harness_new(NULL);
        g_autoptr(GError) error = NULL;
        HttpServerSpec spec = harness->spec;
        spec.port = http_server_port(harness->server);
        g_autofree char *expected = g_strdup_printf(
                "listen tcp 127.0.0.1:%u: bind: address already in use", (unsigned) spec.port);
        g_assert_null(http_server_start(&spec, &error));
        g_assert_error(error, ERROR, ERROR_EXISTS);
        g_assert_cmpstr(error->message, ==, expected);
}

static void serves_a_unix_socket(void) {
        g_autofree char *directory = g_dir_make_tmp("http-XXXXXX", NULL);
        g_autofree char *path = g_build_filename(directory, "socket", NULL);
        for (int i = 0; i < 2; i++) {
                g_autoptr(Harness) harness = harness_new(
                        &(HttpServerSpec){ .unix_path = path, .unix_mode = 0600 });
                g_autofree char *answer = raw_exchange(harness,
                                                       "GET /hello HTTP/1.1\r\n" HOST CLOSE "\r\n");
                g_assert_true(g_str_has_suffix(answer, "hello"));
        }
        g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
        rmdir(directory);
}

static void compresses_what_is_worth_it(void) {
        static const struct {
                const char *query, *accept;
                bool packed;
        } cases[] = {
                { "n=2000&type=application/json", "gzip", true },
                { "n=2000&type=text/plain", "deflate, gzip;q=0.5", true },
                { "n=2000&type=application/json", "gzip;q=0", false },
                { "n=1000&type=application/json", "gzip", false },
                { "n=2000&type=image/png", "gzip", false },
                { "n=2000&type=application/json", "identity", false },
        };
        g_autoptr(Harness) harness = harness_new(NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autofree char *request = g_strdup_printf("GET /big?%s HTTP/1.1\r\n" HOST CLOSE
                                                           "Accept-Encoding: %s\r\n\r\n",
                                                           cases[i].query, cases[i].accept);
                g_autofree char *answer = raw_exchange(harness, request);
                bool packed = strstr(answer, "Content-Encoding: gzip\r\n");
                g_assert_cmpint(packed, ==, cases[i].packed);
        }
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/server/keep-alive", answers_and_keeps_the_connection);
        g_test_add_func("/server/pipelining", answers_pipelined_requests_in_order);
        g_test_add_func("/server/head", answers_head_without_a_body);
        g_test_add_func("/server/continue", asks_for_the_body_when_the_client_waits);
        g_test_add_func("/server/too-large", refuses_before_the_body_is_sent);
        g_test_add_func("/server/http-1.0", closes_after_http_1_0);
        g_test_add_func("/server/unread-body", reads_past_a_body_nobody_wanted);
        g_test_add_func("/server/chunks", sends_pieces_as_chunks);
        g_test_add_func("/server/abort", cuts_what_cannot_be_finished);
        g_test_add_func("/server/paths", takes_paths_and_queries_apart);
        g_test_add_func("/server/hijack", takes_over_with_what_was_read_too_far);
        g_test_add_func("/server/gone", tells_handlers_that_the_client_is_gone);
        g_test_add_func("/server/stop", stops_while_handlers_wait);
        g_test_add_func("/server/address-taken", names_the_address_that_is_taken);
        g_test_add_func("/server/unix", serves_a_unix_socket);
        g_test_add_func("/server/gzip", compresses_what_is_worth_it);
        return g_test_run();
}
