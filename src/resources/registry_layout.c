/* oci/: an image, or all images of an index, in OCI's layout. */
#include "base/files.h"
#include "base/json.h"
#include "resources/registry_formats.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Indexes within indexes. */
#define INDEX_DEPTH_MAX 4

typedef struct {
        const Download *download;
        char *blobs; /* oci/blobs/sha256 */
} Layout;

static char *blob_path(const Layout *layout, const char *digest) {
        return g_build_filename(layout->blobs, digest + strlen("sha256:"), NULL);
}

static bool write_sink(const void *bytes, size_t length, void *data, GError **error) {
        return write_all(*(int *) data, bytes, length, error);
}

/* Platforms share layers: what is there already is whole. */
static bool save_blob(const Layout *layout, const Layer *layer, bool show, GError **error) {
        g_autofree char *path = blob_path(layout, layer->digest);
        g_autofree char *temporary = g_strconcat(path, ".new", NULL);
        bool cached = false;
        if (access(path, F_OK) == 0)
                return true;
        autofd fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
        if (fd < 0) {
                error_set_errno(error, errno, "cannot make %s", temporary);
                return false;
        }
        const LayerSource source = { .registry = layout->download->registry,
                                     .cache = show ? layout->download->cache : NULL,
                                     .layer = layer };
        if (!layer_fetch(&source, write_sink, &fd, &cached, error))
                return false;
        if (rename(temporary, path) < 0) {
                error_set_errno(error, errno, "cannot rename %s", temporary);
                return false;
        }
        if (show)
                download_say_layer(layer, cached);
        return true;
}

static bool save_descriptor(const Layout *layout, const Value *descriptor, bool show,
                            GError **error) {
        Layer layer = { .digest = (char *) value_get_string(descriptor, "digest", ""),
                        .size = value_get_int(descriptor, "size", -1) };
        if (registry_digest_is_valid(layer.digest) && layer.size >= 0)
                return save_blob(layout, &layer, show, error);
        g_set_error(error, ERROR, ERROR_PROTOCOL, "a blob of the image has no size or no digest");
        return false;
}

static bool save_manifest(const Layout *layout, const Manifest *manifest, GError **error) {
        g_autofree char *path = blob_path(layout, manifest->digest);
        return file_replace(path, manifest->text, manifest->length, 0644, error);
}

static bool save_image(const Layout *layout, const Manifest *manifest, GError **error) {
        const Value *layers = value_get(manifest->value, "layers");
        if (!save_descriptor(layout, value_get(manifest->value, "config"), false, error))
                return false;
        for (size_t i = 0; i < value_length(layers); i++)
                if (!save_descriptor(layout, value_at(layers, i), true, error))
                        return false;
        return save_manifest(layout, manifest, error);
}

static bool save_children(const Layout *layout, const Manifest *index, unsigned depth,
                          GError **error) {
        const Value *children = value_get(index->value, "manifests");
        if (depth > INDEX_DEPTH_MAX) {
                g_set_error(error, ERROR, ERROR_LIMIT, "indexes within indexes, more than %d deep",
                            INDEX_DEPTH_MAX);
                return false;
        }
        for (size_t i = 0; i < value_length(children); i++) {
                g_auto(Manifest) child = { 0 };
                const char *digest = value_get_string(value_at(children, i), "digest", "");
                if (!registry_manifest(layout->download->registry, digest, &child, error))
                        return false;
                bool ok = manifest_is_index(&child)
                                  ? save_children(layout, &child, depth + 1, error) &&
                                            save_manifest(layout, &child, error)
                                  : save_image(layout, &child, error);
                if (!ok)
                        return false;
        }
        return true;
}

/* An index of one, for what is no index itself. Returns new. */
static char *index_of_one(const Manifest *manifest) {
        g_autoptr(Value) index = value_map();
        Value *list = value_list(), *entry = value_map();
        value_map_set_string(entry, "mediaType", manifest->media_type);
        value_map_set_int(entry, "size", (int64_t) manifest->length);
        value_map_set_string(entry, "digest", manifest->digest);
        value_list_add(list, entry);
        value_map_set_int(index, "schemaVersion", 2);
        value_map_set_string(index, "mediaType", MEDIA_OCI_INDEX);
        value_map_set(index, "manifests", list);
        return json_write(index, JSON_COMPACT, NULL);
}

bool format_layout(const Download *download, const Manifest *root, GError **error) {
        static const char marker[] = "{\n    \"imageLayoutVersion\": \"1.0.0\"\n}";
        g_autofree char *blobs = g_build_filename(download->folder, "oci/blobs/sha256", NULL);
        const Layout layout = { .download = download, .blobs = blobs };
        if (!directory_make(blobs, 0755, error) ||
            !download_write(download, "oci/oci-layout", marker, strlen(marker), error))
                return false;
        if (manifest_is_index(root))
                return save_children(&layout, root, 0, error) &&
                       download_write(download, "oci/index.json", root->text, root->length, error);
        g_autofree char *index = index_of_one(root);
        return save_image(&layout, root, error) &&
               download_write(download, "oci/index.json", index, strlen(index), error) &&
               download_write(download, "oci/single-image-digest", root->digest,
                              strlen(root->digest), error);
}
