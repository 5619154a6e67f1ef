/* What a build's events look like in a terminal (reference 02 §12.2–§12.4). */
#pragma once

#include "fly/fly.h"
#include "wire/event.h"

typedef struct {
        const Fly *fly;
        FILE *out;
        bool timestamps;
        bool middle_of_line; /* the last write did not end one */
        int exit_status;     /* so far */
        bool finished;       /* a final status has come */
} Render;

/* Prints one event. An event nobody knows, or a status, is ERROR_INVALID. */
bool render_event(Render *render, const Event *event, GError **error);
/* "failed to parse next event: …" */
void render_parse_failure(Render *render, const char *message);
