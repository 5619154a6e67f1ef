#include "janitor/retention.h"

#define PAGE 500
#define DAY ((Time) 24 * 60 * 60 * 1000000)

static int64_t capped(int64_t wanted, int64_t most) {
        if (most > 0)
                return wanted > 0 ? MIN(wanted, most) : most;
        return wanted;
}

Retention retention_of(const JanitorSpec *spec, const Value *job_config) {
        const Value *own = value_get(job_config, "build_log_retention");
        Retention retention = {
                .builds = own ? value_get_int(own, "builds", 0)
                              : value_get_int(job_config, "build_logs_to_retain", 0),
                .days = value_get_int(own, "days", 0),
                .minimum_succeeded = value_get_int(own, "minimum_succeeded_builds", 0),
        };

        if (retention.builds == 0)
                retention.builds = spec->default_builds_to_retain;
        if (retention.days == 0)
                retention.days = spec->default_days_to_retain;
        retention.builds = capped(retention.builds, spec->max_builds_to_retain);
        retention.days = capped(retention.days, spec->max_days_to_retain);
        bool limited = spec->max_builds_to_retain > 0 || spec->max_days_to_retain > 0;
        if (limited &&
            (retention.minimum_succeeded < 0 || retention.minimum_succeeded > retention.builds))
                retention.minimum_succeeded = 0;
        return retention;
}

static bool is_young(const Retention *retention, const Build *build, Time now) {
        return retention->days > 0 && (!build->end || build->end + retention->days * DAY > now);
}

void retention_select(const Retention *retention, const GPtrArray *builds, Time now,
                      GArray **ret_ids, int64_t *ret_first) {
        GArray *reap = g_array_new(FALSE, FALSE, sizeof(int64_t));
        g_autoptr(GArray)
                candidates = g_array_new(FALSE, FALSE, sizeof(int64_t)); /* kept, newest first */
        int64_t kept = 0, succeeded = 0, first = 0;

        for (size_t i = builds->len; i > 0; i--) {
                const Build *build = g_ptr_array_index(builds, i - 1);
                bool protect = retention->builds > 0 && build->status == BUILD_SUCCEEDED &&
                               succeeded < retention->minimum_succeeded;
                bool stays = !build->completed || protect ||
                             (retention->builds > 0 && kept < retention->builds) ||
                             is_young(retention, build, now);
                if (!stays) {
                        g_array_append_val(reap, build->id);
                        continue;
                }
                first = build->id;
                if (!build->completed)
                        continue;
                kept++;
                succeeded += build->status == BUILD_SUCCEEDED;
                if (!protect)
                        g_array_append_val(candidates, build->id);
        }
        /* Room for those that are protected: the oldest of the others go too. */
        while (reap->len > 0 && retention->builds > 0 && kept > retention->builds &&
               candidates->len > 0) {
                g_array_append_val(reap, g_array_index(candidates, int64_t, candidates->len - 1));
                g_array_set_size(candidates, candidates->len - 1);
                kept--;
        }
        *ret_ids = reap;
        *ret_first = first;
}

/* All of a job that may have a log, ascending: the newest stay, so all must be known. */
static GPtrArray *list_builds(const JanitorSpec *spec, const Job *job, GError **error) {
        g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func((GDestroyNotify) build_free);
        int64_t from = job->first_logged_build_id;

        for (size_t got = PAGE; got == PAGE;) {
                g_autoptr(GPtrArray)
                        page = build_list_completed(spec->store, job->id, from, PAGE, error);
                if (!page)
                        return NULL;
                got = page->len;
                if (got > 0)
                        from = ((const Build *) g_ptr_array_index(page, got - 1))->id + 1;
                g_ptr_array_extend_and_steal(all, g_steal_pointer(&page));
        }
        return g_steal_pointer(&all);
}

/* Builds without a log are only rows, and have an end too. */
static bool forget_builds(const JanitorSpec *spec, const Job *job, GError **error) {
        int64_t deleted;

        do
                if (!build_forget_reaped(spec->store, job->id, &spec->history, PAGE, &deleted,
                                         error))
                        return false;
        while (deleted >= PAGE);
        return true;
}

static bool reap_job(const JanitorSpec *spec, const Job *job, GError **error) {
        g_autoptr(Value) config = job_config(spec->store, job->id, error);
        if (!config)
                return false;
        const Retention retention = retention_of(spec, config);
        g_autoptr(GArray) ids = NULL;
        int64_t first;
        Time now = clock_steady();

        if (retention.builds == 0 && retention.days == 0)
                return true;
        g_autoptr(GPtrArray) builds = list_builds(spec, job, error);
        if (!builds)
                return false;
        retention_select(&retention, builds, now, &ids, &first);
        if (ids->len == 0)
                return true;
        if (!build_reap(spec->store, ids, now, error))
                return false;
        return (first <= job->first_logged_build_id ||
                job_set_first_logged_build(spec->store, job->id, first, error)) &&
               forget_builds(spec, job, error);
}

bool retention_run(const JanitorSpec *spec, GError **error) {
        const Visibility all = { .everything = true };
        g_autoptr(GPtrArray) jobs = job_list_visible(spec->store, &all, error);

        for (size_t i = 0; jobs && i < jobs->len; i++) {
                const Job *job = g_ptr_array_index(jobs, i);
                if (!job->paused && !job->pipeline_paused && !reap_job(spec, job, error))
                        return false;
        }
        return jobs != NULL;
}
