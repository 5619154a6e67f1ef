/* A container on a worker, and the volumes it is made of. Internal to the pool. */
#pragma once

#include "pool/baggageclaim.h"

struct PoolContainer {
        Pool *pool;
        char *worker;
        Container *row;
        bool created;    /* by this call */
        bool task;       /* holds a task's place */
        bool extensions; /* the worker speaks ours */
        char *user;      /* of processes that name none; NULL: none said, or not known yet: */
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
        bool privileged;   /* the type's own flag included */
        int64_t uid, gid;  /* -1: as they are */
        GPtrArray *mounts; /* Mount; filled in the order of reference 06 §6.2 */
} Fitting;

/* Who runs a process that asks for `asked` (may be NULL): that, or what the container says. *ret is new; NULL: root. */
bool pool_container_user(PoolContainer *container, const char *asked, Cancel *cancel, char **ret,
                         GError **error);

void mount_free(Mount *mount);

/* The root file system. *ret_rootfs is new: "raw:///…"; *ret_env (list) and *ret_user are the image's, NULL for none. */
typedef struct {
        char *rootfs;
        char *user;
        Value *env; /* list of text; NULL: none */
} Root;
void root_clear(Root *root);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Root, root_clear)
bool fit_root(Fitting *fitting, Root *ret, GError **error);
/* Scratch, inputs, outputs, caches, working directory, certificates. */
bool fit_mounts(Fitting *fitting, GError **error);

/* The artifact's volume on this worker: its own, an equal cache, or a copy that is streamed here now. */
Volume *fit_artifact(Fitting *fitting, Artifact *artifact, const char *path, GError **error);
