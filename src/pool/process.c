/* A process in a container: started or found again, its streams, its end (reference 06 §3.6). */
#include "pool/container.h"

#include "base/fault.h"
#include "base/files.h"
#include "base/json.h"
#include "base/thread.h"
#include "http/url.h"
#include "wire/garden.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_SIZE ((size_t) 64 * 1024)
/* Upstream's rhythm on abort: SIGTERM, 10 s, SIGKILL, 10 s. The worker does the first part by itself. */
#define STOP_GENTLE (12 * DURATION_SECOND)
#define STOP_HARD (10 * DURATION_SECOND)
#define REATTACH_MAX (5 * DURATION_MINUTE)

enum { CONTROL, OUTPUT, ERRORS, SOCKETS };

typedef struct {
        PoolContainer *container;
        const ProcessNeed *need;
        Cancel *cancel; /* of the step */
        Cancel *connection; /* of one life of the connections: the step's abort does not cut them at once */
        char *id;           /* the process's, once known */
        int fds[SOCKETS]; /* -1: closed */
        GString *rest[SOCKETS];
        int64_t offsets[SOCKETS];
        bool ended;
        int64_t status;
        char *failure; /* "error" of the control stream */
} Stream;

/* ---- connecting ---- */

static bool refused(const HttpReply *reply, GError **error) {
        g_autoptr(Value) body = reply->body ? json_parse(reply->body, reply->length, NULL, NULL)
                                            : NULL;

        /* Upstream's words for it: users know them. */
        g_set_error(error, ERROR, reply->status == 404 ? ERROR_NOT_FOUND : ERROR_PROTOCOL,
                    "backend error: Exit status: %d, message: %s", reply->status,
                    reply->body ? reply->body : "");
        return false;
}

static bool connect_one(Stream *stream, int which, const char *method, const char *path,
                        const Value *body, GError **error) {
        const WorkerRequest request = { .pool = stream->container->pool,
                                        .worker = stream->container->worker,
                                        .api = WORKER_GARDEN,
                                        .method = method,
                                        .path = path,
                                        .body = body };
        g_auto(HttpReply) reply = { 0 };

        g_string_truncate(stream->rest[which], 0);
        if (!worker_take_over(&request, stream->connection, &reply, &stream->fds[which],
                              stream->rest[which], error))
                return false;
        if (stream->fds[which] < 0)
                return refused(&reply, error);
        const char *offset = http_reply_header(&reply, GARDEN_OFFSET_HEADER);
        if (which != CONTROL && offset)
                stream->offsets[which] = g_ascii_strtoll(offset, NULL, 10);
        return true;
}

/* Reads into rest[which]; *ret_end: the other side closed it. */
static bool receive(Stream *stream, int which, bool *ret_end, GError **error) {
        char bytes[16384];
        ssize_t count = recv(stream->fds[which], bytes, sizeof bytes, MSG_DONTWAIT);

        *ret_end = count == 0;
        if (count > 0)
                g_string_append_len(stream->rest[which], bytes, count);
        else if (count < 0 && errno != EAGAIN && errno != EINTR) {
                g_set_error(error, ERROR, ERROR_UNAVAILABLE, "read from worker: %s",
                            g_strerror(errno));
                return false;
        }
        return true;
}

/* One line of the control stream, if it is all there. *ret is cleared by the caller. */
static bool next_message(Stream *stream, GardenPayload *ret, bool *ret_found, GError **error) {
        GString *text = stream->rest[CONTROL];
        const char *end = memchr(text->str, '\n', text->len);

        *ret_found = end != NULL;
        if (!end) {
                if (text->len <= GARDEN_PAYLOAD_MAX)
                        return true;
                g_set_error(error, ERROR, ERROR_PROTOCOL, "worker sent an endless line");
                return false;
        }
        size_t length = (size_t) (end - text->str);
        bool parsed = garden_payload_parse(text->str, length, ret, error);
        g_string_erase(text, 0, (gssize) length + 1);
        return parsed;
}

