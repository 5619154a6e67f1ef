#include "config/pipeline.h"

#include <string.h>

#include "base/json.h"

static Value *parse(const char *json) {
        g_autoptr(GError) error = NULL;
        Value *value = json_parse(json, strlen(json), NULL, &error);
        g_assert_no_error(error);
        return value;
}

static PipelineConfig *decode(const char *json, PipelineConfigMode mode, GError **error) {
        g_autoptr(Value) value = parse(json);
        return pipeline_config_from_value(value, mode, error);
}

/* ---- what is read comes back in upstream's form ---- */

static const struct {
        const char *text, *expect;
} round_trips[] = {
        { "null", "{}" },
        { "{\"x-anchors\":1,\"jobs\":[]}", "{}" },
        { "{\"jobs\":[{\"name\":\"a\"}]}", "{\"jobs\":[{\"name\":\"a\",\"plan\":null}]}" },
        { "{\"resources\":[{\"type\":\"t\",\"name\":\"r\",\"check_every\":\"60m\"}]}",
          "{\"resources\":[{\"name\":\"r\",\"type\":\"t\",\"source\":null,\"check_every\":\"1h0m0s\"}]}" },
        { "{\"resources\":[{\"name\":1,\"type\":true,\"source\":{\"b\":1.10,\"a\":12345678901234567890},"
          "\"check_every\":\"0\",\"tags\":[\"\",\"x\"],\"version\":{\"n\":7}}]}",
          "{\"resources\":[{\"name\":\"1\",\"type\":\"true\",\"source\":{\"a\":12345678901234567000,\"b\":1.1},"
          "\"check_every\":\"\",\"tags\":[\"x\"],\"version\":{\"n\":\"7\"}}]}" },
        { "{\"resource_types\":[{\"name\":\"t\",\"type\":\"b\",\"source\":{},\"privileged\":true,\"check_every\":"
          "\"never\"}]}",
          "{\"resource_types\":[{\"name\":\"t\",\"type\":\"b\",\"source\":{},\"privileged\":true,\"check_every\":"
          "\"never\"}]}" },
        { "{\"groups\":[{\"name\":1e39,\"jobs\":[-1e300,1.5,1234567.5,0.00001]}]}",
          "{\"groups\":[{\"name\":\"+Inf\",\"jobs\":[\"-Inf\",\"1.5\",\"1.2345675e+06\",\"1e-05\"]}]}" },
        { "{\"display\":{},\"user_data\":false,\"var_sources\":[{\"name\":\"v\"}],\"groups\":[null]}",
          "{\"groups\":[{\"name\":\"\"}],\"var_sources\":[{\"name\":\"v\",\"type\":\"\",\"config\":null}],"
          "\"display\":{},\"user_data\":false}" },
        { "{\"jobs\":[{\"name\":\"a\",\"tags\":[\"x\",\"\"],\"max_in_flight\":2,\"plan\":[{\"do\":[],\"tags\":[\"y\"]},"
          "{\"in_parallel\":{\"steps\":[],\"limit\":1},\"tags\":[\"z\"]}]}]}",
          "{\"jobs\":[{\"name\":\"a\",\"max_in_flight\":2,\"tags\":[\"x\"],\"plan\":[{\"do\":[],\"tags\":[\"y\"]},"
          "{\"in_parallel\":{\"limit\":1},\"tags\":[\"z\"]}]}]}" },
        { "{\"jobs\":[{\"NAME\":\"a\",\"serial\":true,\"build_log_retention\":{},\"plan\":[]}]}",
          "{\"jobs\":[{\"name\":\"a\",\"serial\":true,\"build_log_retention\":{},\"plan\":[]}]}" },
};

static void writes_what_it_read_as_upstream_does(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(round_trips); i++) {
                g_autoptr(GError) error = NULL;
                g_autoptr(PipelineConfig)
                        config = decode(round_trips[i].text, PIPELINE_CONFIG_SAVE, &error);
                g_assert_no_error(error);
                g_autoptr(Value) value = pipeline_config_to_value(config);
                g_autofree char *json = json_write(value, JSON_COMPACT, NULL);
                g_assert_cmpstr(json, ==, round_trips[i].expect);
        }
}

