#include "worker/oci/process.h"

#include "base/files.h"
#include "base/json.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define START_TIMEOUT (60 * DURATION_SECOND)
#define META_MAX ((size_t) 1024 * 1024)
/* How far a reader gets before the shim is told of it, and how much is given back at once. */
#define LIMIT_STEP ((int64_t) 8 * 1024 * 1024)
#define CODE_KILLED 137
#define PIPE_STANDARD ((size_t) 64 * 1024) /* what any pipe holds */

typedef enum { STARTING, RUNNING, ENDED, FAILED } Phase;

typedef struct {
        int fd;
        int64_t end, limit, punched;
        bool read; /* to its end */
} Spool;

typedef struct {
        int fd;
        unsigned streams; /* PROCESS_WATCH_* */
} Watch;

#define EVERYTHING (~0U)

struct Process {
        int references; /* atomic */
        uint32_t number;
        bool tty;
        int64_t ceiling;
        char *id, *directory;
        Mutex lock; /* of all below */
        Condition changed;
        Shim *shim; /* NULL: it has ended */
        char *lost; /* why its end is not known */
        Phase phase;
        bool doubtful;
        bool told; /* somebody knows how it ended */
        int code;
        Duration ended_at;
        ShimMessage failure;
        int input;
        unsigned turn[SHIM_STREAMS];
        Spool spools[SHIM_STREAMS];
        int64_t *sent;   /* SHIM_STREAMS of them, in a mapped file: a worker's death keeps it */
        GArray *watches; /* Watch */
};

static const char *const spool_names[] = { "stdout", "stderr" };

/* ---- files ---- */

static int open_file(const char *directory, const char *name, GError **error) {
        g_autofree char *path = g_build_filename(directory, name, NULL);
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0)
                error_set_errno(error, errno, "open %s", path);
        return fd;
}

static bool map_sent(Process *process, GError **error) {
        size_t size = sizeof(int64_t) * SHIM_STREAMS;
        autofd fd = open_file(process->directory, "sent", error);
        if (fd < 0)
                return false;
        void *map = MAP_FAILED;
        if (ftruncate(fd, (off_t) size) == 0)
                map = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (map == MAP_FAILED) {
                error_set_errno(error, errno, "map %s/sent", process->directory);
                return false;
        }
        process->sent = map;
        return true;
}

/* An ended process that nobody reads needs no descriptors, and there may be thousands of them. */
static bool open_files(Process *process, GError **error) {
        for (int i = 0; i < SHIM_STREAMS; i++) {
                Spool *spool = &process->spools[i];
                if (spool->fd < 0)
                        spool->fd = open_file(process->directory, spool_names[i], error);
                if (spool->fd < 0)
                        return false;
        }
        return process->sent || map_sent(process, error);
}

static void close_files(Process *process) {
        for (int i = 0; i < SHIM_STREAMS; i++) {
                fd_close(process->spools[i].fd);
                process->spools[i].fd = -1;
        }
        if (process->sent)
                munmap(process->sent, sizeof(int64_t) * SHIM_STREAMS);
        process->sent = NULL;
}

/* Its two descriptors are shared by the container's processes, and must not outlive the container by one of them. */
static void let_go_of_shim(Process *process) {
        shim_free(process->shim);
        process->shim = NULL;
}

static Process *process_make(const ProcessSetup *setup, GError **error) {
        g_autoptr(Process) process = g_new0(Process, 1);
        process->references = 1;
        process->number = setup->number;
        process->id = g_strdup(setup->id);
        process->tty = setup->tty;
        process->ceiling = setup->ceiling ? setup->ceiling : SPOOL_CEILING;
        process->directory = g_strdup(setup->directory);
        process->shim = setup->shim ? shim_ref(setup->shim) : NULL;
        process->input = -1;
        process->watches = g_array_new(false, false, sizeof(Watch));
        mutex_init(&process->lock);
        condition_init(&process->changed);
        for (int i = 0; i < SHIM_STREAMS; i++)
                process->spools[i].fd = -1;

        if (!open_files(process, error))
                return NULL;
        for (int i = 0; i < SHIM_STREAMS; i++)
                process->spools[i].limit = process->sent[i] + process->ceiling;
        return g_steal_pointer(&process);
}

