#include "base/thread.h"

#include <signal.h>
#include <stdatomic.h>

static void count(void *data) {
        atomic_fetch_add((atomic_int *) data, 1);
}

static void look_at_signals(void *data) {
        sigset_t mask;
        pthread_sigmask(SIG_SETMASK, NULL, &mask);
        *(bool *) data = sigismember(&mask, SIGTERM) && sigismember(&mask, SIGCHLD);
}

static void threads_run_with_signals_blocked(void) {
        bool blocked = false;
        thread_join(thread_start("a-name-longer-than-15", look_at_signals, &blocked));
        g_assert_true(blocked);
        thread_join(NULL);
}

static void a_wait_ends_at_its_deadline(void) {
        Mutex mutex;
        Condition condition;
        mutex_init(&mutex);
        condition_init(&condition);
        mutex_lock(&mutex);
        Duration deadline = clock_monotonic() + 2 * DURATION_MILLISECOND;
        while (condition_wait_until(&condition, &mutex, deadline))
                ;
        g_assert_cmpint(clock_monotonic(), >=, deadline);
        mutex_unlock(&mutex);
        condition_destroy(&condition);
        mutex_destroy(&mutex);
}

static void a_pool_runs_all_that_was_pushed(void) {
        atomic_int done = 0;
        ThreadPool *pool = thread_pool_new("pool", 4);
        for (int i = 0; i < 1000; i++)
                thread_pool_push(pool, count, &done);
        thread_pool_free(pool);
        g_assert_cmpint(done, ==, 1000);
        thread_pool_free(NULL);
}

typedef struct {
        Mutex mutex;
        Condition changed;
        int inside;
        bool leave;
} Room;

static void room_init(Room *room) {
        *room = (Room){ .inside = 0 };
        mutex_init(&room->mutex);
        condition_init(&room->changed);
}

static void room_enter(void *data) {
        Room *room = data;
        MUTEX_SCOPE(&room->mutex);
        room->inside++;
        condition_broadcast(&room->changed);
        while (!room->leave)
                condition_wait(&room->changed, &room->mutex);
}

static void room_await(Room *room, int count_inside) {
        MUTEX_SCOPE(&room->mutex);
        while (room->inside < count_inside)
                condition_wait(&room->changed, &room->mutex);
}

static void room_open(Room *room) {
        MUTEX_SCOPE(&room->mutex);
        room->leave = true;
        condition_broadcast(&room->changed);
}

static void room_destroy(Room *room) {
        mutex_destroy(&room->mutex);
        condition_destroy(&room->changed);
}

static void a_pool_grows_to_its_maximum_and_no_further(void) {
        Room room;
        room_init(&room);
        ThreadPool *pool = thread_pool_new("pool", 3);
        for (int i = 0; i < 5; i++)
                thread_pool_push(pool, room_enter, &room);
        room_await(&room, 3);
        g_assert_cmpint(thread_pool_waiting(pool), ==, 2);
        room_open(&room);
        thread_pool_free(pool);
        g_assert_cmpint(room.inside, ==, 5);
        room_destroy(&room);
}

/* ---- queues ---- */

static void a_queue_keeps_order_and_its_ceiling(void) {
        g_autoptr(Queue) queue = queue_new(2);
        int items[3];
        void *got = NULL;
        g_assert_true(queue_try_push(queue, &items[0]));
        g_assert_true(queue_push(queue, &items[1], NULL, NULL));
        g_assert_false(queue_try_push(queue, &items[2]));
        g_assert_true(queue_pop(queue, &got, DURATION_NEVER, NULL, NULL));
        g_assert_true(got == &items[0]);
        g_assert_true(queue_pop(queue, &got, DURATION_NEVER, NULL, NULL));
        g_assert_true(got == &items[1]);
}

static void pop_ends_by_deadline_cancel_and_close(void) {
        g_autoptr(Queue) queue = queue_new(1);
        g_autoptr(Cancel) cancel = cancel_new(NULL);
        g_autoptr(GError) late = NULL, cancelled = NULL, closed = NULL, refused = NULL;
        int item;
        void *got = NULL;
        g_assert_false(queue_pop(queue, &got, 0, cancel, &late));
        g_assert_error(late, ERROR, ERROR_TIMEOUT);
        cancel_fire(cancel, CANCEL_ABORT);
        g_assert_false(queue_pop(queue, &got, DURATION_NEVER, cancel, &cancelled));
        g_assert_error(cancelled, ERROR, ERROR_CANCELLED);

        g_assert_true(queue_try_push(queue, &item));
        queue_close(queue);
        g_assert_true(queue_pop(queue, &got, DURATION_NEVER, NULL, NULL));
        g_assert_false(queue_pop(queue, &got, DURATION_NEVER, NULL, &closed));
        g_assert_error(closed, ERROR, ERROR_NOT_FOUND);
        g_assert_false(queue_push(queue, &item, NULL, &refused));
        g_assert_error(refused, ERROR, ERROR_NOT_FOUND);
        g_assert_false(queue_try_push(queue, &item));
}

typedef struct {
        Queue *queue;
        Cancel *cancel;
        atomic_int pushed, popped;
} Traffic;

static void push_many(void *data) {
        Traffic *traffic = data;
        while (queue_push(traffic->queue, traffic, traffic->cancel, NULL))
                atomic_fetch_add(&traffic->pushed, 1);
}

static void pop_many(void *data) {
        Traffic *traffic = data;
        for (void *item; queue_pop(traffic->queue, &item, DURATION_NEVER, NULL, NULL);)
                if (atomic_fetch_add(&traffic->popped, 1) == 5000)
                        cancel_fire(traffic->cancel, CANCEL_ABORT);
}

static void nothing_is_lost_between_threads(void) {
        Traffic traffic = { .queue = queue_new(3), .cancel = cancel_new(NULL) };
        Thread *pushers[3], *poppers[3];
        for (size_t i = 0; i < 3; i++) {
                pushers[i] = thread_start("push", push_many, &traffic);
                poppers[i] = thread_start("pop", pop_many, &traffic);
        }
        for (size_t i = 0; i < 3; i++)
                thread_join(pushers[i]);
        queue_close(traffic.queue);
        for (size_t i = 0; i < 3; i++)
                thread_join(poppers[i]);
        g_assert_cmpint(traffic.pushed, ==, traffic.popped);
        queue_free(traffic.queue);
        cancel_free(traffic.cancel);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/thread/signals", threads_run_with_signals_blocked);
        g_test_add_func("/thread/deadline", a_wait_ends_at_its_deadline);
        g_test_add_func("/pool/all", a_pool_runs_all_that_was_pushed);
        g_test_add_func("/pool/maximum", a_pool_grows_to_its_maximum_and_no_further);
        g_test_add_func("/queue/order", a_queue_keeps_order_and_its_ceiling);
        g_test_add_func("/queue/ends", pop_ends_by_deadline_cancel_and_close);
        g_test_add_func("/queue/traffic", nothing_is_lost_between_threads);
        return g_test_run();
}
