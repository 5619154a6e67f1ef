#include "checker/checker.h"

#include "base/log.h"
#include "base/thread.h"
#include "checker/check_run.h"

#define THREADS 32
#define LEASE (30 * DURATION_SECOND)
/* A resource that could not be asked at all (no worker, no config) is left alone this long, or until workers change. */
#define RETRY (10 * DURATION_SECOND)

/* What is known of one resource; only the loop's thread and, under the mutex, the checks touch it. */
typedef struct {
        int64_t id, scope_id;
        Duration interval;     /* 0: never by itself */
        bool triggers, wanted; /* wanted: 05 §2.2's clauses 2 to 4 */
        bool running, requested;
        bool unasked;        /* never checked: it does not wait for its turn */
        Time due;            /* 0: at once; by the wall clock, as stored */
        Duration not_before; /* clock_monotonic() */
        Time started;        /* of the last check here */
} Entry;

struct Checker {
        CheckerSpec spec;
        char *node;
        Subscription *subscription;
        Cancel *cancel;
        ThreadPool *pool;
        Thread *loop;
        Mutex mutex;
        GHashTable *entries; /* resource id → Entry */
        GHashTable *early;   /* resource ids that were asked for before they were loaded */
        CheckerStats stats;
        Duration next_turn; /* of the rate limit */
        uint64_t buckets;
};

typedef struct {
        Checker *checker;
        int64_t resource_id;
        bool requested;
} Work;

/* ---- what is to be checked ---- */

static bool is_wanted(const CheckCandidate *candidate, const ScopeCheck *last) {
        if (!candidate->scope_id || !last->last_end || !last->last_succeeded)
                return true;
        return candidate->input && (!candidate->has_version || !candidate->has_pinned);
}

static void update_entry(Checker *checker, Entry *entry, const CheckCandidate *candidate) {
        g_auto(ScopeCheck) last = { 0 };

        if (candidate->scope_id)
                scope_check_get(checker->spec.settings->store, candidate->scope_id, &last, NULL);
        entry->id = candidate->id;
        entry->scope_id = candidate->scope_id;
        entry->interval = check_interval(checker->spec.settings, candidate->config);
        entry->triggers = candidate->triggers;
        entry->wanted = is_wanted(candidate, &last);
        entry->unasked = !last.last_end;
        entry->due = last.next;
}

/* Keeps what is known of those that stay. */
static void load_candidates(Checker *checker) {
        g_autoptr(GError) error = NULL;
        g_autoptr(GPtrArray) candidates = check_candidate_list(checker->spec.settings->store,
                                                               checker->buckets, &error);

        if (!candidates) {
                log_error("checker", "list-failed", error);
                return;
        }
        MUTEX_SCOPE(&checker->mutex);
        GHashTable *fresh = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
        for (size_t i = 0; i < candidates->len; i++) {
                const CheckCandidate *candidate = g_ptr_array_index(candidates, i);
                Entry *old = g_hash_table_lookup(checker->entries, &candidate->id);
                Entry *entry = g_new0(Entry, 1);
                if (old)
                        *entry = *old;
                update_entry(checker, entry, candidate);
                entry->requested = entry->requested ||
                                   g_hash_table_contains(checker->early, &candidate->id);
                g_hash_table_insert(fresh, &entry->id, entry);
        }
        g_hash_table_remove_all(checker->early);
        g_hash_table_unref(checker->entries);
        checker->entries = fresh;
}

static void forget_pauses(Checker *checker) {
        GHashTableIter iterator;
        void *value;

        MUTEX_SCOPE(&checker->mutex);
        g_hash_table_iter_init(&iterator, checker->entries);
        while (g_hash_table_iter_next(&iterator, NULL, &value))
                ((Entry *) value)->not_before = 0;
}

/* ---- one check ---- */

static void note_result(Checker *checker, int64_t id, bool ran, bool succeeded) {
        g_autoptr(CheckCandidate)
                candidate = check_candidate_get(checker->spec.settings->store, id, NULL);

        MUTEX_SCOPE(&checker->mutex);
        checker->stats.running--;
        if (ran && succeeded)
                checker->stats.succeeded++;
        else
                checker->stats.failed++;
        Entry *entry = g_hash_table_lookup(checker->entries, &id);
        if (!entry)
                return;
        entry->running = false;
        if (candidate)
                update_entry(checker, entry, candidate);
        if (!ran) {
                entry->started = 0; /* whoever waits for a check still does */
                entry->not_before = clock_monotonic() + RETRY;
        }
}

