#include "config/instance_vars.h"

#include "base/json.h"
#include "base/yaml.h"

#include <string.h>

/* Whether a text may stand without its quotes and is still read as the same text. */
static bool reads_plain(const char *text) {
        if (strpbrk(text, ",: /"))
                return false;
        g_autoptr(Value) value = yaml_parse(text, strlen(text), NULL, YAML_DEFAULT, NULL);
        return value_is(value, VALUE_STRING);
}

static char *segment_format(const char *segment) {
        return strpbrk(segment, ",.:/ ") ? g_strdup_printf("\"%s\"", segment) : g_strdup(segment);
}

static void flatten(const Value *vars, const char *prefix, GPtrArray *pairs) {
        for (size_t i = 0; i < value_length(vars); i++) {
                g_autofree char *segment = segment_format(value_key_at(vars, i));
                g_autofree char *name = g_strconcat(prefix, *prefix ? "." : "", segment, NULL);
                const Value *value = value_at(vars, i);
                if (value_is(value, VALUE_MAP)) {
                        flatten(value, name, pairs);
                        continue;
                }
                g_autofree char *json = value_is(value, VALUE_STRING) &&
                                                        reads_plain(value_text(value))
                                                ? g_strdup(value_text(value))
                                                : json_write(value, JSON_SORTED, NULL);
                g_ptr_array_add(pairs, g_strdup_printf("%s:%s", name, json));
        }
}

static int compare_pairs(const void *a, const void *b) {
        return strcmp(*(const char *const *) a, *(const char *const *) b);
}

char *instance_vars_format(const Value *vars) {
        g_autoptr(GPtrArray) pairs = g_ptr_array_new_with_free_func(g_free);

        flatten(vars, "", pairs);
        g_ptr_array_sort(pairs, compare_pairs);
        g_ptr_array_add(pairs, NULL);
        return g_strjoinv(",", (char **) pairs->pdata);
}

char *pipeline_reference_format(const char *name, const Value *vars) {
        g_autofree char *text = instance_vars_format(vars);

        return *text ? g_strdup_printf("%s/%s", name, text) : g_strdup(name);
}
