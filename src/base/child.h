/* Child processes: the one way to start a program. */
#pragma once

#include "base/cancel.h"

#include <sys/types.h>

typedef struct {
        const char *const *argv; /* argv[0] is looked up in PATH; no shell */
        const char *const *env;  /* NULL: inherit; else the whole environment */
        const char *directory;   /* NULL: ours */
        int input;               /* -1: /dev/null; borrowed */
        int output;              /* -1: see child_run / /dev/null */
        int error;               /* -1: the same */
        const int *keep;         /* descriptors that become 3, 4, … in the child */
        size_t keep_count;
        uid_t user; /* 0: unchanged; also sets the group and drops all capabilities */
        gid_t group;
        bool new_session;
        bool die_with_parent; /* killed when this process ends, not when this thread does */
} ChildSpec;

typedef struct {
        int status;   /* exit code, or 128 + signal */
        char *output; /* what it wrote to stdout, NUL-terminated */
        size_t output_length;
        char *error; /* … to stderr, the last 64 KiB */
} ChildResult;
void child_result_clear(ChildResult *result);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ChildResult, child_result_clear)

/* Starts it and returns its pid and a pidfd (either may be NULL). Every other descriptor is closed
 * in the child, signals are reset. ERROR_NOT_FOUND when there is no such program. */
bool child_start(const ChildSpec *spec, pid_t *ret_pid, int *ret_pidfd, GError **error);

/* Waits for its end; *ret as ChildResult.status. A cancel stops only the waiting. */
bool child_wait(pid_t pid, int pidfd, Cancel *cancel, int *ret, GError **error);

/* Starts, feeds input (may be NULL), collects output up to output_limit (ERROR_LIMIT beyond),
 * waits for its end, not for that of what it started. What has a descriptor of its own in spec is
 * not collected. When cancel fires: SIGTERM, 2 s later SIGKILL, to its whole group with
 * new_session. The exit code is not an error. */
bool child_run(const ChildSpec *spec, const char *input, size_t input_length, size_t output_limit,
               Cancel *cancel, ChildResult *ret, GError **error);

/*
 * For a program that adopts what its children leave behind (PR_SET_CHILD_SUBREAPER): asks how those have ended
 * that neither child_start() started nor others wait for, so that they do not stay as zombies. is_awaited: whether
 * somebody does; may be NULL.
 */
void child_reap_orphans(bool (*is_awaited)(pid_t pid, void *data), void *data);
