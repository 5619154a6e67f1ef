/* How builds end: outputs, final state, abort (05 §1.4, §3.2; 04 §9). */
#include "base/fault.h"
#include "store/internal.h"

/* ---- a job's pointers (05 §1.4) ---- */

typedef struct {
        int64_t latest, next;
        char *status; /* of the latest */
} Pointers;

static void *row_latest(Store *store, DbRows *rows, GError **error) {
        Pointers *pointers = g_new0(Pointers, 1);
        pointers->latest = db_int(rows, 0);
        pointers->status = g_strdup(db_text(rows, 1));
        return pointers;
}

static void pointers_free(Pointers *pointers) {
        if (!pointers)
                return;
        g_free(pointers->status);
        g_free(pointers);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Pointers, pointers_free)

/* The newest completed build that is no rerun, or the newest completed rerun of it. */
static bool find_latest(DbTx *tx, int64_t job_id, Pointers **ret, GError **error) {
        void *found;
        if (!tx_one(tx, NULL, row_latest, &found,
                    SQL("SELECT b.id, b.status FROM builds b WHERE b.job_id = $1 AND b.completed "
                        "AND b.sort_id = (SELECT max(o.sort_id) FROM builds o WHERE o.job_id = $1 "
                        "AND o.completed AND o.rerun_of IS NULL) ORDER BY b.id DESC LIMIT 1",
                        DB_INT(job_id)),
                    error))
                return false;
        *ret = found;
        return true;
}

/* A finished build makes the transition when its status differs from the latest one's before it. */
static bool update_transition(DbTx *tx, int64_t job_id, int64_t build_id, GError **error) {
        return tx_exec(
                tx,
                SQL("UPDATE jobs SET transition_build_id = $2 WHERE id = $1 AND EXISTS (SELECT 1 "
                    "FROM builds b WHERE b.id = $2 AND (jobs.latest_completed_build_id IS NULL OR "
                    "(b.rerun_of IS NULL AND b.id > jobs.latest_completed_build_id) OR b.rerun_of "
                    "= jobs.latest_completed_build_id) AND NOT EXISTS (SELECT 1 FROM builds l "
                    "WHERE l.id = jobs.latest_completed_build_id AND l.status = b.status))",
                    DB_INT(job_id), DB_INT(build_id)),
                NULL, error);
}

bool tx_update_job_pointers(DbTx *tx, int64_t job_id, int64_t finished_build_id, GError **error) {
        g_autoptr(Pointers) latest = NULL;
        int64_t original = 0, next;
        if ((finished_build_id && !update_transition(tx, job_id, finished_build_id, error)) ||
            !find_latest(tx, job_id, &latest, error) ||
            (latest &&
             !tx_int(tx, 0, &original,
                     SQL("SELECT sort_id FROM builds WHERE id = $1", DB_INT(latest->latest)),
                     error)) ||
            !tx_int(tx, 0, &next,
                    SQL("SELECT id FROM builds WHERE job_id = $1 AND NOT completed AND (rerun_of "
                        "IS NULL OR rerun_of = $2) ORDER BY id LIMIT 1",
                        DB_INT(job_id), DB_INT(original)),
                    error))
                return false;
        int64_t latest_id = latest ? latest->latest : 0;
        return tx_exec(tx,
                       SQL("UPDATE jobs SET next_build_id = $2, latest_completed_build_id = $3 "
                           "WHERE id = $1",
                           DB_INT(job_id), DB_INT_OR_NULL(next), DB_INT_OR_NULL(latest_id)),
                       NULL, error);
}

/* ---- the output of a put ---- */

static bool save_output_in(DbTx *tx, void *data, GError **error) {
        const BuildOutput *output = data;
        bool is_new;
        int64_t version_id;
        g_autofree char *digest = version_digest(output->version, error);
        return digest && tx_lease_check(tx, output->id, output->epoch, error) &&
               tx_version_save(tx, output->scope_id, output->version, output->metadata, &is_new,
                               &version_id, error) &&
               tx_resource_set_scope(tx, output->resource_id, output->config_id, output->scope_id,
                                     error) &&
               tx_exec(tx,
                       SQL("INSERT INTO build_outputs (build_id, name, resource_id, digest) VALUES "
                           "($1, $2, $3, $4) ON CONFLICT (build_id, resource_id, digest, name) DO "
                           "NOTHING",
                           DB_INT(output->id), DB_TEXT(output->name), DB_INT(output->resource_id),
                           DB_TEXT(digest)),
                       NULL, error);
}

