/* Of a directory in OCI's layout: what is to be pushed. */
#include "base/files.h"
#include "resources/registry_push.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define INDEX_DEPTH_MAX 4

static char *blob_path(const char *folder, const char *digest) {
        return g_build_filename(folder, "blobs/sha256", digest + strlen("sha256:"), NULL);
}

static bool digest_check(const char *digest, GError **error) {
        if (registry_digest_is_valid(digest))
                return true;
        g_set_error(error, ERROR, ERROR_INVALID, "'%s' is no digest of a blob", digest);
        return false;
}

static bool read_manifest(const char *folder, const Value *descriptor, Manifest *ret,
                          GError **error) {
        const char *digest = value_get_string(descriptor, "digest", "");
        size_t length;
        if (!digest_check(digest, error))
                return false;
        g_autofree char *path = blob_path(folder, digest);
        char *text = file_read(path, MANIFEST_MAX, &length, error);
        return text && manifest_read(text, length, value_get_string(descriptor, "mediaType", NULL),
                                     digest, ret, error);
}

static bool add_blob(const char *folder, const Value *descriptor, PushImage *image,
                     GError **error) {
        const char *digest = value_get_string(descriptor, "digest", "");
        struct stat status;
        if (!digest_check(digest, error))
                return false;
        g_autofree char *path = blob_path(folder, digest);
        if (stat(path, &status) < 0) {
                error_set_errno(error, errno, "open %s", path);
                return false;
        }
        if (status.st_size != value_get_int(descriptor, "size", -1)) {
                g_set_error(error, ERROR, ERROR_INVALID, "blob %s has not the size it should have",
                            digest);
                return false;
        }
        push_image_add_blob(image, digest, g_steal_pointer(&path), status.st_size);
        return true;
}

/* Takes manifest. */
static bool add_tree(const char *folder, Manifest *manifest, PushImage *image, unsigned depth,
                     GError **error) {
        g_auto(Manifest) own = *manifest;
        *manifest = (Manifest){ 0 };
        if (depth > INDEX_DEPTH_MAX) {
                g_set_error(error, ERROR, ERROR_LIMIT, "indexes within indexes, more than %d deep",
                            INDEX_DEPTH_MAX);
                return false;
        }
        bool index = manifest_is_index(&own);
        const Value *parts = value_get(own.value, index ? "manifests" : "layers");
        if (!index && !add_blob(folder, value_get(own.value, "config"), image, error))
                return false;
        for (size_t i = 0; i < value_length(parts); i++) {
                g_auto(Manifest) child = { 0 };
                bool ok = index ? read_manifest(folder, value_at(parts, i), &child, error) &&
                                          add_tree(folder, &child, image, depth + 1, error)
                                : add_blob(folder, value_at(parts, i), image, error);
                if (!ok)
                        return false;
        }
        push_image_add_manifest(image, &own);
        return true;
}

/* The digest in single-image-digest, as a descriptor. Returns new; NULL: there is no such file. */
static Value *single_image(const char *folder) {
        g_autofree char *path = g_build_filename(folder, "single-image-digest", NULL);
        size_t length;
        g_autofree char *digest = file_read(path, 4096, &length, NULL);
        if (!digest)
                return NULL;
        Value *descriptor = value_map();
        value_map_set_string(descriptor, "digest", g_strstrip(digest));
        return descriptor;
}

static bool read_index(const char *folder, Manifest *ret, GError **error) {
        g_autofree char *path = g_build_filename(folder, "index.json", NULL);
        size_t length;
        char *text = file_read(path, MANIFEST_MAX, &length, error);
        if (!text || !manifest_read(text, length, MEDIA_OCI_INDEX, NULL, ret, error))
                return false;
        if (manifest_is_index(ret))
                return true;
        g_set_error(error, ERROR, ERROR_INVALID, "%s is no index", path);
        return false;
}

/* An index of nothing but another index stands for that one. */
static bool unwrap(const char *folder, Manifest *index, GError **error) {
        for (unsigned depth = 0; depth < INDEX_DEPTH_MAX; depth++) {
                const Value *list = value_get(index->value, "manifests");
                const Value *only = value_at(list, 0);
                const char *type = value_get_string(only, "mediaType", "");
                if (value_length(list) != 1 ||
                    (!g_str_equal(type, MEDIA_OCI_INDEX) && !g_str_equal(type, MEDIA_DOCKER_LIST)))
                        return true;
                g_auto(Manifest) inner = { 0 };
                if (!read_manifest(folder, only, &inner, error))
                        return false;
                manifest_clear(index);
                *index = inner;
                inner = (Manifest){ 0 };
        }
        return true;
}

bool push_load_layout(const char *folder, PushImage *image, GError **error) {
        g_auto(Manifest) root = { 0 };
        g_autoptr(Value) single = single_image(folder);
        if (single ? !read_manifest(folder, single, &root, error)
                   : !read_index(folder, &root, error) || !unwrap(folder, &root, error))
                return false;
        return add_tree(folder, &root, image, 0, error);
}
