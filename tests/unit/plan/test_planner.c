#include "plan/planner.h"

#include <string.h>

#include "base/json.h"

static Value *parse(const char *json) {
        g_autoptr(GError) error = NULL;
        Value *value = json_parse(json, strlen(json), NULL, &error);
        g_assert_no_error(error);
        return value;
}

#define RESOURCES                                                                                                          \
        "\"resources\":[{\"name\":\"r\",\"type\":\"git\",\"source\":{\"u\":1}},{\"name\":\"notify\",\"type\":\"slack\","   \
        "\"source\":{\"url\":\"((u))\"}}],\"resource_types\":[{\"name\":\"slack\",\"type\":\"registry-image\",\"source\":" \
        "{\"repository\":\"r\"}}],\"prototypes\":[{\"name\":\"p\",\"type\":\"t\",\"defaults\":{\"a\":1,\"b\":1}}]"
#define R_SOURCE "\"type\":\"git\",\"source\":{\"u\":1},\"image\":{\"base_type\":\"git\"}"

/* The plan of a job with one step, and its whole private JSON. */
static const struct {
        const char *step, *expect;
} steps[] = {
        { "{\"get\":\"i\",\"resource\":\"r\",\"params\":{\"d\":1},\"tags\":[\"x\"],\"timeout\":\"1m\"}",
          "{\"id\":\"2\",\"do\":[{\"id\":\"1\",\"get\":{\"name\":\"i\"," R_SOURCE
          ",\"version\":{\"ref\":\"v1\"},\"params\":{\"d\":1},\"resource\":\"r\",\"tags\":[\"x\"],\"timeout\":\"1m\"}}]}" },
        { "{\"put\":\"r\",\"no_get\":true,\"inputs\":[]}",
          "{\"id\":\"2\",\"do\":[{\"id\":\"1\",\"put\":{\"name\":\"r\"," R_SOURCE
          ",\"inputs\":[],\"resource\":\"r\"}}]}" },
        { "{\"put\":\"notify\",\"params\":{\"text\":\"hi\"},\"get_params\":{\"g\":1}}",
          "{\"id\":\"4\",\"do\":[{\"id\":\"3\",\"on_success\":{"
          "\"step\":{\"id\":\"1\",\"put\":{\"name\":\"notify\",\"type\":\"slack\",\"source\":{\"url\":\"((u))\"},"
          "\"image\":{\"check_plan\":{\"id\":\"1/image-check\",\"check\":{\"name\":\"slack\",\"type\":\"registry-image\","
          "\"source\":{\"repository\":\"r\"},\"image\":{\"base_type\":\"registry-image\"},\"resource_type\":\"slack\","
          "\"interval\":\"1m0s\"}},"
          "\"get_plan\":{\"id\":\"1/image-get\",\"get\":{\"name\":\"slack\",\"type\":\"registry-image\","
          "\"source\":{\"repository\":\"r\"},\"image\":{\"base_type\":\"registry-image\"},"
          "\"version_from\":\"1/image-check\"}},\"base_type\":\"registry-image\"},"
          "\"params\":{\"text\":\"hi\"},\"resource\":\"notify\"}},"
          "\"on_success\":{\"id\":\"2\",\"get\":{\"name\":\"notify\",\"type\":\"slack\",\"source\":{\"url\":\"((u))\"},"
          "\"image\":{\"check_plan\":{\"id\":\"2/image-check\",\"check\":{\"name\":\"slack\",\"type\":\"registry-image\","
          "\"source\":{\"repository\":\"r\"},\"image\":{\"base_type\":\"registry-image\"},\"resource_type\":\"slack\","
          "\"interval\":\"1m0s\"}},"
          "\"get_plan\":{\"id\":\"2/image-get\",\"get\":{\"name\":\"slack\",\"type\":\"registry-image\","
          "\"source\":{\"repository\":\"r\"},\"image\":{\"base_type\":\"registry-image\"},"
          "\"version_from\":\"2/image-check\"}},\"base_type\":\"registry-image\"},"
          "\"version_from\":\"1\",\"params\":{\"g\":1},\"resource\":\"notify\"}}}}]}" },
        { "{\"run\":\"m\",\"type\":\"p\",\"params\":{\"b\":2}}",
          "{\"id\":\"2\",\"do\":[{\"id\":\"1\",\"run\":{\"message\":\"m\",\"type\":\"p\",\"object\":{\"a\":1,\"b\":2},"
          "\"privileged\":false}}]}" },
        { "{\"load_var\":\"v\",\"file\":\"a/b\",\"timeout\":\"5s\"}",
          "{\"id\":\"3\",\"do\":[{\"id\":\"2\",\"timeout\":{\"step\":{\"id\":\"1\",\"load_var\":{\"name\":\"v\",\"file\":"
          "\"a/b\"}},\"duration\":\"5s\"}}]}" },
        { "{\"set_pipeline\":\"self\",\"file\":\"f\",\"attempts\":2}",
          "{\"id\":\"4\",\"do\":[{\"id\":\"3\",\"retry\":[{\"id\":\"1\",\"set_pipeline\":{\"name\":\"self\",\"file\":\"f\"}},"
          "{\"id\":\"2\",\"set_pipeline\":{\"name\":\"self\",\"file\":\"f\"}}]}]}" },
        { "{\"try\":{\"in_parallel\":{\"limit\":2,\"fail_fast\":true}},\"ensure\":{\"do\":[]}}",
          "{\"id\":\"5\",\"do\":[{\"id\":\"4\",\"ensure\":{\"step\":{\"id\":\"2\",\"try\":{\"step\":{\"id\":\"1\","
          "\"in_parallel\":{\"steps\":[],\"limit\":2,\"fail_fast\":true}}}},\"ensure\":{\"id\":\"3\",\"do\":[]}}}]}" },
        { "{\"across\":[{\"var\":\"v\",\"values\":[1],\"max_in_flight\":\"all\"}],\"load_var\":\"a-((.:v))\",\"file\":\"f\"}",
          "{\"id\":\"3\",\"do\":[{\"id\":\"2\",\"across\":{\"vars\":[{\"name\":\"v\",\"values\":[1],\"max_in_flight\":\"all\"}],"
          "\"substep_template\":\"{\\\"id\\\":\\\"1\\\",\\\"load_var\\\":{\\\"name\\\":\\\"a-((.:v))\\\",\\\"file\\\":"
          "\\\"f\\\"}}\"}}]}" },
};

