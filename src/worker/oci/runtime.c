#include "worker/oci/runtime.h"

#include "base/child.h"
#include "base/files.h"
#include "base/json.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#define OUTPUT_MAX ((size_t) 1024 * 1024)
#define LOG_MAX ((size_t) 1024 * 1024)

struct Runtime {
        char *path, *state, *version;
        int sealed;    /* runc's own file, copied; -1: none */
        char *program; /* what is started: path, or the copy */
};

/*
 * runc copies its program into a sealed memory file at each start, so that no container can write to
 * it (CVE-2019-5736), which takes it a third of its time; started from such a copy it sees that and
 * goes on. Returns -1 when the kernel refuses: then runc does it itself.
 */
static int seal_copy(const char *path) {
        struct stat status;
        autofd from = open(path, O_RDONLY | O_CLOEXEC);
        autofd to = memfd_create("runc", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        if (from < 0 || to < 0 || fstat(from, &status) < 0)
                return -1;
        for (off_t done = 0; done < status.st_size;) {
                ssize_t n = sendfile(to, from, &done, (size_t) (status.st_size - done));
                if (n <= 0)
                        return -1;
        }
        if (fcntl(to, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) < 0)
                return -1;
        return fd_steal(&to);
}

static char *find_version(const char *path, GError **error) {
        const char *argv[] = { path, "--version", NULL };
        ChildSpec spec = { .argv = argv, .input = -1, .output = -1, .error = -1 };
        g_auto(ChildResult) result = { 0 };
        if (!child_run(&spec, NULL, 0, OUTPUT_MAX, NULL, &result, error))
                return NULL;
        if (result.status != 0) {
                g_set_error(error, ERROR, ERROR_UNSUPPORTED, "%s --version: exit status %d", path,
                            result.status);
                return NULL;
        }
        return g_strndup(result.output, strcspn(result.output, "\n"));
}

char *runtime_which(const char *program, GError **error) {
        static const char *const known[] = { "runc", "crun" };
        g_autofree char *path = program ? g_find_program_in_path(program) : NULL;
        for (size_t i = 0; !program && !path && i < G_N_ELEMENTS(known); i++)
                path = g_find_program_in_path(known[i]);
        if (!path) {
                g_set_error(error, ERROR, ERROR_NOT_FOUND,
                            program ? "no OCI runtime found: no program '%s'"
                                    : "no OCI runtime found: install runc or crun, or name one "
                                      "with --oci-runtime",
                            program);
                return NULL;
        }
        return g_steal_pointer(&path);
}

Runtime *runtime_find(const char *program, const char *state, GError **error) {
        g_autofree char *path = runtime_which(program, error);
        if (!path)
                return NULL;
        if (!directory_make(state, 0700, error))
                return NULL;
        g_autofree char *version = find_version(path, error);
        if (!version)
                return NULL;

        Runtime *runtime = g_new0(Runtime, 1);
        runtime->path = g_steal_pointer(&path);
        runtime->state = g_strdup(state);
        runtime->version = g_steal_pointer(&version);
        runtime->sealed = g_str_has_prefix(runtime->version, "runc ") ? seal_copy(runtime->path)
                                                                      : -1;
        runtime->program = runtime->sealed < 0
                                   ? g_strdup(runtime->path)
                                   : g_strdup_printf("/proc/%d/fd/%d", getpid(), runtime->sealed);
        return runtime;
}

void runtime_free(Runtime *runtime) {
        if (!runtime)
                return;
        g_free(runtime->path);
        g_free(runtime->state);
        g_free(runtime->version);
        g_free(runtime->program);
        fd_close(runtime->sealed);
        g_free(runtime);
}

const char *runtime_path(const Runtime *runtime) {
        return runtime->path;
}

const char *runtime_version(const Runtime *runtime) {
        return runtime->version;
}

/* The "msg" of the last line of its JSON log that is an error. Returns new, or NULL. */
static char *last_message(const char *log_path) {
        g_autofree char *text = file_read(log_path, LOG_MAX, NULL, NULL), *found = NULL;
        for (char *rest = text, *line; rest && (line = strsep(&rest, "\n"));) {
                g_autoptr(Value) entry = json_parse(line, strlen(line), NULL, NULL);
                const char *message = value_get_string(entry, "msg", NULL);
                if (message && g_str_equal(value_get_string(entry, "level", ""), "error")) {
                        g_free(found);
                        found = g_strdup(message);
                }
        }
        return g_steal_pointer(&found);
}

static void set_failure(GError **error, const char *log_path, const ChildResult *result) {
        g_autofree char *message = last_message(log_path);
        g_autofree char *said = g_strdup(result->error ? result->error : "");
        g_strstrip(said);
        if (result->status > 128)
                g_set_error(error, ERROR, ERROR_IO, "OCI runtime was killed by signal %d (%s)",
                            result->status - 128, strsignal(result->status - 128));
        else
                g_set_error(error, ERROR, ERROR_IO, "OCI runtime: %s",
                            message ? message
                            : *said ? said
                                    : "failed without a message");
}

/* Reads and removes the file the runtime wrote the pid to. */
static bool take_pid(const char *path, pid_t *ret, GError **error) {
        g_autofree char *text = file_read(path, 32, NULL, error);
        if (!text)
                return false;
        long pid = strtol(text, NULL, 10);
        if (pid <= 1) {
                g_set_error(error, ERROR, ERROR_PROTOCOL, "OCI runtime: no pid in %s", path);
                return false;
        }
        *ret = (pid_t) pid;
        return true;
}

/* It is killed when it takes too long, and the container removed; for an abort it is not given up half way. */
static bool wait_for_runtime(pid_t child, int pidfd, Cancel *cancel, int *ret, GError **error) {
        g_autoptr(GError) failure = NULL;
        if (child_wait(child, pidfd, cancel, ret, &failure))
                return true;
        if (!cancel_fired(cancel)) {
                g_propagate_error(error, g_steal_pointer(&failure));
                return false;
        }
        bool late = cancel_reason(cancel) == CANCEL_DEADLINE;
        if (late)
                (void) kill(child, SIGKILL); /* not waited for yet: the pid is its own */
        if (!child_wait(child, pidfd, NULL, ret, error))
                return false;
        if (!late)
                return true;
        g_propagate_prefixed_error(error, g_steal_pointer(&failure), "OCI runtime: ");
        return false;
}

bool runtime_run(Runtime *runtime, const char *handle, const char *bundle, int listener,
                 Cancel *cancel, pid_t *ret_pid, GError **error) {
        g_autofree char *log_path = g_build_filename(bundle, "runtime.log", NULL);
        g_autofree char *pid_path = g_build_filename(bundle, "init.pid", NULL);
        /* A keyring each would exhaust the 200 keys of the one user whom all containers are outside. */
        const char *argv[] = { runtime->program, "--root",
                               runtime->state,   "--log",
                               log_path,         "--log-format",
                               "json",           "run",
                               "--detach",       "--no-new-keyring",
                               "--bundle",       bundle,
                               "--preserve-fds", "1",
                               "--pid-file",     pid_path,
                               handle,           NULL };
        /* Not pipes: process 1 inherits them, and a pipe would never end. */
        g_autofree char *said_path = g_build_filename(bundle, "runtime.err", NULL);
        autofd said = open(said_path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        ChildSpec spec = { .argv = argv,
                           .input = -1,
                           .output = -1,
                           .error = said,
                           .keep = &listener,
                           .keep_count = 1,
                           .die_with_parent = true }; /* the next worker removes what was begun */
        g_auto(ChildResult) result = { 0 };
        pid_t child;
        autofd pidfd = -1;

        if (said < 0) {
                error_set_errno(error, errno, "open %s", said_path);
                return false;
        }
        if (!child_start(&spec, &child, &pidfd, error))
                return false;
        if (!wait_for_runtime(child, pidfd, cancel, &result.status, error))
                return false;
        if (result.status == 0)
                return take_pid(pid_path, ret_pid, error);
        result.error = file_read(said_path, LOG_MAX, NULL, NULL);
        set_failure(error, log_path, &result);
        return false;
}

bool runtime_delete(Runtime *runtime, const char *handle, GError **error) {
        g_autofree char *directory = g_build_filename(runtime->state, handle, NULL);
        return directory_remove(directory, error);
}
