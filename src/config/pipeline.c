#include "config/pipeline.h"

#include <stddef.h>
#include <string.h>

#include "base/json.h"
#include "base/yaml.h"
#include "config/records.h"
#include "config/vars.h"

#define F(struct_, member_) offsetof(struct_, member_)

/* ---- tables: the order of the lines is the order of the keys in JSON ---- */

static const Field group_fields[] = {
        { "name", F(GroupConfig, name), &codec_text, FIELD_ALWAYS },
        { "jobs", F(GroupConfig, jobs), &codec_texts },
        { "resources", F(GroupConfig, resources), &codec_texts },
};
static const Record record_group = RECORD("GroupConfig", "atc.GroupConfig", GroupConfig,
                                          group_fields);

static const Field var_source_fields[] = {
        { "name", F(VarSourceConfig, name), &codec_text, FIELD_ALWAYS },
        { "type", F(VarSourceConfig, type), &codec_text, FIELD_ALWAYS },
        { "config", F(VarSourceConfig, config), &codec_any, FIELD_ALWAYS },
};
static const Record record_var_source = RECORD("VarSourceConfig", "atc.VarSourceConfig",
                                               VarSourceConfig, var_source_fields);

static const Field resource_fields[] = {
        { "name", F(ResourceConfig, name), &codec_text, FIELD_ALWAYS },
        { "old_name", F(ResourceConfig, old_name), &codec_text },
        { "public", F(ResourceConfig, is_public), &codec_bool },
        { "webhook_token", F(ResourceConfig, webhook_token), &codec_text },
        { "type", F(ResourceConfig, type), &codec_text, FIELD_ALWAYS },
        { "source", F(ResourceConfig, source), &codec_map, FIELD_ALWAYS, "atc.Source" },
        { "check_every", F(ResourceConfig, check_every), &codec_check_every },
        { "check_timeout", F(ResourceConfig, check_timeout), &codec_text },
        { "tags", F(ResourceConfig, tags), &codec_tags },
        { "version", F(ResourceConfig, version), &codec_text_map, 0, "atc.Version" },
        { "icon", F(ResourceConfig, icon), &codec_text },
        { "expose_build_created_by", F(ResourceConfig, expose_build_created_by), &codec_bool },
};
static const Record record_resource = RECORD("ResourceConfig", "atc.ResourceConfig", ResourceConfig,
                                             resource_fields);

static const Field resource_type_fields[] = {
        { "name", F(ResourceTypeConfig, name), &codec_text, FIELD_ALWAYS },
        { "type", F(ResourceTypeConfig, type), &codec_text, FIELD_ALWAYS },
        { "source", F(ResourceTypeConfig, source), &codec_map, FIELD_ALWAYS, "atc.Source" },
        { "defaults", F(ResourceTypeConfig, defaults), &codec_map, 0, "atc.Source" },
        { "privileged", F(ResourceTypeConfig, privileged), &codec_bool },
        { "check_every", F(ResourceTypeConfig, check_every), &codec_check_every },
        { "tags", F(ResourceTypeConfig, tags), &codec_tags },
        { "params", F(ResourceTypeConfig, params), &codec_map, 0, "atc.Params" },
};
const Record record_resource_type = RECORD("ResourceType", "atc.ResourceType", ResourceTypeConfig,
                                           resource_type_fields);
static const Record record_prototype = RECORD("Prototype", "atc.Prototype", ResourceTypeConfig,
                                              resource_type_fields);

static const Field retention_fields[] = {
        { "builds", F(BuildLogRetention, builds), &codec_int },
        { "minimum_succeeded_builds", F(BuildLogRetention, minimum_succeeded_builds), &codec_int },
        { "days", F(BuildLogRetention, days), &codec_int },
};
static const Record record_retention = RECORD("BuildLogRetention", "atc.BuildLogRetention",
                                              BuildLogRetention, retention_fields);

static const Field job_fields[] = {
        { "name", F(JobConfig, name), &codec_text, FIELD_ALWAYS },
        { "old_name", F(JobConfig, old_name), &codec_text },
        { "public", F(JobConfig, is_public), &codec_bool },
        { "disable_manual_trigger", F(JobConfig, disable_manual_trigger), &codec_bool },
        { "disable_reruns", F(JobConfig, disable_reruns), &codec_bool },
        { "serial", F(JobConfig, serial), &codec_bool },
        { "interruptible", F(JobConfig, interruptible), &codec_bool },
        { "serial_groups", F(JobConfig, serial_groups), &codec_texts },
        { "max_in_flight", F(JobConfig, max_in_flight), &codec_int },
        { "tags", F(JobConfig, tags), &codec_tags },
        { "build_logs_to_retain", F(JobConfig, build_logs_to_retain), &codec_int },
        { "build_log_retention", F(JobConfig, build_log_retention), &codec_pointer, 0, NULL,
          &record_retention },
        { "on_success", F(JobConfig, on_success), &codec_step },
        { "on_failure", F(JobConfig, on_failure), &codec_step },
        { "on_abort", F(JobConfig, on_abort), &codec_step },
        { "on_error", F(JobConfig, on_error), &codec_step },
        { "ensure", F(JobConfig, ensure), &codec_step },
        { "plan", F(JobConfig, plan), &codec_steps },
};
static const Record record_job = RECORD("JobConfig", "atc.JobConfig", JobConfig, job_fields);

