/* run: a message to a prototype. Upstream only pretends to send it, and so do we, in its words (reference 04 §4.5). */
#include "steps/support.h"

static bool run_prototype(const StepCall *call, bool *ret_succeeded, GError **error) {
        const RunPlan *plan = call->plan->run;
        const char *id = call->plan->id;
        g_autoptr(BuildStep) before = NULL;

        *ret_succeeded = true;
        if (!step_journal_find(call, &before, error))
                return false;
        if (step_journal_is_over(before))
                return !step_journal_errored(before, error);
        return run_emit_once(call->run, id, "initialize", event_initialize(id, clock_now()),
                             error) &&
               step_say(call, &(StepText){ "warning", "stderr" }, error,
                        "\033[1;33mthe run step is not yet implemented\033[0m\n\n") &&
               run_emit_once(call->run, id, "start", event_start(id, clock_now()), error) &&
               step_say(call, &(StepText){ "pretending", "stderr" }, error,
                        "\033[1;34mpretending to run %s on prototype %s...\033[0m\n", plan->message,
                        plan->type) &&
               run_emit_once(call->run, id, "finish", event_finish(id, true, clock_now()), error) &&
               step_finish(call, true, NULL, error);
}

bool step_run(const StepCall *call, bool *ret_succeeded, GError **error) {
        return step_guard(call, run_prototype, ret_succeeded, error);
}
