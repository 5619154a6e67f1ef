/* Making and removing one container. */
#include "worker/oci/container_private.h"

#include "base/fault.h"
#include "base/files.h"
#include "base/json.h"
#include "base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#define META_MAX ((size_t) 32 * 1024 * 1024)
#define STOP_TIMEOUT (25 * DURATION_SECOND)
#define CLEAR_TIMEOUT (10 * DURATION_SECOND)
#define CLEAR_PAUSE_MAX (50 * DURATION_MILLISECOND)

/* ---- what was asked ---- */

static bool check_mount(const GardenMount *mount, GError **error) {
        if (!mount->source || !*mount->source || !mount->destination || !*mount->destination)
                g_set_error(error, ERROR, ERROR_INVALID, "src and dst must not be empty");
        else if (*mount->source != '/' || *mount->destination != '/')
                g_set_error(error, ERROR, ERROR_INVALID, "src and dst must be absolute");
        else if (mount->origin != 0 && mount->origin != 1)
                g_set_error(error, ERROR, ERROR_INVALID, "unknown bind mount origin %" PRId64,
                            mount->origin);
        else if (mount->mode != 0 && mount->mode != 1)
                g_set_error(error, ERROR, ERROR_INVALID, "unknown bind mount mode %" PRId64,
                            mount->mode);
        else
                return true;
        return false;
}

static bool check_spec(const GardenContainerSpec *spec, char **ret_root, GError **error) {
        const char *uri = spec->rootfs && *spec->rootfs ? spec->rootfs : spec->image_uri;
        if (!uri || !*uri) {
                g_set_error(error, ERROR, ERROR_INVALID, "rootfs must not be empty");
                return false;
        }
        const char *separator = strstr(uri, "://");
        if (!separator) {
                g_set_error(error, ERROR, ERROR_INVALID,
                            "malformatted rootfs: must be of form 'scheme://<abs_dir>'");
                return false;
        }
        if (strncmp(uri, "raw", (size_t) (separator - uri)) != 0 || separator != uri + 3) {
                g_set_error(error, ERROR, ERROR_INVALID, "unsupported scheme '%.*s'",
                            (int) (separator - uri), uri);
                return false;
        }
        if (separator[3] != '/') {
                g_set_error(error, ERROR, ERROR_INVALID, "directory must be an absolute path");
                return false;
        }
        for (guint i = 0; i < spec->mounts->len; i++)
                if (!check_mount(&g_array_index(spec->mounts, GardenMount, i), error))
                        return false;
        *ret_root = g_strdup(separator + 3);
        return true;
}

bool container_check_handle(const char *handle, GError **error) {
        bool given = handle && *handle;
        if (given && helper_id_valid(handle))
                return true;
        g_set_error(error, ERROR, ERROR_INVALID, "garden spec to oci spec: %s",
                    given ? "invalid handle" : "handle must be specified");
        return false;
}

bool container_check(const GardenContainerSpec *spec, char **ret_root, GError **error) {
        if (check_spec(spec, ret_root, error))
                return true;
        g_prefix_error(error, "garden spec to oci spec: ");
        return false;
}

/* ---- container.json ---- */

bool container_save(Container *container, GError **error) {
        g_autoptr(Value) meta = value_map();
        g_autofree char *path = container_path(container, "container.json");
        size_t length;
        MUTEX_SCOPE(&container->lock);
        value_map_set(meta, "spec", garden_container_spec_value(&container->spec));
        value_map_set(meta, "properties", value_ref(container->properties));
        value_map_set_int(meta, "pid", container->pid);
        value_map_set_int(meta, "pid_start", container->pid_start);
        g_autofree char *text = json_write(meta, JSON_COMPACT, &length);
        /* Not synced: after a crash of the machine there is no container either. */
        return file_replace(path, text, length, 0600, error);
}

bool container_load(Container *container, GError **error) {
        g_autofree char *path = container_path(container, "container.json");
        size_t length;
        g_autofree char *text = file_read(path, META_MAX, &length, error);
        g_autoptr(Value) meta = text ? json_parse(text, length, NULL, error) : NULL;
        if (!meta || !garden_container_spec_parse(value_get(meta, "spec"), &container->spec, error))
                return false;
        const Value *properties = value_get(meta, "properties");
        if (value_is(properties, VALUE_MAP)) {
                value_free(container->properties);
                container->properties = value_ref(properties);
        }
        container->pid = value_get_int(meta, "pid", 0);
        container->pid_start = value_get_int(meta, "pid_start", 0);
        container->full = spec_is_full(&container->owner->host, container->spec.privileged);
        return true;
}

