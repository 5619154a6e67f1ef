#include "worker/oci/container_private.h"

#include "base/child.h"
#include "base/files.h"
#include "base/log.h"
#include "worker/oci/capability.h"
#include "worker/oci/seccomp.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* How long it is waited for what is to be destroyed and is not yet made. */
#define MAKING_TIMEOUT DURATION_MINUTE
/* A connection may have broken with the last of what a process wrote. */
#define READ_KEEP (5 * DURATION_SECOND)

/* ---- opening ---- */

static void set_host(Containers *containers, const ContainersSpec *spec) {
        containers->seccomp = spec->seccomp                        ? value_ref(spec->seccomp)
                              : spec->mode == PRIVILEGED_FUSE_ONLY ? seccomp_fuse()
                                                                   : seccomp_standard();
        containers->devices = g_ptr_array_new_with_free_func(g_free);
        for (guint i = 0; spec->devices && i < spec->devices->len; i++)
                g_ptr_array_add(containers->devices, g_strdup(g_ptr_array_index(spec->devices, i)));
        containers->hooks = value_ref(spec->hooks);
        cgroup_detect("/sys/fs/cgroup", &containers->cgroup);
        containers->host = (SpecHost){
                .capabilities = capability_bounding(),
                .cgroup = &containers->cgroup,
                .mode = spec->mode,
                .seccomp = containers->seccomp,
                .devices = containers->devices,
                .hooks = containers->hooks,
                .init = containers->init,
                .user_namespace = spec->helper ? helper_user_namespace_path(spec->helper) : NULL,
                .id_base = HELPER_ID_BASE,
                .id_count = HELPER_ID_COUNT,
        };
}

/* Meets what an earlier worker left; false: its process 1 is dead. */
static bool meet_again(Container *container) {
        g_autoptr(GError) error = NULL;
        if (container->pid <= 1)
                return false;
        int pidfd = (int) syscall(SYS_pidfd_open, (pid_t) container->pid, 0);
        if (pidfd < 0)
                return false;
        if (pid_start_time((pid_t) container->pid) != container->pid_start) {
                fd_close(pidfd);
                return false;
        }
        container_claim(container);
        if (container_meet(container, (pid_t) container->pid, pidfd, &error))
                return true;
        log_error("containers", "meet-failed", error, "handle", container->handle);
        return false;
}

/* Its worker died while it made it: nobody was told of it, so nobody asks for it. */
static bool undo_unfinished(Container *container) {
        g_autoptr(GError) error = NULL;
        if (container_remove(container, &error)) {
                log_info("containers", "unfinished-removed", "handle", container->handle);
                return true;
        }
        log_error("containers", "undo-failed", error, "handle", container->handle);
        return false;
}

