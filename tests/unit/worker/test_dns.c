/* The DNS proxy: what it makes of messages, and how it asks resolvers, which here are sockets of the test. */
#include "base/files.h"
#include "base/thread.h"
#include "worker/network/dns.h"
#include "worker/network/dns_proxy.h"

#include <arpa/inet.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Id 0x1234, recursion desired, one question: a.b, A, IN. */
#define QUERY                                                                                      \
        "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x01"                                     \
        "a\x01"                                                                                    \
        "b\x00\x00\x01\x00\x01"
#define BYTES(text) (const unsigned char *) (text), sizeof(text) - 1
#define QUERY_LENGTH (sizeof QUERY - 1)

/* ---- messages ---- */

static const struct {
        const char *bytes;
        size_t length;
        bool expect;
} queries[] = {
        { QUERY, QUERY_LENGTH, true },
        { QUERY "and more", QUERY_LENGTH + 8, true },
        { QUERY, QUERY_LENGTH - 1, false },
        { QUERY, 12, false },
        { "", 0, false },
        /* an answer; no question; two; a compressed name; a label that leads out */
        { "\x12\x34\x81\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x01", 17, false },
        { "\x12\x34\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x01", 17, false },
        { "\x12\x34\x01\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x01", 17, false },
        { "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\xc0\x0c\x00\x00\x01\x00\x01", 19,
          false },
        { "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x3f\x00\x00\x01\x00\x01", 18, false },
};

static void whole_queries_of_one_question_are_taken(void) {
        for (size_t i = 0; i < G_N_ELEMENTS(queries); i++)
                g_assert_cmpint(
                        dns_is_query((const unsigned char *) queries[i].bytes, queries[i].length),
                        ==, queries[i].expect);
}

static void an_answer_is_told_by_its_id(void) {
        g_assert_true(dns_is_answer(BYTES(QUERY), BYTES("\x12\x34\x81\x80\0\0\0\0\0\0\0\0")));
        g_assert_false(dns_is_answer(BYTES(QUERY), BYTES("\x12\x35\x81\x80\0\0\0\0\0\0\0\0")));
        g_assert_false(dns_is_answer(BYTES(QUERY), BYTES(QUERY)));
        g_assert_false(dns_is_answer(BYTES(QUERY), BYTES("\x12\x34\x81")));
}

static void a_failure_repeats_the_question(void) {
        unsigned char failure[QUERY_LENGTH + 4];
        size_t length = dns_failure(BYTES(QUERY "tail"), failure);
        static const char expect[] = "\x12\x34\x81\x82\x00\x01\x00\x00\x00\x00\x00\x00\x01"
                                     "a\x01"
                                     "b\x00\x00\x01\x00\x01";
        g_assert_cmpmem(failure, length, expect, sizeof expect - 1);
        g_assert_cmpuint(dns_failure(BYTES("short"), failure), ==, 0);
}

static void the_servers_of_a_resolv_conf_are_found(void) {
        g_autoptr(GPtrArray) servers = dns_servers_parse(
                "# nameserver 1.1.1.1\nsearch a\n nameserver\t9.9.9.9 # why\nnameserver\n"
                "nameservers 2.2.2.2\nnameserver ::1\noptions x");
        g_assert_cmpuint(servers->len, ==, 2);
        g_assert_cmpstr(servers->pdata[0], ==, "9.9.9.9");
        g_assert_cmpstr(servers->pdata[1], ==, "::1");
}

/* ---- the proxy, on loopback ---- */

static int socket_on(const char *address, int type, uint16_t *port) {
        struct sockaddr_in name = { .sin_family = AF_INET, .sin_port = htons(*port) };
        socklen_t length = sizeof name;
        struct timeval patience = { .tv_sec = 30 };
        int one = 1, fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);
        inet_pton(AF_INET, address, &name.sin_addr);
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        g_assert_cmpint(bind(fd, (struct sockaddr *) &name, sizeof name), ==, 0);
        getsockname(fd, (struct sockaddr *) &name, &length);
        *port = ntohs(name.sin_port);
        return fd;
}

typedef struct {
        char *resolv_conf;
        uint16_t port, server_port;
        DnsProxy *proxy;
} Scene;

