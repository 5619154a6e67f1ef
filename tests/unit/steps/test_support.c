#include "steps/support.h"

#include "base/json.h"

#include <string.h>

static const char *last_error; /* of the last error event */
static GString *logged;        /* payloads; NULL: not wanted */

static bool emit(const Event *event, void *data, GError **error) {
        static char text[200];
        if (logged && g_str_equal(event->name, "log"))
                g_string_append(logged, value_get_string(event->data, "payload", ""));
        if (g_str_equal(event->name, "error")) {
                g_strlcpy(text, value_get_string(event->data, "message", ""), sizeof text);
                last_error = text;
        }
        return true;
}

static Value *instance_vars(void) {
        static const char text[] = "{\"b\":{\"c\":1},\"a\":\"x y\"}";
        return json_parse(text, strlen(text), NULL, NULL);
}

static void assert_environment(const RunSpec *spec, const char *status, bool creator,
                               const char *const *expect) {
        g_autoptr(Run) run = run_new(spec);
        const StepCall call = { .run = run, .build_status = status };
        g_auto(GStrv) env = step_resource_environment(&call, creator);
        g_autofree char *got = g_strjoinv("\n", env), *wanted = g_strjoinv("\n", (char **) expect);
        g_assert_cmpstr(got, ==, wanted);
}

static void a_job_build_tells_all_about_itself(void) {
        const StepSettings settings = { .external_url = "https://ci" };
        g_autoptr(Value) vars = instance_vars();
        const RunSpec spec = { .settings = &settings,
                               .build_id = 7,
                               .build_name = "3",
                               .team_id = 1,
                               .team_name = "main",
                               .pipeline_id = 2,
                               .pipeline_name = "p",
                               .instance_vars = vars,
                               .job_id = 4,
                               .job_name = "j",
                               .created_by = "me" };
        static const char *const expect[] = {
                "BUILD_STATUS=failed",
                "BUILD_ID=7",
                "BUILD_NAME=3",
                "BUILD_TEAM_ID=1",
                "BUILD_TEAM_NAME=main",
                "BUILD_JOB_ID=4",
                "BUILD_JOB_NAME=j",
                "BUILD_PIPELINE_ID=2",
                "BUILD_PIPELINE_NAME=p",
                "BUILD_PIPELINE_INSTANCE_VARS={\"a\":\"x y\",\"b\":{\"c\":1}}",
                "ATC_EXTERNAL_URL=https://ci",
                "BUILD_URL=https://ci/teams/main/pipelines/p/jobs/j/builds/"
                "3?vars.a=%22x+y%22&vars.b.c=1",
                "BUILD_URL_SHORT=https://ci/builds/7",
                "BUILD_CREATED_BY=me",
                NULL,
        };
        assert_environment(&spec, "failed", true, expect);
}

static void a_one_off_build_has_no_job(void) {
        const StepSettings settings = { .external_url = "https://ci" };
        const RunSpec spec = { .settings = &settings,
                               .build_id = 7,
                               .build_name = "7",
                               .team_id = 1,
                               .team_name = "main",
                               .created_by = "me" };
        static const char *const expect[] = {
                "BUILD_ID=7",
                "BUILD_NAME=7",
                "BUILD_TEAM_ID=1",
                "BUILD_TEAM_NAME=main",
                "ATC_EXTERNAL_URL=https://ci",
                "BUILD_URL=https://ci/builds/7",
                "BUILD_URL_SHORT=https://ci/builds/7",
                NULL,
        };
        assert_environment(&spec, NULL, false, expect);
}

/* ---- how a step ends ---- */

static GError *ending; /* what the body fails with */

static bool body(const StepCall *call, bool *ret_succeeded, GError **error) {
        if (!ending) {
                *ret_succeeded = true;
                return true;
        }
        g_propagate_error(error, g_error_copy(ending));
        return false;
}

static void ends_are_told_once(void) {
        static const struct {
                ErrorCode code;
                bool leaving, ran;
                const char *event; /* NULL: none */
        } cases[] = {
                { ERROR_INVALID, false, false, "broken ((redacted))" },
                { ERROR_CANCELLED, false, false, "interrupted" },
                { ERROR_TIMEOUT, false, true, "timeout exceeded" },
                { ERROR_STALE, false, false, NULL },
                { ERROR_CANCELLED, true, false, NULL },
                { ERROR_TIMEOUT, true, false, NULL },
        };
        const StepSettings settings = { .redact_secrets = true };
        g_autoptr(Plan) plan = plan_new(g_strdup("1"), PLAN_NONE);
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(Run) run = run_new(&(RunSpec){ .settings = &settings, .emit = emit });
                g_autoptr(Value) secret = value_string("hunter2");
                g_autoptr(Cancel) shutdown = cancel_new(NULL);
                g_autoptr(GError) error = NULL;
                const StepCall call = { .run = run, .plan = plan, .shutdown = shutdown };
                bool succeeded = true;
                redactor_track(run_redactor(run), secret);
                if (cases[i].leaving)
                        cancel_fire(shutdown, CANCEL_SHUTDOWN);
                ending = g_error_new(ERROR, (int) cases[i].code, "broken hunter2");
                last_error = NULL;
                g_assert_cmpint(step_guard(&call, body, &succeeded, &error), ==, cases[i].ran);
                g_assert_cmpstr(last_error, ==, cases[i].event);
                if (cases[i].ran)
                        g_assert_false(succeeded);
                else
                        g_assert_error(error, ERROR, (int) cases[i].code);
                g_clear_error(&ending);
        }
}

