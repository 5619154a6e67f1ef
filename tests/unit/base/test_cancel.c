#include "base/cancel.h"
#include "base/thread.h"

#include <poll.h>
#include <stdatomic.h>
#include <unistd.h>

static void count(void *data) {
        atomic_fetch_add((atomic_int *) data, 1);
}

static bool readable(int fd) {
        struct pollfd one = { fd, POLLIN, 0 };
        return poll(&one, 1, 0) == 1;
}

static void null_never_fires(void) {
        g_assert_cmpint(cancel_reason(NULL), ==, CANCEL_NONE);
        g_assert_true(cancel_check(NULL, NULL));
        g_assert_cmpint(cancel_fd(NULL), ==, -1);
        cancel_unwatch(NULL, cancel_watch(NULL, count, NULL));
        cancel_free(NULL);
}

static void the_first_reason_stays(void) {
        g_autoptr(Cancel) cancel = cancel_new(NULL);
        g_assert_true(cancel_check(cancel, NULL));
        cancel_fire(cancel, CANCEL_SHUTDOWN);
        cancel_fire(cancel, CANCEL_ABORT);
        g_assert_cmpint(cancel_reason(cancel), ==, CANCEL_SHUTDOWN);
}

static void the_error_says_what_the_reason_was(void) {
        static const struct {
                CancelReason reason;
                ErrorCode code;
                const char *message;
        } cases[] = {
                { CANCEL_ABORT, ERROR_CANCELLED, "interrupted" },
                { CANCEL_SHUTDOWN, ERROR_CANCELLED, "interrupted" },
                { CANCEL_DEADLINE, ERROR_TIMEOUT, "timeout exceeded" },
        };
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(Cancel) cancel = cancel_new(NULL);
                g_autoptr(GError) error = NULL;
                cancel_fire(cancel, cases[i].reason);
                g_assert_false(cancel_check(cancel, &error));
                g_assert_error(error, ERROR, (int) cases[i].code);
                g_assert_cmpstr(error->message, ==, cases[i].message);
        }
}

static void children_fire_with_the_parents_reason_and_not_the_other_way(void) {
        g_autoptr(Cancel) root = cancel_new(NULL);
        g_autoptr(Cancel) left = cancel_new(root);
        g_autoptr(Cancel) right = cancel_new(root);
        g_autoptr(Cancel) leaf = cancel_new(left);
        cancel_fire(right, CANCEL_ABORT);
        g_assert_false(cancel_fired(root));
        cancel_fire(root, CANCEL_SHUTDOWN);
        g_assert_cmpint(cancel_reason(leaf), ==, CANCEL_SHUTDOWN);
        g_assert_cmpint(cancel_reason(right), ==, CANCEL_ABORT);
        g_autoptr(Cancel) late = cancel_new(root);
        g_assert_cmpint(cancel_reason(late), ==, CANCEL_SHUTDOWN);
}

static void a_parent_lives_as_long_as_its_children(void) {
        Cancel *root = cancel_new(NULL);
        g_autoptr(Cancel) leaf = cancel_new(root);
        cancel_free(root);
        g_assert_false(cancel_fired(leaf));
}

static void the_descriptor_becomes_readable_and_stays_so(void) {
        g_autoptr(Cancel) cancel = cancel_new(NULL);
        g_assert_false(readable(cancel_fd(cancel)));
        cancel_fire(cancel, CANCEL_ABORT);
        g_assert_true(readable(cancel_fd(cancel)));
        g_assert_true(readable(cancel_fd(cancel)));
        g_autoptr(Cancel) late = cancel_new(cancel);
        g_assert_true(readable(cancel_fd(late)));
}

static void a_watch_runs_once_and_at_once_when_late(void) {
        g_autoptr(Cancel) cancel = cancel_new(NULL);
        atomic_int early = 0, removed = 0, late = 0;
        uint64_t id = cancel_watch(cancel, count, &early);
        cancel_unwatch(cancel, cancel_watch(cancel, count, &removed));
        cancel_fire(cancel, CANCEL_ABORT);
        cancel_fire(cancel, CANCEL_ABORT);
        cancel_unwatch(cancel, id);
        g_assert_cmpint(cancel_watch(cancel, count, &late), ==, 0);
        g_assert_cmpint(early, ==, 1);
        g_assert_cmpint(removed, ==, 0);
        g_assert_cmpint(late, ==, 1);
}

