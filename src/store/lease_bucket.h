/*
 * Checks and scheduling shared out among web nodes (design §3): 64 buckets of pipelines (id modulo
 * 64) for each kind of work, each leased with an epoch.
 */
#pragma once

#include "base/clock.h"
#include "store/handle.h"

#define LEASE_BUCKETS 64

typedef enum {
        LEASE_CHECKS,
        LEASE_SCHEDULING,
        LEASE_JANITOR, /* bucket 0 only: one node cleans */
        LEASE_WORKS,
} LeaseWork;

static inline unsigned lease_bucket_of(int64_t pipeline_id) {
        return (unsigned) ((uint64_t) pipeline_id % LEASE_BUCKETS);
}

/*
 * Renews what this node holds and takes its share of what is free or ran out: nodes that renewed
 * lately share equally, one alone takes all; what is above the share is given up. Call it every 10 s and when woken.
 * *ret is a bit for each bucket held. A node alone with a SQLite file holds all and writes nothing.
 */
bool lease_bucket_renew(Store *store, LeaseWork work, const char *node, Duration period,
                        uint64_t *ret, GError **error);
/* At shutdown: free for others at once. */
bool lease_bucket_release(Store *store, const char *node, GError **error);
