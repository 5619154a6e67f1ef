#include "scheduler/mapping.h"

#include "scheduler/resolver.h"

/* The resolver's arrays, all freed together. */
typedef struct {
        ResolverCase problem;
        GPtrArray *memory;
} Prepared;

static void *keep(Prepared *prepared, size_t size, size_t count) {
        void *memory = g_malloc0_n(MAX(count, 1), size);

        g_ptr_array_add(prepared->memory, memory);
        return memory;
}

static void add_resources(Prepared *prepared, const SchedulingCase *problem) {
        ResolverResource *resources = keep(prepared, sizeof *resources, problem->resources->len);

        for (size_t i = 0; i < problem->resources->len; i++) {
                const SchedulingResource *resource = g_ptr_array_index(problem->resources, i);
                ResolverVersion *versions = keep(prepared, sizeof *versions,
                                                 resource->versions->len);
                for (size_t v = 0; v < resource->versions->len; v++) {
                        const SchedulingVersion *version = g_ptr_array_index(resource->versions, v);
                        versions[v] = (ResolverVersion){ .id = version->id,
                                                         .check_order = version->check_order,
                                                         .disabled = version->disabled,
                                                         .version = version->version };
                }
                resources[i] = (ResolverResource){ .resource_id = resource->id,
                                                   .versions = versions,
                                                   .version_count = resource->versions->len };
        }
        prepared->problem.resources = resources;
        prepared->problem.resource_count = problem->resources->len;
}

static ResolverBuild build_of(Prepared *prepared, const SchedulingBuild *build) {
        ResolverOutput *outputs = keep(prepared, sizeof *outputs, build->outputs->len);

        for (size_t i = 0; i < build->outputs->len; i++) {
                const SchedulingOutput *output = &g_array_index(build->outputs, SchedulingOutput,
                                                                i);
                outputs[i] = (ResolverOutput){ output->resource_id, output->version_id };
        }
        return (ResolverBuild){ .id = build->id,
                                .rerun_of = build->rerun_of,
                                .outputs = outputs,
                                .output_count = build->outputs->len };
}

static void add_jobs(Prepared *prepared, const SchedulingCase *problem) {
        ResolverJob *jobs = keep(prepared, sizeof *jobs, problem->passed_jobs->len);

        for (size_t i = 0; i < problem->passed_jobs->len; i++) {
                const SchedulingPassedJob *job = g_ptr_array_index(problem->passed_jobs, i);
                ResolverBuild *builds = keep(prepared, sizeof *builds, job->builds->len);
                for (size_t b = 0; b < job->builds->len; b++)
                        builds[b] = build_of(prepared, g_ptr_array_index(job->builds, b));
                jobs[i] = (ResolverJob){ .job_id = job->job_id,
                                         .builds = builds,
                                         .build_count = job->builds->len };
        }
        prepared->problem.jobs = jobs;
        prepared->problem.job_count = problem->passed_jobs->len;
}

static void add_uses(Prepared *prepared, const SchedulingCase *problem) {
        ResolverUse *uses = keep(prepared, sizeof *uses, problem->uses->len);

        for (size_t i = 0; i < problem->uses->len; i++) {
                const SchedulingUse *use = g_ptr_array_index(problem->uses, i);
                size_t pipes = use->pipes->len / 2;
                int64_t *jobs = keep(prepared, sizeof *jobs, pipes),
                        *builds = keep(prepared, sizeof *builds, pipes);
                for (size_t p = 0; p < pipes; p++) {
                        jobs[p] = g_array_index(use->pipes, int64_t, 2 * p);
                        builds[p] = g_array_index(use->pipes, int64_t, 2 * p + 1);
                }
                uses[i] = (ResolverUse){ .build_id = use->build_id,
                                         .passed_job_ids = jobs,
                                         .passed_build_ids = builds,
                                         .pipe_count = pipes,
                                         .input_name = use->input_name,
                                         .resource_id = use->resource_id,
                                         .version_id = use->version_id };
        }
        prepared->problem.uses = uses;
        prepared->problem.use_count = problem->uses->len;
}

static void add_inputs(Prepared *prepared, const SchedulingCase *problem) {
        ResolverInput *inputs = keep(prepared, sizeof *inputs, problem->inputs->len);

        for (size_t i = 0; i < problem->inputs->len; i++) {
                const SchedulingInput *input = g_ptr_array_index(problem->inputs, i);
                inputs[i] = (ResolverInput){
                        .name = input->name,
                        .resource_id = input->resource_id,
                        .passed = (const int64_t *) (void *) input->passed->data,
                        .passed_count = input->passed->len,
                        .trigger = input->trigger,
                        .every = input->every,
                        .pin = input->pin
                };
        }
        prepared->problem.inputs = inputs;
        prepared->problem.input_count = problem->inputs->len;
}

/* Of the inputs that are new the first triggering one settles it. */
static void find_new(const SchedulingCase *problem, const ResolverResult *result, bool *ret_new,
                     bool *ret_trigger) {
        *ret_new = *ret_trigger = false;
        for (size_t i = 0; result->resolved && i < result->answer_count; i++) {
                const SchedulingInput *input = g_ptr_array_index(problem->inputs, i);
                if (!result->answers[i].first_occurrence)
                        continue;
                *ret_new = true;
                *ret_trigger = *ret_trigger || input->trigger;
        }
}

bool mapping_update(Store *store, const SchedulingCase *problem, bool ensure_pending,
                    int64_t *ret_created, GError **error) {
        g_autoptr(GPtrArray) memory = g_ptr_array_new_with_free_func(g_free);
        Prepared prepared = { .memory = memory };
        g_auto(ResolverResult) result = { 0 };
        bool is_new, trigger;

        add_resources(&prepared, problem);
        add_jobs(&prepared, problem);
        add_uses(&prepared, problem);
        add_inputs(&prepared, problem);
        resolver_run(&prepared.problem, &result);
        find_new(problem, &result, &is_new, &trigger);

        InputMappingInput *inputs = keep(&prepared, sizeof *inputs, result.answer_count);
        for (size_t i = 0; i < result.answer_count; i++) {
                const ResolverAnswer *answer = &result.answers[i];
                const SchedulingInput *input = g_ptr_array_index(problem->inputs, i);
                inputs[i] = (InputMappingInput){
                        .input_name = input->name,
                        .resource_id = answer->version_id ? input->resource_id : 0,
                        .version_id = answer->version_id,
                        .resolve_error = answer->error,
                        .first_occurrence = answer->first_occurrence,
                        .passed_builds = (const int64_t *) (void *) answer->passed_builds->data,
                        .passed_build_count = answer->passed_builds->len,
                };
        }
        return input_mapping_save(store,
                                  &(InputMapping){ .job_id = problem->job->id,
                                                   .inputs = inputs,
                                                   .input_count = result.answer_count,
                                                   .resolved = result.resolved,
                                                   .has_new_inputs = is_new,
                                                   .ensure_pending = ensure_pending && trigger,
                                                   .has_next = result.has_next,
                                                   .number = problem->mapping_number },
                                  ret_created, error);
}
