/* What the files of the store share; nobody else includes it. */
#pragma once

#include "base/json.h"
#include "base/thread.h"
#include "store/store.h"

#include <stdatomic.h>

#define LEASE_PERIODS_MAX 10

typedef struct Bus Bus;                   /* notify.c */
typedef struct Logs Logs;                 /* build_log.c */
typedef struct ConfigCache ConfigCache;   /* pipeline_config.c */
typedef struct ScopeChecks ScopeChecks;   /* scope_check.c */
typedef struct MemoryBuilds MemoryBuilds; /* check_build.c */
typedef struct Heartbeats Heartbeats;     /* worker_heartbeat.c */
typedef struct Components Components;     /* component.c */

struct Store {
        Db *db;
        bool postgres;
        char *log_directory, *node;
        atomic_bool disk_low; /* the web node's own */
        Bus *bus;
        Logs *logs;
        ConfigCache *configs;
        ScopeChecks *checks;
        MemoryBuilds *memory_builds;
        Heartbeats *heartbeats;
        Components *components;

        Mutex flush_lock; /* of what follows */
        Condition flush_wake;
        bool closing, dirty;
        Duration flush_period;
        Thread *flusher;
};

/* Something in memory waits to be written within the flush period. */
void store_mark_dirty(Store *store);

/* ---- short forms of closures ---- */

/* Makes an item of the row that db_next() reached. NULL is an error. */
typedef void *(*RowFn)(Store *store, DbRows *rows, GError **error);

/* A statement and its arguments, as one thing to hand on. */
typedef struct {
        const char *sql;
        const DbArg *args;
        size_t count;
} Statement;
#define SQL(sql_, ...)                                                                             \
        (&(Statement){                                                                             \
                sql_, (const DbArg[]){ __VA_ARGS__ __VA_OPT__(, ){ 0 } },                          \
                sizeof((const DbArg[]){ __VA_ARGS__ __VA_OPT__(, ){ 0 } }) / sizeof(DbArg) - 1 })

/* In a transaction of their own. *ret_changed may be NULL. */
bool store_exec(Store *store, const Statement *statement, int64_t *ret_changed, GError **error);
GPtrArray *store_list(Store *store, RowFn row, GDestroyNotify item_free, const Statement *statement,
                      GError **error);
/* ERROR_NOT_FOUND "<what> not found" without a row. */
void *store_one(Store *store, RowFn row, const char *what, const Statement *statement,
                GError **error);
GArray *store_ids(Store *store, const Statement *statement, GError **error); /* int64_t */

/* Within one. */
bool tx_exec(DbTx *tx, const Statement *statement, int64_t *ret_changed, GError **error);
bool tx_list(DbTx *tx, Store *store, RowFn row, GPtrArray *into, const Statement *statement,
             GError **error);
/* *ret is NULL without a row. */
bool tx_one(DbTx *tx, Store *store, RowFn row, void **ret, const Statement *statement,
            GError **error);
bool tx_int(DbTx *tx, int64_t otherwise, int64_t *ret, const Statement *statement, GError **error);
bool tx_ids(DbTx *tx, GArray *into, const Statement *statement, GError **error);
/* The id of INSERT … RETURNING id. */
bool tx_insert(DbTx *tx, int64_t *ret_id, const Statement *statement, GError **error);
void *row_text(Store *store, DbRows *rows, GError **error); /* RowFn: column 0 as char * */

bool tx_counter(DbTx *tx, const char *name, int64_t by, int64_t *ret, GError **error);

/* A changed row or ERROR_NOT_FOUND "<what> not found". */
bool changed_or_not_found(int64_t changed, const char *what, GError **error);

/* ---- text and JSON ---- */
char *json_canonical(const Value *value);  /* sorted keys; NULL and {} make "" */
char *json_or_null(const Value *value);    /* NULL for none */
Value *row_json(DbRows *rows, int column); /* NULL for NULL and '' */
bool seal_json(Store *store, const Value *value, char **ret_text, char **ret_nonce, GError **error);
Value *unseal_json(Store *store, const char *text, const char *nonce, GError **error);
const char *text_or_empty(const char *text);

