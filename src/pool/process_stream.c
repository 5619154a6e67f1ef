#include "pool/process_stream.h"

#include "base/files.h"
#include "base/json.h"
#include "http/token.h"
#include "http/url.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#define REATTACH_MAX (5 * DURATION_MINUTE)
#define OTHERS_MAX 4

void process_stream_init(ProcessStream *stream, const PoolContainer *container, Cancel *cancel) {
        *stream = (ProcessStream){ .container = container,
                                   .cancel = cancel,
                                   .fds = { -1, -1, -1 },
                                   .input = g_string_new(NULL) };
        for (int i = 0; i < STREAM_SOCKETS; i++)
                stream->rest[i] = g_string_new(NULL);
}

void process_stream_disconnect(ProcessStream *stream) {
        for (int i = 0; i < STREAM_SOCKETS; i++)
                fd_close(fd_steal(&stream->fds[i]));
}

void process_stream_clear(ProcessStream *stream) {
        process_stream_disconnect(stream);
        for (int i = 0; i < STREAM_SOCKETS; i++)
                g_string_free(stream->rest[i], TRUE);
        g_string_free(stream->input, TRUE);
        g_free(stream->id);
        g_free(stream->failure);
        *stream = (ProcessStream){ 0 };
}

/* ---- connecting ---- */

static bool refused(const HttpReply *reply, GError **error) {
        /* Upstream's words for it: users know them. */
        g_set_error(error, ERROR, reply->status == 404 ? ERROR_NOT_FOUND : ERROR_PROTOCOL,
                    "backend error: Exit status: %d, message: %s", reply->status,
                    reply->body ? reply->body : "");
        return false;
}

static bool connect_one(ProcessStream *stream, int which, const char *method, const char *path,
                        const Value *body, GError **error) {
        const WorkerRequest request = { .pool = stream->container->pool,
                                        .worker = stream->container->worker,
                                        .api = WORKER_GARDEN,
                                        .method = method,
                                        .path = path,
                                        .body = body };
        g_auto(HttpReply) reply = { 0 };

        g_string_truncate(stream->rest[which], 0);
        if (!worker_take_over(&request, stream->cancel, &reply, &stream->fds[which],
                              stream->rest[which], error))
                return false;
        if (stream->fds[which] < 0)
                return refused(&reply, error);
        const char *offset = http_reply_header(&reply, GARDEN_OFFSET_HEADER);
        const char *extensions = http_reply_header(&reply, GARDEN_EXTENSIONS_HEADER);
        if (which == STREAM_CONTROL)
                stream->sessions = extensions &&
                                   token_list_has(extensions, GARDEN_EXTENSION_SESSIONS);
        else if (offset)
                stream->offsets[which] = g_ascii_strtoll(offset, NULL, 10);
        return true;
}

