#include "store/job.h"

#include "store/internal.h"

void job_free(Job *job) {
        if (!job)
                return;
        g_free(job->name);
        g_free(job->pipeline_name);
        g_free(job->team_name);
        g_free(job->paused_by);
        value_free(job->instance_vars);
        g_clear_pointer(&job->groups, g_ptr_array_unref);
        g_free(job);
}

#define SELECT                                                                                     \
        "SELECT j.id, j.pipeline_id, p.team_id, j.name, p.name, t.name, p.instance_vars, "         \
        "j.active, j.paused, j.public, p.paused, p.public, p.archived, j.paused_by, j.paused_at, " \
        "j.max_in_flight, j.max_in_flight_reached, j.has_new_inputs, j.inputs_determined, "        \
        "j.interruptible, j.disable_manual_trigger, j.disable_reruns, j.pipeline_groups, "         \
        "j.first_logged_build_id, j.schedule_requested, j.last_scheduled, j.next_build_id, "       \
        "j.latest_completed_build_id, j.transition_build_id FROM jobs j JOIN pipelines p ON p.id " \
        "= j.pipeline_id JOIN teams t ON t.id = p.team_id "

static GPtrArray *text_list(DbRows *rows, int column) {
        GPtrArray *texts = g_ptr_array_new_with_free_func(g_free);
        g_autoptr(Value) list = row_json(rows, column);
        for (size_t i = 0; i < value_length(list); i++)
                g_ptr_array_add(texts, g_strdup(text_or_empty(value_text(value_at(list, i)))));
        return texts;
}

static void *row_job(Store *store, DbRows *rows, GError **error) {
        Job *job = g_new0(Job, 1);
        *job = (Job){
                .id = db_int(rows, 0),
                .pipeline_id = db_int(rows, 1),
                .team_id = db_int(rows, 2),
                .name = g_strdup(db_text(rows, 3)),
                .pipeline_name = g_strdup(db_text(rows, 4)),
                .team_name = g_strdup(db_text(rows, 5)),
                .instance_vars = row_json(rows, 6),
                .active = db_bool(rows, 7),
                .paused = db_bool(rows, 8),
                .public = db_bool(rows, 9),
                .pipeline_paused = db_bool(rows, 10),
                .pipeline_public = db_bool(rows, 11),
                .pipeline_archived = db_bool(rows, 12),
                .paused_by = g_strdup(db_text(rows, 13)),
                .paused_at = db_int(rows, 14),
                .max_in_flight = db_int(rows, 15),
                .max_in_flight_reached = db_bool(rows, 16),
                .has_new_inputs = db_bool(rows, 17),
                .inputs_determined = db_bool(rows, 18),
                .interruptible = db_bool(rows, 19),
                .disable_manual_trigger = db_bool(rows, 20),
                .disable_reruns = db_bool(rows, 21),
                .groups = text_list(rows, 22),
                .first_logged_build_id = db_int(rows, 23),
                .schedule_requested = db_int(rows, 24),
                .last_scheduled = db_int(rows, 25),
                .next_build_id = db_int(rows, 26),
                .latest_completed_build_id = db_int(rows, 27),
                .transition_build_id = db_int(rows, 28),
        };
        return job;
}

Job *job_find(Store *store, int64_t pipeline_id, const char *name, GError **error) {
        return store_one(store, row_job, "job",
                         SQL(SELECT "WHERE j.pipeline_id = $1 AND j.name = $2 AND j.active",
                             DB_INT(pipeline_id), DB_TEXT(name)),
                         error);
}

Job *job_get(Store *store, int64_t id, GError **error) {
        return store_one(store, row_job, "job", SQL(SELECT "WHERE j.id = $1", DB_INT(id)), error);
}

bool tx_job_get(DbTx *tx, Store *store, int64_t id, Job **ret, GError **error) {
        void *job;
        if (!tx_one(tx, store, row_job, &job, SQL(SELECT "WHERE j.id = $1", DB_INT(id)), error))
                return false;
        *ret = job;
        return true;
}

typedef struct {
        Store *store;
        int64_t id;
        Value *config;
} ConfigRead;

static bool config_in(DbTx *tx, void *data, GError **error) {
        ConfigRead *read = data;
        g_autoptr(Job) job = NULL;
        g_autoptr(Value) config = NULL;
        g_clear_pointer(&read->config, value_free);
        if (!tx_job_get(tx, read->store, read->id, &job, error) ||
            (job && !tx_pipeline_config(tx, read->store, job->pipeline_id, &config, error)))
                return false;
        if (job && job->active)
                read->config = config_member(config, "jobs", job->name);
        return true;
}

Value *job_config(Store *store, int64_t id, GError **error) {
        ConfigRead read = { .store = store, .id = id };
        if (!db_read(store->db, config_in, &read, error)) {
                value_free(read.config);
                return NULL;
        }
        if (!read.config)
                g_set_error(error, ERROR, ERROR_NOT_FOUND, "job not found");
        return read.config;
}

