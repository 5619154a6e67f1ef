#include "config/task.h"

#include <string.h>

#include "base/json.h"

static Value *parse(const char *json) {
        g_autoptr(GError) error = NULL;
        Value *value = json_parse(json, strlen(json), NULL, &error);
        g_assert_no_error(error);
        return value;
}

static char *write_config(const TaskConfig *config) {
        g_autoptr(Value) value = task_config_to_value(config);
        return json_write(value, JSON_COMPACT, NULL);
}

/* ---- files ---- */

static const struct {
        const char *text, *expect;
} files[] = {
        { "{platform: linux}", "{\"platform\":\"linux\"}" },
        { "platform: linux\nparams: {A: 1.10, B: 12345678901234567890, C: yes, D: ~, E: [1, {b: 1, a: <}]}\n",
          "{\"platform\":\"linux\",\"params\":{\"A\":\"1.1\",\"B\":\"12345678901234567890\",\"C\":\"true\",\"D\":\"\",\"E\":"
          "\"[1,{\\\"a\\\":\\\"\\\\u003c\\\",\\\"b\\\":1}]\"}}" },
        { "platform: linux\nrun: {path: sh, args: [-c], what: 1}\ninputs: [{name: i, optional: true}]\n"
          "outputs: [{name: o, path: p}]\ncaches: [{path: c, ttl: 90s}]\nimage_resource: {type: t}\n",
          "{\"platform\":\"linux\",\"image_resource\":{\"name\":\"\",\"type\":\"t\",\"source\":null},\"run\":{\"path\":\"sh\","
          "\"args\":[\"-c\"]},\"inputs\":[{\"name\":\"i\",\"optional\":true}],\"outputs\":[{\"name\":\"o\",\"path\":\"p\"}],"
          "\"caches\":[{\"path\":\"c\",\"ttl\":\"90s\"}]}" },
};

static const struct {
        const char *text, *message;
} bad_files[] = {
        { "", "invalid task configuration:\nmissing 'platform'" },
        { "platform: linux\nintputs: []\n", "unknown fields: [intputs]" },
        { "inputs: [{name: a}, {}]\noutputs: [{path: p}]\n",
          "invalid task configuration:\nmissing 'platform'\n  input in position 1 is missing a name\n  output in position "
          "0 is missing a name" },
        { "platform: linux\ncaches: [{path: a, ttl: 10ms}]\n",
          "error unmarshaling JSON: while decoding JSON: cache ttl must be at least 1s, got '10ms'" },
        { "platform: linux\ncontainer_limits: {cpu: ((cpu))}\n",
          "error unmarshaling JSON: while decoding JSON: cpu limit must be an integer" },
};

static void reads_task_files(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
                g_autoptr(GError) error = NULL;
                g_autoptr(TaskConfig)
                        config = task_config_parse(files[i].text, strlen(files[i].text), &error);
                g_assert_no_error(error);
                g_autoptr(TaskConfig) copy = task_config_copy(config);
                g_autofree char *json = write_config(copy);
                g_assert_cmpstr(json, ==, files[i].expect);
        }
}

static void refuses_bad_task_files(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(bad_files); i++) {
                g_autoptr(GError) error = NULL;
                g_assert_null(
                        task_config_parse(bad_files[i].text, strlen(bad_files[i].text), &error));
                g_assert_error(error, ERROR, ERROR_INVALID);
                g_assert_cmpstr(error->message, ==, bad_files[i].message);
        }
}

/* ---- limits ---- */

static const struct {
        const char *json, *expect;
} limits[] = {
        { "{}", "{}" },
        { "{\"cpu\":null,\"memory\":null}", "{}" },
        { "{\"cpu\":0}", "{\"cpu\":0}" },
        { "{\"cpu\":1.9}", "{\"cpu\":1}" },
        { "{\"cpu\":-1}", "{\"cpu\":18446744073709551615}" },
        { "{\"cpu\":1e30}", "{\"cpu\":9223372036854775808}" },
        { "{\"cpu\":18446744073709551615}", "{\"cpu\":9223372036854775808}" },
        { "{\"memory\":5}", "{\"memory\":5}" },
        { "{\"memory\":true}", "{\"memory\":0}" },
        { "{\"memory\":\"7\"}", "{\"memory\":7}" },
        { "{\"memory\":\"1KB\"}", "{\"memory\":1024}" },
        { "{\"memory\":\"2mib\"}", "{\"memory\":2097152}" },
        { "{\"memory\":\"3g\"}", "{\"memory\":3221225472}" },
        { "{\"memory\":\"17179869185G\"}", "{\"memory\":1073741824}" },
};

