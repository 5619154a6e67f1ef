#include "base/files.h"
#include "base/json.h"
#include "worker/volumes/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

/* Of each of a volume's files: properties come from the web node, 10 MiB of body at most. */
#define FILE_LIMIT (16 * 1024 * 1024)

void volume_free(Volume *volume) {
        if (!volume)
                return;
        for (View view = 0; view < VIEW_COUNT; view++)
                g_clear_pointer(&volume->users[view], g_hash_table_unref);
        g_clear_pointer(&volume->stack, g_ptr_array_unref);
        value_free(volume->properties);
        g_free(volume->handle);
        g_free(volume);
}

char *volume_directory(const Volumes *volumes, const char *state, const char *handle) {
        return g_build_filename(volumes->work, "volumes", state, handle, NULL);
}

char *layer_directory(const Volumes *volumes, const char *id) {
        return g_build_filename(volumes->work, "layers", id, NULL);
}

/* Not file_write(): a sync would cost more than all the rest of making a volume, and there is
 * nothing to lose. What a crash of the machine tears is dropped at the next start. */
static bool save(const char *directory, const char *name, const Value *value, GError **error) {
        g_autofree char *temporary = g_strdup_printf("%s/.%s", directory, name);
        g_autofree char *path = g_build_filename(directory, name, NULL);
        size_t length;
        g_autofree char *text = json_write(value, JSON_COMPACT, &length);
        autofd file = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

        if (file < 0) {
                error_set_errno(error, errno, "failed to make %s", temporary);
                return false;
        }
        if (!write_all(file, text, length, error))
                return false;
        if (rename(temporary, path) < 0) {
                error_set_errno(error, errno, "failed to write %s", path);
                return false;
        }
        return true;
}

static Value *load(const char *directory, const char *name, GError **error) {
        g_autofree char *path = g_build_filename(directory, name, NULL);
        size_t length;
        g_autofree char *text = file_read(path, FILE_LIMIT, &length, error);
        return text ? json_parse(text, length, NULL, error) : NULL;
}

bool volume_save_properties(const char *directory, const Value *properties, GError **error) {
        g_autoptr(Value) value = properties ? value_ref(properties) : value_null();
        return save(directory, "properties.json", value, error);
}

bool volume_save_privileged(const char *directory, bool privileged, GError **error) {
        g_autoptr(Value) value = value_bool(privileged);
        return save(directory, "privileged.json", value, error);
}

bool volume_save(const char *directory, const Volume *volume, GError **error) {
        g_autoptr(Value) stack = value_list();
        for (guint i = 0; i < volume->stack->len; i++)
                value_list_add(stack, value_string(volume->stack->pdata[i]));
        return save(directory, "stack.json", stack, error) &&
               volume_save_properties(directory, volume->properties, error) &&
               volume_save_privileged(directory, volume->privileged, error);
}

Volume *volume_load(const char *directory, const char *handle, GError **error) {
        g_autoptr(GError) failure = NULL;
        g_autoptr(Value) stack = load(directory, "stack.json", &failure);
        g_autoptr(Value) properties = stack ? load(directory, "properties.json", &failure) : NULL;
        g_autoptr(Value) privileged = properties ? load(directory, "privileged.json", &failure)
                                                 : NULL;
        g_autoptr(Volume) volume = g_new0(Volume, 1);
        bool valid = privileged && value_length(stack) > 0 &&
                     value_length(stack) <= HELPER_LAYERS_MAX;

        volume->handle = g_strdup(handle);
        volume->stack = g_ptr_array_new_with_free_func(g_free);
        for (size_t i = 0; valid && i < value_length(stack); i++) {
                const char *id = value_text(value_at(stack, i));
                valid = id && helper_id_valid(id);
                g_ptr_array_add(volume->stack, g_strdup(id));
        }
        if (!valid) {
                g_set_error(error, ERROR, ERROR_NOT_FOUND, "no whole volume in %s: %s", directory,
                            failure ? failure->message : "its stack is damaged");
                return NULL;
        }
        volume->properties = value_is_null(properties) ? NULL : g_steal_pointer(&properties);
        volume->privileged = value_as_bool(privileged);
        return g_steal_pointer(&volume);
}

void volume_describe(const Volumes *volumes, const Volume *volume, VolumeResponse *ret) {
        g_autofree char *directory = volume_directory(volumes, "live", volume->handle);
        *ret = (VolumeResponse){ .handle = g_strdup(volume->handle),
                                 .path = g_build_filename(directory, "volume", NULL),
                                 .properties = value_ref(volume->properties),
                                 .privileged = volume->privileged };
}
