/* What connects versions, builds and jobs, for those who look into it (reference 01 §11.4, §13.1, §13.4). */
#pragma once

#include "store/handle.h"
#include "store/resource.h"

/* Everything that the resolver of a pipeline's inputs goes by: the map of 01 §11.4. Returns new. */
Value *versions_db_dump(Store *store, int64_t pipeline_id, GError **error);

/* Active ones of a kind that have this history, by team, pipeline, name. Items: Resource, without its config. */
GPtrArray *resource_list_of_scope(Store *store, ResourceKind kind, int64_t scope_id,
                                  GError **error);

typedef struct {
        int64_t id, job_id;
        char *name, *status, *job_name;
} CausalityBuild;

/* A version that a build took in or put out. */
typedef struct {
        int64_t resource_id, version_id, build_id;
        char *resource;
        Value *version;
        bool is_output;
} CausalityEdge;

typedef struct {
        GPtrArray *builds; /* of CausalityBuild, by id */
        GPtrArray *edges;  /* of CausalityEdge of these builds, by build */
} Causality;

void causality_clear(Causality *causality);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Causality, causality_clear)

/*
 * The builds of jobs that a version of a resource went into, those that their outputs went into, and so on; or, upstream,
 * those that it came from. ERROR_NOT_FOUND for an unknown version, ERROR_LIMIT from 5000 builds or 25 000 edges on.
 */
bool causality_find(Store *store, int64_t resource_id, int64_t version_id, bool upstream,
                    Causality *ret, GError **error);
