/* What an option is called and how its text becomes a value. */
#include "base/options_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ---- names ---- */

char *option_long_name(const OptionTable *table, const Option *option) {
        return g_strconcat(table->prefix ? table->prefix : "", option->name, NULL);
}

char *option_variable(const OptionTable *table, const Option *option, const char *program) {
        if (option->environment && !*option->environment)
                return NULL;
        if (option->environment && g_ascii_islower(*option->environment))
                return g_strdup(option->environment); /* http_proxy and its like have no prefix */
        g_autofree char *name = option->environment ? g_strdup(option->environment)
                                                    : option_long_name(table, option);
        g_autofree char *upper = g_ascii_strup(name, -1);
        return g_strconcat(program, g_strdelimit(upper, "-", '_'), NULL);
}

char *option_flag_text(const OptionTable *table, const Option *option) {
        g_autofree char *name = option_long_name(table, option);

        return option->letter ? g_strdup_printf("-%c, --%s", option->letter, name)
                              : g_strdup_printf("--%s", name);
}

/* ---- values ---- */

static void *field(const Option *option, void *target) {
        return (char *) target + option->offset;
}

static bool is_port(const Option *option) {
        return option->kind == OPTION_INT && option->maximum == UINT16_MAX;
}

static const char *go_type(const Option *option) {
        switch (option->kind) {
        case OPTION_INT:
                return is_port(option) ? "uint16" : "int";
        case OPTION_FLOAT:
                return "float64";
        case OPTION_DURATION:
                return "time.Duration";
        case OPTION_PATH:
                return "flag.File";
        case OPTION_FOLDER:
                return "flag.Dir";
        case OPTION_URL:
                return "flag.URL";
        case OPTION_IP:
                return "flag.IP";
        default:
                return "string";
        }
}

static bool invalid(const OptionTable *table, const Option *option, const char *reason,
                    GError **error) {
        g_autofree char *flag = option_flag_text(table, option);

        g_set_error(error, ERROR, ERROR_INVALID, "invalid argument for flag `%s' (expected %s): %s",
                    flag, go_type(option), reason);
        return false;
}

/* Returns false, with the error, when it is out of what the option takes. */
static bool check_range(const OptionTable *table, const Option *option, int64_t value,
                        const char *text, GError **error) {
        g_autofree char *reason = NULL;

        if (is_port(option) && (value < 0 || value > UINT16_MAX))
                reason = g_strdup_printf("strconv.ParseUint: parsing \"%s\": %s", text,
                                         value < 0 ? "invalid syntax" : "value out of range");
        else if (table->natural && !option->negative && value < 0)
                reason = g_strdup_printf("'%s' is below 0", text);
        else if (option->maximum && value > option->maximum)
                reason = g_strdup_printf("'%s' is above %" G_GINT64_FORMAT, text, option->maximum);
        return !reason || invalid(table, option, reason, error);
}

static bool set_number(const OptionTable *table, const Option *option, const char *text, void *to,
                       GError **error) {
        char *end;
        Duration duration;

        errno = 0;
        if (option->kind == OPTION_DURATION) {
                g_autoptr(GError) cause = NULL;
                if (!duration_parse(text, &duration, &cause)) {
                        g_autofree char *reason = g_strdup_printf("time: invalid duration \"%s\"",
                                                                  text);
                        return invalid(table, option, reason, error);
                }
                if (!check_range(table, option, duration, text, error))
                        return false;
                *(Duration *) to = duration;
                return true;
        }
        gint64 integer = g_ascii_strtoll(text, &end, 10);
        double number = option->kind == OPTION_FLOAT ? g_ascii_strtod(text, &end) : 0;
        if (!*text || g_ascii_isspace(*text) || *end || errno != 0) {
                g_autofree char *reason = g_strdup_printf(
                        "strconv.Parse%s: parsing \"%s\": %s",
                        option->kind == OPTION_FLOAT ? "Float"
                        : is_port(option)            ? "Uint"
                                                     : "Int",
                        text, errno == ERANGE ? "value out of range" : "invalid syntax");
                return invalid(table, option, reason, error);
        }
        if (option->kind == OPTION_INT && !check_range(table, option, integer, text, error))
                return false;
        if (option->kind == OPTION_FLOAT)
                *(double *) to = number;
        else
                *(int64_t *) to = integer;
        return true;
}

static bool set_choice(const OptionTable *table, const Option *option, const char *text, char **to,
                       GError **error) {
        g_autoptr(GString) allowed = g_string_new(NULL);
        size_t count = 0;

        for (; option->choices[count]; count++)
                if (g_str_equal(option->choices[count], text)) {
                        g_free(*to);
                        *to = g_strdup(text);
                        return true;
                }
        for (size_t i = 0; i < count; i++)
                g_string_append_printf(allowed, "%s%s",
                                       i == 0           ? ""
                                       : i + 1 == count ? " or "
                                                        : ", ",
                                       option->choices[i]);
        g_autofree char *flag = option_flag_text(table, option);
        g_set_error(error, ERROR, ERROR_INVALID,
                    "Invalid value `%s' for option `%s'. Allowed values are: %s", text, flag,
                    allowed->str);
        return false;
}

