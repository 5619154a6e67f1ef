/* The parser: defaults, then the environment, then the command line, with go-flags' grammar and texts. */
#include "base/options_internal.h"

#include <stdlib.h>
#include <string.h>

/* A program's own options and those of its command. */
#define PROGRAM_SCOPES 2

typedef struct {
        const OptionTable *table;
        void *target;
        bool *was_set; /* anywhere */
        bool *on_line; /* on the command line: its first use empties a list */
} Scope;

typedef struct {
        Scope *scopes; /* the last that knows a name is asked */
        size_t count;
        char **words; /* NULL-terminated */
        GPtrArray *arguments;
        const OptionProgram *program;
        OptionTable command_table;
        OptionCall *call;
        bool help;
        GError **error;
} Line;

/* ---- scopes ---- */

static bool scope_open(Scope *scope, const OptionTable *table, void *target, bool environment,
                       GError **error) {
        size_t count = 0;

        while (table->options[count].name)
                count++;
        *scope = (Scope){ table, target, g_new0(bool, count + 1), g_new0(bool, count + 1) };
        return options_set_start(table, target, environment, scope->was_set, error);
}

static void scope_close(Scope *scope) {
        g_clear_pointer(&scope->was_set, g_free);
        g_clear_pointer(&scope->on_line, g_free);
}

static const Option *find_long(Line *line, const char *name, size_t length, Scope **ret) {
        for (size_t i = line->count; i > 0; i--) {
                *ret = &line->scopes[i - 1];
                for (const Option *option = (*ret)->table->options; option->name; option++) {
                        g_autofree char *full = option_long_name((*ret)->table, option);
                        if (strlen(full) == length && strncmp(full, name, length) == 0)
                                return option;
                }
        }
        return NULL;
}

static const Option *find_letter(Line *line, char letter, Scope **ret) {
        for (size_t i = line->count; i > 0; i--) {
                *ret = &line->scopes[i - 1];
                for (const Option *option = (*ret)->table->options; option->name; option++)
                        if (option->letter == letter)
                                return option;
        }
        return NULL;
}

/* ---- options ---- */

static bool unknown_flag(Line *line, const char *name, size_t length) {
        g_set_error(line->error, ERROR, ERROR_INVALID, "unknown flag `%.*s'", (int) length, name);
        return false;
}

/* What go-flags does not take for a value: other options, but for negative numbers. */
static bool is_option(const Option *option, const char *word) {
        bool number = option->kind == OPTION_INT || option->kind == OPTION_FLOAT ||
                      option->kind == OPTION_DURATION;

        if (word[0] != '-' || word[1] == '\0' || (number && g_ascii_isdigit(word[1])))
                return false;
        return word[1] != '-' || (word[2] != '\0' && word[2] != '-');
}

/* The next word as an option's value, or NULL. */
static const char *next_value(Line *line, const Option *option, const char *flag) {
        const char *word = line->words[1];
        g_autofree char *but = NULL;

        if (word && g_str_equal(word, "--"))
                but = g_strdup(", but got double dash `--'");
        else if (word && is_option(option, word))
                but = g_strdup_printf(", but got option `%s'", word);
        if (word && !but) {
                line->words++;
                return word;
        }
        g_set_error(line->error, ERROR, ERROR_INVALID, "expected argument for flag `%s'%s", flag,
                    but ? but : "");
        return NULL;
}

/* Sets it from `attached` (behind "=", NULL: none) or from the next word. */
static bool take(Line *line, const Scope *scope, const Option *option, const char *attached) {
        size_t index = (size_t) (option - scope->table->options);
        g_autofree char *flag = option_flag_text(scope->table, option);

        if (option->kind == OPTION_FLAG && attached) {
                g_set_error(line->error, ERROR, ERROR_INVALID,
                            "bool flag `%s' cannot have an argument", flag);
                return false;
        }
        if (option->kind != OPTION_FLAG && !attached)
                attached = next_value(line, option, flag);
        if (option->kind != OPTION_FLAG && !attached)
                return false;
        if (!scope->on_line[index])
                option_empty(option, scope->target);
        scope->on_line[index] = scope->was_set[index] = true;
        return option_set_word(scope->table, option, attached, scope->target, line->error);
}

