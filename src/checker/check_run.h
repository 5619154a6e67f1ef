/* One check of one resource, without a row (reference 05 §2.5, §2.7). Internal to the checker. */
#pragma once

#include "checker/checker.h"

typedef struct {
        const StepSettings *settings;
        int64_t resource_id;
        bool skip_interval; /* somebody asked for it */
        Cancel *cancel;
} CheckRun;

/* *ret_succeeded: the resource answered. false with an error: it could not be asked. */
bool check_run(const CheckRun *check, bool *ret_succeeded, GError **error);

/* How long between two checks of it, by its config; 0: never by itself. */
Duration check_interval(const StepSettings *settings, const Value *resource_config);
