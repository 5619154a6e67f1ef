#include "db/sqlite.h"

#include <string.h>

#define BUSY_MILLISECONDS 10000 /* another program, such as sqlite3, may hold the file a while */

typedef struct {
        sqlite3_stmt *handle;
        int positions[ARGUMENTS_MAX]; /* of $1, $2 … among the statement's parameters; 0: unused */
        size_t highest;               /* the N of the last $N */
        bool in_use;
        bool kept; /* in the connection's table */
} Statement;

typedef struct {
        DbRows rows;
        Statement *statement;
        bool first; /* the first row was stepped to and not yet given out */
        bool ended;
} SqliteRows;

/* ---- errors ---- */

static ErrorCode code_for(int result) {
        switch (result) {
        case SQLITE_CONSTRAINT_UNIQUE:
        case SQLITE_CONSTRAINT_PRIMARYKEY:
        case SQLITE_CONSTRAINT_ROWID:
                return ERROR_EXISTS;
        }
        switch (result & 0xff) {
        case SQLITE_CONSTRAINT:
        case SQLITE_NOTADB:
                return ERROR_INVALID;
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
                return ERROR_UNAVAILABLE;
        case SQLITE_PERM:
        case SQLITE_READONLY:
        case SQLITE_AUTH:
                return ERROR_DENIED;
        case SQLITE_FULL:
        case SQLITE_IOERR:
        case SQLITE_CANTOPEN:
        case SQLITE_CORRUPT:
        case SQLITE_NOMEM:
                return ERROR_IO;
        default:
                return ERROR_INTERNAL;
        }
}

void sqlite_error(sqlite3 *handle, GError **error) {
        g_set_error(error, ERROR, (int) code_for(sqlite3_extended_errcode(handle)), "database: %s",
                    sqlite3_errmsg(handle));
}

/* ---- statements ---- */

static void statement_free(void *data) {
        Statement *statement = data;
        if (!statement)
                return;
        sqlite3_finalize(statement->handle);
        g_free(statement);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Statement, statement_free)

/* SQLite numbers "$1" by first appearance, and has no idea of its value. */
static void find_positions(Statement *statement) {
        int count = sqlite3_bind_parameter_count(statement->handle);
        for (int position = 1; position <= count; position++) {
                const char *name = sqlite3_bind_parameter_name(statement->handle, position);
                guint64 number = name && *name == '$' ? g_ascii_strtoull(name + 1, NULL, 10) : 0;
                g_assert(number > 0 && number <= ARGUMENTS_MAX);
                statement->positions[number - 1] = position;
                statement->highest = MAX(statement->highest, number);
        }
}

static Statement *statement_prepare(Connection *connection, const char *sql, bool keep,
                                    GError **error) {
        g_autofree char *expanded = sql_expand(DB_SQLITE, sql);
        g_autoptr(Statement) statement = g_new0(Statement, 1);
        const char *rest = NULL;
        if (sqlite3_prepare_v3(connection->handle, expanded ? expanded : sql, -1,
                               keep ? SQLITE_PREPARE_PERSISTENT : 0, &statement->handle,
                               &rest) != SQLITE_OK) {
                sqlite_error(connection->handle, error);
                return NULL;
        }
        g_assert(statement->handle && rest[strspn(rest, " \t\n;")] == '\0');
        find_positions(statement);
        return g_steal_pointer(&statement);
}

static gboolean statement_idle(void *sql, void *statement, void *data) {
        return !((Statement *) statement)->in_use;
}

/* Returns the statement for sql, marked as in use: the connection's, or one of its own when that is
 * busy already. */
static Statement *statement_get(Connection *connection, const char *sql, GError **error) {
        Statement *statement = g_hash_table_lookup(connection->statements, sql);
        bool keep = !statement;
        if (!statement || statement->in_use) {
                statement = statement_prepare(connection, sql, keep, error);
                if (!statement)
                        return NULL;
        }
        if (keep) {
                if (g_hash_table_size(connection->statements) >= STATEMENTS_KEPT)
                        g_hash_table_foreach_remove(connection->statements, statement_idle, NULL);
                g_hash_table_insert(connection->statements, g_strdup(sql), statement);
                statement->kept = true;
        }
        statement->in_use = true;
        return statement;
}

