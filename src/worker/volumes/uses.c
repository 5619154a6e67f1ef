#include "base/files.h"
#include "base/log.h"
#include "worker/volumes/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static View view_of(const VolumesUse *use) {
        return use->privileged ? VIEW_PLAIN : VIEW_MAPPED;
}

static Volume *take_by_path(Volumes *volumes, const VolumesUse *use, char **ret_below,
                            GError **error) {
        g_autofree char *handle = NULL;
        if (!volumes_parse_path(volumes, use->path, &handle, ret_below)) {
                g_set_error(error, ERROR, ERROR_NOT_FOUND, "not the path of a volume: %s",
                            use->path);
                return NULL;
        }
        return volumes_take(volumes, handle, error);
}

static void add_user(Volumes *volumes, Volume *volume, View view, const char *container) {
        MUTEX_SCOPE(&volumes->lock);
        if (!volume->users[view])
                volume->users[view] = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        g_hash_table_add(volume->users[view], g_strdup(container));
}

/* Mounted in the view, unless it is. An overlay has one mount that writes, never two. */
static bool ensure_mounted(Volumes *volumes, Volume *volume, View view, GError **error) {
        View other = view == VIEW_PLAIN ? VIEW_MAPPED : VIEW_PLAIN;
        bool claimed = volume->claimed[view] && !volume->mounted[view];
        bool shared = volume->mounted[other] || volume->claimed[other];

        if (volume->stack->len > 1 && (claimed || shared)) {
                g_set_error(error, ERROR, ERROR_BUSY, "volume %s is in use by another container",
                            volume->handle);
                return false;
        }
        if (volume->mounted[view])
                return true;
        HelperMount mount = { .id = volume->handle,
                              .layers = (const char *const *) volume->stack->pdata,
                              .layer_count = volume->stack->len,
                              .mapped = view == VIEW_MAPPED };
        if (!helper_mount(volumes->helper, &mount, error))
                return false;
        MUTEX_SCOPE(&volumes->lock);
        volume->mounted[view] = true;
        return true;
}

static void unmount_unused(Volumes *volumes, Volume *volume, View view) {
        g_autoptr(GError) error = NULL;
        {
                MUTEX_SCOPE(&volumes->lock);
                if (volume->users[view] && g_hash_table_size(volume->users[view]) > 0)
                        return;
                volume->claimed[view] = false;
                if (!volume->mounted[view])
                        return;
        }
        if (!helper_unmount(volumes->helper, volume->handle, view == VIEW_MAPPED, &error)) {
                log_error("volumes", "unmount-failed", error, "volume", volume->handle);
                return;
        }
        MUTEX_SCOPE(&volumes->lock);
        volume->mounted[view] = false;
}

void volume_unmount(Volumes *volumes, Volume *volume) {
        for (View view = 0; view < VIEW_COUNT; view++)
                unmount_unused(volumes, volume, view);
}

/* Every part of the path below the mount is a real directory or file: what a volume holds may be
 * anyone's, and the runtime would follow a link "rootfs" out to the host's own files. */
static bool check_below(const char *root, const char *below, GError **error) {
        struct open_how how = { .flags = O_PATH | O_CLOEXEC,
                                .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS };
        if (!*below)
                return true;
        autofd directory = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC);
        autofd fd = directory < 0 ? -1
                                  : (int) syscall(SYS_openat2, directory, below, &how, sizeof how);
        if (fd >= 0)
                return true;
        error_set_errno(error, errno, "failed to open %s in a volume", below);
        return false;
}

char *volumes_mount(Volumes *volumes, const VolumesUse *use, GError **error) {
        g_autofree char *below = NULL;
        View view = view_of(use);
        TAKEN_VOLUME taken = { volumes, take_by_path(volumes, use, &below, error) };

        if (!taken.volume || !ensure_mounted(volumes, taken.volume, view, error))
                return NULL;
        g_autofree char *root = helper_mount_path(volumes->helper, taken.volume->handle,
                                                  view == VIEW_MAPPED);
        if (!check_below(root, below, error)) {
                unmount_unused(volumes, taken.volume, view);
                return NULL;
        }
        add_user(volumes, taken.volume, view, use->container);
        return *below ? g_build_filename(root, below, NULL) : g_steal_pointer(&root);
}

bool volumes_claim(Volumes *volumes, const VolumesUse *use, GError **error) {
        g_autofree char *below = NULL;
        View view = view_of(use);
        TAKEN_VOLUME taken = { volumes, take_by_path(volumes, use, &below, error) };

        if (!taken.volume)
                return false;
        add_user(volumes, taken.volume, view, use->container);
        MUTEX_SCOPE(&volumes->lock);
        taken.volume->claimed[view] = true;
        return true;
}

/* Handles of the volumes the container uses; each is then looked at on its own. */
static GPtrArray *used_by(Volumes *volumes, const char *container) {
        GPtrArray *handles = g_ptr_array_new_with_free_func(g_free);
        GHashTableIter iter;
        Volume *volume;

        MUTEX_SCOPE(&volumes->lock);
        g_hash_table_iter_init(&iter, volumes->live);
        while (g_hash_table_iter_next(&iter, NULL, (void **) &volume))
                for (View view = 0; view < VIEW_COUNT; view++)
                        if (volume->users[view] &&
                            g_hash_table_contains(volume->users[view], container)) {
                                g_ptr_array_add(handles, g_strdup(volume->handle));
                                break;
                        }
        return handles;
}

void volumes_release(Volumes *volumes, const char *container) {
        g_autoptr(GPtrArray) handles = used_by(volumes, container);
        for (guint i = 0; i < handles->len; i++) {
                TAKEN_VOLUME taken = { volumes, volumes_take(volumes, handles->pdata[i], NULL) };
                for (View view = 0; taken.volume && view < VIEW_COUNT; view++) {
                        {
                                MUTEX_SCOPE(&volumes->lock);
                                if (!taken.volume->users[view] ||
                                    !g_hash_table_remove(taken.volume->users[view], container))
                                        continue;
                        }
                        unmount_unused(volumes, taken.volume, view);
                }
        }
}
