#include "house.h"

#include "base/fault.h"
#include "base/files.h"
#include "base/thread.h"
#include "store/log_frame.h"

#include <fcntl.h>
#include <unistd.h>

static BuildLogWriter *writer_of(House *house, BuildLease *lease) {
        house_save(house, two_jobs);
        started_build(house, "unit", lease);
        return OK(build_log_writer_new(house->store, lease, &error));
}

static void say(BuildLogWriter *writer, const char *text) {
        g_autoptr(Event) event = event_log("1", "stdout", text, strlen(text), 0);
        OK(build_log_append(writer, event, NULL, &error));
}

static char *log_path(House *house, int64_t build_id, const char *name) {
        return g_strdup_printf("%s/logs/%02x/%d/%s", house->fixture->folder,
                               (unsigned) (build_id & 255), (int) build_id, name);
}

#define FIRST_SEGMENT "00000000000000000000.log"

static void crc_is_castagnoli(void) {
        g_assert_cmphex(crc32c("123456789", 9), ==, 0xe3069283);
        g_assert_cmphex(crc32c("", 0), ==, 0);
}

static void damaged_frames_are_told_from_whole_ones(void) {
        g_autoptr(GByteArray) bytes = g_byte_array_new();
        frame_append(bytes, &(Frame){ .event = "{}", .event_length = 2 });
        frame_append(bytes, &(Frame){ .stream = "s",
                                      .stream_length = 1,
                                      .offset = 7,
                                      .event = "{1}",
                                      .event_length = 3 });
        size_t position = 0;
        Frame frame;
        g_assert_cmpint(frame_read(bytes->data, bytes->len, &position, &frame), ==, FRAME_WHOLE);
        g_assert_null(frame.stream);
        size_t second = position;
        g_assert_cmpint(frame_read(bytes->data, bytes->len, &position, &frame), ==, FRAME_WHOLE);
        g_assert_cmpint(frame.offset, ==, 7);
        g_assert_cmpmem(frame.event, frame.event_length, "{1}", 3);
        g_assert_cmpint(frame_read(bytes->data, bytes->len, &position, &frame), ==, FRAME_NONE);
        for (size_t length = second + 1; length < bytes->len; length++) {
                position = second;
                g_assert_cmpint(frame_read(bytes->data, length, &position, &frame), ==, FRAME_TORN);
        }
        for (size_t i = second; i < bytes->len; i++) {
                bytes->data[i] ^= 1;
                position = second;
                g_assert_cmpint(frame_read(bytes->data, bytes->len, &position, &frame), ==,
                                FRAME_TORN);
                bytes->data[i] ^= 1;
        }
}

static void a_log_is_read_from_any_event(House *house) {
        BuildLease lease;
        g_autoptr(BuildLogWriter) writer = writer_of(house, &lease);
        say(writer, "a");
        say(writer, "b");
        OK(build_log_flush(writer, &error));
        g_autofree char *all = read_log(house, lease.build_id, 0);
        g_assert_cmpstr(all, ==, "0 status started\n1 log a\n2 log b\n");
        g_autofree char *some = read_log(house, lease.build_id, 2);
        g_assert_cmpstr(some, ==, "2 log b\n");
        g_autofree char *none = read_log(house, lease.build_id, 3);
        g_assert_cmpstr(none, ==, "");
        finish(house, &lease, BUILD_SUCCEEDED);
        g_autofree char *last = read_log(house, lease.build_id, 3);
        g_assert_cmpstr(last, ==, "3 status succeeded\n");
}

static void a_torn_tail_is_cut_and_ids_go_on(House *house) {
        if (house->fixture->kind == DB_POSTGRES)
                return; /* a row is whole or not there */
        BuildLease lease, again;
        BuildLogWriter *writer = writer_of(house, &lease);
        say(writer, "whole");
        build_log_writer_free(writer);
        house_close(house);

        g_autofree char *path = log_path(house, lease.build_id, FIRST_SEGMENT);
        {
                g_autoptr(GByteArray) torn = g_byte_array_new();
                frame_append(torn, &(Frame){ .event = "{\"torn\":1}", .event_length = 10 });
                autofd fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
                OK(write_all(fd, torn->data, torn->len - 3, &error));
        }
        house_open(house);
        g_autofree char *before = read_log(house, lease.build_id, 0);
        g_assert_cmpstr(before, ==, "0 status started\n1 log whole\n");
        OK(build_lease_release_node(house->store, "n", &error));
        OK(build_lease_acquire(house->store, lease.build_id, "m", DURATION_MINUTE, &again, &error));
        g_autoptr(BuildLogWriter) next = OK(build_log_writer_new(house->store, &again, &error));
        say(next, "next");
        OK(build_log_flush(next, &error));
        g_autofree char *after = read_log(house, lease.build_id, 0);
        g_assert_cmpstr(after, ==, "0 status started\n1 log whole\n2 log next\n");
}

