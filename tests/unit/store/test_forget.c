#include "house.h"

#include "store/forget.h"

#define PAGE 100

/* ---- builds ---- */

/* A build of the job that is over; in: what it got; it put out nothing. */
static int64_t over(House *house, const char *job, const char *got, BuildStatus status) {
        BuildLease lease;
        int64_t id = started_build(house, job, &lease);
        if (got) {
                g_autofree char *ref = g_strdup_printf("{'ref':'%s'}", got);
                g_autoptr(Value) version = json(ref);
                BuildOutput output = { .id = id,
                                       .epoch = lease.epoch,
                                       .name = "repo",
                                       .resource_id = resource_id(house, "repo"),
                                       .scope_id = scope_of(house, "repo"),
                                       .version = version };
                g_autoptr(Resource) resource = OK(resource_find(
                        house->store, RESOURCE_KIND_RESOURCE, house->pipeline_id, "repo", &error));
                output.config_id = resource->config_id;
                OK(build_save_output(house->store, &output, &error));
        }
        finish(house, &lease, status);
        return id;
}

static void with_statement(House *house, const char *sql) {
        house_close(house);
        fixture_open(house->fixture);
        fixture_do(house->fixture, sql);
        fixture_close(house->fixture);
        house_open(house);
}

static void reap(House *house, const int64_t *ids, size_t count) {
        g_autoptr(GArray) list = g_array_new(false, false, sizeof(int64_t));
        g_array_append_vals(list, ids, (guint) count);
        OK(build_reap(house->store, list, 1, &error));
}

static int64_t forget(House *house, const char *job, int64_t keep) {
        int64_t deleted;
        OK(build_forget_reaped(house->store, job_id(house, job), &(HistoryKeep){ keep, keep }, PAGE,
                               &deleted, &error));
        return deleted;
}

static bool is_there(House *house, int64_t id) {
        g_autoptr(GError) error = NULL;
        g_autoptr(Build) build = build_get(house->store, id, &error);
        if (!build)
                g_assert_error(error, ERROR, ERROR_NOT_FOUND);
        return build != NULL;
}

static void builds_without_a_log_go_but_the_newest(House *house) {
        int64_t ids[5];
        house_save(house, two_jobs);
        for (size_t i = 0; i < G_N_ELEMENTS(ids); i++)
                ids[i] = over(house, "unit", NULL, i < 4 ? BUILD_FAILED : BUILD_SUCCEEDED);
        reap(house, ids, 4);
        g_assert_cmpint(forget(house, "unit", 0), ==, 0);
        g_assert_cmpint(forget(house, "unit", 2), ==, 2);
        g_assert_cmpint(forget(house, "unit", 2), ==, 0);
        for (size_t i = 0; i < G_N_ELEMENTS(ids); i++)
                g_assert_cmpint(is_there(house, ids[i]), ==, i >= 2);
}

static void a_build_whose_log_is_there_stays(House *house) {
        int64_t ids[3];
        house_save(house, two_jobs);
        for (size_t i = 0; i < G_N_ELEMENTS(ids); i++)
                ids[i] = over(house, "unit", NULL, BUILD_FAILED);
        reap(house, ids + 1, 2);
        g_assert_cmpint(forget(house, "unit", 1), ==, 1);
        g_assert_true(is_there(house, ids[0]));
        g_assert_false(is_there(house, ids[1]));
}

static void the_last_that_succeeded_stay_behind_any_number_of_failures(House *house) {
        int64_t ids[6];
        house_save(house, two_jobs);
        for (size_t i = 0; i < G_N_ELEMENTS(ids); i++)
                ids[i] = over(house, "unit", NULL, i < 2 ? BUILD_SUCCEEDED : BUILD_FAILED);
        reap(house, ids, G_N_ELEMENTS(ids));
        g_assert_cmpint(forget(house, "unit", 1), >, 0);
        g_assert_false(is_there(house, ids[0]));
        g_assert_true(is_there(house, ids[1]));
        g_assert_true(is_there(house, ids[2])); /* of the job's transition */
        g_assert_false(is_there(house, ids[3]));
        g_assert_true(is_there(house, ids[5]));
}

