/* A connection's life in the loop: phases, deadlines, the end. */
#include "base/files.h"
#include "http/server/internal.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

Connection *connection_ref(Connection *connection) {
        atomic_add(&connection->references, 1);
        return connection;
}

static void exchange_clear(Exchange *exchange) {
        buffers_clear(&exchange->body);
        cancel_free(exchange->cancel);
        *exchange = (Exchange){ .body_state = BODY_WHOLE };
}

void connection_free(Connection *connection) {
        if (!connection || atomic_sub(&connection->references, 1) > 0)
                return;
        exchange_clear(&connection->exchange);
        buffers_clear(&connection->pending);
        buffers_clear(&connection->sending);
        head_scanner_clear(&connection->head);
        if (connection->rest)
                g_byte_array_unref(connection->rest);
        condition_destroy(&connection->changed);
        mutex_destroy(&connection->mutex);
        server_free(connection->server);
        g_free(connection->peer);
        g_free(connection);
}

void connection_open(HttpServer *server, int fd, char *peer) {
        Connection *connection = g_new0(Connection, 1);
        connection->references = 1;
        connection->server = server_ref(server);
        connection->fd = fd;
        connection->peer = peer;
        connection->exchange.body_state = BODY_WHOLE;
        connection->write_deadline = DURATION_NEVER;
        mutex_init(&connection->mutex);
        condition_init(&connection->changed);
        connection->next = server->connections_first;
        connection->link = &server->connections_first;
        if (connection->next)
                connection->next->link = &connection->next;
        server->connections_first = connection;
        server->connections_length++;
        atomic_add(&server->connections, 1);
        connection_phase(connection, PHASE_HEAD, server->spec.header_timeout);
        connection->events = EPOLLIN | EPOLLRDHUP;
        struct epoll_event event = { .events = connection->events, .data.ptr = connection };
        if (epoll_ctl(server->epoll, EPOLL_CTL_ADD, fd, &event) < 0)
                connection_close(connection);
        else
                connection_watch(connection);
}

void connection_phase(Connection *connection, Phase phase, Duration timeout) {
        connection->phase = phase;
        connection->phase_deadline = timeout == DURATION_NEVER ? DURATION_NEVER
                                                               : clock_monotonic() + timeout;
}

static bool in_loop(const Connection *connection) {
        return connection->phase != PHASE_CLOSED && connection->phase != PHASE_HIJACKED;
}

/* Level-triggered, so interest in input is given up only once it came unwanted: most requests cost
 * no system call here. */
static uint32_t wanted_events(Connection *connection, bool gone, bool paused) {
        uint32_t events = gone ? 0 : EPOLLRDHUP;
        if (connection->phase == PHASE_HEAD || connection->phase == PHASE_LINGER ||
            (connection->phase == PHASE_BODY && !paused))
                events |= EPOLLIN;
        if (connection->phase == PHASE_WAIT && !connection->muted)
                events |= connection->events & EPOLLIN;
        if (connection->write_deadline != DURATION_NEVER)
                events |= EPOLLOUT;
        return events;
}

void connection_watch(Connection *connection) {
        HttpServer *server = connection->server;
        if (!in_loop(connection))
                return;
        mutex_lock(&connection->mutex);
        bool gone = connection->gone, paused = connection->exchange.body_paused;
        mutex_unlock(&connection->mutex);
        uint32_t events = wanted_events(connection, gone, paused);
        if (events != connection->events) {
                struct epoll_event event = { .events = events, .data.ptr = connection };
                epoll_ctl(server->epoll, EPOLL_CTL_MOD, connection->fd, &event);
                connection->events = events;
        }
        wheel_set(&server->wheel, &connection->timer,
                  MIN(connection->phase_deadline, connection->write_deadline));
}

void connection_gone(Connection *connection, CancelReason reason) {
        mutex_lock(&connection->mutex);
        connection->gone = true;
        Cancel *cancel = connection->exchange.cancel ? cancel_ref(connection->exchange.cancel)
                                                     : NULL;
        mutex_unlock(&connection->mutex);
        if (cancel)
                cancel_fire(cancel, reason);
        cancel_free(cancel);
}

/* Under the mutex. */
static void drop_output(Connection *connection) {
        atomic_sub(&connection->server->queued_bytes, connection->queued);
        connection->queued = 0;
        buffers_clear(&connection->pending);
}

/* Under the mutex: ends what handlers and streams wait for. */
static void end_exchange(Connection *connection) {
        Exchange *exchange = &connection->exchange;
        connection->closed = true;
        drop_output(connection);
        if (exchange->body_state == BODY_OPEN)
                exchange->body_state = BODY_CUT;
        if (exchange->is_stream)
                atomic_sub(&connection->server->streams, 1);
        exchange->is_stream = false;
        condition_broadcast(&connection->changed);
}

static void leave_loop(Connection *connection) {
        epoll_ctl(connection->server->epoll, EPOLL_CTL_DEL, connection->fd, NULL);
        wheel_remove(&connection->timer);
}

/* The descriptor goes to the handler that waits for it. */
static void hand_over(Connection *connection) {
        leave_loop(connection);
        connection->phase = PHASE_HIJACKED;
        buffers_clear(&connection->sending);
        mutex_lock(&connection->mutex);
        drop_output(connection); /* there is some only when the peer is gone */
        connection->hijacked = true;
        condition_broadcast(&connection->changed);
        mutex_unlock(&connection->mutex);
}

