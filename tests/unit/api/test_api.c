#include "../store/house.h"

#include "api/call.h"
#include "http/client.h"

typedef struct {
        Auth *auth;
        Pool *pool;
        Api *api;
        HttpServer *server;
        HttpClient *client;
} Desk;

static void desk_open(Desk *desk, House *house) {
        desk->auth = OK(auth_new(&(AuthSpec){ .store = house->store, .external_url = "http://ci" },
                                 &error));
        desk->pool = pool_new(&(PoolSpec){ .store = house->store });
        desk->api = api_new(&(ApiSpec){ .store = house->store,
                                        .auth = desk->auth,
                                        .pool = desk->pool,
                                        .external_url = "http://ci",
                                        .checking_interval = DURATION_MINUTE });
        desk->server = OK(http_server_start(&(HttpServerSpec){ .address = "127.0.0.1",
                                                               .handler = api_handle,
                                                               .data = desk->api,
                                                               .name = "api" },
                                            &error));
        desk->client = http_client_new(&(HttpClientSpec){ .no_proxy = true });
}

static void desk_close(Desk *desk) {
        http_client_free(desk->client);
        http_server_stop(desk->server, DURATION_SECOND);
        api_free(desk->api);
        pool_free(desk->pool);
        auth_free(desk->auth);
}

typedef struct {
        const char *method, *path, *caller, *body, *type, *version;
} Ask;

/* caller: "" anonymous, else the token. */
static void ask(Desk *desk, const Ask *what, HttpReply *ret) {
        const char *caller = what->caller ? what->caller : "";
        g_autofree char *url = g_strdup_printf("http://127.0.0.1:%d%s",
                                               http_server_port(desk->server), what->path);
        g_autofree char *bearer = g_strconcat("Authorization: Bearer ", caller, NULL);
        g_autofree char *type = g_strconcat(
                "Content-Type: ", what->type ? what->type : "application/json", NULL);
        g_autofree char *version = what->version ? g_strconcat("X-Concourse-Config-Version: ",
                                                               what->version, NULL)
                                                 : NULL;
        const char *headers[] = { type, *caller ? bearer : "X-Nobody: 1", version, NULL };
        const HttpCall call = { .method = what->method,
                                .url = url,
                                .headers = headers,
                                .body = what->body,
                                .body_length = what->body ? strlen(what->body) : 0 };
        OK(http_call(desk->client, &call, NULL, ret, &error));
}

static void assert_answer(Desk *desk, const Ask *what, int status, const char *body) {
        g_auto(HttpReply) reply = { 0 };
        ask(desk, what, &reply);
        if (reply.status != status || (body && g_strcmp0(reply.body, body) != 0))
                g_error("%s %s as '%s': %d '%s'", what->method, what->path,
                        what->caller ? what->caller : "", reply.status, reply.body);
}

static void token(House *house, const char *name, const char *claims) {
        g_autoptr(Value) value = json(claims);
        int64_t now = time_seconds(clock_now());
        value_map_set_int(value, "iat", now);
        value_map_set_int(value, "exp", now + 3600);
        OK(token_save(house->store, name, name, value, (now + 3600) * 1000000, &error));
}

#define USER(name)                                                                                 \
        "{'aud':'fly','name':'" name                                                               \
        "','federated_claims':{'connector_id':'local','user_id':'" name "'}}"

/* Team t with a viewer, an operator, a member and an owner, main with an admin; tokens bear their names. */
static void people(House *house) {
        g_autoptr(Value) rules = json(
                "{'viewer':{'users':['local:viewer']},"
                "'pipeline-operator':{'users':['local:operator']},"
                "'member':{'users':['local:member']},'owner':{'users':['local:owner']}}");
        g_autoptr(Team) team = NULL;
        OK(team_save(house->store, "t", rules, NULL, &team, &error));
        house->team_id = team->id;
        token(house, "viewer", USER("viewer"));
        token(house, "operator", USER("operator"));
        token(house, "member", USER("member"));
        token(house, "owner", USER("owner"));
        token(house, "stranger", USER("stranger"));
        token(house, "admin", USER("admin"));
        token(house, "system", "{'aud':'concourse-worker'}");
        house_save(house, two_jobs);
}

/* ---- the table ---- */

static void every_route_is_there_once(void) {
        g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        for (const Route *route = api_routes; route->action; route++) {
                char *key = g_strconcat(route->method, " ", route->pattern, NULL);
                g_assert_true(g_str_has_prefix(route->pattern, "/api/v1/") ||
                              g_str_has_prefix(route->pattern, "/.well-known/"));
                if (!g_hash_table_add(seen, key))
                        g_error("twice: %s %s", route->method, route->pattern);
        }
}

