/* Versions of a scope: saved once, ordered as found (05 §2.6). */
#include "store/internal.h"

void version_free(Version *version) {
        if (!version)
                return;
        value_free(version->version);
        value_free(version->metadata);
        g_free(version);
}

char *version_digest(const Value *version, GError **error) {
        bool valid = value_is(version, VALUE_MAP);
        for (size_t i = 0; i < value_length(version) && valid; i++)
                valid = value_is(value_at(version, i), VALUE_STRING);
        if (!valid)
                g_set_error(error, ERROR, ERROR_INVALID, "a version must be a map of strings");
        else if (value_length(version) == 0)
                g_set_error(error, ERROR, ERROR_INVALID,
                            "resource output version is empty. Version must contain at least one "
                            "key-value pair");
        else
                return json_digest(version);
        return NULL;
}

#define COLUMNS "v.id, v.scope_id, v.version, v.metadata, v.check_order"

static void *row_version(Store *store, DbRows *rows, GError **error) {
        Version *version = g_new0(Version, 1);
        *version = (Version){
                .id = db_int(rows, 0),
                .scope_id = db_int(rows, 1),
                .version = db_json(rows, 2),
                .metadata = row_json(rows, 3),
                .check_order = db_int(rows, 4),
                .enabled = true,
        };
        return version;
}

/* With column 5: whether it is disabled for the resource asked about. */
static void *row_version_of(Store *store, DbRows *rows, GError **error) {
        Version *version = row_version(store, rows, error);
        version->enabled = !db_bool(rows, 5);
        return version;
}

/* ---- saving ---- */

static bool find_version(DbTx *tx, int64_t scope_id, const char *digest, int64_t *ret_id,
                         GError **error) {
        return tx_int(tx, 0, ret_id,
                      SQL("SELECT id FROM versions WHERE scope_id = $1 AND digest = $2",
                          DB_INT(scope_id), DB_TEXT(digest)),
                      error);
}

static bool highest_order(DbTx *tx, int64_t scope_id, int64_t *ret, GError **error) {
        return tx_int(tx, 0, ret,
                      SQL("SELECT COALESCE(max(check_order), 0) FROM versions WHERE scope_id = $1",
                          DB_INT(scope_id)),
                      error);
}

typedef struct {
        int64_t scope_id, check_order;
        const Value *version;
        const char *digest, *metadata;
} NewVersion;

static bool insert_version(DbTx *tx, const NewVersion *made, int64_t *ret_id, GError **error) {
        g_autofree char *text = json_write(made->version, JSON_SORTED, NULL);
        return tx_insert(tx, ret_id,
                         SQL("INSERT INTO versions (scope_id, digest, version, metadata, "
                             "check_order) VALUES ($1, $2, $3, $4, $5) RETURNING id",
                             DB_INT(made->scope_id), DB_TEXT(made->digest), DB_TEXT(text),
                             DB_TEXT(made->metadata), DB_INT(made->check_order)),
                         error);
}

bool tx_schedule_scope(DbTx *tx, int64_t scope_id, GError **error) {
        tx_notify(tx, NOTIFY_SCOPE, scope_id);
        return tx_request_schedule(tx,
                                   SCHEDULE("id IN (SELECT i.job_id FROM job_inputs i JOIN "
                                            "resources r ON r.id = i.resource_id WHERE "
                                            "r.resource_scope_id = $2 AND i.passed_job_id IS NULL)",
                                            DB_INT(scope_id)),
                                   error);
}

bool tx_version_save(DbTx *tx, int64_t scope_id, const Value *version, const Value *metadata,
                     bool *ret_new, int64_t *ret_id, GError **error) {
        g_autofree char *digest = version_digest(version, error);
        if (!digest)
                return false;
        g_autofree char *text = value_length(metadata) ? json_write(metadata, JSON_COMPACT, NULL)
                                                       : NULL;
        int64_t highest;
        if (!find_version(tx, scope_id, digest, ret_id, error))
                return false;
        *ret_new = *ret_id == 0;
        if (!*ret_new)
                return !text || tx_exec(tx,
                                        SQL("UPDATE versions SET metadata = $2 WHERE id = $1 AND "
                                            "metadata IS DISTINCT FROM $2",
                                            DB_INT(*ret_id), DB_TEXT(text)),
                                        NULL, error);
        if (!highest_order(tx, scope_id, &highest, error))
                return false;
        NewVersion made = { scope_id, highest + 1, version, digest, text };
        return insert_version(tx, &made, ret_id, error) && tx_schedule_scope(tx, scope_id, error);
}

