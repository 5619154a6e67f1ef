/* The tracker: takes up builds, holds their leases, passes on aborts, and ends them. */
#include "engine/engine.h"

#include "base/fault.h"
#include "base/log.h"
#include "base/thread.h"

#define BUILDS_MAX 500
#define LEASE (30 * DURATION_SECOND)
/* A safety net: everything that matters is told. */
#define LOOK_AGAIN (10 * DURATION_SECOND)
#define FINISH_PAUSE DURATION_SECOND
/* Before a build that could not go on here (a full disk) is taken up again. */
#define AGAIN_PAUSE DURATION_SECOND
/* SIGTERM, 10 s, SIGKILL. */
#define STOP_PATIENCE (15 * DURATION_SECOND)

typedef struct {
        Engine *engine;
        BuildLease lease;
        Cancel *shutdown; /* the build goes on elsewhere or later */
        Cancel *cancel;   /* … or was aborted */
} Running;

struct Engine {
        EngineSpec spec;
        char *node;
        Subscription *subscription;
        Cancel *cancel; /* of the tracker */
        Thread *tracker;
        Mutex mutex;
        Condition ended;
        GHashTable *running; /* build id → Running */
        size_t threads;      /* of builds: they end a moment after their build does */
        EngineStats stats;
};

/* ---- one build ---- */

static BuildStatus status_of(bool ran, bool succeeded, const GError *error) {
        if (ran)
                return succeeded ? BUILD_SUCCEEDED : BUILD_FAILED;
        return error_is(error, ERROR_CANCELLED) ? BUILD_ABORTED : BUILD_ERRORED;
}

/* An error that no step could report, on the plan's root. */
static void report(BuildLogWriter *log, const char *plan_id, const char *message) {
        g_autoptr(Event) event = event_error(plan_id, message, clock_now());

        build_log_append(log, event, NULL, NULL);
}

static Plan *load_plan(const Running *running, BuildLogWriter *log, GError **error) {
        g_autoptr(Value) value = build_plan(running->engine->spec.settings->store,
                                            running->lease.build_id, error);
        if (!value)
                return NULL;
        g_autoptr(Plan) plan = plan_from_value(value, error);
        if (!plan)
                return NULL;
        g_autofree char *unsupported = plan_unsupported(plan);
        if (!unsupported)
                return g_steal_pointer(&plan);
        report(log, plan->id, unsupported);
        g_set_error(error, ERROR, ERROR_UNSUPPORTED, "%s", unsupported);
        return NULL;
}

static Creds *open_creds(const Running *running, const Build *build, BuildLogWriter *log,
                         const Plan *plan, GError **error) {
        const CredsScope scope = { build->team_name, build->pipeline_name };
        g_autoptr(GError) local = NULL;
        Creds *creds = creds_of_pipeline(running->engine->spec.settings->store, build->pipeline_id,
                                         &scope, &local);

        if (creds)
                return creds;
        report(log, plan->id, local->message);
        g_propagate_error(error, g_steal_pointer(&local));
        return NULL;
}

static RunSpec describe(const Running *running, const Build *build, BuildLogWriter *log,
                        Creds *creds) {
        return (RunSpec){
                .settings = running->engine->spec.settings,
                .build_id = build->id,
                .build_name = build->name,
                .lease = running->lease,
                .team_id = build->team_id,
                .team_name = build->team_name,
                .pipeline_id = build->pipeline_id,
                .pipeline_name = build->pipeline_name,
                .instance_vars = build->instance_vars,
                .job_id = build->job_id,
                .job_name = build->job_name,
                .created_by = build->created_by,
                .created = build->created,
                .creds = creds,
                .log = log,
        };
}

static bool run_plan(Running *running, const Build *build, BuildLogWriter *log, bool *ret_succeeded,
                     GError **error) {
        g_autoptr(Plan) plan = load_plan(running, log, error);
        g_autoptr(Creds) creds = plan ? open_creds(running, build, log, plan, error) : NULL;
        if (!creds)
                return false;
        const RunSpec spec = describe(running, build, log, creds);
        g_autoptr(Run) run = run_new(&spec);
        g_autoptr(Scope) scope = scope_new(NULL);
        const StepCall call = { .run = run,
                                .scope = scope,
                                .plan = plan,
                                .cancel = running->cancel,
                                .shutdown = running->shutdown };

        return plan_run(&call, ret_succeeded, error);
}

