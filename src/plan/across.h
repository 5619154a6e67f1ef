/* The combinations of an across step and the plans they become (reference 03 §11, 04 §1.3). Pure. */
#pragma once

#include "plan/plan.h"

/* One combination: a value for each var, in the plan's order, and the plan it becomes. */
typedef struct {
        Value *values; /* list */
        Plan *plan;
} AcrossSubstep;

/*
 * values: a list with one entry for each var of the plan: the list of its values (null: none), interpolated. Returns
 * new array of AcrossSubstep, last var fastest; or NULL with ERROR_INVALID, ERROR_LIMIT.
 */
GPtrArray *across_substeps(const Plan *across, const Value *values, GError **error);
