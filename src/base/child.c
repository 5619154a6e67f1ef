#include "base/child.h"

#include "base/files.h"
#include "base/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

#define FIRST_KEPT 3
#define SIGNALS_MAX 64
#define STDERR_KEPT_BYTES ((size_t) 64 * 1024)
#define KILL_AFTER (2 * DURATION_SECOND)
#define PIPE_READ_BYTES ((size_t) 16 * 1024)
#define CHILDREN_MAX ((size_t) 1024 * 1024)

/* ---- in the child: between vfork and exec, so system calls only, nothing allocated, and none of
 * glibc's wrappers that reach for the other threads (setuid and its kin) ---- */

typedef struct {
        const ChildSpec *spec;
        const char *path;
        char *const *env;
        int *descriptors; /* input, output, error, keep …: all above the highest target */
        size_t descriptor_count;
        int report; /* the write end of a pipe: errno when exec did not happen */
        pid_t parent;
} Launch;

static void reset_signals(void) {
        static const uint64_t by_default[4]; /* the kernel's struct sigaction: SIG_DFL, no flags */
        static const uint64_t none;
        for (int number = 1; number <= SIGNALS_MAX; number++)
                syscall(SYS_rt_sigaction, number, by_default, NULL, sizeof(none));
        syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, sizeof(none));
}

static bool place_descriptors(const Launch *launch) {
        int count = (int) launch->descriptor_count;
        for (int i = 0; i < count; i++)
                if (dup2(launch->descriptors[i], i) < 0)
                        return false;
        int report = launch->report;
        if (report > count)
                close_range((unsigned) count, (unsigned) report - 1, 0);
        return close_range((unsigned) report + 1, ~0U, 0) == 0;
}

static bool drop_user(const ChildSpec *spec) {
        if (spec->user == 0)
                return true;
        for (int capability = 0; prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0; capability++)
                ;
        return syscall(SYS_setgroups, 0, NULL) == 0 &&
               syscall(SYS_setresgid, spec->group, spec->group, spec->group) == 0 &&
               syscall(SYS_setresuid, spec->user, spec->user, spec->user) == 0 &&
               prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) == 0;
}

/* After the change of user, which clears it. */
static bool tie_to_parent(const Launch *launch) {
        if (!launch->spec->die_with_parent)
                return true;
        if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
                return false;
        errno = ESRCH;
        return getppid() == launch->parent;
}

static void become(const Launch *launch) {
        const ChildSpec *spec = launch->spec;
        if (!place_descriptors(launch))
                return;
        if (spec->new_session && setsid() < 0)
                return;
        if (spec->directory && chdir(spec->directory) < 0)
                return;
        if (!drop_user(spec) || !tie_to_parent(launch))
                return;
        reset_signals();
        execve(launch->path, (char *const *) spec->argv, launch->env);
}

G_NORETURN static void child_main(const Launch *launch) {
        become(launch);
        int failed = errno;
        ssize_t ignored = write(launch->report, &failed, sizeof(failed));
        (void) ignored;
        _exit(127);
}

/* ---- in the parent ---- */

/* The calling thread's signals are blocked, so that none of our handlers runs in the child. */
static pid_t spawn(const Launch *launch) {
        pid_t pid = vfork();
        if (pid == 0)
                child_main(launch);
        return pid;
}

static pid_t spawn_quietly(const Launch *launch, int *ret_errno) {
        sigset_t all, before;
        sigfillset(&all);
        pthread_sigmask(SIG_SETMASK, &all, &before);
        pid_t pid = spawn(launch);
        *ret_errno = errno;
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        return pid;
}

/* PR_SET_PDEATHSIG acts when the *thread* that made the child ends, so such children are made by a
 * thread that never does. */
static struct {
        pthread_once_t once;
        Mutex turn;  /* one request at a time */
        Mutex mutex; /* over all below */
        Condition changed;
        const Launch *launch;
        pid_t pid;
        int failed;
} spawner = { .once = PTHREAD_ONCE_INIT };

