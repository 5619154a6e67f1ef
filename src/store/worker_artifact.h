/* Artifacts that people send in and fetch out: fly execute (01 §19). Not to be confused with pool's
 * Artifact, which points at any volume. */
#pragma once

#include "base/clock.h"
#include "store/handle.h"

typedef struct {
        int64_t id, build_id; /* build 0: sent in */
        char *name;           /* "" when sent in */
        Time created;
} WorkerArtifact;

void worker_artifact_free(WorkerArtifact *artifact);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(WorkerArtifact, worker_artifact_free)

/* Makes the created volume (handle) an artifact: sent in by a person (build_id 0), or output of a
 * build under this name. Returns new. */
WorkerArtifact *worker_artifact_create(Store *store, const char *volume_handle, int64_t build_id,
                                       const char *name, GError **error);
/* One whose volume is still to come: it is made with owner.artifact_id, so that at no time it belongs to nothing and is
 * swept while it is being filled. */
bool worker_artifact_reserve(Store *store, int64_t *ret_id, GError **error);
bool worker_artifact_delete(Store *store, int64_t id, GError **error);
WorkerArtifact *worker_artifact_get(Store *store, int64_t id, GError **error);
/* The created volume it is. Only the team's, or nobody's. ERROR_NOT_FOUND. Handles are new. */
bool worker_artifact_volume(Store *store, int64_t id, int64_t team_id, char **ret_worker,
                            char **ret_handle, GError **error);
GPtrArray *worker_artifact_list(Store *store, int64_t build_id, GError **error); /* by id */
/* For the janitor: volumes are released. */
bool worker_artifact_delete_older(Store *store, Time before, int64_t *ret_deleted, GError **error);
