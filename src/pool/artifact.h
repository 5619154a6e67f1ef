/* Something a step made or fetched: a volume on a worker. What steps hand to each other. */
#pragma once

#include "base/value.h"

/* Immutable, reference counted; any thread. */
typedef struct Artifact Artifact;

typedef struct {
        const char *worker;        /* name */
        const char *volume;        /* handle */
        int64_t resource_cache_id; /* 0: none */
        bool from_cache;           /* found, not fetched: does not count for volume locality */
} ArtifactSpec;

Artifact *artifact_new(const ArtifactSpec *spec); /* copies */
Artifact *artifact_ref(Artifact *artifact);       /* accepts NULL */
void artifact_free(Artifact *artifact);           /* drops one reference; accepts NULL */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Artifact, artifact_free)

const char *artifact_worker(const Artifact *artifact);
const char *artifact_volume(const Artifact *artifact);
int64_t artifact_resource_cache(const Artifact *artifact);
bool artifact_from_cache(const Artifact *artifact);
Value *artifact_to_value(const Artifact *artifact); /* for the step journal; returns new */
Artifact *artifact_from_value(const Value *value);  /* returns new; NULL when it is none */
