/*
 * Each call drives its own easy handle in a multi handle, on the caller's thread, so callbacks may
 * block and cancelling is a wake-up. Idle multi handles wait in the client, with their connections.
 */
#include "http/client.h"

#include "base/thread.h"
#include "http/client_internal.h"

#include <curl/curl.h>
#include <string.h>

#define IDLE_MAX 16              /* multi handles kept */
#define CONNECTIONS_PER_HANDLE 4 /* kept by each */
#define REDIRECTS_MAX 10L
#define HEAD_MAX (64 * 1024)
#define REPLY_MAX ((size_t) 16 * 1024 * 1024)

typedef struct {
        const HttpCall *call;
        HttpClient *client;
        CURLM *multi;
        CURL *easy;
        struct curl_slist *headers;
        HttpReply reply;
        size_t head_bytes;
        GByteArray *body;
        bool head_told, sending; /* the request's body is still on its way */
        Duration response_deadline;
        GError *error; /* what a callback said */
        char text[CURL_ERROR_SIZE];
} Transfer;

/* ---- the client ---- */

static void curl_start(void) {
        curl_global_init(CURL_GLOBAL_DEFAULT);
}

HttpClient *http_client_new(const HttpClientSpec *spec) {
        static pthread_once_t once = PTHREAD_ONCE_INIT;
        pthread_once(&once, curl_start);
        HttpClient *client = g_new0(HttpClient, 1);
        client->spec = *spec;
        client->spec.unix_path = g_strdup(spec->unix_path);
        client->spec.ca_file = g_strdup(spec->ca_file);
        client->spec.client_certificate = g_strdup(spec->client_certificate);
        client->spec.client_key = g_strdup(spec->client_key);
        client->spec.user_agent = g_strdup(spec->user_agent);
        if (spec->connect_timeout == 0)
                client->spec.connect_timeout = 30 * DURATION_SECOND;
        client->idle = g_ptr_array_new();
        mutex_init(&client->mutex);
        return client;
}

void http_client_free(HttpClient *client) {
        if (!client)
                return;
        for (guint i = 0; i < client->idle->len; i++)
                curl_multi_cleanup(client->idle->pdata[i]);
        g_ptr_array_unref(client->idle);
        mutex_destroy(&client->mutex);
        g_free((char *) client->spec.unix_path);
        g_free((char *) client->spec.ca_file);
        g_free((char *) client->spec.client_certificate);
        g_free((char *) client->spec.client_key);
        g_free((char *) client->spec.user_agent);
        g_free(client);
}

static CURLM *take_multi(HttpClient *client) {
        CURLM *multi = NULL;
        mutex_lock(&client->mutex);
        if (client->idle->len > 0)
                multi = g_ptr_array_remove_index(client->idle, client->idle->len - 1);
        mutex_unlock(&client->mutex);
        if (multi)
                return multi;
        multi = curl_multi_init();
        g_assert(multi);
        curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, (long) CONNECTIONS_PER_HANDLE);
        return multi;
}

static void give_multi(HttpClient *client, CURLM *multi) {
        mutex_lock(&client->mutex);
        bool keep = client->idle->len < IDLE_MAX;
        if (keep)
                g_ptr_array_add(client->idle, multi);
        mutex_unlock(&client->mutex);
        if (!keep)
                curl_multi_cleanup(multi);
}

/* ---- replies ---- */

void http_reply_clear(HttpReply *reply) {
        if (reply->headers)
                g_ptr_array_unref(reply->headers);
        g_free(reply->body);
        *reply = (HttpReply){ 0 };
}

const char *http_reply_header(const HttpReply *reply, const char *name) {
        size_t length = strlen(name);
        for (guint i = 0; reply->headers && i < reply->headers->len; i++) {
                const char *line = reply->headers->pdata[i];
                if (g_ascii_strncasecmp(line, name, length) == 0 && line[length] == ':') {
                        line += length + 1;
                        return line + strspn(line, " \t");
                }
        }
        return NULL;
}

/* ---- curl's callbacks; each runs on the caller's thread ---- */

static bool is_followed(const Transfer *transfer) {
        static const int followed[] = { 301, 302, 303, 307, 308 };
        if (!transfer->client->spec.follow || !http_reply_header(&transfer->reply, "location"))
                return false;
        for (size_t i = 0; i < G_N_ELEMENTS(followed); i++)
                if (transfer->reply.status == followed[i])
                        return true;
        return false;
}

/* The head is whole. Interim answers and redirects that are followed are not the caller's. */
static bool end_head(Transfer *transfer) {
        const HttpCall *call = transfer->call;
        if (transfer->reply.status < 200 || is_followed(transfer) || transfer->head_told)
                return true;
        transfer->head_told = true;
        return !call->head || call->head(&transfer->reply, call->data, &transfer->error);
}

