/* The steps of a job (reference 03 §5.6). */
#include <string.h>

#include "config/findings.h"
#include "config/go_text.h"

/* The local vars that one job or across declares. */
typedef struct Names Names;
struct Names {
        const Names *outer;
        GHashTable *declared;
};

typedef struct {
        const PipelineConfig *config;
        const StepIndex *index;
        Section *lines;
        ConfigFindings *findings;
        GPtrArray *context;   /* of text */
        GHashTable *get_seen; /* names of get steps so far, in the whole job */
        Names *names;
} StepCheck;

static void check_step(StepCheck *check, const StepConfig *step);

static G_GNUC_PRINTF(2, 3) void push(StepCheck *check, const char *format, ...) {
        va_list arguments;
        va_start(arguments, format);
        g_ptr_array_add(check->context, g_strdup_vprintf(format, arguments));
        va_end(arguments);
}

static void pop(StepCheck *check) {
        g_ptr_array_remove_index(check->context, check->context->len - 1);
}

static char *context_text(const StepCheck *check) {
        GString *text = g_string_new(NULL);
        for (size_t i = 0; i < check->context->len; i++)
                g_string_append(text, g_ptr_array_index(check->context, i));
        return g_string_free(text, FALSE);
}

static G_GNUC_PRINTF(2, 3) void fault(StepCheck *check, const char *format, ...) {
        va_list arguments;
        va_start(arguments, format);
        g_autofree char *text = g_strdup_vprintf(format, arguments);
        va_end(arguments);
        g_autofree char *context = context_text(check);
        section_add(check->lines, "%s: %s", context, text);
}

static G_GNUC_PRINTF(3, 4) void warn(StepCheck *check, const char *type, const char *format, ...) {
        va_list arguments;
        va_start(arguments, format);
        g_autofree char *text = g_strdup_vprintf(format, arguments);
        va_end(arguments);
        g_autofree char *context = context_text(check);
        findings_warn(check->findings, type, "%s: %s", context, text);
}

/* Faults of identifiers carry their context twice, as upstream's do (corrections 1). */
static void check_identifier(StepCheck *check, const char *identifier, bool only_faults) {
        g_autofree char *message = NULL;
        IdentifierVerdict verdict = identifier_judge(identifier,
                                                     (const char *const *) check->context->pdata,
                                                     check->context->len, &message);
        if (verdict == IDENTIFIER_EMPTY || (verdict == IDENTIFIER_BAD && only_faults))
                fault(check, "%s", message);
        else if (verdict == IDENTIFIER_BAD)
                findings_warn(check->findings, "invalid_identifier", "%s", message);
}

static void check_unknown(StepCheck *check, const Value *unknown) {
        if (!unknown)
                return;
        g_autoptr(GPtrArray) keys = g_ptr_array_new();
        for (size_t i = 0; i < value_length(unknown); i++)
                g_ptr_array_add(keys, (void *) value_key_at(unknown, i));
        g_autofree char *list = go_quote_list((const char *const *) keys->pdata, keys->len);
        fault(check, "unknown fields %s", list);
}

static void declare_var(StepCheck *check, const char *name) {
        if (g_hash_table_contains(check->names->declared, name)) {
                fault(check, "repeated var name");
                return;
        }
        for (const Names *outer = check->names->outer; outer; outer = outer->outer)
                if (g_hash_table_contains(outer->declared, name)) {
                        warn(check, "var_shadowed", "shadows local var '%s'", name);
                        break;
                }
        g_hash_table_add(check->names->declared, (void *) name);
}

static void check_task_config(StepCheck *check, const TaskConfig *config) {
        push(check, ".config");
        check_unknown(check, config->unknown);
        g_autoptr(GPtrArray) faults = task_config_faults(config);
        for (size_t i = 0; i < faults->len; i++)
                fault(check, "%s", (const char *) g_ptr_array_index(faults, i));
        pop(check);
}

static void check_task(StepCheck *check, const StepConfig *step) {
        const TaskStepConfig *task = step->task;
        const TaskConfig *config = task->config;
        push(check, ".task(%s)", task->name);
        check_identifier(check, task->name, false);
        if (!config && !*task->file)
                fault(check, "must specify either `file:` or `config:`");
        if (config && *task->file)
                fault(check, "must specify one of `file:` or `config:`, not both");
        if (config && *task->image && (*config->rootfs_uri || config->image_resource))
                warn(check, "pipeline",
                     "specifies image: on the step but also specifies an image under config: - the image: on the "
                     "step takes precedence");
        if (task->hermetic)
                warn(check, "pipeline",
                     "specifies `hermetic:` only works against worker containerd runtime");
        if (config)
                check_task_config(check, config);
        pop(check);
}