Process *process_new(const ProcessSetup *setup, GError **error) {
        g_autoptr(Value) meta = value_map();
        g_autofree char *path = g_build_filename(setup->directory, "process.json", NULL);
        size_t length;
        if (!directory_make(setup->directory, 0700, error))
                return NULL;
        value_map_set_string(meta, "id", setup->id);
        value_map_set_bool(meta, "tty", setup->tty);
        g_autofree char *text = json_write(meta, JSON_COMPACT, &length);
        if (!file_replace(path, text, length, 0600, error))
                return NULL;
        return process_make(setup, error);
}

/* The end of the spool as the disk has it: never believed from elsewhere. */
static int64_t spool_size(const Spool *spool) {
        struct stat status;
        return fstat(spool->fd, &status) == 0 ? status.st_size : 0;
}

/* Reads what the shim wrote at its end: false while it has not. */
static bool read_status(const Process *process, int *ret_code) {
        g_autofree char *path = g_build_filename(process->directory, "status", NULL);
        g_autofree char *text = file_read(path, 256, NULL, NULL);
        int code;
        if (!text || !g_str_has_suffix(text, "\n") || sscanf(text, "exit %d ", &code) != 1 ||
            code < 0 || code > 255)
                return false;
        *ret_code = code;
        return true;
}

/* Before the files are closed: `sent` is one of them. */
static void mark_read(Process *process) {
        for (int i = 0; i < SHIM_STREAMS; i++)
                process->spools[i].read = process->sent[i] >= process->spools[i].end;
}

Process *process_load(const char *directory, uint32_t number, Shim *shim, GError **error) {
        g_autofree char *path = g_build_filename(directory, "process.json", NULL);
        size_t length;
        g_autofree char *text = file_read(path, META_MAX, &length, error);
        g_autoptr(Value) meta = text ? json_parse(text, length, NULL, error) : NULL;
        if (!meta)
                return NULL;
        ProcessSetup setup = { .id = value_get_string(meta, "id", ""),
                               .tty = value_get_bool(meta, "tty", false),
                               .number = number,
                               .directory = directory,
                               .shim = shim };
        Process *process = process_make(&setup, error);
        if (!process)
                return NULL;
        for (int i = 0; i < SHIM_STREAMS; i++) {
                Spool *spool = &process->spools[i];
                spool->end = spool_size(spool);
                process->sent[i] = CLAMP(process->sent[i], 0, spool->end);
        }
        process->phase = RUNNING;
        if (read_status(process, &process->code))
                process->phase = ENDED;
        else if (!shim) {
                process->phase = ENDED;
                process->code = CODE_KILLED;
                process->lost = g_strdup("process 1 of the container is gone");
        }
        process->doubtful = process->phase == RUNNING;
        process->ended_at = clock_monotonic();
        if (process->phase == ENDED) {
                mark_read(process);
                close_files(process);
                let_go_of_shim(process);
        }
        return process;
}

Process *process_ref(Process *process) {
        __atomic_add_fetch(&process->references, 1, __ATOMIC_RELAXED);
        return process;
}

void process_free(Process *process) {
        if (!process || __atomic_sub_fetch(&process->references, 1, __ATOMIC_ACQ_REL) > 0)
                return;
        fd_close(process->input);
        close_files(process);
        g_array_free(process->watches, true);
        condition_destroy(&process->changed);
        mutex_destroy(&process->lock);
        shim_free(process->shim);
        g_free(process->id);
        g_free(process->directory);
        g_free(process->lost);
        g_free(process);
}

