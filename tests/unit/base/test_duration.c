#include "base/duration.h"

typedef struct {
        const char *text;
        Duration expect;
} Case;

static const Case valid[] = {
        { "0", 0 },
        { "5s", 5000000000 },
        { "1h30m", 5400000000000 },
        { "-1.5m", -90000000000 },
        { "+250ms", 250000000 },
        { ".5s", 500000000 },
        { "1.s", 1000000000 },
        { "1.5ns", 1 },
        { "1.000000001s", 1000000001 },
        { "0.3333333333333333333h", 1200000000000 },
        { "9007199254740993ns", 9007199254740993 },
        { "10\u00b5s10\u03bcs", 20000 },
        { "2562047h47m16.854775807s", INT64_MAX },
        { "-2562047h47m16.854775808s", INT64_MIN },
};

static const char *const invalid[] = {
        "",
        "-",
        "5",
        ".s",
        "1x",
        "1h 30m",
        " 1s",
        "1e3s",
        "inf",
        "0s0",
        "1..5s",
        "2562047h47m16.854775808s",
        "99999999999999999999ns",
};

static void parses_what_go_parses(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(valid); i++) {
                g_autoptr(GError) error = NULL;
                Duration got = 42;
                g_assert_true(duration_parse(valid[i].text, &got, &error));
                g_assert_no_error(error);
                g_assert_cmpint(got, ==, valid[i].expect);
        }
}

static void refuses_the_rest_and_leaves_the_result_alone(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(invalid); i++) {
                g_autoptr(GError) error = NULL;
                Duration got = 42;
                g_assert_false(duration_parse(invalid[i], &got, &error));
                g_assert_error(error, ERROR, ERROR_INVALID);
                g_assert_cmpint(got, ==, 42);
        }
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/duration/parse/valid", parses_what_go_parses);
        g_test_add_func("/duration/parse/invalid", refuses_the_rest_and_leaves_the_result_alone);
        return g_test_run();
}
