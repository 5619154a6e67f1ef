#include "store/forget.h"

#include "store/internal.h"

#define SWEPT "versions_swept" /* of counters: versions up to this id were looked at */

typedef struct {
        HistoryKeep keep;
        int64_t limit, deleted;
        int64_t job_id;
} Forget;

static bool delete_all(DbTx *tx, const GArray *ids, const char *sql, GError **error) {
        for (guint i = 0; i < ids->len; i++)
                if (!tx_exec(tx, SQL(sql, DB_INT(g_array_index(ids, int64_t, i))), NULL, error))
                        return false;
        return true;
}

/* A row of an id and a version. */
typedef struct {
        int64_t id;
        Value *version;
} Versioned;

static void versioned_free(void *data) {
        Versioned *row = data;
        value_free(row->version);
        g_free(row);
}

static void *row_versioned(Store *store, DbRows *rows, GError **error) {
        Versioned *row = g_new0(Versioned, 1);
        row->id = db_int(rows, 0);
        row->version = db_json(rows, 1);
        return row;
}

/* ---- what is pinned ---- */

/* Pins are rows of (resource, version or a part of one). */

static void *row_value(Store *store, DbRows *rows, GError **error) {
        return db_json(rows, 0);
}

static void free_value(void *value) {
        value_free(value);
}

/* Of jobs that get what `job_id` has passed. */
static bool list_job_pins(DbTx *tx, int64_t job_id, GPtrArray *into, GError **error) {
        return tx_list(tx, NULL, row_versioned, into,
                       SQL("SELECT i.resource_id, n.version FROM job_inputs i JOIN resource_pins n "
                           "ON n.resource_id = i.resource_id WHERE i.passed_job_id = $1 UNION "
                           "SELECT resource_id, version FROM job_inputs WHERE passed_job_id = $1 "
                           "AND substr(version, 1, 1) = '{'",
                           DB_INT(job_id)),
                       error);
}

static bool list_scope_pins(DbTx *tx, int64_t scope_id, GPtrArray *into, GError **error) {
        return tx_list(tx, NULL, row_versioned, into,
                       SQL("SELECT n.resource_id, n.version FROM resource_pins n JOIN resources r "
                           "ON r.id = n.resource_id WHERE r.resource_scope_id = $1 UNION SELECT "
                           "i.resource_id, i.version FROM job_inputs i JOIN resources r ON r.id = "
                           "i.resource_id WHERE r.resource_scope_id = $1 AND substr(i.version, 1, "
                           "1) = '{'",
                           DB_INT(scope_id)),
                       error);
}

static bool build_has_pinned(DbTx *tx, int64_t build_id, const GPtrArray *pins, bool *ret,
                             GError **error) {
        *ret = false;
        for (guint i = 0; i < pins->len && !*ret; i++) {
                const Versioned *pin = pins->pdata[i];
                g_autoptr(GPtrArray) versions = g_ptr_array_new_with_free_func(free_value);
                if (!tx_list(tx, NULL, row_value, versions,
                             SQL("SELECT v.version FROM (SELECT resource_id, digest FROM "
                                 "build_inputs WHERE build_id = $1 UNION SELECT resource_id, "
                                 "digest FROM build_outputs WHERE build_id = $1) u JOIN resources "
                                 "r ON r.id = u.resource_id JOIN versions v ON v.scope_id = "
                                 "r.resource_scope_id AND v.digest = u.digest WHERE r.id = $2",
                                 DB_INT(build_id), DB_INT(pin->id)),
                             error))
                        return false;
                for (guint k = 0; k < versions->len; k++)
                        *ret |= version_contains(versions->pdata[k], pin->version);
        }
        return true;
}

static bool drop_pinned_builds(DbTx *tx, int64_t job_id, GArray *ids, GError **error) {
        g_autoptr(GPtrArray) pins = g_ptr_array_new_with_free_func(versioned_free);
        if (!list_job_pins(tx, job_id, pins, error))
                return false;
        for (guint i = 0; pins->len > 0 && i < ids->len;) {
                bool pinned;
                if (!build_has_pinned(tx, g_array_index(ids, int64_t, i), pins, &pinned, error))
                        return false;
                if (pinned)
                        g_array_remove_index(ids, i);
                else
                        i++;
        }
        return true;
}

/* ---- versions ---- */

#define USED_IN(table)                                                                             \
        "EXISTS (SELECT 1 FROM resources r JOIN " table " u ON u.resource_id = r.id AND u.digest " \
        "= v.digest WHERE r.resource_scope_id = v.scope_id)"