static bool take_long(Line *line, const char *word) {
        const char *equals = strchr(word, '=');
        size_t length = equals ? (size_t) (equals - word) : strlen(word);
        Scope *scope;
        const Option *option = find_long(line, word, length, &scope);

        if (option)
                return take(line, scope, option, equals ? equals + 1 : NULL);
        if (length == 4 && strncmp(word, "help", 4) == 0)
                return line->help = true;
        return unknown_flag(line, word, length);
}

/* -a, -aw, -nvalue, -n=value */
static bool take_short(Line *line, const char *letters) {
        for (; *letters; letters++) {
                Scope *scope;
                const Option *option = find_letter(line, *letters, &scope);
                if (!option && *letters == 'h')
                        return line->help = true;
                if (!option)
                        return unknown_flag(line, letters, 1);
                if (option->kind != OPTION_FLAG)
                        return take(line, scope, option,
                                    letters[1] ? letters + 1 + (letters[1] == '=') : NULL);
                if (letters[1] == '=')
                        return take(line, scope, option, letters + 2);
                if (!take(line, scope, option, NULL))
                        return false;
        }
        return true;
}

/* ---- commands ---- */

static bool has_name(const OptionCommand *command, const char *name) {
        return g_str_equal(command->name, name) ||
               (command->aliases && g_strv_contains(command->aliases, name));
}

static const OptionCommand *find_command(const OptionProgram *program, const char *name) {
        for (const OptionCommand *command = program->commands; command->name; command++)
                if (has_name(command, name))
                        return command;
        return NULL;
}

/* From here on its options count too. */
static bool enter_command(Line *line, const OptionCommand *command) {
        static const Option none[] = { { .name = NULL } };

        line->call->command = command;
        line->call->target = g_malloc0(MAX(command->size, 1));
        line->command_table = (OptionTable){ .program = line->program->program,
                                             .options = command->options ? command->options
                                                                         : none };
        return scope_open(&line->scopes[line->count++], &line->command_table, line->call->target,
                          false, line->error);
}

static bool take_argument(Line *line, const char *word) {
        bool first = line->program && !line->call->command && line->arguments->len == 0;
        const OptionCommand *command = first ? find_command(line->program, word) : NULL;

        if (command)
                return enter_command(line, command);
        g_ptr_array_add(line->arguments, g_strdup(word));
        return true;
}

static size_t distance(const char *a, const char *b) {
        size_t width = strlen(b) + 1;
        g_autofree size_t *row = g_new(size_t, width);

        for (size_t i = 0; i < width; i++)
                row[i] = i;
        for (size_t i = 0; a[i]; i++) {
                size_t diagonal = row[0];
                row[0] = i + 1;
                for (size_t j = 1; j < width; j++) {
                        size_t change = diagonal + (a[i] != b[j - 1]);
                        diagonal = row[j];
                        row[j] = MIN(MIN(row[j - 1], row[j]) + 1, change);
                }
        }
        return row[width - 1];
}

static void append_commands(GString *text, const OptionProgram *program) {
        const char *last = NULL;
        size_t count = 0;

        for (const OptionCommand *command = program->commands; command->name; command++) {
                if (command->hidden)
                        continue;
                if (last)
                        g_string_append_printf(text, "%s%s", count++ ? ", " : "", last);
                last = command->name;
        }
        g_string_append_printf(text, "%s%s", count ? " or " : "", last ? last : "");
}

