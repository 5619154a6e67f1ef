/* Which control groups this host has. */
#pragma once

#include "base/error.h"

typedef enum {
        CGROUP_V1,     /* controllers on v1 only */
        CGROUP_HYBRID, /* … and a v2 hierarchy without controllers at /sys/fs/cgroup/unified */
        CGROUP_V2,
        CGROUP_NONE,
} CgroupMode;

typedef struct {
        CgroupMode mode;
        char *root;         /* "/sys/fs/cgroup" */
        bool swap_limit;    /* v1: memory.memsw.limit_in_bytes is there */
        bool has_namespace; /* the kernel has cgroup namespaces */
} CgroupHost;

/* Looks at root (a test passes a directory made to look like one). */
void cgroup_detect(const char *root, CgroupHost *ret);
void cgroup_host_clear(CgroupHost *host);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CgroupHost, cgroup_host_clear)
const char *cgroup_mode_name(CgroupMode mode);

/* Kills all processes in `path` ("/weir/HANDLE") of every hierarchy: by cgroup.kill where there is
 * one, else each that cgroup.procs names, after thawing. Bounded: some processes may be left if they
 * fork faster; call again. Returns how many were signalled. */
size_t cgroup_kill(const CgroupHost *host, const char *path);
/* Removes the groups below and at `path`, deepest first; fine when they are not there. */
bool cgroup_remove(const CgroupHost *host, const char *path, GError **error);
