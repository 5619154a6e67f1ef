/* The mapping a scheduling pass found, the gate, and the adoption of inputs (05 §3.3, §3.5, §3.6). */
#include "store/internal.h"

void next_input_free(NextInput *input) {
        if (!input)
                return;
        g_free(input->input_name);
        g_free(input->resolve_error);
        value_free(input->version);
        g_free(input);
}

/* ---- saving ---- */

typedef struct {
        const InputMapping *mapping;
        char *was; /* text of the mapping as it is saved */
        int64_t created;
} Save;

/* Rows and pipes as one text, to see whether anything changed. */
static bool describe_saved(DbTx *tx, int64_t job_id, GString *text, GError **error) {
        g_autoptr(DbRows) rows = db_query(
                tx, error,
                "SELECT name, resource_id, digest, first_occurrence, resolve_error FROM "
                "next_inputs WHERE job_id = $1 ORDER BY name",
                DB_INT(job_id));
        if (!rows)
                return false;
        while (db_next(rows))
                g_string_append_printf(text, "%s\x1f%" G_GINT64_FORMAT "\x1f%s\x1f%d\x1f%s\n",
                                       db_text(rows, 0), db_int(rows, 1),
                                       text_or_empty(db_text(rows, 2)), db_bool(rows, 3),
                                       text_or_empty(db_text(rows, 4)));
        if (!db_done(rows, error))
                return false;
        g_autoptr(GArray) pipes = g_array_new(false, false, sizeof(int64_t));
        if (!tx_ids(tx, pipes,
                    SQL("SELECT from_build_id FROM next_pipes WHERE job_id = $1 ORDER BY "
                        "from_build_id",
                        DB_INT(job_id)),
                    error))
                return false;
        for (guint i = 0; i < pipes->len; i++)
                g_string_append_printf(text, "%" G_GINT64_FORMAT "\n",
                                       g_array_index(pipes, int64_t, i));
        return true;
}

static bool clear_mapping(DbTx *tx, int64_t job_id, GError **error) {
        return tx_exec(tx, SQL("DELETE FROM next_inputs WHERE job_id = $1", DB_INT(job_id)), NULL,
                       error) &&
               tx_exec(tx, SQL("DELETE FROM next_pipes WHERE job_id = $1", DB_INT(job_id)), NULL,
                       error);
}

static bool insert_input(DbTx *tx, int64_t job_id, const InputMappingInput *input, GError **error) {
        if (!input->version_id && !input->resolve_error)
                return true;
        if (!(input->version_id
                      ? tx_exec(tx,
                                SQL("INSERT INTO next_inputs (job_id, name, resource_id, digest, "
                                    "first_occurrence) SELECT $1, $2, $3, digest, $4 FROM versions "
                                    "WHERE id = $5",
                                    DB_INT(job_id), DB_TEXT(input->input_name),
                                    DB_INT(input->resource_id), DB_BOOL(input->first_occurrence),
                                    DB_INT(input->version_id)),
                                NULL, error)
                      : tx_exec(tx,
                                SQL("INSERT INTO next_inputs (job_id, name, resolve_error) VALUES "
                                    "($1, $2, $3)",
                                    DB_INT(job_id), DB_TEXT(input->input_name),
                                    DB_TEXT(input->resolve_error)),
                                NULL, error)))
                return false;
        for (size_t i = 0; i < input->passed_build_count; i++)
                if (!tx_exec(tx,
                             SQL("INSERT INTO next_pipes (job_id, from_build_id) SELECT $1, id "
                                 "FROM builds WHERE id = $2 ON CONFLICT (job_id, from_build_id) DO "
                                 "NOTHING",
                                 DB_INT(job_id), DB_INT(input->passed_builds[i])),
                             NULL, error))
                        return false;
        return true;
}

static bool ensure_pending(DbTx *tx, int64_t job_id, int64_t *ret_created, GError **error) {
        int64_t pending;
        *ret_created = 0;
        return tx_int(tx, 0, &pending,
                      SQL("SELECT count(*) FROM builds WHERE job_id = $1 AND NOT completed AND "
                          "status = 'pending'",
                          DB_INT(job_id)),
                      error) &&
               (pending > 0 || tx_build_create(tx, job_id, false, NULL, ret_created, error));
}