typedef struct {
        Store *store;
        int64_t scope_id;
        const Value *versions;
        GPtrArray *digests;
        size_t found_new;
        const Value *version, *metadata;
        bool is_new;
        int64_t id;
} Save;

/* How many of the list are not there yet, a version twice in the list counted once. */
static bool count_new_in(DbTx *tx, void *data, GError **error) {
        Save *save = data;
        g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
        save->found_new = 0;
        for (guint i = 0; i < save->digests->len; i++) {
                int64_t id;
                if (!find_version(tx, save->scope_id, save->digests->pdata[i], &id, error))
                        return false;
                if (g_hash_table_add(seen, save->digests->pdata[i]) && id == 0)
                        save->found_new++;
        }
        return true;
}

/* All of the list on top, in its order: as upstream, old ones too (05 §2.6). */
static bool save_all_in(DbTx *tx, void *data, GError **error) {
        Save *save = data;
        int64_t order;
        if (!count_new_in(tx, save, error))
                return false;
        if (save->found_new == 0)
                return true; /* somebody else has saved them meanwhile */
        if (!highest_order(tx, save->scope_id, &order, error) ||
            !tx_exec(tx,
                     SQL("UPDATE resource_scopes SET listed = $2 WHERE id = $1 AND listed < $2",
                         DB_INT(save->scope_id), DB_INT(save->digests->len)),
                     NULL, error))
                return false;
        for (guint i = 0; i < save->digests->len; i++) {
                NewVersion made = { save->scope_id, ++order, value_at(save->versions, i),
                                    save->digests->pdata[i], NULL };
                int64_t id;
                if (!find_version(tx, save->scope_id, made.digest, &id, error) ||
                    !(id ? tx_exec(tx,
                                   SQL("UPDATE versions SET check_order = $2 WHERE id = $1",
                                       DB_INT(id), DB_INT(order)),
                                   NULL, error)
                         : insert_version(tx, &made, &id, error)))
                        return false;
        }
        return tx_schedule_scope(tx, save->scope_id, error);
}

bool version_save_all(Store *store, int64_t scope_id, const Value *versions, size_t *ret_new,
                      Version **ret_latest, GError **error) {
        g_autoptr(GPtrArray) digests = g_ptr_array_new_with_free_func(g_free);
        for (size_t i = 0; i < value_length(versions); i++) {
                char *digest = version_digest(value_at(versions, i), error);
                if (!digest)
                        return false;
                g_ptr_array_add(digests, digest);
        }
        Save save = {
                .store = store, .scope_id = scope_id, .versions = versions, .digests = digests
        };
        /* Compared before it is saved: what is known already costs no write. */
        if (!db_read(store->db, count_new_in, &save, error))
                return false;
        if (save.found_new > 0 && !db_write(store->db, save_all_in, &save, error))
                return false;
        if (ret_latest) {
                *ret_latest = NULL;
                if (digests->len > 0 &&
                    !(*ret_latest = store_one(store, row_version, "version",
                                              SQL("SELECT " COLUMNS " FROM versions v WHERE "
                                                  "v.scope_id = $1 AND v.digest = $2",
                                                  DB_INT(scope_id),
                                                  DB_TEXT(digests->pdata[digests->len - 1])),
                                              error)))
                        return false;
        }
        if (ret_new)
                *ret_new = save.found_new;
        return true;
}

static bool save_in(DbTx *tx, void *data, GError **error) {
        Save *save = data;
        return tx_version_save(tx, save->scope_id, save->version, save->metadata, &save->is_new,
                               &save->id, error);
}

bool version_save(Store *store, int64_t scope_id, const Value *version, const Value *metadata,
                  bool *ret_new, int64_t *ret_id, GError **error) {
        Save save = { .scope_id = scope_id, .version = version, .metadata = metadata };
        if (!db_write(store->db, save_in, &save, error))
                return false;
        if (ret_new)
                *ret_new = save.is_new;
        if (ret_id)
                *ret_id = save.id;
        return true;
}

bool version_set_metadata(Store *store, int64_t scope_id, const Value *version,
                          const Value *metadata, GError **error) {
        if (value_length(metadata) == 0)
                return true;
        g_autofree char *digest = version_digest(version, error);
        g_autofree char *text = json_write(metadata, JSON_COMPACT, NULL);
        return digest && store_exec(store,
                                    SQL("UPDATE versions SET metadata = $3 WHERE scope_id = $1 AND "
                                        "digest = $2 AND metadata IS DISTINCT FROM $3",
                                        DB_INT(scope_id), DB_TEXT(digest), DB_TEXT(text)),
                                    NULL, error);
}

