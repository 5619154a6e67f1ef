#include "base/json.h"
#include "base/yaml.h"

#include <string.h>

typedef struct {
        const char *text;
        const char *expect;
} Case;

#define CONVERTING "error converting YAML to JSON: "

static const Case scalars[] = {
        { "yes", "true" },
        { "y", "true" },
        { "Off", "false" },
        { "~", "null" },
        { "", "null" },
        { "# nothing", "null" },
        { "nUll", "\"nUll\"" },
        { "tRUE", "\"tRUE\"" },
        { "0777", "511" },
        { "0o17", "15" },
        { "0O17", "15" },
        { "08", "8" },
        { "0899", "899" },
        { "0x1F", "31" },
        { "-0x1F", "-31" },
        { "0xZZ", "\"0xZZ\"" },
        { "0b101", "5" },
        { "0b12", "\"0b12\"" },
        { "1_000", "1000" },
        { "+5", "5" },
        { "18446744073709551615", "18446744073709551615" },
        { "18446744073709551616", "18446744073709552000" },
        { "-9223372036854775808", "-9223372036854775808" },
        { "1.10", "1.1" },
        { "1e3", "1000" },
        { "1e21", "1e+21" },
        { "1e+400", "\"1e+400\"" },
        { ".5", "0.5" },
        { ".5_0", "0.5" },
        { ".5e1_0", "5000000000" },
        { ".5__0", "\".5__0\"" },
        { ".5_", "\".5_\"" },
        { "._5", "\"._5\"" },
        { "._", "\"._\"" },
        { "1__0_", "10" },
        { "5.", "5" },
        { "1:30", "\"1:30\"" },
        { "2001-01-01", "\"2001-01-01\"" },
        { "'5'", "\"5\"" },
        { "\"yes\"", "\"yes\"" },
        { "! 5", "\"5\"" },
        { "!!str 5", "\"5\"" },
        { "!!float 3", "3" },
        { "!!bool yes", "true" },
        { "!mine 5", "\"5\"" },
        { "!!binary aGk=", "\"hi\"" },
        { "!!binary //79", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
        { "<<", "\"\\u003c\\u003c\"" },
        { "|\n a\n b\n", "\"a\\nb\\n\"" },
        { ">-\n a\n b\n", "\"a b\"" },
};

static const Case trees[] = {
        { "b: 1\na: 2\nb: 3\n", "{\"a\":2,\"b\":3}" },
        { "yes: 1\n1: b\n1.5: c\n.inf: d\n",
          "{\".inf\":\"d\",\"1\":\"b\",\"1.5\":\"c\",\"true\":1}" },
        { "- &a {x: 1}\n- *a\n", "[{\"x\":1},{\"x\":1}]" },
        { "a: &a {x: 1, z: 2}\nb:\n  x: 3\n  <<: *a\n  z: 4\n",
          "{\"a\":{\"x\":1,\"z\":2},\"b\":{\"x\":1,\"z\":4}}" },
        { "<<: [{x: 1}, {x: 2, z: 3}]\n", "{\"x\":1,\"z\":3}" },
        { "\"<<\": ((var))\n", "{\"\\u003c\\u003c\":\"((var))\"}" },
        { "a: 1\n---\nb: 2\n", "{\"a\":1}" },
        { "a: 1\n...\n}", "{\"a\":1}" },
        { "{\"a\": [1, {\"b\": null}]}", "{\"a\":[1,{\"b\":null}]}" },
        { "? a\n: b\n", "{\"a\":\"b\"}" },
        { "((key)): v\n", "{\"((key))\":\"v\"}" },
};

static const Case broken[] = {
        { "{", "yaml: line 1: did not find expected node content" },
        { "a: [\n", "yaml: line 1: did not find expected node content" },
        { "a: b: c", "yaml: mapping values are not allowed in this context" },
        { "\na: b: c", "yaml: line 2: mapping values are not allowed in this context" },
        { "a: *b", "yaml: unknown anchor 'b' referenced" },
        { "&a [*a]", "yaml: anchor 'a' value contains itself" },
        { "a: \"\\/\"", "yaml: found unknown escape character" },
        { "x:\n  a: \"\xc3\xa9\\\\/\\/\"", "yaml: line 2: found unknown escape character" },
        { "a: \x01", "yaml: control characters are not allowed" },
        { "%YAML 1.2\n---\na: 1", "yaml: found incompatible YAML document" },
        { "!!int 1.5", "yaml: cannot decode !!float `1.5` as a !!int" },
        { "!!bool maybe", "yaml: cannot decode !!str `maybe` as a !!bool" },
        { "!!binary a?", "yaml: !!binary value contains invalid base64 data" },
        { "<<: 1", "yaml: map merge requires map or sequence of maps as the value" },
        { "<<: [1]", "yaml: map merge requires map or sequence of maps as the value" },
        { "? {a: 1}\n: b", "yaml: invalid map key: map[interface {}]interface {}{\"a\":1}" },
        { "? [~, {~: x}]\n: b",
          "yaml: invalid map key: []interface {}{interface {}(nil), map[interface {}]interface "
          "{}{interface {}(nil):\"x\"}}" },
        { "? [x]\n: b", "yaml: invalid map key: []interface {}{\"x\"}" },
        { "~: x", "unsupported map key of type: %!s(<nil>), key: <nil>, value: \"x\"" },
        { "18446744073709551615: b",
          "unsupported map key of type: uint64, key: 0xffffffffffffffff, value: \"b\"" },
        { "a: .inf", "json: unsupported value: +Inf" },
        { "a: -.inf", "json: unsupported value: -Inf" },
        { "a: .nan", "json: unsupported value: NaN" },
};

static const Case repeated[] = {
        { "a: 1\nb: 2\n", NULL },
        { "1: a\n\"1\": b\n", NULL },
        { "a: 1\na: 2\n", "yaml: unmarshal errors:\n  line 2: key \"a\" already set in map" },
        { "a: 1\n<<: {a: 2}\n", "yaml: unmarshal errors:\n  line 2: key \"a\" already set in map" },
        { "- a: 1\n  a: 2\n- 1: x\n  1: y\n",
          "yaml: unmarshal errors:\n  line 2: key \"a\" already set in map\n"
          "  line 4: key 1 already set in map" },
};

static const Case checked[] = {
        { "a: 1\nb: 2\n", NULL },
        { "", NULL },
        { "~", NULL },
        { "1: a\nyes: b\n1.5: c\n", NULL },
        { "a: &x {b: 1}\nc: {<<: *x, b: 2}\n", NULL },
        { "a: 1\nb: 1\n\"a\": 2\n",
          "yaml: unmarshal errors:\n  line 3: mapping key \"a\" already defined at line 1" },
        { "x: {<<: {a: 1}, <<: {b: 1}}",
          "yaml: unmarshal errors:\n  line 1: mapping key \"<<\" already defined at line 1" },
        { "<<: ((x))", "yaml: map merge requires map or sequence of maps as the value" },
        { "[1]",
          "yaml: unmarshal errors:\n  line 1: cannot unmarshal !!seq into map[string]interface {}" },
        { "42",
          "yaml: unmarshal errors:\n  line 1: cannot unmarshal !!int `42` into map[string]interface {}" },
        { "rather long text",
          "yaml: unmarshal errors:\n  line 1: cannot unmarshal !!str `rather ...` into map[string]interface {}" },
        { "[a]: 1", "yaml: unmarshal errors:\n  line 1: cannot unmarshal !!seq into string" },
        { "a:\n  {b: 1}: 1", "yaml: invalid map key: map[string]interface {}{\"b\":1}" },
        { "a: !!bool yes", "yaml: cannot decode !!str `yes` as a !!bool" },
        { "a: b: c", "yaml: mapping values are not allowed in this context" },
};

/* From JSON. */
static const Case written[] = {
        { "null", "null\n" },
        { "{}", "{}\n" },
        { "[]", "[]\n" },
        { "{\"a\":[{\"b\":1},[],{}]}", "a:\n- b: 1\n- []\n- {}\n" },
        { "[[1,[2]]]", "- - 1\n  - - 2\n" },
        { "[\"yes\",\"1\",\"~\",\"\",\"1.5\",\"2001-01-01\",\"1:30\",\".inf\"]",
          "- \"yes\"\n- \"1\"\n- \"~\"\n- \"\"\n- \"1.5\"\n- \"2001-01-01\"\n- \"1:30\"\n- \".inf\"\n" },
        { "[\"a: b\",\" a\",\"#a\",\"((x))\",\"1e+400\",\"08x\"]",
          "- 'a: b'\n- ' a'\n- '#a'\n- ((x))\n- 1e+400\n- 08x\n" },
        { "[\"a\\nb\",\"a\\n\",\"a\\n\\n\",\"\\na\",\"a \\nb\"]",
          "- |-\n  a\n  b\n- |\n  a\n- |+\n  a\n\n- |2-\n\n  a\n- \"a \\nb\"\n" },
        { "[1,1.10,1E3,1000000.5,18446744073709551615,1e21,-0.0]",
          "- 1\n- 1.1\n- 1000\n- 1.0000005e+06\n- 18446744073709551615\n- 1e+21\n- -0\n" },
        { "{\"<<\":1}", "<<: 1\n" },
        { "[\"\xf0\x9f\x98\x80\",\"\xc3\xa9\"]", "- \"\\U0001F600\"\n- \xc3\xa9\n" },
        { "[\"a\xc2\x85"
          "b\"]",
          "- a b\n" },
        { "{\"b10\":1,\"b2\":1,\"aa\":1,\"a-b\":1,\"a\":1,\"B\":1,\"10\":1,\"9\":1,\"1\":1,\"_x\":1}",
          "_x: 1\n\"1\": 1\n\"9\": 1\n\"10\": 1\nB: 1\na: 1\na-b: 1\naa: 1\nb2: 1\nb10: 1\n" },
        { "{\"a2\":1,\"a001\":1,\"a01\":1,\"a1\":1}", "a1: 1\na01: 1\na001: 1\na2: 1\n" },
};

/* Templates, read and written. */
static const Case templates[] = {
        { "b: 1\ntrue: x\n1: v\n0.5: z\n~: w\n\"1\": s\n",
          "0.5: z\ntrue: x\n1: v\nnull: w\n\"1\": s\nb: 1\n" },
        { "a: 1e6\nb: 1.50\nc: 0x10\n", "a: 1e+06\nb: 1.5\nc: 16\n" },
        { "\"\\x01true\": a\n", "\"\\x01true\": a\n" },
        { "a: !!binary //79\n", "a: !!binary //79\n" },
        { "a: \"\\x7f\"\n", "a: \"\\x7F\"\n" },
};

static Value *parse(const char *text, YamlFlags flags) {
        g_autoptr(GError) error = NULL;
        Value *value = yaml_parse(text, strlen(text), NULL, flags, &error);
        g_assert_no_error(error);
        return value;
}

static void check_trees(const Case *cases, size_t count) {
        for (size_t i = 0; i < count; i++) {
                g_autoptr(Value) value = parse(cases[i].text, YAML_DEFAULT);
                g_autofree char *json = json_write(value, JSON_COMPACT, NULL);
                g_assert_cmpstr(json, ==, cases[i].expect);
        }
}

static void scalars_mean_what_they_mean_upstream(void) {
        check_trees(scalars, G_N_ELEMENTS(scalars));
}

static void documents_become_what_json_can_hold(void) {
        check_trees(trees, G_N_ELEMENTS(trees));
}

static void what_is_wrong_is_told_in_upstreams_words(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(broken); i++) {
                g_autoptr(GError) error = NULL;
                g_autofree char *expect = g_strconcat(CONVERTING, broken[i].expect, NULL);
                g_assert_null(yaml_parse(broken[i].text, strlen(broken[i].text), NULL, YAML_DEFAULT,
                                         &error));
                g_assert_error(error, ERROR, ERROR_INVALID);
                g_assert_cmpstr(error->message, ==, expect);
        }
}

