/*
 * The SQLite driver. One writer thread runs all closures that write: what has gathered while the
 * last batch was synced to the disk is the next batch, one transaction with a savepoint per
 * closure. Readers have connections of their own and run on the caller's thread.
 */
#include "db/sqlite.h"

#include "base/fault.h"
#include "base/files.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define READERS_DEFAULT 4
#define BATCH_MAX 128
#define RETRIES_MAX 20 /* of a closure whose retry a test injected */

/* A db_write that waits; it lives on its caller's stack. */
typedef struct {
        DbFn fn;
        void *data;
        Notes *notes;
        GError *failure;
        bool done;
        Condition changed;
} Request;

typedef struct {
        Db *db;
        char *path;
        int lock; /* flock'ed as long as the database is open */
        Connection *writer;
        Thread *writer_thread, *notifier_thread;

        Mutex mutex;        /* over all below */
        Condition work;     /* a request, or the end */
        Condition reader;   /* a connection came back */
        Condition news;     /* a notification, or the end */
        GQueue requests;    /* of Request */
        GPtrArray *readers; /* of Connection: idle */
        size_t reader_count, reader_max;
        Notes *pending; /* committed, and not yet told */
        bool closing;
        bool silent; /* the writer has ended: nothing more will be pending */
} Sqlite;

/* ---- the writer ---- */

/* Runs one closure inside a savepoint. Returns false when the whole transaction is gone. */
static bool run_request(Sqlite *sqlite, Request *request) {
        Connection *writer = sqlite->writer;
        for (int attempt = 0;; attempt++) {
                DbTx tx = { .db = sqlite->db,
                            .connection = writer,
                            .writing = true,
                            .notes = request->notes };
                notes_clear(request->notes);
                g_clear_error(&request->failure);
                if (!connection_do(writer, "SAVEPOINT closure", &request->failure))
                        return false;
                bool ok = tx_run(&tx, request->fn, request->data, &request->failure);
                if (sqlite3_get_autocommit(writer->handle))
                        return false; /* a full disk and its like roll everything back */
                bool again = ok && fault_here("db-retry");
                if (again && attempt == RETRIES_MAX) {
                        g_set_error_literal(&request->failure, ERROR, ERROR_BUSY,
                                            "database: injected conflict");
                        ok = again = false;
                }
                if ((!ok || again) && !connection_do(writer, "ROLLBACK TO closure", NULL))
                        return false;
                if (!connection_do(writer, "RELEASE closure", ok ? &request->failure : NULL))
                        return false;
                if (!again)
                        return true;
        }
}

static void rollback(Connection *writer) {
        if (!sqlite3_get_autocommit(writer->handle))
                connection_do(writer, "ROLLBACK", NULL);
}

/* Runs requests as one transaction. Returns false when nothing of it is in the database and *error
 * is why; each request's failure is its own. */
static bool run_batch(Sqlite *sqlite, GPtrArray *requests, GError **error) {
        Connection *writer = sqlite->writer;
        if (!connection_do(writer, "BEGIN IMMEDIATE", error))
                return false;
        for (guint i = 0; i < requests->len; i++) {
                Request *request = requests->pdata[i];
                if (!run_request(sqlite, request)) {
                        rollback(writer);
                        if (request->failure)
                                g_propagate_error(error, g_steal_pointer(&request->failure));
                        else
                                sqlite_error(writer->handle, error);
                        return false;
                }
        }
        fault_here("db-before-commit");
        if (!connection_do(writer, "COMMIT", error)) {
                rollback(writer);
                return false;
        }
        fault_here("db-after-commit");
        return true;
}

/* Under the lock. Tells each request's caller its result, and the notifier what happened. */
static void finish(Sqlite *sqlite, GPtrArray *requests) {
        for (guint i = 0; i < requests->len; i++) {
                Request *request = requests->pdata[i];
                if (!request->failure)
                        notes_merge(sqlite->pending, request->notes);
                request->done = true;
                condition_signal(&request->changed); /* its memory may be gone after the lock */
        }
        if (notes_length(sqlite->pending) > 0)
                condition_signal(&sqlite->news);
}

/* When a batch fails as a whole, each of its closures gets a transaction of its own, so that the
 * others do not suffer for one. */
static void run_requests(Sqlite *sqlite, GPtrArray *requests) {
        g_autoptr(GError) failure = NULL;
        if (run_batch(sqlite, requests, &failure))
                return;
        if (requests->len == 1) {
                Request *only = requests->pdata[0];
                g_clear_error(&only->failure);
                only->failure = g_steal_pointer(&failure);
                return;
        }
        for (guint i = 0; i < requests->len; i++) {
                g_autoptr(GPtrArray) one = g_ptr_array_new();
                g_ptr_array_add(one, requests->pdata[i]);
                run_requests(sqlite, one);
        }
}

