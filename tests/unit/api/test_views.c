/* What is looked at from outside and above: wall, components, health, badges, cc.xml, histories, keys. */
#include "desk.h"

#include "base/json.h"

#define P "/api/v1/teams/t/pipelines/p"

static void expect(Desk *desk, const char *method, const char *path, const char *token,
                   const char *body, int status, const char *answer) {
        desk_expect(desk, &(Ask){ method, path, token, body }, status, answer);
}

static void get(Desk *desk, const char *path, int status, const char *answer) {
        expect(desk, "GET", path, "admin", NULL, status, answer);
}

/* Returns new. */
static Value *get_json(Desk *desk, const char *path) {
        g_auto(HttpReply) reply = { 0 };

        desk_ask(desk, &(Ask){ "GET", path, "admin", NULL }, &reply);
        g_assert_cmpint(reply.status, ==, 200);
        return OK(json_parse(reply.body, reply.length, NULL, &error));
}

static char *get_text(Desk *desk, const char *path) {
        g_auto(HttpReply) reply = { 0 };

        desk_ask(desk, &(Ask){ "GET", path, "admin", NULL }, &reply);
        g_assert_cmpint(reply.status, ==, 200);
        return g_strndup(reply.body, reply.length);
}

/* ---- the wall ---- */

static void the_wall_is_written_by_admins_and_read_by_all(House *house) {
        static const char wall[] = "/api/v1/wall";
        Desk desk;

        desk_open(&desk, house);
        expect(&desk, "GET", wall, "viewer", NULL, 200, "{}\n");
        expect(&desk, "PUT", wall, "member", "{\"message\":\"x\"}", 403, "forbidden");
        expect(&desk, "PUT", wall, "admin", "{\"message\":\"\"}", 400,
               "Wall message cannot be empty");
        expect(&desk, "PUT", wall, "admin", "{", 500, "");
        expect(&desk, "PUT", wall, "admin", "{\"message\":\"x\",\"TTL\":\"1h\"}", 500, "");
        expect(&desk, "PUT", wall, "admin", "{\"message\":\"x\"}", 200, "");
        expect(&desk, "GET", wall, "viewer", NULL, 200, "{\"message\":\"x\"}\n");
        expect(&desk, "PUT", wall, "admin", "{\"message\":\"noon\",\"ttl\":600000000000}", 200, "");
        g_autoptr(Value) got = get_json(&desk, wall);
        g_assert_cmpstr(value_get_string(got, "message", ""), ==, "noon");
        int64_t left = value_get_int(got, "TTL", 0);
        g_assert_cmpint(left, >, 0);
        g_assert_cmpint(left, <=, 600000000000);
        expect(&desk, "DELETE", wall, "member", NULL, 403, NULL);
        expect(&desk, "DELETE", wall, "admin", NULL, 200, "");
        expect(&desk, "GET", wall, "viewer", NULL, 200, "{}\n");
        desk_close(&desk);
}

/* ---- components, health ---- */

static bool is_paused(Desk *desk, const char *name) {
        g_autoptr(Value) list = get_json(desk, "/api/v1/components");

        for (size_t i = 0; i < value_length(list); i++)
                if (g_str_equal(value_get_string(value_at(list, i), "name", ""), name))
                        return value_get_bool(value_at(list, i), "paused", false);
        g_error("no component %s", name);
}

static void components_are_listed_and_paused_by_admins(House *house) {
        Desk desk;

        OK(component_register_all(house->store, 30 * DURATION_SECOND, &error));
        desk_open(&desk, house);
        expect(&desk, "GET", "/api/v1/components", "member", NULL, 403, NULL);
        expect(&desk, "PUT", "/api/v1/components/none/pause", "admin", NULL, 404, NULL);
        expect(&desk, "PUT", "/api/v1/components/scanner/pause", "admin", NULL, 200, "");
        g_assert_true(is_paused(&desk, "scanner"));
        g_assert_false(is_paused(&desk, "tracker"));
        expect(&desk, "PUT", "/api/v1/components/scanner/unpause", "admin", NULL, 200, "");
        g_assert_false(is_paused(&desk, "scanner"));
        expect(&desk, "PUT", "/api/v1/components/pause", "admin", NULL, 200, "");
        g_assert_true(is_paused(&desk, "collector_volumes"));
        expect(&desk, "PUT", "/api/v1/components/unpause", "admin", NULL, 200, "");
        g_assert_false(is_paused(&desk, "collector_volumes"));
        g_autoptr(Value) list = get_json(&desk, "/api/v1/components");
        const Value *first = value_at(list, 0);
        g_assert_cmpstr(value_get_string(first, "name", ""), ==, "collector_access_tokens");
        g_assert_cmpint(value_get_int(first, "interval", 0), ==, 30000000000);
        g_assert_cmpstr(value_get_string(first, "last_ran", ""), ==, "0001-01-01T00:00:00Z");
        desk_close(&desk);
}

