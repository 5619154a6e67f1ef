/* A volume's content from one worker to another, through this server (reference 06 §6.8). Internal to the pool. */
#pragma once

#include "pool/baggageclaim.h"

typedef struct {
        Pool *pool;
        const char *from_worker, *from_volume;
        const char *to_worker, *to_volume;
} Relay;

/* Memory stays flat: at most 1 MiB is on its way. */
bool relay_run(const Relay *relay, Cancel *cancel, GError **error);
