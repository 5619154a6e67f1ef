/*
 * History that nobody needs any more. Upstream keeps these rows for ever; here everything has an end (design §4).
 * Each call deletes at most `limit` rows of builds or versions; *ret_deleted is how many it did,
 * and fewer than `limit` say that there is no more.
 */
#pragma once

#include "store/handle.h"

typedef struct {
        int64_t builds, versions; /* how many stay; 0: all */
} HistoryKeep;

/*
 * Builds of a job whose logs are gone (build_reap()), and versions that only they had used. The newest of them stay, as do as many of the job's that
 * succeeded, and all that is needed still: what the job or another one's next build points at, what a build that is there
 * took its inputs from or is a rerun of, what has a version that a job behind this one is pinned to.
 */
bool build_forget_reaped(Store *store, int64_t job_id, const HistoryKeep *keep, size_t limit,
                         int64_t *ret_deleted, GError **error);

/* Completed builds of no job and no check, with their logs, but the newest of each team. */
bool build_forget_one_offs(Store *store, const HistoryKeep *keep, size_t limit,
                           int64_t *ret_deleted, GError **error);

/*
 * Versions, but the newest of each history, what a build that is there took in or put out, what a next build would
 * get, and what is pinned. Of a history whose checks tell many versions at a time so many stay: the next check would only
 * find them again. Looks at histories that got a version since the last call.
 */
bool version_forget_old(Store *store, const HistoryKeep *keep, size_t limit, int64_t *ret_deleted,
                        GError **error);
