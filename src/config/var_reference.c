/* The grammar inside ((…)) (reference 03 §6.1, §6.2). */
#include <string.h>

#include "config/go_text.h"
#include "config/var_scan.h"

static bool name_rune(const char *cursor, size_t *ret_length) {
        unsigned char byte = (unsigned char) *cursor;
        if (byte < 0x80) {
                *ret_length = 1;
                return g_ascii_isalnum(byte) || (byte && strchr("-/.:@\"_", byte));
        }
        gunichar rune = g_utf8_get_char_validated(cursor, -1);
        if (rune == (gunichar) -1 || rune == (gunichar) -2)
                return false;
        *ret_length = (size_t) (g_utf8_next_char(cursor) - cursor);
        return g_unichar_isalpha(rune);
}

bool var_scan(const char *text, const char **ret_name, size_t *ret_length) {
        for (const char *open = strstr(text, "(("); open; open = strstr(open + 1, "((")) {
                const char *end = open + 2;
                size_t step;
                while (name_rune(end, &step))
                        end += step;
                if (end == open + 2 || end[0] != ')' || end[1] != ')')
                        continue;
                *ret_name = open + 2;
                *ret_length = (size_t) (end - *ret_name);
                return true;
        }
        return false;
}

bool var_is_whole(const char *text) {
        const char *name;
        size_t length;
        return var_scan(text, &name, &length) && name == text + 2 && !name[length + 2];
}

/* Lexical cleaning as Go's path.Clean, of a path taken as rooted; relative ones lose the root again. Returns new. */
static char *clean_path(const char *path) {
        bool absolute = *path == '/';
        g_auto(GStrv) parts = g_strsplit(path, "/", -1);
        g_autoptr(GPtrArray) kept = g_ptr_array_new();
        for (char **part = parts; *part; part++) {
                if (!**part || g_str_equal(*part, "."))
                        continue;
                if (!g_str_equal(*part, ".."))
                        g_ptr_array_add(kept, *part);
                else if (kept->len > 0)
                        g_ptr_array_remove_index(kept, kept->len - 1);
        }
        GString *clean = g_string_new(absolute ? "/" : "");
        for (size_t i = 0; i < kept->len; i++)
                g_string_append_printf(clean, "%s%s", i > 0 ? "/" : "",
                                       (const char *) g_ptr_array_index(kept, i));
        return g_string_free(clean, FALSE);
}

/* The first unquoted character, or NULL. */
static const char *find_unquoted(const char *text, char wanted) {
        bool quoted = false;
        for (; *text; text++) {
                if (*text == '"')
                        quoted = !quoted;
                else if (*text == wanted && !quoted)
                        return text;
        }
        return NULL;
}

/* A part without its quotes and the white space around it. Returns new. */
static char *unquote(const char *text, size_t length) {
        GString *plain = g_string_new(NULL);
        for (size_t i = 0; i < length; i++)
                if (text[i] != '"')
                        g_string_append_c(plain, text[i]);
        return g_strstrip(g_string_free(plain, FALSE));
}

static bool add_segment(GPtrArray *segments, const char *text, size_t length) {
        g_autofree char *plain = unquote(text, length);
        g_autofree char *clean = clean_path(plain);
        if (!*clean)
                return false;
        g_ptr_array_add(segments, g_steal_pointer(&clean));
        return true;
}

VarReference *var_reference_parse(const char *text, GError **error) {
        size_t quotes = 0;
        for (const char *cursor = text; *cursor; cursor++)
                quotes += *cursor == '"';
        if (quotes % 2 != 0) {
                g_set_error(error, ERROR, ERROR_INVALID,
                            "invalid var '%s': contains unclosed quotes", text);
                return NULL;
        }

        g_autoptr(VarReference) reference = g_new0(VarReference, 1);
        reference->name = g_strdup(text);
        const char *rest = text;
        const char *colon = find_unquoted(text, ':');
        reference->source = colon ? unquote(text, (size_t) (colon - text)) : g_strdup("");
        if (colon)
                rest = colon + 1;

        g_autoptr(GPtrArray) segments = g_ptr_array_new_with_free_func(g_free);
        for (const char *dot;; rest = dot + 1) {
                dot = find_unquoted(rest, '.');
                if (!add_segment(segments, rest, dot ? (size_t) (dot - rest) : strlen(rest))) {
                        g_set_error(error, ERROR, ERROR_INVALID, "invalid var '%s': empty field",
                                    text);
                        return NULL;
                }
                if (!dot)
                        break;
        }
        g_ptr_array_add(segments, NULL);
        reference->path = g_strdup(g_ptr_array_index(segments, 0));
        reference->fields = g_strdupv((char **) segments->pdata + 1);
        return g_steal_pointer(&reference);
}

VarReference *var_reference_new(const char *source, const char *path, const char *const *fields) {
        static const char *const none[] = { NULL };
        VarReference *reference = g_new0(VarReference, 1);
        reference->source = g_strdup(source ? source : "");
        reference->path = g_strdup(path);
        reference->fields = g_strdupv((char **) (fields ? fields : none));
        reference->name = var_reference_format(reference);
        return reference;
}

void var_reference_free(VarReference *reference) {
        if (!reference)
                return;
        g_free(reference->source);
        g_free(reference->path);
        g_strfreev(reference->fields);
        g_free(reference->name);
        g_free(reference);
}

static void append_segment(GString *text, const char *segment) {
        if (!strpbrk(segment, ",.:/ ")) {
                g_string_append(text, segment);
                return;
        }
        g_autofree char *quoted = go_quote(segment, false);
        g_string_append(text, quoted);
}

static void append_path(GString *text, const VarReference *reference) {
        append_segment(text, reference->path);
        for (char **field = reference->fields; *field; field++) {
                g_string_append_c(text, '.');
                append_segment(text, *field);
        }
}

char *var_reference_format(const VarReference *reference) {
        GString *text = g_string_new(NULL);
        if (*reference->source)
                g_string_append_printf(text, "%s:", reference->source);
        append_path(text, reference);
        return g_string_free(text, FALSE);
}

char *var_reference_format_path(const VarReference *reference) {
        GString *text = g_string_new(NULL);
        append_path(text, reference);
        return g_string_free(text, FALSE);
}
