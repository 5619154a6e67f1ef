#include "../store/house.h"

#include "janitor/retention.h"

#define DAY ((Time) 24 * 60 * 60 * 1000000)
#define NOW (1000 * DAY)

/* ---- what applies ---- */

static void limits_follow_job_defaults_and_ceilings(void) {
        static const struct {
                const char *job;
                int64_t default_builds, default_days, max_builds, max_days;
                Retention expect;
        } cases[] = {
                { "{}", 0, 0, 0, 0, { 0, 0, 0 } },
                { "{'build_logs_to_retain':7}", 0, 0, 0, 0, { 7, 0, 0 } },
                { "{'build_log_retention':{'builds':3,'days':2,'minimum_succeeded_builds':1},"
                  "'build_logs_to_retain':7}",
                  0,
                  0,
                  0,
                  0,
                  { 3, 2, 1 } },
                { "{}", 5, 6, 0, 0, { 5, 6, 0 } },
                { "{'build_log_retention':{'days':2}}", 5, 6, 0, 0, { 5, 2, 0 } },
                { "{}", 0, 0, 9, 8, { 9, 8, 0 } },
                { "{'build_log_retention':{'builds':10,'days':1}}", 0, 0, 9, 8, { 9, 1, 0 } },
                { "{'build_log_retention':{'builds':3,'minimum_succeeded_builds':4}}",
                  0,
                  0,
                  0,
                  0,
                  { 3, 0, 4 } },
                { "{'build_log_retention':{'builds':3,'minimum_succeeded_builds':4}}",
                  0,
                  0,
                  9,
                  0,
                  { 3, 0, 0 } },
                { "{'build_log_retention':{'builds':3,'minimum_succeeded_builds':3}}",
                  0,
                  0,
                  9,
                  0,
                  { 3, 0, 3 } },
        };
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
                g_autoptr(Value) job = json(cases[i].job);
                const JanitorSpec spec = { .default_builds_to_retain = cases[i].default_builds,
                                           .default_days_to_retain = cases[i].default_days,
                                           .max_builds_to_retain = cases[i].max_builds,
                                           .max_days_to_retain = cases[i].max_days };
                Retention got = retention_of(&spec, job);
                g_assert_cmpint(got.builds, ==, cases[i].expect.builds);
                g_assert_cmpint(got.days, ==, cases[i].expect.days);
                g_assert_cmpint(got.minimum_succeeded, ==, cases[i].expect.minimum_succeeded);
        }
}

/* ---- which go ---- */

/*
 * builds: from the oldest (id 1) a letter each: s succeeded, f failed, r running; a digit before it is its age in
 * days. expect: ids that go, ascending; first: the oldest that stays.
 */
static const struct {
        Retention retention;
        const char *builds, *expect;
        int64_t first;
} selections[] = {
        { { 2, 0, 0 }, "sss", "1", 2 },
        { { 2, 0, 0 }, "ss", "", 1 },
        { { 2, 0, 0 }, "fsfsf", "1 2 3", 4 },
        { { 1, 0, 0 }, "rss", "2", 1 },
        { { 1, 0, 0 }, "srs", "1", 2 },
        /* days alone */
        { { 0, 3, 0 }, "5s3s2s1s", "1 2", 3 },
        { { 0, 3, 0 }, "5s4f", "1 2", 0 },
        { { 0, 3, 1 }, "5s4s", "1 2", 0 }, /* a minimum counts only with builds */
        /* both: only what exceeds both, and the quirk */
        { { 2, 3, 0 }, "2s1s1s", "", 1 },
        { { 2, 3, 0 }, "5s2s1s1s", "1 2", 2 },
        { { 1, 3, 0 }, "5s5s", "1", 2 },
        /* successes that are protected */
        { { 2, 0, 1 }, "sfff", "2 3", 1 },
        { { 2, 0, 2 }, "ssfff", "3 4 5", 1 },
        { { 1, 0, 1 }, "sf", "", 1 },
        { { 3, 0, 1 }, "ssss", "1", 2 },
};

static GPtrArray *builds_of(const char *text) {
        GPtrArray *builds = g_ptr_array_new_with_free_func((GDestroyNotify) build_free);
        Time age = 0;
        for (const char *at = text; *at; at++) {
                if (g_ascii_isdigit(*at)) {
                        age = *at - '0';
                        continue;
                }
                Build *build = g_new0(Build, 1);
                build->id = builds->len + 1;
                build->completed = *at != 'r';
                build->status = *at == 's'   ? BUILD_SUCCEEDED
                                : *at == 'f' ? BUILD_FAILED
                                             : BUILD_STARTED;
                build->end = build->completed ? NOW - age * DAY : 0;
                g_ptr_array_add(builds, build);
        }
        return builds;
}

static int ascending(const void *a, const void *b) {
        int64_t left = *(const int64_t *) a, right = *(const int64_t *) b;
        return left < right ? -1 : left > right;
}