/* The first message names the process and its streams. Returns new; NULL with an error. */
static char *first_message(Stream *stream, GError **error) {
        for (;;) {
                g_auto(GardenPayload) message = { 0 };
                bool found, end = false;
                if (!next_message(stream, &message, &found, error))
                        return NULL;
                if (found) {
                        g_free(stream->id);
                        stream->id = g_strdup(message.process_id);
                        if (message.error) {
                                g_set_error(error, ERROR, ERROR_PROTOCOL, "%s", message.error);
                                return NULL;
                        }
                        return g_strdup(message.stream_id ? message.stream_id : "");
                }
                if (!cancel_poll(stream->connection, stream->fds[CONTROL], POLLIN, DURATION_NEVER,
                                 error) ||
                    !receive(stream, CONTROL, &end, error))
                        return NULL;
                if (end) {
                        g_set_error(error, ERROR, ERROR_UNAVAILABLE,
                                    "connection: decode failed: EOF");
                        return NULL;
                }
        }
}

static char *process_url(const Stream *stream, const char *rest) {
        g_autofree char *handle = url_encode_path(pool_container_handle(stream->container));

        return g_strconcat("/containers/", handle, "/processes", rest, NULL);
}

static bool connect_streams(Stream *stream, const char *stream_id, GError **error) {
        static const char *const names[] = { [OUTPUT] = "stdout", [ERRORS] = "stderr" };
        g_autofree char *id = url_encode_path(stream->id ? stream->id : "");
        g_autofree char *escaped = url_encode_path(stream_id);

        for (int which = OUTPUT; which <= ERRORS; which++) {
                g_autofree char *rest = g_strdup_printf("/%s/attaches/%s/%s?from=%" G_GINT64_FORMAT,
                                                        id, escaped, names[which],
                                                        stream->offsets[which]);
                g_autofree char *path = process_url(stream, rest);
                if (!connect_one(stream, which, "GET", path, NULL, error))
                        return false;
        }
        return true;
}

static bool attach(Stream *stream, const char *id, GError **error) {
        g_autofree char *escaped = url_encode_path(id);
        g_autofree char *rest = g_strconcat("/", escaped, NULL);
        g_autofree char *path = process_url(stream, rest);

        if (!connect_one(stream, CONTROL, "GET", path, NULL, error))
                return false;
        g_autofree char *stream_id = first_message(stream, error);
        return stream_id && connect_streams(stream, stream_id, error);
}

static bool send_input(Stream *stream, GError **error) {
        const ProcessNeed *need = stream->need;
        g_autoptr(GString) text = g_string_new(NULL);
        size_t sent = 0;

        if (!need->input)
                return true;
        garden_append_input(text, stream->id, need->input, need->input_length);
        garden_append_input_end(text, stream->id);
        while (sent < text->len) {
                ssize_t count = send(stream->fds[CONTROL], text->str + sent, text->len - sent,
                                     MSG_NOSIGNAL | MSG_DONTWAIT);
                if (count > 0)
                        sent += (size_t) count;
                else if (errno == EAGAIN) {
                        if (!cancel_poll(stream->connection, stream->fds[CONTROL], POLLOUT,
                                         DURATION_NEVER, error))
                                return false;
                } else if (errno != EINTR) {
                        g_set_error(error, ERROR, ERROR_UNAVAILABLE, "write to worker: %s",
                                    g_strerror(errno));
                        return false;
                }
        }
        return true;
}

static bool start(Stream *stream, GError **error) {
        const ProcessNeed *need = stream->need;
        g_auto(GardenProcessSpec) spec = { 0 };
        g_autofree char *path = process_url(stream, "");

        garden_process_spec_init(&spec);
        spec.id = g_strdup(need->id);
        spec.path = g_strdup(need->path);
        for (size_t i = 0; need->args && need->args[i]; i++)
                g_ptr_array_add(spec.args, g_strdup(need->args[i]));
        spec.directory = g_strdup(need->directory);
        spec.user = g_strdup(need->user ? need->user : stream->container->user);
        spec.tty = need->tty;
        if (need->tty)
                spec.window = (GardenWindow){ 500, 500 };
        g_autoptr(Value) body = garden_process_spec_value(&spec);
        if (!connect_one(stream, CONTROL, "POST", path, body, error)) {
                g_prefix_error(error, "start process: ");
                return false;
        }
        g_autofree char *stream_id = first_message(stream, error);
        return stream_id && connect_streams(stream, stream_id, error) && send_input(stream, error);
}

static void disconnect(Stream *stream) {
        for (int i = 0; i < SOCKETS; i++) {
                fd_close(stream->fds[i]);
                stream->fds[i] = -1;
        }
}

/* ---- reading ---- */