const char *process_id(const Process *process) {
        return process->id;
}

uint32_t process_number(const Process *process) {
        return process->number;
}

bool process_tty(const Process *process) {
        return process->tty;
}

/* ---- what is told ---- */

/* With the lock held: tells whoever watches one of these streams, or everybody of EVERYTHING. */
static void wake(Process *process, unsigned streams) {
        uint64_t one = 1;
        for (guint i = 0; i < process->watches->len; i++) {
                const Watch *watch = &g_array_index(process->watches, Watch, i);
                if (streams == EVERYTHING || (watch->streams & streams))
                        (void) !write(watch->fd, &one, sizeof(one));
        }
        condition_broadcast(&process->changed);
}

static void end_with(Process *process, int code, const char *lost) {
        if (process->phase == ENDED || process->phase == FAILED)
                return;
        process->lost = g_strdup(lost);
        for (int i = 0; i < SHIM_STREAMS; i++)
                process->spools[i].end = spool_size(&process->spools[i]);
        mark_read(process);
        process->code = code;
        process->phase = ENDED;
        process->ended_at = clock_monotonic();
        fd_close(process->input);
        process->input = -1;
        let_go_of_shim(process);
        wake(process, EVERYTHING);
        if (process->watches->len == 0)
                close_files(process);
}

void process_told(Process *process, const ShimMessage *message) {
        MUTEX_SCOPE(&process->lock);
        process->doubtful = false;
        switch (message->kind) {
        case SHIM_STARTED:
                if (process->phase == STARTING)
                        process->phase = RUNNING;
                wake(process, EVERYTHING);
                break;
        case SHIM_FAILED:
                if (process->phase == STARTING) {
                        process->phase = FAILED;
                        process->failure = *message;
                        wake(process, EVERYTHING);
                }
                break;
        case SHIM_APPENDED:
                if (message->value == SHIM_STDOUT || message->value == SHIM_STDERR) {
                        Spool *spool = &process->spools[message->value];
                        if (process->phase != ENDED)
                                spool->end = MAX(spool->end, spool_size(spool));
                        wake(process, 1U << message->value);
                }
                break;
        case SHIM_EXITED:
                end_with(process, (int) CLAMP(message->value, 0, 255), NULL);
                break;
        default:
                break;
        }
}

void process_gone(Process *process, const char *reason) {
        int code = CODE_KILLED;
        MUTEX_SCOPE(&process->lock);
        if (read_status(process, &code))
                reason = NULL;
        end_with(process, code, reason);
        condition_broadcast(&process->changed);
}

bool process_doubtful(Process *process) {
        MUTEX_SCOPE(&process->lock);
        return process->doubtful;
}

/* ---- starting ---- */

static void append_text(GByteArray *bytes, const char *text) {
        g_byte_array_append(bytes, (const guint8 *) text, (guint) strlen(text) + 1);
}

