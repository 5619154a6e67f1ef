/* The listener and new connections. */
#include "base/files.h"
#include "http/server/internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 1024
#define ACCEPT_AT_ONCE 64 /* then the others have a turn */

typedef union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_un local;
        struct sockaddr_storage storage;
} Address;

/* ---- listening ---- */

static bool address_parse(const char *text, uint16_t port, Address *ret, socklen_t *ret_length) {
        *ret = (Address){ 0 };
        if (inet_pton(AF_INET, text, &ret->v4.sin_addr) == 1) {
                ret->v4.sin_family = AF_INET;
                ret->v4.sin_port = htons(port);
                *ret_length = sizeof ret->v4;
                return true;
        }
        if (inet_pton(AF_INET6, text, &ret->v6.sin6_addr) == 1) {
                ret->v6.sin6_family = AF_INET6;
                ret->v6.sin6_port = htons(port);
                *ret_length = sizeof ret->v6;
                return true;
        }
        return false;
}

/* Worded as Go words it, which scripts around Concourse look for. */
static void set_listen_error(GError **error, const char *what, const char *verb, int number) {
        g_autofree char *reason = g_strdup(strerror(number));
        reason[0] = g_ascii_tolower(reason[0]);
        int code = number == EADDRINUSE                  ? ERROR_EXISTS
                   : number == EACCES || number == EPERM ? ERROR_DENIED
                                                         : ERROR_IO;
        g_set_error(error, ERROR, code, "listen %s: %s: %s", what, verb, reason);
}

static bool listen_on(HttpServer *server, const Address *address, socklen_t length,
                      const char *what, GError **error) {
        int on = 1, off = 0;
        autofd fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0) {
                set_listen_error(error, what, "socket", errno);
                return false;
        }
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        if (address->any.sa_family == AF_INET6)
                setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
        if (address->any.sa_family == AF_UNIX)
                fchmod(fd, (mode_t) server->spec.unix_mode); /* the file is never more open */
        if (bind(fd, &address->any, length) < 0 || listen(fd, BACKLOG) < 0) {
                set_listen_error(error, what, "bind", errno);
                return false;
        }
        server->listener = fd_steal(&fd);
        return true;
}

/* A socket file nobody listens on any more is left over from a crash. */
static void remove_stale(const Address *address, socklen_t length) {
        struct stat status;
        autofd fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (lstat(address->local.sun_path, &status) == 0 && S_ISSOCK(status.st_mode) &&
            connect(fd, &address->any, length) < 0 && errno == ECONNREFUSED)
                unlink(address->local.sun_path);
}

static bool listen_unix(HttpServer *server, GError **error) {
        const char *path = server->spec.unix_path;
        g_autofree char *what = g_strconcat("unix ", path, NULL);
        Address address = { .local.sun_family = AF_UNIX };
        if (strlen(path) >= sizeof address.local.sun_path) {
                g_set_error(error, ERROR, ERROR_INVALID, "listen %s: bind: path is too long", what);
                return false;
        }
        g_strlcpy(address.local.sun_path, path, sizeof address.local.sun_path);
        remove_stale(&address, sizeof address.local);
        if (!listen_on(server, &address, sizeof address.local, what, error))
                return false;
        chmod(path, (mode_t) server->spec.unix_mode);
        return true;
}

static bool listen_tcp(HttpServer *server, GError **error) {
        const char *text = server->spec.address ? server->spec.address : "127.0.0.1";
        bool v6 = strchr(text, ':');
        g_autofree char *what = g_strdup_printf(v6 ? "tcp [%s]:%u" : "tcp %s:%u", text,
                                                (unsigned) server->spec.port);
        Address address;
        socklen_t length;
        if (!address_parse(text, server->spec.port, &address, &length)) {
                g_set_error(error, ERROR, ERROR_INVALID, "listen %s: not an IP address", what);
                return false;
        }
        return listen_on(server, &address, length, what, error);
}

bool server_listen(HttpServer *server, GError **error) {
        if (server->spec.listener > 0) {
                server->listener = server->spec.listener;
                fcntl(server->listener, F_SETFD, FD_CLOEXEC);
                fcntl(server->listener, F_SETFL, O_NONBLOCK);
        } else if (server->spec.unix_path ? !listen_unix(server, error)
                                          : !listen_tcp(server, error))
                return false;
        Address address = { 0 };
        socklen_t length = sizeof address;
        getsockname(server->listener, &address.any, &length);
        server->port = address.any.sa_family == AF_INET    ? ntohs(address.v4.sin_port)
                       : address.any.sa_family == AF_INET6 ? ntohs(address.v6.sin6_port)
                                                           : 0;
        return true;
}

