/* --help in go-flags' layout, and the man page. */
#include "base/options_internal.h"

#include <string.h>

#define WIDTH 80
#define WIDTH_LEAST 10
/* go-flags takes its margin off twice here. */
#define ARGUMENTS_WIDTH 78
/* Where descriptions begin at the latest, of commands that are ours alone; go-flags knows no end. */
#define COLUMN_MAX 40
/* Options of a command stand this much further right. */
#define INDENT 4

/* What --help shows behind the name: "=NAME", "=[a|b]". Returns new. */
static char *value_text(const Option *option) {
        g_autofree char *choices = option->choices ? g_strjoinv("|", (char **) option->choices)
                                                   : NULL;

        if (option->kind == OPTION_FLAG)
                return g_strdup("");
        return choices ? g_strdup_printf("=[%s]", choices)
                       : g_strconcat("=", option->value_name, NULL);
}

/* "  -c, --name=" as it stands in its column. Returns new. */
static char *left_side(const OptionTable *table, const Option *option, size_t indent,
                       bool letters) {
        g_autofree char *name = option_long_name(table, option), *value = value_text(option);
        char letter[] = { '-', option->letter, ',', ' ', '\0' };

        return g_strdup_printf("%*s%s--%s%s", (int) (2 + indent), "",
                               option->letter ? letter
                               : letters      ? "    "
                                              : "",
                               name, value);
}

static char *right_side(const OptionTable *table, const Option *option, bool environment) {
        g_autofree char *variable = environment ? option_variable(table, option, "CONCOURSE_")
                                                : NULL;
        GString *text = g_string_new(option->help);

        if (option->standard && *option->standard)
                g_string_append_printf(text, " (default: %s)", option->standard);
        if (variable)
                g_string_append_printf(text, " [$%s]", variable);
        return g_string_free(text, FALSE);
}

/* Breaks words at spaces; a longer word is cut and hyphenated. */
static void append_wrapped(GString *text, const char *words, size_t column, size_t end) {
        size_t width = column + WIDTH_LEAST < end ? end - column : WIDTH_LEAST;
        g_autofree char *copy = g_strdup(words);
        char *rest = g_strstrip(copy);

        while (strlen(rest) > width) {
                const char *space = g_strrstr_len(rest, (gssize) width, " ");
                size_t length = space ? (size_t) (space - rest) : width - 1;
                g_autofree char *piece = g_strndup(rest, length);
                g_string_append_printf(text, "%s%s\n%*s", g_strchomp(piece), space ? "" : "-\n",
                                       (int) column, "");
                rest = g_strchug(rest + length);
        }
        g_string_append_printf(text, "%s\n", rest);
}

static void append_line(GString *text, const char *left, const char *right, size_t column,
                        size_t end) {
        g_string_append(text, left);
        if (!*right) {
                g_string_append_c(text, '\n');
                return;
        }
        if (strlen(left) >= column)
                g_string_append_printf(text, "\n%*s", (int) column, "");
        else
                g_string_append_printf(text, "%*s", (int) (column - strlen(left)), "");
        append_wrapped(text, right, column, end);
}

/* ---- where descriptions begin ---- */

typedef struct {
        size_t longest;
        bool letters, values;
} Measure;

static void measure(Measure *all, const OptionTable *table, size_t indent) {
        for (const Option *option = table->options; option->name; option++) {
                g_autofree char *name = option_long_name(table, option),
                                *value = value_text(option);
                if (option->hidden)
                        continue;
                all->letters = all->letters || option->letter;
                all->values = all->values || option->value_name;
                all->longest = MAX(all->longest,
                                   strlen(name) + strlen(value) - (*value ? 1 : 0) + indent);
        }
}

/* In go-flags the "=" has a column only when some value has a name. */
static size_t column_of(const Measure *all) {
        return 2 + all->longest + 2 + 4 + (all->letters ? 2 : 0) + (all->values ? 3 : 0);
}

/* ---- groups ---- */

