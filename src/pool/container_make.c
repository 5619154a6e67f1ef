/* Makes a container: its volumes, then itself, on a worker of either kind (reference 06 §6.2). */
#include "pool/container.h"

#include "base/fault.h"
#include "pool/full.h"
#include "wire/garden.h"

#include <string.h>

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
        WorkerRequest request = container_request(container, "DELETE", path);
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

bool container_check_lease(Pool *pool, const ContainerNeed *need, GError **error) {
        const BuildLease lease = { need->owner.build_id, need->epoch };

        return need->owner.kind != CONTAINER_OWNER_BUILD_STEP || !need->epoch ||
               build_lease_check(pool->spec.store, &lease, error);
}

/* volumes: those to make along with it; NULL: they are there. */
static bool post_container(PoolContainer *container, const Fitting *fitting, const Root *root,
                           const Value *volumes, GError **error) {
        g_auto(GardenContainerSpec) spec = { 0 };
        WorkerRequest request = container_request(container, "POST", "/containers");
        g_autoptr(Value) answer = NULL;
        g_autoptr(GError) local = NULL;
        Cancel *cancel = fitting->cancel;
        const FullWait wait = { fitting->watch, fitting->need->metadata.build_id, cancel };

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
        if (full_request_json(&request, &wait, &answer, &local))
                return true;
        /* The answer to an earlier try was lost with the worker. Nothing has run in it yet, unless it is another's by now. */
        bool again = strstr(local->message, "already exists") != NULL;
        if (again && container_check_lease(container->pool, fitting->need, error) &&
            destroy(container, cancel, error) && full_request_json(&request, &wait, &answer, error))
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

bool container_make(PoolContainer *container, const ContainerNeed *need, const PoolWatch *watch,
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
