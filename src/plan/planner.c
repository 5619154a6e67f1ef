#include "plan/planner.h"

#include <string.h>

#include "base/json.h"
#include "plan/type_image.h"

/* Steps in one plan: `attempts` multiplies, and nests. */
#define STEPS_MAX 10000

typedef struct {
        const PlannerSpec *spec;
        uint64_t start; /* of the counter */
        const PlannerInput *inputs;
        size_t input_count;
} Planner;

static Plan *plan_step(const Planner *planner, const StepConfig *step, char **tags, GError **error);

char *plan_id_format(uint64_t counter) {
        return g_strdup_printf("%" G_GINT64_MODIFIER "x", counter);
}

static char *next_id(const Planner *planner) {
        return plan_id_format(++*planner->spec->counter);
}

static void fill_image(const Planner *planner, const char *plan_id, const char *type, char **tags,
                       bool skip_interval, TypeImage *ret) {
        PlannerImage image = {
                .resource_types = planner->spec->config->resource_types,
                .base_type_defaults = planner->spec->base_type_defaults,
                .checking_interval = planner->spec->checking_interval,
                .plan_id = plan_id,
                .type = type,
                .tags = (const char *const *) tags,
                .skip_interval = skip_interval,
        };
        planner_type_image(&image, ret);
}

static Value *resource_source(const PlannerSpec *spec, const ResourceConfig *resource) {
        return source_with_defaults(spec->config->resource_types, spec->base_type_defaults,
                                    resource->type, resource->source);
}

/* ---- leaves ---- */

static const ResourceConfig *find_resource(const Planner *planner, const StepConfig *step,
                                           GError **error) {
        const char *name = step_config_resource(step);
        const ResourceConfig *resource = pipeline_config_resource(planner->spec->config, name);
        if (!resource)
                g_set_error(error, ERROR, ERROR_NOT_FOUND, "unknown resource: %s", name);
        return resource;
}

static const PlannerInput *find_input(const Planner *planner, const char *name) {
        for (size_t i = 0; i < planner->input_count; i++)
                if (g_str_equal(planner->inputs[i].name, name))
                        return &planner->inputs[i];
        return NULL;
}

static Plan *plan_get(const Planner *planner, const StepConfig *step, char **tags, GError **error) {
        const GetStepConfig *config = step->get;
        const ResourceConfig *resource = find_resource(planner, step, error);
        if (!resource)
                return NULL;
        const PlannerInput *input = find_input(planner, config->name);
        if (!input) {
                g_set_error(error, ERROR, ERROR_NOT_FOUND, "version for input %s not provided",
                            config->name);
                return NULL;
        }
        Plan *plan = plan_new(next_id(planner), PLAN_GET);
        GetPlan *get = plan->get;
        plan_set_text(&get->name, config->name);
        plan_set_text(&get->type, resource->type);
        get->source = resource_source(planner->spec, resource);
        get->version = value_ref(input->version);
        get->params = value_ref(config->params);
        plan_set_text(&get->resource, resource->name);
        get->tags = g_strdupv(tags);
        plan_set_text(&get->timeout, config->timeout);
        fill_image(planner, plan->id, resource->type, tags, false, &get->image);
        return plan;
}

static PutInputs *copy_inputs(const PutInputs *inputs) {
        if (!inputs)
                return NULL;
        PutInputs *copy = g_new0(PutInputs, 1);
        *copy = *inputs;
        copy->names = g_strdupv(inputs->names);
        return copy;
}

/* The get of what a put made. */
static Plan *implicit_get(const Planner *planner, const PutStepConfig *config,
                          const ResourceConfig *resource, const Plan *put, char **tags) {
        Plan *plan = plan_new(next_id(planner), PLAN_GET);
        GetPlan *get = plan->get;
        plan_set_text(&get->name, config->name);
        plan_set_text(&get->type, resource->type);
        get->source = resource_source(planner->spec, resource);
        plan_set_text(&get->version_from, put->id);
        get->params = value_ref(config->get_params);
        plan_set_text(&get->resource, resource->name);
        get->tags = g_strdupv(tags);
        plan_set_text(&get->timeout, config->timeout);
        fill_image(planner, plan->id, resource->type, tags, planner->spec->manually_triggered,
                   &get->image);
        return plan;
}

