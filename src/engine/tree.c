/* The plan's tree: which step runs when, and what its outcome means for those around it (reference 04 §5). */
#include "engine/engine.h"

#include "engine/across.h"
#include "engine/parallel.h"
#include "steps/support.h"

/* A step's outcome as the combinators hand it around. */
typedef struct {
        bool succeeded;
        GError *error; /* owned; NULL: it ran to an end of its own */
} Outcome;

static void outcome_clear(Outcome *outcome) {
        g_clear_error(&outcome->error);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Outcome, outcome_clear)

static void run_below(const StepCall *call, const Plan *plan, Outcome *ret) {
        StepCall below = *call;

        below.plan = plan;
        *ret = (Outcome){ 0 };
        if (!plan_run(&below, &ret->succeeded, &ret->error))
                ret->succeeded = false;
}

static bool finish(Outcome *outcome, bool *ret_succeeded, GError **error) {
        if (outcome->error) {
                g_propagate_error(error, g_steal_pointer(&outcome->error));
                return false;
        }
        *ret_succeeded = outcome->succeeded;
        return true;
}

/* The build goes on elsewhere or later: no hook may run here any more. */
static bool is_leaving(const StepCall *call, const Outcome *outcome) {
        return cancel_fired(call->shutdown) || error_is(outcome->error, ERROR_STALE);
}

static bool is_abort(const Outcome *outcome) {
        return error_is(outcome->error, ERROR_CANCELLED);
}

static void run_hook(const StepCall *call, Cancel *cancel, const char *build_status, Outcome *ret) {
        StepCall hook = *call;

        hook.cancel = cancel;
        if (build_status)
                hook.build_status = build_status;
        run_below(&hook, call->plan->wrap->hook, ret);
}

static bool run_do(const StepCall *call, bool *ret_succeeded, GError **error) {
        const GPtrArray *steps = call->plan->steps;

        for (size_t i = 0; steps && i < steps->len; i++) {
                const Plan *step = g_ptr_array_index(steps, i);
                g_auto(Outcome) outcome = { 0 };
                if (cancel_fired(call->cancel) && !step_journal_has(call, step))
                        return cancel_check(call->cancel, error);
                run_below(call, step, &outcome);
                if (outcome.error || !outcome.succeeded)
                        return finish(&outcome, ret_succeeded, error);
        }
        *ret_succeeded = true;
        return true;
}

static bool run_on_success(const StepCall *call, bool *ret_succeeded, GError **error) {
        g_auto(Outcome) outcome = { 0 };

        run_below(call, call->plan->wrap->step, &outcome);
        if (!outcome.error && outcome.succeeded)
                run_hook(call, call->cancel, "succeeded", &outcome);
        return finish(&outcome, ret_succeeded, error);
}

static bool run_on_failure(const StepCall *call, bool *ret_succeeded, GError **error) {
        g_auto(Outcome) outcome = { 0 };

        run_below(call, call->plan->wrap->step, &outcome);
        if (!outcome.error && !outcome.succeeded) {
                run_hook(call, call->cancel, "failed", &outcome);
                outcome.succeeded = false;
        }
        return finish(&outcome, ret_succeeded, error);
}

static bool run_on_error(const StepCall *call, bool *ret_succeeded, GError **error) {
        g_auto(Outcome) outcome = { 0 };

        run_below(call, call->plan->wrap->step, &outcome);
        if (outcome.error && !is_abort(&outcome) && !is_leaving(call, &outcome)) {
                g_auto(Outcome) hook = { 0 };
                run_hook(call, call->shutdown, "errored", &hook);
                if (hook.error) {
                        g_autoptr(GPtrArray) errors = g_ptr_array_new();
                        g_ptr_array_add(errors, outcome.error);
                        g_ptr_array_add(errors, hook.error);
                        error_join(error, errors);
                        return false;
                }
        }
        return finish(&outcome, ret_succeeded, error);
}

static bool run_on_abort(const StepCall *call, bool *ret_succeeded, GError **error) {
        g_auto(Outcome) outcome = { 0 };

        run_below(call, call->plan->wrap->step, &outcome);
        if (is_abort(&outcome) && !is_leaving(call, &outcome)) {
                g_auto(Outcome) hook = { 0 };
                run_hook(call, call->shutdown, "aborted", &hook);
        }
        return finish(&outcome, ret_succeeded, error);
}

static bool run_ensure(const StepCall *call, bool *ret_succeeded, GError **error) {
        g_auto(Outcome) outcome = { 0 }, hook = { 0 };

        run_below(call, call->plan->wrap->step, &outcome);
        if (is_leaving(call, &outcome))
                return finish(&outcome, ret_succeeded, error);
        run_hook(call, cancel_fired(call->cancel) ? call->shutdown : call->cancel, NULL, &hook);

        if (!cancel_check(call->cancel, error))
                return false;
        if (outcome.error || hook.error) {
                g_autoptr(GPtrArray) errors = g_ptr_array_new();
                if (outcome.error)
                        g_ptr_array_add(errors, outcome.error);
                if (hook.error)
                        g_ptr_array_add(errors, hook.error);
                error_join(error, errors);
                return false;
        }
        *ret_succeeded = outcome.succeeded && hook.succeeded;
        return true;
}

static bool run_try(const StepCall *call, bool *ret_succeeded, GError **error) {
        g_auto(Outcome) outcome = { 0 };

        run_below(call, call->plan->wrap->step, &outcome);
        if (is_abort(&outcome) || is_leaving(call, &outcome))
                return finish(&outcome, ret_succeeded, error);
        *ret_succeeded = true;
        return true;
}

