#include "cmd/supervisor.h"

#include "base/child.h"
#include "base/files.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define PAUSE_FIRST (100 * DURATION_MILLISECOND)
#define PAUSE_MAX (10 * DURATION_SECOND)
/* A child that lived so long died of something new. */
#define LIVED_LONG (10 * DURATION_SECOND)
/* Each child's time to end by itself. */
#define STOP_GRACE (15 * DURATION_SECOND)
/* A longer line is passed on in pieces. */
#define LINE_MAX_BYTES ((size_t) 64 * 1024)

typedef struct {
        const SupervisorChild *spec;
        pid_t pid; /* 0: does not run */
        int pidfd, log;
        GString *line;                       /* that has not ended yet */
        Duration started, pause, restart_at; /* restart_at 0: is not waited for */
        Duration kill_at;                    /* 0: was not told to end */
        bool was_ready, complained;
} Child;

typedef struct {
        const SupervisorSpec *spec;
        Child children[SUPERVISOR_CHILDREN_MAX];
        size_t begun; /* how many were started so far */
        int signals;
        bool ready, stopping, failed;
        GError *failure;
} Supervisor;

static const int signals_read[] = { SIGTERM, SIGINT };

static void set_of_signals(sigset_t *ret) {
        sigemptyset(ret);
        for (size_t i = 0; i < G_N_ELEMENTS(signals_read); i++)
                sigaddset(ret, signals_read[i]);
}

void supervisor_block_signals(void) {
        sigset_t set;
        set_of_signals(&set);
        sigprocmask(SIG_BLOCK, &set, NULL);
        signal(SIGPIPE, SIG_IGN);
}

/* ---- starting ---- */

static bool start_child(Child *child, GError **error) {
        const SupervisorChild *what = child->spec;
        int ends[2];

        if (pipe2(ends, O_CLOEXEC) < 0) {
                error_set_errno(error, errno, "pipe");
                return false;
        }
        autofd read_end = ends[0], write_end = ends[1];
        fcntl(read_end, F_SETFL, O_NONBLOCK);
        ChildSpec spec = { .argv = what->argv,
                           .env = what->env,
                           .input = -1,
                           .output = write_end,
                           .error = write_end,
                           .keep = &what->listener,
                           .keep_count = what->listener >= 0 ? 1 : 0,
                           .user = what->user,
                           .group = what->group,
                           .new_session = true,
                           .die_with_parent = true };
        if (!child_start(&spec, &child->pid, &child->pidfd, error)) {
                child->pid = 0;
                g_prefix_error(error, "start %s: ", what->name);
                return false;
        }
        child->log = fd_steal(&read_end);
        child->started = clock_monotonic();
        child->restart_at = 0;
        return true;
}

static void end_all(Supervisor *supervisor);

static void fail(Supervisor *supervisor, GError *failure) {
        if (supervisor->failed)
                g_clear_error(&failure);
        else
                supervisor->failure = failure;
        supervisor->failed = true;
        end_all(supervisor);
}

/* The next child that was never started; when there is none, all are ready. */
static void go_on(Supervisor *supervisor) {
        const SupervisorSpec *spec = supervisor->spec;
        g_autoptr(GError) error = NULL;

        if (supervisor->begun < spec->count) {
                if (!start_child(&supervisor->children[supervisor->begun++], &error))
                        fail(supervisor, g_steal_pointer(&error));
        } else if (!supervisor->ready) {
                supervisor->ready = true;
                if (spec->ready && !spec->ready(spec->data, &error))
                        fail(supervisor, g_steal_pointer(&error));
        }
}

/* ---- what children say ---- */

static bool has(const char *line, size_t length, const char *text) {
        return memmem(line, length, text, strlen(text)) != NULL;
}

static bool says_ready(const Child *child, const char *line, size_t length) {
        g_autofree char *message = g_strdup_printf("\"message\":\"%s\"", child->spec->ready);
        return has(line, length, message);
}

