/* The writer: block style, keys in natural order, quoting as Go's yaml.v2 decides it. */
#include "base/yaml.h"

#include "base/yaml_scalar.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#define WIDTH 80

typedef struct {
        yaml_emitter_t emitter;
        GError **error;
} Writer;

/* ---- natural order of keys ---- */

/* Digits at runes[at…] as a number; *ret_end is behind them. start: 1 where a digit other than 0 stands before. */
static int64_t digits_at(const gunichar *runes, glong length, glong at, int64_t start,
                         glong *ret_end) {
        int64_t number = start;

        for (; at < length && g_unichar_isdigit(runes[at]); at++)
                if (number < INT64_MAX / 10 - 10)
                        number = number * 10 + (int64_t) runes[at] - '0';
        *ret_end = at;
        return number;
}

static int compare_runes(const gunichar *a, glong a_length, const gunichar *b, glong b_length,
                         glong at) {
        bool a_letter = g_unichar_isalpha(a[at]), b_letter = g_unichar_isalpha(b[at]);
        glong a_end, b_end;
        int64_t start = 0;

        if (a_letter && b_letter)
                return a[at] < b[at] ? -1 : 1;
        if (a_letter || b_letter)
                return b_letter ? -1 : 1;
        if (a[at] == '0' || b[at] == '0')
                for (glong i = at - 1; i >= 0 && g_unichar_isdigit(a[i]) && !start; i--)
                        start = a[i] != '0';
        int64_t a_number = digits_at(a, a_length, at, start, &a_end);
        int64_t b_number = digits_at(b, b_length, at, start, &b_end);
        if (a_number != b_number)
                return a_number < b_number ? -1 : 1;
        if (a_end != b_end)
                return a_end < b_end ? -1 : 1;
        return a[at] < b[at] ? -1 : 1;
}

static int compare_keys(const void *left, const void *right, void *data) {
        const Value *map = data;
        size_t a_index = *(const size_t *) left, b_index = *(const size_t *) right;
        glong a_length, b_length;
        g_autofree gunichar *a = g_utf8_to_ucs4_fast(
                value_key_at(map, a_index), (glong) value_key_length_at(map, a_index), &a_length);
        g_autofree gunichar *b = g_utf8_to_ucs4_fast(
                value_key_at(map, b_index), (glong) value_key_length_at(map, b_index), &b_length);

        for (glong i = 0; i < a_length && i < b_length; i++)
                if (a[i] != b[i])
                        return compare_runes(a, a_length, b, b_length, i);
        return a_length < b_length ? -1 : a_length > b_length ? 1 : 0;
}

/* ---- quoting ---- */

/* Digits in groups of at most two behind colons: base 60 in YAML 1.1. */
static bool is_base60(const char *text) {
        static GRegex *pattern;

        if (g_once_init_enter(&pattern))
                g_once_init_leave(&pattern,
                                  g_regex_new("^[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\\.[0-9_]*)?$",
                                              0, 0, NULL));
        return g_regex_match(pattern, text, 0, NULL);
}

static bool is_timestamp(const char *text) {
        static GRegex *pattern;

        if (g_once_init_enter(&pattern))
                g_once_init_leave(&pattern,
                                  g_regex_new("^[0-9]{4}-(0?[1-9]|1[0-2])-(0?[1-9]|[12][0-9]|3[01])"
                                              "([Tt ][0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2}(\\.[0-9]+)?"
                                              "(Z|[-+][0-9]{2}:[0-9]{2})?)?$",
                                              0, 0, NULL));
        return g_regex_match(pattern, text, 0, NULL);
}

/* Read back unquoted it would not be this text. */
static bool needs_quotes(const char *text, size_t length) {
        const char *special;
        g_autoptr(Value) read = yaml_scalar(text, length, &special);

        return special || !value_is(read, VALUE_STRING) || g_str_equal(text, "<<") ||
               is_base60(text) || is_timestamp(text);
}

static bool has_control_characters(const char *text, size_t length) {
        for (const char *cursor = text; cursor < text + length; cursor = g_utf8_next_char(cursor)) {
                gunichar rune = g_utf8_get_char(cursor);
                if (rune == 0x7f || (rune >= 0x80 && rune < 0xa0 && rune != 0x85) ||
                    rune == 0xfffe || rune == 0xffff)
                        return true;
        }
        return false;
}

/* ---- emitting ---- */

static bool emit(Writer *writer, yaml_event_t *event) {
        if (yaml_emitter_emit(&writer->emitter, event))
                return true;
        g_set_error(writer->error, ERROR, ERROR_INVALID, "yaml: %s",
                    writer->emitter.problem ? writer->emitter.problem : "cannot be written");
        return false;
}

static bool emit_scalar(Writer *writer, const char *text, size_t length,
                        yaml_scalar_style_t style) {
        yaml_event_t event;

        if (!yaml_scalar_event_initialize(&event, NULL, NULL, (const yaml_char_t *) text,
                                          (int) length, 1, 1, style))
                abort();
        return emit(writer, &event);
}

