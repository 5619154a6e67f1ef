/*
 * One running build as its steps see it: who it is, where its events go, what earlier steps left, which secrets
 * must not show. Made by the engine (builds) and the checker (checks without a row).
 */
#pragma once

#include "base/cancel.h"
#include "plan/plan.h"
#include "pool/pool.h"
#include "steps/scope.h"
#include "store/store.h"
#include "wire/event.h"

typedef struct {
        Store *store;
        Pool *pool;
        const char *external_url;               /* NULL: none */
        Duration get_timeout, put_timeout, task_timeout, check_timeout; /* defaults of steps; 0: none */
        Duration checking_interval, type_checking_interval;
        int64_t task_cpu, task_memory;          /* defaults of tasks; 0: none */
        const Value *base_type_defaults;        /* map: type → source defaults; may be NULL */
        bool redact_secrets;
} StepSettings; /* immutable while builds run */

/* Appends an event to the build's log. Borrowed; any thread of the run. ERROR_STALE: the lease is gone, stop. */
typedef bool (*RunEmitFn)(const Event *event, void *data, GError **error);

typedef struct {
        const StepSettings *settings; /* borrowed */
        int64_t build_id;             /* 0: a check without a row */
        const char *build_name;
        int64_t lease_epoch;
        int64_t team_id;
        const char *team_name;
        int64_t pipeline_id; /* 0: none */
        const char *pipeline_name;
        const Value *instance_vars; /* NULL: none */
        int64_t job_id;             /* 0: none */
        const char *job_name;
        const char *created_by;     /* NULL: nobody */
        Time created;
        RunEmitFn emit;             /* NULL: events are dropped */
        void *data;
        /* Called before a check that has no row yet really runs; may be NULL. */
        bool (*begin_check)(void *data, GError **error);
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
void run_track_secret(Run *run, const Value *value); /* string leaves, by line */
char *run_redact(Run *run, const char *text, size_t length, size_t *ret_length); /* returns new */

/* ---- events ---- */
bool run_emit(Run *run, const Event *event, GError **error);
/* An "error" event on the plan id for why a step errored: "interrupted", "timeout exceeded" or the redacted text. */
void run_emit_error(Run *run, const char *plan_id, const GError *error);

/*
 * Log output of one step and stream. Chunking as reference 04 §10.4, with Weir's flush: a remainder is also written by
 * run_output_flush(), always called at the end, abort and error included. One thread at a time.
 */
typedef struct RunOutput RunOutput;
RunOutput *run_output_new(Run *run, const char *plan_id, const char *source /* "stdout", "stderr" */);
bool run_output_write(RunOutput *output, const void *bytes, size_t length, int64_t offset, GError **error);
bool run_output_text(RunOutput *output, const char *text, GError **error); /* of our own, not of the process */
bool run_output_flush(RunOutput *output, GError **error);
void run_output_free(RunOutput *output);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(RunOutput, run_output_free)

/* ---- interpolation ---- */

/* Resolves every ((var)) with the scope's local vars and the pipeline's credentials; tracks what it used as secret. Returns new, or NULL with ERROR_INVALID "undefined vars: …". */
Value *run_interpolate(Run *run, Scope *scope, const Value *value, GError **error);