static const struct {
        const char *json, *message;
} bad_limits[] = {
        { "{\"cpu\":\"1\"}", "cpu limit must be an integer" },
        { "{\"memory\":\"\"}", "could not parse container memory limit" },
        { "{\"memory\":\"1B\"}", "could not parse container memory limit" },
        { "{\"memory\":\"1.5G\"}", "could not parse container memory limit" },
        { "{\"memory\":\"1 G\"}", "could not parse container memory limit" },
        { "{\"memory\":\"1T\"}", "could not parse container memory limit" },
        { "{\"memory\":\"99999999999999999999\"}",
          "strconv.ParseUint: parsing \"99999999999999999999\": value out of range" },
        { "[]", "json: cannot unmarshal array into Go value of type atc.ContainerLimits" },
};

static void reads_container_limits(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(limits); i++) {
                g_autoptr(GError) error = NULL;
                g_autoptr(Value) value = parse(limits[i].json);
                ContainerLimits got;
                g_assert_true(container_limits_from_value(value, &got, &error));
                g_assert_no_error(error);
                g_autoptr(Value) back = container_limits_to_value(&got);
                g_autofree char *json = json_write(back, JSON_COMPACT, NULL);
                g_assert_cmpstr(json, ==, limits[i].expect);
        }
}

static void refuses_bad_container_limits(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(bad_limits); i++) {
                g_autoptr(GError) error = NULL;
                g_autoptr(Value) value = parse(bad_limits[i].json);
                ContainerLimits got = { .cpu = 42 };
                g_assert_false(container_limits_from_value(value, &got, &error));
                g_assert_error(error, ERROR, ERROR_INVALID);
                g_assert_cmpstr(error->message, ==, bad_limits[i].message);
                g_assert_cmpuint(got.cpu, ==, 42);
        }
}

/* ---- step and file together ---- */

static void lays_the_step_over_the_file(void) {
        g_autoptr(Value) value = parse(
                "{\"params\":{\"A\":\"1\",\"B\":\"2\"},\"container_limits\":{\"cpu\":5},"
                "\"image_resource\":{\"type\":\"t\",\"source\":{\"s\":1}}}");
        g_autoptr(Value) params = parse("{\"B\":\"3\",\"C\":\"4\"}");
        g_autoptr(Value) defaults = parse("{\"d\":1,\"s\":0}");
        g_autoptr(TaskConfig) config = task_config_from_value(value, NULL);
        const ContainerLimits step = { .has_memory = true, .memory = 9 };

        task_config_image_defaults(config, defaults);
        task_config_override(config, &step, params);
        task_config_default_limits(config, 1, 1);
        g_autofree char *json = write_config(config);
        g_assert_cmpstr(
                json, ==,
                "{\"image_resource\":{\"name\":\"\",\"type\":\"t\",\"source\":{\"d\":1,\"s\":1}},\"container_limits\":{"
                "\"cpu\":5,\"memory\":9},\"params\":{\"A\":\"1\",\"B\":\"3\",\"C\":\"4\"}}");
}

static const struct {
        const char *path, *expect;
} paths[] = {
        { "a/b", "/w/a/b" },    { "../a", "/w/a" },  { "a/../../b", "/w/a/b" },
        { "/abs/x", "/abs/x" }, { ".", "/w" },       { "", "/w" },
        { "..", "/w" },         { "a..b", "/w/ab" },
};

static void keeps_relative_paths_inside(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(paths); i++) {
                g_autofree char *path = task_path("/w", paths[i].path);
                g_assert_cmpstr(path, ==, paths[i].expect);
        }
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/task/file/valid", reads_task_files);
        g_test_add_func("/task/file/invalid", refuses_bad_task_files);
        g_test_add_func("/task/limits/valid", reads_container_limits);
        g_test_add_func("/task/limits/invalid", refuses_bad_container_limits);
        g_test_add_func("/task/override", lays_the_step_over_the_file);
        g_test_add_func("/task/path", keeps_relative_paths_inside);
        return g_test_run();
}
