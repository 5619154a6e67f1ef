#include "db/driver.h"

#include "base/json.h"

#include <string.h>

static const DbDriver *const drivers[] = { &sqlite_driver, &postgres_driver }; /* by DbKind */

Db *db_open(const DbSpec *spec, GError **error) {
        const DbSchema standard = { db_migrations, db_migration_count, db_sealed_columns,
                                    db_sealed_count };
        const DbSchema *schema = spec->schema ? spec->schema : &standard;
        g_autoptr(Db) db = g_new0(Db, 1);
        db->driver = drivers[spec->kind];
        db->kind = spec->kind;
        db->listeners = listeners_new();
        if (!db->driver->open(db, spec, error) || !migrate(db, schema, spec->no_migrate, error))
                return NULL;
        if (!spec->no_migrate && !sealed_open(db, spec, schema, error))
                return NULL;
        return g_steal_pointer(&db);
}

void db_close(Db *db) {
        if (!db)
                return;
        db->driver->close(db);
        listeners_free(db->listeners);
        g_clear_pointer(&db->key, g_bytes_unref);
        g_free(db);
}

DbKind db_kind(const Db *db) {
        return db->kind;
}

int db_schema_version(const Db *db) {
        return db->version;
}

/* ---- transactions ---- */

/* A closure inside a closure would wait for its own connection. */
static _Thread_local bool inside;

bool tx_run(DbTx *tx, DbFn fn, void *data, GError **error) {
        g_autoptr(GError) failure = NULL;
        inside = true;
        bool ok = fn(tx, data, &failure);
        inside = false;
        g_assert(tx->open_rows == 0);
        g_assert(ok == !failure);
        if (ok && tx->failed) {
                g_set_error_literal(error, ERROR, ERROR_INTERNAL,
                                    "database: a closure went on after a statement had failed");
                return false;
        }
        if (failure)
                g_propagate_error(error, g_steal_pointer(&failure));
        return ok;
}

bool db_write(Db *db, DbFn fn, void *data, GError **error) {
        g_assert(!inside);
        return db->driver->write(db, fn, data, error);
}

bool db_read(Db *db, DbFn fn, void *data, GError **error) {
        g_assert(!inside);
        return db->driver->read(db, fn, data, error);
}

/* ---- statements ---- */

DbArg db_arg_text(const char *text) {
        return (DbArg){
                .kind = DB_ARG_TEXT, .data = text, .length = text ? strlen(text) : 0, .null = !text
        };
}

DbArg db_arg_int_or_null(int64_t value) {
        return (DbArg){ .kind = DB_ARG_INT, .integer = value, .null = value == 0 };
}

bool db_exec_(DbTx *tx, int64_t *ret_changed, GError **error, const char *sql, const DbArg *args,
              size_t count) {
        g_assert(tx->writing && count <= ARGUMENTS_MAX);
        int64_t changed = 0;
        if (!tx->db->driver->exec(tx, &changed, error, sql, args, count)) {
                tx->failed = true;
                return false;
        }
        if (ret_changed)
                *ret_changed = changed;
        return true;
}

DbRows *db_query_(DbTx *tx, GError **error, const char *sql, const DbArg *args, size_t count) {
        g_assert(count <= ARGUMENTS_MAX);
        DbRows *rows = tx->db->driver->query(tx, error, sql, args, count);
        if (!rows) {
                tx->failed = true;
                return NULL;
        }
        tx->open_rows++;
        return rows;
}

bool db_next(DbRows *rows) {
        return !rows->failure && rows->tx->db->driver->next(rows);
}

bool db_done(DbRows *rows, GError **error) {
        if (!rows->failure)
                return true;
        rows->tx->failed = true;
        g_propagate_error(error, g_steal_pointer(&rows->failure));
        return false;
}

void db_rows_free(DbRows *rows) {
        if (!rows)
                return;
        if (rows->failure)
                rows->tx->failed = true;
        g_clear_error(&rows->failure);
        rows->tx->open_rows--;
        rows->tx->db->driver->rows_free(rows);
}

bool db_is_null(DbRows *rows, int column) {
        return rows->tx->db->driver->is_null(rows, column);
}

int64_t db_int(DbRows *rows, int column) {
        return db_is_null(rows, column) ? 0 : rows->tx->db->driver->integer(rows, column);
}

bool db_bool(DbRows *rows, int column) {
        return db_int(rows, column) != 0;
}

double db_double(DbRows *rows, int column) {
        return db_is_null(rows, column) ? 0 : rows->tx->db->driver->number(rows, column);
}

const char *db_text(DbRows *rows, int column) {
        return db_is_null(rows, column) ? NULL : rows->tx->db->driver->text(rows, column);
}

const void *db_bytes(DbRows *rows, int column, size_t *ret_length) {
        *ret_length = 0;
        return db_is_null(rows, column) ? NULL
                                        : rows->tx->db->driver->bytes(rows, column, ret_length);
}

Value *db_json(DbRows *rows, int column) {
        const char *text = db_text(rows, column);
        Value *value = text ? json_parse(text, strlen(text), NULL, NULL) : NULL;
        return value ? value : value_null();
}

bool db_query_int_(DbTx *tx, int64_t otherwise, int64_t *ret, GError **error, const char *sql,
                   const DbArg *args, size_t count) {
        g_autoptr(DbRows) rows = db_query_(tx, error, sql, args, count);
        if (!rows)
                return false;
        int64_t value = db_next(rows) ? db_int(rows, 0) : otherwise;
        if (!db_done(rows, error))
                return false;
        *ret = value;
        return true;
}

bool db_now(DbTx *tx, int64_t *ret_microseconds, GError **error) {
        return tx->db->driver->now(tx, ret_microseconds, error);
}

/* ---- the rest ---- */

void db_notify(DbTx *tx, const char *channel, const char *payload) {
        if (!payload)
                payload = "";
        g_assert(tx->writing && !strchr(channel, '\n') &&
                 strlen(channel) + strlen(payload) < DB_NOTIFY_BYTES_MAX);
        notes_add(tx->notes, channel, payload);
}

void db_listen(Db *db, DbNotifyFn fn, void *data) {
        listeners_add(db->listeners, fn, data);
}

bool db_backup(Db *db, const char *path, Cancel *cancel, GError **error) {
        return db->driver->backup(db, path, cancel, error);
}
