#include "house.h"

static Pipeline *save(House *house, const char *name, const char *vars, const char *config) {
        g_autoptr(Value) value = json(config), instance = vars ? json(vars) : NULL;
        Pipeline *pipeline = NULL;
        PipelineSave spec = { .team_id = house->team_id,
                              .name = name,
                              .instance_vars = instance,
                              .config = value,
                              .initially_paused = true };
        OK(pipeline_save(house->store, &spec, NULL, &pipeline, &error));
        return pipeline;
}

static char *names(GPtrArray *pipelines) {
        GString *text = g_string_new(NULL);
        for (guint i = 0; i < pipelines->len; i++) {
                const Pipeline *pipeline = pipelines->pdata[i];
                g_autofree char *vars = pipeline->instance_vars ? json_text(pipeline->instance_vars)
                                                                : g_strdup("");
                g_string_append_printf(text, "%s%s%s", i ? " " : "", pipeline->name, vars);
        }
        return g_string_free(text, false);
}

static void a_config_comes_back_as_it_was_saved(House *house) {
        house_save(house, two_jobs);
        int64_t version;
        g_autoptr(Value)
                config = OK(pipeline_config(house->store, house->pipeline_id, &version, &error));
        g_autofree char *text = json_text(config);
        g_assert_cmpstr(text, ==, two_jobs);
        g_autoptr(Value) job = OK(job_config(house->store, job_id(house, "deploy"), &error));
        g_assert_true(value_get_bool(job, "serial", false));
        house_save(house, "{'jobs':[]}");
        g_autoptr(Value) next = OK(pipeline_config(house->store, house->pipeline_id, NULL, &error));
        g_assert_cmpuint(value_length(next), ==, 1);
        FAILS(job_find(house->store, house->pipeline_id, "unit", &error), ERROR_NOT_FOUND);
}

static void a_save_from_another_version_is_refused(House *house) {
        g_autoptr(Pipeline) pipeline = save(house, "p", NULL, "{'jobs':[]}");
        g_autoptr(Value) config = json("{'jobs':[]}");
        bool created;
        PipelineSave spec = { .team_id = house->team_id,
                              .name = "p",
                              .config = config,
                              .check_version = true,
                              .from_version = pipeline->version + 1 };
        FAILS(pipeline_save(house->store, &spec, NULL, NULL, &error), ERROR_BUSY);
        spec.from_version--;
        OK(pipeline_save(house->store, &spec, &created, NULL, &error));
        g_assert_false(created);
}

/* What "existing" is before each save: set by build 10 at its version. */
static void a_save_is_refused_when_another_build_was_there(House *house) {
        static const struct {
                int64_t build;
                bool stale; /* from another version */
                ErrorCode code;
                const char *message; /* NULL: it is saved */
        } cases[] = {
                { 11, false, 0, NULL },
                { 11, true, ERROR_BUSY, "comparison with existing config failed during save" },
                { 10, false, ERROR_BUSY, "comparison with existing config failed during save" },
                { 9, false, ERROR_DENIED, "pipeline set by a newer build" },
                { 9, true, ERROR_DENIED, "pipeline set by a newer build" },
                { 0, false, 0, NULL },
                { 0, true, ERROR_DENIED, "pipeline set by a newer build" },
        };
        g_autoptr(Value) config = json("{'jobs':[]}");
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(Pipeline) existing = NULL;
                g_autoptr(GError) why = NULL;
                g_autofree char *name = g_strdup_printf("p%zu", i);
                PipelineSave spec = { .team_id = house->team_id,
                                      .name = name,
                                      .config = config,
                                      .parent_job_id = 1,
                                      .parent_build_id = 10 };
                OK(pipeline_save(house->store, &spec, NULL, &existing, &error));
                spec.parent_build_id = cases[i].build;
                spec.check_version = true;
                spec.from_version = existing->version + cases[i].stale;
                g_assert_cmpint(pipeline_save(house->store, &spec, NULL, NULL, &why), ==,
                                !cases[i].message);
                g_assert_cmpstr(why ? why->message : NULL, ==, cases[i].message);
                if (why)
                        g_assert_error(why, ERROR, (int) cases[i].code);
        }
}