/* A node that was frozen in the middle of a pass must not bring back what it knew then. */
static bool is_newest(DbTx *tx, const InputMapping *mapping, GError **error) {
        int64_t number;
        if (!tx_int(tx, -1, &number,
                    SQL("SELECT mapping_number FROM jobs WHERE id = $1", DB_INT(mapping->job_id)),
                    error))
                return false;
        if (number != mapping->number)
                g_set_error(error, ERROR, ERROR_STALE,
                            "the inputs of job %" G_GINT64_FORMAT " were resolved again meanwhile",
                            mapping->job_id);
        return number == mapping->number;
}

static bool save_in(DbTx *tx, void *data, GError **error) {
        Save *save = data;
        const InputMapping *mapping = save->mapping;
        save->created = 0;
        if (!is_newest(tx, mapping, error) || !clear_mapping(tx, mapping->job_id, error))
                return false;
        for (size_t i = 0; i < mapping->input_count; i++)
                if (!insert_input(tx, mapping->job_id, &mapping->inputs[i], error))
                        return false;
        return tx_exec(tx,
                       SQL("UPDATE jobs SET inputs_determined = $2, has_new_inputs = $3, "
                           "mapping_number = mapping_number + 1 WHERE id = $1",
                           DB_INT(mapping->job_id), DB_BOOL(mapping->resolved),
                           DB_BOOL(mapping->has_new_inputs)),
                       NULL, error) &&
               (!mapping->ensure_pending ||
                ensure_pending(tx, mapping->job_id, &save->created, error)) &&
               (!mapping->has_next ||
                tx_request_schedule(tx, SCHEDULE("id = $2", DB_INT(mapping->job_id)), error));
}

static bool same_in(DbTx *tx, void *data, GError **error) {
        Save *save = data;
        const InputMapping *mapping = save->mapping;
        g_autoptr(GString) text = g_string_new(NULL);
        int64_t flags;
        g_clear_pointer(&save->was, g_free);
        if (!describe_saved(tx, mapping->job_id, text, error) ||
            !tx_int(tx, -1, &flags,
                    SQL("SELECT CASE WHEN inputs_determined THEN 2 ELSE 0 END + CASE WHEN "
                        "has_new_inputs THEN 1 ELSE 0 END FROM jobs WHERE id = $1",
                        DB_INT(mapping->job_id)),
                    error))
                return false;
        g_string_append_printf(text, "%" G_GINT64_FORMAT, flags);
        save->was = g_string_free(g_steal_pointer(&text), false);
        return true;
}

typedef struct {
        const InputMapping *mapping;
        GHashTable *digests; /* version id → digest */
} Digests;

static bool digests_in(DbTx *tx, void *data, GError **error) {
        Digests *digests = data;
        g_hash_table_remove_all(digests->digests);
        for (size_t i = 0; i < digests->mapping->input_count; i++) {
                int64_t id = digests->mapping->inputs[i].version_id;
                void *digest = NULL;
                if (id &&
                    !tx_one(tx, NULL, row_text, &digest,
                            SQL("SELECT digest FROM versions WHERE id = $1", DB_INT(id)), error))
                        return false;
                if (digest)
                        g_hash_table_insert(digests->digests, g_memdup2(&id, sizeof id), digest);
        }
        return true;
}

static int by_input_name(const void *a, const void *b) {
        return strcmp((*(const InputMappingInput *const *) a)->input_name,
                      (*(const InputMappingInput *const *) b)->input_name);
}

static int by_id(const void *a, const void *b) {
        int64_t left = *(const int64_t *) a, right = *(const int64_t *) b;
        return left < right ? -1 : left > right;
}

