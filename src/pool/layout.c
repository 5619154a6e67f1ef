/* The volumes a container is made of: planned, then rows in one commit, then made (reference 06 §6.2). */
#include "pool/container.h"

#include "base/fault.h"
#include "wire/garden.h"

void planned_free(void *data) {
        Planned *planned = data;

        g_free(planned->path);
        volume_free(planned->parent);
        g_free(planned);
}

VolumeSpec fit_spec(const Fitting *fitting, const char *path) {
        return (VolumeSpec){ .worker = fitting->worker->name,
                             .team_id = fitting->need->owner.team_id,
                             .owner = { .container_id = fitting->row->id, .path = path } };
}

void fit_plan(Fitting *fitting, const char *path, Volume *parent) {
        Planned *planned = g_new0(Planned, 1);

        planned->path = g_strdup(path);
        planned->parent = parent;
        g_ptr_array_add(fitting->planned, planned);
}

bool fit_is_planned(const Fitting *fitting, const char *path) {
        for (size_t i = 0; i < fitting->planned->len; i++) {
                const Planned *planned = g_ptr_array_index(fitting->planned, i);
                if (g_str_equal(planned->path, path))
                        return true;
        }
        return false;
}

const Mount *fit_mount(const Fitting *fitting, const char *path) {
        for (size_t i = 0; i < fitting->mounts->len; i++) {
                const Mount *mount = g_ptr_array_index(fitting->mounts, i);
                if (g_str_equal(mount->path, path))
                        return mount;
        }
        return NULL;
}

bool fit_rows(Fitting *fitting, GPtrArray **ret_rows, GError **error) {
        size_t count = fitting->planned->len;
        g_autofree VolumeSpec *specs = g_new0(VolumeSpec, count);

        for (size_t i = 0; i < count; i++) {
                const Planned *planned = g_ptr_array_index(fitting->planned, i);
                specs[i] = fit_spec(fitting, planned->path);
                specs[i].parent_id = planned->parent ? planned->parent->id : 0;
        }
        *ret_rows = volume_find_or_create_all(fitting->pool->spec.store, specs, count, error);
        return *ret_rows != NULL;
}

/* The image keeps the owners it has; only what is beside it becomes the user's. */
static VolumeRequest request_of(const Fitting *fitting, const Planned *planned, const Volume *row) {
        bool image = g_str_equal(planned->path, "/");
        return (VolumeRequest){
                .handle = row->handle,
                .strategy = { .kind = planned->parent ? VOLUME_STRATEGY_COW : VOLUME_STRATEGY_EMPTY,
                              .volume = planned->parent ? planned->parent->handle : NULL },
                .privileged = fitting->privileged,
                .has_uid = true,
                .has_gid = true,
                .uid = image ? -1 : fitting->uid,
                .gid = image ? -1 : fitting->gid,
        };
}

static void add_mount(Fitting *fitting, const Planned *planned, const Volume *row, char *source) {
        Mount *mount = g_new0(Mount, 1);

        mount->path = g_strdup(planned->path);
        mount->source = source;
        mount->handle = g_strdup(row->handle);
        mount->volume_id = row->id;
        mount->parent_id = planned->parent ? planned->parent->id : 0;
        g_ptr_array_add(fitting->mounts, mount);
}

/* Says so when it was the parent that is missing. */
static void explain(const WorkerCall *call, const Planned *planned, GError **error) {
        g_autoptr(GError) why = NULL;
        g_autofree char *path = NULL;

        if (!planned->parent || baggageclaim_path(call, planned->parent->handle, &path, &why) ||
            !error_is(why, ERROR_NOT_FOUND)) {
                if (g_str_equal(planned->path, "/"))
                        g_prefix_error(error, "create COW volume: ");
                return;
        }
        g_clear_error(error);
        g_set_error(error, ERROR, ERROR_NOT_FOUND, "volume '%s' disappeared from worker '%s': %s",
                    planned->parent->handle, call->worker, why->message);
}

bool fit_volumes(Fitting *fitting, const GPtrArray *rows, GError **error) {
        const WorkerCall call = { fitting->pool, fitting->worker->name, fitting->cancel };

        for (size_t i = 0; i < rows->len; i++) {
                const Planned *planned = g_ptr_array_index(fitting->planned, i);
                const Volume *row = g_ptr_array_index(rows, i);
                const VolumeRequest request = request_of(fitting, planned, row);
                char *source;
                /* A container's own are created with it, in one commit. */
                if (!baggageclaim_ensure(&call, &request, &source, error)) {
                        if (!cancel_fired(fitting->cancel))
                                volume_set_failed(fitting->pool->spec.store, row->id, NULL);
                        explain(&call, planned, error);
                        return false;
                }
                fault_here("volume-answered");
                add_mount(fitting, planned, row, source);
        }
        return true;
}

void fit_volumes_along(Fitting *fitting, const GPtrArray *rows, Value **ret_requests) {
        Value *requests = value_list();

        for (size_t i = 0; i < rows->len; i++) {
                const Planned *planned = g_ptr_array_index(fitting->planned, i);
                const Volume *row = g_ptr_array_index(rows, i);
                const VolumeRequest request = request_of(fitting, planned, row);
                value_list_add(requests, volume_request_to_value(&request));
                add_mount(fitting, planned, row,
                          g_strconcat(GARDEN_VOLUME_PREFIX, row->handle, NULL));
        }
        *ret_requests = requests;
}
