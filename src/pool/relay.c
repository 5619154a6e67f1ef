#include "pool/relay.h"

#include "base/thread.h"

/* What is on its way: a ring between the reading and the writing thread. */
#define ON_THE_WAY ((size_t) 1024 * 1024)

typedef struct {
        const Relay *relay;
        Cancel *cancel;
        Mutex mutex;
        Condition changed;
        GByteArray *bytes;
        size_t taken;  /* of bytes */
        bool ended;    /* no more will come */
        bool broken;   /* nobody takes any more */
        GError *error; /* of the reading side */
} Pipe;

static bool put(const void *bytes, size_t length, void *data, GError **error) {
        Pipe *pipe = data;

        MUTEX_SCOPE(&pipe->mutex);
        while (pipe->bytes->len - pipe->taken >= ON_THE_WAY && !pipe->broken)
                condition_wait(&pipe->changed, &pipe->mutex);
        if (pipe->broken) {
                g_set_error(error, ERROR, ERROR_UNAVAILABLE, "the receiving worker stopped");
                return false;
        }
        g_byte_array_append(pipe->bytes, bytes, (guint) length);
        condition_broadcast(&pipe->changed);
        return true;
}

static ssize_t take(void *ret, size_t length, void *data, GError **error) {
        Pipe *pipe = data;

        MUTEX_SCOPE(&pipe->mutex);
        while (pipe->bytes->len == pipe->taken && !pipe->ended)
                condition_wait(&pipe->changed, &pipe->mutex);
        if (pipe->bytes->len == pipe->taken) {
                if (!pipe->error)
                        return 0;
                g_propagate_error(error, g_error_copy(pipe->error));
                return -1;
        }
        size_t count = MIN(length, pipe->bytes->len - pipe->taken);
        memcpy(ret, pipe->bytes->data + pipe->taken, count);
        pipe->taken += count;
        if (pipe->taken == pipe->bytes->len) {
                g_byte_array_set_size(pipe->bytes, 0);
                pipe->taken = 0;
        }
        condition_broadcast(&pipe->changed);
        return (ssize_t) count;
}

static void read_source(void *data) {
        Pipe *pipe = data;
        const WorkerCall call = { pipe->relay->pool, pipe->relay->from_worker, pipe->cancel };
        const VolumeStream stream = { .handle = pipe->relay->from_volume,
                                      .path = ".",
                                      .encoding = VOLUME_ENCODING_GZIP };
        GError *error = NULL;

        baggageclaim_stream_out(&call, &stream, put, pipe, &error);
        MUTEX_SCOPE(&pipe->mutex);
        pipe->error = error;
        pipe->ended = true;
        condition_broadcast(&pipe->changed);
}

bool relay_run(const Relay *relay, Cancel *cancel, GError **error) {
        Pipe pipe = { .relay = relay, .cancel = cancel_new(cancel), .bytes = g_byte_array_new() };
        const WorkerCall call = { relay->pool, relay->to_worker, pipe.cancel };
        const VolumeStream stream = { .handle = relay->to_volume,
                                      .path = ".",
                                      .encoding = VOLUME_ENCODING_GZIP };

        mutex_init(&pipe.mutex);
        condition_init(&pipe.changed);
        Thread *reader = thread_start("relay", read_source, &pipe);
        bool done = baggageclaim_stream_in(&call, &stream, take, &pipe, error);
        mutex_lock(&pipe.mutex);
        pipe.broken = true;
        condition_broadcast(&pipe.changed);
        mutex_unlock(&pipe.mutex);
        if (!done)
                cancel_fire(pipe.cancel, CANCEL_ABORT);
        thread_join(reader);
        if (done && pipe.error) {
                g_propagate_error(error, g_steal_pointer(&pipe.error));
                done = false;
        }
        g_clear_error(&pipe.error);
        g_byte_array_unref(pipe.bytes);
        cancel_free(pipe.cancel);
        condition_destroy(&pipe.changed);
        mutex_destroy(&pipe.mutex);
        return done;
}
