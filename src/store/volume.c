#include "store/volume.h"

#include "base/crypto.h"
#include "store/volume_internal.h"

static const char *const state_names[] = {
        [VOLUME_CREATING] = "creating",
        [VOLUME_CREATED] = "created",
        [VOLUME_DESTROYING] = "destroying",
        [VOLUME_FAILED] = "failed",
};

void volume_free(Volume *volume) {
        if (!volume)
                return;
        g_free(volume->handle);
        g_free(volume->worker);
        g_free(volume->container_handle);
        g_free(volume->parent_handle);
        g_free(volume->path);
        g_free(volume->base_resource_type);
        g_free(volume);
}

const char *volume_type(const Volume *volume) {
        return volume->base_resource_type    ? "resource-type"
               : volume->resource_cache_id   ? "resource"
               : volume->container_id        ? "container"
               : volume->task_cache_id       ? "task-cache"
               : volume->certs               ? "resource-certs"
               : volume->artifact_id         ? "artifact"
               : volume->downloads_config_id ? "resource-downloads"
                                             : "unknown";
}

void *row_volume(Store *store, DbRows *rows, GError **error) {
        Volume *volume = g_new0(Volume, 1);
        *volume = (Volume){
                .id = db_int(rows, 0),
                .team_id = db_int(rows, 1),
                .worker_id = db_int(rows, 2),
                .container_id = db_int(rows, 3),
                .parent_id = db_int(rows, 4),
                .handle = g_strdup(db_text(rows, 5)),
                .worker = g_strdup(db_text(rows, 6)),
                .container_handle = g_strdup(db_text(rows, 7)),
                .parent_handle = g_strdup(db_text(rows, 8)),
                .path = g_strdup(db_text(rows, 9)),
                .resource_cache_id = db_int(rows, 11),
                .task_cache_id = db_int(rows, 12),
                .artifact_id = db_int(rows, 13),
                .base_resource_type = g_strdup(db_text(rows, 14)),
                .certs = db_bool(rows, 15),
                .missing_since = db_int(rows, 16),
                .downloads_config_id = db_int(rows, 17),
        };
        for (size_t i = 0; i < G_N_ELEMENTS(state_names); i++)
                if (g_strcmp0(state_names[i], db_text(rows, 10)) == 0)
                        volume->state = (VolumeState) i;
        return volume;
}

/* ---- making ---- */

typedef struct {
        Store *store;
        const VolumeSpec *spec;
        const char *handle;
        bool find; /* first look for the one that is there */
        int64_t worker_id, base_type_id;
        Volume *found;
        bool is_new;
} Make;

/* A row by this statement that is creating or created, else *found stays NULL. */
static bool look_up(DbTx *tx, Make *make, const Statement *statement, GError **error) {
        void *found;
        if (!tx_one(tx, make->store, row_volume, &found, statement, error))
                return false;
        make->found = found;
        return true;
}

#define LIVE VOLUME_SELECT "WHERE v.worker_id = $1 AND v.state IN ('creating', 'created') AND "

static bool find_existing(DbTx *tx, Make *make, GError **error) {
        const VolumeOwner *owner = &make->spec->owner;
        DbArg worker = DB_INT(make->worker_id);
        if (owner->container_id)
                return look_up(tx, make,
                               SQL(LIVE "v.container_id = $2 AND v.path IS NOT DISTINCT FROM $3 "
                                        "ORDER BY v.id LIMIT 1",
                                   worker, DB_INT(owner->container_id), DB_TEXT(owner->path)),
                               error);
        if (owner->task_cache_id)
                return look_up(
                        tx, make,
                        SQL(LIVE "v.task_cache_id = $2", worker, DB_INT(owner->task_cache_id)),
                        error);
        if (owner->downloads_config_id)
                return look_up(tx, make,
                               SQL(LIVE "v.downloads_config_id = $2", worker,
                                   DB_INT(owner->downloads_config_id)),
                               error);
        if (make->base_type_id)
                return look_up(tx, make,
                               SQL(LIVE "v.worker_base_type_id = $2 AND v.container_id IS NULL "
                                        "ORDER BY v.id LIMIT 1",
                                   worker, DB_INT(make->base_type_id)),
                               error);
        if (owner->certs)
                return look_up(tx, make, SQL(LIVE "v.certs ORDER BY v.id LIMIT 1", worker), error);
        return true;
}

