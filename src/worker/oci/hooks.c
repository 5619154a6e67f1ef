#include "worker/oci/hooks.h"

#include "base/files.h"
#include "base/json.h"

#include <string.h>

#define FILE_MAX ((size_t) 1024 * 1024)

static const char *const stages[] = {
        "prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop",
};

static int by_text(gconstpointer a, gconstpointer b) {
        return strcmp(*(const char *const *) a, *(const char *const *) b);
}

/* Returns new. */
static GPtrArray *list_files(const char *directory, GError **error) {
        GPtrArray *paths = g_ptr_array_new_with_free_func(g_free);
        g_autoptr(GError) failure = NULL;
        g_autoptr(GDir) entries = g_dir_open(directory, 0, &failure);
        if (!entries) {
                g_set_error(error, ERROR, ERROR_IO, "OCI hooks directory: %s", failure->message);
                g_ptr_array_unref(paths);
                return NULL;
        }
        for (const char *name; (name = g_dir_read_name(entries));) {
                g_autofree char *path = g_build_filename(directory, name, NULL);
                if (g_file_test(path, G_FILE_TEST_IS_REGULAR))
                        g_ptr_array_add(paths, g_steal_pointer(&path));
        }
        g_ptr_array_sort(paths, by_text);
        return paths;
}

static bool is_stage(const Value *name) {
        for (size_t i = 0; i < G_N_ELEMENTS(stages); i++)
                if (g_strcmp0(value_text(name), stages[i]) == 0)
                        return true;
        return false;
}

static void add_hook(Value *hooks, const char *stage, const Value *hook) {
        Value *list = value_get(hooks, stage) ? value_copy(value_get(hooks, stage)) : value_list();
        value_list_add(list, value_copy(hook));
        value_map_set(hooks, stage, list);
}

static bool add_file(Value *hooks, const Value *file, GError **error) {
        const Value *hook = value_get(file, "hook"), *list = value_get(file, "stages");
        if (!g_path_is_absolute(value_get_string(hook, "path", ""))) {
                g_set_error(error, ERROR, ERROR_INVALID, "hook.path must be an absolute path");
                return false;
        }
        if (value_length(list) == 0) {
                g_set_error(error, ERROR, ERROR_INVALID, "stages must not be empty");
                return false;
        }
        for (size_t i = 0; i < value_length(list); i++) {
                const Value *stage = value_at(list, i);
                if (!is_stage(stage)) {
                        const char *text = value_text(stage);
                        g_set_error(error, ERROR, ERROR_INVALID, "unknown stage '%s'",
                                    text ? text : "");
                        return false;
                }
                add_hook(hooks, value_text(stage), hook);
        }
        return true;
}

Value *hooks_read(const char *directory, GError **error) {
        g_autoptr(Value) hooks = value_map();
        g_autoptr(GPtrArray) paths = list_files(directory, error);
        for (guint i = 0; paths && i < paths->len; i++) {
                const char *path = paths->pdata[i];
                size_t length;
                g_autofree char *text = file_read(path, FILE_MAX, &length, error);
                g_autoptr(Value) file = text ? json_parse(text, length, NULL, error) : NULL;
                if (!file || !add_file(hooks, file, error)) {
                        g_prefix_error(error, "OCI hook %s: ", path);
                        return NULL;
                }
        }
        return paths ? g_steal_pointer(&hooks) : NULL;
}
