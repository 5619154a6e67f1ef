#include "pool/worker_http.h"

#include "base/json.h"
#include "wire/baggageclaim.h"
#include "wire/garden.h"

#include <string.h>

/* How long a worker may be away before what needs it fails. */
#define UNREACHABLE_MAX (5 * DURATION_MINUTE)
#define PAUSE_FIRST (50 * DURATION_MILLISECOND)
#define PAUSE_MAX (5 * DURATION_SECOND)
#define REQUEST_TIMEOUT (5 * DURATION_MINUTE)

static void chain_fill(PlacementChain *chain, const PlacementStrategies *strategies) {
        g_assert(strategies->count <= G_N_ELEMENTS(chain->list));
        chain->count = strategies->count;
        for (size_t i = 0; i < strategies->count; i++)
                chain->list[i] = strategies->list[i];
}

Pool *pool_new(const PoolSpec *spec) {
        static const PlacementStrategy locality = PLACEMENT_VOLUME_LOCALITY,
                                       random = PLACEMENT_RANDOM;
        const PlacementStrategies standard = { &locality, 1 }, checks = { &random, 1 };
        const PlacementStrategies *input = spec->strategies.count ? &spec->strategies : &standard;
        Pool *pool = g_new0(Pool, 1);

        pool->spec = *spec;
        pool->spec.strategies = pool->spec.no_input = pool->spec.check = (PlacementStrategies){ 0 };
        chain_fill(&pool->chains[CHAIN_INPUT], input);
        chain_fill(&pool->chains[CHAIN_NO_INPUT], spec->no_input.count ? &spec->no_input : input);
        chain_fill(&pool->chains[CHAIN_CHECK], spec->check.count ? &spec->check : &checks);
        if (pool->spec.request_timeout == 0)
                pool->spec.request_timeout = REQUEST_TIMEOUT;
        pool->client = http_client_new(&(HttpClientSpec){ .no_proxy = true });
        pool->known = known_new();
        return pool;
}

void pool_free(Pool *pool) {
        if (!pool)
                return;
        http_client_free(pool->client);
        known_free(pool->known);
        g_free(pool);
}

/* ---- patience ---- */

void worker_patience_init(WorkerPatience *patience, Pool *pool, Duration limit) {
        const SubscriptionTopic topic = { .kind = NOTIFY_WORKERS };

        *patience = (WorkerPatience){
                .subscription = subscription_new(pool->spec.store, &topic, 1),
                .pause = PAUSE_FIRST,
                .deadline = clock_monotonic() + limit,
        };
}

bool worker_patience_wait(WorkerPatience *patience, Cancel *cancel, GError **error) {
        Duration now = clock_monotonic();

        if (now >= patience->deadline) {
                g_set_error(error, ERROR, ERROR_UNAVAILABLE, "gave up waiting for the worker");
                return false;
        }
        Duration until = MIN(now + patience->pause, patience->deadline);
        patience->pause = MIN(2 * patience->pause, PAUSE_MAX);
        return subscription_wait(patience->subscription, until, cancel, NULL, error);
}

void worker_patience_clear(WorkerPatience *patience) {
        subscription_free(patience->subscription);
        *patience = (WorkerPatience){ 0 };
}

/* ---- one request ---- */

static char *locate(const WorkerRequest *request, GError **error) {
        g_autoptr(GError) local = NULL;
        g_autoptr(Worker) worker = worker_find(request->pool->spec.store, request->worker, &local);

        if (error_is(local, ERROR_NOT_FOUND)) {
                g_set_error(error, ERROR, ERROR_NOT_FOUND,
                            "worker %s disappeared while trying to reach it", request->worker);
                return NULL;
        }
        if (!worker) {
                g_propagate_error(error, g_steal_pointer(&local));
                return NULL;
        }
        const char *base = request->api == WORKER_GARDEN ? worker->address
                                                         : worker->baggageclaim_url;
        if (!base || !*base) {
                g_set_error(error, ERROR, ERROR_UNAVAILABLE,
                            "worker '%s' is unreachable (state is '%s')", request->worker,
                            worker_state_name(worker->state));
                return NULL;
        }
        return g_strconcat(request->api == WORKER_GARDEN ? "http://" : "", base, request->path,
                           NULL);
}

/* What the worker itself said, in whichever of the two forms. */
static char *message_of(const HttpReply *reply) {
        g_autoptr(Value) body = reply->body ? json_parse(reply->body, reply->length, NULL, NULL)
                                            : NULL;
        const char *text = value_get_string(body, "Message", NULL);

        if (!text)
                text = volume_error_from_value(body);
        return text ? g_strdup(text)
                    : g_strdup_printf("bad response: %d %s", reply->status,
                                      reply->body ? reply->body : "");
}

static bool check_status(const HttpReply *reply, GError **error) {
        if (reply->status >= 200 && reply->status < 300)
                return true;
        g_autofree char *message = message_of(reply);
        g_set_error(error, ERROR, reply->status == 404 ? ERROR_NOT_FOUND : ERROR_PROTOCOL, "%s",
                    message);
        return false;
}

