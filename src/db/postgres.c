/*
 * The PostgreSQL driver. Closures run on their caller's thread with a connection from a pool, in
 * serializable transactions that are run again when the server says so. Notifications travel
 * through the server, to a connection and a thread of their own.
 */
#include "db/postgres.h"

#include "base/crypto.h"
#include "base/fault.h"

#include <poll.h>
#include <string.h>

#define READERS_DEFAULT 16
#define STANDSTILL_DEFAULT (10 * DURATION_SECOND)
#define WRITERS_MAX 8
#define RETRIES_MAX 20
#define RETRY_PAUSE (2 * DURATION_MILLISECOND) /* doubled each time, up to: */
#define RETRY_PAUSE_MAX (200 * DURATION_MILLISECOND)
#define RECONNECT_PAUSE (100 * DURATION_MILLISECOND) /* doubled each time, up to: */
#define RECONNECT_PAUSE_MAX (5 * DURATION_SECOND)
#define CLOSE_GRACE (10 * DURATION_SECOND) /* for closures that run when the database is closed */

typedef struct {
        SessionSpec session;
        size_t max;

        Mutex mutex; /* over all below */
        Condition changed;
        GPtrArray *idle; /* of Session */
        size_t count;    /* idle ones and those in use */
} Pool;

typedef struct {
        Db *db;
        char *conninfo;
        Duration standstill;
        Pool readers, writers;
        Cancel *abandon; /* interrupts closures: fired when closing took too long */
        Cancel *stop;    /* ends the listener */
        Session *listener;
        Thread *listener_thread;
} Postgres;

/* ---- the pool ---- */

static void pool_init(Pool *pool, const Postgres *postgres, size_t max) {
        pool->session = (SessionSpec){ postgres->conninfo, postgres->standstill,
                                       postgres->abandon };
        pool->max = max;
        mutex_init(&pool->mutex);
        condition_init(&pool->changed);
        pool->idle = g_ptr_array_new_with_free_func((GDestroyNotify) session_close);
}

/* Waits until all have come back or the deadline passes. */
static bool pool_await(Pool *pool, Duration deadline) {
        MUTEX_SCOPE(&pool->mutex);
        bool in_time = true;
        while (in_time && pool->idle->len < pool->count)
                in_time = condition_wait_until(&pool->changed, &pool->mutex, deadline);
        return pool->idle->len == pool->count;
}

static void pool_destroy(Pool *pool) {
        g_ptr_array_unref(pool->idle);
        mutex_destroy(&pool->mutex);
        condition_destroy(&pool->changed);
}

/* Takes session; NULL, a dead one, or one still in a transaction only makes room. */
static void pool_give(Pool *pool, Session *session) {
        bool alive = session && PQtransactionStatus(session->handle) == PQTRANS_IDLE;
        if (!alive)
                session_close(session);
        MUTEX_SCOPE(&pool->mutex);
        if (alive)
                g_ptr_array_add(pool->idle, session);
        else
                pool->count--;
        condition_broadcast(&pool->changed);
}

static Session *pool_take(Pool *pool, GError **error) {
        Session *session = NULL;
        mutex_lock(&pool->mutex);
        while (pool->idle->len == 0 && pool->count == pool->max)
                condition_wait(&pool->changed, &pool->mutex);
        if (pool->idle->len > 0)
                session = g_ptr_array_steal_index(pool->idle, pool->idle->len - 1);
        else
                pool->count++;
        mutex_unlock(&pool->mutex);
        if (!session) {
                session = session_open(&pool->session, error);
                if (!session)
                        pool_give(pool, NULL);
        }
        return session;
}

/* ---- transactions ---- */

typedef enum {
        DONE,
        FAILED, /* for good */
        AGAIN,  /* nothing happened, and it may work when it is run again */
} Outcome;

static Outcome failed_because(const Session *session, bool passes) {
        return passes || !session_alive(session) ? AGAIN : FAILED;
}