static void deadlines_fire_in_their_order(void) {
        g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func((GDestroyNotify) cancel_free);
        for (int i = 0; i < 200; i++)
                g_ptr_array_add(all, cancel_new_deadline(NULL, (i * 7919 % 200) *
                                                                       DURATION_MILLISECOND / 4));
        for (int i = 0; i < 200; i += 3)
                g_ptr_array_remove_index_fast(all, (guint) (i * 31 % (int) all->len));
        Duration start = clock_monotonic();
        for (guint i = 0; i < all->len; i++) {
                g_assert_false(cancel_sleep(all->pdata[i], DURATION_MINUTE, NULL));
                g_assert_cmpint(cancel_reason(all->pdata[i]), ==, CANCEL_DEADLINE);
        }
        g_assert_cmpint(clock_monotonic() - start, <, 20 * DURATION_SECOND);
}

static void a_deadline_fires_children_and_a_fired_parent_beats_it(void) {
        g_autoptr(Cancel) timed = cancel_new_deadline(NULL, DURATION_MILLISECOND);
        g_autoptr(Cancel) leaf = cancel_new(timed);
        g_autoptr(GError) error = NULL;
        g_assert_false(cancel_sleep(leaf, DURATION_NEVER, &error));
        g_assert_error(error, ERROR, ERROR_TIMEOUT);

        g_autoptr(Cancel) root = cancel_new(NULL);
        g_autoptr(Cancel) hour = cancel_new_deadline(root, DURATION_HOUR);
        g_autoptr(Cancel) never = cancel_new_deadline(root, DURATION_NEVER);
        cancel_fire(root, CANCEL_ABORT);
        g_assert_cmpint(cancel_reason(hour), ==, CANCEL_ABORT);
        g_assert_cmpint(cancel_reason(never), ==, CANCEL_ABORT);
        g_autoptr(Cancel) past = cancel_new_deadline(NULL, -1);
        g_assert_cmpint(cancel_reason(past), ==, CANCEL_DEADLINE);
}

static void sleep_ends_by_itself(void) {
        g_autoptr(Cancel) cancel = cancel_new(NULL);
        Duration start = clock_monotonic();
        g_assert_true(cancel_sleep(cancel, 2 * DURATION_MILLISECOND, NULL));
        g_assert_true(cancel_sleep(NULL, 2 * DURATION_MILLISECOND, NULL));
        g_assert_cmpint(clock_monotonic() - start, >=, 4 * DURATION_MILLISECOND);
}

static void poll_returns_for_data_deadline_and_cancel(void) {
        int ends[2];
        g_assert_cmpint(pipe(ends), ==, 0);
        g_autoptr(Cancel) cancel = cancel_new(NULL);
        g_autoptr(GError) late = NULL, cancelled = NULL;
        g_assert_false(cancel_poll(cancel, ends[0], POLLIN, clock_monotonic() + 1000, &late));
        g_assert_error(late, ERROR, ERROR_TIMEOUT);
        g_assert_cmpint(write(ends[1], "x", 1), ==, 1);
        g_assert_true(cancel_poll(cancel, ends[0], POLLIN, DURATION_NEVER, NULL));
        g_assert_true(cancel_poll(NULL, ends[0], POLLIN, 0, NULL));
        cancel_fire(cancel, CANCEL_ABORT);
        g_assert_false(cancel_poll(cancel, ends[0], POLLIN, DURATION_NEVER, &cancelled));
        g_assert_error(cancelled, ERROR, ERROR_CANCELLED);
        close(ends[0]);
        close(ends[1]);
}

/* ---- races: what TSan looks at ---- */

typedef struct {
        Mutex mutex;
        Condition changed;
        bool inside, leave;
        atomic_bool left;
} Gate;

