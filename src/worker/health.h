/* The health check: asks both servers whether they answer (reference 06 §5.3). */
#pragma once

#include "http/server.h"

typedef struct Health Health;

typedef struct {
        const char *address;
        uint16_t port; /* 0: any */
        const char *garden_url, *baggageclaim_url;
        Duration timeout;
} HealthSpec;

Health *health_start(const HealthSpec *spec, GError **error);
uint16_t health_port(const Health *health);
void health_stop(Health *health); /* accepts NULL */
