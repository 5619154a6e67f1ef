#include <string.h>

#include "base/json.h"
#include "config/vars.h"

static Value *parse(const char *json) {
        g_autoptr(GError) error = NULL;
        Value *value = json_parse(json, strlen(json), NULL, &error);
        g_assert_no_error(error);
        return value;
}

/* ---- references ---- */

static const struct {
        const char *text, *source, *path, *fields, *shown;
} references[] = {
        { "hello", "", "hello", "", "hello" },
        { "hello.a.b", "", "hello", "a|b", "hello.a.b" },
        { "\"hello.world\".a.\"foo:bar\"", "", "hello.world", "a|foo:bar",
          "\"hello.world\".a.\"foo:bar\"" },
        { "\"my:path\".x", "", "my:path", "x", "\"my:path\".x" },
        { ".:hello", ".", "hello", "", ".:hello" },
        { "\"src\":foo", "src", "foo", "", "src:foo" },
        { "\"  src  \":foo", "src", "foo", "", "src:foo" },
        { "/foo/bar", "", "/foo/bar", "", "\"/foo/bar\"" },
        { "\"..\"/foo/bar", "", "foo/bar", "", "\"foo/bar\"" },
        { "\"/foo/bar/baz/../..\"", "", "/foo", "", "\"/foo\"" },
        { "foo//bar/", "", "foo/bar", "", "\"foo/bar\"" },
        { ":name", "", "name", "", "name" },
};

static const struct {
        const char *text, *message;
} bad_references[] = {
        { "vault:", "invalid var 'vault:': empty field" },
        { "vault:.f", "invalid var 'vault:.f': empty field" },
        { "vault:\"\".f", "invalid var 'vault:\"\".f': empty field" },
        { "..", "invalid var '..': empty field" },
        { "\"../..\"", "invalid var '\"../..\"': empty field" },
        { "../foo", "invalid var '../foo': empty field" },
        { "src:\"foo", "invalid var 'src:\"foo': contains unclosed quotes" },
};

static void reads_references(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(references); i++) {
                g_autoptr(GError) error = NULL;
                g_autoptr(VarReference) reference = var_reference_parse(references[i].text, &error);
                g_assert_no_error(error);
                g_autofree char *fields = g_strjoinv("|", reference->fields);
                g_autofree char *shown = var_reference_format(reference);
                g_assert_cmpstr(reference->source, ==, references[i].source);
                g_assert_cmpstr(reference->path, ==, references[i].path);
                g_assert_cmpstr(fields, ==, references[i].fields);
                g_assert_cmpstr(shown, ==, references[i].shown);
        }
}

static void refuses_bad_references(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(bad_references); i++) {
                g_autoptr(GError) error = NULL;
                g_assert_null(var_reference_parse(bad_references[i].text, &error));
                g_assert_error(error, ERROR, ERROR_INVALID);
                g_assert_cmpstr(error->message, ==, bad_references[i].message);
        }
}

/* ---- interpolation ---- */

static const char known[] =
        "{\"s\":\"text\",\"n\":8080,\"d\":1.10,\"b\":true,\"z\":null,\"e\":\"\",\"l\":[1,\"x\"],"
        "\"m\":{\"f\":\"field\",\"g\":{\"h\":\"deep\"}},\"v\":\"((s))\"}";

