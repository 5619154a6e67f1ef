/* Writing build logs: gathering, fencing, the first and the last event. */
#include "store/build_log.h"

#include "base/fault.h"
#include "base/log.h"
#include "store/log_keeper.h"

#define QUIET (20 * DURATION_MILLISECOND)
#define GATHER_BYTES (64 * 1024)
#define UNFLUSHED_MAX (4 * 1024 * 1024)
/* Logs that are written and synced at the same time. */
#define FLUSHERS 4
/* At a log that another thread is writing just now. */
#define LOOK_AGAIN (5 * DURATION_MILLISECOND)

/* A log that is written by this process. Any thread. */
typedef struct {
        int64_t build_id;
        Mutex lock; /* of what follows; not held while frames are written */
        Condition idle;
        unsigned references;
        bool open, flushing, removed;
        bool queued, hurried; /* a flusher knows of it; and that there is enough to write now */
        int64_t epoch;
        GError *failed;
        GByteArray *pending;
        size_t pending_events;
        GHashTable *pending_offsets, *offsets; /* stream → int64_t */
        Duration last_flush;
        int64_t stored; /* events that are on the disk: what watchers may see */
        bool final;
        BuildStatus final_status;
        Time final_time;
        LogTail tail; /* of the flush under way, else under the lock */
} BuildLog;

struct Logs {
        Store *store;
        Mutex lock;
        Condition wake;
        GHashTable *logs;  /* build id → BuildLog, one reference each */
        GPtrArray *queued; /* BuildLog with something pending, one reference each */
        bool closing;
        Thread *flushers[FLUSHERS];
};

static void log_unref(BuildLog *log) {
        mutex_lock(&log->lock);
        bool last = --log->references == 0;
        mutex_unlock(&log->lock);
        if (!last)
                return;
        if (log->tail.fd >= 0)
                close(log->tail.fd);
        g_clear_error(&log->failed);
        g_byte_array_unref(log->pending);
        g_hash_table_unref(log->pending_offsets);
        g_hash_table_unref(log->offsets);
        condition_destroy(&log->idle);
        mutex_destroy(&log->lock);
        g_free(log);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BuildLog, log_unref)

static BuildLog *log_ref(BuildLog *log) {
        MUTEX_SCOPE(&log->lock);
        log->references++;
        return log;
}

static BuildLog *log_new(int64_t build_id) {
        BuildLog *log = g_new0(BuildLog, 1);
        log->build_id = build_id;
        mutex_init(&log->lock);
        condition_init(&log->idle);
        log->references = 1;
        log->pending = g_byte_array_new();
        log->pending_offsets = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        log->offsets = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        log->tail = (LogTail){ .build_id = build_id, .fd = -1 };
        return log;
}

/* Returns new reference; the registry keeps one until log_close(). */
static BuildLog *log_get(Store *store, int64_t build_id) {
        MUTEX_SCOPE(&store->logs->lock);
        BuildLog *log = g_hash_table_lookup(store->logs->logs, &build_id);
        if (!log) {
                log = log_new(build_id);
                g_hash_table_insert(store->logs->logs, &log->build_id, log);
        }
        return log_ref(log);
}

static BuildLog *log_find(Store *store, int64_t build_id) {
        MUTEX_SCOPE(&store->logs->lock);
        BuildLog *log = g_hash_table_lookup(store->logs->logs, &build_id);
        return log ? log_ref(log) : NULL;
}

static void log_forget(Store *store, int64_t build_id) {
        void *log = NULL;
        mutex_lock(&store->logs->lock);
        g_hash_table_steal_extended(store->logs->logs, &build_id, NULL, &log);
        mutex_unlock(&store->logs->lock);
        if (log)
                log_unref(log);
}

/* ---- opening ---- */

/* Readies the log for writing. The lock is held. */
static bool log_open_locked(Store *store, BuildLog *log, GError **error) {
        if (log->open)
                return true;
        LogContent content = { .offsets = log->offsets };
        if (!log_keeper(store)->open(store, &log->tail, error))
                return false;
        if (log->tail.next_event > 0 && !log_scan(store, log->build_id, &content, error))
                return false;
        /* The last life of the program may not have come to it. */
        if (!log_keeper(store)->sync(store, &log->tail, error))
                return false;
        log->stored = log->tail.next_event;
        log->final = content.final;
        log->final_status = content.status;
        log->final_time = content.time;
        log->open = true;
        return true;
}

int64_t log_stored(Store *store, int64_t build_id) {
        g_autoptr(BuildLog) log = store->postgres ? NULL : log_find(store, build_id);
        if (!log)
                return INT64_MAX;
        MUTEX_SCOPE(&log->lock);
        return log->open ? log->stored : INT64_MAX;
}

/* ---- flushing ---- */

