/* One SQLite connection and its statements; sqlite.c has the driver around it. Inside db only. */
#pragma once

#include "db/driver.h"

#include <sqlite3.h>

typedef struct {
        sqlite3 *handle;
        GHashTable *statements; /* text to Statement, owned */
} Connection;

/* Sets ERROR_… by the handle's last result, "database: <text>". */
void sqlite_error(sqlite3 *handle, GError **error);

Connection *sqlite_connection_open(const char *path, bool writing, GError **error);
void sqlite_connection_close(Connection *connection); /* accepts NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Connection, sqlite_connection_close)

/* A statement of our own without arguments and rows: BEGIN, COMMIT … */
bool connection_do(Connection *connection, const char *sql, GError **error);

bool sqlite_exec(DbTx *tx, int64_t *ret_changed, GError **error, const char *sql, const DbArg *args,
                 size_t count);
bool sqlite_script(DbTx *tx, const char *sql, GError **error);
DbRows *sqlite_query(DbTx *tx, GError **error, const char *sql, const DbArg *args, size_t count);
bool sqlite_next(DbRows *rows);
void sqlite_rows_free(DbRows *rows);
bool sqlite_is_null(DbRows *rows, int column);
int64_t sqlite_integer(DbRows *rows, int column);
double sqlite_number(DbRows *rows, int column);
const char *sqlite_text(DbRows *rows, int column);
const void *sqlite_bytes(DbRows *rows, int column, size_t *ret_length);

/* Only we may read it: it has the same secrets as the original. Exists: fine unless flags say otherwise. */
bool sqlite_create_file(const char *path, int flags, GError **error);
/* One consistent state of the database `from`, whoever writes to it meanwhile; `to` is there when it is whole. */
bool sqlite_copy_file(const char *from, const char *to, Cancel *cancel, GError **error);
