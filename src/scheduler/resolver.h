/* Input resolution, a pure function of its arguments (reference 05 §4). */
#pragma once

#include "base/value.h"

/* Ids are the store's. A version is an id within its resource; check order ascends with age of discovery. */
typedef struct {
        int64_t id;
        int64_t check_order;
        bool disabled;
        const Value *version; /* the map; for pins */
} ResolverVersion;

typedef struct {
        int64_t resource_id;
        const ResolverVersion *versions; /* of its scope, highest check order first */
        size_t version_count;
} ResolverResource;

typedef struct {
        int64_t resource_id, version_id;
} ResolverOutput;

typedef struct {
        int64_t id, rerun_of;          /* rerun_of 0: none */
        const ResolverOutput *outputs; /* resource id ascending, then as stored: puts before gets */
        size_t output_count;
} ResolverBuild;

typedef struct {
        int64_t job_id;
        const ResolverBuild *builds; /* succeeded, canonical order, newest first */
        size_t build_count;
} ResolverJob;

typedef struct {
        int64_t build_id;
        const int64_t *passed_job_ids; /* pipes: which builds of passed jobs fed it */
        const int64_t *passed_build_ids;
        size_t pipe_count;
        const char *input_name;
        int64_t resource_id, version_id;
} ResolverUse; /* one input of one earlier build of the job itself, newest build first */

typedef struct {
        const char *name;
        int64_t resource_id;
        const int64_t *passed; /* job ids, ascending */
        size_t passed_count;
        bool trigger, every;
        const Value *pin; /* NULL: none */
} ResolverInput;

typedef struct {
        const ResolverInput *inputs; /* sorted by name */
        size_t input_count;
        const ResolverResource *resources;
        size_t resource_count;
        const ResolverJob *jobs; /* those in passed */
        size_t job_count;
        const ResolverUse *uses;
        size_t use_count;
} ResolverCase;

typedef struct {
        int64_t version_id; /* 0: unresolved, then */
        char *error;        /* says why; NULL when merely not part of a solution */
        bool first_occurrence;
        GArray *passed_builds; /* int64_t, of the builds that vouched */
} ResolverAnswer;

typedef struct {
        ResolverAnswer *answers; /* parallel to inputs */
        size_t answer_count;
        bool resolved, has_next;
} ResolverResult;

void resolver_run(const ResolverCase *problem, ResolverResult *ret);
void resolver_result_clear(ResolverResult *result);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ResolverResult, resolver_result_clear)
