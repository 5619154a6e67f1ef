#include "leaves.h"

#include "engine/engine.h"

#include <string.h>

typedef enum {
        OK,
        FAIL,
        ERR,
        ABORTED,
        LATE,  /* ERROR_TIMEOUT */
        STALE, /* ERROR_STALE */
} Ending;

typedef struct {
        const char *plan;
        Ending ending;
        const char *trace;
        const char *message; /* of the error; NULL: any */
} Case;

static Ending ending_of(bool ran, bool succeeded, const GError *error) {
        if (ran)
                return succeeded ? OK : FAIL;
        return error_is(error, ERROR_CANCELLED) ? ABORTED
               : error_is(error, ERROR_TIMEOUT) ? LATE
               : error_is(error, ERROR_STALE)   ? STALE
                                                : ERR;
}

static Run *without_a_row(void) {
        static const StepSettings settings;
        return run_new(&(RunSpec){ .settings = &settings });
}

static void check(const Case *test) {
        g_autoptr(Plan) plan = plan_of(test->plan);
        g_autoptr(Cancel) shutdown = cancel_new(NULL);
        g_autoptr(Cancel) cancel = cancel_new(shutdown);
        g_autoptr(Run) run = without_a_row();
        const StepCall call = { .run = run, .plan = plan, .cancel = cancel, .shutdown = shutdown };
        g_autoptr(GError) error = NULL;
        bool succeeded = false;

        g_assert_null(plan_unsupported(plan));
        leaves_begin(cancel);
        bool ran = plan_run(&call, &succeeded, &error);
        g_autofree char *trace = leaves_trace();
        if (ending_of(ran, succeeded, error) != test->ending || !g_str_equal(trace, test->trace) ||
            (test->message && g_strcmp0(error ? error->message : NULL, test->message) != 0))
                g_error("%s: %d '%s' '%s'", test->plan, ending_of(ran, succeeded, error), trace,
                        error ? error->message : "");
}

static void check_all(const void *data) {
        for (const Case *test = data; test->plan; test++)
                check(test);
}

static const Case sequences[] = {
        { "{'id':'1'}", OK, "" },
        { "{'do':[]}", OK, "" },
        { "{'do':['ok@a','ok@b']}", OK, "a b" },
        { "{'do':['ok','fail','ok@no']}", FAIL, "ok fail" },
        { "{'do':['ok','error:x','ok@no']}", ERR, "ok error:x", "x" },
        { "{'do':['abort','ok@no']}", ABORTED, "abort", "interrupted" },
        { "{'try':{'step':'fail'}}", OK, "fail" },
        { "{'try':{'step':'error'}}", OK, "error" },
        { "{'try':{'step':'abort'}}", ABORTED, "abort" },
        { "{'try':{'step':'stale'}}", STALE, "stale" },
        { NULL },
};

