/* The reader: strict, bounded, with Go's texts for what is wrong. */
#include "base/json.h"

#include <string.h>

const JsonLimits json_limits_default = {
        .bytes = 16 * 1024 * 1024,
        .depth = 512,
        .items = 2 * 1000 * 1000,
};

typedef struct {
        const char *cursor, *end;
        size_t depth, items; /* still allowed */
        bool stream;         /* more may follow the value: Go's Decoder, which has other texts */
        bool is_empty;       /* nothing but white space */
        GError **error;
} Reader;

static Value *read_value(Reader *reader);

/* ---- what is wrong ---- */

static void *fail_end(Reader *reader) {
        const char *text = reader->stream ? reader->is_empty ? "EOF" : "unexpected EOF"
                                          : "unexpected end of JSON input";

        g_set_error_literal(reader->error, ERROR, ERROR_INVALID, text);
        return NULL;
}

/* As Go quotes the rune of that number. */
static char *quote_byte(unsigned char byte) {
        static const char *const names = "''\\\\\aa\bb\ff\nn\rr\tt\vv";

        for (const char *pair = names; *pair; pair += 2)
                if ((unsigned char) pair[0] == byte)
                        return g_strdup_printf("'\\%c'", pair[1]);
        if (byte < 0x20 || byte == 0x7f)
                return g_strdup_printf("'\\x%02x'", byte);
        if (byte < 0x80)
                return g_strdup_printf("'%c'", byte);
        if (byte <= 0xa0 || byte == 0xad)
                return g_strdup_printf("'\\u%04x'", byte);
        return g_strdup_printf("'%c%c'", 0xc0 | byte >> 6, 0x80 | (byte & 0x3f));
}

static void fail_as(Reader *reader, unsigned char byte, const char *where) {
        g_autofree char *quoted = quote_byte(byte);

        g_set_error(reader->error, ERROR, ERROR_INVALID, "invalid character %s %s", quoted, where);
}

/* The byte at the cursor is not what `where` says. */
static void *fail_byte(Reader *reader, const char *where) {
        if (reader->cursor >= reader->end)
                return fail_end(reader);
        fail_as(reader, (unsigned char) *reader->cursor, where);
        return NULL;
}

/* The same inside a word, where Go's Unmarshal takes the end of the text for a space. */
static void *fail_inside(Reader *reader, const char *where) {
        if (reader->stream && reader->cursor >= reader->end)
                return fail_end(reader);
        fail_as(reader, reader->cursor < reader->end ? (unsigned char) *reader->cursor : ' ',
                where);
        return NULL;
}

static void *fail_limit(Reader *reader, const char *what) {
        g_set_error(reader->error, ERROR, ERROR_LIMIT, "JSON has %s", what);
        return NULL;
}

/* ---- pieces ---- */

static void skip_space(Reader *reader) {
        while (reader->cursor < reader->end && *reader->cursor &&
               strchr(" \t\r\n", *reader->cursor))
                reader->cursor++;
}

static bool read_word(Reader *reader, const char *word) {
        for (const char *letter = word + 1; *letter; letter++) {
                reader->cursor++;
                if (reader->cursor >= reader->end || *reader->cursor != *letter) {
                        g_autofree char *where = g_strdup_printf("in literal %s (expecting '%c')",
                                                                 word, *letter);
                        fail_inside(reader, where);
                        return false;
                }
        }
        reader->cursor++;
        return true;
}

static bool at_digit(const Reader *reader) {
        return reader->cursor < reader->end && g_ascii_isdigit(*reader->cursor);
}

static bool at(const Reader *reader, const char *bytes) {
        return reader->cursor < reader->end && *reader->cursor && strchr(bytes, *reader->cursor);
}

static bool read_digits(Reader *reader, const char *where) {
        if (!at_digit(reader)) {
                fail_inside(reader, where);
                return false;
        }
        while (at_digit(reader))
                reader->cursor++;
        return true;
}

static Value *read_number(Reader *reader) {
        const char *start = reader->cursor;

        if (*reader->cursor == '-') {
                reader->cursor++;
                if (!at_digit(reader))
                        return fail_inside(reader, "in numeric literal");
        }
        if (*reader->cursor == '0')
                reader->cursor++;
        else if (!read_digits(reader, "in numeric literal"))
                return NULL;
        if (at(reader, ".")) {
                reader->cursor++;
                if (!read_digits(reader, "after decimal point in numeric literal"))
                        return NULL;
        }
        if (at(reader, "eE")) {
                reader->cursor++;
                if (at(reader, "+-"))
                        reader->cursor++;
                if (!read_digits(reader, "in exponent of numeric literal"))
                        return NULL;
        }
        g_autofree char *literal = g_strndup(start, (size_t) (reader->cursor - start));
        return value_number(literal);
}

