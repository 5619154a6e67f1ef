/* Following a build's event stream (reference 02 §11). */
#pragma once

#include "fly/api.h"

typedef struct {
        int64_t build;
        const char *build_text; /* as the person gave it; NULL: build */
        bool timestamps;
        bool ignore_unknown; /* events */
} StreamSpec;

/* Prints the events until the build's end, reconnecting; then fly->status is what to exit with. */
bool stream_build(Fly *fly, const StreamSpec *spec, GError **error);