static bool job_visible(const Job *job, const Visibility *visibility) {
        if (!visibility || visibility->everything || job->pipeline_public)
                return true;
        for (size_t i = 0; i < visibility->team_count; i++)
                if (visibility->team_ids[i] == job->team_id)
                        return true;
        return false;
}

GPtrArray *job_list(Store *store, int64_t pipeline_id, GError **error) {
        return store_list(store, row_job, (GDestroyNotify) job_free,
                          SQL(SELECT "WHERE j.pipeline_id = $1 AND j.active ORDER BY j.id",
                              DB_INT(pipeline_id)),
                          error);
}

GPtrArray *job_list_visible(Store *store, const Visibility *visibility, GError **error) {
        g_autoptr(GPtrArray) jobs = store_list(store, row_job, (GDestroyNotify) job_free,
                                               SQL(SELECT "WHERE j.active ORDER BY j.id"), error);
        for (guint i = 0; jobs && i < jobs->len;)
                if (job_visible(jobs->pdata[i], visibility))
                        i++;
                else
                        g_ptr_array_remove_index(jobs, i);
        return g_steal_pointer(&jobs);
}

/* ---- what people do ---- */

bool job_pause(Store *store, int64_t id, const char *by, GError **error) {
        int64_t changed;
        return store_exec(store,
                          SQL("UPDATE jobs SET paused_by = CASE WHEN paused THEN paused_by ELSE $2 "
                              "END, paused_at = CASE WHEN paused THEN paused_at ELSE $3 END, "
                              "paused = TRUE WHERE id = $1",
                              DB_INT(id), DB_TEXT(by), DB_INT(clock_now())),
                          &changed, error) &&
               changed_or_not_found(changed, "job", error);
}

bool tx_request_schedule(DbTx *tx, const Statement *statement, GError **error) {
        g_autoptr(GArray) ids = g_array_new(false, false, sizeof(int64_t));
        if (!tx_ids(tx, ids, statement, error))
                return false;
        for (guint i = 0; i < ids->len; i++)
                tx_notify(tx, NOTIFY_JOB_SCHEDULE, g_array_index(ids, int64_t, i));
        return true;
}

static bool unpause_in(DbTx *tx, void *data, GError **error) {
        int64_t id = *(int64_t *) data, changed;
        return tx_exec(tx,
                       SQL("UPDATE jobs SET paused = FALSE, paused_by = NULL, paused_at = 0 WHERE "
                           "id = $1 AND paused",
                           DB_INT(id)),
                       &changed, error) &&
               (changed == 0 || tx_request_schedule(tx, SCHEDULE("id = $2", DB_INT(id)), error));
}

bool job_unpause(Store *store, int64_t id, GError **error) {
        return db_write(store->db, unpause_in, &id, error);
}

static bool request_in(DbTx *tx, void *data, GError **error) {
        return tx_request_schedule(tx, SCHEDULE("id = $2", DB_INT(*(int64_t *) data)), error);
}

bool job_request_schedule(Store *store, int64_t id, GError **error) {
        return db_write(store->db, request_in, &id, error);
}

/* ---- for the scheduler and the janitor ---- */

typedef struct {
        int64_t id, pipeline_id;
} Due;

static void *row_due(Store *store, DbRows *rows, GError **error) {
        Due due = { db_int(rows, 0), db_int(rows, 1) };
        return g_memdup2(&due, sizeof due);
}

GArray *job_list_due(Store *store, uint64_t buckets, GError **error) {
        g_autoptr(GPtrArray)
                all = store_list(store, row_due, g_free,
                                 SQL("SELECT id, pipeline_id FROM jobs WHERE active AND "
                                     "schedule_requested > last_scheduled ORDER BY id"),
                                 error);
        if (!all)
                return NULL;
        GArray *ids = g_array_new(false, false, sizeof(int64_t));
        for (guint i = 0; i < all->len; i++) {
                const Due *due = all->pdata[i];
                if (buckets & ((uint64_t) 1 << lease_bucket_of(due->pipeline_id)))
                        g_array_append_val(ids, due->id);
        }
        return ids;
}

bool job_set_scheduled(Store *store, int64_t id, Time requested, GError **error) {
        return store_exec(store,
                          SQL("UPDATE jobs SET last_scheduled = $2 WHERE id = $1 AND "
                              "last_scheduled < $2",
                              DB_INT(id), DB_INT(requested)),
                          NULL, error);
}

bool job_set_first_logged_build(Store *store, int64_t id, int64_t build_id, GError **error) {
        int64_t changed;
        if (!store_exec(store,
                        SQL("UPDATE jobs SET first_logged_build_id = $2 WHERE id = $1 AND "
                            "first_logged_build_id <= $2",
                            DB_INT(id), DB_INT(build_id)),
                        &changed, error))
                return false;
        if (changed == 0)
                g_set_error(error, ERROR, ERROR_INVALID,
                            "first logged build id of job %" G_GINT64_FORMAT
                            " would decrease to %" G_GINT64_FORMAT,
                            id, build_id);
        return changed != 0;
}