static bool take_header(Transfer *transfer, const char *line, size_t length) {
        transfer->head_bytes += length;
        if (transfer->head_bytes > HEAD_MAX) {
                g_set_error(&transfer->error, ERROR, ERROR_LIMIT,
                            "header of the answer is longer than %d bytes", HEAD_MAX);
                return false;
        }
        transfer->response_deadline = DURATION_NEVER;
        while (length > 0 && (line[length - 1] == '\n' || line[length - 1] == '\r'))
                length--;
        if (length >= 9 && strncmp(line, "HTTP/", 5) == 0) {
                const char *space = memchr(line, ' ', length);
                g_ptr_array_set_size(transfer->reply.headers, 0);
                transfer->head_bytes = length;
                transfer->reply.status = space ? atoi(space + 1) : 0;
                return true;
        }
        if (length == 0)
                return end_head(transfer);
        if (!transfer->head_told) /* later ones are trailers */
                g_ptr_array_add(transfer->reply.headers, g_strndup(line, length));
        return true;
}

static size_t on_header(char *line, size_t size, size_t count, void *data) {
        return take_header(data, line, size * count) ? size * count : 0;
}

static bool collect(Transfer *transfer, const char *bytes, size_t length) {
        size_t limit = transfer->call->reply_max ? transfer->call->reply_max : REPLY_MAX;
        if (transfer->body->len + length > limit) {
                g_set_error(&transfer->error, ERROR, ERROR_LIMIT, "answer is longer than %zu bytes",
                            limit);
                return false;
        }
        g_byte_array_append(transfer->body, (const guint8 *) bytes, (guint) length);
        return true;
}

static size_t on_body(char *bytes, size_t size, size_t count, void *data) {
        Transfer *transfer = data;
        const HttpCall *call = transfer->call;
        size_t length = size * count;
        bool ok = call->sink ? call->sink(bytes, length, call->data, &transfer->error)
                             : collect(transfer, bytes, length);
        return ok ? length : length + 1; /* anything else than length fails the transfer */
}

static void start_response_clock(Transfer *transfer) {
        Duration timeout = transfer->client->spec.response_timeout;
        transfer->sending = false;
        if (timeout > 0 && !transfer->head_told)
                transfer->response_deadline = clock_monotonic() + timeout;
}

static size_t on_read(char *ret, size_t size, size_t count, void *data) {
        Transfer *transfer = data;
        const HttpCall *call = transfer->call;
        ssize_t length = call->source(ret, size * count, call->data, &transfer->error);
        if (length == 0)
                start_response_clock(transfer);
        return length < 0 ? CURL_READFUNC_ABORT : (size_t) length;
}

/* A streamed body cannot be sent twice. */
static int on_seek(void *data, curl_off_t offset, int origin) {
        return CURL_SEEKFUNC_FAIL;
}

/* ---- setting up ---- */

static bool call_has_header(const HttpCall *call, const char *name) {
        size_t length = strlen(name);
        for (size_t i = 0; call->headers && call->headers[i]; i++)
                if (g_ascii_strncasecmp(call->headers[i], name, length) == 0 &&
                    call->headers[i][length] == ':')
                        return true;
        return false;
}

static void add_header(Transfer *transfer, const char *line) {
        const char *colon = strchr(line, ':');
        g_autofree char *empty = NULL;
        if (colon && colon[1 + strspn(colon + 1, " \t")] == '\0') /* curl's spelling of no value */
                line = empty = g_strdup_printf("%.*s;", (int) (colon - line), line);
        transfer->headers = curl_slist_append(transfer->headers, line);
}

static bool headers_valid(const HttpCall *call, GError **error) {
        for (size_t i = 0; call->headers && call->headers[i]; i++)
                if (strpbrk(call->headers[i], "\r\n") || !strchr(call->headers[i], ':')) {
                        g_set_error(error, ERROR, ERROR_INVALID, "invalid header '%s'",
                                    call->headers[i]);
                        return false;
                }
        return true;
}

static void set_headers(Transfer *transfer) {
        const HttpCall *call = transfer->call;
        static const char *const unwanted[] = { "Expect", "Content-Type" };
        for (size_t i = 0; call->headers && call->headers[i]; i++)
                add_header(transfer, call->headers[i]);
        for (size_t i = 0; i < G_N_ELEMENTS(unwanted); i++)
                if (!call_has_header(call, unwanted[i])) {
                        g_autofree char *line = g_strconcat(unwanted[i], ":", NULL);
                        transfer->headers = curl_slist_append(transfer->headers, line);
                }
        if (call->source && call->source_length == 0)
                transfer->headers = curl_slist_append(transfer->headers,
                                                      "Transfer-Encoding: chunked");
        curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, transfer->headers);
        /* Who asks for a coding gets it as it comes. */
        if (!call_has_header(call, "Accept-Encoding"))
                curl_easy_setopt(transfer->easy, CURLOPT_ACCEPT_ENCODING, "gzip");
}

