/* A layer on its way: from the cache or the registry, verified, unpacked by a thread of its own while the layer before
 * it is still being written. Memory is bounded, however large the layer is. */
#pragma once

#include "resources/registry_cache.h"
#include "resources/registry_image.h"

typedef struct {
        Registry *registry;
        LayerCache *cache; /* may be NULL */
        const Layer *layer;
} LayerSource;

/* Streams the blob as it is, from the cache or the registry, and keeps it in the cache. *ret_cached (may be NULL) says
 * which. A wrong digest is known only at the end. */
bool layer_fetch(const LayerSource *source, HttpSink sink, void *data, bool *ret_cached,
                 GError **error);

typedef struct LayerStream LayerStream; /* read by one thread */

/* Borrows what source points to. */
LayerStream *layer_stream_start(const LayerSource *source);
/* *ret is valid until the next call. Returns its length; 0 at the end, when all was verified; -1 with an error. */
ssize_t layer_stream_read(LayerStream *stream, const void **ret, GError **error);
/* Once the end was read. */
bool layer_stream_cached(const LayerStream *stream);
void layer_stream_free(LayerStream *stream); /* stops it and waits; accepts NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LayerStream, layer_stream_free)
