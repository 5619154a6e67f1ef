#include "base/files.h"
#include "worker/oci/process.h"

#include <stdio.h>
#include <unistd.h>

/* What a shim says is not believed where it can be checked: it is in the container's hands. */

static Process *make(char **ret_directory) {
        g_autoptr(GError) error = NULL;
        *ret_directory = g_dir_make_tmp("weir-process-XXXXXX", &error);
        ProcessSetup setup = { .id = "task", .number = 1, .directory = *ret_directory };
        Process *process = process_new(&setup, &error);
        g_assert_no_error(error);
        return process;
}

static void tell(Process *process, ShimKind kind, int64_t value, int64_t extra) {
        ShimMessage message = { (uint32_t) kind, 1, value, extra };
        process_told(process, &message);
}

static void put(const char *directory, const char *name, const char *text) {
        g_autofree char *path = g_build_filename(directory, name, NULL);
        g_file_set_contents(path, text, -1, NULL);
}

static void the_end_of_a_stream_is_that_of_its_file(void) {
        g_autofree char *directory = NULL;
        g_autoptr(Process) process = make(&directory);
        char chunk[16];
        ProcessState state;
        int watch = process_watch(process, PROCESS_WATCH_STDOUT | PROCESS_WATCH_STDERR, NULL);
        tell(process, SHIM_STARTED, 5, 0);
        tell(process, SHIM_APPENDED, SHIM_STDOUT, INT64_MAX);
        tell(process, SHIM_APPENDED, 7, 5);
        tell(process, SHIM_APPENDED, -1, 5);
        process_state(process, &state);
        g_assert_cmpint(state.end[SHIM_STDOUT], ==, 0);
        g_assert_cmpint(process_read(process, SHIM_STDOUT, 0, chunk, sizeof(chunk), NULL), ==, 0);
        process_mark_sent(process, SHIM_STDOUT, INT64_MAX);
        g_assert_cmpint(process_sent(process, SHIM_STDOUT), ==, 0);
        process_unwatch(process, watch);
        directory_remove(directory, NULL);
}

static void an_exit_code_has_eight_bits_and_stays(void) {
        g_autofree char *directory = NULL;
        g_autoptr(Process) process = make(&directory);
        ProcessState state;
        tell(process, SHIM_EXITED, 99999, 0);
        tell(process, SHIM_EXITED, 3, 0);
        tell(process, SHIM_FAILED, SHIM_STAGE_LOOKUP, 2);
        tell(process, (ShimKind) 12345, 0, 0);
        process_gone(process, "reason");
        process_state(process, &state);
        g_assert_true(state.ended);
        g_assert_cmpint(state.code, ==, 255);
        directory_remove(directory, NULL);
}

static void a_status_file_counts_only_when_whole(void) {
        static const struct {
                const char *text;
                int code;
        } files[] = {
                { "exit 4 0 0\n", 4 },     { "exit 4 0 0", 137 },    { "", 137 },
                { "exit 400 0 0\n", 137 }, { "exit -1 0 0\n", 137 }, { "nonsense\n", 137 },
        };
        for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
                g_autofree char *directory = NULL;
                g_autoptr(GError) error = NULL;
                process_free(make(&directory));
                put(directory, "status", files[i].text);
                put(directory, "stdout", "kept");
                g_autoptr(Process) process = process_load(directory, 1, NULL, &error);
                ProcessState state;
                g_assert_no_error(error);
                process_state(process, &state);
                g_assert_true(state.ended);
                g_assert_cmpint(state.code, ==, files[i].code);
                g_assert_cmpstr(state.failure, ==,
                                files[i].code == 137 ? "process 1 of the container is gone" : NULL);
                g_assert_cmpint(state.end[SHIM_STDOUT], ==, 4);
                directory_remove(directory, NULL);
        }
}

static void a_lost_process_says_why_unless_its_status_was_written(void) {
        static const struct {
                const char *status, *failure;
                int code;
        } cases[] = {
                { "", "it went", 137 },
                { "exit 4 0 0\n", NULL, 4 },
        };
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autofree char *directory = NULL;
                g_autoptr(Process) process = make(&directory);
                ProcessState state;
                tell(process, SHIM_STARTED, 5, 0);
                put(directory, "status", cases[i].status);
                process_gone(process, "it went");
                process_gone(process, "again");
                process_state(process, &state);
                g_assert_true(state.ended);
                g_assert_cmpint(state.code, ==, cases[i].code);
                g_assert_cmpstr(state.failure, ==, cases[i].failure);
                directory_remove(directory, NULL);
        }
}

static void what_was_sent_is_remembered(void) {
        g_autofree char *directory = NULL;
        g_autoptr(GError) error = NULL;
        g_autoptr(Process) process = make(&directory);
        put(directory, "status", "");
        int watch = process_watch(process, PROCESS_WATCH_STDOUT | PROCESS_WATCH_STDERR, NULL);
        g_autofree char *path = g_build_filename(directory, "stdout", NULL);
        FILE *file = fopen(path, "a");
        fputs("0123456789", file);
        fclose(file);
        tell(process, SHIM_STARTED, 5, 0);
        tell(process, SHIM_APPENDED, SHIM_STDOUT, 10);
        process_mark_sent(process, SHIM_STDOUT, 7);
        process_unwatch(process, watch);

        g_autoptr(Process) again = process_load(directory, 1, NULL, &error);
        g_assert_no_error(error);
        watch = process_watch(again, PROCESS_WATCH_STDOUT | PROCESS_WATCH_STDERR, NULL);
        g_assert_cmpint(process_sent(again, SHIM_STDOUT), ==, 7);
        process_unwatch(again, watch);
        directory_remove(directory, NULL);
}

static bool is_woken(int watch) {
        uint64_t count;
        return read(watch, &count, sizeof(count)) == sizeof(count);
}

static void output_wakes_those_who_watch_its_stream_and_the_end_wakes_all(void) {
        g_autofree char *directory = NULL;
        g_autoptr(Process) process = make(&directory);
        static const unsigned streams[] = { PROCESS_WATCH_END, PROCESS_WATCH_STDOUT,
                                            PROCESS_WATCH_STDERR,
                                            PROCESS_WATCH_STDOUT | PROCESS_WATCH_STDERR };
        int watches[G_N_ELEMENTS(streams)];
        for (size_t i = 0; i < G_N_ELEMENTS(streams); i++) {
                watches[i] = process_watch(process, streams[i], NULL);
                g_assert_true(is_woken(watches[i])); /* to look at what there is already */
        }
        tell(process, SHIM_APPENDED, SHIM_STDERR, 1);
        for (size_t i = 0; i < G_N_ELEMENTS(streams); i++)
                g_assert_true(is_woken(watches[i]) == ((streams[i] & PROCESS_WATCH_STDERR) != 0));
        tell(process, SHIM_EXITED, 0, 0);
        for (size_t i = 0; i < G_N_ELEMENTS(streams); i++) {
                g_assert_true(is_woken(watches[i]));
                process_unwatch(process, watches[i]);
        }
        directory_remove(directory, NULL);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/process/end", the_end_of_a_stream_is_that_of_its_file);
        g_test_add_func("/process/code", an_exit_code_has_eight_bits_and_stays);
        g_test_add_func("/process/status", a_status_file_counts_only_when_whole);
        g_test_add_func("/process/lost", a_lost_process_says_why_unless_its_status_was_written);
        g_test_add_func("/process/watch",
                        output_wakes_those_who_watch_its_stream_and_the_end_wakes_all);
        g_test_add_func("/process/sent", what_was_sent_is_remembered);
        return g_test_run();
}