static bool find_base_type(DbTx *tx, Make *make, GError **error) {
        make->base_type_id = 0;
        if (!make->spec->owner.base_resource_type)
                return true;
        return tx_int(tx, 0, &make->base_type_id,
                      SQL("SELECT t.id FROM worker_base_types t JOIN base_resource_types b ON b.id "
                          "= t.base_resource_type_id WHERE t.worker_id = $1 AND b.name = $2",
                          DB_INT(make->worker_id), DB_TEXT(make->spec->owner.base_resource_type)),
                      error) &&
               changed_or_not_found(make->base_type_id, "base resource type of the worker", error);
}

static bool parent_is_there(DbTx *tx, const VolumeSpec *spec, GError **error) {
        int64_t there;
        return spec->parent_id == 0 ||
               (tx_int(tx, 0, &there,
                       SQL("SELECT id FROM volumes WHERE id = $1 AND state = 'created'",
                           DB_INT(spec->parent_id)),
                       error) &&
                changed_or_not_found(there, "parent volume", error));
}

static bool insert_volume(DbTx *tx, Make *make, GError **error) {
        const VolumeSpec *spec = make->spec;
        make->is_new = true;
        return parent_is_there(tx, spec, error) &&
               tx_exec(tx,
                       SQL("INSERT INTO volumes (handle, worker_id, team_id, state, container_id, "
                           "path, parent_id, task_cache_id, artifact_id, worker_base_type_id, "
                           "certs, downloads_config_id) VALUES ($1, $2, $3, 'creating', $4, $5, "
                           "$6, $7, $8, $9, $10, $11)",
                           DB_TEXT(make->handle), DB_INT(make->worker_id),
                           DB_INT_OR_NULL(spec->team_id), DB_INT_OR_NULL(spec->owner.container_id),
                           DB_TEXT(spec->owner.path), DB_INT_OR_NULL(spec->parent_id),
                           DB_INT_OR_NULL(spec->owner.task_cache_id),
                           DB_INT_OR_NULL(spec->owner.artifact_id),
                           DB_INT_OR_NULL(make->base_type_id), DB_BOOL(spec->owner.certs),
                           DB_INT_OR_NULL(spec->owner.downloads_config_id)),
                       NULL, error) &&
               look_up(tx, make, SQL(VOLUME_SELECT "WHERE v.handle = $1", DB_TEXT(make->handle)),
                       error);
}

static bool make_in(DbTx *tx, void *data, GError **error) {
        Make *make = data;
        const VolumeSpec *spec = make->spec;
        g_clear_pointer(&make->found, volume_free);
        make->is_new = false;
        return (!spec->build_id || tx_lease_check(tx, spec->build_id, spec->epoch, error)) &&
               tx_int(tx, 0, &make->worker_id,
                      SQL("SELECT id FROM workers WHERE name = $1", DB_TEXT(spec->worker)),
                      error) &&
               changed_or_not_found(make->worker_id, "worker", error) &&
               find_base_type(tx, make, error) && (!make->find || find_existing(tx, make, error)) &&
               (make->found || insert_volume(tx, make, error));
}

/* What is there already, without a write: most looks at a base type's volume end here. */
static bool peek_in(DbTx *tx, void *data, GError **error) {
        Make *make = data;
        g_clear_pointer(&make->found, volume_free);
        return tx_int(tx, 0, &make->worker_id,
                      SQL("SELECT id FROM workers WHERE name = $1", DB_TEXT(make->spec->worker)),
                      error) &&
               changed_or_not_found(make->worker_id, "worker", error) &&
               find_base_type(tx, make, error) && find_existing(tx, make, error);
}

