#include "base/files.h"
#include "house.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- processes ---- */

typedef struct {
        const char *script, *input;
        int code;
        const char *output, *error;
} Case;

static const Case cases[] = {
        { "echo hello", NULL, 0, "hello\n", "" },
        { "exit 3", NULL, 3, "", "" },
        { "echo out; echo err >&2; exit 255", NULL, 255, "out\n", "err\n" },
        { "kill -9 $$", NULL, 137, "", "" },
        { "kill -TERM $$", NULL, 143, "", "" },
        { "cat", "typed", 0, "typed", "" },
        { "pwd", NULL, 0, "/\n", "" },
        { "id -u; id -g", NULL, 0, "0\n0\n", "" },
        { "echo $HOME $PATH", NULL, 0,
          "/root /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n", "" },
        { "echo a >/dev/stdout; echo b >/dev/stderr; cat /dev/stdin", "c", 0, "a\nc", "b\n" },
        { "cat /etc/hostname", NULL, 0, "box\n", "" },
        { "/bin/script", NULL, 126, "", NULL },
        { "(sleep 1000 & echo $!) >/dev/null; echo early", NULL, 0, "early\n", "" },
};

static void processes_give_their_output_and_end(void) {
        g_autoptr(House) house = house_open();
        if (!house)
                return;
        house_container(house, "box");
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_auto(Ran) ran = { 0 };
                g_test_message("%s", cases[i].script);
                house_run(house, "box", cases[i].script, cases[i].input, &ran);
                if (cases[i].code != 126) { /* shells differ */
                        g_assert_cmpint(ran.code, ==, cases[i].code);
                        g_assert_cmpstr(ran.error, ==, cases[i].error);
                } else
                        g_assert_cmpint(ran.code, !=, 0);
                g_assert_cmpstr(ran.output, ==, cases[i].output);
        }
}

typedef struct {
        const char *path, *directory, *user, *expect;
} Refusal;

#define START                                                                                      \
        "proc start: OCI runtime exec failed: exec failed: unable to start container process: "

static const Refusal refusals[] = {
        { "nonexistent-binary", NULL, NULL,
          START "exec: \"nonexistent-binary\": executable file not found in $PATH: unknown" },
        { "/no/such", NULL, NULL,
          START "exec: \"/no/such\": stat /no/such: no such file or directory: unknown" },
        { "/etc/passwd", NULL, NULL, START "exec: \"/etc/passwd\": permission denied: unknown" },
        { "/etc", NULL, NULL, START "exec: \"/etc\": is a directory: unknown" },
        { "sh", "/scratch/no/such/dir", NULL,
          START
          "chdir to cwd (\"/scratch/no/such/dir\") set in config.json failed: no such file or "
          "directory: unknown" },
        { "sh", NULL, "nosuchuser",
          "lookup user: unable to find user nosuchuser: no matching entries in passwd file" },
};

static void what_cannot_start_says_why(void) {
        g_autoptr(House) house = house_open();
        if (!house)
                return;
        g_autofree char *scratch = g_build_filename(house->directory, "scratch", NULL);
        g_auto(GardenContainerSpec) spec = { 0 };
        garden_container_spec_init(&spec);
        mkdir(scratch, 0755);
        spec.handle = g_strdup("box");
        spec.rootfs = g_strconcat("raw://", house->root, NULL);
        garden_mount_add(&spec, scratch, "/scratch", true);
        house_make(house, &spec);

        for (size_t i = 0; i < G_N_ELEMENTS(refusals); i++) {
                g_autoptr(GError) error = NULL;
                g_autoptr(Container) container = containers_get(house->containers, "box", &error);
                g_auto(GardenProcessSpec) asked = { 0 };
                garden_process_spec_init(&asked);
                asked.id = g_strdup("task");
                asked.path = g_strdup(refusals[i].path);
                asked.directory = g_strdup(refusals[i].directory);
                asked.user = g_strdup(refusals[i].user);
                g_assert_null(container_run(container, &asked, NULL, &error));
                g_assert_cmpstr(error->message, ==, refusals[i].expect);
        }
        g_auto(Ran) ran = { 0 };
        house_run(house, "box", "echo still here", NULL, &ran);
        g_assert_cmpstr(ran.output, ==, "still here\n");
}

