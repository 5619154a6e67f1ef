/* Saving a config: 05 §5.5's order, one transaction. */
#include "config/pipeline.h"
#include "store/internal.h"

typedef struct {
        Store *store;
        const PipelineSave *save;
        const char *instance_vars, *config, *nonce, *shown;
        Time now;

        DbTx *tx;
        int64_t id;
        bool created;
        GHashTable *job_ids;      /* name → int64_t */
        GHashTable *resource_ids; /* name → int64_t */
} Saving;

/* ---- the pipeline's own row ---- */

typedef struct {
        int64_t id, version, parent_build_id;
        bool archived;
} Existing;

static bool read_existing(Saving *saving, Existing *ret, GError **error) {
        g_autoptr(DbRows) rows = db_query(
                saving->tx, error,
                "SELECT id, version, parent_build_id, archived FROM pipelines WHERE team_id = $1 "
                "AND name = $2 AND instance_vars = $3",
                DB_INT(saving->save->team_id), DB_TEXT(saving->save->name),
                DB_TEXT(saving->instance_vars));
        if (!rows)
                return false;
        *ret = (Existing){ 0 };
        if (db_next(rows))
                *ret = (Existing){ db_int(rows, 0), db_int(rows, 1), db_int(rows, 2),
                                   db_bool(rows, 3) };
        return db_done(rows, error);
}

/* As upstream's UPDATE … WHERE, and what it says when no row was met: a save through the API is build 0. */
static bool may_replace(const PipelineSave *save, const Existing *existing, GError **error) {
        int64_t by = save->parent_build_id, last = existing->parent_build_id;
        bool changed = save->check_version && existing->version != save->from_version;

        if (!existing->id || (!changed && (!by || by > last)))
                return true;
        if (last > by)
                g_set_error(error, ERROR, ERROR_DENIED, "pipeline set by a newer build");
        else
                g_set_error(error, ERROR, ERROR_BUSY,
                            "comparison with existing config failed during save");
        return false;
}

static bool insert_pipeline(Saving *saving, int64_t version, GError **error) {
        const PipelineSave *save = saving->save;
        int64_t ordering, secondary;
        return tx_int(saving->tx, 0, &ordering,
                      SQL("SELECT ordering FROM pipelines WHERE team_id = $1 AND name = $2 LIMIT 1",
                          DB_INT(save->team_id), DB_TEXT(save->name)),
                      error) &&
               tx_int(saving->tx, 0, &secondary,
                      SQL("SELECT COALESCE(max(secondary_ordering), 0) FROM pipelines WHERE "
                          "team_id = $1 AND name = $2",
                          DB_INT(save->team_id), DB_TEXT(save->name)),
                      error) &&
               tx_insert(saving->tx, &saving->id,
                         SQL("INSERT INTO pipelines (team_id, name, instance_vars, config, "
                             "config_nonce, shown, version, paused, ordering, secondary_ordering, "
                             "parent_job_id, parent_build_id, last_updated) VALUES ($1, $2, $3, "
                             "$4, $5, $6, $7, $8, $9, $10, $11, $12, $13) RETURNING id",
                             DB_INT(save->team_id), DB_TEXT(save->name),
                             DB_TEXT(saving->instance_vars), DB_TEXT(saving->config),
                             DB_TEXT(saving->nonce), DB_TEXT(saving->shown), DB_INT(version),
                             DB_BOOL(save->initially_paused), DB_INT(ordering),
                             DB_INT(secondary + 1), DB_INT_OR_NULL(save->parent_job_id),
                             DB_INT_OR_NULL(save->parent_build_id), DB_INT(saving->now)),
                         error) &&
               tx_exec(saving->tx,
                       SQL("UPDATE pipelines SET ordering = id WHERE id = $1 AND ordering = 0",
                           DB_INT(saving->id)),
                       NULL, error);
}

