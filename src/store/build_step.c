#include "store/build_step.h"

#include "store/internal.h"

void build_step_free(BuildStep *step) {
        if (!step)
                return;
        g_free(step->plan_id);
        g_free(step->attempt);
        g_free(step->worker);
        g_free(step->handle);
        value_free(step->result);
        g_free(step);
}

typedef struct {
        const BuildLease *lease;
        const BuildStep *step;
        const char *result, *nonce;
} Save;

static bool save_in(DbTx *tx, void *data, GError **error) {
        Save *save = data;
        const BuildStep *step = save->step;
        Time now;
        return db_now(tx, &now, error) &&
               tx_lease_check(tx, save->lease->build_id, save->lease->epoch, error) &&
               tx_exec(tx,
                       SQL("INSERT INTO build_steps (build_id, plan_id, attempt, state, worker, "
                           "handle, started, schema_number, result, result_nonce) VALUES ($1, $2, "
                           "$3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT (build_id, plan_id, "
                           "attempt) DO UPDATE SET state = excluded.state, worker = "
                           "COALESCE(excluded.worker, build_steps.worker), handle = "
                           "COALESCE(excluded.handle, build_steps.handle), schema_number = "
                           "excluded.schema_number, result = COALESCE(excluded.result, "
                           "build_steps.result), result_nonce = CASE WHEN excluded.result IS NULL "
                           "THEN build_steps.result_nonce ELSE excluded.result_nonce END",
                           DB_INT(save->lease->build_id), DB_TEXT(step->plan_id),
                           DB_TEXT(text_or_empty(step->attempt)), DB_INT(step->state),
                           DB_TEXT(step->worker), DB_TEXT(step->handle), DB_INT(now),
                           DB_INT(BUILD_STEP_SCHEMA), DB_TEXT(save->result), DB_TEXT(save->nonce)),
                       NULL, error);
}

bool build_step_save(Store *store, const BuildLease *lease, const BuildStep *step, GError **error) {
        g_autofree char *result = NULL, *nonce = NULL;
        if (step->result && !seal_json(store, step->result, &result, &nonce, error))
                return false;
        Save save = { .lease = lease, .step = step, .result = result, .nonce = nonce };
        return db_write(store->db, save_in, &save, error);
}

#define SELECT                                                                                     \
        "SELECT build_id, plan_id, attempt, state, worker, handle, started, schema_number, "       \
        "result, result_nonce, CAST($2 AS BIGINT) FROM build_steps WHERE build_id = $1 "

static void *row_step(Store *store, DbRows *rows, GError **error) {
        g_autoptr(BuildStep) step = g_new0(BuildStep, 1);
        step->build_id = db_int(rows, 0);
        step->plan_id = g_strdup(db_text(rows, 1));
        step->attempt = g_strdup(db_text(rows, 2));
        step->state = (BuildStepState) db_int(rows, 3);
        step->worker = g_strdup(db_text(rows, 4));
        step->handle = g_strdup(db_text(rows, 5));
        step->age = MAX(db_int(rows, 10) - db_int(rows, 6), 0) * 1000;
        step->schema = (int) db_int(rows, 7);
        if (!db_is_null(rows, 8) &&
            !(step->result = unseal_json(store, db_text(rows, 8), db_text(rows, 9), error)))
                return NULL;
        return g_steal_pointer(&step);
}

typedef struct {
        Store *store;
        int64_t build_id;
        const char *plan_id, *attempt; /* NULL: all */
        GPtrArray *steps;
} Find;

static bool find_in(DbTx *tx, void *data, GError **error) {
        Find *find = data;
        Time now;
        g_ptr_array_set_size(find->steps, 0);
        if (!db_now(tx, &now, error))
                return false;
        if (find->plan_id)
                return tx_list(tx, find->store, row_step, find->steps,
                               SQL(SELECT "AND plan_id = $3 AND attempt = $4",
                                   DB_INT(find->build_id), DB_INT(now), DB_TEXT(find->plan_id),
                                   DB_TEXT(text_or_empty(find->attempt))),
                               error);
        return tx_list(tx, find->store, row_step, find->steps,
                       SQL(SELECT "ORDER BY id", DB_INT(find->build_id), DB_INT(now)), error);
}

BuildStep *build_step_find(Store *store, int64_t build_id, const char *plan_id, const char *attempt,
                           GError **error) {
        g_autoptr(GPtrArray)
                steps = g_ptr_array_new_with_free_func((GDestroyNotify) build_step_free);
        Find find = { store, build_id, plan_id, attempt, steps };
        if (!db_read(store->db, find_in, &find, error))
                return NULL;
        return steps->len ? g_ptr_array_steal_index(steps, 0) : NULL;
}

GPtrArray *build_step_list(Store *store, int64_t build_id, GError **error) {
        g_autoptr(GPtrArray)
                steps = g_ptr_array_new_with_free_func((GDestroyNotify) build_step_free);
        Find find = { .store = store, .build_id = build_id, .steps = steps };
        return db_read(store->db, find_in, &find, error) ? g_steal_pointer(&steps) : NULL;
}
