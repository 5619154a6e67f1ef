/*
 * The worker's privileged hands: one single-threaded process, forked before any thread starts,
 * that makes mounts and namespaces and starts the confined children that touch volumes' files.
 * A program with threads cannot enter a user namespace, and forks badly; this one can.
 *
 * It is told ids, never paths: every path it touches is built by itself below the work directory
 * (or comes as an open descriptor). It dies with the worker.
 */
#pragma once

#include "base/cancel.h"
#include "wire/baggageclaim.h"

#include <sys/types.h>

/* The constant range of unprivileged containers: their 0 is this on the host. On disk all owners
 * are unshifted (0 is 0); only mounts shift them. */
#define HELPER_ID_BASE 100000
#define HELPER_ID_COUNT 65536

/* Layers of one mount, the upper one included; the kernel's own limit is 500. */
#define HELPER_LAYERS_MAX 128
/* An id: [A-Za-z0-9._-], not beginning with a dot or dash. */
#define HELPER_ID_LENGTH_MAX 128

typedef struct Helper Helper; /* any thread; calls are answered one after the other, in about a
                                 millisecond each */

/*
 * Gives this process a mount namespace of its own (mounts of the host still arrive, ours never
 * leave) and starts the helper in it. Programs started afterwards, runc too, are in that namespace
 * and see the mounts below; when worker, helper and containers are gone, so are the mounts, with
 * nobody to clean up. work_directory: absolute; made if missing, mode 0711.
 * Must be called before the first thread. ERROR_DENIED when not root.
 */
Helper *helper_start(const char *work_directory, GError **error);
void helper_stop(Helper *helper); /* accepts NULL; ends children under way */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Helper, helper_stop)

bool helper_id_valid(const char *id);

/* The user namespace of all unprivileged containers of this run (HELPER_ID_*), and a path to it
 * for an OCI config: "/proc/PID/fd/N". Both live as long as helper. */
int helper_user_namespace(const Helper *helper);
const char *helper_user_namespace_path(const Helper *helper);

/* What this host can do, found out once at start by trying. */
typedef struct {
        bool user_namespaces;
        bool overlay;     /* on the work directory's file system */
        bool mapped;      /* ID-mapped mounts of it, and overlays over those */
        char reason[256]; /* why not, for the log; "" when all is well */
} HelperFeatures;
const HelperFeatures *helper_features(const Helper *helper);

/* ---- mounts: <work>/mounts/<id>/mapped or …/plain ---- */

typedef struct {
        const char *id;            /* names the mount point */
        const char *const *layers; /* ids of <work>/layers/<id>, the top first */
        size_t layer_count;
        bool mapped; /* owners as unprivileged containers see them; else as on disk */
} HelperMount;

/* Mounts: one layer is bound, several become an overlay whose top layer takes the writes.
 * Unprivileged containers' mounts are nodev. ERROR_EXISTS when that is mounted already. */
bool helper_mount(Helper *helper, const HelperMount *mount, GError **error);
/* Detaches it and removes the mount point; fine when it was not there. */
bool helper_unmount(Helper *helper, const char *id, bool mapped, GError **error);
/* Returns new: where that mount is, whether or not it is mounted. */
char *helper_mount_path(const Helper *helper, const char *id, bool mapped);

/* ---- network namespaces ---- */

typedef struct {
        const char *host_name; /* of the host's end of the pair, at most 15 bytes */
        const char *bridge;    /* it joins; NULL: the host's end stays down, nothing passes */
        const char *address;   /* of eth0 inside, "10.80.0.5"; NULL: loopback only */
        unsigned prefix;       /* 16 */
        const char *gateway;   /* of the default route */
        const char *address6;  /* a second one of eth0, "fd9c:31a6:c759::5"; NULL: none */
        unsigned prefix6;      /* 64 */
        const char *gateway6;
        unsigned mtu;        /* 0: the kernel's */
        bool user_namespace; /* belongs to the containers' user namespace */
} HelperNetwork;

/* Makes a network namespace with lo up and, with an address, eth0. *ret_fd keeps it alive. */
bool helper_network(Helper *helper, const HelperNetwork *network, int *ret_fd, GError **error);

/* ---- children that touch files: confined to one volume's root ---- */

typedef enum {
        HELPER_UNPACK, /* reads a tar stream from fd into path below the volume's root */
        HELPER_PACK,   /* writes path below the root as a tar stream to fd */
        HELPER_CHOWN,  /* every entry to uid, gid */
} HelperJobKind;

typedef struct {
        HelperJobKind kind;
        const char *const *layers; /* of the volume, as HelperMount; read as one tree. Or: */
        size_t layer_count;
        int directory; /* with no layers: an open directory of the host, to PACK */
        const char *path;
        VolumeEncoding encoding;
        bool devices;   /* UNPACK: device nodes are made; else they fail the job */
        bool any_owner; /* UNPACK: every owner is kept; else those beyond the range become nobody's */
        bool follow_symlinks;  /* PACK a host directory: what links name, as cp -L */
        uint64_t disk_reserve; /* UNPACK: bytes left free, else ERROR_IO */
        uid_t uid;
        gid_t gid;
        int fd; /* of the stream, borrowed; -1: none */
} HelperJob;

typedef struct HelperChild HelperChild; /* one thread at a time */

/* Starts it; the stream then flows through job->fd. */
HelperChild *helper_job_start(Helper *helper, const HelperJob *job, GError **error);
/* Waits for its end. ERROR_NOT_FOUND "no such file or directory" when path is not there,
 * ERROR_INVALID when the archive is bad, ERROR_IO. When cancel fires it is killed. */
bool helper_job_wait(HelperChild *child, Cancel *cancel, GError **error);
/* PACK: waits until path was found and the stream begins, or reports why not; before any byte. */
bool helper_job_begun(HelperChild *child, Cancel *cancel, GError **error);
void helper_job_free(HelperChild *child); /* kills it when still running; accepts NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(HelperChild, helper_job_free)
