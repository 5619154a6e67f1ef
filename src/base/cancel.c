#include "base/cancel.h"

#include "base/files.h"
#include "base/thread.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

/*
 * Children hang on their parent as watches of it, so there is one way down. No lock is held while a
 * watch runs: a lock of this file is always the innermost one.
 */
typedef struct {
        CancelFn fn;
        void *data;
} Watch;

struct Cancel {
        atomic_int references;
        atomic_int reason;
        Cancel *parent; /* a reference, or NULL */
        uint64_t parent_watch;

        Mutex mutex;         /* over all below */
        Condition changed;   /* reason was set, or a watch has run */
        GHashTable *watches; /* id to Watch, owned; NULL: none yet */
        uint64_t last_id;
        uint64_t running_id; /* of the watch that runs now; 0: none */
        pthread_t running_on;
        int fd; /* -1: nobody asked */

        Duration deadline; /* under the timer's mutex, as is: */
        size_t position;   /* 1 + index in the timer's heap; 0: not in it */
};

/* ---- the timer: one thread, one heap of tokens by deadline ---- */

static struct {
        pthread_once_t once;
        Mutex mutex; /* over all below */
        Condition changed;
        GPtrArray *heap; /* borrowed: a token leaves it before it is freed */
        Cancel *firing;
        pthread_t thread;
} timer = { .once = PTHREAD_ONCE_INIT };

static Cancel *heap_at(size_t index) {
        return timer.heap->pdata[index];
}

static void heap_put(size_t index, Cancel *cancel) {
        timer.heap->pdata[index] = cancel;
        cancel->position = index + 1;
}

static void heap_up(size_t index, Cancel *cancel) {
        while (index > 0 && heap_at((index - 1) / 2)->deadline > cancel->deadline) {
                heap_put(index, heap_at((index - 1) / 2));
                index = (index - 1) / 2;
        }
        heap_put(index, cancel);
}

static void heap_down(size_t index, Cancel *cancel) {
        size_t length = timer.heap->len;
        for (size_t child; (child = 2 * index + 1) < length; index = child) {
                if (child + 1 < length && heap_at(child + 1)->deadline < heap_at(child)->deadline)
                        child++;
                if (heap_at(child)->deadline >= cancel->deadline)
                        break;
                heap_put(index, heap_at(child));
        }
        heap_put(index, cancel);
}

static void heap_remove(Cancel *cancel) {
        size_t index = cancel->position - 1;
        Cancel *last = g_ptr_array_remove_index(timer.heap, timer.heap->len - 1);
        cancel->position = 0;
        if (last == cancel)
                return;
        if (index > 0 && heap_at((index - 1) / 2)->deadline > last->deadline)
                heap_up(index, last);
        else
                heap_down(index, last);
}

static void timer_thread(void *data) {
        mutex_lock(&timer.mutex);
        timer.thread = pthread_self();
        while (true) {
                if (timer.heap->len == 0) {
                        condition_wait(&timer.changed, &timer.mutex);
                        continue;
                }
                Cancel *first = heap_at(0);
                if (clock_monotonic() < first->deadline) {
                        condition_wait_until(&timer.changed, &timer.mutex, first->deadline);
                        continue;
                }
                heap_remove(first);
                timer.firing = first;
                mutex_unlock(&timer.mutex);
                cancel_fire(first, CANCEL_DEADLINE);
                mutex_lock(&timer.mutex);
                timer.firing = NULL;
                condition_broadcast(&timer.changed);
        }
}

static void timer_start(void) {
        mutex_init(&timer.mutex);
        condition_init(&timer.changed);
        timer.heap = g_ptr_array_new();
        thread_detached("timer", timer_thread, NULL);
}

