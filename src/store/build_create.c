/* How builds come to be: for a job, or started at once. */
#include "base/fault.h"
#include "store/internal.h"

#define PLAN_COLUMNS "plan, plan_nonce, public_plan"

typedef struct {
        Store *store;
        const BuildForJob *job;
        const BuildStarted *started;
        bool only;
        const char *plan, *nonce, *public_plan;
        Time now;
        int64_t id;
        bool changed;
} Create;

static bool next_build_number(DbTx *tx, int64_t job_id, char **ret_name, GError **error) {
        int64_t number;
        if (!tx_int(tx, 0, &number,
                    SQL("UPDATE jobs SET build_number = build_number + 1 WHERE id = $1 RETURNING "
                        "build_number",
                        DB_INT(job_id)),
                    error) ||
            !changed_or_not_found(number, "job", error))
                return false;
        *ret_name = g_strdup_printf("%" G_GINT64_FORMAT, number);
        return true;
}

bool tx_build_create(DbTx *tx, int64_t job_id, bool manual, const char *created_by, int64_t *ret_id,
                     GError **error) {
        g_autofree char *name = NULL;
        return next_build_number(tx, job_id, &name, error) &&
               tx_counter(tx, "build", 1, ret_id, error) &&
               tx_exec(tx,
                       SQL("INSERT INTO builds (id, sort_id, name, team_id, pipeline_id, job_id, "
                           "status, manual, created_by, created) SELECT $1, $1, $2, p.team_id, "
                           "p.id, j.id, 'pending', $3, $4, $5 FROM jobs j JOIN pipelines p ON p.id "
                           "= j.pipeline_id WHERE j.id = $6",
                           DB_INT(*ret_id), DB_TEXT(name), DB_BOOL(manual), DB_TEXT(created_by),
                           DB_INT(clock_steady()), DB_INT(job_id)),
                       NULL, error) &&
               tx_update_job_pointers(tx, job_id, 0, error);
}

/* A rerun stands beside its original: `<original's name>.<n>`. */
static bool create_rerun(DbTx *tx, Create *create, GError **error) {
        int64_t original, ready, number;
        if (!tx_int(tx, 0, &original,
                    SQL("SELECT COALESCE(rerun_of, id) FROM builds WHERE id = $1 AND job_id = $2",
                        DB_INT(create->job->rerun_of), DB_INT(create->job->job_id)),
                    error) ||
            !changed_or_not_found(original, "build", error) ||
            !tx_int(tx, 0, &ready,
                    SQL("SELECT count(*) FROM builds WHERE id = $1 AND inputs_ready",
                        DB_INT(original)),
                    error) ||
            !tx_int(tx, 0, &number,
                    SQL("SELECT COALESCE(max(rerun_number), 0) + 1 FROM builds WHERE rerun_of = $1",
                        DB_INT(original)),
                    error))
                return false;
        if (!ready) {
                g_set_error(error, ERROR, ERROR_DENIED, "inputs not ready");
                return false;
        }
        char suffix[24];
        g_snprintf(suffix, sizeof suffix, ".%" G_GINT64_FORMAT, number);
        return tx_counter(tx, "build", 1, &create->id, error) &&
               tx_exec(tx,
                       SQL("INSERT INTO builds (id, sort_id, name, team_id, pipeline_id, job_id, "
                           "status, created_by, created, rerun_of, rerun_number) SELECT $1, id, "
                           "name || $2, team_id, pipeline_id, job_id, 'pending', $3, $4, id, $5 "
                           "FROM builds WHERE id = $6",
                           DB_INT(create->id), DB_TEXT(suffix), DB_TEXT(create->job->created_by),
                           DB_INT(create->now), DB_INT(number), DB_INT(original)),
                       NULL, error) &&
               tx_update_job_pointers(tx, create->job->job_id, 0, error);
}

static bool create_for_job_in(DbTx *tx, void *data, GError **error) {
        Create *create = data;
        const BuildForJob *job = create->job;
        return (job->rerun_of ? create_rerun(tx, create, error)
                              : tx_build_create(tx, job->job_id, job->manual, job->created_by,
                                                &create->id, error)) &&
               tx_request_schedule(tx, SCHEDULE("id = $2", DB_INT(job->job_id)), error);
}

Build *build_create_for_job(Store *store, const BuildForJob *spec, GError **error) {
        Create create = { .store = store, .job = spec, .now = clock_steady() };
        return db_write(store->db, create_for_job_in, &create, error)
                       ? build_get(store, create.id, error)
                       : NULL;
}

/* ---- started at once ---- */

