/*
 * Resource configs, scopes and the versions in them (reference 05 §1.3, §2.5, §2.6): the history
 * that resources with the same type and source share or have alone.
 */
#pragma once

#include "base/clock.h"
#include "store/handle.h"

/* What a resource config is of: exactly one parent. */
typedef struct {
        const char *base_type;     /* a base resource type's name, */
        int64_t resource_cache_id; /* or the cache of a custom type's image */
        const Value *source;       /* resolved: its digest is the key; it is not stored */
} ResourceConfigKey;

/* Finds or creates; bumps last_referenced at most once a minute. ERROR_NOT_FOUND "base resource
 * type not found: NAME" when no worker ever had it. */
bool resource_config_find_or_create(Store *store, const ResourceConfigKey *key, int64_t *ret_id,
                                    GError **error);

/*
 * Finds or creates the scope of a config: shared when resource_id is 0 or when histories are
 * global (05 §1.3), else the resource's own; creating that deletes the resource's other scopes.
 */
bool resource_scope_find_or_create(Store *store, int64_t config_id, int64_t resource_id,
                                   bool global_resources, int64_t *ret_id, GError **error);

/* ---- check state: in memory, flushed in batches; a check that finds nothing writes nothing ---- */

typedef struct {
        Time last_start, last_end, next; /* 0: never */
        bool last_succeeded;
        int64_t last_build_id; /* 0: none: never checked, or by a nested check */
        Value *last_plan;      /* public plan of that build; NULL: unknown (after a restart) */
} ScopeCheck;

void scope_check_clear(ScopeCheck *check);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ScopeCheck, scope_check_clear)

/* All zero for a scope never checked. */
bool scope_check_get(Store *store, int64_t scope_id, ScopeCheck *ret, GError **error);
/* build_id 0: a nested check. public_plan may be NULL. */
bool scope_check_started(Store *store, int64_t scope_id, int64_t build_id, const Value *public_plan,
                         Time now, GError **error);
/* The outcome; next is when it is due again. Wakes what waits for this check (NOTIFY_CHECKED). */
bool scope_check_ended(Store *store, int64_t scope_id, bool succeeded, Time now, Time next,
                       GError **error);
/* Forgets the due time, so that a check runs now. */
bool scope_check_expire(Store *store, int64_t scope_id, GError **error);

/* ---- versions ---- */

typedef struct {
        int64_t id, scope_id;
        Value *version;
        Value *metadata; /* list of {"name","value"}; NULL: none */
        int64_t check_order;
        bool enabled; /* for the resource that was asked about */
} Version;

void version_free(Version *version);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Version, version_free)

/* SHA-256 of a version, as 05 §1.1. ERROR_INVALID for a map that is empty or not of strings.
 * Returns new. */
char *version_digest(const Value *version, GError **error);

/*
 * Saves what a check returned, oldest first (a list of maps). When one is new all are put on top in
 * this order, and jobs with an input without `passed` on this scope are asked to be scheduled; when
 * none is, nothing is written. *ret_new (may be NULL): how many are new; *ret_latest (may be NULL): new,
 * the last of the list, or NULL when it is empty.
 */
bool version_save_all(Store *store, int64_t scope_id, const Value *versions, size_t *ret_new,
                      Version **ret_latest, GError **error);
/* One version by itself (a put's, or found by a get), with metadata (may be NULL: kept). On top when new, else its
 * place stays; *ret_new, *ret_id may be NULL. */
bool version_save(Store *store, int64_t scope_id, const Value *version, const Value *metadata,
                  bool *ret_new, int64_t *ret_id, GError **error);
/* The get's metadata, on the version of the resource's scope; unknown version: fine. */
bool version_set_metadata(Store *store, int64_t scope_id, const Value *version,
                          const Value *metadata, GError **error);

Version *version_latest(Store *store, int64_t scope_id,
                        GError **error);                        /* NULL without error: none */
Version *version_get(Store *store, int64_t id, GError **error); /* enabled: of no resource */
/* In the scope of the resource; its enabled is that resource's. */
Version *version_find(Store *store, int64_t resource_id, const Value *version, GError **error);

typedef struct {
        Page page;           /* 01 §6.2 */
        const Value *filter; /* map of text every version must have; NULL: none */
} VersionQuery;
/* Of the resource's scope, check order descending. Items: Version. links may be NULL. */
GPtrArray *version_list(Store *store, int64_t resource_id, const VersionQuery *query,
                        PageLinks *ret_links, GError **error);

/* Enables or disables for one resource; requests scheduling. ERROR_INVALID when it is so already,
 * ERROR_NOT_FOUND. */
bool version_set_enabled(Store *store, int64_t resource_id, int64_t version_id, bool enabled,
                         GError **error);
/* Deletes every version of the scope of a resource or type. ERROR_NOT_FOUND: it has no scope. */
bool version_clear(Store *store, int64_t scope_id, int64_t *ret_deleted, GError **error);

/* Ids of builds (int64_t) that used the version of this resource as an input, or put it out. */
GArray *version_input_to(Store *store, int64_t resource_id, int64_t version_id, GError **error);
GArray *version_output_of(Store *store, int64_t resource_id, int64_t version_id, GError **error);

/* ---- for the janitor: 05 §6.7 ---- */
bool resource_config_delete_unused(Store *store, Time referenced_before, int64_t *ret_deleted,
                                   GError **error);
