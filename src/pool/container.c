/* Finds the container of a step again, or makes it (reference 06 §6.1). */
#include "pool/container.h"

#include "base/fault.h"
#include "http/url.h"
#include "pool/key_lock.h"
#include "pool/placement.h"
#include "wire/garden.h"

#include <string.h>

/* ---- Garden calls about one container ---- */

static WorkerRequest garden(const PoolContainer *container, const char *method, const char *path) {
        return (WorkerRequest){ .pool = container->pool,
                                .worker = container->worker,
                                .api = WORKER_GARDEN,
                                .method = method,
                                .path = path };
}

static char *container_url(const PoolContainer *container, const char *rest) {
        g_autofree char *handle = url_encode_path(container->row->handle);

        return g_strconcat("/containers/", handle, rest, NULL);
}

bool pool_container_property(PoolContainer *container, const char *name, Cancel *cancel,
                             char **ret_value, GError **error) {
        g_autofree char *path = container_url(container, "/properties");
        const WorkerRequest request = garden(container, "GET", path);
        g_autoptr(Value) properties = NULL;

        if (!worker_request_json(&request, cancel, &properties, error))
                return false;
        *ret_value = g_strdup(value_get_string(properties, name, NULL));
        return true;
}

bool pool_container_user(PoolContainer *container, const char *asked, Cancel *cancel, char **ret,
                         GError **error) {
        if (asked && *asked) {
                *ret = g_strdup(asked);
                return true;
        }
        if (!container->user_known) {
                if (!pool_container_property(container, "user", cancel, &container->user, error))
                        return false;
                container->user_known = true;
        }
        *ret = container->user && *container->user ? g_strdup(container->user) : NULL;
        return true;
}

bool pool_container_set_property(PoolContainer *container, const char *name, const char *value,
                                 Cancel *cancel, GError **error) {
        g_autofree char *escaped = url_encode_path(name);
        g_autofree char *rest = g_strconcat("/properties/", escaped, NULL);
        g_autofree char *path = container_url(container, rest);
        g_autoptr(Value) body = value_map();
        WorkerRequest request = garden(container, "PUT", path);
        g_auto(HttpReply) reply = { 0 };

        value_map_set_string(body, "value", value);
        request.body = body;
        return worker_request(&request, cancel, &reply, error);
}

static bool is_listed(const PoolContainer *container, Cancel *cancel, bool *ret, GError **error) {
        const WorkerRequest request = garden(container, "GET", "/containers");
        g_autoptr(Value) answer = NULL;

        if (!worker_request_json(&request, cancel, &answer, error))
                return false;
        g_autoptr(GPtrArray) handles = garden_handles_parse(answer, error);
        *ret = false;
        for (size_t i = 0; handles && i < handles->len; i++)
                *ret = *ret || g_str_equal(g_ptr_array_index(handles, i), container->row->handle);
        return handles != NULL;
}

bool pool_stop(Pool *pool, const char *worker, const char *handle, Cancel *cancel, GError **error) {
        g_autofree char *escaped = url_encode_path(handle);
        g_autofree char *path = g_strconcat("/containers/", escaped, "/stop", NULL);
        g_autoptr(Value) body = value_map();
        g_auto(HttpReply) reply = { 0 };

        value_map_set_bool(body, "kill", false);
        return worker_request(&(WorkerRequest){ .pool = pool,
                                                .worker = worker,
                                                .api = WORKER_GARDEN,
                                                .method = "PUT",
                                                .path = path,
                                                .body = body },
                              cancel, &reply, error);
}

/* ---- making it ---- */

static void add_env(GPtrArray *env, const char *name, const char *value) {
        if (value && *value)
                g_ptr_array_add(env, g_strdup_printf("%s=%s", name, value));
}

