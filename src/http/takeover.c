/* Requests whose connection goes on as something else: plain sockets of our own, no curl. */
#include "base/files.h"
#include "http/chunked.h"
#include "http/client_internal.h"
#include "http/token.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define HEAD_MAX ((size_t) 64 * 1024)
#define REPLY_MAX ((size_t) 16 * 1024 * 1024)
#define INTERIM_MAX 8 /* 1xx answers before the real one */

/* ---- the URL ---- */

typedef struct {
        char *host, *port, *authority, *path; /* authority as in the URL: for the Host header */
} Target;

static void target_clear(Target *target) {
        g_free(target->host);
        g_free(target->port);
        g_free(target->authority);
        g_free(target->path);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Target, target_clear)

static bool target_parse(const char *url, Target *ret, GError **error) {
        if (g_str_has_prefix(url, "https://")) {
                g_set_error(error, ERROR, ERROR_UNSUPPORTED,
                            "cannot take over a TLS connection: %s", url);
                return false;
        }
        const char *authority = g_str_has_prefix(url, "http://") ? url + 7 : "";
        size_t length = strcspn(authority, "/?#");
        size_t host = *authority == '[' ? strcspn(authority, "]") + 1 : strcspn(authority, ":/?#");
        if (length == 0 || host > length || strpbrk(url, " \r\n\t") ||
            memchr(authority, '@', length)) {
                g_set_error(error, ERROR, ERROR_INVALID, "invalid URL '%s'", url);
                return false;
        }
        const char *path = authority + length;
        ret->authority = g_strndup(authority, length);
        ret->host = *authority == '[' ? g_strndup(authority + 1, host - 2)
                                      : g_strndup(authority, host);
        ret->port = host < length ? g_strndup(authority + host + 1, length - host - 1)
                                  : g_strdup("80");
        size_t path_length = strcspn(path, "#");
        ret->path = g_strdup_printf("%s%.*s", *path == '/' ? "" : "/", (int) path_length, path);
        return true;
}

/* ---- names ---- */

/* Resolving blocks, so it has a thread of its own, which a cancelled caller leaves behind. */
typedef struct {
        int references; /* atomic */
        Mutex mutex;
        Condition changed;
        bool done;
        char *host, *port;
        int result;
        struct addrinfo *addresses;
} Lookup;

static void lookup_free(Lookup *lookup) {
        if (__atomic_sub_fetch(&lookup->references, 1, __ATOMIC_SEQ_CST) > 0)
                return;
        if (lookup->addresses)
                freeaddrinfo(lookup->addresses);
        condition_destroy(&lookup->changed);
        mutex_destroy(&lookup->mutex);
        g_free(lookup->host);
        g_free(lookup->port);
        g_free(lookup);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Lookup, lookup_free)

static int resolve(Lookup *lookup, int flags) {
        struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = flags | AI_NUMERICSERV };
        return getaddrinfo(lookup->host, lookup->port, &hints, &lookup->addresses);
}

static void lookup_run(void *data) {
        g_autoptr(Lookup) lookup = data;
        struct addrinfo *addresses = NULL;
        struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV };
        int result = getaddrinfo(lookup->host, lookup->port, &hints, &addresses);
        MUTEX_SCOPE(&lookup->mutex);
        lookup->addresses = addresses;
        lookup->result = result;
        lookup->done = true;
        condition_broadcast(&lookup->changed);
}

static void lookup_wake(void *data) {
        Lookup *lookup = data;
        MUTEX_SCOPE(&lookup->mutex);
        condition_broadcast(&lookup->changed);
}

static bool lookup_wait(Lookup *lookup, Cancel *cancel, Duration deadline, GError **error) {
        bool in_time = true;
        uint64_t watch = cancel ? cancel_watch(cancel, lookup_wake, lookup) : 0;
        mutex_lock(&lookup->mutex);
        while (!lookup->done && in_time && !cancel_fired(cancel))
                in_time = condition_wait_until(&lookup->changed, &lookup->mutex, deadline);
        bool done = lookup->done;
        mutex_unlock(&lookup->mutex);
        if (cancel)
                cancel_unwatch(cancel, watch);
        if (!done && cancel_check(cancel, error))
                g_set_error(error, ERROR, ERROR_TIMEOUT, "dial tcp: lookup %s: i/o timeout",
                            lookup->host);
        return done;
}

