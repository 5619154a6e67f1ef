/* The writer: styles, order of keys and folding of upstream's YAML library. */
#include "base/yaml.h"
#include "base/yaml_scalar.h"

#include <string.h>
#include <yaml.h>

/* Where lines are folded. */
#define WIDTH 80

#define YAML_TAG_PREFIX "tag:yaml.org,2002:"

typedef struct {
        yaml_emitter_t emitter;
        bool template;       /* YAML_TEMPLATE */
        const char *problem; /* NULL: none but the emitter's */
} Writer;

static bool write_value(Writer *writer, const Value *value);

/* ---- order of keys ---- */

/* Wraps around, as upstream's does. */
static void read_run(const gunichar *text, size_t *at, int64_t *value) {
        for (; g_unichar_isdigit(text[*at]); (*at)++)
                *value = (int64_t) ((uint64_t) *value * 10 + text[*at] - '0');
}

/* Runs of digits by value, then by length. A zero inside a number is not one at its beginning. */
static int compare_numbers(const gunichar *a, const gunichar *b, size_t start) {
        size_t a_end = start, b_end = start;
        int64_t a_value = 0, b_value = 0;

        if (a[start] == '0' || b[start] == '0')
                for (size_t i = start; i > 0 && g_unichar_isdigit(a[i - 1]); i--)
                        if (a[i - 1] != '0') {
                                a_value = b_value = 1;
                                break;
                        }
        read_run(a, &a_end, &a_value);
        read_run(b, &b_end, &b_value);
        if (a_value != b_value)
                return a_value < b_value ? -1 : 1;
        if (a_end != b_end)
                return a_end < b_end ? -1 : 1;
        return a[start] < b[start] ? -1 : 1;
}

/* Symbols before digits before letters: upstream's natural order. It is not a total one. */
static int compare_keys(const gunichar *a, size_t a_length, const gunichar *b, size_t b_length) {
        for (size_t i = 0; i < a_length && i < b_length; i++) {
                if (a[i] == b[i])
                        continue;
                bool a_letter = g_unichar_isalpha(a[i]), b_letter = g_unichar_isalpha(b[i]);
                if (a_letter && b_letter)
                        return a[i] < b[i] ? -1 : 1;
                if (a_letter || b_letter)
                        return b_letter ? -1 : 1;
                return compare_numbers(a, b, i);
        }
        return a_length < b_length ? -1 : a_length > b_length;
}

/* Equal numbers go by the kind they are written as. */
typedef enum { KEY_BOOL, KEY_INT, KEY_FLOAT, KEY_NULL, KEY_STRING } KeyKind;

typedef struct {
        size_t index;
        KeyKind kind;
        double number;  /* of those before KEY_NULL; bools count as 0 and 1 */
        gunichar *text; /* ends with 0 */
        size_t length;
} Key;

static int compare(const void *left, const void *right, G_GNUC_UNUSED void *data) {
        const Key *a = left, *b = right;

        if (a->kind < KEY_NULL && b->kind < KEY_NULL && a->number != b->number)
                return a->number < b->number ? -1 : 1;
        if (a->kind != b->kind)
                return a->kind < b->kind ? -1 : 1;
        return compare_keys(a->text, a->length, b->text, b->length);
}

static void key_clear(void *key) {
        g_free(((Key *) key)->text);
}

/* The kind of a key of YAML_TEMPLATE. */
static void set_kind(Key *key, const char *text) {
        Scalar scalar;

        key->kind = KEY_STRING;
        if (*text != *YAML_TYPED_KEY || text[1] == *YAML_TYPED_KEY)
                return;
        scalar = scalar_resolve(text + 1, strlen(text + 1), false);
        key->kind = scalar.kind == SCALAR_NULL   ? KEY_NULL
                    : scalar.kind == SCALAR_BOOL ? KEY_BOOL
                    : scalar.kind == SCALAR_INT  ? KEY_INT
                                                 : KEY_FLOAT;
        key->number = scalar.kind == SCALAR_BOOL ? scalar.boolean : scalar.number;
}

static gunichar *code_points(const char *text, size_t length, size_t *ret_length) {
        g_autoptr(GString) repaired = utf8_repaired(text, length);
        glong count;
        gunichar *points = g_utf8_to_ucs4_fast(repaired ? repaired->str : text,
                                               (glong) (repaired ? repaired->len : length), &count);

        *ret_length = (size_t) count;
        return points;
}