static void append_group(GString *text, const OptionTable *table, const char *group, size_t indent,
                         const Measure *all, size_t column, bool environment) {
        for (const Option *option = table->options; option->name; option++) {
                if (option->hidden || g_strcmp0(option->group, group) != 0)
                        continue;
                g_autofree char *left = left_side(table, option, indent, all->letters);
                g_autofree char *right = right_side(table, option, environment);
                append_line(text, left, right, column, WIDTH);
        }
}

/* Whether a group's heading has been printed for an earlier option. */
static bool is_first_of_group(const OptionTable *table, const Option *option) {
        for (const Option *earlier = table->options; earlier < option; earlier++)
                if (g_strcmp0(earlier->group, option->group) == 0)
                        return false;
        return true;
}

static void append_groups(GString *text, const OptionTable *table, size_t indent,
                          const Measure *all, size_t column, bool environment) {
        append_group(text, table, NULL, indent, all, column, environment);
        for (const Option *option = table->options; option->name; option++)
                if (option->group && is_first_of_group(table, option)) {
                        g_string_append_printf(text, "\n    %s:\n", option->group);
                        append_group(text, table, option->group, indent, all, column, environment);
                }
}

static const OptionTable help_table = { .options = (const Option[]){
                                                { .name = "help",
                                                  .letter = 'h',
                                                  .kind = OPTION_FLAG,
                                                  .environment = "",
                                                  .help = "Show this help message" },
                                                { .name = NULL } } };

char *options_help(const OptionTable *table) {
        GString *text = g_string_new(NULL);
        Measure all = { 0 };

        measure(&all, table, 0);
        measure(&all, &help_table, 0);
        size_t column = MIN(column_of(&all), COLUMN_MAX);
        g_string_append_printf(text, "Usage:\n  %s [OPTIONS]%s%s\n\n", table->program,
                               table->arguments ? " " : "",
                               table->arguments ? table->arguments : "");
        if (table->summary)
                g_string_append_printf(text, "%s\n\n", table->summary);
        g_string_append(text, "Application Options:\n");
        append_groups(text, table, 0, &all, column, true);
        g_string_append(text, "\nHelp Options:\n");
        append_groups(text, &help_table, 0, &all, column, false);
        return g_string_free(text, FALSE);
}

/* ---- programs ---- */

static void append_usage(GString *text, const OptionProgram *program,
                         const OptionCommand *command) {
        g_string_append_printf(text, "Usage:\n  %s [OPTIONS]", program->program);
        if (!command) {
                g_string_append(text, " <command>\n");
                return;
        }
        g_string_append_printf(text, " %s", command->name);
        if (command->options && command->options->name)
                g_string_append_printf(text, " [%s-OPTIONS]", command->name);
        for (const OptionArgument *argument = command->arguments; argument && argument->name;
             argument++)
                g_string_append_printf(text, argument->required ? " %s%s" : " [%s%s]",
                                       argument->name, argument->many ? "..." : "");
        g_string_append_c(text, '\n');
}

static void append_arguments(GString *text, const OptionCommand *command, size_t column) {
        if (!command->arguments || !command->arguments->name)
                return;
        g_string_append_printf(text, "\n[%s command arguments]\n", command->name);
        for (const OptionArgument *argument = command->arguments; argument->name; argument++) {
                g_autofree char *left = g_strdup_printf("  %s:", argument->name);
                append_line(text, left, argument->help ? argument->help : "", column,
                            ARGUMENTS_WIDTH);
        }
}

static void append_commands(GString *text, const OptionProgram *program) {
        size_t longest = 0;

        for (const OptionCommand *command = program->commands; command->name; command++)
                if (!command->hidden)
                        longest = MAX(longest, strlen(command->name));
        g_string_append(text, "\nAvailable commands:\n");
        for (const OptionCommand *command = program->commands; command->name; command++) {
                if (command->hidden)
                        continue;
                g_autofree char *aliases = command->aliases
                                                   ? g_strjoinv(", ", (char **) command->aliases)
                                                   : NULL;
                g_string_append_printf(text, "  %-*s  %s", (int) longest, command->name,
                                       command->summary);
                if (aliases)
                        g_string_append_printf(text, " (aliases: %s)", aliases);
                g_string_append_c(text, '\n');
        }
}

