/*
 * Builds: made, started, finished, listed (reference 05 §1.4, §3; 04 §9; 01 §8). The running of one
 * is fenced by its lease (store/build_lease.h), its events are in store/build_log.h.
 */
#pragma once

#include "base/clock.h"
#include "store/handle.h"

typedef enum {
        BUILD_PENDING,
        BUILD_STARTED,
        BUILD_SUCCEEDED,
        BUILD_FAILED,
        BUILD_ERRORED,
        BUILD_ABORTED,
} BuildStatus;

const char *build_status_name(BuildStatus status); /* "pending" … */
bool build_status_parse(const char *name, BuildStatus *ret);

typedef struct {
        int64_t id, team_id, pipeline_id, job_id, resource_id, resource_type_id;
        char *name, *team_name, *pipeline_name, *job_name, *resource_name;
        Value *instance_vars;
        BuildStatus status;
        bool completed, scheduled, inputs_ready, aborted, manual, interceptible, drained;
        bool memory; /* a check without a row (store/check_build.h): status is not loaded by 01 §8.1 */
        bool job_public, pipeline_public, job_interruptible;
        char *created_by, *comment; /* NULL: none */
        int64_t rerun_of, rerun_number;
        char *rerun_of_name;
        Time created, start, end, reap; /* 0: not yet */
        bool has_plan;                  /* a public plan */
} Build;

void build_free(Build *build);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Build, build_free)

/* ---- looking ---- */
Build *build_get(Store *store, int64_t id, GError **error); /* checks without a row too */
/* name "latest": the one with the highest id. */
Build *build_find(Store *store, int64_t job_id, const char *name, GError **error);
/* {"schema":"exec.v2","plan":…}; ERROR_NOT_FOUND before it has one. Returns new. */
Value *build_public_plan(Store *store, int64_t id, GError **error);
/* The private plan of a build that runs. Returns new. */
Value *build_plan(Store *store, int64_t id, GError **error);

typedef struct {
        int64_t team_id, pipeline_id,
                job_id;               /* the first that is set narrows; all 0: every build */
        const Visibility *visibility; /* NULL: everything */
        Page page;
} BuildQuery;
/* 01 §6.1, order and errors included (ERROR_INVALID "invalid range boundaries"). Items: Build.
 * ret_links may be NULL; both 0 with timestamps. */
GPtrArray *build_list(Store *store, const BuildQuery *query, PageLinks *ret_links, GError **error);
/* By ids (int64_t), in their order; unknown ones are left out. */
GPtrArray *build_list_by_id(Store *store, const GArray *ids, GError **error);

typedef struct {
        char *name;                      /* of the input or output */
        int64_t resource_id, version_id; /* version_id 0: its row is gone */
        char *resource_name, *digest;
        Value *version; /* NULL: its row is gone */
        bool first_occurrence;
} BuildVersion;
void build_version_free(BuildVersion *version);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(BuildVersion, build_version_free)
/* Items: BuildVersion, as stored, by name. With `presented` a version whose row is gone is left out, and an input that
 * was also put out is in outputs only
 * (01 §8.2). Either ret may be NULL. */
bool build_versions(Store *store, int64_t id, bool presented, GPtrArray **ret_inputs,
                    GPtrArray **ret_outputs, GError **error);

/* ---- making ---- */

typedef struct {
        int64_t job_id;
        bool manual;
        const char *created_by; /* NULL: nobody */
        int64_t rerun_of;       /* any build of the job; of a rerun its original counts */
} BuildForJob;
/* A pending build with the job's next number; requests scheduling. ERROR_DENIED "inputs not ready"
 * for a rerun of a build without inputs. */
Build *build_create_for_job(Store *store, const BuildForJob *spec, GError **error);

typedef struct {
        int64_t team_id, pipeline_id; /* pipeline_id 0: none */
        int64_t resource_id,
                resource_type_id;        /* of a check that a person asked for; else 0: one-off */
        const Value *plan, *public_plan; /* as build_start */
} BuildStarted;
/*
 * One-offs and manual checks: created started, with their plan and, as upstream's, without a creator; wakes the engine. With `only` an
 * uncompleted check of the same resource or type is ERROR_EXISTS.
 */
Build *build_create_started(Store *store, const BuildStarted *spec, bool only, GError **error);

/* ---- starting ---- */

typedef struct {
        int64_t id;
        const Value *plan; /* private: sealed until the build has finished */
        const Value *public_plan;
} BuildStart;
typedef enum {
        BUILD_START_DONE,
        BUILD_START_ABORTED, /* it was aborted before: end it */
        BUILD_START_TAKEN,   /* it is not pending any more: another node was faster */
} BuildStartResult;
/* pending → started and wakes the engine (NOTIFY_BUILD_STARTED). The "started" event is appended by who takes the lease first. */
bool build_start(Store *store, const BuildStart *start, BuildStartResult *ret, GError **error);

/* ---- while it runs: fenced by the lease's epoch ---- */

typedef struct {
        int64_t id;
        int64_t epoch;
        const char *name; /* of the output: the step's */
        int64_t resource_id; /* 0: the resource is unknown, only versions of it matter: ERROR_INVALID */
        int64_t config_id, scope_id;
        const Value *version, *metadata; /* metadata may be NULL */
} BuildOutput;
/* A put's result: saves the version in the scope, points the resource there, records the output, and
 * requests scheduling (05 §2.6), all in one transaction. Repeating it changes nothing. */
bool build_save_output(Store *store, const BuildOutput *output, GError **error);
/*
 * Ends a build: appends the final status event to its log and syncs it, then commits status, end
 * time, successful outputs, the job's pointers, scheduling requests of downstream jobs and of its
 * serial group, archives child pipelines (05 §5.4). Once it has a final state, calling again is
 * fine and changes nothing; when the log already holds a final event that one decides. epoch 0: of
 * a build that never started; ERROR_STALE when it has.
 */
typedef struct {
        int64_t id, epoch;
        BuildStatus status;
        Time now; /* 0: the clock's */
} BuildFinish;
bool build_finish(Store *store, const BuildFinish *finish, GError **error);

/* ---- abort, comment, retention ---- */

/* Sets the flag and tells who runs it (NOTIFY_BUILD_ABORT); a pending one is scheduled, to be
 * finished. force: also ends it now, whoever holds its lease. */
bool build_abort(Store *store, int64_t id, bool force, GError **error);
bool build_set_comment(Store *store, int64_t id, const char *comment, GError **error);

/* 05 §6.2. failed_before 0: no limit. */
bool build_mark_not_interceptible(Store *store, Time one_off_before, Time failed_before,
                                  int64_t *ret_marked, GError **error);
/* Completed builds of a job from id upward, ascending, at most limit, for retention (05 §5.1). */
GPtrArray *build_list_completed(Store *store, int64_t job_id, int64_t from, size_t limit,
                                GError **error);
/* Deletes the logs of these builds (int64_t ids) and sets reap_time. */
bool build_reap(Store *store, const GArray *ids, Time now, GError **error);
/* Completed check builds that nobody can ask for any more, at most `limit`, with their logs. */
bool build_delete_old_checks(Store *store, size_t limit, int64_t *ret_deleted, GError **error);
