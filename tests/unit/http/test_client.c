#include "harness.h"

#include "base/files.h"
#include "http/client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static char *url_of(const Harness *harness, const char *path) {
        return g_strdup_printf("http://127.0.0.1:%u%s",
                               (unsigned) http_server_port(harness->server), path);
}

static void check_get(HttpClient *client, const Harness *harness, const char *path, int status,
                      const char *body) {
        g_autoptr(GError) error = NULL;
        g_auto(HttpReply) reply = { 0 };
        g_autofree char *url = url_of(harness, path);
        g_assert_true(http_call(client, &(HttpCall){ .method = "GET", .url = url }, NULL, &reply,
                                &error));
        g_assert_no_error(error);
        g_assert_cmpint(reply.status, ==, status);
        g_assert_cmpstr(reply.body, ==, body);
}

static void calls_and_keeps_the_connection(void) {
        g_autoptr(Harness) harness = harness_new(NULL);
        g_autoptr(HttpClient) client = http_client_new(&(HttpClientSpec){ 0 });
        for (int i = 0; i < 5; i++)
                check_get(client, harness, "/hello", 200, "hello");
        HttpServerStats stats;
        http_server_stats(harness->server, &stats);
        g_assert_cmpuint(stats.accepted, ==, 1);
}

typedef struct {
        size_t left, taken;
        int status;
        bool fails;
} Flow;

static ssize_t produce(void *ret, size_t length, void *data, GError **error) {
        Flow *flow = data;
        if (flow->fails && flow->left < 1000) {
                g_set_error_literal(error, ERROR, ERROR_STALE, "source says no");
                return -1;
        }
        size_t piece = MIN(length, flow->left);
        memset(ret, 'x', piece);
        flow->left -= piece;
        return (ssize_t) piece;
}

static bool consume(const void *bytes, size_t length, void *data, GError **error) {
        Flow *flow = data;
        g_assert_cmpint(flow->status, ==, 200); /* the head came first */
        flow->taken += length;
        return true;
}

static bool look(const HttpReply *reply, void *data, GError **error) {
        Flow *flow = data;
        flow->status = reply->status;
        g_assert_nonnull(http_reply_header(reply, "date"));
        return true;
}

static void streams_both_ways(void) {
        g_autoptr(Harness) harness = harness_new(NULL);
        g_autoptr(HttpClient) client = http_client_new(&(HttpClientSpec){ 0 });
        g_autofree char *url = url_of(harness, "/echo");
        for (int64_t length = 0; length <= 3000000; length += 3000000) {
                g_autoptr(GError) error = NULL;
                g_auto(HttpReply) reply = { 0 };
                Flow flow = { .left = 3000000 };
                HttpCall call = { .method = "PUT",
                                  .url = url,
                                  .source = produce,
                                  .source_length = length,
                                  .sink = consume,
                                  .head = look,
                                  .data = &flow };
                g_assert_true(http_call(client, &call, NULL, &reply, &error));
                g_assert_no_error(error);
                g_assert_cmpuint(flow.taken, ==, 3000000);
        }
}

static void fails_with_the_callbacks_error(void) {
        g_autoptr(Harness) harness = harness_new(NULL);
        g_autoptr(HttpClient) client = http_client_new(&(HttpClientSpec){ 0 });
        g_autofree char *url = url_of(harness, "/echo");
        g_autoptr(GError) error = NULL;
        g_auto(HttpReply) reply = { 0 };
        Flow flow = { .left = 200000, .fails = true };
        HttpCall call = { .method = "POST", .url = url, .source = produce, .data = &flow };
        g_assert_false(http_call(client, &call, NULL, &reply, &error));
        g_assert_error(error, ERROR, ERROR_STALE);
        harness_wait(harness, &harness->bodies_cut, 1);
}

static void limits_what_it_collects(void) {
        g_autoptr(Harness) harness = harness_new(NULL);
        g_autoptr(HttpClient) client = http_client_new(&(HttpClientSpec){ 0 });
        g_autofree char *url = url_of(harness, "/big?n=100000&type=application/json");
        HttpCall call = { .method = "GET", .url = url, .reply_max = 99999 };
        for (int i = 0; i < 2; i++, call.reply_max++) {
                g_autoptr(GError) error = NULL;
                g_auto(HttpReply) reply = { 0 };
                bool ok = http_call(client, &call, NULL, &reply, &error);
                g_assert_cmpint(ok, ==, i);
                g_assert_true(ok || error_is(error, ERROR_LIMIT));
                g_assert_true(!ok || reply.length == 100000);
        }
}