static void strict_reading_refuses_keys_set_twice(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(repeated); i++) {
                g_autoptr(GError) error = NULL;
                g_autoptr(Value) value = yaml_parse(repeated[i].text, strlen(repeated[i].text),
                                                    NULL, YAML_STRICT_KEYS, &error);
                g_autofree char *expect = repeated[i].expect ? g_strconcat(CONVERTING,
                                                                           repeated[i].expect, NULL)
                                                             : NULL;
                g_assert_cmpstr(error ? error->message : NULL, ==, expect);
                g_assert_cmpint(value != NULL, ==, expect == NULL);
        }
}

static void the_check_before_templates_finds_keys_written_twice(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(checked); i++) {
                g_autoptr(GError) error = NULL;
                bool fine = yaml_check_keys(checked[i].text, strlen(checked[i].text), NULL, &error);
                g_assert_cmpstr(error ? error->message : NULL, ==, checked[i].expect);
                g_assert_cmpint(fine, ==, checked[i].expect == NULL);
        }
}

static void writing_looks_as_fly_prints_it(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(written); i++) {
                g_autoptr(GError) error = NULL;
                g_autoptr(Value)
                        value = json_parse(written[i].text, strlen(written[i].text), NULL, &error);
                g_assert_no_error(error);
                g_autofree char *text = yaml_write(value, &error);
                g_assert_no_error(error);
                g_assert_cmpstr(text, ==, written[i].expect);
        }
}