/* ---- guards ---- */

#define T "/api/v1/teams/t"

static void guards_answer_as_the_table_says(House *house) {
        static const char *const callers[] = { "",       "bad",   "stranger", "viewer", "operator",
                                               "member", "owner", "admin",    "system" };
        static const struct {
                const char *method, *path;
                int expect[G_N_ELEMENTS(
                        callers)]; /* 0: passes the guard, whatever the handler says */
        } cases[] = {
                { "GET", "/api/v1/info", { 0, 401, 0, 0, 0, 0, 0, 0, 0 } },
                { "GET", "/api/v1/user", { 401, 401, 0, 0, 0, 0, 0, 0, 0 } },
                { "GET", "/api/v1/workers", { 401, 401, 403, 0, 0, 0, 0, 0, 403 } },
                { "GET", T, { 401, 401, 403, 0, 0, 0, 0, 0, 403 } },
                { "GET", T "/pipelines/p/config", { 401, 401, 403, 0, 0, 0, 0, 0, 403 } },
                { "GET", T "/pipelines/p", { 401, 401, 403, 0, 0, 0, 0, 0, 403 } },
                { "PUT", T "/pipelines/p/pause", { 401, 401, 403, 403, 0, 0, 0, 0, 403 } },
                { "PUT", T "/pipelines/p/hide", { 401, 401, 403, 403, 403, 0, 0, 0, 403 } },
                { "PUT", T, { 401, 401, 403, 403, 403, 403, 0, 0, 403 } },
                { "GET", "/api/v1/log-level", { 401, 401, 403, 403, 403, 403, 403, 0, 403 } },
                { "PUT",
                  "/api/v1/workers/w/heartbeat",
                  { 401, 401, 403, 403, 403, 403, 403, 403, 0 } },
        };
        Desk desk;
        people(house);
        desk_open(&desk, house);
        for (size_t i = 0; i < G_N_ELEMENTS(cases); i++)
                for (size_t who = 0; who < G_N_ELEMENTS(callers); who++) {
                        const Ask what = { cases[i].method, cases[i].path, callers[who] };
                        int expect = cases[i].expect[who];
                        if (expect) {
                                assert_answer(&desk, &what, expect,
                                              expect == 401 ? "not authorized" : "forbidden");
                                continue;
                        }
                        g_auto(HttpReply) reply = { 0 };
                        ask(&desk, &what, &reply);
                        if (reply.status == 401 || reply.status == 403)
                                g_error("%s %s as '%s': %d", what.method, what.path, what.caller,
                                        reply.status);
                }
        desk_close(&desk);
}

static void public_pipelines_are_for_everybody_to_read(House *house) {
        Desk desk;
        people(house);
        OK(pipeline_set_public(house->store, house->pipeline_id, true, &error));
        desk_open(&desk, house);
        assert_answer(&desk, &(Ask){ "GET", T "/pipelines/p" }, 200, NULL);
        assert_answer(&desk, &(Ask){ "GET", T "/pipelines/p", "bad" }, 200, NULL);
        assert_answer(&desk, &(Ask){ "GET", T "/pipelines/p/config" }, 401, "not authorized");
        assert_answer(&desk, &(Ask){ "PUT", T "/pipelines/p/pause", "stranger" }, 403, "forbidden");
        desk_close(&desk);
}

static void builds_are_guarded_by_their_team_and_job(House *house) {
        Desk desk;
        BuildLease lease;
        people(house);
        int64_t id = started_build(house, "unit", &lease);
        g_autofree char *build = g_strdup_printf("/api/v1/builds/%d", (int) id);
        g_autofree char *plan = g_strconcat(build, "/plan", NULL),
                        *abort = g_strconcat(build, "/abort", NULL);
        desk_open(&desk, house);
        assert_answer(&desk, &(Ask){ "GET", build }, 401, "not authorized");
        assert_answer(&desk, &(Ask){ "GET", build, "stranger" }, 403, "forbidden");
        assert_answer(&desk, &(Ask){ "GET", build, "viewer" }, 200, NULL);
        assert_answer(&desk, &(Ask){ "GET", "/api/v1/builds/x", "viewer" }, 400, "");
        assert_answer(&desk, &(Ask){ "GET", "/api/v1/builds/4711", "viewer" }, 404, "");
        OK(pipeline_set_public(house->store, house->pipeline_id, true, &error));
        assert_answer(&desk, &(Ask){ "GET", build }, 200, NULL);
        assert_answer(&desk, &(Ask){ "GET", plan }, 401, "not authorized");
        assert_answer(&desk, &(Ask){ "PUT", abort }, 401, "not authorized");
        assert_answer(&desk, &(Ask){ "PUT", abort, "viewer" }, 403, "forbidden");
        desk_close(&desk);
}