static void timer_add(Cancel *cancel, Duration deadline) {
        pthread_once(&timer.once, timer_start);
        MUTEX_SCOPE(&timer.mutex);
        cancel->deadline = deadline;
        g_ptr_array_add(timer.heap, NULL);
        heap_up(timer.heap->len - 1, cancel);
        if (heap_at(0) == cancel)
                condition_broadcast(&timer.changed);
}

/* Returns when the timer neither has the token nor fires it. */
static void timer_remove(Cancel *cancel) {
        MUTEX_SCOPE(&timer.mutex);
        if (cancel->position > 0)
                heap_remove(cancel);
        while (timer.firing == cancel && !pthread_equal(timer.thread, pthread_self()))
                condition_wait(&timer.changed, &timer.mutex);
}

/* ---- tokens ---- */

static void fire_child(void *data) {
        Cancel *child = data;
        cancel_fire(child, cancel_reason(child->parent));
}

Cancel *cancel_new(Cancel *parent) {
        Cancel *cancel = g_new0(Cancel, 1);
        cancel->references = 1;
        cancel->fd = -1;
        cancel->deadline = DURATION_NEVER;
        mutex_init(&cancel->mutex);
        condition_init(&cancel->changed);
        if (parent) {
                cancel->parent = cancel_ref(parent);
                cancel->parent_watch = cancel_watch(parent, fire_child, cancel);
        }
        return cancel;
}

Cancel *cancel_new_deadline(Cancel *parent, Duration after) {
        Cancel *cancel = cancel_new(parent);
        Duration deadline;
        if (after <= 0)
                cancel_fire(cancel, CANCEL_DEADLINE);
        else if (!__builtin_add_overflow(clock_monotonic(), after, &deadline))
                timer_add(cancel, deadline);
        return cancel;
}

Cancel *cancel_ref(Cancel *cancel) {
        atomic_fetch_add(&cancel->references, 1);
        return cancel;
}

void cancel_free(Cancel *cancel) {
        if (!cancel || atomic_fetch_sub(&cancel->references, 1) > 1)
                return;
        if (cancel->deadline != DURATION_NEVER)
                timer_remove(cancel);
        cancel_unwatch(cancel->parent, cancel->parent_watch);
        cancel_free(cancel->parent);

        g_clear_pointer(&cancel->watches, g_hash_table_unref);
        fd_close(cancel->fd);
        mutex_destroy(&cancel->mutex);
        condition_destroy(&cancel->changed);
        g_free(cancel);
}

static void fd_signal(int fd) {
        uint64_t one = 1;
        if (fd >= 0 && write(fd, &one, sizeof(one)) != sizeof(one))
                g_error("eventfd: %s", g_strerror(errno));
}

/* Under the lock. Returns false when there is no watch; else moves one to *ret and marks it. */
static bool take_watch(Cancel *cancel, Watch *ret) {
        GHashTableIter iterator;
        void *id, *watch;
        if (!cancel->watches)
                return false;
        g_hash_table_iter_init(&iterator, cancel->watches);
        if (!g_hash_table_iter_next(&iterator, &id, &watch))
                return false;
        *ret = *(Watch *) watch;
        cancel->running_id = (uint64_t) (uintptr_t) id;
        cancel->running_on = pthread_self();
        g_hash_table_iter_remove(&iterator);
        return true;
}

void cancel_fire(Cancel *cancel, CancelReason reason) {
        g_assert(reason != CANCEL_NONE);
        MUTEX_SCOPE(&cancel->mutex);
        if (cancel_fired(cancel))
                return;
        atomic_store(&cancel->reason, (int) reason);
        fd_signal(cancel->fd);
        condition_broadcast(&cancel->changed);

        for (Watch watch; take_watch(cancel, &watch);) {
                mutex_unlock(&cancel->mutex);
                watch.fn(watch.data);
                mutex_lock(&cancel->mutex);
                cancel->running_id = 0;
                condition_broadcast(&cancel->changed);
        }
}

CancelReason cancel_reason(Cancel *cancel) {
        return cancel ? (CancelReason) atomic_load(&cancel->reason) : CANCEL_NONE;
}

