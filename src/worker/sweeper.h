/* Tells the web node which containers and volumes there are, and removes those it does not want any
 * more (reference 06 §5.5). */
#pragma once

#include "http/client.h"
#include "worker/oci/container.h"
#include "worker/volumes/volumes.h"

typedef struct Sweeper Sweeper;

typedef struct {
        HttpClient *client; /* to the web node; these are borrowed */
        const char *worker;
        Containers *containers;
        Volumes *volumes;
        Duration interval; /* 0: 30 s; the first sweep is after one */
        int64_t containers_at_once, volumes_at_once;
} SweeperSpec;

Sweeper *sweeper_start(const SweeperSpec *spec);
/* A container came, went or was refused: when there are many, the next sweep is soon. */
void sweeper_poke(Sweeper *sweeper);
void sweeper_stop(Sweeper *sweeper); /* accepts NULL */
