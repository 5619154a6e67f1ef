/* Which builds' logs of a job go (reference 05 §5.1). Internal to the janitor; pure but for retention_run(). */
#pragma once

#include "janitor/janitor.h"

typedef struct {
        int64_t builds, days, minimum_succeeded; /* builds and days both 0: keep all */
} Retention;

/* What applies to a job's config under the operator's limits. */
Retention retention_of(const JanitorSpec *spec, const Value *job_config);

/* builds: Build, completed or not, ascending by id, none reaped yet. *ret_ids (new, int64_t): to reap; *ret_first: id of
 * the oldest that stays, 0: none. */
void retention_select(const Retention *retention, const GPtrArray *builds, Time now,
                      GArray **ret_ids, int64_t *ret_first);

/* All jobs of the store, page by page. */
bool retention_run(const JanitorSpec *spec, GError **error);
