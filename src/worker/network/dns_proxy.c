#include "worker/network/dns_proxy.h"

#include "base/files.h"
#include "base/log.h"
#include "base/thread.h"
#include "worker/network/dns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PORT 53
#define PATIENCE (2 * DURATION_SECOND)
#define RESOLV_CONF "/etc/resolv.conf"
#define RESOLV_CONF_MAX ((size_t) 64 * 1024)
#define LISTENERS_MAX 2
#define QUERIES_MAX 256    /* on their way; who asks more asks again */
#define QUERIES_EACH 64    /* of one container */
#define CONNECTIONS_MAX 16 /* of TCP at once; the next wait for their turn */
#define CONNECTION_IDLE (10 * DURATION_SECOND)
#define BACKLOG 64
#define WAIT_MAX_MILLISECONDS 60000

typedef struct {
        struct sockaddr_storage name;
        socklen_t length;
} Address;

/* A query of UDP that some resolver is thinking about. */
typedef struct {
        int fd;       /* connected to that resolver */
        int listener; /* it came in by */
        Address client;
        unsigned char *bytes;
        size_t length;
        size_t server; /* which of them is asked now */
        Duration deadline;
} Query;

struct DnsProxy {
        int datagrams[LISTENERS_MAX], streams[LISTENERS_MAX];
        size_t listener_count;
        char *resolv_conf, *server_port;
        Duration patience;
        Cancel *cancel;
        Thread *thread;
        ThreadPool *pool;
        GArray *queries; /* of Query; the thread's */
};

/* ---- addresses ---- */

static bool address_parse(const char *text, const char *port, Address *ret) {
        const struct addrinfo hints = { .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
                                        .ai_socktype = SOCK_DGRAM };
        struct addrinfo *found;
        if (getaddrinfo(text, port, &hints, &found) != 0)
                return false;
        memcpy(&ret->name, found->ai_addr, found->ai_addrlen);
        ret->length = found->ai_addrlen;
        freeaddrinfo(found);
        return true;
}

/* Of this moment: a host's resolvers come and go with its networks. Returns new, of Address. */
static GArray *resolvers(const DnsProxy *proxy) {
        GArray *list = g_array_new(false, true, sizeof(Address));
        g_autofree char *text = file_read(proxy->resolv_conf, RESOLV_CONF_MAX, NULL, NULL);
        g_autoptr(GPtrArray) servers = dns_servers_parse(text ? text : "");
        for (guint i = 0; i < servers->len; i++) {
                Address address = { 0 };
                if (address_parse(servers->pdata[i], proxy->server_port, &address))
                        g_array_append_val(list, address);
        }
        return list;
}

static int connect_to(const Address *server, int type) {
        int fd = socket(server->name.ss_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd >= 0 && connect(fd, (const struct sockaddr *) &server->name, server->length) < 0 &&
            errno != EINPROGRESS)
                fd_close(fd_steal(&fd));
        return fd;
}

/* ---- datagrams; the proxy's thread ---- */

static void query_clear(void *data) {
        Query *query = data;
        fd_close(query->fd);
        g_free(query->bytes);
}

static void answer(const DnsProxy *proxy, const Query *query, const void *bytes, size_t length) {
        (void) sendto(proxy->datagrams[query->listener], bytes, length, MSG_DONTWAIT,
                      (const struct sockaddr *) &query->client.name, query->client.length);
}

/* Sends it to the next resolver that takes it. false: there is none; the client was told. */
static bool ask_next(const DnsProxy *proxy, Query *query) {
        g_autoptr(GArray) servers = resolvers(proxy);
        for (; query->server < servers->len; query->server++) {
                const Address *server = &g_array_index(servers, Address, query->server);
                fd_close(fd_steal(&query->fd));
                query->fd = connect_to(server, SOCK_DGRAM);
                if (query->fd < 0 || send(query->fd, query->bytes, query->length, 0) < 0)
                        continue;
                query->server++;
                query->deadline = clock_monotonic() + proxy->patience;
                return true;
        }
        g_autofree unsigned char *failure = g_malloc(query->length);
        answer(proxy, query, failure, dns_failure(query->bytes, query->length, failure));
        return false;
}

static bool same_host(const Address *a, const Address *b) {
        if (a->name.ss_family != b->name.ss_family)
                return false;
        if (a->name.ss_family == AF_INET)
                return ((const struct sockaddr_in *) &a->name)->sin_addr.s_addr ==
                       ((const struct sockaddr_in *) &b->name)->sin_addr.s_addr;
        return memcmp(&((const struct sockaddr_in6 *) &a->name)->sin6_addr,
                      &((const struct sockaddr_in6 *) &b->name)->sin6_addr,
                      sizeof(struct in6_addr)) == 0;
}

static bool has_room(const DnsProxy *proxy, const Address *client) {
        size_t count = 0;
        for (guint i = 0; i < proxy->queries->len; i++)
                if (same_host(&g_array_index(proxy->queries, Query, i).client, client))
                        count++;
        return proxy->queries->len < QUERIES_MAX && count < QUERIES_EACH;
}

