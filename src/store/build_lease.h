/*
 * Who runs a build (design §3). A lease belongs to a build and expires by the database's clock; each
 * taking gives it the next epoch. Every write and every log append of the work carries the epoch
 * and fails with ERROR_STALE once a newer one exists, so that a node that was frozen does no harm. A lease that runs
 * much longer than a node could have asked for is from before the database's clock was set back: it counts as run out.
 */
#pragma once

#include "base/clock.h"
#include "store/handle.h"

typedef struct {
        int64_t build_id, epoch;
} BuildLease;

/*
 * Takes a started build that nobody holds, or whose holder's lease ran out. Readies its log: old
 * writers are refused from now on; an empty log gets its "started" event; a log with a final event
 * makes the build finish with that status here and now (the log decides). ERROR_BUSY: somebody
 * holds it; ERROR_NOT_FOUND: it is not started, or has just been finished.
 */
bool build_lease_acquire(Store *store, int64_t build_id, const char *node, Duration period,
                         BuildLease *ret, GError **error);
/*
 * Renews all in one transaction. *ret_lost (may be NULL) is a new array of the BuildLeases that are
 * not ours any more (or whose builds have finished): stop that work.
 */
bool build_lease_renew(Store *store, const BuildLease *leases, size_t count, const char *node,
                       Duration period, GArray **ret_lost, GError **error);
/* At shutdown: free for others at once. Not ours: fine. */
bool build_lease_release(Store *store, const BuildLease *lease, GError **error);
/* ERROR_STALE unless it is still the newest. Before an act on the world that must not be twice. */
bool build_lease_check(Store *store, const BuildLease *lease, GError **error);

/* period: as of build_lease_acquire(). Ids (int64_t) of started builds without a valid lease, by id: what the engine takes up. With one
 * node at start that is every started build: release_node first. */
GArray *build_lease_list_free(Store *store, Duration period, GError **error);
/* Frees all leases of a node: at the start of a program that knows it is the only one by this name. With SQLite all that
 * there are: whoever held them has died, by whatever name. */
bool build_lease_release_node(Store *store, const char *node, GError **error);
