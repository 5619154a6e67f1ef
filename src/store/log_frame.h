/* How an event stands in a log: one frame each. Shared by the files of the build log. */
#pragma once

#include "base/error.h"

#define FRAME_HEADER 8
/* An event larger than this is refused when written and a sign of damage when read. */
#define FRAME_MAX (64 * 1024 * 1024)

typedef struct {
        const char *stream; /* "<plan id> <attempt> <source>"; NULL: none */
        size_t stream_length;
        int64_t offset; /* of the container's stream, after this event's bytes */
        const char *event;
        size_t event_length;
} Frame;

typedef enum {
        FRAME_WHOLE,
        FRAME_NONE, /* nothing is left */
        FRAME_TORN, /* the rest is not a whole, undamaged frame */
} FrameState;

void frame_append(GByteArray *out, const Frame *frame);
/* Reads the frame at *position and moves past it. Borrowed from data. */
FrameState frame_read(const void *data, size_t length, size_t *position, Frame *ret);

uint32_t crc32c(const void *data, size_t length);