static const struct {
        const char *step, *message;
} faults[] = {
        { "{\"get\":\"gone\"}", "unknown resource: gone" },
        { "{\"put\":\"gone\"}", "unknown resource: gone" },
        { "{\"get\":\"r\"}", "version for input r not provided" },
        { "{\"run\":\"m\",\"type\":\"gone\"}", "unknown prototype: gone" },
        { "{\"do\":[{\"do\":[]}],\"on_failure\":{\"put\":\"gone\"}}", "unknown resource: gone" },
};

static PipelineConfig *config_with(const char *job_fields) {
        g_autoptr(GError) error = NULL;
        g_autofree char *json = g_strdup_printf("{" RESOURCES ",\"jobs\":[{\"name\":\"j\",%s}]}",
                                                job_fields);
        g_autoptr(Value) value = parse(json);
        PipelineConfig *config = pipeline_config_from_value(value, PIPELINE_CONFIG_SAVE, &error);
        g_assert_no_error(error);
        return config;
}

static Plan *plan_job(const PipelineConfig *config, PlannerSpec spec, GError **error) {
        g_autoptr(Value) version = parse("{\"ref\":\"v1\"}");
        const PlannerInput inputs[] = { { "i", version } };
        uint64_t counter = 0;
        spec.config = config;
        spec.counter = &counter;
        return planner_job(&spec, g_ptr_array_index(config->jobs, 0), inputs, G_N_ELEMENTS(inputs),
                           error);
}

static char *private_json(const Plan *plan) {
        g_autoptr(Value) value = plan_to_value(plan);
        return json_write(value, JSON_COMPACT, NULL);
}

static void plans_every_kind_of_step(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(steps); i++) {
                g_autoptr(GError) error = NULL;
                g_autofree char *fields = g_strdup_printf("\"plan\":[%s]", steps[i].step);
                g_autoptr(PipelineConfig) config = config_with(fields);
                g_autoptr(Plan) plan = plan_job(config, (PlannerSpec){}, &error);
                g_assert_no_error(error);
                g_autofree char *json = private_json(plan);
                g_assert_cmpstr(json, ==, steps[i].expect);
                /* The plan is its own: it reads back as it was. */
                g_autoptr(Plan) again = plan_from_json(json, strlen(json), &error);
                g_assert_no_error(error);
                g_autofree char *twice = private_json(again);
                g_assert_cmpstr(twice, ==, json);
        }
}

static void refuses_what_it_cannot_find(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(faults); i++) {
                g_autoptr(GError) error = NULL;
                g_autofree char *fields = g_strdup_printf("\"plan\":[%s]", faults[i].step);
                g_autoptr(PipelineConfig) config = config_with(fields);
                g_assert_null(plan_job(config, (PlannerSpec){}, &error));
                g_assert_error(error, ERROR, ERROR_NOT_FOUND);
                g_assert_cmpstr(error->message, ==, faults[i].message);
        }
}