static const Field display_fields[] = {
        { "background_image", F(DisplayConfig, background_image), &codec_text },
        { "background_filter", F(DisplayConfig, background_filter), &codec_text },
};
static const Record record_display = RECORD("DisplayConfig", "atc.DisplayConfig", DisplayConfig,
                                            display_fields);

static const Field pipeline_fields[] = {
        { "groups", F(PipelineConfig, groups), &codec_records, 0, "atc.GroupConfigs",
          &record_group },
        { "var_sources", F(PipelineConfig, var_sources), &codec_records, 0, "atc.VarSourceConfigs",
          &record_var_source },
        { "resources", F(PipelineConfig, resources), &codec_records, 0, "atc.ResourceConfigs",
          &record_resource },
        { "resource_types", F(PipelineConfig, resource_types), &codec_records, 0,
          "atc.ResourceTypes", &record_resource_type },
        { "prototypes", F(PipelineConfig, prototypes), &codec_records, 0, "atc.Prototypes",
          &record_prototype },
        { "jobs", F(PipelineConfig, jobs), &codec_records, 0, "atc.JobConfigs", &record_job },
        { "display", F(PipelineConfig, display), &codec_pointer, 0, NULL, &record_display },
        { "user_data", F(PipelineConfig, user_data), &codec_any },
};
static const Record record_pipeline = RECORD("Config", "atc.Config", PipelineConfig,
                                             pipeline_fields);

/* ---- the parts by themselves ---- */

#define PART(Type_, prefix_, record_)                                                              \
        Type_ *prefix_##_from_value(const Value *value, GError **error) {                          \
                return record_from_value(&(record_), value, false, true, error);                   \
        }                                                                                          \
        Value *prefix_##_to_value(const Type_ *part) {                                             \
                return record_encode(&(record_), part);                                            \
        }                                                                                          \
        void prefix_##_free(Type_ *part) {                                                         \
                record_free(&(record_), part);                                                     \
        }

PART(JobConfig, job_config, record_job)
PART(ResourceConfig, resource_config, record_resource)
PART(ResourceTypeConfig, resource_type_config, record_resource_type)
PART(GroupConfig, group_config, record_group)
PART(VarSourceConfig, var_source_config, record_var_source)
PART(DisplayConfig, display_config, record_display)

/* ---- the whole ---- */

/* Missing sections become empty arrays, so that nobody has to ask. */
static void fill_sections(PipelineConfig *config) {
        GPtrArray **const sections[] = {
                &config->groups,         &config->var_sources, &config->resources,
                &config->resource_types, &config->prototypes,  &config->jobs,
        };
        for (size_t i = 0; i < G_N_ELEMENTS(sections); i++)
                if (!*sections[i])
                        *sections[i] = g_ptr_array_new();
}

PipelineConfig *pipeline_config_new(void) {
        PipelineConfig *config = record_new(&record_pipeline);
        fill_sections(config);
        return config;
}

void pipeline_config_free(PipelineConfig *config) {
        record_free(&record_pipeline, config);
}

Value *pipeline_config_to_value(const PipelineConfig *config) {
        return record_encode(&record_pipeline, config);
}

/* The known sections by their exact or folded names, numbers as float64: what is left after the first of upstream's
 * two passes. */
static Value *known_sections(const Value *value) {
        Value *sections = value_map();
        for (size_t i = 0; i < value_length(value); i++) {
                const Field *field = record_field(&record_pipeline, value_key_at(value, i));
                if (field)
                        value_map_set(sections, field->key, value_with_floats(value_at(value, i)));
        }
        return sections;
}

PipelineConfig *pipeline_config_from_value(const Value *value, PipelineConfigMode mode,
                                           GError **error) {
        bool two_passes = mode == PIPELINE_CONFIG_SAVE && value_is(value, VALUE_MAP);
        g_autoptr(Value) sections = two_passes ? known_sections(value) : value_ref(value);
        PipelineConfig *config = record_from_value(&record_pipeline, sections ? sections : value,
                                                   mode != PIPELINE_CONFIG_LENIENT, true, error);
        if (!config) {
                g_prefix_error(error, "error unmarshaling JSON: while decoding JSON: ");
                return NULL;
        }
        fill_sections(config);
        return config;
}

