/* A job's configuration becomes a build plan (reference 04 §2). Pure. */
#pragma once

#include "plan/plan.h"

/* The version that was resolved for a get step. */
typedef struct {
        const char *name; /* of the step */
        const Value *version;
} PlannerInput;

typedef struct {
        const PipelineConfig
                *config; /* resources, resource types and prototypes are looked up here */
        const Value *base_type_defaults; /* map: type → source defaults; may be NULL */
        Duration checking_interval;      /* of image checks without check_every; 0: 1 min */
        bool manually_triggered;
        uint64_t *counter; /* the last plan id given out; advanced */
} PlannerSpec;

/*
 * Returns new, or NULL with ERROR_NOT_FOUND ("unknown resource: x", "unknown prototype: x", "version for input x not
 * provided"), ERROR_LIMIT when the plan would have more than 10 000 steps.
 */
Plan *planner_job(const PlannerSpec *spec, const JobConfig *job, const PlannerInput *inputs,
                  size_t input_count, GError **error);

/* What one check is asked for. Exactly one of the three is set. */
typedef struct {
        const ResourceConfig *resource;
        const ResourceTypeConfig *resource_type;
        const PrototypeConfig *prototype;
        const Value *from_version; /* NULL: none */
        CheckEvery
                interval; /* what applies when the config has no check_every; not set: the checking interval */
        bool skip_interval;
        bool skip_interval_recursively;
} PlannerCheck;

/* A check build's plan. Returns new. */
Plan *planner_check(const PlannerSpec *spec, const PlannerCheck *check);

/* How the image of a type is made, for what runs under a plan id. */
typedef struct {
        const GPtrArray *resource_types; /* of ResourceTypeConfig; NULL: none */
        const Value *base_type_defaults;
        Duration checking_interval; /* 0: 1 min */
        const char *plan_id;
        const char *type;
        const char *const *tags; /* of the step; NULL: none */
        bool skip_interval;
} PlannerImage;

/* ret is that of a new plan. Chains of more than 8 types end as if there were no more. */
void planner_type_image(const PlannerImage *image, TypeImage *ret);

/* The plans that fetch a task's image_resource, for plan_id: a get, and a check unless it names a version. The source
 * of resource has its defaults already. */
void planner_task_image(const PlannerImage *image, const ImageResourceConfig *resource,
                        Plan **ret_check, Plan **ret_get);

/* The defaults that go under the source of something of this type: the custom type's, else the operator's. Borrowed;
 * NULL: none. */
const Value *planner_source_defaults(const GPtrArray *resource_types,
                                     const Value *base_type_defaults, const char *type);

/* The plan id that a counter stands for. Returns new. */
char *plan_id_format(uint64_t counter);