/* The same text of a mapping that is not saved yet. */
static char *describe_new(const InputMapping *mapping, GHashTable *digests) {
        GString *text = g_string_new(NULL);
        g_autoptr(GPtrArray) inputs = g_ptr_array_new();
        g_autoptr(GArray) pipes = g_array_new(false, false, sizeof(int64_t));
        for (size_t i = 0; i < mapping->input_count; i++) {
                const InputMappingInput *input = &mapping->inputs[i];
                if (input->version_id || input->resolve_error)
                        g_ptr_array_add(inputs, (void *) input);
                g_array_append_vals(pipes, input->passed_builds, (guint) input->passed_build_count);
        }
        g_ptr_array_sort(inputs, by_input_name);
        for (guint i = 0; i < inputs->len; i++) {
                const InputMappingInput *input = inputs->pdata[i];
                bool resolved = input->version_id != 0;
                g_string_append_printf(
                        text, "%s\x1f%" G_GINT64_FORMAT "\x1f%s\x1f%d\x1f%s\n", input->input_name,
                        resolved ? input->resource_id : 0,
                        resolved ? text_or_empty(g_hash_table_lookup(digests, &input->version_id))
                                 : "",
                        resolved && input->first_occurrence, resolved ? "" : input->resolve_error);
        }
        g_array_sort(pipes, by_id);
        for (guint i = 0; i < pipes->len; i++)
                if (i == 0 ||
                    g_array_index(pipes, int64_t, i) != g_array_index(pipes, int64_t, i - 1))
                        g_string_append_printf(text, "%" G_GINT64_FORMAT "\n",
                                               g_array_index(pipes, int64_t, i));
        g_string_append_printf(text, "%d", mapping->resolved * 2 + mapping->has_new_inputs);
        return g_string_free(text, false);
}

bool input_mapping_save(Store *store, const InputMapping *mapping, int64_t *ret_created,
                        GError **error) {
        g_autoptr(GHashTable)
                digests = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_free);
        Save save = { .mapping = mapping };
        if (!db_read(store->db, digests_in, &(Digests){ mapping, digests }, error) ||
            !db_read(store->db, same_in, &save, error))
                return false;
        g_autofree char *was = save.was, *is = describe_new(mapping, digests);
        bool changed = !g_str_equal(was, is) || mapping->ensure_pending || mapping->has_next;
        if (changed && !db_write(store->db, save_in, &save, error))
                return false;
        if (ret_created)
                *ret_created = save.created;
        return true;
}

/* ---- looking ---- */

static void *row_next_input(Store *store, DbRows *rows, GError **error) {
        NextInput *input = g_new0(NextInput, 1);
        *input = (NextInput){
                .input_name = g_strdup(db_text(rows, 0)),
                .resource_id = db_int(rows, 1),
                .version_id = db_int(rows, 2),
                .version = row_json(rows, 3),
                .resolve_error = g_strdup(db_text(rows, 4)),
                .first_occurrence = db_bool(rows, 5),
        };
        return input;
}

GPtrArray *input_mapping_get(Store *store, int64_t job_id, bool *ret_determined, GError **error) {
        g_autoptr(Job) job = job_get(store, job_id, error);
        if (!job)
                return NULL;
        GPtrArray *inputs = store_list(
                store, row_next_input, (GDestroyNotify) next_input_free,
                SQL("SELECT n.name, n.resource_id, v.id, v.version, n.resolve_error, "
                    "n.first_occurrence FROM next_inputs n LEFT JOIN resources r ON r.id = "
                    "n.resource_id LEFT JOIN versions v ON v.scope_id = r.resource_scope_id AND "
                    "v.digest = n.digest WHERE n.job_id = $1 ORDER BY n.name",
                    DB_INT(job_id)),
                error);
        if (inputs && ret_determined)
                *ret_determined = job->inputs_determined;
        return inputs;
}

/* ---- the gate (05 §3.6) ---- */

typedef struct {
        int64_t build_id;
        bool passed;
} Gate;

static bool gate_decide(DbTx *tx, const Build *build, const Job *job, bool *ret_reached,
                        GError **error) {
        int64_t running, next;
        if (!tx_int(tx, 0, &running,
                    SQL("SELECT count(*) FROM builds b WHERE NOT b.completed AND b.scheduled AND "
                        "b.job_id IN (SELECT g.job_id FROM job_serial_groups g JOIN jobs j ON j.id "
                        "= g.job_id WHERE j.pipeline_id = $1 AND g.name IN (SELECT name FROM "
                        "job_serial_groups WHERE job_id = $2))",
                        DB_INT(job->pipeline_id), DB_INT(job->id)),
                    error) ||
            !tx_int(tx, 0, &next,
                    SQL("SELECT b.id FROM builds b JOIN jobs k ON k.id = b.job_id WHERE NOT "
                        "b.completed AND b.status = 'pending' AND NOT k.paused AND "
                        "k.inputs_determined AND b.job_id IN (SELECT g.job_id FROM "
                        "job_serial_groups g JOIN jobs j ON j.id = g.job_id WHERE j.pipeline_id = "
                        "$1 AND g.name IN (SELECT name FROM job_serial_groups WHERE job_id = $2)) "
                        "ORDER BY b.sort_id, b.id LIMIT 1",
                        DB_INT(job->pipeline_id), DB_INT(job->id)),
                    error))
                return false;
        *ret_reached = running >= job->max_in_flight || next != build->id;
        return true;
}

