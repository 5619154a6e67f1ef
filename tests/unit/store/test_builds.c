#include "store/internal.h"

#include "house.h"

#include "base/fault.h"

static BuildStatus status_of(House *house, int64_t id) {
        g_autoptr(Build) build = OK(build_get(house->store, id, &error));
        return build->status;
}

static void builds_of_a_job_are_numbered_and_reruns_stand_beside(House *house) {
        house_save(house, two_jobs);
        save_refs(house, scope_of(house, "repo"), "a");
        g_autoptr(Build) first = pending_build(house, "unit"),
                         second = pending_build(house, "unit");
        g_assert_cmpstr(first->name, ==, "1");
        g_assert_cmpstr(second->name, ==, "2");
        BuildForJob rerun = { .job_id = first->job_id, .rerun_of = first->id };
        FAILS(build_create_for_job(house->store, &rerun, &error), ERROR_DENIED);
}

static void only_one_of_two_finishes_counts(House *house) {
        house_save(house, two_jobs);
        BuildLease lease;
        int64_t id = started_build(house, "unit", &lease);
        finish(house, &lease, BUILD_FAILED);
        finish(house, &lease, BUILD_SUCCEEDED);
        g_assert_cmpint(status_of(house, id), ==, BUILD_FAILED);
        g_autofree char *log = read_log(house, id, 0);
        g_assert_cmpstr(log, ==, "0 status started\n1 status failed\n");
        FAILS(build_plan(house->store, id, &error), ERROR_NOT_FOUND);
        g_autoptr(Value) plan = OK(build_public_plan(house->store, id, &error));
        g_autofree char *text = json_text(plan);
        g_assert_cmpstr(text, ==, "{'schema':'exec.v2','plan':{'id':'1'}}");
}

static void an_aborted_pending_build_does_not_start(House *house) {
        house_save(house, two_jobs);
        g_autoptr(Build) build = pending_build(house, "unit");
        OK(build_abort(house->store, build->id, false, &error));
        g_autoptr(Value) plan = json("{'id':'1'}");
        BuildStartResult started;
        BuildStart start = { .id = build->id, .plan = plan, .public_plan = plan };
        OK(build_start(house->store, &start, &started, &error));
        g_assert_cmpint(started, ==, BUILD_START_ABORTED);
        BuildFinish end = { .id = build->id, .status = BUILD_ABORTED };
        OK(build_finish(house->store, &end, &error));
        g_autofree char *log = read_log(house, build->id, 0);
        g_assert_cmpstr(log, ==, "0 status aborted\n");
}

static void an_old_epoch_is_refused_everywhere(House *house) {
        house_save(house, two_jobs);
        int64_t scope = scope_of(house, "repo");
        BuildLease old, new;
        int64_t id = started_build(house, "unit", &old);
        g_autoptr(BuildLogWriter) frozen = OK(build_log_writer_new(house->store, &old, &error));
        FAILS(build_lease_acquire(house->store, id, "other", DURATION_MINUTE, &new, &error),
              ERROR_BUSY);
        OK(build_lease_release_node(house->store, "n", &error));
        OK(build_lease_acquire(house->store, id, "other", DURATION_MINUTE, &new, &error));
        g_assert_cmpint(new.epoch, >, old.epoch);

        g_autoptr(Event) event = event_log("1", "stdout", "late", 4, 0);
        FAILS(build_log_append(frozen, event, NULL, &error) && build_log_flush(frozen, &error),
              ERROR_STALE);
        FAILS(build_log_writer_new(house->store, &old, &error), ERROR_STALE);
        FAILS(build_lease_check(house->store, &old, &error), ERROR_STALE);
        BuildStep step = { .plan_id = "1", .state = BUILD_STEP_RUNNING };
        FAILS(build_step_save(house->store, &old, &step, &error), ERROR_STALE);
        g_autoptr(Value) version = json("{'ref':'x'}");
        g_autoptr(Resource) repo = OK(resource_find(house->store, RESOURCE_KIND_RESOURCE,
                                                    house->pipeline_id, "repo", &error));
        BuildOutput output = { .id = id,
                               .epoch = old.epoch,
                               .name = "repo",
                               .resource_id = repo->id,
                               .config_id = repo->config_id,
                               .scope_id = scope,
                               .version = version };
        FAILS(build_save_output(house->store, &output, &error), ERROR_STALE);
        BuildFinish end = { .id = id, .epoch = old.epoch, .status = BUILD_SUCCEEDED };
        FAILS(build_finish(house->store, &end, &error), ERROR_STALE);
        g_autoptr(GArray) lost = NULL;
        OK(build_lease_renew(house->store, &old, 1, "n", DURATION_MINUTE, &lost, &error));
        g_assert_cmpuint(lost->len, ==, 1);
        g_autofree char *log = read_log(house, id, 0);
        g_assert_cmpstr(log, ==, "0 status started\n");

        output.epoch = new.epoch;
        OK(build_save_output(house->store, &output, &error));
        OK(build_save_output(house->store, &output, &error));
        finish(house, &new, BUILD_SUCCEEDED);
        g_autoptr(GPtrArray) outputs = NULL;
        OK(build_versions(house->store, id, true, NULL, &outputs, &error));
        g_assert_cmpuint(outputs->len, ==, 1);
}

