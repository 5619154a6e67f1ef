/* Entities as JSON (reference 01 §8.1, §10, §11.1, §13, §16, §17). Each returns new. Internal to api. */
#pragma once

#include "api/call.h"

/* RFC 3339 in UTC, with microseconds unless they are 0; the zero time of Go for 0. Returns new text. */
char *present_time(Time time);
Value *present_build(const Build *build, bool with_comment);
Value *present_builds(const GPtrArray *builds); /* of Build, without comments */
Value *present_pipeline(const Pipeline *pipeline);
Value *present_team(const Team *team);
Value *present_job(const JobSummary *summary, const Build *next, const Build *finished,
                   const char *team_name);
Value *present_job_summary(const JobSummary *summary);
Value *present_resource(Store *store, const Resource *resource);
Value *present_version(const Version *version, bool with_metadata);
Value *present_worker(const Worker *worker);
/* with_expiry: when the check session ends, which only lists of one show. */
Value *present_container(const Container *container, bool with_expiry);
Value *present_volume(Store *store, const Volume *volume);
Value *present_artifact(const WorkerArtifact *artifact);
