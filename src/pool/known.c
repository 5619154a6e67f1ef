#include "pool/known.h"

#include "base/thread.h"

#include <string.h>

/* So many texts of so many bytes are kept; a full table begins anew. */
#define METADATA_COUNT 256
#define METADATA_MAX ((size_t) 64 * 1024)

struct Known {
        Mutex lock;
        GHashTable *extensions; /* of worker's name to names, "" for none */
        GHashTable *metadata;   /* of volume's handle to text */
};

Known *known_new(void) {
        Known *known = g_new0(Known, 1);

        mutex_init(&known->lock);
        known->extensions = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        known->metadata = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        return known;
}

void known_free(Known *known) {
        if (!known)
                return;
        g_hash_table_destroy(known->extensions);
        g_hash_table_destroy(known->metadata);
        mutex_destroy(&known->lock);
        g_free(known);
}

void known_learn(Known *known, const char *worker, const char *names) {
        MUTEX_SCOPE(&known->lock);
        const char *before = g_hash_table_lookup(known->extensions, worker);

        if (g_strcmp0(before, names ? names : "") != 0)
                g_hash_table_replace(known->extensions, g_strdup(worker),
                                     g_strdup(names ? names : ""));
}

bool known_serves(Known *known, const char *worker, const char *name, bool *ret) {
        MUTEX_SCOPE(&known->lock);
        const char *names = g_hash_table_lookup(known->extensions, worker);

        if (!names)
                return false;
        g_auto(GStrv) parts = g_strsplit(names, ",", -1);
        *ret = false;
        for (size_t i = 0; parts[i]; i++)
                *ret = *ret || g_str_equal(g_strstrip(parts[i]), name);
        return true;
}

char *known_metadata(Known *known, const char *volume) {
        MUTEX_SCOPE(&known->lock);
        return g_strdup(g_hash_table_lookup(known->metadata, volume));
}

void known_keep_metadata(Known *known, const char *volume, const char *text) {
        if (strlen(text) > METADATA_MAX)
                return;
        MUTEX_SCOPE(&known->lock);
        if (g_hash_table_size(known->metadata) >= METADATA_COUNT)
                g_hash_table_remove_all(known->metadata);
        g_hash_table_replace(known->metadata, g_strdup(volume), g_strdup(text));
}
