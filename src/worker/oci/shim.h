/* The worker's end of the sockets to weir-init. What comes from there is a stranger's. */
#pragma once

#include "base/thread.h"
#include "worker/init/protocol.h"

#include <sys/types.h>

typedef struct ShimWatch ShimWatch; /* one thread that listens to all of them */
typedef struct Shim Shim;           /* reference counted; any thread */

ShimWatch *shim_watch_start(void);
void shim_watch_stop(ShimWatch *watch); /* after the last shim_close(); accepts NULL */

/* What a shim says, on the watching thread; NULL: process 1 is dead, and nothing comes any more. */
typedef void (*ShimFn)(const ShimMessage *message, void *data);

/*
 * Connects to `name` below the directory (a path may be too long for a socket address) and listens.
 * pidfd: of process 1, taken; its end is told as NULL, and the child reaped if it is ours.
 */
Shim *shim_connect(ShimWatch *watch, int directory, const char *name, int pidfd, ShimFn fn,
                   void *data, GError **error);
Shim *shim_ref(Shim *shim);
void shim_free(Shim *shim); /* drops one reference; accepts NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Shim, shim_free)
/* Stops listening: when it returns, fn does not run and will not. Not from fn. */
void shim_close(Shim *shim);

/* ERROR_UNAVAILABLE when the shim is gone or does not read for ten seconds. */
bool shim_send(Shim *shim, const ShimMessage *message, const int *fds, size_t fd_count,
               GError **error);
/* The same without waiting, from ShimFn: a shim that does not read must not hold up the others. */
bool shim_try_send(Shim *shim, const ShimMessage *message);
/* SIGKILL to process 1, and with it to all of the container. */
void shim_kill(Shim *shim);
/* Waits until process 1 is dead; ERROR_TIMEOUT after `most`. */
bool shim_wait_dead(Shim *shim, Duration most, GError **error);
bool shim_alive(Shim *shim);
/* How it ended: "was killed by signal 9 (Killed)", "exited with status 1"; "is gone" where that is not known: after
 * a restart it is no child of ours. From fn or later. Returns new. */
char *shim_death(Shim *shim);