bool cancel_check(Cancel *cancel, GError **error) {
        switch (cancel_reason(cancel)) {
        case CANCEL_NONE:
                return true;
        case CANCEL_DEADLINE:
                g_set_error_literal(error, ERROR, ERROR_TIMEOUT, "timeout exceeded");
                return false;
        default:
                g_set_error_literal(error, ERROR, ERROR_CANCELLED, "interrupted");
                return false;
        }
}

int cancel_fd(Cancel *cancel) {
        if (!cancel)
                return -1;
        MUTEX_SCOPE(&cancel->mutex);
        if (cancel->fd < 0) {
                cancel->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
                if (cancel->fd < 0)
                        g_error("eventfd: %s", g_strerror(errno));
                if (cancel_fired(cancel))
                        fd_signal(cancel->fd);
        }
        return cancel->fd;
}

/* ---- watches ---- */

/* Returns the id, or 0 when it has fired already. */
static uint64_t watch_add(Cancel *cancel, CancelFn fn, void *data) {
        MUTEX_SCOPE(&cancel->mutex);
        if (cancel_fired(cancel))
                return 0;
        if (!cancel->watches)
                cancel->watches = g_hash_table_new_full(NULL, NULL, NULL, g_free);
        Watch *watch = g_new0(Watch, 1);
        *watch = (Watch){ fn, data };
        uint64_t id = ++cancel->last_id;
        g_hash_table_insert(cancel->watches, (void *) (uintptr_t) id, watch);
        return id;
}

uint64_t cancel_watch(Cancel *cancel, CancelFn fn, void *data) {
        if (!cancel)
                return 0;
        uint64_t id = watch_add(cancel, fn, data);
        if (id == 0)
                fn(data);
        return id;
}

void cancel_unwatch(Cancel *cancel, uint64_t id) {
        if (!cancel || id == 0)
                return;
        MUTEX_SCOPE(&cancel->mutex);
        g_hash_table_remove(cancel->watches, (void *) (uintptr_t) id);
        /* From inside the watch itself there is nothing to wait for. */
        while (cancel->running_id == id && !pthread_equal(cancel->running_on, pthread_self()))
                condition_wait(&cancel->changed, &cancel->mutex);
}

/* ---- waiting ---- */

bool cancel_sleep(Cancel *cancel, Duration pause, GError **error) {
        g_autoptr(Cancel) nobody = NULL;
        if (!cancel)
                cancel = nobody = cancel_new(NULL);
        Duration deadline;
        if (__builtin_add_overflow(clock_monotonic(), MAX(pause, 0), &deadline))
                deadline = DURATION_NEVER;

        mutex_lock(&cancel->mutex);
        while (!cancel_fired(cancel) && clock_monotonic() < deadline)
                condition_wait_until(&cancel->changed, &cancel->mutex, deadline);
        mutex_unlock(&cancel->mutex);
        return cancel_check(cancel, error);
}

bool cancel_poll(Cancel *cancel, int fd, short events, Duration deadline, GError **error) {
        struct pollfd fds[] = { { fd, events, 0 }, { cancel_fd(cancel), POLLIN, 0 } };
        while (true) {
                Duration left = MAX(deadline - clock_monotonic(), 0);
                struct timespec wait = { left / DURATION_SECOND, left % DURATION_SECOND };
                int ready = ppoll(fds, G_N_ELEMENTS(fds), deadline == DURATION_NEVER ? NULL : &wait,
                                  NULL);
                int failed = errno;
                if (!cancel_check(cancel, error))
                        return false;
                if (ready > 0)
                        return true;
                if (ready == 0) {
                        g_set_error_literal(error, ERROR, ERROR_TIMEOUT, "timed out");
                        return false;
                }
                if (failed != EINTR) {
                        error_set_errno(error, failed, "poll");
                        return false;
                }
        }
}
