#include "plan/plan.h"

#include <string.h>

#include "base/json.h"

/* ---- every kind reads, writes and shows ---- */

#define GET "{\"id\":\"g\",\"get\":{\"name\":\"n\",\"type\":\"t\",\"source\":null,\"image\":{}}}"
#define GET_SHOWN "{\"id\":\"g\",\"get\":{\"name\":\"n\",\"type\":\"t\"}}"

static const struct {
        const char *private, *public;
} kinds[] = {
        { "{\"id\":\"1\"}", "{\"id\":\"1\"}" },
        { "{\"id\":\"1\",\"attempts\":[1,2],\"do\":[" GET "]}",
          "{\"id\":\"1\",\"do\":[" GET_SHOWN "]}" },
        { "{\"id\":\"1\",\"do\":null}", "{\"id\":\"1\"}" },
        { "{\"id\":\"1\",\"retry\":[]}", "{\"id\":\"1\",\"retry\":[]}" },
        { "{\"id\":\"1\",\"in_parallel\":{\"steps\":null}}",
          "{\"id\":\"1\",\"in_parallel\":{\"steps\":[]}}" },
        { "{\"id\":\"1\",\"in_parallel\":{\"steps\":[" GET "],\"limit\":1,\"fail_fast\":true}}",
          "{\"id\":\"1\",\"in_parallel\":{\"steps\":[" GET_SHOWN
          "],\"limit\":1,\"fail_fast\":true}}" },
        { "{\"id\":\"1\",\"across\":{\"vars\":[{\"name\":\"v\",\"values\":[1],\"max_in_flight\":2}],\"substep_template\":"
          "\"{}\",\"fail_fast\":true}}",
          "{\"id\":\"1\",\"across\":{\"vars\":[{\"name\":\"v\"}],\"fail_fast\":true}}" },
        { "{\"id\":\"1\",\"timeout\":{\"step\":" GET ",\"duration\":\"5s\"}}",
          "{\"id\":\"1\",\"timeout\":{\"step\":" GET_SHOWN ",\"duration\":\"5s\"}}" },
        { "{\"id\":\"1\",\"try\":{\"step\":" GET "}}",
          "{\"id\":\"1\",\"try\":{\"step\":" GET_SHOWN "}}" },
        { "{\"id\":\"1\",\"on_abort\":{\"step\":" GET ",\"on_abort\":" GET "}}",
          "{\"id\":\"1\",\"on_abort\":{\"step\":" GET_SHOWN ",\"on_abort\":" GET_SHOWN "}}" },
        { "{\"id\":\"1\",\"ensure\":{\"step\":" GET ",\"ensure\":" GET "}}",
          "{\"id\":\"1\",\"ensure\":{\"step\":" GET_SHOWN ",\"ensure\":" GET_SHOWN "}}" },
        { "{\"id\":\"1\",\"task\":{\"name\":\"t\",\"privileged\":true,\"hermetic\":false,\"tags\":[\"a\"],\"config\":"
          "{\"platform\":\"linux\",\"run\":{\"path\":\"sh\"}},\"params\":{\"A\":\"1\"},\"timeout\":\"1h\"}}",
          "{\"id\":\"1\",\"task\":{\"name\":\"t\",\"privileged\":true,\"hermetic\":false}}" },
        { "{\"id\":\"1\",\"run\":{\"message\":\"m\",\"type\":\"t\",\"object\":{\"k\":1},\"privileged\":false}}",
          "{\"id\":\"1\",\"run\":{\"message\":\"m\",\"type\":\"t\",\"privileged\":false}}" },
        { "{\"id\":\"1\",\"set_pipeline\":{\"name\":\"p\",\"file\":\"f\",\"var_files\":[\"a\"]}}",
          "{\"id\":\"1\",\"set_pipeline\":{\"name\":\"p\",\"team\":\"\",\"instance_vars\":null}}" },
        { "{\"id\":\"1\",\"load_var\":{\"name\":\"v\",\"file\":\"f\",\"reveal\":true}}",
          "{\"id\":\"1\",\"load_var\":{\"name\":\"v\"}}" },
        { "{\"id\":\"1\",\"check\":{\"name\":\"n\",\"type\":\"t\",\"source\":{\"s\":1},\"image\":{},\"interval\":\"never\"}}",
          "{\"id\":\"1\",\"check\":{\"name\":\"n\",\"type\":\"t\"}}" },
        { "{\"id\":\"1\",\"put\":{\"name\":\"n\",\"type\":\"t\",\"source\":null,\"image\":{\"check_plan\":" GET
          ",\"get_plan\":" GET
          ",\"base_type\":\"b\",\"privileged\":true},\"inputs\":\"all\",\"resource\":\"r\"}}",
          "{\"id\":\"1\",\"put\":{\"name\":\"n\",\"type\":\"t\",\"resource\":\"r\",\"image_get_plan\":" GET_SHOWN
          ",\"image_check_plan\":" GET_SHOWN "}}" },
        { "{\"id\":\"1\",\"artifact_input\":{\"artifact_id\":7,\"name\":\"n\"}}",
          "{\"id\":\"1\",\"artifact_input\":{\"artifact_id\":7,\"name\":\"n\"}}" },
        { "{\"id\":\"1\",\"artifact_output\":{\"name\":\"n\"}}",
          "{\"id\":\"1\",\"artifact_output\":{\"name\":\"n\"}}" },
        { "{\"id\":\"1\",\"dependent_get\":{\"name\":\"n\",\"type\":\"t\",\"resource\":\"r\"}}",
          "{\"id\":\"1\",\"dependent_get\":{\"name\":\"n\",\"type\":\"t\",\"resource\":\"r\"}}" },
};