static Plan *plan_put(const Planner *planner, const StepConfig *step, char **tags, GError **error) {
        const PutStepConfig *config = step->put;
        const ResourceConfig *resource = find_resource(planner, step, error);
        if (!resource)
                return NULL;
        Plan *plan = plan_new(next_id(planner), PLAN_PUT);
        PutPlan *put = plan->put;
        plan_set_text(&put->name, config->name);
        plan_set_text(&put->type, resource->type);
        put->source = resource_source(planner->spec, resource);
        put->params = value_ref(config->params);
        put->inputs = copy_inputs(config->inputs);
        plan_set_text(&put->resource, resource->name);
        put->tags = g_strdupv(tags);
        plan_set_text(&put->timeout, config->timeout);
        put->expose_build_created_by = resource->expose_build_created_by;
        fill_image(planner, plan->id, resource->type, tags, planner->spec->manually_triggered,
                   &put->image);
        if (config->no_get)
                return plan;
        Plan *get = implicit_get(planner, config, resource, plan, tags);
        Plan *both = plan_new(next_id(planner), PLAN_ON_SUCCESS);
        both->wrap->step = plan;
        both->wrap->hook = get;
        return both;
}

static ContainerLimits *copy_limits(const ContainerLimits *limits) {
        return limits ? g_memdup2(limits, sizeof *limits) : NULL;
}

/* The plan owns its types, so that it can outlive the pipeline's config. */
static GPtrArray *copy_types(const GPtrArray *types) {
        if (types->len == 0)
                return NULL;
        GPtrArray *copies = g_ptr_array_new();
        for (size_t i = 0; i < types->len; i++) {
                g_autoptr(Value) value = resource_type_config_to_value(g_ptr_array_index(types, i));
                g_autoptr(GError) error = NULL;
                ResourceTypeConfig *copy = resource_type_config_from_value(value, &error);
                g_assert_no_error(error);
                g_ptr_array_add(copies, copy);
        }
        return copies;
}

static Plan *plan_task(const Planner *planner, const StepConfig *step, char **tags,
                       GError **error) {
        const TaskStepConfig *config = step->task;
        Plan *plan = plan_new(next_id(planner), PLAN_TASK);
        TaskPlan *task = plan->task;
        plan_set_text(&task->name, config->name);
        task->privileged = config->privileged;
        task->hermetic = config->hermetic;
        task->tags = g_strdupv(tags);
        plan_set_text(&task->config_path, config->file);
        task->config = config->config ? task_config_copy(config->config) : NULL;
        task->container_limits = copy_limits(config->container_limits);
        plan_set_text(&task->image, config->image);
        task->vars = value_ref(config->vars);
        task->params = value_ref(config->params);
        task->input_mapping = value_ref(config->input_mapping);
        task->output_mapping = value_ref(config->output_mapping);
        plan_set_text(&task->timeout, config->timeout);
        task->resource_types = copy_types(planner->spec->config->resource_types);
        task->check_skip_interval = planner->spec->manually_triggered;
        return plan;
}

static Plan *plan_run_step(const Planner *planner, const StepConfig *step, char **tags,
                           GError **error) {
        const RunStepConfig *config = step->run;
        const PrototypeConfig *prototype = pipeline_config_prototype(planner->spec->config,
                                                                     config->type);
        if (!prototype) {
                g_set_error(error, ERROR, ERROR_NOT_FOUND, "unknown prototype: %s", config->type);
                return NULL;
        }
        Plan *plan = plan_new(next_id(planner), PLAN_RUN);
        RunPlan *run = plan->run;
        plan_set_text(&run->message, config->message);
        plan_set_text(&run->type, config->type);
        run->object = source_merge(prototype->defaults, config->params);
        run->privileged = config->privileged;
        run->tags = g_strdupv(tags);
        run->container_limits = copy_limits(config->container_limits);
        plan_set_text(&run->timeout, config->timeout);
        return plan;
}

static Plan *plan_set_pipeline(const Planner *planner, const StepConfig *step, char **tags,
                               GError **error) {
        const SetPipelineStepConfig *config = step->set_pipeline;
        Plan *plan = plan_new(next_id(planner), PLAN_SET_PIPELINE);
        SetPipelinePlan *set = plan->set_pipeline;
        plan_set_text(&set->name, config->name);
        plan_set_text(&set->file, config->file);
        plan_set_text(&set->team, config->team);
        set->vars = value_ref(config->vars);
        set->var_files = g_strdupv(config->var_files);
        set->instance_vars = value_ref(config->instance_vars);
        return plan;
}

static Plan *plan_load_var(const Planner *planner, const StepConfig *step, char **tags,
                           GError **error) {
        const LoadVarStepConfig *config = step->load_var;
        Plan *plan = plan_new(next_id(planner), PLAN_LOAD_VAR);
        plan_set_text(&plan->load_var->name, config->name);
        plan_set_text(&plan->load_var->file, config->file);
        plan_set_text(&plan->load_var->format, config->format);
        plan->load_var->reveal = config->reveal;
        return plan;
}

/* ---- combinators: children first, ids are in post-order ---- */