static void enter_and_stay(void *data) {
        Gate *gate = data;
        MUTEX_SCOPE(&gate->mutex);
        gate->inside = true;
        condition_broadcast(&gate->changed);
        while (!gate->leave)
                condition_wait(&gate->changed, &gate->mutex);
        atomic_store(&gate->left, true);
}

static void fire_abort(void *data) {
        cancel_fire(data, CANCEL_ABORT);
}

static void let_go(void *data) {
        Gate *gate = data;
        MUTEX_SCOPE(&gate->mutex);
        gate->leave = true;
        condition_broadcast(&gate->changed);
}

static void unwatch_waits_for_a_running_watch(void) {
        g_autoptr(Cancel) cancel = cancel_new(NULL);
        Gate gate = { .inside = false };
        mutex_init(&gate.mutex);
        condition_init(&gate.changed);
        uint64_t id = cancel_watch(cancel, enter_and_stay, &gate);
        Thread *firing = thread_start("fire", fire_abort, cancel);
        mutex_lock(&gate.mutex);
        while (!gate.inside)
                condition_wait(&gate.changed, &gate.mutex);
        mutex_unlock(&gate.mutex);
        Thread *helper = thread_start("let-go", let_go, &gate);
        cancel_unwatch(cancel, id);
        g_assert_true(gate.left);
        thread_join(helper);
        thread_join(firing);
        mutex_destroy(&gate.mutex);
        condition_destroy(&gate.changed);
}

typedef struct {
        Cancel *root;
        atomic_int fired;
} Storm;

static void make_and_drop(void *data) {
        Storm *storm = data;
        for (int i = 0; i < 300; i++) {
                g_autoptr(Cancel) timed = cancel_new_deadline(storm->root, 50000 + i * 997);
                g_autoptr(Cancel) leaf = cancel_new(timed);
                uint64_t id = cancel_watch(leaf, count, &storm->fired);
                if (i % 3 == 0)
                        cancel_fire(timed, CANCEL_ABORT);
                if (i % 3 == 1)
                        cancel_sleep(leaf, DURATION_SECOND, NULL);
                cancel_unwatch(leaf, id);
        }
}

static void firing_from_all_sides_harms_nobody(void) {
        Storm storm = { .root = cancel_new(NULL) };
        Thread *threads[8];
        for (size_t i = 0; i < G_N_ELEMENTS(threads); i++)
                threads[i] = thread_start("storm", make_and_drop, &storm);
        for (size_t i = 0; i < G_N_ELEMENTS(threads) / 2; i++)
                thread_join(threads[i]);
        cancel_fire(storm.root, CANCEL_SHUTDOWN);
        for (size_t i = G_N_ELEMENTS(threads) / 2; i < G_N_ELEMENTS(threads); i++)
                thread_join(threads[i]);
        g_assert_cmpint(storm.fired, >, 0);
        cancel_free(storm.root);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/cancel/null", null_never_fires);
        g_test_add_func("/cancel/first", the_first_reason_stays);
        g_test_add_func("/cancel/error", the_error_says_what_the_reason_was);
        g_test_add_func("/cancel/children",
                        children_fire_with_the_parents_reason_and_not_the_other_way);
        g_test_add_func("/cancel/lifetime", a_parent_lives_as_long_as_its_children);
        g_test_add_func("/cancel/descriptor", the_descriptor_becomes_readable_and_stays_so);
        g_test_add_func("/cancel/watch", a_watch_runs_once_and_at_once_when_late);
        g_test_add_func("/cancel/deadlines", deadlines_fire_in_their_order);
        g_test_add_func("/cancel/deadline", a_deadline_fires_children_and_a_fired_parent_beats_it);
        g_test_add_func("/cancel/sleep", sleep_ends_by_itself);
        g_test_add_func("/cancel/poll", poll_returns_for_data_deadline_and_cancel);
        g_test_add_func("/cancel/unwatch", unwatch_waits_for_a_running_watch);
        g_test_add_func("/cancel/storm", firing_from_all_sides_harms_nobody);
        return g_test_run();
}