static bool send_notes(DbTx *tx, GError **error) {
        for (size_t i = 0; i < notes_length(tx->notes); i++) {
                const Note *note = notes_at(tx->notes, i);
                g_autofree char *text = g_strconcat(note->channel, "\n", note->payload, NULL);
                g_autoptr(DbRows) rows = db_query(
                        tx, error, "SELECT pg_notify('" NOTIFY_CHANNEL "', $1)", DB_TEXT(text));
                if (!rows)
                        return false;
        }
        return true;
}

/* Fails with ERROR_UNAVAILABLE when the connection broke: the server may have committed or not. */
static Outcome commit(Session *session, bool writing, GError **error) {
        bool passes = false;
        if (!writing) { /* what was read is right whether its transaction can be ended or not */
                session_do(session, "COMMIT", NULL, NULL);
                return DONE;
        }
        fault_here("db-before-commit");
        if (session_do(session, "COMMIT", &passes, error)) {
                fault_here("db-after-commit");
                return DONE;
        }
        if (!session_alive(session))
                g_prefix_error(error, "commit, outcome unknown: ");
        return passes ? AGAIN : FAILED;
}

static Outcome run_once(Session *session, DbTx *tx, DbFn fn, void *data, GError **error) {
        const char *begin = tx->writing ? "BEGIN ISOLATION LEVEL SERIALIZABLE"
                                        : "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
        bool passes = false;
        if (!session_do(session, begin, &passes, error))
                return failed_because(session, passes);
        bool ok = tx_run(tx, fn, data, error) && (!tx->writing || send_notes(tx, error));
        if (ok && tx->writing && fault_here("db-retry")) {
                g_set_error_literal(error, ERROR, ERROR_BUSY, "database: injected conflict");
                tx->retry = true;
                ok = false;
        }
        if (ok)
                return commit(session, tx->writing, error);
        Outcome outcome = failed_because(session, tx->retry);
        session_do(session, "ROLLBACK", NULL, NULL);
        return outcome;
}

/* Longer each time, and by chance, so that two who collide do not do so again. */
static bool pause_before_retry(Cancel *cancel, int attempt, GError **error) {
        Duration longest = MIN(RETRY_PAUSE << MIN(attempt, 10), RETRY_PAUSE_MAX);
        uint32_t chance;
        crypto_random(&chance, sizeof(chance));
        return cancel_sleep(cancel, longest / 2 + chance % (longest / 2), error);
}

static bool run_transaction(Db *db, Pool *pool, bool writing, DbFn fn, void *data, GError **error) {
        g_autoptr(Notes) notes = notes_new();
        for (int attempt = 0;; attempt++) {
                g_autoptr(GError) failure = NULL;
                Session *session = pool_take(pool, error);
                if (!session)
                        return false;
                notes_clear(notes);
                DbTx tx = { .db = db, .connection = session, .writing = writing, .notes = notes };
                Outcome outcome = run_once(session, &tx, fn, data, &failure);
                pool_give(pool, session);
                if (outcome == DONE)
                        return true;
                if (outcome == FAILED || attempt == RETRIES_MAX ||
                    !pause_before_retry(pool->session.cancel, attempt, NULL)) {
                        g_propagate_error(error, g_steal_pointer(&failure));
                        return false;
                }
        }
}

static bool postgres_write(Db *db, DbFn fn, void *data, GError **error) {
        Postgres *postgres = db->state;
        return run_transaction(db, &postgres->writers, true, fn, data, error);
}

static bool postgres_read(Db *db, DbFn fn, void *data, GError **error) {
        Postgres *postgres = db->state;
        return run_transaction(db, &postgres->readers, false, fn, data, error);
}

static bool postgres_now(DbTx *tx, int64_t *ret_microseconds, GError **error) {
        int64_t now = 0;
        if (!db_query_int(tx, 0, &now, error,
                          "SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)"))
                return false;
        *ret_microseconds = now + clock_shifted() / 1000;
        return true;
}

/* ---- the listener ---- */

static Session *listener_open(Postgres *postgres, GError **error) {
        const SessionSpec spec = { postgres->conninfo, postgres->standstill, postgres->stop };
        g_autoptr(Session) session = session_open(&spec, error);
        if (!session || !session_do(session, "LISTEN " NOTIFY_CHANNEL, NULL, error))
                return NULL;
        return g_steal_pointer(&session);
}

