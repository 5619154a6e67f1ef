#include "pool/full.h"

#include <string.h>

/* A container that is being made looks as if it waited; not for so long. */
#define HOPELESS_MAX 6
/* So long after somebody looked into a container it is left alone. */
#define HIJACKED (5 * DURATION_MINUTE)

/* Of ours and of upstream's workers; the last is what CNI's host-local says. */
static const char *const reasons[] = {
        "max containers reached",
        "no address left for a container",
        "no IP addresses available in range set",
};

const char *full_reason(const GError *error) {
        for (size_t i = 0; i < G_N_ELEMENTS(reasons); i++)
                if (strstr(error->message, reasons[i]))
                        return reasons[i];
        return NULL;
}

typedef struct {
        WorkerPatience patience;
        unsigned hopeless; /* times in a row */
} Waiting;

/* Between two times of asking. false: why there is no other. */
static bool await_place(const WorkerRequest *request, const FullWait *wait, Waiting *waiting,
                        const GError *refusal, GError **error) {
        Store *store = request->pool->spec.store;
        bool hope;
        if (!container_drop_kept(store, request->worker, clock_steady() - HIJACKED / 1000, error) ||
            !container_may_go_on(store, request->worker, wait->build_id, &hope, error))
                return false;
        waiting->hopeless = hope ? 0 : waiting->hopeless + 1;
        if (waiting->hopeless == HOPELESS_MAX) {
                g_propagate_error(error, g_error_copy(refusal));
                return false;
        }
        if (!waiting->patience.subscription) {
                worker_patience_init(&waiting->patience, request->pool, DURATION_NEVER / 2);
                if (wait->watch && wait->watch->full)
                        wait->watch->full(request->worker, full_reason(refusal), wait->watch->data);
        }
        return worker_patience_wait(&waiting->patience, wait->cancel, error);
}

static bool request_until_taken(const WorkerRequest *request, const FullWait *wait,
                                Waiting *waiting, Value **ret, GError **error) {
        for (;;) {
                g_autoptr(GError) local = NULL;
                if (worker_request_json(request, wait->cancel, ret, &local))
                        return true;
                if (!full_reason(local)) {
                        g_propagate_error(error, g_steal_pointer(&local));
                        return false;
                }
                if (!await_place(request, wait, waiting, local, error))
                        return false;
        }
}

bool full_request_json(const WorkerRequest *request, const FullWait *wait, Value **ret,
                       GError **error) {
        /* Only the worker knows when a container is gone: it is asked, less and less often. */
        Waiting waiting = { 0 };
        bool taken = request_until_taken(request, wait, &waiting, ret, error);
        worker_patience_clear(&waiting.patience);
        return taken;
}