static void take_line(Supervisor *supervisor, Child *child, const char *line, size_t length) {
        const SupervisorSpec *spec = supervisor->spec;
        bool info = has(line, length, "\"level\":\"info\"");

        if (!child->spec->quiet || !info)
                write_all(STDERR_FILENO, line, length, NULL);
        if (g_str_has_prefix(line, "error: "))
                child->complained = true;
        if (spec->line)
                spec->line(child->spec, line, length, spec->data);
        if (!child->was_ready && info && says_ready(child, line, length)) {
                child->was_ready = true;
                if (!supervisor->stopping)
                        go_on(supervisor);
        }
}

static void take_bytes(Supervisor *supervisor, Child *child, const char *bytes, size_t length) {
        g_string_append_len(child->line, bytes, (gssize) length);
        for (;;) {
                char *end = memchr(child->line->str, '\n', child->line->len);
                size_t whole = end ? (size_t) (end - child->line->str) + 1
                               : child->line->len >= LINE_MAX_BYTES ? child->line->len
                                                                    : 0;
                if (whole == 0)
                        return;
                g_autofree char *line = g_strndup(child->line->str, whole);
                g_string_erase(child->line, 0, (gssize) whole);
                take_line(supervisor, child, line, whole);
        }
}

/* Returns false when there is nothing more to come. */
static bool read_log(Supervisor *supervisor, Child *child) {
        char bytes[16384];
        ssize_t got = read(child->log, bytes, sizeof(bytes));

        if (got < 0)
                return errno == EAGAIN || errno == EINTR;
        if (got > 0)
                take_bytes(supervisor, child, bytes, (size_t) got);
        return got > 0;
}

/* What is in the pipe when the child has ended: those it started may hold the other end. */
static void read_rest(Supervisor *supervisor, Child *child) {
        struct pollfd ready = { .fd = child->log, .events = POLLIN };

        while (child->log >= 0 && poll(&ready, 1, 0) > 0 && (ready.revents & POLLIN))
                if (!read_log(supervisor, child))
                        break;
        if (child->line->len > 0)
                take_bytes(supervisor, child, "\n", 1);
        fd_close(fd_steal(&child->log));
}

/* ---- ends ---- */

static void tell_to_end(Child *child) {
        if (child->pid == 0 || child->kill_at)
                return;
        child->kill_at = clock_monotonic() + STOP_GRACE;
        kill(child->pid, SIGTERM);
}

/* The first that runs is told to end; the next when it has. */
static void end_all(Supervisor *supervisor) {
        supervisor->stopping = true;
        for (size_t i = 0; i < supervisor->begun; i++) {
                Child *child = &supervisor->children[i];
                child->restart_at = 0;
                if (child->pid == 0)
                        continue;
                tell_to_end(child);
                return;
        }
}

static void plan_restart(Child *child, int status) {
        bool long_ago = clock_monotonic() - child->started >= LIVED_LONG;

        child->pause = child->pause == 0 || long_ago ? PAUSE_FIRST
                                                     : MIN(2 * child->pause, PAUSE_MAX);
        child->restart_at = clock_monotonic() + child->pause;
        g_autofree char *pause = duration_format(child->pause);
        g_autoptr(GError) error = g_error_new(ERROR, ERROR_INTERNAL, "%s ended with status %d",
                                              child->spec->name, status);
        log_error("", "restarting", error, "program", child->spec->name, "pause", pause);
}

static void child_ended(Supervisor *supervisor, Child *child) {
        int status = -1;
        bool was_told = child->kill_at != 0;

        child_wait(child->pid, child->pidfd, NULL, &status, NULL);
        read_rest(supervisor, child);
        fd_close(fd_steal(&child->pidfd));
        child->pid = 0;
        child->kill_at = 0;
        if (was_told || supervisor->stopping) {
                end_all(supervisor);
        } else if (!child->was_ready && status < 128) { /* not by a signal: it gave up itself */
                fail(supervisor,
                     child->complained ? NULL
                                       : g_error_new(ERROR, ERROR_INTERNAL,
                                                     "%s ended with status %d before it was ready",
                                                     child->spec->name, status));
        } else {
                plan_restart(child, status);
        }
}

/* ---- the loop ---- */

