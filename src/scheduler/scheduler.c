#include "scheduler/scheduler.h"

#include "base/log.h"
#include "base/thread.h"
#include "scheduler/pass.h"

#define THREADS 4
#define SAFETY (10 * DURATION_SECOND)
#define LEASE (30 * DURATION_SECOND)
/* While a build waits for room: nothing tells when there is some. */
#define ROOM_PERIOD DURATION_SECOND

struct Scheduler {
        SchedulerSpec spec;
        char *node;
        Subscription *subscription;
        Cancel *cancel;
        ThreadPool *pool;
        Thread *loop;
        Mutex mutex;
        GHashTable *running; /* of job ids: one pass at a time for each */
        GHashTable *again;   /* of those: what was asked for while they ran */
        GHashTable *held;    /* of job ids: whose builds wait for room on a disk */
};

typedef struct {
        Scheduler *scheduler;
        int64_t job_id;
} Work;

static bool has(GHashTable *set, int64_t id) {
        return g_hash_table_contains(set, &id);
}

static void add(GHashTable *set, int64_t id) {
        g_hash_table_add(set, g_memdup2(&id, sizeof id));
}

/* Says it once, however often the job is looked at. */
static void note_room(Scheduler *scheduler, int64_t job_id, const char *no_room) {
        MUTEX_SCOPE(&scheduler->mutex);
        if (!no_room) {
                g_hash_table_remove(scheduler->held, &job_id);
        } else if (!has(scheduler->held, job_id)) {
                add(scheduler->held, job_id);
                log_info("scheduler", "builds-wait", "job", LOG_INT(job_id), "reason", no_room);
        }
}

static bool any_held(Scheduler *scheduler) {
        MUTEX_SCOPE(&scheduler->mutex);
        return g_hash_table_size(scheduler->held) > 0;
}

bool scheduler_pass(Scheduler *scheduler, int64_t job_id, GError **error) {
        g_auto(PassResult) result = { 0 };
        bool passed = pass_run(&scheduler->spec, job_id, &result, error);

        note_room(scheduler, job_id, result.no_room);
        return passed;
}

static void run_work(void *data) {
        g_autofree Work *work = data;
        Scheduler *scheduler = work->scheduler;

        for (bool again = true; again;) {
                g_autoptr(GError) error = NULL;
                if (!cancel_fired(scheduler->cancel) &&
                    !scheduler_pass(scheduler, work->job_id, &error) &&
                    !error_is(error, ERROR_NOT_FOUND))
                        log_error("scheduler", "pass-failed", error, "job", LOG_INT(work->job_id));
                MUTEX_SCOPE(&scheduler->mutex);
                again = g_hash_table_remove(scheduler->again, &work->job_id) &&
                        !cancel_fired(scheduler->cancel);
                if (!again)
                        g_hash_table_remove(scheduler->running, &work->job_id);
        }
}

static void dispatch(Scheduler *scheduler, int64_t job_id) {
        MUTEX_SCOPE(&scheduler->mutex);
        if (has(scheduler->running, job_id)) {
                add(scheduler->again, job_id);
                return;
        }
        Work *work = g_new0(Work, 1);
        *work = (Work){ scheduler, job_id };
        add(scheduler->running, job_id);
        thread_pool_push(scheduler->pool, run_work, work);
}

static void dispatch_due(Scheduler *scheduler, uint64_t buckets) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GArray) due = job_list_due(scheduler->spec.store, buckets, &error);

        if (!due) {
                log_error("scheduler", "list-jobs-failed", error);
                return;
        }
        for (size_t i = 0; i < due->len; i++)
                dispatch(scheduler, g_array_index(due, int64_t, i));
}

static void renew(Scheduler *scheduler, uint64_t *buckets) {
        g_autoptr(GError) error = NULL;

        if (lease_bucket_renew(scheduler->spec.store, LEASE_SCHEDULING, scheduler->node,
                               scheduler->spec.lease, buckets, &error))
                return;
        *buckets = 0;
        log_error("scheduler", "renew-failed", error);
}

static void run_loop(void *data) {
        Scheduler *scheduler = data;
        uint64_t buckets = 0;
        Duration renewal = 0;

        for (;;) {
                if (clock_monotonic() >= renewal) {
                        renew(scheduler, &buckets);
                        renewal = clock_monotonic() + scheduler->spec.lease / 3;
                }
                if (component_begin(scheduler->spec.store, COMPONENT_SCHEDULER))
                        dispatch_due(scheduler, buckets);
                Duration until = clock_monotonic() +
                                 (any_held(scheduler) ? ROOM_PERIOD : scheduler->spec.safety);
                until = MIN(until, renewal);
                if (!subscription_wait(scheduler->subscription, until, scheduler->cancel, NULL,
                                       NULL))
                        return;
        }
}

Scheduler *scheduler_new(const SchedulerSpec *spec) {
        /* A check's end may be what a pending build waits for. */
        static const SubscriptionTopic topics[] = { { NOTIFY_JOB_SCHEDULE, 0 },
                                                    { NOTIFY_CHECKED, 0 },
                                                    { NOTIFY_COMPONENTS, 0 } };
        Scheduler *scheduler = g_new0(Scheduler, 1);

        scheduler->spec = *spec;
        if (scheduler->spec.lease == 0)
                scheduler->spec.lease = LEASE;
        scheduler->node = g_strdup(spec->node);
        if (scheduler->spec.safety == 0)
                scheduler->spec.safety = SAFETY;
        mutex_init(&scheduler->mutex);
        scheduler->running = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
        scheduler->again = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
        scheduler->held = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
        scheduler->cancel = cancel_new(NULL);
        scheduler->subscription = subscription_new(spec->store, topics, G_N_ELEMENTS(topics));
        scheduler->pool = thread_pool_new("scheduler", spec->threads ? spec->threads : THREADS);
        scheduler->loop = thread_start("schedule-loop", run_loop, scheduler);
        return scheduler;
}

void scheduler_free(Scheduler *scheduler) {
        if (!scheduler)
                return;
        cancel_fire(scheduler->cancel, CANCEL_SHUTDOWN);
        thread_join(scheduler->loop);
        thread_pool_free(scheduler->pool);
        subscription_free(scheduler->subscription);
        cancel_free(scheduler->cancel);
        g_hash_table_unref(scheduler->running);
        g_hash_table_unref(scheduler->again);
        g_hash_table_unref(scheduler->held);
        mutex_destroy(&scheduler->mutex);
        g_free(scheduler->node);
        g_free(scheduler);
}
