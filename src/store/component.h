/*
 * The parts of the server that run by themselves, by the names that upstream gives them: who of them is paused, and
 * when each ran last (reference 01 §20, 05 §7.1).
 */
#pragma once

#include "base/clock.h"
#include "store/handle.h"

#define COMPONENT_SCHEDULER "scheduler"
#define COMPONENT_TRACKER "tracker"
#define COMPONENT_SCANNER "scanner"
#define COMPONENT_REAPER "reaper"
#define COMPONENT_KEYS "signing_key_lifecycler"

typedef struct {
        char *name;
        Duration interval; /* in which it runs even if nothing wakes it */
        Time last_ran;     /* 0: never */
        bool paused;
} Component;

void component_free(Component *component);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Component, component_free)

/* Writes down all that this program has; collectors run every gc_interval. At each start. */
bool component_register_all(Store *store, Duration gc_interval, GError **error);
/* By name. Items: Component. Of other nodes, last_ran may be COMPONENT_LAG old. */
#define COMPONENT_LAG (60 * DURATION_SECOND)
GPtrArray *component_list(Store *store, GError **error);
/* name NULL: all of them. ERROR_NOT_FOUND for an unknown one. Wakes those that were paused. */
bool component_set_paused(Store *store, const char *name, bool paused, GError **error);

/*
 * What a component asks before it runs: false when it is paused; else it is noted to run now. Asks the database only
 * after something was paused or not any more; if that fails, the answer is the last one known.
 */
bool component_begin(Store *store, const char *name);