static void fill_env(GPtrArray *env, const Fitting *fitting, const Root *root) {
        for (size_t i = 0; i < value_length(root->env); i++)
                if (value_is(value_at(root->env, i), VALUE_STRING))
                        g_ptr_array_add(env, g_strdup(value_text(value_at(root->env, i))));
        for (size_t i = 0; fitting->need->env && fitting->need->env[i]; i++)
                g_ptr_array_add(env, g_strdup(fitting->need->env[i]));
        add_env(env, "http_proxy", fitting->worker->http_proxy_url);
        add_env(env, "https_proxy", fitting->worker->https_proxy_url);
        add_env(env, "no_proxy", fitting->worker->no_proxy);
}

static int by_path(const void *a, const void *b) {
        return strcmp((*(const Mount *const *) a)->path, (*(const Mount *const *) b)->path);
}

/* Scratch and the working directory first, the rest by path: a mount must come before those inside it. */
static void fill_mounts(GardenContainerSpec *spec, const Fitting *fitting) {
        g_autoptr(GPtrArray) rest = g_ptr_array_new();
        const Mount *certificates = NULL;

        for (int pass = 0; pass < 2; pass++)
                for (size_t i = 0; i < fitting->mounts->len; i++) {
                        Mount *mount = g_ptr_array_index(fitting->mounts, i);
                        bool first = g_str_equal(mount->path, "/scratch") ||
                                     g_strcmp0(mount->path, fitting->need->working_directory) == 0;
                        if (g_str_equal(mount->path, "/"))
                                continue;
                        if (mount->read_only)
                                certificates = mount;
                        else if (first && pass == 0)
                                garden_mount_add(spec, mount->source, mount->path, true);
                        else if (!first && pass == 1)
                                g_ptr_array_add(rest, mount);
                }
        g_ptr_array_sort(rest, by_path);
        for (size_t i = 0; i < rest->len; i++) {
                const Mount *mount = g_ptr_array_index(rest, i);
                garden_mount_add(spec, mount->source, mount->path, true);
        }
        if (certificates)
                garden_mount_add(spec, certificates->source, certificates->path, false);
}

static bool destroy(PoolContainer *container, Cancel *cancel, GError **error) {
        g_autofree char *path = g_strconcat("/containers/", container->row->handle, NULL);
        WorkerRequest request = garden(container, "DELETE", path);
        g_autoptr(GError) local = NULL;
        g_auto(HttpReply) reply = { 0 };

        if (worker_request(&request, cancel, &reply, &local) || error_is(local, ERROR_NOT_FOUND))
                return true;
        g_propagate_error(error, g_steal_pointer(&local));
        return false;
}

static char *rootfs_of(const Fitting *fitting, const Root *root) {
        const Mount *mount = root->below ? fit_mount(fitting, "/") : NULL;

        return mount ? g_strconcat("raw://", mount->source, root->below, NULL)
                     : g_strdup(root->rootfs);
}

/* volumes: those to make along with it; NULL: they are there. */
static bool post_container(PoolContainer *container, const Fitting *fitting, const Root *root,
                           const Value *volumes, GError **error) {
        g_auto(GardenContainerSpec) spec = { 0 };
        WorkerRequest request = garden(container, "POST", "/containers");
        g_autoptr(Value) answer = NULL;
        g_autoptr(GError) local = NULL;
        Cancel *cancel = fitting->cancel;

        request.repeatable = true;
        garden_container_spec_init(&spec);
        spec.handle = g_strdup(container->row->handle);
        spec.rootfs = rootfs_of(fitting, root);
        spec.volumes = volumes ? value_copy(volumes) : NULL;
        spec.privileged = fitting->privileged;
        spec.outgoing = !fitting->need->hermetic;
        spec.cpu_shares = (uint64_t) fitting->need->cpu_shares;
        spec.memory_bytes = (uint64_t) fitting->need->memory_bytes;
        if (!spec.properties)
                spec.properties = value_map();
        value_map_set_string(spec.properties, "user", root->user ? root->user : "");
        fill_env(spec.env, fitting, root);
        fill_mounts(&spec, fitting);
        g_autoptr(Value) body = garden_container_spec_value(&spec);
        request.body = body;
        if (worker_request_json(&request, cancel, &answer, &local))
                return true;
        /* The answer to an earlier try was lost with the worker. Nothing has run in it yet. */
        bool again = strstr(local->message, "already exists") != NULL;
        if (again && destroy(container, cancel, error) &&
            worker_request_json(&request, cancel, &answer, error))
                return true;
        if (!again)
                g_propagate_error(error, g_steal_pointer(&local));
        return false;
}

