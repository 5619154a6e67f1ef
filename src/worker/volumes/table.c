#include "base/files.h"
#include "base/log.h"
#include "worker/volumes/internal.h"

#include <string.h>

/* ---- taking turns ---- */

Volume *volumes_take(Volumes *volumes, const char *handle, GError **error) {
        MUTEX_SCOPE(&volumes->lock);
        for (;;) {
                /* Looked up anew each time: it may be destroyed while we wait. */
                Volume *volume = g_hash_table_lookup(volumes->live, handle);
                if (!volume) {
                        g_set_error(error, ERROR, ERROR_NOT_FOUND, "volume not found: %s", handle);
                        return NULL;
                }
                if (!volume->busy) {
                        volume->busy = true;
                        return volume;
                }
                condition_wait(&volumes->given, &volumes->lock);
        }
}

void volumes_give(Volumes *volumes, Volume *volume) {
        MUTEX_SCOPE(&volumes->lock);
        volume->busy = false;
        condition_broadcast(&volumes->given);
}

/* ---- layers ---- */

static void hold_locked(Volumes *volumes, const GPtrArray *stack) {
        for (guint i = 0; i < stack->len; i++) {
                const char *id = stack->pdata[i];
                guint count = GPOINTER_TO_UINT(g_hash_table_lookup(volumes->layers, id));
                g_hash_table_insert(volumes->layers, g_strdup(id), GUINT_TO_POINTER(count + 1));
        }
}

void volumes_hold_layers(Volumes *volumes, const GPtrArray *stack) {
        MUTEX_SCOPE(&volumes->lock);
        hold_locked(volumes, stack);
}

GPtrArray *volumes_hold_stack(Volumes *volumes, const char *handle, GError **error) {
        MUTEX_SCOPE(&volumes->lock);
        const Volume *volume = g_hash_table_lookup(volumes->live, handle);
        if (!volume) {
                g_set_error(error, ERROR, ERROR_NOT_FOUND, "volume not found: %s", handle);
                return NULL;
        }
        hold_locked(volumes, volume->stack);
        return g_ptr_array_copy(volume->stack, (GCopyFunc) (void *) g_strdup, NULL);
}

void volumes_drop_stack(Volumes *volumes, GPtrArray *stack) {
        if (!stack)
                return;
        g_autoptr(GPtrArray) unused = g_ptr_array_new_with_free_func(g_free);
        {
                MUTEX_SCOPE(&volumes->lock);
                for (guint i = 0; i < stack->len; i++) {
                        const char *id = stack->pdata[i];
                        guint count = GPOINTER_TO_UINT(g_hash_table_lookup(volumes->layers, id));
                        if (count > 1) {
                                g_hash_table_insert(volumes->layers, g_strdup(id),
                                                    GUINT_TO_POINTER(count - 1));
                        } else {
                                g_hash_table_remove(volumes->layers, id);
                                g_ptr_array_add(unused, g_strdup(id));
                        }
                }
        }
        for (guint i = 0; i < unused->len; i++) {
                g_autoptr(GError) error = NULL;
                g_autofree char *directory = layer_directory(volumes, unused->pdata[i]);
                /* What is left is removed by the next clean-up: no stack names it. */
                if (!directory_remove(directory, &error) && !error_is(error, ERROR_NOT_FOUND))
                        log_error("volumes", "remove-layer-failed", error, "layer",
                                  (const char *) unused->pdata[i]);
        }
        g_ptr_array_unref(stack);
}

/* ---- paths ---- */

bool volumes_parse_path(const Volumes *volumes, const char *path, char **ret_handle,
                        char **ret_below) {
        g_autofree char *live = g_strdup_printf("%s/volumes/live/", volumes->work);
        if (!g_str_has_prefix(path, live))
                return false;
        const char *handle = path + strlen(live);
        size_t length = strcspn(handle, "/");
        const char *rest = handle + length;
        if (!g_str_has_prefix(rest, "/volume") || (rest[7] != '/' && rest[7] != '\0'))
                return false;
        g_autofree char *name = g_strndup(handle, length);
        if (!helper_id_valid(name))
                return false;
        rest += 7;
        *ret_handle = g_steal_pointer(&name);
        *ret_below = g_strdup(rest + strspn(rest, "/"));
        return true;
}