static void health_degrades_when_what_builds_wait_for_does_not_run(House *house) {
        Desk desk;

        OK(component_register_all(house->store, 30 * DURATION_SECOND, &error));
        desk_open(&desk, house);
        get(&desk, "/api/v1/health", 503, NULL); /* no worker */
        house_worker(house, "w1");
        g_assert_true(component_begin(house->store, COMPONENT_SCHEDULER));
        g_autoptr(Value) good = get_json(&desk, "/api/v1/health");
        g_assert_cmpstr(value_get_string(good, "status", ""), ==, "ok");
        clock_shift(5 * DURATION_MINUTE);
        g_autoptr(Value) stale = get_json(&desk, "/api/v1/health");
        clock_shift(-5 * DURATION_MINUTE);
        g_assert_cmpstr(value_get_string(stale, "status", ""), ==, "degraded");
        desk_close(&desk);
}

/* ---- badges, cc.xml ---- */

static void finish_one(House *house, const char *job, BuildStatus status) {
        BuildLease lease;

        started_build(house, job, &lease);
        finish(house, &lease, status);
}

static void expect_badge(Desk *desk, const char *path, const char *width, const char *fill,
                         const char *words) {
        g_autofree char *svg = get_text(desk, path);

        if (!strstr(svg, width) || !strstr(svg, fill) || !strstr(svg, words))
                g_error("%s: %s", path, svg);
}

static void a_badge_shows_the_last_finished_build_and_the_worst_job(House *house) {
        Desk desk;

        desk_open(&desk, house);
        expect_badge(&desk, P "/badge", "width=\"98\"", "#9f9f9f", "x=\"66.5\" y=\"14\">unknown<");
        finish_one(house, "unit", BUILD_SUCCEEDED);
        expect_badge(&desk, P "/jobs/unit/badge", "width=\"88\"", "#44cc11",
                     "x=\"61.5\" y=\"14\">passing<");
        expect_badge(&desk, P "/jobs/deploy/badge", "width=\"98\"", "#9f9f9f", ">unknown<");
        expect_badge(&desk, P "/badge", "width=\"88\"", "#44cc11", ">passing<");
        finish_one(house, "deploy", BUILD_ABORTED);
        expect_badge(&desk, P "/badge", "width=\"90\"", "#8f4b2d", "x=\"62.5\" y=\"14\">aborted<");
        finish_one(house, "deploy", BUILD_ERRORED);
        expect_badge(&desk, P "/badge", "width=\"88\"", "#fe7d37", ">errored<");
        finish_one(house, "unit", BUILD_FAILED);
        expect_badge(&desk, P "/badge", "width=\"80\"", "#e05d44", "x=\"57.5\" y=\"14\">failing<");
        get(&desk, P "/jobs/none/badge", 404, "");
        desk_close(&desk);
}

static void a_badge_bears_the_title_that_was_asked_for(House *house) {
        Desk desk;

        desk_open(&desk, house);
        expect_badge(&desk, P "/badge?title=build", "width=\"103\"", "M42 0h61v20H42z",
                     "x=\"21.0\" y=\"14\">build<");
        expect_badge(&desk, P "/badge?title=a%3Cb%3E%26", "width=\"157\"", "M96 0h61v20H96z",
                     ">a&lt;b&gt;&amp;<");
        expect_badge(&desk, P "/badge?title=", "width=\"98\"", "M37 0h61v20H37z", ">build<");
        desk_close(&desk);
}

static void the_badge_of_old_addresses_moved(House *house) {
        g_auto(HttpReply) reply = { 0 };
        Desk desk;

        desk_open(&desk, house);
        desk_ask(&desk,
                 &(Ask){ "GET", "/api/v1/pipelines/p/jobs/a%2Fb/badge?title=x", "viewer", NULL },
                 &reply);
        g_assert_cmpint(reply.status, ==, 301);
        g_assert_cmpstr(http_reply_header(&reply, "Location"), ==,
                        "/api/v1/teams/main/pipelines/p/jobs/a%2Fb/badge");
        desk_close(&desk);
}