static bool list_old(DbTx *tx, const Forget *forget, int64_t scope_id, GPtrArray *into,
                     GError **error) {
        int64_t listed;
        return tx_int(tx, 0, &listed,
                      SQL("SELECT listed FROM resource_scopes WHERE id = $1", DB_INT(scope_id)),
                      error) &&
               tx_list(tx, NULL, row_versioned, into,
                       SQL("SELECT v.id, v.version FROM versions v WHERE v.scope_id = $1 AND "
                           "v.check_order < COALESCE((SELECT check_order FROM versions WHERE "
                           "scope_id = $1 ORDER BY check_order DESC LIMIT 1 OFFSET $2), 0) AND "
                           "NOT " USED_IN("build_inputs") " AND NOT " USED_IN("build_outputs") " AND NOT " USED_IN(
                                   "next_inputs") " ORDER BY v.check_order LIMIT $3",
                           DB_INT(scope_id), DB_INT(MAX(forget->keep.versions, listed) - 1),
                           DB_INT(forget->limit - forget->deleted)),
                       error);
}

static bool is_pinned(const GPtrArray *pins, const Value *version) {
        for (guint i = 0; i < pins->len; i++)
                if (version_contains(version, ((const Versioned *) pins->pdata[i])->version))
                        return true;
        return false;
}

static bool forget_versions_of(DbTx *tx, Forget *forget, int64_t scope_id, GError **error) {
        g_autoptr(GPtrArray) olds = g_ptr_array_new_with_free_func(versioned_free);
        g_autoptr(GPtrArray) pins = g_ptr_array_new_with_free_func(versioned_free);
        g_autoptr(GArray) ids = g_array_new(false, false, sizeof(int64_t));
        if (!list_old(tx, forget, scope_id, olds, error) ||
            !list_scope_pins(tx, scope_id, pins, error))
                return false;
        for (guint i = 0; i < olds->len; i++) {
                const Versioned *old = olds->pdata[i];
                if (!is_pinned(pins, old->version))
                        g_array_append_val(ids, old->id);
        }
        forget->deleted += ids->len;
        return delete_all(tx, ids, "DELETE FROM versions WHERE id = $1", error);
}

static bool forget_versions_in(DbTx *tx, void *data, GError **error) {
        Forget *forget = data;
        g_autoptr(GArray) scopes = g_array_new(false, false, sizeof(int64_t));
        int64_t newest;
        forget->deleted = 0;
        if (!tx_int(tx, 0, &newest, SQL("SELECT COALESCE(max(id), 0) FROM versions"), error) ||
            !tx_ids(tx, scopes,
                    SQL("SELECT DISTINCT scope_id FROM versions WHERE id > (SELECT value FROM "
                        "counters WHERE name = $1)",
                        DB_TEXT(SWEPT)),
                    error))
                return false;
        for (guint i = 0; i < scopes->len && forget->deleted < forget->limit; i++)
                if (!forget_versions_of(tx, forget, g_array_index(scopes, int64_t, i), error))
                        return false;
        return scopes->len == 0 || forget->deleted >= forget->limit ||
               tx_exec(tx,
                       SQL("UPDATE counters SET value = $2 WHERE name = $1 AND value < $2",
                           DB_TEXT(SWEPT), DB_INT(newest)),
                       NULL, error);
}

bool version_forget_old(Store *store, const HistoryKeep *keep, size_t limit, int64_t *ret_deleted,
                        GError **error) {
        Forget forget = { .keep = *keep, .limit = (int64_t) limit };
        *ret_deleted = 0;
        if (keep->versions > 0 && !db_write(store->db, forget_versions_in, &forget, error))
                return false;
        *ret_deleted = forget.deleted;
        return true;
}

/* ---- builds ---- */

/* The histories of what the build took in and put out. */
static bool add_scopes(DbTx *tx, int64_t build_id, GArray *into, GError **error) {
        return tx_ids(tx, into,
                      SQL("SELECT r.resource_scope_id FROM build_inputs u JOIN resources r ON r.id "
                          "= u.resource_id WHERE u.build_id = $1 AND r.resource_scope_id IS NOT "
                          "NULL UNION SELECT r.resource_scope_id FROM build_outputs u JOIN "
                          "resources r ON r.id = u.resource_id WHERE u.build_id = $1 AND "
                          "r.resource_scope_id IS NOT NULL",
                          DB_INT(build_id)),
                      error);
}

static bool forget_versions_of_all(DbTx *tx, const Forget *forget, const GArray *scopes,
                                   GError **error) {
        g_autoptr(GHashTable) seen = g_hash_table_new(g_int64_hash, g_int64_equal);
        for (guint i = 0; i < scopes->len; i++) {
                int64_t *scope_id = &g_array_index(scopes, int64_t, i);
                Forget versions = { .keep = forget->keep, .limit = forget->limit };
                if (g_hash_table_add(seen, scope_id) &&
                    !forget_versions_of(tx, &versions, *scope_id, error))
                        return false;
        }
        return true;
}

/* And the versions that only they had used. */
static bool delete_builds(DbTx *tx, const Forget *forget, const GArray *ids, GError **error) {
        g_autoptr(GArray) scopes = g_array_new(false, false, sizeof(int64_t));
        for (guint i = 0; forget->keep.versions > 0 && i < ids->len; i++)
                if (!add_scopes(tx, g_array_index(ids, int64_t, i), scopes, error))
                        return false;
        return delete_all(tx, ids, "DELETE FROM builds WHERE id = $1", error) &&
               forget_versions_of_all(tx, forget, scopes, error);
}