static bool gate_in(DbTx *tx, void *data, GError **error) {
        Gate *gate = data;
        g_autoptr(Job) job = NULL;
        void *found;
        bool reached = false;
        gate->passed = false;
        if (!tx_one(tx, NULL, row_build, &found,
                    SQL("SELECT " BUILD_COLUMNS " FROM " BUILD_TABLES " WHERE b.id = $1",
                        DB_INT(gate->build_id)),
                    error))
                return false;
        g_autoptr(Build) build = found;
        if (!changed_or_not_found(build != NULL, "build", error) ||
            !tx_job_get(tx, NULL, build->job_id, &job, error) ||
            !changed_or_not_found(job != NULL, "job", error))
                return false;
        if (build->scheduled) {
                gate->passed = build->status == BUILD_PENDING;
                return true;
        }
        if (job->paused || job->pipeline_paused || build->status != BUILD_PENDING)
                return true;
        if (job->max_in_flight > 0 && !gate_decide(tx, build, job, &reached, error))
                return false;
        gate->passed = !reached;
        return (job->max_in_flight_reached == reached ||
                tx_exec(tx,
                        SQL("UPDATE jobs SET max_in_flight_reached = $2 WHERE id = $1",
                            DB_INT(job->id), DB_BOOL(reached)),
                        NULL, error)) &&
               (reached ||
                tx_exec(tx,
                        SQL("UPDATE builds SET scheduled = TRUE WHERE id = $1", DB_INT(build->id)),
                        NULL, error));
}

bool build_pass_gate(Store *store, int64_t build_id, bool *ret_passed, GError **error) {
        Gate gate = { .build_id = build_id };
        if (!db_write(store->db, gate_in, &gate, error))
                return false;
        *ret_passed = gate.passed;
        return true;
}

/* ---- adoption (05 §3.5 step 4) ---- */

typedef struct {
        int64_t build_id;
        bool adopted;
} Adopt;

static bool clear_inputs(DbTx *tx, int64_t build_id, GError **error) {
        return tx_exec(tx, SQL("DELETE FROM build_inputs WHERE build_id = $1", DB_INT(build_id)),
                       NULL, error) &&
               tx_exec(tx, SQL("DELETE FROM build_pipes WHERE to_build_id = $1", DB_INT(build_id)),
                       NULL, error);
}

static bool set_ready(DbTx *tx, Adopt *adopt, GError **error) {
        adopt->adopted = true;
        return tx_exec(
                tx,
                SQL("UPDATE builds SET inputs_ready = TRUE WHERE id = $1", DB_INT(adopt->build_id)),
                NULL, error);
}

/* Names the first input whose version's row is gone. *ret is NULL when all are there. */
static bool find_missing(DbTx *tx, const Statement *statement, char **ret, GError **error) {
        void *name;
        if (!tx_one(tx, NULL, row_text, &name, statement, error))
                return false;
        *ret = name;
        return true;
}

static bool note_missing(DbTx *tx, int64_t job_id, const char *input, GError **error) {
        g_autofree char *text = g_strdup_printf("chosen version of input %s not available", input);
        return tx_exec(tx,
                       SQL("UPDATE next_inputs SET resolve_error = $3, resource_id = NULL, digest "
                           "= NULL WHERE job_id = $1 AND name = $2",
                           DB_INT(job_id), DB_TEXT(input), DB_TEXT(text)),
                       NULL, error) &&
               tx_exec(tx,
                       SQL("UPDATE jobs SET inputs_determined = FALSE WHERE id = $1",
                           DB_INT(job_id)),
                       NULL, error);
}

