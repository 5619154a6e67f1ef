/*
 * Layers as they travelled, kept between gets of one source (docs/decisions, the page on layers). The folder is there
 * when the worker's side offers one; everything here is a gain and never a condition: what fails is done without.
 */
#pragma once

#include "base/error.h"

/* Where the web node mounts it. */
#define LAYER_CACHE_FOLDER "/var/cache/layers"

typedef struct LayerCache LayerCache; /* any thread */

/* NULL: there is no such folder, or we may not write there. */
LayerCache *layer_cache_open(const char *folder);
void layer_cache_free(LayerCache *cache);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LayerCache, layer_cache_free)

/* A descriptor of a blob whose bytes were found to be whole, at its begin; -1: it is not here. Accepts NULL. */
int layer_cache_find(LayerCache *cache, const char *digest, int64_t size);

/* A blob on its way in. Accepts a NULL cache: then there is none, and the rest does nothing. */
typedef struct {
        LayerCache *cache;
        char *temporary; /* name in the folder; NULL: none, or given up */
        int fd;
} LayerKeeping;
LayerKeeping layer_cache_begin(LayerCache *cache);
void layer_cache_write(LayerKeeping *keeping, const void *bytes, size_t length);
/* Whole and verified: it can be found from now on. */
void layer_cache_keep(LayerKeeping *keeping, const char *digest);
void layer_cache_drop(LayerKeeping *keeping);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(LayerKeeping, layer_cache_drop)

/* Keeps these digests (char *) and, of the others, the last used ones up to as many bytes again. */
void layer_cache_trim(LayerCache *cache, const GPtrArray *digests);
