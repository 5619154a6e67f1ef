/* What is thrown away and when: containers, volumes, caches, workers, logs, tokens (reference 05 §5, §6). */
#pragma once

#include "base/cancel.h"
#include "store/store.h"

typedef struct Janitor Janitor;

typedef struct {
        Store *store;
        const char *node;  /* this web node's name in leases */
        Duration lease;    /* how long a silent node is the one that cleans; 0: 60 s */
        Duration interval; /* 0: 30 s; it also runs when the store says that a build finished */
        Duration one_off_grace;          /* 0: 5 min */
        Duration failed_grace;           /* 0: 120 h */
        Duration missing_grace;          /* 0: 5 min */
        Duration hijack_grace;           /* 0: 5 min */
        Duration stalled_worker_timeout; /* 0: never */
        int64_t pause_pipelines_after;   /* days without a build; 0: never */
        int64_t default_builds_to_retain, default_days_to_retain, max_builds_to_retain,
                max_days_to_retain; /* 0: no limit */
        HistoryKeep history;
} JanitorSpec;

Janitor *janitor_new(const JanitorSpec *spec);
void janitor_free(Janitor *janitor);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Janitor, janitor_free)

/* One whole round on the calling thread. For tests and for the loop. */
bool janitor_round(Janitor *janitor, GError **error);