static bool forget_reaped_in(DbTx *tx, void *data, GError **error) {
        Forget *forget = data;
        g_autoptr(GArray) ids = g_array_new(false, false, sizeof(int64_t));
        if (!tx_ids(tx, ids,
                    SQL("SELECT b.id FROM builds b WHERE b.job_id = $1 AND b.reaped > 0 AND "
                        "b.sort_id < COALESCE((SELECT o.sort_id FROM builds o WHERE o.job_id = $1 "
                        "AND o.reaped > 0 ORDER BY o.sort_id DESC, o.id DESC LIMIT 1 OFFSET $2), "
                        "0) AND (b.status <> 'succeeded' OR b.sort_id < COALESCE((SELECT "
                        "o.sort_id FROM builds o WHERE o.job_id = $1 AND o.status = 'succeeded' "
                        "ORDER BY o.sort_id DESC, o.id DESC LIMIT 1 OFFSET $2), 0)) AND NOT "
                        "EXISTS (SELECT 1 FROM jobs j WHERE j.id = $1 AND (j.next_build_id = b.id "
                        "OR j.latest_completed_build_id = b.id OR j.transition_build_id = b.id)) "
                        "AND NOT EXISTS (SELECT 1 FROM builds o WHERE o.rerun_of = b.id) AND NOT "
                        "EXISTS (SELECT 1 FROM build_pipes p WHERE p.from_build_id = b.id) AND "
                        "NOT EXISTS (SELECT 1 FROM next_pipes p WHERE p.from_build_id = b.id) "
                        "ORDER BY b.sort_id, b.id LIMIT $3",
                        DB_INT(forget->job_id), DB_INT(forget->keep.builds - 1),
                        DB_INT(forget->limit)),
                    error) ||
            !drop_pinned_builds(tx, forget->job_id, ids, error) ||
            !delete_builds(tx, forget, ids, error))
                return false;
        forget->deleted = ids->len;
        return true;
}

bool build_forget_reaped(Store *store, int64_t job_id, const HistoryKeep *keep, size_t limit,
                         int64_t *ret_deleted, GError **error) {
        Forget forget = { .keep = *keep, .limit = (int64_t) limit, .job_id = job_id };
        *ret_deleted = 0;
        if (keep->builds > 0 && !db_write(store->db, forget_reaped_in, &forget, error))
                return false;
        *ret_deleted = forget.deleted;
        return true;
}

#define ONE_OFF "job_id IS NULL AND resource_id IS NULL AND resource_type_id IS NULL"

static bool forget_one_offs_of(DbTx *tx, Forget *forget, int64_t team_id, GError **error) {
        g_autoptr(GArray) ids = g_array_new(false, false, sizeof(int64_t));
        if (!tx_ids(tx, ids,
                    SQL("SELECT id FROM builds WHERE team_id = $1 AND " ONE_OFF " AND completed "
                        "AND id < COALESCE((SELECT id FROM builds WHERE team_id = $1 AND " ONE_OFF
                        " ORDER BY id DESC LIMIT 1 OFFSET $2), 0) ORDER BY id LIMIT $3",
                        DB_INT(team_id), DB_INT(forget->keep.builds - 1),
                        DB_INT(forget->limit - forget->deleted)),
                    error))
                return false;
        for (guint i = 0; i < ids->len; i++)
                if (!tx_bury_logs(tx,
                                  SQL("INSERT INTO dead_logs (build_id) VALUES ($1) ON CONFLICT "
                                      "(build_id) DO NOTHING",
                                      DB_INT(g_array_index(ids, int64_t, i))),
                                  error))
                        return false;
        forget->deleted += ids->len;
        return delete_all(tx, ids, "DELETE FROM builds WHERE id = $1", error);
}

static bool forget_one_offs_in(DbTx *tx, void *data, GError **error) {
        Forget *forget = data;
        g_autoptr(GArray) teams = g_array_new(false, false, sizeof(int64_t));
        forget->deleted = 0;
        if (!tx_ids(tx, teams,
                    SQL("SELECT team_id FROM builds WHERE " ONE_OFF " GROUP BY team_id HAVING "
                        "count(*) > $1",
                        DB_INT(forget->keep.builds)),
                    error))
                return false;
        for (guint i = 0; i < teams->len && forget->deleted < forget->limit; i++)
                if (!forget_one_offs_of(tx, forget, g_array_index(teams, int64_t, i), error))
                        return false;
        return true;
}

bool build_forget_one_offs(Store *store, const HistoryKeep *keep, size_t limit,
                           int64_t *ret_deleted, GError **error) {
        Forget forget = { .keep = *keep, .limit = (int64_t) limit };
        *ret_deleted = 0;
        if (keep->builds > 0 && !db_write(store->db, forget_one_offs_in, &forget, error))
                return false;
        *ret_deleted = forget.deleted;
        return forget.deleted == 0 || logs_sweep_dead(store, error);
}