static void templates_keep_their_types(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(templates); i++) {
                g_autoptr(GError) error = NULL;
                g_autoptr(Value) value = parse(templates[i].text, YAML_TEMPLATE);
                g_autofree char *text = yaml_write_template(value, &error);
                g_assert_no_error(error);
                g_assert_cmpstr(text, ==, templates[i].expect);
        }
}

static void characters_that_yaml_forbids_are_not_written(void) {
        static const char *const cases[] = { "\x7f", "\xc2\x80", "\xef\xbf\xbe", "\xef\xbf\xbf" };
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(GError) error = NULL;
                g_autoptr(Value) value = value_string(cases[i]);
                g_assert_null(yaml_write(value, &error));
                g_assert_error(error, ERROR, ERROR_INVALID);
                g_assert_cmpstr(error->message, ==, "yaml: control characters are not allowed");
        }
}

static void small_texts_cannot_become_large_trees(void) {
        g_autoptr(GString) bomb = g_string_new("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
        for (int i = 1; i < 8; i++) {
                g_string_append_printf(bomb, "a%d: &a%d [", i, i);
                for (int j = 0; j < 10; j++)
                        g_string_append_printf(bomb, "%s*a%d", j ? "," : "", i - 1);
                g_string_append(bomb, "]\n");
        }
        g_autoptr(GError) error = NULL;
        g_assert_null(yaml_parse(bomb->str, bomb->len, NULL, YAML_DEFAULT, &error));
        g_assert_cmpstr(error->message, ==,
                        CONVERTING "yaml: document contains excessive aliasing");
        g_clear_error(&error);
        g_assert_false(yaml_check_keys(bomb->str, bomb->len, NULL, &error));
        g_assert_cmpstr(error->message, ==, "yaml: document contains excessive aliasing");
}

static void limits_are_kept(void) {
        g_autoptr(GString) chain = g_string_new("a0: &a0 x\n");
        for (int i = 1; i < 300; i++)
                g_string_append_printf(chain, "a%d: &a%d [*a%d]\n", i, i, i - 1);
        const struct {
                const char *text;
                YamlLimits limits;
                bool valid;
        } cases[] = {
                { "[[1]]", { .depth = 2 }, true },     { "[[[1]]]", { .depth = 2 }, false },
                { "[1,2]", { .nodes = 3 }, true },     { "[1,2,3]", { .nodes = 3 }, false },
                { "[1,2]", { .bytes = 5 }, true },     { "[1,2] ", { .bytes = 5 }, false },
                { chain->str, { .depth = 0 }, false },
        };
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(GError) error = NULL;
                g_autoptr(Value) value = yaml_parse(cases[i].text, strlen(cases[i].text),
                                                    &cases[i].limits, YAML_DEFAULT, &error);
                g_assert_cmpint(value != NULL, ==, cases[i].valid);
                if (cases[i].valid)
                        g_assert_no_error(error);
                else
                        g_assert_error(error, ERROR, ERROR_LIMIT);
        }
}

