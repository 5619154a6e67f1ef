/* What a get fetches, by what it is (reference 04 §11.2; 05 §1.3, §6.6). */
#pragma once

#include "base/clock.h"
#include "store/handle.h"

typedef struct {
        int64_t resource_config_id;
        const Value *version, *params; /* params NULL: {} */
} ResourceCacheKey;

typedef struct {
        int64_t id, resource_config_id;
        Value *version;
        Value *metadata; /* list; NULL: none known */
} ResourceCache;

void resource_cache_free(ResourceCache *cache);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ResourceCache, resource_cache_free)

/* Who keeps a cache from being collected: exactly one. */
typedef struct {
        int64_t build_id;
        const char *check_key; /* a check without a row (ContainerOwner.check_key) */
} ResourceCacheUser;

/* Finds or creates, and records the use (once). Returns new. */
ResourceCache *resource_cache_find_or_create(Store *store, const ResourceCacheKey *key,
                                             const ResourceCacheUser *user, GError **error);
ResourceCache *resource_cache_get(Store *store, int64_t id, GError **error);
/* What the get script said. */
bool resource_cache_set_metadata(Store *store, int64_t id, const Value *metadata, GError **error);
/* The custom type's image cache of a job's last build stays (05 §1.4). */
bool resource_cache_use_as_image(Store *store, int64_t id, int64_t build_id, int64_t job_id,
                                 GError **error);
bool resource_cache_release_check(Store *store, const char *check_key, GError **error);
/* The base type at the bottom of the chain of a resource config. Returns new. */
char *resource_config_base_type(Store *store, int64_t resource_config_id, GError **error);

/* fly clear-resource-cache: of a resource or type's config; version NULL: all. */
bool resource_cache_clear(Store *store, int64_t resource_config_id, const Value *version,
                          int64_t *ret_deleted, GError **error);

/* For the janitor: uses of what is over, then caches nobody needs, then invalid copies. */
bool resource_cache_sweep(Store *store, Time now, int64_t *ret_deleted, GError **error);
