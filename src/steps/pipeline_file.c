#include "steps/pipeline_file.h"

#include "base/yaml.h"
#include "steps/artifact_file.h"

#include <string.h>

/* The maps to look vars up in, the first goes before the others. */
typedef struct {
        GPtrArray *maps;  /* of Value */
        size_t of_fields; /* how many are the step's own; the others were read from files */
} Sources;

static void free_value(void *value) {
        value_free(value);
}

static Value *read_vars(const StepCall *call, const char *path, GError **error) {
        g_auto(ArtifactFile) file = { 0 };
        size_t length;

        if (!artifact_file_parse(path, "config path", &file, error))
                return NULL;
        g_autofree char *text = artifact_file_read(call, &file, &length, error);
        return text ? yaml_parse(text, length, NULL, YAML_DEFAULT, error) : NULL;
}

static bool gather(const StepCall *call, const Value *fields, Sources *sources, GError **error) {
        static const char *const own[] = { "instance_vars", "vars" };
        const Value *files = value_get(fields, "var_files");

        for (size_t i = 0; i < G_N_ELEMENTS(own); i++)
                if (value_length(value_get(fields, own[i])) > 0)
                        g_ptr_array_add(sources->maps, value_ref(value_get(fields, own[i])));
        sources->of_fields = sources->maps->len;
        for (size_t i = 0; i < value_length(files); i++) {
                const char *path = value_text(value_at(files, i));
                Value *vars = read_vars(call, path ? path : "", error);
                if (!vars)
                        return false;
                g_ptr_array_add(sources->maps, vars);
        }
        return true;
}

static Value *interpolate(const Value *tree, const Sources *sources, GError **error) {
        size_t count = sources->maps->len;
        g_autofree StaticVars *maps = g_new0(StaticVars, count);
        g_autofree Vars *vars = g_new0(Vars, count);
        g_autofree const Vars **list = g_new0(const Vars *, count + 1);

        for (size_t i = 0; i < count; i++) {
                maps[i] = (StaticVars){ g_ptr_array_index(sources->maps, i),
                                        i >= sources->of_fields };
                vars[i] = (Vars){ static_vars_lookup, &maps[i] };
                list[i] = &vars[i];
        }
        return vars_interpolate(tree, &(Vars){ multi_vars_lookup, list },
                                VARS_LENIENT | VARS_TEMPLATE, error);
}

static char *fill_in(const char *text, size_t length, const Sources *sources, GError **error) {
        g_autoptr(Value) tree = yaml_parse(text, length, NULL, YAML_TEMPLATE, error);
        g_autoptr(Value) filled = tree ? interpolate(tree, sources, error) : NULL;

        return filled ? yaml_write_template(filled, error) : NULL;
}

PipelineConfig *pipeline_file_parse(const StepCall *call, const char *text, size_t length,
                                    const Value *fields, GError **error) {
        g_autoptr(GPtrArray) maps = g_ptr_array_new_with_free_func(free_value);
        Sources sources = { .maps = maps };

        if (!yaml_check_keys(text, length, NULL, error) || !gather(call, fields, &sources, error))
                return NULL;
        /* Without vars the text is read as it is: what YAML makes of it otherwise may differ. */
        if (maps->len == 0)
                return pipeline_config_parse(text, length, PIPELINE_CONFIG_SAVE, error);
        g_autofree char *filled = fill_in(text, length, &sources, error);
        return filled ? pipeline_config_parse(filled, strlen(filled), PIPELINE_CONFIG_SAVE, error)
                      : NULL;
}
