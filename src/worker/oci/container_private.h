/* What container.c and containers.c share. */
#pragma once

#include "worker/oci/attach.h"
#include "worker/oci/container.h"

struct Container {
        int references; /* atomic */
        Containers *owner;
        char *handle, *directory;
        int directory_fd;
        GardenContainerSpec spec; /* immutable once made */
        bool full;                /* outside the user namespace */

        Mutex lock; /* of all below */
        Value *properties;
        Shim *shim; /* NULL: dead */
        int root;   /* the container's own root directory, while it lives */
        int64_t pid, pid_start;
        bool dead, destroying, listed;
        bool killing; /* by us, on purpose */
        uint32_t next_number;
        GPtrArray *processes; /* of Process, oldest first */
        int last_code;        /* -1: none ended */
};

struct Containers {
        char *work_directory, *directory, *init;
        Runtime *runtime;
        Helper *helper;
        Volumes *volumes;
        Network *network;
        int64_t max, spool_ceiling;
        Duration read_keep;
        void (*changed)(void *data);
        void *data;
        CgroupHost cgroup;
        Value *seccomp;
        GPtrArray *devices;
        Value *hooks; /* NULL: none */
        Duration create_timeout;
        SpecHost host;
        ShimWatch *watch;
        Mutex lock;
        Condition settled; /* one was made, or given up */
        GHashTable *table; /* of handle to Container; one that is being made is not listed */
        bool refused;      /* one, for want of a place */
};

Container *container_new(Containers *owner, const char *handle);
Container *container_ref(Container *container);
char *container_path(const Container *container, const char *name); /* returns new */

/* container.json. */
bool container_save(Container *container, GError **error);
bool container_load(Container *container, GError **error);

/* Meets the shim of process 1, whose pidfd is taken; loads the processes first if they are an
 * earlier worker's. */
bool container_meet(Container *container, pid_t pid, int pidfd, GError **error);
void container_load_processes(Container *container, Shim *shim);
/* Removes what ended processes left that nobody can ask for any more. */
void container_tidy(Container *container);
/* SIGKILL to all of it, and lets go of the shim. */
bool container_kill(Container *container, GError **error);

/* containers_create() and containers_destroy(), without the table. attach: its network, on the way; NULL: none. */
bool container_build(Container *container, Attach *attach, Cancel *cancel, GError **error);
bool container_remove(Container *container, GError **error);
/* NULL and "" are refused too. */
bool container_check_handle(const char *handle, GError **error);
/* Checks what was asked of a container with such a handle: upstream's texts. *ret_root is new: the path of the root file system. */
bool container_check(const GardenContainerSpec *spec, char **ret_root, GError **error);
/* When it was found on disk and lives: its volumes are in use. */
void container_claim(Container *container);
/* The field of /proc/PID/stat that tells two processes of one pid apart; 0: no such process. */
int64_t pid_start_time(pid_t pid);
