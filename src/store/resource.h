/* Resources and resource types of pipelines: their place in the config, pins, checks (reference 05
 * §1.2, §2; 01 §13). */
#pragma once

#include "base/clock.h"
#include "store/handle.h"

typedef enum { RESOURCE_KIND_RESOURCE, RESOURCE_KIND_TYPE, RESOURCE_KIND_PROTOTYPE } ResourceKind;

/* A resource, resource type or prototype. */
typedef struct {
        ResourceKind kind;
        int64_t id, pipeline_id, team_id;
        char *name, *type, *pipeline_name, *team_name;
        Value *instance_vars;
        bool active, public; /* public: of the resource itself */
        bool pipeline_paused, pipeline_public, pipeline_archived;
        Value *config;         /* its map in the pipeline's config; NULL when archived */
        int64_t config_id;     /* resource config; 0: not checked yet */
        int64_t scope_id;      /* 0: not checked yet */
        Value *pinned_version; /* NULL: not pinned */
        bool pinned_in_config;
        char *pin_comment;
} Resource;

void resource_free(Resource *resource);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Resource, resource_free)

/* Active ones. Return new. */
Resource *resource_find(Store *store, ResourceKind kind, int64_t pipeline_id, const char *name,
                        GError **error);
Resource *resource_get(Store *store, ResourceKind kind, int64_t id, GError **error);
/* Items: Resource, by name. */
GPtrArray *resource_list(Store *store, ResourceKind kind, int64_t pipeline_id, GError **error);
/* Resources (RESOURCE_KIND_RESOURCE) by id; as 01 §13.1 ListAllResources. */
GPtrArray *resource_list_visible(Store *store, const Visibility *visibility, GError **error);

/* ---- pins (05 §1.2). ERROR_DENIED "resource is pinned through config". ---- */
bool resource_pin(Store *store, int64_t id, int64_t version_id, GError **error);
bool resource_unpin(Store *store, int64_t id, GError **error); /* ERROR_NOT_FOUND: was not pinned */
bool resource_set_pin_comment(Store *store, int64_t id, const char *comment, GError **error);

/* ---- which history it has ---- */

/*
 * Points it at a resource config and scope (store/resource_scope.h); when that changed, scheduling
 * of every job with it as an input is requested. Nothing is written when it is there already.
 */
bool resource_set_scope(Store *store, ResourceKind kind, int64_t id, int64_t config_id,
                        int64_t scope_id, GError **error);

/* ---- what to check (05 §2.2) ---- */

/* One resource the checker looks at. Text is owned. */
typedef struct {
        int64_t id, pipeline_id, team_id, scope_id;
        char *name, *type;
        Value *config;
        Value *pinned_version; /* NULL: none */
        bool triggers; /* 05 §2.2 clause 1: an input without `passed` of a job that it triggers */
        bool input;    /* an input without `passed` of any job */
        bool has_version; /* its scope has one */
        bool has_pinned;  /* its scope has one that contains the pin, or there is no pin */
} CheckCandidate;

void check_candidate_free(CheckCandidate *candidate);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(CheckCandidate, check_candidate_free)

/* Active resources of unpaused, unarchived pipelines in these buckets (store/lease_bucket.h; of
 * the pipeline), by id, whether due or not. */
GPtrArray *check_candidate_list(Store *store, uint64_t buckets, GError **error);
/* One of them, or ERROR_NOT_FOUND when it is not to be checked any more. */
CheckCandidate *check_candidate_get(Store *store, int64_t resource_id, GError **error);
