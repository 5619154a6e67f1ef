#include "base/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

void fd_close(int fd) {
        int saved = errno;

        if (fd >= 0)
                close(fd);
        errno = saved;
}

bool write_all(int fd, const void *data, size_t length, GError **error) {
        const char *cursor = data;

        while (length > 0) {
                ssize_t count = write(fd, cursor, length);
                if (count < 0 && errno == EINTR)
                        continue;
                if (count < 0) {
                        error_set_errno(error, errno, "write");
                        return false;
                }
                cursor += count;
                length -= (size_t) count;
        }
        return true;
}

bool read_exactly(int fd, void *ret, size_t length, GError **error) {
        char *cursor = ret;

        while (length > 0) {
                ssize_t count = read(fd, cursor, length);
                if (count < 0 && errno == EINTR)
                        continue;
                if (count < 0) {
                        error_set_errno(error, errno, "read");
                        return false;
                }
                if (count == 0) {
                        g_set_error(error, ERROR, ERROR_PROTOCOL, "unexpected end of file");
                        return false;
                }
                cursor += count;
                length -= (size_t) count;
        }
        return true;
}

/* ---- whole files ---- */

static bool read_rest(int fd, const char *path, size_t limit, GString *text, GError **error) {
        for (;;) {
                char bytes[16384];
                ssize_t count = read(fd, bytes, sizeof bytes);
                if (count < 0 && errno == EINTR)
                        continue;
                if (count < 0) {
                        error_set_errno(error, errno, "read %s", path);
                        return false;
                }
                if (count == 0)
                        return true;
                if (text->len + (size_t) count > limit) {
                        g_set_error(error, ERROR, ERROR_LIMIT, "%s is larger than %zu bytes", path,
                                    limit);
                        return false;
                }
                g_string_append_len(text, bytes, count);
        }
}

char *file_read(const char *path, size_t limit, size_t *ret_length, GError **error) {
        autofd fd = open(path, O_RDONLY | O_CLOEXEC);
        g_autoptr(GString) text = g_string_new(NULL);

        if (fd < 0) {
                error_set_errno(error, errno, "open %s", path);
                return NULL;
        }
        if (!read_rest(fd, path, limit, text, error))
                return NULL;
        if (ret_length)
                *ret_length = text->len;
        return g_string_free(g_steal_pointer(&text), FALSE);
}

typedef struct {
        const void *data;
        size_t length;
        int mode;
        bool sync;
} Content;

static bool write_temporary(const char *path, const Content *content, GError **error) {
        autofd fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
                         content->mode);

        if (fd < 0 || fchmod(fd, (mode_t) content->mode) < 0) {
                error_set_errno(error, errno, "create %s", path);
                return false;
        }
        if (!write_all(fd, content->data, content->length, error)) {
                g_prefix_error(error, "%s: ", path);
                return false;
        }
        if (content->sync && fsync(fd) < 0) {
                error_set_errno(error, errno, "fsync %s", path);
                return false;
        }
        return true;
}

static bool replace(const char *path, const Content *content, GError **error) {
        g_autofree char *temporary = g_strdup_printf("%s.%d.tmp", path, (int) gettid());

        if (!write_temporary(temporary, content, error)) {
                unlink(temporary);
                return false;
        }
        if (rename(temporary, path) < 0) {
                error_set_errno(error, errno, "rename %s", path);
                unlink(temporary);
                return false;
        }
        return true;
}

bool file_replace(const char *path, const void *data, size_t length, int mode, GError **error) {
        const Content content = { .data = data, .length = length, .mode = mode };

        return replace(path, &content, error);
}

bool file_write(const char *path, const void *data, size_t length, int mode, GError **error) {
        const Content content = { .data = data, .length = length, .mode = mode, .sync = true };
        g_autofree char *folder = g_path_get_dirname(path);

        if (!replace(path, &content, error))
                return false;
        autofd directory = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (directory < 0 || fsync(directory) < 0) {
                error_set_errno(error, errno, "fsync %s", folder);
                return false;
        }
        return true;
}