static void cc_xml_lists_jobs_that_have_a_finished_build(House *house) {
        Desk desk;

        desk_open(&desk, house);
        get(&desk, "/api/v1/teams/t/cc.xml", 200, "<Projects></Projects>");
        get(&desk, "/api/v1/teams/none/cc.xml", 404, "");
        finish_one(house, "unit", BUILD_FAILED);
        g_autofree char *xml = get_text(&desk, "/api/v1/teams/t/cc.xml");
        g_assert_true(g_str_has_prefix(xml, "<Projects><Project activity=\"Sleeping\" "
                                            "lastBuildLabel=\"1\" lastBuildStatus=\"Failure\" "
                                            "lastBuildTime=\"2"));
        g_assert_true(g_str_has_suffix(xml, "Z\" name=\"p/unit\" "
                                            "webUrl=\"http://ci/teams/t/pipelines/p/jobs/unit\">"
                                            "</Project></Projects>"));
        g_autoptr(Build) pending = pending_build(house, "unit");
        g_autofree char *building = get_text(&desk, "/api/v1/teams/t/cc.xml");
        g_assert_nonnull(strstr(building, "activity=\"Building\""));
        expect(&desk, "GET", "/api/v1/teams/t/cc.xml", "viewer", NULL, 200, building);
        OK(pipeline_set_public(house->store, house->pipeline_id, false, &error));
        g_auto(HttpReply) anonymous = { 0 };
        g_autofree char *url = desk_url(&desk, "/api/v1/teams/t/cc.xml");
        OK(http_call(desk.client, &(HttpCall){ .method = "GET", .url = url }, NULL, &anonymous,
                     &error));
        g_assert_cmpstr(anonymous.body, ==, "<Projects></Projects>");
        desk_close(&desk);
}

/* ---- histories ---- */

static void who_shares_a_history_is_told_to_admins(House *house) {
        Desk desk;

        desk_open(&desk, house);
        expect(&desk, "GET", P "/resources/repo/shared", "member", NULL, 403, NULL);
        get(&desk, P "/resources/repo/shared", 500, "resource/resource-type repo has no scope");
        get(&desk, P "/resource-types/none/shared", 404, NULL);
        scope_of(house, "repo");
        get(&desk, P "/resources/repo/shared", 200,
            "{\"resources\":[{\"name\":\"repo\",\"pipeline_name\":\"p\",\"team_name\":\"t\"}],"
            "\"resource_types\":null}\n");
        desk_close(&desk);
}

static void causality_needs_to_be_switched_on_and_knows_its_version(House *house) {
        Desk desk;

        desk_open(&desk, house);
        save_refs(house, scope_of(house, "repo"), "r1");
        g_autoptr(Value) versions = get_json(&desk, P "/resources/repo/versions");
        int64_t id = value_get_int(value_at(versions, 0), "id", 0);
        g_autofree char *down = g_strdup_printf(
                P "/resources/repo/versions/%" G_GINT64_FORMAT "/downstream", id);
        g_autofree char *up = g_strdup_printf(
                P "/resources/repo/versions/%" G_GINT64_FORMAT "/upstream", id);
        get(&desk, down, 200,
            "{\"jobs\":[],\"builds\":[],\"resources\":[],\"resource_versions\":[]}\n");
        get(&desk, up, 200, NULL);
        get(&desk, P "/resources/repo/versions/4711/downstream", 500, "");
        get(&desk, P "/resources/none/versions/1/downstream", 404, NULL);
        get(&desk, P "/resources/repo/versions/x/downstream", 400, "");
        desk_close(&desk);
}

static void the_versions_dump_has_its_lists(House *house) {
        static const char *const lists[] = { "Jobs",         "Resources",   "ResourceVersions",
                                             "BuildOutputs", "BuildInputs", "BuildReruns" };
        Desk desk;

        desk_open(&desk, house);
        g_autoptr(Value) dump = get_json(&desk, P "/versions-db");
        for (size_t i = 0; i < G_N_ELEMENTS(lists); i++) {
                g_assert_cmpstr(value_key_at(dump, i), ==, lists[i]);
                g_assert_true(value_is(value_at(dump, i), VALUE_LIST));
        }
        desk_close(&desk);
}

