/* The HTTP API (reference 01): one table of routes, roles checked in one place, one file per entity. */
#pragma once

#include "auth/auth.h"
#include "engine/engine.h"
#include "http/server.h"

/* What upstream's clients are told: the contract that is kept (design §8). */
#define API_VERSION "8.2.5"
#define API_WORKER_VERSION "3.0"

typedef struct {
        Store *store;
        Auth *auth;
        Pool *pool;
        const char *external_url; /* without a slash at the end */
        const char *cluster_name; /* NULL: none */
        const Value *base_type_defaults;
        Duration checking_interval;
        Duration intercept_idle_timeout; /* of hijack sessions; 0: none */
        const char *cli_directory;       /* of fly downloads; NULL: none */
        const char *cli_program; /* without a directory: fly for this platform; NULL: none */
        bool resource_causality; /* may be asked for: it can be expensive */
        /* Appends Prometheus text of what the program counts; may be NULL. */
        void (*metrics)(GString *text, void *data);
        void *data;
} ApiSpec;

typedef struct Api Api; /* any thread */

Api *api_new(const ApiSpec *spec);
/* After the servers that it answers for have stopped: waits for what still follows a build, which uses the store. */
void api_free(Api *api);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Api, api_free)

/* HttpHandler; data is the Api. Answers every request to the web port. */
void api_handle(HttpRequest *request, void *data);
/* The same for a socket that only the worker of this machine can open: its caller is the system. */
void api_handle_worker(HttpRequest *request, void *data);
/* GET /metrics, for a listener of its own. */
void api_handle_metrics(HttpRequest *request, void *data);
