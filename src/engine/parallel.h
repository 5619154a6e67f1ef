/* Runs the members of in_parallel and across: in order, at most so many at once (reference 04 §5). */
#pragma once

#include "steps/step.h"

/* Runs the member at index, on a thread of its own; waits with cancel, the group's. As a StepFn otherwise. */
typedef bool (*MemberFn)(void *data, size_t index, Cancel *cancel, bool *ret_succeeded,
                         GError **error);

typedef struct {
        size_t count;
        size_t limit; /* at once; 0: all */
        bool fail_fast;
        Cancel *cancel; /* of the step around them */
        MemberFn run;
        /* Whether the member had begun before a restart: it is walked again, cancelled or not, for the sake of its hooks.
         * May be NULL. */
        bool (*begun)(void *data, size_t index);
        void *data;
} Parallel;

/*
 * Returns as a combinator: the surrounding cancellation wins; else errors that are not cancellations are joined into
 * one; else *ret_succeeded says whether no member failed.
 */
bool parallel_run(const Parallel *parallel, bool *ret_succeeded, GError **error);
