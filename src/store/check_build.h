/*
 * Checks that nobody asked for (reference 05 §2.7): they have an id, a plan and events, which are
 * kept in memory; no row and no file. The last one of each resource can be watched, and its state
 * is what 01 §13.1 shows as the resource's `build`.
 */
#pragma once

#include "store/build.h"
#include "wire/event.h"

typedef struct {
        int64_t resource_id, pipeline_id, team_id;
        const char *resource_name, *pipeline_name, *team_name;
        const Value *instance_vars; /* NULL: none */
        const Value *public_plan;
} CheckBuildSpec;

/* Takes a build id (ids are reserved from the database in blocks, so that this writes nothing),
 * forgets the resource's previous one and appends the "started" event. */
bool check_build_begin(Store *store, const CheckBuildSpec *spec, int64_t *ret_id, GError **error);
/* Adds to its log; wakes watchers. At most 1 MiB is kept: what is beyond that is left out. */
bool check_build_append(Store *store, int64_t id, const Event *event, GError **error);
/* Appends the final status event. Unknown id: fine. */
bool check_build_finish(Store *store, int64_t id, BuildStatus status, GError **error);

/* 05 §2.8: the newest of memory and scope. */
typedef struct {
        int64_t id; /* 0: never checked */
        BuildStatus status;
        Time start, end;   /* end 0: runs */
        Time last_checked; /* end of the last check, whatever found it; 0: never */
        Value *plan;       /* public; NULL: unknown */
} CheckSummary;
void check_summary_clear(CheckSummary *summary);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CheckSummary, check_summary_clear)
bool check_summary_get(Store *store, int64_t resource_id, int64_t scope_id, CheckSummary *ret,
                       GError **error);
