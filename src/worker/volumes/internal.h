/* What the files of this folder share. */
#pragma once

#include "base/thread.h"
#include "worker/volumes/volumes.h"

/* How a volume is mounted. */
typedef enum { VIEW_PLAIN, VIEW_MAPPED, VIEW_COUNT } View;

/* Guarded by Volumes.lock; who has it `busy` may change it with the lock released in between. */
typedef struct {
        char *handle;
        GPtrArray *stack; /* of char*: ids of layers, the top first; never changes */
        Value *properties;
        bool privileged;
        bool busy;
        GHashTable *users[VIEW_COUNT]; /* of container handles */
        bool mounted[VIEW_COUNT];      /* by us, in this run */
        bool claimed[VIEW_COUNT];      /* by a container of an earlier run, in its own namespace */
} Volume;

struct Volumes {
        char *work;
        Helper *helper;
        VolumesDriver driver;
        uint64_t disk_reserve;
        Mutex lock;
        Condition given;    /* a volume is no longer busy */
        GHashTable *live;   /* handle → Volume* */
        GHashTable *making; /* set of handles in init/ */
        GHashTable *layers; /* id → how many stacks and streams hold it */
};

/* ---- volume.c: one volume on disk and in memory ---- */

void volume_free(Volume *volume);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Volume, volume_free)
/* <work>/volumes/<state>/<handle>, state one of init, live, dead. Returns new. */
char *volume_directory(const Volumes *volumes, const char *state, const char *handle);
char *layer_directory(const Volumes *volumes, const char *id); /* returns new */
/* Writes the three files; they need not survive the machine's crash: a volume without them is none.
 */
bool volume_save(const char *directory, const Volume *volume, GError **error);
bool volume_save_properties(const char *directory, const Value *properties, GError **error);
bool volume_save_privileged(const char *directory, bool privileged, GError **error);
/* Returns new; NULL with ERROR_NOT_FOUND when a file is missing or unreadable. */
Volume *volume_load(const char *directory, const char *handle, GError **error);
void volume_describe(const Volumes *volumes, const Volume *volume, VolumeResponse *ret);

/* ---- table.c: who has what; each takes the lock itself ---- */

/* Waits until the volume is nobody's and takes it. ERROR_NOT_FOUND. */
Volume *volumes_take(Volumes *volumes, const char *handle, GError **error);
void volumes_give(Volumes *volumes, Volume *volume);

typedef struct {
        Volumes *volumes;
        Volume *volume;
} VolumeTaken;
static inline void volume_taken_end(VolumeTaken *taken) {
        if (taken->volume)
                volumes_give(taken->volumes, taken->volume);
}
/* The volume is given back at the end of scope. */
#define TAKEN_VOLUME __attribute__((cleanup(volume_taken_end))) VolumeTaken

/* A copy of a live volume's stack whose layers stay until it is dropped. NULL with
 * ERROR_NOT_FOUND. */
GPtrArray *volumes_hold_stack(Volumes *volumes, const char *handle, GError **error);
void volumes_hold_layers(Volumes *volumes, const GPtrArray *stack);
/* Drops the hold and removes the layers that nobody holds any more. Takes stack; accepts NULL. */
void volumes_drop_stack(Volumes *volumes, GPtrArray *stack);

/* "<work>/volumes/live/H/volume/a/b" → "H" and "a/b"; false when it is no such path. */
bool volumes_parse_path(const Volumes *volumes, const char *path, char **ret_handle,
                        char **ret_below);

/* ---- uses.c ---- */

/* Unmounts what an earlier unmount could not; nobody uses the volume, and the caller has it. */
void volume_unmount(Volumes *volumes, Volume *volume);

/* ---- fill.c: what goes into a new volume ---- */

/* Makes an empty layer. Returns its id, new. */
char *layer_make(Volumes *volumes, GError **error);
/* Fills volume->stack as the request says; its layers are held for the volume. */
bool volume_fill(Volumes *volumes, const VolumeRequest *request, Volume *volume, Cancel *cancel,
                 GError **error);

/* ---- streams.c ---- */

/* A pack job under way: read the stream from fd, then volumes_packing_end. */
typedef struct {
        GPtrArray *stack;
        HelperChild *child;
        int fd;
} Packing;
bool volumes_packing_begin(Volumes *volumes, const VolumesStream *stream, Packing *ret,
                           GError **error);
bool volumes_packing_end(Volumes *volumes, Packing *packing, Cancel *cancel, GError **error);
void volumes_packing_drop(Volumes *volumes, Packing *packing); /* without waiting for success */

/* Copies one tree into a layer: a pack and an unpack job with a pipe between. `from` has layers or
 * a directory and a path. */
typedef struct {
        HelperJob from;
        const char *layer;
        bool any_owner;
} CopySpec;
bool volumes_copy(Volumes *volumes, const CopySpec *spec, Cancel *cancel, GError **error);