/* The second one makes an end at once. */
static void take_signal(Supervisor *supervisor) {
        struct signalfd_siginfo info;

        if (read(supervisor->signals, &info, sizeof(info)) != (ssize_t) sizeof(info))
                return;
        log_info("", "signalled", "signal", strsignal((int) info.ssi_signo));
        for (size_t i = 0; supervisor->stopping && i < supervisor->begun; i++)
                if (supervisor->children[i].pid)
                        kill(supervisor->children[i].pid, SIGKILL);
        end_all(supervisor);
}

static void look_at_clock(Supervisor *supervisor) {
        Duration now = clock_monotonic();

        for (size_t i = 0; i < supervisor->begun; i++) {
                Child *child = &supervisor->children[i];
                g_autoptr(GError) error = NULL;
                if (child->kill_at && child->kill_at <= now && child->pid) {
                        log_info("", "killing", "program", child->spec->name);
                        kill(child->pid, SIGKILL);
                        child->kill_at = DURATION_NEVER;
                }
                if (child->restart_at && child->restart_at <= now && !start_child(child, &error)) {
                        log_error("", "start-failed", error, "program", child->spec->name);
                        child->pause = MIN(2 * child->pause, PAUSE_MAX);
                        child->restart_at = now + child->pause;
                }
        }
}

/* Until the next restart or kill, in milliseconds; -1: none is due. */
static int time_left(const Supervisor *supervisor) {
        Duration next = DURATION_NEVER;

        for (size_t i = 0; i < supervisor->begun; i++) {
                const Child *child = &supervisor->children[i];
                if (child->kill_at)
                        next = MIN(next, child->kill_at);
                if (child->restart_at)
                        next = MIN(next, child->restart_at);
        }
        if (next == DURATION_NEVER)
                return -1;
        return (int) (MAX(next - clock_monotonic(), 0) / DURATION_MILLISECOND) + 1;
}

static bool is_over(const Supervisor *supervisor) {
        for (size_t i = 0; i < supervisor->begun; i++)
                if (supervisor->children[i].pid)
                        return false;
        return supervisor->stopping;
}

static void turn(Supervisor *supervisor) {
        struct pollfd polls[1 + 2 * SUPERVISOR_CHILDREN_MAX];
        size_t begun = supervisor->begun;

        polls[0] = (struct pollfd){ .fd = supervisor->signals, .events = POLLIN };
        for (size_t i = 0; i < begun; i++) {
                Child *child = &supervisor->children[i];
                polls[1 + 2 * i] = (struct pollfd){ .fd = child->log, .events = POLLIN };
                polls[2 + 2 * i] = (struct pollfd){ .fd = child->pidfd, .events = POLLIN };
        }
        if (poll(polls, 1 + 2 * begun, time_left(supervisor)) < 0)
                return;
        if (polls[0].revents)
                take_signal(supervisor);
        for (size_t i = 0; i < begun; i++) {
                Child *child = &supervisor->children[i];
                if (polls[1 + 2 * i].revents && !read_log(supervisor, child))
                        fd_close(fd_steal(&child->log));
                if (polls[2 + 2 * i].revents)
                        child_ended(supervisor, child);
        }
        look_at_clock(supervisor);
}

bool supervisor_run(const SupervisorSpec *spec, GError **error) {
        Supervisor supervisor = { .spec = spec };
        sigset_t set;

        g_assert(spec->count <= SUPERVISOR_CHILDREN_MAX);
        set_of_signals(&set);
        supervisor.signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
        g_assert(supervisor.signals >= 0);
        for (size_t i = 0; i < spec->count; i++)
                supervisor.children[i] = (Child){ .spec = &spec->children[i],
                                                  .pidfd = -1,
                                                  .log = -1,
                                                  .line = g_string_new(NULL) };
        for (go_on(&supervisor); !is_over(&supervisor);)
                turn(&supervisor);

        for (size_t i = 0; i < spec->count; i++)
                g_string_free(supervisor.children[i].line, true);
        fd_close(supervisor.signals);
        if (supervisor.failure)
                g_propagate_error(error, supervisor.failure);
        return !supervisor.failed;
}
