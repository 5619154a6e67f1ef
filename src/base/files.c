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

static bool write_temporary(const char *path, const void *data, size_t length, int mode,
                            GError **error) {
        autofd fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);

        if (fd < 0 || fchmod(fd, (mode_t) mode) < 0) {
                error_set_errno(error, errno, "create %s", path);
                return false;
        }
        if (!write_all(fd, data, length, error)) {
                g_prefix_error(error, "%s: ", path);
                return false;
        }
        if (fsync(fd) < 0) {
                error_set_errno(error, errno, "fsync %s", path);
                return false;
        }
        return true;
}

bool file_write(const char *path, const void *data, size_t length, int mode, GError **error) {
        g_autofree char *temporary = g_strdup_printf("%s.%d.tmp", path, (int) gettid());
        g_autofree char *folder = g_path_get_dirname(path);

        if (!write_temporary(temporary, data, length, mode, error)) {
                unlink(temporary);
                return false;
        }
        if (rename(temporary, path) < 0) {
                error_set_errno(error, errno, "rename %s", path);
                unlink(temporary);
                return false;
        }
        autofd directory = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (directory < 0 || fsync(directory) < 0) {
                error_set_errno(error, errno, "fsync %s", folder);
                return false;
        }
        return true;
}

/* ---- directories ---- */

bool directory_make(const char *path, int mode, GError **error) {
        if (g_mkdir_with_parents(path, mode) == 0)
                return true;
        error_set_errno(error, errno, "make directory %s", path);
        return false;
}

/* `name` in `at`, on the device of the tree's root: another one is a mount and is left alone. */
static bool remove_entry(int at, const char *name, dev_t device, GError **error);

static bool remove_children(int fd, dev_t device, GError **error) {
        int duplicate = fcntl(fd, F_DUPFD_CLOEXEC, 0);
        DIR *directory = duplicate >= 0 ? fdopendir(duplicate) : NULL;
        bool removed = true;
        const struct dirent *entry;

        if (!directory) {
                error_set_errno(error, errno, "open directory");
                fd_close(duplicate);
                return false;
        }
        rewinddir(directory);
        while (removed && (entry = readdir(directory)))
                if (!g_str_equal(entry->d_name, ".") && !g_str_equal(entry->d_name, ".."))
                        removed = remove_entry(fd, entry->d_name, device, error);
        closedir(directory);
        return removed;
}

static bool remove_entry(int at, const char *name, dev_t device, GError **error) {
        if (unlinkat(at, name, 0) == 0 || errno == ENOENT)
                return true;
        if (errno != EISDIR && errno != EPERM) {
                error_set_errno(error, errno, "remove %s", name);
                return false;
        }
        autofd fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        struct stat status;
        if (fd < 0 || fstat(fd, &status) < 0) {
                error_set_errno(error, errno, "remove %s", name);
                return false;
        }
        if (status.st_dev != device) {
                g_set_error(error, ERROR, ERROR_BUSY, "remove %s: something is mounted there",
                            name);
                return false;
        }
        if (!remove_children(fd, device, error))
                return false;
        if (unlinkat(at, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
                return true;
        error_set_errno(error, errno, "remove %s", name);
        return false;
}

bool directory_remove(const char *path, GError **error) {
        struct stat status;

        if (lstat(path, &status) < 0) {
                if (errno == ENOENT)
                        return true;
                error_set_errno(error, errno, "remove %s", path);
                return false;
        }
        return remove_entry(AT_FDCWD, path, status.st_dev, error);
}

int open_beneath(int at, const char *name, int flags, int mode, GError **error) {
        struct open_how how = {
                .flags = (uint64_t) (unsigned) (flags | O_CLOEXEC),
                .mode = (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE
                                ? (uint64_t) (unsigned) mode
                                : 0,
                .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS,
        };
        long fd = syscall(SYS_openat2, at, name, &how, sizeof how);

        if (fd < 0) {
                error_set_errno(error, errno, "open %s", name);
                return -1;
        }
        return (int) fd;
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