static bool none_runs(DbTx *tx, const BuildStarted *spec, GError **error) {
        int64_t running;
        if (!tx_int(tx, 0, &running,
                    SQL("SELECT count(*) FROM builds WHERE NOT completed AND ((resource_id = $1 "
                        "AND $1 <> 0) OR (resource_type_id = $2 AND $2 <> 0))",
                        DB_INT(spec->resource_id), DB_INT(spec->resource_type_id)),
                    error))
                return false;
        if (running)
                g_set_error(error, ERROR, ERROR_EXISTS, "a check is running already");
        return !running;
}

static bool create_started_in(DbTx *tx, void *data, GError **error) {
        Create *create = data;
        const BuildStarted *spec = create->started;
        bool is_check = spec->resource_id || spec->resource_type_id;
        int64_t number = 0;
        if ((create->only && !none_runs(tx, spec, error)) ||
            (!is_check && !tx_counter(tx, "one_off", 1, &number, error)) ||
            !tx_counter(tx, "build", 1, &create->id, error))
                return false;
        char name[24];
        g_snprintf(name, sizeof name, "%" G_GINT64_FORMAT, number);
        if (!tx_exec(
                    tx,
                    SQL("INSERT INTO builds (id, sort_id, name, team_id, pipeline_id, "
                        "resource_id, resource_type_id, status, manual, created, started, " PLAN_COLUMNS
                        ") VALUES ($1, $1, $2, $3, $4, $5, $6, 'started', $7, $8, "
                        "$8, $9, $10, $11)",
                        DB_INT(create->id), DB_TEXT(is_check ? "check" : name),
                        DB_INT(spec->team_id), DB_INT_OR_NULL(spec->pipeline_id),
                        DB_INT_OR_NULL(spec->resource_id), DB_INT_OR_NULL(spec->resource_type_id),
                        DB_BOOL(is_check), DB_INT(create->now), DB_TEXT(create->plan),
                        DB_TEXT(create->nonce), DB_TEXT(create->public_plan)),
                    NULL, error))
                return false;
        tx_notify(tx, NOTIFY_BUILD_STARTED, create->id);
        return true;
}

Build *build_create_started(Store *store, const BuildStarted *spec, bool only, GError **error) {
        g_autofree char *plan = NULL, *nonce = NULL;
        g_autofree char *public_plan = json_write(spec->public_plan, JSON_COMPACT, NULL);
        if (!seal_json(store, spec->plan, &plan, &nonce, error))
                return NULL;
        Create create = {
                .store = store,
                .started = spec,
                .only = only,
                .plan = plan,
                .nonce = nonce,
                .public_plan = public_plan,
                .now = clock_steady(),
        };
        return db_write(store->db, create_started_in, &create, error)
                       ? build_get(store, create.id, error)
                       : NULL;
}

/* ---- pending → started ---- */

typedef struct {
        const BuildStart *start;
        const char *plan, *nonce, *public_plan;
        Time now;
        BuildStartResult result;
} Start;

static bool start_in(DbTx *tx, void *data, GError **error) {
        Start *start = data;
        int64_t job_id, changed, pending;
        if (!tx_exec(tx,
                     SQL("UPDATE builds SET status = 'started', started = $2, plan = $3, "
                         "plan_nonce = $4, public_plan = $5 WHERE id = $1 AND status = 'pending' "
                         "AND NOT aborted",
                         DB_INT(start->start->id), DB_INT(start->now), DB_TEXT(start->plan),
                         DB_TEXT(start->nonce), DB_TEXT(start->public_plan)),
                     &changed, error) ||
            !tx_int(tx, 0, &pending,
                    SQL("SELECT count(*) FROM builds WHERE id = $1 AND status = 'pending'",
                        DB_INT(start->start->id)),
                    error))
                return false;
        start->result = changed   ? BUILD_START_DONE
                        : pending ? BUILD_START_ABORTED
                                  : BUILD_START_TAKEN;
        if (!changed)
                return true;
        if (!tx_int(tx, 0, &job_id,
                    SQL("SELECT job_id FROM builds WHERE id = $1", DB_INT(start->start->id)),
                    error) ||
            (job_id && !tx_update_job_pointers(tx, job_id, 0, error)))
                return false;
        tx_notify(tx, NOTIFY_BUILD_STARTED, start->start->id);
        tx_notify(tx, NOTIFY_BUILD_EVENTS, start->start->id);
        return true;
}

bool build_start(Store *store, const BuildStart *spec, BuildStartResult *ret, GError **error) {
        g_autofree char *plan = NULL, *nonce = NULL;
        g_autofree char *public_plan = json_write(spec->public_plan, JSON_COMPACT, NULL);
        if (!seal_json(store, spec->plan, &plan, &nonce, error))
                return false;
        Start start = { .start = spec,
                        .plan = plan,
                        .nonce = nonce,
                        .public_plan = public_plan,
                        .now = clock_now() };
        if (!db_write(store->db, start_in, &start, error))
                return false;
        fault_here("build-started");
        *ret = start.result;
        return true;
}