bool build_save_output(Store *store, const BuildOutput *output, GError **error) {
        if (!output->resource_id) {
                g_set_error(error, ERROR, ERROR_INVALID, "an output needs a resource");
                return false;
        }
        return db_write(store->db, save_output_in, (void *) output, error);
}

/* ---- the end ---- */

typedef struct {
        int64_t job_id, pipeline_id, sort_id;
        bool completed, started;
} Ending;

static bool read_ending(DbTx *tx, int64_t build_id, Ending *ret, GError **error) {
        g_autoptr(DbRows) rows = db_query(
                tx, error,
                "SELECT job_id, pipeline_id, sort_id, completed, status FROM builds WHERE id = $1",
                DB_INT(build_id));
        if (!rows)
                return false;
        if (!db_next(rows)) {
                if (db_done(rows, error))
                        changed_or_not_found(0, "build", error);
                return false;
        }
        *ret = (Ending){ db_int(rows, 0), db_int(rows, 1), db_int(rows, 2), db_bool(rows, 3),
                         g_strcmp0(db_text(rows, 4), "started") == 0 };
        return true;
}

/* A succeeded build's images replace those of older builds of the job. */
static bool end_of_job_build(DbTx *tx, const FinishCommit *commit, const Ending *ending,
                             GError **error) {
        bool succeeded = commit->status == BUILD_SUCCEEDED;
        return (!succeeded ||
                (tx_exec(tx,
                         SQL("DELETE FROM build_image_caches WHERE job_id = $1 AND build_id < $2",
                             DB_INT(ending->job_id), DB_INT(commit->build_id)),
                         NULL, error) &&
                 tx_archive_children(tx, ending->job_id, commit->build_id, commit->now, error))) &&
               tx_update_job_pointers(tx, ending->job_id, commit->build_id, error) &&
               /* Downstream jobs; the serial group (itself included) may start its next one. */
               tx_request_schedule(
                       tx,
                       SCHEDULE("id IN (SELECT job_id FROM job_inputs WHERE passed_job_id = $2) OR "
                                "id IN (SELECT b.job_id FROM builds b JOIN jobs j ON j.id = "
                                "b.job_id WHERE NOT b.completed AND b.status = 'pending' AND "
                                "j.pipeline_id = $3)",
                                DB_INT(ending->job_id), DB_INT(ending->pipeline_id)),
                       error);
}

static bool finish_in(DbTx *tx, void *data, GError **error) {
        const FinishCommit *commit = data;
        Ending ending;
        if (!read_ending(tx, commit->build_id, &ending, error))
                return false;
        if (ending.completed)
                return true; /* one final state: the first (G2) */
        if ((commit->epoch >= 0 && !tx_lease_check(tx, commit->build_id, commit->epoch, error)) ||
            !tx_exec(tx,
                     SQL("UPDATE builds SET status = $2, completed = TRUE, ended = $3, plan = "
                         "NULL, plan_nonce = NULL WHERE id = $1",
                         DB_INT(commit->build_id), DB_TEXT(build_status_name(commit->status)),
                         DB_INT(commit->now)),
                     NULL, error) ||
            !tx_exec(tx,
                     SQL("DELETE FROM build_leases WHERE build_id = $1", DB_INT(commit->build_id)),
                     NULL, error) ||
            !tx_exec(tx,
                     SQL("DELETE FROM build_steps WHERE build_id = $1", DB_INT(commit->build_id)),
                     NULL, error) ||
            (ending.job_id && !end_of_job_build(tx, commit, &ending, error)))
                return false;
        tx_notify(tx, NOTIFY_BUILD_EVENTS, commit->build_id);
        tx_notify(tx, NOTIFY_BUILD_FINISHED, commit->build_id);
        return true;
}

