#include "steps/task_config.h"

#include "base/yaml.h"
#include "plan/planner.h"

#include <string.h>

/* Of a task file. */
#define CONFIG_MAX (4 * 1024 * 1024)

static char *read_file(const StepCall *call, const char *path, size_t *ret_length, GError **error) {
        const char *slash = strchr(path, '/');
        g_autoptr(GError) local = NULL;

        if (!slash) {
                g_set_error(error, ERROR, ERROR_INVALID,
                            "config path '%s' does not specify where the file lives", path);
                return NULL;
        }
        g_autofree char *name = g_strndup(path, (size_t) (slash - path));
        g_autoptr(Artifact) artifact = scope_artifact(call->scope, name);
        if (!artifact) {
                g_set_error(error, ERROR, ERROR_NOT_FOUND,
                            "unknown artifact source: '%s' in file path '%s'", name, path);
                return NULL;
        }
        char *text = pool_artifact_file(run_settings(call->run)->pool, artifact, slash + 1,
                                        CONFIG_MAX, ret_length, call->cancel, &local);
        if (error_is(local, ERROR_NOT_FOUND))
                g_set_error(error, ERROR, ERROR_NOT_FOUND, "task config '%s' not found", path);
        else if (local)
                g_propagate_error(error, g_steal_pointer(&local));
        return text;
}

static TaskConfig *parse_with_vars(const char *text, size_t length, const Value *vars,
                                   GError **error) {
        const StaticVars source = { .map = vars };
        const Vars lookup = { .lookup = static_vars_lookup, .data = (void *) &source };
        g_autoptr(Value) tree = yaml_parse(text, length, NULL, YAML_DEFAULT, error);
        if (!tree)
                return NULL;
        g_autoptr(Value) filled = vars_interpolate(tree, &lookup, VARS_LENIENT, error);
        if (!filled)
                return NULL;
        g_autofree char *again = yaml_write(filled, error);
        return again ? task_config_parse(again, strlen(again), error) : NULL;
}

static TaskConfig *load(const StepCall *call, GError **error) {
        const TaskPlan *plan = call->plan->task;
        size_t length;

        if (!*plan->config_path)
                return plan->config ? task_config_copy(plan->config)
                                    : task_config_from_value(NULL, error);
        g_autofree char *text = read_file(call, plan->config_path, &length, error);
        if (!text)
                return NULL;
        TaskConfig *config = plan->vars ? parse_with_vars(text, length, plan->vars, error)
                                        : task_config_parse(text, length, error);
        if (!config)
                g_prefix_error(error,
                               "failed to create task config from bytes %s: ", plan->config_path);
        return config;
}

static TaskConfig *interpolate(const StepCall *call, const TaskConfig *config, GError **error) {
        g_autoptr(Value) tree = task_config_to_value(config);
        g_autoptr(Value)
                filled = run_interpolate(call->run, call->scope, tree, VARS_EXPECT_ALL, error);
        TaskConfig *interpolated = filled ? task_config_from_value(filled, error) : NULL;

        if (!interpolated)
                g_prefix_error(error, "failed to interpolate task config: ");
        return interpolated;
}

TaskConfig *task_step_config(const StepCall *call, GError **error) {
        const TaskPlan *plan = call->plan->task;
        const StepSettings *settings = run_settings(call->run);
        g_autoptr(TaskConfig) config = load(call, error);

        if (!config)
                return NULL;
        if (config->image_resource)
                task_config_image_defaults(config,
                                           planner_source_defaults(plan->resource_types,
                                                                   settings->base_type_defaults,
                                                                   config->image_resource->type));
        task_config_override(config, plan->container_limits, plan->params);
        g_autoptr(TaskConfig) interpolated = interpolate(call, config, error);
        if (!interpolated || !task_config_validate(interpolated, error))
                return NULL;
        task_config_default_limits(interpolated, (uint64_t) settings->task_cpu,
                                   (uint64_t) settings->task_memory);
        return g_steal_pointer(&interpolated);
}