static const struct {
        const char *text, *expect;
} interpolations[] = {
        { "\"plain\"", "\"plain\"" },
        { "\"((s))\"", "\"text\"" },
        { "\"x-((s))-((n))\"", "\"x-text-8080\"" },
        { "\"((n))\"", "8080" },
        { "\"((d))\"", "1.10" },
        { "\"v((d))\"", "\"v1.10\"" },
        { "\"((b))\"", "true" },
        { "\"((z))\"", "null" },
        { "\"((l))\"", "[1,\"x\"]" },
        { "\"((m.g.h))\"", "\"deep\"" },
        { "\"((m))\"", "{\"f\":\"field\",\"g\":{\"h\":\"deep\"}}" },
        { "\"((e))((n))\"", "8080" },
        { "\"((v))\"", "\"((s))\"" },
        { "\"(((s)))\"", "\"(text)\"" },
        { "\"(( s ))\"", "\"(( s ))\"" },
        { "\"$((i + 1))\"", "\"$((i + 1))\"" },
        { "\"(()\"", "\"(()\"" },
        { "\"((nope))-((s))\"", "\"((nope))-text\"" },
        { "\"((src:s))\"", "\"((src:s))\"" },
        { "\"((:s))\"", "\"text\"" },
        { "{\"((s))\":1,\"b\":[\"((s))\"]}", "{\"b\":[\"text\"],\"text\":1}" },
        { "{\"((n))\":1}", "{\"8080\":1}" },
        { "{\"((s))\":1,\"text\":2}", "{\"text\":1}" },
        { "\"\\u0000((s))\"", "\"\\u0000((s))\"" },
};

static const struct {
        const char *text;
        bool inexact;
        const char *message;
} failures[] = {
        { "\"x((b))\"", false, "cannot interpolate non-primitive value (bool) from var: b" },
        { "\"x((z))\"", false, "cannot interpolate non-primitive value (<nil>) from var: z" },
        { "\"x((n))\"", true, "cannot interpolate non-primitive value (float64) from var: n" },
        { "\"x((m))\"", false,
          "cannot interpolate non-primitive value (map[string]interface {}) from var: m" },
        { "\"x((l))\"", false,
          "cannot interpolate non-primitive value ([]interface {}) from var: l" },
        { "\"((m.nope))\"", false, "missing field 'nope' in var: m.nope" },
        { "\"((s.x))\"", false,
          "cannot access field 'x' of non-map value ('string') from var: s.x" },
        { "\"((n.x))\"", true,
          "cannot access field 'x' of non-map value ('float64') from var: n.x" },
        { "\"((zz))((.:loc))((nope.f))((zz))\"", false, "undefined vars: .:loc, nope.f, zz" },
        { "{\"((l))\":1}", false, "cannot use a list as a map key: ((l))" },
        { "\"((..))\"", false, "invalid var '..': empty field" },
};

static Value *interpolate(const char *json, bool inexact, VarsFlags flags, GError **error) {
        g_autoptr(Value) map = parse(known);
        g_autoptr(Value) value = parse(json);
        StaticVars vars = { map, inexact };
        return vars_interpolate(value, &(Vars){ static_vars_lookup, &vars }, flags, error);
}

static void fills_in_what_it_knows(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(interpolations); i++) {
                g_autoptr(GError) error = NULL;
                g_autoptr(Value)
                        value = interpolate(interpolations[i].text, false, VARS_LENIENT, &error);
                g_assert_no_error(error);
                g_autofree char *json = json_write(value, JSON_COMPACT, NULL);
                g_assert_cmpstr(json, ==, interpolations[i].expect);
        }
}

static void says_why_it_cannot(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(failures); i++) {
                g_autoptr(GError) error = NULL;
                g_assert_null(interpolate(failures[i].text, failures[i].inexact, VARS_EXPECT_ALL,
                                          &error));
                g_assert_error(error, ERROR, ERROR_INVALID);
                g_assert_cmpstr(error->message, ==, failures[i].message);
        }
}

static void makes_numbers_floats_when_asked(void) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Value) value = interpolate("[12345678901234567890,9007199254740993,1E3,7,-0]",
                                             false, VARS_FLOATS, &error);
        g_assert_no_error(error);
        g_autofree char *json = json_write(value, JSON_COMPACT, NULL);
        g_assert_cmpstr(json, ==, "[12345678901234567000,9007199254740992,1000,7,-0]");
}