static void writer_thread(void *data) {
        Sqlite *sqlite = data;
        g_autoptr(GPtrArray) batch = g_ptr_array_new();
        MUTEX_SCOPE(&sqlite->mutex);
        while (true) {
                while (g_queue_is_empty(&sqlite->requests) && !sqlite->closing)
                        condition_wait(&sqlite->work, &sqlite->mutex);
                while (!g_queue_is_empty(&sqlite->requests) && batch->len < BATCH_MAX)
                        g_ptr_array_add(batch, g_queue_pop_head(&sqlite->requests));
                if (batch->len == 0)
                        break;
                mutex_unlock(&sqlite->mutex);
                run_requests(sqlite, batch);
                mutex_lock(&sqlite->mutex);
                finish(sqlite, batch);
                g_ptr_array_set_size(batch, 0);
        }
        sqlite->silent = true;
        condition_signal(&sqlite->news);
}

static bool sqlite_write(Db *db, DbFn fn, void *data, GError **error) {
        Sqlite *sqlite = db->state;
        Request request = { .fn = fn, .data = data, .notes = notes_new() };
        condition_init(&request.changed);

        mutex_lock(&sqlite->mutex);
        g_assert(!sqlite->closing);
        g_queue_push_tail(&sqlite->requests, &request);
        condition_signal(&sqlite->work);
        while (!request.done)
                condition_wait(&request.changed, &sqlite->mutex);
        mutex_unlock(&sqlite->mutex);

        condition_destroy(&request.changed);
        notes_free(request.notes);
        if (!request.failure)
                return true;
        g_propagate_error(error, request.failure);
        return false;
}

static void notifier_thread(void *data) {
        Sqlite *sqlite = data;
        MUTEX_SCOPE(&sqlite->mutex);
        while (true) {
                while (notes_length(sqlite->pending) == 0 && !sqlite->silent)
                        condition_wait(&sqlite->news, &sqlite->mutex);
                if (notes_length(sqlite->pending) == 0)
                        return;
                g_autoptr(Notes) notes = g_steal_pointer(&sqlite->pending);
                sqlite->pending = notes_new();
                mutex_unlock(&sqlite->mutex);
                for (size_t i = 0; i < notes_length(notes); i++)
                        listeners_call(sqlite->db->listeners, notes_at(notes, i)->channel,
                                       notes_at(notes, i)->payload);
                mutex_lock(&sqlite->mutex);
        }
}

/* ---- readers ---- */

/* Waits for an idle connection; opens one while there are few. */
static Connection *reader_take(Sqlite *sqlite, GError **error) {
        mutex_lock(&sqlite->mutex);
        while (sqlite->readers->len == 0 && sqlite->reader_count == sqlite->reader_max)
                condition_wait(&sqlite->reader, &sqlite->mutex);
        Connection *connection = NULL;
        if (sqlite->readers->len > 0)
                connection = g_ptr_array_steal_index(sqlite->readers, sqlite->readers->len - 1);
        else
                sqlite->reader_count++;
        mutex_unlock(&sqlite->mutex);
        if (connection)
                return connection;

        connection = sqlite_connection_open(sqlite->path, false, error);
        if (!connection) {
                MUTEX_SCOPE(&sqlite->mutex);
                sqlite->reader_count--;
                condition_broadcast(&sqlite->reader);
        }
        return connection;
}

static void reader_give(Sqlite *sqlite, Connection *connection) {
        MUTEX_SCOPE(&sqlite->mutex);
        g_ptr_array_add(sqlite->readers, connection);
        condition_broadcast(&sqlite->reader);
}

static bool sqlite_read(Db *db, DbFn fn, void *data, GError **error) {
        Sqlite *sqlite = db->state;
        Connection *reader = reader_take(sqlite, error);
        if (!reader)
                return false;
        DbTx tx = { .db = db, .connection = reader };
        bool ok = connection_do(reader, "BEGIN", error);
        if (ok) {
                ok = tx_run(&tx, fn, data, error);
                connection_do(reader, "ROLLBACK", NULL);
        }
        reader_give(sqlite, reader);
        return ok;
}

static bool sqlite_now(DbTx *tx, int64_t *ret_microseconds, GError **error) {
        *ret_microseconds = clock_steady();
        return true;
}

/* ---- copies ---- */

static bool sqlite_backup(Db *db, const char *path, Cancel *cancel, GError **error) {
        if (g_file_test(path, G_FILE_TEST_EXISTS)) {
                g_set_error(error, ERROR, ERROR_EXISTS, "backup %s: exists already", path);
                return false;
        }
        if (sqlite_copy_file(((Sqlite *) db->state)->path, path, cancel, error))
                return true;
        g_prefix_error(error, "backup %s: ", path);
        return false;
}