static void reports_what_went_wrong(void) {
        g_autoptr(Harness) harness = harness_new(NULL);
        static const struct {
                const char *url;
                int code;
        } cases[] = {
                { "http://127.0.0.1:1/", ERROR_UNAVAILABLE },
                { "http://nowhere.invalid/", ERROR_UNAVAILABLE },
                { "ftp://127.0.0.1/", ERROR_INVALID },
                { "/abort", ERROR_UNAVAILABLE },
        };
        g_autoptr(HttpClient) client = http_client_new(&(HttpClientSpec){ .no_proxy = true });
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(GError) error = NULL;
                g_auto(HttpReply) reply = { 0 };
                g_autofree char *url = *cases[i].url == '/' ? url_of(harness, cases[i].url)
                                                            : g_strdup(cases[i].url);
                HttpCall call = { .method = "GET", .url = url };
                g_assert_false(http_call(client, &call, NULL, &reply, &error));
                g_assert_error(error, ERROR, cases[i].code);
        }
}

static void gives_up_in_time(void) {
        g_autoptr(Harness) harness = harness_new(NULL);
        g_autofree char *url = url_of(harness, "/wait");
        HttpClientSpec specs[] = {
                { .response_timeout = 30 * DURATION_MILLISECOND },
                { .total_timeout = 30 * DURATION_MILLISECOND },
        };
        for (size_t i = 0; i < G_N_ELEMENTS(specs); i++) {
                g_autoptr(GError) error = NULL;
                g_auto(HttpReply) reply = { 0 };
                g_autoptr(HttpClient) client = http_client_new(&specs[i]);
                HttpCall call = { .method = "GET", .url = url };
                g_assert_false(http_call(client, &call, NULL, &reply, &error));
                g_assert_error(error, ERROR, ERROR_TIMEOUT);
        }
}

static void can_be_cancelled_at_any_moment(void) {
        g_autoptr(Harness) harness = harness_new(NULL);
        g_autoptr(HttpClient) client = http_client_new(&(HttpClientSpec){ 0 });
        static const char *const paths[] = { "/wait", "/hello", "/pieces?n=100000", "/stream" };
        for (int i = 0; i < 200; i++) {
                g_autoptr(GError) error = NULL;
                g_auto(HttpReply) reply = { 0 };
                g_autofree char *url = url_of(harness, paths[i % 4]);
                g_autoptr(Cancel) cancel = cancel_new_deadline(NULL, i * 20000 /* 20 µs */);
                HttpCall call = { .method = "GET", .url = url };
                if (!http_call(client, &call, cancel, &reply, &error))
                        g_assert_error(error, ERROR, ERROR_TIMEOUT);
        }
        check_get(client, harness, "/hello", 200, "hello");
}

/* A server that answers one connection with fixed bytes. */
typedef struct {
        int listener;
        const char *answer;
        uint16_t port;
        pthread_t thread;
} Fixed;

static void *answer_raw(void *data) {
        Fixed *fixed = data;
        autofd fd = accept4(fixed->listener, NULL, NULL, SOCK_CLOEXEC);
        g_free(raw_read_until(fd, "\r\n\r\n"));
        raw_send(fd, fixed->answer);
        shutdown(fd, SHUT_WR);
        g_free(raw_read_all(fd));
        return NULL;
}