static void the_offset_of_a_stream_is_found_after_a_restart(House *house) {
        BuildLease lease, again;
        BuildLogWriter *writer = writer_of(house, &lease);
        g_autoptr(Event) event = event_log("1", "stdout", "abc", 3, 0);
        StreamOffset stream = { .plan_id = "1", .source = "stdout", .offset = 3 };
        OK(build_log_append(writer, event, &stream, &error));
        build_log_writer_free(writer);
        house_open(house);
        OK(build_lease_release_node(house->store, "n", &error));
        OK(build_lease_acquire(house->store, lease.build_id, "m", DURATION_MINUTE, &again, &error));
        g_autoptr(BuildLogWriter) next = OK(build_log_writer_new(house->store, &again, &error));
        int64_t offset;
        OK(build_log_offset(next, &stream, &offset, &error));
        g_assert_cmpint(offset, ==, 3);
        stream.source = "stderr";
        OK(build_log_offset(next, &stream, &offset, &error));
        g_assert_cmpint(offset, ==, 0);
}

/* ---- many events: segments ---- */

#define LINES 3000
#define LINE_BYTES 4000

static char *line_of(int number) {
        char *line = g_malloc(LINE_BYTES + 1);
        memset(line, 'a' + number % 26, LINE_BYTES);
        int length = g_snprintf(line, 16, "%d ", number);
        line[length] = 'x';
        line[LINE_BYTES] = '\0';
        return line;
}

static void expect_lines(House *house, int64_t build_id, int from) {
        g_autoptr(BuildLogReader)
                reader = OK(build_log_reader_new(house->store, build_id, from + 1, &error));
        int number = from;
        while (number < LINES) {
                g_autoptr(GPtrArray) events = OK(build_log_read(reader, 1 << 20, NULL, &error));
                g_assert_cmpuint(events->len, >, 0);
                for (guint i = 0; i < events->len && number < LINES; i++, number++) {
                        size_t length;
                        const char *text = g_bytes_get_data(events->pdata[i], &length);
                        g_autoptr(Event) event = OK(event_parse(text, length, NULL, &error));
                        g_autofree char *line = line_of(number);
                        g_assert_cmpstr(value_get_string(event->data, "payload", ""), ==, line);
                }
        }
}

static void a_long_log_goes_into_segments_that_are_compressed(House *house) {
        BuildLease lease;
        g_autoptr(BuildLogWriter) writer = writer_of(house, &lease);
        for (int i = 0; i < LINES; i++) {
                g_autofree char *line = line_of(i);
                say(writer, line);
        }
        OK(build_log_flush(writer, &error));
        expect_lines(house, lease.build_id, 0);
        expect_lines(house, lease.build_id, LINES - 1);
        finish(house, &lease, BUILD_SUCCEEDED);
        expect_lines(house, lease.build_id, 0);
        expect_lines(house, lease.build_id, LINES / 2);
        bool final;
        g_autofree char *status = NULL;
        Time time;
        OK(build_log_final(house->store, lease.build_id, &final, &status, &time, &error));
        g_assert_cmpstr(status, ==, "succeeded");
        if (house->fixture->kind == DB_SQLITE) {
                g_autofree char *open_path = log_path(house, lease.build_id, FIRST_SEGMENT);
                g_autofree char *closed_path = log_path(house, lease.build_id,
                                                        "00000000000000000000.zst");
                g_assert_cmpint(access(open_path, F_OK), !=, 0);
                g_assert_cmpint(access(closed_path, F_OK), ==, 0);
        }
        OK(pipeline_delete(house->store, house->pipeline_id, &error));
        g_autofree char *gone = read_log(house, lease.build_id, 0);
        g_assert_cmpstr(gone, ==, "");
}

/* ---- watchers ---- */

#define WATCHED 2000

typedef struct {
        House *house;
        int64_t build_id, seen;
} Watcher;

/* Sees every event once, in order, then the end. */
static void watch(void *data) {
        Watcher *watcher = data;
        g_autoptr(BuildLogReader) reader = OK(
                build_log_reader_new(watcher->house->store, watcher->build_id, 0, &error));
        for (;;) {
                BuildLogWait wait;
                OK(build_log_wait(reader, NULL, &wait, &error));
                if (wait == BUILD_LOG_ENDED)
                        return;
                int64_t first;
                g_autoptr(GPtrArray) events = OK(build_log_read(reader, 5000, &first, &error));
                g_assert_cmpint(first, ==, watcher->seen);
                watcher->seen += events->len;
        }
}

static void watchers_see_every_event_once_and_then_the_end(House *house) {
        BuildLease lease;
        g_autoptr(BuildLogWriter) writer = writer_of(house, &lease);
        Watcher watchers[3];
        Thread *threads[G_N_ELEMENTS(watchers)];
        for (size_t i = 0; i < G_N_ELEMENTS(watchers); i++) {
                watchers[i] = (Watcher){ house, lease.build_id, 0 };
                threads[i] = thread_start("watcher", watch, &watchers[i]);
        }
        for (int i = 0; i < WATCHED; i++)
                say(writer, "line");
        finish(house, &lease, BUILD_SUCCEEDED);
        for (size_t i = 0; i < G_N_ELEMENTS(watchers); i++) {
                thread_join(threads[i]);
                g_assert_cmpint(watchers[i].seen, ==, WATCHED + 2);
        }
}