/* Whether a job gets or puts a resource anywhere. */
static bool interacts(const StepIndex *index, const JobConfig *job, const char *resource) {
        const GHashTable *resources = g_hash_table_lookup(index->job_resources, job);
        return resources && g_hash_table_contains((GHashTable *) resources, resource);
}

/* The jobs a pattern names; most patterns are plain names. */
static GPtrArray *passed_jobs(const StepCheck *check, const char *pattern) {
        if (strpbrk(pattern, "*?[\\"))
                return pipeline_config_passed_jobs(check->config, pattern);
        GPtrArray *jobs = g_ptr_array_new();
        void *job = g_hash_table_lookup(check->index->jobs, pattern);
        if (job)
                g_ptr_array_add(jobs, job);
        return jobs;
}

static void check_passed(StepCheck *check, const GetStepConfig *get, const char *resource) {
        push(check, ".passed");
        for (char **pattern = get->passed; pattern && *pattern; pattern++) {
                g_autoptr(GPtrArray) jobs = passed_jobs(check, *pattern);
                if (jobs->len == 0)
                        fault(check, "no matching job(s) for '%s'", *pattern);
                for (size_t i = 0; i < jobs->len; i++) {
                        const JobConfig *job = g_ptr_array_index(jobs, i);
                        if (!interacts(check->index, job, resource))
                                fault(check, "job '%s' does not interact with resource '%s'",
                                      job->name, resource);
                }
        }
        pop(check);
}

static void check_get(StepCheck *check, const StepConfig *step) {
        const char *resource = step_config_resource(step);
        push(check, ".get(%s)", step->get->name);
        check_identifier(check, step->get->name, false);
        if (!g_hash_table_add(check->get_seen, step->get->name))
                fault(check, "repeated name");
        if (!g_hash_table_contains(check->index->resources, resource))
                fault(check, "unknown resource '%s'", resource);
        check_passed(check, step->get, resource);
        pop(check);
}

static void check_put(StepCheck *check, const StepConfig *step) {
        const char *resource = step_config_resource(step);
        push(check, ".put(%s)", step->put->name);
        check_identifier(check, step->put->name, false);
        if (!g_hash_table_contains(check->index->resources, resource))
                fault(check, "unknown resource '%s'", resource);
        pop(check);
}

static void check_run(StepCheck *check, const StepConfig *step) {
        const RunStepConfig *run = step->run;
        push(check, ".run(%s.%s)", run->type, run->message);
        check_identifier(check, run->message, true);
        if (!pipeline_config_prototype(check->config, run->type))
                fault(check, "unknown prototype '%s'", run->type);
        pop(check);
}

static void check_set_pipeline(StepCheck *check, const StepConfig *step) {
        push(check, ".set_pipeline(%s)", step->set_pipeline->name);
        check_identifier(check, step->set_pipeline->name, false);
        if (!*step->set_pipeline->file)
                fault(check, "no file specified");
        pop(check);
}

static void check_load_var(StepCheck *check, const StepConfig *step) {
        push(check, ".load_var(%s)", step->load_var->name);
        check_identifier(check, step->load_var->name, false);
        declare_var(check, step->load_var->name);
        if (!*step->load_var->file)
                fault(check, "no file specified");
        pop(check);
}

static void check_across(StepCheck *check, const StepConfig *step) {
        g_autoptr(GHashTable) declared = g_hash_table_new(g_str_hash, g_str_equal);
        Names names = { .outer = check->names, .declared = declared };
        Names *outer = check->names;

        push(check, ".across");
        if (!step->across_vars || step->across_vars->len == 0)
                fault(check, "no vars specified");
        check->names = &names;
        for (size_t i = 0; step->across_vars && i < step->across_vars->len; i++) {
                const AcrossVar *var = g_ptr_array_index(step->across_vars, i);
                push(check, "[%zu]", i);
                declare_var(check, var->var);
                if (var->max_in_flight.is_set && !var->max_in_flight.all &&
                    var->max_in_flight.limit <= 0) {
                        push(check, ".max_in_flight");
                        fault(check, "must be greater than 0");
                        pop(check);
                }
                pop(check);
        }
        check_step(check, step->step);
        check->names = outer;
        pop(check);
}

static void check_list(StepCheck *check, const StepConfig *step, const char *context,
                       const char *item) {
        push(check, "%s", context);
        for (size_t i = 0; step->steps && i < step->steps->len; i++) {
                push(check, "%s[%zu]", item, i);
                check_step(check, g_ptr_array_index(step->steps, i));
                pop(check);
        }
        pop(check);
}

static void check_hook(StepCheck *check, const StepConfig *hook, StepKind kind) {
        push(check, ".%s", step_kind_key(kind));
        check_step(check, hook);
        pop(check);
}

static void check_timeout(StepCheck *check, const StepConfig *step) {
        check_step(check, step->step);
        push(check, ".timeout");
        if (!duration_parse(step->duration, &(Duration){ 0 }, NULL))
                fault(check, "invalid duration '%s'", step->duration);
        pop(check);
}

