/* One snapshot of what a scheduling pass needs (05 §3.3, §4). */
#include "store/scheduling.h"

#include "store/internal.h"

static void scheduling_input_free(void *data) {
        SchedulingInput *input = data;
        g_free(input->name);
        g_array_unref(input->passed);
        value_free(input->pin);
        g_free(input);
}

static void scheduling_version_free(void *data) {
        SchedulingVersion *version = data;
        value_free(version->version);
        g_free(version);
}

static void scheduling_resource_free(void *data) {
        SchedulingResource *resource = data;
        g_free(resource->name);
        g_ptr_array_unref(resource->versions);
        g_free(resource);
}

static void scheduling_build_free(void *data) {
        SchedulingBuild *build = data;
        g_array_unref(build->outputs);
        g_free(build);
}

static void scheduling_passed_job_free(void *data) {
        SchedulingPassedJob *job = data;
        g_ptr_array_unref(job->builds);
        g_free(job);
}

static void scheduling_use_free(void *data) {
        SchedulingUse *use = data;
        g_free(use->input_name);
        g_array_unref(use->pipes);
        g_free(use);
}

void scheduling_case_free(SchedulingCase *problem) {
        if (!problem)
                return;
        job_free(problem->job);
        g_clear_pointer(&problem->serial_groups, g_ptr_array_unref);
        g_clear_pointer(&problem->inputs, g_ptr_array_unref);
        g_clear_pointer(&problem->resources, g_ptr_array_unref);
        g_clear_pointer(&problem->passed_jobs, g_ptr_array_unref);
        g_clear_pointer(&problem->uses, g_ptr_array_unref);
        g_clear_pointer(&problem->pending, g_ptr_array_unref);
        g_free(problem);
}

typedef struct {
        Store *store;
        int64_t job_id;
        SchedulingCase *problem;
        GHashTable *resources; /* id → SchedulingResource, borrowed */
        /* "<resource> <digest>" → version id, of versions that are there; negative: they are not */
        GHashTable *version_ids;
        int64_t gone;
} Loading;

static void loading_reset(Loading *loading) {
        scheduling_case_free(loading->problem);
        SchedulingCase *problem = g_new0(SchedulingCase, 1);
        problem->serial_groups = g_ptr_array_new_with_free_func(g_free);
        problem->inputs = g_ptr_array_new_with_free_func(scheduling_input_free);
        problem->resources = g_ptr_array_new_with_free_func(scheduling_resource_free);
        problem->passed_jobs = g_ptr_array_new_with_free_func(scheduling_passed_job_free);
        problem->uses = g_ptr_array_new_with_free_func(scheduling_use_free);
        problem->pending = g_ptr_array_new_with_free_func((GDestroyNotify) build_free);
        loading->problem = problem;
        g_hash_table_remove_all(loading->resources);
        g_hash_table_remove_all(loading->version_ids);
        loading->gone = 0;
}

static char *version_key(int64_t resource_id, const char *digest) {
        return g_strdup_printf("%" G_GINT64_FORMAT " %s", resource_id, digest);
}

/* The version's id in the resource's scope; an own negative one when its row is gone. */
static int64_t version_id(Loading *loading, int64_t resource_id, const char *digest) {
        g_autofree char *key = version_key(resource_id, digest);
        const int64_t *known = g_hash_table_lookup(loading->version_ids, key);
        if (known)
                return *known;
        int64_t id = --loading->gone;
        g_hash_table_insert(loading->version_ids, g_steal_pointer(&key), g_memdup2(&id, sizeof id));
        return id;
}

/* ---- inputs ---- */

static SchedulingInput *input_new(DbRows *rows) {
        SchedulingInput *input = g_new0(SchedulingInput, 1);
        g_autoptr(Value) version = row_json(rows, 4);
        g_autoptr(Value) pin = row_json(rows, 5);
        input->name = g_strdup(db_text(rows, 0));
        input->resource_id = db_int(rows, 1);
        input->passed = g_array_new(false, false, sizeof(int64_t));
        input->trigger = db_bool(rows, 3);
        input->resource_pinned = pin != NULL;
        input->every = value_is(version, VALUE_STRING) && g_str_equal(value_text(version), "every");
        /* The step's pin goes before the resource's. */
        if (value_is(version, VALUE_MAP))
                input->pin = g_steal_pointer(&version);
        else
                input->pin = g_steal_pointer(&pin);
        return input;
}

static bool load_inputs(DbTx *tx, Loading *loading, GError **error) {
        g_autoptr(DbRows) rows = db_query(
                tx, error,
                "SELECT i.name, i.resource_id, i.passed_job_id, i.triggers, i.version, n.version "
                "FROM job_inputs i LEFT JOIN resource_pins n ON n.resource_id = i.resource_id "
                "WHERE i.job_id = $1 ORDER BY i.name, i.passed_job_id NULLS FIRST",
                DB_INT(loading->job_id));
        if (!rows)
                return false;
        GPtrArray *inputs = loading->problem->inputs;
        while (db_next(rows)) {
                SchedulingInput *last = inputs->len ? inputs->pdata[inputs->len - 1] : NULL;
                if (!last || !g_str_equal(last->name, db_text(rows, 0))) {
                        last = input_new(rows);
                        g_ptr_array_add(inputs, last);
                }
                int64_t passed = db_int(rows, 2);
                if (passed)
                        g_array_append_val(last->passed, passed);
        }
        return db_done(rows, error);
}

