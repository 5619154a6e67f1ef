#include "base/json.h"

#include <string.h>

typedef struct {
        const char *text;
        const char *expect;
} Case;

/* Read, and written again: as Go's Unmarshal with numbers kept, then Marshal. */
static const Case valid[] = {
        { " null ", "null" },
        { "[]", "[]" },
        { "{}", "{}" },
        { "[ 1 , -0, 1E400,0.10 ]", "[1,-0,1E400,0.10]" },
        { "\"\\u0041\\n\\/\\b\\f\"", "\"A\\n/\\b\\f\"" },
        { "\"<&>\"", "\"\\u003c\\u0026\\u003e\"" },
        { "\"\\u2028\xe2\x80\xa9\"", "\"\\u2028\\u2029\"" },
        { "\"\\ud83d\\ude00\"", "\"\xf0\x9f\x98\x80\"" },
        { "\"\\ud83dx\"", "\"\xef\xbf\xbdx\"" },
        { "\"\\ude00\\ud83d\"", "\"\xef\xbf\xbd\xef\xbf\xbd\"" },
        { "\"\\ud83d\\u0041\"", "\"\xef\xbf\xbd"
                                "A\"" },
        { "\"\xff\xc3\xa9\xed\xa0\x80\"",
          "\"\xef\xbf\xbd\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"" },
        { "\"\x7f\\u0000\\u001f\"", "\"\x7f\\u0000\\u001f\"" },
        { "{\"b\":1,\"a\":2,\"b\":3}", "{\"b\":3,\"a\":2}" },
        { "\t\r\n{\"a\" : {\"b\":[true,false]}}", "{\"a\":{\"b\":[true,false]}}" },
};

static const Case invalid[] = {
        { "", "unexpected end of JSON input" },
        { "  ", "unexpected end of JSON input" },
        { "[1,", "unexpected end of JSON input" },
        { "\"abc", "unexpected end of JSON input" },
        { "{\"a\":", "unexpected end of JSON input" },
        { "tru", "invalid character ' ' in literal true (expecting 'e')" },
        { "nulL", "invalid character 'L' in literal null (expecting 'l')" },
        { "-", "invalid character ' ' in numeric literal" },
        { "-a", "invalid character 'a' in numeric literal" },
        { "1.", "invalid character ' ' after decimal point in numeric literal" },
        { "1ex", "invalid character 'x' in exponent of numeric literal" },
        { "01", "invalid character '1' after top-level value" },
        { "{} x", "invalid character 'x' after top-level value" },
        { "[1 2]", "invalid character '2' after array element" },
        { "[1,]", "invalid character ']' looking for beginning of value" },
        { "{\"a\" 1}", "invalid character '1' after object key" },
        { "{\"a\":1 \"b\"}", "invalid character '\"' after object key:value pair" },
        { "{a:1}", "invalid character 'a' looking for beginning of object key string" },
        { "{\"a\":1,}", "invalid character '}' looking for beginning of object key string" },
        { "\"a\nb\"", "invalid character '\\n' in string literal" },
        { "\"\\x\"", "invalid character 'x' in string escape code" },
        { "\"\\u00g0\"", "invalid character 'g' in \\u hexadecimal character escape" },
        { "'a'", "invalid character '\\'' looking for beginning of value" },
        { "\xff", "invalid character '\xc3\xbf' looking for beginning of value" },
        { "\v", "invalid character '\\v' looking for beginning of value" },
        { "NaN", "invalid character 'N' looking for beginning of value" },
};

static void what_go_reads_is_read_and_written_alike(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(valid); i++) {
                g_autoptr(GError) error = NULL;
                g_autoptr(Value)
                        value = json_parse(valid[i].text, strlen(valid[i].text), NULL, &error);
                g_assert_no_error(error);
                g_autofree char *text = json_write(value, JSON_COMPACT, NULL);
                g_assert_cmpstr(text, ==, valid[i].expect);
        }
}

static void the_rest_is_refused_in_the_words_of_go(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(invalid); i++) {
                g_autoptr(GError) error = NULL;
                g_assert_null(json_parse(invalid[i].text, strlen(invalid[i].text), NULL, &error));
                g_assert_error(error, ERROR, ERROR_INVALID);
                g_assert_cmpstr(error->message, ==, invalid[i].expect);
        }
}

static void a_text_without_an_end_is_not_read_beyond(void) {
        const char bytes[] = { '[', '1', '2' };
        g_autoptr(GError) error = NULL;
        g_autofree char *exact = g_memdup2(bytes, sizeof bytes);
        g_assert_null(json_parse(exact, sizeof bytes, NULL, &error));
        g_assert_error(error, ERROR, ERROR_INVALID);
}

