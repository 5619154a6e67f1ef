#include "base/crypto.h"
#include "base/files.h"
#include "worker/volumes/internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Deeper chains of copy-on-write children are flattened into one layer: the kernel's limit is far,
 * but each layer costs every look-up. */
#define STACK_MAX 64

/* ---- layers ---- */

static bool make_directory(const char *path, int mode, GError **error) {
        if (mkdir(path, (mode_t) mode) == 0 && chmod(path, (mode_t) mode) == 0)
                return true;
        error_set_errno(error, errno, "failed to make %s", path);
        return false;
}

char *layer_make(Volumes *volumes, GError **error) {
        g_autofree char *id = crypto_random_hex(8);
        g_autofree char *directory = layer_directory(volumes, id);
        g_autofree char *data = g_build_filename(directory, "data", NULL);
        g_autofree char *work = g_build_filename(directory, "work", NULL);
        if (!make_directory(directory, 0755, error) || !make_directory(data, 0755, error) ||
            !make_directory(work, 0755, error))
                return NULL;
        return g_steal_pointer(&id);
}

/* A fresh layer becomes the volume's top. Returns its id, borrowed. */
static const char *push_layer(Volumes *volumes, Volume *volume, GError **error) {
        char *id = layer_make(volumes, error);
        if (!id)
                return NULL;
        g_autoptr(GPtrArray) fresh = g_ptr_array_new();
        g_ptr_array_add(fresh, id);
        volumes_hold_layers(volumes, fresh);
        g_ptr_array_insert(volume->stack, 0, id);
        return id;
}

static char *layer_data(const Volumes *volumes, const char *id) {
        g_autofree char *directory = layer_directory(volumes, id);
        return g_build_filename(directory, "data", NULL);
}

static bool is_empty(const char *path) {
        DIR *directory = opendir(path);
        const struct dirent *entry;
        size_t count = 0;
        if (!directory)
                return false;
        while (count <= 2 && (entry = readdir(directory)))
                count++; /* "." and ".." are always there */
        closedir(directory);
        return count <= 2;
}

/* Whether the top layer says nothing that the one below does not: most tasks leave their inputs
 * alone, and a chain of such volumes need not grow. */
static bool top_is_void(const Volumes *volumes, const GPtrArray *stack) {
        struct stat top, below;
        if (stack->len < 2)
                return false;
        g_autofree char *top_data = layer_data(volumes, stack->pdata[0]);
        g_autofree char *below_data = layer_data(volumes, stack->pdata[1]);
        return stat(top_data, &top) == 0 && stat(below_data, &below) == 0 &&
               top.st_uid == below.st_uid && top.st_gid == below.st_gid &&
               top.st_mode == below.st_mode && is_empty(top_data);
}

/* An overlay's root has the attributes of its top layer's. */
static bool copy_root(const Volumes *volumes, const char *from, const char *to, GError **error) {
        g_autofree char *source = layer_data(volumes, from);
        g_autofree char *target = layer_data(volumes, to);
        struct stat status;
        if (stat(source, &status) < 0 || chown(target, status.st_uid, status.st_gid) < 0 ||
            chmod(target, status.st_mode & 07777) < 0) {
                error_set_errno(error, errno, "failed to prepare %s", target);
                return false;
        }
        struct timespec times[] = { status.st_atim, status.st_mtim };
        (void) utimensat(AT_FDCWD, target, times, 0);
        return true;
}

/* ---- strategies ---- */

static bool fill_empty(Volumes *volumes, const VolumeRequest *request, Volume *volume,
                       Cancel *cancel, GError **error) {
        return push_layer(volumes, volume, error) != NULL;
}

/* All of a held stack as one new layer. */
static bool fill_copy(Volumes *volumes, const GPtrArray *stack, const char *path, Volume *volume,
                      Cancel *cancel, GError **error) {
        const char *layer = push_layer(volumes, volume, error);
        if (!layer)
                return false;
        CopySpec copy = { .from = { .layers = (const char *const *) stack->pdata,
                                    .layer_count = stack->len,
                                    .path = path },
                          .layer = layer,
                          .any_owner = true };
        return volumes_copy(volumes, &copy, cancel, error);
}

static bool fill_layered(Volumes *volumes, GPtrArray *stack, Volume *volume, GError **error) {
        g_autoptr(GPtrArray) below = g_ptr_array_copy(stack, (GCopyFunc) (void *) g_strdup, NULL);
        g_ptr_array_set_free_func(below, g_free);
        while (top_is_void(volumes, below))
                g_ptr_array_remove_index(below, 0);
        volumes_hold_layers(volumes, below);
        g_ptr_array_extend_and_steal(volume->stack, g_steal_pointer(&below));
        g_autofree char *parent = g_strdup(volume->stack->pdata[0]);
        const char *layer = push_layer(volumes, volume, error);
        return layer && copy_root(volumes, parent, layer, error);
}

static bool fill_cow(Volumes *volumes, const VolumeRequest *request, Volume *volume, Cancel *cancel,
                     GError **error) {
        const char *parent = request->strategy.volume;
        g_autoptr(GError) failure = NULL;

        if (!parent || !*parent) {
                g_set_error(error, ERROR, ERROR_INVALID, "no parent volume provided");
                return false;
        }
        GPtrArray *stack = volumes_hold_stack(volumes, parent, &failure);
        if (!stack) {
                g_set_error(error, ERROR, ERROR_INVALID, "parent volume not found");
                return false;
        }
        bool layered = volumes->driver == VOLUMES_OVERLAY && stack->len < STACK_MAX;
        bool done = layered ? fill_layered(volumes, stack, volume, error)
                            : fill_copy(volumes, stack, "", volume, cancel, error);
        volumes_drop_stack(volumes, stack);
        return done;
}

