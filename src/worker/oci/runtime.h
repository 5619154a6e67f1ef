/* runc or crun: the program that makes containers. */
#pragma once

#include "base/cancel.h"

#include <sys/types.h>

typedef struct Runtime Runtime; /* any thread */

/* program: a name or path; NULL: runc, else crun, whichever PATH has. Returns new: its path. ERROR_NOT_FOUND "no OCI
 * runtime found: install runc or crun, or name one with --oci-runtime". */
char *runtime_which(const char *program, GError **error);
/* The same, ready to make containers. state: its --root, made with mode 0700. */
Runtime *runtime_find(const char *program, const char *state, GError **error);
void runtime_free(Runtime *runtime);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Runtime, runtime_free)
const char *runtime_path(const Runtime *runtime);
const char *runtime_version(const Runtime *runtime); /* first line of --version */

/* Makes and starts the container of bundle/config.json, detached; `listener` becomes its
 * descriptor 3. The error is the runtime's own last message; ERROR_TIMEOUT at a deadline: what it began must be removed.
 * Nothing else that fires `cancel` stops it. */
bool runtime_run(Runtime *runtime, const char *handle, const char *bundle, int listener,
                 Cancel *cancel, pid_t *ret_pid, GError **error);
/* Removes what the runtime keeps of a container whose process 1 is dead and whose control groups are gone: then that is a
 * folder below its --root, and a process for it would be 7 ms of each container's life. */
bool runtime_delete(Runtime *runtime, const char *handle, GError **error);
