/* Containers on workers: rows before the worker is asked (reference 05 §1.5, §6.3, §6.10; 01 §17). */
#pragma once

#include "base/clock.h"
#include "store/handle.h"

typedef enum {
        CONTAINER_CREATING,
        CONTAINER_CREATED,
        CONTAINER_DESTROYING,
        CONTAINER_FAILED,
} ContainerState;

const char *container_state_name(ContainerState state);

/* Whose it is: its identity across restarts. Exactly one kind. Text is borrowed. */
typedef enum {
        CONTAINER_OWNER_BUILD_STEP, /* build_id, plan_id (attempt included), team_id */
        CONTAINER_OWNER_CHECK_SESSION, /* resource_config_id: reused by checks on one worker until it expires */
        CONTAINER_OWNER_MEMORY_CHECK, /* check_key, plan_id, team_id: a step of a check without a row */
} ContainerOwnerKind;

typedef struct {
        ContainerOwnerKind kind;
        int64_t build_id, team_id;
        const char *plan_id;
        int64_t resource_config_id;
        const char *base_type;   /* of a check session: the type at the bottom */
        Duration session_period; /* of a check session that is new: 05 §2.5 */
        const char *check_key;   /* of a memory check: unique to one run of it */
} ContainerOwner;

/* What fly containers shows and the janitor and the pool look at. Text is borrowed. */
typedef struct {
        const char *type; /* "check", "get", "put", "task", "run" */
        const char *step_name, *attempt, *working_directory, *user;
        int64_t pipeline_id, job_id, build_id;
        const char *pipeline_name, *job_name, *build_name;
        const Value *instance_vars;
} ContainerMetadata;

typedef struct {
        int64_t id, team_id, worker_id;
        char *handle, *worker;
        ContainerState state;
        char *type, *step_name, *attempt, *working_directory, *user;
        int64_t pipeline_id, job_id, build_id;
        char *pipeline_name, *job_name, *build_name;
        Value *instance_vars;
        Time created, last_hijack, missing_since,
                expires; /* expires: of its check session; 0 else */
} Container;

void container_free(Container *container);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Container, container_free)

/* ---- the life of one ---- */

/* The owner's container that is creating or created, on any worker. NULL without error: none. */
Container *container_find_owned(Store *store, const ContainerOwner *owner, GError **error);
/* On one worker (check sessions are per worker). */
Container *container_find_owned_on(Store *store, const ContainerOwner *owner, const char *worker,
                                   GError **error);
/*
 * A row in state creating with a new handle (UUID); made once per owner (and worker, for check
 * sessions): a second call returns the first's row. epoch: of the build's lease for build steps,
 * else 0; ERROR_STALE. ERROR_NOT_FOUND: the worker is gone.
 */
Container *container_create(Store *store, const char *worker, const ContainerOwner *owner,
                            const ContainerMetadata *metadata, int64_t epoch, GError **error);
/* creating → created, its volumes too; again is fine. ERROR_NOT_FOUND "container disappeared from db". */
bool container_set_created(Store *store, int64_t id, GError **error);
bool container_set_failed(Store *store, int64_t id, GError **error);     /* creating → failed */
bool container_set_destroying(Store *store, int64_t id, GError **error); /* any → destroying */
bool container_touch_hijack(Store *store, int64_t id, Time now, GError **error);
/* A memory check ended: its containers are free to go. */
bool container_release_memory_check(Store *store, const char *check_key, GError **error);
/* Ends all sessions of a resource config, so that the next check gets a new container. */
bool container_expire_sessions(Store *store, int64_t resource_config_id, GError **error);

/* ---- looking ---- */
Container *container_get(Store *store, const char *handle, GError **error);
/* Whether it is the team's: of its builds, or of a check that one of its resources shares (01 §17.2). */
bool container_in_team(Store *store, const Container *container, int64_t team_id, bool *ret,
                       GError **error);

typedef struct {
        int64_t team_id;                        /* 0: of every team */
        const char *type, *step_name, *attempt; /* NULL: any */
        int64_t pipeline_id, job_id, build_id;  /* 0: any */
        const char *pipeline_name, *job_name, *build_name;
        const Value *instance_vars; /* NULL: any */
        int64_t resource_config_id; /* not 0: the containers of its check sessions instead */
        bool checks; /* also check containers of the team's resources (01 §17.2, no query) */
} ContainerQuery;
GPtrArray *container_list(Store *store, const ContainerQuery *query,
                          GError **error); /* Container */

/*
 * Whether a place may come free on a full worker before this build (0: a check) gives one up. Containers of a build stay
 * until it ends, and one that waits for a place itself does not: it has a container in creating there. Of several that wait
 * for each other, the youngest has no hope.
 */
bool container_may_go_on(Store *store, const char *worker, int64_t build_id, bool *ret,
                         GError **error);
/* On a full worker: what is kept only so that people can look into builds that are over goes, unless somebody did since. */
bool container_drop_kept(Store *store, const char *worker, Time since, GError **error);

/* ---- workers report and destroy (05 §6.10) ---- */
/* handles: char *; NULL as JSON null. */
bool container_report(Store *store, const char *worker, const GPtrArray *handles, Time now,
                      GError **error);
GPtrArray *container_list_destroying(Store *store, const char *worker, GError **error); /* char * */

/* ---- for the janitor: 05 §6.3, §6.4 ---- */
typedef struct {
        Time now;
        Duration missing_grace, hijack_grace;
        Duration creating_grace; /* a creating one without an owner: not upstream's leak */
} ContainerSweep;
/* Expires sessions, marks orphans and failed ones destroying, forgets missing ones. */
bool container_sweep(Store *store, const ContainerSweep *sweep, int64_t *ret_marked,
                     int64_t *ret_deleted, GError **error);
