#include "store/pipeline.h"

#include "config/instance_vars.h"
#include "store/internal.h"

#define ARCHIVER "automatic-pipeline-archiver"

void pipeline_free(Pipeline *pipeline) {
        if (!pipeline)
                return;
        g_free(pipeline->team_name);
        g_free(pipeline->name);
        g_free(pipeline->paused_by);
        value_free(pipeline->instance_vars);
        value_free(pipeline->groups);
        value_free(pipeline->display);
        value_free(pipeline->user_data);
        g_free(pipeline);
}

#define SELECT                                                                                      \
        "SELECT p.id, p.team_id, t.name, p.name, p.instance_vars, p.paused, p.public, p.archived, " \
        "p.paused_by, p.paused_at, p.version, p.ordering, p.secondary_ordering, p.parent_job_id, "  \
        "p.parent_build_id, p.last_updated, p.shown FROM pipelines p JOIN teams t ON t.id = "       \
        "p.team_id "

static Value *shown_member(const Value *shown, const char *key) {
        const Value *member = value_get(shown, key);
        return member ? value_ref(member) : NULL;
}

static void *row_pipeline(Store *store, DbRows *rows, GError **error) {
        Pipeline *pipeline = g_new0(Pipeline, 1);
        g_autoptr(Value) shown = db_json(rows, 16);
        *pipeline = (Pipeline){
                .id = db_int(rows, 0),
                .team_id = db_int(rows, 1),
                .team_name = g_strdup(db_text(rows, 2)),
                .name = g_strdup(db_text(rows, 3)),
                .instance_vars = row_json(rows, 4),
                .paused = db_bool(rows, 5),
                .public = db_bool(rows, 6),
                .archived = db_bool(rows, 7),
                .paused_by = g_strdup(db_text(rows, 8)),
                .paused_at = db_int(rows, 9),
                .version = db_int(rows, 10),
                .ordering = db_int(rows, 11),
                .secondary_ordering = db_int(rows, 12),
                .parent_job_id = db_int(rows, 13),
                .parent_build_id = db_int(rows, 14),
                .last_updated = db_int(rows, 15),
                .groups = shown_member(shown, "groups"),
                .display = shown_member(shown, "display"),
                .user_data = shown_member(shown, "user_data"),
        };
        return pipeline;
}

Pipeline *pipeline_find(Store *store, int64_t team_id, const char *name, const Value *instance_vars,
                        GError **error) {
        g_autofree char *vars = json_canonical(instance_vars);
        return store_one(store, row_pipeline, "pipeline",
                         SQL(SELECT "WHERE p.team_id = $1 AND p.name = $2 AND p.instance_vars = $3",
                             DB_INT(team_id), DB_TEXT(name), DB_TEXT(vars)),
                         error);
}

Pipeline *pipeline_get(Store *store, int64_t id, GError **error) {
        return store_one(store, row_pipeline, "pipeline", SQL(SELECT "WHERE p.id = $1", DB_INT(id)),
                         error);
}

static bool is_own(const Pipeline *pipeline, const Visibility *visibility) {
        for (size_t i = 0; i < visibility->team_count; i++)
                if (visibility->team_ids[i] == pipeline->team_id)
                        return true;
        return false;
}

GPtrArray *pipeline_list(Store *store, int64_t team_id, const Visibility *visibility,
                         GError **error) {
        g_autoptr(GPtrArray) all = store_list(
                store, row_pipeline, (GDestroyNotify) pipeline_free,
                SQL(SELECT "WHERE p.team_id = $1 OR $1 = 0 ORDER BY t.name, p.ordering, "
                           "p.secondary_ordering, p.id",
                    DB_INT(team_id)),
                error);
        if (!all || !visibility || visibility->everything)
                return g_steal_pointer(&all);

        /* Own teams' first, then what other teams show to everybody (01 §11.2). */
        g_autoptr(GPtrArray) seen = g_ptr_array_new_with_free_func((GDestroyNotify) pipeline_free);
        for (int own = 1; own >= 0; own--)
                for (guint i = 0; i < all->len; i++) {
                        Pipeline *pipeline = all->pdata[i];
                        if (!pipeline || is_own(pipeline, visibility) != own)
                                continue;
                        if (own || pipeline->public) {
                                g_ptr_array_add(seen, pipeline);
                                all->pdata[i] = NULL;
                        }
                }
        return g_steal_pointer(&seen);
}

GPtrArray *pipeline_list_instances(Store *store, int64_t team_id, const char *name,
                                   GError **error) {
        return store_list(store, row_pipeline, (GDestroyNotify) pipeline_free,
                          SQL(SELECT "WHERE p.team_id = $1 AND p.name = $2 ORDER BY "
                                     "p.secondary_ordering, p.id",
                              DB_INT(team_id), DB_TEXT(name)),
                          error);
}

/* ---- what people do ---- */

typedef struct {
        int64_t id;
        const char *by;
        Time now;
        int64_t count;
} Change;