static void take_query(DnsProxy *proxy, int listener) {
        unsigned char buffer[DNS_MESSAGE_MAX];
        Query query = { .fd = -1, .listener = listener };
        query.client.length = sizeof query.client.name;
        ssize_t length = recvfrom(proxy->datagrams[listener], buffer, sizeof buffer, MSG_DONTWAIT,
                                  (struct sockaddr *) &query.client.name, &query.client.length);
        if (length <= 0 || !has_room(proxy, &query.client) ||
            !dns_is_query(buffer, (size_t) length))
                return;
        query.length = (size_t) length;
        query.bytes = g_memdup2(buffer, query.length);
        if (ask_next(proxy, &query))
                g_array_append_val(proxy->queries, query);
        else
                query_clear(&query);
}

/* Whether the query is over. */
static bool go_on(const DnsProxy *proxy, Query *query, short events) {
        unsigned char buffer[DNS_MESSAGE_MAX];
        if (events) {
                ssize_t length = recv(query->fd, buffer, sizeof buffer, MSG_DONTWAIT);
                if (length > 0 &&
                    dns_is_answer(query->bytes, query->length, buffer, (size_t) length)) {
                        answer(proxy, query, buffer, (size_t) length);
                        return true;
                }
                if (length < 0 && errno != EAGAIN) /* nobody listens there */
                        return !ask_next(proxy, query);
        }
        return clock_monotonic() >= query->deadline && !ask_next(proxy, query);
}

/* ---- connections; threads of the pool ---- */

typedef struct {
        DnsProxy *proxy;
        int client;
} Connection;

static bool receive_whole(int fd, unsigned char *ret, size_t length, Cancel *cancel) {
        Duration deadline = clock_monotonic() + CONNECTION_IDLE;
        for (size_t got = 0; got < length;) {
                ssize_t count = recv(fd, ret + got, length - got, MSG_DONTWAIT);
                if (count > 0)
                        got += (size_t) count;
                else if (count == 0 || errno != EAGAIN ||
                         !cancel_poll(cancel, fd, POLLIN, deadline, NULL))
                        return false;
        }
        return true;
}

