/* The three connections of one process: control, stdout, stderr (reference 06 §3.6). Internal to the pool. */
#pragma once

#include "pool/container.h"
#include "wire/garden.h"

#include <poll.h>

enum { STREAM_CONTROL, STREAM_OUTPUT, STREAM_ERRORS, STREAM_SOCKETS };

/* One thread. Zeroed but for what process_stream_init() takes. */
typedef struct {
        const PoolContainer *container;
        Cancel *cancel;                  /* of connecting; may be NULL */
        OutputFn take[STREAM_SOCKETS];   /* NULL: read and dropped */
        void *data;                      /* for take */
        int64_t offsets[STREAM_SOCKETS]; /* of the next byte: where attaching goes on */

        char *id;                      /* the process's, once known */
        int fds[STREAM_SOCKETS];       /* -1: closed */
        GString *rest[STREAM_SOCKETS]; /* read and not yet taken */
        GString *input;                /* messages that wait to be written to control */
        bool sessions;                 /* the worker speaks that extension */
        bool ended;                    /* it said how: */
        int64_t status;
        char *failure;                   /* instead of a status */
        int64_t lengths[STREAM_SOCKETS]; /* of all its output; 0: the worker does not say */
} ProcessStream;

void process_stream_init(ProcessStream *stream, const PoolContainer *container, Cancel *cancel);
void process_stream_clear(ProcessStream *stream);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ProcessStream, process_stream_clear)

/* Starts the process and connects to it. Errors begin "start process: " where the worker refused. */
bool process_stream_start(ProcessStream *stream, const GardenProcessSpec *spec, GError **error);
/* Connects to one that runs or has ended, from the offsets on. ERROR_NOT_FOUND or ERROR_PROTOCOL where
 * there is none; ERROR_UNAVAILABLE: try again. */
bool process_stream_attach(ProcessStream *stream, const char *id, GError **error);
/* Attaches again as soon as the worker can be reached, for at most 5 min. ERROR_PROTOCOL when input was still
 * to be written: what the process got of it is unknown. */
bool process_stream_reattach(ProcessStream *stream, Cancel *cancel, GError **error);
void process_stream_disconnect(ProcessStream *stream);

/* Whether it has ended and all its output was taken. */
bool process_stream_complete(const ProcessStream *stream);
/* Takes what came with the connections' heads: after each connecting, before the first turn. */
bool process_stream_begin(ProcessStream *stream, GError **error);
/* Writes what the connection takes of input without waiting. */
void process_stream_write(ProcessStream *stream);
/*
 * Waits until one of the connections or of `others` is ready (timeout as poll's, in ms), then takes what came
 * and writes what can be written. The revents of others are the caller's to look at.
 * ERROR_UNAVAILABLE: a connection broke, attach again.
 */
bool process_stream_turn(ProcessStream *stream, struct pollfd *others, size_t count, int timeout,
                         GError **error);