/* A copy that is there already was made by an earlier, interrupted run: it is the older state. */
static bool sqlite_keep_copy(Db *db, int version, GError **error) {
        Sqlite *sqlite = db->state;
        g_autofree char *path = g_strdup_printf("%s.before-%d", sqlite->path, version);
        if (g_file_test(path, G_FILE_TEST_EXISTS) ||
            sqlite_copy_file(sqlite->path, path, NULL, error))
                return true;
        g_prefix_error(error, "copy the database aside to %s: ", path);
        return false;
}

/* ---- open and close ---- */

/* Before anything is made beside it: somebody else's file is left alone. */
static bool check_header(const char *path, GError **error) {
        static const char magic[] = "SQLite format 3"; /* with its NUL */
        char header[sizeof magic] = { 0 };
        autofd fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t got = fd < 0 ? 0 : read(fd, header, sizeof header);
        if (got == 0 || memcmp(header, magic, sizeof magic) == 0)
                return true; /* what cannot be opened is found out later */
        g_set_error(error, ERROR, ERROR_INVALID, "open %s: database: file is not a database", path);
        return false;
}

static bool lock_file(Sqlite *sqlite, GError **error) {
        g_autofree char *path = g_strconcat(sqlite->path, ".lock", NULL);
        sqlite->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (sqlite->lock < 0) {
                error_set_errno(error, errno, "open %s", path);
                return false;
        }
        if (flock(sqlite->lock, LOCK_EX | LOCK_NB) == 0)
                return true;
        g_set_error(error, ERROR, ERROR_BUSY, "database %s is in use by another process",
                    sqlite->path);
        return false;
}

static Sqlite *sqlite_new(Db *db, const DbSpec *spec) {
        Sqlite *sqlite = g_new0(Sqlite, 1);
        sqlite->db = db;
        sqlite->path = g_strdup(spec->path);
        sqlite->lock = -1;
        sqlite->reader_max = spec->readers > 0 ? spec->readers : READERS_DEFAULT;
        mutex_init(&sqlite->mutex);
        condition_init(&sqlite->work);
        condition_init(&sqlite->reader);
        condition_init(&sqlite->news);
        g_queue_init(&sqlite->requests);
        sqlite->readers = g_ptr_array_new_with_free_func((GDestroyNotify) sqlite_connection_close);
        sqlite->pending = notes_new();
        return sqlite;
}

static bool sqlite_open(Db *db, const DbSpec *spec, GError **error) {
        Sqlite *sqlite = db->state = sqlite_new(db, spec);
        if (!check_header(spec->path, error) || !lock_file(sqlite, error) ||
            !sqlite_create_file(spec->path, 0, error))
                return false;
        sqlite->writer = sqlite_connection_open(spec->path, true, error);
        if (!sqlite->writer) {
                g_prefix_error(error, "open %s: ", spec->path);
                return false;
        }
        sqlite->writer_thread = thread_start("db-writer", writer_thread, sqlite);
        sqlite->notifier_thread = thread_start("db-notifier", notifier_thread, sqlite);
        return true;
}

/* Waits for those who read; the writer ends after what is queued, the notifier after the writer. */
static void end_threads(Sqlite *sqlite) {
        mutex_lock(&sqlite->mutex);
        sqlite->closing = true;
        condition_signal(&sqlite->work);
        while (sqlite->readers->len < sqlite->reader_count)
                condition_wait(&sqlite->reader, &sqlite->mutex);
        mutex_unlock(&sqlite->mutex);
        thread_join(sqlite->writer_thread);
        thread_join(sqlite->notifier_thread);
}

static void sqlite_close(Db *db) {
        Sqlite *sqlite = db->state;
        end_threads(sqlite);
        g_ptr_array_unref(sqlite->readers);
        sqlite_connection_close(sqlite->writer); /* the last one: it folds the log into the file */
        fd_close(sqlite->lock);
        notes_free(sqlite->pending);
        mutex_destroy(&sqlite->mutex);
        condition_destroy(&sqlite->work);
        condition_destroy(&sqlite->reader);
        condition_destroy(&sqlite->news);
        g_free(sqlite->path);
        g_free(sqlite);
}

const DbDriver sqlite_driver = {
        .open = sqlite_open,
        .close = sqlite_close,
        .write = sqlite_write,
        .read = sqlite_read,
        .keep_copy = sqlite_keep_copy,
        .backup = sqlite_backup,
        .exec = sqlite_exec,
        .script = sqlite_script,
        .now = sqlite_now,
        .query = sqlite_query,
        .next = sqlite_next,
        .rows_free = sqlite_rows_free,
        .is_null = sqlite_is_null,
        .integer = sqlite_integer,
        .number = sqlite_number,
        .text = sqlite_text,
        .bytes = sqlite_bytes,
};
