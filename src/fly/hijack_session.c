#include "fly/hijack.h"

#include "base/files.h"
#include "fly/terminal.h"
#include "http/url.h"
#include "http/websocket_client.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#define PING_INTERVAL (10 * DURATION_SECOND)
#define PIECE ((size_t) 32 * 1024)
#define QUEUE_MAX ((size_t) 256 * 1024)
/* Kept of what was typed until the process shows that it is there. */
#define KEEP_MAX ((guint) 1024 * 1024)
#define STATUS_FAILED 255

typedef struct {
        WebSocketClient *socket;
        HijackTyped *typed;
        HijackEnd *end;
        bool reading; /* standard input may have more */
        bool told;    /* how it ended */
        int signals;  /* a signalfd for SIGWINCH */
        Duration next_ping;
} Session;

void hijack_end_clear(HijackEnd *end) {
        g_free(end->failure);
        *end = (HijackEnd){ 0 };
}

void hijack_say_failure(const char *text) {
        fprintf(stderr, "\033[0;1;31m%s\033[0m\n", text);
}

/* ---- to the server ---- */

static bool send_input(Session *session, const HijackInput *input, GError **error) {
        g_autoptr(GString) text = g_string_new(NULL);

        hijack_input_append(text, input);
        return websocket_client_send(session->socket, text->str, text->len, error);
}

static bool send_bytes(Session *session, const void *bytes, size_t length, GError **error) {
        g_autoptr(GBytes) data = g_bytes_new(bytes, length);

        return send_input(session, &(HijackInput){ .kind = HIJACK_INPUT, .data = data }, error);
}

static void stop_keeping(HijackTyped *typed) {
        if (typed->bytes)
                g_byte_array_unref(typed->bytes);
        typed->bytes = NULL;
}

static bool read_input(Session *session, GError **error) {
        char piece[PIECE];
        ssize_t count = read(STDIN_FILENO, piece, sizeof piece);
        HijackTyped *typed = session->typed;

        if (count < 0 && (errno == EINTR || errno == EAGAIN))
                return true;
        if (count <= 0) {
                session->reading = false;
                typed->ended = true;
                return send_input(session, &(HijackInput){ .kind = HIJACK_INPUT_ENDED }, error);
        }
        if (typed->bytes)
                g_byte_array_append(typed->bytes, (const guint8 *) piece, (guint) count);
        if (typed->bytes && typed->bytes->len > KEEP_MAX)
                stop_keeping(typed);
        return send_bytes(session, piece, (size_t) count, error);
}

/* What an earlier try sent to a process that did not start. */
static bool send_typed(Session *session, GError **error) {
        const HijackTyped *typed = session->typed;

        for (size_t at = 0; typed->bytes && at < typed->bytes->len; at += PIECE)
                if (!send_bytes(session, typed->bytes->data + at,
                                MIN(PIECE, typed->bytes->len - at), error))
                        return false;
        session->reading = !typed->ended;
        return !typed->ended ||
               send_input(session, &(HijackInput){ .kind = HIJACK_INPUT_ENDED }, error);
}

static bool send_size(Session *session, GError **error) {
        struct signalfd_siginfo info;
        HijackInput input = { .kind = HIJACK_RESIZED };

        while (read(session->signals, &info, sizeof info) > 0)
                ;
        return !terminal_size(STDIN_FILENO, &input.window) || send_input(session, &input, error);
}

/* ---- from the server ---- */

/* As any program whose reader has gone: by the signal. */
static void write_out(int fd, GBytes *data) {
        gsize length;
        const void *bytes = g_bytes_get_data(data, &length);

        if (write_all(fd, bytes, length, NULL) || errno != EPIPE)
                return;
        terminal_restore();
        signal(SIGPIPE, SIG_DFL);
        raise(SIGPIPE);
}

static void obey(Session *session, const HijackOutput *output) {
        HijackEnd *end = session->end;

        if (output->kind != HIJACK_NOTHING && output->kind != HIJACK_NO_EXECUTABLE &&
            output->kind != HIJACK_FAILED)
                stop_keeping(session->typed);
        switch (output->kind) {
        case HIJACK_STDOUT:
                write_out(STDOUT_FILENO, output->data);
                break;
        case HIJACK_STDERR:
                write_out(STDERR_FILENO, output->data);
                break;
        case HIJACK_EXITED:
                end->status = (int) output->status;
                session->told = true;
                break;
        case HIJACK_NO_EXECUTABLE:
                end->no_executable = session->told = true;
                break;
        case HIJACK_FAILED:
                end->no_executable |= hijack_error_is_no_executable(output->error);
                end->status = STATUS_FAILED;
                session->told = true;
                if (!end->no_executable)
                        hijack_say_failure(output->error);
                else if (!end->failure)
                        end->failure = g_strdup(output->error);
                break;
        case HIJACK_NOTHING:
                break;
        }
}

