#include "../store/house.h"

#include "base/json.h"
#include "steps/artifact_file.h"
#include "steps/support.h"

/* ---- in place of a worker: files ---- */

static const char *files[4][2]; /* "artifact/path", text */

char *artifact_file_read(const StepCall *call, const ArtifactFile *file, size_t *ret_length,
                         GError **error) {
        g_autofree char *path = g_strdup_printf("%s/%s", file->artifact, file->path);

        for (size_t i = 0; i < G_N_ELEMENTS(files) && files[i][0]; i++)
                if (g_str_equal(files[i][0], path)) {
                        *ret_length = strlen(files[i][1]);
                        return g_strdup(files[i][1]);
                }
        g_set_error(error, ERROR, ERROR_NOT_FOUND, "file '%s' not found within artifact '%s'",
                    file->path, file->artifact);
        return NULL;
}

static void one_file(const char *text) {
        memset(files, 0, sizeof files);
        files[0][0] = "a/p.yml";
        files[0][1] = text;
}

/* ---- a build of the job "unit" of the pipeline "p" ---- */

typedef struct {
        House *house;
        StepSettings settings;
        BuildLease lease;
        BuildLogWriter *log;
        Run *run;
        Scope *scope;
        Cancel *cancel;
} Life;

static void life_begin(Life *life) {
        life->log = OK(build_log_writer_new(life->house->store, &life->lease, &error));
        life->settings = (StepSettings){ .store = life->house->store, .redact_secrets = true };
        life->run = run_new(&(RunSpec){ .settings = &life->settings,
                                        .build_id = life->lease.build_id,
                                        .lease = life->lease,
                                        .team_id = life->house->team_id,
                                        .team_name = "main",
                                        .pipeline_id = life->house->pipeline_id,
                                        .pipeline_name = "p",
                                        .job_id = job_id(life->house, "unit"),
                                        .log = life->log });
        life->scope = scope_new(NULL);
        life->cancel = cancel_new(NULL);
}

static void life_end(Life *life) {
        run_free(life->run);
        scope_free(life->scope);
        build_log_writer_free(life->log);
        cancel_free(life->cancel);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Life, life_end)

static void life_first(Life *life, House *house) {
        *life = (Life){ .house = house };
        house_save(house, two_jobs);
        started_build(house, "unit", &life->lease);
        life_begin(life);
}

/* The server starts again. */
static void life_next(Life *life) {
        life_end(life);
        house_open(life->house);
        OK(build_lease_release_node(life->house->store, "n", &error));
        OK(build_lease_acquire(life->house->store, life->lease.build_id, "n", DURATION_MINUTE,
                               &life->lease, &error));
        life_begin(life);
}

/* fields: of the plan. What came of it is appended to the log as "-> succeeded" and the like. */
static char *set(Life *life, const char *id, const char *fields) {
        g_autofree char *text = g_strdup_printf("{'id':'%s','set_pipeline':%s}", id, fields);
        g_autoptr(Value) value = json(text);
        g_autoptr(Plan) plan = OK(plan_from_value(value, &error));
        g_autoptr(GError) why = NULL;
        const StepCall call = { .run = life->run,
                                .scope = life->scope,
                                .plan = plan,
                                .cancel = life->cancel,
                                .shutdown = life->cancel };
        bool succeeded = false;
        bool ran = step_set_pipeline(&call, &succeeded, &why);
        return g_strdup(!ran ? why->message : succeeded ? "succeeded" : "failed");
}

/* The step's events: names, and what logs and errors say; escapes as ~. */
static char *log_of(Life *life, const char *id) {
        OK(build_log_flush(life->log, &error));
        g_autoptr(BuildLogReader) reader = OK(
                build_log_reader_new(life->house->store, life->lease.build_id, 0, &error));
        GString *text = g_string_new(NULL);
        for (;;) {
                int64_t first;
                g_autoptr(GPtrArray) events = OK(build_log_read(reader, 100, &first, &error));
                for (guint i = 0; i < events->len; i++) {
                        size_t length;
                        const char *bytes = g_bytes_get_data(events->pdata[i], &length);
                        g_autoptr(Event) event = OK(event_parse(bytes, length, NULL, &error));
                        const Value *origin = value_get(event->data, "origin");
                        if (!g_str_equal(value_get_string(origin, "id", ""), id))
                                continue;
                        g_string_append(text, event->name);
                        if (value_has(event->data, "succeeded"))
                                g_string_append_printf(
                                        text, " %d",
                                        value_get_bool(event->data, "succeeded", false));
                        if (value_has(event->data, "changed"))
                                g_string_append_printf(
                                        text, " %d", value_get_bool(event->data, "changed", false));
                        if (value_has(event->data, "payload"))
                                g_string_append_printf(
                                        text, " %.3s:%s", value_get_string(origin, "source", ""),
                                        value_get_string(event->data, "payload", ""));
                        if (value_has(event->data, "message"))
                                g_string_append_printf(
                                        text, " %s", value_get_string(event->data, "message", ""));
                        g_string_append_c(text, '|');
                }
                if (events->len == 0)
                        return g_string_free(text, false);
        }
}

