/* The loop, and the server's life. */
#include "base/files.h"
#include "http/server/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS 256 /* taken from epoll at once */

HttpServer *server_ref(HttpServer *server) {
        atomic_add(&server->references, 1);
        return server;
}

void server_free(HttpServer *server) {
        if (!server || atomic_sub(&server->references, 1) > 0)
                return;
        fd_close(server->listener);
        fd_close(server->epoll);
        fd_close(server->wakeup);
        fd_close(server->spare);
        cancel_free(server->cancel);
        if (server->addresses)
                g_hash_table_unref(server->addresses);
        g_ptr_array_unref(server->ready);
        condition_destroy(&server->idle);
        mutex_destroy(&server->mutex);
        g_free(server->buffer);
        g_free((char *) server->spec.address);
        g_free((char *) server->spec.unix_path);
        g_free((char *) server->spec.name);
        g_free(server);
}

void server_wake(HttpServer *server) {
        uint64_t one = 1;
        ssize_t ignored = write(server->wakeup, &one, sizeof one); /* full: it is awake anyway */
        (void) ignored;
}

void connection_schedule(Connection *connection) {
        HttpServer *server = connection->server;
        mutex_lock(&connection->mutex);
        bool scheduled = connection->scheduled;
        connection->scheduled = true;
        mutex_unlock(&connection->mutex);
        if (scheduled)
                return;
        mutex_lock(&server->mutex);
        bool ended = server->loop_ended;
        if (!ended)
                g_ptr_array_add(server->ready, connection_ref(connection));
        bool wake = !ended && server->ready->len == 1;
        mutex_unlock(&server->mutex);
        if (wake)
                server_wake(server);
}

bool server_dispatch(HttpServer *server, HttpRequest *request) {
        mutex_lock(&server->mutex);
        bool ended = atomic_get(&server->state) >= STATE_ENDING;
        server->running += !ended;
        mutex_unlock(&server->mutex);
        if (!ended)
                thread_pool_push(server->pool, request_run, request);
        return !ended;
}

void server_forget(HttpServer *server, Connection *connection) {
        if (!connection->link)
                return;
        *connection->link = connection->next;
        if (connection->next)
                connection->next->link = connection->link;
        connection->link = NULL;
        connection->next = NULL;
        server->connections_length--;
        atomic_sub(&server->connections, 1);
        if (server->addresses && connection->peer[0]) {
                g_autofree char *address = g_strdup(connection->peer);
                *strrchr(address, ':') = '\0';
                size_t count = GPOINTER_TO_SIZE(g_hash_table_lookup(server->addresses, address)) -
                               1;
                if (count == 0)
                        g_hash_table_remove(server->addresses, address);
                else
                        g_hash_table_insert(server->addresses, g_steal_pointer(&address),
                                            GSIZE_TO_POINTER(count));
        }
        connection_free(connection);
}

/* ---- one turn ---- */

static void take_ready(HttpServer *server) {
        g_autoptr(GPtrArray) ready = NULL;
        mutex_lock(&server->mutex);
        if (server->ready->len > 0) {
                ready = server->ready;
                server->ready = g_ptr_array_new();
        }
        mutex_unlock(&server->mutex);
        for (size_t i = 0; ready && i < ready->len; i++) {
                connection_turn(ready->pdata[i]);
                connection_free(ready->pdata[i]);
        }
}

static void take_due(HttpServer *server) {
        Duration now = clock_monotonic();
        WheelEntry *entry;
        while ((entry = wheel_due(&server->wheel, now)))
                if (entry == &server->accept_timer)
                        server_accept_watch(server, true);
                else
                        connection_expire(
                                (Connection *) ((char *) entry - offsetof(Connection, timer)), now);
}

