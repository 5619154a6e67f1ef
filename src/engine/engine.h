/*
 * How a build runs: the plan's tree walked on threads, its events, abort, and what happens to it when a web node
 * ends or dies (design §3; reference 04 §5, §9).
 */
#pragma once

#include "steps/step.h"

typedef struct Engine Engine; /* any thread */

typedef struct {
        const StepSettings *settings; /* borrowed until engine_free */
        const char *node;             /* this web node's name in leases */
        size_t builds_max;            /* that run at once; more wait in a queue; 0: 500 */
        Duration lease;               /* how long a silent node keeps a build; 0: 30 s */
} EngineSpec;

/* Starts the tracker: takes every started build that nobody holds, now and whenever the store says that one was started or a lease ran out. */
Engine *engine_new(const EngineSpec *spec);
/* Fires every running build's token with CANCEL_SHUTDOWN, waits for their threads at most `grace`: builds stay started, their containers go on, another node or the next start takes them up. */
void engine_free(Engine *engine, Duration grace);

typedef struct {
        size_t running, queued;
        uint64_t started, succeeded, failed, errored, aborted; /* since start */
} EngineStats;
void engine_stats(Engine *engine, EngineStats *ret);

/* Runs a plan's tree for a run; the heart of it, apart from leases and rows. Used by the engine's build threads and by tests. */
bool plan_run(const StepCall *call, bool *ret_succeeded, GError **error);

/* NULL when every step of the plan is one that this program runs, else a message that names the first that is not. Returns new. */
char *plan_unsupported(const Plan *plan);
