#include "config/validate.h"

#include <string.h>

typedef struct {
        const Vars *vars;
        GPtrArray *faults; /* of char * */
} Checking;

/* prefix: stands before what is wrong. Returns new, or NULL when there is nothing or it is noted. */
static Value *check(Checking *checking, const Value *value, const char *prefix) {
        g_autoptr(GError) error = NULL;
        Value *known = value ? vars_interpolate(value, checking->vars,
                                                VARS_EXPECT_ALL | VARS_SERVER, &error)
                             : NULL;

        if (error)
                g_ptr_array_add(checking->faults, g_strconcat(prefix, error->message, NULL));
        return known;
}

static void check_map(Checking *checking, const Value *value) {
        g_autoptr(Value) known = check(checking, value, "");
}

static void check_text(Checking *checking, const char *text) {
        g_autoptr(Value) value = value_string(text ? text : ""), known = check(checking, value, "");
}

static void check_config(Checking *checking, const TaskConfig *config) {
        g_autoptr(Value) value = config ? task_config_to_value(config) : NULL;
        g_autoptr(Value) known = check(checking, value, "failed to interpolate task config: ");
        g_autoptr(GError) error = NULL;
        g_autoptr(TaskConfig) whole = known ? task_config_from_value(known, &error) : NULL;

        if (known && (!whole || !task_config_validate(whole, &error)))
                g_ptr_array_add(checking->faults, g_strdup(error->message));
}

static void check_step(const StepConfig *step, void *data) {
        if (step->kind != STEP_TASK)
                return;
        check_map(data, step->task->params);
        check_map(data, step->task->vars);
        check_config(data, step->task->config);
}

static char *describe(const GPtrArray *faults) {
        GString *text = g_string_new("credential validation failed\n\n");

        if (faults->len == 1)
                g_string_append(text, "1 error occurred:\n");
        else
                g_string_append_printf(text, "%u errors occurred:\n", faults->len);
        for (guint i = 0; i < faults->len; i++)
                g_string_append_printf(text, "\t* %s\n", (const char *) faults->pdata[i]);
        g_string_append_c(text, '\n');
        return g_string_free(text, false);
}

char *pipeline_config_check_creds(const PipelineConfig *config, const Vars *vars) {
        g_autoptr(GPtrArray) faults = g_ptr_array_new_with_free_func(g_free);
        Checking checking = { .vars = vars, .faults = faults };

        for (guint i = 0; i < config->resource_types->len; i++)
                check_map(&checking,
                          ((ResourceTypeConfig *) config->resource_types->pdata[i])->source);
        for (guint i = 0; i < config->resources->len; i++) {
                const ResourceConfig *resource = config->resources->pdata[i];
                check_map(&checking, resource->source);
                check_text(&checking, resource->webhook_token);
        }
        for (guint i = 0; i < config->jobs->len; i++)
                job_config_each_step(config->jobs->pdata[i], check_step, &checking);
        return faults->len > 0 ? describe(faults) : NULL;
}
