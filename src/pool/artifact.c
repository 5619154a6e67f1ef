#include "pool/artifact.h"

struct Artifact {
        gatomicrefcount references;
        char *worker;
        char *volume;
        int64_t resource_cache_id;
        bool from_cache;
};

Artifact *artifact_new(const ArtifactSpec *spec) {
        Artifact *artifact = g_new0(Artifact, 1);

        g_atomic_ref_count_init(&artifact->references);
        artifact->worker = g_strdup(spec->worker);
        artifact->volume = g_strdup(spec->volume);
        artifact->resource_cache_id = spec->resource_cache_id;
        artifact->from_cache = spec->from_cache;
        return artifact;
}

Artifact *artifact_ref(Artifact *artifact) {
        if (artifact)
                g_atomic_ref_count_inc(&artifact->references);
        return artifact;
}

void artifact_free(Artifact *artifact) {
        if (!artifact || !g_atomic_ref_count_dec(&artifact->references))
                return;
        g_free(artifact->worker);
        g_free(artifact->volume);
        g_free(artifact);
}

const char *artifact_worker(const Artifact *artifact) {
        return artifact->worker;
}

const char *artifact_volume(const Artifact *artifact) {
        return artifact->volume;
}

int64_t artifact_resource_cache(const Artifact *artifact) {
        return artifact->resource_cache_id;
}

bool artifact_from_cache(const Artifact *artifact) {
        return artifact->from_cache;
}

Value *artifact_to_value(const Artifact *artifact) {
        Value *value = value_map();

        value_map_set_string(value, "worker", artifact->worker);
        value_map_set_string(value, "volume", artifact->volume);
        value_map_set_int_opt(value, "resource_cache_id", artifact->resource_cache_id);
        value_map_set_bool_opt(value, "from_cache", artifact->from_cache);
        return value;
}

Artifact *artifact_from_value(const Value *value) {
        const char *worker = value_get_string(value, "worker", NULL);
        const char *volume = value_get_string(value, "volume", NULL);

        if (!worker || !volume)
                return NULL;
        return artifact_new(&(ArtifactSpec){
                .worker = worker,
                .volume = volume,
                .resource_cache_id = value_get_int(value, "resource_cache_id", 0),
                .from_cache = value_get_bool(value, "from_cache", false),
        });
}
