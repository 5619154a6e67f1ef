/* Volumes for a container: found, made, cloned or streamed here (reference 06 §6.2). */
#include "pool/container.h"

#include "base/fault.h"
#include "base/json.h"
#include "pool/key_lock.h"
#include "pool/relay.h"

#include <string.h>

#define METADATA_MAX (1024 * 1024)
#define PASSWD_MAX (4 * 1024 * 1024)
/* A streamed copy is not mounted itself: a clone of it is. */
#define NOT_MOUNTED "streamed-no-mount:"

void mount_free(Mount *mount) {
        if (!mount)
                return;
        g_free(mount->path);
        g_free(mount->source);
        g_free(mount->handle);
        g_free(mount);
}

void root_clear(Root *root) {
        g_free(root->rootfs);
        g_free(root->user);
        value_free(root->env);
        *root = (Root){ 0 };
}

static WorkerCall call_of(const Fitting *fitting) {
        return (WorkerCall){ fitting->pool, fitting->worker->name, fitting->cancel };
}

/* ---- shared by containers ---- */

/* It must be there, or whoever clones or mounts it fails without saying why. */
static bool check_there(const Fitting *fitting, const Volume *row, char **ret_path,
                        GError **error) {
        const WorkerCall call = call_of(fitting);

        if (baggageclaim_path(&call, row->handle, ret_path, error))
                return true;
        g_prefix_error(error, "volume '%s' disappeared from worker '%s': ", row->handle,
                       fitting->worker->name);
        return false;
}

static bool make_shared(const Fitting *fitting, const Volume *row, const VolumeRequest *request,
                        char **ret_path, GError **error) {
        const WorkerCall call = call_of(fitting);

        if (row->state == VOLUME_CREATED)
                return !ret_path || check_there(fitting, row, ret_path, error);
        g_autofree char *path = NULL;
        fault_here("volume-row");
        if (!baggageclaim_ensure(&call, request, &path, error)) {
                if (!cancel_fired(fitting->cancel))
                        volume_set_failed(fitting->pool->spec.store, row->id, NULL);
                return false;
        }
        fault_here("volume-answered");
        if (ret_path)
                *ret_path = g_steal_pointer(&path);
        return volume_set_created(fitting->pool->spec.store, row->id, error);
}

/* One for all containers of the worker: a base type's files, its certificates. ret_path NULL: whoever clones it finds
 * out whether it is still there. */
static Volume *import_shared(const Fitting *fitting, const VolumeOwner *owner, const char *path,
                             bool follow, char **ret_path, GError **error) {
        const VolumeSpec spec = { .worker = fitting->worker->name, .owner = *owner };
        Store *store = fitting->pool->spec.store;
        g_autofree char *key = g_strdup_printf("import %s %s", fitting->worker->name,
                                               owner->certs ? "certs" : owner->base_resource_type);

        if (!key_lock_take(key, fitting->cancel, error))
                return NULL;
        g_autoptr(Volume) row = volume_find_or_create(store, &spec, NULL, error);
        bool shared = row &&
                      row->state != VOLUME_CREATED; /* another web node may make it just now */
        if (shared) {
                g_clear_pointer(&row, volume_free);
                shared = work_lock_take(store, key, fitting->cancel, error);
                row = shared ? volume_find_or_create(store, &spec, NULL, error) : NULL;
        }
        bool made = false;
        if (row) {
                const VolumeRequest request = {
                        .handle = row->handle,
                        .strategy = { .kind = VOLUME_STRATEGY_IMPORT,
                                      .path = (char *) path,
                                      .follow_symlinks = follow },
                };
                made = make_shared(fitting, row, &request, ret_path, error);
        }
        if (shared)
                work_lock_release(store, key);
        key_lock_release(key);
        return made ? g_steal_pointer(&row) : NULL;
}

/* ---- artifacts ---- */