bool pipeline_pause(Store *store, int64_t id, const char *by, GError **error) {
        int64_t changed;
        return store_exec(store,
                          SQL("UPDATE pipelines SET paused_by = CASE WHEN paused THEN paused_by "
                              "ELSE $2 END, paused_at = CASE WHEN paused THEN paused_at ELSE $3 "
                              "END, paused = TRUE WHERE id = $1",
                              DB_INT(id), DB_TEXT(by), DB_INT(clock_now())),
                          &changed, error) &&
               changed_or_not_found(changed, "pipeline", error);
}

static bool unpause_in(DbTx *tx, void *data, GError **error) {
        Change *change = data;
        if (!tx_exec(tx,
                     SQL("UPDATE pipelines SET paused = FALSE, paused_by = NULL, paused_at = 0 "
                         "WHERE id = $1",
                         DB_INT(change->id)),
                     &change->count, error) ||
            !changed_or_not_found(change->count, "pipeline", error) ||
            !tx_request_schedule(tx, SCHEDULE("pipeline_id = $2", DB_INT(change->id)), error))
                return false;
        tx_notify(tx, NOTIFY_RESOURCES, change->id);
        return true;
}

bool pipeline_unpause(Store *store, int64_t id, GError **error) {
        return db_write(store->db, unpause_in, &(Change){ .id = id }, error);
}

bool pipeline_set_public(Store *store, int64_t id, bool public, GError **error) {
        int64_t changed;
        return store_exec(store,
                          SQL("UPDATE pipelines SET public = $2 WHERE id = $1", DB_INT(id),
                              DB_BOOL(public)),
                          &changed, error) &&
               changed_or_not_found(changed, "pipeline", error);
}

bool tx_pipeline_archive(DbTx *tx, int64_t id, Time now, GError **error) {
        int64_t changed;
        if (!tx_exec(tx,
                     SQL("UPDATE pipelines SET archived = TRUE, paused = TRUE, paused_by = $2, "
                         "paused_at = $3, last_updated = $3, version = 0, config = NULL, "
                         "config_nonce = NULL WHERE id = $1",
                         DB_INT(id), DB_TEXT(ARCHIVER), DB_INT(now)),
                     &changed, error) ||
            !changed_or_not_found(changed, "pipeline", error) ||
            /* Its pending builds end as aborted. */
            !tx_request_schedule(tx,
                                 SCHEDULE("pipeline_id = $2 AND EXISTS (SELECT 1 FROM builds b "
                                          "WHERE b.job_id = jobs.id AND NOT b.completed AND "
                                          "b.status = 'pending')",
                                          DB_INT(id)),
                                 error))
                return false;
        tx_notify(tx, NOTIFY_RESOURCES, id);
        return true;
}

static bool archive_in(DbTx *tx, void *data, GError **error) {
        Change *change = data;
        return tx_pipeline_archive(tx, change->id, change->now, error);
}

bool pipeline_archive(Store *store, int64_t id, GError **error) {
        return db_write(store->db, archive_in, &(Change){ .id = id, .now = clock_now() }, error);
}

bool tx_bury_logs(DbTx *tx, const Statement *statement, GError **error) {
        return tx_exec(tx, statement, NULL, error);
}

static bool delete_in(DbTx *tx, void *data, GError **error) {
        Change *change = data;
        if (!tx_bury_logs(tx,
                          SQL("INSERT INTO dead_logs (build_id) SELECT id FROM builds WHERE "
                              "pipeline_id = $1 ON CONFLICT (build_id) DO NOTHING",
                              DB_INT(change->id)),
                          error) ||
            !tx_exec(tx, SQL("DELETE FROM pipelines WHERE id = $1", DB_INT(change->id)),
                     &change->count, error))
                return false;
        tx_notify(tx, NOTIFY_RESOURCES, change->id);
        return changed_or_not_found(change->count, "pipeline", error);
}

bool pipeline_delete(Store *store, int64_t id, GError **error) {
        return db_write(store->db, delete_in, &(Change){ .id = id }, error) &&
               logs_sweep_dead(store, error);
}

bool pipeline_rename(Store *store, int64_t team_id, const char *from, const char *to,
                     GError **error) {
        int64_t changed;
        return store_exec(store,
                          SQL("UPDATE pipelines SET name = $3 WHERE team_id = $1 AND name = $2",
                              DB_INT(team_id), DB_TEXT(from), DB_TEXT(to)),
                          &changed, error) &&
               changed_or_not_found(changed, "pipeline", error);
}

typedef struct {
        int64_t team_id;
        const GPtrArray *names;
        const char *name;
        const Value *instances;
} Ordering;

static bool order_in(DbTx *tx, void *data, GError **error) {
        Ordering *ordering = data;
        for (guint i = 0; i < ordering->names->len; i++) {
                int64_t changed;
                if (!tx_exec(tx,
                             SQL("UPDATE pipelines SET ordering = $3 WHERE team_id = $1 AND name = "
                                 "$2",
                                 DB_INT(ordering->team_id), DB_TEXT(ordering->names->pdata[i]),
                                 DB_INT(i)),
                             &changed, error))
                        return false;
                if (changed == 0) {
                        g_set_error(error, ERROR, ERROR_NOT_FOUND, "pipeline '%s' not found",
                                    (char *) ordering->names->pdata[i]);
                        return false;
                }
        }
        return true;
}

