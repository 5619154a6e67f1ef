#include "resources/registry_tree.h"

#include "base/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

/* Nested folders: removing one is recursive. */
#define DEPTH_MAX 1000

struct Tree {
        int root;
        bool owners;  /* we may give files away */
        char *folder; /* the last one that was opened, for the next entry is mostly beside it */
        int folder_fd;
};

Tree *tree_new(int root) {
        Tree *tree = g_new0(Tree, 1);
        tree->root = root;
        tree->owners = geteuid() == 0;
        tree->folder_fd = -1;
        return tree;
}

static void forget_folder(Tree *tree) {
        g_clear_pointer(&tree->folder, g_free);
        fd_close(tree->folder_fd);
        tree->folder_fd = -1;
}

void tree_free(Tree *tree) {
        if (!tree)
                return;
        forget_folder(tree);
        g_free(tree);
}

static int open_in_root(const Tree *tree, const char *path, uint64_t flags) {
        struct open_how how = { .flags = flags | O_CLOEXEC,
                                .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS };
        return (int) syscall(SYS_openat2, tree->root, *path ? path : ".", &how, sizeof how);
}

/* ---- folders ---- */

static int open_or_make(Tree *tree, const char *path, GError **error) {
        int fd = open_in_root(tree, path, O_RDONLY | O_DIRECTORY);
        if (fd >= 0)
                return fd;
        if (errno != ENOENT || !*path) {
                error_set_errno(error, errno, "cannot open the folder '%s'", path);
                return -1;
        }
        const char *slash = strrchr(path, '/');
        g_autofree char *above = g_strndup(path, slash ? (size_t) (slash - path) : 0);
        autofd parent = open_or_make(tree, above, error);
        if (parent < 0)
                return -1;
        if (mkdirat(parent, slash ? slash + 1 : path, 0755) < 0 && errno != EEXIST) {
                error_set_errno(error, errno, "cannot make the folder '%s'", path);
                return -1;
        }
        fd = open_in_root(tree, path, O_RDONLY | O_DIRECTORY);
        if (fd < 0)
                error_set_errno(error, errno, "cannot open the folder '%s'", path);
        return fd;
}

/* The folder that holds path; *ret_name is the rest, within path. Borrowed; -1 with an error. */
static int folder_of(Tree *tree, const char *path, const char **ret_name, GError **error) {
        const char *slash = strrchr(path, '/');
        size_t length = slash ? (size_t) (slash - path) : 0;
        *ret_name = slash ? slash + 1 : path;
        if (tree->folder && strlen(tree->folder) == length &&
            strncmp(tree->folder, path, length) == 0)
                return tree->folder_fd;
        forget_folder(tree);
        g_autofree char *folder = g_strndup(path, length);
        tree->folder_fd = open_or_make(tree, folder, error);
        if (tree->folder_fd >= 0)
                tree->folder = g_steal_pointer(&folder);
        return tree->folder_fd;
}

/* ---- removing ---- */

typedef struct {
        TreeSpared spared; /* NULL: nothing is */
        void *data;
        GString *path; /* of the folder that is emptied */
        unsigned depth;
} Sweep;

static bool sweep_folder(int folder, Sweep *sweep, bool *ret_kept, GError **error);

static bool sweep_entry(int folder, const char *name, Sweep *sweep, bool *ret_kept,
                        GError **error) {
        size_t length = sweep->path->len;
        bool kept = false;
        struct stat status;
        if (fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) < 0) {
                error_set_errno(error, errno, "cannot look at '%s'", name);
                return false;
        }
        g_string_append_printf(sweep->path, "%s%s", length > 0 ? "/" : "", name);
        bool spared = sweep->spared && sweep->spared(sweep->path->str, sweep->data), ok = true;
        if (S_ISDIR(status.st_mode)) {
                autofd fd = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
                ok = fd >= 0 && sweep->depth < DEPTH_MAX;
                if (!ok)
                        error_set_errno(error, fd < 0 ? errno : ELOOP, "cannot empty '%s'",
                                        sweep->path->str);
                sweep->depth++;
                ok = ok && sweep_folder(fd, sweep, &kept, error);
                sweep->depth--;
        }
        g_string_truncate(sweep->path, length);
        if (!ok)
                return false;
        *ret_kept = *ret_kept || kept || spared;
        if (kept || spared)
                return true;
        if (unlinkat(folder, name, S_ISDIR(status.st_mode) ? AT_REMOVEDIR : 0) == 0)
                return true;
        error_set_errno(error, errno, "cannot remove '%s'", name);
        return false;
}