int64_t pid_start_time(pid_t pid) {
        char path[64];
        snprintf(path, sizeof(path), "/proc/%d/stat", pid);
        g_autofree char *text = file_read(path, 4096, NULL, NULL);
        const char *after = text ? strrchr(text, ')') : NULL; /* the name may hold anything */
        unsigned long long start = 0;
        if (after && sscanf(after,
                            ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d "
                            "%*d %*d %llu",
                            &start) != 1)
                return 0;
        return (int64_t) start;
}

/* ---- making ---- */

typedef struct {
        GPtrArray *sources; /* of text, owned */
        GArray *mounts;     /* of SpecMount */
        char *root;
} Paths;

static void paths_clear(Paths *paths) {
        g_clear_pointer(&paths->sources, g_ptr_array_unref);
        g_clear_pointer(&paths->mounts, g_array_unref);
        g_clear_pointer(&paths->root, g_free);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Paths, paths_clear)

/* Returns new: where the runtime finds what the web node calls `path`. One that is in no volume is
 * bound as it is. */
static char *visible_path(Container *container, const char *path, GError **error) {
        g_autoptr(GError) failure = NULL;
        VolumesUse use = { .container = container->handle,
                           .path = path,
                           .privileged = container->full };
        char *visible = container->owner->volumes
                                ? volumes_mount(container->owner->volumes, &use, &failure)
                                : g_strdup(path);
        if (visible)
                return visible;
        if (error_is(failure, ERROR_NOT_FOUND) && access(path, F_OK) == 0)
                return g_strdup(path);
        g_propagate_error(error, g_steal_pointer(&failure));
        return NULL;
}

static bool find_paths(Container *container, const char *root, Paths *ret, GError **error) {
        const GArray *asked = container->spec.mounts;
        ret->sources = g_ptr_array_new_with_free_func(g_free);
        ret->mounts = g_array_new(false, true, sizeof(SpecMount));
        if (!(ret->root = visible_path(container, root, error)))
                return false;
        for (guint i = 0; i < asked->len; i++) {
                const GardenMount *mount = &g_array_index(asked, GardenMount, i);
                char *source = visible_path(container, mount->source, error);
                if (!source)
                        return false;
                g_ptr_array_add(ret->sources, source);
                SpecMount made = { source, mount->destination, mount->mode == 1 };
                g_array_append_val(ret->mounts, made);
        }
        return true;
}

static bool put_file(Container *container, const char *name, const char *text, int mode,
                     uid_t owner, GError **error) {
        autofd fd = openat(container->directory_fd, name,
                           O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
        if (fd < 0) {
                error_set_errno(error, errno, "open %s/%s", container->directory, name);
                return false;
        }
        return write_all(fd, text, strlen(text), error) &&
               (owner == 0 || fchown(fd, owner, owner) == 0);
}

static bool put_network_files(Container *container, const char *address, GError **error) {
        Network *network = container->owner->network;
        uid_t owner = container->full ? 0 : container->owner->host.id_base;
        g_autofree char *hostname = g_strconcat(container->handle, "\n", NULL);
        g_autofree char *hosts = network ? network_hosts(network, container->handle, address)
                                         : g_strdup("127.0.0.1 localhost\n");
        g_autofree char *resolv = network ? network_resolv_conf(network, !container->spec.outgoing)
                                          : g_strdup("");
        return put_file(container, "hosts", hosts, 0644, owner, error) &&
               put_file(container, "hostname", hostname, 0644, owner, error) &&
               put_file(container, "resolv.conf", resolv, 0644, owner, error);
}

static int make_listener(Container *container, GError **error) {
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/shim.sock",
                 container->directory_fd);
        autofd fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
        if (fd < 0 || bind(fd, (struct sockaddr *) &address, sizeof(address)) < 0 ||
            fchmodat(container->directory_fd, "shim.sock", 0600, 0) < 0 || listen(fd, 4) < 0) {
                error_set_errno(error, errno, "listen on %s/shim.sock", container->directory);
                return -1;
        }
        return fd_steal(&fd);
}

static bool write_config(Container *container, const Paths *paths, const char *network_namespace,
                         GError **error) {
        g_autofree char *group = g_strconcat("/weir/", container->handle, NULL);
        SpecContainer asked = {
                .handle = container->handle,
                .root = paths->root,
                .mounts = (const SpecMount *) (const void *) paths->mounts->data,
                .mount_count = paths->mounts->len,
                .privileged = container->spec.privileged,
                .cpu_shares = container->spec.cpu_shares,
                .memory_bytes = container->spec.memory_bytes,
                .pids = container->spec.pids,
                .network_namespace = network_namespace,
                .directory = container->directory,
                .cgroup_path = group,
        };
        g_autoptr(Value) spec = spec_make(&container->owner->host, &asked);
        g_autofree char *text = json_write(spec, JSON_COMPACT, NULL);
        return put_file(container, "config.json", text, 0600, 0, error);
}

