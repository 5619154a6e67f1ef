/*
 * The workers as the server sees them: choosing one, making containers and volumes on it, running processes,
 * moving artifacts between workers. Speaks Garden and Baggageclaim (reference 06 §3, §4, §6; 04 §8, §11, §12).
 */
#pragma once

#include "base/cancel.h"
#include "base/value.h"
#include "pool/artifact.h"
#include "store/store.h"
#include "wire/garden.h"

typedef struct Pool Pool; /* any thread */

typedef enum {
        PLACEMENT_VOLUME_LOCALITY,
        PLACEMENT_RANDOM,
        PLACEMENT_FEWEST_BUILD_CONTAINERS,
        PLACEMENT_LIMIT_ACTIVE_TASKS,
        PLACEMENT_LIMIT_ACTIVE_CONTAINERS,
        PLACEMENT_LIMIT_ACTIVE_VOLUMES,
} PlacementStrategy;

/* At most PLACEMENT_STRATEGIES_MAX; the first is the primary order. Borrowed by pool_new() only. */
#define PLACEMENT_STRATEGIES_MAX 8
typedef struct {
        const PlacementStrategy *list;
        size_t count;
} PlacementStrategies;

typedef struct {
        Store *store;
        PlacementStrategies strategies; /* of tasks and puts; none: volume locality */
        PlacementStrategies no_input;   /* of gets and of checks within a build; none: the former */
        PlacementStrategies check;      /* of checks of resources; none: random */
        int64_t max_active_tasks, max_active_containers,
                max_active_volumes; /* per worker; 0: no limit */
        Duration request_timeout;   /* of one Garden call; 0: 5 min */
} PoolSpec;

Pool *pool_new(const PoolSpec *spec);
void pool_free(Pool *pool);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Pool, pool_free)

/* ---- what a step needs ---- */

/* What the worker must offer. Text is borrowed. */
typedef struct {
        const char *resource_type; /* get, put, check: the base type; NULL: any */
        const char *platform;      /* tasks; NULL: any */
        char *const *tags;         /* NULL-terminated; may be NULL */
        int64_t team_id;
        bool task;     /* counts against active tasks */
        bool check;    /* a check of a resource */
        bool no_input; /* a get, or a check within a build */
} PlacementNeed;

typedef struct {
        Artifact *artifact; /* borrowed */
        const char *path;   /* where it is mounted, absolute */
} ContainerInput;

typedef struct {
        ContainerOwner
                owner; /* store/container.h: who it belongs to, its identity across restarts */
        int64_t epoch; /* of the build's lease; 0: a check without a row */
        ContainerMetadata
                metadata; /* type, step name, attempt, pipeline, job, build: what fly containers shows */
        PlacementNeed need;

        const char *base_type;  /* image: a base resource type of the worker, */
        Artifact *image;        /* or an artifact with rootfs/ and metadata.json, */
        const char *rootfs_uri; /* or a worker's own path */
        bool privileged;        /* base types add their own flag */
        bool hermetic;
        const char *user;                 /* of the task's run.user; NULL: the image's */
        const char *const *env;           /* "K=V", after the image's env */
        int64_t cpu_shares, memory_bytes; /* 0: none */
        const char *
                working_directory; /* mounted as an empty volume unless something is there; NULL: none */
        const ContainerInput *inputs;
        size_t input_count;
        const char *const *outputs; /* absolute paths */
        const char *const *caches;  /* absolute paths; job_id and step name in metadata find them */
        bool certificates;          /* mount the worker's certificates */
        /* Of a get of a base type: where that type keeps downloads, it finds those of this config; 0: none. */
        int64_t downloads_config_id;
} ContainerNeed;

/* What the pool tells the step on its way, on the step's thread; any may be NULL. */
typedef struct {
        void (*waiting)(bool no_room, void *data); /* no_room: for a disk, not for others to end */
        /* The chosen worker has no place for a container now: it is waited for. reason: in its words */
        void (*full)(const char *worker, const char *reason, void *data);
        /* false: the step cannot go on, and nothing is made on the worker */
        bool (*selected)(const char *worker, void *data, GError **error);
        void (*streaming)(const char *volume, const char *from, const char *to, void *data);
        void *data;
} PoolWatch;

/* ---- containers ---- */

/* A container on a worker; one thread at a time. */
typedef struct PoolContainer PoolContainer;

/*
 * Finds the owner's container on its worker, or chooses a worker (waits while the strategies reject all) and makes it.
 * Waits too while that worker is at its limit of containers or addresses.
 * The row is written before the worker is asked, so that a restart finds what it left (design §3).
 * Errors carry upstream's texts: "no workers", "no workers satisfying: …", "find or create container on worker W: …".
 */
PoolContainer *pool_container(Pool *pool, const ContainerNeed *need, const PoolWatch *watch,
                              Cancel *cancel, GError **error);
/* Ends what runs in a container: SIGTERM, 10 s later SIGKILL. For what no step waits for any more. */
bool pool_stop(Pool *pool, const char *worker, const char *handle, Cancel *cancel, GError **error);
/* Ends the step's use of it: a limit's slot is given back. The container stays until the janitor removes it. */
void pool_container_free(PoolContainer *container);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PoolContainer, pool_container_free)

/* Any container by its handle, for a session in it. ERROR_NOT_FOUND: unknown, or its worker does not have it (yet, or any
 * more); ERROR_UNAVAILABLE: its worker cannot be reached. */
PoolContainer *pool_container_find(Pool *pool, const char *handle, Cancel *cancel, GError **error);

