/* The writer: byte for byte what Go's encoding/json writes. */
#include "base/crypto.h"
#include "base/json.h"

#include <string.h>

/* Bytes that Go escapes in strings; HTML's only when asked. */
static bool append_short_escape(GString *text, unsigned char byte, bool html) {
        static const char *const names = "\"\"\\\\\bb\ff\nn\rr\tt";

        for (const char *pair = names; *pair; pair += 2)
                if ((unsigned char) pair[0] == byte) {
                        g_string_append_c(text, '\\');
                        g_string_append_c(text, pair[1]);
                        return true;
                }
        if (byte < 0x20 || (html && (byte == '<' || byte == '>' || byte == '&'))) {
                g_string_append_printf(text, "\\u%04x", byte);
                return true;
        }
        return false;
}

/* The length of the valid UTF-8 sequence at text; 0: none. Surrogates and overlong forms are none. */
static size_t sequence_length(const char *text, size_t left) {
        gunichar rune = g_utf8_get_char_validated(text, (gssize) MIN(left, 4));

        if (rune == (gunichar) -1 || rune == (gunichar) -2)
                return 0;
        return (size_t) g_unichar_to_utf8(rune, NULL);
}

static size_t append_sequence(GString *text, const char *string, size_t left) {
        size_t length = sequence_length(string, left);

        if (length == 0) {
                g_string_append(text, "\\ufffd");
                return 1;
        }
        if (length == 3 && memcmp(string, "\u2028", 3) == 0)
                g_string_append(text, "\\u2028");
        else if (length == 3 && memcmp(string, "\u2029", 3) == 0)
                g_string_append(text, "\\u2029");
        else
                g_string_append_len(text, string, (gssize) length);
        return length;
}

void json_append_string(GString *text, const char *string, size_t length, JsonFlags flags) {
        bool html = (flags & JSON_NO_HTML) == 0;
        size_t plain = 0; /* where the run of bytes that need nothing began */

        g_string_append_c(text, '"');
        for (size_t i = 0; i < length;) {
                unsigned char byte = (unsigned char) string[i];
                bool special = byte < 0x20 || byte >= 0x80 || byte == '"' || byte == '\\' ||
                               (html && (byte == '<' || byte == '>' || byte == '&'));
                if (!special) {
                        i++;
                        continue;
                }
                g_string_append_len(text, string + plain, (gssize) (i - plain));
                if (byte >= 0x80)
                        i += append_sequence(text, string + i, length - i);
                else {
                        append_short_escape(text, byte, html);
                        i++;
                }
                plain = i;
        }
        g_string_append_len(text, string + plain, (gssize) (length - plain));
        g_string_append_c(text, '"');
}

static void append_break(GString *text, JsonFlags flags, size_t depth) {
        if ((flags & JSON_INDENT) == 0)
                return;
        g_string_append_c(text, '\n');
        for (size_t i = 0; i < depth; i++)
                g_string_append(text, "  ");
}

static void append_value(GString *text, const Value *value, JsonFlags flags, size_t depth) {
        size_t count = value_length(value);
        bool is_map = value_is(value, VALUE_MAP);

        switch (value_kind(value)) {
        case VALUE_NULL:
                g_string_append(text, "null");
                return;
        case VALUE_BOOL:
                g_string_append(text, value_as_bool(value) ? "true" : "false");
                return;
        case VALUE_NUMBER:
                g_string_append(text, value_text(value));
                return;
        case VALUE_STRING:
                json_append_string(text, value_text(value), value_text_length(value), flags);
                return;
        case VALUE_LIST:
        case VALUE_MAP:
                break;
        }
        g_string_append_c(text, is_map ? '{' : '[');
        for (size_t i = 0; i < count; i++) {
                if (i > 0)
                        g_string_append_c(text, ',');
                append_break(text, flags, depth + 1);
                if (is_map) {
                        json_append_string(text, value_key_at(value, i),
                                           value_key_length_at(value, i), flags);
                        g_string_append(text, (flags & JSON_INDENT) ? ": " : ":");
                }
                append_value(text, value_at(value, i), flags, depth + 1);
        }
        if (count > 0)
                append_break(text, flags, depth);
        g_string_append_c(text, is_map ? '}' : ']');
}

void json_append(GString *text, const Value *value, JsonFlags flags) {
        if ((flags & JSON_SORTED) == 0) {
                append_value(text, value, flags, 0);
                return;
        }
        g_autoptr(Value) sorted = value_sorted(value);
        append_value(text, sorted, flags, 0);
}

char *json_write(const Value *value, JsonFlags flags, size_t *ret_length) {
        GString *text = g_string_new(NULL);

        json_append(text, value, flags);
        if (ret_length)
                *ret_length = text->len;
        return g_string_free(text, FALSE);
}

char *json_digest(const Value *value) {
        size_t length;
        g_autofree char *text = json_write(value, JSON_SORTED, &length);

        return crypto_sha256_hex(text, length);
}