static void merge_offsets(GHashTable *into, GHashTable *from) {
        GHashTableIter iter;
        void *stream, *offset;
        g_hash_table_iter_init(&iter, from);
        while (g_hash_table_iter_next(&iter, &stream, &offset)) {
                g_hash_table_iter_steal(&iter);
                g_hash_table_replace(into, stream, offset);
        }
}

/* Appends and syncs; then watchers may see it. */
static bool write_frames(Store *store, BuildLog *log, const LogAppend *append, GError **error) {
        const LogKeeper *keeper = log_keeper(store);
        if (!keeper->append(store, &log->tail, append, error))
                return false;
        if (fault_here("build-log-appended")) {
                g_set_error(error, ERROR, ERROR_IO, "not synced, as the fault point said");
                return false;
        }
        if (!keeper->sync(store, &log->tail, error))
                return false;
        fault_here("build-log-synced");
        return true;
}

/* Watchers read on their own threads: not under the lock. With PostgreSQL the commit has told them. */
static void show(Store *store, BuildLog *log) {
        mutex_lock(&log->lock);
        log->stored = log->tail.next_event;
        mutex_unlock(&log->lock);
        if (!store->postgres)
                bus_deliver(store->bus, NOTIFY_BUILD_EVENTS, log->build_id);
}

/* Writes what is pending. The lock is held, and given up meanwhile: what comes then gathers, so that one sync serves
 * it all. */
static bool flush_locked(Store *store, BuildLog *log, GError **error) {
        while (log->flushing)
                condition_wait(&log->idle, &log->lock);
        if (log->failed) {
                if (error)
                        *error = g_error_copy(log->failed);
                return false;
        }
        if (log->pending->len == 0)
                return true;

        g_autoptr(GByteArray) frames = log->pending;
        LogAppend append = { frames, log->pending_events, log->epoch };
        g_autoptr(GHashTable) offsets = log->pending_offsets;
        g_autoptr(GError) failed = NULL;
        log->pending = g_byte_array_new();
        log->pending_events = 0;
        log->pending_offsets = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        /* What is being written counts as stored for a reader of offsets: nobody asks for them after a failure. */
        merge_offsets(log->offsets, offsets);
        log->flushing = true;
        mutex_unlock(&log->lock);

        bool done = write_frames(store, log, &append, &failed);
        if (done)
                show(store, log);

        mutex_lock(&log->lock);
        log->flushing = false;
        log->last_flush = clock_monotonic();
        if (!done) {
                log->failed = g_error_copy(failed);
                g_propagate_error(error, g_steal_pointer(&failed));
        }
        condition_broadcast(&log->idle);
        return done;
}

/* known: it is in the queue already, and is due now. */
static void queue_flush(Store *store, BuildLog *log, bool known) {
        Logs *logs = store->logs;
        MUTEX_SCOPE(&logs->lock);
        if (!known)
                g_ptr_array_add(logs->queued, log_ref(log));
        condition_signal(&logs->wake);
}

/* Flushes one that is due, or returns when the next one will be (DURATION_NEVER: nothing waits). */
static Duration flush_due(Logs *logs) {
        g_autoptr(BuildLog) due = NULL;
        Duration now = clock_monotonic(), next = DURATION_NEVER;
        mutex_lock(&logs->lock);
        for (guint i = 0; i < logs->queued->len && !due; i++) {
                BuildLog *log = logs->queued->pdata[i];
                mutex_lock(&log->lock);
                bool full = log->pending->len >= GATHER_BYTES;
                Duration at = log->flushing ? now + LOOK_AGAIN
                              : full        ? now
                                            : log->last_flush + QUIET;
                mutex_unlock(&log->lock);
                if (at <= now || logs->closing)
                        due = g_ptr_array_steal_index_fast(logs->queued, i);
                else
                        next = MIN(next, at);
        }
        mutex_unlock(&logs->lock);
        if (!due)
                return next;
        mutex_lock(&due->lock);
        due->queued = due->hurried = false;
        g_autoptr(GError) error = NULL;
        if (!due->removed && !flush_locked(logs->store, due, &error) &&
            !error_is(error, ERROR_STALE))
                log_error("build-log", "append-failed", error, "build", LOG_INT(due->build_id));
        mutex_unlock(&due->lock);
        return 0;
}

static void flush_loop(void *data) {
        Logs *logs = data;
        for (;;) {
                Duration next = flush_due(logs);
                if (next == 0)
                        continue;
                MUTEX_SCOPE(&logs->lock);
                if (logs->closing)
                        return;
                /* Queued since it was looked at: look again. */
                if (next == DURATION_NEVER && logs->queued->len > 0)
                        continue;
                condition_wait_until(&logs->wake, &logs->lock, next);
        }
}

