#include "store/resource.h"

#include "store/internal.h"

void resource_free(Resource *resource) {
        if (!resource)
                return;
        g_free(resource->name);
        g_free(resource->type);
        g_free(resource->pipeline_name);
        g_free(resource->team_name);
        g_free(resource->pin_comment);
        value_free(resource->instance_vars);
        value_free(resource->config);
        value_free(resource->pinned_version);
        g_free(resource);
}

#define SELECT                                                                                     \
        "SELECT r.kind, r.id, r.pipeline_id, p.team_id, r.name, r.type, p.name, t.name, "          \
        "p.instance_vars, r.active, r.public, p.paused, p.public, p.archived, "                    \
        "r.resource_config_id, r.resource_scope_id, n.version, n.in_config, n.comment FROM "       \
        "resources r JOIN pipelines p ON p.id = r.pipeline_id JOIN teams t ON t.id = p.team_id "   \
        "LEFT JOIN resource_pins n ON n.resource_id = r.id "

static void *row_resource(Store *store, DbRows *rows, GError **error) {
        Resource *resource = g_new0(Resource, 1);
        *resource = (Resource){
                .kind = (ResourceKind) db_int(rows, 0),
                .id = db_int(rows, 1),
                .pipeline_id = db_int(rows, 2),
                .team_id = db_int(rows, 3),
                .name = g_strdup(db_text(rows, 4)),
                .type = g_strdup(db_text(rows, 5)),
                .pipeline_name = g_strdup(db_text(rows, 6)),
                .team_name = g_strdup(db_text(rows, 7)),
                .instance_vars = row_json(rows, 8),
                .active = db_bool(rows, 9),
                .public = db_bool(rows, 10),
                .pipeline_paused = db_bool(rows, 11),
                .pipeline_public = db_bool(rows, 12),
                .pipeline_archived = db_bool(rows, 13),
                .config_id = db_int(rows, 14),
                .scope_id = db_int(rows, 15),
                .pinned_version = row_json(rows, 16),
                .pinned_in_config = db_bool(rows, 17),
                .pin_comment = g_strdup(db_text(rows, 18)),
        };
        return resource;
}

/* Rows with their configs, in one snapshot. */
typedef struct {
        Store *store;
        const Statement *statement;
        GPtrArray *items;
} Listing;

static bool listing_in(DbTx *tx, void *data, GError **error) {
        Listing *listing = data;
        if (!tx_list(tx, listing->store, row_resource, listing->items, listing->statement, error))
                return false;
        g_autoptr(Value) config = NULL;
        int64_t pipeline_id = 0;
        for (guint i = 0; i < listing->items->len; i++) {
                Resource *resource = listing->items->pdata[i];
                if (resource->pipeline_id != pipeline_id) {
                        g_clear_pointer(&config, value_free);
                        pipeline_id = resource->pipeline_id;
                        if (!tx_pipeline_config(tx, listing->store, pipeline_id, &config, error))
                                return false;
                }
                resource->config = config_member(config, resource_kind_lists[resource->kind],
                                                 resource->name);
        }
        return true;
}

static GPtrArray *list_resources(Store *store, const Statement *statement, GError **error) {
        g_autoptr(GPtrArray) items = g_ptr_array_new_with_free_func((GDestroyNotify) resource_free);
        Listing listing = { store, statement, items };
        return db_read(store->db, listing_in, &listing, error) ? g_steal_pointer(&items) : NULL;
}

static Resource *one_resource(Store *store, const Statement *statement, GError **error) {
        g_autoptr(GPtrArray) items = list_resources(store, statement, error);
        if (!items)
                return NULL;
        if (items->len == 0) {
                g_set_error(error, ERROR, ERROR_NOT_FOUND, "resource not found");
                return NULL;
        }
        return g_ptr_array_steal_index(items, 0);
}

Resource *resource_find(Store *store, ResourceKind kind, int64_t pipeline_id, const char *name,
                        GError **error) {
        return one_resource(store,
                            SQL(SELECT "WHERE r.active AND r.pipeline_id = $1 AND r.kind = $2 AND "
                                       "r.name = $3",
                                DB_INT(pipeline_id), DB_INT(kind), DB_TEXT(name)),
                            error);
}

Resource *resource_get(Store *store, ResourceKind kind, int64_t id, GError **error) {
        return one_resource(store,
                            SQL(SELECT "WHERE r.active AND r.id = $1 AND r.kind = $2", DB_INT(id),
                                DB_INT(kind)),
                            error);
}

GPtrArray *resource_list(Store *store, ResourceKind kind, int64_t pipeline_id, GError **error) {
        return list_resources(store,
                              SQL(SELECT "WHERE r.active AND r.pipeline_id = $1 AND r.kind = $2 "
                                         "ORDER BY r.name",
                                  DB_INT(pipeline_id), DB_INT(kind)),
                              error);
}

