/* Workers as they register and keep alive (reference 06 §2.7, §2.10; 05 §1.5, §6.9; 01 §16). */
#pragma once

#include "base/clock.h"
#include "store/handle.h"

typedef enum {
        WORKER_RUNNING,
        WORKER_STALLED,
        WORKER_LANDING,
        WORKER_LANDED,
        WORKER_RETIRING,
} WorkerState;

const char *worker_state_name(WorkerState state);
bool worker_state_parse(const char *name, WorkerState *ret);

typedef struct {
        char *type, *image, *version;
        bool privileged, unique_version_history;
        char *cache; /* where its gets may keep what they download; "": nowhere (ours alone) */
} WorkerResourceType;

typedef struct {
        int64_t id, team_id;
        char *name, *team_name; /* team NULL: everybody's */
        WorkerState state;
        char *address, *baggageclaim_url, *certs_path; /* Garden's host:port; NULL: none */
        char *http_proxy_url, *https_proxy_url, *no_proxy;
        int64_t active_containers, active_volumes, active_tasks, max_active_tasks;
        GPtrArray *resource_types; /* WorkerResourceType; never NULL */
        char *platform, *version;
        GPtrArray *tags; /* char *; never NULL */
        int64_t start;   /* Unix seconds; 0: unknown */
        bool ephemeral;
        bool disk_low;               /* it has no room for another container */
        Time expires, stalled_since; /* 0: never, not */
} Worker;

void worker_free(Worker *worker);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Worker, worker_free)
/* NULL when the worker has no such type. Borrowed. */
const WorkerResourceType *worker_resource_type(const Worker *worker, const char *type);

/* ---- registration. All wake NOTIFY_WORKERS; a heartbeat only when the state changed. ---- */

typedef struct {
        const Value *payload; /* the worker JSON of 06 §2.7, validated by the caller */
        int64_t team_id;      /* of its "team"; 0: none */
        Duration ttl;         /* 0: never expires */
} WorkerRegistration;
/* Upserts; state: the payload's or running. ERROR_DENIED "worker already exists and is either
 * global or owned by another team". A base type with another image or version, or no longer listed, invalidates its caches. */
bool worker_register(Store *store, const WorkerRegistration *registration, Worker **ret,
                     GError **error);
typedef struct {
        Duration ttl; /* 0: never expires */
        int64_t active_containers, active_volumes;
        bool disk_low;
} WorkerBeat;
/* Kept in memory and flushed in batches unless the state or disk_low changes. Returns new. */
Worker *worker_heartbeat(Store *store, const char *name, const WorkerBeat *beat, GError **error);
bool worker_land(Store *store, const char *name, GError **error);
bool worker_retire(Store *store, const char *name, GError **error);
bool worker_prune(Store *store, const char *name, GError **error); /* ERROR_DENIED: it runs */
/* With its containers, volumes and caches. */
bool worker_delete(Store *store, const char *name, GError **error);

/* ---- looking: from memory, refreshed on NOTIFY_WORKERS ---- */
Worker *worker_find(Store *store, const char *name, GError **error);
GPtrArray *worker_list(Store *store, GError **error); /* Worker, by name */
/* Team's own and everybody's; everything: all. */
GPtrArray *worker_list_visible(Store *store, const Visibility *visibility, GError **error);

/* ---- load ---- */

typedef struct {
        char *worker;
        int64_t build_containers; /* containers of builds, as placement counts them */
        int64_t containers, volumes;
} WorkerLoad;
void worker_load_free(WorkerLoad *load);
GPtrArray *worker_load_list(Store *store, GError **error); /* WorkerLoad, by worker; fresh */

/* Takes a task's place when fewer than `limit` are taken (0: no limit); *ret_taken says whether. */
bool worker_take_task(Store *store, const char *name, int64_t limit, bool *ret_taken,
                      GError **error);
bool worker_give_task(Store *store, const char *name, GError **error);

/* ---- for the janitor: one tick of 05 §6.9. stalled_timeout 0: stalled ones stay ---- */
typedef struct {
        int64_t deleted, stalled, landed;
} WorkerTick;
bool worker_tick(Store *store, Duration stalled_timeout, WorkerTick *ret, GError **error);
/* At a web node's start: unless another one listened meanwhile, nobody could have heard the workers. None is silent
 * before it has had this long to be heard. */
bool worker_listen_again(Store *store, Duration patience, GError **error);
