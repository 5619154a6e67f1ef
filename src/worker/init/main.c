/*
 * weir-init: process 1 of every container. It starts processes when the worker asks for it over a
 * socket, appends what they write to files that the worker passed, and reaps. It goes on when the
 * worker dies, and the next worker finds it by its socket. One thread, libc only.
 */
#include "worker/init/process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* A full disk tells nobody when it has room again. */
#define STALL_MILLISECONDS 500
/* Output is told of at once when it was quiet for so long, or when so much has come. */
#define TELL_MILLISECONDS 2
#define TELL_BYTES (128 * 1024)

static Process processes[SHIM_PROCESSES_MAX];
static int connection = -1;
static bool tell_hello, blocked; /* blocked: the connection takes no more now */

static void drop_connection(void) {
        close(connection);
        connection = -1;
        blocked = tell_hello = false;
        for (size_t i = 0; i < SHIM_PROCESSES_MAX; i++)
                processes[i].tell = 0; /* SHIM_HELLO makes us tell all of it again */
}

static bool send_message(ShimKind kind, uint32_t number, int64_t value, int64_t extra) {
        ShimMessage message = { (uint32_t) kind, number, value, extra };
        ssize_t n = send(connection, &message, sizeof(message), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
                blocked = true;
        else if (n < 0)
                drop_connection();
        return n >= 0;
}

/* ---- telling ---- */

static bool tell_one(Process *process, unsigned what) {
        const Stream *streams = process->streams;
        switch (what) {
        case TELL_STATE:
                return send_message(SHIM_STATE, process->number, process->running, process->pid);
        case TELL_STARTED:
                return send_message(SHIM_STARTED, process->number, process->pid, 0);
        case TELL_FAILED:
                return send_message(SHIM_FAILED, process->number, process->failure.stage,
                                    process->failure.error);
        case TELL_STDOUT:
                return send_message(SHIM_APPENDED, process->number, SHIM_STDOUT,
                                    streams[SHIM_STDOUT].offset);
        case TELL_STDERR:
                return send_message(SHIM_APPENDED, process->number, SHIM_STDERR,
                                    streams[SHIM_STDERR].offset);
        default:
                return send_message(SHIM_EXITED, process->number, process->code, 0);
        }
}

static int64_t now_milliseconds(void) {
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Of a process that writes much the worker hears once in a while: each word wakes four threads on the way to a reader,
 * and a terminal gives 4 KiB at most. */
static bool can_wait(const Process *process, const Stream *stream) {
        return process->running && stream->offset - stream->told < TELL_BYTES &&
               now_milliseconds() - process->told_at < TELL_MILLISECONDS;
}

/* In the order of the bits; nothing is said of a process before how its start went. */
static void tell(Process *process) {
        for (unsigned what = TELL_STATE; what <= TELL_EXITED; what <<= 1) {
                Stream *stream = what == TELL_STDOUT   ? &process->streams[SHIM_STDOUT]
                                 : what == TELL_STDERR ? &process->streams[SHIM_STDERR]
                                                       : NULL;
                if (what > TELL_FAILED && process->report >= 0)
                        return;
                if (!(process->tell & what) || (stream && can_wait(process, stream)))
                        continue;
                if (!tell_one(process, what))
                        return;
                process->tell &= ~what;
                if (stream) {
                        stream->told = stream->offset;
                        process->told_at = now_milliseconds();
                }
        }
}

/* Whether something is left to tell that only waits for its time. */
static bool is_owed(const Process *process) {
        return process->used && process->report < 0 && connection >= 0 && !blocked &&
               (process->tell & (TELL_STDOUT | TELL_STDERR));
}

static void tell_all(void) {
        for (size_t i = 0; i < SHIM_PROCESSES_MAX; i++) {
                Process *process = &processes[i];
                if (process->used && process->failed)
                        process->tell &= TELL_FAILED;
                if (process->used && process->tell && connection >= 0 && !blocked)
                        tell(process);
                if (process->used && process->failed && process->ended && !process->tell)
                        process_free(process);
        }
        if (tell_hello && connection >= 0 && !blocked &&
            send_message(SHIM_HELLO, 0, SHIM_VERSION, 0))
                tell_hello = false;
}

/* ---- listening ---- */

static Process *find(uint32_t number) {
        for (size_t i = 0; i < SHIM_PROCESSES_MAX; i++)
                if (processes[i].used && processes[i].number == number)
                        return &processes[i];
        return NULL;
}

static void start(uint32_t number, int fds[SHIM_FDS]) {
        LaunchFailure failure = { SHIM_STAGE_PROTOCOL, EAGAIN };
        for (size_t i = 0; i < SHIM_PROCESSES_MAX; i++)
                if (!processes[i].used && !find(number)) {
                        if (process_start(&processes[i], number, fds, &failure))
                                return;
                        break;
                }
        send_message(SHIM_FAILED, number, failure.stage, failure.error);
}

static void signal_processes(uint32_t number, int signal_number, bool group) {
        for (size_t i = 0; i < SHIM_PROCESSES_MAX; i++)
                if (processes[i].used && processes[i].running &&
                    (number == 0 || processes[i].number == number))
                        kill(group ? -processes[i].pid : processes[i].pid, signal_number);
}

static void hello(void) {
        for (size_t i = 0; i < SHIM_PROCESSES_MAX; i++)
                if (processes[i].used && !processes[i].failed) {
                        processes[i].tell |= TELL_STATE | TELL_STDOUT | TELL_STDERR |
                                             (processes[i].ended ? (unsigned) TELL_EXITED : 0);
                        processes[i].told_at = 0;
                }
        tell_hello = true;
}

static void obey(const ShimMessage *message, int fds[SHIM_FDS]) {
        Process *process = find(message->number);
        switch (message->kind) {
        case SHIM_HELLO:
                hello();
                break;
        case SHIM_START:
                start(message->number, fds);
                break;
        case SHIM_SIGNAL:
                if (message->value > 0 && message->value < NSIG)
                        signal_processes(message->number, (int) message->value, message->extra);
                break;
        case SHIM_RESIZE:
                if (process)
                        process_resize(process, message->value, message->extra);
                break;
        case SHIM_LIMIT:
                if (process && (message->value == SHIM_STDOUT || message->value == SHIM_STDERR))
                        process->streams[message->value].limit = message->extra;
                break;
        case SHIM_INPUT:
                if (process && process->terminal && process->running && fds[0] >= 0) {
                        if (process->input >= 0)
                                close(process->input);
                        process->input = fds[0];
                        fcntl(process->input, F_SETFL, O_NONBLOCK);
                        fds[0] = -1;
                }
                break;
        case SHIM_FORGET:
                if (process && process->ended)
                        process_free(process);
                break;
        default:
                break;
        }
}

static void take_descriptors(struct msghdr *header, int fds[SHIM_FDS]) {
        size_t count = 0;
        for (struct cmsghdr *part = CMSG_FIRSTHDR(header); part; part = CMSG_NXTHDR(header, part)) {
                if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS)
                        continue;
                size_t length = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
                for (size_t i = 0; i < length; i++) {
                        int fd;
                        memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof(int));
                        if (count < SHIM_FDS)
                                fds[count++] = fd;
                        else
                                close(fd);
                }
        }
}

