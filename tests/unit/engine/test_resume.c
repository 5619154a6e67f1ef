/* What a build that is walked again after a restart says and does not say again. */
#include "../store/house.h"
#include "leaves.h"

#include "engine/engine.h"
#include "steps/support.h"

/* One life of the server with one build: the next has another epoch and a log opened anew. */
typedef struct {
        House *house;
        StepSettings settings;
        BuildLease lease;
        BuildLogWriter *log;
        Run *run;
        Plan *plan;
        Cancel *shutdown, *cancel;
        StepCall call;
} Life;

static void life_begin(Life *life) {
        life->log = OK(build_log_writer_new(life->house->store, &life->lease, &error));
        life->settings = (StepSettings){ .store = life->house->store };
        life->run = run_new(&(RunSpec){ .settings = &life->settings,
                                        .build_id = life->lease.build_id,
                                        .lease = life->lease,
                                        .log = life->log });
        life->shutdown = cancel_new(NULL);
        life->cancel = cancel_new(life->shutdown);
        life->call = (StepCall){ .run = life->run,
                                 .plan = life->plan,
                                 .cancel = life->cancel,
                                 .shutdown = life->shutdown };
}

static void life_end(Life *life) {
        run_free(life->run);
        build_log_writer_free(life->log);
        cancel_free(life->cancel);
        cancel_free(life->shutdown);
}

static void life_first(Life *life, House *house, const char *plan) {
        *life = (Life){ .house = house, .plan = plan_of(plan) };
        house_save(house, two_jobs);
        started_build(house, "unit", &life->lease);
        leaves_begin(NULL);
        life_begin(life);
}

static void life_next(Life *life) {
        life_end(life);
        house_open(life->house);
        OK(build_lease_release_node(life->house->store, "n", &error));
        OK(build_lease_acquire(life->house->store, life->lease.build_id, "n", DURATION_MINUTE,
                               &life->lease, &error));
        life_begin(life);
}

static void life_clear(Life *life) {
        life_end(life);
        plan_free(life->plan);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Life, life_clear)

static void an_event_with_a_mark_is_emitted_once(House *house) {
        g_auto(Life) life = { 0 };
        life_first(&life, house, "'ok'");
        for (int i = 0; i < 4; i++) {
                if (i == 2)
                        life_next(&life);
                OK(run_emit_once(life.run, "1", "start", event_start("1", 7), &error));
        }
        OK(run_emit_once(life.run, "2", "start", event_start("2", 7), &error));
        OK(build_log_flush(life.log, &error));
        g_autofree char *log = read_log(house, life.lease.build_id, 0);
        g_assert_cmpstr(log, ==, "0 status started\n1 start \n2 start \n");
}

/* ---- errors ---- */

static ErrorCode code;
static int bodies;

static bool body(const StepCall *call, bool *ret_succeeded, GError **error) {
        g_autoptr(BuildStep) before = NULL;
        if (!step_journal_find(call, &before, error))
                return false;
        if (step_journal_is_over(before) && step_journal_errored(before, error))
                return false;
        bodies++;
        g_set_error_literal(error, ERROR, (int) code, "broken");
        return false;
}

static void a_step_that_errored_neither_runs_nor_says_so_again(House *house) {
        static const struct {
                ErrorCode code;
                bool ran; /* a deadline is a failure */
        } cases[] = { { ERROR_UNAVAILABLE, false },
                      { ERROR_CANCELLED, false },
                      { ERROR_TIMEOUT, true } };
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_auto(Life) life = { 0 };
                life_first(&life, house, "'ok'");
                code = cases[i].code;
                bodies = 0;
                for (int k = 0; k < 2; k++) {
                        g_autoptr(GError) error = NULL;
                        bool succeeded = true;
                        if (k == 1)
                                life_next(&life);
                        g_assert_cmpint(step_guard(&life.call, body, &succeeded, &error), ==,
                                        cases[i].ran);
                        if (cases[i].ran)
                                g_assert_false(succeeded);
                        else
                                g_assert_error(error, ERROR, (int) code);
                }
                g_assert_cmpint(bodies, ==, 1);
                OK(build_log_flush(life.log, &error));
                g_autofree char *log = read_log(house, life.lease.build_id, 0);
                g_assert_cmpstr(log, ==, "0 status started\n1 error \n");
        }
}

static void a_step_that_is_left_has_not_errored(House *house) {
        g_auto(Life) life = { 0 };
        life_first(&life, house, "'ok'");
        code = ERROR_CANCELLED;
        cancel_fire(life.shutdown, CANCEL_SHUTDOWN);
        bool succeeded;
        FAILS(step_guard(&life.call, body, &succeeded, &error), ERROR_CANCELLED);
        g_autoptr(BuildStep) step = NULL;
        OK(step_journal_find(&life.call, &step, &error));
        g_assert_null(step);
}

/* ---- deadlines ---- */

static void a_timeout_goes_on_over_a_restart(House *house) {
        g_auto(Life) life = { 0 };
        bool succeeded;
        life_first(&life, house, "{'id':'t','timeout':{'duration':'1h','step':'ok'}}");
        OK(plan_run(&life.call, &succeeded, &error));
        g_assert_true(succeeded);

        plan_free(life.plan);
        life.plan = plan_of("{'id':'t','timeout':{'duration':'1h','step':'wait'}}");
        clock_shift(2 * DURATION_HOUR); /* the database's clock */
        life_next(&life);
        OK(plan_run(&life.call, &succeeded, &error));
        g_assert_false(succeeded);
        clock_shift(-2 * DURATION_HOUR);
}

static void add(void) {
        house_add("/resume/once", an_event_with_a_mark_is_emitted_once);
        house_add("/resume/errored", a_step_that_errored_neither_runs_nor_says_so_again);
        house_add("/resume/left", a_step_that_is_left_has_not_errored);
        house_add("/resume/timeout", a_timeout_goes_on_over_a_restart);
}

int main(int argc, char **argv) {
        return house_main(argc, argv, add);
}
