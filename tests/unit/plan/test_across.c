#include "plan/across.h"

#include <string.h>

#include "base/json.h"

static Value *parse(const char *json) {
        g_autoptr(GError) error = NULL;
        Value *value = json_parse(json, strlen(json), NULL, &error);
        g_assert_no_error(error);
        return value;
}

/* An across over the vars v and w with this template. */
static Plan *across_over(const char *template) {
        Plan *plan = plan_new(g_strdup("9"), PLAN_ACROSS);
        static const char *const names[] = { "v", "w" };
        plan_set_text(&plan->across->substep_template, template);
        plan->across->vars = g_ptr_array_new();
        for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
                AcrossPlanVar *var = g_new0(AcrossPlanVar, 1);
                var->name = g_strdup(names[i]);
                g_ptr_array_add(plan->across->vars, var);
        }
        return plan;
}

static const struct {
        const char *values;
        const char *names; /* of the tasks */
} combinations[] = {
        { "[[1,2],[\"a\",\"b\",\"c\"]]", "1-a 1-b 1-c 2-a 2-b 2-c" },
        { "[[1.50],[\"x\"]]", "1.50-x" },
        { "[[],[\"x\"]]", "" },
        { "[null,[\"x\"]]", "" },
};

static void combines_values_last_var_fastest(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(combinations); i++) {
                g_autoptr(GError) error = NULL;
                g_autoptr(Plan) across = across_over(
                        "{\"id\":\"1\",\"task\":{\"name\":\"((.:v))-((.:w))\"}}");
                g_autoptr(Value) values = parse(combinations[i].values);
                g_autoptr(GPtrArray) substeps = across_substeps(across, values, &error);
                g_assert_no_error(error);
                g_autoptr(GString) names = g_string_new(NULL);
                for (size_t j = 0; j < substeps->len; j++) {
                        const AcrossSubstep *substep = g_ptr_array_index(substeps, j);
                        g_string_append_printf(names, "%s%s", j > 0 ? " " : "",
                                               substep->plan->task->name);
                }
                g_assert_cmpstr(names->str, ==, combinations[i].names);
        }
}

static void numbers_ids_by_combination_and_place(void) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Plan) across = across_over(
                "{\"id\":\"3\",\"on_success\":{\"step\":{\"id\":\"1\",\"put\":{\"name\":\"p\",\"image\":{\"check_plan\":{\"id\":"
                "\"1/image-check\",\"check\":{\"name\":\"c\"}},\"get_plan\":{\"id\":\"1/image-get\",\"get\":{\"name\":\"g\","
                "\"version_from\":\"1/image-check\"}}}}},\"on_success\":{\"id\":\"2\",\"get\":{\"name\":\"p\","
                "\"version_from\":\"1\"}}}}");
        g_autoptr(Value) values = parse("[[1],[2,3]]");
        g_autoptr(GPtrArray) substeps = across_substeps(across, values, &error);
        g_assert_no_error(error);
        const AcrossSubstep *second = g_ptr_array_index(substeps, 1);
        g_assert_cmpstr(second->plan->id, ==, "9/1/0");
        g_assert_cmpint(plan_find(second->plan, "9/1/1")->kind, ==, PLAN_PUT);
        g_assert_cmpstr(plan_find(second->plan, "9/1/3")->get->version_from, ==, "9/1/2");
        g_assert_cmpstr(plan_find(second->plan, "9/1/4")->get->version_from, ==, "9/1/1");
}

static void leaves_other_vars_alone(void) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Plan) across = across_over(
                "{\"id\":\"1\",\"get\":{\"name\":\"n\",\"source\":{\"a\":\"((s:x))((.:z))\",\"b\":\"((.:v))\"}}}");
        g_autoptr(Value) values = parse("[[{\"k\":[1]}],[0]]");
        g_autoptr(GPtrArray) substeps = across_substeps(across, values, &error);
        g_assert_no_error(error);
        const AcrossSubstep *only = g_ptr_array_index(substeps, 0);
        g_autofree char *source = json_write(only->plan->get->source, JSON_COMPACT, NULL);
        g_assert_cmpstr(source, ==, "{\"a\":\"((s:x))((.:z))\",\"b\":{\"k\":[1]}}");
}

static const struct {
        const char *template, *values;
        ErrorCode code;
        const char *message;
} faults[] = {
        { "{\"id\":\"1\",\"task\":{\"name\":\"x((.:v))\"}}", "[[true],[1]]", ERROR_INVALID,
          "failed to interpolate template: cannot interpolate non-primitive value (bool) from var: .:v" },
        { "{\"id\":", "[[1],[1]]", ERROR_INVALID,
          "invalid template bytes: unexpected end of JSON input" },
        { "{}", "[1,[1]]", ERROR_INVALID,
          "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal number into Go value of type []interface {}" },
        { "{}", "[[1],{\"a\":1}]", ERROR_INVALID,
          "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal object into Go value of type []interface {}" },
        { "{}", NULL, ERROR_LIMIT, "across has more than 10000 combinations" },
};

static void refuses_what_it_cannot_combine(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(faults); i++) {
                g_autoptr(GError) error = NULL;
                g_autoptr(Plan) across = across_over(faults[i].template);
                g_autoptr(Value) values = NULL;
                if (faults[i].values) {
                        values = parse(faults[i].values);
                } else {
                        Value *many = value_list();
                        for (size_t j = 0; j < 101; j++)
                                value_list_add(many, value_int(0));
                        values = value_list();
                        value_list_add(values, value_ref(many));
                        value_list_add(values, many);
                }
                g_assert_null(across_substeps(across, values, &error));
                g_assert_error(error, ERROR, (int) faults[i].code);
                g_assert_cmpstr(error->message, ==, faults[i].message);
        }
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/across/combinations", combines_values_last_var_fastest);
        g_test_add_func("/across/ids", numbers_ids_by_combination_and_place);
        g_test_add_func("/across/other-vars", leaves_other_vars_alone);
        g_test_add_func("/across/faults", refuses_what_it_cannot_combine);
        return g_test_run();
}