static bool sweep_folder(int folder, Sweep *sweep, bool *ret_kept, GError **error) {
        int copy = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        DIR *listing = copy < 0 ? NULL : fdopendir(copy);
        if (!listing) {
                error_set_errno(error, errno, "cannot list '%s'", sweep->path->str);
                fd_close(copy);
                return false;
        }
        bool ok = true;
        for (struct dirent *entry; ok && (entry = readdir(listing));)
                if (!g_str_equal(entry->d_name, ".") && !g_str_equal(entry->d_name, ".."))
                        ok = sweep_entry(folder, entry->d_name, sweep, ret_kept, error);
        closedir(listing);
        return ok;
}

static bool remove_at(Tree *tree, int folder, const char *name, GError **error) {
        if (unlinkat(folder, name, 0) == 0 || errno == ENOENT)
                return true;
        if (errno != EISDIR && errno != EPERM) {
                error_set_errno(error, errno, "cannot remove '%s'", name);
                return false;
        }
        forget_folder(tree); /* it may lie within; folder is the caller's own then */
        g_autoptr(GString) path = g_string_new(NULL);
        Sweep sweep = { .path = path };
        bool kept = false;
        return sweep_entry(folder, name, &sweep, &kept, error);
}

bool tree_remove(Tree *tree, const char *path, GError **error) {
        const char *slash = strrchr(path, '/');
        g_autofree char *folder = g_strndup(path, slash ? (size_t) (slash - path) : 0);
        autofd fd = open_in_root(tree, folder, O_RDONLY | O_DIRECTORY);
        if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
                return true;
        if (fd < 0) {
                error_set_errno(error, errno, "cannot open the folder '%s'", folder);
                return false;
        }
        forget_folder(tree);
        return remove_at(tree, fd, slash ? slash + 1 : path, error);
}

bool tree_empty(Tree *tree, const char *path, TreeSpared spared, void *data, GError **error) {
        autofd fd = open_in_root(tree, path, O_RDONLY | O_DIRECTORY);
        if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
                return true;
        if (fd < 0) {
                error_set_errno(error, errno, "cannot open the folder '%s'", path);
                return false;
        }
        forget_folder(tree);
        g_autoptr(GString) text = g_string_new(path);
        Sweep sweep = { .spared = spared, .data = data, .path = text };
        bool kept = false;
        return sweep_folder(fd, &sweep, &kept, error);
}

/* ---- making ---- */

