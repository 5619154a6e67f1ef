#include "../store/house.h"
#include "leaves.h"

#include "engine/engine.h"

#define PATIENCE (20 * DURATION_SECOND)

static int64_t started(House *house, const char *text) {
        g_autoptr(Plan) plan = plan_of(text);
        g_autoptr(Value) private = plan_to_value(plan);
        g_autoptr(Value) public = plan_to_public(plan);
        BuildStarted spec = { .team_id = house->team_id, .plan = private, .public_plan = public };
        g_autoptr(Build) build = OK(build_create_started(house->store, &spec, false, &error));
        return build->id;
}

static Subscription *listen_for_ends(House *house) {
        static const SubscriptionTopic topic = { NOTIFY_BUILD_FINISHED, 0 };
        return subscription_new(house->store, &topic, 1);
}

static void await_end(House *house, Subscription *ends, int64_t id, BuildStatus status) {
        Duration deadline = clock_monotonic() + PATIENCE;
        for (;;) {
                g_autoptr(Build) build = OK(build_get(house->store, id, &error));
                if (build->completed) {
                        g_assert_cmpint(build->status, ==, status);
                        return;
                }
                g_assert_cmpint(clock_monotonic(), <, deadline);
                OK(subscription_wait(ends, deadline, NULL, NULL, &error));
        }
}

static Engine *open_engine(House *house, size_t builds_max) {
        static StepSettings settings;
        settings = (StepSettings){ .store = house->store, .redact_secrets = true };
        return engine_new(
                &(EngineSpec){ .settings = &settings, .node = "n", .builds_max = builds_max });
}

static void a_build_ends_as_its_plan_does(House *house) {
        static const struct {
                const char *plan;
                BuildStatus status;
        } cases[] = {
                { "{'id':'1'}", BUILD_SUCCEEDED },
                { "{'do':['ok','ok']}", BUILD_SUCCEEDED },
                { "{'do':['ok','fail']}", BUILD_FAILED },
                { "{'do':['ok','error']}", BUILD_ERRORED },
        };
        leaves_begin(NULL);
        Engine *engine = open_engine(house, 0);
        g_autoptr(Subscription) ends = listen_for_ends(house);
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
                await_end(house, ends, started(house, cases[i].plan), cases[i].status);
        engine_free(engine, PATIENCE);
}

static void its_log_begins_and_ends_with_a_status(House *house) {
        leaves_begin(NULL);
        Engine *engine = open_engine(house, 0);
        g_autoptr(Subscription) ends = listen_for_ends(house);
        int64_t id = started(house, "'ok'");
        await_end(house, ends, id, BUILD_SUCCEEDED);
        g_autofree char *log = read_log(house, id, 0);
        g_assert_cmpstr(log, ==, "0 status started\n1 status succeeded\n");
        engine_free(engine, PATIENCE);
}

static void what_this_program_does_not_know_is_said_in_the_log(House *house) {
        leaves_begin(NULL);
        Engine *engine = open_engine(house, 0);
        g_autoptr(Subscription) ends = listen_for_ends(house);
        int64_t id = started(house, "{'do':['ok@no',{'id':'9','dependent_get':{'name':'n',"
                                    "'type':'t','resource':'r'}}]}");
        await_end(house, ends, id, BUILD_ERRORED);
        g_autofree char *log = read_log(house, id, 0), *trace = leaves_trace();
        g_assert_cmpstr(trace, ==, "");
        g_assert_nonnull(strstr(log, "1 error"));
        g_assert_nonnull(strstr(log, "2 status errored"));
        engine_free(engine, PATIENCE);
}

