/* What lies behind db.h: the state of a Db, and what a driver has to do. Inside db only. */
#pragma once

#include "base/thread.h"
#include "db/db.h"
#include "db/schema.h"

#define ARGUMENTS_MAX 64
#define STATEMENTS_KEPT 256 /* prepared, a connection */

/* Notifications of a transaction or a batch: each pair of channel and payload once, in order. */
typedef struct {
        char *channel, *payload;
} Note;
typedef struct Notes Notes;
Notes *notes_new(void);
void notes_add(Notes *notes, const char *channel, const char *payload);
void notes_merge(Notes *notes, const Notes *from);
void notes_clear(Notes *notes);
size_t notes_length(const Notes *notes);
const Note *notes_at(const Notes *notes, size_t index);
void notes_free(Notes *notes);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Notes, notes_free)

/* Who listens; any thread. */
typedef struct Listeners Listeners;
Listeners *listeners_new(void);
void listeners_add(Listeners *listeners, DbNotifyFn fn, void *data);
void listeners_call(Listeners *listeners, const char *channel, const char *payload);
void listeners_free(Listeners *listeners);

typedef struct {
        bool (*open)(Db *db, const DbSpec *spec, GError **error);
        void (*close)(Db *db); /* accepts what open left half made */
        bool (*write)(Db *db, DbFn fn, void *data, GError **error);
        bool (*read)(Db *db, DbFn fn, void *data, GError **error);
        /* Copies the database aside before it is migrated to version. */
        bool (*keep_copy)(Db *db, int version, GError **error);
        bool (*backup)(Db *db, const char *path, Cancel *cancel, GError **error);

        bool (*exec)(DbTx *tx, int64_t *ret_changed, GError **error, const char *sql,
                     const DbArg *args, size_t count);
        bool (*script)(DbTx *tx, const char *sql, GError **error); /* many statements, expanded */
        bool (*now)(DbTx *tx, int64_t *ret_microseconds, GError **error);

        /* Returns new, with the first row looked for already, so that its errors come now. */
        DbRows *(*query)(DbTx *tx, GError **error, const char *sql, const DbArg *args,
                         size_t count);
        bool (*next)(DbRows *rows); /* sets rows->failure when it is not the end */
        void (*rows_free)(DbRows *rows);
        bool (*is_null)(DbRows *rows, int column);
        int64_t (*integer)(DbRows *rows, int column);
        double (*number)(DbRows *rows, int column);
        const char *(*text)(DbRows *rows, int column);
        const void *(*bytes)(DbRows *rows, int column, size_t *ret_length);
} DbDriver;

extern const DbDriver sqlite_driver, postgres_driver;

struct Db {
        const DbDriver *driver;
        DbKind kind;
        void *state; /* the driver's */
        int version;
        Listeners *listeners;
        GBytes *key; /* NULL: none */
};

struct DbTx {
        Db *db;
        void *connection; /* the driver's */
        bool writing;
        bool failed; /* a statement failed: nothing but a rollback may follow */
        bool retry;  /* it failed for a reason that passes when the closure runs again */
        int open_rows;
        Notes *notes;
};

struct DbRows { /* the beginning of each driver's own */
        DbTx *tx;
        GError *failure;
};

/* Runs fn once, with the checks both drivers want; not the transaction around it. */
bool tx_run(DbTx *tx, DbFn fn, void *data, GError **error);

/* Replaces the tokens of README.md. Returns new, or NULL when there is none. */
char *sql_expand(DbKind kind, const char *sql);

/* migrate.c */
bool migrate(Db *db, const DbSchema *schema, bool only_look, GError **error);
/* sealed.c: gives every encrypted column the key of spec, and db->key its value. */
bool sealed_open(Db *db, const DbSpec *spec, const DbSchema *schema, GError **error);
