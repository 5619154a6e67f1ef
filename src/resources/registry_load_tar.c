/* Of a tar as docker save makes it: layers that are not compressed get so, into a temporary folder. */
#include "base/crypto.h"
#include "base/files.h"
#include "base/json.h"
#include "resources/registry_push.h"
#include "resources/registry_unpack.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#define MANIFEST_JSON "manifest.json"
#define CHUNK_SIZE ((size_t) 256 * 1024)
/* zlib's: any window, a gzip header. */
#define GZIP_WINDOW (15 + 16)

#define MEDIA_CONFIG "application/vnd.docker.container.image.v1+json"
#define MEDIA_LAYER "application/vnd.docker.image.rootfs.diff.tar.gzip"
#define MEDIA_LAYER_ZSTD "application/vnd.oci.image.layer.v1.tar+zstd"

typedef struct archive ArchiveReader;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ArchiveReader, archive_read_free)

/* A file of the tar, out of it. */
typedef struct {
        char *path, *digest;
        int64_t size;
        const char *media_type;
} Part;

static void part_free(void *data) {
        Part *part = data;
        g_free(part->path);
        g_free(part->digest);
        g_free(part);
}

typedef struct {
        const char *folder; /* for parts */
        Value *manifest;    /* manifest.json */
        GHashTable *links;  /* name → name: what docker save has only once */
        GHashTable *parts;  /* name → Part */
} Contents;

static void contents_clear(Contents *contents) {
        value_free(contents->manifest);
        g_hash_table_unref(contents->links);
        g_hash_table_unref(contents->parts);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Contents, contents_clear)

/* ---- one file ---- */

typedef struct {
        ArchiveReader *reader;
        int fd;
        Sha256 *sha256;
        int64_t size;
        z_stream gzip;
        bool compress;
        uint8_t output[CHUNK_SIZE];
} PartWriter;

static bool part_write(PartWriter *writer, const void *bytes, size_t length, GError **error) {
        sha256_add(writer->sha256, bytes, length);
        writer->size += (int64_t) length;
        return write_all(writer->fd, bytes, length, error);
}

static bool part_compress(PartWriter *writer, const void *bytes, size_t length, int flush,
                          GError **error) {
        writer->gzip.next_in = (void *) bytes;
        writer->gzip.avail_in = (uInt) length;
        do {
                writer->gzip.next_out = writer->output;
                writer->gzip.avail_out = CHUNK_SIZE;
                deflate(&writer->gzip, flush);
                if (!part_write(writer, writer->output, CHUNK_SIZE - writer->gzip.avail_out, error))
                        return false;
        } while (writer->gzip.avail_out == 0);
        return true;
}

static const char *media_type_of(const uint8_t *bytes, size_t length) {
        if (length >= 2 && bytes[0] == 0x1f && bytes[1] == 0x8b)
                return MEDIA_LAYER;
        return length >= 4 && memcmp(bytes, "\x28\xb5\x2f\xfd", 4) == 0 ? MEDIA_LAYER_ZSTD : NULL;
}

static bool part_copy(PartWriter *writer, Part *part, bool config, GError **error) {
        g_autofree uint8_t *buffer = g_malloc(CHUNK_SIZE);
        for (bool first = true;; first = false) {
                la_ssize_t got = archive_read_data(writer->reader, buffer, CHUNK_SIZE);
                if (got < 0) {
                        g_set_error(error, ERROR, ERROR_INVALID, "%s",
                                    archive_error_string(writer->reader));
                        return false;
                }
                if (first && !config) {
                        part->media_type = media_type_of(buffer, (size_t) got);
                        writer->compress = !part->media_type;
                        if (writer->compress)
                                part->media_type = MEDIA_LAYER;
                }
                bool ok = writer->compress ? part_compress(writer, buffer, (size_t) got,
                                                           got ? Z_NO_FLUSH : Z_FINISH, error)
                                           : part_write(writer, buffer, (size_t) got, error);
                if (!ok)
                        return false;
                if (got == 0)
                        return true;
        }
}