static bool copy_content(int from, int to, int64_t *ret_bytes, GError **error) {
        char bytes[65536];

        *ret_bytes = 0;
        for (;;) {
                ssize_t count = read(from, bytes, sizeof bytes);
                if (count < 0 && errno == EINTR)
                        continue;
                if (count < 0) {
                        error_set_errno(error, errno, "read");
                        return false;
                }
                if (count == 0)
                        return true;
                if (!write_all(to, bytes, (size_t) count, error))
                        return false;
                *ret_bytes += count;
        }
}

bool file_copy(const char *from, const char *to, int64_t *ret_bytes, GError **error) {
        autofd source = open(from, O_RDONLY | O_CLOEXEC);
        struct stat status;
        int64_t bytes;

        if (source < 0 || fstat(source, &status) < 0) {
                error_set_errno(error, errno, "open %s", from);
                return false;
        }
        autofd target = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (target < 0) {
                error_set_errno(error, errno, "create %s", to);
                return false;
        }
        if (!copy_content(source, target, &bytes, error)) {
                g_prefix_error(error, "copy %s to %s: ", from, to);
                return false;
        }
        (void) !fchown(target, status.st_uid, status.st_gid); /* only root may */
        if (fchmod(target, status.st_mode & 07777) < 0) {
                error_set_errno(error, errno, "chmod %s", to);
                return false;
        }
        *ret_bytes = bytes;
        return true;
}

bool disk_sync(const char *path, GError **error) {
        autofd fd = open(path, O_RDONLY | O_CLOEXEC);

        if (fd >= 0 && syncfs(fd) == 0)
                return true;
        error_set_errno(error, errno, "sync %s", path);
        return false;
}

/* ---- directories ---- */

bool directory_make(const char *path, int mode, GError **error) {
        if (g_mkdir_with_parents(path, mode) == 0)
                return true;
        error_set_errno(error, errno, "make directory %s", path);
        return false;
}

/* Directories held open at once, and levels of recursion: what is nested deeper is moved up first. */
#define REMOVE_DEPTH_MAX 32
/* Of an open that the kernel gives up because something was renamed meanwhile. */
#define OPEN_TRIES_MAX 64

static int open_resolved(int at, const char *name, struct open_how *how) {
        long fd = -1;

        for (int tries = 0; tries < OPEN_TRIES_MAX; tries++) {
                fd = syscall(SYS_openat2, at, name, how, sizeof *how);
                if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
                        break;
        }
        return (int) fd;
}

typedef struct {
        int root;       /* of the tree; -1 until it is open */
        unsigned names; /* tried for what was moved there */
        bool moved;     /* something was since the last look */
} Removal;

static bool remove_entry(Removal *removal, int at, const char *name, unsigned depth,
                         GError **error);

static bool fail_remove(const char *name, GError **error) {
        if (errno == EXDEV || errno == EBUSY)
                g_set_error(error, ERROR, ERROR_BUSY, "remove %s: something is mounted there",
                            name);
        else
                error_set_errno(error, errno, "remove %s", name);
        return false;
}

static bool remove_children(Removal *removal, DIR *directory, unsigned depth, GError **error) {
        const struct dirent *entry;

        for (;;) {
                errno = 0;
                entry = readdir(directory);
                if (!entry)
                        break;
                if (!g_str_equal(entry->d_name, ".") && !g_str_equal(entry->d_name, "..") &&
                    !remove_entry(removal, dirfd(directory), entry->d_name, depth, error))
                        return false;
        }
        if (errno == 0)
                return true;
        error_set_errno(error, errno, "read directory");
        return false;
}

/* Into the root, whose children are looked at until nothing was moved. All there is going to be removed, so it does
 * not matter that an empty directory of that name is replaced. */