static bool send_whole(int fd, const unsigned char *bytes, size_t length, Cancel *cancel) {
        Duration deadline = clock_monotonic() + CONNECTION_IDLE;
        for (size_t sent = 0; sent < length;) {
                ssize_t count = send(fd, bytes + sent, length - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
                if (count > 0)
                        sent += (size_t) count;
                else if (errno != EAGAIN || !cancel_poll(cancel, fd, POLLOUT, deadline, NULL))
                        return false;
        }
        return true;
}

/* A message behind its length in two bytes, which stay in front of it. Returns the length of both; 0: none came. */
static size_t receive_message(int fd, unsigned char *ret, Cancel *cancel) {
        if (!receive_whole(fd, ret, 2, cancel))
                return 0;
        size_t length = (size_t) ret[0] << 8 | ret[1];
        return receive_whole(fd, ret + 2, length, cancel) ? length + 2 : 0;
}

/* Asks one resolver; returns the length of its answer in ret, or 0. */
static size_t exchange(const DnsProxy *proxy, const Address *server, const unsigned char *query,
                       size_t length, unsigned char *ret) {
        autofd fd = connect_to(server, SOCK_STREAM);
        if (fd < 0 ||
            !cancel_poll(proxy->cancel, fd, POLLOUT, clock_monotonic() + proxy->patience, NULL) ||
            !send_whole(fd, query, length, proxy->cancel))
                return 0;
        size_t got = receive_message(fd, ret, proxy->cancel);
        return got > 2 && dns_is_answer(query + 2, length - 2, ret + 2, got - 2) ? got : 0;
}

static size_t exchange_any(const DnsProxy *proxy, const unsigned char *query, size_t length,
                           unsigned char *ret) {
        g_autoptr(GArray) servers = resolvers(proxy);
        for (guint i = 0; i < servers->len && !cancel_fired(proxy->cancel); i++) {
                size_t got = exchange(proxy, &g_array_index(servers, Address, i), query, length,
                                      ret);
                if (got)
                        return got;
        }
        size_t failed = dns_failure(query + 2, length - 2, ret + 2);
        ret[0] = (unsigned char) (failed >> 8);
        ret[1] = (unsigned char) failed;
        return failed + 2;
}

static void serve_connection(void *data) {
        Connection *connection = data;
        const DnsProxy *proxy = connection->proxy;
        g_autofree unsigned char *query = g_malloc(DNS_MESSAGE_MAX + 2);
        g_autofree unsigned char *reply = g_malloc(DNS_MESSAGE_MAX + 2);
        size_t length;
        while ((length = receive_message(connection->client, query, proxy->cancel)) > 2 &&
               dns_is_query(query + 2, length - 2)) {
                size_t got = exchange_any(proxy, query, length, reply);
                if (!send_whole(connection->client, reply, got, proxy->cancel))
                        break;
        }
        fd_close(connection->client);
        g_free(connection);
}

static void take_connection(DnsProxy *proxy, int listener) {
        int client = accept4(proxy->streams[listener], NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (client < 0)
                return;
        if (thread_pool_waiting(proxy->pool) >= BACKLOG) {
                fd_close(client);
                return;
        }
        Connection *connection = g_new0(Connection, 1);
        *connection = (Connection){ proxy, client };
        thread_pool_push(proxy->pool, serve_connection, connection);
}

/* ---- the loop ---- */

static int next_wait(const DnsProxy *proxy) {
        Duration now = clock_monotonic(),
                 until = now + WAIT_MAX_MILLISECONDS * DURATION_MILLISECOND;
        for (guint i = 0; i < proxy->queries->len; i++)
                until = MIN(until, g_array_index(proxy->queries, Query, i).deadline);
        return (int) (MAX(until - now, 0) / DURATION_MILLISECOND) + 1;
}

static void turn(DnsProxy *proxy) {
        struct pollfd polls[1 + 2 * LISTENERS_MAX + QUERIES_MAX];
        size_t count = 0, asked = proxy->queries->len;

        polls[count++] = (struct pollfd){ .fd = cancel_fd(proxy->cancel), .events = POLLIN };
        for (size_t i = 0; i < proxy->listener_count; i++) {
                polls[count++] = (struct pollfd){ .fd = proxy->datagrams[i], .events = POLLIN };
                polls[count++] = (struct pollfd){ .fd = proxy->streams[i], .events = POLLIN };
        }
        struct pollfd *waiting = polls + count;
        for (size_t i = 0; i < asked; i++)
                polls[count++] = (struct pollfd){ .fd = g_array_index(proxy->queries, Query, i).fd,
                                                  .events = POLLIN };
        if (poll(polls, count, next_wait(proxy)) < 0)
                return;
        for (size_t i = asked; i-- > 0;)
                if (go_on(proxy, &g_array_index(proxy->queries, Query, i), waiting[i].revents))
                        g_array_remove_index_fast(proxy->queries, (guint) i);
        for (size_t i = 0; i < proxy->listener_count; i++) {
                if (polls[1 + 2 * i].revents)
                        take_query(proxy, (int) i);
                if (polls[2 + 2 * i].revents)
                        take_connection(proxy, (int) i);
        }
}

static void run(void *data) {
        DnsProxy *proxy = data;
        while (!cancel_fired(proxy->cancel))
                turn(proxy);
}

static int listen_on(const Address *address, int type) {
        int one = 1, fd = socket(address->name.ss_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd >= 0 && (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) < 0 ||
                        bind(fd, (const struct sockaddr *) &address->name, address->length) < 0 ||
                        (type == SOCK_STREAM && listen(fd, BACKLOG) < 0)))
                fd_close(fd_steal(&fd));
        return fd;
}

static bool open_listeners(DnsProxy *proxy, const DnsProxySpec *spec, GError **error) {
        g_autofree char *port = g_strdup_printf("%u", spec->port ? spec->port : PORT);
        for (size_t i = 0; spec->addresses[i]; i++) {
                Address address = { 0 };
                g_assert(i < LISTENERS_MAX && address_parse(spec->addresses[i], port, &address));
                proxy->listener_count++;
                proxy->datagrams[i] = listen_on(&address, SOCK_DGRAM);
                proxy->streams[i] = proxy->datagrams[i] >= 0 ? listen_on(&address, SOCK_STREAM)
                                                             : -1;
                if (proxy->streams[i] < 0) {
                        error_set_errno(error, errno, "failed to listen for DNS on %s port %s",
                                        spec->addresses[i], port);
                        return false;
                }
        }
        return true;
}

DnsProxy *dns_proxy_start(const DnsProxySpec *spec, GError **error) {
        g_autoptr(DnsProxy) proxy = g_new0(DnsProxy, 1);
        for (size_t i = 0; i < LISTENERS_MAX; i++)
                proxy->datagrams[i] = proxy->streams[i] = -1;
        proxy->resolv_conf = g_strdup(spec->resolv_conf ? spec->resolv_conf : RESOLV_CONF);
        proxy->server_port = g_strdup_printf("%u", spec->server_port ? spec->server_port : PORT);
        proxy->patience = spec->patience ? spec->patience : PATIENCE;
        proxy->cancel = cancel_new(NULL);
        proxy->queries = g_array_new(false, true, sizeof(Query));
        g_array_set_clear_func(proxy->queries, query_clear);
        if (!open_listeners(proxy, spec, error))
                return NULL;
        proxy->pool = thread_pool_new("dns", CONNECTIONS_MAX);
        proxy->thread = thread_start("dns", run, proxy);
        return g_steal_pointer(&proxy);
}

void dns_proxy_stop(DnsProxy *proxy) {
        if (!proxy)
                return;
        cancel_fire(proxy->cancel, CANCEL_SHUTDOWN);
        thread_join(proxy->thread);
        if (proxy->pool)
                thread_pool_free(proxy->pool);
        g_array_unref(proxy->queries);
        for (size_t i = 0; i < LISTENERS_MAX; i++) {
                fd_close(proxy->datagrams[i]);
                fd_close(proxy->streams[i]);
        }
        cancel_free(proxy->cancel);
        g_free(proxy->resolv_conf);
        g_free(proxy->server_port);
        g_free(proxy);
}