static GPtrArray *plan_steps(const Planner *planner, const GPtrArray *steps, char **tags,
                             GError **error) {
        g_autoptr(GPtrArray) plans = g_ptr_array_new_with_free_func((GDestroyNotify) plan_free);
        for (size_t i = 0; steps && i < steps->len; i++) {
                Plan *plan = plan_step(planner, g_ptr_array_index(steps, i), tags, error);
                if (!plan)
                        return NULL;
                g_ptr_array_add(plans, plan);
        }
        return g_steal_pointer(&plans);
}

static Plan *plan_do(const Planner *planner, const StepConfig *step, char **tags, GError **error) {
        GPtrArray *steps = plan_steps(planner, step->steps, tags, error);
        if (!steps)
                return NULL;
        Plan *plan = plan_new(next_id(planner), PLAN_DO);
        g_ptr_array_unref(plan->steps);
        plan->steps = steps;
        return plan;
}

static Plan *plan_in_parallel(const Planner *planner, const StepConfig *step, char **tags,
                              GError **error) {
        GPtrArray *steps = plan_steps(planner, step->steps, tags, error);
        if (!steps)
                return NULL;
        Plan *plan = plan_new(next_id(planner), PLAN_IN_PARALLEL);
        plan->in_parallel->steps = steps;
        plan->in_parallel->limit = step->limit;
        plan->in_parallel->fail_fast = step->fail_fast;
        return plan;
}

static Plan *plan_attempts(const Planner *planner, const StepConfig *step, char **tags,
                           GError **error) {
        g_autoptr(GPtrArray) attempts = g_ptr_array_new_with_free_func((GDestroyNotify) plan_free);
        for (int64_t i = 0; i < step->attempts; i++) {
                Plan *attempt = plan_step(planner, step->step, tags, error);
                if (!attempt)
                        return NULL;
                g_ptr_array_add(attempts, attempt);
        }
        Plan *plan = plan_new(next_id(planner), PLAN_RETRY);
        g_ptr_array_unref(plan->steps);
        plan->steps = g_steal_pointer(&attempts);
        return plan;
}

static Plan *plan_across(const Planner *planner, const StepConfig *step, char **tags,
                         GError **error) {
        g_autoptr(Plan) substep = plan_step(planner, step->step, tags, error);
        if (!substep)
                return NULL;
        g_autoptr(Value) value = plan_to_value(substep);
        Plan *plan = plan_new(next_id(planner), PLAN_ACROSS);
        AcrossPlan *across = plan->across;
        g_free(across->substep_template);
        across->substep_template = json_write(value, JSON_COMPACT, NULL);
        across->fail_fast = step->fail_fast;
        across->vars = g_ptr_array_new();
        for (size_t i = 0; step->across_vars && i < step->across_vars->len; i++) {
                const AcrossVar *var = g_ptr_array_index(step->across_vars, i);
                AcrossPlanVar *copy = g_new0(AcrossPlanVar, 1);
                copy->name = g_strdup(var->var);
                copy->values = value_ref(var->values);
                copy->max_in_flight = var->max_in_flight;
                g_ptr_array_add(across->vars, copy);
        }
        return plan;
}

/* The plan around others that a step's kind stands for. */
static PlanKind wrap_kind(StepKind kind) {
        switch (kind) {
        case STEP_ENSURE:
                return PLAN_ENSURE;
        case STEP_ON_ERROR:
                return PLAN_ON_ERROR;
        case STEP_ON_ABORT:
                return PLAN_ON_ABORT;
        case STEP_ON_FAILURE:
                return PLAN_ON_FAILURE;
        case STEP_ON_SUCCESS:
                return PLAN_ON_SUCCESS;
        case STEP_TIMEOUT:
                return PLAN_TIMEOUT;
        default:
                return PLAN_TRY;
        }
}

static Plan *plan_wrap(const Planner *planner, const StepConfig *step, char **tags,
                       GError **error) {
        g_autoptr(Plan) inner = plan_step(planner, step->step, tags, error);
        if (!inner)
                return NULL;
        g_autoptr(Plan) hook = step->hook ? plan_step(planner, step->hook, tags, error) : NULL;
        if (step->hook && !hook)
                return NULL;
        Plan *plan = plan_new(next_id(planner), wrap_kind(step->kind));
        plan->wrap->step = g_steal_pointer(&inner);
        plan->wrap->hook = g_steal_pointer(&hook);
        plan_set_text(&plan->wrap->duration, step->duration);
        return plan;
}

typedef Plan *(*PlanFn)(const Planner *planner, const StepConfig *step, char **tags,
                        GError **error);