/* Returns new. */
static Lookup *lookup_host(const Target *target, Cancel *cancel, Duration deadline,
                           GError **error) {
        g_autoptr(Lookup) lookup = g_new0(Lookup, 1);
        lookup->references = 1;
        lookup->host = g_strdup(target->host);
        lookup->port = g_strdup(target->port);
        mutex_init(&lookup->mutex);
        condition_init(&lookup->changed);
        if (resolve(lookup, AI_NUMERICHOST) == 0)
                return g_steal_pointer(&lookup);
        __atomic_add_fetch(&lookup->references, 1, __ATOMIC_SEQ_CST);
        thread_detached("lookup", lookup_run, lookup);
        if (!lookup_wait(lookup, cancel, deadline, error))
                return NULL;
        if (lookup->result == 0)
                return g_steal_pointer(&lookup);
        g_set_error(error, ERROR, ERROR_UNAVAILABLE, "dial tcp: lookup %s: no such host",
                    lookup->host);
        return NULL;
}

/* ---- connecting ---- */

static int set_dial_error(GError **error, const char *what, int number) {
        g_autofree char *reason = g_strdup(g_strerror(number));
        reason[0] = g_ascii_tolower(reason[0]);
        g_set_error(error, ERROR, ERROR_UNAVAILABLE, "dial %s: connect: %s", what, reason);
        return -1;
}

static int dial(const struct sockaddr *address, socklen_t length, const char *what, Cancel *cancel,
                Duration deadline, GError **error) {
        int on = 1, number = 0;
        socklen_t size = sizeof number;
        autofd fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return set_dial_error(error, what, errno);
        if (connect(fd, address, length) < 0 && errno != EINPROGRESS && errno != EINTR)
                return set_dial_error(error, what, errno);
        if (!cancel_poll(cancel, fd, POLLOUT, deadline, error))
                return -1;
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &number, &size);
        if (number)
                return set_dial_error(error, what, number);
        if (address->sa_family != AF_UNIX)
                setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        return fd_steal(&fd);
}

static int dial_unix(const char *path, Cancel *cancel, Duration deadline, GError **error) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        g_autofree char *what = g_strconcat("unix ", path, NULL);
        if (strlen(path) >= sizeof address.sun_path)
                return set_dial_error(error, what, ENAMETOOLONG);
        g_strlcpy(address.sun_path, path, sizeof address.sun_path);
        return dial((struct sockaddr *) &address, sizeof address, what, cancel, deadline, error);
}

static int dial_target(const Target *target, Cancel *cancel, Duration deadline, GError **error) {
        g_autofree char *what = g_strconcat("tcp ", target->authority, NULL);
        g_autoptr(Lookup) lookup = lookup_host(target, cancel, deadline, error);
        if (!lookup)
                return -1;
        for (struct addrinfo *each = lookup->addresses; each; each = each->ai_next) {
                g_autoptr(GError) problem = NULL;
                int fd = dial(each->ai_addr, each->ai_addrlen, what, cancel, deadline, &problem);
                if (fd >= 0)
                        return fd;
                bool final = !each->ai_next || !error_is(problem, ERROR_UNAVAILABLE);
                if (final) {
                        g_propagate_error(error, g_steal_pointer(&problem));
                        return -1;
                }
        }
        return set_dial_error(error, what, EADDRNOTAVAIL);
}

/* ---- bytes ---- */

typedef struct {
        int fd;
        Cancel *cancel;
        Duration deadline; /* of the answer's first byte, then of the whole */
        GByteArray *input; /* read and not taken */
} Wire;