static void a_missing_interpreter_is_a_process_that_exits_with_1(void) {
        g_autoptr(House) house = house_open();
        if (!house)
                return;
        house_container(house, "box");
        g_autoptr(GError) error = NULL;
        g_autoptr(Container) container = containers_get(house->containers, "box", &error);
        g_auto(GardenProcessSpec) asked = { 0 };
        int code = -1;
        garden_process_spec_init(&asked);
        asked.path = g_strdup("/bin/script");
        g_autoptr(Process) process = container_run(container, &asked, NULL, &error);
        g_assert_no_error(error);
        process_wait(process, NULL, &code, &error);
        g_autofree char *said = house_read(process, SHIM_STDERR, NULL);
        g_assert_cmpint(code, ==, 1);
        g_assert_cmpstr(said, ==, "exec /bin/script: no such file or directory\n");
}

static void a_missing_directory_is_made(void) {
        g_autoptr(House) house = house_open();
        if (!house)
                return;
        house_container(house, "box");
        g_autoptr(GError) error = NULL;
        g_autoptr(Container) container = containers_get(house->containers, "box", &error);
        g_auto(GardenProcessSpec) asked = { 0 };
        int code = -1;
        garden_process_spec_init(&asked);
        asked.path = g_strdup("pwd");
        asked.directory = g_strdup("/made/for/this");
        g_autoptr(Process) process = container_run(container, &asked, NULL, &error);
        g_assert_no_error(error);
        process_wait(process, NULL, &code, &error);
        g_autofree char *said = house_read(process, SHIM_STDOUT, NULL);
        g_assert_cmpstr(said, ==, "/made/for/this\n");
}

/* ---- terminals ---- */

static void a_terminal_has_one_stream_and_a_size(void) {
        g_autoptr(House) house = house_open();
        if (!house)
                return;
        house_container(house, "box");
        g_autoptr(GError) error = NULL;
        g_autoptr(Process) process = house_start(
                house, "box", "task", "stty size; echo to-err >&2; read x; stty size; echo $x",
                true);
        autofd input = process_input(process);
        int code = -1;
        process_resize(process, (GardenWindow){ 123, 45 }, &error);
        write_all(input, "go\n", 3, &error);
        process_wait(process, NULL, &code, &error);
        g_assert_no_error(error);
        g_autofree char *output = house_read(process, SHIM_STDOUT, NULL);
        g_autofree char *other = house_read(process, SHIM_STDERR, NULL);
        g_assert_true(g_str_has_suffix(output, "45 123\r\ngo\r\n"));
        g_assert_nonnull(strstr(output, "to-err\r\n"));
        g_assert_cmpstr(other, ==, "");
        g_assert_cmpint(code, ==, 0);
}

/* ---- nothing is lost ---- */

#define THREADS 4
#define RUNS 300

static void run_many(void *data) {
        House *house = data;
        for (int i = 0; i < RUNS; i++) {
                g_auto(Ran) ran = { 0 };
                g_autofree char *script = g_strdup_printf("echo out-%d; echo err-%d >&2; exit %d",
                                                          i, i, i % 100);
                g_autofree char *output = g_strdup_printf("out-%d\n", i);
                g_autofree char *said = g_strdup_printf("err-%d\n", i);
                house_run(house, "box", script, NULL, &ran);
                g_assert_cmpstr(ran.output, ==, output);
                g_assert_cmpstr(ran.error, ==, said);
                g_assert_cmpint(ran.code, ==, i % 100);
        }
}

static void many_short_processes_lose_nothing(void) {
        g_autoptr(House) house = house_open();
        if (!house)
                return;
        house_container(house, "box");
        Thread *threads[THREADS];
        for (size_t i = 0; i < THREADS; i++)
                threads[i] = thread_start("runs", run_many, house);
        for (size_t i = 0; i < THREADS; i++)
                thread_join(threads[i]);
}

static void much_output_is_exact(void) {
        g_autoptr(House) house = house_open();
        if (!house)
                return;
        house_container(house, "box");
        g_auto(Ran) ran = { 0 };
        house_run(house, "box", "dd if=/dev/zero bs=64k count=1024 2>/dev/null; seq 1 100000", NULL,
                  &ran);
        g_assert_cmpint((int64_t) ran.output_length, ==, 64 * 1024 * 1024 + 588895);
        g_assert_cmpstr(ran.output + ran.output_length - 7, ==, "100000\n");
}

