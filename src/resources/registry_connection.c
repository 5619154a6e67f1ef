#include "resources/registry_connection.h"

#include "base/crypto.h"
#include "base/json.h"
#include "base/thread.h"
#include "http/status.h"
#include "http/url.h"
#include "resources/registry_challenge.h"

#include <stdio.h>
#include <string.h>

#define FAILURE_BODY_MAX ((size_t) 64 * 1024)
#define TOKEN_REPLY_MAX ((size_t) 1024 * 1024)
#define RESPONSE_TIMEOUT (60 * DURATION_SECOND)
#define STALL_TIMEOUT (120 * DURATION_SECOND)

/* What passes quickly: attempts in all, the first pause, by how much each grows. */
#define QUICK_ATTEMPTS 3
#define QUICK_PAUSE DURATION_SECOND
#define QUICK_FACTOR 3.0
/* What may take its time, in get and put. */
#define LONG_PAUSE (5 * DURATION_SECOND)
#define LONG_FACTOR 1.5
#define LONG_PAUSE_MAX (5 * DURATION_MINUTE)
#define LONG_END DURATION_HOUR
#define TEST_PAUSE (5 * DURATION_MILLISECOND)

struct Registry {
        RegistrySpec spec;
        HttpClient *client;
        Mutex lock;          /* of what follows */
        char *origin;        /* "https://ghcr.io"; NULL: not yet asked */
        Challenge challenge; /* as the registry asked for it */
        char *authorization; /* the header's value; NULL: none */
        unsigned generation; /* of authorization */
};

Registry *registry_new(const RegistrySpec *spec) {
        Registry *registry = g_new0(Registry, 1);
        const HttpClientSpec client = {
                .response_timeout = RESPONSE_TIMEOUT,
                .stall_timeout = STALL_TIMEOUT,
                .ca_file = spec->ca_file,
                .user_agent = "weir-registry-image",
                .follow = true,
        };
        registry->spec = *spec;
        registry->client = http_client_new(&client);
        mutex_init(&registry->lock);
        return registry;
}

void registry_free(Registry *registry) {
        if (!registry)
                return;
        http_client_free(registry->client);
        mutex_destroy(&registry->lock);
        g_free(registry->origin);
        challenge_clear(&registry->challenge);
        g_free(registry->authorization);
        g_free(registry);
}

const RegistryName *registry_name(const Registry *registry) {
        return registry->spec.name;
}

/* ---- patience ---- */

/* A broken connection, as opposed to one that cannot be made: the texts are curl's and the client's. */
static bool connection_broke(const GError *failure) {
        static const char *const signs[] = { "EOF", "reset by peer", "Broken pipe", "Send failure",
                                             "Recv failure" };
        for (size_t i = 0; i < G_N_ELEMENTS(signs); i++)
                if (strstr(failure->message, signs[i]))
                        return true;
        return false;
}

static bool is_server_failure(const GError *failure) {
        return error_is(failure, ERROR_BUSY) && !strstr(failure->message, "429");
}

static bool passes(const GError *failure) {
        return error_is(failure, ERROR_BUSY) || error_is(failure, ERROR_TIMEOUT) ||
               (error_is(failure, ERROR_UNAVAILABLE) && connection_broke(failure));
}

static Duration jitter(Duration pause) {
        uint16_t random;
        crypto_random(&random, sizeof(random));
        return (Duration) ((double) pause * (0.5 + random / 65536.0));
}

/* The pause before the next attempt; 0: no more. */
static Duration next_pause(const Registry *registry, const RegistryPatience *patience,
                           const GError *failure) {
        bool quick = !registry->spec.persistent || is_server_failure(failure);
        double pause = (double) (quick ? QUICK_PAUSE : LONG_PAUSE);
        if (quick ? patience->attempts >= QUICK_ATTEMPTS
                  : clock_monotonic() - patience->started > LONG_END)
                return 0;
        for (unsigned i = 1; i < patience->attempts && pause < (double) LONG_PAUSE_MAX; i++)
                pause *= quick ? QUICK_FACTOR : LONG_FACTOR;
        if (g_strcmp0(g_getenv("TEST"), "true") == 0)
                return TEST_PAUSE;
        return MIN(jitter((Duration) pause), LONG_PAUSE_MAX);
}