static void the_first_value_tells_its_length(void) {
        static const char text[] = " {\"a\":1}\n{\"b\":2} x";
        g_autoptr(GError) error = NULL;
        size_t used, more;
        g_autoptr(Value) first = json_parse_first(text, strlen(text), NULL, &used, &error);
        g_assert_no_error(error);
        g_assert_true(value_has(first, "a"));
        g_assert_cmpuint(used, ==, 8);
        g_autoptr(Value)
                second = json_parse_first(text + used, strlen(text + used), NULL, &more, &error);
        g_assert_no_error(error);
        g_assert_cmpint(value_get_int(second, "b", 0), ==, 2);
        g_assert_cmpuint(more, ==, 8);
}

static void a_first_value_that_breaks_off_is_told_as_go_s_decoder_does(void) {
        static const struct {
                const char *text, *expect;
        } cases[] = {
                { "", "EOF" },
                { " \n", "EOF" },
                { "{\"a\":", "unexpected EOF" },
                { "[1,", "unexpected EOF" },
                { "\"abc", "unexpected EOF" },
                { "tru", "unexpected EOF" },
                { "1.", "unexpected EOF" },
                { "\"\\u12", "unexpected EOF" },
                { "{\"a\":}", "invalid character '}' looking for beginning of value" },
        };
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(GError) error = NULL;
                size_t used;
                g_assert_null(json_parse_first(cases[i].text, strlen(cases[i].text), NULL, &used,
                                               &error));
                g_assert_cmpstr(error->message, ==, cases[i].expect);
        }
}

static void limits_are_kept(void) {
        static const struct {
                const char *text;
                JsonLimits limits;
                bool valid;
        } cases[] = {
                { "[[1]]", { .depth = 2 }, true }, { "[[[1]]]", { .depth = 2 }, false },
                { "[1,2]", { .items = 3 }, true }, { "[1,2,3]", { .items = 3 }, false },
                { "[1,2]", { .bytes = 5 }, true }, { "[1,2] ", { .bytes = 5 }, false },
        };
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(GError) error = NULL;
                g_autoptr(Value) value = json_parse(cases[i].text, strlen(cases[i].text),
                                                    &cases[i].limits, &error);
                g_assert_cmpint(value != NULL, ==, cases[i].valid);
                if (cases[i].valid)
                        g_assert_no_error(error);
                else
                        g_assert_error(error, ERROR, ERROR_LIMIT);
        }
}

static void deep_nesting_ends_at_the_limit(void) {
        g_autofree char *text = g_strnfill(100000, '[');
        g_autoptr(GError) error = NULL;
        g_assert_null(json_parse(text, 100000, NULL, &error));
        g_assert_error(error, ERROR, ERROR_LIMIT);
}

static void flags_change_the_form(void) {
        static const char text[] = "{\"b\":[1,{}],\"a\":{\"<\":[]}}";
        static const struct {
                JsonFlags flags;
                const char *expect;
        } cases[] = {
                { JSON_SORTED, "{\"a\":{\"\\u003c\":[]},\"b\":[1,{}]}" },
                { JSON_NO_HTML, "{\"b\":[1,{}],\"a\":{\"<\":[]}}" },
                { JSON_INDENT | JSON_NO_HTML,
                  "{\n  \"b\": [\n    1,\n    {}\n  ],\n  \"a\": {\n    \"<\": []\n  }\n}" },
        };
        g_autoptr(Value) value = json_parse(text, strlen(text), NULL, NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autofree char *got = json_write(value, cases[i].flags, NULL);
                g_assert_cmpstr(got, ==, cases[i].expect);
        }
}

static void a_digest_does_not_mind_the_order_of_keys(void) {
        g_autoptr(Value) a = json_parse("{\"a\":1,\"b\":{}}", 14, NULL, NULL);
        g_autoptr(Value) b = json_parse("{\"b\":{},\"a\":1}", 14, NULL, NULL);
        g_autofree char *first = json_digest(a), *second = json_digest(b);
        g_assert_cmpstr(first, ==, second);
        g_assert_cmpuint(strlen(first), ==, 64);
        g_autoptr(Value) empty = value_map();
        g_autofree char *known = json_digest(empty);
        g_assert_cmpstr(known, ==,
                        "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a");
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/json/valid", what_go_reads_is_read_and_written_alike);
        g_test_add_func("/json/invalid", the_rest_is_refused_in_the_words_of_go);
        g_test_add_func("/json/end", a_text_without_an_end_is_not_read_beyond);
        g_test_add_func("/json/first", the_first_value_tells_its_length);
        g_test_add_func("/json/first/broken",
                        a_first_value_that_breaks_off_is_told_as_go_s_decoder_does);
        g_test_add_func("/json/limits", limits_are_kept);
        g_test_add_func("/json/depth", deep_nesting_ends_at_the_limit);
        g_test_add_func("/json/flags", flags_change_the_form);
        g_test_add_func("/json/digest", a_digest_does_not_mind_the_order_of_keys);
        return g_test_run();
}
