/* A worker without a place for another container. Internal to the pool. */
#pragma once

#include "pool/worker_http.h"

/* What the worker lacks, in its own words, when that is why it refused a container; else NULL. Constant. */
const char *full_reason(const GError *error);

typedef struct {
        const PoolWatch *watch; /* told once; may be NULL */
        int64_t build_id;       /* 0: a check */
        Cancel *cancel;
} FullWait;

/*
 * As worker_request_json(), for POST /containers. While the worker is full it is asked again, until it takes the container
 * or cancel fires. It fails, as upstream always does (corrections no. 37), when all who have the places wait themselves
 * (container_may_go_on()).
 */
bool full_request_json(const WorkerRequest *request, const FullWait *wait, Value **ret,
                       GError **error);
