/* What a type of var source does. Internal to creds: one file for each type, one line each in creds.c. */
#pragma once

#include "creds/creds.h"

typedef struct {
        const char *type;
        /* config: a map, evaluated. Returns the source, or NULL with why there is none. */
        void *(*open)(const Value *config, GError **error);
        void (*close)(void *source);
        /* Looks a path up. Any thread, may block. True with *ret new, or NULL when there is no such secret. */
        bool (*find)(void *source, const CredsScope *scope, const char *path, Value **ret,
                     GError **error);
} CredsKind;

extern const CredsKind creds_dummy;
