#include "worker/helper/helper.h"
#include "worker/helper/packing.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define READ_SIZE (128 * 1024)
/* How much is written between two looks at the free space. */
#define SPACE_STEP (16 * 1024 * 1024)

typedef struct archive ArchiveReader;
typedef struct archive ArchiveDisk;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ArchiveReader, archive_read_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ArchiveDisk, archive_write_free)

/* ---- one entry ---- */

static bool has_dotdot(const char *path) {
        for (const char *part = path; *part; part += strcspn(part, "/"), part += strspn(part, "/"))
                if (strncmp(part, "..", 2) == 0 && (part[2] == '/' || part[2] == '\0'))
                        return true;
        return false;
}

/* Leading slashes go, as tar does. */
static const char *relative_name(const char *path, GError **error) {
        if (!path) {
                g_set_error(error, ERROR, ERROR_INVALID, "an entry of the archive has no name");
                return NULL;
        }
        path += strspn(path, "/");
        if (has_dotdot(path) || strlen(path) >= PATH_MAX) {
                g_set_error(error, ERROR, ERROR_INVALID,
                            "an entry's name leads out of the archive or is too long: %.200s",
                            path);
                return NULL;
        }
        return *path ? path : ".";
}

static void clean_owner(struct archive_entry *entry) {
        int64_t uid = archive_entry_uid(entry), gid = archive_entry_gid(entry);
        bool foreign = false;
        if (uid < 0 || uid >= HELPER_ID_COUNT) {
                archive_entry_set_uid(entry, UNPACK_NOBODY);
                foreign = true;
        }
        if (gid < 0 || gid >= HELPER_ID_COUNT) {
                archive_entry_set_gid(entry, UNPACK_NOBODY);
                foreign = true;
        }
        if (foreign)
                archive_entry_set_perm(entry, archive_entry_perm(entry) & 01777);
}

/* trusted.overlay.* would let an archive speak to the overlay it lies in. */
static bool attribute_allowed(const char *name) {
        return g_str_has_prefix(name, "user.") || strcmp(name, "security.capability") == 0;
}

void archive_attributes_clean(struct archive_entry *entry) {
        g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
        g_autoptr(GPtrArray)
                values = g_ptr_array_new_with_free_func((GDestroyNotify) g_bytes_unref);
        const char *name;
        const void *value;
        size_t size;

        archive_entry_acl_clear(entry);
        archive_entry_set_fflags(entry, 0, 0);
        if (archive_entry_xattr_reset(entry) == 0)
                return;
        while (archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK)
                if (attribute_allowed(name)) {
                        g_ptr_array_add(names, g_strdup(name));
                        g_ptr_array_add(values, g_bytes_new(value, size));
                }
        archive_entry_xattr_clear(entry);
        for (guint i = 0; i < names->len; i++) {
                value = g_bytes_get_data(values->pdata[i], &size);
                archive_entry_xattr_add_entry(entry, names->pdata[i], value, size);
        }
}

bool unpack_entry_clean(struct archive_entry *entry, const UnpackSpec *spec, GError **error) {
        /* Copies: the setters free what the getters lent. */
        g_autofree char *name = g_strdup(relative_name(archive_entry_pathname(entry), error));
        if (!name)
                return false;
        archive_entry_set_pathname(entry, name);

        if (archive_entry_hardlink(entry)) {
                g_autofree char *target = g_strdup(
                        relative_name(archive_entry_hardlink(entry), error));
                if (!target)
                        return false;
                archive_entry_set_hardlink(entry, target);
        }

        mode_t type = archive_entry_filetype(entry);
        bool device = type == AE_IFCHR || type == AE_IFBLK;
        bool whiteout = type == AE_IFCHR && archive_entry_rdev(entry) == 0;
        if (whiteout || (device && !spec->devices)) {
                g_set_error(error, ERROR, ERROR_INVALID, "the archive holds a device node: %s",
                            name);
                return false;
        }
        if (!spec->any_owner)
                clean_owner(entry);
        archive_attributes_clean(entry);
        return true;
}

/* ---- the whole ---- */

typedef struct {
        int fd;
        char buffer[READ_SIZE];
} Source;

static la_ssize_t source_read(struct archive *archive, void *data, const void **ret) {
        Source *source = data;
        ssize_t length;
        do
                length = read(source->fd, source->buffer, sizeof source->buffer);
        while (length < 0 && errno == EINTR);
        if (length < 0)
                archive_set_error(archive, errno, "failed to read the stream");
        *ret = source->buffer;
        return length;
}

static bool archive_failed(struct archive *archive, ErrorCode code, GError **error) {
        const char *text = archive_error_string(archive);
        if (archive_errno(archive) == ENOSPC || archive_errno(archive) == EDQUOT)
                code = ERROR_IO;
        g_set_error(error, ERROR, (int) code, "failed to unpack: %s", text ? text : "bad archive");
        return false;
}

static bool check_space(uint64_t reserve, GError **error) {
        struct statvfs status;
        if (reserve == 0 || statvfs(".", &status) < 0 ||
            (uint64_t) status.f_bavail * status.f_frsize > reserve)
                return true;
        g_set_error(error, ERROR, ERROR_IO, "failed to unpack: the disk is nearly full");
        return false;
}

