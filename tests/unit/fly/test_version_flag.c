#include "fly/version_flag.h"

static Value *version_of(const char *const *pairs) {
        g_autoptr(GPtrArray) list = g_ptr_array_new();

        for (; *pairs; pairs++)
                g_ptr_array_add(list, (char *) *pairs);
        return version_of_pairs(list);
}

static void a_pair_ends_its_key_at_the_first_colon(void) {
        g_autoptr(Value) version = version_of((const char *const[]){ "b:1:2", "a:x y", "c", NULL });
        g_autofree char *text = version_format(version), *json = version_json(version),
                        *filter = version_filter(version);

        g_assert_cmpstr(text, ==, "a:x y,b:1:2,c:");
        g_assert_cmpstr(json, ==, "{\"a\":\"x y\",\"b\":\"1:2\",\"c\":\"\"}");
        g_assert_cmpstr(filter, ==, "filter=b%3A1%3A2&filter=a%3Ax+y&filter=c%3A");
}

static void no_pairs_are_no_version(void) {
        g_autoptr(Value) version = version_of((const char *const[]){ NULL });
        g_autofree char *text = version_format(version), *filter = version_filter(version);

        g_assert_cmpstr(text, ==, "");
        g_assert_cmpstr(filter, ==, "");
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/version-flag/pairs", a_pair_ends_its_key_at_the_first_colon);
        g_test_add_func("/version-flag/none", no_pairs_are_no_version);
        return g_test_run();
}
