/*
 * One SQL interface, two drivers: SQLite and PostgreSQL. One SQL text serves both; db/README.md is
 * the page of conventions for ids, booleans, times, JSON, bytes and placeholders.
 */
#pragma once

#include "base/cancel.h"
#include "base/value.h"

typedef struct Db Db;     /* any thread */
typedef struct DbTx DbTx; /* one transaction; only the thread that runs the closure */

typedef enum { DB_SQLITE, DB_POSTGRES } DbKind;

typedef struct {
        DbKind kind;
        const char *path;     /* SQLite: the file */
        const char *conninfo; /* PostgreSQL: libpq's connection string */
        size_t readers;       /* connections for db_read; 0: SQLite 4, PostgreSQL 16 */
        /* PostgreSQL: a transaction that its program, frozen perhaps, does not go on with for so long loses its locks and
         * is run again. Well below every lease, or others cannot renew theirs meanwhile. 0: 10 s */
        Duration standstill;
        const char *encryption_key,
                *old_encryption_key;   /* 16 or 32 bytes; NULL: none (reference 08 D.6) */
        bool no_migrate;               /* migrate command and tests only */
        const struct DbSchema *schema; /* tests only (db/schema.h); NULL: the program's own */
} DbSpec;

/*
 * Opens, copies a SQLite file aside before it migrates it, and migrates to the newest version.
 * ERROR_UNSUPPORTED when the database is newer than this program, naming both versions; ERROR_BUSY
 * when another process has the SQLite file; ERROR_UNAVAILABLE; ERROR_DENIED for a wrong encryption
 * key.
 */
Db *db_open(const DbSpec *spec, GError **error);
void db_close(Db *db); /* waits for running closures */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Db, db_close)
DbKind db_kind(const Db *db);
int db_schema_version(const Db *db);

/*
 * Runs fn in a transaction and commits. fn may run more than once: no I/O, no effect outside the
 * transaction but through `data`, which it must overwrite, not extend. When fn returns false, or
 * the commit fails for good, all is rolled back and the error is the caller's. Returns only after
 * the commit is durable. ERROR_BUSY when it had to be run again too often; ERROR_UNAVAILABLE when
 * PostgreSQL went away: if that was during the commit, nobody knows whether it happened. No
 * closure inside a closure. With SQLite fn runs on the writer thread.
 */
typedef bool (*DbFn)(DbTx *tx, void *data, GError **error);
bool db_write(Db *db, DbFn fn, void *data, GError **error);
/* The same, reading only; one consistent snapshot; never waits for a writer. Not run again once fn returned true. */
bool db_read(Db *db, DbFn fn, void *data, GError **error);

/* ---- statements: placeholders $1, $2 … ---- */

typedef enum {
        DB_ARG_NULL,
        DB_ARG_INT,
        DB_ARG_TEXT,
        DB_ARG_BYTES,
        DB_ARG_BOOL,
        DB_ARG_DOUBLE
} DbArgKind;
typedef struct {
        DbArgKind kind;
        int64_t integer;
        double number;
        const void *data;
        size_t length;
        bool null; /* a NULL that keeps its kind */
} DbArg;
#define DB_INT(value_) ((DbArg){ .kind = DB_ARG_INT, .integer = (int64_t) (value_) })
#define DB_BOOL(value_) ((DbArg){ .kind = DB_ARG_BOOL, .integer = (value_) ? 1 : 0 })
#define DB_DOUBLE(value_) ((DbArg){ .kind = DB_ARG_DOUBLE, .number = (value_) })
#define DB_TEXT(text_) db_arg_text(text_) /* NULL binds NULL */
#define DB_BYTES(data_, length_)                                                                   \
        ((DbArg){ .kind = DB_ARG_BYTES, .data = (data_), .length = (length_) })
#define DB_NULL ((DbArg){ .kind = DB_ARG_NULL })
/* An id or time where 0 stands for SQL NULL. */
#define DB_INT_OR_NULL(value_) db_arg_int_or_null(value_)
DbArg db_arg_text(const char *text);
DbArg db_arg_int_or_null(int64_t value);

/* Runs a statement without rows. *ret_changed (may be NULL): rows it changed. ERROR_EXISTS for a
 * broken UNIQUE, ERROR_INVALID for a broken foreign key. */
bool db_exec_(DbTx *tx, int64_t *ret_changed, GError **error, const char *sql, const DbArg *args,
              size_t count);