/* Returns a memory file with the ShimSpec, or -1. */
static int make_spec(const Process *process, const ProcessStart *start, GError **error) {
        const GardenProcessSpec *spec = start->spec;
        g_autoptr(GByteArray) bytes = g_byte_array_new();
        ShimSpec head = { .version = SHIM_VERSION,
                          .flags = SHIM_HAS_INPUT | (process->tty ? SHIM_TERMINAL : 0) |
                                   (start->make_directory ? SHIM_MAKE_DIRECTORY : 0),
                          .user = start->user,
                          .group = start->group,
                          .columns = spec->window.columns,
                          .rows = spec->window.rows,
                          .argument_count = 1 + (spec->args ? spec->args->len : 0),
                          .variable_count = start->env->len };
        for (int i = 0; i < SHIM_STREAMS; i++)
                head.limit[i] = process->spools[i].limit;

        g_byte_array_append(bytes, (const guint8 *) &head, sizeof(head));
        append_text(bytes, spec->directory && *spec->directory ? spec->directory : "/");
        append_text(bytes, spec->path);
        append_text(bytes, spec->path);
        for (guint i = 0; spec->args && i < spec->args->len; i++)
                append_text(bytes, g_ptr_array_index(spec->args, i));
        for (guint i = 0; i < start->env->len; i++)
                append_text(bytes, g_ptr_array_index(start->env, i));
        if (bytes->len > SHIM_SPEC_MAX || head.argument_count > SHIM_ARGUMENTS_MAX ||
            head.variable_count > SHIM_ARGUMENTS_MAX) {
                g_set_error(error, ERROR, ERROR_LIMIT, "proc start: argument list too long");
                return -1;
        }
        ((ShimSpec *) (void *) bytes->data)->text_length = bytes->len - sizeof(head);

        autofd fd = memfd_create("weir-process", MFD_CLOEXEC);
        if (fd < 0 || !write_all(fd, bytes->data, bytes->len, error)) {
                if (fd < 0)
                        error_set_errno(error, errno, "proc start: memfd");
                return -1;
        }
        return fd_steal(&fd);
}

/* To one that has ended nothing is sent, and that is fine. */
static bool send_to_shim(Process *process, const ShimMessage *message, const int *fds,
                         size_t fd_count, GError **error) {
        g_autoptr(Shim) shim = NULL;
        {
                MUTEX_SCOPE(&process->lock);
                shim = process->shim ? shim_ref(process->shim) : NULL;
        }
        return !shim || shim_send(shim, message, fds, fd_count, error);
}

/* Puts all of standard input into the pipe, where it stays when we die, and its end. */
static bool fill_input(Process *process, const GardenProcessSpec *spec, GError **error) {
        size_t length = spec->input_length;
        if (length > PIPE_STANDARD && fcntl(process->input, F_SETPIPE_SZ, (int) length) < 0) {
                error_set_errno(error, errno, "proc start: a pipe for standard input");
                return false;
        }
        ssize_t n = length > 0 ? write(process->input, spec->input, length) : 0;
        if (n < 0 || (size_t) n < length) {
                error_set_errno(error, n < 0 ? errno : EAGAIN, "proc start: standard input");
                return false;
        }
        fd_close(fd_steal(&process->input));
        return true;
}

/* Returns the end that is read, or -1. */
static int make_input(Process *process, const ProcessStart *start, GError **error) {
        int ends[2];
        if (pipe2(ends, O_CLOEXEC) < 0) {
                error_set_errno(error, errno, "proc start: pipe");
                return -1;
        }
        autofd input = ends[0];
        process->input = ends[1];
        fcntl(process->input, F_SETFL, O_NONBLOCK);
        return !start->spec->input || fill_input(process, start->spec, error) ? fd_steal(&input)
                                                                              : -1;
}

static bool send_start(Process *process, const ProcessStart *start, GError **error) {
        autofd spec = make_spec(process, start, error);
        autofd status = spec < 0 ? -1 : open_file(process->directory, "status", error);
        autofd input = status < 0 ? -1 : make_input(process, start, error);
        if (input < 0)
                return false;
        (void) !fchown(input, start->owner, (gid_t) -1); /* /dev/stdin opens only for its owner */

        int fds[SHIM_FDS] = { [SHIM_FD_SPEC] = spec,
                              [SHIM_FD_STATUS] = status,
                              [SHIM_FD_STDOUT] = process->spools[SHIM_STDOUT].fd,
                              [SHIM_FD_STDERR] = process->spools[SHIM_STDERR].fd,
                              [SHIM_FD_INPUT] = input };
        ShimMessage message = { .kind = SHIM_START, .number = process->number };
        return send_to_shim(process, &message, fds, SHIM_FDS, error);
}