static void take_events(HttpServer *server, const struct epoll_event *events, int count) {
        bool accept = false;
        for (int i = 0; i < count; i++)
                if (events[i].data.ptr == &server->listener)
                        accept = true;
                else if (events[i].data.ptr == &server->wakeup) {
                        uint64_t number;
                        ssize_t ignored = read(server->wakeup, &number, sizeof number);
                        (void) ignored;
                } else
                        connection_event(events[i].data.ptr, events[i].events);
        if (accept)
                server_accept(server);
}

/* ---- ending ---- */

static void drain_connection(Connection *connection) {
        if (connection->phase != PHASE_HEAD || connection->head.text)
                return;
        if (connection_drained(connection)) {
                connection_close(connection);
                return;
        }
        mutex_lock(&connection->mutex);
        connection->exchange.handler_done = connection->exchange.answer_done = true;
        connection->exchange.must_close = true;
        mutex_unlock(&connection->mutex);
        connection->phase = PHASE_WAIT;
}

static void end_connection(Connection *connection) {
        mutex_lock(&connection->mutex);
        bool idle = connection->phase == PHASE_HEAD || connection->gathered ||
                    connection->exchange.is_stream;
        if (connection->hijacked && connection->fd >= 0)
                shutdown(connection->fd, SHUT_RDWR); /* wakes who reads or writes it */
        if (connection->exchange.body_state == BODY_OPEN) {
                connection->exchange.body_state = BODY_STOPPED;
                connection->exchange.must_close = true;
        }
        condition_broadcast(&connection->changed);
        mutex_unlock(&connection->mutex);
        if (idle && connection->phase != PHASE_HIJACKED)
                connection_close(connection);
}

static void react(HttpServer *server) {
        ServerState state = atomic_get(&server->state);
        while (server->seen < state) {
                server->seen++;
                if (server->seen == STATE_FLUSHING)
                        continue;
                if (server->seen == STATE_DRAINING) {
                        fd_close(fd_steal(&server->listener));
                        wheel_remove(&server->accept_timer);
                        if (server->spec.unix_path)
                                unlink(server->spec.unix_path);
                }
                for (Connection *connection = server->connections_first, *next; connection;
                     connection = next) {
                        next = connection->next;
                        if (server->seen == STATE_DRAINING)
                                drain_connection(connection);
                        else
                                end_connection(connection);
                }
        }
}

static bool all_flushed(HttpServer *server) {
        if (clock_monotonic() >= server->flush_deadline)
                return true;
        for (Connection *connection = server->connections_first; connection;
             connection = connection->next)
                if (connection->phase != PHASE_HIJACKED && !connection_drained(connection))
                        return false;
        return true;
}

static void close_all(HttpServer *server) {
        for (Connection *connection; (connection = server->connections_first);)
                if (connection->phase == PHASE_HIJACKED)
                        server_forget(server, connection);
                else
                        connection_close(connection);
        g_autoptr(GPtrArray) ready = g_ptr_array_new();
        mutex_lock(&server->mutex);
        server->loop_ended = true;
        GPtrArray *empty = ready;
        ready = server->ready;
        server->ready = empty;
        mutex_unlock(&server->mutex);
        for (size_t i = 0; i < ready->len; i++)
                connection_free(ready->pdata[i]);
}

static int wait_time(HttpServer *server) {
        Duration now = clock_monotonic();
        int wait = wheel_wait(&server->wheel, now);
        if (server->seen < STATE_FLUSHING)
                return wait;
        int flush = (int) (MAX(server->flush_deadline - now, 0) / DURATION_MILLISECOND) + 1;
        return wait < 0 ? flush : MIN(wait, flush);
}

static void run(void *data) {
        HttpServer *server = data;
        struct epoll_event *events = g_new(struct epoll_event, EVENTS);
        for (;;) {
                int count = epoll_wait(server->epoll, events, EVENTS, wait_time(server));
                take_events(server, events, MAX(count, 0));
                react(server);
                take_ready(server);
                take_due(server);
                if (server->seen == STATE_FLUSHING && all_flushed(server))
                        break;
        }
        close_all(server);
        g_free(events);
}

/* ---- life ---- */

