/* Runs the members of in_parallel and across: in order, at most so many at once (reference 04 §5). */
#pragma once

#include "steps/step.h"

typedef struct {
        const StepCall *calls; /* one for each member; their cancel is replaced by the group's */
        size_t count;
        size_t limit; /* at once; 0: all */
        bool fail_fast;
        Cancel *cancel; /* of the step around them */
        StepFn run;
} Parallel;

/*
 * Returns as a combinator: the surrounding cancellation wins; else errors that are not cancellations are joined into
 * one; else *ret_succeeded says whether no member failed.
 */
bool parallel_run(const Parallel *parallel, bool *ret_succeeded, GError **error);

/* "N errors occurred:\n\t* a\n\t* b\n\n". errors: GError *; at least one. */
void error_join(GError **error, const GPtrArray *errors);