static Volume *make_volume(Store *store, const VolumeSpec *spec, bool find, bool *ret_new,
                           GError **error) {
        g_autofree char *handle = crypto_uuid();
        Make make = { .store = store, .spec = spec, .handle = handle, .find = find };
        bool done = !find || spec->owner.container_id || db_read(store->db, peek_in, &make, error);
        if (!done || (!make.found && !db_write(store->db, make_in, &make, error))) {
                volume_free(make.found);
                return NULL;
        }
        if (ret_new)
                *ret_new = make.is_new;
        return make.found;
}

Volume *volume_create(Store *store, const VolumeSpec *spec, GError **error) {
        return make_volume(store, spec, false, NULL, error);
}

Volume *volume_find_or_create(Store *store, const VolumeSpec *spec, bool *ret_new, GError **error) {
        return make_volume(store, spec, true, ret_new, error);
}

typedef struct {
        Make *makes;
        size_t count;
} MakeAll;

static bool make_all_in(DbTx *tx, void *data, GError **error) {
        MakeAll *all = data;
        for (size_t i = 0; i < all->count; i++)
                if (!make_in(tx, &all->makes[i], error))
                        return false;
        return true;
}

GPtrArray *volume_find_or_create_all(Store *store, const VolumeSpec *specs, size_t count,
                                     GError **error) {
        g_autoptr(GPtrArray) handles = g_ptr_array_new_with_free_func(g_free);
        g_autoptr(GPtrArray) found = g_ptr_array_new_with_free_func((GDestroyNotify) volume_free);
        g_autofree Make *makes = g_new0(Make, count);
        MakeAll all = { makes, count };

        for (size_t i = 0; i < count; i++) {
                char *handle = crypto_uuid();
                g_ptr_array_add(handles, handle);
                makes[i] = (Make){
                        .store = store, .spec = &specs[i], .handle = handle, .find = true
                };
        }
        bool made = count == 0 || db_write(store->db, make_all_in, &all, error);
        for (size_t i = 0; i < count; i++)
                if (makes[i].found)
                        g_ptr_array_add(found, makes[i].found);
        return made ? g_steal_pointer(&found) : NULL;
}

/* ---- states ---- */

static bool transition(Store *store, int64_t id, const char *sql, GError **error) {
        int64_t changed;
        if (!store_exec(store, SQL(sql, DB_INT(id)), &changed, error))
                return false;
        if (changed == 0)
                g_set_error(error, ERROR, ERROR_NOT_FOUND, "volume disappeared from db");
        return changed != 0;
}

bool volume_set_created(Store *store, int64_t id, GError **error) {
        return transition(store, id,
                          "UPDATE volumes SET state = 'created' WHERE id = $1 AND state IN "
                          "('creating', 'created')",
                          error);
}

bool volume_set_failed(Store *store, int64_t id, GError **error) {
        return transition(store, id,
                          "UPDATE volumes SET state = 'failed' WHERE id = $1 AND state IN "
                          "('creating', 'failed')",
                          error);
}

static bool destroy_in(DbTx *tx, void *data, GError **error) {
        int64_t id = *(int64_t *) data, children, changed;
        if (!tx_int(tx, 0, &children,
                    SQL("SELECT count(*) FROM volumes WHERE parent_id = $1", DB_INT(id)), error))
                return false;
        if (children) {
                g_set_error(error, ERROR, ERROR_BUSY,
                            "volume cannot be destroyed as children are present");
                return false;
        }
        if (!tx_exec(tx, SQL("UPDATE volumes SET state = 'destroying' WHERE id = $1", DB_INT(id)),
                     &changed, error))
                return false;
        if (changed == 0)
                g_set_error(error, ERROR, ERROR_NOT_FOUND, "volume disappeared from db");
        return changed != 0;
}

bool volume_set_destroying(Store *store, int64_t id, GError **error) {
        return db_write(store->db, destroy_in, &id, error);
}

/* ---- looking ---- */

Volume *volume_get(Store *store, const char *handle, GError **error) {
        return store_one(store, row_volume, "volume",
                         SQL(VOLUME_SELECT "WHERE v.handle = $1", DB_TEXT(handle)), error);
}

GPtrArray *volume_list_of_container(Store *store, int64_t container_id, GError **error) {
        return store_list(
                store, row_volume, (GDestroyNotify) volume_free,
                SQL(VOLUME_SELECT "WHERE v.container_id = $1 ORDER BY v.id", DB_INT(container_id)),
                error);
}