/* The volumes and the container: in one request where the worker serves that. */
static bool make_all(PoolContainer *container, Fitting *fitting, const Root *root, GError **error) {
        g_autoptr(GPtrArray) rows = NULL;
        g_autoptr(Value) volumes = NULL;
        g_autoptr(GError) local = NULL;
        guint before = fitting->mounts->len;

        if (!fit_rows(fitting, &rows, error))
                return false;
        fault_here("volume-row");
        if (worker_serves(fitting->pool, container->worker, GARDEN_EXTENSION_VOLUMES,
                          fitting->cancel)) {
                fit_volumes_along(fitting, rows, &volumes);
                if (post_container(container, fitting, root, volumes, &local))
                        return true;
                if (worker_serves(fitting->pool, container->worker, GARDEN_EXTENSION_VOLUMES,
                                  fitting->cancel)) {
                        g_propagate_error(error, g_steal_pointer(&local));
                        return false;
                }
                /* An upstream worker took its place under the same name. */
                g_ptr_array_set_size(fitting->mounts, (int) before);
        }
        return fit_volumes(fitting, rows, error) &&
               post_container(container, fitting, root, NULL, error);
}

static void mark_created(void *data) {
        PoolContainer *container = data;

        if (container_set_created(container->pool->spec.store, container->row->id,
                                  &container->mark_error))
                fault_here("container-ready");
}

bool container_await_mark(PoolContainer *container, GError **error) {
        thread_join(g_steal_pointer(&container->marking));
        if (!container->mark_error)
                return true;
        g_propagate_error(error, g_steal_pointer(&container->mark_error));
        return false;
}

static void free_mount(void *mount) {
        mount_free(mount);
}

static bool make(PoolContainer *container, const ContainerNeed *need, const PoolWatch *watch,
                 Cancel *cancel, GError **error) {
        Store *store = container->pool->spec.store;
        g_autoptr(Worker) worker = worker_find(store, container->worker, error);
        g_autoptr(GPtrArray) planned = g_ptr_array_new_with_free_func(planned_free);
        g_auto(Root) root = { 0 };

        if (!worker)
                return false;
        Fitting fitting = { .pool = container->pool,
                            .need = need,
                            .watch = watch,
                            .cancel = cancel,
                            .worker = worker,
                            .row = container->row,
                            .privileged = need->privileged,
                            .uid = -1,
                            .gid = -1,
                            .planned = planned,
                            .mounts = container->mounts };
        if (!fit_root(&fitting, &root, error) || !fit_mounts(&fitting, error) ||
            !make_all(container, &fitting, &root, error))
                return false;
        fault_here("container-answered");
        /* Beside the start of its process: a row left in creating is found on the worker and set right. */
        container->marking = thread_start("mark", mark_created, container);
        container->user = g_strdup(root.user);
        container->user_known = true;
        container->created = true;
        return true;
}

/* ---- finding it again ---- */

static bool load_mounts(PoolContainer *container, GError **error) {
        g_autoptr(GPtrArray) volumes = volume_list_of_container(container->pool->spec.store,
                                                                container->row->id, error);

        for (size_t i = 0; volumes && i < volumes->len; i++) {
                const Volume *volume = g_ptr_array_index(volumes, i);
                if (!volume->path || g_str_has_prefix(volume->path, "streamed-no-mount:"))
                        continue;
                Mount *mount = g_new0(Mount, 1);
                mount->path = g_strdup(volume->path);
                mount->handle = g_strdup(volume->handle);
                mount->volume_id = volume->id;
                mount->parent_id = volume->parent_id;
                g_ptr_array_add(container->mounts, mount);
        }
        return volumes != NULL;
}

