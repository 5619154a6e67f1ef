#include "base/files.h"
#include "base/json.h"
#include "resources/registry_formats.h"
#include "resources/registry_unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Layers on their way at once: the one that is written and those behind it. */
#define STREAMS_MAX 3
#define SHOWN_DIGEST 12

bool download_write(const Download *download, const char *name, const char *text, size_t length,
                    GError **error) {
        g_autofree char *path = g_build_filename(download->folder, name, NULL);
        return file_replace(path, text, length, 0644, error);
}

void download_say_layer(const Layer *layer, bool cached) {
        registry_say("%.*s %.1f MB%s", SHOWN_DIGEST, layer->digest + strlen("sha256:"),
                     (double) layer->size / 1e6, cached ? " (kept from an earlier get)" : "");
}

/* ---- metadata.json ---- */

static void add_setting(Value *map, const char *name, const Value *setting) {
        value_map_set(map, name, value_is_null(setting) ? value_null() : value_ref(setting));
}

static bool write_metadata(const Download *download, const Image *image, GError **error) {
        g_autoptr(Value) metadata = value_map();
        const char *user = value_text(image_setting(image, "User"));
        add_setting(metadata, "cmd", image_setting(image, "Cmd"));
        add_setting(metadata, "entrypoint", image_setting(image, "Entrypoint"));
        add_setting(metadata, "env", image_setting(image, "Env"));
        value_map_set_string(metadata, "user", user ? user : "");
        g_autofree char *text = json_write(metadata, JSON_COMPACT, NULL);
        g_autofree char *line = g_strconcat(text, "\n", NULL);
        return download_write(download, "metadata.json", line, strlen(line), error);
}

/* ---- the layers ---- */

static ssize_t read_stream(void *data, const void **ret, GError **error) {
        return layer_stream_read(data, ret, error);
}

static void stream_free(void *stream) {
        layer_stream_free(stream);
}

static bool apply_layers(const Download *download, const Image *image, int root, GError **error) {
        g_autoptr(Unpacker) unpacker = unpacker_new(root);
        g_autoptr(GPtrArray) streams = g_ptr_array_new_with_free_func(stream_free);
        guint started = 0;
        for (guint i = 0; i < image->layers->len; i++) {
                for (; started < image->layers->len && started < i + STREAMS_MAX; started++) {
                        const LayerSource source = { .registry = download->registry,
                                                     .cache = download->cache,
                                                     .layer = image->layers->pdata[started] };
                        g_ptr_array_add(streams, layer_stream_start(&source));
                }
                LayerStream *stream = streams->pdata[0];
                if (!unpacker_layer(unpacker, read_stream, stream, error))
                        return false;
                download_say_layer(image->layers->pdata[i], layer_stream_cached(stream));
                g_ptr_array_remove_index(streams, 0);
        }
        return true;
}

bool format_rootfs(const Download *download, const Image *image, GError **error) {
        g_autofree char *path = g_build_filename(download->folder, "rootfs", NULL);
        if (mkdir(path, 0755) < 0 && errno != EEXIST) {
                error_set_errno(error, errno, "cannot make %s", path);
                return false;
        }
        autofd root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (root < 0) {
                error_set_errno(error, errno, "cannot open %s", path);
                return false;
        }
        return apply_layers(download, image, root, error) && write_metadata(download, image, error);
}