static bool update_pipeline(Saving *saving, const Existing *existing, int64_t version,
                            GError **error) {
        const PipelineSave *save = saving->save;
        bool unpause = existing->archived && save->unpause_archived;
        saving->id = existing->id;
        return tx_exec(saving->tx,
                       SQL("UPDATE pipelines SET config = $2, config_nonce = $3, shown = $4, "
                           "version = $5, archived = FALSE, paused = (paused AND NOT $6), "
                           "paused_by = CASE WHEN $6 THEN NULL ELSE paused_by END, paused_at = "
                           "CASE WHEN $6 THEN 0 ELSE paused_at END, parent_job_id = $7, "
                           "parent_build_id = $8, last_updated = $9 WHERE id = $1",
                           DB_INT(existing->id), DB_TEXT(saving->config), DB_TEXT(saving->nonce),
                           DB_TEXT(saving->shown), DB_INT(version), DB_BOOL(unpause),
                           DB_INT_OR_NULL(save->parent_job_id),
                           DB_INT_OR_NULL(save->parent_build_id), DB_INT(saving->now)),
                       NULL, error) &&
               tx_exec(saving->tx,
                       SQL("DELETE FROM job_serial_groups WHERE job_id IN (SELECT id FROM jobs "
                           "WHERE pipeline_id = $1)",
                           DB_INT(saving->id)),
                       NULL, error) &&
               tx_exec(saving->tx,
                       SQL("UPDATE jobs SET active = FALSE WHERE pipeline_id = $1",
                           DB_INT(saving->id)),
                       NULL, error) &&
               tx_exec(saving->tx,
                       SQL("UPDATE resources SET active = FALSE WHERE pipeline_id = $1",
                           DB_INT(saving->id)),
                       NULL, error);
}

static bool save_pipeline(Saving *saving, GError **error) {
        Existing existing;
        int64_t version;
        if (!read_existing(saving, &existing, error) ||
            !may_replace(saving->save, &existing, error) ||
            !tx_counter(saving->tx, "config_version", 1, &version, error))
                return false;
        saving->created = existing.id == 0;
        return saving->created ? insert_pipeline(saving, version, error)
                               : update_pipeline(saving, &existing, version, error);
}

/* ---- resources and types ---- */

static void remember_id(GHashTable *ids, const char *name, int64_t id) {
        g_hash_table_insert(ids, g_strdup(name), g_memdup2(&id, sizeof id));
}

static int64_t find_id(GHashTable *ids, const char *name) {
        const int64_t *id = g_hash_table_lookup(ids, name);
        return id ? *id : 0;
}

static bool save_resource(Saving *saving, ResourceKind kind, const Value *item, int64_t *ret_id,
                          GError **error) {
        g_autofree char *digest = json_digest(value_get(item, "source"));
        return tx_insert(
                saving->tx, ret_id,
                SQL("INSERT INTO resources (pipeline_id, kind, name, type, source_digest, public) "
                    "VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (pipeline_id, kind, name) DO "
                    "UPDATE SET active = TRUE, public = excluded.public, "
                    "type = excluded.type, source_digest = excluded.source_digest, "
                    "resource_config_id = CASE WHEN resources.type = excluded.type AND "
                    "resources.source_digest = excluded.source_digest THEN "
                    "resources.resource_config_id END, "
                    "resource_scope_id = CASE WHEN resources.type = excluded.type AND "
                    "resources.source_digest = excluded.source_digest THEN "
                    "resources.resource_scope_id END RETURNING id",
                    DB_INT(saving->id), DB_INT(kind), DB_TEXT(value_get_string(item, "name", "")),
                    DB_TEXT(value_get_string(item, "type", "")), DB_TEXT(digest),
                    DB_BOOL(value_get_bool(item, "public", false))),
                error);
}

static bool save_pin(Saving *saving, int64_t resource_id, const Value *version, GError **error) {
        if (value_length(version) == 0)
                return true;
        g_autofree char *text = json_write(version, JSON_SORTED, NULL);
        return tx_exec(saving->tx,
                       SQL("INSERT INTO resource_pins (resource_id, version, in_config) VALUES "
                           "($1, $2, TRUE) ON CONFLICT (resource_id) DO UPDATE SET version = "
                           "excluded.version, comment = '', in_config = TRUE",
                           DB_INT(resource_id), DB_TEXT(text)),
                       NULL, error);
}

static bool save_resources(Saving *saving, GError **error) {
        if (!tx_rename_all(saving->tx, saving->id, RESOURCE_KIND_RESOURCE,
                           value_get(saving->save->config, "resources"), error) ||
            !tx_exec(saving->tx,
                     SQL("DELETE FROM resource_pins WHERE in_config AND resource_id IN (SELECT id "
                         "FROM resources WHERE pipeline_id = $1)",
                         DB_INT(saving->id)),
                     NULL, error))
                return false;
        for (int kind = RESOURCE_KIND_RESOURCE; kind <= RESOURCE_KIND_PROTOTYPE; kind++) {
                const Value *items = value_get(saving->save->config, resource_kind_lists[kind]);
                for (size_t i = 0; i < value_length(items); i++) {
                        const Value *item = value_at(items, i);
                        int64_t id;
                        if (!save_resource(saving, (ResourceKind) kind, item, &id, error))
                                return false;
                        if (kind != RESOURCE_KIND_RESOURCE)
                                continue;
                        remember_id(saving->resource_ids, value_get_string(item, "name", ""), id);
                        if (!save_pin(saving, id, value_get(item, "version"), error))
                                return false;
                }
        }
        return true;
}