static void the_original_of_a_rerun_stays(House *house) {
        house_save(house, two_jobs);
        int64_t original = over(house, "unit", NULL, BUILD_FAILED);
        with_statement(house, "UPDATE builds SET inputs_ready = TRUE");
        BuildForJob rerun = { .job_id = job_id(house, "unit"), .rerun_of = original };
        g_autoptr(Build) again = OK(build_create_for_job(house->store, &rerun, &error));
        int64_t ids[] = { original, over(house, "unit", NULL, BUILD_FAILED),
                          over(house, "unit", NULL, BUILD_SUCCEEDED) };
        reap(house, ids, G_N_ELEMENTS(ids));
        forget(house, "unit", 1);
        g_assert_true(is_there(house, original));
        g_assert_false(is_there(house, ids[1]));
}

/* deploy gets repo with passed: [unit]. */
static void what_a_job_behind_it_is_pinned_to_stays(House *house) {
        int64_t ids[4];
        static const char *const refs[] = { "a", "b", "c", "d" };
        house_save(house, two_jobs);
        for (size_t i = 0; i < G_N_ELEMENTS(ids); i++)
                ids[i] = over(house, "unit", refs[i], i < 3 ? BUILD_SUCCEEDED : BUILD_FAILED);
        g_autoptr(Value) wanted = json("{'ref':'b'}");
        g_autoptr(Version)
                pinned = OK(version_find(house->store, resource_id(house, "repo"), wanted, &error));
        OK(resource_pin(house->store, resource_id(house, "repo"), pinned->id, &error));
        reap(house, ids, G_N_ELEMENTS(ids));
        g_assert_cmpint(forget(house, "unit", 1), ==, 1);
        g_assert_false(is_there(house, ids[0]));
        g_assert_true(is_there(house, ids[1]));
}

static int64_t one_off(House *house) {
        g_autoptr(Value) plan = json("{'id':'1'}");
        BuildStarted spec = { .team_id = house->team_id, .plan = plan, .public_plan = plan };
        BuildLease lease;
        g_autoptr(Build) build = OK(build_create_started(house->store, &spec, false, &error));
        OK(build_lease_acquire(house->store, build->id, "n", DURATION_MINUTE, &lease, &error));
        finish(house, &lease, BUILD_SUCCEEDED);
        return build->id;
}

static void one_off_builds_go_with_their_logs_but_the_newest(House *house) {
        int64_t ids[4], deleted;
        for (size_t i = 0; i < G_N_ELEMENTS(ids); i++)
                ids[i] = one_off(house);
        OK(build_forget_one_offs(house->store, &(HistoryKeep){ 2, 0 }, PAGE, &deleted, &error));
        g_assert_cmpint(deleted, ==, 2);
        for (size_t i = 0; i < G_N_ELEMENTS(ids); i++)
                g_assert_cmpint(is_there(house, ids[i]), ==, i >= 2);
        g_autofree char *log = read_log(house, ids[0], 0);
        g_assert_cmpstr(log, ==, "");
        OK(build_forget_one_offs(house->store, &(HistoryKeep){ 2, 0 }, PAGE, &deleted, &error));
        g_assert_cmpint(deleted, ==, 0);
}

/* ---- versions ---- */

static char *refs_of(House *house) {
        const VersionQuery all = { 0 };
        GString *text = g_string_new(NULL);
        g_autoptr(GPtrArray) versions = OK(
                version_list(house->store, resource_id(house, "repo"), &all, NULL, &error));
        for (guint i = 0; i < versions->len; i++) {
                const Version *version = versions->pdata[i];
                g_string_append_printf(text, "%s%s", i ? " " : "",
                                       value_get_string(version->version, "ref", ""));
        }
        return g_string_free(text, false);
}