static void spawner_thread(void *data) {
        MUTEX_SCOPE(&spawner.mutex);
        while (true) {
                while (!spawner.launch)
                        condition_wait(&spawner.changed, &spawner.mutex);
                spawner.pid = spawn_quietly(spawner.launch, &spawner.failed);
                spawner.launch = NULL;
                condition_broadcast(&spawner.changed);
        }
}

static void spawner_start(void) {
        mutex_init(&spawner.turn);
        mutex_init(&spawner.mutex);
        condition_init(&spawner.changed);
        thread_detached("spawner", spawner_thread, NULL);
}

static pid_t spawn_for_ever(const Launch *launch, int *ret_errno) {
        pthread_once(&spawner.once, spawner_start);
        MUTEX_SCOPE(&spawner.turn);
        MUTEX_SCOPE(&spawner.mutex);
        spawner.launch = launch;
        condition_broadcast(&spawner.changed);
        while (spawner.launch)
                condition_wait(&spawner.changed, &spawner.mutex);
        *ret_errno = spawner.failed;
        return spawner.pid;
}

/* Returns new, or NULL. */
static char *find_program(const char *name) {
        if (strchr(name, '/'))
                return g_strdup(name);
        const char *path = getenv("PATH");
        g_auto(GStrv) folders = g_strsplit(path ? path : "/usr/local/bin:/usr/bin:/bin", ":", -1);
        for (size_t i = 0; folders[i]; i++) {
                g_autofree char *file = g_build_filename(*folders[i] ? folders[i] : ".", name,
                                                         NULL);
                if (access(file, X_OK) == 0 && !g_file_test(file, G_FILE_TEST_IS_DIR))
                        return g_steal_pointer(&file);
        }
        return NULL;
}

static void close_descriptors(GArray *descriptors) {
        for (guint i = 0; i < descriptors->len; i++)
                fd_close(g_array_index(descriptors, int, i));
        g_array_unref(descriptors);
}
typedef GArray Descriptors;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Descriptors, close_descriptors)

/* Adds a copy of fd (-1: /dev/null) that lies above all targets, so that placing one never
 * overwrites another. */
static bool descriptor_add(GArray *descriptors, int fd, int above, GError **error) {
        autofd null = -1;
        if (fd < 0) {
                fd = null = open("/dev/null", O_RDWR | O_CLOEXEC);
                if (null < 0) {
                        error_set_errno(error, errno, "open /dev/null");
                        return false;
                }
        }
        int copy = fcntl(fd, F_DUPFD_CLOEXEC, above);
        if (copy < 0) {
                error_set_errno(error, errno, "duplicate descriptor %d", fd);
                return false;
        }
        g_array_append_val(descriptors, copy);
        return true;
}

static GArray *descriptors_collect(const ChildSpec *spec, GError **error) {
        g_autoptr(Descriptors) descriptors = g_array_new(false, false, sizeof(int));
        int above = FIRST_KEPT + (int) spec->keep_count;
        int standard[] = { spec->input, spec->output, spec->error };
        for (size_t i = 0; i < G_N_ELEMENTS(standard); i++)
                if (!descriptor_add(descriptors, standard[i], above, error))
                        return NULL;
        for (size_t i = 0; i < spec->keep_count; i++)
                if (!descriptor_add(descriptors, spec->keep[i], above, error))
                        return NULL;
        return g_steal_pointer(&descriptors);
}

/* Children that somebody here waits for. Whoever holds the lock may start one or look for orphans. */
static struct {
        pthread_mutex_t lock;
        GHashTable *pids;
} started = { .lock = PTHREAD_MUTEX_INITIALIZER };

/* With the lock held. */
static void remember(pid_t pid) {
        if (!started.pids)
                started.pids = g_hash_table_new(NULL, NULL);
        g_hash_table_add(started.pids, GINT_TO_POINTER(pid));
}

/* After it was waited for: the number may be another's from now on. */
static void forget(pid_t pid) {
        MUTEX_SCOPE(&started.lock);
        g_hash_table_remove(started.pids, GINT_TO_POINTER(pid));
}

static void reap(pid_t pid) {
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
                ;
        forget(pid);
}

