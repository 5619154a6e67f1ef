#include "worker/init/process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHUNK (64 * 1024)

/* What is still read of a process that ended: more than a pipe or a terminal can hold, and bounded,
 * because a child it left behind may write for ever. */
#define DRAIN_MAX ((size_t) 2 * 1024 * 1024)

static char chunk[CHUNK];

static void close_fd(int *fd) {
        if (*fd >= 0)
                close(*fd);
        *fd = -1;
}

/* ---- starting ---- */

static bool open_terminal(Process *process, const ShimSpec *spec, int *ret_slave) {
        int master = open("/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
        if (master < 0)
                return false;
        int unlock = 0, slave = -1;
        if (ioctl(master, TIOCSPTLCK, &unlock) == 0)
                slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
        if (slave < 0) {
                close_fd(&master);
                return false;
        }
        process->terminal = true;
        process->streams[SHIM_STDOUT].from = master;
        process->master = fcntl(master, F_DUPFD_CLOEXEC, 3);
        process->slave = slave;
        *ret_slave = slave;
        process_resize(process, spec->columns, spec->rows);
        return process->master >= 0;
}

static bool open_pipe(Stream *stream, int *ret_write) {
        int ends[2];
        if (pipe2(ends, O_CLOEXEC) < 0)
                return false;
        fcntl(ends[0], F_SETFL, O_NONBLOCK);
        stream->from = ends[0];
        *ret_write = ends[1];
        return true;
}

static bool open_streams(Process *process, const ShimSpec *spec, int fds[SHIM_FDS], int stdio[3]) {
        if (spec->flags & SHIM_TERMINAL) {
                int slave = -1;
                if (!open_terminal(process, spec, &slave))
                        return false;
                process->input = fds[SHIM_FD_INPUT];
                fds[SHIM_FD_INPUT] = -1;
                if (process->input >= 0)
                        fcntl(process->input, F_SETFL, O_NONBLOCK);
                stdio[0] = stdio[1] = stdio[2] = slave;
                return true;
        }
        stdio[0] = fds[SHIM_FD_INPUT] >= 0 ? fds[SHIM_FD_INPUT] : 0;
        return open_pipe(&process->streams[SHIM_STDOUT], &stdio[1]) &&
               open_pipe(&process->streams[SHIM_STDERR], &stdio[2]);
}

/* Forks; the parent's copies of the child's ends are closed by the caller. */
static bool spawn(Process *process, const Launch *launch, const int stdio[3]) {
        int report[2];
        if (pipe2(report, O_CLOEXEC) < 0)
                return false;
        pid_t pid = fork();
        if (pid == 0)
                launch_exec(launch, stdio, report[1]);
        int error = errno;
        close(report[1]);
        if (pid < 0) {
                close(report[0]);
                errno = error;
                return false;
        }
        fcntl(report[0], F_SETFL, O_NONBLOCK);
        process->report = report[0];
        process->pid = pid;
        process->running = true;
        return true;
}

bool process_start(Process *process, uint32_t number, int fds[SHIM_FDS],
                   LaunchFailure *ret_failure) {
        Launch launch;
        *process = (Process){ .used = true,
                              .number = number,
                              .report = -1,
                              .slave = -1,
                              .master = -1,
                              .input = -1,
                              .drain_left = DRAIN_MAX };
        process->status = fds[SHIM_FD_STATUS];
        for (int i = 0; i < SHIM_STREAMS; i++)
                process->streams[i] = (Stream){ .from = -1, .to = fds[SHIM_FD_STDOUT + i] };
        fds[SHIM_FD_STATUS] = fds[SHIM_FD_STDOUT] = fds[SHIM_FD_STDERR] = -1;

        *ret_failure = (LaunchFailure){ SHIM_STAGE_PROTOCOL, EINVAL };
        if (!launch_read(fds[SHIM_FD_SPEC], &launch)) {
                process_free(process);
                return false;
        }
        for (int i = 0; i < SHIM_STREAMS; i++)
                process->streams[i].limit = launch.spec->limit[i];
        if (!(launch.spec->flags & SHIM_HAS_INPUT))
                close_fd(&fds[SHIM_FD_INPUT]);

        int stdio[3] = { -1, -1, -1 };
        bool started = open_streams(process, launch.spec, fds, stdio) &&
                       spawn(process, &launch, stdio);
        *ret_failure = (LaunchFailure){ SHIM_STAGE_RESOURCE, errno };
        if (!process->terminal) {
                close_fd(&stdio[1]);
                close_fd(&stdio[2]);
        }
        launch_free(&launch);
        if (!started)
                process_free(process);
        return started;
}

void process_free(Process *process) {
        close_fd(&process->report);
        close_fd(&process->status);
        close_fd(&process->slave);
        close_fd(&process->master);
        close_fd(&process->input);
        for (int i = 0; i < SHIM_STREAMS; i++) {
                close_fd(&process->streams[i].from);
                close_fd(&process->streams[i].to);
                free(process->streams[i].pending);
        }
        *process = (Process){ 0 };
}

/* ---- moving bytes ---- */

/* Writes at the stream's end. What the disk refuses is kept; false then. */
static bool append(Stream *stream, const char *data, size_t length) {
        while (length > 0) {
                ssize_t n = pwrite(stream->to, data, length, stream->offset);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n <= 0)
                        break;
                stream->offset += n;
                data += n;
                length -= (size_t) n;
        }
        if (length == 0)
                return true;
        stream->pending = malloc(length);
        if (!stream->pending)
                abort(); /* nothing may be lost, and 64 KiB are always there */
        memcpy(stream->pending, data, length);
        stream->pending_length = length;
        return false;
}

