/*
 * The step journal (design §3): what a running build has begun and what came of it, written before
 * a container starts and before a put begins. Sealed. Deleted when the build has finished.
 */
#pragma once

#include "base/clock.h"
#include "store/build_lease.h"

/* Version of what `result` holds; a newer program reads older ones. */
#define BUILD_STEP_SCHEMA 1

typedef enum {
        BUILD_STEP_PLANNED, /* place and identity chosen, nothing begun */
        BUILD_STEP_RUNNING, /* the process may have begun: a put is never begun again (G4) */
        BUILD_STEP_SUCCEEDED,
        BUILD_STEP_FAILED,
        BUILD_STEP_ERRORED,
} BuildStepState;

typedef struct {
        int64_t build_id;
        char *plan_id;
        char *attempt; /* "" without attempts; "2", "1.2" */
        BuildStepState state;
        char *worker, *handle; /* of its container; NULL: none yet */
        Duration age;          /* since it was first saved, by the database's clock */
        int schema;
        Value *result; /* versions, local vars, across values, artifacts; NULL: none yet */
} BuildStep;

void build_step_free(BuildStep *step);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BuildStep, build_step_free)

/* Upserts by (build, plan_id, attempt). NULL worker, handle and result keep what is there; age is
 * not looked at. Fenced by the lease. */
bool build_step_save(Store *store, const BuildLease *lease, const BuildStep *step, GError **error);
/* NULL without error: never begun. Returns new. */
BuildStep *build_step_find(Store *store, int64_t build_id, const char *plan_id, const char *attempt,
                           GError **error);
/* All of a build, as begun. Items: BuildStep. */
GPtrArray *build_step_list(Store *store, int64_t build_id, GError **error);