static Part *part_extract(const Contents *contents, ArchiveReader *reader, bool config,
                          GError **error) {
        g_autofree PartWriter *writer = g_new0(PartWriter, 1);
        g_autoptr(Sha256) sha256 = sha256_new();
        g_autofree char *name = crypto_random_hex(8);
        Part *part = g_new0(Part, 1);
        part->path = g_build_filename(contents->folder, name, NULL);
        part->media_type = MEDIA_CONFIG;
        autofd fd = open(part->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        writer->reader = reader;
        writer->fd = fd;
        writer->sha256 = sha256;
        g_assert(deflateInit2(&writer->gzip, Z_BEST_SPEED, Z_DEFLATED, GZIP_WINDOW, 8,
                              Z_DEFAULT_STRATEGY) == Z_OK);
        if (fd < 0)
                error_set_errno(error, errno, "cannot make %s", part->path);
        bool done = fd >= 0 && part_copy(writer, part, config, error);
        deflateEnd(&writer->gzip);
        if (!done) {
                part_free(part);
                return NULL;
        }
        g_autofree char *hex = sha256_hex(sha256);
        part->digest = g_strconcat("sha256:", hex, NULL);
        part->size = writer->size;
        return part;
}

/* ---- the tar ---- */

typedef bool (*EntryFn)(Contents *contents, ArchiveReader *reader, struct archive_entry *entry,
                        const char *name, GError **error);

static bool each_entry(const char *path, Contents *contents, EntryFn fn, GError **error) {
        g_autoptr(ArchiveReader) reader = archive_read_new();
        struct archive_entry *entry;
        int status;
        archive_read_support_format_tar(reader);
        status = archive_read_open_filename(reader, path, CHUNK_SIZE);
        while (status >= ARCHIVE_WARN &&
               (status = archive_read_next_header(reader, &entry)) >= ARCHIVE_WARN &&
               status != ARCHIVE_EOF) {
                const char *given = archive_entry_pathname(entry);
                g_autofree char *name = given ? layer_path_clean(given) : NULL;
                if (name && !fn(contents, reader, entry, name, error))
                        return false;
        }
        if (status == ARCHIVE_EOF)
                return true;
        g_set_error(error, ERROR, ERROR_INVALID, "%s", archive_error_string(reader));
        return false;
}

static bool read_manifest_json(Contents *contents, ArchiveReader *reader, int64_t size,
                               GError **error) {
        if (size < 0 || size > (int64_t) MANIFEST_MAX) {
                g_set_error(error, ERROR, ERROR_LIMIT, "%s is too large", MANIFEST_JSON);
                return false;
        }
        g_autofree char *text = g_malloc0((size_t) size + 1);
        if (archive_read_data(reader, text, (size_t) size) != size) {
                g_set_error(error, ERROR, ERROR_INVALID, "%s breaks off", MANIFEST_JSON);
                return false;
        }
        value_free(contents->manifest);
        contents->manifest = json_parse(text, (size_t) size, NULL, error);
        return contents->manifest != NULL;
}

/* Symbolic links name from their own folder on, hard links from the root on. */
static char *link_target(const char *name, struct archive_entry *entry) {
        const char *hard = archive_entry_hardlink(entry), *soft = archive_entry_symlink(entry);
        if (hard)
                return layer_path_clean(hard);
        if (!soft)
                return NULL;
        g_autofree char *folder = g_path_get_dirname(name);
        g_autofree char *joined = g_build_filename("/", folder, soft, NULL);
        g_autofree char *whole = g_canonicalize_filename(joined, "/");
        return layer_path_clean(whole);
}

static bool look_at(Contents *contents, ArchiveReader *reader, struct archive_entry *entry,
                    const char *name, GError **error) {
        char *target = link_target(name, entry);
        if (target)
                g_hash_table_replace(contents->links, g_strdup(name), target);
        else if (g_str_equal(name, MANIFEST_JSON))
                return read_manifest_json(contents, reader, archive_entry_size(entry), error);
        return true;
}

static const char *resolve(const Contents *contents, const char *name) {
        for (int steps = 0; steps < 8; steps++) {
                const char *target = g_hash_table_lookup(contents->links, name);
                if (!target)
                        break;
                name = target;
        }
        return name;
}

static const Value *only_image(const Contents *contents) {
        return value_at(contents->manifest, 0);
}

static const char *config_name(const Contents *contents) {
        return resolve(contents, value_get_string(only_image(contents), "Config", ""));
}

static bool is_layer(const Contents *contents, const char *name) {
        const Value *layers = value_get(only_image(contents), "Layers");
        for (size_t i = 0; i < value_length(layers); i++) {
                const char *layer = value_text(value_at(layers, i));
                if (layer && g_str_equal(resolve(contents, layer), name))
                        return true;
        }
        return false;
}

static bool extract(Contents *contents, ArchiveReader *reader, struct archive_entry *entry,
                    const char *name, GError **error) {
        bool config = g_str_equal(name, config_name(contents));
        if (archive_entry_filetype(entry) != AE_IFREG || archive_entry_hardlink(entry) ||
            (!config && !is_layer(contents, name)))
                return true;
        Part *part = part_extract(contents, reader, config, error);
        if (!part)
                return false;
        g_hash_table_replace(contents->parts, g_strdup(name), part);
        return true;
}

/* ---- its manifest ---- */

static Value *descriptor(const Part *part) {
        Value *map = value_map();
        value_map_set_string(map, "mediaType", part->media_type);
        value_map_set_int(map, "size", part->size);
        value_map_set_string(map, "digest", part->digest);
        return map;
}

/* The part of a name, as a descriptor, and as a blob to push. Returns new. */
static Value *take_part(const Contents *contents, const char *name, PushImage *image,
                        GError **error) {
        Part *part = g_hash_table_lookup(contents->parts, resolve(contents, name));
        if (!part) {
                g_set_error(error, ERROR, ERROR_INVALID, "file %s not found in tar", name);
                return NULL;
        }
        push_image_add_blob(image, part->digest, g_strdup(part->path), part->size);
        return descriptor(part);
}

static bool make_manifest(const Contents *contents, PushImage *image, GError **error) {
        g_autoptr(Value) manifest = value_map();
        const Value *names = value_get(only_image(contents), "Layers");
        Value *config = take_part(contents, config_name(contents), image, error);
        Value *layers = value_list();
        value_map_set_int(manifest, "schemaVersion", 2);
        value_map_set_string(manifest, "mediaType", MEDIA_DOCKER_MANIFEST);
        value_map_set(manifest, "config", config);
        value_map_set(manifest, "layers", layers);
        for (size_t i = 0; config && i < value_length(names); i++) {
                const char *name = value_text(value_at(names, i));
                Value *layer = take_part(contents, name ? name : "", image, error);
                if (!layer)
                        return false;
                value_list_add(layers, layer);
        }
        if (!config)
                return false;
        g_auto(Manifest) made = { 0 };
        size_t length;
        char *text = json_write(manifest, JSON_COMPACT, &length);
        if (!manifest_read(text, length, NULL, NULL, &made, error))
                return false;
        push_image_add_manifest(image, &made);
        return true;
}

bool push_load_tar(const char *path, PushImage *image, GError **error) {
        g_auto(Contents) contents = {
                .links = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free),
                .parts = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, part_free),
        };
        image->temporary = g_dir_make_tmp("registry-image-XXXXXX", error);
        contents.folder = image->temporary;
        if (!image->temporary || !each_entry(path, &contents, look_at, error))
                return false;
        if (value_length(contents.manifest) != 1) {
                g_set_error(error, ERROR, ERROR_INVALID, "%s",
                            contents.manifest ? "tarball must contain only a single image to be "
                                                "used with tarball.Image"
                                              : "file manifest.json not found in tar");
                return false;
        }
        return each_entry(path, &contents, extract, error) &&
               make_manifest(&contents, image, error);
}