static Pipeline *child(House *house, const char *name) {
        return OK(pipeline_find(house->store, house->team_id, name, NULL, &error));
}

#define JOB "jobs: [{name: j, plan: []}]\n"
#define ADDED                                                                                      \
        "jobs:\n  \033[0;33mjob j has been added:\033[0m\n"                                        \
        "  \b\b\033[0;32m+\033[0m \033[0;32mname: j\033[0m\n"                                      \
        "  \b\b\033[0;32m+\033[0m \033[0;32mplan: []\033[0m\n  \n"

/* ---- setting ---- */

static void a_new_pipeline_belongs_to_its_build_and_runs(House *house) {
        g_auto(Life) life = { 0 };
        life_first(&life, house);
        one_file(JOB);
        g_autofree char *end = set(&life, "1", "{'name':'new','file':'a/p.yml'}");
        g_assert_cmpstr(end, ==, "succeeded");
        g_autofree char *log = log_of(&life, "1");
        g_assert_cmpstr(log, ==,
                        "initialize|start|log std:" ADDED "|log std:setting pipeline: new\n|"
                        "set-pipeline-changed 1|log std:done\n|finish 1|");
        g_autoptr(Pipeline) pipeline = child(house, "new");
        g_assert_false(pipeline->paused);
        g_assert_cmpint(pipeline->parent_build_id, ==, life.lease.build_id);
        g_assert_cmpint(pipeline->parent_job_id, ==, job_id(house, "unit"));
}

static void a_pipeline_that_is_as_it_should_be_changes_hands_once(House *house) {
        g_auto(Life) life = { 0 };
        life_first(&life, house);
        one_file(JOB);
        g_autoptr(Value) config = json("{'jobs':[{'name':'j','plan':[]}]}");
        PipelineSave save = {
                .team_id = house->team_id, .name = "c", .config = config, .initially_paused = true
        };
        OK(pipeline_save(house->store, &save, NULL, NULL, &error));
        g_autofree char *first = set(&life, "1", "{'name':'c','file':'a/p.yml'}");
        g_autofree char *log = log_of(&life, "1");
        g_assert_cmpstr(first, ==, "succeeded");
        g_assert_cmpstr(log, ==,
                        "initialize|start|log std:no changes to apply.\n|set-pipeline-changed "
                        "0|finish 1|");
        g_autoptr(Pipeline) pipeline = child(house, "c");
        g_assert_true(pipeline->paused);
        g_assert_cmpint(pipeline->parent_build_id, ==, life.lease.build_id);

        g_autofree char *second = set(&life, "2", "{'name':'c','file':'a/p.yml'}");
        g_assert_cmpstr(second, ==, "pipeline set by a newer build");
        g_autofree char *again = log_of(&life, "2");
        g_assert_cmpstr(again, ==,
                        "initialize|start|log std:no changes to apply.\n|error pipeline set by a "
                        "newer build|");
}

static void an_archived_pipeline_comes_back_running(House *house) {
        g_auto(Life) life = { 0 };
        life_first(&life, house);
        one_file(JOB);
        g_autofree char *first = set(&life, "1", "{'name':'c','file':'a/p.yml'}");
        g_autoptr(Pipeline) pipeline = child(house, "c");
        OK(pipeline_archive(house->store, pipeline->id, &error));
        BuildLease lease;
        int64_t newer = started_build(house, "unit", &lease);
        life_end(&life);
        life.lease = lease;
        life_begin(&life);
        g_autofree char *second = set(&life, "1", "{'name':'c','file':'a/p.yml'}");
        g_assert_cmpstr(second, ==, "succeeded");
        g_autoptr(Pipeline) after = child(house, "c");
        g_assert_false(after->archived);
        g_assert_false(after->paused);
        g_assert_cmpint(after->parent_build_id, ==, newer);
}