/* Upstream's texts, which come from runc exec; the numbers are errno's. */
static void set_start_error(const Process *process, const ProcessStart *start, GError **error) {
        const char *path = start->spec->path, *directory = start->spec->directory;
        int number = (int) process->failure.extra;
        g_autofree char *reason = g_strdup(g_strerror(number));
        reason[0] = g_ascii_tolower(reason[0]);
        g_autofree char *what = NULL;

        switch (process->failure.value) {
        case SHIM_STAGE_LOOKUP:
                if (!strchr(path, '/'))
                        what = g_strdup_printf("exec: \"%s\": executable file not found in $PATH",
                                               path);
                else if (number == ENOENT || number == ENOTDIR)
                        what = g_strdup_printf("exec: \"%s\": stat %s: %s", path, path, reason);
                else
                        what = g_strdup_printf("exec: \"%s\": %s", path, reason);
                break;
        case SHIM_STAGE_DIRECTORY:
                what = g_strdup_printf("chdir to cwd (\"%s\") set in config.json failed: %s",
                                       directory, reason);
                break;
        case SHIM_STAGE_USER:
                what = g_strdup_printf("setup user: %s", reason);
                break;
        default:
                what = g_steal_pointer(&reason);
                break;
        }
        g_set_error(error, ERROR, ERROR_INVALID,
                    "proc start: OCI runtime exec failed: exec failed: unable to start container "
                    "process: %s: unknown",
                    what);
}

bool process_start(Process *process, const ProcessStart *start, Cancel *cancel, GError **error) {
        Duration deadline = clock_monotonic() + START_TIMEOUT;
        if (!send_start(process, start, error))
                return false;
        (void) cancel; /* half a second at most, and then there is a process to be told of */

        MUTEX_SCOPE(&process->lock);
        while (process->phase == STARTING)
                if (!condition_wait_until(&process->changed, &process->lock, deadline)) {
                        g_set_error(error, ERROR, ERROR_TIMEOUT,
                                    "proc start: weir-init does not answer");
                        process->phase = FAILED;
                        return false;
                }
        if (process->phase != FAILED)
                return true;
        set_start_error(process, start, error);
        return false;
}

/* ---- following ---- */

void process_state(Process *process, ProcessState *ret) {
        MUTEX_SCOPE(&process->lock);
        *ret = (ProcessState){ .ended = process->phase == ENDED,
                               .read = process->phase == ENDED && process->told,
                               .code = process->code,
                               .failure = process->lost,
                               .ended_at = process->ended_at };
        for (int i = 0; i < SHIM_STREAMS; i++) {
                ret->read = ret->read && process->spools[i].read;
                ret->end[i] = process->spools[i].end;
                ret->turn[i] = process->turn[i];
        }
}

int process_watch(Process *process, unsigned streams, GError **error) {
        MUTEX_SCOPE(&process->lock);
        int fd = open_files(process, error) ? eventfd(1, EFD_CLOEXEC | EFD_NONBLOCK) : -1;
        Watch watch = { fd, streams };
        if (fd >= 0)
                g_array_append_val(process->watches, watch);
        else if (error && !*error)
                error_set_errno(error, errno, "watch process %s", process->id);
        return fd;
}

void process_unwatch(Process *process, int watch) {
        if (watch < 0)
                return;
        {
                MUTEX_SCOPE(&process->lock);
                for (guint i = 0; i < process->watches->len; i++)
                        if (g_array_index(process->watches, Watch, i).fd == watch) {
                                g_array_remove_index_fast(process->watches, i);
                                break;
                        }
                if (process->watches->len == 0 && process->phase == ENDED)
                        close_files(process);
        }
        fd_close(watch);
}

bool process_wait(Process *process, Cancel *cancel, int *ret_code, GError **error) {
        int watch = process_watch(process, PROCESS_WATCH_END, error);
        bool ended = false;
        uint64_t count;
        if (watch < 0)
                return false;
        for (ProcessState state; cancel_poll(cancel, watch, POLLIN, DURATION_NEVER, error);) {
                (void) !read(watch, &count, sizeof(count));
                process_state(process, &state);
                if ((ended = state.ended)) {
                        *ret_code = state.code;
                        break;
                }
        }
        process_unwatch(process, watch);
        return ended;
}

