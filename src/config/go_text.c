#include "config/go_text.h"

#include <string.h>

static const char *const units[] = { "ns", "us", "\u00b5s", "\u03bcs", "ms", "s", "m", "h" };

static bool unit_known(const char *unit, size_t length) {
        for (size_t i = 0; i < G_N_ELEMENTS(units); i++)
                if (strlen(units[i]) == length && memcmp(units[i], unit, length) == 0)
                        return true;
        return false;
}

/* As package time quotes: bytes that are not printable ASCII become \xNN. */
static char *duration_quote(const char *text, size_t length) {
        GString *quoted = g_string_new("\"");
        for (size_t i = 0; i < length; i++) {
                unsigned char byte = (unsigned char) text[i];
                if (byte >= 0x80 || byte < ' ')
                        g_string_append_printf(quoted, "\\x%02x", byte);
                else if (byte == '"' || byte == '\\')
                        g_string_append_printf(quoted, "\\%c", byte);
                else
                        g_string_append_c(quoted, (char) byte);
        }
        g_string_append_c(quoted, '"');
        return g_string_free(quoted, FALSE);
}

char *duration_error_text(const char *text) {
        g_autofree char *whole = duration_quote(text, strlen(text));
        const char *cursor = text + (*text == '-' || *text == '+');
        while (*cursor) {
                size_t number = strspn(cursor, "0123456789");
                size_t length = number;
                if (cursor[length] == '.') {
                        size_t decimals = strspn(cursor + length + 1, "0123456789");
                        number += decimals;
                        length += 1 + decimals;
                }
                if (number == 0)
                        break;
                cursor += length;
                size_t unit = strcspn(cursor, ".0123456789");
                if (unit == 0)
                        return g_strdup_printf("time: missing unit in duration %s", whole);
                if (!unit_known(cursor, unit)) {
                        g_autofree char *name = duration_quote(cursor, unit);
                        return g_strdup_printf("time: unknown unit %s in duration %s", name, whole);
                }
                cursor += unit;
        }
        return g_strdup_printf("time: invalid duration %s", whole);
}

static void append_rune(GString *quoted, gunichar rune, bool ascii) {
        static const char escapes[] = "\aa\bb\ff\nn\rr\tt\vv\"\"\\\\";

        for (size_t i = 0; i + 1 < sizeof escapes; i += 2)
                if (rune == (gunichar) escapes[i]) {
                        g_string_append_printf(quoted, "\\%c", escapes[i + 1]);
                        return;
                }
        if (rune >= ' ' && rune < 0x7f)
                g_string_append_c(quoted, (char) rune);
        else if (rune < ' ' || rune == 0x7f)
                g_string_append_printf(quoted, "\\x%02x", rune);
        else if (!ascii && g_unichar_isprint(rune) && !(g_unichar_isspace(rune)))
                g_string_append_unichar(quoted, rune);
        else if (rune < 0x10000)
                g_string_append_printf(quoted, "\\u%04x", rune);
        else
                g_string_append_printf(quoted, "\\U%08x", rune);
}

char *go_quote(const char *text, bool ascii) {
        GString *quoted = g_string_new("\"");
        while (*text) {
                gunichar rune = g_utf8_get_char_validated(text, -1);
                if (rune == (gunichar) -1 || rune == (gunichar) -2) {
                        g_string_append_printf(quoted, "\\x%02x", (unsigned char) *text++);
                        continue;
                }
                append_rune(quoted, rune, ascii);
                text = g_utf8_next_char(text);
        }
        g_string_append_c(quoted, '"');
        return g_string_free(quoted, FALSE);
}

char *go_quote_list(const char *const *texts, size_t count) {
        GString *list = g_string_new("[");
        for (size_t i = 0; i < count; i++) {
                g_autofree char *quoted = go_quote(texts[i], true);
                g_string_append_printf(list, "%s%s", i > 0 ? " " : "", quoted);
        }
        g_string_append_c(list, ']');
        return g_string_free(list, FALSE);
}