/* ---- jobs ---- */

/* JSON list of the groups the job is in: a name for each glob that matches, as upstream. */
static char *groups_of(const Value *config, const char *job) {
        g_autoptr(Value) names = value_list();
        const Value *groups = value_get(config, "groups");
        for (size_t i = 0; i < value_length(groups); i++) {
                const char *name = value_get_string(value_at(groups, i), "name", "");
                const Value *globs = value_get(value_at(groups, i), "jobs");
                for (size_t k = 0; k < value_length(globs); k++)
                        if (glob_match(text_or_empty(value_text(value_at(globs, k))), job))
                                value_list_add(names, value_string(name));
        }
        return json_write(names, JSON_COMPACT, NULL);
}

static bool save_serial_group(Saving *saving, int64_t job_id, const char *name, GError **error) {
        return tx_exec(saving->tx,
                       SQL("INSERT INTO job_serial_groups (job_id, name) VALUES ($1, $2) ON "
                           "CONFLICT (job_id, name) DO NOTHING",
                           DB_INT(job_id), DB_TEXT(name)),
                       NULL, error);
}

static bool save_serial_groups(Saving *saving, int64_t job_id, const Value *job, GError **error) {
        const Value *groups = value_get(job, "serial_groups");
        for (size_t i = 0; i < value_length(groups); i++)
                if (!save_serial_group(saving, job_id,
                                       text_or_empty(value_text(value_at(groups, i))), error))
                        return false;
        return value_length(groups) > 0 || job_max_in_flight(job) == 0 ||
               save_serial_group(saving, job_id, value_get_string(job, "name", ""), error);
}

static bool save_job(Saving *saving, const Value *job, GError **error) {
        const char *name = value_get_string(job, "name", "");
        g_autofree char *groups = groups_of(saving->save->config, name);
        int64_t id;
        if (!tx_insert(saving->tx, &id,
                       SQL("INSERT INTO jobs (pipeline_id, name, public, max_in_flight, "
                           "interruptible, disable_manual_trigger, disable_reruns, "
                           "pipeline_groups) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT "
                           "(pipeline_id, name) DO UPDATE SET active = TRUE, public = "
                           "excluded.public, max_in_flight = excluded.max_in_flight, interruptible "
                           "= excluded.interruptible, disable_manual_trigger = "
                           "excluded.disable_manual_trigger, disable_reruns = "
                           "excluded.disable_reruns, pipeline_groups = excluded.pipeline_groups "
                           "RETURNING id",
                           DB_INT(saving->id), DB_TEXT(name),
                           DB_BOOL(value_get_bool(job, "public", false)),
                           DB_INT(job_max_in_flight(job)),
                           DB_BOOL(value_get_bool(job, "interruptible", false)),
                           DB_BOOL(value_get_bool(job, "disable_manual_trigger", false)),
                           DB_BOOL(value_get_bool(job, "disable_reruns", false)), DB_TEXT(groups)),
                       error))
                return false;
        remember_id(saving->job_ids, name, id);
        return save_serial_groups(saving, id, job, error);
}

static bool save_input(Saving *saving, int64_t job_id, const ShapeStep *step, int64_t passed_job_id,
                       GError **error) {
        g_autofree char *version = json_or_null(step->version);
        return tx_exec(saving->tx,
                       SQL("INSERT INTO job_inputs (job_id, name, resource_id, passed_job_id, "
                           "triggers, version) VALUES ($1, $2, $3, $4, $5, $6)",
                           DB_INT(job_id), DB_TEXT(step->name),
                           DB_INT(find_id(saving->resource_ids, step->resource)),
                           DB_INT_OR_NULL(passed_job_id), DB_BOOL(step->trigger), DB_TEXT(version)),
                       NULL, error);
}

