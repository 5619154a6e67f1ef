#include "janitor/janitor.h"

#include "base/log.h"
#include "base/thread.h"
#include "janitor/retention.h"

#define LEASE (60 * DURATION_SECOND)
/* Finished builds are swept soon, not one by one. */
#define GATHER DURATION_SECOND
/* What people sent in with fly execute and never used: reference 05 §6.8. */
#define ARTIFACT_AGE (12 * DURATION_HOUR)
#define CREATING_GRACE DURATION_HOUR
#define CONFIG_AGE DURATION_HOUR
#define CHECKS_AT_ONCE 1000
#define FORGET_AT_ONCE 500

struct Janitor {
        JanitorSpec spec;
        Subscription *subscription;
        Cancel *cancel;
        Thread *loop;
};

static Duration or_else(Duration given, Duration otherwise) {
        return given ? given : otherwise;
}

static Time ago(Duration age) {
        return clock_steady() - age / 1000;
}

/* ---- the rules, each by itself: one that fails does not stop the others ---- */

static bool end_interception(const JanitorSpec *spec, GError **error) {
        int64_t marked;

        return build_mark_not_interceptible(spec->store, ago(spec->one_off_grace),
                                            spec->failed_grace > 0 ? ago(spec->failed_grace) : 0,
                                            &marked, error);
}

static bool sweep_containers(const JanitorSpec *spec, GError **error) {
        const ContainerSweep sweep = { .now = clock_steady(),
                                       .missing_grace = spec->missing_grace,
                                       .hijack_grace = spec->hijack_grace,
                                       .creating_grace = CREATING_GRACE };
        int64_t marked, deleted;

        return container_sweep(spec->store, &sweep, &marked, &deleted, error);
}

static bool sweep_resource_caches(const JanitorSpec *spec, GError **error) {
        int64_t deleted;

        return resource_cache_sweep(spec->store, clock_steady(), &deleted, error);
}

static bool sweep_task_caches(const JanitorSpec *spec, GError **error) {
        int64_t deleted;

        return task_cache_sweep(spec->store, clock_steady(), &deleted, error);
}

static bool sweep_artifacts(const JanitorSpec *spec, GError **error) {
        int64_t deleted;

        return worker_artifact_delete_older(spec->store, ago(ARTIFACT_AGE), &deleted, error);
}

static bool give_up_caches(const JanitorSpec *spec, GError **error) {
        int64_t given;

        if (!volume_give_up_caches(spec->store, &given, error))
                return false;
        if (given > 0)
                log_info("janitor", "caches-given-up", "count", LOG_INT(given));
        return true;
}

static bool sweep_volumes(const JanitorSpec *spec, GError **error) {
        int64_t marked, deleted;

        return volume_sweep(spec->store, clock_steady(), spec->missing_grace, &marked, &deleted,
                            error);
}

static bool sweep_configs(const JanitorSpec *spec, GError **error) {
        int64_t deleted;

        return resource_config_delete_unused(spec->store, ago(CONFIG_AGE), &deleted, error);
}

static bool tick_workers(const JanitorSpec *spec, GError **error) {
        WorkerTick tick;

        if (!worker_tick(spec->store, spec->stalled_worker_timeout, &tick, error))
                return false;
        if (tick.stalled || tick.deleted || tick.landed)
                log_info("janitor", "workers", "stalled", LOG_INT(tick.stalled), "deleted",
                         LOG_INT(tick.deleted), "landed", LOG_INT(tick.landed));
        return true;
}

static bool sweep_checks(const JanitorSpec *spec, GError **error) {
        int64_t deleted;

        return build_delete_old_checks(spec->store, CHECKS_AT_ONCE, &deleted, error);
}

static bool sweep_tokens(const JanitorSpec *spec, GError **error) {
        int64_t deleted;

        return token_delete_expired(spec->store, clock_now(), &deleted, error);
}

static bool archive_pipelines(const JanitorSpec *spec, GError **error) {
        int64_t archived;

        return pipeline_archive_abandoned(spec->store, &archived, error);
}

static bool rotate_keys(const JanitorSpec *spec, GError **error) {
        return signing_keys_rotate(spec->store, clock_now(), error);
}

static bool pause_pipelines(const JanitorSpec *spec, GError **error) {
        int64_t paused = 0;

        if (spec->pause_pipelines_after <= 0)
                return true;
        /* Whole days of the local calendar, as upstream counts them. */
        g_autoptr(GDateTime) now = g_date_time_new_from_unix_local(time_seconds(clock_now()));
        g_autoptr(GDateTime)
                today = g_date_time_new_local(g_date_time_get_year(now), g_date_time_get_month(now),
                                              g_date_time_get_day_of_month(now), 0, 0, 0);
        g_autoptr(GDateTime)
                bound = g_date_time_add_days(today, -(int) spec->pause_pipelines_after);
        if (!pipeline_pause_unused(spec->store, g_date_time_to_unix(bound) * 1000000, &paused,
                                   error))
                return false;
        if (paused > 0)
                log_info("janitor", "pipelines-paused", "count", LOG_INT(paused));
        return true;
}

