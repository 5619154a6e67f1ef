#include "steps/redactor.h"

#include "base/json.h"

#include <string.h>

static void track(Redactor *redactor, const char *text) {
        g_autofree char *quoted = g_strdelimit(g_strdup(text), "'", '"');
        g_autoptr(Value) value = json_parse(quoted, strlen(quoted), NULL, NULL);
        g_assert_nonnull(value);
        redactor_track(redactor, value);
}

static const struct {
        const char *secrets, *text, *expect;
} cases[] = {
        { "'hunter2'", "my hunter2!", "my ((redacted))!" },
        { "'hunter2'", "hunter2hunter2", "((redacted))((redacted))" },
        { "'hunter2'", "hunter", "hunter" },
        { "'hunter2'", "", "" },
        { "''", "abc", "abc" },
        { "'x'", "axb", "axb" }, /* one byte would blacken everything */
        { "'xy'", "axyb", "a((redacted))b" },
        { "'  padded \\t'", "a padded b", "a ((redacted)) b" },
        /* each line by itself */
        { "'one\\ntwo\\n\\nz\\n'", "two-one\nz", "((redacted))-((redacted))\nz" },
        { "'one\\r\\ntwo'", "one two", "((redacted)) ((redacted))" },
        /* the longest that begins here, whatever the order */
        { "{'a':'ab','b':'abcd'}", "abcd abc", "((redacted)) ((redacted))c" },
        { "{'a':'abcd','b':'bcde'}", "abcde", "((redacted))e" },
        { "{'a':{'b':{'c':'deep'}}}", "deep", "((redacted))" },
        /* lists, numbers and bools are not walked */
        { "{'a':['listed'],'b':12345,'c':true}", "listed 12345 true", "listed 12345 true" },
        { "['listed']", "listed", "listed" },
        { "null", "null", "null" },
};

static void every_tracked_line_is_replaced(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(Redactor) redactor = redactor_new();
                size_t length;
                track(redactor, cases[i].secrets);
                g_autofree char *got = redactor_apply(redactor, cases[i].text,
                                                      strlen(cases[i].text), &length);
                g_assert_cmpstr(got, ==, cases[i].expect);
                g_assert_cmpint(length, ==, strlen(cases[i].expect));
        }
}

static void bytes_of_any_kind_pass(void) {
        g_autoptr(Redactor) redactor = redactor_new();
        size_t length;
        track(redactor, "'key'");
        g_autofree char *got = redactor_apply(redactor, "a\0key\xff", 6, &length);
        g_assert_cmpmem(got, length, "a\0((redacted))\xff", 15);
}

static void it_is_armed_by_the_first_secret(void) {
        g_autoptr(Redactor) redactor = redactor_new();
        g_assert_false(redactor_is_armed(redactor));
        track(redactor, "'x'");
        g_assert_false(redactor_is_armed(redactor));
        track(redactor, "'xy'");
        track(redactor, "'xy'");
        g_assert_true(redactor_is_armed(redactor));
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/redactor/cases", every_tracked_line_is_replaced);
        g_test_add_func("/redactor/bytes", bytes_of_any_kind_pass);
        g_test_add_func("/redactor/armed", it_is_armed_by_the_first_secret);
        return g_test_run();
}