typedef struct {
        House *house;
        const BuildLease *lease;
        int runs;
} Frozen;

static void take_over(void *data) {
        Frozen *frozen = data;
        BuildLease lease;
        OK(build_lease_acquire(frozen->house->store, frozen->lease->build_id, "other",
                               DURATION_MINUTE, &lease, &error));
        g_autoptr(BuildLogWriter)
                writer = OK(build_log_writer_new(frozen->house->store, &lease, &error));
        g_autoptr(Event) event = event_log("1", "stdout", "new", 3, 0);
        OK(build_log_append(writer, event, NULL, &error) && build_log_flush(writer, &error));
}

/* Its node freezes after the check, and goes on when another has taken the build over. */
static bool append_late(DbTx *tx, void *data, GError **error) {
        Frozen *frozen = data;
        if (!tx_lease_check(tx, frozen->lease->build_id, frozen->lease->epoch, error) ||
            !db_exec(tx, error,
                     "INSERT INTO log_chunks (build_id, first_event, events, epoch, data) VALUES "
                     "($1, 1, 1, $2, $3)",
                     DB_INT(frozen->lease->build_id), DB_INT(frozen->lease->epoch),
                     DB_BYTES("late", 4)))
                return false;
        if (frozen->runs++ == 0)
                thread_join(thread_start("other", take_over, frozen));
        return true;
}

static void what_was_checked_before_a_takeover_is_not_committed_after_it(House *house) {
        if (house->fixture->kind == DB_SQLITE)
                return; /* one node */
        house->fixture->spec.standstill = 200 * DURATION_MILLISECOND;
        house_open(house);
        house_save(house, two_jobs);
        BuildLease old;
        int64_t id = started_build(house, "unit", &old);
        OK(build_lease_release_node(house->store, "n", &error));
        Frozen frozen = { .house = house, .lease = &old };
        FAILS(db_write(store_db(house->store), append_late, &frozen, &error), ERROR_STALE);
        g_assert_cmpint(frozen.runs, ==, 1);
        g_autofree char *log = read_log(house, id, 0);
        g_assert_cmpstr(log, ==, "0 status started\n1 log new\n");
}

static void a_clock_that_is_set_by_a_day_keeps_no_dead_nodes_lease(House *house) {
        house_save(house, two_jobs);
        BuildLease dead, living, next;
        clock_shift(24 * DURATION_HOUR);
        int64_t id = started_build(house, "unit", &dead),
                other = started_build(house, "unit", &living);
        clock_shift(-24 * DURATION_HOUR); /* and its node dies */
        g_autoptr(GArray) lost = NULL;
        OK(build_lease_renew(house->store, &living, 1, "n", DURATION_MINUTE, &lost, &error));
        g_assert_cmpuint(lost->len, ==, 0);
        g_autoptr(GArray) found = OK(build_lease_list_free(house->store, DURATION_MINUTE, &error));
        g_assert_cmpuint(found->len, ==, 1);
        g_assert_cmpint(g_array_index(found, int64_t, 0), ==, id);
        OK(build_lease_acquire(house->store, id, "m", DURATION_MINUTE, &next, &error));
        FAILS(build_lease_acquire(house->store, other, "m", DURATION_MINUTE, &next, &error),
              ERROR_BUSY);
}