ssize_t process_read(Process *process, unsigned stream, int64_t offset, void *ret, size_t length,
                     GError **error) {
        ProcessState state;
        process_state(process, &state);
        g_assert(process->spools[stream].fd >= 0); /* whoever reads it watches it */
        if (offset >= state.end[stream])
                return 0;
        length = MIN(length, (size_t) (state.end[stream] - offset));
        ssize_t n = pread(process->spools[stream].fd, ret, length, offset);
        if (n < 0)
                error_set_errno(error, errno, "read %s of process %s", spool_names[stream],
                                process->id);
        return n;
}

int64_t process_first(Process *process, unsigned stream) {
        MUTEX_SCOPE(&process->lock);
        return process->spools[stream].punched;
}

int64_t process_sent(Process *process, unsigned stream) {
        MUTEX_SCOPE(&process->lock);
        return process->sent ? process->sent[stream] : 0;
}

/* Gives back the blocks of what was sent long ago, and lets the process go on. */
static void give_room(Process *process, unsigned stream) {
        Spool *spool = &process->spools[stream];
        int64_t keep_from = process->sent[stream] - SPOOL_KEEP;
        if (keep_from - spool->punched >= LIMIT_STEP &&
            fallocate(spool->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, spool->punched,
                      keep_from - spool->punched) == 0)
                spool->punched = keep_from;
        if (process->sent[stream] + process->ceiling - spool->limit <
                    MIN(LIMIT_STEP, process->ceiling / 4) ||
            !process->shim)
                return;
        spool->limit = process->sent[stream] + process->ceiling;
        ShimMessage message = { .kind = SHIM_LIMIT,
                                .number = process->number,
                                .value = stream,
                                .extra = spool->limit };
        shim_send(process->shim, &message, NULL, 0, NULL);
}

void process_mark_sent(Process *process, unsigned stream, int64_t offset) {
        MUTEX_SCOPE(&process->lock);
        if (!process->sent || offset <= process->sent[stream] ||
            offset > process->spools[stream].end)
                return;
        process->sent[stream] = offset;
        process->spools[stream].read = offset == process->spools[stream].end;
        give_room(process, stream);
}

void process_mark_told(Process *process) {
        MUTEX_SCOPE(&process->lock);
        process->told = true;
}

unsigned process_take_over(Process *process, unsigned stream) {
        MUTEX_SCOPE(&process->lock);
        process->turn[stream]++;
        wake(process, EVERYTHING);
        return process->turn[stream];
}

/* ---- acting ---- */

int process_input(Process *process) {
        MUTEX_SCOPE(&process->lock);
        return process->input < 0 ? -1 : fcntl(process->input, F_DUPFD_CLOEXEC, 3);
}

void process_close_input(Process *process) {
        MUTEX_SCOPE(&process->lock);
        if (process->tty)
                return;
        fd_close(process->input);
        process->input = -1;
}

bool process_resize(Process *process, GardenWindow window, GError **error) {
        ShimMessage message = { .kind = SHIM_RESIZE,
                                .number = process->number,
                                .value = window.columns,
                                .extra = window.rows };
        return send_to_shim(process, &message, NULL, 0, error);
}

static bool send_signal(Process *process, int number, bool group, GError **error) {
        ShimMessage message = {
                .kind = SHIM_SIGNAL, .number = process->number, .value = number, .extra = group
        };
        return send_to_shim(process, &message, NULL, 0, error);
}

bool process_signal(Process *process, int number, GError **error) {
        return send_signal(process, number, false, error);
}

bool process_signal_group(Process *process, int number, GError **error) {
        return send_signal(process, number, true, error);
}