static Volume *find_local(const Fitting *fitting, Artifact *artifact, GError **error) {
        Store *store = fitting->pool->spec.store;

        if (g_str_equal(artifact_worker(artifact), fitting->worker->name))
                return volume_get(store, artifact_volume(artifact), error);
        if (artifact_resource_cache(artifact))
                return volume_find_cache(store, artifact_resource_cache(artifact),
                                         fitting->worker->name, 0, error);
        return NULL;
}

static bool copy_volume(const Fitting *fitting, Artifact *artifact, const char *handle,
                        GError **error) {
        const Relay relay = { .pool = fitting->pool,
                              .from_worker = artifact_worker(artifact),
                              .from_volume = artifact_volume(artifact),
                              .to_worker = fitting->worker->name,
                              .to_volume = handle };

        return relay_run(&relay, fitting->cancel, error);
}

static Volume *stream_here(Fitting *fitting, Artifact *artifact, const char *path, GError **error) {
        g_autofree char *unmounted = g_strconcat(NOT_MOUNTED, path, NULL);
        const VolumeSpec spec = fit_spec(fitting, unmounted);
        Store *store = fitting->pool->spec.store;
        g_autofree char *source = NULL;
        const char *name = strrchr(path, '/');

        g_autoptr(Volume) row = volume_find_or_create(store, &spec, NULL, error);
        if (!row || row->state == VOLUME_CREATED)
                return g_steal_pointer(&row);
        if (fitting->watch && fitting->watch->streaming)
                fitting->watch->streaming(g_str_equal(path, "/") ? "for image"
                                          : name                 ? name + 1
                                                                 : path,
                                          artifact_worker(artifact), fitting->worker->name,
                                          fitting->watch->data);
        const WorkerCall call = call_of(fitting);
        const VolumeRequest request = { .handle = row->handle,
                                        .strategy = { .kind = VOLUME_STRATEGY_EMPTY },
                                        .privileged = fitting->privileged };
        if (!baggageclaim_ensure(&call, &request, &source, error) ||
            !copy_volume(fitting, artifact, row->handle, error)) {
                volume_set_failed(store, row->id, NULL);
                return NULL;
        }
        if (!volume_set_created(store, row->id, error))
                return NULL;
        if (!artifact_resource_cache(artifact))
                return g_steal_pointer(&row);
        Volume *winner = NULL;
        if (!baggageclaim_set_privileged(&call, row->handle, false, error) ||
            !volume_become_cache(store, row->id, artifact_resource_cache(artifact),
                                 artifact_worker(artifact), &winner, error))
                return NULL;
        return winner;
}

Volume *fit_artifact(Fitting *fitting, Artifact *artifact, const char *path, GError **error) {
        g_autoptr(GError) local = NULL;
        Volume *volume = find_local(fitting, artifact, &local);

        if (volume)
                return volume;
        if (local) {
                g_propagate_prefixed_error(error, g_steal_pointer(&local),
                                           "find or stream volume: ");
                return NULL;
        }
        return stream_here(fitting, artifact, path, error);
}

/* ---- the root file system ---- */

static bool read_image_metadata(Fitting *fitting, Root *root, GError **error) {
        Artifact *image = fitting->need->image;
        const WorkerCall call = { fitting->pool, artifact_worker(image), fitting->cancel };
        bool constant = artifact_resource_cache(image) != 0;
        g_autoptr(GError) local = NULL;
        g_autofree char *text = constant ? known_metadata(fitting->pool->known,
                                                          artifact_volume(image))
                                         : NULL;

        if (!text) {
                text = baggageclaim_file(&call, artifact_volume(image), "metadata.json",
                                         METADATA_MAX, NULL, &local);
                if (text && constant)
                        known_keep_metadata(fitting->pool->known, artifact_volume(image), text);
        }
        if (!text) {
                g_set_error(error, ERROR, local->code,
                            "stream image metadata file: %s. Is the image in rootfs format?",
                            error_is(local, ERROR_NOT_FOUND) ? "file not found" : local->message);
                return false;
        }
        g_autoptr(Value) metadata = json_parse(text, strlen(text), NULL, &local);
        if (!metadata) {
                g_set_error(error, ERROR, ERROR_INVALID,
                            "load image metadata: malformed image metadata: %s", local->message);
                return false;
        }
        root->env = value_ref(value_get(metadata, "env"));
        root->user = g_strdup(value_get_string(metadata, "user", NULL));
        return true;
}