static void after_a_crash_between_log_and_status_the_log_decides(House *house) {
        house_save(house, two_jobs);
        BuildLease lease, again;
        int64_t id = started_build(house, "unit", &lease);
        /* The program dies once the log has its end: as if build_finish() had not come to its commit. */
        fault_set("build-log-ended=error");
        BuildFinish end = { .id = id, .epoch = lease.epoch, .status = BUILD_SUCCEEDED };
        FAILS(build_finish(house->store, &end, &error), ERROR_INTERNAL);
        fault_set(NULL);
        g_assert_cmpint(status_of(house, id), ==, BUILD_STARTED);
        house_open(house);
        OK(build_lease_release_node(house->store, "n", &error));
        g_autoptr(GArray)
                free_ones = OK(build_lease_list_free(house->store, DURATION_MINUTE, &error));
        g_assert_cmpuint(free_ones->len, ==, 1);
        FAILS(build_lease_acquire(house->store, id, "m", DURATION_MINUTE, &again, &error),
              ERROR_NOT_FOUND);
        g_assert_cmpint(status_of(house, id), ==, BUILD_SUCCEEDED);
        g_autofree char *log = read_log(house, id, 0);
        g_assert_cmpstr(log, ==, "0 status started\n1 status succeeded\n");
}

static void force_takes_the_build_from_whoever_runs_it(House *house) {
        house_save(house, two_jobs);
        BuildLease lease;
        int64_t id = started_build(house, "unit", &lease);
        g_autoptr(BuildLogWriter) writer = OK(build_log_writer_new(house->store, &lease, &error));
        OK(build_abort(house->store, id, true, &error));
        g_assert_cmpint(status_of(house, id), ==, BUILD_ABORTED);
        g_autoptr(Event) event = event_log("1", "stdout", "late", 4, 0);
        FAILS(build_log_append(writer, event, NULL, &error) && build_log_flush(writer, &error),
              ERROR_STALE);
}

static void a_journal_remembers_what_was_begun_until_the_end(House *house) {
        house_save(house, two_jobs);
        BuildLease lease;
        int64_t id = started_build(house, "unit", &lease);
        g_assert_null(OK(build_step_find(house->store, id, "1", NULL, &error)));
        BuildStep begun = {
                .plan_id = "1", .state = BUILD_STEP_RUNNING, .worker = "w", .handle = "h"
        };
        OK(build_step_save(house->store, &lease, &begun, &error));
        g_autoptr(Value) result = json("{'version':{'ref':'a'}}");
        BuildStep done = { .plan_id = "1", .state = BUILD_STEP_SUCCEEDED, .result = result };
        OK(build_step_save(house->store, &lease, &done, &error));
        g_autoptr(BuildStep) step = OK(build_step_find(house->store, id, "1", "", &error));
        g_assert_cmpint(step->state, ==, BUILD_STEP_SUCCEEDED);
        g_assert_cmpstr(step->handle, ==, "h");
        g_assert_true(value_equal(step->result, result));
        finish(house, &lease, BUILD_SUCCEEDED);
        g_autoptr(GPtrArray) left = OK(build_step_list(house->store, id, &error));
        g_assert_cmpuint(left->len, ==, 0);
}