/* A port that nobody has on either address. */
static void scene_open(Scene *scene, const char *servers, uint16_t server_port, Duration patience) {
        static const char *const addresses[] = { "127.0.0.1", NULL };
        g_autoptr(GError) error = NULL;
        fd_close(socket_on("127.0.0.1", SOCK_STREAM, &scene->port));
        autofd file = g_file_open_tmp("weir-resolv-XXXXXX", &scene->resolv_conf, NULL);
        g_assert_true(write_all(file, servers, strlen(servers), NULL));
        scene->proxy = dns_proxy_start(&(DnsProxySpec){ .addresses = addresses,
                                                        .port = scene->port,
                                                        .resolv_conf = scene->resolv_conf,
                                                        .server_port = server_port,
                                                        .patience = patience },
                                       &error);
        g_assert_no_error(error);
}

static void scene_close(Scene *scene) {
        dns_proxy_stop(scene->proxy);
        g_unlink(scene->resolv_conf);
        g_free(scene->resolv_conf);
}

static int client_of(const Scene *scene, int type) {
        uint16_t any = 0;
        struct sockaddr_in name = { .sin_family = AF_INET, .sin_port = htons(scene->port) };
        int fd = socket_on("127.0.0.1", type, &any);
        inet_pton(AF_INET, "127.0.0.1", &name.sin_addr);
        g_assert_cmpint(connect(fd, (struct sockaddr *) &name, sizeof name), ==, 0);
        return fd;
}

/* Takes a query and gives this back for it. */
static void answer_once(int resolver, const void *answer, size_t length) {
        struct sockaddr_storage peer;
        socklen_t peer_length = sizeof peer;
        unsigned char buffer[512];
        ssize_t got = recvfrom(resolver, buffer, sizeof buffer, 0, (struct sockaddr *) &peer,
                               &peer_length);
        g_assert_cmpmem(buffer, (size_t) MAX(got, 0), QUERY, QUERY_LENGTH);
        sendto(resolver, answer, length, 0, (struct sockaddr *) &peer, peer_length);
}

static const char ANSWER[] = "\x12\x34\x81\x80\x00\x01\x00\x00\x00\x00\x00\x00 whatever it is";

static void assert_receives(int fd, const char *expect, size_t length) {
        unsigned char buffer[512];
        ssize_t got = recv(fd, buffer, sizeof buffer, 0);
        g_assert_cmpmem(buffer, (size_t) MAX(got, 0), expect, length);
}

static void a_query_is_handed_to_the_resolver_and_its_answer_back(void) {
        Scene scene = { 0 };
        uint16_t port = 0;
        autofd resolver = socket_on("127.0.0.2", SOCK_DGRAM, &port);
        scene_open(&scene, "nameserver 127.0.0.2\n", port, 0);
        autofd client = client_of(&scene, SOCK_DGRAM);
        send(client, QUERY, QUERY_LENGTH, 0);
        answer_once(resolver, ANSWER, sizeof ANSWER);
        assert_receives(client, ANSWER, sizeof ANSWER);
        scene_close(&scene);
}

static void the_next_resolver_is_asked_when_one_is_silent_or_not_there(void) {
        Scene scene = { 0 };
        uint16_t port = 0;
        autofd silent = socket_on("127.0.0.2", SOCK_DGRAM, &port);
        autofd resolver = socket_on("127.0.0.4", SOCK_DGRAM, &port);
        scene_open(&scene, "nameserver 127.0.0.3\nnameserver 127.0.0.2\nnameserver 127.0.0.4\n",
                   port, 50 * DURATION_MILLISECOND);
        autofd client = client_of(&scene, SOCK_DGRAM);
        send(client, QUERY, QUERY_LENGTH, 0);
        answer_once(resolver, ANSWER, sizeof ANSWER);
        assert_receives(client, ANSWER, sizeof ANSWER);
        scene_close(&scene);
}

static void a_strangers_answer_is_passed_over(void) {
        Scene scene = { 0 };
        uint16_t port = 0;
        autofd resolver = socket_on("127.0.0.2", SOCK_DGRAM, &port);
        scene_open(&scene, "nameserver 127.0.0.2\n", port, 0);
        autofd client = client_of(&scene, SOCK_DGRAM);
        struct sockaddr_storage peer;
        socklen_t length = sizeof peer;
        unsigned char buffer[512];
        send(client, QUERY, QUERY_LENGTH, 0);
        recvfrom(resolver, buffer, sizeof buffer, 0, (struct sockaddr *) &peer, &length);
        sendto(resolver, "\x66\x66\x81\x80\0\0\0\0\0\0\0\0", 12, 0, (struct sockaddr *) &peer,
               length);
        sendto(resolver, ANSWER, sizeof ANSWER, 0, (struct sockaddr *) &peer, length);
        assert_receives(client, ANSWER, sizeof ANSWER);
        scene_close(&scene);
}