static void statement_put(Statement *statement) {
        sqlite3_reset(statement->handle);
        sqlite3_clear_bindings(statement->handle);
        statement->in_use = false;
        if (!statement->kept)
                statement_free(statement);
}

static int bind_one(sqlite3_stmt *handle, int position, const DbArg *arg,
                    sqlite3_destructor_type life) {
        if (arg->null)
                return sqlite3_bind_null(handle, position);
        const void *data = arg->data ? arg->data : "";
        switch (arg->kind) {
        case DB_ARG_NULL:
                return sqlite3_bind_null(handle, position);
        case DB_ARG_INT:
        case DB_ARG_BOOL:
                return sqlite3_bind_int64(handle, position, arg->integer);
        case DB_ARG_DOUBLE:
                return sqlite3_bind_double(handle, position, arg->number);
        case DB_ARG_TEXT:
                return sqlite3_bind_text64(handle, position, data, arg->length, life, SQLITE_UTF8);
        case DB_ARG_BYTES:
                return sqlite3_bind_blob64(handle, position, data, arg->length, life);
        }
        g_assert_not_reached();
}

static bool bind_all(Connection *connection, Statement *statement, const DbArg *args, size_t count,
                     sqlite3_destructor_type life, GError **error) {
        if (statement->highest > count) {
                g_set_error(error, ERROR, ERROR_INTERNAL, "database: %zu arguments for $%zu: %s",
                            count, statement->highest, sqlite3_sql(statement->handle));
                return false;
        }
        for (size_t i = 0; i < count; i++)
                if (statement->positions[i] > 0 &&
                    bind_one(statement->handle, statement->positions[i], &args[i], life) !=
                            SQLITE_OK) {
                        sqlite_error(connection->handle, error);
                        return false;
                }
        return true;
}

bool sqlite_exec(DbTx *tx, int64_t *ret_changed, GError **error, const char *sql, const DbArg *args,
                 size_t count) {
        Connection *connection = tx->connection;
        Statement *statement = statement_get(connection, sql, error);
        if (!statement)
                return false;
        bool ok = bind_all(connection, statement, args, count, SQLITE_STATIC, error);
        if (ok) {
                int result;
                while ((result = sqlite3_step(statement->handle)) == SQLITE_ROW)
                        ;
                ok = result == SQLITE_DONE;
                if (!ok)
                        sqlite_error(connection->handle, error);
                else if (!sqlite3_stmt_readonly(statement->handle))
                        *ret_changed = sqlite3_changes64(connection->handle);
        }
        statement_put(statement);
        return ok;
}

bool sqlite_script(DbTx *tx, const char *sql, GError **error) {
        Connection *connection = tx->connection;
        if (sqlite3_exec(connection->handle, sql, NULL, NULL, NULL) == SQLITE_OK)
                return true;
        sqlite_error(connection->handle, error);
        return false;
}

/* ---- rows ---- */

/* Steps; returns whether there is a row. */
static bool rows_step(SqliteRows *rows, GError **error) {
        int result = sqlite3_step(rows->statement->handle);
        if (result == SQLITE_ROW)
                return true;
        rows->ended = true;
        if (result != SQLITE_DONE)
                sqlite_error(sqlite3_db_handle(rows->statement->handle), error);
        return false;
}

DbRows *sqlite_query(DbTx *tx, GError **error, const char *sql, const DbArg *args, size_t count) {
        Connection *connection = tx->connection;
        Statement *statement = statement_get(connection, sql, error);
        if (!statement)
                return NULL;
        SqliteRows *rows = g_new0(SqliteRows, 1);
        rows->rows.tx = tx;
        rows->statement = statement;
        /* The rows outlive the caller's arguments. */
        GError *failure = NULL;
        if (bind_all(connection, statement, args, count, SQLITE_TRANSIENT, &failure))
                rows->first = rows_step(rows, &failure);
        if (failure) {
                sqlite_rows_free(&rows->rows);
                g_propagate_error(error, failure);
                return NULL;
        }
        return &rows->rows;
}