/* Four hex digits at the cursor. */
static bool read_unit(Reader *reader, gunichar *ret) {
        gunichar unit = 0;

        for (int i = 0; i < 4; i++, reader->cursor++) {
                if (reader->cursor >= reader->end || !g_ascii_isxdigit(*reader->cursor)) {
                        fail_inside(reader, "in \\u hexadecimal character escape");
                        return false;
                }
                unit = unit << 4 | (gunichar) g_ascii_xdigit_value(*reader->cursor);
        }
        *ret = unit;
        return true;
}

static bool is_low_surrogate(gunichar unit) {
        return unit >= 0xdc00 && unit <= 0xdfff;
}

/* Behind "\u": joins pairs; a lone surrogate is U+FFFD, as in Go. */
static bool read_rune(Reader *reader, GString *text) {
        gunichar unit, low;

        if (!read_unit(reader, &unit))
                return false;
        if (unit >= 0xd800 && unit <= 0xdbff && reader->end - reader->cursor >= 6 &&
            reader->cursor[0] == '\\' && reader->cursor[1] == 'u') {
                Reader ahead = *reader;
                ahead.cursor += 2;
                ahead.error = NULL;
                if (read_unit(&ahead, &low) && is_low_surrogate(low)) {
                        reader->cursor = ahead.cursor;
                        unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);
                }
        }
        if (unit >= 0xd800 && unit <= 0xdfff)
                unit = 0xfffd;
        if (unit == 0)
                g_string_append_c(text, '\0');
        else
                g_string_append_unichar(text, unit);
        return true;
}

static bool read_escape(Reader *reader, GString *text) {
        static const char *const pairs = "\"\"\\\\//b\bf\fn\nr\rt\t";

        if (++reader->cursor >= reader->end) {
                fail_inside(reader, "in string escape code");
                return false;
        }
        if (*reader->cursor == 'u') {
                reader->cursor++;
                return read_rune(reader, text);
        }
        for (const char *pair = pairs; *pair; pair += 2)
                if (*pair == *reader->cursor) {
                        g_string_append_c(text, pair[1]);
                        reader->cursor++;
                        return true;
                }
        fail_inside(reader, "in string escape code");
        return false;
}

/* One sequence of bytes ≥ 0x80; what is not UTF-8 is U+FFFD, byte by byte. */
static void read_sequence(Reader *reader, GString *text) {
        gunichar rune = g_utf8_get_char_validated(reader->cursor,
                                                  MIN(reader->end - reader->cursor, 4));

        if (rune == (gunichar) -1 || rune == (gunichar) -2) {
                g_string_append(text, "\xef\xbf\xbd");
                reader->cursor++;
                return;
        }
        size_t length = (size_t) g_unichar_to_utf8(rune, NULL);
        g_string_append_len(text, reader->cursor, (gssize) length);
        reader->cursor += length;
}

/* At the opening quote. Returns new. */
static GString *read_string(Reader *reader) {
        GString *text = g_string_new(NULL);

        for (reader->cursor++; reader->cursor < reader->end;) {
                unsigned char byte = (unsigned char) *reader->cursor;
                if (byte == '"') {
                        reader->cursor++;
                        return text;
                }
                if (byte < 0x20) {
                        fail_byte(reader, "in string literal");
                        g_string_free(text, TRUE);
                        return NULL;
                }
                if (byte >= 0x80)
                        read_sequence(reader, text);
                else if (byte != '\\') {
                        const char *start = reader->cursor;
                        while (reader->cursor < reader->end && *reader->cursor >= 0x20 &&
                               *reader->cursor != '"' && *reader->cursor != '\\')
                                reader->cursor++;
                        g_string_append_len(text, start, reader->cursor - start);
                } else if (!read_escape(reader, text)) {
                        g_string_free(text, TRUE);
                        return NULL;
                }
        }
        g_string_free(text, TRUE);
        return fail_end(reader);
}

static Value *read_text(Reader *reader) {
        GString *text = read_string(reader);

        if (!text)
                return NULL;
        Value *value = value_string_sized(text->str, text->len);
        g_string_free(text, TRUE);
        return value;
}