static void check_attempts(StepCheck *check, const StepConfig *step) {
        check_step(check, step->step);
        push(check, ".attempts");
        if (step->attempts <= 0)
                fault(check, "must be greater than 0");
        pop(check);
}

/* The pipeline's reader bounds how deep steps nest. */
static void check_step(StepCheck *check, const StepConfig *step) {
        if (!step)
                return;
        check_unknown(check, step->unknown);
        switch (step->kind) {
        case STEP_TASK:
                check_task(check, step);
                break;
        case STEP_GET:
                check_get(check, step);
                break;
        case STEP_PUT:
                check_put(check, step);
                break;
        case STEP_RUN:
                check_run(check, step);
                break;
        case STEP_SET_PIPELINE:
                check_set_pipeline(check, step);
                break;
        case STEP_LOAD_VAR:
                check_load_var(check, step);
                break;
        case STEP_ACROSS:
                check_across(check, step);
                break;
        case STEP_TRY:
                check_hook(check, step->step, STEP_TRY);
                break;
        case STEP_DO:
                check_list(check, step, ".do", "");
                break;
        case STEP_IN_PARALLEL:
                check_list(check, step, ".in_parallel", ".steps");
                break;
        case STEP_TIMEOUT:
                check_timeout(check, step);
                break;
        case STEP_ATTEMPTS:
                check_attempts(check, step);
                break;
        case STEP_ENSURE:
        case STEP_ON_ERROR:
        case STEP_ON_ABORT:
        case STEP_ON_FAILURE:
        case STEP_ON_SUCCESS:
                check_step(check, step->step);
                check_hook(check, step->hook, step->kind);
                break;
        }
}

/* ---- index ---- */

static GHashTable *resources_of(const JobConfig *job) {
        GHashTable *resources = g_hash_table_new(g_str_hash, g_str_equal);
        g_autoptr(GArray) inputs = job_config_inputs(job);
        g_autoptr(GArray) outputs = job_config_outputs(job);
        for (size_t i = 0; i < inputs->len; i++)
                g_hash_table_add(resources, (void *) g_array_index(inputs, JobInput, i).resource);
        for (size_t i = 0; i < outputs->len; i++)
                g_hash_table_add(resources, (void *) g_array_index(outputs, JobOutput, i).resource);
        return resources;
}

void step_index_init(StepIndex *index, const PipelineConfig *config) {
        index->resources = g_hash_table_new(g_str_hash, g_str_equal);
        index->jobs = g_hash_table_new(g_str_hash, g_str_equal);
        index->job_resources = g_hash_table_new_full(NULL, NULL, NULL,
                                                     (GDestroyNotify) g_hash_table_unref);
        for (size_t i = 0; i < config->resources->len; i++)
                g_hash_table_add(
                        index->resources,
                        ((ResourceConfig *) g_ptr_array_index(config->resources, i))->name);
        for (size_t i = config->jobs->len; i > 0; i--) { /* of equal names the first stays */
                JobConfig *job = g_ptr_array_index(config->jobs, i - 1);
                g_hash_table_insert(index->jobs, job->name, job);
                g_hash_table_insert(index->job_resources, job, resources_of(job));
        }
}

void step_index_clear(StepIndex *index) {
        g_hash_table_unref(index->resources);
        g_hash_table_unref(index->jobs);
        g_hash_table_unref(index->job_resources);
}

void validate_job_steps(const PipelineConfig *config, const StepIndex *index, const JobConfig *job,
                        const char *context, Section *section, ConfigFindings *findings) {
        g_autoptr(GPtrArray) elements = g_ptr_array_new_with_free_func(g_free);
        g_autoptr(GHashTable) get_seen = g_hash_table_new(g_str_hash, g_str_equal);
        g_autoptr(GHashTable) declared = g_hash_table_new(g_str_hash, g_str_equal);
        Names names = { .declared = declared };
        StepCheck check = { config, index, section, findings, elements, get_seen, &names };
        const StepConfig plan = { .kind = STEP_DO, .steps = job->plan };
        const struct {
                const StepConfig *hook;
                StepKind kind;
        } hooks[] = {
                { job->on_success, STEP_ON_SUCCESS }, { job->on_failure, STEP_ON_FAILURE },
                { job->on_abort, STEP_ON_ABORT },     { job->on_error, STEP_ON_ERROR },
                { job->ensure, STEP_ENSURE },
        };

        push(&check, "%s", context);
        push(&check, ".plan");
        check_step(&check, &plan);
        for (size_t i = 0; i < G_N_ELEMENTS(hooks); i++)
                if (hooks[i].hook)
                        check_hook(&check, hooks[i].hook, hooks[i].kind);
}