static void pointers_of_a_job_follow_its_builds(House *house) {
        house_save(house, two_jobs);
        BuildLease one, two;
        int64_t first = started_build(house, "unit", &one);
        g_autoptr(JobSummary)
                running = OK(job_summary(house->store, job_id(house, "unit"), &error));
        g_assert_cmpint(running->next->id, ==, first);
        g_assert_null(running->finished);
        g_assert_cmpstr(((JobSummaryInput *) running->inputs->pdata[0])->name, ==, "repo");
        finish(house, &one, BUILD_SUCCEEDED);
        int64_t second = started_build(house, "unit", &two);
        finish(house, &two, BUILD_SUCCEEDED);
        g_autoptr(GPtrArray)
                all = OK(job_summary_list(house->store, house->pipeline_id, NULL, &error));
        const JobSummary *summary = all->pdata[0], *deploy = all->pdata[1];
        g_assert_cmpint(summary->finished->id, ==, second);
        g_assert_cmpint(summary->transition->id, ==, first);
        g_assert_null(summary->next);
        g_assert_cmpstr(((JobSummaryInput *) deploy->inputs->pdata[0])->passed->pdata[0], ==,
                        "unit");
}

/* "3 2 1": ids less the first build's, plus one. */
static char *page(House *house, Page of, PageLinks *links) {
        BuildQuery query = { .job_id = job_id(house, "unit"), .page = of };
        g_autoptr(GPtrArray) builds = OK(build_list(house->store, &query, links, &error));
        GString *text = g_string_new(NULL);
        for (guint i = 0; i < builds->len; i++)
                g_string_append_printf(text, "%s%s", i ? " " : "",
                                       ((Build *) builds->pdata[i])->name);
        return g_string_free(text, false);
}

static void builds_are_listed_by_pages(House *house) {
        house_save(house, two_jobs);
        int64_t ids[6];
        for (size_t i = 1; i < G_N_ELEMENTS(ids); i++) {
                g_autoptr(Build) build = pending_build(house, "unit");
                ids[i] = build->id;
        }
        const struct {
                Page page;
                const char *expected;
        } cases[] = {
                { { 0 }, "5 4 3 2 1" },
                { { .limit = 2 }, "5 4" },
                { { .has_from = true, .from = ids[2], .limit = 2 }, "3 2" },
                { { .has_to = true, .to = ids[4], .limit = 2 }, "4 3" },
                { { .has_from = true, .from = ids[2], .has_to = true, .to = ids[4] }, "2 3 4" },
                { { .has_from = true, .from = 999 }, "" },
        };
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autofree char *text = page(house, cases[i].page, NULL);
                g_assert_cmpstr(text, ==, cases[i].expected);
        }
        PageLinks links;
        g_autofree char *middle = page(house, (Page){ .has_to = true, .to = ids[4], .limit = 2 },
                                       &links);
        g_assert_cmpint(links.older, ==, ids[2]);
        g_assert_cmpint(links.newer, ==, ids[5]);
        BuildQuery wrong = { .page = { .has_from = true, .from = 2, .has_to = true, .to = 1 } };
        FAILS(build_list(house->store, &wrong, NULL, &error), ERROR_INVALID);
        BuildQuery unseen = { .visibility = &(Visibility){ 0 } };
        g_autoptr(GPtrArray) none = OK(build_list(house->store, &unseen, NULL, &error));
        g_assert_cmpuint(none->len, ==, 0);
}

static void a_check_that_a_person_asked_for_is_a_row(House *house) {
        house_save(house, two_jobs);
        g_autoptr(Value) plan = json("{'id':'1'}");
        BuildStarted spec = { .team_id = house->team_id,
                              .pipeline_id = house->pipeline_id,
                              .resource_id = resource_id(house, "repo"),
                              .plan = plan,
                              .public_plan = plan };
        g_autoptr(Build) check = OK(build_create_started(house->store, &spec, false, &error));
        g_assert_cmpstr(check->name, ==, "check");
        g_assert_cmpstr(check->resource_name, ==, "repo");
        FAILS(build_create_started(house->store, &spec, true, &error), ERROR_EXISTS);
        spec.resource_id = 0;
        g_autoptr(Build) one_off = OK(build_create_started(house->store, &spec, false, &error));
        g_assert_cmpstr(one_off->name, ==, "1");
        int64_t deleted;
        OK(build_delete_old_checks(house->store, 10, &deleted, &error));
        g_assert_cmpint(deleted, ==, 0);
}

