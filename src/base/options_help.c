/* --help in go-flags' layout, and the man page. */
#include "base/options_internal.h"

#include <string.h>

#define WIDTH 80
#define GAP 2

/* "    -c, --name=" as it stands in its column. */
static char *left_side(const OptionTable *table, const Option *option, size_t indent) {
        g_autofree char *name = option_long_name(table, option);
        g_autofree char *letter = option->letter ? g_strdup_printf("-%c, ", option->letter)
                                                 : g_strdup("    ");
        GString *text = g_string_new(NULL);

        g_string_append_printf(text, "%*s%s--%s%s", (int) indent, "", letter, name,
                               option->kind == OPTION_FLAG ? "" : "=");
        if (option->choices) {
                g_autofree char *choices = g_strjoinv("|", (char **) option->choices);
                g_string_append_printf(text, "[%s]", choices);
        }
        return g_string_free(text, FALSE);
}

static char *right_side(const OptionTable *table, const Option *option) {
        g_autofree char *variable = option_variable(table, option, "CONCOURSE_");
        GString *text = g_string_new(option->help);

        if (option->standard && *option->standard)
                g_string_append_printf(text, " (default: %s)", option->standard);
        if (variable)
                g_string_append_printf(text, " [$%s]", variable);
        return g_string_free(text, FALSE);
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

static size_t widest(const OptionTable *table) {
        size_t width = strlen("  -h, --help");

        for (size_t i = 0; table->options[i].name; i++) {
                if (table->options[i].hidden)
                        continue;
                g_autofree char *left = left_side(table, &table->options[i],
                                                  table->options[i].group ? 6 : 2);
                width = MAX(width, strlen(left));
        }
        return width + GAP;
}

static bool same_group(const Option *a, const char *group) {
        return g_strcmp0(a->group, group) == 0;
}

static void append_group(GString *text, const OptionTable *table, const char *group,
                         size_t column) {
        for (size_t i = 0; table->options[i].name; i++) {
                const Option *option = &table->options[i];
                if (option->hidden || !same_group(option, group))
                        continue;
                g_autofree char *left = left_side(table, option, group ? 6 : 2);
                g_autofree char *right = right_side(table, option);
                g_string_append_printf(text, "%-*s", (int) column, left);
                append_wrapped(text, right, column);
        }
}

/* Whether a group's heading has been printed for an earlier option. */
static bool is_first_of_group(const OptionTable *table, size_t index) {
        for (size_t i = 0; i < index; i++)
                if (same_group(&table->options[i], table->options[index].group))
                        return false;
        return true;
}

char *options_help(const OptionTable *table) {
        GString *text = g_string_new(NULL);
        size_t column = widest(table);

        g_string_append_printf(text, "Usage:\n  %s [OPTIONS]%s%s\n\n", table->program,
                               table->arguments ? " " : "",
                               table->arguments ? table->arguments : "");
        if (table->summary)
                g_string_append_printf(text, "%s\n\n", table->summary);
        g_string_append(text, "Application Options:\n");
        append_group(text, table, NULL, column);
        for (size_t i = 0; table->options[i].name; i++)
                if (table->options[i].group && is_first_of_group(table, i)) {
                        g_string_append_printf(text, "\n    %s:\n", table->options[i].group);
                        append_group(text, table, table->options[i].group, column);
                }
        g_string_append_printf(text, "\nHelp Options:\n%-*sShow this help message\n", (int) column,
                               "  -h, --help");
        return g_string_free(text, FALSE);
}

char *options_man(const OptionTable *table) {
        GString *text = g_string_new(NULL);
        g_autofree char *title = g_ascii_strup(table->program, -1);

        g_string_append_printf(
                text,
                ".Dd $Mdocdate$\n.Dt %s 1\n.Os\n.Sh NAME\n.Nm %s\n.Nd %s\n.Sh SYNOPSIS\n.Nm\n.Op Ar options\n",
                g_strdelimit(title, " ", '-'), table->program,
                table->summary ? table->summary : "");
        if (table->arguments)
                g_string_append_printf(text, ".Ar %s\n", table->arguments);
        g_string_append(text, ".Sh OPTIONS\n.Bl -tag -width Ds\n");
        for (size_t i = 0; table->options[i].name; i++) {
                const Option *option = &table->options[i];
                g_autofree char *name = option_long_name(table, option);
                g_autofree char *right = right_side(table, option);
                if (option->hidden)
                        continue;
                g_string_append_printf(text, ".It Fl -%s%s\n%s\n", name,
                                       option->kind == OPTION_FLAG ? "" : " Ar value", right);
        }
        g_string_append(text, ".El\n");
        return g_string_free(text, FALSE);
}
