/* The one way to interrupt blocking work: abort, deadline, fail_fast and shutdown are all a token
 * that fires. */
#pragma once

#include "base/clock.h"

typedef struct Cancel Cancel; /* reference counted; any thread may use it */

typedef enum {
        CANCEL_NONE,
        CANCEL_ABORT,    /* somebody asked for it */
        CANCEL_DEADLINE, /* its own or a parent's deadline passed */
        CANCEL_SHUTDOWN, /* the program ends; the work goes on elsewhere or later */
} CancelReason;

/* Returns new. It fires when its parent (may be NULL) fires, with the parent's reason. */
Cancel *cancel_new(Cancel *parent);
/* As cancel_new, and fires CANCEL_DEADLINE by itself after `after` of monotonic time. */
Cancel *cancel_new_deadline(Cancel *parent, Duration after);
Cancel *cancel_ref(Cancel *cancel);
void cancel_free(Cancel *cancel); /* drops one reference; accepts NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Cancel, cancel_free)

/* Fires once; the first reason stays. */
void cancel_fire(Cancel *cancel, CancelReason reason);
CancelReason cancel_reason(Cancel *cancel); /* CANCEL_NONE: not fired; accepts NULL */
static inline bool cancel_fired(Cancel *cancel) {
        return cancel_reason(cancel) != CANCEL_NONE;
}

/* Returns true while not fired (or cancel is NULL); else false with ERROR_TIMEOUT "timeout
 * exceeded" for a deadline, ERROR_CANCELLED "interrupted" for the rest. */
bool cancel_check(Cancel *cancel, GError **error);

/* A descriptor that is readable (POLLIN) once it fired, for poll(); owned by the token, never read
 * it. -1 for NULL. */
int cancel_fd(Cancel *cancel);

/*
 * Calls fn(data) when it fires: at once, on this thread, if it has already; else on the thread that
 * fires it (for a deadline: the timer thread). fn must be short and must not drop the token's last
 * reference. Returns an id for cancel_unwatch(), which returns only when fn is not running and will
 * not run.
 */
typedef void (*CancelFn)(void *data);
uint64_t cancel_watch(Cancel *cancel, CancelFn fn, void *data);
void cancel_unwatch(Cancel *cancel, uint64_t id);

/* Waits for `pause` or until it fires; returns as cancel_check(). The only sleep there is. */
bool cancel_sleep(Cancel *cancel, Duration pause, GError **error);

/* poll() of one descriptor (events as poll's) together with the token. Returns false as
 * cancel_check(), or ERROR_TIMEOUT at deadline (clock_monotonic time). */
bool cancel_poll(Cancel *cancel, int fd, short events, Duration deadline, GError **error);
