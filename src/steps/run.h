/*
 * One running build as its steps see it: who it is, where its events go, what earlier steps left, which secrets
 * must not show. Made by the engine (builds) and the checker (checks without a row).
 */
#pragma once

#include "base/cancel.h"
#include "config/vars.h"
#include "creds/creds.h"
#include "plan/plan.h"
#include "pool/pool.h"
#include "steps/redactor.h"
#include "steps/scope.h"
#include "store/build_lease.h"
#include "store/build_log.h"
#include "store/store.h"

typedef struct {
        Store *store;
        Pool *pool;
        const char *external_url; /* NULL: none */
        Duration get_timeout, put_timeout, task_timeout,
                check_timeout; /* defaults of steps; 0: none */
        Duration checking_interval, type_checking_interval;
        int64_t task_cpu, task_memory;   /* defaults of tasks; 0: none */
        const Value *base_type_defaults; /* map: type → source defaults; may be NULL */
        bool redact_secrets;
        bool global_resources; /* resources of one type and source share a history */
} StepSettings;                /* immutable while builds run */

/* Where the events of a check without a row go. Any thread of the run. */
typedef bool (*RunEmitFn)(const Event *event, void *data, GError **error);

typedef struct {
        const StepSettings *settings; /* borrowed */
        int64_t build_id;             /* 0: a check without a row */
        const char *build_name;
        BuildLease lease; /* all 0 without a row */
        int64_t team_id;
        const char *team_name;
        int64_t pipeline_id; /* 0: none */
        const char *pipeline_name;
        const Value *instance_vars; /* NULL: none */
        int64_t job_id;             /* 0: none */
        const char *job_name;
        const char *created_by; /* NULL: nobody */
        Time created;
        Creds *creds;          /* of the pipeline; borrowed; NULL: none */
        BuildLogWriter *log;   /* borrowed; NULL: a check without a row, then */
        RunEmitFn emit;        /* takes its events; NULL: they are dropped */
        const char *check_key; /* and names it uniquely (store/container.h) */
        void *data;
        /* Called before the resource check of this run really runs; may be NULL. *ret_build_id is
         * what its history shows. */
        bool (*begin_check)(void *data, int64_t *ret_build_id, GError **error);
} RunSpec;

/* Reference counted; any thread. Text of the spec is copied. */
typedef struct Run Run;

Run *run_new(const RunSpec *spec);
Run *run_ref(Run *run);
void run_free(Run *run);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Run, run_free)

const RunSpec *run_spec(const Run *run);
const StepSettings *run_settings(const Run *run);

/* ---- results: plan id → what the step yields to later ones (version of a get, put or check) ---- */
void run_put_result(Run *run, const char *plan_id, const Value *version);
Value *run_result(Run *run, const char *plan_id); /* returns new; NULL when there is none */

/* ---- secrets (reference 04 §3) ---- */
Redactor *run_redactor(Run *run); /* borrowed */
/* The names of all credentials that were used, so that another life of the server, which does not use them again, hides
 * them too. Returns a new list; NULL: none. */
Value *run_credentials(Run *run);
void run_recall_credentials(
        Run *run, const Value *names); /* accepts NULL; those that are gone are passed over */
/* From now on value shows nowhere; unless redaction is switched off. */
void run_track_secret(Run *run, const Value *value);
/* text without secrets. Returns new. */
char *run_redact(Run *run, const char *text);
/* value with all its texts so; its keys stay. Returns new. */
Value *run_redact_value(Run *run, const Value *value);

/* ---- events ---- */
/* Takes event. ERROR_STALE: the lease is gone, stop. */
bool run_emit(Run *run, Event *event, GError **error);
/* The same, unless this life of the program or an earlier one has emitted it: `mark` names it among those of the plan
 * id, and is stored with it. After a restart the plan is walked again, and what was said is not said again. */
bool run_emit_once(Run *run, const char *plan_id, const char *mark, Event *event, GError **error);
/* The same with where the stream stands that it came from (may be NULL). */
bool run_emit_at(Run *run, Event *event, const StreamOffset *offset, GError **error);
/* How far a stream was stored before: where a re-attach goes on. */
bool run_stored_offset(Run *run, const StreamOffset *stream, int64_t *ret, GError **error);
/* Once: an "error" event on the plan id for why a step errored: "interrupted", "timeout exceeded" or
 * the redacted text. */
bool run_emit_error(Run *run, const char *plan_id, const GError *why, GError **error);

/*
 * Log output of one step and stream. Whole lines while there are secrets to redact (reference 04
 * §10.4), else as it comes; a remainder is written by run_output_flush(), always called at the
 * end, abort and error included. One thread at a time.
 */
typedef struct RunOutput RunOutput;
/* source: "stdout" or "stderr", not copied. attempt NULL: none. */
RunOutput *run_output_new(Run *run, const char *plan_id, const char *attempt, const char *source);
/* offset: of the stream, before these bytes. */
bool run_output_write(RunOutput *output, const void *bytes, size_t length, int64_t offset,
                      GError **error);
/* An event of its own with text of ours, not of the process. */
bool run_output_text(RunOutput *output, const char *text, GError **error);
bool run_output_flush(RunOutput *output, GError **error);
void run_output_free(RunOutput *output);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(RunOutput, run_output_free)

/* ---- interpolation ---- */

/* Resolves every ((var)) with the scope's local vars and the pipeline's credentials; tracks as
 * secret what it used of those. Returns new, or NULL with ERROR_INVALID "undefined vars: …". */
Value *run_interpolate(Run *run, Scope *scope, const Value *value, VarsFlags flags, GError **error);