/* Waits until a stream has this many bytes. */
static void await_bytes(Process *process, unsigned stream, int64_t bytes) {
        int watch = process_watch(process, PROCESS_WATCH_STDOUT | PROCESS_WATCH_STDERR, NULL);
        ProcessState state = { 0 };
        uint64_t count;
        while (state.end[stream] < bytes) {
                g_assert_true(cancel_poll(NULL, watch, POLLIN, DURATION_NEVER, NULL));
                (void) !read(watch, &count, sizeof(count));
                process_state(process, &state);
        }
        process_unwatch(process, watch);
}

static void a_process_waits_for_its_readers_and_loses_nothing(void) {
        const int64_t ceiling = 1024 * 1024, total = 5 * ceiling;
        g_autoptr(House) house = house_open();
        if (!house)
                return;
        house->spool_ceiling = ceiling;
        house_restart(house);
        house_container(house, "box");
        g_autoptr(Process) process = house_start(house, "box", "task",
                                                 "dd if=/dev/zero bs=64k count=80", false);
        ProcessState state;
        int code = -1;
        for (int64_t read_to = 0; read_to < total;) {
                await_bytes(process, SHIM_STDOUT, MIN(read_to + ceiling, total));
                process_state(process, &state);
                g_assert_cmpint(state.end[SHIM_STDOUT], <=, read_to + ceiling);
                read_to = state.end[SHIM_STDOUT];
                process_mark_sent(process, SHIM_STDOUT, read_to);
        }
        process_wait(process, NULL, &code, NULL);
        process_state(process, &state);
        g_assert_cmpint(code, ==, 0);
        g_assert_cmpint(state.end[SHIM_STDOUT], ==, total);
}

/* ---- stopping ---- */

static void stop_terminates_and_kills_what_does_not_listen(void) {
        g_autoptr(House) house = house_open();
        if (!house)
                return;
        house_container(house, "box");
        g_autoptr(GError) error = NULL;
        g_autoptr(Container) container = containers_get(house->containers, "box", &error);
        g_autoptr(Process) polite = house_start(house, "box", "a", "exec sleep 1000", false);
        int code = -1;
        g_assert_true(container_stop(container, false, NULL, &error));
        process_wait(polite, NULL, &code, &error);
        g_assert_cmpint(code, ==, 143);

        g_autoptr(Process) deaf = house_start(
                house, "box", "b", "trap '' TERM; echo deaf; while :; do sleep 1; done", false);
        g_assert_true(container_stop(container, true, NULL, &error));
        process_wait(deaf, NULL, &code, &error);
        g_assert_cmpint(code, ==, 137);
}

static void when_process_1_dies_all_its_processes_ended(void) {
        g_autoptr(House) house = house_open();
        if (!house)
                return;
        house_container(house, "box");
        g_autoptr(GError) error = NULL;
        g_autoptr(Process) process = house_start(house, "box", "task", "exec sleep 1000", false);
        int code = -1;
        kill(house_init(house, "box"), SIGKILL);
        process_wait(process, NULL, &code, &error);
        g_assert_cmpint(code, ==, 137);
        ProcessState state;
        process_state(process, &state);
        g_assert_cmpstr(state.failure, ==,
                        "process 1 of the container was killed by signal 9 (Killed)");
}

static unsigned open_descriptors(void) {
        unsigned count = 0;
        g_autoptr(GDir) entries = g_dir_open("/proc/self/fd", 0, NULL);
        while (g_dir_read_name(entries))
                count++;
        return count;
}

static void ended_processes_hold_no_descriptors(void) {
        g_autoptr(House) house = house_open();
        if (!house)
                return;
        house_container(house, "box");
        g_autoptr(GPtrArray) kept = g_ptr_array_new_with_free_func((GDestroyNotify) process_free);
        unsigned before = open_descriptors();
        for (int i = 0; i < 20; i++) {
                Process *process = house_start(house, "box", NULL, "echo late; exit 3", false);
                int code;
                process_wait(process, NULL, &code, NULL);
                g_assert_cmpint(code, ==, 3);
                g_ptr_array_add(kept, process);
        }
        g_assert_cmpuint(open_descriptors(), ==, before);
        containers_destroy(house->containers, "box", NULL);
        g_assert_cmpuint(open_descriptors(), <, before); /* those of process 1 went too */
}

