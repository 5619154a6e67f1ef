#include "../store/house.h"

#include "scheduler/pass.h"

/* Who was asked to be checked, as resource ids. */
static GArray *asked;
/* What the last pass said of it. */
static char *no_room;

static void note_request(int64_t resource_id, Time since, void *data) {
        g_array_append_val(asked, resource_id);
}

static bool pass(House *house, const char *job) {
        const SchedulerSpec spec = { .store = house->store,
                                     .node = "n",
                                     .request_check = note_request };
        g_auto(PassResult) result = { 0 };

        g_array_set_size(asked, 0);
        OK(pass_run(&spec, job_id(house, job), &result, &error));
        g_free(no_room);
        no_room = g_steal_pointer(&result.no_room);
        return result.again;
}

/* The job's builds as "name:status", oldest first. */
static void assert_builds(House *house, const char *job, const char *expect) {
        BuildQuery query = { .job_id = job_id(house, job) };
        g_autoptr(GPtrArray) builds = OK(build_list(house->store, &query, NULL, &error));
        g_autoptr(GString) text = g_string_new(NULL);
        for (size_t i = builds->len; i > 0; i--) {
                const Build *build = g_ptr_array_index(builds, i - 1);
                g_string_append_printf(text, "%s%s:%s", text->len ? " " : "", build->name,
                                       build_status_name(build->status));
        }
        g_assert_cmpstr(text->str, ==, expect);
}

/* What a build of this name got, as "input=ref", first occurrences marked. */
static void assert_inputs(House *house, const char *job, const char *name, const char *expect) {
        g_autoptr(Build) build = OK(build_find(house->store, job_id(house, job), name, &error));
        g_autoptr(GPtrArray) inputs = NULL;
        g_autoptr(GString) text = g_string_new(NULL);
        OK(build_versions(house->store, build->id, false, &inputs, NULL, &error));
        for (size_t i = 0; i < inputs->len; i++) {
                const BuildVersion *input = g_ptr_array_index(inputs, i);
                g_string_append_printf(text, "%s%s=%s%s", text->len ? " " : "", input->name,
                                       value_get_string(input->version, "ref", "?"),
                                       input->first_occurrence ? "!" : "");
        }
        g_assert_cmpstr(text->str, ==, expect);
}

static void end(House *house, const char *job, const char *name, BuildStatus status) {
        g_autoptr(Build) build = OK(build_find(house->store, job_id(house, job), name, &error));
        BuildLease lease;
        OK(build_lease_acquire(house->store, build->id, "n", DURATION_MINUTE, &lease, &error));
        finish(house, &lease, status);
}

static void open_house(House *house, const char *config) {
        g_array_set_size(asked, 0);
        house_worker(house, "w");
        house_save(house, config);
}

#define REPO "'resources':[{'name':'repo','type':'git','source':{'uri':'a'}}]"

/* ---- automatic builds ---- */

static void a_version_of_a_triggering_input_makes_a_build(House *house) {
        open_house(house,
                   "{" REPO ",'jobs':[{'name':'j','plan':[{'get':'repo','trigger':true}]}]}");
        int64_t scope = scope_of(house, "repo");
        g_assert_false(pass(house, "j"));
        assert_builds(house, "j", "");

        save_refs(house, scope, "a b");
        g_assert_false(pass(house, "j"));
        assert_builds(house, "j", "1:started");
        assert_inputs(house, "j", "1", "repo=b!");
        g_assert_false(pass(house, "j"));
        assert_builds(house, "j", "1:started");

        save_refs(house, scope, "a b c");
        g_assert_false(pass(house, "j"));
        assert_builds(house, "j", "1:started 2:started");
        assert_inputs(house, "j", "2", "repo=c!");
}

static void a_version_of_another_input_makes_none(House *house) {
        open_house(house, "{" REPO ",'jobs':[{'name':'j','plan':[{'get':'repo'}]}]}");
        save_refs(house, scope_of(house, "repo"), "a");
        g_assert_false(pass(house, "j"));
        assert_builds(house, "j", "");
}

static void the_plan_carries_the_version(House *house) {
        open_house(house,
                   "{" REPO ",'jobs':[{'name':'j','plan':[{'get':'repo','trigger':true}]}]}");
        save_refs(house, scope_of(house, "repo"), "a");
        pass(house, "j");
        g_autoptr(Build) build = OK(build_find(house->store, job_id(house, "j"), "1", &error));
        g_autoptr(Value) plan = OK(build_plan(house->store, build->id, &error));
        g_autofree char *text = json_text(plan);
        g_assert_nonnull(strstr(text, "'version':{'ref':'a'}"));
        g_autoptr(Value) public = OK(build_public_plan(house->store, build->id, &error));
        g_autofree char *shown = json_text(public);
        g_assert_null(strstr(shown, "'source'"));
}

