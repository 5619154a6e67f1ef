#include "http/sse.h"

#include <string.h>

/* An id or event name with a line break in it would forge fields. */
static void append_field(GString *text, const char *name, const char *value) {
        if (!value)
                return;
        g_string_append(text, name);
        for (; *value; value++)
                if (*value != '\r' && *value != '\n')
                        g_string_append_c(text, *value);
        g_string_append_c(text, '\n');
}

static void append_data_line(GString *text, const char *line, size_t length) {
        g_string_append(text, length > 0 ? "data: " : "data");
        g_string_append_len(text, line, (gssize) length);
        g_string_append_c(text, '\n');
}

void sse_append(GString *text, const char *id, const char *event, const char *data, size_t length) {
        append_field(text, "id: ", id);
        append_field(text, "event: ", event);
        for (;;) {
                const char *end = length > 0 ? memchr(data, '\n', length) : NULL;
                size_t line = end ? (size_t) (end - data) : length;
                append_data_line(text, data, line);
                if (!end)
                        break;
                data += line + 1;
                length -= line + 1;
        }
        g_string_append_c(text, '\n');
}

/* ---- the reader ---- */

struct SseReader {
        size_t message_max;
        SseFn fn;
        void *data;
        GString *line, *id, *event, *payload;
        bool has_id, has_event, has_payload;
        bool after_cr;  /* a LF that follows belongs to the CR before it */
        bool past_mark; /* the first line's byte order mark was looked for */
};

SseReader *sse_reader_new(size_t message_max, SseFn fn, void *data) {
        SseReader *reader = g_new0(SseReader, 1);
        reader->message_max = message_max;
        reader->fn = fn;
        reader->data = data;
        reader->line = g_string_new(NULL);
        reader->id = g_string_new(NULL);
        reader->event = g_string_new(NULL);
        reader->payload = g_string_new(NULL);
        return reader;
}

void sse_reader_free(SseReader *reader) {
        if (!reader)
                return;
        g_string_free(reader->line, true);
        g_string_free(reader->id, true);
        g_string_free(reader->event, true);
        g_string_free(reader->payload, true);
        g_free(reader);
}

static bool dispatch(SseReader *reader, GError **error) {
        SseMessage message = { .id = reader->has_id ? reader->id->str : NULL,
                               .event = reader->has_event ? reader->event->str : NULL,
                               .data = reader->payload->str,
                               .length = reader->payload->len };
        bool any = reader->has_payload || reader->has_event;
        bool ok = !any || reader->fn(&message, reader->data, error);
        g_string_truncate(reader->id, 0);
        g_string_truncate(reader->event, 0);
        if (reader->payload->allocated_len > 64 * 1024) {
                g_string_free(reader->payload, true);
                reader->payload = g_string_new(NULL);
        }
        g_string_truncate(reader->payload, 0);
        reader->has_id = reader->has_event = reader->has_payload = false;
        return ok;
}

static void take_field(SseReader *reader, const char *name, size_t name_length, const char *value,
                       size_t length) {
        if (name_length == 4 && memcmp(name, "data", 4) == 0) {
                if (reader->has_payload)
                        g_string_append_c(reader->payload, '\n');
                reader->has_payload = true;
                g_string_append_len(reader->payload, value, (gssize) length);
        } else if (name_length == 5 && memcmp(name, "event", 5) == 0) {
                reader->has_event = true;
                g_string_truncate(reader->event, 0);
                g_string_append_len(reader->event, value, (gssize) length);
        } else if (name_length == 2 && memcmp(name, "id", 2) == 0 && !memchr(value, 0, length)) {
                reader->has_id = true;
                g_string_truncate(reader->id, 0);
                g_string_append_len(reader->id, value, (gssize) length);
        } /* "retry" and unknown fields: nothing to do */
}

static bool end_line(SseReader *reader, GError **error) {
        const char *line = reader->line->str;
        size_t length = reader->line->len;
        if (!reader->past_mark && length >= 3 && memcmp(line, "\xef\xbb\xbf", 3) == 0) {
                line += 3;
                length -= 3;
        }
        reader->past_mark = true;
        if (length == 0) {
                g_string_truncate(reader->line, 0);
                return dispatch(reader, error);
        }
        const char *colon = memchr(line, ':', length);
        size_t name = colon ? (size_t) (colon - line) : length;
        size_t value = colon ? name + 1 : length;
        if (value < length && line[value] == ' ')
                value++;
        if (name > 0)
                take_field(reader, line, name, line + value, length - value);
        g_string_truncate(reader->line, 0);
        return true;
}

static bool within_limit(const SseReader *reader, GError **error) {
        if (reader->line->len + reader->payload->len <= reader->message_max)
                return true;
        g_set_error(error, ERROR, ERROR_LIMIT, "event is longer than %zu bytes",
                    reader->message_max);
        return false;
}

bool sse_reader_feed(SseReader *reader, const void *bytes, size_t length, GError **error) {
        const char *text = bytes;
        for (size_t i = 0; i < length;) {
                if (reader->after_cr && text[i] == '\n') {
                        reader->after_cr = false;
                        i++;
                        continue;
                }
                reader->after_cr = false;
                size_t run = 0;
                while (i + run < length && text[i + run] != '\n' && text[i + run] != '\r')
                        run++;
                size_t room = reader->message_max + 1;
                g_string_append_len(reader->line, text + i, (gssize) MIN(run, room));
                if (!within_limit(reader, error))
                        return false;
                i += run;
                if (i == length)
                        break;
                reader->after_cr = text[i++] == '\r';
                if (!end_line(reader, error))
                        return false;
        }
        return true;
}
