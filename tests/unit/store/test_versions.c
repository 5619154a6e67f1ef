#include "house.h"

/* "a=3 b=4": versions of a resource by check order, highest last. */
static char *order_of(House *house, const char *resource) {
        VersionQuery query = { 0 };
        g_autoptr(GPtrArray) versions = OK(
                version_list(house->store, resource_id(house, resource), &query, NULL, &error));
        GString *text = g_string_new(NULL);
        for (guint i = versions->len; i > 0; i--) {
                const Version *version = versions->pdata[i - 1];
                g_string_append_printf(text, "%s%s=%d", text->len ? " " : "",
                                       value_get_string(version->version, "ref", "?"),
                                       (int) version->check_order);
        }
        return g_string_free(text, false);
}

static void expect_order(House *house, const char *expected) {
        g_autofree char *order = order_of(house, "repo");
        g_assert_cmpstr(order, ==, expected);
}

static void saving_the_same_versions_again_changes_nothing(House *house) {
        house_save(house, two_jobs);
        int64_t scope = scope_of(house, "repo");
        g_assert_cmpuint(save_refs(house, scope, "a b c"), ==, 3);
        expect_order(house, "a=1 b=2 c=3");
        g_assert_cmpuint(save_refs(house, scope, "b c"), ==, 0);
        g_assert_cmpuint(save_refs(house, scope, "c"), ==, 0);
        expect_order(house, "a=1 b=2 c=3");
}

static void what_a_check_returns_goes_on_top_once_one_is_new(House *house) {
        house_save(house, two_jobs);
        int64_t scope = scope_of(house, "repo");
        save_refs(house, scope, "v1 v2 v3");
        g_assert_cmpuint(save_refs(house, scope, "v1 v4"), ==, 1);
        expect_order(house, "v2=2 v3=3 v1=4 v4=5");
}

static void of_a_version_twice_in_a_list_the_last_counts(House *house) {
        house_save(house, two_jobs);
        g_assert_cmpuint(save_refs(house, scope_of(house, "repo"), "a b a"), ==, 2);
        expect_order(house, "b=2 a=3");
}

static bool is_due(House *house, const char *job) {
        g_autoptr(GArray) due = OK(job_list_due(house->store, UINT64_MAX, &error));
        for (guint i = 0; i < due->len; i++)
                if (g_array_index(due, int64_t, i) == job_id(house, job))
                        return true;
        return false;
}

static void nothing_is_due(House *house) {
        g_autoptr(GArray) due = OK(job_list_due(house->store, UINT64_MAX, &error));
        for (guint i = 0; i < due->len; i++) {
                g_autoptr(Job)
                        job = OK(job_get(house->store, g_array_index(due, int64_t, i), &error));
                OK(job_set_scheduled(house->store, job->id, job->schedule_requested, &error));
        }
}

static void a_new_version_asks_for_the_jobs_that_get_it_unpassed(House *house) {
        house_save(house, two_jobs);
        int64_t scope = scope_of(house, "repo");
        nothing_is_due(house);
        g_assert_false(is_due(house, "unit"));
        save_refs(house, scope, "a");
        g_assert_true(is_due(house, "unit"));
        g_assert_false(is_due(house, "deploy"));
        nothing_is_due(house);
        save_refs(house, scope, "a");
        g_assert_false(is_due(house, "unit"));
}

static void an_empty_version_is_refused(House *house) {
        house_save(house, two_jobs);
        g_autoptr(Value) versions = json("[{}]"), numbers = json("[{'ref':1}]");
        int64_t scope = scope_of(house, "repo");
        FAILS(version_save_all(house->store, scope, versions, NULL, NULL, &error), ERROR_INVALID);
        FAILS(version_save_all(house->store, scope, numbers, NULL, NULL, &error), ERROR_INVALID);
}

static void metadata_is_kept_until_there_is_newer(House *house) {
        house_save(house, two_jobs);
        int64_t scope = scope_of(house, "repo"), id;
        g_autoptr(Value) version = json("{'ref':'a'}");
        g_autoptr(Value) metadata = json("[{'name':'author','value':'me'}]");
        bool is_new;
        OK(version_save(house->store, scope, version, metadata, &is_new, &id, &error));
        g_assert_true(is_new);
        OK(version_save(house->store, scope, version, NULL, &is_new, NULL, &error));
        g_assert_false(is_new);
        g_autoptr(Version) found = OK(version_get(house->store, id, &error));
        g_autofree char *text = json_text(found->metadata);
        g_assert_cmpstr(text, ==, "[{'name':'author','value':'me'}]");
}

