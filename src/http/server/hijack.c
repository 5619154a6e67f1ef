/* The raw connection, in its handler's hands. */
#include "base/files.h"
#include "http/server/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct HttpSocket {
        Connection *connection; /* a reference */
        int fd;                 /* the connection's, for short */
        GByteArray *rest;       /* read by the loop, not yet by us */
        size_t rest_used;
        Duration patience; /* of a write */
};

/* A connection that was closed before it could be handed over looks like one that ends now. */
static int ended_descriptor(void) {
        int pair[2] = { -1, -1 };
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0)
                close(pair[1]);
        return pair[0];
}

HttpSocket *http_hijack(HttpRequest *request, int status, const char *content_type) {
        Connection *connection = request->connection;
        g_autoptr(GString) head = g_string_new(NULL);
        g_assert(request->answered == 0);
        request->answered = status;
        request->taken = true;
        g_string_printf(head, "HTTP/1.1 %d %s\r\n", status, http_status_text(status));
        answer_head_fields(request, head, content_type);
        g_string_append(head, "\r\n");
        mutex_lock(&connection->mutex);
        connection_append(connection, head->str, head->len, false);
        connection->exchange.hijack_wanted = true;
        mutex_unlock(&connection->mutex);
        connection_schedule(connection);

        HttpSocket *socket = g_new0(HttpSocket, 1);
        socket->connection = connection_ref(connection);
        socket->patience = connection->server->spec.progress_timeout;
        mutex_lock(&connection->mutex);
        while (!connection->hijacked && !connection->closed)
                condition_wait(&connection->changed, &connection->mutex);
        if (!connection->hijacked)
                connection->fd = ended_descriptor();
        socket->fd = connection->fd;
        socket->rest = g_steal_pointer(&connection->rest);
        mutex_unlock(&connection->mutex);
        fcntl(socket->fd, F_SETFL, fcntl(socket->fd, F_GETFL) & ~O_NONBLOCK);
        return socket;
}

void http_socket_free(HttpSocket *socket) {
        if (!socket)
                return;
        Connection *connection = socket->connection;
        mutex_lock(&connection->mutex);
        fd_close(fd_steal(&connection->fd));
        connection->released = true;
        mutex_unlock(&connection->mutex);
        connection_schedule(connection);
        if (socket->rest)
                g_byte_array_unref(socket->rest);
        connection_free(connection);
        g_free(socket);
}

void http_socket_set_patience(HttpSocket *socket, Duration patience) {
        socket->patience = patience;
}

int http_socket_fd(HttpSocket *socket) {
        return socket->fd;
}

size_t http_socket_pending(HttpSocket *socket) {
        return socket->rest ? socket->rest->len - socket->rest_used : 0;
}

static size_t take_rest(HttpSocket *socket, void *ret, size_t length) {
        size_t count = MIN(length, http_socket_pending(socket));
        memcpy(ret, socket->rest->data + socket->rest_used, count);
        socket->rest_used += count;
        if (http_socket_pending(socket) == 0)
                g_byte_array_unref(g_steal_pointer(&socket->rest));
        return count;
}

ssize_t http_socket_read(HttpSocket *socket, void *ret, size_t length, Cancel *cancel,
                         GError **error) {
        if (http_socket_pending(socket) > 0)
                return (ssize_t) take_rest(socket, ret, length);
        for (;;) {
                if (!cancel_check(cancel, error))
                        return -1;
                ssize_t count = recv(socket->fd, ret, length, MSG_DONTWAIT);
                if (count >= 0)
                        return count;
                if (errno != EAGAIN && errno != EINTR) {
                        g_set_error(error, ERROR, ERROR_UNAVAILABLE, "read from client: %s",
                                    g_strerror(errno));
                        return -1;
                }
                if (!cancel_poll(cancel, socket->fd, POLLIN, DURATION_NEVER, error))
                        return -1;
        }
}

bool http_socket_write(HttpSocket *socket, const void *data, size_t length, Cancel *cancel,
                       GError **error) {
        bool patient = socket->patience == DURATION_NEVER;
        const char *bytes = data;
        while (length > 0) {
                if (!cancel_check(cancel, error))
                        return false;
                ssize_t count = send(socket->fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
                if (count > 0) {
                        bytes += count;
                        length -= (size_t) count;
                } else if (errno != EAGAIN && errno != EINTR) {
                        g_set_error(error, ERROR, ERROR_UNAVAILABLE, "write to client: %s",
                                    g_strerror(errno));
                        return false;
                } else if (!cancel_poll(cancel, socket->fd, POLLOUT,
                                        patient ? DURATION_NEVER
                                                : clock_monotonic() + socket->patience,
                                        error))
                        return false;
        }
        return true;
}
