/* Where a running build's ((vars)) come from, and what is a secret afterwards. */
#include "steps/run.h"

#include "base/json.h"

#include <string.h>

static Value *parse(const char *text) {
        g_autofree char *quoted = g_strdelimit(g_strdup(text), "'", '"');
        g_autoptr(GError) error = NULL;
        Value *value = json_parse(quoted, strlen(quoted), NULL, &error);
        g_assert_no_error(error);
        return value;
}

/* One source "vs" with these vars. */
static Creds *creds_of(const char *vars) {
        g_autoptr(Value) map = value_map();
        g_autoptr(GPtrArray) sources = g_ptr_array_new();
        g_autoptr(GError) error = NULL;
        value_map_set(map, "vars", parse(vars));
        VarSourceConfig source = { (char *) "vs", (char *) "dummy", map };
        g_ptr_array_add(sources, &source);
        Creds *creds = creds_new(sources, &(CredsScope){ "main", "p" }, &error);
        g_assert_no_error(error);
        return creds;
}

static Run *run_with(Creds *creds) {
        static const StepSettings settings = { .redact_secrets = true };
        return run_new(&(RunSpec){ .settings = &settings, .creds = creds });
}

static char *interpolate(Run *run, Scope *scope, const char *text) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Value) value = value_string(text);
        g_autoptr(Value) result = run_interpolate(run, scope, value, VARS_LENIENT, &error);
        return result ? json_write(result, JSON_COMPACT, NULL) : g_strdup(error->message);
}

static void local_vars_go_before_sources(void) {
        static const struct {
                const char *text, *expect;
        } cases[] = {
                { "((.:l.k))", "\"inner\"" },
                { "((.:l.nope))", "missing field 'nope' in var: l.nope" },
                { "((vs:pw))", "\"s3cret\"" },
                { "((.:nope))", "missing source '.' in var: .:nope" },
                { "((l))", "undefined vars: l" },
                { "x((.:n))", "\"x1.50\"" },
                { "((.:n))", "1.5" },
        };
        g_autoptr(Creds) creds = creds_of("{'pw':'s3cret'}");
        g_autoptr(Run) run = run_with(creds);
        g_autoptr(Scope) outer = scope_new(NULL);
        g_autoptr(Scope) inner = scope_new(outer);
        g_autoptr(Value) one = parse("{'k':'outer'}"), two = parse("{'k':'inner'}"),
                         number = parse("1.50");
        scope_put_var(outer, "l", one);
        scope_put_var(inner, "l", two);
        scope_put_var(outer, "n", number);
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autofree char *got = interpolate(run, inner, cases[i].text);
                g_assert_cmpstr(got, ==, cases[i].expect);
        }
}

static void what_was_used_of_a_source_is_a_secret(void) {
        g_autoptr(Creds) creds = creds_of("{'map':{'used':'s3cret','other':'plain'}}");
        g_autoptr(Run) run = run_with(creds);
        g_autoptr(Scope) scope = scope_new(NULL);
        g_autofree char *before = run_redact(run, "s3cret plain");
        g_assert_cmpstr(before, ==, "s3cret plain");
        g_autofree char *used = interpolate(run, scope, "((vs:map.used))");
        g_autofree char *after = run_redact(run, "s3cret plain");
        g_assert_cmpstr(after, ==, "((redacted)) plain");
}

static void another_life_recalls_secrets_by_name(void) {
        g_autoptr(Creds) creds = creds_of("{'pw':'s3cret'}");
        g_autoptr(Run) first = run_with(creds), second = run_with(creds);
        g_autoptr(Scope) scope = scope_new(NULL);
        g_assert_null(run_credentials(first));
        g_autofree char *used = interpolate(first, scope, "((vs:pw))((vs:pw))");
        g_autoptr(Value) names = run_credentials(first);
        g_autofree char *json = json_write(names, JSON_COMPACT, NULL);
        g_assert_cmpstr(json, ==, "[\"vs:pw\"]");

        run_recall_credentials(second, NULL);
        run_recall_credentials(second, names);
        g_autoptr(Value) gone = parse("['vs:gone','other:x','..',7]");
        run_recall_credentials(second, gone);
        g_autofree char *shown = run_redact(second, "s3cret");
        g_assert_cmpstr(shown, ==, "((redacted))");
}

static void nothing_is_hidden_when_redaction_is_off(void) {
        static const StepSettings settings = { 0 };
        g_autoptr(Creds) creds = creds_of("{'pw':'s3cret'}");
        g_autoptr(Run) run = run_new(&(RunSpec){ .settings = &settings, .creds = creds });
        g_autoptr(Scope) scope = scope_new(NULL);
        g_autofree char *used = interpolate(run, scope, "((vs:pw))");
        g_assert_false(redactor_is_armed(run_redactor(run)));
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/run/vars/order", local_vars_go_before_sources);
        g_test_add_func("/run/vars/secret", what_was_used_of_a_source_is_a_secret);
        g_test_add_func("/run/vars/recall", another_life_recalls_secrets_by_name);
        g_test_add_func("/run/vars/redaction-off", nothing_is_hidden_when_redaction_is_off);
        return g_test_run();
}
