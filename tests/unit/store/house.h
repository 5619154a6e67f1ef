/* A store on a fresh database of either kind, with a pipeline in it: what the tests of store share. */
#pragma once

#include "store/store.h"

#include "../db/fixture.h"

#include <string.h>

typedef struct {
        Fixture *fixture;
        Store *store;
        int64_t team_id, pipeline_id;
} House;

typedef void (*HouseFn)(House *house);

/* Registers <path>/sqlite and <path>/postgres: the store is open, the team "main" is there. */
void house_add(const char *path, HouseFn fn);
void house_add_one(const char *path, DbKind kind, HouseFn fn); /* where the kind does not matter */
void house_open(House *house);                                 /* closes what is open */
void house_close(House *house);
int house_main(int argc, char **argv, void (*add)(void));

Value *json(const char *text); /* ' stands for "; returns new */
char *json_text(const Value *value);

/* Saves pipeline "p" with this config; sets pipeline_id. */
void house_save(House *house, const char *config);
/* A repo, and unit → (passed) deploy; repo has a scope afterwards. */
extern const char two_jobs[];
int64_t job_id(House *house, const char *name);
int64_t resource_id(House *house, const char *name);
/* The scope of the resource, made and set when there is none; base type "git". */
int64_t scope_of(House *house, const char *resource);
void house_worker(House *house, const char *name);
/* Saves versions {"ref":…}; returns how many are new. */
size_t save_refs(House *house, int64_t scope_id, const char *refs);

Build *pending_build(House *house, const char *job);
/* A started build of a job, its lease taken by node "n". */
int64_t started_build(House *house, const char *job, BuildLease *ret_lease);
void finish(House *house, const BuildLease *lease, BuildStatus status);
/* Everything in a log, a line per event. */
char *read_log(House *house, int64_t build_id, int64_t from);

#define OK(call)                                                                                   \
        ({                                                                                         \
                g_autoptr(GError) error = NULL;                                                    \
                typeof(call) result_ = (call);                                                     \
                g_assert_no_error(error);                                                          \
                result_;                                                                           \
        })
/* The call fails with this code; its error is &error. */
#define FAILS(call, code)                                                                          \
        do {                                                                                       \
                g_autoptr(GError) error = NULL;                                                    \
                g_assert_false(call);                                                              \
                g_assert_error(error, ERROR, (int) (code));                                        \
        } while (0)
#define FAILS_SAYING(call, text)                                                                   \
        do {                                                                                       \
                g_autoptr(GError) error = NULL;                                                    \
                g_assert_false(call);                                                              \
                g_assert_cmpstr(error->message, ==, text);                                         \
        } while (0)
