#include "base/crypto.h"
#include "base/fault.h"
#include "base/files.h"
#include "base/log.h"
#include "worker/volumes/internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DISK_RESERVE_DEFAULT (256ULL * 1024 * 1024)

static const char *const driver_names[] = {
        [VOLUMES_DETECT] = "detect",
        [VOLUMES_OVERLAY] = "overlay",
        [VOLUMES_BTRFS] = "btrfs",
        [VOLUMES_NAIVE] = "naive",
};

bool volumes_driver_parse(const char *name, VolumesDriver *ret, GError **error) {
        for (size_t i = 0; i < G_N_ELEMENTS(driver_names); i++)
                if (strcmp(name, driver_names[i]) == 0) {
                        *ret = (VolumesDriver) i;
                        return true;
                }
        g_set_error(error, ERROR, ERROR_INVALID, "unknown driver: %s", name);
        return false;
}

const char *volumes_driver_name(VolumesDriver driver) {
        return driver_names[driver];
}

VolumesDriver volumes_driver(const Volumes *volumes) {
        return volumes->driver;
}

/* ---- opening ---- */

static bool choose_driver(const VolumesSpec *spec, VolumesDriver *ret, GError **error) {
        const HelperFeatures *features = helper_features(spec->helper);
        bool overlay = features->overlay && (features->mapped || !features->user_namespaces);

        *ret = spec->driver == VOLUMES_DETECT ? (overlay ? VOLUMES_OVERLAY : VOLUMES_NAIVE)
                                              : spec->driver;
        if (*ret == VOLUMES_BTRFS) {
                g_set_error(error, ERROR, ERROR_UNSUPPORTED,
                            "the volume driver btrfs is not part of this program: use overlay");
                return false;
        }
        if (*ret == VOLUMES_OVERLAY && !overlay) {
                g_set_error(error, ERROR, ERROR_UNSUPPORTED,
                            "the volume driver overlay does not work in %s: %s",
                            spec->work_directory, features->reason);
                return false;
        }
        return true;
}

typedef void (*EntryFn)(Volumes *volumes, const char *name);

/* Calls fn for every name in <work>/<directory>. */
static void each_entry(Volumes *volumes, const char *directory, EntryFn fn) {
        g_autofree char *path = g_build_filename(volumes->work, directory, NULL);
        g_autoptr(GDir) entries = g_dir_open(path, 0, NULL);
        const char *name;
        while (entries && (name = g_dir_read_name(entries)))
                fn(volumes, name);
}

static void remove_directory(const char *path) {
        g_autoptr(GError) error = NULL;
        if (!directory_remove(path, &error) && !error_is(error, ERROR_NOT_FOUND))
                log_error("volumes", "remove-failed", error, "path", path);
}

static void remove_dead(Volumes *volumes, const char *name) {
        g_autofree char *path = volume_directory(volumes, "dead", name);
        remove_directory(path);
}

static void remove_init(Volumes *volumes, const char *name) {
        g_autofree char *path = volume_directory(volumes, "init", name);
        remove_directory(path);
}

/* A live directory without its files was torn by a crash: it is as if it were not there. */
static void load_live(Volumes *volumes, const char *name) {
        g_autoptr(GError) error = NULL;
        g_autofree char *path = volume_directory(volumes, "live", name);
        g_autoptr(Volume) volume = helper_id_valid(name) ? volume_load(path, name, &error) : NULL;
        if (!volume) {
                log_error("volumes", "drop-damaged-volume", error, "volume", name);
                remove_directory(path);
                return;
        }
        volumes_hold_layers(volumes, volume->stack);
        char *handle = volume->handle;
        g_hash_table_insert(volumes->live, handle, g_steal_pointer(&volume));
}

static void remove_unheld_layer(Volumes *volumes, const char *name) {
        g_autofree char *path = layer_directory(volumes, name);
        {
                MUTEX_SCOPE(&volumes->lock);
                if (g_hash_table_contains(volumes->layers, name) ||
                    g_hash_table_size(volumes->making) > 0)
                        return;
        }
        remove_directory(path);
}