/* ---- recordings ---- */

/* A recorded text, or its bytes in base64. */
static GBytes *recorded(const Value *value) {
        if (value_is(value, VALUE_STRING))
                return g_bytes_new(value_text(value), value_text_length(value));
        size_t length;
        unsigned char *bytes = g_base64_decode(value_get_string(value, "base64", ""), &length);
        return g_bytes_new_take(bytes, length);
}

static void check_recording(const Value *line) {
        const Value *format = value_get(line, "format");
        g_autoptr(GBytes) input = recorded(value_get(line, "input"));
        g_autoptr(GBytes) output = recorded(value_get(format, "stdout"));
        const char *stderr_text = value_get_string(format, "stderr", "");
        g_autoptr(GError) error = NULL;
        size_t length;
        const char *text = g_bytes_get_data(input, &length);

        g_autoptr(Value) value = yaml_parse(text, length, NULL, YAML_DEFAULT, &error);
        if (!value) {
                g_autofree char *expect = g_strdup_printf("could not unmarshal config: %s\n",
                                                          error->message);
                if (!value_get(format, "any_of"))
                        g_assert_cmpstr(stderr_text, ==, expect);
                return;
        }
        g_assert_null(strstr(stderr_text, "unmarshal config: " CONVERTING));
        text = g_bytes_get_data(output, &length);
        /* U+2029 at the end of quotes: libyaml folds there. */
        if (length == 0 || value_get(line, "format_again") ||
            g_strstr_len(text, (gssize) length, "\xe2\x80\xa9'"))
                return;
        g_autoptr(Value) again = yaml_parse(text, length, NULL, YAML_DEFAULT, &error);
        g_assert_no_error(error);
        g_autofree char *written_again = yaml_write(again, &error);
        g_autofree char *expect = g_strndup(text, length);
        g_assert_cmpstr(written_again, ==, expect);
}

