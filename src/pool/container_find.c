/* Finds the container of a step again, or has one made (reference 06 §6.1). */
#include "pool/container.h"

#include "base/fault.h"
#include "pool/key_lock.h"
#include "pool/placement.h"

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
        if (!container_is_listed(container, cancel, &listed, error))
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

static PoolContainer *container_for(Pool *pool, const ContainerNeed *need, Container *row) {
        PoolContainer *container = container_new(pool, row);

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
        *ret = container_for(pool, need, row);
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
        PoolContainer *container = container_for(pool, need, row);
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
        if (container_make(container, need, watch, cancel, error))
                return true;
        if (cancel_reason(cancel) != CANCEL_SHUTDOWN &&
            container_check_lease(container->pool, need, NULL))
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
