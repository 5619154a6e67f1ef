/*
 * A pipeline's configuration, decoded (reference 03 §2, §3). Pure: bytes or a Value in, structs or a Value out.
 *
 * Conventions of all structs here and in step.h, task.h: text is never NULL, "" when absent; lists of text are
 * NULL-terminated vectors, NULL when absent or empty; Value pointers are NULL when absent; maps in them have their
 * keys sorted and their numbers written as a float64, as upstream keeps them. Once decoded they are immutable: any
 * thread may read them.
 */
#pragma once

#include "base/duration.h"
#include "base/value.h"
#include "config/step.h"

typedef struct {
        bool is_set;
        bool never;
        Duration interval; /* 0: set, but the default interval applies */
} CheckEvery;

typedef struct {
        char *name;
        char **jobs;      /* globs: glob_match() */
        char **resources; /* exact names */
} GroupConfig;

typedef struct {
        char *name;
        char *type;
        Value *config; /* any */
} VarSourceConfig;

typedef struct {
        char *name;
        char *old_name;
        bool is_public;
        char *webhook_token;
        char *type;
        Value *source; /* map */
        CheckEvery check_every;
        char *check_timeout; /* unvalidated: may not be a duration */
        char **tags;
        Value *version; /* the pin: map of strings */
        char *icon;
        bool expose_build_created_by;
} ResourceConfig;

typedef struct {
        char *name;
        char *type;
        Value *source;   /* map */
        Value *defaults; /* map, merged under the source of what uses the type */
        bool privileged;
        CheckEvery check_every;
        char **tags;
        Value *params; /* map: of the image's get */
} ResourceTypeConfig;

typedef ResourceTypeConfig PrototypeConfig;

typedef struct {
        int64_t builds;
        int64_t minimum_succeeded_builds;
        int64_t days;
} BuildLogRetention;

typedef struct {
        char *name;
        char *old_name;
        bool is_public;
        bool disable_manual_trigger;
        bool disable_reruns;
        bool serial;
        bool interruptible;
        char **serial_groups;
        int64_t max_in_flight; /* as written: see job_config_max_in_flight() */
        char **tags;           /* 8.3: of every step that has none */
        int64_t build_logs_to_retain;
        BuildLogRetention *build_log_retention; /* NULL: absent */
        StepConfig *on_success;                 /* these: NULL when absent */
        StepConfig *on_failure;
        StepConfig *on_abort;
        StepConfig *on_error;
        StepConfig *ensure;
        GPtrArray *plan; /* of StepConfig; NULL when absent, written back as null */
} JobConfig;

typedef struct {
        char *background_image;
        char *background_filter;
} DisplayConfig;

typedef struct {
        GPtrArray *groups;         /* of GroupConfig; the arrays are never NULL */
        GPtrArray *var_sources;    /* of VarSourceConfig */
        GPtrArray *resources;      /* of ResourceConfig */
        GPtrArray *resource_types; /* of ResourceTypeConfig */
        GPtrArray *prototypes;     /* of PrototypeConfig */
        GPtrArray *jobs;           /* of JobConfig */
        DisplayConfig *display;    /* NULL: absent */
        Value *user_data;          /* any */
} PipelineConfig;

typedef enum {
        PIPELINE_CONFIG_SAVE, /* the server and set_pipeline: unknown top-level keys are dropped, others refused */
        PIPELINE_CONFIG_LENIENT, /* fly, and what is stored: unknown keys are dropped wherever structs are plain */
        PIPELINE_CONFIG_STRICT, /* fly --strict: unknown keys are refused at the top level too */
} PipelineConfigMode;

/*
 * Reads YAML (JSON is a part of it). Returns new, or NULL with ERROR_INVALID and the text that comes after
 * "malformed config: ". Says nothing about sense: see pipeline_config_validate().
 */
PipelineConfig *pipeline_config_parse(const char *text, size_t length, PipelineConfigMode mode,
                                      GError **error);
PipelineConfig *pipeline_config_from_value(const Value *value, PipelineConfigMode mode,
                                           GError **error);
PipelineConfig *pipeline_config_new(void); /* empty */
void pipeline_config_free(PipelineConfig *config);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PipelineConfig, pipeline_config_free)