static bool set_path(const OptionTable *table, const Option *option, const char *text, char **to,
                     GError **error) {
        struct stat status;

        if (stat(text, &status) < 0) {
                g_autofree char *reason = g_strdup_printf("path '%s' does not exist", text);
                return invalid(table, option, reason, error);
        }
        bool folder = option->kind == OPTION_FOLDER;
        if (S_ISDIR(status.st_mode) != folder) {
                g_autofree char *reason = g_strdup_printf(
                        folder ? "path '%s' is not a directory"
                               : "path '%s' is a directory, not a file",
                        text);
                return invalid(table, option, reason, error);
        }
        g_free(*to);
        *to = g_canonicalize_filename(text, NULL);
        return true;
}

static bool set_url(const OptionTable *table, const Option *option, const char *text, char **to,
                    GError **error) {
        const char *colon = strstr(text, "://");
        const char *missing = !colon || colon == text                       ? "scheme"
                              : colon[3] == '\0' || strchr("/?#", colon[3]) ? "host"
                                                                            : NULL;
        size_t length = strlen(text);

        if (missing) {
                g_autofree char *reason = g_strdup_printf("missing %s in '%s'", missing, text);
                return invalid(table, option, reason, error);
        }
        while (text[length - 1] == '/')
                length--;
        g_free(*to);
        *to = g_strndup(text, length);
        return true;
}

static bool set_ip(const OptionTable *table, const Option *option, const char *text, char **to,
                   GError **error) {
        struct in6_addr address; /* large enough for either */

        if (inet_pton(AF_INET, text, &address) != 1 && inet_pton(AF_INET6, text, &address) != 1) {
                g_autofree char *reason = g_strdup_printf("invalid IP: '%s'", text);
                return invalid(table, option, reason, error);
        }
        g_free(*to);
        *to = g_strdup(text);
        return true;
}

bool option_set(const OptionTable *table, const Option *option, const char *text, void *target,
                GError **error) {
        void *to = field(option, target);

        switch (option->kind) {
        case OPTION_FLAG:
                *(bool *) to = true;
                return true;
        case OPTION_INT:
        case OPTION_FLOAT:
        case OPTION_DURATION:
                return set_number(table, option, text, to, error);
        case OPTION_LIST:
        case OPTION_PAIRS:
                g_ptr_array_add(*(GPtrArray **) to, g_strdup(text));
                return true;
        case OPTION_CHOICE:
                return set_choice(table, option, text, to, error);
        case OPTION_PATH:
        case OPTION_FOLDER:
                return set_path(table, option, text, to, error);
        case OPTION_URL:
                return set_url(table, option, text, to, error);
        case OPTION_IP:
                return set_ip(table, option, text, to, error);
        case OPTION_STRING:
                break;
        }
        g_free(*(char **) to);
        *(char **) to = g_strdup(text);
        return true;
}

bool option_is_list(const Option *option) {
        return option->kind == OPTION_LIST || option->kind == OPTION_PAIRS;
}

void option_empty(const Option *option, void *target) {
        if (option_is_list(option))
                g_ptr_array_set_size(*(GPtrArray **) field(option, target), 0);
}

/* ---- quotes ---- */

/* Digits of an escape, at most `most`; *ret_count is how many there are. */
static uint32_t read_digits(const char *text, unsigned base, size_t most, size_t *ret_count) {
        uint32_t number = 0;
        size_t count = 0;

        for (; count < most; count++) {
                int digit = g_ascii_xdigit_value(text[count]);
                if (digit < 0 || (unsigned) digit >= base)
                        break;
                number = number * base + (uint32_t) digit;
        }
        *ret_count = count;
        return number;
}

/* Behind a backslash; moves past the escape. */
static bool read_escape(const char **cursor, GString *text) {
        static const char *const pairs = "a\ab\bf\fn\nr\rt\tv\v\\\\\"\"";
        static const struct {
                char letter;
                unsigned base;
                size_t digits;
        } numbers[] = { { 'x', 16, 2 }, { 'u', 16, 4 }, { 'U', 16, 8 } };
        char letter = **cursor;
        size_t count;

        for (const char *pair = pairs; *pair; pair += 2)
                if (pair[0] == letter) {
                        (*cursor)++;
                        g_string_append_c(text, pair[1]);
                        return true;
                }
        if (letter >= '0' && letter <= '7') {
                uint32_t byte = read_digits(*cursor, 8, 3, &count);
                *cursor += count;
                g_string_append_c(text, (char) byte);
                return count == 3 && byte <= 255;
        }
        for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++)
                if (numbers[i].letter == letter) {
                        uint32_t number = read_digits(*cursor + 1, 16, numbers[i].digits, &count);
                        *cursor += 1 + count;
                        if (count != numbers[i].digits ||
                            (letter != 'x' && !g_unichar_validate(number)))
                                return false;
                        if (letter == 'x')
                                g_string_append_c(text, (char) number);
                        else
                                g_string_append_unichar(text, number);
                        return true;
                }
        return false;
}