static bool takes_body(const char *method) {
        return strcmp(method, "POST") == 0 || strcmp(method, "PUT") == 0 ||
               strcmp(method, "PATCH") == 0;
}

/* curl sends a request once more when a kept connection turns out to be dead, even if the server may
 * have seen it. What must not happen twice gets a connection of its own. */
static bool is_repeatable(const HttpCall *call) {
        static const char *const methods[] = { "GET", "HEAD", "OPTIONS", "PUT", "DELETE" };
        for (size_t i = 0; i < G_N_ELEMENTS(methods); i++)
                if (strcmp(call->method, methods[i]) == 0)
                        return !call->source;
        return call->repeatable && !call->source;
}

static void set_method(Transfer *transfer) {
        const HttpCall *call = transfer->call;
        CURL *easy = transfer->easy;
        bool body = call->source || call->body_length > 0 || takes_body(call->method);
        if (body)
                curl_easy_setopt(easy, CURLOPT_POST, 1L);
        if (strcmp(call->method, "HEAD") == 0)
                curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
        else if (strcmp(call->method, body ? "POST" : "GET") != 0)
                curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, call->method);
        if (!is_repeatable(call))
                curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
        if (call->source) {
                curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_read);
                curl_easy_setopt(easy, CURLOPT_READDATA, transfer);
                curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, on_seek);
                curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, 65536L);
                if (call->source_length > 0)
                        curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
                                         (curl_off_t) call->source_length);
                transfer->sending = true;
        } else if (body) {
                curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t) call->body_length);
                curl_easy_setopt(easy, CURLOPT_POSTFIELDS, call->body ? call->body : "");
        }
}

static long milliseconds(Duration duration) {
        return (long) MAX(duration / DURATION_MILLISECOND, duration > 0);
}

void client_set_up(CURL *easy, const HttpClientSpec *spec) {
        curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L); /* cancelling does not wait for DNS */
        curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
        curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
        curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1);
        curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, 65536L);
        curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, milliseconds(spec->connect_timeout));
        curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, milliseconds(spec->total_timeout));
        if (spec->stall_timeout > 0) {
                curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
                curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME,
                                 (long) MAX(spec->stall_timeout / DURATION_SECOND, 1));
        }
        curl_easy_setopt(easy, CURLOPT_USERAGENT, spec->user_agent ? spec->user_agent : "weir");
        curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, (long) spec->follow);
        curl_easy_setopt(easy, CURLOPT_MAXREDIRS, REDIRECTS_MAX);
        if (spec->unix_path)
                curl_easy_setopt(easy, CURLOPT_UNIX_SOCKET_PATH, spec->unix_path);
        if (spec->unix_path || spec->no_proxy)
                curl_easy_setopt(easy, CURLOPT_PROXY, "");
        if (spec->insecure) {
                curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, 0L);
                curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, 0L);
        }
        if (spec->ca_file)
                curl_easy_setopt(easy, CURLOPT_CAINFO, spec->ca_file);
        if (spec->client_certificate)
                curl_easy_setopt(easy, CURLOPT_SSLCERT, spec->client_certificate);
        if (spec->client_key)
                curl_easy_setopt(easy, CURLOPT_SSLKEY, spec->client_key);
}

static void set_up(Transfer *transfer) {
        CURL *easy = transfer->easy;
        client_set_up(easy, &transfer->client->spec);
        set_method(transfer);
        set_headers(transfer);
        curl_easy_setopt(easy, CURLOPT_URL, transfer->call->url);
        curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->text);
        curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
        curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
        curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
        curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
        if (!transfer->sending)
                start_response_clock(transfer);
}

/* ---- running ---- */

static const struct {
        CURLcode result;
        ErrorCode code;
} error_codes[] = {
        { CURLE_UNSUPPORTED_PROTOCOL, ERROR_INVALID },
        { CURLE_URL_MALFORMAT, ERROR_INVALID },
        { CURLE_OPERATION_TIMEDOUT, ERROR_TIMEOUT },
        { CURLE_WEIRD_SERVER_REPLY, ERROR_PROTOCOL },
        { CURLE_BAD_CONTENT_ENCODING, ERROR_PROTOCOL },
        { CURLE_TOO_MANY_REDIRECTS, ERROR_PROTOCOL },
        { CURLE_UNSUPPORTED_PROTOCOL, ERROR_INVALID },
        { CURLE_SSL_CERTPROBLEM, ERROR_INVALID },
        { CURLE_SSL_CACERT_BADFILE, ERROR_INVALID },
};