/* ---- routing ---- */

static void what_is_not_there_is_said(House *house) {
        Desk desk;
        people(house);
        desk_open(&desk, house);
        assert_answer(&desk, &(Ask){ "GET", "/api/v1/nothing" }, 404, "404 page not found\n");
        assert_answer(&desk, &(Ask){ "PATCH", "/api/v1/info" }, 405, "Method Not Allowed\n");
        assert_answer(&desk, &(Ask){ "GET", T "/pipelines/none", "viewer" }, 404, "");
        assert_answer(&desk, &(Ask){ "GET", "/api/v1/teams/none/pipelines/p", "admin" }, 404, "");
        OK(pipeline_archive(house->store, house->pipeline_id, &error));
        assert_answer(&desk, &(Ask){ "PUT", T "/pipelines/p/unpause", "owner" }, 409,
                      "action not allowed for an archived pipeline\n");
        desk_close(&desk);
}

/* ---- saving a config ---- */

#define CONFIG                                                                                     \
        "{\"jobs\":[{\"name\":\"j\",\"plan\":[{\"get\":\"r\"}]}],"                                 \
        "\"resources\":[{\"name\":\"r\",\"type\":\"git\"}]}"

static void a_config_is_saved_once_per_version(House *house) {
        const char *path = T "/pipelines/q/config";
        Desk desk;
        people(house);
        desk_open(&desk, house);
        assert_answer(&desk, &(Ask){ "PUT", path, "member", CONFIG }, 201, NULL);
        g_auto(HttpReply) got = { 0 };
        ask(&desk, &(Ask){ "GET", path, "viewer" }, &got);
        g_assert_cmpint(got.status, ==, 200);
        const char *version = http_reply_header(&got, "X-Concourse-Config-Version");
        g_assert_nonnull(version);
        assert_answer(&desk, &(Ask){ "PUT", path, "member", CONFIG, "application/x-yaml", version },
                      200, NULL);
        assert_answer(&desk, &(Ask){ "PUT", path, "member", CONFIG, NULL, "1000000" }, 500,
                      "failed to save config: comparison with existing config failed during save");
        assert_answer(&desk, &(Ask){ "PUT", path, "member", CONFIG, "text/plain" }, 415, "");
        assert_answer(&desk, &(Ask){ "PUT", path, "member", CONFIG, NULL, "x" }, 400,
                      "{\"errors\":[\"config version is malformed: expected integer\"]}\n");
        assert_answer(&desk, &(Ask){ "PUT", path, "member", "nonsense: [" }, 400, NULL);
        assert_answer(&desk, &(Ask){ "PUT", path, "operator", CONFIG }, 403, "forbidden");
        desk_close(&desk);
}

/* ---- teams and workers ---- */

static void a_changed_team_counts_for_the_next_request(House *house) {
        static const char open[] = "{\"auth\":{\"owner\":{\"users\":[\"local:owner\"]},"
                                   "\"viewer\":{\"users\":[\"local:stranger\"]}}}";
        Desk desk;
        people(house);
        desk_open(&desk, house);
        assert_answer(&desk, &(Ask){ "GET", T, "stranger" }, 403, "forbidden");
        assert_answer(&desk, &(Ask){ "PUT", T, "owner", open }, 200, NULL);
        assert_answer(&desk, &(Ask){ "GET", T, "stranger" }, 200, NULL);
        assert_answer(&desk, &(Ask){ "PUT", T, "owner", "{\"auth\":{}}" }, 400, "");
        desk_close(&desk);
}

static void add(void) {
        g_test_add_func("/api/routes", every_route_is_there_once);
        house_add("/api/guards", guards_answer_as_the_table_says);
        house_add("/api/public", public_pipelines_are_for_everybody_to_read);
        house_add("/api/builds", builds_are_guarded_by_their_team_and_job);
        house_add("/api/routing", what_is_not_there_is_said);
        house_add("/api/config", a_config_is_saved_once_per_version);
        house_add("/api/teams", a_changed_team_counts_for_the_next_request);
}

int main(int argc, char **argv) {
        return house_main(argc, argv, add);
}
