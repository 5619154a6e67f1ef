/* What the program counts, as Prometheus reads it (reference 08 §C.2). Internal to web. */
#pragma once

#include "checker/checker.h"
#include "engine/engine.h"
#include "http/server.h"

typedef struct Metrics Metrics; /* any thread */

typedef struct {
        Store *store;
        Engine *engine;
        Checker *checker;
} MetricsSpec; /* all borrowed */

Metrics *metrics_new(const MetricsSpec *spec);
void metrics_free(Metrics *metrics); /* accepts NULL */

/* Appends all of them. server may be NULL. */
void metrics_append(Metrics *metrics, HttpServer *server, GString *text);