static void what_ended_can_still_be_read(void) {
        g_autoptr(House) house = house_open();
        if (!house)
                return;
        house_container(house, "box");
        g_autoptr(Process) process = house_start(house, "box", "task", "echo late; exit 3", false);
        int code;
        process_wait(process, NULL, &code, NULL);
        g_autofree char *text = house_read(process, SHIM_STDOUT, NULL);
        g_assert_cmpstr(text, ==, "late\n");
        g_assert_true(process_signal(process, SIGTERM, NULL)); /* nobody there, and that is fine */
        g_assert_true(process_resize(process, (GardenWindow){ 80, 24 }, NULL));
}

static size_t kept_processes(House *house) {
        g_autofree char *path = g_build_filename(house->directory, "containers/box/processes",
                                                 NULL);
        g_autoptr(GDir) entries = g_dir_open(path, 0, NULL);
        size_t count = 0;
        while (g_dir_read_name(entries))
                count++;
        return count;
}

/* As its control and output connections do. */
static void read_to_the_end(Process *process) {
        int watch = process_watch(process, PROCESS_WATCH_END, NULL), code;
        ProcessState state;
        process_wait(process, NULL, &code, NULL);
        process_state(process, &state);
        process_mark_sent(process, SHIM_STDOUT, state.end[SHIM_STDOUT]);
        process_unwatch(process, watch);
        process_mark_told(process);
}

static void what_was_read_of_an_ended_process_goes(void) {
        g_autoptr(House) house = house_open();
        if (!house)
                return;
        house->read_keep = 1;
        house_restart(house);
        house_container(house, "box");
        g_autoptr(Process) unread = house_start(house, "box", NULL, "echo unread", false);
        g_autoptr(Process) named = house_start(house, "box", "task", "echo named", false);
        g_autoptr(Process) nobodys = house_start(house, "box", NULL, "echo read", false);
        int code;
        process_wait(unread, NULL, &code, NULL);
        read_to_the_end(named); /* a web node may come back to it */
        read_to_the_end(nobodys);
        g_assert_cmpuint(kept_processes(house), ==, 3);
        containers_tidy(house->containers);
        g_assert_cmpuint(kept_processes(house), ==, 2);
}

/* ---- the worker comes back ---- */

static void a_restarted_worker_finds_processes_and_their_output(void) {
        g_autoptr(House) house = house_open();
        if (!house)
                return;
        house_container(house, "box");
        g_autoptr(GError) error = NULL;
        process_free(house_start(house, "box", "task",
                                 "for i in $(seq 1 20000); do echo line $i; done; "
                                 "read x; echo $x; exit 7",
                                 true));
        g_autoptr(Process) second = house_start(house, "box", "other", "echo done; exit 4", false);
        int code = -1;
        process_wait(second, NULL, &code, &error);
        {
                g_autoptr(Container) container = containers_get(house->containers, "box", &error);
                container_set_property(container, "color", "green", &error);
        }
        house_restart(house);

        g_autoptr(Container) container = containers_get(house->containers, "box", &error);
        g_assert_no_error(error);
        g_autoptr(Value) properties = container_properties(container);
        g_assert_cmpstr(value_get_string(properties, "color", NULL), ==, "green");
        g_autoptr(Process) ended = container_process(container, "other", &error);
        g_autofree char *text = house_read(ended, SHIM_STDOUT, NULL);
        g_assert_true(process_wait(ended, NULL, &code, &error));
        g_assert_cmpint(code, ==, 4);
        g_assert_cmpstr(text, ==, "done\n");

        g_autoptr(Process) running = container_process(container, "task", &error);
        g_assert_no_error(error);
        await_bytes(running, SHIM_STDOUT, 64);
        container_stop(container, false, NULL, &error);
        process_wait(running, NULL, &code, &error);
        g_autofree char *output = house_read(running, SHIM_STDOUT, NULL);
        g_assert_true(g_str_has_prefix(output, "line 1\r\nline 2\r\n"));
        /* Whole lines in order, up to where it was stopped. */
        const char *cursor = output;
        for (int i = 1; i <= 20000 && *cursor; i++) {
                g_autofree char *line = g_strdup_printf("line %d\r\n", i);
                if (!g_str_has_prefix(cursor, line))
                        break;
                cursor += strlen(line);
        }
        g_assert_cmpuint(strlen(cursor), <, 16);
}

