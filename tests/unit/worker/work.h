/* A worker's work directory for tests, and a look at it through a container's eyes. */
#pragma once

#include "base/child.h"
#include "base/files.h"
#include "worker/helper/helper.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char *work;
static Helper *helper;

/* Before any thread. Returns false when these tests cannot run here. */
static inline bool work_start(void) {
        g_autoptr(GError) error = NULL;
        if (geteuid() != 0)
                return false;
        work = g_dir_make_tmp("weir-work-XXXXXX", NULL);
        g_assert_nonnull(work);
        helper = helper_start(work, &error);
        g_assert_no_error(error);
        return true;
}

static inline void work_stop(void) {
        g_autoptr(GError) error = NULL;
        helper_stop(helper);
        directory_remove(work, &error);
        g_assert_no_error(error);
        g_free(work);
}

/* Runs the script as container root (or another user there) in the directory; its output, new. */
static inline char *inside_as(int user, const char *directory, const char *script) {
        int ends[2];
        g_assert_cmpint(pipe2(ends, O_CLOEXEC), ==, 0);
        pid_t pid = fork();
        if (pid == 0) {
                if (setns(helper_user_namespace(helper), CLONE_NEWUSER) < 0 ||
                    setgid((gid_t) user) < 0 || setuid((uid_t) user) < 0 || chdir(directory) < 0)
                        _exit(99);
                dup2(ends[1], 1);
                dup2(ends[1], 2);
                execl("/bin/sh", "sh", "-c", script, NULL);
                _exit(98);
        }
        close(ends[1]);
        g_autoptr(GString) text = g_string_new(NULL);
        char chunk[4096];
        ssize_t length;
        while ((length = read(ends[0], chunk, sizeof chunk)) > 0)
                g_string_append_len(text, chunk, length);
        close(ends[0]);
        int status;
        waitpid(pid, &status, 0);
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
                g_string_append_printf(text, "(status %d)", WEXITSTATUS(status));
        return g_string_free(g_steal_pointer(&text), false);
}

static inline char *inside(const char *directory, const char *script) {
        return inside_as(0, directory, script);
}

/* The same on the host, as root. */
static inline char *outside(const char *directory, const char *script) {
        g_auto(ChildResult) result = { 0 };
        g_autoptr(GError) error = NULL;
        const char *const argv[] = { "sh", "-c", script, NULL };
        ChildSpec spec = {
                .argv = argv, .directory = directory, .input = -1, .output = -1, .error = -1
        };
        g_assert_true(child_run(&spec, NULL, 0, 1 << 20, NULL, &result, &error));
        return result.status == 0 ? g_strdup(result.output)
                                  : g_strdup_printf("%s%s(status %d)", result.output, result.error,
                                                    result.status);
}

#define ASSERT_INSIDE(directory_, script_, expect_)                                                \
        do {                                                                                       \
                g_autofree char *got_ = inside((directory_), (script_));                           \
                g_assert_cmpstr(got_, ==, (expect_));                                              \
        } while (0)
#define ASSERT_OUTSIDE(directory_, script_, expect_)                                               \
        do {                                                                                       \
                g_autofree char *got_ = outside((directory_), (script_));                          \
                g_assert_cmpstr(got_, ==, (expect_));                                              \
        } while (0)