/* As the server of upstream does: what is put in whole has been through its YAML library. */
static void keeps_a_literal_only_inside_a_longer_text_on_the_server(void) {
        static const char text[] = "{\"big\":12345678901234567890,\"int\":9007199254740993,"
                                   "\"exp\":1E3,\"neg\":-9223372036854775808}";
        static const struct {
                const char *text, *expect;
        } cases[] = {
                { "((big))", "12345678901234567000" },
                { "((int))", "9007199254740993" },
                { "((exp))", "1000" },
                { "((neg))", "-9223372036854775808" },
                { "x((big))/((int))/((exp))", "\"x12345678901234567890/9007199254740993/1E3\"" },
        };
        g_autoptr(Value) map = parse(text);
        StaticVars vars = { map, false };
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(GError) error = NULL;
                g_autoptr(Value) value = vars_interpolate_text(
                        cases[i].text, &(Vars){ static_vars_lookup, &vars }, VARS_SERVER, &error);
                g_assert_no_error(error);
                g_autofree char *json = json_write(value, JSON_COMPACT, NULL);
                g_assert_cmpstr(json, ==, cases[i].expect);
        }
}

static void asks_sources_in_order(void) {
        g_autoptr(Value) first = parse("{\"a\":{\"x\":1}}");
        g_autoptr(Value) second = parse("{\"a\":{\"y\":2},\"b\":3}");
        g_autoptr(Value) locals = parse("{\"b\":4}");
        StaticVars one = { first, false }, two = { second, false };
        const Vars sources[] = { { local_vars_lookup, locals },
                                 { static_vars_lookup, &one },
                                 { static_vars_lookup, &two } };
        const Vars *list[] = { &sources[0], &sources[1], &sources[2], NULL };
        const Vars all = { multi_vars_lookup, list };
        g_autoptr(GError) error = NULL;

        g_autoptr(Value)
                value = vars_interpolate_text("((b))((.:b))", &all, VARS_EXPECT_ALL, &error);
        g_assert_no_error(error);
        g_assert_cmpstr(value_text(value), ==, "34");
        /* The first that has the path decides, the field there or not. */
        g_assert_null(vars_interpolate_text("((a.y))", &all, VARS_EXPECT_ALL, &error));
        g_assert_error(error, ERROR, ERROR_INVALID);
        g_assert_cmpstr(error->message, ==, "missing field 'y' in var: a.y");
}

static void sets_nested_vars(void) {
        static const char *const sets[][2] = {
                { "a.b", "1" }, { "a.c.d", "2" }, { "a.b.e", "3" }, { "\"x.y\"", "4" }
        };
        g_autoptr(Value) map = value_map();
        for (size_t i = 0; i < G_N_ELEMENTS(sets); i++) {
                g_autoptr(VarReference) reference = var_reference_parse(sets[i][0], NULL);
                static_vars_set(map, reference, value_string(sets[i][1]));
        }
        g_autofree char *json = json_write(map, JSON_SORTED, NULL);
        g_assert_cmpstr(json, ==,
                        "{\"a\":{\"b\":{\"e\":\"3\"},\"c\":{\"d\":\"2\"}},\"x.y\":\"4\"}");
}

static void lists_names_as_written(void) {
        g_autoptr(Value) value = parse("{\"((k))\":\"((a:b)) ((c))\",\"l\":[\"((c))\"]}");
        g_autoptr(GPtrArray) names = vars_names(value);
        g_ptr_array_add(names, NULL);
        g_autofree char *joined = g_strjoinv(" ", (char **) names->pdata);
        g_assert_cmpstr(joined, ==, "k a:b c c");
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/vars/reference/valid", reads_references);
        g_test_add_func("/vars/reference/invalid", refuses_bad_references);
        g_test_add_func("/vars/interpolate/known", fills_in_what_it_knows);
        g_test_add_func("/vars/interpolate/failures", says_why_it_cannot);
        g_test_add_func("/vars/interpolate/floats", makes_numbers_floats_when_asked);
        g_test_add_func("/vars/interpolate/server",
                        keeps_a_literal_only_inside_a_longer_text_on_the_server);
        g_test_add_func("/vars/sources", asks_sources_in_order);
        g_test_add_func("/vars/set", sets_nested_vars);
        g_test_add_func("/vars/names", lists_names_as_written);
        return g_test_run();
}