static void the_newest_stay(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(selections); i++) {
                g_autoptr(GPtrArray) builds = builds_of(selections[i].builds);
                g_autoptr(GArray) ids = NULL;
                g_autoptr(GString) text = g_string_new(NULL);
                int64_t first;
                retention_select(&selections[i].retention, builds, NOW, &ids, &first);
                g_array_sort(ids, ascending);
                for (size_t k = 0; k < ids->len; k++)
                        g_string_append_printf(text, "%s%" G_GINT64_FORMAT, k ? " " : "",
                                               g_array_index(ids, int64_t, k));
                if (!g_str_equal(text->str, selections[i].expect) || first != selections[i].first)
                        g_error("%zu %s: '%s' %d", i, selections[i].builds, text->str, (int) first);
        }
}

/* ---- on a store ---- */

#define JOB(retention)                                                                             \
        "{'resources':[],'jobs':[{'name':'j','build_log_retention':{" retention                    \
        "},'plan':[{'task':'t'}]}]}"

static void run(House *house, int64_t max_builds) {
        const JanitorSpec spec = { .store = house->store, .max_builds_to_retain = max_builds };
        OK(retention_run(&spec, &error));
}

static int64_t ended_build(House *house, BuildStatus status) {
        BuildLease lease;
        int64_t id = started_build(house, "j", &lease);
        finish(house, &lease, status);
        return id;
}

static bool has_log(House *house, int64_t id) {
        g_autofree char *log = read_log(house, id, 0);
        g_autoptr(Build) build = OK(build_get(house->store, id, &error));
        g_assert_cmpint(build->reap == 0, ==, *log != '\0');
        return *log != '\0';
}

static int64_t first_logged(House *house) {
        g_autoptr(Job) job = OK(job_find(house->store, house->pipeline_id, "j", &error));
        return job->first_logged_build_id;
}

static void logs_beyond_the_limit_go_and_the_builds_stay(House *house) {
        int64_t ids[5];
        house_save(house, JOB("'builds':2"));
        for (size_t i = 0; i < G_N_ELEMENTS(ids); i++)
                ids[i] = ended_build(house, BUILD_SUCCEEDED);
        for (int again = 0; again < 2; again++) {
                run(house, 0);
                for (size_t i = 0; i < G_N_ELEMENTS(ids); i++)
                        g_assert_cmpint(has_log(house, ids[i]), ==, i >= 3);
                g_assert_cmpint(first_logged(house), ==, ids[3]);
        }
}

static void a_build_that_runs_is_not_passed_over(House *house) {
        BuildLease lease;
        house_save(house, JOB("'builds':1"));
        int64_t old = started_build(house, "j", &lease);
        int64_t second = ended_build(house, BUILD_SUCCEEDED);
        int64_t third = ended_build(house, BUILD_SUCCEEDED);
        run(house, 0);
        g_assert_false(has_log(house, second));
        g_assert_cmpint(first_logged(house), <=, old);
        finish(house, &lease, BUILD_SUCCEEDED);
        run(house, 0);
        g_assert_false(has_log(house, old));
        g_assert_true(has_log(house, third));
}

static void limits_above_a_page_hold_too(House *house) {
        enum { KEPT = 505, MORE = 3 };
        g_autoptr(GArray) ids = g_array_new(false, false, sizeof(int64_t));
        house_save(house, JOB("'builds':505"));
        for (int i = 0; i < KEPT + MORE; i++) {
                g_autoptr(Build) build = pending_build(house, "j");
                BuildFinish end = { .id = build->id, .status = BUILD_ABORTED };
                OK(build_finish(house->store, &end, &error));
                g_array_append_val(ids, build->id);
        }
        run(house, 0);
        for (int i = 0; i < MORE + 1; i++) {
                g_autoptr(Build)
                        build = OK(build_get(house->store, g_array_index(ids, int64_t, i), &error));
                g_assert_cmpint(build->reap != 0, ==, i < MORE);
        }
}

static void paused_jobs_and_jobs_without_limits_keep_all(House *house) {
        int64_t ids[3];
        house_save(house, JOB(""));
        for (size_t i = 0; i < G_N_ELEMENTS(ids); i++)
                ids[i] = ended_build(house, BUILD_SUCCEEDED);
        run(house, 0);
        g_assert_true(has_log(house, ids[0]));
        OK(job_pause(house->store, job_id(house, "j"), "me", &error));
        run(house, 1);
        g_assert_true(has_log(house, ids[0]));
        OK(job_unpause(house->store, job_id(house, "j"), &error));
        run(house, 1);
        g_assert_false(has_log(house, ids[1]));
        g_assert_true(has_log(house, ids[2]));
}

static void add(void) {
        g_test_add_func("/retention/limits", limits_follow_job_defaults_and_ceilings);
        g_test_add_func("/retention/select", the_newest_stay);
        house_add("/retention/store", logs_beyond_the_limit_go_and_the_builds_stay);
        house_add("/retention/running", a_build_that_runs_is_not_passed_over);
        house_add("/retention/pages", limits_above_a_page_hold_too);
        house_add("/retention/paused", paused_jobs_and_jobs_without_limits_keep_all);
}

int main(int argc, char **argv) {
        return house_main(argc, argv, add);
}
