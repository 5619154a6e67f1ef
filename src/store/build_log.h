/*
 * A build's events, append-only (design §4): files under the work directory with SQLite, chunk rows
 * with PostgreSQL. Events have dense ids from 0. A watcher sees an event only once it is on the disk,
 * and what it sees is a prefix of the final log, whatever crashes, the machine included (G5).
 */
#pragma once

#include "base/cancel.h"
#include "store/build_lease.h"
#include "wire/event.h"

/* ---- writing ---- */

/* One lease's writer of one log; any thread. */
typedef struct BuildLogWriter BuildLogWriter;

/* For the holder of the lease. ERROR_STALE. */
BuildLogWriter *build_log_writer_new(Store *store, const BuildLease *lease, GError **error);
/* Flushes what waits. Accepts NULL. */
void build_log_writer_free(BuildLogWriter *writer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BuildLogWriter, build_log_writer_free)

/* Where a container's stream stands: stored in the same frame as the event it came with. */
typedef struct {
        const char *plan_id, *attempt; /* attempt NULL: "" */
        const char *source;            /* "stdout" or "stderr" */
        int64_t offset;                /* of the stream, after the event's bytes */
} StreamOffset;

/*
 * Adds an event: flushed at once after 20 ms of quiet, else with what comes within 20 ms or 64 KiB.
 * Watchers wake when it is on the disk. Waits while 4 MiB are unflushed. offset may be NULL. Once an append
 * failed every later one does, with the same error; ERROR_STALE: a newer lease writes, stop.
 */
bool build_log_append(BuildLogWriter *writer, const Event *event, const StreamOffset *offset,
                      GError **error);
/* Returns when all before it is on the disk. */
bool build_log_flush(BuildLogWriter *writer, GError **error);
/* How far a stream of a step has been stored: where a re-attach goes on. 0: nothing yet. */
bool build_log_offset(BuildLogWriter *writer, const StreamOffset *stream, int64_t *ret_offset,
                      GError **error);

/* ---- reading ---- */

/* A cursor on one log; one thread. */
typedef struct BuildLogReader BuildLogReader;

/* Begins at event `from` (0: the first). Any build id, checks without a row included; a log that is
 * empty or was reaped has no events. */
BuildLogReader *build_log_reader_new(Store *store, int64_t build_id, int64_t from, GError **error);
void build_log_reader_free(BuildLogReader *reader);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BuildLogReader, build_log_reader_free)

/*
 * The next events that are appended, as the stream sends them (with event_id), at most `bytes` or
 * one event: GBytes, in order from *ret_first_id. Empty: no more for now. Never waits.
 */
GPtrArray *build_log_read(BuildLogReader *reader, size_t bytes, int64_t *ret_first_id,
                          GError **error);

typedef enum {
        BUILD_LOG_MORE,  /* there are events to read */
        BUILD_LOG_ENDED, /* the build is completed and all was read */
} BuildLogWait;
/* Waits for either. Returns false as cancel_check(). */
bool build_log_wait(BuildLogReader *reader, Cancel *cancel, BuildLogWait *ret, GError **error);
/* Without waiting: *ret_ready false when build_log_wait() would wait. */
bool build_log_poll(BuildLogReader *reader, bool *ret_ready, BuildLogWait *ret, GError **error);

/* ---- ends ---- */

/* The status of the final event, if it is there (the log decides). *ret_final false: not ended. */
bool build_log_final(Store *store, int64_t build_id, bool *ret_final, char **ret_status,
                     Time *ret_time, GError **error);
/* Deletes logs whole. Unknown: fine. */
bool build_log_delete(Store *store, int64_t build_id, GError **error);
