/* The parser: defaults, then the environment, then the command line, with go-flags' grammar and texts. */
#include "base/options.h"

#include "base/options_internal.h"

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

static char *flag_text(const OptionTable *table, const Option *option) {
        g_autofree char *name = option_long_name(table, option);

        return option->letter ? g_strdup_printf("-%c, --%s", option->letter, name)
                              : g_strdup_printf("--%s", name);
}

/* ---- values ---- */

static void *field(const Option *option, void *target) {
        return (char *) target + option->offset;
}

static const char *go_type(OptionKind kind) {
        switch (kind) {
        case OPTION_INT:
                return "int";
        case OPTION_FLOAT:
                return "float64";
        case OPTION_DURATION:
                return "time.Duration";
        case OPTION_PATH:
                return "flag.File";
        default:
                return "string";
        }
}

static bool invalid(const OptionTable *table, const Option *option, const char *reason,
                    GError **error) {
        g_autofree char *flag = flag_text(table, option);

        g_set_error(error, ERROR, ERROR_INVALID, "invalid argument for flag `%s' (expected %s): %s",
                    flag, go_type(option->kind), reason);
        return false;
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
                *(Duration *) to = duration;
                return true;
        }
        gint64 integer = g_ascii_strtoll(text, &end, 10);
        double number = option->kind == OPTION_FLOAT ? g_ascii_strtod(text, &end) : 0;
        if (!*text || *end || errno != 0) {
                g_autofree char *reason = g_strdup_printf(
                        "strconv.Parse%s: parsing \"%s\": %s",
                        option->kind == OPTION_FLOAT ? "Float" : "Int", text,
                        errno == ERANGE ? "value out of range" : "invalid syntax");
                return invalid(table, option, reason, error);
        }
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
        g_autofree char *flag = flag_text(table, option);
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
        g_free(*to);
        *to = g_canonicalize_filename(text, NULL);
        return true;
}

static bool set_value(const OptionTable *table, const Option *option, const char *text,
                      void *target, GError **error) {
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
                return set_path(table, option, text, to, error);
        case OPTION_STRING:
                break;
        }
        g_free(*(char **) to);
        *(char **) to = g_strdup(text);
        return true;
}

static bool is_list(const Option *option) {
        return option->kind == OPTION_LIST || option->kind == OPTION_PAIRS;
}

static void empty_list(const Option *option, void *target) {
        if (is_list(option))
                g_ptr_array_set_size(*(GPtrArray **) field(option, target), 0);
}

/* ---- defaults and environment ---- */