bool pipeline_order(Store *store, int64_t team_id, const GPtrArray *names, GError **error) {
        return db_write(store->db, order_in, &(Ordering){ .team_id = team_id, .names = names },
                        error);
}

/* "grp/branch:x,…" as upstream names an instance in errors; "grp" for null. */
static char *instance_title(const char *name, const Value *vars) {
        /* [quirk] an empty map that was sent as such shows. */
        return value_is(vars, VALUE_MAP) && value_length(vars) == 0
                       ? g_strconcat(name, "/", NULL)
                       : pipeline_reference_format(name, vars);
}

static bool order_instances_in(DbTx *tx, void *data, GError **error) {
        Ordering *ordering = data;
        for (size_t i = 0; i < value_length(ordering->instances); i++) {
                const Value *instance = value_at(ordering->instances, i);
                g_autofree char *vars = json_canonical(instance);
                int64_t changed;
                if (!tx_exec(tx,
                             SQL("UPDATE pipelines SET secondary_ordering = $4 WHERE team_id = $1 "
                                 "AND name = $2 AND instance_vars = $3",
                                 DB_INT(ordering->team_id), DB_TEXT(ordering->name), DB_TEXT(vars),
                                 DB_INT(i + 1)),
                             &changed, error))
                        return false;
                if (changed == 0) {
                        g_autofree char *title = instance_title(ordering->name, instance);
                        g_set_error(error, ERROR, ERROR_NOT_FOUND, "pipeline '%s' not found",
                                    title);
                        return false;
                }
        }
        return true;
}

bool pipeline_order_within_group(Store *store, int64_t team_id, const char *name,
                                 const Value *instances, GError **error) {
        Ordering ordering = { .team_id = team_id, .name = name, .instances = instances };
        return db_write(store->db, order_instances_in, &ordering, error);
}

/* ---- automatic archiving (05 §5.4) ---- */

static bool archive_ids(DbTx *tx, const GArray *ids, Time now, GError **error) {
        for (guint i = 0; i < ids->len; i++)
                if (!tx_pipeline_archive(tx, g_array_index(ids, int64_t, i), now, error))
                        return false;
        return true;
}

bool tx_archive_children(DbTx *tx, int64_t job_id, int64_t build_id, Time now, GError **error) {
        g_autoptr(GArray) ids = g_array_new(false, false, sizeof(int64_t));
        /* Children set by an older build of the job, and what the jobs of those have set. */
        return tx_ids(tx, ids,
                      SQL("WITH RECURSIVE gone (id) AS (SELECT id FROM pipelines WHERE "
                          "parent_job_id = $1 AND parent_build_id < $2 AND NOT archived UNION "
                          "SELECT p.id FROM pipelines p JOIN jobs j ON j.id = p.parent_job_id JOIN "
                          "gone ON gone.id = j.pipeline_id WHERE NOT p.archived) SELECT id FROM "
                          "gone",
                          DB_INT(job_id), DB_INT(build_id)),
                      error) &&
               archive_ids(tx, ids, now, error);
}

static bool abandoned_in(DbTx *tx, void *data, GError **error) {
        Change *change = data;
        g_autoptr(GArray) ids = g_array_new(false, false, sizeof(int64_t));
        if (!tx_ids(tx, ids,
                    SQL("SELECT p.id FROM pipelines p LEFT JOIN jobs j ON j.id = p.parent_job_id "
                        "LEFT JOIN pipelines q ON q.id = j.pipeline_id LEFT JOIN builds b ON b.id "
                        "= j.latest_completed_build_id WHERE NOT p.archived AND p.parent_job_id IS "
                        "NOT NULL AND (j.id IS NULL OR NOT j.active OR q.archived OR "
                        "(p.parent_build_id < b.id AND b.status = 'succeeded'))"),
                    error) ||
            !archive_ids(tx, ids, change->now, error))
                return false;
        change->count = ids->len;
        return true;
}

bool pipeline_archive_abandoned(Store *store, int64_t *ret, GError **error) {
        Change change = { .now = clock_now() };
        if (!db_write(store->db, abandoned_in, &change, error))
                return false;
        *ret = change.count;
        return true;
}

bool pipeline_pause_unused(Store *store, Time before, int64_t *ret, GError **error) {
        return store_exec(store,
                          SQL("UPDATE pipelines SET paused = TRUE, paused_by = "
                              "'automatic-pipeline-pauser', paused_at = $1 WHERE NOT paused AND "
                              "last_updated < $2 AND NOT EXISTS (SELECT 1 FROM jobs j LEFT JOIN "
                              "builds b ON b.id = j.latest_completed_build_id WHERE j.pipeline_id "
                              "= pipelines.id AND j.active AND (j.next_build_id IS NOT NULL OR "
                              "b.ended > $2))",
                              DB_INT(clock_now()), DB_INT(before)),
                          ret, error);
}
