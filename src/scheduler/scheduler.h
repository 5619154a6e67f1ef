/*
 * Decides which builds start: input resolution, serial groups, max in flight (reference 05 §3, §4). Woken by the
 * store for exactly the jobs that may have changed.
 */
#pragma once

#include "base/cancel.h"
#include "store/store.h"

typedef struct Scheduler Scheduler; /* any thread */

typedef struct {
        Store *store;
        const char *node; /* this web node's name in bucket leases */
        Duration lease;   /* how long a silent node keeps its buckets; 0: 30 s */
        size_t threads;   /* jobs at once; 0: 4 */
        Duration safety;  /* how often it looks without being told; 0: 10 s */
        const Value *base_type_defaults;
        Duration checking_interval; /* default interval written into image check plans */
        /* A pending manual build waits for a check of this resource that began after `since`. */
        void (*request_check)(int64_t resource_id, Time since, void *data);
        void *data;
} SchedulerSpec;

Scheduler *scheduler_new(const SchedulerSpec *spec);
void scheduler_free(Scheduler *scheduler);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Scheduler, scheduler_free)

/* One pass for one job, on the calling thread: resolve, create, start. For tests and for the loop. */
bool scheduler_pass(Scheduler *scheduler, int64_t job_id, GError **error);