/* The folder of path, in which nothing stands in its place. The caller's own; -1 with an error. */
static int make_room(Tree *tree, const char *path, const char **ret_name, GError **error) {
        int folder = folder_of(tree, path, ret_name, error);
        if (folder < 0)
                return -1;
        if (!**ret_name) {
                g_set_error(error, ERROR, ERROR_INVALID, "the root is a directory");
                return -1;
        }
        autofd own = openat(folder, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (own < 0) {
                error_set_errno(error, errno, "cannot open a folder");
                return -1;
        }
        return remove_at(tree, own, *ret_name, error) ? fd_steal(&own) : -1;
}

int tree_create(Tree *tree, const char *path, GError **error) {
        const char *name;
        int folder = folder_of(tree, path, &name, error);
        if (folder < 0)
                return -1;
        /* Mostly nothing is there. */
        int fd = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd >= 0)
                return fd;
        autofd own = make_room(tree, path, &name, error);
        if (own < 0)
                return -1;
        fd = openat(own, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
        if (fd < 0)
                error_set_errno(error, errno, "cannot make the file");
        return fd;
}

static bool is_directory(int folder, const char *name) {
        struct stat status;
        return fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(status.st_mode);
}

bool tree_directory(Tree *tree, const char *path, GError **error) {
        const char *name;
        if (!*path)
                return true;
        int folder = folder_of(tree, path, &name, error);
        if (folder < 0)
                return false;
        if (mkdirat(folder, name, 0700) == 0 || is_directory(folder, name))
                return true;
        autofd own = make_room(tree, path, &name, error);
        if (own < 0)
                return false;
        if (mkdirat(own, name, 0700) == 0)
                return true;
        error_set_errno(error, errno, "cannot make the directory");
        return false;
}

bool tree_symlink(Tree *tree, const char *path, const char *target, GError **error) {
        const char *name;
        autofd folder = make_room(tree, path, &name, error);
        if (folder < 0)
                return false;
        if (symlinkat(target, folder, name) == 0)
                return true;
        error_set_errno(error, errno, "cannot make the link");
        return false;
}

bool tree_fifo(Tree *tree, const char *path, GError **error) {
        const char *name;
        autofd folder = make_room(tree, path, &name, error);
        if (folder < 0)
                return false;
        if (mkfifoat(folder, name, 0600) == 0)
                return true;
        error_set_errno(error, errno, "cannot make the pipe");
        return false;
}

bool tree_hardlink(Tree *tree, const char *path, const char *target, GError **error) {
        const char *slash = strrchr(target, '/'), *name;
        g_autofree char *above = g_strndup(target, slash ? (size_t) (slash - target) : 0);
        autofd from = open_in_root(tree, above, O_RDONLY | O_DIRECTORY);
        struct stat status, there;
        const char *base = slash ? slash + 1 : target;
        if (from < 0 || fstatat(from, base, &status, AT_SYMLINK_NOFOLLOW) < 0) {
                error_set_errno(error, errno, "cannot link to '%s'", target);
                return false;
        }
        int beside = folder_of(tree, path, &name, error);
        if (beside < 0)
                return false;
        /* Of itself: removing it first would lose it. */
        if (fstatat(beside, name, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
            there.st_ino == status.st_ino && there.st_dev == status.st_dev)
                return true;
        autofd folder = make_room(tree, path, &name, error);
        if (folder < 0)
                return false;
        if (linkat(from, base, folder, name, 0) == 0)
                return true;
        error_set_errno(error, errno, "cannot link to '%s'", target);
        return false;
}

/* ---- what a file has ---- */

static bool set_owner_and_mode(const Tree *tree, const TreeNode *node, int fd, int folder,
                               const char *name, GError **error) {
        uid_t uid = (uid_t) node->uid;
        gid_t gid = (gid_t) node->gid;
        int flags = AT_SYMLINK_NOFOLLOW;
        if (tree->owners &&
            (fd >= 0 ? fchown(fd, uid, gid) : fchownat(folder, name, uid, gid, flags)) < 0) {
                error_set_errno(error, errno,
                                "cannot give it to %" G_GINT64_FORMAT ":%" G_GINT64_FORMAT,
                                node->uid, node->gid);
                return false;
        }
        /* After the owner: changing that takes away the set-user-id bit. */
        if (node->is_link ||
            (fd >= 0 ? fchmod(fd, node->mode) : fchmodat(folder, name, node->mode, 0)) == 0)
                return true;
        error_set_errno(error, errno, "cannot set its mode");
        return false;
}

/* Through /proc for what has no descriptor that attributes can be set on. */
static void set_attributes(const TreeNode *node, int fd, int folder, const char *name) {
        g_autofree char *path = g_strdup_printf("/proc/self/fd/%d/%s", folder, name);
        for (guint i = 0; node->names && i < node->names->len; i++) {
                gsize size;
                const void *value = g_bytes_get_data(node->values->pdata[i], &size);
                if (fd >= 0)
                        (void) !fsetxattr(fd, node->names->pdata[i], value, size, 0);
                else
                        (void) !lsetxattr(path, node->names->pdata[i], value, size, 0);
        }
}

bool tree_dress(Tree *tree, const TreeNode *node, int fd, GError **error) {
        const char *name;
        int folder = folder_of(tree, node->path, &name, error);
        if (folder < 0)
                return false;
        name = *name ? name : ".";
        if (!set_owner_and_mode(tree, node, fd, folder, name, error))
                return false;
        set_attributes(node, fd, folder, name);
        const struct timespec times[] = { node->modified, node->modified };
        if ((fd >= 0 ? futimens(fd, times) : utimensat(folder, name, times, AT_SYMLINK_NOFOLLOW)) ==
            0)
                return true;
        error_set_errno(error, errno, "cannot set its time");
        return false;
}

bool tree_set_time(Tree *tree, const char *path, const struct timespec *time, GError **error) {
        const struct timespec times[] = { *time, *time };
        autofd fd = open_in_root(tree, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
        if (fd < 0 || futimens(fd, times) == 0)
                return true;
        error_set_errno(error, errno, "cannot set the time of '%s'", path);
        return false;
}