/* Every job of this config that one of the globs means, each once. */
static bool save_passed(Saving *saving, int64_t job_id, const ShapeStep *step, GError **error) {
        GHashTableIter iter;
        void *name, *id;
        g_hash_table_iter_init(&iter, saving->job_ids);
        while (g_hash_table_iter_next(&iter, &name, &id)) {
                bool meant = false;
                for (guint i = 0; i < step->passed->len && !meant; i++)
                        meant = path_match(step->passed->pdata[i], name);
                if (meant && !save_input(saving, job_id, step, *(int64_t *) id, error))
                        return false;
        }
        return true;
}

static bool save_plan(Saving *saving, const Value *job, GError **error) {
        g_auto(JobShape) shape = { 0 };
        job_shape_read(job, &shape);
        int64_t id = find_id(saving->job_ids, value_get_string(job, "name", ""));

        for (guint i = 0; i < shape.inputs->len; i++) {
                const ShapeStep *step = shape.inputs->pdata[i];
                if (!find_id(saving->resource_ids, step->resource))
                        continue; /* validation has refused it already */
                if (!(step->passed->len == 0 ? save_input(saving, id, step, 0, error)
                                             : save_passed(saving, id, step, error)))
                        return false;
        }
        for (guint i = 0; i < shape.outputs->len; i++) {
                const ShapeStep *step = shape.outputs->pdata[i];
                int64_t resource_id = find_id(saving->resource_ids, step->resource);
                if (resource_id &&
                    !tx_exec(saving->tx,
                             SQL("INSERT INTO job_outputs (job_id, name, resource_id) VALUES ($1, "
                                 "$2, $3)",
                                 DB_INT(id), DB_TEXT(step->name), DB_INT(resource_id)),
                             NULL, error))
                        return false;
        }
        return true;
}

/* What a step's caches are called, as a pattern: a name's ((vars)), of across above all, are filled in only by builds. Returns new. */
static char *cache_pattern(int64_t job_id, const char *step) {
        GString *pattern = g_string_new(NULL);
        g_string_append_printf(pattern, "%" G_GINT64_FORMAT " ", job_id);
        for (const char *var; (var = strstr(step, "((")) && strstr(var, "))");) {
                g_string_append_len(pattern, step, var - step);
                g_string_append_c(pattern, '*');
                step = strstr(var, "))") + 2;
        }
        g_string_append(pattern, step);
        return g_string_free(pattern, false);
}

static bool is_kept(const GPtrArray *patterns, const char *cache) {
        for (guint i = 0; i < patterns->len; i++)
                if (g_pattern_match_simple(patterns->pdata[i], cache))
                        return true;
        return false;
}

/* Caches of steps and jobs that are not in the config any more. Upstream also drops those of steps with ((vars)) in their names, each
 * time the pipeline is set. */
static bool delete_task_caches(Saving *saving, GError **error) {
        g_autoptr(GPtrArray) kept = g_ptr_array_new_with_free_func(g_free);
        const Value *jobs = value_get(saving->save->config, "jobs");
        for (size_t i = 0; i < value_length(jobs); i++) {
                g_auto(JobShape) shape = { 0 };
                job_shape_read(value_at(jobs, i), &shape);
                int64_t id = find_id(saving->job_ids,
                                     value_get_string(value_at(jobs, i), "name", ""));
                for (guint k = 0; k < shape.task_steps->len; k++)
                        g_ptr_array_add(kept, cache_pattern(id, shape.task_steps->pdata[k]));
        }

        g_autoptr(GArray) gone = g_array_new(false, false, sizeof(int64_t));
        g_autoptr(DbRows) rows = db_query(saving->tx, error,
                                          "SELECT c.id, c.job_id, c.step_name FROM task_caches c "
                                          "JOIN jobs j ON j.id = c.job_id WHERE j.pipeline_id = $1",
                                          DB_INT(saving->id));
        if (!rows)
                return false;
        while (db_next(rows)) {
                g_autofree char *key = g_strdup_printf("%" G_GINT64_FORMAT " %s", db_int(rows, 1),
                                                       db_text(rows, 2));
                int64_t id = db_int(rows, 0);
                if (!is_kept(kept, key))
                        g_array_append_val(gone, id);
        }
        if (!db_done(rows, error))
                return false;
        for (guint i = 0; i < gone->len; i++)
                if (!tx_exec(saving->tx,
                             SQL("DELETE FROM task_caches WHERE id = $1",
                                 DB_INT(g_array_index(gone, int64_t, i))),
                             NULL, error))
                        return false;
        return true;
}

