#include "store/container.h"

#include "base/crypto.h"
#include "store/internal.h"

static const char *const state_names[] = {
        [CONTAINER_CREATING] = "creating",
        [CONTAINER_CREATED] = "created",
        [CONTAINER_DESTROYING] = "destroying",
        [CONTAINER_FAILED] = "failed",
};

const char *container_state_name(ContainerState state) {
        return state_names[state];
}

void container_free(Container *container) {
        if (!container)
                return;
        char *const texts[] = { container->handle,   container->worker,
                                container->type,     container->step_name,
                                container->attempt,  container->working_directory,
                                container->user,     container->pipeline_name,
                                container->job_name, container->build_name };
        for (size_t i = 0; i < G_N_ELEMENTS(texts); i++)
                g_free(texts[i]);
        value_free(container->instance_vars);
        g_free(container);
}

#define SELECT                                                                                     \
        "SELECT c.id, c.team_id, c.worker_id, c.handle, w.name, c.state, c.type, c.step_name, "    \
        "c.attempt, c.working_directory, c.process_user, c.for_pipeline_id, c.for_job_id, "        \
        "c.for_build_id, c.pipeline_name, c.job_name, c.build_name, c.instance_vars, c.created, "  \
        "c.last_hijack, c.missing_since, s.expires FROM containers c JOIN workers w ON w.id = "    \
        "c.worker_id LEFT JOIN check_sessions s ON s.id = c.check_session_id "

/* "" is absent. */
static char *column_text(DbRows *rows, int column) {
        const char *text = db_text(rows, column);
        return text && *text ? g_strdup(text) : NULL;
}

static void *row_container(Store *store, DbRows *rows, GError **error) {
        Container *container = g_new0(Container, 1);
        *container = (Container){
                .id = db_int(rows, 0),
                .team_id = db_int(rows, 1),
                .worker_id = db_int(rows, 2),
                .handle = g_strdup(db_text(rows, 3)),
                .worker = g_strdup(db_text(rows, 4)),
                .type = column_text(rows, 6),
                .step_name = column_text(rows, 7),
                .attempt = column_text(rows, 8),
                .working_directory = column_text(rows, 9),
                .user = column_text(rows, 10),
                .pipeline_id = db_int(rows, 11),
                .job_id = db_int(rows, 12),
                .build_id = db_int(rows, 13),
                .pipeline_name = column_text(rows, 14),
                .job_name = column_text(rows, 15),
                .build_name = column_text(rows, 16),
                .instance_vars = row_json(rows, 17),
                .created = db_int(rows, 18),
                .last_hijack = db_int(rows, 19),
                .missing_since = db_int(rows, 20),
                .expires = db_int(rows, 21),
        };
        for (size_t i = 0; i < G_N_ELEMENTS(state_names); i++)
                if (g_strcmp0(state_names[i], db_text(rows, 5)) == 0)
                        container->state = (ContainerState) i;
        return container;
}

/* ---- finding and making ---- */

typedef struct {
        Store *store;
        const char *worker; /* NULL: any */
        const ContainerOwner *owner;
        const ContainerMetadata *metadata;
        const char *handle, *instance_vars;
        int64_t epoch;
        Time now;
        Container *found;
} Find;

#define LIVE "c.state IN ('creating', 'created') AND ($1 = '' OR w.name = $1) AND "

