/* Which names are good (reference 03 §4). */
#include <string.h>

#include "config/findings.h"

static void warning_free(ConfigWarning *warning) {
        g_free(warning->type);
        g_free(warning->message);
        g_free(warning);
}

ConfigFindings *config_findings_new(void) {
        ConfigFindings *findings = g_new0(ConfigFindings, 1);
        findings->errors = g_ptr_array_new_with_free_func(g_free);
        findings->warnings = g_ptr_array_new_with_free_func((GDestroyNotify) warning_free);
        return findings;
}

void config_findings_free(ConfigFindings *findings) {
        if (!findings)
                return;
        g_ptr_array_unref(findings->errors);
        g_ptr_array_unref(findings->warnings);
        g_free(findings);
}

void findings_warn(ConfigFindings *findings, const char *type, const char *format, ...) {
        ConfigWarning *warning = g_new0(ConfigWarning, 1);
        va_list arguments;
        va_start(arguments, format);
        warning->type = g_strdup(type);
        warning->message = g_strdup_vprintf(format, arguments);
        va_end(arguments);
        g_ptr_array_add(findings->warnings, warning);
}

Value *config_warnings_to_value(const ConfigFindings *findings) {
        if (findings->warnings->len == 0)
                return NULL;
        Value *list = value_list();
        for (size_t i = 0; i < findings->warnings->len; i++) {
                const ConfigWarning *warning = g_ptr_array_index(findings->warnings, i);
                Value *map = value_map();
                value_map_set_string(map, "type", warning->type);
                value_map_set_string(map, "message", warning->message);
                value_list_add(list, map);
        }
        return list;
}

void section_init(Section *section) {
        section->lines = g_string_new(NULL);
}

void section_add(Section *section, const char *format, ...) {
        va_list arguments;
        va_start(arguments, format);
        g_autofree char *line = g_strdup_vprintf(format, arguments);
        va_end(arguments);
        g_autoptr(GString) indented = g_string_new(line);
        g_string_replace(indented, "\n", "\n\t", 0);
        g_string_append_printf(section->lines, "\t%s\n", indented->str);
}

void section_finish(Section *section, const char *label, ConfigFindings *findings) {
        if (section->lines->len > 0)
                g_ptr_array_add(findings->errors,
                                g_strdup_printf("invalid %s:\n%s", label, section->lines->str));
        g_string_free(section->lines, TRUE);
        section->lines = NULL;
}

static bool is_digit(gunichar rune) {
        return rune >= '0' && rune <= '9';
}

/* Letters that are not upper case. */
static bool is_letter(gunichar rune) {
        switch (g_unichar_type(rune)) {
        case G_UNICODE_LOWERCASE_LETTER:
        case G_UNICODE_TITLECASE_LETTER:
        case G_UNICODE_MODIFIER_LETTER:
        case G_UNICODE_OTHER_LETTER:
                return true;
        default:
                return false;
        }
}

/*
 * The first character, in the bytes from offset 1 on, that may not stand there; *ret_length is its length. NULL: none.
 * Upstream skips one byte, not one character: of a longer first character, the rest counts as broken [quirk], but only
 * its broken byte is shown when something later is wrong.
 */
static const char *find_illegal(const char *identifier, size_t *ret_length) {
        for (const char *cursor = identifier + 1; *cursor; cursor += *ret_length) {
                gunichar rune = g_utf8_get_char_validated(cursor, -1);
                bool broken = rune == (gunichar) -1 || rune == (gunichar) -2;
                *ret_length = broken ? 1 : (size_t) (g_utf8_next_char(cursor) - cursor);
                if (broken || (!is_letter(rune) && !is_digit(rune) &&
                               !(rune < 0x80 && strchr("-_.", (int) rune))))
                        return cursor;
        }
        return NULL;
}

static bool all_good(const char *identifier) {
        const char *cursor = identifier;
        size_t length;
        gunichar first = g_utf8_get_char_validated(cursor, -1);
        if (first == (gunichar) -1 || first == (gunichar) -2)
                return false;
        /* find_illegal() starts one byte in: hand it the last byte of the first character. */
        return (is_letter(first) || is_digit(first)) &&
               !find_illegal(g_utf8_next_char(cursor) - 1, &length);
}

/* Why an identifier is bad. Returns new; NULL when it is good. */
static char *reason_against(const char *identifier) {
        if (strspn(identifier, "0123456789") == strlen(identifier))
                return g_strdup("cannot be just numbers");
        if (all_good(identifier))
                return NULL;
        gunichar first = g_utf8_get_char_validated(identifier, -1);
        bool broken = first == (gunichar) -1 || first == (gunichar) -2;
        if (broken || (!is_letter(first) && !is_digit(first)))
                return g_strdup("must start with a lowercase letter or a number");
        size_t length;
        const char *illegal = find_illegal(identifier, &length);
        return g_strdup_printf("illegal character '%.*s'", (int) length, illegal);
}

IdentifierVerdict identifier_judge(const char *identifier, const char *const *context,
                                   size_t context_count, char **ret_message) {
        g_autoptr(GString) joined = g_string_new(NULL);
        for (size_t i = 0; i < context_count; i++)
                g_string_append(joined, context[i]);
        *ret_message = NULL;
        if (!*identifier) {
                *ret_message = g_strdup_printf("%s: identifier cannot be an empty string",
                                               joined->str);
                return IDENTIFIER_EMPTY;
        }
        /* Names directly under across are templates. */
        if (context_count >= 2 && g_str_equal(context[context_count - 2], ".across") &&
            (strstr(context[context_count - 1], "set_pipeline") ||
             strstr(context[context_count - 1], "task")))
                return IDENTIFIER_GOOD;
        g_autofree char *reason = reason_against(identifier);
        if (!reason)
                return IDENTIFIER_GOOD;
        *ret_message = g_strdup_printf("%s: '%s' is not a valid identifier: %s", joined->str,
                                       identifier, reason);
        return IDENTIFIER_BAD;
}

void section_check_identifier(Section *section, const char *identifier, const char *context,
                              ConfigFindings *findings) {
        g_autofree char *message = NULL;
        switch (identifier_judge(identifier, &context, 1, &message)) {
        case IDENTIFIER_EMPTY:
                section_add(section, "%s", message);
                break;
        case IDENTIFIER_BAD:
                findings_warn(findings, "invalid_identifier", "%s", message);
                break;
        default:
                break;
        }
}

bool identifier_check(const char *identifier, const char *context, ConfigFindings *findings,
                      GError **error) {
        g_autofree char *message = NULL;
        switch (identifier_judge(identifier, &context, 1, &message)) {
        case IDENTIFIER_EMPTY:
                g_set_error_literal(error, ERROR, ERROR_INVALID, message);
                return false;
        case IDENTIFIER_BAD:
                findings_warn(findings, "invalid_identifier", "%s", message);
                return true;
        default:
                return true;
        }
}
