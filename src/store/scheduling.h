/*
 * What a scheduling pass reads and writes (reference 05 §3, §4): one consistent snapshot of
 * everything the resolver needs, the mapping it finds, and the gate before a build starts.
 */
#pragma once

#include "store/build.h"
#include "store/job.h"

/* One `get` of the job's plan. */
typedef struct {
        char *name;
        int64_t resource_id;
        GArray *passed; /* int64_t job ids, ascending; never NULL */
        bool trigger, every;
        Value *pin;           /* the step's, else the resource's; NULL: none */
        bool resource_pinned; /* the resource has a pin (05 §3.5 step 3) */
} SchedulingInput;

typedef struct {
        int64_t id, check_order;
        bool disabled;
        Value *version;
} SchedulingVersion;

typedef struct {
        int64_t id, scope_id; /* scope 0: none yet */
        char *name;
        GPtrArray *versions; /* SchedulingVersion, highest check order first */
} SchedulingResource;

typedef struct {
        int64_t resource_id, version_id; /* version_id < 0: its row is gone; no version has it */
} SchedulingOutput;

typedef struct {
        int64_t id, rerun_of; /* 0: none */
        GArray *outputs;      /* SchedulingOutput, by resource id; of one: puts before gets */
} SchedulingBuild;

typedef struct {
        int64_t job_id;
        GPtrArray *builds; /* SchedulingBuild: succeeded, canonical order, newest first */
} SchedulingPassedJob;

typedef struct {
        int64_t build_id;
        char *input_name;
        int64_t resource_id, version_id;
        GArray *pipes; /* int64_t pairs: passed job id, build id; never NULL */
} SchedulingUse;

typedef struct {
        Job *job;
        GPtrArray *serial_groups; /* char * */
        GPtrArray *inputs;        /* SchedulingInput, by name */
        GPtrArray *resources;     /* SchedulingResource, of the inputs */
        GPtrArray *passed_jobs;   /* SchedulingPassedJob */
        GPtrArray *uses;          /* SchedulingUse, of the job's own builds, newest build first */
        GPtrArray *pending;       /* Build: pending ones of the job, in the order they start */
        int64_t mapping_number;   /* of the mapping that was saved last */
} SchedulingCase;

void scheduling_case_free(SchedulingCase *problem);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SchedulingCase, scheduling_case_free)

/* One snapshot. ERROR_NOT_FOUND: the job is gone or inactive. Returns new. */
SchedulingCase *scheduling_load(Store *store, int64_t job_id, GError **error);

/* ---- the mapping: next build inputs ---- */

typedef struct {
        const char *input_name;
        int64_t resource_id, version_id; /* 0, 0: no version, then */
        const char *resolve_error; /* NULL: merely not part of a solution: no row is written */
        bool first_occurrence;
        const int64_t *passed_builds; /* that vouched: pipes */
        size_t passed_build_count;
} InputMappingInput;

typedef struct {
        int64_t job_id;
        const InputMappingInput *inputs;
        size_t input_count;
        bool resolved;       /* all inputs have a version */
        bool has_new_inputs; /* 05 §3.3 step 4 */
        bool ensure_pending; /* create an automatic build unless the job has a pending one */
        bool has_next;       /* request scheduling again */
        int64_t number;      /* mapping_number of the snapshot it was found in */
} InputMapping;
/* Replaces the job's mapping; writes nothing when nothing changed. *ret_created (may be NULL): id of
 * the build it made, or 0. */
bool input_mapping_save(Store *store, const InputMapping *mapping, int64_t *ret_created,
                        GError **error);

/* One row of what was saved. */
typedef struct {
        char *input_name;
        int64_t resource_id, version_id;
        Value *version;      /* NULL: unresolved */
        char *resolve_error; /* NULL: resolved */
        bool first_occurrence;
} NextInput;
void next_input_free(NextInput *input);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(NextInput, next_input_free)
/* Items: NextInput, by name. *ret_determined: all of the job's inputs are. */
GPtrArray *input_mapping_get(Store *store, int64_t job_id, bool *ret_determined, GError **error);

/* ---- starting pending builds ---- */

/* 05 §3.6: sets builds.scheduled and jobs.max_in_flight_reached. *ret_passed false: wait (its serial
 * group or max in flight is full, or an older build is next; the end of a build of the group
 * requests scheduling again). */
bool build_pass_gate(Store *store, int64_t build_id, bool *ret_passed, GError **error);
/* 05 §3.5 step 4: takes over the job's mapping, or for a rerun its original's inputs.
 * *ret_adopted false: undetermined, or a version is gone (then the mapping says so, and a rerun is
 * marked aborted). */
bool build_adopt_inputs(Store *store, int64_t build_id, bool *ret_adopted, GError **error);