/* Returns whether there may be more. */
static bool listen_once(void) {
        ShimMessage message = { 0 };
        union {
                char space[CMSG_SPACE(sizeof(int) * SHIM_FDS)];
                struct cmsghdr align;
        } control;
        struct iovec part = { &message, sizeof(message) };
        struct msghdr header = { .msg_iov = &part,
                                 .msg_iovlen = 1,
                                 .msg_control = control.space,
                                 .msg_controllen = sizeof(control.space) };
        int fds[SHIM_FDS] = { -1, -1, -1, -1, -1 };

        ssize_t n = recvmsg(connection, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return false;
        if (n <= 0) {
                drop_connection();
                return false;
        }
        take_descriptors(&header, fds);
        if (n == (ssize_t) sizeof(message))
                obey(&message, fds);
        for (size_t i = 0; i < SHIM_FDS; i++)
                if (fds[i] >= 0)
                        close(fds[i]);
        return connection >= 0;
}

static void accept_worker(void) {
        int fd = accept4(SHIM_FD, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0)
                return;
        if (connection >= 0)
                drop_connection();
        connection = fd;
}

/* ---- reaping ---- */

static void reap(int signals) {
        struct signalfd_siginfo info;
        while (read(signals, &info, sizeof(info)) > 0)
                ;
        int status;
        for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;)
                for (size_t i = 0; i < SHIM_PROCESSES_MAX; i++)
                        if (processes[i].used && processes[i].running && processes[i].pid == pid)
                                process_exited(&processes[i], status);
}

static int signals_open(void) {
        sigset_t all;
        sigfillset(&all);
        sigprocmask(SIG_BLOCK, &all, NULL);
        sigset_t children;
        sigemptyset(&children);
        sigaddset(&children, SIGCHLD);
        return signalfd(-1, &children, SFD_CLOEXEC | SFD_NONBLOCK);
}

int main(void) {
        prctl(PR_SET_DUMPABLE, 0); /* what is in the container may not look into us */
        fcntl(SHIM_FD, F_SETFD, FD_CLOEXEC);
        fcntl(SHIM_FD, F_SETFL, O_NONBLOCK);
        int signals = signals_open();
        if (signals < 0)
                return 1;

        static struct pollfd polls[3 + SHIM_PROCESSES_MAX * PROCESS_POLLS];
        for (;;) {
                bool stalled = false, owed = false;
                size_t count = 0;
                polls[count++] = (struct pollfd){ .fd = signals, .events = POLLIN };
                polls[count++] = (struct pollfd){ .fd = SHIM_FD, .events = POLLIN };
                polls[count++] = (struct pollfd){
                        .fd = connection, .events = (short) (POLLIN | (blocked ? POLLOUT : 0))
                };
                for (size_t i = 0; i < SHIM_PROCESSES_MAX; i++) {
                        count += process_poll(&processes[i], polls + count);
                        stalled |= process_stalled(&processes[i]);
                        owed |= is_owed(&processes[i]);
                }
                int patience = owed ? TELL_MILLISECONDS : stalled ? STALL_MILLISECONDS : -1;
                if (poll(polls, count, patience) < 0 && errno != EINTR)
                        return 1;

                if (polls[2].revents & POLLOUT)
                        blocked = false;
                if (polls[1].revents)
                        accept_worker();
                if (connection >= 0 &&
                    polls[2].revents) /* a resize before what is typed after it */
                        while (listen_once())
                                ;
                for (size_t i = 0; i < SHIM_PROCESSES_MAX; i++)
                        process_move(&processes[i]);
                reap(signals);
                tell_all();
        }
}