/* The table of reference 04 §5: which hook runs, and what comes of it. */
static const Case hooks[] = {
        { "{'on_success':{'step':'ok','on_success':'ok@h'}}", OK, "ok h/succeeded" },
        { "{'on_success':{'step':'ok','on_success':'fail@h'}}", FAIL, "ok h/succeeded" },
        { "{'on_success':{'step':'ok','on_success':'error@h'}}", ERR, "ok h/succeeded", "broken" },
        { "{'on_success':{'step':'fail','on_success':'ok@h'}}", FAIL, "fail" },
        { "{'on_success':{'step':'error','on_success':'ok@h'}}", ERR, "error" },
        { "{'on_success':{'step':'abort','on_success':'ok@h'}}", ABORTED, "abort" },

        { "{'on_failure':{'step':'ok','on_failure':'ok@h'}}", OK, "ok" },
        { "{'on_failure':{'step':'fail','on_failure':'ok@h'}}", FAIL, "fail h/failed" },
        { "{'on_failure':{'step':'fail','on_failure':'fail@h'}}", FAIL, "fail h/failed" },
        { "{'on_failure':{'step':'fail','on_failure':'error:h'}}", ERR, "fail error:h/failed",
          "h" },
        { "{'on_failure':{'step':'error','on_failure':'ok@h'}}", ERR, "error" },
        { "{'on_failure':{'step':'abort','on_failure':'ok@h'}}", ABORTED, "abort" },

        { "{'on_error':{'step':'ok','on_error':'ok@h'}}", OK, "ok" },
        { "{'on_error':{'step':'fail','on_error':'ok@h'}}", FAIL, "fail" },
        { "{'on_error':{'step':'error:x','on_error':'ok@h'}}", ERR, "error:x h/errored", "x" },
        { "{'on_error':{'step':'error:x','on_error':'fail@h'}}", ERR, "error:x h/errored", "x" },
        { "{'on_error':{'step':'error:x','on_error':'error:y'}}", ERR, "error:x error:y/errored",
          "2 errors occurred:\n\t* x\n\t* y\n\n" },
        { "{'on_error':{'step':'abort','on_error':'ok@h'}}", ABORTED, "abort" },
        { "{'on_error':{'step':'stale','on_error':'ok@h'}}", STALE, "stale" },

        { "{'on_abort':{'step':'ok','on_abort':'ok@h'}}", OK, "ok" },
        { "{'on_abort':{'step':'fail','on_abort':'ok@h'}}", FAIL, "fail" },
        { "{'on_abort':{'step':'error','on_abort':'ok@h'}}", ERR, "error" },
        { "{'on_abort':{'step':'abort','on_abort':'ok@h'}}", ABORTED, "abort h/aborted" },
        { "{'on_abort':{'step':'abort','on_abort':'error@h'}}", ABORTED, "abort h/aborted" },

        { "{'ensure':{'step':'ok','ensure':'ok@h'}}", OK, "ok h" },
        { "{'ensure':{'step':'ok','ensure':'fail@h'}}", FAIL, "ok h" },
        { "{'ensure':{'step':'fail','ensure':'ok@h'}}", FAIL, "fail h" },
        { "{'ensure':{'step':'error:x','ensure':'ok@h'}}", ERR, "error:x h",
          "1 error occurred:\n\t* x\n\n" },
        { "{'ensure':{'step':'ok','ensure':'error:y'}}", ERR, "ok error:y",
          "1 error occurred:\n\t* y\n\n" },
        { "{'ensure':{'step':'error:x','ensure':'error:y'}}", ERR, "error:x error:y",
          "2 errors occurred:\n\t* x\n\t* y\n\n" },
        { "{'ensure':{'step':'abort','ensure':'ok@h'}}", ABORTED, "abort h", "interrupted" },
        { "{'ensure':{'step':'abort','ensure':'error@h'}}", ABORTED, "abort h", "interrupted" },
        { "{'ensure':{'step':'stale','ensure':'ok@h'}}", STALE, "stale" },
        { NULL },
};

/* As the planner nests them: on_abort in on_error in on_failure … */
static const Case nested[] = {
        { "{'on_failure':{'step':{'on_success':{'step':'ok','on_success':'fail@s'}},"
          "'on_failure':'ok@f'}}",
          FAIL, "ok s/succeeded f/failed" },
        { "{'on_error':{'step':{'on_success':{'step':'ok','on_success':'error@s'}},"
          "'on_error':'ok@e'}}",
          ERR, "ok s/succeeded e/errored" },
        { "{'ensure':{'step':{'on_abort':{'step':'abort','on_abort':'ok@a'}},'ensure':'ok@e'}}",
          ABORTED, "abort a/aborted e" },
        { "{'on_abort':{'step':{'do':[{'on_abort':{'step':'abort','on_abort':'ok@inner'}},'ok@no']},"
          "'on_abort':'ok@outer'}}",
          ABORTED, "abort inner/aborted outer/aborted" },
        { "{'on_failure':{'step':'fail','on_failure':{'ensure':{'step':'ok@h','ensure':'ok@e'}}}}",
          FAIL, "fail h/failed e/failed" },
        { NULL },
};