static void fixed_start(Fixed *fixed) {
        struct sockaddr_in address = { .sin_family = AF_INET,
                                       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t length = sizeof address;
        fixed->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        g_assert_cmpint(bind(fixed->listener, (struct sockaddr *) &address, length), ==, 0);
        g_assert_cmpint(listen(fixed->listener, 1), ==, 0);
        getsockname(fixed->listener, (struct sockaddr *) &address, &length);
        fixed->port = ntohs(address.sin_port);
        pthread_create(&fixed->thread, NULL, answer_raw, fixed);
}

static void fixed_stop(Fixed *fixed) {
        pthread_join(fixed->thread, NULL);
        close(fixed->listener);
}

static void never_takes_a_cut_answer_for_whole(void) {
        static const struct {
                const char *answer;
                int code; /* -1: succeeds */
        } cases[] = {
                { "", ERROR_UNAVAILABLE },
                { "HTTP/1.1 200 OK\r\nContent-Le", ERROR_UNAVAILABLE },
                { "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfour", ERROR_UNAVAILABLE },
                { "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nfour\r\n",
                  ERROR_UNAVAILABLE },
                { "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nfour", -1 },
                { "HTTP/1.1 200 OK\r\n\r\nfour", -1 },
        };
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(GError) error = NULL;
                g_auto(HttpReply) reply = { 0 };
                g_autoptr(HttpClient) client = http_client_new(&(HttpClientSpec){ 0 });
                Fixed fixed = { .answer = cases[i].answer };
                fixed_start(&fixed);
                g_autofree char *url = g_strdup_printf("http://127.0.0.1:%u/", fixed.port);
                bool ok = http_call(client, &(HttpCall){ .method = "GET", .url = url }, NULL,
                                    &reply, &error);
                g_clear_pointer(&client, http_client_free);
                fixed_stop(&fixed);
                g_test_message("%zu: %s", i, error ? error->message : "ok");
                g_assert_cmpint(ok, ==, cases[i].code < 0);
                g_assert_true(ok || error_is(error, (ErrorCode) cases[i].code));
        }
}

/* ---- taking over ---- */

typedef struct {
        HttpReply reply;
        int fd;
        char *rest;
        size_t rest_length;
} Taken;

static void taken_clear(Taken *taken) {
        http_reply_clear(&taken->reply);
        fd_close(taken->fd);
        g_free(taken->rest);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Taken, taken_clear)

static bool take_over(HttpClient *client, const char *url, Cancel *cancel, Taken *taken,
                      GError **error) {
        HttpCall call = { .method = "POST", .url = url, .body = "{}", .body_length = 2 };
        return http_take_over(client, &call, cancel, &taken->reply, &taken->fd, &taken->rest,
                              &taken->rest_length, error);
}

static void takes_the_raw_connection(void) {
        g_autoptr(Harness) harness = harness_new(NULL);
        g_autoptr(HttpClient) client = http_client_new(&(HttpClientSpec){ 0 });
        const char *const hosts[] = { "127.0.0.1", "localhost" };
        for (size_t i = 0; i < G_N_ELEMENTS(hosts); i++) {
                g_autoptr(GError) error = NULL;
                g_auto(Taken) taken = { .fd = -1 };
                g_autofree char *url = g_strdup_printf(
                        "http://%s:%u/hijack", hosts[i],
                        (unsigned) http_server_port(harness->server));
                g_assert_true(take_over(client, url, NULL, &taken, &error));
                g_assert_no_error(error);
                g_assert_cmpint(taken.reply.status, ==, 101);
                raw_send(taken.fd, "ping");
                g_autofree char *answer = raw_read_until(taken.fd, "ping");
                g_assert_cmpstr(answer, ==, "ping");
        }
}

static void keeps_what_follows_the_head(void) {
        g_autoptr(GError) error = NULL;
        g_autoptr(HttpClient) client = http_client_new(&(HttpClientSpec){ 0 });
        g_auto(Taken) taken = { .fd = -1 };
        Fixed fixed = { .answer = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"
                                  "Transfer-Encoding: chunked\r\n\r\n{\"process_id\":\"1\"}\n" };
        fixed_start(&fixed);
        g_autofree char *url = g_strdup_printf("http://127.0.0.1:%u/x", fixed.port);
        g_assert_true(take_over(client, url, NULL, &taken, &error));
        g_autoptr(GString) all = g_string_new_len(taken.rest, (gssize) taken.rest_length);
        g_autofree char *late = raw_read_all(taken.fd);
        g_string_append(all, late);
        g_assert_cmpstr(all->str, ==, "{\"process_id\":\"1\"}\n");
        fd_close(fd_steal(&taken.fd));
        fixed_stop(&fixed);
}

