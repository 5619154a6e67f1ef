/* Logs in rows, with PostgreSQL: a row for each flush, appended under the build's lease. */
#include "base/fault.h"
#include "store/log_keeper.h"

/* Rows read at once. */
#define CHUNKS 32

typedef struct {
        int64_t build_id;
        LogCursor *cursor;
        GByteArray *frames;
        const LogTail *tail;
        const LogAppend *append;
        int64_t next_event;
} Chunks;

static bool read_in(DbTx *tx, void *data, GError **error) {
        Chunks *chunks = data;
        g_byte_array_set_size(chunks->frames, 0);
        g_autoptr(DbRows) rows = db_query(
                tx, error,
                "SELECT first_event, data FROM log_chunks WHERE build_id = $1 AND "
                "first_event >= (SELECT max(first_event) FROM log_chunks WHERE build_id "
                "= $1 AND first_event <= $2) AND first_event + events > $2 ORDER BY "
                "first_event LIMIT $3",
                DB_INT(chunks->build_id), DB_INT(chunks->cursor->event), DB_INT(CHUNKS));
        if (!rows)
                return false;
        for (bool first = true; db_next(rows); first = false) {
                size_t length;
                const void *bytes = db_bytes(rows, 1, &length);
                if (first)
                        *chunks->cursor = (LogCursor){ 0, 0, db_int(rows, 0) };
                g_byte_array_append(chunks->frames, bytes, (guint) length);
        }
        return db_done(rows, error);
}

static bool chunks_read(Store *store, int64_t build_id, LogCursor *cursor, GByteArray *frames,
                        GError **error) {
        Chunks chunks = { .build_id = build_id, .cursor = cursor, .frames = frames };
        return db_read(store->db, read_in, &chunks, error);
}

static bool open_in(DbTx *tx, void *data, GError **error) {
        Chunks *chunks = data;
        return tx_int(tx, 0, &chunks->next_event,
                      SQL("SELECT COALESCE(max(first_event + events), 0) FROM log_chunks WHERE "
                          "build_id = $1",
                          DB_INT(chunks->build_id)),
                      error);
}

static bool chunks_open(Store *store, LogTail *tail, GError **error) {
        Chunks chunks = { .build_id = tail->build_id };
        if (!db_read(store->db, open_in, &chunks, error))
                return false;
        tail->fd = -1;
        tail->next_event = chunks.next_event;
        return true;
}

static bool append_in(DbTx *tx, void *data, GError **error) {
        Chunks *chunks = data;
        const LogAppend *append = chunks->append;
        if (!tx_lease_check(tx, chunks->build_id, append->epoch, error) ||
            !tx_exec(tx,
                     SQL("INSERT INTO log_chunks (build_id, first_event, events, epoch, data) "
                         "VALUES ($1, $2, $3, $4, $5)",
                         DB_INT(chunks->build_id), DB_INT(chunks->tail->next_event),
                         DB_INT(append->events), DB_INT(append->epoch),
                         DB_BYTES(append->frames->data, append->frames->len)),
                     NULL, error))
                return false;
        tx_notify(tx, NOTIFY_BUILD_EVENTS, chunks->build_id);
        return true;
}

static bool chunks_append(Store *store, LogTail *tail, const LogAppend *append, GError **error) {
        Chunks chunks = { .build_id = tail->build_id, .tail = tail, .append = append };
        if (fault_here("build-log-append")) {
                g_set_error(error, ERROR, ERROR_IO,
                            "append to the log of build %" G_GINT64_FORMAT
                            ": as the fault point said",
                            tail->build_id);
                return false;
        }
        if (!db_write(store->db, append_in, &chunks, error))
                return false;
        tail->next_event += (int64_t) append->events;
        return true;
}

static bool chunks_sync(Store *store, LogTail *tail, GError **error) {
        return true; /* a commit is durable */
}

static void chunks_close(Store *store, LogTail *tail) {
}

static bool chunks_remove(Store *store, int64_t build_id, GError **error) {
        return store_exec(store,
                          SQL("DELETE FROM log_chunks WHERE build_id = $1", DB_INT(build_id)), NULL,
                          error);
}

const LogKeeper log_keeper_chunks = {
        .read = chunks_read,
        .open = chunks_open,
        .append = chunks_append,
        .sync = chunks_sync,
        .close = chunks_close,
        .remove = chunks_remove,
};
