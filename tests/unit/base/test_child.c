#include "base/child.h"
#include "base/files.h"
#include "base/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIMIT ((size_t) 1 << 20)
#define SHELL(script_)                                                                             \
        (const ChildSpec) {                                                                        \
                .argv = (const char *const[]){ "sh", "-c", script_, NULL }, .input = -1,           \
                .output = -1, .error = -1                                                          \
        }

static void run(const ChildSpec *spec, const char *input, ChildResult *ret) {
        g_autoptr(GError) error = NULL;
        bool ok = child_run(spec, input, input ? strlen(input) : 0, LIMIT, NULL, ret, &error);
        g_assert_no_error(error);
        g_assert_true(ok);
}

static void output_and_status_come_back(void) {
        static const struct {
                const char *script, *input, *output, *error;
                int status;
        } cases[] = {
                { "echo out; echo err >&2; exit 3", NULL, "out\n", "err\n", 3 },
                { "kill -9 $$", NULL, "", "", 128 + SIGKILL },
                { "cat", "fed", "fed", "", 0 },
                { "cat", NULL, "", "", 0 },
                { "exec <&-; exit 0", "nobody reads this", "", "", 0 },
                { "(sleep 3; echo late) & echo now", NULL, "now\n", "", 0 },
        };
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_auto(ChildResult) result = { 0 };
                run(&SHELL(cases[i].script), cases[i].input, &result);
                g_assert_cmpint(result.status, ==, cases[i].status);
                g_assert_cmpstr(result.output, ==, cases[i].output);
                g_assert_cmpstr(result.error, ==, cases[i].error);
        }
}

static void large_input_and_output_do_not_block_each_other(void) {
        g_autofree char *input = g_strnfill(LIMIT - 1, 'x');
        g_auto(ChildResult) result = { 0 };
        run(&SHELL("cat"), input, &result);
        g_assert_cmpint(result.output_length, ==, LIMIT - 1);
        g_assert_cmpstr(result.output, ==, input);
}

static void what_has_a_descriptor_of_its_own_is_not_collected(void) {
        autofd file = memfd_create("output", MFD_CLOEXEC);
        ChildSpec spec = SHELL("echo there; echo here >&2");
        char there[6];
        spec.output = file;
        g_auto(ChildResult) result = { 0 };
        run(&spec, NULL, &result);
        g_assert_cmpstr(result.output, ==, "");
        g_assert_cmpstr(result.error, ==, "here\n");
        g_assert_cmpint(pread(file, there, sizeof(there), 0), ==, sizeof(there));
        g_assert_cmpmem(there, sizeof(there), "there\n", 6);
}

static void too_much_output_is_an_error(void) {
        g_autoptr(GError) error = NULL;
        g_auto(ChildResult) result = { 0 };
        g_assert_false(child_run(&SHELL("cat /dev/zero"), NULL, 0, LIMIT, NULL, &result, &error));
        g_assert_error(error, ERROR, ERROR_LIMIT);
        g_assert_null(result.output);
}

static void only_the_end_of_stderr_is_kept(void) {
        g_auto(ChildResult) result = { 0 };
        run(&SHELL("head -c 200000 /dev/zero >&2; printf end >&2"), NULL, &result);
        g_assert_cmpmem(result.error + 64 * 1024 - 3, 4, "end", 4);
}

static void a_missing_program_is_not_found(void) {
        static const char *const names[] = { "no-such-program-anywhere", "/no/such/program" };
        for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
                g_autoptr(GError) error = NULL;
                ChildSpec spec = { .argv = (const char *const[]){ names[i], NULL },
                                   .input = -1,
                                   .output = -1,
                                   .error = -1 };
                g_assert_false(child_start(&spec, NULL, NULL, &error));
                g_assert_error(error, ERROR, ERROR_NOT_FOUND);
        }
}

static void environment_and_directory_are_as_told(void) {
        ChildSpec spec = SHELL("pwd; echo $ONE; env | wc -l");
        spec.env = (const char *const[]){ "ONE=1", NULL };
        spec.directory = "/usr";
        g_auto(ChildResult) result = { 0 };
        run(&spec, NULL, &result);
        g_assert_true(g_str_has_prefix(result.output, "/usr\n1\n"));
}

static void only_named_descriptors_are_there_and_in_order(void) {
        autofd first = open("/dev/null", O_RDONLY), leak = open("/dev/null", O_RDONLY);
        autofd second = open("/proc/self/comm", O_RDONLY | O_CLOEXEC);
        g_assert_cmpint(leak, >=, 0);
        int keep[] = { second, first };
        ChildSpec cat = SHELL("cat <&3; cat <&4");
        ChildSpec list = SHELL("exec ls /proc/self/fd"); /* and one for the folder */
        cat.keep = list.keep = keep;
        cat.keep_count = list.keep_count = 2;
        g_auto(ChildResult) content = { 0 }, names = { 0 };
        run(&cat, NULL, &content);
        run(&list, NULL, &names);
        g_autofree char *comm = file_read("/proc/self/comm", 64, NULL, NULL);
        g_assert_cmpstr(content.output, ==, comm);
        g_assert_cmpstr(names.output, ==, "0\n1\n2\n3\n4\n5\n");
}