static void without_an_answer_the_client_is_told_of_a_failure(void) {
        static const char *const servers[] = { "", "nameserver 127.0.0.2\n" };
        unsigned char failure[QUERY_LENGTH];
        size_t length = dns_failure(BYTES(QUERY), failure);
        for (size_t i = 0; i < G_N_ELEMENTS(servers); i++) {
                Scene scene = { 0 };
                uint16_t port = 0;
                autofd silent = socket_on("127.0.0.2", SOCK_DGRAM, &port);
                scene_open(&scene, servers[i], port, 20 * DURATION_MILLISECOND);
                autofd client = client_of(&scene, SOCK_DGRAM);
                send(client, QUERY, QUERY_LENGTH, 0);
                assert_receives(client, (const char *) failure, length);
                scene_close(&scene);
        }
}

typedef struct {
        int listener;
} Resolver;

static void serve_stream(void *data) {
        Resolver *resolver = data;
        autofd connection = accept4(resolver->listener, NULL, NULL, SOCK_CLOEXEC);
        unsigned char buffer[512];
        ssize_t got = recv(connection, buffer, QUERY_LENGTH + 2, MSG_WAITALL);
        g_assert_cmpmem(buffer + 2, (size_t) MAX(got - 2, 0), QUERY, QUERY_LENGTH);
        unsigned char reply[2 + sizeof ANSWER] = { 0, sizeof ANSWER };
        memcpy(reply + 2, ANSWER, sizeof ANSWER);
        g_assert_cmpint(send(connection, reply, sizeof reply, 0), ==, (int) sizeof reply);
}

static void long_answers_are_asked_for_over_tcp(void) {
        Scene scene = { 0 };
        uint16_t port = 0;
        Resolver resolver = { socket_on("127.0.0.2", SOCK_STREAM, &port) };
        g_assert_cmpint(listen(resolver.listener, 4), ==, 0);
        scene_open(&scene, "nameserver 127.0.0.3\nnameserver 127.0.0.2\n", port, 0);
        Thread *thread = thread_start("resolver", serve_stream, &resolver);
        autofd client = client_of(&scene, SOCK_STREAM);
        unsigned char query[2 + QUERY_LENGTH] = { 0, QUERY_LENGTH }, buffer[512];
        memcpy(query + 2, QUERY, QUERY_LENGTH);
        g_assert_cmpint(send(client, query, sizeof query, 0), ==, (int) sizeof query);
        ssize_t got = recv(client, buffer, 2 + sizeof ANSWER, MSG_WAITALL);
        g_assert_cmpint(got, ==, (int) (2 + sizeof ANSWER));
        g_assert_cmpmem(buffer + 2, sizeof ANSWER, ANSWER, sizeof ANSWER);
        thread_join(thread);
        fd_close(resolver.listener);
        scene_close(&scene);
}

int main(int argc, char **argv) {
        g_test_init(&argc, &argv, NULL);
        g_test_add_func("/dns/query", whole_queries_of_one_question_are_taken);
        g_test_add_func("/dns/answer", an_answer_is_told_by_its_id);
        g_test_add_func("/dns/failure", a_failure_repeats_the_question);
        g_test_add_func("/dns/servers", the_servers_of_a_resolv_conf_are_found);
        g_test_add_func("/dns/proxy", a_query_is_handed_to_the_resolver_and_its_answer_back);
        g_test_add_func("/dns/proxy/next",
                        the_next_resolver_is_asked_when_one_is_silent_or_not_there);
        g_test_add_func("/dns/proxy/stranger", a_strangers_answer_is_passed_over);
        g_test_add_func("/dns/proxy/failure", without_an_answer_the_client_is_told_of_a_failure);
        g_test_add_func("/dns/proxy/tcp", long_answers_are_asked_for_over_tcp);
        return g_test_run();
}
