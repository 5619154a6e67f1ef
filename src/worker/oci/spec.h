/* The OCI config.json of a container (reference 06 §5.7). Pure: text in, a Value out. */
#pragma once

#include "wire/garden.h"
#include "worker/oci/cgroup.h"

typedef enum {
        PRIVILEGED_FULL,
        PRIVILEGED_FUSE_ONLY,
        PRIVILEGED_IGNORE,
} PrivilegedMode;

bool privileged_mode_parse(const char *text, PrivilegedMode *ret, GError **error);

/* What all containers of a worker have in common. Borrowed text. */
typedef struct {
        uint64_t capabilities; /* our bounding set */
        const CgroupHost *cgroup;
        PrivilegedMode mode;
        const Value *seccomp;       /* linux.seccomp of unprivileged containers; NULL: none */
        const GPtrArray *devices;   /* "c 10:200 rwm"; may be NULL */
        const Value *hooks;         /* of hooks_read(); NULL: none */
        const char *init;           /* weir-init on the host */
        const char *user_namespace; /* path; NULL: runc makes one */
        uint32_t id_base, id_count; /* what its 0 is on the host, and how many */
} SpecHost;

/* A bind mount with its source as the runtime can reach it. */
typedef struct {
        const char *source, *destination;
        bool writable;
} SpecMount;

typedef struct {
        const char *handle;
        const char *root;
        const SpecMount *mounts;
        size_t mount_count;
        bool privileged;
        uint64_t cpu_shares, memory_bytes, pids; /* 0: none */
        const char *network_namespace;           /* path; NULL: runc makes one */
        const char *directory;                   /* of hosts, hostname, resolv.conf */
        const char *cgroup_path;
} SpecContainer;

/* Where weir-init is inside: in /dev, which is the container's own, so that no image gets a file. */
#define SPEC_INIT "/dev/.weir-init"

/* Whether the container runs outside the user namespace, with all we have. */
bool spec_is_full(const SpecHost *host, bool privileged);

/* Returns new. */
Value *spec_make(const SpecHost *host, const SpecContainer *container);

/* "c 10:200 rwm" as upstream's --containerd-allowed-device; ERROR_INVALID. Returns new. */
Value *spec_device_rule(const char *text, GError **error);
