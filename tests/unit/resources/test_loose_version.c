#include "resources/loose_version.h"

#include <string.h>

static const struct {
        const char *text, *normal; /* NULL: it is none */
} versions[] = {
        { "1", "1.0.0" },
        { "v1.2", "1.2.0" },
        { "1.2.3", "1.2.3" },
        { "20240101", "20240101.0.0" },
        { "1.2-rc.1", "1.2.0-rc.1" },
        { "1.2.3-rc1+build.5", "1.2.3-rc1+build.5" },
        { "1.0.0+x", "1.0.0+x" },
        { "1.0.0-a-b.c", "1.0.0-a-b.c" },
        { "", NULL },
        { "v", NULL },
        { "latest", NULL },
        { "1.", NULL },
        { "1.2.3.4", NULL },
        { "1.2.3-", NULL },
        { "1.2.3-a..b", NULL },
        { "1.2.3-01", NULL },
        { "1.2.3 ", NULL },
        { "99999999999999999999", NULL },
        { "-1", NULL },
};

static void parses_loosely_and_writes_all_three_parts(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(versions); i++) {
                g_auto(LooseVersion) version = { 0 };
                bool parsed = loose_version_parse(versions[i].text, &version);
                g_test_message("%s", versions[i].text);
                g_assert_cmpint(parsed, ==, versions[i].normal != NULL);
                if (!parsed)
                        continue;
                g_autofree char *text = loose_version_text(&version);
                g_assert_cmpstr(text, ==, versions[i].normal);
        }
}

static void orders_by_precedence(void) {
        static const char *const ascending[] = {
                "0.9.9",         "1.0.0-1",    "1.0.0-2",    "1.0.0-10",    "1.0.0-alpha",
                "1.0.0-alpha.1", "1.0.0-beta", "1.0.0-rc.9", "1.0.0-rc.10", "1.0.0",
                "1.0.1",         "1.10.0",     "2.0.0",
        };
        for (size_t i = 0; i < G_N_ELEMENTS(ascending); i++)
                for (size_t j = 0; j < G_N_ELEMENTS(ascending); j++) {
                        g_auto(LooseVersion) a = { 0 }, b = { 0 };
                        g_assert_true(loose_version_parse(ascending[i], &a));
                        g_assert_true(loose_version_parse(ascending[j], &b));
                        int order = loose_version_compare(&a, &b);
                        g_assert_cmpint((order > 0) - (order < 0), ==, (i > j) - (i < j));
                }
}

static const struct {
        const char *constraint, *meets, *fails; /* versions, blank-separated */
} constraints[] = {
        { "1.2.x", "1.2.0 1.2.9", "1.1.9 1.3.0 1.2.3-rc.1" },
        { "1.2", "1.2.0 1.2.9", "1.3.0" },
        { "1", "1.0.0 1.99.0", "2.0.0 0.9.0" },
        { "1.2.3", "1.2.3", "1.2.4" },
        { "=1.2.3", "1.2.3", "1.2.2" },
        { "*", "0.0.0 1.2.3 99.0.0", "1.0.0-rc.1" },
        { "!=1.2.3", "1.2.4 2.0.0", "1.2.3" },
        { "!=1.2.x", "1.3.0", "1.2.0 1.2.7" },
        { ">1.2.3", "1.2.4 2.0.0", "1.2.3" },
        { ">11", "12.0.0", "11.1.0" },
        { ">1.2", "1.3.0", "1.2.9" },
        { "<2", "1.9.9", "2.0.0 2.0.0-rc.1" },
        { "<=1.2", "1.2.9 0.1.0", "1.3.0" },
        { "=<1.2.3", "1.2.3", "1.2.4" },
        { ">=1.2.0-0", "1.2.0-rc.1 1.2.0 1.3.0-beta.1", "1.1.0" },
        { "~1.2.3", "1.2.3 1.2.9", "1.3.0 1.2.2" },
        { "~1", "1.0.0 1.9.0", "2.0.0" },
        { "~> 1.2", "1.2.5", "1.3.0" },
        { "^1.2.3", "1.2.3 1.9.0", "2.0.0 1.2.2" },
        { "^0.2.3", "0.2.9", "0.3.0" },
        { "^0.0.3", "0.0.3", "0.0.4" },
        { "^0.0", "0.0.9", "0.1.0" },
        { "^0", "0.9.0", "1.0.0" },
        { ">= 1.2, < 2", "1.2.0 1.9.0", "2.0.0 1.1.0" },
        { ">=1.2 <2", "1.2.0", "2.0.0" },
        { "1.2 - 1.4.5", "1.2.0 1.4.5", "1.4.6 1.1.9" },
        { "<1 || >=3", "0.5.0 3.0.0", "1.0.0 2.9.0" },
};

static void constraints_meet_what_masterminds_meets(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(constraints); i++) {
                g_autoptr(GError) error = NULL;
                g_autoptr(VersionConstraint)
                        constraint = version_constraint_parse(constraints[i].constraint, &error);
                g_assert_no_error(error);
                for (int expect = 0; expect < 2; expect++) {
                        const char *words = expect ? constraints[i].meets : constraints[i].fails;
                        g_auto(GStrv) list = g_strsplit(words, " ", -1);
                        for (char **word = list; *word; word++) {
                                g_auto(LooseVersion) version = { 0 };
                                g_test_message("%s and %s", constraints[i].constraint, *word);
                                g_assert_true(loose_version_parse(*word, &version));
                                g_assert_cmpint(version_constraint_meets(constraint, &version), ==,
                                                expect);
                        }
                }
        }
}

static void improper_constraints_are_refused(void) {
        static const char *const improper[] = { "",     "latest", ">",    "1.2.3.4", ">=1,",
                                                "1 ||", "=> ",    "1,,2", "!1",      "1.2-" };
        for (size_t i = 0; i < G_N_ELEMENTS(improper); i++) {
                g_autoptr(GError) error = NULL;
                g_test_message("%s", improper[i]);
                g_assert_null(version_constraint_parse(improper[i], &error));
                g_assert_error(error, ERROR, ERROR_INVALID);
                g_assert_true(g_str_has_prefix(error->message, "improper constraint: "));
        }
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/loose_version/parse", parses_loosely_and_writes_all_three_parts);
        g_test_add_func("/loose_version/order", orders_by_precedence);
        g_test_add_func("/version_constraint/meets", constraints_meet_what_masterminds_meets);
        g_test_add_func("/version_constraint/improper", improper_constraints_are_refused);
        return g_test_run();
}