static const Case timeouts[] = {
        { "{'timeout':{'step':'ok','duration':'1h'}}", OK, "ok" },
        { "{'timeout':{'step':'fail','duration':'1h'}}", FAIL, "fail" },
        { "{'timeout':{'step':'error:x','duration':'1h'}}", ERR, "error:x", "x" },
        { "{'timeout':{'step':'abort','duration':'1h'}}", ABORTED, "abort" },
        { "{'timeout':{'step':'wait','duration':'500ms'}}", FAIL, "wait" },
        { "{'timeout':{'step':'block','duration':'500ms'}}", FAIL, "block" },
        { "{'timeout':{'step':'wait','duration':'0s'}}", FAIL, "wait" },
        { "{'timeout':{'step':'ok','duration':'soon'}}", ERR, "", "invalid duration 'soon'" },
        { "{'timeout':{'step':{'do':['wait','ok@no']},'duration':'500ms'}}", FAIL, "wait" },
        { "{'timeout':{'step':{'retry':['wait','ok@no']},'duration':'500ms'}}", FAIL, "wait[1]" },
        { "{'timeout':{'step':{'in_parallel':{'steps':['wait','wait']}},'duration':'500ms'}}", FAIL,
          "wait wait" },
        { "{'on_failure':{'step':{'timeout':{'step':'block','duration':'500ms'}},'on_failure':'ok@f'}}",
          FAIL, "block f/failed" },
        { "{'on_error':{'step':{'timeout':{'step':'block','duration':'500ms'}},'on_error':'ok@no'}}",
          FAIL, "block" },
        { "{'on_abort':{'step':{'timeout':{'step':'block','duration':'500ms'}},'on_abort':'ok@no'}}",
          FAIL, "block" },
        { "{'ensure':{'step':{'timeout':{'step':'block','duration':'500ms'}},'ensure':'ok@e'}}",
          FAIL, "block e" },
        { NULL },
};

static const Case retries[] = {
        { "{'retry':[]}", OK, "" },
        { "{'retry':['ok','ok@no']}", OK, "ok[1]" },
        { "{'retry':['fail','ok','ok@no']}", OK, "fail[1] ok[2]" },
        { "{'retry':['error','ok']}", OK, "error[1] ok[2]" },
        { "{'retry':['error','fail']}", FAIL, "error[1] fail[2]" },
        { "{'retry':['fail','error:x']}", ERR, "fail[1] error:x[2]", "x" },
        { "{'retry':['abort','ok@no']}", ABORTED, "abort[1]" },
        { "{'retry':['stale','ok@no']}", STALE, "stale[1]" },
        { "{'retry':[{'retry':['fail','fail']},{'do':['ok@a','ok@b']}]}", OK,
          "fail[1.1] fail[1.2] a[2] b[2]" },
        { "{'retry':[{'on_failure':{'step':'fail','on_failure':'ok@h'}},'ok']}", OK,
          "fail[1] h[1]/failed ok[2]" },
        { NULL },
};

static const Case parallels[] = {
        { "{'in_parallel':{'steps':[]}}", OK, "" },
        { "{'in_parallel':{'steps':['ok@a','ok@b','ok@c'],'limit':1}}", OK, "a b c" },
        { "{'in_parallel':{'steps':['ok@a','fail@b','ok@c'],'limit':1}}", FAIL, "a b c" },
        { "{'in_parallel':{'steps':['ok@a','fail@b','ok@c'],'limit':1,'fail_fast':true}}", FAIL,
          "a b" },
        { "{'in_parallel':{'steps':['error:x','ok@b','error:y'],'limit':1}}", ERR,
          "error:x b error:y", "2 errors occurred:\n\t* x\n\t* y\n\n" },
        { "{'in_parallel':{'steps':['error:x','ok@b'],'limit':1,'fail_fast':true}}", ERR, "error:x",
          "1 error occurred:\n\t* x\n\n" },
        { "{'in_parallel':{'steps':['abort','ok@no'],'limit':1}}", ABORTED, "abort",
          "interrupted" },
        { "{'in_parallel':{'steps':['stale','ok@b'],'limit':1}}", STALE, "stale b" },
        { NULL },
};