/* ---- steps ---- */

static const struct {
        const char *text, *expect;
} steps[] = {
        { "{\"trigger\":true,\"get\":\"r\",\"passed\":[\"a\"]}", NULL },
        { "{\"get\":\"r\",\"version\":\"every\"}", NULL },
        { "{\"get\":\"r\",\"version\":{\"ref\":\"1\"}}", NULL },
        { "{\"get\":\"r\",\"version\":\"odd\"}", "{\"get\":\"r\",\"version\":\"\"}" },
        { "{\"put\":\"r\",\"inputs\":[\" a \"]}", "{\"inputs\":[\"a\"],\"put\":\"r\"}" },
        { "{\"put\":\"r\",\"inputs\":[]}", "{\"inputs\":[],\"put\":\"r\"}" },
        { "{\"put\":\"r\",\"inputs\":\"none\"}", "{\"inputs\":\"\",\"put\":\"r\"}" },
        { "{\"in_parallel\":[{\"get\":\"r\"}]}",
          "{\"in_parallel\":{\"steps\":[{\"get\":\"r\"}]}}" },
        { "{\"in_parallel\":{\"limit\":-1,\"what\":1,\"steps\":[{\"get\":\"r\"}]}}",
          "{\"in_parallel\":{\"steps\":[{\"get\":\"r\"}],\"limit\":-1}}" },
        { "{\"do\":null}", "{\"do\":null}" },
        { "{\"do\":[]}", "{\"do\":[]}" },
        { "{\"timeout\":\"1h\",\"do\":[],\"attempts\":0}",
          "{\"attempts\":0,\"do\":[],\"timeout\":\"1h\"}" },
        { "{\"across\":[{\"var\":\"v\",\"values\":[1],\"max_in_flight\":\"all\"}],\"fail_fast\":true,\"run\":\"m\"}",
          "{\"across\":[{\"var\":\"v\",\"values\":[1],\"max_in_flight\":\"all\"}],\"fail_fast\":true,\"run\":\"m\","
          "\"type\":\"\"}" },
        { "{\"put\":\"a\",\"get\":\"b\",\"x\":{\"k\":1}}",
          "{\"get\":\"b\",\"put\":\"a\",\"x\":{\"k\":1}}" },
        { "{\"task\":\"t\",\"params\":{\"n\":1.50,\"z\":null,\"l\":[1,\"<\"]},\"config\":{\"run\":{\"path\":\"\"}}}",
          "{\"config\":{},\"params\":{\"l\":\"[1,\\\"\\\\u003c\\\"]\",\"n\":\"1.50\",\"z\":\"\"},\"task\":\"t\"}" },
        { "{\"task\":\"t\",\"container_limits\":{\"cpu\":1.9,\"memory\":\"1kB\"}}",
          "{\"container_limits\":{\"cpu\":1,\"memory\":1024},\"task\":\"t\"}" },
        { "{\"ensure\":{\"get\":\"e\"},\"try\":{\"do\":[]}}",
          "{\"ensure\":{\"get\":\"e\"},\"try\":{\"do\":[]}}" },
};

static const struct {
        const char *text, *message;
} bad_steps[] = {
        { "{}", "no step configured" },
        { "null", "no step configured" },
        { "{\"aggregate\":[]}", "no step configured" },
        { "{\"attempts\":1}", "no core step type declared (e.g. get, put, task, etc.)" },
        { "{\"ensure\":null,\"get\":\"a\"}", "malformed ensure step: no step configured" },
        { "{\"get\":1}",
          "malformed get step: json: cannot unmarshal number into Go struct field GetStep.get of type "
          "string" },
        { "{\"get\":\"a\",\"version\":{\"some\":8}}",
          "malformed get step: the value 8 of some is not a string" },
        { "{\"do\":[{\"try\":{\"put\":[]}}]}",
          "malformed do step: malformed try step: malformed put step: json: cannot unmarshal array into Go struct "
          "field PutStep.put of type string" },
        { "{\"in_parallel\":3}", "malformed in_parallel step: wrong type for parallel config: 3" },
        { "{\"in_parallel\":{\"steps\":{}}}",
          "malformed in_parallel step: failed to unmarshal parallel config: json: cannot unmarshal object into Go "
          "struct field target.steps of type []atc.Step" },
        { "{\"across\":[{\"var\":\"v\",\"bogus\":1}],\"do\":[]}",
          "malformed across step: json: unknown field \"bogus\"" },
        { "{\"across\":[{\"max_in_flight\":\"some\"}],\"do\":[]}",
          "malformed across step: invalid max_in_flight \"some\"" },
        { "{\"task\":\"t\",\"config\":{\"run\":{\"args\":[1]}}}",
          "malformed task step: json: cannot unmarshal number into Go struct field TaskStep.config.run.args of type "
          "string" },
        { "{\"task\":\"t\",\"config\":{\"caches\":[{\"ttl\":\"7d\"}]}}",
          "malformed task step: invalid cache ttl '7d': time: unknown unit \"d\" in duration \"7d\"" },
        { "{\"task\":\"t\",\"container_limits\":{\"cpu\":\"1\"}}",
          "malformed task step: cpu limit must be an integer" },
};

