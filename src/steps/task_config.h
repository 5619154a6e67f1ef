/* How a task's configuration comes together before it runs (reference 04 §4.3). */
#pragma once

#include "steps/step.h"

/* From the step or a file, with vars, overrides and defaults laid over it; validated. Returns new. */
TaskConfig *task_step_config(const StepCall *call, GError **error);