/* Spawns, and waits until exec has happened or failed. */
static bool launch_run(Launch *launch, pid_t *ret, GError **error) {
        int ends[2], failed;
        if (pipe2(ends, O_CLOEXEC) < 0) {
                error_set_errno(error, errno, "pipe");
                return false;
        }
        autofd read_end = ends[0];
        autofd write_end = fcntl(ends[1], F_DUPFD_CLOEXEC, (int) launch->descriptor_count);
        fd_close(ends[1]);
        launch->report = write_end;
        launch->parent = getpid();

        pid_t pid;
        {
                MUTEX_SCOPE(&started.lock);
                pid = launch->spec->die_with_parent ? spawn_for_ever(launch, &failed)
                                                    : spawn_quietly(launch, &failed);
                if (pid >= 0)
                        remember(pid);
        }
        if (pid < 0) {
                error_set_errno(error, failed, "start %s", launch->spec->argv[0]);
                return false;
        }
        fd_close(fd_steal(&write_end));
        ssize_t got;
        do
                got = read(read_end, &failed, sizeof(failed));
        while (got < 0 && errno == EINTR);
        if (got != 0) {
                reap(pid);
                error_set_errno(error, got == sizeof(failed) ? failed : EIO, "start %s",
                                launch->spec->argv[0]);
                return false;
        }
        *ret = pid;
        return true;
}

static int open_pidfd(pid_t pid) {
        return (int) syscall(SYS_pidfd_open, pid, 0);
}

bool child_start(const ChildSpec *spec, pid_t *ret_pid, int *ret_pidfd, GError **error) {
        g_autofree char *path = find_program(spec->argv[0]);
        if (!path) {
                g_set_error(error, ERROR, ERROR_NOT_FOUND, "start %s: not found in PATH",
                            spec->argv[0]);
                return false;
        }
        g_autoptr(Descriptors) descriptors = descriptors_collect(spec, error);
        if (!descriptors)
                return false;
        Launch launch = {
                .spec = spec,
                .path = path,
                .env = spec->env ? (char *const *) spec->env : environ,
                .descriptors = (int *) (void *) descriptors->data,
                .descriptor_count = descriptors->len,
        };
        pid_t pid;
        if (!launch_run(&launch, &pid, error))
                return false;
        autofd pidfd = open_pidfd(pid);
        if (pidfd < 0) {
                error_set_errno(error, errno, "pidfd_open");
                kill(pid, SIGKILL);
                reap(pid);
                return false;
        }
        if (ret_pid)
                *ret_pid = pid;
        if (ret_pidfd)
                *ret_pidfd = fd_steal(&pidfd);
        return true;
}

/* Of a child that has ended, or is about to. */
static bool collect_status(pid_t pid, int *ret, GError **error) {
        int status;
        while (waitpid(pid, &status, 0) < 0)
                if (errno != EINTR) {
                        error_set_errno(error, errno, "wait for process %d", (int) pid);
                        return false;
                }
        forget(pid);
        *ret = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
        return true;
}

bool child_wait(pid_t pid, int pidfd, Cancel *cancel, int *ret, GError **error) {
        return cancel_poll(cancel, pidfd, POLLIN, DURATION_NEVER, error) &&
               collect_status(pid, ret, error);
}

/* ---- run and collect ---- */

void child_result_clear(ChildResult *result) {
        g_free(result->output);
        g_free(result->error);
        *result = (ChildResult){ 0 };
}

typedef struct {
        pid_t pid;
        int pidfd;
        bool group;               /* it leads one: signals go to all of it */
        int input, output, error; /* our ends; -1: done */
        const char *feed;
        size_t feed_left;
        GString *collected, *complaint;
        size_t output_limit;
        bool ended;
        Cancel *cancel; /* NULL once it was obeyed */
        Duration kill_at;
        GError *failure; /* what the caller gets in the end */
} Run;

static void run_clear(Run *run) {
        fd_close(run->pidfd);
        fd_close(run->input);
        fd_close(run->output);
        fd_close(run->error);
        if (run->collected)
                g_string_free(run->collected, true);
        if (run->complaint)
                g_string_free(run->complaint, true);
        g_clear_error(&run->failure);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Run, run_clear)

static void run_signal(const Run *run, int number) {
        if (run->group)
                kill(-run->pid, number);
        else
                syscall(SYS_pidfd_send_signal, run->pidfd, number, NULL, 0);
}

