#include "house.h"

static int64_t latest_version(House *house, const char *resource) {
        g_autoptr(Version)
                version = OK(version_latest(house->store, scope_of(house, resource), &error));
        return version->id;
}

/* Maps the job's input repo to the latest version; creates an automatic build if `ensure`. */
static int64_t map_latest(House *house, const char *job, bool ensure) {
        InputMappingInput input = { .input_name = "repo",
                                    .resource_id = resource_id(house, "repo"),
                                    .version_id = latest_version(house, "repo"),
                                    .first_occurrence = true };
        g_autoptr(SchedulingCase)
                before = OK(scheduling_load(house->store, job_id(house, job), &error));
        InputMapping mapping = { .job_id = job_id(house, job),
                                 .number = before->mapping_number,
                                 .inputs = &input,
                                 .input_count = 1,
                                 .resolved = true,
                                 .has_new_inputs = true,
                                 .ensure_pending = ensure };
        int64_t created;
        OK(input_mapping_save(house->store, &mapping, &created, &error));
        return created;
}

static int64_t run_job(House *house, const char *job, BuildStatus status) {
        g_autoptr(Build) build = pending_build(house, job);
        g_autoptr(Value) plan = json("{'id':'1'}");
        bool adopted;
        BuildStartResult started;
        OK(build_adopt_inputs(house->store, build->id, &adopted, &error));
        g_assert_true(adopted);
        BuildStart start = { .id = build->id, .plan = plan, .public_plan = plan };
        OK(build_start(house->store, &start, &started, &error));
        BuildLease lease;
        OK(build_lease_acquire(house->store, build->id, "n", DURATION_MINUTE, &lease, &error));
        finish(house, &lease, status);
        return build->id;
}

static void a_pass_sees_everything_it_needs(House *house) {
        house_save(house, two_jobs);
        save_refs(house, scope_of(house, "repo"), "a b");
        map_latest(house, "unit", false);
        int64_t failed = run_job(house, "unit", BUILD_FAILED);
        int64_t passed = run_job(house, "unit", BUILD_SUCCEEDED);
        g_autoptr(Build) waiting = pending_build(house, "deploy");

        g_autoptr(SchedulingCase)
                problem = OK(scheduling_load(house->store, job_id(house, "deploy"), &error));
        g_assert_cmpuint(problem->inputs->len, ==, 1);
        const SchedulingInput *input = problem->inputs->pdata[0];
        g_assert_true(input->trigger);
        g_assert_cmpint(g_array_index(input->passed, int64_t, 0), ==, job_id(house, "unit"));
        const SchedulingResource *resource = problem->resources->pdata[0];
        g_assert_cmpuint(resource->versions->len, ==, 2);
        const SchedulingPassedJob *job = problem->passed_jobs->pdata[0];
        g_assert_cmpuint(job->builds->len, ==, 1);
        const SchedulingBuild *build = job->builds->pdata[0];
        g_assert_cmpint(build->id, ==, passed);
        g_assert_cmpint(g_array_index(build->outputs, SchedulingOutput, 0).version_id, ==,
                        latest_version(house, "repo"));
        g_assert_cmpint(((Build *) problem->pending->pdata[0])->id, ==, waiting->id);
        g_assert_cmpstr(problem->serial_groups->pdata[0], ==, "deploy");

        g_autoptr(SchedulingCase)
                own = OK(scheduling_load(house->store, job_id(house, "unit"), &error));
        g_assert_cmpuint(own->uses->len, ==, 2);
        g_assert_cmpint(((SchedulingUse *) own->uses->pdata[1])->build_id, ==, failed);
}

static void versions_that_are_gone_are_told_apart(House *house) {
        house_save(house, two_jobs);
        save_refs(house, scope_of(house, "repo"), "a");
        map_latest(house, "unit", false);
        run_job(house, "unit", BUILD_SUCCEEDED);
        int64_t removed;
        OK(version_clear(house->store, scope_of(house, "repo"), &removed, &error));
        g_autoptr(SchedulingCase)
                problem = OK(scheduling_load(house->store, job_id(house, "deploy"), &error));
        const SchedulingPassedJob *job = problem->passed_jobs->pdata[0];
        const SchedulingBuild *build = job->builds->pdata[0];
        g_assert_cmpint(g_array_index(build->outputs, SchedulingOutput, 0).version_id, <, 0);
}

static void an_automatic_build_is_made_unless_one_is_pending(House *house) {
        house_save(house, two_jobs);
        save_refs(house, scope_of(house, "repo"), "a");
        int64_t created = map_latest(house, "unit", true);
        g_assert_cmpint(created, >, 0);
        g_assert_cmpint(map_latest(house, "unit", true), ==, 0);
        bool determined;
        g_autoptr(GPtrArray) inputs = OK(
                input_mapping_get(house->store, job_id(house, "unit"), &determined, &error));
        g_assert_true(determined);
        g_assert_cmpint(((NextInput *) inputs->pdata[0])->version_id, ==,
                        latest_version(house, "repo"));
}