bool registry_wait(Registry *registry, RegistryPatience *patience, GError **failure) {
        if (patience->attempts == 0)
                patience->started = clock_monotonic();
        patience->attempts++;
        Duration pause = passes(*failure) ? next_pause(registry, patience, *failure) : 0;
        if (pause == 0)
                return false;
        fprintf(stderr, "transient error: %s; retrying in %.3fs\n", (*failure)->message,
                (double) pause / (double) DURATION_SECOND);
        g_clear_error(failure);
        return cancel_sleep(NULL, pause, failure);
}

/* ---- failures ---- */

static ErrorCode status_code(int status) {
        switch (status) {
        case 404:
                return ERROR_NOT_FOUND;
        case 401:
        case 403:
                return ERROR_DENIED;
        case 408:
        case 429:
                return ERROR_BUSY;
        default:
                return status >= 500 ? ERROR_BUSY : ERROR_INVALID;
        }
}

/* What the registry says is wrong: "CODE: message; …". Returns new; NULL when it says nothing of the kind. */
static char *failure_text(const char *body, size_t length) {
        g_autoptr(Value) value = json_parse(body, length, NULL, NULL);
        const Value *errors = value_get(value, "errors");
        g_autoptr(GString) text = g_string_new(NULL);
        for (size_t i = 0; i < value_length(errors); i++) {
                const Value *one = value_at(errors, i);
                g_string_append_printf(text, "%s%s: %s", i > 0 ? "; " : "",
                                       value_get_string(one, "code", "UNKNOWN"),
                                       value_get_string(one, "message", ""));
        }
        return text->len > 0 ? g_string_free(g_steal_pointer(&text), false) : NULL;
}

/* The whole message must hold the number: passes() looks for 429. */
static void failure_set(const HttpCall *call, const HttpReply *reply, GError **error) {
        g_autofree char *said = failure_text(reply->body, reply->length);
        g_autofree char *shown = g_utf8_make_valid(reply->body, (gssize) MIN(reply->length, 1000));
        bool head = strcmp(call->method, "HEAD") == 0;
        g_set_error(error, ERROR, (int) status_code(reply->status),
                    "%s %s: unexpected status code %d %s%s%s", call->method, call->url,
                    reply->status, http_status_text(reply->status),
                    said || (*shown && !head) ? ": " : "", said ? said : g_strstrip(shown));
}

/* ---- one exchange ---- */

typedef struct {
        const HttpCall *call;
        bool succeeded; /* by its status; then the body is the caller's */
        bool delivered; /* the caller's sink has had bytes */
        GByteArray *failure;
} Exchange;

static bool exchange_head(const HttpReply *reply, void *data, GError **error) {
        Exchange *exchange = data;
        exchange->succeeded = reply->status >= 200 && reply->status < 300;
        return !exchange->succeeded || !exchange->call->head ||
               exchange->call->head(reply, exchange->call->data, error);
}

static bool exchange_sink(const void *bytes, size_t length, void *data, GError **error) {
        Exchange *exchange = data;
        if (exchange->succeeded && exchange->call->sink) {
                exchange->delivered = true;
                return exchange->call->sink(bytes, length, exchange->call->data, error);
        }
        size_t limit = !exchange->succeeded        ? FAILURE_BODY_MAX
                       : exchange->call->reply_max ? exchange->call->reply_max
                                                   : (size_t) 16 << 20;
        if (exchange->failure->len + length <= limit) {
                g_byte_array_append(exchange->failure, bytes, (guint) length);
                return true;
        }
        if (!exchange->succeeded)
                return true;
        g_set_error(error, ERROR, ERROR_LIMIT, "answer is longer than %zu bytes", limit);
        return false;
}

static ssize_t exchange_source(void *ret, size_t length, void *data, GError **error) {
        Exchange *exchange = data;
        return exchange->call->source(ret, length, exchange->call->data, error);
}

