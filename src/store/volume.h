/* Volumes on workers, their owners and the caches they are (reference 05 §1.5, §6.5, §6.6; 01 §18). */
#pragma once

#include "base/clock.h"
#include "store/handle.h"

typedef enum {
        VOLUME_CREATING,
        VOLUME_CREATED,
        VOLUME_DESTROYING,
        VOLUME_FAILED,
} VolumeState;

/* What it belongs to; several may be set (a container's volume promoted to a cache keeps both). */
typedef struct {
        int64_t container_id;
        const char *path;          /* where it is mounted in the container */
        int64_t resource_cache_id; /* a copy of a cache's content on this worker */
        int64_t task_cache_id;
        int64_t artifact_id;
        const char
                *base_resource_type; /* imported root file system of a base type of this worker */
        int64_t downloads_config_id; /* what gets of this resource config keep for each other */
        bool certs;                  /* the worker's certificates */
} VolumeOwner;

typedef struct {
        int64_t id, team_id, worker_id, container_id, parent_id;
        char *handle, *worker, *container_handle, *parent_handle, *path;
        VolumeState state;
        int64_t resource_cache_id, task_cache_id, artifact_id, downloads_config_id;
        char *base_resource_type; /* NULL: none */
        bool certs;
        Time missing_since;
} Volume;

void volume_free(Volume *volume);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Volume, volume_free)
const char *volume_type(const Volume *volume); /* 05 §1.5: "container", "resource", … */

typedef struct {
        const char *worker;
        int64_t team_id; /* 0: shared */
        VolumeOwner owner;
        int64_t parent_id;       /* copy-on-write of; must be created */
        int64_t epoch, build_id; /* fences when build_id is set */
} VolumeSpec;
/* A row in state creating with a new handle. ERROR_NOT_FOUND: worker, container or parent is gone. */
Volume *volume_create(Store *store, const VolumeSpec *spec, GError **error);
/* The one of a container's mount, base type, task cache, config's downloads or certs, created or creating: made when it
 * is not there, in one transaction. *ret_new: this call made it. */
Volume *volume_find_or_create(Store *store, const VolumeSpec *spec, bool *ret_new, GError **error);
/* All of these in one transaction, in their order: the volumes of a container. Items: Volume. */
GPtrArray *volume_find_or_create_all(Store *store, const VolumeSpec *specs, size_t count,
                                     GError **error);
/* creating → created; again is fine. ERROR_NOT_FOUND "volume disappeared from db". */
bool volume_set_created(Store *store, int64_t id, GError **error);
bool volume_set_failed(Store *store, int64_t id, GError **error);
/* ERROR_BUSY "volume cannot be destroyed as children are present". */
bool volume_set_destroying(Store *store, int64_t id, GError **error);

Volume *volume_get(Store *store, const char *handle, GError **error);
/* By container. Items: Volume. */
GPtrArray *volume_list_of_container(Store *store, int64_t container_id, GError **error);
/* Created ones of a team or of none (01 §18); team_id 0: all. */
GPtrArray *volume_list(Store *store, int64_t team_id, GError **error);

/* ---- resource caches on workers (04 §11; 05 §6.6) ---- */

/*
 * Makes the volume the worker's copy of a resource cache; the first wins: *ret_winner (new) is the
 * volume that is the cache now, maybe another. source_worker: where the get ran, else (a streamed copy)
 * where it came from; when that copy is gone or invalid, the volume stays its container's and is its own winner.
 */
bool volume_become_cache(Store *store, int64_t id, int64_t resource_cache_id,
                         const char *source_worker, Volume **ret_winner, GError **error);
/* The valid copy on one worker, or one invalidated after `build_start` (0: valid only). NULL without
 * error: none. */
Volume *volume_find_cache(Store *store, int64_t resource_cache_id, const char *worker,
                          Time build_start, GError **error);
/* Workers (char *) with such a copy. */
GPtrArray *volume_list_cache_workers(Store *store, int64_t resource_cache_id, Time build_start,
                                     GError **error);
/* The worker's created volume of a task cache. NULL without error: none. */
Volume *volume_find_task_cache(Store *store, int64_t task_cache_id, const char *worker,
                               GError **error);
/* Replaces the worker's volume of a task cache by this one; the old is released. */
bool volume_become_task_cache(Store *store, int64_t id, int64_t task_cache_id, GError **error);

/* ---- workers report and destroy, as containers ---- */
bool volume_report(Store *store, const char *worker, const GPtrArray *handles, Time now,
                   GError **error);
GPtrArray *volume_list_destroying(Store *store, const char *worker, GError **error); /* char * */

/* ---- for the janitor: 05 §6.5 ---- */
/* On workers whose disk is low: gives up resource and task caches that no build which runs uses. */
bool volume_give_up_caches(Store *store, int64_t *ret_given, GError **error);
bool volume_sweep(Store *store, Time now, Duration missing_grace, int64_t *ret_marked,
                  int64_t *ret_deleted, GError **error);
