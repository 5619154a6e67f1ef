#include "desk.h"

#include "base/files.h"

static void add_token(House *house, const char *name, const char *claims) {
        g_autoptr(Value) value = json(claims);
        int64_t now = time_seconds(clock_now());

        value_map_set_int(value, "iat", now);
        value_map_set_int(value, "exp", now + 3600);
        OK(token_save(house->store, name, name, value, (now + 3600) * 1000000, &error));
}

static void add_user(House *house, const char *name) {
        g_autofree char *claims = g_strdup_printf(
                "{'aud':'fly','name':'%s',"
                "'federated_claims':{'connector_id':'local','user_id':'%s'}}",
                name, name);

        add_token(house, name, claims);
}

static void add_people(House *house) {
        g_autoptr(Value) rules = json("{'viewer':{'users':['local:viewer']},"
                                      "'member':{'users':['local:member']},"
                                      "'owner':{'users':['local:owner']}}");
        g_autoptr(Team) team = NULL;

        OK(team_save(house->store, "t", rules, NULL, &team, &error));
        house->team_id = team->id;
        add_user(house, "viewer");
        add_user(house, "member");
        add_user(house, "admin"); /* an owner of main */
        add_token(house, "system", "{'aud':'concourse-worker'}");
        house_save(house, two_jobs);
}

void desk_open(Desk *desk, House *house) {
        add_people(house);
        desk->auth = OK(auth_new(&(AuthSpec){ .store = house->store, .external_url = "http://ci" },
                                 &error));
        desk->cli_directory = OK(g_dir_make_tmp("weir-cli-XXXXXX", &error));
        desk->pool = pool_new(&(PoolSpec){ .store = house->store });
        desk->api = api_new(&(ApiSpec){ .store = house->store,
                                        .auth = desk->auth,
                                        .pool = desk->pool,
                                        .external_url = "http://ci",
                                        .cli_directory = desk->cli_directory,
                                        .checking_interval = DURATION_MINUTE,
                                        .resource_causality = true });
        desk->server = OK(http_server_start(&(HttpServerSpec){ .address = "127.0.0.1",
                                                               .handler = api_handle,
                                                               .data = desk->api,
                                                               .name = "api" },
                                            &error));
        desk->client = http_client_new(&(HttpClientSpec){ .no_proxy = true });
}

void desk_close(Desk *desk) {
        http_client_free(desk->client);
        http_server_stop(desk->server, DURATION_SECOND);
        api_free(desk->api);
        pool_free(desk->pool);
        auth_free(desk->auth);
        OK(directory_remove(desk->cli_directory, &error));
        g_free(desk->cli_directory);
}

char *desk_url(const Desk *desk, const char *path) {
        return g_strdup_printf("http://127.0.0.1:%d%s", http_server_port(desk->server), path);
}

void desk_ask(Desk *desk, const Ask *what, HttpReply *ret) {
        g_autofree char *url = desk_url(desk, what->path);
        g_autofree char *bearer = g_strconcat("Authorization: Bearer ", what->token, NULL);
        const char *headers[] = { "Content-Type: application/json", bearer, NULL };
        const HttpCall call = { .method = what->method,
                                .url = url,
                                .headers = headers,
                                .body = what->body,
                                .body_length = what->body ? strlen(what->body) : 0 };

        OK(http_call(desk->client, &call, NULL, ret, &error));
}

void desk_expect(Desk *desk, const Ask *what, int status, const char *body) {
        g_auto(HttpReply) reply = { 0 };

        desk_ask(desk, what, &reply);
        if (reply.status != status || (body && g_strcmp0(reply.body, body) != 0))
                g_error("%s %s: %d '%s'", what->method, what->path, reply.status, reply.body);
}