/* Sends it as it is, with the headers that every request has. Any status is success. */
static bool exchange(Registry *registry, const HttpCall *call, const char *authorization,
                     Exchange *ret, HttpReply *reply, GError **error) {
        g_autoptr(GPtrArray) headers = g_ptr_array_new_with_free_func(g_free);
        for (size_t i = 0; call->headers && call->headers[i]; i++)
                g_ptr_array_add(headers, g_strdup(call->headers[i]));
        g_ptr_array_add(headers, g_strdup("Accept-Encoding: identity"));
        if (authorization)
                g_ptr_array_add(headers, g_strconcat("Authorization: ", authorization, NULL));
        g_ptr_array_add(headers, NULL);
        HttpCall inner = *call;
        inner.headers = (const char *const *) headers->pdata;
        inner.head = exchange_head;
        inner.sink = exchange_sink;
        inner.source = call->source ? exchange_source : NULL;
        inner.data = ret;
        *ret = (Exchange){ .call = call, .failure = g_byte_array_new() };
        bool done = http_call(registry->client, &inner, NULL, reply, error);
        if (done) {
                g_free(reply->body);
                reply->length = ret->failure->len;
                g_byte_array_append(ret->failure, (const guint8 *) "", 1);
                reply->body = (char *) g_byte_array_free(ret->failure, false);
        } else {
                g_byte_array_unref(ret->failure);
        }
        ret->failure = NULL;
        return done;
}

/* ---- signing in ---- */

static char *basic(const Registry *registry) {
        const RegistrySpec *spec = &registry->spec;
        if (!*spec->username || !*spec->password)
                return NULL;
        g_autofree char *pair = g_strconcat(spec->username, ":", spec->password, NULL);
        g_autofree char *text = crypto_base64(pair, strlen(pair));
        return g_strconcat("Basic ", text, NULL);
}

static char *token_url(const Registry *registry, const Challenge *challenge) {
        g_autofree char *scope = g_strdup_printf("repository:%s:%s", registry->spec.name->path,
                                                 registry->spec.actions);
        g_autofree char *encoded = url_encode_query(scope);
        g_autofree char *service = url_encode_query(challenge->service);
        return g_strconcat(challenge->realm, strchr(challenge->realm, '?') ? "&" : "?",
                           "scope=", encoded, *service ? "&service=" : "", service, NULL);
}

/* Gets a token. Returns new: the header's value. */
static char *bearer(Registry *registry, const Challenge *challenge, GError **error) {
        g_autofree char *url = token_url(registry, challenge), *credentials = basic(registry);
        const HttpCall call = { .method = "GET", .url = url, .reply_max = TOKEN_REPLY_MAX };
        g_auto(HttpReply) reply = { 0 };
        Exchange state;
        if (!exchange(registry, &call, credentials, &state, &reply, error))
                return NULL;
        if (!state.succeeded) {
                failure_set(&call, &reply, error);
                return NULL;
        }
        g_autoptr(Value) answer = json_parse(reply.body, reply.length, NULL, error);
        if (!answer) {
                g_prefix_error(error, "GET %s: ", url);
                return NULL;
        }
        const char *token = value_get_string(answer, "token", "");
        if (!*token)
                token = value_get_string(answer, "access_token", "");
        if (!*token || strpbrk(token, "\r\n")) {
                g_set_error(error, ERROR, ERROR_PROTOCOL, "GET %s: no token in bearer response",
                            url);
                return NULL;
        }
        return g_strconcat("Bearer ", token, NULL);
}

static void challenge_of(const HttpReply *reply, Challenge *ret) {
        g_auto(Challenge) best = { 0 };
        static const char name[] = "www-authenticate:";
        for (guint i = 0; i < reply->headers->len; i++) {
                const char *line = reply->headers->pdata[i];
                if (g_ascii_strncasecmp(line, name, strlen(name)) != 0)
                        continue;
                g_auto(Challenge) one = { 0 };
                challenge_parse(line + strlen(name), &one);
                if (one.kind < best.kind)
                        continue;
                challenge_clear(&best);
                best = one;
                one = (Challenge){ 0 };
        }
        *ret = best;
        best = (Challenge){ 0 };
}

/* The lock is held. */
static bool sign_in(Registry *registry, GError **error) {
        g_autofree char *authorization = NULL;
        if (registry->challenge.kind == CHALLENGE_BEARER) {
                authorization = bearer(registry, &registry->challenge, error);
                if (!authorization)
                        return false;
        } else {
                authorization = basic(registry);
        }
        g_free(registry->authorization);
        registry->authorization = g_steal_pointer(&authorization);
        registry->generation++;
        return true;
}