static bool find_owned(DbTx *tx, Find *find, GError **error) {
        const ContainerOwner *owner = find->owner;
        DbArg worker = DB_TEXT(text_or_empty(find->worker));
        void *found;
        g_clear_pointer(&find->found, container_free);
        /* In one block with its use: that is how long a statement lives. */
        const Statement *statements[] = {
                [CONTAINER_OWNER_BUILD_STEP] = SQL(
                        SELECT "WHERE " LIVE "c.build_id = $2 AND c.plan_id = $3", worker,
                        DB_INT(owner->build_id), DB_TEXT(owner->plan_id)),
                [CONTAINER_OWNER_CHECK_SESSION] = SQL(
                        SELECT "WHERE " LIVE "s.resource_config_id = $2 AND s.expires > $3 "
                               "ORDER BY c.id DESC LIMIT 1",
                        worker, DB_INT(owner->resource_config_id), DB_INT(find->now)),
                [CONTAINER_OWNER_MEMORY_CHECK] = SQL(
                        SELECT "WHERE " LIVE "c.check_key = $2 AND c.plan_id = $3", worker,
                        DB_TEXT(owner->check_key), DB_TEXT(owner->plan_id)),
        };
        if (!tx_one(tx, find->store, row_container, &found, statements[owner->kind], error))
                return false;
        find->found = found;
        return true;
}

static bool find_in(DbTx *tx, void *data, GError **error) {
        return find_owned(tx, data, error);
}

Container *container_find_owned_on(Store *store, const ContainerOwner *owner, const char *worker,
                                   GError **error) {
        Find find = { .store = store, .owner = owner, .worker = worker, .now = clock_steady() };
        if (db_read(store->db, find_in, &find, error))
                return find.found;
        container_free(find.found);
        return NULL;
}

Container *container_find_owned(Store *store, const ContainerOwner *owner, GError **error) {
        return container_find_owned_on(store, owner, NULL, error);
}

/* The session of the config with the worker's base type; an expired one is begun anew. */
static bool find_session(DbTx *tx, Find *find, int64_t worker_id, int64_t *ret_id, GError **error) {
        const ContainerOwner *owner = find->owner;
        int64_t type_id;
        if (!tx_int(tx, 0, &type_id,
                    SQL("SELECT t.id FROM worker_base_types t JOIN base_resource_types b ON b.id = "
                        "t.base_resource_type_id WHERE t.worker_id = $1 AND b.name = $2",
                        DB_INT(worker_id), DB_TEXT(text_or_empty(owner->base_type))),
                    error) ||
            !changed_or_not_found(type_id, "base resource type of the worker", error))
                return false;
        return tx_exec(tx,
                       SQL("DELETE FROM check_sessions WHERE resource_config_id = $1 AND "
                           "worker_base_type_id = $2 AND expires <= $3",
                           DB_INT(owner->resource_config_id), DB_INT(type_id), DB_INT(find->now)),
                       NULL, error) &&
               tx_insert(tx, ret_id,
                         SQL("INSERT INTO check_sessions (resource_config_id, worker_base_type_id, "
                             "expires) VALUES ($1, $2, $3) ON CONFLICT (resource_config_id, "
                             "worker_base_type_id) DO UPDATE SET expires = check_sessions.expires "
                             "RETURNING id",
                             DB_INT(owner->resource_config_id), DB_INT(type_id),
                             DB_INT(find->now + owner->session_period / 1000)),
                         error);
}

static bool insert_container(DbTx *tx, Find *find, int64_t worker_id, int64_t session_id,
                             GError **error) {
        const ContainerOwner *owner = find->owner;
        const ContainerMetadata *metadata = find->metadata;
        bool step = owner->kind == CONTAINER_OWNER_BUILD_STEP;
        bool memory = owner->kind == CONTAINER_OWNER_MEMORY_CHECK;
        return tx_exec(
                tx,
                SQL("INSERT INTO containers (handle, worker_id, team_id, state, build_id, plan_id, "
                    "check_session_id, check_key, created, type, step_name, attempt, "
                    "working_directory, process_user, for_pipeline_id, for_job_id, for_build_id, "
                    "pipeline_name, job_name, build_name, instance_vars) VALUES ($1, $2, $3, "
                    "'creating', $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, "
                    "$18, $19, $20)",
                    DB_TEXT(find->handle), DB_INT(worker_id), DB_INT_OR_NULL(owner->team_id),
                    DB_INT_OR_NULL(step ? owner->build_id : 0),
                    DB_TEXT(step || memory ? owner->plan_id : NULL), DB_INT_OR_NULL(session_id),
                    DB_TEXT(memory ? owner->check_key : NULL), DB_INT(find->now),
                    DB_TEXT(text_or_empty(metadata->type)),
                    DB_TEXT(text_or_empty(metadata->step_name)),
                    DB_TEXT(text_or_empty(metadata->attempt)),
                    DB_TEXT(text_or_empty(metadata->working_directory)),
                    DB_TEXT(text_or_empty(metadata->user)), DB_INT(metadata->pipeline_id),
                    DB_INT(metadata->job_id), DB_INT(metadata->build_id),
                    DB_TEXT(text_or_empty(metadata->pipeline_name)),
                    DB_TEXT(text_or_empty(metadata->job_name)),
                    DB_TEXT(text_or_empty(metadata->build_name)), DB_TEXT(find->instance_vars)),
                NULL, error);
}

