/* The connections of processes: one for control, one each for stdout and stderr (06 §3.6). */
#pragma once

#include "http/server.h"
#include "worker/oci/container.h"

typedef struct Streams Streams; /* any thread */

/* stopping: fires when the server stops; borrowed. */
Streams *streams_new(Cancel *stopping);
void streams_free(Streams *streams);

/* Answers with 201 (run) or 200 (attach), takes the connection over, and serves it until the process
 * ends, the client goes or the server stops. */
void streams_serve(Streams *streams, HttpRequest *request, int status, Process *process);
/* Serves …/attaches/:id/stdout or stderr. from: where to begin; -1: after what was sent. */
void streams_serve_output(Streams *streams, HttpRequest *request, const char *id, unsigned stream,
                          int64_t from);