static bool emit_string(Writer *writer, const char *text, size_t length) {
        yaml_scalar_style_t style = YAML_PLAIN_SCALAR_STYLE;

        if (has_control_characters(text, length)) {
                g_set_error(writer->error, ERROR, ERROR_INVALID,
                            "yaml: control characters are not allowed");
                return false;
        }
        if (memchr(text, '\n', length))
                style = YAML_LITERAL_SCALAR_STYLE;
        else if (needs_quotes(text, length))
                style = YAML_DOUBLE_QUOTED_SCALAR_STYLE;
        return emit_scalar(writer, text, length, style);
}

/* Go's %g: no exponent below 21 digits, two digits in an exponent. */
static bool emit_number(Writer *writer, const Value *value) {
        int64_t integer;

        if (value_as_int(value, &integer) || !strpbrk(value_text(value), ".eE"))
                return emit_scalar(writer, value_text(value), value_text_length(value),
                                   YAML_PLAIN_SCALAR_STYLE);
        double number = value_as_double(value);
        char text[40];
        for (int digits = 1; digits <= 17; digits++) {
                g_snprintf(text, sizeof text, "%.*e", digits - 1, number);
                if (g_ascii_strtod(text, NULL) == number)
                        break;
        }
        int exponent = atoi(strchr(text, 'e') + 1);
        if (exponent < -4 || exponent >= 21)
                return emit_scalar(writer, text, strlen(text), YAML_PLAIN_SCALAR_STYLE);
        g_autoptr(Value) plain = value_float(number);
        return emit_scalar(writer, value_text(plain), value_text_length(plain),
                           YAML_PLAIN_SCALAR_STYLE);
}

static bool emit_value(Writer *writer, const Value *value);

static bool emit_list(Writer *writer, const Value *list) {
        yaml_event_t event;

        yaml_sequence_start_event_initialize(&event, NULL, NULL, 1, YAML_BLOCK_SEQUENCE_STYLE);
        if (!emit(writer, &event))
                return false;
        for (size_t i = 0; i < value_length(list); i++)
                if (!emit_value(writer, value_at(list, i)))
                        return false;
        yaml_sequence_end_event_initialize(&event);
        return emit(writer, &event);
}

static bool emit_map(Writer *writer, const Value *map) {
        size_t count = value_length(map);
        g_autofree size_t *order = g_new(size_t, count);
        yaml_event_t event;

        for (size_t i = 0; i < count; i++)
                order[i] = i;
        g_qsort_with_data(order, (int) count, sizeof *order, compare_keys, (void *) map);
        yaml_mapping_start_event_initialize(&event, NULL, NULL, 1, YAML_BLOCK_MAPPING_STYLE);
        if (!emit(writer, &event))
                return false;
        for (size_t i = 0; i < count; i++) {
                const char *key = value_key_at(map, order[i]);
                /* Not quoted: the next reading then merges, which people have come to rely on (reference 03 §2.2). */
                bool written = g_str_equal(key, "<<")
                                       ? emit_scalar(writer, key, 2, YAML_PLAIN_SCALAR_STYLE)
                                       : emit_string(writer, key,
                                                     value_key_length_at(map, order[i]));
                if (!written || !emit_value(writer, value_at(map, order[i])))
                        return false;
        }
        yaml_mapping_end_event_initialize(&event);
        return emit(writer, &event);
}

static bool emit_value(Writer *writer, const Value *value) {
        switch (value_kind(value)) {
        case VALUE_NULL:
                return emit_scalar(writer, "null", 4, YAML_PLAIN_SCALAR_STYLE);
        case VALUE_BOOL:
                return value_as_bool(value)
                               ? emit_scalar(writer, "true", 4, YAML_PLAIN_SCALAR_STYLE)
                               : emit_scalar(writer, "false", 5, YAML_PLAIN_SCALAR_STYLE);
        case VALUE_NUMBER:
                return emit_number(writer, value);
        case VALUE_STRING:
                return emit_string(writer, value_text(value), value_text_length(value));
        case VALUE_LIST:
                return emit_list(writer, value);
        case VALUE_MAP:
                return emit_map(writer, value);
        }
        g_assert_not_reached();
}

static int append(void *data, unsigned char *bytes, size_t length) {
        g_string_append_len(data, (const char *) bytes, (gssize) length);
        return 1;
}

static bool emit_document(Writer *writer, const Value *value) {
        yaml_event_t event;

        yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING);
        if (!emit(writer, &event))
                return false;
        yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1);
        if (!emit(writer, &event) || !emit_value(writer, value))
                return false;
        yaml_document_end_event_initialize(&event, 1);
        if (!emit(writer, &event))
                return false;
        yaml_stream_end_event_initialize(&event);
        return emit(writer, &event);
}

char *yaml_write(const Value *value, GError **error) {
        Writer writer = { .error = error };
        GString *text = g_string_new(NULL);

        if (!yaml_emitter_initialize(&writer.emitter))
                abort();
        yaml_emitter_set_output(&writer.emitter, append, text);
        yaml_emitter_set_unicode(&writer.emitter, 1);
        yaml_emitter_set_width(&writer.emitter, WIDTH);
        bool written = emit_document(&writer, value);
        yaml_emitter_delete(&writer.emitter);
        return g_string_free(text, !written);
}