static bool start_runtime(Container *container, Cancel *cancel, GError **error) {
        autofd listener = make_listener(container, error);
        pid_t pid;
        if (listener < 0 || !runtime_run(container->owner->runtime, container->handle,
                                         container->directory, listener, cancel, &pid, error))
                return false;

        int pidfd = (int) syscall(SYS_pidfd_open, pid, 0);
        if (pidfd < 0) {
                error_set_errno(error, errno, "pidfd_open");
                return false;
        }
        container->pid = pid;
        container->pid_start = pid_start_time(pid);
        if (fault_here("container-started")) {
                fd_close(pidfd);
                g_set_error(error, ERROR, ERROR_INTERNAL, "injected");
                return false;
        }
        return container_save(container, error) && container_meet(container, pid, pidfd, error);
}

static bool make_directory(Container *container, GError **error) {
        if (mkdir(container->directory, 0711) < 0 || chmod(container->directory, 0711) < 0) {
                error_set_errno(error, errno, "mkdir %s", container->directory);
                return false;
        }
        container->directory_fd = open(container->directory,
                                       O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        fault_here("container-directory");
        return container->directory_fd >= 0;
}

bool container_build(Container *container, Attach *attach, Cancel *cancel, GError **error) {
        g_auto(Paths) paths = { 0 };
        g_auto(NetworkAttachment) attachment = { .fd = -1 };
        g_autofree char *root = NULL;

        if (!container_check(&container->spec, &root, error) || !make_directory(container, error) ||
            !container_save(container, error) || !find_paths(container, root, &paths, error) ||
            !attach_wait(attach, &attachment, error) ||
            !put_network_files(container, attachment.address, error) ||
            !write_config(container, &paths, attachment.path, error)) {
                g_prefix_error(error, "new container: ");
                return false;
        }
        if (!start_runtime(container, cancel, error)) {
                g_prefix_error(error, "starting task: ");
                return false;
        }
        fault_here("container-answering");
        return true;
}

void container_claim(Container *container) {
        Volumes *volumes = container->owner->volumes;
        g_autofree char *root = NULL;
        if (!volumes || !container_check(&container->spec, &root, NULL))
                return;
        VolumesUse use = { .container = container->handle,
                           .path = root,
                           .privileged = container->full };
        volumes_claim(volumes, &use, NULL); /* what is in no volume needs none */
        for (guint i = 0; i < container->spec.mounts->len; i++) {
                use.path = g_array_index(container->spec.mounts, GardenMount, i).source;
                volumes_claim(volumes, &use, NULL);
        }
}

/* ---- removing ---- */

/* Kills what is left in the control groups of a container whose shim we do not know, and removes
 * them: they stay busy until the last process is gone. */
static bool clear_groups(Container *container, GError **error) {
        const CgroupHost *cgroup = &container->owner->cgroup;
        g_autofree char *group = g_strconcat("/weir/", container->handle, NULL);
        Duration pause = DURATION_MILLISECOND, end = clock_monotonic() + CLEAR_TIMEOUT;
        for (;; pause = MIN(2 * pause, CLEAR_PAUSE_MAX)) {
                g_autoptr(GError) failure = NULL;
                if (cgroup_remove(cgroup, group, &failure))
                        return true;
                if (clock_monotonic() > end) {
                        g_propagate_error(error, g_steal_pointer(&failure));
                        return false;
                }
                cgroup_kill(cgroup, group);
                cancel_sleep(NULL, pause, NULL); /* nothing tells when a group is empty, on v1 */
        }
}

bool container_remove(Container *container, GError **error) {
        Containers *owner = container->owner;
        g_autofree char *config = container_path(container, "config.json");
        g_autoptr(Cancel) limit = cancel_new_deadline(NULL, STOP_TIMEOUT);
        g_autoptr(GError) failure = NULL;

        container_stop(container, false, limit, NULL);
        if (!container_kill(container, error) || !clear_groups(container, error))
                return false;
        fault_here("container-killed");
        if (access(config, F_OK) == 0 &&
            !runtime_delete(owner->runtime, container->handle, &failure))
                log_error("containers", "runtime-delete-failed", failure, "handle",
                          container->handle);
        if (owner->network)
                network_detach(owner->network, container->handle);
        if (owner->volumes)
                volumes_release(owner->volumes, container->handle);
        return directory_remove(container->directory, error);
}