static void hooks_after_an_abort_run_on_a_token_of_their_own(void) {
        static const char *const plans[] = {
                "{'ensure':{'step':'abort','ensure':{'do':['ok@a','ok@b']}}}",
                "{'on_abort':{'step':'abort','on_abort':{'do':['ok@a','ok@b']}}}",
        };
        for (size_t i = 0; i < G_N_ELEMENTS(plans); i++) {
                g_autoptr(Plan) plan = plan_of(plans[i]);
                g_autoptr(Cancel) shutdown = cancel_new(NULL);
                g_autoptr(Cancel) cancel = cancel_new(shutdown);
                g_autoptr(Run) run = without_a_row();
                const StepCall call = {
                        .run = run, .plan = plan, .cancel = cancel, .shutdown = shutdown
                };
                g_autoptr(GError) error = NULL;
                bool succeeded;
                leaves_begin(cancel);
                g_assert_false(plan_run(&call, &succeeded, &error));
                g_assert_error(error, ERROR, ERROR_CANCELLED);
                g_autofree char *trace = leaves_trace();
                g_assert_true(g_str_has_prefix(trace, "abort a"));
                g_assert_nonnull(strstr(trace, " b"));
        }
}

static void nothing_runs_once_the_build_goes_on_elsewhere(void) {
        static const char *const plans[] = {
                "{'ensure':{'step':'block','ensure':'ok@no'}}",
                "{'on_abort':{'step':'block','on_abort':'ok@no'}}",
                "{'on_error':{'step':'block','on_error':'ok@no'}}",
                "{'retry':['block','ok@no']}",
                "{'do':['block','ok@no']}",
                "{'do':[{'try':{'step':'block'}},'ok@no']}",
                "{'in_parallel':{'limit':1,'steps':['block','ok@no']}}",
        };
        for (size_t i = 0; i < G_N_ELEMENTS(plans); i++) {
                g_autoptr(Plan) plan = plan_of(plans[i]);
                g_autoptr(Cancel) shutdown = cancel_new(NULL);
                g_autoptr(Cancel) cancel = cancel_new(shutdown);
                g_autoptr(Run) run = without_a_row();
                const StepCall call = {
                        .run = run, .plan = plan, .cancel = cancel, .shutdown = shutdown
                };
                bool succeeded;
                g_autoptr(GError) error = NULL;
                leaves_begin(cancel);
                cancel_fire(shutdown, CANCEL_SHUTDOWN);
                g_assert_false(plan_run(&call, &succeeded, &error));
                g_autofree char *trace = leaves_trace();
                g_assert_null(strstr(trace, "no"));
        }
}

static void unsupported_kinds_are_named(void) {
        g_autoptr(Plan) plan = plan_new(g_strdup("1"), PLAN_DEPENDENT_GET);
        const StepCall call = { .plan = plan };
        g_autofree char *message = plan_unsupported(plan);
        g_autoptr(GError) error = NULL;
        bool succeeded;

        g_assert_cmpstr(message, ==,
                        "step kind 'dependent_get' is not supported by this version of Weir");
        g_assert_false(plan_run(&call, &succeeded, &error));
        g_assert_error(error, ERROR, ERROR_UNSUPPORTED);
        g_assert_cmpstr(error->message, ==, message);
}

int main(int argc, char **argv) {
        static const struct {
                const char *path;
                const Case *cases;
        } tables[] = {
                { "/tree/sequences", sequences }, { "/tree/hooks", hooks },
                { "/tree/nested", nested },       { "/tree/timeouts", timeouts },
                { "/tree/retries", retries },     { "/tree/parallel", parallels },
        };
        g_test_init(&argc, &argv, NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(tables); i++)
                g_test_add_data_func(tables[i].path, tables[i].cases, check_all);
        g_test_add_func("/tree/hooks-after-abort",
                        hooks_after_an_abort_run_on_a_token_of_their_own);
        g_test_add_func("/tree/shutdown", nothing_runs_once_the_build_goes_on_elsewhere);
        g_test_add_func("/tree/unsupported", unsupported_kinds_are_named);
        return g_test_run();
}
