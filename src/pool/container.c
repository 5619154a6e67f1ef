/* A container that was found or made: what can be asked of it, and what it leaves. */
#include "pool/container.h"

#include "http/url.h"
#include "wire/garden.h"

/* ---- its life ---- */

static void free_mount(void *mount) {
        mount_free(mount);
}

PoolContainer *container_new(Pool *pool, Container *row) {
        PoolContainer *container = g_new0(PoolContainer, 1);

        container->pool = pool;
        container->row = row;
        container->worker = g_strdup(row->worker);
        container->mounts = g_ptr_array_new_with_free_func(free_mount);
        container->cache_paths = g_ptr_array_new_with_free_func(g_free);
        return container;
}

bool container_await_mark(PoolContainer *container, GError **error) {
        thread_join(g_steal_pointer(&container->marking));
        if (!container->mark_error)
                return true;
        g_propagate_error(error, g_steal_pointer(&container->mark_error));
        return false;
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

/* ---- asking the worker about it ---- */

WorkerRequest container_request(const PoolContainer *container, const char *method,
                                const char *path) {
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
        const WorkerRequest request = container_request(container, "GET", path);
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
        WorkerRequest request = container_request(container, "PUT", path);
        g_auto(HttpReply) reply = { 0 };

        value_map_set_string(body, "value", value);
        request.body = body;
        return worker_request(&request, cancel, &reply, error);
}

bool container_is_listed(const PoolContainer *container, Cancel *cancel, bool *ret,
                         GError **error) {
        const WorkerRequest request = container_request(container, "GET", "/containers");
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

PoolContainer *pool_container_find(Pool *pool, const char *handle, Cancel *cancel, GError **error) {
        Container *row = container_get(pool->spec.store, handle, error);
        g_autoptr(PoolContainer) container = row ? container_new(pool, row) : NULL;
        g_autoptr(Worker)
                worker = container ? worker_find(pool->spec.store, container->worker, error) : NULL;
        bool listed = false;

        if (!worker)
                return NULL;
        bool there = worker->address && *worker->address && worker->state != WORKER_STALLED;
        if (there && !container_is_listed(container, cancel, &listed, error))
                return NULL;
        if (listed)
                return g_steal_pointer(&container);
        g_set_error(error, ERROR, ERROR_NOT_FOUND, "container %s is not on worker %s", handle,
                    container->worker);
        return NULL;
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
