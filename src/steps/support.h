/* What all leaf steps share: how they end, their clock, their container's identity, their journal. */
#pragma once

#include "steps/step.h"

/* Runs body and turns its error into what the step's end is: its error event is emitted, the journal
 * has it, a deadline becomes a failure, and nothing is said when the build goes on elsewhere. */
bool step_guard(const StepCall *call, StepFn body, bool *ret_succeeded, GError **error);

/* A log event of its own with text of ours, redacted, once (see run_emit_once). */
typedef struct {
        const char *mark;
        const char *source; /* "stdout", "stderr" */
} StepText;
bool step_say(const StepCall *call, const StepText *text, GError **error, const char *format, ...)
        G_GNUC_PRINTF(4, 5);

/* Versions and metadata are what they are, secrets included: the log says so (correction 34). Both may be NULL. */
bool step_warn_of_secrets(const StepCall *call, const Value *version, const Value *metadata,
                          GError **error);

/* ---- the step's own timeout: runs from the moment a worker is chosen ---- */

typedef struct {
        Cancel *cancel;         /* what the step waits with */
        Cancel *alarm;          /* NULL: not started, or there is no timeout */
        Duration after;         /* 0: none */
        const char *unreadable; /* the step's own timeout when it is none; borrowed */
        uint64_t watch;
} StepClock;

/* text: the step's own timeout, "" or NULL: otherwise. before: of an earlier life, whose time counts;
 * NULL: there is none. */
typedef struct {
        const char *text;
        Duration otherwise;
        const BuildStep *before;
} StepTimeout;
void step_clock_init(StepClock *clock, const StepCall *call, const StepTimeout *timeout);
/* Again is fine. ERROR_INVALID "parse timeout: …": only now, as a step that finds its result in a cache never minds. */
bool step_clock_start(StepClock *clock, GError **error);
void step_clock_clear(StepClock *clock);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(StepClock, step_clock_clear)

/* ---- the container ---- */

ContainerOwner step_owner(const StepCall *call); /* text borrowed from the call */
ContainerMetadata step_metadata(const StepCall *call, const char *type, const char *name,
                                const char *working_directory);
/* BUILD_…, ATC_EXTERNAL_URL (reference 04 §6). creator: a put that exposes who triggered. Returns
 * new. */
char **step_resource_environment(const StepCall *call, bool creator);

/* A PoolWatch that emits the events and starts the clock; data lives as long as the watch. */
typedef struct {
        const StepCall *call;
        StepClock *clock;
        bool silent; /* a resumed step: it runs where it did */
} StepWatch;
PoolWatch step_watch(StepWatch *watch);

/* ---- the journal (design §3) ---- */

/* Where an earlier run of this step on another life of the server left it. NULL without error:
 * nowhere. Checks without a row have none. */
bool step_journal_find(const StepCall *call, BuildStep **ret, GError **error);
/* Events first: returns when they are on the disk, and then this. container may be NULL; result, a map, may be NULL: what
 * is there is kept, unless credentials were used, whose names go with every result. */
bool step_journal_save(const StepCall *call, BuildStepState state, const PoolContainer *container,
                       const Value *result, GError **error);
/* Whether something of the plan has begun, once another life of the server has had the build. */
bool step_journal_has(const StepCall *call, const Plan *plan);
/* The end of a step that ran to one, after its finish event. */
bool step_finish(const StepCall *call, bool succeeded, const Value *result, GError **error);
bool step_journal_is_over(const BuildStep *step); /* accepts NULL */
/* Whether the step that is over errored: then *error is what it was (NULL is fine). */
bool step_journal_errored(const BuildStep *step, GError **error);
