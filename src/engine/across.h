/* across: one step for each combination of values (reference 03 §11, 04 §5). Internal to the engine. */
#pragma once

#include "steps/step.h"

/* A StepFn. Vars are nested, the first outermost: each runs so many of its values at once as its own limit says. */
bool run_across(const StepCall *call, bool *ret_succeeded, GError **error);