/* ---- appending ---- */

static bool refuse_locked(BuildLog *log, int64_t epoch, GError **error) {
        if (log->removed || epoch != log->epoch || log->final)
                g_set_error(error, ERROR, ERROR_STALE,
                            "the log of build %" G_GINT64_FORMAT " is not ours any more",
                            log->build_id);
        else if (log->failed && error)
                *error = g_error_copy(log->failed);
        return log->removed || epoch != log->epoch || log->final || log->failed;
}

static void gather_locked(BuildLog *log, const Frame *frame) {
        frame_append(log->pending, frame);
        log->pending_events++;
        if (frame->stream_length > 0)
                log_note_offset(log->pending_offsets, frame->stream, frame->stream_length,
                                frame->offset);
}

static bool append_locked(Store *store, BuildLog *log, int64_t epoch, const Frame *frame,
                          GError **error) {
        if (refuse_locked(log, epoch, error))
                return false;
        while (log->pending->len > UNFLUSHED_MAX && log->flushing)
                condition_wait(&log->idle, &log->lock);
        if (refuse_locked(log, epoch, error))
                return false;
        gather_locked(log, frame);
        if (!log->flushing && clock_monotonic() - log->last_flush >= QUIET)
                return flush_locked(store, log, error);
        bool is_full = log->pending->len >= GATHER_BYTES;
        if (!log->queued || (is_full && !log->hurried)) {
                bool known = log->queued;
                log->queued = true;
                log->hurried = is_full;
                mutex_unlock(&log->lock); /* the flusher takes the locks in the other order */
                queue_flush(store, log, known);
                mutex_lock(&log->lock);
        }
        return true;
}

/* An epoch newer than what it knew makes older writers' pending events void. */
static void raise_epoch_locked(BuildLog *log, int64_t epoch) {
        while (log->flushing)
                condition_wait(&log->idle, &log->lock);
        if (epoch <= log->epoch)
                return;
        log->epoch = epoch;
        g_byte_array_set_size(log->pending, 0);
        log->pending_events = 0;
        g_hash_table_remove_all(log->pending_offsets);
        g_hash_table_remove_all(log->offsets);
        g_clear_error(&log->failed);
        log->open = false; /* find the end again: it may have failed half way, or grown elsewhere */
        if (log->tail.fd >= 0)
                close(log->tail.fd);
        log->tail.fd = -1;
}

void logs_fence(Store *store, int64_t build_id, int64_t epoch) {
        g_autoptr(BuildLog) log = log_get(store, build_id);
        MUTEX_SCOPE(&log->lock);
        raise_epoch_locked(log, epoch);
}

struct BuildLogWriter {
        Store *store;
        BuildLog *log;
        BuildLease lease;
};

BuildLogWriter *build_log_writer_new(Store *store, const BuildLease *lease, GError **error) {
        if (!build_lease_check(store, lease, error))
                return NULL;
        g_autoptr(BuildLog) log = log_get(store, lease->build_id);
        mutex_lock(&log->lock);
        raise_epoch_locked(log, lease->epoch);
        bool ready = log_open_locked(store, log, error) && !refuse_locked(log, lease->epoch, error);
        mutex_unlock(&log->lock);
        if (!ready)
                return NULL;
        BuildLogWriter *writer = g_new0(BuildLogWriter, 1);
        *writer = (BuildLogWriter){ store, g_steal_pointer(&log), *lease };
        return writer;
}

void build_log_writer_free(BuildLogWriter *writer) {
        if (!writer)
                return;
        build_log_flush(writer, NULL);
        log_unref(writer->log);
        g_free(writer);
}

static char *stream_name(const StreamOffset *stream) {
        return g_strjoin(" ", stream->plan_id, text_or_empty(stream->attempt), stream->source,
                         NULL);
}

bool build_log_append(BuildLogWriter *writer, const Event *event, const StreamOffset *offset,
                      GError **error) {
        g_autofree char *stream = offset ? stream_name(offset) : NULL;
        size_t length;
        g_autofree char *text = event_write(event, &length);
        if (length > FRAME_MAX / 2) {
                g_set_error(error, ERROR, ERROR_LIMIT, "event of %zu bytes", length);
                return false;
        }
        Frame frame = {
                .stream = stream,
                .stream_length = stream ? strlen(stream) : 0,
                .offset = offset ? offset->offset : 0,
                .event = text,
                .event_length = length,
        };
        MUTEX_SCOPE(&writer->log->lock);
        return append_locked(writer->store, writer->log, writer->lease.epoch, &frame, error);
}

bool build_log_flush(BuildLogWriter *writer, GError **error) {
        MUTEX_SCOPE(&writer->log->lock);
        if (writer->log->epoch != writer->lease.epoch)
                return !refuse_locked(writer->log, writer->lease.epoch, error);
        return flush_locked(writer->store, writer->log, error);
}