/* Whether `value` has every member of `part`, as PostgreSQL's @>; for flat maps of text. */
bool version_contains(const Value *value, const Value *part);

/* ---- notify.c ---- */
Bus *bus_new(Db *db);
void bus_free(Bus *bus);
void tx_notify(DbTx *tx, NotifyKind kind, int64_t id);
void bus_deliver(Bus *bus, NotifyKind kind, int64_t id); /* in this process, at once */

/* ---- job.c ---- */
/* Requests scheduling of active jobs where `condition` (arguments from $2; $1 is taken) holds, and
 * wakes the scheduler for each. */
bool tx_job_get(DbTx *tx, Store *store, int64_t id, Job **ret,
                GError **error); /* *ret NULL: gone */
bool tx_request_schedule(DbTx *tx, const Statement *statement, GError **error);
#define SCHEDULE_WHERE(condition)                                                                  \
        "UPDATE jobs SET schedule_requested = CASE WHEN schedule_requested >= $1 THEN "            \
        "schedule_requested + 1 ELSE $1 END WHERE active AND (" condition ") RETURNING id"
/* tx_request_schedule(tx, SCHEDULE("id = $2", DB_INT(id)), error) */
#define SCHEDULE(condition, ...) SQL(SCHEDULE_WHERE(condition), DB_INT(clock_now()), __VA_ARGS__)

/* ---- pipeline_config.c ---- */
ConfigCache *config_cache_new(void);
void config_cache_free(ConfigCache *cache);
/* The parsed config of a pipeline. *ret is NULL when archived. */
bool tx_pipeline_config(DbTx *tx, Store *store, int64_t pipeline_id, Value **ret, GError **error);
/* The member called `name` of config[list]. Returns new reference or NULL. */
Value *config_member(const Value *config, const char *list, const char *name);
extern const char *const resource_kind_lists[]; /* by ResourceKind: "resources", … */

/* ---- pipeline_save.c, pipeline_shape.c ---- */
typedef struct {
        char *name, *resource; /* of an input: get's name and resource */
        GPtrArray *passed;     /* char *, as written (globs); NULL for outputs */
        bool trigger;
        const Value *version; /* borrowed from the config; NULL: none */
} ShapeStep;
typedef struct {
        GPtrArray *inputs, *outputs; /* ShapeStep, as found in the plan */
        GPtrArray *task_steps;       /* char *: names of task steps */
} JobShape;
/* What a job's plan gets and puts, hooks and nested steps included. */
void job_shape_read(const Value *job, JobShape *ret);
void job_shape_clear(JobShape *shape);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(JobShape, job_shape_clear)
int64_t job_max_in_flight(const Value *job);
/* Renames the rows that items' old_name means; kind < 0: jobs. */
bool tx_rename_all(DbTx *tx, int64_t pipeline_id, int kind, const Value *items, GError **error);
bool tx_pipeline_archive(DbTx *tx, int64_t id, Time now, GError **error);
/* 05 §5.4, inline when a job build succeeded. */
bool tx_archive_children(DbTx *tx, int64_t job_id, int64_t build_id, Time now, GError **error);
/* Before pipelines or teams go: their builds' logs are to be deleted after the commit. */
bool tx_bury_logs(DbTx *tx, const Statement *statement, GError **error);

/* ---- build.c, build_finish.c ---- */
#define BUILD_COLUMNS                                                                              \
        "b.id, b.name, b.team_id, t.name, b.pipeline_id, p.name, p.instance_vars, b.job_id, "      \
        "j.name, b.resource_id, r.name, b.resource_type_id, b.status, b.completed, b.scheduled, "  \
        "b.inputs_ready, b.aborted, b.manual, b.interceptible, b.drained, b.created_by, "          \
        "b.comment, b.rerun_of, b.rerun_number, o.name, b.created, b.started, b.ended, b.reaped, " \
        "b.public_plan IS NOT NULL, j.public, p.public, j.interruptible"