static bool flush_pending(Stream *stream) {
        if (!stream->pending)
                return true;
        char *data = stream->pending;
        stream->pending = NULL;
        bool flushed = append(stream, data, stream->pending_length);
        free(data);
        return flushed;
}

/* Reads what is there into the chunk, at most `most` bytes: a terminal gives 4 KiB at a time. */
static size_t read_chunk(Stream *stream, size_t most) {
        size_t length = 0;
        while (length < most) {
                ssize_t n = read(stream->from, chunk + length, most - length);
                if (n > 0) {
                        length += (size_t) n;
                        continue;
                }
                if (n == 0 || (errno != EAGAIN && errno != EINTR))
                        close_fd(&stream->from);
                break;
        }
        return length;
}

/* Moves at most `most` bytes. Returns how many; 0: nothing there now, at its end or stalled. */
static size_t transfer(Stream *stream, size_t most) {
        if (stream->from < 0 || !flush_pending(stream))
                return 0;
        size_t length = read_chunk(stream, most < CHUNK ? most : CHUNK);
        append(stream, chunk, length);
        return length;
}

/* After the process ended: all it wrote is in its pipes by now. */
static bool drained(Process *process) {
        for (int i = 0; i < SHIM_STREAMS; i++) {
                Stream *stream = &process->streams[i];
                size_t n;
                while (process->drain_left > 0 && (n = transfer(stream, process->drain_left)) > 0)
                        process->drain_left -= n;
                if (!flush_pending(stream))
                        return false;
        }
        return true;
}

/* Whole or not at all: false while the disk has no room for it. */
static bool write_status(const Process *process) {
        char line[96];
        int length = snprintf(line, sizeof(line), "exit %d %lld %lld\n", process->code,
                              (long long) process->streams[SHIM_STDOUT].offset,
                              (long long) process->streams[SHIM_STDERR].offset);
        ssize_t n = pwrite(process->status, line, (size_t) length, 0);
        return n == length || (n < 0 && errno != ENOSPC && errno != EDQUOT);
}