/* Field `index` of the line of a passwd or group file whose first field is name. Returns -1 when there is none. */
static int64_t find_id(const char *text, const char *name, size_t index) {
        g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

        for (size_t i = 0; lines[i]; i++) {
                g_auto(GStrv) fields = g_strsplit(lines[i], ":", -1);
                if (g_strv_length(fields) > index &&
                    (g_str_equal(fields[0], name) || g_str_equal(fields[2], name)))
                        return g_ascii_strtoll(fields[index], NULL, 10);
        }
        return -1;
}

/* Any trouble leaves the owners as they are (reference 04 §8). */
static void find_owner(Fitting *fitting, const char *image_user) {
        const char *user = fitting->need->user ? fitting->need->user : image_user;

        if (!user || !*user || g_str_equal(user, "root"))
                return;
        const WorkerCall call = { fitting->pool, artifact_worker(fitting->need->image),
                                  fitting->cancel };
        g_auto(GStrv) parts = g_strsplit(user, ":", 2);
        g_autofree char *passwd = baggageclaim_file(&call, artifact_volume(fitting->need->image),
                                                    "rootfs/etc/passwd", PASSWD_MAX, NULL, NULL);
        if (!passwd)
                return;
        int64_t uid = find_id(passwd, parts[0], 2), gid = find_id(passwd, parts[0], 3);
        if (parts[1]) {
                g_autofree char *group = baggageclaim_file(
                        &call, artifact_volume(fitting->need->image), "rootfs/etc/group",
                        PASSWD_MAX, NULL, NULL);
                gid = group ? find_id(group, parts[1], 2) : -1;
        }
        if (uid >= 0 && gid >= 0) {
                fitting->uid = uid;
                fitting->gid = gid;
        }
}

static bool root_from_artifact(Fitting *fitting, Root *root, GError **error) {
        g_autoptr(Volume) parent = fit_artifact(fitting, fitting->need->image, "/", error);
        if (!parent)
                return false;
        fit_plan(fitting, "/", g_steal_pointer(&parent));
        root->below = "/rootfs";
        if (!read_image_metadata(fitting, root, error))
                return false;
        find_owner(fitting, root->user);
        return true;
}

static bool root_from_type(Fitting *fitting, Root *root, GError **error) {
        const WorkerResourceType *type = worker_resource_type(fitting->worker,
                                                              fitting->need->base_type);

        if (!type) {
                g_set_error(error, ERROR, ERROR_NOT_FOUND, "unsupported resource type");
                return false;
        }
        fitting->privileged = fitting->privileged || type->privileged;
        const VolumeOwner owner = { .base_resource_type = type->type };
        Volume *parent = import_shared(fitting, &owner, type->image, false, NULL, error);
        if (!parent)
                return false;
        fit_plan(fitting, "/", parent);
        root->below = "";
        return true;
}

bool fit_root(Fitting *fitting, Root *ret, GError **error) {
        g_auto(Root) root = { 0 };

        if (fitting->need->image
                    ? !root_from_artifact(fitting, &root, error)
                    : fitting->need->base_type && !root_from_type(fitting, &root, error))
                return false;
        if (!root.below)
                root.rootfs = g_strdup(fitting->need->rootfs_uri ? fitting->need->rootfs_uri : "");
        *ret = root;
        root = (Root){ 0 };
        return true;
}

/* ---- mounts ---- */

static bool fit_inputs(Fitting *fitting, GError **error) {
        for (size_t i = 0; i < fitting->need->input_count; i++) {
                const ContainerInput *input = &fitting->need->inputs[i];
                Volume *parent = fit_artifact(fitting, input->artifact, input->path, error);
                if (!parent)
                        return false;
                fit_plan(fitting, input->path, parent);
        }
        return true;
}