/* ---- versions ---- */

static bool load_versions(DbTx *tx, Loading *loading, SchedulingResource *resource,
                          GError **error) {
        g_autoptr(DbRows) rows = db_query(
                tx, error,
                "SELECT v.id, v.check_order, v.version, v.digest, d.digest IS NOT NULL FROM "
                "versions v LEFT JOIN disabled_versions d ON d.resource_id = $1 AND d.digest = "
                "v.digest WHERE v.scope_id = $2 ORDER BY v.check_order DESC",
                DB_INT(resource->id), DB_INT(resource->scope_id));
        if (!rows)
                return false;
        while (db_next(rows)) {
                SchedulingVersion *version = g_new0(SchedulingVersion, 1);
                *version = (SchedulingVersion){
                        .id = db_int(rows, 0),
                        .check_order = db_int(rows, 1),
                        .disabled = db_bool(rows, 4),
                        .version = db_json(rows, 2),
                };
                g_ptr_array_add(resource->versions, version);
                g_hash_table_insert(loading->version_ids,
                                    version_key(resource->id, db_text(rows, 3)),
                                    g_memdup2(&version->id, sizeof version->id));
        }
        return db_done(rows, error);
}

static void *row_resource(Store *store, DbRows *rows, GError **error) {
        SchedulingResource *resource = g_new0(SchedulingResource, 1);
        resource->id = db_int(rows, 0);
        resource->scope_id = db_int(rows, 1);
        resource->name = g_strdup(db_text(rows, 2));
        resource->versions = g_ptr_array_new_with_free_func(scheduling_version_free);
        return resource;
}

static bool load_resources(DbTx *tx, Loading *loading, GError **error) {
        GPtrArray *resources = loading->problem->resources;
        if (!tx_list(tx, loading->store, row_resource, resources,
                     SQL("SELECT DISTINCT r.id, r.resource_scope_id, r.name FROM job_inputs i JOIN "
                         "resources r ON r.id = i.resource_id WHERE i.job_id = $1 ORDER BY r.id",
                         DB_INT(loading->job_id)),
                     error))
                return false;
        for (guint i = 0; i < resources->len; i++) {
                SchedulingResource *resource = resources->pdata[i];
                g_hash_table_insert(loading->resources, &resource->id, resource);
                if (resource->scope_id && !load_versions(tx, loading, resource, error))
                        return false;
        }
        return true;
}

/* ---- what passed jobs have done ---- */

/* Outputs of puts go before what was got, of one resource each digest once. */
static void add_output(Loading *loading, SchedulingBuild *build, DbRows *rows) {
        SchedulingOutput output = { db_int(rows, 2),
                                    version_id(loading, db_int(rows, 2), db_text(rows, 3)) };
        for (guint i = 0; i < build->outputs->len; i++) {
                const SchedulingOutput *other = &g_array_index(build->outputs, SchedulingOutput, i);
                if (other->resource_id == output.resource_id &&
                    other->version_id == output.version_id)
                        return;
        }
        g_array_append_val(build->outputs, output);
}

static bool load_passed_job(DbTx *tx, Loading *loading, int64_t job_id, GError **error) {
        SchedulingPassedJob *job = g_new0(SchedulingPassedJob, 1);
        job->job_id = job_id;
        job->builds = g_ptr_array_new_with_free_func(scheduling_build_free);
        g_ptr_array_add(loading->problem->passed_jobs, job);
        g_autoptr(DbRows) rows = db_query(
                tx, error,
                "SELECT b.id, b.rerun_of, u.resource_id, u.digest FROM builds b LEFT JOIN (SELECT "
                "build_id, resource_id, digest, 0 AS source, id FROM build_outputs UNION ALL "
                "SELECT build_id, resource_id, digest, 1 AS source, id FROM build_inputs) u ON "
                "u.build_id = b.id WHERE b.job_id = $1 AND b.status = 'succeeded' ORDER BY "
                "b.sort_id DESC, b.id DESC, u.resource_id NULLS FIRST, u.source, u.id",
                DB_INT(job_id));
        if (!rows)
                return false;
        SchedulingBuild *build = NULL;
        while (db_next(rows)) {
                if (!build || build->id != db_int(rows, 0)) {
                        build = g_new0(SchedulingBuild, 1);
                        build->id = db_int(rows, 0);
                        build->rerun_of = db_int(rows, 1);
                        build->outputs = g_array_new(false, false, sizeof(SchedulingOutput));
                        g_ptr_array_add(job->builds, build);
                }
                int64_t resource_id = db_int(rows, 2);
                /* Other resources cannot matter to this job. */
                if (g_hash_table_contains(loading->resources, &resource_id))
                        add_output(loading, build, rows);
        }
        return db_done(rows, error);
}

