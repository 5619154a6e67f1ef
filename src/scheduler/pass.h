/* One scheduling pass for one job (reference 05 §3.3). Internal to the scheduler. */
#pragma once

#include "scheduler/scheduler.h"

/* *ret_again: something outside must happen first (a check, a build's end): the job stays due. */
bool pass_run(const SchedulerSpec *spec, int64_t job_id, bool *ret_again, GError **error);