/* A database that is away for a while does not lose a build's end. */
static bool finish(const Running *running, BuildStatus status) {
        const BuildFinish end = { .id = running->lease.build_id,
                                  .epoch = running->lease.epoch,
                                  .status = status };

        for (;;) {
                g_autoptr(GError) error = NULL;
                if (build_finish(running->engine->spec.settings->store, &end, &error))
                        return true;
                log_error("engine", "finish-failed", error, "build", LOG_INT(end.id));
                if (error_is(error, ERROR_STALE) ||
                    !cancel_sleep(running->shutdown, FINISH_PAUSE, NULL))
                        return false;
        }
}

static void count(Engine *engine, BuildStatus status) {
        MUTEX_SCOPE(&engine->mutex);
        uint64_t *counters[] = { [BUILD_SUCCEEDED] = &engine->stats.succeeded,
                                 [BUILD_FAILED] = &engine->stats.failed,
                                 [BUILD_ERRORED] = &engine->stats.errored,
                                 [BUILD_ABORTED] = &engine->stats.aborted };
        (*counters[status])++;
}

/*
 * An abort or deadline of a build that another life of the server began may have found no step to stop its process:
 * the journal knows of it.
 */
static void stop_left_behind(const Running *running) {
        const StepSettings *settings = running->engine->spec.settings;

        if (running->lease.epoch == 1)
                return;
        g_autoptr(GPtrArray)
                steps = build_step_list(settings->store, running->lease.build_id, NULL);
        g_autoptr(Cancel) limit = cancel_new_deadline(running->shutdown, STOP_PATIENCE);
        for (guint i = 0; steps && i < steps->len; i++) {
                const BuildStep *step = steps->pdata[i];
                bool ended = step->state == BUILD_STEP_SUCCEEDED ||
                             step->state == BUILD_STEP_FAILED;
                if (step->handle && step->worker && !ended)
                        pool_stop(settings->pool, step->worker, step->handle, limit, NULL);
        }
}

static bool is_leaving(const Running *running, const GError *error) {
        return cancel_fired(running->shutdown) || error_is(error, ERROR_STALE);
}

static bool run_build(Running *running, GError **error) {
        Store *store = running->engine->spec.settings->store;
        g_autoptr(Build) build = build_get(store, running->lease.build_id, error);
        if (!build)
                return false;
        g_autoptr(BuildLogWriter) log = build_log_writer_new(store, &running->lease, error);
        if (!log)
                return false;
        g_autoptr(GError) why = NULL;
        bool succeeded = false;

        if (build->aborted)
                cancel_fire(running->cancel, CANCEL_ABORT);
        bool ran = run_plan(running, build, log, &succeeded, &why);
        if (is_leaving(running, why)) {
                log_info("engine", "build-left", "build", LOG_INT(build->id));
                return true;
        }
        /* What cannot be written has not happened: it is taken up again from there, and what runs goes on till then. */
        if (!build_log_flush(log, error))
                return false;
        stop_left_behind(running);
        BuildStatus status = status_of(ran, succeeded, why);
        fault_here("before-build-finish");
        if (finish(running, status)) {
                count(running->engine, status);
                log_info("engine", "build-finished", "build", LOG_INT(build->id), "status",
                         build_status_name(status), "reason", why ? why->message : NULL);
        }
        return true;
}

static void running_free(Running *running) {
        cancel_free(running->cancel);
        cancel_free(running->shutdown);
        g_free(running);
}

static void build_thread(void *data) {
        Running *running = data;
        Engine *engine = running->engine;
        Store *store = engine->spec.settings->store;
        g_autoptr(GError) error = NULL;

        if (!run_build(running, &error) && !error_is(error, ERROR_STALE)) {
                log_error("engine", "build-failed-to-run", error, "build",
                          LOG_INT(running->lease.build_id));
                cancel_sleep(running->shutdown, AGAIN_PAUSE, NULL);
        }
        build_lease_release(store, &running->lease, NULL);

        mutex_lock(&engine->mutex);
        bool was_full = engine->stats.queued > 0;
        g_hash_table_remove(engine->running, &running->lease.build_id);
        engine->stats.running = g_hash_table_size(engine->running);
        running_free(running);
        mutex_unlock(&engine->mutex);
        if (was_full)
                notify_send(store, NOTIFY_BUILD_STARTED, 0, NULL);

        MUTEX_SCOPE(&engine->mutex); /* engine and store may be gone after this */
        engine->threads--;
        condition_broadcast(&engine->ended);
}