static void every_version_gets_its_build(House *house) {
        open_house(house, "{" REPO ",'jobs':[{'name':'j','plan':[{'get':'repo','trigger':true,"
                          "'version':'every'}]}]}");
        int64_t scope = scope_of(house, "repo");
        save_refs(house, scope, "a");
        pass(house, "j");
        save_refs(house, scope, "a b c d");
        for (int i = 0; i < 5; i++)
                pass(house, "j");
        assert_builds(house, "j", "1:started 2:started 3:started 4:started");
        assert_inputs(house, "j", "2", "repo=b!");
        assert_inputs(house, "j", "4", "repo=d!");
}

static void passed_waits_for_a_success_of_the_job_before(House *house) {
        open_house(house, two_jobs);
        save_refs(house, scope_of(house, "repo"), "a b");
        pass(house, "deploy");
        assert_builds(house, "deploy", "");
        pass(house, "unit");
        assert_builds(house, "unit", "1:started");
        pass(house, "deploy");
        assert_builds(house, "deploy", "");
        end(house, "unit", "1", BUILD_FAILED);
        pass(house, "deploy");
        assert_builds(house, "deploy", "");

        save_refs(house, scope_of(house, "repo"), "a b c");
        pass(house, "unit");
        end(house, "unit", "2", BUILD_SUCCEEDED);
        pass(house, "deploy");
        assert_builds(house, "deploy", "1:started");
        assert_inputs(house, "deploy", "1", "repo=c!");
}

/* ---- what holds a build back ---- */

static void max_in_flight_holds_the_next_ones_back(House *house) {
        open_house(house, "{" REPO ",'jobs':[{'name':'j','max_in_flight':2,'plan':[{'get':'repo',"
                          "'trigger':true}]}]}");
        int64_t scope = scope_of(house, "repo");
        for (int i = 0; i < 3; i++) {
                g_autofree char *refs = g_strdup_printf("v%d", i);
                save_refs(house, scope, refs);
                g_assert_cmpint(pass(house, "j"), ==, i == 2);
        }
        assert_builds(house, "j", "1:started 2:started 3:pending");
        g_autoptr(Job) job = OK(job_find(house->store, house->pipeline_id, "j", &error));
        g_assert_true(job->max_in_flight_reached);
        end(house, "j", "1", BUILD_FAILED);
        g_assert_false(pass(house, "j"));
        assert_builds(house, "j", "1:failed 2:started 3:started");
}

static void a_serial_group_runs_one_at_a_time_in_order(House *house) {
        open_house(house,
                   "{" REPO ",'jobs':["
                   "{'name':'a','serial_groups':['g'],'plan':[{'get':'repo','trigger':true}]},"
                   "{'name':'b','serial_groups':['g','h'],'plan':[{'get':'repo',"
                   "'trigger':true}]},"
                   "{'name':'c','serial_groups':['h'],'plan':[{'get':'repo',"
                   "'trigger':true}]}]}");
        save_refs(house, scope_of(house, "repo"), "1");
        g_assert_false(pass(house, "a"));
        g_assert_true(pass(house, "b"));
        g_assert_true(pass(house, "c")); /* b is older and in its group */
        assert_builds(house, "a", "1:started");
        assert_builds(house, "b", "1:pending");
        assert_builds(house, "c", "1:pending");
        end(house, "a", "1", BUILD_SUCCEEDED);
        g_assert_true(pass(house, "c"));
        g_assert_false(pass(house, "b"));
        g_assert_true(pass(house, "c"));
        end(house, "b", "1", BUILD_SUCCEEDED);
        g_assert_false(pass(house, "c"));
        assert_builds(house, "c", "1:started");
}

static void a_paused_job_starts_nothing_until_it_goes_on(House *house) {
        open_house(house,
                   "{" REPO ",'jobs':[{'name':'j','plan':[{'get':'repo','trigger':true}]}]}");
        save_refs(house, scope_of(house, "repo"), "a");
        OK(job_pause(house->store, job_id(house, "j"), "me", &error));
        pass(house, "j");
        assert_builds(house, "j", "");
        g_autoptr(Build) manual = pending_build(house, "j");
        pass(house, "j");
        assert_builds(house, "j", "1:pending");
        OK(job_unpause(house->store, job_id(house, "j"), &error));
        OK(scope_check_ended(house->store, scope_of(house, "repo"), true, clock_now() + 1000000,
                             clock_now() + 60000000, &error));
        g_assert_false(pass(house, "j"));
        assert_builds(house, "j", "1:started");
}