static void a_build_makes_a_pipeline_its_own_once(House *house) {
        BuildLease lease;
        house_save(house, two_jobs);
        int64_t build = started_build(house, "unit", &lease);
        g_autoptr(Pipeline) pipeline = save(house, "child", NULL, "{'jobs':[]}");
        PipelineParent parent = { pipeline->id, job_id(house, "unit"), build, &lease };
        OK(pipeline_set_parent(house->store, &parent, &error));
        g_autoptr(Pipeline) after = OK(pipeline_get(house->store, pipeline->id, &error));
        g_assert_cmpint(after->parent_build_id, ==, build);
        g_assert_cmpint(after->version, ==, pipeline->version);
        FAILS_SAYING(pipeline_set_parent(house->store, &parent, &error),
                     "pipeline set by a newer build");
        lease.epoch--;
        FAILS(pipeline_set_parent(house->store, &parent, &error), ERROR_STALE);
}

static void a_renamed_job_keeps_its_builds(House *house) {
        house_save(house, "{'jobs':[{'name':'a','plan':[]},{'name':'b','plan':[]}]}");
        int64_t a = job_id(house, "a"), b = job_id(house, "b");
        g_autoptr(Build) build = pending_build(house, "a");
        house_save(house, "{'jobs':[{'name':'b','old_name':'a','plan':[]},"
                          "{'name':'c','old_name':'b','plan':[]}]}");
        g_assert_cmpint(job_id(house, "b"), ==, a);
        g_assert_cmpint(job_id(house, "c"), ==, b);
        g_autoptr(Build) found = OK(build_find(house->store, a, "latest", &error));
        g_assert_cmpint(found->id, ==, build->id);

        g_autoptr(Value) swap = json("{'jobs':[{'name':'b','old_name':'c','plan':[]},"
                                     "{'name':'c','old_name':'b','plan':[]}]}");
        PipelineSave spec = { .team_id = house->team_id, .name = "p", .config = swap };
        FAILS_SAYING(pipeline_save(house->store, &spec, NULL, NULL, &error),
                     "job name swapping is not supported at this time");
        g_assert_cmpint(job_id(house, "c"), ==, b);
}

static void a_job_that_comes_back_goes_on_counting(House *house) {
        house_save(house, "{'jobs':[{'name':'a','plan':[]}]}");
        g_autoptr(Build) one = pending_build(house, "a");
        house_save(house, "{'jobs':[]}");
        house_save(house, "{'jobs':[{'name':'a','plan':[]}]}");
        g_autoptr(Build) two = pending_build(house, "a");
        g_assert_cmpstr(two->name, ==, "2");
        g_assert_cmpint(one->job_id, ==, two->job_id);
}