static bool deliver(Stream *stream, int which, GError **error) {
        GString *text = stream->rest[which];
        OutputFn take = which == OUTPUT ? stream->need->output : stream->need->error;
        size_t length = text->len;

        if (length == 0)
                return true;
        if (take && !take(text->str, length, stream->offsets[which], stream->need->data, error))
                return false;
        stream->offsets[which] += (int64_t) length;
        g_string_truncate(text, 0);
        return true;
}

static bool read_control(Stream *stream, GError **error) {
        for (;;) {
                g_auto(GardenPayload) message = { 0 };
                bool found;
                if (!next_message(stream, &message, &found, error))
                        return false;
                if (!found)
                        return true;
                if (message.has & GARDEN_HAS_EXIT_STATUS) {
                        stream->ended = true;
                        stream->status = message.exit_status;
                } else if (message.error) {
                        stream->ended = true;
                        stream->failure = g_strdup(message.error);
                }
        }
}

static bool read_one(Stream *stream, int which, GError **error) {
        bool end;

        if (!receive(stream, which, &end, error))
                return false;
        if (!(which == CONTROL ? read_control(stream, error) : deliver(stream, which, error)))
                return false;
        if (end) {
                fd_close(stream->fds[which]);
                stream->fds[which] = -1;
        }
        return true;
}

/* What came with the headers. */
static bool read_rests(Stream *stream, GError **error) {
        return read_control(stream, error) && deliver(stream, OUTPUT, error) &&
               deliver(stream, ERRORS, error);
}

static bool is_complete(const Stream *stream) {
        return stream->ended && stream->fds[OUTPUT] < 0 && stream->fds[ERRORS] < 0;
}

/*
 * Reads until all is there (true), the connection breaks (ERROR_UNAVAILABLE), or `cancel` fires or the deadline passes
 * (as cancel_check()).
 */
static bool pump(Stream *stream, Cancel *cancel, Duration deadline, GError **error) {
        if (!read_rests(stream, error))
                return false;
        while (!is_complete(stream)) {
                struct pollfd polls[SOCKETS + 1];
                for (int i = 0; i < SOCKETS; i++)
                        polls[i] = (struct pollfd){ .fd = stream->fds[i], .events = POLLIN };
                polls[SOCKETS] = (struct pollfd){ .fd = cancel_fd(cancel), .events = POLLIN };
                if (stream->fds[CONTROL] < 0 && !stream->ended) {
                        g_set_error(error, ERROR, ERROR_UNAVAILABLE,
                                    "connection: decode failed: EOF");
                        return false;
                }
                Duration left = deadline == DURATION_NEVER ? 0
                                                           : MAX(deadline - clock_monotonic(), 0);
                int timeout = deadline == DURATION_NEVER ? -1
                                                         : (int) (left / DURATION_MILLISECOND) + 1;
                if (poll(polls, SOCKETS + 1, timeout) < 0 && errno != EINTR) {
                        error_set_errno(error, errno, "poll");
                        return false;
                }
                if (polls[SOCKETS].revents && !cancel_check(cancel, error))
                        return false;
                if (deadline != DURATION_NEVER && clock_monotonic() >= deadline) {
                        g_set_error(error, ERROR, ERROR_TIMEOUT, "process did not end in time");
                        return false;
                }
                for (int i = 0; i < SOCKETS; i++)
                        if (polls[i].revents && stream->fds[i] >= 0 && !read_one(stream, i, error))
                                return false;
        }
        return true;
}

/* ---- stopping ---- */

typedef struct {
        PoolContainer *container;
        Cancel *cancel;
        bool kill;
} Stop;

static void send_stop(void *data) {
        const Stop *stop = data;
        g_autofree char *handle = url_encode_path(pool_container_handle(stop->container));
        g_autofree char *path = g_strconcat("/containers/", handle, "/stop", NULL);
        g_autoptr(Value) body = value_map();
        g_auto(HttpReply) reply = { 0 };

        value_map_set_bool(body, "kill", stop->kill);
        worker_request(&(WorkerRequest){ .pool = stop->container->pool,
                                         .worker = stop->container->worker,
                                         .api = WORKER_GARDEN,
                                         .method = "PUT",
                                         .path = path,
                                         .body = body },
                       stop->cancel, &reply, NULL);
}

/* Asks the worker to stop the process, and reads what it still says until it is over or patience is. */
static bool stop_and_drain(Stream *stream, bool kill, Duration patience) {
        g_autoptr(Cancel) cancel = cancel_new_deadline(NULL, patience);
        Stop stop = { .container = stream->container, .cancel = cancel, .kill = kill };
        Thread *thread = thread_start("stop", send_stop, &stop);
        bool drained = pump(stream, NULL, clock_monotonic() + patience, NULL);

        thread_join(thread);
        return drained;
}