static void run_work(void *data) {
        g_autofree Work *work = data;
        Checker *checker = work->checker;
        g_autoptr(GError) error = NULL;
        bool succeeded = false;
        const CheckRun check = { .settings = checker->spec.settings,
                                 .resource_id = work->resource_id,
                                 .skip_interval = work->requested,
                                 .cancel = checker->cancel };
        bool ran = !cancel_fired(checker->cancel) && check_run(&check, &succeeded, &error);

        if (!ran && error && !error_is(error, ERROR_CANCELLED) && !error_is(error, ERROR_NOT_FOUND))
                log_error("checker", "check-failed", error, "resource", LOG_INT(work->resource_id));
        note_result(checker, work->resource_id, ran, succeeded);
        if (!cancel_fired(checker->cancel)) /* the loop may have it due again */
                notify_send(checker->spec.settings->store, NOTIFY_CHECKED, 0, NULL);
}

/* ---- whose turn it is ---- */

static double rate(const Checker *checker) {
        double seconds = (double) checker->spec.settings->checking_interval /
                         (double) DURATION_SECOND;

        if (checker->spec.checks_per_second != 0)
                return checker->spec.checks_per_second;
        return MAX(g_hash_table_size(checker->entries) / MAX(seconds, 1), 1);
}

/* A periodic check takes a turn; returns false, and when to look again, while there is none. */
static bool take_turn(Checker *checker, Duration now, Duration *next) {
        double per_second = rate(checker);

        if (per_second < 0)
                return true;
        if (now < checker->next_turn) {
                *next = MIN(*next, checker->next_turn);
                return false;
        }
        checker->next_turn = now + (Duration) ((double) DURATION_SECOND / per_second);
        return true;
}

static bool is_due(Checker *checker, const Entry *entry, Duration now, Duration *next) {
        if (entry->running)
                return false;
        if (entry->requested && entry->not_before <= now)
                return true;
        if (entry->requested) {
                *next = MIN(*next, entry->not_before);
                return false;
        }
        if (entry->interval == 0 || (!entry->triggers && !entry->wanted))
                return false;
        /* A clock that was set back while nothing ran must not make it wait longer than it ever does. */
        Duration wait = MIN((entry->due - clock_steady()) * 1000, entry->interval);
        Duration at = MAX(now + MAX(wait, 0), entry->not_before);
        if (at > now) {
                *next = MIN(*next, at);
                return false;
        }
        return entry->unasked || take_turn(checker, now, next);
}

/* Starts what is due. Returns when the next one will be, by clock_monotonic(). */
static Duration start_due(Checker *checker) {
        Duration now = clock_monotonic(), next = now + checker->spec.lease / 3;
        GHashTableIter iterator;
        void *value;

        MUTEX_SCOPE(&checker->mutex);
        g_hash_table_iter_init(&iterator, checker->entries);
        while (g_hash_table_iter_next(&iterator, NULL, &value)) {
                Entry *entry = value;
                if (!is_due(checker, entry, now, &next))
                        continue;
                Work *work = g_new0(Work, 1);
                *work = (Work){ checker, entry->id, entry->requested };
                entry->running = true;
                entry->requested = false;
                entry->started = clock_steady();
                checker->stats.started++;
                checker->stats.running++;
                thread_pool_push(checker->pool, run_work, work);
        }
        checker->stats.waiting = thread_pool_waiting(checker->pool);
        return next;
}

/* ---- the loop ---- */

typedef enum {
        NOTED,   /* it is on its way already */
        WANTED,  /* it is wanted from now on */
        UNKNOWN, /* it is not loaded yet, and remembered until it is */
} Request;

