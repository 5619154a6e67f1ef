#include "worker/init/start.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_LIMIT 4096

/* Takes the next text of the area, or NULL when there is none left. */
static char *next_text(char **cursor, char *end) {
        char *text = *cursor;
        char *stop = text < end ? memchr(text, '\0', (size_t) (end - text)) : NULL;
        if (!stop)
                return NULL;
        *cursor = stop + 1;
        return text;
}

static char **next_texts(char **cursor, char *end, uint32_t count) {
        char **texts = calloc((size_t) count + 1, sizeof(char *));
        for (uint32_t i = 0; texts && i < count; i++)
                if (!(texts[i] = next_text(cursor, end))) {
                        free(texts);
                        return NULL;
                }
        return texts;
}

static bool spec_valid(const ShimSpec *spec, size_t size) {
        return spec->version == SHIM_VERSION && spec->group_count <= SHIM_GROUPS_MAX &&
               spec->argument_count >= 1 && spec->argument_count <= SHIM_ARGUMENTS_MAX &&
               spec->variable_count <= SHIM_ARGUMENTS_MAX &&
               spec->text_length == size - sizeof(ShimSpec);
}

bool launch_read(int fd, Launch *ret) {
        struct stat status;
        *ret = (Launch){ 0 };
        if (fstat(fd, &status) < 0 || status.st_size < (off_t) sizeof(ShimSpec) ||
            status.st_size > (off_t) SHIM_SPEC_MAX)
                return false;

        size_t size = (size_t) status.st_size, got = 0;
        char *copy = malloc(size);
        while (copy && got < size) {
                ssize_t n = pread(fd, copy + got, size - got, (off_t) got);
                if (n <= 0)
                        break;
                got += (size_t) n;
        }
        ret->spec = (const ShimSpec *) copy;
        if (!copy || got < size || !spec_valid(ret->spec, size)) {
                launch_free(ret);
                return false;
        }

        char *cursor = copy + sizeof(ShimSpec), *end = copy + size;
        ret->directory = next_text(&cursor, end);
        ret->path = next_text(&cursor, end);
        ret->arguments = next_texts(&cursor, end, ret->spec->argument_count);
        ret->variables = next_texts(&cursor, end, ret->spec->variable_count);
        if (!ret->directory || !ret->path || !ret->arguments || !ret->variables) {
                launch_free(ret);
                return false;
        }
        return true;
}

void launch_free(Launch *launch) {
        free((void *) launch->spec);
        free(launch->arguments);
        free(launch->variables);
        *launch = (Launch){ 0 };
}

static void fail(int report, ShimStage stage, int error) __attribute__((noreturn));
static void fail(int report, ShimStage stage, int error) {
        LaunchFailure failure = { .stage = (int32_t) stage, .error = error };
        ssize_t ignored = write(report, &failure, sizeof(failure));
        (void) ignored;
        _exit(127);
}

static void make_directories(const char *path) {
        char copy[PATH_LIMIT];
        size_t length = strlen(path);
        if (length >= sizeof(copy))
                return;
        memcpy(copy, path, length + 1);
        for (char *slash = copy; (slash = strchr(slash + 1, '/'));) {
                *slash = '\0';
                mkdir(copy, 0777);
                *slash = '/';
        }
        mkdir(copy, 0777);
}

/* As runc: first with root's rights, and once more as the user when those did not suffice. */
static void enter(const Launch *launch, int report) {
        const ShimSpec *spec = launch->spec;
        if (spec->flags & SHIM_MAKE_DIRECTORY)
                make_directories(launch->directory);
        bool entered = chdir(launch->directory) == 0;
        if (!entered && errno != EPERM && errno != EACCES)
                fail(report, SHIM_STAGE_DIRECTORY, errno);

        for (int fd = 0; fd < 3; fd++) { /* /dev/stdout opens only for its owner */
                struct stat status;
                if (fstat(fd, &status) == 0 && !(S_ISCHR(status.st_mode) && !isatty(fd)) &&
                    status.st_uid != spec->user)
                        (void) !fchown(fd, spec->user, (gid_t) -1);
        }
        if (setgroups(spec->group_count, spec->groups) < 0 || setgid(spec->group) < 0 ||
            setuid(spec->user) < 0)
                fail(report, SHIM_STAGE_USER, errno);
        if (!entered && chdir(launch->directory) < 0)
                fail(report, SHIM_STAGE_DIRECTORY, errno);
}

/* What Go's os/exec takes for executable. Returns 0 or an errno. */
static int executable(const char *path) {
        struct stat status;
        if (stat(path, &status) < 0)
                return errno;
        if (S_ISDIR(status.st_mode))
                return EISDIR;
        return (status.st_mode & 0111) && faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) == 0 ? 0
                                                                                           : EACCES;
}

/* Finds the program as Go's exec.LookPath: returns 0 with it in ret, or an errno. */
static int look_up(const Launch *launch, char ret[PATH_LIMIT]) {
        const char *name = launch->path, *search = NULL;
        size_t length = strlen(name);
        if (length >= PATH_LIMIT)
                return ENAMETOOLONG;
        if (strchr(name, '/')) {
                memcpy(ret, name, length + 1);
                return executable(name);
        }

        for (char **variable = launch->variables; *variable; variable++)
                if (strncmp(*variable, "PATH=", 5) == 0)
                        search = *variable + 5; /* the last one counts */
        while (length > 0 && search) {
                size_t part = strcspn(search, ":");
                if (part > 0 && part + 1 + length < PATH_LIMIT) {
                        memcpy(ret, search, part);
                        ret[part] = '/';
                        memcpy(ret + part + 1, name, length + 1);
                        if (executable(ret) == 0)
                                return 0;
                }
                search = search[part] ? search + part + 1 : NULL;
        }
        return ENOENT;
}

static void say(const char *text) {
        ssize_t ignored = write(2, text, strlen(text));
        (void) ignored;
}

void launch_exec(const Launch *launch, const int stdio[3], int report) {
        setsid();
        for (int fd = 0; fd < 3; fd++)
                if (dup2(stdio[fd], fd) < 0)
                        fail(report, SHIM_STAGE_RESOURCE, errno);
        if ((launch->spec->flags & SHIM_TERMINAL) && ioctl(0, TIOCSCTTY, 0) < 0)
                fail(report, SHIM_STAGE_RESOURCE, errno);

        umask(022);
        enter(launch, report);
        char program[PATH_LIMIT];
        int error = look_up(launch, program);
        if (error)
                fail(report, SHIM_STAGE_LOOKUP, error);

        for (int signal_number = 1; signal_number < NSIG; signal_number++)
                signal(signal_number, SIG_DFL);
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        execve(program, launch->arguments, launch->variables);

        /* What the file says of itself cannot be run (its interpreter is missing, not a program): to
         * upstream that is a process that wrote why and exited with 1. */
        error = errno;
        say("exec ");
        say(program);
        say(": ");
        say(error == ENOENT ? "no such file or directory" : strerror(error));
        say("\n");
        _exit(1);
}