void server_accept_watch(HttpServer *server, bool watch) {
        struct epoll_event event = { .events = EPOLLIN, .data.ptr = &server->listener };
        if (server->listener < 0 || server->accepting == watch)
                return;
        server->accepting = watch;
        epoll_ctl(server->epoll, watch ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, server->listener, &event);
}

/* ---- accepting ---- */

static char *peer_text(const Address *address) {
        char text[INET6_ADDRSTRLEN] = "";
        if (address->any.sa_family == AF_INET) {
                inet_ntop(AF_INET, &address->v4.sin_addr, text, sizeof text);
                return g_strdup_printf("%s:%u", text, (unsigned) ntohs(address->v4.sin_port));
        }
        if (address->any.sa_family != AF_INET6)
                return g_strdup("");
        unsigned port = ntohs(address->v6.sin6_port);
        if (IN6_IS_ADDR_V4MAPPED(&address->v6.sin6_addr)) {
                inet_ntop(AF_INET, &address->v6.sin6_addr.s6_addr[12], text, sizeof text);
                return g_strdup_printf("%s:%u", text, port);
        }
        inet_ntop(AF_INET6, &address->v6.sin6_addr, text, sizeof text);
        return g_strdup_printf("[%s]:%u", text, port);
}

/* As much of an answer as fits into an empty socket buffer, which this one always does. */
static void turn_away(HttpServer *server, int fd) {
        static const char answer[] = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n"
                                     "Connection: close\r\n\r\n";
        send(fd, answer, sizeof answer - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
        shutdown(fd, SHUT_WR);
        char rest[4096]; /* unread bytes would turn the close into a reset, and lose the answer */
        while (recv(fd, rest, sizeof rest, MSG_DONTWAIT) > 0)
                ;
        close(fd);
        atomic_add(&server->refused, 1);
}

/* No descriptors left: the spare one answers who waits, then the listener rests. */
static void accept_exhausted(HttpServer *server) {
        fd_close(fd_steal(&server->spare));
        int fd = accept4(server->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0)
                turn_away(server, fd);
        server->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
        server_accept_watch(server, false);
        wheel_set(&server->wheel, &server->accept_timer, clock_monotonic() + ACCEPT_PAUSE);
}

/* Counts the address; returns false when it has too many connections. */
static bool address_admit(HttpServer *server, const char *peer) {
        const char *colon = strrchr(peer, ':');
        if (!server->addresses || !colon)
                return true;
        g_autofree char *address = g_strndup(peer, (size_t) (colon - peer));
        size_t count = GPOINTER_TO_SIZE(g_hash_table_lookup(server->addresses, address));
        if (count >= server->spec.connections_max_per_address)
                return false;
        g_hash_table_insert(server->addresses, g_steal_pointer(&address),
                            GSIZE_TO_POINTER(count + 1));
        return true;
}

static void admit(HttpServer *server, int fd, const Address *address) {
        g_autofree char *peer = peer_text(address);
        int on = 1;
        atomic_add(&server->accepted, 1);
        if (server->connections_length >= server->spec.connections_max ||
            !address_admit(server, peer)) {
                turn_away(server, fd);
                return;
        }
        if (address->any.sa_family != AF_UNIX)
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        connection_open(server, fd, g_steal_pointer(&peer));
}

void server_accept(HttpServer *server) {
        for (int i = 0; i < ACCEPT_AT_ONCE && server->listener >= 0; i++) {
                Address address = { 0 };
                socklen_t length = sizeof address;
                int fd = accept4(server->listener, &address.any, &length,
                                 SOCK_NONBLOCK | SOCK_CLOEXEC);
                if (fd >= 0)
                        admit(server, fd, &address);
                else if (errno == EMFILE || errno == ENFILE || errno == ENOMEM ||
                         errno == ENOBUFS) {
                        accept_exhausted(server);
                        return;
                } else if (errno == EAGAIN || errno == EINVAL || errno == EBADF)
                        return;
                /* the rest concerns one connection that is gone already */
        }
}