static Request mark_requested(Checker *checker, int64_t resource_id, Time since) {
        MUTEX_SCOPE(&checker->mutex);
        Entry *entry = g_hash_table_lookup(checker->entries, &resource_id);

        if (!entry)
                return g_hash_table_add(checker->early, g_memdup2(&resource_id, sizeof resource_id))
                               ? UNKNOWN
                               : NOTED;
        if (entry->requested || entry->started >= since)
                return NOTED;
        entry->requested = true;
        return WANTED;
}

static bool heed(Checker *checker, const GArray *topics) {
        bool reload = false;

        for (size_t i = 0; i < topics->len; i++) {
                const SubscriptionTopic *topic = &g_array_index(topics, SubscriptionTopic, i);
                if (topic->kind == NOTIFY_CHECK_REQUEST && topic->id)
                        reload = mark_requested(checker, topic->id, clock_steady()) == UNKNOWN ||
                                 reload;
                else if (topic->kind == NOTIFY_WORKERS)
                        forget_pauses(checker);
                else if (topic->kind == NOTIFY_RESOURCES)
                        reload = true;
        }
        return reload;
}

static void renew(Checker *checker) {
        g_autoptr(GError) error = NULL;

        if (lease_bucket_renew(checker->spec.settings->store, LEASE_CHECKS, checker->node,
                               checker->spec.lease, &checker->buckets, &error))
                return;
        checker->buckets = 0;
        log_error("checker", "renew-failed", error);
}

static void run_loop(void *data) {
        Checker *checker = data;
        Duration renewal = 0;
        bool reload = true;

        for (;;) {
                g_autoptr(GArray) topics = NULL;
                if (clock_monotonic() >= renewal) {
                        renew(checker);
                        renewal = clock_monotonic() + checker->spec.lease / 3;
                        reload = true;
                }
                if (reload)
                        load_candidates(checker);
                Duration until = renewal;
                if (component_begin(checker->spec.settings->store, COMPONENT_SCANNER))
                        until = MIN(start_due(checker), renewal);
                if (!subscription_wait(checker->subscription, until, checker->cancel, &topics,
                                       NULL))
                        return;
                reload = heed(checker, topics);
        }
}

Checker *checker_new(const CheckerSpec *spec) {
        static const SubscriptionTopic topics[] = { { NOTIFY_RESOURCES, 0 },
                                                    { NOTIFY_CHECK_REQUEST, 0 },
                                                    { NOTIFY_CHECKED, 0 },
                                                    { NOTIFY_WORKERS, 0 },
                                                    { NOTIFY_COMPONENTS, 0 } };
        Checker *checker = g_new0(Checker, 1);

        checker->spec = *spec;
        if (checker->spec.lease == 0)
                checker->spec.lease = LEASE;
        checker->node = g_strdup(spec->node);
        mutex_init(&checker->mutex);
        checker->entries = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
        checker->early = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
        checker->cancel = cancel_new(NULL);
        checker->subscription = subscription_new(spec->settings->store, topics,
                                                 G_N_ELEMENTS(topics));
        checker->pool = thread_pool_new("check", spec->threads ? spec->threads : THREADS);
        checker->loop = thread_start("check-loop", run_loop, checker);
        return checker;
}

void checker_free(Checker *checker) {
        if (!checker)
                return;
        cancel_fire(checker->cancel, CANCEL_SHUTDOWN);
        thread_join(checker->loop);
        thread_pool_free(checker->pool);
        subscription_free(checker->subscription);
        cancel_free(checker->cancel);
        g_hash_table_unref(checker->entries);
        g_hash_table_unref(checker->early);
        mutex_destroy(&checker->mutex);
        g_free(checker->node);
        g_free(checker);
}

void checker_request(Checker *checker, int64_t resource_id, Time since) {
        Request request = mark_requested(checker, resource_id, since);

        /* Wakes our own loop and nobody else: whoever waits for a check asks again whenever one
         * ended, and would wake itself by asking. */
        if (request != NOTED)
                notify_send(checker->spec.settings->store,
                            request == WANTED ? NOTIFY_CHECK_REQUEST : NOTIFY_RESOURCES, 0, NULL);
}

void checker_stats(Checker *checker, CheckerStats *ret) {
        MUTEX_SCOPE(&checker->mutex);
        *ret = checker->stats;
}