/* ---- taking builds up ---- */

static bool is_running(Engine *engine, int64_t build_id) {
        MUTEX_SCOPE(&engine->mutex);
        return g_hash_table_contains(engine->running, &build_id);
}

static size_t room(Engine *engine) {
        MUTEX_SCOPE(&engine->mutex);
        size_t taken = g_hash_table_size(engine->running);
        return taken < engine->spec.builds_max ? engine->spec.builds_max - taken : 0;
}

static void take_up(Engine *engine, int64_t build_id) {
        g_autoptr(GError) error = NULL;
        BuildLease lease;

        if (!build_lease_acquire(engine->spec.settings->store, build_id, engine->node,
                                 engine->spec.lease, &lease, &error)) {
                if (!error_is(error, ERROR_BUSY) && !error_is(error, ERROR_NOT_FOUND))
                        log_error("engine", "lease-failed", error, "build", LOG_INT(build_id));
                return;
        }
        Running *running = g_new0(Running, 1);
        running->engine = engine;
        running->lease = lease;
        running->shutdown = cancel_new(NULL);
        running->cancel = cancel_new(running->shutdown);
        mutex_lock(&engine->mutex);
        g_hash_table_replace(engine->running, &running->lease.build_id, running);
        engine->stats.running = g_hash_table_size(engine->running);
        engine->stats.started++;
        engine->threads++;
        mutex_unlock(&engine->mutex);
        thread_detached("build", build_thread, running);
}

static void look_for_builds(Engine *engine) {
        Store *store = engine->spec.settings->store;
        g_autoptr(GError) error = NULL;
        size_t waiting = 0;

        if (!component_begin(store, COMPONENT_TRACKER))
                return;
        g_autoptr(GArray) free = build_lease_list_free(store, engine->spec.lease, &error);
        if (!free) {
                log_error("engine", "list-builds-failed", error);
                return;
        }
        for (size_t i = 0; i < free->len; i++) {
                int64_t id = g_array_index(free, int64_t, i);
                if (is_running(engine, id))
                        continue;
                if (room(engine) > 0)
                        take_up(engine, id);
                else
                        waiting++;
        }
        MUTEX_SCOPE(&engine->mutex);
        engine->stats.queued = waiting;
}

/* ---- keeping them ---- */

static void fire(Engine *engine, int64_t build_id, bool shutdown) {
        MUTEX_SCOPE(&engine->mutex);
        Running *running = g_hash_table_lookup(engine->running, &build_id);
        if (running && shutdown)
                cancel_fire(running->shutdown, CANCEL_SHUTDOWN);
        else if (running)
                cancel_fire(running->cancel, CANCEL_ABORT);
}

static GArray *leases(Engine *engine) {
        GArray *list = g_array_new(FALSE, FALSE, sizeof(BuildLease));
        GHashTableIter iterator;
        void *value;

        MUTEX_SCOPE(&engine->mutex);
        g_hash_table_iter_init(&iterator, engine->running);
        while (g_hash_table_iter_next(&iterator, NULL, &value))
                g_array_append_val(list, ((Running *) value)->lease);
        return list;
}

static void renew(Engine *engine) {
        g_autoptr(GArray) held = leases(engine);
        g_autoptr(GArray) lost = NULL;
        g_autoptr(GError) error = NULL;

        if (held->len == 0)
                return;
        fault_here("before-lease-renewal");
        if (!build_lease_renew(engine->spec.settings->store,
                               (const BuildLease *) (void *) held->data, held->len, engine->node,
                               engine->spec.lease, &lost, &error)) {
                log_error("engine", "renew-failed", error);
                return;
        }
        for (size_t i = 0; i < lost->len; i++) {
                int64_t id = g_array_index(lost, BuildLease, i).build_id;
                log_info("engine", "lease-lost", "build", LOG_INT(id));
                fire(engine, id, true);
        }
}