static void reads_and_writes_steps(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(steps); i++) {
                g_autoptr(GError) error = NULL;
                g_autoptr(Value) value = parse(steps[i].text);
                g_autoptr(StepConfig) step = step_config_from_value(value, &error);
                g_assert_no_error(error);
                g_autoptr(Value) back = step_config_to_value(step);
                g_autofree char *json = json_write(back, JSON_COMPACT, NULL);
                g_autofree char *same = json_write(value, JSON_SORTED, NULL);
                g_assert_cmpstr(json, ==, steps[i].expect ? steps[i].expect : same);
        }
}

static void says_what_is_wrong_with_a_step(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(bad_steps); i++) {
                g_autoptr(GError) error = NULL;
                g_autoptr(Value) value = parse(bad_steps[i].text);
                g_assert_null(step_config_from_value(value, &error));
                g_assert_error(error, ERROR, ERROR_INVALID);
                g_assert_cmpstr(error->message, ==, bad_steps[i].message);
        }
}

static void nests_layers_in_a_fixed_order(void) {
        static const StepKind order[] = { STEP_ENSURE,     STEP_ON_ERROR,   STEP_ON_ABORT,
                                          STEP_ON_FAILURE, STEP_ON_SUCCESS, STEP_ACROSS,
                                          STEP_ATTEMPTS,   STEP_TIMEOUT,    STEP_DO };
        g_autoptr(GError) error = NULL;
        g_autoptr(Value) value = parse(
                "{\"do\":[],\"timeout\":\"1s\",\"attempts\":2,\"across\":[{\"var\":\"v\"}],\"on_success\":{\"do\":[]},"
                "\"on_failure\":{\"do\":[]},\"on_abort\":{\"do\":[]},\"on_error\":{\"do\":[]},\"ensure\":{\"do\":[]}}");
        g_autoptr(StepConfig) step = step_config_from_value(value, &error);
        g_assert_no_error(error);
        const StepConfig *layer = step;
        for (size_t i = 0; i < G_N_ELEMENTS(order); i++, layer = layer->step)
                g_assert_cmpint(layer->kind, ==, order[i]);
        g_assert_null(layer);
        g_assert_null(step->unknown);
}

/* ---- strictness ---- */

static const struct {
        const char *text;
        const char *messages[3]; /* save, lenient, strict; NULL: fine */
} strictness[] = {
        { "{\"anchors\":1}",
          { NULL, NULL,
            "error unmarshaling JSON: while decoding JSON: json: unknown field \"anchors\"" } },
        { "{\"jobs\":[{\"name\":\"a\",\"pubic\":1}]}",
          { "error unmarshaling JSON: while decoding JSON: json: unknown field \"pubic\"", NULL,
            "error unmarshaling JSON: while decoding JSON: json: unknown field \"pubic\"" } },
        { "{\"jobs\":{}}",
          { "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal object into Go struct field "
            "Config.jobs of type atc.JobConfigs",
            "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal object into Go struct field "
            "Config.jobs of type atc.JobConfigs",
            "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal object into Go struct field "
            "Config.jobs of type atc.JobConfigs" } },
};