static void run_feed(Run *run) {
        ssize_t wrote = write(run->input, run->feed, run->feed_left);
        if (wrote > 0) {
                run->feed += wrote;
                run->feed_left -= (size_t) wrote;
        }
        /* EPIPE: it does not want to read; that is no error of ours. */
        bool again = wrote < 0 && (errno == EAGAIN || errno == EINTR);
        if (!again && (wrote < 0 || run->feed_left == 0))
                fd_close(fd_steal(&run->input));
}

/* Reads what is there. Returns false when there is nothing now; closes at the end. */
static bool read_some(int *fd, GString *into) {
        char buffer[PIPE_READ_BYTES];
        ssize_t got = read(*fd, buffer, sizeof(buffer));
        if (got > 0)
                g_string_append_len(into, buffer, got);
        else if (got == 0 || (errno != EAGAIN && errno != EINTR))
                fd_close(fd_steal(fd));
        return got > 0;
}

static bool read_output(Run *run) {
        bool more = read_some(&run->output, run->collected);
        if (run->collected->len > run->output_limit && !run->failure) {
                g_set_error(&run->failure, ERROR, ERROR_LIMIT, "output exceeds %zu bytes",
                            run->output_limit);
                run_signal(run, SIGKILL);
        }
        if (run->failure)
                g_string_truncate(run->collected, 0);
        return more;
}

static bool read_error(Run *run) {
        bool more = read_some(&run->error, run->complaint);
        if (run->complaint->len > STDERR_KEPT_BYTES)
                g_string_erase(run->complaint, 0,
                               (gssize) (run->complaint->len - STDERR_KEPT_BYTES));
        return more;
}

/* Signals as time and the token say. Returns when to look again. */
static Duration run_check_cancel(Run *run) {
        if (run->cancel && !cancel_check(run->cancel, run->failure ? NULL : &run->failure)) {
                run->cancel = NULL;
                run->kill_at = clock_monotonic() + KILL_AFTER;
                run_signal(run, SIGTERM);
        }
        if (clock_monotonic() >= run->kill_at) {
                run->kill_at = DURATION_NEVER;
                run_signal(run, SIGKILL);
        }
        return run->kill_at;
}

/* One round: waits for something to happen, and does it. */
static bool run_step(Run *run, GError **error) {
        Duration until = run_check_cancel(run);
        Duration left = until == DURATION_NEVER ? 0 : MAX(until - clock_monotonic(), 0);
        struct timespec wait = { left / DURATION_SECOND, left % DURATION_SECOND };
        struct pollfd fds[] = {
                { run->pidfd, POLLIN, 0 },
                { run->input, POLLOUT, 0 },
                { run->output, POLLIN, 0 },
                { run->error, POLLIN, 0 },
                { cancel_fd(run->cancel), POLLIN, 0 },
        };
        if (ppoll(fds, G_N_ELEMENTS(fds), until == DURATION_NEVER ? NULL : &wait, NULL) < 0) {
                if (errno == EINTR)
                        return true;
                error_set_errno(error, errno, "poll");
                return false;
        }
        run->ended = fds[0].revents;
        if (fds[1].revents)
                run_feed(run);
        if (fds[2].revents)
                read_output(run);
        if (fds[3].revents)
                read_error(run);
        return true;
}

/* All it wrote is in the pipes; what a grandchild may yet write is not waited for. */
static void run_drain(Run *run) {
        while (run->output >= 0 && read_output(run))
                ;
        while (run->error >= 0 && read_error(run))
                ;
}

/* Our end is non-blocking. */
static bool make_pipe(int *ret_ours, int *ret_theirs, bool we_read, GError **error) {
        int ends[2];
        if (pipe2(ends, O_CLOEXEC) < 0) {
                error_set_errno(error, errno, "pipe");
                return false;
        }
        *ret_ours = ends[we_read ? 0 : 1];
        *ret_theirs = ends[we_read ? 1 : 0];
        fcntl(*ret_ours, F_SETFL, O_NONBLOCK);
        return true;
}