static GArray *keys_in_order(const Value *map, bool template) {
        GArray *keys = g_array_new(FALSE, FALSE, sizeof(Key));

        g_array_set_clear_func(keys, key_clear);
        for (size_t i = 0; i < value_length(map); i++) {
                Key key = { .index = i, .kind = KEY_STRING };
                key.text = code_points(value_key_at(map, i), value_key_length_at(map, i),
                                       &key.length);
                if (template)
                        set_kind(&key, value_key_at(map, i));
                g_array_append_val(keys, key);
        }
        g_array_sort_with_data(keys, compare, NULL);
        return keys;
}

/* ---- events ---- */

/* Takes event, even when it fails. */
static bool emit(Writer *writer, yaml_event_t *event) {
        return yaml_emitter_emit(&writer->emitter, event);
}

static bool write_scalar(Writer *writer, const char *text, size_t length, const char *tag,
                         yaml_scalar_style_t style) {
        yaml_event_t event;
        bool implicit = tag == NULL;

        if (!yaml_scalar_event_initialize(&event, NULL, (const yaml_char_t *) tag,
                                          (const yaml_char_t *) text, (int) length, implicit,
                                          implicit, style))
                return false;
        return emit(writer, &event);
}

static bool write_word(Writer *writer, const char *word) {
        return write_scalar(writer, word, strlen(word), NULL, YAML_PLAIN_SCALAR_STYLE);
}

/* "1:30": a number of base 60 to other readers of YAML 1.1. */
static bool is_base_60(const char *text) {
        bool colon = false;

        text += *text == '-' || *text == '+';
        if (!g_ascii_isdigit(*text))
                return false;
        while (g_ascii_isdigit(*text) || *text == '_')
                text++;
        while (*text == ':') {
                text++;
                if (!g_ascii_isdigit(*text))
                        return false;
                if (g_ascii_isdigit(text[1])) {
                        if (*text > '5')
                                return false;
                        text++;
                }
                text++;
                colon = true;
        }
        if (*text == '.')
                for (text++; g_ascii_isdigit(*text) || *text == '_';)
                        text++;
        return colon && *text == '\0';
}

/* Quotes what would be read as something else; the emitter adds quotes where the syntax needs them. */
static bool write_text(Writer *writer, const char *text, size_t length) {
        if (memchr(text, '\n', length))
                return write_scalar(writer, text, length, NULL, YAML_LITERAL_SCALAR_STYLE);
        bool plain = scalar_resolve(text, length, true).kind == SCALAR_STRING && !is_base_60(text);
        return write_scalar(writer, text, length, NULL,
                            plain ? YAML_PLAIN_SCALAR_STYLE : YAML_DOUBLE_QUOTED_SCALAR_STYLE);
}

/* Whether upstream's YAML reader refuses it in JSON text, which escapes the characters below U+0020. */
static bool is_forbidden(gunichar rune) {
        return rune == 0x7f || (rune >= 0x80 && rune < 0xa0 && rune != 0x85) || rune == 0xfffe ||
               rune == 0xffff;
}

#define NEXT_LINE "\xc2\x85"

/* U+0085 is a line break in JSON read as YAML: one is folded to a space, and spaces around it are lost. */
static char *fold(const char *text, size_t length, size_t *ret_length) {
        GString *folded = g_string_new(NULL);

        for (const char *cursor = text, *end = text + length; cursor < end;) {
                const char *after = cursor;
                size_t breaks = 0;
                for (;; after += 2, breaks++) {
                        while (after < end && *after == ' ')
                                after++;
                        if (end - after < 2 || memcmp(after, NEXT_LINE, 2) != 0)
                                break;
                }
                if (breaks == 0) {
                        after = MAX(after, cursor + 1);
                        g_string_append_len(folded, cursor, after - cursor);
                } else if (breaks == 1)
                        g_string_append_c(folded, ' ');
                for (size_t i = 1; i < breaks; i++)
                        g_string_append_c(folded, '\n');
                cursor = after;
        }
        *ret_length = folded->len;
        return g_string_free(folded, FALSE);
}

static bool write_binary(Writer *writer, const char *bytes, size_t length) {
        g_autofree char *text = g_base64_encode((const unsigned char *) bytes, length);

        return write_scalar(writer, text, strlen(text), YAML_TAG_PREFIX "binary",
                            YAML_PLAIN_SCALAR_STYLE);
}

static bool write_string(Writer *writer, const char *text, size_t length) {
        g_autoptr(GString) repaired = utf8_repaired(text, length);
        if (writer->template)
                return repaired ? write_binary(writer, text, length)
                                : write_text(writer, text, length);
        if (repaired)
                return write_string(writer, repaired->str, repaired->len);
        for (const char *cursor = text; cursor < text + length; cursor = g_utf8_next_char(cursor))
                if (is_forbidden(g_utf8_get_char(cursor))) {
                        writer->problem = "control characters are not allowed";
                        return false;
                }
        if (!memmem(text, length, NEXT_LINE, 2))
                return write_text(writer, text, length);
        size_t folded_length;
        g_autofree char *folded = fold(text, length, &folded_length);
        return write_text(writer, folded, folded_length);
}

