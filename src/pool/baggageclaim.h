/* A worker's volumes, called over HTTP (reference 06 §4). Internal to the pool. */
#pragma once

#include "pool/worker_http.h"
#include "wire/baggageclaim.h"

typedef struct {
        Pool *pool;
        const char *worker;
        Cancel *cancel;
} WorkerCall;

/* Makes it, or finds that it is there. *ret_path is new: absolute, on the worker. */
bool baggageclaim_ensure(const WorkerCall *call, const VolumeRequest *request, char **ret_path,
                         GError **error);
/* ERROR_NOT_FOUND. */
bool baggageclaim_path(const WorkerCall *call, const char *handle, char **ret_path, GError **error);
bool baggageclaim_set_privileged(const WorkerCall *call, const char *handle, bool privileged,
                                 GError **error);
/* path below the volume; encoding of the tar stream. */
typedef struct {
        const char *handle, *path;
        VolumeEncoding encoding;
} VolumeStream;
bool baggageclaim_stream_in(const WorkerCall *call, const VolumeStream *stream, HttpSource source,
                            void *data, GError **error);
bool baggageclaim_stream_out(const WorkerCall *call, const VolumeStream *stream, HttpSink sink,
                             void *data, GError **error);
/* One file of a volume, at most limit bytes. ERROR_NOT_FOUND. Returns new, NUL-terminated. */
char *baggageclaim_file(const WorkerCall *call, const char *handle, const char *path, size_t limit,
                        size_t *ret_length, GError **error);