/* ---- containers ---- */

static Value *read_list(Reader *reader) {
        g_autoptr(Value) list = value_list();

        reader->cursor++;
        skip_space(reader);
        if (at(reader, "]")) {
                reader->cursor++;
                return g_steal_pointer(&list);
        }
        for (;;) {
                Value *item = read_value(reader);
                if (!item)
                        return NULL;
                value_list_add(list, item);
                skip_space(reader);
                if (at(reader, "]")) {
                        reader->cursor++;
                        return g_steal_pointer(&list);
                }
                if (!at(reader, ","))
                        return fail_byte(reader, "after array element");
                reader->cursor++;
        }
}

static bool read_member(Reader *reader, Value *map) {
        if (!at(reader, "\"")) {
                fail_byte(reader, "looking for beginning of object key string");
                return false;
        }
        GString *key = read_string(reader);
        if (!key)
                return false;
        skip_space(reader);
        Value *item = NULL;
        if (at(reader, ":")) {
                reader->cursor++;
                item = read_value(reader);
        } else
                fail_byte(reader, "after object key");
        if (item)
                value_map_set_sized(map, key->str, key->len, item);
        g_string_free(key, TRUE);
        return item != NULL;
}

static Value *read_map(Reader *reader) {
        g_autoptr(Value) map = value_map();

        reader->cursor++;
        skip_space(reader);
        if (at(reader, "}")) {
                reader->cursor++;
                return g_steal_pointer(&map);
        }
        for (;;) {
                skip_space(reader);
                if (!read_member(reader, map))
                        return NULL;
                skip_space(reader);
                if (at(reader, "}")) {
                        reader->cursor++;
                        return g_steal_pointer(&map);
                }
                if (!at(reader, ","))
                        return fail_byte(reader, "after object key:value pair");
                reader->cursor++;
        }
}

static Value *read_container(Reader *reader) {
        if (reader->depth == 0)
                return fail_limit(reader, "too many levels");
        reader->depth--;
        Value *value = *reader->cursor == '[' ? read_list(reader) : read_map(reader);
        reader->depth++;
        return value;
}

static Value *read_value(Reader *reader) {
        skip_space(reader);
        if (reader->cursor >= reader->end)
                return fail_end(reader);
        if (reader->items-- == 0) {
                reader->items = 0;
                return fail_limit(reader, "too many values");
        }
        switch (*reader->cursor) {
        case '{':
        case '[':
                return read_container(reader);
        case '"':
                return read_text(reader);
        case 't':
                return read_word(reader, "true") ? value_bool(true) : NULL;
        case 'f':
                return read_word(reader, "false") ? value_bool(false) : NULL;
        case 'n':
                return read_word(reader, "null") ? value_null() : NULL;
        default:
                if (*reader->cursor == '-' || g_ascii_isdigit(*reader->cursor))
                        return read_number(reader);
                return fail_byte(reader, "looking for beginning of value");
        }
}

static Value *read_first(Reader *reader, const char *text, size_t length, const JsonLimits *limits,
                         bool stream, GError **error) {
        const JsonLimits *most = limits ? limits : &json_limits_default;

        *reader = (Reader){ .cursor = text,
                            .stream = stream,
                            .end = text + length,
                            .depth = most->depth ? most->depth : json_limits_default.depth,
                            .items = most->items ? most->items : json_limits_default.items,
                            .error = error };
        if (length > (most->bytes ? most->bytes : json_limits_default.bytes))
                return fail_limit(reader, "too many bytes");
        skip_space(reader);
        reader->is_empty = reader->cursor >= reader->end;
        return read_value(reader);
}

Value *json_parse_first(const char *text, size_t length, const JsonLimits *limits, size_t *ret_used,
                        GError **error) {
        Reader reader;
        Value *value = read_first(&reader, text, length, limits, true, error);

        if (value)
                *ret_used = (size_t) (reader.cursor - text);
        return value;
}

Value *json_parse(const char *text, size_t length, const JsonLimits *limits, GError **error) {
        Reader reader;
        g_autoptr(Value) value = read_first(&reader, text, length, limits, false, error);

        if (!value)
                return NULL;
        skip_space(&reader);
        if (reader.cursor < reader.end)
                return fail_byte(&reader, "after top-level value");
        return g_steal_pointer(&value);
}