PipelineConfig *pipeline_config_parse(const char *text, size_t length, PipelineConfigMode mode,
                                      GError **error) {
        YamlFlags flags = mode == PIPELINE_CONFIG_STRICT ? YAML_STRICT_KEYS : YAML_DEFAULT;
        g_autoptr(Value) value = yaml_parse(text, length, NULL, flags, error);
        return value ? pipeline_config_from_value(value, mode, error) : NULL;
}

/* ---- asking ---- */

const JobConfig *pipeline_config_job(const PipelineConfig *config, const char *name) {
        for (size_t i = 0; i < config->jobs->len; i++) {
                const JobConfig *job = g_ptr_array_index(config->jobs, i);
                if (g_str_equal(job->name, name))
                        return job;
        }
        return NULL;
}

const ResourceConfig *pipeline_config_resource(const PipelineConfig *config, const char *name) {
        for (size_t i = 0; i < config->resources->len; i++) {
                const ResourceConfig *resource = g_ptr_array_index(config->resources, i);
                if (g_str_equal(resource->name, name))
                        return resource;
        }
        return NULL;
}

static const ResourceTypeConfig *find_type(const GPtrArray *types, const char *name) {
        for (size_t i = 0; i < types->len; i++) {
                const ResourceTypeConfig *type = g_ptr_array_index(types, i);
                if (g_str_equal(type->name, name))
                        return type;
        }
        return NULL;
}

const ResourceTypeConfig *pipeline_config_resource_type(const PipelineConfig *config,
                                                        const char *name) {
        return find_type(config->resource_types, name);
}

const PrototypeConfig *pipeline_config_prototype(const PipelineConfig *config, const char *name) {
        return find_type(config->prototypes, name);
}

GPtrArray *pipeline_config_passed_jobs(const PipelineConfig *config, const char *pattern) {
        GPtrArray *jobs = g_ptr_array_new();
        for (size_t i = 0; i < config->jobs->len; i++) {
                JobConfig *job = g_ptr_array_index(config->jobs, i);
                if (path_match(pattern, job->name))
                        g_ptr_array_add(jobs, job);
        }
        return jobs;
}

GPtrArray *pipeline_config_job_groups(const PipelineConfig *config, const char *job_name) {
        GPtrArray *names = g_ptr_array_new();
        for (size_t i = 0; i < config->groups->len; i++) {
                const GroupConfig *group = g_ptr_array_index(config->groups, i);
                for (char **glob = group->jobs; glob && *glob; glob++)
                        if (glob_match(*glob, job_name))
                                g_ptr_array_add(names, group->name);
        }
        return names;
}

int64_t job_config_max_in_flight(const JobConfig *job) {
        return job->serial || job->serial_groups ? 1 : job->max_in_flight;
}

GPtrArray *job_config_serial_groups(const JobConfig *job) {
        GPtrArray *names = g_ptr_array_new();
        for (char **name = job->serial_groups; name && *name; name++)
                g_ptr_array_add(names, *name);
        if (names->len == 0 && (job->serial || job->max_in_flight > 0))
                g_ptr_array_add(names, job->name);
        return names;
}

void job_config_each_step(const JobConfig *job, void (*fn)(const StepConfig *step, void *data),
                          void *data) {
        const StepConfig *const hooks[] = { job->on_success, job->on_failure, job->on_abort,
                                            job->on_error, job->ensure };
        for (size_t i = 0; job->plan && i < job->plan->len; i++)
                step_config_each(g_ptr_array_index(job->plan, i), fn, data);
        for (size_t i = 0; i < G_N_ELEMENTS(hooks); i++)
                step_config_each(hooks[i], fn, data);
}

static void add_input(const StepConfig *step, void *data) {
        if (step->kind != STEP_GET)
                return;
        const GetStepConfig *get = step->get;
        JobInput input = {
                .name = get->name,
                .resource = step_config_resource(step),
                .passed = (const char *const *) get->passed,
                .version = get->version,
                .trigger = get->trigger,
                .params = get->params,
                .tags = (const char *const *) get->tags,
        };
        g_array_append_val((GArray *) data, input);
}

GArray *job_config_inputs(const JobConfig *job) {
        GArray *inputs = g_array_new(FALSE, FALSE, sizeof(JobInput));
        job_config_each_step(job, add_input, inputs);
        return inputs;
}

static void add_output(const StepConfig *step, void *data) {
        if (step->kind != STEP_PUT)
                return;
        JobOutput output = { .name = step->put->name, .resource = step_config_resource(step) };
        g_array_append_val((GArray *) data, output);
}

GArray *job_config_outputs(const JobConfig *job) {
        GArray *outputs = g_array_new(FALSE, FALSE, sizeof(JobOutput));
        job_config_each_step(job, add_output, outputs);
        return outputs;
}

static void add_task(const StepConfig *step, void *data) {
        if (step->kind == STEP_TASK)
                g_ptr_array_add(data, step->task->name);
}

GPtrArray *job_config_task_names(const JobConfig *job) {
        GPtrArray *names = g_ptr_array_new();
        job_config_each_step(job, add_task, names);
        return names;
}
