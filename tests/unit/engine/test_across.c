#include "../store/house.h"
#include "leaves.h"

#include "engine/engine.h"

#include "base/json.h"

#define PATIENCE (20 * DURATION_SECOND)

/* The plan of an across over vars ("'name':'v','values':[…]", …) whose step is a task named so. */
static Plan *across_of(const char *vars, const char *task, bool fail_fast) {
        g_autofree char *text = g_strdup_printf(
                "{'id':'a','across':{'vars':[{%s}],'substep_template':"
                "'{\\\"id\\\":\\\"1\\\",\\\"task\\\":{\\\"name\\\":\\\"%s\\\"}}','fail_fast':%s}}",
                vars, task, fail_fast ? "true" : "false");
        return plan_of(text);
}

/* ---- without a store: what runs, and what is said ---- */

static GString *said;

static bool emit(const Event *event, void *data, GError **error) {
        g_autoptr(Value) copy = value_copy(event->data);
        value_map_remove(copy, "time");
        g_autofree char *text = json_write(copy, JSON_NO_HTML, NULL);
        g_string_append_printf(said, "%s %s\n", event->name, text);
        return true;
}

typedef struct {
        bool ran, succeeded;
        char *error, *trace, *said;
} Result;

static void result_clear(Result *result) {
        g_free(result->error);
        g_free(result->trace);
        g_free(result->said);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Result, result_clear)

static Result run(const Plan *plan, const char *local) {
        static const StepSettings settings = { .redact_secrets = true };
        g_autoptr(Cancel) shutdown = cancel_new(NULL);
        g_autoptr(Cancel) cancel = cancel_new(shutdown);
        g_autoptr(Run) build = run_new(&(RunSpec){ .settings = &settings, .emit = emit });
        g_autoptr(Scope) scope = scope_new(NULL);
        g_autoptr(GError) error = NULL;
        g_autoptr(Value) value = local ? json(local) : NULL;
        const StepCall call = { .run = build,
                                .scope = scope,
                                .plan = plan,
                                .attempt = "2",
                                .build_status = "failed",
                                .cancel = cancel,
                                .shutdown = shutdown };
        Result result = { 0 };

        if (value)
                scope_put_var(scope, "l", value);
        leaves_begin(cancel);
        said = g_string_new(NULL);
        result.ran = plan_run(&call, &result.succeeded, &error);
        result.error = g_strdup(error ? error->message : NULL);
        result.trace = leaves_trace();
        result.said = g_string_free(said, FALSE);
        return result;
}

typedef struct {
        const char *vars, *task;
        bool fail_fast, ran, succeeded;
        const char *trace, *error;
} Case;

static const Case cases[] = {
        { "'name':'v','values':['ok@a','ok@b']", "((.:v))", false, true, true, "a b", NULL },
        { "'name':'v','values':['a','b']},{'name':'w','values':[1,2]", "ok@((.:v))((.:w))", false,
          true, true, "a1 a2 b1 b2", NULL },
        { "'name':'v','values':'((.:l))'", "ok@((.:v.k))", false, true, true, "1 x", NULL },
        { "'name':'v','values':[]", "((.:v))", false, true, true, "", NULL },
        { "'name':'v'", "((.:v))", false, true, true, "", NULL },
        { "'name':'v','values':['a','b']},{'name':'w','values':[]", "ok", false, true, true, "",
          NULL },
        { "'name':'v','values':['ok@a','fail@b','ok@c']", "((.:v))", false, true, false, "a b c",
          NULL },
        { "'name':'v','values':['ok@a','fail@b','ok@c']", "((.:v))", true, true, false, "a b",
          NULL },
        { "'name':'v','values':['ok@a','error:x@b','error:y@c']", "((.:v))", false, false, false,
          "a b c", "2 errors occurred:\n\t* x\n\t* y\n\n" },
        /* Levels are nested, their errors are joined flat. */
        { "'name':'v','values':['x','y']},{'name':'w','values':[1,2]", "error:((.:v))((.:w))@e",
          false, false, false, "e e e e",
          "4 errors occurred:\n\t* x1\n\t* x2\n\t* y1\n\t* y2\n\n" },
        { "'name':'v','values':['x','y']},{'name':'w','values':[1,2]", "error:((.:v))((.:w))@e",
          true, false, false, "e", "1 error occurred:\n\t* x1\n\n" },
        { "'name':'v','values':['wait@w','fail@f'],'max_in_flight':'all'", "((.:v))", true, true,
          false, NULL, NULL },
        { "'name':'v','values':['abort','ok@no']", "((.:v))", false, false, false, "abort",
          "interrupted" },
        { "'name':'v','values':'text'", "((.:v))", false, false, false, "",
          "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal string into Go "
          "value of type []interface {}" },
        { "'name':'v','values':['((.:nope))']", "((.:v))", false, false, false, "",
          "undefined vars: .:nope" },
};