static void a_newer_build_s_pipeline_is_left_as_it_is(House *house) {
        g_auto(Life) life = { 0 };
        life_first(&life, house);
        one_file(JOB);
        g_autoptr(Value) config = json("{'jobs':[{'name':'other','plan':[]}]}");
        PipelineSave save = { .team_id = house->team_id,
                              .name = "c",
                              .config = config,
                              .parent_build_id = life.lease.build_id + 100 };
        OK(pipeline_save(house->store, &save, NULL, NULL, &error));
        g_autofree char *end = set(&life, "1", "{'name':'c','file':'a/p.yml'}");
        g_assert_cmpstr(end, ==, "succeeded");
        g_autofree char *log = log_of(&life, "1");
        g_assert_nonnull(strstr(
                log, "set-pipeline-changed 1|log std:\033[1;33mWARNING: the pipeline was not saved "
                     "because it was already saved by a newer build\033[0m\n|finish 1|"));
}

/* 05 §5.4: what the newest build of a job that succeeded did not set is nobody's any more. */
static void a_pipeline_that_is_no_longer_set_is_archived(House *house) {
        g_auto(Life) life = { 0 };
        life_first(&life, house);
        one_file(JOB);
        g_autofree char *kept = set(&life, "1", "{'name':'kept','file':'a/p.yml'}");
        g_autofree char *left = set(&life, "2", "{'name':'left','file':'a/p.yml'}");
        const BuildStatus ends[] = { BUILD_SUCCEEDED, BUILD_FAILED, BUILD_SUCCEEDED };
        for (size_t i = 0; i < G_N_ELEMENTS(ends); i++) {
                if (i > 0) {
                        BuildLease lease;
                        started_build(house, "unit", &lease);
                        life_end(&life);
                        life.lease = lease;
                        life_begin(&life);
                        g_autofree char *again = set(&life, "1",
                                                     "{'name':'kept','file':'a/p.yml'}");
                        g_assert_cmpstr(again, ==, "succeeded");
                }
                finish(house, &life.lease, ends[i]);
                g_autoptr(Pipeline) stays = child(house, "kept"), goes = child(house, "left");
                g_assert_false(stays->archived);
                g_assert_cmpint(goes->archived, ==, i == 2);
        }
}

static void self_is_the_build_s_pipeline_whatever_else_is_said(House *house) {
        g_auto(Life) life = { 0 };
        life_first(&life, house);
        one_file(JOB);
        g_autofree char *end = set(
                &life, "1",
                "{'name':'self','file':'a/p.yml','team':'nobody','instance_vars':{'x':1}}");
        g_assert_cmpstr(end, ==, "succeeded");
        g_autoptr(Value)
                config = OK(pipeline_config(house->store, house->pipeline_id, NULL, &error));
        g_autofree char *text = json_text(config);
        g_assert_cmpstr(text, ==, "{'jobs':[{'name':'j','plan':[]}]}");
}

static void instance_vars_name_the_instance_and_fill_the_file(House *house) {
        g_auto(Life) life = { 0 };
        life_first(&life, house);
        one_file("jobs: [{name: job-((n))-((b.c))-((d))-((zz)), plan: []}]\n");
        files[1][0] = "a/1.yml";
        files[1][1] = "d: first\nn: 9\n";
        files[2][0] = "a/2.yml";
        files[2][1] = "d: second\n";
        g_autofree char *end = set(
                &life, "1",
                "{'name':'i','file':'a/p.yml','instance_vars':{'n':7,'q':'x/y'},"
                "'vars':{'b':{'c':1.50},'n':8},'var_files':['a/1.yml','a/2.yml']}");
        g_assert_cmpstr(end, ==, "succeeded");
        g_autofree char *log = log_of(&life, "1");
        g_assert_nonnull(strstr(
                log,
                "log std:WARNING: jobs.job-7-1.5-first-((zz)): 'job-7-1.5-first-((zz))' is not a "
                "valid identifier: illegal character '('\n|"));
        g_assert_nonnull(strstr(log, "setting pipeline: i/n:7,q:\"x/y\"\n"));
        g_autoptr(Value) vars = json("{'q':'x/y','n':7}");
        g_autoptr(Pipeline)
                pipeline = OK(pipeline_find(house->store, house->team_id, "i", vars, &error));
        g_assert_cmpint(pipeline->parent_build_id, ==, life.lease.build_id);
}

