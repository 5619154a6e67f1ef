#include "store/build.h"

#include "store/internal.h"

static const char *const status_names[] = {
        [BUILD_PENDING] = "pending", [BUILD_STARTED] = "started", [BUILD_SUCCEEDED] = "succeeded",
        [BUILD_FAILED] = "failed",   [BUILD_ERRORED] = "errored", [BUILD_ABORTED] = "aborted",
};

const char *build_status_name(BuildStatus status) {
        return status_names[status];
}

bool build_status_parse(const char *name, BuildStatus *ret) {
        for (size_t i = 0; i < G_N_ELEMENTS(status_names); i++)
                if (name && g_str_equal(status_names[i], name)) {
                        *ret = (BuildStatus) i;
                        return true;
                }
        return false;
}

void build_free(Build *build) {
        if (!build)
                return;
        g_free(build->name);
        g_free(build->team_name);
        g_free(build->pipeline_name);
        g_free(build->job_name);
        g_free(build->resource_name);
        g_free(build->created_by);
        g_free(build->comment);
        g_free(build->rerun_of_name);
        value_free(build->instance_vars);
        g_free(build);
}

#define SELECT "SELECT " BUILD_COLUMNS " FROM " BUILD_TABLES " "

void *row_build(Store *store, DbRows *rows, GError **error) {
        Build *build = g_new0(Build, 1);
        *build = (Build){
                .id = db_int(rows, 0),
                .name = g_strdup(db_text(rows, 1)),
                .team_id = db_int(rows, 2),
                .team_name = g_strdup(db_text(rows, 3)),
                .pipeline_id = db_int(rows, 4),
                .pipeline_name = g_strdup(db_text(rows, 5)),
                .instance_vars = row_json(rows, 6),
                .job_id = db_int(rows, 7),
                .job_name = g_strdup(db_text(rows, 8)),
                .resource_id = db_int(rows, 9),
                .resource_name = g_strdup(db_text(rows, 10)),
                .resource_type_id = db_int(rows, 11),
                .completed = db_bool(rows, 13),
                .scheduled = db_bool(rows, 14),
                .inputs_ready = db_bool(rows, 15),
                .aborted = db_bool(rows, 16),
                .manual = db_bool(rows, 17),
                .interceptible = db_bool(rows, 18),
                .drained = db_bool(rows, 19),
                .created_by = g_strdup(db_text(rows, 20)),
                .comment = g_strdup(db_text(rows, 21)),
                .rerun_of = db_int(rows, 22),
                .rerun_number = db_int(rows, 23),
                .rerun_of_name = g_strdup(db_text(rows, 24)),
                .created = db_int(rows, 25),
                .start = db_int(rows, 26),
                .end = db_int(rows, 27),
                .reap = db_int(rows, 28),
                .has_plan = db_bool(rows, 29),
                .job_public = db_bool(rows, 30),
                .pipeline_public = db_bool(rows, 31),
                .job_interruptible = db_bool(rows, 32),
        };
        bool known = build_status_parse(db_text(rows, 12), &build->status);
        g_assert(known);
        return build;
}

/* ---- one ---- */

Build *build_get(Store *store, int64_t id, GError **error) {
        Build *memory = memory_build_get(store, id);
        return memory ? memory
                      : store_one(store, row_build, "build",
                                  SQL(SELECT "WHERE b.id = $1", DB_INT(id)), error);
}

Build *build_find(Store *store, int64_t job_id, const char *name, GError **error) {
        const Statement *statement = g_str_equal(name, "latest")
                                             ? SQL(SELECT
                                                   "WHERE b.job_id = $1 ORDER BY b.id DESC LIMIT 1",
                                                   DB_INT(job_id))
                                             : SQL(SELECT "WHERE b.job_id = $1 AND b.name = $2",
                                                   DB_INT(job_id), DB_TEXT(name));
        return store_one(store, row_build, "build", statement, error);
}

static void *row_public_plan(Store *store, DbRows *rows, GError **error) {
        return db_json(rows, 0);
}

Value *build_public_plan(Store *store, int64_t id, GError **error) {
        Value *plan = memory_build_plan(store, id);
        if (!plan)
                plan = store_one(store, row_public_plan, "build plan",
                                 SQL("SELECT public_plan FROM builds WHERE id = $1 AND public_plan "
                                     "IS NOT NULL",
                                     DB_INT(id)),
                                 error);
        if (!plan)
                return NULL;
        Value *envelope = value_map();
        value_map_set_string(envelope, "schema", "exec.v2");
        value_map_set(envelope, "plan", plan);
        return envelope;
}