static bool run_start(Run *run, const ChildSpec *spec, bool feed, GError **error) {
        ChildSpec actual = *spec;
        autofd input = -1, output = -1, complaint = -1;
        if (feed && !make_pipe(&run->input, &input, false, error))
                return false;
        if (spec->output <= 0 && !make_pipe(&run->output, &output, true, error))
                return false;
        if (spec->error <= 0 && !make_pipe(&run->error, &complaint, true, error))
                return false;
        actual.input = feed ? input : spec->input;
        actual.output = output >= 0 ? output : spec->output;
        actual.error = complaint >= 0 ? complaint : spec->error;
        run->group = spec->new_session;
        return child_start(&actual, &run->pid, &run->pidfd, error);
}

/* Writing to a child that went away must not kill us: SIGPIPE is blocked around it, and taken. */
static bool run_to_end(Run *run, GError **error) {
        sigset_t pipe, before;
        sigemptyset(&pipe);
        sigaddset(&pipe, SIGPIPE);
        pthread_sigmask(SIG_BLOCK, &pipe, &before);
        bool ok = true;
        while (ok && !run->ended)
                ok = run_step(run, error);
        struct timespec at_once = { 0 };
        if (!sigismember(&before, SIGPIPE))
                while (sigtimedwait(&pipe, NULL, &at_once) > 0)
                        ;
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        return ok;
}

bool child_run(const ChildSpec *spec, const char *input, size_t input_length, size_t output_limit,
               Cancel *cancel, ChildResult *ret, GError **error) {
        g_auto(Run) run = {
                .pidfd = -1,
                .input = -1,
                .output = -1,
                .error = -1,
                .feed = input,
                .feed_left = input_length,
                .collected = g_string_new(NULL),
                .complaint = g_string_new(NULL),
                .output_limit = output_limit,
                .cancel = cancel,
                .kill_at = DURATION_NEVER,
        };
        ChildResult result = { 0 };
        if (!cancel_check(cancel, error) || !run_start(&run, spec, input != NULL, error))
                return false;
        if (input && input_length == 0)
                fd_close(fd_steal(&run.input));
        if (!run_to_end(&run, error)) {
                run_signal(&run, SIGKILL);
                reap(run.pid);
                return false;
        }
        if (!collect_status(run.pid, &result.status, error))
                return false;
        run_drain(&run);
        if (run.failure) {
                g_propagate_error(error, g_steal_pointer(&run.failure));
                return false;
        }
        result.output_length = run.collected->len;
        result.output = g_string_free(g_steal_pointer(&run.collected), false);
        result.error = g_string_free(g_steal_pointer(&run.complaint), false);
        *ret = result;
        return true;
}

/* ---- orphans ---- */

static bool has_ended(pid_t pid) {
        char path[64];
        snprintf(path, sizeof(path), "/proc/%d/stat", (int) pid);
        g_autofree char *text = file_read(path, 4096, NULL, NULL);
        const char *after = text ? strrchr(text, ')') : NULL; /* the name may hold anything */
        return after && after[1] == ' ' && after[2] == 'Z';
}

static void reap_one(const char *text, bool (*is_awaited)(pid_t pid, void *data), void *data) {
        pid_t pid = (pid_t) atoi(text);
        if (pid <= 1 || !has_ended(pid))
                return;
        MUTEX_SCOPE(&started.lock);
        bool ours = started.pids && g_hash_table_contains(started.pids, GINT_TO_POINTER(pid));
        if (!ours && !(is_awaited && is_awaited(pid, data)))
                waitpid(pid, NULL, WNOHANG);
}

/* The kernel lists children by the thread that has them. */
void child_reap_orphans(bool (*is_awaited)(pid_t pid, void *data), void *data) {
        g_autoptr(GDir) threads = g_dir_open("/proc/self/task", 0, NULL);
        for (const char *name; threads && (name = g_dir_read_name(threads));) {
                g_autofree char *path = g_build_filename("/proc/self/task", name, "children", NULL);
                g_autofree char *text = file_read(path, CHILDREN_MAX, NULL, NULL);
                g_auto(GStrv) pids = g_strsplit(text ? text : "", " ", -1);
                for (size_t i = 0; pids[i]; i++)
                        reap_one(pids[i], is_awaited, data);
        }
}