static bool fail(Transfer *transfer, CURLcode result, GError **error) {
        const HttpCall *call = transfer->call;
        const char *text = transfer->text[0] ? transfer->text : curl_easy_strerror(result);
        int code = ERROR_UNAVAILABLE;
        if (transfer->error) {
                g_propagate_error(error, g_steal_pointer(&transfer->error));
                return false;
        }
        for (size_t i = 0; i < G_N_ELEMENTS(error_codes); i++)
                if (error_codes[i].result == result)
                        code = (int) error_codes[i].code;
        /* Go's words, which end up in build logs and decide about retries (reference 06 §3.1). */
        if (result == CURLE_GOT_NOTHING)
                text = "EOF";
        else if (result == CURLE_PARTIAL_FILE)
                text = "unexpected EOF";
        g_set_error(error, ERROR, code, "%s %s: %s", call->method, call->url, text);
        return false;
}

static void wake(void *multi) {
        curl_multi_wakeup(multi);
}

static bool response_is_late(Transfer *transfer, GError **error) {
        if (clock_monotonic() < transfer->response_deadline)
                return false;
        g_set_error(error, ERROR, ERROR_TIMEOUT, "%s %s: timeout awaiting response headers",
                    transfer->call->method, transfer->call->url);
        return true;
}

static int wait_time(const Transfer *transfer) {
        if (transfer->response_deadline == DURATION_NEVER)
                return 60 * 1000; /* curl shortens it by its own timers */
        Duration left = transfer->response_deadline - clock_monotonic();
        return (int) CLAMP(left / DURATION_MILLISECOND + 1, 0, 60 * 1000);
}

static bool drive(Transfer *transfer, Cancel *cancel, GError **error) {
        for (;;) {
                int running = 0, left;
                if (!cancel_check(cancel, error))
                        return false;
                CURLMcode code = curl_multi_perform(transfer->multi, &running);
                if (code != CURLM_OK) {
                        g_set_error(error, ERROR, ERROR_INTERNAL, "%s", curl_multi_strerror(code));
                        return false;
                }
                CURLMsg *message = running == 0 ? curl_multi_info_read(transfer->multi, &left)
                                                : NULL;
                /* curl takes a header that breaks off for a whole one. */
                if (message && message->data.result == CURLE_OK)
                        return transfer->head_told || fail(transfer, CURLE_PARTIAL_FILE, error);
                if (message)
                        return fail(transfer, message->data.result, error);
                if (response_is_late(transfer, error))
                        return false;
                curl_multi_poll(transfer->multi, NULL, 0, wait_time(transfer), NULL);
        }
}

static void transfer_clear(Transfer *transfer) {
        curl_easy_cleanup(transfer->easy);
        curl_slist_free_all(transfer->headers);
        http_reply_clear(&transfer->reply);
        g_clear_error(&transfer->error);
        if (transfer->body)
                g_byte_array_unref(transfer->body);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Transfer, transfer_clear)

static void end_reply(Transfer *transfer, HttpReply *ret) {
        transfer->reply.length = transfer->body->len;
        g_byte_array_append(transfer->body, (const guint8 *) "", 1);
        transfer->reply.body = (char *) g_byte_array_free(g_steal_pointer(&transfer->body), false);
        *ret = transfer->reply;
        transfer->reply = (HttpReply){ 0 };
}

bool http_call(HttpClient *client, const HttpCall *call, Cancel *cancel, HttpReply *ret,
               GError **error) {
        g_auto(Transfer)
                transfer = { .call = call, .client = client, .response_deadline = DURATION_NEVER };
        if (!headers_valid(call, error))
                return false;
        transfer.reply.headers = g_ptr_array_new_with_free_func(g_free);
        transfer.body = g_byte_array_new();
        transfer.easy = curl_easy_init();
        transfer.multi = take_multi(client);
        g_assert(transfer.easy);
        set_up(&transfer);
        curl_multi_add_handle(transfer.multi, transfer.easy);
        uint64_t watch = cancel ? cancel_watch(cancel, wake, transfer.multi) : 0;
        bool ok = drive(&transfer, cancel, error);
        if (cancel)
                cancel_unwatch(cancel, watch);
        curl_multi_remove_handle(transfer.multi, transfer.easy);
        give_multi(client, transfer.multi);
        if (ok)
                end_reply(&transfer, ret);
        return ok;
}