static void an_unresolved_input_says_why(House *house) {
        house_save(house, two_jobs);
        InputMappingInput input = { .input_name = "repo",
                                    .resolve_error = "latest version of resource not found" };
        InputMapping mapping = { .job_id = job_id(house, "unit"),
                                 .inputs = &input,
                                 .input_count = 1 };
        OK(input_mapping_save(house->store, &mapping, NULL, &error));
        OK(input_mapping_save(house->store, &mapping, NULL,
                              &error)); /* the same: nothing is written */
        bool determined;
        g_autoptr(GPtrArray) inputs = OK(
                input_mapping_get(house->store, job_id(house, "unit"), &determined, &error));
        g_assert_false(determined);
        g_assert_cmpstr(((NextInput *) inputs->pdata[0])->resolve_error, ==, input.resolve_error);
}

static void builds_of_a_serial_job_start_one_after_the_other(House *house) {
        house_save(house, two_jobs);
        save_refs(house, scope_of(house, "repo"), "a");
        map_latest(house, "deploy", false);
        g_autoptr(Build) first = pending_build(house, "deploy");
        g_autoptr(Build) second = pending_build(house, "deploy");
        bool passed;
        OK(build_pass_gate(house->store, second->id, &passed, &error));
        g_assert_false(passed);
        OK(build_pass_gate(house->store, first->id, &passed, &error));
        g_assert_true(passed);
        OK(build_pass_gate(house->store, first->id, &passed, &error));
        g_assert_true(passed);
        OK(build_pass_gate(house->store, second->id, &passed, &error));
        g_assert_false(passed);
        g_autoptr(Job) job = OK(job_get(house->store, first->job_id, &error));
        g_assert_true(job->max_in_flight_reached);
        BuildFinish end = { .id = first->id, .status = BUILD_ERRORED };
        OK(build_finish(house->store, &end, &error));
        OK(build_pass_gate(house->store, second->id, &passed, &error));
        g_assert_true(passed);
}

static void a_paused_job_lets_nothing_through(House *house) {
        house_save(house, two_jobs);
        OK(job_pause(house->store, job_id(house, "unit"), "me", &error));
        g_autoptr(Build) build = pending_build(house, "unit");
        bool passed;
        OK(build_pass_gate(house->store, build->id, &passed, &error));
        g_assert_false(passed);
        OK(job_unpause(house->store, job_id(house, "unit"), &error));
        OK(build_pass_gate(house->store, build->id, &passed, &error));
        g_assert_true(passed);
}

static void a_rerun_takes_the_inputs_of_its_original(House *house) {
        house_save(house, two_jobs);
        save_refs(house, scope_of(house, "repo"), "a");
        map_latest(house, "unit", false);
        int64_t original = run_job(house, "unit", BUILD_FAILED);
        save_refs(house, scope_of(house, "repo"), "b");
        BuildForJob spec = { .job_id = job_id(house, "unit"), .rerun_of = original };
        g_autoptr(Build) rerun = OK(build_create_for_job(house->store, &spec, &error));
        g_assert_cmpstr(rerun->name, ==, "1.1");
        spec.rerun_of = rerun->id;
        g_autoptr(Build) again = OK(build_create_for_job(house->store, &spec, &error));
        g_assert_cmpstr(again->name, ==, "1.2");
        g_assert_cmpstr(again->rerun_of_name, ==, "1");
        bool adopted;
        OK(build_adopt_inputs(house->store, rerun->id, &adopted, &error));
        g_assert_true(adopted);
        g_autoptr(GPtrArray) inputs = NULL;
        OK(build_versions(house->store, rerun->id, false, &inputs, NULL, &error));
        const BuildVersion *version = inputs->pdata[0];
        g_assert_cmpstr(value_get_string(version->version, "ref", ""), ==, "a");
        g_assert_false(version->first_occurrence);
        int64_t removed;
        OK(version_clear(house->store, scope_of(house, "repo"), &removed, &error));
        OK(build_adopt_inputs(house->store, again->id, &adopted, &error));
        g_assert_false(adopted);
        g_autoptr(Build) gone = OK(build_get(house->store, again->id, &error));
        g_assert_true(gone->aborted);
}

static void a_finished_build_asks_for_its_downstream_jobs(House *house) {
        house_save(house, two_jobs);
        save_refs(house, scope_of(house, "repo"), "a");
        map_latest(house, "unit", false);
        g_autoptr(Job) before = OK(job_get(house->store, job_id(house, "deploy"), &error));
        int64_t build = run_job(house, "unit", BUILD_SUCCEEDED);
        g_autoptr(Job) after = OK(job_get(house->store, job_id(house, "deploy"), &error));
        g_assert_cmpint(after->schedule_requested, >, before->schedule_requested);
        g_autoptr(GArray) used = OK(version_input_to(house->store, resource_id(house, "repo"),
                                                     latest_version(house, "repo"), &error));
        g_assert_cmpint(g_array_index(used, int64_t, 0), ==, build);
        g_autoptr(GArray) put = OK(version_output_of(house->store, resource_id(house, "repo"),
                                                     latest_version(house, "repo"), &error));
        g_assert_cmpuint(put->len, ==, 0);
}