static void a_container_that_died_meanwhile_is_listed_and_can_go(void) {
        g_autoptr(House) house = house_open();
        if (!house)
                return;
        house_container(house, "box");
        g_autoptr(GError) error = NULL;
        g_autoptr(Process) process = house_start(house, "box", "task", "exec sleep 1000", false);
        int code = -1;
        kill(house_init(house, "box"), SIGKILL);
        process_wait(process, NULL, &code, &error);
        house_restart(house);
        g_autoptr(GPtrArray) handles = containers_list(house->containers, NULL);
        g_assert_cmpuint(handles->len, ==, 1);
        containers_destroy(house->containers, "box", &error);
        g_assert_no_error(error);
        g_autoptr(GPtrArray) left = containers_list(house->containers, NULL);
        g_assert_cmpuint(left->len, ==, 0);
}

static void a_mount_can_be_read_only(void) {
        g_autoptr(House) house = house_open();
        if (!house)
                return;
        g_autofree char *data = g_build_filename(house->directory, "data", NULL);
        g_auto(GardenContainerSpec) spec = { 0 };
        g_auto(Ran) ran = { 0 };
        garden_container_spec_init(&spec);
        mkdir(data, 0777);
        chmod(data, 0777);
        spec.handle = g_strdup("box");
        spec.rootfs = g_strconcat("raw://", house->root, NULL);
        garden_mount_add(&spec, data, "/rw", true);
        garden_mount_add(&spec, data, "/ro", false);
        house_make(house, &spec);
        house_run(house, "box", "touch /rw/a && ls /ro; touch /ro/b 2>/dev/null || echo refused",
                  NULL, &ran);
        g_assert_cmpstr(ran.output, ==, "a\nrefused\n");
}

static void limits_are_set(void) {
        g_autoptr(House) house = house_open();
        if (!house)
                return;
        g_auto(GardenContainerSpec) spec = { 0 };
        g_auto(Ran) ran = { 0 };
        garden_container_spec_init(&spec);
        spec.handle = g_strdup("box");
        spec.rootfs = g_strconcat("raw://", house->root, NULL);
        spec.memory_bytes = 64 * 1024 * 1024;
        spec.cpu_shares = 512;
        house_make(house, &spec);
        house_run(house, "box",
                  "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max "
                  "2>/dev/null; dd if=/dev/zero of=/dev/null bs=200M count=1; echo $?",
                  NULL, &ran);
        g_assert_true(g_str_has_prefix(ran.output, "67108864\n"));
        g_assert_true(g_str_has_suffix(ran.output, "137\n"));
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/container/processes", processes_give_their_output_and_end);
        g_test_add_func("/container/refusals", what_cannot_start_says_why);
        g_test_add_func("/container/interpreter",
                        a_missing_interpreter_is_a_process_that_exits_with_1);
        g_test_add_func("/container/directory", a_missing_directory_is_made);
        g_test_add_func("/container/terminal", a_terminal_has_one_stream_and_a_size);
        g_test_add_func("/container/many", many_short_processes_lose_nothing);
        g_test_add_func("/container/much", much_output_is_exact);
        g_test_add_func("/container/ceiling", a_process_waits_for_its_readers_and_loses_nothing);
        g_test_add_func("/container/stop", stop_terminates_and_kills_what_does_not_listen);
        g_test_add_func("/container/init-dies", when_process_1_dies_all_its_processes_ended);
        g_test_add_func("/container/descriptors", ended_processes_hold_no_descriptors);
        g_test_add_func("/container/late", what_ended_can_still_be_read);
        g_test_add_func("/container/tidy", what_was_read_of_an_ended_process_goes);
        g_test_add_func("/container/restart", a_restarted_worker_finds_processes_and_their_output);
        g_test_add_func("/container/dead", a_container_that_died_meanwhile_is_listed_and_can_go);
        g_test_add_func("/container/read-only", a_mount_can_be_read_only);
        g_test_add_func("/container/limits", limits_are_set);
        return g_test_run();
}