static void pipelines_are_listed_in_their_order(House *house) {
        g_autoptr(Pipeline) a = save(house, "a", NULL, "{'jobs':[]}");
        g_autoptr(Pipeline) b = save(house, "b", "{'y':1,'x':'2'}", "{'jobs':[]}");
        g_autoptr(Pipeline) c = save(house, "c", NULL, "{'jobs':[]}");
        g_autoptr(Pipeline) b2 = save(house, "b", "{'x':3}", "{'jobs':[]}");
        Visibility everything = { .everything = true }, nobody = { 0 };
        g_autoptr(GPtrArray)
                all = OK(pipeline_list(house->store, house->team_id, &everything, &error));
        g_autofree char *text = names(all);
        g_assert_cmpstr(text, ==, "a b{'x':'2','y':1} b{'x':3} c");

        g_autoptr(GPtrArray) order = g_ptr_array_new();
        g_ptr_array_add(order, (char *) "c");
        g_ptr_array_add(order, (char *) "nope");
        FAILS(pipeline_order(house->store, house->team_id, order, &error), ERROR_NOT_FOUND);
        order->pdata[1] = (char *) "a";
        g_ptr_array_add(order, (char *) "b");
        OK(pipeline_order(house->store, house->team_id, order, &error));
        g_autoptr(Value) instances = json("[{'x':3},{'x':'2','y':1}]"), unknown = json("[{'x':9}]");
        OK(pipeline_order_within_group(house->store, house->team_id, "b", instances, &error));
        FAILS_SAYING(
                pipeline_order_within_group(house->store, house->team_id, "b", unknown, &error),
                "pipeline 'b/x:9' not found");
        g_autoptr(GPtrArray) ordered = OK(pipeline_list(house->store, 0, &everything, &error));
        g_autofree char *ordered_text = names(ordered);
        g_assert_cmpstr(ordered_text, ==, "c a b{'x':3} b{'x':'2','y':1}");

        OK(pipeline_set_public(house->store, a->id, true, &error));
        g_autoptr(GPtrArray) seen = OK(pipeline_list(house->store, 0, &nobody, &error));
        g_autofree char *seen_text = names(seen);
        g_assert_cmpstr(seen_text, ==, "a");
        OK(pipeline_rename(house->store, house->team_id, "b", "d", &error));
        g_autoptr(GPtrArray)
                renamed = OK(pipeline_list_instances(house->store, house->team_id, "d", &error));
        g_assert_cmpuint(renamed->len, ==, 2);
        FAILS(pipeline_rename(house->store, house->team_id, "d", "a", &error) &&
                      pipeline_rename(house->store, house->team_id, "c", "a", &error),
              ERROR_EXISTS);
}

static void an_archived_pipeline_has_no_config_and_comes_back_paused(House *house) {
        g_autoptr(Pipeline) pipeline = save(house, "p", NULL, "{'jobs':[{'name':'a','plan':[]}]}");
        OK(pipeline_archive(house->store, pipeline->id, &error));
        FAILS(pipeline_config(house->store, pipeline->id, NULL, &error), ERROR_NOT_FOUND);
        g_autoptr(Pipeline) archived = OK(pipeline_get(house->store, pipeline->id, &error));
        g_assert_true(archived->archived && archived->paused);
        g_assert_cmpint(archived->version, ==, 0);
        g_autoptr(Pipeline) back = save(house, "p", NULL, "{'jobs':[]}");
        g_assert_true(!back->archived && back->paused);
        OK(pipeline_unpause(house->store, back->id, &error));
        OK(pipeline_pause(house->store, back->id, "me", &error));
        OK(pipeline_pause(house->store, back->id, "you", &error));
        g_autoptr(Pipeline)
                paused = OK(pipeline_find(house->store, house->team_id, "p", NULL, &error));
        g_assert_cmpstr(paused->paused_by, ==, "me");
}

static void what_no_job_sets_any_more_is_archived(House *house) {
        house_save(house, two_jobs);
        g_autoptr(Value) config = json("{'jobs':[]}");
        BuildLease lease;
        int64_t first = started_build(house, "unit", &lease);
        PipelineSave spec = { .team_id = house->team_id,
                              .name = "child",
                              .config = config,
                              .parent_job_id = job_id(house, "unit"),
                              .parent_build_id = first };
        g_autoptr(Pipeline) child = NULL;
        OK(pipeline_save(house->store, &spec, NULL, &child, &error));
        finish(house, &lease, BUILD_SUCCEEDED);
        int64_t count;
        OK(pipeline_archive_abandoned(house->store, &count, &error));
        g_assert_cmpint(count, ==, 0);
        started_build(house, "unit", &lease);
        finish(house, &lease, BUILD_SUCCEEDED);
        g_autoptr(Pipeline) archived = OK(pipeline_get(house->store, child->id, &error));
        g_assert_true(archived->archived);
}

