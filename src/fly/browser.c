#include "fly/browser.h"

#include "base/child.h"
#include "base/files.h"
#include "http/url.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#define REQUEST_MAX ((size_t) 64 * 1024)
#define TOKEN_MAX ((size_t) 64 * 1024)
#define REQUEST_PATIENCE_MS 5000

static int listen_on_loopback(uint16_t *ret_port, GError **error) {
        autofd fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        struct sockaddr_in address = { .sin_family = AF_INET,
                                       .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
        socklen_t length = sizeof address;

        if (fd < 0 || bind(fd, (struct sockaddr *) &address, sizeof address) < 0 ||
            listen(fd, 8) < 0 || getsockname(fd, (struct sockaddr *) &address, &length) < 0) {
                error_set_errno(error, errno, "could not listen for the browser");
                return -1;
        }
        *ret_port = ntohs(address.sin_port);
        return fd_steal(&fd);
}

/* ---- the browser's call ---- */

/* The header of one request; what comes behind it is not waited for. */
static char *read_request(int fd) {
        g_autoptr(GString) text = g_string_new(NULL);
        char piece[4096];

        while (text->len < REQUEST_MAX && !strstr(text->str, "\r\n\r\n")) {
                struct pollfd waiting = { fd, POLLIN, 0 };
                if (poll(&waiting, 1, REQUEST_PATIENCE_MS) <= 0)
                        return NULL;
                ssize_t got = read(fd, piece, sizeof piece);
                if (got <= 0)
                        return NULL;
                g_string_append_len(text, piece, got);
        }
        return g_string_free(g_steal_pointer(&text), FALSE);
}

static char *header_of(const char *request, const char *name) {
        g_auto(GStrv) lines = g_strsplit(request, "\r\n", -1);
        size_t length = strlen(name);

        for (size_t i = 1; lines[i] && *lines[i]; i++)
                if (g_ascii_strncasecmp(lines[i], name, length) == 0 && lines[i][length] == ':')
                        return g_strstrip(g_strdup(lines[i] + length + 1));
        return g_strdup("");
}

/* The query's `token`, or NULL. Returns new. */
static char *token_of(const char *request) {
        const char *line_end = strstr(request, "\r\n");
        g_autofree char *line = g_strndup(request, (size_t) (line_end - request));
        const char *query = strchr(line, '?');
        const char *end = query ? strchr(query, ' ') : NULL;

        if (!end)
                return NULL;
        g_autofree char *pairs = g_strndup(query + 1, (size_t) (end - query - 1));
        g_auto(GStrv) list = g_strsplit(pairs, "&", -1);
        for (size_t i = 0; list[i]; i++)
                if (g_str_has_prefix(list[i], "token=")) {
                        const char *value = list[i] + strlen("token=");
                        return url_decode(value, strlen(value), true, NULL);
                }
        return g_strdup("");
}

/* Answers one connection; the answer is out before the token is used. Returns new, or NULL to go on. */
static char *serve(int fd, const char *api) {
        g_autofree char *request = read_request(fd);

        if (!request)
                return NULL;
        g_autofree char *private_network = header_of(request,
                                                     "Access-Control-Request-Private-Network");
        g_autofree char *method = header_of(request, "Access-Control-Request-Method");
        g_autofree char *upgrade = header_of(request, "Upgrade-Insecure-Requests");
        bool preflight = g_str_equal(private_network, "true") && g_str_equal(method, "GET");
        g_autofree char *token = preflight ? NULL : token_of(request);
        g_autoptr(GString) answer = g_string_new(NULL);

        if (!preflight && *upgrade)
                g_string_append_printf(
                        answer, "HTTP/1.1 302 Found\r\nLocation: %s/fly_success?noop=true\r\n",
                        api);
        else
                g_string_append(answer, "HTTP/1.1 200 OK\r\n");
        g_string_append_printf(answer, "Access-Control-Allow-Origin: %s\r\n", api);
        if (preflight)
                g_string_append(answer, "Access-Control-Allow-Private-Network: true\r\n");
        g_string_append(answer, "Content-Length: 0\r\nConnection: close\r\n\r\n");
        write_all(fd, answer->str, answer->len, NULL);
        return g_steal_pointer(&token);
}

/* ---- the typed token ---- */

typedef struct {
        GString *typed;
        bool ended;
        bool changed; /* the terminal, from `before` */
        struct termios before;
} Typing;

static void hide_input(Typing *typing) {
        struct termios silent;

        if (tcgetattr(STDIN_FILENO, &typing->before) < 0)
                return;
        silent = typing->before;
        silent.c_lflag &= (tcflag_t) ~ECHO;
        typing->changed = tcsetattr(STDIN_FILENO, TCSANOW, &silent) == 0;
}

static void show_input(const Typing *typing) {
        if (typing->changed)
                tcsetattr(STDIN_FILENO, TCSANOW, &typing->before);
}

static bool has_two_parts(const char *text) {
        g_auto(GStrv) parts = g_strsplit(text, " ", -1);

        return g_strv_length(parts) == 2;
}

/* Takes what was typed. Returns new when a token was entered. "" : the person gave up. */
static char *read_typed(Typing *typing) {
        char piece[4096];
        ssize_t got = read(STDIN_FILENO, piece, sizeof piece);

        if (got <= 0)
                typing->ended = true;
        for (ssize_t i = 0; i < got; i++) {
                if (piece[i] == '\033' || piece[i] == '\003')
                        return g_strdup("");
                if (piece[i] != '\r' && piece[i] != '\n') {
                        if (typing->typed->len < TOKEN_MAX)
                                g_string_append_c(typing->typed, piece[i]);
                        continue;
                }
                if (has_two_parts(typing->typed->str))
                        return g_strdup(typing->typed->str);
                g_string_truncate(typing->typed, 0);
                fputs("\r\ntoken must be of the format 'TYPE VALUE', e.g. 'Bearer ...'\r\n",
                      stdout);
                fflush(stdout);
        }
        return NULL;
}

static char *wait_for_token(int listener, const char *api, Typing *typing) {
        char *token = NULL;

        while (!token) {
                struct pollfd sources[] = { { listener, POLLIN, 0 },
                                            { typing->ended ? -1 : STDIN_FILENO, POLLIN, 0 } };
                if (poll(sources, G_N_ELEMENTS(sources), -1) < 0 && errno != EINTR)
                        return g_strdup("");
                if (sources[1].revents)
                        token = read_typed(typing);
                if (token || !sources[0].revents)
                        continue;
                autofd fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
                if (fd >= 0)
                        token = serve(fd, api);
        }
        return token;
}

static void open_in_browser(const char *url) {
        const char *const argv[] = { "xdg-open", url, NULL };
        const ChildSpec spec = { .argv = argv, .input = -1, .output = -1, .error = -1 };

        child_start(&spec, NULL, NULL, NULL); /* the address is on the screen as well */
}

char *browser_token(const char *api, bool open_browser, GError **error) {
        uint16_t port;
        autofd listener = listen_on_loopback(&port, error);
        g_autoptr(GString) typed = g_string_new(NULL);
        Typing typing = { .typed = typed };

        if (listener < 0)
                return NULL;
        g_autofree char *url = g_strdup_printf("%s/login?fly_port=%u", api, port);
        printf("navigate to the following URL in your browser:\r\n\r\n  %s\r\n\r\n", url);
        fputs("or enter token manually (input hidden): ", stdout);
        fflush(stdout);
        if (open_browser)
                open_in_browser(url);
        hide_input(&typing);
        char *token = wait_for_token(listener, api, &typing);
        show_input(&typing);
        fputs("\r\n", stdout);
        return token;
}
