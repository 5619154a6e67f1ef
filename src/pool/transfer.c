/* Artifacts from outside and to outside, and files of artifacts. */
#include "pool/placement.h"

#include "base/crypto.h"
#include "pool/baggageclaim.h"

char *pool_artifact_file(Pool *pool, Artifact *artifact, const char *path, size_t limit,
                         size_t *ret_length, Cancel *cancel, GError **error) {
        const WorkerCall call = { pool, artifact_worker(artifact), cancel };

        return baggageclaim_file(&call, artifact_volume(artifact), path, limit, ret_length, error);
}

/* Fills a volume that belongs to the artifact from the start. */
static bool fill(const WorkerCall *call, const Volume *row, StreamSource source, void *data,
                 GError **error) {
        const VolumeRequest request = { .handle = row->handle,
                                        .strategy = { .kind = VOLUME_STRATEGY_EMPTY } };
        const VolumeStream stream = { .handle = row->handle,
                                      .path = "/",
                                      .encoding = VOLUME_ENCODING_GZIP };
        g_autofree char *path = NULL;

        return baggageclaim_ensure(call, &request, &path, error) &&
               volume_set_created(call->pool->spec.store, row->id, error) &&
               baggageclaim_stream_in(call, &stream, source, data, error);
}

bool pool_artifact_upload(Pool *pool, const PlacementNeed *need, StreamSource source, void *data,
                          Cancel *cancel, int64_t *ret_id, GError **error) {
        g_autoptr(GPtrArray) workers = placement_candidates(pool, need, error);
        Store *store = pool->spec.store;
        uint32_t random;
        int64_t id;

        if (!workers)
                return false;
        crypto_random(&random, sizeof random);
        const Worker *worker = g_ptr_array_index(workers, random % workers->len);
        const WorkerCall call = { pool, worker->name, cancel };
        if (!worker_artifact_reserve(store, &id, error))
                return false;
        const VolumeSpec spec = { .worker = worker->name,
                                  .team_id = need->team_id,
                                  .owner = { .artifact_id = id } };
        g_autoptr(Volume) row = volume_create(store, &spec, error);
        if (row && fill(&call, row, source, data, error)) {
                *ret_id = id;
                return true;
        }
        worker_artifact_delete(store, id,
                               NULL); /* its volume belongs to nothing then, and is swept */
        return false;
}

bool pool_artifact_download(Pool *pool, Artifact *artifact, StreamSink sink, void *data,
                            Cancel *cancel, GError **error) {
        const WorkerCall call = { pool, artifact_worker(artifact), cancel };
        const VolumeStream stream = { .handle = artifact_volume(artifact),
                                      .path = "/",
                                      .encoding = VOLUME_ENCODING_GZIP };

        return baggageclaim_stream_out(&call, &stream, sink, data, error);
}

bool pool_find_cache(Pool *pool, int64_t resource_cache_id, const PlacementNeed *need,
                     Artifact **ret, GError **error) {
        g_autoptr(GPtrArray)
                names = volume_list_cache_workers(pool->spec.store, resource_cache_id, 0, error);

        *ret = NULL;
        for (size_t i = 0; names && !*ret && i < names->len; i++) {
                const char *name = g_ptr_array_index(names, i);
                g_autoptr(Worker) worker = worker_find(pool->spec.store, name, NULL);
                if (!worker || !placement_fits(worker, need))
                        continue;
                g_autoptr(Volume) volume = volume_find_cache(pool->spec.store, resource_cache_id,
                                                             name, 0, NULL);
                if (volume)
                        *ret = artifact_new(&(ArtifactSpec){ .worker = name,
                                                             .volume = volume->handle,
                                                             .resource_cache_id = resource_cache_id,
                                                             .from_cache = true });
        }
        return names != NULL;
}
