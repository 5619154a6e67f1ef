#include "base/thread.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#define STACK_BYTES ((size_t) 256 * 1024)
#define POOL_IDLE (10 * DURATION_SECOND)
#define NAME_BYTES 16

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                         \
        __has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifdef SANITIZED
#define STACK_SCALE 8 /* red zones and unmerged frames */
#else
#define STACK_SCALE 1
#endif

/* ---- locks ---- */

/* A lock that cannot be taken or given back is a broken program. */
static void must(int failed, const char *what) {
        if (G_UNLIKELY(failed))
                g_error("%s: %s", what, strerror(failed));
}

void mutex_init(Mutex *mutex) {
        must(pthread_mutex_init(mutex, NULL), "pthread_mutex_init");
}

void mutex_destroy(Mutex *mutex) {
        must(pthread_mutex_destroy(mutex), "pthread_mutex_destroy");
}

void mutex_lock(Mutex *mutex) {
        must(pthread_mutex_lock(mutex), "pthread_mutex_lock");
}

void mutex_unlock(Mutex *mutex) {
        must(pthread_mutex_unlock(mutex), "pthread_mutex_unlock");
}

void condition_init(Condition *condition) {
        pthread_condattr_t attributes;
        must(pthread_condattr_init(&attributes), "pthread_condattr_init");
        must(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC), "pthread_condattr_setclock");
        must(pthread_cond_init(condition, &attributes), "pthread_cond_init");
        pthread_condattr_destroy(&attributes);
}

void condition_destroy(Condition *condition) {
        must(pthread_cond_destroy(condition), "pthread_cond_destroy");
}

void condition_wait(Condition *condition, Mutex *mutex) {
        must(pthread_cond_wait(condition, mutex), "pthread_cond_wait");
}

bool condition_wait_until(Condition *condition, Mutex *mutex, Duration deadline) {
        if (deadline == DURATION_NEVER) {
                condition_wait(condition, mutex);
                return true;
        }
        if (deadline < 0)
                deadline = 0;
        struct timespec until = { deadline / DURATION_SECOND, deadline % DURATION_SECOND };
        int failed = pthread_cond_timedwait(condition, mutex, &until);
        if (failed == ETIMEDOUT)
                return false;
        must(failed, "pthread_cond_timedwait");
        return true;
}

void condition_signal(Condition *condition) {
        must(pthread_cond_signal(condition), "pthread_cond_signal");
}

void condition_broadcast(Condition *condition) {
        must(pthread_cond_broadcast(condition), "pthread_cond_broadcast");
}

/* ---- threads ---- */

struct Thread {
        pthread_t id;
        char name[NAME_BYTES];
        ThreadFn run;
        void *data;
        bool detached;
};

static void *thread_main(void *argument) {
        Thread *thread = argument;
        ThreadFn run = thread->run;
        void *data = thread->data;

        pthread_setname_np(pthread_self(), thread->name);
        if (thread->detached)
                g_free(thread);
        run(data);
        return NULL;
}

/* With every signal blocked: they are for the main thread, and inherited from the creator. */
static void create_blocked(pthread_t *ret, const pthread_attr_t *attributes, Thread *thread) {
        sigset_t all, before;
        sigfillset(&all);
        must(pthread_sigmask(SIG_SETMASK, &all, &before), "pthread_sigmask");
        must(pthread_create(ret, attributes, thread_main, thread), "pthread_create");
        must(pthread_sigmask(SIG_SETMASK, &before, NULL), "pthread_sigmask");
}

static Thread *thread_create(const char *name, ThreadFn run, void *data, bool detached) {
        Thread *thread = g_new0(Thread, 1);
        g_strlcpy(thread->name, name, sizeof(thread->name));
        thread->run = run;
        thread->data = data;
        thread->detached = detached;

        pthread_attr_t attributes;
        must(pthread_attr_init(&attributes), "pthread_attr_init");
        must(pthread_attr_setstacksize(&attributes, STACK_BYTES * STACK_SCALE), "stack size");
        if (detached)
                must(pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED), "detach");
        pthread_t id;
        create_blocked(&id, &attributes, thread);
        pthread_attr_destroy(&attributes);
        if (detached)
                return NULL; /* it frees itself, maybe already */
        thread->id = id;
        return thread;
}

