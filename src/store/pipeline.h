/* Pipelines (reference 05 §1.2, §5; 01 §11, §12). */
#pragma once

#include "base/clock.h"
#include "store/build_lease.h"
#include "store/handle.h"

typedef struct {
        int64_t id, team_id;
        char *team_name, *name;
        Value *instance_vars; /* NULL: none */
        bool paused, public, archived;
        char *paused_by;
        Time paused_at;
        int64_t version; /* of the config; 0 when archived */
        int64_t ordering, secondary_ordering;
        int64_t parent_job_id, parent_build_id;
        Time last_updated;
        Value *groups, *display, *user_data; /* NULL: none */
} Pipeline;

void pipeline_free(Pipeline *pipeline);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Pipeline, pipeline_free)

/* What names a pipeline within its team. instance_vars NULL: the plain one. Compared in any key
 * order. */
Pipeline *pipeline_find(Store *store, int64_t team_id, const char *name, const Value *instance_vars,
                        GError **error);
Pipeline *pipeline_get(Store *store, int64_t id, GError **error);
/* team_id 0: of all teams. Visibility as 01 §11.2; order: own teams first, team name, ordering,
 * secondary ordering; of a single team: ordering, secondary ordering. Items: Pipeline. */
GPtrArray *pipeline_list(Store *store, int64_t team_id, const Visibility *visibility,
                         GError **error);
/* All instances of a name, by secondary ordering. Items: Pipeline. */
GPtrArray *pipeline_list_instances(Store *store, int64_t team_id, const char *name, GError **error);

/*
 * The whole config as it was saved: the map of 01 §12.1's "config", vars not resolved. Immutable
 * and shared: parsed once per config version. Returns new (a reference). ERROR_NOT_FOUND when
 * archived. *ret_version may be NULL.
 */
Value *pipeline_config(Store *store, int64_t id, int64_t *ret_version, GError **error);

typedef struct {
        int64_t team_id;
        const char *name;
        const Value *instance_vars; /* NULL: none */
        const Value *config;        /* validated: the map of 01 §12.1's "config" */
        bool check_version;         /* refuse unless `from_version` is current (new ones: any) */
        int64_t from_version;
        bool initially_paused;                  /* of a pipeline that is new */
        bool unpause_archived;                  /* set_pipeline steps: un-archiving unpauses */
        int64_t parent_job_id, parent_build_id; /* set_pipeline steps; 0: cleared */
        const BuildLease *lease;                /* of the step's build; NULL: none */
} PipelineSave;

/*
 * Saves config, jobs, resources, types, pins, serial groups, inputs and outputs in one transaction
 * as 05 §1.2 and §5.5 say, and requests scheduling of all its jobs. Errors: ERROR_DENIED "pipeline set by a newer
 * build"; ERROR_BUSY "comparison with existing config failed during save": it is at another version, or this very build
 * has set it before; ERROR_STALE: the lease is lost; ERROR_INVALID "job name swapping is not supported at this time".
 * *ret (may be NULL) is new.
 */
bool pipeline_save(Store *store, const PipelineSave *save, bool *ret_created, Pipeline **ret,
                   GError **error);

typedef struct {
        int64_t id;
        int64_t parent_job_id, parent_build_id;
        const BuildLease *lease;
} PipelineParent;
/* A step found nothing to change: the pipeline is its build's from now on. ERROR_DENIED "pipeline set by a newer
 * build" when it is that of a newer one, or of this one already. */
bool pipeline_set_parent(Store *store, const PipelineParent *parent, GError **error);

bool pipeline_pause(Store *store, int64_t id, const char *by, GError **error);
bool pipeline_unpause(Store *store, int64_t id, GError **error);
bool pipeline_set_public(Store *store, int64_t id, bool public, GError **error);
bool pipeline_archive(Store *store, int64_t id, GError **error);
/* With all builds; their logs go after the commit. */
bool pipeline_delete(Store *store, int64_t id, GError **error);
/* All instances. ERROR_NOT_FOUND, ERROR_EXISTS. */
bool pipeline_rename(Store *store, int64_t team_id, const char *from, const char *to,
                     GError **error);
/* ERROR_NOT_FOUND "pipeline 'x' not found": nothing is changed. names: char *. */
bool pipeline_order(Store *store, int64_t team_id, const GPtrArray *names, GError **error);
/* instances: list of maps (or null). */
bool pipeline_order_within_group(Store *store, int64_t team_id, const char *name,
                                 const Value *instances, GError **error);
/* Pauses those that nothing was built in since `before`, nor is, and that were not saved since (05 §5.3). Returns in
 * *ret how many. */
bool pipeline_pause_unused(Store *store, Time before, int64_t *ret, GError **error);
/* Archives what no job sets any more (05 §5.4). Returns in *ret how many. */
bool pipeline_archive_abandoned(Store *store, int64_t *ret, GError **error);