static void finish(Process *process) {
        int64_t before[SHIM_STREAMS] = { process->streams[0].offset, process->streams[1].offset };
        bool whole = drained(process);
        for (int i = 0; i < SHIM_STREAMS; i++)
                if (process->streams[i].offset > before[i])
                        process->tell |= TELL_STDOUT << i;
        process->untold = !process->failed && whole && !write_status(process);
        if (!whole || process->untold)
                return;

        process->ended = true;
        if (!process->failed)
                process->tell |= TELL_EXITED;
        close_fd(&process->status);
        close_fd(&process->slave);
        close_fd(&process->master);
        close_fd(&process->input);
        for (int i = 0; i < SHIM_STREAMS; i++) {
                close_fd(&process->streams[i].from);
                close_fd(&process->streams[i].to);
        }
}

static void read_report(Process *process) {
        LaunchFailure failure;
        ssize_t n = process->report < 0 ? -1 : read(process->report, &failure, sizeof(failure));
        if (process->report < 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
                return;
        close_fd(&process->report);
        if (n == (ssize_t) sizeof(failure)) {
                process->failure = failure;
                process->failed = true;
                process->tell = TELL_FAILED;
        } else
                process->tell |= TELL_STARTED;
}

static void type_input(Process *process) {
        if (process->typed_length == 0 && process->input >= 0) {
                ssize_t n = read(process->input, process->typed, sizeof(process->typed));
                if (n > 0)
                        process->typed_length = (size_t) n;
                else if (n == 0 || (errno != EAGAIN && errno != EINTR))
                        close_fd(&process->input); /* the terminal itself stays open */
        }
        if (process->typed_length == 0)
                return;
        ssize_t n = write(process->master, process->typed, process->typed_length);
        if (n > 0) {
                process->typed_length -= (size_t) n;
                memmove(process->typed, process->typed + n, process->typed_length);
        } else if (n < 0 && errno != EAGAIN && errno != EINTR)
                process->typed_length = 0;
}

void process_move(Process *process) {
        if (!process->used || process->ended)
                return;
        read_report(process);
        if (!process->running) {
                finish(process);
                return;
        }
        if (process->terminal)
                type_input(process);
        for (int i = 0; i < SHIM_STREAMS; i++) {
                Stream *stream = &process->streams[i];
                int64_t before = stream->offset, room = stream->limit - stream->offset;
                if (room > 0)
                        transfer(stream, room < CHUNK ? (size_t) room : CHUNK);
                if (stream->offset > before)
                        process->tell |= TELL_STDOUT << i;
        }
}

size_t process_poll(const Process *process, struct pollfd *polls) {
        size_t count = 0;
        if (!process->used || process->ended || !process->running)
                return 0;
        if (process->report >= 0)
                polls[count++] = (struct pollfd){ .fd = process->report, .events = POLLIN };
        for (int i = 0; i < SHIM_STREAMS; i++) {
                const Stream *stream = &process->streams[i];
                if (stream->from >= 0 && !stream->pending && stream->offset < stream->limit)
                        polls[count++] = (struct pollfd){ .fd = stream->from, .events = POLLIN };
        }
        if (process->terminal && process->typed_length > 0)
                polls[count++] = (struct pollfd){ .fd = process->master, .events = POLLOUT };
        else if (process->terminal && process->input >= 0)
                polls[count++] = (struct pollfd){ .fd = process->input, .events = POLLIN };
        return count;
}

void process_exited(Process *process, int wait_status) {
        process->running = false;
        process->code = WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status)
                                                 : WEXITSTATUS(wait_status);
        process_move(process);
}

bool process_stalled(const Process *process) {
        return process->used && !process->ended &&
               (process->streams[0].pending || process->streams[1].pending || process->untold);
}

void process_resize(Process *process, int64_t columns, int64_t rows) {
        struct winsize size = { .ws_col = (unsigned short) columns,
                                .ws_row = (unsigned short) rows };
        if (process->terminal && process->master >= 0 && columns > 0 && rows > 0)
                ioctl(process->master, TIOCSWINSZ, &size);
}
