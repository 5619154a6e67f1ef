#include "leaves.h"

#include "base/thread.h"
#include "engine/parallel.h"

#include <string.h>

/* What the members of one group share; the first is 'a'. */
static struct {
        Mutex mutex;
        Condition changed;
        size_t running, most, begun, waiting_for;
        GString *order;
        Cancel *outer;
        const char *script; /* a letter for each member */
} group;

static void begin(size_t index) {
        MUTEX_SCOPE(&group.mutex);
        g_string_append_c(group.order, (char) ('a' + index));
        group.running++;
        group.begun++;
        group.most = MAX(group.most, group.running);
        condition_broadcast(&group.changed);
        while (group.begun < group.waiting_for)
                condition_wait(&group.changed, &group.mutex);
}

/* o: ok, f: fails, e: errors, w: waits for its token, a: aborts all of it and waits. */
static bool member(void *data, size_t index, Cancel *cancel, bool *ret_succeeded, GError **error) {
        begin(index);
        char what = group.script[index];
        bool ran = what == 'o' || what == 'f';
        if (what == 'e')
                g_set_error(error, ERROR, ERROR_INVALID, "%c is broken", (char) ('a' + index));
        if (what == 'a')
                cancel_fire(group.outer, CANCEL_ABORT);
        if (what == 'a' || what == 'w')
                cancel_sleep(cancel, DURATION_NEVER, error);
        *ret_succeeded = what == 'o';
        MUTEX_SCOPE(&group.mutex);
        group.running--;
        return ran;
}

typedef struct {
        const char *script;
        size_t limit;
        bool fail_fast;
        size_t together;     /* so many must have begun before the first may go on */
        bool ran, succeeded; /* expected */
        const char *error, *order;
} Case;

static const Case cases[] = {
        { "ooo", 1, false, 0, true, true, NULL, "abc" },
        { "ooo", 0, false, 3, true, true, NULL, NULL },
        { "oooo", 2, false, 2, true, true, NULL, NULL },
        { "ooo", 9, false, 3, true, true, NULL, NULL },
        { "ofo", 1, false, 0, true, false, NULL, "abc" },
        { "fff", 0, false, 0, true, false, NULL, NULL },
        { "ofo", 1, true, 0, true, false, NULL, "ab" },
        { "eoe", 1, false, 0, false, false,
          "2 errors occurred:\n\t* a is broken\n\t* c is broken\n\n", "abc" },
        { "feo", 1, false, 0, false, false, "1 error occurred:\n\t* b is broken\n\n", "abc" },
        /* Siblings that fail_fast interrupts say nothing. */
        { "wwf", 0, true, 3, true, false, NULL, NULL },
        { "wwe", 0, true, 3, false, false, "1 error occurred:\n\t* c is broken\n\n", NULL },
        { "wfo", 2, true, 2, true, false, NULL, NULL },
        /* The surrounding token wins over everything. */
        { "wwa", 0, false, 3, false, false, "interrupted", NULL },
        { "ea", 0, false, 2, false, false, "interrupted", NULL },
        { "ao", 1, false, 0, false, false, "interrupted", "a" },
        { "", 0, false, 0, true, true, NULL, "" },
};

static void check(const Case *test) {
        g_autoptr(Cancel) outer = cancel_new(NULL);
        g_autoptr(GError) error = NULL;
        bool succeeded = false;

        group.running = group.most = group.begun = 0;
        group.waiting_for = test->together;
        group.order = g_string_new(NULL);
        group.outer = outer;
        group.script = test->script;
        const Parallel parallel = { .count = strlen(test->script),
                                    .limit = test->limit,
                                    .fail_fast = test->fail_fast,
                                    .cancel = outer,
                                    .run = member };
        bool ran = parallel_run(&parallel, &succeeded, &error);
        if (ran != test->ran || succeeded != test->succeeded)
                g_error("%s: %d %d", test->script, ran, succeeded);
        g_assert_cmpstr(error ? error->message : NULL, ==, test->error);
        if (test->order)
                g_assert_cmpstr(group.order->str, ==, test->order);
        if (test->limit)
                g_assert_cmpint(group.most, <=, test->limit);
        g_assert_cmpint(group.most, >=, test->together);
        g_string_free(group.order, true);
}

static void members_run_in_order_and_their_ends_are_joined(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
                check(&cases[i]);
}

static void an_abort_ends_the_wait_for_a_place(void) {
        for (int i = 0; i < 200; i++)
                check(&(Case){ "aooo", 1, false, 0, false, false, "interrupted", "a" });
}

int main(int argc, char **argv) {
        mutex_init(&group.mutex);
        condition_init(&group.changed);
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/parallel/cases", members_run_in_order_and_their_ends_are_joined);
        g_test_add_func("/parallel/abort-while-waiting", an_abort_ends_the_wait_for_a_place);
        return g_test_run();
}