/* What GetConfig returns under "config": key order and omissions as upstream's. Returns new. */
Value *pipeline_config_to_value(const PipelineConfig *config);

/* The parts by themselves, as the store keeps them: unknown keys are dropped. Each returns new. */
JobConfig *job_config_from_value(const Value *value, GError **error);
Value *job_config_to_value(const JobConfig *job);
void job_config_free(JobConfig *job);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(JobConfig, job_config_free)
ResourceConfig *resource_config_from_value(const Value *value, GError **error);
Value *resource_config_to_value(const ResourceConfig *resource);
void resource_config_free(ResourceConfig *resource);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ResourceConfig, resource_config_free)
ResourceTypeConfig *resource_type_config_from_value(const Value *value,
                                                    GError **error); /* and prototypes */
Value *resource_type_config_to_value(const ResourceTypeConfig *type);
void resource_type_config_free(ResourceTypeConfig *type);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ResourceTypeConfig, resource_type_config_free)
GroupConfig *group_config_from_value(const Value *value, GError **error);
Value *group_config_to_value(const GroupConfig *group);
void group_config_free(GroupConfig *group);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(GroupConfig, group_config_free)
VarSourceConfig *var_source_config_from_value(const Value *value, GError **error);
Value *var_source_config_to_value(const VarSourceConfig *source);
void var_source_config_free(VarSourceConfig *source);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(VarSourceConfig, var_source_config_free)
DisplayConfig *display_config_from_value(const Value *value, GError **error);
Value *display_config_to_value(const DisplayConfig *display);
void display_config_free(DisplayConfig *display);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(DisplayConfig, display_config_free)

/* ---- asking; everything returned is borrowed, NULL when unknown ---- */
const JobConfig *pipeline_config_job(const PipelineConfig *config, const char *name);
const ResourceConfig *pipeline_config_resource(const PipelineConfig *config, const char *name);
const ResourceTypeConfig *pipeline_config_resource_type(const PipelineConfig *config,
                                                        const char *name);
const PrototypeConfig *pipeline_config_prototype(const PipelineConfig *config, const char *name);

/* The jobs that an entry of `passed` names, in config order. Returns new array of borrowed JobConfig. */
GPtrArray *pipeline_config_passed_jobs(const PipelineConfig *config, const char *pattern);
/* The names of the groups a job is in: one entry for each matching glob, as upstream stores them. Returns new
 * array of borrowed names. */
GPtrArray *pipeline_config_job_groups(const PipelineConfig *config, const char *job_name);

/* How many builds may run at once: 1 when serial; 0: any number. */
int64_t job_config_max_in_flight(const JobConfig *job);
/* The serial groups that it is a member of: its own name when it has none but a limit. Returns new array of borrowed
 * names. */
GPtrArray *job_config_serial_groups(const JobConfig *job);
/* Calls fn for every core step of a job's plan, then of its hooks: see step_config_each(). */
void job_config_each_step(const JobConfig *job, void (*fn)(const StepConfig *step, void *data),
                          void *data);

/* One get step of a job, wherever it stands: hooks, across and try included. All borrowed from the job. */
typedef struct {
        const char *name;
        const char *resource;
        const char *const *passed;    /* patterns: pipeline_config_passed_jobs(); NULL: none */
        const VersionConfig *version; /* NULL: none given */
        bool trigger;
        const Value *params;
        const char *const *tags;
} JobInput;

/* One put step of a job. */
typedef struct {
        const char *name;
        const char *resource;
} JobOutput;

GArray *
job_config_inputs(const JobConfig *job); /* of JobInput, in the order of the plan. Returns new */
GArray *job_config_outputs(const JobConfig *job); /* of JobOutput */
GPtrArray *
job_config_task_names(const JobConfig *job); /* of borrowed names: whose caches are kept */

/*
 * Glob of group members (gobwas without separators; corrections 19). False with ERROR_INVALID when the pattern does
 * not compile.
 */
bool glob_check(const char *pattern, GError **error);
bool glob_match(const char *pattern, const char *text); /* false for a bad pattern */
/* Go's path.Match, for `passed`. A bad pattern matches nothing. */
bool path_match(const char *pattern, const char *text);
