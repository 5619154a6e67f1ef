/*
 * Build plans: trees of steps as they are stored, run and shown (reference 04 §1). Pure.
 *
 * Conventions as in config/pipeline.h: text is never NULL, "" when absent; lists of text are NULL-terminated vectors,
 * NULL when empty; Values are NULL when absent. A plan is owned by its parent and immutable once made: any thread may
 * read it.
 */
#pragma once

#include "config/pipeline.h"

typedef enum {
        PLAN_NONE, /* of no known kind: runs as a success */
        PLAN_IN_PARALLEL,
        PLAN_ACROSS,
        PLAN_DO,
        PLAN_TIMEOUT,
        PLAN_TRY,
        PLAN_ON_ABORT,
        PLAN_ON_ERROR,
        PLAN_ON_SUCCESS,
        PLAN_ON_FAILURE,
        PLAN_ENSURE,
        PLAN_RUN,
        PLAN_TASK,
        PLAN_SET_PIPELINE,
        PLAN_LOAD_VAR,
        PLAN_CHECK,
        PLAN_GET,
        PLAN_PUT,
        PLAN_RETRY,
        PLAN_ARTIFACT_INPUT,
        PLAN_ARTIFACT_OUTPUT,
        PLAN_DEPENDENT_GET, /* of builds before upstream's 6.0: shown only */
} PlanKind;

typedef struct Plan Plan;

/* Where the image of a resource's type comes from: base types have base_type only. */
typedef struct {
        Plan *check_plan; /* NULL: none */
        Plan *get_plan;   /* NULL: none */
        char *base_type;
        bool privileged;
} TypeImage;

typedef struct {
        char *name;
        char *type;
        Value *source; /* map or NULL (written null) */
        TypeImage image;
        Value *version;     /* map of strings */
        char *version_from; /* plan id */
        Value *params;
        char *resource;
        char **tags;
        char *timeout;
} GetPlan;

typedef struct {
        char *name;
        char *type;
        Value *source;
        TypeImage image;
        Value *params;
        PutInputs *inputs; /* NULL: detect */
        char *resource;
        char **tags;
        char *timeout;
        bool expose_build_created_by;
} PutPlan;

typedef struct {
        char *name;
        char *type;
        Value *source;
        TypeImage image;
        Value *from_version; /* map of strings */
        char *resource;
        char *resource_type;
        char *prototype;
        CheckEvery interval;
        bool skip_interval;
        char *timeout;
        char **tags;
} CheckPlan;

typedef struct {
        char *name;
        bool privileged;
        bool hermetic;
        char **tags;
        char *config_path;
        TaskConfig *config; /* NULL: none */
        ContainerLimits *container_limits;
        char *image;
        Value *vars;
        Value *params; /* map of strings */
        Value *input_mapping;
        Value *output_mapping;
        char *timeout;
        GPtrArray *resource_types; /* of ResourceTypeConfig; NULL: none */
        bool check_skip_interval;
} TaskPlan;

typedef struct {
        char *message;
        char *type;
        Value *object;
        bool privileged;
        char **tags;
        ContainerLimits *container_limits;
        char *timeout;
} RunPlan;

typedef struct {
        char *name;
        char *file;
        char *team;
        Value *vars;
        char **var_files;
        Value *instance_vars;
} SetPipelinePlan;

typedef struct {
        char *name;
        char *file;
        char *format;
        bool reveal;
} LoadVarPlan;

typedef struct {
        GPtrArray *steps; /* of Plan; may be NULL */
        int64_t limit;    /* below 1: none */
        bool fail_fast;
} InParallelPlan;

typedef struct {
        char *name;
        Value *values; /* any, uninterpolated */
        MaxInFlight max_in_flight;
} AcrossPlanVar;

typedef struct {
        GPtrArray *vars;        /* of AcrossPlanVar */
        char *substep_template; /* JSON of the plan of one combination, uninterpolated */
        bool fail_fast;
} AcrossPlan;

/* on_success, on_failure, on_abort, on_error, ensure; try and timeout have no hook. */
typedef struct {
        Plan *step;
        Plan *hook;
        char *duration; /* of timeout */
} WrapPlan;

typedef struct {
        int64_t artifact_id; /* of artifact_input */
        char *name;
} ArtifactPlan;

typedef struct {
        char *name;
        char *type;
        char *resource;
} DependentGetPlan;

struct Plan {
        char *id;
        GArray *attempts; /* of int64_t; NULL: none */
        PlanKind kind;
        union {
                GetPlan *get;
                PutPlan *put;
                CheckPlan *check;
                TaskPlan *task;
                RunPlan *run;
                SetPipelinePlan *set_pipeline;
                LoadVarPlan *load_var;
                GPtrArray *steps; /* of do and retry: Plan; may be NULL */
                InParallelPlan *in_parallel;
                AcrossPlan *across;
                WrapPlan *wrap;
                ArtifactPlan *artifact; /* artifact_input, artifact_output */
                DependentGetPlan *dependent_get;
                void *fields; /* of whichever kind */
        };
};

/* Takes id. The fields are made, empty; do and retry get an empty array. */
Plan *plan_new(char *id, PlanKind kind);
void plan_free(Plan *plan);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Plan, plan_free)
/* Replaces a text field of a plan. */
void plan_set_text(char **field, const char *text);

/* Reads the private JSON (stored, or sent by fly execute). Returns new, or NULL with ERROR_INVALID. */
Plan *plan_from_value(const Value *value, GError **error);
Plan *plan_from_json(const char *text, size_t length, GError **error);
Value *plan_to_value(const Plan *plan);  /* private JSON. Returns new */
Value *plan_to_public(const Plan *plan); /* what may be shown (reference 04 §1.4). Returns new */

const char *plan_kind_key(PlanKind kind); /* "in_parallel"; "" for PLAN_NONE */

/* Calls fn for plan and every plan below it, parents first; image plans included, across templates not. */
void plan_each(const Plan *plan, void (*fn)(const Plan *plan, void *data), void *data);
/* The plan with this id, at or below plan. Borrowed; NULL when there is none. */
const Plan *plan_find(const Plan *plan, const char *id);