static bool forget_all(const JanitorSpec *spec,
                       bool (*forget)(Store *store, const HistoryKeep *keep, size_t limit,
                                      int64_t *ret_deleted, GError **error),
                       GError **error) {
        int64_t deleted;

        do
                if (!forget(spec->store, &spec->history, FORGET_AT_ONCE, &deleted, error))
                        return false;
        while (deleted >= FORGET_AT_ONCE);
        return true;
}

static bool forget_one_offs(const JanitorSpec *spec, GError **error) {
        return forget_all(spec, build_forget_one_offs, error);
}

static bool forget_versions(const JanitorSpec *spec, GError **error) {
        return forget_all(spec, version_forget_old, error);
}

static const struct {
        const char *name;
        const char *components[2]; /* the rule rests while one of them is paused */
        bool (*run)(const JanitorSpec *spec, GError **error);
} rules[] = {
        { "workers", { "collector_workers" }, tick_workers },
        { "builds", { "collector_builds" }, end_interception },
        { "containers", { "collector_containers", "collector_check_sessions" }, sweep_containers },
        { "artifacts", { "collector_artifacts" }, sweep_artifacts },
        { "resource-caches",
          { "collector_resource_caches", "collector_resource_cache_uses" },
          sweep_resource_caches },
        { "task-caches", { "collector_task_caches" }, sweep_task_caches },
        { "full-disks", { "collector_volumes" }, give_up_caches },
        { "volumes", { "collector_volumes" }, sweep_volumes },
        { "resource-configs", { "collector_resource_configs" }, sweep_configs },
        { "checks", { "collector_checks" }, sweep_checks },
        { "tokens", { "collector_access_tokens" }, sweep_tokens },
        { "pipelines", { "collector_pipelines" }, archive_pipelines },
        { "unused-pipelines", { "pipeline_pauser" }, pause_pipelines },
        { "signing-keys", { COMPONENT_KEYS }, rotate_keys },
        { "build-logs", { COMPONENT_REAPER }, retention_run },
        { "one-off-builds", { COMPONENT_REAPER }, forget_one_offs },
        { "versions", { "collector_resource_configs" }, forget_versions }, /* after their builds */
};

static bool may_run(Store *store, const char *const components[2]) {
        bool may = true;

        for (size_t i = 0; i < 2 && components[i]; i++)
                may = component_begin(store, components[i]) && may;
        return may;
}

bool janitor_round(Janitor *janitor, GError **error) {
        bool clean = true;

        for (size_t i = 0; i < G_N_ELEMENTS(rules); i++) {
                g_autoptr(GError) local = NULL;
                if (cancel_fired(janitor->cancel))
                        break;
                if (!may_run(janitor->spec.store, rules[i].components) ||
                    rules[i].run(&janitor->spec, &local))
                        continue;
                log_error("janitor", rules[i].name, local);
                if (clean && error)
                        g_propagate_prefixed_error(error, g_steal_pointer(&local),
                                                   "%s: ", rules[i].name);
                clean = false;
        }
        return clean;
}

/* ---- the loop ---- */

static bool is_ours(Janitor *janitor) {
        uint64_t buckets = 0;

        return lease_bucket_renew(janitor->spec.store, LEASE_JANITOR, janitor->spec.node,
                                  janitor->spec.lease, &buckets, NULL) &&
               (buckets & 1);
}

static void run_loop(void *data) {
        Janitor *janitor = data;

        for (;;) {
                Duration next = clock_monotonic() + janitor->spec.interval;
                if (is_ours(janitor))
                        janitor_round(janitor, NULL);
                if (!subscription_wait(janitor->subscription, next, janitor->cancel, NULL, NULL) ||
                    !cancel_sleep(janitor->cancel, MIN(GATHER, janitor->spec.interval), NULL))
                        return;
        }
}

Janitor *janitor_new(const JanitorSpec *spec) {
        static const SubscriptionTopic topics[] = { { NOTIFY_BUILD_FINISHED, 0 } };
        Janitor *janitor = g_new0(Janitor, 1);

        janitor->spec = *spec;
        janitor->spec.interval = or_else(spec->interval, 30 * DURATION_SECOND);
        janitor->spec.lease = or_else(spec->lease, LEASE);
        janitor->spec.one_off_grace = or_else(spec->one_off_grace, 5 * DURATION_MINUTE);
        janitor->spec.failed_grace = or_else(spec->failed_grace, 120 * DURATION_HOUR);
        janitor->spec.missing_grace = or_else(spec->missing_grace, 5 * DURATION_MINUTE);
        janitor->spec.hijack_grace = or_else(spec->hijack_grace, 5 * DURATION_MINUTE);
        janitor->cancel = cancel_new(NULL);
        janitor->subscription = subscription_new(spec->store, topics, G_N_ELEMENTS(topics));
        janitor->loop = thread_start("janitor", run_loop, janitor);
        return janitor;
}

void janitor_free(Janitor *janitor) {
        if (!janitor)
                return;
        cancel_fire(janitor->cancel, CANCEL_SHUTDOWN);
        thread_join(janitor->loop);
        subscription_free(janitor->subscription);
        cancel_free(janitor->cancel);
        g_free(janitor);
}
