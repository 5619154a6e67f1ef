#include "config/pipeline.h"

typedef struct {
        const char *pattern, *text;
        bool expect;
} Case;

static const Case globs[] = {
        { "*", "a/b", true },
        { "build-*", "build-x", true },
        { "build-?", "build-x", true },
        { "build-?", "build-\u00e9", true },
        { "build-?", "build-", false },
        { "[ab]", "b", true },
        { "[!ab]", "b", false },
        { "[!ab]", "c", true },
        { "[a-c]x", "bx", true },
        { "[^a]", "^", true },
        { "[^a]", "b", false },
        { "{a,b*}-c", "bbb-c", true },
        { "{a,{b,c}}", "c", true },
        { "{a", "a", true },
        { "a\\*", "a*", true },
        { "a\\*", "ab", false },
        { "", "", true },
        { "", "a", false },
};

static const char *const bad_globs[] = { "[", "[]", "[z-a]", "[!", "[a", "**[" };

static const Case paths[] = {
        { "*", "a", true },     { "*", "a/b", false },    { "a*/b", "axx/b", true },
        { "[a-z]", "q", true }, { "[^a-z]", "q", false }, { "[^a-z]", "Q", true },
        { "[", "a", false },    { "a\\*", "a*", true },   { "{a,b}", "a", false },
        { "?", "/", false },    { "[]a]", "a", false },   { "[a-]", "a", false },
};

static void matches_globs_of_groups(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(globs); i++) {
                g_test_message("%s ~ %s", globs[i].pattern, globs[i].text);
                g_assert_true(glob_match(globs[i].pattern, globs[i].text) == globs[i].expect);
        }
}

static void refuses_globs_that_do_not_compile(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(bad_globs); i++) {
                g_autoptr(GError) error = NULL;
                g_assert_false(glob_check(bad_globs[i], &error));
                g_assert_error(error, ERROR, ERROR_INVALID);
                g_assert_false(glob_match(bad_globs[i], "a"));
        }
}

static void matches_patterns_of_passed(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(paths); i++) {
                g_test_message("%s ~ %s", paths[i].pattern, paths[i].text);
                g_assert_true(path_match(paths[i].pattern, paths[i].text) == paths[i].expect);
        }
}

/* Without its ceiling this match would take longer than anybody waits. */
static void gives_up_on_a_hostile_pattern(void) {
        g_autofree char *text = g_strnfill(200, 'a');
        g_assert_false(glob_match("*a*a*a*a*a*a*a*a*a*a*a*a*b", text));
        g_assert_false(path_match("*a*a*a*a*a*a*a*a*a*a*a*a*b", text));
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/glob/match", matches_globs_of_groups);
        g_test_add_func("/glob/refuse", refuses_globs_that_do_not_compile);
        g_test_add_func("/glob/path", matches_patterns_of_passed);
        g_test_add_func("/glob/hostile", gives_up_on_a_hostile_pattern);
        return g_test_run();
}