/* ---- import ---- */

static bool import_archive(Volumes *volumes, int file, const VolumeRequest *request,
                           const char *layer, Cancel *cancel, GError **error) {
        const char *layers[] = { layer };
        HelperJob job = { .kind = HELPER_UNPACK,
                          .layers = layers,
                          .layer_count = 1,
                          .path = "",
                          .encoding = VOLUME_ENCODING_GZIP,
                          .devices = true,
                          .any_owner = request->privileged,
                          .disk_reserve = volumes->disk_reserve,
                          .fd = file };
        g_autoptr(HelperChild) child = helper_job_start(volumes->helper, &job, error);
        g_autoptr(GError) failure = NULL;
        if (!child)
                return false;
        if (helper_job_wait(child, cancel, &failure))
                return true;
        /* The request is right, what it names is not: no ERROR_INVALID. */
        g_set_error(error, ERROR, error_is(failure, ERROR_INVALID) ? ERROR_IO : failure->code, "%s",
                    failure->message);
        return false;
}

static bool import_directory(Volumes *volumes, int directory, const VolumeRequest *request,
                             const char *layer, Cancel *cancel, GError **error) {
        CopySpec copy = { .from = { .directory = directory,
                                    .path = "",
                                    .follow_symlinks = request->strategy.follow_symlinks },
                          .layer = layer,
                          .any_owner = request->privileged };
        return volumes_copy(volumes, &copy, cancel, error);
}

static bool import_host(Volumes *volumes, const VolumeRequest *request, Volume *volume,
                        Cancel *cancel, GError **error) {
        const char *path = request->strategy.path;
        struct stat status;
        autofd file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

        if (file < 0 || fstat(file, &status) < 0) {
                error_set_errno(error, errno, "failed to open %s", path);
                return false;
        }
        if (!S_ISDIR(status.st_mode) && !S_ISREG(status.st_mode)) {
                g_set_error(error, ERROR, ERROR_IO, "neither a file nor a directory: %s", path);
                return false;
        }
        const char *layer = push_layer(volumes, volume, error);
        if (!layer)
                return false;
        return S_ISDIR(status.st_mode)
                       ? import_directory(volumes, file, request, layer, cancel, error)
                       : import_archive(volumes, file, request, layer, cancel, error);
}

static bool fill_import(Volumes *volumes, const VolumeRequest *request, Volume *volume,
                        Cancel *cancel, GError **error) {
        const char *path = request->strategy.path;
        g_autofree char *handle = NULL, *below = NULL;

        if (!path || !g_path_is_absolute(path)) {
                g_set_error(error, ERROR, ERROR_IO, "the path to import is not absolute: %s",
                            path ? path : "");
                return false;
        }
        /* A task's cache is saved by importing the path of its volume. */
        if (!volumes_parse_path(volumes, path, &handle, &below))
                return import_host(volumes, request, volume, cancel, error);
        GPtrArray *stack = volumes_hold_stack(volumes, handle, error);
        if (!stack)
                return false;
        bool done = fill_copy(volumes, stack, below, volume, cancel, error);
        volumes_drop_stack(volumes, stack);
        return done;
}

/* ---- the owner ---- */

static bool set_owner(Volumes *volumes, const VolumeRequest *request, const Volume *volume,
                      Cancel *cancel, GError **error) {
        if (!request->has_uid || !request->has_gid || request->uid < 0 || request->gid < 0)
                return true;
        if (request->strategy.kind == VOLUME_STRATEGY_EMPTY) {
                g_autofree char *data = layer_data(volumes, volume->stack->pdata[0]);
                if (chown(data, (uid_t) request->uid, (gid_t) request->gid) == 0)
                        return true;
                error_set_errno(error, errno, "failed to change the owner of %s", data);
                return false;
        }
        HelperJob job = { .kind = HELPER_CHOWN,
                          .layers = (const char *const *) volume->stack->pdata,
                          .layer_count = volume->stack->len,
                          .path = "",
                          .uid = (uid_t) request->uid,
                          .gid = (gid_t) request->gid,
                          .fd = -1 };
        g_autoptr(HelperChild) child = helper_job_start(volumes->helper, &job, error);
        return child && helper_job_wait(child, cancel, error);
}

/* ---- all ---- */

typedef bool (*Fill)(Volumes *volumes, const VolumeRequest *request, Volume *volume, Cancel *cancel,
                     GError **error);

static const struct {
        Fill fill;
        const char *refusal;
} strategies[] = {
        [VOLUME_STRATEGY_NONE] = { NULL, "no strategy given" },
        [VOLUME_STRATEGY_EMPTY] = { fill_empty, NULL },
        [VOLUME_STRATEGY_COW] = { fill_cow, NULL },
        [VOLUME_STRATEGY_IMPORT] = { fill_import, NULL },
        [VOLUME_STRATEGY_UNKNOWN] = { NULL, "unknown strategy" },
};

bool volume_fill(Volumes *volumes, const VolumeRequest *request, Volume *volume, Cancel *cancel,
                 GError **error) {
        VolumeStrategyKind kind = request->strategy.kind;
        if (!strategies[kind].fill) {
                g_set_error(error, ERROR, ERROR_INVALID, "%s", strategies[kind].refusal);
                return false;
        }
        return strategies[kind].fill(volumes, request, volume, cancel, error) &&
               set_owner(volumes, request, volume, cancel, error);
}
