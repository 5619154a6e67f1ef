/* Reading build logs: from any event on, while they grow and after. */
#include "store/log_keeper.h"

struct BuildLogReader {
        Store *store;
        int64_t build_id, next; /* the event that is read next */
        int64_t stored;         /* as many events may be shown */
        Subscription *subscription;
        LogCursor cursor;
        GByteArray *frames; /* read ahead; frame at `position` is event cursor.event */
        size_t position;
};

BuildLogReader *build_log_reader_new(Store *store, int64_t build_id, int64_t from, GError **error) {
        BuildLogReader *reader = g_new0(BuildLogReader, 1);
        reader->store = store;
        reader->build_id = build_id;
        reader->next = MAX(from, 0);
        reader->cursor = (LogCursor){ .segment = -1, .event = reader->next };
        reader->frames = g_byte_array_new();
        SubscriptionTopic topic = { NOTIFY_BUILD_EVENTS, build_id };
        reader->subscription = subscription_new(store, &topic, 1);
        return reader;
}

void build_log_reader_free(BuildLogReader *reader) {
        if (!reader)
                return;
        subscription_free(reader->subscription);
        g_byte_array_unref(reader->frames);
        g_free(reader);
}

/* The same frame is read again from what is read ahead. */
static void step_back(BuildLogReader *reader, const Frame *frame) {
        size_t used = FRAME_HEADER + 2 + frame->event_length +
                      (frame->stream_length ? 8 + frame->stream_length : 0);
        reader->position -= used;
        reader->cursor.event--;
        reader->cursor.offset -= (int64_t) used;
}

/* The next frame at or behind `next`. *ret_found false: no more for now. */
static bool next_frame(BuildLogReader *reader, Frame *ret, bool *ret_found, GError **error) {
        for (;;) {
                size_t before = reader->position;
                FrameState state = frame_read(reader->frames->data, reader->frames->len,
                                              &reader->position, ret);
                if (state == FRAME_WHOLE) {
                        reader->cursor.event++;
                        reader->cursor.offset += (int64_t) (reader->position - before);
                        if (reader->cursor.event <= reader->next)
                                continue;
                        *ret_found = reader->cursor.event <= reader->stored;
                        if (!*ret_found) {
                                step_back(reader, ret);
                                g_byte_array_set_size(reader->frames,
                                                      0); /* a failed append is cut off again */
                                reader->position = 0;
                        }
                        return true;
                }
                /* Torn may only mean that the rest is being written. */
                reader->position = 0;
                g_byte_array_set_size(reader->frames, 0);
                if (!log_keeper(reader->store)
                             ->read(reader->store, reader->build_id, &reader->cursor,
                                    reader->frames, error))
                        return false;
                size_t position = 0;
                Frame first;
                if (frame_read(reader->frames->data, reader->frames->len, &position, &first) !=
                    FRAME_WHOLE) {
                        g_byte_array_set_size(reader->frames, 0);
                        *ret_found = false;
                        return true;
                }
        }
}

static GPtrArray *read_memory(BuildLogReader *reader, size_t bytes, bool *ret_known) {
        bool ended;
        g_autoptr(GPtrArray) stored = memory_build_read(reader->store, reader->build_id,
                                                        reader->next, bytes, ret_known, &ended);
        return g_steal_pointer(&stored);
}

static GBytes *with_id(const char *text, size_t length, int64_t id) {
        GString *out = g_string_sized_new(length + 32);
        event_append_with_id(out, text, length, id);
        return g_string_free_to_bytes(out);
}

GPtrArray *build_log_read(BuildLogReader *reader, size_t bytes, int64_t *ret_first_id,
                          GError **error) {
        g_autoptr(GPtrArray)
                events = g_ptr_array_new_with_free_func((GDestroyNotify) g_bytes_unref);
        int64_t first = reader->next;
        bool known;
        g_autoptr(GPtrArray) stored = read_memory(reader, bytes, &known);
        for (guint i = 0; known && i < stored->len; i++) {
                size_t length;
                const char *text = g_bytes_get_data(stored->pdata[i], &length);
                g_ptr_array_add(events, with_id(text, length, reader->next++));
        }
        reader->stored = known ? 0 : log_stored(reader->store, reader->build_id);
        for (size_t total = 0; !known && total < bytes;) {
                Frame frame;
                bool found;
                if (!next_frame(reader, &frame, &found, error))
                        return NULL;
                if (!found)
                        break;
                g_ptr_array_add(events, with_id(frame.event, frame.event_length, reader->next++));
                total += frame.event_length;
        }
        if (ret_first_id)
                *ret_first_id = first;
        return g_steal_pointer(&events);
}

/* Whether there is an event to read, without taking it. */
static bool has_event(BuildLogReader *reader, bool *ret, GError **error) {
        Frame frame;
        reader->stored = log_stored(reader->store, reader->build_id);
        if (!next_frame(reader, &frame, ret, error))
                return false;
        if (*ret)
                step_back(reader, &frame);
        return true;
}

typedef struct {
        int64_t id, completed;
} Completed;

static bool completed_in(DbTx *tx, void *data, GError **error) {
        Completed *read = data;
        return tx_int(tx, 1, &read->completed,
                      SQL("SELECT CASE WHEN completed THEN 1 ELSE 0 END FROM builds WHERE id = $1",
                          DB_INT(read->id)),
                      error);
}

bool build_log_poll(BuildLogReader *reader, bool *ret_ready, BuildLogWait *ret, GError **error) {
        bool known, ended, there;
        g_autoptr(GPtrArray) events = memory_build_read(reader->store, reader->build_id,
                                                        reader->next, 1, &known, &ended);
        if (known) {
                *ret_ready = events->len > 0 || ended;
                *ret = events->len > 0 ? BUILD_LOG_MORE : BUILD_LOG_ENDED;
                return true;
        }
        if (!has_event(reader, &there, error))
                return false;
        if (!there) {
                /* Completed first, then look again: its last event is there before it is completed. */
                Completed completed = { .id = reader->build_id };
                if (!db_read(reader->store->db, completed_in, &completed, error) ||
                    (completed.completed && !has_event(reader, &there, error)))
                        return false;
                if (!there && !completed.completed) {
                        *ret_ready = false;
                        return true;
                }
        }
        *ret_ready = true;
        *ret = there ? BUILD_LOG_MORE : BUILD_LOG_ENDED;
        return true;
}

bool build_log_wait(BuildLogReader *reader, Cancel *cancel, BuildLogWait *ret, GError **error) {
        for (;;) {
                bool ready;
                if (!cancel_check(cancel, error) || !build_log_poll(reader, &ready, ret, error))
                        return false;
                if (ready)
                        return true;
                if (!subscription_wait(reader->subscription, DURATION_NEVER, cancel, NULL, error))
                        return false;
        }
}
