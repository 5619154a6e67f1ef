#include "../store/house.h"

#include "checker/check_run.h"

#define PATIENCE (20 * DURATION_SECOND)

typedef struct {
        StepSettings settings;
        Pool *pool;
        Checker *checker;
        Subscription *ends;
} Bench;

static void bench_open(Bench *bench, House *house) {
        static const SubscriptionTopic topic = { NOTIFY_CHECKED, 0 };
        bench->pool = pool_new(&(PoolSpec){ .store = house->store });
        bench->settings = (StepSettings){ .store = house->store,
                                          .pool = bench->pool,
                                          .checking_interval = DURATION_MINUTE,
                                          .type_checking_interval = DURATION_MINUTE,
                                          .redact_secrets = true };
        bench->ends = subscription_new(house->store, &topic, 1);
        bench->checker = checker_new(&(CheckerSpec){
                .settings = &bench->settings, .node = "n", .checks_per_second = -1 });
}

static void bench_close(Bench *bench) {
        checker_free(bench->checker);
        subscription_free(bench->ends);
        pool_free(bench->pool);
}

/* Waits until so many checks have ended, and none runs. */
static void await_checks(Bench *bench, uint64_t count) {
        Duration deadline = clock_monotonic() + PATIENCE;
        for (;;) {
                CheckerStats stats;
                checker_stats(bench->checker, &stats);
                if (stats.succeeded + stats.failed >= count && stats.running == 0)
                        return;
                g_assert_cmpint(clock_monotonic(), <, deadline);
                OK(subscription_wait(bench->ends, deadline, NULL, NULL, &error));
        }
}

/* Makes the loop look again, and waits until it was told. */
static void nudge(House *house, Bench *bench) {
        for (int i = 0; i < 5; i++) {
                OK(notify_send(house->store, NOTIFY_CHECKED, 0, &error));
                OK(subscription_wait(bench->ends, clock_monotonic() + PATIENCE, NULL, NULL,
                                     &error));
        }
}

static uint64_t begun(Bench *bench) {
        CheckerStats stats;
        checker_stats(bench->checker, &stats);
        return stats.started;
}

#define ONE(fields)                                                                                \
        "{'resources':[{'name':'repo','type':'git','source':{'uri':'a'}" fields "}],"              \
        "'jobs':[{'name':'j','plan':[{'get':'repo','trigger':true}]}]}"

static void what_cannot_be_asked_is_left_alone_for_a_while(House *house) {
        Bench bench;
        house_save(house, ONE(""));
        bench_open(&bench, house);
        await_checks(&bench, 1);
        nudge(house, &bench);
        g_assert_cmpint(begun(&bench), ==, 1);

        /* Nor when a build wants it: it would ask again after each failure. */
        checker_request(bench.checker, resource_id(house, "repo"), clock_now());
        nudge(house, &bench);
        g_assert_cmpint(begun(&bench), ==, 1);
        bench_close(&bench);
}

static void the_failure_is_shown_as_a_check(House *house) {
        Bench bench;
        house_save(house, ONE(""));
        bench_open(&bench, house);
        await_checks(&bench, 1);
        g_auto(CheckSummary) summary = { 0 };
        OK(check_summary_get(house->store, resource_id(house, "repo"), 0, &summary, &error));
        g_assert_cmpint(summary.id, !=, 0);
        g_assert_cmpint(summary.status, ==, BUILD_ERRORED);
        g_autofree char *log = read_log(house, summary.id, 0);
        g_assert_nonnull(strstr(log, "status errored"));
        bench_close(&bench);
}

static void never_is_never_by_itself(House *house) {
        Bench bench;
        house_save(house, ONE(",'check_every':'never'"));
        bench_open(&bench, house);
        nudge(house, &bench);
        g_assert_cmpint(begun(&bench), ==, 0);
        checker_request(bench.checker, resource_id(house, "repo"), clock_now());
        await_checks(&bench, 1);
        bench_close(&bench);
}

/* A pending build asks at every pass, and a check that ended brings the next pass. */
static void asking_wakes_nobody_who_waits_for_checks(House *house) {
        static const SubscriptionTopic topics[] = { { NOTIFY_CHECKED, 0 },
                                                    { NOTIFY_RESOURCES, 0 } };
        Bench bench;
        house_save(house, ONE(""));
        bench_open(&bench, house);
        await_checks(&bench, 1);
        g_autoptr(Subscription)
                waiting = subscription_new(house->store, topics, G_N_ELEMENTS(topics));
        int woken = 0;
        for (int i = 0; i < 20; i++) {
                g_autoptr(GArray) came = NULL;
                checker_request(bench.checker, resource_id(house, "repo"), clock_now());
                OK(subscription_wait(waiting, clock_monotonic() + 5 * DURATION_MILLISECOND, NULL,
                                     &came, &error));
                woken += came->len > 0;
        }
        g_assert_cmpint(woken, <=, 1); /* the first check's own end may only now be told */
        bench_close(&bench);
}

static void what_was_checked_waits_for_its_interval(House *house) {
        Bench bench;
        house_save(house, ONE(""));
        int64_t scope = scope_of(house, "repo");
        OK(scope_check_ended(house->store, scope, true, clock_now(),
                             clock_now() + (Time) 60 * 1000000, &error));
        bench_open(&bench, house);
        nudge(house, &bench);
        g_assert_cmpint(begun(&bench), ==, 0);
        bench_close(&bench);
}

static void paused_pipelines_are_not_checked(House *house) {
        Bench bench;
        house_save(house, ONE(""));
        OK(pipeline_pause(house->store, house->pipeline_id, "me", &error));
        bench_open(&bench, house);
        nudge(house, &bench);
        g_assert_cmpint(begun(&bench), ==, 0);
        OK(pipeline_unpause(house->store, house->pipeline_id, &error));
        await_checks(&bench, 1);
        bench_close(&bench);
}

static void intervals_are_read_from_the_config(void) {
        static const struct {
                const char *config;
                Duration expect;
        } cases[] = {
                { "{}", DURATION_MINUTE },
                { "{'check_every':'5s'}", 5 * DURATION_SECOND },
                { "{'check_every':'never'}", 0 },
                { "{'check_every':''}", DURATION_MINUTE },
        };
        const StepSettings settings = { .checking_interval = DURATION_MINUTE };
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(Value) config = json(cases[i].config);
                g_assert_cmpint(check_interval(&settings, config), ==, cases[i].expect);
        }
}

static void add(void) {
        g_test_add_func("/checker/interval", intervals_are_read_from_the_config);
        house_add("/checker/no-worker", what_cannot_be_asked_is_left_alone_for_a_while);
        house_add("/checker/shown", the_failure_is_shown_as_a_check);
        house_add("/checker/never", never_is_never_by_itself);
        house_add("/checker/quiet", asking_wakes_nobody_who_waits_for_checks);
        house_add("/checker/due", what_was_checked_waits_for_its_interval);
        house_add("/checker/paused", paused_pipelines_are_not_checked);
}

int main(int argc, char **argv) {
        return house_main(argc, argv, add);
}
