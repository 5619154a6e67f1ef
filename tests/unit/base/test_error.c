#include "base/error.h"

/* Takes the errors. */
static GError *join(GError *first, GError *second) {
        g_autoptr(GPtrArray) errors = g_ptr_array_new_with_free_func((GDestroyNotify) g_error_free);
        GError *joined = NULL;

        g_ptr_array_add(errors, first);
        if (second)
                g_ptr_array_add(errors, second);
        error_join(&joined, errors);
        return joined;
}

static void joined_errors_keep_the_code_of_the_first(void) {
        g_autoptr(GError) joined = join(g_error_new(ERROR, ERROR_TIMEOUT, "late"),
                                        g_error_new(ERROR, ERROR_INVALID, "bad"));
        g_assert_error(joined, ERROR, ERROR_TIMEOUT);
        g_assert_cmpstr(joined->message, ==, "2 errors occurred:\n\t* late\n\t* bad\n\n");
}

static void an_error_of_another_domain_is_internal(void) {
        g_autoptr(GError) joined = join(g_error_new(G_MARKUP_ERROR, 3, "markup"), NULL);
        g_assert_error(joined, ERROR, ERROR_INTERNAL);
        g_assert_cmpstr(joined->message, ==, "1 error occurred:\n\t* markup\n\n");
}

static void what_was_joined_before_is_joined_flat(void) {
        GError *inner = join(g_error_new(ERROR, ERROR_INVALID, "a\n"),
                             g_error_new(ERROR, ERROR_INVALID, "b"));
        g_autoptr(GError) outer = join(g_error_copy(inner), g_error_new(ERROR, ERROR_IO, "c"));
        g_error_free(inner);
        g_assert_cmpstr(outer->message, ==, "3 errors occurred:\n\t* a\n\n\t* b\n\t* c\n\n");
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/error/join/code", joined_errors_keep_the_code_of_the_first);
        g_test_add_func("/error/join/foreign", an_error_of_another_domain_is_internal);
        g_test_add_func("/error/join/flat", what_was_joined_before_is_joined_flat);
        return g_test_run();
}