bool build_finish_commit(Store *store, const FinishCommit *commit, GError **error) {
        return db_write(store->db, finish_in, (void *) commit, error);
}

static bool completed_in(DbTx *tx, void *data, GError **error) {
        int64_t *id = data;
        return tx_int(tx, -1, id,
                      SQL("SELECT CASE WHEN completed THEN 1 ELSE 0 END FROM builds WHERE id = $1",
                          DB_INT(*id)),
                      error);
}

/* *ret: 1 completed, 0 not, -1 there is no such build. */
static bool is_completed(Store *store, int64_t id, int64_t *ret, GError **error) {
        *ret = id;
        return db_read(store->db, completed_in, ret, error);
}

/* From now on nobody starts it: an end in the log of a build that runs would be believed. */
static bool claim_in(DbTx *tx, void *data, GError **error) {
        const BuildFinish *finish = data;
        int64_t changed;
        if (!tx_exec(tx,
                     SQL("UPDATE builds SET aborted = TRUE WHERE id = $1 AND status = 'pending'",
                         DB_INT(finish->id)),
                     &changed, error))
                return false;
        if (!changed)
                g_set_error(error, ERROR, ERROR_STALE,
                            "build %" G_GINT64_FORMAT " has been started", finish->id);
        return changed;
}

bool build_finish(Store *store, const BuildFinish *finish, GError **error) {
        g_assert(finish->status >= BUILD_SUCCEEDED);
        int64_t completed;
        if (!is_completed(store, finish->id, &completed, error))
                return false;
        if (completed == 1)
                return true;
        if (finish->epoch == 0 && !db_write(store->db, claim_in, (void *) finish, error))
                return false;

        /* First the log, on the disk: after a crash it decides (design §4). */
        BuildLease lease = { finish->id, finish->epoch };
        BuildStatus status = finish->status;
        Time now = finish->now ? finish->now : clock_now();
        if (!log_end(store, &lease, &status, &now, error))
                return false;
        if (fault_here("build-log-ended")) {
                g_set_error(error, ERROR, ERROR_INTERNAL, "ended as the fault point said");
                return false;
        }

        FinishCommit commit = { finish->id, finish->epoch, status, now };
        if (!build_finish_commit(store, &commit, error))
                return false;
        fault_here("build-finished");
        log_close(store, finish->id);
        return true;
}

/* ---- abort ---- */

typedef struct {
        int64_t id;
        bool force;
        int64_t epoch;
        bool completed;
} Abort;

static bool abort_in(DbTx *tx, void *data, GError **error) {
        Abort *abort = data;
        Ending ending;
        if (!read_ending(tx, abort->id, &ending, error))
                return false;
        abort->completed = ending.completed;
        abort->epoch = 0;
        if (!tx_exec(tx, SQL("UPDATE builds SET aborted = TRUE WHERE id = $1", DB_INT(abort->id)),
                     NULL, error))
                return false;
        if (ending.completed)
                return true;
        tx_notify(tx, NOTIFY_BUILD_ABORT, abort->id);
        if (!ending.started && ending.job_id &&
            !tx_request_schedule(tx, SCHEDULE("id = $2", DB_INT(ending.job_id)), error))
                return false;
        /* By force: the lease is taken from whoever has it. */
        return !abort->force || !ending.started ||
               tx_int(tx, 0, &abort->epoch,
                      SQL("INSERT INTO build_leases (build_id, epoch, node, expires) VALUES ($1, "
                          "1, '', 0) ON CONFLICT (build_id) DO UPDATE SET epoch = "
                          "build_leases.epoch + 1, node = '', expires = 0 RETURNING epoch",
                          DB_INT(abort->id)),
                      error);
}

bool build_abort(Store *store, int64_t id, bool force, GError **error) {
        Abort abort = { .id = id, .force = force };
        if (!db_write(store->db, abort_in, &abort, error))
                return false;
        if (!force || abort.completed)
                return true;
        if (abort.epoch)
                logs_fence(store, id, abort.epoch);
        return build_finish(
                store, &(BuildFinish){ .id = id, .epoch = abort.epoch, .status = BUILD_ABORTED },
                error);
}