GPtrArray *resource_list_visible(Store *store, const Visibility *visibility, GError **error) {
        g_autoptr(GPtrArray) all = list_resources(
                store, SQL(SELECT "WHERE r.active AND r.kind = 0 ORDER BY r.id"), error);
        for (guint i = 0; all && i < all->len;) {
                const Resource *resource = all->pdata[i];
                bool seen = visibility->everything || resource->pipeline_public;
                for (size_t k = 0; k < visibility->team_count && !seen; k++)
                        seen = visibility->team_ids[k] == resource->team_id;
                if (seen)
                        i++;
                else
                        g_ptr_array_remove_index(all, i);
        }
        return g_steal_pointer(&all);
}

/* ---- pins ---- */

typedef struct {
        int64_t id, version_id;
        const char *comment;
} Pin;

static bool schedule_resource(DbTx *tx, int64_t id, GError **error) {
        return tx_request_schedule(tx,
                                   SCHEDULE("id IN (SELECT job_id FROM job_inputs WHERE "
                                            "resource_id = $2)",
                                            DB_INT(id)),
                                   error);
}

static bool not_pinned_in_config(DbTx *tx, int64_t id, GError **error) {
        int64_t pinned;
        if (!tx_int(tx, 0, &pinned,
                    SQL("SELECT count(*) FROM resource_pins WHERE resource_id = $1 AND in_config",
                        DB_INT(id)),
                    error))
                return false;
        if (pinned)
                g_set_error(error, ERROR, ERROR_DENIED, "resource is pinned through config");
        return !pinned;
}

static bool pin_in(DbTx *tx, void *data, GError **error) {
        Pin *pin = data;
        int64_t changed;
        if (!not_pinned_in_config(tx, pin->id, error) ||
            !tx_exec(tx,
                     SQL("INSERT INTO resource_pins (resource_id, version, in_config) SELECT r.id, "
                         "v.version, FALSE FROM resources r JOIN versions v ON v.scope_id = "
                         "r.resource_scope_id WHERE r.id = $1 AND v.id = $2 ON CONFLICT "
                         "(resource_id) DO UPDATE SET version = excluded.version",
                         DB_INT(pin->id), DB_INT(pin->version_id)),
                     &changed, error) ||
            !changed_or_not_found(changed, "version", error) ||
            !schedule_resource(tx, pin->id, error))
                return false;
        tx_notify(tx, NOTIFY_RESOURCES, 0);
        return true;
}

bool resource_pin(Store *store, int64_t id, int64_t version_id, GError **error) {
        return db_write(store->db, pin_in, &(Pin){ .id = id, .version_id = version_id }, error);
}

static bool unpin_in(DbTx *tx, void *data, GError **error) {
        Pin *pin = data;
        int64_t changed;
        return not_pinned_in_config(tx, pin->id, error) &&
               tx_exec(tx, SQL("DELETE FROM resource_pins WHERE resource_id = $1", DB_INT(pin->id)),
                       &changed, error) &&
               changed_or_not_found(changed, "pin", error) && schedule_resource(tx, pin->id, error);
}

bool resource_unpin(Store *store, int64_t id, GError **error) {
        return db_write(store->db, unpin_in, &(Pin){ .id = id }, error);
}

bool resource_set_pin_comment(Store *store, int64_t id, const char *comment, GError **error) {
        return store_exec(store,
                          SQL("UPDATE resource_pins SET comment = $2 WHERE resource_id = $1",
                              DB_INT(id), DB_TEXT(text_or_empty(comment))),
                          NULL, error);
}

/* ---- which history it has ---- */

bool tx_resource_set_scope(DbTx *tx, int64_t id, int64_t config_id, int64_t scope_id,
                           GError **error) {
        int64_t changed;
        return tx_exec(tx,
                       SQL("UPDATE resources SET resource_config_id = $2, resource_scope_id = $3 "
                           "WHERE id = $1 AND (resource_config_id IS DISTINCT FROM $2 OR "
                           "resource_scope_id IS DISTINCT FROM $3)",
                           DB_INT(id), DB_INT(config_id), DB_INT_OR_NULL(scope_id)),
                       &changed, error) &&
               (changed == 0 || schedule_resource(tx, id, error));
}

typedef struct {
        int64_t id, config_id, scope_id;
        bool there;
} SetScope;

static bool scope_is_in(DbTx *tx, void *data, GError **error) {
        SetScope *set = data;
        int64_t count;
        if (!tx_int(tx, 0, &count,
                    SQL("SELECT count(*) FROM resources WHERE id = $1 AND resource_config_id = $2 "
                        "AND resource_scope_id = $3",
                        DB_INT(set->id), DB_INT(set->config_id), DB_INT(set->scope_id)),
                    error))
                return false;
        set->there = count > 0;
        return true;
}

static bool set_scope_in(DbTx *tx, void *data, GError **error) {
        SetScope *set = data;
        return tx_resource_set_scope(tx, set->id, set->config_id, set->scope_id, error);
}

bool resource_set_scope(Store *store, ResourceKind kind, int64_t id, int64_t config_id,
                        int64_t scope_id, GError **error) {
        SetScope set = { .id = id, .config_id = config_id, .scope_id = scope_id };
        return db_read(store->db, scope_is_in, &set, error) &&
               (set.there || db_write(store->db, set_scope_in, &set, error));
}