/* ---- looking ---- */

Version *version_latest(Store *store, int64_t scope_id, GError **error) {
        g_autoptr(GPtrArray) versions = store_list(
                store, row_version, (GDestroyNotify) version_free,
                SQL("SELECT " COLUMNS " FROM versions v WHERE v.scope_id = $1 ORDER BY "
                    "v.check_order DESC LIMIT 1",
                    DB_INT(scope_id)),
                error);
        return versions && versions->len ? g_ptr_array_steal_index(versions, 0) : NULL;
}

Version *version_get(Store *store, int64_t id, GError **error) {
        return store_one(store, row_version, "version",
                         SQL("SELECT " COLUMNS " FROM versions v WHERE v.id = $1", DB_INT(id)),
                         error);
}

#define OF_RESOURCE                                                                                \
        "SELECT " COLUMNS ", EXISTS (SELECT 1 FROM disabled_versions d WHERE d.resource_id = "     \
        "r.id AND d.digest = v.digest) FROM resources r JOIN versions v ON v.scope_id = "          \
        "r.resource_scope_id WHERE r.id = $1 "

Version *version_find(Store *store, int64_t resource_id, const Value *version, GError **error) {
        g_autofree char *digest = version_digest(version, error);
        return digest ? store_one(store, row_version_of, "version",
                                  SQL(OF_RESOURCE "AND v.digest = $2", DB_INT(resource_id),
                                      DB_TEXT(digest)),
                                  error)
                      : NULL;
}

/* Drops from the list what lacks a member of the filter. */
static void filter_versions(GPtrArray *versions, const Value *filter, size_t limit) {
        for (guint i = 0; i < versions->len;) {
                const Version *version = versions->pdata[i];
                if (version_contains(version->version, filter))
                        i++;
                else
                        g_ptr_array_remove_index(versions, i);
        }
        if (versions->len > limit)
                g_ptr_array_set_size(versions, (int) limit);
}

typedef struct {
        int64_t resource_id, first_order, last_order;
        PageLinks links;
} LinkSearch;

static bool links_in(DbTx *tx, void *data, GError **error) {
        LinkSearch *search = data;
        return tx_int(tx, 0, &search->links.older,
                      SQL("SELECT v.id FROM resources r JOIN versions v ON v.scope_id = "
                          "r.resource_scope_id WHERE r.id = $1 AND v.check_order < $2 ORDER BY "
                          "v.check_order DESC LIMIT 1",
                          DB_INT(search->resource_id), DB_INT(search->last_order)),
                      error) &&
               tx_int(tx, 0, &search->links.newer,
                      SQL("SELECT v.id FROM resources r JOIN versions v ON v.scope_id = "
                          "r.resource_scope_id WHERE r.id = $1 AND v.check_order > $2 ORDER BY "
                          "v.check_order LIMIT 1",
                          DB_INT(search->resource_id), DB_INT(search->first_order)),
                      error);
}

/* Highest first; `from` takes the closest at or above, so it is read upward and turned round. */
static GPtrArray *query_page(Store *store, int64_t resource_id, const Page *page, int64_t rows,
                             GError **error) {
        DbArg resource = DB_INT(resource_id), limit = DB_INT(rows);
        GDestroyNotify item_free = (GDestroyNotify) version_free;
        if (page->has_from) {
                g_autoptr(GPtrArray) upward = store_list(
                        store, row_version_of, item_free,
                        SQL(OF_RESOURCE "AND v.check_order >= (SELECT w.check_order FROM versions "
                                        "w WHERE w.id = $2) ORDER BY v.check_order LIMIT $3",
                            resource, DB_INT(page->from), limit),
                        error);
                for (guint i = 0; upward && i < upward->len / 2; i++) {
                        void *swap = upward->pdata[i];
                        upward->pdata[i] = upward->pdata[upward->len - 1 - i];
                        upward->pdata[upward->len - 1 - i] = swap;
                }
                return g_steal_pointer(&upward);
        }
        if (page->has_to)
                return store_list(store, row_version_of, item_free,
                                  SQL(OF_RESOURCE "AND v.check_order <= (SELECT w.check_order FROM "
                                                  "versions w WHERE w.id = $2) ORDER BY "
                                                  "v.check_order DESC LIMIT $3",
                                      resource, DB_INT(page->to), limit),
                                  error);
        return store_list(store, row_version_of, item_free,
                          SQL(OF_RESOURCE "ORDER BY v.check_order DESC LIMIT $2", resource, limit),
                          error);
}

