/*
 * Runs programs together. Each is started when the one before it is ready, and started again when it
 * dies; the first ends first, because it uses the others.
 */
#pragma once

#include "base/error.h"

#include <sys/types.h>

#define SUPERVISOR_CHILDREN_MAX 4

typedef struct {
        const char *name; /* "web" */
        const char *const *argv, *const *env;
        uid_t user; /* 0: ours */
        gid_t group;
        int listener;      /* becomes descriptor 3; -1: none. Borrowed */
        const char *ready; /* "message" of the log line that says that it is ready */
        bool quiet;        /* its lines of level info are not passed on: only we wanted them */
} SupervisorChild;

typedef struct {
        const SupervisorChild *children;
        size_t count;
        /* Every line that a child logs. May be NULL. */
        void (*line)(const SupervisorChild *child, const char *line, size_t length, void *data);
        /* All are ready, for the first time. false: end, with the error. May be NULL. */
        bool (*ready)(void *data, GError **error);
        void *data;
} SupervisorSpec;

/* Blocks SIGTERM and SIGINT, which supervisor_run() reads; first thing in main(). */
void supervisor_block_signals(void);

/*
 * Returns true when a signal ended it. A child that ends by itself before it was ever ready is a
 * failure; when it said why on stderr, *error stays unset.
 */
bool supervisor_run(const SupervisorSpec *spec, GError **error);