static bool adopt_mapping(DbTx *tx, Adopt *adopt, int64_t job_id, GError **error) {
        int64_t determined;
        g_autofree char *missing = NULL;
        if (!tx_int(tx, 0, &determined,
                    SQL("SELECT count(*) FROM jobs WHERE id = $1 AND inputs_determined",
                        DB_INT(job_id)),
                    error))
                return false;
        if (!determined)
                return true;
        if (!find_missing(tx,
                          SQL("SELECT n.name FROM next_inputs n LEFT JOIN resources r ON r.id = "
                              "n.resource_id LEFT JOIN versions v ON v.scope_id = "
                              "r.resource_scope_id AND v.digest = n.digest WHERE n.job_id = $1 AND "
                              "v.id IS NULL ORDER BY n.name LIMIT 1",
                              DB_INT(job_id)),
                          &missing, error))
                return false;
        if (missing)
                return note_missing(tx, job_id, missing, error);
        return clear_inputs(tx, adopt->build_id, error) &&
               tx_exec(tx,
                       SQL("INSERT INTO build_inputs (build_id, name, resource_id, digest, "
                           "first_occurrence) SELECT $1, name, resource_id, digest, "
                           "first_occurrence FROM next_inputs WHERE job_id = $2",
                           DB_INT(adopt->build_id), DB_INT(job_id)),
                       NULL, error) &&
               tx_exec(tx,
                       SQL("INSERT INTO build_pipes (from_build_id, to_build_id) SELECT "
                           "from_build_id, $1 FROM next_pipes WHERE job_id = $2",
                           DB_INT(adopt->build_id), DB_INT(job_id)),
                       NULL, error) &&
               set_ready(tx, adopt, error);
}

static bool adopt_original(DbTx *tx, Adopt *adopt, int64_t original, GError **error) {
        int64_t ready;
        g_autofree char *missing = NULL;
        if (!tx_int(tx, 0, &ready,
                    SQL("SELECT count(*) FROM builds WHERE id = $1 AND inputs_ready",
                        DB_INT(original)),
                    error))
                return false;
        if (!ready)
                return true;
        if (!find_missing(tx,
                          SQL("SELECT i.name FROM build_inputs i LEFT JOIN resources r ON r.id = "
                              "i.resource_id LEFT JOIN versions v ON v.scope_id = "
                              "r.resource_scope_id AND v.digest = i.digest WHERE i.build_id = $1 "
                              "AND v.id IS NULL ORDER BY i.name LIMIT 1",
                              DB_INT(original)),
                          &missing, error))
                return false;
        if (missing)
                return tx_exec(tx,
                               SQL("UPDATE builds SET aborted = TRUE WHERE id = $1",
                                   DB_INT(adopt->build_id)),
                               NULL, error);
        return clear_inputs(tx, adopt->build_id, error) &&
               tx_exec(tx,
                       SQL("INSERT INTO build_inputs (build_id, name, resource_id, digest, "
                           "first_occurrence) SELECT $1, name, resource_id, digest, FALSE FROM "
                           "build_inputs WHERE build_id = $2",
                           DB_INT(adopt->build_id), DB_INT(original)),
                       NULL, error) &&
               tx_exec(tx,
                       SQL("INSERT INTO build_pipes (from_build_id, to_build_id) SELECT "
                           "from_build_id, $1 FROM build_pipes WHERE to_build_id = $2",
                           DB_INT(adopt->build_id), DB_INT(original)),
                       NULL, error) &&
               set_ready(tx, adopt, error);
}

static bool adopt_in(DbTx *tx, void *data, GError **error) {
        Adopt *adopt = data;
        int64_t job_id, original, pending;
        adopt->adopted = false;
        if (!tx_int(tx, 0, &job_id,
                    SQL("SELECT job_id FROM builds WHERE id = $1", DB_INT(adopt->build_id)),
                    error) ||
            !changed_or_not_found(job_id, "build", error) ||
            !tx_int(tx, 0, &pending,
                    SQL("SELECT count(*) FROM builds WHERE id = $1 AND status = 'pending'",
                        DB_INT(adopt->build_id)),
                    error))
                return false;
        if (!pending)
                return true; /* another node was faster: what it started stays as it is */
        if (!tx_int(tx, 0, &original,
                    SQL("SELECT COALESCE(rerun_of, 0) FROM builds WHERE id = $1",
                        DB_INT(adopt->build_id)),
                    error))
                return false;
        return original ? adopt_original(tx, adopt, original, error)
                        : adopt_mapping(tx, adopt, job_id, error);
}

bool build_adopt_inputs(Store *store, int64_t build_id, bool *ret_adopted, GError **error) {
        Adopt adopt = { .build_id = build_id };
        if (!db_write(store->db, adopt_in, &adopt, error))
                return false;
        *ret_adopted = adopt.adopted;
        return true;
}