static const PlanFn planners[] = {
        [STEP_ENSURE] = plan_wrap,
        [STEP_ON_ERROR] = plan_wrap,
        [STEP_ON_ABORT] = plan_wrap,
        [STEP_ON_FAILURE] = plan_wrap,
        [STEP_ON_SUCCESS] = plan_wrap,
        [STEP_ACROSS] = plan_across,
        [STEP_ATTEMPTS] = plan_attempts,
        [STEP_RUN] = plan_run_step,
        [STEP_TASK] = plan_task,
        [STEP_PUT] = plan_put,
        [STEP_GET] = plan_get,
        [STEP_TIMEOUT] = plan_wrap,
        [STEP_SET_PIPELINE] = plan_set_pipeline,
        [STEP_LOAD_VAR] = plan_load_var,
        [STEP_TRY] = plan_wrap,
        [STEP_DO] = plan_do,
        [STEP_IN_PARALLEL] = plan_in_parallel,
};

/* The tags a step gives itself; NULL: none. */
static char **own_tags(const StepConfig *step) {
        switch (step->kind) {
        case STEP_GET:
                return step->get->tags;
        case STEP_PUT:
                return step->put->tags;
        case STEP_TASK:
                return step->task->tags;
        case STEP_RUN:
                return step->run->tags;
        default:
                return step->tags;
        }
}

static Plan *plan_step(const Planner *planner, const StepConfig *step, char **tags,
                       GError **error) {
        char **own = own_tags(step);
        if (*planner->spec->counter - planner->start >= STEPS_MAX) {
                g_set_error(error, ERROR, ERROR_LIMIT, "plan has more than %d steps", STEPS_MAX);
                return NULL;
        }
        return planners[step->kind](planner, step, own ? own : tags, error);
}

/* ---- whole plans ---- */

Plan *planner_job(const PlannerSpec *spec, const JobConfig *job, const PlannerInput *inputs,
                  size_t input_count, GError **error) {
        const Planner planner = { spec, *spec->counter, inputs, input_count };
        const StepConfig steps = { .kind = STEP_DO, .steps = job->plan };
        const struct {
                const StepConfig *hook;
                PlanKind kind;
        } hooks[] = {
                { job->on_success, PLAN_ON_SUCCESS }, { job->on_failure, PLAN_ON_FAILURE },
                { job->on_abort, PLAN_ON_ABORT },     { job->on_error, PLAN_ON_ERROR },
                { job->ensure, PLAN_ENSURE },
        };

        g_autoptr(Plan) plan = plan_do(&planner, &steps, job->tags, error);
        for (size_t i = 0; plan && i < G_N_ELEMENTS(hooks); i++) {
                if (!hooks[i].hook)
                        continue;
                g_autoptr(Plan) hook = plan_step(&planner, hooks[i].hook, job->tags, error);
                if (!hook)
                        return NULL;
                Plan *outer = plan_new(next_id(&planner), hooks[i].kind);
                outer->wrap->step = g_steal_pointer(&plan);
                outer->wrap->hook = g_steal_pointer(&hook);
                plan = outer;
        }
        return g_steal_pointer(&plan);
}

static CheckEvery check_interval(const PlannerSpec *spec, const PlannerCheck *request,
                                 const CheckEvery *every) {
        return request->interval.is_set
                       ? interval_or_default(every->is_set ? every : &request->interval,
                                             spec->checking_interval)
                       : interval_or_default(every, spec->checking_interval);
}

Plan *planner_check(const PlannerSpec *spec, const PlannerCheck *request) {
        const Planner planner = { .spec = spec };
        const ResourceConfig *resource = request->resource;
        const ResourceTypeConfig *type = request->resource_type ? request->resource_type
                                                                : request->prototype;
        Plan *plan = plan_new(next_id(&planner), PLAN_CHECK);
        CheckPlan *check = plan->check;

        check->from_version = value_ref(request->from_version);
        check->skip_interval = request->skip_interval;
        plan_set_text(&check->name, resource ? resource->name : type->name);
        plan_set_text(&check->type, resource ? resource->type : type->type);
        check->tags = g_strdupv(resource ? resource->tags : type->tags);
        check->interval = check_interval(spec, request,
                                         resource ? &resource->check_every : &type->check_every);

        /* A type is no parent of its own. */
        g_autoptr(GPtrArray) types = types_without(spec->config->resource_types, type);
        check->source = source_with_defaults(types, spec->base_type_defaults, check->type,
                                             resource ? resource->source : type->source);
        if (resource) {
                plan_set_text(&check->resource, resource->name);
                plan_set_text(&check->timeout, resource->check_timeout);
        } else {
                plan_set_text(request->resource_type ? &check->resource_type : &check->prototype,
                              type->name);
        }
        PlannerImage image = {
                .resource_types = types,
                .base_type_defaults = spec->base_type_defaults,
                .checking_interval = spec->checking_interval,
                .plan_id = plan->id,
                .type = check->type,
                .tags = (const char *const *) check->tags,
                .skip_interval = request->skip_interval && request->skip_interval_recursively,
        };
        planner_type_image(&image, &check->image);
        return plan;
}
