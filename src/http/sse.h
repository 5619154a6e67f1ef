/* Server-sent events: framing and an incremental reader. */
#pragma once

#include "base/error.h"

/* Appends "id: …\nevent: …\ndata: …\n\n" as upstream's library writes it (reference 04 §10.1): an
 * empty data is a bare "data". id NULL: none. */
void sse_append(GString *text, const char *id, const char *event, const char *data, size_t length);

typedef struct SseReader SseReader;
typedef struct {
        const char *id, *event; /* NULL when absent */
        const char *data;
        size_t length;
} SseMessage;
typedef bool (*SseFn)(const SseMessage *message, void *data, GError **error);
SseReader *sse_reader_new(size_t message_max, SseFn fn, void *data);
/* Feeds bytes in any cut; calls fn for each whole message. */
bool sse_reader_feed(SseReader *reader, const void *bytes, size_t length, GError **error);
void sse_reader_free(SseReader *reader);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(SseReader, sse_reader_free)