static bool wire_send(Wire *wire, const char *bytes, size_t length, GError **error) {
        while (length > 0) {
                if (!cancel_poll(wire->cancel, wire->fd, POLLOUT, wire->deadline, error))
                        return false;
                ssize_t count = send(wire->fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
                if (count < 0 && errno != EAGAIN && errno != EINTR) {
                        g_set_error(error, ERROR, ERROR_UNAVAILABLE, "write: %s",
                                    g_strerror(errno));
                        return false;
                }
                bytes += MAX(count, 0);
                length -= (size_t) MAX(count, 0);
        }
        return true;
}

/* Reads more into input. Returns 0 at the end, -1 with an error. */
static ssize_t wire_fill(Wire *wire, GError **error) {
        char piece[16 * 1024];
        for (;;) {
                if (!cancel_poll(wire->cancel, wire->fd, POLLIN, wire->deadline, error))
                        return -1;
                ssize_t count = recv(wire->fd, piece, sizeof piece, MSG_DONTWAIT);
                if (count >= 0) {
                        g_byte_array_append(wire->input, (const guint8 *) piece, (guint) count);
                        return count;
                }
                if (errno != EAGAIN && errno != EINTR) {
                        g_set_error(error, ERROR, ERROR_UNAVAILABLE, "read: %s", g_strerror(errno));
                        return -1;
                }
        }
}

/* ---- the request ---- */

static bool has_header(const HttpCall *call, const char *name) {
        size_t length = strlen(name);
        for (size_t i = 0; call->headers && call->headers[i]; i++)
                if (g_ascii_strncasecmp(call->headers[i], name, length) == 0 &&
                    call->headers[i][length] == ':')
                        return true;
        return false;
}

static bool append_request(GString *text, const HttpClient *client, const HttpCall *call,
                           const Target *target, GError **error) {
        const char *agent = client->spec.user_agent ? client->spec.user_agent : "weir";
        g_string_printf(text, "%s %s HTTP/1.1\r\n", call->method, target->path);
        if (!has_header(call, "Host"))
                g_string_append_printf(text, "Host: %s\r\n", target->authority);
        if (!has_header(call, "User-Agent"))
                g_string_append_printf(text, "User-Agent: %s\r\n", agent);
        for (size_t i = 0; call->headers && call->headers[i]; i++) {
                if (strpbrk(call->headers[i], "\r\n")) {
                        g_set_error(error, ERROR, ERROR_INVALID, "invalid header '%s'",
                                    call->headers[i]);
                        return false;
                }
                g_string_append_printf(text, "%s\r\n", call->headers[i]);
        }
        if (call->body_length > 0 || strcmp(call->method, "GET") != 0)
                g_string_append_printf(text, "Content-Length: %zu\r\n", call->body_length);
        g_string_append(text, "\r\n");
        if (call->body_length > 0)
                g_string_append_len(text, call->body, (gssize) call->body_length);
        return true;
}

/* ---- the answer ---- */

static bool set_malformed(GError **error) {
        g_set_error_literal(error, ERROR, ERROR_PROTOCOL, "malformed HTTP response");
        return false;
}

static bool parse_status_line(const char *line, int *ret) {
        bool ok = strncmp(line, "HTTP/1.", 7) == 0 && g_ascii_isdigit(line[7]) && line[8] == ' ';
        for (int i = 9; ok && i < 12; i++)
                ok = g_ascii_isdigit(line[i]);
        if (!ok || (line[12] != ' ' && line[12] != '\0'))
                return false;
        *ret = atoi(line + 9);
        return *ret >= 100;
}

bool client_parse_head(const char *text, HttpReply *ret, GError **error) {
        g_auto(GStrv) lines = g_strsplit(text, "\r\n", -1);
        if (!parse_status_line(lines[0], &ret->status))
                return set_malformed(error);
        g_ptr_array_set_size(ret->headers, 0);
        for (char **line = lines + 1; *line && **line; line++) {
                const char *colon = strchr(*line, ':');
                if (!colon || colon == *line)
                        return set_malformed(error);
                for (const char *byte = *line; *byte; byte++)
                        if (byte < colon ? !token_is_char((unsigned char) *byte)
                                         : !token_is_text((unsigned char) *byte))
                                return set_malformed(error);
                g_ptr_array_add(ret->headers, g_strdup(*line));
        }
        return true;
}

/* Reads up to the empty line and takes the head off the input. */
static bool read_head(Wire *wire, HttpReply *ret, GError **error) {
        for (;;) {
                GByteArray *input = wire->input;
                const char *end = input->len ? memmem(input->data, input->len, "\r\n\r\n", 4)
                                             : NULL;
                if (end) {
                        size_t length = (size_t) (end + 4 - (const char *) input->data);
                        g_autofree char *text = g_strndup((const char *) input->data, length - 2);
                        if (strlen(text) != length - 2)
                                return set_malformed(error);
                        g_byte_array_remove_range(input, 0, (guint) length);
                        return client_parse_head(text, ret, error);
                }
                if (input->len > HEAD_MAX) {
                        g_set_error(error, ERROR, ERROR_LIMIT,
                                    "header of the answer is longer than %zu bytes", HEAD_MAX);
                        return false;
                }
                ssize_t count = wire_fill(wire, error);
                if (count == 0)
                        g_set_error_literal(error, ERROR, ERROR_UNAVAILABLE,
                                            input->len ? "unexpected EOF" : "EOF");
                if (count <= 0)
                        return false;
        }
}

/* What takes bytes of a body off the input. Returns 1 when it is whole, 0 for more, -1: malformed. */
typedef struct {
        int64_t left; /* -1: until the end of the connection, or chunked */
        bool chunked;
        ChunkedDecoder decoder;
        GByteArray *body;
} BodyReader;

static int body_take(BodyReader *reader, GByteArray *input) {
        size_t used = input->len, length = input->len;
        const char *payload = (const char *) input->data;
        ChunkedState state = CHUNKED_MORE;
        if (reader->chunked)
                state = chunked_feed(&reader->decoder, (const char *) input->data, input->len,
                                     &used, &payload, &length);
        else if (reader->left >= 0)
                used = length = MIN(input->len, (size_t) reader->left);
        if (reader->left > 0)
                reader->left -= (int64_t) length;
        if (length > 0)
                g_byte_array_append(reader->body, (const guint8 *) payload, (guint) length);
        g_byte_array_remove_range(input, 0, (guint) used);
        if (state == CHUNKED_BAD)
                return -1;
        return reader->left == 0 || state == CHUNKED_DONE;
}

static bool body_start(BodyReader *reader, const HttpReply *reply) {
        const char *coding = http_reply_header(reply, "Transfer-Encoding");
        const char *length = http_reply_header(reply, "Content-Length");
        *reader = (BodyReader){ .left = -1, .chunked = coding != NULL };
        if (coding)
                return g_ascii_strcasecmp(coding, "chunked") == 0;
        return !length || token_parse_length(length, &reader->left);
}

static bool read_body(Wire *wire, const HttpCall *call, HttpReply *ret, GError **error) {
        size_t limit = call->reply_max ? call->reply_max : REPLY_MAX;
        g_autoptr(GByteArray) body = g_byte_array_new();
        BodyReader reader;
        if (!body_start(&reader, ret))
                return set_malformed(error);
        reader.body = body;
        bool bodiless = ret->status == 204 || ret->status == 304;
        for (int whole = bodiless; !whole;) {
                while (!(whole = body_take(&reader, wire->input)) && wire->input->len > 0)
                        ;
                if (whole < 0)
                        return set_malformed(error);
                if (body->len > limit) {
                        g_set_error(error, ERROR, ERROR_LIMIT, "answer is longer than %zu bytes",
                                    limit);
                        return false;
                }
                ssize_t count = whole ? 1 : wire_fill(wire, error);
                if (count < 0)
                        return false;
                if (count == 0 && (reader.chunked || reader.left >= 0)) {
                        g_set_error_literal(error, ERROR, ERROR_UNAVAILABLE, "unexpected EOF");
                        return false;
                }
                whole |= count == 0;
        }
        ret->length = body->len;
        g_byte_array_append(body, (const guint8 *) "", 1);
        ret->body = (char *) g_byte_array_free(g_steal_pointer(&body), false);
        return true;
}

/* ---- all ---- */

static Duration deadline_after(Duration timeout) {
        return timeout > 0 ? clock_monotonic() + timeout : DURATION_NEVER;
}

static bool exchange(Wire *wire, HttpClient *client, const HttpCall *call, const Target *target,
                     HttpReply *reply, GError **error) {
        g_autoptr(GString) request = g_string_new(NULL);
        if (!append_request(request, client, call, target, error))
                return false;
        wire->deadline = deadline_after(client->spec.total_timeout);
        if (!wire_send(wire, request->str, request->len, error))
                return false;
        wire->deadline = MIN(wire->deadline, deadline_after(client->spec.response_timeout));
        for (int i = 0; i <= INTERIM_MAX; i++) {
                if (!read_head(wire, reply, error))
                        return false;
                if (reply->status >= 200 || reply->status == 101)
                        return true;
        }
        return set_malformed(error);
}

static bool is_taken_over(const HttpReply *reply) {
        return reply->status == 101 || (reply->status >= 200 && reply->status < 300);
}

bool http_take_over(HttpClient *client, const HttpCall *call, Cancel *cancel, HttpReply *ret,
                    int *ret_fd, char **ret_rest, size_t *ret_rest_length, GError **error) {
        g_auto(Target) target = { 0 };
        g_auto(HttpReply) reply = { 0 };
        g_autoptr(GByteArray) input = g_byte_array_new();
        Duration deadline = deadline_after(client->spec.connect_timeout);
        g_assert(!call->source && !call->sink);
        if (!cancel_check(cancel, error) || !target_parse(call->url, &target, error))
                return false;
        autofd fd = client->spec.unix_path
                            ? dial_unix(client->spec.unix_path, cancel, deadline, error)
                            : dial_target(&target, cancel, deadline, error);
        if (fd < 0)
                return false;
        Wire wire = { .fd = fd, .cancel = cancel, .input = input };
        reply.headers = g_ptr_array_new_with_free_func(g_free);
        if (!exchange(&wire, client, call, &target, &reply, error) ||
            (!is_taken_over(&reply) && !read_body(&wire, call, &reply, error))) {
                g_prefix_error(error, "%s %s: ", call->method, call->url);
                return false;
        }
        *ret_fd = -1;
        *ret_rest = NULL;
        *ret_rest_length = 0;
        if (is_taken_over(&reply)) {
                fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
                *ret_fd = fd_steal(&fd);
                *ret_rest_length = input->len;
                if (input->len > 0)
                        *ret_rest = (char *) g_byte_array_free(g_steal_pointer(&input), false);
        }
        *ret = reply;
        reply = (HttpReply){ 0 };
        return true;
}
