#include "resources/registry_unpack.h"

#include "base/files.h"
#include "resources/registry_tree.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <linux/limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define WHITEOUT ".wh."
#define OPAQUE ".wh..wh..opq"

typedef struct archive ArchiveReader;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ArchiveReader, archive_read_free)

struct Unpacker {
        Tree *tree;
        GHashTable *made; /* set of paths that this layer made: its opaque marks spare them */
        GHashTable *
                directories; /* path → struct timespec: set last, for what is made in one changes its time */
};

Unpacker *unpacker_new(int root) {
        Unpacker *unpacker = g_new0(Unpacker, 1);
        unpacker->tree = tree_new(root);
        unpacker->made = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
        unpacker->directories = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
        return unpacker;
}

void unpacker_free(Unpacker *unpacker) {
        if (!unpacker)
                return;
        tree_free(unpacker->tree);
        g_hash_table_unref(unpacker->made);
        g_hash_table_unref(unpacker->directories);
        g_free(unpacker);
}

/* ---- names ---- */

char *layer_path_clean(const char *name) {
        g_autoptr(GString) path = g_string_new(NULL);
        for (const char *part = name; *part;) {
                size_t length = strcspn(part, "/");
                bool here = length == 0 || (length == 1 && *part == '.');
                if (length == 2 && strncmp(part, "..", 2) == 0)
                        return NULL;
                if (!here) {
                        if (path->len > 0)
                                g_string_append_c(path, '/');
                        g_string_append_len(path, part, (gssize) length);
                }
                part += length;
                part += *part == '/';
        }
        return path->len < PATH_MAX ? g_string_free(g_steal_pointer(&path), false) : NULL;
}

/* Returns new; NULL with an error. */
static char *entry_path(const char *name, const char *utf8, GError **error) {
        const char *known = name ? name : utf8;
        char *path = known ? layer_path_clean(known) : NULL;
        if (!path)
                g_set_error(error, ERROR, ERROR_INVALID,
                            "an entry's name leads out of the layer, or cannot be read: %.200s",
                            known ? known : "");
        return path;
}

/* ---- one entry ---- */

static struct timespec entry_time(struct archive_entry *entry) {
        return (struct timespec){ archive_entry_mtime(entry), archive_entry_mtime_nsec(entry) };
}

static bool is_spared(const char *path, void *data) {
        return g_hash_table_contains(data, path);
}

static bool apply_whiteout(Unpacker *unpacker, const char *path, const char *base, GError **error) {
        g_autofree char *folder = g_strndup(path, (size_t) (base - path) - (base > path));
        if (g_str_equal(base, OPAQUE))
                return tree_empty(unpacker->tree, folder, is_spared, unpacker->made, error);
        const char *hidden = base + strlen(WHITEOUT);
        if (!*hidden || g_str_equal(hidden, ".") || g_str_equal(hidden, "..")) {
                g_set_error(error, ERROR, ERROR_INVALID, "invalid whiteout");
                return false;
        }
        g_autofree char *target = g_strconcat(folder, *folder ? "/" : "", hidden, NULL);
        return tree_remove(unpacker->tree, target, error);
}

/* overlayfs keeps its own marks as attributes: an image must not speak to the file system it lies in. */
static bool attribute_allowed(const char *name) {
        return g_str_has_prefix(name, "user.") || g_str_equal(name, "security.capability");
}

static void add_attributes(struct archive_entry *entry, GPtrArray *names, GPtrArray *values) {
        const char *name;
        const void *value;
        size_t size;
        archive_entry_xattr_reset(entry);
        while (archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK)
                if (attribute_allowed(name)) {
                        g_ptr_array_add(names, g_strdup(name));
                        g_ptr_array_add(values, g_bytes_new(value, size));
                }
}

static bool write_content(ArchiveReader *reader, int fd, GError **error) {
        const void *block;
        size_t size;
        la_int64_t offset, end = 0;
        for (;;) {
                int status = archive_read_data_block(reader, &block, &size, &offset);
                if (status == ARCHIVE_EOF)
                        return true;
                if (status < ARCHIVE_WARN) {
                        g_set_error(error, ERROR, ERROR_INVALID, "%s",
                                    archive_error_string(reader));
                        return false;
                }
                if (offset != end && lseek(fd, offset, SEEK_SET) < 0) { /* a hole */
                        error_set_errno(error, errno, "cannot write");
                        return false;
                }
                if (!write_all(fd, block, size, error))
                        return false;
                end = offset + (la_int64_t) size;
        }
}

static bool make_file(Unpacker *unpacker, ArchiveReader *reader, const TreeNode *node, int64_t size,
                      GError **error) {
        autofd fd = tree_create(unpacker->tree, node->path, error);
        if (fd < 0)
                return false;
        if (size > 0 && !write_content(reader, fd, error))
                return false;
        if (size > 0 && ftruncate(fd, size) < 0) { /* it may end in a hole */
                error_set_errno(error, errno, "cannot write");
                return false;
        }
        return tree_dress(unpacker->tree, node, fd, error);
}

