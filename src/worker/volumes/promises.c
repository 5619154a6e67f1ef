#include "worker/volumes/promises.h"

#include "base/log.h"
#include "base/thread.h"

/* Volumes made at once: most of it is disk work. */
#define MAKERS_MAX 16

typedef struct {
        Promises *promises;
        VolumeRequest request;
        Cancel *cancel;
        /* Guarded by Promises.lock: */
        bool done, dropped;
        VolumeResponse response;
        GError *failure;
} Promise;

struct Promises {
        Volumes *volumes;
        ThreadPool *makers;
        Cancel *stop;
        Mutex lock;
        GHashTable *by_handle; /* Promise* that is not dropped */
};

static void promise_free(Promise *promise) {
        volume_request_clear(&promise->request);
        volume_response_clear(&promise->response);
        g_clear_error(&promise->failure);
        cancel_free(promise->cancel);
        g_free(promise);
}

Promises *promises_new(Volumes *volumes) {
        Promises *promises = g_new0(Promises, 1);
        promises->volumes = volumes;
        promises->makers = thread_pool_new("volume-make", MAKERS_MAX);
        promises->stop = cancel_new(NULL);
        mutex_init(&promises->lock);
        promises->by_handle = g_hash_table_new_full(g_str_hash, g_str_equal, NULL,
                                                    (GDestroyNotify) promise_free);
        return promises;
}

void promises_free(Promises *promises) {
        if (!promises)
                return;
        cancel_fire(promises->stop, CANCEL_SHUTDOWN);
        thread_pool_free(promises->makers);
        g_hash_table_unref(promises->by_handle);
        cancel_free(promises->stop);
        mutex_destroy(&promises->lock);
        g_free(promises);
}

/* Nobody will ask for it any more. */
static void discard(Promise *promise) {
        g_autoptr(GError) error = NULL;
        if (promise->response.handle &&
            !volumes_destroy(promise->promises->volumes, promise->response.handle, &error))
                log_error("volumes", "destroy-dropped-failed", error, "volume",
                          promise->response.handle);
        promise_free(promise);
}

static void fulfil(void *data) {
        Promise *promise = data;
        Promises *promises = promise->promises;
        g_autoptr(GError) failure = NULL;
        VolumeResponse response = { 0 };
        bool dropped;

        (void) (cancel_check(promise->cancel, &failure) &&
                volumes_create(promises->volumes, &promise->request, promise->cancel, &response,
                               &failure));
        if (failure && !error_is(failure, ERROR_INVALID))
                log_error("volumes", "create-failed", failure, "volume", promise->request.handle);
        {
                MUTEX_SCOPE(&promises->lock);
                promise->done = true;
                promise->response = response;
                promise->failure = g_steal_pointer(&failure);
                dropped = promise->dropped;
        }
        if (dropped)
                discard(promise);
}

bool promises_add(Promises *promises, VolumeRequest *request, GError **error) {
        Promise *promise = g_new0(Promise, 1);
        promise->promises = promises;
        promise->cancel = cancel_new(promises->stop);
        promise->request = *request;
        *request = (VolumeRequest){ 0 };
        {
                MUTEX_SCOPE(&promises->lock);
                if (!g_hash_table_contains(promises->by_handle, promise->request.handle)) {
                        g_hash_table_insert(promises->by_handle, promise->request.handle, promise);
                        thread_pool_push(promises->makers, fulfil, promise);
                        return true;
                }
        }
        promise_free(promise);
        g_set_error(error, ERROR, ERROR_EXISTS, "promise already exists in list");
        return false;
}

static void copy_response(const VolumeResponse *from, VolumeResponse *ret) {
        *ret = *from;
        ret->handle = g_strdup(from->handle);
        ret->path = g_strdup(from->path);
        ret->properties = value_ref(from->properties);
}

static Promise *find_locked(Promises *promises, const char *handle, GError **error) {
        Promise *promise = g_hash_table_lookup(promises->by_handle, handle);
        if (!promise)
                g_set_error(error, ERROR, ERROR_NOT_FOUND, "no promise of volume %s", handle);
        return promise;
}

bool promises_look(Promises *promises, const char *handle, bool *ret_done, VolumeResponse *ret,
                   GError **ret_failure, GError **error) {
        MUTEX_SCOPE(&promises->lock);
        const Promise *promise = find_locked(promises, handle, error);
        if (!promise)
                return false;
        *ret_done = promise->done;
        if (promise->done && promise->failure)
                *ret_failure = g_error_copy(promise->failure);
        else if (promise->done)
                copy_response(&promise->response, ret);
        return true;
}

bool promises_drop(Promises *promises, const char *handle, GError **error) {
        Promise *finished = NULL;
        g_autoptr(Cancel) pending = NULL;
        {
                MUTEX_SCOPE(&promises->lock);
                Promise *promise = find_locked(promises, handle, error);
                if (!promise)
                        return false;
                g_hash_table_steal(promises->by_handle, handle);
                promise->dropped = true;
                if (promise->done)
                        finished = promise;
                else
                        pending = cancel_ref(promise->cancel);
        }
        if (pending)
                cancel_fire(pending, CANCEL_ABORT);
        if (finished)
                promise_free(finished);
        return true;
}