static bool check_command(const Line *line) {
        g_autoptr(GString) text = g_string_new(NULL);
        const char *given = line->arguments->len ? g_ptr_array_index(line->arguments, 0) : NULL;
        const char *closest = NULL;
        size_t least = SIZE_MAX;

        if (!line->program || line->call->command)
                return true;
        for (const OptionCommand *command = line->program->commands; command->name; command++) {
                size_t steps = given && !command->hidden ? distance(given, command->name) : least;
                if (steps < least) {
                        least = steps;
                        closest = command->name;
                }
        }
        if (given)
                g_string_append_printf(text, "Unknown command `%s'", given);
        if (closest && (float) least / (float) strlen(closest) < 0.5f)
                g_string_append_printf(text, ", did you mean `%s'?", closest);
        else {
                g_string_append_printf(text,
                                       "%sPlease specify one command of: ", given ? ". " : "");
                append_commands(text, line->program);
        }
        g_set_error_literal(line->error, ERROR, ERROR_INVALID, text->str);
        return false;
}

/* ---- what must be there ---- */

static int compare_text(const void *a, const void *b) {
        return strcmp(*(const char *const *) a, *(const char *const *) b);
}

/* "a", "a and b", "a, b and c" */
static char *join(const GPtrArray *items) {
        GString *text = g_string_new(NULL);

        for (size_t i = 0; i < items->len; i++)
                g_string_append_printf(text, "%s%s",
                                       i == 0                ? ""
                                       : i + 1 == items->len ? " and "
                                                             : ", ",
                                       (char *) g_ptr_array_index(items, i));
        return g_string_free(text, FALSE);
}

static bool check_required(const Line *line) {
        g_autoptr(GPtrArray) missing = g_ptr_array_new_with_free_func(g_free);

        for (size_t i = 0; i < line->count; i++) {
                const Scope *scope = &line->scopes[i];
                for (size_t j = 0; scope->table->options[j].name; j++)
                        if (scope->table->options[j].required && !scope->was_set[j]) {
                                g_autofree char *flag = option_flag_text(scope->table,
                                                                         &scope->table->options[j]);
                                g_ptr_array_add(missing, g_strdup_printf("`%s'", flag));
                        }
        }
        if (missing->len == 0)
                return true;
        g_ptr_array_sort(missing, compare_text);
        g_autofree char *text = join(missing);
        g_set_error(line->error, ERROR, ERROR_INVALID, "the required flag%s %s %s not specified",
                    missing->len > 1 ? "s" : "", text, missing->len > 1 ? "were" : "was");
        return false;
}

/* A command's arguments: too many are left to the command. */
static bool check_command_arguments(const Line *line) {
        const OptionArgument *argument = line->call->command->arguments;
        g_autoptr(GPtrArray) missing = g_ptr_array_new_with_free_func(g_free);

        for (size_t i = 0; argument && argument[i].name; i++)
                if (argument[i].required && i >= line->arguments->len)
                        g_ptr_array_add(missing, g_strdup_printf("`%s`", argument[i].name));
        if (missing->len == 0)
                return true;
        g_autofree char *text = join(missing);
        g_set_error(line->error, ERROR, ERROR_INVALID, "the required argument%s %s %s not provided",
                    missing->len > 1 ? "s" : "", text, missing->len > 1 ? "were" : "was");
        return false;
}

static bool check_arguments(const Line *line) {
        if (line->program)
                return check_command_arguments(line);
        if (line->scopes[0].table->arguments || line->arguments->len == 0)
                return true;
        g_ptr_array_add(line->arguments, NULL);
        g_autofree char *text = g_strjoinv(" ", (char **) line->arguments->pdata);
        g_set_error(line->error, ERROR, ERROR_INVALID, "unexpected positional arguments: [%s]",
                    text);
        return false;
}

/* ---- the line ---- */

