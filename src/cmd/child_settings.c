#include "cmd/child_settings.h"

#include <string.h>
#include <unistd.h>

#define PREFIX "WEIR_"

/* Fault points of tests are no settings. */
static bool is_setting(const char *variable) {
        return !g_str_has_prefix(variable, "WEIR_FAULT=") &&
               (g_str_has_prefix(variable, PREFIX) || g_str_has_prefix(variable, "CONCOURSE_"));
}

ChildSettings child_settings_new(const char *program) {
        ChildSettings settings = { .argv = g_ptr_array_new_with_free_func(g_free),
                                   .env = g_ptr_array_new_with_free_func(g_free) };

        g_ptr_array_add(settings.argv, g_strdup(program));
        for (char **variable = environ; *variable; variable++)
                if (!is_setting(*variable))
                        g_ptr_array_add(settings.env, g_strdup(*variable));
        return settings;
}

/* "WEIR_BIND_PORT". Returns new. */
static char *variable_name(const char *option) {
        g_autofree char *upper = g_ascii_strup(option, -1);
        return g_strconcat(PREFIX, g_strdelimit(upper, "-", '_'), NULL);
}

void child_settings_set(ChildSettings *settings, const char *option, const char *value) {
        g_autofree char *name = variable_name(option);
        size_t length = strlen(name);

        for (guint i = 0; i < settings->env->len; i++) {
                const char *variable = g_ptr_array_index(settings->env, i);
                if (strncmp(variable, name, length) == 0 && variable[length] == '=') {
                        g_ptr_array_remove_index(settings->env, i);
                        break;
                }
        }
        g_ptr_array_add(settings->env, g_strconcat(name, "=", value, NULL));
}

static void add_list(ChildSettings *settings, const char *option, const GPtrArray *list) {
        g_autoptr(GString) joined = g_string_new(NULL);
        bool plain = true;

        for (guint i = 0; list && i < list->len; i++) {
                const char *item = g_ptr_array_index(list, i);
                plain = plain && *item && !strchr(item, ',');
                g_string_append_printf(joined, "%s%s", i > 0 ? "," : "", item);
        }
        if (plain && joined->len > 0)
                child_settings_set(settings, option, joined->str);
        for (guint i = 0; !plain && i < list->len; i++)
                g_ptr_array_add(
                        settings->argv,
                        g_strdup_printf("--%s=%s", option, (char *) g_ptr_array_index(list, i)));
}

/* The value as the environment says it; NULL: none. Returns new. */
static char *value_text(const Option *option, const void *field) {
        char number[G_ASCII_DTOSTR_BUF_SIZE];

        switch (option->kind) {
        case OPTION_FLAG:
                return g_strdup(*(const bool *) field ? "true" : "false");
        case OPTION_INT:
                return g_strdup_printf("%" G_GINT64_FORMAT, *(const int64_t *) field);
        case OPTION_FLOAT:
                return g_strdup(g_ascii_dtostr(number, sizeof(number), *(const double *) field));
        case OPTION_DURATION:
                return duration_format(*(const Duration *) field);
        default:
                return g_strdup(*(char *const *) field);
        }
}

void child_settings_add_all(ChildSettings *settings, const Option *options, const void *values) {
        for (const Option *option = options; option->name; option++) {
                const void *field = (const char *) values + option->offset;
                if (option->environment) /* not passed on: ours alone */
                        continue;
                if (option->kind == OPTION_LIST || option->kind == OPTION_PAIRS) {
                        add_list(settings, option->name, *(GPtrArray *const *) field);
                        continue;
                }
                g_autofree char *text = value_text(option, field);
                if (text)
                        child_settings_set(settings, option->name, text);
        }
}

void child_settings_end(ChildSettings *settings) {
        g_ptr_array_add(settings->argv, NULL);
        g_ptr_array_add(settings->env, NULL);
}

void child_settings_clear(ChildSettings *settings) {
        g_clear_pointer(&settings->argv, g_ptr_array_unref);
        g_clear_pointer(&settings->env, g_ptr_array_unref);
}
