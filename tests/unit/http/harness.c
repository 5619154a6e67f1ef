#include "harness.h"

#include "base/files.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PATIENCE (20 * DURATION_SECOND)

static void count(Harness *harness, unsigned *counter) {
        mutex_lock(&harness->mutex);
        ++*counter;
        condition_broadcast(&harness->changed);
        mutex_unlock(&harness->mutex);
}

static void echo(HttpRequest *request, Harness *harness) {
        g_autoptr(GError) error = NULL;
        size_t length;
        g_autofree char *body = http_body(request, 0, &length, &error);
        count(harness, body ? &harness->bodies_whole : &harness->bodies_cut);
        if (error_is(error, ERROR_LIMIT))
                http_answer_text(request, 413, "too much");
        else if (!body)
                http_answer_text(request, 400, error->message);
        else
                http_answer(request, 200, "application/octet-stream", body, length);
}

static void stream(HttpRequest *request, Harness *harness) {
        HttpStream *stream = http_stream_begin(request, 200, "text/event-stream; charset=utf-8");
        mutex_lock(&harness->mutex);
        g_ptr_array_add(harness->streams, stream);
        condition_broadcast(&harness->changed);
        mutex_unlock(&harness->mutex);
}

static void hijack(HttpRequest *request) {
        char piece[256];
        ssize_t length;
        http_header_set(request, "Connection", "Upgrade");
        http_header_set(request, "Upgrade", "tcp");
        g_free(http_body(request, 0, NULL, NULL));
        g_autoptr(HttpSocket) socket = http_hijack(request, 101, NULL);
        Cancel *cancel = http_request_cancel(request);
        while ((length = http_socket_read(socket, piece, sizeof piece, cancel, NULL)) > 0)
                if (!http_socket_write(socket, piece, (size_t) length, cancel, NULL))
                        break;
}

static void wait_for_cancel(HttpRequest *request, Harness *harness) {
        cancel_sleep(http_request_cancel(request), PATIENCE, NULL);
        count(harness, &harness->cancelled);
        http_answer_text(request, 200, "cancelled");
}

static void big(HttpRequest *request) {
        size_t length = (size_t) g_ascii_strtoull(http_query(request, "n"), NULL, 10);
        g_autofree char *body = g_malloc(length);
        memset(body, 'x', length);
        http_answer(request, 200, http_query(request, "type"), body, length);
}

static void pieces(HttpRequest *request) {
        size_t pieces = (size_t) g_ascii_strtoull(http_query(request, "n"), NULL, 10);
        http_answer_begin(request, 200, "text/plain");
        for (size_t i = 0; i < pieces; i++)
                if (!http_answer_write(request, "piece\n", 6, NULL))
                        break;
        http_answer_end(request);
}

static void abort_answer(HttpRequest *request) {
        http_answer_begin(request, 200, "text/plain");
        http_answer_write(request, "half", 4, NULL);
        http_answer_abort(request);
}

static void websocket(HttpRequest *request) {
        g_autoptr(WebSocket) socket = websocket_accept(request, "http://good.example", NULL);
        WebSocketKind kind;
        char *data;
        size_t length;
        while (socket && websocket_read(socket, &kind, &data, &length, NULL, NULL)) {
                g_autofree char *owned = data;
                if (kind == WEBSOCKET_CLOSE || !websocket_write(socket, kind, owned, length, NULL))
                        break;
        }
        if (socket)
                websocket_close(socket, 1000, "bye");
}

static void hello(HttpRequest *request) {
        http_answer_text(request, 200, "hello");
}

static void ignore(HttpRequest *request) {
        http_answer_text(request, 200, "ignored");
}

static void silent(HttpRequest *request) {
}

static void describe(HttpRequest *request) {
        g_autoptr(Value) value = value_map();
        Value *segments = value_list();
        Value *query = value_list();
        g_autofree char *cookie = http_cookie(request, "a");
        for (size_t i = 0; http_segment(request, i); i++)
                value_list_add(segments, value_string(http_segment(request, i)));
        for (size_t i = 0; i < http_query_count(request); i++) {
                value_list_add(query, value_string(http_query_name_at(request, i)));
                value_list_add(query, value_string(http_query_value_at(request, i)));
        }
        value_map_set_string(value, "path", http_path(request));
        value_map_set_string(value, "raw", http_query_raw(request));
        value_map_set(value, "segments", segments);
        value_map_set(value, "query", query);
        value_map_set(value, "cookie", value_string(cookie));
        http_header_set(request, "X-Test", "one\r\ntwo: three");
        http_answer_json(request, 200, value);
}

typedef void (*Plain)(HttpRequest *request);
typedef void (*WithHarness)(HttpRequest *request, Harness *harness);

static const struct {
        const char *name;
        Plain plain;
        WithHarness with_harness;
} paths[] = {
        { "hello", hello, NULL },          { "echo", NULL, echo },
        { "stream", NULL, stream },        { "hijack", hijack, NULL },
        { "wait", NULL, wait_for_cancel }, { "big", big, NULL },
        { "pieces", pieces, NULL },        { "ignore", ignore, NULL },
        { "abort", abort_answer, NULL },   { "websocket", websocket, NULL },
        { "silent", silent, NULL },
};