static void a_watcher_that_waits_can_be_interrupted(House *house) {
        BuildLease lease;
        g_autoptr(BuildLogWriter) writer = writer_of(house, &lease);
        g_autoptr(BuildLogReader)
                reader = OK(build_log_reader_new(house->store, lease.build_id, 1, &error));
        g_autoptr(Cancel) cancel = cancel_new(NULL);
        cancel_fire(cancel, CANCEL_ABORT);
        BuildLogWait wait;
        FAILS(build_log_wait(reader, cancel, &wait, &error), ERROR_CANCELLED);
}

static void a_full_disk_loses_nothing_that_was_appended(House *house) {
        if (house->fixture->kind == DB_POSTGRES)
                return;
        BuildLease lease;
        g_autoptr(BuildLogWriter) writer = writer_of(house, &lease);
        say(writer, "before");
        OK(build_log_flush(writer, &error));
        fault_set("build-log-append=error");
        g_autoptr(Event) event = event_log("1", "stdout", "lost", 4, 0);
        FAILS(build_log_append(writer, event, NULL, &error) && build_log_flush(writer, &error),
              ERROR_IO);
        fault_set(NULL);
        FAILS(build_log_append(writer, event, NULL, &error), ERROR_IO);
        g_autofree char *log = read_log(house, lease.build_id, 0);
        g_assert_cmpstr(log, ==, "0 status started\n1 log before\n");
}

static void what_is_not_on_the_disk_is_not_shown(House *house) {
        if (house->fixture->kind == DB_POSTGRES)
                return; /* written and durable at once */
        BuildLease lease;
        g_autoptr(BuildLogWriter) writer = writer_of(house, &lease);
        g_autoptr(Event) event = event_log("1", "stdout", "unsafe", 6, 0);
        fault_set("build-log-appended=error");
        FAILS(build_log_append(writer, event, NULL, &error) && build_log_flush(writer, &error),
              ERROR_IO);
        fault_set(NULL);
        g_autofree char *log = read_log(house, lease.build_id, 0);
        g_assert_cmpstr(log, ==, "0 status started\n");

        g_autoptr(BuildLogReader)
                reader = OK(build_log_reader_new(house->store, lease.build_id, 0, &error));
        g_autoptr(GPtrArray) first = OK(build_log_read(reader, 1024, NULL, &error));
        g_assert_cmpuint(first->len, ==, 1);
        BuildLease again;
        OK(build_lease_release_node(house->store, "n", &error));
        OK(build_lease_acquire(house->store, lease.build_id, "m", DURATION_MINUTE, &again, &error));
        g_autoptr(GPtrArray) rest = OK(build_log_read(reader, 1024, NULL, &error));
        g_assert_cmpuint(rest->len, ==, 1); /* the next owner found it whole, and synced it */
}

/* ---- the bus ---- */

static void a_subscription_wakes_for_its_topics_only(House *house) {
        SubscriptionTopic topics[] = { { NOTIFY_CHECK_REQUEST, 5 }, { NOTIFY_WORKERS, 0 } };
        g_autoptr(Subscription)
                subscription = subscription_new(house->store, topics, G_N_ELEMENTS(topics));
        OK(notify_send(house->store, NOTIFY_CHECK_REQUEST, 6, &error));
        OK(notify_send(house->store, NOTIFY_CHECK_REQUEST, 5, &error));
        g_autoptr(GArray) came = NULL, later = NULL;
        OK(subscription_wait(subscription, DURATION_NEVER, NULL, &came, &error));
        g_assert_cmpuint(came->len, ==, 1);
        g_assert_cmpint(g_array_index(came, SubscriptionTopic, 0).id, ==, 5);
        house_worker(house, "w");
        OK(subscription_wait(subscription, DURATION_NEVER, NULL, &later, &error));
        g_assert_cmpint(g_array_index(later, SubscriptionTopic, 0).kind, ==, NOTIFY_WORKERS);
}

static void add(void) {
        g_test_add_func("/store/log/crc", crc_is_castagnoli);
        g_test_add_func("/store/log/frames", damaged_frames_are_told_from_whole_ones);
        house_add("/store/log/from", a_log_is_read_from_any_event);
        house_add("/store/log/torn", a_torn_tail_is_cut_and_ids_go_on);
        house_add("/store/log/offset", the_offset_of_a_stream_is_found_after_a_restart);
        house_add("/store/log/segments", a_long_log_goes_into_segments_that_are_compressed);
        house_add("/store/log/watchers", watchers_see_every_event_once_and_then_the_end);
        house_add("/store/log/interrupted", a_watcher_that_waits_can_be_interrupted);
        house_add("/store/log/full", a_full_disk_loses_nothing_that_was_appended);
        house_add("/store/log/unsynced", what_is_not_on_the_disk_is_not_shown);
        house_add("/store/log/subscription", a_subscription_wakes_for_its_topics_only);
}

int main(int argc, char **argv) {
        return house_main(argc, argv, add);
}
