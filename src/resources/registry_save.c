/* image.tar: what docker load takes. */
#include "base/json.h"
#include "resources/registry_formats.h"

#include <archive.h>
#include <archive_entry.h>
#include <string.h>

typedef struct archive ArchiveWriter;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(ArchiveWriter, archive_write_free)

static bool archive_failed(ArchiveWriter *writer, GError **error) {
        const char *text = archive_error_string(writer);
        g_set_error(error, ERROR, ERROR_IO, "cannot write image.tar: %s", text ? text : "failed");
        return false;
}

static bool begin_entry(ArchiveWriter *writer, const char *name, int64_t size, GError **error) {
        struct archive_entry *entry = archive_entry_new();
        archive_entry_set_pathname(entry, name);
        archive_entry_set_filetype(entry, AE_IFREG);
        archive_entry_set_perm(entry, 0644);
        archive_entry_set_size(entry, size);
        int status = archive_write_header(writer, entry);
        archive_entry_free(entry);
        return status >= ARCHIVE_WARN || archive_failed(writer, error);
}

static bool write_data(const void *bytes, size_t length, void *data, GError **error) {
        ArchiveWriter *writer = data;
        for (size_t done = 0; done < length;) {
                la_ssize_t written = archive_write_data(writer, (const char *) bytes + done,
                                                        length - done);
                if (written <= 0)
                        return archive_failed(writer, error);
                done += (size_t) written;
        }
        return true;
}

static bool add_text(ArchiveWriter *writer, const char *name, const char *text, size_t length,
                     GError **error) {
        return begin_entry(writer, name, (int64_t) length, error) &&
               write_data(text, length, writer, error);
}

static char *layer_name(const Layer *layer) {
        return g_strconcat(layer->digest + strlen("sha256:"), ".tar.gz", NULL);
}

/* An image may have a layer twice; the archive has it once. */
static bool add_layers(const Download *download, const Image *image, ArchiveWriter *writer,
                       GError **error) {
        g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);
        for (guint i = 0; i < image->layers->len; i++) {
                const Layer *layer = image->layers->pdata[i];
                g_autofree char *name = layer_name(layer);
                const LayerSource source = { .registry = download->registry,
                                             .cache = download->cache,
                                             .layer = layer };
                bool cached;
                if (!g_hash_table_add(seen, layer->digest))
                        continue;
                if (!begin_entry(writer, name, layer->size, error) ||
                    !layer_fetch(&source, write_data, writer, &cached, error))
                        return false;
                download_say_layer(layer, cached);
        }
        return true;
}

static char *manifest_text(const Download *download, const Image *image, const char *config) {
        const RegistryName *name = &download->run->name;
        const char *tag = value_get_string(download->run->version, "tag", "");
        g_autoptr(Value) list = value_list();
        Value *entry = value_map(), *tags = value_list(), *layers = value_list();
        g_autofree char *full = g_strdup_printf("%s/%s:%s", name->registry, name->path, tag);
        if (*tag)
                value_list_add(tags, value_string(full));
        for (guint i = 0; i < image->layers->len; i++) {
                g_autofree char *file = layer_name(image->layers->pdata[i]);
                value_list_add(layers, value_string(file));
        }
        value_map_set_string(entry, "Config", config);
        value_map_set(entry, "RepoTags", tags);
        value_map_set(entry, "Layers", layers);
        value_list_add(list, entry);
        return json_write(list, JSON_COMPACT, NULL);
}

bool format_tar(const Download *download, const Image *image, GError **error) {
        g_autofree char *path = g_build_filename(download->folder, "image.tar", NULL);
        const char *config = value_get_string(value_get(image->manifest.value, "config"), "digest",
                                              "");
        g_autofree char *manifest = manifest_text(download, image, config);
        g_autoptr(ArchiveWriter) writer = archive_write_new();
        archive_write_set_format_pax_restricted(writer);
        archive_write_set_bytes_in_last_block(writer, 1);
        if (archive_write_open_filename(writer, path) < ARCHIVE_WARN)
                return archive_failed(writer, error);
        if (!add_text(writer, config, image->config_text, image->config_length, error) ||
            !add_layers(download, image, writer, error) ||
            !add_text(writer, "manifest.json", manifest, strlen(manifest), error))
                return false;
        return archive_write_close(writer) >= ARCHIVE_WARN || archive_failed(writer, error);
}