static bool save_jobs(Saving *saving, GError **error) {
        const Value *jobs = value_get(saving->save->config, "jobs");
        if (!tx_rename_all(saving->tx, saving->id, -1, jobs, error))
                return false;
        for (size_t i = 0; i < value_length(jobs); i++)
                if (!save_job(saving, value_at(jobs, i), error))
                        return false;
        if (!delete_task_caches(saving, error) ||
            !tx_exec(saving->tx,
                     SQL("DELETE FROM job_inputs WHERE job_id IN (SELECT id FROM jobs WHERE "
                         "pipeline_id = $1)",
                         DB_INT(saving->id)),
                     NULL, error) ||
            !tx_exec(saving->tx,
                     SQL("DELETE FROM job_outputs WHERE job_id IN (SELECT id FROM jobs WHERE "
                         "pipeline_id = $1)",
                         DB_INT(saving->id)),
                     NULL, error))
                return false;
        for (size_t i = 0; i < value_length(jobs); i++)
                if (!save_plan(saving, value_at(jobs, i), error))
                        return false;
        return true;
}

static bool save_in(DbTx *tx, void *data, GError **error) {
        Saving *saving = data;
        saving->tx = tx;
        g_hash_table_remove_all(saving->job_ids);
        g_hash_table_remove_all(saving->resource_ids);
        const BuildLease *lease = saving->save->lease;
        if (lease && !tx_lease_check(tx, lease->build_id, lease->epoch, error))
                return false;
        if (!save_pipeline(saving, error) || !save_resources(saving, error) ||
            !save_jobs(saving, error) ||
            !tx_request_schedule(tx, SCHEDULE("pipeline_id = $2", DB_INT(saving->id)), error))
                return false;
        tx_notify(tx, NOTIFY_RESOURCES, saving->id);
        return true;
}

/* What lists of pipelines show without unsealing the config. */
static char *shown_of(const Value *config) {
        static const char *const keys[] = { "groups", "display", "user_data" };
        g_autoptr(Value) shown = value_map();
        for (size_t i = 0; i < G_N_ELEMENTS(keys); i++)
                if (!value_is_null(value_get(config, keys[i])))
                        value_map_set(shown, keys[i], value_ref(value_get(config, keys[i])));
        return json_write(shown, JSON_COMPACT, NULL);
}

bool pipeline_save(Store *store, const PipelineSave *save, bool *ret_created, Pipeline **ret,
                   GError **error) {
        g_autofree char *instance_vars = json_canonical(save->instance_vars);
        g_autofree char *shown = shown_of(save->config);
        g_autofree char *config = NULL, *nonce = NULL;
        if (!seal_json(store, save->config, &config, &nonce, error))
                return false;
        g_autoptr(GHashTable)
                job_ids = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        g_autoptr(GHashTable)
                resource_ids = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        Saving saving = {
                .store = store,
                .save = save,
                .instance_vars = instance_vars,
                .config = config,
                .nonce = nonce,
                .shown = shown,
                .now = clock_now(),
                .job_ids = job_ids,
                .resource_ids = resource_ids,
        };
        if (!db_write(store->db, save_in, &saving, error))
                return false;
        Pipeline *pipeline = ret ? pipeline_get(store, saving.id, error) : NULL;
        if (ret && !pipeline)
                return false;
        if (ret)
                *ret = pipeline;
        if (ret_created)
                *ret_created = saving.created;
        return true;
}

static bool set_parent_in(DbTx *tx, void *data, GError **error) {
        const PipelineParent *parent = data;
        int64_t changed;

        if (!tx_lease_check(tx, parent->lease->build_id, parent->lease->epoch, error) ||
            !tx_exec(tx,
                     SQL("UPDATE pipelines SET parent_job_id = $2, parent_build_id = $3 WHERE id = "
                         "$1 AND (parent_build_id IS NULL OR parent_build_id < $3)",
                         DB_INT(parent->id), DB_INT_OR_NULL(parent->parent_job_id),
                         DB_INT(parent->parent_build_id)),
                     &changed, error))
                return false;
        if (changed > 0)
                return true;
        g_set_error(error, ERROR, ERROR_DENIED, "pipeline set by a newer build");
        return false;
}

bool pipeline_set_parent(Store *store, const PipelineParent *parent, GError **error) {
        return db_write(store->db, set_parent_in, (void *) parent, error);
}