static void deliver(Postgres *postgres, const PGnotify *notify) {
        const char *line = strchr(notify->extra, '\n');
        if (!line)
                return; /* not from us */
        g_autofree char *channel = g_strndup(notify->extra, (size_t) (line - notify->extra));
        listeners_call(postgres->db->listeners, channel, line + 1);
}

/* Until the connection breaks or the database is closed. */
static void listen(Postgres *postgres) {
        PGconn *handle = postgres->listener->handle;
        do {
                for (PGnotify *notify; (notify = PQnotifies(handle));) {
                        deliver(postgres, notify);
                        PQfreemem(notify);
                }
        } while (cancel_poll(postgres->stop, PQsocket(handle), POLLIN, DURATION_NEVER, NULL) &&
                 PQconsumeInput(handle));
}

static void listener_thread(void *data) {
        Postgres *postgres = data;
        while (true) {
                listen(postgres);
                g_clear_pointer(&postgres->listener, session_close);
                for (Duration pause = RECONNECT_PAUSE; !postgres->listener;
                     pause = MIN(2 * pause, RECONNECT_PAUSE_MAX)) {
                        if (!cancel_sleep(postgres->stop, pause, NULL))
                                return;
                        postgres->listener = listener_open(postgres, NULL);
                }
                listeners_call(postgres->db->listeners, "", NULL);
        }
}

/* ---- open and close ---- */

static bool postgres_open(Db *db, const DbSpec *spec, GError **error) {
        Postgres *postgres = db->state = g_new0(Postgres, 1);
        postgres->db = db;
        postgres->conninfo = g_strdup(spec->conninfo);
        postgres->standstill = spec->standstill ? spec->standstill : STANDSTILL_DEFAULT;
        postgres->abandon = cancel_new(NULL);
        postgres->stop = cancel_new(NULL);
        pool_init(&postgres->readers, postgres, spec->readers ? spec->readers : READERS_DEFAULT);
        pool_init(&postgres->writers, postgres, WRITERS_MAX);
        postgres->listener = listener_open(postgres, error);
        if (!postgres->listener)
                return false;
        postgres->listener_thread = thread_start("db-notifier", listener_thread, postgres);
        return true;
}

static void postgres_close(Db *db) {
        Postgres *postgres = db->state;
        Duration deadline = clock_monotonic() + CLOSE_GRACE;
        if (!pool_await(&postgres->writers, deadline) || !pool_await(&postgres->readers, deadline))
                cancel_fire(postgres->abandon, CANCEL_SHUTDOWN);
        pool_await(&postgres->writers, DURATION_NEVER);
        pool_await(&postgres->readers, DURATION_NEVER);
        cancel_fire(postgres->stop, CANCEL_SHUTDOWN);
        thread_join(postgres->listener_thread);
        session_close(postgres->listener);
        pool_destroy(&postgres->readers);
        pool_destroy(&postgres->writers);
        cancel_free(postgres->abandon);
        cancel_free(postgres->stop);
        g_free(postgres->conninfo);
        g_free(postgres);
}

/* PostgreSQL has backups of its own, and its migrations roll back. */
static bool postgres_keep_copy(Db *db, int version, GError **error) {
        return true;
}

static bool postgres_backup(Db *db, const char *path, Cancel *cancel, GError **error) {
        g_set_error_literal(error, ERROR, ERROR_UNSUPPORTED,
                            "PostgreSQL is backed up with pg_dump, not by this program");
        return false;
}

const DbDriver postgres_driver = {
        .open = postgres_open,
        .close = postgres_close,
        .write = postgres_write,
        .read = postgres_read,
        .keep_copy = postgres_keep_copy,
        .backup = postgres_backup,
        .exec = postgres_exec,
        .script = postgres_script,
        .now = postgres_now,
        .query = postgres_query,
        .next = postgres_next,
        .rows_free = postgres_rows_free,
        .is_null = postgres_is_null,
        .integer = postgres_integer,
        .number = postgres_number,
        .text = postgres_text,
        .bytes = postgres_bytes,
};
