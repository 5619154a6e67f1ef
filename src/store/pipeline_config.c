/* Parsed configs, kept as long as they are asked for: one parse per pipeline and config version. */
#include "store/internal.h"

/* Parsed configs kept at once; the least lately used go first. */
#define CONFIGS_MAX 512

typedef struct {
        int64_t pipeline_id, version;
        Value *config;
        uint64_t used;
} CachedConfig;

struct ConfigCache {
        Mutex lock;
        GHashTable *configs; /* pipeline id → CachedConfig */
        uint64_t clock;
};

const char *const resource_kind_lists[] = {
        [RESOURCE_KIND_RESOURCE] = "resources",
        [RESOURCE_KIND_TYPE] = "resource_types",
        [RESOURCE_KIND_PROTOTYPE] = "prototypes",
};

static void cached_config_free(void *data) {
        CachedConfig *cached = data;
        value_free(cached->config);
        g_free(cached);
}

ConfigCache *config_cache_new(void) {
        ConfigCache *cache = g_new0(ConfigCache, 1);
        mutex_init(&cache->lock);
        cache->configs = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL,
                                               cached_config_free);
        return cache;
}

void config_cache_free(ConfigCache *cache) {
        g_hash_table_unref(cache->configs);
        mutex_destroy(&cache->lock);
        g_free(cache);
}

static Value *cache_find(ConfigCache *cache, int64_t pipeline_id, int64_t version) {
        MUTEX_SCOPE(&cache->lock);
        CachedConfig *cached = g_hash_table_lookup(cache->configs, &pipeline_id);
        if (!cached || cached->version != version)
                return NULL;
        cached->used = ++cache->clock;
        return value_ref(cached->config);
}

static void cache_put(ConfigCache *cache, int64_t pipeline_id, int64_t version,
                      const Value *config) {
        MUTEX_SCOPE(&cache->lock);
        CachedConfig *cached = g_new0(CachedConfig, 1);
        *cached = (CachedConfig){ pipeline_id, version, value_ref(config), ++cache->clock };
        g_hash_table_replace(cache->configs, &cached->pipeline_id, cached);
        if (g_hash_table_size(cache->configs) <= CONFIGS_MAX)
                return;

        GHashTableIter iter;
        void *value;
        CachedConfig *oldest = NULL;
        g_hash_table_iter_init(&iter, cache->configs);
        while (g_hash_table_iter_next(&iter, NULL, &value))
                if (!oldest || ((CachedConfig *) value)->used < oldest->used)
                        oldest = value;
        g_hash_table_remove(cache->configs, &oldest->pipeline_id);
}

bool tx_pipeline_config(DbTx *tx, Store *store, int64_t pipeline_id, Value **ret, GError **error) {
        int64_t version = -1;
        if (!tx_int(tx, -1, &version,
                    SQL("SELECT version FROM pipelines WHERE id = $1 AND config IS NOT NULL",
                        DB_INT(pipeline_id)),
                    error))
                return false;
        if (version < 0) {
                *ret = NULL;
                return true;
        }
        Value *config = cache_find(store->configs, pipeline_id, version);
        if (!config) {
                g_autoptr(DbRows) rows = db_query(
                        tx, error, "SELECT config, config_nonce FROM pipelines WHERE id = $1",
                        DB_INT(pipeline_id));
                if (!rows)
                        return false;
                if (!db_next(rows))
                        return db_done(rows, error);
                config = unseal_json(store, db_text(rows, 0), db_text(rows, 1), error);
                if (!config)
                        return false;
                cache_put(store->configs, pipeline_id, version, config);
        }
        *ret = config;
        return true;
}

Value *config_member(const Value *config, const char *list, const char *name) {
        const Value *items = value_get(config, list);
        for (size_t i = 0; i < value_length(items); i++) {
                const char *item = value_get_string(value_at(items, i), "name", NULL);
                if (item && g_str_equal(item, name))
                        return value_ref(value_at(items, i));
        }
        return NULL;
}

typedef struct {
        Store *store;
        int64_t id, version;
        Value *config;
} ConfigRead;

static bool config_in(DbTx *tx, void *data, GError **error) {
        ConfigRead *read = data;
        g_clear_pointer(&read->config, value_free);
        return tx_int(tx, 0, &read->version,
                      SQL("SELECT version FROM pipelines WHERE id = $1", DB_INT(read->id)),
                      error) &&
               tx_pipeline_config(tx, read->store, read->id, &read->config, error);
}

Value *pipeline_config(Store *store, int64_t id, int64_t *ret_version, GError **error) {
        ConfigRead read = { .store = store, .id = id };
        if (!db_read(store->db, config_in, &read, error)) {
                value_free(read.config);
                return NULL;
        }
        if (!read.config) {
                g_set_error(error, ERROR, ERROR_NOT_FOUND, "pipeline not found");
                return NULL;
        }
        if (ret_version)
                *ret_version = read.version;
        return read.config;
}