static bool make_entry(Unpacker *unpacker, ArchiveReader *reader, struct archive_entry *entry,
                       const TreeNode *node, GError **error) {
        Tree *tree = unpacker->tree;
        const char *target;
        switch (archive_entry_filetype(entry)) {
        case AE_IFREG:
                return make_file(unpacker, reader, node, archive_entry_size(entry), error);
        case AE_IFDIR: {
                struct timespec *time = g_new(struct timespec, 1);
                *time = node->modified;
                g_hash_table_replace(unpacker->directories, g_strdup(node->path), time);
                return tree_directory(tree, node->path, error) && tree_dress(tree, node, -1, error);
        }
        case AE_IFLNK:
                target = archive_entry_symlink(entry) ? archive_entry_symlink(entry)
                                                      : archive_entry_symlink_utf8(entry);
                return tree_symlink(tree, node->path, target ? target : "", error) &&
                       tree_dress(tree, node, -1, error);
        case AE_IFIFO:
                return tree_fifo(tree, node->path, error) && tree_dress(tree, node, -1, error);
        case AE_IFCHR:
        case AE_IFBLK:
                return true;
        default:
                g_set_error(error, ERROR, ERROR_INVALID, "unknown kind of entry");
                return false;
        }
}

static bool make_hardlink(Unpacker *unpacker, const char *path, struct archive_entry *entry,
                          GError **error) {
        g_autofree char *target = entry_path(archive_entry_hardlink(entry),
                                             archive_entry_hardlink_utf8(entry), error);
        return target && tree_hardlink(unpacker->tree, path, target, error);
}

static bool apply(Unpacker *unpacker, ArchiveReader *reader, struct archive_entry *entry,
                  const char *path, GError **error) {
        const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
        if (g_str_has_prefix(base, WHITEOUT))
                return apply_whiteout(unpacker, path, base, error);
        g_hash_table_add(unpacker->made, g_strdup(path));
        if (archive_entry_hardlink(entry) || archive_entry_hardlink_utf8(entry))
                return make_hardlink(unpacker, path, entry, error);
        g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
        g_autoptr(GPtrArray)
                values = g_ptr_array_new_with_free_func((GDestroyNotify) g_bytes_unref);
        add_attributes(entry, names, values);
        const TreeNode node = {
                .path = path,
                .mode = archive_entry_perm(entry),
                .is_link = archive_entry_filetype(entry) == AE_IFLNK,
                .uid = archive_entry_uid(entry),
                .gid = archive_entry_gid(entry),
                .modified = entry_time(entry),
                .names = names,
                .values = values,
        };
        return make_entry(unpacker, reader, entry, &node, error);
}

/* ---- a layer ---- */

/* What tar archives are made of. */
#define BLOCK_SIZE 512

typedef struct {
        TarSource source;
        void *data;
        GError *error;
        size_t over; /* bytes beyond the last whole block */
} Input;

/*
 * umoci ends a layer with the last byte of its last file, and Go's reader takes that: what the block lacks is added
 * here. A layer that was cut is known by its digest.
 */
static la_ssize_t input_read(struct archive *archive, void *data, const void **ret) {
        static const char padding[BLOCK_SIZE];
        Input *input = data;
        ssize_t length = input->error ? -1 : input->source(input->data, ret, &input->error);
        if (length < 0)
                archive_set_error(archive, EIO, "failed to read the layer");
        if (length == 0 && input->over > 0) {
                *ret = padding;
                length = (ssize_t) (BLOCK_SIZE - input->over);
        }
        if (length > 0)
                input->over = (input->over + (size_t) length) % BLOCK_SIZE;
        return length;
}

static bool fail(ArchiveReader *reader, Input *input, GError **error) {
        if (input->error)
                g_propagate_error(error, g_steal_pointer(&input->error));
        else
                g_set_error(error, ERROR, ERROR_INVALID, "bad layer: %s",
                            archive_error_string(reader));
        return false;
}

static bool apply_entries(Unpacker *unpacker, ArchiveReader *reader, Input *input, GError **error) {
        struct archive_entry *entry;
        for (;;) {
                int status = archive_read_next_header(reader, &entry);
                if (status == ARCHIVE_EOF)
                        return true;
                if (status < ARCHIVE_WARN)
                        return fail(reader, input, error);
                g_autofree char *path = entry_path(archive_entry_pathname(entry),
                                                   archive_entry_pathname_utf8(entry), error);
                if (!path)
                        return false;
                if (apply(unpacker, reader, entry, path, error))
                        continue;
                if (input->error) { /* the reason behind it */
                        g_clear_error(error);
                        return fail(reader, input, error);
                }
                g_prefix_error(error, "%s: ", path);
                return false;
        }
}

/* To its end: only there the digest is known to be right. */
static bool drain(Input *input, GError **error) {
        const void *bytes;
        ssize_t length;
        do
                length = input->source(input->data, &bytes, error);
        while (length > 0);
        return length == 0;
}

static bool set_directory_times(Unpacker *unpacker, GError **error) {
        GHashTableIter iterator;
        void *path, *time;
        g_hash_table_iter_init(&iterator, unpacker->directories);
        while (g_hash_table_iter_next(&iterator, &path, &time))
                if (!tree_set_time(unpacker->tree, path, time, error))
                        return false;
        return true;
}

bool unpacker_layer(Unpacker *unpacker, TarSource source, void *data, GError **error) {
        g_autoptr(ArchiveReader) reader = archive_read_new();
        Input input = { .source = source, .data = data };
        g_hash_table_remove_all(unpacker->made);
        g_hash_table_remove_all(unpacker->directories);
        archive_read_support_format_tar(reader);
        archive_read_support_format_empty(reader);
        if (archive_read_open(reader, &input, NULL, input_read, NULL) < ARCHIVE_WARN)
                return fail(reader, &input, error);
        return apply_entries(unpacker, reader, &input, error) && drain(&input, error) &&
               set_directory_times(unpacker, error);
}