GPtrArray *volume_list(Store *store, int64_t team_id, GError **error) {
        return store_list(store, row_volume, (GDestroyNotify) volume_free,
                          SQL(VOLUME_SELECT "WHERE v.state = 'created' AND ($1 = 0 OR v.team_id = "
                                            "$1 OR v.team_id IS NULL) ORDER BY v.id",
                              DB_INT(team_id)),
                          error);
}

/* ---- for the janitor (05 §6.5) ---- */

typedef struct {
        Time now;
        Duration missing_grace;
        int64_t marked, deleted;
} Sweep;

static bool sweep_in(DbTx *tx, void *data, GError **error) {
        Sweep *sweep = data;
        int64_t failed, missing;
        if (!tx_exec(tx, SQL("DELETE FROM volumes WHERE state = 'failed'"), &failed, error) ||
            !tx_exec(
                    tx,
                    SQL("UPDATE volumes SET state = 'destroying' WHERE state IN ('creating', "
                        "'created') AND container_id IS NULL AND worker_resource_cache_id IS NULL AND "
                        "task_cache_id IS NULL AND artifact_id IS NULL AND worker_base_type_id IS "
                        "NULL AND downloads_config_id IS NULL AND NOT certs AND NOT EXISTS (SELECT 1 FROM volumes k WHERE "
                        "k.parent_id = volumes.id) AND EXISTS (SELECT 1 FROM workers w WHERE w.id "
                        "= volumes.worker_id AND w.state IN ('running', 'landing', 'retiring'))"),
                    &sweep->marked, error) ||
            /* Descendants go with it: the reference cascades. */
            !tx_exec(tx,
                     SQL("DELETE FROM volumes WHERE state = 'created' AND missing_since > 0 AND "
                         "missing_since < $1",
                         DB_INT(sweep->now - sweep->missing_grace / 1000)),
                     &missing, error))
                return false;
        sweep->deleted = failed + missing;
        return true;
}

bool volume_sweep(Store *store, Time now, Duration missing_grace, int64_t *ret_marked,
                  int64_t *ret_deleted, GError **error) {
        Sweep sweep = { .now = now, .missing_grace = missing_grace };
        if (!db_write(store->db, sweep_in, &sweep, error))
                return false;
        *ret_marked = sweep.marked;
        *ret_deleted = sweep.deleted;
        return true;
}

/* ---- workers whose disk is low ---- */

#define LOW "(SELECT w.id FROM workers w WHERE w.disk_low)"

static bool give_up_in(DbTx *tx, void *data, GError **error) {
        int64_t resource, task;
        if (!tx_exec(tx,
                     SQL("DELETE FROM worker_resource_caches WHERE worker_id IN " LOW
                         " AND NOT EXISTS (SELECT 1 FROM resource_cache_uses u JOIN builds b ON "
                         "b.id = u.build_id WHERE u.resource_cache_id = "
                         "worker_resource_caches.resource_cache_id AND NOT b.completed) AND NOT "
                         "EXISTS (SELECT 1 FROM build_image_caches i JOIN builds b ON b.id = "
                         "i.build_id WHERE i.resource_cache_id = "
                         "worker_resource_caches.resource_cache_id AND NOT b.completed)"),
                     &resource, error) ||
            !tx_exec(tx,
                     SQL("UPDATE volumes SET task_cache_id = NULL WHERE task_cache_id IS NOT NULL "
                         "AND worker_id IN " LOW),
                     &task, error))
                return false;
        *(int64_t *) data = resource + task;
        return true;
}

static bool any_low_in(DbTx *tx, void *data, GError **error) {
        return tx_int(tx, 0, data, SQL("SELECT count(*) FROM workers WHERE disk_low"), error);
}

bool volume_give_up_caches(Store *store, int64_t *ret_given, GError **error) {
        int64_t low;
        *ret_given = 0;
        return db_read(store->db, any_low_in, &low, error) &&
               (low == 0 || db_write(store->db, give_up_in, ret_given, error));
}