static void say_room(House *house, const char *worker, bool low) {
        const WorkerBeat beat = { .ttl = DURATION_MINUTE, .disk_low = low };
        worker_free(OK(worker_heartbeat(house->store, worker, &beat, &error)));
}

static void nothing_starts_while_no_worker_has_room(House *house) {
        open_house(house, "{" REPO ",'jobs':[{'name':'j','serial':true,'plan':[{'get':'repo',"
                          "'trigger':true}]}]}");
        house_worker(house, "x");
        say_room(house, "w", true);
        say_room(house, "x", true);
        save_refs(house, scope_of(house, "repo"), "a");
        g_assert_true(pass(house, "j"));
        g_assert_cmpstr(no_room, ==, "no room on the disk of any worker: w, x");
        assert_builds(house, "j", "1:pending");
        g_autoptr(Build) held = OK(build_find(house->store, job_id(house, "j"), "1", &error));
        g_assert_false(held->scheduled); /* it takes no place of its serial group */

        say_room(house, "x", false);
        g_assert_false(pass(house, "j"));
        g_assert_null(no_room);
        assert_builds(house, "j", "1:started");
}

static void without_room_an_aborted_build_still_ends(House *house) {
        open_house(house, "{" REPO ",'jobs':[{'name':'j','plan':[{'get':'repo'}]}]}");
        say_room(house, "w", true);
        g_autoptr(Build) build = pending_build(house, "j");
        OK(build_abort(house->store, build->id, false, &error));
        g_assert_false(pass(house, "j"));
        assert_builds(house, "j", "1:aborted");
}

static void an_aborted_pending_build_ends(House *house) {
        open_house(house, "{" REPO ",'jobs':[{'name':'j','plan':[{'get':'repo'}]}]}");
        g_autoptr(Build) build = pending_build(house, "j");
        OK(build_abort(house->store, build->id, false, &error));
        g_assert_false(pass(house, "j"));
        assert_builds(house, "j", "1:aborted");
}

/* ---- manual builds and reruns ---- */

static void a_manual_build_waits_for_a_check_that_ends_after_it(House *house) {
        open_house(house, "{" REPO ",'jobs':[{'name':'j','plan':[{'get':'repo'}]}]}");
        g_autoptr(Build) build = pending_build(house, "j");
        g_assert_true(pass(house, "j")); /* never checked: no scope */
        g_assert_cmpint(asked->len, ==, 1);
        g_assert_cmpint(g_array_index(asked, int64_t, 0), ==, resource_id(house, "repo"));

        int64_t scope = scope_of(house, "repo");
        save_refs(house, scope, "a");
        OK(scope_check_ended(house->store, scope, true, build->created - 1, build->created + 1000,
                             &error));
        g_assert_true(pass(house, "j"));
        g_assert_cmpint(asked->len, ==, 1);
        assert_builds(house, "j", "1:pending");

        OK(scope_check_ended(house->store, scope, false, build->created, build->created, &error));
        g_assert_false(pass(house, "j"));
        g_assert_cmpint(asked->len, ==, 0);
        assert_builds(house, "j", "1:started");
        assert_inputs(house, "j", "1", "repo=a!");
}

static void a_manual_build_without_versions_stays_without_asking_again(House *house) {
        open_house(house, "{" REPO ",'jobs':[{'name':'j','plan':[{'get':'repo'}]}]}");
        g_autoptr(Build) build = pending_build(house, "j");
        OK(scope_check_ended(house->store, scope_of(house, "repo"), true, build->created,
                             build->created, &error));
        g_assert_false(pass(house, "j"));
        assert_builds(house, "j", "1:pending");
}

static void a_check_that_failed_is_asked_for_again_while_a_build_lacks_its_version(House *house) {
        open_house(house,
                   "{'resources':[{'name':'repo','type':'git','check_every':'never','source':"
                   "{'uri':'a'}}],'jobs':[{'name':'j','plan':[{'get':'repo'}]}]}");
        g_autoptr(Build) build = pending_build(house, "j");
        int64_t scope = scope_of(house, "repo");
        OK(scope_check_ended(house->store, scope, false, build->created, 0, &error));
        g_assert_true(pass(house, "j"));
        g_assert_cmpint(asked->len, ==, 1);
        assert_builds(house, "j", "1:pending");

        save_refs(house, scope, "a");
        OK(scope_check_ended(house->store, scope, true, clock_steady(), 0, &error));
        g_assert_false(pass(house, "j"));
        g_assert_cmpint(asked->len, ==, 0);
        assert_builds(house, "j", "1:started");
}