/* The deadline goes on over a restart: the journal says when it began. */
static bool count_down(const StepCall *call, Duration *duration, GError **error) {
        g_autoptr(BuildStep) before = NULL;

        if (!step_journal_find(call, &before, error))
                return false;
        if (!before)
                return step_journal_save(call, BUILD_STEP_PLANNED, NULL, NULL, error);
        *duration = MAX(*duration - before->age, 1);
        return true;
}

static bool run_timeout(const StepCall *call, bool *ret_succeeded, GError **error) {
        g_auto(Outcome) outcome = { 0 };
        StepCall timed = *call;
        Duration duration;

        if (!duration_parse(call->plan->wrap->duration, &duration, error) ||
            !count_down(call, &duration, error))
                return false;
        g_autoptr(Cancel) cancel = cancel_new_deadline(call->cancel, duration);
        timed.cancel = cancel;
        run_below(&timed, call->plan->wrap->step, &outcome);
        if (error_is(outcome.error, ERROR_TIMEOUT)) {
                *ret_succeeded = false;
                return true;
        }
        return finish(&outcome, ret_succeeded, error);
}

static bool run_retry(const StepCall *call, bool *ret_succeeded, GError **error) {
        const GPtrArray *steps = call->plan->steps;
        g_auto(Outcome) outcome = { .succeeded = true };

        for (size_t i = 0; steps && i < steps->len; i++) {
                g_autofree char *attempt = call->attempt
                                                   ? g_strdup_printf("%s.%zu", call->attempt, i + 1)
                                                   : g_strdup_printf("%zu", i + 1);
                StepCall again = *call;

                again.attempt = attempt;
                outcome_clear(&outcome);
                run_below(&again, g_ptr_array_index(steps, i), &outcome);
                if (is_leaving(call, &outcome))
                        break;
                if (cancel_fired(call->cancel) &&
                    !(i + 1 < steps->len &&
                      step_journal_has(call, g_ptr_array_index(steps, i + 1))))
                        return cancel_check(call->cancel, error);
                if (!outcome.error && outcome.succeeded)
                        break;
        }
        return finish(&outcome, ret_succeeded, error);
}

static bool run_member(void *data, size_t index, Cancel *cancel, bool *ret_succeeded,
                       GError **error) {
        const StepCall *call = data;
        StepCall member = *call;

        member.cancel = cancel;
        member.plan = g_ptr_array_index(call->plan->in_parallel->steps, index);
        return plan_run(&member, ret_succeeded, error);
}

static bool has_begun(void *data, size_t index) {
        const StepCall *call = data;

        return step_journal_has(call, g_ptr_array_index(call->plan->in_parallel->steps, index));
}

static bool run_in_parallel(const StepCall *call, bool *ret_succeeded, GError **error) {
        const InParallelPlan *plan = call->plan->in_parallel;

        return parallel_run(&(Parallel){ .count = plan->steps ? plan->steps->len : 0,
                                         .limit = plan->limit > 0 ? (size_t) plan->limit : 0,
                                         .fail_fast = plan->fail_fast,
                                         .cancel = call->cancel,
                                         .run = run_member,
                                         .begun = has_begun,
                                         .data = (void *) call },
                            ret_succeeded, error);
}

static bool run_nothing(const StepCall *call, bool *ret_succeeded, GError **error) {
        *ret_succeeded = true;
        return true;
}

/* A kind without an entry is known to the language and not to this program: plan_unsupported() says so before a build starts. */
static const StepFn kinds[] = {
        [PLAN_NONE] = run_nothing,
        [PLAN_DO] = run_do,
        [PLAN_IN_PARALLEL] = run_in_parallel,
        [PLAN_ON_SUCCESS] = run_on_success,
        [PLAN_ON_FAILURE] = run_on_failure,
        [PLAN_ON_ERROR] = run_on_error,
        [PLAN_ON_ABORT] = run_on_abort,
        [PLAN_ENSURE] = run_ensure,
        [PLAN_TRY] = run_try,
        [PLAN_TIMEOUT] = run_timeout,
        [PLAN_RETRY] = run_retry,
        [PLAN_ACROSS] = run_across,
        [PLAN_RUN] = step_run,
        [PLAN_LOAD_VAR] = step_load_var,
        [PLAN_SET_PIPELINE] = step_set_pipeline,
        [PLAN_GET] = step_get,
        [PLAN_PUT] = step_put,
        [PLAN_TASK] = step_task,
        [PLAN_CHECK] = step_check,
        [PLAN_ARTIFACT_INPUT] = step_artifact_input,
        [PLAN_ARTIFACT_OUTPUT] = step_artifact_output,
        [PLAN_DEPENDENT_GET] = NULL,
};

static StepFn find_kind(PlanKind kind) {
        return (size_t) kind < G_N_ELEMENTS(kinds) ? kinds[kind] : NULL;
}

bool plan_run(const StepCall *call, bool *ret_succeeded, GError **error) {
        StepFn run = find_kind(call->plan->kind);

        if (!run) {
                g_set_error(error, ERROR, ERROR_UNSUPPORTED,
                            "step kind '%s' is not supported by this version of Weir",
                            plan_kind_key(call->plan->kind));
                return false;
        }
        return run(call, ret_succeeded, error);
}

static void note_unsupported(const Plan *plan, void *data) {
        char **message = data;

        if (!*message && !find_kind(plan->kind))
                *message = g_strdup_printf(
                        "step kind '%s' is not supported by this version of Weir",
                        plan_kind_key(plan->kind));
}

char *plan_unsupported(const Plan *plan) {
        char *message = NULL;

        plan_each(plan, note_unsupported, &message);
        return message;
}
