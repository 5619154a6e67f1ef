/* One request on its way through the API. Internal to api. */
#pragma once

#include "api/api.h"
#include "base/json.h"
#include "base/thread.h"

struct Api {
        ApiSpec spec;
        struct {
                Mutex mutex;
                uint64_t requests[6]; /* by status class; 0: none */
                uint64_t counter;     /* of plan ids */
                size_t hijacks;       /* sessions now */
                size_t watchers;      /* threads that follow a build's events now */
                Condition watcher_ended;
        } counts;
};

typedef enum {
        GUARD_OPEN,
        GUARD_AUTHENTICATED,
        GUARD_ANY_TEAM,
        GUARD_TEAM,
        GUARD_ADMIN,
        GUARD_SYSTEM,
        GUARD_WORKER,
        GUARD_PIPELINE,
        GUARD_BUILD_ANY,    /* read; public pipelines too */
        GUARD_BUILD_PUBLIC, /* read; anonymous only where the job is public */
        GUARD_BUILD_WRITE,
} Guard;

typedef struct ApiCall ApiCall;
typedef void (*ApiFn)(ApiCall *call);

typedef struct {
        const char *action;
        const char *method;
        const char *pattern; /* "/api/v1/teams/:team_name" */
        Guard guard;
        Role role;
        bool rejects_archived;
        ApiFn handle; /* NULL: known to clients, not part of this program: 501 */
} Route;

extern const Route api_routes[]; /* ends with a NULL action */

#define CALL_PARAMS 6

struct ApiCall {
        Api *api;
        Store *store;
        HttpRequest *request;
        const Route *route;
        Access *access;
        struct {
                const char *name; /* in the pattern, not NUL-terminated there: see length */
                size_t length;
                const char *value;
        } params[CALL_PARAMS];
        size_t param_count;
        Value *instance_vars; /* NULL: none */
        Team *team;           /* loaded where the path names one and the guard needs it */
        Pipeline *pipeline;
        Build *build;
};

/* The path's parameter, decoded; asserts that the pattern has it. */
const char *call_param(const ApiCall *call, const char *name);
Cancel *call_cancel(ApiCall *call);

/* ---- look-ups that answer 404, 400 or 500 themselves and then return NULL or false ---- */
Team *call_team(ApiCall *call);                                               /* borrowed */
Pipeline *call_pipeline(ApiCall *call);                                       /* borrowed */
Job *call_job(ApiCall *call);                                                 /* returns new */
Resource *call_resource(ApiCall *call, ResourceKind kind, const char *param); /* returns new */
/* The body as JSON; 400 empty when it is none. Returns new. */
Value *call_json(ApiCall *call);
bool call_id(ApiCall *call, const char *param, int64_t *ret); /* 400 */

/* ---- answers ---- */
void call_empty(ApiCall *call, int status);
void call_text(ApiCall *call, int status, const char *text);
/* Takes value. */
void call_answer(ApiCall *call, int status, Value *value);
/* 500 with an empty body (404 for ERROR_NOT_FOUND), logged. */
void call_failed(ApiCall *call, const GError *error);
/* call_empty(200), or call_failed. */
void call_done(ApiCall *call, bool done, const GError *error);
/* {"errors":[text]} with 400. */
void call_errors(ApiCall *call, int status, const GPtrArray *errors);

/* ---- pages ---- */
Page call_page(ApiCall *call);
/* Link headers for a page of `path` (relative to /api/v1, unescaped). */
void call_links(ApiCall *call, const PageLinks *links, const Page *page);

/* Whether the caller may see more than the public sees of this team's things. */
bool call_sees_team(const ApiCall *call, const char *team_name);
uint64_t call_plan_counter(ApiCall *call, uint64_t step);

/* {"warnings":[…]} of an identifier, or {} (reference 01 §12.2). Returns new. */
Value *call_identifier_answer(const char *context, const char *name);