/* ---- prototypes, keys ---- */

static void a_prototype_is_checked_as_a_resource_type_is(House *house) {
        g_auto(HttpReply) reply = { 0 };
        Desk desk;

        desk_open(&desk, house);
        house_save(house, "{'prototypes':[{'name':'kit','type':'git','source':{'uri':'k'}}],"
                          "'jobs':[{'name':'j','plan':[{'task':'t'}]}]}");
        expect(&desk, "POST", P "/prototypes/none/check", "member", "{}", 404, NULL);
        expect(&desk, "POST", P "/prototypes/kit/check", "viewer", "{}", 403, NULL);
        expect(&desk, "POST", P "/prototypes/kit/check", "member", "", 400, "");
        desk_ask(&desk, &(Ask){ "POST", P "/prototypes/kit/check", "member", "{}" }, &reply);
        g_assert_cmpint(reply.status, ==, 201);
        g_autoptr(Value) build = OK(json_parse(reply.body, reply.length, NULL, &error));
        g_assert_cmpstr(value_get_string(build, "name", ""), ==, "check");
        g_autofree char *path = g_strdup_printf("/api/v1/builds/%" G_GINT64_FORMAT "/plan",
                                                value_get_int(build, "id", 0));
        g_autoptr(Value) plan = get_json(&desk, path);
        const Value *check = value_get(value_get(plan, "plan"), "check");
        g_assert_cmpstr(value_get_string(check, "name", ""), ==, "kit");
        desk_close(&desk);
}

static void the_keys_of_id_tokens_are_public(House *house) {
        Desk desk;

        desk_open(&desk, house);
        expect(&desk, "GET", "/.well-known/openid-configuration", "viewer", NULL, 200,
               "{\"issuer\":\"http://ci\",\"jwks_uri\":\"http://ci/.well-known/jwks.json\","
               "\"claims_supported\":[\"aud\",\"iat\",\"iss\",\"sub\"],"
               "\"response_types_supported\":[\"idtoken\"],"
               "\"id_token_signing_alg_values_supported\":[\"RS256\",\"ES256\"],"
               "\"subject_types_supported\":[\"public\"]}\n");
        g_autoptr(Value) answer = get_json(&desk, "/.well-known/jwks.json");
        const Value *keys = value_get(answer, "keys");
        g_assert_cmpuint(value_length(keys), ==, 2);
        const Value *rsa = value_at(keys, 0), *ec = value_at(keys, 1);
        g_assert_cmpstr(value_get_string(rsa, "alg", ""), ==, "RS256");
        g_assert_cmpstr(value_get_string(rsa, "e", ""), ==, "AQAB");
        g_assert_cmpuint(strlen(value_get_string(rsa, "n", "")), ==, 683); /* 4096 bits */
        g_assert_cmpstr(value_get_string(ec, "crv", ""), ==, "P-256");
        g_assert_cmpuint(strlen(value_get_string(ec, "x", "")), ==, 43);
        g_autoptr(Value) again = get_json(&desk, "/.well-known/jwks.json");
        g_assert_true(value_equal(answer, again));
        desk_close(&desk);
}

static void add(void) {
        house_add("/views/wall", the_wall_is_written_by_admins_and_read_by_all);
        house_add("/views/components", components_are_listed_and_paused_by_admins);
        house_add("/views/health", health_degrades_when_what_builds_wait_for_does_not_run);
        house_add("/views/badge/worst", a_badge_shows_the_last_finished_build_and_the_worst_job);
        house_add("/views/badge/title", a_badge_bears_the_title_that_was_asked_for);
        house_add("/views/badge/old", the_badge_of_old_addresses_moved);
        house_add("/views/cc", cc_xml_lists_jobs_that_have_a_finished_build);
        house_add("/views/shared", who_shares_a_history_is_told_to_admins);
        house_add("/views/causality", causality_needs_to_be_switched_on_and_knows_its_version);
        house_add("/views/versions-db", the_versions_dump_has_its_lists);
        house_add("/views/prototype", a_prototype_is_checked_as_a_resource_type_is);
        house_add("/views/keys", the_keys_of_id_tokens_are_public);
}

int main(int argc, char **argv) {
        return house_main(argc, argv, add);
}