Thread *thread_start(const char *name, ThreadFn run, void *data) {
        return thread_create(name, run, data, false);
}

void thread_detached(const char *name, ThreadFn run, void *data) {
        thread_create(name, run, data, true);
}

void thread_join(Thread *thread) {
        if (!thread)
                return;
        must(pthread_join(thread->id, NULL), "pthread_join");
        g_free(thread);
}

/* ---- pools ---- */

typedef struct {
        ThreadFn run;
        void *data;
} Work;

struct ThreadPool {
        char name[NAME_BYTES];
        size_t max;

        Mutex mutex; /* over all below */
        Condition work_or_end;
        Condition nobody_left;
        GQueue works;    /* of Work, owned */
        GPtrArray *gone; /* of Thread: ended, to be joined */
        size_t threads, idle;
        bool closing;
};

typedef struct {
        ThreadPool *pool;
        Thread *self; /* set under the pool's mutex before the thread can take it */
} PoolThread;

/* Waits for work under the lock. Returns NULL when the thread should go. */
static Work *pool_next(ThreadPool *pool) {
        Duration deadline = clock_monotonic() + POOL_IDLE;
        bool in_time = true;
        pool->idle++;
        while (g_queue_is_empty(&pool->works) && !pool->closing && in_time)
                in_time = condition_wait_until(&pool->work_or_end, &pool->mutex, deadline);
        pool->idle--;
        return g_queue_pop_head(&pool->works);
}

static void pool_thread(void *data) {
        g_autofree PoolThread *thread = data;
        ThreadPool *pool = thread->pool;

        MUTEX_SCOPE(&pool->mutex);
        for (Work *work; (work = pool_next(pool));) {
                mutex_unlock(&pool->mutex);
                work->run(work->data);
                g_free(work);
                mutex_lock(&pool->mutex);
        }
        g_ptr_array_add(pool->gone, thread->self);
        if (--pool->threads == 0)
                condition_broadcast(&pool->nobody_left);
}

static void join_all(GPtrArray *threads) {
        for (guint i = 0; i < threads->len; i++)
                thread_join(threads->pdata[i]);
        g_ptr_array_free(threads, true);
}

ThreadPool *thread_pool_new(const char *name, size_t max) {
        g_assert(max > 0);
        ThreadPool *pool = g_new0(ThreadPool, 1);
        g_strlcpy(pool->name, name, sizeof(pool->name));
        pool->max = max;
        mutex_init(&pool->mutex);
        condition_init(&pool->work_or_end);
        condition_init(&pool->nobody_left);
        g_queue_init(&pool->works);
        pool->gone = g_ptr_array_new();
        return pool;
}

/* Under the lock. */
static void pool_grow(ThreadPool *pool) {
        PoolThread *thread = g_new0(PoolThread, 1);
        thread->pool = pool;
        pool->threads++;
        thread->self = thread_start(pool->name, pool_thread, thread);
}

void thread_pool_push(ThreadPool *pool, ThreadFn run, void *data) {
        Work *work = g_new0(Work, 1);
        *work = (Work){ run, data };
        GPtrArray *gone;

        mutex_lock(&pool->mutex);
        g_queue_push_tail(&pool->works, work);
        if (g_queue_get_length(&pool->works) > pool->idle && pool->threads < pool->max)
                pool_grow(pool);
        condition_signal(&pool->work_or_end);
        gone = pool->gone;
        pool->gone = g_ptr_array_new();
        mutex_unlock(&pool->mutex);

        join_all(gone);
}

size_t thread_pool_waiting(ThreadPool *pool) {
        MUTEX_SCOPE(&pool->mutex);
        return g_queue_get_length(&pool->works);
}