static void versions_are_listed_by_pages(House *house) {
        house_save(house, two_jobs);
        int64_t scope = scope_of(house, "repo"), resource = resource_id(house, "repo");
        save_refs(house, scope, "a b c d e");
        PageLinks links;
        VersionQuery query = { .page = { .limit = 2 } };
        g_autoptr(GPtrArray)
                newest = OK(version_list(house->store, resource, &query, &links, &error));
        g_assert_cmpuint(newest->len, ==, 2);
        g_assert_cmpint(links.newer, ==, 0);
        query.page = (Page){ .limit = 2, .has_to = true, .to = links.older };
        g_autoptr(GPtrArray)
                older = OK(version_list(house->store, resource, &query, &links, &error));
        g_assert_cmpint(((Version *) older->pdata[0])->check_order, ==, 3);
        g_assert_cmpint(((Version *) older->pdata[1])->check_order, ==, 2);
        query.page = (Page){ .limit = 2, .has_from = true, .from = links.newer };
        g_autoptr(GPtrArray)
                back = OK(version_list(house->store, resource, &query, &links, &error));
        g_assert_cmpint(((Version *) back->pdata[0])->check_order, ==, 5);
        query.page = (Page){ .has_to = true, .to = 99999 };
        g_autoptr(GPtrArray)
                none = OK(version_list(house->store, resource, &query, &links, &error));
        g_assert_cmpuint(none->len, ==, 0);
        g_autoptr(Value) filter = json("{'ref':'b'}");
        query = (VersionQuery){ .filter = filter };
        g_autoptr(GPtrArray)
                filtered = OK(version_list(house->store, resource, &query, NULL, &error));
        g_assert_cmpuint(filtered->len, ==, 1);
}

static void a_disabled_version_stays_so_when_it_is_found_again(House *house) {
        house_save(house, two_jobs);
        int64_t scope = scope_of(house, "repo"), resource = resource_id(house, "repo"), removed;
        save_refs(house, scope, "a");
        g_autoptr(Value) a = json("{'ref':'a'}");
        g_autoptr(Version) version = OK(version_find(house->store, resource, a, &error));
        g_assert_true(version->enabled);
        OK(version_set_enabled(house->store, resource, version->id, false, &error));
        FAILS(version_set_enabled(house->store, resource, version->id, false, &error),
              ERROR_INVALID);
        OK(version_clear(house->store, scope, &removed, &error));
        g_assert_cmpint(removed, ==, 1);
        save_refs(house, scope, "a");
        g_autoptr(Version) again = OK(version_find(house->store, resource, a, &error));
        g_assert_false(again->enabled);
        OK(version_set_enabled(house->store, resource, again->id, true, &error));
}

static void a_pin_of_the_config_goes_before_one_of_the_api(House *house) {
        house_save(house, two_jobs);
        int64_t scope = scope_of(house, "repo"), resource = resource_id(house, "repo");
        save_refs(house, scope, "a b");
        g_autoptr(Version) latest = OK(version_latest(house->store, scope, &error));
        OK(resource_pin(house->store, resource, latest->id, &error));
        OK(resource_set_pin_comment(house->store, resource, "why", &error));
        g_autoptr(Resource)
                pinned = OK(resource_get(house->store, RESOURCE_KIND_RESOURCE, resource, &error));
        g_assert_cmpstr(pinned->pin_comment, ==, "why");
        g_assert_false(pinned->pinned_in_config);

        house_save(house, "{'resources':[{'name':'repo','type':'git','source':{'uri':'a'},"
                          "'version':{'ref':'a'}}],'jobs':[]}");
        g_autoptr(Resource)
                config = OK(resource_get(house->store, RESOURCE_KIND_RESOURCE, resource, &error));
        g_assert_true(config->pinned_in_config);
        g_assert_cmpstr(config->pin_comment, ==, "");
        g_assert_cmpstr(value_get_string(config->pinned_version, "ref", ""), ==, "a");
        g_assert_cmpint(config->scope_id, ==, scope);
        FAILS(resource_pin(house->store, resource, latest->id, &error), ERROR_DENIED);
        FAILS(resource_unpin(house->store, resource, &error), ERROR_DENIED);

        house_save(house, two_jobs);
        FAILS(resource_unpin(house->store, resource, &error), ERROR_NOT_FOUND);
        g_autoptr(CheckCandidate)
                candidate = OK(check_candidate_get(house->store, resource, &error));
        g_assert_true(candidate->triggers && candidate->input && candidate->has_version);
}