bool sqlite_next(DbRows *base) {
        SqliteRows *rows = (SqliteRows *) base;
        if (rows->ended)
                return false;
        if (rows->first) {
                rows->first = false;
                return true;
        }
        return rows_step(rows, &base->failure);
}

void sqlite_rows_free(DbRows *base) {
        SqliteRows *rows = (SqliteRows *) base;
        statement_put(rows->statement);
        g_free(rows);
}

static sqlite3_stmt *current(DbRows *base, int column) {
        sqlite3_stmt *handle = ((SqliteRows *) base)->statement->handle;
        g_assert(column >= 0 && column < sqlite3_data_count(handle));
        return handle;
}

bool sqlite_is_null(DbRows *rows, int column) {
        return sqlite3_column_type(current(rows, column), column) == SQLITE_NULL;
}

int64_t sqlite_integer(DbRows *rows, int column) {
        return sqlite3_column_int64(current(rows, column), column);
}

double sqlite_number(DbRows *rows, int column) {
        return sqlite3_column_double(current(rows, column), column);
}

const char *sqlite_text(DbRows *rows, int column) {
        return (const char *) sqlite3_column_text(current(rows, column), column);
}

const void *sqlite_bytes(DbRows *rows, int column, size_t *ret_length) {
        sqlite3_stmt *handle = current(rows, column);
        const void *data = sqlite3_column_blob(handle, column);
        *ret_length = (size_t) sqlite3_column_bytes(handle, column);
        return data ? data : "";
}

/* ---- connections ---- */

bool connection_do(Connection *connection, const char *sql, GError **error) {
        Statement *statement = statement_get(connection, sql, error);
        if (!statement)
                return false;
        bool ok = sqlite3_step(statement->handle) == SQLITE_DONE;
        if (!ok)
                sqlite_error(connection->handle, error);
        statement_put(statement);
        return ok;
}

static bool configure(Connection *connection, bool writing, GError **error) {
        /* Small page caches: the system's is shared, and these grow with the database up to their size. */
        const char *sql = writing ? "PRAGMA journal_mode = WAL;"
                                    "PRAGMA synchronous = FULL;"
                                    "PRAGMA foreign_keys = ON;"
                                    "PRAGMA cache_size = -1024;"
                                    "PRAGMA journal_size_limit = 67108864;"
                                    "PRAGMA trusted_schema = OFF;"
                                    "PRAGMA temp_store = MEMORY;"
                                  : "PRAGMA query_only = ON;"
                                    "PRAGMA cache_size = -256;"
                                    "PRAGMA trusted_schema = OFF;"
                                    "PRAGMA temp_store = MEMORY;";
        if (sqlite3_exec(connection->handle, sql, NULL, NULL, NULL) == SQLITE_OK)
                return true;
        sqlite_error(connection->handle, error);
        return false;
}

Connection *sqlite_connection_open(const char *path, bool writing, GError **error) {
        g_autoptr(Connection) connection = g_new0(Connection, 1);
        connection->statements = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
                                                       statement_free);
        int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
        if (sqlite3_open_v2(path, &connection->handle, flags, NULL) != SQLITE_OK) {
                sqlite_error(connection->handle, error);
                return NULL;
        }
        sqlite3_busy_timeout(connection->handle, BUSY_MILLISECONDS);
        if (!configure(connection, writing, error))
                return NULL;
        return g_steal_pointer(&connection);
}

void sqlite_connection_close(Connection *connection) {
        if (!connection)
                return;
        g_hash_table_unref(connection->statements);
        int result = sqlite3_close(connection->handle);
        g_assert(result == SQLITE_OK);
        g_free(connection);
}