#define BUILD_TABLES                                                                               \
        "builds b JOIN teams t ON t.id = b.team_id LEFT JOIN pipelines p ON p.id = b.pipeline_id " \
        "LEFT JOIN jobs j ON j.id = b.job_id LEFT JOIN resources r ON r.id = b.resource_id "       \
        "LEFT JOIN builds o ON o.id = b.rerun_of"
void *row_build(Store *store, DbRows *rows, GError **error); /* RowFn of BUILD_COLUMNS */
/* Sets next and latest builds of a job; a finished build may make the transition. */
bool tx_update_job_pointers(DbTx *tx, int64_t job_id, int64_t finished_build_id, GError **error);
bool tx_build_create(DbTx *tx, int64_t job_id, bool manual, const char *created_by, int64_t *ret_id,
                     GError **error);
/* Commits the end of a build whose final event is in the log. */
typedef struct {
        int64_t build_id;
        int64_t epoch; /* < 0: whoever holds it (the log decided) */
        BuildStatus status;
        Time now;
} FinishCommit;
bool build_finish_commit(Store *store, const FinishCommit *commit, GError **error);

/* ---- build_lease.c ---- */
/* The latest time until which any node may hold a lease: nodes' periods differ, not that much. */
static inline Time lease_future(Time now, Duration period) {
        return now + LEASE_PERIODS_MAX * (period / 1000);
}
/* Nobody takes the lease before this transaction ends: in one that writes. ERROR_STALE. */
bool tx_lease_check(DbTx *tx, int64_t build_id, int64_t epoch, GError **error);

/* ---- version.c ---- */
bool tx_version_save(DbTx *tx, int64_t scope_id, const Value *version, const Value *metadata,
                     bool *ret_new, int64_t *ret_id, GError **error);
bool tx_schedule_scope(DbTx *tx, int64_t scope_id, GError **error);
bool tx_resource_set_scope(DbTx *tx, int64_t id, int64_t config_id, int64_t scope_id,
                           GError **error);

/* ---- build_log.c, check_build.c ---- */
Logs *logs_new(Store *store);
void logs_free(Logs *logs);
/* From now on only `epoch` may append. */
void logs_fence(Store *store, int64_t build_id, int64_t epoch);
/* Who took the lease readies the log: cuts a torn tail, appends "started" to an empty one; tells
 * whether it has its final event already. */
bool log_begin(Store *store, const BuildLease *lease, Time started, bool *ret_final,
               BuildStatus *ret_status, Time *ret_time, GError **error);
/* Appends the final event and syncs; when the log has one already, *status and *time become its.
 * Epoch 0: of a build that never started. */
bool log_end(Store *store, const BuildLease *lease, BuildStatus *status, Time *time,
             GError **error);
/* Nothing will be appended any more: closes and compresses what is open. */
void log_close(Store *store, int64_t build_id);
bool logs_sweep_dead(Store *store, GError **error); /* deletes what dead_logs names */

MemoryBuilds *memory_builds_new(void);
void memory_builds_free(MemoryBuilds *memory);
Build *memory_build_get(Store *store, int64_t id);  /* NULL: no such */
Value *memory_build_plan(Store *store, int64_t id); /* NULL: no such */
/* Events from `from` up to `bytes`, as stored. *ret_known false: no such build. */
GPtrArray *memory_build_read(Store *store, int64_t id, int64_t from, size_t bytes, bool *ret_known,
                             bool *ret_ended);

/* ---- scope_check.c, worker_heartbeat.c: what store_flush() writes ---- */
ScopeChecks *scope_checks_new(void);
void scope_checks_free(ScopeChecks *checks);
bool scope_checks_flush(Store *store, GError **error);

Heartbeats *heartbeats_new(void);
void heartbeats_free(Heartbeats *heartbeats);
bool heartbeats_flush(Store *store, GError **error);

Components *components_new(Store *store);
void components_free(Store *store, Components *components);
/* At most once a minute, unless all. */
bool components_flush(Store *store, bool all, GError **error);
