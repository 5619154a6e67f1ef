/* Many clients at once that do everything and give up at any moment. */
#include "harness.h"

#include "base/files.h"
#include "http/client.h"

#include <string.h>

#define THREADS 8
#define CALLS 150

typedef struct {
        HttpClient *client;
        uint32_t seed;
        uint16_t port;
} Storm;

static ssize_t produce(void *ret, size_t length, void *data, GError **error) {
        size_t *left = data;
        size_t piece = MIN(MIN(length, *left), 7000);
        memset(ret, 'x', piece);
        *left -= piece;
        return (ssize_t) piece;
}

static void call_once(Storm *storm, GRand *random, const char *base) {
        static const char *const paths[] = { "/hello",  "/pieces?n=500",  "/big?n=2000000", "/echo",
                                             "/abort",  "/silent",        "/stream",        "/wait",
                                             "/ignore", "/pieces?n=50000" };
        size_t which = (size_t) g_rand_int_range(random, 0, G_N_ELEMENTS(paths));
        size_t left = (size_t) g_rand_int_range(random, 1, 300000);
        bool uploads = g_rand_boolean(random);
        g_autofree char *url = g_strconcat(base, paths[which], NULL);
        g_autoptr(GError) error = NULL;
        g_auto(HttpReply) reply = { 0 };
        Duration after = g_rand_int_range(random, 0, 20000) * (Duration) 1000;
        g_autoptr(Cancel) cancel = cancel_new_deadline(NULL, after);
        HttpCall call = { .method = uploads ? "POST" : "GET",
                          .url = url,
                          .source = uploads ? produce : NULL,
                          .data = &left };
        if (http_call(storm->client, &call, cancel, &reply, &error) &&
            strcmp(paths[which], "/pieces?n=500") == 0)
                g_assert_cmpuint(reply.length, ==, 500 * strlen("piece\n"));
}

static void take_over_once(Storm *storm, GRand *random, const char *base) {
        g_autofree char *url = g_strconcat(base, "/hijack", NULL);
        g_auto(HttpReply) reply = { 0 };
        g_autofree char *rest = NULL;
        size_t rest_length;
        int fd = -1;
        HttpCall call = { .method = "GET", .url = url };
        if (!http_take_over(storm->client, &call, NULL, &reply, &fd, &rest, &rest_length, NULL))
                return;
        autofd owned = fd;
        raw_send(owned, "ping");
        if (g_rand_boolean(random))
                g_free(raw_read_until(owned, "ping"));
}

static void storm_run(void *data) {
        Storm *storm = data;
        GRand *random = g_rand_new_with_seed(storm->seed);
        g_autofree char *base = g_strdup_printf("http://127.0.0.1:%u", (unsigned) storm->port);
        for (int i = 0; i < CALLS; i++)
                if (g_rand_int_range(random, 0, 5) == 0)
                        take_over_once(storm, random, base);
                else
                        call_once(storm, random, base);
        g_rand_free(random);
}

static void survives_a_storm(void) {
        g_autoptr(Harness) harness = harness_new(NULL);
        HttpClient *client = http_client_new(&(HttpClientSpec){ .no_proxy = true });
        Storm storms[THREADS];
        Thread *threads[THREADS];
        unsigned before = open_descriptors();
        for (uint32_t i = 0; i < THREADS; i++) {
                storms[i] = (Storm){ client, (uint32_t) g_test_rand_int(),
                                     http_server_port(harness->server) };
                threads[i] = thread_start("storm", storm_run, &storms[i]);
        }
        for (size_t i = 0; i < THREADS; i++)
                thread_join(threads[i]);
        http_client_free(client);
        harness_wait_idle(harness);
        HttpServerStats stats;
        http_server_stats(harness->server, &stats);
        g_assert_cmpuint(stats.queued_bytes, ==, 0);
        g_assert_cmpuint(stats.streams, ==, 0);
        g_assert_cmpuint(open_descriptors(), <=, before + 64); /* tokens of the streams */
}

static void stops_in_a_storm(void) {
        Harness *harness = harness_new(NULL);
        HttpClient *client = http_client_new(
                &(HttpClientSpec){ .no_proxy = true, .connect_timeout = DURATION_SECOND });
        Storm storms[THREADS];
        Thread *threads[THREADS];
        for (uint32_t i = 0; i < THREADS; i++) {
                storms[i] = (Storm){ client, (uint32_t) g_test_rand_int(),
                                     http_server_port(harness->server) };
                threads[i] = thread_start("storm", storm_run, &storms[i]);
        }
        harness_wait(harness, &harness->handled, 100);
        http_server_stop(harness->server, 5 * DURATION_MILLISECOND);
        for (size_t i = 0; i < THREADS; i++)
                thread_join(threads[i]);
        harness->server = NULL;
        http_client_free(client);
        harness_free(harness);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/storm/calls", survives_a_storm);
        g_test_add_func("/storm/stop", stops_in_a_storm);
        return g_test_run();
}
