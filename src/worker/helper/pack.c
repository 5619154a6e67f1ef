#include "worker/helper/packing.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <unistd.h>

/* Of archive and output alike. */
#define BLOCK_SIZE (128 * 1024)
/* Directories in one another, through links too: where a loop of links ends. */
#define DEPTH_MAX 256

typedef struct archive ArchiveDisk;
typedef struct archive ArchiveWriter;
typedef struct archive_entry_linkresolver LinkResolver;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ArchiveDisk, archive_read_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ArchiveWriter, archive_write_free)
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

static bool copy_data(ArchiveDisk *disk, ArchiveWriter *writer, GError **error) {
        static const char zeros[4096];
        const void *block;
        size_t size;
        la_int64_t offset, at = 0;

        for (;;) {
                int status = archive_read_data_block(disk, &block, &size, &offset);
                if (status == ARCHIVE_EOF)
                        return true;
                if (status < ARCHIVE_WARN)
                        return archive_failed(disk, error);
                for (; at < offset; at += MIN((la_int64_t) sizeof zeros, offset - at))
                        if (archive_write_data(
                                    writer, zeros,
                                    (size_t) MIN((la_int64_t) sizeof zeros, offset - at)) < 0)
                                return archive_failed(writer, error);
                if (size > 0 && archive_write_data(writer, block, size) < 0)
                        return archive_failed(writer, error);
                at += (la_int64_t) size;
        }
}

static bool pack_entry(ArchiveDisk *disk, ArchiveWriter *writer, LinkResolver *links,
                       struct archive_entry *entry, bool follow_symlinks, GError **error) {
        struct archive_entry *spare = NULL;

        if (archive_entry_filetype(entry) == AE_IFSOCK)
                return true; /* no archive holds one; tar skips them too */
        if (follow_symlinks && archive_entry_filetype(entry) == AE_IFLNK)
                return true; /* it leads nowhere */
        archive_attributes_clean(entry);
        archive_entry_linkify(links, &entry, &spare);
        if (archive_write_header(writer, entry) < ARCHIVE_WARN)
                return archive_failed(writer, error);
        if (archive_entry_size(entry) > 0 && !copy_data(disk, writer, error))
                return false;
        if (archive_write_finish_entry(writer) < ARCHIVE_WARN)
                return archive_failed(writer, error);
        return true;
}

static size_t name_depth(const char *name) {
        size_t depth = 0;
        for (; *name; name++)
                depth += *name == '/';
        return depth;
}

static bool pack_tree(const PackSpec *spec, ArchiveDisk *disk, ArchiveWriter *writer,
                      GError **error) {
        g_autoptr(LinkResolver) links = archive_entry_linkresolver_new();
        archive_entry_linkresolver_set_strategy(links, archive_format(writer));

        for (;;) {
                struct archive_entry *entry = archive_entry_new();
                int status = archive_read_next_header2(disk, entry);
                bool done = true;
                if (status >= ARCHIVE_WARN && status != ARCHIVE_EOF) {
                        if (name_depth(archive_entry_pathname(entry)) < DEPTH_MAX)
                                archive_read_disk_descend(disk);
                        done = pack_entry(disk, writer, links, entry, spec->follow_symlinks, error);
                } else if (status != ARCHIVE_EOF) {
                        done = archive_failed(disk, error);
                }
                archive_entry_free(entry);
                if (!done)
                        return false;
                if (status == ARCHIVE_EOF)
                        break;
        }
        return archive_write_close(writer) >= ARCHIVE_WARN || archive_failed(writer, error);
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
        if (archive_read_disk_open(disk, spec->name) < ARCHIVE_WARN)
                return archive_failed(disk, error);
        return pack_tree(spec, disk, writer, error);
}
