#include "resources/registry_image.h"

#include "base/json.h"

#include <string.h>

void layer_free(Layer *layer) {
        if (!layer)
                return;
        g_free(layer->digest);
        g_free(layer->media_type);
        g_free(layer);
}

void image_clear(Image *image) {
        manifest_clear(&image->manifest);
        g_free(image->config_text);
        value_free(image->config);
        if (image->layers)
                g_ptr_array_unref(image->layers);
        *image = (Image){ 0 };
}

const Value *image_child(const Value *index, const RegistryRun *run) {
        const Value *list = value_get(index, "manifests");
        for (size_t i = 0; i < value_length(list); i++) {
                const Value *child = value_at(list, i), *platform = value_get(child, "platform");
                bool named = !value_is_null(platform);
                if (g_str_equal(value_get_string(platform, "architecture", named ? "" : "amd64"),
                                run->architecture) &&
                    g_str_equal(value_get_string(platform, "os", named ? "" : "linux"), run->os))
                        return child;
        }
        return NULL;
}

bool image_choose(Registry *registry, const RegistryRun *run, Manifest *root, Manifest *ret,
                  GError **error) {
        if (!manifest_is_index(root)) {
                *ret = *root;
                *root = (Manifest){ 0 };
                return true;
        }
        g_auto(Manifest) index = *root, image = { 0 };
        *root = (Manifest){ 0 };
        const Value *child = image_child(index.value, run);
        if (!child) {
                g_set_error(error, ERROR, ERROR_NOT_FOUND,
                            "no child with platform %s/%s in index %s", run->os, run->architecture,
                            index.digest);
                return false;
        }
        if (!registry_manifest(registry, value_get_string(child, "digest", ""), &image, error))
                return false;
        if (manifest_is_index(&image)) {
                g_set_error(error, ERROR, ERROR_PROTOCOL, "%s is an index within the index %s",
                            image.digest, index.digest);
                return false;
        }
        *ret = image;
        image = (Manifest){ 0 };
        return true;
}

static bool layers_read(const Manifest *manifest, GPtrArray *layers, GError **error) {
        const Value *list = value_get(manifest->value, "layers");
        if (value_length(list) > LAYERS_MAX) {
                g_set_error(error, ERROR, ERROR_LIMIT, "the image has more than %d layers",
                            LAYERS_MAX);
                return false;
        }
        for (size_t i = 0; i < value_length(list); i++) {
                const Value *given = value_at(list, i);
                Layer *layer = g_new0(Layer, 1);
                layer->digest = g_strdup(value_get_string(given, "digest", ""));
                layer->media_type = g_strdup(value_get_string(given, "mediaType", ""));
                layer->size = value_get_int(given, "size", -1);
                g_ptr_array_add(layers, layer);
                if (layer->size < 0 || !registry_digest_is_valid(layer->digest)) {
                        g_set_error(error, ERROR, ERROR_PROTOCOL,
                                    "manifest %s: layer %zu has no size or no valid digest",
                                    manifest->digest, i);
                        return false;
                }
        }
        return true;
}

bool image_load(Registry *registry, Manifest *manifest, Image *ret, GError **error) {
        g_auto(Image) image = { .manifest = *manifest };
        *manifest = (Manifest){ 0 };
        image.layers = g_ptr_array_new_with_free_func((GDestroyNotify) layer_free);
        const Value *config = value_get(image.manifest.value, "config");
        const char *digest = value_get_string(config, "digest", "");
        if (!registry_digest_is_valid(digest)) {
                g_set_error(error, ERROR, ERROR_PROTOCOL, "manifest %s: no config",
                            image.manifest.digest);
                return false;
        }
        if (!layers_read(&image.manifest, image.layers, error))
                return false;
        image.config_text = registry_blob_text(registry, digest, &image.config_length, error);
        if (image.config_text)
                image.config = json_parse(image.config_text, image.config_length, NULL, error);
        if (!image.config) {
                g_prefix_error(error, "config %s: ", digest);
                return false;
        }
        *ret = image;
        image = (Image){ 0 };
        return true;
}

bool image_fetch(Registry *registry, const RegistryRun *run, const char *reference, Image *ret,
                 GError **error) {
        g_auto(Manifest) root = { 0 }, chosen = { 0 };
        return registry_manifest(registry, reference, &root, error) &&
               image_choose(registry, run, &root, &chosen, error) &&
               image_load(registry, &chosen, ret, error);
}

const Value *image_setting(const Image *image, const char *name) {
        return value_get(value_get(image->config, "config"), name);
}