static void combinations_run_in_order_and_end_as_a_group_does(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                const Case *test = &cases[i];
                g_autoptr(Plan) plan = across_of(test->vars, test->task, test->fail_fast);
                g_auto(Result) result = run(plan, "[{'k':1},{'k':'x'}]");
                g_assert_cmpstr(result.error, ==, test->error);
                if (result.ran != test->ran || result.succeeded != test->succeeded)
                        g_error("%s: %d %d", test->vars, result.ran, result.succeeded);
                if (test->trace)
                        g_assert_cmpstr(result.trace, ==, test->trace);
        }
}

static void it_tells_of_its_substeps_and_its_end(void) {
        g_autoptr(Plan) plan = across_of("'name':'l','values':[true,'x']", "ok", false);
        g_auto(Result) result = run(plan, "'outer'");
        g_assert_cmpstr(
                result.said, ==,
                "initialize {\"origin\":{\"id\":\"a\"}}\n"
                "start {\"origin\":{\"id\":\"a\"}}\n"
                "log {\"origin\":{\"id\":\"a\",\"source\":\"stderr\"},\"payload\":\"\\u001b[1;33mWARNING: across step "
                "shadows local var 'l'\\u001b[0m\\n\"}\n"
                "across-substeps {\"origin\":{\"id\":\"a\"},\"substeps\":["
                "{\"step\":{\"id\":\"a/0/0\",\"task\":{\"name\":\"ok\",\"privileged\":false,\"hermetic\":false}},\"values\":[true]},"
                "{\"step\":{\"id\":\"a/1/0\",\"task\":{\"name\":\"ok\",\"privileged\":false,\"hermetic\":false}},\"values\":[\"x\"]}]}\n"
                "finish {\"origin\":{\"id\":\"a\"},\"succeeded\":true}\n");
}

static void an_error_of_a_substep_is_told_of_the_whole_too(void) {
        g_autoptr(Plan) plan = across_of("'name':'v','values':[1]", "error:bad@e", false);
        g_auto(Result) result = run(plan, NULL);
        g_assert_nonnull(strstr(result.said,
                                "error {\"message\":\"1 error occurred:\\n\\t* bad\\n\\n\","
                                "\"origin\":{\"id\":\"a\"}}\n"));
        g_assert_null(strstr(result.said, "finish"));
}

static void neither_attempts_nor_hooks_reach_into_it(void) {
        g_autoptr(Plan) plan = across_of("'name':'v','values':['ok']", "((.:v))", false);
        g_auto(Result) result = run(plan, NULL);
        g_assert_cmpstr(result.trace, ==, "ok");
}

/* More than a level's limit never begin together: the others would wait for ever. */
static void each_var_has_a_limit_of_its_own(void) {
        static const struct {
                const char *first, *second;
                size_t together;
        } limits[] = { { "1", "1", 1 }, { "'all'", "1", 2 }, { "2", "3", 6 }, { "1", "'all'", 3 } };
        for (size_t i = 0; i < G_N_ELEMENTS(limits); i++) {
                g_autofree char *vars = g_strdup_printf(
                        "'name':'v','values':['x','y'],'max_in_flight':%s},{'name':'w','values':[1,2,3],"
                        "'max_in_flight':%s",
                        limits[i].first, limits[i].second);
                g_autoptr(Plan) plan = across_of(vars, "gate", false);
                leaves_gate(limits[i].together);
                g_auto(Result) result = run(plan, NULL);
                g_assert_true(result.succeeded);
                g_assert_cmpuint(leaves_most(), ==, limits[i].together);
        }
}