static void wraps_the_job_in_its_hooks(void) {
        g_autoptr(GError) error = NULL;
        g_autoptr(PipelineConfig) config = config_with(
                "\"plan\":null,\"on_success\":{\"do\":[]},\"on_failure\":{\"do\":[]},\"ensure\":{\"do\":[]}");
        g_autoptr(Plan) plan = plan_job(config, (PlannerSpec){}, &error);
        g_assert_no_error(error);
        g_assert_cmpint(plan->kind, ==, PLAN_ENSURE);
        g_assert_cmpstr(plan->id, ==, "7");
        g_assert_cmpint(plan->wrap->step->kind, ==, PLAN_ON_FAILURE);
        g_assert_cmpint(plan->wrap->step->wrap->step->kind, ==, PLAN_ON_SUCCESS);
        g_assert_cmpint(plan->wrap->step->wrap->step->wrap->step->kind, ==, PLAN_DO);
}

static void skips_the_interval_of_image_checks_of_puts_in_manual_builds(void) {
        g_autoptr(GError) error = NULL;
        g_autoptr(PipelineConfig)
                config = config_with("\"plan\":[{\"get\":\"i\",\"resource\":\"notify\"},"
                                     "{\"put\":\"notify\"},{\"task\":\"t\",\"file\":\"a/b\"}]");
        g_autoptr(Plan)
                plan = plan_job(config, (PlannerSpec){ .manually_triggered = true }, &error);
        g_assert_no_error(error);
        g_assert_false(plan_find(plan, "1/image-check")->check->skip_interval);
        g_assert_true(plan_find(plan, "2/image-check")->check->skip_interval);
        g_assert_true(plan_find(plan, "3/image-check")->check->skip_interval);
        g_assert_true(plan_find(plan, "5")->task->check_skip_interval);
        g_assert_cmpint(plan_find(plan, "5")->task->resource_types->len, ==, 1);
}

/* ---- types ---- */

static void follows_chains_of_types_to_the_base_type(void) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Value) value = parse(
                "{\"resources\":[{\"name\":\"x\",\"type\":\"git\"}],\"resource_types\":["
                "{\"name\":\"git\",\"type\":\"middle\",\"defaults\":{\"d\":1},\"tags\":[\"t\"],\"check_every\":\"never\"},"
                "{\"name\":\"middle\",\"type\":\"git\",\"privileged\":true,\"params\":{\"p\":1}}],"
                "\"jobs\":[{\"name\":\"j\",\"plan\":[{\"get\":\"i\",\"resource\":\"x\",\"tags\":[\"s\"]}]}]}");
        g_autoptr(Value) defaults = parse("{\"git\":{\"base\":1}}");
        g_autoptr(PipelineConfig)
                config = pipeline_config_from_value(value, PIPELINE_CONFIG_SAVE, &error);
        g_assert_no_error(error);
        g_autoptr(Plan)
                plan = plan_job(config, (PlannerSpec){ .base_type_defaults = defaults }, &error);
        g_assert_no_error(error);

        const GetPlan *get = plan_find(plan, "1")->get;
        const GetPlan *image = plan_find(plan, "1/image-get")->get;
        const GetPlan *nested = plan_find(plan, "1/image-get/image-get")->get;
        const CheckPlan *check = plan_find(plan, "1/image-check")->check;
        g_assert_cmpstr(get->image.base_type, ==, "git");
        g_assert_false(get->image.privileged);
        g_assert_true(image->image.privileged);
        g_assert_cmpstr(image->type, ==, "middle");
        g_assert_cmpstr(image->tags[0], ==, "t");
        g_assert_true(check->interval.never);
        /* There, "git" is the base type: it is out of its own list. */
        g_assert_cmpstr(nested->type, ==, "git");
        g_assert_null(nested->image.get_plan);
        g_assert_true(value_has(nested->source, "base"));
        g_assert_true(value_has(get->source, "d"));
        g_assert_nonnull(plan_find(plan, "1/image-check/image-check"));
}

static void bounds_what_attempts_and_chains_of_types_multiply(void) {
        g_autoptr(GError) error = NULL;
        g_autoptr(PipelineConfig) config = config_with(
                "\"plan\":[{\"attempts\":1000000000,\"try\":{\"do\":[],\"attempts\":1000000000}}]");
        g_assert_null(plan_job(config, (PlannerSpec){}, &error));
        g_assert_error(error, ERROR, ERROR_LIMIT);
        g_assert_cmpstr(error->message, ==, "plan has more than 10000 steps");

        g_autoptr(GPtrArray)
                types = g_ptr_array_new_with_free_func((GDestroyNotify) resource_type_config_free);
        for (size_t i = 0; i < 100; i++) {
                g_autofree char *json = g_strdup_printf("{\"name\":\"t%zu\",\"type\":\"t%zu\"}", i,
                                                        i + 1);
                g_autoptr(Value) value = parse(json);
                g_ptr_array_add(types, resource_type_config_from_value(value, NULL));
        }
        const PlannerImage image = { .resource_types = types, .plan_id = "1", .type = "t0" };
        g_autoptr(Plan) get = plan_new(g_strdup("1"), PLAN_GET);
        planner_type_image(&image, &get->get->image);
        g_assert_cmpstr(get->get->image.base_type, ==, "t8");
}

