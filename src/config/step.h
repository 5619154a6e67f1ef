/*
 * The steps of a job as a tree: one node for each layer of a step's map, outermost first (reference 03 §3.3).
 * Conventions: see config/pipeline.h.
 */
#pragma once

#include "base/value.h"
#include "config/task.h"

/* In the order in which a step's keys are looked for. */
typedef enum {
        STEP_ENSURE,
        STEP_ON_ERROR,
        STEP_ON_ABORT,
        STEP_ON_FAILURE,
        STEP_ON_SUCCESS,
        STEP_ACROSS,
        STEP_ATTEMPTS,
        STEP_RUN,
        STEP_TASK,
        STEP_PUT,
        STEP_GET,
        STEP_TIMEOUT,
        STEP_SET_PIPELINE,
        STEP_LOAD_VAR,
        STEP_TRY,
        STEP_DO,
        STEP_IN_PARALLEL,
} StepKind;

typedef struct StepConfig StepConfig;

typedef struct {
        bool latest;
        bool every;
        Value *pinned; /* map of strings; NULL: not pinned. None of the three: some unknown word was given */
} VersionConfig;

typedef struct {
        bool all;
        bool detect;
        char **names; /* NULL: no list was given. None of the three: no inputs */
} PutInputs;

typedef struct {
        char *name;
        char *resource;         /* as written: see step_config_resource() */
        VersionConfig *version; /* NULL: absent */
        Value *params;          /* map */
        char **passed;
        bool trigger;
        char **tags;
        char *timeout; /* of get, put, task and run: unvalidated */
} GetStepConfig;

typedef struct {
        char *name;
        char *resource;
        Value *params;
        PutInputs *inputs; /* NULL: absent, means detect */
        char **tags;
        Value *get_params;
        char *timeout;
        bool no_get;
} PutStepConfig;

typedef struct {
        char *name;
        bool privileged;
        bool hermetic;
        char *file;                        /* ARTIFACT/path */
        ContainerLimits *container_limits; /* NULL: absent */
        TaskConfig *config;                /* NULL: absent */
        Value *params;                     /* map of strings: environment */
        Value *vars;                       /* map */
        char **tags;
        Value *input_mapping; /* map of strings */
        Value *output_mapping;
        char *image; /* artifact */
        char *timeout;
} TaskStepConfig;

typedef struct {
        char *message;
        char *type; /* prototype */
        Value *params;
        bool privileged;
        char **tags;
        ContainerLimits *container_limits;
        char *timeout;
} RunStepConfig;

typedef struct {
        char *name;
        char *file;
        char *team;
        Value *vars; /* map */
        char **var_files;
        Value *instance_vars; /* map */
} SetPipelineStepConfig;

typedef struct {
        char *name;
        char *file;
        char *format;
        bool reveal;
} LoadVarStepConfig;

typedef struct {
        bool is_set;
        bool all;
        int64_t limit; /* when neither: 1 is meant */
} MaxInFlight;

typedef struct {
        char *var;
        Value *values; /* any; NULL: absent */
        MaxInFlight max_in_flight;
} AcrossVar;

struct StepConfig {
        StepKind kind;
        Value *unknown; /* of the outermost layer: map of the keys that nothing consumed; NULL: none */
        StepConfig *step; /* what a modifier, hook or try wraps; NULL in others */
        StepConfig *hook; /* of hooks: what runs then */
        union {
                GetStepConfig *get;
                PutStepConfig *put;
                TaskStepConfig *task;
                RunStepConfig *run;
                SetPipelineStepConfig *set_pipeline;
                LoadVarStepConfig *load_var;
                void *fields; /* of whichever kind */
        };
        GPtrArray *steps;       /* of do and in_parallel: StepConfig; NULL: was null */
        char **tags;            /* 8.3: of do and in_parallel, for steps inside that have none */
        int64_t limit;          /* in_parallel; below 1: unlimited */
        bool fail_fast;         /* in_parallel, across */
        GPtrArray *across_vars; /* across: AcrossVar; NULL: was null */
        int64_t attempts;
        char *duration; /* timeout */
};

/* Error texts as "malformed get step: …" (reference 03 §2.1). Returns new. */
StepConfig *step_config_from_value(const Value *value, GError **error);
Value *step_config_to_value(const StepConfig *step); /* one flat map, keys sorted. Returns new */
void step_config_free(StepConfig *step);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(StepConfig, step_config_free)

/* Of a get or put: the resource, which is the step's name when not given. Borrowed. */
const char *step_config_resource(const StepConfig *step);
/* Of a core step: its name. "" for others. Borrowed. */
const char *step_config_name(const StepConfig *step);

/* Calls fn for every core step (get, put, task, run, set_pipeline, load_var) below and including step, wrapped steps
 * before hooks. NULL is fine. */
void step_config_each(const StepConfig *step, void (*fn)(const StepConfig *step, void *data),
                      void *data);

/* The key that a kind goes by: "in_parallel". */
const char *step_kind_key(StepKind kind);