static void an_abort_reaches_the_step_and_the_hooks_run(House *house) {
        leaves_begin(NULL);
        Engine *engine = open_engine(house, 0);
        g_autoptr(Subscription) ends = listen_for_ends(house);
        int64_t id = started(house, "{'ensure':{'step':'wait','ensure':'ok@e'}}");
        leaves_wait(1);
        OK(build_abort(house->store, id, false, &error));
        await_end(house, ends, id, BUILD_ABORTED);
        g_autofree char *trace = leaves_trace();
        g_assert_cmpstr(trace, ==, "wait e");
        engine_free(engine, PATIENCE);
}

static void builds_beyond_the_ceiling_wait(House *house) {
        leaves_begin(NULL);
        Engine *engine = open_engine(house, 1);
        g_autoptr(Subscription) ends = listen_for_ends(house);
        int64_t first = started(house, "'wait'"), second = started(house, "'ok'"),
                third = started(house, "'ok'");
        leaves_wait(1);
        EngineStats stats;
        engine_stats(engine, &stats);
        g_assert_cmpint(stats.running, ==, 1);
        OK(build_abort(house->store, first, false, &error));
        await_end(house, ends, first, BUILD_ABORTED);
        await_end(house, ends, second, BUILD_SUCCEEDED);
        await_end(house, ends, third, BUILD_SUCCEEDED);
        engine_free(engine, PATIENCE);
}

static void a_build_is_left_at_shutdown_and_taken_up_again(House *house) {
        leaves_begin(NULL);
        Engine *engine = open_engine(house, 0);
        int64_t id = started(house, "{'ensure':{'step':'wait','ensure':'ok@e'}}");
        leaves_wait(1);
        engine_free(engine, PATIENCE);
        g_autofree char *before = leaves_trace();
        g_assert_cmpstr(before, ==, "wait");
        g_autoptr(Build) build = OK(build_get(house->store, id, &error));
        g_assert_cmpint(build->status, ==, BUILD_STARTED);
        g_autoptr(GArray)
                free_builds = OK(build_lease_list_free(house->store, DURATION_MINUTE, &error));
        g_assert_cmpint(free_builds->len, ==, 1);

        engine = open_engine(house, 0);
        g_autoptr(Subscription) ends = listen_for_ends(house);
        leaves_wait(2);
        OK(build_abort(house->store, id, false, &error));
        await_end(house, ends, id, BUILD_ABORTED);
        g_autofree char *after = leaves_trace();
        g_assert_cmpstr(after, ==, "wait wait e");
        engine_free(engine, PATIENCE);
}

static void a_build_that_was_aborted_before_is_aborted_at_once(House *house) {
        leaves_begin(NULL);
        int64_t id = started(house, "{'do':['wait','ok@no']}");
        OK(build_abort(house->store, id, false, &error));
        Engine *engine = open_engine(house, 0);
        g_autoptr(Subscription) ends = listen_for_ends(house);
        await_end(house, ends, id, BUILD_ABORTED);
        engine_free(engine, PATIENCE);
}

static void engines_come_and_go_while_builds_end(House *house) {
        leaves_begin(NULL);
        for (int i = 0; i < 20; i++) {
                Engine *engine = open_engine(house, 1);
                for (int k = 0; k < 4; k++)
                        started(house, "'ok'");
                leaves_wait((size_t) i + 1);
                engine_free(engine, PATIENCE);
        }
}

static void add(void) {
        house_add("/engine/ends", a_build_ends_as_its_plan_does);
        house_add("/engine/log", its_log_begins_and_ends_with_a_status);
        house_add("/engine/unsupported", what_this_program_does_not_know_is_said_in_the_log);
        house_add("/engine/abort", an_abort_reaches_the_step_and_the_hooks_run);
        house_add("/engine/ceiling", builds_beyond_the_ceiling_wait);
        house_add("/engine/shutdown", a_build_is_left_at_shutdown_and_taken_up_again);
        house_add("/engine/aborted-before", a_build_that_was_aborted_before_is_aborted_at_once);
        house_add("/engine/come-and-go", engines_come_and_go_while_builds_end);
}

int main(int argc, char **argv) {
        return house_main(argc, argv, add);
}
