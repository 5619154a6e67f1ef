#include "steps/put_inputs.h"

#include "base/json.h"

#include <string.h>

static void put(Scope *scope, const char *name, const char *volume) {
        g_autoptr(Artifact)
                artifact = artifact_new(&(ArtifactSpec){ .worker = "w", .volume = volume });
        scope_put_artifact(scope, name, artifact);
}

static void assert_volume(Scope *scope, const char *name, const char *expect) {
        g_autoptr(Artifact) artifact = scope_artifact(scope, name);
        g_assert_cmpstr(artifact ? artifact_volume(artifact) : NULL, ==, expect);
}

static void reads_fall_through_and_writes_stay(void) {
        g_autoptr(Scope) outer = scope_new(NULL);
        g_autoptr(Scope) inner = scope_new(outer);
        g_autoptr(Value) one = value_int(1);
        g_autoptr(Value) two = value_int(2);
        put(outer, "a", "1");
        put(inner, "b", "2");
        put(inner, "a", "3");
        assert_volume(outer, "a", "1");
        assert_volume(inner, "a", "3");
        assert_volume(outer, "b", NULL);
        put(outer, "c", "4");
        assert_volume(inner, "c", "4");

        scope_put_var(outer, "x", one);
        g_autoptr(Value) seen = scope_var(inner, "x");
        g_assert_true(value_equal(seen, one));
        scope_put_var(inner, "x", two);
        g_autoptr(Value) outside = scope_var(outer, "x");
        g_assert_true(value_equal(outside, one));
        g_assert_null(scope_var(inner, "y"));
}

static char *join(GPtrArray *names) {
        g_autoptr(GString) text = g_string_new(NULL);
        for (size_t i = 0; i < names->len; i++)
                g_string_append_printf(text, "%s%s", i ? " " : "",
                                       (char *) g_ptr_array_index(names, i));
        return g_strdup(text->str);
}

static void names_are_sorted_and_each_is_there_once(void) {
        g_autoptr(Scope) outer = scope_new(NULL);
        g_autoptr(Scope) inner = scope_new(outer);
        put(outer, "b", "1");
        put(outer, "c", "1");
        put(inner, "a", "1");
        put(inner, "b", "1");
        g_autoptr(GPtrArray) names = scope_artifact_names(inner);
        g_autofree char *text = join(names);
        g_assert_cmpstr(text, ==, "a b c");
}

static const struct {
        PutInputs inputs;
        const char *params, *expect, *error;
} cases[] = {
        { { .all = true }, "{}", "art repo version" },
        { { 0 }, "{'a':'repo/x'}", "" },
        { { .names = (char *[]){ "version", "repo", "repo", NULL } }, "{}", "repo version" },
        { { .names = (char *[]){ NULL } }, "{'a':'repo/x'}", "" },
        { { .names = (char *[]){ "repo", "none", NULL } }, "{}", NULL, "input not found: none" },
        { { .detect = true }, "{'a':'repo'}", "repo" },
        { { .detect = true }, "{'a':'repo/sub/file','b':'version/version'}", "repo version" },
        { { .detect = true }, "{'a':['x',{'b':'./art/x'}]}", "art" },
        { { .detect = true }, "{'a':'../repo/x','b':'/version/x'}", "repo version" },
        { { .detect = true }, "{'a':'my-repo/x','repo':'x','b':5}", "" },
        { { .detect = true }, "{'a':'((x))/repo'}", "" },
        { { .detect = true }, "{'a':'','b':'/','c':'.'}", "" },
        { { .detect = true }, "null", "" },
};

static void a_put_sees_what_it_asks_for(void) {
        g_autoptr(Scope) scope = scope_new(NULL);
        put(scope, "repo", "1");
        put(scope, "version", "2");
        put(scope, "art", "3");
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autofree char *quoted = g_strdelimit(g_strdup(cases[i].params), "'", '"');
                g_autoptr(Value) params = json_parse(quoted, strlen(quoted), NULL, NULL);
                g_autoptr(GError) error = NULL;
                g_autoptr(GPtrArray)
                        names = put_input_names(&cases[i].inputs, params, scope, &error);
                g_autofree char *text = names ? join(names) : NULL;
                g_assert_cmpstr(text, ==, cases[i].expect);
                g_assert_cmpstr(error ? error->message : NULL, ==, cases[i].error);
        }
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/scope/nested", reads_fall_through_and_writes_stay);
        g_test_add_func("/scope/names", names_are_sorted_and_each_is_there_once);
        g_test_add_func("/put-inputs", a_put_sees_what_it_asks_for);
        return g_test_run();
}
