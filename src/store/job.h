/* Jobs of pipelines (reference 05 §1.2, §3.2; 01 §10). */
#pragma once

#include "base/clock.h"
#include "store/handle.h"

typedef struct {
        int64_t id, pipeline_id, team_id;
        char *name, *pipeline_name, *team_name;
        Value *instance_vars;
        bool active, paused, public, pipeline_paused, pipeline_public, pipeline_archived;
        char *paused_by;
        Time paused_at;
        int64_t max_in_flight; /* effective: serial is 1; 0: unlimited */
        bool max_in_flight_reached, has_new_inputs, inputs_determined, interruptible;
        bool disable_manual_trigger, disable_reruns;
        GPtrArray *groups; /* char *: names of pipeline groups it is in; never NULL */
        int64_t first_logged_build_id;
        Time schedule_requested, last_scheduled;
        int64_t next_build_id, latest_completed_build_id, transition_build_id;
} Job;

void job_free(Job *job);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Job, job_free)

/* Of the current config; an inactive one is not found by name. Return new. */
Job *job_find(Store *store, int64_t pipeline_id, const char *name, GError **error);
Job *job_get(Store *store, int64_t id, GError **error);
/* The job's own map in its pipeline's config. Returns new (a reference). */
Value *job_config(Store *store, int64_t id, GError **error);

/* ---- lists: active jobs, by id. Items: Job ---- */
GPtrArray *job_list(Store *store, int64_t pipeline_id, GError **error);
GPtrArray *job_list_visible(Store *store, const Visibility *visibility, GError **error);

typedef struct {
        int64_t id;
        char *name, *status;
        Time start, end; /* 0: not yet */
} JobBuild;

/* What lists of jobs show of one: everything a summary of 01 §10.2 needs, without the config. */
typedef struct {
        char *name, *resource;
        GPtrArray *passed; /* char *: job names, by job id; NULL: none */
        bool trigger;
} JobSummaryInput;
typedef struct {
        char *name, *resource;
} JobSummaryOutput;
typedef struct {
        Job *job;
        JobBuild *next, *finished, *transition; /* NULL: none */
        GPtrArray *inputs;                      /* JobSummaryInput, by name; never NULL */
        GPtrArray *outputs;                     /* JobSummaryOutput, by name; never NULL */
} JobSummary;

void job_summary_free(JobSummary *summary);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(JobSummary, job_summary_free)

JobSummary *job_summary(Store *store, int64_t id, GError **error);
/* pipeline_id 0: of all pipelines; visibility NULL: everything. Items: JobSummary, by job id. A
 * fixed number of queries, however many jobs. */
GPtrArray *job_summary_list(Store *store, int64_t pipeline_id, const Visibility *visibility,
                            GError **error);

/* ---- what people do ---- */
bool job_pause(Store *store, int64_t id, const char *by, GError **error);
bool job_unpause(Store *store, int64_t id, GError **error);
/* Requests scheduling (05 §3.2) and wakes the scheduler. */
bool job_request_schedule(Store *store, int64_t id, GError **error);

/* ---- for the scheduler (more in store/scheduling.h) ---- */

/*
 * Ids (int64_t) of active jobs whose scheduling was requested after they were last scheduled, of
 * pipelines in these buckets (store/lease_bucket.h). Returns new.
 */
GArray *job_list_due(Store *store, uint64_t buckets, GError **error);
/* The pass that began when schedule_requested was `requested` is through. */
bool job_set_scheduled(Store *store, int64_t id, Time requested, GError **error);

/* ---- for the janitor ---- */
/* ERROR_INVALID when it would decrease. */
bool job_set_first_logged_build(Store *store, int64_t id, int64_t build_id, GError **error);
