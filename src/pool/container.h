/* A container on a worker, and the volumes it is made of. Internal to the pool. */
#pragma once

#include "base/thread.h"
#include "pool/baggageclaim.h"

struct PoolContainer {
        Pool *pool;
        char *worker;
        Container *row;
        bool created;    /* by this call */
        bool task;       /* holds a task's place */
        Thread *marking; /* writes the row's state; NULL: it is written */
        GError *mark_error;
        char *user; /* of processes that name none; NULL: none said, or not known yet: */
        bool user_known;
        int64_t job_id;
        char *step_name;
        GPtrArray *cache_paths; /* char * */
        GPtrArray *mounts;      /* Mount */
};

typedef struct {
        char *path;   /* in the container */
        char *source; /* on the worker; NULL when found again and not needed */
        char *handle; /* of its volume */
        int64_t volume_id;
        int64_t parent_id; /* copy-on-write of; 0: none */
        bool read_only;
} Mount;

/* What volumes are made for. */
typedef struct {
        Pool *pool;
        const ContainerNeed *need;
        const PoolWatch *watch;
        Cancel *cancel;
        const Worker *worker;
        const Container *row;
        bool privileged;    /* the type's own flag included */
        int64_t uid, gid;   /* -1: as they are */
        GPtrArray *planned; /* Planned, in the order of reference 06 §6.2 */
        GPtrArray *mounts;  /* Mount; filled by fit_volumes() in that order */
} Fitting;

/* Who runs a process that asks for `asked` (may be NULL): that, or what the container says. *ret is new; NULL: root. */
bool pool_container_user(PoolContainer *container, const char *asked, Cancel *cancel, char **ret,
                         GError **error);

/* A volume of the container's own: empty, or a clone. */
typedef struct {
        char *path;
        Volume *parent; /* NULL: empty */
} Planned;
void planned_free(void *planned);

PoolContainer *container_new(Pool *pool, Container *row); /* takes row */
/* A Garden request about it; the result borrows path. */
WorkerRequest container_request(const PoolContainer *container, const char *method,
                                const char *path);
/* ERROR_STALE when another web node has the build now: it may use the container. A check's is nobody's alone. */
bool container_check_lease(Pool *pool, const ContainerNeed *need, GError **error);
/* Whether its worker has it. */
bool container_is_listed(const PoolContainer *container, Cancel *cancel, bool *ret, GError **error);
/* Makes what the row stands for: volumes, then the container. What is half made by then stays, as its rows say. */
bool container_make(PoolContainer *container, const ContainerNeed *need, const PoolWatch *watch,
                    Cancel *cancel, GError **error);
/* Waits until the row says created. Once: then the error is gone. */
bool container_await_mark(PoolContainer *container, GError **error);

void mount_free(Mount *mount);

/* The root file system: a path of the worker's, or below the volume planned for "/". env and user are the image's. */
typedef struct {
        char *rootfs;      /* "raw:///…"; NULL: */
        const char *below; /* "" or "/rootfs" */
        char *user;
        Value *env; /* list of text; NULL: none */
} Root;
void root_clear(Root *root);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Root, root_clear)
bool fit_root(Fitting *fitting, Root *ret, GError **error);
/* Scratch, inputs, outputs, caches, working directory, certificates. */
bool fit_mounts(Fitting *fitting, GError **error);

/* layout.c: what is planned, its rows in one commit, then the volumes. */
VolumeSpec fit_spec(const Fitting *fitting, const char *path);
void fit_plan(Fitting *fitting, const char *path, Volume *parent); /* takes parent */
bool fit_is_planned(const Fitting *fitting, const char *path);
bool fit_rows(Fitting *fitting, GPtrArray **ret_rows,
              GError **error); /* new, of Volume, as planned */
/* Makes the planned volumes one after the other, and fills mounts. */
bool fit_volumes(Fitting *fitting, const GPtrArray *rows, GError **error);
/* The same for a worker that makes them with the container: *ret_requests is new, what POST /containers takes along. */
void fit_volumes_along(Fitting *fitting, const GPtrArray *rows, Value **ret_requests);
const Mount *fit_mount(const Fitting *fitting, const char *path); /* NULL: none */

/* The artifact's volume on this worker: its own, an equal cache, or a copy that is streamed here now. */
Volume *fit_artifact(Fitting *fitting, Artifact *artifact, const char *path, GError **error);