static void *row_plan(Store *store, DbRows *rows, GError **error) {
        return unseal_json(store, db_text(rows, 0), db_text(rows, 1), error);
}

Value *build_plan(Store *store, int64_t id, GError **error) {
        return store_one(store, row_plan, "build plan",
                         SQL("SELECT plan, plan_nonce FROM builds WHERE id = $1 AND plan IS NOT "
                             "NULL",
                             DB_INT(id)),
                         error);
}

GPtrArray *build_list_by_id(Store *store, const GArray *ids, GError **error) {
        g_autoptr(GPtrArray) builds = g_ptr_array_new_with_free_func((GDestroyNotify) build_free);
        for (guint i = 0; i < ids->len; i++) {
                g_autoptr(GError) local = NULL;
                Build *build = build_get(store, g_array_index(ids, int64_t, i), &local);
                if (build)
                        g_ptr_array_add(builds, build);
                else if (!error_is(local, ERROR_NOT_FOUND)) {
                        g_propagate_error(error, g_steal_pointer(&local));
                        return NULL;
                }
        }
        return g_steal_pointer(&builds);
}

/* ---- inputs and outputs ---- */

void build_version_free(BuildVersion *version) {
        if (!version)
                return;
        g_free(version->name);
        g_free(version->resource_name);
        g_free(version->digest);
        value_free(version->version);
        g_free(version);
}

static void *row_build_version(Store *store, DbRows *rows, GError **error) {
        BuildVersion *version = g_new0(BuildVersion, 1);
        *version = (BuildVersion){
                .name = g_strdup(db_text(rows, 0)),
                .resource_id = db_int(rows, 1),
                .resource_name = g_strdup(db_text(rows, 2)),
                .digest = g_strdup(db_text(rows, 3)),
                .version_id = db_int(rows, 4),
                .version = row_json(rows, 5),
                .first_occurrence = db_bool(rows, 6),
        };
        return version;
}

bool build_versions(Store *store, int64_t id, bool presented, GPtrArray **ret_inputs,
                    GPtrArray **ret_outputs, GError **error) {
        GDestroyNotify item_free = (GDestroyNotify) build_version_free;
        g_autoptr(GPtrArray) inputs = NULL, outputs = NULL;
        if (ret_inputs &&
            !(inputs = store_list(
                      store, row_build_version, item_free,
                      SQL("SELECT i.name, i.resource_id, r.name, i.digest, v.id, v.version, "
                          "i.first_occurrence FROM build_inputs i JOIN resources r ON r.id = "
                          "i.resource_id LEFT JOIN versions v ON v.scope_id = r.resource_scope_id "
                          "AND v.digest = i.digest WHERE i.build_id = $1 AND NOT ($2 AND EXISTS "
                          "(SELECT 1 FROM build_outputs o WHERE o.build_id = i.build_id AND "
                          "o.resource_id = i.resource_id AND o.digest = i.digest)) AND NOT "
                          "($2 AND v.id IS NULL) ORDER BY i.name, i.id",
                          DB_INT(id), DB_BOOL(presented)),
                      error)))
                return false;
        if (ret_outputs &&
            !(outputs = store_list(
                      store, row_build_version, item_free,
                      SQL("SELECT o.name, o.resource_id, r.name, o.digest, v.id, v.version, FALSE "
                          "FROM build_outputs o JOIN resources r ON r.id = o.resource_id LEFT JOIN "
                          "versions v ON v.scope_id = r.resource_scope_id AND v.digest = o.digest "
                          "WHERE o.build_id = $1 AND NOT ($2 AND v.id IS NULL) ORDER BY o.name, "
                          "o.id",
                          DB_INT(id), DB_BOOL(presented)),
                      error)))
                return false;
        if (ret_inputs)
                *ret_inputs = g_steal_pointer(&inputs);
        if (ret_outputs)
                *ret_outputs = g_steal_pointer(&outputs);
        return true;
}

/* ---- comment, retention ---- */