/* ---- with one: what a restart finds ---- */

static Engine *open_engine(House *house) {
        static StepSettings settings;
        settings = (StepSettings){ .store = house->store, .redact_secrets = true };
        return engine_new(&(EngineSpec){ .settings = &settings, .node = "n" });
}

static int64_t started(House *house, const char *text) {
        g_autoptr(Plan) plan = plan_of(text);
        g_autoptr(Value) private = plan_to_value(plan);
        g_autoptr(Value) public = plan_to_public(plan);
        BuildStarted spec = { .team_id = house->team_id,
                              .pipeline_id = house->pipeline_id,
                              .plan = private,
                              .public_plan = public };
        g_autoptr(Build) build = OK(build_create_started(house->store, &spec, false, &error));
        return build->id;
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

/* Every event as it is stored, a line each. */
static char *log_of(House *house, int64_t id) {
        g_autoptr(BuildLogReader) reader = OK(build_log_reader_new(house->store, id, 0, &error));
        GString *text = g_string_new(NULL);
        for (;;) {
                int64_t first;
                g_autoptr(GPtrArray) events = OK(build_log_read(reader, 100, &first, &error));
                if (events->len == 0)
                        return g_string_free(text, false);
                for (guint i = 0; i < events->len; i++) {
                        size_t length;
                        const char *bytes = g_bytes_get_data(events->pdata[i], &length);
                        g_string_append_len(text, bytes, (gssize) length);
                        g_string_append_c(text, '\n');
                }
        }
}

static size_t count_of(const char *text, const char *part) {
        size_t count = 0;
        for (; (text = strstr(text, part)); text += strlen(part))
                count++;
        return count;
}

/* load_var, then an across over what it loaded that waits in its second combination. */
static const char loaded_plan[] =
        "{'do':[{'id':'l','load_var':{'name':'v','file':'art/v.json'}},"
        "{'id':'a','across':{'vars':[{'name':'w','values':'((.:v))'}],'substep_template':"
        "'{\\\"id\\\":\\\"1\\\",\\\"task\\\":{\\\"name\\\":\\\"((.:w))\\\"}}'}},"
        "{'id':'b','across':{'vars':[{'name':'w','values':'((.:v))'}],'substep_template':"
        "'{\\\"id\\\":\\\"1\\\",\\\"task\\\":{\\\"name\\\":\\\"ok@b\\\"}}'}}]}";

static void a_restart_keeps_local_vars_and_combinations(House *house) {
        static const SubscriptionTopic topic = { NOTIFY_BUILD_FINISHED, 0 };
        leaves_begin(NULL);
        leaves_file("art/v.json", "[\"ok@one\",\"gate@two\"]");
        leaves_gate(2);
        Engine *engine = open_engine(house);
        int64_t id = started(house, loaded_plan);
        leaves_wait(2);
        engine_free(engine, PATIENCE);

        /* What another life finds is the journal, not the file. */
        leaves_file("art/v.json", "[\"fail@three\"]");
        leaves_gate(1);
        g_autoptr(Subscription) ends = subscription_new(house->store, &topic, 1);
        engine = open_engine(house);
        await_end(house, ends, id, BUILD_SUCCEEDED);
        g_autofree char *trace = leaves_trace(), *log = log_of(house, id);
        g_assert_cmpstr(trace, ==, "one two one two b b"); /* these leaves keep no journal */
        g_assert_cmpuint(leaves_reads(), ==, 1);
        g_assert_cmpuint(count_of(log, "\"across-substeps\""), ==, 2);
        g_assert_cmpuint(count_of(log, "\"initialize\""), ==, 3);
        g_assert_cmpuint(count_of(log, "\"finish\""), ==, 3);
        engine_free(engine, PATIENCE);
}

static void a_secret_that_was_loaded_before_a_restart_stays_hidden(House *house) {
        static const SubscriptionTopic topic = { NOTIFY_BUILD_FINISHED, 0 };
        leaves_begin(NULL);
        leaves_file("art/s", "hunter2\n");
        leaves_gate(2);
        Engine *engine = open_engine(house);
        int64_t id = started(house,
                             "{'do':[{'id':'l','load_var':{'name':'s','file':'art/s'}},'gate',"
                             "{'id':'m','load_var':{'name':'t','file':'hunter2'}}]}");
        leaves_wait(1);
        engine_free(engine, PATIENCE);
        leaves_gate(1);
        g_autoptr(Subscription) ends = subscription_new(house->store, &topic, 1);
        engine = open_engine(house);
        await_end(house, ends, id, BUILD_ERRORED);
        g_autofree char *log = log_of(house, id);
        g_assert_null(strstr(log, "hunter2"));
        g_assert_nonnull(strstr(log, "file '((redacted))' does not specify where the file lives"));
        engine_free(engine, PATIENCE);
}

/* ---- var sources ---- */

static void what_keeps_var_sources_shut_ends_the_build(House *house) {
        static const SubscriptionTopic topic = { NOTIFY_BUILD_FINISHED, 0 };
        house_save(
                house,
                "{'var_sources':[{'name':'vs','type':'dummy','config':{'vars':{'a':'((nope))'}}}],"
                "'jobs':[{'name':'j','plan':[]}]}");
        leaves_begin(NULL);
        g_autoptr(Subscription) ends = subscription_new(house->store, &topic, 1);
        Engine *engine = open_engine(house);
        int64_t id = started(house, "{'id':'root','do':['ok']}");
        await_end(house, ends, id, BUILD_ERRORED);
        g_autofree char *log = log_of(house, id), *trace = leaves_trace();
        g_assert_cmpstr(trace, ==, "");
        g_assert_nonnull(
                strstr(log, "{\"message\":\"evaluate var_source 'vs' error: undefined vars: nope\","
                            "\"origin\":{\"id\":\"root\"}"));
        engine_free(engine, PATIENCE);
}

static void a_credential_of_before_a_restart_stays_hidden(House *house) {
        static const SubscriptionTopic topic = { NOTIFY_BUILD_FINISHED, 0 };
        house_save(
                house,
                "{'var_sources':[{'name':'vs','type':'dummy','config':{'vars':{'pw':'s3cret'}}}],"
                "'jobs':[{'name':'j','plan':[]}]}");
        leaves_begin(NULL);
        leaves_file("art/s3cret", "plain");
        leaves_gate(2);
        Engine *engine = open_engine(house);
        int64_t id = started(
                house,
                "{'do':[{'id':'l','load_var':{'name':'s','file':'art/((vs:pw))','reveal':true}},"
                "'gate',{'id':'m','load_var':{'name':'t','file':'s3cret'}}]}");
        leaves_wait(1);
        engine_free(engine, PATIENCE);
        leaves_gate(1);
        g_autoptr(Subscription) ends = subscription_new(house->store, &topic, 1);
        engine = open_engine(house);
        await_end(house, ends, id, BUILD_ERRORED);
        g_autofree char *log = log_of(house, id);
        g_assert_null(strstr(log, "s3cret"));
        g_assert_nonnull(strstr(log, "file '((redacted))' does not specify where the file lives"));
        engine_free(engine, PATIENCE);
}

static void add(void) {
        g_test_add_func("/across/cases", combinations_run_in_order_and_end_as_a_group_does);
        g_test_add_func("/across/events", it_tells_of_its_substeps_and_its_end);
        g_test_add_func("/across/error", an_error_of_a_substep_is_told_of_the_whole_too);
        g_test_add_func("/across/call", neither_attempts_nor_hooks_reach_into_it);
        g_test_add_func("/across/limits", each_var_has_a_limit_of_its_own);
        house_add("/across/restart", a_restart_keeps_local_vars_and_combinations);
        house_add("/across/var-sources/shut", what_keeps_var_sources_shut_ends_the_build);
        house_add("/across/var-sources/restart", a_credential_of_before_a_restart_stays_hidden);
        house_add("/across/restart/secret", a_secret_that_was_loaded_before_a_restart_stays_hidden);
}

int main(int argc, char **argv) {
        return house_main(argc, argv, add);
}
