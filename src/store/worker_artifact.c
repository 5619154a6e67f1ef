#include "store/worker_artifact.h"

#include "store/internal.h"

void worker_artifact_free(WorkerArtifact *artifact) {
        if (!artifact)
                return;
        g_free(artifact->name);
        g_free(artifact);
}

static void *row_artifact(Store *store, DbRows *rows, GError **error) {
        WorkerArtifact *artifact = g_new0(WorkerArtifact, 1);
        *artifact = (WorkerArtifact){ db_int(rows, 0), db_int(rows, 1), g_strdup(db_text(rows, 2)),
                                      db_int(rows, 3) };
        return artifact;
}

#define SELECT "SELECT id, build_id, name, created FROM worker_artifacts "

typedef struct {
        const char *handle, *name;
        int64_t build_id;
        Time now;
        int64_t id;
} Create;

static bool take_volume(DbTx *tx, const Create *create, GError **error) {
        int64_t changed;
        return tx_exec(tx,
                       SQL("UPDATE volumes SET artifact_id = $2 WHERE handle = $1 AND state = "
                           "'created'",
                           DB_TEXT(create->handle), DB_INT(create->id)),
                       &changed, error) &&
               changed_or_not_found(changed, "volume", error);
}

static bool create_in(DbTx *tx, void *data, GError **error) {
        Create *create = data;
        return tx_insert(tx, &create->id,
                         SQL("INSERT INTO worker_artifacts (name, build_id, created) VALUES ($1, "
                             "$2, $3) RETURNING id",
                             DB_TEXT(text_or_empty(create->name)), DB_INT_OR_NULL(create->build_id),
                             DB_INT(create->now)),
                         error) &&
               (!create->handle || take_volume(tx, create, error));
}

WorkerArtifact *worker_artifact_create(Store *store, const char *volume_handle, int64_t build_id,
                                       const char *name, GError **error) {
        Create create = { volume_handle, name, build_id, clock_steady(), 0 };
        return db_write(store->db, create_in, &create, error)
                       ? worker_artifact_get(store, create.id, error)
                       : NULL;
}

bool worker_artifact_reserve(Store *store, int64_t *ret_id, GError **error) {
        Create create = { .now = clock_now() };
        if (!db_write(store->db, create_in, &create, error))
                return false;
        *ret_id = create.id;
        return true;
}

bool worker_artifact_delete(Store *store, int64_t id, GError **error) {
        return store_exec(store, SQL("DELETE FROM worker_artifacts WHERE id = $1", DB_INT(id)),
                          NULL, error);
}

WorkerArtifact *worker_artifact_get(Store *store, int64_t id, GError **error) {
        return store_one(store, row_artifact, "artifact", SQL(SELECT "WHERE id = $1", DB_INT(id)),
                         error);
}

typedef struct {
        char *worker, *handle;
} Place;

static void *row_place(Store *store, DbRows *rows, GError **error) {
        Place *place = g_new0(Place, 1);
        *place = (Place){ g_strdup(db_text(rows, 0)), g_strdup(db_text(rows, 1)) };
        return place;
}

bool worker_artifact_volume(Store *store, int64_t id, int64_t team_id, char **ret_worker,
                            char **ret_handle, GError **error) {
        g_autofree Place *place = store_one(
                store, row_place, "artifact",
                SQL("SELECT w.name, v.handle FROM volumes v JOIN workers w ON w.id = v.worker_id "
                    "WHERE v.artifact_id = $1 AND v.state = 'created' AND (v.team_id IS NULL OR "
                    "v.team_id = $2) LIMIT 1",
                    DB_INT(id), DB_INT(team_id)),
                error);
        if (!place)
                return false;
        *ret_worker = place->worker;
        *ret_handle = place->handle;
        return true;
}

GPtrArray *worker_artifact_list(Store *store, int64_t build_id, GError **error) {
        return store_list(store, row_artifact, (GDestroyNotify) worker_artifact_free,
                          SQL(SELECT "WHERE build_id = $1 ORDER BY id", DB_INT(build_id)), error);
}

bool worker_artifact_delete_older(Store *store, Time before, int64_t *ret_deleted, GError **error) {
        return store_exec(store,
                          SQL("DELETE FROM worker_artifacts WHERE created < $1", DB_INT(before)),
                          ret_deleted, error);
}