static void refuses_unknown_keys_as_the_mode_says(void) {
        static const PipelineConfigMode modes[] = { PIPELINE_CONFIG_SAVE, PIPELINE_CONFIG_LENIENT,
                                                    PIPELINE_CONFIG_STRICT };
        for (size_t i = 0; i < G_N_ELEMENTS(strictness); i++)
                for (size_t mode = 0; mode < G_N_ELEMENTS(modes); mode++) {
                        g_autoptr(GError) error = NULL;
                        g_autoptr(PipelineConfig)
                                config = decode(strictness[i].text, modes[mode], &error);
                        g_assert_true(!config == !!strictness[i].messages[mode]);
                        g_assert_cmpstr(error ? error->message : NULL, ==,
                                        strictness[i].messages[mode]);
                }
}

/* ---- asking ---- */

static const char asked[] =
        "{\"groups\":[{\"name\":\"g\",\"jobs\":[\"a*\",\"*\"]},{\"name\":\"h\",\"jobs\":[\"b\"]}],"
        "\"jobs\":[{\"name\":\"ab\",\"serial_groups\":[\"s\"],\"max_in_flight\":5,\"ensure\":{\"put\":\"o\",\"resource\":"
        "\"r\"},\"plan\":[{\"get\":\"x\",\"resource\":\"r\",\"trigger\":true},{\"try\":{\"in_parallel\":[{\"get\":\"y\","
        "\"passed\":[\"b\"]},{\"task\":\"t\"}]},\"on_failure\":{\"get\":\"z\"}}]},{\"name\":\"b\",\"max_in_flight\":2}]}";

static void finds_inputs_and_outputs_wherever_they_stand(void) {
        g_autoptr(PipelineConfig) config = decode(asked, PIPELINE_CONFIG_LENIENT, NULL);
        const JobConfig *job = pipeline_config_job(config, "ab");
        g_autoptr(GArray) inputs = job_config_inputs(job);
        g_autoptr(GArray) outputs = job_config_outputs(job);
        g_autoptr(GPtrArray) tasks = job_config_task_names(job);

        g_assert_cmpint(inputs->len, ==, 3);
        g_assert_cmpstr(g_array_index(inputs, JobInput, 0).resource, ==, "r");
        g_assert_true(g_array_index(inputs, JobInput, 0).trigger);
        g_assert_cmpstr(g_array_index(inputs, JobInput, 1).passed[0], ==, "b");
        g_assert_cmpstr(g_array_index(inputs, JobInput, 2).name, ==, "z");
        g_assert_cmpint(outputs->len, ==, 1);
        g_assert_cmpstr(g_array_index(outputs, JobOutput, 0).resource, ==, "r");
        g_assert_cmpint(tasks->len, ==, 1);
}

static void knows_groups_and_limits_of_jobs(void) {
        g_autoptr(PipelineConfig) config = decode(asked, PIPELINE_CONFIG_LENIENT, NULL);
        const JobConfig *first = pipeline_config_job(config, "ab"),
                        *second = pipeline_config_job(config, "b");
        g_autoptr(GPtrArray) groups = pipeline_config_job_groups(config, "ab");
        g_autoptr(GPtrArray) serial = job_config_serial_groups(second);

        g_assert_cmpint(groups->len, ==, 2); /* one for each glob that matches */
        g_assert_cmpint(job_config_max_in_flight(first), ==, 1);
        g_assert_cmpint(job_config_max_in_flight(second), ==, 2);
        g_assert_cmpint(serial->len, ==, 1);
        g_assert_cmpstr(g_ptr_array_index(serial, 0), ==, "b");
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/pipeline/round-trip", writes_what_it_read_as_upstream_does);
        g_test_add_func("/pipeline/strictness", refuses_unknown_keys_as_the_mode_says);
        g_test_add_func("/pipeline/inputs", finds_inputs_and_outputs_wherever_they_stand);
        g_test_add_func("/pipeline/groups", knows_groups_and_limits_of_jobs);
        g_test_add_func("/step/round-trip", reads_and_writes_steps);
        g_test_add_func("/step/faults", says_what_is_wrong_with_a_step);
        g_test_add_func("/step/layers", nests_layers_in_a_fixed_order);
        return g_test_run();
}