/* *ret_gone: the worker does not have it; its row was given up. */
static bool find_again(PoolContainer *container, Cancel *cancel, bool *ret_gone, GError **error) {
        Store *store = container->pool->spec.store;
        bool listed;

        *ret_gone = false;
        /* Nothing has run in it, and it may be half made, whatever the worker lists: it is made anew. */
        if (container->row->state == CONTAINER_CREATING)
                return true;
        if (!is_listed(container, cancel, &listed, error))
                return false;
        if (listed)
                return load_mounts(container, error);
        *ret_gone = true;
        return container_set_destroying(store, container->row->id, error);
}

static bool is_usable(Pool *pool, const char *name, const PlacementNeed *need) {
        g_autoptr(Worker) worker = worker_find(pool->spec.store, name, NULL);

        return worker && (placement_fits(worker, need) || worker->state == WORKER_LANDING ||
                          worker->state == WORKER_RETIRING);
}

/* Takes row. */
static PoolContainer *container_of_row(Pool *pool, Container *row) {
        PoolContainer *container = g_new0(PoolContainer, 1);

        container->pool = pool;
        container->row = row;
        container->worker = g_strdup(row->worker);
        container->mounts = g_ptr_array_new_with_free_func(free_mount);
        container->cache_paths = g_ptr_array_new_with_free_func(g_free);
        return container;
}

static PoolContainer *pool_container_new(Pool *pool, const ContainerNeed *need, Container *row) {
        PoolContainer *container = container_of_row(pool, row);

        container->job_id = need->metadata.job_id;
        container->step_name = g_strdup(need->metadata.step_name);
        for (size_t i = 0; need->caches && need->caches[i]; i++)
                g_ptr_array_add(container->cache_paths, g_strdup(need->caches[i]));
        return container;
}

static bool say_selected(const PoolWatch *watch, const char *worker, GError **error) {
        return !watch || !watch->selected || watch->selected(worker, watch->data, error);
}

/* *ret NULL: there is none to go on with. */
static bool reuse(Pool *pool, const ContainerNeed *need, const PoolWatch *watch,
                  PoolContainer **ret, GError **error) {
        g_autoptr(GError) local = NULL;
        Container *row = container_find_owned(pool->spec.store, &need->owner, &local);

        *ret = NULL;
        if (local) {
                g_propagate_error(error, g_steal_pointer(&local));
                return false;
        }
        if (!row)
                return true;
        if (!is_usable(pool, row->worker, &need->need)) {
                bool given_up = container_set_destroying(pool->spec.store, row->id, error);
                container_free(row);
                return given_up;
        }
        if (!say_selected(watch, row->worker, error)) {
                container_free(row);
                return false;
        }
        *ret = pool_container_new(pool, need, row);
        return true;
}

static PoolContainer *choose(Pool *pool, const ContainerNeed *need, const PoolWatch *watch,
                             Cancel *cancel, GError **error) {
        const Placement placement = { .container = need, .watch = watch };
        const ContainerOwner *owner = &need->owner;
        bool task;
        g_autofree char *worker = placement_choose(pool, &placement, cancel, &task, error);

        if (!worker)
                return NULL;
        Container *row = say_selected(watch, worker, error)
                                 ? container_create(pool->spec.store, worker, owner,
                                                    &need->metadata, need->epoch, error)
                                 : NULL;
        if (!row) {
                if (task)
                        worker_give_task(pool->spec.store, worker, NULL);
                return NULL;
        }
        fault_here("container-row");
        PoolContainer *container = pool_container_new(pool, need, row);
        container->task = task;
        return container;
}

