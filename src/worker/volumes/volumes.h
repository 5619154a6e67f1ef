/*
 * The worker's volumes: directories with a handle, made empty, from an archive, or as
 * copy-on-write children of each other; and the Baggageclaim server in front of them (reference 06
 * §4).
 *
 * On disk, below the work directory:
 *   volumes/init/<handle>/   being made
 *   volumes/live/<handle>/   properties.json, privileged.json, stack.json (ids of layers, top
 *                            first), volume/ (always empty: its path is only a name)
 *   volumes/dead/<handle>/   being destroyed
 *   layers/<id>/data, work   what one volume wrote; a child's stack names its parent's layers too,
 *                            and a layer goes when no stack names it
 *   mounts/<handle>/…        mount points, see volumes_mount
 * Owners on disk are those a container sees: a root-owned file is owned by 0, whether the volume
 * is privileged or not. `privileged` is a mark and no more; changing it touches no file.
 */
#pragma once

#include "worker/helper/helper.h"

typedef struct Volumes Volumes; /* any thread */

typedef enum {
        VOLUMES_DETECT, /* overlay where it works, else naive */
        VOLUMES_OVERLAY,
        VOLUMES_BTRFS,
        VOLUMES_NAIVE,
} VolumesDriver;

bool volumes_driver_parse(const char *name, VolumesDriver *ret, GError **error);
const char *volumes_driver_name(VolumesDriver driver);

typedef struct {
        const char *work_directory; /* as given to helper_start */
        Helper *helper;             /* borrowed */
        VolumesDriver driver;
        uint64_t disk_reserve; /* bytes a stream-in leaves free; 0: 256 MiB */
} VolumesSpec;

/* Finds what is on disk: finishes what was being destroyed, drops what was being made. Mounts
 * nothing. */
Volumes *volumes_open(const VolumesSpec *spec, GError **error);
void volumes_free(Volumes *volumes); /* leaves everything on disk */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Volumes, volumes_free)
VolumesDriver volumes_driver(const Volumes *volumes); /* the chosen one */

/* ---- for containers ---- */

typedef struct {
        const char *container; /* handle */
        const char *path; /* as the web node sent it: the rootfs without raw://, or a src_path */
        bool privileged;  /* the container runs outside the user namespace */
} VolumesUse;

/*
 * Makes a volume's files visible to a container, with owners mapped as that container needs, and
 * returns the path to give to the OCI runtime, e.g. for "<work>/volumes/live/H/volume/rootfs"
 * "<work>/mounts/H/mapped/rootfs". Mounts at the first use; containers that use one volume alike
 * share the mount. Call it for the rootfs and for each bind mount's source. Read-only is the
 * runtime's business.
 * A path that is in no volume of ours: ERROR_NOT_FOUND (bind it as it is, or refuse it).
 * A volume that is in use with the other mapping: ERROR_BUSY, unless it is one plain layer.
 */
char *volumes_mount(Volumes *volumes, const VolumesUse *use, GError **error);
/* For a container that survived a restart of the worker and still holds the mount in its own mount
 * namespace: marks the volume as in use and mounts nothing. Must come before anything else. */
bool volumes_claim(Volumes *volumes, const VolumesUse *use, GError **error);
/* When the container is gone: drops all its uses; what nobody uses any more is unmounted. */
void volumes_release(Volumes *volumes, const char *container);

/* ---- volumes by handle ---- */

/* Returns the volume's description. Creates it synchronously. ERROR_INVALID "no strategy given",
 * "unknown strategy", "no parent volume provided"; ERROR_NOT_FOUND "parent volume not found";
 * ERROR_EXISTS. */
bool volumes_create(Volumes *volumes, const VolumeRequest *request, Cancel *cancel,
                    VolumeResponse *ret, GError **error);
bool volumes_get(Volumes *volumes, const char *handle, VolumeResponse *ret, GError **error);
/* All whose properties hold every pair of filter (a map, may be NULL). Returns new, of
 * VolumeResponse*, which volume_response_free() frees; sorted by handle. */
GPtrArray *volumes_list(Volumes *volumes, const Value *filter);
/* ERROR_NOT_FOUND; ERROR_BUSY while a container uses it. Children keep what they need. */
bool volumes_destroy(Volumes *volumes, const char *handle, GError **error);
bool volumes_set_property(Volumes *volumes, const char *handle, const char *name, const char *value,
                          GError **error);
bool volumes_set_privileged(Volumes *volumes, const char *handle, bool privileged, GError **error);
/* Finishes interrupted destroys and removes layers nobody needs. */
bool volumes_clean(Volumes *volumes, GError **error);

/* ---- streams ---- */

typedef struct {
        const char *handle;
        const char *path; /* below the volume's root; "", "." and "/" are the root */
        VolumeEncoding encoding;
        Cancel *cancel;
        bool (*sink)(const void *bytes, size_t length, void *data, GError **error); /* of out */
        ssize_t (*source)(void *ret, size_t length, void *data, GError **error);    /* of in */
        void *data;
        uint64_t limit; /* in: of compressed bytes, 0: none; ERROR_LIMIT beyond */
} VolumesStream;

/* ERROR_NOT_FOUND "no such file or directory" before the sink saw a byte. */
bool volumes_stream_out(Volumes *volumes, const VolumesStream *stream, GError **error);
bool volumes_stream_in(Volumes *volumes, const VolumesStream *stream, GError **error);

/* ---- the Baggageclaim server ---- */

typedef struct VolumesServer VolumesServer;

typedef struct {
        Volumes *volumes; /* borrowed */
        const char *address;
        uint16_t port;                     /* 0: any */
        const char *p2p_interface_pattern; /* NULL: "eth0" */
        int p2p_family;                    /* 4 or 6; 0: 4 */
} VolumesServerSpec;

VolumesServer *volumes_server_start(const VolumesServerSpec *spec, GError **error);
uint16_t volumes_server_port(const VolumesServer *server);
void volumes_server_stop(VolumesServer *server, Duration grace); /* accepts NULL */
