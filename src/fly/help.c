/* --help, in go-flags' layout (reference 02 §1.2). */
#include "fly/fly.h"

#include <string.h>

#define WIDTH 80
#define GAP 2
#define OWN_INDENT 6 /* of a command's options; the global ones have 2 */

static char *left_side(const Option *option, size_t indent) {
        GString *text = g_string_new(NULL);

        g_string_append_printf(text, "%*s", (int) indent, "");
        if (option->letter)
                g_string_append_printf(text, "-%c, ", option->letter);
        else
                g_string_append(text, "    ");
        g_string_append_printf(text, "--%s%s%s", option->name,
                               option->kind == OPTION_FLAG ? "" : "=",
                               option->value_name ? option->value_name : "");
        return g_string_free(text, FALSE);
}

static size_t widest(const Option *options, size_t indent, size_t least) {
        for (; options && options->name; options++) {
                g_autofree char *left = left_side(options, indent);
                least = MAX(least, strlen(left));
        }
        return least;
}

static void append_wrapped(GString *text, const char *words, size_t column) {
        g_auto(GStrv) parts = g_strsplit(words, " ", -1);
        size_t at = column;

        for (size_t i = 0; parts[i]; i++) {
                size_t length = strlen(parts[i]);
                if (at > column && at + 1 + length > WIDTH) {
                        g_string_append_printf(text, "\n%*s", (int) column, "");
                        at = column;
                } else if (at > column) {
                        g_string_append_c(text, ' ');
                        at++;
                }
                g_string_append(text, parts[i]);
                at += length;
        }
        g_string_append_c(text, '\n');
}

static void append_line(GString *text, const char *left, const char *help, size_t column) {
        g_string_append_printf(text, "%-*s", (int) column, left);
        append_wrapped(text, help, column);
}

static void append_options(GString *text, const Option *options, size_t indent, size_t column) {
        for (; options && options->name; options++) {
                g_autofree char *left = left_side(options, indent);
                g_autofree char *help = options->standard && *options->standard
                                                ? g_strdup_printf("%s (default: %s)", options->help,
                                                                  options->standard)
                                                : g_strdup(options->help);
                append_line(text, left, help, column);
        }
}

static void append_globals(GString *text, const Command *command, size_t column) {
        g_string_append(text, "\nApplication Options:\n");
        append_options(text, global_options, 2, column);
        g_string_append(text, "\nHelp Options:\n");
        append_line(text, "  -h, --help", "Show this help message", column);
}

char *fly_help(void) {
        GString *text = g_string_new("Usage:\n  fly [OPTIONS] <command>\n");
        size_t column = widest(global_options, 2, 0);

        for (size_t i = 0; commands[i]; i++)
                column = MAX(column, strlen(commands[i]->name) + 2);
        column += GAP;
        append_globals(text, NULL, column);
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
        size_t column = widest(global_options, 2, 0);

        column = widest(command->options, OWN_INDENT, column);
        column += command->options && command->options[0].name ? 4 : GAP;
        g_string_append_printf(text, "Usage:\n  fly [OPTIONS] %s", command->name);
        if (command->options && command->options[0].name)
                g_string_append_printf(text, " [%s-OPTIONS]", command->name);
        g_string_append_c(text, '\n');
        append_globals(text, command, column);
        if (command->options && command->options[0].name)
                g_string_append_printf(text, "\n[%s command options]\n", command->name);
        append_options(text, command->options, OWN_INDENT, column);
        g_string_append_c(text, '\n');
        return g_string_free(text, FALSE);
}
