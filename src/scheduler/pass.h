/* One scheduling pass for one job (reference 05 §3.3). Internal to the scheduler. */
#pragma once

#include "scheduler/scheduler.h"

typedef struct {
        bool again; /* something outside must happen first (a check, a build's end): the job stays due */
        char *no_room; /* such a thing is room on a disk: why a build waits for it; NULL: none does */
} PassResult;
void pass_result_clear(PassResult *result);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(PassResult, pass_result_clear)

bool pass_run(const SchedulerSpec *spec, int64_t job_id, PassResult *ret, GError **error);