/* ---- tags (8.3: of jobs and combinators) ---- */

static void steps_inherit_tags_when_they_have_none(void) {
        g_autoptr(GError) error = NULL;
        g_autoptr(PipelineConfig) config = config_with(
                "\"plan\":[{\"task\":\"a\",\"file\":\"f\"},{\"task\":\"b\",\"file\":\"f\",\"tags\":[\"own\"]}]");
        JobConfig *job = g_ptr_array_index(config->jobs, 0);
        job->tags = g_strsplit("job", " ", -1);
        g_autoptr(Plan) plan = plan_job(config, (PlannerSpec){}, &error);
        g_assert_no_error(error);
        g_assert_cmpstr(plan_find(plan, "1")->task->tags[0], ==, "job");
        g_assert_cmpstr(plan_find(plan, "2")->task->tags[0], ==, "own");
        g_clear_pointer(&job->tags, g_strfreev);
}

/* ---- checks ---- */

static void plans_checks_of_resources_and_types(void) {
        g_autoptr(PipelineConfig) config = config_with("\"plan\":null");
        g_autoptr(Value) from = parse("{\"v\":\"1\"}");
        uint64_t counter = 9;
        const PlannerSpec spec = { .config = config, .counter = &counter };
        const PlannerCheck resource = { .resource = pipeline_config_resource(config, "notify"),
                                        .from_version = from,
                                        .skip_interval = true };
        const PlannerCheck type = { .resource_type = pipeline_config_resource_type(config, "slack"),
                                    .interval = { .is_set = true,
                                                  .interval = 2 * DURATION_MINUTE } };

        g_autoptr(Plan) first = planner_check(&spec, &resource);
        g_autoptr(Plan) second = planner_check(&spec, &type);
        g_autofree char *json = private_json(second);
        g_assert_cmpstr(first->id, ==, "a");
        g_assert_cmpstr(first->check->resource, ==, "notify");
        g_assert_true(first->check->skip_interval);
        g_assert_false(plan_find(first, "a/image-check")->check->skip_interval);
        g_assert_true(value_equal(first->check->from_version, from));
        g_assert_cmpstr(
                json, ==,
                "{\"id\":\"b\",\"check\":{\"name\":\"slack\",\"type\":\"registry-image\",\"source\":{\"repository\":"
                "\"r\"},\"image\":{\"base_type\":\"registry-image\"},\"resource_type\":\"slack\",\"interval\":"
                "\"2m0s\"}}");
}

static void plans_the_image_of_a_task(void) {
        g_autoptr(Value) value = parse(
                "{\"image_resource\":{\"type\":\"t\",\"source\":{\"s\":1},\"params\":{\"p\":1}}}");
        g_autoptr(TaskConfig) config = task_config_from_value(value, NULL);
        const PlannerImage image = { .plan_id = "7", .type = "t" };
        Plan *check, *get;

        planner_task_image(&image, config->image_resource, &check, &get);
        g_assert_cmpstr(check->id, ==, "7/image-check");
        g_assert_cmpstr(check->check->name, ==, "image");
        g_assert_cmpstr(check->check->resource_type, ==, "");
        g_assert_cmpstr(get->get->version_from, ==, "7/image-check");
        plan_free(check);
        plan_free(get);

        config->image_resource->version = parse("{\"v\":\"1\"}");
        planner_task_image(&image, config->image_resource, &check, &get);
        g_assert_null(check);
        g_assert_cmpstr(get->get->version_from, ==, "");
        g_assert_true(value_has(get->get->version, "v"));
        plan_free(get);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/planner/steps", plans_every_kind_of_step);
        g_test_add_func("/planner/faults", refuses_what_it_cannot_find);
        g_test_add_func("/planner/job-hooks", wraps_the_job_in_its_hooks);
        g_test_add_func("/planner/skip-interval",
                        skips_the_interval_of_image_checks_of_puts_in_manual_builds);
        g_test_add_func("/planner/types", follows_chains_of_types_to_the_base_type);
        g_test_add_func("/planner/limits", bounds_what_attempts_and_chains_of_types_multiply);
        g_test_add_func("/planner/tags", steps_inherit_tags_when_they_have_none);
        g_test_add_func("/planner/checks", plans_checks_of_resources_and_types);
        g_test_add_func("/planner/task-image", plans_the_image_of_a_task);
        return g_test_run();
}