static void a_manual_build_of_a_pinned_resource_needs_no_check(House *house) {
        open_house(house, "{'resources':[{'name':'repo','type':'git','source':{'uri':'a'},"
                          "'version':{'ref':'a'}}],'jobs':[{'name':'j','plan':[{'get':'repo'}]}]}");
        save_refs(house, scope_of(house, "repo"), "a b");
        g_autoptr(Build) build = pending_build(house, "j");
        g_assert_false(pass(house, "j"));
        assert_inputs(house, "j", "1", "repo=a!");
}

static void a_rerun_takes_the_inputs_of_its_original(House *house) {
        open_house(house,
                   "{" REPO ",'jobs':[{'name':'j','plan':[{'get':'repo','trigger':true}]}]}");
        int64_t scope = scope_of(house, "repo");
        save_refs(house, scope, "a");
        pass(house, "j");
        end(house, "j", "1", BUILD_FAILED);
        save_refs(house, scope, "a b");
        pass(house, "j");
        g_autoptr(Build) first = OK(build_find(house->store, job_id(house, "j"), "1", &error));
        BuildForJob spec = { .job_id = job_id(house, "j"), .rerun_of = first->id };
        g_autoptr(Build) rerun = OK(build_create_for_job(house->store, &spec, &error));
        g_assert_cmpstr(rerun->name, ==, "1.1");
        g_assert_false(pass(house, "j"));
        assert_inputs(house, "j", "1.1", "repo=a");
        assert_inputs(house, "j", "2", "repo=b!");
}

/* ---- the loop ---- */

static void the_scheduler_hears_of_new_versions(House *house) {
        static const SubscriptionTopic topic = { NOTIFY_BUILD_STARTED, 0 };
        open_house(house,
                   "{" REPO ",'jobs':[{'name':'j','plan':[{'get':'repo','trigger':true}]}]}");
        int64_t scope = scope_of(house, "repo");
        g_autoptr(Subscription) builds = subscription_new(house->store, &topic, 1);
        g_autoptr(Scheduler) scheduler = scheduler_new(
                &(SchedulerSpec){ .store = house->store, .node = "n", .safety = DURATION_HOUR });
        save_refs(house, scope, "a");
        Duration deadline = clock_monotonic() + 20 * DURATION_SECOND;
        for (size_t count = 0; count == 0;) {
                g_assert_cmpint(clock_monotonic(), <, deadline);
                OK(subscription_wait(builds, deadline, NULL, NULL, &error));
                BuildQuery query = { .job_id = job_id(house, "j") };
                g_autoptr(GPtrArray) list = OK(build_list(house->store, &query, NULL, &error));
                count = list->len;
        }
        assert_builds(house, "j", "1:started");
}

static void a_job_that_is_gone_is_not_found(House *house) {
        const SchedulerSpec spec = { .store = house->store };
        g_auto(PassResult) result = { 0 };
        open_house(house, "{" REPO ",'jobs':[]}");
        FAILS(pass_run(&spec, 4711, &result, &error), ERROR_NOT_FOUND);
}

static void add(void) {
        house_add("/pass/trigger", a_version_of_a_triggering_input_makes_a_build);
        house_add("/pass/no-trigger", a_version_of_another_input_makes_none);
        house_add("/pass/plan", the_plan_carries_the_version);
        house_add("/pass/every", every_version_gets_its_build);
        house_add("/pass/passed", passed_waits_for_a_success_of_the_job_before);
        house_add("/pass/max-in-flight", max_in_flight_holds_the_next_ones_back);
        house_add("/pass/serial", a_serial_group_runs_one_at_a_time_in_order);
        house_add("/pass/paused", a_paused_job_starts_nothing_until_it_goes_on);
        house_add("/pass/aborted", an_aborted_pending_build_ends);
        house_add("/pass/manual", a_manual_build_waits_for_a_check_that_ends_after_it);
        house_add("/pass/room", nothing_starts_while_no_worker_has_room);
        house_add("/pass/room/aborted", without_room_an_aborted_build_still_ends);
        house_add("/pass/manual/again",
                  a_check_that_failed_is_asked_for_again_while_a_build_lacks_its_version);
        house_add("/pass/manual/none", a_manual_build_without_versions_stays_without_asking_again);
        house_add("/pass/manual/pinned", a_manual_build_of_a_pinned_resource_needs_no_check);
        house_add("/pass/rerun", a_rerun_takes_the_inputs_of_its_original);
        house_add("/pass/gone", a_job_that_is_gone_is_not_found);
        house_add("/scheduler/loop", the_scheduler_hears_of_new_versions);
}

int main(int argc, char **argv) {
        asked = g_array_new(false, false, sizeof(int64_t));
        int status = house_main(argc, argv, add);
        g_array_unref(asked);
        g_free(no_room);
        return status;
}
