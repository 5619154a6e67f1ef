#include "worker/oci/cgroup.h"

#include "base/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DEPTH_MAX 16
#define PROCS_MAX ((size_t) 1024 * 1024)

static const char *const mode_names[] = {
        [CGROUP_V1] = "v1",
        [CGROUP_HYBRID] = "v1 (hybrid)",
        [CGROUP_V2] = "v2",
        [CGROUP_NONE] = "none",
};

const char *cgroup_mode_name(CgroupMode mode) {
        return mode_names[mode];
}

static bool exists(const char *root, const char *name) {
        g_autofree char *path = g_build_filename(root, name, NULL);
        return access(path, F_OK) == 0;
}

void cgroup_detect(const char *root, CgroupHost *ret) {
        *ret = (CgroupHost){ .root = g_strdup(root) };
        if (exists(root, "cgroup.controllers"))
                ret->mode = CGROUP_V2;
        else if (!exists(root, "memory") && !exists(root, "pids"))
                ret->mode = CGROUP_NONE;
        else
                ret->mode = exists(root, "unified/cgroup.procs") ? CGROUP_HYBRID : CGROUP_V1;
        ret->swap_limit = exists(root, "memory/memory.memsw.limit_in_bytes");
        ret->has_namespace = access("/proc/self/ns/cgroup", F_OK) == 0;
}

void cgroup_host_clear(CgroupHost *host) {
        g_clear_pointer(&host->root, g_free);
}

/* Calls fn with the group's directory in each hierarchy that may have it. */
typedef void (*HierarchyFn)(const char *directory, void *data);

static void each_hierarchy(const CgroupHost *host, const char *path, HierarchyFn fn, void *data) {
        if (host->mode == CGROUP_V2) {
                g_autofree char *directory = g_build_filename(host->root, path, NULL);
                fn(directory, data);
                return;
        }
        DIR *root = opendir(host->root);
        for (struct dirent *entry; root && (entry = readdir(root));) {
                g_autofree char *directory = NULL;
                if (entry->d_name[0] == '.' || entry->d_type == DT_LNK)
                        continue;
                directory = g_build_filename(host->root, entry->d_name, path, NULL);
                fn(directory, data);
        }
        if (root)
                closedir(root);
}

static bool put(const char *directory, const char *name, const char *text) {
        g_autofree char *path = g_build_filename(directory, name, NULL);
        autofd fd = open(path, O_WRONLY | O_CLOEXEC);
        return fd >= 0 && write(fd, text, strlen(text)) > 0;
}

static void kill_group(const char *directory, void *data) {
        size_t *count = data;
        g_autofree char *path = g_build_filename(directory, "cgroup.procs", NULL);
        g_autofree char *text = NULL;
        if (put(directory, "cgroup.kill", "1")) {
                (*count)++;
                return;
        }
        put(directory, "freezer.state", "THAWED");
        text = file_read(path, PROCS_MAX, NULL, NULL);
        for (char *rest = text, *line; rest && (line = strsep(&rest, "\n"));) {
                int pid = atoi(line);
                if (pid > 1 && kill(pid, SIGKILL) == 0)
                        (*count)++;
        }
}

size_t cgroup_kill(const CgroupHost *host, const char *path) {
        size_t count = 0;
        if (host->mode != CGROUP_NONE)
                each_hierarchy(host, path, kill_group, &count);
        return count;
}

static bool remove_tree(const char *directory, unsigned depth) {
        DIR *stream = opendir(directory);
        for (struct dirent *entry; stream && (entry = readdir(stream));) {
                if (entry->d_type != DT_DIR || entry->d_name[0] == '.' || depth >= DEPTH_MAX)
                        continue;
                g_autofree char *child = g_build_filename(directory, entry->d_name, NULL);
                remove_tree(child, depth + 1);
        }
        if (stream)
                closedir(stream);
        return rmdir(directory) == 0 || errno == ENOENT;
}

static void remove_group(const char *directory, void *data) {
        GError **error = data;
        if (!remove_tree(directory, 0) && errno != ENOTDIR && error && !*error)
                error_set_errno(error, errno, "rmdir %s", directory);
}

bool cgroup_remove(const CgroupHost *host, const char *path, GError **error) {
        g_autoptr(GError) failure = NULL;
        if (host->mode != CGROUP_NONE)
                each_hierarchy(host, path, remove_group, &failure);
        if (!failure)
                return true;
        g_propagate_error(error, g_steal_pointer(&failure));
        return false;
}
