/* --help, in go-flags' layout (reference 02 §1.2). */
#include "fly/commands.h"

#include <string.h>

#define WIDTH 80
#define WIDTH_MIN 10
#define GAP 2
#define OWN_INDENT 6 /* of a command's options; the global ones have 2 */

/* What stands behind the equals sign. Returns new. */
static char *value_words(const Option *option) {
        if (!option->choices)
                return g_strdup(option->value_name ? option->value_name : "");
        g_autofree char *choices = g_strjoinv("|", (char **) option->choices);
        return g_strdup_printf("[%s]", choices);
}

static char *left_side(const Option *option, size_t indent) {
        GString *text = g_string_new(NULL);

        g_string_append_printf(text, "%*s", (int) indent, "");
        if (option->letter)
                g_string_append_printf(text, "-%c, ", option->letter);
        else
                g_string_append(text, "    ");
        g_autofree char *value = value_words(option);
        g_string_append_printf(text, "--%s%s%s", option->name,
                               option->kind == OPTION_FLAG ? "" : "=", value);
        return g_string_free(text, FALSE);
}

/* go-flags' arithmetic: names and values in one column, commands' options indented by four more, and one value name
 * anywhere makes room for an equals sign and two spaces everywhere. */
static size_t description_column(const Option *own) {
        size_t longest = 0;
        bool has_value_name = false;

        for (const Option *option = global_options; option->name; option++)
                longest = MAX(longest, strlen(option->name));
        for (; own && own->name; own++) {
                g_autofree char *value = value_words(own);
                longest = MAX(longest, strlen(own->name) + strlen(value) + OWN_INDENT - 2);
                has_value_name = has_value_name || own->value_name;
        }
        return 2 + strlen("-x, --") + longest + (has_value_name ? 3 : 0) + GAP;
}

/* As go-flags breaks: what fits stays; else at the last space before the edge; a word that is too long for a line is cut
 * with a dash, and an empty line follows. */
static void append_wrapped(GString *text, const char *words, size_t column, size_t edge) {
        size_t width = MAX(edge - column, (size_t) WIDTH_MIN);

        while (strlen(words) > width) {
                size_t at = width;
                while (at > 0 && words[at - 1] != ' ')
                        at--;
                if (at > 0)
                        g_string_append_len(text, words, (gssize) at - 1);
                else {
                        at = width - 1;
                        g_string_append_len(text, words, (gssize) at);
                        g_string_append(text, "-\n");
                }
                g_string_append_printf(text, "\n%*s", (int) column, "");
                words += at;
        }
        g_string_append_printf(text, "%s\n", words);
}

static void append_line(GString *text, const char *left, const char *help, size_t column,
                        size_t edge) {
        if (!*help) {
                g_string_append_printf(text, "%s\n", left);
                return;
        }
        g_string_append_printf(text, "%-*s", (int) column, left);
        append_wrapped(text, help, column, edge);
}

static void append_options(GString *text, const Option *options, size_t indent, size_t column) {
        const char *group = NULL;

        for (; options && options->name; options++) {
                if (options->group && g_strcmp0(options->group, group) != 0)
                        g_string_append_printf(text, "\n    %s:\n", options->group);
                group = options->group;
                g_autofree char *left = left_side(options, indent);
                g_autofree char *help = options->standard && *options->standard
                                                ? g_strdup_printf("%s (default: %s)", options->help,
                                                                  options->standard)
                                                : g_strdup(options->help);
                append_line(text, left, help, column, WIDTH);
        }
}

static void append_globals(GString *text, size_t column) {
        g_string_append(text, "\nApplication Options:\n");
        append_options(text, global_options, 2, column);
        g_string_append(text, "\nHelp Options:\n");
        append_line(text, "  -h, --help", "Show this help message", column, WIDTH);
}

char *fly_help(void) {
        GString *text = g_string_new("Usage:\n  fly [OPTIONS] <command>\n");
        size_t column = description_column(NULL);

        for (size_t i = 0; commands[i]; i++)
                column = MAX(column, 2 + strlen(commands[i]->name) + GAP);
        append_globals(text, column);
        g_string_append(text, "\nAvailable commands:\n");
        for (size_t i = 0; commands[i]; i++) {
                g_autofree char *aliases = g_strjoinv(", ", (char **) commands[i]->aliases);
                g_string_append_printf(text, "  %-*s%s%s%s%s\n", (int) column - 2,
                                       commands[i]->name, commands[i]->summary,
                                       *aliases ? " (aliases: " : "", aliases, *aliases ? ")" : "");
        }
        g_string_append_c(text, '\n');
        return g_string_free(text, FALSE);
}

char *fly_command_help(const Command *command) {
        GString *text = g_string_new(NULL);
        bool has_options = command->options && command->options[0].name;
        size_t column = description_column(command->options);

        g_string_append_printf(text, "Usage:\n  fly [OPTIONS] %s", command->name);
        if (has_options)
                g_string_append_printf(text, " [%s-OPTIONS]", command->name);
        if (command->usage)
                g_string_append_printf(text, " %s", command->usage);
        g_string_append_c(text, '\n');
        append_globals(text, column);
        if (has_options)
                g_string_append_printf(text, "\n[%s command options]\n", command->name);
        append_options(text, command->options, OWN_INDENT, column);
        if (command->arguments)
                g_string_append_printf(text, "\n[%s command arguments]\n", command->name);
        for (size_t i = 0; command->arguments && command->arguments[i]; i += 2) {
                g_autofree char *left = g_strconcat("  ", command->arguments[i], NULL);
                append_line(text, left, command->arguments[i + 1], column, WIDTH - 1);
        }
        g_string_append_c(text, '\n');
        return g_string_free(text, FALSE);
}

static bool help_run(Fly *fly, const void *options, const GPtrArray *arguments, GError **error) {
        g_autofree char *help = fly_help();

        fputs(help, stdout);
        return true;
}

const Command command_help = {
        .name = "help",
        .summary = "Print this help message",
        .run = help_run,
};