char *options_program_help(const OptionProgram *program, const OptionCommand *command) {
        static const Option none[] = { { .name = NULL } };
        const OptionTable globals = { .options = program->options };
        const OptionTable own = { .options = command && command->options ? command->options
                                                                         : none };
        GString *text = g_string_new(NULL);
        Measure all = { 0 };

        measure(&all, &globals, 0);
        measure(&all, &help_table, 0);
        measure(&all, &own, INDENT);
        if (command)
                for (const OptionArgument *argument = command->arguments;
                     argument && argument->name; argument++)
                        all.longest = MAX(all.longest, strlen(argument->name) + INDENT);
        size_t column = column_of(&all);

        append_usage(text, program, command);
        g_string_append(text, "\nApplication Options:\n");
        append_groups(text, &globals, 0, &all, column, false);
        g_string_append(text, "\nHelp Options:\n");
        append_groups(text, &help_table, 0, &all, column, false);
        if (own.options->name) {
                g_string_append_printf(text, "\n[%s command options]\n", command->name);
                append_groups(text, &own, INDENT, &all, column, false);
        }
        if (command)
                append_arguments(text, command, column);
        else
                append_commands(text, program);
        return g_string_free(text, FALSE);
}

/* ---- man page ---- */

/* Text of mdoc: neither a request nor an escape. */
static void append_roff(GString *text, const char *plain) {
        if (*plain == '.' || *plain == '\'')
                g_string_append(text, "\\&");
        for (; *plain; plain++)
                if (*plain == '\\')
                        g_string_append(text, "\\e");
                else
                        g_string_append_c(text, *plain);
}

static void append_item(GString *text, const OptionTable *table, const Option *option) {
        g_autofree char *name = option_long_name(table, option), *value = value_text(option);
        g_autofree char *right = right_side(table, option, true);

        g_string_append(text, ".It ");
        if (option->letter)
                g_string_append_printf(text, "Fl %c , ", option->letter);
        g_string_append_printf(text, "Fl -%s", name);
        if (*value)
                g_string_append_printf(text, " Ns = Ns Ar %s", value[1] ? value + 1 : "value");
        g_string_append_c(text, '\n');
        append_roff(text, right);
        g_string_append_c(text, '\n');
}

static void append_items(GString *text, const OptionTable *table, const char *group) {
        g_string_append(text, ".Bl -tag -width Ds\n");
        for (const Option *option = table->options; option->name; option++)
                if (!option->hidden && g_strcmp0(option->group, group) == 0)
                        append_item(text, table, option);
        g_string_append(text, ".El\n");
}

char *options_man(const OptionTable *table) {
        GString *text = g_string_new(NULL);
        g_autofree char *page = g_strdelimit(g_strdup(table->program), " ", '-');
        g_autofree char *title = g_ascii_strup(page, -1);

        g_string_append_printf(text,
                               ".Dd $Mdocdate$\n.Dt %s 1\n.Os\n.Sh NAME\n.Nm %s\n.Nd %s\n"
                               ".Sh SYNOPSIS\n.Nm %s\n.Op Ar options\n",
                               title, page, table->summary ? table->summary : "", table->program);
        if (table->arguments)
                g_string_append_printf(text, ".Ar %s\n", table->arguments);
        g_string_append(text, ".Sh OPTIONS\n");
        append_items(text, table, NULL);
        for (const Option *option = table->options; option->name; option++)
                if (option->group && is_first_of_group(table, option)) {
                        g_string_append_printf(text, ".Ss %s\n", option->group);
                        append_items(text, table, option->group);
                }
        return g_string_free(text, FALSE);
}
