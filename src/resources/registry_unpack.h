/* Layers become a root file system (reference 09 §7.4). Nothing is ever written outside of it. */
#pragma once

#include "resources/registry_layer.h"

typedef struct Unpacker Unpacker; /* one thread */

/* root: an open directory, borrowed. */
Unpacker *unpacker_new(int root);
void unpacker_free(Unpacker *unpacker);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Unpacker, unpacker_free)

/* Where a layer's tar comes from; as layer_stream_read(). */
typedef ssize_t (*TarSource)(void *data, const void **ret, GError **error);

/*
 * Applies one layer, to its end. Whiteouts remove what earlier layers had; block and character devices are left out;
 * what is in the way is replaced, links are not followed. Owners are kept when we are root. Errors name the entry.
 */
bool unpacker_layer(Unpacker *unpacker, TarSource source, void *data, GError **error);

/* A name of an archive without leading slashes, "." and doubled slashes; "" is the root itself. Returns new; NULL: it
 * has a ".." or is too long. */
char *layer_path_clean(const char *name);
