#include "worker/helper/packing.h"

#include "base/files.h"

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Of archive and output alike. */
#define BLOCK_SIZE (128 * 1024)
/* Directories in one another, through links too: where a loop of links ends. */
#define DEPTH_MAX 256

typedef struct archive ArchiveDisk;
typedef struct archive ArchiveWriter;
typedef struct archive_entry ArchiveEntry;
typedef struct archive_entry_linkresolver LinkResolver;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ArchiveDisk, archive_read_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ArchiveWriter, archive_write_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ArchiveEntry, archive_entry_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(LinkResolver, archive_entry_linkresolver_free)

static bool archive_failed(struct archive *archive, GError **error) {
        const char *text = archive_error_string(archive);
        g_set_error(error, ERROR, ERROR_IO, "failed to pack: %s", text ? text : "unknown error");
        return false;
}

static la_ssize_t target_write(struct archive *archive, void *data, const void *bytes,
                               size_t length) {
        const int *fd = data;
        ssize_t written;
        do
                written = write(*fd, bytes, length);
        while (written < 0 && errno == EINTR);
        if (written < 0)
                archive_set_error(archive, errno, "failed to write the stream");
        return written;
}

typedef struct {
        ArchiveDisk *disk; /* knows how to look at a file */
        ArchiveWriter *writer;
        LinkResolver *links;
        bool follow_symlinks;
        char *block; /* BLOCK_SIZE */
} Packer;

/* A file that shrinks meanwhile is padded by the writer, one that grows is cut. */
static bool copy_data(Packer *packer, int fd, int64_t size, GError **error) {
        while (size > 0) {
                ssize_t length = read(fd, packer->block, (size_t) MIN(size, BLOCK_SIZE));
                if (length < 0 && errno == EINTR)
                        continue;
                if (length < 0) {
                        error_set_errno(error, errno, "failed to pack: failed to read a file");
                        return false;
                }
                if (length == 0)
                        break;
                if (archive_write_data(packer->writer, packer->block, (size_t) length) < 0)
                        return archive_failed(packer->writer, error);
                size -= length;
        }
        return true;
}

static bool pack_entry(Packer *packer, const char *path, const struct stat *status, int fd,
                       GError **error) {
        g_autoptr(ArchiveEntry) entry = archive_entry_new();
        struct archive_entry *spare = NULL;

        archive_entry_set_pathname(entry, path);
        if (archive_read_disk_entry_from_file(packer->disk, entry, fd, status) < ARCHIVE_WARN)
                return archive_failed(packer->disk, error);
        archive_attributes_clean(entry);
        archive_entry_linkify(packer->links, &entry, &spare);
        if (archive_write_header(packer->writer, entry) < ARCHIVE_WARN)
                return archive_failed(packer->writer, error);
        if (archive_entry_size(entry) > 0 &&
            !copy_data(packer, fd, archive_entry_size(entry), error))
                return false;
        if (archive_write_finish_entry(packer->writer) < ARCHIVE_WARN)
                return archive_failed(packer->writer, error);
        return true;
}

static int by_name(const void *a, const void *b) {
        return strcmp(*(char *const *) a, *(char *const *) b);
}

/* Sorted: the same tree always makes the same stream. */
static GPtrArray *list_directory(const char *path, GError **error) {
        g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
        const struct dirent *entry;
        DIR *directory = opendir(path);
        if (!directory) {
                error_set_errno(error, errno, "failed to pack: failed to read %s", path);
                return NULL;
        }
        while ((entry = readdir(directory)))
                if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
                        g_ptr_array_add(names, g_strdup(entry->d_name));
        closedir(directory);
        g_ptr_array_sort(names, by_name);
        return g_steal_pointer(&names);
}

/* A directory, then all that is in it, then its next sibling: GNU tar restores the times of
 * directories only in this order. */
static bool pack_path(Packer *packer, GString *path, size_t depth, GError **error) {
        struct stat status;
        autofd fd = -1;

        if ((packer->follow_symlinks ? stat : lstat)(path->str, &status) < 0) {
                if (errno == ENOENT || (packer->follow_symlinks && errno == ELOOP))
                        return true; /* gone meanwhile, or a link that leads nowhere */
                error_set_errno(error, errno, "failed to pack: failed to look at %s", path->str);
                return false;
        }
        if (S_ISSOCK(status.st_mode))
                return true; /* no archive holds one; tar skips them too */
        if (S_ISREG(status.st_mode)) {
                int flags = O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
                fd = open(path->str, flags | (packer->follow_symlinks ? 0 : O_NOFOLLOW));
                if (fd < 0) {
                        error_set_errno(error, errno, "failed to pack: failed to open %s",
                                        path->str);
                        return false;
                }
        }
        if (!pack_entry(packer, path->str, &status, fd, error))
                return false;
        if (!S_ISDIR(status.st_mode) || depth >= DEPTH_MAX)
                return true;

        g_autoptr(GPtrArray) names = list_directory(path->str, error);
        size_t length = path->len;
        bool done = names != NULL;
        for (guint i = 0; done && i < names->len; i++) {
                g_string_append_printf(path, "/%s", (const char *) names->pdata[i]);
                done = pack_path(packer, path, depth + 1, error);
                g_string_truncate(path, length);
        }
        return done;
}

bool pack(const PackSpec *spec, GError **error) {
        g_autoptr(ArchiveDisk) disk = archive_read_disk_new();
        g_autoptr(ArchiveWriter) writer = archive_write_new();
        int fd = spec->fd;

        archive_read_disk_set_behavior(disk, ARCHIVE_READDISK_NO_ACL | ARCHIVE_READDISK_NO_FFLAGS |
                                                     ARCHIVE_READDISK_NO_SPARSE);
        if (spec->follow_symlinks)
                archive_read_disk_set_symlink_logical(disk);
        else
                archive_read_disk_set_symlink_physical(disk);

        archive_write_set_format_pax_restricted(writer);
        /* Artifacts travel once, between machines close to each other: speed before size. */
        if (spec->encoding == VOLUME_ENCODING_GZIP) {
                archive_write_add_filter_gzip(writer);
                archive_write_set_filter_option(writer, "gzip", "compression-level", "1");
                archive_write_set_filter_option(writer, "gzip", "timestamp", NULL);
        } else if (spec->encoding == VOLUME_ENCODING_ZSTD) {
                archive_write_add_filter_zstd(writer);
                archive_write_set_filter_option(writer, "zstd", "compression-level", "1");
        }
        archive_write_set_bytes_per_block(writer, BLOCK_SIZE);
        archive_write_set_bytes_in_last_block(writer, 1);
        if (archive_write_open(writer, &fd, NULL, target_write, NULL) < ARCHIVE_WARN)
                return archive_failed(writer, error);

        g_autoptr(LinkResolver) links = archive_entry_linkresolver_new();
        g_autofree char *block = g_malloc(BLOCK_SIZE);
        g_autoptr(GString) path = g_string_new(spec->name);
        Packer packer = { .disk = disk,
                          .writer = writer,
                          .links = links,
                          .follow_symlinks = spec->follow_symlinks,
                          .block = block };
        archive_entry_linkresolver_set_strategy(links, archive_format(writer));
        if (!pack_path(&packer, path, 0, error))
                return false;
        return archive_write_close(writer) >= ARCHIVE_WARN || archive_failed(writer, error);
}
