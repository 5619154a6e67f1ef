#include "plan/across.h"

#include <string.h>

#include "base/json.h"
#include "config/record.h"
#include "config/vars.h"

/* Combinations of one across step: each becomes a plan of its own in memory and in the journal. */
#define SUBSTEPS_MAX 10000

static void substep_free(AcrossSubstep *substep) {
        value_free(substep->values);
        plan_free(substep->plan);
        g_free(substep);
}

/* ---- ids ---- */

typedef struct {
        const char *prefix;
        size_t next;
        GHashTable *renamed; /* old id → new id */
} Renaming;

static void rename_plan(const Plan *const_plan, void *data) {
        Plan *plan = (Plan *) const_plan; /* ours: plan_each() is for readers too */
        Renaming *renaming = data;
        char *id = g_strdup_printf("%s/%zu", renaming->prefix, renaming->next++);
        g_hash_table_insert(renaming->renamed, plan->id, id);
        plan->id = g_strdup(id);
}

static void rename_reference(const Plan *plan, void *data) {
        const Renaming *renaming = data;
        if (plan->kind != PLAN_GET)
                return;
        const char *id = g_hash_table_lookup(renaming->renamed, plan->get->version_from);
        if (id)
                plan_set_text(&plan->get->version_from, id);
}

static void rename_all(Plan *plan, const char *prefix) {
        g_autoptr(GHashTable)
                renamed = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        Renaming renaming = { prefix, 0, renamed };
        plan_each(plan, rename_plan, &renaming);
        plan_each(plan, rename_reference, &renaming);
}

/* ---- one combination ---- */

static Plan *instantiate(const Plan *across, const Value *template, const Value *values,
                         size_t index, GError **error) {
        g_autoptr(Value) locals = value_map();
        for (size_t i = 0; i < across->across->vars->len; i++) {
                const AcrossPlanVar *var = g_ptr_array_index(across->across->vars, i);
                value_map_set(locals, var->name, value_ref(value_at(values, i)));
        }
        const Vars vars = { local_vars_lookup, locals };
        g_autoptr(Value) filled = vars_interpolate(template, &vars, VARS_LENIENT, error);
        if (!filled) {
                g_prefix_error(error, "failed to interpolate template: ");
                return NULL;
        }
        Plan *plan = plan_from_value(filled, error);
        if (!plan) {
                g_prefix_error(error, "invalid template bytes: ");
                return NULL;
        }
        g_autofree char *prefix = g_strdup_printf("%s/%zu", across->id, index);
        rename_all(plan, prefix);
        return plan;
}

/* ---- all of them ---- */

static bool count_combinations(const Value *values, size_t *ret, GError **error) {
        size_t count = 1;
        for (size_t i = 0; i < value_length(values); i++) {
                const Value *list = value_at(values, i);
                if (!value_is_null(list) && !value_is(list, VALUE_LIST)) {
                        g_set_error(error, ERROR, ERROR_INVALID,
                                    "error unmarshaling JSON: while decoding JSON: json: cannot "
                                    "unmarshal %s into Go value of type []interface {}",
                                    value_json_kind(list));
                        return false;
                }
                count *= value_length(list);
                if (count > SUBSTEPS_MAX) {
                        g_set_error(error, ERROR, ERROR_LIMIT,
                                    "across has more than %d combinations", SUBSTEPS_MAX);
                        return false;
                }
        }
        *ret = count;
        return true;
}

/* The values of combination index: the last var varies fastest. */
static Value *combination(const Value *values, size_t index) {
        size_t vars = value_length(values);
        g_autofree size_t *picks = g_new0(size_t, vars + 1);
        for (size_t i = vars; i > 0; i--) {
                size_t length = value_length(value_at(values, i - 1));
                picks[i - 1] = index % length;
                index /= length;
        }
        Value *picked = value_list();
        for (size_t i = 0; i < vars; i++)
                value_list_add(picked, value_ref(value_at(value_at(values, i), picks[i])));
        return picked;
}

GPtrArray *across_substeps(const Plan *across, const Value *values, GError **error) {
        size_t count;
        g_assert(across->kind == PLAN_ACROSS && value_length(values) == across->across->vars->len);
        if (!count_combinations(values, &count, error))
                return NULL;
        const char *text = across->across->substep_template;
        g_autoptr(Value) template = json_parse(text, strlen(text), NULL, error);
        if (!template) {
                g_prefix_error(error, "invalid template bytes: ");
                return NULL;
        }
        g_autoptr(GPtrArray)
                substeps = g_ptr_array_new_with_free_func((GDestroyNotify) substep_free);
        for (size_t i = 0; i < count; i++) {
                AcrossSubstep *substep = g_new0(AcrossSubstep, 1);
                g_ptr_array_add(substeps, substep);
                substep->values = combination(values, i);
                substep->plan = instantiate(across, template, substep->values, i, error);
                if (!substep->plan)
                        return NULL;
        }
        return g_steal_pointer(&substeps);
}