static bool write_key(Writer *writer, const char *text, size_t length) {
        if (!writer->template || *text != *YAML_TYPED_KEY)
                return write_string(writer, text, length);
        if (text[1] == *YAML_TYPED_KEY)
                return write_string(writer, text + 1, length - 1);
        return write_word(writer, text + 1);
}

/* Integers keep their digits, all else is a float64 again. */
static bool write_number(Writer *writer, const char *literal) {
        Scalar scalar = scalar_resolve(literal, strlen(literal), false);
        g_autofree char *text = NULL;

        if (scalar.kind == SCALAR_INT)
                text = scalar_int_text(&scalar);
        else if (scalar.kind == SCALAR_FLOAT)
                text = float_text(scalar.number, 64);
        else /* too large */
                return write_text(writer, literal, strlen(literal));
        return write_word(writer, text);
}

static bool write_list(Writer *writer, const Value *list) {
        yaml_event_t event;
        bool written = yaml_sequence_start_event_initialize(&event, NULL, NULL, 1,
                                                            YAML_BLOCK_SEQUENCE_STYLE) &&
                       emit(writer, &event);

        for (size_t i = 0; written && i < value_length(list); i++)
                written = write_value(writer, value_at(list, i));
        return written && yaml_sequence_end_event_initialize(&event) && emit(writer, &event);
}

static bool write_map(Writer *writer, const Value *map) {
        g_autoptr(GArray) keys = keys_in_order(map, writer->template);
        yaml_event_t event;
        bool written = yaml_mapping_start_event_initialize(&event, NULL, NULL, 1,
                                                           YAML_BLOCK_MAPPING_STYLE) &&
                       emit(writer, &event);

        for (size_t i = 0; written && i < keys->len; i++) {
                size_t index = g_array_index(keys, Key, i).index;
                written = write_key(writer, value_key_at(map, index),
                                    value_key_length_at(map, index)) &&
                          write_value(writer, value_at(map, index));
        }
        return written && yaml_mapping_end_event_initialize(&event) && emit(writer, &event);
}

static bool write_value(Writer *writer, const Value *value) {
        switch (value_kind(value)) {
        case VALUE_NULL:
                return write_word(writer, "null");
        case VALUE_BOOL:
                return write_word(writer, value_as_bool(value) ? "true" : "false");
        case VALUE_NUMBER:
                return write_number(writer, value_text(value));
        case VALUE_STRING:
                return write_string(writer, value_text(value), value_text_length(value));
        case VALUE_LIST:
                return write_list(writer, value);
        case VALUE_MAP:
                return write_map(writer, value);
        }
        g_assert_not_reached();
}

/* ---- the document ---- */

static int append(void *data, unsigned char *bytes, size_t length) {
        g_string_append_len(data, (const char *) bytes, (gssize) length);
        return 1;
}

static bool write_document(Writer *writer, const Value *value) {
        yaml_event_t event;

        if (!yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING) ||
            !emit(writer, &event) ||
            !yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1) ||
            !emit(writer, &event) || !write_value(writer, value) ||
            !yaml_document_end_event_initialize(&event, 1) || !emit(writer, &event))
                return false;
        /* No "..." behind a last text that ends with empty lines. */
        writer->emitter.open_ended = 0;
        return yaml_stream_end_event_initialize(&event) && emit(writer, &event);
}

static char *write_all_of(const Value *value, bool template, GError **error) {
        g_autoptr(GString) text = g_string_new(NULL);
        Writer writer = { .template = template };

        if (!yaml_emitter_initialize(&writer.emitter))
                g_error("no memory for a YAML emitter");
        yaml_emitter_set_output(&writer.emitter, append, text);
        yaml_emitter_set_unicode(&writer.emitter, 1);
        yaml_emitter_set_width(&writer.emitter, WIDTH);
        bool written = write_document(&writer, value);
        const char *problem = writer.problem ? writer.problem : writer.emitter.problem;
        if (!written)
                g_set_error(error, ERROR, ERROR_INVALID, "yaml: %s",
                            problem ? problem : "cannot be written");
        yaml_emitter_delete(&writer.emitter);
        return written ? g_string_free(g_steal_pointer(&text), FALSE) : NULL;
}

char *yaml_write(const Value *value, GError **error) {
        return write_all_of(value, false, error);
}

char *yaml_write_template(const Value *value, GError **error) {
        return write_all_of(value, true, error);
}
