#include "store/task_cache.h"

#include "store/internal.h"

typedef struct {
        int64_t job_id;
        const char *step_name, *path;
        Time now;
        int64_t id;
} Find;

static bool find_in(DbTx *tx, void *data, GError **error) {
        Find *find = data;
        return tx_int(tx, 0, &find->id,
                      SQL("SELECT id FROM task_caches WHERE job_id = $1 AND step_name = $2 AND "
                          "path = $3",
                          DB_INT(find->job_id), DB_TEXT(find->step_name), DB_TEXT(find->path)),
                      error);
}

static bool make_in(DbTx *tx, void *data, GError **error) {
        Find *find = data;
        return tx_insert(tx, &find->id,
                         SQL("INSERT INTO task_caches (job_id, step_name, path, last_used) VALUES "
                             "($1, $2, $3, $4) ON CONFLICT (job_id, step_name, path) DO UPDATE SET "
                             "last_used = excluded.last_used RETURNING id",
                             DB_INT(find->job_id), DB_TEXT(find->step_name), DB_TEXT(find->path),
                             DB_INT(find->now)),
                         error);
}

bool task_cache_find(Store *store, int64_t job_id, const char *step_name, const char *path,
                     int64_t *ret_id, GError **error) {
        Find find = { .job_id = job_id, .step_name = step_name, .path = path };
        if (!db_read(store->db, find_in, &find, error) ||
            !changed_or_not_found(find.id, "task cache", error))
                return false;
        *ret_id = find.id;
        return true;
}

bool task_cache_find_or_create(Store *store, int64_t job_id, const char *step_name,
                               const char *path, int64_t *ret_id, GError **error) {
        Find find = {
                .job_id = job_id, .step_name = step_name, .path = path, .now = clock_steady()
        };
        if (job_id == 0) {
                g_set_error(error, ERROR, ERROR_INVALID, "only jobs have task caches");
                return false;
        }
        if (!db_write(store->db, make_in, &find, error))
                return false;
        *ret_id = find.id;
        return true;
}

bool task_cache_touch(Store *store, int64_t id, Duration ttl, GError **error) {
        return store_exec(store,
                          SQL("UPDATE task_caches SET last_used = $2, ttl = $3 WHERE id = $1",
                              DB_INT(id), DB_INT(clock_steady()), DB_INT(ttl)),
                          NULL, error);
}

bool task_cache_clear(Store *store, int64_t job_id, const char *step_name, const char *path,
                      int64_t *ret_deleted, GError **error) {
        return store_exec(store,
                          SQL("DELETE FROM task_caches WHERE job_id = $1 AND step_name = $2 AND "
                              "($3 = '' OR path = $3)",
                              DB_INT(job_id), DB_TEXT(step_name), DB_TEXT(text_or_empty(path))),
                          ret_deleted, error);
}

bool task_cache_sweep(Store *store, Time now, int64_t *ret_deleted, GError **error) {
        return store_exec(
                store,
                SQL("DELETE FROM task_caches WHERE (ttl > 0 AND last_used + ttl / 1000 < $1) OR "
                    "EXISTS (SELECT 1 FROM jobs j JOIN pipelines p ON p.id = j.pipeline_id WHERE "
                    "j.id = task_caches.job_id AND (p.archived OR ((p.paused OR j.paused) AND "
                    "j.next_build_id IS NULL)))",
                    DB_INT(now)),
                ret_deleted, error);
}