/* Aborts may have been missed while the bus was away: look at each build's flag. */
static void look_for_aborts(Engine *engine) {
        g_autoptr(GArray) held = leases(engine);

        for (size_t i = 0; i < held->len; i++) {
                int64_t id = g_array_index(held, BuildLease, i).build_id;
                g_autoptr(Build) build = build_get(engine->spec.settings->store, id, NULL);
                if (build && build->aborted)
                        fire(engine, id, false);
        }
}

static void pass_on_aborts(Engine *engine, const GArray *topics) {
        for (size_t i = 0; i < topics->len; i++) {
                const SubscriptionTopic *topic = &g_array_index(topics, SubscriptionTopic, i);
                if (topic->kind != NOTIFY_BUILD_ABORT)
                        continue;
                if (topic->id)
                        fire(engine, topic->id, false);
                else
                        look_for_aborts(engine);
        }
}

static void track(void *data) {
        Engine *engine = data;
        Duration next_renewal = clock_monotonic() + engine->spec.lease / 3;

        look_for_builds(engine);
        for (;;) {
                g_autoptr(GArray) topics = NULL;
                Duration until = MIN(next_renewal, clock_monotonic() + LOOK_AGAIN);
                if (!subscription_wait(engine->subscription, until, engine->cancel, &topics, NULL))
                        return;
                pass_on_aborts(engine, topics);
                if (clock_monotonic() >= next_renewal) {
                        renew(engine);
                        next_renewal = clock_monotonic() + engine->spec.lease / 3;
                }
                look_for_builds(engine);
        }
}

/* ---- the engine ---- */

/* A SQLite file has one program at a time: what it still leases is from its last life. */
static void release_own_leases(Engine *engine) {
        Store *store = engine->spec.settings->store;
        g_autoptr(GError) error = NULL;

        if (db_kind(store_db(store)) == DB_SQLITE &&
            !build_lease_release_node(store, engine->node, &error))
                log_error("engine", "release-leases-failed", error);
}

Engine *engine_new(const EngineSpec *spec) {
        static const SubscriptionTopic topics[] = { { NOTIFY_BUILD_STARTED, 0 },
                                                    { NOTIFY_BUILD_ABORT, 0 },
                                                    { NOTIFY_COMPONENTS, 0 } };
        Engine *engine = g_new0(Engine, 1);

        engine->spec = *spec;
        engine->node = g_strdup(spec->node);
        if (engine->spec.builds_max == 0)
                engine->spec.builds_max = BUILDS_MAX;
        if (engine->spec.lease == 0)
                engine->spec.lease = LEASE;
        mutex_init(&engine->mutex);
        condition_init(&engine->ended);
        engine->running = g_hash_table_new(g_int64_hash, g_int64_equal);
        engine->subscription = subscription_new(spec->settings->store, topics,
                                                G_N_ELEMENTS(topics));
        engine->cancel = cancel_new(NULL);
        release_own_leases(engine);
        engine->tracker = thread_start("tracker", track, engine);
        return engine;
}

void engine_free(Engine *engine, Duration grace) {
        if (!engine)
                return;
        cancel_fire(engine->cancel, CANCEL_SHUTDOWN);
        thread_join(engine->tracker);
        g_autoptr(GArray) held = leases(engine);
        for (size_t i = 0; i < held->len; i++)
                fire(engine, g_array_index(held, BuildLease, i).build_id, true);

        Duration deadline = clock_monotonic() + grace;
        mutex_lock(&engine->mutex);
        while (engine->threads > 0 &&
               condition_wait_until(&engine->ended, &engine->mutex, deadline))
                ;
        bool empty = engine->threads == 0;
        mutex_unlock(&engine->mutex);
        if (!empty) {
                /* Threads still use it: the process ends, their leases run out. */
                log_info("engine", "drain-deadline-passed");
                return;
        }
        subscription_free(engine->subscription);
        cancel_free(engine->cancel);
        g_hash_table_unref(engine->running);
        condition_destroy(&engine->ended);
        mutex_destroy(&engine->mutex);
        g_free(engine->node);
        g_free(engine);
}

void engine_stats(Engine *engine, EngineStats *ret) {
        MUTEX_SCOPE(&engine->mutex);
        *ret = engine->stats;
}