static void groups_and_lists_are_found(House *house) {
        house_save(house, "{'groups':[{'name':'g','jobs':['u*']}],'display':{'background_image':"
                          "'x'},'resource_types':[{'name':'t','type':'git','source':{}}],"
                          "'jobs':[{'name':'unit','max_in_flight':3,'plan':[]}]}");
        g_autoptr(Job) job = OK(job_find(house->store, house->pipeline_id, "unit", &error));
        g_assert_cmpstr(job->groups->pdata[0], ==, "g");
        g_assert_cmpint(job->max_in_flight, ==, 3);
        g_autoptr(Pipeline) pipeline = OK(pipeline_get(house->store, house->pipeline_id, &error));
        g_assert_cmpuint(value_length(pipeline->groups), ==, 1);
        g_assert_nonnull(pipeline->display);
        g_assert_null(pipeline->user_data);
        g_autoptr(GPtrArray) types = OK(
                resource_list(house->store, RESOURCE_KIND_TYPE, house->pipeline_id, &error));
        g_assert_cmpuint(types->len, ==, 1);
        Visibility nobody = { 0 };
        g_autoptr(GPtrArray) jobs = OK(job_list_visible(house->store, &nobody, &error));
        g_assert_cmpuint(jobs->len, ==, 0);
        g_autoptr(GPtrArray) resources = OK(resource_list_visible(house->store, &nobody, &error));
        g_assert_cmpuint(resources->len, ==, 0);
        g_autoptr(GPtrArray)
                candidates = OK(check_candidate_list(house->store, UINT64_MAX, &error));
        g_assert_cmpuint(candidates->len, ==, 0);
        OK(job_set_first_logged_build(house->store, job->id, 5, &error));
        FAILS(job_set_first_logged_build(house->store, job->id, 4, &error), ERROR_INVALID);
}

/* ---- teams, users, tokens ---- */

static void teams_are_found_whatever_their_case(House *house) {
        g_autoptr(Value) auth = json("{'viewer':{'users':['local:a']}}");
        bool created;
        g_autoptr(Team) team = NULL;
        OK(team_save(house->store, "Ops", auth, &created, &team, &error));
        g_assert_true(created);
        g_autoptr(Team) found = OK(team_find(house->store, "oPS", &error));
        g_assert_cmpstr(found->name, ==, "Ops");
        g_assert_true(value_equal(found->auth, auth));
        OK(team_rename(house->store, team->id, "dev", &error));
        FAILS(team_rename(house->store, team->id, "MAIN", &error), ERROR_EXISTS);
        g_autoptr(GPtrArray) teams = OK(team_list(house->store, &error));
        g_assert_cmpstr(((Team *) teams->pdata[0])->name, ==, "dev");
        OK(team_delete(house->store, team->id, &error));
        FAILS(team_get(house->store, team->id, &error), ERROR_NOT_FOUND);
        FAILS(team_delete(house->store, house->team_id, &error), ERROR_DENIED);
}

static void tokens_are_kept_as_digests(House *house) {
        g_autoptr(Value) claims = json("{'sub':'s'}");
        OK(token_save(house->store, "secret-token", "s", claims, 1000, &error));
        g_autoptr(Token) token = OK(token_find(house->store, "secret-token", &error));
        g_assert_true(value_equal(token->claims, claims));
        FAILS(token_find(house->store, "other", &error), ERROR_NOT_FOUND);
        int64_t deleted;
        OK(token_delete_expired(house->store, 1001, &deleted, &error));
        g_assert_cmpint(deleted, ==, 1);
        OK(token_delete(house->store, "secret-token", &error));
        OK(user_save(house->store, "s", "me", "local", 5, &error));
        OK(user_save(house->store, "s", "you", "local", 6, &error));
        g_autoptr(GPtrArray) users = OK(user_list(house->store, 6, &error));
        g_assert_cmpstr(((User *) users->pdata[0])->username, ==, "you");
}