static void signals_are_reset(void) {
        signal(SIGUSR1, SIG_IGN);
        sigset_t one;
        sigemptyset(&one);
        sigaddset(&one, SIGUSR2);
        pthread_sigmask(SIG_BLOCK, &one, NULL);
        g_auto(ChildResult) result = { 0 };
        run(&SHELL("exec grep -E '^Sig(Blk|Ign)' /proc/self/status"), NULL, &result);
        pthread_sigmask(SIG_UNBLOCK, &one, NULL);
        signal(SIGUSR1, SIG_DFL);
        g_assert_cmpstr(result.output, ==,
                        "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}

static void a_user_is_taken_on_without_capabilities(void) {
        if (geteuid() != 0) {
                g_test_skip("needs root");
                return;
        }
        ChildSpec spec = SHELL(
                "id -u; id -g; id -G; grep -E '^Cap(Prm|Eff|Bnd|Amb)' /proc/$$/status "
                "| sort -u -k 2 | wc -l; cat /proc/$$/status | grep CapBnd");
        spec.user = 65534;
        spec.group = 65533;
        spec.die_with_parent = true;
        g_auto(ChildResult) result = { 0 };
        run(&spec, NULL, &result);
        g_assert_cmpstr(result.output, ==, "65534\n65533\n65533\n1\nCapBnd:\t0000000000000000\n");
}

static void cancel_ends_what_obeys_and_what_does_not(void) {
        static const char *const scripts[] = { "echo up; exec sleep 1000",
                                               "trap '' TERM; echo up; while :; do sleep 1; done" };
        for (size_t i = 0; i < G_N_ELEMENTS(scripts); i++) {
                g_autoptr(Cancel) cancel = cancel_new_deadline(NULL, 50 * DURATION_MILLISECOND);
                g_autoptr(GError) error = NULL;
                g_auto(ChildResult) result = { 0 };
                ChildSpec spec = SHELL(scripts[i]);
                spec.new_session = true;
                g_assert_false(child_run(&spec, NULL, 0, LIMIT, cancel, &result, &error));
                g_assert_error(error, ERROR, ERROR_TIMEOUT);
        }
}

static void wait_can_be_cancelled_and_taken_up_again(void) {
        pid_t pid;
        int pidfd, status = -1;
        g_assert_true(child_start(&SHELL("exec sleep 1000"), &pid, &pidfd, NULL));
        g_autoptr(Cancel) cancel = cancel_new_deadline(NULL, DURATION_MILLISECOND);
        g_assert_false(child_wait(pid, pidfd, cancel, &status, NULL));
        kill(pid, SIGTERM);
        g_assert_true(child_wait(pid, pidfd, NULL, &status, NULL));
        g_assert_cmpint(status, ==, 128 + SIGTERM);
        close(pidfd);
}

typedef struct {
        int input, output; /* of the child */
        pid_t thread;
} Start;

static void start_echo(void *data) {
        Start *start = data;
        ChildSpec spec = SHELL("read line; echo $line");
        spec.input = start->input;
        spec.output = start->output;
        spec.die_with_parent = true;
        start->thread = (pid_t) syscall(SYS_gettid);
        g_assert_true(child_start(&spec, NULL, NULL, NULL));
}

/* pthread_join returns before the kernel has sent what a thread's end sends. */
static void await_thread_gone(pid_t thread) {
        g_autofree char *path = g_strdup_printf("/proc/self/task/%d", (int) thread);
        while (access(path, F_OK) == 0)
                sched_yield();
}

static void the_end_of_the_thread_that_started_it_is_not_its_end(void) {
        int input[2], output[2];
        char answer[2] = "";
        g_assert_cmpint(pipe2(input, O_CLOEXEC), ==, 0);
        g_assert_cmpint(pipe2(output, O_CLOEXEC), ==, 0);
        Start start = { input[0], output[1], 0 };
        thread_join(thread_start("short", start_echo, &start));
        await_thread_gone(start.thread);
        close(input[0]);
        close(output[1]);
        g_assert_true(write_all(input[1], "x\n", 2, NULL));
        g_assert_true(read_exactly(output[0], answer, 2, NULL));
        g_assert_cmpmem(answer, 2, "x\n", 2);
        close(input[1]);
        close(output[0]);
}

#define DIE "--start-a-child-and-die"

static void start_and_die(void) {
        pid_t pid;
        ChildSpec spec = SHELL("exec sleep 1000");
        spec.die_with_parent = true;
        g_assert_true(child_start(&spec, &pid, NULL, NULL));
        g_print("%d", (int) pid);
        fflush(stdout);
        kill(getpid(), SIGKILL);
}

static void it_dies_with_the_process(void) {
        g_auto(ChildResult) result = { 0 };
        ChildSpec spec = { .argv = (const char *const[]){ "/proc/self/exe", DIE, NULL },
                           .input = -1 };
        run(&spec, NULL, &result);
        g_assert_cmpint(result.status, ==, 128 + SIGKILL);
        pid_t pid = (pid_t) atoi(result.output);
        g_assert_cmpint(pid, >, 1);
        autofd pidfd = (int) syscall(SYS_pidfd_open, pid, 0);
        if (pidfd < 0)
                return; /* gone already */
        Duration deadline = clock_monotonic() + 20 * DURATION_SECOND;
        g_assert_true(cancel_poll(NULL, pidfd, POLLIN, deadline, NULL));
}

static void run_one(void *data) {
        for (int i = 0; i < 20; i++) {
                g_auto(ChildResult) result = { 0 };
                run(&SHELL("cat; echo $0 done"), "some text ", &result);
                g_assert_cmpstr(result.output, ==, "some text sh done\n");
        }
}

static void many_threads_start_children_at_once(void) {
        Thread *threads[8];
        for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
                threads[i] = thread_start("run", run_one, NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
                thread_join(threads[i]);
}

/* ---- orphans ---- */

static bool is_awaited(pid_t pid, void *data) {
        return pid == *(pid_t *) data;
}

/* Returns the pid of a process that our child left behind and that has ended. */
static pid_t make_orphan(void) {
        const char *argv[] = { "sh", "-c", "sleep 0.1 >/dev/null 2>&1 & echo $!", NULL };
        ChildSpec spec = { .argv = argv, .input = -1, .output = -1, .error = -1 };
        g_auto(ChildResult) result = { 0 };
        g_autoptr(GError) error = NULL;
        child_run(&spec, NULL, 0, 64, NULL, &result, &error);
        g_assert_no_error(error);
        pid_t pid = (pid_t) atoi(result.output);
        siginfo_t end;
        waitid(P_PID, (id_t) pid, &end, WEXITED | WNOWAIT);
        return pid;
}

static void orphans_are_reaped_unless_somebody_waits_for_them(void) {
        prctl(PR_SET_CHILD_SUBREAPER, 1);
        pid_t orphan = make_orphan(), awaited = make_orphan();
        child_reap_orphans(is_awaited, &awaited);
        g_assert_cmpint(kill(orphan, 0), ==, -1);
        g_assert_cmpint(kill(awaited, 0), ==, 0);
        child_reap_orphans(NULL, NULL);
        g_assert_cmpint(kill(awaited, 0), ==, -1);
        prctl(PR_SET_CHILD_SUBREAPER, 0);
}

static void a_child_that_was_started_is_no_orphan(void) {
        const char *argv[] = { "sh", "-c", "exit 7", NULL };
        ChildSpec spec = { .argv = argv, .input = -1, .output = -1, .error = -1 };
        g_autoptr(GError) error = NULL;
        pid_t pid;
        int status;
        autofd pidfd = -1;
        child_start(&spec, &pid, &pidfd, &error);
        g_assert_no_error(error);
        g_assert_true(cancel_poll(NULL, pidfd, POLLIN, DURATION_NEVER, &error));
        child_reap_orphans(NULL, NULL);
        g_assert_true(child_wait(pid, pidfd, NULL, &status, &error));
        g_assert_cmpint(status, ==, 7);
}

int main(int argc, char **argv) {
        if (argc == 2 && g_str_equal(argv[1], DIE))
                start_and_die();
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/child/result", output_and_status_come_back);
        g_test_add_func("/child/large", large_input_and_output_do_not_block_each_other);
        g_test_add_func("/child/own", what_has_a_descriptor_of_its_own_is_not_collected);
        g_test_add_func("/child/limit", too_much_output_is_an_error);
        g_test_add_func("/child/stderr", only_the_end_of_stderr_is_kept);
        g_test_add_func("/child/missing", a_missing_program_is_not_found);
        g_test_add_func("/child/environment", environment_and_directory_are_as_told);
        g_test_add_func("/child/descriptors", only_named_descriptors_are_there_and_in_order);
        g_test_add_func("/child/signals", signals_are_reset);
        g_test_add_func("/child/user", a_user_is_taken_on_without_capabilities);
        g_test_add_func("/child/cancel", cancel_ends_what_obeys_and_what_does_not);
        g_test_add_func("/child/wait", wait_can_be_cancelled_and_taken_up_again);
        g_test_add_func("/child/thread", the_end_of_the_thread_that_started_it_is_not_its_end);
        g_test_add_func("/child/parent", it_dies_with_the_process);
        g_test_add_func("/child/threads", many_threads_start_children_at_once);
        g_test_add_func("/child/orphans", orphans_are_reaped_unless_somebody_waits_for_them);
        g_test_add_func("/child/no-orphan", a_child_that_was_started_is_no_orphan);
        return g_test_run();
}
