/* What workers report and what they are to destroy (05 §6.10): alike for containers and volumes. */
#include "store/internal.h"

/* The statements of one kind of thing. */
typedef struct {
        const char *known, *insert, *clear_missing, *set_missing, *remove, *destroying;
} Reported;

#define STATEMENTS(table, more_columns, more_values)                                               \
        {                                                                                          \
                "SELECT t.handle, t.state, t.missing_since, t.id FROM " table                      \
                " t JOIN workers w ON w.id = t.worker_id WHERE w.name = $1",                       \
                        "INSERT INTO " table " (handle, worker_id, state" more_columns             \
                        ") SELECT $1, id, 'destroying'" more_values                                \
                        " FROM workers WHERE name = $2 ON CONFLICT (handle) DO NOTHING",           \
                        "UPDATE " table " SET missing_since = 0 WHERE id = $1",                    \
                        "UPDATE " table " SET missing_since = $2 WHERE id = $1",                   \
                        "DELETE FROM " table " WHERE id = $1",                                     \
                        "SELECT t.handle FROM " table                                              \
                        " t JOIN workers w ON w.id = t.worker_id WHERE w.name = $1 AND t.state = " \
                        "'destroying' ORDER BY t.id"                                               \
        }

static const Reported containers = STATEMENTS("containers", ", created", ", 0");
static const Reported volumes = STATEMENTS("volumes", "", "");

typedef struct {
        char *handle, *state;
        Time missing_since;
        int64_t id;
} Known;

static void known_free(void *data) {
        Known *known = data;
        g_free(known->handle);
        g_free(known->state);
        g_free(known);
}

static void *row_known(Store *store, DbRows *rows, GError **error) {
        Known *known = g_new0(Known, 1);
        *known = (Known){ g_strdup(db_text(rows, 0)), g_strdup(db_text(rows, 1)), db_int(rows, 2),
                          db_int(rows, 3) };
        return known;
}

typedef struct {
        const Reported *what;
        const char *worker;
        const GPtrArray *handles; /* NULL: JSON null */
        Time now;
        bool write, needed; /* whether there is anything to write */
} Report;

static bool apply_known(DbTx *tx, Report *report, const Known *known, bool reported,
                        GError **error) {
        const char *sql = NULL;
        DbArg time = DB_INT(report->now);
        if (reported && known->missing_since)
                sql = report->what->clear_missing;
        else if (!reported && report->handles && g_str_equal(known->state, "destroying"))
                sql = report->what->remove;
        else if (!reported && !known->missing_since && !g_str_equal(known->state, "creating"))
                sql = report->what->set_missing;
        if (!sql)
                return true;
        report->needed = true;
        if (!report->write)
                return true;
        return sql == report->what->set_missing
                       ? tx_exec(tx, SQL(sql, DB_INT(known->id), time), NULL, error)
                       : tx_exec(tx, SQL(sql, DB_INT(known->id)), NULL, error);
}

static bool report_in(DbTx *tx, void *data, GError **error) {
        Report *report = data;
        g_autoptr(GPtrArray) rows = g_ptr_array_new_with_free_func(known_free);
        g_autoptr(GHashTable) reported = g_hash_table_new(g_str_hash, g_str_equal);
        report->needed = false;
        if (!tx_list(tx, NULL, row_known, rows, SQL(report->what->known, DB_TEXT(report->worker)),
                     error))
                return false;
        for (guint i = 0; report->handles && i < report->handles->len; i++)
                g_hash_table_add(reported, report->handles->pdata[i]);
        for (guint i = 0; i < rows->len; i++) {
                const Known *known = rows->pdata[i];
                bool there = g_hash_table_remove(reported, known->handle);
                if (!apply_known(tx, report, known, there, error))
                        return false;
        }
        /* What is left in the set is unknown here: to be destroyed. */
        GHashTableIter iter;
        void *handle;
        g_hash_table_iter_init(&iter, reported);
        while (g_hash_table_iter_next(&iter, &handle, NULL)) {
                report->needed = true;
                if (report->write &&
                    !tx_exec(tx,
                             SQL(report->what->insert, DB_TEXT(handle), DB_TEXT(report->worker)),
                             NULL, error))
                        return false;
        }
        return true;
}

/* A report without news writes nothing. */
static bool run_report(Store *store, Report *report, GError **error) {
        if (!db_read(store->db, report_in, report, error))
                return false;
        report->write = true;
        return !report->needed || db_write(store->db, report_in, report, error);
}

bool container_report(Store *store, const char *worker, const GPtrArray *handles, Time now,
                      GError **error) {
        return run_report(store, &(Report){ &containers, worker, handles, now, false, false },
                          error);
}

bool volume_report(Store *store, const char *worker, const GPtrArray *handles, Time now,
                   GError **error) {
        return run_report(store, &(Report){ &volumes, worker, handles, now, false, false }, error);
}

bool container_may_go_on(Store *store, const char *worker, int64_t build_id, bool *ret,
                         GError **error) {
        g_autoptr(GArray) ids = store_ids(
                store,
                SQL("SELECT c.id FROM containers c JOIN workers w ON w.id = c.worker_id WHERE "
                    "w.name = $1 AND (c.state NOT IN ('creating', 'created') OR c.for_build_id = 0 "
                    "OR c.for_build_id > $2 OR NOT EXISTS (SELECT 1 FROM containers o WHERE "
                    "o.worker_id = c.worker_id AND o.for_build_id = c.for_build_id AND o.state = "
                    "'creating')) LIMIT 1",
                    DB_TEXT(worker), DB_INT(build_id)),
                error);
        if (ids)
                *ret = ids->len > 0;
        return ids != NULL;
}

bool container_drop_kept(Store *store, const char *worker, Time since, GError **error) {
        static const char kept[] =
                "SELECT c.id FROM containers c JOIN workers w ON w.id = c.worker_id JOIN builds b ON "
                "b.id = c.build_id WHERE w.name = $1 AND c.state = 'created' AND b.completed AND "
                "c.last_hijack < $2";
        /* Most of the time there are none, and nothing is written. */
        g_autoptr(GArray) ids = store_ids(store, SQL(kept, DB_TEXT(worker), DB_INT(since)), error);
        for (guint i = 0; ids && i < ids->len; i++)
                if (!container_set_destroying(store, g_array_index(ids, int64_t, i), error))
                        return false;
        return ids != NULL;
}

GPtrArray *container_list_destroying(Store *store, const char *worker, GError **error) {
        return store_list(store, row_text, g_free, SQL(containers.destroying, DB_TEXT(worker)),
                          error);
}

GPtrArray *volume_list_destroying(Store *store, const char *worker, GError **error) {
        return store_list(store, row_text, g_free, SQL(volumes.destroying, DB_TEXT(worker)), error);
}
