#include "resources/registry_regex.h"

#include <string.h>

/* Of PCRE and not of Go: what makes matching slow without bound. */
static const char *find_foreign(const char *pattern) {
        static const char *const groups[] = { "(?=", "(?!", "(?<=", "(?<!", "(?>",
                                              "(?|", "(?R", "(?(",  "(?&",  "(*" };
        for (const char *cursor = pattern; *cursor; cursor++) {
                if (*cursor == '\\' && cursor[1]) {
                        if (strchr("123456789gkGKRXh", cursor[1]))
                                return cursor;
                        cursor++;
                        continue;
                }
                for (size_t i = 0; i < G_N_ELEMENTS(groups); i++)
                        if (g_str_has_prefix(cursor, groups[i]))
                                return cursor;
        }
        return NULL;
}

GRegex *registry_regex(const char *pattern, GError **error) {
        g_autoptr(GError) failure = NULL;
        const char *foreign = find_foreign(pattern);
        if (foreign) {
                g_set_error(error, ERROR, ERROR_INVALID,
                            "invalid regex pattern: error parsing regexp: invalid or unsupported "
                            "Perl syntax: `%s`",
                            foreign);
                return NULL;
        }
        GRegex *regex = g_regex_new(pattern, G_REGEX_OPTIMIZE, 0, &failure);
        if (!regex)
                g_set_error(error, ERROR, ERROR_INVALID, "invalid regex pattern: %s",
                            failure->message);
        return regex;
}