static void expect_after_forgetting(House *house, int64_t keep, const char *expect) {
        int64_t deleted;
        OK(version_forget_old(house->store, &(HistoryKeep){ 0, keep }, PAGE, &deleted, &error));
        g_autofree char *left = refs_of(house);
        g_assert_cmpstr(left, ==, expect);
}

/* One check after the other, each telling one. */
static void save_each(House *house, const char *refs) {
        g_auto(GStrv) texts = g_strsplit(refs, " ", -1);
        for (char **ref = texts; *ref; ref++)
                save_refs(house, scope_of(house, "repo"), *ref);
}

static void versions_that_nothing_used_go_but_the_newest(House *house) {
        house_save(house, two_jobs);
        save_each(house, "a b c d");
        over(house, "unit", "b", BUILD_SUCCEEDED);
        expect_after_forgetting(house, 0, "d c b a");
        expect_after_forgetting(house, 2, "d c b");
        save_each(house, "e");
        expect_after_forgetting(house, 2, "e d b");
}

static void a_version_goes_with_the_last_build_that_used_it(House *house) {
        house_save(house, two_jobs);
        save_each(house, "a");
        int64_t ids[] = { over(house, "unit", "a", BUILD_FAILED),
                          over(house, "unit", "b", BUILD_FAILED),
                          over(house, "unit", "c", BUILD_SUCCEEDED) };
        expect_after_forgetting(house, 1, "c b a");
        reap(house, ids, 2);
        g_assert_cmpint(forget(house, "unit", 1), ==, 1);
        g_autofree char *left = refs_of(house);
        g_assert_cmpstr(left, ==, "c b");
}

static void versions_of_a_check_that_tells_many_stay(House *house) {
        house_save(house, two_jobs);
        save_each(house, "a b");
        save_refs(house, scope_of(house, "repo"), "c d e");
        expect_after_forgetting(house, 1, "e d c");
        g_assert_cmpuint(save_refs(house, scope_of(house, "repo"), "c d e"), ==, 0);
}

static void a_pinned_version_stays(House *house) {
        house_save(house, two_jobs);
        save_each(house, "a b c");
        g_autoptr(Value) wanted = json("{'ref':'a'}");
        g_autoptr(Version)
                pinned = OK(version_find(house->store, resource_id(house, "repo"), wanted, &error));
        OK(resource_pin(house->store, resource_id(house, "repo"), pinned->id, &error));
        expect_after_forgetting(house, 1, "c a");
}

static void a_history_is_looked_at_when_it_grew(House *house) {
        house_save(house, two_jobs);
        save_each(house, "a b c");
        expect_after_forgetting(house, 3, "c b a");
        expect_after_forgetting(house, 1, "c b a");
        save_each(house, "d");
        expect_after_forgetting(house, 1, "d");
}

static void add(void) {
        house_add("/forget/builds", builds_without_a_log_go_but_the_newest);
        house_add("/forget/logged", a_build_whose_log_is_there_stays);
        house_add("/forget/succeeded", the_last_that_succeeded_stay_behind_any_number_of_failures);
        house_add("/forget/rerun", the_original_of_a_rerun_stays);
        house_add("/forget/pinned-build", what_a_job_behind_it_is_pinned_to_stays);
        house_add("/forget/one-off", one_off_builds_go_with_their_logs_but_the_newest);
        house_add("/forget/versions", versions_that_nothing_used_go_but_the_newest);
        house_add("/forget/used", a_version_goes_with_the_last_build_that_used_it);
        house_add("/forget/listed", versions_of_a_check_that_tells_many_stay);
        house_add("/forget/pinned", a_pinned_version_stays);
        house_add("/forget/grew", a_history_is_looked_at_when_it_grew);
}

int main(int argc, char **argv) {
        return house_main(argc, argv, add);
}
