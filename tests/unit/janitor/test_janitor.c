#include "../store/house.h"

#include "janitor/janitor.h"

static Janitor *open_janitor(House *house, Duration stalled) {
        return janitor_new(&(JanitorSpec){ .store = house->store,
                                           .node = "n",
                                           .interval = DURATION_HOUR,
                                           .stalled_worker_timeout = stalled });
}

static void a_round_on_an_empty_store_is_clean(House *house) {
        g_autoptr(Janitor) janitor = open_janitor(house, 0);
        OK(janitor_round(janitor, &error));
}

static void expired_tokens_go_and_others_stay(House *house) {
        g_autoptr(Janitor) janitor = open_janitor(house, 0);
        g_autoptr(Value) claims = json("{}");
        OK(token_save(house->store, "old", "s", claims, clock_now() - (Time) 3600 * 1000000,
                      &error));
        OK(token_save(house->store, "new", "s", claims, clock_now() + (Time) 3600 * 1000000,
                      &error));
        OK(janitor_round(janitor, &error));
        FAILS(token_find(house->store, "old", &error), ERROR_NOT_FOUND);
        g_autoptr(Token) kept = OK(token_find(house->store, "new", &error));
        g_assert_nonnull(kept);
}

static void finished_builds_release_their_containers(House *house) {
        g_autoptr(Janitor) janitor = open_janitor(house, 0);
        BuildLease lease;
        house_worker(house, "w");
        house_save(house, two_jobs);
        int64_t id = started_build(house, "unit", &lease);
        OK(janitor_round(janitor, &error));
        g_autoptr(Build) running = OK(build_get(house->store, id, &error));
        g_assert_true(running->interceptible);
        finish(house, &lease, BUILD_SUCCEEDED);
        OK(janitor_round(janitor, &error));
        g_autoptr(Build) build = OK(build_get(house->store, id, &error));
        g_assert_false(build->interceptible);
}

static void a_failed_build_stays_interceptible_for_a_while(House *house) {
        g_autoptr(Janitor) janitor = open_janitor(house, 0);
        BuildLease lease;
        house_save(house, two_jobs);
        int64_t id = started_build(house, "unit", &lease);
        finish(house, &lease, BUILD_FAILED);
        OK(janitor_round(janitor, &error));
        g_autoptr(Build) build = OK(build_get(house->store, id, &error));
        g_assert_true(build->interceptible);
        clock_shift(121 * DURATION_HOUR);
        OK(janitor_round(janitor, &error));
        clock_shift(-121 * DURATION_HOUR);
        g_autoptr(Build) later = OK(build_get(house->store, id, &error));
        g_assert_false(later->interceptible);
}

static void logs_beyond_the_operators_limit_go(House *house) {
        g_autoptr(Janitor) janitor = janitor_new(
                &(JanitorSpec){ .store = house->store, .node = "n", .max_builds_to_retain = 1 });
        int64_t ids[3];
        house_save(house, two_jobs);
        for (size_t i = 0; i < G_N_ELEMENTS(ids); i++) {
                BuildLease lease;
                ids[i] = started_build(house, "unit", &lease);
                finish(house, &lease, BUILD_SUCCEEDED);
        }
        OK(janitor_round(janitor, &error));
        g_autofree char *first = read_log(house, ids[0], 0), *last = read_log(house, ids[2], 0);
        g_assert_cmpstr(first, ==, "");
        g_assert_cmpstr(last, !=, "");
}

static void add(void) {
        house_add("/janitor/empty", a_round_on_an_empty_store_is_clean);
        house_add("/janitor/tokens", expired_tokens_go_and_others_stay);
        house_add("/janitor/builds", finished_builds_release_their_containers);
        house_add("/janitor/failed", a_failed_build_stays_interceptible_for_a_while);
        house_add("/janitor/logs", logs_beyond_the_operators_limit_go);
}

int main(int argc, char **argv) {
        return house_main(argc, argv, add);
}