static bool parse_line(Line *line) {
        bool only_arguments = false;

        for (; *line->words; line->words++) {
                const char *word = *line->words;
                bool taken = true;
                if (only_arguments || word[0] != '-' || word[1] == '\0')
                        taken = take_argument(line, word);
                else if (g_str_equal(word, "--"))
                        only_arguments = true;
                else
                        taken = word[1] == '-' ? take_long(line, word + 2)
                                               : take_short(line, word + 1);
                if (taken && line->help) {
                        g_set_error(line->error, ERROR, ERROR_EXISTS, "help was asked for");
                        return false;
                }
                if (!taken)
                        return false;
        }
        return check_required(line) && check_command(line) && check_arguments(line);
}

/* What stands behind the program's name, and no more than argc says. Returns new; the words are borrowed. */
static char **words_of(int argc, char **argv) {
        char **words = g_new0(char *, MAX(argc, 1));

        for (int i = 1; i < argc; i++)
                words[i - 1] = argv[i];
        return words;
}

bool options_parse_scopes(const OptionScope *given, size_t count, int argc, char **argv,
                          GPtrArray **ret_arguments, GError **error) {
        g_autofree Scope *scopes = g_new0(Scope, count);
        g_autoptr(GPtrArray) arguments = g_ptr_array_new_with_free_func(g_free);
        g_autofree char **words = words_of(argc, argv);
        Line line = { .scopes = scopes,
                      .count = count,
                      .words = words,
                      .arguments = arguments,
                      .error = error };
        bool parsed = true;

        for (size_t i = count; i > 0; i--) /* the first wins */
                parsed = parsed && scope_open(&scopes[count - i], given[i - 1].table,
                                              given[i - 1].target, true, error);
        parsed = parsed && parse_line(&line);
        for (size_t i = 0; i < count; i++) {
                scope_close(&scopes[i]);
                if (parsed)
                        options_forget_environment(given[i].table);
        }
        if (parsed && ret_arguments)
                *ret_arguments = g_steal_pointer(&arguments);
        return parsed;
}

bool options_parse(const OptionTable *table, int argc, char **argv, void *target,
                   GPtrArray **ret_arguments, GError **error) {
        const OptionScope scope = { table, target };

        return options_parse_scopes(&scope, 1, argc, argv, ret_arguments, error);
}

void options_clear(const OptionTable *table, void *target) {
        for (const Option *option = table->options; option->name; option++) {
                void *field = (char *) target + option->offset;
                if (option_is_list(option))
                        g_clear_pointer((GPtrArray **) field, g_ptr_array_unref);
                else if (option->kind == OPTION_STRING || option->kind == OPTION_CHOICE ||
                         option->kind == OPTION_PATH || option->kind == OPTION_FOLDER ||
                         option->kind == OPTION_URL || option->kind == OPTION_IP)
                        g_clear_pointer((char **) field, g_free);
        }
}

bool options_parse_program(const OptionProgram *program, int argc, char **argv, void *globals,
                           OptionCall *ret_call, GError **error) {
        const OptionTable table = { .program = program->program, .options = program->options };
        Scope scopes[PROGRAM_SCOPES] = { 0 };
        g_autofree char **words = words_of(argc, argv);
        Line line = { .scopes = scopes,
                      .count = 1,
                      .words = words,
                      .program = program,
                      .call = ret_call,
                      .error = error };

        *ret_call = (OptionCall){ .arguments = g_ptr_array_new_with_free_func(g_free) };
        line.arguments = ret_call->arguments;
        bool parsed = scope_open(&scopes[0], &table, globals, false, error) && parse_line(&line);
        for (size_t i = 0; i < PROGRAM_SCOPES; i++)
                scope_close(&scopes[i]);
        return parsed;
}

void options_call_clear(OptionCall *call) {
        if (call->target && call->command->options) {
                const OptionTable table = { .options = call->command->options };
                options_clear(&table, call->target);
        }
        g_clear_pointer(&call->target, g_free);
        g_clear_pointer(&call->arguments, g_ptr_array_unref);
}

void options_clear_globals(const OptionProgram *program, void *globals) {
        const OptionTable table = { .options = program->options };

        options_clear(&table, globals);
}