static bool create_in(DbTx *tx, void *data, GError **error) {
        Find *find = data;
        int64_t worker_id, session_id = 0;
        bool step = find->owner->kind == CONTAINER_OWNER_BUILD_STEP;
        if (step && find->epoch && !tx_lease_check(tx, find->owner->build_id, find->epoch, error))
                return false;
        /* A step has one container wherever it is; a session has one on each worker. */
        const char *worker = find->worker;
        if (find->owner->kind != CONTAINER_OWNER_CHECK_SESSION)
                find->worker = NULL;
        bool looked = find_owned(tx, find, error);
        find->worker = worker;
        if (!looked || find->found)
                return looked;
        void *made;
        if (!tx_int(tx, 0, &worker_id,
                    SQL("SELECT id FROM workers WHERE name = $1", DB_TEXT(worker)), error) ||
            !changed_or_not_found(worker_id, "worker", error) ||
            (find->owner->kind == CONTAINER_OWNER_CHECK_SESSION &&
             !find_session(tx, find, worker_id, &session_id, error)) ||
            !insert_container(tx, find, worker_id, session_id, error) ||
            !tx_one(tx, find->store, row_container, &made,
                    SQL(SELECT "WHERE c.handle = $1", DB_TEXT(find->handle)), error))
                return false;
        find->found = made;
        return true;
}

Container *container_create(Store *store, const char *worker, const ContainerOwner *owner,
                            const ContainerMetadata *metadata, int64_t epoch, GError **error) {
        g_autofree char *handle = crypto_uuid();
        g_autofree char *instance_vars = json_canonical(metadata->instance_vars);
        Find find = {
                .store = store,
                .worker = worker,
                .owner = owner,
                .metadata = metadata,
                .handle = handle,
                .instance_vars = instance_vars,
                .epoch = epoch,
                .now = clock_steady(),
        };
        if (db_write(store->db, create_in, &find, error))
                return find.found;
        container_free(find.found);
        return NULL;
}

/* ---- states ---- */

static bool transition(Store *store, int64_t id, const char *sql, GError **error) {
        int64_t changed;
        if (!store_exec(store, SQL(sql, DB_INT(id)), &changed, error))
                return false;
        if (changed == 0)
                g_set_error(error, ERROR, ERROR_NOT_FOUND, "container disappeared from db");
        return changed != 0;
}

static bool created_in(DbTx *tx, void *data, GError **error) {
        int64_t id = *(int64_t *) data, changed;
        if (!tx_exec(tx,
                     SQL("UPDATE containers SET state = 'created' WHERE id = $1 AND state IN "
                         "('creating', 'created')",
                         DB_INT(id)),
                     &changed, error))
                return false;
        if (changed == 0) {
                g_set_error(error, ERROR, ERROR_NOT_FOUND, "container disappeared from db");
                return false;
        }
        return tx_exec(tx,
                       SQL("UPDATE volumes SET state = 'created' WHERE container_id = $1 AND state "
                           "= 'creating'",
                           DB_INT(id)),
                       NULL, error);
}

