/* What a whole log says: where streams stand, and whether the build has ended. */
#include "store/log_keeper.h"

/* A status event other than "started" is the last there is. */
static void note_final(const Frame *frame, LogContent *content) {
        static const char mark[] = "\"event\":\"status\"";
        if (!g_strstr_len(frame->event, (gssize) frame->event_length, mark))
                return;
        g_autoptr(Event) event = event_parse(frame->event, frame->event_length, NULL, NULL);
        if (!event || !g_str_equal(event->name, "status"))
                return;
        BuildStatus status;
        if (build_status_parse(value_get_string(event->data, "status", NULL), &status) &&
            status >= BUILD_SUCCEEDED) {
                content->final = true;
                content->status = status;
                content->time = value_get_int(event->data, "time", 0) * 1000000;
        }
}

void log_note_offset(GHashTable *offsets, const char *stream, size_t length, int64_t offset) {
        g_hash_table_replace(offsets, g_strndup(stream, length), g_memdup2(&offset, sizeof offset));
}

bool log_scan(Store *store, int64_t build_id, LogContent *content, GError **error) {
        g_autoptr(GByteArray) frames = g_byte_array_new();
        LogCursor cursor = { .segment = -1 };
        for (;;) {
                size_t position = 0;
                Frame frame;
                if (!log_keeper(store)->read(store, build_id, &cursor, frames, error))
                        return false;
                while (frame_read(frames->data, frames->len, &position, &frame) == FRAME_WHOLE) {
                        cursor.event++;
                        if (frame.stream_length > 0 && content->offsets)
                                log_note_offset(content->offsets, frame.stream, frame.stream_length,
                                                frame.offset);
                        note_final(&frame, content);
                }
                if (position == 0)
                        return true;
                cursor.offset += (int64_t) position;
        }
}

bool build_log_final(Store *store, int64_t build_id, bool *ret_final, char **ret_status,
                     Time *ret_time, GError **error) {
        LogContent content = { 0 };
        if (!log_scan(store, build_id, &content, error))
                return false;
        *ret_final = content.final;
        if (content.final) {
                *ret_status = g_strdup(build_status_name(content.status));
                *ret_time = content.time;
        }
        return true;
}