static void stop_process(Stream *stream) {
        if (!stop_and_drain(stream, false, STOP_GENTLE))
                stop_and_drain(stream, true, STOP_HARD);
}

/* ---- the whole life ---- */

/* Again where it stopped, as soon as the worker can be reached. */
static bool reattach(Stream *stream, GError **error) {
        g_auto(WorkerPatience) patience = { 0 };

        worker_patience_init(&patience, stream->container->pool, REATTACH_MAX);
        for (;;) {
                g_autoptr(GError) local = NULL, waited = NULL;
                disconnect(stream);
                if (attach(stream, stream->id, &local))
                        return true;
                if (!error_is(local, ERROR_UNAVAILABLE)) {
                        g_propagate_error(error, g_steal_pointer(&local));
                        return false;
                }
                if (!worker_patience_wait(&patience, stream->cancel, &waited)) {
                        g_propagate_error(error, error_is(waited, ERROR_UNAVAILABLE)
                                                         ? g_steal_pointer(&local)
                                                         : g_steal_pointer(&waited));
                        return false;
                }
        }
}

/* Only a worker that does not know it lets us start it: one that is away may have it. Upstream's workers answer 500. */
static bool is_unknown(const GError *error) {
        return error_is(error, ERROR_NOT_FOUND) || error_is(error, ERROR_PROTOCOL);
}

static bool begin(Stream *stream, GError **error) {
        const ProcessNeed *need = stream->need;
        g_autoptr(GError) local = NULL;

        if (need->id && !pool_container_created(stream->container)) {
                stream->id = g_strdup(need->id);
                if (reattach(stream, &local))
                        return true;
                if (need->attach_only || !is_unknown(local)) {
                        if (error_is(local, ERROR_PROTOCOL))
                                local->code = ERROR_NOT_FOUND;
                        g_propagate_error(error, g_steal_pointer(&local));
                        return false;
                }
                g_clear_pointer(&stream->id, g_free);
                disconnect(stream);
        }
        if (!start(stream, error))
                return false;
        fault_here("process-started");
        return true;
}

static bool follow(Stream *stream, GError **error) {
        for (;;) {
                g_autoptr(GError) local = NULL;
                if (pump(stream, stream->cancel, DURATION_NEVER, &local))
                        return true;
                if (cancel_fired(stream->cancel)) {
                        if (cancel_reason(stream->cancel) != CANCEL_SHUTDOWN)
                                stop_process(stream);
                        g_propagate_error(error, g_steal_pointer(&local));
                        return false;
                }
                if (!error_is(local, ERROR_UNAVAILABLE) || !stream->id) {
                        g_propagate_error(error, g_steal_pointer(&local));
                        return false;
                }
                if (!reattach(stream, error))
                        return false;
        }
}

static void tell_exit_status(const Stream *stream) {
        g_autofree char *text = g_strdup_printf("%" G_GINT64_FORMAT, stream->status);

        /* Another kind of web node may take the container over later; a failure changes nothing for this one. */
        pool_container_set_property(stream->container, "concourse:exit-status", text,
                                    stream->cancel, NULL);
}

bool pool_process_run(PoolContainer *container, const ProcessNeed *need, Cancel *cancel,
                      int *ret_status, GError **error) {
        Stream stream = { .container = container,
                          .need = need,
                          .cancel = cancel,
                          .connection = cancel,
                          .fds = { -1, -1, -1 },
                          .offsets = {
                                  [OUTPUT] = need->output_from, [ERRORS] = need->error_from } };

        for (int i = 0; i < SOCKETS; i++)
                stream.rest[i] = g_string_new(NULL);
        bool ended = begin(&stream, error) && follow(&stream, error);
        disconnect(&stream);
        if (ended && stream.failure) {
                g_set_error(error, ERROR, ERROR_PROTOCOL, "connection: process error: %s",
                            stream.failure);
                ended = false;
        }
        if (ended) {
                *ret_status = (int) stream.status;
                if (need->id)
                        tell_exit_status(&stream);
        }
        for (int i = 0; i < SOCKETS; i++)
                g_string_free(stream.rest[i], TRUE);
        g_free(stream.id);
        g_free(stream.failure);
        return ended;
}
