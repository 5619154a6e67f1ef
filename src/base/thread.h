/* Threads, locks and queues on pthread: what TSan can see into. */
#pragma once

#include "base/cancel.h"

#include <pthread.h>

typedef pthread_mutex_t Mutex;
typedef pthread_cond_t Condition; /* waits on the monotonic clock */

void mutex_init(Mutex *mutex);
void mutex_destroy(Mutex *mutex);
void mutex_lock(Mutex *mutex);
void mutex_unlock(Mutex *mutex);
void condition_init(Condition *condition);
void condition_destroy(Condition *condition);
void condition_wait(Condition *condition, Mutex *mutex);
/* Waits until woken or deadline (clock_monotonic time; DURATION_NEVER: none). Returns false when
 * the deadline passed. */
bool condition_wait_until(Condition *condition, Mutex *mutex, Duration deadline);
void condition_signal(Condition *condition);
void condition_broadcast(Condition *condition);

/* MUTEX_SCOPE(&m): holds m until the end of the enclosing scope. */
typedef struct {
        Mutex *mutex;
} MutexScope;
static inline void mutex_scope_end(MutexScope *scope) {
        mutex_unlock(scope->mutex);
}
#define MUTEX_SCOPE(mutex_)                                                                        \
        __attribute__((cleanup(mutex_scope_end), unused)) MutexScope G_PASTE(                      \
                scope_, __LINE__) = { (mutex_lock(mutex_), (mutex_)) }

typedef struct Thread Thread;
typedef void (*ThreadFn)(void *data);

/* Starts a thread with a 256 KiB stack (more under a sanitizer) and all signals blocked. name: at
 * most 15 bytes. Aborts if the system has no more threads. */
Thread *thread_start(const char *name, ThreadFn run, void *data);
void thread_join(Thread *thread); /* takes thread; accepts NULL */
/* The same without a handle; for work that owns itself. */
void thread_detached(const char *name, ThreadFn run, void *data);

/* A pool that starts threads as needed up to max, and lets idle ones go after 10 s. Any thread may
 * push. */
typedef struct ThreadPool ThreadPool;
ThreadPool *thread_pool_new(const char *name, size_t max);
void thread_pool_push(ThreadPool *pool, ThreadFn run, void *data);
size_t thread_pool_waiting(ThreadPool *pool); /* pushed and not begun */
void thread_pool_free(ThreadPool *pool);      /* runs what is queued, then joins */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ThreadPool, thread_pool_free)

/* A bounded queue of pointers. Any thread. */
typedef struct Queue Queue;
Queue *queue_new(size_t ceiling);
bool queue_push(Queue *queue, void *item, Cancel *cancel,
                GError **error);               /* waits while full; takes item on success */
bool queue_try_push(Queue *queue, void *item); /* false when full or closed */
bool queue_pop(Queue *queue, void **ret, Duration deadline, Cancel *cancel,
               GError **error); /* ERROR_TIMEOUT; closed and empty: ERROR_NOT_FOUND */
void queue_close(Queue *queue);
void queue_free(Queue *queue);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Queue, queue_free)
