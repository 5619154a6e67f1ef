#include "resources/registry_layer.h"

#include "base/files.h"
#include "base/thread.h"
#include "resources/decoder.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define CHUNK_SIZE ((size_t) 256 * 1024)
#define CHUNKS_MAX 32 /* of each stream, waiting to be written */

/* ---- blobs as they are ---- */

static bool fetch_cached(int fd, HttpSink sink, void *data, GError **error) {
        g_autofree char *buffer = g_malloc(CHUNK_SIZE);
        for (;;) {
                ssize_t got = read(fd, buffer, CHUNK_SIZE);
                if (got < 0 && errno == EINTR)
                        continue;
                if (got < 0) {
                        error_set_errno(error, errno, "failed to read a kept layer");
                        return false;
                }
                if (got == 0)
                        return true;
                if (!sink(buffer, (size_t) got, data, error))
                        return false;
        }
}

typedef struct {
        HttpSink sink;
        void *data;
        LayerKeeping *keeping;
} Tee;

static bool tee(const void *bytes, size_t length, void *data, GError **error) {
        Tee *both = data;
        layer_cache_write(both->keeping, bytes, length);
        return both->sink(bytes, length, both->data, error);
}

bool layer_fetch(const LayerSource *source, HttpSink sink, void *data, bool *ret_cached,
                 GError **error) {
        const Layer *layer = source->layer;
        autofd kept = layer_cache_find(source->cache, layer->digest, layer->size);
        if (ret_cached)
                *ret_cached = kept >= 0;
        if (kept >= 0)
                return fetch_cached(kept, sink, data, error);
        g_auto(LayerKeeping) keeping = layer_cache_begin(source->cache);
        Tee both = { .sink = sink, .data = data, .keeping = &keeping };
        const BlobSpec spec = {
                .digest = layer->digest, .size = layer->size, .sink = tee, .data = &both
        };
        if (!registry_blob(source->registry, &spec, error))
                return false;
        layer_cache_keep(&keeping, layer->digest);
        return true;
}

/* ---- unpacked, by a thread ---- */

typedef struct {
        size_t length;
        char bytes[CHUNK_SIZE];
} Chunk;

struct LayerStream {
        LayerSource source;
        Queue *chunks;
        Cancel *cancel;
        Thread *thread;
        Chunk *filling; /* the thread's */
        Chunk *current; /* the reader's */
        GError *error;  /* the thread's, until the queue is closed */
        bool cached;
};

static bool push_filling(LayerStream *stream, GError **error) {
        if (!stream->filling || stream->filling->length == 0)
                return true;
        if (!queue_push(stream->chunks, stream->filling, stream->cancel, error))
                return false;
        stream->filling = NULL;
        return true;
}

static bool take_unpacked(const void *bytes, size_t length, void *data, GError **error) {
        LayerStream *stream = data;
        while (length > 0) {
                if (!stream->filling) {
                        stream->filling = g_malloc(sizeof(Chunk));
                        stream->filling->length = 0;
                }
                Chunk *chunk = stream->filling;
                size_t piece = MIN(length, CHUNK_SIZE - chunk->length);
                memcpy(chunk->bytes + chunk->length, bytes, piece);
                chunk->length += piece;
                bytes = (const char *) bytes + piece;
                length -= piece;
                if (chunk->length == CHUNK_SIZE && !push_filling(stream, error))
                        return false;
        }
        return true;
}

static bool take_packed(const void *bytes, size_t length, void *data, GError **error) {
        return decoder_add(data, bytes, length, error);
}

static void stream_run(void *data) {
        LayerStream *stream = data;
        g_autoptr(Decoder) decoder = decoder_new(take_unpacked, stream);
        bool done = layer_fetch(&stream->source, take_packed, decoder, &stream->cached,
                                &stream->error) &&
                    decoder_finish(decoder, &stream->error) && push_filling(stream, &stream->error);
        g_assert(done || stream->error);
        queue_close(stream->chunks);
}

LayerStream *layer_stream_start(const LayerSource *source) {
        LayerStream *stream = g_new0(LayerStream, 1);
        stream->source = *source;
        stream->chunks = queue_new(CHUNKS_MAX);
        stream->cancel = cancel_new(NULL);
        stream->thread = thread_start("layer", stream_run, stream);
        return stream;
}

ssize_t layer_stream_read(LayerStream *stream, const void **ret, GError **error) {
        g_autoptr(GError) failure = NULL;
        void *chunk;
        g_clear_pointer(&stream->current, g_free);
        if (queue_pop(stream->chunks, &chunk, DURATION_NEVER, NULL, &failure)) {
                stream->current = chunk;
                *ret = stream->current->bytes;
                return (ssize_t) stream->current->length;
        }
        if (!stream->error)
                return 0;
        g_propagate_prefixed_error(error, g_error_copy(stream->error),
                                   "layer %s: ", stream->source.layer->digest);
        return -1;
}

bool layer_stream_cached(const LayerStream *stream) {
        return stream->cached;
}

void layer_stream_free(LayerStream *stream) {
        void *chunk;
        if (!stream)
                return;
        cancel_fire(stream->cancel, CANCEL_ABORT);
        while (queue_pop(stream->chunks, &chunk, DURATION_NEVER, NULL, NULL))
                g_free(chunk);
        thread_join(stream->thread);
        queue_free(stream->chunks);
        cancel_free(stream->cancel);
        g_free(stream->filling);
        g_free(stream->current);
        g_clear_error(&stream->error);
        g_free(stream);
}
