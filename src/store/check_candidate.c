/* Which resources the checker looks at (05 §2.2). */
#include "store/internal.h"

void check_candidate_free(CheckCandidate *candidate) {
        if (!candidate)
                return;
        g_free(candidate->name);
        g_free(candidate->type);
        value_free(candidate->config);
        value_free(candidate->pinned_version);
        g_free(candidate);
}

#define SELECT                                                                                     \
        "SELECT r.id, r.pipeline_id, p.team_id, r.resource_scope_id, r.name, r.type, n.version, "  \
        "EXISTS (SELECT 1 FROM job_inputs i JOIN jobs j ON j.id = i.job_id WHERE i.resource_id = " \
        "r.id AND i.passed_job_id IS NULL AND i.triggers AND j.active), "                          \
        "EXISTS (SELECT 1 FROM job_inputs i JOIN jobs j ON j.id = i.job_id WHERE i.resource_id = " \
        "r.id AND i.passed_job_id IS NULL AND j.active), "                                         \
        "EXISTS (SELECT 1 FROM versions v WHERE v.scope_id = r.resource_scope_id) "                \
        "FROM resources r JOIN pipelines p ON p.id = r.pipeline_id LEFT JOIN resource_pins n ON "  \
        "n.resource_id = r.id WHERE r.active AND r.kind = 0 AND NOT p.paused AND NOT p.archived "

static void *row_candidate(Store *store, DbRows *rows, GError **error) {
        CheckCandidate *candidate = g_new0(CheckCandidate, 1);
        *candidate = (CheckCandidate){
                .id = db_int(rows, 0),
                .pipeline_id = db_int(rows, 1),
                .team_id = db_int(rows, 2),
                .scope_id = db_int(rows, 3),
                .name = g_strdup(db_text(rows, 4)),
                .type = g_strdup(db_text(rows, 5)),
                .pinned_version = row_json(rows, 6),
                .triggers = db_bool(rows, 7),
                .input = db_bool(rows, 8),
                .has_version = db_bool(rows, 9),
                .has_pinned = true,
        };
        return candidate;
}

typedef struct {
        Store *store;
        const Statement *statement;
        uint64_t buckets;
        GPtrArray *items;
} Listing;

/* Whether a version of the scope contains the pin: found by its digest, or by looking at all. */
static bool find_pinned(DbTx *tx, Store *store, CheckCandidate *candidate, GError **error) {
        if (!candidate->pinned_version)
                return true;
        int64_t count;
        g_autofree char *digest = json_digest(candidate->pinned_version);
        if (!tx_int(tx, 0, &count,
                    SQL("SELECT count(*) FROM versions WHERE scope_id = $1 AND digest = $2",
                        DB_INT(candidate->scope_id), DB_TEXT(digest)),
                    error))
                return false;
        candidate->has_pinned = count > 0;
        if (candidate->has_pinned)
                return true;
        g_autoptr(DbRows)
                rows = db_query(tx, error, "SELECT version FROM versions WHERE scope_id = $1",
                                DB_INT(candidate->scope_id));
        if (!rows)
                return false;
        while (!candidate->has_pinned && db_next(rows)) {
                g_autoptr(Value) version = db_json(rows, 0);
                candidate->has_pinned = version_contains(version, candidate->pinned_version);
        }
        return candidate->has_pinned || db_done(rows, error);
}

static bool listing_in(DbTx *tx, void *data, GError **error) {
        Listing *listing = data;
        if (!tx_list(tx, listing->store, row_candidate, listing->items, listing->statement, error))
                return false;
        g_autoptr(Value) config = NULL;
        int64_t pipeline_id = 0;
        for (guint i = 0; i < listing->items->len;) {
                CheckCandidate *candidate = listing->items->pdata[i];
                if (!(listing->buckets &
                      ((uint64_t) 1 << lease_bucket_of(candidate->pipeline_id)))) {
                        g_ptr_array_remove_index(listing->items, i);
                        continue;
                }
                if (candidate->pipeline_id != pipeline_id) {
                        g_clear_pointer(&config, value_free);
                        pipeline_id = candidate->pipeline_id;
                        if (!tx_pipeline_config(tx, listing->store, pipeline_id, &config, error))
                                return false;
                }
                candidate->config = config_member(config, "resources", candidate->name);
                if (!find_pinned(tx, listing->store, candidate, error))
                        return false;
                i++;
        }
        return true;
}

static GPtrArray *candidates(Store *store, uint64_t buckets, const Statement *statement,
                             GError **error) {
        g_autoptr(GPtrArray)
                items = g_ptr_array_new_with_free_func((GDestroyNotify) check_candidate_free);
        Listing listing = { store, statement, buckets, items };
        return db_read(store->db, listing_in, &listing, error) ? g_steal_pointer(&items) : NULL;
}

GPtrArray *check_candidate_list(Store *store, uint64_t buckets, GError **error) {
        return candidates(store, buckets, SQL(SELECT "ORDER BY r.id"), error);
}

CheckCandidate *check_candidate_get(Store *store, int64_t resource_id, GError **error) {
        g_autoptr(GPtrArray) items = candidates(
                store, UINT64_MAX, SQL(SELECT "AND r.id = $1", DB_INT(resource_id)), error);
        if (!items)
                return NULL;
        if (items->len == 0) {
                g_set_error(error, ERROR, ERROR_NOT_FOUND, "resource is not to be checked");
                return NULL;
        }
        return g_ptr_array_steal_index(items, 0);
}