/* Reads into rest[which]; *ret_end: the other side closed it. */
static bool receive(ProcessStream *stream, int which, bool *ret_end, GError **error) {
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
static bool next_message(ProcessStream *stream, GardenPayload *ret, bool *ret_found,
                         GError **error) {
        GString *text = stream->rest[STREAM_CONTROL];
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

static bool no_more_control(GError **error) {
        g_set_error(error, ERROR, ERROR_UNAVAILABLE, "connection: decode failed: EOF");
        return false;
}

/* The first message names the process and its streams. Returns new; NULL with an error. */
static char *first_message(ProcessStream *stream, GError **error) {
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
                if (!cancel_poll(stream->cancel, stream->fds[STREAM_CONTROL], POLLIN,
                                 DURATION_NEVER, error) ||
                    !receive(stream, STREAM_CONTROL, &end, error))
                        return NULL;
                if (end) {
                        no_more_control(error);
                        return NULL;
                }
        }
}

static char *process_url(const ProcessStream *stream, const char *rest) {
        g_autofree char *handle = url_encode_path(pool_container_handle(stream->container));

        return g_strconcat("/containers/", handle, "/processes", rest, NULL);
}

static bool connect_streams(ProcessStream *stream, const char *stream_id, GError **error) {
        static const char *const names[] = {
                [STREAM_OUTPUT] = "stdout", [STREAM_ERRORS] = "stderr"
        };
        g_autofree char *id = url_encode_path(stream->id ? stream->id : "");
        g_autofree char *escaped = url_encode_path(stream_id);

        for (int which = STREAM_OUTPUT; which <= STREAM_ERRORS; which++) {
                g_autofree char *rest = g_strdup_printf("/%s/attaches/%s/%s?from=%" G_GINT64_FORMAT,
                                                        id, escaped, names[which],
                                                        stream->offsets[which]);
                g_autofree char *path = process_url(stream, rest);
                if (!connect_one(stream, which, "GET", path, NULL, error))
                        return false;
        }
        return true;
}

bool process_stream_attach(ProcessStream *stream, const char *id, GError **error) {
        g_autofree char *escaped = url_encode_path(id);
        g_autofree char *rest = g_strconcat("/", escaped, NULL);
        g_autofree char *path = process_url(stream, rest);

        if (!connect_one(stream, STREAM_CONTROL, "GET", path, NULL, error))
                return false;
        g_autofree char *stream_id = first_message(stream, error);
        return stream_id && connect_streams(stream, stream_id, error);
}

bool process_stream_start(ProcessStream *stream, const GardenProcessSpec *spec, GError **error) {
        g_autofree char *path = process_url(stream, "");
        g_autoptr(Value) body = garden_process_spec_value(spec);

        if (!connect_one(stream, STREAM_CONTROL, "POST", path, body, error)) {
                g_prefix_error(error, "start process: ");
                return false;
        }
        g_autofree char *stream_id = first_message(stream, error);
        return stream_id && connect_streams(stream, stream_id, error);
}

bool process_stream_reattach(ProcessStream *stream, Cancel *cancel, GError **error) {
        g_auto(WorkerPatience) patience = { 0 };

        if (stream->input->len > 0) {
                g_set_error(error, ERROR, ERROR_PROTOCOL,
                            "connection to worker lost before all input was written");
                return false;
        }
        worker_patience_init(&patience, stream->container->pool, REATTACH_MAX);
        for (;;) {
                g_autoptr(GError) local = NULL, waited = NULL;
                g_autofree char *id = g_strdup(stream->id);
                process_stream_disconnect(stream);
                if (process_stream_attach(stream, id, &local))
                        return true;
                if (!error_is(local, ERROR_UNAVAILABLE)) {
                        g_propagate_error(error, g_steal_pointer(&local));
                        return false;
                }
                if (!worker_patience_wait(&patience, cancel, &waited)) {
                        g_propagate_error(error, error_is(waited, ERROR_UNAVAILABLE)
                                                         ? g_steal_pointer(&local)
                                                         : g_steal_pointer(&waited));
                        return false;
                }
        }
}

/* ---- moving bytes ---- */

static bool deliver(ProcessStream *stream, int which, GError **error) {
        GString *text = stream->rest[which];
        size_t length = text->len;

        if (length == 0)
                return true;
        if (stream->take[which] &&
            !stream->take[which](text->str, length, stream->offsets[which], stream->data, error))
                return false;
        stream->offsets[which] += (int64_t) length;
        g_string_truncate(text, 0);
        return true;
}

static bool read_control(ProcessStream *stream, GError **error) {
        for (;;) {
                g_auto(GardenPayload) message = { 0 };
                bool found;
                if (!next_message(stream, &message, &found, error))
                        return false;
                if (!found)
                        return true;
                if (message.has & GARDEN_HAS_LENGTHS) {
                        stream->lengths[STREAM_OUTPUT] = message.output_length;
                        stream->lengths[STREAM_ERRORS] = message.error_length;
                }
                if (message.has & GARDEN_HAS_EXIT_STATUS) {
                        stream->ended = true;
                        stream->status = message.exit_status;
                } else if (message.error) {
                        stream->ended = true;
                        g_free(stream->failure);
                        stream->failure = g_strdup(message.error);
                }
        }
}

static bool read_one(ProcessStream *stream, int which, GError **error) {
        bool end;

        if (!receive(stream, which, &end, error))
                return false;
        if (!(which == STREAM_CONTROL ? read_control(stream, error)
                                      : deliver(stream, which, error)))
                return false;
        if (end)
                fd_close(fd_steal(&stream->fds[which]));
        return true;
}

/* Why it cannot be written is seen by reading: what the worker still said comes first. */
void process_stream_write(ProcessStream *stream) {
        if (stream->input->len == 0 || stream->fds[STREAM_CONTROL] < 0)
                return;
        ssize_t count = send(stream->fds[STREAM_CONTROL], stream->input->str, stream->input->len,
                             MSG_NOSIGNAL | MSG_DONTWAIT);

        if (count > 0)
                g_string_erase(stream->input, 0, count);
}

bool process_stream_begin(ProcessStream *stream, GError **error) {
        return read_control(stream, error) && deliver(stream, STREAM_OUTPUT, error) &&
               deliver(stream, STREAM_ERRORS, error);
}

bool process_stream_complete(const ProcessStream *stream) {
        return stream->ended && stream->fds[STREAM_OUTPUT] < 0 && stream->fds[STREAM_ERRORS] < 0;
}

/* A connection that broke looks like one that ended: what the worker said of the lengths tells them apart. */
static bool check_whole(const ProcessStream *stream, GError **error) {
        for (int i = STREAM_OUTPUT; process_stream_complete(stream) && i <= STREAM_ERRORS; i++)
                if (stream->offsets[i] < stream->lengths[i]) {
                        g_set_error(error, ERROR, ERROR_UNAVAILABLE,
                                    "connection to worker lost before all output was read");
                        return false;
                }
        return true;
}

bool process_stream_turn(ProcessStream *stream, struct pollfd *others, size_t count, int timeout,
                         GError **error) {
        struct pollfd polls[STREAM_SOCKETS + OTHERS_MAX];

        g_assert(count <= OTHERS_MAX);
        if (stream->fds[STREAM_CONTROL] < 0 && !stream->ended)
                return no_more_control(error);
        for (int i = 0; i < STREAM_SOCKETS; i++)
                polls[i] = (struct pollfd){ .fd = stream->fds[i], .events = POLLIN };
        if (stream->input->len > 0)
                polls[STREAM_CONTROL].events |= POLLOUT;
        if (count > 0)
                memcpy(polls + STREAM_SOCKETS, others, count * sizeof *others);
        if (poll(polls, STREAM_SOCKETS + count, timeout) < 0) {
                if (errno == EINTR)
                        return true;
                error_set_errno(error, errno, "poll");
                return false;
        }
        if (count > 0)
                memcpy(others, polls + STREAM_SOCKETS, count * sizeof *others);
        if (polls[STREAM_CONTROL].revents & POLLOUT)
                process_stream_write(stream);
        for (int i = 0; i < STREAM_SOCKETS; i++)
                if ((polls[i].revents & ~POLLOUT) && stream->fds[i] >= 0 &&
                    !read_one(stream, i, error))
                        return false;
        return check_whole(stream, error);
}
