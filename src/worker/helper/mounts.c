#include "worker/helper/mounts.h"

#include "base/files.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

/* redirect_dir and metacopy make renames and chowns of a directory of lower files cheap; a layer
 * that holds their marks is only ever mounted over the layers it was made on. index=off: a layer
 * may be below several mounts. */
#define OVERLAY_OPTIONS "index=off,redirect_dir=on,metacopy=on"

/* mount(2) takes one page of options. */
#define OVERLAY_OPTIONS_MAX 4095

/* ---- ID-mapped clones ---- */

/* A detached clone of the directory, with owners shifted when user_namespace is not -1. */
static int clone_directory(const char *path, int user_namespace, GError **error) {
        autofd clone = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
        if (clone < 0) {
                error_set_errno(error, errno, "failed to clone %s", path);
                return -1;
        }
        if (user_namespace >= 0) {
                struct mount_attr attributes = { .attr_set = MOUNT_ATTR_IDMAP | MOUNT_ATTR_NODEV,
                                                 .userns_fd = (uint64_t) user_namespace };
                if (mount_setattr(clone, "", AT_EMPTY_PATH, &attributes, sizeof attributes) < 0) {
                        error_set_errno(error, errno, "failed to map the owners of %s", path);
                        return -1;
                }
        }
        return fd_steal(&clone);
}

static bool attach_clone(const char *path, int user_namespace, const char *target, GError **error) {
        autofd clone = clone_directory(path, user_namespace, error);
        if (clone < 0)
                return false;
        if (move_mount(clone, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH) < 0) {
                error_set_errno(error, errno, "failed to attach %s to %s", path, target);
                return false;
        }
        return true;
}

/* ---- the overlay ---- */

typedef struct {
        struct __user_cap_header_struct header;
        struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];
} Capabilities;

/*
 * An overlay whose upper directory is ID-mapped comes out read-only, without an error, unless its
 * mounter's ids are within the mapping. The system's ids keep root's rights but for the file
 * system capabilities, which the change takes away and capset() gives back.
 */
static int mount_as(bool mapped, const char *target, unsigned long flags, const char *options) {
        Capabilities saved = { .header.version = _LINUX_CAPABILITY_VERSION_3 };
        int result, error_number;

        if (!mapped)
                return mount("weir", target, "overlay", flags, options);

        (void) syscall(SYS_capget, &saved.header, saved.data);
        setfsgid(HELPER_ID_BASE);
        setfsuid(HELPER_ID_BASE);
        (void) syscall(SYS_capset, &saved.header, saved.data);
        result = mount("weir", target, "overlay", flags, options);
        error_number = errno;
        setfsuid(0);
        setfsgid(0);
        (void) syscall(SYS_capset, &saved.header, saved.data);
        errno = error_number;
        return result;
}

/* "lowerdir=1/data:2/data,upperdir=0/data,workdir=0/work"; names[i] leads to layer i from the
 * working directory. */
static char *overlay_options(const LayerMount *mount, const char *const *names, GError **error) {
        g_autoptr(GString) text = g_string_new(OVERLAY_OPTIONS ",lowerdir=");
        for (size_t i = mount->read_only ? 0 : 1; i < mount->layer_count; i++)
                g_string_append_printf(text, "%s%s/data",
                                       text->str[text->len - 1] == '=' ? "" : ":", names[i]);
        if (!mount->read_only)
                g_string_append_printf(text, ",volatile,upperdir=%s/data,workdir=%s/work", names[0],
                                       names[0]);
        if (text->len > OVERLAY_OPTIONS_MAX) {
                g_set_error(error, ERROR, ERROR_LIMIT, "too many layers for one mount: %zu",
                            mount->layer_count);
                return NULL;
        }
        return g_string_free(g_steal_pointer(&text), false);
}

