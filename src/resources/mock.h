/* The mock resource type: invents versions, writes files, can be its own image (reference 09 §4). */
#pragma once

#include "base/value.h"

#include <stdio.h>

/* What the program finds around itself. Everything is borrowed. */
typedef struct {
        bool privileged;              /* root here is root outside */
        const char *mirrored_version; /* MIRRORED_VERSION; NULL: not set */
        const char *root;             /* what mirroring copies: "/" */
        const char *const *environment;
        FILE *log;
        int64_t started; /* g_get_monotonic_time() then: log lines count seconds from it */
} MockHost;

/* Each takes the whole request. *ret is new. The message of a failure is what the program says. */
bool mock_check(const Value *request, const MockHost *host, Value **ret, GError **error);
bool mock_in(const Value *request, const char *destination, const MockHost *host, Value **ret,
             GError **error);
bool mock_out(const Value *request, const char *sources, const MockHost *host, Value **ret,
              GError **error);

/* One line as logrus writes it to a terminal; field may be NULL, or a name with its value. */
void mock_log(const MockHost *host, const char *level, const char *message, const char *field,
              const char *value);
