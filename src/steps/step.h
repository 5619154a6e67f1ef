/*
 * The leaves of a plan: what a build does on workers. Each function runs one step to its end on the calling thread
 * (reference 04 §4). The engine's combinators call them.
 */
#pragma once

#include "steps/run.h"

typedef struct {
        Run *run;
        Scope *scope;
        const Plan *plan;         /* of the kind the function is for */
        const char *attempt;      /* "1", "1.2" inside attempts; NULL: none */
        const char *build_status; /* BUILD_STATUS inside a hook; NULL: none */
        Cancel *cancel;
        Cancel *shutdown; /* fires only when the build goes on elsewhere or later: hooks after an abort run on it */
} StepCall;

/*
 * Each: true when the step ran to an end of its own, *ret_succeeded says which; false with an error when it errored
 * (ERROR_CANCELLED: aborted or shut down, ERROR_STALE: stop silently). A deadline, its own or that of a timeout around
 * it, is a failure, not an error. Events of its end, the error event included, are already emitted.
 */
typedef bool (*StepFn)(const StepCall *call, bool *ret_succeeded, GError **error);

bool step_get(const StepCall *call, bool *ret_succeeded, GError **error);
bool step_put(const StepCall *call, bool *ret_succeeded, GError **error);
bool step_task(const StepCall *call, bool *ret_succeeded, GError **error);
bool step_check(const StepCall *call, bool *ret_succeeded, GError **error);
bool step_run(const StepCall *call, bool *ret_succeeded, GError **error);
bool step_load_var(const StepCall *call, bool *ret_succeeded, GError **error);
bool step_set_pipeline(const StepCall *call, bool *ret_succeeded, GError **error);
bool step_artifact_input(const StepCall *call, bool *ret_succeeded, GError **error);
bool step_artifact_output(const StepCall *call, bool *ret_succeeded, GError **error);