static bool fit_cache(Fitting *fitting, const char *path, GError **error) {
        const ContainerMetadata *metadata = &fitting->need->metadata;
        Store *store = fitting->pool->spec.store;
        g_autoptr(GError) local = NULL;
        g_autoptr(Volume) parent = NULL;
        int64_t id;

        if (metadata->job_id &&
            task_cache_find(store, metadata->job_id, metadata->step_name, path, &id, &local))
                parent = volume_find_task_cache(store, id, fitting->worker->name, &local);
        if (local && !error_is(local, ERROR_NOT_FOUND)) {
                g_propagate_error(error, g_steal_pointer(&local));
                return false;
        }
        fit_plan(fitting, path, g_steal_pointer(&parent));
        return true;
}

static bool fit_certificates(Fitting *fitting, GError **error) {
        const VolumeOwner owner = { .certs = true };
        g_autofree char *path = NULL;

        g_autoptr(Volume) shared = import_shared(fitting, &owner, fitting->worker->certs_path, true,
                                                 &path, error);
        if (!shared)
                return false;
        Mount *mount = g_new0(Mount, 1);
        mount->path = g_strdup("/etc/ssl/certs");
        mount->source = g_steal_pointer(&path);
        mount->handle = g_strdup(shared->handle);
        mount->volume_id = shared->id;
        mount->read_only = true;
        g_ptr_array_add(fitting->mounts, mount);
        return true;
}

/* A gain and no condition: what fails is done without. */
static void fit_downloads(Fitting *fitting) {
        const ContainerNeed *need = fitting->need;
        const WorkerResourceType *type = need->base_type ? worker_resource_type(fitting->worker,
                                                                                need->base_type)
                                                         : NULL;
        g_autofree char *source = NULL;

        if (!need->downloads_config_id || !type || !g_path_is_absolute(type->cache) ||
            fit_is_planned(fitting, type->cache))
                return;
        const VolumeSpec spec = { .worker = fitting->worker->name,
                                  .owner = { .downloads_config_id = need->downloads_config_id } };
        g_autofree char *key = g_strdup_printf("downloads %s %" G_GINT64_FORMAT,
                                               fitting->worker->name, need->downloads_config_id);
        if (!key_lock_take(key, fitting->cancel, NULL))
                return;
        g_autoptr(Volume) row = volume_find_or_create(fitting->pool->spec.store, &spec, NULL, NULL);
        const VolumeRequest request = { .handle = row ? row->handle : NULL,
                                        .strategy = { .kind = VOLUME_STRATEGY_EMPTY },
                                        .privileged = fitting->privileged };
        bool made = row && make_shared(fitting, row, &request, &source, NULL);
        key_lock_release(key);
        if (!made)
                return;
        Mount *mount = g_new0(Mount, 1);
        mount->path = g_strdup(type->cache);
        mount->source = g_steal_pointer(&source);
        mount->handle = g_strdup(row->handle);
        mount->volume_id = row->id;
        g_ptr_array_add(fitting->mounts, mount);
}

bool fit_mounts(Fitting *fitting, GError **error) {
        const ContainerNeed *need = fitting->need;

        fit_plan(fitting, "/scratch", NULL);
        if (!fit_inputs(fitting, error))
                return false;
        for (size_t i = 0; need->outputs && need->outputs[i]; i++)
                if (!fit_is_planned(fitting, need->outputs[i]))
                        fit_plan(fitting, need->outputs[i], NULL);
        for (size_t i = 0; need->caches && need->caches[i]; i++)
                if (!fit_is_planned(fitting, need->caches[i]) &&
                    !fit_cache(fitting, need->caches[i], error))
                        return false;
        if (need->working_directory && !fit_is_planned(fitting, need->working_directory))
                fit_plan(fitting, need->working_directory, NULL);
        fit_downloads(fitting);
        return !need->certificates || !fitting->worker->certs_path ||
               !*fitting->worker->certs_path || fit_certificates(fitting, error);
}
