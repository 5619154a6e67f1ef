/* One PostgreSQL connection and its statements; postgres.c has the driver around it. Inside db
 * only. */
#pragma once

#include "db/driver.h"

#include <libpq-fe.h>

#define NOTIFY_CHANNEL "weir" /* one for all: "<channel>\n<payload>" */

typedef struct {
        PGconn *handle;
        GHashTable *statements; /* text and kinds of arguments, to the name it was prepared under */
        unsigned last_name;
        Cancel *cancel; /* borrowed: the driver's, interrupts every wait */
} Session;

typedef struct {
        const char *conninfo;
        Duration standstill; /* as in DbSpec, never 0 */
        Cancel *cancel;      /* interrupts every wait of the session */
} SessionSpec;

/* Connects and configures. Borrows what is in spec, while the session lives. */
Session *session_open(const SessionSpec *spec, GError **error);
void session_close(Session *session); /* accepts NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Session, session_close)
bool session_alive(const Session *session);

/* Runs statements without arguments. *ret_passes (may be NULL) is set on failure: running the
 * transaction again may help. */
bool session_do(Session *session, const char *sql, bool *ret_passes, GError **error);

bool postgres_exec(DbTx *tx, int64_t *ret_changed, GError **error, const char *sql,
                   const DbArg *args, size_t count);
bool postgres_script(DbTx *tx, const char *sql, GError **error);
DbRows *postgres_query(DbTx *tx, GError **error, const char *sql, const DbArg *args, size_t count);
bool postgres_next(DbRows *rows);
void postgres_rows_free(DbRows *rows);
bool postgres_is_null(DbRows *rows, int column);
int64_t postgres_integer(DbRows *rows, int column);
double postgres_number(DbRows *rows, int column);
const char *postgres_text(DbRows *rows, int column);
const void *postgres_bytes(DbRows *rows, int column, size_t *ret_length);
