/*
 * Brings a database to the newest version: one transaction per migration, which also records it, so
 * that a killed one has not happened and is run at the next start.
 */
#include "db/driver.h"

#include "base/fault.h"

/* weir_settings is for what the program has to know before it knows the tables (sealed.c). */
static const char bootstrap_sql[] = "CREATE TABLE IF NOT EXISTS weir_schema ("
                                    " version BIGINT NOT NULL PRIMARY KEY,"
                                    " name TEXT NOT NULL,"
                                    " applied BIGINT NOT NULL);"
                                    "CREATE TABLE IF NOT EXISTS weir_settings ("
                                    " name TEXT NOT NULL PRIMARY KEY,"
                                    " value TEXT NOT NULL,"
                                    " nonce TEXT);";

/* Only one web node at a time; the others find it done. */
static bool take_turn(DbTx *tx, GError **error) {
        g_autoptr(DbRows) rows = tx->db->kind == DB_POSTGRES
                                         ? db_query(tx, error, "SELECT pg_advisory_xact_lock($1)",
                                                    DB_INT(0x77656972))
                                         : db_query(tx, error, "SELECT 1");
        return rows != NULL;
}

static bool bootstrap(DbTx *tx, void *data, GError **error) {
        return take_turn(tx, error) && tx->db->driver->script(tx, bootstrap_sql, error);
}

/* Whether there is a database of ours at all: a table that is missing would be an error. */
static bool read_present(DbTx *tx, bool *ret, GError **error) {
        const char *sql = tx->db->kind == DB_SQLITE
                                  ? "SELECT count(*) FROM sqlite_schema WHERE name = 'weir_schema'"
                                  : "SELECT count(*) FROM pg_catalog.pg_class"
                                    " WHERE oid = to_regclass('weir_schema')";
        int64_t count = 0;
        if (!db_query_int(tx, 0, &count, error, sql))
                return false;
        *ret = count > 0;
        return true;
}

static bool read_version(DbTx *tx, void *data, GError **error) {
        int64_t version = 0;
        bool present = false;
        if (!read_present(tx, &present, error))
                return false;
        if (present && !db_query_int(tx, 0, &version, error,
                                     "SELECT COALESCE(max(version), 0) FROM weir_schema"))
                return false;
        *(int64_t *) data = version;
        return true;
}

typedef struct {
        const DbMigration *migration;
        int64_t version; /* it leads to */
} Step;

static bool apply(DbTx *tx, void *data, GError **error) {
        const Step *step = data;
        int64_t version = 0;
        if (!take_turn(tx, error) || !read_version(tx, &version, error))
                return false;
        if (version >= step->version)
                return true;
        g_autofree char *expanded = sql_expand(tx->db->kind, step->migration->sql);
        const char *sql = expanded ? expanded : step->migration->sql;
        fault_here("migrate-before");
        if (!tx->db->driver->script(tx, sql, error)) {
                g_prefix_error(error, "migration %04d_%s: ", (int) step->version,
                               step->migration->name);
                return false;
        }
        fault_here("migrate-after");
        return db_exec(tx, error,
                       "INSERT INTO weir_schema (version, name, applied) VALUES ($1, $2, $3)",
                       DB_INT(step->version), DB_TEXT(step->migration->name), DB_INT(clock_now()));
}

/* Applies the next one. When that fails because another node did it meanwhile, all is well. */
static bool advance(Db *db, const DbSchema *schema, GError **error) {
        Step step = { &schema->migrations[db->version], db->version + 1 };
        g_autoptr(GError) failure = NULL;
        bool ok = db_write(db, apply, &step, &failure);
        int64_t version = 0;
        if (!db_read(db, read_version, &version, error))
                return false;
        if (!ok && version < step.version) {
                g_propagate_error(error, g_steal_pointer(&failure));
                return false;
        }
        db->version = (int) version;
        return true;
}

bool migrate(Db *db, const DbSchema *schema, bool only_look, GError **error) {
        int newest = (int) schema->migration_count;
        int64_t version = 0;
        if (!db_read(db, read_version, &version, error))
                return false;
        db->version = (int) version;
        if (version > newest) {
                g_set_error(error, ERROR, ERROR_UNSUPPORTED,
                            "database has version %d, and this program knows versions up to %d: "
                            "start a newer program, or restore a backup",
                            db->version, newest);
                return false;
        }
        if (only_look)
                return true;
        if (version > 0 && version < newest && !db->driver->keep_copy(db, newest, error))
                return false;
        if (version == 0 && !db_write(db, bootstrap, NULL, error))
                return false;
        while (db->version < newest)
                if (!advance(db, schema, error))
                        return false;
        return true;
}
