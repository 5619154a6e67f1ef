#include "base/files.h"
#include "base/json.h"
#include "resources/registry_formats.h"
#include "resources/registry_regex.h"

#include <string.h>

typedef enum { FORMAT_ROOTFS, FORMAT_OCI, FORMAT_OCI_LAYOUT } Format;

static const char *const formats[] = {
        [FORMAT_ROOTFS] = "rootfs",
        [FORMAT_OCI] = "oci",
        [FORMAT_OCI_LAYOUT] = "oci-layout",
};

static bool format_parse(const char *name, Format *ret, GError **error) {
        for (size_t i = 0; i < G_N_ELEMENTS(formats); i++)
                if (g_str_equal(formats[i], *name ? name : "rootfs")) {
                        *ret = (Format) i;
                        return true;
                }
        g_set_error(error, ERROR, ERROR_INVALID,
                    "unknown format provided, must be one of 'rootfs', 'oci', 'oci-layout: %s",
                    name);
        return false;
}

/* ---- labels and annotations in the answer ---- */

static bool add_matching(const Value *map, const char *pattern, Value *metadata, GError **error) {
        if (!*pattern)
                return true;
        g_autoptr(GRegex) regex = registry_regex(pattern, error);
        if (!regex)
                return false;
        g_autoptr(Value) sorted = map ? value_sorted(map) : value_map();
        for (size_t i = 0; i < value_length(sorted); i++) {
                const char *text = value_text(value_at(sorted, i));
                if (text && g_regex_match(regex, value_key_at(sorted, i), 0, NULL))
                        registry_metadata_add(metadata, value_key_at(sorted, i), text);
        }
        return true;
}

static bool wants_matching(const RegistryRun *run) {
        return *registry_source(run, "label_regex") || *registry_source(run, "annotation_regex");
}

static bool add_metadata(const RegistryRun *run, const Image *image, Value *metadata,
                         GError **error) {
        return add_matching(image_setting(image, "Labels"), registry_source(run, "label_regex"),
                            metadata, error) &&
               add_matching(value_get(image->manifest.value, "annotations"),
                            registry_source(run, "annotation_regex"), metadata, error);
}

/* ---- files ---- */

static bool write_labels(const Download *download, const Image *image, GError **error) {
        const Value *labels = image_setting(image, "Labels");
        g_autoptr(Value) sorted = value_is_null(labels) ? value_map() : value_sorted(labels);
        g_autofree char *text = json_write(sorted, JSON_COMPACT, NULL);
        g_autofree char *line = g_strconcat(text, "\n", NULL);
        return download_write(download, "labels.json", line, strlen(line), error);
}

static bool write_names(const RegistryRun *run, GError **error) {
        const Download place = { .folder = run->directory };
        const struct {
                const char *file, *text;
        } files[] = {
                { "repository", registry_source(run, "repository") },
                { "tag", value_get_string(run->version, "tag", "") },
                { "digest", value_get_string(run->version, "digest", "") },
        };
        for (size_t i = 0; i < G_N_ELEMENTS(files); i++)
                if (!download_write(&place, files[i].file, files[i].text, strlen(files[i].text),
                                    error))
                        return false;
        return true;
}

/* ---- the image ---- */

static void trim_cache(const Download *download, const Image *image) {
        g_autoptr(GPtrArray) digests = g_ptr_array_new();
        for (guint i = 0; i < image->layers->len; i++)
                g_ptr_array_add(digests, ((const Layer *) image->layers->pdata[i])->digest);
        layer_cache_trim(download->cache, digests);
}

static bool download_image(const Download *download, Format format, Manifest *root, Value *metadata,
                           GError **error) {
        g_auto(Manifest) chosen = { 0 };
        g_auto(Image) image = { 0 };
        if (!image_choose(download->registry, download->run, root, &chosen, error) ||
            !image_load(download->registry, &chosen, &image, error) ||
            !add_metadata(download->run, &image, metadata, error) ||
            !write_labels(download, &image, error))
                return false;
        if (!(format == FORMAT_OCI ? format_tar : format_rootfs)(download, &image, error))
                return false;
        trim_cache(download, &image);
        return true;
}