static void recordings_agree(void) {
        const char *golden = g_getenv("WEIR_GOLDEN");
        static const char *const areas[] = { "scalars",    "schema", "steps",
                                             "validation", "vars",   "pipelines" };
        if (!golden) {
                g_test_skip("WEIR_GOLDEN is not set");
                return;
        }
        for (size_t i = 0; i < G_N_ELEMENTS(areas); i++) {
                g_autofree char *path = g_strdup_printf("%s/language/given/%s.jsonl", golden,
                                                        areas[i]);
                g_autofree char *text = NULL;
                size_t length, used;
                g_assert_true(g_file_get_contents(path, &text, &length, NULL));
                for (const char *cursor = text; text + length - cursor > 1; cursor += used) {
                        g_autoptr(GError) error = NULL;
                        g_autoptr(Value) line = json_parse_first(
                                cursor, (size_t) (text + length - cursor), NULL, &used, &error);
                        g_assert_no_error(error);
                        g_test_message("%s/%s", areas[i], value_get_string(line, "slug", ""));
                        check_recording(line);
                }
        }
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/yaml/scalars", scalars_mean_what_they_mean_upstream);
        g_test_add_func("/yaml/trees", documents_become_what_json_can_hold);
        g_test_add_func("/yaml/broken", what_is_wrong_is_told_in_upstreams_words);
        g_test_add_func("/yaml/strict", strict_reading_refuses_keys_set_twice);
        g_test_add_func("/yaml/check", the_check_before_templates_finds_keys_written_twice);
        g_test_add_func("/yaml/write", writing_looks_as_fly_prints_it);
        g_test_add_func("/yaml/templates", templates_keep_their_types);
        g_test_add_func("/yaml/forbidden", characters_that_yaml_forbids_are_not_written);
        g_test_add_func("/yaml/bomb", small_texts_cannot_become_large_trees);
        g_test_add_func("/yaml/limits", limits_are_kept);
        g_test_add_func("/yaml/recordings", recordings_agree);
        return g_test_run();
}