static void secrets_in_what_cannot_be_changed_are_warned_of(void) {
        static const struct {
                const char *version, *metadata, *expect;
        } cases[] = {
                { "{\"v\":\"1\"}", "[{\"name\":\"n\",\"value\":\"m\"}]", "" },
                { "{\"v\":\"x-hunter2\"}", NULL,
                  "\033[1;33mWARNING: the version holds a secret; it is stored and shown in clear\033[0m\n" },
                { NULL, "[{\"name\":\"n\",\"value\":\"hunter2\"}]",
                  "\033[1;33mWARNING: the metadata holds a secret; it is stored and shown in clear\033[0m\n" },
        };
        const StepSettings settings = { .redact_secrets = true };
        g_autoptr(Plan) plan = plan_new(g_strdup("1"), PLAN_NONE);
        g_autoptr(Value) secret = value_string("hunter2");
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                const char *const texts[] = { cases[i].version, cases[i].metadata };
                Value *values[2] = { NULL };
                g_autoptr(Run) run = run_new(&(RunSpec){ .settings = &settings, .emit = emit });
                const StepCall call = { .run = run, .plan = plan };
                for (size_t k = 0; k < 2; k++)
                        if (texts[k])
                                values[k] = json_parse(texts[k], strlen(texts[k]), NULL, NULL);
                run_track_secret(run, secret);
                logged = g_string_new(NULL);
                g_assert_true(step_warn_of_secrets(&call, values[0], values[1], NULL));
                g_assert_cmpstr(logged->str, ==, cases[i].expect);
                g_string_free(g_steal_pointer(&logged), true);
                value_free(values[0]);
                value_free(values[1]);
        }
}

/* ---- the clock ---- */

static void a_clock_begins_when_it_is_started(void) {
        g_autoptr(Cancel) outer = cancel_new(NULL);
        const StepCall call = { .cancel = outer };
        g_auto(StepClock) clock = { 0 };
        g_autoptr(GError) error = NULL;

        step_clock_init(&clock, &call, &(StepTimeout){ .text = "1ms" });
        g_assert_true(cancel_check(clock.cancel, NULL));
        g_assert_true(step_clock_start(&clock, &error));
        g_assert_true(step_clock_start(&clock, &error));
        g_assert_false(cancel_sleep(clock.cancel, DURATION_NEVER, &error));
        g_assert_error(error, ERROR, ERROR_TIMEOUT);
        g_assert_false(cancel_fired(outer));
}

static void a_clock_goes_on_where_an_earlier_life_left_it(void) {
        static const struct {
                const char *text;
                Duration age, after;
        } cases[] = {
                { "1h", 0, DURATION_HOUR }, { "1h", 20 * DURATION_MINUTE, 40 * DURATION_MINUTE },
                { "1h", DURATION_HOUR, 1 }, { "1h", 2 * DURATION_HOUR, 1 },
                { "", DURATION_HOUR, 0 },
        };
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                const StepCall call = { 0 };
                const BuildStep before = { .age = cases[i].age };
                const StepTimeout timeout = { .text = cases[i].text, .before = &before };
                g_auto(StepClock) clock = { 0 };
                step_clock_init(&clock, &call, &timeout);
                g_assert_cmpint(clock.after, ==, cases[i].after);
        }
}

static void a_clock_that_cannot_be_read_is_an_error_once_it_is_started(void) {
        const StepCall call = { 0 };
        g_auto(StepClock) clock = { 0 };
        g_autoptr(GError) error = NULL;
        step_clock_init(&clock, &call, &(StepTimeout){ .text = "soon" });
        g_assert_false(step_clock_start(&clock, &error));
        g_assert_error(error, ERROR, ERROR_INVALID);
        g_assert_cmpstr(error->message, ==, "parse timeout: time: invalid duration \"soon\"");
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/support/environment/job", a_job_build_tells_all_about_itself);
        g_test_add_func("/support/environment/one-off", a_one_off_build_has_no_job);
        g_test_add_func("/support/guard", ends_are_told_once);
        g_test_add_func("/support/secrets", secrets_in_what_cannot_be_changed_are_warned_of);
        g_test_add_func("/support/clock", a_clock_begins_when_it_is_started);
        g_test_add_func("/support/clock/invalid",
                        a_clock_that_cannot_be_read_is_an_error_once_it_is_started);
        g_test_add_func("/support/clock/resumed", a_clock_goes_on_where_an_earlier_life_left_it);
        return g_test_run();
}