#define db_exec(tx, error, sql, ...)                                                               \
        db_exec_(tx, NULL, error, sql, (const DbArg[]){ __VA_ARGS__ __VA_OPT__(, ){ 0 } },         \
                 sizeof((const DbArg[]){ __VA_ARGS__ __VA_OPT__(, ){ 0 } }) / sizeof(DbArg) - 1)
#define db_exec_count(tx, ret, error, sql, ...)                                                    \
        db_exec_(tx, ret, error, sql, (const DbArg[]){ __VA_ARGS__ __VA_OPT__(, ){ 0 } },          \
                 sizeof((const DbArg[]){ __VA_ARGS__ __VA_OPT__(, ){ 0 } }) / sizeof(DbArg) - 1)

/*
 * A result, read forward. Close (free) it before the closure returns; several may be open at once.
 *   g_autoptr(DbRows) rows = db_query(tx, error, "SELECT id, name FROM teams WHERE name = $1",
 * DB_TEXT(name)); if (!rows) return false; while (db_next(rows)) … return db_done(rows, error);
 */
typedef struct DbRows DbRows;
DbRows *db_query_(DbTx *tx, GError **error, const char *sql, const DbArg *args, size_t count);
#define db_query(tx, error, sql, ...)                                                              \
        db_query_(tx, error, sql, (const DbArg[]){ __VA_ARGS__ __VA_OPT__(, ){ 0 } },              \
                  sizeof((const DbArg[]){ __VA_ARGS__ __VA_OPT__(, ){ 0 } }) / sizeof(DbArg) - 1)
bool db_next(DbRows *rows);
bool db_done(DbRows *rows, GError **error); /* false with the error that ended db_next early */
void db_rows_free(DbRows *rows);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DbRows, db_rows_free)

bool db_is_null(DbRows *rows, int column);
int64_t db_int(DbRows *rows, int column); /* 0 for NULL */
bool db_bool(DbRows *rows, int column);
double db_double(DbRows *rows, int column);
const char *db_text(DbRows *rows, int column); /* NULL for NULL; borrowed until the next db_next */
const void *db_bytes(DbRows *rows, int column, size_t *ret_length);
Value *db_json(DbRows *rows, int column); /* returns new; null for NULL or what does not parse */

/* Short forms. One row of one integer, or *ret = otherwise when there is no row. */
bool db_query_int_(DbTx *tx, int64_t otherwise, int64_t *ret, GError **error, const char *sql,
                   const DbArg *args, size_t count);
#define db_query_int(tx, otherwise, ret, error, sql, ...)                                          \
        db_query_int_(tx, otherwise, ret, error, sql,                                              \
                      (const DbArg[]){ __VA_ARGS__ __VA_OPT__(, ){ 0 } },                          \
                      sizeof((const DbArg[]){ __VA_ARGS__ __VA_OPT__(, ){ 0 } }) / sizeof(DbArg) - \
                              1)

/* The database's clock, for leases. */
bool db_now(DbTx *tx, int64_t *ret_microseconds, GError **error);

/* ---- encrypted columns: a pair (text, nonce); nonce NULL means the text is plain ---- */
bool db_seal(Db *db, const char *plain, char **ret_text, char **ret_nonce, GError **error);
bool db_unseal(Db *db, const char *text, const char *nonce, char **ret,
               GError **error); /* ERROR_DENIED: sealed with another key */
/* Tables and columns that db_open re-encrypts when the key changes; each module registers its own
 * in one table in db/sealed.c. */

/* ---- notifications: sent with the commit, once per channel and payload of a batch ---- */
#define DB_NOTIFY_BYTES_MAX 4000 /* channel and payload together; PostgreSQL's ceiling is 8000 */
/* payload NULL is "". A channel is one line. */
void db_notify(DbTx *tx, const char *channel, const char *payload);
/* Called on the db's notifier thread after commits of this process and, with PostgreSQL, of others.
 * channel "" and payload NULL: the connection was lost and came back, everything may have changed.
 * fn must not block, and is called until db_close. */
typedef void (*DbNotifyFn)(const char *channel, const char *payload, void *data);
void db_listen(Db *db, DbNotifyFn fn, void *data);

/* Whether the keys of spec open what is encrypted; reads only. ERROR_DENIED as db_open(). */
bool db_check_keys(Db *db, const DbSpec *spec, GError **error);

/* A consistent copy of a running SQLite database. ERROR_UNSUPPORTED for PostgreSQL. */
bool db_backup(Db *db, const char *path, Cancel *cancel, GError **error);

/* The same from outside: of a SQLite file that another process may have open. ERROR_EXISTS when `to` is there. */
bool db_copy(const char *from, const char *to, Cancel *cancel, GError **error);
