/* Which worker a step runs on (reference 04 §12). Internal to the pool. */
#pragma once

#include "pool/worker_http.h"

typedef struct {
        const ContainerNeed *container; /* its need, image and inputs */
        const PoolWatch *watch;
} Placement;

/* Running workers that could do it: the team's own if there are any, else everybody's. Items: Worker. ERROR_NOT_FOUND
 * "no workers" or "no workers satisfying: …". */
GPtrArray *placement_candidates(Pool *pool, const PlacementNeed *need, GError **error);
bool placement_fits(const Worker *worker, const PlacementNeed *need);

/*
 * Chooses one, and waits while the strategies reject all of them. *ret_task: a task's place was taken on it
 * (worker_give_task when the step ends). Returns new.
 */
char *placement_choose(Pool *pool, const Placement *placement, Cancel *cancel, bool *ret_task,
                       GError **error);