/* ---- the first contact ---- */

static bool ping(Registry *registry, const char *scheme, GError **error) {
        g_autofree char *origin = g_strconcat(scheme, "://", registry->spec.name->registry, NULL);
        g_autofree char *url = g_strconcat(origin, "/v2/", NULL);
        const HttpCall call = { .method = "GET", .url = url, .reply_max = FAILURE_BODY_MAX };
        g_auto(HttpReply) reply = { 0 };
        Exchange state;
        if (!exchange(registry, &call, NULL, &state, &reply, error))
                return false;
        if (!state.succeeded && reply.status != 401) {
                failure_set(&call, &reply, error);
                return false;
        }
        challenge_clear(&registry->challenge);
        if (reply.status == 401)
                challenge_of(&reply, &registry->challenge);
        registry->origin = g_steal_pointer(&origin);
        return true;
}

/* HTTPS, and plain HTTP behind it where that is fine. The lock is held. */
static bool find_origin(Registry *registry, GError **error) {
        bool plain = registry->spec.insecure || registry_name_is_local(registry->spec.name);
        g_autoptr(GError) secure = NULL;
        if (ping(registry, "https", &secure))
                return true;
        if (!plain || error_is(secure, ERROR_BUSY)) {
                g_propagate_error(error, g_steal_pointer(&secure));
                return false;
        }
        if (ping(registry, "http", error))
                return true;
        g_prefix_error(error, "%s; ", secure->message);
        return false;
}

/* *ret is new: the header's value, or NULL. */
static bool authorization_now(Registry *registry, char **ret, unsigned *ret_generation,
                              GError **error) {
        MUTEX_SCOPE(&registry->lock);
        if (!registry->origin && !find_origin(registry, error))
                return false;
        if (!registry->generation && !sign_in(registry, error))
                return false;
        *ret = g_strdup(registry->authorization);
        *ret_generation = registry->generation;
        return true;
}

/* A token ended, or did not go far enough: another one, unless some other thread was faster. */
static bool authorization_renew(Registry *registry, unsigned generation, GError **error) {
        MUTEX_SCOPE(&registry->lock);
        return registry->generation != generation || sign_in(registry, error);
}

/* ---- requests ---- */

/* Other hosts, where uploads may be sent, do not get our credentials. */
static bool is_ours(const Registry *registry, const char *url) {
        size_t length = strlen(registry->origin);
        return g_str_has_prefix(url, registry->origin) && url[length] == '/';
}

static bool call_once(Registry *registry, const HttpCall *call, Exchange *state, HttpReply *ret,
                      GError **error) {
        for (bool renewed = false;; renewed = true) {
                g_autofree char *authorization = NULL;
                unsigned generation;
                if (!authorization_now(registry, &authorization, &generation, error))
                        return false;
                g_autofree char *url = *call->url == '/'
                                               ? g_strconcat(registry->origin, call->url, NULL)
                                               : g_strdup(call->url);
                HttpCall whole = *call;
                whole.url = url;
                g_auto(HttpReply) reply = { 0 };
                if (!exchange(registry, &whole, is_ours(registry, url) ? authorization : NULL,
                              state, &reply, error))
                        return false;
                if (state->succeeded) {
                        *ret = reply;
                        reply = (HttpReply){ 0 };
                        return true;
                }
                if (reply.status != 401 || registry->challenge.kind != CHALLENGE_BEARER ||
                    renewed || call->source) {
                        failure_set(&whole, &reply, error);
                        return false;
                }
                if (!authorization_renew(registry, generation, error))
                        return false;
        }
}

bool registry_call(Registry *registry, const HttpCall *call, HttpReply *ret, GError **error) {
        RegistryPatience patience = { 0 };
        for (;;) {
                g_autoptr(GError) failure = NULL;
                Exchange state = { 0 };
                if (call_once(registry, call, &state, ret, &failure))
                        return true;
                if (state.delivered || call->source ||
                    !registry_wait(registry, &patience, &failure)) {
                        g_propagate_error(error, g_steal_pointer(&failure));
                        return false;
                }
        }
}