static bool set_items(const OptionTable *table, const Option *option, const char *text,
                      void *target, GError **error) {
        g_auto(GStrv) items = g_strsplit(text, ",", -1);

        if (!is_list(option))
                return set_value(table, option, text, target, error);
        empty_list(option, target);
        for (size_t i = 0; items[i]; i++)
                if (*items[i] && !set_value(table, option, items[i], target, error))
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

static bool set_from_environment(const OptionTable *table, const Option *option, void *target,
                                 bool *ret_set, GError **error) {
        static const char *const programs[] = { "CONCOURSE_", "WEIR_" };

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

static bool set_start(const OptionTable *table, void *target, bool *was_set, GError **error) {
        for (size_t i = 0; table->options[i].name; i++) {
                const Option *option = &table->options[i];
                if (is_list(option))
                        *(GPtrArray **) field(option,
                                              target) = g_ptr_array_new_with_free_func(g_free);
        }
        for (size_t i = 0; table->options[i].name; i++) {
                const Option *option = &table->options[i];
                if (option->standard && !set_items(table, option, option->standard, target, error))
                        return false;
                if (!set_from_environment(table, option, target, &was_set[i], error))
                        return false;
        }
        return true;
}

/* ---- the command line ---- */

typedef struct {
        const OptionTable *table;
        char **words; /* NULL-terminated */
        void *target;
        bool *was_set; /* anywhere */
        bool *on_line; /* on the command line: its first use empties a list */
        GPtrArray *arguments;
        bool help;
        GError **error;
} Line;

static const Option *find_long(const Line *line, const char *name, size_t length) {
        for (size_t i = 0; line->table->options[i].name; i++) {
                g_autofree char *full = option_long_name(line->table, &line->table->options[i]);
                if (strlen(full) == length && strncmp(full, name, length) == 0)
                        return &line->table->options[i];
        }
        return NULL;
}

static const Option *find_letter(const Line *line, char letter) {
        for (size_t i = 0; line->table->options[i].name; i++)
                if (line->table->options[i].letter == letter)
                        return &line->table->options[i];
        return NULL;
}

static bool unknown_flag(Line *line, const char *name, size_t length) {
        g_set_error(line->error, ERROR, ERROR_INVALID, "unknown flag `%.*s'", (int) length, name);
        return false;
}

/* Sets it from `attached` (behind "=", NULL: none) or from the next word. */
static bool take(Line *line, const Option *option, const char *attached) {
        size_t index = (size_t) (option - line->table->options);
        g_autofree char *flag = flag_text(line->table, option);

        if (option->kind == OPTION_FLAG && attached) {
                g_set_error(line->error, ERROR, ERROR_INVALID,
                            "bool flag `%s' cannot have an argument", flag);
                return false;
        }
        if (option->kind != OPTION_FLAG && !attached) {
                attached = *++line->words;
                if (!attached) {
                        line->words--;
                        g_set_error(line->error, ERROR, ERROR_INVALID,
                                    "expected argument for flag `%s'", flag);
                        return false;
                }
                if (attached[0] == '-' && attached[1] != '\0') {
                        g_set_error(line->error, ERROR, ERROR_INVALID,
                                    "expected argument for flag `%s', but got option `%s'", flag,
                                    attached);
                        return false;
                }
        }
        if (!line->on_line[index])
                empty_list(option, line->target);
        line->on_line[index] = line->was_set[index] = true;
        return set_value(line->table, option, attached, line->target, line->error);
}

static bool take_long(Line *line, const char *word) {
        const char *equals = strchr(word, '=');
        size_t length = equals ? (size_t) (equals - word) : strlen(word);
        const Option *option = find_long(line, word, length);

        if (option)
                return take(line, option, equals ? equals + 1 : NULL);
        if (length == 4 && strncmp(word, "help", 4) == 0)
                return line->help = true;
        return unknown_flag(line, word, length);
}

/* -a, -aw, -nvalue, -n=value */
static bool take_short(Line *line, const char *letters) {
        for (; *letters; letters++) {
                const Option *option = find_letter(line, *letters);
                if (!option && *letters == 'h')
                        return line->help = true;
                if (!option)
                        return unknown_flag(line, letters, 1);
                if (option->kind == OPTION_FLAG) {
                        if (letters[1] == '=')
                                return take(line, option, letters + 2);
                        if (!take(line, option, NULL))
                                return false;
                        continue;
                }
                if (letters[1] == '\0')
                        return take(line, option, NULL);
                return take(line, option, letters + 1 + (letters[1] == '='));
        }
        return true;
}

static bool take_word(Line *line, bool *only_arguments) {
        const char *word = *line->words;

        if (*only_arguments || word[0] != '-' || word[1] == '\0')
                g_ptr_array_add(line->arguments, g_strdup(word));
        else if (g_str_equal(word, "--"))
                *only_arguments = true;
        else
                return word[1] == '-' ? take_long(line, word + 2) : take_short(line, word + 1);
        return true;
}

static int compare_text(const void *a, const void *b) {
        return strcmp(*(const char *const *) a, *(const char *const *) b);
}

static bool check_required(const Line *line) {
        g_autoptr(GPtrArray) missing = g_ptr_array_new_with_free_func(g_free);
        g_autoptr(GString) text = g_string_new(NULL);

        for (size_t i = 0; line->table->options[i].name; i++)
                if (line->table->options[i].required && !line->was_set[i]) {
                        g_autofree char *flag = flag_text(line->table, &line->table->options[i]);
                        g_ptr_array_add(missing, g_strdup_printf("`%s'", flag));
                }
        if (missing->len == 0)
                return true;
        g_ptr_array_sort(missing, compare_text);
        for (size_t i = 0; i < missing->len; i++)
                g_string_append_printf(text, "%s%s",
                                       i == 0                  ? ""
                                       : i + 1 == missing->len ? " and "
                                                               : ", ",
                                       (char *) g_ptr_array_index(missing, i));
        g_set_error(line->error, ERROR, ERROR_INVALID, "the required flag%s %s %s not specified",
                    missing->len > 1 ? "s" : "", text->str, missing->len > 1 ? "were" : "was");
        return false;
}

static bool check_arguments(const Line *line) {
        if (line->table->arguments || line->arguments->len == 0)
                return true;
        g_autoptr(GString) text = g_string_new(NULL);
        for (size_t i = 0; i < line->arguments->len; i++)
                g_string_append_printf(text, "%s%s", i ? " " : "",
                                       (char *) g_ptr_array_index(line->arguments, i));
        g_set_error(line->error, ERROR, ERROR_INVALID, "unexpected positional arguments: [%s]",
                    text->str);
        return false;
}

static bool parse_line(Line *line) {
        bool only_arguments = false;

        for (; *line->words; line->words++) {
                if (!take_word(line, &only_arguments))
                        return false;
                if (line->help) {
                        g_set_error(line->error, ERROR, ERROR_EXISTS, "help was asked for");
                        return false;
                }
        }
        return check_required(line) && check_arguments(line);
}

bool options_parse(const OptionTable *table, int argc, char **argv, void *target,
                   GPtrArray **ret_arguments, GError **error) {
        size_t count = 0;
        while (table->options[count].name)
                count++;
        g_autofree bool *was_set = g_new0(bool, count + 1), *on_line = g_new0(bool, count + 1);
        g_autoptr(GPtrArray) arguments = g_ptr_array_new_with_free_func(g_free);
        Line line = { .table = table,
                      .words = argc > 0 ? argv + 1 : argv,
                      .target = target,
                      .was_set = was_set,
                      .on_line = on_line,
                      .arguments = arguments,
                      .error = error };

        if (!set_start(table, target, was_set, error) || !parse_line(&line))
                return false;
        if (ret_arguments)
                *ret_arguments = g_steal_pointer(&arguments);
        return true;
}

void options_clear(const OptionTable *table, void *target) {
        for (size_t i = 0; table->options[i].name; i++) {
                const Option *option = &table->options[i];
                if (is_list(option))
                        g_clear_pointer((GPtrArray **) field(option, target), g_ptr_array_unref);
                else if (option->kind == OPTION_STRING || option->kind == OPTION_CHOICE ||
                         option->kind == OPTION_PATH)
                        g_clear_pointer((char **) field(option, target), g_free);
        }
}