bool build_set_comment(Store *store, int64_t id, const char *comment, GError **error) {
        int64_t changed;
        return store_exec(store,
                          SQL("UPDATE builds SET comment = $2 WHERE id = $1", DB_INT(id),
                              DB_TEXT(comment)),
                          &changed, error) &&
               changed_or_not_found(changed, "build", error);
}

bool build_mark_not_interceptible(Store *store, Time one_off_before, Time failed_before,
                                  int64_t *ret_marked, GError **error) {
        return store_exec(
                store,
                SQL("UPDATE builds SET interceptible = FALSE WHERE completed AND interceptible AND "
                    "(job_id IS NOT NULL OR ended < $1) AND (status = 'succeeded' OR job_id IS "
                    "NULL OR NOT EXISTS (SELECT 1 FROM jobs j WHERE j.latest_completed_build_id = "
                    "builds.id) OR ($2 > 0 AND ended < $2))",
                    DB_INT(one_off_before), DB_INT(failed_before)),
                ret_marked, error);
}

GPtrArray *build_list_completed(Store *store, int64_t job_id, int64_t from, size_t limit,
                                GError **error) {
        return store_list(store, row_build, (GDestroyNotify) build_free,
                          SQL(SELECT "WHERE b.job_id = $1 AND b.id >= $2 AND b.reaped = 0 ORDER BY "
                                     "b.id LIMIT $3",
                              DB_INT(job_id), DB_INT(from), DB_INT(limit)),
                          error);
}

typedef struct {
        const GArray *ids;
        Time now;
        size_t limit;
        int64_t deleted;
} Reap;

static bool reap_in(DbTx *tx, void *data, GError **error) {
        Reap *reap = data;
        for (guint i = 0; i < reap->ids->len; i++) {
                DbArg id = DB_INT(g_array_index(reap->ids, int64_t, i));
                if (!tx_exec(tx,
                             SQL("UPDATE builds SET reaped = $2 WHERE id = $1 AND completed", id,
                                 DB_INT(reap->now)),
                             NULL, error) ||
                    !tx_bury_logs(tx,
                                  SQL("INSERT INTO dead_logs (build_id) SELECT id FROM builds "
                                      "WHERE id = $1 AND completed ON CONFLICT (build_id) DO "
                                      "NOTHING",
                                      id),
                                  error))
                        return false;
        }
        return true;
}

bool build_reap(Store *store, const GArray *ids, Time now, GError **error) {
        return db_write(store->db, reap_in, &(Reap){ .ids = ids, .now = now }, error) &&
               logs_sweep_dead(store, error);
}

static bool delete_checks_in(DbTx *tx, void *data, GError **error) {
        Reap *reap = data;
        g_autoptr(GArray) ids = g_array_new(false, false, sizeof(int64_t));
        /* Superseded by a newer check of the same resource or type. */
        if (!tx_ids(tx, ids,
                    SQL("SELECT b.id FROM builds b WHERE b.completed AND (b.resource_id IS NOT "
                        "NULL OR b.resource_type_id IS NOT NULL) AND NOT EXISTS (SELECT 1 FROM "
                        "resource_scopes s WHERE s.last_check_build_id = b.id) AND EXISTS (SELECT "
                        "1 FROM builds n WHERE n.id > b.id AND (n.resource_id = b.resource_id OR "
                        "n.resource_type_id = b.resource_type_id)) ORDER BY b.id LIMIT $1",
                        DB_INT(reap->limit)),
                    error))
                return false;
        for (guint i = 0; i < ids->len; i++) {
                DbArg id = DB_INT(g_array_index(ids, int64_t, i));
                if (!tx_bury_logs(tx,
                                  SQL("INSERT INTO dead_logs (build_id) VALUES ($1) ON CONFLICT "
                                      "(build_id) DO NOTHING",
                                      id),
                                  error) ||
                    !tx_exec(tx, SQL("DELETE FROM builds WHERE id = $1", id), NULL, error))
                        return false;
        }
        reap->deleted = ids->len;
        return true;
}

bool build_delete_old_checks(Store *store, size_t limit, int64_t *ret_deleted, GError **error) {
        Reap reap = { .limit = limit };
        if (!db_write(store->db, delete_checks_in, &reap, error))
                return false;
        *ret_deleted = reap.deleted;
        return reap.deleted == 0 || logs_sweep_dead(store, error);
}