static bool download_layout(const Download *download, Manifest *root, Value *metadata,
                            GError **error) {
        g_auto(Manifest) chosen = { 0 };
        g_auto(Image) image = { 0 };
        if (!format_layout(download, root, error))
                return false;
        if (!wants_matching(download->run))
                return true;
        return image_choose(download->registry, download->run, root, &chosen, error) &&
               image_load(download->registry, &chosen, &image, error) &&
               add_metadata(download->run, &image, metadata, error);
}

/* From the origin or its mirror. *ret is new: the labels and annotations that were asked for. */
static bool download_from(const RegistryRun *run, bool mirror, Value **ret, GError **error) {
        Format format;
        g_autoptr(Value) metadata = value_list();
        g_auto(Manifest) root = { 0 }, chosen = { 0 };
        g_auto(Image) image = { 0 };
        g_autoptr(Registry) registry = registry_of(run, STRICT_IN, mirror);
        const char *digest = value_get_string(run->version, "digest", "");
        bool skip = value_get_bool(run->params, "skip_download", false);
        g_autoptr(LayerCache) cache = skip ? NULL : layer_cache_open(LAYER_CACHE_FOLDER);
        const Download download = {
                .run = run, .registry = registry, .cache = cache, .folder = run->directory
        };
        if (!format_parse(registry_param(run, "format"), &format, error) ||
            !registry_manifest(registry, digest, &root, error))
                return false;
        bool ok = skip ? image_choose(registry, run, &root, &chosen, error) &&
                                  image_load(registry, &chosen, &image, error) &&
                                  add_metadata(run, &image, metadata, error)
                  : format == FORMAT_OCI_LAYOUT
                          ? download_layout(&download, &root, metadata, error)
                          : download_image(&download, format, &root, metadata, error);
        if (ok)
                *ret = g_steal_pointer(&metadata);
        return ok;
}

/* What a failed mirror may have left. */
static bool clean(const RegistryRun *run, GError **error) {
        static const char *const made[] = { "rootfs", "oci", "image.tar", "labels.json",
                                            "metadata.json" };
        for (size_t i = 0; i < G_N_ELEMENTS(made); i++) {
                g_autofree char *path = g_build_filename(run->directory, made[i], NULL);
                if (!directory_remove(path, error))
                        return false;
        }
        return true;
}

static bool download_any(const RegistryRun *run, Value **ret, GError **error) {
        g_autoptr(GError) failure = NULL;
        if (run->mirror.path) {
                if (download_from(run, true, ret, &failure))
                        return true;
                registry_warn("download from mirror %s/%s failed: %s", run->mirror.registry,
                              run->mirror.path, failure->message);
                if (!clean(run, error))
                        return false;
        }
        if (download_from(run, false, ret, error))
                return true;
        g_prefix_error(error, "download failed: ");
        return false;
}

/* ---- in ---- */

static Value *answer(const RegistryRun *run, const Value *matching) {
        Value *map = value_map(), *metadata = value_list();
        registry_metadata_add(metadata, "repository", registry_source(run, "repository"));
        registry_metadata_add(metadata, "tag", value_get_string(run->version, "tag", ""));
        for (size_t i = 0; i < value_length(matching); i++)
                value_list_add(metadata, value_ref(value_at(matching, i)));
        value_map_set(map, "version", value_ref(run->version));
        value_map_set(map, "metadata", metadata);
        return map;
}

bool registry_in(RegistryRun *run, Value **ret, GError **error) {
        g_autoptr(Value) matching = NULL;
        bool skip = value_get_bool(run->params, "skip_download", false);
        if (!run->directory) {
                g_set_error(error, ERROR, ERROR_INVALID, "destination path not specified");
                return false;
        }
        registry_say("fetching \033[32m%s\033[0m@\033[33m%s\033[0m",
                     registry_source(run, "repository"),
                     value_get_string(run->version, "digest", ""));
        if (!directory_make(run->directory, 0755, error))
                return false;
        if ((!skip || wants_matching(run)) && !download_any(run, &matching, error))
                return false;
        if (!write_names(run, error))
                return false;
        *ret = answer(run, matching);
        return true;
}
