/* Mounts of layers, made by the helper process and by its children. Single-threaded code: it moves
 * the working directory and the file system ids of the whole process for moments. */
#pragma once

#include "worker/helper/protocol.h"

typedef struct {
        const char *const *layers; /* the top first */
        size_t layer_count;
        int user_namespace; /* -1: owners as on disk */
        bool read_only;     /* the top layer is read like the rest */
        const char *target; /* an existing directory */
} LayerMount;

/* work: the work directory; its "stage" is where layers are attached for the moment of a mount. */
bool layers_mount(const char *work, const LayerMount *mount, GError **error);

/* Detaches what is mounted there; fine when nothing is. */
bool layers_unmount(const char *target, GError **error);

/* Makes "stage" and its numbered directories. */
bool layers_prepare(const char *work, GError **error);