void connection_close(Connection *connection) {
        if (!in_loop(connection))
                return;
        connection_gone(connection, CANCEL_ABORT);
        leave_loop(connection);
        mutex_lock(&connection->mutex);
        connection->phase = PHASE_CLOSED;
        end_exchange(connection);
        fd_close(fd_steal(&connection->fd));
        mutex_unlock(&connection->mutex);
        buffers_clear(&connection->sending);
        request_free(g_steal_pointer(&connection->gathered));
        server_forget(connection->server, connection);
}

/* A cut that nobody can take for an end: the peer gets a reset. */
static void cut(Connection *connection) {
        struct linger now = { .l_onoff = 1, .l_linger = 0 };
        setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
        connection_close(connection);
}

void connection_next(Connection *connection) {
        g_autoptr(GByteArray) rest = g_steal_pointer(&connection->rest);
        mutex_lock(&connection->mutex);
        Exchange done = connection->exchange;
        connection->exchange = (Exchange){ .body_state = BODY_WHOLE };
        mutex_unlock(&connection->mutex);
        exchange_clear(&done);
        connection->served = true;
        connection->muted = false;
        connection_phase(connection, PHASE_HEAD, connection->server->spec.idle_timeout);
        if (rest)
                connection_feed(connection, (const char *) rest->data, rest->len);
}

/* All is said: with FIN, not with a reset, which could overtake the answer. */
static void linger(Connection *connection) {
        shutdown(connection->fd, SHUT_WR);
        connection_phase(connection, PHASE_LINGER, LINGER_TIMEOUT);
}

void connection_settle(Connection *connection) {
        if (connection->phase != PHASE_BODY && connection->phase != PHASE_WAIT)
                return;
        mutex_lock(&connection->mutex);
        Exchange *exchange = &connection->exchange;
        bool done = exchange->handler_done && exchange->answer_done;
        bool close = exchange->must_close || atomic_get(&connection->server->state) > STATE_RUNNING;
        bool whole = exchange->body_state == BODY_WHOLE;
        bool abort = exchange->abort; /* may have come since the turn began */
        exchange->body_discarded |= done;
        if (done && exchange->body_paused) {
                exchange->body_paused = false;
                buffers_clear(&exchange->body);
        }
        mutex_unlock(&connection->mutex);
        if (!done)
                return;
        if (abort)
                cut(connection);
        else if (!close && whole)
                connection_next(connection);
        else if (close && connection_drained(connection))
                linger(connection);
}

void connection_turn(Connection *connection) {
        mutex_lock(&connection->mutex);
        Exchange *exchange = &connection->exchange;
        connection->scheduled = false;
        bool released = connection->released, abort = exchange->abort;
        bool wanted = exchange->hijack_wanted;
        bool resume = exchange->body_paused && exchange->body.length < INPUT_LOW;
        if (resume)
                exchange->body_paused = false;
        mutex_unlock(&connection->mutex);
        if (released)
                server_forget(connection->server, connection);
        if (!in_loop(connection))
                return;
        if (abort) {
                cut(connection);
                return;
        }
        if (resume)
                connection_phase(connection, PHASE_BODY, connection->server->spec.progress_timeout);
        connection_output(connection);
        if (wanted && in_loop(connection) && connection_drained(connection))
                hand_over(connection);
        connection_watch(connection);
}

static void peer_closed(Connection *connection) {
        connection_gone(connection, CANCEL_ABORT);
        mutex_lock(&connection->mutex);
        bool is_stream = connection->exchange.is_stream;
        mutex_unlock(&connection->mutex);
        if (is_stream)
                connection_close(connection);
}

/* Both directions are over. A handler that waits for the descriptor learns it from the descriptor. */
static void connection_broken(Connection *connection) {
        mutex_lock(&connection->mutex);
        bool wanted = connection->exchange.hijack_wanted;
        mutex_unlock(&connection->mutex);
        if (wanted)
                hand_over(connection);
        else
                connection_close(connection);
}

void connection_event(Connection *connection, uint32_t events) {
        connection_ref(connection);
        if (events & (EPOLLERR | EPOLLHUP))
                connection_broken(connection);
        if (events & EPOLLRDHUP && in_loop(connection))
                peer_closed(connection);
        if (events & EPOLLOUT && in_loop(connection))
                connection_turn(connection);
        if (events & EPOLLIN && in_loop(connection))
                connection_input(connection);
        connection_watch(connection);
        connection_free(connection);
}

static void expire_phase(Connection *connection) {
        if (connection->phase == PHASE_HEAD && connection->head.text)
                connection_refuse(connection, 408);
        else if (connection->phase == PHASE_BODY && connection->gathered)
                connection_refuse(connection, 408);
        else if (connection->phase == PHASE_BODY)
                connection_body_end(connection, BODY_LATE);
        else
                connection_close(connection);
}

void connection_expire(Connection *connection, Duration now) {
        connection_ref(connection);
        if (connection->write_deadline <= now)
                connection_close(connection);
        else if (connection->phase_deadline <= now)
                expire_phase(connection);
        connection_watch(connection);
        connection_free(connection);
}