/* The row as it is now: whoever had the lock may have changed it. */
static bool refresh(PoolContainer *container, GError **error) {
        Container *row = container_get(container->pool->spec.store, container->row->handle, error);

        if (!row)
                return false;
        container_free(container->row);
        container->row = row;
        return true;
}

static bool make_or_fail(PoolContainer *container, const ContainerNeed *need,
                         const PoolWatch *watch, Cancel *cancel, GError **error) {
        if (make(container, need, watch, cancel, error))
                return true;
        if (cancel_reason(cancel) != CANCEL_SHUTDOWN)
                container_set_failed(container->pool->spec.store, container->row->id, NULL);
        g_prefix_error(error, "find or create container on worker %s: ", container->worker);
        return false;
}

/* Under the container's lock: checks of one config share a container, and may want it at the same time. */
static bool settle(PoolContainer *container, const ContainerNeed *need, const PoolWatch *watch,
                   Cancel *cancel, bool fresh, bool *ret_gone, GError **error) {
        *ret_gone = false;
        if (!refresh(container, error))
                return false;
        if (container->row->state == CONTAINER_CREATING && fresh)
                return make_or_fail(container, need, watch, cancel, error);
        if (container->row->state != CONTAINER_CREATING &&
            container->row->state != CONTAINER_CREATED) {
                *ret_gone = true;
                return true;
        }
        if (!find_again(container, cancel, ret_gone, error))
                return false;
        if (*ret_gone || container->row->state == CONTAINER_CREATED)
                return true;
        return make_or_fail(container, need, watch, cancel, error);
}

static bool settle_locked(PoolContainer *container, const ContainerNeed *need,
                          const PoolWatch *watch, Cancel *cancel, bool fresh, bool *ret_gone,
                          GError **error) {
        g_autofree char *key = g_strconcat("container ", container->row->handle, NULL);

        Store *store = container->pool->spec.store;

        if (!key_lock_take(key, cancel, error))
                return false;
        /* A check's container may be wanted by another web node too; a step's is its build's alone. */
        bool shared = need->owner.kind == CONTAINER_OWNER_CHECK_SESSION &&
                      container->row->state == CONTAINER_CREATING;
        bool settled = (!shared || work_lock_take(store, key, cancel, error)) &&
                       settle(container, need, watch, cancel, fresh, ret_gone, error);
        if (shared)
                work_lock_release(store, key);
        key_lock_release(key);
        return settled;
}

PoolContainer *pool_container(Pool *pool, const ContainerNeed *need, const PoolWatch *watch,
                              Cancel *cancel, GError **error) {
        for (;;) {
                g_autoptr(PoolContainer) container = NULL;
                bool gone;

                if (!reuse(pool, need, watch, &container, error))
                        return NULL;
                bool fresh = !container;
                if (fresh)
                        container = choose(pool, need, watch, cancel, error);
                if (!container ||
                    !settle_locked(container, need, watch, cancel, fresh, &gone, error))
                        return NULL;
                if (!gone)
                        return g_steal_pointer(&container);
        }
}

PoolContainer *pool_container_find(Pool *pool, const char *handle, Cancel *cancel, GError **error) {
        Container *row = container_get(pool->spec.store, handle, error);
        g_autoptr(PoolContainer) container = row ? container_of_row(pool, row) : NULL;
        g_autoptr(Worker)
                worker = container ? worker_find(pool->spec.store, container->worker, error) : NULL;
        bool listed = false;

        if (!worker)
                return NULL;
        bool there = worker->address && *worker->address && worker->state != WORKER_STALLED;
        if (there && !is_listed(container, cancel, &listed, error))
                return NULL;
        if (listed)
                return g_steal_pointer(&container);
        g_set_error(error, ERROR, ERROR_NOT_FOUND, "container %s is not on worker %s", handle,
                    container->worker);
        return NULL;
}