const char *pool_container_worker(const PoolContainer *container);
const char *pool_container_handle(const PoolContainer *container);
/* Whether this call made it; false: it was found, a process may run or have ended in it. */
bool pool_container_created(const PoolContainer *container);
/* The volume mounted at path (input clone, output, cache or working directory) as an artifact. Returns new; NULL when none. */
Artifact *pool_container_artifact(PoolContainer *container, const char *path);
/* Garden properties. *ret_value is new; NULL when absent. */
bool pool_container_property(PoolContainer *container, const char *name, Cancel *cancel,
                             char **ret_value, GError **error);
bool pool_container_set_property(PoolContainer *container, const char *name, const char *value,
                                 Cancel *cancel, GError **error);
/* After a get: the volume at path becomes the resource cache (unprivileged). *ret_artifact (new) names the winner's volume. */
bool pool_container_save_cache(PoolContainer *container, const char *path,
                               int64_t resource_cache_id, Cancel *cancel, Artifact **ret_artifact,
                               GError **error);
/* After a task: its cache volumes become the job's task caches. */
bool pool_container_save_task_caches(PoolContainer *container, Cancel *cancel, GError **error);

/* ---- processes ---- */

/* Takes output as it arrives, on the thread of pool_process_run; offset is of the stream, before these bytes. */
typedef bool (*OutputFn)(const void *bytes, size_t length, int64_t offset, void *data,
                         GError **error);

typedef struct {
        const char *id; /* "task", "resource"; NULL: the server makes one and no attach is tried */
        const char *path;
        const char *const *args;
        const char *directory; /* NULL: / */
        const char *user;      /* NULL: the container's */
        bool tty;              /* 500 × 500, as tasks */
        const void *input;     /* whole stdin, then its end; NULL with tty: stdin stays open */
        size_t input_length;
        OutputFn output, error; /* error may be NULL */
        void *data;
        int64_t output_from, error_from; /* where a re-attach goes on, between Weir ends */
        bool attach_only; /* the process was started before: never start it again (puts, G4) */
        bool once;        /* never start it again when the answer to that was lost */
        bool *ret_lost;   /* true when it began and its end could not be learned; may be NULL */
} ProcessNeed;

/*
 * Attaches to the process `id` if it was started before, else starts it; streams until it ended and all output was
 * delivered. On abort: SIGTERM, 10 s later SIGKILL, output of that time included, then ERROR_CANCELLED or ERROR_TIMEOUT. On shutdown it
 * leaves the process running. A connection that breaks is attached again where it stopped.
 * attach_only or once, and nothing there: ERROR_NOT_FOUND.
 */
bool pool_process_run(PoolContainer *container, const ProcessNeed *need, Cancel *cancel,
                      int *ret_status, GError **error);

/* ---- sessions: a person's process in a container, beside the step's (reference 06 §6.7) ---- */

typedef struct {
        const GardenProcessSpec *spec; /* without id; user NULL: the container's */
        OutputFn output, error;        /* called on the thread of pool_session_run */
        void *data;
        int client; /* a socket: the session is over when its other side hangs up; -1: none */
} SessionNeed;

typedef struct PoolSession PoolSession; /* one thread runs it, any may send */

/* Starts the process. Borrows container and cancel, which end after the session. */
PoolSession *pool_session_start(PoolContainer *container, const SessionNeed *need, Cancel *cancel,
                                GError **error);
/*
 * Delivers output until the process has ended, through a restart of the worker too. When cancel fires (as
 * cancel_check()), the client hangs up (ERROR_CANCELLED) or output is refused (its error), the process and its group
 * are told to hang up, and killed after 10 s; not so on shutdown, when nothing is waited for.
 */
bool pool_session_run(PoolSession *session, int *ret_status, GError **error);
void pool_session_free(PoolSession *session);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PoolSession, pool_session_free)

/* Any byte as it is, for a Weir worker; for others what is no UTF-8 becomes U+FFFD. Waits while the process is 1 MiB
 * behind. What comes after its end is dropped. Returns as cancel_check(). */
bool pool_session_input(PoolSession *session, const void *bytes, size_t length, Cancel *cancel,
                        GError **error);
void pool_session_input_end(PoolSession *session);
void pool_session_resize(PoolSession *session, GardenWindow window);

/* ---- artifacts (volumes) ---- */

/* Reads one file of an artifact, at most limit bytes. ERROR_NOT_FOUND. Returns new, NUL-terminated. */
char *pool_artifact_file(Pool *pool, Artifact *artifact, const char *path, size_t limit,
                         size_t *ret_length, Cancel *cancel, GError **error);

typedef ssize_t (*StreamSource)(void *ret, size_t length, void *data, GError **error);
typedef bool (*StreamSink)(const void *bytes, size_t length, void *data, GError **error);
/* fly execute: a new volume on any worker that fits, filled from a gzipped tar, *ret_id of its worker_artifact row; and back
 * (reference 06 §6.9). */
bool pool_artifact_upload(Pool *pool, const PlacementNeed *need, StreamSource source, void *data,
                          Cancel *cancel, int64_t *ret_id, GError **error);
bool pool_artifact_download(Pool *pool, Artifact *artifact, StreamSink sink, void *data,
                            Cancel *cancel, GError **error);

/* The artifact of a resource cache on a running compatible worker; NULL without error when no worker has it. */
bool pool_find_cache(Pool *pool, int64_t resource_cache_id, const PlacementNeed *need,
                     Artifact **ret, GError **error);
