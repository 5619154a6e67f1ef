/* Requests to a worker's two servers, wherever it is now. Internal to the pool. */
#pragma once

#include "http/client.h"
#include "pool/known.h"
#include "pool/pool.h"

enum { CHAIN_INPUT, CHAIN_NO_INPUT, CHAIN_CHECK, CHAINS };
typedef struct {
        PlacementStrategy list[PLACEMENT_STRATEGIES_MAX];
        size_t count;
} PlacementChain;

struct Pool {
        PoolSpec spec;
        PlacementChain chains[CHAINS];
        HttpClient *client;
        Known *known;
};

typedef enum { WORKER_GARDEN, WORKER_BAGGAGECLAIM } WorkerApi;

typedef struct {
        Pool *pool;
        const char *worker; /* name */
        WorkerApi api;
        const char *method;
        const char *path;  /* "/containers"; already escaped */
        const Value *body; /* NULL: none */
        const char *const *headers;
        HttpSource source; /* a streamed body: then the request is made once */
        HttpSink sink;
        HttpHead head;
        void *data;
        bool repeatable; /* a POST that names what it makes: the worker may see it twice */
} WorkerRequest;

/*
 * Makes the request; while the worker cannot be reached it is tried again, woken when workers change, for at most 5 min.
 * Any answer but 2xx is an error: ERROR_NOT_FOUND for 404, else ERROR_PROTOCOL, with the worker's own message.
 */
bool worker_request(const WorkerRequest *request, Cancel *cancel, HttpReply *ret, GError **error);
/* The same with a JSON answer. *ret (may be NULL) is new. */
bool worker_request_json(const WorkerRequest *request, Cancel *cancel, Value **ret, GError **error);
/* Whether the worker serves the extension of that name; asks it when nothing was heard of it yet, and takes no answer for no. */
bool worker_serves(Pool *pool, const char *worker, const char *extension, Cancel *cancel);
/* Once, and the raw connection behind the answer's header. *ret_reply may be cleared by the caller at once. */
bool worker_take_over(const WorkerRequest *request, Cancel *cancel, HttpReply *ret_reply,
                      int *ret_fd, GString *ret_rest, GError **error);

/* Waits a moment, or until workers change. Returns as cancel_check(), or ERROR_TIMEOUT after `deadline`. */
typedef struct {
        Subscription *subscription;
        Duration pause;
        Duration deadline;
} WorkerPatience;
void worker_patience_init(WorkerPatience *patience, Pool *pool, Duration limit);
bool worker_patience_wait(WorkerPatience *patience, Cancel *cancel, GError **error);
void worker_patience_clear(WorkerPatience *patience);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(WorkerPatience, worker_patience_clear)
