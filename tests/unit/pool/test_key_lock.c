#include "pool/key_lock.h"

#include "base/thread.h"

#define THREADS 8
#define ROUNDS 200

static void take(const char *key) {
        g_autoptr(GError) error = NULL;

        key_lock_take(key, NULL, &error);
        g_assert_no_error(error);
}

static void a_key_is_taken_once(void) {
        g_assert_true(key_lock_try("a"));
        g_assert_false(key_lock_try("a"));
        g_assert_true(key_lock_try("b"));
        key_lock_release("a");
        g_assert_true(key_lock_try("a"));
        g_assert_false(key_lock_try("b"));
        key_lock_release("a");
        key_lock_release("b");
}

/* ---- exclusion ---- */

typedef struct {
        const char *key;
        int64_t count; /* no atomics: the key protects it, as TSan sees */
} Counter;

static void count(void *data) {
        Counter *counter = data;

        for (size_t i = 0; i < ROUNDS; i++) {
                take(counter->key);
                counter->count++;
                key_lock_release(counter->key);
        }
}

static void holders_of_a_key_exclude_each_other(void) {
        Counter counters[] = { { "left", 0 }, { "right", 0 } };
        Thread *threads[THREADS];

        for (size_t i = 0; i < THREADS; i++)
                threads[i] = thread_start("holder", count, &counters[i % 2]);
        for (size_t i = 0; i < THREADS; i++)
                thread_join(threads[i]);
        for (size_t i = 0; i < G_N_ELEMENTS(counters); i++)
                g_assert_cmpint(counters[i].count, ==, THREADS / 2 * ROUNDS);
}

/* ---- waiting ---- */

typedef struct {
        Cancel *cancel;
        bool (*wait)(const char *key, Cancel *cancel, GError **error);
        bool got;
        GError *error;
} Waiter;

static void wait_for_key(void *data) {
        Waiter *waiter = data;

        waiter->got = waiter->wait("key", waiter->cancel, &waiter->error);
}

static void who_only_waits_takes_nothing(void) {
        Waiter waiter = { .wait = key_lock_wait };

        take("key");
        Thread *thread = thread_start("waiter", wait_for_key, &waiter);
        key_lock_release("key");
        thread_join(thread);
        g_assert_true(waiter.got);
        g_assert_true(key_lock_try("key"));
        key_lock_release("key");
}

static void a_waiter_can_be_called_off(void) {
        static const struct {
                bool (*wait)(const char *key, Cancel *cancel, GError **error);
                CancelReason reason;
                ErrorCode code;
        } cases[] = {
                { key_lock_take, CANCEL_ABORT, ERROR_CANCELLED },
                { key_lock_take, CANCEL_DEADLINE, ERROR_TIMEOUT },
                { key_lock_wait, CANCEL_SHUTDOWN, ERROR_CANCELLED },
        };

        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(Cancel) cancel = cancel_new(NULL);
                Waiter waiter = { .cancel = cancel, .wait = cases[i].wait };
                take("key");
                Thread *thread = thread_start("waiter", wait_for_key, &waiter);
                cancel_fire(cancel, cases[i].reason);
                thread_join(thread);
                g_assert_false(waiter.got);
                g_assert_error(waiter.error, ERROR, (int) cases[i].code);
                g_clear_error(&waiter.error);
                g_assert_false(key_lock_try("key")); /* it is still ours */
                key_lock_release("key");
                g_assert_true(key_lock_try("key")); /* and was not handed to the waiter */
                key_lock_release("key");
        }
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/key-lock/once", a_key_is_taken_once);
        g_test_add_func("/key-lock/exclusion", holders_of_a_key_exclude_each_other);
        g_test_add_func("/key-lock/wait", who_only_waits_takes_nothing);
        g_test_add_func("/key-lock/cancel", a_waiter_can_be_called_off);
        return g_test_run();
}