bool build_log_offset(BuildLogWriter *writer, const StreamOffset *stream, int64_t *ret_offset,
                      GError **error) {
        g_autofree char *name = stream_name(stream);
        MUTEX_SCOPE(&writer->log->lock);
        const int64_t *pending = g_hash_table_lookup(writer->log->pending_offsets, name);
        const int64_t *stored = g_hash_table_lookup(writer->log->offsets, name);
        *ret_offset = pending ? *pending : stored ? *stored : 0;
        return true;
}

/* ---- the first event and the last ---- */

static bool append_status_locked(Store *store, BuildLog *log, int64_t epoch, const char *status,
                                 Time time, GError **error) {
        g_autoptr(Event) event = event_status(status, time);
        size_t length;
        g_autofree char *text = event_write(event, &length);
        if (refuse_locked(log, epoch, error))
                return false;
        gather_locked(log, &(Frame){ .event = text, .event_length = length });
        return true;
}

bool log_begin(Store *store, const BuildLease *lease, Time started, bool *ret_final,
               BuildStatus *ret_status, Time *ret_time, GError **error) {
        g_autoptr(BuildLog) log = log_get(store, lease->build_id);
        MUTEX_SCOPE(&log->lock);
        raise_epoch_locked(log, lease->epoch);
        if (!log_open_locked(store, log, error))
                return false;
        *ret_final = log->final;
        *ret_status = log->final_status;
        *ret_time = log->final_time;
        return log->tail.next_event > 0 ||
               (append_status_locked(store, log, lease->epoch, "started", started, error) &&
                flush_locked(store, log, error));
}

bool log_end(Store *store, const BuildLease *lease, BuildStatus *status, Time *time,
             GError **error) {
        g_autoptr(BuildLog) log = log_get(store, lease->build_id);
        MUTEX_SCOPE(&log->lock);
        if (!log_open_locked(store, log, error))
                return false;
        if (!log->final) {
                if (!append_status_locked(store, log, lease->epoch, build_status_name(*status),
                                          *time, error) ||
                    !flush_locked(store, log, error))
                        return false;
                log->final = true;
                log->final_status = *status;
                log->final_time = *time;
        }
        *status = log->final_status;
        *time = log->final_time;
        return true;
}

void log_close(Store *store, int64_t build_id) {
        g_autoptr(BuildLog) log = log_find(store, build_id);
        if (!log)
                return;
        mutex_lock(&log->lock);
        while (log->flushing)
                condition_wait(&log->idle, &log->lock);
        log_keeper(store)->close(store, &log->tail);
        mutex_unlock(&log->lock);
        log_forget(store, build_id);
}

/* ---- the end of logs ---- */

bool build_log_delete(Store *store, int64_t build_id, GError **error) {
        g_autoptr(BuildLog) log = log_find(store, build_id);
        if (log) {
                MUTEX_SCOPE(&log->lock);
                while (log->flushing)
                        condition_wait(&log->idle, &log->lock);
                log->removed = true;
        }
        log_forget(store, build_id);
        return log_keeper(store)->remove(store, build_id, error);
}

bool logs_sweep_dead(Store *store, GError **error) {
        g_autoptr(GArray) ids = store_ids(
                store, SQL("SELECT build_id FROM dead_logs ORDER BY build_id"), error);
        if (!ids)
                return false;
        for (guint i = 0; i < ids->len; i++) {
                int64_t id = g_array_index(ids, int64_t, i);
                if (!build_log_delete(store, id, error) ||
                    !store_exec(store, SQL("DELETE FROM dead_logs WHERE build_id = $1", DB_INT(id)),
                                NULL, error))
                        return false;
        }
        return true;
}

Logs *logs_new(Store *store) {
        Logs *logs = g_new0(Logs, 1);
        logs->store = store;
        mutex_init(&logs->lock);
        condition_init(&logs->wake);
        logs->logs = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL,
                                           (GDestroyNotify) log_unref);
        logs->queued = g_ptr_array_new_with_free_func((GDestroyNotify) log_unref);
        for (size_t i = 0; i < FLUSHERS; i++)
                logs->flushers[i] = thread_start("build-log", flush_loop, logs);
        return logs;
}

void logs_free(Logs *logs) {
        mutex_lock(&logs->lock);
        logs->closing = true;
        condition_broadcast(&logs->wake);
        mutex_unlock(&logs->lock);
        for (size_t i = 0; i < FLUSHERS; i++)
                thread_join(logs->flushers[i]);
        g_ptr_array_unref(logs->queued);
        g_hash_table_unref(logs->logs);
        condition_destroy(&logs->wake);
        mutex_destroy(&logs->lock);
        g_free(logs);
}