void pool_container_free(PoolContainer *container) {
        if (!container)
                return;
        container_await_mark(container, NULL);
        if (container->task)
                worker_give_task(container->pool->spec.store, container->worker, NULL);
        container_free(container->row);
        g_ptr_array_unref(container->mounts);
        g_ptr_array_unref(container->cache_paths);
        g_free(container->worker);
        g_free(container->user);
        g_free(container->step_name);
        g_free(container);
}

const char *pool_container_worker(const PoolContainer *container) {
        return container->worker;
}

const char *pool_container_handle(const PoolContainer *container) {
        return container->row->handle;
}

bool pool_container_created(const PoolContainer *container) {
        return container->created;
}

/* ---- what it leaves ---- */

static Mount *find_mount(PoolContainer *container, const char *path) {
        for (size_t i = 0; i < container->mounts->len; i++) {
                Mount *mount = g_ptr_array_index(container->mounts, i);
                if (g_str_equal(mount->path, path))
                        return mount;
        }
        return NULL;
}

Artifact *pool_container_artifact(PoolContainer *container, const char *path) {
        const Mount *mount = find_mount(container, path);

        return mount ? artifact_new(&(ArtifactSpec){ .worker = container->worker,
                                                     .volume = mount->handle })
                     : NULL;
}

bool pool_container_save_cache(PoolContainer *container, const char *path,
                               int64_t resource_cache_id, Cancel *cancel, Artifact **ret_artifact,
                               GError **error) {
        const Mount *mount = find_mount(container, path);
        const WorkerCall call = { container->pool, container->worker, cancel };
        g_autoptr(Volume) winner = NULL;

        if (!mount) {
                g_set_error(error, ERROR, ERROR_INTERNAL, "container has no volume at %s", path);
                return false;
        }
        if (!baggageclaim_set_privileged(&call, mount->handle, false, error) ||
            !volume_become_cache(container->pool->spec.store, mount->volume_id, resource_cache_id,
                                 container->worker, &winner, error))
                return false;
        *ret_artifact = artifact_new(&(ArtifactSpec){ .worker = winner->worker,
                                                      .volume = winner->handle,
                                                      .resource_cache_id = resource_cache_id });
        return true;
}

/* A cache that is a clone of the old one is imported into a volume of its own; a new one is taken as it is. */
static bool save_task_cache(PoolContainer *container, const Mount *mount, Cancel *cancel,
                            GError **error) {
        Store *store = container->pool->spec.store;
        int64_t id;

        if (!task_cache_find_or_create(store, container->job_id, container->step_name, mount->path,
                                       &id, error))
                return false;
        if (!mount->parent_id)
                return volume_become_task_cache(store, mount->volume_id, id, error);

        const WorkerCall call = { container->pool, container->worker, cancel };
        g_autofree char *source = NULL, *path = NULL;
        if (!baggageclaim_path(&call, mount->handle, &source, error))
                return false;
        /* The container's until it is whole: the old volume is the cache up to then. */
        const VolumeSpec spec = { .worker = container->worker,
                                  .owner = { .container_id = container->row->id } };
        g_autoptr(Volume) row = volume_create(store, &spec, error);
        if (!row)
                return false;
        const VolumeRequest request = { .handle = row->handle,
                                        .strategy = { .kind = VOLUME_STRATEGY_IMPORT,
                                                      .path = source } };
        return baggageclaim_ensure(&call, &request, &path, error) &&
               volume_set_created(store, row->id, error) &&
               volume_become_task_cache(store, row->id, id, error);
}

bool pool_container_save_task_caches(PoolContainer *container, Cancel *cancel, GError **error) {
        for (size_t i = 0; i < container->cache_paths->len; i++) {
                const Mount *mount = find_mount(container,
                                                g_ptr_array_index(container->cache_paths, i));
                if (mount && !save_task_cache(container, mount, cancel, error))
                        return false;
        }
        return true;
}