static bool load_passed_jobs(DbTx *tx, Loading *loading, GError **error) {
        g_autoptr(GArray) ids = g_array_new(false, false, sizeof(int64_t));
        if (!tx_ids(tx, ids,
                    SQL("SELECT DISTINCT passed_job_id FROM job_inputs WHERE job_id = $1 AND "
                        "passed_job_id IS NOT NULL ORDER BY passed_job_id",
                        DB_INT(loading->job_id)),
                    error))
                return false;
        for (guint i = 0; i < ids->len; i++)
                if (!load_passed_job(tx, loading, g_array_index(ids, int64_t, i), error))
                        return false;
        return true;
}

/* ---- what the job itself has used ---- */

static bool load_pipes(DbTx *tx, Loading *loading, GHashTable *pipes, GError **error) {
        g_autoptr(DbRows) rows = db_query(
                tx, error,
                "SELECT x.to_build_id, f.job_id, f.id FROM build_pipes x JOIN builds b ON b.id = "
                "x.to_build_id JOIN builds f ON f.id = x.from_build_id WHERE b.job_id = $1 ORDER "
                "BY x.to_build_id, f.id",
                DB_INT(loading->job_id));
        if (!rows)
                return false;
        while (db_next(rows)) {
                int64_t to = db_int(rows, 0), pair[2] = { db_int(rows, 1), db_int(rows, 2) };
                GArray *list = g_hash_table_lookup(pipes, &to);
                if (!list) {
                        list = g_array_new(false, false, sizeof(int64_t));
                        g_hash_table_insert(pipes, g_memdup2(&to, sizeof to), list);
                }
                g_array_append_vals(list, pair, 2);
        }
        return db_done(rows, error);
}

static bool load_uses(DbTx *tx, Loading *loading, GError **error) {
        g_autoptr(GHashTable) pipes = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free,
                                                            (GDestroyNotify) g_array_unref);
        bool every = false;
        for (guint i = 0; i < loading->problem->inputs->len; i++)
                every |= ((SchedulingInput *) loading->problem->inputs->pdata[i])->every;
        if (every && !load_pipes(tx, loading, pipes, error))
                return false;

        g_autoptr(DbRows) rows = db_query(
                tx, error,
                "SELECT i.build_id, i.name, i.resource_id, i.digest FROM build_inputs i "
                "JOIN builds b ON b.id = i.build_id WHERE b.job_id = $1 ORDER BY "
                "i.build_id DESC, i.name, i.id",
                DB_INT(loading->job_id));
        if (!rows)
                return false;
        while (db_next(rows)) {
                SchedulingUse *use = g_new0(SchedulingUse, 1);
                use->build_id = db_int(rows, 0);
                use->input_name = g_strdup(db_text(rows, 1));
                use->resource_id = db_int(rows, 2);
                use->version_id = version_id(loading, use->resource_id, db_text(rows, 3));
                GArray *list = g_hash_table_lookup(pipes, &use->build_id);
                use->pipes = list ? g_array_ref(list) : g_array_new(false, false, sizeof(int64_t));
                g_ptr_array_add(loading->problem->uses, use);
        }
        return db_done(rows, error);
}

/* ---- all ---- */

static bool load_in(DbTx *tx, void *data, GError **error) {
        Loading *loading = data;
        loading_reset(loading);
        SchedulingCase *problem = loading->problem;
        if (!tx_job_get(tx, loading->store, loading->job_id, &problem->job, error))
                return false;
        if (!problem->job || !problem->job->active) {
                g_set_error(error, ERROR, ERROR_NOT_FOUND, "job not found");
                return false;
        }
        return tx_int(tx, 0, &problem->mapping_number,
                      SQL("SELECT mapping_number FROM jobs WHERE id = $1", DB_INT(loading->job_id)),
                      error) &&
               tx_list(tx, loading->store, row_text, problem->serial_groups,
                       SQL("SELECT name FROM job_serial_groups WHERE job_id = $1 ORDER BY name",
                           DB_INT(loading->job_id)),
                       error) &&
               load_inputs(tx, loading, error) && load_resources(tx, loading, error) &&
               load_passed_jobs(tx, loading, error) && load_uses(tx, loading, error) &&
               tx_list(tx, loading->store, row_build, problem->pending,
                       SQL("SELECT " BUILD_COLUMNS " FROM " BUILD_TABLES
                           " WHERE b.job_id = $1 AND b.status = 'pending' ORDER BY b.sort_id, b.id",
                           DB_INT(loading->job_id)),
                       error);
}

SchedulingCase *scheduling_load(Store *store, int64_t job_id, GError **error) {
        g_autoptr(GHashTable) resources = g_hash_table_new(g_int64_hash, g_int64_equal);
        g_autoptr(GHashTable)
                version_ids = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        Loading loading = {
                .store = store, .job_id = job_id, .resources = resources, .version_ids = version_ids
        };
        if (!db_read(store->db, load_in, &loading, error)) {
                scheduling_case_free(loading.problem);
                return NULL;
        }
        return loading.problem;
}