static void collects_a_refusal(void) {
        static const struct {
                const char *answer;
                int code; /* -1: succeeds with "nope" */
        } cases[] = {
                { "HTTP/1.1 500 No\r\nContent-Length: 4\r\n\r\nnope", -1 },
                { "HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nnope\r\n0\r\n\r\n",
                  -1 },
                { "HTTP/1.1 404 No\r\n\r\nnope", -1 },
                { "HTTP/1.1 404 No\r\nContent-Length: 5\r\n\r\nnope", ERROR_UNAVAILABLE },
                { "HTTP/1.1 404 No\r\nTransfer-Encoding: chunked\r\n\r\nzz", ERROR_PROTOCOL },
                { "SSH-2.0-x\r\n\r\n", ERROR_PROTOCOL },
                { "HTTP/1.1 200 OK\r\nbad line\r\n\r\n", ERROR_PROTOCOL },
                { "HTTP/1.1 200 OK\r\n", ERROR_UNAVAILABLE },
        };
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(GError) error = NULL;
                g_autoptr(HttpClient) client = http_client_new(&(HttpClientSpec){ 0 });
                g_auto(Taken) taken = { .fd = -1 };
                Fixed fixed = { .answer = cases[i].answer };
                fixed_start(&fixed);
                g_autofree char *url = g_strdup_printf("http://127.0.0.1:%u/x", fixed.port);
                bool ok = take_over(client, url, NULL, &taken, &error);
                fixed_stop(&fixed);
                g_test_message("%zu: %s", i, error ? error->message : "ok");
                g_assert_cmpint(ok, ==, cases[i].code < 0);
                g_assert_cmpint(taken.fd, ==, -1);
                if (ok)
                        g_assert_cmpstr(taken.reply.body, ==, "nope");
                else
                        g_assert_error(error, ERROR, cases[i].code);
        }
}

static void gives_up_taking_over_when_cancelled(void) {
        g_autoptr(Harness) harness = harness_new(NULL);
        g_autoptr(HttpClient) client = http_client_new(&(HttpClientSpec){ 0 });
        g_autofree char *url = url_of(harness, "/wait");
        for (int i = 0; i < 20; i++) {
                g_autoptr(GError) error = NULL;
                g_auto(Taken) taken = { .fd = -1 };
                g_autoptr(Cancel) cancel = cancel_new_deadline(NULL, i * 100000 /* 100 µs */);
                g_assert_false(take_over(client, url, cancel, &taken, &error));
                g_assert_error(error, ERROR, ERROR_TIMEOUT);
        }
        g_autoptr(GError) error = NULL;
        g_auto(Taken) taken = { .fd = -1 };
        g_assert_false(take_over(client, "https://127.0.0.1:1/", NULL, &taken, &error));
        g_assert_error(error, ERROR, ERROR_UNSUPPORTED);
}

static void calls_over_a_unix_socket(void) {
        g_autofree char *directory = g_dir_make_tmp("http-XXXXXX", NULL);
        g_autofree char *path = g_build_filename(directory, "socket", NULL);
        {
                g_autoptr(Harness) harness = harness_new(
                        &(HttpServerSpec){ .unix_path = path, .unix_mode = 0600 });
                g_autoptr(HttpClient)
                        client = http_client_new(&(HttpClientSpec){ .unix_path = path });
                g_autoptr(GError) error = NULL;
                g_auto(Taken) taken = { .fd = -1 };
                check_get(client, harness, "/hello", 200, "hello");
                g_assert_true(take_over(client, "http://worker/hijack", NULL, &taken, &error));
                raw_send(taken.fd, "ping");
                g_autofree char *answer = raw_read_until(taken.fd, "ping");
                g_assert_cmpstr(answer, ==, "ping");
        }
        rmdir(directory);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/client/keep-alive", calls_and_keeps_the_connection);
        g_test_add_func("/client/streams", streams_both_ways);
        g_test_add_func("/client/callback-error", fails_with_the_callbacks_error);
        g_test_add_func("/client/reply-max", limits_what_it_collects);
        g_test_add_func("/client/errors", reports_what_went_wrong);
        g_test_add_func("/client/timeouts", gives_up_in_time);
        g_test_add_func("/client/cancel", can_be_cancelled_at_any_moment);
        g_test_add_func("/client/cut", never_takes_a_cut_answer_for_whole);
        g_test_add_func("/client/take-over", takes_the_raw_connection);
        g_test_add_func("/client/take-over/rest", keeps_what_follows_the_head);
        g_test_add_func("/client/take-over/refused", collects_a_refusal);
        g_test_add_func("/client/take-over/cancel", gives_up_taking_over_when_cancelled);
        g_test_add_func("/client/unix", calls_over_a_unix_socket);
        return g_test_run();
}