static void a_changed_source_forgets_the_history(House *house) {
        house_save(house, two_jobs);
        scope_of(house, "repo");
        house_save(house, "{'resources':[{'name':'repo','type':'git','source':{'uri':'z'}}],"
                          "'jobs':[]}");
        g_autoptr(Resource) changed = OK(resource_find(house->store, RESOURCE_KIND_RESOURCE,
                                                       house->pipeline_id, "repo", &error));
        g_assert_cmpint(changed->scope_id, ==, 0);
}

static void check_times_are_flushed_and_survive(House *house) {
        house_save(house, two_jobs);
        int64_t scope = scope_of(house, "repo");
        g_autoptr(Value) plan = json("{'id':'1'}");
        OK(scope_check_started(house->store, scope, 7, plan, 1000, &error));
        OK(scope_check_ended(house->store, scope, true, 2000, 3000, &error));
        house_open(house);
        g_auto(ScopeCheck) check = { 0 };
        OK(scope_check_get(house->store, scope, &check, &error));
        g_assert_cmpint(check.last_end, ==, 2000);
        g_assert_cmpint(check.next, ==, 3000);
        g_assert_cmpint(check.last_build_id, ==, 7);
        g_assert_true(check.last_succeeded);
}

static void scopes_are_shared_only_when_histories_are_global(House *house) {
        house_save(house, two_jobs);
        house_worker(house, "w");
        g_autoptr(Value) source = json("{'uri':'same'}");
        ResourceConfigKey key = { .base_type = "git", .source = source };
        int64_t config, again, own, other, shared, shared_too;
        OK(resource_config_find_or_create(house->store, &key, &config, &error));
        OK(resource_config_find_or_create(house->store, &key, &again, &error));
        g_assert_cmpint(config, ==, again);
        int64_t repo = resource_id(house, "repo"), image = resource_id(house, "image");
        OK(resource_scope_find_or_create(house->store, config, repo, false, &own, &error));
        OK(resource_scope_find_or_create(house->store, config, image, false, &other, &error));
        g_assert_cmpint(own, !=, other);
        OK(resource_scope_find_or_create(house->store, config, repo, true, &shared, &error));
        OK(resource_scope_find_or_create(house->store, config, 0, false, &shared_too, &error));
        g_assert_cmpint(shared, ==, shared_too);
        key.base_type = "nope";
        FAILS(resource_config_find_or_create(house->store, &key, &config, &error), ERROR_NOT_FOUND);
}

static void add(void) {
        house_add("/store/versions/idempotent", saving_the_same_versions_again_changes_nothing);
        house_add("/store/versions/order", what_a_check_returns_goes_on_top_once_one_is_new);
        house_add("/store/versions/twice", of_a_version_twice_in_a_list_the_last_counts);
        house_add("/store/versions/schedules",
                  a_new_version_asks_for_the_jobs_that_get_it_unpassed);
        house_add("/store/versions/empty", an_empty_version_is_refused);
        house_add("/store/versions/metadata", metadata_is_kept_until_there_is_newer);
        house_add("/store/versions/pages", versions_are_listed_by_pages);
        house_add("/store/versions/disabled", a_disabled_version_stays_so_when_it_is_found_again);
        house_add("/store/versions/pins", a_pin_of_the_config_goes_before_one_of_the_api);
        house_add("/store/versions/source", a_changed_source_forgets_the_history);
        house_add("/store/versions/check-times", check_times_are_flushed_and_survive);
        house_add("/store/versions/scopes", scopes_are_shared_only_when_histories_are_global);
}

int main(int argc, char **argv) {
        return house_main(argc, argv, add);
}
