#include "leaves.h"

#include "base/json.h"
#include "base/thread.h"
#include "steps/artifact_file.h"

#include <string.h>

static struct {
        Mutex mutex;
        Condition begun;
        GString *trace;
        size_t count, reads;
        size_t gates, most, together;
        Cancel *abort;
        const char *path, *text; /* of the one file */
} leaves;

void leaves_begin(Cancel *abort) {
        if (!leaves.trace) {
                mutex_init(&leaves.mutex);
                condition_init(&leaves.begun);
                leaves.trace = g_string_new(NULL);
        }
        g_string_truncate(leaves.trace, 0);
        leaves.count = leaves.reads = 0;
        leaves.abort = abort;
}

char *leaves_trace(void) {
        MUTEX_SCOPE(&leaves.mutex);
        return g_strchomp(g_strdup(leaves.trace->str));
}

void leaves_wait(size_t begun) {
        MUTEX_SCOPE(&leaves.mutex);
        while (leaves.count < begun)
                condition_wait(&leaves.begun, &leaves.mutex);
}

void leaves_file(const char *path, const char *text) {
        MUTEX_SCOPE(&leaves.mutex);
        leaves.path = path;
        leaves.text = text;
}

size_t leaves_reads(void) {
        MUTEX_SCOPE(&leaves.mutex);
        return leaves.reads;
}

void leaves_gate(size_t together) {
        MUTEX_SCOPE(&leaves.mutex);
        leaves.gates = leaves.most = 0;
        leaves.together = together;
}

size_t leaves_most(void) {
        MUTEX_SCOPE(&leaves.mutex);
        return leaves.most;
}

static void wake(void *data) {
        MUTEX_SCOPE(&leaves.mutex);
        condition_broadcast(&leaves.begun);
}

static bool pass_gate(const StepCall *call, bool *ret_succeeded, GError **error) {
        uint64_t watch = cancel_watch(call->cancel, wake, NULL);

        mutex_lock(&leaves.mutex);
        leaves.gates++;
        leaves.most = MAX(leaves.most, leaves.gates);
        condition_broadcast(&leaves.begun);
        while (leaves.most < leaves.together && !cancel_fired(call->cancel))
                condition_wait(&leaves.begun, &leaves.mutex);
        leaves.gates--;
        bool open = leaves.most >= leaves.together;
        mutex_unlock(&leaves.mutex);
        cancel_unwatch(call->cancel, watch);
        *ret_succeeded = true;
        return open || cancel_check(call->cancel, error);
}

char *artifact_file_read(const StepCall *call, const ArtifactFile *file, size_t *ret_length,
                         GError **error) {
        g_autofree char *path = g_strdup_printf("%s/%s", file->artifact, file->path);

        MUTEX_SCOPE(&leaves.mutex);
        leaves.reads++;
        g_assert_cmpstr(path, ==, leaves.path);
        *ret_length = strlen(leaves.text);
        return g_strdup(leaves.text);
}

static void note(const StepCall *call, const char *label) {
        MUTEX_SCOPE(&leaves.mutex);
        g_string_append(leaves.trace, label);
        if (call->attempt)
                g_string_append_printf(leaves.trace, "[%s]", call->attempt);
        if (call->build_status)
                g_string_append_printf(leaves.trace, "/%s", call->build_status);
        g_string_append_c(leaves.trace, ' ');
        leaves.count++;
        condition_broadcast(&leaves.begun);
}

static bool fail(GError **error, ErrorCode code, const char *text) {
        g_set_error_literal(error, ERROR, (int) code, text);
        return false;
}

bool step_task(const StepCall *call, bool *ret_succeeded, GError **error) {
        g_auto(GStrv) name = g_strsplit(call->plan->task->name, "@", 2);
        const char *what = name[0];
        g_autoptr(GError) why = NULL;

        note(call, name[1] ? name[1] : what);
        if (g_str_has_prefix(what, "error"))
                return fail(error, ERROR_INVALID, what[5] ? what + 6 : "broken");
        if (g_str_equal(what, "stale"))
                return fail(error, ERROR_STALE, "lost");
        if (g_str_equal(what, "abort"))
                cancel_fire(leaves.abort, CANCEL_ABORT);
        if (g_str_equal(what, "abort") || g_str_equal(what, "wait") || g_str_equal(what, "block")) {
                cancel_sleep(call->cancel, DURATION_NEVER, &why);
                if (error_is(why, ERROR_TIMEOUT) && !g_str_equal(what, "block")) {
                        *ret_succeeded = false;
                        return true;
                }
                g_propagate_error(error, g_steal_pointer(&why));
                return false;
        }
        if (g_str_equal(what, "gate"))
                return pass_gate(call, ret_succeeded, error);
        *ret_succeeded = g_str_equal(what, "ok");
        return true;
}

bool step_get(const StepCall *call, bool *ret_succeeded, GError **error) {
        g_assert_not_reached();
}

bool step_put(const StepCall *call, bool *ret_succeeded, GError **error) {
        g_assert_not_reached();
}

bool step_check(const StepCall *call, bool *ret_succeeded, GError **error) {
        g_assert_not_reached();
}

/* ---- plans ---- */

static Value *expand(const Value *value, bool step) {
        if (value_is(value, VALUE_STRING) && step) {
                Value *plan = value_map(), *task = value_map();
                static int number;
                g_autofree char *id = g_strdup_printf("%d", ++number);
                value_map_set_string(plan, "id", id);
                value_map_set_string(task, "name", value_text(value));
                value_map_set(plan, "task", task);
                return plan;
        }
        if (value_is(value, VALUE_LIST)) {
                Value *list = value_list();
                for (size_t i = 0; i < value_length(value); i++)
                        value_list_add(list, expand(value_at(value, i), true));
                return list;
        }
        if (!value_is(value, VALUE_MAP))
                return value_ref(value);
        Value *map = value_map();
        for (size_t i = 0; i < value_length(value); i++) {
                const char *key = value_key_at(value, i);
                static const char *const steps[] = { "do",         "retry",    "steps",
                                                     "step",       "try",      "timeout",
                                                     "on_success", "ensure",   "on_failure",
                                                     "on_error",   "on_abort", "in_parallel",
                                                     NULL };
                value_map_set(map, key,
                              g_strv_contains(steps, key) ? expand(value_at(value, i), true)
                                                          : value_ref(value_at(value, i)));
        }
        return map;
}

Plan *plan_of(const char *text) {
        g_autofree char *quoted = g_strdelimit(g_strdup(text), "'", '"');
        g_autoptr(GError) error = NULL;
        g_autoptr(Value) value = json_parse(quoted, strlen(quoted), NULL, &error);
        g_assert_no_error(error);
        g_autoptr(Value) expanded = expand(value, true);
        Plan *plan = plan_from_value(expanded, &error);
        g_assert_no_error(error);
        return plan;
}
