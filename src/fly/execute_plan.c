#include "fly/execute.h"

#include "plan/planner.h"

#include <string.h>

void local_folder_free(LocalFolder *folder) {
        if (!folder)
                return;
        g_free(folder->name);
        g_free(folder->path);
        g_free(folder);
}

static const LocalFolder *find_folder(const GPtrArray *folders, const char *name) {
        for (size_t i = 0; i < folders->len; i++) {
                const LocalFolder *folder = folders->pdata[i];
                if (g_str_equal(folder->name, name))
                        return folder;
        }
        return NULL;
}

/* Its place among the job's inputs; their number when there is none. */
static size_t job_input_index(const OneOff *build, const char *task_input) {
        const char *name = value_get_string(build->input_mapping, task_input, task_input);
        size_t i = 0;

        while (i < value_length(build->job_inputs) &&
               !g_str_equal(value_get_string(value_at(build->job_inputs, i), "name", ""), name))
                i++;
        return i;
}

const Value *one_off_job_input(const OneOff *build, const char *task_input) {
        size_t index = job_input_index(build, task_input);

        return index < value_length(build->job_inputs) ? value_at(build->job_inputs, index) : NULL;
}

static Plan *next_plan(OneOff *build, PlanKind kind) {
        return plan_new(plan_id_format(++build->counter), kind);
}

static void free_resource_type(void *type) {
        resource_type_config_free(type);
}

/* Returns new array of ResourceTypeConfig, or NULL with an error. */
static GPtrArray *resource_types(const OneOff *build, GError **error) {
        g_autoptr(GPtrArray) types = g_ptr_array_new_with_free_func(free_resource_type);

        for (size_t i = 0; i < value_length(build->resource_types); i++) {
                ResourceTypeConfig *type = resource_type_config_from_value(
                        value_at(build->resource_types, i), error);
                if (!type)
                        return NULL;
                g_ptr_array_add(types, type);
        }
        return g_steal_pointer(&types);
}

static char **strv_of(const Value *list) {
        size_t count = value_length(list);

        if (count == 0)
                return NULL;
        char **out = g_new0(char *, count + 1);
        for (size_t i = 0; i < count; i++)
                out[i] = g_strdup(value_text(value_at(list, i)));
        return out;
}

/* first_id: the job's first input has it, used or not, as the stock client counts. */
static Plan *get_plan(const OneOff *build, const char *name, uint64_t first_id,
                      const GPtrArray *types) {
        size_t index = job_input_index(build, name);
        const Value *input = value_at(build->job_inputs, index);
        Plan *plan = plan_new(plan_id_format(first_id + index), PLAN_GET);
        GetPlan *get = plan->get;
        const PlannerImage image = { .resource_types = types,
                                     .plan_id = plan->id,
                                     .type = value_get_string(input, "type", ""),
                                     .tags = build->tags };

        plan_set_text(&get->name, name);
        plan_set_text(&get->type, image.type);
        get->source = value_ref(value_get(input, "source"));
        get->version = value_ref(value_get(input, "version"));
        get->params = value_is_null(value_get(input, "params"))
                              ? NULL
                              : value_ref(value_get(input, "params"));
        get->tags = build->tags ? g_strdupv((char **) build->tags)
                                : strv_of(value_get(input, "tags"));
        planner_type_image(&image, &get->image);
        return plan;
}

static void free_plan(void *plan) {
        plan_free(plan);
}

/* Two rounds, for the ids: what lies here first, then what the job has. */
static bool add_inputs(OneOff *build, GPtrArray *steps, const GPtrArray *types, GError **error) {
        const GPtrArray *inputs = build->config->inputs;
        g_autoptr(GHashTable) local = g_hash_table_new(g_str_hash, g_str_equal);

        for (size_t i = 0; i < build->inputs->len; i++) {
                const LocalFolder *folder = build->inputs->pdata[i];
                Plan *plan = next_plan(build, PLAN_ARTIFACT_INPUT);
                plan_set_text(&plan->artifact->name, folder->name);
                plan->artifact->artifact_id = folder->artifact;
                g_hash_table_insert(local, folder->name, plan);
        }
        const uint64_t first_id = build->counter + 1;
        build->counter += value_length(build->job_inputs);
        bool good = true;
        for (size_t i = 0; inputs && i < inputs->len && good; i++) {
                const TaskInputConfig *input = inputs->pdata[i];
                Plan *plan = g_hash_table_lookup(local, input->name);
                g_hash_table_remove(local, input->name);
                if (!plan && one_off_job_input(build, input->name))
                        plan = get_plan(build, input->name, first_id, types);
                if (plan)
                        g_ptr_array_add(steps, plan);
                else if (!input->optional)
                        good = fly_fail(error, "missing required input `%s`", input->name);
        }
        GHashTableIter rest;
        void *plan;
        g_hash_table_iter_init(&rest, local);
        while (g_hash_table_iter_next(&rest, NULL, &plan))
                plan_free(plan);
        return good;
}

static GPtrArray *add_outputs(OneOff *build) {
        GPtrArray *steps = g_ptr_array_new_with_free_func(free_plan);
        const GPtrArray *outputs = build->config->outputs;

        for (size_t i = 0; outputs && i < outputs->len; i++) {
                const TaskOutputConfig *output = outputs->pdata[i];
                if (!find_folder(build->outputs, output->name))
                        continue;
                Plan *plan = next_plan(build, PLAN_ARTIFACT_OUTPUT);
                plan_set_text(&plan->artifact->name, output->name);
                g_ptr_array_add(steps, plan);
        }
        return steps;
}

/* Takes types. */
static Plan *task_plan(OneOff *build, GPtrArray *types) {
        Plan *plan = next_plan(build, PLAN_TASK);
        TaskPlan *task = plan->task;

        plan_set_text(&task->name, "one-off");
        task->privileged = build->privileged;
        task->config = task_config_copy(build->config);
        task->tags = build->tags ? g_strdupv((char **) build->tags) : NULL;
        if (value_length(build->input_mapping))
                task->input_mapping = value_ref(build->input_mapping);
        if (types->len) {
                task->resource_types = types; /* a plan frees its items itself */
                g_ptr_array_set_free_func(types, NULL);
        } else
                g_ptr_array_unref(types);
        return plan;
}

/* Takes steps. */
static Plan *parallel_plan(OneOff *build, GPtrArray *steps) {
        Plan *plan = next_plan(build, PLAN_IN_PARALLEL);

        if (steps->len) {
                g_clear_pointer(&plan->in_parallel->steps, g_ptr_array_unref);
                plan->in_parallel->steps = steps;
        } else
                g_ptr_array_unref(steps);
        return plan;
}

Plan *one_off_plan(OneOff *build, GError **error) {
        g_autoptr(GPtrArray) types = resource_types(build, error);
        g_autoptr(GPtrArray) inputs = g_ptr_array_new_with_free_func(free_plan);

        if (!types || !add_inputs(build, inputs, types, error))
                return NULL;
        g_autoptr(GPtrArray) outputs = add_outputs(build);
        Plan *task = task_plan(build, g_steal_pointer(&types));
        Plan *gathering = parallel_plan(build, g_steal_pointer(&inputs));
        Plan *whole = next_plan(build, PLAN_DO);
        g_ptr_array_add(whole->steps, gathering);
        g_ptr_array_add(whole->steps, task);
        if (outputs->len == 0)
                return whole;
        Plan *handing = parallel_plan(build, g_steal_pointer(&outputs));
        Plan *ensure = next_plan(build, PLAN_ENSURE);
        ensure->wrap->step = whole;
        ensure->wrap->hook = handing;
        return ensure;
}