void thread_pool_free(ThreadPool *pool) {
        if (!pool)
                return;
        mutex_lock(&pool->mutex);
        pool->closing = true;
        condition_broadcast(&pool->work_or_end);
        while (pool->threads > 0)
                condition_wait(&pool->nobody_left, &pool->mutex);
        mutex_unlock(&pool->mutex);

        join_all(pool->gone);
        mutex_destroy(&pool->mutex);
        condition_destroy(&pool->work_or_end);
        condition_destroy(&pool->nobody_left);
        g_free(pool);
}

/* ---- queues ---- */

struct Queue {
        size_t ceiling;

        Mutex mutex; /* over all below */
        Condition changed;
        GQueue items;
        bool closed;
};

Queue *queue_new(size_t ceiling) {
        g_assert(ceiling > 0);
        Queue *queue = g_new0(Queue, 1);
        queue->ceiling = ceiling;
        mutex_init(&queue->mutex);
        condition_init(&queue->changed);
        g_queue_init(&queue->items);
        return queue;
}

static void queue_wake(void *data) {
        Queue *queue = data;
        MUTEX_SCOPE(&queue->mutex);
        condition_broadcast(&queue->changed);
}

/* Under the lock. */
static bool queue_add(Queue *queue, void *item) {
        if (queue->closed || g_queue_get_length(&queue->items) >= queue->ceiling)
                return false;
        g_queue_push_tail(&queue->items, item);
        condition_broadcast(&queue->changed);
        return true;
}

static bool push_locked(Queue *queue, void *item, Cancel *cancel, GError **error) {
        MUTEX_SCOPE(&queue->mutex);
        while (!queue_add(queue, item)) {
                if (queue->closed) {
                        g_set_error_literal(error, ERROR, ERROR_NOT_FOUND, "queue is closed");
                        return false;
                }
                if (!cancel_check(cancel, error))
                        return false;
                condition_wait(&queue->changed, &queue->mutex);
        }
        return true;
}

bool queue_push(Queue *queue, void *item, Cancel *cancel, GError **error) {
        uint64_t watch = cancel_watch(cancel, queue_wake, queue);
        bool pushed = push_locked(queue, item, cancel, error);
        cancel_unwatch(cancel, watch);
        return pushed;
}

bool queue_try_push(Queue *queue, void *item) {
        MUTEX_SCOPE(&queue->mutex);
        return queue_add(queue, item);
}

static bool pop_locked(Queue *queue, void **ret, Duration deadline, Cancel *cancel,
                       GError **error) {
        MUTEX_SCOPE(&queue->mutex);
        bool in_time = true;
        while (g_queue_is_empty(&queue->items)) {
                if (queue->closed) {
                        g_set_error_literal(error, ERROR, ERROR_NOT_FOUND, "queue is closed");
                        return false;
                }
                if (!cancel_check(cancel, error))
                        return false;
                if (!in_time) {
                        g_set_error_literal(error, ERROR, ERROR_TIMEOUT, "timed out");
                        return false;
                }
                in_time = condition_wait_until(&queue->changed, &queue->mutex, deadline);
        }
        *ret = g_queue_pop_head(&queue->items);
        condition_broadcast(&queue->changed);
        return true;
}

bool queue_pop(Queue *queue, void **ret, Duration deadline, Cancel *cancel, GError **error) {
        uint64_t watch = cancel_watch(cancel, queue_wake, queue);
        bool popped = pop_locked(queue, ret, deadline, cancel, error);
        cancel_unwatch(cancel, watch);
        return popped;
}

void queue_close(Queue *queue) {
        MUTEX_SCOPE(&queue->mutex);
        queue->closed = true;
        condition_broadcast(&queue->changed);
}

void queue_free(Queue *queue) {
        if (!queue)
                return;
        g_queue_clear(&queue->items);
        mutex_destroy(&queue->mutex);
        condition_destroy(&queue->changed);
        g_free(queue);
}