Volumes *volumes_open(const VolumesSpec *spec, GError **error) {
        static const char *const states[] = { "init", "live", "dead" };
        VolumesDriver driver;
        if (!choose_driver(spec, &driver, error))
                return NULL;

        g_autoptr(Volumes) volumes = g_new0(Volumes, 1);
        volumes->work = g_strdup(spec->work_directory);
        volumes->helper = spec->helper;
        volumes->driver = driver;
        volumes->disk_reserve = spec->disk_reserve ? spec->disk_reserve : DISK_RESERVE_DEFAULT;
        mutex_init(&volumes->lock);
        condition_init(&volumes->given);
        volumes->live = g_hash_table_new_full(g_str_hash, g_str_equal, NULL,
                                              (GDestroyNotify) volume_free);
        volumes->making = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        volumes->layers = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        for (size_t i = 0; i < G_N_ELEMENTS(states); i++) {
                g_autofree char *path = g_build_filename(volumes->work, "volumes", states[i], NULL);
                if (!directory_make(path, 0755, error))
                        return NULL;
        }
        each_entry(volumes, "volumes/init", remove_init);
        each_entry(volumes, "volumes/live", load_live);
        if (!volumes_clean(volumes, error))
                return NULL;
        return g_steal_pointer(&volumes);
}

void volumes_free(Volumes *volumes) {
        if (!volumes)
                return;
        g_hash_table_unref(volumes->live);
        g_hash_table_unref(volumes->making);
        g_hash_table_unref(volumes->layers);
        condition_destroy(&volumes->given);
        mutex_destroy(&volumes->lock);
        g_free(volumes->work);
        g_free(volumes);
}

bool volumes_clean(Volumes *volumes, GError **error) {
        each_entry(volumes, "volumes/dead", remove_dead);
        each_entry(volumes, "layers", remove_unheld_layer);
        return true;
}

/* ---- making ---- */

static bool begin_making(Volumes *volumes, const char *handle, GError **error) {
        MUTEX_SCOPE(&volumes->lock);
        if (g_hash_table_contains(volumes->live, handle) ||
            !g_hash_table_add(volumes->making, g_strdup(handle))) {
                g_set_error(error, ERROR, ERROR_EXISTS, "volume exists: %s", handle);
                return false;
        }
        return true;
}

static bool make_in(Volumes *volumes, const VolumeRequest *request, Volume *volume, Cancel *cancel,
                    GError **error) {
        g_autofree char *init = volume_directory(volumes, "init", volume->handle);
        g_autofree char *live = volume_directory(volumes, "live", volume->handle);
        g_autofree char *point = g_build_filename(init, "volume", NULL);

        if (mkdir(init, 0755) < 0 || mkdir(point, 0755) < 0) {
                error_set_errno(error, errno, "failed to make %s", init);
                return false;
        }
        if (!volume_fill(volumes, request, volume, cancel, error) ||
            !volume_save(init, volume, error))
                return false;
        fault_here("volume-made");
        if (rename(init, live) < 0) {
                error_set_errno(error, errno, "failed to make %s", live);
                return false;
        }
        return true;
}

/* Takes volume when made: it is live from then on. */
static void end_making(Volumes *volumes, Volume *volume, bool made) {
        if (!made) {
                remove_init(volumes, volume->handle);
                volumes_drop_stack(volumes, g_steal_pointer(&volume->stack));
        }
        MUTEX_SCOPE(&volumes->lock);
        g_hash_table_remove(volumes->making, volume->handle);
        if (made)
                g_hash_table_insert(volumes->live, volume->handle, volume);
}

bool volumes_create(Volumes *volumes, const VolumeRequest *request, Cancel *cancel,
                    VolumeResponse *ret, GError **error) {
        bool named = request->handle && *request->handle;
        g_autoptr(Volume) volume = g_new0(Volume, 1);

        volume->handle = named ? g_strdup(request->handle) : crypto_uuid();
        volume->stack = g_ptr_array_new_with_free_func(g_free);
        volume->properties = value_ref(request->properties);
        volume->privileged = request->privileged;
        if (!helper_id_valid(volume->handle)) {
                g_set_error(error, ERROR, ERROR_INVALID, "invalid handle");
                return false;
        }
        if (!begin_making(volumes, volume->handle, error))
                return false;
        bool made = make_in(volumes, request, volume, cancel, error);
        VolumeResponse response = { 0 };
        if (made) {
                volume_describe(volumes, volume, &response);
                response.has_uid = request->has_uid;
                response.has_gid = request->has_gid;
                response.uid = request->uid;
                response.gid = request->gid;
        }
        end_making(volumes, volume, made);
        if (!made)
                return false;
        (void) g_steal_pointer(&volume);
        *ret = response;
        return true;
}

/* ---- looking ---- */

