/* From queued bytes to the socket. */
#include "http/server/internal.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define VECTORS 64
#define WRITES_AT_ONCE 16 /* then the others have a turn */

void connection_append(Connection *connection, const void *bytes, size_t length, bool framed) {
        if (connection->closed || length == 0)
                return;
        buffers_append(&connection->pending, bytes, length, framed);
        connection->queued += length;
        atomic_add(&connection->server->queued_bytes, length);
}

size_t connection_ceiling(const Connection *connection) {
        return atomic_get(&connection->server->queued_bytes) > OUTPUT_TOTAL_MAX ? OUTPUT_CROWDED
                                                                                : OUTPUT_MAX;
}

static bool chunk_under_way(const Connection *connection) {
        return connection->frame_sent < connection->frame_length || connection->chunk_left > 0 ||
               connection->frame_tail > 0;
}

bool connection_drained(Connection *connection) {
        mutex_lock(&connection->mutex);
        bool pending = connection->pending.first;
        mutex_unlock(&connection->mutex);
        return !pending && !connection->sending.first && !chunk_under_way(connection);
}

static void begin_chunk(Connection *connection) {
        connection->chunk_left = buffers_run(&connection->sending, CHUNK_MAX);
        connection->frame_length = (size_t) g_snprintf(connection->frame, sizeof connection->frame,
                                                       "%zx\r\n", connection->chunk_left);
        connection->frame_sent = 0;
        connection->frame_tail = 2;
}

static int gather(Connection *connection, struct iovec *vectors) {
        size_t length;
        if (!chunk_under_way(connection) && connection->sending.first->framed)
                begin_chunk(connection);
        if (!chunk_under_way(connection))
                return buffers_gather(&connection->sending,
                                      buffers_run(&connection->sending, 4 * CHUNK_MAX), vectors,
                                      VECTORS, &length);
        int count = 0;
        if (connection->frame_sent < connection->frame_length)
                vectors[count++] = (struct iovec){ connection->frame + connection->frame_sent,
                                                   connection->frame_length -
                                                           connection->frame_sent };
        count += buffers_gather(&connection->sending, connection->chunk_left, vectors + count,
                                VECTORS - 2, &length);
        if (length == connection->chunk_left)
                vectors[count++] = (struct iovec){ (char *) "\r\n" + 2 - connection->frame_tail,
                                                   connection->frame_tail };
        return count;
}

/* Takes off up to *left; returns how many bytes. */
static size_t take_off(size_t *left, size_t of) {
        size_t taken = MIN(*left, of);
        *left -= taken;
        return taken;
}

/* What was sent leaves the queue: frame, payload, tail; or raw bytes. */
static void sent(Connection *connection, size_t length) {
        size_t payload;
        if (chunk_under_way(connection)) {
                connection->frame_sent += take_off(&length, connection->frame_length -
                                                                    connection->frame_sent);
                payload = take_off(&length, connection->chunk_left);
                connection->chunk_left -= payload;
                connection->frame_tail -= take_off(&length, connection->frame_tail);
        } else
                payload = length;
        buffers_drop(&connection->sending, payload);
        mutex_lock(&connection->mutex);
        connection->queued -= payload;
        condition_broadcast(&connection->changed);
        mutex_unlock(&connection->mutex);
        atomic_sub(&connection->server->queued_bytes, payload);
}

static ssize_t send_some(Connection *connection) {
        struct iovec vectors[VECTORS];
        struct msghdr message = { .msg_iov = vectors };
        message.msg_iovlen = (size_t) gather(connection, vectors);
        return sendmsg(connection->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void connection_output(Connection *connection) {
        for (int i = 0; i < WRITES_AT_ONCE; i++) {
                mutex_lock(&connection->mutex);
                buffers_move(&connection->sending, &connection->pending);
                mutex_unlock(&connection->mutex);
                if (!connection->sending.first && !chunk_under_way(connection)) {
                        connection->write_deadline = DURATION_NEVER;
                        connection_settle(connection);
                        return;
                }
                ssize_t count = send_some(connection);
                if (count < 0 && errno != EAGAIN && errno != EINTR) {
                        connection_close(connection);
                        return;
                }
                if (count > 0)
                        sent(connection, (size_t) count);
                if (count > 0 || connection->write_deadline == DURATION_NEVER)
                        connection->write_deadline = clock_monotonic() +
                                                     connection->server->spec.progress_timeout;
                if (count < 0 && errno == EAGAIN)
                        return;
        }
}