static void a_check_that_nobody_asked_for_can_be_watched_and_is_no_row(House *house) {
        house_save(house, two_jobs);
        int64_t repo = resource_id(house, "repo"), id, next;
        g_autoptr(Value) plan = json("{'id':'1'}");
        CheckBuildSpec spec = { .resource_id = repo,
                                .team_id = house->team_id,
                                .resource_name = "repo",
                                .team_name = "main",
                                .public_plan = plan };
        OK(check_build_begin(house->store, &spec, &id, &error));
        g_autoptr(Event) event = event_log("1", "stderr", "hello", 5, 0);
        OK(check_build_append(house->store, id, event, &error));
        OK(check_build_finish(house->store, id, BUILD_SUCCEEDED, &error));
        g_autofree char *log = read_log(house, id, 0);
        g_assert_cmpstr(log, ==, "0 status started\n1 log hello\n2 status succeeded\n");
        g_autoptr(Build) build = OK(build_get(house->store, id, &error));
        g_assert_true(build->memory);
        g_auto(CheckSummary) summary = { 0 };
        OK(check_summary_get(house->store, repo, 0, &summary, &error));
        g_assert_cmpint(summary.id, ==, id);
        g_assert_cmpint(summary.status, ==, BUILD_SUCCEEDED);
        g_autoptr(Build) row = pending_build(house, "unit");
        g_assert_cmpint(row->id, >, id);
        OK(check_build_begin(house->store, &spec, &next, &error));
        g_assert_cmpint(next, ==, id + 1);
        FAILS(build_get(house->store, id, &error), ERROR_NOT_FOUND);
}

static void a_reaped_build_has_no_events(House *house) {
        house_save(house, two_jobs);
        BuildLease lease;
        int64_t id = started_build(house, "unit", &lease);
        finish(house, &lease, BUILD_SUCCEEDED);
        g_autoptr(GPtrArray) found = OK(
                build_list_completed(house->store, job_id(house, "unit"), 0, 10, &error));
        g_assert_cmpuint(found->len, ==, 1);
        g_autoptr(GArray) ids = g_array_new(false, false, sizeof(int64_t));
        g_array_append_val(ids, id);
        OK(build_reap(house->store, ids, 99, &error));
        g_autofree char *log = read_log(house, id, 0);
        g_assert_cmpstr(log, ==, "");
        int64_t marked;
        OK(build_mark_not_interceptible(house->store, 1, 0, &marked, &error));
        g_assert_cmpint(marked, ==, 1);
}

static void add(void) {
        house_add("/store/builds/numbers", builds_of_a_job_are_numbered_and_reruns_stand_beside);
        house_add("/store/builds/final", only_one_of_two_finishes_counts);
        house_add("/store/builds/aborted", an_aborted_pending_build_does_not_start);
        house_add("/store/builds/fencing", an_old_epoch_is_refused_everywhere);
        house_add("/store/builds/clock", a_clock_that_is_set_by_a_day_keeps_no_dead_nodes_lease);
        house_add("/store/builds/takeover",
                  what_was_checked_before_a_takeover_is_not_committed_after_it);
        house_add("/store/builds/crash", after_a_crash_between_log_and_status_the_log_decides);
        house_add("/store/builds/force", force_takes_the_build_from_whoever_runs_it);
        house_add("/store/builds/journal", a_journal_remembers_what_was_begun_until_the_end);
        house_add("/store/builds/pointers", pointers_of_a_job_follow_its_builds);
        house_add("/store/builds/pages", builds_are_listed_by_pages);
        house_add("/store/builds/manual-check", a_check_that_a_person_asked_for_is_a_row);
        house_add("/store/builds/memory-check",
                  a_check_that_nobody_asked_for_can_be_watched_and_is_no_row);
        house_add("/store/builds/reaped", a_reaped_build_has_no_events);
}

int main(int argc, char **argv) {
        return house_main(argc, argv, add);
}