bool container_set_created(Store *store, int64_t id, GError **error) {
        return db_write(store->db, created_in, &id, error);
}

bool container_set_failed(Store *store, int64_t id, GError **error) {
        return transition(store, id,
                          "UPDATE containers SET state = 'failed' WHERE id = $1 AND state IN "
                          "('creating', 'failed')",
                          error);
}

bool container_set_destroying(Store *store, int64_t id, GError **error) {
        return transition(store, id, "UPDATE containers SET state = 'destroying' WHERE id = $1",
                          error);
}

bool container_touch_hijack(Store *store, int64_t id, Time now, GError **error) {
        return store_exec(store,
                          SQL("UPDATE containers SET last_hijack = $2 WHERE id = $1", DB_INT(id),
                              DB_INT(now)),
                          NULL, error);
}

bool container_release_memory_check(Store *store, const char *check_key, GError **error) {
        return store_exec(store,
                          SQL("UPDATE containers SET check_key = NULL, state = CASE WHEN state = "
                              "'created' THEN 'destroying' ELSE state END WHERE check_key = $1",
                              DB_TEXT(check_key)),
                          NULL, error);
}

bool container_expire_sessions(Store *store, int64_t resource_config_id, GError **error) {
        return store_exec(store,
                          SQL("DELETE FROM check_sessions WHERE resource_config_id = $1",
                              DB_INT(resource_config_id)),
                          NULL, error);
}

/* ---- looking ---- */

Container *container_get(Store *store, const char *handle, GError **error) {
        return store_one(store, row_container, "container",
                         SQL(SELECT "WHERE c.handle = $1", DB_TEXT(handle)), error);
}

bool container_in_team(Store *store, const Container *container, int64_t team_id, bool *ret,
                       GError **error) {
        g_autoptr(GPtrArray) found = store_list(
                store, row_container, (GDestroyNotify) container_free,
                SQL(SELECT
                    "WHERE c.id = $1 AND ((c.team_id = $2 AND c.check_session_id IS NULL) OR "
                    "EXISTS (SELECT 1 FROM resources r JOIN pipelines p ON p.id = r.pipeline_id "
                    "WHERE p.team_id = $2 AND r.resource_config_id = s.resource_config_id AND "
                    "(w.team_id IS NULL OR w.team_id = $2)))",
                    DB_INT(container->id), DB_INT(team_id)),
                error);
        if (!found)
                return false;
        *ret = found->len > 0;
        return true;
}

GPtrArray *container_list(Store *store, const ContainerQuery *query, GError **error) {
        GDestroyNotify item_free = (GDestroyNotify) container_free;
        if (query->resource_config_id)
                return store_list(store, row_container, item_free,
                                  SQL(SELECT "WHERE s.resource_config_id = $1 ORDER BY c.id",
                                      DB_INT(query->resource_config_id)),
                                  error);
        g_autofree char *vars = query->instance_vars ? json_canonical(query->instance_vars)
                                                     : g_strdup("*");
        return store_list(
                store, row_container, item_free,
                SQL(SELECT
                    "WHERE ($1 = 0 OR (c.team_id = $1 AND c.check_session_id IS NULL) OR ($2 AND "
                    "EXISTS (SELECT 1 FROM resources r JOIN pipelines p ON p.id = r.pipeline_id "
                    "WHERE p.team_id = $1 AND r.resource_config_id = s.resource_config_id AND "
                    "(w.team_id IS NULL OR w.team_id = $1)))) AND ($3 = '' OR c.type = $3) AND "
                    "($4 = '' OR c.step_name = $4) AND ($5 = '' OR c.attempt = $5) AND ($6 = 0 OR "
                    "c.for_pipeline_id = $6) AND ($7 = 0 OR c.for_job_id = $7) AND ($8 = 0 OR "
                    "c.for_build_id = $8) AND ($9 = '' OR c.pipeline_name = $9) AND ($10 = '' OR "
                    "c.job_name = $10) AND ($11 = '' OR c.build_name = $11) AND ($12 = '*' OR "
                    "c.instance_vars = $12) ORDER BY c.id",
                    DB_INT(query->team_id), DB_BOOL(query->checks),
                    DB_TEXT(text_or_empty(query->type)), DB_TEXT(text_or_empty(query->step_name)),
                    DB_TEXT(text_or_empty(query->attempt)), DB_INT(query->pipeline_id),
                    DB_INT(query->job_id), DB_INT(query->build_id),
                    DB_TEXT(text_or_empty(query->pipeline_name)),
                    DB_TEXT(text_or_empty(query->job_name)),
                    DB_TEXT(text_or_empty(query->build_name)), DB_TEXT(vars)),
                error);
}