static void another_team_s_pipeline_is_the_admins_to_set(House *house) {
        g_autoptr(Value) auth = json("{}");
        OK(team_save(house->store, "other", auth, NULL, NULL, &error));
        g_auto(Life) life = { 0 };
        life_first(&life, house);
        one_file(JOB);
        g_autofree char *end = set(&life, "1", "{'name':'t','file':'a/p.yml','team':'other'}");
        g_autoptr(Team) own = OK(team_find(house->store, "main", &error));
        g_assert_cmpstr(end, ==,
                        own->admin ? "succeeded"
                                   : "only main team can set another team's pipeline");
}

/* ---- what is wrong ---- */

static const struct {
        const char *fields, *text, *end, *log;
} faults[] = {
        { "{'name':'x/y','file':'a/p.yml'}", JOB, "failed",
          "initialize|log std:ERROR: pipeline name cannot contain '/'\n|finish 0|" },
        { "{'name':'x','file':'a/p.yml','team':'a/b'}", JOB, "failed",
          "initialize|log std:ERROR: team name cannot contain '/'\n|finish 0|" },
        { "{'name':'x','file':''}", JOB, "file is not specified",
          "initialize|error file is not specified|" },
        { "{'name':'x','file':'p.yml'}", JOB,
          "config path 'p.yml' does not specify where the file lives",
          "initialize|error config path 'p.yml' does not specify where the file lives|" },
        { "{'name':'x','file':'a/nope'}", JOB, "file 'nope' not found within artifact 'a'",
          "initialize|error file 'nope' not found within artifact 'a'|" },
        { "{'name':'x','file':'a/p.yml','vars':{'a':'((nope))'}}", JOB, "undefined vars: nope",
          "initialize|error undefined vars: nope|" },
        { "{'name':'x','file':'a/p.yml'}", "jobs: [", "failed",
          "initialize|start|log std:error parsing pipeline:\n|log std:yaml: line 1: did not find expected node "
          "content|finish 0|" },
        { "{'name':'x','file':'a/p.yml'}", "jobs: []\njobs: []\n", "failed",
          "initialize|start|log std:error parsing pipeline:\n|log std:yaml: unmarshal errors:\n  line 2: mapping key "
          "\"jobs\" already defined at line 1|finish 0|" },
        { "{'name':'x','file':'a/p.yml'}", "jobs: [{name: j, pubic: true}]\n", "failed",
          "initialize|start|log std:error parsing pipeline:\n|log std:error unmarshaling JSON: while decoding JSON: "
          "json: unknown field \"pubic\"|finish 0|" },
        { "{'name':'x','file':'a/p.yml','var_files':['a/nope.yml']}", JOB, "failed",
          "initialize|start|log std:error parsing pipeline:\n|log std:file 'nope.yml' not found within artifact "
          "'a'|finish 0|" },
        { "{'name':'x','file':'a/p.yml','var_files':['nope']}", JOB, "failed",
          "initialize|start|log std:error parsing pipeline:\n|log std:config path 'nope' does not specify where the "
          "file lives|finish 0|" },
        { "{'name':'x','file':'a/p.yml'}", "resources: [{name: u, type: t}]\njobs: []\n", "failed",
          "initialize|start|log std:invalid pipeline:\n- invalid resources:\n\tresource 'u' is not used\n- invalid "
          "jobs:\n\tjobs: pipeline must contain at least one job\n|finish 0|" },
        { "{'name':'x','file':'a/p.yml','team':'nobody'}", JOB, "team nobody not found",
          "initialize|start|error team nobody not found|" },
};

static void what_is_wrong_fails_or_errors_as_upstream_does(House *house) {
        g_auto(Life) life = { 0 };
        life_first(&life, house);
        for (size_t i = 0; i < G_N_ELEMENTS(faults); i++) {
                g_autofree char *id = g_strdup_printf("f%zu", i);
                one_file(faults[i].text);
                g_autofree char *end = set(&life, id, faults[i].fields);
                g_autofree char *log = log_of(&life, id);
                g_assert_cmpstr(end, ==, faults[i].end);
                g_assert_cmpstr(log, ==, faults[i].log);
        }
}

/* ---- restarts ---- */

