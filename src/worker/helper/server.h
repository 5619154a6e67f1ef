/* The helper process itself. */
#pragma once

#include "worker/helper/protocol.h"

typedef struct {
        const char *work;
        int socket; /* to the worker */
        int user_namespace;
} ServerSpec;

/* Serves requests until the worker's end is closed, then ends the process. */
G_NORETURN void helper_serve(const ServerSpec *spec);