static void the_first_secret_of_a_name_stays(House *house) {
        g_autofree char *first = NULL, *second = NULL;
        OK(server_secret_ensure(house->store, "key", "one", &first, &error));
        OK(server_secret_ensure(house->store, "key", "two", &second, &error));
        g_assert_cmpstr(second, ==, "one");
        OK(server_secret_save(house->store, "key", "three", &error));
        g_autofree char *third = NULL;
        OK(server_secret_find(house->store, "key", &third, &error));
        g_assert_cmpstr(third, ==, "three");
}

/* Whether any file below the folder holds the text. */
static bool stored_anywhere(const char *folder, const char *text) {
        g_autoptr(GDir) directory = g_dir_open(folder, 0, NULL);
        bool found = false;
        for (const char *name; (name = g_dir_read_name(directory));) {
                g_autofree char *path = g_build_filename(folder, name, NULL);
                g_autofree char *content = NULL;
                size_t length;
                if (g_file_test(path, G_FILE_TEST_IS_DIR))
                        found |= stored_anywhere(path, text);
                else if (g_file_get_contents(path, &content, &length, NULL))
                        found |= memmem(content, length, text, strlen(text)) != NULL;
        }
        return found;
}

static void with_a_key_configs_plans_and_auth_are_sealed(House *house) {
        if (house->fixture->kind == DB_POSTGRES)
                return; /* the same columns */
        house->fixture->spec.encryption_key = "0123456789abcdef";
        house_open(house);
        house_save(house, "{'resources':[{'name':'repo','type':'git','source':{'key':'T0PSECRET'}}"
                          "],'jobs':[{'name':'unit','plan':[{'get':'repo'}]}]}");
        g_autoptr(Value) plan = json("{'id':'1','password':'T0PSECRET'}");
        g_autoptr(Value) public_plan = json("{'id':'visible'}");
        g_autoptr(Value) auth = json("{'owner':{'users':['local:T0PSECRET']}}");
        BuildStarted spec = { .team_id = house->team_id, .plan = plan, .public_plan = public_plan };
        g_autoptr(Build) build = OK(build_create_started(house->store, &spec, false, &error));
        OK(team_save(house->store, "t", auth, NULL, NULL, &error));
        BuildLease lease;
        OK(build_lease_acquire(house->store, build->id, "n", DURATION_MINUTE, &lease, &error));
        BuildStep step = { .plan_id = "1", .state = BUILD_STEP_RUNNING, .result = plan };
        OK(build_step_save(house->store, &lease, &step, &error));
        g_autoptr(Value) read = OK(build_plan(house->store, build->id, &error));
        g_assert_true(value_equal(read, plan));
        house_close(house);
        g_assert_true(stored_anywhere(house->fixture->folder, "visible"));
        g_assert_false(stored_anywhere(house->fixture->folder, "T0PSECRET"));
        house_open(house);
}

static void add(void) {
        house_add("/store/pipelines/config", a_config_comes_back_as_it_was_saved);
        house_add("/store/pipelines/version", a_save_from_another_version_is_refused);
        house_add("/pipelines/save/builds", a_save_is_refused_when_another_build_was_there);
        house_add("/pipelines/parent", a_build_makes_a_pipeline_its_own_once);
        house_add("/store/pipelines/rename-job", a_renamed_job_keeps_its_builds);
        house_add("/store/pipelines/come-back", a_job_that_comes_back_goes_on_counting);
        house_add("/store/pipelines/order", pipelines_are_listed_in_their_order);
        house_add("/store/pipelines/archive",
                  an_archived_pipeline_has_no_config_and_comes_back_paused);
        house_add("/store/pipelines/abandoned", what_no_job_sets_any_more_is_archived);
        house_add("/store/pipelines/groups", groups_and_lists_are_found);
        house_add("/store/pipelines/sealed", with_a_key_configs_plans_and_auth_are_sealed);
        house_add("/store/teams", teams_are_found_whatever_their_case);
        house_add("/store/tokens", tokens_are_kept_as_digests);
        house_add("/store/secrets", the_first_secret_of_a_name_stays);
}

int main(int argc, char **argv) {
        return house_main(argc, argv, add);
}