static Plan *read_plan(const char *json) {
        g_autoptr(GError) error = NULL;
        Plan *plan = plan_from_json(json, strlen(json), &error);
        g_assert_no_error(error);
        return plan;
}

static void reads_writes_and_shows_every_kind(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
                g_autoptr(Plan) plan = read_plan(kinds[i].private);
                g_autoptr(Value) private = plan_to_value(plan);
                g_autoptr(Value) public = plan_to_public(plan);
                g_autofree char *private_json = json_write(private, JSON_COMPACT, NULL);
                g_autofree char *public_json = json_write(public, JSON_COMPACT, NULL);
                /* A kind that is null is no kind. */
                if (!strstr(kinds[i].private, "\"do\":null"))
                        g_assert_cmpstr(private_json, ==, kinds[i].private);
                g_assert_cmpstr(public_json, ==, kinds[i].public);
        }
}

static void takes_the_first_of_several_kinds(void) {
        g_autoptr(Plan) plan = read_plan("{\"id\":\"1\",\"task\":{\"name\":\"t\"},\"do\":[]}");
        g_assert_cmpint(plan->kind, ==, PLAN_DO);
}

static const char *const bad[] = {
        "",
        "[]",
        "{\"id\":\"1\",\"do\":{}}",
        "{\"id\":\"1\",\"do\":[1]}",
        "{\"id\":\"1\",\"get\":{\"name\":1}}",
        "{\"id\":\"1\",\"check\":{\"interval\":5}}",
        "{\"id\":\"1\",\"task\":{\"config\":{\"run\":1}}}",
        "{\"id\":\"1\",\"try\":{\"step\":{\"put\":[]}}}",
};

static void refuses_what_is_no_plan(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
                g_autoptr(GError) error = NULL;
                g_assert_null(plan_from_json(bad[i], strlen(bad[i]), &error));
                g_assert_error(error, ERROR, ERROR_INVALID);
        }
}

static void makes_whole_plans_of_every_kind(void) {
        for (PlanKind kind = PLAN_NONE; kind <= PLAN_DEPENDENT_GET; kind++) {
                g_autoptr(Plan) plan = plan_new(g_strdup("x"), kind);
                g_autoptr(Value) value = plan_to_value(plan);
                g_autoptr(Value) public = plan_to_public(plan);
                g_assert_true(kind == PLAN_NONE || value_has(value, plan_kind_key(kind)));
                g_assert_true(kind == PLAN_NONE || value_has(public, plan_kind_key(kind)));
        }
}

static void add_id(const Plan *plan, void *data) {
        g_string_append_printf(data, "%s ", plan->id);
}

static void walks_parents_first_and_finds_by_id(void) {
        g_autoptr(Plan) plan = read_plan(
                "{\"id\":\"a\",\"ensure\":{\"step\":{\"id\":\"b\",\"do\":[{\"id\":\"c\",\"get\":{\"image\":{"
                "\"check_plan\":{\"id\":\"d\"},\"get_plan\":{\"id\":\"e\"}}}}]},\"ensure\":{\"id\":\"f\"}}}");
        g_autoptr(GString) ids = g_string_new(NULL);
        plan_each(plan, add_id, ids);
        g_assert_cmpstr(ids->str, ==, "a b c d e f ");
        g_assert_cmpstr(plan_find(plan, "e")->id, ==, "e");
        g_assert_null(plan_find(plan, "z"));
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/plan/kinds", reads_writes_and_shows_every_kind);
        g_test_add_func("/plan/first-kind", takes_the_first_of_several_kinds);
        g_test_add_func("/plan/refuse", refuses_what_is_no_plan);
        g_test_add_func("/plan/new", makes_whole_plans_of_every_kind);
        g_test_add_func("/plan/walk", walks_parents_first_and_finds_by_id);
        return g_test_run();
}
