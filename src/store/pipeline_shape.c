/* What a job's plan uses: its gets, puts and tasks, wherever in the steps they stand. */
#include "store/internal.h"

static void shape_step_free(void *data) {
        ShapeStep *step = data;
        g_free(step->name);
        g_free(step->resource);
        g_clear_pointer(&step->passed, g_ptr_array_unref);
        g_free(step);
}

void job_shape_clear(JobShape *shape) {
        g_clear_pointer(&shape->inputs, g_ptr_array_unref);
        g_clear_pointer(&shape->outputs, g_ptr_array_unref);
        g_clear_pointer(&shape->task_steps, g_ptr_array_unref);
}

static ShapeStep *shape_step_new(const Value *step, const char *name) {
        ShapeStep *made = g_new0(ShapeStep, 1);
        made->name = g_strdup(name);
        made->resource = g_strdup(value_get_string(step, "resource", name));
        return made;
}

static void read_step(const Value *step, JobShape *shape);

static void read_steps(const Value *steps, JobShape *shape) {
        for (size_t i = 0; i < value_length(steps); i++)
                read_step(value_at(steps, i), shape);
}

static void read_get(const Value *step, const char *name, JobShape *shape) {
        ShapeStep *input = shape_step_new(step, name);
        input->trigger = value_get_bool(step, "trigger", false);
        const Value *version = value_get(step, "version");
        input->version = value_is_null(version) ? NULL : version;
        const Value *passed = value_get(step, "passed");
        input->passed = g_ptr_array_new_with_free_func(g_free);
        for (size_t i = 0; i < value_length(passed); i++)
                g_ptr_array_add(input->passed,
                                g_strdup(text_or_empty(value_text(value_at(passed, i)))));
        g_ptr_array_add(shape->inputs, input);
}

static void read_step(const Value *step, JobShape *shape) {
        static const char *const nested[] = { "try",      "on_success", "on_failure",
                                              "on_abort", "on_error",   "ensure" };
        const char *name;

        if ((name = value_get_string(step, "get", NULL)))
                read_get(step, name, shape);
        else if ((name = value_get_string(step, "put", NULL)))
                g_ptr_array_add(shape->outputs, shape_step_new(step, name));
        else if ((name = value_get_string(step, "task", NULL)))
                g_ptr_array_add(shape->task_steps, g_strdup(name));

        read_steps(value_get(step, "do"), shape);
        const Value *parallel = value_get(step, "in_parallel");
        read_steps(value_is(parallel, VALUE_MAP) ? value_get(parallel, "steps") : parallel, shape);
        for (size_t i = 0; i < G_N_ELEMENTS(nested); i++)
                if (value_is(value_get(step, nested[i]), VALUE_MAP))
                        read_step(value_get(step, nested[i]), shape);
}

static int by_name(const void *a, const void *b) {
        const ShapeStep *left = *(const ShapeStep *const *) a;
        const ShapeStep *right = *(const ShapeStep *const *) b;
        return strcmp(left->name, right->name);
}

void job_shape_read(const Value *job, JobShape *ret) {
        *ret = (JobShape){
                .inputs = g_ptr_array_new_with_free_func(shape_step_free),
                .outputs = g_ptr_array_new_with_free_func(shape_step_free),
                .task_steps = g_ptr_array_new_with_free_func(g_free),
        };
        read_steps(value_get(job, "plan"), ret);
        /* The job's own hooks are steps around its plan. */
        read_step(job, ret);
        g_ptr_array_sort(ret->inputs, by_name);
        g_ptr_array_sort(ret->outputs, by_name);
}

int64_t job_max_in_flight(const Value *job) {
        if (value_get_bool(job, "serial", false) ||
            value_length(value_get(job, "serial_groups")) > 0)
                return 1;
        return value_get_int(job, "max_in_flight", 0);
}