static HttpServer *server_new(const HttpServerSpec *spec) {
        HttpServer *server = g_new0(HttpServer, 1);
        server->references = 1;
        server->spec = *spec;
        server->spec.address = g_strdup(spec->address);
        server->spec.unix_path = g_strdup(spec->unix_path);
        server->spec.name = g_strdup(spec->name ? spec->name : "http");
        HttpServerSpec *mine = &server->spec;
        mine->body_max = spec->body_max ? spec->body_max : (size_t) 10 * 1024 * 1024;
        mine->threads_max = spec->threads_max ? spec->threads_max : 256;
        mine->connections_max = spec->connections_max ? spec->connections_max : 10000;
        mine->header_timeout = spec->header_timeout ? spec->header_timeout : 10 * DURATION_SECOND;
        mine->idle_timeout = spec->idle_timeout ? spec->idle_timeout : 120 * DURATION_SECOND;
        mine->progress_timeout = spec->progress_timeout ? spec->progress_timeout
                                                        : 60 * DURATION_SECOND;
        server->listener = -1;
        server->epoll = epoll_create1(EPOLL_CLOEXEC);
        server->wakeup = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        server->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
        server->ready = g_ptr_array_new();
        server->buffer = g_malloc(READ_SIZE);
        server->cancel = cancel_new(NULL);
        if (spec->connections_max_per_address)
                server->addresses = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        mutex_init(&server->mutex);
        condition_init(&server->idle);
        wheel_init(&server->wheel, clock_monotonic());
        return server;
}

HttpServer *http_server_start(const HttpServerSpec *spec, GError **error) {
        HttpServer *server = server_new(spec);
        struct epoll_event event = { .events = EPOLLIN, .data.ptr = &server->wakeup };
        if (server->epoll < 0 || server->wakeup < 0 || server->spare < 0 ||
            epoll_ctl(server->epoll, EPOLL_CTL_ADD, server->wakeup, &event) < 0) {
                error_set_errno(error, errno, "start HTTP server");
                server_free(server);
                return NULL;
        }
        if (!server_listen(server, error)) {
                server_free(server);
                return NULL;
        }
        g_autofree char *handlers = g_strdup_printf("%.11s-run", server->spec.name);
        g_autofree char *loop = g_strdup_printf("%.11s-io", server->spec.name);
        server->pool = thread_pool_new(handlers, server->spec.threads_max);
        server_accept_watch(server, true);
        server->thread = thread_start(loop, run, server);
        return server;
}

uint16_t http_server_port(const HttpServer *server) {
        return server->port;
}

static void advance(HttpServer *server, ServerState state) {
        atomic_set(&server->state, state);
        server_wake(server);
}

void http_server_stop(HttpServer *server, Duration grace) {
        if (!server)
                return;
        Duration deadline = clock_monotonic() + grace;
        advance(server, STATE_DRAINING);
        mutex_lock(&server->mutex);
        while (server->running > 0 && condition_wait_until(&server->idle, &server->mutex, deadline))
                ;
        mutex_unlock(&server->mutex);
        cancel_fire(server->cancel, CANCEL_SHUTDOWN); /* before the loop can say otherwise */
        advance(server, STATE_ENDING);
        mutex_lock(&server->mutex);
        while (server->running > 0)
                condition_wait(&server->idle, &server->mutex);
        server->flush_deadline = clock_monotonic() + FLUSH_TIMEOUT;
        mutex_unlock(&server->mutex);
        advance(server, STATE_FLUSHING);
        thread_join(server->thread);
        thread_pool_free(server->pool);
        server_free(server);
}

void http_server_stats(HttpServer *server, HttpServerStats *ret) {
        *ret = (HttpServerStats){
                .accepted = atomic_get(&server->accepted),
                .requests = atomic_get(&server->requests),
                .refused = atomic_get(&server->refused),
                .connections = atomic_get(&server->connections),
                .streams = atomic_get(&server->streams),
                .queued_bytes = atomic_get(&server->queued_bytes),
        };
}