static void one_node_alone_holds_all_buckets_and_two_share_them(House *house) {
        uint64_t one, two, again;
        OK(lease_bucket_renew(house->store, LEASE_CHECKS, "one", DURATION_MINUTE, &one, &error));
        g_assert_cmphex(one, ==, UINT64_MAX);
        if (house->fixture->kind == DB_SQLITE)
                return;
        OK(lease_bucket_renew(house->store, LEASE_CHECKS, "two", DURATION_MINUTE, &two, &error));
        g_assert_cmphex(two, ==, 0);
        OK(lease_bucket_renew(house->store, LEASE_CHECKS, "one", DURATION_MINUTE, &one, &error));
        OK(lease_bucket_renew(house->store, LEASE_CHECKS, "two", DURATION_MINUTE, &two, &error));
        g_assert_cmpint(__builtin_popcountll(one), ==, 32);
        g_assert_cmphex(one ^ two, ==, UINT64_MAX);
        OK(lease_bucket_release(house->store, "one", &error));
        OK(lease_bucket_renew(house->store, LEASE_CHECKS, "two", DURATION_MINUTE, &again, &error));
        g_assert_cmphex(again, ==, UINT64_MAX);
}

static void a_clock_that_is_set_by_a_day_keeps_no_dead_nodes_buckets(House *house) {
        uint64_t one, two;
        if (house->fixture->kind == DB_SQLITE)
                return; /* one node */
        clock_shift(24 * DURATION_HOUR);
        OK(lease_bucket_renew(house->store, LEASE_CHECKS, "one", DURATION_MINUTE, &one, &error));
        clock_shift(-24 * DURATION_HOUR);
        OK(lease_bucket_renew(house->store, LEASE_CHECKS, "two", DURATION_MINUTE, &two, &error));
        g_assert_cmphex(two, ==, UINT64_MAX);
}

static void a_pass_that_was_frozen_brings_nothing_back(House *house) {
        house_save(house, two_jobs);
        save_refs(house, scope_of(house, "repo"), "a");
        int64_t job = job_id(house, "unit");
        g_autoptr(SchedulingCase) frozen = OK(scheduling_load(house->store, job, &error));
        g_assert_cmpint(map_latest(house, "unit", true), >, 0);
        g_autoptr(SchedulingCase) fresh = OK(scheduling_load(house->store, job, &error));
        Build *build = fresh->pending->pdata[0];

        InputMapping old = { .job_id = job,
                             .ensure_pending = true,
                             .number = frozen->mapping_number };
        FAILS(input_mapping_save(house->store, &old, NULL, &error), ERROR_STALE);

        bool adopted, passed;
        BuildStartResult started;
        g_autoptr(Value) plan = json("{'id':'1'}");
        BuildStart start = { .id = build->id, .plan = plan, .public_plan = plan };
        OK(build_pass_gate(house->store, build->id, &passed, &error));
        OK(build_adopt_inputs(house->store, build->id, &adopted, &error));
        g_assert_true(passed && adopted);
        OK(build_start(house->store, &start, &started, &error));
        g_assert_cmpint(started, ==, BUILD_START_DONE);

        /* The frozen one goes on where it was. */
        OK(build_pass_gate(house->store, build->id, &passed, &error));
        OK(build_adopt_inputs(house->store, build->id, &adopted, &error));
        g_assert_false(passed || adopted);
        OK(build_start(house->store, &start, &started, &error));
        g_assert_cmpint(started, ==, BUILD_START_TAKEN);
        BuildFinish end = { .id = build->id, .status = BUILD_ABORTED };
        FAILS(build_finish(house->store, &end, &error), ERROR_STALE);
        g_autoptr(Build) still = OK(build_get(house->store, build->id, &error));
        g_assert_cmpint(still->status, ==, BUILD_STARTED);
        g_autofree char *log = read_log(house, build->id, 0);
        g_assert_cmpstr(log, ==, "");
}

static void add(void) {
        house_add("/store/scheduling/frozen", a_pass_that_was_frozen_brings_nothing_back);
        house_add("/store/scheduling/load", a_pass_sees_everything_it_needs);
        house_add("/store/scheduling/gone", versions_that_are_gone_are_told_apart);
        house_add("/store/scheduling/automatic", an_automatic_build_is_made_unless_one_is_pending);
        house_add("/store/scheduling/unresolved", an_unresolved_input_says_why);
        house_add("/store/scheduling/serial", builds_of_a_serial_job_start_one_after_the_other);
        house_add("/store/scheduling/paused", a_paused_job_lets_nothing_through);
        house_add("/store/scheduling/rerun", a_rerun_takes_the_inputs_of_its_original);
        house_add("/store/scheduling/downstream", a_finished_build_asks_for_its_downstream_jobs);
        house_add("/store/scheduling/buckets", one_node_alone_holds_all_buckets_and_two_share_them);
        house_add("/store/buckets/clock", a_clock_that_is_set_by_a_day_keeps_no_dead_nodes_buckets);
}

int main(int argc, char **argv) {
        return house_main(argc, argv, add);
}