static bool move_up(Removal *removal, int at, const char *name, GError **error) {
        char target[32];

        do {
                g_snprintf(target, sizeof target, ".removing-%u", removal->names++);
                if (renameat(at, name, removal->root, target) == 0)
                        return removal->moved = true;
        } while (errno == EEXIST || errno == ENOTEMPTY || errno == ENOTDIR);
        return fail_remove(name, error);
}

/* Takes fd. */
static bool empty_directory(Removal *removal, int fd, unsigned depth, GError **error) {
        DIR *directory = fdopendir(fd);
        bool is_root = removal->root < 0, emptied;

        if (!directory) {
                error_set_errno(error, errno, "open directory");
                fd_close(fd);
                return false;
        }
        if (is_root)
                removal->root = fd;
        do {
                removal->moved = is_root ? false : removal->moved;
                rewinddir(directory);
                emptied = remove_children(removal, directory, depth + 1, error);
        } while (emptied && is_root && removal->moved);
        closedir(directory);
        return emptied;
}

static bool remove_entry(Removal *removal, int at, const char *name, unsigned depth,
                         GError **error) {
        /* Not by device numbers: a bind mount can have those of the tree. */
        struct open_how how = {
                .flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
                .resolve = RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS,
        };

        if (unlinkat(at, name, 0) == 0 || errno == ENOENT)
                return true;
        if (errno != EISDIR)
                return fail_remove(name, error);
        autofd fd = open_resolved(at, name, &how);
        if (fd < 0)
                return errno == ENOENT || fail_remove(name, error);
        if (depth >= REMOVE_DEPTH_MAX)
                return move_up(removal, at, name, error);
        if (!empty_directory(removal, fd_steal(&fd), depth, error))
                return false;
        if (unlinkat(at, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
                return true;
        return fail_remove(name, error);
}

bool directory_remove(const char *path, GError **error) {
        g_autofree char *plain = g_strdup(path);
        Removal removal = { .root = -1 };

        /* "link/" is what the link points to. */
        for (size_t length = strlen(plain); length > 0 && plain[length - 1] == '/';)
                plain[--length] = '\0';
        g_autofree char *folder = g_path_get_dirname(plain), *name = g_path_get_basename(plain);
        if (!*plain || g_str_equal(name, ".") || g_str_equal(name, "..")) {
                g_set_error(error, ERROR, ERROR_INVALID, "remove %s: the path has no last name",
                            path);
                return false;
        }
        autofd at = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (at < 0)
                return errno == ENOENT || fail_remove(path, error);
        if (remove_entry(&removal, at, name, 0, error))
                return true;
        g_prefix_error(error, "%s: ", path);
        return false;
}

int open_beneath(int at, const char *name, int flags, int mode, GError **error) {
        struct open_how how = {
                .flags = (uint64_t) (unsigned) (flags | O_CLOEXEC),
                .mode = (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE
                                ? (uint64_t) (unsigned) mode
                                : 0,
                .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
        };
        int fd = open_resolved(at, name, &how);

        if (fd < 0)
                error_set_errno(error, errno, "open %s", name);
        return fd;
}

char *program_directory(void) {
        g_autofree char *self = g_file_read_link("/proc/self/exe", NULL);

        return self ? g_path_get_dirname(self) : NULL;
}

char *program_beside(const char *const *places, int mode) {
        g_autofree char *directory = program_directory();

        for (; directory && *places; places++) {
                g_autofree char *path = g_canonicalize_filename(*places, directory);
                if (access(path, mode) == 0 && g_file_test(path, G_FILE_TEST_IS_REGULAR))
                        return g_steal_pointer(&path);
        }
        return NULL;
}

bool disk_free(const char *path, uint64_t *ret_free, uint64_t *ret_total, GError **error) {
        struct statvfs status;

        if (statvfs(path, &status) < 0) {
                error_set_errno(error, errno, "statvfs %s", path);
                return false;
        }
        *ret_free = (uint64_t) status.f_bavail * status.f_frsize;
        *ret_total = (uint64_t) status.f_blocks * status.f_frsize;
        return true;
}