static void handle(HttpRequest *request, void *data) {
        Harness *harness = data;
        count(harness, &harness->handled);
        const char *name = http_segment(request, 0);
        for (size_t i = 0; name && i < G_N_ELEMENTS(paths); i++) {
                if (strcmp(paths[i].name, name) != 0)
                        continue;
                if (paths[i].plain)
                        paths[i].plain(request);
                else
                        paths[i].with_harness(request, harness);
                return;
        }
        describe(request);
}

Harness *harness_new(const HttpServerSpec *spec) {
        g_autoptr(GError) error = NULL;
        Harness *harness = g_new0(Harness, 1);
        if (spec)
                harness->spec = *spec;
        if (!harness->spec.unix_path)
                harness->spec.address = "127.0.0.1";
        harness->spec.handler = handle;
        harness->spec.data = harness;
        harness->streams = g_ptr_array_new();
        mutex_init(&harness->mutex);
        condition_init(&harness->changed);
        harness->server = http_server_start(&harness->spec, &error);
        g_assert_no_error(error);
        return harness;
}

void harness_free(Harness *harness) {
        if (!harness)
                return;
        http_server_stop(harness->server, 5 * DURATION_SECOND);
        for (guint i = 0; i < harness->streams->len; i++)
                http_stream_free(harness->streams->pdata[i]);
        g_ptr_array_unref(harness->streams);
        condition_destroy(&harness->changed);
        mutex_destroy(&harness->mutex);
        g_free(harness);
}

void harness_wait(Harness *harness, const unsigned *counter, unsigned least) {
        Duration deadline = clock_monotonic() + PATIENCE;
        mutex_lock(&harness->mutex);
        while (*counter < least)
                g_assert_true(condition_wait_until(&harness->changed, &harness->mutex, deadline));
        mutex_unlock(&harness->mutex);
}

/* The server tells nobody when a connection is gone, so this looks every millisecond. */
void harness_wait_connections(Harness *harness, uint64_t number) {
        Duration deadline = clock_monotonic() + PATIENCE;
        for (;;) {
                HttpServerStats stats;
                http_server_stats(harness->server, &stats);
                if (stats.connections == number)
                        return;
                g_assert_cmpint(clock_monotonic(), <, deadline);
                poll(NULL, 0, 1);
        }
}

int raw_socket(const Harness *harness) {
        int family = harness->spec.unix_path ? AF_UNIX : AF_INET;
        int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct timeval patience = { .tv_sec = 20 };
        g_assert_cmpint(fd, >=, 0);
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        return fd;
}

void raw_connect_socket(const Harness *harness, int fd) {
        union {
                struct sockaddr any;
                struct sockaddr_in v4;
                struct sockaddr_un local;
        } address = { 0 };
        socklen_t length = sizeof address.v4;
        if (harness->spec.unix_path) {
                address.local.sun_family = AF_UNIX;
                g_strlcpy(address.local.sun_path, harness->spec.unix_path,
                          sizeof address.local.sun_path);
                length = sizeof address.local;
        } else {
                address.v4.sin_family = AF_INET;
                address.v4.sin_port = htons(http_server_port(harness->server));
                address.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        }
        g_assert_cmpint(connect(fd, &address.any, length), ==, 0);
}

int raw_connect(const Harness *harness) {
        int fd = raw_socket(harness);
        raw_connect_socket(harness, fd);
        return fd;
}

void raw_send_bytes(int fd, const void *bytes, size_t length) {
        const char *text = bytes;
        while (length > 0) {
                ssize_t count = send(fd, text, length, MSG_NOSIGNAL);
                if (count < 0)
                        return; /* the server closed: what it answered is still to be read */
                text += count;
                length -= (size_t) count;
        }
}

void raw_send(int fd, const char *text) {
        raw_send_bytes(fd, text, strlen(text));
}

static char *read_to(int fd, const char *mark) {
        g_autoptr(GString) text = g_string_new(NULL);
        char piece[4096];
        ssize_t length;
        while (!mark || !strstr(text->str, mark)) {
                length = recv(fd, piece, mark ? 1 : sizeof piece, 0);
                g_assert_true(length >= 0 || errno == ECONNRESET);
                if (length <= 0)
                        break;
                g_string_append_len(text, piece, length);
        }
        if (mark && !strstr(text->str, mark))
                return NULL;
        return g_string_free(g_steal_pointer(&text), false);
}

char *raw_read_all(int fd) {
        return read_to(fd, NULL);
}

char *raw_read_until(int fd, const char *text) {
        return read_to(fd, text);
}

char *raw_exchange(const Harness *harness, const char *text) {
        autofd fd = raw_connect(harness);
        raw_send(fd, text);
        return raw_read_all(fd);
}

unsigned open_descriptors(void) {
        unsigned number = 0;
        DIR *directory = opendir("/proc/self/fd");
        while (readdir(directory))
                number++;
        closedir(directory);
        return number;
}
