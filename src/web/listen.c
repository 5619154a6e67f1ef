#include "web/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 1024
#define PORT_MAX 65535

typedef union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
} Address;

static bool address_set(const char *text, uint16_t port, Address *ret) {
        *ret = (Address){ 0 };
        if (inet_pton(AF_INET, text, &ret->v4.sin_addr) == 1) {
                ret->v4.sin_family = AF_INET;
                ret->v4.sin_port = htons(port);
                return true;
        }
        if (inet_pton(AF_INET6, text, &ret->v6.sin6_addr) == 1) {
                ret->v6.sin6_family = AF_INET6;
                ret->v6.sin6_port = htons(port);
                return true;
        }
        return false;
}

/* Worded as Go words it, which scripts around Concourse look for. */
static void set_listen_error(GError **error, const char *what, int number) {
        g_autofree char *reason = g_strdup(strerror(number));
        int code = number == EADDRINUSE ? ERROR_EXISTS : number == EACCES ? ERROR_DENIED : ERROR_IO;

        reason[0] = g_ascii_tolower(reason[0]);
        g_set_error(error, ERROR, code, "listen %s: bind: %s", what, reason);
}

char *listen_name(const char *address, int64_t port) {
        return g_strdup_printf(strchr(address, ':') ? "[%s]:%d" : "%s:%d", address, (int) port);
}

int listen_open(const char *address, int64_t port, uint16_t *ret_port, GError **error) {
        int on = 1, off = 0;
        Address bound;

        if (port < 0 || port > PORT_MAX) {
                g_set_error(error, ERROR, ERROR_INVALID,
                            "listen tcp: address %" G_GINT64_FORMAT ": invalid port", port);
                return -1;
        }
        g_autofree char *name = listen_name(address, port);
        g_autofree char *what = g_strconcat("tcp ", name, NULL);
        if (!address_set(address, (uint16_t) port, &bound)) {
                g_set_error(error, ERROR, ERROR_INVALID, "listen %s: not an IP address", what);
                return -1;
        }
        bool v6 = bound.any.sa_family == AF_INET6;
        autofd fd = socket(bound.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd >= 0) {
                setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
                if (v6)
                        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
        }
        if (fd < 0 || bind(fd, &bound.any, v6 ? sizeof(bound.v6) : sizeof(bound.v4)) < 0 ||
            listen(fd, BACKLOG) < 0) {
                set_listen_error(error, what, errno);
                return -1;
        }
        if (!listen_port(fd, ret_port, error))
                return -1;
        return fd_steal(&fd);
}

bool listen_port(int fd, uint16_t *ret, GError **error) {
        Address bound = { 0 };
        socklen_t length = sizeof(bound);

        if (getsockname(fd, &bound.any, &length) < 0) {
                error_set_errno(error, errno, "listener %d", fd);
                return false;
        }
        if (bound.any.sa_family != AF_INET && bound.any.sa_family != AF_INET6) {
                g_set_error(error, ERROR, ERROR_INVALID, "listener %d: not a TCP socket", fd);
                return false;
        }
        *ret = ntohs(bound.any.sa_family == AF_INET ? bound.v4.sin_port : bound.v6.sin6_port);
        return true;
}

char *listen_url(const char *address, uint16_t port) {
        bool any = g_str_equal(address, "0.0.0.0") || g_str_equal(address, "::");
        g_autofree char *name = listen_name(any ? "127.0.0.1" : address, port);

        return g_strconcat("http://", name, NULL);
}