typedef struct {
        const char *name; /* of the pipeline */
        bool changed;     /* there is something to save */
        bool saved;       /* the life that died had saved it */
} Restart;

/* As if the server died right before, or right after, the pipeline was saved. */
static void restart(House *house, const Restart *test) {
        g_auto(Life) life = { 0 };
        life_first(&life, house);
        one_file(JOB);
        g_autoptr(Value) config = json("{'jobs':[{'name':'j','plan':[]}]}");
        PipelineSave save = { .team_id = house->team_id, .name = test->name, .config = config };
        if (!test->changed)
                OK(pipeline_save(house->store, &save, NULL, NULL, &error));
        g_autofree char *digest = json_digest(config);
        g_autofree char *text = g_strdup_printf(
                "{'changed':%s,'team':%d,'name':'%s','parent':0,'digest':'%s'}",
                test->changed ? "true" : "false", (int) house->team_id, test->name, digest);
        g_autoptr(Value) journal = json(text);
        OK(build_step_save(house->store, &life.lease,
                           &(BuildStep){ .plan_id = (char *) "1",
                                         .state = BUILD_STEP_RUNNING,
                                         .result = journal },
                           &error));
        save.parent_build_id = life.lease.build_id;
        if (test->saved && test->changed)
                OK(pipeline_save(house->store, &save, NULL, NULL, &error));
        if (test->saved && !test->changed) {
                g_autoptr(Pipeline) pipeline = child(house, test->name);
                OK(pipeline_set_parent(
                        house->store,
                        &(PipelineParent){ pipeline->id, 0, life.lease.build_id, &life.lease },
                        &error));
        }
        life_next(&life);
        g_autofree char *fields = g_strdup_printf("{'name':'%s','file':'a/p.yml'}", test->name);
        g_autofree char *end = set(&life, "1", fields);
        g_assert_cmpstr(end, ==, "succeeded");
        g_autoptr(Pipeline) pipeline = child(house, test->name);
        g_assert_cmpint(pipeline->parent_build_id, ==, life.lease.build_id);
        g_autofree char *log = log_of(&life, "1");
        g_assert_true(g_str_has_suffix(log, test->changed ? "log std:done\n|finish 1|"
                                                          : "set-pipeline-changed 0|finish 1|"));
        g_assert_cmpint(strstr(log, "start|") == NULL, ==, test->saved);
}

static void a_restart_sets_it_once(House *house) {
        static const Restart cases[] = { { "a", false, false },
                                         { "b", true, false },
                                         { "c", false, true },
                                         { "d", true, true } };
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
                restart(house, &cases[i]);
}

static void a_restart_after_the_end_says_nothing_again(House *house) {
        g_auto(Life) life = { 0 };
        life_first(&life, house);
        one_file(JOB);
        g_autofree char *first = set(&life, "1", "{'name':'e','file':'a/p.yml'}");
        g_autofree char *before = log_of(&life, "1");
        one_file("jobs: [");
        life_next(&life);
        g_autofree char *second = set(&life, "1", "{'name':'e','file':'a/p.yml'}");
        g_autofree char *after = log_of(&life, "1");
        g_assert_cmpstr(second, ==, first);
        g_assert_cmpstr(after, ==, before);
}

static void add(void) {
        house_add("/set_pipeline/new", a_new_pipeline_belongs_to_its_build_and_runs);
        house_add("/set_pipeline/unchanged", a_pipeline_that_is_as_it_should_be_changes_hands_once);
        house_add("/set_pipeline/archived", an_archived_pipeline_comes_back_running);
        house_add("/set_pipeline/newer", a_newer_build_s_pipeline_is_left_as_it_is);
        house_add("/set_pipeline/no-longer", a_pipeline_that_is_no_longer_set_is_archived);
        house_add("/set_pipeline/self", self_is_the_build_s_pipeline_whatever_else_is_said);
        house_add("/set_pipeline/vars", instance_vars_name_the_instance_and_fill_the_file);
        house_add("/set_pipeline/team", another_team_s_pipeline_is_the_admins_to_set);
        house_add("/set_pipeline/faults", what_is_wrong_fails_or_errors_as_upstream_does);
        house_add("/set_pipeline/restart", a_restart_sets_it_once);
        house_add("/set_pipeline/restart/over", a_restart_after_the_end_says_nothing_again);
}

int main(int argc, char **argv) {
        return house_main(argc, argv, add);
}
