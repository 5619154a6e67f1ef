#include "worker/types.h"

#include "base/files.h"
#include "base/json.h"

#include <string.h>
#include <unistd.h>

#define METADATA_MAX ((size_t) 64 * 1024)

static Value *read_type(const char *directory, GError **error) {
        g_autofree char *metadata_path = g_build_filename(directory, "resource_metadata.json",
                                                          NULL);
        g_autofree char *image = g_build_filename(directory, "rootfs.tgz", NULL);
        size_t length;
        g_autofree char *text = file_read(metadata_path, METADATA_MAX, &length, error);
        g_autoptr(Value) metadata = text ? json_parse(text, length, NULL, error) : NULL;
        const char *type = value_get_string(metadata, "type", "");
        if (!metadata) {
                g_prefix_error(error, "%s: ", metadata_path);
                return NULL;
        }
        if (!*type) {
                g_set_error(error, ERROR, ERROR_INVALID, "%s: no type", metadata_path);
                return NULL;
        }
        if (access(image, R_OK) < 0) {
                g_set_error(error, ERROR, ERROR_NOT_FOUND, "%s: no rootfs.tgz", directory);
                return NULL;
        }
        Value *entry = value_map();
        value_map_set_string(entry, "type", type);
        value_map_set_string(entry, "image", image);
        value_map_set_string(entry, "version", value_get_string(metadata, "version", ""));
        value_map_set_bool(entry, "privileged", value_get_bool(metadata, "privileged", false));
        value_map_set_bool(entry, "unique_version_history",
                           value_get_bool(metadata, "unique_version_history", false));
        value_map_set_string_opt(entry, "cache", value_get_string(metadata, "cache", ""));
        return entry;
}

static int by_text(gconstpointer a, gconstpointer b) {
        return strcmp(*(const char *const *) a, *(const char *const *) b);
}

Value *resource_types_read(const char *directory, GError **error) {
        g_autoptr(GDir) entries = g_dir_open(directory, 0, error);
        g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
        if (!entries)
                return NULL;
        for (const char *name; (name = g_dir_read_name(entries));)
                g_ptr_array_add(names, g_strdup(name));
        g_ptr_array_sort(names, by_text);

        g_autoptr(Value) list = value_list();
        g_autofree char *absolute = g_canonicalize_filename(directory, NULL);
        for (guint i = 0; i < names->len; i++) {
                g_autofree char *path = g_build_filename(absolute, g_ptr_array_index(names, i),
                                                         NULL);
                Value *entry = read_type(path, error);
                if (!entry)
                        return NULL;
                value_list_add(list, entry);
        }
        return g_steal_pointer(&list);
}