/* ---- for the janitor (05 §6.3, §6.4) ---- */

typedef struct {
        const ContainerSweep *sweep;
        int64_t marked, deleted;
} Sweep;

#define ORPHAN                                                                                     \
        "check_session_id IS NULL AND check_key IS NULL AND (build_id IS NULL OR EXISTS (SELECT "  \
        "1 FROM builds b WHERE b.id = containers.build_id AND NOT b.interceptible))"

static bool sweep_in(DbTx *tx, void *data, GError **error) {
        Sweep *sweep = data;
        const ContainerSweep *spec = sweep->sweep;
        int64_t created, creating, failed;
        Time day = 24 * 3600 * (Time) 1000000;
        if (!tx_exec(tx,
                     SQL("DELETE FROM check_sessions WHERE expires < $1 OR NOT EXISTS (SELECT 1 "
                         "FROM resources r JOIN pipelines p ON p.id = r.pipeline_id WHERE "
                         "r.resource_config_id = check_sessions.resource_config_id AND r.active "
                         "AND NOT p.paused)",
                         DB_INT(spec->now)),
                     NULL, error) ||
            !tx_exec(tx,
                     SQL("UPDATE containers SET check_key = NULL WHERE check_key IS NOT NULL AND "
                         "created < $1",
                         DB_INT(spec->now - day)),
                     NULL, error) ||
            !tx_exec(tx,
                     SQL("UPDATE containers SET state = 'destroying' WHERE state = 'created' AND "
                         "last_hijack < $1 AND " ORPHAN,
                         DB_INT(spec->now - spec->hijack_grace / 1000)),
                     &created, error) ||
            !tx_exec(tx,
                     /* Nobody is about to ask a worker for those of a build that is over. */
                     SQL("UPDATE containers SET state = 'destroying' WHERE state = 'creating' AND "
                         "(created < $1 OR for_build_id > 0) AND " ORPHAN,
                         DB_INT(spec->now - spec->creating_grace / 1000)),
                     &creating, error) ||
            !tx_exec(tx, SQL("UPDATE containers SET state = 'destroying' WHERE state = 'failed'"),
                     &failed, error) ||
            !tx_exec(tx,
                     SQL("DELETE FROM containers WHERE state = 'created' AND missing_since > 0 AND "
                         "missing_since < $1 AND NOT EXISTS (SELECT 1 FROM workers w WHERE w.id = "
                         "containers.worker_id AND w.state = 'stalled')",
                         DB_INT(spec->now - spec->missing_grace / 1000)),
                     &sweep->deleted, error))
                return false;
        sweep->marked = created + creating + failed;
        return true;
}

bool container_sweep(Store *store, const ContainerSweep *spec, int64_t *ret_marked,
                     int64_t *ret_deleted, GError **error) {
        Sweep sweep = { .sweep = spec };
        if (!db_write(store->db, sweep_in, &sweep, error))
                return false;
        *ret_marked = sweep.marked;
        *ret_deleted = sweep.deleted;
        return true;
}