bool volumes_get(Volumes *volumes, const char *handle, VolumeResponse *ret, GError **error) {
        MUTEX_SCOPE(&volumes->lock);
        const Volume *volume = g_hash_table_lookup(volumes->live, handle);
        if (!volume) {
                g_set_error(error, ERROR, ERROR_NOT_FOUND, "volume not found: %s", handle);
                return false;
        }
        volume_describe(volumes, volume, ret);
        return true;
}

static bool matches(const Volume *volume, const Value *filter) {
        for (size_t i = 0; i < value_length(filter); i++) {
                const Value *own = value_get(volume->properties, value_key_at(filter, i));
                if (!own || !value_equal(own, value_at(filter, i)))
                        return false;
        }
        return true;
}

static int by_handle(const void *a, const void *b) {
        const VolumeResponse *first = *(VolumeResponse *const *) a;
        const VolumeResponse *second = *(VolumeResponse *const *) b;
        return strcmp(first->handle, second->handle);
}

GPtrArray *volumes_list(Volumes *volumes, const Value *filter) {
        GPtrArray *list = g_ptr_array_new_with_free_func((GDestroyNotify) volume_response_free);
        {
                GHashTableIter iter;
                const Volume *volume;
                MUTEX_SCOPE(&volumes->lock);
                g_hash_table_iter_init(&iter, volumes->live);
                while (g_hash_table_iter_next(&iter, NULL, (void **) &volume))
                        if (matches(volume, filter)) {
                                VolumeResponse *response = g_new0(VolumeResponse, 1);
                                volume_describe(volumes, volume, response);
                                g_ptr_array_add(list, response);
                        }
        }
        g_ptr_array_sort(list, by_handle);
        return list;
}

/* ---- changing ---- */

bool volumes_set_property(Volumes *volumes, const char *handle, const char *name, const char *value,
                          GError **error) {
        TAKEN_VOLUME taken = { volumes, volumes_take(volumes, handle, error) };
        if (!taken.volume)
                return false;
        g_autofree char *directory = volume_directory(volumes, "live", handle);
        g_autoptr(Value) properties = taken.volume->properties
                                              ? value_copy(taken.volume->properties)
                                              : value_map();
        value_map_set_string(properties, name, value);
        if (!volume_save_properties(directory, properties, error))
                return false;
        MUTEX_SCOPE(&volumes->lock);
        value_free(taken.volume->properties);
        taken.volume->properties = g_steal_pointer(&properties);
        return true;
}

bool volumes_set_privileged(Volumes *volumes, const char *handle, bool privileged, GError **error) {
        TAKEN_VOLUME taken = { volumes, volumes_take(volumes, handle, error) };
        if (!taken.volume)
                return false;
        g_autofree char *directory = volume_directory(volumes, "live", handle);
        if (!volume_save_privileged(directory, privileged, error))
                return false;
        MUTEX_SCOPE(&volumes->lock);
        taken.volume->privileged = privileged;
        return true;
}

static bool is_used(const Volume *volume) {
        for (View view = 0; view < VIEW_COUNT; view++)
                if (volume->users[view] && g_hash_table_size(volume->users[view]) > 0)
                        return true;
        return false;
}

/* Out of the table, with the lock held for both: nobody may take it in between. */
static void forget(Volumes *volumes, Volume *volume) {
        MUTEX_SCOPE(&volumes->lock);
        g_hash_table_steal(volumes->live, volume->handle);
        condition_broadcast(&volumes->given);
}

bool volumes_destroy(Volumes *volumes, const char *handle, GError **error) {
        TAKEN_VOLUME taken = { volumes, volumes_take(volumes, handle, error) };
        if (!taken.volume)
                return false;
        if (is_used(taken.volume)) {
                g_set_error(error, ERROR, ERROR_BUSY, "volume %s is in use by a container", handle);
                return false;
        }
        volume_unmount(volumes, taken.volume);
        g_autofree char *live = volume_directory(volumes, "live", handle);
        g_autofree char *dead = volume_directory(volumes, "dead", handle);
        remove_directory(dead); /* of a namesake whose end was interrupted */
        if (rename(live, dead) < 0) {
                error_set_errno(error, errno, "failed to destroy volume %s", handle);
                return false;
        }
        fault_here("volume-dead");
        g_autoptr(Volume) volume = g_steal_pointer(&taken.volume);
        forget(volumes, volume);
        volumes_drop_stack(volumes, g_steal_pointer(&volume->stack));
        return directory_remove(dead, error);
}
