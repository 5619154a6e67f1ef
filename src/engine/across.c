#include "engine/across.h"

#include "base/fault.h"
#include "engine/engine.h"
#include "engine/parallel.h"
#include "plan/across.h"
#include "steps/support.h"

typedef struct {
        const StepCall *call;
        const AcrossPlan *plan;
        const Value *values;       /* a list of values for each var */
        const GPtrArray *substeps; /* of AcrossSubstep, the last var varies fastest */
} Across;

/* The values of one var, those of the vars before it given. */
typedef struct {
        const Across *across;
        size_t var;
        size_t first; /* of the substeps below */
        size_t each;  /* how many of them belong to one value */
} Level;

static size_t var_count(const AcrossPlan *plan) {
        return plan->vars ? plan->vars->len : 0;
}

static const AcrossPlanVar *var_at(const AcrossPlan *plan, size_t index) {
        return g_ptr_array_index(plan->vars, index);
}

/* ---- running ---- */

static bool run_substep(const Across *across, size_t index, Cancel *cancel, bool *ret_succeeded,
                        GError **error) {
        const AcrossSubstep *substep = g_ptr_array_index(across->substeps, index);
        g_autoptr(Scope) scope = scope_new(across->call->scope);
        /* Neither the attempt around it nor a hook's BUILD_STATUS reaches in here, as upstream has it. */
        const StepCall call = { .run = across->call->run,
                                .scope = scope,
                                .plan = substep->plan,
                                .cancel = cancel,
                                .shutdown = across->call->shutdown };

        for (size_t i = 0; i < var_count(across->plan); i++)
                scope_put_var(scope, var_at(across->plan, i)->name, value_at(substep->values, i));
        return plan_run(&call, ret_succeeded, error);
}

static bool run_level(const Across *across, size_t var, size_t first, size_t count, Cancel *cancel,
                      bool *ret_succeeded, GError **error);

static bool run_value(void *data, size_t index, Cancel *cancel, bool *ret_succeeded,
                      GError **error) {
        const Level *level = data;

        return run_level(level->across, level->var + 1, level->first + index * level->each,
                         level->each, cancel, ret_succeeded, error);
}

static size_t limit_of(const AcrossPlanVar *var) {
        if (var->max_in_flight.all)
                return 0;
        return var->max_in_flight.is_set && var->max_in_flight.limit > 0
                       ? (size_t) var->max_in_flight.limit
                       : 1;
}

/* count: of the substeps from first on. */
static bool run_level(const Across *across, size_t var, size_t first, size_t count, Cancel *cancel,
                      bool *ret_succeeded, GError **error) {
        if (var == var_count(across->plan))
                return run_substep(across, first, cancel, ret_succeeded, error);
        size_t values = value_length(value_at(across->values, var));
        Level level = { across, var, first, values ? count / values : 0 };

        return parallel_run(&(Parallel){ .count = count ? values : 0,
                                         .limit = limit_of(var_at(across->plan, var)),
                                         .fail_fast = across->plan->fail_fast,
                                         .cancel = cancel,
                                         .run = run_value,
                                         .data = &level },
                            ret_succeeded, error);
}

/* ---- values ---- */

static Value *evaluate(const StepCall *call, GError **error) {
        const AcrossPlan *plan = call->plan->across;
        g_autoptr(Value) values = value_list();

        for (size_t i = 0; i < var_count(plan); i++) {
                Value *list = run_interpolate(call->run, call->scope, var_at(plan, i)->values,
                                              VARS_LENIENT, error);
                if (!list)
                        return NULL;
                value_list_add(values, list);
        }
        return g_steal_pointer(&values);
}

static bool warn_of_shadows(const StepCall *call, GError **error) {
        const AcrossPlan *plan = call->plan->across;

        for (size_t i = 0; i < var_count(plan); i++) {
                const char *name = var_at(plan, i)->name;
                g_autofree char *mark = g_strdup_printf("shadow %zu", i);
                g_autoptr(Value) shadowed = scope_var(call->scope, name);
                if (shadowed &&
                    !step_say(call, &(StepText){ mark, "stderr" }, error,
                              "\033[1;33mWARNING: across step shadows local var '%s'\033[0m\n",
                              name))
                        return false;
        }
        return true;
}

static Value *public_substeps(const GPtrArray *substeps) {
        Value *list = value_list();

        for (size_t i = 0; i < substeps->len; i++) {
                const AcrossSubstep *substep = g_ptr_array_index(substeps, i);
                Value *entry = value_map();
                value_map_set(entry, "step", plan_to_public(substep->plan));
                value_map_set(entry, "values", value_ref(substep->values));
                value_list_add(list, entry);
        }
        return list;
}

/* ---- the step ---- */

/* The journal keeps the values: whoever takes the build up again must come to the same substeps by the same ids. */
static bool begin(const StepCall *call, Value **ret_values, GPtrArray **ret_substeps,
                  GError **error) {
        const char *id = call->plan->id;

        if (!run_emit_once(call->run, id, "initialize", event_initialize(id, clock_now()), error))
                return false;
        fault_here("step-initialized");
        if (!run_emit_once(call->run, id, "start", event_start(id, clock_now()), error) ||
            !warn_of_shadows(call, error))
                return false;
        *ret_values = evaluate(call, error);
        *ret_substeps = *ret_values ? across_substeps(call->plan, *ret_values, error) : NULL;
        if (!*ret_substeps)
                return false;
        g_autoptr(Value) journal = value_map();
        value_map_set(journal, "values", value_ref(*ret_values));
        fault_here("step-started");
        return step_journal_save(call, BUILD_STEP_RUNNING, NULL, journal, error);
}

static bool resume(const StepCall *call, const BuildStep *before, Value **ret_values,
                   GPtrArray **ret_substeps, GError **error) {
        *ret_values = value_ref(value_get(before->result, "values"));
        *ret_substeps = across_substeps(call->plan, *ret_values, error);
        return *ret_substeps != NULL;
}

static bool announce(const StepCall *call, const GPtrArray *substeps, GError **error) {
        g_autoptr(Value) plain = public_substeps(substeps);
        g_autoptr(Value) public = run_redact_value(call->run, plain);

        fault_here("journal-running");
        return run_emit_once(call->run, call->plan->id, "substeps",
                             event_across_substeps(call->plan->id, public, clock_now()), error);
}

static bool finish(const StepCall *call, bool succeeded, GError **error) {
        const char *id = call->plan->id;

        return run_emit_once(call->run, id, "finish", event_finish(id, succeeded, clock_now()),
                             error) &&
               step_finish(call, succeeded, NULL, error);
}

static bool run_combinations(const StepCall *call, bool *ret_succeeded, GError **error) {
        g_autoptr(BuildStep) before = NULL;
        g_autoptr(Value) values = NULL;
        g_autoptr(GPtrArray) substeps = NULL;

        if (!step_journal_find(call, &before, error))
                return false;
        if (step_journal_is_over(before)) {
                *ret_succeeded = before->state == BUILD_STEP_SUCCEEDED;
                return !step_journal_errored(before, error);
        }
        if (!(before ? resume(call, before, &values, &substeps, error)
                     : begin(call, &values, &substeps, error)) ||
            !announce(call, substeps, error))
                return false;
        const Across across = { call, call->plan->across, values, substeps };
        return run_level(&across, 0, 0, substeps->len, call->cancel, ret_succeeded, error) &&
               finish(call, *ret_succeeded, error);
}

bool run_across(const StepCall *call, bool *ret_succeeded, GError **error) {
        return step_guard(call, run_combinations, ret_succeeded, error);
}
