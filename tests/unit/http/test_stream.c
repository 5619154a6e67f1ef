#include "harness.h"

#include "base/files.h"

#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define MANY 5000
#define MESSAGE "event: x\ndata: y\n\n"

static const char request[] = "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n";

static void wait_streams(Harness *harness, unsigned number) {
        mutex_lock(&harness->mutex);
        while (harness->streams->len < number)
                condition_wait(&harness->changed, &harness->mutex);
        mutex_unlock(&harness->mutex);
}

static uint64_t resident_pages(void) {
        g_autofree char *text = NULL;
        g_assert_true(g_file_get_contents("/proc/self/statm", &text, NULL, NULL));
        return g_ascii_strtoull(strchr(text, ' '), NULL, 10);
}

static void pushes_to_thousands(void) {
        struct rlimit limit;
        getrlimit(RLIMIT_NOFILE, &limit);
        if (limit.rlim_cur < 2 * MANY + 100) {
                g_test_skip("needs 10 100 descriptors");
                return;
        }
        g_autoptr(Harness) harness = harness_new(NULL);
        g_autofree int *fds = g_new(int, MANY);
        uint64_t before = resident_pages();
        for (unsigned i = 0; i < MANY; i++) {
                fds[i] = raw_connect(harness);
                raw_send(fds[i], request);
        }
        wait_streams(harness, MANY);
        g_test_message("%.1f kB for each idle stream, sanitizers included",
                       (double) (resident_pages() - before) * 4 / MANY);
        HttpServerStats stats;
        http_server_stats(harness->server, &stats);
        g_assert_cmpuint(stats.streams, ==, MANY);
        Duration start = clock_monotonic();
        for (unsigned i = 0; i < MANY; i++)
                g_assert_true(
                        http_stream_push(harness->streams->pdata[i], MESSAGE, sizeof MESSAGE - 1));
        for (unsigned i = 0; i < MANY; i++) {
                g_autofree char *got = raw_read_until(fds[i], "data: y\n\n\r\n");
                g_assert_nonnull(got);
        }
        g_test_message("one event to %d streams: %d ms", MANY,
                       (int) ((clock_monotonic() - start) / DURATION_MILLISECOND));
        for (unsigned i = 0; i < MANY; i++)
                close(fds[i]);
        harness_wait_idle(harness);
        for (unsigned i = 0; i < MANY; i++) {
                g_assert_true(cancel_fired(http_stream_cancel(harness->streams->pdata[i])));
                g_assert_false(http_stream_push(harness->streams->pdata[i], "x", 1));
        }
}

static void drops_a_reader_that_stopped(void) {
        g_autoptr(Harness) harness = harness_new(NULL);
        autofd fd = raw_connect(harness);
        char piece[10000] = { 0 };
        uint64_t pushed = 0;
        HttpServerStats stats;
        raw_send(fd, request);
        wait_streams(harness, 1);
        HttpStream *stream = harness->streams->pdata[0];
        while (http_stream_push(stream, piece, sizeof piece)) {
                pushed += sizeof piece;
                http_server_stats(harness->server, &stats);
                g_assert_cmpuint(stats.queued_bytes, <=, 1024 * 1024);
                g_assert_cmpuint(pushed, <, 100 * 1024 * 1024);
        }
        harness_wait_idle(harness);
        g_assert_true(cancel_fired(http_stream_cancel(stream)));
        g_assert_cmpuint(http_stream_queued(stream), ==, 0);
}

typedef struct {
        HttpStream *stream;
        Cancel *cancel;
        int code;
} Writer;

static void write_without_end(void *data) {
        Writer *writer = data;
        char piece[10000] = { 0 };
        g_autoptr(GError) error = NULL;
        while (http_stream_write(writer->stream, piece, sizeof piece, writer->cancel, &error))
                ;
        writer->code = error->code;
}

static void lets_a_writer_wait_until_cancelled(void) {
        g_autoptr(Harness) harness = harness_new(NULL);
        autofd fd = raw_connect(harness);
        raw_send(fd, request);
        wait_streams(harness, 1);
        g_autoptr(Cancel) cancel = cancel_new(NULL);
        Writer writer = { .stream = harness->streams->pdata[0], .cancel = cancel };
        Thread *thread = thread_start("writer", write_without_end, &writer);
        while (http_stream_queued(writer.stream) < 1024 * 1024)
                cancel_sleep(NULL, DURATION_MILLISECOND, NULL);
        cancel_fire(cancel, CANCEL_ABORT);
        thread_join(thread);
        g_assert_cmpint(writer.code, ==, ERROR_CANCELLED);
        writer.cancel = NULL;
        thread = thread_start("writer", write_without_end, &writer);
        close(fd_steal(&fd));
        thread_join(thread);
        g_assert_cmpint(writer.code, ==, ERROR_UNAVAILABLE);
}