static bool mount_overlay(const LayerMount *mount, const char *directory, const char *const *names,
                          GError **error) {
        bool mapped = mount->user_namespace >= 0;
        unsigned long flags = (mapped ? MS_NODEV : 0) | (mount->read_only ? MS_RDONLY : 0);
        struct statvfs status;
        g_autofree char *options = overlay_options(mount, names, error);

        if (!options)
                return false;
        if (chdir(directory) < 0) {
                error_set_errno(error, errno, "failed to enter %s", directory);
                return false;
        }
        bool mounted = mount_as(mapped, mount->target, flags, options) == 0;
        if (!mounted)
                error_set_errno(error, errno, "failed to mount an overlay on %s", mount->target);
        if (chdir("/") < 0 && mounted) {
                error_set_errno(error, errno, "failed to leave %s", directory);
                (void) umount2(mount->target, MNT_DETACH);
                return false;
        }
        if (!mounted)
                return false;
        if (!mount->read_only &&
            (statvfs(mount->target, &status) < 0 || (status.f_flag & ST_RDONLY))) {
                (void) umount2(mount->target, MNT_DETACH);
                g_set_error(error, ERROR, ERROR_IO, "the overlay on %s came out read-only",
                            mount->target);
                return false;
        }
        return true;
}

/* Attaches each layer, mapped, to stage/<number> for the time of the mount. */
static bool mount_overlay_mapped(const char *work, const LayerMount *mount, GError **error) {
        g_autofree char *stage = g_build_filename(work, "stage", NULL);
        g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
        size_t attached = 0;
        bool done = true;

        for (; done && attached < mount->layer_count; attached += done) {
                g_autofree char *layer = g_build_filename(work, "layers", mount->layers[attached],
                                                          NULL);
                g_autofree char *target = g_strdup_printf("%s/%zu", stage, attached);
                done = attach_clone(layer, mount->user_namespace, target, error);
                g_ptr_array_add(names, g_strdup_printf("%zu", attached));
        }
        done = done && mount_overlay(mount, stage, (const char *const *) names->pdata, error);
        while (attached-- > 0) {
                g_autofree char *target = g_strdup_printf("%s/%zu", stage, attached);
                (void) umount2(target, MNT_DETACH);
        }
        return done;
}

/*
 * Every writable overlay is "volatile": otherwise each unmount writes out the whole file system
 * below, and each fsync of a build waits for a disk that has nothing to keep. The mark it leaves
 * says that a crash may have torn the layer, and would refuse the next mount.
 */
static void clear_volatile(const char *work, const char *top) {
        g_autofree char *mark = g_build_filename(work, "layers", top, "work", "work", "incompat",
                                                 NULL);
        (void) directory_remove(mark, NULL);
}

bool layers_mount(const char *work, const LayerMount *mount, GError **error) {
        g_autofree char *layers = g_build_filename(work, "layers", NULL);
        if (mount->layer_count > 1 && !mount->read_only)
                clear_volatile(work, mount->layers[0]);
        if (mount->layer_count == 1) {
                g_autofree char *data = g_build_filename(layers, mount->layers[0], "data", NULL);
                return attach_clone(data, mount->user_namespace, mount->target, error);
        }
        if (mount->user_namespace >= 0)
                return mount_overlay_mapped(work, mount, error);
        return mount_overlay(mount, layers, mount->layers, error);
}

bool layers_unmount(const char *target, GError **error) {
        if (umount2(target, MNT_DETACH | UMOUNT_NOFOLLOW) == 0 || errno == EINVAL ||
            errno == ENOENT)
                return true;
        error_set_errno(error, errno, "failed to unmount %s", target);
        return false;
}

bool layers_prepare(const char *work, GError **error) {
        for (int i = 0; i < HELPER_LAYERS_MAX; i++) {
                g_autofree char *slot = g_strdup_printf("%s/stage/%d", work, i);
                if (!directory_make(slot, 0755, error))
                        return false;
        }
        return true;
}
