#include "fly/reference.h"

#include "base/json.h"

#include <string.h>

static const struct {
        const char *text, *json;
} vars[] = {
        { "branch:master", "{\"branch\":\"master\"}" },
        { "branch:master,list:[1, \"2\"],other:{foo:bar: 123}",
          "{\"branch\":\"master\",\"list\":[1,\"2\"],\"other\":{\"foo:bar\":123}}" },
        { "field1:,field2:\"\",field3:null", "{\"field1\":null,\"field2\":\"\",\"field3\":null}" },
        { "field.0:0,field.1:1", "{\"field\":{\"0\":0,\"1\":1}}" },
        { "branch: master, other: 123", "{\"branch\":\"master\",\"other\":123}" },
        { "\"some.field:here\":abc", "{\"some.field:here\":\"abc\"}" },
        { "field1:'foo,bar',field2:\"v1:v2\"", "{\"field1\":\"foo,bar\",\"field2\":\"v1:v2\"}" },
};

static const struct {
        const char *text, *message;
} bad_vars[] = {
        { "", "instance vars should be formatted as <key1:value1>(,<key2:value2>)" },
        { "branch", "instance vars should be formatted as <key1:value1>(,<key2:value2>)" },
        { "\"my.field\".:bad", "invalid var '\"my.field\".': empty field" },
};

static void instance_vars_are_read_as_upstream_reads_them(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(vars); i++) {
                g_autoptr(GError) error = NULL;
                g_autoptr(Value) got = instance_vars_parse(vars[i].text, &error);
                g_assert_no_error(error);
                g_autofree char *json = json_write(got, JSON_SORTED, NULL);
                g_assert_cmpstr(json, ==, vars[i].json);
        }
}

static void what_is_no_instance_var_is_refused(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(bad_vars); i++) {
                g_autoptr(GError) error = NULL;
                g_assert_null(instance_vars_parse(bad_vars[i].text, &error));
                g_assert_cmpstr(error->message, ==, bad_vars[i].message);
        }
}

static const struct {
        const char *json, *text;
} printed[] = {
        { "{\"branch\":\"master\"}", "branch:master" },
        { "{\"branch\":\"feature/x\"}", "branch:\"feature/x\"" },
        { "{\"b\":\"1.0\",\"a\":\"true\",\"c\":\"\"}", "a:\"true\",b:\"1.0\",c:\"\"" },
        { "{\"f\":{\"x\":1,\"a.b\":[1]}}", "f.\"a.b\":[1],f.x:1" },
        { "{}", "" },
};

static void instance_vars_are_printed_so_that_they_can_be_read_again(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(printed); i++) {
                g_autoptr(Value)
                        value = json_parse(printed[i].json, strlen(printed[i].json), NULL, NULL);
                g_autofree char *text = instance_vars_format(value);
                g_assert_cmpstr(text, ==, printed[i].text);
        }
}

static void a_job_is_split_at_the_last_slash(void) {
        g_autoptr(GError) error = NULL;
        g_auto(ItemRef) ref = { 0 };

        g_assert_true(item_ref_parse("p/branch:feature/do_things,foo:bar/job", ITEM_JOB,
                                     "-j, --job", &ref, &error));
        g_assert_cmpstr(ref.pipeline.name, ==, "p");
        g_assert_cmpstr(ref.name, ==, "job");
        g_assert_cmpstr(value_get_string(ref.pipeline.vars, "branch", ""), ==, "feature/do_things");
}

static void a_job_without_a_pipeline_is_refused(void) {
        static const char *const texts[] = { "job", "p/", "" };

        for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
                g_autoptr(GError) error = NULL;
                g_auto(ItemRef) ref = { 0 };
                g_assert_false(item_ref_parse(texts[i], ITEM_JOB, "-j, --job", &ref, &error));
                g_assert_cmpstr(error->message, ==,
                                "invalid argument for flag `-j, --job' (expected "
                                "flaghelpers.JobFlag): argument format should be <pipeline>/<job>");
        }
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/fly/instance-vars/read", instance_vars_are_read_as_upstream_reads_them);
        g_test_add_func("/fly/instance-vars/refused", what_is_no_instance_var_is_refused);
        g_test_add_func("/fly/instance-vars/printed",
                        instance_vars_are_printed_so_that_they_can_be_read_again);
        g_test_add_func("/fly/reference/job", a_job_is_split_at_the_last_slash);
        g_test_add_func("/fly/reference/refused", a_job_without_a_pipeline_is_refused);
        return g_test_run();
}