static bool copy_data(ArchiveReader *reader, ArchiveDisk *disk, uint64_t reserve,
                      uint64_t *unchecked, GError **error) {
        const void *block;
        size_t size;
        la_int64_t offset;

        for (;;) {
                int status = archive_read_data_block(reader, &block, &size, &offset);
                if (status == ARCHIVE_EOF)
                        return true;
                if (status < ARCHIVE_WARN)
                        return archive_failed(reader, ERROR_INVALID, error);
                if (archive_write_data_block(disk, block, size, offset) < ARCHIVE_WARN)
                        return archive_failed(disk, ERROR_IO, error);
                *unchecked += size;
                if (*unchecked >= SPACE_STEP) {
                        *unchecked = 0;
                        if (!check_space(reserve, error))
                                return false;
                }
        }
}

/* The directory we are in, which libarchive would not touch: it exists. */
typedef struct {
        bool known;
        uid_t uid;
        gid_t gid;
        mode_t mode;
        struct timespec modified;
} Root;

static bool is_root(const struct archive_entry *entry) {
        const char *name = archive_entry_pathname((struct archive_entry *) entry);
        return name[strspn(name, "./")] == '\0';
}

static void note_root(struct archive_entry *entry, Root *ret) {
        *ret = (Root){ .known = true,
                       .uid = (uid_t) archive_entry_uid(entry),
                       .gid = (gid_t) archive_entry_gid(entry),
                       .mode = archive_entry_perm(entry),
                       .modified = { archive_entry_mtime(entry),
                                     archive_entry_mtime_nsec(entry) } };
}

/* Last, for whatever is made in it changes its time. */
static bool restore_root(const Root *root, GError **error) {
        struct timespec times[] = { root->modified, root->modified };
        if (!root->known || (chown(".", root->uid, root->gid) == 0 && chmod(".", root->mode) == 0 &&
                             utimensat(AT_FDCWD, ".", times, 0) == 0))
                return true;
        error_set_errno(error, errno, "failed to unpack: failed to set the owner of the root");
        return false;
}

static bool unpack_entries(const UnpackSpec *spec, ArchiveReader *reader, ArchiveDisk *disk,
                           GError **error) {
        struct archive_entry *entry;
        uint64_t unchecked = 0;
        Root root = { 0 };

        if (!check_space(spec->disk_reserve, error))
                return false;
        for (size_t count = 0;; count++) {
                int status = archive_read_next_header(reader, &entry);
                if (status == ARCHIVE_EOF)
                        break;
                if (status < ARCHIVE_WARN)
                        return archive_failed(reader, ERROR_INVALID, error);
                if (count >= UNPACK_ENTRIES_MAX) {
                        g_set_error(error, ERROR, ERROR_INVALID,
                                    "failed to unpack: more than %d entries", UNPACK_ENTRIES_MAX);
                        return false;
                }
                if (!unpack_entry_clean(entry, spec, error))
                        return false;
                if (archive_entry_filetype(entry) == AE_IFDIR && is_root(entry)) {
                        note_root(entry, &root);
                        continue;
                }
                if (archive_write_header(disk, entry) < ARCHIVE_WARN)
                        return archive_failed(disk, ERROR_INVALID, error);
                if (archive_entry_size_is_set(entry) && archive_entry_size(entry) > 0 &&
                    !copy_data(reader, disk, spec->disk_reserve, &unchecked, error))
                        return false;
                if (archive_write_finish_entry(disk) < ARCHIVE_WARN)
                        return archive_failed(disk, ERROR_IO, error);
        }
        if (archive_write_close(disk) < ARCHIVE_WARN)
                return archive_failed(disk, ERROR_IO, error);
        return restore_root(&root, error);
}

/* To its end, so that the sender is not cut off in the padding behind the archive. */
static void drain(Source *source) {
        ssize_t length;
        do
                length = read(source->fd, source->buffer, sizeof source->buffer);
        while (length > 0 || (length < 0 && errno == EINTR));
}

bool unpack(const UnpackSpec *spec, GError **error) {
        g_autoptr(ArchiveReader) reader = archive_read_new();
        g_autoptr(ArchiveDisk) disk = archive_write_disk_new();
        g_autofree Source *source = g_new0(Source, 1);

        source->fd = spec->fd;
        archive_read_support_format_tar(reader);
        archive_read_support_format_empty(reader);
        if (spec->encoding == VOLUME_ENCODING_GZIP)
                archive_read_support_filter_gzip(reader);
        else if (spec->encoding == VOLUME_ENCODING_ZSTD)
                archive_read_support_filter_zstd(reader);
        /* Existing files are replaced, as tar does; links in the way are followed, and lead no
         * further than the root of this process. */
        archive_write_disk_set_options(disk, ARCHIVE_EXTRACT_OWNER | ARCHIVE_EXTRACT_PERM |
                                                     ARCHIVE_EXTRACT_TIME | ARCHIVE_EXTRACT_XATTR |
                                                     ARCHIVE_EXTRACT_UNLINK |
                                                     ARCHIVE_EXTRACT_SECURE_NODOTDOT);
        if (archive_read_open(reader, source, NULL, source_read, NULL) < ARCHIVE_WARN)
                return archive_failed(reader, ERROR_INVALID, error);
        if (!unpack_entries(spec, reader, disk, error))
                return false;
        drain(source);
        return true;
}
