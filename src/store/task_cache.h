/* Directories that tasks of a job keep between builds (reference 04 §11.3; 05 §6.8). */
#pragma once

#include "base/clock.h"
#include "store/handle.h"

/* Finds or creates; job_id 0 (one-offs) is ERROR_INVALID: they have none. */
bool task_cache_find_or_create(Store *store, int64_t job_id, const char *step_name,
                               const char *path, int64_t *ret_id, GError **error);
/* ERROR_NOT_FOUND: never stored. */
bool task_cache_find(Store *store, int64_t job_id, const char *step_name, const char *path,
                     int64_t *ret_id, GError **error);
/* Stamps the use; ttl 0: no end. */
bool task_cache_touch(Store *store, int64_t id, Duration ttl, GError **error);
/* fly clear-task-cache; path NULL: all of the step. */
bool task_cache_clear(Store *store, int64_t job_id, const char *step_name, const char *path,
                      int64_t *ret_deleted, GError **error);
/* For the janitor. */
bool task_cache_sweep(Store *store, Time now, int64_t *ret_deleted, GError **error);
