/*
 * A task's configuration: from a file or inline, and how step and file come together (reference 03 §2.7, §3.5–3.7,
 * §7; 04 §4.3). Conventions: see config/pipeline.h.
 */
#pragma once

#include "base/duration.h"
#include "base/value.h"

typedef struct {
        bool has_cpu;
        bool has_memory;
        uint64_t cpu;    /* shares; 0: unlimited */
        uint64_t memory; /* bytes; 0: unlimited */
} ContainerLimits;

typedef struct {
        char *name;
        char *type;
        Value *source;  /* map */
        Value *version; /* map of strings */
        Value *params;  /* map */
        char **tags;
} ImageResourceConfig;

typedef struct {
        char *path;
        char **args;
        char *dir;
        char *user;
} TaskRunConfig;

typedef struct {
        char *name;
        char *path; /* as written: see task_path_name() */
        bool optional;
} TaskInputConfig;

typedef struct {
        char *name;
        char *path;
} TaskOutputConfig;

typedef struct {
        char *path;
        char *ttl; /* a valid duration of at least 1 s, or "" */
} TaskCacheConfig;

typedef struct {
        char *platform;
        char *rootfs_uri;
        ImageResourceConfig *image_resource; /* NULL: absent */
        ContainerLimits *container_limits;   /* NULL: absent */
        Value *params;                       /* map of strings: environment; coerced when read */
        TaskRunConfig run;
        GPtrArray *inputs;  /* of TaskInputConfig; the arrays may be NULL */
        GPtrArray *outputs; /* of TaskOutputConfig */
        GPtrArray *caches;  /* of TaskCacheConfig */
        Value *unknown;     /* map of top-level keys that nothing consumed; NULL: none */
} TaskConfig;

/* A task file: decodes, refuses unknown top-level keys ("unknown fields: [x]") and validates. Returns new. */
TaskConfig *task_config_parse(const char *text, size_t length, GError **error);
/* Decodes only; unknown top-level keys are kept in `unknown`. Returns new. */
TaskConfig *task_config_from_value(const Value *value, GError **error);
Value *task_config_to_value(
        const TaskConfig *config); /* as upstream's JSON; `unknown` is left out. Returns new */
TaskConfig *task_config_copy(const TaskConfig *config);
void task_config_free(TaskConfig *config);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TaskConfig, task_config_free)

/* Its faults, one line each, in upstream's order; empty when there are none. Returns new array of new strings. */
GPtrArray *task_config_faults(const TaskConfig *config);
/* The same as one error: "invalid task configuration:\n…". */
bool task_config_validate(const TaskConfig *config, GError **error);

/* Lays the step's limits and environment over the config's, field by field. Any of the two may be NULL. */
void task_config_override(TaskConfig *config, const ContainerLimits *limits, const Value *params);
/* Fills what limits are still absent; 0: no default. */
void task_config_default_limits(TaskConfig *config, uint64_t cpu, uint64_t memory);
/* Merges defaults (a map; may be NULL) under image_resource.source. */
void task_config_image_defaults(TaskConfig *config, const Value *defaults);

bool container_limits_from_value(const Value *value, ContainerLimits *ret, GError **error);
Value *container_limits_to_value(const ContainerLimits *limits); /* returns new */

/* Environment values: what every JSON value becomes (reference 03 §3.7). value is a map or null. Returns new map of
 * strings, or NULL with ERROR_INVALID. */
Value *task_params_coerce(const Value *value, GError **error);

/* Where something lives under the working directory: absolute stays, else every ".." is deleted and the rest joined
 * (reference 03 §3.6). Returns new. */
char *task_path(const char *working_directory, const char *path);

/* Shallow merge: over wins. Either may be NULL; both NULL makes NULL. Returns new. */
Value *source_merge(const Value *defaults, const Value *over);
