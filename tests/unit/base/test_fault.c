#include "base/fault.h"

#include <glib.h>

#define POINT "volume-made"
#define ELSEWHERE "volume-dead"

static void nothing_happens_unless_named(void) {
        fault_set(NULL);
        g_assert_false(fault_here(POINT));
        fault_set(ELSEWHERE "=error");
        g_assert_false(fault_here(POINT));
        fault_set(NULL);
}

static void error_comes_at_the_nth_passage_only(void) {
        fault_set(ELSEWHERE "=kill," POINT "=error@3");
        bool expect[] = { false, false, true, false, false };
        for (size_t i = 0; i < G_N_ELEMENTS(expect); i++)
                g_assert_cmpint(fault_here(POINT), ==, expect[i]);
        fault_set(NULL);
}

static void plus_means_every_later_passage_too(void) {
        fault_set(POINT "=error@2+");
        bool expect[] = { false, true, true, true };
        for (size_t i = 0; i < G_N_ELEMENTS(expect); i++)
                g_assert_cmpint(fault_here(POINT), ==, expect[i]);
        fault_set(NULL);
}

static void exit_and_kill_end_the_process(void) {
        if (g_test_subprocess()) {
                fault_set(g_getenv("WEIR_TEST_FAULT"));
                fault_here(POINT);
                return;
        }
        g_setenv("WEIR_TEST_FAULT", POINT "=kill", true);
        g_test_trap_subprocess(NULL, 0, G_TEST_SUBPROCESS_DEFAULT);
        g_test_trap_assert_failed();
        g_setenv("WEIR_TEST_FAULT", POINT "=exit", true);
        g_test_trap_subprocess(NULL, 0, G_TEST_SUBPROCESS_DEFAULT);
        g_test_trap_assert_failed();
        g_setenv("WEIR_TEST_FAULT", ELSEWHERE "=exit", true);
        g_test_trap_subprocess(NULL, 0, G_TEST_SUBPROCESS_DEFAULT);
        g_test_trap_assert_passed();
}

static void a_point_that_is_not_in_the_table_is_refused(void) {
        if (g_test_subprocess()) {
                fault_set("nowhere=error");
                return;
        }
        g_test_trap_subprocess(NULL, 0, G_TEST_SUBPROCESS_DEFAULT);
        g_test_trap_assert_failed();
        g_test_trap_assert_stderr("*there is no point 'nowhere'*");
}

static void points_are_named_once(void) {
        for (size_t i = 0; i < fault_points_count; i++)
                for (size_t k = 0; k < i; k++)
                        g_assert_cmpstr(fault_points[i].name, !=, fault_points[k].name);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/fault/off", nothing_happens_unless_named);
        g_test_add_func("/fault/nth", error_comes_at_the_nth_passage_only);
        g_test_add_func("/fault/onwards", plus_means_every_later_passage_too);
        g_test_add_func("/fault/death", exit_and_kill_end_the_process);
        g_test_add_func("/fault/unknown", a_point_that_is_not_in_the_table_is_refused);
        g_test_add_func("/fault/table", points_are_named_once);
        return g_test_run();
}
