/*
 * The containers of a worker: made, found again after a restart, stopped and destroyed (reference 06
 * §5.6–5.10). One folder each, <work>/containers/<handle>/:
 *   container.json   what was asked, and its properties
 *   config.json      the OCI spec
 *   shim.sock        where weir-init listens
 *   hosts, hostname, resolv.conf
 *   processes/<n>/   one process each: process.json, stdout, stderr, sent, status
 * A folder without a running process 1 is a dead container: it is listed and can be destroyed. One whose worker died
 * before container.json named process 1 was never answered for: the next worker removes it.
 */
#pragma once

#include "wire/garden.h"
#include "worker/network/network.h"
#include "worker/oci/process.h"
#include "worker/oci/runtime.h"
#include "worker/oci/spec.h"
#include "worker/volumes/volumes.h"

#define CONTAINERS_MAX 250 /* unless told otherwise */

typedef struct Containers Containers; /* any thread */

typedef struct {
        const char *work_directory;
        const char *init; /* weir-init on the host */
        Runtime *runtime; /* these four are borrowed */
        Helper *helper;   /* NULL: runc makes user namespaces */
        Volumes *volumes; /* NULL: paths are bound as they are */
        Network *network; /* NULL: runc makes empty network namespaces */
        int64_t max;      /* 0: no limit */
        PrivilegedMode mode;
        const Value *seccomp; /* instead of our own */
        const GPtrArray *devices;
        const Value *hooks;      /* of hooks_read(); NULL: none */
        Duration create_timeout; /* of one, once its volumes are there; 0: none */
        int64_t spool_ceiling;   /* 0: SPOOL_CEILING */
        Duration read_keep; /* how long an ended process that was read can be read again; 0: 5 s */
        void (*changed)(void *data); /* a container came or went; may be NULL */
        void *data;
} ContainersSpec;

/* Finds what is on disk and meets the shims that run. */
Containers *containers_open(const ContainersSpec *spec, GError **error);
/* Leaves all containers and processes running. */
void containers_free(Containers *containers);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Containers, containers_free)
const CgroupHost *containers_cgroup(const Containers *containers);

/* Errors carry upstream's texts, "new container: …" and "starting task: …". ERROR_LIMIT when there are as many as may be, or
 * the network has no address left: the web node asks again. */
bool containers_create(Containers *containers, const GardenContainerSpec *spec, Cancel *cancel,
                       char **ret_handle, GError **error);
/* Whether one was refused for that since the last call. */
bool containers_take_refused(Containers *containers);
/* Handles of all whose properties hold every pair of filter (NULL: all), sorted. Returns new. */
GPtrArray *containers_list(Containers *containers, const Value *filter);
/* Kills what runs, waits, removes everything; of one that is being made once it is. ERROR_NOT_FOUND "unknown handle: H", ERROR_BUSY
 * "container already being destroyed". */
bool containers_destroy(Containers *containers, const char *handle, GError **error);

/* Removes what ended processes left that nobody comes for any more; now and then. */
void containers_tidy(Containers *containers);

/* ---- one of them; reference counted, any thread ---- */

typedef struct Container Container;

/* ERROR_NOT_FOUND "unknown handle: H". */
Container *containers_get(Containers *containers, const char *handle, GError **error);
void container_free(Container *container); /* drops one reference; accepts NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Container, container_free)

/* SIGTERM to every process that was asked for, 10 s later SIGKILL; kill: SIGKILL at once. */
bool container_stop(Container *container, bool kill, Cancel *cancel, GError **error);

Value *container_properties(Container *container); /* returns new; without empty values */
bool container_set_property(Container *container, const char *name, const char *value,
                            GError **error);
/* "cpu" or "memory": what was asked. */
uint64_t container_cpu_shares(const Container *container);
uint64_t container_memory_bytes(const Container *container);

/* Starts a process; returns new. The errors are upstream's texts: "lookup user: …", "proc start:
 * …". */
Process *container_run(Container *container, const GardenProcessSpec *spec, Cancel *cancel,
                       GError **error);
/* The newest process of that id, running or ended. Returns new; ERROR_NOT_FOUND "unknown process:
 * P". */
Process *container_process(Container *container, const char *id, GError **error);