/* NULL: there is none, or none any more. */
static Container *find_on_disk(Containers *containers, const char *handle) {
        g_autoptr(Container) container = container_new(containers, handle);
        g_autoptr(GError) error = NULL;
        container->directory_fd = open(container->directory,
                                       O_PATH | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (container->directory_fd < 0)
                return NULL;
        if (!container_load(container, &error)) {
                /* Cut off before anything but the folder was there. */
                log_error("containers", "load-failed", error, "handle", handle);
                garden_container_spec_init(&container->spec);
        }
        if (container->pid == 0 && undo_unfinished(container))
                return NULL;
        if (meet_again(container)) {
                container->listed = true;
                return g_steal_pointer(&container);
        }
        container->dead = true;
        container->listed = true;
        container_load_processes(container, NULL);
        return g_steal_pointer(&container);
}

static void find_all(Containers *containers) {
        g_autoptr(GDir) entries = g_dir_open(containers->directory, 0, NULL);
        g_autoptr(GPtrArray) alive = g_ptr_array_new();
        for (const char *name; entries && (name = g_dir_read_name(entries));) {
                Container *container = helper_id_valid(name) ? find_on_disk(containers, name)
                                                             : NULL;
                if (!container)
                        continue;
                g_hash_table_insert(containers->table, container->handle, container);
                g_ptr_array_add(alive, container->handle);
        }
        if (containers->network)
                network_keep(containers->network, (const char *const *) alive->pdata, alive->len);
        if (alive->len > 0)
                log_info("containers", "found", "count", LOG_INT(alive->len));
}

Containers *containers_open(const ContainersSpec *spec, GError **error) {
        g_autofree char *directory = g_build_filename(spec->work_directory, "containers", NULL);
        /* Each part of the way, or the runtime cannot pass it as the containers' root. */
        if (!directory_make(directory, 0711, error))
                return NULL;
        if (access(spec->init, X_OK) < 0) {
                error_set_errno(error, errno, "could not find init binary %s", spec->init);
                return NULL;
        }
        prctl(PR_SET_CHILD_SUBREAPER, 1); /* process 1 of a container comes to us when runc ends */

        Containers *containers = g_new0(Containers, 1);
        containers->work_directory = g_strdup(spec->work_directory);
        containers->directory = g_steal_pointer(&directory);
        containers->init = g_strdup(spec->init);
        containers->runtime = spec->runtime;
        containers->helper = spec->helper;
        containers->volumes = spec->volumes;
        containers->network = spec->network;
        containers->max = spec->max;
        containers->spool_ceiling = spec->spool_ceiling;
        containers->create_timeout = spec->create_timeout;
        containers->read_keep = spec->read_keep ? spec->read_keep : READ_KEEP;
        containers->changed = spec->changed;
        containers->data = spec->data;
        set_host(containers, spec);
        mutex_init(&containers->lock);
        condition_init(&containers->settled);
        containers->table = g_hash_table_new_full(g_str_hash, g_str_equal, NULL,
                                                  (GDestroyNotify) container_free);
        containers->watch = shim_watch_start();
        find_all(containers);
        return containers;
}

static void leave(void *key, void *value, void *data) {
        Container *container = value;
        Shim *shim;
        {
                MUTEX_SCOPE(&container->lock);
                shim = container->shim;
        }
        if (!shim)
                return;
        shim_close(shim);
        MUTEX_SCOPE(&container->lock);
        g_clear_pointer(&container->shim, shim_free);
}

void containers_free(Containers *containers) {
        if (!containers)
                return;
        g_hash_table_foreach(containers->table, leave, NULL);
        shim_watch_stop(containers->watch);
        g_hash_table_destroy(containers->table);
        condition_destroy(&containers->settled);
        mutex_destroy(&containers->lock);
        cgroup_host_clear(&containers->cgroup);
        value_free(containers->seccomp);
        g_ptr_array_unref(containers->devices);
        value_free(containers->hooks);
        g_free(containers->work_directory);
        g_free(containers->directory);
        g_free(containers->init);
        g_free(containers);
}

const CgroupHost *containers_cgroup(const Containers *containers) {
        return &containers->cgroup;
}

/* ---- the table ---- */

static void tell_changed(Containers *containers) {
        if (containers->changed)
                containers->changed(containers->data);
}

/* Takes the place of the handle, so that nobody else makes it meanwhile. Returns it referenced. */
static Container *reserve(Containers *containers, const char *handle, GError **error) {
        MUTEX_SCOPE(&containers->lock);
        if (g_hash_table_contains(containers->table, handle)) {
                g_set_error(error, ERROR, ERROR_EXISTS,
                            "new container: container \"%s\": already exists", handle);
                return NULL;
        }
        if (containers->max > 0 &&
            g_hash_table_size(containers->table) >= (guint) containers->max) {
                g_set_error(error, ERROR, ERROR_LIMIT,
                            "new container: checking container capacity: max containers reached");
                return NULL;
        }
        Container *container = container_new(containers, handle);
        g_hash_table_insert(containers->table, container->handle, container);
        return container_ref(container);
}

bool containers_take_refused(Containers *containers) {
        MUTEX_SCOPE(&containers->lock);
        bool refused = containers->refused;
        containers->refused = false;
        return refused;
}

/* For want of a place: what ended should go soon. */
static void note_refused(Containers *containers, const GError *error) {
        if (!error_is(error, ERROR_LIMIT))
                return;
        {
                MUTEX_SCOPE(&containers->lock);
                containers->refused = true;
        }
        tell_changed(containers);
}

static void forget(Containers *containers, Container *container) {
        MUTEX_SCOPE(&containers->lock);
        g_hash_table_remove(containers->table, container->handle);
        condition_broadcast(&containers->settled);
}

static void list(Containers *containers, Container *container) {
        MUTEX_SCOPE(&containers->lock);
        {
                MUTEX_SCOPE(&container->lock);
                container->listed = true;
        }
        condition_broadcast(&containers->settled);
}

static bool is_process_1(pid_t pid, void *data) {
        Containers *containers = data;
        GHashTableIter iterator;
        void *value;
        MUTEX_SCOPE(&containers->lock);
        g_hash_table_iter_init(&iterator, containers->table);
        while (g_hash_table_iter_next(&iterator, NULL, &value)) {
                Container *container = value;
                MUTEX_SCOPE(&container->lock);
                if (container->shim && container->pid == pid)
                        return true;
        }
        return false;
}

/* What a runtime that was killed left behind came to us, and ended when its control groups were cleared. */
static void reap_orphans(Containers *containers) {
        child_reap_orphans(is_process_1, containers);
}

/* ---- volumes that come along ---- */

/* Returns new: where the volume is. One that an earlier try made is taken as it is. */
static char *make_volume(Volumes *volumes, const Value *asked, Cancel *cancel, GError **error) {
        g_auto(VolumeRequest) request = { 0 };
        g_auto(VolumeResponse) response = { 0 };
        g_autoptr(GError) failure = NULL;
        if (!volume_request_from_value(asked, &request, error))
                return NULL;
        if (!volumes_create(volumes, &request, cancel, &response, &failure)) {
                if (!error_is(failure, ERROR_EXISTS)) {
                        g_propagate_error(error, g_steal_pointer(&failure));
                        return NULL;
                }
                if (!volumes_get(volumes, request.handle, &response, error))
                        return NULL;
        }
        return g_steal_pointer(&response.path);
}

static bool make_volumes(Containers *containers, const GardenContainerSpec *spec, Cancel *cancel,
                         GError **error) {
        if (value_length(spec->volumes) > 0 && !containers->volumes) {
                g_set_error(error, ERROR, ERROR_UNSUPPORTED, "this worker keeps no volumes");
                return false;
        }
        for (size_t i = 0; i < value_length(spec->volumes); i++) {
                g_autofree char *path = make_volume(containers->volumes, value_at(spec->volumes, i),
                                                    cancel, error);
                if (!path)
                        return false;
        }
        return true;
}

/* Replaces "volume:H/rest", after `scheme`, by where that is. */
static bool resolve(Containers *containers, char **text, const char *scheme, GError **error) {
        g_autofree char *prefix = g_strconcat(scheme, GARDEN_VOLUME_PREFIX, NULL);
        g_auto(VolumeResponse) volume = { 0 };
        if (!containers->volumes || !*text || !g_str_has_prefix(*text, prefix))
                return true;
        const char *name = *text + strlen(prefix);
        size_t length = strcspn(name, "/");
        g_autofree char *handle = g_strndup(name, length);
        if (!volumes_get(containers->volumes, handle, &volume, error))
                return false;
        char *path = g_strconcat(scheme, volume.path, name + length, NULL);
        g_free(*text);
        *text = path;
        return true;
}

static bool resolve_all(Containers *containers, GardenContainerSpec *spec, GError **error) {
        if (!resolve(containers, &spec->rootfs, "raw://", error))
                return false;
        for (guint i = 0; i < spec->mounts->len; i++)
                if (!resolve(containers, &g_array_index(spec->mounts, GardenMount, i).source, "",
                             error))
                        return false;
        g_clear_pointer(&spec->volumes, value_free);
        return true;
}

/* The container's own spec: what was asked, with its volumes made. */
static bool take_spec(Containers *containers, Container *container, const GardenContainerSpec *spec,
                      Cancel *cancel, GError **error) {
        g_autoptr(Value) copy = garden_container_spec_value(spec);
        g_autofree char *root = NULL;
        if (spec->properties) {
                value_free(container->properties);
                container->properties = value_copy(spec->properties);
        }
        if (garden_container_spec_parse(copy, &container->spec, error) &&
            make_volumes(containers, spec, cancel, error) &&
            resolve_all(containers, &container->spec, error) &&
            container_check(&container->spec, &root, error))
                return true;
        g_prefix_error(error, "new container: ");
        return false;
}

/* Of making a container whose volumes are there. Returns new; NULL: none. */
static Cancel *limit_of(const Containers *containers, Cancel *cancel) {
        if (containers->create_timeout)
                return cancel_new_deadline(cancel, containers->create_timeout);
        return cancel ? cancel_ref(cancel) : NULL;
}

/* Its volumes, its network and itself; what of them was made when it fails is undone. */
static bool make(Container *container, const GardenContainerSpec *spec, Cancel *cancel,
                 GError **error) {
        Containers *containers = container->owner;
        const NetworkRequest request = { .container = container->handle,
                                         .hermetic = !spec->outgoing,
                                         .privileged = container->full };
        g_autoptr(Attach) attach = attach_start(containers->network, &request);
        g_autoptr(GError) failure = NULL;
        if (!take_spec(containers, container, spec, cancel, error)) {
                g_clear_pointer(&attach, attach_free);
                if (containers->network)
                        network_detach(containers->network, container->handle);
                return false;
        }
        g_autoptr(Cancel) limit = limit_of(containers, cancel);
        if (container_build(container, attach, limit, error))
                return true;
        g_clear_pointer(&attach, attach_free);
        if (!container_remove(container, &failure))
                log_error("containers", "undo-failed", failure, "handle", container->handle);
        reap_orphans(containers);
        return false;
}

static bool create(Containers *containers, const GardenContainerSpec *spec, Cancel *cancel,
                   char **ret_handle, GError **error) {
        if (!container_check_handle(spec->handle, error)) {
                g_prefix_error(error, "new container: ");
                return false;
        }
        g_autoptr(Container) container = reserve(containers, spec->handle, error);
        if (!container)
                return false;
        container->full = spec_is_full(&containers->host, spec->privileged);
        if (!make(container, spec, cancel, error)) {
                forget(containers, container);
                return false;
        }
        list(containers, container);
        *ret_handle = g_strdup(container->handle);
        tell_changed(containers);
        return true;
}

bool containers_create(Containers *containers, const GardenContainerSpec *spec, Cancel *cancel,
                       char **ret_handle, GError **error) {
        g_autoptr(GError) local = NULL;
        if (create(containers, spec, cancel, ret_handle, &local))
                return true;
        note_refused(containers, local);
        g_propagate_error(error, g_steal_pointer(&local));
        return false;
}

static bool matches(Container *container, const Value *filter) {
        MUTEX_SCOPE(&container->lock);
        if (!container->listed)
                return false;
        for (size_t i = 0; i < value_length(filter); i++) {
                const char *have = value_get_string(container->properties, value_key_at(filter, i),
                                                    NULL);
                const char *want = value_text(value_at(filter, i));
                if (!have || !want || !g_str_equal(have, want))
                        return false;
        }
        return true;
}

static int by_text(gconstpointer a, gconstpointer b) {
        return strcmp(*(const char *const *) a, *(const char *const *) b);
}

GPtrArray *containers_list(Containers *containers, const Value *filter) {
        GPtrArray *handles = g_ptr_array_new_with_free_func(g_free);
        GHashTableIter iterator;
        void *value;
        MUTEX_SCOPE(&containers->lock);
        g_hash_table_iter_init(&iterator, containers->table);
        while (g_hash_table_iter_next(&iterator, NULL, &value)) {
                Container *container = value;
                if (matches(container, filter))
                        g_ptr_array_add(handles, g_strdup(container->handle));
        }
        g_ptr_array_sort(handles, by_text);
        return handles;
}

static bool is_listed(Container *container) {
        MUTEX_SCOPE(&container->lock);
        return container->listed;
}

/* Returns new: all that are listed, referenced. */
static GPtrArray *copy_listed(Containers *containers) {
        GPtrArray *copy = g_ptr_array_new_with_free_func((GDestroyNotify) container_free);
        GHashTableIter iterator;
        void *value;
        MUTEX_SCOPE(&containers->lock);
        g_hash_table_iter_init(&iterator, containers->table);
        while (g_hash_table_iter_next(&iterator, NULL, &value))
                if (is_listed(value))
                        g_ptr_array_add(copy, container_ref(value));
        return copy;
}

void containers_tidy(Containers *containers) {
        g_autoptr(GPtrArray) listed = copy_listed(containers);
        for (guint i = 0; i < listed->len; i++)
                container_tidy(listed->pdata[i]);
}

Container *containers_get(Containers *containers, const char *handle, GError **error) {
        MUTEX_SCOPE(&containers->lock);
        Container *container = g_hash_table_lookup(containers->table, handle);
        if (container && is_listed(container))
                return container_ref(container);
        g_set_error(error, ERROR, ERROR_NOT_FOUND, "unknown handle: %s", handle);
        return NULL;
}

/* A web node that was killed while it was made leaves it to the next one, which may come first. */
static void await_settled(Containers *containers, const char *handle) {
        Duration end = clock_monotonic() + MAKING_TIMEOUT;
        Container *container;
        MUTEX_SCOPE(&containers->lock);
        while ((container = g_hash_table_lookup(containers->table, handle)) &&
               !is_listed(container) &&
               condition_wait_until(&containers->settled, &containers->lock, end))
                ;
}

bool containers_destroy(Containers *containers, const char *handle, GError **error) {
        await_settled(containers, handle);
        g_autoptr(Container) container = containers_get(containers, handle, error);
        if (!container)
                return false;
        {
                MUTEX_SCOPE(&container->lock);
                if (container->destroying) {
                        g_set_error(error, ERROR, ERROR_BUSY, "container already being destroyed");
                        return false;
                }
                container->destroying = true;
        }
        if (!container_remove(container, error)) {
                MUTEX_SCOPE(&container->lock);
                container->destroying = false; /* the next sweep tries again */
                return false;
        }
        forget(containers, container);
        reap_orphans(containers);
        tell_changed(containers);
        return true;
}
