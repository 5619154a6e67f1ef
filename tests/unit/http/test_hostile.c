/* What strangers send and do. */
#include "harness.h"

#include "base/files.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define HOST "Host: x\r\n"
#define CLOSE "Connection: close\r\n"
#define POST "POST /echo HTTP/1.1\r\n" HOST
#define NEXT "GET /hello HTTP/1.1\r\n" HOST "\r\n"
#define MILLISECONDS(number) ((number) *DURATION_MILLISECOND)

typedef struct {
        int status;
        const char *request;
        size_t length; /* 0: a NUL-terminated text */
} Malformed;

#define NULS "GET / HTTP/1.1\r\n" HOST "A: b\0c\r\n\r\n"

static const Malformed malformed[] = {
        { 400, POST "Content-Length: 44, 3\r\n\r\nabc" },
        { 400, POST "Content-Length: 44\r\nContent-Length: 3\r\n\r\nabc" },
        { 400, POST "Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc" },
        { 400, POST "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" },
        { 400, POST "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n" },
        { 400, POST "Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n" },
        { 501, POST "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" },
        { 400, POST "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n" },
        { 400, POST "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n" },
        { 400, POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" },
        { 400, POST "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n" },
        { 400, POST "Transfer-Encoding:\r\n\r\n0\r\n\r\n" },
        { 400, POST "Transfer-Encoding: \x0b"
                    "chunked\r\n\r\n0\r\n\r\n" },
        { 400, "POST /echo HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" },
        { 400, POST "Content-Length: -5\r\n\r\nabc" },
        { 400, POST "Content-Length: +3\r\n\r\nabc" },
        { 400, POST "Content-Length: 0x3\r\n\r\nabc" },
        { 400, POST "Content-Length:\r\n\r\nabc" },
        { 400, POST "Content-Length: 3 3\r\n\r\nabc" },
        { 400, POST "Content-Length: 18446744073709551619\r\n\r\nabc" },
        { 400, POST "Content-Length: 9223372036854775808\r\n\r\nabc" },
        { 400, POST "Transfer-Encoding: chunked\r\n\r\n-1\r\nabc\r\n0\r\n\r\n" },
        { 400, POST "Transfer-Encoding: chunked\r\n\r\n+3\r\nabc\r\n0\r\n\r\n" },
        { 400, POST "Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n" },
        { 400, POST "Transfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n0\r\n\r\n" },
        { 400, POST "Transfer-Encoding: chunked\r\n\r\n\r\nabc\r\n0\r\n\r\n" },
        { 400, POST "Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\nabc\r\n0\r\n\r\n" },
        { 400, POST "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nabc\r\n0\r\n\r\n" },
        { 400, POST "Transfer-Encoding: chunked\r\n\r\n00000000000000003\r\nabc\r\n0\r\n\r\n" },
        { 400, POST "Transfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n" },
        { 400, POST "Transfer-Encoding: chunked\r\n\r\n3 \r\nabc\r\n0\r\n\r\n" },
        { 400, POST "Transfer-Encoding: chunked\r\n\r\n3;a\nb\r\nabc\r\n0\r\n\r\n" },
        { 400, POST "Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n" },
        { 400, POST "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\n0\r\n\r\n" },
        { 400, POST "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\n" },
        { 400, POST "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nno colon\r\n\r\n" },
        { 400, "GET / HTTP/1.1\n" HOST "\r\n" },
        { 400, "GET / HTTP/1.1\r\nHost: x\n\r\n" },
        { 400, "GET / HTTP/1.1\r\n" HOST "\n" },
        { 400, "GET / HTTP/1.1\r\n" HOST "A: b\rc\r\n\r\n" },
        { 400, "GET / HTTP/1.1\r" HOST "\r\n\r\n" },
        { 400, NULS, sizeof NULS - 1 },
        { 400, "GET / HTTP/1.1\r\n" HOST "A: \x01\r\n\r\n" },
        { 400, "GET / HTTP/1.1\r\n" HOST "A: \x7f\r\n\r\n" },
        { 400, "GET / HTTP/1.1\r\n" HOST "no colon\r\n\r\n" },
        { 400, "GET / HTTP/1.1\r\n" HOST ": empty\r\n\r\n" },
        { 400, "GET / HTTP/1.1\r\n" HOST "A B: c\r\n\r\n" },
        { 400, "GET / HTTP/1.1\r\n" HOST "\xc3\xa9: c\r\n\r\n" },
        { 400, "GET / HTTP/1.1\r\n " HOST "\r\n" },
        { 400, "GET / HTTP/1.1\r\n" HOST "A: b\r\n folded\r\n\r\n" },
        { 400, "GET / HTTP/1.1\r\n" HOST "A: b\r\n\tfolded\r\n\r\n" },
        { 400, "GET / HTTP/1.1\r\n\r\n" },
        { 400, "GET / HTTP/1.1\r\n" HOST HOST "\r\n" },
        { 400, "GET / HTTP/1.0\r\n" HOST HOST "\r\n" },
        { 400, "GET / HTTP/1.1\r\nHost: x y\r\n\r\n" },
        { 400, "GET / HTTP/1.1\r\nHost: x/y\r\n\r\n" },
        { 505, "GET / HTTP/0.9\r\n" HOST "\r\n" },
        { 505, "GET / HTTP/1.2\r\n" HOST "\r\n" },
        { 505, "GET / HTTP/2.0\r\n" HOST "\r\n" },
        { 400, "GET /\r\n" HOST "\r\n" },
        { 400, "GET / http/1.1\r\n" HOST "\r\n" },
        { 400, "GET / HTTP/1.10\r\n" HOST "\r\n" },
        { 400, "GET / HTTP/1.1 \r\n" HOST "\r\n" },
        { 400, "GET  / HTTP/1.1\r\n" HOST "\r\n" },
        { 400, "GET /a b HTTP/1.1\r\n" HOST "\r\n" },
        { 400, " GET / HTTP/1.1\r\n" HOST "\r\n" },
        { 400, "G(T / HTTP/1.1\r\n" HOST "\r\n" },
        { 400, "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG / HTTP/1.1\r\n" HOST "\r\n" },
        { 400, "\r\n\r\nGET / HTTP/1.1\r\n" HOST "\r\n" },
        { 400, "GET hello HTTP/1.1\r\n" HOST "\r\n" },
        { 400, "GET * HTTP/1.1\r\n" HOST "\r\n" },
        { 400, "CONNECT x:80 HTTP/1.1\r\n" HOST "\r\n" },
        { 400, "GET http://other/ HTTP/1.1\r\n" HOST "\r\n" },
        { 400, "GET http://x HTTP/1.1\r\n" HOST "\r\n" },
        { 400, "GET /%zz HTTP/1.1\r\n" HOST "\r\n" },
        { 400, "GET /%4 HTTP/1.1\r\n" HOST "\r\n" },
        { 400, "GET /a%00b HTTP/1.1\r\n" HOST "\r\n" },
        { 400, "GET /a/../b HTTP/1.1\r\n" HOST "\r\n" },
        { 400, "GET /a/%2e%2E/b HTTP/1.1\r\n" HOST "\r\n" },
        { 400, "GET /a%2f..%2fb HTTP/1.1\r\n" HOST "\r\n" },
        { 400, "GET /#x HTTP/1.1\r\n" HOST "\r\n" },
        { 400, "GET /\xc3\xa9 HTTP/1.1\r\n" HOST "\r\n" },
        { 417, POST "Content-Length: 3\r\nExpect: tea\r\n\r\nabc" },
};

static void check_refused(Harness *harness, const char *request, size_t length, int status) {
        unsigned before = harness->handled;
        g_autofree char *expected = g_strdup_printf("HTTP/1.1 %d ", status);
        autofd fd = raw_connect(harness);
        raw_send_bytes(fd, request, length);
        raw_send(fd, NEXT);
        g_autofree char *answer = raw_read_all(fd);
        if (!g_str_has_prefix(answer, expected))
                g_test_message("%s%s", request, answer);
        g_assert_true(g_str_has_prefix(answer, expected));
        g_assert_nonnull(strstr(answer, "Connection: close\r\n"));
        g_assert_null(strstr(answer + 1, "HTTP/1.1 ")); /* one answer */
        g_assert_cmpuint(harness->handled, ==, before); /* and nothing executed */
}

static void refuses_what_is_malformed_and_executes_nothing_after_it(void) {
        g_autoptr(Harness) harness = harness_new(NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(malformed); i++) {
                const Malformed *each = &malformed[i];
                size_t length = each->length ? each->length : strlen(each->request);
                check_refused(harness, each->request, length, each->status);
        }
}

static void accepts_what_only_looks_odd(void) {
        static const char *const requests[] = {
                "\r\nGET /hello HTTP/1.1\r\n" HOST CLOSE "\r\n",
                "GET /hello HTTP/1.1\r\nHost:x\r\nConnection:close\r\n\r\n",
                "GET /hello HTTP/1.1\r\nhOST:  x \t\r\n" CLOSE "\r\n",
                "GET http://x/hello HTTP/1.1\r\n" HOST CLOSE "\r\n",
                "GET /hello HTTP/1.1\r\nHost:\r\n" CLOSE "\r\n",
                "GET /hello HTTP/1.1\r\n" HOST "A: caf\xc3\xa9\r\n" CLOSE "\r\n",
                "GET /hello/a..b HTTP/1.1\r\n" HOST CLOSE "\r\n",
                "POST /hello HTTP/1.1\r\n" HOST CLOSE "Transfer-Encoding: Chunked\r\n\r\n"
                "0003;a=\"b\"\r\nabc\r\n0\r\nTrailer: x\r\n\r\n",
        };
        g_autoptr(Harness) harness = harness_new(NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(requests); i++) {
                g_autofree char *answer = raw_exchange(harness, requests[i]);
                g_assert_true(g_str_has_prefix(answer, "HTTP/1.1 200 "));
                g_assert_true(g_str_has_suffix(answer, "hello"));
        }
}

static void refuses_what_is_too_long(void) {
        g_autoptr(Harness) harness = harness_new(NULL);
        g_autofree char *long_text = g_strnfill(17 * 1024, 'a');
        g_autofree char *extension = g_strnfill(257, 'e');
        g_autoptr(GString) fields = g_string_new("GET / HTTP/1.1\r\n" HOST);
        g_autoptr(GString) wide = g_string_new("GET / HTTP/1.1\r\n" HOST);
        for (int i = 0; i < 128; i++)
                g_string_append(fields, "A: b\r\n");
        for (int i = 0; i < 4; i++)
                g_string_append_printf(wide, "A: %s\r\n", long_text);
        g_string_append(fields, "\r\n");
        g_string_append(wide, "\r\n");
        g_autofree char *target = g_strdup_printf("GET /%s HTTP/1.1\r\n" HOST "\r\n", long_text);
        g_autofree char *chunk = g_strdup_printf(
                POST "Transfer-Encoding: chunked\r\n\r\n3;%s\r\nabc\r\n0\r\n\r\n", extension);
        check_refused(harness, target, strlen(target), 414);
        check_refused(harness, fields->str, fields->len, 431);
        check_refused(harness, wide->str, wide->len, 431);
        check_refused(harness, chunk, strlen(chunk), 400);
}

static void gives_up_on_slow_senders(void) {
        static const struct {
                const char *sent, *answer;
        } cases[] = {
                { "", "" },
                { "GET / HT", "HTTP/1.1 408 " },
                { POST "Content-Length: 3\r\n\r\nab", "HTTP/1.1 408 " },
                { POST "Transfer-Encoding: chunked\r\n\r\n3\r\na", "HTTP/1.1 408 " },
                { POST "Content-Length: 99999\r\n\r\nab",
                  "HTTP/1.1 400 " },       /* its handler says so */
                { NEXT, "HTTP/1.1 200 " }, /* then idle */
        };
        g_autoptr(Harness)
                harness = harness_new(&(HttpServerSpec){ .header_timeout = MILLISECONDS(60),
                                                         .idle_timeout = MILLISECONDS(60),
                                                         .progress_timeout = MILLISECONDS(60) });
        int fds[G_N_ELEMENTS(cases) * 50];
        for (size_t i = 0; i < G_N_ELEMENTS(fds); i++) {
                fds[i] = raw_connect(harness);
                raw_send(fds[i], cases[i % G_N_ELEMENTS(cases)].sent);
        }
        for (size_t i = 0; i < G_N_ELEMENTS(fds); i++) {
                g_autofree char *answer = raw_read_all(fds[i]);
                const char *expected = cases[i % G_N_ELEMENTS(cases)].answer;
                g_assert_true(g_str_has_prefix(answer, expected));
                g_assert_true(*expected || !*answer);
                close(fds[i]);
        }
        harness_wait_idle(harness);
}

static void never_takes_a_cut_upload_for_whole(void) {
        static const char upload[] = POST
                "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n"
                "3\r\nabc\r\n5;x=y\r\ndefgh\r\n0\r\nT: x\r\n\r\n";
        static const char sized[] = POST "Content-Length: 10\r\n\r\n0123456789";
        static const struct {
                const char *text;
                size_t length;
        } uploads[] = { { upload, sizeof upload - 1 }, { sized, sizeof sized - 1 } };
        g_autoptr(Harness) harness = harness_new(NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(uploads); i++)
                for (size_t cut = 0; cut < uploads[i].length; cut++) {
                        autofd fd = raw_connect(harness);
                        raw_send_bytes(fd, uploads[i].text, cut);
                        shutdown(fd, SHUT_WR);
                        g_autofree char *answer = raw_read_all(fd);
                        g_assert_null(strstr(answer, "HTTP/1.1 200"));
                }
        harness_wait_idle(harness);
        g_assert_cmpuint(harness->bodies_whole, ==, 0);
        g_assert_cmpuint(harness->bodies_cut, >, 0);
}

static void reset(int fd) {
        struct linger now = { .l_onoff = 1 };
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
        close(fd);
}

static void leaves_no_descriptor_behind(void) {
        static const char *const beginnings[] = {
                "",
                "GET /hel",
                NEXT,
                POST "Content-Length: 30\r\n\r\nabc",
                POST "Content-Length: 300000\r\n\r\nabc",
                POST "Transfer-Encoding: chunked\r\n\r\n5\r\nab",
                "GET /pieces?n=20000 HTTP/1.1\r\n" HOST "\r\n",
                "GET /big?n=3000000 HTTP/1.1\r\n" HOST "\r\n",
                "GET /wait HTTP/1.1\r\n" HOST "\r\n",
                "GET /hijack HTTP/1.1\r\n" HOST "\r\nabc",
                "GET /abort HTTP/1.1\r\n" HOST "\r\n",
                "bad\r\n",
        };
        g_autoptr(Harness) harness = harness_new(NULL);
        unsigned before = open_descriptors();
        for (unsigned i = 0; i < 6000; i++) {
                int fd = raw_connect(harness);
                raw_send(fd, beginnings[i % G_N_ELEMENTS(beginnings)]);
                if (i % 3 == 0)
                        reset(fd);
                else if (i % 3 == 1)
                        close(fd);
                else {
                        shutdown(fd, SHUT_WR);
                        g_free(raw_read_all(fd));
                        close(fd);
                }
        }
        harness_wait_idle(harness);
        HttpServerStats stats;
        http_server_stats(harness->server, &stats);
        g_assert_cmpuint(stats.queued_bytes, ==, 0);
        g_assert_cmpuint(stats.streams, ==, 0);
        g_assert_cmpuint(open_descriptors(), <=, before + 8); /* tokens of handlers that end now */
}

static void recovers_when_descriptors_run_out(void) {
        g_autoptr(Harness) harness = harness_new(NULL);
        struct rlimit limit;
        getrlimit(RLIMIT_NOFILE, &limit);
        autofd first = raw_connect(harness);
        raw_send(first, NEXT);
        g_free(raw_read_until(first, "hello"));
        autofd second = raw_socket(harness);
        int next = dup(first); /* the lowest number that is free: from here on none is */
        struct rlimit low = { .rlim_cur = (rlim_t) next, .rlim_max = limit.rlim_max };
        close(next);
        setrlimit(RLIMIT_NOFILE, &low);
        raw_connect_socket(harness, second);
        g_autofree char *refused = raw_read_all(second);
        raw_send(first, NEXT); /* who is inside is served */
        g_autofree char *inside = raw_read_until(first, "hello");
        setrlimit(RLIMIT_NOFILE, &limit);
        g_assert_true(g_str_has_prefix(refused, "HTTP/1.1 503 "));
        g_assert_nonnull(inside);
        g_autofree char *after = raw_exchange(harness, "GET /hello HTTP/1.1\r\n" HOST CLOSE "\r\n");
        g_assert_true(g_str_has_suffix(after, "hello"));
}

static void refuses_connections_beyond_its_limits(void) {
        HttpServerSpec specs[] = { { .connections_max = 2 }, { .connections_max_per_address = 2 } };
        for (size_t i = 0; i < G_N_ELEMENTS(specs); i++) {
                g_autoptr(Harness) harness = harness_new(&specs[i]);
                int first = raw_connect(harness), second = raw_connect(harness);
                autofd third = raw_connect(harness);
                g_autofree char *refused = raw_read_all(third);
                g_assert_true(g_str_has_prefix(refused, "HTTP/1.1 503 "));
                close(first);
                close(second);
                harness_wait_idle(harness);
                g_autofree char *answer = raw_exchange(harness,
                                                       "GET /hello HTTP/1.1\r\n" HOST CLOSE "\r\n");
                g_assert_true(g_str_has_suffix(answer, "hello"));
        }
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/hostile/malformed",
                        refuses_what_is_malformed_and_executes_nothing_after_it);
        g_test_add_func("/hostile/odd", accepts_what_only_looks_odd);
        g_test_add_func("/hostile/too-long", refuses_what_is_too_long);
        g_test_add_func("/hostile/slow", gives_up_on_slow_senders);
        g_test_add_func("/hostile/cut-upload", never_takes_a_cut_upload_for_whole);
        g_test_add_func("/hostile/census", leaves_no_descriptor_behind);
        g_test_add_func("/hostile/emfile", recovers_when_descriptors_run_out);
        g_test_add_func("/hostile/limits", refuses_connections_beyond_its_limits);
        return g_test_run();
}
