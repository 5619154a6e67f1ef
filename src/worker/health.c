#include "worker/health.h"

#include "http/client.h"

struct Health {
        char *garden, *baggageclaim;
        HttpClient *client;
        HttpServer *server;
};

/* Only whether an answer comes counts, not which. */
static bool add_check(Health *health, HttpRequest *request, Value *map, const char *name,
                      const char *url) {
        HttpCall call = { .method = "GET", .url = url };
        g_auto(HttpReply) reply = { 0 };
        g_autoptr(GError) error = NULL;
        Value *entry = value_map();
        bool well = http_call(health->client, &call, http_request_cancel(request), &reply, &error);
        value_map_set_bool(entry, "healthy", well);
        value_map_set_string(entry, "response_error", well ? "" : error->message);
        value_map_set(map, name, entry);
        return well;
}

static void check(HttpRequest *request, void *data) {
        Health *health = data;
        g_autoptr(Value) map = value_map();
        bool garden = add_check(health, request, map, "garden", health->garden);
        bool volumes = add_check(health, request, map, "baggageclaim", health->baggageclaim);
        http_answer_json(request, garden && volumes ? 200 : 503, map);
}

Health *health_start(const HealthSpec *spec, GError **error) {
        Health *health = g_new0(Health, 1);
        HttpClientSpec client = { .total_timeout = spec->timeout, .no_proxy = true };
        HttpServerSpec server = { .address = spec->address,
                                  .port = spec->port,
                                  .handler = check,
                                  .data = health,
                                  .threads_max = 8,
                                  .connections_max = 64,
                                  .name = "health" };
        health->garden = g_strconcat(spec->garden_url, "/ping", NULL);
        health->baggageclaim = g_strconcat(spec->baggageclaim_url, "/volumes", NULL);
        health->client = http_client_new(&client);
        health->server = http_server_start(&server, error);
        if (health->server)
                return health;
        health_stop(health);
        return NULL;
}

uint16_t health_port(const Health *health) {
        return http_server_port(health->server);
}

void health_stop(Health *health) {
        if (!health)
                return;
        if (health->server)
                http_server_stop(health->server, 0);
        http_client_free(health->client);
        g_free(health->garden);
        g_free(health->baggageclaim);
        g_free(health);
}