GPtrArray *version_list(Store *store, int64_t resource_id, const VersionQuery *query,
                        PageLinks *ret_links, GError **error) {
        size_t limit = query->page.limit ? query->page.limit : 100;
        bool filtered = value_length(query->filter) > 0;
        g_autoptr(GPtrArray) versions = query_page(
                store, resource_id, &query->page,
                filtered ? INT64_MAX : (int64_t) MIN(limit, INT32_MAX), error);
        if (!versions)
                return NULL;
        if (filtered)
                filter_versions(versions, query->filter, limit);
        if (ret_links) {
                LinkSearch search = { .resource_id = resource_id };
                if (versions->len > 0) {
                        search.first_order = ((Version *) versions->pdata[0])->check_order;
                        search.last_order = ((Version *) versions->pdata[versions->len - 1])
                                                    ->check_order;
                        if (!db_read(store->db, links_in, &search, error))
                                return NULL;
                }
                *ret_links = search.links;
        }
        return g_steal_pointer(&versions);
}

/* ---- enabling, clearing ---- */

typedef struct {
        int64_t resource_id, version_id;
        bool enabled;
} Enable;

static bool enable_in(DbTx *tx, void *data, GError **error) {
        Enable *enable = data;
        int64_t known, changed;
        DbArg resource = DB_INT(enable->resource_id), version = DB_INT(enable->version_id);
        if (!tx_int(tx, 0, &known,
                    SQL("SELECT v.id FROM resources r JOIN versions v ON v.scope_id = "
                        "r.resource_scope_id WHERE r.id = $1 AND v.id = $2",
                        resource, version),
                    error) ||
            !changed_or_not_found(known, "version", error) ||
            !tx_exec(tx,
                     enable->enabled
                             ? SQL("DELETE FROM disabled_versions WHERE resource_id = $1 AND "
                                   "digest = (SELECT digest FROM versions WHERE id = $2)",
                                   resource, version)
                             : SQL("INSERT INTO disabled_versions (resource_id, digest) SELECT "
                                   "r.id, v.digest FROM resources r, versions v WHERE r.id = $1 "
                                   "AND v.id = $2 ON CONFLICT (resource_id, digest) DO NOTHING",
                                   resource, version),
                     &changed, error))
                return false;
        if (changed == 0) {
                g_set_error(error, ERROR, ERROR_INVALID, "version is %s already",
                            enable->enabled ? "enabled" : "disabled");
                return false;
        }
        return tx_request_schedule(tx,
                                   SCHEDULE("id IN (SELECT job_id FROM job_inputs WHERE "
                                            "resource_id = $2)",
                                            resource),
                                   error);
}

bool version_set_enabled(Store *store, int64_t resource_id, int64_t version_id, bool enabled,
                         GError **error) {
        Enable enable = { resource_id, version_id, enabled };
        return db_write(store->db, enable_in, &enable, error);
}

bool version_clear(Store *store, int64_t scope_id, int64_t *ret_deleted, GError **error) {
        if (scope_id == 0) {
                g_set_error(error, ERROR, ERROR_NOT_FOUND, "scope not found");
                return false;
        }
        return store_exec(store, SQL("DELETE FROM versions WHERE scope_id = $1", DB_INT(scope_id)),
                          ret_deleted, error);
}

GArray *version_input_to(Store *store, int64_t resource_id, int64_t version_id, GError **error) {
        return store_ids(store,
                         SQL("SELECT DISTINCT i.build_id FROM build_inputs i JOIN versions v ON "
                             "v.digest = i.digest WHERE i.resource_id = $1 AND v.id = $2 ORDER BY "
                             "i.build_id DESC",
                             DB_INT(resource_id), DB_INT(version_id)),
                         error);
}

GArray *version_output_of(Store *store, int64_t resource_id, int64_t version_id, GError **error) {
        return store_ids(store,
                         SQL("SELECT DISTINCT o.build_id FROM build_outputs o JOIN versions v ON "
                             "v.digest = o.digest WHERE o.resource_id = $1 AND v.id = $2 ORDER BY "
                             "o.build_id DESC",
                             DB_INT(resource_id), DB_INT(version_id)),
                         error);
}
