/*
 * Finds new versions of resources: on their interval, and when asked. A check that finds nothing new writes nothing
 * (design §4; reference 05 §2).
 */
#pragma once

#include "steps/step.h"

typedef struct Checker Checker; /* any thread */

typedef struct {
        const StepSettings *settings; /* borrowed */
        const char *node;             /* this web node's name in bucket leases */
        Duration lease;               /* how long a silent node keeps its buckets; 0: 30 s */
        size_t threads;               /* checks at once; 0: 32 */
        double checks_per_second; /* 0: as reference 05 §2.1 (resources ÷ interval, at least 1); negative: unlimited */
} CheckerSpec;

/* Starts the clock wheel of due resources; woken by the store when pipelines, pins or workers change. */
Checker *checker_new(const CheckerSpec *spec);
void checker_free(Checker *checker);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Checker, checker_free)

/* Checks a resource soon, whatever its interval says (a pending manual build wants it). Nothing happens when one is under way that started after `since`. */
void checker_request(Checker *checker, int64_t resource_id, Time since);

typedef struct {
        uint64_t started, succeeded, failed;
        size_t running, waiting;
} CheckerStats;
void checker_stats(Checker *checker, CheckerStats *ret);