/* A string literal of Go: "a\tb". Returns new, or NULL. */
static char *unquote(const char *literal) {
        g_autoptr(GString) text = g_string_new(NULL);
        const char *cursor = literal + 1;

        while (*cursor && *cursor != '"' && *cursor != '\n') {
                if (*cursor != '\\')
                        g_string_append_c(text, *cursor++);
                else if (cursor++, !read_escape(&cursor, text))
                        return NULL;
        }
        return cursor[0] == '"' && cursor[1] == '\0' ? g_string_free(g_steal_pointer(&text), FALSE)
                                                     : NULL;
}

bool option_set_word(const OptionTable *table, const Option *option, const char *text, void *target,
                     GError **error) {
        size_t length = text ? strlen(text) : 0;

        if (option->verbatim || length < 2 || text[0] != '"' || text[length - 1] != '"')
                return option_set(table, option, text, target, error);
        g_autofree char *plain = unquote(text);
        return plain ? option_set(table, option, plain, target, error)
                     : invalid(table, option, "invalid syntax", error);
}

/* ---- defaults and environment ---- */

static bool set_items(const OptionTable *table, const Option *option, const char *text,
                      void *target, GError **error) {
        g_auto(GStrv) items = g_strsplit(text, ",", -1);

        if (!option_is_list(option))
                return option_set(table, option, text, target, error);
        option_empty(option, target);
        for (size_t i = 0; items[i]; i++)
                if (*items[i] && !option_set(table, option, items[i], target, error))
                        return false;
        return true;
}

/* Go's ParseBool; set and empty means true. */
static bool set_flag(const OptionTable *table, const Option *option, const char *text, void *target,
                     GError **error) {
        static const char *const yes[] = { "", "1", "t", "T", "TRUE", "true", "True" };
        static const char *const no[] = { "0", "f", "F", "FALSE", "false", "False" };

        for (size_t i = 0; i < G_N_ELEMENTS(yes); i++)
                if (g_str_equal(text, yes[i])) {
                        *(bool *) field(option, target) = true;
                        return true;
                }
        for (size_t i = 0; i < G_N_ELEMENTS(no); i++)
                if (g_str_equal(text, no[i])) {
                        *(bool *) field(option, target) = false;
                        return true;
                }
        g_autofree char *reason = g_strdup_printf(
                "strconv.ParseBool: parsing \"%s\": invalid syntax", text);
        return invalid(table, option, reason, error);
}

static const char *const programs[] = { "CONCOURSE_", "WEIR_" };

static bool set_from_environment(const OptionTable *table, const Option *option, void *target,
                                 bool *ret_set, GError **error) {
        for (size_t i = 0; i < G_N_ELEMENTS(programs); i++) {
                g_autofree char *name = option_variable(table, option, programs[i]);
                const char *text = name ? g_getenv(name) : NULL;
                if (!text)
                        continue;
                *ret_set = true;
                if (option->kind == OPTION_FLAG ? !set_flag(table, option, text, target, error)
                                                : !set_items(table, option, text, target, error))
                        return false;
        }
        return true;
}

bool options_set_start(const OptionTable *table, void *target, bool environment, bool *was_set,
                       GError **error) {
        for (size_t i = 0; table->options[i].name; i++) {
                const Option *option = &table->options[i];
                if (option_is_list(option))
                        *(GPtrArray **) field(option,
                                              target) = g_ptr_array_new_with_free_func(g_free);
        }
        for (size_t i = 0; table->options[i].name; i++) {
                const Option *option = &table->options[i];
                if (option->standard && !set_items(table, option, option->standard, target, error))
                        return false;
                if (environment && !set_from_environment(table, option, target, &was_set[i], error))
                        return false;
        }
        return true;
}

void options_forget_environment(const OptionTable *table) {
        for (size_t i = 0; table->options[i].name; i++)
                for (size_t j = 0; j < G_N_ELEMENTS(programs); j++) {
                        g_autofree char *name = option_variable(table, &table->options[i],
                                                                programs[j]);
                        if (name && g_str_has_prefix(name, programs[j]))
                                g_unsetenv(name);
                }
}