static void fill_call(const WorkerRequest *request, const char *url, const char *text,
                      size_t length, GPtrArray *headers, HttpCall *ret) {
        for (size_t i = 0; request->headers && request->headers[i]; i++)
                g_ptr_array_add(headers, (void *) request->headers[i]);
        if (text)
                g_ptr_array_add(headers, "Content-Type: application/json");
        g_ptr_array_add(headers, GARDEN_EXTENSIONS_HEADER ": " GARDEN_EXTENSIONS);
        g_ptr_array_add(headers, NULL);
        *ret = (HttpCall){ .method = request->method,
                           .url = url,
                           .headers = (const char *const *) headers->pdata,
                           .body = text,
                           .body_length = length,
                           .source = request->source,
                           .sink = request->sink,
                           .head = request->head,
                           .data = request->data,
                           .repeatable = request->repeatable };
}

static void learn(const WorkerRequest *request, const HttpReply *reply) {
        if (request->api == WORKER_GARDEN)
                known_learn(request->pool->known, request->worker,
                            http_reply_header(reply, GARDEN_EXTENSIONS_HEADER));
}

static bool request_once(const WorkerRequest *request, Cancel *cancel, HttpReply *ret,
                         GError **error) {
        g_autofree char *url = locate(request, error);
        g_autoptr(GPtrArray) headers = g_ptr_array_new();
        g_autofree char *text = NULL;
        size_t length = 0;
        HttpCall call;

        if (!url)
                return false;
        if (request->body)
                text = json_write(request->body, JSON_COMPACT, &length);
        fill_call(request, url, text, length, headers, &call);
        if (!http_call(request->pool->client, &call, cancel, ret, error))
                return false;
        learn(request, ret);
        return true;
}

bool worker_request(const WorkerRequest *request, Cancel *cancel, HttpReply *ret, GError **error) {
        g_auto(WorkerPatience) patience = { 0 };
        g_auto(HttpReply) reply = { 0 };

        for (;;) {
                g_autoptr(GError) local = NULL;
                if (request_once(request, cancel, &reply, &local))
                        break;
                if (!error_is(local, ERROR_UNAVAILABLE) || request->source || request->sink) {
                        g_propagate_error(error, g_steal_pointer(&local));
                        return false;
                }
                if (!patience.subscription)
                        worker_patience_init(&patience, request->pool, UNREACHABLE_MAX);
                g_autoptr(GError) waited = NULL;
                if (!worker_patience_wait(&patience, cancel, &waited)) {
                        g_propagate_error(error, error_is(waited, ERROR_UNAVAILABLE)
                                                         ? g_steal_pointer(&local)
                                                         : g_steal_pointer(&waited));
                        return false;
                }
        }
        if (!check_status(&reply, error))
                return false;
        *ret = reply;
        reply = (HttpReply){ 0 };
        return true;
}

bool worker_request_json(const WorkerRequest *request, Cancel *cancel, Value **ret,
                         GError **error) {
        g_auto(HttpReply) reply = { 0 };
        Value *value = NULL;

        if (!worker_request(request, cancel, &reply, error))
                return false;
        if (!ret)
                return true;
        value = json_parse(reply.body, reply.length, NULL, error);
        if (!value) {
                g_prefix_error(error, "worker %s answered what is not JSON: ", request->worker);
                return false;
        }
        *ret = value;
        return true;
}

bool worker_serves(Pool *pool, const char *worker, const char *extension, Cancel *cancel) {
        const WorkerRequest ping = { .pool = pool,
                                     .worker = worker,
                                     .api = WORKER_GARDEN,
                                     .method = "GET",
                                     .path = "/ping" };
        g_auto(HttpReply) reply = { 0 };
        bool serves = false;

        if (!known_serves(pool->known, worker, extension, &serves) &&
            request_once(&ping, cancel, &reply, NULL))
                known_serves(pool->known, worker, extension, &serves);
        return serves;
}

bool worker_take_over(const WorkerRequest *request, Cancel *cancel, HttpReply *ret_reply,
                      int *ret_fd, GString *ret_rest, GError **error) {
        g_autofree char *url = locate(request, error);
        g_autoptr(GPtrArray) headers = g_ptr_array_new();
        g_autofree char *text = NULL, *rest = NULL;
        size_t length = 0, rest_length = 0;
        HttpCall call;

        if (!url)
                return false;
        if (request->body)
                text = json_write(request->body, JSON_COMPACT, &length);
        fill_call(request, url, text, length, headers, &call);
        if (!http_take_over(request->pool->client, &call, cancel, ret_reply, ret_fd, &rest,
                            &rest_length, error))
                return false;
        learn(request, ret_reply);
        g_string_append_len(ret_rest, rest ? rest : "", (gssize) rest_length);
        return true;
}