/* Takes all that is there. *ret_closed: the server is done. */
static bool read_socket(Session *session, bool *ret_closed, GError **error) {
        for (;;) {
                g_autofree char *text = NULL;
                g_auto(HijackOutput) output = { 0 };
                g_autoptr(GError) local = NULL;
                size_t length;
                if (!websocket_client_receive(session->socket, &text, &length, &local)) {
                        *ret_closed = error_is(local, ERROR_UNAVAILABLE);
                        if (!*ret_closed)
                                g_propagate_error(error, g_steal_pointer(&local));
                        return *ret_closed;
                }
                if (!text)
                        return true;
                if (!hijack_output_parse(text, length, &output, error))
                        return false;
                obey(session, &output);
        }
}

/* ---- the whole life ---- */

static bool turn(Session *session, bool *ret_closed, GError **error) {
        size_t queued = websocket_client_queued(session->socket);
        bool wants = session->reading && queued < QUEUE_MAX;
        struct pollfd polls[] = {
                { .fd = websocket_client_fd(session->socket),
                  .events = (short) (POLLIN | (queued > 0 ? POLLOUT : 0)) },
                { .fd = wants ? STDIN_FILENO : -1, .events = POLLIN },
                { .fd = session->signals, .events = POLLIN },
        };
        Duration left = MAX(session->next_ping - clock_monotonic(), 0);
        g_autoptr(GError) local = NULL;

        poll(polls, G_N_ELEMENTS(polls), (int) (left / DURATION_MILLISECOND) + 1);
        bool sent = websocket_client_flush(session->socket, &local) &&
                    (!polls[1].revents || read_input(session, &local)) &&
                    (!polls[2].revents || send_size(session, &local));
        if (sent && clock_monotonic() >= session->next_ping) {
                session->next_ping = clock_monotonic() + PING_INTERVAL;
                sent = websocket_client_ping(session->socket, &local);
        }
        /* A server that closed takes no more, but may have said why. */
        if (!read_socket(session, ret_closed, error))
                return false;
        *ret_closed |= !sent;
        return true;
}

static WebSocketClient *connect_to(Fly *fly, const char *handle, GError **error) {
        g_autofree char *segment = url_encode_path(handle);
        g_autofree char *tail = g_strconcat("/containers/", segment, "/hijack", NULL);
        g_autofree char *path = path_team(fly, tail);
        g_autofree char *url = g_strconcat(fly->target->api, path, NULL);
        g_autofree char *login = fly->target->has_token ? api_authorization(fly->target) : NULL;
        const char *headers[] = { login, NULL };
        g_autoptr(GError) cause = NULL;
        int status;
        WebSocketClient *socket = websocket_connect(
                fly->http, &(HttpCall){ .method = "GET", .url = url, .headers = headers }, &status,
                &cause);

        if (!socket && status) {
                g_autofree char *line = http_status_line(status);
                fly_fail(error, "%s %s", line, cause->message);
        } else if (!socket)
                g_set_error_literal(error, FLY_ERROR, FLY_NETWORK, cause->message);
        return socket;
}

static int watch_size(void) {
        sigset_t set;

        sigemptyset(&set);
        sigaddset(&set, SIGWINCH);
        pthread_sigmask(SIG_BLOCK, &set, NULL);
        return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

bool hijack_session(Fly *fly, const char *handle, const GardenProcessSpec *spec, HijackTyped *typed,
                    HijackEnd *ret, GError **error) {
        autofd signals = watch_size();
        g_autoptr(WebSocketClient) socket = connect_to(fly, handle, error);
        Session session = { .socket = socket,
                            .typed = typed,
                            .end = ret,
                            .signals = signals,
                            .next_ping = clock_monotonic() + PING_INTERVAL };
        bool closed = false;
        size_t length;

        if (!socket)
                return false;
        g_autofree char *first = hijack_spec_write(spec, &length);
        /* A server that takes none of it has closed, and may have said why. */
        if (websocket_client_send(socket, first, length, NULL))
                send_typed(&session, NULL);
        while (!closed)
                if (!turn(&session, &closed, error))
                        return false;
        if (session.told)
                return true;
        /* Upstream's fly takes this for success; a script must not. */
        hijack_say_failure("connection to the server was lost");
        ret->status = STATUS_FAILED;
        return true;
}