static void ends_and_goes_on(void) {
        g_autoptr(Harness) harness = harness_new(NULL);
        autofd fd = raw_connect(harness);
        raw_send(fd, request);
        wait_streams(harness, 1);
        HttpStream *stream = harness->streams->pdata[0];
        g_assert_true(http_stream_push(stream, "one", 3));
        http_stream_end(stream);
        g_assert_false(http_stream_push(stream, "two", 3));
        g_autofree char *answer = raw_read_until(fd, "\r\n0\r\n\r\n");
        g_assert_nonnull(strstr(answer, "3\r\none\r\n0\r\n\r\n"));
        raw_send(fd, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
        g_autofree char *next = raw_read_until(fd, "hello");
        g_assert_nonnull(next);
        g_assert_false(http_stream_push(stream, "three", 5));
}

static void cuts_a_stream_nobody_holds(void) {
        g_autoptr(Harness) harness = harness_new(NULL);
        autofd fd = raw_connect(harness);
        raw_send(fd, request);
        wait_streams(harness, 1);
        g_autofree char *head = raw_read_until(fd, "\r\n\r\n");
        g_assert_nonnull(strstr(head, "Content-Type: text/event-stream; charset=utf-8\r\n"));
        http_stream_free(g_ptr_array_remove_index(harness->streams, 0));
        g_autofree char *rest = raw_read_all(fd);
        g_assert_cmpstr(rest, ==, "");
}

static void stops_with_streams_open(void) {
        Harness *harness = harness_new(NULL);
        autofd fd = raw_connect(harness);
        raw_send(fd, request);
        wait_streams(harness, 1);
        HttpStream *stream = http_stream_ref(harness->streams->pdata[0]);
        harness_free(harness);
        g_assert_cmpint(cancel_reason(http_stream_cancel(stream)), ==, CANCEL_SHUTDOWN);
        g_assert_false(http_stream_push(stream, "x", 1)); /* outlives the server */
        http_stream_end(stream);
        http_stream_free(stream);
}

static void waits_with_a_big_answer_for_its_reader(void) {
        g_autoptr(Harness) harness = harness_new(NULL);
        autofd fd = raw_connect(harness);
        HttpServerStats stats = { 0 };
        raw_send(fd, "GET /big?n=30000000 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        while (stats.queued_bytes < 1024 * 1024) {
                http_server_stats(harness->server, &stats);
                cancel_sleep(NULL, DURATION_MILLISECOND, NULL);
        }
        g_assert_cmpuint(stats.queued_bytes, <=, 1024 * 1024 + 64 * 1024);
        g_autofree char *answer = raw_read_all(fd);
        g_assert_cmpuint(strlen(strstr(answer, "\r\n\r\n") + 4), ==, 30000000);
}

static void cuts_a_reader_that_makes_no_progress(void) {
        g_autoptr(Harness) harness = harness_new(
                &(HttpServerSpec){ .progress_timeout = 100 * DURATION_MILLISECOND });
        autofd fd = raw_connect(harness);
        raw_send(fd, "GET /big?n=30000000 HTTP/1.1\r\nHost: x\r\n\r\n");
        harness_wait(harness, &harness->handled, 1);
        harness_wait_idle(harness);
}

static void stops_while_a_reader_does_not_read(void) {
        static const char *const requests[] = {
                "GET /big?n=30000000 HTTP/1.1\r\nHost: x\r\n\r\n",
                "GET /pieces?n=30000000 HTTP/1.1\r\nHost: x\r\n\r\n",
        };
        for (size_t i = 0; i < G_N_ELEMENTS(requests); i++) {
                Harness *harness = harness_new(NULL);
                autofd fd = raw_connect(harness);
                HttpServerStats stats = { 0 };
                raw_send(fd, requests[i]);
                while (stats.queued_bytes < 1024 * 1024) {
                        http_server_stats(harness->server, &stats);
                        cancel_sleep(NULL, DURATION_MILLISECOND, NULL);
                }
                http_server_stop(harness->server, 0);
                harness->server = NULL;
                g_autofree char *answer = raw_read_all(fd);
                g_assert_false(g_str_has_suffix(answer, "\r\n0\r\n\r\n"));
                harness_free(harness);
        }
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/stream/thousands", pushes_to_thousands);
        g_test_add_func("/stream/stopped-reader", drops_a_reader_that_stopped);
        g_test_add_func("/stream/writer", lets_a_writer_wait_until_cancelled);
        g_test_add_func("/stream/end", ends_and_goes_on);
        g_test_add_func("/stream/let-go", cuts_a_stream_nobody_holds);
        g_test_add_func("/stream/stop", stops_with_streams_open);
        g_test_add_func("/stream/big-answer", waits_with_a_big_answer_for_its_reader);
        g_test_add_func("/stream/no-progress", cuts_a_reader_that_makes_no_progress);
        g_test_add_func("/stream/stop-unread", stops_while_a_reader_does_not_read);
        return g_test_run();
}
